/**
 * Keeps the database equal to the list in memory, whatever goes wrong with it.
 *
 * @module
 */

import { BackgroundSync } from "./background_sync.ts";
import type { Block, PastBlock } from "./block.ts";
import { Comparison, type ComparisonTurns } from "./comparison.ts";
import type { BlockDatabase, BlockDatabaseError } from "./database.ts";
import { type DatabaseFault, toDatabaseError } from "./fault.ts";
import { type DatabaseIdentity, databaseIdentityOf, identityOf, incarnationOf } from "./files.ts";
import type { ListedBlocks } from "./listed_blocks.ts";
import {
  type FoundList,
  openDatabase,
  type OpenedDatabase,
  type OpeningOptions,
  salvageFile,
} from "./opening.ts";
import type { PendingChanges } from "./pending_changes.ts";
import { setAside } from "./recovery/set_aside.ts";
import { Trouble } from "./trouble.ts";

/** Most changes in one transaction: a twentieth of a second. More are written by the next calls. */
export const CHANGES_PER_WRITE_MAX = 5_000;

/**
 * When nothing has changed for so long, the write-ahead log is brought into the database, in
 * milliseconds: that waits for the disk, for 1 ms or, seldom, a tenth of a second, and should not
 * happen while attackers come one after the other.
 */
const CHECKPOINT_QUIET_MS = 2_000;

/** After so many changes it is brought all the same: the log has about 20 MB then. */
const CHECKPOINT_CHANGES_MAX = 1_000;

/** How a {@linkcode ListWriter} works. */
export interface WriterOptions extends OpeningOptions {
  /**
   * How long a file that was seen at its path counts as being there, in milliseconds: to look takes
   * 0.05 ms, for which a block waits. `retry` always looks. @default {0}
   */
  readonly inPlaceMs?: number;
  /** How changes of others are taken over; by default as `ComparisonTurns` says. */
  readonly comparison?: ComparisonTurns;
  /** Called once for each kind of fault, until all is mended: what happened and what to do. */
  readonly onTrouble?: (message: string) => void;
  /** Called when everything pending is written after a trouble that was told. */
  readonly onRecovered?: (message: string) => void;
}

/** Writes what is pending, and opens the database again after each fault. No fault leaves it. */
export class ListWriter {
  readonly #path: string;
  readonly #options: WriterOptions;
  readonly #blocks: ListedBlocks;
  readonly #pending: PendingChanges;
  readonly #comparison: Comparison;
  readonly #trouble: Trouble;
  readonly #bornAt: number;
  #database: BlockDatabase | undefined;
  /** The files of the database that was opened last. */
  #identity: DatabaseIdentity | undefined;
  /** The file that holds all of memory but what is pending. */
  #writtenTo: string | undefined;
  /**
   * Set until the disk fails: from then on each change waits for the disk, so that a further fault
   * is seen at once.
   */
  #sync: BackgroundSync | undefined;
  /** Changes that are only in the write-ahead log. */
  #inLog = 0;
  /** Clock value of the last change. */
  #changedAt = 0;
  /** Clock value of the last look that found the database at its path. */
  #inPlaceAt = -Infinity;
  /** Whether the open database tells when the list began. */
  #hasBirth = false;

  /**
   * Writes nothing yet.
   *
   * @param path Path of the database.
   * @param options See {@linkcode WriterOptions}.
   * @param blocks The list in memory, with what was found.
   * @param pending What the database does not have yet.
   * @param found The database as it was found.
   */
  constructor(
    path: string,
    options: WriterOptions,
    blocks: ListedBlocks,
    pending: PendingChanges,
    found: FoundList,
  ) {
    this.#path = path;
    this.#options = options;
    this.#blocks = blocks;
    this.#pending = pending;
    this.#comparison = new Comparison(blocks, pending, options.comparison);
    const { onTrouble = () => {}, onRecovered = () => {} } = options;
    this.#trouble = new Trouble(onTrouble, onRecovered);
    this.#bornAt = found.bornAt;
    this.#identity = found.identity;
    this.#writtenTo = found.incarnation;
    if (options.syncLater ?? false) {
      this.#sync = new BackgroundSync(`${path}-wal`, (error) => this.#syncFailed(error));
    }
    if (found.opened !== undefined) {
      this.#use(found.opened);
      this.#hasBirth = true;
    }
  }

  /** Open unless in trouble. */
  get database(): BlockDatabase | undefined {
    return this.#database;
  }

  /** What is wrong with the database now; undefined when all is well. */
  get trouble(): DatabaseFault | undefined {
    return this.#trouble.fault;
  }

  /**
   * Deals with what was wrong at the start: sets a damaged file aside, and writes what was saved of
   * it to a new one.
   *
   * @param found The database as it was found.
   * @param now Clock value in milliseconds since 1970.
   * @returns Where a damaged file lies now.
   */
  start({ problem, salvage }: FoundList, now: number): string | undefined {
    if (problem === undefined) return undefined;
    if (salvage === undefined) {
      this.#failed(problem, now);
      return undefined;
    }
    this.#putAll();
    this.#addPast(salvage.history.values(), salvage.standing);
    let place: string | undefined;
    try {
      place = setAside(this.#path, now);
      this.#writeAll(now);
    } catch (error) {
      this.#failed(error, now);
    }
    return place;
  }

  /**
   * Tries to write, unless a trouble says to wait.
   *
   * @param now Clock value in milliseconds since 1970.
   * @returns Whether nothing is pending any more.
   */
  write(now: number): boolean {
    return this.#trouble.mayTry(now) && this.#try(now);
  }

  /**
   * Writes what is pending if there is anything, and notices a database that was moved.
   *
   * @param now Clock value in milliseconds since 1970.
   * @returns Whether nothing is pending any more.
   */
  retry(now: number): boolean {
    this.#inPlaceAt = -Infinity;
    if (this.trouble !== undefined || this.#pending.size > 0 || this.#wasMoved()) {
      return this.write(now);
    }
    this.#inPlaceAt = now;
    this.#checkpoint(now);
    return true;
  }

  /**
   * Writes what may also be lost, unless the database is in trouble.
   *
   * @param save Writes it.
   * @param now Clock value in milliseconds since 1970.
   * @returns Whether it is written.
   */
  keep(save: (database: BlockDatabase) => void, now: number): boolean {
    if (this.trouble !== undefined || this.#database === undefined || this.#wasMoved()) {
      return false;
    }
    try {
      save(this.#database);
    } catch (error) {
      this.#failed(error, now);
      return false;
    }
    this.#inLog++;
    this.#changedAt = now;
    this.#sync?.request();
    return true;
  }

  /**
   * Takes over what others have changed in the database; see `Comparison`.
   *
   * @param now Clock value in milliseconds since 1970.
   * @returns Whether the comparison goes on in the next turn.
   */
  compare(now: number): boolean {
    const database = this.#database;
    if (database === undefined || this.#wasMoved()) return false;
    try {
      if (!this.#comparison.isDue(database)) return false;
      const failure = this.#completeBlocks(now);
      if (failure !== undefined) throw failure;
      this.#comparison.compare(database);
    } catch (error) {
      this.#failed(error, now);
    }
    return this.#comparison.hasMore;
  }

  /**
   * Reads the rest of all blocks, if that was not done yet.
   *
   * @param now Clock value in milliseconds since 1970.
   */
  readRest(now: number): void {
    const failure = this.#completeBlocks(now);
    if (failure !== undefined) this.#failed(failure, now);
  }

  /**
   * Writes what is pending as long as that helps, and closes the database.
   *
   * @param now Clock value in milliseconds since 1970.
   */
  close(now: number): void {
    if (this.#wasMoved()) this.#try(now);
    for (let before = Infinity; this.#pending.size > 0 && this.#pending.size < before;) {
      before = this.#pending.size;
      this.#try(now);
    }
    this.#database?.close();
    this.#database = undefined;
  }

  /**
   * What cannot be read is kept with its target and its end, and completed when the file is opened
   * again.
   *
   * @returns What the database threw.
   */
  #completeBlocks(now: number): unknown {
    if (this.#blocks.isRead) return undefined;
    let rows: Block[] = [];
    let failure: unknown;
    try {
      rows = this.#database?.unsorted() ?? [];
    } catch (error) {
      failure = error;
    }
    this.#blocks.complete(rows, now);
    return failure;
  }

  /** What could not be read before is filled in, and with it what of that is pending. */
  #completeBare(read: () => Iterable<Block>): void {
    for (const block of this.#blocks.completeBare(read)) this.#pending.complete(block);
  }

  // The database: opened, moved, closed

  #use({ database, version, identity, birth }: OpenedDatabase): void {
    this.#database = database;
    this.#identity = identity;
    this.#comparison.start(version);
    this.#hasBirth = birth !== undefined;
  }

  /**
   * Sees to it that the file at the path is open, and equal to the list but for what is pending.
   */
  #ensureOpen(now: number): BlockDatabase {
    const isInPlace = Math.abs(now - this.#inPlaceAt) < (this.#options.inPlaceMs ?? 0);
    if (!isInPlace && this.#wasMoved()) {
      const isGone = identityOf(this.#path) === undefined;
      this.#trouble.record(
        "missing",
        `database ${this.#path} was ${isGone ? "deleted" : "replaced"} while it was in use; ` +
          `writing the list in memory to it again (blocks: ${this.#blocks.size})`,
        now,
      );
      this.#leaveMoved();
    }
    if (this.#database !== undefined) return this.#database;
    const opened = openDatabase(this.#path, {
      ...this.#options,
      syncLater: this.#sync !== undefined,
    });
    this.#use(opened);
    try {
      this.#join(opened.database);
    } catch (error) {
      // Joined it must be: it is opened again.
      this.#closeDatabase();
      throw error;
    }
    return opened.database;
  }

  #join(database: BlockDatabase): void {
    this.#completeBare(() => database.unsorted());
    const file = incarnationOf(this.#path);
    this.#comparison.join(database, file !== undefined && file === this.#writtenTo);
    this.#writtenTo = file;
  }

  /**
   * Whether the open database is no longer the file at its path: deleted, renamed, replaced, or its
   * log was.
   */
  #wasMoved(): boolean {
    if (this.#database === undefined || this.#identity === undefined) return false;
    let found;
    try {
      found = databaseIdentityOf(this.#path);
    } catch {
      return false; // Not to be seen now; the next write tells.
    }
    return found?.database !== this.#identity.database || found.log !== this.#identity.log;
  }

  /**
   * Takes what only the old file knows, which can still be read though its name is gone, and closes
   * it. Its write-ahead log must go: SQLite would lay it over the file that is there now.
   */
  #leaveMoved(): void {
    // First of all: no fault of this file may be taken for one of the new file.
    this.#completeBlocks(Date.now());
    try {
      const database = this.#database!;
      this.#comparison.takeLastChanges(database);
      this.#addPast(database.history(), database.standing());
    } catch {
      // Lost with it: what others changed in it last, and the memory of ended blocks and of good
      // standing.
    }
    this.#closeDatabase();
    if (this.#identity === undefined) return;
    const { database, log } = this.#identity;
    const isSame = identityOf(this.#path) === database;
    // Only its log is another one: some of what was written is gone with the old one.
    if (isSame) this.#writtenTo = undefined;
    if (log === undefined || isSame || identityOf(`${this.#path}-wal`) !== log) return;
    for (const part of ["-wal", "-shm"]) Deno.removeSync(this.#path + part);
  }

  #closeDatabase(): void {
    // The last moment; should it fail, there is a fault already that is being dealt with.
    this.#completeBlocks(Date.now());
    this.#database?.close();
    this.#database = undefined;
  }

  // Writing

  /** Not after a change, but when the timer comes: nobody waits for it then. */
  #checkpoint(now: number): void {
    if (this.#sync === undefined || this.#inLog === 0) return;
    const quiet = Math.abs(now - this.#changedAt) >= CHECKPOINT_QUIET_MS;
    if (!quiet && this.#inLog < CHECKPOINT_CHANGES_MAX) return;
    this.#inLog = 0;
    try {
      this.#database?.checkpoint();
    } catch (error) {
      this.#failed(error, now);
    }
  }

  #try(now: number): boolean {
    try {
      this.#writeSome(this.#ensureOpen(now), now);
    } catch (error) {
      if (!this.#failed(error, now)) return false;
    }
    if (this.#pending.size > 0) return false;
    this.#trouble.end(() =>
      `database ${this.#path} is in order again and holds the whole list (blocks: ${this.#blocks.size})`
    );
    return true;
  }

  #writeSome(database: BlockDatabase, now: number): void {
    if (this.#pending.size === 0 && this.trouble === undefined) return;
    this.#saveBirth(database);
    this.#inLog += this.#pending.give(CHANGES_PER_WRITE_MAX, (take) => {
      database.save(() => {
        this.#comparison.yieldToOthers(database);
        return take();
      }, now);
    });
    this.#changedAt = now;
    this.#sync?.request();
  }

  #writeAll(now: number): void {
    const database = this.#ensureOpen(now);
    this.#saveBirth(database);
    while (this.#pending.size > 0) this.#writeSome(database, now);
  }

  #saveBirth(database: BlockDatabase): void {
    if (this.#hasBirth) return;
    database.saveBirth(this.#bornAt);
    this.#hasBirth = true;
  }

  #putAll(): void {
    this.#completeBlocks(Date.now());
    for (const block of this.#blocks.byTarget.values()) this.#pending.rewrite(block);
  }

  #addPast(history: Iterable<PastBlock>, standing: ReadonlyMap<string, number>): void {
    this.#pending.addPast(history, standing, (target) => this.#blocks.byTarget.has(target));
  }

  // Faults

  /**
   * Takes a fault in. A damaged file is replaced at once.
   *
   * @returns Whether it could be mended at once.
   */
  #failed(error: unknown, now: number): boolean {
    let problem = toDatabaseError(error, this.#path);
    if (problem.fault === "corrupt" || this.#isOursOverwritten(problem)) {
      const message = `${problem.message}; it is set aside and written anew`;
      this.#trouble.record("corrupt", message, now);
      try {
        this.#replaceDamaged(now);
        return true;
      } catch (again) {
        problem = toDatabaseError(again, this.#path);
      }
    }
    const { fault, message, advice } = problem;
    this.#trouble.record(fault, `${message}; blocking goes on, ${advice}`, now);
    // Busy and full pass by themselves; after any other fault the connection may be of no use.
    if (fault !== "busy" && fault !== "full") this.#closeDatabase();
    this.#trouble.postpone(now);
    return false;
  }

  /** The disk did not take what was committed. Which of it, nobody knows: all is written again. */
  #syncFailed(error: unknown): void {
    this.#sync = undefined;
    if (this.#database === undefined) return; // Closed or in trouble already.
    this.#putAll();
    this.#failed(error, Date.now());
  }

  /** The very file that was in use has lost its SQLite header: it is ours all the same. */
  #isOursOverwritten(problem: BlockDatabaseError): boolean {
    if (problem.fault !== "foreign" || this.#identity === undefined) return false;
    try {
      return identityOf(this.#path) === this.#identity.database;
    } catch {
      return false;
    }
  }

  #replaceDamaged(now: number): void {
    this.#closeDatabase();
    const salvage = salvageFile(this.#path);
    this.#completeBare(() => salvage.blocks.values());
    this.#putAll();
    this.#addPast(salvage.history.values(), salvage.standing);
    setAside(this.#path, now);
    this.#identity = undefined;
    this.#writeAll(now);
  }
}
