/** Who must pass although a network around them is blocked. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { DaemonBench } from "../support/daemon_bench.ts";
import { ADDRESS, withDaemon } from "../support/daemons.ts";
import { block } from "../support/database_samples.ts";
import { until } from "../support/namespace.ts";
import { POLICY } from "../support/table_bench.ts";

Deno.test("exceptions: a trusted host's block ends, and that is reported", async () => {
  await withDaemon({}, async (daemon, asterisk, notices) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
    await until("the host is blocked", () => daemon.list.size === 1);
    daemon.reconfigure({ ...daemon.config, trust: ["203.0.113.0/24"] });
    assert.deepEqual(notices.at(-1), {
      event: "unblock",
      time: notices.at(-1)!.time,
      target: ADDRESS,
      reason: "trusted now",
    });
  });
});

Deno.test("exceptions: a blocked network around a host that is trusted now stays, which is told once", async () => {
  await withDaemon({}, (daemon, _asterisk, notices, lines) => {
    daemon.list.add([{
      target: "203.0.113.0/24",
      since: Date.now(),
      until: undefined,
      reason: "by hand",
      service: "",
      transport: "",
      account: "",
    }], Date.now());
    for (let i = 0; i < 2; i++) {
      daemon.reconfigure({ ...daemon.config, trust: ["203.0.113.7", "198.51.100.0/24"] });
    }
    assert.equal(daemon.list.size, 1);
    assert.deepEqual(notices.filter(({ event }) => event === "unblock"), []);
    const told = lines.filter((line) => line.includes("stays blocked"));
    assert.equal(told.length, 1, lines.join());
    assert.match(
      told[0]!,
      /203\.0\.113\.0\/24 stays blocked, but lets through 203\.0\.113\.7,.* block: echo 203\.0\.113\.0\/24 \| ampere -d$/,
    );
    daemon.reconfigure({ ...daemon.config, trust: ["203.0.112.0/23"] });
    assert.equal(daemon.list.size, 0);
    return Promise.resolve();
  });
});

const NETWORK = "2001:db8:0:1::/64";
const PHONE = "2001:db8:0:1::beef";

/** What the commands let through or let through no more. */
function passes(commands: readonly string[]): string[] {
  return commands.flatMap((command) => {
    const [, verb, target] = /-([IAD]) ampere -s (\S+) -j RETURN/.exec(command) ?? [];
    return verb === undefined ? [] : [`${verb === "D" ? "not" : "pass"} ${target}`];
  });
}

Deno.test("exceptions: who belongs in an IPv6 network passes before it is blocked, until they fail too", async () => {
  const bench = await new DaemonBench({ policy: { ipv6Prefix: 64 } }).start();
  await bench.take(successfulAuth(PHONE));
  bench.pipeline.block([block(NETWORK)], bench.clock.now());
  await bench.firewall.idle();
  const commands = bench.newCommands();
  assert.deepEqual(passes(commands), [`pass ${PHONE}`]);
  assert.ok(
    commands.findIndex((command) => command.includes("RETURN")) <
      commands.findIndex((command) => command.includes(NETWORK)),
    commands.join("\n"),
  );
  await bench.take(wrongAnswer(PHONE));
  bench.exceptions.refresh();
  await bench.firewall.idle();
  assert.deepEqual(passes(bench.newCommands()), [`not ${PHONE}`]);
});

Deno.test("exceptions: with the block of the network they end", async () => {
  const bench = await new DaemonBench({ policy: { ipv6Prefix: 64 } }).start();
  await bench.take(successfulAuth(PHONE));
  bench.pipeline.block([block(NETWORK)], bench.clock.now());
  await bench.firewall.idle();
  bench.newCommands();
  bench.list.remove([NETWORK], bench.clock.now());
  bench.exceptions.refresh();
  await bench.firewall.idle();
  assert.deepEqual(passes(bench.newCommands()), [`not ${PHONE}`]);
});

Deno.test("exceptions: after a start those of Ampere's own blocks come back, none is made for a block by hand", async () => {
  for (const service of ["PJSIP", ""]) {
    const bench = new DaemonBench({ policy: { ipv6Prefix: 64 } });
    bench.list.add([block(NETWORK, { service })], bench.clock.now());
    bench.table.restoreStanding([[PHONE, bench.clock.now()]]);
    await bench.start();
    bench.newCommands();
    bench.exceptions.findShared();
    await bench.firewall.idle();
    assert.deepEqual(passes(bench.newCommands()), service === "" ? [] : [`pass ${PHONE}`]);
  }
});

Deno.test("exceptions: a block within what is exempt ends, one around it lets it through", async () => {
  const bench = new DaemonBench();
  const now = bench.clock.now();
  bench.list.add([block("198.51.100.7"), block("203.0.113.0/24"), block("192.0.2.1")], now);
  await bench.start();
  bench.newCommands();
  const exempt = new AddressSet(["198.51.100.0/24", "203.0.113.9"]);
  bench.table.setPolicy({ ...POLICY, exempt });
  bench.exceptions.releaseExempt();
  await bench.firewall.idle();
  const left = Array.from(bench.list.entries(), ({ target }) => target);
  assert.deepEqual(left, ["203.0.113.0/24", "192.0.2.1"]);
  const commands = bench.newCommands();
  assert.ok(commands.some((command) => / -D ampere -s 198\.51\.100\.7 /.test(command)));
  assert.deepEqual(passes(commands), ["pass 203.0.113.9"], "no other is within a blocked network");
  assert.equal(bench.exceptions.causeOf("198.51.100.7"), "trusted");
  assert.equal(bench.counters.removed, 1);
});
