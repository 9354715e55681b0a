import assert from "node:assert/strict";
import fc from "fast-check";
import { AddressSet } from "../../src/address/address_set.ts";
import { EventReader } from "../../src/ami/event_reader.ts";
import { ATTEMPTS_MAX } from "../../src/penalties/attempts.ts";
import { HOSTS_MAX } from "../../src/penalties/hosts.ts";
import { PenaltyTable } from "../../src/penalties/penalty_table.ts";
import { SAVE_LOGIN_MS } from "../../src/penalties/good_standing.ts";
import {
  challengeSent,
  type EventFields,
  failedAcl,
  printEvent,
  successfulAuth,
  unique,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { DAY, HOST, POLICY, SECOND, TableBench } from "../support/table_bench.ts";
import { EARNED, eventTime, recordings } from "../support/recordings.ts";

const ORIGINAL = { patienceMs: 0, creditMs: 0 };

const session = (name: string): Partial<EventFields> => ({ session: name });

Deno.test("penalties: a wrong answer costs 5 with its challenge or without, and the third blocks", () => {
  const bench = new TableBench();
  bench.take(challengeSent(HOST, session("a")), wrongAnswer(HOST, session("a")));
  assert.equal(bench.points(), 5);
  bench.take(wrongAnswer(HOST, session("b")));
  assert.equal(bench.points(), 10);
  assert.deepEqual(bench.blocked, []);
  bench.take(wrongAnswer(HOST, { ...session("c"), account: "boss" }));
  assert.deepEqual(bench.blocked, [HOST]);
  const { points, limit, tally, account, service, transport, grounds } = bench.offences[0]!;
  assert.deepEqual(
    { points, limit, tally, account, service, transport, grounds },
    {
      points: 15,
      limit: 15,
      tally: { wrongAnswers: 3, unanswered: 0, refusals: 0, badRequests: 0 },
      account: "boss",
      service: "PJSIP",
      transport: "UDP",
      grounds: "attempts",
    },
  );
  assert.equal(bench.table.size, 0, "a blocked host is forgotten");
});

Deno.test("penalties: chan_sip and the manager interface", () => {
  const bench = new TableBench().take(
    ...[1, 2, 3].map(() => wrongAnswer(HOST, { service: "SIP" })),
  );
  assert.deepEqual(bench.blocked, [HOST]);
  const sessionTv = ["SessionTV", "1970-01-01T00:00:00.000+0000"] as const;
  const manager = (kind: string, tail: EventFields["tail"] = [], account = "admin") =>
    printEvent({
      kind,
      service: "AMI",
      account,
      remote: `IPV4/TCP/${HOST}/5`,
      tail: [...tail!, sessionTv],
    });
  const ami = new TableBench();
  ami.take(manager("InvalidPassword"));
  assert.equal(ami.points(), 5);
  ami.take(manager("InvalidAccountID"));
  assert.equal(ami.points(), 10);
  ami.take(manager("RequestNotAllowed", [["RequestType", "Action: Status"]], "admin"));
  assert.equal(ami.points(), 10, "a request of somebody who is logged in");
  ami.take(manager("SuccessfulAuth", [["UsingPassword", "0"]]));
  assert.equal(ami.points(), 0, "AMI always asks for a password, and always prints 0");
  const stranger = new TableBench().take(
    manager("RequestNotAllowed", [["RequestType", "Action: Status"]], ""),
    manager("FailedACL"),
    manager("ChallengeResponseFailed", [["Challenge", "1"], ["Response", "2"], [
      "ExpectedResponse",
      "3",
    ]]),
  );
  assert.deepEqual(stranger.blocked, [HOST]);
});

Deno.test("penalties: the same wrong answer again is a retransmission, a different one in the same session is not", () => {
  const again = wrongAnswer(HOST, session("a"));
  const bench = new TableBench().take(challengeSent(HOST, session("a")), again);
  for (let i = 0; i < 4; i++) bench.after(500).take(again);
  assert.equal(bench.points(), 5);
  bench.take(wrongAnswer(HOST, session("a")));
  assert.equal(bench.points(), 10);
  bench.take(wrongAnswer(HOST, session("a")));
  assert.deepEqual(bench.blocked, [HOST]);
});

Deno.test("penalties: an unanswered challenge costs 4 after the patience, 10 after another one", () => {
  const bench = new TableBench().take(challengeSent(HOST));
  bench.after(4_999);
  assert.equal(bench.points(), 0);
  bench.after(1);
  assert.equal(bench.points(), 4);
  bench.take(challengeSent(HOST)).after(5_000);
  assert.equal(bench.points(), 14);
  bench.take(challengeSent(HOST)).after(5_000);
  assert.deepEqual(bench.blocked, [HOST]);
  assert.equal(bench.offences[0]!.points, 24);
  assert.equal(bench.offences[0]!.tally.unanswered, 3);
});

Deno.test("penalties: a late wrong answer completes its attempt to 5", () => {
  const bench = new TableBench().take(challengeSent(HOST, session("a"))).after(6_000);
  assert.equal(bench.points(), 4);
  bench.take(wrongAnswer(HOST, session("a")));
  assert.equal(bench.points(), 5);
});

Deno.test("penalties: a repeated request costs nothing, up to ten times and 32 s", () => {
  const bench = new TableBench();
  const request = challengeSent(HOST, { session: "a", tail: [["Challenge", ""]] });
  bench.take(...Array.from({ length: 11 }, () => request)).after(6_000);
  assert.equal(bench.points(), 4);
  bench.take(request).after(6_000);
  assert.equal(bench.points(), 14, "the eleventh repetition is a new attempt");
  const late = new TableBench().take(request).after(33_000).take(request).after(6_000);
  assert.equal(late.points(), 14, "64 × T1 are over");
  const sip = { service: "SIP", session: "0x1" } as const;
  const other = new TableBench().take(
    challengeSent(HOST, { ...sip, tail: [["Challenge", "aaaaaaaa"]] }),
    challengeSent(HOST, { ...sip, tail: [["Challenge", "aaaaaaaa"]] }),
    challengeSent(HOST, { ...sip, tail: [["Challenge", "bbbbbbbb"]] }),
  ).after(6_000);
  assert.equal(other.points(), 14, "chan_sip makes a new challenge for a new request");
});

Deno.test("penalties: five phones behind one address that start together are not charged", () => {
  const bench = new TableBench();
  for (const name of ["a", "b", "c", "d", "e"]) bench.take(challengeSent(HOST, session(name)));
  bench.after(100).take(successfulAuth(HOST, session("c"))).after(10_000);
  assert.equal(bench.points(), 0);
  assert.equal(bench.table.waiting, 0);
});

Deno.test("penalties: a success removes the points, but not one without a password", () => {
  const guessed = () => new TableBench().take(wrongAnswer(HOST), wrongAnswer(HOST));
  assert.equal(guessed().take(successfulAuth(HOST)).points(), 0);
  const without = successfulAuth(HOST, {
    service: "SIP",
    session: "0x1",
    tail: [["UsingPassword", "0"]],
  });
  assert.equal(guessed().take(without).points(), 10);
  assert.deepEqual(guessed().take(without, wrongAnswer(HOST)).blocked, [HOST]);
});

Deno.test("penalties: a host in good standing may ping for ever, has ten times the limit, and is marked", () => {
  const bench = new TableBench().take(successfulAuth(HOST));
  for (let i = 0; i < 1_000; i++) bench.take(challengeSent(HOST)).after(60_000);
  assert.equal(bench.points(), 0);
  for (let i = 0; i < 29; i++) bench.take(wrongAnswer(HOST));
  assert.equal(bench.points(), 145);
  bench.take(wrongAnswer(HOST));
  assert.deepEqual(bench.blocked, [HOST]);
  assert.equal(bench.offences[0]!.grounds, "good standing");
  assert.equal(bench.offences[0]!.limit, 150);
});

Deno.test("penalties: good standing ends with the credit", () => {
  const bench = new TableBench({ creditMs: 3_600_000 }).take(successfulAuth(HOST)).after(3_600_001);
  assert.equal(bench.table.isInGoodStanding(HOST, bench.now), false);
  assert.equal(bench.table.standingSize, 0);
  bench.take(wrongAnswer(HOST), wrongAnswer(HOST), wrongAnswer(HOST));
  assert.deepEqual(bench.blocked, [HOST]);
});

Deno.test("penalties: good standing is handed out to be saved once an hour, and restored", () => {
  const bench = new TableBench().take(successfulAuth(HOST));
  assert.deepEqual(bench.table.takeLogins(), [[HOST, bench.now]]);
  bench.after(SAVE_LOGIN_MS - 1).take(successfulAuth(HOST));
  assert.deepEqual(bench.table.takeLogins(), []);
  bench.after(1).take(successfulAuth(HOST));
  assert.deepEqual(bench.table.takeLogins(), [[HOST, bench.now]]);
  const next = new TableBench();
  next.table.restoreStanding([[HOST, next.now - DAY], ["2001:db8::1", next.now - 8 * DAY]]);
  assert.equal(next.table.isInGoodStanding(HOST, next.now), true);
  assert.equal(next.table.isInGoodStanding("2001:db8::1", next.now), false);
});

Deno.test("penalties: what is due may be charged and handed out in portions", () => {
  const bench = new TableBench();
  const hosts = Array.from({ length: 10 }, (_, i) => `203.0.113.${i}`);
  for (const host of hosts) {
    bench.take(challengeSent(host), successfulAuth(`198.51.100.${host.at(-1)}`));
  }
  bench.now += 5 * SECOND;
  const charged = () => hosts.filter((host) => bench.points(host) === 4).length;
  assert.equal(bench.table.advance(bench.now, 4), false);
  assert.equal(charged(), 4);
  assert.equal(bench.table.advance(bench.now, 4), false);
  assert.equal(bench.table.advance(bench.now, 4), true);
  assert.equal(charged(), 10);
  const saved = [4, 4, 4, 4].map((most) => bench.table.takeLogins(most).map(([host]) => host));
  assert.deepEqual(saved.map((some) => some.length), [4, 4, 2, 0]);
  assert.equal(new Set(saved.flat()).size, 10);
});

Deno.test("penalties: a host that comes after another has been forgotten has nothing of it", () => {
  const bench = new TableBench({ loyalty: 1 });
  for (let round = 0; round < 3; round++) {
    const host = `203.0.113.${round}`;
    bench.take(challengeSent(host, session("a")), wrongAnswer(host, session("a")));
    assert.deepEqual(bench.offences.splice(0).map(({ target }) => target), [host]);
    // A new host, the same session: a new attempt, of which nothing is known.
    const next = `203.0.113.10${round}`;
    bench.take(challengeSent(next, { ...session("a"), account: `account ${round}` }));
    assert.deepEqual(bench.table.worst(2, bench.now), [{
      host: next,
      points: 0,
      limit: 5,
      tally: { wrongAnswers: 0, unanswered: 0, refusals: 0, badRequests: 0 },
      waiting: 1,
      lastAt: bench.now,
    }]);
    bench.take(wrongAnswer(next, session("a")));
    const [offence] = bench.offences.splice(0);
    assert.equal(offence?.target, next);
    assert.deepEqual(offence?.tally.wrongAnswers, 1);
    assert.equal(bench.table.size, 0);
    assert.equal(bench.table.waiting, 0);
  }
});

Deno.test("penalties: a refused request costs 5 in all, however many events it raises", () => {
  const bench = new TableBench();
  const one = (name: string) => [
    failedAcl(HOST, "not_match_endpoint_acl", session(name)),
    challengeSent(HOST, { ...session(name), account: "<unknown>" }),
    failedAcl(HOST, "not_match_endpoint_acl", session(name)),
    failedAcl(HOST, "not_match_endpoint_acl", session(name)),
    wrongAnswer(HOST, { ...session(name), account: "<unknown>" }),
    failedAcl(HOST, "not_match_endpoint_acl", session(name)),
  ];
  bench.take(...one("a")).after(10_000);
  assert.equal(bench.points(), 5);
  bench.take(...one("b")).after(10_000);
  assert.equal(bench.points(), 10);
  assert.deepEqual(bench.take(...one("c")).blocked, [HOST]);
  assert.deepEqual(bench.offences[0]!.tally, {
    wrongAnswers: 0,
    unanswered: 0,
    refusals: 3,
    badRequests: 0,
  });
  assert.equal(new TableBench(ORIGINAL).take(...one("a")).points(), 5);
});

Deno.test("penalties: a wrong number or a full registration is not charged to a host in good standing", () => {
  const names = [
    "no_extension_match",
    "registrar_attempt_exceeds_maximum_configured_contacts",
    "registrar_attempt_without_configured_aors",
  ];
  for (const name of names) {
    assert.equal(new TableBench().take(failedAcl(HOST, name)).points(), 5, "a stranger");
    assert.equal(new TableBench().take(successfulAuth(HOST), failedAcl(HOST, name)).points(), 0);
    const own = new TableBench({ creditMs: 0 }).take(
      successfulAuth(HOST, session("a")),
      failedAcl(HOST, name, session("a")),
    );
    assert.equal(own.points(), 0, "without credit: in the session that logged in");
  }
  assert.equal(
    new TableBench().take(successfulAuth(HOST), failedAcl(HOST, "not_match_endpoint_acl")).points(),
    5,
  );
});

Deno.test("penalties: the trust list, loopback and nobody are never charged", () => {
  const bench = new TableBench({
    exempt: new AddressSet(["198.51.100.0/24", "2001:db8:600d::/48"]),
  });
  for (
    const address of [
      "198.51.100.7",
      "2001:db8:600d::1",
      "127.0.0.1",
      "127.9.9.9",
      "::1",
      "0.0.0.0",
      "::",
    ]
  ) {
    bench.take(
      ...Array.from({ length: 9 }, () => wrongAnswer(address)),
      ...Array.from({ length: 9 }, () => challengeSent(address)),
    );
  }
  bench.after(10_000);
  assert.deepEqual(bench.blocked, []);
  assert.equal(bench.table.size, 0);
});

Deno.test("penalties: a change of the trust list frees those who are trusted now", () => {
  const bench = new TableBench().take(
    wrongAnswer(HOST),
    wrongAnswer("203.0.113.6"),
    challengeSent(HOST),
  );
  bench.table.setPolicy({ ...POLICY, exempt: new AddressSet([HOST]) });
  bench.after(10_000);
  assert.equal(bench.points(), 0);
  assert.equal(bench.points("203.0.113.6"), 5);
});

Deno.test("penalties: points are forgotten after a quiet day", () => {
  const bench = new TableBench().take(wrongAnswer(HOST), wrongAnswer(HOST)).after(DAY);
  assert.equal(bench.points(), 10);
  bench.after(1);
  assert.equal(bench.points(), 0);
  assert.equal(bench.table.size, 0);
});

Deno.test("penalties: patience = 0 and credit = 0 give the arithmetic of the original", () => {
  // What Ampere 0.2.3 computes for one host with loyalty 3: c a challenge, w a wrong answer to the
  // last challenge, s a success; points after each step, B where it blocks (it forgets the host
  // then).
  const table: [string, (number | "B")[]][] = [
    ["c", [4]],
    ["cc", [4, 14]],
    ["ccc", [4, 14, "B"]],
    ["cw", [4, 5]],
    ["cwcw", [4, 5, 9, 10]],
    ["cwcwcw", [4, 5, 9, 10, 14, "B"]],
    ["cwc", [4, 5, 9]],
    ["cwcc", [4, 5, 9, "B"]],
    ["ccw", [4, 14, "B"]],
    ["cs", [4, 0]],
    ["ccs", [4, 14, 0]],
    ["cwcwcs", [4, 5, 9, 10, 14, 0]],
    ["cwscwcw", [4, 5, 0, 4, 5, 9, 10]],
    ["ccsccc", [4, 14, 0, 4, 14, "B"]],
    ["cwcwcwc", [4, 5, 9, 10, 14, "B", 4]],
  ];
  for (const [steps, expected] of table) {
    for (const repeatedSession of [true, false]) {
      const bench = new TableBench(ORIGINAL);
      let last = "";
      const got = [...steps].map((step) => {
        const blocked = bench.offences.length;
        if (step === "c") last = repeatedSession ? "one" : unique();
        if (step === "c") bench.take(challengeSent(HOST, session(last)));
        else if (step === "w") bench.take(wrongAnswer(HOST, session(last)));
        else bench.take(successfulAuth(HOST, session(last)));
        return bench.offences.length > blocked ? "B" : bench.points();
      });
      assert.deepEqual(got, expected, steps);
    }
  }
});

Deno.test("penalties: at most 50 attempts of a host wait, the oldest is charged when there are more", () => {
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

Deno.test("penalties: ipv6_prefix counts and blocks a network, unless somebody in it belongs here", () => {
  const policy = { ipv6Prefix: 64 };
  const spread = (prefix: string) => [1, 2, 3].map((i) => wrongAnswer(`${prefix}::${i}`));
  assert.deepEqual(new TableBench(policy).take(...spread("2001:db8:0:1")).blocked, [
    "2001:db8:0:1::/64",
  ]);
  assert.deepEqual(
    new TableBench(policy).take(...[1, 2, 3].map(() => wrongAnswer("2001:db8:0:1::1"))).blocked,
    ["2001:db8:0:1::1"],
    "a single host of the network",
  );
  const shared = new TableBench(policy).take(
    successfulAuth("2001:db8:0:1::beef"),
    ...spread("2001:db8:0:1"),
  );
  assert.deepEqual(shared.blocked, [], "three hosts with one attempt each");
  const trusted = new TableBench({ ...policy, exempt: new AddressSet(["2001:db8:0:1::7"]) }).take(
    ...spread("2001:db8:0:1"),
  );
  assert.deepEqual(trusted.blocked, []);
  assert.deepEqual(new TableBench(policy).take(...[1, 2, 3].map(() => wrongAnswer(HOST))).blocked, [
    HOST,
  ], "IPv4: the host");
});

Deno.test("penalties: a full table forgets the least guilty, and nobody with more points than a flood's hosts", () => {
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

Deno.test("penalties: tallies of the table agree with themselves whatever comes", () => {
  const step = fc.tuple(
    fc.constantFrom("c", "w", "s", "f", "b", "t"),
    fc.integer({ min: 1, max: 4 }),
    fc.constantFrom("a", "b", "c"),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.constantFrom(0, 5_000),
      fc.constantFrom(0, DAY),
      (steps, patienceMs, creditMs) => {
        const bench = new TableBench({ patienceMs, creditMs });
        for (const [what, host, name] of steps) {
          const address = `203.0.113.${host}`;
          if (what === "c") bench.take(challengeSent(address, session(name)));
          else if (what === "w") bench.take(wrongAnswer(address, session(name)));
          else if (what === "s") bench.take(successfulAuth(address, session(name)));
          else if (what === "f") {
            bench.take(
              failedAcl(address, "not_match_endpoint_acl", session(name)),
            );
          } else if (what === "b") {
            bench.take(
              failedAcl(address, "no_extension_match", session(name)),
            );
          } else bench.after(2_500);
          const hosts = bench.table.worst(10, bench.now);
          assert.equal(hosts.reduce((sum, h) => sum + h.waiting, 0), bench.table.waiting);
          for (const h of hosts) {
            assert.ok(
              h.points < h.limit,
              `${h.host}: ${h.points} of ${h.limit}`,
            );
          }
        }
        for (const offence of bench.offences) assert.ok(offence.points >= offence.limit);
        bench.after(2 * DAY);
        assert.equal(bench.table.size, 0);
        assert.equal(bench.table.waiting, 0);
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test("penalties: every recording by Asterisk's own clock: nobody is blocked wrongly, no attacker is missed", () => {
  console.log(`${"recording".padEnd(52)} attackers blocked missed wrong`);
  for (const { name, bytes, attackers, legit } of recordings()) {
    const blocked = new Set<string>();
    const failures = new Map<string, Set<number>>();
    const table = new PenaltyTable(POLICY);
    let now = 0;
    const reader = new EventReader({
      banner: () => {},
      response: () => {},
      tampered: () => {},
      event: (event, verdict) => {
        now = Math.max(now, eventTime(event.time));
        table.advance(now);
        table.record(event, now, verdict === "security");
        for (const { target } of table.takeOffences()) blocked.add(target);
        if (verdict !== "security") return;
        if (event.kind !== "ChallengeResponseFailed" && event.kind !== "InvalidPassword") return;
        if (event.address.startsWith("127.")) return;
        const answers = failures.get(event.address) ?? new Set();
        failures.set(event.address, answers.add(event.answer));
      },
    });
    reader.push(bytes);
    reader.flushWithheld();
    table.advance(now + 10_000);
    const must = [...failures].filter(([a, n]) =>
      n.size >= 3 && attackers.includes(a) && !legit.includes(a)
    ).map(([a]) => a);
    const missed = must.filter((a) => !blocked.has(a));
    const earned = EARNED[name] ?? [];
    const wrong = [...blocked].filter((a) => !attackers.includes(a) && !earned.includes(a));
    console.log(
      `${name.padEnd(52)} ${String(must.length).padStart(9)} ${String(blocked.size).padStart(7)} ${
        String(missed.length).padStart(6)
      } ${String(wrong.length).padStart(5)}`,
    );
    assert.deepEqual(wrong, [], name);
    assert.deepEqual(missed, [], name);
    for (const address of earned) {
      assert.ok(blocked.has(address), `${name}: ${address} is listed for nothing`);
    }
  }
});

Deno.test("penalties: a login forgives a host under its own address and with its network", () => {
  const bench = new TableBench({ ipv6Prefix: 64, creditMs: 60 * 60 * SECOND });
  const [a, b, c] = ["2001:db8::a", "2001:db8::b", "2001:db8::c"] as const;
  // While a is in good standing its neighbours are counted by themselves.
  bench.take(successfulAuth(a)).after(SECOND).take(wrongAnswer(b));
  // Afterwards with the network, until b logs in.
  bench.after(61 * 60 * SECOND).take(challengeSent(c)).after(SECOND).take(successfulAuth(b));
  assert.equal(bench.points(b), 0);
  for (let ping = 0; ping < 5; ping++) bench.after(20 * SECOND).take(challengeSent(b));
  bench.after(20 * SECOND);
  assert.deepEqual(bench.blocked, []);
  // Its limit is that of good standing.
  for (let i = 0; i < 29; i++) bench.take(wrongAnswer(b));
  assert.deepEqual(bench.blocked, []);
  bench.take(wrongAnswer(b));
  assert.deepEqual(bench.offences.map(({ target, grounds }) => [target, grounds]), [
    [b, "good standing"],
  ]);
});
