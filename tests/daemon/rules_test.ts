/**
 * Rules of the daemon that only show at the edge: a process that stood still, a new prefix, what
 * the log must not show.
 */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import type { Connection } from "../../src/ami/client.ts";
import type { Clock } from "../../src/clock.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Daemon, type DaemonParts } from "../../src/daemon/daemon.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import {
  BANNER,
  bytesOf,
  challengeSent,
  remoteOf,
  successfulAuth,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { FakeClock, settled } from "../support/fake_clock.ts";
import { logWithLines } from "../support/log_lines.ts";
import { until } from "../support/namespace.ts";

const ADDRESS = "203.0.113.9";

/** A daemon that blocks nowhere, and the lines of its log. */
function daemonWith(parts: Partial<DaemonParts>): { daemon: Daemon; lines: string[] } {
  const { log, lines } = logWithLines(parts.verbose === true ? "debug" : "info");
  const daemon = new Daemon({
    config: DEFAULT_CONFIG,
    list: new DryRunBlockList("(memory)"),
    backends: [],
    log,
    exempt: (trust) => new AddressSet(trust),
    ...parts,
  });
  return { daemon, lines };
}

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
  assert.deepEqual([daemon.list.size, daemon.worstHosts(1).filter(({ points }) => points > 0)], [
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

async function withAsterisk(
  parts: Partial<DaemonParts>,
  run: (daemon: Daemon, asterisk: FakeAsterisk, lines: readonly string[]) => Promise<void>,
): Promise<void> {
  await using asterisk = new FakeAsterisk({
    users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
  });
  const { daemon, lines } = daemonWith({
    ...parts,
    config: { ...DEFAULT_CONFIG, port: asterisk.port },
  });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  try {
    await until("it is logged in", () => daemon.connectedSince !== undefined);
    await run(daemon, asterisk, lines);
  } finally {
    stop.abort();
    await running;
  }
}

Deno.test("daemon: -v does not show the hash that Asterisk expected, which is as good as the password", async () => {
  await withAsterisk({ verbose: true }, async (_daemon, asterisk, lines) => {
    const hash = "d4b6de15c25c11a8107855eb62db3bc6";
    const failed = (account: string) =>
      wrongAnswer(ADDRESS, {
        kind: "ChallengeResponseFailed",
        service: "AMI",
        account,
        tail: [["Challenge", "142857"], ["Response", "f00"], ["ExpectedResponse", hash]],
      });
    // The second one has such a line of a stranger, too.
    await asterisk.send(failed("boss") + failed("boss\r\nExpectedResponse: x"));
    const shown = () => lines.filter((line) => line.includes("142857"));
    await until("both are read", () => shown().length >= 2);
    for (const line of shown()) assert.match(line, /ExpectedResponse: \(not shown\)/);
    assert.ok(lines.every((line) => !line.includes(hash)), lines.join("\n"));
  });
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
