/**
 * What was seen lately, each to be taken once.
 *
 * @module
 */

/** Most that is remembered; the oldest goes first. */
const SIGHTINGS_MAX = 16_384;

/**
 * Times at which something was seen, by a number that tells it from others.
 *
 * @example
 * ```ts
 * import { Sightings } from "./sightings.ts";
 *
 * const seen = new Sightings();
 * seen.add(7, 1_000);
 * console.log(seen.take(7, 500), seen.take(7, 500)); // true false
 * ```
 */
export class Sightings {
  readonly #times = new Map<number, number[]>();
  #order: number[] = [];
  #first = 0;

  /** How many are remembered, those included that were taken. */
  get size(): number {
    return this.#order.length - this.#first;
  }

  /**
   * Remembers something.
   *
   * @param key What.
   * @param at Clock value, in milliseconds.
   */
  add(key: number, at: number): void {
    const times = this.#times.get(key);
    if (times === undefined) this.#times.set(key, [at]);
    else times.push(at);
    this.#order.push(key);
    if (this.size > SIGHTINGS_MAX) this.#forgetOldest();
  }

  /**
   * Takes the oldest sighting of something.
   *
   * @param key What.
   * @param since Clock value; what was seen before does not count.
   * @returns Whether there was one.
   */
  take(key: number, since: number): boolean {
    const times = this.#times.get(key);
    if (times === undefined) return false;
    while (times.length > 0 && times[0]! < since) times.shift();
    const found = times.shift() !== undefined;
    if (times.length === 0) this.#times.delete(key);
    return found;
  }

  /** Forgets all. */
  clear(): void {
    this.#times.clear();
    this.#order = [];
    this.#first = 0;
  }

  #forgetOldest(): void {
    const key = this.#order[this.#first++]!;
    if (this.#first > SIGHTINGS_MAX) {
      this.#order = this.#order.slice(this.#first);
      this.#first = 0;
    }
    const times = this.#times.get(key);
    // Of what was taken already the next one goes a little early.
    times?.shift();
    if (times?.length === 0) this.#times.delete(key);
  }
}
