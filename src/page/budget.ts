/**
 * How much of the daemon's time visitors may take: the page must never stand in the way of events.
 *
 * @module
 */

import { type Clock, sleep } from "../clock.ts";

/** What visitors may take while many events arrive, as a part of the time. */
const BUSY_SHARE = 0.04;

/** What it takes to let them in, besides. */
const BUSY_SHARE_OF_DOOR = 0.02;

/** The same while few do. */
const IDLE_SHARE = 0.4;
const IDLE_SHARE_OF_DOOR = 0.1;

/** From so many events a second on it is busy. */
const BUSY_EVENTS = 10_000;

/** How often it is looked how many events arrive, in milliseconds. */
const LOOK_EVERY_MS = 200;

/** What visitors may take at once after a time without any, in milliseconds. */
const BURST_MS = 250;

/** The same of letting them in. */
const BURST_OF_DOOR_MS = 50;

/** Longest piece of work, in milliseconds: then events have their turn. */
const TURN_MS = 12;

/** What somebody may take of the time: it grows with the time, and is used up by work. */
interface Purse {
  left: number;
  at: number;
  readonly most: number;
}

/** Gives turns to visitors, one after the other. */
export class Budget {
  readonly #clock: Clock;
  readonly #events: () => number;
  readonly #work: Purse;
  readonly #door: Purse;
  #seen: number;
  #seenAt: number;
  #isBusy = false;
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
    const at = this.#seenAt = clock.now();
    this.#work = { left: BURST_MS, at, most: BURST_MS };
    this.#door = { left: BURST_OF_DOOR_MS, at, most: BURST_OF_DOOR_MS };
    this.#seen = events();
  }

  /**
   * Waits until a further visitor may come in: those who are there, and what is made for them, do
   * not matter to that.
   *
   * @param ms What it takes to let them in, to read what they want and to take leave of them.
   */
  async admit(ms: number): Promise<void> {
    await this.#recover(this.#door);
    this.#door.left -= ms;
  }

  /** Waits until a visitor may be served, behind those who came before. */
  wait(): Promise<void> {
    return this.#last = this.#last.then(() => this.#recover(this.#work));
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
      this.#work.left -= this.#clock.now() - began;
    }
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
      await this.#recover(this.#work);
    }
  }

  async #recover(purse: Purse): Promise<void> {
    this.#refill(purse);
    while (purse.left <= 0) {
      const share = this.#shareOf(purse);
      await sleep(this.#clock, Math.max(1, Math.min(LOOK_EVERY_MS, -purse.left / share)));
      this.#refill(purse);
    }
  }

  #refill(purse: Purse): void {
    const now = this.#clock.now();
    if (now - this.#seenAt >= LOOK_EVERY_MS) {
      const events = this.#events();
      this.#isBusy = 1000 * (events - this.#seen) / (now - this.#seenAt) >= BUSY_EVENTS;
      this.#seen = events;
      this.#seenAt = now;
    }
    purse.left = Math.min(purse.most, purse.left + (now - purse.at) * this.#shareOf(purse));
    purse.at = now;
  }

  #shareOf(purse: Purse): number {
    if (purse === this.#door) return this.#isBusy ? BUSY_SHARE_OF_DOOR : IDLE_SHARE_OF_DOOR;
    return this.#isBusy ? BUSY_SHARE : IDLE_SHARE;
  }
}
