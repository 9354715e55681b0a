/**
 * What others do to the table of nftables, and to the programs that stay, with the compiled
 * program: whole again, and told everywhere.
 */

import assert from "node:assert/strict";
import type { Status } from "../../src/telemetry/status.ts";
import { addresses, sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, must, onOwnMachine } from "./machine.ts";
import { receiveNotices } from "./notice_receiver.ts";
import { Program, runToEnd } from "./program.ts";

const AMI_PORT = 5038;
const WEBHOOK_PORT = 8124;
const METRICS = "127.0.0.1:9179";

/** How many hosts are blocked. */
const HOSTS = 1_000;

/** The children of a process that stay. */
async function residentsOf(parent: number): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    const read = (file: string) => Deno.readTextFile(`/proc/${name}/${file}`).catch(() => "");
    if (!/^\S*nft\0-(i|j)\0/.test(await read("cmdline"))) continue;
    const [, state, ppid] = /\) (\S) (\d+)/.exec(await read("stat")) ?? [];
    if (state !== "Z" && Number(ppid) === parent) found.push(Number(name));
  }
  return found;
}

async function elements(set: string): Promise<number> {
  const { out } = await sh("nft", "-s", "list", "set", "inet", "ampere", set);
  return /elements = \{([^}]*)\}/.exec(out)?.[1]?.split(",").length ?? 0;
}

const isBlocked = async (host: string) =>
  (await sh("nft", "get", "element", "inet", "ampere", "hosts4", `{ ${host} }`)).code === 0;

onOwnMachine(import.meta.url, (executable) => {
  const ampere = async (args: readonly string[], stdin = "") => {
    const { code, out, err } = await runToEnd([executable, ...args], { stdin });
    assert.equal(code, 0, err);
    return out;
  };
  const statusNow = async (): Promise<Status> => JSON.parse(await ampere(["--status", "--json"]));

  Deno.test("nftables: a flush is mended, and told in log, status, metrics and webhook", async () => {
    await emptyFirewall();
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    await Deno.writeTextFile(
      "/etc/ampere/ampere.cfg",
      `pass = s3cret\nbackend = nftables\nverify = 1d\nmetrics = ${METRICS}\n` +
        `webhook = http://127.0.0.1:${WEBHOOK_PORT}/\n`,
      { mode: 0o600 },
    );
    await using receiver = receiveNotices(WEBHOOK_PORT);
    const { notices } = receiver;
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using daemon = new Program([executable]);
    const client = await daemon.alive(asterisk.client());
    await ampere(["-a"], [...addresses(HOSTS), "198.51.100.0/24"].join("\n"));
    const stay = async () => await residentsOf((await statusNow()).pid);
    await until("all are blocked", async () => await elements("hosts4") === HOSTS);
    await until("two programs stay", async () => (await stay()).length === 2);
    const isInForce = async () =>
      (await statusNow()).firewall.inForce.every(({ inForce }) => inForce === "yes");
    await until("it is in force", isInForce);

    let flushes = 0;
    for (
      const args of [
        ["flush", "ruleset"],
        ["delete", "table", "inet", "ampere"],
        ["flush", "set", "inet", "ampere", "hosts4"],
        ["delete", "element", "inet", "ampere", "hosts4", `{ ${addresses(1)[0]} }`],
      ]
    ) {
      notices.length = 0;
      const begun = performance.now();
      await must("nft", ...args);
      await until("it is whole", async () => await elements("hosts4") === HOSTS);
      // Looking costs some milliseconds each time.
      console.log(`${args.join(" ")}: whole after ${(performance.now() - begun).toFixed(0)} ms`);
      await until(
        "the webhook has it",
        () => notices.some(({ event }) => event === "firewall-flushed"),
      );
      const status = await statusNow();
      assert.ok(status.firewall.flushes > flushes, `${status.firewall.flushes}`);
      flushes = status.firewall.flushes;
      // It is mended within the second after which it would be told so.
      const lost = notices.filter(({ event }) => event === "firewall-lost");
      assert.deepEqual(lost, [], JSON.stringify(lost));
    }
    await daemon.said(/others changed the chain, it is repaired: .*table inet ampere was deleted/);
    await daemon.said(/IPv4: blocks are in force again, 0\.\d{3} s after it was noticed/);
    console.log(daemon.lines.filter((line) => line.includes("in force again")).join("\n"));
    assert.match(await ampere(["--status"]), /in the kernel, put back \d+ times/);
    const metrics = await (await fetch(`http://${METRICS}/metrics`)).text();
    const counted = /^ampere_firewall_flushes_total\{family="4"\} (\d+)$/m.exec(metrics)?.[1];
    assert.ok(Number(counted) >= 4, metrics);

    // Each of the two is killed, and hangs; blocks do not wait for that.
    let host = 1;
    for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
      for (const which of [0, 1]) {
        await until("two programs stay", async () => (await stay()).length === 2, 20_000);
        const before = (await stay()).sort((a, b) => a - b);
        Deno.kill(before[which]!, signal);
        const attacker = `203.0.113.${host++}`;
        await attack(client, attacker, "TCP");
        await until(`${attacker} is blocked`, () => isBlocked(attacker));
        await until(
          "others stay",
          async () => (await stay()).filter((pid) => !before.includes(pid)).length === 2,
          20_000,
        );
      }
    }
    // While nobody attacks, a monitor that hangs is noticed all the same.
    for (const pid of await stay()) Deno.kill(pid, "SIGSTOP");
    await must("nft", "flush", "ruleset");
    await until("it is whole", async () => await elements("hosts4") >= HOSTS, 20_000);
    await until("it is in force", isInForce);
    await endsSoon(daemon);
    await must("nft", "flush", "ruleset");
  });
});
