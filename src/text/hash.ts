/**
 * Hashes of short texts.
 *
 * @module
 */

/** Odd, and like all of it secret: nobody outside can choose texts of equal hash. */
const FACTOR = crypto.getRandomValues(new Int32Array(1))[0]! | 1;

/** Of one text and seed always the same 32-bit number. */
export function hashText(text: string, seed: number): number {
  let hash = seed | 0;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), FACTOR);
    hash ^= hash >>> 15;
  }
  return hash;
}

/** The same of a text that stands in bytes, one character a byte. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed | 0;
  for (let at = start; at < end; at++) {
    hash = Math.imul(hash ^ bytes[at]!, FACTOR);
    hash ^= hash >>> 15;
  }
  return hash;
}
