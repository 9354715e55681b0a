/**
 * Keeps a table bounded.
 *
 * @module
 */

import type { Connection } from "./connection.ts";

/**
 * Drops the first rows of an order when there are too many; within a transaction.
 *
 * @param connection The open database.
 * @param table Its name.
 * @param order By which columns: those that come first go.
 * @param max Most rows that stay.
 */
export function dropRows(
  connection: Connection,
  table:
    | "history"
    | "standing"
    | "evidence"
    | "points"
    | "habits"
    | "slow"
    | "counts"
    | "deletions",
  order: string,
  max: number,
): void {
  const rows = Number(connection.run(`SELECT count(*) AS rows FROM ${table}`).get()?.rows);
  if (rows <= max) return;
  const first = `SELECT rowid FROM ${table} ORDER BY ${order} LIMIT ?`;
  connection.run(`DELETE FROM ${table} WHERE rowid IN (${first})`).run(rows - max);
}
