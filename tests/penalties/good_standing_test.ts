/** Who is in good standing, and how many at most. */

import assert from "node:assert/strict";
import { GoodStanding, SAVE_LOGIN_MS, STANDING_MAX } from "../../src/penalties/good_standing.ts";
import { HostNetworks, keyOf } from "../../src/penalties/host_key.ts";
import { challengeSent, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { address } from "../support/database_samples.ts";
import { DAY, HOST, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("good standing: one host more than the bound, and the oldest login is forgotten", () => {
  const standing = new GoodStanding(new HostNetworks(128, []));
  for (let n = 0; n < STANDING_MAX; n++) standing.login(keyOf(address(n)), n);
  assert.equal(standing.size, STANDING_MAX);
  assert.ok(standing.knows(keyOf(address(0))));
  standing.login(keyOf(address(STANDING_MAX)), STANDING_MAX);
  assert.equal(standing.size, STANDING_MAX);
  assert.deepEqual([0, 1, STANDING_MAX].map((n) => standing.knows(keyOf(address(n)))), [
    false,
    true,
    true,
  ]);
  standing.restore(
    Array.from({ length: STANDING_MAX + 10 }, (_, n) => [address(n), n] as const),
  );
  assert.equal(standing.size, STANDING_MAX);
});

Deno.test("good standing: a phone that takes another address of its IPv6 network may ping from there", () => {
  const bench = new TableBench({ ipv6Prefix: 64 }).take(challengeSent("2001:db8:0:1::2"));
  bench.take(successfulAuth("2001:db8:0:1::1")).after(6 * SECOND);
  for (let i = 0; i < 10; i++) bench.take(challengeSent("2001:db8:0:1::2")).after(6 * SECOND);
  assert.deepEqual([bench.blocked, bench.points("2001:db8:0:1::2")], [[], 0]);
  const impatient = new TableBench({ ipv6Prefix: 64, patienceMs: 0 });
  impatient.take(successfulAuth("2001:db8:0:1::1"), challengeSent("2001:db8:0:1::2"));
  assert.equal(impatient.points("2001:db8:0:1::2"), 0);
});

Deno.test("good standing: of all hosts in it the one that logged in longest ago goes first", () => {
  const bench = new TableBench();
  for (let i = 0; i <= STANDING_MAX; i++) bench.take(successfulAuth(address(i)));
  assert.equal(bench.table.standingSize, STANDING_MAX);
  assert.equal(bench.table.isInGoodStanding(address(0), bench.now), false);
  assert.equal(bench.table.isInGoodStanding(address(1), bench.now), true);
});

Deno.test("good standing: it ends with the credit", () => {
  const bench = new TableBench({ creditMs: 3_600_000 }).take(successfulAuth(HOST)).after(3_600_001);
  assert.equal(bench.table.isInGoodStanding(HOST, bench.now), false);
  assert.equal(bench.table.standingSize, 0);
  bench.take(wrongAnswer(HOST), wrongAnswer(HOST), wrongAnswer(HOST));
  assert.deepEqual(bench.blocked, [HOST]);
});

Deno.test("good standing: it is handed out to be saved once an hour, and restored", () => {
  const bench = new TableBench().take(successfulAuth(HOST));
  assert.deepEqual(bench.table.takeLogins(), [[HOST, bench.now]]);
  bench.after(SAVE_LOGIN_MS - 1).take(successfulAuth(HOST));
  assert.deepEqual(bench.table.takeLogins(), []);
  bench.after(1).take(successfulAuth(HOST));
  assert.deepEqual(bench.table.takeLogins(), [[HOST, bench.now]]);
  const next = new TableBench();
  next.table.restoreStanding([[HOST, next.now - DAY], ["2001:db8::1", next.now - 8 * DAY]]);
  assert.equal(next.table.isInGoodStanding(HOST, next.now), true);
  assert.equal(next.table.isInGoodStanding("2001:db8::1", next.now), false);
});
