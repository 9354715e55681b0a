/** Which hosts are remembered, and which are forgotten. */

import assert from "node:assert/strict";
import {
  Hosts,
  HOSTS_MAX,
  LAST_AT,
  NONE,
  POINTS,
  REFUSALS,
  UNANSWERED,
  WAITING,
  WRONG_ANSWERS,
} from "../../src/penalties/hosts.ts";
import { Dice } from "../simulation/dice.ts";
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
      tally: {
        wrongAnswers: 0,
        unanswered: 0,
        refusals: 0,
        badRequests: 0,
        strangeCalls: 0,
        reports: 0,
      },
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

Deno.test("hosts: the least guilty, among equals the one not seen for longest, whatever came and went", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const dice = new Dice(seed);
    const hosts = new Hosts();
    // The hosts in the order in which they were seen last.
    let model: { host: number; key: number; guilt: number; at: number }[] = [];
    for (let step = 1; step <= 300; step++) {
      const key = dice.int(1, 20);
      const present = hosts.find(key);
      assert.equal(present !== NONE, model.some((one) => one.key === key));
      if (present !== NONE && dice.chance(0.2)) {
        hosts.remove(present);
        model = model.filter(({ host }) => host !== present);
      } else {
        const host = present === NONE ? hosts.make(key, step) : present;
        // Some have more points than have a list of their own.
        hosts.records.add(host, POINTS, dice.pick([0, 0, 4, 5, 300]));
        hosts.records.set(host, WAITING, dice.int(0, 1));
        hosts.records.setTime(host, LAST_AT, step);
        hosts.settle(host);
        const guilt = hosts.records.get(host, POINTS) + 4 * hosts.records.get(host, WAITING);
        const before = model.find((one) => one.host === host);
        model = [...model.filter((one) => one !== before), { host, key, guilt, at: step }];
      }
      const least = Math.min(...model.map(({ guilt }) => guilt));
      assert.equal(
        hosts.leastGuilty(),
        model.find(({ guilt }) => guilt === least)?.host ?? NONE,
        `seed ${seed}`,
      );
      assert.equal(hosts.size, model.length);
      const { value: quiet = NONE } = hosts.quietSince(step - 40).next();
      const isQuiet = model.some(({ at }) => at < step - 40);
      assert.equal(quiet !== NONE, isQuiet, `seed ${seed}`);
      if (isQuiet) assert.ok(model.find(({ host }) => host === quiet)!.at < step - 40);
    }
  }
});

Deno.test("hosts: the worst have most points, then most that waits, then were seen last", () => {
  const hosts = new Hosts();
  for (
    const [key, points, waiting, at] of [[1, 5, 0, 9], [2, 10, 0, 1], [3, 5, 2, 1], [4, 5, 0, 10], [
      5,
      0,
      0,
      99,
    ]] as const
  ) {
    const host = hosts.make(key, 0);
    hosts.records.set(host, POINTS, points);
    hosts.records.set(host, WAITING, waiting);
    hosts.records.setTime(host, LAST_AT, at);
  }
  const worst = (count: number) => hosts.worst(count, () => 15).map(({ host }) => host);
  assert.deepEqual(
    worst(9),
    ["0.0.0.2", "0.0.0.3", "0.0.0.4", "0.0.0.1"],
    "who has nothing is not shown",
  );
  assert.deepEqual(worst(2), ["0.0.0.2", "0.0.0.3"]);
});

Deno.test("hosts: what is forgiven is not told of, wrong passwords first, and no silence at all", () => {
  const hosts = new Hosts();
  const host = hosts.make(1, 0);
  const tell = (what: number, times: number) => {
    for (let i = 0; i < times; i++) hosts.count(host, what, 0);
  };
  tell(WRONG_ANSWERS, 2);
  tell(REFUSALS, 3);
  tell(UNANSWERED, 4);
  hosts.forgiveTally(host, 3);
  assert.deepEqual(hosts.tallyOf(host), {
    wrongAnswers: 0,
    unanswered: 0,
    refusals: 2,
    badRequests: 0,
    strangeCalls: 0,
    reports: 0,
  });
  hosts.forgiveTally(host, 9);
  assert.deepEqual(hosts.tallyOf(host), {
    wrongAnswers: 0,
    unanswered: 0,
    refusals: 0,
    badRequests: 0,
    strangeCalls: 0,
    reports: 0,
  });
});
