/** Tests of `--check` for what can't be had from a real Asterisk; tests/live has the others. */

import assert from "node:assert/strict";
import { AddressSet } from "../../../src/address/address_set.ts";
import { type Config, DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { checkAsterisk, FILTER } from "../../../src/commands/check/asterisk.ts";
import { checkDatabase } from "../../../src/commands/check/database.ts";
import {
  findJump,
  isEstablished,
  parseListing,
} from "../../../src/commands/check/firewall_path.ts";
import { type Finding, formatFinding, problem } from "../../../src/commands/check/finding.ts";
import { BlockDatabase } from "../../../src/blocks/database.ts";
import { lockDatabase } from "../../../src/blocks/lock.ts";
import { COLOURED, PLAIN } from "../../../src/text/table.ts";
import { FakeAsterisk, type FakeAsteriskOptions, type User } from "../../support/fake_asterisk.ts";

const OWN = new AddressSet(["127.0.0.0/8", "::1"]);
const SECURITY = ["security", "system"];

function user(changes: Partial<User> = {}): User {
  return { name: "ampere", secret: "correct", read: SECURITY, ...changes };
}

function configFor(port: number, changes: Partial<Config> = {}): Config {
  return { ...DEFAULT_CONFIG, port, user: "ampere", pass: "correct", ...changes };
}

async function findingsFor(
  options: Partial<FakeAsteriskOptions> & { own?: AddressSet; config?: Partial<Config> },
): Promise<{ findings: Finding[]; actions: string[] }> {
  await using asterisk = new FakeAsterisk({ users: [user()], ...options });
  const findings = await checkAsterisk(
    configFor(asterisk.port, options.config),
    { own: options.own ?? OWN, eventMs: 200 },
  );
  return { findings, actions: asterisk.actions };
}

function worst(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ level }) => level !== "ok");
}

Deno.test("check: an unfiltered user is well", async () => {
  const { findings, actions } = await findingsFor({});
  assert.deepEqual(worst(findings), []);
  assert.match(findings.map(({ message }) => message).join("\n"), /and InvalidPassword arrive/);
  assert.equal(actions.filter((action) => action.startsWith("Login")).length, 5);
});

Deno.test("check: the filter that it recommends is that of the documentation", async () => {
  for (const file of ["README.md", "docs/threat-model.md"]) {
    const text = await Deno.readTextFile(new URL(`../../../${file}`, import.meta.url));
    const filters = text.match(/^ *eventfilter = .*$/gm)?.map((line) => line.trim());
    assert.deepEqual(filters, [FILTER], file);
  }
});

Deno.test("check: a wrong secret and an unknown user are problems, and nothing more is tried", async () => {
  for (const config of [{ pass: "wrong" }, { user: "nobody" }]) {
    const { findings, actions } = await findingsFor({ config });
    assert.deepEqual(findings.map(({ level }) => level), ["problem"]);
    assert.match(findings[0]!.message, /refused: Authentication failed/);
    assert.ok(!JSON.stringify(findings).includes("correct"));
    assert.equal(actions.length, 1);
  }
});

Deno.test("check: logins that are not answered accuse no filter", async () => {
  const { findings } = await findingsFor({ sessionsMax: 1 });
  const [finding, ...rest] = worst(findings);
  assert.deepEqual(rest, []);
  assert.equal(finding?.level, "warning");
  assert.match(finding.message, /could not be tried: the connection was closed/);
});

Deno.test("check: no login fails on purpose from an address that may be blocked", async () => {
  const remote = await findingsFor({ own: new AddressSet(["192.0.2.1"]) });
  assert.deepEqual(remote.actions, ["Login ampere"]);
  assert.match(worst(remote.findings)[0]!.message, /another machine \(127\.0\.0\.1\)/);

  const masked = await findingsFor({ seenAs: "203.0.113.77" });
  assert.deepEqual(masked.actions, ["Login ampere"]);
  assert.match(worst(masked.findings)[0]!.message, /sees this machine as 203\.0\.113\.77/);

  const trusted = await findingsFor({
    seenAs: "203.0.113.77",
    config: { trust: ["203.0.113.0/24"] },
  });
  assert.deepEqual(worst(trusted.findings), []);

  const silent = await findingsFor({
    own: new AddressSet(["192.0.2.1"]),
    users: [user({ read: ["system"] })],
  });
  assert.deepEqual(worst(silent.findings).map(({ level }) => level), ["problem", "warning"]);
});

Deno.test("check: a server that is not AMI, and one that is not there", async () => {
  const other = await findingsFor({ banner: "SSH-2.0-OpenSSH_9.2\r\n", users: [] });
  assert.equal(other.findings[0]!.level, "problem");
  const listener = Deno.listen({ port: 0 });
  const { port } = listener.addr;
  listener.close();
  const [absent] = await checkAsterisk(configFor(port), { own: OWN });
  assert.equal(absent!.level, "problem");
  assert.match(absent!.message, /cannot be reached: connection refused$/);
  // Asterisk runs, and AMI is off: writing it into manager.conf alone mends nothing.
  assert.match(absent!.advice, /enabled = yes.*; then: asterisk -rx 'manager reload'$/);
  // Longer than a label may be: no server of names is asked.
  const [nameless] = await checkAsterisk({ ...DEFAULT_CONFIG, host: `${"x".repeat(64)}.invalid` });
  assert.match(
    nameless!.message,
    /cannot be reached: its name (?:is not known|cannot be looked up)/,
  );
  assert.match(nameless!.advice, /^correct "host"/);
});

Deno.test("check: a server that speaks HTTP is told from AMI", async () => {
  const listener = Deno.listen({ port: 0 });
  const served = (async () => {
    const connection = await listener.accept();
    await connection.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
    connection.close();
  })();
  const [finding] = await checkAsterisk(configFor(listener.addr.port), { own: OWN });
  await served;
  listener.close();
  assert.match(finding!.message, /is not AMI: it begins with "HTTP\/1\.1 400 Bad Request"/);
});

Deno.test("check: database that is new, in use by a daemon, in no folder, of another program", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/ampere.db`;
  const at = (database: string) => checkDatabase({ ...DEFAULT_CONFIG, database });
  try {
    assert.match(at(path).message, /will be made at the first start/);
    assert.deepEqual([...Deno.readDirSync(folder)], [], "nothing is left behind");

    const list = BlockDatabase.open(path);
    using _lock = lockDatabase(path);
    list.add([{
      target: "203.0.113.5",
      since: 0,
      until: undefined,
      reason: "",
      service: "",
      transport: "",
      account: "",
    }]);
    const before = list.dataVersion();
    const finding = at(path);
    assert.equal(finding.level, "ok");
    assert.match(finding.message, /holds 1 block and can be written/);
    assert.equal(list.dataVersion(), before, "nothing was written");
    list.remove(["203.0.113.5"]);
    list.close();

    const missing = at(`${folder}/none/ampere.db`);
    assert.equal(missing.level, "problem");
    assert.match(missing.advice, /mkdir -p -m 750 .*\/none/);
    await sh(/"(mkdir .*)"/.exec(missing.advice)![1]!);
    assert.equal(at(`${folder}/none/ampere.db`).level, "ok", "the mend mends it");

    await Deno.writeTextFile(`${folder}/text`, "no database\n".repeat(100));
    assert.equal(at(`${folder}/text`).level, "problem");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function sh(command: string): Promise<void> {
  const { code } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  assert.equal(code, 0, command);
}

Deno.test("check: the way of a packet through the chains", () => {
  const jumpOf = (listing: string) => findJump(parseListing(listing), "INPUT", "ampere");
  const passed = (listing: string) => jumpOf(listing)?.passed.map(({ text }) => text);
  const jump = "-A INPUT -j ampere\n";

  assert.deepEqual(passed(`-P INPUT DROP\n-N ampere\n${jump}-A INPUT -j ACCEPT\n`), []);
  assert.equal(jumpOf("-P INPUT ACCEPT\n-N ampere\n"), undefined);
  assert.equal(jumpOf("-A INPUT -j ampere2\n-A FORWARD -j ampere\n"), undefined);
  assert.equal(
    jumpOf('-A INPUT -m comment --comment "was -j ampere" -j other\n-A other -j RETURN\n'),
    undefined,
  );
  for (
    const broad of [
      "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-m state --state RELATED,ESTABLISHED -j ACCEPT",
      "-p udp -m udp --dport 5060 -j ACCEPT",
      "-p udp -m multiport --dports 22,5060 -j ACCEPT",
      "-p udp -m udp --dport 10000:20000 -j ACCEPT",
      "-p udp -j ACCEPT",
      "-i eth0 -j ACCEPT",
      "! -i lo -j ACCEPT",
      "! -s 192.168.0.0/16 -j ACCEPT",
      "-j ACCEPT",
    ]
  ) {
    assert.deepEqual(passed(`-A INPUT ${broad}\n${jump}`), [broad], broad);
  }
  for (
    const narrow of [
      "-i lo -j ACCEPT",
      "-s 192.168.0.0/16 -p udp -m udp --dport 5060 -j ACCEPT",
      "-p tcp -m tcp --dport 22 -j ACCEPT",
      "-p tcp -m multiport --dports 22,80,443 -j ACCEPT",
      "-p icmp -j ACCEPT",
      "-m set --match-set friends src -j ACCEPT",
      "-p udp -m udp --dport 5060 -j DROP",
      "-m comment --comment x",
    ]
  ) {
    assert.deepEqual(passed(`-A INPUT ${narrow}\n${jump}`), [], narrow);
  }
  const ufw = "-A INPUT -j ufw-before\n-A ufw-before -i lo -j ACCEPT\n" +
    "-A ufw-before -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A ufw-before -j ampere\n";
  const inUfw = jumpOf(ufw);
  assert.equal(inUfw?.chain, "ufw-before");
  assert.equal(inUfw?.passed.length, 1);
  assert.ok(isEstablished(inUfw!.passed[0]!));
  // What a chain for friends accepts does not concern strangers.
  assert.deepEqual(
    passed(`-A INPUT -s 10.0.0.0/8 -j friends\n-A friends -j ACCEPT\n${jump}`),
    [],
  );
  assert.deepEqual(passed(`-A INPUT -j open\n-A open -j ACCEPT\n${jump}`), ["-j ACCEPT"]);
  // Chains that call each other in a circle cannot be made with iptables, but must not hang this.
  assert.equal(jumpOf("-A INPUT -j a\n-A a -j b\n-A b -j a\n"), undefined);
});

Deno.test("check: a jump for some packets only, and a RETURN in front of it", () => {
  const jumpOf = (listing: string) => findJump(parseListing(listing), "INPUT", "ampere");
  for (
    const narrow of [
      "-p tcp -j ampere",
      "-i eth9 -j ampere",
      "-s 10.0.0.0/8 -j ampere",
      "! -s 10.0.0.0/8 -j ampere",
      "-d 192.0.2.1/32 -j ampere",
      "-p udp -m udp --dport 5060 -m limit --limit 1/min -j ampere",
      "-p udp -m udp --dport 5060 -j ampere",
      "-m conntrack --ctstate NEW -j ampere",
      '-m comment --comment "a -j b" -m string --string x --algo bm --to 65535 -j ampere',
    ]
  ) {
    assert.equal(jumpOf(`-A INPUT ${narrow}\n`)?.condition?.text, narrow);
    // A wider one, wherever it stands, makes it well.
    assert.equal(jumpOf(`-A INPUT ${narrow}\n-A INPUT -j ampere\n`)?.condition, undefined);
  }
  for (
    const whole of [
      "-j ampere",
      "-g ampere",
      "! -i lo -j ampere",
      '-m comment --comment "keeps guessers out" -j ampere',
      "-m comment --comment x -j ampere",
      "-m addrtype --dst-type LOCAL -j ampere",
    ]
  ) {
    const jump = jumpOf(`-A INPUT ${whole}\n`);
    assert.deepEqual([jump?.text, jump?.condition], [whole, undefined]);
  }
  const both = "-A INPUT -p udp -j ampere\n-A INPUT -p udp -j ACCEPT\n-A INPUT -p tcp -j ampere\n";
  assert.equal(jumpOf(both)?.condition, undefined, "UDP and TCP are all");
  assert.deepEqual(jumpOf(both)?.passed, []);
  assert.equal(
    jumpOf(
      "-A INPUT -p udp -m udp --dport 5060 -j ampere\n-A INPUT -p tcp -m tcp --dport 5061 -j ampere\n",
    )?.condition?.text,
    "-p udp -m udp --dport 5060 -j ampere",
  );
  // The condition may stand further in front.
  assert.equal(
    jumpOf("-A INPUT -p udp -j sip\n-A sip -j ampere\n")?.condition?.text,
    "-p udp -j sip",
  );

  const returned = (listing: string) => jumpOf(listing)?.passed.map(({ text }) => text);
  assert.deepEqual(returned("-A INPUT -j fw\n-A fw -p udp -j RETURN\n-A fw -j ampere\n"), [
    "-p udp -j RETURN",
  ]);
  assert.deepEqual(returned("-A INPUT -p udp -j RETURN\n-A INPUT -j ampere\n"), [
    "-p udp -j RETURN",
  ]);
  for (
    const harmless of [
      "-A INPUT -j fw\n-A fw -s 10.0.0.0/8 -j RETURN\n-A fw -j ampere\n",
      "-A INPUT -j fw\n-A fw -p udp -j RETURN\n-A INPUT -j ampere\n",
      "-A INPUT -j fw\n-A fw -p udp -j RETURN\n-A fw -j ampere\n-A INPUT -j ampere\n",
    ]
  ) {
    assert.deepEqual(returned(harmless), [], harmless);
  }
  // Chains that call others many times are given up at some time.
  const deep = Array.from({ length: 40 }, (_, i) => `-A c${i} -j c${i + 1}\n`.repeat(3)).join("");
  assert.equal(jumpOf(`-A INPUT -j c0\n${deep}-A c40 -j DROP\n`), undefined);
});

Deno.test("check: a finding is one line and its mend another, without control characters", () => {
  const finding = problem("config", 'a "quoted" \x1b[31m word', "chmod 600 /etc/a\\b");
  assert.equal(
    formatFinding(finding, PLAIN),
    'problem  config    a "quoted" \\x1b[31m word\n         fix: chmod 600 /etc/a\\b\n',
  );
  assert.ok(formatFinding(finding, COLOURED).startsWith("\x1b[31mproblem"));
});
