/** What one attempt is, and what it costs. */

import assert from "node:assert/strict";
import {
  ATTEMPT_POINTS,
  Attempts,
  ATTEMPTS_MAX,
  RETRANSMISSIONS_MAX,
  WAITING_MAX,
} from "../../src/penalties/attempts.ts";
import { ATTEMPTS, Hosts, NONE, WAITING } from "../../src/penalties/hosts.ts";
import { Dice } from "../simulation/dice.ts";
import {
  challengeSent,
  failedAcl,
  printEvent,
  remoteOf,
  successfulAuth,
  unique,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { address } from "../support/database_samples.ts";
import { parse } from "../support/parsing.ts";
import { answer, DAY, HOST, SECOND, TableBench } from "../support/table_bench.ts";

/** Lets a guesser go on for ever who is not blocked: how many attempts were charged. */
function charged(bench: TableBench): number {
  const open = bench.table.worst(1, bench.now)[0]?.points ?? 0;
  return bench.offences.reduce((sum, { points }) => sum + points, open) / ATTEMPT_POINTS;
}

Deno.test("attempts: the same wrong answer again is free ten times on UDP, and then a guess", () => {
  const bench = new TableBench({ loyalty: 1_000 }).take(answer("a", "1/c", "r"));
  for (let i = 0; i < RETRANSMISSIONS_MAX; i++) {
    bench.after(500).take(answer("a", "1/c", "r"));
    assert.equal(bench.points(), 5);
  }
  bench.after(500).take(answer("a", "1/c", "r"));
  assert.equal(bench.points(), 10);
  bench.after(500).take(answer("a", "1/c", "r"));
  assert.equal(bench.points(), 15);
});

Deno.test("attempts: retransmissions do not come faster than T1, and one packet may be doubled", () => {
  const bench = new TableBench().take(answer("a", "1/c", "r"), answer("a", "1/c", "r"));
  assert.equal(bench.points(), 5, "doubled by the network");
  bench.after(399).take(answer("a", "1/c", "r"));
  assert.equal(bench.points(), 10, "within T1");
  bench.after(500).take(answer("a", "1/c", "r"));
  assert.equal(bench.points(), 10, "T1 later");
});

Deno.test("attempts: connections never retransmit, and an empty answer is never a repetition", () => {
  for (const transport of ["TCP", "TLS", "WS", "WSS"]) {
    const bench = new TableBench();
    for (let i = 0; i < 3; i++) bench.take(answer("a", "1/c", "r", transport)).after(500);
    assert.deepEqual(bench.blocked, [HOST], transport);
  }
  const empty = new TableBench();
  for (let i = 0; i < 3; i++) empty.take(answer("a", "", "")).after(500);
  assert.deepEqual(empty.blocked, [HOST]);
  const nothing = new TableBench();
  for (let i = 0; i < 3; i++) nothing.take(answer("a", "1/c", "")).after(500);
  assert.deepEqual(nothing.blocked, [HOST]);
});

Deno.test("attempts: ten thousand that look alike are charged, today and tomorrow", () => {
  const bench = new TableBench();
  for (let day = 0; day < 2; day++) {
    bench.offences.length = 0;
    for (let i = 0; i < 10_000; i++) bench.take(answer("a", "", "")).after(3);
    assert.ok(bench.offences.length >= 10_000 / 3 - 1, `${bench.offences.length}`);
    bench.after(DAY + SECOND);
  }
});

Deno.test("attempts: all that an attempt may raise besides costs it once in eleven events at least", () => {
  const bench = new TableBench({ loyalty: 1_000 });
  const one = "same";
  const raise = [
    () => challengeSent(HOST, { session: one, tail: [["Challenge", ""]] }),
    () => answer(one, "1/c", "r"),
    () => failedAcl(HOST, "not_match_endpoint_acl", { session: one }),
    () =>
      printEvent({
        kind: "InvalidAccountID",
        service: "PJSIP",
        session: one,
        remote: remoteOf(HOST),
      }),
  ];
  const events = 1_100;
  for (let i = 0; i < events; i++) bench.take(raise[i % raise.length]!()).after(10);
  bench.after(6 * SECOND);
  assert.ok(charged(bench) >= events / 11, `${charged(bench)} of ${events}`);
});

Deno.test("attempts: chan_sip tells account names apart within one session", () => {
  const bench = new TableBench();
  const invalid = (account: string) =>
    printEvent({
      kind: "InvalidAccountID",
      service: "SIP",
      account,
      session: "0x1",
      remote: remoteOf(HOST),
    });
  bench.take(invalid("100"), invalid("100"), invalid("101"));
  assert.equal(bench.points(), 10);
  assert.deepEqual(bench.take(invalid("102")).blocked, [HOST]);
});

Deno.test("attempts: unknown accounts of PJSIP cost what their challenge costs, once", () => {
  const bench = new TableBench();
  for (const session of ["a", "b"]) {
    const unknown = { service: "PJSIP", session, remote: remoteOf(HOST) } as const;
    bench.take(
      printEvent({ kind: "InvalidAccountID", ...unknown }),
      challengeSent(HOST, { session, account: "<unknown>" }),
    ).after(6 * SECOND);
  }
  assert.equal(bench.points(), 14);
});

Deno.test("attempts: the manager interface and chan_sip use their SessionIDs again", () => {
  const manager = () =>
    printEvent({
      kind: "InvalidPassword",
      service: "AMI",
      account: "admin",
      session: "0x1",
      remote: remoteOf(HOST, "TCP"),
      tail: [["SessionTV", "1970-01-01T00:00:00.000+0000"]],
    });
  const ami = new TableBench().take(manager(), manager(), manager());
  assert.deepEqual([ami.offences[0]!.grounds, ami.offences[0]!.proven], ["attempts", true]);
  const sip = new TableBench();
  for (let i = 0; i < 3; i++) sip.take(wrongAnswer(HOST, { service: "SIP", session: "0x1" }));
  assert.equal(sip.offences[0]!.grounds, "attempts", "another challenge is another session");
});

Deno.test("attempts: a burst of fifteen answers is one attempt of a host in good standing, and no more than that", () => {
  const burst = (bench: TableBench, answers: number) => {
    const session = unique();
    for (let i = 0; i < answers; i++) bench.take(answer(session, `1/${session}`, unique()));
    return bench;
  };
  const standing = () =>
    new TableBench().take(successfulAuth(HOST, { account: "own" })).after(SECOND);
  assert.equal(burst(standing(), 15).points(), 5);
  assert.equal(burst(standing(), 16).points(), 80, "whoever goes on was not a phone");
  assert.equal(burst(standing(), 17).points(), 85);
  const gone = burst(standing(), 30);
  assert.deepEqual(gone.blocked, [HOST]);
  assert.equal(gone.offences[0]!.tally.wrongAnswers, 30, "those of the burst are told too");
  assert.equal(
    burst(burst(standing(), 15).after(29 * SECOND), 15).points(),
    80,
    "it rests for 30 s",
  );
  assert.equal(burst(burst(standing(), 15).after(30 * SECOND), 15).points(), 10);
  assert.deepEqual(burst(new TableBench(), 3).blocked, [HOST], "a stranger's answers are attempts");
});

Deno.test("attempts: an attempt for which room was made by a block leaves nothing to whoever comes next", () => {
  const bench = new TableBench({ loyalty: 2, creditMs: 0 });
  for (let i = 0; i < ATTEMPTS_MAX; i++) bench.take(challengeSent(HOST));
  // To make room the oldest challenge costs 4, and the next one 10 more.
  bench.take(challengeSent(HOST), wrongAnswer(HOST, { account: "own" }));
  assert.deepEqual(bench.blocked, [HOST]);
  const next = "203.0.113.6";
  bench.take(wrongAnswer(next, { account: "boss" }), successfulAuth(next, { account: "own" }));
  assert.equal(bench.points(next), 5, "not forgiven: it never failed on its own account");
});

Deno.test("attempts: of all that wait the oldest is charged when there are more than the bound", () => {
  const bench = new TableBench();
  const each = WAITING_MAX / 16_384;
  for (let i = 0; i < 16_384; i++) {
    for (let j = 0; j < each; j++) bench.take(challengeSent(address(i)));
  }
  // Two sessions of one host whose seeded hashes are equal are one attempt: about once in a
  // thousand runs.
  while (bench.table.waiting < WAITING_MAX) bench.take(challengeSent(address(16_383)));
  assert.equal(bench.table.waiting, WAITING_MAX);
  assert.equal(bench.points(address(0)), 0);
  bench.take(challengeSent(HOST));
  assert.equal(bench.table.waiting, WAITING_MAX);
  assert.equal(bench.points(address(0)), 4);
});

Deno.test("attempts: the latest answers of a session are remembered", () => {
  const bench = new TableBench({ loyalty: 1_000 });
  const answer = (response: string) =>
    wrongAnswer(HOST, {
      session: "a",
      tail: [["Challenge", "1/c"], ["Response", response], ["ExpectedResponse", ""]],
    });
  for (let i = 0; i < 70; i++) bench.take(answer(`r${i}`));
  const before = bench.points();
  bench.after(SECOND).take(answer("r69"));
  assert.equal(bench.points(), before, "a retransmission");
  bench.after(SECOND).take(answer("r2"));
  assert.equal(bench.points(), before + 5, "too long ago");
});

Deno.test("attempts: of a host only so many wait, the oldest is charged when there are more", () => {
  const bench = new TableBench().take(
    ...Array.from({ length: ATTEMPTS_MAX }, () => challengeSent(HOST)),
  );
  assert.equal(bench.table.waiting, ATTEMPTS_MAX);
  assert.equal(bench.points(), 0);
  bench.take(challengeSent(HOST));
  assert.equal(bench.points(), 4);
  assert.equal(bench.table.waiting, ATTEMPTS_MAX);
  bench.take(challengeSent(HOST), challengeSent(HOST));
  assert.deepEqual(bench.blocked, [HOST]);
  assert.equal(bench.table.waiting, 0, "nothing of a blocked host waits");
  assert.equal(bench.table.size, 0);
  bench.after(60_000);
  assert.deepEqual(bench.blocked, [HOST], "and nothing is charged later");
});

/** The event that opens an attempt in a session. */
function opening(session: string) {
  return parse(challengeSent(HOST, { session })).event;
}

Deno.test("attempts: one is found by its session for 32 seconds, and as long as it waits", () => {
  const hosts = new Hosts();
  const attempts = new Attempts(hosts.records);
  const [host, other] = [hosts.make(1, 0), hosts.make(2, 0)];
  const event = opening("a");
  const attempt = attempts.open(host, event, 0);
  assert.equal(attempts.find(host, event.session, 32_000), attempt);
  assert.equal(attempts.find(host, event.session, 32_001), NONE);
  assert.equal(attempts.find(host, opening("b").session, 0), NONE);
  assert.equal(attempts.find(other, event.session, 0), NONE);
  attempts.wait(attempt);
  assert.equal(attempts.find(host, event.session, 99_999), attempt);
  attempts.stopWaiting(attempt);
  assert.equal(attempts.find(host, event.session, 99_999), NONE);
  const next = attempts.open(host, event, 99_999);
  assert.equal(attempts.find(host, event.session, 99_999), next);
  assert.equal(hosts.records.get(host, ATTEMPTS), 1, "the first is forgotten");
});

Deno.test("attempts: where one came from is remembered, with its account", () => {
  const hosts = new Hosts();
  const attempts = new Attempts(hosts.records);
  const host = hosts.make(1, 0);
  const origins = [
    ["PJSIP", "WSS"],
    ["PJSIP", "WS"],
    ["PJSIP", "TLS"],
    ["SIP", "TCP"],
    ["SIP", "UDP"],
    ["IAX2", ""],
  ] as const;
  for (const [service, transport] of origins) {
    const remote = transport === "" ? `IPV4/${HOST}/5060` : remoteOf(HOST, transport);
    const event = parse(challengeSent(HOST, { service, remote, account: `of ${service}` })).event;
    assert.equal(event.service, service);
    const attempt = attempts.open(host, event, 0);
    assert.deepEqual(attempts.originOf(attempt), { service, transport, account: `of ${service}` });
    attempts.setAccount(attempt, "another");
    assert.equal(attempts.accountOf(attempt), "another");
  }
});

Deno.test("attempts: counts and orders are those of a plain list, whatever is opened, waits and ends", () => {
  const sessions = Array.from({ length: 5 }, (_, i) => opening(`${i}`));
  for (let seed = 1; seed <= 100; seed++) {
    const dice = new Dice(seed);
    const hosts = new Hosts();
    const attempts = new Attempts(hosts.records);
    const all = [1, 2, 3].map((key) => hosts.make(key, 0));
    let model: { attempt: number; host: number; waits: boolean }[] = [];
    let queue: number[] = [];
    for (let step = 0; step < 300; step++) {
      const one = model.length > 0 ? dice.pick(model) : undefined;
      const deed = dice.int(0, 5);
      if (one === undefined || deed <= 1) {
        const host = dice.pick(all);
        // All at the same time: none is too old.
        model.push({ attempt: attempts.open(host, dice.pick(sessions), 0), host, waits: false });
      } else if (deed === 2 && !one.waits) {
        attempts.wait(one.attempt);
        one.waits = true;
        queue.push(one.attempt);
      } else if (deed === 3) {
        attempts.stopWaiting(one.attempt);
        one.waits = false;
        queue = queue.filter((attempt) => attempt !== one.attempt);
      } else if (deed === 4) {
        attempts.release(one.attempt);
        model = model.filter((other) => other !== one);
        queue = queue.filter((attempt) => attempt !== one.attempt);
      } else if (dice.chance(0.1)) {
        const gone = model.filter(({ host }) => host === one.host).map(({ attempt }) => attempt);
        attempts.releaseAll(one.host);
        model = model.filter(({ host }) => host !== one.host);
        queue = queue.filter((attempt) => !gone.includes(attempt));
      }
      assert.deepEqual(
        [attempts.waiting, attempts.oldestWaiting],
        [queue.length, queue[0] ?? NONE],
        `seed ${seed}`,
      );
      for (const host of all) {
        const own = model.filter((other) => other.host === host);
        assert.equal(hosts.records.get(host, ATTEMPTS), own.length);
        assert.equal(hosts.records.get(host, WAITING), own.filter(({ waits }) => waits).length);
        if (own.length < 2) continue;
        const settled = own.slice(0, -1).find(({ waits }) => !waits);
        assert.equal(attempts.oldestOf(host, own.at(-1)!.attempt), (settled ?? own[0]!).attempt);
      }
    }
  }
});
