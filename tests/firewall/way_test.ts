/** The way to the chain with the real programs: looked at cheaply, made in the right order. */

import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../src/clock.ts";
import { HERE } from "../../src/firewall/asterisk_place.ts";
import { run, type Runner } from "../../src/firewall/command.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { IpsetBackend } from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import type { ForceChange } from "../../src/firewall/watch.ts";
import { Way } from "../../src/firewall/way.ts";
import { addresses, inNamespace, sh, until, withPrograms } from "../support/namespace.ts";
import { FakeClock } from "../support/fake_clock.ts";
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
  clock: Clock = systemClock,
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
    clock,
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
    await until("it is tried again", () => refused === 3);
    assert.equal(firewall.judgementOf(4)?.inForce, "no");
    assert.deepEqual(lines.map((line) => /^error IPv4: .* cannot be seen/.test(line)), [true]);
    isRefused = false;
    await until("it is listed", () => /INPUT does not ask/.test(firewall.judgementOf(4)!.message));
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

  Deno.test("way: a chain that was missing for long is filled at once when Ampere may make it", async () => {
    await reset();
    const { firewall } = setUp("iptables", [], run, new FakeClock());
    await firewall.start(forEver(["192.0.2.1"]));
    for (let i = 0; i < 5; i++) await firewall.verify();
    assert.equal(firewall.status().failures, 6);
    firewall.setWay({ jump: ["INPUT"], place: HERE, interfaces: [] });
    // Nobody lets the time go on.
    await until("it is in force", () => firewall.judgementOf(4)?.inForce === "yes");
    assert.match((await sh("iptables", "-S", "ampere")).out, / 192\.0\.2\.1\//);
    await firewall.stop();
  });

  Deno.test("way: blocks that iptables refuses are not told as in force", async () => {
    await reset();
    await sh("iptables", "-N", "ampere");
    await sh("iptables", "-I", "INPUT", "-j", "ampere");
    const real = (await sh("sh", "-c", "command -v iptables")).out.trim();
    let programs: AsyncDisposable | undefined = await withPrograms({
      iptables:
        `#!/bin/sh\ncase "$*" in *"-A ampere"*) set -- -A ampere --no-such-option;; esac\n` +
        `exec ${real} "$@"\n`,
    });
    const { firewall, changes } = setUp("iptables", []);
    try {
      await firewall.start([]);
      await until("it is judged", () => firewall.judgementOf(4)?.inForce === "yes");
      firewall.block(forEver(["192.0.2.1"]));
      await until("it is told", () => firewall.judgementOf(4)?.inForce === "no");
      assert.equal(firewall.judgementOf(4)!.message, "the firewall refuses 1 block");
      assert.deepEqual(changes.map(({ judgement: { inForce } }) => inForce), ["no"]);
      await programs[Symbol.asyncDispose]();
      programs = undefined;
      await until("it is in force", () => firewall.judgementOf(4)?.inForce === "yes");
      assert.match((await sh("iptables", "-S", "ampere")).out, / 192\.0\.2\.1\//);
    } finally {
      await programs?.[Symbol.asyncDispose]();
      await firewall.stop();
    }
  });

  Deno.test("way: a jump that iptables refuses is told with what was seen", async () => {
    await reset();
    // The real one is asked for a jump that it refuses: a chain's name has 28 characters at most.
    const real = (await sh("sh", "-c", "command -v iptables")).out.trim();
    await using _ = await withPrograms({
      iptables:
        `#!/bin/sh\ncase "$*" in *"-I INPUT"*) set -- -I INPUT -j ${"x".repeat(40)};; esac\n` +
        `exec ${real} "$@"\n`,
    });
    const { firewall, lines } = setUp();
    await firewall.start(forEver(["192.0.2.1"]));
    await until("it is judged", () => firewall.judgementOf(4) !== undefined);
    const { inForce, message, advice } = firewall.judgementOf(4)!;
    assert.equal(inForce, "no");
    assert.match(
      message,
      /^INPUT does not ask ampere.*the jump in INPUT could not be made: iptables/,
    );
    assert.match(advice, /^iptables -I INPUT -j ampere/);
    assert.equal(lines.filter((line) => line.startsWith("error")).length, 1, lines.join("\n"));
    await firewall.stop();
  });

  Deno.test("way: legacy: while the lock is held for long, the log says too that nothing is seen", async () => {
    await reset();
    await using _ = await withPrograms({ iptables: { link: "/usr/sbin/xtables-legacy-multi" } });
    const { firewall, lines, changes } = setUp();
    await firewall.start([]);
    await until("it is in force", () => firewall.judgementOf(4)?.inForce === "yes");
    const holder = new Deno.Command("flock", {
      args: ["/run/xtables.lock", "sh", "-c", "echo held; exec cat"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    firewall.block(forEver(["192.0.2.1"]));
    // Three commands in a row wait for four seconds each.
    await until("nothing is seen", () => firewall.judgementOf(4)?.inForce === "no", 30_000);
    assert.match(
      lines.at(-1)!,
      /^error IPv4: blocks are not in force: it cannot be seen what .*: another .* tries it again/,
    );
    await reader.cancel();
    await holder.stdin.close();
    await holder.status;
    await until("it is in force", () => firewall.judgementOf(4)?.inForce === "yes");
    assert.equal(lines.filter((line) => /blocks are in force again/.test(line)).length, 1);
    assert.deepEqual(changes.map(({ judgement }) => judgement.inForce), ["no", "yes"]);
    await firewall.stop();
    await reset();
  });

  for (const chain of ["INPUT", "other"]) {
    for (const jump of [[], ["INPUT"]]) {
      const title = `way: rules of nft in ${chain} hide the way: told once, ${jump || "no jump"}`;
      Deno.test(title, async () => {
        await reset();
        const { firewall, commands, lines, changes } = setUp("iptables", jump);
        for (const name of ["ampere", "other"]) await sh("iptables", "-N", name);
        await sh("iptables", "-A", "INPUT", "-j", "other");
        await sh("iptables", "-A", "INPUT", "-j", "ampere");
        const expression = "ct state vmap { established : accept, related : accept }";
        const { code } = await sh("nft", `insert rule ip filter ${chain} ${expression}`);
        assert.equal(code, 0);
        await firewall.start(forEver(["192.0.2.1"]));
        await until("it is judged", () => firewall.judgementOf(4) !== undefined);
        const { inForce, message, advice } = firewall.judgementOf(4)!;
        assert.equal(inForce, "no");
        assert.match(
          message,
          /^it cannot be seen whether .* iptables cannot list the table filter/,
        );
        assert.equal((await sh("sh", "-c", advice.replace(/ \(.*/, ""))).code, 0, advice);
        const looks = () => commands.filter((command) => command === "iptables -S INPUT").length;
        const before = looks();
        await until("it is looked again", () => looks() > before);
        assert.equal(lines.filter((line) => line.startsWith("error")).length, 1, lines.join("\n"));
        assert.deepEqual(lines.filter((line) => /works again/.test(line)), []);
        // Blocks go into the chain all the same, and a jump that vanishes is put back.
        firewall.block(forEver(["192.0.2.2"]));
        await until(
          "it is blocked",
          async () => / 192\.0\.2\.2\//.test((await sh("iptables", "-S", "ampere")).out),
        );
        if (jump.length > 0) {
          await sh("iptables", "-D", "INPUT", "-j", "ampere");
          await until(
            "it is there",
            async () => (await sh("iptables", "-C", "INPUT", "-j", "ampere")).code === 0,
          );
        }
        await sh("nft", "flush", "chain", "ip", "filter", chain);
        await sh("iptables", "-I", "INPUT", "-j", "ampere");
        await until("it is seen", () => firewall.judgementOf(4)?.inForce === "yes");
        assert.deepEqual(changes.map(({ judgement }) => judgement.inForce), ["no", "yes"]);
        await firewall.stop();
      });
    }
  }
});
