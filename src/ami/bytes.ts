/**
 * Text in the bytes of a message, compared and hashed some bytes at a time.
 *
 * `| 0` in the loops says that an index has 32 bits: V8 then neither looks for an overflow nor tags
 * it, which saves a seventh of the time of the grammar.
 *
 * @module
 */

/** No bytes. */
export const NOTHING = new Uint8Array(0);

const CR = 0x0d;

const LF = 0x0a;

/** CR LF as a little-endian number. */
export const CR_LF = 0x0a0d;

/**
 * A text to be compared with bytes of a message, eight at a time: read as floating-point numbers,
 * because JavaScript has no other type of eight bytes that costs nothing. Two of them are equal if
 * and only if their bytes are, unless the text's own is no number or zero; the constructor sees to
 * that.
 */
export class Literal {
  readonly text: string;
  readonly length: number;
  readonly #words: Float64Array;
  /**
   * The last bytes, eight (or four of a short text), which overlap the words before unless they
   * begin where those end.
   */
  readonly #last: number;

  constructor(text: string) {
    const length = text.length;
    const view = new DataView(new ArrayBuffer(length));
    for (let i = 0; i < length; i++) view.setUint8(i, text.charCodeAt(i));
    if (length < 4) throw new RangeError(`"${text}" is too short`);
    this.text = text;
    this.length = length;
    this.#words = new Float64Array((length - 1) >> 3);
    this.#last = length < 8 ? view.getInt32(length - 4, true) : view.getFloat64(length - 8, true);
    let comparable = Math.abs(this.#last) > 0;
    for (let i = 0; i < this.#words.length; i++) {
      this.#words[i] = view.getFloat64(8 * i, true);
      if (!(Math.abs(this.#words[i]!) > 0)) comparable = false;
    }
    if (!comparable) throw new RangeError(`"${text}" cannot be compared`);
  }

  /** Whether the bytes at `at` are this text; they must end before `end`. */
  at(view: DataView, at: number, end: number): boolean {
    const length = this.length;
    if (at + length > end) return false;
    if (length < 8) {
      // The last four bytes, then those before them.
      return view.getInt32(at + length - 4, true) === this.#last &&
        (length === 4 || this.#beginsAt(view, at));
    }
    const words = this.#words;
    let from = at | 0;
    for (let i = 0; i < words.length; i = i + 1 | 0) {
      if (view.getFloat64(from, true) !== words[i]) return false;
      from = from + 8 | 0;
    }
    return view.getFloat64(at + length - 8 | 0, true) === this.#last;
  }

  #beginsAt(view: DataView, at: number): boolean {
    for (let i = 0; i < this.length - 4; i++) {
      if (view.getUint8(at + i) !== this.text.charCodeAt(i)) return false;
    }
    return true;
  }
}

// The framer hands on one buffer for ever, so that its view is made once.
let viewed: Uint8Array = NOTHING;

let view: DataView = new DataView(NOTHING.buffer);

export function viewOf(buffer: Uint8Array): DataView {
  if (buffer !== viewed) {
    viewed = buffer;
    view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  }
  return view;
}

/** Four characters as they are read from a message. */
export function wordOf(text: string): number {
  return new DataView(new TextEncoder().encode(text).buffer).getInt32(0, true);
}

// Seeds nobody outside knows, so that nobody can choose Call-IDs whose hashes are equal.
const SEEDS = crypto.getRandomValues(new Int32Array(2));
export const SEED_A = SEEDS[0]!;
const SEED_B = SEEDS[1]!;

/** Index of the line that ends at `at`, or -1 when none does behind `start`. */
export function lineBefore(view: DataView, at: number, start: number): number {
  if (at - 2 < start) return -1;
  let i = at - 2;
  while (i - 2 >= start && view.getInt16(i - 2, true) !== CR_LF) i--;
  return i - 2 >= start ? i : start;
}

/** Whether the bytes are this text, one character a byte. */
export function isText(text: string, view: DataView, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  let i = 0;
  while (i < text.length && text.charCodeAt(i) === view.getUint8(start + i)) i++;
  return i === text.length;
}

/** Index behind the CR LF of the line at `at`, or -1. Looks for the CR in four bytes at a time. */
export function lineEnd(view: DataView, at: number, end: number): number {
  let i = at | 0;
  for (const last = end - 4 | 0; i <= last; i = i + 4 | 0) {
    const word = view.getInt32(i, true) ^ 0x0d0d0d0d;
    // The usual test for a zero byte in a word.
    if (((word - 0x01010101) & ~word & 0x80808080) === 0) continue;
    for (let byte = i; byte < (i + 4 | 0) && byte < (end - 1 | 0); byte = byte + 1 | 0) {
      if (view.getInt16(byte, true) === CR_LF) return byte + 2 | 0;
    }
  }
  for (const last = end - 2 | 0; i <= last; i = i + 1 | 0) {
    if (view.getInt16(i, true) === CR_LF) return i + 2 | 0;
  }
  return -1;
}

/** Whether any line of the message begins with the literal. */
export function hasLine(view: DataView, start: number, end: number, literal: Literal): boolean {
  for (let at = start; at >= 0 && at < end; at = lineEnd(view, at, end)) {
    if (literal.at(view, at, end)) return true;
  }
  return false;
}

/** What {@linkcode hashLine} has found. */
export let lineHash = 0;

/**
 * Reads a value and its hash in one pass: equal values have equal hashes, wherever they stand.
 *
 * The hash is seeded, and a small integer because V8 keeps larger numbers in objects of their own,
 * several for each event. At most 50 sessions of one host are compared, so that a chance match is
 * one in a hundred million.
 *
 * @returns Index behind the CR LF of the line, and in {@linkcode lineHash} the hash; or -1.
 */
export function hashLine(view: DataView, start: number, end: number, seed: number): number {
  let a = SEED_A ^ seed;
  let b = SEED_B + seed | 0;
  let i = start | 0;
  for (const last = end - 4 | 0; i <= last; i = i + 4 | 0) {
    const word = view.getInt32(i, true);
    const other = word ^ 0x0d0d0d0d;
    // The usual test for a zero byte in a word: there is a CR in it.
    if (((other - 0x01010101) & ~other & 0x80808080) !== 0) break;
    a = Math.imul(a ^ word, 0x9e3779b1);
    a ^= a >>> 15;
    b = Math.imul(b + word | 0, 0x85ebca6b);
    b ^= b >>> 13;
  }
  for (const last = end - 1 | 0; i < last; i = i + 1 | 0) {
    const byte = view.getUint8(i);
    if (byte === CR && view.getUint8(i + 1 | 0) === LF) {
      lineHash = mixed(a, b, i - start | 0);
      return i + 2 | 0;
    }
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b, 31) + byte | 0;
  }
  return -1;
}

/** The last step of a hash. */
function mixed(a: number, b: number, length: number): number {
  a ^= length;
  a = Math.imul(a ^ (a >>> 16), 0x7feb352d);
  b = Math.imul(b ^ (b >>> 15), 0x2c1b3c6d);
  return a ^ b;
}
