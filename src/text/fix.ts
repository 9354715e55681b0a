/**
 * How a message says what helps.
 *
 * @module
 */

/**
 * What follows a message.
 *
 * @param advice What a person can do; empty: nothing is known that would help.
 *
 * @example
 * ```ts
 * import { fixOf } from "./fix.ts";
 *
 * fixOf("chmod 600 /etc/ampere/fleet.pass"); // ". Fix: chmod 600 /etc/ampere/fleet.pass"
 * fixOf(""); // ""
 * ```
 */
export function fixOf(advice: string): string {
  return advice === "" ? "" : `. Fix: ${advice}`;
}
