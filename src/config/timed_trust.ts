/**
 * The file with those who are trusted for a time: one a line, with the end and a remark. It lies
 * beside the database, where the daemon may write; a line that is taken out ends it at once.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";
import { escapeText } from "../text/escape.ts";
import { readBytes, whyNotRead } from "./file.ts";

/** Most entries. */
export const TIMED_TRUST_MAX = 256;

/** Longest time that somebody is trusted so, in milliseconds: 90 days. */
export const TIMED_TRUST_MAX_MS = 90 * 86_400_000;

/** Longest file, in bytes. */
const FILE_BYTES_MAX = 131_072;

/** Longest remark, in characters. */
const REMARK_MAX = 120;

/** Somebody who is trusted for a time. */
export interface TimedEntry {
  /** Canonical address or network. */
  readonly target: string;
  /** The end, in milliseconds since 1970. */
  readonly until: number;
  /** Who said so, for people. */
  readonly remark: string;
}

/**
 * The path of the file.
 *
 * @param database Path of the database.
 */
export function timedTrustFile(database: string): string {
  return `${database}-trust`;
}

/**
 * Reads the text of the file; a line that is wrong trusts nobody.
 *
 * @param text `ADDRESS until TIME # remark` in each line, the time as ISO 8601 in UTC.
 *
 * @example
 * ```ts
 * import { parseTimedTrust } from "./timed_trust.ts";
 *
 * parseTimedTrust("192.0.2.7 until 2026-12-01T09:00:00Z # by hand")[0]?.remark; // "by hand"
 * ```
 */
export function parseTimedTrust(text: string): TimedEntry[] {
  const entries = new Map<string, TimedEntry>();
  for (const line of text.split("\n")) {
    const [, name = "", end = "", remark = ""] =
      /^\s*(\S+) until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z)\s*(?:#\s*(.*?)\s*)?$/
        .exec(line) ?? [];
    const target = parseTarget(name);
    const until = Date.parse(end);
    if (target === undefined || Number.isNaN(until) || target.endsWith("/0")) continue;
    entries.set(target, { target, until, remark: escapeText(remark, REMARK_MAX) });
    if (entries.size >= TIMED_TRUST_MAX) break;
  }
  return [...entries.values()];
}

/**
 * The text of the file.
 *
 * @param entries Those who are trusted.
 */
export function formatTimedTrust(entries: Iterable<TimedEntry>): string {
  const lines = [...entries].map(({ target, until, remark }) =>
    `${target} until ${new Date(until).toISOString()} # ${escapeText(remark, REMARK_MAX)}\n`
  );
  return "# Trusted for a time, from the status page. Who is taken out here is not trusted any " +
    `more.\n${lines.join("")}`;
}

/**
 * Reads the file.
 *
 * @param path Its path.
 * @returns Those who stand there, ended ones too; a text that says why it cannot be read.
 */
export function readTimedTrust(path: string): TimedEntry[] | string {
  try {
    return parseTimedTrust(new TextDecoder().decode(readBytes(path, FILE_BYTES_MAX)));
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? [] : `${path}: ${whyNotRead(error)}`;
  }
}
