/** Which hosts are remembered, and which are forgotten. */

import assert from "node:assert/strict";
import { HOSTS_MAX } from "../../src/penalties/hosts.ts";
import { challengeSent, printEvent, remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { address } from "../support/database_samples.ts";
import { DAY, HOST, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("hosts: unknown accounts without a challenge are hosts like others", () => {
  const bench = new TableBench();
  bench.table.learnUntil(Infinity);
  for (let i = 0; i < HOSTS_MAX + 10; i++) {
    const address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
    bench.take(printEvent({
      kind: "InvalidAccountID",
      service: "PJSIP",
      session: "a",
      remote: remoteOf(address),
    }));
  }
  bench.after(0);
  assert.equal(bench.table.size, HOSTS_MAX);
  bench.after(DAY + SECOND);
  assert.equal(bench.table.size, 0);
});

Deno.test("hosts: who costs nothing while Ampere learns is a host like others, at patience = 0 too", () => {
  for (const patienceMs of [0, 5 * SECOND]) {
    const bench = new TableBench({ patienceMs });
    bench.table.learnUntil(Infinity);
    for (let i = 0; i < HOSTS_MAX + 10; i++) bench.take(challengeSent(address(i)));
    assert.equal(bench.table.size, HOSTS_MAX);
    bench.after(DAY + SECOND);
    assert.equal(bench.table.size, 0);
  }
});

Deno.test("hosts: one that comes after another has been forgotten has nothing of it", () => {
  const bench = new TableBench({ loyalty: 1 });
  for (let round = 0; round < 3; round++) {
    const host = `203.0.113.${round}`;
    bench.take(challengeSent(host, { session: "a" }), wrongAnswer(host, { session: "a" }));
    assert.deepEqual(bench.offences.splice(0).map(({ target }) => target), [host]);
    // A new host, the same session: a new attempt, of which nothing is known.
    const next = `203.0.113.10${round}`;
    bench.take(challengeSent(next, { session: "a", account: `account ${round}` }));
    assert.deepEqual(bench.table.worst(2, bench.now), [{
      host: next,
      points: 0,
      limit: 5,
      tally: { wrongAnswers: 0, unanswered: 0, refusals: 0, badRequests: 0 },
      waiting: 1,
      lastAt: bench.now,
    }]);
    bench.take(wrongAnswer(next, { session: "a" }));
    const [offence] = bench.offences.splice(0);
    assert.equal(offence?.target, next);
    assert.deepEqual(offence?.tally.wrongAnswers, 1);
    assert.equal(bench.table.size, 0);
    assert.equal(bench.table.waiting, 0);
  }
});

Deno.test("hosts: points are forgotten after a quiet day", () => {
  const bench = new TableBench().take(wrongAnswer(HOST), wrongAnswer(HOST)).after(DAY);
  assert.equal(bench.points(), 10);
  bench.after(1);
  assert.equal(bench.points(), 0);
  assert.equal(bench.table.size, 0);
});

Deno.test("hosts: a full table forgets the least guilty, and nobody with more points than a flood's hosts", () => {
  const bench = new TableBench();
  bench.take(wrongAnswer("198.51.100.1"), wrongAnswer("198.51.100.1"));
  bench.take(challengeSent("198.51.100.2")).after(5_000).take(challengeSent("198.51.100.2")).after(
    5_000,
  );
  assert.equal(bench.points("198.51.100.2"), 14);
  const address = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
  for (let i = 0; i < HOSTS_MAX + 2_000; i++) {
    bench.take(challengeSent(address(i)));
    if (i % 20_000 === 0) bench.after(6_000);
  }
  assert.equal(bench.table.size, HOSTS_MAX);
  assert.equal(bench.table.evicted, 2_002);
  assert.equal(bench.points("198.51.100.1"), 10);
  assert.equal(bench.points("198.51.100.2"), 14);
  bench.take(wrongAnswer("198.51.100.1"));
  assert.deepEqual(bench.blocked, ["198.51.100.1"]);
  const late = "198.51.100.3";
  bench.take(wrongAnswer(late), wrongAnswer(late), wrongAnswer(late));
  assert.ok(
    bench.blocked.includes(late),
    "an attacker that comes into a full table is still counted",
  );
});
