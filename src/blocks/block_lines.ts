/**
 * Blocks as lines of text: what `ampere -l` prints.
 *
 * @module
 */

import type { Block } from "./block.ts";
import { originOf } from "./origin.ts";
import { formatLocalTime } from "../text/time.ts";
import { escapeControls } from "../text/escape.ts";

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
 * @param place Where it is, which follows before that.
 * @returns The line without its end, without control characters.
 */
export function formatBlock(block: Block, mark?: ForceMark, place?: LinePlace): string {
  const { target, since, until, reason } = block;
  const begin = ` ${target.padStart(TARGET_WIDTH)} | since ${formatTime(since)}`;
  const end = until === undefined ? " | for ever" : ` | until ${formatTime(until)}`;
  return begin + end +
    (reason === "" ? "" : ` | ${escapeControls(reason, REASON_CHARACTERS_MAX)}`) +
    placeColumn(place) + (mark === undefined || mark === "yes" ? "" : ` | ${MARKS[mark]}`);
}

function placeColumn(place: LinePlace | undefined): string {
  if (place === undefined) return "";
  const { country, asn } = place;
  const parts = [country, asn === undefined ? undefined : `AS${asn}`].filter((part) =>
    part !== undefined
  );
  return parts.length === 0 ? "" : ` | from ${parts.join(" ")}`;
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
 * @param place Where it is; `undefined` if nobody is asked for that.
 */
export function formatBlockJson(block: Block, mark?: ForceMark, place?: LinePlace): string {
  return JSON.stringify({
    target: block.target,
    since: new Date(block.since).toISOString(),
    until: block.until === undefined ? null : new Date(block.until).toISOString(),
    reason: block.reason,
    origin: originOf(block.reason) ?? null,
    service: block.service,
    transport: block.transport,
    account: block.account,
    times: block.times,
    inForce: mark ?? null,
    ...(place === undefined ? {} : {
      country: place.country ?? null,
      asn: place.asn ?? null,
      organisation: place.organisation ?? null,
    }),
  });
}

/** Whether a block is in force: for all of its packets, for some, for none. */
export type ForceMark = "yes" | "partly" | "no";

/** Where a block is. */
interface LinePlace {
  /** Two capitals. */
  readonly country: string | undefined;
  /** The number of its network. */
  readonly asn: number | undefined;
  /** Whose network that is. */
  readonly organisation: string | undefined;
}

/** The marks of blocks that are not in force. */
const MARKS: Readonly<Record<"partly" | "no", string>> = {
  partly: "partly in force",
  no: "NOT IN FORCE",
};

/** The same at the end of a line, to be left out when the line is read. */
const MARK_AT_END = new RegExp(String.raw`\s*\|\s*(?:${Object.values(MARKS).join("|")})$`);

/** Where a block is, behind the reason. */
const PLACE_AT_END = /\s*\|\s*from (?:[A-Z]{2}(?: AS[1-9][0-9]{0,9})?|AS[1-9][0-9]{0,9})$/;

/**
 * A line of `ampere -l` without the mark of a block that is not in force, and without where it is:
 * neither is said of it for ever.
 *
 * @param line The line, without white space at its end.
 */
export function withoutMark(line: string): string {
  return line.replace(MARK_AT_END, "").replace(PLACE_AT_END, "");
}

/**
 * Reads a time as {@linkcode formatBlock} prints it.
 *
 * @param text `YYYY-MM-DD HH:MM:SS` in local time, or with ` +HHMM` behind it.
 * @returns Milliseconds since 1970; `undefined` for a date that does not exist.
 */
export function parseLocalTime(text: string): number | undefined {
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
