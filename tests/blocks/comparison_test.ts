/**
 * Changes by other processes.
 */

import assert from "node:assert/strict";
import { COMPARED_AT_ONCE_MAX, COMPARED_PER_TURN } from "../../src/blocks/comparison.ts";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { block, NOW, targetsOf, withDatabase } from "../support/database_samples.ts";
import { blocks, openWritten, stored } from "../support/faulty_database.ts";

Deno.test("comparison: reload takes over what other processes add, remove and change", async () => {
  await withDatabase((path) => {
    const { list, troubles } = openWritten(path);
    list.add(
      [block("192.0.2.1"), block("192.0.2.2"), block("192.0.2.3", { until: NOW + 10 })],
      NOW,
    );
    assert.deepEqual(list.reload(), { added: [], removed: [], changed: [] });
    using other = BlockDatabase.open(path);
    other.add([block("192.0.2.4", { until: NOW + 5 }), block("192.0.2.3")], NOW);
    other.remove(["192.0.2.1"]);
    assert.deepEqual(list.reload(), {
      added: ["192.0.2.4"],
      removed: ["192.0.2.1"],
      changed: ["192.0.2.3"],
    });
    assert.deepEqual(list.reload(), { added: [], removed: [], changed: [] });
    assert.deepEqual(targetsOf(list).sort(), ["192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    assert.equal(list.get("192.0.2.3")?.until, undefined);
    assert.deepEqual(list.removeEnded(NOW + 5).map((b) => b.target), ["192.0.2.4"]);
    assert.deepEqual(stored(path), ["192.0.2.2", "192.0.2.3"]);
    // Own writes and those of others in turn.
    list.add([block("192.0.2.5")], NOW);
    other.add([block("192.0.2.6")], NOW);
    list.add([block("192.0.2.7")], NOW);
    assert.deepEqual(list.reload().added, ["192.0.2.6"]);
    other.add(blocks(2_000), NOW);
    assert.equal(list.reload().added.length, 2_000);
    assert.deepEqual(troubles, []);
    assert.equal(list.close(), 0);
  });
});

Deno.test("comparison: what others change in a long list is taken over in turns, and what happens between them counts", async () => {
  await withDatabase((path) => {
    const { list, troubles } = openWritten(path);
    const many = Array.from(
      { length: COMPARED_AT_ONCE_MAX + 1_000 },
      (_, i) => block(`10.${i >> 16}.${i >> 8 & 255}.${i & 255}`),
    );
    list.add(many, NOW);
    while (list.pending > 0) list.retry(NOW);
    using other = BlockDatabase.open(path);
    const [first, last] = [many[0]!.target, many.at(-1)!.target];
    other.remove([first, many[7]!.target]);
    other.add(
      [block("192.0.2.1"), block("192.0.2.2"), block("192.0.2.3", { until: NOW + 5 })],
      NOW,
    );
    const seen = { added: [] as string[], removed: [] as string[], changed: [] as string[] };
    let turns = 0;
    const between = [
      () => list.add([block("198.51.100.1")], NOW),
      () => list.remove([many[1]!.target, last], NOW),
      // This process deletes what the other has just added, and the other what this one has.
      () => list.remove(["192.0.2.2"], NOW),
      () => other.remove(["198.51.100.1"]),
      // Behind the row that was read last.
      () => other.remove([many[9]!.target]),
    ];
    for (let more = true; more; turns++) {
      const change = list.reload(NOW);
      for (const key of ["added", "removed", "changed"] as const) {
        assert.ok(change[key].length <= COMPARED_PER_TURN);
        seen[key].push(...change[key]);
      }
      more = change.more ?? false;
      between[turns]?.();
    }
    assert.ok(turns > 2 * many.length / COMPARED_PER_TURN, `${turns} turns`);
    // What others changed meanwhile may need another comparison.
    for (let more = true; more;) {
      const change = list.reload(NOW);
      seen.removed.push(...change.removed);
      assert.deepEqual([...change.added, ...change.changed], []);
      more = change.more ?? false;
    }
    assert.deepEqual(seen.added.filter((target) => target !== "192.0.2.2"), [
      "192.0.2.1",
      "192.0.2.3",
    ]);
    assert.deepEqual(seen.changed, []);
    assert.deepEqual(
      seen.removed.toSorted(),
      [first, many[7]!.target, many[9]!.target, "198.51.100.1"].toSorted(),
    );
    assert.deepEqual(targetsOf(list).sort(), targetsOf(other).sort());
    assert.deepEqual(list.reload(NOW), { added: [], removed: [], changed: [] });
    assert.deepEqual(troubles, []);
    assert.equal(list.close(), 0);
  });
});
