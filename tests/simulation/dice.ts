/**
 * Chance that can be repeated: the same seed gives the same numbers.
 *
 * @module
 */

/**
 * A source of random numbers (mulberry32 by Tommy Ettinger, public domain algorithm: 32 bits of
 * state).
 */
export class Dice {
  #state: number;

  /** @param seed Any whole number; neighbouring seeds give unrelated numbers. */
  constructor(seed: number) {
    this.#state = Math.imul(seed ^ 0x2545f491, 0x9e3779b1) >>> 0;
  }

  /** A number from 0 up to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A number between two others. */
  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  /** A whole number between two others, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** One of the given things. */
  pick<T>(things: readonly T[]): T {
    return things[this.int(0, things.length - 1)]!;
  }

  /** Another source whose numbers do not depend on how many are taken from this one later. */
  fork(): Dice {
    return new Dice(this.int(0, 0x7fffffff));
  }
}
