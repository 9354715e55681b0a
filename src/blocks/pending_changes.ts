/**
 * What is not in the database yet: of each target the latest change, and of each host the latest
 * login.
 *
 * @module
 */

import { type Block, boundedTime, type PastBlock } from "./block.ts";
import type { Changes } from "./database.ts";

/** Most hosts in good standing whose logins are pending; the oldest entries go first. */
export const PENDING_STANDING_MAX = 65_536;

/**
 * The latest change of a target. A row of the target that ends later than `upTo`, and than the
 * block, was made by others.
 */
type Change =
  | { readonly kind: "put"; readonly block: Block; readonly upTo: number }
  | { readonly kind: "ended"; readonly past: PastBlock; readonly upTo: number }
  | { readonly kind: "gone"; readonly upTo: number };

/**
 * Changes that wait for the database. A later change of a target replaces the earlier one and keeps
 * its place, so that what is pending never grows beyond the list.
 *
 * @example
 * ```ts
 * import { PendingChanges } from "./pending_changes.ts";
 *
 * const pending = new PendingChanges();
 * pending.remove("203.0.113.5");
 * pending.give(5_000, (take) => console.log(take().gone)); // [ "203.0.113.5" ]
 * ```
 */
export class PendingChanges {
  readonly #changes = new Map<string, Change>();
  readonly #standing = new Map<string, number>();
  #forgetStandingBefore = 0;
  #revision = 0;

  /** Another number after each change of what is to be written of blocks. */
  get revision(): number {
    return this.#revision;
  }

  /** Number of changes. */
  get size(): number {
    return this.#changes.size + this.#standing.size;
  }

  /** Whether a block is among the changes, or the end of one. */
  get hasBlocks(): boolean {
    return this.#changes.size > 0;
  }

  /**
   * Whether the database is behind in a target.
   *
   * @param target Canonical target.
   * @returns True as long as a change of it is pending.
   */
  has(target: string): boolean {
    return this.#changes.has(target);
  }

  /**
   * Whether a change counts more than a row of the database.
   *
   * @param target Canonical target of the row.
   * @param until When its block ends; `undefined`: never.
   * @returns False if no change of it is pending, or if others have made a block that ends later.
   */
  overrules(target: string, until: number | undefined): boolean {
    const change = this.#changes.get(target);
    if (change === undefined || change.kind === "gone") return change !== undefined;
    const end = change.kind === "put" ? change.block.until ?? Infinity : -Infinity;
    return (until ?? Infinity) <= Math.max(end, change.upTo);
  }

  /**
   * Drops the change of a target: the database has a newer block of it.
   *
   * @param target Canonical target.
   */
  drop(target: string): void {
    this.#changes.delete(target);
    this.#revision++;
  }

  /** The targets of blocks and ends, not of what is removed; they may be dropped meanwhile. */
  *blockTargets(): Generator<string> {
    for (const [target, { kind }] of this.#changes) if (kind !== "gone") yield target;
  }

  /** Blocks that are to be written, and targets that are to be taken out, in order. */
  *owed(): Generator<Block | string> {
    for (const [target, change] of this.#changes) {
      if (change.kind === "put") yield change.block;
      else if (change.kind === "gone") yield target;
    }
  }

  /** The latest end that a row of the target may have which this process wrote. */
  #lastEnd(target: string, unchanged: number): number {
    return this.#changes.get(target)?.upTo ?? unchanged;
  }

  /**
   * How often a target that is not blocked has been, as far as a change says.
   *
   * @param target Canonical target.
   * @returns `undefined` if no change of it is pending: the database knows.
   */
  pastTimesOf(target: string): number | undefined {
    const change = this.#changes.get(target);
    if (change === undefined) return undefined;
    return change.kind === "ended" ? change.past.times : 0;
  }

  /**
   * Writes a block later.
   *
   * @param block The block as it shall stand in the database.
   * @param rowEnd The end of the row that it takes the place of, unless a change of the target is
   *   pending; by default there is none.
   */
  put(block: Block, rowEnd = -Infinity): void {
    const { target } = block;
    this.#set(target, { kind: "put", block, upTo: this.#lastEnd(target, rowEnd) });
  }

  /**
   * Writes a block later to a database that has none of the rows before.
   *
   * @param block The block as it shall stand in the database.
   */
  rewrite(block: Block): void {
    this.#set(block.target, { kind: "put", block, upTo: -Infinity });
  }

  /**
   * Gives a block that is pending its missing columns; does nothing if none is.
   *
   * @param block The whole block.
   */
  complete(block: Block): void {
    const change = this.#changes.get(block.target);
    if (change?.kind === "put") this.#set(block.target, { ...change, block });
  }

  /**
   * Takes a block out of the database later, and remembers it there.
   *
   * @param past What is remembered.
   */
  end(past: PastBlock): void {
    const upTo = Math.max(past.ended, this.#lastEnd(past.target, -Infinity));
    this.#set(past.target, { kind: "ended", past, upTo });
  }

  /**
   * Takes a target out of the database later, and its past with it.
   *
   * @param target Canonical target.
   * @param rowEnd The end of the row, unless a change of the target is pending: one that ends later
   *   when it is blocked again is of others. By default it may have any.
   */
  remove(target: string, rowEnd = Infinity): void {
    this.#set(target, { kind: "gone", upTo: this.#lastEnd(target, rowEnd) });
  }

  /**
   * Writes what another database remembers. What is pending is newer, and stays.
   *
   * @param history Ended blocks.
   * @param standing Hosts and their last login in milliseconds since 1970.
   * @param isBlocked Whether a target is blocked now: its block knows its past.
   */
  addPast(
    history: Iterable<PastBlock>,
    standing: ReadonlyMap<string, number>,
    isBlocked: (target: string) => boolean,
  ): void {
    for (const past of history) {
      if (!isBlocked(past.target) && !this.has(past.target)) this.end(past);
    }
    for (const [host, at] of standing) {
      if (this.#standing.size >= PENDING_STANDING_MAX) break;
      if (!this.#standing.has(host)) this.#standing.set(host, at);
    }
  }

  /**
   * Writes logins later.
   *
   * @param entries Hosts and their last login in milliseconds since 1970.
   * @param forgetBefore Hosts whose last login is before this moment will be forgotten.
   */
  saveStanding(entries: readonly (readonly [string, number])[], forgetBefore: number): void {
    this.#forgetStandingBefore = boundedTime(forgetBefore);
    for (const [host, at] of entries) {
      this.#standing.delete(host);
      this.#standing.set(host, boundedTime(at));
    }
    for (const oldest of this.#standing.keys()) {
      if (this.#standing.size <= PENDING_STANDING_MAX) break;
      this.#standing.delete(oldest);
    }
  }

  /**
   * Gives the oldest changes to a transaction, and all logins with them. They stay pending until it
   * has returned.
   *
   * @param max Most targets.
   * @param write Begins a transaction, calls what it is given for the changes, and writes all of
   *   them, or throws. Until it calls, changes may still be dropped.
   * @returns The number of changes that were written.
   */
  give(max: number, write: (take: () => Changes) => void): number {
    let targets: string[] = [];
    let standing: [string, number][] = [];
    write(() => {
      targets = [...this.#changes.keys().take(max)];
      standing = [...this.#standing];
      return {
        ...this.#split(targets),
        standing,
        forgetStandingBefore: this.#forgetStandingBefore,
      };
    });
    for (const target of targets) this.#changes.delete(target);
    this.#revision++;
    this.#standing.clear();
    return targets.length + standing.length;
  }

  #set(target: string, change: Change): void {
    this.#changes.set(target, change);
    this.#revision++;
  }

  #split(targets: readonly string[]): Pick<Changes, "put" | "ended" | "gone"> {
    const put: Block[] = [];
    const ended: PastBlock[] = [];
    const gone: string[] = [];
    for (const target of targets) {
      const change = this.#changes.get(target)!;
      if (change.kind === "put") put.push(change.block);
      else if (change.kind === "ended") ended.push(change.past);
      else gone.push(target);
    }
    return { put, ended, gone };
  }
}
