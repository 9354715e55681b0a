/**
 * Changes by other processes.
 */

import assert from "node:assert/strict";
import { COMPARED_AT_ONCE_MAX, COMPARED_PER_TURN } from "../../src/blocks/comparison.ts";
import { BlockDatabase, BlockDatabaseError } from "../../src/blocks/database.ts";
import type { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { block, NOW, targetsOf, withDatabase } from "../support/database_samples.ts";
import { blocks, disturbed, openWritten, stored } from "../support/faulty_database.ts";

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

/** What the daemon writes while somebody blocks 192.0.2.1 for ever, and the list before. */
const WRITES = {
  "a new block": [undefined, (list) => list.add([block("192.0.2.1", { until: NOW + 900 })], NOW)],
  "a longer block": [NOW + 50, (list) => {
    list.add([block("192.0.2.1", { until: NOW + 900 })], NOW);
  }],
  "an end": [NOW + 50, (list) => list.removeEnded(NOW + 50)],
  "many changes": [NOW + 50, (list) => {
    list.add([...blocks(600), block("192.0.2.1", { until: NOW + 900 })], NOW);
  }],
} satisfies Record<string, [number | undefined, (list: WrittenBlockList) => unknown]>;

for (const [what, [before, write]] of Object.entries(WRITES)) {
  Deno.test(`comparison: what others block before any statement of a write stays: ${what}`, async () => {
    let waited = 0;
    let at = 0;
    for (let disturbs = true; disturbs; at++) {
      await withDatabase((path) => {
        const { list, troubles } = openWritten(path);
        if (before !== undefined) list.add([block("192.0.2.1", { until: before })], NOW);
        list.add([block("192.0.2.2", { until: NOW + 50 })], NOW);
        using other = BlockDatabase.open(path, { busyTimeout: 0 });
        const deed = () => other.add([block("192.0.2.1")], NOW);
        let late = false;
        disturbs = disturbed(() => write(list), at, () => {
          try {
            deed();
          } catch (error) {
            // It waits until the transaction is at its end.
            assert(error instanceof BlockDatabaseError && error.fault === "busy");
            late = true;
          }
        });
        if (late) deed();
        waited += Number(late);
        if (disturbs) {
          list.reload(NOW + 50);
          assert.equal(list.retry(NOW + 50), true);
          list.removeEnded(NOW + 900);
          const ends = [list, other].map((some) => {
            const found = some.get("192.0.2.1");
            return found === undefined ? "lost" : found.until;
          });
          assert.deepEqual(ends, [undefined, undefined], `before statement ${at}`);
          assert.deepEqual(targetsOf(list).sort(), stored(path));
        }
        assert.deepEqual(troubles, []);
        assert.equal(list.close(NOW + 900), 0);
      });
    }
    // It met the write everywhere: also where it has to wait.
    assert.ok(waited > 0 && at > waited + 1, `${at} statements, ${waited} times it waited`);
  });
}
