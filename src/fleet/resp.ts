/**
 * The protocol of Redis and Valkey (RESP2), and one connection that speaks it: bounded in what it
 * takes, and with a limit of time for each answer.
 *
 * @module
 */

import { dial, DialError } from "../ami/dial.ts";
import { closeAtOnce } from "../ami/transport.ts";
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

/** Most answers that wait to be read: a transaction has up to three commands for each change. */
const WAITING_MAX = 8_192;

/** What an answer may begin with: a text of one line, a refusal, a number, a text, a list. */
const PLUS = 43;
const MINUS = 45;
const COLON = 58;
const DOLLAR = 36;
const STAR = 42;
const KINDS: readonly number[] = [PLUS, MINUS, COLON, DOLLAR, STAR];

/** A longer number is refused: it would not be told exactly. */
const DIGITS_MAX = 15;

/** Most characters of a refusal that are shown: anybody may have written the server. */
const SHOWN_MAX = 160;

/** How long the TLS handshake, and the login, may take, in milliseconds. */
const HANDSHAKE_MS = 4_000;

/** How long an answer may take that need not wait for anything, in milliseconds. */
export const ANSWER_MS = 5_000;

const CR = 13;
const LF = 10;
const ZERO = 48;

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
 * Reads answers as their bytes come: each byte is looked at once, in whatever pieces it comes. What
 * is whole in one piece is read where it lies.
 */
export class ReplyReader {
  #replies: Reply[] = [];
  /** Lists that are not whole yet, the outermost first. */
  readonly #open: { readonly items: Reply[]; readonly count: number }[] = [];
  /** The line that is not whole yet, as far as its CR, and whether that has come. */
  #line: Uint8Array[] = [];
  #lineLength = 0;
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
   * @param bytes Some bytes; what is kept of them is copied.
   * @throws {EngineError} If they are no answer, or it is too long.
   */
  take(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#bulk !== undefined) at = this.#fill(this.#bulk, bytes, at);
      else if (this.#isAtEnd) {
        if (bytes[at++] !== LF) throw otherProtocol();
        const line = joined(this.#line, this.#lineLength);
        this.#line = [];
        this.#lineLength = 0;
        this.#isAtEnd = false;
        at = this.#header(line, 0, line.length, bytes, at);
      } else at = this.#takeLine(bytes, at);
    }
  }

  /** All answers that are whole and were not handed out yet, the oldest first. */
  all(): Reply[] {
    const replies = this.#replies;
    this.#replies = [];
    return replies;
  }

  /** Goes on with a text that has begun in an earlier piece. */
  #fill(bulk: Uint8Array, bytes: Uint8Array, from: number): number {
    const part = bytes.subarray(from, from + bulk.length - this.#filled);
    bulk.set(part, this.#filled);
    this.#filled += part.length;
    if (this.#filled === bulk.length) {
      this.#bulk = undefined;
      this.#endBulk(bulk, 0, bulk.length - 2);
    }
    return from + part.length;
  }

  /** Reads a line, or what has come of it. */
  #takeLine(bytes: Uint8Array, from: number): number {
    if (this.#lineLength === 0 && !KINDS.includes(bytes[from]!)) throw otherProtocol();
    let end = from;
    while (end < bytes.length && bytes[end] !== CR) end++;
    if (this.#lineLength + end - from > LINE_BYTES_MAX) throw tooLong();
    if (this.#lineLength === 0 && end + 1 < bytes.length) {
      if (bytes[end + 1] !== LF) throw otherProtocol();
      return this.#header(bytes, from, end, bytes, end + 2);
    }
    this.#line.push(bytes.slice(from, end));
    this.#lineLength += end - from;
    this.#isAtEnd = end < bytes.length;
    return end + (this.#isAtEnd ? 1 : 0);
  }

  /**
   * Reads a line that is whole, and the text that it announces, if that has come with it.
   *
   * @returns How far was read.
   */
  #header(line: Uint8Array, from: number, to: number, bytes: Uint8Array, next: number): number {
    switch (line[from]) {
      case PLUS:
        this.#end(decoder.decode(line.subarray(from + 1, to)));
        return next;
      case MINUS: {
        const text = decoder.decode(line.subarray(from + 1, to));
        this.#end(new ReplyError(escapeText(text, SHOWN_MAX)));
        return next;
      }
      case COLON:
        this.#end(numberIn(line, from + 1, to));
        return next;
      case DOLLAR: {
        const length = numberIn(line, from + 1, to);
        if (length < 0) this.#end(null);
        else return this.#beginBulk(length, bytes, next);
        return next;
      }
      default: {
        const count = numberIn(line, from + 1, to);
        if (count < 0) this.#end(null);
        else {
          this.#items += count;
          if (this.#items > ITEMS_MAX || this.#open.length > DEPTH_MAX) throw tooLong();
          if (count === 0) this.#end([]);
          else this.#open.push({ items: [], count });
        }
        return next;
      }
    }
  }

  #beginBulk(length: number, bytes: Uint8Array, from: number): number {
    this.#size += length;
    if (this.#size > REPLY_BYTES_MAX) throw tooLong();
    const end = from + length;
    if (end + 2 <= bytes.length) {
      this.#endBulk(bytes, from, end);
      return end + 2;
    }
    this.#bulk = new Uint8Array(length + 2);
    this.#filled = 0;
    return from;
  }

  #endBulk(bytes: Uint8Array, from: number, end: number): void {
    if (bytes[end] !== CR || bytes[end + 1] !== LF) throw otherProtocol();
    this.#end(decoder.decode(bytes.subarray(from, end)));
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

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
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

function numberIn(line: Uint8Array, from: number, to: number): number {
  const isNegative = line[from] === MINUS;
  const first = isNegative ? from + 1 : from;
  if (first >= to || to - first > DIGITS_MAX) throw noNumber();
  let number = 0;
  for (let at = first; at < to; at++) {
    const digit = line[at]! - ZERO;
    if (digit < 0 || digit > 9) throw noNumber();
    number = number * 10 + digit;
  }
  return isNegative ? -number : number;
}

function noNumber(): EngineError {
  return new EngineError("its answer is no number");
}

/** Closed connections that an engine which stands still has not let go yet. */
let unended = 0;

/** With so many no more are made. */
const UNENDED_MAX = 16;

/** One connection; commands are answered in their order. */
export class EngineConnection {
  readonly #connection: Deno.TcpConn | Deno.TlsConn;
  readonly #reader = new ReplyReader();
  readonly #chunk = new Uint8Array(65_536);
  #isClosed = false;
  /** Ends the exchange that is under way. */
  #giveUp: (error: EngineError) => void = () => {};
  /** What is under way, or was. */
  #talk: Promise<unknown> = Promise.resolve();
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
    if (unended >= UNENDED_MAX) {
      throw new EngineError(`${where}: ${unended} connections stand still`, adviceFor("slow"));
    }
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

  /** Ends it; what is under way fails at once, whatever the engine does. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#giveUp(new EngineError("the connection was closed"));
    // The runtime gives a socket back when the read that is under way ends, and no sooner.
    unended++;
    void this.#talk.catch(() => {}).finally(() => unended--);
    try {
      closeAtOnce(this.#connection);
    } catch {
      // It was closed by the other side.
    }
  }

  async #exchange(commands: readonly (readonly string[])[], ms: number): Promise<Reply[]> {
    if (this.#isClosed) throw new EngineError("the connection to the engine is closed");
    const over = Promise.withResolvers<never>();
    this.#giveUp = over.reject;
    const timer = setTimeout(
      () => over.reject(new EngineError(`no answer within ${ms / 1000} s`, adviceFor("slow"))),
      ms,
    );
    const talk = this.#talk = this.#talkOf(commands);
    try {
      return await Promise.race([talk, over.promise]);
    } catch (error) {
      this.close();
      if (error instanceof EngineError) throw error;
      throw new EngineError("the connection was lost");
    } finally {
      this.#giveUp = () => {};
      clearTimeout(timer);
    }
  }

  async #talkOf(commands: readonly (readonly string[])[]): Promise<Reply[]> {
    await this.#write(writeCommands(commands));
    const replies: Reply[] = [];
    while (replies.length < commands.length) {
      const count = await this.#connection.read(this.#chunk);
      if (count === null) throw new EngineError("the engine closed the connection");
      this.#reader.take(this.#chunk.subarray(0, count));
      replies.push(...this.#reader.all());
    }
    if (replies.length > commands.length) throw otherProtocol();
    return replies;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    let sent = 0;
    while (sent < bytes.length) sent += await this.#connection.write(bytes.subarray(sent));
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
  const plainAdvice = "fleet = redis://… if it speaks no TLS; or give it tls-port (redis.conf)";
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const why = `${where}: no answer to the TLS handshake within ${HANDSHAKE_MS / 1000} s`;
    late.reject(new EngineError(why, plainAdvice));
  }, HANDSHAKE_MS);
  unended++;
  const handshake = connection.handshake().finally(() => unended--);
  try {
    await Promise.race([handshake, late.promise]);
    return connection;
  } catch (error) {
    if (error instanceof EngineError) {
      handshake.catch(() => {}).finally(() => connection.close());
      throw error;
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
