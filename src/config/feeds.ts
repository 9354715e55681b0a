/**
 * Sections `[feed NAME]` of the configuration: lists of attackers that others keep.
 *
 * @module
 */

import { DURATION_MAX, formatDuration, parseDuration } from "./duration.ts";
import { shown } from "./shown_value.ts";

/** How a list is written. */
type FeedFormat = "auto" | "text" | "json-lines" | "apiban";

/** Which packets of a listed host are refused. */
type FeedScope = "everything" | "sip";

/** What becomes of a listed stranger. */
type FeedAction = "block" | "strict";

/** A list of attackers. */
export interface FeedConfig {
  /** Its name: 1 to 16 small letters, digits and `-`. */
  readonly name: string;
  /** The configuration file, and the line of its section there. */
  readonly file: string;
  readonly line: number;
  /** Where it is: an URL that begins with `https://`, `http://` or `file:///`. */
  readonly url: string;
  /** How often it is looked at, in seconds. */
  readonly every: number;
  readonly format: FeedFormat;
  readonly for: FeedScope;
  readonly action: FeedAction;
  /** Absolute path of the file with the key, for APIBAN. */
  readonly keyFile: string | undefined;
}

/** Most feeds. */
export const FEEDS_MAX = 16;

/**
 * Shortest and longest `every`, in seconds: who gives lists away is not to be asked all the time.
 */
const EVERY_MIN = 300;
const EVERY_MAX = Math.min(30 * 86_400, DURATION_MAX);

/** How often a feed is looked at unless it says so, in seconds. */
const EVERY = 6 * 3_600;

/** Longest `url`, in characters. */
const URL_LENGTH_MAX = 2_000;

/** The hosts of APIBAN, whose lists come in batches and need a key. */
const APIBAN_HOSTS: ReadonlySet<string> = new Set(["apiban.org", "www.apiban.org"]);

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?$/;

/** A feed while its lines are read. */
export type FeedDraft = { -readonly [Key in keyof FeedConfig]: FeedConfig[Key] };

/** Reads a value into a draft; returns what is wrong with it, `undefined` if nothing is. */
type FeedRule = (value: string, draft: FeedDraft) => string | undefined;

/** The keys of a section, each with the rule that reads its value. */
export const FEED_RULES: ReadonlyMap<string, FeedRule> = new Map<string, FeedRule>([
  ["url", readUrl],
  ["every", readEvery],
  ["format", (value, draft) => readWord(value, FORMATS, (word) => draft.format = word)],
  ["for", (value, draft) => readWord(value, SCOPES, (word) => draft.for = word)],
  ["action", (value, draft) => readWord(value, ACTIONS, (word) => draft.action = word)],
  ["key_file", (value, draft) => {
    draft.keyFile = value;
    return value.startsWith("/") && !value.endsWith("/")
      ? undefined
      : `${shown(value)} is not a path of a file that begins with /`;
  }],
]);

const FORMATS: readonly FeedFormat[] = ["auto", "text", "json-lines", "apiban"];
const SCOPES: readonly FeedScope[] = ["everything", "sip"];
const ACTIONS: readonly FeedAction[] = ["block", "strict"];

/**
 * Begins a section.
 *
 * @param heading The line, without white space around it.
 * @param place Where it stands.
 * @param taken The names of the sections before.
 * @returns The draft, or what is wrong.
 */
export function beginFeed(
  heading: string,
  { file, line }: { readonly file: string; readonly line: number },
  taken: ReadonlySet<string>,
): FeedDraft | string {
  const [, name] = /^\[feed[ \t]+([^\]]*)\](?:[ \t]*|[ \t]+[#;].*)$/i.exec(heading) ?? [];
  if (name === undefined) return "a list of attackers begins with a line [feed NAME]";
  if (!NAME.test(name)) {
    return `${shown(name)} is not a name for a feed: 1 to 16 small letters, digits and - are`;
  }
  if (taken.has(name)) return `there are two sections [feed ${name}]; remove one of them`;
  if (taken.size >= FEEDS_MAX) return `more than ${FEEDS_MAX} feeds; join lists to one file`;
  return {
    name,
    file,
    line,
    url: "",
    every: EVERY,
    format: "auto",
    for: "everything",
    action: "strict",
    keyFile: undefined,
  };
}

/**
 * Ends a section.
 *
 * @param draft What its lines say.
 * @returns What is wrong with it as a whole, with the key.
 */
export function unfitFeed(draft: FeedDraft): readonly [key: string, message: string] | undefined {
  const { name, url, format, keyFile } = draft;
  if (url === "") {
    return ["url", `[feed ${name}] does not say where its list is; add: url = https://…`];
  }
  const isApiban = format === "apiban" ||
    format === "auto" && APIBAN_HOSTS.has(URL.parse(url)?.hostname ?? "");
  if (isApiban) {
    if (keyFile === undefined) {
      return ["key_file", `APIBAN needs a key; add: key_file = /etc/ampere/apiban.key`];
    }
    if (!url.startsWith("http")) return ["url", "APIBAN's lists come by https:// alone"];
    draft.format = "apiban";
  } else if (keyFile !== undefined) {
    return ["key_file", "only APIBAN (format = apiban) has a key; remove this line"];
  }
  return undefined;
}

function readUrl(value: string, draft: FeedDraft): string | undefined {
  if (value.length > URL_LENGTH_MAX) return `longer than ${URL_LENGTH_MAX} characters`;
  if (/\s/.test(value)) return "holds a blank; write %20 for it";
  const url = /^(?:https?:\/\/|file:\/(?:\/\/)?(?!\/))\S+$/i.test(value) ? URL.parse(value) : null;
  if (url === null || (url.protocol !== "file:" && url.hostname === "")) {
    return "not a URL that begins with https://, http:// or file:///";
  }
  if (url.username !== "" || url.password !== "") {
    return "holds a name or a password in front of the server, which is not supported";
  }
  if (url.protocol === "file:" && (url.pathname.endsWith("/") || url.search + url.hash !== "")) {
    return "is not a file: write file:///etc/ampere/NAME";
  }
  if (url.protocol === "file:" && pathIn(url) === undefined) {
    return "holds a % that stands for no character: write %25 for it";
  }
  url.hash = "";
  draft.url = url.href;
  return undefined;
}

/** The path of a file; `undefined` if it is none. */
function pathIn(url: URL): string | undefined {
  try {
    const path = decodeURIComponent(url.pathname);
    return path.includes("\0") ? undefined : path;
  } catch {
    return undefined;
  }
}

function readEvery(value: string, draft: FeedDraft): string | undefined {
  const seconds = parseDuration(value);
  if (seconds === undefined || seconds < EVERY_MIN || seconds > EVERY_MAX) {
    return `${shown(value)} is not a duration from ${formatDuration(EVERY_MIN)} to ${
      formatDuration(EVERY_MAX)
    }, such as 6h`;
  }
  draft.every = seconds;
  return undefined;
}

function readWord<Word extends string>(
  value: string,
  words: readonly Word[],
  take: (word: Word) => void,
): string | undefined {
  const word = words.find((one) => one === value.toLowerCase());
  if (word === undefined) {
    return `${shown(value)} is not ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  }
  take(word);
  return undefined;
}

/**
 * What of an URL may be told: the rest may hold a secret.
 *
 * @param url The URL of a feed.
 */
export function shownUrl(url: string): string {
  const { protocol, host, pathname, search } = new URL(url);
  if (protocol === "file:") return decodeURIComponent(pathname);
  return `${protocol}//${host}${pathname}${search === "" ? "" : "?…"}`;
}
