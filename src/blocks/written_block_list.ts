/**
 * The block list of the daemon: in memory, written through to the database, and never stopped by
 * it.
 *
 * While the database is busy, full, read-only, failing, damaged or gone, the list goes on in memory
 * and its changes are pending; {@linkcode WrittenBlockList.retry} writes them when it can. What is
 * promised: once the database can be written again it becomes equal to the list in memory, and no
 * fault of the database reaches the caller.
 *
 * @module
 */

import type { Entry } from "../firewall/backend.ts";
import { type Block, boundedNew, byAge, hasEnded, mergeBlock, type NewBlock } from "./block.ts";
import type { BlockList, ListChange } from "./block_list.ts";
import type { Deletion } from "./deletions.ts";
import type { Evidence } from "./evidence.ts";
import type { DatabaseFault } from "./fault.ts";
import type { CountRow } from "./kept_counts.ts";
import type { Habit } from "./kept_habits.ts";
import type { StoredPoints } from "./kept_points.ts";
import { ListWriter, type WriterOptions } from "./list_writer.ts";
import { ListedBlocks } from "./listed_blocks.ts";
import type { DatabaseLock } from "./lock.ts";
import { findList, lockForDaemon, salvageReport, type StartReport } from "./opening.ts";
import { OwedChanges, stillCounts } from "./owed_changes.ts";
import { PendingChanges } from "./pending_changes.ts";
import type { SlowChange, SlowRow } from "./slow_rows.ts";

/** How a {@linkcode WrittenBlockList} is opened. */
export interface WrittenOptions extends WriterOptions {
  /** Clock value at the start, in milliseconds since 1970. */
  readonly now?: number;
  /** File in which what the database does not take is kept beyond the end; by default nowhere. */
  readonly owedPath?: string;
}

/**
 * The list that the daemon works with. All reading is from memory.
 *
 * @example
 * ```ts
 * import { WrittenBlockList } from "./written_block_list.ts";
 * using list = WrittenBlockList.open("/var/lib/ampere/ampere.db", { onTrouble: console.error });
 * setInterval(() => {
 *   list.retry();
 *   console.log(list.removeEnded(), list.reload());
 * }, 250);
 * ```
 */
export class WrittenBlockList implements BlockList, Disposable {
  /** Path of the database. */
  readonly path: string;
  readonly #lock: DatabaseLock;
  readonly #blocks = new ListedBlocks();
  readonly #pending = new PendingChanges();
  readonly #writer: ListWriter;
  readonly #owed: OwedChanges | undefined;
  readonly #standingAtStart: Map<string, number>;
  readonly #start: StartReport;
  /**
   * When this list began with nobody known, in milliseconds since 1970: when a daemon first had it,
   * or had to make it anew because it was lost. 0: it is older than that is written down.
   */
  readonly bornAt: number;

  private constructor(path: string, lock: DatabaseLock, options: WrittenOptions, now: number) {
    this.path = path;
    this.#lock = lock;
    const found = findList(path, options, now);
    if (found.entries !== undefined) this.#blocks.startWith(found.entries);
    for (const block of found.blocks) this.#blocks.keep(block);
    this.#standingAtStart = found.standing;
    this.bornAt = found.bornAt;
    this.#writer = new ListWriter(path, options, this.#blocks, this.#pending, found);
    const place = this.#writer.start(found, now);
    const salvaged = salvageReport(found, place, this.size);
    if (options.owedPath !== undefined) this.#owed = new OwedChanges(options.owedPath);
    const owed = this.#takeOwed(now);
    this.#start = { blocks: this.size, skipped: found.skipped, salvaged, owed };
  }

  /** Takes over what a process before could not write; how many changes that are. */
  #takeOwed(now: number): number {
    const changes = this.#owed?.read() ?? [];
    let taken = 0;
    for (const change of changes) {
      const target = "gone" in change ? change.gone : change.block.target;
      const known = this.get(target);
      if (!stillCounts(change, known, now)) continue;
      if ("gone" in change) {
        this.#blocks.delete(target);
        this.#pending.remove(target);
      } else {
        this.#blocks.keep(change.block);
        this.#pending.put(change.block, known && (known.until ?? Infinity));
      }
      taken++;
    }
    if (changes.length > 0) this.#write(now);
    return taken;
  }

  /** Writes what is pending; what the database does not take is kept for the next start. */
  #write(now: number): boolean {
    const isWritten = this.#writer.write(now);
    this.#owed?.keep(this.#pending, this.trouble !== undefined, now);
    return isWritten;
  }

  /**
   * Opens the list and takes the lock of the daemon. A damaged file is set aside, what can be read
   * of it is saved. A file that can be read but not written (full disk, read-only file system,
   * busy) is a trouble, not an error.
   *
   * Only what the firewall must know is read at once, {@linkcode WrittenBlockList.entries}. The
   * rest, which takes five times as long, is read when it is first asked for, or by
   * {@linkcode WrittenBlockList.readRest}.
   *
   * @param path Path of the database.
   * @param options See {@linkcode WrittenOptions}.
   * @returns The list; close it at the end.
   * @throws BlockDatabaseError `running` if another daemon has it; `foreign`, `newer`, `missing`,
   *   `denied`, which a person must mend.
   */
  static open(path: string, options: WrittenOptions = {}): WrittenBlockList {
    const now = options.now ?? Date.now();
    const lock = lockForDaemon(path);
    try {
      return new WrittenBlockList(path, lock, options, now);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** What was found at the start. */
  get start(): StartReport {
    return this.#start;
  }

  /** Whether the rest is read; see {@linkcode WrittenBlockList.readRest}. */
  get isRead(): boolean {
    return this.#blocks.isRead;
  }

  /** Number of blocks. */
  get size(): number {
    return this.#blocks.size;
  }

  /** Changes that the database does not have yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** What is wrong with the database now; undefined when all is well. */
  get trouble(): DatabaseFault | undefined {
    return this.#writer.trouble;
  }

  /**
   * One block.
   *
   * @param target Canonical target.
   * @returns `undefined` if exactly this target is not blocked.
   */
  get(target: string): Block | undefined {
    return this.#readBlocks().get(target);
  }

  /** What the firewall must know of all blocks, in no order. */
  entries(): Iterable<Entry> {
    return this.#blocks.entries();
  }

  /** All blocks, in no order; what changes while they are gone through may be seen. */
  each(): Iterable<Block> {
    return this.#readBlocks().values();
  }

  /** All blocks, the oldest first. */
  all(): Block[] {
    return [...this.#readBlocks().values()].sort(byAge);
  }

  /**
   * How often a target has been blocked, ended blocks included. While the database is in trouble,
   * ended blocks may be missing in it.
   *
   * @param target Canonical target.
   * @returns 0 for one that is not known.
   */
  timesOf(target: string): number {
    const known = this.get(target)?.times ?? this.#pending.pastTimesOf(target);
    if (known !== undefined) return known;
    try {
      return this.#writer.database?.timesOf(target) ?? 0;
    } catch {
      return 0;
    }
  }

  /**
   * Whether some target that is not blocked may have been blocked before: saves a look for each.
   */
  anyPast(): boolean {
    if (this.#pending.hasBlocks) return true;
    try {
      return this.#writer.database?.hasHistory() ?? true;
    } catch {
      return true;
    }
  }

  /**
   * Hosts that were in good standing when the list was opened: last login in milliseconds since
   * 1970.
   */
  standing(): ReadonlyMap<string, number> {
    return this.#standingAtStart;
  }

  /**
   * Adds blocks; see `BlockDatabase.add`.
   *
   * @param blocks What to add.
   * @param now Clock value in milliseconds since 1970.
   * @returns Whether all is in the database; if not it is pending.
   * @throws TypeError If a target is not an address or network.
   */
  add(blocks: readonly NewBlock[], now: number = Date.now()): boolean {
    const anyPast = this.anyPast();
    for (const given of blocks) {
      if (hasEnded(given, now)) continue;
      const fresh = boundedNew(given);
      const known = this.get(fresh.target);
      const past = known === undefined && anyPast ? this.timesOf(fresh.target) : 0;
      const { block, change } = mergeBlock(known, past, fresh, now);
      if (change === "same") continue;
      this.#blocks.keep(block);
      this.#pending.put(block, known && (known.until ?? Infinity));
    }
    return this.#write(now);
  }

  /**
   * Removes blocks and forgets how often these targets were blocked.
   *
   * @param targets Canonical targets.
   * @param now Clock value in milliseconds since 1970.
   * @returns Whether all is in the database; if not it is pending.
   */
  remove(targets: readonly string[], now: number = Date.now()): boolean {
    const blocks = this.#readBlocks();
    for (const target of targets) {
      const end = blocks.get(target)?.until;
      if (this.#blocks.delete(target)) this.#pending.remove(target, end);
    }
    return this.#write(now);
  }

  /**
   * Takes out the blocks whose end has come; they are remembered for `times`. Cheap when none has.
   *
   * @param now Clock value in milliseconds since 1970: none with a later end has ended.
   * @param timeOf The clock value by which a block ends, given when it was made; the same for all
   *   by default.
   * @returns The blocks that ended.
   */
  removeEnded(
    now: number = Date.now(),
    timeOf: (since?: number) => number = () => now,
  ): Block[] {
    if (now < this.#blocks.nextEnd) return [];
    const ended = this.#expire(timeOf);
    for (const { target, times, until } of ended) {
      this.#pending.end({ target, times, ended: until ?? now });
    }
    this.#write(now);
    return ended;
  }

  #expire(timeOf: (since?: number) => number): Block[] {
    const { database } = this.#writer;
    if (!this.#blocks.isRead && database !== undefined) {
      try {
        const ended = this.#blocks.expireUnread(timeOf(), (target) => database.get(target));
        if (ended !== undefined) return ended;
      } catch {
        // Reading all of them fails too, and is told.
      }
    }
    this.#readBlocks();
    return this.#blocks.expire(timeOf);
  }

  /**
   * Remembers hosts in good standing.
   *
   * @param entries Hosts and their last login in milliseconds since 1970.
   * @param forgetBefore Hosts whose last login is before this moment are forgotten.
   * @param now Clock value in milliseconds since 1970.
   * @returns Whether all is in the database; if not it is pending.
   */
  saveStanding(
    entries: readonly (readonly [string, number])[],
    forgetBefore: number,
    now: number = Date.now(),
  ): boolean {
    this.#pending.saveStanding(entries, forgetBefore);
    return this.#writer.write(now);
  }

  /**
   * Keeps what blocked targets did; see {@linkcode BlockList.saveEvidence}.
   *
   * @param evidence What they did.
   * @param now Clock value in milliseconds since 1970.
   */
  saveEvidence(evidence: readonly Evidence[], now: number = Date.now()): boolean {
    return this.#writer.keep((database) => database.evidence.save(evidence, now), now);
  }

  /**
   * Keeps what hosts have cost; see {@linkcode BlockList.savePoints}.
   *
   * @param put Hosts as they are now.
   * @param gone Canonical addresses of those that have no points any more.
   * @param now Clock value in milliseconds since 1970.
   */
  savePoints(
    put: readonly StoredPoints[],
    gone: readonly string[],
    now: number = Date.now(),
  ): boolean {
    return this.#writer.keep((database) => database.points.save(put, gone), now);
  }

  /** What hosts had cost when that was written last; `undefined`: it cannot be read now. */
  points(): StoredPoints[] | undefined {
    try {
      return this.#writer.database?.points.all();
    } catch {
      return undefined;
    }
  }

  /**
   * Keeps from where accounts log in; see {@linkcode BlockList.saveHabits}.
   *
   * @param habits Accounts as they are now.
   * @param now Clock value in milliseconds since 1970.
   */
  saveHabits(habits: readonly Habit[], now: number = Date.now()): boolean {
    return this.#writer.keep((database) => database.habits.save(habits), now);
  }

  /** From where accounts logged in when that was written last; `undefined`: it cannot be read. */
  habits(): Habit[] | undefined {
    try {
      return this.#writer.database?.habits.all();
    } catch {
      return undefined;
    }
  }

  /**
   * Keeps what happened; see {@linkcode BlockList.saveCounts}.
   *
   * @param rows What happened in which minutes and hours.
   * @param forget Which are forgotten.
   * @param now Clock value in milliseconds since 1970.
   */
  saveCounts(
    rows: readonly CountRow[],
    forget: readonly { readonly step: number; readonly before: number }[],
    now: number = Date.now(),
  ): boolean {
    return this.#writer.keep((database) => database.counts.save(rows, forget), now);
  }

  /** See {@linkcode BlockList.counts}. */
  counts(): CountRow[] | undefined {
    try {
      return this.#writer.database?.counts.all();
    } catch {
      return undefined;
    }
  }

  /**
   * Keeps what was deleted by hand; see {@linkcode BlockList.saveDeletions}.
   *
   * @param deletions Targets, and when each was deleted.
   * @param now Clock value in milliseconds since 1970.
   */
  saveDeletions(deletions: readonly Deletion[], now: number = Date.now()): boolean {
    return this.#writer.keep((database) => database.deletions.save(deletions, now), now);
  }

  /** What was deleted by hand; `undefined`: it cannot be read now. */
  deletions(): Deletion[] | undefined {
    try {
      return this.#writer.database?.deletions.all();
    } catch {
      return undefined;
    }
  }

  /** See {@linkcode BlockList.slow}. */
  slow(): SlowRow[] | undefined {
    try {
      return this.#writer.database?.slow.all();
    } catch {
      return undefined;
    }
  }

  /**
   * Keeps what is remembered of slow guessers; see {@linkcode BlockList.saveSlow}.
   *
   * @param changes Each host once.
   * @param now Clock value in milliseconds since 1970.
   */
  saveSlow(changes: readonly SlowChange[], now: number = Date.now()): boolean {
    return this.#writer.keep((database) => database.slow.save(changes), now);
  }

  /** What a target did before it was blocked; `undefined` too if it cannot be read now. */
  evidenceOf(target: string): Evidence | undefined {
    try {
      return this.#writer.database?.evidence.of(target);
    } catch {
      return undefined;
    }
  }

  /**
   * Writes what is pending, if it is time to try again, and notices a database that was deleted or
   * exchanged. The daemon's timer calls it a few times a second; when nothing is pending it costs
   * 20 µs.
   *
   * @param now Clock value in milliseconds since 1970.
   * @returns Whether nothing is pending any more.
   */
  retry(now: number = Date.now()): boolean {
    const isWritten = this.#writer.retry(now);
    this.#owed?.keep(this.#pending, this.trouble !== undefined, now);
    return isWritten;
  }

  /**
   * Takes over what other processes changed in the database. Cheap when nothing was; otherwise all
   * targets are compared (50,000: 40 ms). Of a long list, each call does a part of it.
   *
   * @param now Clock value in milliseconds since 1970.
   * @returns The difference.
   */
  reload(now: number = Date.now()): ListChange {
    const hasMore = this.#writer.compare(now);
    const change = this.#blocks.takeChange();
    return hasMore ? { ...change, more: true } : change;
  }

  /**
   * Writes what is pending, closes the database and gives the lock back.
   *
   * @param now Clock value in milliseconds since 1970.
   * @returns How many changes could not be written and are lost with the process.
   */
  close(now: number = Date.now()): number {
    this.#writer.close(now);
    this.#owed?.keep(this.#pending, true, now, true);
    this.#lock.release();
    return Math.max(0, this.pending - (this.#owed?.kept ?? 0));
  }

  /** The same as {@linkcode WrittenBlockList.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Reads what {@linkcode WrittenBlockList.open} has left out; after that it does nothing. Should
   * the file fail or have been changed in the meantime, what was blocked at the start is blocked
   * all the same, and the change is left to {@linkcode WrittenBlockList.reload}.
   *
   * @param now Clock value in milliseconds since 1970.
   */
  readRest(now: number = Date.now()): void {
    this.#writer.readRest(now);
  }

  /** All blocks; those that were not read yet are read from the database now. */
  #readBlocks(): ReadonlyMap<string, Block> {
    this.readRest();
    return this.#blocks.byTarget;
  }
}
