/**
 * How much a login forgives of what was not its own.
 *
 * A login proves one account. What failed on others may have been the typing of a colleague, or a
 * guesser behind the same address, or the owner of that account: so it is forgiven too, but only so
 * much a day.
 *
 * @module
 */

import { forgetOldest } from "./bounded_map.ts";
import type { HostKey } from "./host_key.ts";

/** Failed attempts on other accounts that a host's logins forgive within a day. */
export const FORGIVEN_A_DAY = 30;

/**
 * Most hosts of which it is known how much was forgiven; the one that is known longest goes first.
 */
export const FORGIVEN_HOSTS_MAX = 65_536;

const DAY_MS = 86_400_000;

/** What each host has been forgiven lately. A host without an entry has been forgiven nothing. */
export class Forgiveness {
  readonly #used = new Map<HostKey, { points: number; at: number }>();
  readonly #most: number;

  /**
   * Nothing was forgiven yet.
   *
   * @param attemptPoints Points of one failed attempt.
   */
  constructor(attemptPoints: number) {
    this.#most = FORGIVEN_A_DAY * attemptPoints;
  }

  /**
   * How many points may be forgiven.
   *
   * @param host Whose.
   * @param now Clock value, in milliseconds.
   */
  left(host: HostKey, now: number): number {
    return Math.floor(this.#most - this.#usedBy(host, now));
  }

  /**
   * Points are forgiven.
   *
   * @param host Whose.
   * @param points How many, at most what was {@linkcode Forgiveness.left}.
   * @param now Clock value, in milliseconds.
   */
  use(host: HostKey, points: number, now: number): void {
    if (points === 0) return;
    const before = this.#usedBy(host, now);
    // Deleted and added again, so that the map is in the order of the logins.
    this.#used.delete(host);
    this.#used.set(host, { points: before + points, at: now });
    forgetOldest(this.#used, FORGIVEN_HOSTS_MAX);
  }

  /** What was forgiven and has not come back yet, in points. */
  #usedBy(host: HostKey, now: number): number {
    const used = this.#used.get(host);
    return used === undefined
      ? 0
      : Math.max(0, used.points - (now - used.at) / DAY_MS * this.#most);
  }
}
