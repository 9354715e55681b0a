/**
 * `ampere --check` against real firewalls: each fault is made, told, mended by the very command
 * that is told, and gone.
 */

import assert from "node:assert/strict";
import { checkFirewall } from "../../../src/commands/check/firewall.ts";
import type { Finding } from "../../../src/commands/check/finding.ts";
import { DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { Firewall } from "../../../src/firewall/firewall.ts";
import { IptablesBackend } from "../../../src/firewall/iptables.ts";
import { Log } from "../../../src/log.ts";
import { inNamespace, sh, withPrograms } from "../../support/namespace.ts";

const CONFIG = { ...DEFAULT_CONFIG, backend: "iptables" } as const;

/** The commands of a advice: what stands before a remark in brackets. */
function commandsOf({ advice }: Finding): string {
  return advice.replace(/ \(.*$/, "");
}

async function mendAll(findings: readonly Finding[]): Promise<void> {
  for (const finding of findings) {
    const { code, err } = await sh("sh", "-c", commandsOf(finding));
    assert.equal(code, 0, `${commandsOf(finding)}: ${err}`);
  }
}

function faults(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ level }) => level !== "ok");
}

async function reset(...commands: string[]): Promise<void> {
  for (const iptables of ["iptables", "ip6tables"]) {
    await sh(iptables, "-F");
    await sh(iptables, "-X");
    for (const command of commands) {
      const { code, err } = await sh("sh", "-c", `${iptables} ${command}`);
      assert.equal(code, 0, `${iptables} ${command}: ${err}`);
    }
  }
}

inNamespace(import.meta.url, () => {
  Deno.test("check firewall: no chain, no jump: the mends make it well", async () => {
    await reset();
    const found = faults(await checkFirewall(CONFIG));
    assert.deepEqual(found.map(({ level }) => level), ["problem", "warning"]);
    assert.match(found[0]!.message, /^IPv4: there is no chain "ampere"/);
    await mendAll(found);
    assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
  });

  Deno.test("check firewall: with a jump that the daemon makes, nothing is left to be done", async () => {
    await reset();
    const jump = { ...CONFIG, jump: ["INPUT"] };
    assert.match(
      faults(await checkFirewall(CONFIG))[0]!.advice,
      /write "jump = INPUT" into ampere\.cfg/,
    );
    const found = await checkFirewall(jump);
    assert.deepEqual(faults(found), []);
    assert.match(found[0]!.message, /the chain ampere is not there yet; the daemon makes it/);
    await reset("-N ampere");
    assert.match(
      faults(await checkFirewall(CONFIG))[0]!.advice,
      /write "jump = INPUT" into ampere\.cfg/,
    );
    assert.deepEqual(faults(await checkFirewall(jump)), []);
    const waiting = faults(await checkFirewall({ ...CONFIG, jump: ["INPUT", "DOCKER-USER"] }));
    assert.match(
      waiting[0]!.message,
      /there is no chain DOCKER-USER yet \(jump = INPUT,DOCKER-USER\)/,
    );
    assert.deepEqual(waiting.map(({ level }) => level), ["warning", "warning"]);
  });

  Deno.test("check firewall: an Asterisk that is elsewhere, and one behind a bridge", async () => {
    await reset("-N ampere", "-I INPUT -j ampere");
    // Without any interface it isn't known who is elsewhere.
    await sh("ip", "link", "set", "lo", "up");
    const away = faults(await checkFirewall({ ...CONFIG, host: "198.51.100.7" }));
    assert.deepEqual(away.map(({ level }) => level), ["problem", "warning"]);
    assert.match(away[0]!.message, /blocks here protect nothing there/);
    const place = { kind: "behind", address: "172.17.0.2", interface: "docker0" } as const;
    const behind = faults(await checkFirewall(CONFIG, undefined, place));
    assert.match(
      behind[0]!.message,
      /Asterisk is at 172\.17\.0\.2 behind docker0, and FORWARD does not/,
    );
    await mendAll(behind);
    assert.deepEqual(faults(await checkFirewall(CONFIG, undefined, place)), []);
    // What an established connection may do in front of it is told there too.
    await reset(
      "-N ampere",
      "-N DOCKER-USER",
      "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A FORWARD -j DOCKER-USER",
      "-A DOCKER-USER -j ampere",
    );
    const late = faults(await checkFirewall(CONFIG, undefined, place));
    assert.match(late[0]!.message, /FORWARD, by way of DOCKER-USER, .*asks ampere too late/);
    await mendAll(late);
    assert.deepEqual(faults(await checkFirewall(CONFIG, undefined, place)), []);
  });

  Deno.test("check firewall: a chain that nobody asks", async () => {
    await reset("-N ampere");
    const found = faults(await checkFirewall(CONFIG));
    assert.deepEqual(found.map(({ level }) => level), ["problem", "warning"]);
    assert.match(found[0]!.message, /^IPv4: INPUT does not ask ampere, so nobody is kept out/);
    await mendAll(found);
    assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
  });

  for (
    const [name, rule, words] of [
      [
        "established connections",
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        /UDP flow/,
      ],
      ["the port of SIP", "-p udp --dport 5060 -j ACCEPT", /"-A INPUT -p udp -m udp --dport 5060/],
      ["everything of an interface", "-i eth0 -j ACCEPT", /never compared/],
    ] as const
  ) {
    Deno.test(`check firewall: a jump behind an ACCEPT of ${name} is moved`, async () => {
      await reset("-N ampere", `-A INPUT ${rule}`, "-A INPUT -j ampere");
      const found = faults(await checkFirewall(CONFIG));
      assert.deepEqual(found.map(({ level }) => level), ["warning", "warning"]);
      assert.match(found[0]!.message, words);
      await mendAll(found);
      assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
      const { out } = await sh("iptables", "-S", "INPUT");
      assert.equal(out.split("\n").filter((line) => line.endsWith("-j ampere")).length, 1);
    });
  }

  Deno.test("check firewall: a narrow jump behind an ACCEPT is moved as well", async () => {
    await reset(
      "-N ampere",
      "-A INPUT -p udp -j ACCEPT",
      "-A INPUT -p udp -m multiport --dports 5060,5061 -j ampere",
    );
    const found = faults(await checkFirewall(CONFIG));
    assert.equal(found.length, 2);
    await mendAll(found);
    assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
  });

  for (
    const narrow of [
      "-p tcp -j ampere",
      "-i eth9 -j ampere",
      "-p udp --dport 5060 -m limit --limit 1/min -j ampere",
    ]
  ) {
    Deno.test(`check firewall: a jump for some packets only is told and mended: ${narrow}`, async () => {
      await reset("-N ampere", `-A INPUT ${narrow}`);
      const found = faults(await checkFirewall(CONFIG));
      assert.deepEqual(found.map(({ level }) => level), ["warning", "warning"]);
      assert.match(found[0]!.message, /INPUT asks ampere only for packets that fulfil "-A INPUT -/);
      await mendAll(found);
      assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
    });
  }

  Deno.test("check firewall: a RETURN in front of the jump lets in past it", async () => {
    await reset(
      "-N ampere",
      "-N fw",
      "-A INPUT -j fw",
      "-A fw -p udp -j RETURN",
      "-A fw -j ampere",
    );
    const found = faults(await checkFirewall(CONFIG));
    assert.match(
      found[0]!.message,
      /asks ampere too late: before it stands "-A fw -p udp -j RETURN"/,
    );
    await mendAll(found);
    assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
  });

  Deno.test("check firewall: a jump in a chain of another program", async () => {
    await reset(
      "-N ampere",
      "-N ufw-before-input",
      "-A INPUT -j ufw-before-input",
      "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A ufw-before-input -j ampere",
    );
    const found = faults(await checkFirewall(CONFIG));
    assert.match(found[0]!.message, /by way of ufw-before-input/);
    await mendAll(found);
    assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
  });

  Deno.test("check firewall: only FORWARD asks", async () => {
    await reset("-N ampere", "-A FORWARD -j ampere");
    const found = faults(await checkFirewall(CONFIG));
    assert.deepEqual(found.map(({ level }) => level), ["warning", "warning"]);
    assert.match(found[0]!.message, /FORWARD asks ampere, but INPUT does not/);
    await mendAll(found);
    assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
    const { out } = await sh("iptables", "-S", "FORWARD");
    assert.match(out, /-A FORWARD -j ampere/, "containers are guarded as before");
  });

  Deno.test("check firewall: rules of somebody else in the chain", async () => {
    await reset("-N ampere", "-I INPUT -j ampere", "-A ampere -p tcp --dport 22 -j ACCEPT");
    const found = faults(await checkFirewall(CONFIG));
    assert.equal(found.length, 2);
    assert.match(found[0]!.message, /1 rule in it is not Ampere's, such as "-A ampere -p tcp/);
    await mendAll(found);
    assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
  });

  Deno.test("check firewall: several rules of somebody else are taken out, and Ampere's stay", async () => {
    await reset(
      "-N ampere",
      "-I INPUT -j ampere",
      "-A ampere -p tcp --dport 22 -j ACCEPT",
      "-A ampere -m limit --limit 5/min -j LOG",
    );
    await sh("iptables", "-I", "ampere", "2", "-s", "203.0.113.5", "-j", "REJECT");
    const found = faults(await checkFirewall(CONFIG));
    assert.match(found[0]!.message, /2 rules in it are not Ampere's/);
    await mendAll(found);
    assert.deepEqual(faults(await checkFirewall(CONFIG)), []);
    assert.match((await sh("iptables", "-S", "ampere")).out, /-s 203\.0\.113\.5\/32 -j REJECT/);
  });

  Deno.test("check firewall: a rule that a shell would not take as it is listed is not made a command", async () => {
    await reset(
      "-N ampere",
      "-I INPUT -j ampere",
      "-A ampere -m comment --comment '$(touch /run/executed)' -j ACCEPT",
    );
    const found = faults(await checkFirewall(CONFIG));
    assert.match(found[0]!.advice, /^iptables -S ampere shows them \(/);
    assert.match(found[1]!.advice, /^ip6tables -S ampere shows them \(/);
  });

  Deno.test("check firewall: the rules of a running daemon are counted", async () => {
    await reset("-N ampere", "-I INPUT -j ampere");
    const log = new Log({ level: "error" });
    const backends = [new IptablesBackend({ family: 4, chain: "ampere" })];
    const firewall = new Firewall({ backends, log, verifyMs: 60_000 });
    await firewall.start([
      { target: "203.0.113.5", until: undefined },
      { target: "203.0.113.0/28", until: undefined },
    ]);
    await firewall.idle();
    const findings = await checkFirewall(CONFIG);
    await firewall.stop();
    assert.deepEqual(faults(findings), []);
    assert.match(findings[0]!.message, /with 2 blocks/);
  });

  Deno.test("configuration.md: rules saved as it says load without the set that Ampere makes later", async () => {
    const file = new URL("../../../docs/configuration.md", import.meta.url);
    const text = await Deno.readTextFile(file);
    const expression = /^sed -i '([^']+)' \/etc\/iptables\/rules\.v\[46\]$/m.exec(text)?.[1];
    assert.ok(expression);
    await reset("-N ampere", "-I INPUT -j ampere", "-A INPUT -p tcp --dport 22 -j ACCEPT");
    const must = async (command: string) => {
      const { code, err } = await sh("sh", "-c", command);
      assert.equal(code, 0, `${command}: ${err}`);
    };
    await must("ipset create ampere4 hash:net");
    await must("iptables -A ampere -m set --match-set ampere4 src -j REJECT");
    await must("iptables-save -t filter > /run/rules.v4");
    // The machine starts again.
    await reset();
    await must("ipset destroy ampere4");
    const { code } = await sh("sh", "-c", "iptables-restore < /run/rules.v4");
    assert.notEqual(code, 0, "what it warns of");
    await must(`sed -i '${expression}' /run/rules.v4 && iptables-restore < /run/rules.v4`);
    const { out } = await sh("iptables", "-S");
    assert.match(out, /^-A INPUT -j ampere\n-A INPUT -p tcp .*--dport 22 -j ACCEPT$/m);
    await reset();
  });

  Deno.test("check firewall: programs that are not there", async () => {
    await reset("-N ampere", "-I INPUT -j ampere");
    const path = Deno.env.get("PATH")!;
    Deno.env.set("PATH", "/nowhere");
    try {
      const found = faults(await checkFirewall({ ...CONFIG, backend: "ipset" }));
      assert.deepEqual(found.map(({ level }) => level), ["problem", "problem", "warning"]);
      assert.match(found[0]!.message, /^ipset is not installed/);
      assert.match(found[1]!.message, /^IPv4: iptables is not installed/);
    } finally {
      Deno.env.set("PATH", path);
    }
  });

  Deno.test("check firewall: a program that says nothing is not believed", async () => {
    await using _programs = await withPrograms({ iptables: "#!/bin/sh\nexit 0\n" });
    const [found] = faults(await checkFirewall(CONFIG));
    assert.equal(found!.level, "warning");
    assert.match(found!.message, /says nothing at all/);
  });
});
