/** Tables that are made when they are first written. */

import assert from "node:assert/strict";
import { readList } from "../../src/blocks/late_table.ts";

Deno.test("late table: of a column only a list is read, and none that is too long", () => {
  assert.deepEqual(readList("[1, [2]]", 8), [1, [2]]);
  for (const text of ["[1, [2]] ", "{}", "1", "[", "", 5, null, undefined]) {
    assert.equal(readList(text, 8), undefined, String(text));
  }
});
