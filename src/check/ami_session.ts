/**
 * A short connection to AMI, to see what Asterisk answers and sends.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import { parseAddress } from "../address.ts";
import { EventReader } from "../ami/event_reader.ts";
import { latin1 } from "../ami/framer.ts";
import type { SecurityEvent } from "../ami/security_event.ts";

/** How long connecting may take, in milliseconds. */
export const CONNECT_MS = 5_000;

/** How long an answer may take, in milliseconds; Asterisk delays that to a wrong login by one second. */
export const ANSWER_MS = 10_000;

/** What Asterisk answered. */
export interface Answer {
  readonly success: boolean;
  readonly message: string;
  /** The line `Challenge: …`, if there is one. */
  readonly challenge: string | undefined;
}

/** What was seen of one security event. */
export interface SeenEvent {
  readonly kind: string;
  readonly service: string;
  readonly account: string;
  readonly address: string;
}

/** Something hindered the connection, in words. */
export class SessionError extends Error {
  override readonly name = "SessionError";
}

/**
 * One connection.
 *
 * @example
 * ```ts ignore
 * using session = await AmiSession.open("127.0.0.1", 5038);
 * const answer = await session.ask("Login", { Username: "ampere", Secret: "secret" });
 * ```
 */
export class AmiSession implements Disposable {
  readonly events: SeenEvent[] = [];
  /** Asterisk's first line. */
  banner: string | undefined;
  readonly #socket: Socket;
  readonly #reader: EventReader;
  #closed = false;
  #awaited: { id: string; resolve: (answer: Answer) => void } | undefined;
  /** Called after each read, and at the end. */
  #onRead = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#reader = new EventReader({
      event: (event) => this.#event(event),
      response: (buffer, start, end) => this.#response(latin1(buffer, start, end)),
      tampered: () => {},
      banner: (line) => this.banner = line,
    });
    socket.on("data", (chunk: Uint8Array) => {
      this.#reader.push(chunk);
      this.#reader.settle();
      this.#onRead();
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#onRead();
    });
  }

  /**
   * Connects.
   *
   * @param host name or address
   * @param port TCP port
   * @throws {SessionError} saying what hinders
   */
  static open(host: string, port: number): Promise<AmiSession> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port });
      const late = () => socket.destroy(new Error(`no answer within ${CONNECT_MS / 1000} s`));
      const limit = setTimeout(late, CONNECT_MS);
      const settled = () => clearTimeout(limit);
      socket.on("error", (error: Error) => {
        settled();
        reject(new SessionError(describe(error)));
      });
      socket.on("connect", () => {
        settled();
        resolve(new AmiSession(socket));
      });
    });
  }

  /** Address of the other side. */
  get remoteAddress(): string {
    return parseAddress(this.#socket.remoteAddress ?? "") ?? "an unknown address";
  }

  /**
   * Sends an action and waits for its answer.
   *
   * @param action its name
   * @param headers its further lines
   * @throws {SessionError} when there is no answer
   */
  async ask(action: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const id = crypto.randomUUID();
    const lines = [`Action: ${action}`, `ActionID: ${id}`];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    let answer: Answer | undefined;
    this.#awaited = { id, resolve: (given) => answer = given };
    this.#socket.write(lines.join("\r\n") + "\r\n\r\n");
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
   * @param holds what for
   * @param limitMs how long at most, in milliseconds
   * @returns whether it came
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
    this.#socket.destroy();
  }

  #event(event: SecurityEvent): void {
    const { kind, service, account, address } = event;
    this.events.push({ kind, service, account, address });
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

function describe(error: Error): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? WORDS[code] ?? code : error.message;
}

/** The host has no address; what is said about Asterisk does not apply then. */
const NAME_UNKNOWN = "its name is not known";
const NAME_UNKNOWN_NOW = "its name cannot be looked up at present";

/**
 * Whether an error of {@linkcode AmiSession.open} is about the name and not about what is at the address.
 *
 * @param error what was thrown
 */
export function isAboutName(error: SessionError): boolean {
  return error.message === NAME_UNKNOWN || error.message === NAME_UNKNOWN_NOW;
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to it",
  ENETUNREACH: "no route to it",
  ENOTFOUND: NAME_UNKNOWN,
  EAI_AGAIN: NAME_UNKNOWN_NOW,
  ETIMEDOUT: "no answer",
};
