/** The image of a database: its file, and its write-ahead log. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../../src/blocks/database.ts";
import { applyWal, readImage } from "../../../src/blocks/recovery/image.ts";
import { salvageImage } from "../../../src/blocks/recovery/salvage.ts";
import { NOW, targetsOf, withDatabase } from "../../support/database_samples.ts";
import { blocks } from "../../support/faulty_database.ts";

Deno.test("image: that of a database with its log is what SQLite reads", async () => {
  await withDatabase((path) => {
    const list = BlockDatabase.open(path);
    list.add(blocks(800), NOW);
    list.remove(blocks(100).map((b) => b.target));
    const copy = `${path}.copy`;
    for (const part of ["", "-wal"]) Deno.copyFileSync(path + part, copy + part);
    const salvage = salvageImage(readImage(copy));
    assert.deepEqual([...salvage.blocks.keys()].sort(), targetsOf(list).sort());
    assert.deepEqual(salvage.bare, []);
    // A torn last frame counts for nothing, as for SQLite.
    const wal = Deno.readFileSync(`${copy}-wal`);
    const torn = salvageImage(applyWal(Deno.readFileSync(copy), wal.subarray(0, wal.length - 1)));
    Deno.truncateSync(`${copy}-wal`, wal.length - 1);
    using sqlite = BlockDatabase.open(copy);
    assert.deepEqual([...torn.blocks.keys()].sort(), targetsOf(sqlite).sort());
    list.close();
  });
});
