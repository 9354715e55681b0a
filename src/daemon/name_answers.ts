/**
 * The answers of trusted names in a file, so that a restart without DNS knows them: at a boot the
 * network often comes after Ampere.
 *
 * @module
 */

import type { SavedAnswer } from "../address/trusted_names.ts";
import { readKeptList, writeKeptList } from "./kept_list.ts";

/** Longest file that is read, in bytes: 128 names with 16 addresses each fit several times. */
const ANSWERS_BYTES_MAX = 262_144;

/**
 * Reads the answers of an earlier life. A file that is missing or wrong holds none.
 *
 * @param path The file.
 * @returns What was saved; the times are those of the day, in milliseconds since 1970.
 */
export function readAnswers(path: string): SavedAnswer[] {
  return readKeptList(path, ANSWERS_BYTES_MAX, isAnswer);
}

/**
 * Writes the answers: there is always a whole file.
 *
 * @param path The file.
 * @param answers With times of the day, in milliseconds since 1970.
 * @throws {Error} Deno's, when it cannot be written.
 */
export function writeAnswers(path: string, answers: readonly SavedAnswer[]): void {
  writeKeptList(path, answers);
}

function isAnswer(value: unknown): value is SavedAnswer {
  if (typeof value !== "object" || value === null) return false;
  const { name, addresses, answeredAt } = value as Record<string, unknown>;
  return typeof name === "string" && Number.isFinite(answeredAt) && Array.isArray(addresses) &&
    addresses.every((address) => typeof address === "string");
}
