/**
 * Time, as the parts of Ampere see it; tests and simulations bring their own.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** A source of time and timers. */
export interface Clock {
  /**
   * Milliseconds since the Unix epoch, as of the start, counted on by a clock that is never set
   * back.
   */
  now(): number;
  /**
   * Calls a function once after a time.
   *
   * @param ms The time, in milliseconds.
   * @param run The function.
   * @returns Cancels the call.
   */
  after(ms: number, run: () => void): () => void;
  /**
   * Calls a function in the next turn of the event loop, when what has arrived meanwhile has been
   * read.
   *
   * @param run The function.
   */
  soon(run: () => void): void;
}

/**
 * The machine's clock. It does not jump when the system time is set: patience and ban times are
 * intervals.
 */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  soon: (run) => void setImmediate(run),
};

/**
 * Waits.
 *
 * @param clock The clock to wait by.
 * @param ms How long, in milliseconds.
 * @param signal Ends the wait early; the promise resolves then too.
 */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal?.addEventListener("abort", done);
  });
}
