/**
 * What hosts have cost so far, as it outlives a restart.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import { boundedText, boundedTime } from "./block.ts";
import type { Connection } from "./connection.ts";
import { dropRows } from "./drop_rows.ts";
import { LateTable, readList } from "./late_table.ts";

/** Most hosts that are kept. */
export const POINTS_ROWS_MAX = 16_384;

/** Longest account name that is kept, in UTF-16 units. */
const ACCOUNT_MAX = 100;

/** Most accounts of a host that are read: as many as are told apart, and all others together. */
const ACCOUNTS_MAX = 65;

/** Most kinds of attempts that are read. */
const TALLY_MAX = 16;

/** Longest text of a row that is read, in UTF-16 units. */
const ROW_CHARACTERS_MAX = 65_536;

/** Highest number in a row that is believed. */
const NUMBER_MAX = 1_000_000;

/** What a host has failed on one account. */
export interface KeptAccount {
  /** The account, told apart by its service. */
  readonly account: string;
  /** What that has cost. */
  readonly points: number;
  /** In which session, as a number. */
  readonly session: number;
}

/** A host with what it has cost. Times are in milliseconds since 1970. */
export interface StoredPoints {
  /** Canonical address. */
  readonly host: string;
  /** The first attempt that counted. */
  readonly firstAt: number;
  /** Its last event. */
  readonly lastAt: number;
  /** What it has cost. */
  readonly points: number;
  /** How many of the points are of unanswered challenges. */
  readonly soft: number;
  /** How many of the points are of attempts whose address can't be forged. */
  readonly proven: number;
  /** The session in which it failed, as a number. */
  readonly session: number;
  /** What it was charged for, by kind. */
  readonly tally: readonly number[];
  /** On which accounts. */
  readonly accounts: readonly KeptAccount[];
}

const COLUMNS = "host TEXT NOT NULL UNIQUE, first INTEGER NOT NULL, last INTEGER NOT NULL, " +
  "points INTEGER NOT NULL, state TEXT NOT NULL";

/** The table of points in the file. */
export class PointsTable {
  readonly #connection: Connection;
  readonly #table: LateTable;

  /** @param connection The open database. */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#table = new LateTable(connection, "points", COLUMNS);
  }

  /**
   * Keeps what hosts have cost, and forgets hosts.
   *
   * @param put Hosts as they are now.
   * @param gone Canonical addresses of those that have no points any more.
   * @throws BlockDatabaseError If it could not be written.
   */
  save(put: readonly StoredPoints[], gone: readonly string[]): void {
    this.#connection.transaction(() => {
      this.#table.make();
      this.forget(gone);
      const insert = this.#connection.run(
        `INSERT INTO points (host, first, last, points, state) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (host) DO UPDATE SET first = excluded.first, last = excluded.last,
           points = excluded.points, state = excluded.state`,
      );
      for (const { host, firstAt, lastAt, points, ...rest } of put) {
        const { soft, proven, session, tally, accounts } = rest;
        const state = [soft, proven, session, tally, accounts.map(accountRow)];
        insert.run(
          host,
          boundedTime(firstAt),
          boundedTime(lastAt),
          points,
          JSON.stringify(state),
        );
      }
      dropRows(this.#connection, "points", "points, last", POINTS_ROWS_MAX);
    });
  }

  /**
   * Forgets hosts, within a transaction.
   *
   * @param hosts Canonical addresses.
   */
  forget(hosts: readonly string[]): void {
    if (hosts.length === 0 || !this.#table.exists()) return;
    const forget = this.#connection.run("DELETE FROM points WHERE host = ?");
    for (const host of hosts) forget.run(host);
  }

  /**
   * All hosts that are kept, the one that was seen longest ago first.
   *
   * @throws BlockDatabaseError If the file cannot be read.
   */
  all(): StoredPoints[] {
    return this.#connection.guarded(() => {
      if (!this.#table.exists()) return [];
      const sql = "SELECT json_group_array(json_array(host, first, last, points, state)) AS rows " +
        "FROM (SELECT * FROM points ORDER BY last DESC LIMIT ?)";
      const rows: unknown[] = JSON.parse(
        String(this.#connection.run(sql).get(POINTS_ROWS_MAX)?.rows),
      );
      return rows.flatMap((row) => Array.isArray(row) ? readPoints(row) ?? [] : []).reverse();
    });
  }
}

/**
 * Makes points of a row, which may hold anything.
 *
 * @param row Host, first, last, points, state as JSON.
 * @returns `undefined` if it is no host with points.
 */
export function readPoints(row: readonly unknown[]): StoredPoints | undefined {
  const [host, first, last, points, text] = row;
  if (typeof host !== "string" || parseAddress(host) !== host) return undefined;
  if (typeof first !== "number" || typeof last !== "number") return undefined;
  const sum = numberOf(points);
  if (sum === undefined || sum === 0) return undefined;
  const state = readList(text, ROW_CHARACTERS_MAX);
  if (state === undefined || !Array.isArray(state[3]) || !Array.isArray(state[4])) {
    return undefined;
  }
  const [soft, proven] = state.slice(0, 2).map(numberOf);
  const session = state[2];
  if (soft === undefined || proven === undefined || typeof session !== "number") return undefined;
  const tally = state[3].slice(0, TALLY_MAX).map((count) => numberOf(count) ?? 0);
  return {
    host,
    firstAt: boundedTime(first),
    lastAt: boundedTime(last),
    points: sum,
    soft: Math.min(soft, sum),
    proven,
    session: session | 0,
    tally,
    accounts: state[4].slice(0, ACCOUNTS_MAX).flatMap((one) => readAccount(one) ?? []),
  };
}

function readAccount(row: unknown): KeptAccount | undefined {
  if (!Array.isArray(row)) return undefined;
  const [account, points, session] = row;
  const sum = numberOf(points);
  if (typeof account !== "string" || sum === undefined) return undefined;
  if (typeof session !== "number") return undefined;
  return { account: boundedText(account, ACCOUNT_MAX), points: sum, session: session | 0 };
}

function accountRow({ account, points, session }: KeptAccount): unknown[] {
  return [boundedText(account, ACCOUNT_MAX), points, session];
}

/** A whole number that is not too large; `undefined` for all else. */
function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= NUMBER_MAX
    ? value
    : undefined;
}
