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
