/**
 * What the running daemon knows, for people (`ampere --status`) and for programs (`--json`).
 *
 * @module
 */

import type { Block } from "../blocks/database.ts";
import type { Config } from "../config/config.ts";
import type { Counters } from "./counters.ts";
import type { ExemptTarget } from "../address/exempt.ts";
import type { FirewallStatus } from "../firewall/firewall.ts";
import { formatLocalTime } from "../text/time.ts";
import type { HostStatus } from "../penalties/hosts.ts";
import type { Tally } from "../penalties/offence.ts";
import { escapeControls, escapeText } from "../text/escape.ts";
import { describeDuration, describeTally } from "../penalties/reason.ts";
import { askStatus, RUN_FOLDER, StatusError, statusSocketPath } from "./status_socket.ts";
import { counted, formatTable, type Style, styleFor } from "../text/table.ts";
import { VERSION } from "../version.ts";

/** How many hosts that are not blocked yet are shown. */
const WORST_HOSTS_MAX = 10;

/** How many blocks are shown, the last ones. */
const LAST_BLOCKS_MAX = 10;

/** Longest reason of a block in the table, in characters. */
const REASON_CHARACTERS_MAX = 160;

/** Who can be asked; `Daemon` is one. */
export interface StatusSource {
  readonly config: Config;
  readonly counters: Counters;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Milliseconds since 1970; `undefined` when Asterisk's events do not arrive. */
  readonly connectedSince: number | undefined;
  readonly dryRun: boolean;
  readonly neverBlocked: readonly ExemptTarget[];
  readonly table: {
    readonly size: number;
    readonly standingSize: number;
    readonly waiting: number;
    readonly evicted: number;
    readonly proxies: number;
  };
  readonly list: {
    readonly path: string;
    readonly size: number;
    readonly pending: number;
    readonly trouble: string | undefined;
    all(): Block[];
  };
  readonly firewall: { status(): FirewallStatus };
  /** The hosts with most points; `lastAt` in milliseconds since 1970. */
  worstHosts(count: number): HostStatus[];
}

/** The answer of the daemon. Times are ISO 8601 in UTC, or null. */
export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly dryRun: boolean;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly asterisk: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly connectedSince: string | null;
    readonly logins: number;
    readonly losses: number;
  };
  readonly events: {
    readonly total: number;
    /** By `KIND SERVICE`. */
    readonly byKind: Readonly<Record<string, number>>;
    readonly tampered: number;
    readonly tamperedBy: Readonly<Record<string, number>>;
    readonly offences: number;
    /** Attempts that still reached Asterisk after their host was blocked. */
    readonly late: number;
    /** Failed attempts of hosts that are never blocked, by why they are not. */
    readonly exemptFailures: Readonly<Record<string, number>>;
  };
  readonly hosts: {
    readonly watched: number;
    readonly inGoodStanding: number;
    readonly attemptsWaiting: number;
    readonly evicted: number;
    /** Addresses that seem to hide many callers. */
    readonly proxies: number;
    readonly worst: readonly WatchedHost[];
  };
  readonly blocks: {
    readonly count: number;
    readonly added: number;
    readonly removed: number;
    /** The last one first. */
    readonly last: readonly ShownBlock[];
  };
  readonly firewall: {
    readonly backend: string;
    readonly chain: string;
    readonly applied: number;
    readonly queued: number;
    readonly held: number;
    readonly commands: number;
    readonly failures: number;
    /** What does not work now, one sentence for each family. */
    readonly trouble: readonly { readonly message: string; readonly advice: string }[];
  };
  readonly database: {
    readonly path: string;
    readonly owed: number;
    readonly trouble: string | null;
  };
  /** Canonical addresses and networks, each with its cause; the trust list is among them. */
  readonly neverBlocked: readonly ExemptTarget[];
}

/** A host that is not blocked yet. */
interface WatchedHost extends Tally {
  readonly host: string;
  readonly points: number;
  readonly limit: number;
  /** Attempts that wait for an answer. */
  readonly waiting: number;
  readonly lastAt: string;
}

/** A block as the status shows it. */
interface ShownBlock {
  readonly target: string;
  readonly since: string;
  /** `null` for ever. */
  readonly until: string | null;
  readonly times: number;
  readonly reason: string;
}

/**
 * Asks a daemon in the same process.
 *
 * @param source the daemon
 * @param now time of day, in milliseconds since 1970
 */
export function statusOf(source: StatusSource, now: number): Status {
  const { config, counters, table, list } = source;
  const state = source.firewall.status();
  return {
    version: VERSION,
    pid: Deno.pid,
    dryRun: source.dryRun,
    startedAt: iso(source.startedAt),
    uptimeSeconds: Math.max(0, Math.round((now - source.startedAt) / 1000)),
    asterisk: {
      host: config.host,
      port: config.port,
      user: config.user,
      connectedSince: source.connectedSince === undefined ? null : iso(source.connectedSince),
      logins: counters.logins,
      losses: counters.losses,
    },
    events: {
      total: counters.eventsTotal,
      byKind: Object.fromEntries([...counters.events].sort((a, b) => b[1] - a[1])),
      tampered: counters.tamperedTotal,
      tamperedBy: Object.fromEntries(counters.tampered),
      offences: counters.offences,
      late: counters.lateAttempts,
      exemptFailures: Object.fromEntries(counters.exemptFailures),
    },
    hosts: {
      watched: table.size,
      inGoodStanding: table.standingSize,
      attemptsWaiting: table.waiting,
      evicted: table.evicted,
      proxies: table.proxies,
      worst: source.worstHosts(WORST_HOSTS_MAX).map(watchedHost),
    },
    blocks: {
      count: list.size,
      added: counters.added,
      removed: counters.removed,
      last: list.all().slice(-LAST_BLOCKS_MAX).reverse().map(shownBlock),
    },
    firewall: {
      backend: config.backend,
      chain: config.chain,
      applied: state.applied,
      queued: state.queued,
      held: state.rejected,
      commands: state.commands,
      failures: state.failures,
      trouble: state.families.flatMap(({ failing, lastFailure }) =>
        failing && lastFailure !== undefined
          ? [{ message: lastFailure.message, advice: lastFailure.advice }]
          : []
      ),
    },
    database: { path: list.path, owed: list.pending, trouble: list.trouble ?? null },
    neverBlocked: source.neverBlocked,
  };
}

function watchedHost({ host, points, limit, tally, waiting, lastAt }: HostStatus): WatchedHost {
  return { host, points, limit, ...tally, waiting, lastAt: iso(lastAt) };
}

function shownBlock({ target, since, until, times, reason }: Block): ShownBlock {
  return {
    target,
    since: iso(since),
    until: until === undefined ? null : iso(until),
    times,
    reason,
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/**
 * The status in words and tables.
 *
 * @param status the answer of the daemon
 * @param now time of day, in milliseconds since 1970
 * @param style colours, or none
 */
export function formatStatus(status: Status, now: number, style: Style): string {
  const { asterisk, events, hosts, blocks, firewall, database } = status;
  const rows = [
    [
      "Ampere",
      `${status.version}, process ${status.pid}, up ${describeDuration(status.uptimeSeconds)}` +
      (status.dryRun ? style.doubtful(" (dry run: changes nothing)") : ""),
    ],
    ["Asterisk", asteriskLine(asterisk, now, style)],
    ["Events", `${counted(events.total, "security event")}, ${tamperedWords(events, style)}`],
    [
      "Hosts",
      `${counted(hosts.watched, "host")} watched, ${hosts.inGoodStanding} in good standing`,
    ],
    ...hiddenRows(events, hosts, style),
    [
      "Blocks",
      `${
        counted(blocks.count, "block")
      }; since the start ${blocks.added} added, ${blocks.removed} ended`,
    ],
    ["Firewall", firewallLine(firewall, style)],
    ...firewall.trouble.map(({ message, advice }) => [
      "",
      style.bad(message) + (advice === "" ? "" : `. Fix: ${advice}`),
    ]),
    ["Database", databaseLine(database, style)],
  ];
  return formatTable(rows) + worstTable(hosts.worst, now, style) +
    blocksTable(blocks.last, style);
}

function asteriskLine(asterisk: Status["asterisk"], now: number, style: Style): string {
  const where = `${asterisk.host}:${asterisk.port} as "${escapeText(asterisk.user)}"`;
  const losses = asterisk.losses === 0 ? "" : `, lost ${counted(asterisk.losses, "time")}`;
  if (asterisk.connectedSince === null) {
    return style.bad(`not connected to ${where}`) + `${losses}; see the log, or ampere --check`;
  }
  const since = (now - Date.parse(asterisk.connectedSince)) / 1000;
  return `${style.good("connected")} to ${where} for ${describeDuration(since)}${losses}`;
}

/** What can't be helped by blocking: told only if there is any. */
function hiddenRows(events: Status["events"], hosts: Status["hosts"], style: Style): string[][] {
  const rows: string[][] = [];
  const causes = Object.entries(events.exemptFailures);
  if (causes.length > 0) {
    const parts = causes.map(([cause, count]) => `${count} ${cause}`);
    rows.push(["", style.doubtful("failed logins of hosts never blocked: ") + parts.join(", ")]);
  }
  if (hosts.proxies > 0) {
    rows.push([
      "",
      style.doubtful(
        `${counted(hosts.proxies, "address", "addresses")} that ${
          hosts.proxies === 1 ? "hides" : "hide"
        } who calls`,
      ) + " (see the log for what helps)",
    ]);
  }
  if (events.late > 0) {
    rows.push([
      "",
      `${counted(events.late, "failed attempt")} under way when their hosts were blocked`,
    ]);
  }
  return rows;
}

function tamperedWords(events: Status["events"], style: Style): string {
  if (events.tampered === 0) return "none tampered";
  const parts = Object.entries(events.tamperedBy).map(([reason, count]) => `${count} ${reason}`);
  return style.doubtful(`${events.tampered} tampered`) + ` (${parts.join(", ")})`;
}

function firewallLine(firewall: Status["firewall"], style: Style): string {
  const state = firewall.trouble.length > 0 ? style.bad("failing") : style.good("in order");
  const waiting = firewall.queued + firewall.held;
  return `${state}: ${firewall.backend}, chain ${firewall.chain}, ${
    counted(firewall.applied, "block")
  } in the kernel` +
    (waiting > 0 ? `, ${counted(waiting, "change")} waiting` : "") +
    (firewall.failures > 0 ? `, ${firewall.failures} of ${firewall.commands} commands failed` : "");
}

function databaseLine(database: Status["database"], style: Style): string {
  const path = escapeText(database.path);
  if (database.trouble === null) return `${style.good("in order")}: ${path}`;
  return style.bad(database.trouble) +
    `: ${path}, ${counted(database.owed, "change")} kept in memory; see the log`;
}

function worstTable(hosts: readonly WatchedHost[], now: number, style: Style): string {
  if (hosts.length === 0) return "";
  const rows = hosts.map((host) => [
    host.host,
    `${host.points} of ${host.limit}`,
    `${describeDuration((now - Date.parse(host.lastAt)) / 1000)} ago`,
    describeTally(host) + (host.waiting > 0 ? `, ${host.waiting} under way` : ""),
  ]);
  return "\n" + style.strong("Most penalised, not blocked yet") + "\n" +
    formatTable([["host", "points", "last seen", "attempts"], ...rows], [
      "left",
      "right",
      "right",
    ]);
}

function blocksTable(blocks: readonly ShownBlock[], style: Style): string {
  if (blocks.length === 0) return "";
  const rows = blocks.map((block) => [
    block.target,
    formatLocalTime(Date.parse(block.since)),
    block.until === null ? "for ever" : formatLocalTime(Date.parse(block.until)),
    escapeControls(block.reason, REASON_CHARACTERS_MAX),
  ]);
  return "\n" + style.strong("Last blocks") + "\n" +
    formatTable([["host", "since", "until", "reason"], ...rows]);
}

/**
 * Prints what the running daemon knows.
 *
 * @param config names the database, by which the daemon is found
 * @param json print one JSON object instead of tables
 * @param print writes to standard output
 * @param complain writes a line to standard error
 * @param folder where the daemon's socket is
 * @returns the exit code: 1 when no daemon answers
 */
export async function printStatus(
  config: Config,
  json: boolean,
  print: (text: string) => number,
  complain: (line: string) => void,
  folder: string = RUN_FOLDER,
): Promise<number> {
  let answer: string;
  try {
    answer = await askStatus(await statusSocketPath(config.database, folder));
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    complain(`ampere: ${error.message} (database ${config.database})`);
    if (error.advice !== "") complain(error.advice);
    return 1;
  }
  if (json) return print(`${answer.trimEnd()}\n`);
  return print(formatStatus(JSON.parse(answer), Date.now(), styleFor(Deno.stdout)));
}
