/**
 * Intervals that others have put into nftables: nft reads all of them before it adds anything
 * anywhere, 200 ms for 50,000 (measured with 1.0.6 and 1.1.3). It does so for sets, maps, and the
 * sets without a name in rules; not for those with several fields, nor for those without intervals.
 *
 * @module
 */

import { formatCount } from "../../text/table.ts";
import { eachLine } from "../chain.ts";
import type { CommandResult } from "../command.ts";

/** From so many intervals on each change takes noticeably longer: about 20 ms. */
const MANY = 5_000;

/** Most tables that are looked into. */
const TABLES_MAX = 16;

/** Most sets that are named, and the share of all intervals that one of them has at least. */
const NAMED_MAX = 4;
const SHARE_MIN = 0.02;

/** How long the look at one table may take, in milliseconds. */
const LIST_MS = 10_000;

/** What can be done about such sets. */
export const FOREIGN_SETS_ADVICE = 'set "backend = ipset", which does not read them';

/** The first line of what has a name. */
const BEGIN = /^\t?(table|set|map|chain) (.+?) \{(?: #.*)?$/;

/** Runs nft. */
type RunNft = (
  args: readonly string[],
  options: { readonly output: true; readonly timeoutMs: number },
) => Promise<CommandResult>;

/** One set of intervals, or one rule with such a set. */
interface Intervals {
  /** Family, table and name. */
  readonly place: string;
  /** How many it has. */
  count: number;
}

/**
 * Finds the sets that make changes slow.
 *
 * @param run Runs nft.
 * @returns The largest, each with its family, table, name and number of intervals, as text; none if
 *   all together are too few to matter.
 */
export async function findForeignSets(run: RunNft): Promise<string[]> {
  const found: Intervals[] = [];
  // Without the elements of sets that have a name; it reads no set that is large and harmless. In
  // Ampere's own table there are none of intervals, unless somebody has put one there.
  const terse = await readIntervals(await list(run, "-t", "list", "ruleset"));
  const tables = new Set<string>();
  for (const { table, place, count, isNamed } of terse) {
    if (isNamed) tables.add(table);
    else found.push({ place, count });
  }
  for (const table of [...tables].filter(isPlain).slice(0, TABLES_MAX)) {
    const listed = await readIntervals(await list(run, "list", "table", ...table.split(" ")));
    found.push(...listed.filter(({ isNamed }) => isNamed));
  }
  const all = found.reduce((sum, { count }) => sum + count, 0);
  if (all < MANY) return [];
  const sorted = found.filter(({ count }) => count >= all * SHARE_MIN)
    .sort((a, b) => b.count - a.count);
  const texts = sorted.slice(0, NAMED_MAX).map(({ place, count }) =>
    `${place} (${formatCount(count)} intervals)`
  );
  const others = sorted.length - texts.length;
  return others > 0 ? [...texts, `${formatCount(others)} more`] : texts;
}

/** What was printed until the limit of time or of length is enough to say that it is much. */
async function list(run: RunNft, ...args: string[]): Promise<Uint8Array> {
  return (await run(args, { output: true, timeoutMs: LIST_MS })).stdout;
}

/** Finds the sets of intervals in what nft lists. */
async function readIntervals(
  bytes: Uint8Array,
): Promise<(Intervals & { readonly table: string; readonly isNamed: boolean })[]> {
  const found: (Intervals & { table: string; isNamed: boolean })[] = [];
  let table = "";
  let block = "";
  let isSet = false;
  let isConcatenated = false;
  let isElement = false;
  await eachLine(bytes, (line) => {
    // Behind the brace of a table that belongs to a program nft tells which one that is.
    const [, kind = "", name = ""] = BEGIN.exec(line) ?? [];
    if (kind === "table") table = name;
    else if (kind !== "") {
      block = name;
      isSet = kind !== "chain";
      isConcatenated = isElement = false;
    } else if (!isSet) {
      const count = countInRule(line);
      if (count > 0) {
        found.push({ table, place: `a rule in ${table} ${block}`, count, isNamed: false });
      }
    } else if (/^\t\ttype(of)? .* \. /.test(line)) {
      isConcatenated = true;
    } else if (/^\t\tflags\b.*\binterval\b/.test(line)) {
      if (!isConcatenated) {
        found.push({ table, place: `${table} ${block}`, count: 0, isNamed: true });
      }
    } else if (isElement || line.startsWith("\t\telements = {")) {
      const set = found.at(-1);
      isElement = !line.endsWith("}");
      if (set?.place === `${table} ${block}`) set.count += countItems(line);
    }
  });
  return found;
}

/** How many intervals the sets without a name have that stand in a rule. */
function countInRule(line: string): number {
  let count = 0;
  for (const [, items] of line.matchAll(/ \{ ([^{}]*) \}/g)) {
    // A set of single values is none of intervals, and one with several fields costs nothing.
    const isInterval = /[\da-f:][/-][\da-f:]/.test(items!);
    if (isInterval && !/^\S+ \. /.test(items!)) count += countItems(items!);
  }
  return count;
}

function countItems(line: string): number {
  const text = line.trim().replace(/^elements = \{/, "").replace(/[,}]$/, "").trim();
  return text === "" ? 0 : text.split(",").length;
}

/**
 * Whether words of others can be handed to nft as they are, which reads its arguments as commands.
 */
function isPlain(words: string): boolean {
  return /^[a-z][a-z0-9]* [A-Za-z_.][\w./-]*$/.test(words);
}
