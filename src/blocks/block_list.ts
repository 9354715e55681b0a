/**
 * The list of blocks as the daemon sees it, and as nobody else need see it.
 *
 * @module
 */

import type { Entry } from "../firewall/backend.ts";
import type { Block, NewBlock } from "./block.ts";
import type { Deletion } from "./deletions.ts";
import type { SlowChange, SlowRow } from "./slow_rows.ts";
import type { Evidence } from "./evidence.ts";
import type { CountRow } from "./kept_counts.ts";
import type { Habit } from "./kept_habits.ts";
import type { StoredPoints } from "./kept_points.ts";

/** What another process changed in the list; see {@linkcode BlockList.reload}. */
export interface ListChange {
  /** Targets that are blocked now and were not. */
  readonly added: readonly string[];
  /** Targets that are no longer blocked. */
  readonly removed: readonly string[];
  /** Targets whose block ends at another time. */
  readonly changed: readonly string[];
  /** There is more than fits into one turn of the event loop: to be asked again at once. */
  readonly more?: true;
}

/**
 * Which hosts and networks are blocked, until when and why, and who has logged in.
 *
 * All answers come from memory. What is changed is in force at once, and written to the database as
 * soon as that can be written: until then it is pending. Times are in milliseconds since 1970.
 * `WrittenBlockList` is the real one, `DryRunBlockList` forgets what it is told.
 */
export interface BlockList {
  /** Where it is stored, for messages. */
  readonly path: string;
  /** Number of blocks. */
  readonly size: number;
  /** Changes that are not in the database yet. */
  readonly pending: number;
  /** What is wrong with the database, in words for an administrator; `undefined`: nothing. */
  readonly trouble: string | undefined;
  /** When it began with nobody known; 0: long ago. */
  readonly bornAt: number;
  /** The block of exactly this target. */
  get(target: string): Block | undefined;
  /** All blocks, in no order. */
  all(): Block[];
  /** All blocks, in no order and without a copy: what changes meanwhile may be seen. */
  each(): Iterable<Block>;
  /** What the firewall must know of all blocks, in no order. */
  entries(): Iterable<Entry>;
  /** Reads what was not needed for {@linkcode BlockList.entries}. */
  readRest?(now: number): void;
  /** Whether that is done; else each look at all blocks does it first. */
  readonly isRead?: boolean;
  /** How often a target has been blocked, now or before. */
  timesOf(target: string): number;
  /**
   * Whether some target that is not blocked may have been blocked before: saves a look for each.
   */
  anyPast(): boolean;
  /** The hosts that have logged in, with the time of their last login. */
  standing(): ReadonlyMap<string, number>;
  /**
   * Adds blocks; a target that is blocked already keeps the later end.
   *
   * @returns Whether all is in the database; if not it is pending.
   */
  add(blocks: readonly NewBlock[], now: number): boolean;
  /**
   * Takes blocks out, whatever their end.
   *
   * @returns Whether all is in the database; if not it is pending.
   */
  remove(targets: readonly string[], now: number): boolean;
  /**
   * Takes out what has ended: nothing that ends later than `now`, each by the time that `timeOf`
   * says for when it was made.
   *
   * @returns The blocks that have ended.
   */
  removeEnded(now: number, timeOf?: (since?: number) => number): Block[];
  /**
   * Keeps logins, and forgets those before `forgetBefore`.
   *
   * @returns Whether all is in the database; if not it is pending.
   */
  saveStanding(
    entries: readonly (readonly [string, number])[],
    forgetBefore: number,
    now: number,
  ): boolean;
  /** What is remembered of slow guessers; `undefined`: it cannot be read now. */
  slow(): readonly SlowRow[] | undefined;
  /**
   * Keeps what is remembered of slow guessers; a list that keeps nothing has no such function.
   *
   * @returns Whether it is written: not while the database is in trouble.
   */
  saveSlow?(changes: readonly SlowChange[], now: number): boolean;
  /**
   * Keeps what targets did before they were blocked, beside what is kept of them already; a list
   * that keeps nothing has no such function.
   *
   * @returns Whether it is written: not while the database is in trouble.
   */
  saveEvidence?(evidence: readonly Evidence[], now: number): boolean;
  /**
   * Keeps what hosts have cost that are not blocked, and forgets those that have no points any
   * more.
   *
   * @returns Whether it is written: not while the database is in trouble.
   */
  savePoints?(put: readonly StoredPoints[], gone: readonly string[], now: number): boolean;
  /** What hosts had cost when that was written last; `undefined`: it cannot be read now. */
  points?(): readonly StoredPoints[] | undefined;
  /**
   * Keeps from where accounts log in.
   *
   * @returns Whether it is written: not while the database is in trouble.
   */
  saveHabits?(habits: readonly Habit[], now: number): boolean;
  /** From where accounts logged in when that was written last; `undefined`: it cannot be read. */
  habits?(): readonly Habit[] | undefined;
  /**
   * Keeps what happened in minutes and hours, and forgets what is older than is said for each.
   *
   * @returns Whether it is written: not while the database is in trouble.
   */
  saveCounts?(
    rows: readonly CountRow[],
    forget: readonly { readonly step: number; readonly before: number }[],
    now: number,
  ): boolean;
  /** What happened when that was written last; `undefined`: it cannot be read now. */
  counts?(): readonly CountRow[] | undefined;
  /**
   * Keeps what was deleted by hand, for other PBXs; a list that keeps nothing has no such function.
   *
   * @returns Whether it is written: not while the database is in trouble.
   */
  saveDeletions?(deletions: readonly Deletion[], now: number): boolean;
  /** What was deleted by hand; `undefined`: it cannot be read now. */
  deletions?(): readonly Deletion[] | undefined;
  /**
   * Writes what is pending, if the database can be written again.
   *
   * @returns Whether nothing is pending any more.
   */
  retry(now: number): boolean;
  /** Takes over what other processes have changed in the database. */
  reload(now: number): ListChange;
  /**
   * Writes what is pending, and ends its use.
   *
   * @returns Changes that could not be written and are lost.
   */
  close(now: number): number;
}
