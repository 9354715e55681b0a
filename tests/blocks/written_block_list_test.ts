/**
 * The daemon's list while another process holds its database.
 */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { CHANGES_PER_WRITE_MAX } from "../../src/blocks/list_writer.ts";
import { PENDING_STANDING_MAX } from "../../src/blocks/pending_changes.ts";
import { BUSY_TOLD_AFTER_MS, RETRY_MAX_MS } from "../../src/blocks/trouble.ts";
import { address, block, NOW, targetsOf, withDatabase } from "../support/database_samples.ts";
import { blocks, Helper, makeDatabase, openWritten, stored } from "../support/faulty_database.ts";

Deno.test("written block list: a database that another process holds: the change is pending, told late, written later", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list, troubles, mends } = openWritten(path);
    assert.equal(await other.ask(`hold ${path}`), true);
    const start = performance.now();
    assert.equal(list.add([block("192.0.2.1")], NOW), false);
    const waited = performance.now() - start;
    assert(waited < 1_000, `the caller waited ${waited} ms`);
    // Within the delay nothing is tried, so nothing waits.
    const again = performance.now();
    assert.equal(list.add([block("192.0.2.2")], NOW + 1), false);
    assert.equal(list.retry(NOW + 2), false);
    assert(performance.now() - again < 50);
    assert.deepEqual([list.pending, list.trouble, troubles.length], [2, "busy", 0]);
    assert.equal(list.retry(NOW + BUSY_TOLD_AFTER_MS), false);
    assert.equal(list.retry(NOW + 2 * BUSY_TOLD_AFTER_MS), false);
    assert.equal(troubles.length, 1);
    assert.match(troubles[0] ?? "", /another process is writing.*blocking goes on/);
    assert.deepEqual(targetsOf(list), ["192.0.2.1", "192.0.2.2"]);
    assert.equal(await other.ask("release"), true);
    assert.equal(list.retry(NOW + 3 * BUSY_TOLD_AFTER_MS + RETRY_MAX_MS), true);
    assert.deepEqual([list.pending, list.trouble, mends.length], [0, undefined, 1]);
    assert.deepEqual(stored(path), ["192.0.2.1", "192.0.2.2"]);
    list.close();
  });
});

Deno.test("written block list: a short hold is never told; a clock that is set back does not delay the writing", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list, troubles, mends } = openWritten(path);
    await other.ask(`hold ${path}`);
    assert.equal(list.add([block("192.0.2.1")], NOW), false);
    await other.ask("release");
    assert.equal(list.retry(NOW - 3_600_000), true);
    assert.deepEqual([troubles, mends], [[], []]);
    list.close();
  });
});

Deno.test("written block list: the latest state of each target wins, so what is pending is bounded", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list } = openWritten(path);
    list.add([block("192.0.2.1"), block("192.0.2.2", { until: NOW + 50 })], NOW);
    await other.ask(`hold ${path}`);
    for (let round = 0; round < 100; round++) {
      list.remove(["192.0.2.1"], NOW);
      list.add([block("192.0.2.1"), block("192.0.2.3")], NOW);
      list.remove(["192.0.2.3"], NOW);
    }
    list.removeEnded(NOW + 50);
    assert.equal(list.pending, 3);
    assert.equal(list.timesOf("192.0.2.2"), 1);
    const hosts = Array.from(
      { length: PENDING_STANDING_MAX + 5 },
      (_, n) => [address(n), NOW + n] as const,
    );
    list.saveStanding(hosts, 0, NOW + 60);
    assert.equal(list.pending, 3 + PENDING_STANDING_MAX);
    await other.ask("release");
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual(stored(path), ["192.0.2.1"]);
    using check = BlockDatabase.open(path);
    assert.equal(check.timesOf("192.0.2.2"), 1);
    assert.equal(check.timesOf("192.0.2.3"), 0);
    assert.equal(check.standing().size, PENDING_STANDING_MAX);
    assert.equal(check.standing().has(address(4)), false);
    list.close();
  });
});

Deno.test("written block list: what is blocked anew by hand before its end is written stays blocked", async () => {
  for (
    const [noticed, until] of [[true, undefined], [false, undefined], [false, NOW + 900]] as const
  ) {
    await withDatabase(async (path) => {
      await using other = new Helper();
      const { list } = openWritten(path);
      list.add([block("192.0.2.1", { until: NOW + 50 })], NOW);
      await other.ask(`hold ${path}`);
      assert.equal(list.removeEnded(NOW + 50).length, 1);
      await other.ask("release");
      {
        using hand = BlockDatabase.open(path);
        hand.add([block("192.0.2.1", { since: NOW + 60, until })], NOW + 60);
      }
      const added: string[] = [];
      if (noticed) added.push(...list.reload(NOW + 70).added);
      assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
      added.push(...list.reload(NOW + RETRY_MAX_MS).added);
      assert.deepEqual([added, stored(path)], [["192.0.2.1"], ["192.0.2.1"]]);
      assert.equal(list.get("192.0.2.1")?.until, until);
      assert.equal(list.get("192.0.2.1")?.times, 2);
      list.close();
    });
  }
});

Deno.test("written block list: what others block for longer is not written over by a shorter block", async () => {
  for (const held of [true, false]) {
    await withDatabase(async (path) => {
      await using other = new Helper();
      const { list } = openWritten(path);
      if (held) {
        await other.ask(`hold ${path}`);
        assert.equal(list.add([block("192.0.2.1", { until: NOW + 900 })], NOW), false);
        await other.ask("release");
      }
      {
        using hand = BlockDatabase.open(path);
        hand.add([block("192.0.2.1"), block("192.0.2.2")], NOW);
      }
      if (!held) list.add([block("192.0.2.1", { until: NOW + 900 })], NOW);
      assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
      assert.deepEqual(list.reload(NOW + RETRY_MAX_MS).changed, ["192.0.2.1"]);
      assert.deepEqual(list.removeEnded(NOW + 900), []);
      assert.deepEqual([targetsOf(list), stored(path)], [
        ["192.0.2.1", "192.0.2.2"],
        ["192.0.2.1", "192.0.2.2"],
      ]);
      list.close();
    });
  }
});

Deno.test("written block list: what is blocked for ever by hand stays so, though this process blocked, removed and blocked it for a while meanwhile", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list } = openWritten(path);
    await other.ask(`hold ${path}`);
    list.add([block("192.0.2.1")], NOW);
    list.remove(["192.0.2.1"], NOW);
    list.add([block("192.0.2.1", { until: NOW + 50 })], NOW);
    await other.ask("release");
    {
      using hand = BlockDatabase.open(path);
      hand.add([block("192.0.2.1")], NOW);
    }
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual([list.removeEnded(NOW + 50), stored(path)], [[], ["192.0.2.1"]]);
    list.close();
  });
});

Deno.test("written block list: what was removed and blocked again for a while does not come back for ever", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list } = openWritten(path);
    list.add([block("192.0.2.1")], NOW);
    await other.ask(`hold ${path}`);
    list.remove(["192.0.2.1"], NOW);
    list.add([block("192.0.2.1", { until: NOW + 50 })], NOW);
    list.removeEnded(NOW + 50);
    await other.ask("release");
    {
      using hand = BlockDatabase.open(path);
      hand.add([block("192.0.2.2")], NOW);
    }
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual(list.reload(NOW + RETRY_MAX_MS).added, ["192.0.2.2"]);
    assert.deepEqual(stored(path), ["192.0.2.2"]);
    list.close();
  });
});

Deno.test("written block list: an end that is written after the clock was set back is no block of others", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list } = openWritten(path);
    const hour = 3_600_000;
    list.add([block("192.0.2.1", { until: NOW + hour })], NOW);
    await other.ask(`hold ${path}`);
    assert.equal(list.removeEnded(NOW + hour).length, 1);
    list.add([block("192.0.2.1", { until: NOW + 50 })], NOW);
    assert.equal(list.removeEnded(NOW + 50).length, 1);
    await other.ask("release");
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual([list.reload(NOW + RETRY_MAX_MS).added, stored(path)], [[], []]);
    list.close();
  });
});

Deno.test("written block list: a daemon that starts while another process holds the database reads it and writes later", async () => {
  await withDatabase(async (path) => {
    makeDatabase(path, 10);
    await using other = new Helper();
    await other.ask(`hold ${path}`);
    const { list } = openWritten(path);
    assert.equal(list.size, 10);
    assert.equal(list.add([block("192.0.2.1")], NOW), false);
    await other.ask("release");
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.equal(stored(path).length, 11);
    list.close();
  });
});

Deno.test("written block list: what is pending at the end is written by close, or counted", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    {
      const { list } = openWritten(path);
      await other.ask(`hold ${path}`);
      list.add([block("192.0.2.1")], NOW);
      await other.ask("release");
      assert.equal(list.close(NOW), 0);
      assert.deepEqual(stored(path), ["192.0.2.1"]);
    }
    const { list } = openWritten(path);
    await other.ask(`hold ${path}`);
    list.add([block("192.0.2.2")], NOW);
    assert.equal(list.close(NOW), 1);
    await other.ask("release");
  });
});

Deno.test("written block list: a large debt is written in several transactions", async () => {
  await withDatabase((path) => {
    const { list, troubles } = openWritten(path);
    const count = 2 * CHANGES_PER_WRITE_MAX + 1;
    assert.equal(list.add(blocks(count), NOW), false);
    assert.equal(list.pending, CHANGES_PER_WRITE_MAX + 1);
    assert.equal(stored(path).length, CHANGES_PER_WRITE_MAX);
    assert.deepEqual(list.reload(), { added: [], removed: [], changed: [] });
    assert.equal(list.retry(NOW), false);
    assert.equal(list.retry(NOW), true);
    assert.equal(stored(path).length, count);
    assert.deepEqual(troubles, []);
    list.close();
  });
});
