/**
 * A short connection to AMI, to see what Asterisk answers and sends.
 *
 * @module
 */

import { parseAddress } from "../../address/address.ts";
import { DialError } from "../../ami/dial.ts";
import { EventReader } from "../../ami/event_reader.ts";
import { latin1 } from "../../ami/framer.ts";
import type { SecurityEvent } from "../../ami/event.ts";
import { closeAtOnce, type Destination, openConnection, TlsError } from "../../ami/transport.ts";

/**
 * How long an answer may take, in milliseconds; Asterisk delays that to a wrong login by one
 * second.
 */
const ANSWER_MS = 10_000;

/** Most names of events that are kept. */
const USER_EVENTS_MAX = 1_000;

/** What Asterisk answered. */
export interface Answer {
  readonly success: boolean;
  readonly message: string;
  /** The line `Challenge: …`, if there is one. */
  readonly challenge: string | undefined;
}

/** What was seen of one security event. */
interface SeenEvent {
  readonly kind: string;
  readonly service: string;
  readonly account: string;
  readonly address: string;
}

/** Something hindered the connection, in words. */
export class SessionError extends Error {
  override readonly name = "SessionError";
  /** It is about the name of the host; what is said about Asterisk does not apply then. */
  readonly aboutName: boolean;
  /** What mends it, if that is known so exactly; it is about TLS then. */
  readonly advice: string | undefined;

  constructor(message: string, aboutName = false, advice?: string) {
    super(message);
    this.aboutName = aboutName;
    this.advice = advice;
  }
}

/**
 * One connection.
 *
 * @example
 * ```ts ignore
 * using session = await AmiSession.open({ host: "127.0.0.1", port: 5038 });
 * const answer = await session.ask("Login", { Username: "ampere", Secret: "secret" });
 * ```
 */
export class AmiSession implements Disposable {
  readonly events: SeenEvent[] = [];
  /** Names of the events of class user. */
  readonly userEvents = new Set<string>();
  /** Asterisk's first line. */
  banner: string | undefined;
  readonly #connection: Deno.TcpConn | Deno.TlsConn;
  readonly #reader: EventReader;
  #closed = false;
  #awaited: { id: string; resolve: (answer: Answer) => void } | undefined;
  /** Called after each read, and at the end. */
  #onRead = () => {};

  private constructor(connection: Deno.TcpConn | Deno.TlsConn) {
    this.#connection = connection;
    this.#reader = new EventReader({
      event: (event) => this.#event(event),
      response: (buffer, start, end) => this.#response(latin1(buffer, start, end)),
      tampered: () => {},
      other: (buffer, start, end) => this.#other(latin1(buffer, start, end)),
      banner: (line) => this.banner = line,
    });
    void this.#read();
  }

  /**
   * Connects, by the same code as the daemon.
   *
   * @param destination Where to, and how.
   * @throws {SessionError} Saying what hinders.
   */
  static async open(destination: Destination): Promise<AmiSession> {
    try {
      return new AmiSession(await openConnection(destination));
    } catch (error) {
      if (error instanceof TlsError) throw new SessionError(error.message, false, error.advice);
      if (!(error instanceof DialError)) throw error;
      throw new SessionError(error.message, error.aboutName);
    }
  }

  /** Address of the other side. */
  get remoteAddress(): string {
    const { remoteAddr } = this.#connection;
    return parseAddress("hostname" in remoteAddr ? remoteAddr.hostname : "") ??
      "an unknown address";
  }

  /**
   * Sends an action and waits for its answer.
   *
   * @param action Its name.
   * @param headers Its further lines.
   * @throws {SessionError} When there is no answer.
   */
  async ask(action: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const id = crypto.randomUUID();
    const lines = [`Action: ${action}`, `ActionID: ${id}`];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    let answer: Answer | undefined;
    this.#awaited = { id, resolve: (given) => answer = given };
    void this.#write(new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n"));
    await this.waitFor(() => answer !== undefined || this.#closed, ANSWER_MS);
    if (answer !== undefined) return answer;
    throw new SessionError(
      this.#closed
        ? "the connection was closed before it was answered"
        : `no answer within ${ANSWER_MS / 1000} s`,
    );
  }

  /**
   * Waits.
   *
   * @param holds What for.
   * @param limitMs How long at most, in milliseconds.
   * @returns Whether it came.
   */
  waitFor(holds: () => boolean, limitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (held: boolean) => {
        clearTimeout(limit);
        this.#onRead = () => {};
        resolve(held);
      };
      const limit = setTimeout(() => done(holds()), limitMs);
      this.#onRead = () => holds() && done(true);
      this.#onRead();
    });
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    this.#end();
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const count = await this.#connection.read(this.#reader.space());
        if (count === null || this.#closed) break;
        this.#reader.commit(count);
        this.#reader.flushWithheld();
        this.#onRead();
      }
    } catch {
      // Broken is as good as closed.
    }
    this.#end();
    this.#onRead();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    } catch {
      this.#end();
      this.#onRead();
    }
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeAtOnce(this.#connection);
  }

  #event(event: SecurityEvent): void {
    const { kind, service, account, address } = event;
    this.events.push({ kind, service, account, address });
  }

  #other(text: string): void {
    const name = /^UserEvent: ([\w-]{1,80})\r$/m.exec(text)?.[1];
    if (name !== undefined && this.userEvents.size < USER_EVENTS_MAX) this.userEvents.add(name);
  }

  #response(text: string): void {
    const lines = text.split("\r\n");
    const awaited = this.#awaited;
    if (awaited === undefined || !lines.includes(`ActionID: ${awaited.id}`)) return;
    this.#awaited = undefined;
    const value = (name: string) =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    awaited.resolve({
      success: lines[0] === "Response: Success",
      message: value("Message") ?? "no reason given",
      challenge: value("Challenge"),
    });
  }
}
