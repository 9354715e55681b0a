/**
 * On which accounts the hosts of the penalty table have failed, so that a login forgives what it has proven.
 *
 * @module
 */

import type { Service } from "../ami/security_event.ts";

/** Accounts of one host that are told apart; what further ones cost is counted together, and no login is theirs. */
export const ACCOUNTS_MAX = 64;

/** Where the points of further accounts are counted. */
const FURTHER = "\0further";

/** Hosts that there is room for at first. */
const SMALL = 1_024;

/** Under what all failures of chan_sip are counted: no login forgives them by their account. C texts hold no NUL. */
const ANY_OF_CHAN_SIP = "\0SIP";

/** Points by host (its record) and account. */
export class FailedAccounts {
  /** Hosts that failed on one account only, which almost all do: account and points, by record. */
  readonly #accounts: string[] = new Array(SMALL).fill("");
  #points = new Int32Array(SMALL);
  /** Points of attempts whose address can't be forged, by record. */
  #proven = new Int32Array(SMALL);
  /** Points by account of the hosts that failed on several. */
  readonly #several = new Map<number, Map<string, number>>();

  /**
   * A host fails on an account. What one service calls an account may be somebody else to another.
   *
   * @param proven its address can't be forged
   */
  add(host: number, service: Service, name: string, points: number, proven: boolean): void {
    if (host >= this.#points.length) this.#grow(host);
    if (proven) this.#proven[host]! += points;
    const account = accountOf(service, name);
    const several = this.#several.get(host);
    if (several !== undefined) {
      const known = several.has(account) || several.size < ACCOUNTS_MAX ? account : FURTHER;
      several.set(known, (several.get(known) ?? 0) + points);
    } else if (this.#points[host]! === 0 || this.#accounts[host] === account) {
      this.#accounts[host] = account;
      this.#points[host] = this.#points[host]! + points;
    } else {
      this.#several.set(
        host,
        new Map([[this.#accounts[host]!, this.#points[host]!], [account, points]]),
      );
    }
  }

  /** Takes the points of one account away; how many these were. */
  forgive(host: number, service: Service, name: string): number {
    const account = accountOf(service, name);
    const several = this.#several.get(host);
    if (several !== undefined) {
      const points = several.get(account) ?? 0;
      several.delete(account);
      return points;
    }
    if (this.#accounts[host] !== account) return 0;
    const points = this.#points[host]!;
    this.#points[host] = 0;
    return points;
  }

  /** Takes points away whatever the account; how many there were, at most as many as asked for. */
  forgiveAny(host: number, most: number): number {
    const several = this.#several.get(host);
    if (several === undefined) {
      const points = Math.min(most, this.#points[host]!);
      this.#points[host] = this.#points[host]! - points;
      return points;
    }
    let left = most;
    for (const [account, points] of several) {
      if (left === 0) break;
      const part = Math.min(left, points);
      left -= part;
      if (part === points) several.delete(account);
      else several.set(account, points - part);
    }
    return most - left;
  }

  /** Points of a host's attempts whose address can't be forged. */
  provenOf(host: number): number {
    return this.#proven[host] ?? 0;
  }

  /**
   * Points were forgiven. Which of its failures these were is not known: they are taken for the proven ones, so that what
   * a forger did never counts as proven.
   */
  forgiveProven(host: number, points: number): void {
    this.#proven[host] = Math.max(0, this.provenOf(host) - points);
  }

  /** The host has left the table: its record may be another's soon. */
  remove(host: number): void {
    if (host >= this.#points.length) return;
    this.#points[host] = 0;
    this.#proven[host] = 0;
    this.#several.delete(host);
  }

  #grow(host: number): void {
    const room = Math.max(2 * this.#points.length, host + 1);
    const grown = (numbers: Int32Array) => {
      const more = new Int32Array(room);
      more.set(numbers);
      return more;
    };
    while (this.#accounts.length < room) this.#accounts.push("");
    this.#points = grown(this.#points);
    this.#proven = grown(this.#proven);
  }
}

/** A hash of an account's name, never 0 (FNV-1a, 32 bits). */
export function hashOf(account: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < account.length; i++) {
    hash = Math.imul(hash ^ account.charCodeAt(i), 0x01000193);
  }
  return hash === 0 ? 1 : hash;
}

function accountOf(service: Service, name: string): string {
  if (service === "PJSIP") return name;
  return service === "SIP" ? ANY_OF_CHAN_SIP : `\0${service} ${name}`;
}
