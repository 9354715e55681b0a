/**
 * README.md's quick start on other Debian releases: `ampere --setup`, with a real Asterisk, until
 * the first guesser is refused, and the way back.
 *
 * @module
 */

import assert from "node:assert/strict";
import { LISTS_NOTE } from "../../src/firewall/lists/nftables.ts";
import type { Server } from "../../tools/asterisk.ts";
import { MACHINES, rootOf } from "../../tools/firewalls.ts";
import { Debian } from "../e2e/debian.ts";
import { emptyFirewall, must } from "../e2e/machine.ts";
import { type Outcome, type Program, runToEnd } from "../e2e/program.ts";
import { until } from "../support/namespace.ts";
import { Asterisk, type Files, hostOf } from "./asterisk.ts";
import { LOYALTY } from "./blocking.ts";
import { pbx, PJSIP } from "./pbx.ts";
import { SETUP_COMMANDS } from "./readme.ts";
import { Site } from "./site.ts";

/** What runs on the other machine. */
const GUESS = new URL("./guess.ts", import.meta.url).pathname;
const KNOCK = new URL("../e2e/knock.ts", import.meta.url).pathname;

/** From where the administrator types. */
const ADMINISTRATOR = "198.51.100.250";

/** A script may take so long, in milliseconds: its failing logins take two seconds. */
const SCRIPT_MS = 60_000;

/** How long the whole may take, in milliseconds. */
const MINUTE_MS = 60_000;

/** Where Asterisk's file system is on the Debian. */
const ASTERISK = "/opt/asterisk";

/** A trunk of each form, and what is none. */
const TRUNKS = `
[trunk]
type = endpoint
disallow = all
allow = ulaw
aors = trunk

[trunk]
type = aor
contact = sip:me@192.0.2.77:5060

[trunk]
type = identify
endpoint = trunk
match = 203.0.113.200/29

[provider]
type = registration
server_uri = sip:sip.provider.example\\;transport=udp
client_uri = sip:1234@sip.provider.example
`;

/** Files that Asterisk does not read, with values that a shell would run if it got to see them. */
const HOSTILE: Files = {
  "iax_hostile.conf": [
    "[a]",
    "match = 0.0.0.0/0",
    "host = $(touch /owned1).example.org",
    "host = `touch /owned2`",
    "host = x.example.org; touch /owned3",
    "host = 192.0.2.1' ; touch /owned4 ; '",
    'host = 192.0.2.2" && touch /owned5',
    "host = -rf.example.org",
    "host = 10.0.0.256",
    "host = 0x7f.1",
    "host = ../../etc.example.org",
    "host = 192.0.2.3 # trust = 0.0.0.0/0",
    "host = %s%n.example.org",
    "",
  ].join("\n"),
};

/** FreePBX's manager.conf, as far as it matters. */
const FREEPBX_MANAGER = `[general]
enabled = yes
port = 5038
bindaddr = 0.0.0.0
displayconnects = no

[admin]
secret = s3cret
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.0
read = system,call
write = system

#include manager_additional.conf
#include manager_custom.conf
`;

/**
 * The chains of FreePBX's firewall that a packet passes (docs/freepbx.md, "What was read"): who has
 * a connection is let in by the second rule.
 */
const FREEPBX_CHAINS = `
for i in iptables ip6tables; do
  $i -w -N fpbxfirewall
  $i -w -A fpbxfirewall -i lo -j ACCEPT
  $i -w -A fpbxfirewall -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  $i -w -A INPUT -j fpbxfirewall
done
`;

/** A Debian with an Asterisk that runs, on which Ampere has just been unpacked. */
class Pbx implements AsyncDisposable {
  readonly debian: Debian;
  readonly asterisk: Asterisk;

  private constructor(debian: Debian, asterisk: Asterisk) {
    this.debian = debian;
    this.asterisk = asterisk;
  }

  static async open(executable: string, base: string, root: string, files: Files): Promise<Pbx> {
    await emptyFirewall();
    const asterisk = await Asterisk.start(root, files);
    const debian = await Debian.open(base, executable);
    for (const folder of [ASTERISK, "/etc/asterisk"]) {
      await Deno.mkdir(debian.root + folder, { recursive: true });
    }
    await must("mount", "--bind", asterisk.root, debian.root + ASTERISK);
    await must("mount", "--bind", `${asterisk.root}/run`, `${debian.root}${ASTERISK}/run`);
    await must("mount", "--bind", `${asterisk.root}/etc/asterisk`, `${debian.root}/etc/asterisk`);
    const program = `#!/bin/sh\nexec chroot ${ASTERISK} asterisk "$@"\n`;
    await Deno.writeTextFile(`${debian.root}/usr/sbin/asterisk`, program, { mode: 0o755 });
    const shipped = new URL("../../ampere.cfg", import.meta.url);
    await Deno.copyFile(shipped, `${debian.root}/etc/ampere/ampere.cfg`);
    await Deno.chmod(`${debian.root}/etc/ampere/ampere.cfg`, 0o640);
    return new Pbx(debian, asterisk);
  }

  /** Runs a line of the shell there, as a person who has come by SSH. */
  run(line: string, env: Record<string, string> = {}): Promise<Outcome> {
    return runToEnd(["chroot", this.debian.root, "sh", "-c", line], {
      env: { SSH_CONNECTION: `${ADMINISTRATOR} 50000 192.0.2.1 22`, ...env },
      deadlineMs: SCRIPT_MS,
    });
  }

  /** The same, which must succeed. */
  async well(line: string, env: Record<string, string> = {}): Promise<string> {
    const { code, out, err } = await this.run(line, env);
    assert.equal(code, 0, `${line}\n${out}${err}`);
    return out;
  }

  /** Starts the daemon, as the script has said, with its log here. */
  start(): Program {
    return this.debian.start(["ampere"]);
  }

  /** All files that setting up may change. */
  async files(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const folder of ["/etc/asterisk", "/etc/asterisk/manager.d", "/etc/ampere"]) {
      for await (const { name, isFile } of Deno.readDir(this.debian.root + folder)) {
        const path = `${folder}/${name}`;
        if (!isFile || name.endsWith(".before-ampere")) continue;
        const { mode, uid } = await Deno.stat(this.debian.root + path);
        const text = await Deno.readTextFile(this.debian.root + path);
        found.set(path, `${(mode ?? 0).toString(8)} ${uid}\n${text}`);
      }
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.debian[Symbol.asyncDispose]();
    await this.asterisk[Symbol.asyncDispose]();
  }
}

/** Guesses until it is refused. */
async function guess(site: Site): Promise<void> {
  const deno = [Deno.execPath(), "run", "-A", "--no-check"];
  const knock = () => site.run(...deno, KNOCK, site.host, site.pbx, String(PJSIP.port));
  assert.match(await knock(), /^reached/);
  const guesses = [site.host, site.pbx, String(PJSIP.port), String(LOYALTY)];
  assert.match(await site.run(...deno, GUESS, ...guesses), /^(?:40[13]\n){3}$/);
  await until("the guesser is refused", async () => (await knock()).startsWith("refused"));
}

/** The files of Asterisk without a manager.conf of the tests: Debian's own stays. */
function debiansFiles(): Record<string, string> {
  const { "manager.conf": _, ...rest } = pbx("");
  return rest;
}

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable Ampere
 * @param root Asterisk's file system
 */
export function testSetup(server: Server, executable: string, root: string): void {
  const machines = server.version < 20 ? [MACHINES.previous, MACHINES.old] : [MACHINES.current];
  const test = (name: string, body: (base: string) => Promise<void>, machine = machines[0]!) => {
    const base = rootOf(machine);
    const left = base === undefined ? ' (left out: see "deno task firewalls")' : "";
    Deno.test(
      `Asterisk ${server.version} on Debian ${machine.suite}: ${name}${left}`,
      { ignore: base === undefined },
      () => body(base!),
    );
  };

  const quickStart = async (base: string) => {
    const files = debiansFiles();
    files["pjsip.conf"] += TRUNKS;
    await using pbx = await Pbx.open(executable, base, root, { ...files, ...HOSTILE });
    await pbx.well("rm -f /usr/sbin/*tables* /usr/sbin/ipset");
    const before = await pbx.files();

    assert.ok(1 + SETUP_COMMANDS.length <= 5, "the package, and what follows");
    const begun = performance.now();
    let said = "";
    for (const command of SETUP_COMMANDS) {
      said = await pbx.well(command.replace(/^less /, "cat "));
    }
    assert.match(said, /^ok +asterisk +logged in at 127\.0\.0\.1:5038 as "ampere"/m);
    assert.match(said, /^ok +firewall +backend = auto: nftables, because nft works/m);
    assert.doesNotMatch(said, /^problem/m);
    assert.match(said, /ampere -o \/var\/log\/ampere\.log/);

    await using daemon = pbx.start();
    await daemon.said(/logged in at .*: following the security events$/, 0, 30_000);
    await using site = await Site.open(hostOf("attacker"));
    await guess(site);
    assert.ok(performance.now() - begun < MINUTE_MS, "in a minute");
    assert.match(await pbx.well("ampere -l"), new RegExp(`${site.host} .*3 wrong passwords`));

    const config = await pbx.well("cat /etc/ampere/ampere.cfg");
    for (
      const one of [ADMINISTRATOR, "192.0.2.77", "203.0.113.200/29", "sip.provider.example"]
    ) assert.ok(config.includes(`\ntrust = ${one} ; ampere --setup\n`), `${one}\n${config}`);
    // Of the hostile lines only a name in front of what Asterisk takes as a comment is one.
    const trusted = [...config.matchAll(/^trust = (\S+) ; ampere --setup$/gm)].map(([, one]) =>
      one
    );
    assert.deepEqual(
      trusted.toSorted(),
      [
        "192.0.2.77",
        ADMINISTRATOR,
        "203.0.113.200/29",
        "sip.provider.example",
        "x.example.org",
      ].toSorted(),
    );
    assert.match(said, /^ +not 0\.0\.0\.0\/0 \(a trunk\)/m);
    assert.equal(await pbx.well("ls -d /owned* 2>/dev/null || true"), "");

    const secret = /^pass = ([0-9a-f]{48}) /m.exec(config)?.[1];
    assert.ok(secret !== undefined, config);
    assert.ok(!said.includes(secret), "it is shown nowhere");
    assert.equal(await pbx.well("stat -c %a /etc/ampere/ampere.cfg"), "640\n");
    const own = "/etc/asterisk/manager.d/ampere.conf";
    assert.equal(
      await pbx.well(`stat -c '%a %u %g' ${own}`),
      `640 ${await pbx.well("stat -c '%u %g' /etc/asterisk/manager.conf")}`,
    );

    const after = await pbx.files();
    assert.match(await pbx.well("sh setup.sh"), /it says all that already/);
    assert.deepEqual(await pbx.files(), after, "once more it changes nothing");

    const early = await pbx.run("ampere --setup --undo | sh");
    assert.equal(early.code, 1);
    assert.match(early.err, /Ampere runs, and systemd has not started it/);
    daemon.signal("SIGTERM");
    assert.equal((await daemon.end()).code, 0, daemon.text);
    // As that of feeds is; and one that has its name only.
    const lists = (note: string) =>
      pbx.well(
        "nft add table inet ampere_lists && nft add chain inet ampere_lists c && " +
          `nft add rule inet ampere_lists c accept comment '"${note}"'`,
      );
    await lists("mine");
    await pbx.well("ampere --setup --undo | sh");
    assert.equal(await pbx.well("nft list tables | grep ampere"), "table inet ampere_lists\n");
    await lists(LISTS_NOTE);
    await pbx.well("ampere --setup --undo | sh");
    assert.deepEqual(await pbx.files(), before, "the files are as they were");
    assert.doesNotMatch(await pbx.well("nft list tables"), /ampere/);
    assert.match(await pbx.asterisk.command("manager show user ampere"), /no manager called/);
  };
  for (const machine of machines) {
    test("the README's quick start, with nothing but nftables", quickStart, machine);
  }

  test("ampere --setup beside FreePBX's chains, without nft", async (base) => {
    const files = {
      ...debiansFiles(),
      "manager.conf": FREEPBX_MANAGER,
      "manager_additional.conf": "",
      "manager_custom.conf": "; mine\n[mine]\nsecret = other\nread = call\n",
    };
    await using pbx = await Pbx.open(executable, base, root, files);
    await pbx.well(FREEPBX_CHAINS);
    const easy = await pbx.well("ampere --setup");
    assert.match(easy, /^jump=''$/m, "with nft nothing has to be made");
    assert.match(easy, /^# - rules of FreePBX, which stay as they are$/m);
    await pbx.well("rm -f /usr/sbin/nft");
    const before = await pbx.files();
    const script = await pbx.well("ampere --setup");
    assert.match(script, /^# .*the jump to it in fpbxfirewall \(jump = fpbxfirewall\)$/m);
    const { code, out, err } = await pbx.run("ampere --setup | sh");
    // Nobody has made the chain yet: the daemon does.
    assert.match(out, /^ok +asterisk +logged in/m, err);
    assert.ok(code === 0 || /^problem +firewall/m.test(out), out + err);
    assert.match(await pbx.well("cat /etc/ampere/ampere.cfg"), /^jump = fpbxfirewall ; ampere/m);
    const custom = await pbx.well("cat /etc/asterisk/manager_custom.conf");
    assert.match(
      custom,
      /^; mine\n\[mine\]\nsecret = other\nread = call\n; ampere --setup: begin\n\[ampere\]\n/,
    );

    await using daemon = pbx.start();
    await daemon.said(/logged in at .*: following the security events$/, 0, 30_000);
    await using site = await Site.open(hostOf("attacker"));
    await guess(site);
    const rules = await pbx.well("iptables -S fpbxfirewall");
    assert.match(rules, /^-N fpbxfirewall\n-A fpbxfirewall -j ampere\n-A fpbxfirewall -i lo /);
    assert.match(await pbx.well("ampere --check"), /^ok +firewall .*fpbxfirewall, asks ampere/m);
    daemon.signal("SIGTERM");
    assert.equal((await daemon.end()).code, 0, daemon.text);
    await pbx.well("ampere --setup --undo | sh");
    assert.deepEqual(await pbx.files(), before);
    assert.doesNotMatch(await pbx.well("iptables -S; ip6tables -S"), /ampere/);
  });

  test("ampere --setup switches AMI on, for this machine alone, and finds its port", async (base) => {
    const manager = "[general]\nenabled = no\nport = 5039\nbindaddr = 0.0.0.0\n";
    const files = { ...debiansFiles(), "manager.conf": manager };
    await using pbx = await Pbx.open(executable, base, root, files);
    const before = await pbx.files();
    await pbx.well("ampere --setup | sh");
    assert.match(
      await pbx.asterisk.command("manager show settings"),
      /Manager \(AMI\): +Yes[^]*TCP Bindaddress: +127\.0\.0\.1:5039/,
    );
    const config = await pbx.well("cat /etc/ampere/ampere.cfg");
    assert.match(config, /^port = 5039 ; ampere --setup$/m);
    await pbx.well("ampere --setup | sh");
    assert.equal(await pbx.well("cat /etc/ampere/ampere.cfg"), config);
    await pbx.well("ampere --setup --undo | sh");
    assert.deepEqual(await pbx.files(), before);

    // What was changed since stays, and stays the only line with its key.
    await pbx.well("ampere --setup | sh");
    await pbx.well("sed -i 's/^port = 5039 ; .*/port = 5040/' /etc/ampere/ampere.cfg");
    await pbx.well("ampere --setup --undo | sh");
    const ports = await pbx.well("grep '^port' /etc/ampere/ampere.cfg && ampere -l");
    assert.equal(ports, "port = 5040\n");
  });

  test("ampere --setup takes what is there, and stops where it cannot go on", async (base) => {
    const manager = "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n" +
      "[ampere]\nsecret = of-my-own ; a remark\nread = security,system,user\n";
    const files = { ...debiansFiles(), "manager.conf": manager };
    await using pbx = await Pbx.open(executable, base, root, files);
    const asterisk = () => pbx.well("cat /etc/asterisk/manager.conf");
    await pbx.well("ampere --setup | sh", { SSH_CONNECTION: "$(touch${IFS}/owned6) 1 2 3" });
    assert.match(await pbx.well("cat /etc/ampere/ampere.cfg"), /^pass = of-my-own ; ampere/m);
    assert.equal(await asterisk(), manager);
    assert.equal(await pbx.well("ls -d /owned* 2>/dev/null || true"), "");

    // Two files that agree by a secret that a script had better leave alone.
    const difficult = 'pass = "a b;c#d"\nhost = localhost\n';
    await pbx.debian.write("/etc/ampere/ampere.cfg", difficult);
    await pbx.asterisk.configure({
      "manager.conf": manager.replace("of-my-own ; a remark", "a b\\;c#d"),
    });
    await pbx.asterisk.command("manager reload");
    await pbx.well("ampere --setup | sh", { SSH_CONNECTION: "" });
    assert.equal(await pbx.well("cat /etc/ampere/ampere.cfg"), difficult);

    // A configuration of one's own, of which there is a user no more.
    await pbx.well("printf 'pass = mine\\ntrust = 192.0.2.7\\n' > /etc/ampere/ampere.cfg");
    await pbx.asterisk.configure({ "manager.conf": manager.split("\n[ampere]")[0]! });
    await pbx.asterisk.command("manager reload");
    // As sudo does: where it comes from stands only in the process before.
    await pbx.well('ampere --setup | env -i "PATH=$PATH" sh; exit $?');
    assert.match(await asterisk(), /\n\[ampere\]\nsecret = mine\n/);
    assert.equal(
      await pbx.well("cat /etc/ampere/ampere.cfg"),
      `pass = mine\ntrust = 192.0.2.7\ntrust = ${ADMINISTRATOR} ; ampere --setup\n`,
    );

    const script = await pbx.well("ampere --setup");
    await pbx.debian.write("/setup.sh", script);
    const config = await pbx.well("cat /etc/ampere/ampere.cfg");
    await pbx.asterisk.stop();
    const { code, err } = await pbx.run("sh /setup.sh");
    assert.equal(code, 1);
    assert.match(err, /^setup: Asterisk does not run\. .*\nsetup: stopped at "Asterisk"/m);
    assert.equal(await pbx.well("cat /etc/ampere/ampere.cfg"), config);
    await pbx.well("echo 'bogus = 1' >> /etc/ampere/ampere.cfg");
    const wrong = await pbx.run("ampere --setup | sh");
    assert.equal(wrong.code, 1, "whoever pipes it into a shell sees that it went wrong");
    assert.match(wrong.err, /ampere\.cfg:4: .*bogus/);
  });
}
