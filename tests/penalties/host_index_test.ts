import assert from "node:assert/strict";
import fc from "fast-check";
import { HostIndex } from "../../src/penalties/host_index.ts";
import type { HostKey } from "../../src/penalties/host_key.ts";

Deno.test("host index: it says what a Map would say, whatever comes and goes", () => {
  // Few hosts, so that they come again; IPv4 addresses of all sizes, the smallest and the greatest
  // number too.
  const host = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: -300, max: 300 }) },
    { weight: 1, arbitrary: fc.constantFrom(-0x80000000, 0x7fffffff) },
    { weight: 1, arbitrary: fc.constantFrom("2001:db8::5", "2001:db8:1::/64") },
  );
  const step = fc.tuple(fc.constantFrom("set", "set", "delete"), host, fc.integer({ min: 1 }));
  fc.assert(fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
    const index = new HostIndex();
    const model = new Map<HostKey, number>();
    for (const [what, key, record] of steps) {
      if (what === "set") {
        index.set(key, record);
        model.set(key, record);
      } else {
        index.delete(key);
        model.delete(key);
      }
      assert.equal(index.get(key), model.get(key) ?? 0);
    }
    agree(index, model);
  }));
});

Deno.test("host index: it grows, and a flood that comes and goes leaves nothing behind", () => {
  const index = new HostIndex();
  const model = new Map<HostKey, number>();
  const address = (i: number) => Math.imul(i, 0x9e3779b1);
  for (let i = 1; i <= 40_000; i++) {
    index.set(address(i), i);
    model.set(address(i), i);
    // From here on as many come as go, many of them moved to other places by those that went.
    if (i <= 5_000) continue;
    index.delete(address(i - 5_000));
    model.delete(address(i - 5_000));
  }
  agree(index, model);
  for (const key of model.keys()) index.delete(key);
  assert.deepEqual([index.size, [...index.values()]], [0, []]);
});

function agree(index: HostIndex, model: ReadonlyMap<HostKey, number>): void {
  assert.equal(index.size, model.size);
  for (const [key, record] of model) assert.equal(index.get(key), record);
  assert.deepEqual(new Map(index.entries()), model);
  assert.deepEqual([...index.values()].sort(), [...model.values()].sort());
}
