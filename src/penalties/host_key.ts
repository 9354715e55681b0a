/**
 * What hosts are told apart by.
 *
 * @module
 */

import { AddressSet } from "../address/address_set.ts";
import {
  ipv4In,
  ipv4Number,
  ipv4Text,
  type Network,
  networkOf,
  readAddress,
  WIDTH,
} from "../address/address.ts";

/**
 * An IPv4 address as a signed 32-bit number, which costs neither time nor memory; all else as
 * canonical text: an IPv6 address, or a network of `ipv6Prefix`.
 */
export type HostKey = number | string;

/** IPv6 addresses of which it is remembered how they are counted. */
const KNOWN_MAX = 16_384;

/**
 * Prefixes in which each address is somebody else, whatever `ipv6_prefix` says: behind the first
 * two are IPv4 hosts (NAT64, RFC 6052 section 2.1 and RFC 8215), a /64 of the third holds all users
 * of a Teredo server (RFC 4380, section 4), and the fourth all IPv4 hosts behind a stateless
 * translator (RFC 2765, section 2.1), and loopback.
 */
const SINGLE_HOSTS = ["64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "::/64"];

/**
 * Prefixes of translators in which the last 32 bits are an IPv4 address (RFC 6052, section 2.2; RFC
 * 2765, section 2.1).
 */
const NAT64 = ["64:ff9b::/96", "::ffff:0:0:0/96"];

/** The canonical text of a key. */
export function keyText(key: HostKey): string {
  return typeof key === "number" ? ipv4Text(key) : key;
}

/** The key of a canonical address. */
export function keyOf(address: string): HostKey {
  return address.includes(":") ? address : ipv4Number(address);
}

/** A key as an address, which need not be written as text for that. */
export function keyAddress(key: HostKey): Network | undefined {
  return typeof key === "number"
    ? { family: 4, words: [key >>> 0], prefix: WIDTH[4] }
    : readAddress(key);
}

/**
 * How the IPv6 hosts of a policy are counted.
 *
 * @example
 * ```ts
 * import { HostNetworks } from "./host_key.ts";
 *
 * const networks = new HostNetworks(64, []);
 * console.log(networks.of("2001:db8::5")); // 2001:db8::/64
 * console.log(networks.ipv4Of("64:ff9b::203.0.113.7")); // 203.0.113.7
 * ```
 */
export class HostNetworks {
  readonly #prefix: number;
  readonly #single: AddressSet;
  readonly #nat64: AddressSet;
  readonly #known = new Map<string, string>();

  /**
   * @param ipv6Prefix So many bits make a host.
   * @param nat64 Further prefixes of NAT64, each a canonical network of 96 bits.
   */
  constructor(ipv6Prefix: number, nat64: readonly string[]) {
    this.#prefix = ipv6Prefix;
    this.#single = new AddressSet([...SINGLE_HOSTS, ...nat64]);
    this.#nat64 = new AddressSet([...NAT64, ...nat64]);
  }

  /**
   * What an IPv6 address is counted under, should nobody in it belong here.
   *
   * @param address A canonical IPv6 address.
   * @returns Its network, or the address itself where each address is a host.
   */
  of(address: string): string {
    if (this.#prefix >= 128) return address;
    let network = this.#known.get(address);
    if (network === undefined) {
      network = this.#single.has(address) ? address : networkOf(address, this.#prefix);
      if (this.#known.size >= KNOWN_MAX) this.#known.clear();
      this.#known.set(address, network);
    }
    return network;
  }

  /** Whether some addresses of an IPv6 network are different hosts, whoever has the network. */
  hasSingles(network: string): boolean {
    return network.includes(":") && this.#single.overlaps(network);
  }

  /**
   * The IPv4 host behind an address of NAT64.
   *
   * @param address A canonical IPv6 address.
   * @returns Its canonical IPv4 address, or `undefined` if it is not one of NAT64.
   */
  ipv4Of(address: string): string | undefined {
    return this.#nat64.has(address) ? ipv4In(address) : undefined;
  }
}
