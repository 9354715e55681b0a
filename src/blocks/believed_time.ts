/**
 * What time it is for the ends of blocks, when the machine's clock may be wrong, or is set.
 *
 * A machine without a battery begins in 1970, and one with a bad clock in next month, until the
 * time of the network is known. Whoever ended blocks by such a clock would free all attackers, and
 * forget all phones, for good; and whoever went on by the right one would hold for days who was to
 * be blocked for a minute. So a block that was made since the start ends when the time it was made
 * for has passed, whatever the clock was set to meanwhile, and only what was in the list before
 * ends by the time of day.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/**
 * A clock that is further away from the newest entry of the list, or is set by more, is doubted, in
 * milliseconds: a day.
 */
export const DOUBT_MS = 86_400_000;

/** After so long it is believed, in milliseconds: the machine may have been off. */
export const SETTLE_MS = 3_600_000;

/**
 * A clock that is further away from where it must be was set, in milliseconds: more than any turn
 * of the event loop takes.
 */
export const SET_MS = 60_000;

/** Times that the clock was set which are remembered. */
export const SETS_MAX = 16;

/** A time in which nobody set the clock. */
interface Stretch {
  /** What the machine's clock said when it began. */
  readonly wall: number;
  /** Monotonic time of that. */
  readonly at: number;
  /** How long it lasted, in milliseconds; infinite as long as it lasts. */
  readonly ms: number;
}

/**
 * The time by which blocks end and logins are forgotten.
 *
 * @example
 * ```ts
 * import { BelievedTime } from "./believed_time.ts";
 * import { systemClock } from "../clock.ts";
 *
 * const lastLogin = Date.now() - 30 * 86_400_000;
 * const time = new BelievedTime(lastLogin, Date.now, systemClock);
 * console.log(time.isDoubted, time.now() - lastLogin < 1_000); // true true
 * const justNow = Date.now();
 * console.log(time.now(justNow) - justNow < 1_000); // true
 * ```
 */
export class BelievedTime {
  readonly #wall: () => number;
  readonly #clock: Clock;
  readonly #onSet: (ms: number) => void;
  /** The last is the one that lasts. */
  readonly #stretches: Stretch[];
  /** When the machine's clock began to be doubted, and what time it was then without it. */
  #doubt: { readonly time: number; readonly at: number } | undefined;

  /**
   * It begins now.
   *
   * @param newest The newest time that the list knows, in milliseconds since 1970; `undefined` if
   *   it knows none.
   * @param wall The machine's clock, in milliseconds since 1970.
   * @param clock Counts on, whatever the machine's clock is set to.
   * @param onSet Hears that the machine's clock was set, and by how much, in milliseconds.
   */
  constructor(
    newest: number | undefined,
    wall: () => number,
    clock: Clock,
    onSet: (ms: number) => void = () => {},
  ) {
    this.#onSet = onSet;
    this.#wall = wall;
    this.#clock = clock;
    const [time, at] = [wall(), clock.now()];
    this.#stretches = [{ wall: time, at, ms: Infinity }];
    if (newest !== undefined && Math.abs(time - newest) > DOUBT_MS) {
      this.#doubt = { time: newest, at };
    }
  }

  /** The machine's clock is doubted. */
  get isDoubted(): boolean {
    return this.#doubt !== undefined && this.#clock.now() - this.#doubt.at < SETTLE_MS;
  }

  /**
   * The time, in milliseconds since 1970. While the machine's clock is doubted, time goes on from
   * the newest entry, or from where it was when the clock was set, or from the machine's clock if
   * that is earlier: then nothing ends before its time.
   *
   * @param since When a block was made, by the machine's clock of then: if that was after the
   *   start, the time is what that clock would say, had nobody set it.
   */
  now(since?: number): number {
    this.#look();
    const at = this.#clock.now();
    if (since !== undefined) {
      let time = -Infinity;
      for (const stretch of this.#stretches) {
        const passed = since - stretch.wall;
        // The clock is looked at now and then: it was set a little before a stretch begins.
        if (passed < -SET_MS || passed > stretch.ms) continue;
        time = Math.max(time, stretch.wall + at - stretch.at);
      }
      if (time !== -Infinity) return time;
    }
    const wall = this.#wall();
    if (!this.isDoubted) return wall;
    return Math.min(wall, this.#doubt!.time + (at - this.#doubt!.at));
  }

  /** The latest time by which any block ends: none whose end is later has ended. */
  latest(): number {
    const at = this.#clock.now();
    return Math.max(this.now(), ...this.#stretches.map(({ wall, at: began }) => wall + at - began));
  }

  /** The earliest time by which any block ends: until then the kernel may hold it. */
  earliest(): number {
    const at = this.#clock.now();
    let earliest = this.now();
    // Asked for each entry of a long list: nothing is made for it.
    for (const stretch of this.#stretches) {
      earliest = Math.min(earliest, stretch.wall + at - stretch.at);
    }
    return earliest;
  }

  /** Notices that the clock was set. */
  #look(): void {
    const [wall, at] = [this.#wall(), this.#clock.now()];
    const last = this.#stretches.at(-1)!;
    const ms = at - last.at;
    const expected = last.wall + ms;
    if (Math.abs(wall - expected) <= SET_MS) return;
    if (!this.isDoubted) {
      this.#doubt = Math.abs(wall - expected) > DOUBT_MS ? { time: expected, at } : undefined;
    }
    this.#stretches.splice(-1, 1, { ...last, ms }, { wall, at, ms: Infinity });
    if (this.#stretches.length > SETS_MAX) this.#stretches.shift();
    this.#onSet(wall - expected);
  }
}
