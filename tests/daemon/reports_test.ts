/** What the daemon tells the outside: notices, the hosts under suspicion, the status. */

import assert from "node:assert/strict";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import { exemptAddresses } from "../../src/address/exempt.ts";
import { formatMetrics } from "../../src/telemetry/metrics.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import type { Notice } from "../../src/telemetry/notice.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import { challengeSent, wrongAnswer } from "../support/asterisk_events.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { logWithLines } from "../support/log_lines.ts";
import { until } from "../support/namespace.ts";

const ADDRESS = "203.0.113.9";

async function withDaemon(
  changes: Partial<Config>,
  run: (
    daemon: Daemon,
    asterisk: FakeAsterisk,
    notices: Notice[],
    lines: string[],
  ) => Promise<void>,
  dryRun = false,
  bornAt?: number,
): Promise<void> {
  await using asterisk = new FakeAsterisk({
    users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
  });
  const notices: Notice[] = [];
  const { log, lines } = logWithLines();
  const daemon = new Daemon({
    config: { ...DEFAULT_CONFIG, port: asterisk.port, ...changes },
    list: new DryRunBlockList("(memory)"),
    backends: [],
    log,
    exempt: (trust) => exemptAddresses(trust),
    notify: (notice) => void notices.push(notice),
    dryRun,
    bornAt,
  });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  try {
    await until("it is logged in", () => daemon.connectedSince !== undefined);
    await run(daemon, asterisk, notices, lines);
  } finally {
    stop.abort();
    assert.equal(await running, 0);
  }
}

function events(notices: readonly Notice[]): string[] {
  return notices.map((notice) =>
    `${notice.event} ${"target" in notice ? notice.target : ""}`.trim()
  );
}

Deno.test("daemon: a block, its end, and the loss of Asterisk are reported, each once", async () => {
  await withDaemon({ bantime: 1 }, async (daemon, asterisk, notices) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
    await until("the host is blocked", () => daemon.list.size === 1);
    const block = notices.find((notice) => notice.event === "block");
    assert.equal(block?.target, ADDRESS);
    assert.equal(Date.parse(block.until!) - Date.parse(block.time), 1_000);
    assert.match(block.reason, /^3 wrong passwords within 1 s, PJSIP over UDP/);
    await until("its time is over", () => daemon.list.size === 0);
    asterisk.dropAll();
    await until("it is back", () => daemon.counters.logins === 2);
    assert.deepEqual(events(notices), [
      "ami-connected",
      `block ${ADDRESS}`,
      `unblock ${ADDRESS}`,
      "ami-lost",
      "ami-connected",
    ]);
    assert.equal(daemon.counters.losses, 1);
  });
});

Deno.test("daemon: the status shows who is under suspicion, and not who is blocked", async () => {
  await withDaemon({}, async (daemon, asterisk) => {
    for (let i = 0; i < 2; i++) await asterisk.send(wrongAnswer("198.51.100.7"));
    for (let i = 0; i < 4; i++) await asterisk.send(wrongAnswer(ADDRESS));
    await until("all is read", () => daemon.counters.eventsTotal >= 6);
    await until("one is blocked", () => daemon.list.size === 1);
    const now = Date.now();
    const status = statusOf(daemon, now);
    assert.deepEqual(status.hosts.worst.map(({ host, points }) => [host, points]), [[
      "198.51.100.7",
      10,
    ]]);
    assert.ok(Math.abs(Date.parse(status.hosts.worst[0]!.lastAt) - now) < 5_000);
    assert.deepEqual(status.blocks.last.map(({ target }) => target), [ADDRESS]);
    assert.ok(status.asterisk.connectedSince !== null);
  });
});

Deno.test("daemon: a trusted host's block ends, and that is reported", async () => {
  await withDaemon({}, async (daemon, asterisk, notices) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
    await until("the host is blocked", () => daemon.list.size === 1);
    daemon.reconfigure({ ...daemon.config, trust: ["203.0.113.0/24"] });
    assert.deepEqual(notices.at(-1), {
      event: "unblock",
      time: notices.at(-1)!.time,
      target: ADDRESS,
      reason: "trusted now",
    });
  });
});

Deno.test("daemon: a blocked network around a host that is trusted now stays, which is told once", async () => {
  await withDaemon({}, (daemon, _asterisk, notices, lines) => {
    daemon.list.add([{
      target: "203.0.113.0/24",
      since: Date.now(),
      until: undefined,
      reason: "by hand",
      service: "",
      transport: "",
      account: "",
    }], Date.now());
    for (let i = 0; i < 2; i++) {
      daemon.reconfigure({ ...daemon.config, trust: ["203.0.113.7", "198.51.100.0/24"] });
    }
    assert.equal(daemon.list.size, 1);
    assert.deepEqual(notices.filter(({ event }) => event === "unblock"), []);
    const told = lines.filter((line) => line.includes("stays blocked"));
    assert.equal(told.length, 1, lines.join());
    assert.match(told[0]!, /203\.0\.113\.0\/24 stays blocked, but lets through 203\.0\.113\.7,/);
    daemon.reconfigure({ ...daemon.config, trust: ["203.0.112.0/23"] });
    assert.equal(daemon.list.size, 0);
    return Promise.resolve();
  });
});

Deno.test("daemon: in a dry run the log says what would be done", async () => {
  await withDaemon({}, async (daemon, asterisk, _notices, lines) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
    await until("the host would be blocked", () => daemon.list.size === 1);
    assert.ok(
      lines.some((line) =>
        line.startsWith(`info: dry run: would block ${ADDRESS} until `) &&
        line.endsWith("(in doubt: its address can be forged)")
      ),
      lines.join("\n"),
    );
  }, true);
});

Deno.test("daemon: a stranger who writes Shutdown cannot fill the log", async () => {
  await withDaemon({}, async (daemon, asterisk, _notices, lines) => {
    const shutdown =
      "Event: Shutdown\r\nPrivilege: system,all\r\nShutdown: Cleanly\r\nRestart: False\r\n\r\n";
    await asterisk.send(shutdown.repeat(100) + wrongAnswer(ADDRESS));
    await until("all is read", () => daemon.counters.events.has("ChallengeResponseFailed PJSIP"));
    assert.equal(lines.filter((line) => line.includes("shuts down")).length, 1);
  });
});

Deno.test("daemon: a phone that answers fifteen times at once is blocked for a minute, not for its haste", async () => {
  await withDaemon({}, async (daemon, asterisk, notices) => {
    const session = "call-of-the-phone";
    const answers = Array.from({ length: 15 }, () => wrongAnswer(ADDRESS, { session }));
    await asterisk.send(answers.join(""));
    await until("the host is blocked", () => daemon.list.size === 1);
    const block = notices.find((notice) => notice.event === "block");
    assert.equal(Date.parse(block!.until!) - Date.parse(block!.time), 60_000);
    assert.match(block!.reason, /^3 wrong passwords .* \(in doubt/);
  });
});

Deno.test("daemon: attempts under way when a host was blocked are counted and told", async () => {
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

Deno.test("daemon: who is blocked with their network is not shown as not blocked yet", async () => {
  await withDaemon({}, async (daemon, asterisk) => {
    for (let i = 1; i <= 3; i++) await asterisk.send(wrongAnswer(`2001:db8:0:1::${i}`));
    await asterisk.send(wrongAnswer("2001:db8:0:2::1"));
    await until("all is read", () => daemon.counters.eventsTotal >= 4);
    await until("it is blocked", () => daemon.list.get("2001:db8:0:1::/64") !== undefined);
    assert.deepEqual(daemon.worstHosts(10).map(({ host }) => host), ["2001:db8:0:2::1"]);
  });
});

Deno.test("daemon: failures behind an address that is never blocked are counted by cause, and told with what helps", async () => {
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

Deno.test("daemon: with a new list silence costs nothing, with one of yesterday it does", async () => {
  for (const [bornAt, points] of [[Date.now(), 0], [Date.now() - 86_400_000, 4]] as const) {
    await withDaemon(
      { patience: 1 },
      async (daemon, asterisk, _notices, lines) => {
        await asterisk.send(challengeSent(ADDRESS));
        await until("it is read", () => daemon.table.waiting === 1);
        await until("the patience is over", () => daemon.table.waiting === 0);
        assert.equal(daemon.worstHosts(1)[0]?.points ?? 0, points);
        assert.equal(
          lines.some((line) => line.includes("the list of blocks is new")),
          points === 0,
        );
      },
      false,
      bornAt,
    );
  }
});

Deno.test("daemon: a new list knows who is registered, and a password in Asterisk's answer is never shown", async () => {
  await using asterisk = new FakeAsterisk({
    users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
    lists: {
      PJSIPShowContacts: [
        `Event: ContactList\r\nUri: sip:100@${ADDRESS}:5060\r\nExpirationTime: 1795336477\r\nEndpoint: 100`,
      ],
      PJSIPShowEndpoint: [
        "Event: EndpointDetail\r\nObjectName: 100\r\nRewriteContact: true",
        "Event: AuthDetail\r\nObjectName: 100\r\nUsername: 100\r\nPassword: sesame",
      ],
    },
  });
  const { log, lines } = logWithLines("debug");
  const daemon = new Daemon({
    config: { ...DEFAULT_CONFIG, port: asterisk.port },
    list: new DryRunBlockList("(memory)"),
    backends: [],
    log,
    exempt: (trust) => exemptAddresses(trust),
    verbose: true,
    bornAt: Date.now(),
  });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  try {
    await until(
      "it is told",
      () => lines.some((line) => line.includes("Asterisk names 1 address of registered phones")),
    );
    assert.equal(daemon.table.standingSize, 1);
    assert.deepEqual(daemon.table.takeLogins(), [], "nothing is saved before a login");
    assert.ok(lines.some((line) => line.includes("an entry of a list (not shown)")));
    assert.doesNotMatch(lines.join("\n"), /sesame/);
  } finally {
    stop.abort();
    assert.equal(await running, 0);
  }
});
