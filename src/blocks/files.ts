/**
 * The files of a database, as the system tells them apart.
 *
 * @module
 */

import { faultOf } from "./fault.ts";

/** Rights of a new file: the list says which accounts were tried. SQLite gives its log the same. */
export const FILE_MODE = 0o640;

/**
 * Which file is at a path, as long as somebody holds it open.
 *
 * @param path Any path.
 * @returns Its device and inode; `undefined`: there is none.
 * @throws The System's error if it cannot be looked at.
 */
export function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    if (faultOf(error) === "missing") return undefined;
    throw error;
  }
}

/** Which files an open database consists of. */
export interface DatabaseIdentity {
  /** The database itself. */
  readonly database: string;
  /** Its write-ahead log. */
  readonly log: string | undefined;
}

/**
 * Which files are a database.
 *
 * @param path Path of the database.
 * @returns `undefined`: there is none.
 * @throws The System's error if the files cannot be looked at.
 */
export function databaseIdentityOf(path: string): DatabaseIdentity | undefined {
  const database = identityOf(path);
  return database === undefined ? undefined : { database, log: identityOf(`${path}-wal`) };
}

/**
 * Which file is at a path, also when nobody holds it open: then the inode of a deleted file may
 * soon be that of another.
 *
 * @param path Any path.
 * @returns `undefined` if that cannot be known.
 */
export function incarnationOf(path: string): string | undefined {
  try {
    const { dev, ino, birthtime } = Deno.statSync(path);
    return birthtime === null ? undefined : `${dev}:${ino}:${birthtime.getTime()}`;
  } catch {
    return undefined;
  }
}
