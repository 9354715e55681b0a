/**
 * What `ampere -a` and `ampere -d` read: lines of `ampere -l`, addresses in the ways in which
 * people and other programs write them, and JSON.
 *
 * @module
 */

import { parseTargets } from "../address/ranges.ts";
import { escapeText } from "../text/escape.ts";
import { parseLocalTime, withoutMark } from "./block_lines.ts";
import { type ForeignLine, readDecision, readForeignLine } from "./foreign_lines.ts";
import type { NewBlock } from "./block.ts";

/**
 * Longest line with columns that is read, in characters: an address, two dates and a reason fit
 * several times.
 */
export const LINE_CHARACTERS_MAX = 1_000;

/** Longest line of addresses, in characters: 60,000 fit. JSON may be as long as the input. */
export const LIST_CHARACTERS_MAX = 1_048_576;

/**
 * JSON that begins in a line and never ends: so often the rest of the input is searched for its
 * end.
 */
const ENDLESS_JSON_MAX = 16;

/** What one line of input says. */
type InputLine =
  | {
    readonly kind: "blocks";
    readonly blocks: readonly NewBlock[];
    /** What is wrong beside them: only JSON is taken in part. */
    readonly bad: readonly string[];
  }
  | { readonly kind: "empty" }
  | { readonly kind: "bad"; readonly message: string };

/** What a block is made of beside its target. */
type Rest = Omit<NewBlock, "target">;

/** When a line begins and ends that does not say so. */
interface Times {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Milliseconds since 1970; `undefined` for ever. */
  readonly until?: number | undefined;
}

const TIME = String.raw`(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [+-]\d{4})?)`;

/** A line of `ampere -l`, of this version or the original. */
const COLUMNS = new RegExp(
  String
    .raw`^(\S+)\s*\|\s*since\s+${TIME}\s*(?:\|\s*(for ever|until\s+${TIME})\s*(?:\|\s*(.*))?)?$`,
);

/** A line of `fail2ban-client get JAIL banip --with-time`: begin, seconds (-1: for ever), end. */
const FAIL2BAN = /^(\S+)\s+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \+ (-?\d{1,12}) = \S+ \S+$/;

/** Two words, the second of which is a mask: no host has such an address. */
const NETMASK = /^255(?:\.[0-9]{1,3}){3}$/;

/** A mask as routers have it, with the bits turned round. */
const WILDCARD_MASK = /^0\.[0-9.]+$/;

/** What APIBAN says in place of addresses when there are none. */
const NOTHING_LISTED: ReadonlySet<unknown> = new Set(["no new bans", "not blocked"]);

/** Who blocks by hand names no account. */
const BY_HAND = { service: "", transport: "", account: "" };

/** A line of input with its number. */
interface NumberedLine {
  /** The first is 1; of JSON over several lines the one where it begins. */
  readonly line: number;
  readonly input: InputLine;
}

/**
 * Reads a whole input. JSON may stretch over several lines; every other line is by itself.
 *
 * @param text The input.
 * @param times What holds for lines that name no times.
 */
export function* readBlockInput(text: string, times: Times): Generator<NumberedLine> {
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  let endless = 0;
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!;
    const first = index + 1;
    if (endless < ENDLESS_JSON_MAX && isOpenJson(line)) {
      const end = endOfJson(lines, index);
      if (end > index) {
        yield {
          line: first,
          input: parseBlockLine(lines.slice(index, end + 1).join(" "), times),
        };
        index = end;
        continue;
      }
      // What follows is read line by line.
      endless++;
    }
    yield { line: first, input: parseBlockLine(line, times) };
  }
}

/**
 * Reads one line: addresses, networks (CIDR or netmask) and ranges, with blanks or commas between
 * them; a line of `ampere -l` (of this version, with `--json`, or of the original); one of fail2ban
 * with times; a JSON text, such as an answer of APIBAN or CrowdSec's decisions; a line of another
 * program that {@linkcode readForeignLine} knows. Empty lines and those that begin with `#`
 * or `;` say nothing, and neither does ` #` and what follows it behind an address.
 *
 * @param line The line, without its end.
 * @param times What holds if the line names no times.
 *
 * @example
 * ```ts
 * import { parseBlockLine } from "./block_input.ts";
 *
 * const now = Date.now();
 * parseBlockLine("    203.0.113.5 | since 2014-05-01 12:00:00", { now }); // the original's
 * parseBlockLine("2001:db8:bad::/48, 203.0.113.4-203.0.113.9", { now }); // three blocks
 * parseBlockLine("203.0.113.5 2026-11-30 14:45:01 + 600 = 2026-11-30 14:55:01", { now });
 * ```
 */
export function parseBlockLine(line: string, times: Times): InputLine {
  const text = line.trim();
  if (text === "" || text.startsWith("#") || text.startsWith(";")) return { kind: "empty" };
  // What cscli prints as JSON where there is no decision.
  if (text === "null") return { kind: "empty" };
  if (text.startsWith("{") || text.startsWith("[")) return parseJson(text, times);
  const hasColumns = text.includes("|");
  if (line.length > (hasColumns ? LINE_CHARACTERS_MAX : LIST_CHARACTERS_MAX)) {
    const most = hasColumns ? LINE_CHARACTERS_MAX : LIST_CHARACTERS_MAX;
    return bad(line, `is longer than ${most} characters`);
  }
  const rest = { since: times.now, until: times.until, reason: "added by hand", ...BY_HAND };
  // Most lines of a long list are this.
  const targets = parseTargets(text);
  if (targets !== undefined) return blocksOf(targets, rest);
  if (hasColumns) {
    const columns = COLUMNS.exec(withoutMark(text));
    if (columns !== null) return parseColumns(columns, times);
    const address = withoutComment(text);
    if (address.includes("|")) return bad(address, "is not a line of ampere -l");
  }
  if (line.length <= LINE_CHARACTERS_MAX) {
    const banned = FAIL2BAN.exec(text);
    if (banned !== null) return parseBanned(banned);
    const foreign = readForeignLine(text, times.now);
    if (foreign !== undefined) return parseForeign(foreign, times);
  }
  return parseList(withoutComment(text), rest);
}

function parseColumns(columns: RegExpExecArray, times: Times): InputLine {
  const [, target = "", since = "", end, until, reason] = columns;
  const begin = parseLocalTime(since);
  if (begin === undefined) return bad(since, "is not a date");
  const ends = until === undefined ? undefined : parseLocalTime(until);
  if (until !== undefined && ends === undefined) return bad(until, "is not a date");
  return parseOne(target, {
    since: begin,
    // The original's lines do not tell of an end.
    until: end === undefined ? times.until : ends,
    reason: reason ?? "imported",
    ...BY_HAND,
  });
}

function parseBanned([, target = "", since = "", seconds]: RegExpExecArray): InputLine {
  const begin = parseLocalTime(since);
  if (begin === undefined) return bad(since, "is not a date");
  const length = Number(seconds);
  return parseOne(target, {
    since: begin,
    until: length < 0 ? undefined : begin + 1000 * length,
    reason: "banned by fail2ban",
    ...BY_HAND,
  });
}

function parseForeign(line: ForeignLine, { now, until: usual }: Times): InputLine {
  if (line.kind !== "block") return line;
  const { text, until, reason } = line;
  return parseOne(text, {
    since: now,
    until: until === null ? usual : until,
    reason,
    ...BY_HAND,
  });
}

function parseOne(text: string, rest: Rest): InputLine {
  const targets = parseTargets(text);
  return targets === undefined
    ? bad(text, "is not an address or network")
    : blocksOf(targets, rest);
}

/** A line with one or several addresses is taken as a whole, or not at all. */
function parseList(text: string, rest: Rest): InputLine {
  const words = text.replace(/([0-9a-f.:])[ \t]*-[ \t]*(?=[0-9a-f.:])/gi, "$1-").split(/[\s,]+/)
    .map(unquoted).filter((word) => word !== "");
  const targets: string[] = [];
  for (let i = 0; i < words.length; i++) {
    let word = words[i]!;
    const isNamed = /^(?:net)?mask$/i.test(words[i + 1] ?? "");
    const mask = words[isNamed ? i + 2 : i + 1] ?? "";
    if (isNamed || NETMASK.test(mask)) {
      word = `${word}/${mask}`;
      i += isNamed ? 2 : 1;
    } else if (WILDCARD_MASK.test(mask) && words.length === 2) {
      return bad(text, "has a wildcard mask; write the network as ADDRESS/BITS");
    }
    const found = parseTargets(word);
    if (found === undefined) {
      const message = "is not an address or network" +
        (words.length > 1 ? ": nothing of this line was taken" : "");
      return bad(word, message);
    }
    targets.push(...found);
  }
  if (targets.length === 0) return bad(text, "is not an address or network");
  return blocksOf(targets, rest);
}

/** Without the quotes of JSON, as `jq` prints an array's elements, or of a shell. */
function unquoted(word: string): string {
  return /^(["']).*\1$/.test(word) && word.length > 1 ? word.slice(1, -1) : word;
}

/** What stands in front of ` #` or ` ;`. */
function withoutComment(text: string): string {
  const comment = /\s[#;]/.exec(text);
  return comment === null ? text : text.slice(0, comment.index).trimEnd();
}

function blocksOf(targets: readonly string[], rest: Rest): InputLine {
  return { kind: "blocks", blocks: targets.map((target) => ({ ...rest, target })), bad: [] };
}

// --- JSON ----------------------------------------------------------------------------------------

function parseJson(text: string, times: Times): InputLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return bad(text, "is not a line of ampere -l --json, nor other JSON");
  }
  if (!Array.isArray(value)) return parseValue(value, times);
  const blocks: NewBlock[] = [];
  const wrong: string[] = [];
  for (const element of value) {
    const input = parseValue(element, times);
    if (input.kind === "bad") wrong.push(input.message);
    if (input.kind !== "blocks") continue;
    for (const block of input.blocks) blocks.push(block);
    for (const message of input.bad) wrong.push(message);
  }
  return { kind: "blocks", blocks, bad: wrong };
}

/** An address, a block as `ampere -l --json` prints it, or what APIBAN and CrowdSec answer. */
function parseValue(value: unknown, times: Times): InputLine {
  const { now, until } = times;
  const rest = { since: now, until, reason: "added by hand", ...BY_HAND };
  if (typeof value === "string") return parseOne(value.trim(), rest);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return bad(JSON.stringify(value), "is not an address or network");
  }
  const fields = value as Record<string, unknown>;
  if (Array.isArray(fields.decisions)) return parseDecisions(fields.decisions, times);
  return fields.ipaddress === undefined ? parseBlock(fields, times) : parseApiban(fields, rest);
}

/** The decisions of an alert of CrowdSec. */
function parseDecisions(decisions: readonly unknown[], times: Times): InputLine {
  const blocks: NewBlock[] = [];
  const wrong: string[] = [];
  for (const decision of decisions) {
    const input = parseForeign(readDecision(decision, times.now), times);
    if (input.kind === "bad") wrong.push(input.message);
    if (input.kind === "blocks") blocks.push(...input.blocks);
  }
  return { kind: "blocks", blocks, bad: wrong };
}

function parseBlock(value: Record<string, unknown>, times: Times): InputLine {
  const string = (key: string) => {
    const field = value[key];
    return typeof field === "string" ? field : "";
  };
  const since = value.since === undefined ? times.now : Date.parse(string("since"));
  const until = value.until === undefined
    ? times.until
    : value.until === null
    ? undefined
    : Date.parse(string("until"));
  if (string("target") === "") {
    return bad(
      JSON.stringify(value),
      'has neither "target" nor "ipaddress", the keys that are read',
    );
  }
  if (Number.isNaN(since)) return bad(string("since"), "is not a date");
  if (Number.isNaN(until)) return bad(string("until"), "is not a date");
  return parseOne(string("target"), {
    since,
    until,
    reason: string("reason"),
    service: string("service"),
    transport: string("transport"),
    account: string("account"),
  });
}

/** An answer of APIBAN: `ipaddress` has addresses, or in their place what it has to say. */
function parseApiban(value: Record<string, unknown>, rest: Rest): InputLine {
  const found: unknown[] = Array.isArray(value.ipaddress) ? value.ipaddress : [value.ipaddress];
  const targets: string[] = [];
  const wrong: string[] = [];
  for (const text of found) {
    const parsed = typeof text === "string" ? parseTargets(text.trim()) : undefined;
    if (parsed !== undefined) { for (const target of parsed) targets.push(target); }
    else {
      const shown = escapeText(typeof text === "string" ? text : JSON.stringify(text), 60);
      wrong.push(`"${shown}" is not an address or network`);
    }
  }
  if (found.length === 1 && NOTHING_LISTED.has(found[0])) return { kind: "empty" };
  const { blocks } = blocksOf(targets, { ...rest, reason: "listed by APIBAN" }) as {
    blocks: readonly NewBlock[];
  };
  return { kind: "blocks", blocks, bad: wrong };
}

/** Whether a line begins JSON that it does not end. */
function isOpenJson(line: string): boolean {
  if (!/^\s*[{[]/.test(line)) return false;
  return depthAfter(line, START).depth > 0;
}

/** Where brackets stand at a place of a text. */
interface Place {
  readonly depth: number;
  readonly isInString: boolean;
}

const START: Place = { depth: 0, isInString: false };

function depthAfter(line: string, from: Place): Place {
  let { depth, isInString } = from;
  for (let i = 0; i < line.length; i++) {
    const character = line[i];
    if (isInString) {
      if (character === "\\") i++;
      else if (character === '"') isInString = false;
    } else if (character === '"') isInString = true;
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
  }
  return { depth, isInString };
}

/** The line in which JSON ends that begins in another one; -1 if it does not. */
function endOfJson(lines: readonly string[], begin: number): number {
  let place = START;
  for (let index = begin; index < lines.length; index++) {
    place = depthAfter(lines[index]!, place);
    if (place.depth <= 0) return index;
    // No string of JSON goes over the end of a line.
    if (place.isInString) return -1;
  }
  return -1;
}

function bad(text: string, what: string): { kind: "bad"; message: string } {
  return { kind: "bad", message: `"${escapeText(text, 60)}" ${what}` };
}
