/** The compiled program beside a real fail2ban: what is taken over from it, and how. */

import assert from "node:assert/strict";
import { PREDECESSORS, rootOf } from "../../tools/firewalls.ts";
import { until } from "../support/namespace.ts";
import { Debian } from "./debian.ts";
import { onOwnMachine } from "./machine.ts";
import { commandsOf } from "./documented.ts";
import { type Outcome, runToEnd } from "./program.ts";

const root = rootOf(PREDECESSORS);

/** Bans whose programs need no firewall of the machine. */
const JAIL_LOCAL = `[DEFAULT]
ignoreip = 127.0.0.1/8 198.51.100.0/24 office.example
bantime = 1h
[sshd]
enabled = false
[asterisk]
enabled = true
backend = polling
maxretry = 4
findtime = 1d
action =
`;

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("a real fail2ban is taken over: its settings, and its bans with their ends", async () => {
    await using debian = await Debian.open(root!, executable);
    const run = (line: string): Promise<Outcome> =>
      runToEnd(["chroot", debian.root, "sh", "-c", line], { deadlineMs: 30_000 });
    const well = async (line: string): Promise<string> => {
      const { code, out, err } = await run(line);
      assert.equal(code, 0, `${line}\n${out}${err}`);
      return out;
    };
    await well("mkdir -p /var/log/asterisk /run/fail2ban && : > /var/log/asterisk/messages");
    await debian.write("/etc/fail2ban/jail.local", JAIL_LOCAL);
    await debian.write("/etc/ampere/ampere.cfg", "trust = 198.51.100.7\n");
    const server = debian.start(["fail2ban-server", "-f", "-x", "start"]);
    await until("fail2ban runs", async () => {
      if (server.over) throw new Error(server.text);
      return (await run("fail2ban-client ping")).code === 0;
    }, 30_000);
    const banned = ["203.0.113.7", "2001:db8:bad::5", "203.0.113.64/29", "198.51.100.7"];
    await well(`fail2ban-client set asterisk banip ${banned.join(" ")}`);
    await until("it has written them", async () => {
      const { out } = await run("fail2ban-client get asterisk banip");
      const { out: read } = await run("ampere --import-fail2ban");
      return banned.every((one) => out.includes(one) && read.includes(`${one} `));
    });

    const out = await well("ampere --import-fail2ban");
    // As fail2ban itself understands its files.
    const own = await well("fail2ban-client -d");
    for (
      const [key, line] of [
        [`'maxretry', 4]`, "loyalty = 4"],
        [`'findtime', '1d']`, "forget = 1d"],
        [`'bantime', '1h']`, "bantime = 1h"],
        [`'198.51.100.0/24'`, "trust = 198.51.100.0/24"],
        [`'office.example'`, "trust = office.example"],
      ] as const
    ) {
      assert.ok(own.includes(key), `${key}\n${own}`);
      assert.match(out, new RegExp(`^#   ${line} +# `, "m"));
    }

    const told = await well("fail2ban-client get asterisk banip --with-time");
    const ends = new Map(
      [...told.matchAll(/^(\S+) .* = (.*)$/gm)].map(([, target, end]) => [target, end]),
    );
    for (const one of banned) {
      const end = new RegExp(
        `^ *${one} .* until (.*) \\| imported from fail2ban, jail asterisk$`,
        "m",
      )
        .exec(out)?.[1];
      // It rounds the times in its database, and cuts those that it tells.
      const apart = Math.abs(Date.parse(end ?? "") - Date.parse(ends.get(one) ?? ""));
      assert.ok(apart <= 1_000, `${end}, ${ends.get(one)}`);
    }

    const commands = (pattern: RegExp) => commandsOf("docs/migrating.md", pattern);
    const [show = "", try_ = "", take = ""] = commands(/--import-fail2ban/).trim().split("\n");
    assert.equal(await well(show), out);
    const dry = await run(try_);
    assert.match(dry.out, /^3 would be added$/m);
    assert.match(dry.err, /198\.51\.100\.7 is trusted|198\.51\.100\.7 .*trust/);
    assert.equal(await well("ampere -l"), "", "nothing was changed");
    const added = await run(take);
    assert.match(added.out, /^3 added$/m);
    assert.equal(added.code, 1, "one was refused");
    const list = await well("ampere -l");
    assert.match(list, /203\.0\.113\.7 .*imported from fail2ban, jail asterisk$/m);
    assert.doesNotMatch(list, /198\.51\.100\.7/);
    // The same by the pipe that needs no file of fail2ban.
    const piped = await run(commands(/--with-time/));
    assert.match(piped.out, /^0 added, 3 blocked already$/m);
    const old = await run(commands(/--for 1d/));
    assert.match(old.out, /^0 added, 3 blocked already$/m);
    assert.match(old.err, /^line 1: 198\.51\.100\.7 /m, "nothing else is wrong with it");

    await well("fail2ban-client stop");
    assert.match(await well("ampere --import-fail2ban"), /203\.0\.113\.7 /, "it need not run");
  });
}, root === undefined ? 'there is no fail2ban; "deno task firewalls" gets it' : undefined);
