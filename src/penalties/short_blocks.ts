/**
 * Rows of short blocks: how often a host was blocked for a short time only, because it is in doubt
 * who was behind it.
 *
 * @module
 */

import type { GoodStanding } from "./good_standing.ts";
import type { HostKey } from "./host_key.ts";
import type { Grounds } from "./offence.ts";
import { OffenceRows } from "./offence_rows.ts";
import type { PenaltyPolicy } from "./policy.ts";

/**
 * The longest registration that Asterisk grants by default, in milliseconds (PJSIP,
 * `maximum_expiration`; chan_sip grants an hour). Within this time after a login the phones of a
 * host may all be waiting to register again, so that no login can tell that they are there: the row
 * of its short blocks does not grow beyond {@linkcode RECENT_ROW_MAX}.
 */
export const RECENT_LOGIN_MS = 7_200_000;

/**
 * So many blocks count in the row of a host from which somebody has logged in lately: the second is
 * the longest.
 */
const RECENT_ROW_MAX = 1;

/** Says which block of a row comes next, until a login ends the row. */
export class ShortBlocks {
  /** Blocks for a single session. */
  readonly #doubts = new OffenceRows();
  /** Blocks in good standing, and of shared networks. */
  readonly #others = new OffenceRows();
  /** Blocks for guarded accounts. */
  readonly #guards = new OffenceRows();
  readonly #standing: GoodStanding;

  /**
   * Nobody was blocked yet.
   *
   * @param standing Who has logged in, and when.
   */
  constructor(standing: GoodStanding) {
    this.#standing = standing;
  }

  /** How many short blocks of this kind came before in a row; the next one is counted. */
  next(key: HostKey, grounds: Grounds, { forgetMs, creditMs }: PenaltyPolicy, now: number): number {
    if (grounds === "single session") return this.#doubts.next(key, now, forgetMs);
    if (grounds === "good standing" || grounds === "shared network") {
      const recent = grounds === "good standing" && this.#standing.has(key, now - RECENT_LOGIN_MS);
      const most = recent ? RECENT_ROW_MAX : Infinity;
      return this.#others.next(key, now, Math.max(creditMs, forgetMs), most);
    }
    // Those who come once a day are the ones that an account is guarded from.
    if (grounds === "guarded account") {
      return this.#guards.next(key, now, Math.max(creditMs, forgetMs));
    }
    return 0;
  }

  /** Whether a host was blocked for a guarded account, and what it does now was under way. */
  isGuardLate(key: HostKey, now: number): boolean {
    return this.#guards.isLate(key, now);
  }

  /** Whether a host may be blocked for a guarded account only, so that more is known of it now. */
  takeGuarded(key: HostKey): boolean {
    return this.#guards.takeRenewal(key);
  }

  /** Whether a further block is to be forborne; see {@linkcode OffenceRows.forbears}. */
  forbears(key: HostKey, grounds: Grounds, { doubtMs = 0 }: PenaltyPolicy, now: number): boolean {
    return grounds === "single session" && doubtMs > 0 && this.#doubts.forbears(key, now, doubtMs);
  }

  /** A host of a network that holds somebody else is blocked. */
  blockedInNetwork(key: HostKey, now: number, creditMs: number): void {
    this.#others.next(key, now, creditMs);
  }

  /**
   * A login ends the rows of its host.
   *
   * @param network The IPv6 network in which it is counted, if there is one.
   */
  end(key: HostKey, network: string | undefined): void {
    this.#doubts.end(key);
    this.#others.end(key);
    this.#guards.end(key);
    // Whoever is new in a network shows that it is not only the guesser's.
    if (network !== undefined && !this.#standing.knows(key)) this.#others.end(network);
  }

  /** Whether an address was blocked though somebody belongs there, and has not logged in since. */
  has(address: HostKey): boolean {
    return this.#others.has(address);
  }
}
