/**
 * From where accounts log in, by which a login from a new place is known.
 *
 * Pure and bounded: logins with their places and a time go in, new places come out.
 *
 * @module
 */

import { ACCOUNTS_MAX, type Habit, PLACES_MAX, type SeenPlaces } from "../blocks/kept_habits.ts";
import type { Place } from "./place.ts";

const DAY_MS = 86_400_000;

/** How long it is learned from where an account logs in, in milliseconds. */
export const LEARN_MS = 14 * DAY_MS;

/** After so long without a login from there a place is forgotten, and an account, in ms. */
export const FORGET_MS = 180 * DAY_MS;

/** When an account was seen at a place is known by this, in milliseconds: seldom written. */
const SEEN_STEP_MS = DAY_MS;

/** From where an account always logged in that logs in from elsewhere now. */
export interface Before {
  /** Codes of countries if the country is new, else the one network, `AS64500`. */
  readonly places: readonly string[];
  /** Since when that is known, in milliseconds since 1970. */
  readonly since: number;
}

/** What a login was for one kind of place. */
interface Seen<Name> {
  /** It must be written. */
  readonly isChange: boolean;
  /** Where the account logged in before; empty if it is not known for long enough. */
  readonly before: readonly Name[];
}

const KNOWN: Seen<never> = { isChange: false, before: [] };

/** Places of one kind. */
class Kind<Name> implements SeenPlaces<Name> {
  since: number | undefined;
  readonly seen = new Map<Name, number>();

  /** A login from a place; `undefined`: it is not known from where. */
  login(name: Name | undefined, now: number): Seen<Name> {
    if (name === undefined) return KNOWN;
    const last = this.seen.get(name);
    // A clock that was set back changes nothing.
    if (last !== undefined && now - last < SEEN_STEP_MS) return KNOWN;
    const isLearned = this.since !== undefined && now - this.since >= LEARN_MS;
    const before = last === undefined && isLearned ? [...this.seen.keys()] : [];
    this.add(name, now);
    this.since ??= now;
    return { isChange: true, before };
  }

  /** Takes over what is known from elsewhere. */
  join({ since, seen }: SeenPlaces<Name>): void {
    this.since = Math.min(this.since ?? Infinity, since ?? Infinity);
    if (this.since === Infinity) this.since = undefined;
    const all = new Map([...seen, ...this.seen]);
    this.seen.clear();
    for (const [name, last] of [...all].sort((a, b) => a[1] - b[1])) this.add(name, last);
  }

  /** When somebody was seen at any of them. */
  get last(): number {
    return Math.max(-Infinity, ...this.seen.values());
  }

  add(name: Name, at: number): void {
    this.seen.delete(name);
    this.seen.set(name, at);
    for (const [old, last] of this.seen) {
      if (this.seen.size <= PLACES_MAX && at - last < FORGET_MS) break;
      this.seen.delete(old);
    }
  }
}

/** What is known of one account. */
class Known {
  readonly countries = new Kind<string>();
  readonly networks = new Kind<number>();

  /** When the account was seen. */
  get last(): number {
    return Math.max(this.countries.last, this.networks.last);
  }
}

/**
 * The habits of all accounts.
 *
 * @example
 * ```ts
 * import { Habits, LEARN_MS } from "./habits.ts";
 *
 * const habits = new Habits();
 * const [home, away] = ["DE", "BR"].map((country) => ({
 *   country,
 *   asn: undefined,
 *   organisation: undefined,
 * }));
 * habits.login("PJSIP 100", home!, 0);
 * console.log(habits.login("PJSIP 100", away!, LEARN_MS)?.places); // [ "DE" ]
 * ```
 */
export class Habits {
  /** The account that logged in longest ago first, to within a day. */
  readonly #known = new Map<string, Known>();
  readonly #changed = new Set<string>();

  /** Number of accounts. */
  get size(): number {
    return this.#known.size;
  }

  /**
   * An account logs in.
   *
   * @param account Service and name.
   * @param place From where.
   * @param now Time of day, in milliseconds since 1970.
   * @returns From where it always logged in until now, if it is new: a country that it never logged
   *   in from, or a network while it always came from a single one.
   */
  login(account: string, { country, asn }: Place, now: number): Before | undefined {
    const known = this.#known.get(account) ?? new Known();
    const byCountry = known.countries.login(country, now);
    const byNetwork = known.networks.login(asn, now);
    if (!byCountry.isChange && !byNetwork.isChange) return undefined;
    this.#put(account, known);
    if (byCountry.before.length > 0) {
      return { places: byCountry.before, since: known.countries.since! };
    }
    // Whoever moves from network to network does so every day.
    if (byNetwork.before.length !== 1) return undefined;
    return { places: [`AS${byNetwork.before[0]}`], since: known.networks.since! };
  }

  /**
   * Accounts of which something else is to be written than was.
   *
   * @param most Accounts; the others are given by the next calls.
   */
  takeChanged(most = Infinity): Habit[] {
    const some = [...this.#changed.values().take(most)];
    for (const account of some) this.#changed.delete(account);
    return some.map((account) => {
      const { countries, networks } = this.#known.get(account)!;
      return { account, countries, networks };
    });
  }

  /**
   * What was taken could not be written: it is given once more.
   *
   * @param habits What was taken.
   */
  putBack(habits: Iterable<Habit>): void {
    for (const { account } of habits) if (this.#known.has(account)) this.#changed.add(account);
  }

  /**
   * Takes over what an earlier life knew; what was seen since then stays.
   *
   * @param habits What was written.
   * @param now Time of day, in milliseconds since 1970.
   */
  restore(habits: Iterable<Habit>, now: number): void {
    const fresh = [...this.#known];
    this.#known.clear();
    const stored: [account: string, known: Known][] = [];
    for (const { account, countries, networks } of habits) {
      const known = new Known();
      known.countries.join(countries);
      known.networks.join(networks);
      if (now - known.last < FORGET_MS) stored.push([account, known]);
    }
    stored.sort((a, b) => a[1].last - b[1].last);
    for (const [account, known] of stored.slice(-ACCOUNTS_MAX)) this.#known.set(account, known);
    for (const [account, seen] of fresh) {
      const known = this.#known.get(account) ?? new Known();
      known.countries.join(seen.countries);
      known.networks.join(seen.networks);
      this.#put(account, known);
    }
  }

  #put(account: string, known: Known): void {
    this.#known.delete(account);
    this.#known.set(account, known);
    this.#changed.add(account);
    if (this.#known.size <= ACCOUNTS_MAX) return;
    const oldest = this.#known.keys().next().value!;
    this.#known.delete(oldest);
    this.#changed.delete(oldest);
  }
}
