import assert from "node:assert/strict";
import {
  type BanGrounds,
  banTime,
  isShort,
  STANDING_BAN_MS_MAX,
  STANDING_UNPROVEN_BAN_MS_MAX,
  UNANSWERED_BAN_MS_MAX,
  UNPROVEN_BAN_MS,
  UNPROVEN_BAN_MS_MAX,
} from "../../src/penalties/ban_time.ts";
import type { Grounds } from "../../src/penalties/offence.ts";

const MINUTE = 60_000;
const FOR_EVER = { bantime: 0, bantimeFactor: 1, bantimeMax: 0, doubt: 60 };
const PROVEN: BanGrounds = { grounds: "attempts", row: 0, proven: true };
const FORGEABLE: BanGrounds = { grounds: "attempts", row: 0, proven: false };

function on(grounds: Grounds, row: number, proven = false): BanGrounds {
  return { grounds, row, proven };
}

Deno.test("ban time: for ever by default, fixed, growing, bounded", () => {
  assert.equal(banTime({ ...FOR_EVER, bantimeFactor: 4, bantimeMax: 60 }, 5, PROVEN), undefined);
  const fixed = { ...FOR_EVER, bantime: 600 };
  for (const grounds of [PROVEN, FORGEABLE]) {
    assert.deepEqual([0, 1, 9].map((before) => banTime(fixed, before, grounds)), [
      600_000,
      600_000,
      600_000,
    ]);
    const growing = { ...fixed, bantimeFactor: 2, bantimeMax: 3_600 };
    assert.deepEqual([0, 1, 2, 3, 50].map((before) => banTime(growing, before, grounds)), [
      600_000,
      1_200_000,
      2_400_000,
      3_600_000,
      3_600_000,
    ]);
  }
  const unbounded = { ...fixed, bantimeFactor: 2 };
  assert.equal(banTime(unbounded, 1_000, PROVEN), undefined, "longer than anybody lives");
  assert.equal(banTime(unbounded, 1_000, FORGEABLE), UNPROVEN_BAN_MS_MAX);
  const long = { ...unbounded, bantime: 30 * 86_400 };
  assert.equal(banTime(long, 1_000, FORGEABLE), 30 * 86_400_000, "as it is configured");
});

Deno.test("ban time: attempts whose address may be forged never block for ever by default", () => {
  assert.deepEqual([0, 1, 2, 20].map((before) => banTime(FOR_EVER, before, FORGEABLE)), [
    UNPROVEN_BAN_MS,
    2 * UNPROVEN_BAN_MS,
    4 * UNPROVEN_BAN_MS,
    UNPROVEN_BAN_MS_MAX,
  ]);
});

Deno.test("ban time: a host in good standing is out for half a minute at first, at most an hour, never longer than a stranger", () => {
  for (const grounds of ["good standing", "shared network"] as const) {
    const bans = (times = FOR_EVER, proven = true) =>
      [0, 1, 2, 5, 6, 50].map((row) => banTime(times, 99, on(grounds, row, proven))! / MINUTE);
    assert.deepEqual(bans(), [0.5, 1, 2, 16, 32, 60]);
    assert.equal(STANDING_BAN_MS_MAX, 60 * MINUTE);
    assert.deepEqual(bans(FOR_EVER, false), [0.5, 1, 2, 10, 10, 10]);
    assert.equal(STANDING_UNPROVEN_BAN_MS_MAX, 10 * MINUTE);
    assert.deepEqual(bans({ ...FOR_EVER, bantime: 60 }), [0.5, 1, 1, 1, 1, 1]);
    const bounded = { ...FOR_EVER, bantimeMax: 15 };
    assert.deepEqual(bans(bounded), [0.25, 0.25, 0.25, 0.25, 0.25, 0.25]);
  }
});

Deno.test("ban time: unanswered challenges never block for longer than ten minutes", () => {
  for (const row of [0, 5]) {
    for (const before of [0, 9]) {
      assert.equal(banTime(FOR_EVER, before, on("unanswered", row)), UNANSWERED_BAN_MS_MAX);
    }
  }
  assert.equal(banTime({ ...FOR_EVER, bantime: 30 }, 0, on("unanswered", 0)), 30_000);
});

Deno.test("ban time: a single session is out for a minute, then ten, then as anybody", () => {
  const bans = (times: typeof FOR_EVER, proven: boolean) =>
    [0, 1, 2].map((row) => {
      const ban = banTime(times, Math.min(row, 1), on("single session", row, proven));
      assert.equal(banTime(times, Math.min(row, 1), on("two phones", row, proven)), ban);
      return ban;
    });
  assert.deepEqual(bans(FOR_EVER, true), [MINUTE, 10 * MINUTE, undefined]);
  assert.deepEqual(bans(FOR_EVER, false), [MINUTE, 10 * MINUTE, UNPROVEN_BAN_MS]);
  const growing = { ...FOR_EVER, bantime: 7_200, bantimeFactor: 2 };
  assert.deepEqual(bans(growing, true), [MINUTE, 10 * MINUTE, 7_200_000]);
  assert.deepEqual(bans({ ...FOR_EVER, bantime: 20 }, true), [20_000, 20_000, 20_000]);
  assert.deepEqual(bans({ ...FOR_EVER, doubt: 5 }, true), [5_000, 50_000, undefined]);
  assert.deepEqual(bans({ ...FOR_EVER, doubt: 0 }, true), [undefined, undefined, undefined], "off");
});

Deno.test("ban time: what is short by its grounds does not count for later blocks", () => {
  const short = (grounds: Grounds, row = 0, doubt = 60) => isShort({ doubt }, { grounds, row });
  for (const grounds of ["good standing", "shared network", "unanswered"] as const) {
    assert.ok(short(grounds) && short(grounds, 9));
  }
  for (const grounds of ["single session", "two phones"] as const) {
    assert.deepEqual([0, 1, 2].map((row) => short(grounds, row)), [true, true, false]);
  }
  assert.ok(!short("single session", 0, 0) && !short("attempts"));
});

Deno.test("ban time: for a guarded account 25 s, 250 s, an hour, doubling to a week", () => {
  const seconds = (row: number, times = {}, proven = true) =>
    banTime({ ...FOR_EVER, ...times }, 1, on("guarded account", row, proven))! / 1_000;
  for (const proven of [true, false]) {
    const row = [0, 1, 2, 3, 4].map((row) => seconds(row, {}, proven));
    assert.deepEqual(row, [25, 250, 3_600, 7_200, 14_400]);
  }
  assert.equal(seconds(50), 7 * 86_400);
  // Nothing is longer than the configuration says.
  assert.deepEqual([0, 1, 9].map((row) => seconds(row, { bantime: 120 })), [25, 120, 120]);
  assert.equal(isShort({ doubt: 0 }, { grounds: "guarded account", row: 9 }), true);
});

Deno.test("ban time: for slow guesses as for others, but what may be a phone or forged ends, and grows fast", () => {
  const hours = (grounds: BanGrounds, times = FOR_EVER) =>
    [0, 1, 2, 3, 4, 9].map((before) => banTime(times, before, grounds)! / (60 * MINUTE));
  const growing = [1, 4, 16, 64, 168, 168];
  assert.deepEqual(hours(on("slow account", 0, true)), growing);
  assert.deepEqual(hours(on("slow account", 0)), growing);
  assert.deepEqual(hours(on("slow guesses", 0)), growing);
  assert.equal(banTime(FOR_EVER, 0, on("slow guesses", 0, true)), undefined);
  // Nothing makes a block longer than the configuration says.
  const fixed = { ...FOR_EVER, bantime: 3_600, bantimeFactor: 2 };
  for (const grounds of ["slow account", "slow guesses"] as const) {
    assert.deepEqual(hours(on(grounds, 0), fixed).slice(0, 3), [1, 2, 4]);
    assert.equal(isShort(FOR_EVER, { grounds, row: 0 }), false, "it makes the next one longer");
  }
});

Deno.test("ban time: an insider is out as others in good standing are", () => {
  for (const row of [0, 1, 5, 20]) {
    for (const proven of [true, false]) {
      assert.equal(
        banTime(FOR_EVER, 3, on("insider", row, proven)),
        banTime(FOR_EVER, 3, on("good standing", row, proven)),
      );
    }
  }
  assert.equal(isShort(FOR_EVER, { grounds: "insider", row: 0 }), true);
});
