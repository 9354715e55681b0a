/** Whether a file has changed: what is seen, and when. */

import assert from "node:assert/strict";
import { ChangedFile } from "../../src/config/changed_file.ts";

Deno.test("changed file: it is told when the file has rested, once for each change", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/file`;
  try {
    const file = new ChangedFile(path);
    assert.equal(file.hasChanged(), false, "it is not there, as before");
    await Deno.writeTextFile(path, "one");
    assert.equal(file.hasChanged(), false, "it may still be written");
    assert.equal(file.hasChanged(), true);
    assert.equal(file.hasChanged(), false);
    await Deno.writeTextFile(`${path}.new`, "two");
    await Deno.rename(`${path}.new`, path);
    assert.equal(file.hasChanged(), false);
    await Deno.writeTextFile(path, "three");
    assert.equal(file.hasChanged(), false, "it was written once more");
    assert.equal(file.hasChanged(), true);
    await Deno.remove(path);
    assert.deepEqual([file.hasChanged(), file.hasChanged()], [false, true]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
