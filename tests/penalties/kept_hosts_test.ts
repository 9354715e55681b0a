/** What hosts have cost outlives a restart: it counts as before, and blocks nobody by itself. */

import assert from "node:assert/strict";
import type { KeptHost } from "../../src/penalties/kept_hosts.ts";
import {
  challengeSent,
  remoteOf,
  successfulAuth,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { HOST, SECOND, TableBench } from "../support/table_bench.ts";

/** All that is kept of a table, as a file would hold it. */
function kept(bench: TableBench): KeptHost[] {
  const { kept } = bench.table.inspection;
  const hosts = kept.guiltiest(1_000).flatMap((host) => kept.of(host) ?? []);
  return JSON.parse(JSON.stringify(hosts)).sort((a: KeptHost, b: KeptHost) => a.lastAt - b.lastAt);
}

function restarted(bench: TableBench, options = {}): TableBench {
  const next = new TableBench({ ...options });
  next.now = bench.now;
  next.table.inspection.kept.restore(kept(bench), next.now);
  return next;
}

Deno.test("kept hosts: the third wrong password blocks, wherever the restart was", () => {
  for (const service of ["PJSIP", "SIP"] as const) {
    for (const at of [0, 1, 2]) {
      let bench = new TableBench();
      for (let i = 0; i < 3; i++) {
        if (i === at) bench = restarted(bench);
        assert.deepEqual(bench.offences, []);
        bench.after(SECOND).take(wrongAnswer(HOST, { service, account: `${i}` }));
      }
      const [offence] = bench.offences;
      assert.equal(offence?.target, HOST);
      assert.equal(offence?.grounds, "attempts");
      assert.equal(offence?.tally.wrongAnswers, 3);
    }
  }
});

Deno.test("kept hosts: one session is still one, two phones are still two, and proof is still proof", () => {
  const grounds = (events: string[]) => {
    let bench = new TableBench();
    events.forEach((event, i) => {
      if (i === events.length - 1) bench = restarted(bench);
      bench.after(SECOND).take(event);
    });
    const [offence] = bench.offences;
    return [offence?.grounds, offence?.proven];
  };
  const tcp = { remote: remoteOf(HOST, "TCP") };
  const wrong = (session: string, account: string, more = {}) =>
    wrongAnswer(HOST, { session, account, ...more });
  assert.deepEqual(grounds([wrong("a", "1"), wrong("a", "1"), wrong("a", "1")]), [
    "single session",
    false,
  ]);
  assert.deepEqual(grounds([wrong("a", "1"), wrong("a", "1"), wrong("b", "2")]), [
    "two phones",
    false,
  ]);
  assert.deepEqual(grounds([wrong("a", "1", tcp), wrong("b", "2", tcp), wrong("c", "3", tcp)]), [
    "attempts",
    true,
  ]);
});

Deno.test("kept hosts: a login forgives its own account and others, as before", () => {
  let bench = new TableBench();
  bench.take(wrongAnswer(HOST, { account: "100" }), wrongAnswer(HOST, { account: "200" }));
  bench = restarted(bench);
  bench.take(successfulAuth(HOST, { account: "100" }));
  assert.deepEqual(kept(bench), []);
});

Deno.test("kept hosts: unanswered challenges stay what they are", () => {
  let bench = new TableBench();
  bench.take(challengeSent(HOST)).after(10 * SECOND);
  assert.deepEqual(kept(bench).map(({ points, soft }) => [points, soft]), [[4, 4]]);
  bench = restarted(bench);
  assert.deepEqual(kept(bench).map(({ points, soft }) => [points, soft]), [[4, 4]]);
  bench.take(challengeSent(HOST)).after(10 * SECOND);
  const [offence] = bench.offences;
  assert.equal(offence, undefined);
  assert.deepEqual(kept(bench).map(({ points, soft }) => [points, soft]), [[14, 14]]);
});

Deno.test("kept hosts: too many points block with the next failure, not before", () => {
  const before = new TableBench({ loyalty: 30 });
  for (let i = 0; i < 10; i++) before.take(wrongAnswer(HOST, { account: `${i}` }));
  const bench = restarted(before, { loyalty: 3 });
  bench.after(SECOND);
  assert.deepEqual(bench.offences, []);
  bench.take(wrongAnswer(HOST));
  assert.deepEqual(bench.blocked, [HOST]);
});

Deno.test("kept hosts: the failures of an IPv6 network are still its own", () => {
  let bench = new TableBench({ ipv6Prefix: 64 });
  for (const host of ["2001:db8::1", "2001:db8::2"]) bench.take(wrongAnswer(host));
  bench = restarted(bench, { ipv6Prefix: 64 });
  bench.take(wrongAnswer("2001:db8::3"));
  assert.deepEqual(bench.blocked, ["2001:db8::/64"]);
});

Deno.test("kept hosts: whoever is known already keeps what is newer; nobody comes from nothing", () => {
  const before = new TableBench();
  before.take(wrongAnswer(HOST), wrongAnswer("203.0.113.6"));
  const bench = new TableBench();
  bench.now = before.now;
  bench.take(wrongAnswer(HOST), wrongAnswer(HOST));
  const none = { ...kept(before)[0]!, host: "203.0.113.7", points: 0 };
  bench.table.inspection.kept.restore([...kept(before), none], bench.now);
  assert.deepEqual(
    kept(bench).map(({ host, points }) => `${host} ${points}`).sort(),
    [`${HOST} 10`, "203.0.113.6 5"],
  );
});
