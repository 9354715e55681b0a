/**
 * What happened in each minute of a day, and in each hour of a quarter, as it outlives a restart.
 *
 * @module
 */

import { boundedTime } from "./block.ts";
import type { Connection } from "./connection.ts";
import { dropRows } from "./drop_rows.ts";
import { LateTable, readList } from "./late_table.ts";

/** Most rows: 1,440 minutes, 2,160 hours, and those that a clock set back has left. */
export const COUNT_ROWS_MAX = 4_096;

/** Most numbers of a row. */
const NUMBERS_MAX = 64;

/** Longest text of a row, in characters: with all rows less than 5 MB. */
const ROW_CHARACTERS_MAX = 1_000;

/** What happened within a time. */
export interface CountRow {
  /** How long it is, in seconds: a minute or an hour. */
  readonly step: number;
  /** When it began, in milliseconds since 1970. */
  readonly at: number;
  /** How often what happened; a place of the list for each. */
  readonly counts: readonly number[];
}

const COLUMNS = "step INTEGER NOT NULL, at INTEGER NOT NULL, counts TEXT NOT NULL, " +
  "UNIQUE (step, at)";

/** The table of counts in the file. */
export class CountsTable {
  readonly #connection: Connection;
  readonly #table: LateTable;

  /** @param connection The open database. */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#table = new LateTable(connection, "counts", COLUMNS);
  }

  /**
   * Keeps counts, in the place of what is there of the same times.
   *
   * @param rows The counts.
   * @param forget Of each step those that began before a moment, in milliseconds since 1970, are
   *   forgotten.
   * @throws BlockDatabaseError If they could not be written.
   */
  save(
    rows: readonly CountRow[],
    forget: readonly { readonly step: number; readonly before: number }[],
  ): void {
    this.#connection.transaction(() => {
      this.#table.make();
      const put = this.#connection.run(
        "INSERT OR REPLACE INTO counts (step, at, counts) VALUES (?, ?, ?)",
      );
      for (const { step, at, counts } of rows) put.run(step, boundedTime(at), textOf(counts));
      const drop = this.#connection.run("DELETE FROM counts WHERE step = ? AND at < ?");
      for (const { step, before } of forget) drop.run(step, boundedTime(before));
      dropRows(this.#connection, "counts", "at", COUNT_ROWS_MAX);
    });
  }

  /**
   * All that is kept, the oldest first.
   *
   * @throws BlockDatabaseError If the file cannot be read.
   */
  all(): CountRow[] {
    return this.#connection.guarded(() => {
      if (!this.#table.exists()) return [];
      const sql = "SELECT json_group_array(json_array(step, at, counts)) AS rows " +
        "FROM (SELECT * FROM counts ORDER BY at DESC LIMIT ?)";
      const found = this.#connection.run(sql).get(COUNT_ROWS_MAX)?.rows;
      const rows: unknown[] = JSON.parse(String(found));
      return rows.flatMap((row) => Array.isArray(row) ? readCounts(row) ?? [] : []).reverse();
    });
  }
}

/** Zeros at the end say nothing; without them most rows are short. */
function textOf(counts: readonly number[]): string {
  let length = Math.min(counts.length, NUMBERS_MAX);
  while (length > 0 && counts[length - 1] === 0) length--;
  return JSON.stringify(counts.slice(0, length).map((count) => Math.round(count * 1e4) / 1e4));
}

/**
 * Makes counts of a row, which may hold anything.
 *
 * @param row Step, beginning, numbers as JSON.
 * @returns `undefined` if they are none.
 */
export function readCounts(row: readonly unknown[]): CountRow | undefined {
  const [step, at, text] = row;
  if (typeof step !== "number" || typeof at !== "number" || !Number.isSafeInteger(step)) {
    return undefined;
  }
  const counts = readList(text, ROW_CHARACTERS_MAX);
  const isCount = (count: unknown): count is number =>
    typeof count === "number" && Number.isFinite(count) && count >= 0;
  if (counts === undefined || counts.length > NUMBERS_MAX || !counts.every(isCount)) {
    return undefined;
  }
  return { step, at: boundedTime(at), counts };
}
