/** The way to the chain with the real programs: looked at cheaply, made in the right order. */

import assert from "node:assert/strict";
import { HERE } from "../../src/firewall/asterisk_place.ts";
import { run, type Runner } from "../../src/firewall/command.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { IpsetBackend } from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import type { ForceChange } from "../../src/firewall/watch.ts";
import { Way } from "../../src/firewall/way.ts";
import { addresses, inNamespace, sh, until } from "../support/namespace.ts";
import { forEver } from "../support/simulated_firewall.ts";

const ESTABLISHED = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"];

async function reset(): Promise<void> {
  await sh("iptables", "-F");
  await sh("iptables", "-X");
  await sh("ipset", "destroy");
}

/** A firewall for IPv4 that makes its jump, and the commands that it gives. */
function setUp(
  backend: "iptables" | "ipset" = "iptables",
  jump: readonly string[] = ["INPUT"],
  runner: Runner = run,
) {
  const commands: string[] = [];
  const recorded: Runner = (program, args, options) => {
    const text = args.join(" ").replace(/^-w 4 /, "");
    commands.push(`${program} ${text.replace(/(?:\d+\.){3}\d+(?:,[\d.,]+)?/, "TARGETS")}`);
    return runner(program, args, options);
  };
  const lines: string[] = [];
  const add = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  const log = { debug: () => {}, info: add("info"), warn: add("warn"), error: add("error") };
  const changes: ForceChange[] = [];
  const options = { family: 4, chain: "ampere", run: recorded } as const;
  const way = new Way(options);
  const firewall = new Firewall({
    backends: [backend === "ipset" ? new IpsetBackend(options) : new IptablesBackend(options)],
    ways: [way],
    log,
    verifyMs: 3_600_000,
    onForce: (change) => void changes.push(change),
  });
  firewall.setWay({ jump, place: HERE, interfaces: [] });
  return { firewall, way, commands, lines, changes };
}

/** Runs the real programs, and has them refuse some listings of all chains. */
function refusing(isRefused: () => boolean): Runner {
  return (program, args, options) => {
    const refuses = args.at(-1) === "-S" && isRefused();
    return run(program, refuses ? [...args, "--no-such-option"] : args, options);
  };
}

inNamespace(import.meta.url, () => {
  for (const backend of ["iptables", "ipset"] as const) {
    Deno.test(`way: ${backend}: a chain that is made is full before the jump to it is`, async () => {
      await reset();
      const { firewall, commands, changes } = setUp(backend);
      await firewall.start(forEver(addresses(100)));
      await firewall.idle();
      const inOrder = () => {
        const jump = commands.indexOf("iptables -I INPUT -j ampere");
        const filled = commands.findLastIndex((command) =>
          command.startsWith("iptables -A ampere") || command === "ipset restore -exist"
        );
        assert.ok(
          jump > filled && filled > commands.indexOf("iptables -N ampere"),
          commands.join("\n"),
        );
      };
      inOrder();
      assert.equal(firewall.judgementOf(4)?.inForce, "yes");
      assert.equal(changes.length, 0, "a start is no loss");

      for (const args of [["-F"], ["-X"]]) await sh("iptables", ...args);
      commands.length = 0;
      await firewall.verify();
      await firewall.idle();
      inOrder();
      assert.deepEqual(
        changes.map(({ judgement }) => judgement.inForce),
        ["no", "yes"],
      );
      assert.equal(firewall.status().applied, 100);
      await firewall.stop();
    });
  }

  Deno.test("way: a jump that stands too late is moved, and another one is there meanwhile", async () => {
    await reset();
    const { firewall, commands } = setUp();
    await firewall.start(forEver(["192.0.2.1"]));
    await firewall.idle();
    for (let i = 0; i < 3; i++) {
      await sh("iptables", "-I", "INPUT", ...ESTABLISHED);
      commands.length = 0;
      await firewall.verify();
      await firewall.idle();
      assert.deepEqual(commands.filter((command) => /-[ID] INPUT/.test(command)), [
        "iptables -I INPUT ! -i lo -j ampere",
        "iptables -D INPUT -j ampere",
        "iptables -I INPUT -j ampere",
        "iptables -D INPUT ! -i lo -j ampere",
      ]);
    }
    const { out } = await sh("iptables", "-S", "INPUT");
    assert.deepEqual(out.trim().split("\n").map((line) => /-j (\S+)$/.exec(line)?.[1]), [
      undefined,
      "ampere",
      "ACCEPT",
      "ACCEPT",
      "ACCEPT",
    ]);
    await firewall.stop();
  });

  Deno.test("way: rules that let nobody in may stand in front, and are left there", async () => {
    await reset();
    await sh("iptables", "-N", "ampere");
    await sh("iptables", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT");
    await sh("iptables", "-A", "INPUT", "-s", "198.18.0.0/15", "-j", "DROP");
    await sh("iptables", "-A", "INPUT", "-j", "ampere");
    const before = (await sh("iptables", "-S")).out;
    const { firewall } = setUp();
    await firewall.start([]);
    await firewall.idle();
    assert.equal(firewall.judgementOf(4)?.inForce, "yes");
    assert.equal((await sh("iptables", "-S")).out, before);
    await firewall.stop();
  });

  Deno.test("way: with 10,000 rules in the chain a look lists INPUT alone", async () => {
    await reset();
    const { firewall, way, commands } = setUp();
    await firewall.start(forEver(addresses(10_000)));
    await firewall.idle();
    commands.length = 0;
    assert.ok((await way.look()).ok);
    assert.deepEqual(commands, ["iptables -S INPUT"]);
    // Behind a chain of somebody else's, all must be listed.
    await sh("iptables", "-N", "other");
    await sh("iptables", "-I", "INPUT", "-j", "other");
    commands.length = 0;
    const seen = await way.look();
    assert.ok(seen.ok && seen.judgement.inForce === "yes");
    assert.deepEqual(commands, ["iptables -S INPUT", "iptables -S"]);
    await sh("iptables", "-A", "other", "-j", "ACCEPT");
    const again = await way.look();
    assert.ok(again.ok && again.judgement.inForce === "no");
    await firewall.stop();
  });

  Deno.test("way: what INPUT alone shows counts although not all chains can be listed", async () => {
    await reset();
    await sh("iptables", "-N", "ampere");
    let listings = 0;
    const refused = refusing(() => ++listings > 0);
    const way = new Way({ family: 4, chain: "ampere", run: refused });
    const inForce = async (...rules: string[][]) => {
      await sh("iptables", "-F", "INPUT");
      for (const rule of rules) await sh("iptables", "-A", "INPUT", ...rule);
      const seen = await way.look();
      return seen.ok ? seen.judgement.inForce : seen.failure.kind;
    };
    assert.equal(await inForce(), "no");
    assert.equal(await inForce(["-p", "udp", "--dport", "5060", "-j", "ACCEPT"]), "no");
    assert.equal(await inForce(["-p", "udp", "-j", "ampere"]), "partly");
    assert.equal(listings, 3, "all are listed if they can be: FORWARD may ask the chain");
    await sh("iptables", "-N", "others");
    assert.equal(await inForce(["-j", "others"]), "refused", "others may ask the chain");
  });

  Deno.test("way: a listing that fails again and again is tried less often, and told once", async () => {
    await reset();
    for (const chain of ["ampere", "others"]) await sh("iptables", "-N", chain);
    await sh("iptables", "-I", "INPUT", "-j", "ampere");
    let refused = 0;
    let isRefused = true;
    const { firewall, lines } = setUp("iptables", [], refusing(() => isRefused && ++refused > 0));
    await firewall.start(forEver(["192.0.2.1"]));
    await until("it is judged", () => firewall.judgementOf(4)?.inForce === "yes");
    await sh("iptables", "-R", "INPUT", "1", "-j", "others");
    await firewall.verify();
    await until("it is tried again", () => refused === 5);
    assert.deepEqual(lines.map((line) => /^error IPv4: iptables failed/.test(line)), [true]);
    isRefused = false;
    await until("it is listed", () => firewall.judgementOf(4)?.inForce === "no");
    assert.match(lines.join("\n"), /^info IPv4: the firewall works again, after/m);
    assert.match(
      lines.join("\n"),
      /^error IPv4: blocks are not in force: INPUT does not ask ampe/m,
    );
    await firewall.stop();
  });

  Deno.test("way: the first look lets blocks go first, but is made before the end", async () => {
    await reset();
    await sh("iptables", "-N", "ampere");
    await sh("iptables", "-I", "INPUT", "-j", "ampere");
    const { firewall, commands } = setUp("iptables", []);
    await firewall.start(forEver(["192.0.2.1"]));
    assert.ok(!commands.includes("iptables -S INPUT"));
    assert.equal(firewall.judgementOf(4), undefined);
    await firewall.stop();
    assert.equal(firewall.judgementOf(4)?.inForce, "yes");
  });

  Deno.test("way: without a jump of its own nothing is made, and what others make is seen soon", async () => {
    await reset();
    const { firewall, commands, lines, changes } = setUp("iptables", []);
    assert.equal((await firewall.start(forEver(["192.0.2.1"])))[0]?.kind, "no-chain");
    assert.match(lines[0]!, /^error IPv4: there is no chain "ampere".*blocks are not in force/);
    await sh("iptables", "-N", "ampere");
    await until("the chain is seen", () => /INPUT does not ask ampere/.test(lines.join("\n")));
    await sh("iptables", "-I", "INPUT", "-j", "ampere");
    await until("the jump is seen", () => firewall.judgementOf(4)?.inForce === "yes");
    assert.match(lines.at(-1)!, /^info IPv4: blocks are in force again/);
    assert.ok(!commands.some((command) => /-N|INPUT -j/.test(command)), commands.join("\n"));
    assert.deepEqual(changes.map(({ judgement: { inForce } }) => inForce), ["no", "yes"]);
    await firewall.stop();
  });
});
