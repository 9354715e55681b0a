/**
 * The last failures of each host, for whoever asks why it is blocked or about to be.
 *
 * @module
 */

import { EVENT_TYPES, type SecurityEvent } from "../ami/event.ts";
import { type Attempts, transportNumber, TRANSPORTS, TRANSPORTS_ROOM } from "./attempts.ts";
import type { FailedAttempt, FailedAttemptKind } from "./offence.ts";

/** Most failures of a host that are remembered; the oldest go first. */
export const FAILURES_MAX = 20;

/**
 * Most failures of all hosts that are remembered, a power of two: four of each, if all hosts that
 * there is room for have failed. Then each new one takes the place of the oldest of all.
 */
export const ALL_FAILURES_MAX = 262_144;

/** No failure. */
const NONE = 0;

/** Hosts that there is room for at first. */
const SMALL = 1_024;

/** Names of accounts that there is room for in one piece, a power of two. */
const PAGE = 4_096;

/** Points and kind of a failure are one number: the kind times this. */
const POINTS_END = 256;

/**
 * Failures by host (its record), in a bounded piece of memory. They are numbered in the order in
 * which they came, modulo 2^32, and lie one behind the other in a circle: to note one is to write
 * at one place, whoever it is of.
 */
export class LastFailures {
  readonly #times = new Float64Array(ALL_FAILURES_MAX);
  /** What it was: kind, service and transport times {@linkcode POINTS_END}, and points. */
  readonly #whats = new Int32Array(ALL_FAILURES_MAX);
  /** The number of the failure of the same host before. */
  readonly #before = new Int32Array(ALL_FAILURES_MAX);
  /** Account of each; a piece is made when it is needed. */
  readonly #accounts: string[][] = [];
  /** The number of the newest failure of each host, by its record. */
  #newest = new Int32Array(SMALL);
  /** The number of the newest of all. */
  #last: number;

  /**
   * No failure yet.
   *
   * @param last The number that comes before the first one's.
   */
  constructor(last = NONE) {
    this.#last = last | 0;
  }

  /**
   * A host is charged.
   *
   * @param host Its record.
   * @param from What it has done: an event, or an attempt that was left unanswered.
   * @param attempts Where that is known.
   * @param points What it costs.
   * @param now Clock value, in milliseconds.
   */
  note(
    host: number,
    from: SecurityEvent | number,
    attempts: Attempts,
    points: number,
    now: number,
  ): void {
    if (host >= this.#newest.length) this.#grow(host);
    let failure = (this.#last + 1) | 0;
    if (failure === NONE) failure = 1;
    this.#last = failure;
    const place = failure & ALL_FAILURES_MAX - 1;
    this.#before[place] = this.#newest[host]!;
    this.#newest[host] = failure;
    this.#times[place] = now;
    let what: number;
    let account: string;
    if (typeof from === "number") {
      what = attempts.typeOf(from);
      account = attempts.accountOf(from);
    } else {
      what = from.type * TRANSPORTS_ROOM + transportNumber(from.transport);
      account = from.account;
    }
    this.#whats[place] = what * POINTS_END + points;
    const page = place / PAGE | 0;
    if (page >= this.#accounts.length) this.#addPages(page);
    this.#accounts[page]![place & PAGE - 1] = account;
  }

  /** The failures of a host that are known, the oldest first. */
  of(host: number): FailedAttempt[] {
    const failures: FailedAttempt[] = [];
    let failure = this.#newest[host] ?? NONE;
    while (failure !== NONE && this.#isKnown(failure) && failures.length < FAILURES_MAX) {
      const place = failure & ALL_FAILURES_MAX - 1;
      failures.push(this.#read(place));
      failure = this.#before[place]!;
    }
    return failures.reverse();
  }

  /** The record of a host may be another's soon. */
  forget(host: number): void {
    if (host < this.#newest.length) this.#newest[host] = NONE;
  }

  /** Whether no other failure has taken its place. */
  #isKnown(failure: number): boolean {
    return (this.#last - failure) >>> 0 < ALL_FAILURES_MAX;
  }

  #read(place: number): FailedAttempt {
    const what = this.#whats[place]!;
    const type = Math.floor(what / POINTS_END);
    const { kind, service } = EVENT_TYPES[Math.floor(type / TRANSPORTS_ROOM)]!;
    return {
      at: this.#times[place]!,
      what: whatOf(kind),
      service,
      transport: TRANSPORTS[type % TRANSPORTS_ROOM]!,
      account: this.#accounts[place / PAGE | 0]![place & PAGE - 1]!,
      points: what % POINTS_END,
    };
  }

  #grow(host: number): void {
    const newest = new Int32Array(Math.max(2 * this.#newest.length, host + 1));
    newest.set(this.#newest);
    this.#newest = newest;
  }

  #addPages(page: number): void {
    while (this.#accounts.length <= page) this.#accounts.push(new Array(PAGE).fill(""));
  }
}

/** What an event was charged as. */
function whatOf(kind: (typeof EVENT_TYPES)[number]["kind"]): FailedAttemptKind {
  switch (kind) {
    case "ChallengeSent":
      return "unanswered challenge";
    case "ChallengeResponseFailed":
    case "InvalidPassword":
    case "RefusedMessage":
      return "wrong password";
    case "RequestNotAllowed":
    case "RequestBadFormat":
      return "bad request";
    case "Reported":
      return "report";
    default:
      return "refused";
  }
}
