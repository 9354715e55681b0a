/**
 * How many changes one command gets: fewer after a failure, until the change that is the cause of
 * it stands alone.
 *
 * @module
 */

import type { Batch, Verb } from "./changes.ts";
import type { Failure } from "./failure.ts";

/** Fewest entries of a batch that is made smaller because commands take too long. */
const SLOW_BATCH_MIN = 64;

/** A batch of which one command took a part is followed by one of that part, larger by this. */
const BATCH_GROWTH = 1.1;

/**
 * How to go on after a batch that failed: at once with a smaller one, after a delay, or without the
 * only change that it had.
 */
type NextTry = "at once" | "later" | "without it";

/** The sizes of the batches of one family. */
export class BatchLimits {
  /** Most entries when everything is made anew. */
  mostOfAll = Infinity;
  /** Most entries of a batch. */
  #most = Infinity;
  /** About how many new blocks fit into one command. */
  #fitting = Infinity;
  /** A target whose change failed alone; the second time it is rejected. */
  #suspect: string | undefined;

  /**
   * Tells how many entries the next batch may have.
   *
   * @param verb What becomes of them.
   * @param batchMax Most entries that the backend wants.
   */
  mostOf(verb: Verb, batchMax: number): number {
    return Math.min(this.#most, batchMax, verb === "block" ? this.#fitting : Infinity);
  }

  /**
   * Notes how many entries of a batch one command took.
   *
   * @param batch The batch.
   * @param done How many.
   */
  landed({ verb, entries }: Batch, done: number): void {
    if (verb === "block") this.#fitting = done < entries.length ? done * BATCH_GROWTH : Infinity;
  }

  /** Notes that a command did what it should. */
  succeeded(): void {
    this.#suspect = undefined;
  }

  /** Lets the next batch be larger. */
  grow(): void {
    this.#most *= 2;
  }

  /**
   * Decides how to go on after a batch that failed.
   *
   * @param failure Why it failed.
   * @param batch The batch.
   */
  failed(failure: Failure, { entries }: Batch): NextTry {
    const half = Math.ceil(entries.length / 2);
    if (failure.kind === "timed-out") this.#most = Math.max(SLOW_BATCH_MIN, half);
    if (!mayBeOneOfThem(failure)) return "later";
    const { target } = entries[0]!;
    if (entries.length > 1) {
      this.#most = half;
    } else if (this.#suspect !== target) {
      // Perhaps somebody else has removed the rule; the look will tell.
      this.#suspect = target;
      this.#most = 1;
    } else {
      this.#suspect = undefined;
      return "without it";
    }
    return "at once";
  }

  /**
   * Decides how to go on after everything could not be made anew.
   *
   * @param failure Why it failed.
   * @param count How many entries there were to be.
   * @returns Whether to try at once with fewer: the culprit is then found among the rest.
   */
  failedAll(failure: Failure, count: number): boolean {
    const isFewer = count > 0 && (mayBeOneOfThem(failure) || failure.kind === "timed-out");
    if (isFewer) this.mostOfAll = count === 1 ? 0 : Math.ceil(count / 2);
    return isFewer;
  }
}

/**
 * Tells whether a failure of a batch may come from one of its targets.
 *
 * @param failure The failure.
 */
export function mayBeOneOfThem(failure: Failure): boolean {
  return failure.kind === "refused" || failure.kind === "full";
}
