/**
 * What is wrong with the database: when it is told, and when it is tried again.
 *
 * @module
 */

import { retryDelay } from "../backoff.ts";
import type { DatabaseFault } from "./fault.ts";

/** First delay between two tries to write what is pending, in milliseconds; it doubles. */
const RETRY_FIRST_MS = 250;

/** Longest delay between two tries, in milliseconds. */
export const RETRY_MAX_MS = 30_000;

/**
 * A database that another process holds is told of when it lasts longer than this, in milliseconds.
 */
export const BUSY_TOLD_AFTER_MS = 2_000;

/** From the first fault until all is written. */
interface Episode {
  fault: DatabaseFault;
  readonly since: number;
  readonly told: Set<DatabaseFault>;
  tries: number;
  nextTry: number;
}

/** Remembers the faults of one database until all is mended. */
export class Trouble {
  readonly #onTrouble: (message: string) => void;
  readonly #onMended: (message: string) => void;
  #episode: Episode | undefined;

  /**
   * All is well in the beginning.
   *
   * @param onTrouble Called once for each kind of fault, until all is mended.
   * @param onMended Called when all is mended, if a fault was told.
   */
  constructor(onTrouble: (message: string) => void, onMended: (message: string) => void) {
    this.#onTrouble = onTrouble;
    this.#onMended = onMended;
  }

  /** The last fault; `undefined`: all is well. */
  get fault(): DatabaseFault | undefined {
    return this.#episode?.fault;
  }

  /**
   * Records a fault, and tells it unless it was told already or may soon be over.
   *
   * @param fault The kind of fault.
   * @param message What happened and what to do.
   * @param now Clock value in milliseconds since 1970.
   */
  record(fault: DatabaseFault, message: string, now: number): void {
    this.#episode ??= { fault, since: now, told: new Set(), tries: 0, nextTry: now };
    const { told, since } = this.#episode;
    this.#episode.fault = fault;
    if (told.has(fault) || fault === "busy" && now - since < BUSY_TOLD_AFTER_MS) return;
    told.add(fault);
    this.#onTrouble(message);
  }

  /**
   * Puts the next try off, each time for longer.
   *
   * @param now Clock value in milliseconds since 1970.
   */
  postpone(now: number): void {
    const episode = this.#episode;
    if (episode === undefined) return;
    episode.nextTry = now + retryDelay(episode.tries++, RETRY_FIRST_MS, RETRY_MAX_MS);
  }

  /**
   * Whether the database may be tried.
   *
   * @param now Clock value in milliseconds since 1970.
   * @returns False while the next try is put off.
   */
  mayTry(now: number): boolean {
    const wait = (this.#episode?.nextTry ?? now) - now;
    // A longer wait than the longest: the clock was set back.
    return wait <= 0 || wait > RETRY_MAX_MS;
  }

  /**
   * All is well again.
   *
   * @param message What is told if a fault was.
   */
  end(message: () => string): void {
    const wasTold = (this.#episode?.told.size ?? 0) > 0;
    this.#episode = undefined;
    if (wasTold) this.#onMended(message());
  }
}
