/**
 * Blocks as lines of text: what `ampere -l` prints and what `ampere -a` and `ampere -d` read.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";
import type { Block, NewBlock } from "./block.ts";
import { formatLocalTime } from "../text/time.ts";
import { escapeControls, escapeText } from "../text/escape.ts";

/**
 * Longest line that is read, in characters: an address, two dates and a reason fit several times.
 */
export const LINE_CHARACTERS_MAX = 1_000;

/** Width of the address column of the original, in characters. */
const TARGET_WIDTH = 15;

/** Longest reason on a line, in characters. */
const REASON_CHARACTERS_MAX = 200;

/**
 * How long before a time its offset from UTC is looked at for a clock that was set back, in
 * milliseconds: more than a day.
 */
const SET_BACK_MS = 26 * 3_600_000;

/**
 * One line of `ampere -l`: the columns of Ampere 0.2.3 (` %15s | since YYYY-MM-DD HH:MM:SS`, local
 * time), then the end and the reason. Of the hour that comes twice when summer time ends, a time of
 * the second one has its offset from UTC behind it (`+0100`), so that it is read as what it is.
 *
 * @param block The block.
 * @param mark What follows at the end of the line of a block that is not in force.
 * @returns The line without its end, without control characters.
 */
export function formatBlock(block: Block, mark?: ForceMark): string {
  const { target, since, until, reason } = block;
  const begin = ` ${target.padStart(TARGET_WIDTH)} | since ${formatTime(since)}`;
  const end = until === undefined ? " | for ever" : ` | until ${formatTime(until)}`;
  return begin + end +
    (reason === "" ? "" : ` | ${escapeControls(reason, REASON_CHARACTERS_MAX)}`) +
    (mark === undefined || mark === "yes" ? "" : ` | ${MARKS[mark]}`);
}

function formatTime(ms: number): string {
  const text = formatLocalTime(ms);
  const west = new Date(ms).getTimezoneOffset();
  if (west <= new Date(ms - SET_BACK_MS).getTimezoneOffset()) return text;
  // The clock was set back not long ago: perhaps these digits were there before.
  if (parseLocalTime(text) === Math.floor(ms / 1000) * 1000) return text;
  const two = (minutes: number) => String(minutes).padStart(2, "0");
  const size = Math.abs(west);
  return `${text} ${west > 0 ? "-" : "+"}${two(Math.floor(size / 60))}${two(size % 60)}`;
}

/**
 * One line of `ampere -l --json`: a JSON object with exact values; times are ISO 8601 in UTC,
 * `until` is null for ever.
 *
 * @param block The block.
 * @param mark Whether it is in force; `undefined` if that is not known.
 */
export function formatBlockJson(block: Block, mark?: ForceMark): string {
  return JSON.stringify({
    target: block.target,
    since: new Date(block.since).toISOString(),
    until: block.until === undefined ? null : new Date(block.until).toISOString(),
    reason: block.reason,
    service: block.service,
    transport: block.transport,
    account: block.account,
    times: block.times,
    inForce: mark ?? null,
  });
}

/** Whether a block is in force: for all of its packets, for some, for none. */
export type ForceMark = "yes" | "partly" | "no";

/** The marks of blocks that are not in force. */
const MARKS: Readonly<Record<"partly" | "no", string>> = {
  partly: "partly in force",
  no: "NOT IN FORCE",
};

/** The same at the end of a line, to be left out when the line is read. */
const MARK_AT_END = new RegExp(String.raw`\s*\|\s*(?:${Object.values(MARKS).join("|")})$`);

/** What one line of input says. */
type InputLine =
  | { readonly kind: "block"; readonly block: NewBlock }
  | { readonly kind: "empty" }
  | { readonly kind: "bad"; readonly message: string };

const TIME = String.raw`(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [+-]\d{4})?)`;

const COLUMNS = new RegExp(
  String
    .raw`^(\S+)\s*\|\s*since\s+${TIME}\s*(?:\|\s*(for ever|until\s+${TIME})\s*(?:\|\s*(.*))?)?$`,
);

/**
 * Reads one line: an address, a CIDR, or a line of `ampere -l` (of this version, with `--json`, or
 * of the original). Empty lines and those that begin with `#` or `;` say nothing, and neither does
 * ` #` and what follows it behind an address.
 *
 * @param line The line, without its end.
 * @param now Clock value for a line without date, in milliseconds since 1970.
 *
 * @example
 * ```ts
 * import { parseBlockLine } from "./block_lines.ts";
 *
 * parseBlockLine("    203.0.113.5 | since 2014-05-01 12:00:00", Date.now()); // the original's
 * parseBlockLine("2001:db8:bad::/48", Date.now());
 * ```
 */
export function parseBlockLine(line: string, now: number): InputLine {
  if (line.length > LINE_CHARACTERS_MAX) {
    return bad(line, `is longer than ${LINE_CHARACTERS_MAX} characters`);
  }
  const text = line.trim();
  if (text === "" || text.startsWith("#") || text.startsWith(";")) return { kind: "empty" };
  if (text.startsWith("{")) return parseJson(text, now);
  const columns = COLUMNS.exec(text.replace(MARK_AT_END, ""));
  if (columns === null) {
    const address = text.replace(/\s+[#;].*$/, "");
    if (address.includes("|")) return bad(address, "is not a line of ampere -l");
    return blockOf(address, { since: now, until: undefined, reason: "added by hand" });
  }
  const [, target = "", since = "", , until, reason] = columns;
  const begin = parseLocalTime(since);
  if (begin === undefined) return bad(since, "is not a date");
  const end = until === undefined ? undefined : parseLocalTime(until);
  if (until !== undefined && end === undefined) return bad(until, "is not a date");
  return blockOf(target, { since: begin, until: end, reason: reason ?? "imported" });
}

function blockOf(
  text: string,
  rest: {
    since: number;
    until: number | undefined;
    reason: string;
    service?: string;
    transport?: string;
    account?: string;
  },
): InputLine {
  const target = parseTarget(text);
  if (target === undefined) return bad(text, "is not an address or network");
  return { kind: "block", block: { service: "", transport: "", account: "", ...rest, target } };
}

function parseJson(text: string, now: number): InputLine {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text);
  } catch {
    return bad(text, "is not a line of ampere -l --json");
  }
  const string = (key: string) => typeof value[key] === "string" ? value[key] : "";
  const since = value.since === undefined ? now : Date.parse(string("since"));
  const until = value.until === undefined || value.until === null
    ? undefined
    : Date.parse(string("until"));
  if (Number.isNaN(since)) return bad(string("since"), "is not a date");
  if (Number.isNaN(until)) return bad(string("until"), "is not a date");
  const { reason, service, transport, account } = {
    reason: string("reason"),
    service: string("service"),
    transport: string("transport"),
    account: string("account"),
  };
  return blockOf(string("target"), { since, until, reason, service, transport, account });
}

/**
 * `YYYY-MM-DD HH:MM:SS` in local time, or with ` +HHMM` behind it, in milliseconds since 1970;
 * `undefined` for a date that does not exist.
 */
function parseLocalTime(text: string): number | undefined {
  const [, date, hours, offset] = /^(\S+) (\S+) ([+-]\d{4})$/.exec(text) ?? [];
  if (offset !== undefined) {
    if (parseLocalTime(`${date} ${hours}`) === undefined) return undefined;
    const time = Date.parse(`${date}T${hours}${offset.slice(0, 3)}:${offset.slice(3)}`);
    return Number.isNaN(time) ? undefined : time;
  }
  const [year, month, day, hour, minute, second] = text.split(/\D/).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const time = new Date(year, month - 1, day, hour, minute, second);
  const exists = time.getFullYear() === year && time.getMonth() === month - 1 &&
    time.getDate() === day && hour < 24 &&
    minute < 60 && second < 60;
  return exists && !Number.isNaN(time.getTime()) ? time.getTime() : undefined;
}

function bad(text: string, what: string): InputLine {
  return { kind: "bad", message: `"${escapeText(text, 60)}" ${what}` };
}
