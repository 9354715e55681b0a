/**
 * Where hosts are, while the daemon runs: files are read again when they change, and what becomes
 * of strangers from away changes with them.
 *
 * @module
 */

import type { Log } from "../log.ts";
import type { StrictHosts } from "../penalties/strict.ts";
import { type PlaceFile, type PlaceRules, Places, UNREAD } from "../places/places.ts";
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
  #places: Places;
  /** What is configured, once its files were read. */
  #next: Places | undefined;
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
    this.#places = new Places(rules);
  }

  /** Where hosts are. */
  get places(): Places {
    return this.#places;
  }

  /** Who of the strangers has one attempt, or none; `undefined`: nobody. */
  get strict(): StrictHosts | undefined {
    return this.#places.strict;
  }

  /** The files; `undefined` without any. */
  get files(): readonly PlaceFile[] | undefined {
    return this.#places.isOn ? this.#places.files : undefined;
  }

  /**
   * Where a target is.
   *
   * @param target A canonical address or network.
   * @returns `undefined` if no file is configured.
   */
  of(target: string): JudgedPlace | undefined {
    return this.#places.judged(target);
  }

  /** Reads the files; nothing waits for it. Never throws: what is wrong is told. */
  async open(): Promise<void> {
    if (this.#places.isOn) await this.#take(this.#places);
  }

  /**
   * Takes over a new configuration, once its files were read: until then the old one holds.
   *
   * @param rules What it says.
   */
  async configure(rules: PlaceRules): Promise<void> {
    const old = (this.#next ?? this.#places).rules;
    const keys = ["geo", "asn", "home", "away", "asnStrict", "nat64"] as const;
    if (keys.every((key) => String(old[key]) === String(rules[key]))) return;
    await this.#take(new Places(rules));
  }

  /** Looks whether files have changed: to be called now and then. */
  async look(): Promise<void> {
    if (!this.#places.isOn || this.#isLooking) return;
    this.#isLooking = true;
    const places = this.#places;
    const changed = await places.look();
    this.#isLooking = false;
    if (!changed || places !== this.#places) return;
    this.#tell();
    this.#parts.changed();
  }

  async #take(places: Places): Promise<void> {
    this.#next = places;
    await places.open();
    // The configuration may have changed once more.
    if (this.#next !== places) return;
    this.#next = undefined;
    this.#places = places;
    this.#tell();
    this.#parts.changed();
  }

  #tell(): void {
    const told = new Map<string, string>();
    for (const { key, path, type, builtAt, trouble } of this.#places.files) {
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
