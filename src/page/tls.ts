/**
 * The page by TLS. The runtime's own listener speaks it, but a connection of it on which nothing
 * comes cannot be closed (Deno 2.6 to 2.8: `close()` waits for the read that is under way). So it
 * listens for this process alone, and each visitor is led there by a connection that can.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { readBytes, whyNotRead } from "../config/file.ts";
import { writeAll } from "../text/write_all.ts";
import { PageError } from "./page_error.ts";

/** Longest file, in bytes. */
const FILE_BYTES_MAX = 262_144;

/** Where the inner listener is. */
const HERE = "127.0.0.1";

/** How long it is waited after a connection that could not be taken, in milliseconds. */
const ACCEPT_AGAIN_MS = 100;

/** What is served by TLS. */
type Serve = (socket: Socket, from: string) => void;

/** How much is read at a time, in bytes. */
const READ_BYTES = 16_384;

/** How long it may take until it is known whose a connection is, in milliseconds. */
const EARLY_MS = 1_000;

/** A visitor who was led to the inner listener. */
interface Visitor {
  readonly from: string;
  /** The connection that leads there. */
  readonly inner: Socket;
}

/** Leads visitors to TLS. */
export class TlsGate {
  readonly #listener: Deno.TlsListener;
  readonly #serve: Serve;
  /** By the port of the connection that leads there. */
  readonly #led = new Map<number, Visitor>();
  /** Connections that have come before it was known whose they are, by that port. */
  readonly #early = new Map<number, Deno.TlsConn>();

  #isClosed = false;

  private constructor(listener: Deno.TlsListener, serve: Serve) {
    this.#listener = listener;
    this.#serve = serve;
    void this.#accept();
  }

  /**
   * Reads certificate and key.
   *
   * @param certFile Path of the certificate, with those that lead to its authority.
   * @param keyFile Path of its key.
   * @param serve Serves a visitor.
   * @throws {PageError} When they cannot be used.
   */
  static open(certFile: string, keyFile: string, serve: Serve): TlsGate {
    const [cert, key] = [readPem(certFile, "page_cert"), readPem(keyFile, "page_key")];
    try {
      return new TlsGate(Deno.listenTls({ hostname: HERE, port: 0, cert, key }), serve);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new PageError(
        `page_cert ${certFile} and page_key ${keyFile} cannot be used: ${why}. Fix: the ` +
          "certificate with its chain, and the key that belongs to it, both as PEM and without a " +
          "password",
      );
    }
  }

  /**
   * Leads a visitor.
   *
   * @param raw The connection; when it is destroyed, all that hangs on it ends.
   */
  lead(raw: Socket): void {
    const from = raw.remoteAddress ?? "";
    const inner = connect({ host: HERE, port: (this.#listener.addr as Deno.NetAddr).port });
    let port = 0;
    inner.on("connect", () => {
      port = inner.localPort ?? 0;
      const early = this.#early.get(port);
      this.#early.delete(port);
      if (early === undefined) this.#led.set(port, { from, inner });
      else this.#take(early, { from, inner });
    });
    for (const [one, other] of [[raw, inner], [inner, raw]] as const) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
    inner.on("close", () => this.#led.delete(port));
    raw.pipe(inner);
    inner.pipe(raw);
  }

  /** Takes nobody any more. */
  close(): void {
    this.#isClosed = true;
    this.#listener.close();
    for (const conn of this.#early.values()) conn.close();
    this.#early.clear();
  }

  async #accept(): Promise<void> {
    while (!this.#isClosed) {
      let conn: Deno.TlsConn;
      try {
        conn = await this.#listener.accept();
      } catch {
        // It was closed, or for a moment there are too many open files.
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_AGAIN_MS));
        continue;
      }
      const { port } = conn.remoteAddr as Deno.NetAddr;
      const led = this.#led.get(port);
      this.#led.delete(port);
      if (led !== undefined) this.#take(conn, led);
      else this.#wait(port, conn);
    }
  }

  /** Whoever of this machine has come here by themselves is left. */
  #wait(port: number, conn: Deno.TlsConn): void {
    this.#early.set(port, conn);
    setTimeout(() => {
      if (this.#early.get(port) !== conn) return;
      this.#early.delete(port);
      conn.close();
    }, EARLY_MS);
  }

  #take(conn: Deno.TlsConn, { from, inner }: Visitor): void {
    const stream = new TlsStream(conn);
    // What is closed here while a read is under way stays open but for this.
    stream.on("close", () => inner.destroy());
    this.#serve(stream as unknown as Socket, from);
  }
}

/** A connection by TLS, as those see it who serve plain ones. */
class TlsStream extends Duplex {
  readonly #conn: Deno.TlsConn;
  #isReading = false;

  constructor(conn: Deno.TlsConn) {
    super();
    this.#conn = conn;
  }

  override _read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    const buffer = new Uint8Array(READ_BYTES);
    this.#conn.read(buffer).then((length) => {
      this.#isReading = false;
      this.push(length === null ? null : buffer.subarray(0, length));
    }, () => this.destroy());
  }

  override _write(
    chunk: Uint8Array,
    _encoding: string,
    done: (error?: Error | null) => void,
  ): void {
    writeAll(this.#conn, chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#conn.closeWrite().then(() => done(), () => done());
  }

  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    try {
      this.#conn.close();
    } catch {
      // It is closed already.
    }
    done();
  }
}

function readPem(path: string, name: string): string {
  try {
    return new TextDecoder().decode(readBytes(path, FILE_BYTES_MAX));
  } catch (error) {
    throw new PageError(
      `${name}: ${path}: ${
        whyNotRead(error)
      }. Fix: a copy in /etc/ampere that belongs to root, then: ` +
        "systemctl reload ampere",
    );
  }
}
