/**
 * Keys of other programs that do this work, and what they are called here: who copies a line from
 * there is told what was meant, and not what is spelt like it.
 *
 * @module
 */

import { readTrustEntry } from "./trust_entry.ts";

/** Most entries of a list that are rewritten in a message. */
const REWRITTEN_MAX = 4;

/** What a foreign key is here. */
interface Counterpart {
  /** Our key; `undefined` when nothing here is like it. */
  readonly key?: string;
  /** What else is to be known, given the value; empty if nothing. */
  readonly hint: (value: string) => string;
}

const none = () => "";
const say = (text: string) => () => text;

const TRUST: Counterpart = { key: "trust", hint: trustLines };
const TRUST_FILE: Counterpart = {
  key: "trust_file",
  hint: say("a file with one address, network or name a line"),
};
const LOYALTY: Counterpart = {
  key: "loyalty",
  hint: (value) => `it counts attempts, not lines of a log${sameNumber("loyalty", value)}`,
};
const FORGET: Counterpart = {
  key: "forget",
  hint: say("after this time without an event the points of a host are forgotten"),
};
const BANTIME: Counterpart = { key: "bantime", hint: say("0 is for ever") };
const FACTOR: Counterpart = {
  key: "bantime_factor",
  hint: say("each further block lasts so many times as long; 2 doubles, 1 turns it off"),
};
const BANTIME_MAX: Counterpart = { key: "bantime_max", hint: none };
const BACKEND: Counterpart = { key: "backend", hint: say("auto, iptables, ipset or nftables") };
const ACTION: Counterpart = { key: "action", hint: say("reject or drop") };
const DATABASE: Counterpart = { key: "database", hint: none };
const ADD: Counterpart = { hint: say("addresses are blocked with: ampere -a < FILE") };
const SOURCE: Counterpart = {
  hint: say("Ampere knows Asterisk's lines by itself: host, port, user, pass, and log"),
};
const LOG_PATH: Counterpart = {
  key: "log",
  hint: say("beside the manager interface; one line for each file"),
};
const OWN: Counterpart = {
  hint: say("loopback and this machine's own addresses are never blocked anyway"),
};
const LOG: Counterpart = { hint: say("Ampere's own log is chosen with: ampere -o FILE") };
const MAIL: Counterpart = { key: "webhook", hint: say("blocks are reported to a URL") };

/** In small letters. */
const FOREIGN: ReadonlyMap<string, Counterpart> = new Map(([
  [
    "ignoreip ignore_ip ignoreips ignore whitelist whitelist_ip whitelist_ips white_list allowlist " +
    "allow_list allow allowed permit trusted_ip trusted_ips trust_list trustlist " +
    "exclude exempt",
    TRUST,
  ],
  [
    "maxretry max_retry maxretries max_retries retries attempts max_attempts maxattempts threshold " +
    "max_failures maxfailures failedloginattemptsbeforeban",
    LOYALTY,
  ],
  ["findtime find_time window interval expiretime", FORGET],
  ["ban ban_duration banduration block_time blocktime duration", BANTIME],
  ["bantime.increment bantime.factor bantime.formula bantime.multipliers", FACTOR],
  ["bantime.maxtime max_bantime", BANTIME_MAX],
  ["bantime.rndtime bantime.overalljails", { key: "bantime_factor", hint: none }],
  ["banaction banaction_allports", BACKEND],
  ["blocktype deny_action block_action", ACTION],
  ["dbfile db db_file dbpath db_path", DATABASE],
  ["dbpurgeage", FORGET],
  ["blacklist black_list blocklist denylist deny deny_list", ADD],
  [
    "logencoding filter failregex ignoreregex datepattern prefregex journalmatch maxlines",
    SOURCE,
  ],
  ["logpath", LOG_PATH],
  ["ignoreself", OWN],
  ["loglevel logtarget log_file logfile", LOG],
  ["destemail sender mta", MAIL],
  ["trustfile trust-file trusted_file ignorefile whitelist_file allowlist_file", TRUST_FILE],
  ["ami_user", { key: "user", hint: none }],
  ["secret ami_pass", { key: "pass", hint: none }],
  ["server hostname ami_host", { key: "host", hint: none }],
  ["ami_port", { key: "port", hint: none }],
  ["usedns", {
    hint: say("who is blocked comes from Asterisk as an address; no name is looked up for it"),
  }],
  [
    "ignorecommand ignorecache enabled mode maxmatches dbmaxmatches protocol socket pidfile " +
    "syslogsocket allowipv6 fail2ban_agent returntype rule ping",
    { hint: say("nothing here is like it") },
  ],
] as [string, Counterpart][]).flatMap(([keys, counterpart]) =>
  keys.split(" ").map((key) => [key, counterpart])
));

/**
 * What to do about a key of another program.
 *
 * @param key The key, in small letters.
 * @param value Its value.
 * @returns The message; `undefined` if no other program that we know has this key.
 */
export function adviceForForeign(key: string, value: string): string | undefined {
  let counterpart = FOREIGN.get(key);
  if (counterpart === undefined) return undefined;
  if (counterpart === TRUST && value.startsWith("/")) counterpart = TRUST_FILE;
  const hint = counterpart.hint(value);
  if (counterpart.key === undefined) return `unknown key, ignored; ${hint}`;
  const question = `unknown key, ignored; did you mean "${counterpart.key}"?`;
  return hint === "" ? question : `${question} ${hint[0]!.toUpperCase()}${hint.slice(1)}`;
}

/** A list of several in one line, as lines of ours. */
function trustLines(value: string): string {
  const entries = value.split(/[\s,]+/).filter((text) => text !== "");
  const lines = entries.filter((text) => readTrustEntry(text).kind !== "bad").map((text) =>
    `trust = ${text}`
  );
  if (lines.length === 0) return "one address, network or name for each line";
  const more = lines.length > REWRITTEN_MAX ? ", …" : "";
  return `one line for each: ${lines.slice(0, REWRITTEN_MAX).join(", ")}${more}`;
}

/** The line with the same number, where it is one. */
function sameNumber(key: string, value: string): string {
  return /^[1-9][0-9]{0,2}$/.test(value) ? `: ${key} = ${value}` : "";
}
