import assert from "node:assert/strict";
import { Firewall, MANY_RULES } from "../../src/firewall/firewall.ts";
import { RETRY_MAX_MS } from "../../src/firewall/rejected.ts";
import { addresses } from "../support/namespace.ts";
import {
  forEver,
  setUp,
  SimulatedClock,
  SimulatedFirewall,
} from "../support/simulated_firewall.ts";

Deno.test("firewall: the families do not wait for each other", async () => {
  const clock = new SimulatedClock();
  const [four, six] = [new SimulatedFirewall(clock, 4), new SimulatedFirewall(clock, 6)];
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const firewall = new Firewall({ backends: [four, six], log, verifyMs: 60_000, clock });
  six.chain = false;
  const failures = await clock.passUntil(firewall.start(forEver(["192.0.2.1", "2001:db8::1"])));
  assert.deepEqual(failures.map(({ family, kind }) => [family, kind]), [[6, "no-chain"]]);
  assert.deepEqual(four.targets, ["192.0.2.1"]);
  firewall.block(forEver(["2001:db8::2", "192.0.2.2"]));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(four.targets, ["192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(
    firewall.status().families.map(({ failing, desired, applied }) => [failing, desired, applied]),
    [[false, 2, 2], [true, 2, 0]],
  );
  six.chain = true;
  await clock.pass(RETRY_MAX_MS);
  assert.deepEqual(six.targets, ["2001:db8::1", "2001:db8::2"]);
  await clock.passUntil(firewall.stop());
  assert.equal(clock.timers, 0);
});

Deno.test("firewall: without a way to a chain, too, blocks protect nothing where Asterisk is elsewhere", async () => {
  const { clock, firewall, lines } = setUp();
  const place = { kind: "elsewhere", address: "198.51.100.7" } as const;
  const settings = { jump: [], place, interfaces: [] };
  const judged = () => firewall.judgementOf(4);
  firewall.setWay(settings);
  await clock.passUntil(firewall.start(forEver(["192.0.2.1"])));
  assert.equal(judged()?.inForce, "no");
  assert.match(
    lines.join("\n"),
    /^error IPv4: blocks are not in force: Asterisk is at 198\.51\.100\.7, .*Fix: run Ampere on the machine of/,
  );
  firewall.setWay({ ...settings, place: { kind: "here" } });
  await clock.passUntil(firewall.idle());
  assert.equal(judged()?.inForce, "yes");
  assert.match(lines.at(-1)!, /^info IPv4: blocks are in force again/);
  firewall.setWay(settings);
  await clock.passUntil(firewall.idle());
  assert.equal(judged()?.inForce, "no");
  assert.equal(lines.length, 3);
  await clock.passUntil(firewall.stop());
});

Deno.test("firewall: another backend is recommended once when there are many rules", async () => {
  const { clock, kernel, firewall, lines } = setUp();
  await clock.passUntil(firewall.start(forEver(addresses(MANY_RULES - 1))));
  assert.deepEqual(lines, []);
  firewall.block(forEver(["192.0.2.1"]));
  await clock.passUntil(firewall.idle());
  firewall.block(forEver(["192.0.2.2"]));
  await clock.passUntil(firewall.idle());
  assert.equal(lines.length, 1);
  assert.match(
    lines[0]!,
    /^info 1,000 hosts are blocked by a rule each, .* an ipset is one look, .*"backend = ipset"/,
  );
  assert.equal(kernel.targets.length, MANY_RULES + 1);
  await clock.passUntil(firewall.stop());

  const ipset = setUp({ timed: true });
  await ipset.clock.passUntil(ipset.firewall.start(forEver(addresses(MANY_RULES))));
  assert.deepEqual(ipset.lines, []);
  await ipset.clock.passUntil(ipset.firewall.stop());
});

Deno.test("firewall: stop does what is ordered, but does not wait for a firewall that hangs", async () => {
  const { clock, kernel, firewall } = setUp();
  await clock.passUntil(firewall.start([]));
  firewall.block(forEver(["192.0.2.1"]));
  firewall.block(forEver(["192.0.2.2"]));
  assert.equal(await clock.passUntil(firewall.stop()), 0);
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2"]);
  assert.equal(clock.timers, 0);

  const other = setUp();
  await other.clock.passUntil(other.firewall.start([]));
  other.kernel.fault = () => ({ kind: "timed-out", part: 0 });
  other.firewall.block(forEver(["192.0.2.1", "192.0.2.2"]));
  const start = other.clock.now();
  assert.equal(await other.clock.passUntil(other.firewall.stop(300)), 2);
  assert.equal(other.clock.now() - start, 300);
  assert.equal(other.clock.timers, 0);
  other.firewall.block(forEver(["192.0.2.3"]));
  assert.equal(other.clock.timers, 0);
});

Deno.test("firewall: what is no address does not even get into the list", async () => {
  const { clock, kernel, firewall, lines } = setUp();
  await clock.passUntil(firewall.start(forEver(["1.2.3.4 -j ACCEPT", "192.0.2.1"])));
  firewall.block(forEver(["--flush", "192.0.2.2\nadd", "192.0.2.2"]));
  await clock.passUntil(firewall.idle());
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2"]);
  assert.equal(lines.length, 3);
  assert.equal(
    lines[0],
    'error "1.2.3.4 -j ACCEPT" is no address or network and cannot be blocked',
  );
  await clock.passUntil(firewall.stop());
});
