/** Bytes that are not taken at once. */

import assert from "node:assert/strict";
import { writeAll } from "../../src/text/write_all.ts";

Deno.test("write all: nothing is left out, and nothing is written twice", async () => {
  const taken: number[] = [];
  const write = (bytes: Uint8Array) => {
    const some = bytes.subarray(0, 3);
    taken.push(...some);
    return Promise.resolve(some.length);
  };
  const bytes = Uint8Array.from({ length: 10 }, (_, i) => i);
  await writeAll({ write }, bytes);
  assert.deepEqual(taken, [...bytes]);
  await writeAll({ write: () => Promise.reject(new Error("nothing to write")) }, new Uint8Array());
  await assert.rejects(
    writeAll({ write: () => Promise.reject(new Error("it has gone")) }, bytes),
    /it has gone/,
  );
});
