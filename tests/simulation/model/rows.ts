/**
 * Rows of short blocks: each is longer than the one before.
 *
 * @module
 */

import type { RuleBook } from "./rules.ts";
import { HOUR, SECOND } from "./units.ts";

/** What comes so soon behind a block was under way. */
const LATE = 2 * SECOND;

/** Blocks of one target, one after the other. */
interface Row {
  readonly count: number;
  readonly at: number;
  /** When it was forborne after this block. */
  readonly forborne: number[];
  /** A longer block has taken the place of this one. */
  renewed?: boolean;
}

/** The rows of all targets. */
export class Rows {
  /** Of those heard in a single session. */
  readonly doubts = new Map<string, Row>();
  /** Of those who belong here, and of their networks. */
  readonly shorts = new Map<string, Row>();
  /** Of those that failed on a guarded account. */
  readonly guards = new Map<string, Row>();
  readonly #rules: RuleBook;

  /** @param rules The rules. */
  constructor(rules: RuleBook) {
    this.#rules = rules;
  }

  /** Whether what a target of a row does was under way when it was blocked. */
  isLate(rows: Map<string, Row>, target: string, now: number): boolean {
    const row = rows.get(target);
    return row !== undefined && now - row.at < LATE;
  }

  /** How many blocks of a row came before. */
  next(
    rows: Map<string, Row>,
    target: string,
    forget: number,
    now: number,
    most = Infinity,
  ): number {
    const row = rows.get(target);
    if (row !== undefined && now - row.at < LATE) {
      this.#rules.visit("row: late, the same block");
      return row.count - 1;
    }
    const forgotten = row !== undefined && now - row.at > forget;
    if (forgotten) this.#rules.visit("row: forgotten");
    const count = row === undefined || forgotten ? 0 : row.count;
    if (count > most) this.#rules.visit("row: does not grow soon after a login");
    const before = Math.min(count, most);
    rows.set(target, { count: before + 1, at: now, forborne: [] });
    return before;
  }
}

/**
 * Blocks that count in the row of who belongs here: one, while registrations of up to two hours
 * may be valid.
 */
export function mostInRow(loggedInAt: number | undefined, now: number): number {
  return loggedInAt !== undefined && now - loggedInAt <= 2 * HOUR ? 1 : Infinity;
}
