/**
 * The penalty table: what each remote host has done, in points, and when it has gone too far.
 *
 * Pure: security events and a clock value go in, offences come out. No I/O, no timers, bounded memory.
 *
 * The weights are those of the original Ampere (4 points for a challenge, 1 for the wrong answer to it, limit 5 × loyalty),
 * but they are charged per *attempt* (one SessionID of one host), not per message, because Asterisk raises one to six
 * messages for one attempt.
 *
 * @module
 */

import { type AddressSet, isLoopback, networkOf } from "./address.ts";
import type { SecurityEvent, Service, Transport } from "./ami/security_event.ts";
import { GoodStanding } from "./penalties/good_standing.ts";
import { type HostKey, keyOf, keyText } from "./penalties/host_key.ts";
import { Records } from "./penalties/records.ts";

export { SAVE_LOGIN_MS, STANDING_MAX } from "./penalties/good_standing.ts";

/** Points of one failed attempt. */
export const ATTEMPT_POINTS = 5;

/** Points of a challenge that was left unanswered. */
export const CHALLENGE_POINTS = 4;

/** Points of an unanswered challenge when the one before it was left unanswered too (points % 5 = 4, as in the original). */
export const REPEATED_CHALLENGE_POINTS = 10;

/** A host in good standing has this many times the limit of a stranger. */
export const STANDING_LIMIT_FACTOR = 10;

/** Most hosts with penalties. The least guilty go first, among equals the one not seen for longest. */
export const HOSTS_MAX = 65_536;

/** Most attempts of a host that are remembered; the oldest is charged when there are more. */
export const ATTEMPTS_MAX = 50;

/** Most attempts of all hosts that wait for an answer; the oldest is charged when there are more. */
export const WAITING_MAX = 262_144;

/**
 * How long a request may be repeated, in milliseconds: 64 × T1 (RFC 3261, section 17.1.2.2, Timer F), after which the
 * client gives up. A request of the same session after that is a new attempt.
 */
export const ATTEMPT_LIFE_MS = 32_000;

/** Retransmissions of one request within 64 × T1: after 0.5, 1, 2, 4, 4 … s (RFC 3261, section 17.1.2.2, Timer E). */
export const RETRANSMISSIONS_MAX = 10;

/** One refused INVITE raises up to four FailedACL (two requests, an ACK to each), and each of them may be repeated. */
const REFUSALS_MAX = 4 * RETRANSMISSIONS_MAX;

/** Wrong answers of one session that are remembered to know a retransmission. */
const ANSWERS_MAX = 64;

/** FailedACL names that tell of the dialled number or of a full registration, not of the host. */
export const BENIGN_ACL_NAMES: ReadonlySet<string> = new Set([
  "no_extension_match",
  "registrar_attempt_exceeds_maximum_configured_contacts",
  "registrar_attempt_without_configured_aors",
]);

/** The policy of a {@linkcode PenaltyTable}. */
export interface PenaltyPolicy {
  /** Attempts that a stranger has; the limit is 5 times as many points. */
  readonly loyalty: number;
  /** How long a challenge may stay unanswered, in milliseconds; 0 charges it at once, as the original does. */
  readonly patienceMs: number;
  /** How long a login with a password keeps a host in good standing, in milliseconds; 0: not at all. */
  readonly creditMs: number;
  /** After this time without an event a host's points are forgotten, in milliseconds. */
  readonly forgetMs: number;
  /** IPv6 hosts are counted and blocked by prefixes of this length. */
  readonly ipv6Prefix: number;
  /** Hosts that are never charged. Loopback never is. */
  readonly exempt: AddressSet;
}

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
  /** The host had logged in with a password within the credit: block it for a short time only. */
  readonly inGoodStanding: boolean;
  /** What it was charged for. */
  readonly tally: Tally;
  /** Clock value of the first attempt that counted, in milliseconds. */
  readonly firstAt: number;
  /** Clock value of the decision, in milliseconds. */
  readonly at: number;
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
}

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

/** A host as the status shows it. */
export interface HostStatus {
  /** Address, or network of `ipv6Prefix`. */
  readonly host: string;
  /** Points that it has. */
  readonly points: number;
  /** Points at which it is blocked. */
  readonly limit: number;
  /** What it was charged for. */
  readonly tally: Readonly<Tally>;
  /** Attempts that wait for an answer. */
  readonly waiting: number;
  /** Clock value of its last event, in milliseconds. */
  readonly lastAt: number;
}

/** Hosts of which it is remembered whether they are exempt. */
const EXEMPT_CACHE_MAX = 16_384;

/** First number of the addresses 127.0.0.0/8. */
const LOOPBACK_NETWORK = 127;

/** No host, or no attempt. */
const NONE = 0;

// The times and numbers of a host's record. What is read of a host that is gone must not be the first number.
/** Clock value of its last event. */
const LAST_AT = 0;
/** Clock value of the first attempt that was charged. */
const FIRST_AT = 1;
/** Its attempts, chained by BEFORE and AFTER. */
const FIRST_ATTEMPT = 0;
const LAST_ATTEMPT = 1;
const ATTEMPTS = 2;
/** Attempts that wait for an answer. */
const WAITING = 3;
const POINTS = 4;
/** No longer in the table: blocked, forgiven or forgotten. */
const GONE = 5;
/** Neighbours among the hosts of its rank. */
const OLDER_HOST = 6;
const NEWER_HOST = 7;
/** Which of the lists of ranks it is in, counted from 1; 0: in none. */
const LIST = 8;
/** It may be in good standing: it was when it came into the table. A login takes a host out of the table. */
const MAY_STAND = 9;
/** Its tally, in the order of {@linkcode TALLY}. */
const TALLY_AT = 10;
const HOST_RECORDS = { times: 2, numbers: TALLY_AT + 4, room: HOSTS_MAX + 1 };

const TALLY = ["wrongAnswers", "unanswered", "refusals", "badRequests"] as const;
const WRONG_ANSWERS = TALLY_AT;
const UNANSWERED = TALLY_AT + 1;
const REFUSALS = TALLY_AT + 2;
const BAD_REQUESTS = TALLY_AT + 3;

// The times and numbers of an attempt's record.
/** Clock value of its first event. */
const OPENED_AT = 0;
/** Neighbours among the attempts of all hosts that wait. */
const OLDER = 0;
const NEWER = 1;
/** Neighbours among the attempts of its host. */
const BEFORE = 2;
const AFTER = 3;
const HOST = 4;
const SESSION = 5;
const CHALLENGE = 6;
/** Points charged for it before its first wrong answer. */
const CHARGED = 7;
const IS_WAITING = 8;
const REFUSED = 9;
/** Its login succeeded (only kept without credit). */
const SUCCEEDED = 10;
const REPEATS = 11;
/** How many different wrong answers it has brought, and the first of them; the others are in a map. */
const ANSWERED = 12;
const FIRST_ANSWER = 13;
const SERVICE = 14;
const TRANSPORT = 15;
/** Attempts that do not wait any more may need more room: up to {@linkcode ATTEMPTS_MAX} of each host. */
const ATTEMPT_RECORDS = { times: 1, numbers: 16, room: WAITING_MAX };

/** What the record of an attempt has numbers for. */
const SERVICES: readonly Service[] = ["PJSIP", "SIP", "AMI", "IAX2"];
const TRANSPORTS: readonly Transport[] = ["", "UDP", "TCP", "TLS", "WS", "WSS"];

/** Hosts of one rank, the one not seen for longest first. */
interface RankList {
  readonly rank: number;
  oldest: number;
  newest: number;
}

/**
 * The penalty table.
 *
 * Feed it every security event in the order of the stream with the time of its arrival, and call
 * {@linkcode PenaltyTable.advance} a few times a second.
 *
 * @example
 * ```ts
 * import { AddressSet } from "./address.ts";
 * import { PenaltyTable } from "./penalties.ts";
 *
 * const table = new PenaltyTable({
 *   loyalty: 3,
 *   patienceMs: 5_000,
 *   creditMs: 7 * 86_400_000,
 *   forgetMs: 86_400_000,
 *   ipv6Prefix: 128,
 *   exempt: new AddressSet(["192.0.2.0/24"]),
 * }, (offence) => console.log("block", offence.target));
 * ```
 */
export class PenaltyTable {
  #policy: PenaltyPolicy;
  readonly #onOffence: (offence: Offence) => void;
  /** The record of each host. */
  readonly #byKey = new Map<HostKey, number>();
  readonly #hosts = new Records(HOST_RECORDS);
  /** Key and last address of each host, by its record. */
  readonly #keys: HostKey[] = [0];
  readonly #lastAddresses: HostKey[] = [0];
  readonly #attempts = new Records(ATTEMPT_RECORDS);
  /** Account of each attempt, by its record. */
  readonly #accounts: string[] = [""];
  /** Wrong answers of attempts beside the first, by record: only nonce reuse has them. */
  readonly #moreAnswers = new Map<number, number[]>();
  readonly #ranks: RankList[] = [];
  /** Where in the ranks a rank is, counted from 1. */
  readonly #rankLists = new Map<number, number>();
  readonly #standing: GoodStanding;
  /** Whether the IPv6 hosts seen last are exempt: to look through all networks for each event would cost most of its time. */
  readonly #exempt = new Map<string, boolean>();
  #oldestWaiting = NONE;
  #newestWaiting = NONE;
  #waiting = 0;
  #evicted = 0;
  #charge: Charge | undefined;
  /** Set to be told by {@linkcode PenaltyTable.lastCharge} what became of each event; costs time. */
  explain = false;

  /**
   * An empty table.
   *
   * @param policy the rules
   * @param onOffence is called when a host has reached its limit; the host's points are removed before the call
   */
  constructor(policy: PenaltyPolicy, onOffence: (offence: Offence) => void) {
    this.#policy = policy;
    this.#onOffence = onOffence;
    this.#standing = new GoodStanding(policy.ipv6Prefix);
  }

  /** Number of hosts with penalties or open attempts. */
  get size(): number {
    return this.#byKey.size;
  }

  /** Number of hosts in good standing. */
  get standingSize(): number {
    return this.#standing.size;
  }

  /** Attempts of all hosts that wait for an answer. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Hosts that were forgotten because the table was full. */
  get evicted(): number {
    return this.#evicted;
  }

  /** What became of the last event; only when {@linkcode PenaltyTable.explain} is set. */
  get lastCharge(): Charge | undefined {
    return this.#charge;
  }

  /** The rules in force. */
  get policy(): PenaltyPolicy {
    return this.#policy;
  }

  /**
   * Changes the rules. Hosts that are exempt now lose their points.
   *
   * @param policy the new rules
   */
  setPolicy(policy: PenaltyPolicy): void {
    const prefixChanged = policy.ipv6Prefix !== this.#policy.ipv6Prefix;
    this.#policy = policy;
    this.#exempt.clear();
    for (const [key, host] of [...this.#byKey]) {
      const text = keyText(key);
      if ((prefixChanged && typeof key === "string") || policy.exempt.overlaps(text)) {
        this.#remove(host);
      }
    }
    if (prefixChanged) this.#standing.setIpv6Prefix(policy.ipv6Prefix);
    this.#doubtStanding();
  }

  /**
   * Takes one security event.
   *
   * @param event the event
   * @param now clock value of its arrival, in milliseconds; must not fall
   * @param obey false for an event that may be charged but not believed (a doubled one)
   */
  take(event: SecurityEvent, now: number, obey = true): void {
    this.#charge = undefined;
    switch (event.kind) {
      case "ChallengeSent":
        return this.#challenged(event, now);
      case "ChallengeResponseFailed":
      case "InvalidPassword":
        return event.service === "AMI"
          ? this.#manager(event, now, WRONG_ANSWERS)
          : this.#answeredWrongly(event, now);
      case "FailedACL":
        return event.service === "AMI"
          ? this.#manager(event, now, REFUSALS)
          : this.#refused(event, now);
      case "InvalidAccountID":
        if (event.service === "AMI") return this.#manager(event, now, WRONG_ANSWERS);
        // PJSIP says this beside the challenge that the attempt gets all the same.
        if (event.service === "PJSIP") {
          return this.#explain("an unknown account: its challenge is charged", event);
        }
        return this.#refused(event, now);
      case "RequestNotAllowed":
      case "RequestBadFormat":
        if (!event.anonymous) {
          return this.#explain("a request of a logged-in manager user: never charged", event);
        }
        return this.#manager(event, now, BAD_REQUESTS);
      case "SuccessfulAuth":
        return this.#succeeded(event, now, obey);
      default:
        return this.#explain(`${event.kind}: never charged`, event);
    }
  }

  /**
   * Charges the attempts whose patience has run out, and forgets hosts that have been quiet.
   *
   * @param now clock value, in milliseconds
   * @param most attempts to be charged; in a flood tens of thousands may be due at once
   * @returns whether all that was due is charged
   */
  advance(now: number, most = Infinity): boolean {
    const before = now - this.#policy.patienceMs;
    let charged = 0;
    while (
      this.#oldestWaiting !== NONE && this.#attempts.time(this.#oldestWaiting, OPENED_AT) <= before
    ) {
      if (charged++ >= most) return false;
      this.#lapse(this.#oldestWaiting, now);
    }
    const quietSince = now - this.#policy.forgetMs;
    for (const list of this.#ranks) {
      while (list.oldest !== NONE && this.#hosts.time(list.oldest, LAST_AT) < quietSince) {
        this.#remove(list.oldest);
      }
    }
    this.#standing.forgetBefore(now - this.#policy.creditMs);
    return true;
  }

  /** Clock value at which the oldest open attempt is to be charged, in milliseconds; `undefined` when none is open. */
  get nextDeadline(): number | undefined {
    return this.#oldestWaiting === NONE
      ? undefined
      : this.#attempts.time(this.#oldestWaiting, OPENED_AT) + this.#policy.patienceMs;
  }

  /** Drops the points and open attempts of hosts within a target, as a success would. */
  pardon(target: string, overlaps: (a: string, b: string) => boolean): void {
    for (const [key, host] of [...this.#byKey]) {
      if (overlaps(target, keyText(key))) this.#remove(host);
    }
  }

  /**
   * Puts hosts into good standing, for example those that the database remembers.
   *
   * @param logins canonical addresses with the clock value of their last login, in milliseconds
   */
  restoreStanding(logins: Iterable<readonly [address: string, at: number]>): void {
    this.#standing.restore(logins);
    this.#doubtStanding();
  }

  /**
   * The hosts whose last login is to be saved, with its clock value: each at most once in {@linkcode SAVE_LOGIN_MS}.
   *
   * @param most hosts; the others are given by the next calls
   */
  takeLogins(most = Infinity): [address: string, at: number][] {
    return this.#standing.takeUnsaved(most);
  }

  /** Whether an address is in good standing at a clock value. */
  isInGoodStanding(address: string, now: number): boolean {
    return this.#inGoodStanding(keyOf(address), now);
  }

  /**
   * The hosts with most points.
   *
   * @param count how many
   * @param now clock value, in milliseconds
   */
  worst(count: number, now: number): HostStatus[] {
    const hosts = this.#hosts;
    const by = (field: number) => (a: number, b: number) =>
      hosts.get(b, field) - hosts.get(a, field);
    const [byPoints, byWaiting] = [by(POINTS), by(WAITING)];
    return [...this.#byKey.values()]
      .filter((host) => hosts.get(host, POINTS) > 0 || hosts.get(host, WAITING) > 0)
      .sort((a, b) =>
        byPoints(a, b) || byWaiting(a, b) || hosts.time(b, LAST_AT) - hosts.time(a, LAST_AT)
      )
      .slice(0, count)
      .map((host) => ({
        host: keyText(this.#keys[host]!),
        points: hosts.get(host, POINTS),
        limit: this.#limit(host, now),
        tally: this.#tallyOf(host),
        waiting: hosts.get(host, WAITING),
        lastAt: hosts.time(host, LAST_AT),
      }));
  }

  #challenged(event: SecurityEvent, now: number): void {
    const key = this.#key(event.host);
    const present = this.#byKey.get(key) ?? NONE;
    if (
      (present === NONE || this.#hosts.get(present, MAY_STAND) === 1) &&
      this.#inGoodStanding(event.host, now)
    ) {
      return this.#explain("a challenge to a host in good standing: not charged", event);
    }
    const host = this.#hostAt(key, present, event, now);
    if (host === NONE) return this.#explain("exempt", event);
    const attempts = this.#attempts;
    const before = this.#hosts.get(host, POINTS);
    const known = this.#find(host, event.session, now);
    const atOnce = this.#policy.patienceMs === 0;
    if (known !== NONE && (!atOnce || attempts.get(known, REFUSED) === 1)) {
      // chan_sip sends a new challenge for each new request, and the same one again for a repeated request.
      const repeated = event.challenge === attempts.get(known, CHALLENGE) ||
        attempts.get(known, REFUSED) === 1 || attempts.get(known, SUCCEEDED) === 1;
      if (repeated && attempts.add(known, REPEATS, 1) <= RETRANSMISSIONS_MAX) {
        this.#settleRank(host);
        return this.#explain("the same request again: not charged", event, before);
      }
    }
    const attempt = this.#open(host, event, now);
    if (atOnce) {
      this.#chargeChallenge(attempt, now);
      return this.#explain("a challenge", event, before, this.#hosts.get(host, POINTS));
    }
    this.#wait(attempt, now);
    this.#settleRank(host);
    this.#explain(
      "a challenge: waiting for its answer",
      event,
      before,
      this.#hosts.get(host, POINTS),
    );
  }

  #answeredWrongly(event: SecurityEvent, now: number): void {
    const host = this.#host(event, now);
    if (host === NONE) return this.#explain("exempt", event);
    const before = this.#hosts.get(host, POINTS);
    const attempt = this.#findOrOpen(host, event, now);
    this.#stopWaiting(attempt);
    if (this.#hasAnswer(attempt, event.answer)) {
      this.#settleRank(host);
      return this.#explain("the same wrong answer again: not charged", event, before);
    }
    const first = this.#keepAnswer(attempt, event.answer);
    // The first answer completes what its challenge or refusal has cost already.
    const points = first ? this.#remainder(attempt) : ATTEMPT_POINTS;
    // The answer to a refusal is part of the refused attempt.
    if (points > 0) this.#count(host, WRONG_ANSWERS, now);
    this.#add(host, points, event, now);
    this.#explain(
      first ? "a wrong answer" : "a further wrong answer",
      event,
      before,
      before + points,
    );
  }

  #refused(event: SecurityEvent, now: number): void {
    const benign = event.kind === "FailedACL" && BENIGN_ACL_NAMES.has(event.detail);
    const standing = benign && this.#inGoodStanding(event.host, now);
    if (standing) {
      return this.#explain(`${event.detail} of a host in good standing: not charged`, event);
    }
    const host = this.#host(event, now);
    if (host === NONE) return this.#explain("exempt", event);
    const attempts = this.#attempts;
    const before = this.#hosts.get(host, POINTS);
    const attempt = this.#findOrOpen(host, event, now);
    this.#stopWaiting(attempt);
    if (benign && attempts.get(attempt, SUCCEEDED) === 1) {
      this.#settleRank(host);
      return this.#explain(`${event.detail} after a login: not charged`, event, before);
    }
    const known = attempts.get(attempt, REFUSED) === 1 || attempts.get(attempt, ANSWERED) > 0;
    if (known && attempts.add(attempt, REPEATS, 1) <= REFUSALS_MAX) {
      attempts.set(attempt, REFUSED, 1);
      this.#settleRank(host);
      return this.#explain("the same refusal again: not charged", event, before);
    }
    if (attempts.get(attempt, REPEATS) > REFUSALS_MAX) {
      attempts.set(attempt, REPEATS, 0);
      attempts.set(attempt, CHARGED, 0);
    }
    attempts.set(attempt, REFUSED, 1);
    const points = this.#remainder(attempt);
    attempts.add(attempt, CHARGED, points);
    this.#count(host, REFUSALS, now);
    this.#add(host, points, event, now);
    this.#explain("a refusal", event, before, before + points);
  }

  /** Each failed request to the manager interface is an attempt of its own: Asterisk closes the connection. */
  #manager(event: SecurityEvent, now: number, what: number): void {
    const host = this.#host(event, now);
    if (host === NONE) return this.#explain("exempt", event);
    const before = this.#hosts.get(host, POINTS);
    this.#count(host, what, now);
    this.#add(host, ATTEMPT_POINTS, event, now);
    this.#explain(
      "a failed request to the manager interface",
      event,
      before,
      before + ATTEMPT_POINTS,
    );
  }

  #succeeded(event: SecurityEvent, now: number, obey: boolean): void {
    if (!obey) return this.#explain("not to be believed", event);
    // AMI never lets anybody in without a secret, and always prints 0 (`manager.c`, report_auth_success).
    if (!event.usingPassword && event.service !== "AMI") {
      return this.#explain("a login without password: proves nothing", event);
    }
    if (this.#isExempt(event.host)) return this.#explain("exempt", event);
    // It may be counted both with its network and, from when somebody there was in good standing, by itself.
    const key = this.#key(event.host);
    let before = this.#forgive(key);
    if (key !== event.host) before = Math.max(before, this.#forgive(event.host));
    if (this.#policy.creditMs > 0) {
      this.#standing.login(event.host, now);
    } else {
      // Without credit, what follows the login in its own session still belongs to it.
      const fresh = this.#host(event, now);
      this.#attempts.set(this.#open(fresh, event, now), SUCCEEDED, 1);
      this.#settleRank(fresh);
    }
    this.#explain("a login: all points are removed", event, before, 0);
  }

  /** The patience for an attempt has run out. */
  #lapse(attempt: number, now: number): void {
    this.#stopWaiting(attempt);
    if (!this.#isStanding(this.#attempts.get(attempt, HOST), now)) {
      this.#chargeChallenge(attempt, now);
    }
  }

  #chargeChallenge(attempt: number, now: number): void {
    const attempts = this.#attempts;
    const host = attempts.get(attempt, HOST);
    const repeated = this.#hosts.get(host, POINTS) % ATTEMPT_POINTS === CHALLENGE_POINTS;
    const points = repeated ? REPEATED_CHALLENGE_POINTS : CHALLENGE_POINTS;
    attempts.set(attempt, CHARGED, points);
    this.#count(host, UNANSWERED, now);
    this.#add(host, points, attempt, now);
  }

  /**
   * Adds points to a host, which may be one too many.
   *
   * @param from the event, or the attempt that was left unanswered
   */
  #add(host: number, points: number, from: SecurityEvent | number, now: number): void {
    const hosts = this.#hosts;
    if (hosts.get(host, GONE) === 1) return;
    const sum = hosts.add(host, POINTS, points);
    const limit = this.#limit(host, now);
    if (sum < limit) {
      this.#settleRank(host);
      return;
    }
    const address = this.#lastAddresses[host]!;
    const by = typeof from === "number" ? this.#origin(from) : from;
    const offence: Offence = {
      target: keyText(this.#keys[host]!),
      address: keyText(address),
      service: by.service,
      transport: by.transport,
      account: by.account,
      points: sum,
      limit,
      inGoodStanding: this.#isStanding(host, now),
      tally: this.#tallyOf(host),
      firstAt: hosts.time(host, FIRST_AT),
      at: now,
    };
    this.#remove(host);
    this.#onOffence(offence);
  }

  /** Where an attempt came from. */
  #origin(attempt: number): Pick<Offence, "service" | "transport" | "account"> {
    return {
      service: SERVICES[this.#attempts.get(attempt, SERVICE)]!,
      transport: TRANSPORTS[this.#attempts.get(attempt, TRANSPORT)]!,
      account: this.#accounts[attempt]!,
    };
  }

  #limit(host: number, now: number): number {
    const limit = ATTEMPT_POINTS * this.#policy.loyalty;
    return this.#isStanding(host, now) ? limit * STANDING_LIMIT_FACTOR : limit;
  }

  /** Whether a host of the table is in good standing. For almost all of them its record answers that. */
  #isStanding(host: number, now: number): boolean {
    return this.#hosts.get(host, MAY_STAND) === 1 &&
      this.#inGoodStanding(this.#lastAddresses[host]!, now);
  }

  /** Any host of the table may be in good standing now, without a login. */
  #doubtStanding(): void {
    for (const host of this.#byKey.values()) this.#hosts.set(host, MAY_STAND, 1);
  }

  #inGoodStanding(address: HostKey, now: number): boolean {
    const credit = this.#policy.creditMs;
    return credit > 0 && this.#standing.has(address, now - credit);
  }

  // Hosts

  /** The host of an event, made if need be; none when it is never charged. */
  #host(event: SecurityEvent, now: number): number {
    const key = this.#key(event.host);
    return this.#hostAt(key, this.#byKey.get(key) ?? NONE, event, now);
  }

  /** The same when its key, and its record if it is in the table, are known already. */
  #hostAt(key: HostKey, present: number, event: SecurityEvent, now: number): number {
    let host = present;
    if (host === NONE) {
      if (this.#isExempt(event.host)) return NONE;
      host = this.#hosts.make();
      if (this.#inGoodStanding(event.host, now)) this.#hosts.set(host, MAY_STAND, 1);
      this.#hosts.setTime(host, FIRST_AT, now);
      this.#keys[host] = key;
      this.#byKey.set(key, host);
    } else if (now - this.#hosts.time(host, LAST_AT) > this.#policy.forgetMs) {
      this.#remove(host);
      return this.#hostAt(key, NONE, event, now);
    } else if (key !== event.host && this.#isExempt(event.host)) {
      return NONE;
    }
    this.#hosts.setTime(host, LAST_AT, now);
    this.#lastAddresses[host] = event.host;
    return host;
  }

  /** The key under which an address is counted: its prefix, unless that holds somebody who must not suffer for it. */
  #key(address: HostKey): HostKey {
    const prefix = this.#policy.ipv6Prefix;
    if (prefix >= 128 || typeof address === "number") return address;
    const network = networkOf(address, prefix);
    const shared = this.#standing.hasIn(network) || this.#policy.exempt.overlaps(network);
    return shared ? address : network;
  }

  #isExempt(address: HostKey): boolean {
    if (typeof address === "number") {
      return address >>> 24 === LOOPBACK_NETWORK || address === 0 ||
        this.#policy.exempt.hasIpv4(address);
    }
    const known = this.#exempt.get(address);
    if (known !== undefined) return known;
    const exempt = isLoopback(address) || address === "::" || this.#policy.exempt.has(address);
    if (this.#exempt.size >= EXEMPT_CACHE_MAX) this.#exempt.clear();
    this.#exempt.set(address, exempt);
    return exempt;
  }

  /** Takes a host out of the table, if it is there; the points that it had. */
  #forgive(key: HostKey): number {
    const host = this.#byKey.get(key);
    if (host === undefined) return 0;
    const points = this.#hosts.get(host, POINTS);
    this.#remove(host);
    return points;
  }

  /** Takes a host out of the table. What it says stays readable until the next host is made. */
  #remove(host: number): void {
    const hosts = this.#hosts;
    if (hosts.get(host, GONE) === 1) return;
    for (let first; (first = hosts.get(host, FIRST_ATTEMPT)) !== NONE;) this.#release(first);
    hosts.set(host, GONE, 1);
    this.#unlink(host);
    this.#byKey.delete(this.#keys[host]!);
    hosts.free(host);
  }

  /** Puts a host behind all others of its rank, and makes room if there are too many hosts. */
  #settleRank(host: number): void {
    const hosts = this.#hosts;
    if (hosts.get(host, GONE) === 1) return;
    // What an open attempt will cost counts already: a host that has just come is as guilty as those that came before it.
    const rank = hosts.get(host, POINTS) + (hosts.get(host, WAITING) > 0 ? CHALLENGE_POINTS : 0);
    let place = hosts.get(host, LIST);
    if (place === 0 || this.#ranks[place - 1]!.rank !== rank) place = this.#listOf(rank);
    else if (this.#ranks[place - 1]!.newest === host) return;
    this.#unlink(host);
    const list = this.#ranks[place - 1]!;
    hosts.set(host, LIST, place);
    hosts.set(host, OLDER_HOST, list.newest);
    if (list.newest === NONE) list.oldest = host;
    else hosts.set(list.newest, NEWER_HOST, host);
    list.newest = host;
    if (this.#byKey.size > HOSTS_MAX) this.#evict();
  }

  /** Where in the ranks the list of a rank is, counted from 1. */
  #listOf(rank: number): number {
    let place = this.#rankLists.get(rank);
    if (place === undefined) {
      place = this.#ranks.push({ rank, oldest: NONE, newest: NONE });
      this.#rankLists.set(rank, place);
    }
    return place;
  }

  #unlink(host: number): void {
    const hosts = this.#hosts;
    const place = hosts.get(host, LIST);
    if (place === 0) return;
    const list = this.#ranks[place - 1]!;
    const older = hosts.get(host, OLDER_HOST);
    const newer = hosts.get(host, NEWER_HOST);
    if (older === NONE) list.oldest = newer;
    else hosts.set(older, NEWER_HOST, newer);
    if (newer === NONE) list.newest = older;
    else hosts.set(newer, OLDER_HOST, older);
    hosts.set(host, OLDER_HOST, NONE);
    hosts.set(host, NEWER_HOST, NONE);
    hosts.set(host, LIST, 0);
  }

  /** Forgets the least guilty host. There is a list for each number of points that a host ever had: a few dozen. */
  #evict(): void {
    let least: RankList | undefined;
    for (const list of this.#ranks) {
      if (list.oldest !== NONE && (least === undefined || list.rank < least.rank)) least = list;
    }
    if (least === undefined) return;
    this.#evicted++;
    this.#remove(least.oldest);
  }

  /** Counts what a host is charged for. */
  #count(host: number, what: number, now: number): void {
    const hosts = this.#hosts;
    let counted = 0;
    for (let field = TALLY_AT; field < TALLY_AT + TALLY.length; field++) {
      counted += hosts.get(host, field);
    }
    if (counted === 0) hosts.setTime(host, FIRST_AT, now);
    hosts.add(host, what, 1);
  }

  #tallyOf(host: number): Tally {
    const tally: Tally = { wrongAnswers: 0, unanswered: 0, refusals: 0, badRequests: 0 };
    TALLY.forEach((what, i) => tally[what] = this.#hosts.get(host, TALLY_AT + i));
    return tally;
  }

  // Attempts

  #find(host: number, session: number, now: number): number {
    const attempts = this.#attempts;
    let attempt = this.#hosts.get(host, LAST_ATTEMPT);
    for (; attempt !== NONE; attempt = attempts.get(attempt, BEFORE)) {
      if (attempts.get(attempt, SESSION) !== session) continue;
      const alive = now - attempts.time(attempt, OPENED_AT) <= ATTEMPT_LIFE_MS ||
        attempts.get(attempt, IS_WAITING) === 1;
      return alive ? attempt : NONE;
    }
    return NONE;
  }

  #findOrOpen(host: number, event: SecurityEvent, now: number): number {
    const attempt = this.#find(host, event.session, now);
    return attempt === NONE ? this.#open(host, event, now) : attempt;
  }

  #open(host: number, event: SecurityEvent, now: number): number {
    const hosts = this.#hosts;
    const attempts = this.#attempts;
    for (let first; (first = hosts.get(host, FIRST_ATTEMPT)) !== NONE;) {
      const alive = attempts.get(first, IS_WAITING) === 1 ||
        now - attempts.time(first, OPENED_AT) <= ATTEMPT_LIFE_MS;
      if (alive) break;
      this.#release(first);
    }
    const attempt = attempts.make();
    attempts.setTime(attempt, OPENED_AT, now);
    attempts.set(attempt, SESSION, event.session);
    attempts.set(attempt, CHALLENGE, event.challenge);
    attempts.set(attempt, HOST, host);
    attempts.set(attempt, SERVICE, SERVICES.indexOf(event.service));
    attempts.set(attempt, TRANSPORT, TRANSPORTS.indexOf(event.transport));
    this.#accounts[attempt] = event.account;
    const last = hosts.get(host, LAST_ATTEMPT);
    attempts.set(attempt, BEFORE, last);
    if (last === NONE) hosts.set(host, FIRST_ATTEMPT, attempt);
    else attempts.set(last, AFTER, attempt);
    hosts.set(host, LAST_ATTEMPT, attempt);
    if (hosts.add(host, ATTEMPTS, 1) > ATTEMPTS_MAX) this.#makeRoom(host, attempt, now);
    return attempt;
  }

  /** Forgets the oldest attempt of a host that is settled, or else charges and forgets the oldest. */
  #makeRoom(host: number, newest: number, now: number): void {
    const attempts = this.#attempts;
    let oldest = this.#hosts.get(host, FIRST_ATTEMPT);
    for (let at = oldest; at !== NONE && at !== newest; at = attempts.get(at, AFTER)) {
      if (attempts.get(at, IS_WAITING) === 1) continue;
      oldest = at;
      break;
    }
    if (attempts.get(oldest, IS_WAITING) === 1) this.#lapse(oldest, now);
    // The charge may have been one too many: then all of them are released already.
    if (this.#hosts.get(host, GONE) === 0) this.#release(oldest);
  }

  /** Nobody asks for this attempt any more. What it says stays readable until the next one is opened. */
  #release(attempt: number): void {
    this.#stopWaiting(attempt);
    const hosts = this.#hosts;
    const attempts = this.#attempts;
    const host = attempts.get(attempt, HOST);
    const before = attempts.get(attempt, BEFORE);
    const after = attempts.get(attempt, AFTER);
    if (before === NONE) hosts.set(host, FIRST_ATTEMPT, after);
    else attempts.set(before, AFTER, after);
    if (after === NONE) hosts.set(host, LAST_ATTEMPT, before);
    else attempts.set(after, BEFORE, before);
    hosts.add(host, ATTEMPTS, -1);
    if (attempts.get(attempt, ANSWERED) > 1) this.#moreAnswers.delete(attempt);
    attempts.free(attempt);
  }

  #wait(attempt: number, now: number): void {
    const attempts = this.#attempts;
    const host = attempts.get(attempt, HOST);
    // The oldest attempt that had to make room may have been one too many.
    if (this.#hosts.get(host, GONE) === 1) return;
    attempts.set(attempt, IS_WAITING, 1);
    this.#hosts.add(host, WAITING, 1);
    attempts.set(attempt, OLDER, this.#newestWaiting);
    if (this.#newestWaiting === NONE) this.#oldestWaiting = attempt;
    else attempts.set(this.#newestWaiting, NEWER, attempt);
    this.#newestWaiting = attempt;
    if (++this.#waiting > WAITING_MAX) this.#lapse(this.#oldestWaiting, now);
  }

  #stopWaiting(attempt: number): void {
    const attempts = this.#attempts;
    if (attempts.get(attempt, IS_WAITING) === 0) return;
    attempts.set(attempt, IS_WAITING, 0);
    this.#hosts.add(attempts.get(attempt, HOST), WAITING, -1);
    this.#waiting--;
    const older = attempts.get(attempt, OLDER);
    const newer = attempts.get(attempt, NEWER);
    if (older === NONE) this.#oldestWaiting = newer;
    else attempts.set(older, NEWER, newer);
    if (newer === NONE) this.#newestWaiting = older;
    else attempts.set(newer, OLDER, older);
    attempts.set(attempt, OLDER, NONE);
    attempts.set(attempt, NEWER, NONE);
  }

  /** What the first wrong answer or refusal of an attempt adds to what it has cost: 5 in all, at least 1 after a challenge. */
  #remainder(attempt: number): number {
    const charged = this.#attempts.get(attempt, CHARGED);
    return charged === REPEATED_CHALLENGE_POINTS ? 1 : Math.max(0, ATTEMPT_POINTS - charged);
  }

  /** Whether an attempt has brought this wrong answer already. */
  #hasAnswer(attempt: number, answer: number): boolean {
    const answered = this.#attempts.get(attempt, ANSWERED);
    if (answered === 0) return false;
    if (this.#attempts.get(attempt, FIRST_ANSWER) === answer) return true;
    return answered > 1 && (this.#moreAnswers.get(attempt)?.includes(answer) ?? false);
  }

  /** Remembers a wrong answer; whether it is the first. */
  #keepAnswer(attempt: number, answer: number): boolean {
    if (this.#attempts.add(attempt, ANSWERED, 1) === 1) {
      this.#attempts.set(attempt, FIRST_ANSWER, answer);
      return true;
    }
    const more = this.#moreAnswers.get(attempt);
    if (more === undefined) this.#moreAnswers.set(attempt, [answer]);
    else {
      if (more.length >= ANSWERS_MAX) more.shift();
      more.push(answer);
    }
    return false;
  }

  #explain(what: string, event: SecurityEvent, before = 0, after = before): void {
    if (!this.explain) return;
    const limit = ATTEMPT_POINTS * this.#policy.loyalty;
    this.#charge = { what: `${event.address}: ${what}`, before, after, limit };
  }
}
