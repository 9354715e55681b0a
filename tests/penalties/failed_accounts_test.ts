/** Which account's failures a login forgives. */

import assert from "node:assert/strict";
import { ACCOUNTS_MAX, FailedAccounts } from "../../src/penalties/failed_accounts.ts";
import { FORGIVEN_A_DAY } from "../../src/penalties/forgiveness.ts";
import { printEvent, remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { HOST, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("failed accounts: chan_sip's account may be a dialled number, so no login proves it", () => {
  const bench = new TableBench();
  const sip = { service: "SIP", account: "4711" } as const;
  for (let i = 0; i < 100 && bench.blocked.length === 0; i++) {
    bench.take(wrongAnswer(HOST, sip));
    bench.take(successfulAuth(HOST, { ...sip, session: `0x${i}` })).after(SECOND);
  }
  assert.deepEqual(bench.blocked, [HOST]);
});

Deno.test("failed accounts: a login at one service forgives nothing that failed at another under the same name", () => {
  const failures = [
    () => wrongAnswer(HOST, { service: "SIP", account: "own" }),
    () =>
      printEvent({
        kind: "InvalidPassword",
        service: "AMI",
        account: "own",
        session: "0x1",
        remote: remoteOf(HOST, "TCP"),
        tail: [["SessionTV", "1970-01-01T00:00:00.000+0000"]],
      }),
  ];
  for (const failure of failures) {
    const bench = new TableBench();
    let guesses = 0;
    for (; guesses < 1_000 && bench.blocked.length === 0; guesses++) {
      bench.take(failure(), successfulAuth(HOST, { account: "own" })).after(SECOND);
    }
    assert.ok(guesses <= FORGIVEN_A_DAY + 31, `${guesses} guesses`);
  }
});

Deno.test("failed accounts: what more of them than the bound cost is no login's", () => {
  const failed = new FailedAccounts();
  for (let i = 0; i < ACCOUNTS_MAX + 2; i++) {
    failed.add(1, { service: "PJSIP", account: `${i}` }, 5, true, i + 1, i);
  }
  assert.equal(failed.forgive(1, { service: "PJSIP", account: `${ACCOUNTS_MAX - 1}` }), 5);
  assert.equal(failed.forgive(1, { service: "PJSIP", account: `${ACCOUNTS_MAX + 1}` }), 0);
  assert.equal(failed.forgiveAny(1, 1_000), 5 * (ACCOUNTS_MAX + 1));
});

Deno.test("failed accounts: several of PJSIP with a session each are told, as an office's phones may be", () => {
  const told = (...fails: (readonly [account: string, session: string])[]) => {
    const bench = new TableBench({ doubtMs: 25 * SECOND });
    for (const [account, session] of fails) {
      bench.take(wrongAnswer(HOST, { account, session })).after(SECOND);
    }
    return bench.offences.map(({ grounds, apart }) => [grounds, apart]);
  };
  const three = ["100", "101", "102"];
  assert.deepEqual(told(["100", "a"], ["101", "b"], ["102", "c"]), [["attempts", three]]);
  assert.deepEqual(told(["100", "a"], ["100", "b"], ["101", "c"]), [["attempts", undefined]]);
  assert.deepEqual(told(["100", "a"], ["101", "a"], ["102", "c"]), [["attempts", undefined]]);
  assert.deepEqual(told(["100", "a"], ["101", "b"], ["100", "a"]), [["two phones", undefined]]);
  const unknown = "<unknown>";
  assert.deepEqual(told([unknown, "a"], [unknown, "b"], ["102", "c"]), [["attempts", undefined]]);
  const sip = new TableBench();
  for (const account of three) {
    sip.take(wrongAnswer(HOST, { service: "SIP", account, session: account }));
  }
  assert.deepEqual(sip.offences.map(({ apart }) => apart), [undefined]);
});
