/**
 * How much of the daemon's time visitors may take: the page must never stand in the way of events.
 *
 * @module
 */

import { type Clock, sleep } from "../clock.ts";

/** What visitors may take while many events arrive, as a part of the time. */
const BUSY_SHARE = 0.06;

/** The same while few do. */
const IDLE_SHARE = 0.5;

/** From so many events a second on it is busy. */
const BUSY_EVENTS = 10_000;

/** How often it is looked how many events arrive, in milliseconds. */
const LOOK_EVERY_MS = 200;

/** What visitors may take at once after a time without any, in milliseconds. */
const BURST_MS = 250;

/** What reading a request and closing its connection takes beside the answer, in milliseconds. */
const CONNECTION_MS = 0.6;

/** Longest piece of work, in milliseconds: then events have their turn. */
const TURN_MS = 12;

/** Gives turns to visitors, one after the other. */
export class Budget {
  readonly #clock: Clock;
  readonly #events: () => number;
  #left = BURST_MS;
  #at: number;
  #seen: number;
  #seenAt: number;
  #share = IDLE_SHARE;
  /** Those who wait, in the order in which they came. */
  #last: Promise<void> = Promise.resolve();

  /**
   * Nothing is taken yet.
   *
   * @param clock The time.
   * @param events How many events have arrived in all.
   */
  constructor(clock: Clock, events: () => number) {
    this.#clock = clock;
    this.#events = events;
    this.#at = this.#seenAt = clock.now();
    this.#seen = events();
  }

  /** Waits until a visitor may be served, behind those who came before. */
  wait(): Promise<void> {
    return this.#last = this.#last.then(() => this.#recover());
  }

  /**
   * Does a piece of work, and counts what it takes.
   *
   * @param work The work; not longer than a few milliseconds.
   * @returns What it returns.
   */
  spend<T>(work: () => T): T {
    const began = this.#clock.now();
    try {
      return work();
    } finally {
      this.#left -= this.#clock.now() - began;
    }
  }

  /** Counts a connection. */
  connected(): void {
    this.#left -= CONNECTION_MS;
  }

  /**
   * Does long work in pieces, and lets events through in between.
   *
   * @param step Does a little of it; whether there is more.
   */
  async inTurns(step: () => boolean): Promise<void> {
    let more = true;
    while (more) {
      const until = this.#clock.now() + TURN_MS;
      this.spend(() => {
        do more = step(); while (more && this.#clock.now() < until);
      });
      if (!more) return;
      await sleep(this.#clock, 0);
      await this.#recover();
    }
  }

  async #recover(): Promise<void> {
    this.#refill();
    while (this.#left <= 0) {
      await sleep(this.#clock, Math.max(1, Math.min(LOOK_EVERY_MS, -this.#left / this.#share)));
      this.#refill();
    }
  }

  #refill(): void {
    const now = this.#clock.now();
    if (now - this.#seenAt >= LOOK_EVERY_MS) {
      const events = this.#events();
      const each = 1000 * (events - this.#seen) / (now - this.#seenAt);
      this.#share = each >= BUSY_EVENTS ? BUSY_SHARE : IDLE_SHARE;
      this.#seen = events;
      this.#seenAt = now;
    }
    this.#left = Math.min(BURST_MS, this.#left + (now - this.#at) * this.#share);
    this.#at = now;
  }
}
