/**
 * What was deleted by hand, as it outlives a restart: so that no other PBX, and no engine between
 * them, brings it back.
 *
 * @module
 */

import { boundedTime, isCanonical } from "./block.ts";
import type { Connection } from "./connection.ts";
import { dropRows } from "./drop_rows.ts";
import { LateTable } from "./late_table.ts";

/** Most deletions; the oldest go first. */
export const DELETIONS_MAX = 100_000;

/** How long a deletion is kept, in milliseconds: 30 days. */
export const DELETION_AGE_MAX_MS = 30 * 86_400_000;

/**
 * A target that was deleted, and when, in milliseconds since 1970: by the clock that all PBXs share,
 * or by this machine's, when that one was not known (no daemon ran, or it reached no engine).
 */
export type Deletion = readonly [target: string, at: number, isByOwnClock?: boolean];

/** The table of deletions in the file; a time by this machine's clock stands there as negative. */
export class DeletionsTable {
  readonly #connection: Connection;
  readonly #table: LateTable;

  /** @param connection The open database. */
  constructor(connection: Connection) {
    this.#connection = connection;
    const columns = "target TEXT NOT NULL UNIQUE, at INTEGER NOT NULL";
    this.#table = new LateTable(connection, "deletions", columns);
  }

  /**
   * Keeps deletions.
   *
   * @param deletions Targets, and when each was deleted: it is set, whatever was known before.
   * @param now Clock value in milliseconds since 1970.
   * @throws BlockDatabaseError If it could not be written.
   */
  save(deletions: readonly Deletion[], now: number): void {
    this.#connection.transaction(() => {
      this.#table.make();
      const put = this.#connection.run(
        `INSERT INTO deletions (target, at) VALUES (?, ?)
         ON CONFLICT (target) DO UPDATE SET at = excluded.at`,
      );
      for (const [target, at, isByOwnClock] of deletions) {
        put.run(target, boundedTime(at) * (isByOwnClock ? -1 : 1));
      }
      this.#connection.run("DELETE FROM deletions WHERE abs(at) < ?")
        .run(boundedTime(now - DELETION_AGE_MAX_MS));
      dropRows(this.#connection, "deletions", "abs(at)", DELETIONS_MAX);
    });
  }

  /**
   * All deletions that are kept, the oldest first.
   *
   * @throws BlockDatabaseError If the file cannot be read.
   */
  all(): Deletion[] {
    return this.#connection.guarded(() => {
      if (!this.#table.exists()) return [];
      const sql = "SELECT json_group_array(json_array(target, at)) AS rows " +
        "FROM (SELECT * FROM deletions ORDER BY abs(at) DESC LIMIT ?)";
      const text = this.#connection.run(sql).get(DELETIONS_MAX)?.rows;
      const rows: unknown[] = JSON.parse(String(text));
      return rows.flatMap((row): Deletion[] => {
        const [target, at] = Array.isArray(row) ? row : [];
        const isRight = typeof target === "string" && isCanonical(target);
        if (!isRight || typeof at !== "number") return [];
        return [at < 0 ? [target, boundedTime(-at), true] : [target, boundedTime(at)]];
      }).reverse();
    });
  }
}
