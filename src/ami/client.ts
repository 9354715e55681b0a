/**
 * The connection to Asterisk's Manager Interface: login, keep-alive, reconnect.
 *
 * @module
 */

import { type Clock, sleep, systemClock } from "../clock.ts";
import { CONNECT_MS, DialError } from "./dial.ts";
import { EventReader, type EventReaderHandlers } from "./event_reader.ts";
import { latin1 } from "./framer.ts";
import { closeAtOnce, type Destination, openConnection, SILENT, TlsError } from "./transport.ts";
import { writeAll } from "../text/write_all.ts";

/** How long Asterisk may take to answer an action, in milliseconds. */
export const ANSWER_MS = 10_000;

/**
 * After this long without a byte from Asterisk it is asked whether it is there, in milliseconds.
 */
export const PING_AFTER_MS = 15_000;

/** Shortest and longest time between two attempts to log in, in milliseconds. */
const RETRY_FIRST_MS = 1_000;
export const RETRY_MAX_MS = 60_000;

/**
 * Longest time between two looks whether the port is open again, in milliseconds: they cost
 * nothing, and protection waits.
 */
export const PORT_RETRY_MAX_MS = 1_500;

/**
 * How long the rest of a write of Asterisk may be under way, in milliseconds. Asterisk writes an
 * event in one call (`manager.c`, `send_string`), so it arrives in one piece or the pieces follow
 * each other within microseconds.
 */
const QUIET_MS = 10;

/**
 * When what one read brought took so long, in milliseconds, the next read waits a moment. As long
 * as there is something to read, Deno's event loop (tokio, `event_interval`) asks the system only
 * once in 61 turns what else has happened, for example whether a firewall command has ended, and
 * turns in which many hosts are blocked are long.
 */
const LONG_TURN_MS = 4;

/** Longest answer of the server that is shown to the administrator, in characters. */
const MESSAGE_CHARACTERS_MAX = 120;

/** The stream of bytes to and from a server; `Deno.TcpConn` is one. */
export interface Connection {
  /** Reads some bytes into the array; `null` at the end of the stream. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes, and tells how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends both directions. */
  close(): void;
}

/** Where to log in, and as whom. */
interface Login extends Destination {
  /** The manager user. */
  readonly user: string;
  /** Its secret. */
  readonly pass: string;
}

/** What opens a connection is told, and tells. */
interface Opening {
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Takes all addresses of the server. */
  readonly resolved: (addresses: readonly string[]) => void;
}

/** What the {@linkcode AmiClient} tells, besides the events. */
interface AmiClientHandlers extends Omit<EventReaderHandlers, "response" | "isListed" | "banner"> {
  /** Something was read: Asterisk is there. */
  heard?(): void;
  /** All that one read brought has been handed on, or what was withheld. */
  batch?(): void;
  /** Logged in: events arrive from now on. `banner` is Asterisk's first line. */
  connected(banner: string): void;
  /** The connection ended, or could not be made; told once for each cause in a row. */
  disconnected(why: string): void;
  /** The addresses of the server were looked up: all of them, before one is connected to. */
  peers?(addresses: readonly string[]): void;
}

/** Asterisk refused the user name or the password. */
export class LoginRefusedError extends Error {
  /** Name of the error. */
  override readonly name = "LoginRefusedError";
}

/** Something ended the connection, in words for an administrator. */
class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** The port did not answer: looking again costs nothing. */
  readonly portClosed: boolean;
  constructor(message: string, portClosed = false) {
    super(message);
    this.portClosed = portClosed;
  }
}

const CLOSED_EARLY = "the server closed the connection before the login was answered";

/** The line that tells to which action an answer belongs. */
const ACTION_ID = "ActionID: ";

/** Most entries of a list that are kept. */
const LIST_ENTRIES_MAX = 20_000;

/** The headers of an entry of a list, `Event` among them. */
type ListEntry = ReadonlyMap<string, string>;

/**
 * What Asterisk says to an action.
 *
 * - `success`: with the entries, if it is a list.
 * - `refused`: `message` is Asterisk's reason.
 * - `none`: no complete answer within {@linkcode ANSWER_MS}, or the connection has ended.
 */
export type Answer =
  | { readonly outcome: "success"; readonly entries: readonly ListEntry[] }
  | { readonly outcome: "refused"; readonly message: string }
  | { readonly outcome: "none" };

const NO_ANSWER: Answer = { outcome: "none" };

/** An action that Asterisk has not answered yet. */
interface PendingAction {
  /** What it has listed so far; `undefined`: the first block is the whole answer. */
  readonly entries: ListEntry[] | undefined;
  readonly done: (answer: Answer) => void;
  /** Ends the time limit. */
  readonly cancel: () => void;
}

/** Options of {@linkcode AmiClient}; for tests. */
export interface AmiClientOptions {
  /** Time and timers; default: the machine's. */
  clock?: Clock;
  /** Opens the connection. */
  connect?: (login: Login, opening: Opening) => Promise<Connection>;
  /** Also the first refusal of the login is tried again. */
  persistent?: boolean;
  /** A number in [0, 1), for jitter. */
  random?: () => number;
  /** Makes an id for an action that nobody outside can guess. */
  actionId?: () => string;
}

/**
 * A connection to AMI that is kept up.
 *
 * @example
 * ```ts
 * const client = new AmiClient({ host: "127.0.0.1", port: 5038, user: "ampere", pass: "secret" }, {
 *   event: (event) => console.log(event.kind, event.address),
 *   tampered: (what) => console.warn(what),
 *   connected: (banner) => console.log(banner),
 *   disconnected: (why) => console.warn(why),
 * });
 * await client.run(new AbortController().signal);
 * ```
 */
export class AmiClient {
  readonly #login: Login;
  readonly #handlers: AmiClientHandlers;
  readonly #clock: Clock;
  readonly #open: (login: Login, opening: Opening) => Promise<Connection>;
  readonly #random: () => number;
  readonly #actionId: () => string;
  #connection: Connection | undefined;
  #banner: string | undefined;
  /** The actions that wait for an answer, by their id. */
  readonly #pending = new Map<string, PendingAction>();
  /**
   * All lists that this connection has asked for: what comes late belongs to one of them, and is
   * nobody's business.
   */
  readonly #listIds = new Set<string>();
  #loggedIn = false;
  #everLoggedIn = false;
  #connectedSince: number | undefined;
  #lastCause = "";
  #lastByteAt = 0;
  #reads = 0;
  #flushing = false;

  /**
   * A client that is not connected yet; see {@linkcode AmiClient.run}.
   *
   * @param login Where to log in, and as whom.
   * @param handlers Take what Asterisk says.
   * @param options For tests.
   */
  constructor(login: Login, handlers: AmiClientHandlers, options: AmiClientOptions = {}) {
    this.#login = login;
    this.#handlers = handlers;
    this.#clock = options.clock ?? systemClock;
    this.#open = options.connect ?? open;
    this.#everLoggedIn = options.persistent ?? false;
    this.#random = options.random ?? Math.random;
    this.#actionId = options.actionId ?? (() => crypto.randomUUID());
  }

  /** Clock value since which events arrive, in milliseconds; `undefined` when they do not. */
  get connectedSince(): number | undefined {
    return this.#connectedSince;
  }

  /**
   * Connects and stays connected until the signal is given.
   *
   * @param signal Ends it.
   * @throws {LoginRefusedError} When Asterisk refuses the login before any login has succeeded.
   */
  async run(signal: AbortSignal): Promise<void> {
    let failing: { readonly since: number; readonly portClosed: boolean } | undefined;
    while (!signal.aborted) {
      try {
        await this.#connectOnce(signal, () => failing = undefined);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof LoginRefusedError && !this.#everLoggedIn) throw error;
        if (!(error instanceof ConnectionError) && !(error instanceof LoginRefusedError)) {
          throw error;
        }
        if (this.#lastCause !== error.message) {
          this.#lastCause = error.message;
          this.#handlers.disconnected(error.message);
        }
        const portClosed = error instanceof ConnectionError && error.portClosed;
        // What fails once the port is open again has not failed for as long as it was closed.
        if (failing?.portClosed !== portClosed) {
          failing = { since: this.#clock.now(), portClosed };
        }
        const most = portClosed ? PORT_RETRY_MAX_MS : RETRY_MAX_MS;
        await sleep(this.#clock, this.#retryDelay(failing.since, most), signal);
      }
    }
  }

  /**
   * A quarter of the time that it has failed already, so that nobody is away much longer than
   * necessary; and jitter.
   */
  #retryDelay(failingSince: number, most: number): number {
    const delay = Math.max(RETRY_FIRST_MS, (this.#clock.now() - failingSince) / 4);
    return Math.min(most, delay * (1 + 0.25 * this.#random()));
  }

  async #connectOnce(signal: AbortSignal, loggedIn: () => void): Promise<void> {
    const connection = await this.#connect(signal);
    const ended = Promise.withResolvers<never>();
    // A reader of its own: see #read.
    const reader = new EventReader({
      ...this.#handlers,
      response: (buffer, start, end) => this.#answered(latin1(buffer, start, end)),
      isListed: (buffer, start, end) => this.#isListed(buffer, start, end),
      banner: (line) => this.#banner = line,
    });
    const stop = () => ended.reject(new ConnectionError("stopped"));
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    this.#connection = connection;
    this.#listIds.clear();
    this.#banner = undefined;
    this.#loggedIn = false;
    this.#lastByteAt = this.#clock.now();
    const cancelWatch = this.#watch(ended.reject);
    const reading = new AbortController();
    try {
      this.#sendLogin(ended.reject, loggedIn);
      await Promise.race([
        ended.promise,
        this.#read(connection, reader, ended.reject, reading.signal),
      ]);
    } finally {
      reading.abort();
      cancelWatch();
      signal.removeEventListener("abort", stop);
      this.#connection = undefined;
      for (const id of [...this.#pending.keys()]) this.#finish(id, NO_ANSWER);
      this.#connectedSince = undefined;
      reader.end();
      this.#handlers.batch?.();
      connection.close();
    }
  }

  /**
   * Reads until the connection ends. A read that is under way when the connection is closed is not
   * ended by Deno 2.8 and may still bring bytes; they go to a reader that nobody listens to any
   * more.
   */
  async #read(
    connection: Connection,
    reader: EventReader,
    end: (error: ConnectionError) => void,
    stopped: AbortSignal,
  ): Promise<never> {
    for (;;) {
      let count: number | null;
      try {
        count = await connection.read(reader.space());
      } catch (error) {
        throw new ConnectionError(
          `the connection to ${this.#where} broke: ${reasonOf(error)}${this.#ifSilent()}`,
        );
      }
      if (stopped.aborted) throw new ConnectionError("stopped");
      if (count === null) {
        throw new ConnectionError(
          this.#loggedIn ? "Asterisk closed the connection" : CLOSED_EARLY + this.#ifSilent(),
        );
      }
      const readAt = this.#lastByteAt = this.#clock.now();
      this.#reads++;
      this.#handlers.heard?.();
      reader.commit(count);
      this.#handlers.batch?.();
      this.#checkBanner(end);
      if (!this.#flushing) this.#flushLater(reader, stopped);
      if (this.#clock.now() - readAt >= LONG_TURN_MS) await sleep(this.#clock, 0);
    }
  }

  get #where(): string {
    return `${this.#login.host}:${this.#login.port}`;
  }

  async #connect(signal: AbortSignal): Promise<Connection> {
    const late = new AbortController();
    const opening = this.#open(this.#login, {
      signal: late.signal,
      resolved: (addresses) => this.#handlers.peers?.(addresses),
    }).then((connection) => {
      if (late.signal.aborted) connection.close();
      return connection;
    });
    const timeout = sleep(this.#clock, CONNECT_MS, signal).then(() => {
      late.abort();
      return undefined;
    });
    try {
      const connection = await Promise.race([opening, timeout]);
      if (connection !== undefined) return connection;
      opening.catch(() => {});
      throw new ConnectionError(
        `no answer from ${this.#where}: is Asterisk running, and may this host reach it?`,
        true,
      );
    } catch (error) {
      if (error instanceof ConnectionError) throw error;
      if (error instanceof TlsError) {
        throw new ConnectionError(
          `no TLS with ${this.#where}: ${error.message}. Fix: ${error.advice}`,
        );
      }
      throw new ConnectionError(
        `cannot connect to ${this.#where}: ${reasonOf(error)}. ` +
          (error instanceof DialError && error.aboutName
            ? 'Correct "host", or write the address in the place of the name'
            : "Is Asterisk running, with enabled = yes and this port in manager.conf?"),
        true,
      );
    }
  }

  #sendLogin(end: (error: Error) => void, loggedIn: () => void): void {
    const { user, pass } = this.#login;
    // Only the classes that matter, however much the user may read.
    const headers = { Username: user, Secret: pass, Events: "security,system,user" };
    this.#ask("Login", headers, end, (answer) => {
      if (answer.outcome === "refused") {
        return end(
          new LoginRefusedError(
            `Asterisk at ${this.#where} refused the login of user "${user}": ${answer.message}. ` +
              `Compare user and pass with manager.conf, and its permit/deny lines with this host's address`,
          ),
        );
      }
      this.#loggedIn = true;
      this.#everLoggedIn = true;
      this.#connectedSince = this.#clock.now();
      this.#lastCause = "";
      loggedIn();
      this.#handlers.connected(this.#banner ?? "");
    });
  }

  /**
   * Sends an action without which the connection is of no use: when there is no answer it is ended.
   */
  #ask(
    action: string,
    headers: Readonly<Record<string, string>>,
    end: (error: ConnectionError) => void,
    done: (answer: Answer) => void,
  ): void {
    this.#send(action, headers, undefined, (answer) => {
      if (answer.outcome !== "none") return done(answer);
      end(
        new ConnectionError(`${this.#where} did not answer ${action} within ${ANSWER_MS / 1000} s`),
      );
    }, (error) => {
      end(new ConnectionError(`the connection to ${this.#where} broke: ${reasonOf(error)}`));
    });
  }

  /**
   * Asks for a list. It is no reason to end the connection when there is none.
   *
   * @param action The action.
   * @param headers Its further headers: no line ends.
   * @returns Its entries, or why there are none.
   */
  list(action: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    if (!this.#loggedIn || this.#connection === undefined) return Promise.resolve(NO_ANSWER);
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#listIds.add(this.#send(action, headers, [], resolve));
    return promise;
  }

  /**
   * Asks for a single answer; the same otherwise.
   *
   * @param action The action.
   * @param headers Its further headers: no line ends.
   * @returns The answer's lines as the only entry, or why there is none.
   */
  query(action: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    if (!this.#loggedIn || this.#connection === undefined) return Promise.resolve(NO_ANSWER);
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#send(action, headers, undefined, resolve);
    return promise;
  }

  /**
   * Sends an action; its id. If it can't be written the connection is `broken`, and there is no
   * answer.
   */
  #send(
    action: string,
    headers: Readonly<Record<string, string>>,
    entries: ListEntry[] | undefined,
    done: (answer: Answer) => void,
    broken: (error: unknown) => void = () => {},
  ): string {
    const id = this.#actionId();
    const cancel = this.#clock.after(ANSWER_MS, () => this.#finish(id, NO_ANSWER));
    this.#pending.set(id, { entries, done, cancel });
    writeAll(this.#connection!, printAction(action, id, headers)).catch((error) => {
      broken(error);
      this.#finish(id, NO_ANSWER);
    });
    return id;
  }

  #finish(id: string, answer: Answer): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.cancel();
    pending.done(answer);
  }

  /**
   * Entries of lists have no Privilege: what tells them from a stranger's text is the id of our
   * action, in the second line.
   */
  #isListed(buffer: Uint8Array, start: number, end: number): boolean {
    if (this.#listIds.size === 0) return false;
    const second = latin1(buffer, start, end).split("\r\n", 2)[1] ?? "";
    return second.startsWith(ACTION_ID) && this.#listIds.has(second.slice(ACTION_ID.length));
  }

  /** An answer counts only with the id of our action, which no stranger can know. */
  #answered(text: string): void {
    const lines = text.split("\r\n");
    for (const [id, { entries }] of this.#pending) {
      // Answers to a login may have further lines before it.
      const isIts = entries === undefined
        ? lines.includes(ACTION_ID + id)
        : lines[1] === ACTION_ID + id;
      if (!isIts) continue;
      if (entries !== undefined && lines[0]!.startsWith("Event: ")) {
        if (!lines.includes("EventList: Complete")) return takeEntry(entries, lines);
        return this.#finish(id, { outcome: "success", entries });
      }
      if (lines[0] !== "Response: Success") {
        return this.#finish(id, { outcome: "refused", message: messageOf(lines) });
      }
      // Of a list this is the beginning.
      if (entries !== undefined) return;
      const own: ListEntry[] = [];
      takeEntry(own, lines);
      return this.#finish(id, { outcome: "success", entries: own });
    }
  }

  /** What may be wrong with a port that ends a connection in plain text without a word. */
  #ifSilent(): string {
    return this.#banner === undefined && this.#login.tls === undefined ? `. Fix: ${SILENT}` : "";
  }

  #checkBanner(end: (error: ConnectionError) => void): void {
    const banner = this.#banner;
    if (banner === undefined || banner.startsWith("Asterisk Call Manager/")) return;
    end(
      new ConnectionError(
        `${this.#where} is not an Asterisk Manager Interface: it begins with "${
          banner.slice(0, 40)
        }". Check host and port`,
      ),
    );
  }

  /** Asks a silent server whether it is there. */
  #watch(end: (error: ConnectionError) => void): () => void {
    let cancel = () => {};
    const look = () => {
      const silent = this.#clock.now() - this.#lastByteAt;
      let next = PING_AFTER_MS - silent;
      if (next <= 0) {
        next = PING_AFTER_MS;
        if (this.#loggedIn && this.#pending.size === 0) this.#ask("Ping", {}, end, () => {});
      }
      cancel = this.#clock.after(next, look);
    };
    cancel = this.#clock.after(PING_AFTER_MS, look);
    return () => cancel();
  }

  /** Sees to it that withheld events are handed on when nothing follows them. */
  #flushLater(reader: EventReader, stopped: AbortSignal): void {
    const { withheld } = reader;
    if (withheld === "nothing") return;
    this.#flushing = true;
    const reads = this.#reads;
    const flush = () => {
      this.#flushing = false;
      if (stopped.aborted) return;
      // Bytes that came meanwhile have their own turn.
      if (this.#reads !== reads) return this.#flushLater(reader, stopped);
      reader.flushWithheld();
      this.#handlers.batch?.();
    };
    if (withheld === "until next turn") this.#clock.soon(flush);
    else this.#clock.after(QUIET_MS, flush);
  }
}

async function open(login: Login, opening: Opening): Promise<Connection> {
  const connection = await openConnection(login, opening);
  return {
    read: (into) => connection.read(into),
    write: (bytes) => connection.write(bytes),
    close: () => closeAtOnce(connection),
  };
}

/** An action as Asterisk reads it. */
function printAction(
  action: string,
  id: string,
  headers: Readonly<Record<string, string>>,
): Uint8Array {
  const lines = [
    `Action: ${action}`,
    `ActionID: ${id}`,
    ...Object.entries(headers).map(([key, value]) => `${key}: ${value}`),
  ];
  return new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
}

/** Takes one entry of a list. */
function takeEntry(entries: ListEntry[], lines: readonly string[]): void {
  const entry = new Map<string, string>();
  for (const line of lines) {
    const [, key, value] = /^([^:]*): ?(.*)$/s.exec(line) ?? [];
    if (key === undefined) continue;
    // No entry of Asterisk has two lines of a name: somebody has written into it.
    if (entry.has(key)) return;
    entry.set(key, value!);
  }
  if (entries.length < LIST_ENTRIES_MAX) entries.push(entry);
}

/** Why Asterisk refuses, in its words. */
function messageOf(lines: readonly string[]): string {
  const line = lines.find((line) => line.startsWith("Message: "));
  return line?.slice("Message: ".length, "Message: ".length + MESSAGE_CHARACTERS_MAX) ??
    "no reason given";
}

function reasonOf(error: unknown): string {
  return error instanceof Error
    ? error.message.replace(/\(os error \d+\)/, "").trim() || error.name
    : String(error);
}
