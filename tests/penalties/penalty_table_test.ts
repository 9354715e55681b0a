import assert from "node:assert/strict";
import fc from "fast-check";
import { overlaps } from "../../src/address/address.ts";
import { AddressSet } from "../../src/address/address_set.ts";
import { EventReader } from "../../src/ami/event_reader.ts";
import { SecurityLogReader } from "../../src/ami/security_log.ts";
import { ATTEMPT_POINTS, RETRANSMISSIONS_MAX } from "../../src/penalties/attempts.ts";
import { HOSTS_MAX, NO_TALLY } from "../../src/penalties/hosts.ts";
import { BENIGN_ACL_NAMES, PenaltyTable } from "../../src/penalties/penalty_table.ts";
import { Dice } from "../simulation/dice.ts";
import {
  bytesOf,
  challengeSent,
  type EventFields,
  failedAcl,
  printEvent,
  remoteOf,
  successfulAuth,
  unique,
  userEvent,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { fileLine, LINE_KINDS } from "../support/log_text.ts";
import { EARNED, eventTime, recordings } from "../support/recordings.ts";
import { DAY, HOST, MINUTE, POLICY, SECOND, TableBench } from "../support/table_bench.ts";

const ORIGINAL = { patienceMs: 0, creditMs: 0 };

const session = (name: string): Partial<EventFields> => ({ session: name });

Deno.test("penalty table: a wrong answer costs 5 with its challenge or without, and the third blocks", () => {
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
      tally: {
        wrongAnswers: 3,
        unanswered: 0,
        refusals: 0,
        badRequests: 0,
        strangeCalls: 0,
        reports: 0,
      },
      account: "boss",
      service: "PJSIP",
      transport: "UDP",
      grounds: "attempts",
    },
  );
  assert.equal(bench.table.size, 0, "a blocked host is forgotten");
});

Deno.test("penalty table: unknown accounts of one session, one behind the other, are not one", () => {
  const unknown = (i: number) =>
    printEvent({
      kind: "InvalidAccountID",
      service: "PJSIP",
      account: `a${i}`,
      session: "same",
      remote: remoteOf(HOST),
    });
  const bench = new TableBench();
  for (let i = 0; i < 40; i++) bench.take(unknown(i));
  bench.after(10 * SECOND);
  assert.deepEqual(bench.blocked, [HOST]);
  // Its challenge is the same request.
  const phone = new TableBench();
  for (let i = 0; i < 4; i++) {
    phone.take(unknown(0), challengeSent(HOST, session("same"))).after(SECOND / 2);
  }
  phone.after(10 * SECOND);
  assert.equal(phone.points(), 4);
});

Deno.test("penalty table: chan_sip and the manager interface", () => {
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

Deno.test("penalty table: the same wrong answer again is a retransmission, a different one in the same session is not", () => {
  const again = wrongAnswer(HOST, session("a"));
  const bench = new TableBench().take(challengeSent(HOST, session("a")), again);
  for (let i = 0; i < 4; i++) bench.after(500).take(again);
  assert.equal(bench.points(), 5);
  bench.take(wrongAnswer(HOST, session("a")));
  assert.equal(bench.points(), 10);
  bench.take(wrongAnswer(HOST, session("a")));
  assert.deepEqual(bench.blocked, [HOST]);
});

Deno.test("penalty table: an unanswered challenge costs 4 after the patience, 10 after another one", () => {
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

Deno.test("penalty table: a late wrong answer completes its attempt to 5", () => {
  const bench = new TableBench().take(challengeSent(HOST, session("a"))).after(6_000);
  assert.equal(bench.points(), 4);
  bench.take(wrongAnswer(HOST, session("a")));
  assert.equal(bench.points(), 5);
});

Deno.test("penalty table: a repeated request costs nothing, up to ten times and 32 s", () => {
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

Deno.test("penalty table: five phones behind one address that start together are not charged", () => {
  const bench = new TableBench();
  for (const name of ["a", "b", "c", "d", "e"]) bench.take(challengeSent(HOST, session(name)));
  bench.after(100).take(successfulAuth(HOST, session("c"))).after(10_000);
  assert.equal(bench.points(), 0);
  assert.equal(bench.table.waiting, 0);
});

Deno.test("penalty table: a success removes the points, but not one without a password", () => {
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

Deno.test("penalty table: a host in good standing may ping for ever, has ten times the limit, and is marked", () => {
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

Deno.test("penalty table: what is due may be charged and handed out in portions", () => {
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

Deno.test("penalty table: a refused request costs 5 in all, however many events it raises", () => {
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
    strangeCalls: 0,
    reports: 0,
  });
  assert.equal(new TableBench(ORIGINAL).take(...one("a")).points(), 5);
});

Deno.test("penalty table: a wrong number or a full registration is not charged to a host in good standing", () => {
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

Deno.test("penalty table: patience = 0 and credit = 0 give the arithmetic of the original", () => {
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

Deno.test("penalty table: tallies of the table agree with themselves whatever comes", () => {
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

Deno.test("penalty table: every recording by Asterisk's own clock: nobody is blocked wrongly, no attacker is missed", () => {
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

Deno.test("penalty table: while Ampere learns, silence costs nothing and wrong answers all", () => {
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

Deno.test("penalty table: benign refusals are free for who belongs, and bounded for who does not", () => {
  for (const name of BENIGN_ACL_NAMES) {
    const own = new TableBench({ creditMs: 0 }).take(successfulAuth(HOST, { session: "a" }));
    for (let i = 0; i < 100; i++) own.take(failedAcl(HOST, name, { session: "a" }));
    assert.ok(own.blocked.length > 0, "without credit only so many in the session of the login");
  }
});

/** A failure that a guesser chooses: few sessions, few answers, any transport. */
function failure(dice: Dice, host: string): string {
  const session = dice.pick(["a", "b"]);
  const remote = remoteOf(host, dice.pick(["UDP", "UDP", "TCP", "TLS"]));
  const account = dice.pick(["100", "101"]);
  return dice.pick([
    () =>
      wrongAnswer(host, {
        session,
        remote,
        account,
        tail: [["Challenge", "1/c"], ["Response", dice.pick(["", "x", "y", unique()])], [
          "ExpectedResponse",
          "",
        ]],
      }),
    () => failedAcl(host, "not_match_endpoint_acl", { session, remote, account }),
    () => printEvent({ kind: "InvalidAccountID", service: "SIP", account, session, remote }),
    () => wrongAnswer(host, { service: "SIP", session, remote, account }),
  ])();
}

Deno.test("penalty table: of sixteen failures of a stranger at least one is charged, however they are mixed", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const dice = new Dice(seed);
    const bench = new TableBench({
      loyalty: dice.pick([1, 3, 50]),
      patienceMs: dice.pick([0, 5 * SECOND]),
    });
    let failures = 0;
    for (let i = 0; i < 200; i++) {
      bench.after(dice.pick([1, 30, 450, 450, 450, 6_000]));
      if (dice.chance(0.1)) bench.take(challengeSent(HOST, { session: dice.pick(["a", "b"]) }));
      else {
        bench.take(failure(dice, HOST));
        failures++;
      }
    }
    const open = bench.points();
    const charged = bench.offences.reduce((sum, { points }) => sum + points, open);
    const attempts = charged / ATTEMPT_POINTS;
    assert.ok(failures <= attempts * (1 + RETRANSMISSIONS_MAX), `seed ${seed}: ${attempts}`);
  }
});

Deno.test("penalty table: whatever is done with the table, its numbers make sense", () => {
  const hosts = [
    ...Array.from({ length: 6 }, (_, i) => `203.0.113.${i}`),
    ...Array.from({ length: 6 }, (_, i) => `2001:db8:0:1::${i + 1}`),
    "2001:db8:0:2::1",
    "64:ff9b::cb00:7101",
  ];
  for (let seed = 1; seed <= 200; seed++) {
    const dice = new Dice(seed);
    const bench = new TableBench();
    const { table } = bench;
    const policy = () => ({
      loyalty: dice.int(1, 4),
      patienceMs: dice.pick([0, 2, 5]) * SECOND,
      creditMs: dice.pick([0, MINUTE, 7 * DAY]),
      forgetMs: dice.pick([MINUTE, DAY]),
      ipv6Prefix: dice.pick([64, 128]),
      nat64: dice.pick([[], ["2001:db8:0:2::/96"]]),
      exempt: new AddressSet(dice.pick([[], ["203.0.113.1"], ["2001:db8:0:1::/64"]])),
    });
    let now = policy();
    table.setPolicy({ ...POLICY, ...now });
    const deeds = [
      (host: string) => bench.take(challengeSent(host, { session: dice.pick(["a", "b"]) })),
      (host: string) => bench.take(challengeSent(host)),
      (host: string) => bench.take(failure(dice, host)),
      (host: string) => bench.take(wrongAnswer(host, { account: dice.pick(["100", unique()]) })),
      (host: string) => bench.take(failedAcl(host, "no_extension_match", { session: "a" })),
      (host: string) => bench.take(successfulAuth(host, { session: "a" })),
      () => bench.after(dice.pick([10, SECOND, 6 * SECOND, 2 * MINUTE])),
    ];
    const rare = [
      () => table.setPolicy({ ...POLICY, ...now = policy() }),
      () =>
        table.clearPoints(dice.pick([...hosts, "203.0.113.0/24", "2001:db8:0:1::/64"]), overlaps),
      () => table.learnUntil(bench.now + dice.int(0, 10_000)),
      () => table.restoreStanding([[dice.pick(hosts), bench.now - dice.int(0, DAY)]]),
      () => table.takeLogins(2),
      () => table.takeLate(),
      () => table.takeExemptFailures(),
      () => table.takeProxies(),
      () => table.innocentIn("2001:db8:0:1::/64"),
      () => bench.after(DAY + SECOND),
      () => {
        const host = dice.pick(hosts);
        for (let i = 0; i < 300; i++) bench.take(challengeSent(host));
      },
    ];
    for (let i = 0; i < 300; i++) {
      if (dice.chance(0.03)) dice.pick(rare)();
      else dice.pick(deeds)(dice.pick(hosts));
      const worst = table.worst(HOSTS_MAX, bench.now);
      assert.equal(new Set(worst.map(({ host }) => host)).size, worst.length, "each host once");
      assert.ok(worst.length <= table.size && table.size <= hosts.length);
      assert.equal(worst.reduce((sum, { waiting }) => sum + waiting, 0), table.waiting);
      for (const { points, limit, tally, waiting } of worst) {
        // A host in good standing may lose it, and changed rules count from the next failure on.
        assert.ok(points >= 0 && points < 10 * 4 * ATTEMPT_POINTS && limit > 0);
        assert.ok(waiting >= 0 && waiting <= 256);
        for (const count of Object.values(tally)) assert.ok(count >= 0);
        if (points === 0) assert.deepEqual(tally, NO_TALLY);
      }
    }
    for (const { points, limit, row } of bench.offences) {
      assert.ok(points >= limit && limit > 0 && row >= 0, `seed ${seed}`);
    }
    bench.after(10 * DAY);
    assert.deepEqual([table.size, table.waiting, table.standingSize], [0, 0, 0], `seed ${seed}`);
  }
});

Deno.test("penalty table: a report of the dialplan is an attempt, from a host in good standing too", () => {
  const bench = new TableBench();
  const report = userEvent({ body: [`Address: ${HOST}`, "Reason: anonymous call"] });
  bench.take(report, report);
  assert.deepEqual([bench.points(), bench.blocked], [10, []]);
  bench.take(report);
  assert.deepEqual(bench.blocked, [HOST]);
  const { tally, service, account, proven, grounds } = bench.offences[0]!;
  assert.deepEqual([tally.reports, service, account, proven, grounds], [
    3,
    "Dialplan",
    "anonymous call",
    false,
    "attempts",
  ]);
  const office = new TableBench().take(successfulAuth(HOST));
  for (let i = 0; i < 29; i++) office.take(report);
  assert.deepEqual(office.blocked, []);
  office.take(report);
  assert.deepEqual(office.blocked, [HOST]);
  const exempt = new TableBench({ exempt: new AddressSet([HOST]) });
  exempt.take(report, report, report, report);
  assert.deepEqual(exempt.blocked, []);
});

Deno.test("penalty table: calls without an account are told as such, and free for who belongs", () => {
  for (const name of ["PJSIP call", "dialplan"]) {
    const { print } = LINE_KINDS.find((kind) => kind.name === name)!;
    const bench = new TableBench();
    const office = "198.51.100.7";
    const call = (host: string, number: number) =>
      fileLine(print(host, { extension: `00972${number}` }));
    const reader = new SecurityLogReader({
      event: () => {},
      tampered: () => {},
      notice: (event) => bench.table.record(event, bench.now),
    });
    const say = (text: string) => {
      reader.push(bytesOf(text));
      reader.flush();
    };
    bench.take(successfulAuth(office));
    for (let i = 0; i < 100; i++) say(call(office, i));
    assert.deepEqual([bench.points(office), bench.blocked], [0, []], name);
    for (let i = 0; i < 3; i++) say(call(HOST, i));
    assert.deepEqual(bench.blocked, [HOST], name);
    assert.deepEqual(bench.offences[0]!.tally, { ...NO_TALLY, strangeCalls: 3 });
  }
});
