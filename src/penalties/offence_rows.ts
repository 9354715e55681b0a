/**
 * How many blocks of the same kind a host has had one after the other.
 *
 * @module
 */

import { forgetOldest } from "./bounded_map.ts";
import type { HostKey } from "./host_key.ts";
import { HostMarks } from "./host_marks.ts";
import { LATE_MS } from "./late_attempts.ts";

/**
 * Behind the first block of a row there is so long for phones to come back, in milliseconds: those
 * that were refused at once try again within two minutes.
 */
const BACK_MS = 120_000;

/**
 * Wrong answers that come within so long are a phone's to one challenge, in milliseconds: baresip
 * gives fifteen in 5 to 14.
 */
const FORBORNE_MS = 15;

/** Most offences of them that are forborne: each second answer is one. */
const FORBORNE_MAX = 8;

/** Before a phone does that again it rests for so long at least, in milliseconds. */
const FORBORNE_REST_MS = 20_000;

/** So many phones may do it, */
const FORBORNE_PHONES_MAX = 2;

/** and so often in all: one that tries each half a minute, or two that try each minute. */
const FORBORNE_TIMES_MAX = 4;

/** Most hosts of which that is known; the one that was blocked longest ago goes first. */
export const ROWS_MAX = 65_536;

/** A phone answers many times at once. */
interface Burst {
  readonly session: number;
  readonly at: number;
}

interface Row {
  /** Blocks since the last login. */
  count: number;
  readonly at: number;
  /** After this block: what was forborne, how many offences of it, and until when it may be. */
  readonly bursts: Burst[];
  forborne: number;
  forborneUntil: number;
  /** A longer block may take the place of this one, once. */
  mayRenew: boolean;
}

/**
 * Rows of short blocks: each next one is longer, until a login or time ends the row.
 *
 * @example
 * ```ts
 * import { OffenceRows } from "./offence_rows.ts";
 *
 * const rows = new OffenceRows();
 * console.log(rows.next(1, 0, 86_400_000), rows.next(1, 60_000, 86_400_000)); // 0 1
 * ```
 */
export class OffenceRows {
  /** The one that was blocked longest ago comes first. */
  readonly #rows = new Map<HostKey, Row>();
  /** Who may have a row, or had one. */
  readonly #marks = new HostMarks();

  /** Number of hosts. */
  get size(): number {
    return this.#rows.size;
  }

  /**
   * A host is blocked. What is under way then may be too much again, as some phones answer a
   * challenge fifteen times at once: within {@linkcode LATE_MS} that is the same block.
   *
   * @param host Who.
   * @param now Clock value, in milliseconds.
   * @param forgetMs A block that lies further back does not count, in milliseconds.
   * @param most Blocks before this one that count.
   * @param sameMs So soon after a block a further one is the same, in milliseconds.
   * @returns How many blocks of this row came before.
   */
  next(
    host: HostKey,
    now: number,
    forgetMs: number,
    most = Infinity,
    sameMs = LATE_MS,
  ): number {
    const row = this.#rows.get(host);
    if (row !== undefined && now - row.at < sameMs) return Math.max(0, row.count - 1);
    const before = row !== undefined && now - row.at <= forgetMs ? Math.min(row.count, most) : 0;
    // Deleted and added again, so that the map is in the order of the blocks.
    this.#rows.delete(host);
    this.#marks.add(host);
    this.#rows.set(host, {
      count: before + 1,
      at: now,
      bursts: [],
      forborne: 0,
      forborneUntil: -Infinity,
      mayRenew: true,
    });
    forgetOldest(this.#rows, ROWS_MAX);
    return before;
  }

  /**
   * Whether a further block is to be forborne. A phone with a wrong password may be heard sooner
   * behind the first block of its row than all others at its address, which rest for a while when
   * they were not heard. So what it answers at once costs no block for two minutes, and they can
   * show that they are there.
   *
   * @param host Who.
   * @param session The session of the last failure.
   * @param now Clock value, in milliseconds.
   * @param blockMs How long the first block lasts, in milliseconds.
   */
  forbears(host: HostKey, session: number, now: number, blockMs: number): boolean {
    const row = this.#rows.get(host);
    if (row === undefined || row.count !== 1) return false;
    const back = now - row.at - blockMs;
    if (back < 0 || back > BACK_MS) return false;
    const { bursts } = row;
    const own = bursts.filter((burst) => burst.session === session);
    if (own.length === 0 || now - own.at(-1)!.at >= FORBORNE_REST_MS) {
      const phones = new Set(bursts.map((burst) => burst.session)).add(session).size;
      if (phones > FORBORNE_PHONES_MAX || bursts.length >= FORBORNE_TIMES_MAX) return false;
      bursts.push({ session, at: now });
      // Two that answer in turns take twice as long.
      row.forborneUntil = Math.max(now, row.forborneUntil) + FORBORNE_MS;
    }
    return now <= row.forborneUntil && ++row.forborne <= FORBORNE_MAX * bursts.length;
  }

  /**
   * Whether a host is to be left in peace: what it does was under way when it was blocked, or its
   * first block was over not long ago, behind which others at its address must be able to show that
   * they are there.
   *
   * @param host Who.
   * @param now Clock value, in milliseconds.
   * @param first How long the first block lasts, and the time behind it, in milliseconds.
   */
  rests(host: HostKey, now: number, first: number): boolean {
    const row = this.#rows.get(host);
    return row !== undefined && now - row.at < Math.max(LATE_MS, row.count === 1 ? first : 0);
  }

  /** Whether a longer block may take the place of the last one of a row; only once. */
  takeRenewal(host: HostKey): boolean {
    const row = this.#rows.size === 0 ? undefined : this.#rows.get(host);
    if (row === undefined || !row.mayRenew || row.count === 0) return false;
    row.mayRenew = false;
    return true;
  }

  /** Whether a host was blocked and has not logged in since. */
  has(host: HostKey): boolean {
    return (this.#rows.get(host)?.count ?? 0) > 0;
  }

  /** How long ago a host was blocked, in milliseconds; Infinity: never, or it is forgotten. */
  since(host: HostKey, now: number): number {
    return now - (this.#rows.get(host)?.at ?? -Infinity);
  }

  /** A login ends the row of a host; when it was blocked last stays known. */
  end(host: HostKey): void {
    // Almost every login is of a host that was never blocked.
    if (!this.#marks.mayHave(host)) return;
    const row = this.#rows.get(host);
    if (row !== undefined) row.count = 0;
  }
}
