/**
 * Moments of the monotonic clock as time of day, and back: what happens is timed by the one, and
 * what is stored and told by the other.
 *
 * @module
 */

import type { BelievedTime } from "../blocks/believed_time.ts";
import type { Clock } from "../clock.ts";

/**
 * When something was, as time of day.
 *
 * @param at Clock value, in milliseconds.
 * @param clocks Both, as they are now.
 * @returns Milliseconds since 1970.
 *
 * @example
 * ```ts
 * import { toWallTime } from "./wall_time.ts";
 *
 * const clocks = { clock: { now: () => 5_000 }, wallClock: () => 1_800_000_000_000 };
 * console.log(toWallTime(4_000, clocks)); // 1799999999000
 * ```
 */
export function toWallTime(
  at: number,
  { clock, wallClock }: {
    readonly clock: Pick<Clock, "now">;
    readonly wallClock: () => number;
  },
): number {
  return wallClock() - (clock.now() - at);
}

/**
 * When something stored was, by the monotonic clock; what seems to lie ahead was just now.
 *
 * @param at Milliseconds since 1970.
 * @param clocks Both, as they are now.
 * @returns Clock value, in milliseconds.
 */
export function fromWallTime(
  at: number,
  { clock, believedTime }: {
    readonly clock: Pick<Clock, "now">;
    readonly believedTime: Pick<BelievedTime, "now">;
  },
): number {
  return clock.now() - Math.max(0, believedTime.now() - at);
}
