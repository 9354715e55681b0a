/**
 * Hosts that have logged in with a password.
 *
 * @module
 */

import { HostIndex } from "./host_index.ts";
import { ipv4Number, networkOf } from "../address/address.ts";
import { type HostKey, type HostNetworks, keyOf, keyText } from "./host_key.ts";
import { RecordList } from "./record_list.ts";
import { Records } from "./records.ts";

/** Most hosts in good standing; the one that logged in longest ago goes first. */
export const STANDING_MAX = 65_536;

/** The login of a host is written to the database at most so often, in milliseconds. */
export const SAVE_LOGIN_MS = 3_600_000;

/**
 * A host that logs in again within this time keeps its place in the order of logins, in
 * milliseconds.
 */
const LOGIN_ORDER_MS = 1_000;

// The times of a record.
/** Clock value of the last login with a password. */
const AT = 0;
/** Clock value of the login that was handed out to be saved. */
const SAVED_AT = 1;
/** Clock value of the last login over a connection, or of one of which that is not known. */
const CONNECTED_AT = 2;
// The numbers; the first is the store's own.
/** Somebody wants to hear of its logins. */
const WATCHED = 1;
/** Neighbours in the order of the logins. */
const EARLIER = 2;
const LATER = 3;
/** Which account logged in last, as a number; of none is known. */
const ACCOUNT = 4;

/** What {@linkcode GoodStanding.login} tells of a login: somebody wants to hear of it. */
export const IS_WATCHED = 1;
/** The same: the host or its account is another one than the last, or was not heard for an hour. */
export const IS_FRESH = 2;

/** No login. */
const NONE = 0;

/** The last login of each host, and which of them are still to be saved. */
export class GoodStanding {
  readonly #records = new Records({ times: 3, numbers: 5, room: STANDING_MAX + 1 });
  /** The record of each host. */
  readonly #logins = new HostIndex();
  /** The records in the order of the logins. */
  readonly #order = new RecordList(this.#records, EARLIER, LATER);
  /** Who has logged in, by record. */
  readonly #keys: HostKey[] = [0];
  readonly #unsaved = new Set<HostKey>();
  /** How many of the hosts each IPv6 network contains. */
  readonly #inNetworks = new Map<string, number>();
  /**
   * How many of the hosts each network contains that may be blocked for its hosts: an IPv4 network
   * of 24 bits by these, IPv6 networks of 64 and 48 bits by their texts.
   */
  readonly #around = new Map<number | string, number>();
  #networks: HostNetworks;

  /**
   * Nobody yet.
   *
   * @param networks How IPv6 hosts are counted.
   */
  constructor(networks: HostNetworks) {
    this.#networks = networks;
  }

  /** Number of hosts. */
  get size(): number {
    return this.#logins.size;
  }

  /** Whether a host has logged in at `since` or later. */
  has(address: HostKey, since: number): boolean {
    const login = this.#logins.get(address);
    return login !== NONE && this.#records.time(login, AT) >= since;
  }

  /** Whether a host has logged in and is not forgotten yet. */
  knows(address: HostKey): boolean {
    return this.#logins.get(address) !== NONE;
  }

  /** Clock value of the last login of a host; `undefined`: none is known. */
  lastOf(address: HostKey): number | undefined {
    const login = this.#logins.get(address);
    return login === NONE ? undefined : this.#records.time(login, AT);
  }

  /** All hosts that are known, in no order; must not be changed meanwhile. */
  *keys(): Generator<HostKey> {
    for (const [key] of this.#logins.entries()) yield key;
  }

  /**
   * Whether the network under which an IPv6 address is counted contains a host that has logged in.
   */
  hasIn(network: string): boolean {
    return this.#inNetworks.size > 0 && this.#inNetworks.has(network);
  }

  /**
   * Whether an IPv4 network of 24 bits, or an IPv6 one of 64 or 48, contains such a host, or may at
   * any time: it is of those in which each address is somebody else.
   *
   * @param counts Whether logins count at all.
   */
  isAnybodyIn(network: string, counts: boolean): boolean {
    const key = network.includes(":") ? network : ipv4Number(network.split("/")[0]!) >>> 8;
    return counts && this.#around.has(key) || this.#networks.hasSingles(network);
  }

  /** The hosts in an IPv6 network that have logged in: looks at all hosts. */
  addressesIn(network: string): string[] {
    const addresses: string[] = [];
    for (const [key] of this.#logins.entries()) {
      if (typeof key === "string" && this.#networks.of(key) === network) addresses.push(key);
    }
    return addresses;
  }

  /**
   * Whether somebody may have logged in from a host over a connection (TCP, TLS, WebSocket) at
   * `since` or later.
   */
  connected(address: HostKey, since: number): boolean {
    const login = this.#logins.get(address);
    return login !== NONE && this.#records.time(login, CONNECTED_AT) >= since;
  }

  /**
   * A host logs in.
   *
   * @param connects Not over UDP.
   * @param account Which one, as a number.
   * @returns 0, or the sum of {@linkcode IS_WATCHED} and {@linkcode IS_FRESH}.
   */
  login(address: HostKey, now: number, connects = true, account = 0): number {
    let login = this.#logins.get(address);
    if (login === NONE || now - this.#records.time(login, AT) >= LOGIN_ORDER_MS) {
      const savedAt = login === NONE ? -Infinity : this.#records.time(login, SAVED_AT);
      const connectedAt = login === NONE ? -Infinity : this.#records.time(login, CONNECTED_AT);
      login = this.#set(address, now, savedAt, connectedAt);
    }
    this.#records.setTime(login, AT, now);
    if (connects) this.#records.setTime(login, CONNECTED_AT, now);
    const told = this.#records.get(login, WATCHED);
    const isDue = now - this.#records.time(login, SAVED_AT) >= SAVE_LOGIN_MS;
    if (isDue) {
      this.#records.setTime(login, SAVED_AT, now);
      this.#unsaved.add(address);
    } else if (this.#records.get(login, ACCOUNT) === account) return told;
    this.#records.set(login, ACCOUNT, account);
    return told + IS_FRESH;
  }

  /** From now on {@linkcode GoodStanding.login} tells of a host that it is watched. */
  watch(address: HostKey): void {
    const login = this.#logins.get(address);
    if (login !== NONE) this.#records.set(login, WATCHED, 1);
  }

  /** Takes logins over that were saved: canonical addresses with clock values. */
  restore(logins: Iterable<readonly [address: string, at: number]>): void {
    for (const [address, at] of [...logins].sort((a, b) => a[1] - b[1])) {
      this.#set(keyOf(address), at, at, at);
    }
  }

  /**
   * A host belongs here by what Asterisk says, though nobody has seen it log in: nothing is saved
   * before it does.
   *
   * @returns Whether it was not known yet.
   */
  assume(address: HostKey, now: number): boolean {
    if (this.knows(address)) return false;
    this.#set(address, now, -Infinity, now);
    return true;
  }

  /**
   * The hosts whose last login is to be saved, with its clock value: each at most once in
   * {@linkcode SAVE_LOGIN_MS}.
   *
   * @param most Hosts; the others are given by the next calls.
   */
  takeUnsaved(most: number): [address: string, at: number][] {
    const logins: [string, number][] = [];
    for (const key of this.#unsaved) {
      if (logins.length >= most) break;
      const login = this.#logins.get(key);
      if (login !== NONE) logins.push([keyText(key), this.#records.time(login, AT)]);
      this.#unsaved.delete(key);
    }
    return logins;
  }

  /**
   * Forgets the hosts whose last login was before a clock value.
   *
   * @param ended Is given each of them.
   */
  forgetBefore(before: number, ended: (address: HostKey) => void = () => {}): void {
    for (let login; (login = this.#order.oldest) !== NONE;) {
      if (this.#records.time(login, AT) >= before) break;
      const address = this.#keys[login]!;
      this.#remove(login);
      ended(address);
    }
  }

  /** Changes how IPv6 hosts are counted. */
  setNetworks(networks: HostNetworks): void {
    this.#networks = networks;
    this.#inNetworks.clear();
    for (const [key] of this.#logins.entries()) this.#count(key, 1);
  }

  #set(address: HostKey, at: number, savedAt: number, connectedAt: number): number {
    const records = this.#records;
    let login = this.#logins.get(address);
    if (login === NONE) {
      login = records.make();
      this.#keys[login] = address;
      this.#logins.set(address, login);
      this.#count(address, 1);
      this.#countAround(address, 1);
    } else {
      this.#order.remove(login);
    }
    this.#order.append(login);
    records.setTime(login, AT, at);
    records.setTime(login, SAVED_AT, savedAt);
    records.setTime(login, CONNECTED_AT, connectedAt);
    if (this.#logins.size > STANDING_MAX) this.#remove(this.#order.oldest);
    return login;
  }

  #remove(login: number): void {
    const address = this.#keys[login]!;
    this.#order.remove(login);
    this.#logins.delete(address);
    this.#records.free(login);
    this.#count(address, -1);
    this.#countAround(address, -1);
  }

  #countAround(address: HostKey, change: 1 | -1): void {
    const networks = typeof address === "number"
      ? [address >>> 8]
      : [networkOf(address, 64), networkOf(address, 48)];
    for (const network of networks) {
      const count = (this.#around.get(network) ?? 0) + change;
      if (count > 0) this.#around.set(network, count);
      else this.#around.delete(network);
    }
  }

  #count(address: HostKey, change: 1 | -1): void {
    if (typeof address === "number") return;
    const network = this.#networks.of(address);
    if (network === address) return;
    const count = (this.#inNetworks.get(network) ?? 0) + change;
    if (count > 0) this.#inNetworks.set(network, count);
    else this.#inNetworks.delete(network);
  }
}
