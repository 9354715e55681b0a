/**
 * Lists of records, chained through two numbers of each.
 *
 * @module
 */

import type { Records } from "./records.ts";

/** No record. */
const NONE = 0;

/**
 * Records in an order, from the oldest to the newest: adding and removing cost the same wherever
 * the record stands. A record is in at most one of the lists that use the same two numbers.
 *
 * @example
 * ```ts
 * import { RecordList } from "./record_list.ts";
 * import { Records } from "./records.ts";
 *
 * const records = new Records({ times: 0, numbers: 2, room: 100 });
 * const list = new RecordList(records, 0, 1);
 * const first = records.make();
 * list.append(first);
 * list.append(records.make());
 * list.remove(first);
 * console.log(list.oldest === list.newest); // true
 * ```
 */
export class RecordList {
  /** The record that was appended first, or 0. */
  oldest = NONE;
  /** The record that was appended last, or 0. */
  newest = NONE;
  readonly #records: Records;
  readonly #older: number;
  readonly #newer: number;

  /**
   * No record yet.
   *
   * @param records Where the records are.
   * @param older The number that holds the neighbour that was appended before.
   * @param newer The number that holds the neighbour that was appended behind.
   */
  constructor(records: Records, older: number, newer: number) {
    this.#records = records;
    this.#older = older;
    this.#newer = newer;
  }

  /** Adds a record that is in no list. */
  append(record: number): void {
    const records = this.#records;
    const newest = this.newest;
    records.set(record, this.#older, newest);
    records.set(record, this.#newer, NONE);
    if (newest === NONE) this.oldest = record;
    else records.set(newest, this.#newer, record);
    this.newest = record;
  }

  /** Removes a record of this list. */
  remove(record: number): void {
    const records = this.#records;
    const older = records.get(record, this.#older);
    const newer = records.get(record, this.#newer);
    if (older === NONE) this.oldest = newer;
    else records.set(older, this.#newer, newer);
    if (newer === NONE) this.newest = older;
    else records.set(newer, this.#older, older);
  }

  /** The record that was appended behind another one, or 0. */
  after(record: number): number {
    return this.#records.get(record, this.#newer);
  }
}
