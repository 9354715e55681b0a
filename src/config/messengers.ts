/**
 * Sections `[notify NAME]` of the configuration: who is told of what happens, and how.
 *
 * @module
 */

import { formatDuration, parseDuration } from "./duration.ts";
import { shown } from "./shown_value.ts";

/** What a messenger understands. */
type MessengerFormat = "slack" | "telegram" | "ntfy" | "matrix" | "json" | "email";

/** Hours of the day, by this machine's clock, in minutes since midnight. */
export interface QuietHours {
  readonly from: number;
  /** Less than `from`: of the next day. */
  readonly to: number;
}

/** Somebody who is told. */
export interface MessengerConfig {
  /** Its name: 1 to 16 small letters, digits and `-`. */
  readonly name: string;
  /** The configuration file, and the line of its section there. */
  readonly file: string;
  readonly line: number;
  readonly format: MessengerFormat;
  /** Where to: `https://`, `http://`, for e-mail `smtps://` or `smtp://`; may hold a secret. */
  readonly url: string;
  /** Absolute path of a file that holds `url`, if that does not stand here. */
  readonly urlFile: string | undefined;
  /** Absolute path of a file with the token of Telegram, ntfy, Matrix, or of a JSON receiver. */
  readonly tokenFile: string | undefined;
  /** Telegram's chat: a number, or `@NAME` of a channel. */
  readonly chat: string;
  /** Matrix' room: `!ID:SERVER`. */
  readonly room: string;
  /** Who writes e-mail. */
  readonly from: string;
  /** Who reads it, each once. */
  readonly to: readonly string[];
  /** Who logs in at the SMTP server; empty: nobody does. */
  readonly login: string;
  /** Absolute path of a file with the password to that. */
  readonly passwordFile: string | undefined;
  /** File with the authorities of the server's certificate; `undefined`: those of this machine. */
  readonly ca: string | undefined;
  /** How often all that can wait is told together, in seconds; 0: not at all. */
  readonly digest: number;
  /** When only that is told which can't wait; `undefined`: never. */
  readonly quiet: QuietHours | undefined;
  /** What messages begin with. */
  readonly title: string;
}

/** Most messengers. */
export const MESSENGERS_MAX = 8;

/** Shortest and longest `digest`, in seconds. */
const DIGEST_MIN = 300;
const DIGEST_MAX = 7 * 86_400;

/** How often a digest is sent unless it is said, in seconds. */
const DIGEST = 3_600;

/** Longest `url`, in characters. */
const URL_LENGTH_MAX = 2_000;

/** Most addresses in `to`. */
const RECIPIENTS_MAX = 16;

/** Longest address of e-mail (RFC 5321, section 4.5.3.1.3, without the brackets). */
const ADDRESS_LENGTH_MAX = 254;

/** Longest `title`, in characters. */
const TITLE_LENGTH_MAX = 60;

/** Longest `login`, in characters. */
const LOGIN_LENGTH_MAX = 255;

/** The port of SMTP with TLS from the first byte on (RFC 8314, section 7.3). */
const TLS_PORT = "465";

/** Where Telegram's bots are reached. */
const TELEGRAM = "https://api.telegram.org/";

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?$/;

/** An address of e-mail that needs no quoting anywhere. */
const ADDRESS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/;

const FORMATS: readonly MessengerFormat[] = [
  "slack",
  "telegram",
  "ntfy",
  "matrix",
  "json",
  "email",
];

/** The keys that only some formats have. */
const ONLY_FOR: Readonly<Record<string, readonly MessengerFormat[]>> = {
  token_file: ["telegram", "ntfy", "matrix", "json"],
  chat: ["telegram"],
  room: ["matrix"],
  from: ["email"],
  to: ["email"],
  login: ["email"],
  password_file: ["email"],
};

/** A messenger while its lines are read. */
export type MessengerDraft =
  & { -readonly [Key in keyof Omit<MessengerConfig, "format">]: MessengerConfig[Key] }
  & { format: MessengerFormat | undefined };

/** Reads a value into a draft; returns what is wrong with it, `undefined` if nothing is. */
type MessengerRule = (value: string, draft: MessengerDraft) => string | undefined;

/** The keys of a section, each with the rule that reads its value. */
export const MESSENGER_RULES: ReadonlyMap<string, MessengerRule> = new Map<string, MessengerRule>([
  ["format", readFormat],
  ["url", readUrl],
  ["url_file", (value, draft) => readPath(value, (path) => draft.urlFile = path)],
  ["token_file", (value, draft) => readPath(value, (path) => draft.tokenFile = path)],
  ["chat", readChat],
  ["room", readRoom],
  ["from", readFrom],
  ["to", readTo],
  ["login", readLogin],
  ["password_file", (value, draft) => readPath(value, (path) => draft.passwordFile = path)],
  ["ca", (value, draft) => readPath(value, (path) => draft.ca = path)],
  ["digest", readDigest],
  ["quiet", readQuiet],
  ["title", readTitle],
]);

/**
 * Begins a section.
 *
 * @param heading The line, without white space around it.
 * @param place Where it stands.
 * @param taken The names of the sections before.
 * @returns The draft, or what is wrong.
 */
export function beginMessenger(
  heading: string,
  { file, line }: { readonly file: string; readonly line: number },
  taken: ReadonlySet<string>,
): MessengerDraft | string {
  const [, name] = /^\[notify[ \t]+([^\]]*)\](?:[ \t]*|[ \t]+[#;].*)$/i.exec(heading) ?? [];
  if (name === undefined) return "who is told begins with a line [notify NAME]";
  if (!NAME.test(name)) {
    return `${shown(name)} is not a name for a messenger: 1 to 16 small letters, digits and - are`;
  }
  if (taken.has(name)) return `there are two sections [notify ${name}]; remove one of them`;
  if (taken.size >= MESSENGERS_MAX) return `more than ${MESSENGERS_MAX} messengers`;
  return {
    name,
    file,
    line,
    format: undefined,
    url: "",
    urlFile: undefined,
    tokenFile: undefined,
    chat: "",
    room: "",
    from: "",
    to: [],
    login: "",
    passwordFile: undefined,
    ca: undefined,
    digest: DIGEST,
    quiet: undefined,
    title: "Ampere",
  };
}

/**
 * Ends a section.
 *
 * @param draft What its lines say.
 * @param keys The keys that stand there.
 * @returns What is wrong with it as a whole, with the key; or the messenger.
 */
export function endMessenger(
  draft: MessengerDraft,
  keys: ReadonlySet<string>,
): readonly [key: string, message: string] | MessengerConfig {
  const { name, format } = draft;
  if (format === undefined) {
    return ["format", `[notify ${name}] does not say what it is; add: format = ${orList(FORMATS)}`];
  }
  for (const [key, formats] of Object.entries(ONLY_FOR)) {
    if (keys.has(key) && !formats.includes(format)) {
      return [key, `format = ${format} has no such key; remove this line`];
    }
  }
  const isMissing = (key: string, example: string) =>
    [key, `format = ${format} needs it; add: ${key} = ${example}`] as const;
  if (draft.url !== "" && draft.urlFile !== undefined) {
    return ["url_file", "the address stands in url already; remove one of the two lines"];
  }
  if (draft.url === "" && draft.urlFile === undefined) {
    if (format !== "telegram") return isMissing("url", URL_EXAMPLES[format]);
    draft.url = TELEGRAM;
  }
  if (draft.url !== "") {
    const wrong = unfitUrl(draft.url, format);
    if (wrong !== undefined) return ["url", wrong];
  }
  if (format === "telegram" && draft.tokenFile === undefined) {
    return isMissing("token_file", "/etc/ampere/telegram.token");
  }
  if (format === "telegram" && draft.chat === "") return isMissing("chat", "-1001234567890");
  if (format === "matrix" && draft.tokenFile === undefined) {
    return isMissing("token_file", "/etc/ampere/matrix.token");
  }
  if (format === "matrix" && draft.room === "") return isMissing("room", "!id:example.org");
  if (format === "email") {
    if (draft.to.length === 0) return isMissing("to", "admin@example.org");
    if (draft.from === "") return isMissing("from", "ampere@example.org");
    if (draft.login !== "" && draft.passwordFile === undefined) {
      return ["password_file", "login needs it; add: password_file = /etc/ampere/smtp.password"];
    }
    if (draft.login === "" && draft.passwordFile !== undefined) {
      return ["login", "password_file needs it; add: login = NAME"];
    }
  }
  return { ...draft, format, to: Object.freeze([...draft.to]) };
}

const URL_EXAMPLES: Readonly<Record<MessengerFormat, string>> = {
  slack: "https://hooks.slack.com/services/…",
  telegram: TELEGRAM,
  ntfy: "https://ntfy.sh/TOPIC",
  matrix: "https://matrix.example.org",
  json: "https://example.org/…",
  email: "smtp://mail.example.org:587",
};

/**
 * Whether an address is one for a format.
 *
 * @param text The address.
 * @param format The format.
 * @returns What is wrong with it, without any part of it; `undefined` if nothing is.
 */
export function unfitUrl(text: string, format: MessengerFormat): string | undefined {
  const isMail = format === "email";
  const schemes = isMail ? /^smtps?:\/\/\S+$/i : /^https?:\/\/\S+$/i;
  const url = text.length <= URL_LENGTH_MAX && schemes.test(text) ? URL.parse(text) : null;
  if (url === null || url.hostname === "") {
    return `not a URL that begins with ${
      isMail ? "smtp:// or smtps://" : "https:// or http://"
    }, ` +
      `such as ${URL_EXAMPLES[format]}`;
  }
  if (url.username !== "" || url.password !== "") {
    return "holds a name or a password in front of the server: " +
      (isMail ? "write them as login and password_file" : "write a token into token_file");
  }
  if (isMail && (!/^\/?$/.test(url.pathname) || url.search + url.hash !== "")) {
    return `has something behind the port; write ${URL_EXAMPLES.email}`;
  }
  if (url.protocol === "smtp:" && url.port === TLS_PORT) {
    return `port ${TLS_PORT} speaks TLS from the first byte on; write smtps:// for smtp://`;
  }
  if (format === "ntfy" && !/\/[A-Za-z0-9_-]{1,64}$/.test(url.pathname)) {
    return `does not end in a topic; write ${URL_EXAMPLES.ntfy}`;
  }
  return undefined;
}

function readFormat(value: string, draft: MessengerDraft): string | undefined {
  draft.format = FORMATS.find((format) => format === value.toLowerCase());
  return draft.format === undefined ? `${shown(value)} is not ${orList(FORMATS)}` : undefined;
}

function readUrl(value: string, draft: MessengerDraft): string | undefined {
  draft.url = value;
  return undefined;
}

function readPath(value: string, take: (path: string) => void): string | undefined {
  take(value);
  return value.startsWith("/") && !value.endsWith("/")
    ? undefined
    : `${shown(value)} is not a path of a file that begins with /`;
}

function readChat(value: string, draft: MessengerDraft): string | undefined {
  draft.chat = value;
  return /^(?:-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,63})$/.test(value)
    ? undefined
    : `${shown(value)} is not the number of a chat, such as -1001234567890, nor @NAME of a channel`;
}

function readRoom(value: string, draft: MessengerDraft): string | undefined {
  draft.room = value;
  return /^![^\s/?#]{1,254}$/.test(value)
    ? undefined
    : `${shown(value)} is not the ID of a room, such as !id:example.org (its settings tell it; a ` +
      "name with # is not one)";
}

function readFrom(value: string, draft: MessengerDraft): string | undefined {
  draft.from = value;
  return isAddress(value) ? undefined : notAnAddress(value);
}

function readTo(value: string, draft: MessengerDraft): string | undefined {
  const addresses = value.split(",").map((part) => part.trim());
  if (addresses.length > RECIPIENTS_MAX) return `more than ${RECIPIENTS_MAX} addresses`;
  const wrong = addresses.find((address) => !isAddress(address));
  if (wrong !== undefined) return notAnAddress(wrong);
  draft.to = [...new Set(addresses)];
  return undefined;
}

function isAddress(text: string): boolean {
  return text.length <= ADDRESS_LENGTH_MAX && ADDRESS.test(text);
}

function notAnAddress(text: string): string {
  return `${shown(text)} is not an address of e-mail, such as admin@example.org`;
}

function readLogin(value: string, draft: MessengerDraft): string | undefined {
  draft.login = value;
  return value.length > LOGIN_LENGTH_MAX ? `longer than ${LOGIN_LENGTH_MAX} characters` : undefined;
}

function readDigest(value: string, draft: MessengerDraft): string | undefined {
  draft.digest = 0;
  if (value.toLowerCase() === "off") return undefined;
  const seconds = parseDuration(value);
  if (seconds === undefined || seconds < DIGEST_MIN || seconds > DIGEST_MAX) {
    return `${shown(value)} is not a duration from ${formatDuration(DIGEST_MIN)} to ${
      formatDuration(DIGEST_MAX)
    }, such as 1h, nor off`;
  }
  draft.digest = seconds;
  return undefined;
}

function readQuiet(value: string, draft: MessengerDraft): string | undefined {
  draft.quiet = undefined;
  if (value.toLowerCase() === "off") return undefined;
  const [, ...parts] = /^(\d{1,2}):(\d{2}) ?- ?(\d{1,2}):(\d{2})$/.exec(value) ?? [];
  const [h1 = 24, m1 = 60, h2 = 24, m2 = 60] = parts.map(Number);
  if (h1 > 23 || m1 > 59 || h2 > 23 || m2 > 59) {
    return `${shown(value)} is not two times of the day, such as 22:00-07:00, nor off`;
  }
  const [from, to] = [h1 * 60 + m1, h2 * 60 + m2];
  if (from === to) return "is from a time to the same time; write off if nothing is to be quiet";
  draft.quiet = { from, to };
  return undefined;
}

function readTitle(value: string, draft: MessengerDraft): string | undefined {
  draft.title = value;
  return value.length > TITLE_LENGTH_MAX ? `longer than ${TITLE_LENGTH_MAX} characters` : undefined;
}

function orList(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/**
 * What of the address of a messenger may be told: the rest may hold a secret.
 *
 * @param url The address; empty if it stands in a file.
 */
export function shownMessengerUrl({ url, urlFile }: MessengerConfig): string {
  if (url === "") return `the address in ${urlFile}`;
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

/**
 * Quiet hours as a configuration file has them.
 *
 * @param quiet The hours.
 */
export function formatQuiet(quiet: QuietHours | undefined): string {
  if (quiet === undefined) return "off";
  const time = (minutes: number) =>
    `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
  return `${time(quiet.from)}-${time(quiet.to)}`;
}
