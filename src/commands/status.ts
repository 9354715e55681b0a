/**
 * `ampere --status`: asks the daemon, and shows its answer to a person.
 *
 * @module
 */

import { type Config, NO_AMI } from "../config/config.ts";
import { describeDuration, describeTally } from "../penalties/reason.ts";
import { holderOf } from "../firewall/choice.ts";
import { IN_FORCE_WORDS } from "../firewall/judgement.ts";
import {
  type ForceStatus,
  REASON_CHARACTERS_MAX,
  type ShownBlock,
  type Status,
  type WatchedHost,
} from "../telemetry/status.ts";
import { fleetRows } from "../telemetry/fleet.ts";
import { listRows } from "../telemetry/lists.ts";
import { messengerRows } from "../telemetry/messengers.ts";
import {
  askStatus,
  RUN_FOLDER,
  StatusError,
  statusSocketPath,
} from "../telemetry/status_socket.ts";
import { escapeControls, escapeText } from "../text/escape.ts";
import { counted, formatCount, formatTable, type Style, styleFor } from "../text/table.ts";
import { formatLocalTime } from "../text/time.ts";
import { placeRows, placeWords } from "./opened_places.ts";

/** Longest cause why blocks are not in force with what mends it, in characters. */
const CAUSE_CHARACTERS_MAX = 900;

/** Most targets that are named as not in the kernel yet. */
const WAITING_SHOWN_MAX = 5;

/**
 * The status in words and tables.
 *
 * @param status The answer of the daemon.
 * @param now Time of day, in milliseconds since 1970.
 * @param style Colours, or none.
 */
export function formatStatus(status: Status, now: number, style: Style): string {
  const { hosts, blocks } = status;
  return formatTable(statusRows(status, now, style)) + worstTable(hosts.worst, now, style) +
    blocksTable(blocks.last, style);
}

/**
 * The status but for hosts and blocks, as rows of a table: what it is about, empty if the same as
 * before, and what is known.
 *
 * @param status The answer of the daemon.
 * @param now Time of day, in milliseconds since 1970.
 * @param style Colours, or none.
 */
export function statusRows(status: Status, now: number, style: Style): string[][] {
  const { asterisk, events, hosts, blocks, firewall, database } = status;
  return [
    [
      "Ampere",
      `${status.version}, process ${status.pid}, up ${describeDuration(status.uptimeSeconds)}` +
      (status.dryRun ? style.doubtful(" (dry run: changes nothing)") : ""),
    ],
    ["Asterisk", asteriskLine(asterisk, now, style)],
    ...logRows(status.logs, style),
    ["Events", `${counted(events.total, "security event")}, ${tamperedWords(events, style)}`],
    [
      "Hosts",
      `${counted(hosts.watched, "host")} watched, ${hosts.inGoodStanding} in good standing`,
    ],
    ...hiddenRows(events, hosts, style),
    ...slowRows(status.slow, style),
    ...guardRows(status.guard, now, style),
    ...insiderRows(status.insiders, now, style),
    [
      "Blocks",
      `${counted(blocks.count, "block")}${
        blocks.networks > 0 ? `, ${counted(blocks.networks, "network")} for the hosts inside` : ""
      }; since the start ${blocks.added} added, ${blocks.removed} ended`,
    ],
    ["Firewall", firewallLine(status, style)],
    ...choiceRows(firewall),
    ...forceRows(firewall, style),
    ...troubleRows(firewall, style),
    ...listRows(status.lists, now, style),
    ...messengerRows(status.messengers, now, style),
    ...fleetRows(status.fleet, now, style),
    ...pageRows(status.page, style),
    ["Database", databaseLine(database, style)],
    ...trustRows(status.trust, now, style),
    ...placeRows(status.places, style),
  ];
}

function asteriskLine(asterisk: Status["asterisk"], now: number, style: Style): string {
  const where = `${asterisk.host}:${asterisk.port} as "${escapeText(asterisk.user)}"`;
  const losses = asterisk.losses === 0 ? "" : `, lost ${counted(asterisk.losses, "time")}`;
  if (asterisk.host === NO_AMI) return "its manager interface is not used (host = none)";
  if (asterisk.connectedSince === null) {
    return style.bad(`not connected to ${where}`) + `${losses}; see the log, or ampere --check`;
  }
  const since = (now - Date.parse(asterisk.connectedSince)) / 1000;
  return `${style.good("connected")} to ${where} for ${describeDuration(since)}${losses}`;
}

function pageRows(page: Status["page"] | undefined, style: Style): string[][] {
  // A daemon that was not started again after an update does not tell it yet.
  if (page === undefined || page === null) return [];
  const { url, trouble } = page;
  const words = trouble === null
    ? url
    : `${style.doubtful(`not served at ${url}`)}: ${escapeControls(trouble, CAUSE_CHARACTERS_MAX)}`;
  return [["Page", words]];
}

/** Asterisk's logs that are followed. */
function logRows(logs: Status["logs"] | undefined, style: Style): string[][] {
  // A daemon that was not started again after an update does not tell it yet.
  if (logs === undefined || logs === null) return [];
  const rows = logs.files.map(({ path, lines, tampered, behindBytes, trouble, advice }) => {
    const name = escapeText(path);
    if (trouble !== null) {
      const why = advice === "" ? trouble : `${trouble}. Fix: ${advice}`;
      return `${style.bad("not followed")}: ${escapeControls(why, CAUSE_CHARACTERS_MAX)}`;
    }
    return `${style.good("followed")}: ${name}, ${counted(lines, "line")}` +
      (tampered === 0 ? "" : `, ${style.doubtful(`${formatCount(tampered)} not believed`)}`) +
      (behindBytes === 0 ? "" : `, ${formatCount(behindBytes)} bytes behind`);
  });
  const kinds = Object.entries(logs.charged).map(([kind, count]) =>
    `${formatCount(count)} ${kind}`
  );
  rows.push(
    `${kinds.length === 0 ? "no line charged" : `charged: ${kinds.join(", ")}`}; ${
      counted(logs.toldTwice, "line")
    } told what was told already`,
  );
  return rows.map((row, index) => [index === 0 ? "Log" : "", row]);
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

/** Accounts that many strangers guess at: told only if there are any. */
function guardRows(guard: Status["guard"] | undefined, now: number, style: Style): string[][] {
  // A daemon that was not started again after an update does not tell it yet.
  if (guard === undefined || guard.accounts === 0) return [];
  const rows = guard.longest.map(({ service, account, since, blocked }) =>
    `${style.doubtful("guarded")}: "${escapeText(account)}" (${service}) for ${
      describeDuration((now - Date.parse(since)) / 1000)
    }, ${counted(blocked, "host")} blocked for it`
  );
  const more = guard.accounts - rows.length;
  if (more > 0) rows.push(`and ${counted(more, "more account")}`);
  return rows.map((row, index) => [index === 0 ? "Accounts" : "", row]);
}

/** Who guesses slowly: told only if there is anybody. */
function slowRows(slow: Status["slow"] | undefined, style: Style): string[][] {
  if (slow === undefined || slow.hosts + slow.blocked === 0) return [];
  const blocked = slow.blocked === 0
    ? ""
    : `; since the start ${style.doubtful(counted(slow.blocked, "time"))} one was blocked for them`;
  return [[
    "",
    `${counted(slow.hosts, "host")} with wrong passwords of earlier days and no login${blocked}`,
  ]];
}

/** Who belongs here and guesses at accounts of others: told only if there is anybody. */
function insiderRows(
  insiders: Status["insiders"] | undefined,
  now: number,
  style: Style,
): string[][] {
  if (insiders === undefined || insiders.last.length === 0) return [];
  return insiders.last.map(({ host, login, service, account, accounts, likePhones, at }, index) => [
    index === 0 ? "Insiders" : "",
    `${style.doubtful(host)}${
      login === "" ? "" : `, logged in as "${escapeText(login)}",`
    } fails on "${escapeText(account)}" (${service})${
      accounts === 1 ? "" : ` and ${counted(accounts - 1, "other account")}`
    }: told ${describeDuration((now - Date.parse(at)) / 1000)} ago; ${
      likePhones ? "a phone with an old password? Correct it" : "ask its owner"
    }`,
  ]);
}

function tamperedWords(events: Status["events"], style: Style): string {
  if (events.tampered === 0) return "none tampered";
  const parts = Object.entries(events.tamperedBy).map(([reason, count]) => `${count} ${reason}`);
  return style.doubtful(`${events.tampered} tampered`) + ` (${parts.join(", ")})`;
}

function firewallLine({ firewall, dryRun }: Status, style: Style): string {
  const isLost = firewall.inForce.some((one) => one.family === 4 && isNotInForce(one));
  const state = firewall.trouble.length > 0
    ? style.bad("failing")
    : isLost
    ? style.bad("not in order")
    : style.good("in order");
  const waiting = firewall.queued + firewall.held;
  const holder = holderOf(firewall.backend, firewall.chain);
  const action = firewall.action === "drop" ? ", packets are dropped" : "";
  return `${state}: ${firewall.backend}, ${holder}, ${counted(firewall.applied, "block")}${
    dryRun ? " would be" : ""
  } in the kernel${action}` +
    (waiting > 0 ? `, ${counted(waiting, "change")} waiting` : "") +
    (firewall.flushes > 0 ? `, put back ${counted(firewall.flushes, "time")}` : "") +
    (firewall.failures > 0 ? `, ${firewall.failures} of ${firewall.commands} commands failed` : "");
}

/** Why it is this firewall, if nobody has named one. */
function choiceRows({ configured, backend, why }: Status["firewall"]): string[][] {
  return configured === "auto" ? [["", `${backend} was chosen, because ${escapeText(why)}`]] : [];
}

/** What does not work, unless it stands there as the cause why blocks are not in force. */
function troubleRows({ trouble, inForce }: Status["firewall"], style: Style): string[][] {
  const causes = inForce.filter(isNotInForce).map((one) => `IPv${one.family}: ${one.message}`);
  return trouble
    .filter(({ message }) => !causes.some((cause) => message.startsWith(cause)))
    .map(({ message, advice }) => [
      "",
      style.bad(message) + (advice === "" ? "" : `. Fix: ${advice}`),
    ]);
}

/** Whether blocks are in force: told if they are not. */
function forceRows(
  { inForce, asterisk, doubt, jump }: Status["firewall"],
  style: Style,
): string[][] {
  const rows = inForce.filter(isNotInForce).map((one) => {
    const { family, message, advice } = one;
    const words = `IPv${family}: blocks are ${IN_FORCE_WORDS[one.inForce!]}`;
    const painted = family === 4 ? style.bad(words) : style.doubtful(words);
    return [
      "",
      painted +
      `: ${
        escapeControls(advice === "" ? message : `${message}. Fix: ${advice}`, CAUSE_CHARACTERS_MAX)
      }`,
    ];
  });
  const waiting = inForce.flatMap((one) => isNotInForce(one) ? [] : one.waiting);
  if (waiting.length > 0) {
    rows.push(["", style.doubtful("not in the kernel yet: ") + named(waiting)]);
  }
  if (asterisk.kind === "behind") {
    rows.push(["", `Asterisk is at ${asterisk.address}, behind ${escapeText(asterisk.interface)}`]);
  }
  if (doubt !== null) {
    rows.push([
      "",
      style.doubtful(`Asterisk says that it is reached at ${doubt}`) +
      ": if it runs there, and only its manager interface is reached here, blocks here protect nothing",
    ]);
  }
  if (jump.length > 0) rows.push(["", `Ampere makes the jump in ${jump.join(", ")}`]);
  return rows;
}

function isNotInForce({ inForce }: ForceStatus): boolean {
  return inForce === "no" || inForce === "partly";
}

function named(targets: readonly string[]): string {
  const more = targets.length - WAITING_SHOWN_MAX;
  return targets.slice(0, WAITING_SHOWN_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function databaseLine(database: Status["database"], style: Style): string {
  const path = escapeText(database.path);
  if (database.trouble === null) return `${style.good("in order")}: ${path}`;
  return style.bad(database.trouble) +
    `: ${path}, ${counted(database.owed, "change")} kept in memory; see the log`;
}

/** Names and the file: what is trusted for them may change by itself. */
function trustRows(trust: Status["trust"] | undefined, now: number, style: Style): string[][] {
  // A daemon that was not started again after an update does not tell it yet.
  if (trust === undefined) return [];
  const rows: string[] = [];
  if (trust.file !== null) {
    const { path, entries, trouble } = trust.file;
    rows.push(
      `${escapeText(path)}: ${counted(entries, "entry", "entries")}` +
        (trouble === null ? "" : `, ${style.bad(escapeControls(trouble, REASON_CHARACTERS_MAX))}`),
    );
  }
  for (const { name, addresses, answeredAt, failing } of trust.names) {
    const known = addresses.length === 0 ? style.bad("nobody") : addresses.join(", ");
    const age = answeredAt === null
      ? "never answered"
      : `answered ${describeDuration((now - Date.parse(answeredAt)) / 1000)} ago`;
    const why = failing === null ? "" : `; ${style.doubtful(escapeControls(failing, 200))}`;
    rows.push(`${name} → ${known} (${age}${why})`);
  }
  for (const { target, until, remark } of trust.timed ?? []) {
    const end = Date.parse(until);
    rows.push(
      `${target} until ${formatLocalTime(end)} (${
        describeDuration(Math.max(0, end - now) / 1000)
      } left)${remark === "" ? "" : `: ${escapeControls(remark, REASON_CHARACTERS_MAX)}`}`,
    );
  }
  return rows.map((row, index) => [index === 0 ? "Trusted" : "", row]);
}

function worstTable(hosts: readonly WatchedHost[], now: number, style: Style): string {
  if (hosts.length === 0) return "";
  return "\n" + style.strong("Most penalised, not blocked yet") + "\n" +
    formatTable(worstRows(hosts, now), ["left", "right", "right"]);
}

/**
 * Hosts that are not blocked yet as rows of a table, the first with what stands in each column.
 *
 * @param hosts The hosts.
 * @param now Time of day, in milliseconds since 1970.
 */
export function worstRows(hosts: readonly WatchedHost[], now: number): string[][] {
  // Only where places are known, and a daemon of before does not tell them.
  const hasPlaces = hosts.some(({ place }) => place !== null && place !== undefined);
  const rows = hosts.map((host) => [
    host.host,
    `${host.points} of ${host.limit}`,
    `${describeDuration((now - Date.parse(host.lastAt)) / 1000)} ago`,
    ...(hasPlaces ? [placeWords(host.place)] : []),
    describeTally(host) + (host.waiting > 0 ? `, ${host.waiting} under way` : ""),
  ]);
  return [["host", "points", "last seen", ...(hasPlaces ? ["from"] : []), "attempts"], ...rows];
}

function blocksTable(blocks: readonly ShownBlock[], style: Style): string {
  if (blocks.length === 0) return "";
  const hasPlaces = blocks.some(({ place }) => place !== null && place !== undefined);
  const rows = blocks.map((block) => [
    block.target,
    formatLocalTime(Date.parse(block.since)),
    block.until === null ? "for ever" : formatLocalTime(Date.parse(block.until)),
    ...(hasPlaces ? [placeWords(block.place)] : []),
    escapeControls(block.reason, REASON_CHARACTERS_MAX),
  ]);
  return "\n" + style.strong("Last blocks") + "\n" +
    formatTable([["host", "since", "until", ...(hasPlaces ? ["from"] : []), "reason"], ...rows]);
}

/**
 * Prints what the running daemon knows.
 *
 * @param config Names the database, by which the daemon is found.
 * @param json Print one JSON object instead of tables.
 * @param print Writes to standard output.
 * @param complain Writes a line to standard error.
 * @param folder Where the daemon's socket is.
 * @returns The exit code: 1 when no daemon answers.
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
