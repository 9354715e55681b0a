/**
 * How many blocks of the same kind a host has had one after the other.
 *
 * @module
 */

import { forgetOldest } from "./bounded_map.ts";
import type { HostKey } from "./host_key.ts";
import { LATE_MS } from "./late_attempts.ts";

/**
 * After the end of a block what was repeated into it arrives again, in milliseconds: requests over
 * UDP are sent again each 4 s (T2; RFC 3261, section 17.1.2.2, Timer E).
 */
const BACK_MS = 5_000;

/**
 * Wrong answers that come within so long are a phone's to one challenge, in milliseconds: baresip
 * gives fifteen in 5 to 14.
 */
const FORBORNE_MS = 15;

/** Most of these. */
const FORBORNE_MAX = 15;

/** Most hosts of which that is known; the one that was blocked longest ago goes first. */
export const ROWS_MAX = 65_536;

interface Row {
  readonly count: number;
  readonly at: number;
  /** When it was forborne first after this block, and how often. */
  forborneAt: number;
  forborne: number;
  /** A longer block may take the place of this one, once. */
  mayRenew: boolean;
}

/**
 * Rows of short blocks: each next one is longer, until a login or time ends the row.
 *
 * @example
 * ```ts
 * import { OffenceRows } from "./offence_rows.ts";
 *
 * const rows = new OffenceRows();
 * console.log(rows.next(1, 0, 86_400_000), rows.next(1, 60_000, 86_400_000)); // 0 1
 * ```
 */
export class OffenceRows {
  /** The one that was blocked longest ago comes first. */
  readonly #rows = new Map<HostKey, Row>();

  /** Number of hosts. */
  get size(): number {
    return this.#rows.size;
  }

  /**
   * A host is blocked. What is under way then may be too much again, as some phones answer a
   * challenge fifteen times at once: within {@linkcode LATE_MS} that is the same block.
   *
   * @param host Who.
   * @param now Clock value, in milliseconds.
   * @param forgetMs A block that lies further back does not count, in milliseconds.
   * @param most Blocks before this one that count.
   * @returns How many blocks of this row came before.
   */
  next(host: HostKey, now: number, forgetMs: number, most = Infinity): number {
    const row = this.#rows.get(host);
    if (row !== undefined && now - row.at < LATE_MS) return row.count - 1;
    const before = row !== undefined && now - row.at <= forgetMs ? Math.min(row.count, most) : 0;
    // Deleted and added again, so that the map is in the order of the blocks.
    this.#rows.delete(host);
    this.#rows.set(host, {
      count: before + 1,
      at: now,
      forborneAt: 0,
      forborne: 0,
      mayRenew: true,
    });
    forgetOldest(this.#rows, ROWS_MAX);
    return before;
  }

  /**
   * Whether a further block is to be forborne. The phone with the wrong password repeats its
   * request into the first block of its row, and so is the first to be heard at its end; all others
   * behind its address have given up meanwhile, and rest. Once, that costs no block, so that they
   * can show that they are there.
   *
   * @param host Who.
   * @param now Clock value, in milliseconds.
   * @param blockMs How long the first block lasts, in milliseconds.
   */
  forbears(host: HostKey, now: number, blockMs: number): boolean {
    const row = this.#rows.get(host);
    if (row === undefined || row.count !== 1) return false;
    const back = now - row.at - blockMs;
    if (back < 0 || back > BACK_MS || row.forborne >= FORBORNE_MAX) return false;
    if (row.forborne === 0) row.forborneAt = now;
    if (now - row.forborneAt > FORBORNE_MS) return false;
    row.forborne++;
    return true;
  }

  /** Whether a host was blocked so short a time ago that what it does was under way. */
  isLate(host: HostKey, now: number): boolean {
    const row = this.#rows.get(host);
    return row !== undefined && now - row.at < LATE_MS;
  }

  /** Whether a longer block may take the place of the last one of a row; only once. */
  takeRenewal(host: HostKey): boolean {
    const row = this.#rows.size === 0 ? undefined : this.#rows.get(host);
    if (row === undefined || !row.mayRenew) return false;
    row.mayRenew = false;
    return true;
  }

  /** Whether a host was blocked and has not logged in since. */
  has(host: HostKey): boolean {
    return this.#rows.has(host);
  }

  /** A login ends the row of a host. */
  end(host: HostKey): void {
    if (this.#rows.size > 0) this.#rows.delete(host);
  }
}
