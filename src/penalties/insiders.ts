/**
 * Who has an account here and guesses at those of others. Each login takes a host's points away, so
 * that points alone never find them.
 *
 * @module
 */

import type { SecurityEvent } from "../ami/event.ts";
import { forgetOldest } from "./bounded_map.ts";
import { HostIndex } from "./host_index.ts";
import { type HostKey, keyText } from "./host_key.ts";
import { OWN_SESSION } from "./hosts.ts";
import { RecordList } from "./record_list.ts";
import { Records } from "./records.ts";
import { hashAccount, hashHost } from "./secret_hash.ts";

/** Failures within a day on accounts that never logged in from a host, before it is told. */
export const INSIDER_FAILURES_A_DAY = 30;

/**
 * So many of the last of them at least are of sessions of their own, before it is blocked: a phone
 * with an old password asks again and again in the same one (RFC 3261, section 10.2: all its
 * registrations have the same Call-ID).
 */
export const INSIDER_SESSIONS_MIN = 16;

/**
 * So often people mistype their own account, before they correct it or give up. Where each account
 * failed no more often, and no more accounts failed than log in from the same address, it is many
 * people behind one address: a mobile network, a call centre.
 */
const INSIDER_MISTYPED_MAX = 3;

/** Most accounts of all hosts whose logins are known; the one not seen for longest goes first. */
export const OWN_ACCOUNTS_MAX = 131_072;

/** Most hosts whose failures are known; the one that has not failed for longest goes first. */
export const INSIDERS_MAX = 8_192;

/** Most insiders that wait to be told. */
const FOUND_MAX = 1_024;

const DAY_MS = 86_400_000;

/** An account that logs in again within this time keeps its place, in milliseconds. */
const ORDER_MS = 3_600_000;

/** A host that fails again within this time keeps its place, in milliseconds. */
const WATCHED_ORDER_MS = 60_000;

/** What chan_pjsip calls whoever it does not know: no account. */
const UNKNOWN_ACCOUNT = "<unknown>";

// The time and the numbers of a pair of host and account; the first number is the store's own.
const AT = 0;
const OLDER = 1;
const NEWER = 2;
const PAIR = 3;
/** The host, as a number. */
const HOST = 4;

const NONE = 0;

/** Nobody outside can choose pairs of equal hash. */
const [MIX = 0] = crypto.getRandomValues(new Int32Array(1));

/** What is needed of an event. */
type Attempt =
  & Pick<SecurityEvent, "service" | "account">
  & Partial<Pick<SecurityEvent, "answer" | "hasAnswer">>;

interface Failure {
  /** Hash of service and account. */
  readonly account: number;
  readonly session: number;
  /** Hash of the answer, together with what it answers; 0: there was none. */
  readonly answer: number;
  readonly at: number;
}

/** The accounts that log in from a host. */
interface Own {
  /** The one that was seen last; empty: there is none. */
  readonly account: string;
  /** How many there are. */
  readonly count: number;
}

/** A host that has logged in, and fails. */
interface Watched {
  /** The last failures on accounts that are not its own. */
  failures: Failure[];
  toldAt: number;
  /** Its accounts, once that was asked for. */
  own: Own | undefined;
  /** When it was put behind all others. */
  orderedAt: number;
}

/** A host that belongs here fails on accounts of others. */
export interface Insider {
  /** Address, or network of `ipv6Prefix`. */
  readonly host: string;
  /** An account that logs in there; empty: none has since the start. */
  readonly login: string;
  /** The part of Asterisk that knows both accounts. */
  readonly service: SecurityEvent["service"];
  /** The account that it failed on last. */
  readonly account: string;
  /** How many accounts its last failures are about. */
  readonly accounts: number;
  /**
   * They look like those of phones with old passwords (few sessions, or the same answer again and
   * again), or of many people behind one address.
   */
  readonly likePhones: boolean;
  /** Clock value, in milliseconds. */
  readonly at: number;
}

/** Who belongs here and fails on accounts of others, for those who tell of it. */
export interface InsiderState {
  /** How many were found since the start. */
  readonly count: number;
  /** Who was found since the last call. */
  takeFound(): Insider[];
}

/**
 * Counts the failures of hosts in good standing on accounts that never logged in from there.
 *
 * @example
 * ```ts
 * import { Insiders } from "./insiders.ts";
 *
 * const insiders = new Insiders();
 * insiders.logsIn(1, { service: "PJSIP", account: "100" }, 0);
 * for (let n = 1; n <= 31; n++) insiders.fails(1, { service: "PJSIP", account: "101" }, n, n);
 * console.log(insiders.takeFound().map(({ login, account }) => [login, account]));
 * // [ [ "100", "101" ] ]
 * ```
 */
export class Insiders {
  readonly #records = new Records({ times: 1, numbers: 5, room: OWN_ACCOUNTS_MAX + 1 });
  /** Pairs of host and account that logged in, by their hash. */
  readonly #own = new HostIndex();
  readonly #order = new RecordList(this.#records, OLDER, NEWER);
  /** The account of each pair, by its record. */
  readonly #accounts: string[] = [""];
  /** The one that has not failed for longest comes first. */
  readonly #watched = new Map<HostKey, Watched>();
  #found: Insider[] = [];
  /** Times a host was found, since the start. */
  count = 0;

  /** Hosts that have failed on accounts that are not their own. */
  get size(): number {
    return this.#watched.size;
  }

  /**
   * An account logs in from a host: it is one of its own, and what failed on it was its owner. Of
   * an account that does so all the time it must be called once in an hour.
   *
   * @param hash What {@linkcode accountHash} gives.
   */
  logsIn(host: HostKey, by: Attempt, now: number, hash: number = hashAccount(by)): void {
    const pair = pairOf(host, hash);
    const known = this.#own.get(pair);
    if (known !== NONE && now - this.#records.time(known, AT) < ORDER_MS) return;
    if (known !== NONE) return this.#settle(known, now);
    this.#keep(host, pair, by.account, now);
    const watched = this.#watched.size === 0 ? undefined : this.#watched.get(host);
    if (watched === undefined) return;
    watched.own = undefined;
    watched.failures = watched.failures.filter((failure) => failure.account !== hash);
  }

  /**
   * A host in good standing fails.
   *
   * @param session In which.
   * @param judges Whether the answer matters; if not, who was told today is not looked at again.
   * @param hash What {@linkcode accountHash} gives.
   * @returns Whether it has done so too often, and not as phones with old passwords do.
   */
  fails(
    host: HostKey,
    by: Attempt,
    session: number,
    now: number,
    judges = true,
    hash: number = hashAccount(by),
  ): boolean {
    if (this.#own.get(pairOf(host, hash)) !== NONE) return false;
    const { service, account } = by;
    if (account === "" || account === UNKNOWN_ACCOUNT) return false;
    const watched = this.#watched.get(host) ??
      { failures: [], toldAt: -Infinity, own: undefined, orderedAt: -Infinity };
    if (!judges && now - watched.toldAt < DAY_MS) return false;
    if (now - watched.orderedAt >= WATCHED_ORDER_MS) {
      watched.orderedAt = now;
      // Deleted and added again, so that the map is in the order of the failures.
      this.#watched.delete(host);
      this.#watched.set(host, watched);
      forgetOldest(this.#watched, INSIDERS_MAX);
    }
    const { failures } = watched;
    const answer = by.hasAnswer === true ? by.answer ?? 0 : 0;
    failures.push({ account: hash, session, answer, at: now });
    if (failures.length <= INSIDER_FAILURES_A_DAY) return false;
    if (failures.length > INSIDER_FAILURES_A_DAY + 1) failures.shift();
    if (now - failures[0]!.at > DAY_MS) return false;
    const own = watched.own ??= this.#ownOf(host);
    const likePhones = isOfPhones(failures) || isOfPeople(failures, own.count);
    if (now - watched.toldAt >= DAY_MS) {
      watched.toldAt = now;
      this.count++;
      const accounts = new Set(failures.map((one) => one.account)).size;
      const login = own.account;
      const about = { host: keyText(host), login, service, account, accounts, likePhones, at: now };
      if (this.#found.length < FOUND_MAX) this.#found.push(about);
    }
    return !likePhones;
  }

  /** How many failures of a host on accounts that are not its own are known of the last day. */
  failuresOf(host: HostKey, now: number): number {
    const failures = this.#watched.get(host)?.failures ?? [];
    return failures.filter(({ at }) => now - at <= DAY_MS).length;
  }

  /** Forgets failures that are longer ago than a day. */
  advance(now: number): void {
    for (const [host, { failures, toldAt }] of this.#watched) {
      const last = failures.at(-1)?.at ?? toldAt;
      if (now - last <= DAY_MS) return;
      this.#watched.delete(host);
    }
  }

  /** Who was found since the last call. */
  takeFound(): Insider[] {
    const found = this.#found;
    if (found.length > 0) this.#found = [];
    return found;
  }

  /** The accounts of a host: looks at those of all hosts. */
  #ownOf(host: HostKey): Own {
    const records = this.#records;
    const wanted = hashHost(host);
    let newest = NONE;
    let count = 0;
    for (const record of this.#own.values()) {
      if (records.get(record, HOST) !== wanted) continue;
      count++;
      if (newest === NONE || records.time(record, AT) >= records.time(newest, AT)) newest = record;
    }
    return { account: this.#accounts[newest]!, count };
  }

  #settle(record: number, now: number): void {
    this.#order.remove(record);
    this.#records.setTime(record, AT, now);
    this.#order.append(record);
  }

  #keep(host: HostKey, pair: number, account: string, now: number): void {
    const records = this.#records;
    const record = records.make();
    records.set(record, PAIR, pair);
    records.set(record, HOST, hashHost(host));
    records.setTime(record, AT, now);
    this.#accounts[record] = account;
    this.#own.set(pair, record);
    this.#order.append(record);
    if (this.#own.size <= OWN_ACCOUNTS_MAX) return;
    const { oldest } = this.#order;
    this.#order.remove(oldest);
    this.#own.delete(records.get(oldest, PAIR));
    this.#accounts[oldest] = "";
    records.free(oldest);
  }
}

/** Whether failures look like those of phones with old passwords. */
function isOfPhones(failures: readonly Failure[]): boolean {
  // What has no session or no answer is told apart from all others.
  const sessions = failures.map(({ account, session }, n) =>
    session === OWN_SESSION ? `${n}` : `${account} ${session}`
  );
  const answers = failures.map(({ answer }, n) => answer === 0 ? `${n}.` : `${answer}`);
  return Math.min(new Set(sessions).size, new Set(answers).size) < INSIDER_SESSIONS_MIN;
}

/** Whether failures look like those of as many people as log in. */
function isOfPeople(failures: readonly Failure[], own: number): boolean {
  const times = new Map<number, number>();
  for (const { account } of failures) times.set(account, (times.get(account) ?? 0) + 1);
  return times.size <= own && Math.max(...times.values()) <= INSIDER_MISTYPED_MAX;
}

function pairOf(host: HostKey, account: number): number {
  return Math.imul(hashHost(host) ^ MIX, 0x9e3779b1) ^ Math.imul(account, 0x85ebca6b);
}
