/**
 * The blocks of the daemon in memory, and what others have changed among them.
 *
 * @module
 */

import type { Entry } from "../firewall/backend.ts";
import { type Block, hasEnded } from "./block.ts";
import type { ListChange } from "./block_list.ts";
import { BARE_REASON, bareBlock } from "./recovery/salvage.ts";

/** Up to so many blocks are read from the database one by one; more are read all together. */
export const SINGLE_READS_MAX = 500;

/**
 * Blocks by their targets. It may begin with what the firewall must know, target and end; the rest
 * of all blocks is filled in later. Does no I/O.
 *
 * @example
 * ```ts
 * import { ListedBlocks } from "./listed_blocks.ts";
 *
 * const blocks = new ListedBlocks();
 * blocks.startWith([{ target: "203.0.113.5", until: undefined }]);
 * console.log(blocks.size, blocks.isRead); // 1 false
 * ```
 */
export class ListedBlocks {
  readonly #byTarget = new Map<string, Block>();
  /** Until the rest is read: what is blocked, and until when. */
  #unread: readonly Entry[] | undefined;
  /** Targets of which nothing but the end could be read. */
  readonly #bare = new Set<string>();
  /** Earliest end among the blocks, or an earlier moment. */
  #nextEnd = Infinity;
  readonly #added = new Set<string>();
  readonly #changed = new Set<string>();
  readonly #removed = new Set<string>();

  /** Number of blocks. */
  get size(): number {
    return this.#unread?.length ?? this.#byTarget.size;
  }

  /** Whether all is known of each block. */
  get isRead(): boolean {
    return this.#unread === undefined;
  }

  /** No block ends before, in milliseconds since 1970. */
  get nextEnd(): number {
    return this.#nextEnd;
  }

  /** All blocks by their targets; empty until the rest is read. */
  get byTarget(): ReadonlyMap<string, Block> {
    return this.#byTarget;
  }

  /** What the firewall must know of all blocks, in no order. */
  entries(): Iterable<Entry> {
    return this.#unread ?? this.#byTarget.values();
  }

  /**
   * Begins with targets and ends.
   *
   * @param entries One for each block.
   */
  startWith(entries: readonly Entry[]): void {
    this.#unread = entries;
    for (const { until } of entries) this.#noteEnd(until);
  }

  /**
   * Fills in the rest. What is blocked, and until when, stays as it was in the beginning; a block
   * without a row keeps its target and its end.
   *
   * @param rows The blocks that could be read.
   * @param now Clock value in milliseconds since 1970.
   */
  complete(rows: readonly Block[], now: number): void {
    const entries = this.#unread;
    if (entries === undefined) return;
    this.#unread = undefined;
    const isSame = rows.length === entries.length &&
      rows.every((row, i) => row.target === entries[i]!.target && row.until === entries[i]!.until);
    const known = isSame ? undefined : new Map(rows.map((row) => [row.target, row]));
    entries.forEach(({ target, until }, i) => {
      const row = known === undefined ? rows[i] : known.get(target);
      if (row === undefined) {
        this.#bare.add(target);
        this.keep(bareBlock(target, until, now));
      } else this.keep(row.until === until ? row : { ...row, until });
    });
  }

  /**
   * Fills in what could not be read before.
   *
   * @param read Reads the blocks; is only called if something is missing.
   * @returns The blocks that are whole now.
   */
  completeBare(read: () => Iterable<Block>): Block[] {
    if (this.#bare.size === 0) return [];
    const completed: Block[] = [];
    for (const row of read()) {
      const known = this.#bare.has(row.target) ? this.#byTarget.get(row.target) : undefined;
      // It may have been blocked anew since.
      if (known?.reason !== BARE_REASON) continue;
      const block = { ...row, until: known.until };
      this.#byTarget.set(row.target, block);
      this.#bare.delete(row.target);
      completed.push(block);
    }
    return completed;
  }

  /**
   * Keeps a block, in place of that of the same target.
   *
   * @param block The block.
   */
  keep(block: Block): void {
    this.#byTarget.set(block.target, block);
    this.#removed.delete(block.target);
    this.#noteEnd(block.until);
  }

  /**
   * Takes a block out.
   *
   * @param target Canonical target.
   * @returns Whether it was blocked.
   */
  delete(target: string): boolean {
    return this.#byTarget.delete(target);
  }

  /**
   * Takes out the blocks whose end has come, when the rest is read.
   *
   * @param timeOf The clock value by which a block ends, given when it was made.
   * @returns The blocks that ended.
   */
  expire(timeOf: (since?: number) => number): Block[] {
    const ended: Block[] = [];
    this.#nextEnd = Infinity;
    for (const block of this.#byTarget.values()) {
      if (block.until !== undefined && hasEnded(block, timeOf(block.since))) ended.push(block);
      else this.#noteEnd(block.until);
    }
    for (const { target } of ended) this.#byTarget.delete(target);
    return ended;
  }

  /**
   * Takes out the blocks whose end has come, before the rest is read.
   *
   * @param now Clock value in milliseconds since 1970.
   * @param read Reads a block; what it throws is thrown, and nothing is taken out.
   * @returns The blocks that ended; `undefined` if they are many: the rest is to be read for them.
   */
  expireUnread(now: number, read: (target: string) => Block | undefined): Block[] | undefined {
    const unread = this.#unread ?? [];
    const left = unread.filter((entry) => !hasEnded(entry, now));
    if (unread.length - left.length > SINGLE_READS_MAX) return undefined;
    const ended: Block[] = [];
    for (const entry of unread) {
      if (!hasEnded(entry, now)) continue;
      const block = read(entry.target) ?? bareBlock(entry.target, undefined, now);
      ended.push({ ...block, until: entry.until });
    }
    this.#unread = left;
    this.#nextEnd = Infinity;
    for (const { until } of left) this.#noteEnd(until);
    return ended;
  }

  /**
   * Keeps a block that others have added or changed.
   *
   * @param block The block.
   */
  takeOver(block: Block): void {
    (this.#byTarget.has(block.target) ? this.#changed : this.#added).add(block.target);
    this.keep(block);
  }

  /**
   * Takes out a block that others have removed.
   *
   * @param target Canonical target.
   */
  lose(target: string): void {
    this.#removed.add(target);
    this.#byTarget.delete(target);
  }

  /** What others have changed since the last call. */
  takeChange(): ListChange {
    const change = {
      added: [...this.#added],
      removed: [...this.#removed],
      changed: [...this.#changed],
    };
    for (const targets of [this.#added, this.#removed, this.#changed]) targets.clear();
    return change;
  }

  #noteEnd(until: number | undefined): void {
    if (until !== undefined && until < this.#nextEnd) this.#nextEnd = until;
  }
}
