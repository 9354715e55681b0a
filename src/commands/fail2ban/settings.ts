/**
 * What jails of fail2ban say, as lines of ampere.cfg.
 *
 * Only what the administrator has written is taken over. fail2ban's own defaults count lines of a
 * log within ten minutes; Ampere's suit what it counts.
 *
 * @module
 */

import { isLoopback, parseAddress } from "../../address/address.ts";
import { DURATION_MAX, formatDuration } from "../../config/duration.ts";
import { readTrustEntry } from "../../config/trust_entry.ts";
import { escapeText } from "../../text/escape.ts";
import { type Jails, readTime, type Setting } from "./jails.ts";

/** fail2ban's own file. */
const OWN_FILE = "jail.conf";

/** Longest value in a remark, in characters. */
const VALUE_CHARACTERS_MAX = 60;

/** Most attempts that `loyalty` takes. */
const LOYALTY_MAX = 1_000;

/** What came of the settings. */
interface Translated {
  /** Lines of ampere.cfg, each with where it comes from. */
  readonly lines: readonly string[];
  /** What has no line, or should be looked at. */
  readonly remarks: readonly string[];
}

/** A line of ampere.cfg: its key and its value, or why there is none. */
type Line = readonly [key: string, value: string] | string;

/** What each key of a jail is here; several lines for a list. */
const KEYS: Readonly<Record<string, (value: string) => readonly Line[]>> = {
  maxretry: (value) => {
    const count = Number(value);
    return [
      Number.isInteger(count) && count > 0 && count <= LOYALTY_MAX
        ? ["loyalty", String(count)]
        : "is not a number of attempts",
    ];
  },
  findtime: (value) => [duration("forget", value)],
  bantime: (value) => [duration("bantime", value)],
  "bantime.increment": (value) =>
    /^(?:true|yes|on|1)$/i.test(value) ? [["bantime_factor", "2"]] : [],
  "bantime.maxtime": (value) => [duration("bantime_max", value)],
  blocktype: (value) => /^drop$/i.test(value.trim()) ? [["action", "drop"]] : [],
  ignoreip: (value) =>
    value.split(/[\s,]+/).filter((entry) => entry !== "").flatMap((entry): Line[] => {
      const address = parseAddress(entry.split("/")[0]!);
      // It is never blocked anyway.
      if (address !== undefined && isLoopback(address)) return [];
      const read = readTrustEntry(entry);
      if (read.kind === "bad") return [`${read.message}; it is not taken over`];
      if (read.kind === "nobody") return [read.message];
      return [["trust", read.kind === "name" ? read.name : read.target]];
    }),
};

/** What cannot be said here. */
const WITHOUT_LINE: Readonly<Record<string, string>> = {
  "bantime.formula": "bantime_factor is a factor, not a formula",
  "bantime.multipliers": "bantime_factor is one factor for each further block",
  ignorecommand: "there is no command that is asked; name hosts, networks or names by trust",
};

/**
 * Translates the settings of jails.
 *
 * @param jails All that the files say.
 * @param names The jails; of the others nothing is taken.
 */
export function translate(jails: Jails, names: readonly string[]): Translated {
  const lines: string[] = [];
  const remarks: string[] = [];
  const said = new Map<string, string>();
  const take = (jail: string, key: string, setting: Setting) => {
    const origin = `${key}, ${setting.file}:${setting.line}, [${escapeText(setting.section, 40)}]`;
    for (const line of KEYS[key]!(setting.value)) {
      if (typeof line === "string") {
        remarks.push(`${key} = ${shown(setting.value)} (${origin}): ${line}`);
        continue;
      }
      const text = `${line[0]} = ${line[1]}`;
      const before = said.get(line[0]);
      if (before === text || (line[0] === "trust" && said.has(text))) continue;
      if (before !== undefined && line[0] !== "trust") {
        remarks.push(`${text} of jail ${escapeText(jail, 40)} (${origin}) is not taken: ${before}`);
        continue;
      }
      said.set(line[0] === "trust" ? text : line[0], text);
      lines.push(`${text.padEnd(32)} # ${origin}`);
    }
  };
  for (const jail of names) {
    for (const key of Object.keys(KEYS)) {
      const setting = jails.setting(jail, key);
      if (setting !== undefined && setting.file !== OWN_FILE) take(jail, key, setting);
    }
    for (const [key, why] of Object.entries(WITHOUT_LINE)) {
      const setting = jails.setting(jail, key);
      if (setting === undefined || setting.file === OWN_FILE || setting.value === "") continue;
      remarks.push(`${key} (${setting.file}:${setting.line}) has no counterpart: ${why}`);
    }
  }
  return { lines, remarks: [...new Set(remarks)] };
}

function duration(key: string, text: string): Line {
  const seconds = readTime(text);
  if (seconds === undefined) return "is not a length of time that can be taken over";
  if (seconds < 0) return key === "forget" ? "has no counterpart" : [key, "0"];
  if (seconds > DURATION_MAX) return "is longer than ten years";
  return [key, formatDuration(key === "forget" ? Math.max(seconds, 1) : seconds)];
}

function shown(value: string): string {
  return `"${escapeText(value, VALUE_CHARACTERS_MAX)}"`;
}
