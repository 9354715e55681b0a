/**
 * The IPv4 host that an IPv6 address stands for: files of places know it by its IPv4 address alone.
 *
 * @module
 */

import { ipv4Text, readAddress } from "../address/address.ts";
import type { HostNetworks } from "../penalties/host_key.ts";

/** The first 16 bits of an address of 6to4 (RFC 3056, section 2); the next 32 are the IPv4 one. */
const SIX_TO_FOUR = 0x2002;

/**
 * Unfolds mapped addresses (as `parseAddress` does), those of NAT64 and those of 6to4.
 *
 * @param address A canonical address.
 * @param networks Knows the prefixes of NAT64.
 * @returns The canonical IPv4 address; `undefined` if it stands for none.
 *
 * @example
 * ```ts
 * import { HostNetworks } from "../penalties/host_key.ts";
 * import { foldedIpv4 } from "./folding.ts";
 *
 * const networks = new HostNetworks(128, []);
 * console.log(foldedIpv4("2002:c000:207::1", networks)); // 192.0.2.7
 * console.log(foldedIpv4("64:ff9b::c000:207", networks)); // 192.0.2.7
 * ```
 */
export function foldedIpv4(address: string, networks: HostNetworks): string | undefined {
  if (!address.includes(":")) return undefined;
  const read = readAddress(address);
  if (read === undefined) return undefined;
  if (read.family === 4) return ipv4Text(read.words[0]!);
  const [first = 0, second = 0] = read.words;
  if (first >>> 16 === SIX_TO_FOUR) return ipv4Text((first << 16 | second >>> 16) >>> 0);
  return networks.ipv4Of(address);
}
