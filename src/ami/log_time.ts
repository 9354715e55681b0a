/**
 * The times of lines of a log.
 *
 * A security event says its time with its offset. Other lines have what `dateformat` and syslog
 * make of it: often without offset, without year, or nothing at all.
 *
 * @module
 */

import type { LogLine } from "./log_line.ts";

/** A date without year is never later than now by more than this, in milliseconds. */
const AHEAD_MAX_MS = 86_400_000;

const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";

const ISO =
  /^(?:[A-Z][a-z]{2} )?(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(Z|UTC|[+-]\d\d:?\d\d)?/;

const NO_YEAR =
  /^([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: (\d{4}))? (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: (\d{4}))?$/;

/** As in Germany; nobody can tell whether a slash stands behind a day or a month. */
const DAY_FIRST =
  /^(\d\d)\.(\d\d)\.(\d{4}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: ([+-]\d\d:?\d\d))?/;

const UNIX = /^\d{9,10}(?:\.\d{3,6})?$/;

/** A time as it is written: its parts, the year and the offset as far as they are known. */
interface Parts {
  readonly year: number | undefined;
  /** Month from 0, day, hour, minute, second, milliseconds. */
  readonly rest: readonly [number, number, number, number, number, number];
  /** In minutes east of Greenwich. */
  readonly offset: number | undefined;
}

/**
 * Reads times of lines; one for all files of one Asterisk.
 *
 * @example
 * ```ts
 * import { LogClock } from "./log_time.ts";
 *
 * const clock = new LogClock(Date.UTC(2026, 10, 30));
 * clock.learn("2026-11-22T08:09:09.918+0100");
 * const line = { level: "", file: "", message: "", date: "Nov 22 08:09:10", written: undefined };
 * console.log(new Date(clock.read(line)).toISOString()); // 2026-11-22T07:09:10.000Z
 * ```
 */
export class LogClock {
  readonly #now: number;
  #offset: number | undefined;
  #last: number | undefined;
  #undated = 0;

  /** @param now Milliseconds since 1970: no line was written later. */
  constructor(now: number) {
    this.#now = now;
  }

  /** Lines without any time so far: each counts as of the time of the line before. */
  get undated(): number {
    return this.#undated;
  }

  /**
   * Takes the time of a security event: it tells the offset of Asterisk's clock, and the year.
   *
   * @param eventTime EventTV, `2026-11-22T08:09:09.918+0000`.
   */
  learn(eventTime: string): void {
    const parts = partsOf(eventTime);
    if (parts?.offset === undefined) return;
    this.#offset = parts.offset;
    this.#last = this.#timeOf(parts);
  }

  /**
   * The time of a line, in milliseconds since 1970.
   *
   * @param line What both times are taken from: one with an offset is preferred, then Asterisk's.
   */
  read({ date, written }: Pick<LogLine, "date" | "written">): number {
    if (typeof written === "number") return this.#last = written;
    const outer = written === undefined ? undefined : partsOf(written);
    const own = date === undefined ? undefined : partsOf(date);
    const parts = own?.offset === undefined && outer?.offset !== undefined ? outer : own ?? outer;
    if (parts === undefined) {
      this.#undated++;
      return this.#last ??= this.#now;
    }
    return this.#last = this.#timeOf(parts);
  }

  #timeOf({ year, rest, offset = this.#offset }: Parts): number {
    const inYear = (of: number) =>
      offset === undefined
        ? new Date(of, ...rest).getTime()
        : Date.UTC(of, ...rest) - offset * 60_000;
    if (year !== undefined) return inYear(year);
    const near = this.#last ?? this.#now;
    const around = new Date(near).getUTCFullYear();
    let best = inYear(around - 1);
    for (const candidate of [inYear(around), inYear(around + 1)]) {
      if (candidate > this.#now + AHEAD_MAX_MS) break;
      if (Math.abs(candidate - near) < Math.abs(best - near)) best = candidate;
    }
    return best;
  }
}

function partsOf(text: string): Parts | undefined {
  if (UNIX.test(text)) {
    const at = new Date(Number(text) * 1000);
    return partsOf(at.toISOString());
  }
  const iso = ISO.exec(text);
  if (iso !== null) {
    const [, year, month, day, hour, minute, second, fraction, zone] = iso;
    return {
      year: Number(year),
      rest: restOf(Number(month) - 1, day!, hour!, minute!, second!, fraction),
      offset: zone === undefined ? undefined : offsetOf(zone),
    };
  }
  const dayFirst = DAY_FIRST.exec(text);
  if (dayFirst !== null) {
    const [, day, month, year, hour, minute, second, fraction, zone] = dayFirst;
    return {
      year: Number(year),
      rest: restOf(Number(month) - 1, day!, hour!, minute!, second!, fraction),
      offset: zone === undefined ? undefined : offsetOf(zone),
    };
  }
  const short = NO_YEAR.exec(text);
  if (short === null) return undefined;
  const [, name, day, early, hour, minute, second, fraction, late] = short;
  const month = MONTHS.indexOf(name!) / 3;
  if (!Number.isInteger(month) || month < 0) return undefined;
  const year = early ?? late;
  return {
    year: year === undefined ? undefined : Number(year),
    rest: restOf(month, day!, hour!, minute!, second!, fraction),
    offset: undefined,
  };
}

function restOf(
  month: number,
  day: string,
  hour: string,
  minute: string,
  second: string,
  fraction = "",
): Parts["rest"] {
  const milliseconds = Number(fraction.slice(0, 3).padEnd(3, "0"));
  return [month, Number(day), Number(hour), Number(minute), Number(second), milliseconds];
}

/** `Z`, `UTC`, `+0530` or `+05:30` in minutes. */
function offsetOf(zone: string): number {
  if (zone === "Z" || zone === "UTC") return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return zone.startsWith("-") ? -minutes : minutes;
}
