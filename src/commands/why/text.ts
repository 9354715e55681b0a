/**
 * The answer of `ampere --why`, for people and for programs.
 *
 * @module
 */

import { type Block, byAge } from "../../blocks/block.ts";
import { describeDuration } from "../../penalties/reason.ts";
import { escapeControls, escapeText } from "../../text/escape.ts";
import { counted, formatTable, type Style } from "../../text/table.ts";
import { formatLocalTime } from "../../text/time.ts";
import { shownPlace } from "../../telemetry/places.ts";
import { judgedWords } from "../opened_places.ts";
import type { Cure } from "./cures.ts";
import { type BlockedBy, blockedBy, type Known, passesLists, refusingFeeds } from "./facts.ts";

/** Longest reason in the table, in characters. */
const REASON_CHARACTERS_MAX = 200;

/** Longest cause of a fault, in characters. */
const CAUSE_CHARACTERS_MAX = 900;

/** Longest account name in the table, in characters. */
const ACCOUNT_CHARACTERS_MAX = 40;

/** Most blocks within a network that are listed. */
const WITHIN_MAX = 10;

const BY: Readonly<Record<BlockedBy, string>> = {
  attempts: "for its own attempts",
  "slow guesses": "for wrong passwords of many days, each after its points were forgotten",
  insider: "for guessing at accounts of others, though it belongs here (insider = block)",
  "account guard": "by the account guard: many strangers fail on that account",
  neighbours: "for its neighbours: several hosts of the network are blocked",
  fleet: "by another PBX (fleet), which the reason names",
  list: "by hand, with a list that told the reason",
  hand: "by hand (ampere -a)",
};

/**
 * The answer for people.
 *
 * @param known What is known of the target.
 * @param cures What to type.
 * @param backend Which firewall was asked.
 * @param now Time of day, in milliseconds since 1970.
 * @param style Colours, or none.
 */
export function formatWhy(
  known: Known,
  cures: readonly Cure[],
  backend: string,
  now: number,
  style: Style,
): string {
  return `${headline(known, style)}\n${formatTable(whyRows(known, backend, now, style))}${
    attemptTable(known, style)
  }${cureTable(cures, style)}`;
}

/**
 * The answer but for its first line, the attempts and the cures, as rows of a table: what it is
 * about, empty if the same as before, and what is known.
 *
 * @param known What is known of the target.
 * @param backend Which firewall was asked.
 * @param now Time of day, in milliseconds since 1970.
 * @param style Colours, or none.
 */
export function whyRows(known: Known, backend: string, now: number, style: Style): string[][] {
  return [
    ...known.around.flatMap((block) => blockRows(block, known, now)),
    ...withinRows(known),
    ...pointRows(known),
    ...slowRows(known),
    ...standingRows(known, now),
    ...placeRows(known),
    ...listedRows(known),
    ["Trusted", trustWords(known)],
    ...(known.ipv4 === undefined ? [] : [[
      "NAT64",
      `behind it is ${known.ipv4}: who trusts that trusts this; who blocks that does not block this`,
    ]]),
    ["Kernel", kernelWords(known, backend, style)],
    ...forceRows(known, style),
  ];
}

/**
 * The first line of the answer.
 *
 * @param known What is known of the target.
 * @param style Colours, or none.
 */
export function headline(known: Known, style: Style): string {
  const { target, around, within, exempt } = known;
  if (around.length > 0) {
    const own = around.some((block) => block.target === target);
    const with_ = own ? "" : ` with ${around.map((block) => block.target).join(", ")}`;
    return style.bad(`${target} is blocked${with_}`);
  }
  if (within.length > 0) {
    return style.doubtful(
      `${target} is not blocked as a whole; ${counted(within.length, "block")} in it`,
    );
  }
  const refusedBy = refusingFeeds(known);
  if (refusedBy.length > 0) {
    return style.bad(
      `${target} is not blocked for what it did, but refused: it is on ${
        refusedBy.length === 1 ? "the list" : "the lists"
      } ${refusedBy.join(", ")}`,
    );
  }
  return style.good(`${target} is not blocked`) +
    (exempt.some((one) => one.target === target) ? ", and never is" : "");
}

function blockRows(block: Block, { target }: Known, now: number): string[][] {
  const { since, until, times } = block;
  const end = until === undefined
    ? "for ever"
    : `until ${formatLocalTime(until)} (${describeDuration((until - now) / 1000)} left)`;
  const what = block.target === target ? "" : `${block.target} `;
  return [
    [
      "Blocked",
      `${what}since ${formatLocalTime(since)}, ${end}${
        times > 1 ? `; the ${ordinal(times)} time` : ""
      }`,
    ],
    ["", BY[blockedBy(block)]],
    ...(block.reason === "" ? [] : [["", escapeControls(block.reason, REASON_CHARACTERS_MAX)]]),
  ];
}

function withinRows({ within, around }: Known): string[][] {
  const shown = [...within].sort(byAge).slice(-WITHIN_MAX);
  const more = within.length - shown.length;
  return shown.map((block, index) => [
    index === 0 ? (around.length > 0 ? "In it too" : "Blocked in it") : "",
    `${block.target} since ${formatLocalTime(block.since)}, ${
      escapeControls(block.reason, REASON_CHARACTERS_MAX)
    }`,
  ]).concat(more > 0 ? [["", `and ${more} more`]] : []);
}

function ordinal(times: number): string {
  const end = times % 100 >= 11 && times % 100 <= 13
    ? "th"
    : ["th", "st", "nd", "rd"][times % 10] ?? "th";
  return `${times}${end}`;
}

function pointRows({ points, target, isLive }: Known): string[][] {
  const source = isLive ? "" : " when the daemon wrote that last";
  if (points.length === 0) return [["Points", `none${source}`]];
  return points.map(({ host, points, limit, waiting }, index) => [
    index === 0 ? "Points" : "",
    `${host === target ? "" : `${host}: `}${points} of ${limit}${source}` +
    (waiting > 0 ? `, ${counted(waiting, "attempt")} under way` : ""),
  ]);
}

/** What counts beside points: told only if there is anything. */
function slowRows({ slow, insider, isLive }: Known): string[][] {
  const source = isLive ? "" : " when the daemon wrote that last";
  return [
    ...(slow === undefined ? [] : [[
      "Slow guesses",
      `${slow.count} of ${slow.limit} wrong passwords, of earlier days too, without a login${source}`,
    ]]),
    ...(insider === undefined ? [] : [[
      "Insider",
      `${insider.count} of ${insider.limit} failures within a day on accounts that never logged in from there`,
    ]]),
  ];
}

function standingRows({ standing, target, network }: Known, now: number): string[][] {
  if (standing.length === 0) return [["Good standing", "no: nobody logged in from there lately"]];
  return standing.map(([host, at], index) => [
    index === 0 ? "Good standing" : "",
    (host === target ? "yes" : network === undefined ? host : `its neighbour ${host}`) +
    `: last login ${formatLocalTime(at)}, ${describeDuration(Math.max(0, now - at) / 1000)} ago`,
  ]);
}

function placeRows({ place, strict, target }: Known): string[][] {
  if (place === undefined) return [];
  const words = judgedWords(place);
  const where = words === "" ? "not known" : words;
  const of = target.includes("/") ? " (its first address)" : "";
  return [
    ["From", where + of],
    ...(strict === undefined ? [] : [["", `a stranger from there ${strict}`]]),
  ];
}

/** Feeds: what follows from them depends on the feed, and on who belongs here. */
function listedRows({ lists, feeds, target, standing, exempt }: Known): string[][] {
  const isOwn = passesLists({ standing, exempt, target });
  return lists.map(({ name, entry }, index) => {
    const feed = feeds.find((one) => one.name === name);
    const what = feed === undefined
      ? ""
      : isOwn
      ? ": it passes, because it belongs here"
      : feed.inForce
      ? `: refused by the kernel${feed.for === "sip" ? " at the ports of SIP" : ""}`
      : ": one attempt instead of loyalty, as long as it is a stranger";
    return [
      index === 0 ? "Listed" : "",
      `by feed ${name}${entry === target ? "" : ` (${entry})`}${what}`,
    ];
  });
}

function trustWords({ exempt }: Known): string {
  return exempt.length === 0
    ? "no"
    : exempt.map(({ target, why }) => `${target} is never blocked: ${escapeControls(why, 300)}`)
      .join("; ");
}

function kernelWords(known: Known, backend: string, style: Style): string {
  const { kernel, around } = known;
  if (!kernel.isAsked) {
    const fix = kernel.advice === "" ? "" : `. Fix: ${kernel.advice}`;
    return style.doubtful("not known: ") +
      escapeControls(kernel.message + fix, CAUSE_CHARACTERS_MAX);
  }
  const passing = kernel.passing.length === 0
    ? ""
    : `; lets through ${kernel.passing.join(", ")} before it looks at blocks`;
  if (kernel.blocked.length === 0) {
    const words = `${backend} holds no block of it`;
    return (around.length > 0 ? style.bad(words) : words) + passing;
  }
  const words = `${backend} holds ${kernel.blocked.join(", ")}`;
  const isStray = around.length + known.within.length === 0;
  return (isStray ? style.doubtful(`${words}, which the list does not`) : words) + passing;
}

function forceRows({ force, around, within }: Known, style: Style): string[][] {
  if (force === undefined || around.length + within.length === 0) return [];
  if (force.inForce !== "no" && force.inForce !== "partly") return [];
  const fix = force.advice === "" ? "" : `. Fix: ${force.advice}`;
  const what = force.inForce === "no" ? "not in force" : "partly in force";
  return [[
    "",
    style.bad(`blocks are ${what}: `) +
    escapeControls(`${force.message}${fix}`, CAUSE_CHARACTERS_MAX),
  ]];
}

function attemptTable(known: Known, style: Style): string {
  if (known.attempts.length === 0) return "";
  return `\n${style.strong("Last attempts that were charged")}\n${formatTable(attemptRows(known))}`;
}

/**
 * The last attempts as rows of a table, the first with what stands in each column.
 *
 * @param known What is known of the target.
 */
export function attemptRows({ attempts, target }: Known): string[][] {
  const rows = attempts.map(({ at, host, what, account, service, transport, points }) => [
    formatLocalTime(at),
    ...(attempts.some((one) => one.host !== target) ? [host] : []),
    escapeText(what, 32),
    `"${escapeText(account, ACCOUNT_CHARACTERS_MAX)}"`,
    escapeText(transport === "" ? service : `${service} over ${transport}`, 40),
    `${points}`,
  ]);
  const hasHosts = attempts.some((one) => one.host !== target);
  const heads = ["time", ...(hasHosts ? ["host"] : []), "attempt", "account", "by", "points"];
  return [heads, ...rows];
}

function cureTable(cures: readonly Cure[], style: Style): string {
  if (cures.length === 0) return "";
  const lines = cures.map(({ does, type }) => `  ${type}\n      ${escapeControls(does, 300)}\n`);
  return `\n${style.strong("To change it, as root")}\n${lines.join("")}`;
}

/**
 * The answer for programs: one JSON object in a line. Times are ISO 8601 in UTC, or null.
 *
 * @param known What is known of the target.
 * @param cures What to type.
 * @param backend Which firewall was asked.
 */
export function formatWhyJson(known: Known, cures: readonly Cure[], backend: string): string {
  const { target, around, within, kernel, force } = known;
  return JSON.stringify({
    target,
    blocked: around.length > 0,
    daemon: known.isLive,
    blocks: around.map(blockJson),
    blocksWithin: within.map(blockJson),
    points: known.points,
    slow: known.slow ?? null,
    insider: known.insider ?? null,
    goodStanding: known.standing.map(([host, at]) => ({ host, lastLogin: iso(at) })),
    countedWith: known.network ?? null,
    ipv4: known.ipv4 ?? null,
    neverBlocked: known.exempt,
    lists: known.lists,
    refusedByFeeds: refusingFeeds(known),
    kernel: kernel.isAsked
      ? { backend, holds: kernel.blocked, letsThrough: kernel.passing, failure: null }
      : { backend, holds: null, letsThrough: null, failure: kernel.message },
    inForce: force?.inForce ?? null,
    ...(known.place === undefined ? {} : {
      place: shownPlace(known.place),
      strict: known.strict ?? null,
    }),
    attempts: known.attempts.map(({ at, ...attempt }) => ({ at: iso(at), ...attempt })),
    cures,
  });
}

function blockJson(block: Block): unknown {
  const { since, until, ...rest } = block;
  return {
    ...rest,
    since: iso(since),
    until: until === undefined ? null : iso(until),
    by: blockedBy(block),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
