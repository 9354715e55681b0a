/**
 * What can go wrong with the database, in words that say what to do.
 *
 * @module
 */

import { dirname } from "node:path";

/**
 * What is wrong with a database:
 *
 * - `busy`: another process writes
 * - `full`: no room on the device
 * - `readonly`: the file or its file system is read-only
 * - `io`: the device reports errors
 * - `corrupt`: an SQLite file whose content is damaged
 * - `foreign`: not an SQLite file, or one of another program; it is never touched
 * - `newer`: written by a later version of this program
 * - `missing`: the file, or the folder that shall hold it, is not there
 * - `denied`: this user, or this program's permissions, may not touch it
 * - `running`: another Ampere works with it
 * - `other`: anything else
 */
export type DatabaseFault =
  | "busy"
  | "full"
  | "readonly"
  | "io"
  | "corrupt"
  | "foreign"
  | "newer"
  | "missing"
  | "denied"
  | "running"
  | "other";

/** A database that cannot be used, with the reason and the mend. */
export class BlockDatabaseError extends Error {
  /** Always "BlockDatabaseError". */
  override readonly name = "BlockDatabaseError";
  /** The kind of fault. */
  readonly fault: DatabaseFault;
  /** Path of the database. */
  readonly path: string;
  /** What a person can do about it. */
  readonly advice: string;

  /**
   * See {@linkcode toDatabaseError} for errors of SQLite and of the system.
   *
   * @param fault The kind of fault.
   * @param path Path of the database.
   * @param message What happened, with the path.
   * @param advice What to do.
   * @param cause The error underneath.
   */
  constructor(
    fault: DatabaseFault,
    path: string,
    message: string,
    advice: string,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.fault = fault;
    this.path = path;
    this.advice = advice;
  }
}

/**
 * Result codes of SQLite (the low eight bits of the extended ones),
 * https://www.sqlite.org/rescode.html
 */
const FAULT_OF_CODE: Readonly<Record<number, DatabaseFault>> = {
  3: "denied", // SQLITE_PERM
  5: "busy", // SQLITE_BUSY
  6: "busy", // SQLITE_LOCKED
  8: "readonly", // SQLITE_READONLY
  10: "io", // SQLITE_IOERR
  11: "corrupt", // SQLITE_CORRUPT
  13: "full", // SQLITE_FULL
  14: "denied", // SQLITE_CANTOPEN
  23: "denied", // SQLITE_AUTH
  26: "corrupt", // SQLITE_NOTADB
};

/** SQLITE_IOERR_SHMSIZE: no room to make the shared-memory file beside the database longer. */
const SHM_SIZE_CODE = 4_874;

/** Beginnings of SQLite's messages, for the calls of node:sqlite that give no result code. */
const FAULT_OF_MESSAGE: readonly (readonly [string, DatabaseFault])[] = [
  ["database is locked", "busy"],
  ["database table is locked", "busy"],
  ["attempt to write a readonly database", "readonly"],
  ["disk I/O error", "io"],
  ["database disk image is malformed", "corrupt"],
  ["malformed database schema", "corrupt"],
  ["database or disk is full", "full"],
  ["unable to open database file", "denied"],
  ["file is not a database", "corrupt"],
];

/** Error numbers of Linux, as Deno prints them: "(os error 28)". */
const FAULT_OF_ERRNO: Readonly<Record<number, DatabaseFault>> = {
  5: "io", // EIO
  28: "full", // ENOSPC
  30: "readonly", // EROFS
  122: "full", // EDQUOT
};

/**
 * The kind of fault behind an error of node:sqlite or of Deno's file functions.
 *
 * @param error What was thrown.
 * @returns The kind; `other` when nothing fits.
 */
export function faultOf(error: unknown): DatabaseFault {
  if (error instanceof BlockDatabaseError) return error.fault;
  if (error instanceof Deno.errors.NotCapable) return "denied";
  if (error instanceof Deno.errors.PermissionDenied) return "denied";
  if (error instanceof Deno.errors.NotFound) return "missing";
  if (!(error instanceof Error)) return "other";
  const code: unknown = (error as { errcode?: unknown }).errcode;
  if (code === SHM_SIZE_CODE) return "full";
  if (typeof code === "number") return FAULT_OF_CODE[code & 0xff] ?? "other";
  const errno = /\(os error (\d+)\)/.exec(error.message)?.[1];
  if (errno !== undefined) return FAULT_OF_ERRNO[Number(errno)] ?? "other";
  return FAULT_OF_MESSAGE.find(([start]) => error.message.startsWith(start))?.[1] ?? "other";
}

/**
 * Turns any error about a database into one that names the path and the mend.
 *
 * @param error What was thrown.
 * @param path Path of the database.
 * @returns The error itself when it is one already.
 */
export function toDatabaseError(error: unknown, path: string): BlockDatabaseError {
  if (error instanceof BlockDatabaseError) return error;
  const fault = faultOf(error);
  const detail = detailOf(error);
  const words = error instanceof Deno.errors.NotCapable
    ? NOT_CAPABLE
    : WORDS[fault](path, dirname(path));
  return new BlockDatabaseError(
    fault,
    path,
    `database ${path}: ${words.message} (${detail})`,
    words.advice,
    error,
  );
}

function detailOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = (error as { errcode?: unknown }).errcode;
  return typeof code === "number" ? `${error.message}, SQLite code ${code}` : error.message;
}

interface Words {
  readonly message: string;
  readonly advice: string;
}

const NOT_CAPABLE: Words = {
  message: "this program was built without the right to touch this path",
  advice: "set `database` to a path below /var/lib/ampere, or build the program so that it may " +
    "read and write its folder: deno task compile -- --allow-path=DIRECTORY",
};

const WORDS: Readonly<Record<DatabaseFault, (path: string, folder: string) => Words>> = {
  busy: (path) => ({
    message: "another process is writing to it",
    advice: `try again; if it stays so, "fuser ${path}" shows which process holds it`,
  }),
  full: (_path, folder) => ({
    message: "the disk is full",
    advice: `make room in the file system of ${folder} ("df ${folder}")`,
  }),
  readonly: (_path, folder) => ({
    message: "it is read-only",
    advice: `mount the file system of ${folder} writable, or set \`database\` to another path`,
  }),
  io: (_path, folder) => ({
    message: "reading or writing it fails",
    advice: `look into the kernel's log ("dmesg") and check the device of ${folder}`,
  }),
  corrupt: () => ({
    message: "its content is damaged",
    advice: "start (or restart) the daemon: it sets the damaged file aside, saves what can be " +
      "read and begins a new one",
  }),
  foreign: () => ({
    message: "it belongs to another program",
    advice: "set `database` to another path",
  }),
  newer: () => ({
    message: "it was written by a later version of Ampere",
    advice: "install that version again, or set `database` to another path",
  }),
  missing: (_path, folder) => ({
    message: "there is no such file or folder",
    advice: `create the folder ("mkdir -p -m 750 ${folder}"), or correct \`database\``,
  }),
  denied: (path, folder) => ({
    message: "it cannot be opened",
    advice:
      "use sudo; for the daemon let everything belong to the user that runs it, with the packaged unit root: " +
      `chown root: ${folder} ${path}*`,
  }),
  running: () => ({
    message: "another Ampere works with it",
    advice: "stop that one, or give this one a `database` of its own",
  }),
  other: () => ({
    message: "it cannot be used",
    advice: "the text in brackets is SQLite's or the system's; set `database` to another path " +
      "if nothing else helps",
  }),
};

/**
 * The error about a database that is not there.
 *
 * @param path Path of the database.
 * @param cause What was thrown.
 * @returns Whether the file is missing or its folder, and what to do.
 */
export function missingError(path: string, cause: unknown): BlockDatabaseError {
  const folder = dirname(path);
  let folderExists = true;
  try {
    Deno.statSync(folder);
  } catch {
    folderExists = false;
  }
  if (folderExists) {
    return new BlockDatabaseError(
      "missing",
      path,
      `database ${path}: there is no such file`,
      "the daemon or `ampere -a` creates it; if there should be one, correct `database` in ampere.cfg",
      cause,
    );
  }
  return new BlockDatabaseError(
    "missing",
    path,
    `database ${path}: there is no folder ${folder}`,
    `create it ("mkdir -p -m 750 ${folder}"), or correct \`database\` in ampere.cfg`,
    cause,
  );
}

/**
 * The error about a file of Ampere 0.2.
 *
 * @param path Path of the database.
 * @returns How to take its blocks over.
 */
export function berkeleyError(path: string): BlockDatabaseError {
  return new BlockDatabaseError(
    "foreign",
    path,
    `database ${path}: this is a Berkeley DB file, as Ampere 0.2 kept it, not an SQLite database`,
    "nothing was changed in it. To take its blocks over: list them with the old program " +
      '("ampere -l > blocks.txt"), set `database` in ampere.cfg to another path (the default is ' +
      '/var/lib/ampere/ampere.db), and add them with this one ("ampere -a < blocks.txt")',
  );
}

/**
 * The error about a file that is no SQLite database.
 *
 * @param path Path of the database.
 * @returns That the file was left as it is, and what to do.
 */
export function foreignError(path: string): BlockDatabaseError {
  return new BlockDatabaseError(
    "foreign",
    path,
    `database ${path}: this file is not an SQLite database`,
    "nothing was changed in it; set `database` in ampere.cfg to another path. The blocks of another " +
      'program are taken over with "ampere -a", one address a line',
  );
}

/**
 * The error about a path where no database can be opened whatever its rights are.
 *
 * @param path Path of the database.
 * @param cause What was thrown.
 * @returns Whether a folder or a file is missing, or the one stands where the other should be;
 *   `undefined` if none of that is so.
 */
export function unopenedError(path: string, cause: unknown): BlockDatabaseError | undefined {
  const folder = dirname(path);
  try {
    if (!Deno.statSync(folder).isDirectory) {
      return new BlockDatabaseError(
        "missing",
        path,
        `database ${path}: ${folder} is not a folder`,
        "correct `database` in ampere.cfg",
        cause,
      );
    }
    if (Deno.statSync(path).isDirectory) {
      return new BlockDatabaseError(
        "denied",
        path,
        `database ${path}: this is a folder, not a file`,
        `correct \`database\` in ampere.cfg, for example to ${path}/ampere.db`,
        cause,
      );
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return missingError(path, cause);
  }
  return undefined;
}
