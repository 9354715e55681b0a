import assert from "node:assert/strict";
import fc from "fast-check";
import type { Entry } from "../../src/firewall/backend.ts";
import { type Batch, Changes, COMPARED_PER_TURN } from "../../src/firewall/changes.ts";

const NOW = 1_800_000_000_000;
const MANY = () => 1_000;

const forEver = (...targets: string[]) => targets.map((target) => ({ target, until: undefined }));

const targetsOf = (batch: Batch) => batch.entries.map(({ target }) => target);

/** Takes all steps at once. */
function finish<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Lets the next batch leave. */
function depart(changes: Changes, most = MANY): Batch {
  const batch = changes.nextBatch(most);
  changes.depart(batch);
  return batch;
}

/** Lets the next batch do all that it should. */
function apply(changes: Changes, most = MANY): Batch {
  const batch = depart(changes, most);
  changes.land(batch, batch.entries.length);
  return batch;
}

/** A state in which some targets are applied. */
function withApplied(isTimed: boolean, ...targets: string[]): Changes {
  const changes = new Changes(isTimed);
  changes.block(forEver(...targets), NOW);
  apply(changes);
  return changes;
}

Deno.test("changes: new blocks come before those of the start, and land in parts", () => {
  const changes = new Changes(false);
  changes.begin(forEver("192.0.2.1", "192.0.2.2"));
  assert.deepEqual([changes.desiredCount, changes.queuedCount, changes.isBlank], [2, 0, true]);
  finish(changes.compareAll());
  changes.block(forEver("192.0.2.3"), NOW);
  const batch = depart(changes);
  assert.deepEqual(targetsOf(batch), ["192.0.2.3", "192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(changes.land(batch, 2), [["192.0.2.3", NOW]]);
  assert.deepEqual([changes.appliedCount, changes.queuedCount], [2, 1]);
  assert.deepEqual(targetsOf(apply(changes, () => 1)), ["192.0.2.2"]);
  assert.equal(changes.queuedCount, 0);
});

Deno.test("changes: blocks and releases take turns", () => {
  const changes = withApplied(false, "192.0.2.1", "192.0.2.2");
  changes.resetTurns();
  changes.release(["192.0.2.1", "192.0.2.2", "192.0.2.9"]);
  changes.block(forEver("192.0.2.3", "192.0.2.4"), NOW);
  const verbs = [];
  while (changes.queuedCount > 0) verbs.push(apply(changes, () => 1).verb);
  assert.deepEqual(verbs, ["block", "release", "block", "release"]);
});

Deno.test("changes: what is ordered of a target in flight is compared when its command has ended", () => {
  const changes = new Changes(false);
  changes.block(forEver("192.0.2.1", "192.0.2.2"), NOW);
  const batch = depart(changes);
  assert.equal(changes.hasChangedInFlight, false);
  changes.release(["192.0.2.1"]);
  assert.equal(changes.hasChangedInFlight, true);
  // Nobody is told of a block that is not desired any more.
  assert.deepEqual(changes.land(batch, 2), [["192.0.2.2", NOW]]);
  assert.deepEqual(apply(changes), { verb: "release", entries: forEver("192.0.2.1") });
  assert.equal(changes.isApplied("192.0.2.1"), false);

  // Released and blocked again: nothing is left to do, and the time of the order is the first one.
  changes.block(forEver("192.0.2.3"), NOW + 1);
  const again = depart(changes);
  changes.release(["192.0.2.3"]);
  changes.block(forEver("192.0.2.3"), NOW + 2);
  assert.deepEqual(changes.land(again, 1), [["192.0.2.3", NOW + 1]]);
  assert.equal(changes.queuedCount, 0);
});

Deno.test("changes: a new end is a change only where the kernel knows ends", () => {
  for (const isTimed of [false, true]) {
    const changes = withApplied(isTimed, "192.0.2.1");
    changes.block([{ target: "192.0.2.1", until: NOW + 9 }], NOW);
    assert.equal(changes.queuedCount, isTimed ? 1 : 0);
    if (!isTimed) continue;
    // A command that failed may have set it: it is set again.
    changes.land(depart(changes), undefined);
    assert.deepEqual(apply(changes).entries, [{ target: "192.0.2.1", until: NOW + 9 }]);
    assert.equal(changes.queuedCount, 0);
  }
});

Deno.test("changes: setDesired changes only what differs", () => {
  const changes = withApplied(true, "192.0.2.1", "192.0.2.2", "192.0.2.3");
  const until = NOW + 9;
  changes.setDesired([...forEver("192.0.2.1", "192.0.2.4"), { target: "192.0.2.2", until }], NOW);
  const batches = [apply(changes), apply(changes)];
  assert.deepEqual(
    batches.map((batch) => [batch.verb, targetsOf(batch).sort()]),
    [["release", ["192.0.2.3"]], ["block", ["192.0.2.2", "192.0.2.4"]]],
  );
  assert.deepEqual([changes.queuedCount, changes.desiredCount], [0, 3]);
});

Deno.test("changes: a rejected change is set aside until it is tried again, or needed no more", () => {
  const changes = new Changes(false);
  changes.block(forEver("192.0.2.1", "192.0.2.2"), NOW);
  for (const target of ["192.0.2.1", "192.0.2.2"]) changes.reject(target);
  assert.deepEqual([changes.queuedCount, changes.rejectedCount], [0, 2]);
  assert.deepEqual(changes.allEntries(9), []);
  changes.block(forEver("192.0.2.1"), NOW + 1);
  assert.equal(changes.queuedCount, 0);
  assert.deepEqual(changes.rejectedBatch(), { verb: "block", entries: forEver("192.0.2.1") });
  // Rejected again it is the last one.
  changes.reject("192.0.2.1");
  assert.deepEqual(changes.rejectedBatch(), { verb: "block", entries: forEver("192.0.2.2") });
  changes.release(["192.0.2.2"]);
  assert.equal(changes.rejectedCount, 1);
  changes.acceptRejected();
  assert.deepEqual([changes.queuedCount, changes.rejectedCount], [1, 0]);
  assert.equal(changes.rejectedBatch(), undefined);
});

Deno.test("changes: everything made anew: what was ordered meanwhile and what had no room is queued", () => {
  const changes = withApplied(true, "192.0.2.8");
  changes.release(["192.0.2.8"]);
  changes.block(forEver("192.0.2.1", "192.0.2.2", "192.0.2.3"), NOW);
  changes.depart("all");
  changes.block(forEver("192.0.2.4"), NOW + 1);
  changes.release(["192.0.2.1"]);
  const given = forEver("192.0.2.1", "192.0.2.2", "192.0.2.3");
  assert.deepEqual(finish(changes.landAll(given, 2)), [["192.0.2.2", NOW]]);
  assert.deepEqual(changes.isApplied("192.0.2.8"), false);
  const batches = [apply(changes), apply(changes)].map((batch) => [batch.verb, targetsOf(batch)]);
  assert.deepEqual(batches, [["release", ["192.0.2.1"]], ["block", ["192.0.2.3", "192.0.2.4"]]]);
});

Deno.test("changes: a listing tells what is lost, strange and twice there", () => {
  const changes = withApplied(true, "192.0.2.1", "192.0.2.2");
  changes.block([{ target: "192.0.2.3", until: NOW + 9 }], NOW);
  apply(changes);
  changes.block(forEver("192.0.2.4"), NOW + 1);
  const listed = new Map([["192.0.2.1", 3], ["192.0.2.4", 1], ["203.0.113.1", 1]]);
  // The third one has expired by itself.
  assert.deepEqual(finish(changes.adopt(listed, NOW + 9, false)), {
    before: 3,
    lost: 1,
    strange: 1,
    duplicates: 2,
    orders: [["192.0.2.4", NOW + 1]],
  });
  assert.deepEqual(changes.firstDuplicates(9), ["192.0.2.1", "192.0.2.1"]);
  changes.forgetDuplicates(1);
  assert.equal(changes.duplicateCount, 1);
  changes.forgetDuplicates();
  assert.equal(changes.duplicateCount, 0);
  // After a failure what is strange may be Ampere's own.
  assert.equal(finish(changes.adopt(new Map([["203.0.113.2", 1]]), NOW, true)).strange, 0);
});

Deno.test("changes: long comparisons let others have their turn", () => {
  const changes = new Changes(false);
  const count = 2 * COMPARED_PER_TURN;
  changes.begin(Array.from({ length: count }, (_, n) => ({ target: `${n}`, until: undefined })));
  assert.equal([...changes.compareAll()].length, 2);
  assert.equal([...changes.landAll(changes.allEntries(Infinity), count)].length, 2);
  assert.equal(changes.appliedCount, count);
  assert.equal([...changes.adopt(new Map(), NOW, false)].length, 2);
});

Deno.test("changes: whatever is ordered and whatever fails, in the end what is desired is applied", () => {
  const target = fc.constantFrom("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4");
  const until = fc.constantFrom(undefined, NOW + 1, NOW + 2);
  const order = fc.oneof(
    fc.record({ what: fc.constant("block" as const), target, until }),
    fc.record({ what: fc.constant("release" as const), target }),
  );
  const step = fc.oneof(
    order,
    fc.record({
      what: fc.constantFrom("batch" as const, "all" as const),
      most: fc.integer({ min: 1, max: 3 }),
      done: fc.integer({ min: 0, max: 3 }),
      isOk: fc.boolean(),
      meanwhile: fc.array(order, { maxLength: 3 }),
    }),
    fc.record({ what: fc.constant("reject" as const) }),
    fc.record({ what: fc.constant("look" as const) }),
  );
  fc.assert(fc.property(fc.boolean(), fc.array(step, { maxLength: 40 }), (isTimed, steps) => {
    const changes = new Changes(isTimed);
    const desired = new Map<string, number | undefined>();
    const kernel = new Map<string, number | undefined>();
    const look = () =>
      finish(changes.adopt(new Map([...kernel.keys()].map((one) => [one, 1])), 0, true));
    const give = (some: typeof order extends fc.Arbitrary<infer T> ? T : never) => {
      if (some.what === "block") {
        desired.set(some.target, some.until);
        changes.block([some], NOW);
      } else {
        desired.delete(some.target);
        changes.release([some.target]);
      }
    };
    const run = ({ verb, entries }: Batch, done: number) => {
      for (const { target, until } of entries.slice(0, done)) {
        if (verb === "block") kernel.set(target, until);
        else kernel.delete(target);
      }
    };
    for (const one of steps) {
      if (one.what === "block" || one.what === "release") give(one);
      else if (one.what === "look") look();
      else if (one.what === "reject") {
        if (changes.queuedCount > 0) changes.reject(changes.nextBatch(() => 1).entries[0]!.target);
      } else if (one.what === "all") {
        const entries: Entry[] = changes.allEntries(one.most);
        changes.depart("all");
        for (const some of one.meanwhile) give(some);
        const done = Math.min(one.done, entries.length);
        kernel.clear();
        run({ verb: "block", entries }, done);
        if (one.isOk) finish(changes.landAll(entries, done));
        else {
          changes.abandon();
          look();
          finish(changes.compareAll());
        }
      } else if (changes.queuedCount > 0) {
        const batch = depart(changes, () => one.most);
        for (const some of one.meanwhile) give(some);
        const done = Math.min(Math.max(one.done, 1), batch.entries.length);
        run(batch, done);
        changes.land(batch, one.isOk ? done : undefined);
        if (!one.isOk) look();
      }
      assert.equal(changes.desiredCount, desired.size);
    }
    changes.acceptRejected();
    for (let left = 20; changes.queuedCount > 0; left--) {
      assert.ok(left > 0, "it does not end");
      const batch = depart(changes);
      run(batch, batch.entries.length);
      changes.land(batch, batch.entries.length);
    }
    assert.deepEqual([...kernel.keys()].sort(), [...desired.keys()].sort());
    if (isTimed) assert.deepEqual(new Map([...kernel].sort()), new Map([...desired].sort()));
  }));
});
