/**
 * What time it is for the ends of blocks, when the machine's clock may be wrong.
 *
 * A machine without a battery begins in 1970, and one with a bad clock in next month, until the time of the network is
 * known. Whoever ended blocks by such a clock would free all attackers, and forget all phones, for good.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/** A clock that is further away from the newest entry of the list is doubted, in milliseconds: a day. */
export const DOUBT_MS = 86_400_000;

/** After so long it is believed, in milliseconds: the machine may have been off. */
export const SETTLE_MS = 3_600_000;

/**
 * The time by which blocks end and logins are forgotten.
 *
 * @example
 * ```ts
 * import { BelievedTime } from "./believed_time.ts";
 * import { systemClock } from "./clock.ts";
 *
 * const lastLogin = Date.now() - 30 * 86_400_000;
 * const time = new BelievedTime(lastLogin, Date.now, systemClock);
 * console.log(time.isDoubted, time.now() - lastLogin < 1_000); // true true
 * ```
 */
export class BelievedTime {
  readonly #newest: number | undefined;
  readonly #wall: () => number;
  readonly #clock: Clock;
  readonly #startedAt: number;

  /**
   * It begins now.
   *
   * @param newest the newest time that the list knows, in milliseconds since 1970; `undefined` if it knows none
   * @param wall the machine's clock, in milliseconds since 1970
   * @param clock counts on, whatever the machine's clock is set to
   */
  constructor(newest: number | undefined, wall: () => number, clock: Clock) {
    this.#wall = wall;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#newest = newest !== undefined && Math.abs(wall() - newest) > DOUBT_MS
      ? newest
      : undefined;
  }

  /** The machine's clock is doubted. */
  get isDoubted(): boolean {
    return this.#newest !== undefined && this.#clock.now() - this.#startedAt < SETTLE_MS;
  }

  /**
   * The time, in milliseconds since 1970. While the machine's clock is doubted, time goes on from the newest entry, or from the
   * machine's clock if that is earlier: then nothing ends before its time.
   */
  now(): number {
    const wall = this.#wall();
    if (!this.isDoubted) return wall;
    return Math.min(wall, this.#newest! + (this.#clock.now() - this.#startedAt));
  }
}
