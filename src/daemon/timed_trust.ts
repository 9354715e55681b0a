/**
 * Those who are trusted for a time while the daemon runs.
 *
 * @module
 */

import { writeWholeFile } from "../text/whole_file.ts";
import { ChangedFile } from "../config/changed_file.ts";
import {
  formatTimedTrust,
  readTimedTrust,
  TIMED_TRUST_MAX,
  TIMED_TRUST_MAX_MS,
  type TimedEntry,
  timedTrustFile,
} from "../config/timed_trust.ts";
import type { Log } from "../log.ts";
import { formatLocalTime } from "../text/time.ts";

/** Knows them, ends them, and keeps them in a file. */
export class TimedTrust {
  readonly #path: string;
  readonly #log: Pick<Log, "info" | "warn">;
  readonly #isDry: boolean;
  readonly #entries = new Map<string, TimedEntry>();
  /** As long as there is no file nobody looks for one. */
  #file: ChangedFile | undefined;
  #nextEnd = Infinity;

  /**
   * Reads the file.
   *
   * @param database Path of the database, beside which the file lies.
   * @param log Takes what ends, and what fails.
   * @param now Time of day, in milliseconds since 1970.
   * @param isDry Whether the file is never changed.
   */
  constructor(database: string, log: Pick<Log, "info" | "warn">, now: number, isDry: boolean) {
    this.#path = timedTrustFile(database);
    this.#log = log;
    this.#isDry = isDry;
    this.read(now);
  }

  /** Canonical targets that are trusted now, or were at the last look. */
  get targets(): string[] {
    return [...this.#entries.keys()];
  }

  /** Those who are trusted now, or were at the last look. */
  get entries(): TimedEntry[] {
    return [...this.#entries.values()];
  }

  /**
   * Reads the file anew.
   *
   * @param now Time of day, in milliseconds since 1970: who was trusted until before is not.
   */
  read(now: number): void {
    const found = readTimedTrust(this.#path);
    if (typeof found === "string") {
      this.#log.warn(`${found}. Those who were trusted for a time before stay so until their end`);
      return;
    }
    this.#entries.clear();
    for (const entry of found) if (entry.until > now) this.#entries.set(entry.target, entry);
    this.#noteEnd();
    this.#file = found.length > 0 ? new ChangedFile(this.#path) : undefined;
  }

  /**
   * Looks for what has ended, and whether the file has changed.
   *
   * @param now Time of day, in milliseconds since 1970.
   * @returns Whether others are trusted now.
   */
  look(now: number): boolean {
    const isOther = this.#file?.hasChanged() ?? false;
    if (isOther) this.read(now);
    return this.#end(now) || isOther;
  }

  /**
   * Trusts somebody for a time.
   *
   * @param target Canonical address or network.
   * @param until The end, in milliseconds since 1970.
   * @param remark Who said so.
   * @param now Time of day, in milliseconds since 1970.
   * @returns Why not; `undefined` if they are trusted now, and stand in the file.
   */
  add(target: string, until: number, remark: string, now: number): string | undefined {
    if (target.endsWith("/0")) return "is everybody";
    if (!this.#entries.has(target) && this.#entries.size >= TIMED_TRUST_MAX) {
      return `${TIMED_TRUST_MAX} are trusted for a time already; use trust or trust_file`;
    }
    const before = this.#entries.get(target);
    const end = Math.min(until, now + TIMED_TRUST_MAX_MS);
    this.#entries.set(target, { target, until: end, remark });
    const problem = this.#write();
    if (problem === undefined) return undefined;
    if (before === undefined) this.#entries.delete(target);
    else this.#entries.set(target, before);
    this.#noteEnd();
    return problem;
  }

  /**
   * Ends it for somebody.
   *
   * @param target Canonical address or network.
   * @returns Why not; `undefined` if it is done.
   */
  remove(target: string): string | undefined {
    const before = this.#entries.get(target);
    if (before === undefined) return "is not trusted for a time";
    this.#entries.delete(target);
    const problem = this.#write();
    if (problem !== undefined) this.#entries.set(target, before);
    return problem;
  }

  #end(now: number): boolean {
    if (now < this.#nextEnd) return false;
    const ended = this.entries.filter(({ until }) => until <= now);
    for (const { target, until } of ended) {
      this.#entries.delete(target);
      this.#log.info(
        `${target} is not trusted any more: that was until ${formatLocalTime(until)}`,
      );
    }
    const problem = this.#write();
    if (problem !== undefined && !this.#isDry) this.#log.warn(problem);
    return ended.length > 0;
  }

  /** There is always a whole file. */
  #write(): string | undefined {
    this.#noteEnd();
    if (this.#isDry) return "this is a dry run: nothing is changed";
    try {
      writeWholeFile(this.#path, formatTimedTrust(this.#entries.values()));
      this.#file = new ChangedFile(this.#path);
      return undefined;
    } catch (error) {
      return `${this.#path} cannot be written: ${
        error instanceof Error ? error.message : String(error)
      }`;
    }
  }

  #noteEnd(): void {
    this.#nextEnd = Math.min(Infinity, ...this.entries.map(({ until }) => until));
  }
}
