/**
 * A value of a configuration in a message.
 *
 * @module
 */

import { escapeText } from "../text/escape.ts";

/** Longest part of a value that is repeated in a message, in characters. */
const SHOWN_VALUE_MAX = 60;

/**
 * A value in a message: in quotes, in one line, cut; what may hold a secret is not shown.
 *
 * @param value The value as it stands in the file.
 */
export function shown(value: string): string {
  // Two keys may stand in one line by mistake, and the second one may be the secret.
  if (/=|pass|secret/i.test(value)) return "the value (not shown, it may hold a secret)";
  return `"${escapeText(value, SHOWN_VALUE_MAX)}"`;
}
