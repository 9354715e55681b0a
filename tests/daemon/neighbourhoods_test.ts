/** Networks that are blocked for their hosts, by the parts of a daemon. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import type { Offence } from "../../src/penalties/offence.ts";
import { remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { DaemonBench } from "../support/daemon_bench.ts";

const NETWORK = "203.0.113.0/24";
const HOUR = 3_600_000;
const BLANK = { service: "", transport: "", account: "" };

function bench(policy: ConstructorParameters<typeof DaemonBench>[0] = {}): DaemonBench {
  return new DaemonBench({ config: { neighbours: 3 }, ...policy });
}

/** Hosts guess until they are blocked. */
async function guess(bench: DaemonBench, hosts: readonly number[], transport = "TLS") {
  for (const n of hosts) {
    const address = `203.0.113.${n}`;
    const answer = () => wrongAnswer(address, { remote: remoteOf(address, transport) });
    await bench.take(answer(), answer(), answer());
  }
}

Deno.test("neighbourhoods: with the third host its network is blocked, in one order to the firewall", async () => {
  const daemon = await bench().start();
  await guess(daemon, [4, 5]);
  assert.equal(daemon.list.size, 2);
  daemon.newCommands();
  await guess(daemon, [6]);
  assert.equal(daemon.list.size, 4);
  const { since, until, reason, service } = daemon.list.get(NETWORK)!;
  assert.deepEqual([until! - since, service], [HOUR, ""]);
  assert.equal(reason, "3 blocked hosts within a day: 203.0.113.4, 203.0.113.5, 203.0.113.6");
  assert.match(daemon.newCommands().join(), /203\.0\.113\.6,203\.0\.113\.0\/24/);
  await daemon.clock.advance(1);
  const told = daemon.notices.filter((notice) =>
    notice.event === "block" && notice.target === NETWORK
  );
  assert.equal(told.length, 1);
  assert.equal(daemon.counters.networksAdded, 1);
  assert.equal(daemon.neighbourhoods.size, 1);
  assert.ok(daemon.neighbourhoods.holds("203.0.113.200"));
  assert.ok(!daemon.neighbourhoods.holds("203.0.112.200"));
  // A further host of it is blocked by itself, and nothing else is.
  await guess(daemon, [7]);
  assert.equal(daemon.list.size, 5);
});

Deno.test("neighbourhoods: a network is not blocked for its hosts when it is about to be blocked for more", async () => {
  const daemon = await bench().start();
  const now = daemon.clock.now();
  const network = "2001:db8:0:1::/64";
  const fresh = (targets: readonly string[]) =>
    new Map(targets.map((target) => {
      const block = { ...BLANK, target, since: now, until: undefined, reason: "wrong passwords" };
      return [target, [{ proven: true } as Offence, block] as const];
    }));
  const hosts = [4, 5, 6].map((n) => `2001:db8:0:1::${n}`);
  const add = (targets: readonly string[]) =>
    daemon.neighbourhoods.add(fresh(targets), () => 0, now).map(({ target }) => target);
  assert.deepEqual(add([...hosts, network]), []);
  assert.deepEqual(add(hosts), [network]);
});

Deno.test("neighbourhoods: it is blocked again, for twice as long, when its time was over", async () => {
  const daemon = await bench().start();
  await guess(daemon, [4, 5, 6]);
  await daemon.clock.advance(HOUR);
  daemon.changes.expire();
  assert.equal(daemon.list.get(NETWORK), undefined);
  await guess(daemon, [7]);
  const { since, until } = daemon.list.get(NETWORK)!;
  assert.equal(until! - since, 2 * HOUR);
});

Deno.test("neighbourhoods: what can be forged, and what is blocked by hand, does not count", async () => {
  const daemon = await bench().start();
  await guess(daemon, [1, 2, 3, 4, 5], "UDP");
  await guess(daemon, [6, 7]);
  assert.equal(daemon.list.get(NETWORK), undefined);
});

Deno.test("neighbourhoods: a network that holds somebody in good standing, or exempt, is not blocked", async () => {
  const known = await bench().start();
  await known.take(successfulAuth("203.0.113.77"));
  await guess(known, [4, 5, 6, 7]);
  assert.deepEqual([known.list.size, known.list.get(NETWORK)], [4, undefined]);
  const trusted = await bench({ policy: { exempt: new AddressSet(["203.0.113.77"]) } }).start();
  await guess(trusted, [4, 5, 6, 7]);
  assert.equal(trusted.list.get(NETWORK), undefined);
  const around = await bench({ policy: { exempt: new AddressSet(["203.0.113.64/26"]) } }).start();
  await guess(around, [4, 5, 6, 7]);
  assert.equal(around.list.get(NETWORK), undefined);
});

Deno.test("neighbourhoods: it is let go when somebody logs in from it, or is trusted, later", async () => {
  for (const how of ["login", "trust"]) {
    const daemon = await bench().start();
    await guess(daemon, [4, 5, 6]);
    daemon.neighbourhoods.release();
    assert.ok(daemon.list.get(NETWORK), "nobody belongs there");
    if (how === "login") await daemon.take(successfulAuth("203.0.113.77"));
    else {
      daemon.table.setPolicy({
        ...daemon.table.policy,
        exempt: new AddressSet(["203.0.113.77"]),
      });
    }
    daemon.neighbourhoods.release();
    await daemon.firewall.idle();
    assert.equal(daemon.list.get(NETWORK), undefined);
    assert.equal(daemon.list.size, 3, "the guessers stay blocked");
    assert.match(daemon.newCommands().at(-1)!, /-D ampere -s 203\.0\.113\.0\/24/);
    assert.ok(
      daemon.lines.some((line) =>
        line.includes(`released ${NETWORK}: somebody in it logged in, or must never be blocked`)
      ),
      daemon.lines.join("\n"),
    );
    await guess(daemon, [8, 9, 10]);
    assert.equal(daemon.list.get(NETWORK), undefined);
  }
});

Deno.test("neighbourhoods: who logs in from one is not blocked for what others did just before", async () => {
  for (const isIn of [true, false]) {
    const two = { config: { neighbours: 2 }, policy: { ipv6Prefix: 64 } };
    const daemon = await bench(two).start();
    const network = "2001:db8:0:1::/64";
    const wrong = (n: number) => {
      const address = `2001:db8:0:1::${n}`;
      return wrongAnswer(address, { remote: remoteOf(address, "TLS") });
    };
    for (const n of [4, 5]) await daemon.take(wrong(n), wrong(n), wrong(n));
    const first = daemon.list.get(network);
    assert.match(first!.reason, /^2 blocked hosts/);
    // A third neighbour is one too many for the network, and both are read at once.
    const login = isIn ? [successfulAuth("2001:db8:0:1::77")] : [];
    await daemon.take(wrong(6), ...login);
    assert.equal(daemon.counters.offences, 3);
    assert.deepEqual(daemon.list.get(network), isIn ? undefined : first);
  }
});

Deno.test("neighbourhoods: those of an earlier life are known, others are left alone", async () => {
  const first = await bench().start();
  await guess(first, [4, 5, 6]);
  const now = first.clock.now();
  const list = new DryRunBlockList("(memory)", undefined, now);
  const blank = { ...BLANK, since: now };
  const reason = first.list.get(NETWORK)!.reason;
  list.add([
    first.list.get(NETWORK)!,
    { ...blank, target: "198.51.100.0/24", until: undefined, reason: "by hand" },
    // Somebody has made it one for ever.
    { ...blank, target: "192.0.2.0/24", until: undefined, reason },
  ], now);
  const exempt = new AddressSet(["203.0.113.77", "198.51.100.7", "192.0.2.7"]);
  const later = await bench({ list, policy: { exempt } }).start();
  later.neighbourhoods.findBlocked();
  assert.deepEqual(later.list.all().map(({ target }) => target).sort(), [
    "192.0.2.0/24",
    "198.51.100.0/24",
  ]);
});

Deno.test("neighbourhoods: who walks through a network while the daemon is started again is counted on", async () => {
  const DAY = 24 * HOUR;
  for (
    const [transport, ago, isCounted] of [
      ["TLS", 0, true],
      ["TLS", DAY - 1, true],
      ["TLS", DAY + 1, false],
      ["UDP", 0, false],
    ] as const
  ) {
    const first = await bench().start();
    await guess(first, [4, 5], transport);
    const now = first.clock.now();
    const list = new DryRunBlockList("(memory)", undefined, now);
    list.add(first.list.all().map((block) => ({ ...block, since: block.since - ago })), now);
    const later = await bench({ list }).start();
    await guess(later, [6]);
    assert.equal(later.list.get(NETWORK) !== undefined, isCounted, `${transport}, ${ago}`);
    // Each counts once, and what was blocked by hand or with a list never.
    await guess(later, [7]);
    assert.equal(later.list.get(NETWORK) !== undefined, isCounted);
  }
});

Deno.test("neighbourhoods: what was blocked by hand before the start does not count", async () => {
  const list = new DryRunBlockList("(memory)", undefined, 0);
  const byHand = { ...BLANK, since: Date.now(), until: undefined, reason: "15 of 15 points" };
  list.add([4, 5].map((n) => ({ ...byHand, target: `203.0.113.${n}` })), 0);
  const daemon = await bench({ list }).start();
  await guess(daemon, [6]);
  assert.equal(daemon.list.get(NETWORK), undefined);
});

Deno.test("neighbourhoods: a block of an earlier life that has ended does not count, removed or not", async () => {
  for (const left of [1, 0]) {
    const first = await bench().start();
    await guess(first, [4, 5]);
    const now = first.clock.now();
    const list = new DryRunBlockList("(memory)", undefined, now);
    list.add(first.list.all().map((block) => ({ ...block, until: now + HOUR + left })), now);
    const later = await bench({ list }).start();
    // Nobody has looked what has ended meanwhile, as after the daemon stood still.
    await later.clock.advance(HOUR);
    assert.equal(later.list.size, 2);
    await guess(later, [6]);
    assert.equal(later.list.get(NETWORK) !== undefined, left > 0, `${left} ms left`);
  }
});

Deno.test("neighbourhoods: what was released by hand does not count any more", async () => {
  const daemon = await bench().start();
  await guess(daemon, [4, 5]);
  daemon.neighbourhoods.forget(["203.0.113.4"]);
  await guess(daemon, [6]);
  assert.equal(daemon.list.get(NETWORK), undefined);
  await guess(daemon, [7]);
  assert.ok(daemon.list.get(NETWORK));
});

Deno.test("neighbourhoods: a host that was blocked for a guarded account is blocked for longer when it goes too far", async () => {
  const policy = { guardHosts: 3, guardWindowMs: HOUR };
  const daemon = await bench({ policy }).start();
  const answer = (n: number) => {
    const address = `198.51.100.${n}`;
    return wrongAnswer(address, { remote: remoteOf(address, "TLS") });
  };
  await daemon.take(answer(1), answer(2));
  assert.equal(daemon.list.size, 0);
  await daemon.take(answer(3));
  const short = daemon.list.get("198.51.100.3")!;
  assert.equal(short.until! - short.since, 25_000);
  assert.match(
    short.reason,
    /^1 wrong password .* \(in doubt: many strangers fail on this account\)$/,
  );
  // What was under way when it was blocked makes it too many.
  await daemon.take(answer(3), answer(3), answer(3), answer(3));
  const long = daemon.list.get("198.51.100.3")!;
  assert.equal(long.until, undefined);
  assert.match(long.reason, /^3 wrong passwords within .* 15 of 15 points$/);
  assert.equal(daemon.list.size, 1);
  // All in one read: the same.
  await daemon.take(answer(4), answer(4), answer(4));
  assert.equal(daemon.list.get("198.51.100.4")!.until, undefined);
});
