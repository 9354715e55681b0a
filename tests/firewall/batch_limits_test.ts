import assert from "node:assert/strict";
import { BatchLimits, mayBeOneOfThem } from "../../src/firewall/batch_limits.ts";
import type { Batch, Verb } from "../../src/firewall/changes.ts";
import type { Failure, FailureKind } from "../../src/firewall/failure.ts";
import { address } from "../support/database_samples.ts";
import { forEver } from "../support/simulated_firewall.ts";

const MANY = 15_000;

const failure = (kind: FailureKind): Failure => ({ family: 4, kind, message: kind, advice: "" });

/** A batch of so many targets, from the n-th on. */
function batch(count: number, from = 0, verb: Verb = "block"): Batch {
  const targets = Array.from({ length: count }, (_, n) => address(from + n));
  return { verb, entries: forEver(targets) };
}

Deno.test("batch limits: of a thousand changes the one that is refused is found in a few tries", () => {
  const limits = new BatchLimits();
  const culprit = address(777);
  let waiting = batch(1_000).entries;
  let tries = 0;
  let rejected: string | undefined;
  while (waiting.length > 0) {
    assert.ok(++tries < 60, "it does not come to an end");
    const given: Batch = { verb: "block", entries: waiting.slice(0, limits.mostOf("block", MANY)) };
    if (given.entries.some(({ target }) => target === culprit)) {
      const next = limits.failed(failure("refused"), given);
      if (next === "at once") continue;
      assert.equal(next, "without it");
      rejected = given.entries[0]!.target;
      assert.equal(given.entries.length, 1);
    } else {
      limits.succeeded();
      limits.grow();
    }
    const dealtWith = new Set(given.entries.map(({ target }) => target));
    waiting = waiting.filter(({ target }) => !dealtWith.has(target));
  }
  assert.equal(rejected, culprit);
});

Deno.test("batch limits: a change alone is rejected when it is refused a second time, not after a success", () => {
  const limits = new BatchLimits();
  const alone = batch(1);
  assert.equal(limits.failed(failure("refused"), alone), "at once");
  assert.equal(limits.mostOf("block", MANY), 1);
  limits.succeeded();
  assert.equal(limits.failed(failure("refused"), alone), "at once");
  // Another one has failed in between.
  assert.equal(limits.failed(failure("refused"), batch(1, 1)), "at once");
  assert.equal(limits.failed(failure("refused"), alone), "at once");
  assert.equal(limits.failed(failure("refused"), alone), "without it");
  // It is innocent again when it is tried later.
  assert.equal(limits.failed(failure("refused"), alone), "at once");
});

Deno.test("batch limits: only what may come from a target makes batches small, the rest waits", () => {
  const kinds: Record<FailureKind, boolean> = {
    refused: true,
    full: true,
    busy: false,
    "timed-out": false,
    aborted: false,
    denied: false,
    "missing-program": false,
    "no-rights": false,
    "no-chain": false,
    "no-set": false,
    "no-module": false,
  };
  for (const [kind, fromTarget] of Object.entries(kinds) as [FailureKind, boolean][]) {
    assert.equal(mayBeOneOfThem(failure(kind)), fromTarget, kind);
    if (kind === "timed-out") continue;
    const limits = new BatchLimits();
    assert.equal(limits.failed(failure(kind), batch(101)), fromTarget ? "at once" : "later", kind);
    assert.equal(limits.mostOf("block", MANY), fromTarget ? 51 : MANY, kind);
  }
});

Deno.test("batch limits: commands that take too long get half, but never few, and grow again", () => {
  const limits = new BatchLimits();
  let most = 1_000;
  const sizes = [];
  for (let n = 0; n < 6; n++) {
    assert.equal(limits.failed(failure("timed-out"), batch(most)), "later");
    sizes.push(most = limits.mostOf("release", MANY));
  }
  assert.deepEqual(sizes, [500, 250, 125, 64, 64, 64]);
  limits.grow();
  limits.grow();
  assert.deepEqual([limits.mostOf("block", MANY), limits.mostOf("block", 100)], [256, 100]);
});

Deno.test("batch limits: blocks are given by what fits into a command, releases are not", () => {
  const limits = new BatchLimits();
  limits.landed(batch(1_000), 500);
  const most = limits.mostOf("block", MANY);
  assert.ok(most > 500 && most < 600, `${most}`);
  assert.equal(limits.mostOf("release", MANY), MANY);
  limits.landed(batch(100, 0, "release"), 1);
  assert.equal(limits.mostOf("block", MANY), most);
  limits.landed(batch(500), 500);
  assert.equal(limits.mostOf("block", MANY), MANY);
});

Deno.test("batch limits: what cannot be made anew as a whole is made with half of it, down to nothing", () => {
  const limits = new BatchLimits();
  assert.equal(limits.mostOfAll, Infinity);
  const counts = [];
  for (let count = 100; count > 0; count = limits.mostOfAll) {
    assert.equal(limits.failedAll(failure("refused"), count), true);
    counts.push(limits.mostOfAll);
  }
  assert.deepEqual(counts, [50, 25, 13, 7, 4, 2, 1, 0]);
  // An empty one has no culprit.
  assert.equal(limits.failedAll(failure("refused"), 0), false);
  assert.equal(limits.failedAll(failure("timed-out"), 9), true);
  assert.equal(limits.mostOfAll, 5);
  assert.equal(limits.failedAll(failure("busy"), 9), false);
  assert.equal(limits.failedAll(failure("no-chain"), 9), false);
  assert.equal(limits.mostOfAll, 5);
});
