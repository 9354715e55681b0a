/**
 * What happened in each minute of the last day, and in each hour of the last 90: counted from the
 * daemon's counters, and kept in the database.
 *
 * @module
 */

import type { SecurityEventKind } from "../ami/event.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { CountRow } from "../blocks/kept_counts.ts";
import { type Counters, LATENCY_BOUNDS } from "../telemetry/counters.ts";
import type { LogsState } from "../telemetry/status.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** How long minutes and hours are kept, in milliseconds. */
const MINUTES_KEPT_MS = 24 * HOUR_MS;
const HOURS_KEPT_MS = 90 * 24 * HOUR_MS;

/** Kinds of failed attempts, as people tell them apart. */
export const ATTEMPTS = ["wrong password", "no such account", "refused", "reported"] as const;

/** What is counted, in the order of the numbers of a row; the latencies follow. */
const NAMES = [...ATTEMPTS, "logins", "blocks", "ended"] as const;

/** By the kind of an event: which number it is; a challenge that was sent is no attempt yet. */
const PLACES: Readonly<Partial<Record<SecurityEventKind, number>>> = {
  InvalidPassword: 0,
  ChallengeResponseFailed: 0,
  InvalidAccountID: 1,
  FailedACL: 2,
  RequestNotSupported: 2,
  RequestNotAllowed: 2,
  RequestBadFormat: 2,
  InvalidTransport: 2,
  SessionLimit: 2,
  MemoryLimit: 2,
  LoadAverageLimit: 2,
  AuthMethodNotAllowed: 2,
  UnexpectedAddress: 2,
  RefusedMessage: 2,
  Reported: 3,
  SuccessfulAuth: 4,
};

const LOGINS = 4;
const BLOCKS = 5;
const ENDED = 6;
const LATENCIES = NAMES.length;

/** Numbers of a row. */
const NUMBERS = LATENCIES + LATENCY_BOUNDS.length + 1;

/** What is asked of a time. */
export interface Sums {
  /** By the kinds of {@linkcode ATTEMPTS}. */
  readonly attempts: readonly number[];
  readonly logins: number;
  readonly blocks: number;
  readonly ended: number;
  /** Within so many seconds 95 of a hundred blocks were in the kernel; `undefined`: none was. */
  readonly latency: number | undefined;
}

/** A piece of the past. */
export interface Bin extends Sums {
  /** When it began, in milliseconds since 1970. */
  readonly at: number;
  /** Whether anybody counted then. */
  readonly isKnown: boolean;
}

/** What is counted. */
interface Counted {
  readonly counters: Counters;
  readonly logs: LogsState | undefined;
  readonly list: Pick<BlockList, "saveCounts" | "counts">;
}

/** Counts, keeps and tells. */
export class History {
  readonly #source: Counted;
  readonly #rows = {
    60: new Map<number, number[]>(),
    3_600: new Map<number, number[]>(),
  };
  /** Rows that are not written yet. */
  readonly #unsaved = new Set<string>();
  #seen: number[];
  #isRestored = false;

  /**
   * Counts from now on.
   *
   * @param source The daemon.
   */
  constructor(source: Counted) {
    this.#source = source;
    this.#seen = this.#totals();
  }

  /**
   * Takes what happened since the last call, and writes it if a minute is over: to be called at
   * least once a minute.
   *
   * @param now Time of day, in milliseconds since 1970.
   */
  look(now: number): void {
    this.#restore();
    const isNewMinute = !this.#rows[60].has(startOf(now, MINUTE_MS));
    this.#take(now);
    if (isNewMinute) this.save(now);
  }

  /**
   * Writes what is not written yet.
   *
   * @param now Time of day, in milliseconds since 1970.
   */
  save(now: number): void {
    this.#take(now);
    const rows = [...this.#unsaved].flatMap((name): CountRow[] => {
      const [step, at] = name.split(" ").map(Number) as [60 | 3_600, number];
      const counts = this.#rows[step].get(at);
      return counts === undefined ? [] : [{ step, at, counts }];
    });
    const forget = [
      { step: 60, before: now - MINUTES_KEPT_MS },
      { step: 3_600, before: now - HOURS_KEPT_MS },
    ];
    for (const { step, before } of forget) {
      const rows = this.#rows[step as 60 | 3_600];
      for (const at of rows.keys()) {
        if (at >= before) continue;
        rows.delete(at);
        this.#unsaved.delete(`${step} ${at}`);
      }
    }
    // What an earlier life has counted in this hour would be lost.
    if (!this.#isRestored) return;
    if (this.#source.list.saveCounts?.(rows, forget, now)) this.#unsaved.clear();
  }

  /**
   * What happened lately.
   *
   * @param sinceMs Since when, in milliseconds since 1970; within the last day to a minute.
   */
  since(sinceMs: number): Sums {
    const sums = new Array<number>(NUMBERS).fill(0);
    for (const [at, counts] of this.#rows[60]) {
      if (at + MINUTE_MS > sinceMs) addTo(sums, counts);
    }
    return sumsOf(sums);
  }

  /**
   * The past in pieces, the oldest first; the last one is now.
   *
   * @param now Time of day, in milliseconds since 1970.
   * @param lengthMs How long a piece is, in milliseconds: whole minutes if all of it is within a
   *   day, else whole hours.
   * @param count How many.
   */
  bins(now: number, lengthMs: number, count: number): Bin[] {
    const end = startOf(now, lengthMs) + lengthMs;
    const begin = end - count * lengthMs;
    const isOfMinutes = lengthMs % HOUR_MS !== 0 || count * lengthMs <= MINUTES_KEPT_MS;
    const bins = Array.from({ length: count }, () => new Array<number>(NUMBERS).fill(0));
    const known = new Set<number>();
    for (const [at, counts] of this.#rows[isOfMinutes ? 60 : 3_600]) {
      const index = Math.floor((at - begin) / lengthMs);
      if (index < 0 || index >= count) continue;
      known.add(index);
      addTo(bins[index]!, counts);
    }
    return bins.map((counts, index) => ({
      at: begin + index * lengthMs,
      isKnown: known.has(index),
      ...sumsOf(counts),
    }));
  }

  #take(now: number): void {
    const totals = this.#totals();
    const more = totals.map((total, index) => Math.max(0, total - this.#seen[index]!));
    this.#seen = totals;
    this.#add(60, startOf(now, MINUTE_MS), more);
    this.#add(3_600, startOf(now, HOUR_MS), more);
  }

  #add(step: 60 | 3_600, at: number, more: readonly number[]): void {
    const known = this.#rows[step].get(at);
    if (known === undefined) this.#rows[step].set(at, [...more]);
    else addTo(known, more);
    this.#unsaved.add(`${step} ${at}`);
  }

  /** Reads what an earlier life has kept, as soon as that can be read. */
  #restore(): void {
    if (this.#isRestored) return;
    const { list } = this.#source;
    const kept = list.counts === undefined ? [] : list.counts();
    if (kept === undefined) return;
    this.#isRestored = true;
    for (const { step, at, counts } of kept) {
      if ((step !== 60 && step !== 3_600) || at % (1_000 * step) !== 0) continue;
      const own = this.#rows[step].get(at);
      const row = Array.from({ length: NUMBERS }, (_, index) => counts[index] ?? 0);
      if (own !== undefined) addTo(row, own);
      this.#rows[step].set(at, row);
    }
  }

  /** All that the daemon has counted since its start. */
  #totals(): number[] {
    const { counters, logs } = this.#source;
    const totals = new Array<number>(NUMBERS).fill(0);
    for (const counts of [counters.events, logs?.charged ?? []]) {
      for (const [type, count] of counts) {
        const place = PLACES[type.split(" ")[0] as SecurityEventKind];
        if (place !== undefined) totals[place]! += count;
      }
    }
    totals[BLOCKS] = counters.added;
    totals[ENDED] = counters.removed;
    counters.latency.counts.forEach((count, index) => totals[LATENCIES + index] = count);
    return totals;
  }
}

function addTo(sums: number[], counts: readonly number[]): void {
  counts.forEach((count, index) => sums[index] = (sums[index] ?? 0) + count);
}

function startOf(at: number, lengthMs: number): number {
  return Math.floor(at / lengthMs) * lengthMs;
}

function sumsOf(counts: readonly number[]): Sums {
  return {
    attempts: counts.slice(0, ATTEMPTS.length),
    logins: counts[LOGINS]!,
    blocks: counts[BLOCKS]!,
    ended: counts[ENDED]!,
    latency: latencyOf(counts.slice(LATENCIES)),
  };
}

/** The bound of the histogram below which 95 of a hundred are. */
function latencyOf(counts: readonly number[]): number | undefined {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return undefined;
  let below = 0;
  const index = counts.findIndex((count) => (below += count) >= 0.95 * all);
  return LATENCY_BOUNDS[index] ?? 2 * LATENCY_BOUNDS.at(-1)!;
}
