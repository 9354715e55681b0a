import assert from "node:assert/strict";
import { BelievedTime, DOUBT_MS, SETTLE_MS } from "../src/believed_time.ts";
import { BlockList } from "../src/block_list.ts";
import { DurableBlockList } from "../src/durable_block_list.ts";

const NEWEST = Date.parse("2026-11-22T08:00:00Z");
const HOUR = 3_600_000;

function at(wall: number, newest: number | null = NEWEST) {
  const state = { wall, elapsed: 0 };
  const clock = { now: () => 5_000 + state.elapsed, after: () => () => {}, soon: () => {} };
  const time = new BelievedTime(newest ?? undefined, () => state.wall, clock);
  const pass = (ms: number) => {
    state.wall += ms;
    state.elapsed += ms;
  };
  return { state, time, pass };
}

Deno.test("believed time: a clock near the newest entry is believed, and so is any without an entry", () => {
  for (const wall of [NEWEST - DOUBT_MS, NEWEST, NEWEST + DOUBT_MS]) {
    const { time } = at(wall);
    assert.deepEqual([time.isDoubted, time.now()], [false, wall]);
  }
  assert.equal(at(0, null).time.isDoubted, false);
});

Deno.test("believed time: far ahead it goes on from the newest entry, for an hour", () => {
  const wall = NEWEST + 30 * DOUBT_MS;
  const { time, pass } = at(wall);
  assert.deepEqual([time.isDoubted, time.now()], [true, NEWEST]);
  pass(SETTLE_MS - 1);
  assert.equal(time.now(), NEWEST + SETTLE_MS - 1);
  pass(1);
  assert.deepEqual([time.isDoubted, time.now()], [false, wall + SETTLE_MS]);
});

Deno.test("believed time: in 1970 nothing ends, and the step to the right time ends nothing at once", () => {
  const { state, time, pass } = at(1_000);
  assert.deepEqual([time.isDoubted, time.now()], [true, 1_000]);
  pass(60_000);
  state.wall = NEWEST + 3 * DOUBT_MS;
  assert.equal(time.now(), NEWEST + 60_000);
});

Deno.test("believed time: a list that is opened a month too early keeps its blocks and logins", () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/ampere.db`;
  try {
    const week = { reason: "r", service: "PJSIP", transport: "UDP", account: "1" };
    {
      using list = DurableBlockList.open(path, { now: NEWEST });
      list.add(
        [{ target: "203.0.113.5", since: NEWEST, until: NEWEST + 7 * DOUBT_MS, ...week }],
        NEWEST,
      );
      list.saveStanding([["198.51.100.7", NEWEST + HOUR]], 0, NEWEST);
    }
    const newest = BlockList.newestTimeOf(path);
    assert.equal(newest, NEWEST + HOUR);
    const { time } = at(NEWEST + 30 * DOUBT_MS, newest!);
    using list = DurableBlockList.open(path, { now: time.now() });
    assert.deepEqual(list.removeEnded(time.now()), []);
    assert.equal(list.size, 1);
    assert.equal(BlockList.newestTimeOf(`${folder}/none.db`), undefined);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
