/**
 * Targets to be told of in one line of the log.
 *
 * @module
 */

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

  /** For example `192.0.2.1, 192.0.2.2 and 7 more`. */
  toString(): string {
    const more = this.#count > this.#first.length
      ? ` and ${this.#count - this.#first.length} more`
      : "";
    return `${this.#first.join(", ")}${more}`;
  }
}
