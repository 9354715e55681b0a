/** Small lists in files: what is read of them again. */

import assert from "node:assert/strict";
import { readKeptList, writeKeptList } from "../../src/daemon/kept_list.ts";

const isText = (value: unknown): value is string => typeof value === "string";

Deno.test("kept list: what was written is read, and of anything else nothing", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/list`;
  try {
    assert.deepEqual(readKeptList(path, 100, isText), []);
    writeKeptList(path, ["a", "b"]);
    writeKeptList(path, ["a", 5, null, "c"]);
    assert.deepEqual(readKeptList(path, 100, isText), ["a", "c"]);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["list"]);
    assert.deepEqual(readKeptList(path, 5, isText), [], "it is too long");
    for (const text of ['{"a": 1}', "[", ""]) {
      Deno.writeTextFileSync(path, text);
      assert.deepEqual(readKeptList(path, 100, isText), [], text);
    }
    assert.deepEqual(readKeptList(folder, 1_000_000, isText), []);
    assert.throws(() => writeKeptList(`${folder}/none/list`, []), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
