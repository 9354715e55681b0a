import assert from "node:assert/strict";
import fc from "fast-check";
import { RecordList } from "../../src/penalties/record_list.ts";
import { Records } from "../../src/penalties/records.ts";

Deno.test("record list: each of two lists keeps its order, whatever goes from one to the other", () => {
  const step = fc.tuple(fc.constantFrom("append", "remove", "move"), fc.nat(1), fc.nat());
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const records = new Records({ times: 0, numbers: 3, room: 4 });
    const lists = [0, 1].map(() => new RecordList(records, 1, 2));
    const models: number[][] = [[], []];
    for (const [what, which, place] of steps) {
      const [list, model] = [lists[which]!, models[which]!];
      if (what === "append") {
        const made = records.make();
        list.append(made);
        model.push(made);
      } else if (model.length > 0) {
        const [record] = model.splice(place % model.length, 1);
        list.remove(record!);
        if (what === "remove") records.free(record!);
        else {
          lists[1 - which]!.append(record!);
          models[1 - which]!.push(record!);
        }
      }
      for (const [i, model] of models.entries()) {
        assert.deepEqual(inOrder(lists[i]!), model);
        assert.equal(lists[i]!.newest, model.at(-1) ?? 0);
      }
    }
  }));
});

function inOrder(list: RecordList): number[] {
  const order: number[] = [];
  for (let at = list.oldest; at !== 0; at = list.after(at)) order.push(at);
  return order;
}
