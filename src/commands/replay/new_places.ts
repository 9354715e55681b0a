/**
 * Logins from new places in what was recorded: as the daemon would have told them, had it known
 * nothing before.
 *
 * @module
 */

import type { SecurityEvent } from "../../ami/event.ts";
import type { Config } from "../../config/config.ts";
import { Habits } from "../../places/habits.ts";
import {
  type JudgedPlace,
  type NewPlace,
  type ShownPlace,
  shownPlace,
} from "../../telemetry/places.ts";
import { escapeText } from "../../text/escape.ts";
import { counted, formatTable, type Style } from "../../text/table.ts";
import { formatDay, formatLocalTime } from "../../text/time.ts";
import { placeWords } from "../opened_places.ts";

/** Most that are printed for people. */
const SHOWN_MAX = 20;

/** Most that are kept. */
const KEPT_MAX = 10_000;

/** Learns from where accounts log in. */
export class ReplayedPlaces {
  readonly #habits = new Habits();
  readonly #placeOf: (target: string) => JudgedPlace | undefined;
  readonly #isOn: boolean;
  readonly #found: NewPlace[] = [];
  #count = 0;

  /**
   * Nothing is known yet.
   *
   * @param config Whether it is asked for.
   * @param placeOf Where a host is; `undefined` without any file.
   */
  constructor(
    { newPlace, geo, asn }: Pick<Config, "newPlace" | "geo" | "asn">,
    placeOf: (target: string) => JudgedPlace | undefined,
  ) {
    this.#isOn = newPlace && (geo !== undefined || asn !== undefined);
    this.#placeOf = placeOf;
  }

  /**
   * Somebody has logged in with a password.
   *
   * @param event The event, which is believed.
   * @param at When, in milliseconds since 1970.
   */
  login(event: SecurityEvent, at: number): void {
    // As in the daemon, chan_sip's names are no accounts.
    if (!this.#isOn || event.service === "SIP") return;
    const { service, account, address } = event;
    const place = this.#placeOf(address);
    if (place === undefined) return;
    const before = this.#habits.login(`${service} ${account}`, place, at);
    if (before === undefined) return;
    this.#count++;
    if (this.#found.length >= KEPT_MAX) return;
    this.#found.push({ service, account, address, place: shownPlace(place)!, at, before });
  }

  /** For people; empty if it is not asked for, or nothing is known. */
  table(style: Style): string {
    if (this.#habits.size === 0) return "";
    const title = `\n${style.strong("Logins from new places")}\n`;
    if (this.#count === 0) {
      const accounts = counted(this.#habits.size, "account");
      return `${title}none, of ${accounts} that logged in from where places are known\n`;
    }
    const rows = this.#found.slice(0, SHOWN_MAX).map(({ account, service, ...found }) => [
      formatLocalTime(found.at),
      `"${escapeText(account)}" (${service})`,
      found.address,
      placeWords(found.place),
      `${found.before.places.join(", ")}, since ${formatDay(found.before.since)}`,
    ]);
    const more = this.#count - rows.length;
    return title + formatTable([["when", "account", "host", "from", "always before"], ...rows]) +
      (more > 0 ? `and ${more} more\n` : "");
  }

  /** For programs: a line for each. */
  json(): string {
    return this.#found.map((found) => `${JSON.stringify(lineOf(found))}\n`).join("");
  }
}

/** What a program reads of one. */
interface NewPlaceLine {
  readonly type: "newPlace";
  readonly at: string;
  readonly service: string;
  readonly account: string;
  readonly address: string;
  readonly place: ShownPlace;
  readonly before: readonly string[];
  readonly since: string;
}

function lineOf({ at, service, account, address, place, before }: NewPlace): NewPlaceLine {
  return {
    type: "newPlace",
    at: new Date(at).toISOString(),
    service,
    account,
    address,
    place,
    before: before.places,
    since: new Date(before.since).toISOString(),
  };
}
