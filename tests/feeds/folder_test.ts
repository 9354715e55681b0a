/** Each database has copies of lists of its own, and takes over those of before. */

import assert from "node:assert/strict";
import { adoptCopies, copiesFolder } from "../../src/feeds/folder.ts";

Deno.test("copies: two databases in one folder have each its own, and take over what they shared", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const [one, two] = [`${folder}/one.db`, `${folder}/two.db`];
    assert.notEqual(copiesFolder(one), copiesFolder(two));
    Deno.mkdirSync(`${folder}/feeds`);
    for (const name of ["a", "b", "c"]) Deno.writeTextFileSync(`${folder}/feeds/${name}`, name);
    adoptCopies(one, ["a", "missing"]);
    assert.equal(Deno.readTextFileSync(`${copiesFolder(one)}/a`), "a");
    assert.deepEqual([...Deno.readDirSync(`${folder}/feeds`)].map(({ name }) => name).sort(), [
      "b",
      "c",
    ]);
    // What is there already is newer.
    Deno.mkdirSync(copiesFolder(two));
    Deno.writeTextFileSync(`${copiesFolder(two)}/b`, "newer");
    adoptCopies(two, ["b", "c"]);
    assert.equal(Deno.readTextFileSync(`${copiesFolder(two)}/b`), "newer");
    assert.equal(Deno.readTextFileSync(`${copiesFolder(two)}/c`), "c");
    Deno.removeSync(`${folder}/feeds/b`);
    adoptCopies(one, []);
    assert.throws(() => Deno.statSync(`${folder}/feeds`), Deno.errors.NotFound);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
