/**
 * Attempts that still reach Asterisk while a block is on its way into the kernel, or were under way
 * already.
 *
 * @module
 */

import { forgetOldest } from "./bounded_map.ts";
import type { HostKey } from "./host_key.ts";
import { HostMarks } from "./host_marks.ts";

/** How long after a block attempts are counted as late, in milliseconds. */
export const LATE_MS = 2_000;

/** Most hosts that are counted at a time; the one that was blocked first goes first, uncounted. */
export const LATE_HOSTS_MAX = 65_536;

/** Counts the failures of hosts that have just been blocked. */
export class LateAttempts {
  readonly #counts = new Map<HostKey, { readonly at: number; attempts: number }>();
  /** Who may have just been blocked; each failure asks. */
  readonly #marks = new HostMarks();
  #expired: [HostKey, number][] = [];

  /** A host is blocked. */
  blocked(host: HostKey, now: number): void {
    if (this.#counts.has(host)) return;
    this.#counts.set(host, { at: now, attempts: 0 });
    this.#marks.add(host);
    forgetOldest(this.#counts, LATE_HOSTS_MAX);
  }

  /** A host has failed. */
  count(host: HostKey): void {
    if (!this.#marks.mayHave(host)) return;
    const late = this.#counts.get(host);
    if (late !== undefined) late.attempts++;
  }

  /** What came later than {@linkcode LATE_MS} is not late any more. */
  expire(now: number): void {
    const before = this.#counts.size;
    for (const [host, { at, attempts }] of this.#counts) {
      if (now - at < LATE_MS) break;
      this.#counts.delete(host);
      if (attempts > 0) this.#expired.push([host, attempts]);
    }
    if (this.#counts.size === before) return;
    this.#marks.clear();
    for (const host of this.#counts.keys()) this.#marks.add(host);
  }

  /** The hosts that had late attempts, with their number; each is given once. */
  takeExpired(): [HostKey, number][] {
    if (this.#expired.length === 0) return this.#expired;
    const expired = this.#expired;
    this.#expired = [];
    return expired;
  }
}
