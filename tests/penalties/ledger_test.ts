/** What follows from all that a host has cost. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { ATTEMPT_POINTS } from "../../src/penalties/attempts.ts";
import { GONE, Hosts, POINTS } from "../../src/penalties/hosts.ts";
import { Ledger } from "../../src/penalties/ledger.ts";
import type { PenaltyPolicy } from "../../src/penalties/policy.ts";
import {
  challengeSent,
  remoteOf,
  successfulAuth,
  unique,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { parse } from "../support/parsing.ts";
import { answer, DAY, HOST, MINUTE, POLICY, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("ledger: a single session is in doubt, two are not, and a login ends the row", () => {
  const burst = (bench: TableBench, session: string) => {
    for (let i = 0; i < 3; i++) bench.take(answer(session, "1/c", unique()));
    return bench;
  };
  const bench = new TableBench();
  for (const session of ["a", "b", "c"]) burst(bench.after(MINUTE), session);
  assert.deepEqual(bench.offences.map(({ grounds, row }) => [grounds, row]), [
    ["single session", 0],
    ["single session", 1],
    ["single session", 2],
  ]);
  bench.take(successfulAuth(HOST)).after(8 * DAY);
  burst(bench, "d");
  assert.deepEqual([bench.offences.at(-1)!.grounds, bench.offences.at(-1)!.row], [
    "single session",
    0,
  ]);
  burst(bench.after(DAY + SECOND), "e");
  assert.equal(bench.offences.at(-1)!.row, 0, "forgotten");
  const spread = new TableBench().take(answer("a", "1/c", "1"), answer("b", "1/c", "2"));
  spread.take(answer("b", "1/c", "3"));
  assert.equal(spread.offences[0]!.grounds, "attempts");
});

Deno.test("ledger: two accounts that fail in a session each are in doubt, and nothing else that is spread", () => {
  const groundsOf = (...failures: [account: string, session: string][]) => {
    const bench = new TableBench({ loyalty: failures.length });
    for (const [account, session] of failures) {
      bench.take(wrongAnswer(HOST, { account, session, remote: remoteOf(HOST, "TLS") }));
    }
    return bench.offences.map(({ grounds }) => grounds).join();
  };
  assert.equal(groundsOf(["a", "1"], ["b", "2"], ["a", "1"]), "two phones");
  assert.equal(groundsOf(["a", "1"], ["b", "2"], ["b", "2"]), "two phones");
  assert.equal(groundsOf(["a", "1"], ["a", "1"], ["b", "2"]), "two phones");
  assert.equal(groundsOf(["a", "1"], ["b", "1"], ["a", "1"]), "single session");
  // A session for each guess, on however many accounts.
  assert.equal(groundsOf(["a", "1"], ["b", "2"], ["a", "3"]), "attempts");
  assert.equal(groundsOf(["a", "1"], ["b", "2"], ["c", "3"]), "attempts");
  assert.equal(groundsOf(["a", "1"], ["a", "2"], ["a", "3"]), "attempts");
  assert.equal(groundsOf(["a", "1"], ["b", "2"]), "attempts");
  // Two sessions that are not of an account each.
  assert.equal(groundsOf(["a", "1"], ["a", "2"], ["a", "2"]), "attempts");
  assert.equal(groundsOf(["a", "1"], ["b", "2"], ["b", "1"]), "attempts");
  assert.equal(groundsOf(["a", "1"], ["a", "2"], ["b", "2"]), "attempts");
  // Three phones can't be told from who tries one password on three accounts.
  assert.equal(groundsOf(["a", "1"], ["b", "2"], ["c", "3"], ["a", "1"]), "attempts");
});

Deno.test("ledger: unanswered challenges alone are no guilt, and never more than doubt", () => {
  const bench = new TableBench();
  for (let i = 0; i < 3; i++) bench.take(challengeSent(HOST)).after(6 * SECOND);
  assert.equal(bench.offences[0]!.grounds, "unanswered");
  const mixed = new TableBench();
  for (let i = 0; i < 2; i++) mixed.take(challengeSent(HOST)).after(6 * SECOND);
  mixed.take(wrongAnswer(HOST));
  assert.equal(mixed.offences[0]!.grounds, "unanswered");
  const late = new TableBench();
  for (const session of ["a", "b", "c"]) {
    late.take(challengeSent(HOST, { session })).after(6 * SECOND);
    late.take(wrongAnswer(HOST, { session }));
  }
  assert.equal(late.offences[0]!.grounds, "attempts", "late answers are attempts");
});

Deno.test("ledger: only what can't be forged is proven", () => {
  const over = (transport: string, service: "PJSIP" | "SIP" = "PJSIP") => {
    const bench = new TableBench();
    for (let i = 0; i < 3; i++) {
      bench.take(wrongAnswer(HOST, { service, remote: remoteOf(HOST, transport) }));
    }
    return bench.offences[0]!.proven;
  };
  assert.deepEqual(["UDP", "TCP", "TLS", "WS", "WSS"].map((t) => over(t)), [
    false,
    true,
    true,
    true,
    true,
  ]);
  assert.equal(over("TCP", "SIP"), false, "chan_sip can be made to print another address");
  const mixed = new TableBench();
  mixed.take(wrongAnswer(HOST), wrongAnswer(HOST, { remote: remoteOf(HOST, "TLS") }));
  mixed.take(wrongAnswer(HOST, { remote: remoteOf(HOST, "TLS") }));
  assert.equal(mixed.offences[0]!.proven, false, "two of three are not enough");
});

Deno.test("ledger: what is forgiven was the proven part of what a host did", () => {
  const standing = new TableBench({ loyalty: 1 }).take(successfulAuth(HOST, { account: "own" }));
  // A phone that fails once at each registration over TLS, and somebody who forges its address
  // meanwhile.
  const over = { account: "own", remote: remoteOf(HOST, "TLS") };
  while (standing.points() < 40) {
    standing.take(wrongAnswer(HOST, over), wrongAnswer(HOST, { account: "x" }));
    standing.take(successfulAuth(HOST, over)).after(SECOND);
  }
  standing.take(wrongAnswer(HOST, over), wrongAnswer(HOST, over));
  assert.deepEqual(standing.offences.map(({ grounds, proven }) => [grounds, proven]), [[
    "good standing",
    false,
  ]]);
});

function ledgerWith(policy: Partial<PenaltyPolicy> = {}) {
  const hosts = new Hosts();
  const ledger = new Ledger({ ...POLICY, ...policy }, hosts);
  /** A host fails: its record. */
  const fail = (address: string, now: number, session = 1) => {
    const { event } = parse(wrongAnswer(address));
    const host = ledger.host(event, now);
    if (host !== 0) ledger.fail(host, ATTEMPT_POINTS, event, now, session);
    return host;
  };
  return { hosts, ledger, fail };
}

Deno.test("ledger: an attempt is opened once for a session, as long as it waits", () => {
  const { ledger } = ledgerWith();
  const { event } = parse(challengeSent(HOST, { session: "a" }));
  const host = ledger.host(event, 0);
  const attempt = ledger.open(host, event, 0);
  ledger.wait(attempt, 0);
  assert.equal(ledger.findOrOpen(host, event, 99_999), attempt);
  ledger.attempts.stopWaiting(attempt);
  const next = ledger.findOrOpen(host, event, 99_999);
  assert.equal(ledger.attempts.find(host, event.session, 99_999), next);
});

Deno.test("ledger: at the limit a host is an offence and leaves the table, and what follows begins anew", () => {
  const { hosts, ledger, fail } = ledgerWith({ loyalty: 3 });
  fail(HOST, 1_000);
  const host = fail(HOST, 2_000, 2);
  assert.deepEqual([ledger.takeOffences(), hosts.size], [[], 1]);
  fail(HOST, 4_000, 3);
  const [offence, ...more] = ledger.takeOffences();
  assert.deepEqual(more, []);
  assert.deepEqual(
    [
      offence?.target,
      offence?.points,
      offence?.limit,
      offence?.firstAt,
      offence?.at,
      offence?.grounds,
    ],
    [HOST, 15, 15, 1_000, 4_000, "attempts"],
  );
  assert.deepEqual([hosts.size, hosts.records.get(host, GONE)], [0, 1]);
  // Whoever still has its record in hand cannot make it an offence once more.
  ledger.fail(host, 99, parse(wrongAnswer(HOST)).event, 4_001, 3);
  assert.deepEqual(ledger.takeOffences(), []);
  assert.equal(hosts.records.get(fail(HOST, 5_000), POINTS), ATTEMPT_POINTS);
});

Deno.test("ledger: a host that was quiet for longer than is remembered begins anew", () => {
  const { hosts, fail } = ledgerWith({ forgetMs: 60_000 });
  fail(HOST, 0);
  assert.equal(hosts.records.get(fail(HOST, 60_000), POINTS), 2 * ATTEMPT_POINTS);
  assert.equal(hosts.records.get(fail(HOST, 120_001), POINTS), ATTEMPT_POINTS);
  assert.equal(hosts.size, 1);
});

Deno.test("ledger: who is exempt has no record, and loses the one that they have", () => {
  const { hosts, ledger, fail } = ledgerWith({ exempt: new AddressSet(["198.51.100.0/24"]) });
  assert.deepEqual([fail("198.51.100.7", 0), fail("127.0.0.1", 0)], [0, 0]);
  fail(HOST, 0);
  fail("203.0.113.6", 0);
  ledger.setPolicy({ ...POLICY, exempt: new AddressSet([HOST]) });
  assert.deepEqual(hosts.worst(9, () => 15).map(({ host }) => host), ["203.0.113.6"]);
  assert.notEqual(fail("198.51.100.7", 0), 0, "not exempt any more");
});

Deno.test("ledger: who has logged in has ten times the limit, and is innocent until they fail", () => {
  const { hosts, ledger, fail } = ledgerWith({ ipv6Prefix: 64 });
  const [phone, other] = ["2001:db8:0:1::1", "2001:db8:0:1::2"];
  for (const address of [phone, other]) ledger.standing.login(address, 0);
  ledger.standing.login("2001:db8:0:2::1", 0);
  assert.deepEqual(ledger.shortBlocks.innocentIn("2001:db8:0:1::/64", hosts).toSorted(), [
    phone,
    other,
  ]);
  const host = fail(phone, 1_000);
  assert.deepEqual(ledger.shortBlocks.innocentIn("2001:db8:0:1::/64", hosts), [other]);
  assert.equal(ledger.limitOf(host, 1_000), 10 * 5 * POLICY.loyalty);
  assert.equal(ledger.limitOf(host, POLICY.creditMs + 1), 5 * POLICY.loyalty, "the credit is over");
  assert.deepEqual(ledger.shortBlocks.innocentIn("2001:db8:0:3::/64", hosts), []);
});
