/**
 * `backend = nftables` beside other programs that change the firewall, all of them real, each on
 * the Debian release that has it: whoever is blocked stays out while they work, and nobody else is.
 */

import assert from "node:assert/strict";
import { MACHINES, rootOf } from "../../tools/firewalls.ts";
import { passes, sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { Debian } from "./debian.ts";
import { attack } from "./installed.ts";
import { emptyFirewall, FAMILIES, must, onOwnMachine } from "./machine.ts";
import { ATTACKERS, Traffic } from "./traffic.ts";

const SYSTEMS = [MACHINES.previous, MACHINES.current];

const missing = SYSTEMS.find((system) => rootOf(system) === undefined);

/** Rules that would let an attacker in, as far as the program that has them goes. */
const LETS_IN = `
table inet others {
  chain early {
    type filter hook prerouting priority -400; policy accept;
    ip saddr ${ATTACKERS[0]} accept
    ip6 saddr ${ATTACKERS[1]} accept
  }
  chain raw {
    type filter hook prerouting priority -300; policy accept;
    ip saddr ${ATTACKERS[0]} accept
  }
  chain known {
    type filter hook prerouting priority -150; policy accept;
    ct state established,related accept
  }
  chain input {
    type filter hook input priority -300; policy accept;
    ct state established,related accept
    ip saddr ${ATTACKERS[0]} accept
    ip6 saddr ${ATTACKERS[1]} accept
  }
}
`;

/** Takes all rules of iptables away, as programs do that load their own. */
const FLUSH_ALL = ["filter", "nat", "mangle", "raw"].flatMap((table) =>
  FAMILIES.flatMap((program) =>
    [["-F"], ["-X"]].map((args) => [program, "-w", "-t", table, ...args])
  )
);

const ESTABLISHED = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"];

onOwnMachine(import.meta.url, (executable) => {
  for (const system of SYSTEMS) {
    Deno.test(`nftables beside others on Debian ${system.suite}, nft ${system.nft}`, async (t) => {
      await emptyFirewall();
      await using traffic = await Traffic.begin();
      await using debian = await Debian.open(rootOf(system)!, executable);
      assert.match(await debian.must("nft", "--version"), new RegExp(` v${system.nft} `));
      await debian.write("/etc/ampere/ampere.cfg", "pass = s3cret\nbackend = nftables\n");
      await using asterisk = new AmiServer({ port: 5038 });
      const ampere = debian.start(["ampere"]);
      const client = await ampere.alive(asterisk.client());
      const published = () => traffic.publish();
      const table = () => debian.must("nft", "-s", "list", "table", "inet", "ampere");

      /** What others do, while nothing of the attacker may come through, and all of the other. */
      const step = (name: string, body: () => Promise<unknown>) =>
        t.step(name, async () => {
          const before = traffic.passedText;
          await body();
          await traffic.goes("innocent");
          assert.equal(traffic.passedText, before);
        });

      await t.step("an attacker is cut off, in flows that go on and in new ones", async () => {
        for (const attacker of ATTACKERS) await attack(client, attacker, "TCP");
        await traffic.isCut();
      });

      await step("ufw", async () => {
        for (const port of ["5060", "5070"]) await debian.must("ufw", "allow", port);
        await debian.must("ufw", "--force", "enable");
        await debian.must("ufw", "insert", "1", "allow", "from", ATTACKERS[0]);
        await debian.must("ufw", "prepend", "allow", "from", ATTACKERS[1]);
        await debian.must("ufw", "reload");
        assert.match(await debian.must("ufw", "status"), /^Status: active$/m);
        await traffic.goes("innocent");
        await debian.must("ufw", "disable");
      });

      for (const variant of ["nft", "legacy"]) {
        await step(`iptables-${variant}`, async () => {
          const programs = FAMILIES.map((family) => `${family}-${variant}`);
          // The old one saves only what it has loaded.
          for (const program of programs) {
            for (const name of ["raw", "filter"]) {
              await debian.must(program, "-w", "-t", name, "-S");
            }
          }
          const saves = await Promise.all(
            programs.map((program) => debian.must(`${program}-save`)),
          );
          assert.doesNotMatch(saves.join("\n"), /ampere|\.66|::66/);
          for (const [at, program] of programs.entries()) {
            for (
              const args of [["-t", "raw", "-I", "PREROUTING"], ["-I", "INPUT"], ["-I", "FORWARD"]]
            ) {
              await debian.must(program, "-w", ...args, "-s", ATTACKERS[at]!, "-j", "ACCEPT");
            }
            await debian.must(program, "-w", "-I", "INPUT", ...ESTABLISHED);
            await debian.must(program, "-w", "-I", "FORWARD", ...ESTABLISHED);
          }
          await traffic.goes("innocent");
          for (const [at, program] of programs.entries()) {
            await debian.write("/etc/saved", saves[at]!);
            await debian.must(`${program}-restore`, "/etc/saved");
          }
        });
      }

      await step(
        "a program that takes all rules of iptables away, and then loads its own",
        async () => {
          for (const command of FLUSH_ALL) await debian.must(...command);
          for (const program of FAMILIES) {
            await debian.must(program, "-w", "-P", "INPUT", "ACCEPT");
            await debian.must(program, "-w", "-A", "INPUT", ...ESTABLISHED);
          }
          await published();
        },
      );

      await step("firewalld", async () => {
        const firewalld = await debian.startFirewalld();
        await published();
        const rules = ATTACKERS.map((address, at) =>
          `rule family=ipv${at === 0 ? 4 : 6} source address=${address} accept`
        );
        for (
          const arg of [
            "--add-port=5060/tcp",
            "--add-port=5060/udp",
            ...rules.map((rule) => `--add-rich-rule=${rule}`),
          ]
        ) await debian.must("firewall-cmd", "--permanent", arg);
        await debian.must("firewall-cmd", "--reload");
        await published();
        await traffic.goes("innocent");
        await debian.must("firewall-cmd", "--complete-reload");
        await published();
        await traffic.goes("innocent");
        firewalld.signal("SIGTERM");
        await firewalld.end(60_000);
        await published();
      });

      await step("rules of others that would let the attacker in", async () => {
        await debian.write("/etc/others.nft", LETS_IN);
        await debian.must("nft", "-f", "/etc/others.nft");
        await traffic.goes("innocent");
        await debian.must("nft", "delete", "table", "inet", "others");
      });

      const service = await Deno.readTextFile(`${debian.root}/lib/systemd/system/nftables.service`);
      for (const [, verb, command] of service.matchAll(/^Exec(\w+)=(.*)$/gm)) {
        await t.step(`nftables.service, ${verb}: ${command}`, async () => {
          const said = ampere.lines.length;
          const before = (await table()).match(/elements = \{ 2[^}]*\}/g);
          assert.equal(before?.length, 2);
          await debian.must(...command!.split(" "));
          await traffic.publish();
          await ampere.said(
            /IPv4: others changed the chain, .*1 of 1 blocks? (was|were) missing/,
            said,
          );
          await traffic.isCut();
          assert.deepEqual((await table()).match(/elements = \{ 2[^}]*\}/g), before);
        });
      }

      await t.step("this machine's packets to itself are never looked at", async () => {
        const own = "203.0.113.99";
        await must("ip", "route", "add", "local", `${own}/32`, "dev", "lo");
        await attack(client, own, "TCP");
        await until("it is in the set", async () => (await table()).includes(own));
        assert.ok(await passes(own));
        await must("ip", "route", "del", "local", `${own}/32`, "dev", "lo");
      });

      await t.step("who is released comes through, by new flows", async () => {
        const released = debian.start(["ampere", "-d"], { stdin: `${ATTACKERS.join("\n")}\n` });
        assert.equal((await released.end()).code, 0, released.text);
        // One that goes on may be known to connection tracking without the port of the container.
        await traffic.goes("attacker", ["udp-new", "tcp-new"]);
      });

      assert.deepEqual(traffic.refused, []);
      ampere.signal("SIGTERM");
      assert.equal((await ampere.end()).code, 0, ampere.text);
      await sh("nft", "flush", "ruleset");
    });
  }
}, missing && `there is no Debian ${missing.suite}; "deno task firewalls" gets it`);
