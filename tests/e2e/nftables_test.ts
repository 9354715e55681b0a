/** `backend = nftables` with the compiled program: no chain is made for it. */

import assert from "node:assert/strict";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const AMI_PORT = 5038;

/** The hosts and networks that the kernel refuses. */
async function refused(): Promise<string[]> {
  const { out } = await sh("nft", "-s", "list", "table", "inet", "ampere");
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
    const config = "pass = s3cret\nbackend = nftables\n";
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", config, { mode: 0o600 });
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
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("nftables: a dry run tells what it would do, and makes nothing", async () => {
    await emptyFirewall();
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable, "--dry-run"]);
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.1", "TCP");
    await running.said(/dry run: would run nft -f - with the input: .*add element inet ampere/);
    await endsSoon(running);
    assert.equal((await sh("nft", "list", "ruleset")).out, "");
  });
});
