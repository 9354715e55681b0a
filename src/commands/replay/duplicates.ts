/**
 * Keeps what is told twice from counting twice.
 *
 * Of a request that Asterisk refuses its security log says one line, and `messages` another; both
 * may be in one file, or in two that are replayed together. A line of `messages` is the same as a
 * security event when both are of the same address and the same part of Asterisk, not more than
 * {@linkcode SAME_MS} apart, and
 *
 * - of the same SIP Call-ID, if the line has one, and the same kind, or else
 * - of the same account, or one of them names none; the same kind is preferred.
 *
 * Each security event stands for one such line. Lines of two files are compared in the same way.
 *
 * @module
 */

import type { SecurityEvent, SecurityEventKind } from "../../ami/event.ts";
import { decoded } from "../../ami/notice_lines.ts";
import type { Told } from "./recording.ts";

/**
 * How far apart two lines of one request may be, in milliseconds: most lines say whole seconds, and
 * Asterisk hands security events from thread to thread.
 */
const SAME_MS = 2_000;

/** Events that are remembered before the first line that is none. */
const BEFORE_MAX = 256;

/** Lines that are remembered, or wait, at most: those of {@linkcode SAME_MS} in a flood. */
const REMEMBERED_MAX = 100_000;

/** What a line can be told of twice. */
const REFUSALS: ReadonlySet<SecurityEventKind> = new Set([
  "ChallengeResponseFailed",
  "InvalidPassword",
  "InvalidAccountID",
  "FailedACL",
  "InvalidTransport",
  "SessionLimit",
]);

/** Lines of one host that are remembered, and those of them that are compared. */
const HOST_LINES_MAX = 1024;
const COMPARED_MAX = 256;

/** A security event, or a line, that may be told once more. */
interface Line {
  readonly event: SecurityEvent;
  readonly told: Told;
  readonly at: number;
  readonly file: number;
}

/** Hands on what comes, but for what was told already. */
export class Duplicates {
  readonly #deliver: (event: SecurityEvent, told: Told, at: number) => void;
  readonly #files: number;
  /** By host. */
  readonly #recent = new Map<number | string, Line[]>();
  readonly #order: Line[] = [];
  #oldest = 0;
  /** Lines that wait for their security event, which may come behind them. */
  readonly #waiting: Line[] = [];
  #firstWaiting = 0;
  /** A line that is no security event has come. */
  #active: boolean;
  #now = 0;
  #dropped = 0;

  /**
   * @param deliver Takes what is told for the first time; a line may come up to
   *   {@linkcode SAME_MS} late.
   * @param files How many files are read: with several, security events may come twice as well.
   */
  constructor(
    deliver: (event: SecurityEvent, told: Told, at: number) => void,
    files: number,
  ) {
    this.#deliver = deliver;
    this.#files = files;
    this.#active = files > 1;
  }

  /** Lines that told of nothing new. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Takes what a line told.
   *
   * @param event Is valid during the call.
   * @param told How it was told.
   * @param at Its time, in milliseconds since 1970.
   * @param file Which file it is of.
   */
  take(event: SecurityEvent, told: Told, at: number, file: number): void {
    if (told === "security" || told === "doubled") {
      if (this.#active) {
        this.#advance(at);
        if (this.#files > 1 && this.#isKnown(event, at, file)) {
          this.#dropped++;
          return;
        }
      }
      if (this.#files > 1 || REFUSALS.has(event.kind)) {
        this.#keep({ event: event.copy(), told, at, file });
      }
      this.#deliver(event, told, at);
      return;
    }
    if (!this.#active) {
      this.#active = true;
      for (const one of this.#order.slice(this.#oldest)) this.#index(one);
    }
    this.#advance(at);
    this.#waiting.push({ event: event.copy(), told, at, file });
    if (this.#waiting.length - this.#firstWaiting > REMEMBERED_MAX) this.#settleFirst();
  }

  /** The input has ended. */
  finish(): void {
    this.#settle(Infinity);
  }

  #advance(at: number): void {
    if (at <= this.#now) return;
    this.#now = at;
    this.#settle(at - SAME_MS);
    const before = at - 3 * SAME_MS;
    while (this.#oldest < this.#order.length && this.#order[this.#oldest]!.at < before) {
      this.#forgetOldest();
    }
  }

  /** Decides on the lines that have waited since before a time. */
  #settle(before: number): void {
    while (
      this.#firstWaiting < this.#waiting.length && this.#waiting[this.#firstWaiting]!.at < before
    ) {
      this.#settleFirst();
    }
  }

  #settleFirst(): void {
    const line = this.#waiting[this.#firstWaiting++]!;
    if (this.#isTold(line)) {
      this.#dropped++;
    } else {
      if (this.#files > 1) this.#keep(line);
      this.#deliver(line.event, line.told, line.at);
    }
    if (this.#firstWaiting >= COMPARED_MAX && this.#firstWaiting * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#firstWaiting);
      this.#firstWaiting = 0;
    }
  }

  /** Whether something else tells of the same request; that then stands for this line. */
  #isTold(line: Line): boolean {
    const list = this.#recent.get(line.event.host) ?? [];
    let found = -1;
    for (let i = 0; i < list.length && i < COMPARED_MAX; i++) {
      if (!isSame(line, list[i]!)) continue;
      if (found < 0) found = i;
      if (list[i]!.event.kind !== line.event.kind) continue;
      found = i;
      break;
    }
    if (line.told !== "aside") {
      if (found >= 0) list.splice(found, 1);
      return found >= 0;
    }
    // The line that an aside belongs to comes behind it, and may still wait.
    return found >= 0 ||
      this.#waiting.slice(this.#firstWaiting, this.#firstWaiting + COMPARED_MAX)
        .some((other) => other.event.host === line.event.host && isSame(line, other));
  }

  /** Whether another file told the same security event. */
  #isKnown(event: SecurityEvent, at: number, file: number): boolean {
    const { type, port, session, host } = event;
    return (this.#recent.get(host) ?? []).some((other) =>
      other.file !== file && other.at === at && other.event.type === type &&
      other.event.port === port && other.event.session === session
    );
  }

  #keep(line: Line): void {
    this.#order.push(line);
    if (this.#active) this.#index(line);
    const most = this.#active ? REMEMBERED_MAX : BEFORE_MAX;
    if (this.#order.length - this.#oldest > most) this.#forgetOldest();
  }

  #index(line: Line): void {
    const list = this.#recent.get(line.event.host);
    if (list === undefined) this.#recent.set(line.event.host, [line]);
    else if (list.push(line) > HOST_LINES_MAX) list.shift();
  }

  #forgetOldest(): void {
    const oldest = this.#order[this.#oldest++]!;
    if (this.#oldest >= BEFORE_MAX && this.#oldest * 2 > this.#order.length) {
      this.#order.splice(0, this.#oldest);
      this.#oldest = 0;
    }
    const list = this.#recent.get(oldest.event.host);
    if (list === undefined) return;
    if (list[0] === oldest) list.shift();
    if (list.length === 0) this.#recent.delete(oldest.event.host);
  }
}

/** Whether two lines may be about one request. */
function isSame(line: Line, other: Line): boolean {
  const [a, b] = [line.event, other.event];
  if (other === line || Math.abs(other.at - line.at) > SAME_MS) return false;
  if (a.service !== b.service || !REFUSALS.has(b.kind)) return false;
  if (line.told === "aside") return b.kind === "FailedACL" && other.told !== "aside";
  const isLine = other.told !== "security" && other.told !== "doubled";
  // Two lines of one file are two requests.
  if (isLine && (other.file === line.file || other.told !== line.told)) return false;
  // The Call-ID of a dialled number's line is not known.
  if (a.service === "PJSIP" && line.told === "notice") {
    return a.session === b.session && a.kind === b.kind;
  }
  return a.account === "" || b.account === "" || decoded(a.account) === decoded(b.account);
}
