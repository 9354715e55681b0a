/**
 * Where hosts are, for commands that run and end.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { type JudgedPlace, type ShownPlace, shownPlace } from "../telemetry/places.ts";
import { describePlace } from "../places/place.ts";
import { Places } from "../places/places.ts";
import { formatDay, formatLocalTime } from "../text/time.ts";
import { escapeControls, escapeText } from "../text/escape.ts";
import type { PlacesStatus } from "../telemetry/places.ts";
import { counted, type Style } from "../text/table.ts";

/** Longest cause why a file cannot be read with what mends it, in characters. */
const CAUSE_CHARACTERS_MAX = 900;

/** Most logins from new places that are shown. */
const NEW_PLACES_MAX = 5;

/** Most countries, or networks, that are named. */
const NAMED_MAX = 8;

/** Who knows where hosts are, for one command. */
interface OpenedPlaces {
  readonly places: Places;
  /** Where a canonical target is; `undefined` if no file is configured. */
  of(target: string): JudgedPlace | undefined;
  /** What is not as it should be, for the person who asked. */
  readonly notes: readonly string[];
}

/**
 * Reads the files that the configuration names.
 *
 * @param config The configuration.
 */
export async function openPlaces(config: Config): Promise<OpenedPlaces> {
  const places = new Places(config);
  await places.open();
  return {
    places,
    of: (target) => places.judged(target),
    notes: places.files.flatMap(({ key, trouble }) =>
      trouble === undefined ? [] : [`${key}: ${trouble.message}. Fix: ${trouble.advice}`]
    ),
  };
}

/**
 * A place for people.
 *
 * @param place A place as programs read it; null or `undefined` where no file is configured.
 * @returns `BR, AS64500 "Example" (away)`; empty if nothing is known.
 */
export function placeWords(place: ShownPlace | null | undefined): string {
  if (place === null || place === undefined) return "";
  const { country, asn, organisation, away } = place;
  const words = describePlace({
    country: country ?? undefined,
    asn: asn ?? undefined,
    organisation: organisation ?? undefined,
  });
  return words === "" ? "" : `${words}${away ? " (away)" : ""}`;
}

/** The same for what was found in this process. */
export function judgedWords(place: JudgedPlace | undefined): string {
  return placeWords(shownPlace(place));
}

/**
 * What the status tells of places.
 *
 * @param places What the daemon says; `undefined` if it does not know them yet.
 * @param style Colours, or none.
 */
export function placeRows(places: PlacesStatus | null | undefined, style: Style): string[][] {
  // A daemon that was not started again after an update does not tell it yet.
  if (places === null || places === undefined) return [];
  const { files, home, away, asnStrict, blocksByCountry, blocksByNetwork } = places;
  const rows = files.map(({ path, type, builtAt, trouble, advice }) => {
    const file = builtAt === null
      ? style.bad("nothing is known")
      : `${style.good("known")}: ${escapeText(path)}, "${escapeText(type)}" of ${
        formatDay(Date.parse(builtAt))
      }`;
    return trouble === null
      ? file
      : `${file}; ${style.bad(escapeControls(`${trouble}. Fix: ${advice}`, CAUSE_CHARACTERS_MAX))}`;
  });
  const rules = [
    ...(home.length === 0 ? [] : [`home is ${home.join(", ")}, who is away: ${AWAY[away]}`]),
    ...(asnStrict === 0 ? [] : [`${asnStrict} networks with one attempt`]),
  ];
  if (rules.length > 0) rows.push(rules.join("; "));
  const counts = [blocksByCountry, blocksByNetwork].flatMap((by) => {
    const named = Object.entries(by).filter(([name]) => name !== "unknown").slice(0, NAMED_MAX)
      .map(([name, count]) => `${count} ${name}`);
    return named.length === 0 ? [] : [named.join(", ")];
  });
  if (counts.length > 0) rows.push(`blocks since the start: ${counts.join("; ")}`);
  rows.push(...newPlaceRows(places.newPlaces, style));
  return rows.map((row, index) => [index === 0 ? "Places" : "", row]);
}

function newPlaceRows(news: PlacesStatus["newPlaces"], style: Style): string[] {
  if (news === null) return [];
  const rows = news.last.slice(0, NEW_PLACES_MAX).map((found) =>
    `${style.doubtful("new place")}: "${
      escapeText(found.account)
    }" (${found.service}) logged in from ${found.address}, ${placeWords(found.place)}, at ${
      formatLocalTime(Date.parse(found.time))
    }; before always from ${found.before.join(", ")}`
  );
  const more = news.count - rows.length;
  return [
    ...rows,
    ...(more > 0 ? [`and ${counted(more, "more login")} from new places since the start`] : []),
    `it is known from where ${counted(news.accounts, "account")} log${
      news.accounts === 1 ? "s" : ""
    } in`,
  ];
}

/** What becomes of strangers from elsewhere. */
const AWAY: Readonly<Record<Config["away"], string>> = {
  watch: "told of",
  strict: "one attempt",
  block: "blocked when they first appear",
};
