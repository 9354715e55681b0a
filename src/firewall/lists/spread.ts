/**
 * Networks of many lengths as more networks of few lengths: each length that is in use costs every
 * packet one look.
 *
 * @module
 */

import { type Family, maskOfWord, type Network, WIDTH } from "../../address/address.ts";
import type { TargetSet } from "../../address/target_set.ts";

/** So few lengths are wanted: each costs a packet 0.08 µs. */
const LENGTHS_WANTED = 3;

/** Most lengths, if fewer would make too many elements. */
const LENGTHS_MAX = 16;

/** So many times as many elements, and so many more, are no reason to use another length; */
const GROWTH_MAX = 2;
/** so many, if there are few lengths. */
const GROWTH_SMALL = 1.25;
const GROWTH_FREE = 20_000;

/** Most elements that one network becomes, as a power of two. */
const SPLIT_BITS_MAX = 16;

/**
 * Chooses the lengths of the sets that hold a family's networks: as few as do without many more
 * elements.
 *
 * @param set The networks.
 * @param family Which of them.
 * @param growth So many times as many elements are no reason to use another length.
 * @returns The lengths in descending order; none if there is no network.
 */
export function lengthsFor(set: TargetSet, family: Family, growth = GROWTH_MAX): number[] {
  const counts = set.lengthsOf(family);
  const lengths = [...counts.keys()].sort((a, b) => a - b);
  if (lengths.length === 0) return [];
  const size = set.sizeOf(family);
  const most = Math.min(LENGTHS_MAX, lengths.length);
  for (let count = 1; count <= most; count++) {
    const plan = cheapest(lengths, counts, count);
    if (plan === undefined) continue;
    const factor = count <= LENGTHS_WANTED ? Math.min(growth, GROWTH_SMALL) : growth;
    if (plan.elements <= factor * size + GROWTH_FREE) return plan.lengths.toReversed();
  }
  // None of these is split.
  return lengths.toReversed();
}

/** The fewest elements that so many lengths make; the longest is always among them. */
function cheapest(
  lengths: readonly number[],
  counts: ReadonlyMap<number, number>,
  count: number,
): { elements: number; lengths: number[] } | undefined {
  // best[i]: the networks up to the i-th length, whose own length is one of those that are used.
  let best = lengths.map((_, i) => {
    const elements = spreadTo(lengths, counts, 0, i);
    return elements === undefined ? undefined : { elements, lengths: [lengths[i]!] };
  });
  for (let used = 2; used <= count; used++) {
    best = lengths.map((_, i) => {
      let found = best[i];
      for (let before = 0; before < i; before++) {
        const rest = spreadTo(lengths, counts, before + 1, i);
        const earlier = best[before];
        if (rest === undefined || earlier === undefined) continue;
        const elements = earlier.elements + rest;
        if (found !== undefined && found.elements <= elements) continue;
        found = { elements, lengths: [...earlier.lengths, lengths[i]!] };
      }
      return found;
    });
  }
  return best.at(-1);
}

/** Elements of the networks from one length to another, all of the latter. */
function spreadTo(
  lengths: readonly number[],
  counts: ReadonlyMap<number, number>,
  from: number,
  to: number,
): number | undefined {
  let elements = 0;
  for (let i = from; i <= to; i++) {
    const bits = lengths[to]! - lengths[i]!;
    if (bits > SPLIT_BITS_MAX) return undefined;
    elements += counts.get(lengths[i]!)! * 2 ** bits;
  }
  return elements;
}

/**
 * The networks of a family, each as one or more of the chosen lengths.
 *
 * @param set The networks.
 * @param family Which of them.
 * @param lengths What {@linkcode lengthsFor} has chosen.
 */
export function* spread(
  set: TargetSet,
  family: Family,
  lengths: readonly number[],
): Generator<Network> {
  const ascending = [...lengths].sort((a, b) => a - b);
  for (const network of set.networks(family)) {
    const length = ascending.find((one) => one >= network.prefix) ?? WIDTH[family];
    if (length === network.prefix) yield network;
    else yield* split(network, length);
  }
}

/** The length at which one look tells whether anything listed may be near. */
export const NEAR_PREFIX: Readonly<Record<Family, number>> = { 4: 16, 6: 32 };

/** So many of these at most: a list of wide networks must not cost more than it spares. */
const NEAR_MAX = 65_536;

/** About so many networks of that length have hosts; of IPv6 far more than there are in a list. */
const NEAR_SPACE: Readonly<Record<Family, number>> = { 4: 57_000, 6: 1e9 };

/**
 * The networks of {@linkcode NEAR_PREFIX} that hold something listed, if most packets are spared
 * looks by asking for them first.
 *
 * @param set The networks.
 * @param family Which of them.
 * @param lengths How many looks there are without.
 * @returns Addresses as words; `undefined` if it is better to do without.
 */
export function nearOf(
  set: TargetSet,
  family: Family,
  lengths: number,
): readonly Network[] | undefined {
  if (lengths < 2) return undefined;
  const prefix = NEAR_PREFIX[family];
  let parts = 0;
  for (const [length, count] of set.lengthsOf(family)) {
    if (length < prefix) parts += count * 2 ** (prefix - length);
  }
  if (parts > NEAR_MAX) return undefined;
  const firsts = new Set<number>();
  for (const network of set.networks(family)) {
    const first = (network.words[0]! & maskOfWord(prefix, 0)) >>> 0;
    // None is wider than by eight bits, or thirteen of IPv6.
    const count = 2 ** Math.max(0, prefix - network.prefix);
    for (let i = 0; i < count; i++) firsts.add(first + i * 2 ** (32 - prefix));
  }
  const share = firsts.size / NEAR_SPACE[family];
  if (1 + share * lengths >= lengths) return undefined;
  return [...firsts].map((first) => ({
    family,
    words: family === 4 ? [first] : [first, 0, 0, 0],
    prefix,
  }));
}

/** The networks of a length that a network consists of. */
function* split({ family, words, prefix }: Network, length: number): Generator<Network> {
  const count = 2 ** (length - prefix);
  const parts = [...words];
  // The bits between the two lengths, as a number that is counted up; they may be in two words.
  const index = Math.ceil(length / 32) - 1;
  const step = 2 ** (32 * (index + 1) - length);
  for (let i = 0; i < count; i++) {
    yield { family, words: [...parts], prefix: length };
    parts[index]! += step;
    for (let at = index; at > 0 && parts[at]! > 0xffffffff; at--) {
      parts[at] = (parts[at]! & maskOfWord(32, 0)) >>> 0;
      parts[at - 1]! += 1;
    }
  }
}
