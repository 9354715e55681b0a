/**
 * Whom the configuration trusts, for commands that run and end: with the file that it names, and
 * with the addresses that its names have now.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import { lookupName } from "../address/lookup.ts";
import { NAME_ADDRESSES_MAX, NOBODYS } from "../address/trusted_names.ts";
import type { Config } from "../config/config.ts";
import { readTrustFile, TRUST_NAMES_MAX } from "../config/trust_file.ts";
import { readTimedTrust, timedTrustFile } from "../config/timed_trust.ts";
import { formatLocalTime } from "../text/time.ts";
import type { TrustedName } from "../telemetry/status.ts";

/** How long names are waited for, all together, in milliseconds. */
const LOOKUPS_MS = 3_000;

/** Whom the configuration trusts now. */
interface Trusted {
  /** Canonical targets, each once. */
  readonly targets: readonly string[];
  /** Where those come from that do not stand in the configuration themselves, by target. */
  readonly origins: ReadonlyMap<string, string>;
  /** What is not as it should be, for the person who asked. */
  readonly notes: readonly string[];
}

/** What a lookup has led to. */
export interface NameAnswer {
  readonly name: string;
  /** Canonical addresses that are trusted. */
  readonly addresses: readonly string[];
  /** Canonical addresses that can be nobody's. */
  readonly refused: readonly string[];
  /** Why there is no answer; `undefined` if there is one. */
  readonly why: string | undefined;
}

/**
 * Looks names up, all at a time.
 *
 * @param names The names.
 * @param waitMs How long it may take in all, in milliseconds.
 * @returns An answer for each, in their order.
 */
export async function lookUpNames(
  names: readonly string[],
  waitMs: number = LOOKUPS_MS,
): Promise<NameAnswer[]> {
  const limit = Promise.withResolvers<string>();
  const timer = setTimeout(() => limit.resolve(`no answer within ${waitMs / 1000} s`), waitMs);
  try {
    return await Promise.all(names.map(async (name): Promise<NameAnswer> => {
      const none = { name, addresses: [], refused: [] };
      try {
        const found = await Promise.race([lookupName(name), limit.promise]);
        if (typeof found === "string") return { ...none, why: found };
        const all = [...new Set(found.flatMap((address) => parseAddress(address) ?? []))];
        const addresses = all.filter((address) => !NOBODYS.has(address));
        return {
          name,
          addresses: addresses.slice(0, NAME_ADDRESSES_MAX),
          refused: all.filter((address) => NOBODYS.has(address)),
          why: undefined,
        };
      } catch (error) {
        return { ...none, why: error instanceof Error ? error.message : String(error) };
      }
    }));
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Finds out whom the configuration trusts.
 *
 * @param config The configuration.
 * @param known What a running daemon knows of names: these are not looked up again.
 */
export async function trustedNow(
  config: Config,
  known?: { readonly names: readonly TrustedName[] },
): Promise<Trusted> {
  const origins = new Map<string, string>();
  const notes: string[] = [];
  const targets = [...config.trust];
  const names = [...config.trustNames];
  if (config.trustFile !== undefined) {
    const { content, why } = readTrustFile(config.trustFile);
    if (content === undefined) notes.push(`trust_file: ${why}`);
    for (const problem of content?.problems ?? []) notes.push(problem);
    for (const target of content?.targets ?? []) {
      targets.push(target);
      origins.set(target, `it stands in ${config.trustFile}`);
    }
    names.push(...content?.names ?? []);
  }
  const take = (name: string, addresses: readonly string[]) => {
    for (const address of addresses) {
      targets.push(address);
      if (!origins.has(address)) origins.set(address, `trust = ${name}, which is ${address}`);
    }
  };
  const wanted = new Set(names.slice(0, TRUST_NAMES_MAX));
  for (const { name, addresses } of known?.names ?? []) {
    if (addresses.length > 0 && wanted.delete(name)) take(name, addresses);
  }
  for (const { name, addresses, why } of await lookUpNames([...wanted])) {
    take(name, addresses);
    if (addresses.length === 0) {
      notes.push(
        `trust: ${name}: ${why ?? "its addresses can be nobody's"}: nobody is trusted for it now`,
      );
    }
  }
  const timedFile = timedTrustFile(config.database);
  const timed = readTimedTrust(timedFile);
  if (typeof timed === "string") notes.push(timed);
  else {
    const now = Date.now();
    for (const { target, until, remark } of timed) {
      if (until <= now) continue;
      targets.push(target);
      if (origins.has(target)) continue;
      origins.set(
        target,
        `for a time, until ${formatLocalTime(until)}${remark === "" ? "" : `, ${remark}`}; it ` +
          `stands in ${timedFile}`,
      );
    }
  }
  for (const target of config.trust) origins.delete(target);
  return { targets: [...new Set(targets)], origins, notes };
}
