import assert from "node:assert/strict";
import { forgetOldest } from "../../src/penalties/bounded_map.ts";

Deno.test("bounded map: the oldest goes, one at a time, and only when there are too many", () => {
  const map = new Map([["a", 1], ["b", 2], ["c", 3]]);
  forgetOldest(map, 3);
  assert.equal(map.size, 3);
  forgetOldest(map, 1);
  assert.deepEqual([...map.keys()], ["b", "c"]);
  // Added again, an entry is the newest.
  map.delete("b");
  map.set("b", 4);
  forgetOldest(map, 1);
  assert.deepEqual([...map.keys()], ["b"]);
});
