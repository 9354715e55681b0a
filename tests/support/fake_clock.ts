import type { Clock } from "../../src/clock.ts";

interface Timer {
  at: number;
  order: number;
  run: () => void;
}

/** A clock that only moves when it is told to. */
export class FakeClock implements Clock {
  #now: number;
  #order = 0;
  #timers = new Set<Timer>();

  constructor(now = 1_800_000_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  soon(run: () => void): void {
    this.after(0, run);
  }

  /** Time until the next timer, in milliseconds; `undefined` when there is none. */
  get next(): number | undefined {
    const timer = this.#first();
    return timer === undefined ? undefined : timer.at - this.#now;
  }

  /** Moves on, running what is due, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (;;) {
      const timer = this.#first();
      if (timer === undefined || timer.at > end) break;
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, timer.at);
      timer.run();
      await settled();
    }
    this.#now = end;
    await settled();
  }

  #first(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (
        first === undefined || timer.at < first.at ||
        (timer.at === first.at && timer.order < first.order)
      ) first = timer;
    }
    return first;
  }
}

/** Lets everything run that waits for promises only. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
