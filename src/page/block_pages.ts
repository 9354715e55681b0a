/**
 * The list of blocks, a hundred a page; and the page of one host.
 *
 * @module
 */

import { ExemptSet } from "../address/exempt.ts";
import { overlaps } from "../address/address.ts";
import { AddressSet } from "../address/address_set.ts";
import { BlockDatabase, BlockDatabaseError } from "../blocks/database.ts";
import { trustedNow } from "../commands/trusted.ts";
import { curesFor } from "../commands/why/cures.ts";
import { knownOf } from "../commands/why/known.ts";
import { attemptRows, headline, whyRows } from "../commands/why/text.ts";
import { LOOK_MAX } from "../telemetry/look.ts";
import { statusOf } from "../telemetry/status.ts";
import { counted, formatCount, PLAIN } from "../text/table.ts";
import type { Budget } from "./budget.ts";
import { type Html, markup, NOTHING } from "./html.ts";
import { storyTable, textTable } from "./layout.ts";
import { blockRow, blockTable, searchForm } from "./overview.ts";
import { findBlocks, type Place } from "./scan.ts";
import { readPlace, readSearch, type Search, testOf } from "./search.ts";
import type { PageSource } from "./source.ts";

/** Longest table of a page, in characters: with strange texts it has fewer rows. */
const TABLE_CHARACTERS_MAX = 88_000;

/** How long the database is waited for, in milliseconds. */
const BUSY_MS = 50;

/** What a page is made with. */
interface Making {
  readonly source: PageSource;
  readonly budget: Budget;
  /** Whether nobody waits any more. */
  readonly isOver: () => boolean;
}

/** Lengths that a block or a trust may have, in seconds. */
export const LENGTHS: Readonly<Record<string, number>> = {
  "15m": 900,
  "1h": 3_600,
  "6h": 21_600,
  "1d": 86_400,
  "7d": 604_800,
  "30d": 2_592_000,
};

/** Lengths as people say them. */
const LENGTH_WORDS: Readonly<Record<string, string>> = {
  "15m": "15 minutes",
  "1h": "an hour",
  "6h": "6 hours",
  "1d": "a day",
  "7d": "7 days",
  "30d": "30 days",
};

/** Words for what was done. */
export const DONE = {
  release: "Released. What it has cost is forgotten.",
  block: "Blocked.",
  trust: "Trusted for a time: it is not blocked until then.",
  distrust: "Not trusted any more.",
} as const;

/**
 * The list of blocks.
 *
 * @param query What was asked for.
 * @param making What it is made with.
 */
export async function blocksPage(
  query: URLSearchParams,
  { source, budget, isOver }: Making,
): Promise<Html> {
  const search = readSearch(query);
  const before = readPlace(query.get("before"));
  const after = before === undefined ? readPlace(query.get("after")) : undefined;
  const { list, places } = source;
  const wanted = { matches: testOf(search, places), before, after };
  const found = await findBlocks(list.each(), wanted, budget, isOver);
  return budget.spend(() => {
    const rows: Html[] = [];
    let length = 0;
    // What does not fit is cut at the end from which the next page goes on.
    const inOrder = after === undefined ? found.blocks : [...found.blocks].reverse();
    for (const block of inOrder) {
      const row = blockRow(block, places);
      length += row.text.length;
      if (length > TABLE_CHARACTERS_MAX) break;
      rows.push(row);
    }
    const cut = inOrder.length - rows.length;
    const shown = inOrder.slice(0, rows.length);
    if (after !== undefined) {
      rows.reverse();
      shown.reverse();
    }
    const newer = found.newer + (after === undefined ? 0 : cut);
    const older = found.matching - newer - shown.length;
    const [first, last] = [shown[0], shown.at(-1)];
    const range = shown.length === 0
      ? "none"
      : `${formatCount(newer + 1)} to ${formatCount(newer + shown.length)} of ${
        formatCount(found.matching)
      }`;
    const caption = search.text === ""
      ? `Blocks, the newest first: ${range}`
      : `Blocks found: ${range}`;
    return markup`
        <h1>Blocks</h1>${searchForm(search.text, search.field)}
        <p>
          ${counted(found.matching, "block")}${
      search.text === "" ? NOTHING : markup` with “${search.text}” (<a href="/blocks">all</a>)`
    }. For other firewalls: <a href="/blocks.txt">blocks.txt</a>, <a
            href="/blocks.json"
          >blocks.json</a>.
        </p>
        ${blockTable(rows, caption, places)}
        <nav class="pages" aria-label="Pages of the list">
          ${newer === 0 ? NOTHING : markup`<a href="${linkTo(search)}">First</a>`}${
      newer === 0 || first === undefined
        ? NOTHING
        : markup`<a rel="prev" href="${linkTo(search, "after", first)}">Newer</a>`
    }<span>${range}</span>${
      older <= 0 || last === undefined
        ? NOTHING
        : markup`<a rel="next" href="${linkTo(search, "before", last)}">Older</a>`
    }
        </nav>
      `;
  });
}

function linkTo({ text, field }: Search, side?: "before" | "after", place?: Place): string {
  const query = new URLSearchParams();
  if (text !== "") query.set("q", text);
  if (text !== "" && field !== "anything") query.set("in", field);
  if (side !== undefined) query.set(side, `${place!.since}_${place!.target}`);
  return query.size === 0 ? "/blocks" : `/blocks?${query}`;
}

/**
 * The page of a host or network: what `ampere --why` tells.
 *
 * @param target Canonical address or network.
 * @param done What was done a moment ago; or why it was not.
 * @param mayAct Whether the visitor may change it.
 * @param making What it is made with.
 */
export async function hostPage(
  target: string,
  done: { readonly words: string; readonly isDone: boolean } | undefined,
  mayAct: boolean,
  { source, budget, isOver }: Making,
): Promise<Html> {
  const { config, list, places, neverBlocked } = source;
  const blocks = target.includes("/")
    ? await blocksIn(target, { source, budget, isOver })
    : undefined;
  const now = Date.now();
  const status = budget.spend(() => statusOf(source, now, { blocks: 0, hosts: 0 }));
  const trusted = await trustedNow(config, status.trust);
  return budget.spend(() => {
    using database = openForReading(list.path);
    const asked = {
      config,
      status,
      database,
      exempt: new ExemptSet(neverBlocked),
      origins: trusted.origins,
      places: { judged: (one: string) => places.of(one), strict: places.strict },
      now,
    };
    const known = knownOf(target, source.inquiry.look(target, blocks), NOT_ASKED, asked);
    const { name } = source.backend;
    const attempts = known.attempts.length === 0
      ? NOTHING
      : textTable("Last attempts that were charged", attemptRows(known));
    const cures = curesFor(known, undefined).map(({ does, type }) =>
      markup`<p>${does}</p><pre>${type}</pre>`
    );
    const note = done === undefined
      ? NOTHING
      : markup`<p class="note ${done.isDone ? "good" : "bad"}" role="status">${done.words}</p>`;
    const isBlocked = known.around.some((block) => block.target === target);
    const isTimed = status.trust.timed.some((entry) => entry.target === target);
    return markup`
      ${note}<h1>${headline(known, PLAIN)}</h1>
      ${storyTable(whyRows(known, name, now, PLAIN))} ${
      mayAct ? actionForms(target, isBlocked, isTimed) : NOTHING
    }${attempts}
      <h2>To change it, as root</h2>${cures}
    `;
  });
}

/** The kernel is asked by reading all that it holds: that is for who sits at the machine. */
const NOT_ASKED = {
  isAsked: false,
  message: "this page does not ask it, because that reads all blocks; what the daemon put there " +
    "it compares with the list again and again (verify)",
  advice: "ampere --why ADDRESS asks it now",
  isDenied: false,
} as const;

async function blocksIn(target: string, { source, budget, isOver }: Making) {
  const set = new AddressSet([target]);
  const matches = ({ target }: { target: string }) => set.overlaps(target);
  const found = await findBlocks(source.list.each(), { matches, rows: LOOK_MAX }, budget, isOver);
  // What holds all of it counts most, however old it is.
  const around = source.list.get(target);
  const has = found.blocks.some((block) => block.target === target);
  const all = around === undefined || has ? found.blocks : [around, ...found.blocks];
  return all.filter((block) => overlaps(block.target, target)).reverse();
}

function openForReading(path: string): BlockDatabase | undefined {
  try {
    return BlockDatabase.open(path, { readOnly: true, busyTimeout: BUSY_MS });
  } catch (error) {
    if (!(error instanceof BlockDatabaseError)) throw error;
    // What the daemon itself knows is told.
    return undefined;
  }
}

function actionForms(target: string, isBlocked: boolean, isTimed: boolean): Html {
  const form = (action: string, words: string, length: Html = NOTHING) =>
    markup`
      <form class="line" method="post" action="/actions">
        <input type="hidden" name="target" value="${target}">${length}<button
          name="action"
          value="${action}"
        >
          ${words}
        </button>
      </form>
    `;
  const lengths = (id: string, label: string, usual: string) =>
    markup`
      <label for="${id}">${label}</label><select id="${id}" name="length">
        ${
      Object.keys(LENGTHS).map((name) =>
        markup`
            <option value="${name}" ${name === usual ? markup` selected` : NOTHING}>${
          LENGTH_WORDS[name]
        }</option>
          `
      )
    }
      </select>
    `;
  return markup`
    <h2>Change it</h2>${isBlocked ? form("release", "Release") : NOTHING}${
    form(
      "block",
      "Block",
      lengths("block-for", "Block for", "1d"),
    )
  }${form("trust", "Trust", lengths("trust-for", "Trust for", "1h"))}${
    isTimed ? form("distrust", "Stop trusting") : NOTHING
  }
  `;
}

/**
 * The page where people log in.
 *
 * @param wrong Why they could not; `undefined` if they did not try.
 * @param next Where they wanted to go.
 */
export function loginPage(wrong: string | undefined, next: string): Html {
  const note = wrong === undefined
    ? NOTHING
    : markup`<p class="note bad" role="alert">${wrong}</p>`;
  return markup`
    <h1>Log in</h1>${note}
    <form class="line" method="post" action="/login">
      <input type="hidden" name="next" value="${next}">
      <label for="token">Token</label><input
        id="token"
        name="token"
        type="password"
        autocomplete="current-password"
        required
      ><button>Log in</button>
    </form>
    <p>
      The token was shown by <code>ampere --page-token</code>, which makes a new one when it is lost.
    </p>
  `;
}
