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
  return fewLengths(set.lengthsOf(family), growth, set.sizeOf(family));
}

function fewLengths(counts: ReadonlyMap<number, number>, growth: number, size: number): number[] {
  const lengths = [...counts.keys()].sort((a, b) => a - b);
  if (lengths.length === 0) return [];
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

/**
 * What is asked first: one look that tells whether anything listed may be near spares most packets
 * those for each length.
 */
interface Near {
  /** At which length it is asked. */
  readonly prefix: number;
  /** Networks from this length on are looked for only behind it. */
  readonly least: number;
}

/** How the networks of a family are put into sets. */
export interface Plan {
  /** The lengths of the sets, in descending order; none if there is no network. */
  readonly lengths: readonly number[];
  /** What is asked first, if it is of use. */
  readonly near: Near | undefined;
}

/** The length at which all of a list is near or not. */
const WIDE_PREFIX: Readonly<Record<Family, number>> = { 4: 16, 6: 32 };

/** So many of these at most: a list of wide networks must not cost more than it spares. */
const NEAR_MAX = 65_536;

/** Where most of a large list is longer than this, that part is near far fewer hosts. */
const NARROW_PREFIX: Readonly<Record<Family, number>> = { 4: 24, 6: 64 };

/** So many times as many elements, those that are asked first included, are worth that. */
const NARROW_GROWTH_MAX = 2.5;

/**
 * About so many networks of {@linkcode WIDE_PREFIX} have hosts; of IPv6 far more than there are in
 * a list.
 */
const WIDE_SPACE: Readonly<Record<Family, number>> = { 4: 57_000, 6: 1e9 };

/**
 * Chooses the sets that hold a family's networks: so that the packets of most hosts cost few looks,
 * with not many more elements than networks.
 *
 * @param set The networks.
 * @param family Which of them.
 */
export function planOf(set: TargetSet, family: Family): Plan {
  const lengths = lengthsFor(set, family);
  const plain: Plan = { lengths, near: undefined };
  if (lengths.length < 2) return plain;
  const wide: Plan = { lengths, near: { prefix: WIDE_PREFIX[family], least: 0 } };
  const narrow = lengths.length > LENGTHS_WANTED ? narrowPlan(set, family) : undefined;
  return [wide, narrow].reduce<{ plan: Plan; looks: number }>((best, plan) => {
    const looks = plan === undefined ? Infinity : looksOf(set, family, plan);
    return plan !== undefined && looks < best.looks ? { plan, looks } : best;
  }, { plan: plain, looks: lengths.length }).plan;
}

/** What is longer than the rest has a first look of its own, and then a set for each length. */
function narrowPlan(set: TargetSet, family: Family): Plan | undefined {
  const prefix = NARROW_PREFIX[family];
  const counts = set.lengthsOf(family);
  const narrow = [...counts.keys()].filter((length) => length >= prefix).sort((a, b) => b - a);
  const wide = new Map([...counts].filter(([length]) => length < prefix));
  const size = set.sizeOf(family);
  const near = { prefix, least: prefix };
  const lengths = [...narrow, ...fewLengths(wide, GROWTH_MAX, size)];
  const elements = elementsOf(counts, lengths) + countNear(set, family, near);
  return elements <= NARROW_GROWTH_MAX * size + GROWTH_FREE ? { lengths, near } : undefined;
}

/** How many elements networks become. */
function elementsOf(counts: ReadonlyMap<number, number>, lengths: readonly number[]): number {
  let elements = 0;
  for (const [prefix, count] of counts) {
    elements += count * 2 ** (lengths.findLast((length) => length >= prefix)! - prefix);
  }
  return elements;
}

/** How many looks the packet of a host costs that is anywhere in the Internet, about. */
function looksOf(set: TargetSet, family: Family, { lengths, near }: Plan): number {
  const { prefix, least } = near!;
  const behind = lengths.filter((length) => length >= least).length;
  const count = countNear(set, family, near!);
  const share = count / (WIDE_SPACE[family] * 2 ** (prefix - WIDE_PREFIX[family]));
  return count > NEAR_MAX && least === 0 ? Infinity : lengths.length - behind + 1 + share * behind;
}

/** How many networks {@linkcode nearOf} gives. */
function countNear(set: TargetSet, family: Family, near: Near): number {
  let wide = 0;
  for (const [length, count] of set.lengthsOf(family)) {
    if (length >= near.least && length < near.prefix) wide += count * 2 ** (near.prefix - length);
  }
  return wide > NEAR_MAX ? wide : wide + set.countAt(family, near.prefix);
}

/**
 * The networks of a length that hold something listed, of what is looked for behind them.
 *
 * @param set The networks.
 * @param family Which of them.
 * @param near What {@linkcode planOf} has chosen.
 */
export function* nearOf(set: TargetSet, family: Family, near: Near): Generator<Network> {
  const { prefix, least } = near;
  let last: readonly number[] = [];
  for (const network of set.networks(family)) {
    if (network.prefix < least) continue;
    if (network.prefix < prefix) {
      yield* split(network, prefix);
      continue;
    }
    const words = network.words.map((word, i) => (word & maskOfWord(prefix, i)) >>> 0);
    // They are in ascending order.
    if (words.every((word, i) => word === last[i])) continue;
    last = words;
    yield { family, words, prefix };
  }
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
