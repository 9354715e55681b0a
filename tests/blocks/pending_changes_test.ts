import assert from "node:assert/strict";
import type { Block } from "../../src/blocks/block.ts";
import type { Changes } from "../../src/blocks/database.ts";
import { PENDING_STANDING_MAX, PendingChanges } from "../../src/blocks/pending_changes.ts";
import { address, block, NOW } from "../support/database_samples.ts";

function known(target: string, more: Partial<Block> = {}): Block {
  return { ...block(target), times: 1, ...more };
}

/** All that is pending, as transactions of so many targets. */
function given(pending: PendingChanges, max = Infinity): Changes[] {
  const transactions: Changes[] = [];
  while (pending.size > 0) pending.give(max, (take) => transactions.push(take()));
  return transactions;
}

Deno.test("pending changes: the latest of each target wins and keeps the place of the first", () => {
  const pending = new PendingChanges();
  pending.put(known("192.0.2.1"));
  pending.remove("192.0.2.2");
  pending.put(known("192.0.2.3"));
  pending.end({ target: "192.0.2.1", times: 4, ended: NOW });
  pending.put(known("192.0.2.2", { until: NOW }));
  pending.remove("192.0.2.3");
  assert.equal(pending.size, 3);
  const [first, second] = given(pending, 2);
  assert.deepEqual(first!.put, [known("192.0.2.2", { until: NOW })]);
  assert.deepEqual(first!.ended, [{ target: "192.0.2.1", times: 4, ended: NOW }]);
  assert.deepEqual([first!.gone, second!.put, second!.gone], [[], [], ["192.0.2.3"]]);
});

Deno.test("pending changes: they know how often a target was blocked that is not any more", () => {
  const pending = new PendingChanges();
  assert.deepEqual([pending.hasBlocks, pending.pastTimesOf("192.0.2.1")], [false, undefined]);
  pending.end({ target: "192.0.2.1", times: 4, ended: NOW });
  pending.remove("192.0.2.2");
  assert.deepEqual([pending.hasBlocks, pending.has("192.0.2.1")], [true, true]);
  assert.deepEqual([pending.pastTimesOf("192.0.2.1"), pending.pastTimesOf("192.0.2.2")], [4, 0]);
});

Deno.test("pending changes: what a transaction did not take stays, in its order", () => {
  const pending = new PendingChanges();
  for (let n = 0; n < 5; n++) pending.put(known(address(n)));
  pending.saveStanding([["192.0.2.9", NOW]], NOW - 5);
  assert.throws(() =>
    pending.give(3, (take) => {
      take();
      throw new Error("full");
    })
  );
  assert.equal(pending.size, 6);
  const transactions = given(pending, 3);
  assert.deepEqual(
    transactions.map(({ put }) => put.map(({ target }) => target)),
    [[address(0), address(1), address(2)], [address(3), address(4)]],
  );
  assert.deepEqual(transactions.map(({ standing }) => standing), [[["192.0.2.9", NOW]], []]);
  assert.equal(transactions[0]!.forgetStandingBefore, NOW - 5);
});

Deno.test("pending changes: a change that is made while others are written is not lost", () => {
  const pending = new PendingChanges();
  pending.put(known("192.0.2.1"));
  assert.equal(pending.give(9, (take) => void take()), 1);
  pending.put(known("192.0.2.1", { until: NOW }));
  assert.equal(pending.size, 1);
});

Deno.test("pending changes: what is dropped before a transaction takes its changes is not written", () => {
  const pending = new PendingChanges();
  for (const n of [1, 2, 3]) pending.put(known(`192.0.2.${n}`));
  const written: string[] = [];
  const count = pending.give(2, (take) => {
    pending.drop("192.0.2.1");
    written.push(...take().put.map(({ target }) => target));
  });
  assert.deepEqual([count, written, pending.size], [2, ["192.0.2.2", "192.0.2.3"], 0]);
});

Deno.test("pending changes: the past of another database gives way to what is newer", () => {
  const pending = new PendingChanges();
  pending.remove("192.0.2.1");
  pending.saveStanding([["192.0.2.8", NOW]], 0);
  const past = (target: string) => ({ target, times: 2, ended: NOW });
  pending.addPast(
    [past("192.0.2.1"), past("192.0.2.2"), past("192.0.2.3")],
    new Map([["192.0.2.8", NOW - 9], ["192.0.2.9", NOW - 9]]),
    (target) => target === "192.0.2.2",
  );
  const [changes] = given(pending);
  assert.deepEqual(changes!.gone, ["192.0.2.1"]);
  assert.deepEqual(changes!.ended, [past("192.0.2.3")]);
  assert.deepEqual(changes!.standing, [["192.0.2.8", NOW], ["192.0.2.9", NOW - 9]]);
});

Deno.test("pending changes: only a block that is pending is completed", () => {
  const pending = new PendingChanges();
  pending.put(known("192.0.2.1", { account: "" }));
  pending.remove("192.0.2.2");
  for (let n = 1; n <= 3; n++) pending.complete(known(`192.0.2.${n}`, { account: "root" }));
  const [changes] = given(pending);
  assert.deepEqual(changes!.put, [known("192.0.2.1", { account: "root" })]);
  assert.deepEqual(changes!.gone, ["192.0.2.2"]);
});

Deno.test("pending changes: logins are bounded, those that wait longest go first", () => {
  const pending = new PendingChanges();
  const hosts = Array.from({ length: PENDING_STANDING_MAX + 1 }, (_, n) => address(n));
  pending.saveStanding(hosts.map((host) => [host, NOW]), 0);
  pending.saveStanding([[hosts[1]!, NOW + 1], ["192.0.2.1", NOW]], 0);
  assert.equal(pending.size, PENDING_STANDING_MAX);
  const standing = new Map(given(pending)[0]!.standing);
  assert.deepEqual([standing.has(hosts[0]!), standing.has(hosts[2]!)], [false, false]);
  assert.deepEqual([standing.get(hosts[1]!), standing.get("192.0.2.1")], [NOW + 1, NOW]);
});

Deno.test("pending changes: after a removal a row is of others if no row of ours was ever written", () => {
  const pending = new PendingChanges();
  // Blocked, released and blocked again before the database took any of it.
  pending.put(known("192.0.2.1", { until: undefined }));
  pending.remove("192.0.2.1");
  pending.put(known("192.0.2.1", { until: NOW }));
  // The same of one whose row was written before, with an end that was put off then.
  pending.put(known("192.0.2.2", { until: undefined }), NOW + 5);
  pending.remove("192.0.2.2");
  pending.put(known("192.0.2.2", { until: NOW }));
  for (const until of [NOW, NOW + 5, undefined]) {
    const overruled = [1, 2].map((n) => pending.overrules(`192.0.2.${n}`, until));
    assert.deepEqual(overruled, [until === NOW, until !== undefined]);
  }
});

Deno.test("pending changes: a row counts more only if others made it to end later", () => {
  const pending = new PendingChanges();
  pending.put(known("192.0.2.1", { until: NOW }));
  pending.end({ target: "192.0.2.2", times: 1, ended: NOW });
  pending.remove("192.0.2.3");
  // Removed, and blocked again by this process: the row before may have had any end.
  pending.remove("192.0.2.4");
  pending.put(known("192.0.2.4", { until: NOW }));
  // Its end is known: a later one somebody made by hand meanwhile.
  pending.remove("192.0.2.6", NOW);
  assert(pending.overrules("192.0.2.6", undefined), "a removal is newer than any row");
  pending.put(known("192.0.2.6", { until: NOW - 1 }));
  for (const until of [NOW, NOW + 1, undefined]) {
    assert.equal(pending.overrules("192.0.2.6", until), until === NOW);
    const overruled = [1, 2, 3, 4, 5].map((n) => pending.overrules(`192.0.2.${n}`, until));
    assert.deepEqual(overruled, [until === NOW, until === NOW, true, true, false]);
  }
  assert.deepEqual([...pending.blockTargets()], [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.4",
    "192.0.2.6",
  ]);
  pending.drop("192.0.2.2");
  assert.equal(pending.has("192.0.2.2"), false);
});
