import assert from "node:assert/strict";
import { SHARED_NETWORK_HOSTS_MIN } from "../../src/penalties/network_failures.ts";
import { OffenceRows, ROWS_MAX } from "../../src/penalties/offence_rows.ts";
import { successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { DAY, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("offence rows: the row of a shared network ends when somebody new logs in there", () => {
  const bench = new TableBench({ ipv6Prefix: 64 });
  const network = "2001:db8:0:1::";
  const rowAfter = (host: number) => {
    bench.after(3 * SECOND).take(wrongAnswer(`${network}${host}`));
    return bench.offences.at(-1)?.row;
  };
  bench.take(successfulAuth(`${network}beef`));
  for (let i = 1; i < SHARED_NETWORK_HOSTS_MIN; i++) assert.equal(rowAfter(i), undefined);
  assert.deepEqual([rowAfter(8), rowAfter(9)], [0, 1]);
  bench.take(successfulAuth(`${network}beef`));
  assert.equal(rowAfter(11), 2, "known already");
  bench.take(successfulAuth(`${network}cafe`));
  assert.equal(rowAfter(12), 0);
});

Deno.test("offence rows: of more hosts than the bound the oldest row goes first", () => {
  const rows = new OffenceRows();
  for (let i = 0; i <= ROWS_MAX; i++) rows.next(i, i, DAY);
  assert.equal(rows.size, ROWS_MAX);
  assert.deepEqual([rows.has(0), rows.has(1)], [false, true]);
});

Deno.test("offence rows: a longer block takes the place of the last one once, until the next", () => {
  const rows = new OffenceRows();
  assert.equal(rows.takeRenewal(1), false);
  rows.next(1, 0, DAY);
  assert.deepEqual([rows.takeRenewal(1), rows.takeRenewal(1)], [true, false]);
  rows.next(1, 10 * SECOND, DAY);
  assert.equal(rows.takeRenewal(1), true);
  rows.next(1, 20 * SECOND, DAY);
  rows.end(1);
  assert.equal(rows.takeRenewal(1), false, "somebody logged in");
});

Deno.test("offence rows: behind the first block of a row there is rest, behind others none", () => {
  const rows = new OffenceRows();
  const rests = (at: number) => rows.rests(1, at, 85 * SECOND);
  assert.equal(rests(0), false);
  rows.next(1, 0, DAY);
  assert.deepEqual([rests(0), rests(85 * SECOND - 1), rests(85 * SECOND)], [true, true, false]);
  rows.next(1, 90 * SECOND, DAY);
  assert.deepEqual([rests(92 * SECOND - 1), rests(92 * SECOND)], [true, false]);
});
