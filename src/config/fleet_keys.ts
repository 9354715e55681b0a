/**
 * The rules of the keys that are about other PBXs.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import { shown } from "./shown_value.ts";
import { HOST_LENGTH_MAX, HOST_NAME } from "./trust_entry.ts";

/** The engine through which PBXs share their blocks. */
export interface FleetAddress {
  /** Name or address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** By TLS, and never without. */
  readonly tls: boolean;
  /** Name of the user; `undefined`: the engine's default one. */
  readonly user: string | undefined;
  /** Number of the database. */
  readonly database: number;
}

/** The port of Redis and Valkey. */
const DEFAULT_PORT = 6379;

/** Longest name of a user, in characters. */
const USER = /^[A-Za-z0-9._-]{1,64}$/;

/** A name of a node: what `NODE_NAME` in `fleet/fields.ts` takes. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,30}[A-Za-z0-9])?$/;

const PREFIX = /^[A-Za-z0-9._:{}-]{1,64}$/;

/** Largest number of a database. */
const DATABASE_MAX = 16_383;

/** Largest `fleet_max`. */
const FLEET_MAX_MAX = 500_000;

const FORM = "redis://HOST:6379/0, rediss://USER@HOST:6379/0 (by TLS), or off";

/**
 * Reads `fleet`.
 *
 * @param value The value.
 * @param take Gets the address.
 * @returns What is wrong; `undefined` if nothing is.
 */
export function readFleet(
  value: string,
  take: (address: FleetAddress) => void,
): string | undefined {
  const [, scheme, , login, hostText = "", portText, databaseText] =
    /^(rediss?):\/\/((.*)@)?(\[[^\]]*\]|[^:/@]*)(?::([0-9]{1,5}))?(?:\/([0-9]{0,5}))?$/i.exec(
      value,
    ) ??
      [];
  // Before anything of it is shown.
  if (login?.includes(":")) {
    return "a secret does not belong into this address; write it into a file of mode 600, and: " +
      "fleet_pass_file = FILE";
  }
  if (scheme === undefined) {
    return value.includes("@") ? `the value is not ${FORM}` : `${shown(value)} is not ${FORM}`;
  }
  const host = hostText.replace(/^\[(.*)\]$/, "$1");
  const isAddress = parseAddress(host) !== undefined && (host === hostText || host.includes(":"));
  const isName = host.length <= HOST_LENGTH_MAX && HOST_NAME.test(host) && !/^[0-9.]+$/.test(host);
  if (!isAddress && !isName) return `${shown(hostText)} is not a host name or address`;
  const port = portText === undefined ? DEFAULT_PORT : Number(portText);
  if (port < 1 || port > 65_535) return `${shown(portText!)} is not a port`;
  const database = Number(databaseText ?? 0);
  if (database > DATABASE_MAX) return `${shown(databaseText!)} is not a database`;
  if (login !== undefined && !USER.test(login)) return `${shown(login)} is not a name of a user`;
  take({ host, port, tls: scheme.toLowerCase() === "rediss", user: login, database });
  return undefined;
}

/**
 * Reads `fleet_name`.
 *
 * @param value The value.
 * @param take Gets the name.
 */
export function readFleetName(value: string, take: (name: string) => void): string | undefined {
  if (!NAME.test(value)) {
    return `${shown(value)} is not a name of 1 to 32 letters, digits and . _ -, such as pbx1`;
  }
  take(value);
  return undefined;
}

/**
 * Reads `fleet_prefix`.
 *
 * @param value The value.
 * @param take Gets the prefix.
 */
export function readFleetPrefix(value: string, take: (prefix: string) => void): string | undefined {
  if (!PREFIX.test(value)) {
    return `${shown(value)} is not a beginning of keys: letters, digits and . _ : - { }, such as ` +
      "ampere:";
  }
  take(value);
  return undefined;
}

/**
 * Reads `fleet_max`.
 *
 * @param value The value.
 * @param take Gets the number of blocks in an hour.
 */
export function readFleetMax(value: string, take: (perHour: number) => void): string | undefined {
  const [, digits = ""] = /^([0-9]{1,7})\/hour$/.exec(value) ?? [];
  const number = digits === "" ? NaN : Number(digits);
  if (!(number >= 1 && number <= FLEET_MAX_MAX)) {
    return `${
      shown(value)
    } is not a number from 1 to ${FLEET_MAX_MAX} with /hour behind it, such ` +
      "as 10000/hour";
  }
  take(number);
  return undefined;
}

/**
 * An address as it stands in the file.
 *
 * @param address The address.
 */
export function formatFleet({ host, port, tls, user, database }: FleetAddress): string {
  const at = user === undefined ? "" : `${user}@`;
  const bracketed = host.includes(":") ? `[${host}]` : host;
  return `${tls ? "rediss" : "redis"}://${at}${bracketed}:${port}/${database}`;
}
