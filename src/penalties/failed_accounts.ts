/**
 * On which accounts the hosts of the penalty table have failed, so that a login forgives what it has proven.
 *
 * @module
 */

import type { Service } from "../ami/security_event.ts";

/** Accounts of one host that are told apart; what further ones cost is counted together, and no login is theirs. */
export const ACCOUNTS_MAX = 64;

/** Where the points of further accounts are counted. */
const FURTHER = 0;

/** Points by host (its record) and account (a hash of its service and name). */
export class FailedAccounts {
  /** Hosts that failed on one account only, which almost all do: account and points, by record. */
  readonly #account: number[] = [];
  readonly #points: number[] = [];
  /** Points by account of the hosts that failed on several. */
  readonly #several = new Map<number, Map<number, number>>();

  /** A host fails on an account. What one service calls an account may be a dialled number, or somebody else, to another. */
  add(host: number, service: Service, account: string, points: number): void {
    const hash = hashOf(`${service} ${account}`);
    const several = this.#several.get(host);
    if (several !== undefined) {
      const known = several.has(hash) || several.size < ACCOUNTS_MAX ? hash : FURTHER;
      several.set(known, (several.get(known) ?? 0) + points);
    } else if ((this.#points[host] ?? 0) === 0 || this.#account[host] === hash) {
      this.#account[host] = hash;
      this.#points[host] = (this.#points[host] ?? 0) + points;
    } else {
      this.#several.set(
        host,
        new Map([[this.#account[host]!, this.#points[host]!], [hash, points]]),
      );
    }
  }

  /** Takes the points of one account away; how many these were. */
  forgive(host: number, service: Service, account: string): number {
    const hash = hashOf(`${service} ${account}`);
    const several = this.#several.get(host);
    if (several !== undefined) {
      const points = several.get(hash) ?? 0;
      several.delete(hash);
      return points;
    }
    if (this.#account[host] !== hash) return 0;
    const points = this.#points[host] ?? 0;
    this.#points[host] = 0;
    return points;
  }

  /** Takes points away whatever the account; how many there were, at most as many as asked for. */
  forgiveAny(host: number, most: number): number {
    const several = this.#several.get(host);
    if (several === undefined) {
      const points = Math.min(most, this.#points[host] ?? 0);
      this.#points[host] = (this.#points[host] ?? 0) - points;
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

  /** The host has left the table: its record may be another's soon. */
  remove(host: number): void {
    this.#points[host] = 0;
    this.#several.delete(host);
  }
}

/** A hash of an account's name, never {@linkcode FURTHER} (FNV-1a, 32 bits). */
export function hashOf(account: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < account.length; i++) {
    hash = Math.imul(hash ^ account.charCodeAt(i), 0x01000193);
  }
  return hash === FURTHER ? 1 : hash;
}
