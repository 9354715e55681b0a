/**
 * What `ampere --check` finds, one line each.
 *
 * @module
 */

import { escapeControls } from "../../text/escape.ts";
import { PLAIN, type Style } from "../../text/table.ts";

/**
 * How bad it is: `problem` = Ampere cannot protect so, `warning` = it can, but a person should
 * look.
 */
type Level = "ok" | "warning" | "problem";

/** One thing that was looked at. */
export interface Finding {
  readonly level: Level;
  /** What it is about: `config`, `firewall`, `database`, `asterisk`. */
  readonly about: string;
  /** What was found, without a full stop. */
  readonly message: string;
  /** What mends it, a command or an instruction; empty if there is nothing to advice. */
  readonly advice: string;
}

/** A finding that all is well. */
export function ok(about: string, message: string): Finding {
  return { level: "ok", about, message, advice: "" };
}

/** A finding that a person should look at. */
export function warning(about: string, message: string, advice: string): Finding {
  return { level: "warning", about, message, advice };
}

/** A finding that hinders Ampere. */
export function problem(about: string, message: string, advice: string): Finding {
  return { level: "problem", about, message, advice };
}

const LEVEL_WIDTH = "problem".length;
const ABOUT_WIDTH = "firewall".length;

/** Longest message and advice, in characters. */
const TEXT_MAX = 1_000;

/**
 * A finding as a line, and a second one with the advice if there is one.
 *
 * @param finding What was found.
 * @param style Colours, or none.
 */
export function formatFinding(finding: Finding, style: Style = PLAIN): string {
  const { level, about, message, advice } = finding;
  const paint = { ok: style.good, warning: style.doubtful, problem: style.bad }[level];
  const line = `${paint(level.padEnd(LEVEL_WIDTH))}  ${about.padEnd(ABOUT_WIDTH)}  ${
    escapeControls(message, TEXT_MAX)
  }\n`;
  return advice === ""
    ? line
    : `${line}${" ".repeat(LEVEL_WIDTH)}  fix: ${escapeControls(advice, TEXT_MAX)}\n`;
}
