import assert from "node:assert/strict";
import {
  describeDuration,
  describeExemptFailures,
  describeTally,
  isCertainReason,
  reasonOf,
} from "../../src/penalties/reason.ts";
import { NO_TALLY } from "../../src/penalties/hosts.ts";
import { OFFENCE } from "../support/offence_sample.ts";

Deno.test("reason: says what was done, how, to which account, and how many points it had", () => {
  assert.equal(
    reasonOf(OFFENCE),
    '3 wrong passwords within 2 s, PJSIP over UDP, last account "100", 15 of 15 points',
  );
  const mixed = { ...NO_TALLY, wrongAnswers: 1, unanswered: 2 };
  assert.equal(
    reasonOf({
      ...OFFENCE,
      target: "2001:db8::/64",
      address: "2001:db8::1",
      tally: mixed,
      transport: "",
      grounds: "good standing",
    }),
    "1 wrong password and 2 unanswered challenges within 2 s by 2001:db8::1 and its neighbours, PJSIP, " +
      'last account "100", 15 of 15 points (it had logged in before)',
  );
  assert.match(
    reasonOf({ ...OFFENCE, grounds: "single session" }),
    /, 15 of 15 points \(in doubt: all in one session, as a phone with a wrong password does\)$/,
  );
  assert.match(
    reasonOf({ ...OFFENCE, grounds: "guarded account", points: 5 }),
    /, 5 of 15 points \(in doubt: many strangers fail on this account\)$/,
  );
  assert.match(
    reasonOf({ ...OFFENCE, grounds: "two phones" }),
    / \(in doubt: two accounts, a session each, as phones with wrong passwords do\)$/,
  );
  const apart = reasonOf({ ...OFFENCE, apart: ["100", "101", "102"] });
  assert.match(apart, / \(each account in a session of its own: a guesser, or phones with wrong /);
  assert.ok(isCertainReason(apart), "it is as long as any");
  assert.match(
    reasonOf({ ...OFFENCE, apart: ["100", "101"] }, true),
    / \(in doubt: its address can/,
  );
  assert.match(
    reasonOf({ ...OFFENCE, grounds: "slow guesses", points: 45, limit: 45 }),
    /, 45 of 45 points \(slow guesses: each time that its points were forgotten, and no login\)$/,
  );
  assert.match(
    reasonOf({ ...OFFENCE, grounds: "insider" }),
    / \(it belongs here, and failed more than 30 times within a day on accounts of others: ask /,
  );
  const account = 'a"b\r\n\x1b[31m' + "x".repeat(100);
  const text = reasonOf({ ...OFFENCE, account });
  assert.match(text, /last account "a\\"b\\x0d\\x0a\\x1b\[31mx+…"/);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(text, /[\x00-\x1f\x7f]/);
});

Deno.test("reason: of a call without an account the number is told, of a report what it says", () => {
  const tally = { ...NO_TALLY, strangeCalls: 3 };
  assert.match(reasonOf({ ...OFFENCE, tally, account: "00972" }), /, last number "00972", /);
  const told = { ...NO_TALLY, reports: 3 };
  assert.match(
    reasonOf({ ...OFFENCE, tally: told, service: "Dialplan", transport: "", account: "anonymous" }),
    /^3 reports of the dialplan within 2 s, told by the dialplan, last report "anonymous", 15 of/,
  );
  const mixed = { ...tally, wrongAnswers: 1 };
  assert.match(reasonOf({ ...OFFENCE, tally: mixed }), /, last account "100", /);
});

Deno.test("reason: tallies and durations for people", () => {
  assert.equal(
    describeTally(NO_TALLY),
    "nothing",
  );
  assert.equal(
    describeTally({ ...NO_TALLY, wrongAnswers: 1, unanswered: 1, refusals: 2, badRequests: 1 }),
    "1 wrong password, 1 unanswered challenge, 2 refused requests and 1 request without login",
  );
  assert.equal(
    describeTally({ ...NO_TALLY, strangeCalls: 3, reports: 1 }),
    "3 calls without an account and 1 report of the dialplan",
  );
  const durations: [number, string][] = [[0, "0 s"], [59, "59 s"], [90, "1 min 30 s"], [
    3_600,
    "1 h",
  ], [90_061, "1 d 1 h"]];
  for (const [seconds, text] of durations) assert.equal(describeDuration(seconds), text);
});

Deno.test("reason: nobody is advised against trusting an address that is trusted, or can't be", () => {
  const of = (cause: string) => describeExemptFailures("203.0.113.5", 3, cause);
  assert.match(of("trusted"), /by itself\); as long as it is trusted nobody there is blocked$/);
  assert.match(of("loopback"), /by itself\)$/);
});
