/**
 * Blocks as rows of the database.
 *
 * @module
 */

import type { Entry } from "../firewall/backend.ts";
import {
  type Block,
  boundedText,
  boundedTime,
  boundedTimes,
  isCanonical,
  NAME_MAX,
  TEXT_MAX,
} from "./block.ts";

/** The columns of a block, in the order that {@linkcode BlockReader} reads them. */
export const COLUMNS = [
  "target",
  "since",
  "until",
  "reason",
  "service",
  "transport",
  "account",
  "times",
] as const;

/** The columns of an {@linkcode Entry}. */
export const ENTRY_COLUMNS = ["target", "until"] as const;

/** Blocks that one statement writes when there are many: in half of the time of one each. */
export const ROWS_PER_INSERT = 50;

/** SQL that writes one block, and that which writes {@linkcode ROWS_PER_INSERT} of them. */
export const PUT: Readonly<Record<number, string>> = Object.fromEntries(
  [1, ROWS_PER_INSERT].map((rows) => [
    rows,
    `INSERT INTO block (${COLUMNS.join()}) VALUES ${Array(rows).fill("(?, ?, ?, ?, ?, ?, ?, ?)")}
     ON CONFLICT (target) DO UPDATE SET since = excluded.since, until = excluded.until,
       reason = excluded.reason, service = excluded.service, transport = excluded.transport,
       account = excluded.account, times = excluded.times`,
  ]),
);

/**
 * The values that a statement of {@linkcode PUT} takes.
 *
 * @param blocks Blocks, as many as the statement writes.
 * @returns The columns of one block after those of the other.
 */
export function valuesOf(blocks: readonly Block[]): (string | number | null)[] {
  const values: (string | number | null)[] = [];
  for (const block of blocks) {
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
  return values;
}

/**
 * Makes blocks of columns.
 *
 * @param columns For each of {@linkcode COLUMNS} the values of all rows.
 * @returns The blocks, in the order of the rows, and how many rows were no blocks.
 */
export function toBlocks(columns: readonly unknown[][]): { blocks: Block[]; skipped: number } {
  const reader = new BlockReader();
  const blocks: Block[] = [];
  const row: unknown[] = new Array(columns.length);
  const count = columns[0]?.length ?? 0;
  for (let index = 0; index < count; index++) {
    for (let column = 0; column < columns.length; column++) row[column] = columns[column]![index];
    const block = reader.read(row);
    if (block !== undefined) blocks.push(block);
  }
  return { blocks, skipped: reader.skipped };
}

/**
 * Makes entries of two columns.
 *
 * @param targets The targets of all rows.
 * @param ends The ends of all rows.
 * @returns The entries, in the order of the rows; a row that is none is left out.
 */
export function toEntries(targets: readonly unknown[], ends: readonly unknown[]): Entry[] {
  const entries: Entry[] = [];
  for (let row = 0; row < targets.length; row++) {
    const target = targets[row];
    if (typeof target !== "string" || !isCanonical(target)) continue;
    const end = ends[row];
    entries.push({ target, until: typeof end === "number" ? boundedTime(end) : undefined });
  }
  return entries;
}

/** Reads blocks from rows that may hold anything, and shares equal texts among them. */
export class BlockReader {
  /** Rows that were no blocks. */
  skipped = 0;
  readonly #texts = new Map<string, string>();

  /**
   * Makes a block of a row.
   *
   * @param row Target, since, until, reason, service, transport, account, times.
   * @returns The block, or undefined (and counted in `skipped`) when a value is not what it must
   *   be.
   */
  read(row: readonly unknown[]): Block | undefined {
    // By index: to take an array apart goes through an iterator, and most of this runs before it is
    // optimized.
    const target = row[0];
    const since = row[1];
    const until = row[2];
    const reason = row[3];
    const service = row[4];
    const transport = row[5];
    const account = row[6];
    const times = row[7];
    if (
      typeof target === "string" && isCanonical(target) &&
      typeof since === "number" && (typeof until === "number" || until === null) &&
      typeof reason === "string" && typeof service === "string" &&
      typeof transport === "string" && typeof account === "string" && typeof times === "number"
    ) {
      return {
        target,
        since: boundedTime(since),
        until: until === null ? undefined : boundedTime(until),
        reason: this.#shared(reason, TEXT_MAX),
        service: this.#shared(service, NAME_MAX),
        transport: this.#shared(transport, NAME_MAX),
        account: this.#shared(account, TEXT_MAX),
        times: boundedTimes(times),
      };
    }
    this.skipped++;
    return undefined;
  }

  /** One string for all equal ones: 50,000 blocks have a handful of services and reasons. */
  #shared(text: string, max: number): string {
    if (text === "") return text;
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    const bounded = text.length > max ? boundedText(text, max) : text;
    if (this.#texts.size < SHARED_TEXTS_MAX) this.#texts.set(text, bounded);
    return bounded;
  }
}

/** Most different texts that a {@linkcode BlockReader} remembers. */
const SHARED_TEXTS_MAX = 4_096;
