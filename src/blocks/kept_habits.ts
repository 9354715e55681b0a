/**
 * From where accounts log in, as it outlives a restart.
 *
 * @module
 */

import { boundedText, boundedTime } from "./block.ts";
import type { Connection } from "./connection.ts";
import { dropRows } from "./drop_rows.ts";
import { LateTable, readList } from "./late_table.ts";

/** Most accounts; the one that logged in longest ago goes first. */
export const ACCOUNTS_MAX = 10_000;

/** Most countries, and most networks, of an account; the one seen longest ago goes first. */
export const PLACES_MAX = 8;

/** Longest account that is kept, in UTF-16 units: a service, and what is kept of a name. */
const ACCOUNT_MAX = 100;

/** Longest text of a row that is read, in UTF-16 units. */
const ROW_CHARACTERS_MAX = 4_096;

/** Places of one kind from which an account logs in; times in milliseconds since 1970. */
export interface SeenPlaces<Name> {
  /** When the first login was seen; `undefined`: none yet. */
  readonly since: number | undefined;
  /** By name, with the last login to within a day; the one seen longest ago first. */
  readonly seen: ReadonlyMap<Name, number>;
}

/** From where an account logs in. */
export interface Habit {
  /** Service and name, `PJSIP 100`. */
  readonly account: string;
  /** By the code of the country. */
  readonly countries: SeenPlaces<string>;
  /** By the number of the network. */
  readonly networks: SeenPlaces<number>;
}

const COLUMNS = "account TEXT NOT NULL UNIQUE, last INTEGER NOT NULL, places TEXT NOT NULL";

/** The table of habits in the file. */
export class HabitsTable {
  readonly #connection: Connection;
  readonly #table: LateTable;

  /** @param connection The open database. */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#table = new LateTable(connection, "habits", COLUMNS);
  }

  /**
   * Keeps from where accounts log in.
   *
   * @param habits Accounts as they are now.
   * @throws BlockDatabaseError If it could not be written.
   */
  save(habits: readonly Habit[]): void {
    this.#connection.transaction(() => {
      this.#table.make();
      const put = this.#connection.run(
        `INSERT INTO habits (account, last, places) VALUES (?, ?, ?)
         ON CONFLICT (account) DO UPDATE SET last = excluded.last, places = excluded.places`,
      );
      for (const { account, countries, networks } of habits) {
        const last = Math.max(0, ...countries.seen.values(), ...networks.seen.values());
        const places = JSON.stringify([rowOf(countries), rowOf(networks)]);
        put.run(boundedText(account, ACCOUNT_MAX), boundedTime(last), places);
      }
      dropRows(this.#connection, "habits", "last", ACCOUNTS_MAX);
    });
  }

  /**
   * All habits that are kept, the account that logged in longest ago first.
   *
   * @throws BlockDatabaseError If the file cannot be read.
   */
  all(): Habit[] {
    return this.#connection.guarded(() => {
      if (!this.#table.exists()) return [];
      const sql = "SELECT json_group_array(json_array(account, places)) AS rows " +
        "FROM (SELECT * FROM habits ORDER BY last DESC LIMIT ?)";
      const rows: unknown[] = JSON.parse(String(this.#connection.run(sql).get(ACCOUNTS_MAX)?.rows));
      return rows.flatMap((row) => Array.isArray(row) ? readHabit(row) ?? [] : []).reverse();
    });
  }
}

/**
 * Makes a habit of a row, which may hold anything.
 *
 * @param row Account, places as JSON.
 * @returns `undefined` if it is none.
 */
export function readHabit(row: readonly unknown[]): Habit | undefined {
  const [account, text] = row;
  if (typeof account !== "string" || account === "") return undefined;
  const places = readList(text, ROW_CHARACTERS_MAX);
  if (places === undefined) return undefined;
  const countries = readPlaces(
    places[0],
    (name) => typeof name === "string" && /^[A-Z]{2}$/.test(name) ? name : undefined,
  );
  const networks = readPlaces(
    places[1],
    (name) => typeof name === "number" && Number.isSafeInteger(name) && name > 0 ? name : undefined,
  );
  if (countries === undefined || networks === undefined) return undefined;
  return { account: boundedText(account, ACCOUNT_MAX), countries, networks };
}

function readPlaces<Name>(
  row: unknown,
  nameOf: (value: unknown) => Name | undefined,
): SeenPlaces<Name> | undefined {
  if (!Array.isArray(row) || !Array.isArray(row[1])) return undefined;
  const since = typeof row[0] === "number" ? boundedTime(row[0]) : undefined;
  const seen = row[1].slice(0, PLACES_MAX).flatMap((one): [Name, number][] => {
    const name = Array.isArray(one) ? nameOf(one[0]) : undefined;
    const at = Array.isArray(one) ? one[1] : undefined;
    return name === undefined || typeof at !== "number" ? [] : [[name, boundedTime(at)]];
  });
  return { since, seen: new Map(seen) };
}

function rowOf<Name>({ since, seen }: SeenPlaces<Name>): unknown[] {
  return [since ?? null, [...seen]];
}
