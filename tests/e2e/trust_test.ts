/** Trusted names and the file of trusted entries: the compiled program, and a real name lookup. */

import assert from "node:assert/strict";
import { BANNER, remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { DnsServer } from "../support/dns_server.ts";
import { until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, blocked, emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, makeChain, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";
const TRUSTED = "/etc/ampere/trusted";

/** Where Asterisk listens by default. */
const AMI_PORT = 5038;

/** The name server of the machine. */
const RESOLVER = "127.0.0.53";

/** Somebody whom a loyalty of 3 blocks for ever if they guess by TCP. */
const HOST = "203.0.113.66";

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (args: readonly string[], stdin = "") =>
    runToEnd([executable, ...args], { stdin, deadlineMs: 30_000 });

  const configure = (...lines: string[]) =>
    Deno.writeTextFile(CONFIG, ["pass = s3cret", ...lines, ""].join("\n"), { mode: 0o600 });

  const test = (name: string, body: () => Promise<void>): void => {
    Deno.test(name, async () => {
      await emptyFirewall();
      await makeChain();
      for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
      await Deno.writeTextFile("/etc/hosts", "127.0.0.1 localhost\n");
      await body();
    });
  };

  test("a name without a name server: nothing waits; as soon as it is known, its host is released", async () => {
    await configure("trust = office.example");
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await running.said(
      /warn: trust: office\.example: its name .*Fix: .*getent ahosts office\.example/,
    );
    await attack(client, HOST, "TCP");
    await attack(client, "203.0.113.67", "TCP");
    await blocked(HOST, "203.0.113.67");

    await using dns = await DnsServer.listen(RESOLVER);
    dns.names.set("office.example", [HOST, "2001:db8::66"]);
    running.signal("SIGHUP");
    await running.said(/info: trust: office\.example is .*: trusted/);
    await running.said(/released 203\.0\.113\.66: trusted now/);
    await blocked("203.0.113.67");
    await attack(client, HOST, "TCP");
    await attack(client, "2001:db8::66", "TCP");
    await attack(client, "203.0.113.68", "TCP");
    await blocked("203.0.113.67", "203.0.113.68");

    const status = await ampere(["--status"]);
    assert.match(status.out, /office\.example → .*203\.0\.113\.66.* \(answered \d+ s ago\)/);
    const { trust } = JSON.parse((await ampere(["--status", "--json"])).out);
    assert.deepEqual(trust.names[0].addresses.toSorted(), ["2001:db8::66", HOST]);

    // Another address, and one that nobody has.
    dns.names.set("office.example", ["0.0.0.0", "203.0.113.68"]);
    running.signal("SIGHUP");
    await running.said(/office\.example is answered with 0\.0\.0\.0, too/);
    await blocked("203.0.113.67");
    const added = await ampere(["-a"], "203.0.113.68\n0.0.0.0\n");
    assert.match(
      added.err,
      /line 1: 203\.0\.113\.68 is trusted \(trust = office\.example, which is 203\.0\.113\.68\)/,
    );
    await endsSoon(running);

    // The machine starts, and there is no network yet.
    dns.isFailing = true;
    await using again = new Program([executable]);
    const other = await again.alive(asterisk.client());
    await attack(other, "203.0.113.68", "TCP");
    await attack(other, "203.0.113.69", "TCP");
    await again.said(/blocked 203\.0\.113\.69/);
    assert.doesNotMatch(again.text, /blocked 203\.0\.113\.68/);
    await endsSoon(again);
  });

  test("names of /etc/hosts; --check looks each name up, and says what to do about the others", async () => {
    await Deno.writeTextFile("/etc/hosts", `127.0.0.1 localhost\n${HOST} office.example door\n`);
    await Deno.writeTextFile(TRUSTED, "192.0.2.7\n192.0.2.300\ndoor\n");
    await configure(
      "trust = office.example",
      "trust = nowhere.example",
      "trust = localhost",
      `trust_file = ${TRUSTED}`,
    );
    await using dns = await DnsServer.listen(RESOLVER);
    const { out } = await ampere(["--check"]);
    assert.ok(dns.asked.includes("nowhere.example"));
    assert.match(out, /^ok {7}trust {5}office\.example is 203\.0\.113\.66: trusted$/m);
    assert.match(out, /^ok {7}trust {5}door is 203\.0\.113\.66: trusted$/m);
    assert.match(
      out,
      /^warning {2}trust {5}nowhere\.example: its name is not known, or no name server answers; nobody is trusted for it now\n +fix: .*getent ahosts nowhere\.example$/m,
    );
    assert.match(out, /^warning {2}trust {5}localhost: it is answered with .*127\.0\.0\.1/m);
    assert.match(
      out,
      /^warning {2}trust {5}\/etc\/ampere\/trusted:2: "192\.0\.2\.300" is not an address/m,
    );

    // A replay knows them, too.
    const recording = ["203.0.113.66", "192.0.2.7", "203.0.113.1"].flatMap((address) =>
      Array.from({ length: 3 }, () => wrongAnswer(address, { remote: remoteOf(address, "TCP") }))
    );
    await Deno.writeTextFile("/etc/ampere/recorded.ami", BANNER + recording.join(""));
    const replayed = await ampere(["--replay", "--json", "/etc/ampere/recorded.ami"]);
    assert.deepEqual(replayed.out.match(/"target":"[^"]*"/g), ['"target":"203.0.113.1"']);
    assert.match(replayed.err, /warning: trust: nowhere\.example: its name is not known/);

    // Without a daemon -a looks the names up itself.
    const { code, out: added, err } = await ampere(["-a"], `${HOST}\n192.0.2.7\n203.0.113.1\n`);
    assert.equal(code, 1);
    assert.match(added, /^1 added/);
    assert.match(err, /line 1: 203\.0\.113\.66 is trusted \(trust = office\.example, which is/);
    assert.match(err, /line 2: 192\.0\.2\.7 is trusted \(it stands in \/etc\/ampere\/trusted\)/);
    assert.match(err, /warning: \/etc\/ampere\/trusted:2: "192\.0\.2\.300" is not/);
  });

  test("trust_file: waited for, read when it changes, a broken line hurts nobody", async () => {
    await configure(`trust_file = ${TRUSTED}`);
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await running.said(/warn: trust_file: \/etc\/ampere\/trusted: there is no such file/);
    await attack(client, HOST, "TCP");
    await blocked(HOST);
    await Deno.writeTextFile(TRUSTED, `# phones\n${HOST} ; the branch\n`);
    await blocked();

    // As sed -i does it.
    await Deno.writeTextFile(`${TRUSTED}.new`, `${HOST}\n198.51.100.0/24 x\n192.0.2.0/24\n`);
    await Deno.rename(`${TRUSTED}.new`, TRUSTED);
    await running.said(/warn: \/etc\/ampere\/trusted:2: "198\.51\.100\.0\/24 x" is not an address/);
    await attack(client, HOST, "TCP");
    await attack(client, "192.0.2.9", "TCP");
    await attack(client, "198.51.100.9", "TCP");
    await blocked("198.51.100.9");
    const { out } = await ampere(["--status"]);
    assert.match(out, /\/etc\/ampere\/trusted: 2 entries, .*trusted:2:/);

    // A hangup reads it at once.
    await Deno.writeTextFile(TRUSTED, "198.51.100.0/24\n");
    running.signal("SIGHUP");
    await blocked();
    await attack(client, HOST, "TCP");
    await blocked(HOST);
    await endsSoon(running);
    await using again = new Program([executable]);
    await again.alive(asterisk.client());
    await again.said(/trusted was read: 1 address or network, 0 names/);
    await endsSoon(again);
  });

  test("seventeen lines of trust and keys of fail2ban hinder neither the start nor the reload", async () => {
    const many = Array.from({ length: 300 }, (_, i) => `trust = 192.0.${2 + (i >> 8)}.${i & 255}`);
    await configure(
      ...many,
      "ignoreip = 127.0.0.1/8 203.0.113.8",
      "maxretry = 5",
      "bantime.increment = true",
    );
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await running.said(
      /ampere\.cfg:18: trust: this is line 17 with trust: .* Ampere 0\.2\.3 reads only 16/,
    );
    await running.said(
      /ignoreip: unknown key, ignored; did you mean "trust"\? .*trust = 203\.0\.113\.8/,
    );
    await running.said(/maxretry: unknown key, ignored; did you mean "loyalty"/);
    await running.said(/bantime\.increment: unknown key, ignored; did you mean "bantime_factor"/);
    running.signal("SIGHUP");
    await running.said(/the configuration was read again/);
    for (const address of ["192.0.2.16", "192.0.3.43"]) await attack(client, address, "TCP");
    await attack(client, "192.0.3.44", "TCP");
    await blocked("192.0.3.44");
    assert.match((await ampere(["--check"])).out, /trust: this is line 17/);
    await endsSoon(running);
  });

  test("names that no answer comes for hold up neither the start nor a block", async () => {
    const names = Array.from({ length: 100 }, (_, i) => `trust = h${i}.example`);
    await configure(...names);
    // It takes the questions, and never answers.
    await using dns = await DnsServer.listen(RESOLVER);
    dns.isSilent = true;
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await until("names are looked up", () => dns.asked.length > 0);
    await attack(client, HOST, "TCP");
    await blocked(HOST);
    await until("the status is told", async () => (await ampere(["--status"])).code === 0);
    await endsSoon(running);
  });
});
