/**
 * Who guesses so slowly that their points are forgotten between two guesses: what a host without a
 * login has failed is remembered longer than its points.
 *
 * The rule: when the points of a host are forgotten, its wrong passwords are added to its slow
 * count. For each further `forget` that passes without one the count is halved. A login takes it
 * away, and a block keeps it for a week. With `3 × loyalty` of them the host is blocked; with
 * `loyalty = 3` and `forget = 1d`:
 *
 * | one wrong password each | is blocked                                    |
 * | ----------------------- | --------------------------------------------- |
 * | 25 h                    | at the 9th, after 8 days and 8 hours          |
 * | 47 h                    | at the 9th, after 15 days and 16 hours        |
 * | 2 days and more         | never: the count is halved before it can grow |
 * | 25 h, two at a time     | at the 9th, after 4 days and 4 hours          |
 *
 * @module
 */

import { hashText } from "../text/hash.ts";
import { HostIndex } from "./host_index.ts";
import { type HostKey, keyOf, keyText } from "./host_key.ts";
import { RecordList } from "./record_list.ts";
import { Records } from "./records.ts";

/** A host is blocked at so many times `loyalty` wrong passwords. */
export const SLOW_FACTOR = 3;

/**
 * Most hosts of each kind that are remembered: those that may have been named by a forger, those
 * that came by a connection, and those that logged in. Of the first two those of the lowest count
 * go first, among equals the one that failed longest ago: so a flood of forged addresses pushes out
 * neither who came by a connection nor who failed more often than each of them.
 */
export const SLOW_MAX = 65_536;

/**
 * Who logged in, and is not in good standing any more, is not counted for so long, in milliseconds:
 * it is a phone whose password was changed while it was switched off.
 */
export const EXCUSED_MS = 30 * 86_400_000;

/**
 * After a block a count is not halved for so long, in milliseconds: a week, which is as long as a
 * block lasts that ends by itself.
 */
export const BLOCKED_MS = 7 * 86_400_000;

/** Counts from this one on are alike when room is made. */
const RANKS = 64;

/** Two clocks may tell a time so differently, in milliseconds. */
const SAME_MS = 1_000;

/** How often it is looked who is forgotten, in milliseconds. */
const SWEEP_MS = 10_000;

// The times of a record.
/** Clock value of the last failure, or of the login's end. */
const LAST_AT = 0;
/** Clock value of the first failure that counts. */
const FIRST_AT = 1;
// The numbers; the first is the store's own.
/** Neighbours among those of its rank. */
const OLDER = 1;
const NEWER = 2;
const COUNT = 3;
const KIND = 4;
/** Hash of the account that it failed on; none is known yet, or it were several. */
const ACCOUNT = 5;

/** What a forger may have done, what came by connections, and who logged in. */
const FORGEABLE = 0;
const PROVEN = 1;
const EXCUSED = 2;

const NO_ACCOUNT = 0;
const SEVERAL_ACCOUNTS = -1;

/** No record. */
const NONE = 0;

/** For the hashes of accounts: nobody outside can choose names of equal hash. */
const [SEED = 0] = crypto.getRandomValues(new Int32Array(1));

/** The wrong passwords of a host. */
export interface SlowFailures {
  /** How many. */
  readonly count: number;
  /** All of them came by connections: its address can't be forged. */
  readonly proven: boolean;
  /** On which account; `undefined`: on several. */
  readonly account: string | undefined;
}

/** What is remembered of a host. */
export interface SlowHost {
  /** Address, or network of `ipv6Prefix`. */
  readonly host: string;
  /** Wrong passwords. */
  readonly count: number;
  /** {@linkcode FORGEABLE}, {@linkcode PROVEN}, or {@linkcode EXCUSED}. */
  readonly kind: 0 | 1 | 2;
  /** They were about several accounts. */
  readonly several: boolean;
  /** Clock value of the first that counts, in milliseconds. */
  readonly firstAt: number;
  /** Clock value of the last, in milliseconds. */
  readonly lastAt: number;
}

/** The same, as it is kept. */
interface Remembered extends Pick<SlowHost, "count" | "kind" | "firstAt" | "lastAt"> {
  readonly account: number;
}

/**
 * What is left of a slow count.
 *
 * @param count Wrong passwords.
 * @param quietMs So long nobody has failed since the last of them, in milliseconds.
 * @param forgetMs See `forget`, in milliseconds.
 *
 * @example
 * ```ts
 * import { slowCount } from "./slow_guesses.ts";
 *
 * const HOUR = 3_600_000;
 * console.log(slowCount(8, 25 * HOUR, 24 * HOUR), slowCount(8, 49 * HOUR, 24 * HOUR)); // 8 4
 * ```
 */
export function slowCount(count: number, quietMs: number, forgetMs: number): number {
  const halvings = Math.max(0, Math.floor(quietMs / forgetMs) - 1);
  return halvings > 30 ? 0 : count >> halvings;
}

/** The slow counts of all hosts. */
export class SlowGuesses {
  readonly #records = new Records({ times: 2, numbers: 6, room: 3 * SLOW_MAX + 1 });
  readonly #index = new HostIndex();
  readonly #keys: HostKey[] = [0];
  readonly #ranks: readonly (readonly RecordList[])[] = [FORGEABLE, PROVEN, EXCUSED].map(() =>
    Array.from({ length: RANKS }, () => new RecordList(this.#records, OLDER, NEWER))
  );
  readonly #sizes = [0, 0, 0];
  readonly #unsaved = new Set<HostKey>();
  #forgetMs = 0;
  #sweptAt = -Infinity;
  /** Hosts that were blocked for their slow count since the start. */
  blocked = 0;

  /** Hosts that are remembered, those included that logged in. */
  get size(): number {
    return this.#index.size;
  }

  /** Hosts with wrong passwords. */
  get counted(): number {
    return this.size - this.#sizes[EXCUSED]!;
  }

  /** After how long without an event points are forgotten, in milliseconds. */
  get forgetMs(): number {
    return this.#forgetMs;
  }

  /** After how long without an event points are forgotten, in milliseconds. */
  setForget(forgetMs: number): void {
    this.#forgetMs = forgetMs;
  }

  // What is remembered

  /** Whether anything is remembered of a host. */
  has(key: HostKey): boolean {
    return this.#index.get(key) !== NONE;
  }

  /** The slow count of a host at a clock value. */
  countOf(key: HostKey, now: number): number {
    const record = this.#index.get(key);
    if (record === NONE) return 0;
    const quietMs = now - this.#records.time(record, LAST_AT);
    return slowCount(this.#records.get(record, COUNT), quietMs, this.#forgetMs);
  }

  /** The points of a host are forgotten: its failures are not. */
  add(key: HostKey, failures: SlowFailures, firstAt: number, at: number): void {
    const known = this.#read(key);
    const lastAt = Math.max(at, known?.lastAt ?? -Infinity);
    if (known?.kind === EXCUSED) return this.#keep(key, { ...known, lastAt });
    const before = this.countOf(key, at);
    const isNew = known === undefined || before === 0;
    this.#keep(key, {
      count: before + failures.count,
      kind: failures.proven && (isNew || known.kind === PROVEN) ? PROVEN : FORGEABLE,
      account: accountAfter(isNew ? NO_ACCOUNT : known.account, failures.account),
      firstAt: isNew ? firstAt : known.firstAt,
      lastAt,
    });
  }

  /**
   * A host is blocked for its slow count: with the next failure it is too much again. For
   * {@linkcode BLOCKED_MS} the count is not halved.
   *
   * @param lately What it has failed since its points were forgotten.
   * @param count What it has from now on.
   * @returns How its failures were, in all.
   */
  block(
    key: HostKey,
    lately: SlowFailures,
    count: number,
    now: number,
  ): { several: boolean; proven: boolean; firstAt: number } {
    const { kind, account: before, firstAt } = this.#read(key)!;
    const account = accountAfter(before, lately.account);
    const proven = kind === PROVEN && lately.proven;
    const lastAt = now + BLOCKED_MS;
    this.#keep(key, { count, kind: proven ? PROVEN : FORGEABLE, account, firstAt, lastAt });
    this.blocked++;
    return { several: account === SEVERAL_ACCOUNTS, proven, firstAt };
  }

  /** A host logs in, or its block was deleted by hand: nothing is remembered of it. */
  forgive(key: HostKey): void {
    const record = this.#index.get(key);
    if (record !== NONE) this.#remove(record);
  }

  /** A host is not in good standing any more: it logged in, if only long ago. */
  excuse(key: HostKey, now: number): void {
    this.#keep(key, { count: 0, kind: EXCUSED, account: NO_ACCOUNT, firstAt: now, lastAt: now });
  }

  /** Forgets the hosts of which all has been halved away. */
  advance(now: number): void {
    if (this.size === 0 || now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for (const [kind, ranks] of this.#ranks.entries()) {
      for (const [rank, { oldest }] of ranks.entries()) {
        // The last rank holds higher counts too, which take longer.
        const bits = rank === RANKS - 1 ? 31 : 32 - Math.clz32(rank);
        // Who failed just before all was halved away is in the penalty table for a while.
        const lastsMs = kind === EXCUSED ? EXCUSED_MS : (bits + 2) * this.#forgetMs;
        for (let record = oldest; record !== NONE; record = ranks[rank]!.oldest) {
          if (now - this.#records.time(record, LAST_AT) < lastsMs) break;
          this.#remove(record);
        }
      }
    }
  }

  /** Forgets all hosts that are within a target; of an address it is the host itself. */
  forgiveIn(target: string, overlaps: (a: string, b: string) => boolean): void {
    if (!target.includes("/") && !target.includes(":")) return this.forgive(keyOf(target));
    for (const [key, record] of [...this.#index.entries()]) {
      if (overlaps(target, keyText(key))) this.#remove(record);
    }
  }

  // The database

  /** Takes over what was saved of hosts of which nothing is known yet; times are clock values. */
  restore(hosts: Iterable<SlowHost>): void {
    for (const { host, several, ...known } of [...hosts].sort((a, b) => a.lastAt - b.lastAt)) {
      const key = keyOf(host);
      if (this.has(key) || this.#unsaved.has(key)) continue;
      this.#keep(key, { ...known, account: several ? SEVERAL_ACCOUNTS : NO_ACCOUNT });
      this.#unsaved.delete(key);
    }
  }

  /** What hosts failed whose points were forgotten while nobody looked, if it is not known yet. */
  addLate(key: HostKey, failures: SlowFailures, firstAt: number, at: number): void {
    const record = this.#index.get(key);
    if (record !== NONE && this.#records.time(record, LAST_AT) > at - SAME_MS) return;
    this.add(key, failures, firstAt, at);
  }

  /**
   * What has changed since it was saved last.
   *
   * @param most Hosts; the others are given by the next calls.
   * @returns Each host as it is now; `undefined`: nothing is remembered of it.
   */
  takeUnsaved(most: number): [host: string, now: SlowHost | undefined][] {
    const taken: [string, SlowHost | undefined][] = [];
    for (const key of this.#unsaved) {
      if (taken.length >= most) break;
      taken.push([keyText(key), this.#shown(key)]);
      this.#unsaved.delete(key);
    }
    return taken;
  }

  /** A host is to be saved again. */
  touch(key: HostKey): void {
    if (this.#unsaved.size < SLOW_MAX) this.#unsaved.add(key);
  }

  #read(key: HostKey): Remembered | undefined {
    const record = this.#index.get(key);
    if (record === NONE) return undefined;
    const records = this.#records;
    return {
      count: records.get(record, COUNT),
      kind: records.get(record, KIND) as Remembered["kind"],
      account: records.get(record, ACCOUNT),
      firstAt: records.time(record, FIRST_AT),
      lastAt: records.time(record, LAST_AT),
    };
  }

  #shown(key: HostKey): SlowHost | undefined {
    const known = this.#read(key);
    if (known === undefined) return undefined;
    const { account, ...rest } = known;
    return { host: keyText(key), several: account === SEVERAL_ACCOUNTS, ...rest };
  }

  /** Remembers this of a host, whatever was before. */
  #keep(key: HostKey, { count, kind, account, firstAt, lastAt }: Remembered): void {
    let record = this.#index.get(key);
    if (record === NONE) record = this.#make(key);
    else this.#leave(record);
    const records = this.#records;
    records.set(record, COUNT, count);
    records.set(record, KIND, kind);
    records.set(record, ACCOUNT, account);
    records.setTime(record, FIRST_AT, firstAt);
    records.setTime(record, LAST_AT, lastAt);
    this.#settle(record, key);
  }

  #make(key: HostKey): number {
    const record = this.#records.make();
    this.#keys[record] = key;
    this.#index.set(key, record);
    return record;
  }

  /** Puts a host behind all others of its rank, and makes room for it. */
  #settle(record: number, key: HostKey): void {
    const records = this.#records;
    const kind = records.get(record, KIND);
    const rank = Math.min(records.get(record, COUNT), RANKS - 1);
    this.#ranks[kind]![rank]!.append(record);
    this.touch(key);
    if (++this.#sizes[kind]! <= SLOW_MAX) return;
    for (const { oldest } of this.#ranks[kind]!) {
      if (oldest !== NONE) return this.#remove(oldest);
    }
  }

  #leave(record: number): void {
    const records = this.#records;
    const kind = records.get(record, KIND);
    this.#ranks[kind]![Math.min(records.get(record, COUNT), RANKS - 1)]!.remove(record);
    this.#sizes[kind]!--;
  }

  #remove(record: number): void {
    const key = this.#keys[record]!;
    this.#leave(record);
    this.#index.delete(key);
    this.#records.free(record);
    this.touch(key);
  }
}

/** On which account a host has failed, when it fails on one more. */
function accountAfter(before: number, account: string | undefined): number {
  if (account === undefined) return SEVERAL_ACCOUNTS;
  const hash = hashText(account, SEED);
  const one = hash === NO_ACCOUNT || hash === SEVERAL_ACCOUNTS ? 1 : hash;
  return before === NO_ACCOUNT || before === one ? one : SEVERAL_ACCOUNTS;
}
