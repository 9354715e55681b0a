/**
 * The answers of trusted names in a file, so that a restart without DNS knows them: at a boot the
 * network often comes after Ampere.
 *
 * @module
 */

import type { SavedAnswer } from "../address/trusted_names.ts";

/** Longest file that is read, in bytes: 128 names with 16 addresses each fit several times. */
const ANSWERS_BYTES_MAX = 262_144;

/** Only for who runs Ampere, as the database. */
const MODE = 0o600;

/**
 * Reads the answers of an earlier life. A file that is missing or wrong holds none.
 *
 * @param path The file.
 * @returns What was saved; the times are those of the day, in milliseconds since 1970.
 */
export function readAnswers(path: string): SavedAnswer[] {
  try {
    const { isFile, size } = Deno.statSync(path);
    if (!isFile || size > ANSWERS_BYTES_MAX) return [];
    const saved: unknown = JSON.parse(Deno.readTextFileSync(path));
    return Array.isArray(saved) ? saved.filter(isAnswer) : [];
  } catch {
    return [];
  }
}

/**
 * Writes the answers: there is always a whole file.
 *
 * @param path The file.
 * @param answers With times of the day, in milliseconds since 1970.
 * @throws {Error} Deno's, when it cannot be written.
 */
export function writeAnswers(path: string, answers: readonly SavedAnswer[]): void {
  const fresh = `${path}.new`;
  Deno.writeTextFileSync(fresh, JSON.stringify(answers), { mode: MODE });
  Deno.renameSync(fresh, path);
}

function isAnswer(value: unknown): value is SavedAnswer {
  if (typeof value !== "object" || value === null) return false;
  const { name, addresses, answeredAt } = value as Record<string, unknown>;
  return typeof name === "string" && Number.isFinite(answeredAt) && Array.isArray(addresses) &&
    addresses.every((address) => typeof address === "string");
}
