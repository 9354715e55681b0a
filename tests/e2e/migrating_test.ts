/** The commands of docs/migrating.md, with the compiled program, real ipset and real iptables. */

import assert from "node:assert/strict";
import { must, onOwnMachine } from "./machine.ts";
import { commandsOf } from "./documented.ts";
import { type Outcome, runToEnd } from "./program.ts";

const commands = (pattern: RegExp) => commandsOf("docs/migrating.md", pattern);

onOwnMachine(import.meta.url, (executable) => {
  const run = async (line: string): Promise<Outcome> => {
    const { out } = await runToEnd(["sh", "-c", "mktemp -d /run/bin.XXXXXX"]);
    const path = out.trim();
    await Deno.symlink(executable, `${path}/ampere`);
    return await runToEnd(["sh", "-c", line], {
      env: { PATH: `${path}:${Deno.env.get("PATH")}` },
    });
  };
  const list = async () =>
    [...(await run("ampere -l --json")).out.matchAll(/^.+$/gm)].map(([line]) => JSON.parse(line));
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`docs/migrating.md: ${name}`, async () => {
      await Deno.writeTextFile("/etc/ampere/ampere.cfg", "trust = 198.51.100.7\n");
      for await (const { name } of Deno.readDir("/var/lib/ampere")) {
        await Deno.remove(`/var/lib/ampere/${name}`);
      }
      await body();
    });

  test("SIPban: what the real ipset saves, with the ends, and its white list", async () => {
    await must("ipset", "create", "sipban", "hash:net", "timeout", "604800");
    await must("ipset", "add", "sipban", "203.0.113.5", "timeout", "600");
    await must("ipset", "add", "sipban", "203.0.113.6");
    await must("sh", "-c", "ipset save sipban > /etc/sipban.dump");
    const look = ["-i", "eno1", "-m", "set", "--match-set", "sipban", "src", "-j", "DROP"];
    await must("iptables", "-w", "-I", "INPUT", ...look);
    await Deno.writeTextFile("/etc/sipban.wl", "127.0.0.1\n192.0.2.7\n");
    const { code, out, err } = await run(commands(/sipban\.dump/));
    assert.deepEqual([code, err], [0, ""]);
    assert.match(out, /^2 would be added\n2 added\n$/m);
    const blocks = await list();
    const seconds = blocks.map(({ until }) => Math.round((Date.parse(until) - Date.now()) / 1000));
    assert.ok(seconds.some((length) => length > 590 && length <= 600), String(seconds));
    assert.ok(seconds.some((length) => length > 604_000 && length <= 604_800), String(seconds));
    assert.equal(blocks[0].reason, "imported from ipset, set sipban");
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", "trust_file = /etc/ampere/trusted\n");
    assert.equal((await run("echo 192.0.2.7 | ampere -a")).code, 1, "it is trusted now");
    const away = await run(commands(/ipset destroy sipban/));
    assert.deepEqual([away.code, away.err], [0, ""]);
    assert.doesNotMatch(await must("iptables", "-S"), /sipban/);
  });

  test("APIBAN: its key in both spellings, its chain as blocks, and the chain away", async () => {
    await Deno.mkdir("/etc/apiban", { recursive: true });
    for (
      const config of [
        '{\n\t"APIKEY":"a-key",\n\t"LKID":"100",\n\t"VERSION":"0.2"\n}\n',
        '{"apikey":"a-key","lkid":"1796089463","version":"0.2","flush":"1796089463","set":""}\n',
      ]
    ) {
      await Deno.writeTextFile("/etc/apiban/config.json", config);
      assert.equal((await run(commands(/apiban\.key/))).code, 0);
      assert.equal(await Deno.readTextFile("/etc/ampere/apiban.key"), "a-key\n");
      assert.equal((await Deno.stat("/etc/ampere/apiban.key")).mode! & 0o777, 0o600);
      await Deno.remove("/etc/ampere/apiban.key");
    }
    await must("iptables", "-w", "-N", "APIBAN");
    for (const chain of ["INPUT", "FORWARD"]) await must("iptables", "-I", chain, "-j", "APIBAN");
    for (const address of ["203.0.113.5", "203.0.113.6"]) {
      await must("iptables", "-A", "APIBAN", "-s", `${address}/32`, "-d", "0/0", "-j", "REJECT");
    }
    const { out, err } = await run(commands(/iptables -S APIBAN/));
    assert.deepEqual([out, err], ["2 added\n", ""]);
    assert.equal((await list())[0].reason, "imported from iptables, chain APIBAN");
    assert.equal((await run(commands(/iptables -X APIBAN/))).code, 0);
    assert.doesNotMatch(await must("iptables", "-S"), /APIBAN/);
  });
});
