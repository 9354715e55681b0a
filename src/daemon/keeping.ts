/**
 * What of the penalty table outlives the daemon: the points of hosts, what is remembered beyond
 * these, and what those did that were blocked.
 *
 * Nothing waits for it, and nothing depends on it: it is written in small parts, behind the blocks,
 * and not while the database is in trouble.
 *
 * @module
 */

import type { BelievedTime } from "../blocks/believed_time.ts";
import type { BlockList } from "../blocks/block_list.ts";
import { type Evidence, EVIDENCE_ROWS_MAX } from "../blocks/evidence.ts";
import { POINTS_ROWS_MAX, type StoredPoints } from "../blocks/kept_points.ts";
import type { Clock } from "../clock.ts";
import type { Offence } from "../penalties/offence.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import { SlowMemory } from "./slow_memory.ts";
import { fromWallTime, toWallTime } from "./wall_time.ts";

/** How often points are written, in milliseconds. */
export const SAVE_POINTS_MS = 60_000;

/** So often all is written, and not only what has changed: the file may have been exchanged. */
const WHOLE_ROUND_EVERY = 60;

/** Most hosts whose points are looked at in one turn; takes up to 8 ms. */
const HOSTS_PER_TURN = 500;

/** Most blocked targets whose attempts are written in one turn; takes up to 8 ms. */
const EVIDENCE_PER_TURN = 200;

/** What {@linkcode Keeping} looks at. */
interface KeepingParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  /** Monotonic time. */
  readonly clock: Pick<Clock, "now">;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
  /** The time by which hosts are forgotten. */
  readonly believedTime: Pick<BelievedTime, "now">;
  /** How often points are written, in milliseconds. */
  readonly everyMs?: number | undefined;
}

/** Keeps, and restores. */
export class Keeping {
  readonly #parts: KeepingParts;
  readonly #slow: SlowMemory;
  /** Attempts of blocked targets that are not written yet. */
  readonly #evidence = new Map<string, Evidence>();
  /** What is written of each host. */
  readonly #saved = new Map<string, string>();
  /** Hosts that are still to be looked at in this round. */
  #round: string[] = [];
  #isUnderWay = false;
  /** What an earlier life has kept was read. */
  #isRestored = false;
  #rounds = 0;
  /** Hosts that were blocked: what is written of them is wrong now. */
  readonly #changed = new Set<string>();
  /** Hosts that are written and are none of the round. */
  readonly #gone = new Set<string>();
  #lastRound: number;

  /**
   * Nothing is kept yet.
   *
   * @param parts What it looks at.
   */
  constructor(parts: KeepingParts) {
    this.#parts = parts;
    this.#slow = new SlowMemory(parts);
    this.#lastRound = parts.clock.now();
  }

  /** Puts the hosts back that an earlier life has kept; as soon as that can be read. */
  restore(): void {
    this.#slow.restore();
    const { table, list, clock } = this.#parts;
    const stored = list.points?.();
    if (stored === undefined) return;
    this.#isRestored = true;
    const { exempt } = table.policy;
    const now = clock.now();
    const logins = list.standing();
    const kept = stored.map((one) => {
      const [firstAt, lastAt] = [
        fromWallTime(one.firstAt, this.#parts),
        fromWallTime(one.lastAt, this.#parts),
      ];
      return { ...one, firstAt, lastAt, wall: one.lastAt };
    }).filter(({ host, wall }) => !exempt.overlaps(host) && !((logins.get(host) ?? 0) >= wall));
    table.inspection.kept.restore(kept, now);
    // What is not in the table now is taken out of the file by the next round.
    for (const { host } of stored) this.#saved.set(host, "");
  }

  /**
   * Targets are blocked.
   *
   * @param offences What they did.
   */
  blocked(offences: Iterable<Offence>): void {
    if (this.#parts.list.saveEvidence === undefined) return;
    // Once for all: the two clocks are not read in the same moment, and the order is to stay.
    const at = this.#parts.wallClock();
    const offset = at - this.#parts.clock.now();
    for (const { target, address, last } of offences) {
      if (this.#saved.has(address)) this.#changed.add(address);
      if (last.length === 0) continue;
      const attempts = last.map((failure) => ({ ...failure, at: failure.at + offset }));
      this.#evidence.set(target, { target, host: address, at, attempts });
      if (this.#evidence.size <= EVIDENCE_ROWS_MAX) continue;
      this.#evidence.delete(this.#evidence.keys().next().value!);
    }
  }

  /** Attempts of a target that are not written yet. */
  pendingOf(target: string): Evidence | undefined {
    return this.#evidence.get(target);
  }

  /**
   * Writes what is due: to be called often.
   *
   * @param wall Time of day, in milliseconds since 1970.
   */
  look(wall: number): void {
    if (this.#evidence.size > 0) this.#saveEvidence(wall, EVIDENCE_PER_TURN);
    this.#slow.restore();
    this.#slow.save();
    if (this.#parts.list.savePoints === undefined) return;
    if (!this.#isRestored) this.restore();
    if (!this.#isRestored) return;
    const now = this.#parts.clock.now();
    const { everyMs = SAVE_POINTS_MS } = this.#parts;
    if (!this.#isUnderWay && now - this.#lastRound >= everyMs) this.#begin(now);
    if (this.#isUnderWay || this.#changed.size + this.#gone.size > 0) {
      this.#savePoints(wall, HOSTS_PER_TURN);
    }
  }

  /** Writes all of it. */
  finish(wall: number): void {
    this.#saveEvidence(wall, Infinity);
    this.#slow.save(Infinity);
    if (this.#parts.list.savePoints === undefined || !this.#isRestored) return;
    this.#begin(this.#parts.clock.now());
    this.#savePoints(wall, Infinity);
  }

  #saveEvidence(wall: number, most: number): void {
    const some = [...this.#evidence.values().take(most)];
    if (some.length === 0 || !this.#parts.list.saveEvidence?.(some, wall)) return;
    for (const { target } of some) this.#evidence.delete(target);
  }

  #begin(now: number): void {
    this.#lastRound = now;
    this.#isUnderWay = true;
    if (++this.#rounds % WHOLE_ROUND_EVERY === 0) this.#forgetMarks();
    this.#round = this.#parts.table.inspection.kept.guiltiest(POINTS_ROWS_MAX);
    const named = new Set(this.#round);
    for (const host of this.#saved.keys()) if (!named.has(host)) this.#gone.add(host);
  }

  #savePoints(wall: number, most: number): void {
    const { kept } = this.#parts.table.inspection;
    const { forgetMs } = this.#parts.table.policy;
    const now = this.#parts.clock.now();
    const put: StoredPoints[] = [];
    const gone: string[] = [];
    const fresh = new Map<string, string>();
    const look = (host: string) => {
      const found = kept.of(host);
      // The table may hold a host for a moment longer.
      if (found === undefined || now - found.lastAt > forgetMs) {
        if (this.#saved.has(host)) gone.push(host);
        return;
      }
      const mark = `${found.points} ${found.soft} ${found.lastAt}`;
      if (this.#saved.get(host) === mark) return;
      fresh.set(host, mark);
      const [firstAt, lastAt] = [
        toWallTime(found.firstAt, this.#parts),
        toWallTime(found.lastAt, this.#parts),
      ];
      put.push({ ...found, firstAt, lastAt });
    };
    const outranked = [...this.#gone.values().take(most)];
    for (const host of outranked) if (this.#saved.has(host)) gone.push(host);
    const changed = [...this.#changed.values().take(most)];
    const named = this.#round.splice(0, most);
    for (const host of new Set([...changed, ...named])) look(host);
    const isSaved = put.length + gone.length === 0 ||
      this.#parts.list.savePoints?.(put, gone, wall) === true;
    if (!isSaved) {
      // Nobody knows what is written: all is, in the next round.
      this.#forgetMarks();
      this.#gone.clear();
      this.#changed.clear();
      this.#round = [];
      this.#isUnderWay = false;
      return;
    }
    for (const host of outranked) this.#gone.delete(host);
    for (const host of changed) this.#changed.delete(host);
    for (const host of gone) this.#saved.delete(host);
    for (const [host, mark] of fresh) this.#saved.set(host, mark);
    this.#isUnderWay = this.#round.length > 0;
  }

  #forgetMarks(): void {
    for (const host of this.#saved.keys()) this.#saved.set(host, "");
  }
}
