/** Pages of a long list: each block on one of them, in order, whatever the order it is kept in. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Block } from "../../src/blocks/block.ts";
import { Budget } from "../../src/page/budget.ts";
import { findBlocks, type Found, TooLongError } from "../../src/page/scan.ts";
import { testOf } from "../../src/page/search.ts";
import { type Clock, systemClock } from "../../src/clock.ts";

const idle = () => new Budget(systemClock, () => 0);

function blockOf(since: number, target: string, more: Partial<Block> = {}): Block {
  const rest = { until: undefined, reason: "", service: "", transport: "", account: "", times: 1 };
  return { ...rest, since, target, ...more };
}

Deno.test("scan: pages forwards and backwards hold each block once, in the order of age", async () => {
  const moments = fc.array(fc.nat(40), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(moments, fc.integer({ min: 1, max: 9 }), async (times, rows) => {
      const blocks = times.map((since, n) => blockOf(since, `192.0.2.${n}`));
      const order = [...blocks].sort((a, b) => b.since - a.since || (a.target < b.target ? 1 : -1));
      const pages: Found[] = [];
      let before: Block | undefined;
      do {
        const page = await findBlocks(blocks, { matches: undefined, before, rows }, idle());
        pages.push(page);
        before = page.blocks.at(-1);
      } while (before !== undefined);
      assert.deepEqual(pages.flatMap((page) => page.blocks), order);
      let newer = 0;
      for (const page of pages) {
        assert.equal(page.matching, order.length);
        if (page.blocks.length > 0) assert.equal(page.newer, newer);
        newer += page.blocks.length;
      }
      // And back from the oldest one.
      let after = order.at(-1);
      const back: Block[] = after === undefined ? [] : [after];
      while (after !== undefined) {
        const page = await findBlocks(blocks, { matches: undefined, after, rows }, idle());
        assert.equal(page.newer, order.length - back.length - page.blocks.length);
        back.unshift(...page.blocks);
        after = page.blocks[0];
      }
      assert.deepEqual(back, order);
    }),
    { numRuns: 200 },
  );
});

Deno.test("scan: a long list is looked through in turns, and stops when nobody waits", async () => {
  let at = 0;
  let [looked, turns, inTurn, most] = [0, 0, 0, 0];
  // Each look at a block takes a hundredth of a millisecond.
  const many = (function* () {
    for (let n = 0; n < 1_000_000; n++) {
      looked++;
      inTurn++;
      at += 0.01;
      yield blockOf(n, "192.0.2.1");
    }
  })();
  const clock: Clock = {
    now: () => at,
    after(ms, run) {
      turns++;
      most = Math.max(most, inTurn);
      inTurn = 0;
      const timer = setTimeout(() => {
        at += ms;
        run();
      });
      return () => clearTimeout(timer);
    },
    soon: (run) => void setTimeout(run),
  };
  const isOver = () => turns >= 200;
  // A part of them would pass for all.
  await assert.rejects(
    findBlocks(many, { matches: undefined }, new Budget(clock, () => 0), isOver),
    TooLongError,
  );
  assert.ok(turns >= 200);
  // 12 ms, and the step that began within them.
  assert.ok(most <= 1_200 + 256, String(most));
  assert.ok(looked < 200 * 1_500, String(looked));
  // Half of the time is left to others, but for what may be taken at once.
  assert.ok(at >= 2 * 0.01 * looked - 501, `${at} ms for ${looked}`);
});

Deno.test("search: by address, network, account, reason and country", () => {
  const places = {
    files: [],
    of: (target: string) => ({
      country: target.startsWith("203.") ? "DE" : "BR",
      asn: undefined,
      organisation: undefined,
      away: false,
    }),
  };
  const blocks = [
    blockOf(1, "203.0.113.5", { account: "100", reason: "3 wrong passwords" }),
    blockOf(2, "203.0.113.0/24", { reason: "3 blocked hosts within a day" }),
    blockOf(3, "2001:db8::/64", { account: "a.b*c", reason: "added by hand" }),
    blockOf(4, "198.51.100.1", { account: "DE" }),
  ];
  const found = (text: string, field: Parameters<typeof testOf>[0]["field"] = "anything") =>
    blocks.filter(testOf({ text, field }, places) ?? (() => true)).map(({ since }) => since);
  const table: [found: number[], expected: number[]][] = [
    [found(""), [1, 2, 3, 4]],
    [found("203.0.113.5"), [1, 2]],
    [found("203.0.113.0/30"), [2]],
    [found("203.0.0.0/16", "address"), [1, 2]],
    [found("2001:0DB8::1"), [3]],
    [found("51.100"), [4]],
    [found("WRONG"), [1]],
    [found("100", "account"), [1]],
    [found("a.b*c"), [3]],
    [found("aXb*c"), []],
    [found("de", "country"), [1, 2]],
    [found("DE", "account"), [4]],
    [found("xx", "country"), []],
    [found("("), []],
  ];
  for (const [is, expected] of table) assert.deepEqual(is, expected);
});
