/**
 * Other ways in which people write networks: ranges and netmasks, as targets.
 *
 * @module
 */

import { type Network, parseTarget, readAddress, readIpv4, writeNetwork } from "./address.ts";

/** Bits of a word of a {@linkcode Network}. */
const WORD_BITS = 32n;

/**
 * Reads an address, a network in CIDR notation, a network with a netmask
 * (`192.0.2.0/255.255.255.0`) or a range (`192.0.2.5-192.0.2.9`).
 *
 * @param text The text, without white space.
 * @returns Canonical targets in ascending order, of a range the fewest that hold it and nothing
 *   else: 62 at most for IPv4, 254 for IPv6. `undefined` if it is none of these.
 *
 * @example
 * ```ts
 * import { parseTargets } from "./ranges.ts";
 *
 * parseTargets("192.0.2.4-192.0.2.8"); // ["192.0.2.4/30", "192.0.2.8"]
 * parseTargets("192.0.2.7/255.255.255.0"); // ["192.0.2.0/24"]
 * parseTargets("192.0.2.9-192.0.2.8"); // undefined
 * ```
 */
export function parseTargets(text: string): string[] | undefined {
  const target = parseTarget(text);
  if (target !== undefined) return [target];
  const dash = text.indexOf("-");
  if (dash !== -1) {
    const first = readAddress(text.slice(0, dash));
    const last = readAddress(text.slice(dash + 1));
    return first && last && targetsBetween(first, last);
  }
  const slash = text.indexOf("/");
  const prefix = slash === -1 ? undefined : prefixOfMask(text.slice(slash + 1));
  const masked = prefix === undefined
    ? undefined
    : parseTarget(`${text.slice(0, slash)}/${prefix}`);
  return masked === undefined ? undefined : [masked];
}

/** The bits that a netmask of IPv4 fixes; `undefined` if they are not its first ones. */
function prefixOfMask(mask: string): number | undefined {
  const word = readIpv4(mask);
  if (word === undefined) return undefined;
  const prefix = Math.clz32(~word);
  const right = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
  return word === right ? prefix : undefined;
}

function targetsBetween(first: Network, last: Network): string[] | undefined {
  if (first.family !== last.family) return undefined;
  let from = numberOf(first);
  const to = numberOf(last);
  if (from > to) return undefined;
  const width = first.prefix;
  const targets: string[] = [];
  while (from <= to) {
    // The widest network that begins here and does not end behind the range.
    let bits = 0;
    while (bits < width) {
      const size = 1n << BigInt(bits + 1);
      if (from % size !== 0n || from + size - 1n > to) break;
      bits++;
    }
    targets.push(writeNetwork({ ...first, words: wordsOf(from, first), prefix: width - bits }));
    from += 1n << BigInt(bits);
  }
  return targets;
}

function numberOf({ words }: Network): bigint {
  return words.reduce((number, word) => (number << WORD_BITS) | BigInt(word), 0n);
}

function wordsOf(number: bigint, { words }: Network): number[] {
  return words.map((_, index) =>
    Number(BigInt.asUintN(32, number >> (WORD_BITS * BigInt(words.length - 1 - index))))
  );
}
