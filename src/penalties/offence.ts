/**
 * What an offence is: a host has gone too far.
 *
 * @module
 */

import type { Service, Transport } from "../ami/event.ts";

/** A host that has gone too far. */
export interface Offence {
  /** What to block: an address, or a network of `ipv6Prefix`. */
  readonly target: string;
  /** The address of the last attempt. */
  readonly address: string;
  /** Service of the last attempt. */
  readonly service: Service;
  /** Transport of the last attempt. */
  readonly transport: Transport;
  /** The account of the last attempt, as the stranger wrote it: escape it before printing. */
  readonly account: string;
  /** Points that it had in the end. */
  readonly points: number;
  /** Points at which it is blocked. */
  readonly limit: number;
  /** What the offence rests on, which decides how long the block may last. */
  readonly grounds: Grounds;
  /**
   * How many short blocks of this kind came before in a row: in doubt ({@linkcode isDoubt}), of
   * good standing (of insiders too) and of a shared network, or for a guarded account.
   */
  readonly row: number;
  /** Why it had one attempt instead of `loyalty`, if so. */
  readonly strict?: string;
  /**
   * The accounts of PJSIP that it failed on, if each failed in a session of its own: it may be an
   * office where several phones have wrong passwords, which nothing tells from a guesser. As the
   * stranger wrote them.
   */
  readonly apart?: readonly string[];
  /**
   * It may be blocked already, for a short time and a guarded account: now it has gone too far by
   * itself.
   */
  readonly renews?: boolean;
  /**
   * The limit was reached by attempts alone whose address can't be forged; see
   * {@linkcode SecurityEvent.provesPath}.
   */
  readonly proven: boolean;
  /** What it was charged for. */
  readonly tally: Tally;
  /** The last of that, the oldest first. */
  readonly last: readonly FailedAttempt[];
  /** Clock value of the first attempt that counted, in milliseconds. */
  readonly firstAt: number;
  /** Clock value of the decision, in milliseconds. */
  readonly at: number;
}

/**
 * What an offence rests on; the first that holds.
 *
 * - `good standing`: the host logged in with a password within the credit; it belongs here.
 * - `shared network`: an IPv6 network that holds somebody in good standing, or trusted.
 * - `guarded account`: it failed on an account that many strangers fail on; once is enough.
 * - `insider`: it belongs here, and failed on accounts that are not its own again and again.
 * - `slow guesses`: over days or weeks, each time after its points were forgotten.
 * - `slow account`: the same, always on the same account: so does a phone with a wrong password
 *   that is switched on once a day.
 * - `unanswered`: without its unanswered challenges, which test no password, it would not have
 *   reached the limit.
 * - `single session`: all its wrong answers came in one session. A phone with a wrong password does
 *   that.
 * - `two phones`: they came in two sessions, each of them of an account of its own. Two phones with
 *   wrong passwords do that.
 * - `attempts`: several sessions.
 */
export type Grounds =
  | "good standing"
  | "shared network"
  | "guarded account"
  | "insider"
  | "slow guesses"
  | "slow account"
  | "unanswered"
  | "single session"
  | "two phones"
  | "attempts";

/** Whether an offence may be that of phones with wrong passwords which nobody knows yet. */
export function isDoubt(grounds: Grounds): boolean {
  return grounds === "single session" || grounds === "two phones";
}

/** What was wrong with a failed attempt, in the words of a person. */
export type FailedAttemptKind =
  | "wrong password"
  | "unanswered challenge"
  | "refused"
  | "bad request"
  | "report";

/** Something that a host was charged for. */
export interface FailedAttempt {
  /** Clock value, in milliseconds. */
  readonly at: number;
  /** What was wrong. */
  readonly what: FailedAttemptKind;
  /** The service that was tried. */
  readonly service: Service;
  /** How the host was connected. */
  readonly transport: Transport;
  /** As the stranger wrote it: escape it before printing. */
  readonly account: string;
  /** What it cost. */
  readonly points: number;
}

/** What a host was charged for, in attempts. */
export interface Tally {
  /** Passwords or answers to a challenge that were wrong. */
  wrongAnswers: number;
  /** Challenges that were never answered. */
  unanswered: number;
  /** Refusals by an access control list, or of an unknown account. */
  refusals: number;
  /** Requests to the manager interface that nobody without a login may make. */
  badRequests: number;
  /** Calls without an account: to numbers that do not exist, or turned away by the dialplan. */
  strangeCalls: number;
  /** Reports of the dialplan. */
  reports: number;
}

/** An address from which many come who don't know each other. */
export interface KnownProxy {
  /** The address, as canonical text. */
  readonly address: string;
  /** Accounts that logged in from it while it was watched. */
  readonly own: number;
  /** Accounts that failed and did not log in. */
  readonly strange: number;
  /** Failures of accounts that Asterisk does not know. */
  readonly unknown: number;
}
