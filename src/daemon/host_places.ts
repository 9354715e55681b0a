/**
 * Where hosts are, while the daemon runs: files are read again when they change, and what becomes
 * of strangers from away changes with them.
 *
 * @module
 */

import type { Log } from "../log.ts";
import type { StrictHosts } from "../penalties/strict.ts";
import type { PlaceFile, PlaceRules, Places } from "../places/places.ts";
import type { JudgedPlace, PlacesSource } from "../telemetry/places.ts";
import { escapeText } from "../text/escape.ts";
import { formatDay } from "../text/time.ts";

/** What {@linkcode HostPlaces} is made of. */
interface HostPlacesParts {
  readonly log: Pick<Log, "info" | "warn">;
  /** Strangers may be judged otherwise now. */
  readonly changed: () => void;
}

/** Knows where hosts are. */
export class HostPlaces implements PlacesSource {
  readonly #parts: HostPlacesParts;
  #rules: PlaceRules;
  /** `undefined`: no file is configured, or none was read yet. */
  #places: Places | undefined;
  /** Stands for the last configuration that was taken over, or is about to be. */
  #turn = 0;
  #told = new Map<string, string>();
  #isLooking = false;

  /**
   * Nothing is read before {@linkcode HostPlaces.open}.
   *
   * @param rules What the configuration says.
   * @param parts Who hears of it.
   */
  constructor(rules: PlaceRules, parts: HostPlacesParts) {
    this.#parts = parts;
    this.#rules = rules;
  }

  /** Who of the strangers has one attempt, or none; `undefined`: nobody. */
  get strict(): StrictHosts | undefined {
    return this.#places?.strict;
  }

  /** The files; `undefined` without any. */
  get files(): readonly PlaceFile[] | undefined {
    return this.#places?.files;
  }

  /**
   * Where a target is.
   *
   * @param target A canonical address or network.
   * @returns `undefined` if no file is configured.
   */
  of(target: string): JudgedPlace | undefined {
    return this.#places?.judged(target);
  }

  /** Reads the files; nothing waits for it. Never throws: what is wrong is told. */
  async open(): Promise<void> {
    if (isOn(this.#rules)) await this.#take(this.#rules);
  }

  /**
   * Takes over a new configuration, once its files were read: until then the old one holds.
   *
   * @param rules What it says.
   */
  async configure(rules: PlaceRules): Promise<void> {
    const old = this.#rules;
    const keys = ["geo", "asn", "home", "away", "asnStrict", "nat64"] as const;
    if (keys.every((key) => String(old[key]) === String(rules[key]))) return;
    this.#rules = rules;
    await this.#take(rules);
  }

  /** Looks whether files have changed: to be called now and then. */
  async look(): Promise<void> {
    const places = this.#places;
    if (places === undefined || this.#isLooking) return;
    this.#isLooking = true;
    const changed = await places.look();
    this.#isLooking = false;
    if (!changed || places !== this.#places) return;
    await this.#tell(places);
    this.#parts.changed();
  }

  async #take(rules: PlaceRules): Promise<void> {
    const turn = ++this.#turn;
    const places = isOn(rules) ? await openPlaces(rules) : undefined;
    // The configuration may have changed once more.
    if (turn !== this.#turn) return;
    this.#places = places;
    if (places !== undefined) await this.#tell(places);
    this.#parts.changed();
  }

  async #tell(places: Places): Promise<void> {
    const { UNREAD } = await import("../places/places.ts");
    const told = new Map<string, string>();
    for (const { key, path, type, builtAt, trouble } of places.files) {
      const isInUse = builtAt !== undefined;
      const what = isInUse
        ? `${path} was read: "${escapeText(type)}" of ${formatDay(builtAt)}`
        : `nothing is known by ${key}`;
      const said = trouble === undefined
        ? what
        : `${trouble.message}; ${
          isInUse ? "what was read before stays in use" : UNREAD[key]
        }. Fix: ${trouble.advice}`;
      told.set(key, said);
      // A file that is exchanged for one of the same day is told once.
      if (this.#told.get(key) === said) continue;
      if (trouble === undefined) this.#parts.log.info(`${key}: ${said}`);
      else this.#parts.log.warn(`${key}: ${said}`);
    }
    this.#told = told;
  }
}

function isOn({ geo, asn }: PlaceRules): boolean {
  return geo !== undefined || asn !== undefined;
}

/** What reads such files is loaded only where there is one. */
async function openPlaces(rules: PlaceRules): Promise<Places> {
  const { Places } = await import("../places/places.ts");
  const places = new Places(rules);
  await places.open();
  return places;
}
