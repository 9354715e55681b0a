/**
 * One daemon for one database.
 *
 * @module
 */

import { BlockListError, faultOf, toBlockListError } from "./fault.ts";

/** How often the lock file may be exchanged under our hands before that is an error. */
const ATTEMPTS_MAX = 10;

/** Longest text read from a lock file, in bytes: a process number has at most ten digits. */
const PID_BYTES_MAX = 20;

/** The right to be the daemon of a database; see {@linkcode lockDatabase}. */
export class DatabaseLock implements Disposable {
  #file: Deno.FsFile | undefined;

  /**
   * See {@linkcode lockDatabase}.
   *
   * @param file the locked file; undefined on a read-only file system, where nothing can be locked
   */
  constructor(file: Deno.FsFile | undefined) {
    this.#file = file;
  }

  /** Gives the right back. The file stays: to delete it would take the lock from a process that just opened it. */
  release(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** The same as {@linkcode DatabaseLock.release}. */
  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Takes the right to be the only daemon of a database. It is an advisory lock (flock) on `DATABASE.lock`, which the
 * kernel gives back when the process ends, however it ends. Processes that only add, remove or list do not take it.
 *
 * The lock is not on the database itself: closing any handle of that file would drop SQLite's own locks
 * (https://www.sqlite.org/howtocorrupt.html, section 2.2).
 *
 * @param path path of the database
 * @returns the lock; release it at the end
 * @throws BlockListError `running` when another process holds it (with its number), or what hinders
 *
 * @example
 * ```ts
 * import { lockDatabase } from "./lock.ts";
 * using _lock = lockDatabase("/var/lib/ampere/ampere.db");
 * ```
 */
export function lockDatabase(path: string): DatabaseLock {
  const lockPath = `${path}.lock`;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const file = openLockFile(lockPath, path);
    if (file === undefined) return new DatabaseLock(undefined);
    if (!file.tryLockSync(true)) throw alreadyRunning(file, path, lockPath);
    if (isStillAt(file, lockPath)) {
      writePid(file);
      return new DatabaseLock(file);
    }
    file.close();
  }
  throw new BlockListError(
    "other",
    path,
    `database ${path}: the lock file ${lockPath} was exchanged ${ATTEMPTS_MAX} times`,
    "find out what deletes it",
  );
}

function openLockFile(lockPath: string, path: string): Deno.FsFile | undefined {
  try {
    return Deno.openSync(lockPath, { read: true, write: true, create: true, mode: 0o640 });
  } catch (error) {
    if (faultOf(error) !== "readonly") throw toBlockListError(error, path);
  }
  try {
    return Deno.openSync(lockPath);
  } catch {
    return undefined; // A read-only file system without lock file: a second daemon could not write either.
  }
}

function alreadyRunning(file: Deno.FsFile, path: string, lockPath: string): BlockListError {
  const bytes = new Uint8Array(PID_BYTES_MAX);
  const length = file.readSync(bytes) ?? 0;
  file.close();
  const text = new TextDecoder().decode(bytes.subarray(0, length)).trim();
  const holder = /^\d{1,10}$/.test(text) ? ` (process ${text})` : "";
  return new BlockListError(
    "running",
    path,
    `database ${path}: another Ampere${holder} works with it and holds ${lockPath}`,
    "stop that one first, or give this one a `database` of its own; " +
      "-a, -l and -d work while a daemon runs",
  );
}

/** Whether the locked file is the one that others will find: it may have been deleted since it was opened. */
function isStillAt(file: Deno.FsFile, lockPath: string): boolean {
  try {
    const mine = file.statSync();
    const found = Deno.statSync(lockPath);
    return mine.ino === found.ino && mine.dev === found.dev;
  } catch {
    return false;
  }
}

/** The number is only for the message of a second daemon; a full disk must not hinder the first. */
function writePid(file: Deno.FsFile): void {
  try {
    file.truncateSync();
    file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
  } catch {
    // The lock holds all the same.
  }
}
