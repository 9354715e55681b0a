/**
 * `ampere --import-fail2ban`: prints what fail2ban's jails of Asterisk say as lines of ampere.cfg,
 * which are comments, and whom they have banned, as lines for `ampere -a`. It changes nothing.
 *
 * @module
 */

import { parseTargets } from "../../address/ranges.ts";
import { type Block, hasEnded } from "../../blocks/block.ts";
import { formatBlock } from "../../blocks/block_lines.ts";
import { CONFIG_BYTES_MAX } from "../../config/parse.ts";
import { readBytes, whyNotRead } from "../../config/file.ts";
import { escapeText } from "../../text/escape.ts";
import { counted } from "../../text/table.ts";
import { EXIT } from "../output.ts";
import { type Ban, BansError, readBans } from "./bans.ts";
import { type JailFile, Jails } from "./jails.ts";
import { translate } from "./settings.ts";

/** Where fail2ban has its files. */
interface Fail2banPlaces {
  /** The folder with jail.conf. */
  readonly folder: string;
  /** The database. */
  readonly database: string;
}

/** Where Debian and the others put them. */
const PLACES: Fail2banPlaces = {
  folder: "/etc/fail2ban",
  database: "/var/lib/fail2ban/fail2ban.sqlite3",
};

/** What the executable may read for that, and the service may not: see docs/security.md. */
export const FAIL2BAN_FILES: readonly string[] = [
  "/etc/fail2ban/jail.conf",
  "/etc/fail2ban/jail.d",
  "/etc/fail2ban/jail.local",
  PLACES.database,
];

/** Most bad entries that are complained of one by one. */
const COMPLAINTS_MAX = 100;

/** Longest name of a jail in a reason and in messages, in characters. */
const NAME_CHARACTERS_MAX = 60;

/**
 * Prints all of it.
 *
 * @param asked The jails; none: those that watch Asterisk.
 * @param print Writes to standard output.
 * @param complain Writes a line to standard error.
 * @param places Where fail2ban has its files.
 * @param now Milliseconds since 1970.
 * @returns The exit code: 1 when something could not be taken.
 */
export function importFail2ban(
  asked: readonly string[],
  print: (text: string) => number,
  complain: (line: string) => void,
  places: Fail2banPlaces = PLACES,
  now: number = Date.now(),
): number {
  const files = readFiles(places.folder);
  if (typeof files === "string") {
    complain(`ampere: ${files}`);
    complain(
      "Bans of another machine: fail2ban-client get asterisk banip --with-time | ampere -a",
    );
    return EXIT.problem;
  }
  const jails = new Jails(files);
  let code: number = EXIT.ok;
  let bans: Ban[] = [];
  try {
    bans = readBans(places.database);
  } catch (error) {
    if (!(error instanceof BansError)) throw error;
    complain(`${places.database}: ${error.message}. No bans are taken over from it`);
    complain("Where fail2ban runs: fail2ban-client get asterisk banip --with-time | ampere -a");
    code = EXIT.problem;
  }
  const known = new Set([...jails.names, ...bans.map(({ jail }) => jail)]);
  const wanted = new Set(
    asked.length > 0 ? asked : [...known].filter((jail) => jails.isOfAsterisk(jail)),
  );
  for (const jail of asked) {
    if (known.has(jail)) continue;
    complain(`there is no jail ${quoted(jail)}; there are: ${namesOf(known)}`);
    code = EXIT.problem;
  }
  const enabled = [...wanted].filter((jail) => jails.isEnabled(jail) || asked.includes(jail));
  print(settingsText(jails, enabled));
  const { text, bad } = bansText(
    bans.filter(({ jail }) => wanted.has(jail)),
    now,
    places,
    complain,
  );
  print(text);
  tellOthers(bans.filter((ban) => !wanted.has(ban.jail) && !hasEnded(ban, now)), complain);
  return bad > 0 ? EXIT.problem : code;
}

/** The files, in the order in which fail2ban reads them; why not, if there are none. */
function readFiles(folder: string): JailFile[] | string {
  const files: JailFile[] = [];
  const dropIns = listed(`${folder}/jail.d`);
  const names = [
    "jail.conf",
    ...dropIns.filter((name) => name.endsWith(".conf")),
    "jail.local",
    ...dropIns.filter((name) => name.endsWith(".local")),
  ];
  for (const name of names) {
    const path = `${folder}/${name}`;
    try {
      const text = new TextDecoder().decode(readBytes(path, CONFIG_BYTES_MAX));
      files.push({ name, text });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && name !== "jail.conf") continue;
      return `${path}: ${
        error instanceof Deno.errors.NotFound
          ? "there is no such file: fail2ban is not installed here"
          : whyNotRead(error)
      }`;
    }
  }
  return files;
}

/** What is in a folder, below the one above, in order. */
function listed(folder: string): string[] {
  try {
    const base = folder.slice(folder.lastIndexOf("/") + 1);
    return [...Deno.readDirSync(folder)].map(({ name }) => `${base}/${name}`).sort();
  } catch {
    return [];
  }
}

function settingsText(jails: Jails, names: readonly string[]): string {
  const { lines, remarks } = translate(jails, names);
  const which = names.length === 0
    ? "no jail of Asterisk is switched on"
    : `of the ${names.length === 1 ? "jail" : "jails"} ${namesOf(names)}`;
  return [
    `# Read from fail2ban, where nothing was changed: ${which}.`,
    "# For ampere.cfg, what you have set there (fail2ban's own defaults are not taken over):",
    ...lines.length === 0 ? ["#   nothing"] : lines.map((line) => `#   ${line}`),
    ...remarks.map((remark) => `# Not taken over: ${remark}`),
    "# Whom it has banned, for: ampere --import-fail2ban | ampere -a",
    "",
  ].join("\n");
}

function bansText(
  bans: readonly Ban[],
  now: number,
  { database }: Fail2banPlaces,
  complain: (line: string) => void,
): { text: string; bad: number } {
  let text = "";
  let bad = 0;
  let ended = 0;
  for (const { jail, ip, since, until } of bans) {
    const targets = parseTargets(ip);
    if (targets === undefined || !Number.isFinite(since)) {
      if (++bad <= COMPLAINTS_MAX) {
        complain(`${database}: jail ${quoted(jail)}: ${quoted(ip)} is not an address or network`);
      }
      continue;
    }
    if (hasEnded({ until }, now)) {
      ended++;
      continue;
    }
    const reason = `imported from fail2ban, jail ${escapeText(jail, NAME_CHARACTERS_MAX)}`;
    for (const target of targets) text += `${formatBlock(blockOf(target, since, until, reason))}\n`;
  }
  if (bad > COMPLAINTS_MAX) complain(`${bad - COMPLAINTS_MAX} more are none either`);
  if (ended > 0) complain(`${counted(ended, "ban")} left out: their time is over`);
  return { text, bad };
}

function blockOf(target: string, since: number, until: number | undefined, reason: string): Block {
  return { target, since, until, reason, service: "", transport: "", account: "", times: 1 };
}

/** Says which bans stay behind, because their jail does not watch Asterisk. */
function tellOthers(bans: readonly Ban[], complain: (line: string) => void): void {
  if (bans.length === 0) return;
  const jails = new Set(bans.map(({ jail }) => jail));
  complain(
    `${counted(bans.length, "ban")} of other jails left out: ${
      namesOf(jails)
    }. To take these too, ` +
      "name all jails: ampere --import-fail2ban JAIL...",
  );
}

function quoted(text: string): string {
  return `"${escapeText(text, NAME_CHARACTERS_MAX)}"`;
}

/** Names with commas between them. */
function namesOf(jails: Iterable<string>): string {
  const names = [...jails].map((jail) => escapeText(jail, NAME_CHARACTERS_MAX)).sort();
  const most = 20;
  const more = names.length > most ? ` and ${names.length - most} more` : "";
  return (names.slice(0, most).join(", ") || "none") + more;
}
