/** Rows of short blocks: when they grow, and what ends them. */

import assert from "node:assert/strict";
import { GoodStanding } from "../../src/penalties/good_standing.ts";
import { HostNetworks } from "../../src/penalties/host_key.ts";
import { LATE_MS } from "../../src/penalties/late_attempts.ts";
import {
  OPEN_CONNECTED_MS,
  OPEN_MS,
  RECENT_LOGIN_MS,
  ShortBlocks,
} from "../../src/penalties/short_blocks.ts";
import { remoteOf, successfulAuth, unique, wrongAnswer } from "../support/asterisk_events.ts";
import { answer, DAY, HOST, MINUTE, POLICY, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("short blocks: what is under way when a host is blocked makes neither this block longer nor the next", () => {
  const bench = new TableBench();
  for (const session of ["a", "b", "c"]) {
    for (let i = 0; i < 15; i++) bench.take(answer(session, "1/c", unique()));
    bench.after(MINUTE);
  }
  assert.deepEqual(
    bench.offences.map(({ grounds, row }) => [grounds, row]),
    [0, 1, 2].flatMap((row) => Array.from({ length: 5 }, () => ["single session", row])),
  );
});

Deno.test("short blocks: a burst at the end of the first block for a single session is forborne four times, and no guesser's", () => {
  const back = (ms: number, doubtMs = MINUTE) => {
    const bench = new TableBench({ doubtMs });
    for (let i = 0; i < 15; i++) bench.take(answer("a", "1/c", unique()));
    bench.after(ms);
    bench.offences.length = 0;
    return bench;
  };
  const burst = (bench: TableBench, answers: number, gap: number) => {
    for (let i = 0; i < answers; i++) {
      bench.take(answer("a", "2/c", unique()));
      bench.now += gap;
    }
    return bench.offences.length;
  };
  for (const ms of [MINUTE, 3 * MINUTE - 15]) assert.equal(burst(back(ms), 15, 0.8), 0);
  for (const ms of [MINUTE - SECOND, 3 * MINUTE + 1]) {
    assert.ok(burst(back(ms), 15, 0.8) > 0, `${ms}`);
  }
  assert.ok(burst(back(MINUTE, 0), 15, 0.8) > 0, "off");
  const phone = back(MINUTE);
  for (let i = 0; i < 4; i++) {
    assert.equal(burst(phone, 15, 0.8), 0);
    assert.ok(phone.points() <= 10, "two attempts are left at most");
    phone.after(25 * SECOND);
  }
  assert.ok(burst(phone, 15, 0.8) > 0, "not five times");
  assert.equal(phone.offences[0]!.row, 1);

  const tool = back(MINUTE);
  let guesses = 0;
  while (burst(tool, 1, 5.5) === 0) guesses++;
  assert.ok(guesses <= 8, `${guesses} guesses, one each 5.5 ms`);
  assert.equal(tool.offences[0]!.row, 1);
  const flood = back(MINUTE);
  assert.ok(burst(flood, 1_000, 0) > 300, "no more than sixteen");

  const spread = back(MINUTE);
  for (let i = 0; i < 3; i++) spread.take(answer(unique(), "2/c", unique()));
  assert.equal(spread.offences.length, 1, "another session is no phone's");
  assert.equal(spread.offences[0]!.grounds, "attempts");
});

Deno.test("short blocks: a login ends the rows of short blocks, and nothing else does so soon", () => {
  for (const login of [true, false]) {
    const bench = new TableBench({ creditMs: DAY, forgetMs: 30 * DAY });
    for (const session of ["a", "b"]) {
      for (let i = 0; i < 3; i++) bench.take(answer(session, "1/c", unique()));
      bench.after(SECOND);
      if (login) bench.take(successfulAuth(HOST));
      bench.after(2 * DAY);
    }
    assert.deepEqual(bench.offences.map(({ row }) => row), login ? [0, 0] : [0, 1]);

    const standing = new TableBench().take(successfulAuth(HOST, { account: "own" }));
    for (let block = 0; block < 2; block++) {
      standing.after(RECENT_LOGIN_MS + 1);
      for (let i = 0; i < 30; i++) standing.take(wrongAnswer(HOST));
      standing.after(MINUTE);
      if (login) standing.take(successfulAuth(HOST, { account: "own" }));
    }
    assert.deepEqual(standing.offences.map(({ row }) => row), login ? [0, 0] : [0, 1]);
  }
});

Deno.test("short blocks: the row of good standing does not grow while its phones may be switched off", () => {
  const bench = new TableBench().take(successfulAuth(HOST, { account: "own" }));
  const rowAfter = (ms: number) => {
    bench.after(ms);
    for (let i = 0; i < 30; i++) bench.take(wrongAnswer(HOST));
    return bench.offences.at(-1)!.row;
  };
  assert.deepEqual([rowAfter(0), rowAfter(MINUTE), rowAfter(MINUTE)], [0, 0, 0]);
  assert.equal(rowAfter(RECENT_LOGIN_MS - 2 * MINUTE), 0, "three days after the login");
  assert.deepEqual([rowAfter(MINUTE), rowAfter(MINUTE)], [1, 2]);
  bench.take(successfulAuth(HOST, { account: "own" }));
  assert.deepEqual([rowAfter(MINUTE), rowAfter(MINUTE), rowAfter(MINUTE)], [0, 0, 0]);
});

for (const [transport, open] of [["UDP", OPEN_MS], ["TLS", OPEN_CONNECTED_MS]] as const) {
  Deno.test(`short blocks: behind one in good standing there is time to come back (${transport})`, () => {
    const login = () => successfulAuth(HOST, { account: "own", remote: remoteOf(HOST, transport) });
    const bench = new TableBench().take(login());
    const guesses = (times: number) => {
      for (let i = 0; i < times; i++) bench.take(wrongAnswer(HOST));
      return bench.offences.splice(0).length;
    };
    assert.equal(guesses(30), 1);
    // The daemon has to hear of it when a block does not hold.
    for (const ms of [0, 3, 20, 6]) {
      bench.after(ms * SECOND);
      assert.equal(guesses(30), 1);
    }
    bench.after(SECOND);
    assert.equal(guesses(100), 0);
    // Who has come back leaves the others the rest of it.
    bench.take(login());
    bench.after(open - 1);
    assert.equal(guesses(100), 0);
    bench.after(1);
    assert.equal(guesses(1), 1, "the next one is one too many again");
    bench.after(31 * SECOND);
    assert.equal(guesses(100), 0);
  });
}

Deno.test("short blocks: there is no such time without a login lately, nor where blocks grow", () => {
  const blocked = (bench: TableBench) => {
    for (let i = 0; i < 30; i++) bench.take(wrongAnswer(HOST));
    bench.after(31 * SECOND);
    bench.offences.length = 0;
    for (let i = 0; i < 30; i++) bench.take(wrongAnswer(HOST));
    return bench.offences.length > 0;
  };
  assert.equal(blocked(new TableBench().take(successfulAuth(HOST))), false);
  assert.equal(blocked(new TableBench()), true, "strangers");
  const old = new TableBench().take(successfulAuth(HOST)).after(RECENT_LOGIN_MS + 1);
  assert.equal(blocked(old), true);
  const brief = new TableBench({ standingMs: 10 * SECOND }).take(successfulAuth(HOST));
  assert.equal(blocked(brief), true, "what is blocked for ten seconds only had its time");
});

for (const [transport, open] of [["UDP", OPEN_MS], ["TLS", OPEN_CONNECTED_MS]] as const) {
  Deno.test(`short blocks: who logged in behind a block in doubt is not refused again at once (${transport})`, () => {
    const guesses = (bench: TableBench, times: number) => {
      for (let i = 0; i < times; i++) bench.take(wrongAnswer(HOST));
      return bench.offences.splice(0).length;
    };
    const login = { account: "own", remote: remoteOf(HOST, transport) };
    for (const doubtMs of [25 * SECOND, 0]) {
      const bench = new TableBench({ doubtMs });
      for (let i = 0; i < 3; i++) bench.take(answer("a", "1/c", unique()));
      assert.equal(bench.offences.splice(0).length, 1);
      bench.after(25 * SECOND).take(successfulAuth(HOST, login));
      assert.equal(guesses(bench, 100) > 0, doubtMs === 0);
      if (doubtMs === 0) continue;
      bench.after(open - 1);
      assert.equal(guesses(bench, 100), 0);
      bench.after(1);
      assert.equal(guesses(bench, 1), 1, "the next one is one too many again");
    }
  });
}

Deno.test("short blocks: who is known from before may come by a connection", () => {
  const bench = new TableBench();
  bench.table.restoreStanding([[HOST, bench.now]]);
  for (let i = 0; i < 30; i++) bench.take(wrongAnswer(HOST));
  bench.after(30 * SECOND + OPEN_MS);
  bench.offences.length = 0;
  for (let i = 0; i < 100; i++) bench.take(wrongAnswer(HOST));
  assert.equal(bench.offences.length, 0);
});

Deno.test("short blocks: each kind has a row of its own, and what is no short block has none", () => {
  const blocks = new ShortBlocks(new GoodStanding(new HostNetworks(64, [])));
  let now = 0;
  const next = (grounds: Parameters<ShortBlocks["next"]>[1], key: number | string = 1) =>
    blocks.next(key, grounds, POLICY, now += LATE_MS);
  assert.deepEqual([next("single session"), next("single session"), next("single session")], [
    0,
    1,
    2,
  ]);
  assert.deepEqual([next("shared network"), next("good standing"), next("shared network")], [
    0,
    1,
    2,
  ]);
  assert.deepEqual([next("attempts"), next("unanswered"), next("attempts")], [0, 0, 0]);
  assert.deepEqual(
    [next("single session", 2), next("single session")],
    [0, 3],
    "each host by itself",
  );
  // What comes within two seconds is the same block.
  assert.equal(blocks.next(1, "single session", POLICY, now + LATE_MS - 1), 3);
});

Deno.test("short blocks: a login ends the rows of its host, and of its network only if it is new there", () => {
  const standing = new GoodStanding(new HostNetworks(64, []));
  const blocks = new ShortBlocks(standing);
  const [phone, network] = ["2001:db8:0:1::1", "2001:db8:0:1::/64"];
  let now = 0;
  const row = (key: string) => blocks.next(key, "shared network", POLICY, now += LATE_MS);
  const login = () => {
    blocks.end(phone, network);
    standing.login(phone, now);
  };
  assert.deepEqual([row(phone), row(phone), row(network), row(network)], [0, 1, 0, 1]);
  assert.ok(blocks.has(phone));
  login();
  assert.ok(!blocks.has(phone));
  assert.deepEqual([row(phone), row(network), row(network)], [0, 0, 1]);
  login();
  assert.deepEqual([row(phone), row(network)], [0, 2], "it is known there");
});

Deno.test("short blocks: only for a single session something is forborne, and not where that is turned off", () => {
  const blocks = new ShortBlocks(new GoodStanding(new HostNetworks(64, [])));
  const policy = { ...POLICY, doubtMs: MINUTE };
  blocks.next(1, "single session", policy, 0);
  assert.equal(blocks.forbears(1, "attempts", 7, policy, MINUTE), false);
  assert.equal(blocks.forbears(1, "single session", 7, POLICY, MINUTE), false);
  assert.equal(blocks.forbears(1, "single session", 7, policy, MINUTE - 1), false);
  assert.equal(blocks.forbears(1, "single session", 7, policy, MINUTE), true);
});
