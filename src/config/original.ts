/**
 * How Ampere 0.2.3 reads lines that are written oddly, where that is no mistake: its file must go
 * on working.
 *
 * @module
 */

import { parseTargets } from "../address/ranges.ts";

/** Keys that may stand several times in a file of 0.2.3, which takes the last. */
export const LAST_COUNTS: ReadonlySet<string> = new Set([
  "host",
  "port",
  "user",
  "pass",
  "loyalty",
  "chain",
]);

/** Keys whose values hold no `#` or `;`, so that one begins a comment wherever it stands. */
export const NEVER_WITH_COMMENT_SIGNS: ReadonlySet<string> = new Set(["port", "loyalty", "trust"]);

/** Keys of which 0.2.3 takes the whole rest of the line. */
export const TAKEN_WITH_COMMENTS: ReadonlySet<string> = new Set(["user", "pass"]);

/** A dotted quad, perhaps with leading zeros, which 0.2.3 reads as decimal, and a prefix. */
const DECIMAL = /^0*(\d{1,3})\.0*(\d{1,3})\.0*(\d{1,3})\.0*(\d{1,3})(?:\/0*(\d{1,2}))?$/;

/**
 * Reads an address or network that is not written as it should be, but can mean one thing only:
 * with leading zeros, with white space around the slash, or with a netmask.
 *
 * @param value The text, without white space around it.
 * @returns The canonical target; `undefined` if it is something else.
 *
 * @example
 * ```ts
 * import { readOddTarget } from "./original.ts";
 *
 * readOddTarget("192.168.001.000 / 24"); // "192.168.1.0/24"
 * readOddTarget("10.0.0.0/255.0.0.0"); // "10.0.0.0/8"
 * readOddTarget("10.0.0.5-10.0.0.9"); // undefined
 * ```
 */
export function readOddTarget(value: string): string | undefined {
  const text = value.replace(/[ \t]*\/[ \t]*/, "/");
  const decimal = DECIMAL.exec(text);
  const plain = decimal === null ? text : decimal.slice(1, 5).map(Number).join(".") +
    (decimal[5] === undefined ? "" : `/${Number(decimal[5])}`);
  const targets = plain.includes("-") ? undefined : parseTargets(plain);
  return targets?.length === 1 ? targets[0] : undefined;
}
