/**
 * A block list that is kept in memory only: for a dry run, which must not decide what is blocked at
 * the next real start.
 *
 * @module
 */

import type { BlockList, ListChange } from "./block_list.ts";
import type { SlowRow } from "./slow_rows.ts";
import { type Block, boundedNew, hasEnded, mergeBlock, type NewBlock } from "./block.ts";

/** Where the stored blocks are read from; `BlockDatabase` is one. */
interface StoredBlocks {
  all(): Block[];
  standing(): ReadonlyMap<string, number>;
  readonly slow: { all(): readonly SlowRow[] };
  timesOf(target: string): number;
  birth(): number | undefined;
  close(): void;
}

/**
 * The list of a dry run: begins with what is stored, and forgets its changes.
 *
 * @example
 * ```ts
 * import { DryRunBlockList } from "./dry_run_block_list.ts";
 *
 * const list = new DryRunBlockList("(memory)");
 * list.remove(["203.0.113.5"]);
 * ```
 */
export class DryRunBlockList implements BlockList {
  readonly path: string;
  readonly pending = 0;
  readonly trouble = undefined;
  /** See `WrittenBlockList.bornAt`. */
  readonly bornAt: number;
  readonly #blocks = new Map<string, Block>();
  readonly #times = new Map<string, number>();
  readonly #stored: StoredBlocks | undefined;

  /**
   * @param path What it is called in messages.
   * @param stored What it begins with; it is closed with this list.
   * @param now Clock value in milliseconds since 1970.
   */
  constructor(path: string, stored?: StoredBlocks, now: number = Date.now()) {
    this.path = path;
    this.bornAt = stored?.birth() ?? now;
    this.#stored = stored;
    for (const block of stored?.all() ?? []) this.#blocks.set(block.target, block);
  }

  get size(): number {
    return this.#blocks.size;
  }

  get(target: string): Block | undefined {
    return this.#blocks.get(target);
  }

  entries(): Iterable<Block> {
    return this.#blocks.values();
  }

  each(): Iterable<Block> {
    return this.#blocks.values();
  }

  all(): Block[] {
    return [...this.#blocks.values()].sort((a, b) => a.since - b.since);
  }

  anyPast(): boolean {
    return this.#stored !== undefined || this.#times.size > 0;
  }

  timesOf(target: string): number {
    return this.#blocks.get(target)?.times ?? this.#times.get(target) ??
      this.#stored?.timesOf(target) ?? 0;
  }

  standing(): ReadonlyMap<string, number> {
    return this.#stored?.standing() ?? new Map();
  }

  add(blocks: readonly NewBlock[], now: number): true {
    for (const fresh of blocks) {
      if (hasEnded(fresh, now)) continue;
      const { block } = mergeBlock(
        this.#blocks.get(fresh.target),
        this.timesOf(fresh.target),
        boundedNew(fresh),
        now,
      );
      this.#blocks.set(block.target, block);
    }
    return true;
  }

  remove(targets: readonly string[]): true {
    for (const target of targets) this.#blocks.delete(target);
    return true;
  }

  removeEnded(now: number, timeOf: (since?: number) => number = () => now): Block[] {
    const ended = this.all().filter((block) => hasEnded(block, timeOf(block.since)));
    for (const { target, times } of ended) {
      this.#blocks.delete(target);
      this.#times.set(target, times);
    }
    return ended;
  }

  saveStanding(): true {
    return true;
  }

  slow(): readonly SlowRow[] {
    return this.#stored?.slow.all() ?? [];
  }

  retry(): true {
    return true;
  }

  reload(): ListChange {
    return { added: [], removed: [], changed: [] };
  }

  close(): number {
    this.#stored?.close();
    return 0;
  }
}
