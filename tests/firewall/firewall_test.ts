import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../src/clock.ts";
import type { Backend, Entry, ListOutcome, Outcome } from "../../src/firewall/backend.ts";
import type { Failure, FailureKind } from "../../src/firewall/failure.ts";
import { Firewall, type FirewallOptions, MANY_RULES } from "../../src/firewall/firewall.ts";
import { SAME_IN_A_ROW } from "../../src/firewall/kernel_view.ts";
import { RETRY_MAX_MS } from "../../src/firewall/reconciler.ts";
import { addresses } from "../support/namespace.ts";

/** A time that passes only when it is told to. */
class SimulatedClock implements Clock {
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
class SimulatedFirewall implements Backend {
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

/** Random numbers from a seed (mulberry32). */
function randomOf(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function setUp(options: Partial<FirewallOptions> & { timed?: boolean } = {}) {
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

const forEver = (targets: readonly string[]): Entry[] =>
  targets.map((target) => ({ target, until: undefined }));

Deno.test("an order given to an idle firewall is a command in the same turn", async () => {
  const { clock, kernel, firewall } = setUp();
  await clock.passUntil(firewall.start([]));
  kernel.calls.length = 0;
  firewall.block(forEver(["192.0.2.1"]));
  assert.deepEqual(kernel.calls, ["block 1"]);
  await clock.passUntil(firewall.idle());
  firewall.release(["192.0.2.1"]);
  assert.deepEqual(kernel.calls, ["block 1", "release 1"]);
  await clock.passUntil(firewall.stop());
});

Deno.test("what comes while a command runs is one command afterwards", async () => {
  const applied: [string, number][] = [];
  const { clock, kernel, firewall } = setUp({
    onApplied: (targets, waited) => targets.forEach((t, i) => applied.push([t, waited[i]!])),
  });
  await clock.passUntil(firewall.start([]));
  kernel.calls.length = 0;
  const all = addresses(5_000);
  for (const target of all) firewall.block(forEver([target]));
  assert.equal(firewall.status().queued, 5_000);
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.calls, ["block 1", "block 4999"]);
  assert.deepEqual(kernel.targets, all.toSorted());
  assert.deepEqual(applied[0], [all[0], 2]);
  assert.deepEqual(applied.slice(1), all.slice(1).map((target) => [target, 4]));
  await clock.passUntil(firewall.stop());
});

Deno.test("what is undone while it waits disappears", async () => {
  const { clock, kernel, firewall } = setUp();
  await clock.passUntil(firewall.start(forEver(["192.0.2.9"])));
  kernel.calls.length = 0;
  firewall.block(forEver(["192.0.2.1"]));
  firewall.block(forEver(["192.0.2.2", "192.0.2.3"]));
  firewall.release(["192.0.2.2", "192.0.2.9"]);
  firewall.block(forEver(["192.0.2.9"]));
  firewall.release(["192.0.2.77"]);
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.calls, ["block 1", "block 1"]);
  // Also what the running command is about.
  firewall.release(["192.0.2.1"]);
  firewall.block(forEver(["192.0.2.1"]));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.calls.slice(2), ["release 1", "block 1"]);
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.3", "192.0.2.9"]);
  await clock.passUntil(firewall.stop());
});

Deno.test("blocks and releases take turns, blocks first", async () => {
  const { clock, kernel, firewall } = setUp();
  kernel.batchMax = 2;
  await clock.passUntil(firewall.start(forEver(["10.0.0.1", "10.0.0.2", "10.0.0.3"])));
  kernel.calls.length = 0;
  kernel.takesMs = 5;
  firewall.setDesired(forEver(addresses(5)));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.calls, ["block 2", "release 2", "block 2", "release 1", "block 1"]);
  assert.deepEqual(kernel.targets, addresses(5).sort());
  kernel.calls.length = 0;
  firewall.setDesired(forEver(addresses(5)));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.calls, []);
  await clock.passUntil(firewall.stop());
});

Deno.test("the families do not wait for each other", async () => {
  const clock = new SimulatedClock();
  const [four, six] = [new SimulatedFirewall(clock, 4), new SimulatedFirewall(clock, 6)];
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const firewall = new Firewall({ backends: [four, six], log, verifyMs: 60_000, clock });
  six.chain = false;
  const failures = await clock.passUntil(firewall.start(forEver(["192.0.2.1", "2001:db8::1"])));
  assert.deepEqual(failures.map(({ family, kind }) => [family, kind]), [[6, "no-chain"]]);
  assert.deepEqual(four.targets, ["192.0.2.1"]);
  firewall.block(forEver(["2001:db8::2", "192.0.2.2"]));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(four.targets, ["192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(
    firewall.status().families.map(({ failing, desired, applied }) => [failing, desired, applied]),
    [[false, 2, 2], [true, 2, 0]],
  );
  six.chain = true;
  await clock.pass(RETRY_MAX_MS);
  assert.deepEqual(six.targets, ["2001:db8::1", "2001:db8::2"]);
  await clock.passUntil(firewall.stop());
  assert.equal(clock.timers, 0);
});

Deno.test("a failed command is tried again with growing delays, for ever", async () => {
  const { clock, kernel, firewall, lines } = setUp({ verifyMs: 86_400_000 });
  await clock.passUntil(firewall.start([]));
  kernel.calls.length = 0;
  const moments: number[] = [];
  const start = clock.now();
  kernel.fault = (verb) => {
    if (verb === "list") return undefined;
    moments.push(clock.now() - start);
    return { kind: "busy", part: 0 };
  };
  firewall.block(forEver(["192.0.2.1"]));
  await clock.pass(600_000);
  const delays = moments.map((at, i) => at - (moments[i - 1] ?? 0));
  // Each delay begins after the command and the look that follows it, 2 ms each.
  assert.deepEqual(
    delays.slice(0, 12).map((ms) => ms - 4),
    [-4, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000],
  );
  assert.equal(lines.length, 1, lines.join("\n"));
  kernel.fault = () => undefined;
  firewall.block(forEver(["192.0.2.2"]));
  await clock.pass(RETRY_MAX_MS);
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2"]);
  assert.match(lines[1]!, /^info IPv4: the firewall works again, after \d+\.\d s$/);
  assert.equal(lines.length, 2);
  await clock.passUntil(firewall.stop());
});

Deno.test("a trouble is over when what was to be repaired is wanted no more", async () => {
  for (const timed of [false, true]) {
    const { clock, kernel, firewall } = setUp({ timed });
    await clock.passUntil(firewall.start([]));
    let faults = 1;
    kernel.fault = () => faults-- > 0 ? { kind: "busy", part: 0 } : undefined;
    firewall.block(forEver(["192.0.2.1"]));
    // The command has failed, the look has succeeded, and the second try is waited for.
    await clock.pass(20);
    assert.deepEqual([firewall.status().failing, kernel.calls.at(-1)], [true, "list"]);
    firewall.release(["192.0.2.1"]);
    await clock.pass(30_000);
    assert.equal(firewall.status().failing, false);
    await clock.passUntil(firewall.stop());
  }
});

Deno.test("a look that fails while all is about to be made anew loses no block", async () => {
  for (const fails of [0, 1, 3]) {
    const { clock, kernel, firewall } = setUp();
    let looks = 0;
    kernel.fault = (verb) => {
      const isFault = verb === "list" && ++looks > 1 && looks <= 1 + fails;
      // So that the cheap answer is not given: it would hide what is to be seen here.
      kernel.changes += 1;
      return isFault ? { kind: "busy", part: 0 } : undefined;
    };
    const started = firewall.start(forEver(["192.0.2.1", "192.0.2.2"]));
    // The first look is under way.
    void firewall.verify();
    await clock.passUntil(started);
    firewall.block(forEver(["192.0.2.3"]));
    await clock.pass(30_000);
    assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2", "192.0.2.3"], `${fails} fail`);
    assert.equal(firewall.status().queued, 0);
    await clock.passUntil(firewall.stop());
  }
});

Deno.test("what the firewall refuses alone does not spoil making everything anew", async () => {
  const { clock, kernel, firewall } = setUp({ timed: true });
  await clock.passUntil(firewall.start([]));
  kernel.poison.add("192.0.2.66");
  firewall.block(forEver(["192.0.2.66"]));
  await clock.pass(150);
  assert.equal(firewall.status().rejected, 1);
  firewall.block(forEver(["192.0.2.1", "192.0.2.2"]));
  await clock.passUntil(firewall.idle());
  kernel.calls.length = 0;
  kernel.flush();
  await clock.passUntil(firewall.verify());
  assert.deepEqual(kernel.calls.filter((call) => call.startsWith("replace")), ["replace 2"]);
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2"]);
  await clock.passUntil(firewall.stop());
});

Deno.test("a command that was killed late is not done twice", async () => {
  for (const part of [0, 0.5, 1]) {
    const { clock, kernel, firewall } = setUp();
    await clock.passUntil(firewall.start([]));
    let once = true;
    kernel.fault = (verb) => {
      if (verb !== "block" || !once) return undefined;
      once = false;
      return { kind: "timed-out", part };
    };
    firewall.block(forEver(addresses(1_000)));
    await clock.passUntil(firewall.idle());
    assert.equal(kernel.doubled, 0);
    assert.deepEqual(kernel.targets, addresses(1_000).sort());
    await clock.passUntil(firewall.stop());
  }
});

Deno.test("one target that is refused does not hold up the others", async () => {
  for (const timed of [false, true]) {
    const { clock, kernel, firewall, lines } = setUp({ timed });
    const all = addresses(8_000);
    const poison = all[4_711]!;
    await clock.passUntil(firewall.start([]));
    kernel.poison.add(poison);
    kernel.calls.length = 0;
    const start = clock.now();
    firewall.block(forEver(all));
    await clock.passUntil(firewall.idle());
    assert.equal(kernel.targets.length, 7_999);
    assert.ok(kernel.calls.length < 100, `${kernel.calls.length} commands`);
    assert.ok(clock.now() - start < 1_000);
    assert.deepEqual(firewall.status().rejected, 1);
    firewall.block(forEver(["192.0.2.1"]));
    await clock.pass(10);
    assert.ok(kernel.rules.has("192.0.2.1"));
    // It is reported once, although it is tried again.
    await clock.pass(600_000);
    const said = lines.filter((line) => line.includes(poison));
    assert.equal(said.length, 1, lines.join("\n"));
    assert.match(said[0]!, new RegExp(`^error ${poison} could not be blocked, and is tried again`));
    kernel.calls.length = 0;
    await clock.pass(600_000);
    assert.ok(kernel.calls.length < 100, `${kernel.calls.length} commands in ten minutes`);
    kernel.poison.clear();
    await clock.pass(RETRY_MAX_MS);
    assert.equal(kernel.targets.length, 8_001);
    assert.equal(firewall.status().rejected, 0);
    await clock.passUntil(firewall.stop());
  }
});

Deno.test("a refused target does not keep the others out at start", async () => {
  for (const timed of [false, true]) {
    const { clock, kernel, firewall } = setUp({ timed });
    kernel.replacesAtStart = timed;
    kernel.whole = !timed;
    const all = addresses(1_000);
    kernel.poison.add(all[700]!);
    await clock.passUntil(firewall.start(forEver(all)));
    await clock.passUntil(firewall.idle());
    assert.equal(kernel.targets.length, 999);
    assert.ok(kernel.calls.length < 100, `${kernel.calls.length} commands`);
    await clock.passUntil(firewall.stop());
  }
});

Deno.test("a refused change that is withdrawn is forgotten", async () => {
  const { clock, kernel, firewall } = setUp();
  await clock.passUntil(firewall.start([]));
  kernel.poison.add("192.0.2.1");
  firewall.block(forEver(["192.0.2.1"]));
  await clock.passUntil(firewall.idle());
  assert.equal(firewall.status().rejected, 1);
  firewall.release(["192.0.2.1"]);
  assert.equal(firewall.status().rejected, 0);
  kernel.calls.length = 0;
  await clock.pass(50_000);
  assert.deepEqual(kernel.calls, []);
  await clock.passUntil(firewall.stop());
});

Deno.test("a firewall that refuses everything is not stormed", async () => {
  const { clock, kernel, firewall, lines } = setUp({ verifyMs: 86_400_000 });
  await clock.passUntil(firewall.start([]));
  const all = addresses(10_000);
  for (const target of all) kernel.poison.add(target);
  kernel.calls.length = 0;
  firewall.block(forEver(all));
  await clock.pass(60_000);
  assert.ok(kernel.calls.length < 300, `${kernel.calls.length} commands in a minute`);
  assert.ok(lines.length < 8, lines.join("\n"));
  kernel.poison.clear();
  const start = clock.now();
  await clock.passUntil(firewall.idle());
  await clock.pass(RETRY_MAX_MS);
  assert.ok(clock.now() - start < 40_000);
  assert.deepEqual(kernel.targets, all.toSorted());
  await clock.passUntil(firewall.stop());
});

Deno.test("a fault of the program is survived", async () => {
  const { clock, kernel, firewall, lines } = setUp();
  await clock.passUntil(firewall.start([]));
  let once = true;
  kernel.fault = () => {
    if (!once) return undefined;
    once = false;
    return { kind: "throw", part: 1 };
  };
  firewall.block(forEver(["192.0.2.1"]));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.targets, ["192.0.2.1"]);
  assert.match(lines[0]!, /a fault in the program/);
  await clock.passUntil(firewall.stop());
});

Deno.test("a chain that is never right is repaired once in an interval", async () => {
  const { clock, kernel, firewall, lines } = setUp();
  await clock.passUntil(firewall.start(forEver(["192.0.2.1", "192.0.2.2"])));
  kernel.calls.length = 0;
  const block = kernel.block.bind(kernel);
  kernel.block = async (entries) => {
    const outcome = await block(entries);
    kernel.flush();
    return outcome;
  };
  kernel.flush();
  await clock.pass(600_001);
  assert.deepEqual(kernel.calls, Array(10).fill(["list", "block 2"]).flat());
  assert.equal(lines.length, 10);
  await clock.passUntil(firewall.stop());
});

Deno.test("a firewall that lists nothing at all is believed", async () => {
  const { clock, kernel, firewall, lines } = setUp();
  kernel.silent = true;
  assert.deepEqual(await clock.passUntil(firewall.start(forEver(["192.0.2.1"]))), []);
  firewall.block(forEver(["192.0.2.2"]));
  await clock.pass(600_000);
  assert.deepEqual(
    kernel.calls,
    ["list", "replace 1", "block 1", ...Array(10).fill("list")],
  );
  assert.equal(lines.length, 1);
  // A command that fails is still tried again.
  let fails = 3;
  kernel.fault = (verb) => verb === "block" && fails-- > 0 ? { kind: "busy", part: 0 } : undefined;
  firewall.block(forEver(["192.0.2.3"]));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  await clock.passUntil(firewall.stop());
});

Deno.test("the cheap answer to a look is not believed for ever", async () => {
  const { clock, kernel, firewall } = setUp();
  await clock.passUntil(firewall.start(forEver(["192.0.2.1"])));
  const marks: boolean[] = [];
  const list = kernel.list.bind(kernel);
  kernel.list = (mark) => {
    marks.push(mark !== undefined);
    return list(mark);
  };
  await clock.pass(60_000 * (SAME_IN_A_ROW + 3));
  const row: boolean[] = Array(SAME_IN_A_ROW).fill(true);
  // The start has looked before its own command: the first look after it is a full one.
  assert.deepEqual(marks, [false, ...row, false, true]);
  await clock.passUntil(firewall.stop());
});

Deno.test("another backend is recommended once when there are many rules", async () => {
  const { clock, kernel, firewall, lines } = setUp();
  await clock.passUntil(firewall.start(forEver(addresses(MANY_RULES - 1))));
  assert.deepEqual(lines, []);
  firewall.block(forEver(["192.0.2.1"]));
  await clock.passUntil(firewall.idle());
  firewall.block(forEver(["192.0.2.2"]));
  await clock.passUntil(firewall.idle());
  assert.equal(lines.length, 1);
  assert.match(
    lines[0]!,
    /^info 1,000 hosts are blocked by a rule each, .* an ipset is one look, .*"backend = ipset"/,
  );
  assert.equal(kernel.targets.length, MANY_RULES + 1);
  await clock.passUntil(firewall.stop());

  const ipset = setUp({ timed: true });
  await ipset.clock.passUntil(ipset.firewall.start(forEver(addresses(MANY_RULES))));
  assert.deepEqual(ipset.lines, []);
  await ipset.clock.passUntil(ipset.firewall.stop());
});

Deno.test("a new time of a block is told to a backend that keeps times, and only to it", async () => {
  for (const timed of [false, true]) {
    const { clock, kernel, firewall } = setUp({ timed });
    const until = clock.now() + 60_000;
    await clock.passUntil(firewall.start([{ target: "192.0.2.1", until }]));
    kernel.calls.length = 0;
    firewall.block([{ target: "192.0.2.1", until }]);
    assert.deepEqual(kernel.calls, []);
    firewall.block([{ target: "192.0.2.1", until: until + 1 }]);
    await clock.passUntil(firewall.idle());
    assert.deepEqual(kernel.calls, timed ? ["block 1"] : []);
    if (timed) assert.equal(kernel.rules.get("192.0.2.1")?.until, until + 1);
    await clock.passUntil(firewall.stop());
  }
});

Deno.test("many releases are done by making the chain anew", async () => {
  const { clock, kernel, firewall } = setUp();
  kernel.batchMax = 400;
  const all = addresses(1_000);
  await clock.passUntil(firewall.start(forEver(all)));
  kernel.calls.length = 0;
  firewall.release(all.slice(0, 500));
  firewall.block(forEver(["192.0.2.1"]));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.calls, ["replace 500", "block 101"]);
  assert.deepEqual(kernel.targets, [...all.slice(500), "192.0.2.1"].sort());
  await clock.passUntil(firewall.stop());
});

Deno.test("stop does what is ordered, but does not wait for a firewall that hangs", async () => {
  const { clock, kernel, firewall } = setUp();
  await clock.passUntil(firewall.start([]));
  firewall.block(forEver(["192.0.2.1"]));
  firewall.block(forEver(["192.0.2.2"]));
  assert.equal(await clock.passUntil(firewall.stop()), 0);
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2"]);
  assert.equal(clock.timers, 0);

  const other = setUp();
  await other.clock.passUntil(other.firewall.start([]));
  other.kernel.fault = () => ({ kind: "timed-out", part: 0 });
  other.firewall.block(forEver(["192.0.2.1", "192.0.2.2"]));
  const start = other.clock.now();
  assert.equal(await other.clock.passUntil(other.firewall.stop(300)), 2);
  assert.equal(other.clock.now() - start, 300);
  assert.equal(other.clock.timers, 0);
  other.firewall.block(forEver(["192.0.2.3"]));
  assert.equal(other.clock.timers, 0);
});

Deno.test("what is no address does not even get into the list", async () => {
  const { clock, kernel, firewall, lines } = setUp();
  await clock.passUntil(firewall.start(forEver(["1.2.3.4 -j ACCEPT", "192.0.2.1"])));
  firewall.block(forEver(["--flush", "192.0.2.2\nadd", "192.0.2.2"]));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2"]);
  assert.equal(lines.length, 3);
  assert.equal(
    lines[0],
    'error "1.2.3.4 -j ACCEPT" is no address or network and cannot be blocked',
  );
  await clock.passUntil(firewall.stop());
});

const KINDS: readonly (FailureKind | "throw")[] = [
  "refused",
  "refused",
  "busy",
  "timed-out",
  "timed-out",
  "no-rights",
  "full",
  "missing-program",
  "throw",
];

/** One life of an firewall with a firewall that has every fault; at the end all must be right. */
async function simulate(seed: number): Promise<void> {
  const random = randomOf(seed);
  const chance = (p: number) => random() < p;
  const below = (n: number) => Math.floor(random() * n);
  const timed = chance(0.5);
  const { clock, kernel, firewall } = setUp({ timed, random, verifyMs: 5_000 + below(60_000) });
  const pool = addresses(80);
  const pick = () => pool[below(pool.length)]!;
  const time = () => timed && chance(0.5) ? clock.now() + below(1_000_000) : undefined;
  const model = new Map<string, number | undefined>();
  const faulty = chance(0.9) ? random() * 0.6 : 0;
  const outsiders = chance(0.5);
  kernel.takesMs = 1 + below(50);
  kernel.batchMax = 1 + below(30);
  kernel.replacesAtStart = timed;
  kernel.whole = !timed;
  kernel.fault = () =>
    chance(faulty) ? { kind: KINDS[below(KINDS.length)]!, part: random() } : undefined;
  if (outsiders) {
    for (let i = 0; i < 5; i++) kernel.insert(pick());
    kernel.strangers.push("-A ampere -j ACCEPT");
  }
  for (let i = 0; i < below(60); i++) model.set(pick(), time());
  const entries = () => Array.from(model, ([target, until]) => ({ target, until }));
  const started = firewall.start(entries());
  for (let step = 0; step < 60; step++) {
    const dice = random();
    if (dice < 0.5) {
      const some = Array.from({ length: 1 + below(6) }, () => ({ target: pick(), until: time() }));
      for (const { target, until } of some) model.set(target, until);
      firewall.block(some);
    } else if (dice < 0.75) {
      const some = Array.from({ length: 1 + below(6) }, pick);
      for (const target of some) model.delete(target);
      firewall.release(some);
    } else if (dice < 0.8) {
      for (let i = 0; i < 40; i++) chance(0.5) ? model.set(pick(), time()) : model.delete(pick());
      firewall.setDesired(entries());
    } else if (dice < 0.85) {
      void firewall.verify();
    } else if (dice < 0.9 && chance(0.5)) {
      chance(0.5) ? kernel.poison.add(pick()) : kernel.poison.clear();
    } else if (outsiders) {
      const deed = below(5);
      kernel.changes += 1;
      if (deed === 0) kernel.flush();
      else if (deed === 1) kernel.insert(pick());
      else if (deed === 2) kernel.rules.delete(pick());
      else if (deed === 3) kernel.strangers.push(`-A ampere -s ${pick()}/32 -j ACCEPT`);
      else kernel.chain = !kernel.chain;
    }
    if (chance(0.7)) await clock.pass(chance(0.1) ? below(40_000) : below(200));
  }
  // The faults end; whatever happened, the kernel becomes equal to the list by itself.
  kernel.fault = () => undefined;
  kernel.poison.clear();
  kernel.chain = true;
  await clock.passUntil(started);
  await clock.pass(RETRY_MAX_MS * 2);
  // An outsider's last deed may have come after the last look.
  await clock.passUntil(firewall.verify());
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.targets, [...model.keys()].sort());
  assert.deepEqual(kernel.strangers, []);
  if (timed) {
    assert.ok(kernel.whole);
    for (const [target, until] of model) assert.equal(kernel.rules.get(target)!.until, until);
  }
  if (!outsiders) assert.equal(kernel.doubled, 0, "a rule was made twice");
  const { desired, applied, queued, rejected, failing } = firewall.status();
  assert.deepEqual(
    { desired, applied, queued, rejected, failing },
    { desired: model.size, applied: model.size, queued: 0, rejected: 0, failing: false },
  );
  assert.equal(await clock.passUntil(firewall.stop()), 0);
  assert.equal(clock.timers, 0);
}

const SEEDS = Number(Deno.env.get("AMPERE_SEEDS") ?? 400);
const FIRST_SEED = Number(Deno.env.get("AMPERE_FIRST_SEED") ?? 1);

Deno.test(`after ${SEEDS} lives full of faults the kernel is equal to the list`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    await simulate(seed).catch((error) => {
      const how = `AMPERE_FIRST_SEED=${seed} AMPERE_SEEDS=1 deno test -A tests/firewall_test.ts`;
      throw new Error(`seed ${seed} (again: ${how}): ${error.message}`, { cause: error });
    });
  }
});
