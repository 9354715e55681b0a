/**
 * Saves what can be read of a damaged database.
 *
 * Two sources that fail apart: the rows, by looking at every page of the file that still has the
 * form of a page of rows (as the `.recover` command of SQLite's shell does, which is not part of
 * the library); and the index on the targets, which tells the targets of rows whose page is gone.
 * Deleted rows do not come back, because the list is kept with `secure_delete`.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { parseTarget } from "../../address/address.ts";
import { type Block, boundedTime, type PastBlock, TIMES_MAX } from "../block.ts";
import { BlockReader } from "../rows.ts";
import { HEADER_BYTES, PAGE_BYTES, pageSizeOf } from "./image.ts";

/** Reason of a block of which only the target could be saved. */
export const BARE_REASON = "saved from a damaged database";

/**
 * A block of which only the target, and perhaps the end, is known.
 *
 * @param target Canonical target.
 * @param until When it ends, in milliseconds since 1970; `undefined`: never.
 * @param now Clock value in milliseconds since 1970.
 * @returns A block that began now.
 */
export function bareBlock(target: string, until: number | undefined, now: number): Block {
  return {
    target,
    since: boundedTime(now),
    until,
    reason: BARE_REASON,
    service: "",
    transport: "",
    account: "",
    times: 1,
  };
}

/** Most entries read from a damaged index, against endless loops in it. */
const INDEX_ENTRIES_MAX = 3_000_000;

/**
 * Where a file may be made whatever became of the database's own folder; in memory on every usual
 * system.
 */
const COPY_FOLDER = "/run/ampere";

/** What was saved. */
export interface Salvage {
  /** Blocks with all their columns. */
  readonly blocks: Map<string, Block>;
  /** Targets of blocks whose other columns are lost. */
  readonly bare: string[];
  /** Ended blocks. */
  readonly history: Map<string, PastBlock>;
  /** Hosts in good standing: last login in milliseconds since 1970. */
  readonly standing: Map<string, number>;
}

/**
 * Reads everything that still makes sense.
 *
 * @param image Bytes of the database, see `readImage`.
 * @returns Blocks, history and good standing; empty when nothing is readable.
 */
export function salvageImage(image: Uint8Array<ArrayBuffer>): Salvage {
  const salvage: Salvage = { blocks: new Map(), bare: [], history: new Map(), standing: new Map() };
  const reader = new BlockReader();
  for (const row of tableRows(image)) keepRow(salvage, reader, row);
  for (const target of indexedTargets(image)) {
    if (!salvage.blocks.has(target)) salvage.bare.push(target);
  }
  return salvage;
}

/**
 * The tables differ in their number of columns: 8 `block`, 3 `history`, 2 `standing`; 5 is SQLite's
 * own schema.
 */
function keepRow(salvage: Salvage, reader: BlockReader, row: readonly Value[]): void {
  if (row.length === 8) {
    const block = reader.read(row);
    if (block === undefined) return;
    const known = salvage.blocks.get(block.target);
    if (known === undefined || known.since < block.since) salvage.blocks.set(block.target, block);
    return;
  }
  const [target, ...numbers] = row;
  if (typeof target !== "string" || parseTarget(target) !== target) return;
  const [first, second] = numbers;
  if (typeof first !== "number") return;
  if (row.length === 3 && typeof second === "number") {
    const times = Math.min(Math.max(first, 1), TIMES_MAX);
    salvage.history.set(target, { target, times, ended: boundedTime(second) });
  } else if (row.length === 2) {
    const at = boundedTime(first);
    if ((salvage.standing.get(target) ?? -1) < at) salvage.standing.set(target, at);
  }
}

/** A value of a row; a BLOB or what is cut off by damage is undefined. */
type Value = string | number | null | undefined;

/** First byte of a page that holds rows of a table (file format, section 1.6). */
const LEAF_TABLE_PAGE = 0x0d;

/** Every row on every page that holds rows; the page size in the header may be damaged, too. */
function* tableRows(image: Uint8Array): Generator<Value[]> {
  for (const pageSize of new Set([PAGE_BYTES, pageSizeOf(image)])) {
    yield* sizedRows(image, pageSize);
  }
}

function* sizedRows(image: Uint8Array, pageSize: number): Generator<Value[]> {
  for (let start = 0; start < image.length; start += pageSize) {
    const page = image.subarray(start, start + pageSize);
    const header = start === 0 ? HEADER_BYTES : 0;
    if (page[header] === LEAF_TABLE_PAGE) yield* pageRows(page, header);
  }
}

function* pageRows(page: Uint8Array, header: number): Generator<Value[]> {
  if (header + 8 > page.length) return;
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const count = view.getUint16(header + 3);
  const pointers = header + 8;
  for (let index = 0; index < count && pointers + 2 * index + 2 <= page.length; index++) {
    const row = cellRow(page, view.getUint16(pointers + 2 * index));
    if (row !== undefined) yield row;
  }
}

/**
 * A cell is: length of the row, rowid, the row. Rows of this list are too short to go on in another
 * page.
 */
function cellRow(page: Uint8Array, at: number): Value[] | undefined {
  const cursor = new RowCursor(page, at, page.length);
  const length = cursor.varint();
  cursor.varint();
  if (length === undefined || length > cursor.rest) return undefined;
  return new RowCursor(page, cursor.at, cursor.at + length).row();
}

/** Bytes of the whole numbers with serial types 1 to 6 (file format, section 2.1). */
const INTEGER_BYTES: readonly number[] = [0, 1, 2, 3, 4, 6, 8];

const UTF8 = new TextDecoder();

/** Reads one row in SQLite's record format, and never outside of its bounds. */
class RowCursor {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  /** Bytes that are left. */
  get rest(): number {
    return this.#end - this.at;
  }

  /**
   * A number of one to nine bytes, seven bits each; undefined when it is longer than six: nothing
   * here is.
   */
  varint(): number | undefined {
    let value = 0;
    for (let count = 0; count < 6 && this.at < this.#end; count++) {
      const byte = this.#bytes[this.at++] ?? 0;
      value = value * 128 + (byte & 0x7f);
      if (byte < 0x80) return value;
    }
    return undefined;
  }

  row(): Value[] | undefined {
    const start = this.at;
    const headerLength = this.varint();
    if (headerLength === undefined || start + headerLength > this.#end) return undefined;
    const types: number[] = [];
    while (this.at < start + headerLength) {
      const type = this.varint();
      if (type === undefined) return undefined;
      types.push(type);
    }
    return types.map((type) => this.#value(type));
  }

  #value(type: number): Value {
    if (type === 0) return null;
    if (type === 8 || type === 9) return type - 8;
    const integer = INTEGER_BYTES[type];
    const length = integer ?? (type >= 12 ? (type - 12) >> 1 : 8);
    if (length > this.rest) {
      this.at = this.#end;
      return undefined;
    }
    const bytes = this.#bytes.subarray(this.at, this.at += length);
    if (integer !== undefined) return signed(bytes);
    return type >= 13 && type % 2 === 1 ? UTF8.decode(bytes) : undefined;
  }
}

/**
 * A whole number, big-endian, two's complement. Precise up to 2^53, more than a time in
 * milliseconds needs.
 */
function signed(bytes: Uint8Array): number {
  let value = bytes[0] !== undefined && bytes[0] >= 0x80 ? -1 : 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

/** Targets that the index of `block` still tells, from both of its ends up to the damage. */
function indexedTargets(image: Uint8Array<ArrayBuffer>): Set<string> {
  const targets = new Set<string>();
  try {
    using db = openImage(image);
    for (const order of ["ASC", "DESC"]) {
      try {
        const rows = db.prepare(`SELECT target FROM block ORDER BY target ${order}`).iterate();
        let count = 0;
        for (const { target } of rows) {
          if (typeof target === "string" && parseTarget(target) === target) targets.add(target);
          if (++count >= INDEX_ENTRIES_MAX) break;
        }
      } catch {
        // The index is damaged here; the other direction may reach what lies behind.
      }
    }
  } catch {
    // The head of the file is damaged: the rows are all that can be had.
  }
  return targets;
}

/**
 * Opens the bytes of a database in memory.
 *
 * @param image Bytes of the database, see `readImage`.
 * @returns The database; close it at the end.
 * @throws SQLite's error if the head is damaged
 */
export function openImage(image: Uint8Array<ArrayBuffer>): DatabaseSync & Disposable {
  const bytes = image.slice();
  // A database in memory has no write-ahead log; bytes 18 and 19 say whether the file uses one.
  if (bytes[18] === 2) bytes.fill(1, 18, 20);
  if (DatabaseSync.prototype.deserialize === undefined) return openCopy(bytes);
  const db = new DatabaseSync(":memory:");
  try {
    db.deserialize(bytes);
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

/**
 * The same where SQLite cannot take bytes (Deno before 2.8, see tools/denort.ts): by way of a file
 * that only this user may read, and that has no name any more when it is open.
 */
function openCopy(bytes: Uint8Array): DatabaseSync & Disposable {
  Deno.mkdirSync(COPY_FOLDER, { recursive: true, mode: 0o700 });
  const copy = Deno.makeTempFileSync({ dir: COPY_FOLDER, prefix: ".copy-" });
  try {
    Deno.writeFileSync(copy, bytes);
    return new DatabaseSync(copy, { readOnly: true });
  } finally {
    Deno.removeSync(copy);
  }
}
