/**
 * Damaged databases.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { BlockDatabase } from "../../../src/blocks/database.ts";
import { applyWal, fileKind, readImage } from "../../../src/blocks/recovery/image.ts";
import { BARE_REASON, salvageImage } from "../../../src/blocks/recovery/salvage.ts";
import { WrittenBlockList } from "../../../src/blocks/written_block_list.ts";
import { address, block, NOW, targetsOf, withDatabase } from "../../support/database_samples.ts";
import {
  blocks,
  failure,
  Helper,
  makeDatabase,
  noise,
  openWritten,
  overwrite,
  PAGE,
  setAsideFiles,
  stored,
} from "../../support/faulty_database.ts";

Deno.test("salvage: garbage pages in the middle: set aside at the start, the rows of all other pages are saved", async () => {
  await withDatabase((path, folder) => {
    const before = makeDatabase(path, 5_000);
    const pages = Deno.statSync(path).size / PAGE;
    for (const at of [0.3, 0.5, 0.51, 0.8]) {
      overwrite(path, Math.floor(pages * at) * PAGE, noise(PAGE, at * 1_000));
    }
    const damaged = Deno.readFileSync(path);
    const { list, troubles } = openWritten(path);
    const report = list.start.salvaged;
    assert(report !== undefined);
    const rowsPerPage = Math.ceil(5_000 / (pages / 2));
    assert(report.blocks >= 5_000 - 4 * rowsPerPage, report.message);
    for (const block of before) {
      const saved = list.get(block.target);
      if (saved !== undefined && saved.reason !== BARE_REASON) assert.deepEqual(saved, block);
    }
    assert.match(
      report.message,
      /damaged.*set aside as .*\.corrupt-20231114T221320; saved from it: blocks/,
    );
    assert.equal(report.setAside, `${path}.corrupt-20231114T221320`);
    assert.deepEqual(setAsideFiles(folder), ["ampere.db.corrupt-20231114T221320"]);
    assert.deepEqual(Deno.readFileSync(report.setAside), damaged);
    assert.equal(list.standing().get("192.0.2.200"), NOW);
    assert.deepEqual([troubles, list.pending], [[], 0]);
    assert.equal(stored(path).length, report.blocks);
    list.close();
    const { list: again } = openWritten(path);
    assert.equal(again.start.salvaged, undefined);
    assert.equal(again.size, report.blocks);
    again.close();
  });
});

Deno.test("salvage: a page of rows that is lost: the index still tells the targets", async () => {
  await withDatabase((path) => {
    const before = makeDatabase(path, 2_000);
    // The last page that holds rows of eight columns: garbage.
    const image = Deno.readFileSync(path);
    let victim = 0;
    for (let page = 1; page * PAGE < image.length; page++) {
      if (image[page * PAGE] === 0x0d && (image[page * PAGE + 4] ?? 0) > 20) victim = page;
    }
    overwrite(path, victim * PAGE, noise(PAGE, 1));
    const until = NOW + 600_000;
    using list = WrittenBlockList.open(path, { now: NOW + 5, bareUntil: until });
    assert.equal(list.size, before.length);
    const bare = list.all().filter((b) => b.reason === BARE_REASON);
    assert(bare.length > 10);
    assert.equal(list.start.salvaged?.bare, bare.length);
    assert(bare.every((b) => b.until === until && b.since === NOW + 5));
  });
});

for (
  const [name, damage] of [
    ["the first page", (path: string) => overwrite(path, 16, noise(PAGE - 16, 3))],
    ["the end", (path: string, size: number) => Deno.truncateSync(path, Math.floor(size * 0.6))],
    ["the end, in a page", (path: string, size: number) => Deno.truncateSync(path, size - 100)],
    ["all but the header", (path: string) => Deno.truncateSync(path, 60)],
    ["all but ten bytes", (path: string) => Deno.truncateSync(path, 10)],
    ["the first page, now zero", (path: string) => overwrite(path, 0, new Uint8Array(PAGE))],
    [
      "the whole content, now zero",
      (path: string, size: number) => overwrite(path, 0, new Uint8Array(size)),
    ],
  ] as const
) {
  Deno.test(`salvage: ${name} is lost; the daemon starts with the rest and the file is set aside`, async () => {
    await withDatabase((path, folder) => {
      makeDatabase(path, 3_000);
      const { size } = Deno.statSync(path);
      damage(path, size);
      const damaged = Deno.readFileSync(path);
      if (fileKind(path) === "sqlite") {
        const error = failure(() => {
          using list = BlockDatabase.open(path);
          list.check();
        });
        assert.equal(error.fault, "corrupt");
        assert.match(error.advice, /daemon.*sets the damaged file aside/);
      }
      const { list } = openWritten(path);
      const salvaged = list.start.salvaged;
      assert(salvaged !== undefined);
      const kept = damaged.some((byte, at) => at > PAGE && byte !== 0);
      // A page of the 8-column table holds some 60 rows; a third of the file is the index.
      assert(
        kept ? list.size >= (name === "the end" ? 1_000 : 2_900) : list.size === 0,
        `${list.size}`,
      );
      assert.deepEqual(Deno.readFileSync(`${folder}/${setAsideFiles(folder)[0]}`), damaged);
      assert.equal(list.add([block("192.0.2.1")], NOW), true);
      assert.equal(stored(path).length, list.size);
      list.close();
    });
  });
}

for (const left of [0, 50]) {
  Deno.test(`salvage: ${left} bytes are left beside the write-ahead log: the log's state is saved`, async () => {
    await withDatabase(async (path, folder) => {
      await using daemon = new Helper();
      await daemon.ask(`open ${path}`);
      const targets = Array.from({ length: 300 }, (_, n) => address(n));
      await daemon.ask(`add ${targets.join(" ")}`);
      await daemon.ask(`remove ${targets.slice(0, 100).join(" ")}`);
      await daemon.kill();
      Deno.truncateSync(path, left);
      if (left === 0) assert.equal(failure(() => BlockDatabase.open(path)).fault, "corrupt");
      const { list } = openWritten(path);
      assert.deepEqual(targetsOf(list).sort(), targets.slice(100).sort());
      if (left === 0) {
        const [aside] = setAsideFiles(folder);
        assert(Deno.statSync(`${folder}/${aside}-wal`).size > PAGE);
      }
      list.close();
      assert.equal(stored(path).length, 200);
    });
  });
}

Deno.test("salvage: damaged while running: set aside, and written anew from memory", async () => {
  await withDatabase(async (path, folder) => {
    makeDatabase(path, 40_000); // larger than SQLite's page cache of 2 MB
    await using daemon = new Helper();
    assert.equal((await daemon.ask(`open ${path}`)).blocks, 40_000);
    const { size } = Deno.statSync(path);
    overwrite(path, 4 * PAGE, noise(size - 8 * PAGE, 7));
    // These go to many pages of the index.
    const targets = Array.from({ length: 200 }, (_, n) => `20.0.${n}.7`);
    await daemon.ask(`remove ${targets.slice(0, 100).join(" ")}`);
    await daemon.ask(`add ${targets.slice(150).join(" ")} 192.0.2.1`);
    const state = await daemon.ask("state");
    assert.deepEqual([state.size, state.pending, state.trouble], [39_944, 0, null]);
    assert.equal(state.troubles.length, 1);
    assert.match(state.troubles[0], /damaged.*set aside and written anew/);
    assert.equal(state.mends.length, 1);
    assert.equal(setAsideFiles(folder).length, 1);
    assert.equal((await daemon.ask(`stored ${path}`)).length, 39_944);
    await daemon.kill();
    using list = BlockDatabase.open(path);
    list.check();
  });
});

Deno.test("salvage: rows deleted before the damage do not come back", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 5_000);
    {
      using list = BlockDatabase.open(path);
      list.remove(blocks(4_000).map((b) => b.target));
    }
    overwrite(path, 16, noise(84, 5)); // the header: only the pages are left to read
    const salvage = salvageImage(readImage(path));
    const wrong = blocks(4_000).filter((b) => salvage.blocks.has(b.target));
    assert.deepEqual(wrong, []);
    assert.equal(salvage.blocks.size, 1_000);
  });
});

Deno.test("salvage: it takes any bytes without an error and saves the rows of all pages that are whole", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 400);
    const image = Deno.readFileSync(path);
    const pages = image.length / PAGE;
    const rowsOf = Array.from({ length: pages }, (_, page) => {
      const alone = new Uint8Array(image.length);
      alone.set(image.subarray(page * PAGE, (page + 1) * PAGE), page * PAGE);
      return [...salvageImage(alone).blocks.values()];
    });
    assert.equal(rowsOf.flat().length, 400);
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            at: fc.oneof(fc.nat(image.length - 1), fc.nat(99)),
            bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
          }),
          { minLength: 1, maxLength: 20 },
        ),
        (wounds) => {
          const copy = image.slice();
          for (const { at, bytes } of wounds) copy.set(bytes.subarray(0, copy.length - at), at);
          const { blocks } = salvageImage(copy);
          for (let page = 0; page < pages; page++) {
            const [start, end] = [page * PAGE, (page + 1) * PAGE];
            if (wounds.some(({ at, bytes }) => at < end && at + bytes.length > start)) continue;
            for (const { target } of rowsOf[page] ?? []) assert(blocks.has(target), target);
          }
        },
      ),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 20_000 }),
        fc.uint8Array({ maxLength: 20_000 }),
        (main, wal) => {
          salvageImage(applyWal(Uint8Array.from(main), wal));
        },
      ),
      { numRuns: 200 },
    );
  });
});
