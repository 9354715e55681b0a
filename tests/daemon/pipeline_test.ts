/** The way of the data: event, charge, offence, block, firewall. */

import assert from "node:assert/strict";
import { challengeSent, remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { DaemonBench } from "../support/daemon_bench.ts";
import { ADDRESS, withDaemon } from "../support/daemons.ts";
import { address } from "../support/database_samples.ts";
import { until } from "../support/namespace.ts";
import { POLICY } from "../support/table_bench.ts";

Deno.test("pipeline: in a dry run the log says what would be done", async () => {
  await withDaemon({}, async (daemon, asterisk, _notices, lines) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
    await until("the host would be blocked, and the log says so", () =>
      daemon.list.size === 1 &&
      lines.some((line) =>
        line.startsWith(`info: dry run: would block ${ADDRESS} until `) &&
        line.endsWith("(in doubt: its address can be forged)")
      ));
    asterisk.dropAll();
    await until("the loss is told", () => lines.some((line) => line.endsWith(" Trying again")));
    assert.ok(!lines.some((line) => line.includes("in force")), lines.join("\n"));
  }, true);
});

Deno.test("pipeline: a phone that answers fifteen times at once is blocked for a short time, not for its haste", async () => {
  await withDaemon({}, async (daemon, asterisk, notices) => {
    const session = "call-of-the-phone";
    const answers = Array.from({ length: 15 }, () => wrongAnswer(ADDRESS, { session }));
    await asterisk.send(answers.join(""));
    const told = () => notices.find((notice) => notice.event === "block");
    await until("the host is blocked, and told of", () => told() !== undefined);
    assert.equal(daemon.list.size, 1);
    const block = told();
    assert.equal(Date.parse(block!.until!) - Date.parse(block!.time), 25_000);
    assert.match(block!.reason, /^3 wrong passwords .* \(in doubt/);
  });
});

const HOUR_MS = 3_600_000;
const OTHER = "203.0.113.10";

/** So many wrong answers of a host, in one piece. */
function wrong(host: string, count: number, transport = "UDP"): string {
  return Array.from(
    { length: count },
    () => wrongAnswer(host, { remote: remoteOf(host, transport) }),
  ).join("");
}

Deno.test("pipeline: an event is charged, an offence is a block, in the list, the firewall and all that is told", async () => {
  const bench = await new DaemonBench().start();
  await bench.take(wrong(ADDRESS, 2));
  assert.equal(bench.table.worst(1, bench.clock.now())[0]?.points, 10);
  assert.deepEqual([bench.list.size, bench.newCommands(), bench.lines], [0, [], []]);
  await bench.take(wrong(ADDRESS, 1));
  const now = bench.clock.now();
  const block = bench.list.get(ADDRESS);
  assert.deepEqual(
    [block?.since, block?.until, block?.account, block?.times],
    [now, now + HOUR_MS, "100", 1],
  );
  assert.equal(
    bench.newCommands().join(),
    `iptables -w 4 -A ampere -s ${ADDRESS} -j REJECT --reject-with icmp-port-unreachable`,
  );
  assert.deepEqual(bench.lines, [], "it is told when the command has begun");
  await bench.clock.advance(1);
  assert.equal(bench.lines.length, 1);
  assert.match(
    bench.lines[0]!,
    /^info: blocked 203\.0\.113\.9 until \S+ \S+ \(1 h\): 3 wrong passwords /,
  );
  assert.deepEqual(bench.notices.map((notice) => notice.event === "block" && notice.target), [
    ADDRESS,
  ]);
  assert.equal(bench.table.size, 0, "a blocked host begins anew");
  assert.deepEqual([bench.counters.added, bench.counters.offences, bench.counters.eventsTotal], [
    1,
    1,
    3,
  ]);
});

Deno.test("pipeline: what one read brings is one command, and a host that is blocked in it is blocked once", async () => {
  const bench = await new DaemonBench().start();
  await bench.take(wrong(ADDRESS, 9) + wrong(OTHER, 3) + wrong("2001:db8::1", 3));
  const commands = bench.newCommands();
  assert.equal(commands.length, 2, commands.join("\n"));
  assert.match(commands[0]!, /^iptables .* -s 203\.0\.113\.9,203\.0\.113\.10 /);
  assert.match(commands[1]!, /^ip6tables .* -s 2001:db8::1 /);
  await bench.clock.advance(1);
  assert.deepEqual([bench.counters.offences, bench.counters.added, bench.notices.length], [
    5,
    3,
    3,
  ]);
});

Deno.test("pipeline: a block is for what made it, not for what was under way", async () => {
  const bench = await new DaemonBench().start();
  const guess = (account: string) => wrongAnswer(ADDRESS, { account });
  await bench.take(...["a", "b", "c", "d", "e", "f"].map(guess));
  assert.equal(bench.counters.offences, 2);
  assert.equal(bench.list.get(ADDRESS)?.account, "c");
  assert.match(bench.list.get(ADDRESS)!.reason, /last account "c"/);
});

Deno.test("pipeline: a silent host is blocked by time alone", async () => {
  const bench = await new DaemonBench({ policy: { loyalty: 1 } }).start();
  await bench.take(challengeSent(ADDRESS), challengeSent(ADDRESS));
  bench.pipeline.advance(bench.clock.now());
  assert.equal(bench.list.size, 0, "it may still answer");
  await bench.clock.advance(POLICY.patienceMs);
  bench.pipeline.advance(bench.clock.now());
  await bench.firewall.idle();
  assert.equal(bench.list.size, 1);
  assert.equal(bench.newCommands().length, 1);
});

Deno.test("pipeline: a flood of silent hosts is charged in turns, between which the socket is read", async () => {
  const bench = await new DaemonBench({ policy: { loyalty: 1 } }).start();
  const hosts = Array.from({ length: 3_000 }, (_, n) => address(n));
  await bench.take(hosts.map((host) => challengeSent(host) + challengeSent(host)).join(""));
  await bench.clock.advance(POLICY.patienceMs);
  bench.pipeline.advance(bench.clock.now());
  const first = bench.list.size;
  assert.ok(first > 0 && first < hosts.length, `${first} in the first turn`);
  await bench.clock.advance(0);
  assert.equal(bench.list.size, hosts.length);
});

Deno.test("pipeline: a block that follows others of its host is longer, as it is told", async () => {
  const bench = await new DaemonBench({
    config: { bantime: 600, bantimeFactor: 3, bantimeMax: 86_400 },
  }).start();
  const lengths: number[] = [];
  for (let i = 0; i < 3; i++) {
    await bench.take(wrong(ADDRESS, 3, "TCP"));
    const { since, until } = bench.list.get(ADDRESS)!;
    lengths.push((until! - since) / 1_000);
    await bench.clock.advance(until! - since);
    bench.changes.expire();
  }
  assert.deepEqual(lengths, [600, 1_800, 5_400]);
  assert.deepEqual(
    bench.lines.filter((line) => line.includes("blocked")).map((line) =>
      /\((.*?)\)/.exec(line)?.[1]
    ),
    ["10 min", "30 min", "1 h 30 min"],
  );
});

Deno.test("pipeline: who still arrives ten seconds after they were blocked makes it look at the firewall", async () => {
  const bench = await new DaemonBench().start();
  await bench.take(wrong(ADDRESS, 3, "TCP"));
  bench.newCommands();
  await bench.clock.advance(9_999);
  await bench.take(wrong(ADDRESS, 3, "TCP"));
  assert.equal(bench.lines.length, 1, "under way when it was blocked");
  const passer = () => bench.counters.passer?.target;
  assert.equal(passer(), undefined);
  await bench.clock.advance(1);
  const looks = () => bench.firewall.status().commands;
  const before = looks();
  await bench.take(wrong(ADDRESS, 3, "TCP"));
  const each = looks() - before;
  assert.ok(each > 0);
  await bench.take(wrong(ADDRESS, 3, "TCP"));
  assert.equal(looks() - before, each, "once in ten seconds");
  assert.equal(bench.lines.length, 2, bench.lines.join("\n"));
  assert.match(bench.lines[1]!, /^warn: 203\.0\.113\.9 is blocked and still reaches Asterisk\./);
  assert.deepEqual(bench.newCommands(), [], "the firewall is as it should be");
  assert.equal(bench.counters.added, 1);
  assert.equal(passer(), ADDRESS);
});

Deno.test("pipeline: with -v each charge is told with the points", async () => {
  const bench = new DaemonBench({ level: "debug" });
  await bench.take(wrong(ADDRESS, 1) + wrongAnswer("127.0.0.1"));
  assert.match(
    bench.lines[0]!,
    /^debug: ChallengeResponseFailed PJSIP: 203\.0\.113\.9: .*; points 0 -> 5 of 15$/,
  );
});
