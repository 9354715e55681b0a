/**
 * What failed from addresses that are never charged: a proxy on this machine may hide who it was.
 *
 * @module
 */

import type { HostKey } from "./host_key.ts";

/**
 * Most addresses that are told apart until they are taken; the failures of further ones are not
 * counted.
 */
export const EXEMPT_HOSTS_MAX = 1_024;

/** Counts failures by address. */
export class ExemptFailures {
  #counts = new Map<HostKey, number>();

  /** A host that is never charged has failed. */
  add(host: HostKey): void {
    const before = this.#counts.get(host);
    if (before === undefined && this.#counts.size >= EXEMPT_HOSTS_MAX) return;
    this.#counts.set(host, (before ?? 0) + 1);
  }

  /** The failures since the last call. */
  take(): [HostKey, number][] {
    if (this.#counts.size === 0) return [];
    const counts = [...this.#counts];
    this.#counts.clear();
    return counts;
  }
}
