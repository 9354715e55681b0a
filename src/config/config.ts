/**
 * The configuration file: its keys, their meaning, their bounds, and how a mistake in it is told.
 *
 * This is the only module that knows keys. A file is read as a whole and all that is wrong with it is
 * reported at once, so that an administrator mends it in one go. The secret (`pass`), and the address
 * given as `webhook`, which often holds one, never stand in a message.
 *
 * @module
 */

import { parseAddress, parseTarget } from "../address/address.ts";
import { escapeText } from "../log.ts";

/** What the daemon is told to do; durations are in seconds. */
export interface Config {
  /** Name or address of the machine where Asterisk's Manager Interface (AMI) listens. */
  readonly host: string;
  /** TCP port of AMI. */
  readonly port: number;
  /** Name of the AMI user. */
  readonly user: string;
  /** Secret of the AMI user. */
  readonly pass: string;
  /** Attempts that a stranger has before he is blocked, {@linkcode LOYALTY_MAX} at most. */
  readonly loyalty: number;
  /** Name of the chain that belongs to Ampere alone: it is flushed at start. */
  readonly chain: string;
  /** Canonical targets that are never blocked, each once. */
  readonly trust: readonly string[];
  /** Absolute path of the block list. */
  readonly database: string;
  /** How long an unanswered challenge is waited for. */
  readonly patience: number;
  /** How long a login with a password keeps a host in good standing. */
  readonly credit: number;
  /** After how long without an event a host is forgotten. */
  readonly forget: number;
  /** How long a block lasts; 0 means for ever. */
  readonly bantime: number;
  /** By what a block gets longer each time that the host comes back. */
  readonly bantimeFactor: number;
  /** Longest block that `bantimeFactor` may lead to; 0 means no bound. */
  readonly bantimeMax: number;
  /** First block for wrong answers of a single session; 0 means as any other. */
  readonly doubt: number;
  /** How long after the first start unanswered challenges cost nothing. */
  readonly learn: number;
  /** Bits of an IPv6 address that are counted and blocked as one host. */
  readonly ipv6Prefix: number;
  /** Prefixes of NAT64 beside the well-known one: canonical networks of 96 bits. */
  readonly nat64: readonly string[];
  /** How blocks are put into the kernel. */
  readonly backend: Backend;
  /** How often the firewall is compared with the block list. */
  readonly verify: number;
  /** Where metrics are served, `undefined` for nowhere. */
  readonly metrics: ListenAddress | undefined;
  /** Where blocks are reported to by HTTP, `undefined` for nowhere. */
  readonly webhook: string | undefined;
}

/** One of the ways to put blocks into the kernel. */
export type Backend = "iptables" | "ipset";

/** Where a server listens. */
export interface ListenAddress {
  /** Canonical address, or `localhost`. */
  readonly hostname: string;
  /** TCP port. */
  readonly port: number;
}

/** Something about a file that an administrator should know. */
export interface ConfigProblem {
  /** The file's name, as it was given. */
  readonly file: string;
  /** Number of the line, the first is 1; 0 if it is about the file as a whole. */
  readonly line: number;
  /** The key that it is about, if there is one. */
  readonly key: string | undefined;
  /** What is wrong and what would be right. */
  readonly message: string;
}

/** What a file says. */
export interface ConfigReading {
  /** The configuration, `undefined` if there is a problem. */
  readonly config: Config | undefined;
  /** Mistakes with which the program does not start, in the order of the lines. */
  readonly problems: ConfigProblem[];
  /** Doubts with which it does, in the order of the lines. */
  readonly warnings: ConfigProblem[];
}

/** The file that is read unless another one is named. */
export const DEFAULT_CONFIG_FILE = "/etc/ampere/ampere.cfg";

/** Longest file, in bytes; what is longer is not a configuration. */
export const CONFIG_BYTES_MAX = 65_536;

const TOO_LONG = `longer than ${CONFIG_BYTES_MAX} bytes, so this is not a configuration file`;

/** Problems of one file that are told one by one, and as many warnings; of the rest only the number. */
export const PROBLEMS_MAX = 100;

/** Lines `trust`, as in the original. */
export const TRUST_MAX = 16;

/** Lines `nat64`. */
export const NAT64_MAX = 8;

/** Bits of a prefix of NAT64 whose last 32 bits are an IPv4 address (RFC 6052, section 2.2). */
const NAT64_PREFIX = 96;

/** Longest `user`, in bytes: Asterisk keeps it in `char username[80]` (main/manager.c), NUL included. */
export const USER_BYTES_MAX = 79;

/** Longest `pass`, in bytes; a line of AMI holds 1,024 (main/manager.c), so this is far from trouble. */
export const PASS_BYTES_MAX = 255;

/** Longest `host`, in characters: a name of DNS (RFC 1035, 2.3.4). */
export const HOST_LENGTH_MAX = 253;

/** Largest `loyalty`. */
export const LOYALTY_MAX = 1_000;

/** Longest name of a chain: XT_EXTENSION_MAXNAMELEN is 29 (linux/netfilter/x_tables.h), NUL included. */
export const CHAIN_LENGTH_MAX = 28;

/** Longest name of a set: IPSET_MAXNAMELEN is 32 (linux/netfilter/ipset/ip_set.h), NUL included. */
const SET_LENGTH_MAX = 31;

/** What the backend ipset puts behind the chain's name for a set of its own: `4_new` is the longest. */
const SET_SUFFIX = "4_new";

/** Longest `database`, in bytes: PATH_MAX is 4,096 (linux/limits.h), NUL included. */
export const PATH_BYTES_MAX = 4_095;

/** Longest `webhook`, in characters; what every HTTP server takes as a request line. */
export const WEBHOOK_LENGTH_MAX = 2_000;

/** Longest `patience`, in seconds. */
export const PATIENCE_MAX = 300;

/** Longest duration of the other keys, in seconds: ten years. */
export const DURATION_MAX = 3_650 * 86_400;

/** Largest `bantime_factor`. */
export const BANTIME_FACTOR_MAX = 1_000;

/** Shortest `verify`, in seconds. */
export const VERIFY_MIN = 5;

/** Longest `verify`, in seconds. */
export const VERIFY_MAX = 86_400;

/** Longest part of a value that is repeated in a message, in characters. */
const SHOWN_VALUE_MAX = 60;

/** Longest name of a key that is repeated in a message, in characters. */
const KEY_LENGTH_MAX = 32;

/** Every key with its default: the original's keys first, with the original's defaults. */
export const DEFAULT_CONFIG: Config = Object.freeze({
  host: "127.0.0.1",
  port: 5038,
  user: "ampere",
  pass: "ampere",
  loyalty: 3,
  chain: "ampere",
  trust: Object.freeze([]),
  database: "/var/lib/ampere/ampere.db",
  patience: 5,
  credit: 7 * 86_400,
  forget: 86_400,
  bantime: 0,
  bantimeFactor: 1,
  bantimeMax: 0,
  doubt: 60,
  learn: 3_600,
  ipv6Prefix: 64,
  nat64: Object.freeze([]),
  backend: "iptables",
  verify: 60,
  metrics: undefined,
  webhook: undefined,
});

/**
 * Chains that exist without anybody's doing and that carry the machine's own rules. Ampere flushes its
 * chain, so with one of these it would open or close the whole machine.
 */
const BUILT_IN_CHAINS: ReadonlySet<string> = new Set([
  "INPUT",
  "FORWARD",
  "OUTPUT",
  "PREROUTING",
  "POSTROUTING",
]);

/** Names that no chain can have: the targets of iptables(8) and iptables-extensions(8). */
const TARGETS: ReadonlySet<string> = new Set(
  ("ACCEPT AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DNPT DROP DSCP ECN HL " +
    "HMARK IDLETIMER LED LOG MARK MASQUERADE NETMAP NFLOG NFQUEUE NOTRACK QUEUE RATEEST REDIRECT " +
    "REJECT RETURN SECMARK SET SNAT SNPT SYNPROXY TCPMSS TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG")
    .split(" "),
);

/** A name of a chain that needs no quoting in any shell, file or command. */
const CHAIN_NAME = /^[A-Za-z0-9_.][A-Za-z0-9_.:-]*$/;

/** A host name: what DNS and /etc/hosts allow, and the underscore that many use. */
const HOST_NAME = /^(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*\.?$/;

/** A whole number without sign and leading zeros. */
const WHOLE_NUMBER = /^(?:0|[1-9][0-9]{0,14})$/;

const DECIMAL_NUMBER = /^(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?$/;

const DURATION = /^(0|[1-9][0-9]{0,14})([smhd]?)$/;

/** Seconds in a unit. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
]);

/** What may be a key, so that repeating it in a message betrays nothing else. */
const KEY_NAME = /^[A-Za-z][A-Za-z0-9_-]*$/;

// deno-lint-ignore no-control-regex -- this is what has to be found
const CONTROL_CHARACTER = /[\x00-\x1f\x7f-\x9f]/;

type Draft = { -readonly [Name in keyof Config]: Config[Name] };

/** Where a rule puts what it read, and how it voices a doubt. */
interface Context {
  readonly draft: Draft;
  readonly warn: (message: string) => void;
}

/** Reads a value into the draft; returns what is wrong with it, `undefined` if nothing is. */
type Rule = (value: string, context: Context) => string | undefined;

/** The keys in the order of the documentation, each with the rule that reads its value. */
const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["host", readHost],
  ["port", (value, { draft }) => readNumber(value, 1, 65_535, (port) => draft.port = port)],
  ["user", (value, { draft }) => {
    draft.user = value;
    return tooManyBytes(value, USER_BYTES_MAX);
  }],
  ["pass", (value, { draft }) => {
    draft.pass = value;
    return tooManyBytes(value, PASS_BYTES_MAX);
  }],
  ["loyalty", (value, { draft }) => readNumber(value, 1, LOYALTY_MAX, (n) => draft.loyalty = n)],
  ["chain", readChain],
  ["trust", readTrust],
  ["database", readDatabase],
  [
    "patience",
    (value, { draft }) => readSeconds(value, 0, PATIENCE_MAX, (s) => draft.patience = s),
  ],
  ["credit", (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.credit = s)],
  ["forget", (value, { draft }) => readSeconds(value, 1, DURATION_MAX, (s) => draft.forget = s)],
  ["bantime", (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.bantime = s)],
  ["bantime_factor", readFactor],
  [
    "bantime_max",
    (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.bantimeMax = s),
  ],
  ["doubt", (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.doubt = s)],
  ["learn", (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.learn = s)],
  ["ipv6_prefix", (value, { draft }) => readNumber(value, 32, 128, (n) => draft.ipv6Prefix = n)],
  ["nat64", readNat64],
  ["backend", readBackend],
  [
    "verify",
    (value, { draft }) => readSeconds(value, VERIFY_MIN, VERIFY_MAX, (s) => draft.verify = s),
  ],
  ["metrics", readMetrics],
  ["webhook", readWebhook],
]);

/** Keys for which no value, like `off`, means that the function is not wanted. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(["metrics", "webhook"]);

/** Keys that may stand several times, and how often. */
const REPEATABLE: ReadonlyMap<string, number> = new Map([
  ["trust", TRUST_MAX],
  ["nat64", NAT64_MAX],
]);

/**
 * Reads the text of a configuration file.
 *
 * Each line is empty, a comment (its first character is `#` or `;`) or `key = value`. A `#` or `;` after
 * white space begins a comment as well; elsewhere it belongs to the value. A value in double or single
 * quotes is taken as it is. Keys are written without regard to case and stand in no section.
 *
 * @param text The whole text; a byte order mark and lines that end in CR LF are fine.
 * @param fileName The name that problems begin with.
 * @returns The configuration, or all that is wrong. Never throws, whatever the text is.
 *
 * @example
 * ```ts
 * import { formatProblem, parseConfig } from "./config.ts";
 *
 * const { problems } = parseConfig("trust = 10.0.0.0/33", "ampere.cfg");
 * problems.map(formatProblem); // ['ampere.cfg:1: trust: "10.0.0.0/33" is not an address or network']
 * ```
 */
export function parseConfig(text: string, fileName: string): ConfigReading {
  return text.length > CONFIG_BYTES_MAX
    ? refused(fileName, TOO_LONG)
    : new Reader(fileName).read(text);
}

/**
 * Reads a configuration file.
 *
 * @param path The file; `undefined` for {@linkcode DEFAULT_CONFIG_FILE}, which may be missing: then all
 *   keys have their defaults, and a warning says so.
 * @returns The configuration, or all that is wrong with the file.
 */
export function readConfig(path: string | undefined): ConfigReading {
  const file = path ?? DEFAULT_CONFIG_FILE;
  let bytes: Uint8Array;
  try {
    bytes = readBytes(file, CONFIG_BYTES_MAX + 1);
  } catch (error) {
    if (path === undefined && error instanceof Deno.errors.NotFound) {
      const message = "there is no such file; all keys have their defaults";
      const warning = { file, line: 0, key: undefined, message };
      return { config: DEFAULT_CONFIG, problems: [], warnings: [warning] };
    }
    return refused(file, whyNotRead(error));
  }
  if (bytes.length > CONFIG_BYTES_MAX) return refused(file, TOO_LONG);
  return parseConfig(new TextDecoder().decode(bytes), file);
}

/**
 * A problem or a warning as a line for people.
 *
 * @param problem What {@linkcode parseConfig} or {@linkcode readConfig} found.
 * @returns `FILE:LINE: key: message`, without the parts that the problem does not have.
 */
export function formatProblem({ file, line, key, message }: ConfigProblem): string {
  const place = line === 0 ? file : `${file}:${line}`;
  return key === undefined ? `${place}: ${message}` : `${place}: ${key}: ${message}`;
}

/**
 * A configuration as keys and values of a file, for `--verbose`. Of the secret it is only told whether
 * one is set, of the webhook only the server.
 *
 * @param config The configuration.
 * @returns Keys with values in the order of the documentation, `trust` once for each target.
 */
export function describeConfig(config: Config): [key: string, value: string][] {
  const { metrics, webhook } = config;
  const trust = config.trust.length === 0 ? ["(none)"] : config.trust;
  const nat64 = config.nat64.length === 0 ? ["off"] : config.nat64;
  return [
    ["host", config.host],
    ["port", String(config.port)],
    ["user", config.user],
    ["pass", config.pass === DEFAULT_CONFIG.pass ? "(default)" : "(set)"],
    ["loyalty", String(config.loyalty)],
    ["chain", config.chain],
    ...trust.map((target): [string, string] => ["trust", target]),
    ["database", config.database],
    ["patience", formatDuration(config.patience)],
    ["credit", formatDuration(config.credit)],
    ["forget", formatDuration(config.forget)],
    ["bantime", formatDuration(config.bantime)],
    ["bantime_factor", String(config.bantimeFactor)],
    ["bantime_max", formatDuration(config.bantimeMax)],
    ["doubt", formatDuration(config.doubt)],
    ["learn", formatDuration(config.learn)],
    ["ipv6_prefix", String(config.ipv6Prefix)],
    ...nat64.map((prefix): [string, string] => ["nat64", prefix]),
    ["backend", config.backend],
    ["verify", formatDuration(config.verify)],
    ["metrics", metrics === undefined ? "off" : formatListenAddress(metrics)],
    ["webhook", webhook === undefined ? "off" : `${new URL(webhook).origin}/(not shown)`],
  ];
}

/**
 * Reads a duration: a whole number of seconds, or of the unit that follows it without a blank (`s`
 * seconds, `m` minutes, `h` hours, `d` days).
 *
 * @param text The text, for example `90`, `90s`, `15m`, `6h` or `7d`.
 * @returns Seconds, `undefined` if it is not a duration.
 */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = DURATION.exec(text) ?? [];
  if (number === undefined) return undefined;
  return Number(number) * (UNITS.get(unit ?? "") ?? 1);
}

/**
 * Writes a duration as a configuration file has it.
 *
 * @param seconds A whole number of seconds, not negative.
 * @returns The number with the largest unit that divides it: `7d`, `90s`, `0s`.
 */
export function formatDuration(seconds: number): string {
  for (const [unit, length] of UNITS) {
    if (seconds !== 0 && seconds % length === 0) return `${seconds / length}${unit}`;
  }
  return `${seconds}s`;
}

// --- the file ------------------------------------------------------------------------------------

/** Reads one text; what it found is kept until all lines were read. */
class Reader {
  readonly #file: string;
  readonly #problems: ConfigProblem[] = [];
  readonly #warnings: ConfigProblem[] = [];
  readonly #draft: Draft = { ...DEFAULT_CONFIG };
  /** The line where a key stood first. */
  readonly #lineOf = new Map<string, number>();
  readonly #linesOf = new Map<string, number>();

  constructor(file: string) {
    this.#file = file;
  }

  read(text: string): ConfigReading {
    // A lone CR ends a line too, as it does for the original.
    const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
    lines.forEach((line, i) => this.#readLine(line, i + 1));
    this.#checkTogether();
    const isRight = this.#problems.length === 0;
    return {
      config: isRight
        ? Object.freeze({
          ...this.#draft,
          trust: Object.freeze([...new Set(this.#draft.trust)]),
          nat64: Object.freeze([...new Set(this.#draft.nat64)]),
        })
        : undefined,
      problems: bounded(this.#problems, "problems", this.#file),
      warnings: bounded(this.#warnings, "warnings", this.#file),
    };
  }

  #readLine(rawLine: string, line: number): void {
    const text = trimBlanks(rawLine);
    if (text === "" || text.startsWith("#") || text.startsWith(";")) return;
    const equals = text.indexOf("=");
    const name = trimBlanks(equals === -1 ? text : text.slice(0, equals));
    const key = name.toLowerCase();
    const rule = RULES.get(key);
    if (equals === -1 || !KEY_NAME.test(name)) {
      // Such a line is never repeated in a message: it may be a secret that went astray.
      this.#problem(line, knownKeyBefore(text), misshapen(text));
      return;
    }
    if (rule === undefined) {
      this.#warning(
        line,
        shownKey(name, text.slice(equals + 1)),
        `unknown key, ignored; did you mean "${nearest(key)}"?`,
      );
      return;
    }
    if (this.#standsTooOften(key, line)) return;
    const { value, problem } = readValue(text.slice(equals + 1));
    const found = problem ?? unfit(key, value) ??
      rule(value, { draft: this.#draft, warn: (message) => this.#warning(line, key, message) });
    if (found !== undefined) this.#problem(line, key, found);
  }

  /** Notes that a key stands in a line; `true` if it must not. */
  #standsTooOften(key: string, line: number): boolean {
    const first = this.#lineOf.get(key);
    if (first === undefined) this.#lineOf.set(key, line);
    const most = REPEATABLE.get(key);
    if (most !== undefined) {
      const lines = (this.#linesOf.get(key) ?? 0) + 1;
      this.#linesOf.set(key, lines);
      if (lines <= most) return false;
      this.#problem(line, key, `more than ${most} lines; join addresses to networks`);
      return true;
    }
    if (first === undefined) return false;
    this.#problem(line, key, `stands twice, in line ${first} and line ${line}; remove one of them`);
    return true;
  }

  /** Checks keys whose bounds depend on each other, as far as each of them is right. */
  #checkTogether(): void {
    const wrong = new Set(this.#problems.map((problem) => problem.key));
    const { bantime, bantimeMax, chain, backend } = this.#draft;
    const at = (key: string) => this.#lineOf.get(key) ?? 0;
    if (!wrong.has("bantime") && !wrong.has("bantime_max") && bantimeMax > 0) {
      if (bantimeMax < bantime) {
        const [max, time] = [formatDuration(bantimeMax), formatDuration(bantime)];
        this.#problem(at("bantime_max"), "bantime_max", `${max} is less than bantime (${time})`);
      }
    }
    const longest = SET_LENGTH_MAX - SET_SUFFIX.length;
    if (!wrong.has("chain") && backend === "ipset" && chain.length > longest) {
      this.#problem(
        at("chain"),
        "chain",
        `longer than ${longest} characters, which the backend ipset needs to name its sets`,
      );
    }
    this.#problems.sort((a, b) => a.line - b.line);
  }

  #problem(line: number, key: string | undefined, message: string): void {
    this.#problems.push({ file: this.#file, line, key, message });
  }

  #warning(line: number, key: string | undefined, message: string): void {
    this.#warnings.push({ file: this.#file, line, key, message });
  }
}

/** A file that is not even looked into. */
function refused(file: string, message: string): ConfigReading {
  return {
    config: undefined,
    problems: [{ file, line: 0, key: undefined, message }],
    warnings: [],
  };
}

/** The first of many problems, and the number of the rest. */
function bounded(problems: ConfigProblem[], noun: string, file: string): ConfigProblem[] {
  const more = problems.length - PROBLEMS_MAX;
  if (more <= 0) return problems;
  const message = `${more} more ${noun}; is this a configuration file of Ampere?`;
  return [...problems.slice(0, PROBLEMS_MAX), { file, line: 0, key: undefined, message }];
}

/** Removes blanks and tabs around a text, and nothing else that looks like them. */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text[start])) start++;
  while (end > start && isBlank(text[end - 1])) end--;
  return text.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
  return character === " " || character === "\t";
}

/** The known key that a line without a proper `=` begins with. */
function knownKeyBefore(text: string): string | undefined {
  const first = /^[A-Za-z0-9_]+/.exec(text)?.[0].toLowerCase();
  return first !== undefined && RULES.has(first) ? first : undefined;
}

/** What is wrong with a line that is not `key = value`. */
function misshapen(text: string): string {
  if (text.startsWith("[")) return "keys stand without sections; remove this line";
  return knownKeyBefore(text) === undefined
    ? 'not a line "key = value"; a comment begins with # or ;'
    : 'there is no "=" right after the key';
}

/**
 * The name of an unknown key for a message, unless it may be the rest of a secret that was broken into
 * two lines: a long text, or one that ends in `=` as Base64 does.
 */
function shownKey(name: string, afterEquals: string): string | undefined {
  const isLikeBase64 = /^=*$/.test(trimBlanks(afterEquals));
  return name.length > KEY_LENGTH_MAX || isLikeBase64 ? undefined : name;
}

/** The value after the `=` of a line, or what is wrong with how it is written. */
function readValue(text: string): { value: string; problem?: string } {
  const rest = trimBlanks(text);
  const quote = rest[0];
  if (quote === '"' || quote === "'") {
    const end = rest.indexOf(quote, 1);
    if (end === -1) return { value: "", problem: `the closing ${quote} is missing` };
    const after = rest.slice(end + 1);
    if (!/^(?:[ \t]+(?:[#;].*)?)?$/s.test(after)) {
      const problem = `there is text after the closing ${quote}; ` +
        `a value that holds ${quote} is put in ${quote === '"' ? "'" : '"'}`;
      return { value: "", problem };
    }
    return { value: rest.slice(1, end) };
  }
  const comment = /[ \t][#;]/.exec(text);
  return { value: trimBlanks(comment === null ? text : text.slice(0, comment.index)) };
}

/** What makes a value unfit for any key. */
function unfit(key: string, value: string): string | undefined {
  if (value === "" && !MAY_BE_EMPTY.has(key)) {
    return "has no value; remove the line for the default, and put a value that begins with # or ; " +
      "in quotes";
  }
  if (CONTROL_CHARACTER.test(value)) {
    return "the value holds a control character (a tab, a line end, NUL or the like); remove it";
  }
  if (value.includes("\uFFFD") || !value.isWellFormed()) {
    return "the value holds bytes that are not UTF-8; save the file as UTF-8";
  }
  return undefined;
}

/** Reads a file up to a number of bytes; works for pipes too, whose length nobody knows. */
function readBytes(path: string, most: number): Uint8Array {
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(most);
  let length = 0;
  while (length < most) {
    const read = file.readSync(bytes.subarray(length));
    if (read === null || read === 0) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

function whyNotRead(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.NotCapable) {
    return "this build of Ampere may not read it; put it into /etc/ampere, or compile Ampere with " +
      "`deno task compile -- --allow-path=DIRECTORY`";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "this user may not read it; use sudo (the packaged daemon is root, and reads it only if it belongs to root)";
  }
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

// --- the rules -----------------------------------------------------------------------------------

function readHost(value: string, { draft }: Context): string | undefined {
  const bare = /^\[(.*)\]$/.exec(value)?.[1] ?? value;
  const isAddress = parseAddress(bare) !== undefined && (bare === value || bare.includes(":"));
  // What consists of digits and dots is meant as an address, so a wrong one is not looked up.
  const isName = value.length <= HOST_LENGTH_MAX && HOST_NAME.test(value) &&
    !/^[0-9.]+$/.test(value);
  if (!isAddress && !isName) return `${shown(value)} is not a host name or address`;
  draft.host = isAddress ? bare : value;
  return undefined;
}

function readChain(value: string, { draft }: Context): string | undefined {
  if (BUILT_IN_CHAINS.has(value)) {
    return `${value} is a chain of the system, and Ampere flushes its chain: all rules in ${value} ` +
      "would be lost; make a chain for Ampere alone and jump to it from there";
  }
  if (TARGETS.has(value)) return `${value} is a target of iptables, so no chain can have this name`;
  if (value.length > CHAIN_LENGTH_MAX) return `longer than ${CHAIN_LENGTH_MAX} characters`;
  if (!CHAIN_NAME.test(value)) {
    return `${
      shown(value)
    } is not a name for a chain: letters, digits and _ . : - are, the first ` +
      "of them not : or -";
  }
  draft.chain = value;
  return undefined;
}

function readTrust(value: string, { draft, warn }: Context): string | undefined {
  const target = parseTarget(value);
  if (target === undefined) return `${shown(value)} is not an address or network`;
  draft.trust = [...draft.trust, target];
  if (target.endsWith("/0")) {
    const all = target.includes(":") ? "all of IPv6" : "all of IPv4";
    warn(`${target} is ${all}: nobody there will ever be blocked`);
  } else if (hasHostBits(value, target)) {
    warn(`${shown(value)} is taken as the whole network ${target}`);
  }
  return undefined;
}

function readNat64(value: string, { draft }: Context): string | undefined {
  if (isOff(value)) return undefined;
  const target = parseTarget(value);
  if (target === undefined || !target.includes(":") || !target.endsWith(`/${NAT64_PREFIX}`)) {
    return `${
      shown(value)
    } is not an IPv6 network of ${NAT64_PREFIX} bits, such as 2001:db8:64::/96`;
  }
  draft.nat64 = [...draft.nat64, target];
  return undefined;
}

/** Whether bits of the address in front of the prefix were masked away. */
function hasHostBits(text: string, target: string): boolean {
  const [network = "", prefix] = target.split("/");
  return prefix !== undefined && parseAddress(text.split("/")[0] ?? "") !== network;
}

function readDatabase(value: string, { draft }: Context): string | undefined {
  if (!value.startsWith("/")) return `${shown(value)} is not a path that begins with /`;
  if (value.endsWith("/")) return `${shown(value)} is a directory; name a file in it`;
  draft.database = value;
  return tooManyBytes(value, PATH_BYTES_MAX);
}

function readFactor(value: string, { draft }: Context): string | undefined {
  const factor = DECIMAL_NUMBER.test(value) ? Number(value) : NaN;
  if (!(factor >= 1 && factor <= BANTIME_FACTOR_MAX)) {
    return `${shown(value)} is not a number from 1 to ${BANTIME_FACTOR_MAX}, such as 2 or 1.5`;
  }
  draft.bantimeFactor = factor;
  return undefined;
}

function readBackend(value: string, { draft }: Context): string | undefined {
  if (value !== "iptables" && value !== "ipset") return `${shown(value)} is not iptables or ipset`;
  draft.backend = value;
  return undefined;
}

function readMetrics(value: string, { draft }: Context): string | undefined {
  draft.metrics = undefined;
  if (isOff(value)) return undefined;
  const [, bracketed, plain, portText = ""] = /^(?:\[(.*)\]|([^:]*)):([0-9]*)$/.exec(value) ?? [];
  const hostname = plain === "localhost" ? plain : parseAddress(bracketed ?? plain ?? "");
  const isBracketedRight = bracketed === undefined || bracketed.includes(":");
  const port = WHOLE_NUMBER.test(portText) ? Number(portText) : 0;
  if (hostname === undefined || !isBracketedRight || port < 1 || port > 65_535) {
    return `${shown(value)} is not ADDRESS:PORT, such as 127.0.0.1:9738 or [::1]:9738, or off`;
  }
  draft.metrics = { hostname, port };
  return undefined;
}

function readWebhook(value: string, { draft }: Context): string | undefined {
  draft.webhook = undefined;
  if (isOff(value)) return undefined;
  if (value.length > WEBHOOK_LENGTH_MAX) return `longer than ${WEBHOOK_LENGTH_MAX} characters`;
  const url = /^https?:\/\/\S+$/i.test(value) ? URL.parse(value) : null;
  if (url === null || url.hostname === "") {
    return "not a URL that begins with https:// or http://, nor off";
  }
  draft.webhook = url.href;
  return undefined;
}

function readNumber(
  value: string,
  least: number,
  most: number,
  take: (number: number) => void,
): string | undefined {
  const number = WHOLE_NUMBER.test(value) ? Number(value) : NaN;
  if (!(number >= least && number <= most)) {
    return `${shown(value)} is not a whole number from ${least} to ${most}`;
  }
  take(number);
  return undefined;
}

function readSeconds(
  value: string,
  least: number,
  most: number,
  take: (seconds: number) => void,
): string | undefined {
  const seconds = parseDuration(value);
  const range = `from ${formatDuration(least)} to ${formatDuration(most)}`;
  if (seconds === undefined) {
    return `${
      shown(value)
    } is not a duration ${range}: a number of seconds, or a number with s, m, ` +
      "h or d, such as 90s, 15m, 6h or 7d";
  }
  if (seconds < least || seconds > most) return `${shown(value)} is not ${range}`;
  take(seconds);
  return undefined;
}

function tooManyBytes(value: string, most: number): string | undefined {
  return new TextEncoder().encode(value).length > most ? `longer than ${most} bytes` : undefined;
}

function isOff(value: string): boolean {
  return value === "" || value.toLowerCase() === "off";
}

/** A value in a message: in quotes, in one line, cut. */
function shown(value: string): string {
  // Two keys may stand in one line by mistake, and the second one may be the secret.
  if (/=|pass|secret/i.test(value)) return "the value (not shown, it may hold a secret)";
  return `"${escapeText(value, SHOWN_VALUE_MAX)}"`;
}

function formatListenAddress({ hostname, port }: ListenAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

// --- the nearest key -----------------------------------------------------------------------------

/** The known key that differs least from a name; of equal ones the first. */
function nearest(name: string): string {
  const compared = name.slice(0, KEY_LENGTH_MAX);
  let best = "";
  let least = Infinity;
  for (const key of RULES.keys()) {
    const distance = editDistance(compared, key);
    if (distance < least) {
      best = key;
      least = distance;
    }
  }
  return best;
}

/** How many characters have to be put in, taken out or changed to make one text of the other. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + change));
    }
    previous = row;
  }
  return previous[b.length]!;
}
