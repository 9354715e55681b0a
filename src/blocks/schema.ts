/**
 * The tables, their version, and who owns the file.
 *
 * @module
 */

import type { DatabaseSync } from "node:sqlite";
import { BlockDatabaseError, toDatabaseError } from "./fault.ts";

/**
 * "Ampr": the mark of this program in byte 68 of the file (https://www.sqlite.org/fileformat.html,
 * section 1.3).
 */
const APPLICATION_ID = 0x416d7072;

/**
 * The steps from an empty file to the newest schema; `user_version` counts those that were done. A
 * step that was released is never changed. What `salvage.ts` knows about columns must follow.
 *
 * `block` is what is blocked now, `history` what was and has ended, `standing` the hosts that
 * logged in with a password, `birth` when a daemon first had the list (one row; none until then; 0:
 * before that was written down). The tables keep their rowid and with it a separate index on the
 * target: of a damaged file the index still tells the targets whose rows are gone.
 */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE block (
     target TEXT NOT NULL UNIQUE,
     since INTEGER NOT NULL,
     until INTEGER,
     reason TEXT NOT NULL,
     service TEXT NOT NULL,
     transport TEXT NOT NULL,
     account TEXT NOT NULL,
     times INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX block_until ON block (until) WHERE until IS NOT NULL;
   CREATE TABLE history (
     target TEXT NOT NULL UNIQUE,
     times INTEGER NOT NULL,
     ended INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE standing (
     host TEXT NOT NULL UNIQUE,
     last_login INTEGER NOT NULL
   ) STRICT;`,
  // A list of an earlier version is not new: while the steps are done user_version is that of
  // before.
  `CREATE TABLE birth (at INTEGER NOT NULL) STRICT;
   INSERT INTO birth SELECT 0 FROM pragma_user_version WHERE user_version > 0;`,
];

/** What the head of an SQLite file says. */
interface SchemaState {
  /** Steps of {@linkcode MIGRATIONS} that were done; 0: a file without tables. */
  readonly version: number;
}

/**
 * Reads whose file this is. The first statement on a new connection: SQLite looks at the file only
 * now.
 *
 * @param db The open database; nothing is written.
 * @param path Its path, for messages.
 * @param newest The newest version that this program knows.
 * @returns The version.
 * @throws BlockDatabaseError `foreign` if it is a database of another program, `newer` if of a
 *   later version.
 */
export function readSchemaState(
  db: DatabaseSync,
  path: string,
  newest: number = MIGRATIONS.length,
): SchemaState {
  const { owner, version, tables } = readHead(db);
  if (owner === 0 && version === 0 && tables === 0) return { version: 0 };
  if (owner !== APPLICATION_ID) {
    throw new BlockDatabaseError(
      "foreign",
      path,
      `database ${path}: this SQLite file belongs to another program`,
      "nothing was changed in it; set `database` to another path",
    );
  }
  if (version > newest) {
    throw new BlockDatabaseError(
      "newer",
      path,
      `database ${path}: written by a later version of Ampere (schema ${version}; this one ` +
        `knows up to ${newest})`,
      "install that version again, or set `database` to another path",
    );
  }
  return { version };
}

/**
 * Brings the tables to the newest version, in one transaction; two processes may do so at the same
 * time.
 *
 * @param db The open database.
 * @param path Its path, for messages.
 * @param steps The steps; only tests give others than {@linkcode MIGRATIONS}.
 * @throws BlockDatabaseError If it fails; then nothing was changed.
 */
export function migrate(
  db: DatabaseSync,
  path: string,
  steps: readonly string[] = MIGRATIONS,
): void {
  if (readSchemaState(db, path, steps.length).version === steps.length) return;
  try {
    db.prepare("BEGIN IMMEDIATE").run();
    // Read again: another process may have done it while this one waited for the lock.
    const { version } = readSchemaState(db, path, steps.length);
    for (const step of steps.slice(version)) db.exec(step);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${steps.length}`);
    db.prepare("COMMIT").run();
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw toDatabaseError(error, path);
  }
}

/** Reads at one moment: another process may be about to make the tables. */
function readHead(db: DatabaseSync): { owner: number; version: number; tables: number } {
  const within = db.isTransaction;
  if (!within) db.prepare("BEGIN").run();
  try {
    return {
      // First of all the schema, which begins the snapshot that the others read.
      tables: Number(db.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()?.tables),
      owner: Number(db.prepare("PRAGMA application_id").get()?.application_id),
      version: Number(db.prepare("PRAGMA user_version").get()?.user_version),
    };
  } finally {
    if (!within && db.isTransaction) db.prepare("COMMIT").run();
  }
}
