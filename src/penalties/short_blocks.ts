/**
 * Rows of short blocks: how often a host was blocked for a short time only, because it is in doubt
 * who was behind it.
 *
 * @module
 */

import type { GoodStanding } from "./good_standing.ts";
import type { HostKey } from "./host_key.ts";
import type { Hosts } from "./hosts.ts";
import { GUARD_BANS_MS, STANDING_BAN_MS } from "./ban_time.ts";
import { type Grounds, isDoubt } from "./offence.ts";
import { LATE_MS } from "./late_attempts.ts";
import { OffenceRows } from "./offence_rows.ts";
import type { PenaltyPolicy } from "./policy.ts";

/**
 * How long the phones of a host may be switched off together, in milliseconds: three days, a
 * weekend. Within this time after a login the row of its short blocks does not grow, and it has
 * time between them, whatever somebody else does there or in its name: its phones may come back any
 * minute.
 */
export const RECENT_LOGIN_MS = 259_200_000;

/**
 * After each block of a host that has logged in lately, no further one begins for so long, in
 * milliseconds, so that its phones come through. Whoever guesses there has that time, too, so it is
 * as short as can be. Over UDP a phone repeats its request each 4 s at least (T2; RFC 3261, section
 * 17.1.2.2), so that it is heard two times, and rests for a while when it was not heard for 32 s:
 * together with the block this is 41 s, of which no usual rest is a multiple.
 */
export const OPEN_MS = 11_000;

/**
 * The same where somebody has logged in over a connection: that is refused at once, and the phone
 * rests. Whoever tries each two minutes is heard the next time. Together with the block this is
 * 157 s, of which no usual rest is a multiple: with 90 s a phone that rests for 90 s, or for three
 * minutes, would be refused each time as long as somebody guesses.
 */
export const OPEN_CONNECTED_MS = 127_000;

/** The same behind a block for a guarded account. */
const OPEN_GUARDED_MS = 60_000;

/** Says which block of a row comes next, until a login ends the row. */
export class ShortBlocks {
  /** Blocks in doubt. */
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
  next(
    key: HostKey,
    grounds: Grounds,
    { forgetMs, creditMs, standingMs = STANDING_BAN_MS }: PenaltyPolicy,
    now: number,
  ): number {
    if (isDoubt(grounds)) return this.#doubts.next(key, now, forgetMs);
    if (belongs(grounds) || grounds === "shared network") {
      const recent = belongs(grounds) && this.#standing.has(key, now - RECENT_LOGIN_MS);
      const most = recent ? 0 : Infinity;
      // While a block is not in the kernel yet, or does not hold, no other begins: the time behind
      // it counts from its own beginning.
      const sameMs = recent ? Math.max(LATE_MS, standingMs) : LATE_MS;
      return this.#others.next(key, now, Math.max(creditMs, forgetMs), most, sameMs);
    }
    // Those who come once a day are the ones that an account is guarded from.
    if (grounds === "guarded account") {
      return this.#guards.next(key, now, Math.max(creditMs, forgetMs));
    }
    return 0;
  }

  /**
   * Whether a host is not to be blocked for a guarded account now: it has just been, and others
   * behind its address must have time to show that they are there.
   *
   * @param connected Whether it came by a connection, as others there may too.
   */
  restsGuarded(
    key: HostKey,
    connected: boolean,
    { guardBanMs = GUARD_BANS_MS[0] }: PenaltyPolicy,
    now: number,
  ): boolean {
    return this.#guards.rests(key, now, guardBanMs + (connected ? OPEN_GUARDED_MS : OPEN_MS));
  }

  /** Whether a host may be blocked for a guarded account only, so that more is known of it now. */
  takeGuarded(key: HostKey): boolean {
    return this.#guards.takeRenewal(key);
  }

  /** Whether a further block is to be forborne; see {@linkcode OffenceRows.forbears}. */
  forbears(
    key: HostKey,
    grounds: Grounds,
    session: number,
    { doubtMs = 0 }: PenaltyPolicy,
    now: number,
  ): boolean {
    return isDoubt(grounds) && doubtMs > 0 && this.#doubts.forbears(key, session, now, doubtMs);
  }

  /**
   * Whether a host is in the time between two short blocks in which its phones may come back,
   * whoever else uses it.
   */
  isOpen(
    key: HostKey,
    grounds: Grounds,
    { creditMs, doubtMs = 0, standingMs = STANDING_BAN_MS }: PenaltyPolicy,
    now: number,
  ): boolean {
    if (!belongs(grounds)) return false;
    const recently = now - Math.min(RECENT_LOGIN_MS, creditMs);
    if (!this.#standing.has(key, recently)) return false;
    const open = this.#standing.connected(key, recently) ? OPEN_CONNECTED_MS : OPEN_MS;
    const isBehind = (back: number) => back >= 0 && back < open;
    // Who was refused while it was in doubt may rest still, and must not be refused twice.
    return isBehind(this.#others.since(key, now) - standingMs) ||
      doubtMs > 0 && isBehind(this.#doubts.since(key, now) - doubtMs);
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

  /**
   * Who is in good standing in a network, and was neither blocked since the last login nor fails.
   *
   * @param network An IPv6 network of `ipv6Prefix`.
   * @param hosts Whose points are known.
   */
  innocentIn(network: string, hosts: Pick<Hosts, "hasPoints">): string[] {
    // Hundreds of networks may be blocked in a moment, and almost none holds anybody.
    if (!this.#standing.hasIn(network)) return [];
    return this.#standing.addressesIn(network)
      .filter((address) => !hosts.hasPoints(address) && !this.has(address));
  }

  /** Whether an address was blocked though somebody belongs there, and has not logged in since. */
  has(address: HostKey): boolean {
    return this.#others.has(address);
  }
}

/** Whether somebody belongs at the host that is blocked. */
function belongs(grounds: Grounds): boolean {
  return grounds === "good standing" || grounds === "insider";
}
