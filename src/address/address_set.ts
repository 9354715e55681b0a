/**
 * A set of addresses and networks that answers quickly whether it holds an address.
 *
 * @module
 */

import {
  expectNetwork,
  type Family,
  maskOfWord,
  type Network,
  readAddress,
  readIpv4,
  writeNetwork,
} from "./address.ts";

/** First and last address of a network, as words. */
interface Range {
  readonly first: readonly number[];
  readonly last: readonly number[];
}

/**
 * An immutable set of addresses and networks that answers quickly whether an address is in it: a
 * search costs the logarithm of the number of networks, and no memory but that of reading the text.
 *
 * @example
 * ```ts
 * import { AddressSet } from "./address_set.ts";
 *
 * const trusted = new AddressSet(["192.168.0.0/16", "2001:db8::7"]);
 * trusted.has("192.168.4.1"); // true
 * trusted.overlaps("2001:db8::/64"); // true
 * ```
 */
export class AddressSet {
  /** The targets, canonical, each once, in the order in which they were given. */
  readonly targets: readonly string[];

  /** Networks of a family that do not touch each other's addresses, in ascending order. */
  readonly #ranges: Readonly<Record<Family, readonly Range[]>>;

  /** Those of IPv4 once more, as numbers: a flood asks for each of its events. */
  readonly #ipv4Firsts: Uint32Array;
  readonly #ipv4Lasts: Uint32Array;

  /**
   * Makes a set; the order of the targets and targets inside of others do not matter.
   *
   * @param targets Addresses and networks.
   * @throws {TypeError} If one of them is neither.
   */
  constructor(targets: Iterable<string>) {
    const networks = new Map<string, Network>();
    for (const target of targets) {
      const network = expectNetwork(target);
      networks.set(writeNetwork(network), network);
    }
    this.targets = [...networks.keys()];
    const all = [...networks.values()];
    this.#ranges = { 4: disjointRanges(all, 4), 6: disjointRanges(all, 6) };
    this.#ipv4Firsts = Uint32Array.from(this.#ranges[4], ({ first }) => first[0]!);
    this.#ipv4Lasts = Uint32Array.from(this.#ranges[4], ({ last }) => last[0]!);
  }

  /**
   * Whether an address is one of the targets or in one of them.
   *
   * @param address An address.
   * @returns `true` if it is; `false` if it is not, or if the text is not an address.
   */
  has(address: string): boolean {
    const network = readAddress(address);
    if (network === undefined) return false;
    return meets(this.#ranges[network.family], network.words, network.words);
  }

  /**
   * The same for an IPv4 address that is a number, as events of a flood bring it: no text is made
   * or read.
   *
   * @param address The four bytes as one number of 32 bits, signed or not.
   * @returns `true` if it is one of the targets or in one of them.
   */
  hasIpv4(address: number): boolean {
    const wanted = address >>> 0;
    const firsts = this.#ipv4Firsts;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (firsts[middle]! <= wanted) low = middle + 1;
      else high = middle;
    }
    return low > 0 && this.#ipv4Lasts[low - 1]! >= wanted;
  }

  /**
   * Whether a target shares an address with this set, that is, contains a target of the set or is
   * contained in one.
   *
   * @param target A canonical target.
   * @returns `true` if at least one address is in both.
   * @throws {TypeError} If it is not a target.
   */
  overlaps(target: string): boolean {
    // Most targets are such addresses, and at the start there are tens of thousands.
    const word = readIpv4(target);
    if (word !== undefined) return this.hasIpv4(word);
    const network = expectNetwork(target);
    const { first, last } = rangeOf(network);
    return meets(this.#ranges[network.family], first, last);
  }

  /**
   * Whether every address of a target is in this set. Two targets of the set that hold a half each
   * do not count.
   *
   * @param target A canonical target.
   * @returns `true` if one target of the set holds all of it.
   * @throws {TypeError} If it is not a target.
   */
  covers(target: string): boolean {
    const network = expectNetwork(target);
    const { first, last } = rangeOf(network);
    return this.#ranges[network.family].some((range) =>
      compareWords(range.first, first) <= 0 && compareWords(last, range.last) <= 0
    );
  }
}

function rangeOf({ words, prefix }: Network): Range {
  return {
    first: words,
    last: words.map((word, i) => (word | ~maskOfWord(prefix, i)) >>> 0),
  };
}

/** Negative, zero or positive, as `a` is before, equal to or after `b`; both of one family. */
function compareWords(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The ranges of the networks of one family in ascending order, without those inside of others. */
function disjointRanges(networks: readonly Network[], family: Family): Range[] {
  const sorted = networks
    .filter((network) => network.family === family)
    .sort((a, b) => compareWords(a.words, b.words) || a.prefix - b.prefix);
  const ranges: Range[] = [];
  for (const network of sorted) {
    const range = rangeOf(network);
    const previous = ranges.at(-1);
    if (previous === undefined || compareWords(range.first, previous.last) > 0) ranges.push(range);
  }
  return ranges;
}

/** Whether one of the ascending, disjoint ranges shares an address with `first` to `last`. */
function meets(
  ranges: readonly Range[],
  first: readonly number[],
  last: readonly number[],
): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareWords(ranges[middle]!.first, last) <= 0) low = middle + 1;
    else high = middle;
  }
  // The ranges before `low` begin at or before `last`; of these the last one ends last.
  return low > 0 && compareWords(ranges[low - 1]!.last, first) >= 0;
}
