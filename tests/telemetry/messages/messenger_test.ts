/** What a messenger tells, when, and what becomes of what cannot be told. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Notice } from "../../../src/telemetry/notice.ts";
import type { Message, Sender, SendFailure } from "../../../src/telemetry/messages/message.ts";
import {
  LINES_MAX,
  LOST_MS,
  LOST_QUIETLY_MS,
  Messenger,
} from "../../../src/telemetry/messages/messenger.ts";
import { right } from "../../support/config_texts.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Noon, by this machine's clock. */
const NOON = new Date(2026, 10, 22, 12, 0).getTime();

function block(n: number, more: Partial<Notice & { event: "block" }> = {}): Notice {
  return {
    event: "block",
    time: new Date(NOON).toISOString(),
    target: `11.0.${n >> 8}.${n & 255}`,
    until: null,
    reason: '3 wrong passwords within 2 s, last account "a", 30 of 30 points',
    service: "PJSIP",
    transport: "UDP",
    account: "a",
    ...more,
  };
}

const LOST: Notice = {
  event: "firewall-lost",
  time: new Date(NOON).toISOString(),
  family: 4,
  inForce: "no",
  reason: "the chain is gone",
  advice: "iptables -N ampere",
};

const TIME = new Date(NOON).toISOString();
const AMI_LOST: Notice = { event: "ami-lost", time: TIME, reason: "Asterisk closed" };
const AMI_BACK: Notice = { event: "ami-connected", time: TIME };
const GUARDED: Notice = {
  event: "account-guarded",
  time: TIME,
  service: "PJSIP",
  account: "100",
  hosts: 10,
};

/** A messenger with a clock of its own, and what its sender was given. */
class Site implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly sent: Message[] = [];
  readonly lines: string[] = [];
  answer: (message: Message) => SendFailure | undefined = () => undefined;
  /** The server takes what is sent, and says nothing. */
  hangs = false;
  readonly messenger: Messenger;
  readonly #start: number;
  readonly #at: number;

  constructor(section: string[], at = NOON) {
    this.#at = at;
    this.#start = this.clock.now();
    const lines = ["[notify a]", "format = json", "url = https://example.org/", ...section];
    const sender: Sender = {
      shown: "https://example.org",
      send: async (message, signal) => {
        this.sent.push(message);
        await Promise.resolve();
        if (!this.hangs) return this.answer(message);
        return await new Promise((resolve) =>
          signal.addEventListener("abort", () => resolve({ why: "aborted" }))
        );
      },
      probe: () => Promise.resolve({ proven: "" }),
      [Symbol.dispose]: () => {},
    };
    this.messenger = new Messenger({
      config: right(lines.join("\n")).messengers[0]!,
      sender,
      log: { limited: (_cause, level, message) => void this.lines.push(`${level} ${message}`) },
      clock: this.clock,
      wallClock: () => this.#at + this.clock.now() - this.#start,
    });
  }

  /** Lets time pass. */
  pass(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  /** A message that was sent. */
  at(index: number): Message {
    return this.sent.at(index)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.messenger.stop(1);
    await this.pass(10);
    await stopped;
  }
}

Deno.test("messenger: blocks are told together after digest, with counts, once", async () => {
  await using site = new Site(["digest = 1h"]);
  const { messenger, sent } = site;
  for (let i = 0; i < 60; i++) {
    messenger.tell(block(i, {
      account: i < 40 ? "100" : `user${i}`,
      place: { country: i < 50 ? "NL" : "US", asn: 64_500, organisation: null, away: true },
    }));
  }
  messenger.tell({ event: "unblock", time: TIME, target: "11.0.0.1", reason: "over" });
  await site.pass(59 * MINUTE);
  deepStrictEqual(sent, []);
  await site.pass(2 * MINUTE);
  strictEqual(sent.length, 1);
  const { kind, title, lines, digest } = site.at(0);
  deepStrictEqual([kind, title], ["digest", "Ampere: 60 new blocks"]);
  match(lines[0]!, /^Since 2026-11-22 12:00:00: 60 new blocks, 1 ended$/);
  match(lines[1]!, /^Accounts: "100" 40, /);
  strictEqual(lines[2], "Countries: NL 50, US 10");
  strictEqual(lines[3], "The last 50 blocks:");
  match(lines[4]!, /^- 11\.0\.0\.59 \(US, AS64500, away\) for ever: 3 wrong passwords/);
  strictEqual(lines.length, 4 + 50 + 1);
  strictEqual(lines.at(-1), "and 10 blocks before: ampere -l lists them all");
  deepStrictEqual([digest!.blocks, digest!.last.length, digest!.accounts[0]], [60, 50, [
    "100",
    40,
  ]]);
  await site.pass(3 * HOUR);
  strictEqual(sent.length, 1);
  strictEqual(messenger.state.delivered, 1);
});

Deno.test("messenger: without digest blocks of strangers are not told", async () => {
  await using site = new Site(["digest = off"]);
  site.messenger.tell(block(1));
  await site.pass(HOUR);
  deepStrictEqual(site.sent, []);
});

Deno.test("messenger: what matters is told within seconds, together", async () => {
  await using site = new Site([]);
  const { messenger, sent } = site;
  const office = block(1, {
    reason: '9 wrong passwords, last account "a", 90 of 90 points (it had logged in before)',
  });
  messenger.tell(office);
  messenger.tell(GUARDED);
  await site.pass(5_000);
  strictEqual(sent.length, 1);
  deepStrictEqual(
    [site.at(0).kind, site.at(0).title],
    ["prompt", "Ampere: somebody who belongs here was blocked, and 1 more"],
  );
  deepStrictEqual(site.at(0).events, [office, GUARDED]);
  // A stranger cannot make an attack look so by the name of an account.
  messenger.tell(block(2, {
    reason: '3 wrong passwords, last account "x (it had logged in before)", 30 of 30 points',
  }));
  await site.pass(5_000);
  strictEqual(sent.length, 1);
});

Deno.test("messenger: the loss of Asterisk is told when it lasts, and then its end", async () => {
  await using site = new Site(["digest = off"]);
  const { messenger, sent } = site;
  messenger.tell(AMI_BACK);
  messenger.tell(AMI_LOST);
  await site.pass(LOST_MS - 2_000);
  messenger.tell(AMI_BACK);
  await site.pass(LOST_MS);
  deepStrictEqual(sent, []);
  messenger.tell(AMI_LOST);
  await site.pass(LOST_MS + 5_000);
  deepStrictEqual(sent.map(({ kind, title }) => `${kind} ${title}`), [
    "urgent Ampere: Asterisk's events do not arrive",
  ]);
  messenger.tell(AMI_BACK);
  await site.pass(30_000);
  strictEqual(site.at(1).title, "Ampere: Asterisk's events arrive again");
});

Deno.test("messenger: in quiet hours only what cannot wait is told, the rest behind them", async () => {
  const night = new Date(2026, 10, 22, 23, 0).getTime();
  await using site = new Site(["quiet = 22:00-07:00"], night);
  const { messenger, sent } = site;
  messenger.tell(GUARDED);
  messenger.tell(block(1));
  await site.pass(HOUR);
  deepStrictEqual(sent, []);
  messenger.tell(LOST);
  await site.pass(4_000);
  deepStrictEqual(sent.map(({ kind }) => kind), ["urgent"]);
  match(
    site.at(0).lines[0]!,
    /^IPv4: blocks are NOT in force: the chain is gone. Fix: iptables -N/,
  );
  messenger.tell(AMI_LOST);
  await site.pass(LOST_QUIETLY_MS - 5_000);
  strictEqual(sent.length, 1);
  await site.pass(10_000);
  strictEqual(sent.length, 2);
  await site.pass(6 * HOUR + 50 * MINUTE);
  strictEqual(sent.length, 2);
  await site.pass(10 * MINUTE);
  strictEqual(sent.length, 3);
  const { kind, lines, digest } = site.at(2);
  strictEqual(kind, "prompt");
  match(lines[0]!, /^10 hosts failed on account "100"/);
  strictEqual(digest!.blocks, 1);
});

Deno.test("messenger: what fails is tried again, later and later, and told as failing", async () => {
  await using site = new Site([]);
  const { messenger, sent, lines } = site;
  site.answer = () => ({ why: "HTTP 503", advice: "look at it" });
  messenger.tell(GUARDED);
  await site.pass(60_000);
  // After 0, 5, 15 and 35 s; each the same message.
  strictEqual(sent.length, 4);
  strictEqual(new Set(sent.map(({ id }) => id)).size, 1);
  strictEqual(messenger.state.trouble?.why, "HTTP 503");
  match(
    lines[0]!,
    /^warn \[notify a\] https:\/\/example.org did not take a message: HTTP 503\. Fix/,
  );
  site.answer = () => undefined;
  await site.pass(60_000);
  deepStrictEqual([messenger.state.trouble, messenger.state.waiting], [undefined, 0]);
  match(lines.at(-1)!, /works again$/);
});

Deno.test("messenger: a server that hangs is left after a minute, and at the end at once", async () => {
  const site = new Site([]);
  site.hangs = true;
  site.messenger.tell(GUARDED);
  await site.pass(61_000);
  deepStrictEqual(site.messenger.state.trouble, undefined);
  await site.pass(2_000);
  deepStrictEqual(site.messenger.state.trouble, { why: "no end within 60 s" });
  await site.pass(10_000);
  strictEqual(site.sent.length, 2);
  const stopped = site.messenger.stop(2_000);
  await site.pass(2_000);
  await stopped;
  strictEqual(site.messenger.state.dropped, 1);
});

Deno.test("messenger: a server that asks to be left alone is, also for what is urgent", async () => {
  await using site = new Site([]);
  const { messenger, sent } = site;
  site.answer = () => ({ why: "HTTP 429", retryAfterMs: 120_000 });
  messenger.tell(GUARDED);
  await site.pass(5_000);
  messenger.tell(LOST);
  await site.pass(110_000);
  strictEqual(sent.length, 1);
  site.answer = () => undefined;
  await site.pass(20_000);
  deepStrictEqual(sent.slice(1).map(({ kind }) => kind), ["urgent", "prompt"]);
});

Deno.test("messenger: what is urgent does not wait for the retry of something else", async () => {
  await using site = new Site([]);
  const { messenger, sent } = site;
  site.answer = ({ kind }) => kind === "urgent" ? undefined : { why: "HTTP 500" };
  messenger.tell(GUARDED);
  await site.pass(10 * MINUTE);
  const before = sent.length;
  messenger.tell(LOST);
  await site.pass(2_000);
  deepStrictEqual(sent.slice(before).map(({ kind }) => kind), ["urgent"]);
});

Deno.test("messenger: what waits is bounded, what was dropped is counted and told", async () => {
  await using site = new Site(["digest = off"]);
  const { messenger } = site;
  site.answer = () => ({ why: "HTTP 500" });
  messenger.tell(GUARDED);
  await site.pass(3_000);
  for (let i = 0; i < LINES_MAX + 25; i++) messenger.tell({ ...GUARDED, account: `${i}` });
  strictEqual(messenger.state.dropped, 25);
  strictEqual(messenger.state.waiting, LINES_MAX + 1);
  site.answer = () => undefined;
  await site.pass(2 * MINUTE);
  strictEqual(site.at(-1).lines.at(-1), "25 events before could not be told: see the log");
  strictEqual(site.at(-1).lines.at(-2), `and ${LINES_MAX - 50} more events: see the log`);
  strictEqual(messenger.state.waiting, 0);
  messenger.tell(GUARDED);
  await site.pass(5 * MINUTE);
  ok(!site.at(-1).lines.some((line) => line.includes("could not be told")));
});

Deno.test("messenger: what goes on is told in few messages, and all of it", async () => {
  await using site = new Site(["digest = off"]);
  const { messenger, sent } = site;
  for (let i = 0; i < 360; i++) {
    messenger.tell({ ...GUARDED, account: `${i}` });
    await site.pass(10_000);
  }
  await site.pass(HOUR);
  // After 0, 1, 3, 7, 15, 31 minutes and an hour.
  ok(sent.length >= 6 && sent.length <= 8, String(sent.length));
  const told = sent.reduce((sum, { events, lines }) => {
    const more = /^and (\d+) more/.exec(lines.at(-1)!)?.[1] ?? "0";
    return sum + events.length + Number(more);
  }, 0);
  strictEqual(told, 360);
  await site.pass(HOUR);
  messenger.tell(GUARDED);
  await site.pass(5_000);
  strictEqual(site.at(-1).events.length, 1);
  // So is a firewall that comes and goes.
  const before = sent.length;
  for (let i = 0; i < 60; i++) {
    messenger.tell(LOST);
    await site.pass(1_000);
  }
  ok(sent.length - before <= 3, String(sent.length - before));
});

Deno.test("messenger: what some have and others never will is not tried again", async () => {
  await using site = new Site(["digest = off"]);
  const { messenger, lines, sent } = site;
  site.answer = () => ({ why: "b@example.org was refused", lasting: true, taken: true });
  messenger.tell(GUARDED);
  await site.pass(HOUR);
  strictEqual(sent.length, 1);
  const { delivered, dropped, waiting, trouble } = messenger.state;
  deepStrictEqual([delivered, dropped, waiting], [1, 0, 0]);
  strictEqual(trouble?.why, "b@example.org was refused");
  match(lines.at(-1)!, /was refused\. The others have it; blocking is not affected$/);
  site.answer = () => undefined;
  messenger.tell(GUARDED);
  await site.pass(HOUR);
  deepStrictEqual([sent.length, messenger.state.trouble], [2, undefined]);
});

Deno.test("messenger: a message that is refused for hours is given up", async () => {
  await using site = new Site(["digest = off"]);
  const { messenger, lines } = site;
  site.answer = () => ({ why: "HTTP 403", lasting: true });
  messenger.tell(GUARDED);
  await site.pass(4 * HOUR);
  deepStrictEqual([messenger.state.dropped, messenger.state.waiting], [1, 0]);
  match(lines.at(-1)!, /HTTP 403\. 1 event not told; blocking is not affected$/);
});

Deno.test("messenger: at the end what waits is sent once", async () => {
  const site = new Site([]);
  site.messenger.tell(block(1));
  await site.pass(5_000);
  const stopped = site.messenger.stop(1_000);
  await site.pass(10);
  await stopped;
  deepStrictEqual(site.sent.map(({ digest }) => digest?.blocks), [1]);
  site.messenger.tell(GUARDED);
  await site.pass(5_000);
  strictEqual(site.sent.length, 1);
});
