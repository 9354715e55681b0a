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

import { type AddressSet, isLoopback } from "../address/address.ts";
import { SecurityEvent, type Service, type Transport } from "../ami/event.ts";
import { ExemptFailures } from "./exempt_failures.ts";
import { FailedAccounts } from "./failed_accounts.ts";
import { Forgiveness } from "./forgiveness.ts";
import { GoodStanding } from "./good_standing.ts";
import { HostIndex } from "./host_index.ts";
import { type HostKey, HostNetworks, keyOf, keyText } from "./host_key.ts";
import { LateAttempts } from "./late_attempts.ts";
import { NetworkFailures } from "./network_failures.ts";
import { OffenceRows } from "./offence_rows.ts";
import { ProxySigns } from "./proxy_signs.ts";
import { Records } from "./records.ts";

export { SAVE_LOGIN_MS, STANDING_MAX } from "./good_standing.ts";
export { FORGIVEN_A_DAY } from "./forgiveness.ts";

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

/**
 * Most attempts of a host that are remembered; the oldest is charged when there are more. A call centre of 200 phones
 * behind one address sends 200 requests before the first answer when its power comes back.
 */
export const ATTEMPTS_MAX = 256;

/** Most attempts of all hosts that wait for an answer; the oldest is charged when there are more. */
export const WAITING_MAX = 262_144;

/**
 * How long a request may be repeated, in milliseconds: 64 × T1 (RFC 3261, section 17.1.2.2, Timer F), after which the
 * client gives up. A request of the same session after that is a new attempt.
 */
export const ATTEMPT_LIFE_MS = 32_000;

/**
 * Events of one attempt that cost nothing beside what the attempt itself costs: retransmissions of its requests within
 * 64 × T1, after 0.5, 1, 2, 4, 4 … s (RFC 3261, section 17.1.2.2, Timer E), and what a refused request raises besides.
 * Whoever chooses everything that Asterisk prints of them is charged at least once in 11 events.
 */
export const RETRANSMISSIONS_MAX = 10;

/**
 * Retransmissions come at T1 (0.5 s) and later (RFC 3261, section 17.1.2.1): of the same wrong answers within this time,
 * in milliseconds, one costs nothing (a network may double a packet), a further one is a guess.
 */
export const RETRANSMISSION_MS_MIN = 400;

/** Wrong answers of one session that are remembered to know a retransmission. */
const ANSWERS_MAX = 64;

/**
 * Different answers to one challenge that a host in good standing may give at the cost of one attempt: baresip 1.0 answers
 * fifteen times within some milliseconds and then rests. With a further one all of them are charged.
 */
export const BURST_ANSWERS_MAX = 15;

/** Such a burst is taken for one attempt once in this time, in milliseconds: after it that phone rests for 30 s and more. */
export const BURST_MS = 30_000;

/**
 * The longest registration that Asterisk grants by default, in milliseconds (PJSIP, `maximum_expiration`; chan_sip grants
 * an hour). Within this time after a login the phones of a host may all be waiting to register again, so that no login can
 * tell that they are there: the row of its short blocks does not grow beyond {@linkcode RECENT_ROW_MAX}.
 */
export const RECENT_LOGIN_MS = 7_200_000;

/** So many blocks count in the row of a host from which somebody has logged in lately: the second is the longest. */
export const RECENT_ROW_MAX = 1;

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
  /** How long the first block for a single session lasts, in milliseconds; 0: as any other. */
  readonly doubtMs?: number;
  /** IPv6 hosts are counted and blocked by prefixes of this length. */
  readonly ipv6Prefix: number;
  /** Prefixes of NAT64 beside the well-known one, canonical networks of 96 bits: behind each address is an IPv4 host. */
  readonly nat64?: readonly string[];
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
  /** What the offence rests on, which decides how long the block may last. */
  readonly grounds: Grounds;
  /** How many short blocks of this kind came before in a row: of a single session, of good standing, or of a shared network. */
  readonly row: number;
  /** The limit was reached by attempts alone whose address can't be forged; see {@linkcode SecurityEvent.provesPath}. */
  readonly proven: boolean;
  /** What it was charged for. */
  readonly tally: Tally;
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
 * - `unanswered`: without its unanswered challenges, which test no password, it would not have reached the limit.
 * - `single session`: all its wrong answers came in one session. A phone with a wrong password does that.
 * - `attempts`: several sessions.
 */
export type Grounds =
  | "good standing"
  | "shared network"
  | "unanswered"
  | "single session"
  | "attempts";

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

/** IPv6 hosts of which it is remembered whether they are exempt. */
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
/** It may be in good standing: a look at the logins is needed. */
const MAY_STAND = 9;
/** Points of unanswered challenges, which test no password. */
const SOFT = 10;
/** The session in which it failed: of none, of one, or of several. */
const FAILED_SESSION = 11;
/** Its tally, in the order of {@linkcode TALLY}. */
const TALLY_AT = 12;
const HOST_RECORDS = { times: 2, numbers: TALLY_AT + 4, room: HOSTS_MAX + 1 };

const NO_TALLY: Readonly<Tally> = { wrongAnswers: 0, unanswered: 0, refusals: 0, badRequests: 0 };
/** It failed in no session. */
const NO_SESSION = 0;
/** It failed in several sessions. */
const SEVERAL_SESSIONS = -1;
/** It failed in a session that no other failure belongs to. */
const OWN_SESSION = -2;

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
/** Points charged for it as an unanswered challenge. */
const CHARGED = 7;
const IS_WAITING = 8;
/** It was refused; its account is the one that was refused last. */
const REFUSED = 9;
/** Its login succeeded (only kept without credit). */
const SUCCEEDED = 10;
/** Events of it that cost nothing. */
const FREE = 11;
/** How many different wrong answers it has brought, and the first of them; the others are in a map. */
const ANSWERED = 12;
const FIRST_ANSWER = 13;
/** Service and transport. */
const ORIGIN = 14;
/** Answers of a burst that were not charged. */
const BURST = 15;
/**
 * Attempts that do not wait any more may need more room: up to {@linkcode ATTEMPTS_MAX} of each host. Sixteen numbers are
 * a line of the processor's cache.
 */
const ATTEMPT_RECORDS = { times: 1, numbers: 16, room: WAITING_MAX };

/** What the record of an attempt has numbers for. */
const SERVICES: readonly Service[] = ["PJSIP", "SIP", "AMI", "IAX2"];
const TRANSPORTS: readonly Transport[] = ["", "UDP", "TCP", "TLS", "WS", "WSS"];

/** Ranks whose lists are found without a search: those of all hosts with the default limit. */
const LOW_RANKS = 256;

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
 * import { AddressSet } from "../address/address.ts";
 * import { PenaltyTable } from "./penalty_table.ts";
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
  readonly #byKey = new HostIndex();
  readonly #hosts = new Records(HOST_RECORDS);
  /** Key of each host, by its record. */
  readonly #keys: HostKey[] = [0];
  readonly #attempts = new Records(ATTEMPT_RECORDS);
  /** Account of each attempt, by its record. */
  readonly #accounts: string[] = [""];
  /** Wrong answers of attempts beside the first, by record: only nonce reuse has them. */
  readonly #moreAnswers = new Map<number, number[]>();
  readonly #ranks: RankList[] = [];
  /** Where in the ranks a rank is, counted from 1. */
  readonly #rankLists = new Map<number, number>();
  /** The same for the ranks that almost all hosts have. */
  readonly #lowRankLists: number[] = new Array(LOW_RANKS).fill(0);
  /** The lowest rank first. */
  readonly #ascending: RankList[] = [];
  #networks: HostNetworks;
  readonly #standing: GoodStanding;
  /** Clock value of the last burst of answers of a host that was taken for one attempt. */
  readonly #burstAt = new Map<number, number>();
  /** Clock value of the last repetition of a wrong answer that cost nothing, by attempt. */
  readonly #repeatedAt = new Map<number, number>();
  readonly #accountsFailed = new FailedAccounts();
  readonly #forgiveness = new Forgiveness(ATTEMPT_POINTS);
  /** Blocks for a single session. */
  readonly #doubts = new OffenceRows();
  /** Blocks in good standing, and of shared networks. */
  readonly #shortBlocks = new OffenceRows();
  readonly #networkFailures = new NetworkFailures();
  readonly #late = new LateAttempts();
  readonly #proxies = new ProxySigns();
  readonly #exemptFailures = new ExemptFailures();
  /** The last InvalidAccountID of PJSIP, and when it came, while nothing more was said of its request. */
  #unknownWaits = false;
  #unknownAt = 0;
  #unknownHost: HostKey = 0;
  #unknownSession = 0;
  #unknownTransport: Transport = "";
  /** Until then unanswered challenges cost nothing: who belongs here is not known yet. */
  #learnsUntil = -Infinity;
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
    this.#networks = new HostNetworks(policy.ipv6Prefix, policy.nat64 ?? []);
    this.#networkFailures.setForget(policy.forgetMs);
    this.#standing = new GoodStanding(this.#networks);
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
    const prefixChanged = policy.ipv6Prefix !== this.#policy.ipv6Prefix ||
      String(policy.nat64 ?? []) !== String(this.#policy.nat64 ?? []);
    this.#policy = policy;
    this.#networkFailures.setForget(policy.forgetMs);
    this.#exempt.clear();
    for (const [key, host] of [...this.#byKey.entries()]) {
      const text = keyText(key);
      if (policy.exempt.overlaps(text)) this.#remove(host);
    }
    if (prefixChanged) {
      this.#networks = new HostNetworks(policy.ipv6Prefix, policy.nat64 ?? []);
      this.#standing.setNetworks(this.#networks);
      this.#networkFailures.clear();
    }
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
    if (this.#unknownWaits) this.#meetUnknown(event);
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
        if (event.service === "PJSIP") return this.#unknown(event, now);
        return this.#refused(event, now);
      case "RefusedMessage":
        return this.#failed(event, now, WRONG_ANSWERS, "a message that was refused");
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
    if (this.#unknownWaits) this.#meetUnknown();
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
    this.#late.expire(now);
    return true;
  }

  /**
   * Nobody is known yet: until a clock value, challenges may stay unanswered at no cost, because phones that registered
   * before may ping.
   *
   * @param until clock value, in milliseconds
   */
  learnUntil(until: number): void {
    this.#learnsUntil = until;
  }

  /** Whether challenges may stay unanswered at no cost yet; see {@linkcode PenaltyTable.learnUntil}. */
  isLearning(now: number): boolean {
    return now < this.#learnsUntil;
  }

  /** The hosts whose attempts were under way when they were blocked, and how many these were; each is told once. */
  takeLate(): [target: string, attempts: number][] {
    return this.#late.takeExpired().map(([key, attempts]) => [keyText(key), attempts]);
  }

  /** The failures of hosts that are never charged, since the last call. */
  takeExemptFailures(): [address: string, failures: number][] {
    return this.#exemptFailures.take().map(([key, failures]) => [keyText(key), failures]);
  }

  /** Addresses that turned out to hide many callers, since the last call. */
  takeProxies(): KnownProxy[] {
    return this.#proxies.takeFound().map(({ host, ...sign }) => ({
      address: keyText(host),
      ...sign,
    }));
  }

  /** Addresses that hide many callers, since the start. */
  get proxies(): number {
    return this.#proxies.count;
  }

  /**
   * Who is in good standing in a network, and has not failed there.
   *
   * @param network an IPv6 network of `ipv6Prefix`
   * @returns canonical addresses
   */
  innocentIn(network: string): string[] {
    // Hundreds of networks may be blocked in a moment, and almost none holds anybody.
    if (!this.#standing.hasIn(network)) return [];
    return this.#standing.addressesIn(network).filter((address) => {
      const host = this.#byKey.get(address);
      return (host === NONE || this.#hosts.get(host, POINTS) === 0) &&
        !this.#shortBlocks.has(address);
    });
  }

  /** Clock value at which the oldest open attempt is to be charged, in milliseconds; `undefined` when none is open. */
  get nextDeadline(): number | undefined {
    return this.#oldestWaiting === NONE
      ? undefined
      : this.#attempts.time(this.#oldestWaiting, OPENED_AT) + this.#policy.patienceMs;
  }

  /** Drops the points and open attempts of hosts within a target, as a success would. */
  pardon(target: string, overlaps: (a: string, b: string) => boolean): void {
    for (const [key, host] of [...this.#byKey.entries()]) {
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
   * Puts hosts into good standing that are registered at Asterisk, though their login was not seen.
   *
   * @param addresses canonical addresses
   * @param now clock value, in milliseconds
   * @returns how many were not known yet
   */
  assumeStanding(addresses: Iterable<string>, now: number): number {
    let count = 0;
    for (const address of addresses) {
      if (this.#standing.assume(keyOf(address), now)) count++;
    }
    this.#doubtStanding();
    return count;
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

  /**
   * PJSIP says that an account is unknown, and in the same breath challenges or refuses it all the same: then that costs
   * what it costs. Only if it does not, this counts as a challenge; so it is kept until the next event.
   */
  #unknown(event: SecurityEvent, now: number): void {
    this.#unknownHost = event.host;
    this.#unknownSession = event.session;
    this.#unknownTransport = event.transport;
    this.#unknownAt = now;
    this.#unknownWaits = true;
    this.#explain("an unknown account: its challenge is charged", event);
  }

  #meetUnknown(event?: SecurityEvent): void {
    this.#unknownWaits = false;
    if (event?.session === this.#unknownSession && event.host === this.#unknownHost) return;
    // Without patience the challenge would be charged once more, should it come after an event of somebody else.
    if (this.#policy.patienceMs === 0) return;
    const unknown = new SecurityEvent();
    unknown.service = "PJSIP";
    unknown.host = this.#unknownHost;
    unknown.session = this.#unknownSession;
    unknown.transport = this.#unknownTransport;
    this.#challenged(unknown, this.#unknownAt);
  }

  #challenged(event: SecurityEvent, now: number): void {
    const key = event.host;
    const present = this.#byKey.get(key);
    if (
      (present === NONE || this.#hosts.get(present, MAY_STAND) === 1) &&
      this.#inGoodStanding(event.host, now)
    ) {
      return this.#explain("a challenge to a host in good standing: not charged", event);
    }
    // A phone takes another address of its IPv6 network every day (RFC 8981, section 3.8).
    if (typeof key === "string" && this.#isNetworkStanding(key)) {
      return this.#explain("a challenge to a network in good standing: not charged", event);
    }
    const host = this.#hostAt(key, present, false, now);
    if (host === NONE) return this.#explain("exempt", event);
    const attempts = this.#attempts;
    const before = this.#hosts.get(host, POINTS);
    const known = this.#find(host, event.session, now);
    const atOnce = this.#policy.patienceMs === 0;
    if (known !== NONE && (!atOnce || attempts.get(known, REFUSED) === 1)) {
      // chan_sip sends a new challenge for each new request, and the same one again for a repeated request.
      const repeated = event.service === "PJSIP" ||
        event.challenge === attempts.get(known, CHALLENGE) ||
        attempts.get(known, REFUSED) === 1 || attempts.get(known, SUCCEEDED) === 1;
      if (repeated && this.#isFree(known)) {
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
    if (host === NONE) return this.#exemptFailed(event);
    const attempts = this.#attempts;
    const before = this.#hosts.get(host, POINTS);
    const attempt = this.#findOrOpen(host, event, now);
    this.#stopWaiting(attempt);
    if (this.#isRetransmission(attempt, event, now)) {
      this.#settleRank(host);
      return this.#explain("the same wrong answer again: not charged", event, before);
    }
    const first = this.#keepAnswer(attempt, event.answer);
    // The first answer to a refusal is part of the refused attempt.
    if (first && attempts.get(attempt, REFUSED) === 1 && this.#isFree(attempt)) {
      this.#settleRank(host);
      return this.#explain("an answer to a refusal: not charged", event, before);
    }
    if (!first && this.#isInBurst(host, attempt, event, now)) {
      this.#settleRank(host);
      return this.#explain("one more answer of a burst: not charged", event, before);
    }
    // The first answer completes what its challenge has cost already.
    const points = first && attempts.get(attempt, REFUSED) === 0
      ? this.#remainder(attempt)
      // Whoever goes on and on was not a phone: what was taken for its burst is charged now.
      : ATTEMPT_POINTS * (1 + attempts.get(attempt, BURST));
    this.#count(host, WRONG_ANSWERS, now);
    this.#hosts.add(host, WRONG_ANSWERS, attempts.get(attempt, BURST));
    attempts.set(attempt, BURST, 0);
    if (first && attempts.get(attempt, REFUSED) === 0) this.#harden(host, attempt);
    this.#fail(host, points, event, now, this.#sessionOf(event));
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
    if (host === NONE) return this.#exemptFailed(event);
    const attempts = this.#attempts;
    const before = this.#hosts.get(host, POINTS);
    const attempt = this.#findOrOpen(host, event, now);
    this.#stopWaiting(attempt);
    if (benign && attempts.get(attempt, SUCCEEDED) === 1 && this.#isFree(attempt)) {
      this.#settleRank(host);
      return this.#explain(`${event.detail} after a login: not charged`, event, before);
    }
    const account = event.account;
    const further = attempts.get(attempt, REFUSED) === 1;
    const again = further
      ? this.#accounts[attempt] === account
      : attempts.get(attempt, ANSWERED) > 0;
    attempts.set(attempt, REFUSED, 1);
    this.#accounts[attempt] = account;
    if (again && this.#isFree(attempt)) {
      this.#settleRank(host);
      return this.#explain("the same refusal again: not charged", event, before);
    }
    const points = again || further ? ATTEMPT_POINTS : this.#remainder(attempt);
    if (!further) this.#harden(host, attempt);
    this.#count(host, REFUSALS, now);
    this.#fail(host, points, event, now, this.#sessionOf(event));
    this.#explain("a refusal", event, before, before + points);
  }

  /** Each failed request to the manager interface is an attempt of its own: Asterisk closes the connection. */
  #manager(event: SecurityEvent, now: number, what: number): void {
    this.#failed(event, now, what, "a failed request to the manager interface");
  }

  /** An attempt of one event. */
  #failed(event: SecurityEvent, now: number, what: number, why: string): void {
    const host = this.#host(event, now);
    if (host === NONE) return this.#exemptFailed(event);
    const before = this.#hosts.get(host, POINTS);
    this.#count(host, what, now);
    // SessionID is the place of the session in Asterisk's memory, which the next session gets again.
    this.#fail(host, ATTEMPT_POINTS, event, now, OWN_SESSION);
    this.#explain(why, event, before, before + ATTEMPT_POINTS);
  }

  #exemptFailed(event: SecurityEvent): void {
    this.#exemptFailures.add(event.host);
    this.#explain("exempt", event);
  }

  #succeeded(event: SecurityEvent, now: number, obey: boolean): void {
    if (!obey) return this.#explain("not to be believed", event);
    // AMI never lets anybody in without a secret, and always prints 0 (`manager.c`, report_auth_success).
    if (!event.usingPassword && event.service !== "AMI") {
      return this.#explain("a login without password: proves nothing", event);
    }
    if (this.#isExempt(event.host)) return this.#explain("exempt", event);
    const before = this.#forgive(event, now);
    this.#doubts.end(event.host);
    this.#shortBlocks.end(event.host);
    const network = this.#networkOf(event.host);
    // Whoever is new in a network shows that it is not only the guesser's.
    if (network !== undefined && !this.#standing.knows(event.host)) this.#shortBlocks.end(network);
    if (this.#policy.creditMs > 0) {
      const watched = this.#standing.login(event.host, now);
      if (watched) this.#proxies.succeeded(event.host, event.account);
    } else {
      // Without credit, what follows the login in its own session still belongs to it.
      const fresh = this.#host(event, now);
      this.#attempts.set(this.#open(fresh, event, now), SUCCEEDED, 1);
      this.#settleRank(fresh);
    }
    const host = this.#byKey.get(event.host);
    const after = host === NONE ? 0 : this.#hosts.get(host, POINTS);
    this.#explain(
      after === 0
        ? "a login: all points are removed"
        : "a login: the points of its account are removed",
      event,
      before,
      after,
    );
  }

  /** The patience for an attempt has run out. */
  #lapse(attempt: number, now: number): void {
    this.#stopWaiting(attempt);
    const host = this.#attempts.get(attempt, HOST);
    if (this.#isStanding(host, now) || this.#isNetworkStanding(this.#keys[host]!)) return;
    this.#chargeChallenge(attempt, now);
  }

  #chargeChallenge(attempt: number, now: number): void {
    const attempts = this.#attempts;
    const host = attempts.get(attempt, HOST);
    if (this.isLearning(now)) return this.#settleRank(host);
    const repeated = this.#hosts.get(host, POINTS) % ATTEMPT_POINTS === CHALLENGE_POINTS;
    const points = repeated ? REPEATED_CHALLENGE_POINTS : CHALLENGE_POINTS;
    attempts.set(attempt, CHARGED, points);
    this.#hosts.add(host, SOFT, points);
    this.#count(host, UNANSWERED, now);
    this.#add(host, points, attempt, now);
  }

  /** What was charged as an unanswered challenge has become an attempt. */
  #harden(host: number, attempt: number): void {
    const attempts = this.#attempts;
    if (attempts.get(attempt, CHARGED) === 0) return;
    attempts.set(attempt, CHARGED, 0);
    this.#hosts.add(host, SOFT, -CHALLENGE_POINTS);
  }

  /**
   * A host has failed: what it costs is on its account, in its session.
   *
   * @param session in which
   */
  #fail(
    host: number,
    points: number,
    event: SecurityEvent,
    now: number,
    session: number,
  ): void {
    const hosts = this.#hosts;
    const key = this.#keys[host]!;
    this.#late.count(key);
    // To make room for this attempt an older one was charged, which was one too many.
    if (hosts.get(host, GONE) === 1) return;
    // What its challenge has cost counts from now on as failed.
    const cost = points < ATTEMPT_POINTS ? ATTEMPT_POINTS : points;
    this.#accountsFailed.add(host, event, cost, event.provesPath);
    const before = hosts.get(host, FAILED_SESSION);
    if (before === NO_SESSION) hosts.set(host, FAILED_SESSION, session);
    else if (before !== session || session === OWN_SESSION) {
      hosts.set(host, FAILED_SESSION, SEVERAL_SESSIONS);
    }
    const standing = this.#isStanding(host, now);
    // Whoever mistypes once or twice is not watched for a proxy.
    if (standing && hosts.get(host, POINTS) >= 2 * ATTEMPT_POINTS) {
      this.#proxies.failed(key, event.account, now);
      this.#standing.watch(key);
    }
    const network = this.#networkOf(key);
    if (network !== undefined) {
      const how = { standing, proven: event.provesPath };
      this.#networkFailures.add(network, key as string, cost, how, now);
    }
    this.#add(host, points, event, now);
    if (network !== undefined) this.#judgeNetwork(network, host, standing, event, now);
  }

  /** The hosts of an IPv6 network may be one guesser: whether they have gone too far together. */
  #judgeNetwork(
    network: string,
    host: number,
    standing: boolean,
    event: SecurityEvent,
    now: number,
  ): void {
    const limit = ATTEMPT_POINTS * this.#policy.loyalty;
    const shared = this.#standing.hasIn(network) || this.#policy.exempt.overlaps(network);
    const alone = this.#hosts.get(host, GONE) === 1;
    const limits = { strange: limit, own: limit * STANDING_LIMIT_FACTOR };
    const { verdict, points, proven, firstAt } = this.#networkFailures.judge(
      network,
      limits,
      shared,
      standing,
    );
    // Its last host may have gone too far by itself: then it is blocked already.
    if (verdict === "nothing" || (verdict === "host" && alone)) return;
    const target = verdict === "host" ? event.address : network;
    const grounds = shared ? "shared network" : "attempts";
    this.#late.blocked(verdict === "host" ? event.host : network, now);
    this.#onOffence({
      target,
      address: event.address,
      service: event.service,
      transport: event.transport,
      account: event.account,
      points,
      limit,
      grounds,
      row: this.#rowOf(network, grounds, now),
      proven,
      tally: { ...NO_TALLY, wrongAnswers: Math.ceil(points / ATTEMPT_POINTS) },
      firstAt,
      at: now,
    });
    // A host that is blocked begins anew; in a network it keeps its points, by which it is not innocent there.
    if (verdict === "host") {
      this.#shortBlocks.next(event.host, now, this.#policy.creditMs);
      this.#remove(host);
    }
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
    const key = this.#keys[host]!;
    const by = typeof from === "number" ? this.#origin(from) : from;
    const grounds = this.#groundsOf(host, limit, now);
    const { doubtMs = 0 } = this.#policy;
    if (grounds === "single session" && doubtMs > 0 && this.#doubts.forbears(key, now, doubtMs)) {
      return this.#forbear(host);
    }
    const offence: Offence = {
      target: keyText(key),
      address: keyText(key),
      service: by.service,
      transport: by.transport,
      account: by.account,
      points: sum,
      limit,
      grounds,
      row: this.#rowOf(key, grounds, now),
      proven: this.#accountsFailed.provenOf(host) >= limit,
      tally: this.#tallyOf(host),
      firstAt: hosts.time(host, FIRST_AT),
      at: now,
    };
    this.#remove(host);
    this.#late.blocked(key, now);
    this.#onOffence(offence);
  }

  #groundsOf(host: number, limit: number, now: number): Grounds {
    const hosts = this.#hosts;
    if (this.#isStanding(host, now)) return "good standing";
    if (hosts.get(host, POINTS) - hosts.get(host, SOFT) < limit) return "unanswered";
    return hosts.get(host, FAILED_SESSION) === SEVERAL_SESSIONS ? "attempts" : "single session";
  }

  #rowOf(key: HostKey, grounds: Grounds, now: number): number {
    const { forgetMs, creditMs } = this.#policy;
    if (grounds === "single session") return this.#doubts.next(key, now, forgetMs);
    if (grounds === "good standing" || grounds === "shared network") {
      const recent = grounds === "good standing" && this.#standing.has(key, now - RECENT_LOGIN_MS);
      const most = recent ? RECENT_ROW_MAX : Infinity;
      return this.#shortBlocks.next(key, now, Math.max(creditMs, forgetMs), most);
    }
    return 0;
  }

  /** Where an attempt came from. */
  #origin(attempt: number): Pick<Offence, "service" | "transport" | "account"> {
    const origin = this.#attempts.get(attempt, ORIGIN);
    return {
      service: SERVICES[Math.trunc(origin / TRANSPORTS.length)]!,
      transport: TRANSPORTS[origin % TRANSPORTS.length]!,
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
      this.#inGoodStanding(this.#keys[host]!, now);
  }

  /** Whether an IPv6 host has a neighbour that logged in: it may be the same phone under another address. */
  #isNetworkStanding(address: HostKey): boolean {
    const network = this.#networkOf(address);
    return network !== undefined && this.#standing.hasIn(network);
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
    const key = event.host;
    return this.#hostAt(key, this.#byKey.get(key), true, now);
  }

  /**
   * The same when its record, if it is in the table, is known already.
   *
   * @param mayStand false if it is known not to be in good standing, which saves a look
   */
  #hostAt(key: HostKey, present: number, mayStand: boolean, now: number): number {
    let host = present;
    if (host === NONE) {
      if (this.#isExempt(key)) return NONE;
      host = this.#hosts.make();
      if (mayStand && this.#inGoodStanding(key, now)) this.#hosts.set(host, MAY_STAND, 1);
      this.#hosts.setTime(host, FIRST_AT, now);
      this.#keys[host] = key;
      this.#byKey.set(key, host);
    } else if (now - this.#hosts.time(host, LAST_AT) > this.#policy.forgetMs) {
      this.#remove(host);
      return this.#hostAt(key, NONE, mayStand, now);
    }
    this.#hosts.setTime(host, LAST_AT, now);
    return host;
  }

  /** The IPv6 network with which an address is counted; none where each address is a host. */
  #networkOf(address: HostKey): string | undefined {
    if (typeof address === "number") return undefined;
    const network = this.#networks.of(address);
    return network === address ? undefined : network;
  }

  #isExempt(address: HostKey): boolean {
    if (typeof address === "number") {
      return address >>> 24 === LOOPBACK_NETWORK || address === 0 ||
        this.#policy.exempt.hasIpv4(address);
    }
    const known = this.#exempt.get(address);
    if (known !== undefined) return known;
    const behind = this.#networks.ipv4Of(address);
    const exempt = isLoopback(address) || address === "::" || this.#policy.exempt.has(address) ||
      (behind !== undefined && this.#policy.exempt.has(behind));
    if (this.#exempt.size >= EXEMPT_CACHE_MAX) this.#exempt.clear();
    this.#exempt.set(address, exempt);
    return exempt;
  }

  /**
   * A login from a host forgives its unanswered challenges, its failures on that account, and so many others as are
   * forgiven in a day.
   *
   * @returns the points that it had
   */
  #forgive(event: SecurityEvent, now: number): number {
    const host = this.#byKey.get(event.host);
    if (host === NONE) return 0;
    const hosts = this.#hosts;
    const before = hosts.get(host, POINTS);
    if (hosts.get(host, FAILED_SESSION) === NO_SESSION) {
      this.#remove(host);
      return before;
    }
    const failed = before - hosts.get(host, SOFT);
    // chan_sip prints the dialled number for the account of a call: it proves nothing about the failures on that.
    const own = event.service === "SIP" ? 0 : this.#accountsFailed.forgive(host, event);
    const network = this.#networkOf(event.host);
    const payer = network ?? event.host;
    const left = this.#policy.creditMs > 0 ? this.#forgiveness.left(payer, now) : 0;
    const others = this.#accountsFailed.forgiveAny(host, Math.max(0, Math.min(failed - own, left)));
    this.#forgiveness.use(payer, others, now);
    const rest = Math.max(0, failed - own - others);
    if (network !== undefined) {
      this.#networkFailures.forgive(network, event.address, own + others, rest);
    }
    if (rest === 0) {
      this.#remove(host);
      return before;
    }
    hosts.set(host, MAY_STAND, 1);
    this.#leave(host, own + others, rest);
    return before;
  }

  /** Of all that a host has failed one attempt is left. */
  #forbear(host: number): void {
    const failed = this.#hosts.get(host, POINTS) - this.#hosts.get(host, SOFT);
    const forborne = this.#accountsFailed.forgiveAny(host, failed - ATTEMPT_POINTS);
    const key = this.#keys[host]!;
    const network = this.#networkOf(key);
    if (network !== undefined) {
      this.#networkFailures.forgive(network, keyText(key), forborne, ATTEMPT_POINTS);
    }
    this.#leave(host, forborne, ATTEMPT_POINTS);
  }

  /**
   * Points of a host are gone, and with them its unanswered challenges.
   *
   * @param forgiven points that it failed
   * @param rest points that it has left
   */
  #leave(host: number, forgiven: number, rest: number): void {
    const hosts = this.#hosts;
    for (let at = hosts.get(host, FIRST_ATTEMPT); at !== NONE;) {
      this.#stopWaiting(at);
      this.#attempts.set(at, CHARGED, 0);
      at = this.#attempts.get(at, AFTER);
    }
    hosts.set(host, POINTS, rest);
    hosts.set(host, SOFT, 0);
    this.#accountsFailed.forgiveProven(host, forgiven);
    this.#forgiveTally(host, Math.floor(forgiven / ATTEMPT_POINTS));
    this.#settleRank(host);
  }

  /** Attempts that were forgiven are not told of later. */
  #forgiveTally(host: number, attempts: number): void {
    const hosts = this.#hosts;
    hosts.set(host, UNANSWERED, 0);
    let left = attempts;
    for (const field of [WRONG_ANSWERS, REFUSALS, BAD_REQUESTS]) {
      const part = Math.min(left, hosts.get(host, field));
      hosts.add(host, field, -part);
      left -= part;
    }
  }

  /** Takes a host out of the table. What it says stays readable until the next host is made. */
  #remove(host: number): void {
    const hosts = this.#hosts;
    if (hosts.get(host, GONE) === 1) return;
    for (let first; (first = hosts.get(host, FIRST_ATTEMPT)) !== NONE;) this.#release(first);
    hosts.set(host, GONE, 1);
    this.#unlink(host);
    if (hosts.get(host, FAILED_SESSION) !== NO_SESSION) this.#forgetFailures(host);
    this.#byKey.delete(this.#keys[host]!);
    hosts.free(host);
  }

  /** What is known of a host beside its record goes with it. */
  #forgetFailures(host: number): void {
    this.#accountsFailed.remove(host);
    this.#burstAt.delete(host);
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
    const low = rank < LOW_RANKS;
    let place = low ? this.#lowRankLists[rank]! : this.#rankLists.get(rank) ?? 0;
    if (place === 0) {
      const list: RankList = { rank, oldest: NONE, newest: NONE };
      place = this.#ranks.push(list);
      if (low) this.#lowRankLists[rank] = place;
      else this.#rankLists.set(rank, place);
      const higher = this.#ascending.findIndex((other) => other.rank > rank);
      this.#ascending.splice(higher < 0 ? this.#ascending.length : higher, 0, list);
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
    for (const { oldest } of this.#ascending) {
      if (oldest === NONE) continue;
      this.#evicted++;
      this.#remove(oldest);
      return;
    }
  }

  /** Counts what a host is charged for. */
  #count(host: number, what: number, now: number): void {
    const hosts = this.#hosts;
    if (hosts.get(host, POINTS) === 0) hosts.setTime(host, FIRST_AT, now);
    hosts.add(host, what, 1);
  }

  #tallyOf(host: number): Tally {
    const tally: Tally = { ...NO_TALLY };
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
    attempts.set(
      attempt,
      ORIGIN,
      SERVICES.indexOf(event.service) * TRANSPORTS.length + TRANSPORTS.indexOf(event.transport),
    );
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
    if (attempts.get(attempt, FREE) > 0) this.#repeatedAt.delete(attempt);
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

  /** Whether one more event of an attempt costs nothing. */
  #isFree(attempt: number): boolean {
    if (this.#attempts.get(attempt, FREE) >= RETRANSMISSIONS_MAX) return false;
    this.#attempts.add(attempt, FREE, 1);
    return true;
  }

  /**
   * Whether a wrong answer is the retransmission of one that was charged. What Asterisk prints of two answers may look
   * alike although they differ, and a client has a say in that: so only what can be a retransmission is taken for one.
   */
  #isRetransmission(attempt: number, event: SecurityEvent, now: number): boolean {
    if (!event.hasAnswer || !this.#hasAnswer(attempt, event.answer)) return false;
    // TCP and what stands on it never retransmits (RFC 3261, section 17.1.2.2).
    if (event.transport !== "UDP" && event.transport !== "") return false;
    const last = this.#repeatedAt.get(attempt);
    if (last !== undefined && now - last < RETRANSMISSION_MS_MIN) return false;
    if (!this.#isFree(attempt)) return false;
    this.#repeatedAt.set(attempt, now);
    return true;
  }

  /** Whether a further wrong answer of a host in good standing is part of a burst that counts as one attempt. */
  #isInBurst(host: number, attempt: number, event: SecurityEvent, now: number): boolean {
    if (!event.hasAnswer || !this.#isStanding(host, now)) return false;
    const burst = this.#attempts.get(attempt, BURST);
    if (burst === 0) {
      const last = this.#burstAt.get(host);
      if (last !== undefined && now - last < BURST_MS) return false;
      if (this.#attempts.get(attempt, ANSWERED) !== 2) return false;
      this.#burstAt.set(host, now);
    }
    // The first one is charged.
    if (burst >= BURST_ANSWERS_MAX - 1) return false;
    this.#attempts.add(attempt, BURST, 1);
    return true;
  }

  /** What tells the session of a failure from others: chan_sip may use a SessionID again, but not with the same challenge. */
  #sessionOf(event: SecurityEvent): number {
    const session = event.service === "SIP" ? event.session ^ event.challenge : event.session;
    return session === NO_SESSION || session === SEVERAL_SESSIONS || session === OWN_SESSION
      ? 1
      : session;
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
