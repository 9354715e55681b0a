import assert from "node:assert/strict";
import type { Deletion } from "../../src/blocks/deletions.ts";
import type { SharedBlock, SharedChange } from "../../src/fleet/engine.ts";
import { OUTBOX_MAX } from "../../src/fleet/outbox.ts";
import { Replica } from "../../src/fleet/replica.ts";
import { entryOf, readEntry, readRecord, valueOf } from "../../src/fleet/fields.ts";

function blockOf(parts: Partial<SharedBlock> = {}): SharedBlock {
  return {
    node: "pbx2",
    target: "192.0.2.1",
    at: 10,
    since: 10,
    end: Infinity,
    reason: "r",
    service: "PJSIP",
    transport: "UDP",
    account: "100",
    ...parts,
  };
}

/** A node with a list in memory. */
function nodeWith(maxPerHour = 1_000_000, deletions: readonly Deletion[] = []) {
  const list = new Map<string, SharedBlock>();
  const replica = new Replica({
    node: "pbx1",
    maxPerHour,
    deletions,
    list: {
      endOf: (target) => list.get(target)?.end ?? 0,
      sinceOf: (target) => list.get(target)?.since ?? 0,
      refusalOf: () => undefined,
      block: (blocks) => {
        for (const block of blocks) list.set(block.target, block);
      },
      release: (targets) => {
        for (const target of targets) list.delete(target);
      },
    },
  });
  return { list, replica };
}

/** Compares with a whole state, all turns at once. */
function takeState(
  replica: Replica,
  state: readonly SharedChange[],
  now: number,
  listed: readonly Omit<SharedBlock, "at">[] = [],
): void {
  for (const _turn of replica.comparing(state, listed, now));
}

/** All that waits for the engine. */
function waiting(replica: Replica): SharedChange[] {
  const changes = replica.outbox.next();
  replica.outbox.written();
  return changes;
}

Deno.test("replica: the same facts in whatever order, and twice, lead to the same blocks", () => {
  const facts: SharedChange[] = [
    { kind: "block", block: blockOf({ at: 1, end: 1_000 }) },
    { kind: "block", block: blockOf({ at: 5, end: 500 }) },
    { kind: "block", block: blockOf({ node: "pbx3", at: 4, end: 900 }) },
    { kind: "block", block: blockOf({ node: "pbx3", at: 2, end: 2_000 }) },
    { kind: "release", target: "192.0.2.1", at: 3, node: "pbx3" },
  ];
  const seen = new Set<string>();
  const permute = (left: readonly SharedChange[], taken: readonly SharedChange[]): void => {
    if (left.length === 0) {
      const { replica } = nodeWith();
      replica.hear([...taken, ...taken], 100);
      seen.add(JSON.stringify([...replica.inForce(100)]));
    }
    left.forEach((one, i) => permute([...left.slice(0, i), ...left.slice(i + 1)], [...taken, one]));
  };
  permute(facts, []);
  assert.deepEqual([...seen], ['[["192.0.2.1",900]]']);
});

Deno.test("replica: an old deletion that is heard after a start releases nothing newer", () => {
  const { list, replica } = nodeWith();
  list.set("192.0.2.1", blockOf({ node: "pbx1", since: 50 }));
  replica.hear([{ kind: "release", target: "192.0.2.1", at: 20, node: "" }], 100);
  assert.equal(list.size, 1);
  replica.hear([{ kind: "release", target: "192.0.2.1", at: 60, node: "" }], 100);
  assert.equal(list.size, 0);
});

Deno.test("replica: what comes from the future is refused, and told", () => {
  const { list, replica } = nodeWith();
  replica.hear([
    { kind: "block", block: blockOf({ at: 1_000_000_000 }) },
    { kind: "release", target: "192.0.2.1", at: 1_000_000_000, node: "pbx2" },
  ], 100);
  assert.equal(list.size, 0);
  assert.deepEqual(replica.refusals, { clock: 1 });
  replica.hear([{ kind: "block", block: blockOf() }], 100);
  assert.equal(list.size, 1);
});

Deno.test("replica: a full outbox leaves out what ends soonest, and no deletion", () => {
  const { replica } = nodeWith();
  replica.released(["198.51.100.1"], 1);
  for (let index = 0; index <= OUTBOX_MAX; index++) {
    const target = `10.${index >> 16}.${index >> 8 & 255}.${index & 255}`;
    replica.blocked(blockOf({ target, end: 1_000 + index }), 2);
  }
  assert.ok(replica.outbox.size <= OUTBOX_MAX && replica.outbox.dropped > 0 && replica.needsState);
  const first = replica.outbox.next()[0]!;
  assert.equal(first.kind, "release");
  const second = replica.outbox.next()[0]!;
  assert.ok(second.kind === "block" && second.block.end > 1_000);
});

Deno.test("replica: a restart makes no record older or younger than its nodes have made it", () => {
  const { replica } = nodeWith();
  // The list knows when a block began by its node's clock; the record was made a little later.
  const own = blockOf({ node: "pbx1", since: 10, at: 15 });
  const theirs = blockOf({ target: "192.0.2.2", since: 25, at: 20 });
  const state = [own, theirs].map((block) => ({ kind: "block" as const, block }));
  takeState(replica, state, 100, [own, theirs]);
  assert.deepEqual(waiting(replica), []);
  replica.hear([{ kind: "release", target: "192.0.2.1", at: 12, node: "pbx3" }], 100);
  replica.hear([{ kind: "release", target: "192.0.2.2", at: 22, node: "pbx3" }], 100);
  assert.deepEqual([...replica.inForce(100)], [["192.0.2.1", Infinity]]);
});

Deno.test("replica: another's record that is older in the engine is put right there", () => {
  const { replica } = nodeWith();
  const newer = blockOf({ at: 15 });
  replica.hear([{ kind: "block", block: newer }], 100);
  takeState(replica, [{ kind: "block", block: blockOf({ at: 10 }) }], 100);
  assert.deepEqual(waiting(replica), [{ kind: "block", block: newer }]);
  takeState(replica, [], 100);
  assert.deepEqual(waiting(replica), [{ kind: "block", block: newer, restores: true }]);
});

Deno.test("replica: what is listed after a restart is newer than what was deleted before it", () => {
  const { list, replica } = nodeWith(1_000_000, [["192.0.2.1", 40]]);
  // Blocked anew when the node's clock, or what it thought of the engine's, was behind.
  const own = blockOf({ node: "pbx1", since: 30 });
  list.set("192.0.2.1", own);
  takeState(replica, [{ kind: "release", target: "192.0.2.1", at: 40, node: "" }], 100, [own]);
  assert.equal(list.size, 1);
  assert.deepEqual(waiting(replica), [{ kind: "block", block: { ...own, at: 41 } }]);
});

Deno.test("replica: what was deleted without a daemon ends its block, whatever the clock was", () => {
  const old = blockOf({ node: "pbx1", at: 50 });
  const newer = blockOf({ at: 200 });
  const state = [old, newer].map((block) => ({ kind: "block" as const, block }));
  // Deleted at 60 of the fleet, by a clock that was and is 30 behind; one that was 30 ahead; one
  // that was 30 ahead and is right; by none.
  for (const [stamp, ahead] of [[30, -30], [90, 30], [90, 0], [60, 0]] as const) {
    const { replica } = nodeWith(1_000_000, [["192.0.2.1", stamp, true]]);
    replica.begin(100, ahead);
    takeState(replica, state, 300);
    assert.deepEqual(replica.own, 0, String(stamp));
    // What was blocked since is not ended.
    assert.equal(replica.foreign, 1);
  }
});

Deno.test("replica: a block that was sent before it was known of a longer one becomes as long", () => {
  for (const deletedAt of [undefined, 40]) {
    const { replica } = nodeWith();
    replica.blocked(blockOf({ end: 500 }), 60);
    const state: SharedChange[] = [{
      kind: "block",
      block: blockOf({ node: "pbx1", at: 30, end: 900 }),
    }];
    if (deletedAt !== undefined) {
      state.unshift({ kind: "release", target: "192.0.2.1", at: deletedAt, node: "" });
    }
    takeState(replica, state, 100);
    const end = deletedAt === undefined ? 900 : 500;
    assert.deepEqual([...replica.inForce(100)], [["192.0.2.1", end]]);
    const sent = waiting(replica).filter(({ kind }) => kind === "block");
    assert.ok(sent.length === 1 && sent[0]!.kind === "block" && sent[0]!.block.end === end);
  }
});

Deno.test("replica: what was handed out and not written waits again, but not over newer", () => {
  const { replica } = nodeWith();
  replica.blocked(blockOf({ end: 50 }), 1);
  assert.equal(replica.outbox.next().length, 1);
  replica.released(["192.0.2.1"], 2);
  replica.outbox.notWritten();
  const left = replica.outbox.next();
  assert.deepEqual(left.map(({ kind }) => kind).sort(), ["block", "release"]);
});

Deno.test("fields: what is written is read again, and nothing else is taken", () => {
  const block = blockOf({ account: 'a"\n\x1b', end: 12 });
  const changes: SharedChange[] = [
    { kind: "block", block },
    { kind: "block", block: blockOf({ target: "2001:db8::/64" }) },
    { kind: "release", target: "192.0.2.0/24", at: 3, node: "pbx2" },
    { kind: "refusal", target: "192.0.2.1", node: "a", origin: "b", why: "trusted" },
  ];
  for (const change of changes) assert.deepEqual(readEntry(entryOf(change)), change);
  const value = valueOf(block);
  for (
    const [name, text] of [
      ["pbx2 192.0.2.01", value],
      ["pbx2  192.0.2.1", value],
      ["pbx\x1b2 192.0.2.1", value],
      ["192.0.2.1", value],
      ["pbx2 192.0.2.1", "[]"],
      ["pbx2 192.0.2.1", value.replace("10", "-10")],
      ["pbx2 192.0.2.1", value.replace("10", '"10"')],
      ["pbx2 192.0.2.1", value.replace("12", "1e300")],
      ["pbx2 192.0.2.1", value + "x"],
      ["pbx2 192.0.2.1", "[".repeat(5_000)],
    ] as const
  ) {
    assert.equal(readRecord(name, text), undefined, `${name} ${text}`);
  }
});

Deno.test("replica: a flood of blocks that are refused is told of within bounds, and once", () => {
  const { replica } = nodeWith(1);
  const count = OUTBOX_MAX + 10;
  const state: SharedChange[] = [];
  for (let index = 0; index < count; index++) {
    const target = `10.${index >> 16}.${index >> 8 & 255}.${index & 255}`;
    state.push({ kind: "block", block: blockOf({ target }) });
  }
  takeState(replica, state, 100);
  const told = replica.outbox.size;
  assert.ok(told > 1_000 && told <= 10_000, String(told));
  assert.equal(replica.needsState, false);
  while (replica.outbox.next().length > 0) replica.outbox.written();
  takeState(replica, state, 200);
  assert.equal(replica.outbox.size, 0);
});

Deno.test("replica: made-up names of nodes are counted within bounds", () => {
  const { replica } = nodeWith();
  for (let index = 0; index < 1_000; index++) {
    replica.hear([{ kind: "block", block: blockOf({ node: `n${index}` }) }], 100);
  }
  assert.equal(replica.byNode().size, 256);
  assert.equal(replica.foreign, 1_000);
});
