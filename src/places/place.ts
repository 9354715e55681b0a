/**
 * Where a host is: what stands of it in records of different makers.
 *
 * @module
 */

import { escapeText } from "../text/escape.ts";

/** Where a host is, as far as the files know it. */
export interface Place {
  /** Code of ISO 3166-1, two capitals. */
  readonly country: string | undefined;
  /** Number of the autonomous system, which is whose network it is. */
  readonly asn: number | undefined;
  /** Who that is, in words; as the maker of the file wrote it: escape it before printing. */
  readonly organisation: string | undefined;
}

/** A host of which nothing is known. */
export const NOWHERE: Place = { country: undefined, asn: undefined, organisation: undefined };

/** Largest number of an autonomous system (RFC 6793). */
const ASN_MAX = 4_294_967_295;

/** Longest name of who has a network, in characters. */
const ORGANISATION_CHARACTERS_MAX = 80;

/**
 * What is in records for "nobody knows": ZZ and XX are for users of the standard, EU and AP are
 * parts of the world, and nobody can call them home.
 */
const NO_COUNTRY: ReadonlySet<string> = new Set(["ZZ", "XX", "EU", "AP"]);

/**
 * The country of a record: `country.iso_code` as MaxMind and DB-IP write it, or `country_code`, or
 * `country` as a code. Where only the country is known in which the network is registered, that.
 *
 * @param record What a file has on an address.
 * @returns `undefined` if it names none.
 *
 * @example
 * ```ts
 * import { countryOf } from "./place.ts";
 *
 * console.log(countryOf({ country: { iso_code: "DE" } })); // DE
 * console.log(countryOf({ country_code: "at" })); // AT
 * ```
 */
export function countryOf(record: unknown): string | undefined {
  const one = fieldsOf(record);
  return codeIn(fieldsOf(one?.country)?.iso_code) ?? codeIn(one?.country_code) ??
    codeIn(one?.country) ?? codeIn(fieldsOf(one?.registered_country)?.iso_code);
}

/**
 * Whose network a record says it is: `autonomous_system_number` and `…_organization` as MaxMind and
 * DB-IP write them, or `asn` and `as_name` or `name`.
 *
 * @param record What a file has on an address.
 */
export function networkOwnerOf(record: unknown): Pick<Place, "asn" | "organisation"> {
  const one = fieldsOf(record);
  const asn = numberIn(one?.autonomous_system_number) ?? numberIn(one?.asn);
  if (asn === undefined) return { asn, organisation: undefined };
  const organisation = nameIn(one?.autonomous_system_organization) ?? nameIn(one?.as_name) ??
    nameIn(one?.organization) ?? nameIn(one?.name);
  return { asn, organisation };
}

/**
 * The names of what a record holds, for an error.
 *
 * @param record What a file has on an address.
 */
export function namesIn(record: unknown): string[] {
  return Object.keys(fieldsOf(record) ?? {});
}

/**
 * A place in words, for people.
 *
 * @param place The place.
 * @returns `DE, AS64500 "Example Networks"`; empty if nothing is known.
 */
export function describePlace({ country, asn, organisation }: Place): string {
  const owner = asn === undefined
    ? []
    : [organisation === undefined ? `AS${asn}` : `AS${asn} "${escapeText(organisation)}"`];
  return [...(country === undefined ? [] : [country]), ...owner].join(", ");
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Readonly<Record<string, unknown>>
    : undefined;
}

function codeIn(value: unknown): string | undefined {
  if (typeof value !== "string" || !/^[A-Za-z]{2}$/.test(value)) return undefined;
  const code = value.toUpperCase();
  return NO_COUNTRY.has(code) ? undefined : code;
}

function numberIn(value: unknown): number | undefined {
  const number = typeof value === "string" && /^(?:AS)?[1-9][0-9]{0,9}$/i.test(value)
    ? Number(value.replace(/^AS/i, ""))
    : value;
  return typeof number === "number" && Number.isInteger(number) && number >= 1 &&
      number <= ASN_MAX
    ? number
    : undefined;
}

function nameIn(value: unknown): string | undefined {
  if (typeof value !== "string" || value.trim() === "") return undefined;
  return value.trim().slice(0, ORGANISATION_CHARACTERS_MAX);
}
