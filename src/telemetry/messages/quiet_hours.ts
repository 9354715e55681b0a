/**
 * When a messenger is to be quiet.
 *
 * @module
 */

import type { QuietHours } from "../../config/messengers.ts";

/**
 * Whether it is to be quiet at a moment, by this machine's clock and zone.
 *
 * @param quiet The hours; `undefined`: never.
 * @param at Time of day, in milliseconds since 1970.
 *
 * @example
 * ```ts
 * import { isQuiet } from "./quiet_hours.ts";
 *
 * const night = { from: 22 * 60, to: 7 * 60 };
 * isQuiet(night, new Date(2026, 0, 1, 6, 59).getTime()); // true
 * isQuiet(night, new Date(2026, 0, 1, 7, 0).getTime()); // false
 * ```
 */
export function isQuiet(quiet: QuietHours | undefined, at: number): boolean {
  if (quiet === undefined) return false;
  const date = new Date(at);
  const minute = date.getHours() * 60 + date.getMinutes();
  const { from, to } = quiet;
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}
