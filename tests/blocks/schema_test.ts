/** Whose file it is, and of which version. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { migrate, MIGRATIONS } from "../../src/blocks/schema.ts";
import { BERKELEY, block, meddle, withDatabase } from "../support/database_samples.ts";
import { failure } from "../support/faulty_database.ts";

Deno.test("schema: the original's Berkeley DB is refused with the way to migrate, and stays as it is", async () => {
  await withDatabase((path, folder) => {
    Deno.copyFileSync(BERKELEY, path);
    const before = Deno.readFileSync(path);
    const { mtime } = Deno.statSync(path);
    for (const readOnly of [false, true]) {
      const error = failure(() => BlockDatabase.open(path, { readOnly }));
      assert.equal(error.fault, "foreign");
      assert.match(error.message, /Berkeley DB/);
      assert(error.message.includes(path));
      assert.match(error.advice, /ampere -l > blocks\.txt.*database.*ampere -a < blocks\.txt/s);
    }
    assert.deepEqual(Deno.readFileSync(path), before);
    assert.deepEqual(Deno.statSync(path).mtime, mtime);
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["ampere.db"]);
  });
});

Deno.test("schema: files and databases of others are refused and stay as they are", async () => {
  await withDatabase((path) => {
    const texts = ["x", "hello\n".repeat(2_000), "SQLite format 2\0".repeat(100), "SQLite forma?"];
    for (const text of texts) {
      Deno.writeTextFileSync(path, text);
      assert.equal(failure(() => BlockDatabase.open(path)).fault, "foreign", text.slice(0, 20));
      assert.equal(Deno.readTextFileSync(path), text);
    }
    for (const head of ["", "PRAGMA application_id = 7;", "PRAGMA user_version = 3;"]) {
      Deno.removeSync(path);
      meddle(path, `${head} CREATE TABLE astdb (key TEXT)`);
      const before = Deno.readFileSync(path);
      const error = failure(() => BlockDatabase.open(path));
      assert.equal(error.fault, "foreign");
      assert.match(error.message, /another program/);
      assert.deepEqual(Deno.readFileSync(path), before);
    }
  });
});

Deno.test("schema: a list of a later version is refused, an empty file and an empty database become lists", async () => {
  await withDatabase((path) => {
    BlockDatabase.open(path).close();
    meddle(path, `PRAGMA user_version = ${MIGRATIONS.length + 1}`);
    const error = failure(() => BlockDatabase.open(path));
    assert.equal(error.fault, "newer");
    assert.match(error.message, /later version/);
    Deno.writeTextFileSync(path, "");
    {
      using list = BlockDatabase.open(path, { readOnly: true });
      assert.deepEqual(list.all(), []);
      assert.equal(Deno.statSync(path).size, 0);
    }
    BlockDatabase.open(path).close();
    Deno.removeSync(path);
    meddle(path, "PRAGMA journal_mode = WAL; VACUUM");
    using list = BlockDatabase.open(path);
    assert.equal(list.add([block("192.0.2.1")]).length, 1);
  });
});

Deno.test("schema: migration goes on from the version that is there, once, and all or nothing", async () => {
  await withDatabase((path) => {
    const steps = [...MIGRATIONS, "ALTER TABLE standing ADD COLUMN note TEXT"];
    BlockDatabase.open(path).close();
    const db = new DatabaseSync(path);
    const broken = failure(() => migrate(db, path, [...steps, "CREATE TABLE block (x)"]));
    assert.match(broken.message, /block/);
    assert.equal(db.prepare("PRAGMA user_version").get()?.user_version, MIGRATIONS.length);
    migrate(db, path, steps);
    migrate(db, path, steps);
    assert.equal(db.prepare("PRAGMA user_version").get()?.user_version, steps.length);
    assert.equal(db.prepare("SELECT note FROM standing").all().length, 0);
    db.close();
    assert.equal(failure(() => BlockDatabase.open(path)).fault, "newer");
  });
});
