import assert from "node:assert/strict";
import { BUSY_TOLD_AFTER_MS, RETRY_MAX_MS, Trouble } from "../../src/blocks/trouble.ts";
import { NOW } from "../support/database_samples.ts";

function make() {
  const told: string[] = [];
  const trouble = new Trouble(
    (message) => told.push(`trouble: ${message}`),
    (message) => told.push(`mended: ${message}`),
  );
  return { trouble, told };
}

Deno.test("trouble: each kind of fault is told once until all is mended, and then anew", () => {
  const { trouble, told } = make();
  assert.equal(trouble.fault, undefined);
  trouble.record("full", "full 1", NOW);
  trouble.record("io", "io 1", NOW + 1);
  assert.equal(trouble.fault, "io");
  trouble.record("full", "full 2", NOW + 2);
  assert.equal(trouble.fault, "full");
  assert.deepEqual(told.splice(0), ["trouble: full 1", "trouble: io 1"]);
  trouble.end(() => "all");
  assert.equal(trouble.fault, undefined);
  trouble.end(() => assert.fail("it is over already"));
  trouble.record("full", "full 3", NOW + 3);
  assert.deepEqual(told, ["mended: all", "trouble: full 3"]);
});

Deno.test("trouble: a database that others hold is told of when it lasts, other faults at once", () => {
  const { trouble, told } = make();
  trouble.record("busy", "busy", NOW);
  trouble.record("busy", "busy", NOW + BUSY_TOLD_AFTER_MS - 1);
  assert.deepEqual([trouble.fault, told], ["busy", []]);
  // What nobody heard of is not told to be over.
  trouble.end(() => assert.fail("nobody was told"));
  trouble.record("busy", "busy again", NOW + BUSY_TOLD_AFTER_MS);
  assert.deepEqual(told, []);
  trouble.record("busy", "busy for long", NOW + 2 * BUSY_TOLD_AFTER_MS);
  assert.deepEqual(told.splice(0), ["trouble: busy for long"]);
  trouble.end(() => "all");
  assert.deepEqual(told.splice(0), ["mended: all"]);

  trouble.record("busy", "busy", NOW);
  trouble.record("readonly", "readonly", NOW + 1);
  assert.deepEqual(told, ["trouble: readonly"]);
});

Deno.test("trouble: each try is put off for twice as long, up to a bound, and from the first after the mend", () => {
  const { trouble } = make();
  trouble.postpone(NOW);
  assert.equal(trouble.mayTry(NOW), true);
  const delays: number[] = [];
  let now = NOW;
  for (let tries = 0; tries < 10; tries++) {
    trouble.record("io", "io", now);
    assert.equal(trouble.mayTry(now), true);
    trouble.postpone(now);
    const from = now;
    while (!trouble.mayTry(now)) now += 250;
    delays.push(now - from);
  }
  assert.deepEqual(delays, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  assert.equal(delays.at(-1), RETRY_MAX_MS);
  trouble.end(() => "all");
  trouble.record("io", "io", now);
  trouble.postpone(now);
  assert.deepEqual([trouble.mayTry(now + 249), trouble.mayTry(now + 250)], [false, true]);
});

Deno.test("trouble: a clock that is set back puts nothing off", () => {
  const { trouble } = make();
  trouble.record("io", "io", NOW);
  for (let tries = 0; tries < 10; tries++) trouble.postpone(NOW);
  assert.equal(trouble.mayTry(NOW), false);
  assert.equal(trouble.mayTry(NOW - 1), true);
});
