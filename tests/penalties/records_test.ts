import assert from "node:assert/strict";
import fc from "fast-check";
import { Records } from "../../src/penalties/records.ts";

Deno.test("records: each keeps its own times and numbers, whatever is made and freed, in any room", () => {
  const step = fc.tuple(fc.constantFrom("make", "free", "add"), fc.nat(), fc.integer());
  fc.assert(fc.property(fc.nat(8), fc.array(step, { maxLength: 60 }), (room, steps) => {
    const records = new Records({ times: 2, numbers: 3, room });
    const model = new Map<number, { times: number[]; numbers: number[] }>();
    for (const [what, which, value] of steps) {
      const all = [...model.keys()];
      const record = all[which % all.length];
      if (what === "make" || record === undefined) {
        const made = records.make();
        assert.ok(made > 0 && !model.has(made));
        model.set(made, { times: [0, 0], numbers: [0, 0, 0] });
      } else if (what === "free") {
        const { numbers } = model.get(record)!;
        records.free(record);
        model.delete(record);
        // All but the first number can still be read.
        assert.deepEqual([1, 2].map((field) => records.get(record, field)), numbers.slice(1));
      } else {
        const { times, numbers } = model.get(record)!;
        const field = which % 3;
        const sum = (numbers[field]! + value) | 0;
        assert.equal(records.add(record, field, value), numbers[field]! + value);
        numbers[field] = sum;
        records.setTime(record, which % 2, times[which % 2] = value / 4);
      }
      for (const [number, { times, numbers }] of model) {
        assert.deepEqual([0, 1].map((field) => records.time(number, field)), times);
        assert.deepEqual([0, 1, 2].map((field) => records.get(number, field)), numbers);
      }
    }
  }));
});
