/**
 * `backend = nftables` beside large sets of intervals, as firewalld makes of a block list: nft
 * reads them before each change.
 */

import assert from "node:assert/strict";
import { MACHINES, rootOf } from "../../tools/firewalls.ts";
import { remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { addresses, sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { Debian } from "./debian.ts";
import { attack } from "./installed.ts";
import { emptyFirewall, onOwnMachine } from "./machine.ts";

const SYSTEM = MACHINES.current;

/** How many networks the block list has, and how many hosts attack at once. */
const INTERVALS = 20_000;
const ATTACKERS = 5_000;

const CONFIG = "pass = s3cret\nbackend = nftables\n";

const obstacle = rootOf(SYSTEM) === undefined
  ? `there is no Debian ${SYSTEM.suite}; "deno task firewalls" gets it`
  : undefined;

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("a block list of firewalld makes nft slow: told, named, and ipset cures it", async () => {
    await emptyFirewall();
    await using debian = await Debian.open(rootOf(SYSTEM)!, executable);
    await debian.write("/etc/ampere/ampere.cfg", CONFIG);
    const networks = Array.from(
      { length: INTERVALS },
      (_, i) => `12.${i >> 8}.${i & 255}.0/25`,
    );
    await debian.write("/run/networks", networks.join("\n"));
    await debian.startFirewalld();
    await debian.must("firewall-cmd", "--permanent", "--new-ipset=blocklist", "--type=hash:net");
    const from = ["--ipset=blocklist", "--add-entries-from-file=/run/networks"];
    await debian.must("firewall-cmd", "--permanent", ...from);
    await debian.must("firewall-cmd", "--permanent", "--zone=drop", "--add-source=ipset:blocklist");
    await debian.must("firewall-cmd", "--reload");
    const named = /inet firewalld blocklist \(20,000 intervals\)/;

    // This machine's own nft may be older than the one that made the rules, and not read them.
    const nft = ["chroot", debian.root, "nft"] as const;

    const check = async () => {
      const checked = debian.start(["ampere", "--check"]);
      await checked.end(60_000);
      return checked.text;
    };
    const advice = await check();
    assert.match(advice, named);
    assert.match(
      advice,
      /^warning +firewall .*inet firewalld blocklist.*\n +fix: set "backend = ipset"/m,
    );

    await using asterisk = new AmiServer({ port: 5038 });
    const ampere = debian.start(["ampere"]);
    const client = await ampere.alive(asterisk.client());
    // One after the other, as attackers come when it is quiet.
    for (let i = 1; i <= 5; i++) {
      await attack(client, `203.0.113.${i}`, "TCP");
      await ampere.said(new RegExp(` blocked 203\\.0\\.113\\.${i} `));
      await until(
        "the kernel has it",
        async () =>
          (await sh(...nft, "get", "element", "inet", "ampere", "hosts4", `{ 203.0.113.${i} }`))
            .code === 0,
      );
    }
    const hosts = addresses(ATTACKERS);
    const events = hosts.flatMap((host) => {
      const remote = remoteOf(host, "TCP");
      return [1, 2, 3].map(() => wrongAnswer(host, { remote }));
    });
    await client.send(events.join(""));
    await until("all are refused", async () => {
      const { out } = await sh(...nft, "-s", "list", "set", "inet", "ampere", "hosts4");
      return (out.match(/\b11\.\d+\.\d+\.\d+/g)?.length ?? 0) === ATTACKERS;
    }, 60_000);
    assert.match(await ampere.said(/warn: a change of the firewall takes \d+ ms/), named);
    assert.doesNotMatch(ampere.text, /error:|has ended/);
    ampere.signal("SIGTERM");
    assert.equal((await ampere.end()).code, 0);

    // What it advises helps.
    for (const program of ["iptables", "ip6tables"]) {
      await debian.must(program, "-N", "ampere");
      await debian.must(program, "-I", "INPUT", "-j", "ampere");
    }
    await debian.write("/etc/ampere/ampere.cfg", CONFIG.replace("nftables", "ipset"));
    const cured = debian.start(["ampere"]);
    const again = await cured.alive(asterisk.client());
    await attack(again, "203.0.113.9", "TCP");
    await until(
      "it is in the set of ipset",
      async () => (await sh("ipset", "test", "ampere4", "203.0.113.9")).code === 0,
    );
    assert.doesNotMatch(await check(), named);
    assert.doesNotMatch(cured.text, /a change of the firewall takes/);
    cured.signal("SIGTERM");
    await cured.end();
    await debian.must("nft", "flush", "ruleset");
    await sh("ipset", "destroy");
  });
}, obstacle);
