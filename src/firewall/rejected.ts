/**
 * When changes that the firewall rejected are tried again: one after the other, with growing
 * delays.
 *
 * @module
 */

import { jittered, retryDelay } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import { REJECTED_IN_A_ROW } from "./trouble.ts";

/** The first delay, in milliseconds; it doubles each time. */
export const RETRY_FIRST_MS = 100;

/** The longest delay until one is tried again, in milliseconds. */
export const RETRY_MAX_MS = 30_000;

/** The longest delay after a change was rejected, before the next one's turn, in milliseconds. */
const REJECTED_DELAY_MAX_MS = 2_000;

/** The turns of the rejected changes of one family. */
export class RejectedTurns {
  /** How many changes were rejected without a success in between. */
  inARow = 0;
  /** A rejected change is to be tried now. */
  isDue = false;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #wake: () => void;
  #tries = 0;
  #cancel: (() => void) | undefined;

  /**
   * Nothing was rejected yet.
   *
   * @param clock The time.
   * @param random Random numbers from 0 to 1, for the delays.
   * @param wake Called when one is due.
   */
  constructor(clock: Clock, random: () => number, wake: () => void) {
    this.#clock = clock;
    this.#random = random;
    this.#wake = wake;
  }

  /**
   * Notes that a change was rejected.
   *
   * @returns How long to wait before the next change, in milliseconds.
   */
  rejected(): number {
    this.inARow += 1;
    const more = this.inARow - REJECTED_IN_A_ROW;
    const delay = more < 0 ? 0 : retryDelay(more, RETRY_FIRST_MS, REJECTED_DELAY_MAX_MS);
    return jittered(delay, this.#random);
  }

  /**
   * Notes what became of one that was tried again.
   *
   * @param isDone Whether the firewall has taken it.
   */
  tried(isDone: boolean): void {
    this.#tries = isDone ? 0 : this.#tries + 1;
  }

  /** Lets one of them be due after a while. */
  arm(): void {
    if (this.isDue) return;
    const delay = retryDelay(this.#tries, RETRY_FIRST_MS, RETRY_MAX_MS);
    this.#cancel ??= this.#clock.after(jittered(delay, this.#random), () => {
      this.#cancel = undefined;
      this.isDue = true;
      this.#wake();
    });
  }

  /** Ends the use. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
