import assert from "node:assert/strict";
import { birthOf } from "../src/block_list/birth.ts";

Deno.test("birth: a file is as old as it is, whatever is written into it later", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/ampere.db`;
    assert.equal(birthOf(path), undefined, "there is none");
    const before = Date.now();
    Deno.writeTextFileSync(path, "x");
    const born = birthOf(path);
    // The kernel stamps files with the time of its last tick, 10 ms ago at most (CONFIG_HZ=100).
    assert.ok(born !== undefined && born >= before - 20 && born <= Date.now());
    Deno.utimeSync(path, 0, 0);
    Deno.writeTextFileSync(path, "y", { append: true });
    assert.equal(birthOf(path), born);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
