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

/** Most answers within an answer at whatever depth, and how deep they may be nested. */
const ITEMS_MAX = 200_000;
const DEPTH_MAX = 8;

/** Longest line, in bytes: a refusal, or a number. */
const LINE_BYTES_MAX = 65_536;

/** Most answers that wait to be read: a transaction has three commands for each change. */
const WAITING_MAX = 8_192;

/** What an answer may begin with. */
const KINDS: readonly number[] = Array.from("+-:$*", (kind) => kind.charCodeAt(0));

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
 * Reads answers as their bytes come: each byte is looked at once, in whatever pieces it comes.
 */
export class ReplyReader {
  readonly #replies: Reply[] = [];
  /** Lists that are not whole yet, the outermost first. */
  readonly #open: { readonly items: Reply[]; readonly count: number }[] = [];
  /** The line that is not whole yet, and whether its CR has come. */
  #line: number[] = [];
  #isAtEnd = false;
  /** The text that is not whole yet, with the CR LF behind it. */
  #bulk: Uint8Array | undefined;
  #filled = 0;
  /** Of the answer that is not whole yet. */
  #items = 0;
  #size = 0;

  /**
   * Takes what has come.
   *
   * @param bytes Some bytes.
   * @throws {EngineError} If they are no answer, or it is too long.
   */
  take(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#bulk !== undefined) {
        const part = bytes.subarray(at, at + this.#bulk.length - this.#filled);
        this.#bulk.set(part, this.#filled);
        this.#filled += part.length;
        at += part.length;
        if (this.#filled === this.#bulk.length) this.#endBulk(this.#bulk);
        continue;
      }
      const byte = bytes[at++]!;
      if (this.#isAtEnd) {
        if (byte !== LF) throw otherProtocol();
        this.#isAtEnd = false;
        const line = decoder.decode(Uint8Array.from(this.#line));
        this.#line = [];
        this.#header(line);
      } else if (byte === CR) this.#isAtEnd = true;
      else if (this.#line.push(byte) > LINE_BYTES_MAX) throw tooLong();
      else if (this.#line.length === 1 && !KINDS.includes(byte)) throw otherProtocol();
    }
  }

  /** The oldest answer that is whole and was not handed out yet; `undefined`: there is none. */
  next(): Reply | undefined {
    return this.#replies.shift();
  }

  #header(line: string): void {
    const rest = line.slice(1);
    switch (line[0]) {
      case "+":
        return this.#end(rest);
      case "-":
        return this.#end(new ReplyError(escapeText(rest, SHOWN_MAX)));
      case ":":
        return this.#end(numberIn(rest));
      case "$": {
        const length = numberIn(rest);
        if (length < 0) return this.#end(null);
        this.#size += length;
        if (this.#size > REPLY_BYTES_MAX) throw tooLong();
        this.#bulk = new Uint8Array(length + 2);
        this.#filled = 0;
        return;
      }
      case "*": {
        const count = numberIn(rest);
        if (count < 0) return this.#end(null);
        this.#items += count;
        if (this.#items > ITEMS_MAX || this.#open.length > DEPTH_MAX) throw tooLong();
        if (count === 0) return this.#end([]);
        this.#open.push({ items: [], count });
        return;
      }
    }
    throw otherProtocol();
  }

  #endBulk(bulk: Uint8Array): void {
    const length = bulk.length - 2;
    if (bulk[length] !== CR || bulk[length + 1] !== LF) throw otherProtocol();
    this.#bulk = undefined;
    this.#end(decoder.decode(bulk.subarray(0, length)));
  }

  /** An answer is whole, and with it perhaps the lists around it. */
  #end(reply: Reply): void {
    let whole = reply;
    for (;;) {
      const list = this.#open.at(-1);
      if (list === undefined) break;
      list.items.push(whole);
      if (list.items.length < list.count) return;
      this.#open.pop();
      whole = list.items;
    }
    this.#items = this.#size = 0;
    if (this.#replies.length >= WAITING_MAX) throw tooLong();
    this.#replies.push(whole);
  }
}

function tooLong(): EngineError {
  return new EngineError("its answer is too long");
}

function otherProtocol(): EngineError {
  return new EngineError(
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

function numberIn(line: string): number {
  const number = Number(line);
  if (!/^-?\d{1,19}$/.test(line)) throw new EngineError("its answer is no number");
  return number;
}

/** One connection; commands are answered in their order. */
export class EngineConnection {
  readonly #connection: Deno.TcpConn | Deno.TlsConn;
  readonly #reader = new ReplyReader();
  readonly #chunk = new Uint8Array(65_536);
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
   * @param signal Gives up connecting.
   * @throws {EngineError} With what mends it.
   */
  static async open(address: EngineAddress, signal?: AbortSignal): Promise<EngineConnection> {
    const where = `${address.host}:${address.port}`;
    const secret = address.secret();
    const caCerts = address.tls ? authoritiesFor(address) : [];
    let plain: Deno.TcpConn;
    try {
      plain = await dial(address.host, address.port, signal === undefined ? {} : { signal });
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
      const reply = this.#reader.next();
      if (reply !== undefined) return reply;
      const count = await this.#connection.read(this.#chunk);
      if (count === null) throw new EngineError("the engine closed the connection");
      this.#reader.take(this.#chunk.subarray(0, count));
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
