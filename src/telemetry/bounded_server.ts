/**
 * A server that cannot be made to hold much: few connections at a time, each for a short time.
 *
 * @module
 */

import { isLoopback, networkOf, parseAddress } from "../address/address.ts";
import { ServedConnection } from "./served_connection.ts";

/**
 * Longest time that the end waits for connections to be gone, in milliseconds: nothing depends on
 * it.
 */
const STOP_MS = 200;

/**
 * Most connections that are ended and not gone: those of a peer that neither reads nor goes. The
 * runtime cannot leave it by itself (a write is under way; with Deno 2.8 a read, too), and each
 * holds a file.
 */
const LINGERING_MAX = 192;

/** Most connections of one address, or of one such network; of this machine as many as fit. */
const OF_HOLDER_MAX = 32;
const HOLDER_PREFIX = 64;

/** Most connections that are taken in a second: then the rest of the program has its turn. */
const A_SECOND_MAX = 500;

const SECOND_MS = 1_000;

/** How long it is waited when none can be accepted (too many open files), in milliseconds. */
const ACCEPT_AGAIN_MS = 100;

/** Where a server listens. */
type ListenOn =
  | { readonly host: string; readonly port: number }
  /** A Unix socket. */
  | { readonly path: string };

/** What a {@linkcode BoundedServer} is made of. */
interface BoundedServerOptions {
  /** Most connections that are served at a time; a further one is closed at once. */
  readonly connectionsMax: number;
  /** How long a connection may last, in milliseconds; then it is ended. */
  readonly connectionMs: number;
  /** Serves one connection; ends it with `end()`. */
  readonly serve: (connection: ServedConnection) => void;
  /** The next one is taken when this is fulfilled. */
  readonly admit?: () => Promise<void>;
}

/**
 * Accepts connections until it is stopped.
 *
 * @example
 * ```ts
 * import { BoundedServer } from "./bounded_server.ts";
 *
 * const server = await BoundedServer.listen({ host: "127.0.0.1", port: 0 }, {
 *   connectionsMax: 16,
 *   connectionMs: 5_000,
 *   serve: (connection) => {
 *     void connection.write("hello\n");
 *     void connection.end();
 *   },
 * });
 * await server.stop();
 * ```
 */
export class BoundedServer {
  readonly #listener: Deno.Listener;
  readonly #options: BoundedServerOptions;
  /** Those that are served, and those that are ended and not gone. */
  readonly #open = new Set<ServedConnection>();
  readonly #lingering = new Set<ServedConnection>();
  readonly #ofHolder = new Map<string, number>();
  readonly #accepting: Promise<void>;
  #isStopped = false;

  private constructor(listener: Deno.Listener, options: BoundedServerOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#accepting = this.#accept();
  }

  /**
   * Begins to listen.
   *
   * @param where Address and port, or path.
   * @param options The bounds, and what is served.
   * @throws {Error} When it cannot listen there.
   */
  static listen(where: ListenOn, options: BoundedServerOptions): Promise<BoundedServer> {
    // A promise, because all that can go wrong then comes by one way.
    return Promise.try(() => {
      const listener = "path" in where
        ? Deno.listen({ transport: "unix", path: where.path })
        : Deno.listen({ hostname: where.host, port: where.port });
      return new BoundedServer(listener, options);
    });
  }

  /** The TCP port; 0 for a Unix socket. */
  get port(): number {
    const { addr } = this.#listener;
    return "port" in addr ? addr.port : 0;
  }

  /** Connections that are served now. */
  get connections(): number {
    return this.#open.size;
  }

  /** Closes everything; a second time nothing. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#listener.close();
    const all = [...this.#open, ...this.#lingering];
    for (const connection of all) connection.destroy();
    let limit: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => limit = setTimeout(resolve, STOP_MS));
    const gone = Promise.all([this.#accepting, ...all.map((connection) => connection.gone)]);
    await Promise.race([gone, late]);
    clearTimeout(limit);
  }

  async #accept(): Promise<void> {
    let [count, begin] = [0, performance.now()];
    while (!this.#isStopped) {
      await this.#options.admit?.();
      if (++count > A_SECOND_MAX) {
        const rest = begin + SECOND_MS - performance.now();
        if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
        [count, begin] = [0, performance.now()];
      }
      if (this.#isStopped) return;
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch {
        if (this.#isStopped) return;
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_AGAIN_MS));
        continue;
      }
      this.#take(conn);
    }
  }

  get #isFull(): boolean {
    return this.#open.size >= this.#options.connectionsMax ||
      this.#lingering.size >= LINGERING_MAX;
  }

  #take(conn: Deno.Conn): void {
    const from = "hostname" in conn.remoteAddr ? conn.remoteAddr.hostname : "";
    const holder = holderOf(from);
    const count = this.#ofHolder.get(holder) ?? 0;
    if (this.#isFull || (holder !== "" && count >= OF_HOLDER_MAX)) return conn.close();
    try {
      if ("setNoDelay" in conn) {
        const tcp = conn as Deno.TcpConn;
        tcp.setNoDelay(true);
        // So that the kernel notices who is gone without a word.
        tcp.setKeepAlive(true);
      }
    } catch {
      // Who has connected is gone already.
    }
    this.#ofHolder.set(holder, count + 1);
    const connection = new ServedConnection(conn, { from });
    this.#open.add(connection);
    const limit = setTimeout(() => connection.destroy(), this.#options.connectionMs);
    void connection.over.then(() => {
      clearTimeout(limit);
      this.#open.delete(connection);
      this.#lingering.add(connection);
    });
    void connection.gone.then(() => this.#forget(connection, holder));
    this.#options.serve(connection);
  }

  #forget(connection: ServedConnection, holder: string): void {
    this.#lingering.delete(connection);
    const count = this.#ofHolder.get(holder)! - 1;
    if (count > 0) this.#ofHolder.set(holder, count);
    else this.#ofHolder.delete(holder);
  }
}

/** Whose an address is: a whole /64 of IPv6 is one customer's; empty for this machine itself. */
function holderOf(from: string): string {
  const address = parseAddress(from);
  if (address === undefined || isLoopback(address)) return "";
  return address.includes(":") ? networkOf(address, HOLDER_PREFIX) : address;
}
