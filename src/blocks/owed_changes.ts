/**
 * Changes that the database did not take, in a file of their own, so that the end of the process
 * does not lose them: a database that is full or held by another process would else take them with
 * it, and the next start out of the kernel.
 *
 * @module
 */

import { dirname } from "node:path";
import {
  type Block,
  boundedNew,
  boundedTime,
  boundedTimes,
  hasEnded,
  isCanonical,
} from "./block.ts";
import type { PendingChanges } from "./pending_changes.ts";

/** Most changes that are kept; of more the oldest. */
const OWED_MAX = 20_000;

/** From so many on they are not kept after each change, but once in a while. */
const MANY = 200;

/** How often many are kept at most, in milliseconds: to write all of them takes a twentieth. */
const MANY_EVERY_MS = 1_000;

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** A change that a process before owed to the database. */
type OwedChange =
  | { readonly block: Block }
  /** It was taken out, at this moment in milliseconds since 1970. */
  | { readonly gone: string; readonly at: number };

/**
 * Keeps what is pending while the database is in trouble.
 *
 * @example
 * ```ts
 * import { OwedChanges } from "./owed_changes.ts";
 *
 * console.log(new OwedChanges("/nowhere/owed").read()); // []
 * ```
 */
export class OwedChanges {
  /** Where they are kept. */
  readonly path: string;
  #isThere = true;
  #revision: number | undefined;
  #keptAt = -Infinity;
  #kept = 0;

  /**
   * Nothing is read or written yet.
   *
   * @param path The file, on another file system than the database.
   */
  constructor(path: string) {
    this.path = path;
  }

  /** Changes that are kept now. */
  get kept(): number {
    return this.#kept;
  }

  /** What is kept, in order; what is no change is left out. */
  read(): OwedChange[] {
    let text: string;
    try {
      text = Deno.readTextFileSync(this.path);
    } catch {
      return [];
    }
    return text.split("\n").flatMap((line) => changeIn(line) ?? []);
  }

  /**
   * Keeps what is pending if the database is in trouble, or else nothing.
   *
   * @param pending What the database does not have yet.
   * @param isInTrouble Whether it does not take it.
   * @param now Clock value in milliseconds since 1970.
   * @param isLast Whether this is the last chance.
   */
  keep(pending: PendingChanges, isInTrouble: boolean, now: number, isLast = false): void {
    if (!isInTrouble || !pending.hasBlocks) return this.#clear();
    if (pending.revision === this.#revision) return;
    const isSoon = Math.abs(now - this.#keptAt) < MANY_EVERY_MS;
    if (!isLast && isSoon && pending.size > MANY) return;
    this.#revision = pending.revision;
    this.#keptAt = now;
    const lines: string[] = [];
    for (const change of pending.owed()) {
      if (lines.length >= OWED_MAX) break;
      lines.push(JSON.stringify(typeof change === "string" ? { gone: change, at: now } : change));
    }
    this.#kept = this.#write(`${lines.join("\n")}\n`) ? lines.length : 0;
  }

  /**
   * Somebody takes targets out: nobody shall bring them back.
   *
   * @param targets Canonical targets.
   * @returns Those of them that were to be blocked.
   */
  forget(targets: ReadonlySet<string>): string[] {
    const changes = this.read();
    const forgotten: string[] = [];
    const left: string[] = [];
    for (const one of changes) {
      if (!("block" in one)) left.push(JSON.stringify(one));
      else if (targets.has(one.block.target)) forgotten.push(one.block.target);
      else left.push(JSON.stringify(one.block));
    }
    if (forgotten.length > 0) this.#write(left.map((line) => `${line}\n`).join(""));
    return forgotten;
  }

  #write(text: string): boolean {
    try {
      Deno.mkdirSync(dirname(this.path), { recursive: true, mode: FOLDER_MODE });
      Deno.writeTextFileSync(`${this.path}.new`, text, { mode: FILE_MODE });
      Deno.renameSync(`${this.path}.new`, this.path);
      this.#isThere = true;
      return true;
    } catch {
      // As it would be without it.
      return false;
    }
  }

  #clear(): void {
    if (!this.#isThere) return;
    this.#isThere = false;
    this.#revision = undefined;
    this.#kept = 0;
    try {
      Deno.removeSync(this.path);
    } catch {
      // There is none.
    }
  }
}

/**
 * Whether a change that a process before owed is to be made, after all that others did since.
 *
 * @param change What was owed.
 * @param known What the list holds of its target.
 * @param now Clock value in milliseconds since 1970.
 */
export function stillCounts(change: OwedChange, known: Block | undefined, now: number): boolean {
  // What was blocked after it was taken out was blocked by others.
  if ("gone" in change) return known !== undefined && known.since <= change.at;
  const knownEnd = known === undefined ? -Infinity : known.until ?? Infinity;
  return !hasEnded(change.block, now) && knownEnd < (change.block.until ?? Infinity);
}

function changeIn(line: string): OwedChange | undefined {
  try {
    const change = JSON.parse(line);
    if (typeof change.gone === "string") {
      const { gone, at } = change;
      return isCanonical(gone) ? { gone, at: boundedTime(Number(at)) } : undefined;
    }
    const texts = [change.target, change.reason, change.service, change.transport, change.account];
    if (texts.some((text) => typeof text !== "string") || !isCanonical(change.target)) {
      return undefined;
    }
    if (typeof change.since !== "number" || !/^(?:number|undefined)$/.test(typeof change.until)) {
      return undefined;
    }
    const { target, since, until, reason, service, transport, account } = change;
    const block = boundedNew({ target, since, until, reason, service, transport, account });
    return { block: { ...block, times: boundedTimes(Number(change.times)) } };
  } catch {
    return undefined;
  }
}
