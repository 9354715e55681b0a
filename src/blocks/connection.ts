/**
 * Opens a database, and looks first whether SQLite may be let near the file.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  berkeleyError,
  BlockDatabaseError,
  faultOf,
  foreignError,
  toDatabaseError,
  unopenedError,
} from "./fault.ts";
import { FILE_MODE, identityOf } from "./files.ts";
import { fileKind, readImage } from "./recovery/image.ts";
import { openImage } from "./recovery/salvage.ts";
import { migrate, readSchemaState } from "./schema.ts";

/** Size that the write-ahead log is cut back to after a large import, in bytes. */
const WAL_BYTES_KEPT = 4 * 1024 * 1024;

/** How a database is opened. */
interface ConnectionOptions {
  /** Only for reading; then the file must be there. */
  readonly readOnly: boolean;
  /** How long a call waits while another process writes, in milliseconds. */
  readonly busyTimeout: number;
  /** A commit does not wait for the disk, and the log is left to the caller. */
  readonly syncLater: boolean;
}

/** SQLite's connection to a database whose tables are there. */
export class Connection {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Whether this is a copy in memory of a file that SQLite cannot open in place. */
  readonly isSnapshot: boolean;
  readonly #identity: string | undefined;

  private constructor(path: string, db: DatabaseSync, isSnapshot: boolean) {
    this.#path = path;
    this.#db = db;
    this.isSnapshot = isSnapshot;
    this.#identity = isSnapshot ? undefined : identityOf(path);
    if (this.#identity !== undefined) countOpen(this.#identity, 1);
  }

  /**
   * Opens a database; a missing or empty file becomes a new one unless it is only to be read. A
   * file that is not Ampere's is never changed.
   *
   * @param path Path of the database.
   * @param options See {@linkcode ConnectionOptions}.
   * @returns The connection; close it at the end.
   * @throws BlockDatabaseError What is wrong with the file.
   */
  static open(path: string, options: ConnectionOptions): Connection {
    const { readOnly, busyTimeout, syncLater } = options;
    let db: DatabaseSync | undefined;
    try {
      prepareFile(path, readOnly);
      db = new DatabaseSync(path, { readOnly, timeout: busyTimeout });
      if (!readOnly) configure(db, path, syncLater);
      else if (readSchemaState(db, path).version === 0) {
        db.close();
        return new Connection(path, emptyDatabase(path), true);
      }
      return new Connection(path, db, false);
    } catch (error) {
      if (db?.isOpen) db.close();
      const refined = refineOpenError(error, path);
      if (!readOnly || !SNAPSHOT_FAULTS.has(refined.fault)) throw refined;
      return new Connection(path, openSnapshot(path, refined), true);
    }
  }

  /**
   * A prepared statement, kept for the next time.
   *
   * @param sql A constant text.
   * @returns The statement.
   */
  run(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /**
   * Makes changes, all or none.
   *
   * @param body Makes them.
   * @returns What it returns.
   * @throws BlockDatabaseError If they could not be written.
   */
  transaction<T>(body: () => T): T {
    return this.guarded(() => {
      try {
        // Statements, not exec: their errors carry SQLite's result code.
        this.run("BEGIN IMMEDIATE").run();
        const result = body();
        this.run("COMMIT").run();
        return result;
      } catch (error) {
        this.rollback();
        throw error;
      }
    });
  }

  /** Ends a transaction without its changes; does nothing when there is none. */
  rollback(): void {
    if (!this.#db.isOpen || !this.#db.isTransaction) return;
    try {
      this.run("ROLLBACK").run();
    } catch {
      // The error that led here is the one to tell. SQLite rolls back by itself at the latest when
      // the file is closed.
    }
  }

  /**
   * Runs an access.
   *
   * @param access Uses the statements.
   * @returns What it returns.
   * @throws BlockDatabaseError For each error of SQLite; an error of the caller leaves as it is.
   */
  guarded<T>(access: () => T): T {
    try {
      return access();
    } catch (error) {
      throw error instanceof TypeError ? error : toDatabaseError(error, this.#path);
    }
  }

  /** Closes it; a fault while closing loses nothing, because all was written before. */
  close(): void {
    if (!this.#db.isOpen) return;
    this.#statements.clear();
    if (this.#identity !== undefined) countOpen(this.#identity, -1);
    try {
      this.#db.close();
    } catch {
      // SQLite could not copy its log into the database; the next one who opens it does.
    }
  }
}

/** How often each file is open here, by device and inode: see {@linkcode prepareFile}. */
const openHere = new Map<string, number>();

/**
 * Sees to it that SQLite finds a file that it may work with. SQLite itself would overwrite a
 * foreign file beside which a write-ahead log was left, or one of a single byte, and would delete
 * the log beside a file that has become empty.
 *
 * The file is looked at only while this process does not have it open (see `fileKind`); then it is
 * known to be good.
 */
function prepareFile(path: string, readOnly: boolean): void {
  const identity = identityOf(path);
  // SQLite says that a file to be read is missing.
  if (identity === undefined) return readOnly ? undefined : createFile(path);
  if (openHere.has(identity) || !Deno.statSync(path).isFile) return;
  const kind = fileKind(path);
  if (kind === "berkeley") throw berkeleyError(path);
  if (kind === "unknown") throw foreignError(path);
  // The size once more: another process may just be making the database, which has a page before it
  // has a log.
  if (kind === "empty" && hasLog(path) && Deno.statSync(path).size === 0) {
    throw toDatabaseError(
      new Error("database disk image is malformed: only its write-ahead log is left"),
      path,
    );
  }
}

function countOpen(identity: string, change: 1 | -1): void {
  const count = (openHere.get(identity) ?? 0) + change;
  if (count > 0) openHere.set(identity, count);
  else openHere.delete(identity);
}

function hasLog(path: string): boolean {
  try {
    return Deno.statSync(`${path}-wal`).size > 0;
  } catch {
    return false;
  }
}

/** Makes an empty file with its rights at once, so that it is never there with wider ones. */
function createFile(path: string): void {
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: FILE_MODE }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

function configure(db: DatabaseSync, path: string, syncLater: boolean): void {
  // Whose file it is comes first: nothing may be written before.
  readSchemaState(db, path);
  const pragmas = [
    "journal_mode = WAL",
    // FULL: a commit is on the disk when it returns, also after a power failure.
    ...(syncLater ? ["synchronous = NORMAL", "wal_autocheckpoint = 0"] : ["synchronous = FULL"]),
    "temp_store = MEMORY", // no right to write in /tmp is needed
    "secure_delete = ON", // removed blocks must not come back when a damaged file is salvaged
    "cell_size_check = ON",
    "trusted_schema = OFF",
    `journal_size_limit = ${WAL_BYTES_KEPT}`,
  ];
  for (const pragma of pragmas) db.prepare(`PRAGMA ${pragma}`).get();
  migrate(db, path);
}

/** Faults that do not hinder reading the bytes of the file. */
const SNAPSHOT_FAULTS = new Set(["denied", "readonly", "full", "io"]);

/** A readable copy in memory of a file that SQLite cannot open in place. */
function openSnapshot(path: string, problem: BlockDatabaseError): DatabaseSync {
  try {
    const db = openImage(readImage(path));
    readSchemaState(db, path);
    return db;
  } catch (error) {
    throw error instanceof BlockDatabaseError ? error : problem;
  }
}

/** What an empty file, or an SQLite file without tables, is read as. */
function emptyDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  migrate(db, path);
  return db;
}

/** SQLite says only "unable to open"; the file and its folder tell what is behind it. */
function refineOpenError(error: unknown, path: string): BlockDatabaseError {
  const fault = faultOf(error);
  if (error instanceof BlockDatabaseError || error instanceof Deno.errors.NotCapable) {
    return toDatabaseError(error, path);
  }
  if (fault === "denied" || fault === "missing" || fault === "other") {
    return unopenedError(path, error) ?? unwritableError(path) ?? toDatabaseError(error, path);
  }
  return toDatabaseError(error, path);
}

/**
 * SQLite says "unable to open" for a read-only file system and for a full one, too. Opening the
 * daemon's lock file tells them apart; the database itself must not be opened and closed beside
 * SQLite (see `fileKind`).
 */
function unwritableError(path: string): BlockDatabaseError | undefined {
  try {
    Deno.openSync(`${path}.lock`, { write: true, create: true, mode: FILE_MODE }).close();
    return undefined;
  } catch (error) {
    return faultOf(error) === "denied" ? undefined : toDatabaseError(error, path);
  }
}
