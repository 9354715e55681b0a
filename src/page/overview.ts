/**
 * The first page: what matters in tiles, the last hours in plots, the newest blocks.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import type { Block } from "../blocks/block.ts";
import { placeWords } from "../commands/opened_places.ts";
import { statusRows, worstRows } from "../commands/status.ts";
import { NO_AMI } from "../config/config.ts";
import { describeDuration } from "../penalties/reason.ts";
import { shownPlace } from "../telemetry/places.ts";
import type { Status } from "../telemetry/status.ts";
import { escapeControls } from "../text/escape.ts";
import { counted, formatCount, PLAIN } from "../text/table.ts";
import type { History, Sums } from "./history.ts";
import { type Html, markup, NOTHING } from "./html.ts";
import { hostLink, storyTable, textTable, timeOf } from "./layout.ts";
import { plots, type RangeName, RANGES } from "./plots.ts";
import { FIELDS } from "./search.ts";
import type { PageSource } from "./source.ts";

const HOUR_MS = 3_600_000;

/** Longest reason and account in a row, in characters. */
const REASON_MAX = 160;
const ACCOUNT_MAX = 40;

/** Most countries of a tile. */
const COUNTRIES_MAX = 3;

/** How good something is. */
type State = "good" | "bad" | "doubt" | "";

/** A few words about one thing. */
interface Tile {
  readonly name: string;
  readonly words: string;
  readonly state?: State;
  readonly detail?: string;
}

/**
 * The tiles, without what is around them.
 *
 * @param status What the daemon says.
 * @param history What happened lately.
 * @param now Time of day, in milliseconds since 1970.
 */
export function tiles(status: Status, history: Pick<History, "since">, now: number): Html {
  const hour = history.since(now - HOUR_MS);
  const day = history.since(now - 24 * HOUR_MS);
  const all: Tile[] = [
    connectionTile(status, now),
    forceTile(status),
    {
      name: "Failed attempts in the last hour",
      words: formatCount(attemptsOf(hour)),
      detail: `${formatCount(attemptsOf(day))} within 24 hours`,
    },
    {
      name: "Blocks",
      words: formatCount(status.blocks.count),
      detail: `${formatCount(hour.blocks)} made in the last hour` +
        (status.blocks.networks > 0 ? `, ${counted(status.blocks.networks, "network")}` : ""),
    },
    {
      name: "Hosts watched",
      words: formatCount(status.hosts.watched),
      detail: `${formatCount(status.hosts.inGoodStanding)} in good standing`,
    },
    ...listTile(status),
    ...placeTile(status),
    ...fleetTile(status),
  ];
  return markup`${
    all.map(({ name, words, state = "", detail }) =>
      markup`<li><p>${name}</p><b${
        state === "" ? NOTHING : markup` class="${state}"`
      }>${words}</b><span>${detail}</span></li>`
    )
  }`;
}

function attemptsOf({ attempts }: Sums): number {
  return attempts.reduce((sum, count) => sum + count, 0);
}

function connectionTile({ asterisk, logs }: Status, now: number): Tile {
  const name = "Asterisk";
  if (asterisk.host === NO_AMI) {
    const lost = logs?.files.some(({ trouble }) => trouble !== null) ?? true;
    return {
      name,
      words: lost ? "log not followed" : "by its log",
      state: lost ? "bad" : "good",
      detail: `${counted(logs?.files.length ?? 0, "file")}, no manager interface`,
    };
  }
  if (asterisk.connectedSince === null) {
    return {
      name,
      words: "not connected",
      state: "bad",
      detail: `${asterisk.host}:${asterisk.port}; see the log, or ampere --check`,
    };
  }
  const seconds = (now - Date.parse(asterisk.connectedSince)) / 1000;
  return {
    name,
    words: "connected",
    state: "good",
    detail: `for ${describeDuration(seconds)}` +
      (asterisk.losses === 0 ? "" : `, lost ${counted(asterisk.losses, "time")}`),
  };
}

function forceTile({ firewall, dryRun }: Status): Tile {
  const name = "Blocks in force";
  if (dryRun) return { name, words: "dry run", state: "doubt", detail: "nobody is blocked" };
  const words = firewall.inForce.map(({ family, inForce }) =>
    `IPv${family} ${inForce ?? "not known yet"}`
  ).join(", ");
  const states = firewall.inForce.map(({ inForce }) => inForce);
  const state = firewall.trouble.length > 0 || states.includes("no")
    ? "bad"
    : states.length === 0 || states.includes("partly") || states.includes(null)
    ? "doubt"
    : "good";
  const waiting = firewall.queued + firewall.held;
  return {
    name,
    words: words === "" ? "not known" : words,
    state,
    detail: `${firewall.backend}, ${formatCount(firewall.applied)} in the kernel` +
      (waiting > 0 ? `, ${counted(waiting, "change")} waiting` : ""),
  };
}

function listTile({ lists }: Status): Tile[] {
  const { feeds, trouble } = lists;
  if (feeds.length === 0) return [];
  const entries = feeds.reduce((sum, feed) => sum + feed.entries, 0);
  const failing = feeds.filter((feed) => feed.trouble !== null).map(({ name }) => name);
  const isWell = failing.length === 0 && trouble === null;
  return [{
    name: "Lists of attackers",
    words: counted(feeds.length, "list"),
    state: isWell ? "" : "doubt",
    detail: isWell
      ? counted(entries, "entry", "entries")
      : `not in order: ${failing.join(", ") || trouble?.message}`,
  }];
}

function placeTile({ places }: Status): Tile[] {
  if (places === null) return [];
  const named = Object.entries(places.blocksByCountry).filter(([name]) => name !== "unknown");
  return [{
    name: "Blocked since the start, from",
    words: named.slice(0, COUNTRIES_MAX).map(([name]) => name).join(", ") || "nowhere known",
    detail: named.slice(0, COUNTRIES_MAX).map(([name, count]) => `${name} ${formatCount(count)}`)
      .join(", "),
  }];
}

function fleetTile({ fleet }: Status): Tile[] {
  if (fleet === null) return [];
  const isWell = fleet.connectedSince !== null && fleet.trouble === null;
  const theirs = Object.values(fleet.theirs).reduce((sum, count) => sum + count, 0);
  return [{
    name: "Fleet",
    words: isWell ? counted(fleet.nodes.length, "machine") : "not connected",
    state: isWell ? "good" : "doubt",
    detail: `${formatCount(fleet.own)} own blocks shared, ${formatCount(theirs)} of others`,
  }];
}

/**
 * A block as a row of a table.
 *
 * @param block The block.
 * @param places Knows where it is from.
 */
export function blockRow(block: Block, places: PageSource["places"]): Html {
  const { target, since, until, account, reason } = block;
  const place = places.files === undefined
    ? NOTHING
    : markup`<td class="wide">${placeWords(shownPlace(places.of(target)))}</td>`;
  return markup`<tr data-target="${target}"><th scope="row">${hostLink(target)}</th><td>${
    timeOf(since)
  }</td><td class="wide">${
    until === undefined ? "for ever" : timeOf(until)
  }</td>${place}<td class="wide">${escapeControls(account, ACCOUNT_MAX)}</td><td>${
    escapeControls(reason, REASON_MAX)
  }</td></tr>`;
}

/**
 * Blocks as a table; new ones come in at the top where the page is live.
 *
 * @param rows Rows of {@linkcode blockRow}.
 * @param caption What they are.
 * @param places Whether it is known where hosts are.
 */
export function blockTable(
  rows: readonly Html[],
  caption: string,
  places: PageSource["places"],
): Html {
  const place = places.files === undefined
    ? NOTHING
    : markup`<th scope="col" class="wide">from</th>`;
  const none = rows.length === 0 ? markup`<p id="none">None.</p>` : NOTHING;
  return markup`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption><thead><tr><th scope="col">host</th><th scope="col">since</th>
<th scope="col" class="wide">until</th>${place}<th scope="col" class="wide">account</th>
<th scope="col">reason</th></tr></thead><tbody id="rows">${rows}</tbody></table></div>${none}`;
}

/** What the first page shows. */
interface Overview {
  readonly source: PageSource;
  readonly status: Status;
  readonly history: History;
  readonly range: RangeName;
  /** The newest first. */
  readonly newest: readonly Block[];
  /** Time of day, in milliseconds since 1970. */
  readonly now: number;
  readonly mayAct: boolean;
}

/**
 * The first page.
 *
 * @param shown What it shows.
 */
export function overview(shown: Overview): Html {
  const { source, status, history, range, newest, now, mayAct } = shown;
  const { lengthMs, count, words } = RANGES[range];
  const links = Object.entries(RANGES).map(([name, { words }]) =>
    name === range
      ? markup`<strong>${words}</strong>`
      : markup`<a href="/?range=${name}">${words}</a>`
  );
  const worst = status.hosts.worst.length === 0
    ? NOTHING
    : textTable("Most penalised, not blocked yet", worstRows(status.hosts.worst, now));
  return markup`<h1>Overview</h1>${troubles(status)}
<ul class="tiles" id="tiles" aria-label="State">${tiles(status, history, now)}</ul>
<h2>The last ${words}</h2><nav class="pages" aria-label="How much of the past">${links}</nav>
${plots(history.bins(now, lengthMs, count), RANGES[range])}
<h2>Newest blocks</h2>
${searchForm("", "anything")}
${blockTable(newest.map((block) => blockRow(block, source.places)), "Newest blocks", source.places)}
<p><a href="/blocks">All blocks</a></p>
${worst}${trusted(status, mayAct)}
<h2>Status</h2>${storyTable(statusRows(status, now, PLAIN))}`;
}

/** What somebody has to do something about. */
function troubles({ firewall, database, asterisk }: Status): Html {
  const told = firewall.inForce.flatMap(({ family, inForce, message, advice }) =>
    inForce === "no" || inForce === "partly"
      ? [
        `IPv${family}: blocks are ${inForce === "no" ? "not" : "only partly"} in force: ${message}${
          fixOf(advice)
        }`,
      ]
      : []
  );
  if (database.trouble !== null) {
    told.push(`Database ${database.path}: ${database.trouble}; changes are kept in memory`);
  }
  if (asterisk.host !== NO_AMI && asterisk.connectedSince === null) {
    told.push("Asterisk's events do not arrive: nobody new is blocked");
  }
  return markup`${told.map((text) => markup`<p class="note bad" role="alert">${text}</p>`)}`;
}

/** Those who are trusted for a time. */
function trusted({ trust }: Status, mayAct: boolean): Html {
  if (trust.timed.length === 0) return NOTHING;
  const rows = trust.timed.map(({ target, until, remark }) =>
    markup`<tr><th scope="row">${hostLink(target)}</th><td>${
      timeOf(Date.parse(until))
    }</td><td>${remark}</td>${
      mayAct
        ? markup`<td><form method="post" action="/actions"><input type="hidden" name="target" value="${target}"><button
 name="action" value="distrust" aria-label="Stop trusting ${target}">Stop</button></form></td>`
        : NOTHING
    }</tr>`
  );
  return markup`<h2>Trusted for a time</h2><div class="scroll" role="region"
 aria-label="Trusted for a time" tabindex="0"><table><thead><tr><th scope="col">host</th>
<th scope="col">until</th><th scope="col">by</th>${
    mayAct ? markup`<th scope="col">end it</th>` : NOTHING
  }</tr></thead><tbody>${rows}</tbody></table></div>`;
}

/**
 * The form that searches blocks.
 *
 * @param text What was searched for.
 * @param field Where.
 */
export function searchForm(text: string, field: string): Html {
  const fields = FIELDS.map((name) =>
    markup`<option${name === field ? markup` selected` : NOTHING}>${name}</option>`
  );
  return markup`<form class="line" action="/blocks" role="search" aria-label="Blocks">
<label for="q">Search</label><input id="q" name="q" type="search" value="${text}" maxlength="100"
 placeholder="203.0.113.0/24, an account, DE">
<label for="in">in</label><select id="in" name="in">${fields}</select><button>Search</button></form>`;
}
