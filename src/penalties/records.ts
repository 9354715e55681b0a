/**
 * Records of numbers that lie side by side in one piece of memory.
 *
 * A flood of forged addresses makes and forgets hundreds of thousands of hosts and attempts. As
 * objects they are what the garbage collector works on most of the time, in stops of 10 to 40 ms;
 * as records it does not even look at them.
 *
 * @module
 */

/** Records that a quiet table has room for. */
const SMALL = 1_000;

/**
 * Records of a fixed number of times (64-bit floating-point numbers) and numbers (signed, of 32
 * bits), which begin with all zero. A record is known by a number from 1 on; 0 is none. It begins
 * small. When there are more than 1,000, memory for all that are expected is asked for at once; the
 * system gives it only when it is first written to.
 *
 * @example
 * ```ts
 * import { Records } from "./records.ts";
 *
 * const SEEN = 0; // the first time
 * const POINTS = 0; // the first number
 * const hosts = new Records({ times: 1, numbers: 1, room: 65_536 });
 * const host = hosts.make();
 * hosts.setTime(host, SEEN, Date.now());
 * hosts.set(host, POINTS, hosts.get(host, POINTS) + 5);
 * hosts.free(host);
 * ```
 */
export class Records {
  readonly #timesEach: number;
  readonly #numbersEach: number;
  #times: Float64Array;
  #numbers: Int32Array;
  readonly #room: number;
  #capacity: number;
  /** Records that were ever made, and the one that is none. */
  #made = 1;
  /** The record that was freed last; its first number is the one that was freed before. */
  #freed = 0;

  /**
   * No record yet.
   *
   * @param layout How many times and how many numbers (at least one) each has, and how many are
   *   expected; should there be more, all are moved to a place twice as large, which takes some
   *   milliseconds.
   */
  constructor(
    layout: { readonly times: number; readonly numbers: number; readonly room: number },
  ) {
    this.#timesEach = layout.times;
    this.#numbersEach = layout.numbers;
    this.#room = layout.room + 1;
    this.#capacity = Math.min(this.#room, SMALL);
    this.#times = new Float64Array(this.#capacity * layout.times);
    this.#numbers = new Int32Array(this.#capacity * layout.numbers);
  }

  /** Makes a record of which all is zero. */
  make(): number {
    const record = this.#freed;
    if (record === 0) {
      if (this.#made === this.#capacity) this.#grow();
      return this.#made++;
    }
    this.#freed = this.#numbers[record * this.#numbersEach]!;
    // For so few the loops are faster than fill().
    for (let i = 0; i < this.#timesEach; i++) this.#times[record * this.#timesEach + i] = 0;
    for (let i = 0; i < this.#numbersEach; i++) this.#numbers[record * this.#numbersEach + i] = 0;
    return record;
  }

  /**
   * Frees a record: a later one will have its number. All but its first number can still be read
   * until then.
   *
   * @param record Must be in use.
   */
  free(record: number): void {
    this.#numbers[record * this.#numbersEach] = this.#freed;
    this.#freed = record;
  }

  /** A number. */
  get(record: number, field: number): number {
    return this.#numbers[record * this.#numbersEach + field]!;
  }

  /** Changes a number; what does not fit into 32 bits is cut. */
  set(record: number, field: number, value: number): void {
    this.#numbers[record * this.#numbersEach + field] = value;
  }

  /** Adds to a number; gives the sum. */
  add(record: number, field: number, value: number): number {
    return this.#numbers[record * this.#numbersEach + field]! += value;
  }

  /** A time. */
  time(record: number, field: number): number {
    return this.#times[record * this.#timesEach + field]!;
  }

  /** Changes a time. */
  setTime(record: number, field: number, value: number): void {
    this.#times[record * this.#timesEach + field] = value;
  }

  #grow(): void {
    this.#capacity = this.#capacity < this.#room ? this.#room : this.#capacity * 2;
    const times = new Float64Array(this.#capacity * this.#timesEach);
    times.set(this.#times);
    this.#times = times;
    const numbers = new Int32Array(this.#capacity * this.#numbersEach);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }
}
