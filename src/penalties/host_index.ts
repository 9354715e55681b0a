/**
 * Finds the record of a host by its address.
 *
 * @module
 */

import type { HostKey } from "./host_key.ts";

/** No record. */
const NONE = 0;

/** Slots for IPv4 hosts of a quiet index: a power of two. */
const SMALL_SLOTS = 2_048;

/**
 * At most so many of the slots are used: with more the search for a host that is not there grows
 * long.
 */
const LOAD_MAX = 0.625;

// Seeds that nobody outside knows, so that nobody can choose addresses whose places are the same.
const [SEED = 0, FACTOR = 0] = crypto.getRandomValues(new Int32Array(2));

/**
 * Records by host, as a `Map` would hold them.
 *
 * A flood of forged addresses adds and deletes some hundred thousand hosts a second. V8's `Map`
 * keeps what was deleted in its chains until it is built anew, and is built anew all the time; this
 * one has the IPv4 hosts side by side in one piece of memory (linear probing, deleted by shifting
 * back: Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm R). IPv6 hosts,
 * whose keys are texts, are in a `Map`.
 *
 * @example
 * ```ts
 * import { HostIndex } from "./host_index.ts";
 *
 * const index = new HostIndex();
 * index.set(0x0a000001, 1); // 10.0.0.1
 * index.set("2001:db8::5", 2);
 * console.log(index.get(0x0a000001), index.get("2001:db8::6")); // 1 0
 * ```
 */
export class HostIndex {
  /** Address and record of each slot; a slot without a record is empty. */
  #slots = new Int32Array(2 * SMALL_SLOTS);
  #mask = SMALL_SLOTS - 1;
  /** Number of IPv4 hosts. */
  #count = 0;
  /** Number of all hosts: asked for with each event, and a map's own is a call. */
  #size = 0;
  readonly #byText = new Map<string, number>();

  /** Number of hosts. */
  get size(): number {
    return this.#size;
  }

  /** The record of a host, or 0. */
  get(key: HostKey): number {
    if (typeof key === "string") return this.#byText.get(key) ?? NONE;
    const slots = this.#slots;
    const mask = this.#mask;
    for (let place = placeOf(key) & mask;; place = place + 1 & mask) {
      const record = slots[2 * place + 1]!;
      if (record === NONE || slots[2 * place] === key) return record;
    }
  }

  /**
   * Gives a host a record.
   *
   * @param key The host.
   * @param record From 1 on.
   */
  set(key: HostKey, record: number): void {
    if (typeof key === "string") {
      this.#byText.set(key, record);
      this.#size = this.#count + this.#byText.size;
      return;
    }
    if (!this.#put(key, record)) return;
    this.#size++;
    if (++this.#count > LOAD_MAX * this.#mask) this.#grow();
  }

  /** Takes a host out. */
  delete(key: HostKey): void {
    if (typeof key === "string") {
      this.#byText.delete(key);
      this.#size = this.#count + this.#byText.size;
      return;
    }
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = placeOf(key) & mask;
    while (slots[2 * hole + 1] !== NONE && slots[2 * hole] !== key) hole = hole + 1 & mask;
    if (slots[2 * hole + 1] === NONE) return;
    this.#count--;
    this.#size--;
    for (let place = hole + 1 & mask; slots[2 * place + 1] !== NONE; place = place + 1 & mask) {
      // Who could not be found any more if the hole stayed empty moves into it.
      const wanted = placeOf(slots[2 * place]!) & mask;
      if ((place - wanted & mask) < (place - hole & mask)) continue;
      slots[2 * hole] = slots[2 * place]!;
      slots[2 * hole + 1] = slots[2 * place + 1]!;
      hole = place;
    }
    slots[2 * hole + 1] = NONE;
  }

  /** All hosts with their records, in no order; must not be changed meanwhile. */
  *entries(): Generator<[HostKey, number]> {
    const slots = this.#slots;
    for (let at = 0; at < slots.length; at += 2) {
      if (slots[at + 1] !== NONE) yield [slots[at]!, slots[at + 1]!];
    }
    yield* this.#byText;
  }

  /** All records, in no order. */
  *values(): Generator<number> {
    for (const [, record] of this.entries()) yield record;
  }

  /** Puts an IPv4 host into its slot; whether it is new. */
  #put(key: number, record: number): boolean {
    const slots = this.#slots;
    const mask = this.#mask;
    let place = placeOf(key) & mask;
    while (slots[2 * place + 1] !== NONE && slots[2 * place] !== key) place = place + 1 & mask;
    const isNew = slots[2 * place + 1] === NONE;
    slots[2 * place] = key;
    slots[2 * place + 1] = record;
    return isNew;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    this.#mask = 2 * this.#mask + 1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== NONE) this.#put(old[at]!, old[at + 1]!);
    }
  }
}

/** Where an address would stand in an endless table. */
function placeOf(address: number): number {
  let hash = Math.imul(address ^ SEED, FACTOR | 1);
  hash = Math.imul(hash ^ hash >>> 16, 0x7feb352d);
  return hash ^ hash >>> 15;
}
