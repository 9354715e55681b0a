import assert from "node:assert/strict";
import {
  AccountGuard,
  ACCOUNTS_COUNTED_MAX,
  GUARD_BLOCKS_A_MINUTE,
  GUARDED_NAMED_MAX,
  guardKey,
  INVENTED_ACCOUNTS_MAX,
} from "../../src/penalties/account_guard.ts";
import { Dice } from "../simulation/dice.ts";
import { failedAcl, remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { DAY, MINUTE, SECOND, TableBench } from "../support/table_bench.ts";

const HOUR = 60 * MINUTE;
const RULE = { hosts: 10, windowMs: HOUR };
const ON = { service: "PJSIP", account: "100" } as const;

/** A table with the rule; strangers are 198.51.100.1 and so on. */
function bench(policy: ConstructorParameters<typeof TableBench>[0] = {}): TableBench {
  return new TableBench({ guardHosts: 10, guardWindowMs: HOUR, ...policy });
}

function stranger(n: number): string {
  return `198.51.100.${n}`;
}

/** So many strangers fail on an account, a second apart. */
function strangersFail(bench: TableBench, count: number, account = "100", from = 1): void {
  for (let n = from; n < from + count; n++) {
    bench.take(wrongAnswer(stranger(n), { account })).after(SECOND);
  }
}

Deno.test("account guard: from the tenth different host within the time on it is guarded", () => {
  const guard = new AccountGuard(RULE);
  for (let host = 1; host <= 9; host++) assert.equal(guard.fails(ON, host, 0), false);
  assert.equal(guard.fails(ON, 9, 1), false, "the same host again");
  assert.equal(guard.fails({ ...ON, account: "101" }, 10, 1), false, "another account");
  assert.equal(guard.fails({ ...ON, service: "SIP" }, 10, 1), false, "another service");
  assert.equal(guard.guarded, 0);
  assert.equal(guard.fails(ON, 10, 2), true);
  assert.equal(guard.fails(ON, 1, 3), true, "whoever it is now");
  assert.equal(guard.guarded, 1);
});

Deno.test("account guard: it is exact, whatever order the hosts come in", () => {
  const dice = new Dice(7);
  // So long a pause that it is sometimes guarded, and sometimes not.
  for (const [hosts, pause] of [[1, 3_000], [2, 700], [5, 250], [10, 120]] as const) {
    const guard = new AccountGuard({ hosts, windowMs: 1_000 });
    const last = new Map<number, number>();
    let now = 0;
    for (let i = 0; i < 5_000; i++) {
      now += dice.int(0, pause);
      const host = dice.int(1, hosts + 4);
      last.set(host, now);
      const inTime = [...last.values()].filter((at) => now - at <= 1_000).length;
      assert.equal(guard.fails(ON, host, now), inTime >= hosts, `${hosts} hosts, step ${i}`);
      if (dice.chance(0.02)) guard.advance(now);
    }
    assert.ok(guard.begun > 1 || hosts === 1, `${hosts}: ${guard.begun}`);
  }
});

Deno.test("account guard: a login takes its host out, wherever it stands", () => {
  for (const gone of [1, 2, 3]) {
    const guard = new AccountGuard({ hosts: 3, windowMs: HOUR });
    for (const host of [1, 2, 3]) guard.fails(ON, host, host);
    guard.succeeds(ON, gone, 4);
    assert.deepEqual([guard.guarded, guard.takeChanges().length], [0, 2]);
    for (const host of [1, 2, 3].filter((host) => host !== gone)) {
      assert.equal(guard.fails(ON, host, 5), false);
    }
    assert.equal(guard.fails(ON, 9, 6), true);
    for (const host of [1, 2, 3, 9]) guard.succeeds(ON, host, 7);
    assert.equal(guard.size, 0);
  }
});

Deno.test("account guard: what has no name of an account is none", () => {
  const guard = new AccountGuard({ hosts: 1, windowMs: HOUR });
  assert.equal(guard.fails({ service: "AMI", account: "" }, 1, 0), false);
  assert.equal(guard.fails({ service: "PJSIP", account: "<unknown>" }, 1, 0), false);
  assert.equal(guard.size, 0);
  assert.equal(new AccountGuard({ hosts: 0, windowMs: HOUR }).fails(ON, 1, 0), false);
});

Deno.test("account guard: begin and end are told once", () => {
  const guard = new AccountGuard(RULE);
  for (let host = 1; host <= 40; host++) guard.fails(ON, host, host * 1_000);
  assert.deepEqual(guard.takeChanges(), [
    { service: "PJSIP", account: "100", since: 10_000, blocked: 0, over: undefined },
  ]);
  guard.takeBlock(ON);
  guard.advance(31_000 + HOUR);
  assert.deepEqual(guard.takeChanges(), [], "ten have failed within the time");
  assert.equal(guard.guarded, 1);
  guard.advance(32_000 + HOUR);
  assert.deepEqual(guard.takeChanges(), [
    { service: "PJSIP", account: "100", since: 10_000, blocked: 1, over: 32_000 + HOUR },
  ]);
  assert.deepEqual([guard.guarded, guard.accounts()], [0, []]);
  guard.advance(41_000 + HOUR);
  assert.equal(guard.size, 0, "and nothing of it is left");
});

Deno.test("account guard: a flood of invented names forgets those that few failed on, and no account of PJSIP", () => {
  const guard = new AccountGuard({ hosts: 3, windowMs: HOUR });
  const known = { service: "SIP", account: "7" } as const;
  for (let host = 1; host <= 2; host++) {
    guard.fails(ON, host, 0);
    guard.fails(known, host, 0);
  }
  for (let i = 0; i < 1.5 * INVENTED_ACCOUNTS_MAX; i++) {
    guard.fails({ service: "SIP", account: `invented ${i}` }, i, 1);
  }
  assert.ok(guard.size <= INVENTED_ACCOUNTS_MAX + 1, `${guard.size}`);
  assert.equal(guard.fails(known, 3, 2), true, "more hosts failed on it than on any other");
  // Two hosts for each name: what nobody failed on lately must go.
  for (let i = 0; i < 1.1 * INVENTED_ACCOUNTS_MAX; i++) {
    for (const host of [1, 2]) guard.fails({ service: "SIP", account: `second ${i}` }, host, 3);
  }
  assert.equal(guard.fails(known, 4, 4), true, "it is guarded, and stays");
  assert.equal(guard.fails(ON, 3, 5), true, "names of PJSIP are not invented");
  assert.ok(guard.size <= ACCOUNTS_COUNTED_MAX);
});

Deno.test("account guard: what waits to be told is bounded", () => {
  const guard = new AccountGuard({ hosts: 1, windowMs: HOUR });
  for (let i = 0; i < 3 * GUARDED_NAMED_MAX; i++) {
    guard.fails({ service: "SIP", account: `invented ${i}` }, 1, 0);
  }
  assert.equal(guard.guarded, 3 * GUARDED_NAMED_MAX);
  assert.equal(guard.accounts().length, GUARDED_NAMED_MAX);
  assert.equal(guard.takeChanges().length, GUARDED_NAMED_MAX);
  guard.advance(2 * HOUR);
  assert.deepEqual([guard.guarded, guard.size], [0, 0]);
});

Deno.test("account guard: another number of hosts begins anew, another time does not", () => {
  const guard = new AccountGuard({ hosts: 2, windowMs: HOUR });
  guard.fails(ON, 1, 0);
  guard.setRule({ hosts: 2, windowMs: 2 * HOUR });
  assert.equal(guard.fails(ON, 2, 90 * MINUTE), true);
  guard.setRule({ hosts: 3, windowMs: 2 * HOUR });
  assert.equal(guard.guarded, 0);
  assert.deepEqual(guard.takeChanges().map(({ over }) => over !== undefined), [false, true]);
  assert.equal(guard.fails(ON, 3, 90 * MINUTE), false);
});

Deno.test("account guard: an IPv6 network is one host", () => {
  const one = guardKey("2001:db8::1", "2001:db8::/64");
  assert.equal(guardKey("2001:db8::2", "2001:db8::/64"), one);
  assert.notEqual(guardKey("2001:db8:0:1::2", "2001:db8:0:1::/64"), one);
  assert.notEqual(guardKey("2001:db8::1", undefined), one);
  assert.equal(guardKey(7, undefined), 7);
});

Deno.test("account guard: the tenth stranger is blocked at the first failure, and each after that", () => {
  const table = bench();
  strangersFail(table, 9);
  assert.deepEqual(table.blocked, []);
  strangersFail(table, 3, "100", 10);
  assert.deepEqual(table.blocked, [10, 11, 12].map(stranger));
  const [offence] = table.offences;
  assert.deepEqual(
    [offence!.grounds, offence!.row, offence!.points, offence!.limit, offence!.proven],
    ["guarded account", 0, 5, 15, false],
  );
  // Those that failed before it was guarded, too.
  table.take(wrongAnswer(stranger(1)));
  assert.equal(table.blocked.at(-1), stranger(1));
});

Deno.test("account guard: who logged in is not touched, and does not count", () => {
  const table = bench();
  for (let n = 1; n <= 30; n++) table.take(successfulAuth(stranger(n)));
  strangersFail(table, 30);
  assert.deepEqual(table.blocked, []);
  strangersFail(table, 12, "100", 101);
  assert.equal(table.blocked.length, 3);
  for (let i = 0; i < 20; i++) table.take(wrongAnswer(stranger(1))).after(SECOND);
  assert.equal(table.blocked.length, 3, "its account is guarded, and it belongs here");
});

Deno.test("account guard: who mistyped and then logs in is no stranger", () => {
  const table = bench();
  for (let n = 1; n <= 9; n++) {
    table.take(wrongAnswer(stranger(n)), successfulAuth(stranger(n), { account: "100" }));
  }
  strangersFail(table, 9, "100", 20);
  assert.deepEqual(table.blocked, []);
  strangersFail(table, 1, "100", 40);
  assert.deepEqual(table.blocked, [stranger(40)]);
});

Deno.test("account guard: refusals and challenges test no password", () => {
  const table = bench();
  for (let n = 1; n <= 20; n++) {
    table.take(failedAcl(stranger(n), "not_match_endpoint_acl", { account: "100" }));
  }
  assert.equal(table.table.guard.guarded, 0);
  assert.deepEqual(table.blocked, []);
});

Deno.test("account guard: a host that is blocked for it keeps its points, and is blocked for them as ever", () => {
  const table = bench();
  strangersFail(table, 9);
  const over = { remote: remoteOf(stranger(50), "TLS") };
  for (let i = 0; i < 3; i++) table.take(wrongAnswer(stranger(50), over)).after(2 * MINUTE);
  const own = table.offences.filter(({ target }) => target === stranger(50));
  assert.deepEqual(
    own.map(({ grounds, row, proven, renews }) => [grounds, row, proven, renews ?? false]),
    [
      ["guarded account", 0, true, false],
      ["guarded account", 1, true, false],
      ["attempts", 0, true, true],
    ],
  );
});

Deno.test("account guard: what was under way at the block is not another", () => {
  const table = bench({ loyalty: 100 });
  strangersFail(table, 9);
  for (let i = 0; i < 15; i++) table.take(wrongAnswer(stranger(50)));
  assert.deepEqual(table.blocked, [stranger(50)]);
  table.after(35 * SECOND).take(wrongAnswer(stranger(50)));
  assert.equal(table.offences.length, 1, "others there must be able to come back");
  table.after(SECOND).take(wrongAnswer(stranger(50)));
  assert.equal(table.offences.length, 2);
  table.after(3 * SECOND).take(wrongAnswer(stranger(50)));
  assert.equal(table.offences.length, 3);
});

Deno.test("account guard: a login ends the row of its blocks, a quiet day does not", () => {
  const table = bench();
  strangersFail(table, 9);
  const row = () => table.take(wrongAnswer(stranger(50))).offences.at(-1)!.row;
  assert.equal(row(), 0);
  table.after(26 * HOUR);
  strangersFail(table, 9, "100", 101);
  assert.equal(row(), 1, "who comes once a day is longer out each day");
  table.take(successfulAuth(stranger(50), { account: "200" })).after(8 * DAY);
  strangersFail(table, 9, "100", 201);
  assert.equal(row(), 0);
});

Deno.test("account guard: without good standing nobody could be told from a stranger", () => {
  const table = bench({ creditMs: 0 });
  strangersFail(table, 30);
  assert.deepEqual(table.blocked, []);
});

Deno.test("account guard: a neighbour of who logged in, in one IPv6 network, is no stranger", () => {
  const table = bench({ ipv6Prefix: 64 });
  table.take(successfulAuth("2001:db8:0:9::1"));
  strangersFail(table, 12);
  table.take(wrongAnswer("2001:db8:0:9::2"));
  assert.ok(!table.blocked.includes("2001:db8:0:9::2"));
  // All addresses of one network are one host.
  const other = bench({ ipv6Prefix: 64, loyalty: 100 });
  for (let n = 1; n <= 30; n++) other.take(wrongAnswer(`2001:db8:0:8::${n.toString(16)}`));
  assert.equal(other.table.guard.guarded, 0);
});

Deno.test("account guard: a flood of forged addresses is blocked for it no faster than so many a minute", () => {
  const table = bench();
  const flood = (from: number, count: number) => {
    for (let n = from; n < from + count; n++) {
      table.take(wrongAnswer(`10.${n >> 16}.${n >> 8 & 255}.${n & 255}`));
    }
  };
  flood(0, 3 * GUARD_BLOCKS_A_MINUTE);
  assert.equal(table.offences.length, GUARD_BLOCKS_A_MINUTE);
  table.after(29 * SECOND);
  flood(100_000, 10);
  assert.equal(table.offences.length, GUARD_BLOCKS_A_MINUTE, "they come together");
  table.after(SECOND);
  flood(200_000, GUARD_BLOCKS_A_MINUTE);
  assert.equal(table.offences.length, 1.5 * GUARD_BLOCKS_A_MINUTE);
  assert.equal(table.table.guard.blocked, 1.5 * GUARD_BLOCKS_A_MINUTE);
});
