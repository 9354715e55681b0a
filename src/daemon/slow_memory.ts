/**
 * What slow guessers have failed outlives the daemon.
 *
 * @module
 */

import type { BelievedTime } from "../blocks/believed_time.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Clock } from "../clock.ts";
import { keyOf } from "../penalties/host_key.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import { BLOCKED_MS } from "../penalties/slow_guesses.ts";
import { toWallTime } from "./wall_time.ts";

/** Most hosts that are written at a time, four times a second; takes about 4 ms. */
const ROWS_PER_TICK = 250;

/** What {@linkcode SlowMemory} joins. */
interface SlowMemoryParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly clock: Pick<Clock, "now">;
  readonly wallClock: () => number;
  /** The time by which hosts are forgotten. */
  readonly believedTime: Pick<BelievedTime, "now">;
}

/** Keeps what is remembered of slow guessers in the database. */
export class SlowMemory {
  readonly #parts: SlowMemoryParts;
  #isRestored = false;

  /**
   * Nothing is remembered yet.
   *
   * @param parts What it joins.
   */
  constructor(parts: SlowMemoryParts) {
    this.#parts = parts;
  }

  /** Takes over what the database remembers, once, as soon as that can be read. */
  restore(): void {
    if (this.#isRestored) return;
    const { table, list, clock, believedTime } = this.#parts;
    const stored = list.slow();
    if (stored === undefined) return;
    this.#isRestored = true;
    const [now, wall] = [clock.now(), believedTime.now()];
    const clockOf = (at: number) => now - Math.max(-BLOCKED_MS, wall - at);
    table.slow.restore(stored.map(({ host, failures, kind, several, first, last }) => ({
      host,
      count: failures,
      kind,
      several,
      firstAt: clockOf(first),
      lastAt: clockOf(last),
    })));
  }

  /**
   * Writes some of what has changed, or all of it.
   *
   * @param most Hosts.
   */
  save(most: number = ROWS_PER_TICK): void {
    const { table, list, wallClock } = this.#parts;
    if (list.saveSlow === undefined || !this.#isRestored) return;
    const changes = table.slow.takeUnsaved(most);
    if (changes.length === 0) return;
    const wall = wallClock();
    const isSaved = list.saveSlow(
      changes.map(([host, saved]) => [
        host,
        saved && {
          host,
          failures: saved.count,
          kind: saved.kind,
          several: saved.several,
          first: Math.round(toWallTime(saved.firstAt, this.#parts)),
          last: Math.round(toWallTime(saved.lastAt, this.#parts)),
        },
      ]),
      wall,
    );
    if (!isSaved) { for (const [host] of changes) table.slow.touch(keyOf(host)); }
  }
}
