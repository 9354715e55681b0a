/**
 * What hosts are told apart by.
 *
 * @module
 */

import { ipv4Number, ipv4Text } from "../ami/security_event.ts";

/**
 * An IPv4 address as a signed 32-bit number, which costs neither time nor memory; all else as canonical text: an IPv6
 * address, or a network of `ipv6Prefix`.
 */
export type HostKey = number | string;

/** The canonical text of a key. */
export function keyText(key: HostKey): string {
  return typeof key === "number" ? ipv4Text(key) : key;
}

/** The key of a canonical address. */
export function keyOf(address: string): HostKey {
  return address.includes(":") ? address : ipv4Number(address);
}
