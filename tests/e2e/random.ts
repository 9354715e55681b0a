/** Random numbers that a seed repeats, so that a failing run can be played again. */

/** Gives numbers in [0, 1). */
export type Random = () => number;

/**
 * Makes a generator (xorshift32, Marsaglia 2003: "Xorshift RNGs").
 *
 * @param seed any whole number; equal seeds give equal numbers
 */
export function seeded(seed: number): Random {
  // Neighbouring seeds must not begin alike, and the state must not be 0.
  let state = (Math.imul(seed | 0, 0x9e3779b1) ^ 0x5bd1e995) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

/** One of the given things. */
export function pick<T>(random: Random, things: readonly T[]): T {
  return things[Math.floor(random() * things.length)]!;
}

/** A seed for a name. */
export function seedOf(name: string): number {
  let hash = 0;
  for (const character of name) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) | 0;
  return hash;
}
