/**
 * How long to wait before something that failed is tried again.
 *
 * @module
 */

/**
 * Computes a retry delay, which doubles with each failure.
 *
 * @param failures How many times it has failed before: 0 gives the first delay.
 * @param firstMs The first delay, in milliseconds.
 * @param maxMs The longest delay, in milliseconds.
 * @returns The delay, in milliseconds.
 *
 * @example
 * ```ts
 * import { retryDelay } from "./backoff.ts";
 *
 * retryDelay(0, 250, 30_000); // 250
 * retryDelay(3, 250, 30_000); // 2,000
 * retryDelay(9, 250, 30_000); // 30,000
 * ```
 */
export function retryDelay(failures: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** failures);
}

/**
 * Takes something from the half to the whole of a delay, so that those who failed together do not
 * all come again together.
 *
 * @param delayMs The delay, in milliseconds.
 * @param random Makes a number from 0 to 1.
 * @returns The delay to wait for, in milliseconds.
 */
export function jittered(delayMs: number, random: () => number): number {
  return delayMs * (0.5 + random() / 2);
}
