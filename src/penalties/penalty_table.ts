/**
 * The penalty table: what each remote host has done, in points, and when it has gone too far.
 *
 * Pure: security events and a clock value go in, offences come out. No I/O, no timers, bounded
 * memory.
 *
 * The weights are those of the original Ampere (4 points for a challenge, 1 for the wrong answer to
 * it, limit 5 × loyalty), but they are charged per *attempt* (one SessionID of one host), not per
 * message, because Asterisk raises one to six messages for one attempt.
 *
 * @module
 */

import { SecurityEvent, UNKNOWN_CALLER } from "../ami/event.ts";
import {
  ANSWERED,
  ATTEMPT_POINTS,
  BURST,
  CHALLENGE,
  OPENED_AT,
  REFUSED,
  SUCCEEDED,
} from "./attempts.ts";
import type { GuardState } from "./account_guard.ts";
import { ExemptFailures } from "./exempt_failures.ts";
import { keyOf, keyText } from "./host_key.ts";
import {
  BAD_REQUESTS,
  Hosts,
  type HostStatus,
  MAYBE_STANDING,
  NO_SESSION,
  NONE,
  OWN_SESSION,
  POINTS,
  REFUSALS,
  REPORTS,
  SEVERAL_SESSIONS,
  STRANGE_CALLS,
  WRONG_ANSWERS,
} from "./hosts.ts";
import type { InsiderState } from "./insiders.ts";
import { type HostInspection, Inspection } from "./inspection.ts";
import { Ledger } from "./ledger.ts";
import type { KnownProxy, Offence } from "./offence.ts";
import type { PenaltyPolicy } from "./policy.ts";
import type { SlowMemory } from "./slow_judge.ts";

/** FailedACL names that tell of the dialled number or of a full registration, not of the host. */
export const BENIGN_ACL_NAMES: ReadonlySet<string> = new Set([
  "no_extension_match",
  "registrar_attempt_exceeds_maximum_configured_contacts",
  "registrar_attempt_without_configured_aors",
  UNKNOWN_CALLER,
]);

/** Each is an attempt of its own: Asterisk closes the connection. */
const MANAGER_REQUEST = "a failed request to the manager interface";

/** How a refusal is counted and told. */
const REFUSAL = { field: REFUSALS, why: "a refusal" };
const CALL = { field: STRANGE_CALLS, why: "a call without an account" };

/** What became of one event, for the log. */
export interface Charge {
  /** Why the event was charged or not. */
  readonly what: string;
  /** Points before the event. */
  readonly before: number;
  /** Points after it. */
  readonly after: number;
  /** Points at which a stranger is blocked. */
  readonly limit: number;
}

/**
 * The penalty table.
 *
 * Feed it every security event in the order of the stream with the time of its arrival, and call
 * {@linkcode PenaltyTable.advance} a few times a second.
 *
 * @example
 * ```ts
 * import { AddressSet } from "../address/address_set.ts";
 * import { PenaltyTable } from "./penalty_table.ts";
 *
 * const table = new PenaltyTable({
 *   loyalty: 3,
 *   patienceMs: 5_000,
 *   creditMs: 7 * 86_400_000,
 *   forgetMs: 86_400_000,
 *   ipv6Prefix: 128,
 *   exempt: new AddressSet(["192.0.2.0/24"]),
 * });
 * for (const offence of table.takeOffences()) console.log("block", offence.target);
 * ```
 */
export class PenaltyTable {
  readonly #hosts = new Hosts();
  readonly #records = this.#hosts.records;
  readonly #ledger: Ledger;
  readonly #attempts: Ledger["attempts"];
  readonly #attemptRecords: Ledger["attempts"]["records"];
  readonly #exemptFailures = new ExemptFailures();
  /**
   * The last InvalidAccountID of PJSIP, and its time, while nothing more is said of its request.
   */
  #unknownWaits = false;
  #unknownAt = 0;
  readonly #unknownEvent = new SecurityEvent();
  #charge: Charge | undefined;
  /** What is remembered of hosts whose points are forgotten; not to be changed. */
  readonly slow: SlowMemory;
  /** Who belongs here and fails on accounts of others; not to be changed. */
  readonly insiders: InsiderState;
  /** Looks at single hosts, and keeps them beyond a restart. */
  readonly inspection: HostInspection;
  /** Whether {@linkcode PenaltyTable.lastCharge} tells what became of each event; costs time. */
  explain = false;

  /** An empty table with its rules. */
  constructor(policy: PenaltyPolicy) {
    this.#ledger = new Ledger(policy, this.#hosts);
    this.inspection = new Inspection(this.#hosts, this.#ledger);
    ({ attempts: this.#attempts, slow: this.slow, insiders: this.insiders } = this.#ledger);
    this.#attemptRecords = this.#attempts.records;
  }

  /** Number of hosts with penalties or open attempts. */
  get size(): number {
    return this.#hosts.size;
  }

  /** Number of hosts in good standing. */
  get standingSize(): number {
    return this.#ledger.standing.size;
  }

  /** Attempts of all hosts that wait for an answer. */
  get waiting(): number {
    return this.#attempts.waiting;
  }

  /** Hosts that were forgotten because the table was full. */
  get evicted(): number {
    return this.#ledger.evicted;
  }

  /** What became of the last event; only when {@linkcode PenaltyTable.explain} is set. */
  get lastCharge(): Charge | undefined {
    return this.#charge;
  }

  /** The rules in force. */
  get policy(): PenaltyPolicy {
    return this.#ledger.policy;
  }

  /** Changes the rules. Hosts that are exempt now lose their points. */
  setPolicy(policy: PenaltyPolicy): void {
    this.#ledger.setPolicy(policy);
  }

  /** Who is strict by {@linkcode PenaltyPolicy.strict} has changed: hosts are asked for anew. */
  recheckStrict(): void {
    this.#ledger.strictness.recheck();
  }

  /**
   * Takes one security event.
   *
   * @param event The event.
   * @param now Clock value of its arrival, in milliseconds; must not fall.
   * @param trusted False for an event that may be charged but not believed (a doubled one).
   */
  record(event: SecurityEvent, now: number, trusted = true): void {
    this.#charge = undefined;
    if (this.#unknownWaits) this.#meetUnknown(event);
    switch (event.kind) {
      case "ChallengeSent":
        return this.#challenged(event, now);
      case "ChallengeResponseFailed":
      case "InvalidPassword":
        return event.service === "AMI"
          ? this.#failed(event, now, WRONG_ANSWERS, MANAGER_REQUEST)
          : this.#answeredWrongly(event, now);
      case "FailedACL":
        return event.service === "AMI"
          ? this.#failed(event, now, REFUSALS, MANAGER_REQUEST)
          : this.#refused(event, now);
      case "InvalidAccountID":
        if (event.service === "PJSIP") return this.#unknown(event, now);
        return event.service === "AMI"
          ? this.#failed(event, now, WRONG_ANSWERS, MANAGER_REQUEST)
          : this.#refused(event, now);
      case "RefusedMessage":
        return this.#failed(event, now, WRONG_ANSWERS, "a message that was refused");
      case "Reported":
        return this.#failed(event, now, REPORTS, "a report of the dialplan");
      case "RequestNotAllowed":
      case "RequestBadFormat":
        if (!event.anonymous) {
          return this.#explain("a request of a logged-in manager user: never charged", event);
        }
        return this.#failed(event, now, BAD_REQUESTS, MANAGER_REQUEST);
      case "SuccessfulAuth":
        return this.#succeeded(event, now, trusted);
      default:
        return this.#explain(`${event.kind}: never charged`, event);
    }
  }

  /** The hosts that have gone too far since the last call, in the order in which they did. */
  takeOffences(): Offence[] {
    return this.#ledger.takeOffences();
  }

  /**
   * Charges the attempts whose patience has run out, and forgets hosts that have been quiet.
   *
   * @param now Clock value, in milliseconds.
   * @param most Attempts to be charged; in a flood tens of thousands may be due at once.
   * @returns Whether all that was due is charged.
   */
  advance(now: number, most = Infinity): boolean {
    if (this.#unknownWaits) this.#meetUnknown();
    const before = now - this.#ledger.policy.patienceMs;
    let charged = 0;
    while (
      this.#attempts.oldestWaiting !== NONE &&
      this.#attemptRecords.time(this.#attempts.oldestWaiting, OPENED_AT) <= before
    ) {
      if (charged++ >= most) return false;
      this.#ledger.lapse(this.#attempts.oldestWaiting, now);
    }
    this.#ledger.advance(now);
    return true;
  }

  /** Until a clock value challenges may stay unanswered at no cost: nobody is known yet. */
  learnUntil(until: number): void {
    this.#ledger.learnsUntil = until;
  }

  /** Whether challenges may stay unanswered at no cost yet. */
  isLearning(now: number): boolean {
    return now < this.#ledger.learnsUntil;
  }

  /** Who had attempts under way when they were blocked, and how many; each is told once. */
  takeLate(): [target: string, attempts: number][] {
    return this.#ledger.late.takeExpired().map(([key, attempts]) => [keyText(key), attempts]);
  }

  /** The failures of hosts that are never charged, since the last call. */
  takeExemptFailures(): [address: string, failures: number][] {
    return this.#exemptFailures.take().map(([key, failures]) => [keyText(key), failures]);
  }

  /** Addresses that turned out to hide many callers, since the last call. */
  takeProxies(): KnownProxy[] {
    return this.#ledger.proxies.takeFound().map(({ host, ...sign }) => ({
      address: keyText(host),
      ...sign,
    }));
  }

  /** Addresses that hide many callers, since the start. */
  get proxies(): number {
    return this.#ledger.proxies.count;
  }

  /** Which accounts many strangers fail on; not to be changed. */
  get guard(): GuardState {
    return this.#ledger.guard;
  }

  /**
   * Who is in good standing in a network, and has not failed there.
   *
   * @param network An IPv6 network of `ipv6Prefix`.
   * @returns Canonical addresses.
   */
  innocentIn(network: string): string[] {
    return this.#ledger.shortBlocks.innocentIn(network, this.#hosts);
  }

  /** Whether a network of 24 bits (IPv6: of 64, 48) must not be blocked for its hosts. */
  holdsOthers(network: string): boolean {
    const { exempt, creditMs } = this.policy;
    return exempt.overlaps(network) || this.#ledger.standing.isAnybodyIn(network, creditMs > 0);
  }

  /** Clock value at which the oldest open attempt is to be charged; `undefined`: none is open. */
  get nextDeadline(): number | undefined {
    const oldest = this.#attempts.oldestWaiting;
    if (oldest === NONE) return undefined;
    return this.#attemptRecords.time(oldest, OPENED_AT) + this.#ledger.policy.patienceMs;
  }

  /** Drops the points and open attempts of hosts within a target, as a success would. */
  clearPoints(target: string, overlaps: (a: string, b: string) => boolean): void {
    for (const [key, host] of [...this.#hosts.entries()]) {
      if (overlaps(target, keyText(key))) this.#ledger.remove(host);
    }
    this.#ledger.slow.forgiveIn(target, overlaps);
  }

  /**
   * Puts hosts into good standing, for example those that the database remembers.
   *
   * @param logins Canonical addresses with the clock value of their last login, in milliseconds.
   */
  restoreStanding(logins: Iterable<readonly [address: string, at: number]>): void {
    this.#ledger.standing.restore(logins);
    this.#ledger.recheckStanding();
  }

  /**
   * Puts hosts into good standing that are registered at Asterisk, though their login was not seen.
   *
   * @param addresses Canonical addresses.
   * @param now Clock value, in milliseconds.
   * @returns How many were not known yet.
   */
  assumeStanding(addresses: Iterable<string>, now: number): number {
    const fresh = [...addresses].filter((one) => this.#ledger.standing.assume(keyOf(one), now));
    this.#ledger.recheckStanding();
    return fresh.length;
  }

  /**
   * The hosts whose last login is to be saved, with its clock value: each at most once in
   * {@linkcode SAVE_LOGIN_MS}.
   *
   * @param most Hosts; the others are given by the next calls.
   */
  takeLogins(most = Infinity): [address: string, at: number][] {
    return this.#ledger.standing.takeUnsaved(most);
  }

  /** Whether an address is in good standing at a clock value. */
  isInGoodStanding(address: string, now: number): boolean {
    return this.#ledger.isInGoodStanding(keyOf(address), now);
  }

  /**
   * The hosts with most points.
   *
   * @param count How many.
   * @param now Clock value, in milliseconds.
   */
  worst(count: number, now: number): HostStatus[] {
    return this.#hosts.worst(count, (host) => this.#ledger.limitOf(host, now));
  }

  /**
   * PJSIP says that an account is unknown, and mostly challenges or refuses it in the same breath:
   * that costs what it costs. If not, this is a challenge; so it is kept until the next event.
   */
  #unknown(event: SecurityEvent, now: number): void {
    const unknown = this.#unknownEvent;
    unknown.type = event.type;
    unknown.service = "PJSIP";
    unknown.host = event.host;
    unknown.session = event.session;
    unknown.transport = event.transport;
    this.#unknownAt = now;
    this.#unknownWaits = true;
    this.#explain("an unknown account: its challenge is charged", event);
  }

  #meetUnknown(event?: SecurityEvent): void {
    this.#unknownWaits = false;
    const unknown = this.#unknownEvent;
    // That it is unknown, once more, is the next request.
    const isNext = event === undefined || event.kind === "InvalidAccountID";
    if (!isNext && event.session === unknown.session && event.host === unknown.host) return;
    // Without patience it would be charged once more, should it come after an event of another.
    if (this.#ledger.policy.patienceMs === 0) return;
    this.#challenged(unknown, this.#unknownAt);
  }

  #challenged(event: SecurityEvent, now: number): void {
    const key = event.host;
    const present = this.#hosts.find(key);
    if (
      (present === NONE || this.#records.get(present, MAYBE_STANDING) === 1) &&
      this.#ledger.isInGoodStanding(event.host, now)
    ) {
      return this.#explain("a challenge to a host in good standing: not charged", event);
    }
    // A phone takes another address of its IPv6 network every day (RFC 8981, section 3.8).
    if (typeof key === "string" && this.#ledger.isNetworkStanding(key)) {
      return this.#explain("a challenge to a network in good standing: not charged", event);
    }
    const host = this.#ledger.hostAt(key, present, false, now);
    if (host === NONE) return this.#explain("exempt", event);
    const attempts = this.#attemptRecords;
    const before = this.#records.get(host, POINTS);
    const known = this.#attempts.find(host, event.session, now);
    const atOnce = this.#ledger.policy.patienceMs === 0 ||
      this.#ledger.strictness.isBarred(host, now < this.#ledger.learnsUntil);
    if (known !== NONE && (!atOnce || attempts.get(known, REFUSED) === 1)) {
      // chan_sip sends a new challenge for each new request, and the same one again for a repeated
      // request.
      const repeated = event.service === "PJSIP" ||
        event.challenge === attempts.get(known, CHALLENGE) ||
        attempts.get(known, REFUSED) === 1 || attempts.get(known, SUCCEEDED) === 1;
      if (repeated && this.#attempts.isFree(known)) {
        this.#ledger.settle(host);
        return this.#explain("the same request again: not charged", event, before);
      }
    }
    const attempt = this.#ledger.open(host, event, now);
    if (atOnce) {
      this.#ledger.chargeChallenge(attempt, now);
      return this.#explain("a challenge", event, before, this.#records.get(host, POINTS));
    }
    this.#ledger.wait(attempt, now);
    this.#ledger.settle(host);
    const after = this.#records.get(host, POINTS);
    this.#explain("a challenge: waiting for its answer", event, before, after);
  }

  #answeredWrongly(event: SecurityEvent, now: number): void {
    const ledger = this.#ledger;
    const host = ledger.host(event, now);
    if (host === NONE) return this.#exemptFailed(event);
    const attempts = this.#attempts;
    const records = this.#attemptRecords;
    const before = this.#records.get(host, POINTS);
    const attempt = ledger.findOrOpen(host, event, now);
    attempts.stopWaiting(attempt);
    if (attempts.isRetransmission(attempt, event, now)) {
      ledger.settle(host);
      return this.#explain("the same wrong answer again: not charged", event, before);
    }
    const first = attempts.keepAnswer(attempt, event.answer);
    const refused = records.get(attempt, REFUSED) === 1;
    // The first answer to a refusal is part of the refused attempt.
    if (first && refused && attempts.isFree(attempt)) {
      ledger.settle(host);
      return this.#explain("an answer to a refusal: not charged", event, before);
    }
    const mayBurst = !first && ledger.isStanding(host, now);
    if (mayBurst && attempts.isInBurst(host, attempt, event, now)) {
      ledger.settle(host);
      return this.#explain("one more answer of a burst: not charged", event, before);
    }
    // Whoever goes on and on was not a phone: what was taken for its burst is charged now.
    const burst = records.get(attempt, BURST);
    records.set(attempt, BURST, 0);
    // The first answer completes what its challenge has cost already.
    const completes = first && !refused;
    const points = completes ? attempts.remainder(attempt) : ATTEMPT_POINTS * (1 + burst);
    this.#hosts.count(host, WRONG_ANSWERS, now, 1 + burst);
    if (completes) ledger.harden(host, attempt);
    ledger.fail(host, points, event, now, sessionOf(event));
    const what = first ? "a wrong answer" : "a further wrong answer";
    this.#explain(what, event, before, before + points);
  }

  #refused(event: SecurityEvent, now: number): void {
    const benign = event.kind === "FailedACL" && BENIGN_ACL_NAMES.has(event.detail);
    if (benign && this.#ledger.isInGoodStanding(event.host, now)) {
      return this.#explain(`${event.detail} of a host in good standing: not charged`, event);
    }
    const host = this.#ledger.host(event, now);
    if (host === NONE) return this.#exemptFailed(event);
    const attempts = this.#attemptRecords;
    const before = this.#records.get(host, POINTS);
    const attempt = this.#ledger.findOrOpen(host, event, now);
    this.#attempts.stopWaiting(attempt);
    if (benign && attempts.get(attempt, SUCCEEDED) === 1 && this.#attempts.isFree(attempt)) {
      this.#ledger.settle(host);
      return this.#explain(`${event.detail} after a login: not charged`, event, before);
    }
    const account = event.account;
    const further = attempts.get(attempt, REFUSED) === 1;
    const again = further
      ? this.#attempts.accountOf(attempt) === account
      : attempts.get(attempt, ANSWERED) > 0;
    attempts.set(attempt, REFUSED, 1);
    this.#attempts.setAccount(attempt, account);
    if (again && this.#attempts.isFree(attempt)) {
      this.#ledger.settle(host);
      return this.#explain("the same refusal again: not charged", event, before);
    }
    const points = again || further ? ATTEMPT_POINTS : this.#attempts.remainder(attempt);
    if (!further) this.#ledger.harden(host, attempt);
    const { field, why } = isStrangeCall(event) ? CALL : REFUSAL;
    this.#hosts.count(host, field, now);
    this.#ledger.fail(host, points, event, now, sessionOf(event));
    this.#explain(why, event, before, before + points);
  }

  /** An attempt of one event. */
  #failed(event: SecurityEvent, now: number, what: number, why: string): void {
    const host = this.#ledger.host(event, now);
    if (host === NONE) return this.#exemptFailed(event);
    const before = this.#records.get(host, POINTS);
    this.#hosts.count(host, what, now);
    // SessionID is the place of the session in Asterisk's memory, which the next session gets
    // again.
    this.#ledger.fail(host, ATTEMPT_POINTS, event, now, OWN_SESSION);
    this.#explain(why, event, before, before + ATTEMPT_POINTS);
  }

  #exemptFailed(event: SecurityEvent): void {
    this.#exemptFailures.add(event.host);
    this.#explain("exempt", event);
  }

  #succeeded(event: SecurityEvent, now: number, trusted: boolean): void {
    if (!trusted) return this.#explain("not to be believed", event);
    // AMI never lets anybody in without a secret, and always prints 0 (`manager.c`,
    // report_auth_success).
    if (!event.usingPassword && event.service !== "AMI") {
      return this.#explain("a login without password: proves nothing", event);
    }
    if (this.#ledger.isExempt(event.host)) return this.#explain("exempt", event);
    const before = this.#ledger.forgive(event, now);
    this.#ledger.logsIn(event, now);
    if (this.#ledger.policy.creditMs === 0) {
      // Without credit, what follows the login in its own session still belongs to it.
      const fresh = this.#ledger.host(event, now);
      this.#attemptRecords.set(this.#ledger.open(fresh, event, now), SUCCEEDED, 1);
      this.#ledger.settle(fresh);
    }
    if (!this.explain) return;
    const host = this.#hosts.find(event.host);
    const after = host === NONE ? 0 : this.#records.get(host, POINTS);
    const gone = after === 0 ? "all points" : "the points of its account";
    this.#explain(`a login: ${gone} are removed`, event, before, after);
  }

  // Of two functions, because this one becomes part of those that call it.
  #explain(what: string, event: SecurityEvent, before?: number, after?: number): void {
    if (this.explain) this.#keepCharge(what, event, before, after);
  }

  #keepCharge(what: string, event: SecurityEvent, before = 0, after = before): void {
    const limit = ATTEMPT_POINTS * this.#ledger.policy.loyalty;
    this.#charge = { what: `${event.address}: ${what}`, before, after, limit };
  }
}

/**
 * A call without an account, of which only the log tells: chan_sip raises an event for a number
 * that does not exist, PJSIP does not.
 */
function isStrangeCall({ kind, service, detail }: SecurityEvent): boolean {
  return kind === "FailedACL" &&
    (detail === UNKNOWN_CALLER || service === "PJSIP" && detail === "no_extension_match");
}

/**
 * What tells the session of a failure from others: chan_sip may use a SessionID again, but not with
 * the same challenge.
 */
function sessionOf(event: SecurityEvent): number {
  const session = event.service === "SIP" ? event.session ^ event.challenge : event.session;
  return session === NO_SESSION || session === SEVERAL_SESSIONS || session === OWN_SESSION
    ? 1
    : session;
}
