/**
 * A host as Asterisk prints it.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";

/**
 * Reads a host, with its port or without: `192.0.2.1`, `192.0.2.1:5060`, `2001:db8::1`,
 * `[2001:db8::1]`, `[2001:db8::1]:5060`.
 *
 * @param text What is printed.
 * @returns The canonical address; `undefined` when it is none.
 */
export function printedHost(text: string): string | undefined {
  const bracketed = /^\[([^\][]+)\](?::\d{1,5})?$/.exec(text);
  if (bracketed !== null) return parseAddress(bracketed[1]!);
  const dotted = /^([\d.]+)(?::\d{1,5})?$/.exec(text);
  return parseAddress(dotted === null ? text : dotted[1]!);
}
