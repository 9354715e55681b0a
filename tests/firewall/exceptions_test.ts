/**
 * Addresses that pass although a network around them is blocked: the real programs, and real
 * packets.
 */

import assert from "node:assert/strict";
import { EXCEPTIONS_MAX } from "../../src/firewall/backend.ts";
import { run, type Runner } from "../../src/firewall/command.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { IpsetBackend } from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import { addresses, inNamespace, passes, sh } from "../support/namespace.ts";

const NETWORK = { 4: "203.0.113.0/24", 6: "2001:db8::/64" } as const;
const FRIEND = { 4: "203.0.113.7", 6: "2001:db8::7" } as const;
const OTHER = { 4: "203.0.113.8", 6: "2001:db8::8" } as const;
const PROGRAM = { 4: "iptables", 6: "ip6tables" } as const;

const forEver = (...targets: string[]) => targets.map((target) => ({ target, until: undefined }));

function register(name: "iptables" | "ipset", family: 4 | 6): void {
  const Backend = name === "ipset" ? IpsetBackend : IptablesBackend;
  const network = NETWORK[family];
  const friend = FRIEND[family];
  const other = OTHER[family];

  const make = (runner: Runner = run) => {
    const lines: string[] = [];
    const add = (message: string) => void lines.push(message);
    const firewall = new Firewall({
      backends: [new Backend({ family, chain: "ampere", run: runner })],
      log: { debug() {}, info() {}, warn: add, error: add },
      verifyMs: 3_600_000,
    });
    return { firewall, lines };
  };
  const test = (what: string, body: () => Promise<void>) =>
    Deno.test(`exceptions: ${name}, IPv${family}: ${what}`, async () => {
      await sh("ip", "link", "set", "lo", "up");
      for (const address of [friend, other]) {
        await sh("ip", "address", "add", address, "dev", "lo");
      }
      for (const args of [["-N", "ampere"], ["-A", "INPUT", "-j", "ampere"]]) {
        assert.equal((await sh(PROGRAM[family], ...args)).code, 0);
      }
      try {
        await body();
      } finally {
        for (const args of [["-F", "INPUT"], ["-F", "ampere"], ["-X", "ampere"]]) {
          await sh(PROGRAM[family], ...args);
        }
        await sh("ipset", "destroy");
      }
    });

  test("passes from the start, when it is told later, and not any more when it is no exception", async () => {
    const { firewall, lines } = make();
    firewall.setExceptions([friend, "192.0.2.1"]);
    assert.deepEqual(await firewall.start(forEver(network)), []);
    await firewall.idle();
    assert.deepEqual([await passes(friend), await passes(other)], [true, false]);
    firewall.setExceptions([]);
    await firewall.idle();
    assert.deepEqual([await passes(friend), await passes(other)], [false, false]);
    firewall.setExceptions([other]);
    await firewall.idle();
    assert.deepEqual([await passes(friend), await passes(other)], [false, true]);
    // Without the network no exception is needed.
    firewall.release([network]);
    await firewall.idle();
    const { out } = name === "ipset"
      ? await sh("ipset", "save", `ampere${family}`)
      : await sh(PROGRAM[family], "-S", "ampere");
    assert.doesNotMatch(out, /nomatch|RETURN/);
    await firewall.verify();
    assert.deepEqual(lines, []);
    await firewall.stop();
  });

  test("a network that is blocked later never stands in its way for a moment", async () => {
    const seen: boolean[] = [];
    const watching: Runner = async (...args) => {
      const result = await run(...args);
      seen.push(await passes(friend));
      return result;
    };
    const { firewall } = make(watching);
    firewall.setExceptions([friend]);
    await firewall.start([]);
    await firewall.idle();
    firewall.block(forEver(network));
    await firewall.idle();
    assert.equal(await passes(other), false);
    assert.ok(seen.length >= 3 && !seen.includes(false), String(seen));
    // A restart does not either.
    await firewall.stop();
    const again = make(watching).firewall;
    again.setExceptions([friend]);
    await again.start(forEver(network));
    await again.idle();
    assert.equal(await passes(other), false);
    assert.ok(!seen.includes(false), String(seen));
    await again.stop();
  });

  test("is put back by a look, and what others let pass is blocked again", async () => {
    const { firewall, lines } = make();
    firewall.setExceptions([friend]);
    await firewall.start(forEver(network));
    await firewall.idle();
    if (name === "ipset") {
      await sh("ipset", "del", `ampere${family}`, friend);
      await sh("ipset", "add", `ampere${family}`, other, "nomatch");
    } else {
      await sh(PROGRAM[family], "-D", "ampere", "-s", friend, "-j", "RETURN");
      await sh(PROGRAM[family], "-I", "ampere", "-s", other, "-j", "RETURN");
    }
    assert.deepEqual([await passes(friend), await passes(other)], [false, true]);
    await firewall.verify();
    await firewall.idle();
    assert.deepEqual([await passes(friend), await passes(other)], [true, false]);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /2 exceptions of blocked networks were missing or too many/);
    await firewall.stop();
  });

  test("whoever is blocked by name is no exception, and becomes one when that block ends", async () => {
    const { firewall } = make();
    firewall.setExceptions([friend]);
    await firewall.start(forEver(network, friend));
    await firewall.idle();
    assert.equal(await passes(friend), false);
    firewall.release([friend]);
    await firewall.idle();
    assert.deepEqual([await passes(friend), await passes(other)], [true, false]);
    await firewall.stop();
  });
}

inNamespace(import.meta.url, () => {
  for (const name of ["iptables", "ipset"] as const) {
    for (const family of [4, 6] as const) register(name, family);
  }

  Deno.test("exceptions: no more exceptions than the bound reach the kernel", async () => {
    await sh("iptables", "-N", "ampere");
    const lines: string[] = [];
    const add = (message: string) => void lines.push(message);
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
      log: { debug() {}, info() {}, warn: add, error: add },
      verifyMs: 3_600_000,
    });
    firewall.setExceptions(addresses(EXCEPTIONS_MAX + 1));
    await firewall.start(forEver("11.0.0.0/8"));
    await firewall.idle();
    const { out } = await sh("iptables", "-S", "ampere");
    assert.equal(out.match(/RETURN/g)?.length, EXCEPTIONS_MAX);
    assert.match(
      lines.join(),
      /IPv4: of those that must pass 1 are not let through .* no more than 1024/,
    );
    await firewall.stop();
    await sh("iptables", "-F", "ampere");
    await sh("iptables", "-X", "ampere");
  });

  Deno.test("exceptions: of many more than the bound those pass that a blocked network holds", async () => {
    await sh("iptables", "-N", "ampere");
    const lines: string[] = [];
    const add = (message: string) => void lines.push(message);
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
      log: { debug() {}, info() {}, warn: add, error: add },
      verifyMs: 3_600_000,
    });
    firewall.setExceptions([...addresses(EXCEPTIONS_MAX + 1), "203.0.113.7"]);
    await firewall.start(forEver("198.51.100.9"));
    firewall.block(forEver("203.0.113.0/24"));
    await firewall.idle();
    const { out } = await sh("iptables", "-S", "ampere");
    assert.deepEqual(out.match(/-s \S+ -j RETURN/g), ["-s 203.0.113.7/32 -j RETURN"]);
    assert.deepEqual(lines, []);
    await firewall.stop();
    await sh("iptables", "-F", "ampere");
    await sh("iptables", "-X", "ampere");
  });
});
