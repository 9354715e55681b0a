/**
 * Targets to be told of in one line of the log.
 *
 * @module
 */

import type { LogFields } from "../text/line_form.ts";

/** Most targets that are named in one line. */
export const LOGGED_CHANGES_MAX = 20;

/** Targets to be told of: the first ones by name. */
export class Targets {
  readonly #first: string[] = [];
  #count = 0;

  /** Number of targets. */
  get count(): number {
    return this.#count;
  }

  /** Adds targets. */
  add(targets: readonly string[]): this {
    this.#first.push(...targets.slice(0, LOGGED_CHANGES_MAX - this.#first.length));
    this.#count += targets.length;
    return this;
  }

  /**
   * The same for machines.
   *
   * @param event What has become of them.
   * @param reason Why.
   */
  fields(event: "block" | "unblock" | "change", reason: string): LogFields {
    const targets = [...this.#first];
    return this.#count === 1
      ? { event, target: targets[0], reason }
      : { event, targets, count: this.#count, reason };
  }

  /** For example `192.0.2.1, 192.0.2.2 and 7 more`. */
  toString(): string {
    const more = this.#count > this.#first.length
      ? ` and ${this.#count - this.#first.length} more`
      : "";
    return `${this.#first.join(", ")}${more}`;
  }
}
