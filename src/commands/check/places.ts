/**
 * Checks the files of places, and which of those who belong here would be away.
 *
 * @module
 */

import { BlockDatabase, BlockDatabaseError } from "../../blocks/database.ts";
import type { Config } from "../../config/config.ts";
import { keyOf } from "../../penalties/host_key.ts";
import { describePlace } from "../../places/place.ts";
import { Places, UNREAD } from "../../places/places.ts";
import { escapeText } from "../../text/escape.ts";
import { counted, formatCount } from "../../text/table.ts";
import { formatDay } from "../../text/time.ts";
import { type Finding, ok, warning } from "./finding.ts";

const ABOUT = "places";

/** From this age on a file is told as old, in milliseconds: half a year. */
const OLD_MS = 183 * 86_400_000;

/** Most hosts that are named. */
const NAMED_MAX = 5;

/**
 * Reads the files.
 *
 * @param config Names them, and says what is home.
 * @param now The time, in milliseconds since 1970.
 * @returns Findings, none if no file is configured.
 */
export async function checkPlaces(config: Config, now: number = Date.now()): Promise<Finding[]> {
  const places = new Places(config);
  if (!places.isOn) return [];
  await places.open();
  const counts = places.countNetworks();
  const findings = places.files.map(({ key, path, type, builtAt, trouble }, index) => {
    if (trouble !== undefined || builtAt === undefined) {
      return warning(
        ABOUT,
        `${key}: ${trouble?.message}; ${UNREAD[key]}`,
        trouble?.advice ?? "",
      );
    }
    const what = `${key}: ${path} is "${escapeText(type)}" of ${formatDay(builtAt)} with ${
      formatCount(counts[index]!)
    } networks`;
    return now - builtAt > OLD_MS
      ? warning(
        ABOUT,
        `${what}: networks change hands, and it is more than half a year old`,
        "get a newer one, and put it in its place (mv); it is read by itself",
      )
      : ok(ABOUT, what);
  });
  return [...findings, ...checkKnown(config, places, now)];
}

/** Who logged in lately, and would be judged as a stranger should that be forgotten. */
function checkKnown(config: Config, places: Places, now: number): Finding[] {
  const { strict } = places;
  if (strict === undefined) return [];
  const known = standingOf(config, now);
  if (known.length === 0) return [];
  const away = known.filter((host) => strict.whyStrict(keyOf(host)) !== undefined);
  if (away.length === 0) {
    return [
      ok(ABOUT, `none of the ${counted(known.length, "host")} that logged in lately is away`),
    ];
  }
  const named = away.slice(0, NAMED_MAX).map((host) =>
    `${host} (${describePlace(places.of(host))})`
  );
  const more = away.length - named.length;
  const countries = [...new Set(away.flatMap((host) => places.of(host).country ?? []))]
    .filter((code) => !config.home.includes(code));
  return [warning(
    ABOUT,
    `${away.length} of the ${counted(known.length, "host")} that logged in lately would, as ` +
      `${away.length === 1 ? "a stranger" : "strangers"}, have ${
        strict.whyBarred === undefined ? "one attempt" : "no attempt, or one"
      }: ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}. They are left alone as long ` +
      "as they log in within credit",
    (countries.length > 0
      ? `if they belong there: home = ${[...config.home, ...countries].join(", ")}; or `
      : "") +
      `trust = ${away[0]}`,
  )];
}

function standingOf(config: Config, now: number): string[] {
  try {
    using list = BlockDatabase.open(config.database, { readOnly: true });
    const since = now - config.credit * 1000;
    return [...list.standing()].filter(([, at]) => at >= since).map(([host]) => host);
  } catch (error) {
    // What is wrong with it is told where the database is checked.
    if (error instanceof BlockDatabaseError) return [];
    throw error;
  }
}
