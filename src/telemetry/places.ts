/**
 * What the daemon says of places: the files, and from where those came that were blocked.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import type { Before } from "../places/habits.ts";
import type { Place } from "../places/place.ts";
import type { PlaceFile } from "../places/places.ts";

/**
 * Most countries, and most networks, that are counted by themselves: the first ones that appear.
 * Later ones are counted together, so that a metric never has more values, and none of them falls.
 */
export const COUNTED_MAX = 32;

/** Counts what is not counted by itself. */
const OTHER = "other";

/** Counts what is not known. */
const UNKNOWN = "unknown";

/** Where a host is, and whether that is away. */
export type JudgedPlace = Place & {
  /** It is known not to be at home. */
  readonly away: boolean;
};

/** Who knows where hosts are. */
export interface PlacesSource {
  /** `undefined` if none is configured. */
  readonly files: readonly PlaceFile[] | undefined;
  /** Where a canonical target is; `undefined` if no file is configured. */
  of(target: string): JudgedPlace | undefined;
}

/** A place as programs read it; null where it is not known. */
export interface ShownPlace {
  readonly country: string | null;
  /** The number of its network. */
  readonly asn: number | null;
  /** Whose that is, as the maker of the file wrote it. */
  readonly organisation: string | null;
  /** It is known not to be at home. */
  readonly away: boolean;
}

/** A login of an account that always logged in from elsewhere. */
export interface NewPlace {
  readonly service: string;
  /** As Asterisk wrote it. */
  readonly account: string;
  /** Canonical address. */
  readonly address: string;
  readonly place: ShownPlace;
  /** When, in milliseconds since 1970. */
  readonly at: number;
  readonly before: Before;
}

/** Logins from new places, since the start. */
export interface NewPlacesState {
  readonly isOn: boolean;
  readonly count: number;
  /** Accounts of which it is known from where they log in. */
  readonly accounts: number;
  /** The last ones, the newest first. */
  readonly last: readonly NewPlace[];
}

/** A login from a new place as the status and the webhook show it. */
export interface ShownNewPlace extends Omit<NewPlace, "at" | "before"> {
  readonly time: string;
  /** From where it always logged in: countries if the country is new, else the one network. */
  readonly before: readonly string[];
  readonly since: string;
}

/** What the status tells of places. Times are ISO 8601 in UTC, or null. */
export interface PlacesStatus {
  readonly files: readonly ShownFile[];
  readonly home: readonly string[];
  /** What becomes of strangers from elsewhere. */
  readonly away: Config["away"];
  /** How many networks have one attempt. */
  readonly asnStrict: number;
  /** Blocks since the start by country, the most first. */
  readonly blocksByCountry: Readonly<Record<string, number>>;
  /** Blocks since the start by the number of the network, the most first. */
  readonly blocksByNetwork: Readonly<Record<string, number>>;
  /** Logins from new places since the start; null if nobody looks. */
  readonly newPlaces: {
    readonly count: number;
    readonly accounts: number;
    readonly last: readonly ShownNewPlace[];
  } | null;
}

/** A file of places. */
interface ShownFile {
  /** The key that names it. */
  readonly key: "geo" | "asn";
  readonly path: string;
  /** What it calls itself; empty if nothing was read. */
  readonly type: string;
  /** When its maker made it. */
  readonly builtAt: string | null;
  /** What is wrong with the file that is there now; null if nothing is. */
  readonly trouble: string | null;
  /** What mends that. */
  readonly advice: string;
}

/** Counts blocks by where they are from; the number of countries and networks is bounded. */
export class PlaceCounts {
  /** By code; `other` and `unknown` among them. */
  readonly countries = new Map<string, number>();
  /** By number; `other` and `unknown` among them. */
  readonly networks = new Map<string, number>();

  /**
   * Counts a block.
   *
   * @param place From where.
   */
  add({ country, asn }: Place): void {
    count(this.countries, country ?? UNKNOWN);
    count(this.networks, asn === undefined ? UNKNOWN : String(asn));
  }
}

function count(counts: Map<string, number>, name: string): void {
  const isNamed = counts.has(name) || name === UNKNOWN || counts.size < COUNTED_MAX;
  const one = isNamed ? name : OTHER;
  counts.set(one, (counts.get(one) ?? 0) + 1);
}

/**
 * A place for programs.
 *
 * @param place Where a host is; `undefined` if no file is configured.
 */
export function shownPlace(place: JudgedPlace | undefined): ShownPlace | null {
  if (place === undefined) return null;
  const { country, asn, organisation, away } = place;
  return {
    country: country ?? null,
    asn: asn ?? null,
    organisation: organisation ?? null,
    away,
  };
}

/**
 * A login from a new place for programs. Times are ISO 8601 in UTC.
 *
 * @param found The login.
 */
export function shownNewPlace({ at, before, ...rest }: NewPlace): ShownNewPlace {
  return {
    time: new Date(at).toISOString(),
    ...rest,
    before: before.places,
    since: new Date(before.since).toISOString(),
  };
}

/**
 * What the status tells.
 *
 * @param source Who knows; `undefined` or without files: nobody.
 * @param config The configuration.
 * @param counts Blocks by place.
 * @param news Logins from new places.
 */
export function placesStatus(
  source: PlacesSource | undefined,
  config: Config,
  counts: PlaceCounts,
  news?: NewPlacesState,
): PlacesStatus | null {
  if (source?.files === undefined) return null;
  return {
    files: source.files.map(({ key, path, type, builtAt, trouble }) => ({
      key,
      path,
      type,
      builtAt: builtAt === undefined ? null : new Date(builtAt).toISOString(),
      trouble: trouble?.message ?? null,
      advice: trouble?.advice ?? "",
    })),
    home: config.home,
    away: config.away,
    asnStrict: config.asnStrict.length,
    blocksByCountry: mostFirst(counts.countries),
    blocksByNetwork: mostFirst(counts.networks),
    newPlaces: news?.isOn !== true ? null : {
      count: news.count,
      accounts: news.accounts,
      last: news.last.map(shownNewPlace),
    },
  };
}

function mostFirst(counts: ReadonlyMap<string, number>): Record<string, number> {
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  // A number would go before all names, whatever its count.
  return Object.fromEntries(
    sorted.map(([name, count]) => [/^[0-9]/.test(name) ? `AS${name}` : name, count]),
  );
}
