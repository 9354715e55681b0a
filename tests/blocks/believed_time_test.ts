import assert from "node:assert/strict";
import {
  BelievedTime,
  DOUBT_MS,
  SET_MS,
  SETS_MAX,
  SETTLE_MS,
} from "../../src/blocks/believed_time.ts";
import { newestTimeOf } from "../../src/blocks/database.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";

const NEWEST = Date.parse("2026-11-22T08:00:00Z");
const HOUR = 3_600_000;
const HOST = "203.0.113.5";

function at(wall: number, newest: number | null = NEWEST) {
  const state = { wall, elapsed: 0 };
  const clock = { now: () => 5_000 + state.elapsed, after: () => () => {}, soon: () => {} };
  const sets: number[] = [];
  const time = new BelievedTime(
    newest ?? undefined,
    () => state.wall,
    clock,
    (ms) => void sets.push(ms),
  );
  const pass = (ms: number) => {
    state.wall += ms;
    state.elapsed += ms;
  };
  return { state, time, pass, sets };
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
      using list = WrittenBlockList.open(path, { now: NEWEST });
      list.add(
        [{ target: "203.0.113.5", since: NEWEST, until: NEWEST + 7 * DOUBT_MS, ...week }],
        NEWEST,
      );
      list.saveStanding([["198.51.100.7", NEWEST + HOUR]], 0, NEWEST);
    }
    const newest = newestTimeOf(path);
    assert.equal(newest, NEWEST + HOUR);
    const { time } = at(NEWEST + 30 * DOUBT_MS, newest!);
    using list = WrittenBlockList.open(path, { now: time.now() });
    assert.deepEqual(list.removeEnded(time.now()), []);
    assert.equal(list.size, 1);
    assert.equal(newestTimeOf(`${folder}/none.db`), undefined);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

const DETAILS = { reason: "r", service: "PJSIP", transport: "UDP", account: "1" };

/** When a block of a minute, made now, ends: after so much time, in milliseconds. */
function lasts(setUp: ReturnType<typeof at>, meanwhile: () => void): number {
  const { state, time, pass } = setUp;
  const list = new DryRunBlockList("(memory)");
  const since = state.wall;
  list.add([{ target: HOST, since, until: since + 60_000, ...DETAILS }], since);
  pass(10_000);
  meanwhile();
  for (let ms = 10_000; ms < 2 * SETTLE_MS; ms += 250) {
    list.removeEnded(time.latest(), (made) => time.now(made));
    if (list.get(HOST) === undefined) return ms;
    pass(250);
  }
  return Infinity;
}

Deno.test("believed time: a minute is a minute, whatever the clock is set to and however long the machine was off", () => {
  for (const step of [0, 2 * HOUR, -2 * HOUR, 30 * DOUBT_MS, -30 * DOUBT_MS]) {
    const setUp = at(NEWEST);
    assert.equal(lasts(setUp, () => setUp.state.wall += step), 60_000, `set by ${step}`);
    assert.equal(setUp.time.isDoubted, Math.abs(step) > DOUBT_MS);
    assert.deepEqual(setUp.sets, step === 0 ? [] : [step]);
    // Also for what is made after that.
    assert.equal(lasts(setUp, () => {}), 60_000, `after it was set by ${step}`);
  }
  const off = at(NEWEST + 3 * DOUBT_MS);
  assert.equal(off.time.isDoubted, true);
  assert.equal(lasts(off, () => {}), 60_000);
  const without = at(1_000, null);
  assert.equal(lasts(without, () => without.state.wall = NEWEST), 60_000);
});

Deno.test("believed time: what was listed before ends by the time of day, an hour after a jump of days", () => {
  for (const [step, before] of [[2 * HOUR, 250], [30 * DOUBT_MS, SETTLE_MS]] as const) {
    const { state, time, pass } = at(NEWEST);
    const list = new DryRunBlockList("(memory)");
    const since = NEWEST - HOUR;
    list.add([{ target: HOST, since, until: NEWEST + HOUR + 1, ...DETAILS }], NEWEST);
    pass(250);
    const ended = () => list.removeEnded(time.latest(), (made) => time.now(made)).length;
    assert.equal(ended(), 0);
    state.wall += step;
    assert.equal(ended(), step === 2 * HOUR ? 1 : 0);
    pass(before);
    assert.equal(ended(), step === 2 * HOUR ? 0 : 1);
  }
});

Deno.test("believed time: the kernel may hold until the earliest end, and only so many settings are remembered", () => {
  const { state, time, pass } = at(NEWEST);
  const first = state.wall;
  pass(1_000);
  state.wall -= 5 * HOUR;
  assert.equal(time.now(), state.wall);
  assert.equal(time.latest(), NEWEST + 1_000);
  assert.equal(time.earliest(), state.wall);
  assert.equal(time.now(first), NEWEST + 1_000);
  for (let i = 0; i < SETS_MAX; i++) {
    pass(1_000);
    state.wall += 10 * SET_MS;
    time.now();
  }
  assert.equal(time.latest(), state.wall, "the first was forgotten");
});
