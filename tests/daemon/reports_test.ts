/** What the daemon tells the outside: notices, the hosts under suspicion, the status. */

import assert from "node:assert/strict";
import { formatMetrics } from "../../src/telemetry/metrics.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import { formatStatus } from "../../src/commands/status.ts";
import { PLAIN } from "../../src/text/table.ts";
import { remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { ADDRESS, withDaemon } from "../support/daemons.ts";
import { until } from "../support/namespace.ts";

Deno.test("reports: attempts under way when a host was blocked are counted and told", async () => {
  await withDaemon({}, async (daemon, asterisk, _notices, lines) => {
    await asterisk.send(Array.from({ length: 10 }, () => wrongAnswer(ADDRESS)).join(""));
    await until(
      "they are told",
      () => lines.some((line) => line.includes("under way when it was")),
    );
    assert.ok(
      lines.some((line) =>
        line.startsWith(`info: ${ADDRESS} had 7 more failed attempts under way`)
      ),
      lines.join("\n"),
    );
    assert.equal(daemon.counters.lateAttempts, 7);
    assert.equal(statusOf(daemon, Date.now()).events.late, 7);
    assert.match(formatMetrics(daemon), /^ampere_late_attempts_total 7$/m);
  });
});

Deno.test("reports: failures behind an address that is never blocked are counted by cause, and told with what helps", async () => {
  await withDaemon({ trust: ["198.51.100.7"] }, async (daemon, asterisk, _notices, lines) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer("127.0.0.1"));
    await asterisk.send(wrongAnswer("198.51.100.7"));
    await until("all is read", () => daemon.counters.eventsTotal >= 4);
    await until(
      "it is told",
      () => lines.some((line) => line.includes("which is never blocked")),
      15_000,
    );
    assert.deepEqual(Object.fromEntries(daemon.counters.exemptFailures), {
      loopback: 3,
      trusted: 1,
    });
    const told = lines.filter((line) => line.includes("which is never blocked"));
    assert.equal(told.length, 2);
    assert.match(
      told[0]!,
      /^warn: 3 failed logins from 127\.0\.0\.1, .*\(loopback\).*host networking/,
    );
    assert.ok(!/trust =/.test(told.join()), "to trust a proxy is never the advice");
    assert.match(formatMetrics(daemon), /^ampere_exempt_failures_total\{cause="loopback"\} 3$/m);
    assert.deepEqual(statusOf(daemon, Date.now()).events.exemptFailures, {
      loopback: 3,
      trusted: 1,
    });
  });
});

Deno.test("reports: an account that comes under guard is told once, in the log, the status, the metrics and to the webhook", async () => {
  const changes = { guardHosts: 3, guardWindow: 60 };
  await withDaemon(changes, async (daemon, asterisk, notices, lines) => {
    const account = "1\x1b[2J00";
    for (let n = 1; n <= 5; n++) await asterisk.send(wrongAnswer(`198.51.100.${n}`, { account }));
    await until("it is told", () => lines.some((line) => line.includes("is guarded")));
    const told = lines.filter((line) => line.includes("is guarded"));
    assert.equal(told.length, 1, told.join("\n"));
    assert.match(
      told[0]!,
      /^warn: account "1\\x1b\[2J00" \(PJSIP\) is guarded: 3 hosts that never logged in failed on it within 1 min\. /,
    );
    await until("all are blocked", () => daemon.list.size === 3);
    assert.deepEqual(
      notices.filter(({ event }) => event === "account-guarded").map((notice) => ({
        ...notice,
        time: "",
      })),
      [{ event: "account-guarded", time: "", service: "PJSIP", account, hosts: 3 }],
    );
    const status = statusOf(daemon, Date.now());
    const { longest, ...counts } = status.guard;
    assert.deepEqual(counts, { accounts: 1, begun: 1, blocked: 3 });
    assert.deepEqual(longest.map(({ since: _, ...one }) => one), [
      { service: "PJSIP", account, blocked: 3 },
    ]);
    assert.ok(Math.abs(Date.parse(longest[0]!.since) - Date.now()) < 60_000);
    assert.match(
      formatStatus(status, Date.now(), PLAIN),
      /^Accounts .*guarded: "1\\x1b\[2J00" \(PJSIP\) for .*, 3 hosts blocked for it$/m,
    );
    const metrics = formatMetrics(daemon);
    assert.match(metrics, /^ampere_accounts_guarded 1$/m);
    assert.match(metrics, /^ampere_account_guards_total 1$/m);
    assert.match(metrics, /^ampere_guard_blocks_total 3$/m);
    // With another number all begin anew: its guard is over.
    daemon.reconfigure({ ...daemon.config, guardHosts: 9 });
    await until("the end is told", () => notices.at(-1)?.event === "account-guard-over");
    const { time: _, ...over } = notices.at(-1)!;
    assert.deepEqual(over, {
      event: "account-guard-over",
      service: "PJSIP",
      account,
      blocked: 3,
    });
    assert.ok(
      lines.some((line) => line.endsWith("is not guarded any more; 3 blocks were made for it")),
    );
  });
});

Deno.test("reports: of names that somebody makes up twenty are told in a minute", async () => {
  await withDaemon({ guardHosts: 1 }, async (daemon, asterisk, notices, lines) => {
    const wrong = (n: number) =>
      wrongAnswer(`198.51.100.${n}`, { service: "SIP", account: `made up ${n} `.repeat(30) });
    await asterisk.send(Array.from({ length: 30 }, (_, n) => wrong(n)).join(""));
    await until("all are guarded", () => daemon.table.guard.guarded === 30);
    await until("it is told", () => lines.some((line) => line.includes("made names up")));
    assert.equal(lines.filter((line) => line.includes("is guarded: 1 host ")).length, 20);
    assert.equal(notices.filter(({ event }) => event === "account-guarded").length, 20);
    assert.equal(lines.filter((line) => line.includes("made names up")).length, 1, "once a minute");
  });
});

Deno.test("reports: a network that is blocked for its hosts stands in the status and the metrics", async () => {
  await withDaemon({ neighbours: 3, guardHosts: 0 }, async (daemon, asterisk) => {
    for (const n of [1, 2, 3]) {
      for (let i = 0; i < 3; i++) {
        const address = `203.0.113.${n}`;
        await asterisk.send(wrongAnswer(address, { remote: remoteOf(address, "TLS") }));
      }
    }
    await until("it is blocked", () => daemon.list.get("203.0.113.0/24") !== undefined);
    // Whoever is in it is blocked already.
    await asterisk.send(wrongAnswer("203.0.113.99"));
    await until("all is read", () => daemon.counters.eventsTotal >= 10);
    const status = statusOf(daemon, Date.now());
    assert.equal(status.blocks.networks, 1);
    assert.deepEqual(status.hosts.worst, []);
    assert.match(
      formatStatus(status, Date.now(), PLAIN),
      /^Blocks +4 blocks, 1 network for the hosts inside; /m,
    );
    const metrics = formatMetrics(daemon);
    assert.match(metrics, /^ampere_networks_blocked 1$/m);
    assert.match(metrics, /^ampere_networks_blocked_total 1$/m);
  });
});

Deno.test("reports: a host that logs in and fails on accounts of others is told once, everywhere", async () => {
  await withDaemon({}, async (daemon, asterisk, notices, lines) => {
    const office = "198.51.100.10";
    for (let n = 0; n < 16; n++) {
      await asterisk.send(successfulAuth(office, { account: "666" }));
      for (let guess = 0; guess < 2; guess++) {
        await asterisk.send(wrongAnswer(office, { account: "1\x1b[2J00" }));
      }
    }
    await until("it is told", () => lines.some((line) => line.includes("never logged in from")));
    const told = lines.filter((line) => line.includes("never logged in from"));
    assert.equal(told.length, 1, told.join("\n"));
    assert.match(
      told[0]!,
      /^warn: 198\.51\.100\.10, which logged in as "666", failed more than 30 times within a day on account "1\\x1b\[2J00" \(PJSIP\), .* Ask the owner of the account that logs in/,
    );
    const [notice] = notices.filter(({ event }) => event === "insider");
    assert.deepEqual({ ...notice, time: "" }, {
      event: "insider",
      time: "",
      host: office,
      login: "666",
      service: "PJSIP",
      account: "1\x1b[2J00",
      accounts: 1,
      likePhones: false,
    });
    const status = statusOf(daemon, Date.now());
    assert.equal(status.insiders.found, 1);
    assert.ok(Math.abs(Date.parse(status.insiders.last[0]!.at) - Date.now()) < 60_000);
    assert.match(
      formatStatus(status, Date.now(), PLAIN),
      /^Insiders .*198\.51\.100\.10, logged in as "666", fails on "1\\x1b\[2J00" \(PJSIP\): told .* ago; ask its owner$/m,
    );
    assert.match(formatMetrics(daemon), /^ampere_insiders_total 1$/m);
    assert.equal(daemon.list.get(office), undefined, "it is told, not blocked");
  });
});
