/**
 * Who must pass although a network around them is blocked: which of them the kernel must know, and
 * which it knows.
 *
 * @module
 */

import { networksAround } from "../address/address.ts";
import { type Entry, EXCEPTIONS_MAX, SOFT } from "./backend.ts";

/** A change of the exceptions in the kernel. */
export interface ExceptionChange {
  /** Those that are not there yet. */
  readonly add: readonly string[];
  /** Those that are there and not needed. */
  readonly remove: readonly string[];
}

/**
 * The exceptions of one family. Only those are in the kernel that a blocked network holds.
 *
 * @example
 * ```ts
 * import { Exceptions } from "./exceptions.ts";
 *
 * const exceptions = new Exceptions();
 * exceptions.set(["192.0.2.1"]);
 * exceptions.change((target) => target === "192.0.2.0/24"); // to be added: 192.0.2.1
 * ```
 */
export class Exceptions {
  /** Who must pass, and the networks that would be in their way. */
  #desired = new Map<string, readonly string[]>();
  /** Who passes in the kernel, as far as is known. */
  #applied: ReadonlySet<string> = new Set();
  /** Those that are needed must be found out again. */
  #mustCompare = false;
  #leftOut = 0;
  readonly #tell: (leftOut: number) => void;

  /** @param tell Is told once how many are needed beyond {@linkcode EXCEPTIONS_MAX}. */
  constructor(tell: (leftOut: number) => void = () => {}) {
    this.#tell = tell;
  }

  /**
   * Sets who must pass.
   *
   * @param targets All of them, instead of those of before.
   */
  set(targets: readonly string[]): void {
    this.#desired = new Map(
      targets.map((target) => [target, this.#desired.get(target) ?? inTheWayOf(target)]),
    );
    this.#mustCompare = true;
  }

  /** Notes that blocks have changed, so that others may be needed. */
  recheck(): void {
    this.#mustCompare = true;
  }

  /**
   * Notes that some blocks have changed. A host that is no exception itself changes nothing.
   *
   * @param entries What was blocked or released.
   */
  recheckFor(entries: Iterable<Pick<Entry, "target">>): void {
    if (this.#mustCompare || this.#desired.size === 0) return;
    for (const { target } of entries) {
      if (
        target.includes("/") || this.#desired.has(target) || this.#desired.has(SOFT + target)
      ) return this.recheck();
    }
  }

  /**
   * Tells which exceptions are needed: those that a blocked network holds, and that are not blocked
   * by themselves; the first {@linkcode EXCEPTIONS_MAX} of them.
   *
   * @param isBlocked Whether a target is blocked, or will be.
   */
  needed(isBlocked: (target: string) => boolean): string[] {
    const needed: string[] = [];
    let leftOut = 0;
    for (const [target, around] of this.#desired) {
      if (isBlocked(target) || !around.some(isBlocked)) continue;
      if (needed.length < EXCEPTIONS_MAX) needed.push(target);
      else leftOut++;
    }
    if (leftOut > 0 && this.#leftOut === 0) this.#tell(leftOut);
    this.#leftOut = leftOut;
    return needed;
  }

  /**
   * Tells what must change in the kernel.
   *
   * @param isBlocked Whether a target is blocked, or will be.
   * @returns `undefined` if nothing must.
   */
  change(isBlocked: (target: string) => boolean): ExceptionChange | undefined {
    if (!this.#mustCompare) return undefined;
    const needed = new Set(this.needed(isBlocked));
    const add = [...needed].filter((target) => !this.#applied.has(target));
    const remove = [...this.#applied].filter((target) => !needed.has(target));
    if (add.length + remove.length > 0) return { add, remove };
    this.#mustCompare = false;
    return undefined;
  }

  /**
   * Notes that a change is in the kernel.
   *
   * @param change The change.
   */
  land({ add, remove }: ExceptionChange): void {
    const gone = new Set(remove);
    this.#applied = new Set([...this.#applied, ...add].filter((target) => !gone.has(target)));
  }

  /**
   * Takes over what the kernel was seen, or made, to hold.
   *
   * @param targets All that pass there.
   * @returns How many were missing or too many.
   */
  adopt(targets: Iterable<string>): number {
    const before = this.#applied;
    const after = new Set(targets);
    this.#applied = after;
    this.#mustCompare = true;
    return before.symmetricDifference(after).size;
  }
}

/** The blocks for which an exception is needed. */
function inTheWayOf(target: string): readonly string[] {
  return target.startsWith(SOFT) ? [target.slice(SOFT.length)] : networksAround(target);
}
