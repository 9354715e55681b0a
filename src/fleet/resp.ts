/**
 * The protocol of Redis and Valkey (RESP2), and one connection that speaks it: bounded in what it
 * takes, and with a limit of time for each answer.
 *
 * @module
 */

import { dial, DialError } from "../ami/dial.ts";
import { authorities, AuthoritiesError } from "../authorities.ts";
import { escapeText } from "../text/escape.ts";
import { tlsFault } from "../tls_fault.ts";
import { EngineError } from "./engine.ts";
import { adviceFor } from "./advice.ts";

/** An answer: a text, a number, nothing, a refusal, or several answers. */
export type Reply = string | number | null | ReplyError | readonly Reply[];

/** The engine has refused a command. */
export class ReplyError {
  /** What it says, such as `NOPERM this user has no permissions …`. */
  readonly message: string;

  /** @param message What it says. */
  constructor(message: string) {
    this.message = message;
  }
}

/** Longest answer, in bytes: a thousand records of the longest texts have 2 MB. */
const REPLY_BYTES_MAX = 32 * 1024 * 1024;

/** Most answers within an answer, and how deep they may be nested. */
const ITEMS_MAX = 200_000;
const DEPTH_MAX = 8;

/** Most characters of a refusal that are shown: anybody may have written the server. */
const SHOWN_MAX = 160;

/** How long the TLS handshake, and the login, may take, in milliseconds. */
const HANDSHAKE_MS = 4_000;

/** How long an answer may take that need not wait for anything, in milliseconds. */
export const ANSWER_MS = 5_000;

const CR = 13;
const LF = 10;

/** Where the engine is, and how one logs in. */
export interface EngineAddress {
  /** Name or address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** By TLS, and never without. */
  readonly tls: boolean;
  /** File with the authorities of its certificate; `undefined`: this machine's. */
  readonly ca: string | undefined;
  /** Name of the user; `undefined`: the default one. */
  readonly user: string | undefined;
  /** Number of the database. */
  readonly database: number;
  /** Reads the secret; `undefined`: there is none. May throw an {@linkcode EngineError}. */
  readonly secret: () => string | undefined;
}

/**
 * Reads one answer.
 *
 * @param bytes What has come.
 * @param start Where the answer begins.
 * @returns The answer and where the next begins; `undefined` while it is not whole.
 * @throws {EngineError} If it is none.
 */
export function readReply(
  bytes: Uint8Array,
  start: number,
  depth = 0,
): { reply: Reply; next: number } | undefined {
  const end = endOfLine(bytes, start);
  if (end < 0) return undefined;
  const line = decoder.decode(bytes.subarray(start + 1, end));
  const next = end + 2;
  switch (String.fromCharCode(bytes[start]!)) {
    case "+":
      return { reply: line, next };
    case "-":
      return { reply: new ReplyError(escapeText(line, SHOWN_MAX)), next };
    case ":":
      return { reply: numberIn(line), next };
    case "$": {
      const length = numberIn(line);
      if (length < 0) return { reply: null, next };
      if (length > REPLY_BYTES_MAX) throw new EngineError("its answer is too long");
      if (bytes.length < next + length + 2) return undefined;
      return {
        reply: decoder.decode(bytes.subarray(next, next + length)),
        next: next + length + 2,
      };
    }
    case "*": {
      const count = numberIn(line);
      if (count < 0) return { reply: null, next };
      if (count > ITEMS_MAX || depth > DEPTH_MAX) throw new EngineError("its answer is too long");
      const items: Reply[] = [];
      let at = next;
      for (let index = 0; index < count; index++) {
        const item = readReply(bytes, at, depth + 1);
        if (item === undefined) return undefined;
        items.push(item.reply);
        at = item.next;
      }
      return { reply: items, next: at };
    }
  }
  throw new EngineError(
    "what answers there speaks another protocol",
    "fleet = redis://HOST:PORT of Redis or Valkey (rediss:// if it speaks TLS at that port)",
  );
}

/**
 * Writes commands as they are sent.
 *
 * @param commands Each with its arguments.
 */
export function writeCommands(commands: readonly (readonly string[])[]): Uint8Array {
  let text = "";
  for (const parts of commands) {
    text += `*${parts.length}\r\n`;
    for (const part of parts) text += `$${byteLength(part)}\r\n${part}\r\n`;
  }
  return encoder.encode(text);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function byteLength(text: string): number {
  // deno-lint-ignore no-control-regex -- all of ASCII
  return /^[\x00-\x7f]*$/.test(text) ? text.length : encoder.encode(text).length;
}

function endOfLine(bytes: Uint8Array, start: number): number {
  const end = bytes.indexOf(CR, start);
  if (end < 0 || end + 1 >= bytes.length) return -1;
  if (bytes[end + 1] !== LF) throw new EngineError("what answers there speaks another protocol");
  return end;
}

function numberIn(line: string): number {
  const number = Number(line);
  if (!/^-?\d{1,19}$/.test(line)) throw new EngineError("its answer is no number");
  return number;
}

/** One connection; commands are answered in their order. */
export class EngineConnection {
  readonly #connection: Deno.TcpConn | Deno.TlsConn;
  #bytes = new Uint8Array(0);
  #isClosed = false;
  /** One exchange at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(connection: Deno.TcpConn | Deno.TlsConn) {
    this.#connection = connection;
  }

  /**
   * Connects and logs in.
   *
   * @param address Where to, and how.
   * @throws {EngineError} With what mends it.
   */
  static async open(address: EngineAddress): Promise<EngineConnection> {
    const where = `${address.host}:${address.port}`;
    const secret = address.secret();
    const caCerts = address.tls ? authoritiesFor(address) : [];
    let plain: Deno.TcpConn;
    try {
      plain = await dial(address.host, address.port);
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      throw new EngineError(`${where}: ${error.message}`, adviceFor("unreachable"));
    }
    plain.setNoDelay(true);
    plain.setKeepAlive(true);
    const connection = new EngineConnection(
      address.tls ? await secured(plain, address, where, caCerts) : plain,
    );
    try {
      const login: string[][] = [];
      if (secret !== undefined) {
        login.push(address.user === undefined ? ["AUTH", secret] : ["AUTH", address.user, secret]);
      }
      if (address.database !== 0) login.push(["SELECT", String(address.database)]);
      login.push(["PING"]);
      const replies = await connection.ask(login, HANDSHAKE_MS);
      for (const reply of replies) expect(reply);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Whether it can't be used any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Sends commands and reads their answers, which may be refusals.
   *
   * @param commands Each with its arguments.
   * @param ms How long the answers may take.
   * @throws {EngineError} When the connection is lost, or there is no answer in time; then it is
   *   not known what was done, and the connection is closed.
   */
  ask(commands: readonly (readonly string[])[], ms: number = ANSWER_MS): Promise<Reply[]> {
    const answer = this.#turn.then(() => this.#exchange(commands, ms));
    this.#turn = answer.catch(() => {});
    return answer;
  }

  /** Ends it; what is under way fails. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#connection.close();
    } catch {
      // It was closed by the other side.
    }
  }

  async #exchange(commands: readonly (readonly string[])[], ms: number): Promise<Reply[]> {
    if (this.#isClosed) throw new EngineError("the connection to the engine is closed");
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.close();
    }, ms);
    try {
      await this.#write(writeCommands(commands));
      const replies: Reply[] = [];
      while (replies.length < commands.length) replies.push(await this.#read());
      return replies;
    } catch (error) {
      const isOver = this.#isClosed;
      this.close();
      if (late) throw new EngineError(`no answer within ${ms / 1000} s`, adviceFor("slow"));
      if (error instanceof EngineError) throw error;
      throw new EngineError(isOver ? "the connection was closed" : "the connection was lost");
    } finally {
      clearTimeout(timer);
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    let sent = 0;
    while (sent < bytes.length) sent += await this.#connection.write(bytes.subarray(sent));
  }

  async #read(): Promise<Reply> {
    for (;;) {
      const found = this.#bytes.length === 0 ? undefined : readReply(this.#bytes, 0);
      if (found !== undefined) {
        this.#bytes = this.#bytes.subarray(found.next);
        return found.reply;
      }
      const chunk = new Uint8Array(65_536);
      const count = await this.#connection.read(chunk);
      if (count === null) throw new EngineError("the engine closed the connection");
      if (this.#bytes.length + count > 2 * REPLY_BYTES_MAX) {
        throw new EngineError("its answer is too long");
      }
      const joined = new Uint8Array(this.#bytes.length + count);
      joined.set(this.#bytes);
      joined.set(chunk.subarray(0, count), this.#bytes.length);
      this.#bytes = joined;
    }
  }
}

/**
 * An answer that must be no refusal.
 *
 * @param reply The answer.
 * @throws {EngineError} If it is one, with what mends it.
 */
export function expect(reply: Reply | undefined): Exclude<Reply, ReplyError> {
  if (reply === undefined) throw new EngineError("the engine did not answer");
  if (!(reply instanceof ReplyError)) return reply;
  throw new EngineError(`the engine says: ${reply.message}`, adviceFor(reply.message));
}

function authoritiesFor({ ca }: EngineAddress): string[] {
  try {
    return authorities(ca, "fleet_ca");
  } catch (error) {
    if (!(error instanceof AuthoritiesError)) throw error;
    throw new EngineError(error.message, error.advice);
  }
}

async function secured(
  plain: Deno.TcpConn,
  { host, ca }: EngineAddress,
  where: string,
  caCerts: string[],
): Promise<Deno.TlsConn> {
  const connection = await Deno.startTls(plain, { hostname: host, caCerts });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    connection.close();
  }, HANDSHAKE_MS);
  const plainAdvice = "fleet = redis://… if it speaks no TLS; or give it tls-port (redis.conf)";
  try {
    await connection.handshake();
    return connection;
  } catch (error) {
    if (late) {
      throw new EngineError(
        `${where}: no answer to the TLS handshake within ${HANDSHAKE_MS / 1000} s`,
        plainAdvice,
      );
    }
    connection.close();
    const fault = tlsFault(error, {
      name: host,
      caKey: "fleet_ca",
      caFile: ca,
      otherName: "name the engine in fleet as its certificate does",
      plain: plainAdvice,
    });
    throw new EngineError(
      `${where}: ${fault?.why ?? "the TLS handshake failed"}`,
      fault?.advice ?? "look into the engine's log",
    );
  } finally {
    clearTimeout(timer);
  }
}
