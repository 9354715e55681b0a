/** Databases that are set aside. */

import assert from "node:assert/strict";
import { SET_ASIDE_MAX, setAside } from "../../../src/blocks/recovery/set_aside.ts";
import { NOW, withDatabase } from "../../support/database_samples.ts";
import { setAsideFiles } from "../../support/faulty_database.ts";

Deno.test("set aside: names do not clash, the oldest are deleted", async () => {
  await withDatabase((path, folder) => {
    assert.equal(setAside(path, NOW), undefined);
    const places = new Set<string | undefined>();
    for (let n = 0; n < SET_ASIDE_MAX + 3; n++) {
      Deno.writeTextFileSync(path, `${n}`);
      Deno.writeTextFileSync(`${path}-wal`, `${n}`);
      places.add(setAside(path, NOW + 1_000 * Math.floor(n / 2)));
    }
    assert.equal(places.size, SET_ASIDE_MAX + 3);
    const left = setAsideFiles(folder);
    assert.equal(left.length, SET_ASIDE_MAX);
    assert.equal([...Deno.readDirSync(folder)].length, 2 * SET_ASIDE_MAX);
    assert.equal(Deno.readTextFileSync(`${folder}/${left.at(-1)}`), `${SET_ASIDE_MAX + 2}`);
  });
});
