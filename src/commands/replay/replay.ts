/**
 * `ampere --replay FILE...`: who would have been blocked, when and why, from recorded AMI streams
 * or from Asterisk's security log. Nothing is blocked, and no database is read: at the beginning
 * nobody is in good standing.
 *
 * @module
 */

import { contains } from "../../address/address.ts";
import type { SecurityEvent } from "../../ami/event.ts";
import type { Config } from "../../config/config.ts";
import { literalPeers } from "../../ami/dial.ts";
import { exemptAddresses, type ExemptSet } from "../../address/exempt.ts";
import { formatLocalTime } from "../../text/time.ts";
import { escapeText } from "../../text/escape.ts";
import type { KnownProxy } from "../../penalties/offence.ts";
import { describeDuration, describeExemptFailures, describeProxy } from "../../penalties/reason.ts";
import { RecordingError, RecordingReader } from "./recording.ts";
import { Simulation, type WouldBlock } from "./simulation.ts";
import {
  counted,
  formatCount,
  formatTable,
  PLAIN,
  ProgressBar,
  type Style,
  styleFor,
} from "../../text/table.ts";

/** Other values of `loyalty` that are tried beside the configured one. */
const LOYALTIES = [1, 2, 3, 5, 10] as const;

/** Most hosts whose logins are counted. */
const LOGINS_MAX = 1_000_000;

/** Most hosts that a hint names. */
const NAMED_HOSTS_MAX = 10;

/** Size of one read, in bytes. */
const READ_BYTES = 256 * 1024;

/**
 * A file that begins so much earlier than the one before it ended is complained of, in
 * milliseconds.
 */
const NEXT_FILE_MAY_BE_EARLIER_MS = 60_000;

/** What is asked for; `Invocation` is one. */
interface ReplayRequest {
  readonly files: readonly string[];
  readonly json: boolean;
  readonly verbose: boolean;
}

/** What a replay has found. */
interface Replayed {
  readonly blocks: readonly WouldBlock[];
  readonly events: number;
  readonly byKind: ReadonlyMap<string, number>;
  readonly tampered: ReadonlyMap<string, number>;
  /** Hosts with events. */
  readonly hosts: number;
  /** Times of the first and the last event, in milliseconds since 1970. */
  readonly from: number | undefined;
  readonly to: number | undefined;
  /** Logins with a password, by address. */
  readonly logins: ReadonlyMap<string, number>;
  /** Addresses that hide who calls. */
  readonly proxies: readonly KnownProxy[];
  /** Failed logins of addresses that are never blocked. */
  readonly exemptFailures: readonly ExemptFailure[];
  /** For each loyalty: who would have been blocked. */
  readonly whatIf: ReadonlyMap<number, ReadonlySet<string>>;
}

/** Failed logins of an address that is never blocked. */
interface ExemptFailure {
  readonly address: string;
  readonly failures: number;
  readonly cause: string;
}

/** Most events without a possible time that are told one by one, for each file. */
const IMPOSSIBLE_TIMES_TOLD_MAX = 5;

/** Runs recorded events through the rules. */
export class Replay {
  readonly #main: Simulation;
  readonly #exempt: ExemptSet;
  readonly #others = new Map<number, Simulation>();
  readonly #byKind = new Map<string, number>();
  readonly #tampered = new Map<string, number>();
  readonly #hosts = new Set<number | string>();
  readonly #logins = new Map<string, number>();
  readonly #explain: ((line: string) => void) | undefined;
  #events = 0;
  #from: number | undefined;
  #to: number | undefined;

  /**
   * @param config The rules.
   * @param explain Is told what became of each event.
   */
  constructor(config: Config, explain?: (line: string) => void) {
    const exempt = exemptAddresses(config.trust, literalPeers(config.host));
    this.#exempt = exempt;
    this.#main = new Simulation(config, exempt);
    this.#main.table.explain = explain !== undefined;
    this.#explain = explain;
    for (const loyalty of LOYALTIES) {
      if (loyalty !== config.loyalty) {
        this.#others.set(loyalty, new Simulation({ ...config, loyalty }, exempt));
      }
    }
    this.#others.set(config.loyalty, this.#main);
  }

  /** Time of the last event, in milliseconds since 1970. */
  get now(): number {
    return this.#main.now;
  }

  /**
   * Takes an event.
   *
   * @param event The event.
   * @param obey False for an event that may be charged but not believed.
   */
  take(event: SecurityEvent, obey: boolean): void {
    const at = timeOf(event.time);
    // No clock of Asterisk's says such a time: who made it is not known.
    if (Number.isNaN(at)) return this.tampered("malformed");
    this.#events++;
    this.#from ??= at;
    this.#to = at;
    const key = `${event.kind} ${event.service}`;
    this.#byKind.set(key, (this.#byKind.get(key) ?? 0) + 1);
    if (this.#hosts.size < LOGINS_MAX) this.#hosts.add(event.host);
    if (obey && event.kind === "SuccessfulAuth" && event.usingPassword) {
      this.#countLogin(event.address);
    }
    for (const simulation of this.#others.values()) {
      const counts = simulation.take(event, at, obey);
      if (simulation === this.#main) this.#tell(event, at, counts);
    }
  }

  /** Counts something that Asterisk did not print so. */
  tampered(what: string): void {
    this.#tampered.set(what, (this.#tampered.get(what) ?? 0) + 1);
  }

  /** The input has ended. */
  finish(): Replayed {
    for (const simulation of this.#others.values()) simulation.finish();
    return {
      blocks: this.#main.blocks,
      events: this.#events,
      byKind: this.#byKind,
      tampered: this.#tampered,
      hosts: this.#hosts.size,
      from: this.#from,
      to: this.#to,
      logins: this.#logins,
      proxies: this.#main.table.takeProxies(),
      exemptFailures: this.#main.table.takeExemptFailures().map(([address, failures]) => ({
        address,
        failures,
        cause: this.#exempt.causeOf(address) ?? "trusted",
      })),
      whatIf: new Map(
        [...this.#others].sort((a, b) => a[0] - b[0]).map(([loyalty, { blocks }]) => [
          loyalty,
          new Set(blocks.map((block) => block.target)),
        ]),
      ),
    };
  }

  #countLogin(address: string): void {
    const count = this.#logins.get(address) ?? 0;
    if (count === 0 && this.#logins.size >= LOGINS_MAX) return;
    this.#logins.set(address, count + 1);
  }

  #tell(event: SecurityEvent, at: number, counts: boolean): void {
    if (this.#explain === undefined) return;
    const charge = this.#main.table.lastCharge;
    const what = !counts
      ? `${event.address}: would be blocked already`
      : charge === undefined
      ? `${event.address}: nothing`
      : `${charge.what}; points ${charge.before} -> ${charge.after} of ${charge.limit}`;
    this.#explain(`${formatLocalTime(at)} ${event.kind} ${event.service}: ${what}`);
  }
}

/** `2026-11-22T08:09:09.918+0000` in milliseconds since 1970. */
function timeOf(text: string): number {
  return Date.parse(`${text.slice(0, 26)}:${text.slice(26)}`);
}

/**
 * Replays files and prints what would have happened.
 *
 * @param config The rules.
 * @param request The files, `-` for standard input, and how to print.
 * @param print Writes to standard output.
 * @param complain Writes a line to standard error.
 * @returns The exit code: 1 when a file could not be read.
 */
export async function replay(
  config: Config,
  request: ReplayRequest,
  print: (text: string) => number,
  complain: (line: string) => void,
): Promise<number> {
  const run = new Replay(config, request.verbose ? (line) => void print(`${line}\n`) : undefined);
  let code = 0;
  for (const file of request.files) {
    try {
      await readRecording(file, run, complain);
    } catch (error) {
      code = 1;
      for (const line of whyNot(error, file)) complain(line);
    }
  }
  const replayed = run.finish();
  if (code !== 0 && replayed.events === 0) return code;
  print(
    request.json
      ? formatReplayJson(replayed)
      : formatReplay(replayed, config, styleFor(Deno.stdout)),
  );
  return code;
}

async function readRecording(
  file: string,
  run: Replay,
  complain: (line: string) => void,
): Promise<void> {
  const before = run.now;
  let first = true;
  let events = 0;
  let impossible = 0;
  const reader = new RecordingReader({
    event: (event, verdict) => {
      events++;
      if (Number.isNaN(timeOf(event.time)) && ++impossible <= IMPOSSIBLE_TIMES_TOLD_MAX) {
        complain(
          `warning: ${file}: security event ${events} (EventTV "${
            escapeText(event.time)
          }", ${event.kind} of ${event.address}) has a time that does not exist: left out as malformed`,
        );
      }
      if (first) {
        first = false;
        const late = before - timeOf(event.time);
        if (late > NEXT_FILE_MAY_BE_EARLIER_MS) {
          complain(
            `warning: ${file} begins ${
              describeDuration(late / 1000)
            } before the end of the file before it; ` +
              "give the files in the order of their times",
          );
        }
      }
      run.take(event, verdict === "security");
    },
    tampered: (what) => run.tampered(what),
  });
  using input = openInput(file);
  const bar = new ProgressBar(Deno.stderr, input.size);
  const chunk = new Uint8Array(READ_BYTES);
  try {
    for (let done = 0;;) {
      const count = await input.read(chunk);
      if (count === null) break;
      reader.push(chunk.subarray(0, count));
      bar.show(done += count);
    }
    reader.end();
  } finally {
    bar.clear();
  }
}

interface Input extends Disposable {
  readonly size: number | undefined;
  read(into: Uint8Array): Promise<number | null>;
}

function openInput(file: string): Input {
  if (file === "-") {
    return {
      size: undefined,
      read: (into) => Deno.stdin.read(into),
      [Symbol.dispose]: () => {},
    };
  }
  const handle = Deno.openSync(file);
  const info = handle.statSync();
  return {
    size: info.isFile ? info.size : undefined,
    read: (into) => Promise.resolve(handle.readSync(into)),
    [Symbol.dispose]: () => handle.close(),
  };
}

function whyNot(error: unknown, file: string): string[] {
  if (error instanceof RecordingError) return [`ampere: ${file} ${error.message}`];
  if (error instanceof Deno.errors.NotCapable) {
    const folder = file.includes("/") ? file.slice(0, file.lastIndexOf("/")) || "/" : ".";
    return [
      `ampere: ${file}: this build may only read its own folders. Either give the file on standard input:`,
      `  ampere --replay - < ${quoted(file)}`,
      "or compile one that may read that folder:",
      `  deno task compile -- --allow-path=${quoted(folder)}`,
    ];
  }
  if (error instanceof Deno.errors.NotFound) return [`ampere: there is no file ${file}`];
  if (error instanceof Deno.errors.PermissionDenied) {
    return [`ampere: this user may not read ${file}; try: sudo ampere --replay ${quoted(file)}`];
  }
  if (error instanceof Error) return [`ampere: ${file}: ${error.message}`];
  throw error;
}

/** As a shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * The result for people.
 *
 * @param replayed What was found.
 * @param config The rules.
 * @param style Colours, or none.
 */
export function formatReplay(replayed: Replayed, config: Config, style: Style = PLAIN): string {
  return [
    blocksTable(replayed, style),
    totals(replayed, style),
    whatIfTable(replayed, config, style),
    hints(replayed, config),
  ]
    .filter((part) => part !== "").join("\n");
}

function blocksTable({ blocks }: Replayed, style: Style): string {
  if (blocks.length === 0) return "";
  const rows = blocks.map((block) => [
    formatLocalTime(block.at),
    block.target,
    block.until === undefined ? "for ever" : describeDuration((block.until - block.at) / 1000),
    block.reason,
  ]);
  return style.strong("Would have been blocked") + "\n" +
    formatTable([["when", "host", "for", "why"], ...rows]);
}

function totals(replayed: Replayed, style: Style): string {
  const { blocks, events, byKind, tampered, hosts, from, to } = replayed;
  const span = from === undefined || to === undefined
    ? ""
    : ` from ${formatLocalTime(from)} to ${formatLocalTime(to)} (${
      describeDuration((to - from) / 1000)
    })`;
  const targets = new Set(blocks.map((block) => block.target)).size;
  const after = blocks.reduce((sum, block) => sum + block.eventsAfter, 0);
  const bad = [...tampered.values()].reduce((sum, count) => sum + count, 0);
  const lines = [
    `${counted(events, "security event")} of ${counted(hosts, "host")}${span}`,
    `${counted(targets, "host")} would have been blocked` +
    (after > 0 ? `; ${counted(after, "event")} came from them after that` : ""),
  ];
  if (bad > 0) {
    const reasons = [...tampered].map(([what, count]) => `${formatCount(count)} ${what}`);
    lines.push(
      style.doubtful(`${counted(bad, "message")} tampered with`) + `: ${reasons.join(", ")}`,
    );
  }
  const kinds = [...byKind].sort((a, b) => b[1] - a[1])
    .map(([key, count]) => [`  ${key}`, formatCount(count)]);
  return lines.join("\n") + "\n" + formatTable(kinds, ["left", "right"]);
}

function whatIfTable(replayed: Replayed, config: Config, style: Style): string {
  if (replayed.events === 0) return "";
  const rows = [...replayed.whatIf].map(([loyalty, targets]) => [
    `${loyalty}`,
    formatCount(targets.size),
    formatCount(hostsThatLoggedIn(targets, replayed.logins).length),
    loyalty === config.loyalty ? "(configured)" : "",
  ]);
  return style.strong("With another loyalty") + "\n" +
    formatTable([["loyalty", "hosts blocked", "of these logged in too", ""], ...rows], [
      "right",
      "right",
      "right",
    ]);
}

/** What a person should look at before this is used in earnest. */
function hints(replayed: Replayed, config: Config): string {
  const lines: string[] = [];
  const blocked = new Set(replayed.blocks.map((block) => block.target));
  const hidden = new Set(replayed.proxies.map(({ address }) => address));
  // Who logged in is let through a block of its network; to trust all of that would help the one
  // who failed there.
  const loggedIn = hostsThatLoggedIn(blocked, replayed.logins)
    .filter((host) => !hidden.has(host) && !host.includes("/"));
  lines.push(...replayed.proxies.slice(0, NAMED_HOSTS_MAX).map(describeProxy));
  for (const { address, failures, cause } of replayed.exemptFailures.slice(0, NAMED_HOSTS_MAX)) {
    lines.push(describeExemptFailures(address, failures, cause));
  }
  if (loggedIn.length > 0) {
    lines.push(
      `${counted(loggedIn.length, "blocked host")} logged in with a password too: ${
        named(loggedIn)
      }. Phones that belong here? ` +
        `Then correct their passwords, or add: ${
          loggedIn.slice(0, NAMED_HOSTS_MAX).map((host) => `trust = ${host}`).join("; ")
        }`,
    );
  }
  const unanswered = [
    ...new Set(
      replayed.blocks.filter((block) =>
        /\d unanswered challenges? within/.test(block.reason) &&
        !/wrong|refused/.test(block.reason)
      ).map((block) => block.target),
    ),
  ].filter((target) => loginsOf(target, replayed.logins) === 0);
  if (unanswered.length > 0 && config.patience > 0) {
    lines.push(
      `${
        counted(unanswered.length, "host")
      } would have been blocked for unanswered challenges alone: ${
        named(unanswered)
      }. If one is a provider or a phone that only sends OPTIONS, add it to trust`,
    );
  }
  if (replayed.events === 0) {
    lines.push(
      "There is no security event in it. From AMI: the user needs read = security,system in manager.conf. " +
        "From a log: logger.conf needs a file with the level security",
    );
  } else if (replayed.logins.size === 0) {
    lines.push(
      "There is no login with a password in it (SuccessfulAuth), so nobody can be in good standing. If phones did log " +
        "in, an eventfilter in manager.conf hides these events",
    );
  }
  return lines.map((line) => `Hint: ${line}.\n`).join("");
}

function hostsThatLoggedIn(
  targets: ReadonlySet<string>,
  logins: ReadonlyMap<string, number>,
): string[] {
  return [...targets].filter((target) => loginsOf(target, logins) > 0);
}

function loginsOf(target: string, logins: ReadonlyMap<string, number>): number {
  if (!target.includes("/")) return logins.get(target) ?? 0;
  let sum = 0;
  for (const [address, count] of logins) if (contains(target, address)) sum += count;
  return sum;
}

function named(hosts: readonly string[]): string {
  const more = hosts.length - NAMED_HOSTS_MAX;
  return hosts.slice(0, NAMED_HOSTS_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/**
 * The result for programs: an object for each block, one a line, then one with the totals. Times
 * are ISO 8601 in UTC.
 *
 * @param replayed What was found.
 */
export function formatReplayJson(replayed: Replayed): string {
  const iso = (ms: number | undefined) => ms === undefined ? null : new Date(ms).toISOString();
  const objects = [
    ...replayed.blocks.map((block) => ({
      type: "block",
      target: block.target,
      at: iso(block.at),
      until: iso(block.until),
      reason: block.reason,
      service: block.service,
      transport: block.transport,
      account: block.account,
      times: block.times,
      inGoodStanding: block.grounds === "good standing",
      grounds: block.grounds,
      eventsAfter: block.eventsAfter,
      logins: loginsOf(block.target, replayed.logins),
    })),
    {
      type: "totals",
      events: replayed.events,
      hosts: replayed.hosts,
      from: iso(replayed.from),
      to: iso(replayed.to),
      byKind: Object.fromEntries(replayed.byKind),
      tampered: Object.fromEntries(replayed.tampered),
      proxies: replayed.proxies,
      exemptFailures: replayed.exemptFailures,
      blocked: new Set(replayed.blocks.map((block) => block.target)).size,
      blockedWithLoyalty: Object.fromEntries(
        [...replayed.whatIf].map(([loyalty, targets]) => [loyalty, targets.size]),
      ),
    },
  ];
  return objects.map((object) => JSON.stringify(object) + "\n").join("");
}
