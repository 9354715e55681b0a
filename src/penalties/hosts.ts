/**
 * The hosts of the penalty table: who they are, and what they have cost so far.
 *
 * @module
 */

import { HostIndex } from "./host_index.ts";
import { type HostKey, keyText } from "./host_key.ts";
import type { Tally } from "./offence.ts";
import { RecordList } from "./record_list.ts";
import { Records } from "./records.ts";

/**
 * Most hosts with penalties. The least guilty go first, among equals the one not seen for longest.
 */
export const HOSTS_MAX = 65_536;

/** No host, or no attempt. */
export const NONE = 0;

// The times and numbers of a host's record. What is read of a host that is gone must not be the
// first number.
/** Clock value of its last event. */
export const LAST_AT = 0;
/** Clock value of the first attempt that was charged. */
export const FIRST_AT = 1;
/** Its attempts, chained by BEFORE and AFTER. */
export const FIRST_ATTEMPT = 0;
export const LAST_ATTEMPT = 1;
export const ATTEMPTS = 2;
/** Attempts that wait for an answer. */
export const WAITING = 3;
export const POINTS = 4;
/** No longer in the table: blocked, forgiven or forgotten. */
export const GONE = 5;
/** Neighbours among the hosts of its rank. */
const OLDER_HOST = 6;
const NEWER_HOST = 7;
/** Which of the lists of ranks it is in, counted from 1; 0: in none. */
const LIST = 8;
/** Set if a lookup of good standing is needed; 0 saves it for strangers. */
export const MAYBE_STANDING = 9;
/** Points of unanswered challenges, which test no password. */
export const SOFT = 10;
/** The session in which it failed: of none, of one, or of several. */
export const FAILED_SESSION = 11;
/** Whether it has one attempt only: 0 until that is asked. */
export const STRICT = 12;
/** Its tally, in the order of {@linkcode TALLY}. */
export const TALLY_AT = 13;
const HOST_RECORDS = { times: 2, numbers: TALLY_AT + 6, room: HOSTS_MAX + 1 };
export const NO_TALLY: Readonly<Tally> = {
  wrongAnswers: 0,
  unanswered: 0,
  refusals: 0,
  badRequests: 0,
  strangeCalls: 0,
  reports: 0,
};
/** It failed in no session. */
export const NO_SESSION = 0;
/** It failed in several sessions. */
export const SEVERAL_SESSIONS = -1;
/** It failed in a session that no other failure belongs to. */
export const OWN_SESSION = -2;
export const TALLY = [
  "wrongAnswers",
  "unanswered",
  "refusals",
  "badRequests",
  "strangeCalls",
  "reports",
] as const;
export const WRONG_ANSWERS = TALLY_AT;
export const UNANSWERED = TALLY_AT + 1;
export const REFUSALS = TALLY_AT + 2;
export const BAD_REQUESTS = TALLY_AT + 3;
export const STRANGE_CALLS = TALLY_AT + 4;
export const REPORTS = TALLY_AT + 5;

/** Ranks whose lists are found without a search: those of all hosts with the default limit. */
const LOW_RANKS = 256;

/** Points of a challenge that was left unanswered; an open one counts so for the rank. */
export const CHALLENGE_POINTS = 4;

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

/**
 * The hosts that have penalties or open attempts, each as a record of numbers, in the order of
 * their guilt.
 *
 * @example
 * ```ts
 * import { Hosts, POINTS } from "./hosts.ts";
 *
 * const hosts = new Hosts();
 * const host = hosts.make(0x0a000001, 1_000); // 10.0.0.1
 * hosts.records.set(host, POINTS, 5);
 * hosts.settle(host);
 * console.log(hosts.find(0x0a000001) === host); // true
 * ```
 */
export class Hosts {
  /** What is known of each host. */
  readonly records = new Records(HOST_RECORDS);
  readonly #index = new HostIndex();
  /** Key of each host, by its record. */
  readonly #keys: HostKey[] = [0];
  /** The hosts of each rank, the one not seen for longest first. Rank 0 is none. */
  readonly #ranks: RecordList[] = [new RecordList(this.records, OLDER_HOST, NEWER_HOST)];
  /** So many points its hosts have. */
  readonly #pointsOf: number[] = [-1];
  /** Which rank has so many points. */
  readonly #otherRanks = new Map<number, number>();
  /** The same for the ranks that almost all hosts have. */
  readonly #lowRanks: number[] = new Array(LOW_RANKS).fill(0);
  /** The lowest rank first. */
  readonly #ascending: number[] = [];

  /** Number of hosts. */
  get size(): number {
    return this.#index.size;
  }

  /** The record of a host, or 0. */
  find(key: HostKey): number {
    return this.#index.get(key);
  }

  /** Whether a host has points. */
  hasPoints(key: HostKey): boolean {
    const host = this.find(key);
    return host !== NONE && this.records.get(host, POINTS) > 0;
  }

  /** Who a host is. */
  keyOf(host: number): HostKey {
    return this.#keys[host]!;
  }

  /** All hosts with their records; hosts must not be made or removed meanwhile. */
  entries(): Iterable<[HostKey, number]> {
    return this.#index.entries();
  }

  /** The records of all hosts. */
  values(): Iterable<number> {
    return this.#index.values();
  }

  /** Makes the record of a host that has none. */
  make(key: HostKey, now: number): number {
    const host = this.records.make();
    this.records.setTime(host, FIRST_AT, now);
    this.#keys[host] = key;
    this.#index.set(key, host);
    return host;
  }

  /** Takes a host out. What it says stays readable until the next host is made. */
  remove(host: number): void {
    this.records.set(host, GONE, 1);
    this.#leaveRank(host);
    this.#index.delete(this.#keys[host]!);
    this.records.free(host);
  }

  /** Puts a host behind all others of its rank. */
  settle(host: number): void {
    const records = this.records;
    // What an open attempt will cost counts already: a host that has just come is as guilty as
    // those that came before it.
    const points = records.get(host, POINTS) +
      (records.get(host, WAITING) > 0 ? CHALLENGE_POINTS : 0);
    const before = records.get(host, LIST);
    let rank = before;
    if (this.#pointsOf[before] !== points) rank = this.#rankOf(points);
    else if (this.#ranks[before]!.newest === host) return;
    if (before !== NONE) this.#ranks[before]!.remove(host);
    if (rank !== before) records.set(host, LIST, rank);
    this.#ranks[rank]!.append(host);
  }

  /**
   * The least guilty host, or 0. There is a list for each number of points that a host ever had: a
   * few dozen.
   */
  leastGuilty(): number {
    for (const rank of this.#ascending) {
      const { oldest } = this.#ranks[rank]!;
      if (oldest !== NONE) return oldest;
    }
    return NONE;
  }

  /** The hosts that were not seen since a clock value; each must be removed before the next. */
  *quietSince(before: number): Generator<number> {
    for (const rank of this.#ranks) {
      while (rank.oldest !== NONE && this.records.time(rank.oldest, LAST_AT) < before) {
        yield rank.oldest;
      }
    }
  }

  /** Counts what a host is charged for, and how often. */
  count(host: number, what: number, now: number, times = 1): void {
    const records = this.records;
    if (records.get(host, POINTS) === 0) records.setTime(host, FIRST_AT, now);
    records.add(host, what, times);
  }

  /** What a host was charged for, and since when. */
  pastOf(host: number): { readonly tally: Tally; readonly firstAt: number } {
    return { tally: this.tallyOf(host), firstAt: this.records.time(host, FIRST_AT) };
  }

  /** What a host was charged for. */
  tallyOf(host: number): Tally {
    const tally: Tally = { ...NO_TALLY };
    TALLY.forEach((what, i) => tally[what] = this.records.get(host, TALLY_AT + i));
    return tally;
  }

  /** Attempts that were forgiven are not told of later, and no unanswered challenge is. */
  forgiveTally(host: number, attempts: number): void {
    const records = this.records;
    records.set(host, UNANSWERED, 0);
    let left = attempts;
    for (const field of [WRONG_ANSWERS, REFUSALS, BAD_REQUESTS, STRANGE_CALLS, REPORTS]) {
      const part = Math.min(left, records.get(host, field));
      records.add(host, field, -part);
      left -= part;
    }
  }

  /**
   * The hosts with most points.
   *
   * @param count How many.
   * @param limitOf Says at how many points a host is blocked.
   */
  worst(count: number, limitOf: (host: number) => number): HostStatus[] {
    return this.statusOf(this.#index.values(), count, limitOf);
  }

  /** The same of some hosts. */
  statusOf(
    hosts: Iterable<number>,
    count: number,
    limitOf: (host: number) => number,
  ): HostStatus[] {
    const records = this.records;
    const by = (field: number) => (a: number, b: number) =>
      records.get(b, field) - records.get(a, field);
    const [byPoints, byWaiting] = [by(POINTS), by(WAITING)];
    return [...hosts]
      .filter((host) => records.get(host, POINTS) > 0 || records.get(host, WAITING) > 0)
      .sort((a, b) =>
        byPoints(a, b) || byWaiting(a, b) || records.time(b, LAST_AT) - records.time(a, LAST_AT)
      )
      .slice(0, count)
      .map((host) => ({
        host: keyText(this.#keys[host]!),
        points: records.get(host, POINTS),
        limit: limitOf(host),
        tally: this.tallyOf(host),
        waiting: records.get(host, WAITING),
        lastAt: records.time(host, LAST_AT),
      }));
  }

  /** The hosts with most points, the one that was seen last first among equals. */
  guiltiest(most: number): HostKey[] {
    const found: HostKey[] = [];
    for (const rank of this.#ascending.toReversed()) {
      if (this.#pointsOf[rank] === 0) break;
      for (let host = this.#ranks[rank]!.newest; host !== NONE;) {
        if (found.length >= most) return found;
        if (this.records.get(host, POINTS) > 0) found.push(this.#keys[host]!);
        host = this.records.get(host, OLDER_HOST);
      }
    }
    return found;
  }

  /** The rank of the hosts with so many points. */
  #rankOf(points: number): number {
    const rank = points < LOW_RANKS
      ? this.#lowRanks[points]!
      : this.#otherRanks.get(points) ?? NONE;
    return rank === NONE ? this.#makeRank(points) : rank;
  }

  #makeRank(points: number): number {
    const rank = this.#ranks.push(new RecordList(this.records, OLDER_HOST, NEWER_HOST)) - 1;
    this.#pointsOf.push(points);
    if (points < LOW_RANKS) this.#lowRanks[points] = rank;
    else this.#otherRanks.set(points, rank);
    const higher = this.#ascending.findIndex((other) => this.#pointsOf[other]! > points);
    this.#ascending.splice(higher < 0 ? this.#ascending.length : higher, 0, rank);
    return rank;
  }

  #leaveRank(host: number): void {
    const rank = this.records.get(host, LIST);
    if (rank === NONE) return;
    this.#ranks[rank]!.remove(host);
    this.records.set(host, LIST, NONE);
  }
}
