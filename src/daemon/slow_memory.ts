/**
 * What slow guessers have failed outlives the daemon.
 *
 * @module
 */

import type { BlockList } from "../blocks/block_list.ts";
import type { Clock } from "../clock.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import { BLOCKED_MS } from "../penalties/slow_guesses.ts";

/** How often it is looked what the hosts of the penalty table have failed, in milliseconds. */
const NOTE_MS = 60_000;

/** Most hosts that are written at a time, four times a second; takes about 4 ms. */
const ROWS_PER_TICK = 250;

/** What {@linkcode SlowMemory} joins. */
interface SlowMemoryParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly clock: Clock;
  readonly wallClock: () => number;
}

/** Keeps what is remembered of slow guessers in the database. */
export class SlowMemory {
  readonly #parts: SlowMemoryParts;
  #notedAt: number;

  /**
   * Nothing is remembered yet.
   *
   * @param parts What it joins.
   */
  constructor(parts: SlowMemoryParts) {
    this.#parts = parts;
    this.#notedAt = parts.clock.now();
  }

  /**
   * Takes over what the database remembers.
   *
   * @param wall The time of day that is believed, in milliseconds since 1970.
   */
  restore(wall: number): void {
    const { table, list, clock } = this.#parts;
    const now = clock.now();
    const clockOf = (at: number) => now - Math.max(-BLOCKED_MS, wall - at);
    table.slow.restore(
      list.slow().map(({ host, failures, recent, kind, several, first, last, recentLast }) => ({
        host,
        count: failures,
        recent,
        kind,
        several,
        firstAt: clockOf(first),
        lastAt: clockOf(last),
        recentLastAt: clockOf(recentLast),
      })),
      now,
    );
  }

  /** Writes some of what has changed. */
  look(): void {
    const now = this.#parts.clock.now();
    if (now - this.#notedAt >= NOTE_MS) {
      this.#notedAt = now;
      this.#parts.table.slow.note();
    }
    this.#save(ROWS_PER_TICK);
  }

  /** Writes all that has changed. */
  close(): void {
    this.#parts.table.slow.note();
    this.#save(Infinity);
  }

  #save(most: number): void {
    const { table, list, clock, wallClock } = this.#parts;
    const changes = table.slow.takeUnsaved(most);
    if (changes.length === 0) return;
    const wall = wallClock();
    const ahead = wall - clock.now();
    list.saveSlow(
      changes.map(([host, saved]) => [
        host,
        saved && {
          host,
          failures: saved.count,
          recent: saved.recent,
          kind: saved.kind,
          several: saved.several,
          first: Math.round(ahead + saved.firstAt),
          last: Math.round(ahead + saved.lastAt),
          recentLast: Math.round(ahead + saved.recentLastAt),
        },
      ]),
      wall,
    );
  }
}
