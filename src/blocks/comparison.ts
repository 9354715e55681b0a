/**
 * The list in memory beside the database: what others have changed there is taken over.
 *
 * @module
 */

import type { Block } from "./block.ts";
import { type BlockDatabase, END_OF_ROWS, ROW_MIN } from "./database.ts";
import { type ListedBlocks, SINGLE_READS_MAX } from "./listed_blocks.ts";
import type { PendingChanges } from "./pending_changes.ts";

/** Blocks that are compared in one turn of the event loop; 50,000 take 40 ms. */
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

/** A comparison with a large file that goes on in the next turn. */
interface Progress {
  readonly database: BlockDatabase;
  /** What the file was when it began. */
  readonly version: number;
  /** Behind which row it goes on. */
  after: bigint;
  /** The targets that the file has. */
  readonly inFile: Set<string>;
  /** The targets of memory, when the file was read to its end. */
  inMemory: Iterator<string> | undefined;
}

/** How the database differs from the list in memory, apart from what is pending. */
interface Difference {
  /** Targets of memory that the database does not have. */
  readonly missing: string[];
  /** Blocks of the database that memory does not have, or with another end. */
  readonly others: Block[];
}

/** Compares a list whose rest was read with its database, as often as others change that. */
export class Comparison {
  readonly #blocks: ListedBlocks;
  readonly #pending: PendingChanges;
  readonly #turns: ComparisonTurns;
  #seenVersion: number | undefined;
  #progress: Progress | undefined;

  /**
   * Compares nothing yet.
   *
   * @param blocks The list in memory.
   * @param pending What the database does not have yet.
   * @param turns See {@linkcode ComparisonTurns}.
   */
  constructor(
    blocks: ListedBlocks,
    pending: PendingChanges,
    turns: ComparisonTurns = { atOnce: COMPARED_AT_ONCE_MAX, perTurn: COMPARED_PER_TURN },
  ) {
    this.#blocks = blocks;
    this.#pending = pending;
    this.#turns = turns;
  }

  /** Whether a comparison goes on in the next turn. */
  get hasMore(): boolean {
    return this.#progress !== undefined;
  }

  /**
   * The list is equal to the database.
   *
   * @param version The database's `dataVersion` before it was read.
   */
  start(version: number): void {
    this.#seenVersion = version;
  }

  /**
   * Whether there is something to compare.
   *
   * @param database The open database.
   * @returns True if others have changed it, or a comparison of it is not at its end.
   * @throws BlockDatabaseError If it cannot be read.
   */
  isDue(database: BlockDatabase): boolean {
    return this.#progress?.database === database || database.dataVersion() !== this.#seenVersion;
  }

  /**
   * Takes over what others have changed; of a long list, the next part of it. A comparison in one
   * turn that fails has taken over nothing; of one in parts, the parts before stay.
   *
   * @param database The open database.
   * @throws BlockDatabaseError If it cannot be read; the next comparison begins anew.
   */
  compare(database: BlockDatabase): void {
    try {
      if (this.#progress?.database === database) return this.#comparePart(this.#progress);
      const version = database.dataVersion();
      const { atOnce } = this.#turns;
      if (database.count() > atOnce || this.#blocks.size > atOnce) {
        const inFile = new Set<string>();
        this.#progress = { database, version, after: ROW_MIN, inFile, inMemory: undefined };
        return this.#comparePart(this.#progress);
      }
      const { missing, others } = this.#differenceOf(database);
      for (const target of missing) this.#blocks.lose(target);
      for (const block of others) this.#takeOver(block);
      this.#seenVersion = version;
    } catch (error) {
      this.#progress = undefined;
      throw error;
    }
  }

  /**
   * Takes over what others have changed in a database that is given up: it is pending for the next.
   *
   * @param database The open database.
   * @throws BlockDatabaseError If it cannot be read.
   */
  takeLastChanges(database: BlockDatabase): void {
    if (database.dataVersion() === this.#seenVersion) return;
    const { missing, others } = this.#differenceOf(database);
    for (const target of missing) this.#blocks.lose(target);
    for (const block of others) {
      this.#blocks.takeOver(block);
      this.#pending.put(block);
    }
  }

  /**
   * Joins the list with a database that was opened again. In the same file is, but for what is
   * pending, all that was ever written: what is missing there was deleted by somebody. To another
   * file everything is written, so that nothing that either of them blocks is lost.
   *
   * @param database The open database.
   * @param isSame Whether it is the file that was written before.
   * @throws BlockDatabaseError If it cannot be read; then nothing was joined.
   */
  join(database: BlockDatabase, isSame: boolean): void {
    const version = database.dataVersion();
    const { missing, others } = this.#differenceOf(database);
    for (const target of missing) {
      if (isSame) this.#blocks.lose(target);
      else this.#pending.rewrite(this.#blocks.byTarget.get(target)!);
    }
    for (const block of others) this.#takeOver(block);
    this.#seenVersion = version;
  }

  /**
   * Takes over what others made to last longer than what is pending, so that it is not written
   * over.
   *
   * @param database The open database, in the transaction that writes what is pending: between this
   *   look and the write nobody else comes.
   * @throws BlockDatabaseError If it cannot be read.
   */
  yieldToOthers(database: BlockDatabase): void {
    if (!this.#pending.hasBlocks || database.dataVersion() === this.#seenVersion) return;
    const ends = this.#pending.size > SINGLE_READS_MAX ? endsOf(database) : undefined;
    for (const target of this.#pending.blockTargets()) {
      if (ends !== undefined && !ends.has(target)) continue;
      if (ends !== undefined && this.#pending.overrules(target, ends.get(target))) continue;
      const row = database.get(target);
      if (row === undefined || this.#pending.overrules(target, row.until)) continue;
      this.#takeOver(row);
    }
  }

  #takeOver(block: Block): void {
    this.#blocks.takeOver(block);
    this.#pending.drop(block.target);
  }

  /** Whether memory has a block of a target that ends at this moment. */
  #isListed(target: string, until: number | undefined): boolean {
    const known = this.#blocks.byTarget.get(target);
    return known !== undefined && known.until === until;
  }

  /** Changes nothing: if the database fails, all is as it was. */
  #differenceOf(database: BlockDatabase): Difference {
    const ends = endsOf(database);
    const { byTarget } = this.#blocks;
    const missing: string[] = [];
    for (const target of byTarget.keys()) {
      if (!ends.has(target) && !this.#pending.has(target)) missing.push(target);
    }
    const targets = new Set<string>();
    for (const [target, until] of ends) {
      if (this.#isListed(target, until) || this.#pending.overrules(target, until)) continue;
      targets.add(target);
    }
    const others = targets.size > SINGLE_READS_MAX
      ? database.unsorted().filter((block) => targets.has(block.target))
      : [...targets].map((target) => database.get(target)).filter((block) => block !== undefined);
    return { missing, others };
  }

  /**
   * One turn of a comparison. Between two turns this process and others change the list, so each
   * difference is looked up again before it is taken over; what others change behind the row that
   * was read last makes the next comparison begin anew.
   */
  #comparePart(progress: Progress): void {
    const { database, inFile } = progress;
    const { perTurn } = this.#turns;
    const { byTarget } = this.#blocks;
    if (progress.inMemory === undefined) {
      const { entries, last } = database.entriesAfter(progress.after, perTurn);
      for (const { target, until } of entries) {
        inFile.add(target);
        if (this.#isListed(target, until) || this.#pending.overrules(target, until)) continue;
        const block = database.get(target);
        if (block === undefined || this.#isListed(target, block.until)) continue;
        this.#takeOver(block);
      }
      progress.after = last;
      if (last === END_OF_ROWS) progress.inMemory = byTarget.keys();
      return;
    }
    for (let compared = 0; compared < perTurn; compared++) {
      const { value: target, done } = progress.inMemory.next();
      if (done) {
        this.#seenVersion = progress.version;
        this.#progress = undefined;
        return;
      }
      if (inFile.has(target) || this.#pending.has(target)) continue;
      if (database.get(target) === undefined) this.#blocks.lose(target);
    }
  }
}

/** The end of each block: all that is needed to see what another process changed. */
function endsOf(database: BlockDatabase): Map<string, number | undefined> {
  return new Map(database.entries().map(({ target, until }) => [target, until]));
}
