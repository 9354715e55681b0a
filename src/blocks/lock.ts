/**
 * One daemon for one database.
 *
 * @module
 */

import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { BlockDatabaseError, faultOf, missingError, toDatabaseError } from "./fault.ts";
import { FILE_MODE, identityOf } from "./files.ts";

/**
 * How often the lock file may be exchanged under our hands, or be damaged, before that is an error.
 */
const ATTEMPTS_MAX = 10;

/** The right to be the daemon of a database; see {@linkcode lockDatabase}. */
export class DatabaseLock implements Disposable {
  #db: DatabaseSync | undefined;

  /**
   * See {@linkcode lockDatabase}.
   *
   * @param db Holds the lock; undefined on a read-only file system, where nothing can be locked.
   */
  constructor(db: DatabaseSync | undefined) {
    this.#db = db;
  }

  /**
   * Gives the right back. The file stays: to delete it would take the lock from a process that just
   * opened it.
   */
  release(): void {
    this.#db?.close();
    this.#db = undefined;
  }

  /** The same as {@linkcode DatabaseLock.release}. */
  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Takes the right to be the only daemon of a database: SQLite's write lock on `DATABASE.lock`, an
 * empty database of its own, which the kernel gives back when the process ends, however it ends.
 * Processes that only add, remove or list do not take it. (Deno has file locks of its own, but only
 * since 2.7; an executable may be built with an older runtime.)
 *
 * The lock is not on the database itself: that must stay writable for the others.
 *
 * @param path Path of the database.
 * @param taken Makes the error for a lock that another process holds.
 * @returns The lock; release it at the end.
 * @throws BlockDatabaseError `running` when another process holds it (with its number), or what
 *   hinders.
 *
 * @example
 * ```ts
 * import { lockDatabase } from "./lock.ts";
 * using _lock = lockDatabase("/var/lib/ampere/ampere.db");
 * ```
 */
export function lockDatabase(
  path: string,
  taken: (pid: number | undefined, path: string, lockPath: string) => Error = alreadyRunning,
): DatabaseLock {
  const lockPath = `${path}.lock`;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    let db: DatabaseSync | undefined;
    try {
      db = new DatabaseSync(lockPath, { timeout: 0 });
      const file = identityOf(lockPath);
      // Who may write it can keep the daemon from starting.
      if (file !== undefined) Deno.chmodSync(lockPath, FILE_MODE);
      // In memory: a full disk must not hinder the daemon.
      db.exec("PRAGMA journal_mode = MEMORY");
      writePid(db);
      db.exec("BEGIN IMMEDIATE");
      // It may have been deleted since it was opened; then others would find, and lock, another
      // one.
      if (identityOf(lockPath) === file) return new DatabaseLock(db);
      db.close();
    } catch (error) {
      const holder = db === undefined ? undefined : pidIn(db);
      if (db?.isOpen) db.close();
      switch (faultOf(error)) {
        case "busy":
          throw taken(holder, path, lockPath);
        case "readonly":
          return new DatabaseLock(undefined); // A second daemon could not write either.
        case "foreign":
        case "corrupt":
          Deno.removeSync(lockPath); // It holds nothing but a process number.
          break;
        default:
          // SQLite says of a missing folder only that it is unable to open the file.
          throw isMissing(dirname(path)) ? missingError(path, error) : toDatabaseError(error, path);
      }
    }
  }
  throw new BlockDatabaseError(
    "other",
    path,
    `database ${path}: the lock file ${lockPath} was exchanged ${ATTEMPTS_MAX} times`,
    "find out what deletes it",
  );
}

/**
 * The number is only for the message of a second daemon: what hinders writing it does not matter,
 * unless it is a lock.
 */
function writePid(db: DatabaseSync): void {
  try {
    db.exec(`PRAGMA user_version = ${Deno.pid}`);
  } catch (error) {
    if (faultOf(error) === "busy") throw error;
  }
}

function pidIn(db: DatabaseSync): number | undefined {
  try {
    return Number(db.prepare("PRAGMA user_version").get()?.user_version) || undefined;
  } catch {
    return undefined;
  }
}

function alreadyRunning(
  pid: number | undefined,
  path: string,
  lockPath: string,
): BlockDatabaseError {
  const holder = pid === undefined ? "" : ` (process ${pid})`;
  return new BlockDatabaseError(
    "running",
    path,
    `database ${path}: another Ampere${holder} works with it and holds ${lockPath}`,
    "stop that one first, or give this one a `database` of its own; " +
      "-a, -l and -d work while a daemon runs",
  );
}

function isMissing(folder: string): boolean {
  try {
    Deno.statSync(folder);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}
