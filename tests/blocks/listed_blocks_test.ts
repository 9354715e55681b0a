import assert from "node:assert/strict";
import type { Block } from "../../src/blocks/block.ts";
import { ListedBlocks, SINGLE_READS_MAX } from "../../src/blocks/listed_blocks.ts";
import { BARE_REASON } from "../../src/blocks/recovery/salvage.ts";
import { address, block, NOW, targetsOf } from "../support/database_samples.ts";

function known(target: string, more: Partial<Block> = {}): Block {
  return { ...block(target), times: 1, ...more };
}

const NO_CHANGE = { added: [], removed: [], changed: [] };

/** A list that began with the ends of these, and knows no more of them. */
function unread(...blocks: Block[]): ListedBlocks {
  const listed = new ListedBlocks();
  listed.startWith(blocks.map(({ target, until }) => ({ target, until })));
  return listed;
}

Deno.test("listed blocks: what the firewall must know is there before the rest is read", () => {
  const rows = [known("192.0.2.1"), known("192.0.2.2", { until: NOW + 5 })];
  const listed = unread(...rows);
  assert.deepEqual([listed.size, listed.isRead, listed.nextEnd], [2, false, NOW + 5]);
  assert.deepEqual([targetsOf(listed), listed.byTarget.size], [["192.0.2.1", "192.0.2.2"], 0]);
  listed.complete(rows, NOW);
  assert.deepEqual([listed.size, listed.isRead, listed.nextEnd], [2, true, NOW + 5]);
  assert.deepEqual([...listed.entries()], rows);
  // Once: what is read again later changes nothing.
  listed.complete([known("192.0.2.9")], NOW);
  assert.deepEqual([...listed.byTarget.keys()], ["192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(listed.takeChange(), NO_CHANGE);
});

Deno.test("listed blocks: rows that changed before they were read change neither targets nor ends", () => {
  const lost = known("192.0.2.1", { until: NOW + 9 });
  const longer = known("192.0.2.2", { until: NOW + 5, account: "200" });
  const listed = unread(lost, longer);
  listed.complete([{ ...longer, until: undefined }, known("192.0.2.3")], NOW);
  assert.deepEqual([...listed.byTarget.keys()], ["192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(listed.byTarget.get("192.0.2.2"), longer);
  const bare = listed.byTarget.get("192.0.2.1");
  assert.deepEqual([bare?.until, bare?.since, bare?.reason], [NOW + 9, NOW, BARE_REASON]);
  // The same rows in another order are found all the same.
  const turned = unread(lost, longer);
  turned.complete([longer, lost], NOW);
  assert.deepEqual([...turned.byTarget.values()], [lost, longer]);
});

Deno.test("listed blocks: what could not be read is filled in later, unless it was blocked anew", () => {
  const first = known("192.0.2.1", { until: NOW + 9, account: "200" });
  const second = known("192.0.2.2", { account: "300" });
  const listed = unread(first, second);
  assert.deepEqual(listed.completeBare(() => assert.fail("nothing is missing")), []);
  listed.complete([], NOW);
  const anew = known("192.0.2.2", { since: NOW + 1, account: "400" });
  listed.keep(anew);
  const rows = [{ ...first, until: undefined }, second, known("192.0.2.3")];
  assert.deepEqual(listed.completeBare(() => rows), [first]);
  assert.deepEqual([...listed.byTarget.values()], [first, anew]);
  assert.deepEqual(listed.completeBare(() => rows), []);
  const whole = unread(first);
  whole.complete([], NOW);
  assert.equal(whole.completeBare(() => rows).length, 1);
  assert.deepEqual(whole.completeBare(() => assert.fail("nothing is missing any more")), []);
});

Deno.test("listed blocks: the next end is that of the blocks which are left", () => {
  const listed = new ListedBlocks();
  assert.equal(listed.nextEnd, Infinity);
  const ends = [7, 3, 5];
  for (const [n, end] of ends.entries()) listed.keep(known(address(n), { until: NOW + end }));
  listed.keep(known("192.0.2.1"));
  assert.equal(listed.nextEnd, NOW + 3);
  assert.deepEqual(listed.expire(() => NOW + 2), []);
  assert.deepEqual(listed.expire(() => NOW + 5).map(({ target }) => target), [
    address(1),
    address(2),
  ]);
  assert.deepEqual([listed.nextEnd, listed.size], [NOW + 7, 2]);
  assert.equal(listed.expire(() => Infinity).length, 1);
  assert.deepEqual([listed.nextEnd, targetsOf(listed)], [Infinity, ["192.0.2.1"]]);
});

Deno.test("listed blocks: each ends by the time that its beginning tells", () => {
  const listed = new ListedBlocks();
  listed.keep(known("192.0.2.1", { since: NOW, until: NOW + 5 }));
  listed.keep(known("192.0.2.2", { since: NOW + 1, until: NOW + 5 }));
  const ended = listed.expire((since) => since === NOW ? NOW + 5 : NOW);
  assert.deepEqual(ended.map(({ target }) => target), ["192.0.2.1"]);
});

Deno.test("listed blocks: a few that end before the rest is read are read one by one, many are not", () => {
  const rows = Array.from(
    { length: SINGLE_READS_MAX + 2 },
    (_, n) => known(address(n), { until: NOW + 1 + n, times: 3 }),
  );
  const listed = unread(...rows, known("192.0.2.1"));
  const byTarget = new Map(rows.map((row) => [row.target, row]));
  const read: string[] = [];
  const reading = (target: string) => {
    read.push(target);
    // One is lost, and of one the row was changed.
    if (target === address(0)) return undefined;
    const row = byTarget.get(target)!;
    return target === address(1) ? { ...row, until: undefined } : row;
  };
  assert.equal(listed.expireUnread(NOW + SINGLE_READS_MAX + 1, reading), undefined);
  assert.deepEqual([listed.size, read], [rows.length + 1, []]);
  assert.throws(() =>
    listed.expireUnread(NOW + 2, () => {
      throw new Error("io");
    })
  );
  assert.equal(listed.size, rows.length + 1);

  const ended = listed.expireUnread(NOW + SINGLE_READS_MAX, reading)!;
  assert.equal(ended.length, SINGLE_READS_MAX);
  assert.deepEqual([ended[0]!.reason, ended[0]!.until], [BARE_REASON, NOW + 1]);
  assert.deepEqual(ended.slice(1), rows.slice(1, SINGLE_READS_MAX));
  assert.equal(listed.nextEnd, NOW + SINGLE_READS_MAX + 1);
  assert.deepEqual(targetsOf(listed), [
    ...rows.slice(SINGLE_READS_MAX).map(({ target }) => target),
    "192.0.2.1",
  ]);
  assert.equal(listed.isRead, false);
});

Deno.test("listed blocks: what others change is told once, and what this process changes is not", () => {
  const listed = new ListedBlocks();
  listed.keep(known("192.0.2.1"));
  listed.keep(known("192.0.2.2"));
  assert.equal(listed.delete("192.0.2.2"), true);
  assert.equal(listed.delete("192.0.2.2"), false);
  assert.deepEqual(listed.takeChange(), NO_CHANGE);
  listed.takeOver(known("192.0.2.1", { until: NOW }));
  listed.takeOver(known("192.0.2.3"));
  assert.equal(listed.byTarget.get("192.0.2.1")?.until, NOW);
  assert.deepEqual(listed.takeChange(), {
    added: ["192.0.2.3"],
    removed: [],
    changed: ["192.0.2.1"],
  });
  listed.lose("192.0.2.3");
  listed.lose("192.0.2.1");
  assert.equal(listed.size, 0);
  // It was blocked again before that was told.
  listed.keep(known("192.0.2.1"));
  assert.deepEqual(listed.takeChange(), { added: [], removed: ["192.0.2.3"], changed: [] });
  assert.deepEqual(listed.takeChange(), NO_CHANGE);
});
