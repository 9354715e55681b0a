import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { SLOW_ROWS_MAX, type SlowRow } from "../../src/blocks/slow_rows.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";

const ROW: SlowRow = {
  host: "203.0.113.5",
  failures: 4,
  kind: 0,
  several: true,
  first: 1_000,
  last: 2_000,
};

function withFile(run: (path: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    run(`${folder}/ampere.db`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("slow rows: what is written is read again, changed, and taken away", () => {
  withFile((path) => {
    using list = BlockDatabase.open(path);
    assert.deepEqual(list.slow.all(), [], "there is no table before it is needed");
    const network: SlowRow = { ...ROW, host: "2001:db8:5:6::/64", kind: 1, several: false };
    list.slow.save([[ROW.host, ROW], [network.host, network]]);
    assert.deepEqual(list.slow.all(), [ROW, network]);
    list.slow.save([[ROW.host, { ...ROW, failures: 5 }], [network.host, undefined]]);
    assert.deepEqual(list.slow.all(), [{ ...ROW, failures: 5 }]);
  });
});

Deno.test("slow rows: a version that does not know them opens the file as before", () => {
  withFile((path) => {
    using list = BlockDatabase.open(path);
    const version = () => {
      using db = new DatabaseSync(path);
      return db.prepare("PRAGMA user_version").get()?.user_version;
    };
    const before = version();
    list.slow.save([[ROW.host, ROW]]);
    assert.equal(version(), before);
  });
});

Deno.test("slow rows: what makes no sense is left out", () => {
  withFile((path) => {
    using list = BlockDatabase.open(path);
    list.slow.save([[ROW.host, ROW]]);
    using db = new DatabaseSync(path);
    db.exec("INSERT INTO slow SELECT 'no host', 1, 0, 0, 1, 1");
    db.exec("INSERT INTO slow SELECT '203.0.113.6', 1, 7, 0, 1, 1");
    db.exec("INSERT INTO slow SELECT '203.0.113.8', 9e15, 1, 0, 1, 1");
    db.exec("INSERT INTO slow SELECT '203.0.113.7', -9, 2, 0, 1, 1");
    assert.deepEqual(list.slow.all().map(({ host, failures }) => [host, failures]), [
      [ROW.host, 4],
      ["203.0.113.8", 1_000_000],
      ["203.0.113.7", 0],
    ]);
  });
});

Deno.test("slow rows: the oldest go first", () => {
  withFile((path) => {
    using list = BlockDatabase.open(path);
    list.slow.save([]);
    list.slow.save([[ROW.host, ROW]]);
    using db = new DatabaseSync(path);
    db.exec(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${SLOW_ROWS_MAX})
      INSERT INTO slow SELECT 'host ' || i, 1, 0, 0, 1, 5000 FROM n`,
    );
    list.slow.save([["203.0.113.9", { ...ROW, host: "203.0.113.9", last: 9_000 }]]);
    assert.deepEqual(list.slow.all().map(({ host }) => host), ["203.0.113.9"]);
    const rows = db.prepare("SELECT count(*) AS rows FROM slow").get()?.rows;
    assert.equal(rows, SLOW_ROWS_MAX);
  });
});

Deno.test("slow rows: who deletes the block of a host takes its row away too", () => {
  withFile((path) => {
    using list = BlockDatabase.open(path);
    list.slow.save([[ROW.host, ROW]]);
    assert.deepEqual(list.slow.of(ROW.host), ROW);
    list.remove([ROW.host]);
    assert.equal(list.slow.of(ROW.host), undefined);
  });
});

Deno.test("slow rows: the daemon's list writes them, and says when it cannot", () => {
  withFile((path) => {
    {
      using list = WrittenBlockList.open(path, { now: 0 });
      using other = new DatabaseSync(path);
      other.exec("BEGIN IMMEDIATE");
      assert.equal(list.saveSlow([[ROW.host, ROW]], 0), false);
      other.exec("ROLLBACK");
      assert.equal(list.retry(10_000), true);
      assert.equal(list.saveSlow([[ROW.host, ROW]], 10_000), true);
    }
    using list = WrittenBlockList.open(path, { now: 0 });
    assert.deepEqual(list.slow(), [ROW]);
  });
});
