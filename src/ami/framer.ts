/**
 * Cuts the byte stream of Asterisk's Manager Interface into messages.
 *
 * AMI sends one banner line (`Asterisk Call Manager/7.0.3`), then messages: header lines that end with CR LF, closed by an
 * empty line. Asterisk escapes nothing, so a value may hold a lone CR or a lone LF (a stranger's account name does): only
 * the pair CR LF ends a line here, as Asterisk writes it (`manager.c`).
 *
 * @module
 */

const CR = 0x0d;
const LF = 0x0a;

/**
 * Longest message that is handed on, in bytes. The longest that Asterisk was seen to send is 4 KiB (a Call-ID of 3,500
 * bytes), and a SIP packet over UDP bounds it at 64 KiB.
 */
export const MESSAGE_BYTES_MAX = 64 * 1024;

/** Longest banner line, in bytes. Asterisk's has 28. */
export const BANNER_BYTES_MAX = 256;

/** Size of the read buffer, in bytes: room for the longest message and a large read behind it. */
export const BUFFER_BYTES = 4 * MESSAGE_BYTES_MAX;

/** What the {@linkcode Framer} calls; the bytes are valid only during the call. */
export interface FramerHandlers {
  /**
   * The first line of the connection, without its CR LF. A first line without end within {@linkcode BANNER_BYTES_MAX}
   * arrives cut.
   */
  banner(line: string): void;
  /**
   * One message.
   *
   * @param buffer holds the message
   * @param start index of its first byte
   * @param end index behind the CR LF of its last line (the empty line is not included)
   * @param offset position of `start` in the stream, in bytes since the connection began
   */
  message(buffer: Uint8Array, start: number, end: number, offset: number): void;
  /**
   * Looks at a message that has not been searched for its end, which costs more than to read most of them. Optional: it only
   * saves time. What it recognizes is handed to {@linkcode FramerHandlers.message} at once.
   *
   * @param buffer holds the message, perhaps not all of it, and what follows it
   * @param start index of its first byte
   * @param limit index behind the last byte that is there
   * @returns index behind the CR LF of its last line, if its first empty line follows there; -1 when it must be searched
   */
  recognize?(buffer: Uint8Array, start: number, limit: number): number;
  /** A message longer than {@linkcode MESSAGE_BYTES_MAX} was skipped up to its empty line; `bytes` is its length so far. */
  oversized(bytes: number): void;
  /** Every message that was complete has been handed on; after this call their bytes move. */
  drained(buffer: Uint8Array): void;
}

/**
 * Cuts a byte stream into AMI messages, for every way the stream may be split into reads. Memory is bounded by
 * {@linkcode BUFFER_BYTES}, whatever arrives.
 *
 * Reading without a copy: fill {@linkcode Framer.space}, then call {@linkcode Framer.commit} with the number of bytes.
 *
 * @example
 * ```ts
 * const framer = new Framer({
 *   banner: (line) => console.log(line),
 *   message: (buffer, start, end) => console.log(new TextDecoder().decode(buffer.subarray(start, end))),
 *   oversized: (bytes) => console.warn(`skipped ${bytes} bytes`),
 *   drained: () => {},
 * });
 * framer.push(new TextEncoder().encode("Asterisk Call Manager/7.0.3\r\nResponse: Success\r\n\r\n"));
 * ```
 */
export class Framer {
  readonly #handlers: FramerHandlers;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  /** Bytes `[0, #length)` of the buffer are not yet consumed. */
  #length = 0;
  /** Stream position of the first byte of the buffer. */
  #offset = 0;
  /** Bytes before this index hold no end of message: they need not be searched again. */
  #searched = 0;
  #inBanner = true;
  /** Length of the message that is being skipped, 0 when none is. */
  #skipped = 0;
  #draining = false;

  /**
   * A framer at the beginning of a connection.
   *
   * @param handlers take what is found
   */
  constructor(handlers: FramerHandlers) {
    this.#handlers = handlers;
  }

  /** Number of bytes that wait for the rest of their message; more than 0 means that a message is under way. */
  get pending(): number {
    return this.#length + this.#skipped;
  }

  /** The free part of the buffer, at least {@linkcode MESSAGE_BYTES_MAX} bytes; to be filled from its beginning. */
  space(): Uint8Array {
    return this.#buffer.subarray(this.#length);
  }

  /**
   * Takes over the first `count` bytes of {@linkcode Framer.space} and hands on every message that is now complete.
   *
   * @param count number of bytes that were written, in bytes
   * @throws {RangeError} when `count` is larger than the space
   */
  commit(count: number): void {
    if (count < 0 || count > BUFFER_BYTES - this.#length) {
      throw new RangeError(
        `${count} bytes do not fit into the space of ${BUFFER_BYTES - this.#length}`,
      );
    }
    if (this.#draining) throw new Error("commit() called from within a handler");
    this.#length += count;
    this.#draining = true;
    try {
      this.#drain();
    } finally {
      this.#draining = false;
    }
  }

  /**
   * Takes a chunk of any size (it is copied) and hands on every message that is now complete.
   *
   * @param chunk the next bytes of the stream
   */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const space = this.space();
      const part = chunk.subarray(at, at + space.length);
      space.set(part);
      this.commit(part.length);
      at += part.length;
    }
  }

  /** Forgets everything: the next byte is the first of a new connection. */
  reset(): void {
    this.#length = 0;
    this.#offset = 0;
    this.#searched = 0;
    this.#skipped = 0;
    this.#inBanner = true;
  }

  #drain(): void {
    const buffer = this.#buffer;
    const length = this.#length;
    let start = 0;
    if (this.#inBanner) {
      const end = findLineEnd(buffer, 0, Math.min(length, BANNER_BYTES_MAX + 2));
      if (end < 0 && length < BANNER_BYTES_MAX + 2) return;
      this.#inBanner = false;
      const lineEnd = end < 0 ? BANNER_BYTES_MAX : end;
      this.#handlers.banner(latin1(buffer, 0, lineEnd));
      start = end < 0 ? lineEnd : end + 2;
      this.#searched = start;
    }
    for (;;) {
      if (this.#skipped === 0) {
        // Empty lines between messages carry nothing.
        while (start + 1 < length && buffer[start] === CR && buffer[start + 1] === LF) start += 2;
      }
      // Only once for each message, lest one that comes in many pieces is read again and again.
      const recognized = this.#searched === start && this.#skipped === 0
        ? this.#handlers.recognize?.(buffer, start, length) ?? -1
        : -1;
      const end = recognized >= 0
        ? recognized - 2
        : findMessageEnd(buffer, Math.max(start, this.#searched), length);
      if (end < 0) break;
      if (this.#skipped > 0) {
        this.#handlers.oversized(this.#skipped + end + 2 - start);
        this.#skipped = 0;
      } else if (end + 2 - start > MESSAGE_BYTES_MAX) {
        this.#handlers.oversized(end + 2 - start);
      } else {
        this.#handlers.message(buffer, start, end + 2, this.#offset + start);
      }
      start = end + 4;
      this.#searched = start;
    }
    this.#handlers.drained(buffer);
    let rest = length - start;
    // One byte more may be here when only the LF of the empty line is missing.
    if (rest > MESSAGE_BYTES_MAX + 1 || this.#skipped > 0) {
      // The end of message may be split over this read and the next: three bytes of it may be here already.
      const keep = Math.min(rest, 3);
      this.#skipped += rest - keep;
      start = length - keep;
      rest = keep;
    }
    if (start > 0) {
      buffer.copyWithin(0, start, length);
      this.#offset += start;
    }
    this.#length = rest;
    this.#searched = Math.max(0, rest - 3);
  }
}

/** Index of the CR of the first CR LF in `[from, to)`, or -1. */
function findLineEnd(buffer: Uint8Array, from: number, to: number): number {
  for (let i = from + 1; i < to; i++) {
    if (buffer[i] === LF && buffer[i - 1] === CR) return i - 1;
  }
  return -1;
}

/** Index of the first CR of the first CR LF CR LF in `[from, to)`, or -1. Looks at every fourth byte only, mostly. */
function findMessageEnd(buffer: Uint8Array, from: number, to: number): number {
  let i = from + 3 | 0;
  while (i < (to | 0)) {
    const byte = buffer[i]!;
    if (byte > CR) {
      i = i + 4 | 0;
    } else if (byte === LF) {
      if (buffer[i - 1] === CR && buffer[i - 2] === LF && buffer[i - 3] === CR) return i - 3;
      i = i + 2 | 0;
    } else {
      i = i + 1 | 0;
    }
  }
  return -1;
}

/** The bytes as text, one character a byte. */
export function latin1(buffer: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(buffer[i]!);
  return text;
}
