/**
 * Hundreds of thousands of addresses and networks in little memory.
 *
 * @module
 */

import { type Family, maskOfWord, type Network, WIDTH, writeNetwork } from "./address.ts";

/** An IPv4 network is kept as a number: its first address times this, and the prefix. */
const PREFIX_ROOM = 64;

/** Networks that there is room for at first. */
const ROOM = 1_024;

/** Words of an IPv6 address. */
const WORDS = 4;

/** Collects networks for a {@linkcode TargetSet}, in any order, some of them more than once. */
export class TargetSetBuilder {
  #ipv4 = new Float64Array(ROOM);
  #ipv4Count = 0;
  readonly #ipv6: Network[] = [];

  /** Networks so far, each as often as it was added. */
  get size(): number {
    return this.#ipv4Count + this.#ipv6.length;
  }

  /**
   * Adds an IPv4 network.
   *
   * @param first Its first address, a number from 0 to 2^32 - 1 without bits behind the prefix.
   * @param prefix 0 to 32.
   */
  addIpv4(first: number, prefix: number): void {
    if (this.#ipv4Count === this.#ipv4.length) {
      const more = new Float64Array(this.#ipv4.length * 2);
      more.set(this.#ipv4);
      this.#ipv4 = more;
    }
    this.#ipv4[this.#ipv4Count++] = first * PREFIX_ROOM + prefix;
  }

  /** Adds a network of either family. */
  add(network: Network): void {
    if (network.family === 4) this.addIpv4(network.words[0]!, network.prefix);
    else this.#ipv6.push(network);
  }

  /** Makes the set of all that was added. */
  build(): TargetSet {
    const steps = this.buildInSteps();
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  }

  /**
   * The same in steps of some milliseconds each, between which others may have their turn; nothing
   * is to be added meanwhile.
   */
  *buildInSteps(): Generator<void, TargetSet> {
    const sorted = this.#ipv4.subarray(0, this.#ipv4Count);
    const ipv4 = yield* packIpv4(yield* sortedIpv4(sorted));
    return new TargetSet(ipv4, yield* packIpv6(this.#ipv6));
  }
}

interface Packed {
  readonly firsts: Uint32Array;
  readonly prefixes: Uint8Array;
}

/**
 * An immutable set of networks, none of which holds another: 5 bytes for each of IPv4, 17 of IPv6.
 *
 * @example
 * ```ts
 * import { readAddress } from "./address.ts";
 * import { TargetSetBuilder } from "./target_set.ts";
 *
 * const builder = new TargetSetBuilder();
 * builder.addIpv4(0xcb007100, 24); // 203.0.113.0/24
 * const set = builder.build();
 * console.log(set.find(readAddress("203.0.113.9")!)); // 203.0.113.0/24
 * ```
 */
export class TargetSet {
  readonly #ipv4: Packed;
  readonly #ipv6: Packed;

  /**
   * @param ipv4 Networks in ascending order, none within another.
   * @param ipv6 The same, four words each.
   */
  constructor(ipv4: Packed, ipv6: Packed) {
    this.#ipv4 = ipv4;
    this.#ipv6 = ipv6;
  }

  /** Number of networks. */
  get size(): number {
    return this.sizeOf(4) + this.sizeOf(6);
  }

  /** Number of networks of a family. */
  sizeOf(family: Family): number {
    return (family === 4 ? this.#ipv4 : this.#ipv6).prefixes.length;
  }

  /** Which part of the addresses that a family has in the Internet, from 0 to 1. */
  shareOf(family: Family): number {
    let share = 0;
    for (const [prefix, count] of this.lengthsOf(family)) share += count * 2 ** -prefix;
    // Of IPv6 those of 2000::/3.
    return family === 4 ? share : 8 * share;
  }

  /** How many networks of a family have each length of a prefix. */
  lengthsOf(family: Family): Map<number, number> {
    const counts = new Uint32Array(WIDTH[family] + 1);
    const { prefixes } = family === 4 ? this.#ipv4 : this.#ipv6;
    for (let at = 0; at < prefixes.length; at++) counts[prefixes[at]!]!++;
    return new Map([...counts.entries()].filter(([, count]) => count > 0));
  }

  /**
   * How many networks of a length hold networks of the set that are not wider.
   *
   * @param family Which networks.
   * @param prefix Their length.
   */
  countAt(family: Family, prefix: number): number {
    const { firsts, prefixes } = family === 4 ? this.#ipv4 : this.#ipv6;
    const words = family === 4 ? 1 : WORDS;
    const masked = Math.ceil(prefix / 32);
    const masks = Array.from({ length: masked }, (_, i) => maskOfWord(prefix, i));
    let count = 0;
    let last = -1;
    for (let at = 0; at < prefixes.length; at++) {
      if (prefixes[at]! < prefix) continue;
      let isSame = last >= 0;
      for (let i = 0; isSame && i < masked; i++) {
        isSame = ((firsts[at * words + i]! ^ firsts[last * words + i]!) & masks[i]!) === 0;
      }
      if (isSame) continue;
      count++;
      last = at;
    }
    return count;
  }

  /**
   * The network of the set that holds an IPv4 address.
   *
   * @param address A number of 32 bits, signed or not.
   * @returns Its place, or -1.
   */
  findIpv4(address: number): number {
    const { firsts, prefixes } = this.#ipv4;
    const wanted = address >>> 0;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (firsts[middle]! <= wanted) low = middle + 1;
      else high = middle;
    }
    const at = low - 1;
    return at >= 0 && wanted - firsts[at]! < 2 ** (32 - prefixes[at]!) ? at : -1;
  }

  /**
   * A network of the set that shares an address with another one.
   *
   * @param network An address or network of either family.
   * @returns A canonical target; `undefined` if there is none.
   */
  find({ family, words, prefix }: Network): string | undefined {
    if (family === 4) {
      const holder = this.findIpv4(words[0]!);
      const at = holder >= 0 ? holder : this.#firstFrom(4, words);
      return at < this.sizeOf(4) && meets(this.#networkAt(4, at), { family, words, prefix })
        ? writeNetwork(this.#networkAt(4, at))
        : undefined;
    }
    // The last one that begins before it may hold it, the next one may be in it.
    const next = this.#firstFrom(6, words);
    for (const at of [next - 1, next]) {
      if (at < 0 || at >= this.sizeOf(6)) continue;
      const found = this.#networkAt(6, at);
      if (meets(found, { family, words, prefix })) return writeNetwork(found);
    }
    return undefined;
  }

  /** All networks of a family, in ascending order. */
  *networks(family: Family): Generator<Network> {
    const count = this.sizeOf(family);
    for (let at = 0; at < count; at++) yield this.#networkAt(family, at);
  }

  /** All as canonical targets, those of IPv4 first. */
  *targets(): Generator<string> {
    for (const family of [4, 6] as const) {
      for (const network of this.networks(family)) yield writeNetwork(network);
    }
  }

  #networkAt(family: Family, at: number): Network {
    if (family === 4) {
      const { firsts, prefixes } = this.#ipv4;
      return { family, words: [firsts[at]!], prefix: prefixes[at]! };
    }
    const { firsts, prefixes } = this.#ipv6;
    return {
      family,
      words: [...firsts.subarray(at * WORDS, (at + 1) * WORDS)],
      prefix: prefixes[at]!,
    };
  }

  /** The place of the first network that does not begin before an address. */
  #firstFrom(family: Family, words: readonly number[]): number {
    const { firsts } = family === 4 ? this.#ipv4 : this.#ipv6;
    let low = 0;
    let high = this.sizeOf(family);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(firsts, middle * words.length, words) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** So many are sorted in one step, or merged: some milliseconds. */
const PER_STEP = 8_192;
const MERGED_PER_STEP = 4_096;

function* sortedIpv4(all: Float64Array<ArrayBuffer>): Generator<void, Iterable<number>> {
  const runs: Float64Array[] = [];
  for (let at = 0; at < all.length; at += PER_STEP) {
    runs.push(all.subarray(at, at + PER_STEP).sort());
    yield;
  }
  return merged(runs, (a, b) => a - b);
}

function* packIpv4(sorted: Iterable<number>): Generator<void, Packed> {
  let firsts = new Uint32Array(ROOM);
  let prefixes = new Uint8Array(ROOM);
  let count = 0;
  let last = -1;
  let done = 0;
  for (const packed of sorted) {
    if (++done % MERGED_PER_STEP === 0) yield;
    const first = Math.floor(packed / PREFIX_ROOM);
    // The wider of two comes first.
    if (first <= last) continue;
    const prefix = packed % PREFIX_ROOM;
    if (count === firsts.length) {
      firsts = grown(firsts, new Uint32Array(2 * count));
      prefixes = grown(prefixes, new Uint8Array(2 * count));
    }
    firsts[count] = first;
    prefixes[count++] = prefix;
    last = first + 2 ** (32 - prefix) - 1;
  }
  return { firsts: firsts.slice(0, count), prefixes: prefixes.slice(0, count) };
}

function grown<T extends Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(old: T, more: T): T {
  more.set(old);
  return more;
}

function* packIpv6(networks: readonly Network[]): Generator<void, Packed> {
  const order = (a: Network, b: Network) => compare(a.words, 0, b.words) || a.prefix - b.prefix;
  const runs: Network[][] = [];
  for (let at = 0; at < networks.length; at += PER_STEP) {
    runs.push(networks.slice(at, at + PER_STEP).sort(order));
    yield;
  }
  const firsts = new Uint32Array(networks.length * WORDS);
  const prefixes = new Uint8Array(networks.length);
  let count = 0;
  let done = 0;
  let last: Network | undefined;
  for (const network of merged(runs, order)) {
    if (++done % MERGED_PER_STEP === 0) yield;
    if (last !== undefined && meets(last, network)) continue;
    firsts.set(network.words, count * WORDS);
    prefixes[count++] = network.prefix;
    last = network;
  }
  return { firsts: firsts.slice(0, count * WORDS), prefixes: prefixes.slice(0, count) };
}

/** What several sorted runs hold, in order: two of them at a time. */
function merged<T>(
  runs: readonly ArrayLike<T>[],
  order: (a: T, b: T) => number,
): Iterable<T> {
  if (runs.length === 0) return [];
  if (runs.length === 1) return Array.prototype.values.call(runs[0]) as Iterable<T>;
  const half = runs.length >> 1;
  return mergedTwo(merged(runs.slice(0, half), order), merged(runs.slice(half), order), order);
}

function* mergedTwo<T>(
  some: Iterable<T>,
  others: Iterable<T>,
  order: (a: T, b: T) => number,
): Generator<T, void> {
  const [left, right] = [some[Symbol.iterator](), others[Symbol.iterator]()];
  let [a, b] = [left.next(), right.next()];
  while (!a.done && !b.done) {
    if (order(a.value, b.value) <= 0) {
      yield a.value;
      a = left.next();
    } else {
      yield b.value;
      b = right.next();
    }
  }
  for (; !a.done; a = left.next()) yield a.value;
  for (; !b.done; b = right.next()) yield b.value;
}

/** Negative, zero or positive, as the address at a place is before, equal to or after another. */
function compare(all: ArrayLike<number>, at: number, words: readonly number[]): number {
  for (let i = 0; i < words.length; i++) {
    const difference = all[at + i]! - words[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Whether two networks share an address. */
function meets(a: Network, b: Network): boolean {
  const prefix = Math.min(a.prefix, b.prefix, WIDTH[a.family]);
  return a.words.every((word, i) => ((word ^ b.words[i]!) & maskOfWord(prefix, i)) === 0);
}
