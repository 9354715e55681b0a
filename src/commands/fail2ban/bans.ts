/**
 * Whom fail2ban has banned: the table `bips` of its database, which says until when.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { whyNotRead } from "../../config/file.ts";

/** A ban. */
export interface Ban {
  readonly jail: string;
  /** What is banned, as fail2ban has it. */
  readonly ip: string;
  /** When it began, in milliseconds since 1970. */
  readonly since: number;
  /** When it ends; `undefined` for ever. */
  readonly until: number | undefined;
}

/** How long fail2ban may hold its database, in milliseconds. */
const BUSY_MS = 5_000;

/** Most bans that are read. */
const BANS_MAX = 1_000_000;

/** The database cannot be read; the message says why. */
export class BansError extends Error {
  override readonly name = "BansError";
}

/**
 * Reads the database, and changes nothing in it.
 *
 * @param path The file.
 * @returns All bans, whatever their jail.
 * @throws {BansError} If it cannot be read.
 */
export function readBans(path: string): Ban[] {
  let db: DatabaseSync | undefined;
  try {
    // SQLite does not say why a file cannot be opened.
    Deno.openSync(path).close();
  } catch (error) {
    throw new BansError(whyNotRead(error));
  }
  try {
    db = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const has = (name: string) => tables.some((row) => row.name === name);
    if (!has("bips")) {
      throw new BansError(
        has("bans")
          ? "it is of a fail2ban older than 0.11, which keeps no ends of bans"
          : "it is not fail2ban's",
      );
    }
    const rows = db.prepare(
      `SELECT jail, ip, timeofban, bantime FROM bips ORDER BY timeofban, ip LIMIT ${BANS_MAX}`,
    );
    return rows.all().map(({ jail, ip, timeofban, bantime }) => {
      const since = 1000 * Number(timeofban);
      const length = 1000 * Number(bantime);
      return {
        jail: String(jail),
        ip: String(ip),
        since,
        until: length < 0 ? undefined : since + length,
      };
    });
  } catch (error) {
    if (error instanceof BansError) throw error;
    throw new BansError(
      `it cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  } finally {
    if (db?.isOpen) db.close();
  }
}
