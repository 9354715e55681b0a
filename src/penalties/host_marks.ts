/**
 * Marks by which almost all hosts are known not to be among a few.
 *
 * @module
 */

import type { HostKey } from "./host_key.ts";

/** Number of marks, a power of two. */
const MARKS = 8_192;

/**
 * Says at once of almost every host that it was not added: to look into a map for each event would
 * cost more than all else that is done with it. All IPv6 hosts share one mark.
 *
 * @example
 * ```ts
 * import { HostMarks } from "./host_marks.ts";
 *
 * const marks = new HostMarks();
 * marks.add(1);
 * console.log(marks.mayHave(1), marks.mayHave(2)); // true false
 * ```
 */
export class HostMarks {
  readonly #marks = new Uint8Array(MARKS);

  /** Adds a host. */
  add(host: HostKey): void {
    this.#marks[markOf(host)] = 1;
  }

  /** False only if a host was not added. */
  mayHave(host: HostKey): boolean {
    return this.#marks[markOf(host)] === 1;
  }

  /** Takes all hosts out. */
  clear(): void {
    this.#marks.fill(0);
  }
}

function markOf(host: HostKey): number {
  return typeof host === "number" ? (host ^ host >>> 13) & MARKS - 1 : 0;
}
