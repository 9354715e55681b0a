import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { DELETION_AGE_MAX_MS } from "../../src/blocks/deletions.ts";

Deno.test("deletions: what is kept is read again, the oldest first, by whichever clock", async () => {
  const folder = await Deno.makeTempDir({ prefix: "ampere-deletions-" });
  try {
    const path = `${folder}/ampere.db`;
    const now = DELETION_AGE_MAX_MS + 1_000;
    const list = BlockDatabase.open(path);
    list.deletions.save([["192.0.2.1", now, true], ["192.0.2.2", now - 1], ["192.0.2.3", 1]], now);
    assert.deepEqual(list.deletions.all(), [["192.0.2.2", now - 1], ["192.0.2.1", now, true]]);
    // The fleet's clock takes the place of this machine's, and time ends both.
    list.deletions.save([["192.0.2.1", now - 2]], now);
    assert.deepEqual(list.deletions.all(), [["192.0.2.1", now - 2], ["192.0.2.2", now - 1]]);
    list.deletions.save([["192.0.2.4", 2, true]], now);
    assert.equal(list.deletions.all().length, 2);
    list.close();
    // Whoever wrote there may have written anything.
    using other = new DatabaseSync(path);
    other.exec("INSERT INTO deletions VALUES ('nobody', 5), ('192.0.2.9', -9007199254740991)");
    const again = BlockDatabase.open(path);
    const [target, at, isByOwnClock] = again.deletions.all().at(-1)!;
    assert.deepEqual([target, Number.isNaN(new Date(at).getTime()), isByOwnClock], [
      "192.0.2.9",
      false,
      true,
    ]);
    again.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
