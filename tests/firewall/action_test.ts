/** How packets of blocked hosts are refused, and a change of that, with the real programs. */

import assert from "node:assert/strict";
import { run, type Runner } from "../../src/firewall/command.ts";
import type { Backend } from "../../src/firewall/backend.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { IpsetBackend } from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import { openNftables } from "../../src/firewall/nftables/open.ts";
import { addresses, inNamespace, sh, withChains, withPrograms } from "../support/namespace.ts";

const REJECT = "-j REJECT --reject-with icmp-port-unreachable";
const HOSTS = ["192.0.2.1", "192.0.2.2", "198.51.100.0/24", "0.0.0.0/0"];

const forEver = (targets: readonly string[]) =>
  targets.map((target) => ({ target, until: undefined }));

/** The rules of the chain of IPv4, without its name. */
async function rules(): Promise<string[]> {
  const { out } = await sh("iptables", "-S", "ampere");
  return out.trim().split("\n").slice(1).map((line) => line.replace("-A ampere ", ""));
}

/** A firewall that looks only when it is told to; the lines of its log are collected. */
function firewallOf(...backends: Backend[]) {
  const lines: string[] = [];
  const say = (line: string) => void lines.push(line);
  const log = { debug: () => {}, info: say, warn: say, error: say };
  return { firewall: new Firewall({ backends, log, verifyMs: 3_600_000 }), lines };
}

/** Lets the whole chain be listed after each command, and sees whether it ever holds too little. */
function watched(atLeast: readonly string[]): { runner: Runner; gaps: string[][] } {
  const gaps: string[][] = [];
  const runner: Runner = async (program, args, options) => {
    const result = await run(program, args, options);
    const there = (await rules()).map((rule) => /^-s (\S+)/.exec(rule)?.[1] ?? "all");
    if (!atLeast.every((target) => there.includes(target))) gaps.push([...args]);
    return result;
  };
  return { runner, gaps };
}

inNamespace(import.meta.url, () => {
  for (const kind of ["nft", "legacy"]) {
    Deno.test(`action: iptables-${kind}: rules of the other action are made anew without a gap`, async () => {
      const multi = `/usr/sbin/xtables-${kind}-multi`;
      const link = { link: multi };
      await using _ = await withPrograms({ iptables: link, ip6tables: link });
      await withChains(async () => {
        // As 0.2.3 made them, one of them twice, and one that is dropped already.
        for (const host of [...HOSTS, "192.0.2.2"]) {
          await sh("iptables", "-A", "ampere", "-s", host, "-j", "REJECT");
        }
        await sh("iptables", "-A", "ampere", "-s", "192.0.2.9", "-j", "DROP");
        const { runner, gaps } = watched([
          "192.0.2.1/32",
          "192.0.2.2/32",
          "198.51.100.0/24",
          "all",
        ]);
        const options = { family: 4, chain: "ampere", run: runner } as const;
        const { firewall, lines } = firewallOf(new IptablesBackend({ ...options, action: "drop" }));
        assert.deepEqual(await firewall.start(forEver([...HOSTS, "192.0.2.9"])), []);
        const dropped = [
          "-j DROP",
          "-s 192.0.2.1/32 -j DROP",
          "-s 192.0.2.2/32 -j DROP",
          "-s 192.0.2.9/32 -j DROP",
          "-s 198.51.100.0/24 -j DROP",
        ];
        assert.deepEqual((await rules()).sort(), dropped);
        assert.deepEqual(lines, []);
        firewall.refuseBy("reject");
        await firewall.idle();
        const rejected = dropped.map((rule) => rule.replace("-j DROP", REJECT));
        assert.deepEqual((await rules()).sort(), rejected);
        // What comes later is made so, and released so.
        firewall.block(forEver(["203.0.113.1"]));
        firewall.release(["192.0.2.1"]);
        await firewall.idle();
        assert.ok((await rules()).includes(`-s 203.0.113.1/32 ${REJECT}`));
        assert.ok(!(await rules()).some((rule) => rule.startsWith("-s 192.0.2.1/")));
        // Only the release took something away.
        assert.ok(gaps.every((args) => args.some((arg) => arg === "192.0.2.1")), String(gaps));
        assert.deepEqual(lines, []);
        await firewall.stop();
      });
    });
  }

  Deno.test("action: iptables: exceptions stay in front, thousands are changed", async () => {
    await withChains(async () => {
      const hosts = addresses(3_000);
      const { firewall, lines } = firewallOf(
        new IptablesBackend({ family: 4, chain: "ampere", batchMax: 1_000 }),
      );
      firewall.setExceptions(["198.51.100.7"]);
      await firewall.start(forEver([...hosts, "198.51.100.0/24"]));
      await firewall.idle();
      firewall.refuseBy("drop");
      await firewall.idle();
      const there = await rules();
      assert.equal(there[0], "-s 198.51.100.7/32 -j RETURN");
      assert.equal(there.length, 3_002);
      assert.ok(there.slice(1).every((rule) => rule.endsWith(" -j DROP")));
      assert.ok(lines.every((line) => line.includes("hosts are blocked by a rule each")));
      await firewall.stop();
    });
  });

  Deno.test("action: iptables: what cannot be changed gently is made anew", async () => {
    await withChains(async () => {
      await sh("iptables", "-A", "ampere", "-s", "192.0.2.1", "-j", "REJECT");
      const failing: Runner = (program, args, options) =>
        run(program, args.map((arg) => arg === "-D" ? "-Q" : arg), options);
      const { firewall } = firewallOf(
        new IptablesBackend({ family: 4, chain: "ampere", action: "drop", run: failing }),
      );
      await firewall.start(forEver(["192.0.2.1"]));
      await firewall.idle();
      assert.deepEqual(await rules(), ["-s 192.0.2.1/32 -j DROP"]);
      await firewall.stop();
    });
  });

  Deno.test("action: ipset: the rule of the other action goes when there is the new one", async () => {
    await withChains(async () => {
      const look = "-m set --match-set ampere4 src";
      const make = (action: "reject" | "drop", runner = run) =>
        new IpsetBackend({ family: 4, chain: "ampere", action, run: runner });
      const before = firewallOf(make("reject")).firewall;
      await before.start(forEver(["192.0.2.1"]));
      await before.stop();
      let most = Infinity;
      const { firewall, lines } = firewallOf(make("drop", async (program, args, options) => {
        const result = await run(program, args, options);
        most = Math.min(most, (await rules()).length);
        return result;
      }));
      await firewall.start(forEver(["192.0.2.1"]));
      assert.deepEqual(await rules(), [`${look} -j DROP`]);
      firewall.refuseBy("reject");
      await firewall.idle();
      assert.deepEqual(await rules(), [`${look} ${REJECT}`]);
      // Somebody else's rule of the other kind is taken out.
      await sh(
        "iptables",
        "-A",
        "ampere",
        "-m",
        "set",
        "--match-set",
        "ampere4",
        "src",
        "-j",
        "DROP",
      );
      await firewall.verify();
      assert.deepEqual(await rules(), [`${look} ${REJECT}`]);
      assert.equal(most, 1);
      assert.equal(lines.length, 1, String(lines));
      await firewall.stop();
    });
    await sh("ipset", "destroy");
  });

  Deno.test("action: nftables: the rules of both families and of networks change", async () => {
    const table = async () => (await sh("nft", "-s", "list", "table", "inet", "ampere")).out;
    const targets = ["192.0.2.1", "198.51.100.0/24", "2001:db8::1", "2001:db8:1::/48"];
    const { firewall, lines } = firewallOf(...openNftables({ chain: "ampere", action: "drop" }));
    await firewall.start(forEver(targets));
    assert.equal((await table()).match(/counter drop/g)?.length, 4);
    assert.doesNotMatch(await table(), /reject/);
    firewall.refuseBy("reject");
    await firewall.idle();
    assert.equal((await table()).match(/counter reject/g)?.length, 4);
    assert.doesNotMatch(await table(), /drop/);
    // A network of another length makes all rules anew; a look finds nothing strange.
    firewall.block(forEver(["203.0.113.0/25"]));
    await firewall.verify();
    assert.equal((await table()).match(/counter reject/g)?.length, 5);
    // A rule that somebody else adds is a stranger.
    const to = "192.0.2.0/24";
    await sh("nft", "add", "rule", "inet", "ampere", "from4", "ip", "saddr", to, "drop");
    await firewall.verify();
    assert.doesNotMatch(await table(), /drop/);
    // That all is well again is told besides.
    const told = lines.filter((line) => !line.includes("in force again"));
    assert.equal(told.length, 1, String(lines));
    await firewall.stop();
    await sh("nft", "delete", "table", "inet", "ampere");
  });
});
