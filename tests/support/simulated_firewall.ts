/** A firewall in memory, whose commands take time and fail when they are told to. */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../src/clock.ts";
import type { Backend, Entry, ListOutcome, Outcome } from "../../src/firewall/backend.ts";
import type { Failure, FailureKind } from "../../src/firewall/failure.ts";
import { Firewall, type FirewallOptions } from "../../src/firewall/firewall.ts";

/** A time that passes only when it is told to. */
export class SimulatedClock implements Clock {
  #now = 1_800_000_000_000;
  #timers: { at: number; run: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  soon(run: () => void): void {
    queueMicrotask(run);
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Lets time pass; the timers run in their order. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await setImmediate();
    for (;;) {
      this.#timers.sort((a, b) => a.at - b.at);
      const next = this.#timers[0];
      if (next === undefined || next.at > end) break;
      this.#timers.shift();
      this.#now = next.at;
      next.run();
      await setImmediate();
    }
    this.#now = end;
  }

  /** Lets time pass until a promise is fulfilled. */
  async passUntil<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    const end = this.#now + limitMs;
    let result: { value: T } | undefined;
    promise.then((value) => result = { value });
    await setImmediate();
    while (result === undefined) {
      const next = Math.min(...this.#timers.map((timer) => timer.at));
      if (next > end) throw new Error(`not within ${limitMs} ms`);
      await this.pass(next - this.#now);
    }
    return result.value;
  }
}

/** What can go wrong with a command, by the dice of a test. */
interface Fault {
  /** How it is reported; "throw" is a fault of the program itself. */
  readonly kind: FailureKind | "throw";
  /** Which part of the work was done all the same: 0 to 1. */
  readonly part: number;
}

/** A firewall in memory, whose commands take time and fail when they are told to. */
export class SimulatedFirewall implements Backend {
  readonly name: string;
  replacesAtStart = false;
  batchMax = 15_000;
  /** How long a command takes, in milliseconds. */
  takesMs = 2;
  /** Decides about the fate of each command. */
  fault: (verb: string) => Fault | undefined = () => undefined;
  /** What the kernel refuses. */
  readonly poison = new Set<string>();
  /** The rules, with their times, and how often each is there. */
  readonly rules = new Map<string, { until: number | undefined; times: number }>();
  strangers: string[] = [];
  chain = true;
  whole = true;
  silent = false;
  /** What it was told, for example `block 3`. */
  readonly calls: string[] = [];
  /** Counts what changes the listing. */
  changes = 0;
  /** Rules that Ampere itself has made twice. */
  doubled = 0;
  #running = 0;
  #end: (() => void) | undefined;

  constructor(
    readonly clock: SimulatedClock,
    readonly family: 4 | 6 = 4,
    readonly timed = false,
  ) {
    this.name = timed ? "ipset" : "iptables";
  }

  get targets(): string[] {
    return [...this.rules].flatMap(([target, { times }]) => Array(times).fill(target)).sort();
  }

  /** What an outsider does. */
  flush(): void {
    this.rules.clear();
    this.strangers = [];
    if (this.timed) this.whole = false;
    this.changes += 1;
  }

  /** What an outsider does. */
  insert(target: string): void {
    if (this.timed && this.rules.has(target)) return;
    const times = (this.rules.get(target)?.times ?? 0) + 1;
    this.rules.set(target, { until: undefined, times });
    this.changes += 1;
  }

  async #command<T>(verb: string, count: number, work: (most: number) => T): Promise<T | Failure> {
    this.calls.push(count < 0 ? verb : `${verb} ${count}`);
    assert.equal(this.#running, 0, "two commands at a time");
    this.#running += 1;
    const fault = this.fault(verb);
    const takes = fault?.kind === "timed-out" ? 5_000 : this.takesMs;
    let aborted = false;
    await new Promise<void>((resolve) => {
      const cancel = this.clock.after(takes, resolve);
      this.#end = () => {
        aborted = true;
        cancel();
        resolve();
      };
    });
    this.#end = undefined;
    this.#running -= 1;
    if (aborted) return this.#failure("aborted");
    if (!this.chain) return this.#failure("no-chain");
    if (fault === undefined) return work(Infinity);
    work(Math.floor(count * fault.part));
    if (fault.kind === "throw") throw new Error("a fault in the program");
    return this.#failure(fault.kind);
  }

  #failure(kind: FailureKind): Failure {
    return { family: this.family, kind, message: `IPv${this.family}: ${kind}`, advice: "" };
  }

  #outcome(result: Failure | number): Outcome {
    return typeof result === "number" ? { ok: true, done: result } : { ok: false, failure: result };
  }

  /**
   * Adds entries; a refused one spoils all of them, as with iptables, or the rest, as with ipset.
   */
  #add(entries: readonly Entry[], most: number): number | Failure {
    if (!this.timed && entries.some(({ target }) => this.poison.has(target))) {
      return this.#failure("refused");
    }
    let done = 0;
    for (const { target, until } of entries.slice(0, Math.min(most, entries.length))) {
      if (this.poison.has(target)) return this.#failure("refused");
      const before = this.timed ? 0 : this.rules.get(target)?.times ?? 0;
      if (before > 0) this.doubled += 1;
      this.rules.set(target, { until: this.timed ? until : undefined, times: before + 1 });
      this.changes += 1;
      done += 1;
    }
    return done;
  }

  async replace(entries: readonly Entry[]): Promise<Outcome> {
    const result = await this.#command("replace", entries.length, (most) => {
      if (this.timed && entries.some(({ target }) => this.poison.has(target))) {
        return this.#failure("refused");
      }
      this.rules.clear();
      this.strangers = [];
      this.whole = true;
      this.changes += 1;
      return this.#add(entries.slice(0, this.batchMax), most);
    });
    return this.#outcome(result);
  }

  async block(entries: readonly Entry[]): Promise<Outcome> {
    assert.ok(entries.length > 0 && entries.length <= this.batchMax);
    return this.#outcome(
      await this.#command(
        "block",
        entries.length,
        (most) => this.whole ? this.#add(entries, most) : this.#failure("no-set"),
      ),
    );
  }

  async release(targets: readonly string[]): Promise<Outcome> {
    assert.ok(targets.length > 0);
    const result = await this.#command("release", targets.length, (most) => {
      const missing = targets.some((target) => !this.rules.has(target));
      if (!this.timed && missing) return this.#failure("refused");
      let done = 0;
      for (const target of targets.slice(0, Math.min(most, targets.length))) {
        if (this.poison.has(target)) return this.#failure("refused");
        const rule = this.rules.get(target);
        if (rule !== undefined && --rule.times === 0) this.rules.delete(target);
        this.changes += 1;
        done += 1;
      }
      return done;
    });
    return this.#outcome(result);
  }

  prefersReplace(removals: number): boolean {
    return !this.timed && removals > 40;
  }

  async list(mark?: string): Promise<ListOutcome> {
    const answer = await this.#command("list", -1, (): ListOutcome => {
      if (this.silent) return { state: "silent" };
      const now = String(this.changes);
      if (mark === now) return { state: "same" };
      const targets = new Map([...this.rules].map(([target, { times }]) => [target, times]));
      const { strangers, whole } = this;
      return {
        state: "listed",
        listing: { targets, strangers: [...strangers], whole, mark: now },
      };
    });
    return "state" in answer ? answer : { state: "failed", failure: answer };
  }

  close(): void {
    this.#end?.();
  }
}

export function setUp(options: Partial<FirewallOptions> & { timed?: boolean } = {}) {
  const clock = new SimulatedClock();
  const kernel = new SimulatedFirewall(clock, 4, options.timed ?? false);
  const lines: string[] = [];
  const add = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  const log = { debug: () => {}, info: add("info"), warn: add("warn"), error: add("error") };
  const { timed: _, ...rest } = options;
  const firewall = new Firewall({
    backends: [kernel],
    log,
    verifyMs: 60_000,
    clock,
    random: () => 1,
    ...rest,
  });
  return { clock, kernel, firewall, lines };
}

export const forEver = (targets: readonly string[]): Entry[] =>
  targets.map((target) => ({ target, until: undefined }));
