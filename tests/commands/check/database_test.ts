/** What `--check` finds of the database. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../../src/blocks/database.ts";
import { lockDatabase } from "../../../src/blocks/lock.ts";
import { checkDatabase } from "../../../src/commands/check/database.ts";
import { DEFAULT_CONFIG } from "../../../src/config/config.ts";

Deno.test("check database: one that is new, in use by a daemon, in no folder, of another program", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/ampere.db`;
  const at = (database: string) => checkDatabase({ ...DEFAULT_CONFIG, database });
  try {
    assert.match(at(path).message, /will be made at the first start/);
    assert.deepEqual([...Deno.readDirSync(folder)], [], "nothing is left behind");

    const list = BlockDatabase.open(path);
    using _lock = lockDatabase(path);
    list.add([{
      target: "203.0.113.5",
      since: 0,
      until: undefined,
      reason: "",
      service: "",
      transport: "",
      account: "",
    }]);
    const before = list.dataVersion();
    const finding = at(path);
    assert.equal(finding.level, "ok");
    assert.match(finding.message, /holds 1 block and can be written/);
    assert.equal(list.dataVersion(), before, "nothing was written");
    list.remove(["203.0.113.5"]);
    list.close();

    const missing = at(`${folder}/none/ampere.db`);
    assert.equal(missing.level, "problem");
    assert.match(missing.advice, /mkdir -p -m 750 .*\/none/);
    await sh(/"(mkdir .*)"/.exec(missing.advice)![1]!);
    assert.equal(at(`${folder}/none/ampere.db`).level, "ok", "the mend mends it");

    await Deno.writeTextFile(`${folder}/text`, "no database\n".repeat(100));
    assert.equal(at(`${folder}/text`).level, "problem");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function sh(command: string): Promise<void> {
  const { code } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  assert.equal(code, 0, command);
}
