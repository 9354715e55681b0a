/**
 * Where hosts are: the country and the network of an address, and who is a stranger from away.
 *
 * Asked are a handful of hosts, never events: a stranger when they are charged for the first time,
 * and whoever is told of. What was found is remembered for a while.
 *
 * @module
 */

import { AddressSet } from "../address/address_set.ts";
import type { Config } from "../config/config.ts";
import { HostNetworks, keyText } from "../penalties/host_key.ts";
import type { HostKey } from "../penalties/host_key.ts";
import type { StrictHosts } from "../penalties/strict.ts";
import { escapeText } from "../text/escape.ts";
import { foldedIpv4 } from "./folding.ts";
import type { Mmdb } from "./mmdb.ts";
import { countryOf, namesIn, networkOwnerOf, NOWHERE, type Place } from "./place.ts";
import { type MmdbTrouble, WatchedMmdb } from "./watched_mmdb.ts";

/** Most addresses of which the place is remembered. */
const REMEMBERED_MAX = 4_096;

/** Addresses that are tried to find out what a new file has: one of each /8, and of IPv6. */
const SAMPLES = [
  ...Array.from({ length: 223 }, (_, i) => `${i + 1}.1.1.1`),
  ...["2001:200::1", "2001:4860:4860::8888", "2400:cb00::1", "2600::1", "2800:3f0::1", "2a00::1"],
  ...["2a02:2e0::1", "2a03:2880::1", "2c0f:f248::1"],
] as const;

/**
 * Networks that are in no country, whatever a file says: private ones (RFC 1918, RFC 4193), those
 * of providers behind NAT (RFC 6598), loopback and link-local ones.
 */
const NO_COUNTRY = new AddressSet([
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "::1",
  "fc00::/7",
  "fe80::/10",
]);

/** Longest name of a field that is repeated, and how many of them. */
const FIELD_CHARACTERS_MAX = 40;
const FIELDS_MAX = 8;

/** What of the configuration is about places. */
export type PlaceRules = Pick<Config, "geo" | "asn" | "home" | "away" | "asnStrict" | "nat64">;

/** What follows as long as a file can't be read. */
export const UNREAD: Readonly<Record<PlaceFile["key"], string>> = {
  geo: "until it can be read nobody is away",
  asn: "until it can be read no network is known",
};

/** A file as the status shows it. */
export interface PlaceFile {
  /** The key that names it. */
  readonly key: "geo" | "asn";
  readonly path: string;
  /** What the file calls itself; empty if none was read. */
  readonly type: string;
  /** When it was made, in milliseconds since 1970; `undefined` if none was read. */
  readonly builtAt: number | undefined;
  readonly trouble: MmdbTrouble | undefined;
}

/**
 * Looks places up.
 *
 * @example
 * ```ts
 * import { Places } from "./places.ts";
 *
 * const none = { geo: undefined, asn: undefined, nat64: [], asnStrict: [] };
 * const places = new Places({ ...none, home: ["DE"], away: "strict" });
 * await places.open();
 * console.log(places.of("192.0.2.7").country, places.isAway("192.0.2.7")); // undefined false
 * ```
 */
export class Places {
  readonly rules: PlaceRules;
  readonly #geo: WatchedMmdb | undefined;
  readonly #asn: WatchedMmdb | undefined;
  readonly #home: ReadonlySet<string>;
  readonly #strict: ReadonlySet<number>;
  readonly #networks: HostNetworks;
  readonly #judge: StrictHosts | undefined;
  readonly #remembered = new Map<string, Place>();

  /**
   * Nothing is known before {@linkcode Places.open}.
   *
   * @param rules What the configuration says.
   */
  constructor(rules: PlaceRules) {
    this.rules = rules;
    this.#geo = watched(rules.geo, countryOf, "countries");
    this.#asn = watched(rules.asn, (record) => networkOwnerOf(record).asn, "networks (ASN)");
    this.#home = new Set(rules.home);
    this.#strict = new Set(rules.asnStrict);
    this.#networks = new HostNetworks(128, rules.nat64);
    this.#judge = this.#strictHosts();
  }

  /** Whether any file is configured. */
  get isOn(): boolean {
    return this.#geo !== undefined || this.#asn !== undefined;
  }

  /** The files, that of countries first. */
  get files(): PlaceFile[] {
    return this.#watched().map(({ path, file, trouble }, index) => ({
      key: index === 0 && this.#geo !== undefined ? "geo" : "asn",
      path,
      type: file?.facts.type ?? "",
      builtAt: file?.facts.builtAt,
      trouble,
    }));
  }

  /** Reads the files; what is wrong with them is in {@linkcode Places.files}. */
  async open(): Promise<void> {
    await Promise.all(this.#watched().map((file) => file.open()));
    this.#remembered.clear();
  }

  /**
   * Looks whether a file has changed, and reads it then: to be called now and then.
   *
   * @returns Whether places may be others now, or a file is in other trouble than before.
   */
  async look(): Promise<boolean> {
    const changed = await Promise.all(this.#watched().map((file) => file.look()));
    if (!changed.includes(true)) return false;
    this.#remembered.clear();
    return true;
  }

  /** How many networks each file knows, in the order of {@linkcode Places.files}. */
  countNetworks(): number[] {
    return this.#watched().map(({ file }) => file?.countNetworks() ?? 0);
  }

  /**
   * Where an address is.
   *
   * @param target A canonical address, or a network: then where that begins.
   */
  of(target: string): Place {
    if (!this.isOn) return NOWHERE;
    let place = this.#remembered.get(target);
    if (place !== undefined) return place;
    const [bare = ""] = target.split("/");
    const address = foldedIpv4(bare, this.#networks) ?? bare;
    place = NO_COUNTRY.has(address) ? NOWHERE : {
      country: countryOf(this.#geo?.file?.get(address)),
      ...networkOwnerOf(this.#asn?.file?.get(address)),
    };
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(target, place);
    return place;
  }

  /**
   * Whether an address is known to be in a country that is not home.
   *
   * @param target A canonical address or network.
   */
  isAway(target: string): boolean {
    if (this.#home.size === 0) return false;
    const { country } = this.of(target);
    return country !== undefined && !this.#home.has(country);
  }

  /**
   * Where an address is, and whether that is away.
   *
   * @param target A canonical address or network.
   * @returns `undefined` if no file is configured.
   */
  judged(target: string): Place & { readonly away: boolean } | undefined {
    return this.isOn ? { ...this.of(target), away: this.isAway(target) } : undefined;
  }

  /**
   * Who of the strangers has one attempt, or none: always the same object; `undefined`: nobody.
   */
  get strict(): StrictHosts | undefined {
    return this.#judge;
  }

  #strictHosts(): StrictHosts | undefined {
    const { away } = this.rules;
    const judgesAway = away !== "watch" && this.#geo !== undefined && this.#home.size > 0;
    const judgesNetworks = this.#asn !== undefined && this.#strict.size > 0;
    if (!judgesAway && !judgesNetworks) return undefined;
    const whyAway = (target: string) =>
      judgesAway && this.isAway(target)
        ? `it is in ${this.of(target).country}, which is not home`
        : undefined;
    const whyStrict = (host: HostKey) => {
      const target = keyText(host);
      return whyAway(target) ?? (judgesNetworks ? this.#whyNetwork(target) : undefined);
    };
    if (away !== "block" || !judgesAway) return { whyStrict };
    return { whyStrict, whyBarred: (host) => whyAway(keyText(host)) };
  }

  #whyNetwork(target: string): string | undefined {
    const { asn } = this.of(target);
    if (asn === undefined || !this.#strict.has(asn)) return undefined;
    return `its network AS${asn} is in asn_strict`;
  }

  #watched(): WatchedMmdb[] {
    return [this.#geo, this.#asn].filter((file) => file !== undefined);
  }
}

function watched(
  path: string | undefined,
  find: (record: unknown) => unknown,
  what: string,
): WatchedMmdb | undefined {
  if (path === undefined) return undefined;
  return new WatchedMmdb(path, (file) => whyUnfit(file, find, what));
}

/** Whether a file has what is looked for, as far as some addresses show it. */
function whyUnfit(
  file: Mmdb,
  find: (record: unknown) => unknown,
  what: string,
): string | undefined {
  let other: unknown;
  for (const address of SAMPLES) {
    const record = file.get(address);
    if (record === undefined) continue;
    if (find(record) !== undefined) return undefined;
    other ??= record;
  }
  // A small file may have none of the samples.
  if (other === undefined) return undefined;
  const fields = namesIn(other).slice(0, FIELDS_MAX).map((name) =>
    escapeText(name, FIELD_CHARACTERS_MAX)
  );
  return `names no ${what}: its records have ${fields.join(", ") || "no fields"}`;
}
