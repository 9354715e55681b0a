/**
 * How long an offender is blocked.
 *
 * @module
 */

/** A host in good standing is blocked for this long the first time, and twice as long each further time, in milliseconds. */
export const STANDING_BAN_MS = 10 * 60_000;

/** Longest ban that is computed, in milliseconds: ten years. More is written as for ever. */
export const BAN_MS_MAX = 10 * 365 * 86_400_000;

/** The ban times of the configuration, in seconds. */
export interface BanTimes {
  /** The first ban; 0: for ever. */
  readonly bantime: number;
  /** Each further ban is this many times as long. */
  readonly bantimeFactor: number;
  /** No ban is longer; 0: no bound. */
  readonly bantimeMax: number;
}

/**
 * How long a target is to be blocked.
 *
 * @param times the configured ban times
 * @param before how often the target has been blocked before
 * @param inGoodStanding the host has logged in with a password lately: it belongs here, and is only slowed down
 * @returns milliseconds, or `undefined` for ever
 *
 * @example
 * ```ts
 * import { banTime } from "./ban_time.ts";
 *
 * console.log(banTime({ bantime: 600, bantimeFactor: 2, bantimeMax: 0 }, 1, false)); // 1200000
 * ```
 */
export function banTime(
  times: BanTimes,
  before: number,
  inGoodStanding: boolean,
): number | undefined {
  if (inGoodStanding) return Math.min(STANDING_BAN_MS * 2 ** before, BAN_MS_MAX);
  if (times.bantime === 0) return undefined;
  const grown = times.bantime * times.bantimeFactor ** before * 1000;
  const bounded = times.bantimeMax > 0 ? Math.min(grown, times.bantimeMax * 1000) : grown;
  return bounded > BAN_MS_MAX ? undefined : Math.round(bounded);
}
