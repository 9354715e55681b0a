/** `backend = nftables` with the compiled program: no chain is made for it. */

import assert from "node:assert/strict";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { FarSide } from "./far_side.ts";
import { attack, emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, must, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const AMI_PORT = 5038;

const CONFIG = "pass = s3cret\nbackend = nftables\n";

/** The hosts and networks that the kernel refuses. */
async function refused(table = "ampere"): Promise<string[]> {
  const { out } = await sh("nft", "-s", "list", "table", "inet", table);
  return [...out.matchAll(/set (hosts|networks)[46](_\d+)? \{[^}]*?elements = \{([^}]*)\}/g)]
    .flatMap(([, , length = "", elements]) =>
      elements!.split(",").map((element) =>
        element.trim().split(" ")[0]! + length.replace("_", "/")
      )
    ).sort();
}

async function refusedAre(...targets: string[]): Promise<void> {
  await until(
    `refused are ${targets}`,
    async () => (await refused()).join() === targets.sort().join(),
  );
}

/** The programs of nft that run here. */
async function residents(): Promise<string[]> {
  const programs: string[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    const text = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (/^\S*nft\0-(i|j)\0/.test(text)) programs.push(name);
  }
  return programs;
}

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (args: readonly string[], stdin = "") =>
    runToEnd([executable, ...args], { stdin, deadlineMs: 30_000 });

  Deno.test("nftables: blocked, flushed and whole again, killed, and taken over", async () => {
    await emptyFirewall();
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", CONFIG, { mode: 0o600 });
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await until("two programs stay", async () => (await residents()).length === 2);
    await attack(client, "203.0.113.1", "TCP");
    await attack(client, "2001:db8:bad::1", "TCP");
    await refusedAre("203.0.113.1", "2001:db8:bad::1");
    assert.equal((await ampere(["-a"], "198.51.100.0/24\n")).code, 0);
    await refusedAre("203.0.113.1", "2001:db8:bad::1", "198.51.100.0/24");
    const all = await refused();

    assert.equal((await sh("nft", "flush", "ruleset")).code, 0);
    await refusedAre(...all);
    await running.said(/warn: IPv4: others changed .* 2 of 2 blocks were missing/);
    assert.equal((await sh("nft", "delete", "table", "inet", "ampere")).code, 0);
    await refusedAre(...all);
    assert.equal((await sh("iptables", "-F")).code, 0);
    const checked = await ampere(["--check"]);
    assert.match(checked.out, /^ok +firewall +nftables works; .* is there, with 3 blocks$/m);
    const status = await ampere(["--status"]);
    assert.match(status.out, /in order: nftables, table inet ampere, 3 blocks in the kernel/);
    assert.equal((await ampere(["-d"], "203.0.113.1\n")).code, 0);
    await refusedAre("2001:db8:bad::1", "198.51.100.0/24");

    running.signal("SIGKILL");
    await running.end();
    await until("nobody is left", async () => (await residents()).length === 0);
    await refusedAre("2001:db8:bad::1", "198.51.100.0/24");
    await using again = new Program([executable]);
    const other = await again.alive(asterisk.client());
    await attack(other, "203.0.113.2", "TCP");
    await refusedAre("2001:db8:bad::1", "198.51.100.0/24", "203.0.113.2");
    await endsSoon(again);
    assert.deepEqual(await residents(), []);
    // The blocks stay.
    await refusedAre("2001:db8:bad::1", "198.51.100.0/24", "203.0.113.2");
    // Nobody takes out of the kernel who is deleted now.
    const deleted = await ampere(["-d"], "203.0.113.2\n");
    assert.deepEqual([deleted.code, deleted.out], [0, "1 deleted\n"]);
    assert.equal(
      deleted.err,
      "the kernel refuses 203.0.113.2 still: no daemon runs that would let them in. Fix: systemctl " +
        "start ampere\n",
    );
    await sh("nft", "flush", "ruleset");
    assert.equal((await ampere(["-d"], "198.51.100.0/24\n")).err, "");
  });

  Deno.test("nftables: in a container with a network of its own blocks are not told as in force", async () => {
    await emptyFirewall();
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    const host = "172.17.0.1";
    const config = `${CONFIG}host = ${host}\nlearn = 0\n`;
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", config, { mode: 0o600 });
    await using inside = await FarSide.make("docker0", ["172.17.0.2/16"], host);
    await must("ip", "address", "add", `${host}/16`, "dev", "docker0");
    await using asterisk = new AmiServer({ port: AMI_PORT, hostname: host });
    // As the image starts it: the routes are its standard input.
    const start = `exec ${executable} < /proc/net/route`;
    const running = inside.start(() => {}, "sh", "-c", start);
    const client = await running.alive(asterisk.client());
    await running.said(
      /error: IPv4: blocks are not in force: Asterisk is at 172\.17\.0\.1, which is/,
    );
    await attack(client, "203.0.113.1", "TCP");
    await running.said(/blocked 203\.0\.113\.1 .*not in force/);
    const check = await runToEnd(inside.command("sh", "-c", `${executable} --check`));
    assert.equal(check.code, 1);
    assert.match(check.out, /^problem +firewall +Asterisk is at 172\.17\.0\.1, .*nothing there$/m);
    assert.doesNotMatch(check.out, /no packet of a blocked host/, "there is nothing to try");
    const list = await runToEnd(inside.command(executable, "-l"));
    assert.match(list.out + list.err, /not in force/);
    await endsSoon(running);
    await sh("ip", "link", "delete", "docker0");
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", CONFIG, { mode: 0o600 });
  });

  Deno.test("nftables: a dry run tells what it would do, and makes nothing", async () => {
    await emptyFirewall();
    await using asterisk = new AmiServer({ port: AMI_PORT });
    assert.equal((await runToEnd([executable, "-a"], { stdin: "203.0.113.9\n" })).code, 0);
    await using running = new Program([executable, "--dry-run"]);
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.1", "TCP");
    await running.said(/dry run: would run nft -f - with the input: .*add element inet ampere/);
    const status = await runToEnd([executable, "--status"]);
    assert.match(status.out, /nftables, table inet ampere, \d+ blocks? would be in the kernel/);
    const doubt = async () => {
      const { code, out, err } = await runToEnd([executable, "-l"]);
      assert.equal(code, 0);
      assert.match(out, /^ +203\.0\.113\.9 \| since /m);
      return err;
    };
    const unknown = "whether these blocks are in force is not known: ";
    assert.match(
      await doubt(),
      RegExp(`${unknown}the daemon makes a dry run, and blocks nobody$`, "m"),
    );
    await endsSoon(running);
    assert.equal((await sh("nft", "list", "ruleset")).out, "");
    // Nobody looks after the firewall, and nobody knows.
    assert.match(
      await doubt(),
      RegExp(`${unknown}no daemon answers at .* systemctl start ampere$`, "m"),
    );
    assert.equal((await runToEnd([executable, "-d"], { stdin: "203.0.113.9\n" })).code, 0);
  });

  Deno.test("nftables: an administrator's rules in the table, and a table that is taken away", async () => {
    await emptyFirewall();
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", CONFIG, { mode: 0o600 });
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await until("two programs stay", async () => (await residents()).length === 2);
    await attack(client, "203.0.113.1", "TCP");
    await refusedAre("203.0.113.1");
    // It says whose it is.
    const { out } = await sh("nft", "list", "ruleset");
    assert.match(out, /comment "made by Ampere; /);

    const lets = ["ip", "saddr", "203.0.113.1", "accept"];
    await must("nft", "insert", "rule", "inet", "ampere", "incoming", ...lets);
    await must("nft", "add", "chain", "inet", "ampere", "mine");
    await must("nft", "add", "rule", "inet", "ampere", "mine", ...lets);
    await running.said(
      /warn: IPv4: others changed the chain, .*1 of the rules .*203\.0\.113\.1 accept/,
    );
    const rules = () => must("nft", "list", "table", "inet", "ampere");
    await until(
      "the rule is out of it",
      async () => (await rules()).split("203.0.113.1 accept").length === 2,
    );
    await endsSoon(running);

    await must("nft", "insert", "rule", "inet", "ampere", "incoming", ...lets);
    const checked = await ampere(["--check"]);
    assert.match(
      checked.out,
      /^warning +firewall .*1 rule in it is not Ampere's.*\n +fix: put own rules/m,
    );
    await using second = new Program([executable]);
    await second.alive(asterisk.client());
    await until(
      "the rule is out of it",
      async () => (await rules()).split("203.0.113.1 accept").length === 2,
    );
    await endsSoon(second);

    await must("nft", "delete", "table", "inet", "ampere");
    await using third = new Program([executable]);
    await third.alive(asterisk.client());
    await refusedAre("203.0.113.1");
    await endsSoon(third);
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("nftables: two of them have two tables, and two have not the same", async () => {
    await emptyFirewall();
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    const configure = async (name: string, port: number, chain: string) => {
      const path = `/etc/ampere/${name}.cfg`;
      const database = `/var/lib/ampere/${name}.db`;
      const text = `${CONFIG}port = ${port}\nchain = ${chain}\ndatabase = ${database}\n`;
      await Deno.writeTextFile(path, text, { mode: 0o600 });
      return [executable, "-c", path];
    };
    await using one = new AmiServer({ port: AMI_PORT });
    await using other = new AmiServer({ port: AMI_PORT + 1 });
    await using first = new Program(await configure("one", AMI_PORT, "voip:one"));
    await using second = new Program(await configure("two", AMI_PORT + 1, "two"));
    const toFirst = await first.alive(one.client());
    const toSecond = await second.alive(other.client());
    await until("all programs stay", async () => (await residents()).length === 4);
    await attack(toFirst, "203.0.113.1", "TCP");
    await attack(toSecond, "203.0.113.2", "TCP");
    await until(
      "each is in its table",
      async () =>
        (await refused("voip_one")).join() === "203.0.113.1" &&
        (await refused("two")).join() === "203.0.113.2",
    );
    await must("nft", "delete", "table", "inet", "two");
    await until("it is there again", async () => (await refused("two")).join() === "203.0.113.2");
    await second.said(/others changed the chain/);
    assert.doesNotMatch(first.text, /others changed/);

    // Its table would be the first one's.
    await using third = new Program(await configure("three", AMI_PORT, "voip_one"));
    assert.notEqual((await third.end()).code, 0);
    assert.match(third.text, /another Ampere \(process \d+\) fills .*voip_one/);
    for (const program of [first, second]) await endsSoon(program);
    await sh("nft", "flush", "ruleset");
  });
});
