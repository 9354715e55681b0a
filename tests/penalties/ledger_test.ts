/** What follows from all that a host has cost. */

import assert from "node:assert/strict";
import {
  challengeSent,
  remoteOf,
  successfulAuth,
  unique,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { answer, DAY, HOST, MINUTE, SECOND, TableBench } from "../support/table_bench.ts";

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
