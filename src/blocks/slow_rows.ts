/**
 * What slow guessers have failed, in the database. The table is made when it is first needed: to
 * versions that do not know it the file is as before.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";
import { boundedTime } from "./block.ts";
import type { Connection } from "./connection.ts";
import { dropRows } from "./drop_rows.ts";
import { LateTable } from "./late_table.ts";

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
  /** It may have been named by a forger, came by connections, or has logged in. */
  readonly kind: 0 | 1 | 2;
  /** It failed on several accounts. */
  readonly several: boolean;
  /** The first failure that counts. */
  readonly first: number;
  /** The last; lies ahead after a block. */
  readonly last: number;
}

/** A host with what is remembered of it; `undefined`: nothing. */
export type SlowChange = readonly [host: string, row: SlowRow | undefined];

const COLUMNS = "host TEXT NOT NULL UNIQUE, failures INTEGER NOT NULL, kind INTEGER NOT NULL, " +
  "several INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL";

const NAMES = "host, failures, kind, several, first, last";

/** The table of slow guessers in the file. */
export class SlowTable {
  readonly #connection: Connection;
  readonly #table: LateTable;

  /** @param connection The open database. */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#table = new LateTable(connection, "slow", COLUMNS);
  }

  /**
   * Keeps what is remembered.
   *
   * @param changes Each host once.
   * @throws BlockDatabaseError If it could not be written.
   */
  save(changes: readonly SlowChange[]): void {
    this.#connection.transaction(() => {
      this.#table.make();
      this.forget(changes.flatMap(([host, row]) => row === undefined ? [host] : []));
      const put = this.#connection.run(
        `INSERT OR REPLACE INTO slow (${NAMES}) VALUES (?, ?, ?, ?, ?, ?)`,
      );
      for (const [host, row] of changes) {
        if (row === undefined) continue;
        const { failures, kind, several, first, last } = row;
        put.run(host, failures, kind, several ? 1 : 0, boundedTime(first), boundedTime(last));
      }
      dropRows(this.#connection, "slow", "last", SLOW_ROWS_MAX);
    });
  }

  /**
   * Forgets hosts, within a transaction.
   *
   * @param hosts Canonical addresses or networks.
   */
  forget(hosts: readonly string[]): void {
    if (hosts.length === 0 || !this.#table.exists()) return;
    const forget = this.#connection.run("DELETE FROM slow WHERE host = ?");
    for (const host of hosts) forget.run(host);
  }

  /**
   * All that is kept, in no order; what makes no sense is left out.
   *
   * @throws BlockDatabaseError If the file cannot be read.
   */
  all(): SlowRow[] {
    return this.#connection.guarded(() => {
      if (!this.#table.exists()) return [];
      const sql = `SELECT json_group_array(json_array(${NAMES})) AS rows FROM slow`;
      const rows: unknown[][] = JSON.parse(String(this.#connection.run(sql).get()?.rows));
      return rows.flatMap((row) => readRow(row) ?? []);
    });
  }

  /**
   * What is kept of one host.
   *
   * @param host Canonical address or network.
   * @throws BlockDatabaseError If the file cannot be read.
   */
  of(host: string): SlowRow | undefined {
    return this.#connection.guarded(() => {
      if (!this.#table.exists()) return undefined;
      const row = this.#connection.run(`SELECT ${NAMES} FROM slow WHERE host = ?`).get(host);
      return row && readRow(NAMES.split(", ").map((name) => row[name]));
    });
  }
}

function readRow([host, ...numbers]: unknown[]): SlowRow | undefined {
  if (typeof host !== "string" || parseTarget(host) !== host) return undefined;
  if (!numbers.every((number): number is number => typeof number === "number")) return undefined;
  const [failures = 0, kind, several, first = 0, last = 0] = numbers;
  if (kind !== 0 && kind !== 1 && kind !== 2) return undefined;
  return {
    host,
    failures: Math.min(Math.max(failures, 0), FAILURES_MAX),
    kind,
    several: several === 1,
    first: boundedTime(first),
    last: boundedTime(last),
  };
}
