/**
 * Words of nft for addresses.
 *
 * @module
 */

import { type Family, maskOfWord, WIDTH, writeNetwork } from "../../address/address.ts";

/** The name and the key of an address in the language of nft. */
export const WORDS: Readonly<Record<Family, { type: string; source: string; icmp: string }>> = {
  4: { type: "ipv4_addr", source: "ip saddr", icmp: "icmp" },
  6: { type: "ipv6_addr", source: "ip6 saddr", icmp: "icmpv6" },
};

/**
 * Writes a mask as an address.
 *
 * @param family Which addresses.
 * @param length How many bits it keeps.
 */
export function maskText(family: Family, length: number): string {
  const words = Array.from({ length: family === 4 ? 1 : 4 }, (_, i) => maskOfWord(length, i));
  return writeNetwork({ family, words, prefix: WIDTH[family] });
}
