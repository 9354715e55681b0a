/** When a list began with nobody known. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { MIGRATIONS } from "../../src/blocks/schema.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import { block, NOW, withDatabase } from "../support/database_samples.ts";

const HOUR_MS = 3_600_000;

function bornAt(path: string, now: number): number {
  using list = WrittenBlockList.open(path, { now });
  return list.bornAt;
}

Deno.test("birth: a new list was born at the first start, and remembers it over a restart", async () => {
  await withDatabase((path) => {
    assert.equal(bornAt(path, NOW), NOW);
    assert.equal(bornAt(path, NOW + HOUR_MS), NOW);
    using list = BlockDatabase.open(path);
    assert.equal(list.birth(), NOW);
    list.saveBirth(NOW + 1);
    assert.equal(list.birth(), NOW, "only once");
  });
});

Deno.test("birth: blocks that were added before the first start do not make a list old", async () => {
  await withDatabase((path) => {
    {
      using list = BlockDatabase.open(path);
      list.add([block("192.0.2.1")], NOW);
      assert.equal(list.birth(), undefined);
    }
    assert.equal(bornAt(path, NOW + HOUR_MS), NOW + HOUR_MS);
  });
});

Deno.test("birth: a database of version 1.0.0 is old, also when it is only read", async () => {
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

Deno.test("birth: deleted while running, the list is the same one; lost before the start, a new one", async () => {
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

Deno.test("birth: of a damaged list nobody who belongs here was saved: a new one; otherwise an old one", async () => {
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

Deno.test("birth: the list of a dry run without a database is as old as the run", () => {
  assert.equal(new DryRunBlockList("(memory)", undefined, NOW).bornAt, NOW);
});
