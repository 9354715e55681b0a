/**
 * The block list: which addresses and networks are blocked, in an SQLite database. It is the truth that the firewall
 * is made equal to, and any number of processes may work with it at the same time.
 *
 * What is promised: when a call that writes returns, its change is on the disk as a whole (one transaction,
 * `synchronous=FULL`, unless the caller asks for `syncLater`); when it throws, nothing of it is.
 *
 * @module
 */

import type { Entry } from "../firewall/backend.ts";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { dirname } from "node:path";
import { parseTarget } from "../address/address.ts";
import {
  type Block,
  BlockReader,
  boundedNew,
  boundedTime,
  type BriefBlock,
  byAge,
  hasEnded,
  isCanonical,
  mergeBlock,
  type NewBlock,
  type PastBlock,
} from "./block.ts";
import { BlockDatabaseError, faultOf, missingError, toBlockListError } from "./fault.ts";
import { fileKind, readImage } from "./recovery/image.ts";
import { openImage } from "./recovery/salvage.ts";
import { migrate, readSchemaState } from "./schema.ts";

export { type Block, type BriefBlock, hasEnded, type NewBlock, type PastBlock } from "./block.ts";
export { BlockDatabaseError, type DatabaseFault } from "./fault.ts";

/**
 * How long a command on the terminal waits for another process's write, in milliseconds. An import of 50,000 blocks
 * takes a third of a second.
 */
export const COMMAND_BUSY_MS = 5_000;

/** How long an ended block is remembered for {@linkcode Block.times}, in milliseconds. */
export const HISTORY_AGE_MAX_MS = 90 * 24 * 3_600_000;

/** Most ended blocks that are remembered; the oldest go first. */
export const HISTORY_ROWS_MAX = 100_000;

/** Most hosts in good standing that are kept; those that logged in longest ago go first. */
export const STANDING_ROWS_MAX = 65_536;

/** Size that the write-ahead log is cut back to after a large import, in bytes. */
const WAL_BYTES_KEPT = 4 * 1024 * 1024;

/** Rights of a new database: the list says which accounts were tried. SQLite gives its other files the same. */
const FILE_MODE = 0o640;

/** How a {@linkcode BlockDatabase} is opened. */
export interface OpenOptions {
  /** Only for reading; then the file must be there. */
  readonly readOnly?: boolean;
  /** How long a call waits while another process writes, in milliseconds; default {@linkcode COMMAND_BUSY_MS}. */
  readonly busyTimeout?: number;
  /**
   * A change is in the file when the call returns, and survives the death of the process, but not yet a power failure:
   * the caller brings the write-ahead log onto the disk (see `BackgroundSync`), and the log into the database
   * ({@linkcode BlockDatabase.checkpoint}). Saves a millisecond for each change. @default {false}
   */
  readonly syncLater?: boolean;
}

/** Changes that {@linkcode BlockDatabase.save} writes. Each target stands in one of the first three. */
export interface Changes {
  /** Blocks as they shall stand in the list. */
  readonly put: readonly Block[];
  /** Blocks that ended: remembered, no longer in force. */
  readonly ended: readonly PastBlock[];
  /** Targets that are removed and forgotten. */
  readonly gone: readonly string[];
  /** Hosts and their last login in milliseconds since 1970. */
  readonly standing: readonly (readonly [host: string, lastLogin: number])[];
  /** Good standing that is older than this moment is forgotten. */
  readonly forgetStandingBefore: number;
}

/** Some entries, and where the next ones follow; see {@linkcode BlockDatabase.entriesAfter}. */
export interface RowPage {
  /** In the order of the rows. */
  readonly entries: readonly Entry[];
  /** Where the next page begins; {@linkcode END_OF_ROWS}: there is none. */
  readonly last: bigint;
}

/** No row follows. */
export const END_OF_ROWS = 2n ** 63n - 1n;

/** The columns of a block, in the order that {@linkcode BlockReader} reads them. */
const COLUMNS = [
  "target",
  "since",
  "until",
  "reason",
  "service",
  "transport",
  "account",
  "times",
] as const;

/** Those of a {@linkcode Entry}. */
const ENTRY_COLUMNS = ["target", "until"] as const;

/** The lowest number that a row can have: all rows follow it. */
export const ROW_MIN = -(2n ** 63n);

/** So many of them after a row, in the order of the rows. */
const ENTRY_PAGE = `SELECT json_group_array(target) AS target, json_group_array(until) AS until,
  CAST(max(row) AS TEXT) AS last FROM (SELECT rowid AS row, target, until FROM block WHERE rowid > ? ORDER BY rowid LIMIT ?)`;

/** Those of a {@linkcode BriefBlock}: the first ones. */
const BRIEF_COLUMNS = COLUMNS.slice(0, 4);

/** Blocks that one statement writes when there are many: in half of the time of one each. */
const ROWS_PER_INSERT = 50;

/** The statements that write so many blocks. */
const PUT: Readonly<Record<number, string>> = Object.fromEntries(
  [1, ROWS_PER_INSERT].map((rows) => [
    rows,
    `INSERT INTO block (${COLUMNS.join()}) VALUES ${Array(rows).fill("(?, ?, ?, ?, ?, ?, ?, ?)")}
     ON CONFLICT (target) DO UPDATE SET since = excluded.since, until = excluded.until,
       reason = excluded.reason, service = excluded.service, transport = excluded.transport,
       account = excluded.account, times = excluded.times`,
  ]),
);

/**
 * The list in its file.
 *
 * @example
 * ```ts
 * import { BlockDatabase } from "./database.ts";
 * using list = BlockDatabase.open("/var/lib/ampere/ampere.db");
 * for (const { target, since } of list.all()) console.log(target, new Date(since));
 * ```
 */
export class BlockDatabase implements Disposable {
  /** Path of the database. */
  readonly path: string;
  /**
   * Whether this is a copy in memory of a file that SQLite cannot open for reading: it lies on a read-only file system,
   * or its user may read the file but not the folder. Later changes are not seen.
   */
  readonly isSnapshot: boolean;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #identity: string | undefined;
  #skipped = 0;

  private constructor(path: string, db: DatabaseSync, isSnapshot: boolean) {
    this.path = path;
    this.#db = db;
    this.isSnapshot = isSnapshot;
    this.#identity = isSnapshot ? undefined : identityOf(path);
    if (this.#identity !== undefined) countOpen(this.#identity, 1);
  }

  /**
   * Opens the list; a missing or empty file becomes a new list, its folder must be there. A file that is not Ampere's
   * is never changed.
   *
   * @param path path of the database
   * @param options see {@linkcode OpenOptions}
   * @returns the open list; close it at the end
   * @throws BlockDatabaseError saying what is wrong with the file, and in `advice` what to do
   */
  static open(path: string, options: OpenOptions = {}): BlockDatabase {
    const readOnly = options.readOnly ?? false;
    let db: DatabaseSync | undefined;
    try {
      prepareFile(path, readOnly);
      db = new DatabaseSync(path, { readOnly, timeout: options.busyTimeout ?? COMMAND_BUSY_MS });
      if (!readOnly) configure(db, path, options.syncLater ?? false);
      else if (readSchemaState(db, path).version === 0) {
        db.close();
        return new BlockDatabase(path, emptyDatabase(path), true);
      }
      return new BlockDatabase(path, db, false);
    } catch (error) {
      if (db?.isOpen) db.close();
      const refined = refineOpenError(error, path);
      if (!readOnly || !SNAPSHOT_FAULTS.has(refined.fault)) throw refined;
      return new BlockDatabase(path, openSnapshot(path, refined), true);
    }
  }

  /**
   * The newest time that a list knows: of a block, of its end in the past, or of a login.
   *
   * @param path the file; nothing is written
   * @returns milliseconds since 1970; `undefined` if there is none, or it cannot be read now
   */
  static newestTimeOf(path: string): number | undefined {
    try {
      using list = BlockDatabase.open(path, { readOnly: true });
      return list.#newestTime();
    } catch {
      // Whoever opens it for good says what is wrong with it.
      return undefined;
    }
  }

  #newestTime(): number | undefined {
    const newest = this.#guarded(() =>
      this.#run(
        `SELECT max(at) AS newest FROM (SELECT max(since) AS at FROM block
           UNION ALL SELECT max(ended) FROM history UNION ALL SELECT max(last_login) FROM standing)`,
      ).get()?.newest
    );
    return typeof newest === "number" ? newest : undefined;
  }

  /** Rows of the last reading that were no blocks and were left out. */
  get skipped(): number {
    return this.#skipped;
  }

  /**
   * Adds blocks, all or none. A target that is blocked already keeps its beginning and its reason and ends at the later
   * of both ends; see `mergeBlock`. A block whose end has passed is not added.
   *
   * @param blocks what to add
   * @param now clock value in milliseconds since 1970
   * @returns those that were not in force before
   * @throws BlockDatabaseError if they could not be written
   * @throws TypeError if a target is not an address or network
   */
  add(blocks: readonly NewBlock[], now: number = Date.now()): Block[] {
    return this.#transaction(() => {
      const added: Block[] = [];
      const changed = new Map<string, Block>();
      for (const given of blocks) {
        if (hasEnded(given, now)) continue;
        const fresh = boundedNew(given);
        const known = changed.get(fresh.target) ?? this.get(fresh.target);
        const past = known === undefined ? this.#pastTimes(fresh.target) : 0;
        const { block, change } = mergeBlock(known, past, fresh, now);
        if (change !== "same") changed.set(block.target, block);
        if (change === "new") added.push(block);
      }
      this.#put([...changed.values()]);
      return added;
    });
  }

  /**
   * Removes blocks, all or none, and forgets how often these targets were blocked: who removes a block by hand says
   * that it was wrong.
   *
   * @param targets canonical targets
   * @returns those that were there
   * @throws BlockDatabaseError if it could not be written
   */
  remove(targets: readonly string[]): string[] {
    return this.#transaction(() => targets.filter((target) => this.#forget(target)));
  }

  /**
   * Takes out the blocks whose end has come. They are remembered for {@linkcode HISTORY_AGE_MAX_MS}.
   *
   * @param now clock value in milliseconds since 1970
   * @returns the blocks that ended
   * @throws BlockDatabaseError if it could not be written
   */
  removeEnded(now: number): Block[] {
    const where = `block WHERE until IS NOT NULL AND until <= ${boundedTime(now)}`;
    if (this.#guarded(() => this.#read(where)).length === 0) return [];
    return this.#transaction(() => {
      const ended = this.#read(where);
      for (const { target, times, until } of ended) {
        this.#remember({ target, times, ended: until ?? now });
      }
      this.#pruneHistory(now);
      return ended;
    });
  }

  /**
   * Writes changes that were decided elsewhere, all or none.
   *
   * @param changes see {@linkcode Changes}
   * @param now clock value in milliseconds since 1970
   * @throws BlockDatabaseError if they could not be written
   */
  save(changes: Changes, now: number = Date.now()): void {
    this.#transaction(() => {
      this.#put(changes.put);
      for (const target of changes.gone) this.#forget(target);
      for (const past of changes.ended) this.#remember(past);
      if (changes.ended.length > 0) this.#pruneHistory(now);
      if (changes.standing.length > 0) {
        this.#putStanding(changes.standing, changes.forgetStandingBefore);
      }
    });
  }

  /**
   * All blocks, those included whose end has come and that {@linkcode BlockDatabase.removeEnded} did not take out yet.
   *
   * @returns blocks, the oldest first
   * @throws BlockDatabaseError if the file cannot be read
   */
  all(): Block[] {
    // Rows come in the order of their making, which is almost this one.
    return this.#guarded(() => this.#read("block")).sort(byAge);
  }

  /**
   * Visits all blocks, the oldest first, with no more than a person wants to see: a third of the time of
   * {@linkcode BlockDatabase.all}.
   *
   * @param visit is called with each block; the object is used again for the next one
   * @throws BlockDatabaseError if the file cannot be read
   */
  visit(visit: (block: BriefBlock) => void): void {
    const columns = this.#guarded(() => this.#columns("block", BRIEF_COLUMNS)) as [
      unknown[],
      unknown[],
      unknown[],
      unknown[],
    ];
    const [targets, sinces, untils, reasons] = columns;
    const order = orderByAge(targets, sinces);
    const reader = new BlockReader();
    const block = { target: "", since: 0, until: undefined, reason: "" };
    for (let i = 0; i < targets.length; i++) {
      const row = order === undefined ? i : order[i]!;
      if (reader.readBrief(targets[row], sinces[row], untils[row], reasons[row], block)) {
        visit(block);
      }
    }
    this.#skipped = reader.skipped;
  }

  /**
   * The same as {@linkcode BlockDatabase.all} in no order, which is faster.
   *
   * @returns blocks
   * @throws BlockDatabaseError if the file cannot be read
   */
  unsorted(): Block[] {
    return this.#guarded(() => this.#read("block"));
  }

  /**
   * One block.
   *
   * @param target canonical target
   * @returns the block, or undefined
   * @throws BlockDatabaseError if the file cannot be read
   */
  get(target: string): Block | undefined {
    return this.#guarded(() => {
      const columns = `json_array(${COLUMNS.join()})`;
      const row = this.#run(`SELECT ${columns} AS block FROM block WHERE target = ?`).get(target);
      return row === undefined ? undefined : new BlockReader().read(JSON.parse(String(row.block)));
    });
  }

  /**
   * The targets of all blocks, in no order.
   *
   * @returns canonical targets
   * @throws BlockDatabaseError if the file cannot be read
   */
  targets(): string[] {
    return this.entries().map(({ target }) => target);
  }

  /**
   * The end of each block: all that is needed to see what another process changed.
   *
   * @returns for each target the end in milliseconds since 1970, undefined for never
   * @throws BlockDatabaseError if the file cannot be read
   */
  ends(): Map<string, number | undefined> {
    return new Map(this.entries().map(({ target, until }) => [target, until]));
  }

  /**
   * Target and end of all blocks, in no order: what the firewall must know.
   *
   * @returns 50,000 in 40 ms
   * @throws BlockDatabaseError if the file cannot be read
   */
  entries(): Entry[] {
    return this.#guarded(() => {
      const [targets, ends] = this.#columns("block", ENTRY_COLUMNS) as [unknown[], unknown[]];
      const entries = toEntries(targets, ends);
      this.#skipped = targets.length - entries.length;
      return entries;
    });
  }

  /**
   * The entries that follow a row, in the order of the rows: what others change between two calls is seen by the second.
   *
   * @param after where the page before ended; {@linkcode ROW_MIN} for the first page
   * @param rows most rows of the page
   * @throws BlockDatabaseError if the file cannot be read
   */
  entriesAfter(after: bigint, rows: number): RowPage {
    const page = this.#guarded(() => this.#run(ENTRY_PAGE).get(after, rows));
    const targets: unknown[] = JSON.parse(String(page?.target));
    const entries = toEntries(targets, JSON.parse(String(page?.until)));
    return {
      entries,
      last: targets.length < rows ? END_OF_ROWS : this.#later(after, BigInt(String(page?.last))),
    };
  }

  /**
   * The number of blocks.
   *
   * @returns rows of the table
   * @throws BlockDatabaseError if the file cannot be read
   */
  count(): number {
    return this.#guarded(() => Number(this.#run("SELECT count(*) AS rows FROM block").get()?.rows));
  }

  /**
   * How often a target has been blocked, ended blocks included.
   *
   * @param target canonical target
   * @returns 0 for one that is not known
   * @throws BlockDatabaseError if the file cannot be read
   */
  timesOf(target: string): number {
    return this.get(target)?.times ?? this.#guarded(() => this.#pastTimes(target));
  }

  /**
   * Whether any ended block is remembered; without `bantime` none ever is. Saves a look for each target.
   *
   * @throws BlockDatabaseError if the file cannot be read
   */
  hasHistory(): boolean {
    return this.#guarded(() => {
      return this.#run("SELECT EXISTS (SELECT 1 FROM history) AS any").get()?.any === 1;
    });
  }

  /**
   * A number that differs from the last one when another connection (another process) has committed a change since.
   * Own changes do not change it, and the numbers of two connections say nothing about each other
   * (https://www.sqlite.org/pragma.html#pragma_data_version): compare only what the same open list returned. It takes
   * 7 µs.
   *
   * @returns an opaque number
   * @throws BlockDatabaseError if the file cannot be read
   */
  dataVersion(): number {
    return this.#guarded(() => Number(this.#run("PRAGMA data_version").get()?.data_version));
  }

  /**
   * The hosts in good standing.
   *
   * @returns for each host its last login with a password, in milliseconds since 1970
   * @throws BlockDatabaseError if the file cannot be read
   */
  standing(): Map<string, number> {
    return this.#guarded(() => {
      const sql = "SELECT json_group_array(json_array(host, last_login)) AS rows FROM standing";
      const rows: unknown[][] = JSON.parse(String(this.#run(sql).get()?.rows));
      const standing = new Map<string, number>();
      for (const [host, at] of rows) {
        if (typeof host !== "string" || typeof at !== "number") continue;
        if (parseTarget(host) === host) standing.set(host, boundedTime(at));
      }
      return standing;
    });
  }

  /**
   * When a daemon first had this list. The blocks that `ampere -a` adds before tell nothing of who belongs here.
   *
   * @returns milliseconds since 1970; 0 if that was before it was written down; `undefined` if none had it yet
   * @throws BlockDatabaseError if the file cannot be read
   */
  birth(): number | undefined {
    return this.#guarded(() => {
      // A list of an earlier version that is opened for reading only has no such table.
      const known = this.#run("SELECT 1 FROM sqlite_schema WHERE name = 'birth'").get();
      if (known === undefined) return 0;
      const row = this.#run("SELECT CAST(max(at) AS REAL) AS at FROM birth").get();
      return typeof row?.at === "number" ? boundedTime(row.at) : undefined;
    });
  }

  /**
   * Writes down when a daemon first had this list; does nothing if that is known.
   *
   * @param at milliseconds since 1970
   * @throws BlockDatabaseError if it could not be written
   */
  saveBirth(at: number): void {
    if (this.birth() !== undefined) return;
    this.#transaction(() => {
      this.#run("INSERT INTO birth SELECT ? WHERE NOT EXISTS (SELECT 1 FROM birth)")
        .run(boundedTime(at));
    });
  }

  /**
   * Remembers hosts in good standing; the later login of a host counts.
   *
   * @param entries hosts and their last login in milliseconds since 1970
   * @param forgetBefore hosts whose last login is before this moment are forgotten
   * @throws BlockDatabaseError if it could not be written
   */
  saveStanding(entries: readonly (readonly [string, number])[], forgetBefore: number): void {
    this.#transaction(() => this.#putStanding(entries, forgetBefore));
  }

  /**
   * The ended blocks that are remembered.
   *
   * @returns in no order
   * @throws BlockDatabaseError if the file cannot be read
   */
  history(): PastBlock[] {
    return this.#guarded(() => {
      const sql = "SELECT json_group_array(json_array(target, times, ended)) AS rows FROM history";
      const rows: unknown[][] = JSON.parse(String(this.#run(sql).get()?.rows));
      return rows.flatMap(([target, times, ended]) =>
        typeof target === "string" && typeof times === "number" && typeof ended === "number" &&
          parseTarget(target) === target
          ? [{ target, times, ended }]
          : []
      );
    });
  }

  /**
   * Looks for damage; 20 ms for 50,000 blocks.
   *
   * @throws BlockDatabaseError `corrupt` if SQLite finds any
   */
  check(): void {
    const found = this.#guarded(() => this.#run("PRAGMA quick_check(1)").get()?.quick_check);
    if (found === "ok") return;
    const detail = String(found).replace("*** in database main ***\n", "");
    throw toBlockListError(
      new Error(`database disk image is malformed: ${detail}`),
      this.path,
    );
  }

  /**
   * Brings what the write-ahead log holds into the database, as far as nobody is reading it; about 10 ms for 1,000
   * changes. SQLite does that by itself unless `syncLater` was asked for.
   *
   * @throws BlockDatabaseError if it could not be written
   */
  checkpoint(): void {
    this.#guarded(() => this.#run("PRAGMA wal_checkpoint(PASSIVE)").get());
  }

  /** Closes the file. Closing again does nothing, and a fault while closing loses nothing: all was written before. */
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

  /** The same as {@linkcode BlockDatabase.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Writes blocks, {@linkcode ROWS_PER_INSERT} by one statement as long as there are so many. */
  #put(blocks: readonly Block[]): void {
    for (let at = 0; at < blocks.length;) {
      const rows = blocks.length - at >= ROWS_PER_INSERT ? ROWS_PER_INSERT : 1;
      const values: (string | number | null)[] = [];
      for (const block of blocks.slice(at, at + rows)) {
        values.push(
          block.target,
          block.since,
          block.until ?? null,
          block.reason,
          block.service,
          block.transport,
          block.account,
          block.times,
        );
      }
      this.#run(PUT[rows]!).run(...values);
      at += rows;
    }
    if (!this.hasHistory()) return;
    const forget = this.#run("DELETE FROM history WHERE target = ?");
    for (const { target } of blocks) forget.run(target);
  }

  #forget(target: string): boolean {
    this.#run("DELETE FROM history WHERE target = ?").run(target);
    return Number(this.#run("DELETE FROM block WHERE target = ?").run(target).changes) > 0;
  }

  /** A block that somebody has made anew meanwhile, with a later end, has not ended. */
  #remember({ target, times, ended }: PastBlock): void {
    this.#run("DELETE FROM block WHERE target = ? AND until <= ?").run(target, ended);
    this.#run(
      `INSERT INTO history (target, times, ended)
       SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM block WHERE target = ?1)
       ON CONFLICT (target) DO UPDATE SET times = max(times, excluded.times), ended = excluded.ended`,
    ).run(target, times, ended);
  }

  #pruneHistory(now: number): void {
    this.#run("DELETE FROM history WHERE ended < ?").run(boundedTime(now - HISTORY_AGE_MAX_MS));
    this.#dropOldest("history", "ended", HISTORY_ROWS_MAX);
  }

  #putStanding(entries: readonly (readonly [string, number])[], forgetBefore: number): void {
    const put = this.#run(
      `INSERT INTO standing (host, last_login) VALUES (?, ?)
       ON CONFLICT (host) DO UPDATE SET last_login = max(last_login, excluded.last_login)`,
    );
    for (const [host, at] of entries) put.run(host, boundedTime(at));
    this.#run("DELETE FROM standing WHERE last_login < ?").run(boundedTime(forgetBefore));
    this.#dropOldest("standing", "last_login", STANDING_ROWS_MAX);
  }

  #dropOldest(table: "history" | "standing", age: "ended" | "last_login", max: number): void {
    const rows = Number(this.#run(`SELECT count(*) AS rows FROM ${table}`).get()?.rows);
    if (rows <= max) return;
    const oldest = `SELECT rowid FROM ${table} ORDER BY ${age} LIMIT ?`;
    this.#run(`DELETE FROM ${table} WHERE rowid IN (${oldest})`).run(rows - max);
  }

  #pastTimes(target: string): number {
    const row = this.#run("SELECT times FROM history WHERE target = ?").get(target);
    return Math.max(Number(row?.times ?? 0) || 0, 0);
  }

  /**
   * Reads blocks as one JSON text for each column: five times as fast as a row at a time (50,000 blocks: 65 ms instead of
   * 250), and a number too large for JavaScript, an invalid UTF-8 byte or a BLOB in a damaged row spoils that row only.
   */
  #read(from: string): Block[] {
    const columns = this.#columns(from, COLUMNS);
    const reader = new BlockReader();
    const blocks: Block[] = [];
    const row: unknown[] = new Array(columns.length);
    const count = columns[0]?.length ?? 0;
    for (let index = 0; index < count; index++) {
      for (let column = 0; column < columns.length; column++) row[column] = columns[column]![index];
      const block = reader.read(row);
      if (block !== undefined) blocks.push(block);
    }
    this.#skipped = reader.skipped;
    return blocks;
  }

  /** In a damaged file rows may stand in any order. */
  #later(before: bigint, row: bigint): bigint {
    if (row > before) return row;
    const error = new Error(`database disk image is malformed: row ${row} comes after ${before}`);
    throw toBlockListError(error, this.path);
  }

  #columns(from: string, names: readonly string[]): unknown[][] {
    const wanted = names.map((name) => `json_group_array(${name}) AS ${name}`).join(", ");
    const found = this.#run(`SELECT ${wanted} FROM ${from}`).get();
    return names.map((name) => JSON.parse(String(found?.[name])));
  }

  /** A prepared statement, kept for the next time. */
  #run(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #transaction<T>(body: () => T): T {
    return this.#guarded(() => {
      try {
        // Statements, not exec: their errors carry SQLite's result code.
        this.#run("BEGIN IMMEDIATE").run();
        const result = body();
        this.#run("COMMIT").run();
        return result;
      } catch (error) {
        if (this.#db.isOpen && this.#db.isTransaction) this.#rollback();
        throw error;
      }
    });
  }

  #rollback(): void {
    try {
      this.#run("ROLLBACK").run();
    } catch {
      // The error that led here is the one to tell; SQLite rolls back by itself at the latest when the file is closed.
    }
  }

  /** Runs an access; every error of SQLite leaves as a BlockDatabaseError, an error of the caller as it is. */
  #guarded<T>(access: () => T): T {
    try {
      return access();
    } catch (error) {
      throw error instanceof TypeError ? error : toBlockListError(error, this.path);
    }
  }
}

/** What is no entry is left out. */
function toEntries(targets: readonly unknown[], ends: readonly unknown[]): Entry[] {
  const entries: Entry[] = [];
  for (let row = 0; row < targets.length; row++) {
    const target = targets[row];
    if (typeof target !== "string" || !isCanonical(target)) continue;
    const end = ends[row];
    entries.push({ target, until: typeof end === "number" ? boundedTime(end) : undefined });
  }
  return entries;
}

/** How often each file is open here, by device and inode: see {@linkcode prepareFile}. */
const openHere = new Map<string, number>();

/**
 * Sees to it that SQLite finds a file that it may work with. SQLite itself would overwrite a foreign file beside which a
 * write-ahead log was left, or one of a single byte, and would delete the log beside a file that has become empty.
 *
 * The file is looked at only while this process does not have it open (see `fileKind`); then it is known to be good.
 */
function prepareFile(path: string, readOnly: boolean): void {
  let identity;
  try {
    identity = identityOf(path);
  } catch (error) {
    if (readOnly || !(error instanceof Deno.errors.NotFound)) throw error;
    return createFile(path);
  }
  if (openHere.has(identity) || !Deno.statSync(path).isFile) return;
  const kind = fileKind(path);
  if (kind === "berkeley") throw berkeleyError(path);
  if (kind === "unknown") throw foreignError(path);
  // The size once more: another process may just be making the database, which has a page before it has a log.
  if (kind === "empty" && hasLog(path) && Deno.statSync(path).size === 0) {
    throw toBlockListError(
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

function identityOf(path: string): string {
  const { dev, ino } = Deno.statSync(path);
  return `${dev}:${ino}`;
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
    return toBlockListError(error, path);
  }
  if (fault === "denied" || fault === "missing" || fault === "other") {
    return unopenedError(path, error) ?? unwritableError(path) ?? toBlockListError(error, path);
  }
  return toBlockListError(error, path);
}

function berkeleyError(path: string): BlockDatabaseError {
  return new BlockDatabaseError(
    "foreign",
    path,
    `database ${path}: this is a Berkeley DB file, as Ampere 0.2 kept it, not an SQLite database`,
    "nothing was changed in it. To take its blocks over: list them with the old program " +
      '("ampere -l > blocks.txt"), set `database` in ampere.cfg to another path (the default is ' +
      '/var/lib/ampere/ampere.db), and add them with this one ("ampere -a < blocks.txt")',
  );
}

function foreignError(path: string): BlockDatabaseError {
  return new BlockDatabaseError(
    "foreign",
    path,
    `database ${path}: this file is not an SQLite database`,
    "nothing was changed in it; set `database` in ampere.cfg to another path. The blocks of another " +
      'program are taken over with "ampere -a", one address a line',
  );
}

function unopenedError(path: string, cause: unknown): BlockDatabaseError | undefined {
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

/**
 * The rows in the order of {@linkcode byAge}; `undefined` if that is theirs already, as it is when nobody came back. Rows that
 * are no blocks may stand anywhere.
 */
function orderByAge(targets: readonly unknown[], sinces: readonly unknown[]): number[] | undefined {
  const [target, since] = [targets as string[], sinces as number[]];
  const compare = (a: number, b: number) =>
    since[a]! - since[b]! || (target[a]! < target[b]! ? -1 : 1);
  let row = 1;
  while (row < target.length && compare(row - 1, row) < 0) row++;
  return row >= target.length ? undefined : Array.from(target.keys()).sort(compare);
}

/**
 * SQLite says "unable to open" for a read-only file system and for a full one, too. Opening the daemon's lock file tells
 * them apart; the database itself must not be opened and closed beside SQLite (see `fileKind`).
 */
function unwritableError(path: string): BlockDatabaseError | undefined {
  try {
    Deno.openSync(`${path}.lock`, { write: true, create: true, mode: FILE_MODE }).close();
    return undefined;
  } catch (error) {
    return faultOf(error) === "denied" ? undefined : toBlockListError(error, path);
  }
}
