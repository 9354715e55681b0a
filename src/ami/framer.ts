/**
 * Cuts the byte stream of Asterisk's Manager Interface into messages.
 *
 * AMI sends one banner line (`Asterisk Call Manager/7.0.3`), then messages: header lines that end
 * with CR LF, closed by an empty line. Asterisk escapes nothing, so a value may hold a lone CR or a
 * lone LF (a stranger's account name does): only the pair CR LF ends a line here, as Asterisk
 * writes it (`manager.c`).
 *
 * @module
 */

const CR = 0x0d;
const LF = 0x0a;

/**
 * Longest message that is handed on, in bytes. An event shows several texts of the request that
 * raised it, so that it may be longer than a SIP packet (64 KiB). Of what is longer still, the
 * beginning and the sender are handed on.
 */
export const MESSAGE_BYTES_MAX = 128 * 1024;

/** Longest banner line, in bytes. Asterisk's has 28. */
export const BANNER_BYTES_MAX = 256;

/** Least room for a read, in bytes. */
export const READ_BYTES_MIN = 64 * 1024;

/** Size of the read buffer, in bytes: room for the longest message and a large read behind it. */
const BUFFER_BYTES = 2 * MESSAGE_BYTES_MAX;

/**
 * How much of the beginning of a skipped message is kept, in bytes: the head of a security event,
 * with general headers.
 */
export const SKIPPED_HEAD_BYTES_MAX = 4 * 1024;

/**
 * How much is kept from the last RemoteAddress of a skipped message on, in bytes: longer than any
 * such line.
 */
export const REMOTE_BYTES_MAX = 160;

/**
 * What stays in the buffer of a message that is being skipped, in bytes: its last RemoteAddress may
 * have come in part.
 */
const SKIPPED_TAIL_BYTES = 2 * REMOTE_BYTES_MAX;

/** A message that was too long to be kept. */
export interface Skipped {
  /** Its length, the empty line not included. */
  readonly bytes: number;
  /** Its beginning, at most {@linkcode SKIPPED_HEAD_BYTES_MAX}. */
  readonly head: Uint8Array;
  /**
   * Its last line that begins with `RemoteAddress: `, and what follows it, at most
   * {@linkcode REMOTE_BYTES_MAX} in all.
   */
  readonly remote: Uint8Array | undefined;
  /** Where in the stream it began. */
  readonly offset: number;
}

/** What the {@linkcode Framer} calls; the bytes are valid only during the call. */
interface FramerHandlers {
  /**
   * The first line of the connection, without its CR LF. A first line without end within
   * {@linkcode BANNER_BYTES_MAX} arrives cut.
   */
  banner(line: string): void;
  /**
   * One message.
   *
   * @param buffer Holds the message.
   * @param start Index of its first byte.
   * @param end Index behind the CR LF of its last line (the empty line is not included).
   * @param offset Position of `start` in the stream, in bytes since the connection began.
   */
  message(buffer: Uint8Array, start: number, end: number, offset: number): void;
  /**
   * Looks at a message that has not been searched for its end, which costs more than to read most
   * of them. Optional: it only saves time. What it recognizes is handed to
   * {@linkcode FramerHandlers.message} at once.
   *
   * @param buffer Holds the message, perhaps not all of it, and what follows it.
   * @param start Index of its first byte.
   * @param limit Index behind the last byte that is there.
   * @returns Index behind the CR LF of its last line, if its first empty line follows there; -1
   *   when it must be searched.
   */
  recognize?(buffer: Uint8Array, start: number, limit: number): number;
  /** A message longer than {@linkcode MESSAGE_BYTES_MAX} was skipped up to its empty line. */
  oversized(skipped: Skipped): void;
  /** Every message that was complete has been handed on; after this call their bytes move. */
  drained(buffer: Uint8Array): void;
}

/**
 * Cuts a byte stream into AMI messages, for every way the stream may be split into reads. Memory is
 * bounded by {@linkcode BUFFER_BYTES}, whatever arrives.
 *
 * Reading without a copy: fill {@linkcode Framer.space}, then call {@linkcode Framer.commit} with
 * the number of bytes.
 *
 * @example
 * ```ts
 * const framer = new Framer({
 *   banner: (line) => console.log(line),
 *   message: (buffer, start, end) => console.log(latin1(buffer, start, end)),
 *   oversized: (skipped) => console.warn(`skipped ${skipped.bytes} bytes`),
 *   drained: () => {},
 * });
 * framer.push(new TextEncoder().encode("Asterisk Call Manager/7.0.3\r\n"));
 * framer.push(new TextEncoder().encode("Response: Success\r\n\r\n"));
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
  /** Of the message that is being skipped. */
  #skippedHead: Uint8Array = NOTHING;
  #skippedRemote: Uint8Array | undefined;
  #skippedOffset = 0;
  #draining = false;

  /**
   * A framer at the beginning of a connection.
   *
   * @param handlers Take what is found.
   */
  constructor(handlers: FramerHandlers) {
    this.#handlers = handlers;
  }

  /**
   * Number of bytes that wait for the rest of their message; more than 0 means that a message is
   * under way.
   */
  get pending(): number {
    return this.#length + this.#skipped;
  }

  /**
   * The free part of the buffer, at least {@linkcode READ_BYTES_MIN} bytes; to be filled from its
   * beginning.
   */
  space(): Uint8Array {
    return this.#buffer.subarray(this.#length);
  }

  /**
   * Takes over the first `count` bytes of {@linkcode Framer.space} and hands on every message that
   * is now complete.
   *
   * @param count Number of bytes that were written, in bytes.
   * @throws {RangeError} When `count` is larger than the space.
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
   * @param chunk The next bytes of the stream.
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
    this.#skippedRemote = undefined;
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
        const skipped: Skipped = {
          bytes: this.#skipped + end + 2 - start,
          head: this.#skippedHead,
          remote: lastRemote(buffer, start, end + 2) ?? this.#skippedRemote,
          offset: this.#skippedOffset,
        };
        this.#skipped = 0;
        this.#skippedRemote = undefined;
        this.#handlers.oversized(skipped);
      } else if (end + 2 - start > MESSAGE_BYTES_MAX) {
        this.#handlers.oversized({
          bytes: end + 2 - start,
          head: buffer.slice(start, start + SKIPPED_HEAD_BYTES_MAX),
          remote: lastRemote(buffer, start, end + 2),
          offset: this.#offset + start,
        });
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
      if (this.#skipped === 0) {
        this.#skippedHead = buffer.slice(start, start + SKIPPED_HEAD_BYTES_MAX);
        this.#skippedOffset = this.#offset + start;
      }
      this.#skippedRemote = lastRemote(buffer, start, length) ?? this.#skippedRemote;
      // The end of message may be split over this read and the next, and so may its last
      // RemoteAddress.
      const keep = Math.min(rest, SKIPPED_TAIL_BYTES);
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

/**
 * Index of the first CR of the first CR LF CR LF in `[from, to)`, or -1. Looks at every fourth byte
 * only, mostly.
 */
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

const NOTHING = new Uint8Array(0);
const REMOTE_LINE = "\r\nRemoteAddress: ";

/**
 * Index of the last RemoteAddress at the beginning of a line but the first in `[from, to)`, or -1.
 */
export function findLastRemote(buffer: Uint8Array, from: number, to: number): number {
  for (let at = to - REMOTE_LINE.length; at >= from; at--) {
    if (buffer[at] !== CR) continue;
    let i = 1;
    while (i < REMOTE_LINE.length && buffer[at + i] === REMOTE_LINE.charCodeAt(i)) i++;
    if (i === REMOTE_LINE.length) return at + 2;
  }
  return -1;
}

function lastRemote(buffer: Uint8Array, from: number, to: number): Uint8Array | undefined {
  const at = findLastRemote(buffer, from, to);
  return at < 0 ? undefined : buffer.slice(at, Math.min(to, at + REMOTE_BYTES_MAX));
}

/** The bytes as text, one character a byte. */
export function latin1(buffer: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(buffer[i]!);
  return text;
}
