/** The daemon as a whole, with an imitation of Asterisk. */

import assert from "node:assert/strict";
import { exemptAddresses } from "../../src/address/exempt.ts";
import type { Connection } from "../../src/ami/client.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import type { Clock } from "../../src/clock.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import type { Notice } from "../../src/telemetry/notice.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import {
  BANNER,
  bytesOf,
  challengeSent,
  remoteOf,
  successfulAuth,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { ADDRESS, daemonWith, withAsterisk, withDaemon } from "../support/daemons.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { FakeClock, settled } from "../support/fake_clock.ts";
import { logWithLines } from "../support/log_lines.ts";
import { until } from "../support/namespace.ts";

function events(notices: readonly Notice[]): string[] {
  return notices.map((notice) =>
    `${notice.event} ${"target" in notice ? notice.target : ""}`.trim()
  );
}

Deno.test("daemon: a block, its end, and the loss of Asterisk are reported, each once", async () => {
  await withDaemon({ bantime: 1 }, async (daemon, asterisk, notices) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
    const told = () => notices.find((notice) => notice.event === "block");
    await until("the host is blocked, and told of", () => told() !== undefined);
    const block = told()!;
    assert.equal(block.target, ADDRESS);
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

Deno.test("daemon: who is blocked with their network is not shown as not blocked yet", async () => {
  await withDaemon({}, async (daemon, asterisk) => {
    for (let i = 1; i <= 3; i++) await asterisk.send(wrongAnswer(`2001:db8:0:1::${i}`));
    await asterisk.send(wrongAnswer("2001:db8:0:2::1"));
    await until("all is read", () => daemon.counters.eventsTotal >= 4);
    await until("it is blocked", () => daemon.list.get("2001:db8:0:1::/64") !== undefined);
    assert.deepEqual(daemon.inquiry.worst(10).map(({ host }) => host), ["2001:db8:0:2::1"]);
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
        assert.equal(daemon.inquiry.worst(1)[0]?.points ?? 0, points);
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

/** Asterisk's end of a connection in memory, which accepts every login. */
class Line implements Connection {
  readonly #queue: Uint8Array[] = [bytesOf(BANNER)];
  #wake = () => {};
  #closed = false;

  say(text: string): void {
    this.#queue.push(bytesOf(text));
    this.#wake();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#queue.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#queue.shift();
    if (chunk === undefined) return null;
    into.set(chunk);
    return chunk.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    const id = /ActionID: (.*)\r\n/.exec(String.fromCharCode(...bytes))?.[1];
    this.say(`Response: Success\r\nActionID: ${id}\r\nMessage: x\r\n\r\n`);
    return Promise.resolve(bytes.length);
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }
}

Deno.test("daemon: after a standstill the answers that wait unread are read before a lapse is charged", async () => {
  const time = new FakeClock();
  let stoodStill = 0;
  const clock: Clock = {
    now: () => time.now() + stoodStill,
    after: (ms, run) => time.after(ms, run),
    soon: (run) => time.soon(run),
  };
  const line = new Line();
  const { daemon } = daemonWith({ clock, ami: { connect: () => Promise.resolve(line) } });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  await time.advance(1_000);
  assert.ok(daemon.connectedSince !== undefined);
  for (let i = 0; i < 12; i++) line.say(challengeSent(ADDRESS));
  await time.advance(1_000);
  assert.equal(daemon.table.waiting, 12);
  stoodStill = 6_000;
  await time.advance(250);
  assert.equal(daemon.table.waiting, 12, "nothing is charged yet");
  line.say(successfulAuth(ADDRESS));
  await settled();
  await time.advance(10_000);
  assert.deepEqual([daemon.list.size, daemon.inquiry.worst(1).filter(({ points }) => points > 0)], [
    0,
    [],
  ]);
  // Without a standstill they are charged.
  for (let i = 0; i < 12; i++) line.say(challengeSent("203.0.113.10"));
  await time.advance(10_000);
  assert.equal(daemon.table.waiting, 0);
  stop.abort();
  await time.advance(1_000);
  await running;
});

Deno.test("daemon: a new ipv6_prefix also holds for those who are in good standing already", async () => {
  await withAsterisk({}, async (daemon, asterisk) => {
    await asterisk.send(successfulAuth("2001:db8:1::1"));
    await until("it is in good standing", () => daemon.table.standingSize === 1);
    daemon.reconfigure({ ...daemon.config, ipv6Prefix: 64 });
    // In each network several, who prove their addresses by answering over TCP.
    for (let i = 0; i < 12; i++) {
      for (const network of ["2001:db8:1::", "2001:db8:2::"]) {
        const guesser = `${network}${2 + i % 4}`;
        await asterisk.send(wrongAnswer(guesser, { remote: remoteOf(guesser, "TCP") }));
      }
    }
    await until("the other network is blocked", () => daemon.list.size > 0);
    await until("all is read", () => daemon.counters.eventsTotal >= 25);
    assert.ok(daemon.list.get("2001:db8:2::/64") !== undefined);
    assert.equal(daemon.list.get("2001:db8:1::/64"), undefined, "a phone is in it");
  });
});
