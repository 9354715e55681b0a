/**
 * What waits to be written into the engine: of each thing the newest, bounded.
 *
 * @module
 */

import { type SharedChange, WRITE_MAX } from "./engine.ts";

/** Most changes that wait for the engine; blocks that end soonest are left out first. */
export const OUTBOX_MAX = 65_536;

/** Changes that wait. */
export class Outbox {
  readonly #onLoss: () => void;
  /** By what they are about. */
  readonly #waiting = new Map<string, SharedChange>();
  /** What was handed out by {@linkcode Outbox.next}. */
  #sending: ReadonlyMap<string, SharedChange> = new Map();
  /** Changes that found no place. */
  dropped = 0;

  /**
   * Nothing waits.
   *
   * @param onLoss Hears that more than refusals found no place.
   */
  constructor(onLoss: () => void) {
    this.#onLoss = onLoss;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size + this.#sending.size;
  }

  /**
   * One more waits, at the end; it takes the place of an older one about the same.
   *
   * @param change What is to be written.
   */
  add(change: SharedChange): void {
    const key = change.kind === "block"
      ? keyOf(change.block.node, change.block.target)
      : change.kind === "release"
      ? keyOf("", change.target)
      : `! ${keyOf(change.origin, change.target)}`;
    this.#waiting.delete(key);
    this.#waiting.set(key, change);
    this.#bound();
  }

  /**
   * A node's block of a target waits no more.
   *
   * @param node Whose.
   * @param target Of what.
   */
  withdraw(node: string, target: string): void {
    this.#waiting.delete(keyOf(node, target));
  }

  /**
   * What is to be written next; it waits until {@linkcode Outbox.written} or
   * {@linkcode Outbox.notWritten}.
   *
   * @returns Nothing when nothing waits.
   */
  next(): SharedChange[] {
    const sending = new Map<string, SharedChange>();
    for (const [key, change] of this.#waiting) {
      if (sending.size === WRITE_MAX) break;
      sending.set(key, change);
    }
    for (const key of sending.keys()) this.#waiting.delete(key);
    this.#sending = sending;
    return [...sending.values()];
  }

  /** What was handed out is written. */
  written(): void {
    this.#sending = new Map();
  }

  /** It is not written, or that is not known: it waits again, unless something newer does. */
  notWritten(): void {
    for (const [key, change] of this.#sending) {
      if (!this.#waiting.has(key)) this.#waiting.set(key, change);
    }
    this.#sending = new Map();
    this.#bound();
  }

  /** Leaves out what is worth least: refusals, then the blocks that end soonest. */
  #bound(): void {
    if (this.#waiting.size <= OUTBOX_MAX) return;
    const most = OUTBOX_MAX - OUTBOX_MAX / 16;
    const all = [...this.#waiting].sort(([, a], [, b]) => worthOf(a) - worthOf(b));
    for (const [key, { kind }] of all.slice(0, all.length - most)) {
      this.#waiting.delete(key);
      this.dropped++;
      if (kind !== "refusal") this.#onLoss();
    }
  }
}

/**
 * Names a node's block of a target.
 *
 * @param node Whose; empty: of no certain node.
 * @param target Of what.
 */
export function keyOf(node: string, target: string): string {
  return `${node} ${target}`;
}

function worthOf(change: SharedChange): number {
  if (change.kind === "refusal") return -1;
  return change.kind === "release" ? Infinity : change.block.end;
}
