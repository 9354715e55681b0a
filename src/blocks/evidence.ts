/**
 * What a target did before it was blocked, as it is kept for whoever asks later: the last attempts.
 *
 * @module
 */

import { boundedText, boundedTime, isCanonical, NAME_MAX } from "./block.ts";
import type { Connection } from "./connection.ts";
import { dropRows } from "./drop_rows.ts";
import { LateTable, readList } from "./late_table.ts";

/** Most attempts of a target that are kept; the oldest go first. */
export const ATTEMPTS_KEPT_MAX = 20;

/** Most targets of which attempts are kept; the one that was blocked longest ago goes first. */
export const EVIDENCE_ROWS_MAX = 10_000;

/** How long attempts are kept after the block, in milliseconds: 30 days. */
export const EVIDENCE_AGE_MAX_MS = 30 * 86_400_000;

/** Longest account name that is kept, in UTF-16 units. */
const ACCOUNT_MAX = 80;

/** Longest text of a row that is read, in UTF-16 units: twenty attempts have 5,000. */
const ROW_CHARACTERS_MAX = 65_536;

/** Most points of one attempt that are believed. */
const POINTS_MAX = 1_000_000;

/** Attempts that are alike and not further apart are one, in milliseconds. */
const SAME_MS = 2;

/** An attempt of a host that was blocked. */
export interface KeptAttempt {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** What was wrong, such as `wrong password`. */
  readonly what: string;
  /** The service that was tried, such as `PJSIP`. */
  readonly service: string;
  /** Empty if Asterisk did not say. */
  readonly transport: string;
  /** As a stranger wrote it: escape it before printing. */
  readonly account: string;
  /** What it cost. */
  readonly points: number;
}

/** What a target did before it was blocked. */
export interface Evidence {
  /** Canonical address or network. */
  readonly target: string;
  /** The canonical address from which the last attempt came. */
  readonly host: string;
  /** When it was blocked, in milliseconds since 1970. */
  readonly at: number;
  /** The oldest first. */
  readonly attempts: readonly KeptAttempt[];
}

const COLUMNS =
  "target TEXT NOT NULL UNIQUE, host TEXT NOT NULL, at INTEGER NOT NULL, attempts TEXT NOT NULL";

/** The table of attempts in the file. */
export class EvidenceTable {
  readonly #connection: Connection;
  readonly #table: LateTable;

  /** @param connection The open database. */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#table = new LateTable(connection, "evidence", COLUMNS);
  }

  /**
   * Keeps attempts of blocked targets, beside what is kept of them already.
   *
   * @param evidence What they did.
   * @param now Clock value in milliseconds since 1970.
   * @throws BlockDatabaseError If it could not be written.
   */
  save(evidence: readonly Evidence[], now: number): void {
    this.#connection.transaction(() => {
      this.#table.make();
      const put = this.#connection.run(
        `INSERT INTO evidence (target, host, at, attempts) VALUES (?, ?, ?, ?) ON CONFLICT (target)
         DO UPDATE SET host = excluded.host, at = excluded.at, attempts = excluded.attempts`,
      );
      for (const { target, host, at, attempts } of evidence) {
        const known = this.#of(target)?.attempts ?? [];
        // A host that is blocked for a guarded account keeps its attempts, and brings them again.
        const fresh = attempts.filter((attempt) => !known.some((one) => isSame(one, attempt)));
        const kept = [...known, ...fresh].slice(-ATTEMPTS_KEPT_MAX);
        put.run(target, host, boundedTime(at), JSON.stringify(kept.map(toRow)));
      }
      this.#prune(now);
    });
  }

  /**
   * What one target did.
   *
   * @param target Canonical address or network.
   * @returns `undefined` if nothing is kept of it.
   * @throws BlockDatabaseError If the file cannot be read.
   */
  of(target: string): Evidence | undefined {
    return this.#connection.guarded(() => this.#table.exists() ? this.#of(target) : undefined);
  }

  /**
   * The targets of which attempts are kept, those that were blocked last first.
   *
   * @throws BlockDatabaseError If the file cannot be read.
   */
  targets(): string[] {
    return this.#connection.guarded(() => {
      if (!this.#table.exists()) return [];
      const sql = "SELECT json_group_array(target) AS targets FROM " +
        "(SELECT target FROM evidence ORDER BY at DESC)";
      const targets: unknown[] = JSON.parse(String(this.#connection.run(sql).get()?.targets));
      return targets.filter((target) =>
        typeof target === "string" && isCanonical(target)
      ) as string[];
    });
  }

  #of(target: string): Evidence | undefined {
    const columns = "json_array(target, host, at, attempts)";
    const sql = `SELECT ${columns} AS row FROM evidence WHERE target = ?`;
    const row = this.#connection.run(sql).get(target)?.row;
    return row === undefined ? undefined : readEvidence(JSON.parse(String(row)));
  }

  #prune(now: number): void {
    this.#connection.run("DELETE FROM evidence WHERE at < ?").run(
      boundedTime(now - EVIDENCE_AGE_MAX_MS),
    );
    dropRows(this.#connection, "evidence", "at", EVIDENCE_ROWS_MAX);
  }
}

/**
 * Makes evidence of a row, which may hold anything.
 *
 * @param row Target, host, at, attempts as JSON.
 * @returns `undefined` if it is none; what is no attempt is left out.
 */
export function readEvidence(row: readonly unknown[]): Evidence | undefined {
  const [target, host, at, text] = row;
  if (typeof target !== "string" || !isCanonical(target)) return undefined;
  if (typeof host !== "string" || !isCanonical(host) || typeof at !== "number") return undefined;
  const rows = readList(text, ROW_CHARACTERS_MAX);
  if (rows === undefined) return undefined;
  const attempts = rows.slice(-ATTEMPTS_KEPT_MAX).flatMap((one) => readAttempt(one) ?? []);
  return { target, host, at: boundedTime(at), attempts };
}

function readAttempt(row: unknown): KeptAttempt | undefined {
  if (!Array.isArray(row)) return undefined;
  const [at, what, service, transport, account, points] = row;
  if (typeof at !== "number" || typeof points !== "number") return undefined;
  const texts = [what, service, transport, account];
  if (!texts.every((text) => typeof text === "string")) return undefined;
  return {
    at: boundedTime(at),
    what: boundedText(what, 2 * NAME_MAX),
    service: boundedText(service, NAME_MAX),
    transport: boundedText(transport, NAME_MAX),
    account: boundedText(account, ACCOUNT_MAX),
    points: Math.min(Math.max(Math.floor(points) || 0, 0), POINTS_MAX),
  };
}

/** Times that were told by two clocks differ a little. */
function isSame(a: KeptAttempt, b: KeptAttempt): boolean {
  return Math.abs(a.at - b.at) <= SAME_MS && a.what === b.what && a.points === b.points &&
    a.account === b.account;
}

function toRow(attempt: KeptAttempt): unknown[] {
  const { at, what, service, transport, account, points } = attempt;
  return [
    boundedTime(at),
    boundedText(what, 2 * NAME_MAX),
    boundedText(service, NAME_MAX),
    boundedText(transport, NAME_MAX),
    boundedText(account, ACCOUNT_MAX),
    points,
  ];
}
