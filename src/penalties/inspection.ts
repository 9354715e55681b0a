/**
 * What is known of single hosts, for whoever asks.
 *
 * @module
 */

import { contains } from "../address/address.ts";
import { type HostKey, HostNetworks, keyOf, keyText } from "./host_key.ts";
import { type Hosts, type HostStatus, NONE } from "./hosts.ts";
import { INSIDER_FAILURES_A_DAY } from "./insiders.ts";
import type { HostKeeping } from "./kept_hosts.ts";
import type { FailedAttempt } from "./offence.ts";
import type { Ledger } from "./ledger.ts";
import { SLOW_FACTOR } from "./slow_guesses.ts";

/** A host, with what it was charged for last. */
export interface KnownHost extends HostStatus {
  /** The oldest first. */
  readonly last: readonly FailedAttempt[];
}

/** How many there are of something, and how many are too many. */
export interface Reckoning {
  /** How many there are. */
  readonly count: number;
  /** From so many on it is too much. */
  readonly limit: number;
}

/** What can be asked of single hosts. */
export interface HostInspection {
  /** Reads what hosts have cost, and puts it back after a restart. */
  readonly kept: HostKeeping;
  /** The hosts in a target that have cost something or have attempts under way. */
  hostsIn(target: string, most: number, now: number): KnownHost[];
  /** The hosts in a target that are in good standing, with the clock value of their last login. */
  standingIn(target: string, most: number, now: number): [host: string, at: number][];
  /** Wrong passwords of a host without a login, beyond `forget` too; `undefined`: of none. */
  slowOf(target: string, now: number): Reckoning | undefined;
  /** Failures of a host that belongs here on accounts of others; `undefined`: of none. */
  insiderOf(target: string, now: number): Reckoning | undefined;
  /** All hosts that are in good standing at a clock value. */
  standingHosts(now: number): Iterable<HostKey>;
  /** With what an address is counted. */
  countedWith(address: string): { readonly network?: string; readonly ipv4?: string };
}

/** Looks at hosts, and changes nothing. */
export class Inspection implements HostInspection {
  readonly #hosts: Hosts;
  readonly #ledger: Ledger;

  /**
   * @param hosts The hosts.
   * @param ledger What they have cost.
   */
  constructor(hosts: Hosts, ledger: Ledger) {
    this.#hosts = hosts;
    this.#ledger = ledger;
  }

  /** Reads what hosts have cost, and puts it back after a restart. */
  get kept(): HostKeeping {
    return this.#ledger.kept;
  }

  /**
   * The hosts in a target that have cost something or have attempts under way.
   *
   * @param target Canonical address or network.
   * @param most How many, those with most points first.
   * @param now Clock value, in milliseconds.
   */
  hostsIn(target: string, most: number, now: number): KnownHost[] {
    const limitOf = (host: number) => this.#ledger.limitOf(host, now);
    const found = target.includes("/")
      ? [...this.#hosts.entries()].flatMap(([key, host]) => isIn(key, target) ? [host] : [])
      : [this.#hosts.find(keyOf(target))].filter((host) => host !== NONE);
    return this.#hosts.statusOf(found, most, limitOf).map((status) => ({
      ...status,
      last: this.#ledger.last.of(this.#hosts.find(keyOf(status.host))),
    }));
  }

  /**
   * The hosts in a target that are in good standing, with the clock value of their last login.
   *
   * @param target Canonical address or network.
   * @param most How many.
   * @param now Clock value, in milliseconds.
   */
  standingIn(target: string, most: number, now: number): [host: string, at: number][] {
    const { standing, policy } = this.#ledger;
    const { creditMs } = policy;
    if (creditMs === 0) return [];
    const since = now - creditMs;
    if (!target.includes("/")) {
      const at = standing.lastOf(keyOf(target));
      return at === undefined || at < since ? [] : [[target, at]];
    }
    const found: [string, number][] = [];
    for (const key of standing.keys()) {
      if (found.length >= most) break;
      const at = standing.lastOf(key)!;
      if (at >= since && isIn(key, target)) found.push([keyText(key), at]);
    }
    return found;
  }

  /**
   * Wrong passwords of a host without a login, beyond `forget` too.
   *
   * @param target Canonical address, or IPv6 network with which it is counted.
   * @param now Clock value, in milliseconds.
   * @returns `undefined`: none of earlier days.
   */
  slowOf(target: string, now: number): Reckoning | undefined {
    const { slow, slowJudge, policy } = this.#ledger;
    const key = this.#countedKey(target);
    if (!slow.has(key)) return undefined;
    const host = this.#hosts.find(keyOf(target));
    const count = host === NONE ? slow.countOf(key, now) : slowJudge.countOf(host, key);
    return count === 0 ? undefined : { count, limit: SLOW_FACTOR * policy.loyalty };
  }

  /**
   * Failures of a host that belongs here on accounts of others.
   *
   * @param target Canonical address, or IPv6 network with which it is counted.
   * @param now Clock value, in milliseconds.
   * @returns `undefined`: none within a day.
   */
  insiderOf(target: string, now: number): Reckoning | undefined {
    const count = this.#ledger.insiders.failuresOf(this.#countedKey(target), now);
    return count === 0 ? undefined : { count, limit: INSIDER_FAILURES_A_DAY + 1 };
  }

  #countedKey(target: string): HostKey {
    const key = keyOf(target);
    return target.includes("/") ? key : this.#ledger.networkOf(key) ?? key;
  }

  /** All hosts that are in good standing at a clock value. */
  *standingHosts(now: number): Generator<HostKey> {
    const { standing, policy } = this.#ledger;
    if (policy.creditMs === 0) return;
    for (const key of standing.keys()) if (standing.has(key, now - policy.creditMs)) yield key;
  }

  /**
   * With what an address is counted: its IPv6 network, and the IPv4 host behind it (NAT64).
   *
   * @param address Canonical address.
   */
  countedWith(address: string): { readonly network?: string; readonly ipv4?: string } {
    if (!address.includes(":") || address.includes("/")) return {};
    const { ipv6Prefix, nat64 = [] } = this.#ledger.policy;
    const networks = new HostNetworks(ipv6Prefix, nat64);
    const network = networks.of(address) === address ? undefined : networks.of(address);
    const ipv4 = networks.ipv4Of(address);
    return { ...(network ? { network } : {}), ...(ipv4 ? { ipv4 } : {}) };
  }
}

function isIn(key: HostKey, target: string): boolean {
  return contains(target, keyText(key));
}
