/** The last failures of each host: which are known, and how many. */

import assert from "node:assert/strict";
import { overlaps } from "../../src/address/address.ts";
import { SecurityEvent } from "../../src/ami/event.ts";
import { Attempts } from "../../src/penalties/attempts.ts";
import { Hosts, HOSTS_MAX } from "../../src/penalties/hosts.ts";
import { ALL_FAILURES_MAX, FAILURES_MAX, LastFailures } from "../../src/penalties/last_failures.ts";
import {
  challengeSent,
  remoteOf,
  successfulAuth,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { address } from "../support/database_samples.ts";
import { HOST, SECOND, TableBench } from "../support/table_bench.ts";

const lastOf = (bench: TableBench, host = HOST) =>
  bench.table.inspection.hostsIn(host, 1, bench.now)[0]?.last ?? [];

Deno.test("last failures: what, when, on which account, how and at what cost", () => {
  const bench = new TableBench({ loyalty: 10 });
  const start = bench.now;
  bench.take(wrongAnswer(HOST, { account: "100", remote: remoteOf(HOST, "TLS") }));
  bench.after(SECOND).take(wrongAnswer(HOST, { account: "200", service: "SIP" }));
  bench.take(challengeSent(HOST, { account: "300" }));
  bench.after(10 * SECOND);
  assert.deepEqual(lastOf(bench), [
    {
      at: start,
      what: "wrong password",
      service: "PJSIP",
      transport: "TLS",
      account: "100",
      points: 5,
    },
    {
      at: start + SECOND,
      what: "wrong password",
      service: "SIP",
      transport: "UDP",
      account: "200",
      points: 5,
    },
    {
      at: bench.now,
      what: "unanswered challenge",
      service: "PJSIP",
      transport: "UDP",
      account: "300",
      points: 4,
    },
  ]);
});

Deno.test("last failures: twenty of a host, the newest; a block takes them along, a login forgets", () => {
  const bench = new TableBench({ loyalty: FAILURES_MAX + 5 });
  for (let i = 0; i < FAILURES_MAX + 4; i++) {
    bench.after(1).take(wrongAnswer(HOST, { account: `${i}` }));
  }
  const accounts = Array.from({ length: FAILURES_MAX }, (_, i) => `${i + 4}`);
  assert.deepEqual(lastOf(bench).map(({ account }) => account), accounts);
  bench.take(wrongAnswer(HOST, { account: "last" }));
  const [offence] = bench.offences;
  assert.deepEqual(
    offence!.last.map(({ account }) => account),
    [...accounts.slice(1), "last"],
  );
  assert.deepEqual(lastOf(bench), []);
  // Nothing of it is left for who comes next, or comes again.
  bench.take(wrongAnswer("203.0.113.9", { account: "next" }), wrongAnswer(HOST, { account: "a" }));
  assert.deepEqual(lastOf(bench, "203.0.113.9").map(({ account }) => account), ["next"]);
  assert.deepEqual(lastOf(bench).map(({ account }) => account), ["a"]);
  bench.take(successfulAuth(HOST, { account: "a" }));
  assert.deepEqual(lastOf(bench), []);
});

Deno.test("last failures: bounded over all hosts, and each forgotten host gives room", () => {
  const bench = new TableBench({ loyalty: 100, ipv6Prefix: 128 });
  const each = Math.ceil(ALL_FAILURES_MAX / HOSTS_MAX) + 1;
  const hosts = HOSTS_MAX;
  for (let round = 0; round < each; round++) {
    for (let i = 0; i < hosts; i++) bench.take(wrongAnswer(address(i), { account: `${round}` }));
  }
  // The first round had to make room.
  const known = [0, 1, hosts - 1].map((i) => lastOf(bench, address(i)));
  for (const last of known) {
    assert.equal(last.length, each - 1);
    assert.equal(last.at(-1)!.account, `${each - 1}`);
  }
  // Who leaves gives room.
  bench.table.clearPoints("20.0.0.0/24", overlaps);
  bench.take(wrongAnswer("198.51.100.1", { account: "new" }));
  assert.deepEqual(lastOf(bench, "198.51.100.1").map(({ account }) => account), ["new"]);
});

const WRONG = {
  kind: "ChallengeResponseFailed",
  service: "PJSIP",
  transport: "UDP",
  address: HOST,
  detail: "",
  session: 1,
  answer: 1,
  time: "2026-11-22T08:09:09.918+0000",
} as const;

Deno.test("last failures: their numbers may begin anew", () => {
  const failures = new LastFailures(-3);
  const attempts = new Attempts(new Hosts().records);
  const [one, other] = [5, 2_000];
  for (let i = 0; i < 6; i++) {
    const event = new SecurityEvent();
    event.state({ ...WRONG, account: `${i}` });
    failures.note(i % 3 === 2 ? other : one, event, attempts, 5, i);
  }
  assert.deepEqual(failures.of(one).map(({ account, at }) => [account, at]), [
    ["0", 0],
    ["1", 1],
    ["3", 3],
    ["4", 4],
  ]);
  assert.deepEqual(failures.of(other).map(({ account }) => account), ["2", "5"]);
  failures.forget(one);
  assert.deepEqual(failures.of(one), []);
  assert.deepEqual(failures.of(other).map(({ account }) => account), ["2", "5"]);
  assert.deepEqual(failures.of(9_999), []);
});
