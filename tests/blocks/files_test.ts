import assert from "node:assert/strict";
import { databaseIdentityOf, identityOf, incarnationOf } from "../../src/blocks/files.ts";
import { withDatabase } from "../support/database_samples.ts";

Deno.test("files: a file is the same by any name and with any content, another one is not", async () => {
  await withDatabase((path) => {
    assert.equal(identityOf(path), undefined);
    Deno.writeTextFileSync(path, "a");
    const first = identityOf(path);
    Deno.linkSync(path, `${path}.link`);
    Deno.writeTextFileSync(path, "other text");
    assert.ok(first !== undefined);
    assert.deepEqual([identityOf(path), identityOf(`${path}.link`)], [first, first]);
    Deno.writeTextFileSync(`${path}.new`, "a");
    Deno.renameSync(`${path}.new`, path);
    assert.notEqual(identityOf(path), first);
    assert.equal(identityOf(`${path}.link`), first);
  });
});

Deno.test("files: files of two devices are two, though their numbers may be equal", () => {
  const [dev, device] = ["/proc", "/sys"].map((path) => identityOf(path)?.split(":")[0]);
  assert.ok(dev !== undefined && device !== undefined);
  assert.notEqual(dev, device);
});

Deno.test("files: a database is its file and its log; a log alone is none", async () => {
  await withDatabase((path) => {
    Deno.writeTextFileSync(`${path}-wal`, "");
    assert.equal(databaseIdentityOf(path), undefined);
    Deno.writeTextFileSync(path, "");
    const both = databaseIdentityOf(path);
    assert.deepEqual(both, { database: identityOf(path), log: identityOf(`${path}-wal`) });
    assert.notEqual(both?.database, both?.log);
    Deno.removeSync(`${path}-wal`);
    assert.deepEqual(databaseIdentityOf(path), { database: both?.database, log: undefined });
  });
});

Deno.test("files: what cannot be looked at is not taken for missing", async () => {
  await withDatabase((path) => {
    Deno.writeTextFileSync(path, "");
    // Longer than a name may be.
    const unseen = `${path}${"x".repeat(300)}`;
    assert.throws(() => identityOf(unseen));
    assert.throws(() => databaseIdentityOf(unseen));
    assert.equal(incarnationOf(unseen), undefined);
  });
});

Deno.test("files: a file that is made anew is another one, also if it gets the number of the old", async () => {
  await withDatabase((path) => {
    const seen = new Set<string>();
    for (let n = 0; n < 10; n++) {
      Deno.writeTextFileSync(path, "a");
      const incarnation = incarnationOf(path);
      if (incarnation === undefined) return; // Not every file system knows when a file was made.
      // The time of its making is told in milliseconds, and the kernel's clock has few of them.
      for (const now = Date.now(); Date.now() < now + 12;);
      Deno.writeTextFileSync(path, "other text");
      assert.equal(incarnationOf(path), incarnation);
      assert.equal(seen.has(incarnation), false);
      seen.add(incarnation);
      Deno.removeSync(path);
      assert.equal(incarnationOf(path), undefined);
    }
  });
});
