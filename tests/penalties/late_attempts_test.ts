/** What a host did after it was blocked. */

import assert from "node:assert/strict";
import { LATE_HOSTS_MAX, LATE_MS, LateAttempts } from "../../src/penalties/late_attempts.ts";
import { unique } from "../support/asterisk_events.ts";
import { answer, HOST, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("late attempts: what comes after the block is counted and told", () => {
  const bench = new TableBench();
  for (let i = 0; i < 538; i++) bench.take(answer("a", "1/c", unique(), "TCP"));
  bench.after(SECOND);
  assert.deepEqual(bench.table.takeLate(), [], "not over yet");
  bench.after(SECOND);
  assert.deepEqual(bench.table.takeLate(), [[HOST, 535]]);
  assert.deepEqual(bench.table.takeLate(), [], "once");
  assert.ok(bench.offences.length > 100, "and charged");
});

Deno.test("late attempts: of more blocked hosts than the bound the oldest is not counted any more", () => {
  const late = new LateAttempts();
  for (let i = 0; i <= LATE_HOSTS_MAX; i++) late.blocked(i, 0);
  for (const host of [0, 1]) late.count(host);
  late.expire(LATE_MS);
  assert.deepEqual(late.takeExpired(), [[1, 1]]);
});

Deno.test("late attempts: hosts are told apart, whatever mark they share", () => {
  const late = new LateAttempts();
  for (let host = 0; host < 20_000; host += 2) late.blocked(host, 0);
  late.blocked("2001:db8::1", 1);
  for (let host = 0; host < 20_000; host++) late.count(host);
  for (const n of [1, 2]) late.count(`2001:db8::${n}`);
  late.expire(LATE_MS);
  const expired = late.takeExpired();
  assert.equal(expired.length, 10_000);
  assert.ok(expired.every(([host, attempts]) => Number(host) % 2 === 0 && attempts === 1));
  // Those that are left are still counted.
  late.count("2001:db8::1");
  late.expire(LATE_MS + 1);
  assert.deepEqual(late.takeExpired(), [["2001:db8::1", 2]]);
});
