/** The kernel becomes what is desired, whatever fails. */

import assert from "node:assert/strict";
import type { FailureKind } from "../../src/firewall/failure.ts";
import { SAME_IN_A_ROW } from "../../src/firewall/kernel_view.ts";
import { RETRY_MAX_MS } from "../../src/firewall/rejected.ts";
import { addresses } from "../support/namespace.ts";
import { forEver, setUp } from "../support/simulated_firewall.ts";

/** Random numbers from a seed (mulberry32). */
function randomOf(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

Deno.test("reconciler: what comes while a command runs is one command afterwards", async () => {
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

Deno.test("reconciler: what is undone while it waits disappears", async () => {
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

Deno.test("reconciler: blocks and releases take turns, blocks first", async () => {
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

Deno.test("reconciler: a look that fails while all is about to be made anew loses no block", async () => {
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

Deno.test("reconciler: what cannot be looked at, whyever, is told as not in force until it can", async () => {
  for (const kind of ["refused", "full", "unreadable", "busy", "timed-out"] as const) {
    const { clock, kernel, firewall, lines } = setUp();
    await clock.passUntil(firewall.start(forEver(["192.0.2.1"])));
    await clock.passUntil(firewall.verify());
    assert.equal(firewall.judgementOf(4)?.inForce, "yes");
    // A change that fails while looks do not says nothing of the others.
    kernel.poison.add("192.0.2.66");
    firewall.block(forEver(["192.0.2.66"]));
    await clock.pass(500);
    assert.equal(firewall.judgementOf(4)?.inForce, "partly");
    firewall.release(["192.0.2.66"]);
    await clock.passUntil(firewall.idle());
    await clock.passUntil(firewall.verify());
    assert.equal(firewall.judgementOf(4)?.inForce, "yes");
    kernel.fault = () => ({ kind, part: 0 });
    kernel.flush();
    void firewall.verify();
    await clock.pass(30_000);
    const judgement = firewall.judgementOf(4);
    assert.equal(judgement?.inForce, "no", kind);
    assert.match(judgement!.message, /^it cannot be seen what the firewall holds: /);
    const told = (text: string) => lines.filter((line) => line.includes(text)).length;
    assert.equal(told("error IPv4: blocks are not in force: it cannot be seen what"), 1);
    kernel.fault = () => undefined;
    await clock.pass(120_000);
    assert.deepEqual(kernel.targets, ["192.0.2.1"]);
    assert.equal(firewall.judgementOf(4)?.inForce, "yes", kind);
    assert.equal(told("blocks are in force again"), 1);
    await clock.passUntil(firewall.stop());
  }
});

Deno.test("reconciler: what the firewall refuses alone does not spoil making everything anew", async () => {
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

Deno.test("reconciler: a command that was killed late is not done twice", async () => {
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

Deno.test("reconciler: one target that is refused does not hold up the others", async () => {
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

Deno.test("reconciler: a refused target does not keep the others out at start", async () => {
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

Deno.test("reconciler: a refused change that is withdrawn is forgotten", async () => {
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

Deno.test("reconciler: a fault of the program is survived", async () => {
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

Deno.test("reconciler: a chain that is never right is repaired once in an interval", async () => {
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

Deno.test("reconciler: a firewall that lists nothing at all is believed", async () => {
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

Deno.test("reconciler: the cheap answer to a look is not believed for ever", async () => {
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

Deno.test("reconciler: a new time of a block is told to a backend that keeps times, and only to it", async () => {
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

Deno.test("reconciler: many releases are done by making the chain anew", async () => {
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

Deno.test(`reconciler: after ${SEEDS} lives full of faults the kernel is equal to the list`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    await simulate(seed).catch((error) => {
      const how =
        `AMPERE_FIRST_SEED=${seed} AMPERE_SEEDS=1 deno test -A tests/firewall/reconciler_test.ts`;
      throw new Error(`seed ${seed} (again: ${how}): ${error.message}`, { cause: error });
    });
  }
});
