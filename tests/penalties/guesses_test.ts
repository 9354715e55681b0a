/** No guess goes uncounted, whatever the guesser makes Asterisk print. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { ATTEMPT_POINTS, ATTEMPTS_MAX, RETRANSMISSIONS_MAX } from "../../src/penalties/attempts.ts";
import { BENIGN_ACL_NAMES } from "../../src/penalties/penalty_table.ts";
import { FORGIVEN_A_DAY } from "../../src/penalties/forgiveness.ts";
import { HOSTS_MAX } from "../../src/penalties/hosts.ts";
import { RECENT_LOGIN_MS } from "../../src/penalties/short_blocks.ts";
import {
  NETWORK_BLOCKS_MAX,
  SHARED_NETWORK_HOSTS_MIN,
} from "../../src/penalties/network_failures.ts";
import { reasonOf } from "../../src/penalties/reason.ts";

import {
  challengeSent,
  failedAcl,
  printEvent,
  remoteOf,
  successfulAuth,
  unique,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { DAY, HOST, MINUTE, SECOND, TableBench } from "../support/table_bench.ts";

/** A wrong answer of PJSIP with these texts in it. */
function answer(session: string, challenge: string, response: string, transport = "UDP"): string {
  return wrongAnswer(HOST, {
    session,
    remote: remoteOf(HOST, transport),
    tail: [["Challenge", challenge], ["Response", response], ["ExpectedResponse", ""]],
  });
}

/** Lets a guesser go on for ever who is not blocked: how many attempts were charged. */
function charged(bench: TableBench): number {
  const open = bench.table.worst(1, bench.now)[0]?.points ?? 0;
  return bench.offences.reduce((sum, { points }) => sum + points, open) / ATTEMPT_POINTS;
}

Deno.test("guesses: the same wrong answer again is free ten times on UDP, and then a guess", () => {
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

Deno.test("guesses: retransmissions do not come faster than T1, and one packet may be doubled", () => {
  const bench = new TableBench().take(answer("a", "1/c", "r"), answer("a", "1/c", "r"));
  assert.equal(bench.points(), 5, "doubled by the network");
  bench.after(399).take(answer("a", "1/c", "r"));
  assert.equal(bench.points(), 10, "within T1");
  bench.after(500).take(answer("a", "1/c", "r"));
  assert.equal(bench.points(), 10, "T1 later");
});

Deno.test("guesses: connections never retransmit, and an empty answer is never a repetition", () => {
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

Deno.test("guesses: ten thousand that look alike are charged, today and tomorrow", () => {
  const bench = new TableBench();
  for (let day = 0; day < 2; day++) {
    bench.offences.length = 0;
    for (let i = 0; i < 10_000; i++) bench.take(answer("a", "", "")).after(3);
    assert.ok(bench.offences.length >= 10_000 / 3 - 1, `${bench.offences.length}`);
    bench.after(DAY + SECOND);
  }
});

Deno.test("guesses: all that an attempt may raise besides costs it once in eleven events at least", () => {
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

Deno.test("guesses: chan_sip tells account names apart within one session", () => {
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

Deno.test("guesses: unknown accounts of PJSIP cost what their challenge costs, once", () => {
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

Deno.test("guesses: what comes after the block is counted and told", () => {
  const bench = new TableBench();
  for (let i = 0; i < 538; i++) bench.take(answer("a", "1/c", unique(), "TCP"));
  bench.after(SECOND);
  assert.deepEqual(bench.table.takeLate(), [], "not over yet");
  bench.after(SECOND);
  assert.deepEqual(bench.table.takeLate(), [[HOST, 535]]);
  assert.deepEqual(bench.table.takeLate(), [], "once");
  assert.ok(bench.offences.length > 100, "and charged");
});

Deno.test("guesses: a login forgives its own account, and others only so often a day", () => {
  const bench = new TableBench();
  let guesses = 0;
  for (let hour = 0; hour < 5; hour++) {
    for (let i = 0; i < 29 && bench.blocked.length === 0; i++) {
      bench.take(wrongAnswer(HOST, { account: "boss" }));
      guesses++;
    }
    bench.take(successfulAuth(HOST, { account: "own" })).after(SECOND);
  }
  assert.deepEqual(bench.blocked, [HOST]);
  assert.ok(guesses <= FORGIVEN_A_DAY + 30, `${guesses} guesses`);

  const phone = new TableBench();
  for (let i = 0; i < 1_000; i++) {
    phone.take(wrongAnswer(HOST, { account: "own" }), successfulAuth(HOST, { account: "own" }))
      .after(SECOND);
  }
  assert.deepEqual(phone.blocked, []);
  assert.equal(phone.points(), 0);
});

Deno.test("guesses: chan_sip's account may be a dialled number, so no login proves it", () => {
  const bench = new TableBench();
  const sip = { service: "SIP", account: "4711" } as const;
  for (let i = 0; i < 100 && bench.blocked.length === 0; i++) {
    bench.take(wrongAnswer(HOST, sip));
    bench.take(successfulAuth(HOST, { ...sip, session: `0x${i}` })).after(SECOND);
  }
  assert.deepEqual(bench.blocked, [HOST]);
});

Deno.test("guesses: what was forgiven comes back in a day", () => {
  const bench = new TableBench().take(successfulAuth(HOST, { account: "own" }));
  for (let day = 0; day < 30; day++) {
    for (let i = 0; i < FORGIVEN_A_DAY - 1; i++) {
      bench.after(DAY / FORGIVEN_A_DAY).take(
        wrongAnswer(HOST, { account: "colleague" }),
        successfulAuth(HOST, { account: "own" }),
      );
    }
  }
  assert.deepEqual(bench.blocked, [], "one mistake of a colleague every 48 minutes");
});

Deno.test("guesses: one login in a /64 does not free it", () => {
  const policy = { ipv6Prefix: 64 };
  const neighbour = (i: number) => `2001:db8:0:1::${(i + 1).toString(16)}`;
  const bench = new TableBench(policy).take(successfulAuth("2001:db8:0:1::beef"));
  let guesses = 0;
  const isOut = (address: string) =>
    bench.blocked.includes(address) || bench.blocked.includes("2001:db8:0:1::/64");
  for (let i = 0; i < 10_000; i++) {
    for (let twice = 0; twice < 2; twice++) {
      if (isOut(neighbour(i))) continue;
      bench.take(wrongAnswer(neighbour(i)));
      guesses++;
    }
  }
  assert.ok(bench.blocked.includes("2001:db8:0:1::/64"));
  assert.ok(guesses <= 2 * SHARED_NETWORK_HOSTS_MIN + NETWORK_BLOCKS_MAX + 1, `${guesses}`);
  assert.equal(bench.offences.at(-1)!.grounds, "shared network");
  assert.deepEqual(bench.table.innocentIn("2001:db8:0:1::/64"), ["2001:db8:0:1::beef"]);
});

Deno.test("guesses: an account's owner who takes new addresses is stopped with their network", () => {
  const bench = new TableBench({ ipv6Prefix: 64 });
  const network = "2001:db8:0:1::/64";
  let guesses = 0;
  for (let i = 1; i < 1_000 && !bench.blocked.includes(network); i++) {
    const address = `2001:db8:0:1::${i.toString(16)}`;
    bench.take(successfulAuth(address, { account: "own" }));
    for (let guess = 0; guess < 29 && !bench.blocked.includes(address); guess++) {
      bench.take(wrongAnswer(address, { account: "boss" }));
      guesses++;
    }
  }
  assert.ok(bench.blocked.includes(network), `${guesses} guesses`);
  assert.ok(guesses <= 100, `${guesses} guesses`);
  assert.deepEqual(
    bench.table.innocentIn(network),
    [],
    "whoever failed is not let through the block",
  );
});

Deno.test("guesses: eight hosts of a /64 with a wrong password each are their network", () => {
  const bench = new TableBench({ ipv6Prefix: 64 });
  for (let i = 1; i <= 8; i++) bench.take(wrongAnswer(`2001:db8:0:1::${i}`));
  assert.deepEqual(bench.blocked, ["2001:db8:0:1::/64", "2001:db8:0:1::/64"]);
  assert.equal(bench.offences[0]!.tally.wrongAnswers, 3);
  assert.equal(bench.offences[0]!.grounds, "attempts");
});

Deno.test("guesses: behind NAT64 and Teredo each address is a host, and trust of IPv4 holds", () => {
  const nat64 = ["2001:db8:64::/96"];
  for (const prefix of ["64:ff9b::", "2001:db8:64::", "2001:0:102:304:5:6:7:"]) {
    const bench = new TableBench({ ipv6Prefix: 64, nat64 });
    for (let i = 1; i <= 8; i++) bench.take(wrongAnswer(`${prefix}${i}`));
    assert.deepEqual(bench.blocked, [], prefix);
    for (let i = 0; i < 2; i++) bench.take(wrongAnswer(`${prefix}7`));
    assert.deepEqual(bench.blocked, [`${prefix}7`]);
  }
  const trusting = new TableBench({ ipv6Prefix: 64, exempt: new AddressSet(["203.0.113.7"]) });
  for (let i = 0; i < 9; i++) trusting.take(wrongAnswer("64:ff9b::cb00:7107"));
  assert.deepEqual(trusting.blocked, []);
  for (let i = 0; i < 3; i++) trusting.take(wrongAnswer("64:ff9b::cb00:7108"));
  assert.deepEqual(trusting.blocked, ["64:ff9b::cb00:7108"]);
});

Deno.test("guesses: a single session is in doubt, two are not, and a login ends the row", () => {
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

Deno.test("guesses: the manager interface and chan_sip use their SessionIDs again", () => {
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

Deno.test("guesses: unanswered challenges alone are no guilt, and never more than doubt", () => {
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

Deno.test("guesses: only what can't be forged is proven", () => {
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

Deno.test("guesses: while Ampere learns, silence costs nothing and wrong answers all", () => {
  const bench = new TableBench();
  bench.table.learnUntil(bench.now + 3_600_000);
  for (let i = 0; i < 100; i++) bench.take(challengeSent(HOST)).after(30 * SECOND);
  assert.deepEqual(bench.blocked, []);
  assert.equal(bench.points(), 0);
  bench.take(wrongAnswer(HOST), wrongAnswer(HOST), wrongAnswer(HOST));
  assert.deepEqual(bench.blocked, [HOST]);
  bench.after(3_600_000);
  for (let i = 0; i < 3; i++) bench.take(challengeSent(HOST)).after(30 * SECOND);
  assert.deepEqual(bench.blocked, [HOST, HOST]);
});

Deno.test("guesses: benign refusals are free for who belongs, and bounded for who does not", () => {
  for (const name of BENIGN_ACL_NAMES) {
    const own = new TableBench({ creditMs: 0 }).take(successfulAuth(HOST, { session: "a" }));
    for (let i = 0; i < 100; i++) own.take(failedAcl(HOST, name, { session: "a" }));
    assert.ok(own.blocked.length > 0, "without credit only so many in the session of the login");
  }
});

Deno.test("guesses: failures of whoever is never blocked are counted", () => {
  const bench = new TableBench({ exempt: new AddressSet(["198.51.100.7"]) });
  bench.take(
    wrongAnswer("198.51.100.7"),
    wrongAnswer("127.0.0.1"),
    wrongAnswer("127.0.0.1"),
    challengeSent("127.0.0.1"),
    failedAcl("127.0.0.1", "not_match_endpoint_acl"),
  );
  assert.deepEqual(bench.table.takeExemptFailures(), [["198.51.100.7", 1], ["127.0.0.1", 3]]);
  assert.deepEqual(bench.table.takeExemptFailures(), []);
});

Deno.test("guesses: a burst of fifteen answers is one attempt of a host in good standing, and no more than that", () => {
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

Deno.test("guesses: a login at one service forgives nothing that failed at another under the same name", () => {
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

Deno.test("guesses: a network is proven guilty by what can't be forged alone", () => {
  const blocks = (transports: string[]) => {
    const bench = new TableBench({ ipv6Prefix: 64 });
    transports.forEach((transport, i) => {
      const address = `2001:db8:0:1::${i + 1}`;
      bench.take(wrongAnswer(address, { remote: remoteOf(address, transport) }));
    });
    return bench.offences.map(({ target, proven }) => [target, proven]);
  };
  const network = "2001:db8:0:1::/64";
  assert.deepEqual(blocks(["UDP", "UDP", "TLS"]), [[network, false]], "one mistyped, two forged");
  assert.deepEqual(blocks(["TLS", "TLS", "TLS"]), [[network, true]]);
});

Deno.test("guesses: who belongs in a network pays for nothing that strangers did there, or in its name", () => {
  const bench = new TableBench({ ipv6Prefix: 64 }).take(successfulAuth("2001:db8:0:1::beef"));
  for (let i = 1; i <= 8 + NETWORK_BLOCKS_MAX / 2; i++) {
    bench.take(wrongAnswer(`2001:db8:0:1::${i}`));
  }
  assert.ok(bench.blocked.length > 0);
  bench.take(wrongAnswer("2001:db8:0:1::beef"));
  assert.ok(!bench.blocked.includes("2001:db8:0:1::beef"));
});

Deno.test("guesses: what is forgiven was the proven part of what a host did", () => {
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

Deno.test("guesses: unknown accounts without a challenge are hosts like others", () => {
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

Deno.test("guesses: an attempt for which room was made by a block leaves nothing to whoever comes next", () => {
  const bench = new TableBench({ loyalty: 2, creditMs: 0 });
  for (let i = 0; i < ATTEMPTS_MAX; i++) bench.take(challengeSent(HOST));
  // To make room the oldest challenge costs 4, and the next one 10 more.
  bench.take(challengeSent(HOST), wrongAnswer(HOST, { account: "own" }));
  assert.deepEqual(bench.blocked, [HOST]);
  const next = "203.0.113.6";
  bench.take(wrongAnswer(next, { account: "boss" }), successfulAuth(next, { account: "own" }));
  assert.equal(bench.points(next), 5, "not forgiven: it never failed on its own account");
});

Deno.test("guesses: what is under way when a host is blocked makes neither this block longer nor the next", () => {
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

Deno.test("guesses: a burst at the end of the first block for a single session is forborne once, and no guesser's", () => {
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
  for (const ms of [MINUTE, MINUTE + 4.9 * SECOND]) assert.equal(burst(back(ms), 15, 0.8), 0);
  for (const ms of [MINUTE - SECOND, MINUTE + 5 * SECOND + 1, 2 * MINUTE]) {
    assert.ok(burst(back(ms), 15, 0.8) > 0, `${ms}`);
  }
  assert.ok(burst(back(MINUTE, 0), 15, 0.8) > 0, "off");
  // Two attempts are left at most, so that the next burst but one is too much.
  const phone = back(MINUTE);
  burst(phone, 15, 0.8);
  assert.ok(phone.points() <= 10);
  phone.after(45 * SECOND);
  assert.ok(burst(phone, 15, 0.8) > 0);
  assert.equal(phone.offences[0]!.row, 1);

  const tool = back(MINUTE);
  let guesses = 0;
  while (burst(tool, 1, 5.5) === 0) guesses++;
  assert.ok(guesses <= 8, `${guesses} guesses, one each 5.5 ms`);
  assert.equal(tool.offences[0]!.row, 1);
  const flood = back(MINUTE);
  assert.ok(burst(flood, 1_000, 0) > 300, "no more than fifteen times");

  const spread = back(MINUTE);
  for (let i = 0; i < 3; i++) spread.take(answer(unique(), "2/c", unique()));
  assert.equal(spread.offences.length, 1, "another session is no phone's");
  assert.equal(spread.offences[0]!.grounds, "attempts");
});

Deno.test("guesses: a login ends the rows of short blocks, and nothing else does so soon", () => {
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
      for (let i = 0; i < 30; i++) standing.take(wrongAnswer(HOST));
      standing.after(MINUTE);
      if (login) standing.take(successfulAuth(HOST, { account: "own" }));
    }
    assert.deepEqual(standing.offences.map(({ row }) => row), login ? [0, 0] : [0, 1]);
  }
});

Deno.test("guesses: the row of good standing does not grow while registrations may be valid", () => {
  const bench = new TableBench().take(successfulAuth(HOST, { account: "own" }));
  const rowAfter = (ms: number) => {
    bench.after(ms);
    for (let i = 0; i < 30; i++) bench.take(wrongAnswer(HOST));
    return bench.offences.at(-1)!.row;
  };
  assert.deepEqual([rowAfter(0), rowAfter(MINUTE), rowAfter(MINUTE)], [0, 1, 1]);
  assert.equal(rowAfter(RECENT_LOGIN_MS - 2 * MINUTE), 1, "two hours after the login");
  assert.deepEqual([rowAfter(MINUTE), rowAfter(MINUTE)], [2, 3]);
  bench.take(successfulAuth(HOST, { account: "own" }));
  assert.deepEqual([rowAfter(MINUTE), rowAfter(MINUTE), rowAfter(MINUTE)], [0, 1, 1]);
});

Deno.test("guesses: the row of a shared network ends when somebody new logs in there", () => {
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

Deno.test("guesses: what the hosts of a network did together began with the first of them", () => {
  for (const [shared, failures] of [[false, 3], [true, SHARED_NETWORK_HOSTS_MIN]] as const) {
    const bench = new TableBench({ ipv6Prefix: 64 });
    if (shared) bench.take(successfulAuth("2001:db8:0:1::beef"));
    for (let i = 1; i <= failures; i++) {
      bench.after(3 * SECOND).take(wrongAnswer(`2001:db8:0:1::${i}`));
    }
    const [offence] = bench.offences;
    assert.equal(offence!.at - offence!.firstAt, (failures - 1) * 3 * SECOND);
    assert.equal(offence!.tally.wrongAnswers, failures);
    assert.match(reasonOf(offence!), / by 2001:db8:0:1::\d and its neighbours, /);
  }
});

Deno.test("guesses: hosts in good standing who go too far together are proven guilty by connections alone", () => {
  for (const transport of ["UDP", "TLS"]) {
    const bench = new TableBench({ ipv6Prefix: 64 });
    const hosts = [1, 2, 3, 4, 5].map((i) => `2001:db8:0:1::${i}`);
    for (const host of hosts) bench.take(successfulAuth(host));
    for (let i = 0; i < 30; i++) {
      const host = hosts[i % 5]!;
      assert.deepEqual(bench.blocked, []);
      bench.take(wrongAnswer(host, { remote: remoteOf(host, transport) }));
    }
    assert.deepEqual(
      bench.offences.map(({ target, grounds, proven }) => [target, grounds, proven]),
      [[hosts[4], "shared network", transport === "TLS"]],
    );
  }
});

Deno.test("guesses: what logins forgive in a day is for a whole network, not for each of its addresses", () => {
  const bench = new TableBench({ ipv6Prefix: 64 });
  let guesses = 0;
  for (let i = 1; i <= 500 && bench.blocked.length === 0; i++) {
    const address = `2001:db8:0:1::${i.toString(16)}`;
    bench.take(
      wrongAnswer(address, { account: "boss" }),
      wrongAnswer(address, { account: "boss" }),
      successfulAuth(address, { account: "own" }),
    );
    guesses += 2;
  }
  assert.ok(guesses <= FORGIVEN_A_DAY + 30, `${guesses} guesses`);
});

Deno.test("guesses: a phone that takes another address of its IPv6 network may ping from there", () => {
  const bench = new TableBench({ ipv6Prefix: 64 }).take(challengeSent("2001:db8:0:1::2"));
  bench.take(successfulAuth("2001:db8:0:1::1")).after(6 * SECOND);
  for (let i = 0; i < 10; i++) bench.take(challengeSent("2001:db8:0:1::2")).after(6 * SECOND);
  assert.deepEqual([bench.blocked, bench.points("2001:db8:0:1::2")], [[], 0]);
  const impatient = new TableBench({ ipv6Prefix: 64, patienceMs: 0 });
  impatient.take(successfulAuth("2001:db8:0:1::1"), challengeSent("2001:db8:0:1::2"));
  assert.equal(impatient.points("2001:db8:0:1::2"), 0);
});
