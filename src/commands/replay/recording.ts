/**
 * Reads recordings: raw AMI streams, or Asterisk's log, whichever it is.
 *
 * @module
 */

import { EventReader, type Tampered } from "../../ami/event_reader.ts";
import { latin1 } from "../../ami/framer.ts";
import type { SecurityEvent } from "../../ami/event.ts";
import { parseLogLine } from "../../ami/log_line.ts";
import type { LogClock } from "../../ami/log_time.ts";
import type { Notice } from "../../ami/notice_lines.ts";
import { type Lines, type LogFindings, SecurityLogReader } from "../../ami/security_log.ts";
import { escapeText } from "../../text/escape.ts";

/** How much of the input is looked at to tell what it is, in bytes. */
const SNIFF_BYTES = 64 * 1024;

/** What a recording is. */
export type Format = "AMI stream" | "security log";

/** How an event was told: by AMI or the security log, or by another line of the log. */
export type Told = "security" | "doubled" | Notice["told"];

/** What a {@linkcode RecordingReader} calls. */
interface RecordingHandlers {
  /** A security event that may be believed; `doubled` ones may be charged but not obeyed. */
  event(event: SecurityEvent, verdict: "security" | "doubled"): void;
  /** A refused request that a line of the log tells of which is no security event. */
  notice?(event: SecurityEvent, told: Notice["told"]): void;
  /** Something that Asterisk did not print so. */
  tampered(what: Tampered): void;
}

/** The input is no recording; the message says what it seems to be. */
export class RecordingError extends Error {
  override readonly name = "RecordingError";
}

interface Reader {
  push(chunk: Uint8Array): void;
  end(): void;
}

/**
 * Reads one recording, given in chunks.
 *
 * @example
 * ```ts
 * import { RecordingReader } from "./recording.ts";
 *
 * const reader = new RecordingReader({
 *   event: (event) => console.log(event.time, event.kind, event.address),
 *   tampered: (what) => console.warn(what),
 * });
 * reader.push(new TextEncoder().encode("Asterisk Call Manager/7.0.3\r\n"));
 * reader.end();
 * console.log(reader.format); // "AMI stream"
 * ```
 */
export class RecordingReader {
  readonly #handlers: RecordingHandlers;
  #reader: Reader | undefined;
  #format: Format | undefined;
  #beginning = new Uint8Array(0);
  #log: SecurityLogReader | undefined;
  #stripped: Lines | undefined;
  readonly #clock: LogClock | undefined;

  /**
   * @param handlers Take what is found.
   * @param clock Tells the times of a log; files of one Asterisk share one.
   */
  constructor(handlers: RecordingHandlers, clock?: LogClock) {
    this.#handlers = handlers;
    this.#clock = clock;
  }

  /** Of a log: what was found besides events. */
  get findings(): LogFindings | undefined {
    return this.#log?.findings;
  }

  /** Of an AMI stream: the first line that has lost its blank, seen at the beginning. */
  get stripped(): Lines | undefined {
    return this.#stripped;
  }

  /** What it is; `undefined` while too little has been seen. */
  get format(): Format | undefined {
    return this.#format;
  }

  /**
   * Takes a chunk of any size.
   *
   * @param chunk The next bytes.
   * @throws {RecordingError} When this is no recording.
   */
  push(chunk: Uint8Array): void {
    if (this.#reader !== undefined) return this.#reader.push(chunk);
    const beginning = new Uint8Array(this.#beginning.length + chunk.length);
    beginning.set(this.#beginning);
    beginning.set(chunk, this.#beginning.length);
    this.#beginning = beginning;
    if (beginning.length >= SNIFF_BYTES) this.#begin();
  }

  /**
   * The input has ended.
   *
   * @throws {RecordingError} When this is no recording.
   */
  end(): void {
    if (this.#reader === undefined) {
      if (this.#beginning.length === 0) throw new RecordingError("is empty");
      this.#begin();
    }
    this.#reader!.end();
    const { findings } = this;
    if (findings === undefined || findings.asterisk > 0) return;
    const { foreign } = findings;
    throw new RecordingError(
      foreign === undefined ? NEITHER : `has lines of Asterisk's log behind a beginning that is ` +
        `not known: replay the file as Asterisk wrote it. The first is line ${foreign.first}, "${
          escapeText(foreign.text, SHOWN_CHARACTERS_MAX)
        }"`,
    );
  }

  #begin(): void {
    const bytes = this.#beginning;
    this.#beginning = new Uint8Array(0);
    const text = latin1(bytes, 0, Math.min(bytes.length, SNIFF_BYTES));
    this.#format = formatOf(text);
    this.#reader = this.#format === "AMI stream" ? this.#amiReader(text) : this.#logReader();
    this.#reader.push(bytes);
  }

  #amiReader(text: string): Reader {
    this.#stripped = firstStripped(text);
    const { event, tampered } = this.#handlers;
    const reader = new EventReader({
      event: (what, verdict) => event(what, verdict),
      tampered: (what) => tampered(what),
      response: () => {},
      banner: () => {},
    });
    // A recording that was begun later has no banner, and its first message may be cut.
    if (!text.startsWith(BANNER)) {
      reader.push(new TextEncoder().encode(`${BANNER}\r\n`));
    }
    return {
      push: (chunk) => reader.push(chunk),
      end: () => {
        reader.flushWithheld();
        reader.end();
      },
    };
  }

  #logReader(): Reader {
    const { event, notice, tampered } = this.#handlers;
    return this.#log = new SecurityLogReader({
      event: (what, verdict) => event(what, verdict),
      tampered: (what) => tampered(what),
      notice: (what, told) => notice?.(what, told),
    }, this.#clock);
  }
}

const BANNER = "Asterisk Call Manager";

const NEITHER = "is neither a raw AMI stream nor Asterisk's log, such as " +
  "/var/log/asterisk/security, messages or full";

/** Longest piece of a line that is shown, in characters. */
const SHOWN_CHARACTERS_MAX = 160;

/** What to do about a recording that was changed. */
export const RECORD_AGAIN =
  "record it again without an editor or a terminal in between, for example with: " +
  "(printf 'Action: Login\\r\\nUsername: ampere\\r\\nSecret: SECRET\\r\\n\\r\\n'; sleep 1h) | " +
  "nc 127.0.0.1 5038 > FILE";

function formatOf(text: string): Format {
  for (const [mark, unpack] of Object.entries(COMPRESSED)) {
    if (!text.startsWith(mark)) continue;
    throw new RecordingError(`is compressed; unpack it first: ${unpack} FILE | ampere --replay -`);
  }
  for (const [mark, what] of Object.entries(FOREIGN)) {
    if (text.startsWith(mark)) throw new RecordingError(what);
  }
  // A log may show SIP packets, in which there is a header Event too.
  const beginning = text.trimStart().split("\n", FIRST_LINES);
  if (beginning.some((line) => parseLogLine(line) !== undefined)) return "security log";
  if (looksLikeAmi(text)) {
    const changed = /(?:^|[^\r\n])\n/.exec(text);
    const cut = text.split("\n").slice(0, -1);
    const changedLines = cut.filter((line) => line !== "" && !line.endsWith("\r")).length;
    // A stranger's line end is one of few.
    if (changed !== null && changedLines * 2 > cut.length - cut.filter(isEmpty).length) {
      const number = cut.findIndex((line) => line !== "" && !line.endsWith("\r")) + 1;
      const stripped = firstStripped(text);
      throw new RecordingError(
        "is an AMI stream whose line ends were changed (LF, not CR LF), so that nothing in it can " +
          `be trusted; the first such line is line ${number}, "${
            escapeText(cut[number - 1]!, 80)
          }"; ` +
          (stripped === undefined ? "" : `${describeStripped(stripped)}; `) + RECORD_AGAIN,
      );
    }
    return "AMI stream";
  }
  // A file of syslog may begin with many lines of other programs: its end shows what it is.
  return "security log";
}

/** Lines of which one shows that a file is a log: the very first may be cut. */
const FIRST_LINES = 3;

/** How compressed files begin, and what unpacks them. */
const COMPRESSED: Readonly<Record<string, string>> = {
  "\x1f\x8b": "zcat",
  "BZh": "bzcat",
  "\xfd7zXZ\0": "xzcat",
  "\x28\xb5\x2f\xfd": "zstdcat",
};

const UTF_16 =
  "is UTF-16; make UTF-8 of it first: iconv -f UTF-16 -t UTF-8 FILE | ampere --replay -";

const PACKETS = "is a capture of packets; what Asterisk thought of them its log tells: " +
  "/var/log/asterisk/security, messages or full";

/** How other files begin that people have at hand. */
const FOREIGN: Readonly<Record<string, string>> = {
  "\xff\xfe": UTF_16,
  "\xfe\xff": UTF_16,
  "\xd4\xc3\xb2\xa1": PACKETS,
  "\x4d\x3c\xb2\xa1": PACKETS,
  "\xa1\xb2\xc3\xd4": PACKETS,
  "\x0a\x0d\x0d\x0a": PACKETS,
};

const isEmpty = (line: string) => line === "" || line === "\r";

function looksLikeAmi(text: string): boolean {
  return text.startsWith(BANNER) || /(?:^|\n)(?:Event|Response): [^\r\n]*\r?\n[A-Z]\w*:/.test(text);
}

/** Headers whose value may be empty: then Asterisk prints a blank behind the colon. */
const STRIPPED =
  /^(?:AccountID|SessionID|Challenge|Response|ExpectedResponse|ReceivedChallenge|ReceivedHash|ACLName):\r?$/;

/** The first line of which an editor took the blank; none when others have theirs. */
function firstStripped(text: string): Lines | undefined {
  const lines = text.split("\n");
  const first = lines.findIndex((line) => STRIPPED.test(line));
  if (
    first < 0 || lines.some((line) => STRIPPED.test(line.replace(": ", ":")) && / \r?$/.test(line))
  ) {
    return undefined;
  }
  const count = lines.filter((line) => STRIPPED.test(line)).length;
  return { count, first: first + 1, text: lines[first]!.trimEnd() };
}

/**
 * What is wrong with a recording that an editor has stripped.
 *
 * @param stripped The lines that have lost their blank.
 */
export function describeStripped({ first, text }: Lines): string {
  return `line ${first}, "${escapeText(text, 80)}", has lost the blank behind its colon ` +
    "(an editor took the blanks at the ends of lines), and so have others: none of these events " +
    "is as Asterisk prints it";
}
