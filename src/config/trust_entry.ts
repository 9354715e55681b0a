/**
 * One entry of `trust` or of the file that `trust_file` names: an address, a network or a name.
 *
 * @module
 */

import { parseAddress, parseTarget } from "../address/address.ts";
import { readOddTarget } from "./original.ts";
import { shown } from "./shown_value.ts";

/** Longest name of DNS, in characters (RFC 1035, 2.3.4). */
export const HOST_LENGTH_MAX = 253;

/** A host name: what DNS and /etc/hosts allow, and the underscore that many use. */
export const HOST_NAME = /^(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*\.?$/;

/** What an entry says. */
export type TrustEntry =
  | {
    readonly kind: "target";
    /** A canonical target. */
    readonly target: string;
    /** What an administrator should think about; `undefined` if nothing. */
    readonly doubt: string | undefined;
  }
  /** A name, in small letters and without a dot at its end. */
  | { readonly kind: "name"; readonly name: string }
  /** It would be everybody, which nobody means: it is left out. */
  | { readonly kind: "nobody"; readonly message: string }
  | { readonly kind: "bad"; readonly message: string };

/**
 * Reads one entry.
 *
 * @param value The entry, without white space around it.
 *
 * @example
 * ```ts
 * import { readTrustEntry } from "./trust_entry.ts";
 *
 * readTrustEntry("Office.example.org."); // { kind: "name", name: "office.example.org" }
 * readTrustEntry("10.0.0.0/8"); // { kind: "target", target: "10.0.0.0/8", doubt: undefined }
 * readTrustEntry("10.0.0.256").kind; // "bad"
 * ```
 */
export function readTrustEntry(value: string): TrustEntry {
  const target = parseTarget(value) ?? readOddTarget(value);
  if (target?.endsWith("/0")) {
    const message = `${shown(value)} would be everybody, and nobody would ever be blocked: it is ` +
      "left out, as Ampere 0.2.3 does; write the networks of those who belong here";
    return { kind: "nobody", message };
  }
  if (target !== undefined) return { kind: "target", target, doubt: doubtOf(value, target) };
  if (isName(value)) return { kind: "name", name: value.toLowerCase().replace(/\.$/, "") };
  const isLikeAddress = /[:/]/.test(value) || /^[0-9.,\s]+[^.]?$/.test(value);
  const what = isLikeAddress ? "an address or network" : "an address, network or name";
  const several = /[\s,]/.test(value) ? ": write one line for each" : "";
  const foreign = /[^\0-\x7f]/.test(value) ? " (of a name with such letters: its xn-- form)" : "";
  return { kind: "bad", message: `${shown(value)} is not ${what}${several}${foreign}` };
}

/**
 * What has a last part like a number is meant as an address, so a wrong one is not looked up: no
 * domain is called so.
 */
function isName(value: string): boolean {
  return value.length <= HOST_LENGTH_MAX && HOST_NAME.test(value) &&
    !/(?:^[0-9]+|\.[0-9][^.]*)\.?$/.test(value);
}

function doubtOf(value: string, target: string): string | undefined {
  if (parseTarget(value) === undefined) return `${shown(value)} is taken as ${target}`;
  return hasHostBits(value, target)
    ? `${shown(value)} is taken as the whole network ${target}`
    : undefined;
}

/** Whether bits of the address in front of the prefix were masked away. */
function hasHostBits(text: string, target: string): boolean {
  const [network = "", prefix] = target.split("/");
  return prefix !== undefined && parseAddress(text.split("/")[0] ?? "") !== network;
}
