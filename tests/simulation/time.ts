/**
 * Simulated time: events in their order, one after the other, with nothing in between.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { Clock } from "../../src/clock.ts";

interface Due {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** Ends everything that waits for promises only: one turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** The time of the world. It passes only in {@linkcode SimulatedTime.passUntil}. */
export class SimulatedTime {
  #now: number;
  #order = 0;
  /** A binary heap; the first is due next. */
  readonly #heap: Due[] = [];

  /** @param now Milliseconds since 1970. */
  constructor(now = 1_800_000_000_000) {
    this.#now = now;
  }

  /** Milliseconds since 1970. */
  get now(): number {
    return this.#now;
  }

  /**
   * Has something done later.
   *
   * @param ms In how many milliseconds.
   * @param run What.
   * @returns Takes it back.
   */
  after(ms: number, run: () => void): () => void {
    const due: Due = { at: this.#now + Math.max(0, ms), order: this.#order++, run };
    this.#push(due);
    return () => due.run = undefined;
  }

  /**
   * Lets time pass.
   *
   * @param end Until when.
   * @param holds Stops as soon as this is true; it is asked after each event.
   */
  async passUntil(end: number, holds: () => boolean = () => false): Promise<void> {
    await turn();
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end) break;
      this.#pop();
      const { run } = next;
      if (run === undefined) continue;
      this.#now = next.at;
      run();
      await turn();
      if (holds()) return;
    }
    this.#now = end;
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(due, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const length = heap.length;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** How one process sees time and the world: it can stand still for a while, and be killed. */
export class ProcessClock implements Clock {
  readonly #time: SimulatedTime;
  #killed = false;
  /** What has happened while the process stood still; `undefined` when it runs. */
  #waiting: { timers: (() => void)[]; others: (() => void)[] } | undefined;

  constructor(time: SimulatedTime) {
    this.#time = time;
  }

  now(): number {
    return this.#time.now;
  }

  after(ms: number, run: () => void): () => void {
    let cancelled = false;
    const cancel = this.#time.after(ms, () => {
      if (this.#waiting === undefined) return this.#run(run);
      this.#waiting.timers.push(() => cancelled || run());
    });
    return () => {
      cancelled = true;
      cancel();
    };
  }

  soon(run: () => void): void {
    this.after(0, run);
  }

  /** Tells the process something from outside: at once, or when it runs again. */
  tell(run: () => void): void {
    if (this.#waiting === undefined) this.#run(run);
    else this.#waiting.others.push(run);
  }

  /** The process stands still. */
  get frozen(): boolean {
    return this.#waiting !== undefined;
  }

  /** Stands still from now on. */
  freeze(): void {
    this.#waiting ??= { timers: [], others: [] };
  }

  /**
   * Goes on.
   *
   * @param timersFirst What is due by the clock comes before what arrived.
   */
  thaw(timersFirst: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    const { timers, others } = waiting;
    const all = timersFirst ? [...timers, ...others] : [...others, ...timers];
    // Each in a turn of its own.
    for (const run of all) this.#time.after(0, () => this.tell(run));
  }

  /** The process is gone: nothing runs in it any more. */
  kill(): void {
    this.#killed = true;
    this.#waiting = undefined;
  }

  #run(run: () => void): void {
    if (!this.#killed) run();
  }
}
