/**
 * The last failures of each host, for whoever asks why it is blocked or about to be.
 *
 * @module
 */

import { EVENT_TYPES, type SecurityEvent } from "../ami/event.ts";
import { type Attempts, transportNumber, TRANSPORTS, TRANSPORTS_ROOM } from "./attempts.ts";
import type { FailedAttempt, FailedAttemptKind } from "./offence.ts";
import { Records } from "./records.ts";

/** Most failures of a host that are remembered; the oldest go first. */
export const FAILURES_MAX = 20;

/**
 * Most failures of all hosts that are remembered: four of each, if all hosts that there is room for
 * have failed. When there are more, a host's next one takes the place of its own oldest.
 */
export const ALL_FAILURES_MAX = 262_144;

/** No failure. */
const NONE = 0;

// The time and the numbers of a record; the first number is the store's own.
const AT = 0;
/** The one after it; of the newest, the oldest: they are a circle. */
const NEXT = 1;
/** Kind and service times {@linkcode TRANSPORTS_ROOM}, and transport. */
const TYPE = 2;
const POINTS = 3;

/** Hosts that there is room for at first. */
const SMALL = 1_024;

/** Failures by host (its record), in a bounded piece of memory. */
export class LastFailures {
  readonly #records = new Records({ times: 1, numbers: 4, room: ALL_FAILURES_MAX });
  /** Account of each, by record. */
  readonly #accounts: string[] = [""];
  /** The newest failure of each host, and how many are known of it, by the record of the host. */
  #newest = new Int32Array(SMALL);
  #counts = new Uint8Array(SMALL);
  #size = 0;

  /** Number of failures of all hosts. */
  get size(): number {
    return this.#size;
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
    const records = this.#records;
    const isAttempt = typeof from === "number";
    if (host >= this.#newest.length) this.#grow(host);
    const newest = this.#newest[host]!;
    const count = this.#counts[host]!;
    let failure = newest;
    if (count < FAILURES_MAX && this.#size < ALL_FAILURES_MAX) {
      failure = records.make();
      this.#size++;
      this.#counts[host] = count + 1;
      if (newest === NONE) records.set(failure, NEXT, failure);
      else {
        records.set(failure, NEXT, records.get(newest, NEXT));
        records.set(newest, NEXT, failure);
      }
    } else if (newest === NONE) return;
    else failure = records.get(newest, NEXT);
    this.#newest[host] = failure;
    records.setTime(failure, AT, now);
    records.set(
      failure,
      TYPE,
      isAttempt
        ? attempts.typeOf(from)
        : from.type * TRANSPORTS_ROOM + transportNumber(from.transport),
    );
    records.set(failure, POINTS, points);
    this.#accounts[failure] = isAttempt ? attempts.accountOf(from) : from.account;
  }

  /** The failures of a host that are known, the oldest first. */
  of(host: number): FailedAttempt[] {
    const count = this.#counts[host] ?? 0;
    const failures: FailedAttempt[] = [];
    let at = this.#newest[host] ?? NONE;
    for (let i = 0; i < count; i++) {
      at = this.#records.get(at, NEXT);
      failures.push(this.#read(at));
    }
    return failures;
  }

  /** The record of a host may be another's soon. */
  forget(host: number): void {
    const records = this.#records;
    let left = this.#counts[host] ?? 0;
    if (left === 0) return;
    this.#size -= left;
    for (let at = records.get(this.#newest[host]!, NEXT); left > 0; left--) {
      const next = records.get(at, NEXT);
      records.free(at);
      at = next;
    }
    this.#newest[host] = NONE;
    this.#counts[host] = 0;
  }

  #read(failure: number): FailedAttempt {
    const records = this.#records;
    const type = records.get(failure, TYPE);
    const { kind, service } = EVENT_TYPES[Math.floor(type / TRANSPORTS_ROOM)]!;
    return {
      at: records.time(failure, AT),
      what: whatOf(kind),
      service,
      transport: TRANSPORTS[type % TRANSPORTS_ROOM]!,
      account: this.#accounts[failure]!,
      points: records.get(failure, POINTS),
    };
  }

  #grow(host: number): void {
    const room = Math.max(2 * this.#newest.length, host + 1);
    const newest = new Int32Array(room);
    newest.set(this.#newest);
    this.#newest = newest;
    const counts = new Uint8Array(room);
    counts.set(this.#counts);
    this.#counts = counts;
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
