/** What goes wrong with a file, and what is said of it. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { withDatabase } from "../support/database_samples.ts";
import { failure } from "../support/faulty_database.ts";

Deno.test("fault: a missing folder, a missing file, a folder as file: said with the path and the mend", async () => {
  await withDatabase((path, folder) => {
    const nowhere = failure(() => BlockDatabase.open(`${folder}/none/ampere.db`));
    assert.equal(nowhere.fault, "missing");
    assert(nowhere.message.includes(`${folder}/none`));
    assert.match(nowhere.advice, /mkdir -p/);
    const absent = failure(() => BlockDatabase.open(path, { readOnly: true }));
    assert.equal(absent.fault, "missing");
    assert.match(absent.message, /no such file/);
    const directory = failure(() => BlockDatabase.open(folder));
    assert.equal(directory.fault, "denied");
    assert.match(directory.message, /a folder, not a file/);
    Deno.writeTextFileSync(path, "");
    const below = failure(() => BlockDatabase.open(`${path}/ampere.db`));
    assert.equal(below.fault, "missing");
    assert.match(below.message, /is not a folder/);
  });
});

Deno.test("fault: a program built without the right to touch the path says so", async () => {
  await withDatabase(async (path, folder) => {
    const program = `import { BlockDatabase } from "${new URL(
      "../../src/blocks/database.ts",
      import.meta.url,
    )}";
      try { BlockDatabase.open("${path}"); console.log("opened"); }
      catch (error) { console.log(error.name, error.fault, error.message, error.advice); }`;
    for (const rights of [[], [`--allow-read=${folder}`]]) {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          ...rights,
          "--ext=ts",
          "data:application/typescript," + encodeURIComponent(program),
        ],
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert.match(
        text,
        /^BlockDatabaseError denied .*built without the right.*deno task compile -- --allow-path=/s,
      );
      assert(text.includes(path));
    }
  });
});
