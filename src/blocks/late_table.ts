/**
 * A table that is made when it is first written. `user_version` does not count it: a version of
 * Ampere that does not know it works with the file all the same.
 *
 * @module
 */

import type { Connection } from "./connection.ts";

/** Knows whether the table is there. */
export class LateTable {
  readonly #connection: Connection;
  readonly #name: string;
  readonly #columns: string;
  #isThere = false;

  /**
   * Makes nothing yet.
   *
   * @param connection The open database.
   * @param name The table's name.
   * @param columns Its columns, in SQL.
   */
  constructor(
    connection: Connection,
    name: "evidence" | "points" | "habits" | "slow" | "counts" | "deletions",
    columns: string,
  ) {
    this.#connection = connection;
    this.#name = name;
    this.#columns = columns;
  }

  /** Makes it if it is not there; within the transaction that writes it. */
  make(): void {
    this.#connection.run(`CREATE TABLE IF NOT EXISTS ${this.#name} (${this.#columns}) STRICT`)
      .run();
    this.#isThere = true;
  }

  /** Whether there is anything to read. */
  exists(): boolean {
    const sql = "SELECT 1 FROM sqlite_schema WHERE name = ? AND type = 'table'";
    return this.#isThere ||= this.#connection.run(sql).get(this.#name) !== undefined;
  }
}

/**
 * Reads a list that stands as JSON in a column, which may hold anything.
 *
 * @param text The column.
 * @param charactersMax Longest text that is read, in UTF-16 units.
 * @returns `undefined` if it is none.
 */
export function readList(text: unknown, charactersMax: number): unknown[] | undefined {
  if (typeof text !== "string" || text.length > charactersMax) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return undefined;
  }
  return Array.isArray(list) ? list : undefined;
}
