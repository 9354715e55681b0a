/** Who is never blocked, and why. */

import assert from "node:assert/strict";
import { Daemon } from "../../src/daemon/daemon.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import {
  type Cause,
  exemptAddresses,
  exemptFinder,
  ExemptSet,
  protectedBy,
} from "../../src/address/exempt.ts";
import { Log } from "../../src/log.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import {
  NEIGHBOURS_MAX,
  parseResolvers,
  parseRoutes,
  resolvers,
} from "../../src/address/neighbours.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { block } from "../support/database_samples.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { until } from "../support/namespace.ts";

const QUIET = new Log({ level: "error", stderr: { writeSync: (bytes) => bytes.length } });

function targetsOf(list: DryRunBlockList): string[] {
  return list.all().map(({ target }) => target);
}

const ROUTES = [
  "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT      ",
  "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0       ",
  "eth1\t00000000\tFE6433C6\t0003\t0\t0\t100\t00000000\t0\t0\t0       ",
  "eth2\t00000000\t010200C0\t0003\t0\t0\t200\t00000000\t0\t0\t0       ",
  "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0       ",
  "tun0\t00000000\t0900000A\t0003\t0\t0\t0\t00000080\t0\t0\t0       ",
  "tun0\t00000080\t0900000A\t0003\t0\t0\t0\t00000080\t0\t0\t0       ",
  "eth0\t00007100\t070200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0       ",
  "eth3\t00000000\t080200C0\t0202\t0\t0\t0\t00000000\t0\t0\t0       ",
  "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0       ",
  "broken\t00000000\t",
  "",
];

Deno.test("exempt: the gateways of all default routes are read, and no other", () => {
  assert.deepEqual(parseRoutes(ROUTES.join("\n")), ["192.0.2.1", "198.51.100.254", "10.0.0.9"]);
  assert.deepEqual(parseRoutes(ROUTES.slice(1).join("\n")), [], "it is not that table");
  const many = Array.from(
    { length: 300 },
    (_, i) =>
      `e\t00000000\t${
        (i % 256).toString(16).padStart(2, "0").toUpperCase()
      }0200C0\t0003\t0\t0\t0\t00000000`,
  );
  assert.equal(parseRoutes([ROUTES[0], ...many].join("\n")).length, NEIGHBOURS_MAX);
});

Deno.test("exempt: resolvers are read from all files that are there", async () => {
  const text = "# nameserver 192.0.2.1\nsearch example.org\nnameserver 192.0.2.53\n" +
    "  nameserver\t2001:DB8::53 # the second\nnameserver fe80::1%eth0\nnameserver no.address\n" +
    "options nameserver 192.0.2.2\nnameserver 127.0.0.53\n";
  assert.deepEqual(parseResolvers(text), ["192.0.2.53", "2001:db8::53", "fe80::1", "127.0.0.53"]);
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/a`, "nameserver 192.0.2.53\n");
  await Deno.writeTextFile(`${folder}/b`, "nameserver 192.0.2.54\nnameserver 192.0.2.53\n");
  assert.deepEqual(
    resolvers([`${folder}/a`, `${folder}/none`, `${folder}/b`]),
    ["192.0.2.53", "192.0.2.54"],
  );
  await Deno.remove(folder, { recursive: true });
});

const ALL = new ExemptSet([
  { target: "198.51.100.0/24", cause: "trusted" },
  { target: "127.0.0.0/8", cause: "loopback" },
  { target: "192.0.2.2", cause: "own address" },
  { target: "192.0.2.5", cause: "AMI server" },
  { target: "198.51.100.5", cause: "AMI server" },
  { target: "192.0.2.1", cause: "default gateway" },
  { target: "2001:db8::53", cause: "resolver" },
]);

Deno.test("exempt: each address has its cause, the most important one first", () => {
  const causes: [string, Cause | undefined][] = [
    ["198.51.100.5", "trusted"],
    ["127.0.0.1", "loopback"],
    ["192.0.2.2", "own address"],
    ["192.0.2.5", "AMI server"],
    ["192.0.2.1", "default gateway"],
    ["192.0.2.0/24", "own address"],
    ["2001:db8::/64", "resolver"],
    ["192.0.2.3", undefined],
    ["2001:db8::54", undefined],
  ];
  for (const [target, cause] of causes) {
    assert.equal(ALL.causeOf(target), cause, target);
    assert.equal(ALL.overlaps(target), cause !== undefined, target);
  }
});

Deno.test("exempt: by hand nobody of them is blocked, and it is said why", () => {
  const whyNot = protectedBy(ALL);
  for (
    const [target, reason] of [
      ["0.0.0.0/0", /^is everybody/],
      ["::/0", /^is everybody/],
      ["198.51.100.9", /^is trusted \(trust = 198\.51\.100\.0\/24\)/],
      ["127.0.0.1", /loopback/],
      ["192.0.2.2", /^contains 192\.0\.2\.2, an address of this machine/],
      ["192.0.2.5", /^is the AMI server/],
      ["192.0.2.4/30", /^contains 192\.0\.2\.5, the AMI server/],
      ["192.0.2.1", /^is the default gateway/],
      ["2001:db8::/32", /^contains 2001:db8::53, a resolver/],
    ] as const
  ) {
    assert.match(whyNot(target) ?? "", reason, target);
  }
  assert.equal(whyNot("192.0.2.3"), undefined);
  // Nobody listens on ::/0 or on all of IPv4 by accident of the machine's own addresses only.
  const nobody = protectedBy(new ExemptSet([]));
  assert.match(nobody("0.0.0.0/0") ?? "", /^is everybody/);
  assert.match(nobody("::/0") ?? "", /^is everybody/);
});

Deno.test("exempt: the address of the AMI server is never blocked, also when the host is a name", async () => {
  await using asterisk = new FakeAsterisk({
    users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
  });
  const list = new DryRunBlockList("(memory)");
  const daemon = new Daemon({
    config: { ...DEFAULT_CONFIG, port: asterisk.port, host: "localhost" },
    list,
    backends: [],
    log: QUIET,
    // Nothing else, so that only the server's addresses can be the cause.
    exempt: (_trust, peers) =>
      new ExemptSet(peers.map((target) => ({ target, cause: "AMI server" }))),
  });
  list.add([block("127.0.0.1")], Date.now());
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  await until("it is logged in", () => daemon.connectedSince !== undefined);
  assert.equal(list.get("127.0.0.1"), undefined, "a stored block of it has ended");
  assert.ok(daemon.neverBlocked.some(({ target }) => target === "127.0.0.1"));
  for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer("127.0.0.1"));
  for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer("203.0.113.9"));
  await until("another host is blocked", () => list.size > 0);
  assert.deepEqual(targetsOf(list), ["203.0.113.9"]);
  daemon.reconfigure({ ...daemon.config, host: "203.0.113.9" });
  assert.deepEqual(targetsOf(list), [], "it is the server now");
  stop.abort();
  await running;
});

Deno.test("exempt: who asks again gets the same set until something has changed", () => {
  const find = exemptFinder();
  const trust = ["203.0.113.0/24"];
  const first = find(trust, ["198.51.100.10"], []);
  assert.equal(find(trust, ["198.51.100.10"], []), first);
  assert.deepEqual(first.entries, exemptAddresses(trust, ["198.51.100.10"], []).entries);
  const other = find([...trust, "198.51.100.77"], ["198.51.100.10"], []);
  assert.equal(other.causeOf("198.51.100.77"), "trusted");
  assert.equal(find(trust, ["198.51.100.20"], []).causeOf("198.51.100.20"), "AMI server");
  assert.equal(find(trust, ["198.51.100.20"], []).causeOf("198.51.100.10"), undefined);
});
