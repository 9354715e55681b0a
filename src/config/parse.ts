/**
 * The configuration file: its keys, their meaning, their bounds, and how a mistake in it is told.
 *
 * Only this folder knows keys. A file is read as a whole and all that is wrong with it is reported
 * at once, so that an administrator corrects it in one go. The secret (`pass`), and the address
 * given as `webhook`, which often holds one, never stand in a message.
 *
 * @module
 */

import {
  type Config,
  DEFAULT_CONFIG,
  DEFAULT_CONFIG_FILE,
  DEFAULT_TLS_PORT,
  NO_AMI,
} from "./config.ts";
import { formatDuration } from "./duration.ts";
import { beginFeed, FEED_RULES, type FeedConfig, type FeedDraft, unfitFeed } from "./feeds.ts";
import { readBytes, whyNotRead } from "./file.ts";
import { adviceForForeign } from "./foreign_keys.ts";
import { unfitPage } from "./page_keys.ts";
import { LAST_COUNTS, NEVER_WITH_COMMENT_SIGNS, TAKEN_WITH_COMMENTS } from "./original.ts";
import { type Draft, MAY_BE_EMPTY, REPEATABLE, RULES } from "./keys.ts";
import {
  beginMessenger,
  endMessenger,
  MESSENGER_RULES,
  type MessengerConfig,
  type MessengerDraft,
} from "./messengers.ts";

/** Something about a file that an administrator should know. */
interface ConfigProblem {
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

/**
 * Longest file, in bytes: as many lines with `trust` as there may be, each with a comment, and the
 * rest. What is longer is not a configuration.
 */
export const CONFIG_BYTES_MAX = 1_048_576;

const TOO_LONG = `longer than ${CONFIG_BYTES_MAX} bytes, so this is not a configuration file`;

/**
 * Problems of one file that are told one by one, and as many warnings; of the rest only the number.
 */
export const PROBLEMS_MAX = 100;

/** Longest name of a key that is repeated in a message, in characters. */
const KEY_LENGTH_MAX = 32;

/** What may be a key, so that repeating it in a message betrays nothing else. */
const KEY_NAME = /^[A-Za-z][A-Za-z0-9_-]*$/;

// deno-lint-ignore no-control-regex -- this is what has to be found
const CONTROL_CHARACTER = /[\x00-\x1f\x7f-\x9f]/;

/**
 * Reads the text of a configuration file.
 *
 * Each line is empty, a comment (its first character is `#` or `;`) or `key = value`. A `#` or `;`
 * after white space begins a comment as well; elsewhere it belongs to the value. A value in double
 * or single quotes is taken as it is. Keys are written without regard to case and stand in no
 * section, but for those of feeds and messengers, which follow `[feed NAME]` and `[notify NAME]`.
 *
 * @param text The whole text; a byte order mark and lines that end in CR LF are fine.
 * @param fileName The name that problems begin with.
 * @returns The configuration, or all that is wrong. Never throws, whatever the text is.
 *
 * @example
 * ```ts
 * import { formatProblem, parseConfig } from "./parse.ts";
 *
 * const { problems } = parseConfig("trust = 10.0.0.0/33", "ampere.cfg");
 * problems.map(formatProblem);
 * // ['ampere.cfg:1: trust: "10.0.0.0/33" is not an address or network']
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
 * @param path The file; `undefined` for {@linkcode DEFAULT_CONFIG_FILE}, which may be missing: then
 *   all keys have their defaults, and a warning says so.
 * @param mayBePipe Whether a pipe is read too, as `-c <(...)` gives one; not by who has other
 *   things to do meanwhile.
 * @returns The configuration, or all that is wrong with the file.
 */
export function readConfig(path: string | undefined, mayBePipe = true): ConfigReading {
  const file = path ?? DEFAULT_CONFIG_FILE;
  let bytes: Uint8Array;
  try {
    bytes = readBytes(file, CONFIG_BYTES_MAX + 1, mayBePipe);
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

// --- the file ------------------------------------------------------------------------------------

/** A section that is being read. */
type Section =
  & {
    /** The line of each of its keys. */
    readonly lineOf: Map<string, number>;
  }
  & (
    | { readonly kind: "feed"; draft: FeedDraft | undefined }
    | { readonly kind: "notify"; draft: MessengerDraft | undefined }
  );

/** The keys of each kind of section, and how they are called. */
const SECTIONS = {
  feed: { rules: FEED_RULES, noun: "a feed" },
  notify: { rules: MESSENGER_RULES, noun: "a messenger" },
} as const;

/** Reads one text; what it found is kept until all lines were read. */
class Reader {
  readonly #file: string;
  readonly #problems: ConfigProblem[] = [];
  readonly #warnings: ConfigProblem[] = [];
  readonly #draft: Draft = { ...DEFAULT_CONFIG };
  /** The line where a key stood first. */
  readonly #lineOf = new Map<string, number>();
  readonly #linesOf = new Map<string, number>();
  readonly #feeds: FeedConfig[] = [];
  readonly #messengers: MessengerConfig[] = [];
  readonly #names = { feed: new Set<string>(), notify: new Set<string>() };
  #section: Section | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  read(text: string): ConfigReading {
    // A lone CR ends a line too, as it does for the original.
    const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
    lines.forEach((line, i) => this.#readLine(line, i + 1));
    this.#endSection();
    this.#checkTogether();
    const isRight = this.#problems.length === 0;
    return {
      config: isRight
        ? Object.freeze({
          ...this.#draft,
          trust: Object.freeze([...new Set(this.#draft.trust)]),
          trustNames: Object.freeze([...new Set(this.#draft.trustNames)]),
          jump: Object.freeze([...this.#draft.jump]),
          nat64: Object.freeze([...new Set(this.#draft.nat64)]),
          logs: Object.freeze([...new Set(this.#draft.logs)]),
          home: Object.freeze([...this.#draft.home]),
          asnStrict: Object.freeze([...this.#draft.asnStrict]),
          feeds: Object.freeze(this.#feeds.map((feed) => Object.freeze(feed))),
          pageNames: Object.freeze([...this.#draft.pageNames]),
          messengers: Object.freeze(this.#messengers.map((one) => Object.freeze(one))),
          sipPorts: Object.freeze([...this.#draft.sipPorts]),
        })
        : undefined,
      problems: bounded(this.#problems, "problems", this.#file),
      warnings: bounded(this.#warnings, "warnings", this.#file),
    };
  }

  #readLine(rawLine: string, line: number): void {
    const text = trimBlanks(rawLine);
    if (text === "" || text.startsWith("#") || text.startsWith(";")) return;
    const [, kind] = /^\[(feed|notify)\b/i.exec(text) ?? [];
    if (kind !== undefined) return this.#beginSection(kind.toLowerCase(), text, line);
    const equals = text.indexOf("=");
    const name = trimBlanks(equals === -1 ? text : text.slice(0, equals));
    const key = name.toLowerCase();
    // Whoever adds a line `trust` at the end of the file means what it says.
    const isOfSection = this.#section !== undefined &&
      (SECTIONS[this.#section.kind].rules.has(key) || !RULES.has(key));
    if (isOfSection) return this.#readSectionLine(text, line);
    const rule = RULES.get(key);
    const foreign = equals === -1
      ? undefined
      : adviceForForeign(key, readValue(text.slice(equals + 1)).value);
    if (foreign !== undefined) {
      this.#warning(line, shownKey(name, text.slice(equals + 1)), foreign);
      return;
    }
    if (equals === -1 || !KEY_NAME.test(name)) {
      // Such a line is never repeated in a message: it may be a secret that went astray.
      const known = knownKeyBefore(text);
      // A key that is no word is as unknown as any other.
      const isHarmless = isOrnament(text) || (equals !== -1 && known === undefined);
      if (isHarmless) this.#warning(line, undefined, misshapen(text));
      else this.#problem(line, known, misshapen(text));
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
    const written = text.slice(equals + 1);
    const { value, problem } = readValue(written, NEVER_WITH_COMMENT_SIGNS.has(key));
    if (TAKEN_WITH_COMMENTS.has(key) && isCommentCut(written, value)) {
      this.#warning(
        line,
        key,
        "what follows a # or ; after white space is a comment; Ampere 0.2.3 took it as a part of " +
          "the value: if it is one, put the value in quotes",
      );
    }
    const found = problem ?? unfit(key, value) ??
      rule(value, { draft: this.#draft, warn: (message) => this.#warning(line, key, message) });
    if (found !== undefined) this.#problem(line, key, found);
  }

  #beginSection(kind: string, text: string, line: number): void {
    this.#endSection();
    const place = { file: this.#file, line };
    // The lines of a section that is wrong are not to be told one by one.
    if (kind === "feed") {
      const draft = this.#begun(kind, beginFeed(text, place, this.#names.feed), line);
      this.#section = { kind, draft, lineOf: new Map() };
    } else {
      const draft = this.#begun("notify", beginMessenger(text, place, this.#names.notify), line);
      this.#section = { kind: "notify", draft, lineOf: new Map() };
    }
  }

  #begun<Draft extends { readonly name: string }>(
    kind: Section["kind"],
    draft: Draft | string,
    line: number,
  ): Draft | undefined {
    if (typeof draft === "string") {
      this.#problem(line, undefined, draft);
      return undefined;
    }
    this.#names[kind].add(draft.name);
    return draft;
  }

  #readSectionLine(text: string, line: number): void {
    const section = this.#section!;
    const { draft, lineOf } = section;
    if (draft === undefined) return;
    const equals = text.indexOf("=");
    const name = trimBlanks(equals === -1 ? text : text.slice(0, equals));
    const key = name.toLowerCase();
    if (equals === -1 || !KEY_NAME.test(name)) {
      return this.#problem(line, undefined, misshapen(text));
    }
    const { rules, noun } = SECTIONS[section.kind];
    if (!rules.has(key)) {
      const known = [...rules.keys()].join(", ");
      const shownName = shownKey(name, text.slice(equals + 1));
      return this.#problem(line, shownName, `unknown key; the keys of ${noun} are ${known}`);
    }
    const first = lineOf.get(key);
    if (first !== undefined) {
      return this.#problem(
        line,
        key,
        `stands twice in [${section.kind} ${draft.name}], in line ${first} and line ${line}; remove one of them`,
      );
    }
    lineOf.set(key, line);
    const { value, problem } = readValue(text.slice(equals + 1));
    const found = problem ?? unfit(key, value) ?? readInto(section, key, value);
    if (found !== undefined) {
      const hint = RULES.has(key)
        ? `; that of Ampere itself stands above the first [${section.kind} …]`
        : "";
      this.#problem(line, key, `${found}${hint}`);
      section.draft = undefined;
    }
  }

  #endSection(): void {
    const section = this.#section;
    this.#section = undefined;
    if (section?.draft === undefined) return;
    const { draft, lineOf } = section;
    const tell = ([key, message]: readonly [string, string]) =>
      this.#problem(lineOf.get(key) ?? draft.line, key, message);
    if (section.kind === "feed") {
      const wrong = unfitFeed(section.draft);
      if (wrong === undefined) this.#feeds.push(section.draft);
      else tell(wrong);
      return;
    }
    const ended = endMessenger(section.draft, new Set(lineOf.keys()));
    if ("name" in ended) this.#messengers.push(ended);
    else tell(ended);
  }

  /** Notes that a key stands in a line; `true` if it must not. */
  #standsTooOften(key: string, line: number): boolean {
    const first = this.#lineOf.get(key);
    if (first === undefined) this.#lineOf.set(key, line);
    const most = REPEATABLE.get(key);
    if (most !== undefined) {
      const lines = (this.#linesOf.get(key) ?? 0) + 1;
      this.#linesOf.set(key, lines);
      if (lines - 1 === most.original) {
        this.#warning(
          line,
          key,
          `this is line ${lines} with ${key}: all are in force, but Ampere 0.2.3 reads only ${most.original}`,
        );
      }
      if (lines <= most.most) return false;
      const advice = most.advice ?? "join addresses to networks";
      this.#problem(line, key, `more than ${most.most} lines; ${advice}`);
      return true;
    }
    if (first === undefined) return false;
    if (LAST_COUNTS.has(key)) {
      this.#lineOf.set(key, line);
      this.#warning(
        line,
        key,
        `stands twice, in line ${first} and line ${line}; the last one counts, as with Ampere ` +
          "0.2.3: remove the other",
      );
      return false;
    }
    this.#problem(line, key, `stands twice, in line ${first} and line ${line}; remove one of them`);
    return true;
  }

  /** Checks keys whose bounds depend on each other, as far as each of them is right. */
  #checkTogether(): void {
    const wrong = new Set(this.#problems.map((problem) => problem.key));
    const { bantime, bantimeMax, chain, jump } = this.#draft;
    const at = (key: string) => this.#lineOf.get(key) ?? 0;
    if (!wrong.has("chain") && !wrong.has("jump") && jump.includes(chain)) {
      this.#problem(
        at("jump"),
        "jump",
        `${chain} is Ampere's own chain, which cannot jump to itself`,
      );
    }
    if (!wrong.has("bantime") && !wrong.has("bantime_max") && bantimeMax > 0) {
      if (bantimeMax < bantime) {
        const [max, time] = [formatDuration(bantimeMax), formatDuration(bantime)];
        this.#problem(at("bantime_max"), "bantime_max", `${max} is less than bantime (${time})`);
      }
    }
    const blocking = this.#feeds.find((feed) => feed.action === "block");
    if (blocking !== undefined && this.#draft.backend === "iptables") {
      this.#problem(
        blocking.line,
        "action",
        `[feed ${blocking.name}] has action = block, but with backend = iptables each entry would ` +
          "be a rule that every packet is compared with; set backend = nftables or backend = ipset, " +
          "or action = strict",
      );
    }
    const { tls, webhook, host, logs, fleet, fleetName } = this.#draft;
    if (fleet !== undefined && fleetName === undefined && !wrong.has("fleet_name")) {
      this.#problem(
        at("fleet"),
        "fleet",
        "needs a name of this PBX, another one on each: fleet_name = pbx1",
      );
    }
    if (host === NO_AMI && logs.length === 0 && !wrong.has("log")) {
      this.#problem(
        at("host"),
        "host",
        "none means that Asterisk's manager interface is not used, and without a log nothing is " +
          "left to follow; add: log = /var/log/asterisk/messages",
      );
    }
    if (tls && this.#lineOf.get("port") === undefined) this.#draft.port = DEFAULT_TLS_PORT;
    for (const [key, field] of [["tls_ca", "tlsCa"], ["tls_name", "tlsName"]] as const) {
      if (tls || wrong.has("tls") || this.#draft[field] === undefined) continue;
      this.#warning(
        at(key),
        key,
        "has no effect without tls = yes: AMI is spoken to in plain text",
      );
    }
    const isSecure = webhook?.startsWith("https:") || wrong.has("webhook");
    if (this.#draft.webhookCa !== undefined && !isSecure) {
      this.#warning(at("webhook_ca"), "webhook_ca", "has no effect without a webhook by https://");
    }
    this.#checkPlaces(wrong);
    for (const { key, message, isDoubt } of unfitPage(this.#draft)) {
      if (["page", "page_token_file", "page_cert", "page_key"].some((one) => wrong.has(one))) break;
      if (isDoubt) this.#warning(at(key), key, message);
      else this.#problem(at(key), key, message);
    }
    this.#problems.sort((a, b) => a.line - b.line);
    this.#warnings.sort((a, b) => a.line - b.line);
  }

  /** Rules about places need a file that knows them. */
  #checkPlaces(wrong: ReadonlySet<string | undefined>): void {
    const { geo, asn, home, away, asnStrict } = this.#draft;
    const warn = (key: string, message: string) =>
      this.#warning(this.#lineOf.get(key) ?? 0, key, message);
    if (home.length > 0 && geo === undefined && !wrong.has("geo")) {
      warn(
        "home",
        "has no effect without geo = FILE.mmdb: nobody knows which country a host is in",
      );
    }
    if (asnStrict.length > 0 && asn === undefined && !wrong.has("asn")) {
      warn(
        "asn_strict",
        "has no effect without asn = FILE.mmdb: nobody knows whose network a host is in",
      );
    }
    if (away !== "strict" && home.length === 0 && !wrong.has("home")) {
      warn("away", "has no effect without home = COUNTRY, …: nobody is away");
    }
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

/** Reads a value of a section into its draft. */
function readInto({ kind, draft }: Section, key: string, value: string): string | undefined {
  return kind === "feed"
    ? FEED_RULES.get(key)!(value, draft!)
    : MESSENGER_RULES.get(key)!(value, draft!);
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
  if (text.startsWith("[")) {
    return "keys stand without sections, so this line has no effect; remove it";
  }
  return knownKeyBefore(text) === undefined
    ? 'not a line "key = value"; a comment begins with # or ;'
    : 'there is no "=" right after the key';
}

/**
 * The name of an unknown key for a message, unless it may be the rest of a secret that was broken
 * into two lines: a long text, or one that ends in `=` as Base64 does.
 */
function shownKey(name: string, afterEquals: string): string | undefined {
  const isLikeBase64 = /^=*$/.test(trimBlanks(afterEquals));
  return name.length > KEY_LENGTH_MAX || isLikeBase64 ? undefined : name;
}

/**
 * Whether a line without effect looks like one: the name of a section, a rule of signs, a comment
 * of another language. Ampere 0.2.3 passed over these, so a file of its must not keep this version
 * from starting.
 */
function isOrnament(text: string): boolean {
  return /^(?:\[[^\]=]*\]$|\/\/|\/\*|\*|--)/.test(text) || !/[\p{L}\p{N}]/u.test(text);
}

/** Whether a comment was cut off a value that is not in quotes. */
function isCommentCut(text: string, value: string): boolean {
  const rest = trimBlanks(text);
  return !/^["']/.test(rest) && rest !== value;
}

/**
 * The value after the `=` of a line, or what is wrong with how it is written.
 *
 * @param text What follows the `=`.
 * @param anywhere Whether a `#` or `;` begins a comment without white space before it, too.
 */
function readValue(text: string, anywhere = false): { value: string; problem?: string } {
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
  const comment = (anywhere ? /[#;]/ : /[ \t][#;]/).exec(text);
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
