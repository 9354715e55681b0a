/**
 * The block list of the daemon: in memory, written through to the database, and never stopped by it.
 *
 * While the database is busy, full, read-only, failing, damaged or gone, the list goes on in memory and the changes are pending;
 * {@linkcode WrittenBlockList.retry} writes them when it can. What is promised: once the database can be written again it
 * becomes equal to the list in memory, and no fault of the database reaches the caller.
 *
 * @module
 */

import type { Entry } from "../firewall/backend.ts";
import type { BlockList, ListChange } from "./block_list.ts";
import { BlockDatabase, type BlockDatabaseError, END_OF_ROWS, ROW_MIN } from "./database.ts";
import {
  type Block,
  boundedNew,
  boundedTime,
  byAge,
  hasEnded,
  mergeBlock,
  type NewBlock,
  type PastBlock,
} from "./block.ts";
import { BackgroundSync } from "./background_sync.ts";
import { type DatabaseFault, faultOf, toDatabaseError } from "./fault.ts";
import { type DatabaseIdentity, databaseIdentityOf, identityOf, incarnationOf } from "./files.ts";
import { PendingChanges } from "./pending_changes.ts";
import { readImage } from "./recovery/image.ts";
import { DatabaseLock, lockDatabase } from "./lock.ts";
import { BARE_REASON, type Salvage, salvageImage } from "./recovery/salvage.ts";
import { setAside } from "./recovery/set_aside.ts";

/**
 * How long a write of the daemon waits for another process, in milliseconds. The event loop stands still meanwhile, so
 * this is short: a command that adds one block is done within a few; an import of thousands takes longer, and then the
 * change is pending and written a moment later.
 */
export const DAEMON_BUSY_MS = 100;

/** First time between two tries to write what is pending, in milliseconds; it doubles. */
export const RETRY_FIRST_MS = 250;

/** Longest time between two tries, in milliseconds. */
export const RETRY_MAX_MS = 30_000;

/** A database that another process holds is told of when it lasts longer than this, in milliseconds. */
export const BUSY_TOLD_AFTER_MS = 2_000;

/** Most changes in one transaction: a twentieth of a second. More are written by the next calls. */
export const CHANGES_PER_WRITE_MAX = 5_000;

/**
 * When nothing has changed for so long, the write-ahead log is brought into the database, in milliseconds: that waits for
 * the disk, for 1 ms or, seldom, a tenth of a second, and should not happen while attackers come one after the other.
 */
const CHECKPOINT_QUIET_MS = 2_000;

/** After so many changes it is brought all the same: the log has about 20 MB then. */
const CHECKPOINT_CHANGES_MAX = 1_000;

/** Blocks that are compared with a file that others have changed in one turn; 50,000 take 40 ms. */
export const COMPARED_AT_ONCE_MAX = 50_000;

/** When there are more, so many are compared in a turn. */
export const COMPARED_PER_TURN = 2_000;

/** How a long list is compared with its file. */
export interface ComparisonTurns {
  /** Blocks up to which it is done in one turn. */
  readonly atOnce: number;
  /** Blocks that are compared in each turn when there are more. */
  readonly perTurn: number;
}

/** How a {@linkcode WrittenBlockList} is opened. */
export interface WrittenOptions {
  /** How changes of others are taken over. @default {@linkcode COMPARED_AT_ONCE_MAX}, {@linkcode COMPARED_PER_TURN} */
  readonly comparison?: ComparisonTurns;
  /** Called once for each kind of fault, until all is mended. The message says what happened and what to do. */
  readonly onTrouble?: (message: string) => void;
  /** Called when everything pending is written after a trouble that was told. */
  readonly onMended?: (message: string) => void;
  /** Clock value at the start, in milliseconds since 1970. */
  readonly now?: number;
  /**
   * End of blocks of which a damaged database tells only the target, in milliseconds since 1970; `undefined`: never. The
   * daemon gives `now + bantime`.
   */
  readonly bareUntil?: number | undefined;
  /** How long a write waits for another process, in milliseconds; default {@linkcode DAEMON_BUSY_MS}. */
  readonly busyTimeout?: number;
  /**
   * A change is in the file when a call returns, and on the disk a moment later, so that nobody waits for the disk.
   * Only a power failure in that moment, which takes the kernel's rules too, loses it. @default {false}
   */
  readonly syncLater?: boolean;
}

/** What was found at the start. */
export interface StartReport {
  /** Blocks that were read or saved. */
  readonly blocks: number;
  /** Rows that were no blocks and were left out. */
  readonly skipped: number;
  /** Set when the database was damaged: what was done, for the log. */
  readonly salvaged: SalvageReport | undefined;
}

/** What became of a damaged database. */
export interface SalvageReport {
  /** Where the damaged file lies now; undefined if it could not be moved yet. */
  readonly setAside: string | undefined;
  /** Blocks that were saved, those included of which only the target is known. */
  readonly blocks: number;
  /** Those of which only the target is known. */
  readonly bare: number;
  /** Hosts in good standing that were saved. */
  readonly standing: number;
  /** All this in a sentence. */
  readonly message: string;
}

/** A comparison of memory with a large file that goes on in the next turn. */
interface Comparison {
  readonly list: BlockDatabase;
  /** What the file was when it began. */
  readonly version: number;
  /** Behind which row it goes on. */
  after: bigint;
  /** The targets that the file has. */
  readonly inFile: Set<string>;
  /** The targets of memory, when the file was read to its end. */
  inMemory: Iterator<string> | undefined;
}

interface Trouble {
  fault: DatabaseFault;
  readonly since: number;
  readonly told: Set<DatabaseFault>;
  delay: number;
  nextTry: number;
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
  readonly #options: WrittenOptions;
  readonly #lock: DatabaseLock;
  readonly #byTarget = new Map<string, Block>();
  /** Until the rest is read: what is blocked, and until when. */
  #unread: readonly Entry[] | undefined;
  /** Targets of which nothing more could be read. */
  readonly #bare = new Set<string>();
  readonly #pending = new PendingChanges();
  /** Open unless in trouble. */
  #list: BlockDatabase | undefined;
  #identity: DatabaseIdentity | undefined;
  #seenVersion: number | undefined;
  #trouble: Trouble | undefined;
  /** Earliest end among the blocks; no block ends before. */
  #nextEnd = Infinity;
  /** Changes that were found when the file was opened again, for the next {@linkcode WrittenBlockList.reload}. */
  readonly #foundAdded = new Set<string>();
  readonly #foundChanged = new Set<string>();
  readonly #foundRemoved = new Set<string>();
  /** The file that holds all of memory but what is pending. */
  #writtenTo: string | undefined;
  /** With `syncLater`, until the disk fails: from then on each change waits for it, so that a further fault is seen at once. */
  #sync: BackgroundSync | undefined;
  /** Changes that are only in the write-ahead log. */
  #inLog = 0;
  /** Clock value of the last change. */
  #changedAt = 0;
  #start: StartReport = { blocks: 0, skipped: 0, salvaged: undefined };
  #standingAtStart = new Map<string, number>();
  /** `undefined` until it was read or decided. */
  #bornAt: number | undefined;
  #comparison: Comparison | undefined;
  /** The open database tells when that was. */
  #hasBirth = false;

  private constructor(path: string, lock: DatabaseLock, options: WrittenOptions) {
    this.path = path;
    this.#lock = lock;
    this.#options = options;
    if (options.syncLater ?? false) {
      this.#sync = new BackgroundSync(`${path}-wal`, (error) => this.#syncFailed(error));
    }
  }

  /**
   * Opens the list and takes the lock of the daemon. A damaged file is set aside, what can be read of it is saved. A file
   * that can be read but not written (full disk, read-only file system, busy) is a trouble, not an error.
   *
   * Only what the firewall must know is read at once, {@linkcode WrittenBlockList.entries}. The rest,
   * which takes five times as long, is read when it is first asked for, or by
   * {@linkcode WrittenBlockList.readRest}.
   *
   * @param path path of the database
   * @param options see {@linkcode WrittenOptions}
   * @returns the list; close it at the end
   * @throws BlockDatabaseError `running` if another daemon has it; `foreign`, `newer`, `missing`, `denied`, which a person
   *   must mend
   */
  static open(path: string, options: WrittenOptions = {}): WrittenBlockList {
    const lock = lockForDaemon(path);
    try {
      const list = new WrittenBlockList(path, lock, options);
      list.#load(options.now ?? Date.now());
      return list;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** What was found at the start. */
  get start(): StartReport {
    return this.#start;
  }

  /**
   * When this list began with nobody known, in milliseconds since 1970: when a daemon first had it, or had to make it anew
   * because it was lost. 0: it is older than that is written down.
   */
  get bornAt(): number {
    return this.#bornAt ?? 0;
  }

  /** Number of blocks. */
  get size(): number {
    return this.#unread?.length ?? this.#byTarget.size;
  }

  /** Changes that the database does not have yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** What is wrong with the database now; undefined when all is well. */
  get trouble(): DatabaseFault | undefined {
    return this.#trouble?.fault;
  }

  /**
   * Whether a target is blocked.
   *
   * @param target canonical target
   */
  has(target: string): boolean {
    return this.#blocks.has(target);
  }

  /**
   * One block.
   *
   * @param target canonical target
   */
  get(target: string): Block | undefined {
    return this.#blocks.get(target);
  }

  /** What the firewall must know of all blocks, in no order. */
  entries(): Iterable<Entry> {
    return this.#unread ?? this.#byTarget.values();
  }

  /** The targets of all blocks, in no order. */
  targets(): string[] {
    return Array.from(this.entries(), ({ target }) => target);
  }

  /** All blocks, the oldest first. */
  all(): Block[] {
    return [...this.#blocks.values()].sort(byAge);
  }

  /**
   * How often a target has been blocked, ended blocks included. While the database is in trouble, ended blocks may be
   * missing in it.
   *
   * @param target canonical target
   */
  timesOf(target: string): number {
    const known = this.#blocks.get(target)?.times;
    if (known !== undefined) return known;
    const pending = this.#pending.pastTimesOf(target);
    if (pending !== undefined) return pending;
    try {
      return this.#list?.timesOf(target) ?? 0;
    } catch {
      return 0;
    }
  }

  /** Whether some target that is not blocked may have been blocked before: saves a look for each. */
  anyPast(): boolean {
    if (this.#pending.hasBlocks) return true;
    try {
      return this.#list?.hasHistory() ?? true;
    } catch {
      return true;
    }
  }

  /** Hosts that were in good standing when the list was opened: last login in milliseconds since 1970. */
  standing(): ReadonlyMap<string, number> {
    return this.#standingAtStart;
  }

  /**
   * Adds blocks; see `BlockDatabase.add`.
   *
   * @param blocks what to add
   * @param now clock value in milliseconds since 1970
   * @returns whether it is in the database; if not it is pending
   * @throws TypeError if a target is not an address or network
   */
  add(blocks: readonly NewBlock[], now: number = Date.now()): boolean {
    const anyPast = blocks.length < 2 || this.anyPast();
    for (const given of blocks) {
      if (hasEnded(given, now)) continue;
      const fresh = boundedNew(given);
      const known = this.#blocks.get(fresh.target);
      const past = known === undefined && anyPast ? this.timesOf(fresh.target) : 0;
      const { block, change } = mergeBlock(known, past, fresh, now);
      if (change !== "same") this.#put(block);
    }
    return this.#write(now);
  }

  /**
   * Removes blocks and forgets how often these targets were blocked.
   *
   * @param targets canonical targets
   * @param now clock value in milliseconds since 1970
   * @returns whether it is in the database; if not it is pending
   */
  remove(targets: readonly string[], now: number = Date.now()): boolean {
    for (const target of targets) {
      if (this.#blocks.delete(target)) this.#pending.remove(target);
    }
    return this.#write(now);
  }

  /**
   * Takes out the blocks whose end has come; they are remembered for `times`. Cheap when none has.
   *
   * @param now clock value in milliseconds since 1970: none with a later end has ended
   * @param timeOf the clock value by which a block ends, given when it was made; the same for all by default
   * @returns the blocks that ended
   */
  removeEnded(
    now: number = Date.now(),
    timeOf: (since?: number) => number = () => now,
  ): Block[] {
    if (now < this.#nextEnd) return [];
    const ended = this.#takeUnreadEnded(timeOf()) ?? this.#takeEnded(timeOf);
    for (const { target, times, until } of ended) {
      this.#pending.end({ target, times, ended: until ?? now });
    }
    this.#write(now);
    return ended;
  }

  #takeEnded(timeOf: (since?: number) => number): Block[] {
    const ended: Block[] = [];
    this.#nextEnd = Infinity;
    for (const block of this.#blocks.values()) {
      if (block.until !== undefined && hasEnded(block, timeOf(block.since))) ended.push(block);
      else this.#noteEnd(block.until);
    }
    for (const { target } of ended) this.#byTarget.delete(target);
    return ended;
  }

  /** The same before the rest is read; `undefined` if it must be read for that, because they are many or the file fails. */
  #takeUnreadEnded(now: number): Block[] | undefined {
    const [list, unread] = [this.#list, this.#unread];
    if (list === undefined || unread === undefined) return undefined;
    const left = unread.filter((entry) => !hasEnded(entry, now));
    if (unread.length - left.length > SINGLE_READS_MAX) return undefined;
    const ended: Block[] = [];
    try {
      for (const entry of unread) {
        if (!hasEnded(entry, now)) continue;
        const block = list.get(entry.target);
        ended.push({ ...(block ?? bareBlock(entry.target, undefined, now)), until: entry.until });
      }
    } catch {
      return undefined;
    }
    this.#unread = left;
    this.#nextEnd = Infinity;
    for (const { until } of left) this.#noteEnd(until);
    return ended;
  }

  /**
   * Remembers hosts in good standing.
   *
   * @param entries hosts and their last login in milliseconds since 1970
   * @param forgetBefore hosts whose last login is before this moment are forgotten
   * @param now clock value in milliseconds since 1970
   * @returns whether it is in the database; if not it is pending
   */
  saveStanding(
    entries: readonly (readonly [string, number])[],
    forgetBefore: number,
    now: number = Date.now(),
  ): boolean {
    this.#pending.saveStanding(entries, forgetBefore);
    return this.#write(now);
  }

  /**
   * Writes what is pending, if it is time to try again, and notices a database that was deleted or exchanged. The daemon's
   * timer calls it a few times a second; when nothing is pending it costs 20 µs.
   *
   * @param now clock value in milliseconds since 1970
   * @returns whether nothing is pending any more
   */
  retry(now: number = Date.now()): boolean {
    if (this.#trouble === undefined && this.pending === 0 && !this.#wasMoved()) {
      this.#checkpoint(now);
      return true;
    }
    return this.#write(now);
  }

  /** Not after a change, but when the timer comes: nobody waits for it then. */
  #checkpoint(now: number): void {
    if (this.#sync === undefined || this.#inLog === 0) return;
    const quiet = Math.abs(now - this.#changedAt) >= CHECKPOINT_QUIET_MS;
    if (!quiet && this.#inLog < CHECKPOINT_CHANGES_MAX) return;
    this.#inLog = 0;
    try {
      this.#list?.checkpoint();
    } catch (error) {
      this.#failed(error, now);
    }
  }

  /**
   * Takes over what other processes changed in the database. Cheap when nothing was; otherwise it compares all targets
   * (50,000: 40 ms). When there are more than {@linkcode COMPARED_AT_ONCE_MAX}, each call does a part of it.
   *
   * @returns the difference
   */
  reload(now: number = Date.now()): ListChange {
    const change: { added: string[]; removed: string[]; changed: string[]; more?: true } = {
      added: [...this.#foundAdded],
      removed: [...this.#foundRemoved],
      changed: [...this.#foundChanged],
    };
    const found = change.removed.length;
    this.#foundRemoved.clear();
    this.#foundAdded.clear();
    this.#foundChanged.clear();
    if (this.#list === undefined || this.#wasMoved()) return change;
    try {
      if (this.#comparison?.list === this.#list) {
        this.#compareSome(this.#comparison, change);
        return change;
      }
      const version = this.#list.dataVersion();
      if (version === this.#seenVersion) return change;
      const failure = this.#readDetails(now);
      if (failure !== undefined) throw failure;
      const { atOnce } = this.#turns;
      if (this.#list.count() > atOnce || this.size > atOnce) {
        this.#comparison = {
          list: this.#list,
          version,
          after: ROW_MIN,
          inFile: new Set(),
          inMemory: undefined,
        };
        this.#compareSome(this.#comparison, change);
        return change;
      }
      const ends = this.#list.ends();
      for (const target of this.#blocks.keys()) {
        if (!ends.has(target) && !this.#pending.has(target)) change.removed.push(target);
      }
      const news = this.#differing(ends);
      // From here on nothing can fail: the change is taken over as a whole or not at all.
      for (const target of change.removed.slice(found)) this.#blocks.delete(target);
      for (const block of news) {
        change[this.#blocks.has(block.target) ? "changed" : "added"].push(block.target);
        this.#keep(block);
      }
      this.#leaveOutReturned(change);
      this.#seenVersion = version;
    } catch (error) {
      // What a comparison in parts has taken over stays so; the next begins anew.
      if (this.#comparison === undefined) change.removed.length = found;
      this.#comparison = undefined;
      this.#failed(error, now);
    }
    return change;
  }

  /** What was found to be deleted when the file was opened again may have been blocked anew since. */
  #leaveOutReturned(change: { removed: string[] }): void {
    change.removed = change.removed.filter((target) => !this.#blocks.has(target));
  }

  get #turns(): ComparisonTurns {
    return this.#options.comparison ??
      { atOnce: COMPARED_AT_ONCE_MAX, perTurn: COMPARED_PER_TURN };
  }

  /**
   * One turn of a comparison. Between two turns this process and others change the list, so each difference is looked up
   * again before it is taken over; what others change behind its back makes the next {@linkcode WrittenBlockList.reload}
   * compare anew.
   */
  #compareSome(
    comparison: Comparison,
    change: { added: string[]; removed: string[]; changed: string[]; more?: true },
  ): void {
    const { list, inFile } = comparison;
    const { perTurn } = this.#turns;
    if (comparison.inMemory === undefined) {
      const { entries, last } = list.entriesAfter(comparison.after, perTurn);
      for (const { target, until } of entries) {
        inFile.add(target);
        const known = this.#blocks.get(target);
        if (
          known !== undefined && known.until === until || this.#pending.overrules(target, until)
        ) continue;
        const block = list.get(target);
        if (block === undefined || known !== undefined && known.until === block.until) continue;
        change[known === undefined ? "added" : "changed"].push(target);
        this.#keep(block);
      }
      this.#leaveOutReturned(change);
      comparison.after = last;
      if (last === END_OF_ROWS) comparison.inMemory = this.#blocks.keys();
      change.more = true;
      return;
    }
    for (let compared = 0; compared < perTurn; compared++) {
      const { value: target, done } = comparison.inMemory.next();
      if (done) {
        this.#seenVersion = comparison.version;
        this.#comparison = undefined;
        return;
      }
      if (inFile.has(target) || this.#pending.has(target) || list.get(target) !== undefined) {
        continue;
      }
      change.removed.push(target);
      this.#blocks.delete(target);
    }
    change.more = true;
  }

  /**
   * Writes what is pending, closes the database and gives the lock back.
   *
   * @param now clock value in milliseconds since 1970
   * @returns how many changes could not be written and are lost with the process
   */
  close(now: number = Date.now()): number {
    if (this.#wasMoved()) this.#try(now);
    for (let before = Infinity; this.pending > 0 && this.pending < before;) {
      before = this.pending;
      this.#try(now);
    }
    this.#list?.close();
    this.#list = undefined;
    this.#lock.release();
    return this.pending;
  }

  /** The same as {@linkcode WrittenBlockList.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Reads what {@linkcode WrittenBlockList.open} has left out; after that it does nothing. Should the
   * file fail or have been changed in the meantime, what was blocked at the start is blocked all the
   * same, and the change is left to {@linkcode WrittenBlockList.reload}.
   *
   * @param now clock value in milliseconds since 1970
   */
  readRest(now: number = Date.now()): void {
    const failure = this.#readDetails(now);
    if (failure !== undefined) this.#failed(failure, now);
  }

  /** What cannot be read is kept with its target and its end, and completed when the file is opened again. */
  #readDetails(now: number): unknown {
    const entries = this.#unread;
    if (entries === undefined) return undefined;
    this.#unread = undefined;
    let rows: Block[] = [];
    let failure: unknown;
    try {
      rows = this.#list?.unsorted() ?? [];
    } catch (error) {
      failure = error;
    }
    const isSame = rows.length === entries.length &&
      rows.every((row, i) => row.target === entries[i]!.target && row.until === entries[i]!.until);
    const known = isSame ? undefined : new Map(rows.map((row) => [row.target, row]));
    entries.forEach(({ target, until }, i) => {
      const row = known === undefined ? rows[i] : known.get(target);
      if (row === undefined) {
        this.#bare.add(target);
        this.#keep(bareBlock(target, until, now));
      } else this.#keep(row.until === until ? row : { ...row, until });
    });
    return failure;
  }

  // Start

  #load(now: number): void {
    try {
      this.#open(now);
      const list = this.#opened();
      list.check();
      this.#seenVersion = list.dataVersion();
      this.#unread = list.entries();
      for (const { until } of this.#unread) this.#noteEnd(until);
      const { skipped } = list;
      // Not before: a damaged file is left as it was found.
      this.#saveBirth();
      this.#writtenTo = incarnationOf(this.path);
      this.#standingAtStart = list.standing();
      this.#start = { blocks: this.size, skipped, salvaged: undefined };
    } catch (error) {
      this.#loadDespite(error, now);
    }
  }

  /** All blocks; those that were not read yet are read now. */
  get #blocks(): Map<string, Block> {
    this.readRest();
    return this.#byTarget;
  }

  #loadDespite(error: unknown, now: number): void {
    this.#unread = undefined;
    const problem = toDatabaseError(error, this.path);
    if (problem.fault === "corrupt") return this.#loadDamaged(problem, now);
    if (!PASSING_FAULTS.has(problem.fault)) {
      this.#closeList();
      throw problem;
    }
    this.#closeList();
    this.#blocks.clear();
    const skipped = this.#loadSnapshot(problem);
    this.#bornAt ??= now;
    this.#start = { blocks: this.size, skipped, salvaged: undefined };
    this.#failed(problem, now);
  }

  /**
   * Reads a file that cannot be opened for writing now.
   *
   * @throws the problem if it cannot be read either: to begin with an empty list would take every block out of the
   *   firewall, where they stay if the daemon does not run
   */
  #loadSnapshot(problem: BlockDatabaseError): number {
    try {
      this.#writtenTo = incarnationOf(this.path);
      using list = BlockDatabase.open(this.path, { readOnly: true, busyTimeout: 0 });
      for (const block of list.unsorted()) this.#keep(block);
      const skipped = list.skipped;
      this.#standingAtStart = list.standing();
      this.#bornAt ??= list.birth();
      return skipped;
    } catch (error) {
      if (faultOf(error) === "missing") return 0; // There is nothing to lose.
      throw problem;
    }
  }

  #loadDamaged(problem: BlockDatabaseError, now: number): void {
    this.#blocks.clear();
    this.#nextEnd = Infinity;
    this.#closeList();
    const salvage = this.#salvage();
    for (const block of salvage.blocks.values()) this.#keep(block);
    for (const target of salvage.bare) {
      this.#keep(bareBlock(target, this.#options.bareUntil, now));
    }
    this.#standingAtStart = salvage.standing;
    // Whoever belongs here is known, or has to be learnt again.
    this.#bornAt = salvage.standing.size > 0 ? 0 : now;
    this.#pendEverything(salvage);
    let place: string | undefined;
    try {
      place = setAside(this.path, now);
      this.#writeAll(now);
    } catch (error) {
      this.#failed(error, now);
    }
    this.#start = {
      blocks: this.size,
      skipped: 0,
      salvaged: salvageReport(problem, place, this.size, salvage),
    };
  }

  // The database: open, closed, moved

  #open(now: number): void {
    this.#list = BlockDatabase.open(this.path, {
      busyTimeout: this.#options.busyTimeout ?? DAEMON_BUSY_MS,
      syncLater: this.#sync !== undefined,
    });
    // The first read makes the write-ahead log, which belongs to the identity.
    this.#seenVersion = this.#list.dataVersion();
    this.#identity = databaseIdentityOf(this.path);
    const birth = this.#list.birth();
    this.#bornAt ??= birth ?? now;
    this.#hasBirth = birth !== undefined;
  }

  #opened(): BlockDatabase {
    if (this.#list === undefined) throw new Error("the database is not open");
    return this.#list;
  }

  #closeList(): void {
    // The last moment; should it fail, there is a fault already that is being dealt with.
    this.#readDetails(Date.now());
    this.#list?.close();
    this.#list = undefined;
  }

  /** Whether the open database is no longer the file at its path: deleted, renamed, replaced, or its log was. */
  #wasMoved(): boolean {
    if (this.#list === undefined || this.#identity === undefined) return false;
    let found;
    try {
      found = databaseIdentityOf(this.path);
    } catch {
      return false; // Not to be seen now; the next write tells.
    }
    return found?.database !== this.#identity.database || found.log !== this.#identity.log;
  }

  /** Sees to it that the file at the path is open, and equal to the list but for what is pending. */
  #ensureOpen(now: number): void {
    if (this.#wasMoved()) {
      const fresh = databaseIdentityOf(this.path) === undefined;
      this.#tell(
        "missing",
        `database ${this.path} was ${fresh ? "deleted" : "replaced"} while it was in use; ` +
          `writing the list in memory to it again (blocks: ${this.size})`,
        now,
      );
      this.#leaveMoved();
    }
    if (this.#list !== undefined) return;
    this.#open(now);
    this.#merge(this.#opened());
  }

  /**
   * Takes what only the old file knows, which can still be read though its name is gone, and closes it. Its write-ahead
   * log must go: SQLite would lay it over the file that is there now.
   */
  #leaveMoved(): void {
    // First of all: what follows asks for the blocks, and no fault of this file may be taken for one of the new file.
    this.#readDetails(Date.now());
    const list = this.#opened();
    try {
      this.#takeLastChanges(list);
      this.#pendPast(list.history(), list.standing());
    } catch {
      // Lost with it: what others changed in it last, and the memory of ended blocks and of good standing.
    }
    this.#closeList();
    if (this.#identity === undefined) return;
    const { database, log } = this.#identity;
    const isSame = identityOf(this.path) === database;
    // Only its log is another one: some of what was written is gone with the old one.
    if (isSame) this.#writtenTo = undefined;
    if (log === undefined || isSame) return;
    if (identityOf(`${this.path}-wal`) !== log) return;
    for (const part of ["-wal", "-shm"]) Deno.removeSync(this.path + part);
  }

  /** What others changed in the old file since the last {@linkcode WrittenBlockList.reload}. */
  #takeLastChanges(list: BlockDatabase): void {
    if (list.dataVersion() === this.#seenVersion) return;
    const ends = list.ends();
    const news = this.#differing(ends);
    for (const { target } of this.#blocks.values()) {
      if (!ends.has(target) && !this.#pending.has(target)) this.#foundRemoved.add(target);
    }
    for (const target of this.#foundRemoved) this.#blocks.delete(target);
    for (const block of news) {
      const found = this.#blocks.has(block.target) ? this.#foundChanged : this.#foundAdded;
      found.add(block.target);
      this.#put(block);
    }
  }

  /**
   * Joins memory with a file that was opened again. In the same file is, but for what is pending, all that was ever written: what
   * is gone from it was deleted by somebody. To another one everything is pending, so that nothing that either of them blocks
   * is lost.
   */
  #merge(list: BlockDatabase): void {
    if (this.#bare.size > 0) this.#completeBare(list.unsorted());
    const version = list.dataVersion();
    const ends = list.ends();
    const file = incarnationOf(this.path);
    const isSame = file !== undefined && file === this.#writtenTo;
    this.#writtenTo = file;
    for (const block of this.#blocks.values()) {
      if (ends.has(block.target) || this.#pending.has(block.target)) continue;
      if (isSame) this.#foundRemoved.add(block.target);
      else this.#pending.put(block);
    }
    for (const target of this.#foundRemoved) this.#blocks.delete(target);
    for (const block of this.#differing(ends)) {
      const found = this.#blocks.has(block.target) ? this.#foundChanged : this.#foundAdded;
      found.add(block.target);
      this.#keep(block);
    }
    this.#seenVersion = version;
  }

  /** Takes what could not be read at the start from rows that can be read now. */
  #completeBare(rows: Iterable<Block>): void {
    for (const row of rows) {
      const known = this.#bare.has(row.target) ? this.#byTarget.get(row.target) : undefined;
      // It may have been blocked anew since.
      if (known?.reason !== BARE_REASON) continue;
      const block = { ...row, until: known.until };
      this.#byTarget.set(row.target, block);
      this.#pending.complete(block);
      this.#bare.delete(row.target);
    }
  }

  /** Blocks of the file that memory does not have, or with another end, apart from those that are pending. */
  #differing(ends: ReadonlyMap<string, number | undefined>): Block[] {
    const list = this.#opened();
    const targets = new Set<string>();
    for (const [target, until] of ends) {
      const known = this.#blocks.get(target);
      if (
        (known === undefined || known.until !== until) && !this.#pending.overrules(target, until)
      ) {
        targets.add(target);
      }
    }
    if (targets.size > SINGLE_READS_MAX) {
      return list.unsorted().filter((block) => targets.has(block.target));
    }
    return [...targets].map((target) => list.get(target)).filter((block) => block !== undefined);
  }

  // What is pending

  #keep(block: Block): void {
    this.#byTarget.set(block.target, block);
    // Others have blocked it anew.
    this.#pending.dropEnd(block.target);
    this.#foundRemoved.delete(block.target);
    this.#noteEnd(block.until);
  }

  #noteEnd(until: number | undefined): void {
    if (until !== undefined && until < this.#nextEnd) this.#nextEnd = until;
  }

  #put(block: Block): void {
    this.#keep(block);
    this.#pending.put(block);
  }

  #pendBlocks(): void {
    for (const block of this.#blocks.values()) this.#pending.put(block);
  }

  #pendEverything(salvage: Salvage): void {
    this.#pendBlocks();
    this.#pendPast(salvage.history.values(), salvage.standing);
  }

  #pendPast(history: Iterable<PastBlock>, standing: ReadonlyMap<string, number>): void {
    this.#pending.addPast(history, standing, (target) => this.#blocks.has(target));
  }

  /** Tries to write, unless a trouble says to wait. */
  #write(now: number): boolean {
    if (this.#trouble !== undefined) {
      const wait = this.#trouble.nextTry - now;
      // A longer wait than the longest: the clock was set back.
      if (wait > 0 && wait <= RETRY_MAX_MS) return false;
    }
    return this.#try(now);
  }

  #try(now: number): boolean {
    try {
      this.#ensureOpen(now);
      this.#writeSome(now);
    } catch (error) {
      if (!this.#failed(error, now)) return false;
    }
    if (this.pending > 0) return false;
    this.#mended();
    return true;
  }

  #writeAll(now: number): void {
    this.#ensureOpen(now);
    this.#saveBirth();
    while (this.pending > 0) this.#writeSome(now);
  }

  #writeSome(now: number): void {
    if (this.pending === 0 && this.#trouble === undefined) return;
    this.#saveBirth();
    const database = this.#opened();
    const written = this.#pending.give(
      CHANGES_PER_WRITE_MAX,
      (changes) => database.save(changes, now),
    );
    this.#inLog += written;
    this.#changedAt = now;
    this.#sync?.request();
  }

  #saveBirth(): void {
    if (this.#hasBirth || this.#bornAt === undefined) return;
    this.#opened().saveBirth(this.#bornAt);
    this.#hasBirth = true;
  }

  // Trouble

  /**
   * Takes a fault in. A damaged file is replaced at once.
   *
   * @returns whether it could be mended at once
   */
  #failed(error: unknown, now: number): boolean {
    let problem = toDatabaseError(error, this.path);
    if (problem.fault === "corrupt" || this.#isOursOverwritten(problem)) {
      this.#tell("corrupt", `${problem.message}; it is set aside and written anew`, now);
      try {
        this.#replaceDamaged(now);
        return true;
      } catch (again) {
        problem = toDatabaseError(again, this.path);
      }
    }
    this.#tell(problem.fault, `${problem.message}; blocking goes on, ${problem.advice}`, now);
    // Busy and full pass by themselves; after any other fault the connection may be of no use.
    if (problem.fault !== "busy" && problem.fault !== "full") this.#closeList();
    const trouble = this.#trouble;
    if (trouble !== undefined) {
      trouble.nextTry = now + trouble.delay;
      trouble.delay = Math.min(trouble.delay * 2, RETRY_MAX_MS);
    }
    return false;
  }

  /** The disk did not take what was committed. Which of it, nobody knows: all is written again. */
  #syncFailed(error: unknown): void {
    this.#sync = undefined;
    if (this.#list === undefined) return; // Closed or in trouble already.
    this.#pendBlocks();
    this.#failed(error, Date.now());
  }

  /** The very file that was in use has lost its SQLite header: it is ours all the same. */
  #isOursOverwritten(problem: BlockDatabaseError): boolean {
    if (problem.fault !== "foreign" || this.#identity === undefined) return false;
    try {
      return databaseIdentityOf(this.path)?.database === this.#identity.database;
    } catch {
      return false;
    }
  }

  #replaceDamaged(now: number): void {
    this.#closeList();
    const salvage = this.#salvage();
    this.#completeBare(salvage.blocks.values());
    this.#pendEverything(salvage);
    setAside(this.path, now);
    this.#identity = undefined;
    this.#writeAll(now);
  }

  #salvage(): Salvage {
    try {
      return salvageImage(readImage(this.path));
    } catch {
      return { blocks: new Map(), bare: [], history: new Map(), standing: new Map() };
    }
  }

  #tell(fault: DatabaseFault, message: string, now: number): void {
    this.#trouble ??= { fault, since: now, told: new Set(), delay: RETRY_FIRST_MS, nextTry: now };
    this.#trouble.fault = fault;
    const told = this.#trouble.told;
    if (told.has(fault)) return;
    if (fault === "busy" && now - this.#trouble.since < BUSY_TOLD_AFTER_MS) return;
    told.add(fault);
    this.#options.onTrouble?.(message);
  }

  #mended(): void {
    const trouble = this.#trouble;
    this.#trouble = undefined;
    if (trouble === undefined || trouble.told.size === 0) return;
    this.#options.onMended?.(
      `database ${this.path} is in order again and holds the whole list (blocks: ${this.size})`,
    );
  }
}

/** A block of which only the target, and perhaps the end, is known. */
function bareBlock(target: string, until: number | undefined, now: number): Block {
  return {
    target,
    since: boundedTime(now),
    until,
    reason: BARE_REASON,
    service: "",
    transport: "",
    account: "",
    times: 1,
  };
}

/** Faults that may pass while the daemon runs; the others are for a person. */
const PASSING_FAULTS: ReadonlySet<DatabaseFault> = new Set(["busy", "full", "readonly", "io"]);

/** Up to so many differing blocks are read one by one. */
const SINGLE_READS_MAX = 500;

/** Takes the lock; a disk so full that not even the lock file can be made does not hinder the daemon. */
function lockForDaemon(path: string): DatabaseLock {
  try {
    return lockDatabase(path);
  } catch (error) {
    if (PASSING_FAULTS.has(faultOf(error))) return new DatabaseLock(undefined);
    throw error;
  }
}

function salvageReport(
  problem: BlockDatabaseError,
  place: string | undefined,
  blocks: number,
  salvage: Salvage,
): SalvageReport {
  const bare = salvage.bare.length;
  const standing = salvage.standing.size;
  const where = place === undefined
    ? "it could not be set aside yet"
    : `it was set aside as ${place}`;
  const how = bare === 0 ? "" : ` (${bare} of them by address only)`;
  return {
    setAside: place,
    blocks,
    bare,
    standing,
    message: `${problem.message}; ${where}; saved from it: blocks ${blocks}${how}, hosts in good ` +
      `standing ${standing}`,
  };
}
