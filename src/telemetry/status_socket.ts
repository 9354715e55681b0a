/**
 * The Unix socket through which `ampere --status` asks the running daemon.
 *
 * A socket and not a file: the answer is true at the moment of the question, nothing is written
 * while nobody asks, and the kernel itself tells whether a daemon is there (a file of a daemon that
 * was killed would look alive). It opens no network port, and its mode 0600 in a folder of mode
 * 0700 lets only the daemon's own user (and root) ask.
 *
 * Its name is made of the path of the database, because there is at most one daemon for a database:
 * daemons with different databases on one machine do not meet.
 *
 * @module
 */

import { connect } from "node:net";
import { BoundedServer } from "./bounded_server.ts";
import type { ServedConnection } from "./served_connection.ts";

/** The folder of the socket; systemd makes it (`RuntimeDirectory=ampere`), else the daemon does. */
export const RUN_FOLDER = "/run/ampere";

/** Most questions at a time. */
const CONNECTIONS_MAX = 4;

/**
 * How long a question is waited for, in milliseconds: an `ampere --status` of an earlier version
 * asks none, and is told the status.
 */
const QUESTION_MS = 50;

/** Longest question, in characters. */
const QUESTION_CHARACTERS_MAX = 200;

/** How long one answer may take, in milliseconds. */
const ANSWER_MS = 2_000;

/** Longest answer that is read, in characters. */
const ANSWER_CHARACTERS_MAX = 4 * 1024 * 1024;

/** Rights of the socket: its own user only. */
const SOCKET_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** Digits of the hash in the name: with 64 bits two paths do not meet by chance. */
const HASH_DIGITS = 16;

/** The status cannot be had; the message says why, `advice` what to do. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  /** Nobody answers at the socket. */
  readonly absent: boolean;
  readonly advice: string;
  constructor(message: string, advice: string, absent: boolean) {
    super(message);
    this.advice = advice;
    this.absent = absent;
  }
}

/**
 * The path of the socket of the daemon that works with a database.
 *
 * @param database Path of the database.
 * @param folder Where sockets are.
 */
export async function statusSocketPath(
  database: string,
  folder: string = RUN_FOLDER,
): Promise<string> {
  return `${folder}/status-${await hashOf(database)}.sock`;
}

/**
 * The path of the file in which the daemon keeps what its database does not take.
 *
 * @param database Path of the database.
 */
export async function owedChangesPath(database: string): Promise<string> {
  return `${RUN_FOLDER}/owed-${await hashOf(database)}`;
}

async function hashOf(database: string): Promise<string> {
  // The same code as for the listings of the firewall: another one would need a megabyte more.
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(database));
  return new Uint8Array(hash).toHex().slice(0, HASH_DIGITS);
}

/** The daemon's side of the socket. */
export class StatusServer {
  readonly path: string;
  readonly #server: BoundedServer;
  /** Inode of the socket, to remove no other. */
  readonly #inode: number | null;

  private constructor(path: string, server: BoundedServer) {
    this.path = path;
    this.#server = server;
    this.#inode = Deno.lstatSync(path).ino;
  }

  /**
   * Begins to answer.
   *
   * @param path See {@linkcode statusSocketPath}.
   * @param answer Makes the answer to each question: a line that ends with a line feed. The
   *   question is a line without its end, empty if nothing is asked in particular.
   * @throws {StatusError} When a daemon answers there already.
   * @throws {Error} When the folder or the socket cannot be made.
   */
  static async open(path: string, answer: (question: string) => string): Promise<StatusServer> {
    if (await isAnswered(path)) {
      throw new StatusError(`another Ampere answers at ${path}`, "", false);
    }
    const folder = path.slice(0, path.lastIndexOf("/"));
    makeRunFolder(folder);
    // Made in a folder of its own that nobody else may enter, then put in its place: at no moment
    // may another user connect, and what a killed daemon left behind is replaced.
    const nest = Deno.makeTempDirSync({ dir: folder, prefix: ".new-" });
    try {
      const server = await BoundedServer.listen({ path: `${nest}/s` }, {
        connectionsMax: CONNECTIONS_MAX,
        connectionMs: ANSWER_MS,
        serve: async (connection) => {
          void connection.write(answer(await hear(connection)));
          await connection.end();
        },
      });
      try {
        Deno.chmodSync(`${nest}/s`, SOCKET_MODE);
        Deno.renameSync(`${nest}/s`, path);
        return new StatusServer(path, server);
      } catch (error) {
        await server.stop();
        throw error;
      }
    } finally {
      Deno.removeSync(nest, { recursive: true });
    }
  }

  /** Stops answering and removes the socket. */
  async stop(): Promise<void> {
    try {
      if (Deno.lstatSync(this.path).ino === this.#inode) Deno.removeSync(this.path);
    } catch {
      // Somebody removed it before.
    }
    await this.#server.stop();
  }
}

/** Waits for a question, for a moment. */
async function hear(connection: ServedConnection): Promise<string> {
  let text = "";
  const late = Promise.withResolvers<void>();
  const limit = setTimeout(late.resolve, QUESTION_MS);
  const question = (async () => {
    const decoder = new TextDecoder();
    while (!text.includes("\n") && text.length <= QUESTION_CHARACTERS_MAX) {
      const bytes = await connection.read();
      if (bytes === null) return;
      text += decoder.decode(bytes, { stream: true });
    }
  })();
  await Promise.race([question, late.promise]);
  clearTimeout(limit);
  return text.split("\n", 1)[0]!.trim().slice(0, QUESTION_CHARACTERS_MAX);
}

/**
 * Makes the folder of the socket if it is not there.
 *
 * @param folder Mostly {@linkcode RUN_FOLDER}.
 * @throws {Error} When it cannot be made.
 */
export function makeRunFolder(folder: string): void {
  try {
    Deno.mkdirSync(folder, { mode: FOLDER_MODE });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

async function isAnswered(path: string): Promise<boolean> {
  try {
    await askStatus(path);
    return true;
  } catch (error) {
    return !(error instanceof StatusError && error.absent);
  }
}

/**
 * Asks the daemon.
 *
 * @param path See {@linkcode statusSocketPath}.
 * @param question What is asked: one line, without its end.
 * @returns Its answer; one of an earlier version tells its status, whatever is asked.
 * @throws {StatusError} When no daemon answers, or when this user may not ask.
 */
export function askStatus(path: string, question = "status"): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.on("connect", () => void socket.write(`${question}\n`));
    const decoder = new TextDecoder();
    let text = "";
    const silent = new StatusError(
      `the daemon at ${path} did not answer within ${ANSWER_MS / 1000} s`,
      "try again; if it stays so, restart it: systemctl restart ampere",
      false,
    );
    const limit = setTimeout(() => socket.destroy(silent), ANSWER_MS);
    socket.on("data", (chunk: Uint8Array) => {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > ANSWER_CHARACTERS_MAX) socket.destroy(silent);
    });
    socket.on("error", (error: Error) => reject(whyNot(error, path)));
    socket.on("close", (hadError: boolean) => {
      clearTimeout(limit);
      if (text.endsWith("\n")) resolve(text);
      // Some releases of Deno tell the end before the error that caused it, and the error knows
      // more.
      else if (!hadError) reject(silent);
    });
  });
}

function whyNot(error: Error, path: string): StatusError {
  if (error instanceof StatusError) return error;
  const { code } = error as { code?: unknown };
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    return new StatusError(
      `no daemon answers at ${path}`,
      "is it running? systemctl status ampere; systemctl start ampere",
      true,
    );
  }
  if (error instanceof Deno.errors.NotCapable) {
    return new StatusError(
      `this build may not use ${path}`,
      `compile it with --allow-read and --allow-write for ${RUN_FOLDER}, as deno task compile does`,
      false,
    );
  }
  if (code === "EACCES") {
    return new StatusError(
      `only the user of the daemon may ask at ${path}`,
      "ask as that user: sudo ampere --status",
      false,
    );
  }
  return new StatusError(
    `the daemon cannot be asked at ${path}: ${error.message}`,
    "",
    false,
  );
}
