/** What `--check` finds of Asterisk where a real one can't show it; tests/live has the others. */

import assert from "node:assert/strict";
import { AddressSet } from "../../../src/address/address_set.ts";
import { checkAsterisk, FILTER } from "../../../src/commands/check/asterisk.ts";
import type { Finding } from "../../../src/commands/check/finding.ts";
import { type Config, DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { EVENT_TYPES, SecurityEvent } from "../../../src/ami/event.ts";
import { PenaltyTable } from "../../../src/penalties/penalty_table.ts";
import { POLICY } from "../../support/table_bench.ts";
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

Deno.test("check asterisk: an unfiltered user is well", async () => {
  const { findings, actions } = await findingsFor({});
  assert.deepEqual(worst(findings), []);
  assert.match(findings.map(({ message }) => message).join("\n"), /and InvalidPassword arrive/);
  assert.equal(actions.filter((action) => action.startsWith("Login")).length, 5);
});

Deno.test("check asterisk: the filter that it recommends is that of the documentation", async () => {
  for (const file of ["docs/by-hand.md", "docs/threat-model.md"]) {
    const text = await Deno.readTextFile(new URL(`../../../${file}`, import.meta.url));
    const filters = text.match(/^ *eventfilter = .*$/gm)?.map((line) => line.trim());
    assert.deepEqual(filters, [FILTER], file);
  }
});

Deno.test("check asterisk: that filter lets through what costs something, so that replay and daemon agree", () => {
  const filter = new RegExp(FILTER.replace("eventfilter = ", ""));
  const charged = new Set<string>();
  for (const { kind, service } of EVENT_TYPES) {
    if (kind === "RefusedMessage" || kind === "Reported") continue;
    const table = new PenaltyTable(POLICY);
    for (let i = 1; i <= 3; i++) {
      const event = new SecurityEvent();
      const once = { session: i, answer: i, hasAnswer: true, anonymous: true, host: 1 };
      table.record(Object.assign(event, { kind, service, ...once }), i);
    }
    table.advance(POLICY.patienceMs + 10);
    const watched = table.worst(1, POLICY.patienceMs + 10).some(({ points }) => points > 0);
    if (watched || table.takeOffences().length > 0) charged.add(kind);
  }
  for (const kind of ["ChallengeSent", "InvalidAccountID", "RequestNotAllowed"]) {
    assert.ok(charged.has(kind), kind);
  }
  for (const kind of [...charged, "SuccessfulAuth", "Shutdown"]) {
    assert.match(`Event: ${kind}\r\nPrivilege: security,all\r\n`, filter);
  }
  assert.match("Event: UserEvent\r\nPrivilege: user,all\r\n", filter);
  assert.doesNotMatch("Event: PeerStatus\r\nEvent: SuccessfulAuth\r\n", filter);
});

Deno.test("check asterisk: a wrong secret and an unknown user are problems, and nothing more is tried", async () => {
  for (const config of [{ pass: "wrong" }, { user: "nobody" }]) {
    const { findings, actions } = await findingsFor({ config });
    assert.deepEqual(findings.map(({ level }) => level), ["problem"]);
    assert.match(findings[0]!.message, /refused: Authentication failed/);
    assert.ok(!JSON.stringify(findings).includes("correct"));
    assert.equal(actions.length, 1);
  }
});

Deno.test("check asterisk: logins that are not answered accuse no filter", async () => {
  const { findings } = await findingsFor({ sessionsMax: 1 });
  const [finding, ...rest] = worst(findings);
  assert.deepEqual(rest, []);
  assert.equal(finding?.level, "warning");
  assert.match(finding.message, /could not be tried: the connection was closed/);
});

Deno.test("check asterisk: no login fails on purpose from an address that may be blocked", async () => {
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

Deno.test("check asterisk: a server that is not AMI, and one that is not there", async () => {
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

Deno.test("check asterisk: a server that speaks HTTP is told from AMI", async () => {
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
