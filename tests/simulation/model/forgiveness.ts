/**
 * What logins have forgiven, and may today.
 *
 * @module
 */

import { DAY } from "./units.ts";

/** Failures on other accounts that logins forgive. */
const FORGIVEN_A_DAY = 30 * 5;

/** What others' failures were forgiven to whom. */
export class Forgiveness {
  readonly #byPayer = new Map<string, { points: number; at: number }>();

  /** Whole points that are left. */
  left(payer: string, now: number): number {
    return Math.floor(this.#leftExactly(payer, now));
  }

  /** Takes points of what is left. */
  take(payer: string, points: number, now: number): void {
    const used = FORGIVEN_A_DAY - this.#leftExactly(payer, now) + points;
    this.#byPayer.set(payer, { points: used, at: now });
  }

  /** It comes back in a day. */
  #leftExactly(payer: string, now: number): number {
    const used = this.#byPayer.get(payer);
    if (used === undefined) return FORGIVEN_A_DAY;
    const back = (now - used.at) / DAY * FORGIVEN_A_DAY;
    return FORGIVEN_A_DAY - Math.max(0, used.points - back);
  }
}
