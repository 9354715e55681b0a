/**
 * Durations, in milliseconds.
 *
 * @module
 */

/** One second. */
export const SECOND = 1_000;
/** One minute. */
export const MINUTE = 60 * SECOND;
/** One hour. */
export const HOUR = 60 * MINUTE;
/** One day. */
export const DAY = 24 * HOUR;
