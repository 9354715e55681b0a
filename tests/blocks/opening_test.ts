/**
 * The start of the daemon's list, and what happens before its rest is read.
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import { lockDatabase } from "../../src/blocks/lock.ts";
import { MIGRATIONS } from "../../src/blocks/schema.ts";
import { RETRY_MAX_MS } from "../../src/blocks/trouble.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { address, block, NOW, targetsOf, withDatabase } from "../support/database_samples.ts";
import {
  blocks,
  failure,
  makeDatabase,
  noise,
  openWritten,
  overwrite,
  PAGE,
  setAsideFiles,
  stored,
} from "../support/faulty_database.ts";

Deno.test("opening: targets and ends are there before the rest is read, and the rest is the same as ever", async () => {
  await withDatabase((path) => {
    const all = makeDatabase(path, 3_000);
    const { list, troubles } = openWritten(path, NOW);
    assert.equal(list.size, 3_000);
    assert.deepEqual(
      [...list.entries()],
      all.map(({ target, until }) => ({ target, until })),
    );
    assert.equal(list.standing().size, 1);
    // Asked for anything else it reads the rest by itself.
    assert.deepEqual(list.get(all[7]!.target), all[7]);
    assert.deepEqual(list.all(), all);
    list.readRest(NOW);
    assert.deepEqual(list.all(), all);
    list.close();
    using again = WrittenBlockList.open(path);
    again.readRest(NOW);
    assert.deepEqual(again.all(), all);
    assert.deepEqual(troubles, []);
  });
});

Deno.test("opening: what others change before the rest is read is told by reload, not swallowed", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 10);
    using other = BlockDatabase.open(path);
    other.add([block("192.0.2.1", { until: NOW + 9 }), block("192.0.2.2")], NOW);
    using list = openWritten(path, NOW).list;
    other.remove(["192.0.2.2", address(3)]);
    other.add([block("192.0.2.1"), block("192.0.2.3", { reason: "new" })], NOW);
    list.readRest(NOW);
    assert.equal(list.size, 12);
    assert.equal(list.get("192.0.2.1")?.until, NOW + 9);
    assert.equal(list.get("192.0.2.3"), undefined);
    const { added, removed, changed } = list.reload(NOW);
    assert.deepEqual([added, removed.toSorted(), changed], [
      ["192.0.2.3"],
      ["192.0.2.2", address(3)].sort(),
      ["192.0.2.1"],
    ]);
    assert.deepEqual(targetsOf(list).sort(), targetsOf(other).sort());
    assert.equal(list.get("192.0.2.3")?.reason, "new");
  });
});

Deno.test("opening: blocks whose end comes, and blocks that are added, before the rest is read", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 10);
    using other = BlockDatabase.open(path);
    other.add([block("192.0.2.1", { until: NOW + 9, account: "root" })], NOW);
    using ends = openWritten(path, NOW).list;
    assert.deepEqual(ends.removeEnded(NOW + 8), []);
    assert.deepEqual(ends.removeEnded(NOW + 9).map(({ account }) => account), ["root"]);
    ends.close();
    using adds = openWritten(path, NOW).list;
    assert.equal(adds.add([block("192.0.2.4"), block(address(2), { since: NOW + 5 })], NOW), true);
    assert.equal(adds.size, 11);
    assert.equal(adds.get(address(2))?.since, NOW + 2);
    assert.deepEqual(stored(path), targetsOf(adds).sort());
  });
});

Deno.test("opening: blocks that ended while no daemon ran are the same whether the rest is read or not", async () => {
  for (const count of [3, 600]) {
    const outcomes: unknown[] = [];
    for (const isRead of [true, false]) {
      await withDatabase((path) => {
        makeDatabase(path, 1_000);
        const ending = { until: NOW + 9, account: "root", times: 7 };
        using other = BlockDatabase.open(path);
        other.add(blocks(count).map((_, n) => block(address(5_000 + n), ending)), NOW);
        using list = openWritten(path, NOW).list;
        if (isRead) list.readRest(NOW);
        const ended = list.removeEnded(NOW + 9);
        assert.equal(ended.length, count);
        assert.deepEqual(list.removeEnded(NOW + 9), []);
        assert.equal(list.size, 1_000);
        assert.equal(list.timesOf(ended[0]!.target), 7);
        assert.deepEqual(stored(path), targetsOf(list).sort());
        outcomes.push([ended, list.all(), other.history()]);
      });
    }
    assert.deepEqual(outcomes[0], outcomes[1]);
  }
});

Deno.test("opening: deleted or replaced before the rest is read: the old file still tells it", async () => {
  for (const replaced of [false, true]) {
    await withDatabase((path, folder) => {
      const all = makeDatabase(path, 50);
      using list = openWritten(path, NOW).list;
      for (const part of ["", "-wal", "-shm"]) Deno.removeSync(path + part);
      if (replaced) {
        using other = BlockDatabase.open(`${folder}/other.db`);
        other.add([block("192.0.2.1")], NOW);
        other.close();
        Deno.renameSync(`${folder}/other.db`, path);
      }
      assert.equal(list.retry(NOW + 1), true);
      list.readRest(NOW + 1);
      const kept = new Map(list.all().map((one) => [one.target, one]));
      for (const one of all) assert.deepEqual(kept.get(one.target), one);
      assert.equal(list.size, replaced ? 51 : 50);
      list.close();
      using again = BlockDatabase.open(path);
      for (const one of all) assert.deepEqual(again.get(one.target), one);
    });
  }
});

Deno.test("opening: the file is destroyed before the rest is read: every block stays, and is written anew", async () => {
  await withDatabase((path, folder) => {
    const all = makeDatabase(path, 40_000); // larger than SQLite's page cache of 2 MB
    const { list, troubles } = openWritten(path, NOW);
    overwrite(path, 4 * PAGE, noise(Deno.statSync(path).size - 8 * PAGE, 7));
    // Nobody changed it: it is not read for that.
    assert.deepEqual(list.reload(NOW), { added: [], removed: [], changed: [] });
    assert.deepEqual(troubles, []);
    list.readRest(NOW);
    assert.deepEqual(targetsOf(list).sort(), all.map(({ target }) => target).sort());
    assert.match(troubles.join(), /damaged.*set aside and written anew/);
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual([list.pending, list.trouble], [0, undefined]);
    assert.equal(setAsideFiles(folder).length, 1);
    assert.equal(list.close(), 0);
    assert.equal(stored(path).length, 40_000);
  });
});

Deno.test("opening: what a person must mend is thrown, and the lock given back", async () => {
  await withDatabase((path) => {
    Deno.writeTextFileSync(path, "hello\n".repeat(2_000));
    assert.throws(() => WrittenBlockList.open(path, { now: NOW }), {
      name: "BlockDatabaseError",
      fault: "foreign",
    });
    Deno.removeSync(path);
    using list = WrittenBlockList.open(path, { now: NOW });
    assert.throws(() => WrittenBlockList.open(path, { now: NOW }), { fault: "running" });
    assert.equal(list.size, 0);
  });
});

Deno.test("opening: ended blocks, their count and good standing survive a restart of the daemon", async () => {
  await withDatabase((path) => {
    {
      const { list } = openWritten(path);
      assert.equal(list.add([block("192.0.2.1", { until: NOW + 10 })], NOW), true);
      assert.equal(list.saveStanding([["192.0.2.9", NOW]], NOW - 5, NOW), true);
      assert.deepEqual(list.removeEnded(NOW + 9), []);
      assert.deepEqual(list.removeEnded(NOW + 10).map((b) => b.target), ["192.0.2.1"]);
      assert.equal(list.timesOf("192.0.2.1"), 1);
      list.close();
    }
    const { list } = openWritten(path);
    assert.equal(list.timesOf("192.0.2.1"), 1);
    assert.equal(list.standing().get("192.0.2.9"), NOW);
    list.add([block("192.0.2.1", { since: NOW + 20 })], NOW + 20);
    assert.equal(list.get("192.0.2.1")?.times, 2);
    list.remove(["192.0.2.1", "192.0.2.77"], NOW + 21);
    assert.equal(list.timesOf("192.0.2.1"), 0);
    list.close();
    assert.deepEqual(stored(path), []);
  });
});

const HOUR_MS = 3_600_000;

function bornAt(path: string, now: number): number {
  using list = WrittenBlockList.open(path, { now });
  return list.bornAt;
}

Deno.test("opening: a new list was born at the first start, and remembers it over a restart", async () => {
  await withDatabase((path) => {
    assert.equal(bornAt(path, NOW), NOW);
    assert.equal(bornAt(path, NOW + HOUR_MS), NOW);
    using list = BlockDatabase.open(path);
    assert.equal(list.birth(), NOW);
    list.saveBirth(NOW + 1);
    assert.equal(list.birth(), NOW, "only once");
  });
});

Deno.test("opening: blocks that were added before the first start do not make a list old", async () => {
  await withDatabase((path) => {
    {
      using list = BlockDatabase.open(path);
      list.add([block("192.0.2.1")], NOW);
      assert.equal(list.birth(), undefined);
    }
    assert.equal(bornAt(path, NOW + HOUR_MS), NOW + HOUR_MS);
  });
});

Deno.test("opening: a database of version 1.0.0 is old, also when it is only read", async () => {
  await withDatabase((path) => {
    const db = new DatabaseSync(path);
    db.exec(MIGRATIONS[0]!);
    db.exec("PRAGMA application_id = 0x416d7072; PRAGMA user_version = 1");
    db.exec("INSERT INTO standing VALUES ('192.0.2.9', 1)");
    db.close();
    {
      using list = BlockDatabase.open(path, { readOnly: true });
      assert.equal(list.birth(), 0);
      assert.equal(new DryRunBlockList(path, list, NOW).bornAt, 0);
    }
    assert.equal(bornAt(path, NOW), 0);
    assert.equal(bornAt(path, NOW), 0);
    using list = BlockDatabase.open(path);
    assert.equal(list.standing().size, 1);
  });
});

Deno.test("opening: deleted while running, the list is the same one; lost before the start, a new one", async () => {
  await withDatabase((path) => {
    {
      using list = WrittenBlockList.open(path, { now: NOW });
      Deno.removeSync(path);
      list.add([block("192.0.2.1")], NOW + HOUR_MS);
      assert.equal(list.trouble, undefined);
    }
    assert.equal(bornAt(path, NOW + 2 * HOUR_MS), NOW);
    Deno.removeSync(path);
    assert.equal(bornAt(path, NOW + 2 * HOUR_MS), NOW + 2 * HOUR_MS);
  });
});

Deno.test("opening: born with a damaged list nobody who belongs here was saved: a new one; otherwise an old one", async () => {
  for (const standing of [[], [["192.0.2.9", NOW]]] as [string, number][][]) {
    await withDatabase((path) => {
      {
        using list = WrittenBlockList.open(path, { now: NOW });
        list.add([block("192.0.2.1")], NOW);
        list.saveStanding(standing, 0, NOW);
      }
      using file = Deno.openSync(path, { write: true });
      file.seekSync(100, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(200).fill(0xee));
      using list = WrittenBlockList.open(path, { now: NOW + HOUR_MS });
      assert.notEqual(list.start.salvaged, undefined);
      assert.equal(list.bornAt, standing.length > 0 ? 0 : NOW + HOUR_MS);
    });
  }
});

Deno.test("opening: a start never touches the original's Berkeley DB or a later version", async () => {
  await withDatabase((path, folder) => {
    Deno.copyFileSync(new URL("../testdata/filter.db", import.meta.url), path);
    const before = Deno.readFileSync(path);
    assert.equal(failure(() => WrittenBlockList.open(path)).fault, "foreign");
    assert.deepEqual(Deno.readFileSync(path), before);
    assert.deepEqual(setAsideFiles(folder), []);
    Deno.removeSync(path);
    BlockDatabase.open(path).close();
    const db = new DatabaseSync(path);
    db.exec("PRAGMA user_version = 99");
    db.close();
    assert.equal(failure(() => WrittenBlockList.open(path)).fault, "newer");
    // The lock was given back each time.
    lockDatabase(path).release();
  });
});
