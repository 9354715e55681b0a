import assert from "node:assert/strict";
import { BAN_MS_MAX, banTime, STANDING_BAN_MS } from "../src/ban_time.ts";
import type { Offence } from "../src/penalties.ts";
import { describeDuration, describeTally, reasonOf } from "../src/reason.ts";

Deno.test("ban time: for ever by default, fixed, growing, bounded", () => {
  assert.equal(banTime({ bantime: 0, bantimeFactor: 4, bantimeMax: 60 }, 5, false), undefined);
  const fixed = { bantime: 600, bantimeFactor: 1, bantimeMax: 0 };
  assert.deepEqual([0, 1, 9].map((before) => banTime(fixed, before, false)), [
    600_000,
    600_000,
    600_000,
  ]);
  const growing = { bantime: 600, bantimeFactor: 2, bantimeMax: 3_600 };
  assert.deepEqual([0, 1, 2, 3, 50].map((before) => banTime(growing, before, false)), [
    600_000,
    1_200_000,
    2_400_000,
    3_600_000,
    3_600_000,
  ]);
  assert.equal(
    banTime({ ...growing, bantimeMax: 0 }, 1_000, false),
    undefined,
    "longer than anybody lives",
  );
});

Deno.test("ban time: a host in good standing is only slowed down, whatever the configuration says", () => {
  for (const bantime of [0, 60, 86_400]) {
    const times = { bantime, bantimeFactor: 10, bantimeMax: 0 };
    assert.deepEqual([0, 1, 2].map((before) => banTime(times, before, true)), [
      STANDING_BAN_MS,
      2 * STANDING_BAN_MS,
      4 * STANDING_BAN_MS,
    ]);
  }
  assert.equal(banTime({ bantime: 0, bantimeFactor: 1, bantimeMax: 0 }, 100, true), BAN_MS_MAX);
});

const OFFENCE: Offence = {
  target: "203.0.113.5",
  address: "203.0.113.5",
  service: "PJSIP",
  transport: "UDP",
  account: "100",
  points: 15,
  limit: 15,
  inGoodStanding: false,
  tally: { wrongAnswers: 3, unanswered: 0, refusals: 0, badRequests: 0 },
  firstAt: 1_000,
  at: 2_500,
};

Deno.test("reason: says what was done, how, to which account, and how many points it had", () => {
  assert.equal(
    reasonOf(OFFENCE),
    '3 wrong passwords within 2 s, PJSIP over UDP, last account "100", 15 of 15 points',
  );
  const mixed = { wrongAnswers: 1, unanswered: 2, refusals: 0, badRequests: 0 };
  assert.equal(
    reasonOf({
      ...OFFENCE,
      target: "2001:db8::/64",
      address: "2001:db8::1",
      tally: mixed,
      transport: "",
      inGoodStanding: true,
    }),
    "1 wrong password and 2 unanswered challenges within 2 s by 2001:db8::1 and its neighbours, PJSIP, " +
      'last account "100", 15 of 15 points (it had logged in before)',
  );
  const account = 'a"b\r\n\x1b[31m' + "x".repeat(100);
  const text = reasonOf({ ...OFFENCE, account });
  assert.match(text, /last account "a\\"b\\x0d\\x0a\\x1b\[31mx+…"/);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(text, /[\x00-\x1f\x7f]/);
});

Deno.test("reason: tallies and durations for people", () => {
  assert.equal(
    describeTally({ wrongAnswers: 0, unanswered: 0, refusals: 0, badRequests: 0 }),
    "nothing",
  );
  assert.equal(
    describeTally({ wrongAnswers: 1, unanswered: 1, refusals: 2, badRequests: 1 }),
    "1 wrong password, 1 unanswered challenge, 2 refused requests and 1 request without login",
  );
  const durations: [number, string][] = [[0, "0 s"], [59, "59 s"], [90, "1 min 30 s"], [
    3_600,
    "1 h",
  ], [90_061, "1 d 1 h"]];
  for (const [seconds, text] of durations) assert.equal(describeDuration(seconds), text);
});
