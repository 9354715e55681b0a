/**
 * Looks through all blocks, of which there may be a million: in turns, and remembering a page of
 * them.
 *
 * @module
 */

import type { Block } from "../blocks/block.ts";
import type { Budget } from "./budget.ts";

/** Blocks of a page. */
const ROWS_MAX = 100;

/** Blocks that are looked at before the clock is. */
const STEP = 256;

/** What is kept beyond a page before it is cut back. */
const SLACK = 1_024;

/** A place in the list, which is in the order of age; those of one moment by their targets. */
export interface Place {
  readonly since: number;
  readonly target: string;
}

/** Which blocks are wanted. */
interface Wanted {
  /** Whether a block is wanted at all; `undefined`: all are. */
  readonly matches: ((block: Block) => boolean) | undefined;
  /** Those that are older than this, … */
  readonly before?: Place | undefined;
  /** … or those that are newer. */
  readonly after?: Place | undefined;
  /** Most of them. @default {ROWS_MAX} */
  readonly rows?: number;
}

/** It takes longer than anybody waits. */
export class TooLongError extends Error {
  override readonly name = "TooLongError";
}

/** What was found. */
export interface Found {
  /** The newest first. */
  readonly blocks: readonly Block[];
  /** All that are wanted, on other pages too. */
  readonly matching: number;
  /** Those of them that are newer than the first of these. */
  readonly newer: number;
}

/**
 * Looks through all blocks.
 *
 * @param blocks All of them, in no order; what changes meanwhile may be seen.
 * @param wanted Which.
 * @param budget Gives turns.
 * @param isOver Whether nobody waits any more.
 * @throws {TooLongError} When nobody does.
 */
export async function findBlocks(
  blocks: Iterable<Block>,
  wanted: Wanted,
  budget: Budget,
  isOver: () => boolean = () => false,
): Promise<Found> {
  const { matches, before, after, rows = ROWS_MAX } = wanted;
  // What is newer than the place is wanted from the other end.
  const sign = after === undefined ? 1 : -1;
  const limit = before ?? after;
  const kept = new Kept(rows, sign);
  let matching = 0;
  let beyond = 0;
  const all = blocks[Symbol.iterator]();
  await budget.inTurns(() => {
    // A part of it would pass for the whole.
    if (isOver()) throw new TooLongError("the blocks could not be looked through in time");
    for (let i = 0; i < STEP; i++) {
      const { done, value: block } = all.next();
      if (done === true) return false;
      if (matches !== undefined && !matches(block)) continue;
      matching++;
      if (limit !== undefined && sign * compare(block, limit) >= 0) beyond++;
      else kept.add(block);
    }
    return true;
  });
  const found = kept.take();
  return after === undefined
    ? { blocks: found.reverse(), matching, newer: beyond }
    : { blocks: found, matching, newer: matching - beyond - found.length };
}

function compare(a: Place, b: Place): number {
  return a.since - b.since || (a.target === b.target ? 0 : a.target < b.target ? -1 : 1);
}

/** The last few of many, in order. Most come in their order already. */
class Kept {
  readonly #most: number;
  readonly #sign: number;
  #blocks: Block[] = [];

  constructor(most: number, sign: number) {
    this.#most = most;
    this.#sign = sign;
  }

  add(block: Block): void {
    const blocks = this.#blocks;
    const last = blocks.at(-1);
    if (last === undefined || this.#order(block, last) >= 0) {
      if (blocks.push(block) > this.#most + SLACK) this.#blocks = blocks.slice(-this.#most);
      return;
    }
    const first = blocks.length - this.#most;
    if (first >= 0 && this.#order(block, blocks[first]!) < 0) return;
    let low = Math.max(0, first);
    let high = blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#order(block, blocks[middle]!) < 0) high = middle;
      else low = middle + 1;
    }
    blocks.splice(low, 0, block);
    if (blocks.length > this.#most + SLACK) this.#blocks = blocks.slice(-this.#most);
  }

  take(): Block[] {
    return this.#blocks.slice(-this.#most);
  }

  #order(a: Place, b: Place): number {
    return this.#sign * compare(a, b);
  }
}
