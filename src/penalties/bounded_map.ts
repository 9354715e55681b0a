/**
 * Maps that forget their oldest entry when they are full.
 *
 * @module
 */

/**
 * Forgets the oldest entry of a map that has become too large by one.
 *
 * @param map The map; the entry that was added first is the oldest.
 * @param most Entries that it may have.
 *
 * @example
 * ```ts
 * import { forgetOldest } from "./bounded_map.ts";
 *
 * const seen = new Map([["a", 1], ["b", 2], ["c", 3]]);
 * forgetOldest(seen, 2);
 * console.log([...seen.keys()]); // ["b", "c"]
 * ```
 */
export function forgetOldest<Key>(map: Map<Key, unknown>, most: number): void {
  if (map.size <= most) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
