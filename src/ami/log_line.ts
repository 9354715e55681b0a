/**
 * What stands before a message in Asterisk's log, in every form in which people have it.
 *
 * Asterisk itself writes (`main/logger.c`, Asterisk 13 to 22; the date is free, see `dateformat`):
 *
 * - to a file `[DATE] LEVEL[THREAD][C-CALL] FILE: MESSAGE`,
 * - with `[plain]`, and to the console,
 *   `[DATE] LEVEL[THREAD][C-CALL]: FILE:LINE FUNCTION: MESSAGE`, the console with colours,
 * - to syslog `LEVEL[THREAD][C-CALL]: FILE:LINE in FUNCTION: MESSAGE`,
 * - with `[json]` an object a line.
 *
 * Before that stands what syslog (RFC 3164, RFC 5424), the journal, Docker or Kubernetes add. All
 * of it is matched from the beginning of the line on and without gaps: behind the first character
 * that another program, or a stranger, could have written, nothing is searched.
 *
 * @module
 */

/** A line of Asterisk's log. */
export interface LogLine {
  /** `NOTICE`, `SECURITY` … */
  readonly level: string;
  /** Number of Asterisk's thread, as it is printed: no stranger knows it. */
  readonly thread: string;
  /** Asterisk's source file, as it is printed; `Ext. NUMBER` for a line of the dialplan. */
  readonly file: string;
  /** What Asterisk says, one character a byte. */
  readonly message: string;
  /** The time that Asterisk printed. */
  readonly date: string | undefined;
  /** The time of who wrote the line: a text, or milliseconds since 1970. */
  readonly written: string | number | undefined;
  /** A line end in the message cannot look like the end of the line. */
  readonly framed: boolean;
  /** It has the form of the console, which shows level verbose without a beginning. */
  readonly console: boolean;
  /** How often it was said: syslog writes a message that comes again and again in one line. */
  readonly times: number;
}

/** Objects in objects: Docker's file around Asterisk's JSON. */
const NESTED_MAX = 3;

const ISO = String.raw`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?`;

/** `Nov 22 08:09:09`, and what `journalctl -o short-full` and `short-unix` print. */
const OTHER_DATES = [
  String.raw`[A-Z][a-z]{2} {1,2}\d{1,2}(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d{1,9})?`,
  String.raw`[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? [A-Z]{1,5}`,
  String.raw`\d{9,10}\.\d{3,6}`,
].join("|");

/** `local0.notice`, which BusyBox prints behind the host, and BSDs before it. */
const PRIORITY = String.raw`[a-z]{2,8}\d?\.[a-z]{3,7}`;

/** `DATE HOST TAG[PID]: `: a file of syslog, or `journalctl`; a socket's has no host. */
const SYSLOG = new RegExp(
  String.raw`^(?:<\d{1,3}>)?(${ISO}|${OTHER_DATES}) (?:<${PRIORITY}> )?` +
    String.raw`(?:[\w.:-]{0,254}[\w.-] ` +
    String.raw`(?:${PRIORITY} )?[\w./@-]{1,64}(?:\[\d{1,10}\])?|[\w./@-]{1,64}\[\d{1,10}\]): `,
);

/** RFC 5424, section 6: `<PRI>1 DATE HOST APP PROCID MSGID DATA `, perhaps the mark of UTF-8. */
const SYSLOG_5424 = new RegExp(
  String.raw`^<\d{1,3}>1 (${ISO}|-) [!-~]{1,255} [!-~]{1,48} [!-~]{1,128} [!-~]{1,32} ` +
    String.raw`(?:-|\[[^\]]{0,1024}\]) (?:\xef\xbb\xbf)?`,
);

/** What rsyslog writes of a message that came again (`RepeatedMsgReduction`), in brackets. */
const REPEATED = /^message repeated (\d{1,9}) times: \[ ?(?=[A-Z[{])/;

/** What other programs of syslog write behind a message that came again. */
const LAST_REPEATED = new RegExp(
  String.raw`^(?:<\d{1,3}>)?(?:${ISO}|${OTHER_DATES}) [\w.:-]{1,255} ` +
    String.raw`(?:[\w./-]{1,64}(?:\[\d{1,10}\])?: )?last message repeated (\d{1,9}) times?\s*$`,
);

/** What `docker` and `kubectl` print before a line, and a file of Kubernetes. */
const CONTAINER = new RegExp(
  String.raw`^(?:[\w.@-]{1,160} {0,64}\| |\[pod/[\w./-]{1,200}\] )?(?:(${ISO}) )?` +
    "(?:std(?:out|err) [FP] )?",
);

/**
 * What `grep` prints before a line: its file, its number or both. A file is one by its slash, or by
 * a name that Asterisk's logs have: `Via:` of a packet is none.
 */
const GREP = new RegExp(
  String
    .raw`^(?:(?:[\w.+-]{0,64}/[\w./+-]{1,255}|(?:security|messages|full|fail2ban)[\w.-]{0,64}):)?` +
    String.raw`(?:\d{1,9}[:-])?(?=[[<A-Z\d{])`,
);

/**
 * Asterisk's own beginning, in all its forms. No date is shorter than eight characters: what a
 * stranger has room for is short.
 */
const ASTERISK = new RegExp(
  String
    .raw`^(?:\[([^\]"]{8,64})\] ?)?([A-Z]{3,16}) ?\[(\d{1,10})\](?:\[C-[0-9a-f]{8}\])?:? {1,2}` +
    String.raw`([\w./+-]{1,80}|Ext\. [^\s:"'()]{1,80})` +
    String.raw`(:\d{1,7}(?: in)?(?: @)?(?: [\w.<>~-]{1,100})?)?: `,
);

/** Colours: as they are, as rsyslog writes them, and as `cat -v` does. */
// deno-lint-ignore no-control-regex
const COLOURS = /(?:\x1b|#033|\^\[)\[[0-9;]{0,16}[A-Za-z]/g;

/**
 * Takes a line apart.
 *
 * @param line The line without its LF, one character a byte.
 * @returns `undefined` when it does not begin as a line of Asterisk's log.
 *
 * @example
 * ```ts
 * import { parseLogLine } from "./log_line.ts";
 *
 * const line = parseLogLine("Nov 22 08:09:09 pbx asterisk[9]: NOTICE[12]: acl.c:1 in f: hello");
 * console.log(line?.level, line?.message); // NOTICE hello
 * ```
 */
export function parseLogLine(line: string): LogLine | undefined {
  const text = plain(line);
  const found = parsePlain(text);
  if (found !== undefined) return found;
  const length = GREP.exec(text)?.[0].length ?? 0;
  return length > 0 ? parsePlain(text.slice(length)) : undefined;
}

function parsePlain(line: string): LogLine | undefined {
  let text = line;
  let written: string | number | undefined;
  let framed = false;
  let times = 1;
  for (let depth = 0; depth < NESTED_MAX; depth++) {
    // Most lines begin with Asterisk's date.
    if (!text.startsWith("[") || text.startsWith("[pod/")) {
      const syslog = SYSLOG.exec(text) ?? SYSLOG_5424.exec(text);
      framed ||= syslog !== null;
      const before = syslog ?? CONTAINER.exec(text);
      if (before !== null) {
        written ??= before[1];
        text = text.slice(before[0].length);
        const repeated = syslog !== null && text.endsWith("]") ? REPEATED.exec(text) : null;
        if (repeated !== null) {
          times = Number(repeated[1]);
          text = text.slice(repeated[0].length, -1);
        }
      }
    }
    if (!text.startsWith("{")) break;
    const object = parseObject(text);
    if (object === undefined) return undefined;
    const asterisk = asteriskObject(object, written);
    if (asterisk !== undefined) return { ...asterisk, times };
    const inner = wrapped(object);
    if (inner === undefined) return undefined;
    written ??= inner.written;
    text = plain(inner.text);
  }
  const found = ASTERISK.exec(text);
  if (found === null) return undefined;
  const [all, date, level, thread, file, place] = found;
  return {
    level: level!,
    thread: thread!,
    file: file!,
    message: text.slice(all.length),
    date,
    written,
    framed,
    console: place !== undefined,
    times,
  };
}

/**
 * How often the line before was said again, by what a program of syslog writes.
 *
 * @param line A line without its LF.
 * @returns `undefined` if that is no such line.
 */
export function lastRepeated(line: string): number | undefined {
  const found = LAST_REPEATED.exec(line);
  return found === null ? undefined : Number(found[1]);
}

/** Without colours and the line end. */
function plain(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === "\r" || text[end - 1] === "\n")) end--;
  const line = end === text.length ? text : text.slice(0, end);
  // deno-lint-ignore no-control-regex
  return /[\x1b#^]/.test(line) ? line.replace(COLOURS, "") : line;
}

type JsonObject = Readonly<Record<string, unknown>>;

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Asterisk's own form (`format_log_json`). */
function asteriskObject(
  { logmsg, timestamp, identifiers }: JsonObject,
  written: string | number | undefined,
): Omit<LogLine, "times"> | undefined {
  if (!isObject(logmsg) || !isObject(logmsg.location)) return undefined;
  const { level, message, location } = logmsg;
  const file = location.filename;
  if (typeof level !== "string" || typeof message !== "string" || typeof file !== "string") {
    return undefined;
  }
  const date = typeof timestamp === "string" ? timestamp : undefined;
  const text = plain(bytesOf(message));
  const thread = isObject(identifiers) ? String(identifiers.lwp) : "";
  return { level, thread, file, message: text, date, written, framed: true, console: false };
}

/** A line in an object of Docker (`json-file`) or of `journalctl -o json`. */
function wrapped(
  object: JsonObject,
): { text: string; written: string | number | undefined } | undefined {
  const { log, time, MESSAGE: message, __REALTIME_TIMESTAMP: microseconds } = object;
  if (typeof log === "string") {
    return { text: bytesOf(log), written: typeof time === "string" ? time : undefined };
  }
  const written = typeof microseconds === "string" && /^\d{1,17}$/.test(microseconds)
    ? Number(microseconds) / 1000
    : undefined;
  if (typeof message === "string") return { text: bytesOf(message), written };
  // The journal prints bytes that are no text, such as colours, as numbers.
  if (!Array.isArray(message)) return undefined;
  let text = "";
  for (const byte of message) text += String.fromCharCode(Number(byte) & 0xff);
  return { text, written };
}

/**
 * The text of an object with one character a byte. What the line had as bytes is so already; what
 * it had as `\u20ac` is not.
 */
function bytesOf(text: string): string {
  return text.replace(
    /[\u0100-\uffff]+/g,
    (wide) => String.fromCharCode(...new TextEncoder().encode(wide)),
  );
}
