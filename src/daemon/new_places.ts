/**
 * A login from a new place: an account that always logged in from one country or network, and now
 * does from another, is told. Nobody is blocked for that.
 *
 * @module
 */

import type { SecurityEvent } from "../ami/event.ts";
import { keyText } from "../penalties/host_key.ts";
import type { BelievedTime } from "../blocks/believed_time.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import { Habits } from "../places/habits.ts";
import { describePlace } from "../places/place.ts";
import { type NewPlace, type PlacesSource, shownPlace } from "../telemetry/places.ts";
import { escapeText } from "../text/escape.ts";
import { formatDay } from "../text/time.ts";
import type { Notices } from "./notices.ts";

/** How often habits are written, in milliseconds. */
const SAVE_MS = 60_000;

/** Most accounts that are written in one turn; takes some milliseconds. */
const ACCOUNTS_PER_TURN = 500;

/** New places that are remembered for the status. */
const REMEMBERED_MAX = 10;

/** What {@linkcode NewPlaces} is made of. */
interface NewPlacesParts {
  readonly list: BlockList;
  readonly places: PlacesSource;
  readonly notices: Notices;
  readonly log: Pick<Log, "limited">;
  /** Monotonic time. */
  readonly clock: Pick<Clock, "now">;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
  /** The time by which is learned. */
  readonly believedTime: Pick<BelievedTime, "now">;
  /** The configuration in force. */
  readonly config: () => Config;
}

/** Learns, tells, and keeps. */
export class NewPlaces {
  readonly #parts: NewPlacesParts;
  readonly #habits = new Habits();
  readonly #last: NewPlace[] = [];
  #count = 0;
  #isRestored = false;
  #savedAt: number;

  /**
   * Nothing is known yet.
   *
   * @param parts What it is made of.
   */
  constructor(parts: NewPlacesParts) {
    this.#parts = parts;
    this.#savedAt = parts.clock.now();
  }

  /** Whether logins are looked at: a file of places is configured, and nobody has turned it off. */
  get isOn(): boolean {
    const { geo, asn, newPlace } = this.#parts.config();
    return newPlace && (geo !== undefined || asn !== undefined);
  }

  /** Logins from new places since the start. */
  get count(): number {
    return this.#count;
  }

  /** Accounts of which it is known from where they log in. */
  get accounts(): number {
    return this.#habits.size;
  }

  /** The last ones, the newest first. */
  get last(): readonly NewPlace[] {
    return this.#last;
  }

  /**
   * Somebody has logged in with a password.
   *
   * @param event The event, which is believed.
   */
  login(event: SecurityEvent): void {
    // chan_sip calls the dialled number of a call so: that has no habits.
    if (!this.isOn || event.service === "SIP") return;
    const { places, believedTime } = this.#parts;
    const address = keyText(event.host);
    const place = places.of(address);
    if (place === undefined) return;
    const { service, account } = event;
    const before = this.#habits.login(`${service} ${account}`, place, believedTime.now());
    if (before === undefined) return;
    this.#count++;
    const at = this.#parts.wallClock();
    const found = { service, account, address, place: shownPlace(place)!, at, before };
    this.#last.unshift(found);
    this.#last.splice(REMEMBERED_MAX);
    const notice = this.#parts.notices.newPlace(found);
    const name = `"${escapeText(account)}" (${service})`;
    this.#parts.log.limited(
      `new place ${name}`,
      "warn",
      `account ${name} logged in from a new place: ${address}, ${describePlace(place)}${
        place.away ? " (away)" : ""
      }; since ${formatDay(before.since)} always from ${
        before.places.join(", ")
      }. Nobody is blocked for that. If it was nobody of yours, give the account another secret`,
      notice,
    );
  }

  /** Writes what is due: to be called often. */
  look(): void {
    if (!this.isOn) return;
    if (!this.#isRestored) this.#restore();
    const now = this.#parts.clock.now();
    if (!this.#isRestored || now - this.#savedAt < SAVE_MS) return;
    const written = this.#save(ACCOUNTS_PER_TURN);
    // What is left follows in the next turn.
    if (written < ACCOUNTS_PER_TURN) this.#savedAt = now;
  }

  /** Writes all of it. */
  finish(): void {
    if (this.isOn && this.#isRestored) this.#save(Infinity);
  }

  #restore(): void {
    const stored = this.#parts.list.habits?.();
    if (stored === undefined) return;
    this.#isRestored = true;
    this.#habits.restore(stored, this.#parts.believedTime.now());
  }

  /** How many accounts were written, or are to be tried again in a minute. */
  #save(most: number): number {
    const { list, wallClock } = this.#parts;
    if (list.saveHabits === undefined) return 0;
    const habits = this.#habits.takeChanged(most);
    if (habits.length === 0) return 0;
    if (list.saveHabits(habits, wallClock())) return habits.length;
    this.#habits.putBack(habits);
    return 0;
  }
}
