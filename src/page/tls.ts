/**
 * The page by TLS. The runtime's own listener speaks it, but a connection of it on which nothing
 * comes cannot be closed (Deno 2.6 to 2.8: `close()` waits for the read that is under way). So it
 * listens for this process alone, and each visitor is led there by a connection that can.
 *
 * @module
 */

import { readBytes, whyNotRead } from "../config/file.ts";
import { ServedConnection } from "../telemetry/served_connection.ts";
import { writeAll } from "../text/write_all.ts";
import { PageError } from "./page_error.ts";

/** Longest file, in bytes. */
const FILE_BYTES_MAX = 262_144;

/** Where the inner listener is. */
const HERE = "127.0.0.1";

/** How long it is waited after a connection that could not be taken, in milliseconds. */
const ACCEPT_AGAIN_MS = 100;

/** What is served by TLS. */
type Serve = (connection: ServedConnection) => void;

/** How much is read at a time, in bytes. */
const READ_BYTES = 16_384;

/** How long it may take until it is known whose a connection is, in milliseconds. */
const EARLY_MS = 1_000;

/** A visitor who was led to the inner listener. */
interface Visitor {
  readonly from: string;
  /** The connection that leads there. */
  readonly inner: Deno.TcpConn;
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
   * @param raw The connection; when it is over, all that hangs on it ends.
   */
  async lead(raw: ServedConnection): Promise<void> {
    const { port } = this.#listener.addr as Deno.NetAddr;
    let inner: Deno.TcpConn;
    try {
      inner = await Deno.connect({ hostname: HERE, port });
    } catch {
      return raw.destroy();
    }
    inner.setNoDelay(true);
    const visitor = { from: raw.from, inner };
    const own = inner.localAddr.port;
    const early = this.#early.get(own);
    this.#early.delete(own);
    if (early === undefined) this.#led.set(own, visitor);
    else this.#take(early, visitor);
    // By that the other side of TLS ends, and closes; nothing of it is under way then.
    const end = () => void inner.closeWrite().catch(() => {});
    void raw.over.then(end);
    await Promise.all([this.#bring(raw, inner, end), this.#return(inner, raw)]);
    this.#led.delete(own);
    inner.close();
  }

  async #bring(raw: ServedConnection, inner: Deno.TcpConn, end: () => void): Promise<void> {
    try {
      for (let bytes; (bytes = await raw.read()) !== null;) await writeAll(inner, bytes);
      end();
    } catch {
      // TLS has ended: what it said last is on its way back.
    }
  }

  /** What TLS says is taken to its end though nobody wants it any more: else it would wait. */
  async #return(inner: Deno.TcpConn, raw: ServedConnection): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    try {
      for (let count; (count = await inner.read(buffer)) !== null;) {
        await raw.write(buffer.slice(0, count));
      }
      await raw.end();
    } catch {
      raw.destroy();
    }
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
    const endOther = () => void inner.closeWrite().catch(() => {});
    this.#serve(new ServedConnection(conn, { from, endOther }));
  }
}

/**
 * Reads a file of certificates, or a key.
 *
 * @param path The file.
 * @param name The key of the configuration that names it.
 * @throws {PageError} When it cannot be read.
 */
export function readPem(path: string, name: string): string {
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
