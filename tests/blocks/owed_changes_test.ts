/** What the database did not take outlives the process. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { OwedChanges } from "../../src/blocks/owed_changes.ts";
import { PendingChanges } from "../../src/blocks/pending_changes.ts";
import { RETRY_MAX_MS } from "../../src/blocks/trouble.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { address, block, NOW, targetsOf, withDatabase } from "../support/database_samples.ts";
import { Helper, stored } from "../support/faulty_database.ts";

const LATER = NOW + 2 * RETRY_MAX_MS;

function open(path: string, now = NOW): WrittenBlockList {
  return WrittenBlockList.open(path, { now, owed: new OwedChanges(`${path}.run/owed`) });
}

/** What others have written there. */
function store(path: string, ...blocks: ReturnType<typeof block>[]): void {
  using database = BlockDatabase.open(path);
  database.remove(blocks.map(({ target }) => target));
  database.add(blocks, NOW);
}

/** As after SIGKILL: the lock is free, and nothing else was done. */
function die(list: WrittenBlockList, path: string): Uint8Array {
  const file = Deno.readFileSync(`${path}.run/owed`);
  list.close(NOW);
  Deno.writeFileSync(`${path}.run/owed`, file);
  return file;
}

Deno.test("owed changes: a process that dies while another one holds the database loses no block", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    store(path, block("192.0.2.1"), block("192.0.2.9"));
    const list = open(path);
    await other.ask(`hold ${path}`);
    list.add([block("192.0.2.2"), block("192.0.2.3", { until: NOW + 50 })], NOW);
    list.remove(["192.0.2.1"], NOW);
    die(list, path);

    // While it is held the next one has it too; what ended meanwhile is over.
    const next = open(path, NOW + 100);
    assert.deepEqual(targetsOf(next).sort(), ["192.0.2.2", "192.0.2.9"]);
    assert.equal(next.start.owed, 2);
    die(next, path);
    await other.ask("release");
    const last = open(path, LATER);
    assert.deepEqual(targetsOf(last).sort(), ["192.0.2.2", "192.0.2.9"]);
    assert.deepEqual(stored(path), ["192.0.2.2", "192.0.2.9"]);
    assert.throws(() => Deno.statSync(`${path}.run/owed`), Deno.errors.NotFound);
    last.close(LATER);
  });
});

Deno.test("owed changes: an end in order keeps them too, and counts them for none that are lost", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const list = open(path);
    await other.ask(`hold ${path}`);
    list.add([block("192.0.2.2")], NOW);
    assert.equal(list.close(NOW), 0);
    await other.ask("release");
    const next = open(path, LATER);
    assert.deepEqual(targetsOf(next).sort(), ["192.0.2.2"]);
    next.close(LATER);
    assert.equal(open(path, LATER).start.owed, 0);
  });
});

Deno.test("owed changes: who is deleted meanwhile does not come back, and others' newer blocks stay", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    store(path, block("192.0.2.1"));
    const list = open(path);
    await other.ask(`hold ${path}`);
    list.add([block("192.0.2.2"), block("192.0.2.3")], NOW);
    list.remove(["192.0.2.1"], NOW);
    die(list, path);
    await other.ask("release");
    store(path, block("192.0.2.1", { since: NOW + 10 }));
    const owed = new OwedChanges(`${path}.run/owed`);
    assert.deepEqual(owed.forget(new Set(["192.0.2.2", "192.0.2.8"])), ["192.0.2.2"]);
    const next = open(path, LATER);
    assert.deepEqual(targetsOf(next).sort(), ["192.0.2.1", "192.0.2.3"]);
    next.close(LATER);
  });
});

Deno.test("owed changes: what is no change is left out, whatever it is", async () => {
  await withDatabase((path) => {
    const owed = new OwedChanges(path);
    assert.deepEqual(owed.read(), []);
    const good = JSON.stringify({ ...block("192.0.2.2"), times: 1 });
    for (
      const bad of [
        "",
        "x",
        "null",
        "[]",
        "{}",
        '{"gone":"192.0.2.300","at":1}',
        '{"gone":"$(reboot)","at":1}',
        good.replace("192.0.2.2", "192.0.2.02"),
        good.replace("192.0.2.2", "0x7f.1"),
        good.replace(/"since":\d+/, '"since":"1"'),
        good.replace(/"reason":"[^"]*"/, '"reason":7'),
      ]
    ) {
      Deno.writeTextFileSync(path, `${bad}\n${good}\n`);
      assert.deepEqual(owed.read().map((one) => "block" in one && one.block.target), ["192.0.2.2"]);
    }
    return Promise.resolve();
  });
});

Deno.test("owed changes: very many are not kept after each change", async () => {
  await withDatabase((path) => {
    const owed = new OwedChanges(path);
    const pending = new PendingChanges();
    const count = () => owed.read().length;
    for (let i = 0; i < 300; i++) pending.put({ ...block(address(i)), times: 1 });
    owed.keep(pending, true, NOW);
    pending.put({ ...block("192.0.2.2"), times: 1 });
    owed.keep(pending, true, NOW + 10);
    assert.equal(count(), 300);
    owed.keep(pending, true, NOW + 1_000);
    assert.equal(count(), 301);
    pending.remove("192.0.2.2");
    owed.keep(pending, true, NOW + 1_001, true);
    assert.deepEqual(owed.read().at(-1), { gone: "192.0.2.2", at: NOW + 1_001 });
    owed.keep(pending, false, NOW + 1_002);
    assert.equal(count(), 0);
    return Promise.resolve();
  });
});
