/**
 * What is fuzzed, and what must hold for every input.
 *
 * @module
 */

import assert from "node:assert/strict";
import { isIP } from "node:net";
import {
  contains,
  familyOf,
  networkOf,
  overlaps,
  parseAddress,
  parseTarget,
} from "../../src/address/address.ts";
import { EventReader, type EventReaderHandlers } from "../../src/ami/event_reader.ts";
import {
  Framer,
  latin1,
  MESSAGE_BYTES_MAX,
  READ_BYTES_MIN,
  REMOTE_BYTES_MAX,
} from "../../src/ami/framer.ts";
import { parseAhead, parseMessage } from "../../src/ami/parser.ts";
import { SecurityEvent, TEXT_CHARACTERS_MAX } from "../../src/ami/event.ts";
import { LogClock } from "../../src/ami/log_time.ts";
import { SecurityLogReader } from "../../src/ami/security_log.ts";
import { Tail } from "../../src/logs/tail.ts";
import { parseBlockLine } from "../../src/blocks/block_input.ts";
import { readEvidence } from "../../src/blocks/evidence.ts";
import { readPoints } from "../../src/blocks/kept_points.ts";
import type { Known } from "../../src/commands/why/facts.ts";
import { formatWhy, formatWhyJson } from "../../src/commands/why/text.ts";
import { PLAIN } from "../../src/text/table.ts";
import { formatBlock, formatBlockJson } from "../../src/blocks/block_lines.ts";
import { boundedNew } from "../../src/blocks/block.ts";
import { describeConfig } from "../../src/config/config.ts";
import { formatProblem, parseConfig } from "../../src/config/parse.ts";
import { TRUST_MAX, TRUST_NAMES_MAX } from "../../src/config/trust_file.ts";
import { isSafeTarget } from "../../src/firewall/backend.ts";
import { readTarget } from "../../src/firewall/chain.ts";
import { escapeText } from "../../src/text/escape.ts";
import { CHALLENGE_POINTS } from "../../src/penalties/hosts.ts";
import { type EventFields, printEvent } from "../support/asterisk_events.ts";
import type { Dice } from "../simulation/dice.ts";
import { MemoryFiles } from "../support/memory_files.ts";
import { TableBench } from "../support/table_bench.ts";
import {
  ADDRESSES,
  BLOCK_LINES,
  CONFIGS,
  LOG_LINES,
  MESSAGES,
  SPLINTERS,
  STREAMS,
} from "./corpus.ts";
import { mutate } from "./mutate.ts";
import { monitorTarget, nftMessageTarget } from "./nftables.ts";

/** Something that takes input from outside. */
export interface Target {
  readonly name: string;
  /** How many of a hundred inputs it gets. */
  readonly share: number;
  /** Makes an input; one character a byte. */
  make(dice: Dice): string;
  /**
   * Tries it.
   *
   * @param input One character a byte.
   * @param dice For what is free, such as where the input is cut.
   * @throws If something does not hold.
   */
  check(input: string, dice: Dice): void;
}

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

/** An address that Ampere would block. */
function assertBlockable(address: string): void {
  assert.equal(parseAddress(address), address, `${address} is not canonical`);
  assert.equal(parseTarget(address), address);
  assert(isSafeTarget(address, familyOf(address)), `${address} is not safe`);
}

/** One byte for each character. */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Compares long lists; the usual comparison only shows where they differ. */
function assertSame(actual: readonly string[], expected: readonly string[], why: string): void {
  if (actual.join("\0") !== expected.join("\0")) assert.deepEqual(actual, expected, why);
}

// Framer

interface Framed {
  /** The banner, the messages, and `(oversized)`. */
  readonly parts: string[];
  lastOffset: number;
  readonly input: string;
}

let framed: Framed = { parts: [], lastOffset: -1, input: "" };
/** One for all inputs, as there is one for many messages. */
let framer = newFramer();

function newFramer(): Framer {
  return new Framer({
    banner: (line) => void framed.parts.push(line),
    message: (buffer, start, end, offset) => {
      const message = latin1(buffer, start, end);
      assert(end - start <= MESSAGE_BYTES_MAX);
      assert(message.endsWith("\r\n") && !message.includes("\r\n\r\n"));
      assert(offset > framed.lastOffset, "messages out of order");
      framed.lastOffset = offset;
      assert(framed.input.startsWith(message, offset), "not what was sent");
      framed.parts.push(message);
    },
    oversized: ({ bytes, head, remote, offset }) => {
      assert(bytes > MESSAGE_BYTES_MAX);
      assert(framed.input.startsWith(latin1(head, 0, head.length), offset), "not its beginning");
      const message = framed.input.slice(offset, offset + bytes);
      const at = message.lastIndexOf("\r\nRemoteAddress: ");
      assert.equal(
        remote && latin1(remote, 0, remote.length),
        at < 0 ? undefined : message.slice(at + 2, at + 2 + REMOTE_BYTES_MAX),
      );
      framed.parts.push("(oversized)");
    },
    drained: () => {},
  });
}

function frame(input: string, sizes: () => number): string[] {
  framed = { parts: [], lastOffset: -1, input };
  try {
    const bytes = bytesOf(input);
    for (let at = 0; at < bytes.length;) {
      const size = Math.max(1, sizes());
      framer.push(bytes.subarray(at, at + size));
      assert(framer.space().length >= READ_BYTES_MIN, "no room for a read");
      at += size;
    }
    framer.reset();
  } catch (error) {
    framer = newFramer();
    throw error;
  }
  return framed.parts;
}

const framerTarget: Target = {
  name: "framer",
  share: 2,
  make: (dice) => mutate(STREAMS, dice),
  check(input, dice) {
    const whole = frame(input, () => input.length);
    assert(whole.length <= input.length / 4 + 2);
    const most = dice.pick([40, 2_000, 70_000]);
    assertSame(
      frame(input, () => dice.int(1, most)),
      whole,
      "cut into pieces it is something else",
    );
  },
};

// One message

const event = new SecurityEvent();

function assertEvent(text: string, verdict: string): void {
  const lines = text.slice(0, -2).split("\r\n");
  const names = lines.map((line) => line.slice(0, line.indexOf(": ")));
  const remote = lines.findLast((line) => line.startsWith("RemoteAddress: "))!.split("/");
  assert.equal(lines[0], `Event: ${event.kind}`);
  assert.equal(lines[1], "Privilege: security,all");
  assert.equal(lines[names.indexOf("Service")], `Service: ${event.service}`);
  // The address is the one that Asterisk printed behind a stranger's text.
  assert.equal(parseAddress(remote.at(-2)!), event.address);
  assert.equal(Number(remote.at(-1)), event.port);
  if (verdict === "security") {
    assert.equal(new Set(names).size, names.length, "a header twice");
    if (event.usingPassword) assert(lines.includes("UsingPassword: 1"));
  } else {
    assert.equal(verdict, "doubled");
    assert.notEqual(event.kind, "SuccessfulAuth", "a doubled login was believed");
  }
  assertBlockable(event.address);
  assert(event.account.length <= TEXT_CHARACTERS_MAX && event.detail.length <= TEXT_CHARACTERS_MAX);
  assert(Number.isSafeInteger(event.session) && Number.isSafeInteger(event.answer));
  assert.match(event.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}$/);
}

const messageTarget: Target = {
  name: "message",
  share: 37,
  make: (dice) => mutate(MESSAGES, dice),
  check(input, dice) {
    // As the framer hands it on: its last line has an end.
    const text = input.endsWith("\r\n") ? input : `${input}\r\n`;
    const start = dice.int(0, 9);
    const buffer = bytesOf(`${"?".repeat(start)}${text}Event: X`);
    const end = start + text.length;
    const verdict = parseMessage(buffer, start, end, event);
    if (verdict === "security" || verdict === "doubled") {
      // A message that the framer hands on has no empty line.
      if (!text.includes("\r\n\r\n")) assertEvent(text, verdict);
      const { kind, host, session, answer } = event;
      assert.equal(parseMessage(buffer, start, end, event), verdict);
      assert.deepEqual([event.kind, event.host, event.session, event.answer], [
        kind,
        host,
        session,
        answer,
      ]);
    } else {
      assert(["response", "other", "tampered"].includes(verdict));
    }
    assertAhead(`${text}\r\nEvent: X`, start);
  },
};

/** What is read before its end is known is the same event, with the same end, or none. */
function assertAhead(text: string, start: number): void {
  const end = start + text.indexOf("\r\n\r\n") + 2;
  const buffer = bytesOf("?".repeat(start) + text);
  const facts = () => [event.kind, event.host, event.account, event.session, event.answer];
  const ahead = parseAhead(buffer, start, buffer.length, event);
  const early = ahead < 0 ? [] : facts();
  const isEvent = parseMessage(buffer, start, end, event) === "security";
  assert.equal(ahead, isEvent ? end : -1);
  if (isEvent) assert.deepEqual(early, facts());
}

// A stream

function recorder(seen: () => string[]): EventReaderHandlers {
  return {
    event: (event, verdict) => {
      assertBlockable(event.address);
      assert(!(verdict === "doubled" && event.kind === "SuccessfulAuth"));
      seen().push(
        `${verdict} ${event.kind} ${event.service} ${event.address} ${event.account} ${event.detail} ` +
          `${event.session} ${event.answer} ${event.usingPassword} ${event.time}`,
      );
    },
    response: (buffer, start, end) => void seen().push(latin1(buffer, start, end)),
    other: (buffer, start, end) => void seen().push(latin1(buffer, start, end)),
    tampered: (what) => void seen().push(what),
    banner: (line) => void seen().push(line),
  };
}

let seenByReader: string[] = [];
/** One for all inputs, as the client has one for a connection. */
let reader = newReader();

function newReader(): EventReader {
  return new EventReader(recorder(() => seenByReader));
}

function readStream(input: string, sizes: () => number): string[] {
  const seen: string[] = [];
  seenByReader = seen;
  try {
    const bytes = bytesOf(input);
    for (let at = 0; at < bytes.length;) {
      const space = reader.space();
      const count = Math.min(Math.max(1, sizes()), bytes.length - at, space.length);
      space.set(bytes.subarray(at, at + count));
      reader.commit(count);
      at += count;
    }
    reader.end();
    assert.equal(reader.withheld, "nothing", "withheld after the end");
  } catch (error) {
    reader = newReader();
    throw error;
  }
  return seen;
}

const streamTarget: Target = {
  name: "stream",
  share: 4,
  make: (dice) => mutate(STREAMS, dice).slice(0, dice.pick([2_000, 8_000, 280_000])),
  check(input, dice) {
    const whole = readStream(input, () => input.length);
    const most = dice.pick([60, 3_000, 70_000]);
    assertSame(
      readStream(input, () => dice.int(1, most)),
      whole,
      "cut into pieces it is something else",
    );
  },
};

// Asterisk's log

/** A reader of a log, and what it has seen. */
function logReader(): { reader: SecurityLogReader; seen: string[] } {
  const seen: string[] = [];
  const { event, tampered } = recorder(() => seen);
  const reader = new SecurityLogReader({
    event,
    tampered: (what) => tampered(what, new Uint8Array(0), 0, 0),
    notice: (what, told) => {
      assertBlockable(what.address);
      assert.notEqual(what.kind, "SuccessfulAuth", "no such line proves a login");
      seen.push(
        `${told} ${what.kind} ${what.service} ${what.address} ${what.account} ${what.time}`,
      );
    },
    unissued: (kind, thread) => {
      assert(/^[A-Za-z]+$/.test(kind) && /^\d*$/.test(thread));
      seen.push(`unissued ${kind} ${thread}`);
    },
  }, new LogClock(Date.UTC(2026, 10, 30)));
  return { reader, seen };
}

function readLog(input: string, sizes: () => number): string[] {
  const { reader, seen } = logReader();
  const bytes = bytesOf(input);
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(1, sizes());
    reader.push(bytes.subarray(at, at + size));
    at += size;
  }
  reader.end();
  assert(reader.lines <= input.split("\n").length);
  return seen;
}

const LOG = "/var/log/asterisk/messages";

/** The same as it is followed while it is written, and renamed or truncated at any byte. */
function followLog(input: string, dice: Dice): string[] {
  const { reader, seen } = logReader();
  const files = new MemoryFiles();
  let write = files.writer(LOG);
  let now = 0;
  const tail = new Tail(LOG, files, (lines) => reader.push(lines));
  const read = () => {
    while (tail.step(now += 1) === "read");
  };
  read();
  for (let at = 0; at < input.length;) {
    const size = dice.int(1, 200);
    const part = input.slice(at, at + size);
    at += part.length;
    write(part);
    if (dice.chance(0.5)) read();
    if (!dice.chance(0.1)) continue;
    // Whoever writes ends its line before it opens another file.
    const end = part.endsWith("\n") ? at : (input.indexOf("\n", at) + 1 || input.length);
    const rest = input.slice(at, end);
    at = end;
    if (dice.chance(0.5)) {
      files.rename(LOG, `${LOG}.1`);
      if (dice.chance(0.5)) read();
      write(rest);
      write = files.writer(LOG);
      read();
    } else {
      write(rest);
      read();
      files.truncate(LOG);
      // Lines here are often alike; real ones have their times, by which a truncation is seen.
      read();
    }
  }
  read();
  assert(tail.behind === 0 || !input.endsWith("\n"));
  tail.close();
  assert.equal(files.opened, 0);
  reader.end();
  return seen;
}

const logTarget: Target = {
  name: "log",
  share: 4,
  make(dice) {
    const lines = Array.from({ length: dice.int(1, 4) }, () => mutate(LOG_LINES, dice));
    return lines.join(dice.chance(0.9) ? "" : dice.pick(SPLINTERS));
  },
  check(input, dice) {
    const whole = readLog(input, () => input.length);
    const most = dice.pick([60, 3_000]);
    if (input.length > 2_000) return;
    assertSame(
      readLog(input, () => dice.int(1, most)),
      whole,
      "cut into pieces it is something else",
    );
  },
};

const followedTarget: Target = {
  name: "followed-log",
  share: 2,
  make: (dice) => logTarget.make(dice).slice(0, 4_000),
  check(input, dice) {
    // A half line at the end waits for its end.
    const whole = input.slice(0, input.lastIndexOf("\n") + 1);
    assertSame(followLog(input, dice), readLog(whole, () => whole.length), "followed it is else");
  },
};

// Text of people

const configTarget: Target = {
  name: "config",
  share: 10,
  make(dice) {
    const text = mutate(CONFIGS, dice);
    return dice.chance(0.1) ? `pass = "${SECRET}"\n${text}` : text;
  },
  check(input) {
    const { config, problems, warnings } = parseConfig(input, "fuzz.cfg");
    for (const problem of [...problems, ...warnings]) {
      const line = formatProblem(problem);
      assert(!CONTROL.test(line), `not one clean line: ${JSON.stringify(line)}`);
      assert(!line.includes(SECRET), "the secret in a message");
      assert(problem.line >= 0);
    }
    assert.equal(config === undefined, problems.length > 0);
    if (config === undefined) return;
    assert(config.port >= 1 && config.port <= 65_535 && Number.isInteger(config.port));
    assert(config.loyalty >= 1 && config.loyalty <= 1_000 && Number.isInteger(config.loyalty));
    assert(config.ipv6Prefix >= 32 && config.ipv6Prefix <= 128);
    assert(config.patience >= 0 && config.patience <= 300);
    assert(config.verify >= 5 && config.verify <= 86_400);
    assert(config.bantimeFactor >= 1);
    assert.match(config.chain, /^[^\s!-][^\s]{0,27}$/);
    assert(config.trust.length <= TRUST_MAX && config.trustNames.length <= TRUST_NAMES_MAX);
    for (const name of config.trustNames) assert.match(name, /^[a-z0-9_][a-z0-9_.-]*$/);
    for (const target of config.trust) assert.equal(parseTarget(target), target);
    for (const [key, value] of describeConfig(config)) {
      assert(!`${key} ${value}`.includes(SECRET), "the secret is shown");
    }
    assert.deepEqual(parseConfig(input, "fuzz.cfg").config, config);
  },
};

const SECRET = "s3cr3t-of-the-fuzzer";

const blockLineTarget: Target = {
  name: "block-line",
  share: 16,
  make: (dice) => mutate(BLOCK_LINES, dice),
  check(input) {
    const now = 1_800_000_000_000;
    const line = parseBlockLine(input, { now });
    if (line.kind === "bad") return assert(!CONTROL.test(line.message), line.message);
    if (line.kind === "empty") return;
    for (const message of line.bad) assert(!CONTROL.test(message), message);
    for (const block of line.blocks) {
      assert.equal(parseTarget(block.target), block.target);
      assert(isSafeTarget(block.target, familyOf(block.target)));
      const stored = { ...boundedNew(block), times: 1 };
      assert(!CONTROL.test(formatBlock(stored)), "not one clean line");
      const again = parseBlockLine(formatBlockJson(stored), { now });
      assert(again.kind === "blocks", "its own line is not read");
      assert.deepEqual({ ...again.blocks[0]!, times: 1 }, stored);
    }
  },
};

const addressTarget: Target = {
  name: "address",
  share: 14,
  make: (dice) => mutate(ADDRESSES, dice),
  check(input) {
    const address = parseAddress(input);
    if (address !== undefined) {
      assertBlockable(address);
      assert.notEqual(isIP(input.replace(/%.*$/, "")), 0, "another reader does not know it");
    } else if (isIP(input) === 4) {
      assert.fail("another reader knows it");
    }
    const target = parseTarget(input);
    if (target !== undefined) {
      const family = familyOf(target);
      assert.equal(parseTarget(target), target, "not canonical");
      assert(isSafeTarget(target, family), "not safe");
      assert.equal(readTarget(target, family), target);
      assert(overlaps(target, target));
      const first = target.replace(/\/.*$/, "");
      assert(contains(target, first));
      const prefix = Number(/\/(\d+)$/.exec(target)?.[1] ?? (family === 4 ? 32 : 128));
      if (family === 6) assert.equal(networkOf(first, prefix), target);
    }
    for (const family of [4, 6] as const) {
      if (isSafeTarget(input, family)) assert(/^[0-9a-f.:/]{2,43}$/.test(input));
      const read = readTarget(input, family);
      if (read !== undefined) assert(isSafeTarget(read, family));
    }
  },
};

const textTarget: Target = {
  name: "text",
  share: 4,
  make: (dice) => mutate(MESSAGES, dice).slice(0, dice.int(0, 400)),
  check(input, dice) {
    const most = dice.int(1, 300);
    const text = escapeText(input, most);
    assert(!CONTROL.test(text) && text.length <= most);
    assert(/^(?:[^"\\]|\\.)*$/u.test(text), `a quote or a backslash stands alone: ${text}`);
  },
};

// Rows of the database, which somebody else may have written

/** Pieces of which rows are made: right ones among them. */
const ROW_TEXTS = [
  "203.0.113.5",
  "2001:db8::/64",
  "wrong password",
  "PJSIP",
  "\x1b[2J",
  "\u202e",
  "\ud800",
  "a".repeat(200),
  "",
] as const;
const ROW_NUMBERS = [0, 5, -1, 15, 1e15, 1e308, 0.5, 2 ** 53, -0] as const;

function rowValue(dice: Dice, depth = 0): unknown {
  const kind = dice.int(0, depth > 2 ? 3 : 6);
  if (kind <= 1) return dice.pick(ROW_TEXTS);
  if (kind <= 2) return dice.pick(ROW_NUMBERS);
  if (kind === 3) return dice.pick([null, true, false]);
  const values = Array.from({ length: dice.int(0, 7) }, () => rowValue(dice, depth + 1));
  return kind === 6 ? Object.fromEntries(values.map((value, i) => [`${i}`, value])) : values;
}

const rowTarget: Target = {
  name: "row",
  share: 3,
  make(dice) {
    const attempt = () => [1, "wrong password", "PJSIP", "UDP", dice.pick(ROW_TEXTS), 5];
    const right = dice.chance(0.5)
      ? ["203.0.113.5", "203.0.113.5", 1, JSON.stringify([attempt(), attempt()])]
      : ["203.0.113.5", 1, 2, 5, JSON.stringify([4, 0, 7, [1, 1], [["100", 5, 7]]])];
    const row: unknown[] = right.map((value) => dice.chance(0.2) ? rowValue(dice) : value);
    const last = row.length - 1;
    const harm = dice.int(0, 3);
    if (harm <= 1) row[last] = mutate([String(row[last])], dice);
    if (harm === 2) row[last] = JSON.stringify(rowValue(dice));
    return JSON.stringify(row);
  },
  check(input) {
    const row: unknown[] = JSON.parse(input);
    const evidence = readEvidence(row);
    for (const attempt of evidence?.attempts ?? []) {
      assert(Number.isSafeInteger(attempt.points) && attempt.points >= 0);
      assert(!Number.isNaN(new Date(attempt.at).getTime()));
      const texts = [attempt.what, attempt.service, attempt.transport, attempt.account];
      for (const text of texts) assert(text.length <= 100 && text.isWellFormed());
      const known = { ...NOBODY, target: "203.0.113.5", attempts: [{ ...attempt, host: "::1" }] };
      const text = formatWhy(known, [], "ipset", 1, PLAIN);
      assert(!CONTROL.test(text.replaceAll("\n", "")), "a control character is printed");
      assert.equal(text.split("\n").length, FORMATTED_LINES, "a line too many");
      assert.equal(JSON.parse(formatWhyJson(known, [], "ipset")).attempts.length, 1);
    }
    if (evidence !== undefined) assert.equal(parseTarget(evidence.target), evidence.target);
    const points = readPoints(row);
    if (points === undefined) return;
    assert.equal(parseAddress(points.host), points.host);
    assert(points.points > 0 && points.soft <= points.points);
    const bench = new TableBench();
    bench.table.inspection.kept.restore([points], bench.now);
    bench.after(1);
    assert.deepEqual(bench.blocked, [], "points blocked by themselves");
    assert.equal(bench.table.inspection.kept.of(points.host)?.points, points.points);
  },
};

/** Somebody of whom nothing is known. */
const NOBODY: Omit<Known, "target" | "attempts"> = {
  isLive: true,
  network: undefined,
  ipv4: undefined,
  around: [],
  within: [],
  points: [],
  slow: undefined,
  insider: undefined,
  standing: [],
  exempt: [],
  kernel: { isAsked: true, blocked: [], passing: [] },
  force: undefined,
  place: undefined,
  strict: undefined,
  lists: [],
  feeds: [],
};

/** Lines of the answer about them, with one attempt. */
const FORMATTED_LINES = formatWhy(
  {
    ...NOBODY,
    target: "203.0.113.5",
    attempts: [{
      at: 1,
      what: "",
      service: "",
      transport: "",
      account: "",
      points: 1,
      host: "::1",
    }],
  },
  [],
  "ipset",
  1,
  PLAIN,
).split("\n").length;

// A guesser who chooses everything that Asterisk prints of them, but for their address

/** Of so many failures of a host at least one is charged, whatever they look like. */
const FAILURES_FOR_ONE_CHARGE = 16;

const GUESSER = "203.0.113.5";
/** Times between two guesses, in milliseconds: about the bounds of what may be a retransmission. */
const GUESS_GAPS = [0, 0, 1, 100, 399, 400, 500, 4_000, 5_000, 31_000, 32_001, 3_600_000] as const;
const GUESSES = [
  "PJSIP ChallengeResponseFailed",
  "PJSIP InvalidAccountID",
  "PJSIP FailedACL",
  "SIP InvalidPassword",
  "SIP InvalidAccountID",
  "SIP FailedACL",
  "SIP ChallengeResponseFailed",
  "AMI InvalidPassword",
  "AMI InvalidAccountID",
  "AMI ChallengeResponseFailed",
] as const;
/** What they write: little, so that guesses look alike; and what makes an event refused. */
const GUESS_TEXTS = [
  "",
  "a",
  "b",
  "c",
  "\\r\\nA: b",
  "\\r\\n\\r\\n",
  "RemoteAddress: IPV4/9.9.9.9/1",
];

const guesserTarget: Target = {
  name: "guesser",
  share: 1,
  // One guess a line: the time before it, kind, transport, SessionID, Challenge, answer, account.
  make(dice) {
    // Some vary only a part of it, at a steady pace.
    const habit = dice.pick([0, 0.5, 0.9, 1]);
    const choose = () => [
      dice.pick(GUESS_GAPS),
      dice.pick(GUESSES),
      dice.pick(["UDP", "TCP", "TLS", "WS", "WSS"]),
      dice.pick(["", "s", "t", "u"]),
      dice.pick(["", "1/a", "1/b"]),
      dice.pick(["", "x", "y", "z"]),
      dice.pick(GUESS_TEXTS),
    ];
    const usual = choose();
    return Array.from(
      { length: dice.int(FAILURES_FOR_ONE_CHARGE, 400) },
      () => choose().map((part, i) => dice.chance(habit) ? usual[i]! : part).join("|"),
    ).join("\n");
  },
  check(input) {
    const bench = new TableBench({ loyalty: 1_000 });
    const guesses = input.split("\n");
    for (const guess of guesses) {
      const [gap = "", what = "", transport, session = "", challenge = "", answer = "", text = ""] =
        guess.split("|");
      // In between the table is not asked, as within one read of the daemon.
      if (gap !== "0") bench.after(Number(gap));
      const [service = "", kind = ""] = what.split(" ");
      const lineEnds = service === "SIP" || what === "PJSIP InvalidAccountID";
      bench.take(printEvent({
        kind,
        service: service as EventFields["service"],
        account: lineEnds ? text.replaceAll("\\r\\n", "\r\n") : text,
        session,
        remote: `IPV4/${transport}/${GUESSER}/5060`,
        tail: tailOf(service, kind, challenge, answer),
      }));
    }
    bench.after(60_000);
    assert.deepEqual(bench.blocked, []);
    const hosts = bench.table.worst(10, bench.now);
    assert.deepEqual(hosts.map(({ host }) => host), [GUESSER], "somebody else was charged");
    const { points, tally } = hosts[0]!;
    const charged = Object.values(tally).reduce((sum, count) => sum + count, 0);
    const least = Math.floor(guesses.length / FAILURES_FOR_ONE_CHARGE);
    assert(charged >= least, `${charged} of ${guesses.length} guesses were charged`);
    assert(points >= CHALLENGE_POINTS * least, `${guesses.length} guesses cost ${points} points`);
  },
};

function tailOf(
  service: string,
  kind: string,
  challenge: string,
  answer: string,
): [string, string][] {
  const time: [string, string][] = service === "AMI"
    ? [["SessionTV", "1970-01-01T00:00:00.000+0000"]]
    : [];
  switch (kind) {
    case "FailedACL":
      return [["ACLName", answer], ...time];
    case "ChallengeResponseFailed":
      return [["Challenge", challenge], ["Response", answer], ["ExpectedResponse", ""], ...time];
    case "InvalidPassword":
      if (service === "AMI") return time;
      return [["Challenge", challenge], ["ReceivedChallenge", challenge], ["ReceivedHash", answer]];
    default:
      return time;
  }
}

/** All of them. */
export const TARGETS: readonly Target[] = [
  framerTarget,
  messageTarget,
  streamTarget,
  logTarget,
  followedTarget,
  configTarget,
  blockLineTarget,
  addressTarget,
  textTarget,
  rowTarget,
  guesserTarget,
  monitorTarget,
  nftMessageTarget,
];
