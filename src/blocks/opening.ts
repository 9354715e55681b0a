/**
 * The start of the daemon's list: the lock, the database as it is found, and what is saved of a
 * damaged one.
 *
 * @module
 */

import type { Entry } from "../firewall/backend.ts";
import type { Block } from "./block.ts";
import { BlockDatabase } from "./database.ts";
import { type BlockDatabaseError, type DatabaseFault, faultOf, toDatabaseError } from "./fault.ts";
import { type DatabaseIdentity, databaseIdentityOf, incarnationOf } from "./files.ts";
import { DatabaseLock, lockDatabase } from "./lock.ts";
import { readImage } from "./recovery/image.ts";
import { bareBlock, type Salvage, salvageImage } from "./recovery/salvage.ts";

/**
 * How long a write of the daemon waits for another process, in milliseconds. The event loop stands
 * still meanwhile, so this is short: a command that adds one block is done within a few; an import
 * of thousands takes longer, and then the change is pending and written a moment later.
 */
const DAEMON_BUSY_MS = 100;

/** How the database of the daemon is opened. */
export interface OpeningOptions {
  /**
   * End of blocks of which a damaged database tells only the target, in milliseconds since 1970;
   * `undefined`: never. The daemon gives `now + bantime`.
   */
  readonly bareUntil?: number | undefined;
  /** How long a write waits for another process, in milliseconds; {@linkcode DAEMON_BUSY_MS}. */
  readonly busyTimeout?: number;
  /**
   * A change is in the file when a call returns, and on the disk a moment later, so that nobody
   * waits for the disk. Only a power failure in that moment, which takes the kernel's rules too,
   * loses it.
   *
   * @default {false}
   */
  readonly syncLater?: boolean;
}

/** What was found at the start. */
export interface StartReport {
  /** Blocks that were read or saved. */
  readonly blocks: number;
  /** Rows that were no blocks and were left out. */
  readonly skipped: number;
  /** Set when the database was damaged: what was done, for the log. */
  readonly salvaged: SalvageReport | undefined;
  /** Changes that a process before could not write, and that were taken over. */
  readonly owed: number;
}

/** What became of a damaged database. */
export interface SalvageReport {
  /** Where the damaged file lies now; undefined if it could not be moved yet. */
  readonly setAside: string | undefined;
  /** Blocks that were saved, those included of which only the target is known. */
  readonly blocks: number;
  /** Those of which only the target is known. */
  readonly bare: number;
  /** Hosts in good standing that were saved. */
  readonly standing: number;
  /** All this in a sentence. */
  readonly message: string;
}

/** An open database. */
export interface OpenedDatabase {
  readonly database: BlockDatabase;
  /** Its `dataVersion` when it was opened. */
  readonly version: number;
  /** Which files it consists of. */
  readonly identity: DatabaseIdentity | undefined;
  /** When a daemon first had it; `undefined`: none had. */
  readonly birth: number | undefined;
}

/** A database as the daemon finds it. */
export interface FoundList {
  /** Open unless it cannot be written now. */
  readonly opened: OpenedDatabase | undefined;
  /** Which files it consisted of when it was opened. */
  readonly identity: DatabaseIdentity | undefined;
  /** Target and end of each block, if it is open; the rest is to be read later. */
  readonly entries: readonly Entry[] | undefined;
  /** The blocks, if it is not open. */
  readonly blocks: readonly Block[];
  /** Hosts in good standing: last login in milliseconds since 1970. */
  readonly standing: Map<string, number>;
  /** When the list began with nobody known, in milliseconds since 1970. */
  readonly bornAt: number;
  /** Rows that were no blocks and were left out. */
  readonly skipped: number;
  /** The file that holds all this; `undefined`: none does, or it cannot be known. */
  readonly incarnation: string | undefined;
  /** Why it is not open. */
  readonly problem: BlockDatabaseError | undefined;
  /** What was saved, if it is damaged. */
  readonly salvage: Salvage | undefined;
}

/** Faults that may pass while the daemon runs; the others are for a person. */
const PASSING_FAULTS: ReadonlySet<DatabaseFault> = new Set(["busy", "full", "readonly", "io"]);

/**
 * Takes the lock. A disk so full that not even the lock file can be made does not hinder the
 * daemon.
 *
 * @param path Path of the database.
 * @returns The lock; release it at the end.
 * @throws BlockDatabaseError `running` if another daemon has it; what else a person must mend.
 */
export function lockForDaemon(path: string): DatabaseLock {
  try {
    return lockDatabase(path);
  } catch (error) {
    if (PASSING_FAULTS.has(faultOf(error))) return new DatabaseLock(undefined);
    throw error;
  }
}

/**
 * Opens the database for the daemon.
 *
 * @param path Path of the database.
 * @param options See {@linkcode OpeningOptions}.
 * @returns The open database; close it at the end.
 * @throws BlockDatabaseError What is wrong with it.
 */
export function openDatabase(path: string, options: OpeningOptions): OpenedDatabase {
  const { busyTimeout = DAEMON_BUSY_MS, syncLater = false } = options;
  const database = BlockDatabase.open(path, { busyTimeout, syncLater, isDaemon: true });
  try {
    // The first read makes the write-ahead log, which belongs to the identity.
    const version = database.dataVersion();
    return { database, version, identity: databaseIdentityOf(path), birth: database.birth() };
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Reads the list that the daemon begins with. Of a damaged file what can be saved is read, and the
 * file stays as it is.
 *
 * @param path Path of the database.
 * @param options See {@linkcode OpeningOptions}.
 * @param now Clock value in milliseconds since 1970.
 * @returns What was found.
 * @throws BlockDatabaseError What a person must mend.
 */
export function findList(path: string, options: OpeningOptions, now: number): FoundList {
  let opened: OpenedDatabase | undefined;
  try {
    opened = openDatabase(path, options);
    const { database, birth } = opened;
    database.check();
    const entries = database.entries();
    const { skipped } = database;
    // Not before: a damaged file is left as it was found.
    if (birth === undefined) database.saveBirth(now);
    return {
      opened,
      identity: opened.identity,
      entries,
      blocks: [],
      standing: database.standing(),
      bornAt: birth ?? now,
      skipped,
      incarnation: incarnationOf(path),
      problem: undefined,
      salvage: undefined,
    };
  } catch (error) {
    opened?.database.close();
    const problem = toDatabaseError(error, path);
    if (problem.fault === "corrupt") return saveList(path, problem, options, now);
    if (!PASSING_FAULTS.has(problem.fault)) throw problem;
    return { ...readList(path, problem, now), identity: opened?.identity };
  }
}

/**
 * Reads a file that cannot be opened for writing now.
 *
 * @throws The Problem if it cannot be read either: to begin with an empty list would take every
 *   block out of the firewall, where they stay if the daemon does not run.
 */
function readList(path: string, problem: BlockDatabaseError, now: number): FoundList {
  const notOpen = {
    opened: undefined,
    identity: undefined,
    entries: undefined,
    problem,
    salvage: undefined,
  };
  const incarnation = incarnationOf(path);
  try {
    using database = BlockDatabase.open(path, { readOnly: true, busyTimeout: 0 });
    const blocks = database.unsorted();
    const { skipped } = database;
    const standing = database.standing();
    const bornAt = database.birth() ?? now;
    return { ...notOpen, blocks, standing, bornAt, skipped, incarnation };
  } catch (error) {
    if (faultOf(error) !== "missing") throw problem;
    // There is nothing to lose.
    return { ...notOpen, blocks: [], standing: new Map(), bornAt: now, skipped: 0, incarnation };
  }
}

/** Reads what can be saved of a damaged file. */
function saveList(
  path: string,
  problem: BlockDatabaseError,
  options: OpeningOptions,
  now: number,
): FoundList {
  const salvage = salvageFile(path);
  const bare = salvage.bare.map((target) => bareBlock(target, options.bareUntil, now));
  return {
    opened: undefined,
    identity: undefined,
    entries: undefined,
    blocks: [...salvage.blocks.values(), ...bare],
    standing: salvage.standing,
    // Whoever belongs here is known, or has to be learnt again.
    bornAt: salvage.standing.size > 0 ? 0 : now,
    skipped: 0,
    incarnation: undefined,
    problem,
    salvage,
  };
}

/**
 * Saves what can be read of a damaged file.
 *
 * @param path Path of the database; nothing may have it open.
 * @returns Empty if nothing can be read.
 */
export function salvageFile(path: string): Salvage {
  try {
    return salvageImage(readImage(path));
  } catch {
    return { blocks: new Map(), bare: [], history: new Map(), standing: new Map() };
  }
}

/**
 * What is told of a damaged file.
 *
 * @param found What was saved of it.
 * @param setAside Where it lies now; `undefined` if it could not be moved yet.
 * @param blocks Number of blocks in the list.
 * @returns `undefined` if it was not damaged.
 */
export function salvageReport(
  { problem, salvage }: FoundList,
  setAside: string | undefined,
  blocks: number,
): SalvageReport | undefined {
  if (problem === undefined || salvage === undefined) return undefined;
  const bare = salvage.bare.length;
  const standing = salvage.standing.size;
  const where = setAside === undefined
    ? "it could not be set aside yet"
    : `it was set aside as ${setAside}`;
  const how = bare === 0 ? "" : ` (${bare} of them by address only)`;
  return {
    setAside,
    blocks,
    bare,
    standing,
    message: `${problem.message}; ${where}; saved from it: blocks ${blocks}${how}, hosts in good ` +
      `standing ${standing}`,
  };
}
