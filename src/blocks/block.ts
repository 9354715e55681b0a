/**
 * One block, as the list keeps it, and the rule for a target that is blocked again.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";

/**
 * Longest text kept of a reason or an account, in UTF-16 units. Asterisk prints account names of up
 * to 255 bytes and session identifiers of 3,500; a person needs the beginning.
 */
export const TEXT_MAX = 200;

/** Longest name kept of a service ("PJSIP") or a transport ("UDP"), in UTF-16 units. */
export const NAME_MAX = 16;

/**
 * The latest moment that a JavaScript Date can hold, in milliseconds since 1970 (ECMA-262, "Time
 * Values").
 */
export const TIME_MAX = 8_640_000_000_000_000;

/** Highest count of blocks of one target that is kept. */
export const TIMES_MAX = 1_000_000;

/** A target that is blocked. */
export interface Block {
  /** Canonical address or network (see `parseTarget` in `address.ts`). */
  readonly target: string;
  /** When the block began, in milliseconds since 1970. */
  readonly since: number;
  /** When it ends, in milliseconds since 1970; `undefined`: never by itself. */
  readonly until: number | undefined;
  /** Why, for people; empty when nobody said. */
  readonly reason: string;
  /** The service that was attacked ("PJSIP"), or empty. */
  readonly service: string;
  /** The transport of the attack ("UDP"), or empty. */
  readonly transport: string;
  /** The account that was tried, or empty. */
  readonly account: string;
  /** How often this target has been blocked, this time included; at least 1. */
  readonly times: number;
}

/** Compares for sorting: the oldest first, those of one moment by their targets. */
export function byAge(a: Block, b: Block): number {
  return a.since - b.since || (a.target < b.target ? -1 : 1);
}

/** A block to be added. Without `times` the list counts by itself. */
export interface NewBlock extends Omit<Block, "times"> {
  /**
   * How often the target has been blocked, this time included, if it is known from elsewhere (an
   * import).
   */
  readonly times?: number | undefined;
  /**
   * False for a short block that makes no later one longer: however many of them there are, they
   * count as one.
   */
  readonly counts?: boolean | undefined;
  /**
   * True for a block that takes the place of one in force that ends earlier, its reason too: that
   * one was short because it was in doubt, and this one is not.
   */
  readonly renews?: boolean | undefined;
  /**
   * The accounts of PJSIP that the target failed on, if it may be an office all the same; not
   * stored.
   */
  readonly apart?: readonly string[] | undefined;
}

/** What is remembered of a block that ended. */
export interface PastBlock {
  /** Canonical address or network. */
  readonly target: string;
  /** How often it has been blocked. */
  readonly times: number;
  /** When the last block ended, in milliseconds since 1970. */
  readonly ended: number;
}

/** What became of a block that was added; see {@linkcode mergeBlock}. */
interface MergedBlock {
  /** The block as it now stands. */
  readonly block: Block;
  /**
   * `new`: the target was not blocked; `extended`: it was, and now is for longer; `same`: nothing
   * changed.
   */
  readonly change: "new" | "extended" | "same";
}

/**
 * Whether a block's end has come.
 *
 * @param block The block.
 * @param now Clock value in milliseconds since 1970.
 * @returns True when `until` is there and not later than `now`.
 */
export function hasEnded(block: { readonly until: number | undefined }, now: number): boolean {
  return block.until !== undefined && block.until <= now;
}

/**
 * Joins a new block with what is known of its target. A block that is in force keeps its beginning
 * and its reason, and ends at the later of the two ends, so that adding never shortens one. After
 * an ended block the new one begins afresh and counts one more time, unless it says that it does
 * not.
 *
 * @param known The block of this target that the list holds, if any.
 * @param pastTimes How often the target was blocked before, when `known` is undefined.
 * @param fresh The block to add, as {@linkcode boundedNew} gives it.
 * @param now Clock value in milliseconds since 1970.
 * @returns The block as it now stands.
 */
export function mergeBlock(
  known: Block | undefined,
  pastTimes: number,
  fresh: NewBlock,
  now: number,
): MergedBlock {
  const renewed = known !== undefined && fresh.renews === true &&
    laterEnd(known.until, fresh.until) !== known.until;
  if (known === undefined || hasEnded(known, now) || renewed) {
    const before = known?.times ?? pastTimes;
    const counted = fresh.counts === false ? before : before + 1;
    const block = {
      target: fresh.target,
      since: fresh.since,
      until: fresh.until,
      reason: fresh.reason,
      service: fresh.service,
      transport: fresh.transport,
      account: fresh.account,
      times: Math.max(counted, fresh.times ?? 1),
    };
    return { block, change: renewed && !hasEnded(known, now) ? "extended" : "new" };
  }
  const until = laterEnd(known.until, fresh.until);
  if (until === known.until) return { block: known, change: "same" };
  return { block: { ...known, until }, change: "extended" };
}

/** The later of two ends; `undefined` is never. */
function laterEnd(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.max(a, b);
}

/**
 * A new block with every field within its bounds, so that what is stored is what would be read
 * again.
 *
 * @param block Any block.
 * @returns The same with a canonical target, whole numbers and texts of bounded length.
 * @throws TypeError If the target is not an address or network: the caller checks input of people
 *   before.
 */
export function boundedNew(block: NewBlock): NewBlock {
  const target = isCanonical(block.target) ? block.target : parseTarget(block.target);
  if (target === undefined) {
    throw new TypeError(`"${block.target.slice(0, 60)}" is not an address or network`);
  }
  const bounded = {
    target,
    since: boundedTime(block.since),
    until: block.until === undefined ? undefined : boundedTime(block.until),
    reason: boundedText(block.reason, TEXT_MAX),
    service: boundedText(block.service, NAME_MAX),
    transport: boundedText(block.transport, NAME_MAX),
    account: boundedText(block.account, TEXT_MAX),
    times: block.times === undefined ? undefined : boundedTimes(block.times),
  };
  return {
    ...bounded,
    ...(block.counts === false ? { counts: false } : {}),
    ...(block.renews === true ? { renews: true } : {}),
  };
}

/**
 * A moment as a whole number that a Date can hold.
 *
 * @param time Milliseconds since 1970.
 * @returns The same, rounded down and bounded to 0 .. {@linkcode TIME_MAX}; 0 for what is not a
 *   number.
 */
export function boundedTime(time: number): number {
  return Math.min(Math.max(Math.floor(time) || 0, 0), TIME_MAX);
}

/**
 * A count of blocks within its bounds.
 *
 * @param times Any number.
 * @returns A whole number from 1 to {@linkcode TIMES_MAX}.
 */
export function boundedTimes(times: number): number {
  return Math.min(Math.max(Math.floor(times) || 1, 1), TIMES_MAX);
}

/**
 * A text that can be stored.
 *
 * @param text Any text.
 * @param max Longest result in UTF-16 units.
 * @returns Its beginning, without half characters.
 */
export function boundedText(text: string, max: number): string {
  return text.slice(0, max).toWellFormed();
}

/**
 * Almost every target is such an address, and a pattern needs no warming up: -l reads 50,000 of
 * them only once.
 */
const CANONICAL_IPV4 =
  /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/**
 * Whether a text is a target as the list keeps it.
 *
 * @param target Any text.
 */
export function isCanonical(target: string): boolean {
  return CANONICAL_IPV4.test(target) || parseTarget(target) === target;
}
