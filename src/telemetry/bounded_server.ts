/**
 * A server that cannot be made to hold much: few connections at a time, each for a short time.
 *
 * It is built on `node:net`, because with Deno 2.8 a connection on which a read is under way stays
 * open after `Deno.Conn.close()`, while `destroy()` of a socket of `node:net` ends it at once.
 *
 * @module
 */

import { createServer, type Server, type Socket } from "node:net";

/**
 * Longest time that the end waits for connections to be gone, in milliseconds: nothing depends on
 * it.
 */
const STOP_MS = 200;

/** Where a server listens. */
type ListenOn =
  | { readonly host: string; readonly port: number }
  /** A Unix socket. */
  | { readonly path: string };

/**
 * How many connections may wait. Deno up to 2.6 takes it for how many there may ever be (`node:net`
 * never counts down when one is closed): with the default of 511 the server falls silent after 513.
 * How many there are at a time is bounded here.
 */
const BACKLOG = 1_000_000_000;

/** What a {@linkcode BoundedServer} is made of. */
interface BoundedServerOptions {
  /** Most connections at a time; a further one is closed at once. */
  readonly connectionsMax: number;
  /** How long a connection may last, in milliseconds; then it is closed. */
  readonly connectionMs: number;
  /** Serves one connection; ends it with `socket.end()`. */
  readonly serve: (socket: Socket) => void;
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
 *   serve: (socket) => void socket.end("hello\n"),
 * });
 * await server.stop();
 * ```
 */
export class BoundedServer {
  readonly #server: Server;
  readonly #options: BoundedServerOptions;
  readonly #open = new Set<Socket>();

  private constructor(options: BoundedServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#take(socket));
  }

  /**
   * Begins to listen.
   *
   * @param where Address and port, or path.
   * @param options The bounds, and what is served.
   * @throws {Error} When it cannot listen there.
   */
  static listen(where: ListenOn, options: BoundedServerOptions): Promise<BoundedServer> {
    const bounded = new BoundedServer(options);
    const server = bounded.#server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ ...where, backlog: BACKLOG }, () => {
        server.removeListener("error", reject);
        // Not to be able to accept for a while (too many open files) must not end the program.
        server.on("error", () => {});
        resolve(bounded);
      });
    });
  }

  /** The TCP port; 0 for a Unix socket. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" ? address?.port ?? 0 : 0;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#open.size;
  }

  /** Closes everything. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      const limit = setTimeout(resolve, STOP_MS);
      this.#server.close(() => {
        clearTimeout(limit);
        resolve();
      });
      for (const socket of this.#open) socket.destroy();
    });
  }

  #take(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#open.size >= this.#options.connectionsMax) {
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    const limit = setTimeout(() => socket.destroy(), this.#options.connectionMs);
    socket.on("close", () => {
      clearTimeout(limit);
      this.#open.delete(socket);
    });
    this.#options.serve(socket);
  }
}
