import assert from "node:assert/strict";
import fc from "fast-check";
import type { ChildStarter } from "../../../src/firewall/child.ts";
import { readMonitorLine, Resident } from "../../../src/firewall/nftables/resident.ts";
import { FakeClock } from "../../support/fake_clock.ts";

type ChildHandlers = Parameters<ChildStarter>[2];

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

/** A pair whose monitor tells of each mark at once; what its feeder says is said by the test. */
async function pair() {
  const clock = new FakeClock();
  const feeders: ChildHandlers[] = [];
  const told: string[] = [];
  let tell = (_text: string) => {};
  const start: ChildStarter = (_program, args, handlers) => {
    if (args[0] === "-j") tell = (text) => handlers.onOutput!(text);
    else feeders.push(handlers);
    return {
      write(text) {
        for (const [, mark] of text.matchAll(/add element inet ampere marks \{ (\d+) /g)) {
          const elem = { set: [{ elem: { val: Number(mark), timeout: 2, expires: 2 } }] };
          const added = line("add", "element", { table: "ampere", name: "marks", elem });
          queueMicrotask(() => tell(`${added}\n`));
        }
      },
      kill() {},
      gone: Promise.resolve(),
    };
  };
  const ready = Promise.withResolvers<void>();
  const resident = new Resident({
    name: "ampere",
    start,
    clock,
    answerMs: () => 0,
    onReady: () => ready.resolve(),
    onForeign: () => void told.push("others have changed the table"),
    onEnd: (why) => void told.push(why),
  });
  await ready.promise;
  return { clock, feeders, told, resident };
}

Deno.test("resident: a message that comes in pieces is read as a whole", async () => {
  const { feeders, told, resident } = await pair();
  feeders[0]!.onMessage("Error:");
  assert.deepEqual(told, []);
  feeders[0]!.onMessage(" No such file or directory\nflush set inet ampere farewell_none\n");
  assert.deepEqual([feeders.length, told], [2, ["others have changed the table"]]);
  assert.ok(resident.isReady);
  feeders[1]!.onMessage("Error: syntax error, unexpected end of file\n");
  assert.deepEqual(told.slice(1), ['it says: "Error: syntax error, unexpected end of file"']);
});

Deno.test("resident: a message that is never whole ends the pair all the same", async () => {
  const { clock, feeders, told, resident } = await pair();
  feeders[0]!.onMessage("Segmentation ");
  feeders[0]!.onMessage("fault");
  await clock.advance(99);
  assert.deepEqual(told, []);
  await clock.advance(1);
  assert.deepEqual([told, resident.isReady], [['it says: "Segmentation fault"'], false]);
});

Deno.test("resident: each message has its own time to become whole", async () => {
  const { clock, feeders, told, resident } = await pair();
  feeders[0]!.onMessage("Error: No such");
  await clock.advance(60);
  feeders[0]!.onMessage(" file or directory\n");
  feeders[1]!.onMessage("Error:");
  await clock.advance(60);
  feeders[1]!.onMessage(" No such file or directory\n");
  assert.deepEqual([feeders.length, resident.isReady], [3, true]);
  assert.deepEqual(new Set(told), new Set(["others have changed the table"]));
});
