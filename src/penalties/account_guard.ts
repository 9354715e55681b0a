/**
 * Which accounts many strangers fail on: hosts that each have too few attempts to be blocked for
 * them are known by what they share, the account.
 *
 * @module
 */

import type { SecurityEvent } from "../ami/event.ts";
import { HostIndex } from "./host_index.ts";
import type { HostKey } from "./host_key.ts";
import { RecordList } from "./record_list.ts";
import { Records } from "./records.ts";
import { hashAccount, hashHost } from "./secret_hash.ts";

/** Most accounts that are counted at a time. */
export const ACCOUNTS_COUNTED_MAX = 65_536;

/**
 * Most of them whose service prints what a stranger has made up: of PJSIP and of the manager
 * interface only accounts that exist fail by a wrong password. A flood of such names pushes out
 * nothing but its like.
 */
export const INVENTED_ACCOUNTS_MAX = ACCOUNTS_COUNTED_MAX / 2;

/**
 * Most hosts that are blocked in a minute because an account is guarded. Many hosts with few
 * guesses each stay below that; a flood of forged addresses, of which one packet each would be
 * enough then, does not fill the kernel, where with iptables every packet is compared with each of
 * them: after so many in a row there is a rest until a half of them may be blocked again, and these
 * then come together, in a few commands.
 */
export const GUARD_BLOCKS_A_MINUTE = 300;

/** Most guarded accounts that are known by name, and most changes that wait to be told. */
export const GUARDED_NAMED_MAX = 1_024;

const MINUTE_MS = 60_000;

/** How often it is looked whether a guard is over, in milliseconds. */
const SWEEP_MS = 1_000;

/** An account that is failed on again within this time keeps its place, in milliseconds. */
const ORDER_MS = 1_000;

/** What chan_pjsip calls whoever it does not know: no account. */
const UNKNOWN_ACCOUNT = "<unknown>";

// The times of a record.
/** Clock value of the last failure on it. */
const LAST_AT = 0;
/** Clock value at which it was put behind all others of its rank. */
const ORDERED_AT = 1;
/** When each of its hosts failed last. */
const TIMES_AT = 2;
// The numbers; the first is the store's own.
/** Neighbours among the accounts of its rank. */
const OLDER = 1;
const NEWER = 2;
const HASH = 3;
/** How many hosts failed on it, which is its rank. */
const COUNT = 4;
const GUARDED = 5;
/** Its name may be a stranger's invention. */
const INVENTED = 6;
/** Which of its hosts has not failed for longest, when there are as many as make it guarded. */
const OLDEST = 7;
/** Which of them failed last. */
const NEWEST = 8;
/** The hosts that failed last, each once, in no order. */
const HOSTS_AT = 9;

/** No record. */
const NONE = 0;

/** An account that is guarded. */
export interface GuardedAccount {
  /** The part of Asterisk that knows it. */
  readonly service: SecurityEvent["service"];
  /** Its name, as Asterisk or a stranger wrote it: escape it before printing. */
  readonly account: string;
  /** Clock value since which it is guarded, in milliseconds. */
  readonly since: number;
  /** Hosts that were blocked at their first failure on it. */
  readonly blocked: number;
}

/** An account came under guard, or is not guarded any more. */
export interface GuardChange extends GuardedAccount {
  /** Clock value, in milliseconds, at which its guard was over; `undefined`: it has begun. */
  readonly over: number | undefined;
}

/** Which accounts are guarded, for those who tell of it. */
export interface GuardState {
  /** Accounts that are guarded now. */
  readonly guarded: number;
  /** How often a guard has begun since the start. */
  readonly begun: number;
  /** Hosts that were blocked for a guard since the start. */
  readonly blocked: number;
  /** Those that are guarded now. */
  accounts(): GuardedAccount[];
  /** What has begun and what is over, since the last call, in order. */
  takeChanges(): GuardChange[];
}

/** What is needed of an event. */
type Failure = Pick<SecurityEvent, "service" | "account">;

/** From how many hosts on an account is guarded, and within what time. */
interface GuardRule {
  /** Different hosts; 0: no account ever is. */
  readonly hosts: number;
  /** Within so many milliseconds. */
  readonly windowMs: number;
}

/** Accounts of one kind by their rank: those of few hosts are forgotten first. */
interface Share {
  readonly ranks: readonly RecordList[];
  readonly most: number;
  size: number;
}

/**
 * Counts strangers by the account that they fail on. Of each account it keeps the hosts that failed
 * last, as many as make it guarded: that is exact with little memory, but that a login which takes
 * one of them out does not bring back who failed before them.
 *
 * @example
 * ```ts
 * import { AccountGuard } from "./account_guard.ts";
 *
 * const guard = new AccountGuard({ hosts: 3, windowMs: 3_600_000 });
 * const on = { service: "PJSIP", account: "100" } as const;
 * console.log([1, 2, 2, 3, 1].map((host) => guard.fails(on, host, 0)));
 * // [ false, false, false, true, true ]
 * ```
 */
export class AccountGuard implements GuardState {
  #rule: GuardRule = { hosts: 0, windowMs: 0 };
  #records = new Records({ times: TIMES_AT + 1, numbers: HOSTS_AT + 1, room: 1 });
  #index = new HostIndex();
  #made: Share = newShare(this.#records, 0, 0);
  #invented: Share = this.#made;
  readonly #guarded = new Map<
    number,
    { -readonly [K in keyof GuardedAccount]: GuardedAccount[K] }
  >();
  #changes: GuardChange[] = [];
  /** Accounts that came under guard since the start. */
  begun = 0;
  /** Hosts that were blocked for a guard since the start. */
  blocked = 0;
  #blocksLeft = GUARD_BLOCKS_A_MINUTE;
  #rests = false;
  #blocksAt = 0;
  #sweptAt = -Infinity;
  #guardedCount = 0;
  /** The account that failed last: an attack names the same again and again. */
  #lastRecord = NONE;
  #lastAccount = "";
  #lastService: SecurityEvent["service"] = "PJSIP";

  /**
   * Nobody has failed yet.
   *
   * @param rule From how many hosts on.
   */
  constructor(rule: GuardRule) {
    this.setRule(rule);
  }

  /** Accounts that are counted. */
  get size(): number {
    return this.#made.size + this.#invented.size;
  }

  /** Accounts that are guarded now. */
  get guarded(): number {
    return this.#guardedCount;
  }

  /** The first guarded accounts, those that are longest first. */
  accounts(): GuardedAccount[] {
    return [...this.#guarded.values()].map((account) => ({ ...account }));
  }

  /** Changes the rule; with another number of hosts all begin anew. */
  setRule(rule: GuardRule): void {
    const before = this.#rule;
    this.#rule = rule;
    if (before.hosts === rule.hosts) return;
    for (const [record, { since }] of [...this.#guarded]) {
      this.#end(record, Math.max(since, this.#sweptAt));
    }
    this.#guardedCount = 0;
    const room = rule.hosts === 0 ? 1 : ACCOUNTS_COUNTED_MAX + 1;
    const each = Math.max(1, rule.hosts);
    this.#records = new Records({ times: TIMES_AT + each, numbers: HOSTS_AT + each, room });
    this.#index = new HostIndex();
    const invented = INVENTED_ACCOUNTS_MAX;
    this.#made = newShare(this.#records, rule.hosts, ACCOUNTS_COUNTED_MAX - invented);
    this.#invented = newShare(this.#records, rule.hosts, invented);
    this.#lastRecord = NONE;
  }

  /**
   * A stranger fails on an account.
   *
   * @param by The failure.
   * @param host Who, as {@linkcode guardKey} gives it.
   * @param now Clock value, in milliseconds.
   * @returns Whether the account is guarded now.
   */
  fails(by: Failure, host: number, now: number): boolean {
    const { service, account } = by;
    const { hosts, windowMs } = this.#rule;
    if (hosts === 0 || account === "" || account === UNKNOWN_ACCOUNT) return false;
    const isLast = this.#lastRecord !== NONE && account === this.#lastAccount &&
      service === this.#lastService;
    const record = isLast ? this.#lastRecord : this.#find(by) || this.#make(by);
    this.#lastRecord = record;
    this.#lastAccount = account;
    this.#lastService = service;
    const records = this.#records;
    records.setTime(record, LAST_AT, now);
    const newest = records.get(record, NEWEST);
    if (records.get(record, HOSTS_AT + newest) === host && newest !== records.get(record, OLDEST)) {
      records.setTime(record, TIMES_AT + newest, now);
    } else if (!this.#count(record, host, now)) return false;
    const isGuarded = records.get(record, COUNT) === hosts &&
      now - this.#oldestOf(record) <= windowMs;
    if (isGuarded !== (records.get(record, GUARDED) === 1)) {
      if (isGuarded) this.#begin(record, by, now);
      else this.#end(record, now);
    }
    return isGuarded;
  }

  /** Somebody logs in: nobody strange has failed there. */
  succeeds(by: Failure, host: number, now: number): void {
    if (this.#rule.hosts === 0) return;
    const record = this.#find(by);
    if (record === NONE) return;
    const records = this.#records;
    const count = records.get(record, COUNT);
    const place = this.#placeOf(record, host, count);
    if (place < 0) return;
    // The last one takes its place.
    records.set(record, HOSTS_AT + place, records.get(record, HOSTS_AT + count - 1));
    records.setTime(record, TIMES_AT + place, records.time(record, TIMES_AT + count - 1));
    this.#leave(record);
    records.set(record, COUNT, count - 1);
    if (records.get(record, GUARDED) === 1) this.#end(record, now);
    if (count === 1) this.#forget(record);
    else {
      records.set(record, NEWEST, 0);
      this.#rankOf(record).append(record);
    }
  }

  /**
   * Whether failures are to be counted. In a flood, after so many blocks that there is a rest, they
   * need not be: what is guarded stays so for longer.
   */
  watches(now: number): boolean {
    if (this.#rule.hosts === 0) return false;
    if (now !== this.#blocksAt) {
      const back = (now - this.#blocksAt) * GUARD_BLOCKS_A_MINUTE / MINUTE_MS;
      this.#blocksLeft = Math.min(GUARD_BLOCKS_A_MINUTE, this.#blocksLeft + back);
      this.#blocksAt = now;
      if (this.#blocksLeft >= GUARD_BLOCKS_A_MINUTE / 2) this.#rests = false;
    }
    return !this.#rests;
  }

  /** A host is blocked because the account of its failure is guarded. */
  takeBlock(by: Failure): void {
    if (--this.#blocksLeft < 1) this.#rests = true;
    this.blocked++;
    const guarded = this.#guarded.get(this.#find(by));
    if (guarded !== undefined) guarded.blocked++;
  }

  /** Ends guards whose time is over, and forgets accounts that nobody has failed on lately. */
  advance(now: number): void {
    if (this.#rule.hosts === 0 || now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    const since = now - this.#rule.windowMs;
    for (const record of this.#guarded.keys()) {
      if (this.#oldestOf(record) < since) this.#end(record, now);
    }
    for (const { ranks } of [this.#made, this.#invented]) {
      for (const rank of ranks) {
        while (rank.oldest !== NONE && this.#records.time(rank.oldest, LAST_AT) < since) {
          if (this.#records.get(rank.oldest, GUARDED) === 1) this.#end(rank.oldest, now);
          this.#remove(rank.oldest);
        }
      }
    }
  }

  /** What has begun and what is over, since the last call, in order. */
  takeChanges(): GuardChange[] {
    const changes = this.#changes;
    if (changes.length > 0) this.#changes = [];
    return changes;
  }

  // Accounts

  #find(by: Failure): number {
    return this.#index.get(hashAccount(by));
  }

  #make(by: Failure): number {
    const record = this.#records.make();
    const hash = hashAccount(by);
    this.#records.set(record, HASH, hash);
    const isInvented = by.service !== "PJSIP" && by.service !== "AMI";
    this.#records.set(record, INVENTED, isInvented ? 1 : 0);
    this.#index.set(hash, record);
    this.#shareOf(record).size++;
    return record;
  }

  /** Puts an account behind all others of its rank. */
  #settle(record: number, now: number): void {
    const rank = this.#rankOf(record);
    this.#records.setTime(record, ORDERED_AT, now);
    if (rank.newest === record) return;
    if (rank.after(record) !== NONE) rank.remove(record);
    rank.append(record);
  }

  /** Makes room: the account that fewest hosts failed on goes, among equals the oldest. */
  #makeRoom(share: Share): void {
    for (const { oldest } of share.ranks) {
      if (oldest === NONE) continue;
      if (this.#records.get(oldest, GUARDED) === 1) {
        this.#end(oldest, this.#records.time(oldest, LAST_AT));
      }
      return this.#remove(oldest);
    }
  }

  #remove(record: number): void {
    this.#leave(record);
    this.#forget(record);
  }

  /** Takes an account out of the list of its rank. */
  #leave(record: number): void {
    this.#rankOf(record).remove(record);
    this.#records.set(record, NEWER, NONE);
  }

  #forget(record: number): void {
    if (record === this.#lastRecord) this.#lastRecord = NONE;
    this.#shareOf(record).size--;
    this.#index.delete(this.#records.get(record, HASH));
    this.#records.free(record);
  }

  #shareOf(record: number): Share {
    return this.#records.get(record, INVENTED) === 1 ? this.#invented : this.#made;
  }

  #rankOf(record: number): RecordList {
    return this.#shareOf(record).ranks[this.#records.get(record, COUNT)]!;
  }

  /** Clock value of the last failure of the host that has not failed for longest. */
  #oldestOf(record: number): number {
    return this.#records.time(record, TIMES_AT + this.#records.get(record, OLDEST));
  }

  // Their hosts

  /** A host fails; whether there is room for the account. */
  #count(record: number, host: number, now: number): boolean {
    const records = this.#records;
    const most = this.#rule.hosts;
    const count = records.get(record, COUNT);
    let place = this.#placeOf(record, host, count);
    const isNew = place < 0;
    if (isNew) {
      place = count === most ? records.get(record, OLDEST) : count;
      records.set(record, HOSTS_AT + place, host);
      if (count < most) {
        if (count > 0) this.#leave(record);
        records.set(record, COUNT, count + 1);
      }
    }
    records.setTime(record, TIMES_AT + place, now);
    records.set(record, NEWEST, place);
    if (isNew ? count + 1 >= most : place === records.get(record, OLDEST)) {
      this.#findOldest(record);
    }
    const rises = isNew && count < most;
    if (!rises && now - records.time(record, ORDERED_AT) < ORDER_MS) return true;
    this.#settle(record, now);
    const share = this.#shareOf(record);
    if (share.size > share.most) this.#makeRoom(share);
    return this.#lastRecord !== NONE;
  }

  /** Of those that failed at the same time the one that stands longest is the oldest. */
  #findOldest(record: number): void {
    const records = this.#records;
    const most = this.#rule.hosts;
    const newest = records.get(record, NEWEST);
    let oldest = newest;
    let at = Infinity;
    for (let i = 1, place = newest + 1; i <= most; i++, place++) {
      if (place >= most) place = 0;
      const time = records.time(record, TIMES_AT + place);
      if (time >= at) continue;
      oldest = place;
      at = time;
    }
    records.set(record, OLDEST, oldest);
  }

  /** Where a host stands; who failed lately stands just before who failed last. */
  #placeOf(record: number, host: number, count: number): number {
    const hosts = this.#records;
    const newest = hosts.get(record, NEWEST);
    for (let place = newest; place >= 0; place--) {
      if (hosts.get(record, HOSTS_AT + place) === host) return place < count ? place : -1;
    }
    for (let place = count - 1; place > newest; place--) {
      if (hosts.get(record, HOSTS_AT + place) === host) return place;
    }
    return -1;
  }

  // Guards

  #begin(record: number, { service, account }: Failure, now: number): void {
    this.#records.set(record, GUARDED, 1);
    this.#guardedCount++;
    this.begun++;
    if (this.#guarded.size >= GUARDED_NAMED_MAX) return;
    const guarded = { service, account, since: now, blocked: 0 };
    this.#guarded.set(record, guarded);
    this.#tell({ ...guarded, over: undefined });
  }

  #end(record: number, now: number): void {
    this.#records.set(record, GUARDED, 0);
    this.#guardedCount--;
    const guarded = this.#guarded.get(record);
    if (guarded === undefined) return;
    this.#guarded.delete(record);
    this.#tell({ ...guarded, over: now });
  }

  #tell(change: GuardChange): void {
    if (this.#changes.length < GUARDED_NAMED_MAX) this.#changes.push(change);
  }
}

/**
 * Whom a host is counted as: nobody has more than one IPv4 address for each guess without effort,
 * but everybody has a /64.
 *
 * @param host Its key.
 * @param network The IPv6 network with which it is counted, if there is one.
 */
export function guardKey(host: HostKey, network: string | undefined): number {
  return hashHost(network ?? host);
}

function newShare(records: Records, hosts: number, most: number): Share {
  return {
    ranks: Array.from({ length: hosts + 1 }, () => new RecordList(records, OLDER, NEWER)),
    most,
    size: 0,
  };
}
