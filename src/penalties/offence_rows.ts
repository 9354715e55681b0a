/**
 * How many blocks of the same kind a host has had one after the other.
 *
 * @module
 */

import { forgetOldest } from "./bounded_map.ts";
import type { HostKey } from "./host_key.ts";
import { LATE_MS } from "./late_attempts.ts";

/** Most hosts of which that is known; the one that was blocked longest ago goes first. */
export const ROWS_MAX = 65_536;

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
  readonly #rows = new Map<HostKey, { count: number; at: number }>();

  /** Number of hosts. */
  get size(): number {
    return this.#rows.size;
  }

  /**
   * A host is blocked. What is under way then may be too much again, as some phones answer a challenge fifteen times at
   * once: within {@linkcode LATE_MS} that is the same block.
   *
   * @param host who
   * @param now clock value, in milliseconds
   * @param forgetMs a block that lies further back does not count, in milliseconds
   * @param most blocks before this one that count
   * @returns how many blocks of this row came before
   */
  next(host: HostKey, now: number, forgetMs: number, most = Infinity): number {
    const row = this.#rows.get(host);
    if (row !== undefined && now - row.at < LATE_MS) return row.count - 1;
    const before = row !== undefined && now - row.at <= forgetMs ? Math.min(row.count, most) : 0;
    // Deleted and added again, so that the map is in the order of the blocks.
    this.#rows.delete(host);
    this.#rows.set(host, { count: before + 1, at: now });
    forgetOldest(this.#rows, ROWS_MAX);
    return before;
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
