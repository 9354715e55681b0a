/**
 * Which hosts are never charged.
 *
 * @module
 */

import type { AddressSet } from "../address/address_set.ts";
import { isLoopback } from "../address/address.ts";
import type { HostKey, HostNetworks } from "./host_key.ts";

/** IPv6 hosts of which it is remembered whether they are exempt. */
const KNOWN_MAX = 16_384;

/** First number of the addresses 127.0.0.0/8. */
const LOOPBACK_NETWORK = 127;

/** Answers for each event whether its host is exempt: loopback always is. */
export class ExemptHosts {
  #exempt: AddressSet;
  #networks: HostNetworks;
  /** To look through all networks for each event of an IPv6 host would cost most of its time. */
  readonly #known = new Map<string, boolean>();

  /**
   * The hosts of a policy.
   *
   * @param exempt Whom the policy exempts.
   * @param networks Which IPv6 addresses stand for an IPv4 host.
   */
  constructor(exempt: AddressSet, networks: HostNetworks) {
    this.#exempt = exempt;
    this.#networks = networks;
  }

  /** Changes the policy. */
  set(exempt: AddressSet, networks: HostNetworks): void {
    this.#exempt = exempt;
    this.#networks = networks;
    this.#known.clear();
  }

  /** Whether a host is never charged. */
  has(key: HostKey): boolean {
    if (typeof key === "number") {
      return key >>> 24 === LOOPBACK_NETWORK || key === 0 || this.#exempt.hasIpv4(key);
    }
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const behind = this.#networks.ipv4Of(key);
    const exempt = isLoopback(key) || key === "::" || this.#exempt.has(key) ||
      (behind !== undefined && this.#exempt.has(behind));
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(key, exempt);
    return exempt;
  }
}
