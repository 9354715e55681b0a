/**
 * Hosts that are blocked for where they are, when they first appear: that is no guilt of theirs. As
 * far as the firewall can, a few packets of theirs pass; a login ends the block, and the first
 * wrong password makes it one like any other.
 *
 * @module
 */

import type { NewBlock } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Firewall } from "../firewall/firewall.ts";
import { UNANSWERED_BAN_MS_MAX } from "../penalties/ban_time.ts";
import { isSightReason } from "../penalties/reason.ts";
import type { Releases } from "./releases.ts";

/** Most hosts of which packets pass; of further ones none does. */
export const SIGHT_BLOCKS_MAX = 512;

/** When there are so many it is looked at most so often which have ended, in milliseconds. */
const SWEEP_MS = 10_000;

/** What {@linkcode SightBlocks} look at. */
interface SightBlockParts {
  readonly list: BlockList;
  readonly firewall: Pick<Firewall, "softens">;
  readonly releases: Releases;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** Knows which blocks are soft because nobody has done anything. */
export class SightBlocks {
  readonly #parts: SightBlockParts;
  readonly #soft = new Set<string>();
  #sweptAt = -Infinity;

  /**
   * There are none yet; those of an earlier life are blocks like any other.
   *
   * @param parts What they look at.
   */
  constructor(parts: SightBlockParts) {
    this.#parts = parts;
  }

  /** Whether a block is one of these. */
  has(target: string): boolean {
    return this.#soft.has(target);
  }

  /** Canonical targets. */
  get targets(): string[] {
    for (const target of this.#soft) if (!this.#isThere(target)) this.#soft.delete(target);
    return [...this.#soft];
  }

  /**
   * Hosts are about to be blocked.
   *
   * @param blocks All blocks that are made.
   * @returns Whether one of them is soft.
   */
  add(blocks: readonly NewBlock[]): boolean {
    let isAny = false;
    for (const { target, reason } of blocks) {
      if (!isSightReason(reason) || !this.#parts.firewall.softens(target)) continue;
      if (this.#isFull()) continue;
      this.#soft.add(target);
      isAny = true;
    }
    return isAny;
  }

  /**
   * A host that had a way back has guessed.
   *
   * @returns Whether it had.
   */
  harden(target: string): boolean {
    return this.#soft.delete(target);
  }

  /** Whether any host has a way back. */
  get hasSoft(): boolean {
    return this.#soft.size > 0;
  }

  /**
   * A host has logged in by its way back.
   *
   * @returns Whether it had been blocked so, and is no more.
   */
  loggedIn(address: string): boolean {
    if (!this.#soft.delete(address) || !this.#isThere(address)) return false;
    const { list, releases, wallClock } = this.#parts;
    list.remove([address], wallClock());
    releases.release([address], "it logged in with a password");
    return true;
  }

  /** In a flood of strangers there is no time to look at all of them for each. */
  #isFull(): boolean {
    if (this.#soft.size < SIGHT_BLOCKS_MAX) return false;
    const now = this.#parts.wallClock();
    if (Math.abs(now - this.#sweptAt) < SWEEP_MS) return true;
    this.#sweptAt = now;
    return this.targets.length >= SIGHT_BLOCKS_MAX;
  }

  #isThere(target: string): boolean {
    const block = this.#parts.list.get(target);
    // Who is blocked by hand meanwhile keeps the reason, and is for longer.
    return block !== undefined && isSightReason(block.reason) &&
      (block.until ?? Infinity) - block.since <= UNANSWERED_BAN_MS_MAX;
  }
}
