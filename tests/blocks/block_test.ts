/** What a block is made of, and when it is over. */

import assert from "node:assert/strict";
import { boundedNew, mergeBlock, NAME_MAX, TEXT_MAX, TIME_MAX } from "../../src/blocks/block.ts";
import { BlockDatabase, hasEnded } from "../../src/blocks/database.ts";
import { block, NOW, withDatabase } from "../support/database_samples.ts";

Deno.test("block: texts and times are bounded", async () => {
  await withDatabase((path) => {
    using list = BlockDatabase.open(path);
    const long = "x".repeat(5_000);
    list.add([block("192.0.2.1", {
      since: 1.75,
      until: Number.MAX_VALUE,
      reason: long,
      account: "\ud800" + long,
      service: long,
      transport: long,
      times: 1e12,
    })]);
    const stored = list.get("192.0.2.1");
    assert.equal(stored?.since, 1);
    assert.equal(stored.until, TIME_MAX);
    assert.equal(stored.reason.length, TEXT_MAX);
    assert.equal(stored.account, "\ufffd" + "x".repeat(TEXT_MAX - 1));
    assert.equal(stored.service.length, NAME_MAX);
    assert.equal(stored.transport.length, NAME_MAX);
    assert.equal(stored.times, 1_000_000);
  });
});

Deno.test("block: at its end a block is over, one without end never is", () => {
  assert.equal(hasEnded({ until: NOW }, NOW), true);
  assert.equal(hasEnded({ until: NOW + 1 }, NOW), false);
  assert.equal(hasEnded({ until: undefined }, TIME_MAX), false);
});

Deno.test("block: one that renews takes the place of one in force that ends earlier, reason and all", () => {
  const known = {
    ...boundedNew(block("192.0.2.1", { since: NOW - 1_000, until: NOW + 60_000, reason: "doubt" })),
    times: 1,
  };
  const renewing = { ...block("192.0.2.1", { since: NOW, reason: "sure" }), renews: true };
  const longer = mergeBlock(known, 0, renewing, NOW);
  assert.equal(longer.change, "extended");
  const { since, until, reason, times } = longer.block;
  assert.deepEqual([since, until, reason, times], [NOW, undefined, "sure", 2]);
  const shorter = mergeBlock(known, 0, { ...renewing, until: NOW + 1_000 }, NOW);
  assert.deepEqual([shorter.change, shorter.block], ["same", known]);
  const plain = mergeBlock(known, 0, { ...renewing, renews: false }, NOW);
  assert.deepEqual([plain.block.reason, plain.block.until], ["doubt", undefined]);
  assert.equal(boundedNew(renewing).renews, true);
});
