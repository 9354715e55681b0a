import assert from "node:assert/strict";
import fc from "fast-check";
import { readMonitorLine } from "../../../src/firewall/nftables/resident.ts";

const line = (verb: string, kind: string, object: Record<string, unknown>) =>
  JSON.stringify({ [verb]: { [kind]: { family: "inet", ...object } } });

const whatOf = (text: string) => readMonitorLine(text, "ampere")?.what;

Deno.test("monitor: a mark is known in both forms that nft writes", () => {
  const marks = (element: unknown) => ({
    table: "ampere",
    name: "marks",
    elem: { set: [element] },
  });
  const timed = { elem: { val: 7, timeout: 2, expires: 2 } };
  const mark = { what: "mark", mark: 7 };
  assert.deepEqual(readMonitorLine(line("add", "element", marks(timed)), "ampere"), mark);
  assert.deepEqual(readMonitorLine(line("add", "element", marks(7)), "ampere"), mark);
  assert.equal(whatOf(line("delete", "element", marks(7))), "other");
});

Deno.test("monitor: only what happens in the own table matters", () => {
  const table = { name: "ampere", handle: 1 };
  assert.equal(whatOf(line("delete", "table", table)), "gone");
  assert.equal(whatOf(line("add", "table", table)), "changed");
  assert.equal(readMonitorLine(line("delete", "table", table), "other")?.what, "other");
  const hosts = { table: "ampere", name: "hosts4", elem: { set: ["192.0.2.1"] } };
  const taken = { what: "taken", set: "hosts4", key: "192.0.2.1" };
  assert.deepEqual(readMonitorLine(line("delete", "element", hosts), "ampere"), taken);
  assert.equal(whatOf(line("add", "element", hosts)), "changed");
  assert.equal(whatOf(line("delete", "element", { ...hosts, family: "ip" })), "other");
  // A chain of somebody else may bear the name.
  const chain = { table: "filter", name: "ampere" };
  assert.equal(whatOf(line("add", "chain", chain)), "other");
  assert.equal(whatOf(""), "other");
  // nft 0.9.8 tells of each transaction.
  assert.equal(whatOf("# new generation 3 by process 24776 (nft)"), "other");
});

Deno.test("monitor: what a monitor does not write is not believed", () => {
  for (
    const text of [
      "# ERROR: We lost some netlink events!",
      '{"add": {"element": {"table": "ampere"',
      '{"add": "ampere"',
      '{"ampere" }',
      "nft> ",
    ]
  ) assert.equal(readMonitorLine(text, "ampere"), undefined, text);
  for (const text of ['{"add": "ampere"}', '{"ampere": null}', '{"add": {"ampere": 1}}']) {
    assert.equal(whatOf(text), "other", text);
  }
});

Deno.test("monitor: no line makes it stumble, and no foreign one is taken for a mark", () => {
  fc.assert(
    fc.property(
      fc.json(),
      fc.string(),
      fc.constantFrom("", "ampere", "marks"),
      (json, text, word) => {
        for (const made of [json, text, `{"${word}": ${json}}`, `{"add": {"element": ${json}}}`]) {
          assert.notEqual(whatOf(made), "mark", made);
        }
      },
    ),
  );
});
