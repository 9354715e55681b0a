/**
 * How a line of the log looks: for people, or for machines.
 *
 * @module
 */

import { escapeControls, escapeInJson } from "./escape.ts";
import { formatLocalTime } from "./time.ts";

/** How important a line is, in ascending order. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Longest message in a line, in UTF-16 units; a message that was received may hold 64 KiB. */
export const MESSAGE_MAX = 8_192;

/**
 * What a line is about, for machines; `time`, `level` and `message` are those of the line. Texts of
 * strangers stand in it as they are.
 */
export type LogFields = object;

/**
 * How a line for people begins: with the local time and the level in words, with the level alone,
 * or with the level's number as systemd's journal reads it from standard error (sd-daemon(3)),
 * which notes the time itself. The journal takes the number from an object of JSON too.
 */
type LineStyle = "stamped" | "plain" | "journal";

/** The numbers of the levels: syslog(3). */
const JOURNAL_LEVELS: Readonly<Record<LogLevel, string>> = {
  debug: "<7>",
  info: "<6>",
  warn: "<4>",
  error: "<3>",
};

/** How lines look. */
export class LineForm {
  /** Each line is an object of JSON. */
  isJson: boolean;
  readonly #style: LineStyle;

  /**
   * A form.
   *
   * @param style How lines begin; those for machines always hold a time.
   * @param isJson Whether they are for machines.
   */
  constructor(style: LineStyle, isJson = false) {
    this.#style = style;
    this.isJson = isJson;
  }

  /**
   * A line with its end.
   *
   * @param level How important it is.
   * @param message For people.
   * @param now Time of day, in milliseconds since 1970.
   * @param fields For machines.
   */
  line(level: LogLevel, message: string, now: number, fields?: LogFields): string {
    const text = escapeControls(message, MESSAGE_MAX);
    const number = this.#style === "journal" ? JOURNAL_LEVELS[level] : "";
    if (!this.isJson) {
      const stamp = this.#style === "stamped" ? `${formatLocalTime(now)} ` : "";
      return `${number}${stamp}${number === "" ? `${level}: ` : ""}${text}\n`;
    }
    const time = new Date(now).toISOString();
    // What the line has itself stands first, and is not to be hidden.
    const own = { time, level, message: text };
    return `${number}${escapeInJson(JSON.stringify({ ...own, ...fields, ...own }))}\n`;
  }

  /**
   * The line about those that could not be written.
   *
   * @param lost How many.
   * @param now Time of day, in milliseconds since 1970.
   */
  aboutLost(lost: number, now: number): string {
    const lines = lost === 1 ? "1 line was lost" : `${lost} lines were lost`;
    const message = `${lines} here, because the log could not be written`;
    return this.line("warn", message, now, { lost });
  }
}
