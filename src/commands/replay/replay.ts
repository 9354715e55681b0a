/**
 * `ampere --replay FILE...`: who would have been blocked, when and why, from recorded AMI streams
 * or from Asterisk's log. Nothing is blocked, and no database is read: at the beginning nobody is
 * in good standing.
 *
 * The daemon follows AMI, and a log only if that is configured (`log`). Without it, what Asterisk
 * tells its log alone has points of its own, and who would have gone too far with these is told
 * apart: no block is promised that the daemon does not make.
 *
 * @module
 */

import type { SecurityEvent } from "../../ami/event.ts";
import type { Lines } from "../../ami/security_log.ts";
import type { Config } from "../../config/config.ts";
import { literalPeers } from "../../ami/dial.ts";
import { exemptAddresses, type ExemptSet } from "../../address/exempt.ts";
import { formatLocalTime } from "../../text/time.ts";
import { escapeText } from "../../text/escape.ts";
import { describeDuration } from "../../penalties/reason.ts";
import { anyStrict, type StrictHosts } from "../../penalties/strict.ts";
import { type JudgedPlace, type ShownPlace, shownPlace } from "../../telemetry/places.ts";
import { judgedWords, openPlaces } from "../opened_places.ts";
import { Duplicates } from "./duplicates.ts";
import { hints, hostsThatLoggedIn, loginsOf, type Replayed, type ReplayedGuard } from "./hints.ts";
import { readInputs, type Source, timeOf } from "./inputs.ts";
import {
  describeStripped,
  type Format,
  RECORD_AGAIN,
  RecordingError,
  type Told,
} from "./recording.ts";
import { ReplayedPlaces } from "./new_places.ts";
import { StrangeAccounts } from "./strange_accounts.ts";
import { type ListEffect, openLists } from "../opened_lists.ts";
import { type RefusingLists, Simulation, type WouldBlock } from "./simulation.ts";
import {
  counted,
  formatCount,
  formatTable,
  PLAIN,
  type Style,
  styleFor,
} from "../../text/table.ts";

/** Other values of `loyalty` that are tried beside the configured one. */
const LOYALTIES = [1, 2, 3, 5, 10] as const;

/** Most hosts whose logins are counted. */
const LOGINS_MAX = 1_000_000;

/** What an account that is not that of a phone there may raise. */
const LOGIN_FAILURES: ReadonlySet<string> = new Set([
  "ChallengeResponseFailed",
  "InvalidPassword",
  "InvalidAccountID",
]);

/** Most guarded accounts that are named. */
const GUARDS_SHOWN_MAX = 20;

/** Longest piece of a line that a warning shows, in characters. */
const SHOWN_CHARACTERS_MAX = 160;

/** What is asked for; `Invocation` is one. */
interface ReplayRequest {
  readonly files: readonly string[];
  readonly json: boolean;
  readonly verbose: boolean;
}

/** Runs recorded events through the rules. */
export class Replay {
  readonly #main: Simulation;
  /** What AMI does not tell. */
  readonly #unseen: Simulation;
  readonly #exempt: ExemptSet;
  readonly #others = new Map<number, Simulation>();
  readonly #byKind = new Map<string, number>();
  readonly #tampered = new Map<string, number>();
  readonly #hosts = new Set<number | string>();
  readonly #logins = new Map<string, number>();
  readonly #strangers = new StrangeAccounts();
  readonly #newPlaces: ReplayedPlaces | undefined;
  /** The rules without a time to learn, for as long as the real ones learn. */
  readonly #strict: Simulation | undefined;
  readonly #learnMs: number;
  readonly #explain: ((line: string) => void) | undefined;
  /** The daemon follows a log: what AMI does not tell counts too. */
  readonly #followsLog: boolean;
  /** Logs that were read. */
  readonly logs = new Set<string>();
  readonly #logOnly = new Map<string, number>();
  readonly #logOnlyHosts = new Set<number | string>();
  /** What was read. */
  readonly formats = new Set<Format>();
  /** Lines that told what another line had told. */
  toldTwice = 0;
  /** Lines of Asterisk 11 or older. */
  old = 0;
  #lines = 0;
  #events = 0;
  #from: number | undefined;
  #to: number | undefined;

  /**
   * @param config The rules.
   * @param explain Is told what became of each event.
   * @param strict Who has one attempt.
   * @param lists Whom the kernel refuses.
   * @param newPlaces Takes who logs in.
   */
  constructor(
    config: Config,
    explain?: (line: string) => void,
    strict?: StrictHosts,
    lists?: RefusingLists & { readonly quietly: RefusingLists },
    newPlaces?: ReplayedPlaces,
  ) {
    this.#newPlaces = newPlaces;
    const quietly = lists?.quietly;
    const exempt = exemptAddresses(config.trust, literalPeers(config.host));
    this.#exempt = exempt;
    this.#main = new Simulation(config, exempt, strict, lists);
    this.#unseen = new Simulation(config, exempt, strict, quietly);
    this.#followsLog = config.logs.length > 0;
    this.#learnMs = config.learn * 1000;
    if (config.learn > 0) {
      this.#strict = new Simulation({ ...config, learn: 0 }, exempt, strict, quietly);
    }
    this.#main.table.explain = this.#unseen.table.explain = explain !== undefined;
    this.#explain = explain;
    for (const loyalty of LOYALTIES) {
      if (loyalty !== config.loyalty) {
        this.#others.set(loyalty, new Simulation({ ...config, loyalty }, exempt, strict, quietly));
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
    // A report of the dialplan has no time.
    const at = event.kind === "Reported" ? this.#main.now || Date.now() : timeOf(event.time);
    // No clock of Asterisk's says such a time: who made it is not known.
    if (Number.isNaN(at)) return this.tampered("malformed");
    this.#events++;
    this.#meet(at);
    const key = `${event.kind} ${event.service}`;
    this.#byKind.set(key, (this.#byKind.get(key) ?? 0) + 1);
    if (this.#hosts.size < LOGINS_MAX) this.#hosts.add(event.host);
    if (obey && event.kind === "SuccessfulAuth" && event.usingPassword) {
      this.#countLogin(event.address);
      this.#strangers.succeeded(event.address, event.account);
      this.#newPlaces?.login(event, at);
      this.#unseen.take(event, at, obey);
    } else if (LOGIN_FAILURES.has(event.kind)) {
      this.#strangers.failed(event.address, event.account);
    }
    this.#simulate(event, at, obey);
  }

  #simulate(event: SecurityEvent, at: number, obey: boolean): void {
    if (at - this.#from! <= this.#learnMs) this.#strict?.take(event, at, obey);
    for (const simulation of this.#others.values()) {
      const counts = simulation.take(event, at, obey);
      if (simulation === this.#main) this.#tell(simulation, event, at, counts);
    }
  }

  /**
   * Takes a refused request that a line of the log tells of.
   *
   * @param event What AMI says of it, or would say.
   * @param seen Whether AMI tells of it too.
   */
  takeLine(event: SecurityEvent, seen: boolean): void {
    this.#lines++;
    if (seen) return this.take(event, true);
    const at = timeOf(event.time);
    this.#meet(at);
    const key = `${event.kind} ${event.service}`;
    this.#logOnly.set(key, (this.#logOnly.get(key) ?? 0) + 1);
    if (this.#logOnlyHosts.size < LOGINS_MAX) this.#logOnlyHosts.add(event.host);
    if (this.#followsLog) this.#simulate(event, at, true);
    else this.#tell(this.#unseen, event, at, this.#unseen.take(event, at, true));
  }

  /** Counts something that Asterisk did not print so. */
  tampered(what: string): void {
    this.#tampered.set(what, (this.#tampered.get(what) ?? 0) + 1);
  }

  /** The input has ended. */
  finish(): Replayed {
    for (const simulation of [...this.#others.values(), this.#unseen]) simulation.finish();
    this.#strict?.finish();
    const blocked = new Set(this.#main.blocks.map(({ target }) => target));
    return {
      unseen: this.#unseen.blocks.filter(({ target }) => !blocked.has(target)),
      logOnly: this.#logOnly,
      logOnlyHosts: this.#logOnlyHosts.size,
      formats: this.formats,
      logs: this.logs,
      lines: this.#lines,
      toldTwice: this.toldTwice,
      old: this.old,
      blocks: this.#main.blocks,
      events: this.#events,
      byKind: this.#byKind,
      tampered: this.#tampered,
      hosts: this.#hosts.size,
      from: this.#from,
      to: this.#to,
      logins: this.#logins,
      strangers: this.#strangers.counts,
      offices: this.#strangers.offices,
      learned: [...new Set((this.#strict?.blocks ?? []).map(({ target }) => target))]
        .filter((target) => !blocked.has(target) && loginsOf(target, this.#logins) === 0),
      guards: this.#main.guards,
      insiders: this.#main.table.insiders.takeFound(),
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

  #meet(at: number): void {
    if (this.#from === undefined || at < this.#from) this.#from = at;
    if (this.#to === undefined || at > this.#to) this.#to = at;
  }

  #tell(simulation: Simulation, event: SecurityEvent, at: number, counts: boolean): void {
    if (this.#explain === undefined) return;
    const charge = simulation.table.lastCharge;
    const what = !counts
      ? `${event.address}: would be blocked already`
      : charge === undefined
      ? `${event.address}: nothing`
      : `${charge.what}; points ${charge.before} -> ${charge.after} of ${charge.limit}`;
    const unseen = simulation === this.#unseen ? " (not on AMI)" : "";
    this.#explain(`${formatLocalTime(at)} ${event.kind} ${event.service}${unseen}: ${what}`);
  }
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
  const places = await openPlaces(config);
  for (const note of places.notes) complain(`warning: ${note}`);
  const explain = request.verbose ? (line: string) => void print(`${line}\n`) : undefined;
  const lists = await openLists(config, complain);
  const strict = anyStrict(lists, places.places.strict);
  const newPlaces = new ReplayedPlaces(config, places.of);
  const run = new Replay(config, explain, strict, lists, newPlaces);
  let code = 0;
  const take = (event: SecurityEvent, told: Told) => {
    if (told === "security" || told === "doubled") return run.take(event, told === "security");
    // What PJSIP and IAX2 refuse by an access list, and tell nowhere else, AMI does not tell.
    const alone = told === "aside" && (event.service === "PJSIP" || event.service === "IAX2");
    run.takeLine(event, told !== "log only" && !alone);
  };
  const files = request.files.length;
  const unique = new Duplicates(take, files);
  const sources = await readInputs(request.files, {
    event: (event, told, at, { index, format }) => {
      // AMI tells nothing twice.
      if (files === 1 && format === "AMI stream") take(event, told);
      else unique.take(event, told, at, index);
    },
    tampered: (what) => run.tampered(what),
    failed: (error, { name }) => {
      code = 1;
      for (const line of whyNot(error, name)) complain(line);
    },
    complain,
  });
  unique.finish();
  run.toldTwice = unique.dropped;
  for (const source of sources) {
    if (source.format !== undefined) run.formats.add(source.format);
    if (source.format === "security log") run.logs.add(source.name);
    run.old += source.reader.findings?.old?.count ?? 0;
    if (!source.failed && !review(source, complain)) code = 1;
  }
  const replayed = run.finish();
  if (code !== 0 && replayed.events === 0 && replayed.lines === 0) return code;
  print(
    request.json
      ? formatReplayJson(replayed, places.of) + listsJson(lists?.effects) + newPlaces.json()
      : formatReplay(replayed, config, styleFor(Deno.stdout), places.of) +
        listsTable(lists?.effects, styleFor(Deno.stdout)) + newPlaces.table(styleFor(Deno.stdout)),
  );
  return code;
}

/** What lists would have changed: told only if there are any. */
function listsTable(effects: readonly ListEffect[] | undefined, style: Style): string {
  if (effects === undefined) return "";
  const rows = effects.map(({ name, action, entries, hosts, refused }) => [
    name,
    action,
    formatCount(entries),
    formatCount(hosts),
    action === "block" ? formatCount(refused) : "-",
  ]);
  return "\n" + style.strong("Lists of attackers, applied to this") + "\n" +
    formatTable([["list", "action", "entries", "strangers on it", "events refused"], ...rows], [
      "left",
      "left",
      "right",
      "right",
      "right",
    ]);
}

function listsJson(effects: readonly ListEffect[] | undefined): string {
  return effects === undefined ? "" : `${JSON.stringify({ type: "lists", lists: effects })}\n`;
}

/** Says what is wrong with a file; false when nothing in it was understood. */
function review(source: Source, complain: (line: string) => void): boolean {
  const { name, reader, events, told, tampered } = source;
  const { findings, stripped } = reader;
  const shown = ({ first, text }: Lines) =>
    `line ${first}: "${escapeText(text, SHOWN_CHARACTERS_MAX)}"`;
  const warn = (what: string) => complain(`warning: ${name}: ${what}`);
  if (findings?.old !== undefined) {
    warn(
      `${counted(findings.old.count, "line")} of Asterisk 11 or older (EventTV is seconds and ` +
        "microseconds), which Ampere does not support: its AMI does not tell of these, so that the " +
        `daemon would block nobody. Update to Asterisk 13 or newer. The first is ${
          shown(findings.old)
        }`,
    );
  }
  if (stripped !== undefined && tampered > 0) {
    warn(`${describeStripped(stripped)}; ${RECORD_AGAIN}`);
  }
  if (findings?.foreign !== undefined && findings.asterisk > 0) {
    warn(
      `${counted(findings.foreign.count, "line")} left out: what Asterisk says stands behind a ` +
        `beginning that is not known. The first is ${shown(findings.foreign)}`,
    );
  }
  if (findings?.unknown !== undefined) {
    const { unknown } = findings;
    warn(
      `${counted(unknown.count, "line")} ${
        unknown.count === 1 ? "looks" : "look"
      } like a refusal ` +
        `and ${
          unknown.count === 1 ? "is" : "are"
        } not known to Ampere, so that nobody is charged ` +
        `for it. The first is ${shown(unknown)}`,
    );
  }
  if (findings?.nobody !== undefined) {
    warn(
      `${
        counted(findings.nobody.count, "line")
      } of failures without an address that Asterisk saw; ` +
        `what is in them a stranger wrote. The first is ${shown(findings.nobody)}`,
    );
  }
  if (findings?.tampered !== undefined) {
    warn(
      `${
        counted(findings.tampered.count, "line")
      } not believed: a stranger's text is, or could be, ` +
        `in the place of Asterisk's. The first is ${shown(findings.tampered)}`,
    );
  }
  if (events + told > 0) return findings?.old === undefined || findings.old.count < events + told;
  if (findings?.old !== undefined) return false;
  const nothing = whyNothing(source);
  if (nothing !== undefined) complain(`ampere: ${name}: ${nothing}`);
  return nothing === undefined;
}

/** Why nothing of a file was understood; `undefined` when there was nothing to understand. */
function whyNothing({ format, reader, tampered }: Source): string | undefined {
  if (tampered > 0) {
    return "none of its security events is as Asterisk prints it" +
      (format === "AMI stream" ? `; ${RECORD_AGAIN}` : "");
  }
  if (format !== "security log") return undefined;
  const { asterisk = 0 } = reader.findings ?? {};
  return `is Asterisk's log, but none of its ${
    counted(asterisk, "line")
  } tells of a login, or of ` +
    "a request that was refused. Replay the file with the level security; logger.conf, section " +
    "logfiles, makes one: security => security";
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
 * @param placeOf Where a target is.
 */
export function formatReplay(
  replayed: Replayed,
  config: Config,
  style: Style = PLAIN,
  placeOf: PlaceOf = () => undefined,
): string {
  return [
    blocksTable("Would have been blocked", replayed.blocks, style, placeOf),
    blocksTable(
      "Not blocked: AMI, which the daemon follows, does not tell of this",
      replayed.unseen,
      style,
      placeOf,
    ),
    totals(replayed, style),
    whatIfTable(replayed, config, style),
    hints(replayed, config),
  ]
    .filter((part) => part !== "").join("\n");
}

/** Tells where a canonical target is; `undefined` if no file is configured. */
type PlaceOf = (target: string) => JudgedPlace | undefined;

function blocksTable(
  title: string,
  blocks: readonly WouldBlock[],
  style: Style,
  placeOf: PlaceOf,
): string {
  if (blocks.length === 0) return "";
  const hasPlaces = placeOf(blocks[0]!.target) !== undefined;
  const rows = blocks.map((block) => [
    formatLocalTime(block.at),
    block.target,
    block.until === undefined ? "for ever" : describeDuration((block.until - block.at) / 1000),
    ...(hasPlaces ? [judgedWords(placeOf(block.target))] : []),
    block.reason,
  ]);
  return style.strong(title) + "\n" +
    formatTable([["when", "host", "for", ...(hasPlaces ? ["from"] : []), "why"], ...rows]);
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
  lines.push(...guardLines(replayed.guards));
  if (replayed.lines > 0) {
    lines.push(
      `${counted(replayed.lines, "refusal")} from other lines of the log` +
        (replayed.logOnly.size === 0
          ? ""
          : `; of ${counted(replayed.logOnlyHosts, "host")} AMI does not tell`),
    );
  }
  if (replayed.toldTwice > 0) {
    lines.push(`${counted(replayed.toldTwice, "line")} left out: another line tells the same`);
  }
  const most = (of: ReadonlyMap<string, number>) => [...of].sort((a, b) => b[1] - a[1]);
  const kinds = [
    ...most(byKind).map(([key, count]) => [`  ${key}`, formatCount(count)]),
    ...most(replayed.logOnly).map(([key, count]) => [`  ${key}, not on AMI`, formatCount(count)]),
  ];
  return lines.join("\n") + "\n" + formatTable(kinds, ["left", "right"]);
}

/** Accounts that many strangers guessed at. */
function guardLines(guards: readonly ReplayedGuard[]): string[] {
  const lines = guards.slice(0, GUARDS_SHOWN_MAX).map((
    { service, account, since, over, blocked },
  ) =>
    `account "${escapeText(account)}" (${service}) would have been guarded from ${
      formatLocalTime(since)
    } ${over === undefined ? "on" : `to ${formatLocalTime(over)}`}: ${
      counted(blocked, "block")
    } at the first wrong password for it`
  );
  const more = guards.length - lines.length;
  return more > 0 ? [...lines, `and ${counted(more, "more account")}`] : lines;
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

function placeField(place: JudgedPlace | undefined): { place?: ShownPlace | null } {
  return place === undefined ? {} : { place: shownPlace(place) };
}

/**
 * The result for programs: an object for each block, one a line, then one with the totals. Times
 * are ISO 8601 in UTC.
 *
 * @param replayed What was found.
 * @param placeOf Where a target is.
 */
export function formatReplayJson(
  replayed: Replayed,
  placeOf: PlaceOf = () => undefined,
): string {
  const iso = (ms: number | undefined) => ms === undefined ? null : new Date(ms).toISOString();
  const objects = [
    ...[...replayed.blocks, ...replayed.unseen].map((block, index) => ({
      // The daemon does not see those behind, and does not block them.
      type: index < replayed.blocks.length ? "block" : "notBlocked",
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
      ...placeField(placeOf(block.target)),
    })),
    {
      type: "totals",
      events: replayed.events,
      hosts: replayed.hosts,
      from: iso(replayed.from),
      to: iso(replayed.to),
      byKind: Object.fromEntries(replayed.byKind),
      tampered: Object.fromEntries(replayed.tampered),
      lines: replayed.lines,
      toldTwice: replayed.toldTwice,
      notOnAmi: Object.fromEntries(replayed.logOnly),
      notOnAmiHosts: replayed.logOnlyHosts,
      guarded: replayed.guards.map(({ service, account, since, over, blocked }) => ({
        service,
        account,
        since: iso(since),
        over: iso(over),
        blocked,
      })),
      insiders: replayed.insiders.map((insider) => ({ ...insider, at: iso(insider.at) })),
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
