/**
 * Reads the lines of Asterisk's security log (`logger.conf`: `security => security`) into the same
 * security events as AMI.
 *
 * `res_security_log.c` of Asterisk 12 to 22 prints the elements of an event in the same order as
 * AMI does, first the required, then the optional ones, as `SecurityEvent="NAME"` and then
 * `,NAME="VALUE"` for each, and escapes nothing. So a line is rewritten as the AMI message of the
 * same event, and {@linkcode EventReader} judges it: its exact grammar and its rules against forged
 * ends hold here as they do on AMI.
 *
 * @module
 */

import { EventReader, type EventReaderHandlers } from "./event_reader.ts";
import { latin1, MESSAGE_BYTES_MAX } from "./framer.ts";

/**
 * Longest line that is looked at, in bytes: also of an event that is too long the sender is read.
 */
const LINE_BYTES_MAX = 4 * MESSAGE_BYTES_MAX;

const LF = 0x0a;

/**
 * What stands before the event: `[DATE] SECURITY[NUMBER] res_security_log.c: ` in a file
 * (`main/logger.c`, format_log_default; the date is free, see `dateformat`),
 * `SECURITY[NUMBER]: res_security_log.c:LINE in FUNCTION: ` in syslog.
 */
const PREFIX =
  /^(?:\[[^\]"]{0,64}\] |[^"]{0,128}?)SECURITY\[\d{1,10}\](?:\[C-[0-9a-f]{8}\])?:? res_security_log\.c:(?:\d{1,6} in \w{1,64}:)? (?=SecurityEvent=")/;

/**
 * A line that is not the beginning of an event, but may be the end of one that a line end in an
 * account name has cut.
 */
const REMAINDER = /",(?:SessionID|LocalAddress|RemoteAddress|EventTV|Severity|Challenge)="/;

/** Where one element ends and the next begins. */
const BORDER = /",([A-Za-z]{1,20})="/g;

/** What the {@linkcode SecurityLogReader} calls. */
type SecurityLogHandlers = Omit<EventReaderHandlers, "response" | "banner" | "other">;

/**
 * Cuts a log into lines, and hands on the security events.
 *
 * @example
 * ```ts
 * import { SecurityLogReader } from "./security_log.ts";
 *
 * const reader = new SecurityLogReader({
 *   event: (event) => console.log(event.kind, event.address),
 *   tampered: (what) => console.warn(what),
 * });
 * reader.push(Deno.readFileSync("/var/log/asterisk/security"));
 * reader.end();
 * ```
 */
export class SecurityLogReader {
  readonly #reader: EventReader;
  readonly #handlers: SecurityLogHandlers;
  readonly #line = new Uint8Array(LINE_BYTES_MAX);
  readonly #message = new Uint8Array(2 * LINE_BYTES_MAX);
  #length = 0;
  #tooLong = false;
  #lines = 0;

  /**
   * @param handlers See {@linkcode EventReaderHandlers}; the bytes they get are those of the
   *   rewritten message.
   */
  constructor(handlers: SecurityLogHandlers) {
    this.#handlers = handlers;
    this.#reader = new EventReader({ ...handlers, response: () => {}, banner: () => {} });
    this.#reader.push(bytesOf("Asterisk Call Manager\r\n", new Uint8Array(64)));
  }

  /** Lines of security events so far, the tampered ones included. */
  get lines(): number {
    return this.#lines;
  }

  /** Takes a chunk of any size. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const end = chunk.indexOf(LF, at);
      this.#append(chunk.subarray(at, end < 0 ? chunk.length : end));
      if (end < 0) return;
      this.#endLine();
      at = end + 1;
    }
  }

  /** The input has ended: the last line counts without a line end too. */
  end(): void {
    if (this.#length > 0 || this.#tooLong) this.#endLine();
    this.#reader.flushWithheld();
    this.#reader.end();
  }

  #append(part: Uint8Array): void {
    if (this.#length + part.length > LINE_BYTES_MAX) this.#tooLong = true;
    if (this.#tooLong) return;
    this.#line.set(part, this.#length);
    this.#length += part.length;
  }

  #endLine(): void {
    const length = this.#length;
    this.#length = 0;
    if (this.#tooLong) {
      this.#tooLong = false;
      this.#handlers.tampered("oversized", this.#line, 0, 0);
      return;
    }
    // Most lines of a log with all levels are of no concern.
    const text = latin1(this.#line, 0, length);
    const message = rewrite(text);
    if (message === undefined) return;
    this.#lines++;
    this.#reader.push(bytesOf(message, this.#message));
  }
}

/** The AMI message of a line; `undefined` when the line is of no concern. */
function rewrite(line: string): string | undefined {
  const prefix = PREFIX.exec(line);
  if (prefix === null) {
    // Not an event of its own: the reader must see it, because it may betray that the line before
    // was cut.
    if (!REMAINDER.test(line)) return undefined;
    return `${line.replace(/"$/, "").replace(BORDER, "\r\n$1: ")}\r\n\r\n`;
  }
  // A line that does not end in a quote was cut by a stranger's line end.
  const cut = !line.endsWith('"');
  const fields = line.slice(prefix[0].length, cut ? undefined : -1);
  const message = fields.slice('SecurityEvent="'.length).replace(BORDER, "\r\n$1: ");
  const first = message.indexOf("\r\n");
  if (first < 0) return `Event: ${message}\r\n\r\n`;
  return `Event: ${message.slice(0, first)}\r\nPrivilege: security,all${message.slice(first)}` +
    (cut ? "\r\n(cut)\r\n\r\n" : "\r\n\r\n");
}

/** The bytes of a text with one character a byte, written into a buffer that is used again. */
function bytesOf(text: string, into: Uint8Array): Uint8Array {
  for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
  return into.subarray(0, text.length);
}

/**
 * Whether a piece of text holds a line of the security log.
 *
 * @param text The text.
 */
export function looksLikeSecurityLog(text: string): boolean {
  return /SECURITY\[\d{1,10}\].{0,200}SecurityEvent="/.test(text);
}
