/** What logins forgive, and how often. */

import assert from "node:assert/strict";
import { ATTEMPT_POINTS } from "../../src/penalties/attempts.ts";
import {
  FORGIVEN_A_DAY,
  FORGIVEN_HOSTS_MAX,
  Forgiveness,
} from "../../src/penalties/forgiveness.ts";
import { challengeSent, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { DAY, HOST, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("forgiveness: a login forgives its own account, and others only so often a day", () => {
  const bench = new TableBench();
  let guesses = 0;
  for (let hour = 0; hour < 5; hour++) {
    for (let i = 0; i < 29 && bench.blocked.length === 0; i++) {
      bench.take(wrongAnswer(HOST, { account: "boss" }));
      guesses++;
    }
    bench.take(successfulAuth(HOST, { account: "own" })).after(SECOND);
  }
  assert.deepEqual(bench.blocked, [HOST]);
  assert.ok(guesses <= FORGIVEN_A_DAY + 30, `${guesses} guesses`);

  const phone = new TableBench();
  for (let i = 0; i < 1_000; i++) {
    phone.take(wrongAnswer(HOST, { account: "own" }), successfulAuth(HOST, { account: "own" }))
      .after(SECOND);
  }
  assert.deepEqual(phone.blocked, []);
  assert.equal(phone.points(), 0);
});

Deno.test("forgiveness: what was forgiven comes back in a day", () => {
  const bench = new TableBench().take(successfulAuth(HOST, { account: "own" }));
  for (let day = 0; day < 30; day++) {
    for (let i = 0; i < FORGIVEN_A_DAY - 1; i++) {
      bench.after(DAY / FORGIVEN_A_DAY).take(
        wrongAnswer(HOST, { account: "colleague" }),
        successfulAuth(HOST, { account: "own" }),
      );
    }
  }
  assert.deepEqual(bench.blocked, [], "one mistake of a colleague every 48 minutes");
});

Deno.test("forgiveness: what logins forgive in a day is for a whole network, not for each of its addresses", () => {
  const bench = new TableBench({ ipv6Prefix: 64 });
  let guesses = 0;
  for (let i = 1; i <= 500 && bench.blocked.length === 0; i++) {
    const address = `2001:db8:0:1::${i.toString(16)}`;
    bench.take(
      wrongAnswer(address, { account: "boss" }),
      wrongAnswer(address, { account: "boss" }),
      successfulAuth(address, { account: "own" }),
    );
    guesses += 2;
  }
  assert.ok(guesses <= FORGIVEN_A_DAY + 30, `${guesses} guesses`);
});

Deno.test("forgiveness: of more hosts than the bound the one that was forgiven first has all again", () => {
  const forgiveness = new Forgiveness(ATTEMPT_POINTS);
  for (let i = 0; i <= FORGIVEN_HOSTS_MAX; i++) forgiveness.use(i, 5, 0);
  const all = ATTEMPT_POINTS * FORGIVEN_A_DAY;
  assert.deepEqual([forgiveness.left(0, 0), forgiveness.left(1, 0)], [all, all - 5]);
});

Deno.test("forgiveness: a login forgives a host under its own address and with its network", () => {
  const bench = new TableBench({ ipv6Prefix: 64, creditMs: 60 * 60 * SECOND });
  const [a, b, c] = ["2001:db8::a", "2001:db8::b", "2001:db8::c"] as const;
  // While a is in good standing its neighbours are counted by themselves.
  bench.take(successfulAuth(a)).after(SECOND).take(wrongAnswer(b));
  // Afterwards with the network, until b logs in.
  bench.after(61 * 60 * SECOND).take(challengeSent(c)).after(SECOND).take(successfulAuth(b));
  assert.equal(bench.points(b), 0);
  for (let ping = 0; ping < 5; ping++) bench.after(20 * SECOND).take(challengeSent(b));
  bench.after(20 * SECOND);
  assert.deepEqual(bench.blocked, []);
  // Its limit is that of good standing.
  for (let i = 0; i < 29; i++) bench.take(wrongAnswer(b));
  assert.deepEqual(bench.blocked, []);
  bench.take(wrongAnswer(b));
  assert.deepEqual(bench.offences.map(({ target, grounds }) => [target, grounds]), [
    [b, "good standing"],
  ]);
});
