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
import {
  ipv4Number,
  ipv4Text,
  type SecurityEvent,
  type Service,
  type Transport,
} from "./ami/security_event.ts";

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

/** Most hosts in good standing; the one that logged in longest ago goes first. */
export const STANDING_MAX = 65_536;

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

/** The login of a host is written to the database at most so often, in milliseconds. */
export const SAVE_LOGIN_MS = 3_600_000;

/** A host that logs in again within this time keeps its place in the order of logins, in milliseconds. */
const LOGIN_ORDER_MS = 1_000;

/** Hosts of which it is remembered whether they are exempt. */
const EXEMPT_CACHE_MAX = 16_384;

/** First number of the addresses 127.0.0.0/8. */
const LOOPBACK_NETWORK = 127;

/** Most attempts that are kept to be used again. */
const FREE_ATTEMPTS_MAX = 65_536;

type HostKey = number | string;

interface Standing {
  /** Clock value of the last login with a password. */
  at: number;
  /** Clock value of the login that was handed out to be saved. */
  savedAt: number;
}

interface Attempt {
  session: number;
  challenge: number;
  host: Host;
  openedAt: number;
  /** Points charged for this attempt before its first wrong answer. */
  charged: number;
  waiting: boolean;
  refused: boolean;
  /** Its login succeeded (only kept without credit). */
  succeeded: boolean;
  repeats: number;
  /** Its wrong answers: how many different ones, the first, and the others if there are any. */
  answered: number;
  firstAnswer: number;
  moreAnswers: number[] | undefined;
  transport: Transport;
  service: Service;
  account: string;
  /** Neighbours among the attempts of all hosts that wait. */
  older: Attempt | undefined;
  newer: Attempt | undefined;
  /** Neighbours among the attempts of its host. */
  before: Attempt | undefined;
  after: Attempt | undefined;
}

interface Host {
  key: HostKey;
  points: number;
  lastAt: number;
  firstAt: number;
  /** Its attempts, chained by `before` and `after`: an array for each would be most of what a forged host costs. */
  first: Attempt | undefined;
  last: Attempt | undefined;
  attempts: number;
  waiting: number;
  tally: Tally | undefined;
  lastAddress: HostKey;
  list: RankList | undefined;
  /** No longer in the table: blocked, forgiven or forgotten. */
  gone: boolean;
  older: Host | undefined;
  newer: Host | undefined;
}

/** Hosts of one rank, the one not seen for longest first. */
interface RankList {
  readonly rank: number;
  oldest: Host | undefined;
  newest: Host | undefined;
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
  readonly #hosts = new Map<HostKey, Host>();
  readonly #ranks = new Map<number, RankList>();
  /** Last login with a password, by address. The oldest login comes first. */
  readonly #standing = new Map<HostKey, Standing>();
  /** Hosts whose login is to be saved. */
  #logins = new Set<HostKey>();
  /** With `ipv6Prefix` below 128: how many hosts in good standing a prefix contains. */
  readonly #standingPrefixes = new Map<string, number>();
  /** Whether the IPv6 hosts seen last are exempt: to look through all networks for each event would cost most of its time. */
  readonly #exempt = new Map<string, boolean>();
  /**
   * Objects that are not in use, chained by `older`. A flood of forged sources makes and forgets hosts as fast as they come:
   * without this the heap grows to several times of what is in use before it is collected.
   */
  #freeHosts: Host | undefined;
  #freeAttempts: Attempt | undefined;
  #freeCount = 0;
  #oldestWaiting: Attempt | undefined;
  #newestWaiting: Attempt | undefined;
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
  }

  /** Number of hosts with penalties or open attempts. */
  get size(): number {
    return this.#hosts.size;
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
    for (const host of [...this.#hosts.values()]) {
      const text = keyText(host.key);
      if ((prefixChanged && typeof host.key === "string") || policy.exempt.overlaps(text)) {
        this.#remove(host);
      }
    }
    if (!prefixChanged) return;
    this.#standingPrefixes.clear();
    for (const key of this.#standing.keys()) this.#countPrefix(key, 1);
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
          ? this.#manager(event, now, "wrongAnswers")
          : this.#answeredWrongly(event, now);
      case "FailedACL":
        return event.service === "AMI"
          ? this.#manager(event, now, "refusals")
          : this.#refused(event, now);
      case "InvalidAccountID":
        if (event.service === "AMI") return this.#manager(event, now, "wrongAnswers");
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
        return this.#manager(event, now, "badRequests");
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
    while (this.#oldestWaiting !== undefined && this.#oldestWaiting.openedAt <= before) {
      if (charged++ >= most) return false;
      this.#lapse(this.#oldestWaiting, now);
    }
    const quietSince = now - this.#policy.forgetMs;
    for (const list of this.#ranks.values()) {
      while (list.oldest !== undefined && list.oldest.lastAt < quietSince) {
        this.#remove(list.oldest);
      }
    }
    for (const [key, login] of this.#standing) {
      if (login.at >= now - this.#policy.creditMs) break;
      this.#removeStanding(key);
    }
    return true;
  }

  /** Clock value at which the oldest open attempt is to be charged, in milliseconds; `undefined` when none is open. */
  get nextDeadline(): number | undefined {
    return this.#oldestWaiting === undefined
      ? undefined
      : this.#oldestWaiting.openedAt + this.#policy.patienceMs;
  }

  /** Drops the points and open attempts of hosts within a target, as a success would. */
  pardon(target: string, overlaps: (a: string, b: string) => boolean): void {
    for (const host of [...this.#hosts.values()]) {
      if (overlaps(target, keyText(host.key))) this.#remove(host);
    }
  }

  /**
   * Puts hosts into good standing, for example those that the database remembers.
   *
   * @param logins canonical addresses with the clock value of their last login, in milliseconds
   */
  restoreStanding(logins: Iterable<readonly [address: string, at: number]>): void {
    for (const [address, at] of [...logins].sort((a, b) => a[1] - b[1])) {
      this.#setStanding(keyOf(address), at, at);
    }
  }

  /**
   * The hosts whose last login is to be saved, with its clock value: each at most once in {@linkcode SAVE_LOGIN_MS}.
   *
   * @param most hosts; the others are given by the next calls
   */
  takeLogins(most = Infinity): [address: string, at: number][] {
    const logins: [string, number][] = [];
    for (const key of this.#logins) {
      if (logins.length >= most) break;
      const login = this.#standing.get(key);
      if (login !== undefined) logins.push([keyText(key), login.at]);
      this.#logins.delete(key);
    }
    return logins;
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
    return [...this.#hosts.values()]
      .filter((host) => host.points > 0 || host.waiting > 0)
      .sort((a, b) => b.points - a.points || b.waiting - a.waiting || b.lastAt - a.lastAt)
      .slice(0, count)
      .map((host) => ({
        host: keyText(host.key),
        points: host.points,
        limit: this.#limit(host.lastAddress, now),
        tally: { ...(host.tally ?? newTally()) },
        waiting: host.waiting,
        lastAt: host.lastAt,
      }));
  }

  #challenged(event: SecurityEvent, now: number): void {
    if (this.#inGoodStanding(event.host, now)) {
      return this.#explain("a challenge to a host in good standing: not charged", event);
    }
    const host = this.#host(event, now);
    if (host === undefined) return this.#explain("exempt", event);
    const before = host.points;
    const known = this.#find(host, event.session, now);
    const atOnce = this.#policy.patienceMs === 0;
    if (known !== undefined && (!atOnce || known.refused)) {
      // chan_sip sends a new challenge for each new request, and the same one again for a repeated request.
      const repeated = event.challenge === known.challenge || known.refused || known.succeeded;
      if (repeated && ++known.repeats <= RETRANSMISSIONS_MAX) {
        this.#settleRank(host);
        return this.#explain("the same request again: not charged", event, before, host.points);
      }
    }
    const attempt = this.#open(host, event, now);
    if (atOnce) {
      this.#chargeChallenge(attempt, now);
      return this.#explain("a challenge", event, before, host.points);
    }
    this.#wait(attempt, now);
    this.#settleRank(host);
    this.#explain("a challenge: waiting for its answer", event, before, host.points);
  }

  #answeredWrongly(event: SecurityEvent, now: number): void {
    const host = this.#host(event, now);
    if (host === undefined) return this.#explain("exempt", event);
    const before = host.points;
    const attempt = this.#find(host, event.session, now) ?? this.#open(host, event, now);
    this.#stopWaiting(attempt);
    if (hasAnswer(attempt, event.answer)) {
      this.#settleRank(host);
      return this.#explain("the same wrong answer again: not charged", event, before, host.points);
    }
    const first = attempt.answered++ === 0;
    if (first) attempt.firstAnswer = event.answer;
    else {
      const more = attempt.moreAnswers ??= [];
      if (more.length >= ANSWERS_MAX) more.shift();
      more.push(event.answer);
    }
    // The first answer completes what its challenge or refusal has cost already.
    const points = !first ? ATTEMPT_POINTS : remainder(attempt);
    // The answer to a refusal is part of the refused attempt.
    if (points > 0) this.#tally(host, now).wrongAnswers++;
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
    if (host === undefined) return this.#explain("exempt", event);
    const before = host.points;
    const attempt = this.#find(host, event.session, now) ?? this.#open(host, event, now);
    this.#stopWaiting(attempt);
    if (benign && attempt.succeeded) {
      this.#settleRank(host);
      return this.#explain(
        `${event.detail} after a login: not charged`,
        event,
        before,
        host.points,
      );
    }
    if ((attempt.refused || attempt.answered > 0) && ++attempt.repeats <= REFUSALS_MAX) {
      attempt.refused = true;
      this.#settleRank(host);
      return this.#explain("the same refusal again: not charged", event, before, host.points);
    }
    if (attempt.repeats > REFUSALS_MAX) {
      attempt.repeats = 0;
      attempt.charged = 0;
    }
    attempt.refused = true;
    const points = remainder(attempt);
    attempt.charged += points;
    this.#tally(host, now).refusals++;
    this.#add(host, points, event, now);
    this.#explain("a refusal", event, before, before + points);
  }

  /** Each failed request to the manager interface is an attempt of its own: Asterisk closes the connection. */
  #manager(event: SecurityEvent, now: number, what: keyof Tally): void {
    const host = this.#host(event, now);
    if (host === undefined) return this.#explain("exempt", event);
    const before = host.points;
    this.#tally(host, now)[what]++;
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
    const key = this.#key(event.host);
    const host = this.#hosts.get(key) ?? this.#hosts.get(event.host);
    const before = host?.points ?? 0;
    if (host !== undefined) this.#remove(host);
    if (this.#policy.creditMs > 0) {
      this.#login(event.host, now);
    } else {
      // Without credit, what follows the login in its own session still belongs to it.
      const fresh = this.#host(event, now)!;
      this.#open(fresh, event, now).succeeded = true;
      this.#settleRank(fresh);
    }
    this.#explain("a login: all points are removed", event, before, 0);
  }

  /** The patience for an attempt has run out. */
  #lapse(attempt: Attempt, now: number): void {
    this.#stopWaiting(attempt);
    if (!this.#inGoodStanding(attempt.host.lastAddress, now)) this.#chargeChallenge(attempt, now);
  }

  #chargeChallenge(attempt: Attempt, now: number): void {
    const host = attempt.host;
    const repeated = host.points % ATTEMPT_POINTS === CHALLENGE_POINTS;
    attempt.charged = repeated ? REPEATED_CHALLENGE_POINTS : CHALLENGE_POINTS;
    this.#tally(host, now).unanswered++;
    this.#add(host, attempt.charged, attempt, now);
  }

  #add(
    host: Host,
    points: number,
    from: { service: Service; transport: Transport; account: string },
    now: number,
  ): void {
    if (host.gone) return;
    host.points += points;
    const limit = this.#limit(host.lastAddress, now);
    if (host.points < limit) {
      this.#settleRank(host);
      return;
    }
    this.#remove(host);
    this.#onOffence({
      target: keyText(host.key),
      address: keyText(host.lastAddress),
      service: from.service,
      transport: from.transport,
      account: from.account,
      points: host.points,
      limit,
      inGoodStanding: this.#inGoodStanding(host.lastAddress, now),
      tally: host.tally ?? newTally(),
      firstAt: host.firstAt,
      at: now,
    });
  }

  #limit(address: HostKey, now: number): number {
    const limit = ATTEMPT_POINTS * this.#policy.loyalty;
    return this.#inGoodStanding(address, now) ? limit * STANDING_LIMIT_FACTOR : limit;
  }

  // Hosts

  /** The host of an event, made if need be; `undefined` when it is never charged. */
  #host(event: SecurityEvent, now: number): Host | undefined {
    const key = this.#key(event.host);
    let host = this.#hosts.get(key);
    if (host === undefined) {
      if (this.#isExempt(event.host)) return undefined;
      host = this.#newHost(key, event.host, now);
      this.#hosts.set(key, host);
    } else if (now - host.lastAt > this.#policy.forgetMs) {
      this.#remove(host);
      return this.#host(event, now);
    } else if (key !== event.host && this.#isExempt(event.host)) {
      return undefined;
    }
    host.lastAt = now;
    host.lastAddress = event.host;
    return host;
  }

  #newHost(key: HostKey, address: HostKey, now: number): Host {
    const host = this.#freeHosts;
    if (host === undefined) {
      return {
        key,
        points: 0,
        lastAt: now,
        firstAt: now,
        first: undefined,
        last: undefined,
        attempts: 0,
        waiting: 0,
        tally: undefined,
        lastAddress: address,
        list: undefined,
        gone: false,
        older: undefined,
        newer: undefined,
      };
    }
    this.#freeHosts = host.older;
    host.key = key;
    host.points = 0;
    host.lastAt = host.firstAt = now;
    host.tally = undefined;
    host.lastAddress = address;
    host.gone = false;
    host.older = undefined;
    return host;
  }

  /** The key under which an address is counted: its prefix, unless that holds somebody who must not suffer for it. */
  #key(address: HostKey): HostKey {
    const prefix = this.#policy.ipv6Prefix;
    if (prefix >= 128 || typeof address === "number") return address;
    const network = networkOf(address, prefix);
    const shared = this.#standingPrefixes.has(network) || this.#policy.exempt.overlaps(network);
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

  /** Takes a host out of the table. What it says stays readable until the next host is made. */
  #remove(host: Host): void {
    if (host.gone) return;
    while (host.first !== undefined) this.#release(host.first);
    host.gone = true;
    this.#unlink(host);
    this.#hosts.delete(host.key);
    host.older = this.#freeHosts;
    this.#freeHosts = host;
  }

  /** Puts a host behind all others of its rank, and makes room if there are too many hosts. */
  #settleRank(host: Host): void {
    if (host.gone) return;
    // What an open attempt will cost counts already: a host that has just come is as guilty as those that came before it.
    const rank = host.points + (host.waiting > 0 ? CHALLENGE_POINTS : 0);
    let list = host.list;
    if (list === undefined || list.rank !== rank) {
      list = this.#ranks.get(rank);
      if (list === undefined) {
        list = { rank, oldest: undefined, newest: undefined };
        this.#ranks.set(rank, list);
      }
    } else if (list.newest === host) {
      return;
    }
    this.#unlink(host);
    host.list = list;
    host.older = list.newest;
    if (list.newest === undefined) list.oldest = host;
    else list.newest.newer = host;
    list.newest = host;
    if (this.#hosts.size > HOSTS_MAX) this.#evict();
  }

  #unlink(host: Host): void {
    const list = host.list;
    if (list === undefined) return;
    if (host.older === undefined) list.oldest = host.newer;
    else host.older.newer = host.newer;
    if (host.newer === undefined) list.newest = host.older;
    else host.newer.older = host.older;
    host.older = host.newer = host.list = undefined;
  }

  /** Forgets the least guilty host. There is a list for each number of points that a host ever had: a few dozen. */
  #evict(): void {
    let least: RankList | undefined;
    for (const list of this.#ranks.values()) {
      if (list.oldest !== undefined && (least === undefined || list.rank < least.rank)) {
        least = list;
      }
    }
    if (least?.oldest === undefined) return;
    this.#evicted++;
    this.#remove(least.oldest);
  }

  #tally(host: Host, now: number): Tally {
    if (host.tally === undefined) host.firstAt = now;
    return host.tally ??= newTally();
  }

  // Attempts

  #find(host: Host, session: number, now: number): Attempt | undefined {
    for (let attempt = host.last; attempt !== undefined; attempt = attempt.before) {
      if (attempt.session !== session) continue;
      if (now - attempt.openedAt <= ATTEMPT_LIFE_MS || attempt.waiting) return attempt;
      return undefined;
    }
    return undefined;
  }

  #open(host: Host, event: SecurityEvent, now: number): Attempt {
    while (
      host.first !== undefined && !host.first.waiting &&
      now - host.first.openedAt > ATTEMPT_LIFE_MS
    ) {
      this.#release(host.first);
    }
    const attempt = this.#newAttempt(host, event, now);
    attempt.before = host.last;
    if (host.last === undefined) host.first = attempt;
    else host.last.after = attempt;
    host.last = attempt;
    if (++host.attempts > ATTEMPTS_MAX) this.#makeRoom(host, attempt, now);
    return attempt;
  }

  /** Forgets the oldest attempt of a host that is settled, or else charges and forgets the oldest. */
  #makeRoom(host: Host, newest: Attempt, now: number): void {
    let oldest = host.first!;
    for (let at = host.first; at !== undefined && at !== newest; at = at.after) {
      if (at.waiting) continue;
      oldest = at;
      break;
    }
    if (oldest.waiting) this.#lapse(oldest, now);
    // The charge may have been one too many: then all of them are released already.
    if (!host.gone) this.#release(oldest);
  }

  #newAttempt(host: Host, event: SecurityEvent, now: number): Attempt {
    const attempt = this.#freeAttempts;
    if (attempt === undefined) {
      return {
        session: event.session,
        challenge: event.challenge,
        host,
        openedAt: now,
        charged: 0,
        waiting: false,
        refused: false,
        succeeded: false,
        repeats: 0,
        answered: 0,
        firstAnswer: 0,
        moreAnswers: undefined,
        transport: event.transport,
        service: event.service,
        account: event.account,
        older: undefined,
        newer: undefined,
        before: undefined,
        after: undefined,
      };
    }
    this.#freeAttempts = attempt.older;
    this.#freeCount--;
    attempt.session = event.session;
    attempt.challenge = event.challenge;
    attempt.host = host;
    attempt.openedAt = now;
    attempt.charged = 0;
    attempt.refused = false;
    attempt.succeeded = false;
    attempt.repeats = 0;
    attempt.answered = 0;
    attempt.transport = event.transport;
    attempt.service = event.service;
    attempt.account = event.account;
    attempt.older = undefined;
    return attempt;
  }

  /** Nobody asks for this attempt any more. What it says stays readable until the next one is opened. */
  #release(attempt: Attempt): void {
    this.#stopWaiting(attempt);
    const host = attempt.host;
    if (attempt.before === undefined) host.first = attempt.after;
    else attempt.before.after = attempt.after;
    if (attempt.after === undefined) host.last = attempt.before;
    else attempt.after.before = attempt.before;
    attempt.before = attempt.after = undefined;
    host.attempts--;
    attempt.moreAnswers = undefined;
    if (this.#freeCount >= FREE_ATTEMPTS_MAX) return;
    this.#freeCount++;
    attempt.older = this.#freeAttempts;
    this.#freeAttempts = attempt;
  }

  #wait(attempt: Attempt, now: number): void {
    // The oldest attempt that had to make room may have been one too many.
    if (attempt.host.gone) return;
    attempt.waiting = true;
    attempt.host.waiting++;
    attempt.older = this.#newestWaiting;
    if (this.#newestWaiting === undefined) this.#oldestWaiting = attempt;
    else this.#newestWaiting.newer = attempt;
    this.#newestWaiting = attempt;
    if (++this.#waiting > WAITING_MAX) this.#lapse(this.#oldestWaiting!, now);
  }

  #stopWaiting(attempt: Attempt): void {
    if (!attempt.waiting) return;
    attempt.waiting = false;
    attempt.host.waiting--;
    this.#waiting--;
    if (attempt.older === undefined) this.#oldestWaiting = attempt.newer;
    else attempt.older.newer = attempt.newer;
    if (attempt.newer === undefined) this.#newestWaiting = attempt.older;
    else attempt.newer.older = attempt.older;
    attempt.older = attempt.newer = undefined;
  }

  // Good standing

  #inGoodStanding(address: HostKey, now: number): boolean {
    const login = this.#standing.get(address);
    return login !== undefined && now - login.at <= this.#policy.creditMs &&
      this.#policy.creditMs > 0;
  }

  #login(address: HostKey, now: number): void {
    let login = this.#standing.get(address);
    if (login === undefined || now - login.at >= LOGIN_ORDER_MS) {
      login = this.#setStanding(address, now, login?.savedAt ?? -Infinity);
    }
    login.at = now;
    if (now - login.savedAt < SAVE_LOGIN_MS) return;
    login.savedAt = now;
    this.#logins.add(address);
  }

  #setStanding(address: HostKey, at: number, savedAt: number): Standing {
    // Deleted and added again, so that the map is in the order of the logins.
    this.#removeStanding(address);
    const login = { at, savedAt };
    this.#standing.set(address, login);
    this.#countPrefix(address, 1);
    if (this.#standing.size > STANDING_MAX) {
      for (const oldest of this.#standing.keys()) {
        this.#removeStanding(oldest);
        break;
      }
    }
    return login;
  }

  #removeStanding(address: HostKey): void {
    if (this.#standing.delete(address)) this.#countPrefix(address, -1);
  }

  #countPrefix(address: HostKey, change: 1 | -1): void {
    if (this.#policy.ipv6Prefix >= 128 || typeof address === "number") return;
    const network = networkOf(address, this.#policy.ipv6Prefix);
    const count = (this.#standingPrefixes.get(network) ?? 0) + change;
    if (count > 0) this.#standingPrefixes.set(network, count);
    else this.#standingPrefixes.delete(network);
  }

  #explain(what: string, event: SecurityEvent, before = 0, after = before): void {
    if (!this.explain) return;
    const limit = ATTEMPT_POINTS * this.#policy.loyalty;
    this.#charge = { what: `${event.address}: ${what}`, before, after, limit };
  }
}

/** What the first wrong answer or refusal of an attempt adds to what it has cost: 5 in all, at least 1 after a challenge. */
function remainder(attempt: Attempt): number {
  if (attempt.charged === REPEATED_CHALLENGE_POINTS) return 1;
  return Math.max(0, ATTEMPT_POINTS - attempt.charged);
}

/** Whether an attempt has brought this wrong answer already. */
function hasAnswer(attempt: Attempt, answer: number): boolean {
  if (attempt.answered === 0) return false;
  return attempt.firstAnswer === answer || (attempt.moreAnswers?.includes(answer) ?? false);
}

/** The canonical text of a key: an address, or a network of `ipv6Prefix`. */
function keyText(key: HostKey): string {
  return typeof key === "number" ? ipv4Text(key) : key;
}

/** The key of a canonical address. */
function keyOf(address: string): HostKey {
  return address.includes(":") ? address : ipv4Number(address);
}

function newTally(): Tally {
  return { wrongAnswers: 0, unanswered: 0, refusals: 0, badRequests: 0 };
}
