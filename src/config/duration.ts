/**
 * Lengths of time as an administrator writes them: `90s`, `5m`, `12h`, `7d`.
 *
 * @module
 */

/** Longest duration that is taken, in seconds: ten years. */
export const DURATION_MAX = 3_650 * 86_400;

const DURATION = /^(0|[1-9][0-9]{0,14})([smhd]?)$/;

/** Seconds in a unit. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
]);

/**
 * Reads a duration: a whole number of seconds, or of the unit that follows it without a blank (`s`
 * seconds, `m` minutes, `h` hours, `d` days).
 *
 * @param text The text, for example `90`, `90s`, `15m`, `6h` or `7d`.
 * @returns Seconds, `undefined` if it is not a duration.
 */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = DURATION.exec(text) ?? [];
  if (number === undefined) return undefined;
  return Number(number) * (UNITS.get(unit ?? "") ?? 1);
}

/**
 * Writes a duration as a configuration file has it.
 *
 * @param seconds A whole number of seconds, not negative.
 * @returns The number with the largest unit that divides it: `7d`, `90s`, `0s`.
 */
export function formatDuration(seconds: number): string {
  for (const [unit, length] of UNITS) {
    if (seconds !== 0 && seconds % length === 0) return `${seconds / length}${unit}`;
  }
  return `${seconds}s`;
}
