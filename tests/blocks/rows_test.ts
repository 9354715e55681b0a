/** Rows as they are in the file. */

import assert from "node:assert/strict";
import { TIME_MAX } from "../../src/blocks/block.ts";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { block, meddle, NOW, saveStanding, withDatabase } from "../support/database_samples.ts";

Deno.test("rows: those that are no blocks are skipped and counted, the others are read", async () => {
  await withDatabase((path) => {
    {
      using list = BlockDatabase.open(path);
      list.add([block("192.0.2.1"), block("192.0.2.2")], NOW);
      saveStanding(list, [["192.0.2.3", NOW]], 0);
    }
    const insert = (target: string, since: string, account = "'a'") =>
      `INSERT INTO block VALUES (${target}, ${since}, NULL, 'r', 's', 't', ${account}, 1);`;
    meddle(
      path,
      insert("'1.2.3.4; rm -rf /'", "1") + insert("'-j'", "1") + insert("'010.0.0.1'", "1") +
        insert("'10.0.0.1/8'", "1") + insert("'192.0.2.1' || char(10) || '192.0.2.9'", "1") +
        insert("'192.0.2.4'", "9223372036854775807", "CAST(x'31ff32' AS TEXT)") +
        insert("'192.0.2.5'", "-9223372036854775808") +
        "UPDATE block SET times = -7 WHERE target = '192.0.2.2';" +
        "INSERT INTO standing VALUES ('me', 1), ('192.0.2.8', 9223372036854775807);",
    );
    using list = BlockDatabase.open(path);
    const good = ["192.0.2.1", "192.0.2.2", "192.0.2.4", "192.0.2.5"];
    assert.deepEqual(list.all().map((b) => b.target).sort(), good);
    assert.equal(list.skipped, 5);
    assert.deepEqual(list.entries().map(({ target }) => target).sort(), good);
    assert.equal(list.skipped, 5);
    assert.equal(list.get("192.0.2.2")?.times, 1);
    assert.equal(list.get("192.0.2.4")?.since, TIME_MAX);
    assert.equal(list.get("192.0.2.4")?.account, "1\ufffd2");
    assert.equal(list.get("192.0.2.5")?.since, 0);
    assert.deepEqual([...list.standing()], [["192.0.2.3", NOW], ["192.0.2.8", TIME_MAX]]);
  });
});
