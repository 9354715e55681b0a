/**
 * What slow guessers have failed, in the database. The table is made when it is first needed: to
 * versions that do not know it the file is as before.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";
import { boundedTime } from "./block.ts";
import type { Connection } from "./connection.ts";

/** Most hosts that are kept; those that failed longest ago go first. */
export const SLOW_ROWS_MAX = 200_000;

/** Largest number of failures that is believed. */
const FAILURES_MAX = 1_000_000;

/** What is remembered of a host. Times in milliseconds since 1970. */
export interface SlowRow {
  /** Canonical address or network. */
  readonly host: string;
  /** Wrong passwords before its points were forgotten. */
  readonly failures: number;
  /** Wrong passwords since then. */
  readonly recent: number;
  /** It may have been named by a forger, came by connections, or has logged in. */
  readonly kind: 0 | 1 | 2;
  /** It failed on several accounts. */
  readonly several: boolean;
  /** The first failure that counts. */
  readonly first: number;
  /** The last of {@linkcode SlowRow.failures}. */
  readonly last: number;
  /** The last of {@linkcode SlowRow.recent}. */
  readonly recentLast: number;
}

/** A host with what is remembered of it; `undefined`: nothing. */
export type SlowChange = readonly [host: string, row: SlowRow | undefined];

const TABLE = `CREATE TABLE IF NOT EXISTS slow (
  host TEXT NOT NULL UNIQUE,
  failures INTEGER NOT NULL,
  recent INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  several INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  recent_last INTEGER NOT NULL,
  seen INTEGER NOT NULL
) STRICT`;

const COLUMNS = "host, failures, recent, kind, several, first, last, recent_last";

/**
 * Writes changes, within a transaction.
 *
 * @param connection The open database.
 * @param changes Each host once.
 * @throws What SQLite says.
 */
export function putSlow(connection: Connection, changes: readonly SlowChange[]): void {
  if (changes.length === 0) return;
  connection.run(TABLE).run();
  const put = connection.run(
    `INSERT OR REPLACE INTO slow (${COLUMNS}, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const forget = connection.run("DELETE FROM slow WHERE host = ?");
  for (const [host, row] of changes) {
    if (row === undefined) {
      forget.run(host);
      continue;
    }
    const { failures, recent, kind, several, first, last, recentLast } = row;
    const times = [first, last, recentLast, Math.max(last, recentLast)].map(boundedTime);
    put.run(host, failures, recent, kind, several ? 1 : 0, ...times);
  }
  const rows = Number(connection.run("SELECT count(*) AS rows FROM slow").get()?.rows);
  if (rows <= SLOW_ROWS_MAX) return;
  connection.run(
    "DELETE FROM slow WHERE rowid IN (SELECT rowid FROM slow ORDER BY seen LIMIT ?)",
  ).run(rows - SLOW_ROWS_MAX);
}

/**
 * Reads all of them; what makes no sense is left out.
 *
 * @param connection The open database.
 * @returns In no order; empty if there is no such table.
 * @throws What SQLite says.
 */
export function readSlow(connection: Connection): SlowRow[] {
  const known = connection.run("SELECT 1 FROM sqlite_schema WHERE name = 'slow'").get();
  if (known === undefined) return [];
  const sql = `SELECT json_group_array(json_array(${COLUMNS})) AS rows FROM slow`;
  const rows: unknown[][] = JSON.parse(String(connection.run(sql).get()?.rows));
  return rows.flatMap(([host, ...numbers]) => {
    if (typeof host !== "string" || parseTarget(host) !== host) return [];
    if (!numbers.every((number): number is number => typeof number === "number")) return [];
    const [failures = 0, recent = 0, kind, several, first = 0, last = 0, recentLast = 0] = numbers;
    if (kind !== 0 && kind !== 1 && kind !== 2) return [];
    return [{
      host,
      failures: Math.min(Math.max(failures, 0), FAILURES_MAX),
      recent: Math.min(Math.max(recent, 0), FAILURES_MAX),
      kind,
      several: several === 1,
      first: boundedTime(first),
      last: boundedTime(last),
      recentLast: boundedTime(recentLast),
    }];
  });
}
