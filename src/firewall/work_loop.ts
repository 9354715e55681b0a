/**
 * Does one piece of work after the other, waits when it is told to, and tells who waits for it.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/** What a {@linkcode WorkLoop} works at. */
interface Work {
  /** Called when work begins after a pause. */
  begin(): void;
  /** Whether something is to be done now. */
  hasWork(): boolean;
  /** Does one piece of it. It must not throw. */
  step(): Promise<void>;
  /** Whether the delay that is waited for will change nothing: a person must do something first. */
  isStuck(): boolean;
  /**
   * Called when work comes to a pause.
   *
   * @param isDone Whether nothing is left to do, not even after a delay.
   */
  pause(isDone: boolean): void;
}

/** Runs work of which only one piece may run at a time. */
export class WorkLoop {
  /** Whether it has ended: no piece of work begins any more. */
  isClosed = false;
  readonly #clock: Clock;
  readonly #work: Work;
  #isStarted = false;
  #isRunning = false;
  #cancelDelay: (() => void) | undefined;
  #idleWaiters: (() => void)[] = [];
  #pauseWaiters: (() => void)[] = [];

  /**
   * Makes a loop; nothing runs before {@linkcode WorkLoop.start}.
   *
   * @param clock The time.
   * @param work The work.
   */
  constructor(clock: Clock, work: Work) {
    this.#clock = clock;
    this.#work = work;
  }

  /** Whether work can be done: it was started, and not closed. */
  get isOpen(): boolean {
    return this.#isStarted && !this.isClosed;
  }

  /** Allows work to be done, and does what there is; see {@linkcode WorkLoop.pause}. */
  start(): Promise<void> {
    this.#isStarted = true;
    return this.pause();
  }

  /** Works until nothing is left to do now. The first piece is begun before this returns. */
  pump(): void {
    if (!this.#isRunning && this.#isStarted) void this.#run();
  }

  /** Works, and waits until that has come to a pause. */
  async pause(): Promise<void> {
    const pause = new Promise<void>((resolve) => this.#pauseWaiters.push(resolve));
    this.pump();
    await pause;
  }

  /** Waits until nothing is left to do, or nothing can be done at present. */
  async idle(): Promise<void> {
    if (this.#isIdle()) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /**
   * Does nothing for a while.
   *
   * @param ms How long; 0: not at all.
   */
  delay(ms: number): void {
    if (ms === 0 || this.isClosed) return;
    this.#cancelDelay = this.#clock.after(ms, () => {
      this.#cancelDelay = undefined;
      this.pump();
    });
  }

  /** Ends the delay, without doing anything. */
  endDelay(): void {
    this.#cancelDelay?.();
    this.#cancelDelay = undefined;
  }

  /**
   * Ends the work, after what can still be done in a while.
   *
   * @param graceMs How long that may take.
   * @param kill Called then, so that the piece that runs ends soon.
   * @returns When nothing runs any more.
   */
  async close(graceMs: number, kill: () => void): Promise<void> {
    if (!this.#isUnusable()) {
      this.endDelay();
      this.pump();
    }
    let cancel = () => {};
    const late = new Promise<void>((resolve) => cancel = this.#clock.after(graceMs, resolve));
    await Promise.race([this.idle(), late]);
    cancel();
    this.isClosed = true;
    this.endDelay();
    kill();
    if (this.#isRunning) await new Promise<void>((resolve) => this.#pauseWaiters.push(resolve));
    this.#wakeWaiters();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    this.#work.begin();
    try {
      while (!this.isClosed && this.#cancelDelay === undefined && this.#work.hasWork()) {
        await this.#work.step();
      }
    } finally {
      this.#isRunning = false;
      this.#work.pause(this.#cancelDelay === undefined && !this.#work.hasWork());
      this.#wakeWaiters();
    }
  }

  /** Tells those who wait that the work has come to a pause, or to its end. */
  #wakeWaiters(): void {
    for (const resolve of this.#pauseWaiters.splice(0)) resolve();
    if (this.#isIdle()) { for (const resolve of this.#idleWaiters.splice(0)) resolve(); }
  }

  #isIdle(): boolean {
    return !this.#isRunning && (!this.isOpen || !this.#work.hasWork() || this.#isUnusable());
  }

  #isUnusable(): boolean {
    return this.#cancelDelay !== undefined && this.#work.isStuck();
  }
}

/**
 * Takes steps, and lets other work have its turn in between.
 *
 * @param steps The steps.
 * @param clock The time.
 * @returns What the last step gives.
 */
export async function inTurns<T>(steps: Generator<void, T>, clock: Clock): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await new Promise<void>((resolve) => clock.soon(resolve));
  }
}
