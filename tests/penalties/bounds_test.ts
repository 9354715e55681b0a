/**
 * Nothing that strangers fill grows without a bound, and no number of the penalty table ever makes
 * no sense.
 */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { overlaps } from "../../src/address/address.ts";
import { ATTEMPT_POINTS, RETRANSMISSIONS_MAX, WAITING_MAX } from "../../src/penalties/attempts.ts";
import { HOSTS_MAX } from "../../src/penalties/hosts.ts";
import { STANDING_MAX } from "../../src/penalties/good_standing.ts";
import { EXEMPT_HOSTS_MAX, ExemptFailures } from "../../src/penalties/exempt_failures.ts";
import { ACCOUNTS_MAX, FailedAccounts } from "../../src/penalties/failed_accounts.ts";
import {
  FORGIVEN_A_DAY,
  FORGIVEN_HOSTS_MAX,
  Forgiveness,
} from "../../src/penalties/forgiveness.ts";
import { LATE_HOSTS_MAX, LATE_MS, LateAttempts } from "../../src/penalties/late_attempts.ts";
import { NetworkFailures, NETWORKS_MAX } from "../../src/penalties/network_failures.ts";
import { OffenceRows, ROWS_MAX } from "../../src/penalties/offence_rows.ts";
import {
  OWN_ACCOUNTS_MIN,
  PROXIES_WATCHED_MAX,
  PROXY_ACCOUNTS_MAX,
  PROXY_WATCH_MS_MIN,
  ProxySigns,
} from "../../src/penalties/proxy_signs.ts";
import {
  challengeSent,
  failedAcl,
  printEvent,
  remoteOf,
  successfulAuth,
  unique,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { Dice } from "../simulation/dice.ts";
import { DAY, HOST, MINUTE, POLICY, SECOND, TableBench } from "../support/table_bench.ts";

function address(i: number): string {
  return `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
}

Deno.test("bounds: attempts that wait, the oldest is charged when there are more", () => {
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

Deno.test("bounds: hosts in good standing, the one that logged in longest ago goes first", () => {
  const bench = new TableBench();
  for (let i = 0; i <= STANDING_MAX; i++) bench.take(successfulAuth(address(i)));
  assert.equal(bench.table.standingSize, STANDING_MAX);
  assert.equal(bench.table.isInGoodStanding(address(0), bench.now), false);
  assert.equal(bench.table.isInGoodStanding(address(1), bench.now), true);
});

Deno.test("bounds: answers of a session, of which the latest are remembered", () => {
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

Deno.test("bounds: accounts of a host, what further ones cost is no login's", () => {
  const failed = new FailedAccounts();
  for (let i = 0; i < ACCOUNTS_MAX + 2; i++) {
    failed.add(1, { service: "PJSIP", account: `${i}` }, 5, true);
  }
  assert.equal(failed.forgive(1, { service: "PJSIP", account: `${ACCOUNTS_MAX - 1}` }), 5);
  assert.equal(failed.forgive(1, { service: "PJSIP", account: `${ACCOUNTS_MAX + 1}` }), 0);
  assert.equal(failed.forgiveAny(1, 1_000), 5 * (ACCOUNTS_MAX + 1));
});

Deno.test("bounds: rows, forgiveness, networks and late hosts, the oldest goes first", () => {
  const rows = new OffenceRows();
  for (let i = 0; i <= ROWS_MAX; i++) rows.next(i, i, DAY);
  assert.equal(rows.size, ROWS_MAX);
  assert.deepEqual([rows.has(0), rows.has(1)], [false, true]);

  const forgiveness = new Forgiveness(ATTEMPT_POINTS);
  for (let i = 0; i <= FORGIVEN_HOSTS_MAX; i++) forgiveness.use(i, 5, 0);
  const all = ATTEMPT_POINTS * FORGIVEN_A_DAY;
  assert.deepEqual([forgiveness.left(0, 0), forgiveness.left(1, 0)], [all, all - 5]);

  const networks = new NetworkFailures();
  const how = { standing: false, proven: true };
  for (const host of ["a", "b"]) networks.add("0", host, 5, how, 0);
  for (const host of ["a", "b"]) networks.add("1", host, 5, how, 0);
  for (let i = 2; i <= NETWORKS_MAX; i++) networks.add(`${i}`, "a", 5, how, 0);
  const verdict = (network: string) => {
    networks.add(network, "c", 5, how, 0);
    return networks.judge(network, { strange: 15, own: 150 }, false, false).verdict;
  };
  assert.deepEqual([verdict("1"), verdict("0")], ["network", "nothing"]);

  const late = new LateAttempts();
  for (let i = 0; i <= LATE_HOSTS_MAX; i++) late.blocked(i, 0);
  for (const host of [0, 1]) late.count(host);
  late.expire(LATE_MS);
  assert.deepEqual(late.takeExpired(), [[1, 1]]);
});

Deno.test("bounds: exempt hosts and proxies that are watched", () => {
  const exempt = new ExemptFailures();
  for (let i = 0; i <= EXEMPT_HOSTS_MAX; i++) exempt.add(i);
  exempt.add(0);
  const taken = exempt.take();
  assert.deepEqual([taken.length, taken[0]], [EXEMPT_HOSTS_MAX, [0, 2]]);

  const proxies = new ProxySigns();
  const isFound = (host: number) => {
    for (let i = 0; i < PROXY_ACCOUNTS_MAX + 100; i++) {
      proxies.failed(host, `strange${i}`, PROXY_WATCH_MS_MIN - 1);
    }
    for (let i = 0; i < 2 * OWN_ACCOUNTS_MIN; i++) {
      proxies.succeeded(host, `own${i % OWN_ACCOUNTS_MIN}`);
    }
    proxies.failed(host, "strange", PROXY_WATCH_MS_MIN);
    return proxies.takeFound();
  };
  for (let i = 0; i <= PROXIES_WATCHED_MAX; i++) proxies.failed(i, "a", 0);
  const [found] = isFound(1);
  assert.equal(found!.strange, PROXY_ACCOUNTS_MAX, "accounts are counted up to a bound");
  assert.deepEqual(isFound(0), [], "watched anew");
});

Deno.test("bounds: a new ipv6_prefix and new prefixes of NAT64 hold from then on", () => {
  const bench = new TableBench({ ipv6Prefix: 128 });
  const guess = (prefix: string) => {
    bench.offences.length = 0;
    for (let i = 1; i <= 4; i++) bench.take(wrongAnswer(`${prefix}${i}`));
    return bench.blocked;
  };
  const network = "2001:db8:0:1::";
  assert.deepEqual(guess(network), []);
  bench.table.setPolicy({ ...POLICY, ipv6Prefix: 64 });
  assert.deepEqual(guess(network).slice(0, 1), [`${network}/64`]);
  bench.table.setPolicy({ ...POLICY, ipv6Prefix: 64, nat64: ["2001:db8:0:2::/96"] });
  assert.deepEqual(guess("2001:db8:0:2::"), []);
  bench.table.setPolicy({ ...POLICY, ipv6Prefix: 64 });
  assert.deepEqual(guess("2001:db8:0:2::").slice(0, 1), ["2001:db8:0:2::/64"]);
});

Deno.test("bounds: hosts that cost nothing while Ampere learns are hosts like others, at patience = 0 too", () => {
  for (const patienceMs of [0, 5 * SECOND]) {
    const bench = new TableBench({ patienceMs });
    bench.table.learnUntil(Infinity);
    for (let i = 0; i < HOSTS_MAX + 10; i++) bench.take(challengeSent(address(i)));
    assert.equal(bench.table.size, HOSTS_MAX);
    bench.after(DAY + SECOND);
    assert.equal(bench.table.size, 0);
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

Deno.test("bounds: of sixteen failures of a stranger at least one is charged, however they are mixed", () => {
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

Deno.test("bounds: whatever is done with the table, its numbers make sense", () => {
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
        if (points === 0) assert.deepEqual(Object.values(tally), [0, 0, 0, 0]);
      }
    }
    for (const { points, limit, row } of bench.offences) {
      assert.ok(points >= limit && limit > 0 && row >= 0, `seed ${seed}`);
    }
    bench.after(10 * DAY);
    assert.deepEqual([table.size, table.waiting, table.standingSize], [0, 0, 0], `seed ${seed}`);
  }
});
