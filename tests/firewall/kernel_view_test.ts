/** What a look takes over, and how often it must be a whole one. */

import assert from "node:assert/strict";
import { Changes } from "../../src/firewall/changes.ts";
import { Exceptions } from "../../src/firewall/exceptions.ts";
import { KernelView, SAME_IN_A_ROW } from "../../src/firewall/kernel_view.ts";
import { Trouble } from "../../src/firewall/trouble.ts";
import { forEver, SimulatedClock, SimulatedFirewall } from "../support/simulated_firewall.ts";

function setUp() {
  const clock = new SimulatedClock();
  const kernel = new SimulatedFirewall(clock);
  const lines: string[] = [];
  const add = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  const log = { debug: () => {}, info: add("info"), warn: add("warn"), error: add("error") };
  const state = {
    changes: new Changes(false),
    exceptions: new Exceptions(),
    trouble: new Trouble(4, log, clock),
  };
  /** Whether the looks were to be whole ones. */
  const whole: boolean[] = [];
  const list = kernel.list.bind(kernel);
  kernel.list = (mark) => {
    whole.push(mark === undefined);
    return list(mark);
  };
  const view = new KernelView(kernel, { log, clock }, state);
  const look = () => clock.passUntil(view.look());
  return { kernel, lines, ...state, whole, view, look };
}

Deno.test("kernel view: the first look tells what there is, and repairs nothing in silence", async () => {
  const { kernel, lines, changes, view, look } = setUp();
  kernel.insert("192.0.2.1");
  changes.begin(forEver(["192.0.2.1", "192.0.2.2"]));
  assert.equal(view.isKnown, false);
  assert.deepEqual(await look(), { orders: [], isClean: true });
  assert.equal(view.isKnown, true);
  assert.deepEqual([changes.isApplied("192.0.2.1"), changes.isApplied("192.0.2.2")], [true, false]);
  kernel.strangers = ["-j ACCEPT"];
  kernel.insert("192.0.2.7");
  const message = "of its rules 1 were not Ampere's";
  const damage = { family: 4, lost: 0, before: 1, inForce: "partly", message };
  assert.deepEqual(await look(), { orders: [], isClean: false, damage });
  assert.equal(lines.length, 1);
  assert.match(
    lines[0]!,
    /^warn IPv4: .*1 of the rules were not Ampere's .*1 targets were blocked/,
  );
});

Deno.test("kernel view: strangers of the first look are told as news, not as somebody's deed", async () => {
  const { kernel, lines, look } = setUp();
  kernel.strangers = ["-j ACCEPT"];
  await look();
  assert.match(lines.join(), /^info IPv4: the chain is made equal to the list: 1 of the rules/);
});

Deno.test("kernel view: nothing new is asked for cheaply, but not for ever", async () => {
  const { whole, look } = setUp();
  const seen = [];
  for (let n = 0; n < 2 * SAME_IN_A_ROW + 4; n++) {
    seen.push((await look() as { isClean?: boolean }).isClean);
  }
  const cheap = Array(SAME_IN_A_ROW).fill(false);
  assert.deepEqual(whole, [true, ...cheap, true, ...cheap, true, false]);
  assert.deepEqual(seen, whole.map((isWhole) => isWhole ? true : undefined));
});

Deno.test("kernel view: after a command, a stranger or a rule that is there twice a look is a whole one", async () => {
  const { kernel, changes, view, whole, look } = setUp();
  await look();
  view.invalidate();
  await look();
  await look();
  assert.deepEqual(whole.splice(0), [true, true, false]);
  kernel.strangers = ["-j ACCEPT"];
  kernel.changes++;
  await look();
  await look();
  assert.deepEqual(whole.splice(0), [false, true]);
  kernel.strangers = [];
  kernel.changes++;
  changes.begin(forEver(["192.0.2.1"]));
  kernel.insert("192.0.2.1");
  kernel.insert("192.0.2.1");
  await look();
  await look();
  assert.deepEqual(whole.splice(0), [true, true]);
  assert.deepEqual(changes.firstDuplicates(9), ["192.0.2.1"]);
});

Deno.test("kernel view: what holds the targets is gone: not clean, and told unless it is new", async () => {
  for (const isFirst of [true, false]) {
    const { kernel, lines, look } = setUp();
    if (!isFirst) await look();
    kernel.whole = false;
    kernel.changes++;
    const seen = await look() as { isClean?: boolean; damage?: { inForce: string } };
    assert.equal(seen.isClean, false);
    assert.equal(seen.damage?.inForce, isFirst ? undefined : "no");
    assert.equal(lines.length, isFirst ? 0 : 1);
  }
});

Deno.test("kernel view: a look that fails takes nothing over", async () => {
  const { kernel, lines, changes, view, look } = setUp();
  kernel.insert("192.0.2.1");
  kernel.chain = false;
  const seen = await look();
  assert.ok("failure" in seen && seen.failure.kind === "no-chain");
  assert.deepEqual([view.isKnown, changes.appliedCount, lines], [false, 0, []]);
});

Deno.test("kernel view: programs that list nothing are told once, and believed once all was made", async () => {
  const { kernel, lines, view, look } = setUp();
  kernel.silent = true;
  assert.deepEqual(await look(), { orders: [], isClean: false });
  view.made();
  assert.deepEqual(await look(), { orders: [], isClean: undefined });
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^warn IPv4: .*cannot be verified/);
});

Deno.test("kernel view: what a failed command has made all the same is neither strange nor lost", async () => {
  const { kernel, lines, changes, exceptions, trouble, look } = setUp();
  await look();
  changes.block(forEver(["192.0.2.1"]), 7);
  const batch = changes.nextBatch(() => 9);
  changes.depart(batch);
  kernel.insert("192.0.2.1");
  kernel.insert("192.0.2.2");
  changes.land(batch, undefined);
  exceptions.adopt(["192.0.2.9"]);
  trouble.failed({ family: 4, kind: "timed-out", message: "late", advice: "" }, true);
  assert.deepEqual(await look(), { orders: [["192.0.2.1", 7]], isClean: true });
  assert.deepEqual(lines, []);
  // Without a failure others have done both.
  trouble.recovered();
  kernel.insert("192.0.2.3");
  exceptions.adopt(["192.0.2.9"]);
  await look();
  assert.match(lines.join(), /1 targets were blocked that are not in the list; 1 exceptions/);
});
