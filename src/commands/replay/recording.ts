/**
 * Reads recordings: raw AMI streams, or Asterisk's security log, whichever it is.
 *
 * @module
 */

import { EventReader, type Tampered } from "../../ami/event_reader.ts";
import { latin1 } from "../../ami/framer.ts";
import type { SecurityEvent } from "../../ami/event.ts";
import { looksLikeSecurityLog, SecurityLogReader } from "../../ami/security_log.ts";

/** How much of the input is looked at to tell what it is, in bytes. */
const SNIFF_BYTES = 64 * 1024;

/** What a recording is. */
type Format = "AMI stream" | "security log";

/** What a {@linkcode RecordingReader} calls. */
interface RecordingHandlers {
  /** A security event that may be believed; `doubled` ones may be charged but not obeyed. */
  event(event: SecurityEvent, verdict: "security" | "doubled"): void;
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

  /** @param handlers take what is found */
  constructor(handlers: RecordingHandlers) {
    this.#handlers = handlers;
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
    if (this.#log !== undefined && this.#log.lines === 0) throw new RecordingError(NEITHER);
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
    const { event, tampered } = this.#handlers;
    return this.#log = new SecurityLogReader({
      event: (what, verdict) => event(what, verdict),
      tampered: (what) => tampered(what),
    });
  }
}

const BANNER = "Asterisk Call Manager";

const NEITHER = "is neither a raw AMI stream nor Asterisk's security log";

function formatOf(text: string): Format {
  if (text.startsWith("\x1f\x8b")) {
    throw new RecordingError("is compressed; unpack it first: zcat FILE | ampere --replay -");
  }
  if (text.startsWith(BANNER) || /(?:^|\r\n)(?:Event|Response): [^\r\n]*\r\n/.test(text)) {
    return "AMI stream";
  }
  if (looksLikeSecurityLog(text)) return "security log";
  if (/^Event: \w+\n/m.test(text)) {
    throw new RecordingError(
      "is an AMI stream whose line ends were changed (LF, not CR LF), so that nothing in it can be " +
        "trusted; record it again without an editor or a terminal in between: nc HOST 5038 > FILE",
    );
  }
  // A log with all levels may begin with many lines of other things.
  if (/^\[[^\]\n]{4,64}\] [A-Z]+\[\d+\]/m.test(text)) return "security log";
  throw new RecordingError(NEITHER);
}
