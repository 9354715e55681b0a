/**
 * Rows of short blocks: each is longer than the one before.
 *
 * @module
 */

import type { RuleBook } from "./rules.ts";
import { DAY, SECOND } from "./units.ts";

/** What comes so soon behind a block was under way. */
export const LATE = 2 * SECOND;

/** Blocks of one target, one after the other. */
interface Row {
  /** Blocks since the last login. */
  count: number;
  readonly at: number;
  /** How often it was forborne after this block, until when, and when which phone began anew. */
  forborne: number;
  forborneUntil: number;
  readonly phones: Map<string, number[]>;
  /** A longer block has taken the place of this one. */
  renewed?: boolean;
}

/** The rows of all targets. */
export class Rows {
  /** Of those heard in a single session, or of two phones. */
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

  /** How many blocks of a row came before. */
  next(
    rows: Map<string, Row>,
    target: string,
    forget: number,
    now: number,
    most = Infinity,
    same = LATE,
  ): number {
    const row = rows.get(target);
    if (row !== undefined && now - row.at < same) {
      this.#rules.visit("row: late, the same block");
      return Math.max(0, row.count - 1);
    }
    const forgotten = row !== undefined && now - row.at > forget;
    if (forgotten) this.#rules.visit("row: forgotten");
    const count = row === undefined || forgotten ? 0 : row.count;
    if (count > most) this.#rules.visit("row: does not grow soon after a login");
    const before = Math.min(count, most);
    rows.set(target, {
      count: before + 1,
      at: now,
      forborne: 0,
      forborneUntil: 0,
      phones: new Map(),
    });
    return before;
  }

  /** A login ends a row; when its last block was stays known. Whether there was one. */
  end(rows: Map<string, Row>, target: string): boolean {
    const row = rows.get(target);
    if (row === undefined || row.count === 0) return false;
    row.count = 0;
    return true;
  }
}

/** How long a login is lately: over a weekend. */
const LATELY = 3 * DAY;

/** Blocks that count in the row of who belongs here: none, as long as it has logged in lately. */
export function mostInRow(loggedInAt: number | undefined, now: number): number {
  return loggedInAt !== undefined && now - loggedInAt <= LATELY ? 0 : Infinity;
}

/** What is known of one that was blocked and belongs here. */
interface Returning {
  /** How long its block lasted. */
  readonly block: number;
  readonly credit: number;
  readonly loggedInAt: number | undefined;
  readonly connectedAt: number | undefined;
}

/** Whether, behind its block, there is time for who logged in lately to come back. */
export function isOpen(row: Row | undefined, who: Returning, now: number): boolean {
  if (row === undefined) return false;
  const lately = now - Math.min(LATELY, who.credit);
  if ((who.loggedInAt ?? -Infinity) < lately) return false;
  const open = (who.connectedAt ?? -Infinity) >= lately ? 127 * SECOND : 11 * SECOND;
  const back = now - row.at - who.block;
  return back >= 0 && back < open;
}
