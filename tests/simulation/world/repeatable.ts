/**
 * Chance and digests of the code under test.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Dice } from "../dice.ts";

/**
 * Has chance and digests depend on the seed only.
 *
 * @param dice Of the seed.
 * @returns Restores what was before.
 */
export function makeRepeatable(dice: Dice): () => void {
  const { random } = Math;
  const { digest } = crypto.subtle;
  Math.random = () => dice.next();
  // The real one runs in another thread, and ends at any time.
  crypto.subtle.digest = (_algorithm, data) => {
    const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data as Uint8Array;
    return Promise.resolve(createHash("sha256").update(bytes).digest().buffer as ArrayBuffer);
  };
  return () => {
    Math.random = random;
    crypto.subtle.digest = digest;
  };
}
