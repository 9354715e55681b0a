/**
 * Follows a file that somebody else writes, as `tail -F` does: from its end on, through rotation by
 * rename, by copying and truncating, and through its absence.
 *
 * Nothing tells a reader of these; it compares. The file that is open is another one than its path
 * names: it was renamed. It is shorter than what was read, or the last bytes that were read are
 * others now: it was truncated. What stands in a file that begins while it is followed is read from
 * its beginning, but for what was there before: behind the last line that was handed on, where a
 * file was written anew with its old lines (`sed -i`, a copy that is put back), and from its end
 * on, where it is older than the file before it, or was kept from its reader for long. A file that
 * was read before, and comes back, is gone on with.
 *
 * Only whole lines are handed on. A line whose end has not been written waits; it is dropped when
 * its file is gone by then, because half an address is another address.
 *
 * @module
 */

import { latin1 } from "../ami/framer.ts";

/** What is known of a file. */
export interface FileFacts {
  readonly isFile: boolean;
  readonly size: number;
  /** When it was made, in milliseconds since 1970; `undefined` where the system does not tell. */
  readonly born: number | undefined;
  /** Device and inode: what tells it from others. */
  readonly identity: string;
}

/** An open file. */
interface OpenFile {
  /** What it is now. */
  stat(): FileFacts;
  /**
   * Reads some of its bytes.
   *
   * @param into Takes them.
   * @param at From where on.
   * @returns How many; 0 at its end.
   */
  read(into: Uint8Array, at: number): number;
  /** Ends its use. */
  close(): void;
}

/** The files of a machine; all throw what Deno throws. */
export interface Files {
  stat(path: string): FileFacts;
  open(path: string): OpenFile;
  /** Time of day, in milliseconds since 1970. */
  time(): number;
}

/** Bytes at the end of what was read, by which a truncation is seen that no size tells of. */
const MARK_BYTES = 64;

/** Most bytes that one step reads: a turn of the event loop that others wait for. */
export const STEP_BYTES = 64 * 1024;

/**
 * How long a file that has been replaced is still read, in milliseconds: its writer opens the new
 * one when it is told to (`logger reload`), which may be a moment later.
 */
export const FAREWELL_MS = 10_000;

/**
 * What stands in a file that could not be opened for so long, in milliseconds, is of the past: who
 * failed now and then in these hours must not have failed all at once.
 */
export const REFUSED_MAX_MS = 60_000;

/** Files that were replaced and are known again, should they be put back. */
const LEFT_MAX = 64;

/** Bytes of the last lines that were handed on, by which they are known again. */
const RECENT_BYTES = 4096;

/** By so much a file is older at least that was made before another, in milliseconds. */
const OLDER_MS = 1_000;

/** A file was made just now that is no older than this, in milliseconds. */
const FRESH_MS = 10_000;

/** A time: the same line without one may come again. */
const HAS_TIME = /\d\d:\d\d|\d{9}/;

const TO_SECOND = /^.*?\d\d:\d\d:\d\d/;

const LF = 0x0a;

const NOTHING = new Uint8Array(0);

/** The path names no regular file. */
export class NotAFileError extends Error {
  override readonly name = "NotAFileError";
}

/** How far a file was read. */
interface Progress {
  readonly identity: string;
  readonly born: number | undefined;
  at: number;
  /** The last bytes before `at`. */
  mark: Uint8Array;
  /** What comes is the rest of a line whose beginning was not handed on. */
  skipsLine: boolean;
  /** It has begun, and nothing of it was read: what stands in it may have been handed on before. */
  isNew: boolean;
}

/** A file that is being read. */
interface Place extends Progress {
  readonly file: OpenFile;
  search: Search | undefined;
  /** The end of a line is awaited. */
  isTorn: boolean;
}

/** In a file that has begun is looked for the lines that were handed on last. */
interface Search {
  readonly lines: ReadonlySet<string>;
  /** Where it ends. */
  readonly until: number;
  at: number;
  /** Index behind the last of them, or 0. */
  behind: number;
  /** When its first line was written, as that says. */
  beganAt: string | undefined;
  /** A line was met that is none of them. */
  hasOthers: boolean;
}

/** What a step of a {@linkcode Tail} has found. */
type Step =
  /** There was something to read, and perhaps there is more. */
  | "read"
  /** Everything is read. */
  | "end"
  /** There is no such file now. */
  | "absent";

/**
 * One file, followed in steps.
 *
 * @example
 * ```ts
 * import { realFiles, Tail } from "./tail.ts";
 *
 * const path = Deno.makeTempFileSync();
 * const text: string[] = [];
 * const tail = new Tail(
 *   path,
 *   realFiles,
 *   (lines) => text.push(new TextDecoder().decode(lines)),
 * );
 * tail.step(0); // "end": what stands there already is not read
 * Deno.writeTextFileSync(path, "news\n", { append: true });
 * console.log(tail.step(100), text); // read [ "news\n" ]
 * tail.close();
 * ```
 */
export class Tail {
  readonly path: string;
  readonly #files: Files;
  readonly #take: (lines: Uint8Array) => void;
  readonly #buffer = new Uint8Array(MARK_BYTES + STEP_BYTES);
  #place: Place | undefined;
  /** The file before the last rename, until nobody writes into it any more. */
  #former: Place | undefined;
  #formerUntil = 0;
  /** Those before it, the last one at the end. */
  #left: Progress[] = [];
  /** When the file was made that was opened last. */
  #lastBorn: number | undefined;
  /** Clock value since which the file cannot be opened, in milliseconds. */
  #refusedSince: number | undefined;
  /** Nothing was looked at yet: what stands in the file is old. */
  #isFirst = true;
  /** Since when the file is waited for, in milliseconds since 1970. */
  #waitsSince: number | undefined;
  /** The last bytes that were handed on, or stood in the file at first. */
  #recent = NOTHING;
  #bytes = 0;
  #behind = 0;

  /**
   * Nothing is opened yet.
   *
   * @param path Absolute path of the file.
   * @param files Where it is.
   * @param take Takes whole lines, with their ends; valid during the call.
   */
  constructor(path: string, files: Files, take: (lines: Uint8Array) => void) {
    this.path = path;
    this.#files = files;
    this.#take = take;
  }

  /** Bytes that were read. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a file is open, be it under another name by now. */
  get isOpen(): boolean {
    return this.#place !== undefined;
  }

  /** Bytes that were not read yet, as of the last step. */
  get behind(): number {
    return this.#behind;
  }

  /** Whether a line has begun whose end is awaited: it was written before what comes. */
  get isTorn(): boolean {
    return (this.#place?.isTorn ?? false) || (this.#former?.isTorn ?? false);
  }

  /**
   * Reads some of what was written since the last step.
   *
   * @param now Clock value, in milliseconds.
   * @throws What the system says when the file cannot be read; the next step tries again.
   */
  step(now: number): Step {
    if (this.#former !== undefined) {
      if (this.#readFrom(this.#former)) return "read";
      if (now >= this.#formerUntil) this.#leaveFormer();
    }
    const place = this.#place;
    if (place === undefined) return this.#openAt(now);
    if (this.#readFrom(place)) return "read";
    return this.#replaced(now);
  }

  /** Ends it. */
  close(): void {
    this.#place?.file.close();
    this.#former?.file.close();
    this.#place = this.#former = undefined;
  }

  #openAt(now: number): Step {
    try {
      const step = this.#open(now);
      this.#refusedSince = undefined;
      return step;
    } catch (error) {
      this.#refusedSince ??= now;
      throw error;
    }
  }

  #open(now: number): Step {
    let facts: FileFacts;
    try {
      facts = this.#files.stat(this.path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      this.#isFirst = false;
      this.#waitsSince ??= this.#files.time();
      return "absent";
    }
    const former = this.#former;
    // It was put back before the one that took its place could be opened.
    if (former !== undefined && former.identity === facts.identity) {
      this.#former = undefined;
      this.#place = former;
      return this.#readFrom(former) ? "read" : "end";
    }
    // To open a pipe would wait for who writes into it.
    if (!facts.isFile) throw new NotAFileError();
    const file = this.#files.open(this.path);
    const { size, identity, born } = file.stat();
    const known = this.#left.find((left) => left.identity === identity && left.born === born);
    const begun = { identity, born, at: 0, mark: NOTHING, skipsLine: false, isNew: true };
    const place: Place = { ...(known ?? begun), file, search: undefined, isTorn: false };
    // A file of before that was put back, or a disk that was not there yet.
    const since = this.#lastBorn ?? this.#waitsSince;
    const time = this.#files.time();
    // One of the future was made before the clock was set back; one of just now was made after it.
    const isOld = born !== undefined && (born > time + OLDER_MS ||
      since !== undefined && born < since - OLDER_MS && !(since > time && born > time - FRESH_MS));
    const isLate = now > (this.#refusedSince ?? now) + REFUSED_MAX_MS;
    if (this.#isFirst || isOld && known === undefined || isLate) this.#beginAt(place, size);
    this.#isFirst = false;
    this.#waitsSince = undefined;
    this.#lastBorn = born;
    this.#place = place;
    return this.#readFrom(place) ? "read" : "end";
  }

  /** Begins at the end of a file. */
  #beginAt(place: Place, size: number): void {
    const length = Math.min(RECENT_BYTES, size);
    const last = this.#buffer.subarray(0, length);
    const count = length === 0 ? 0 : place.file.read(last, size - length);
    place.at = size - length + count;
    place.mark = last.slice(Math.max(0, count - MARK_BYTES), count);
    place.skipsLine = count > 0 && last[count - 1] !== LF;
    place.isNew = false;
    this.#recent = last.slice(0, wholeLines(last, 0, count));
  }

  /** Whether there is more of it to be looked through for what was handed on before. */
  #searches(place: Place, size: number): boolean {
    if (place.isNew && size > 0) {
      place.isNew = false;
      const lines = timedLines(this.#recent);
      if (lines.size > 0) {
        place.search = {
          ...{ lines, until: size, at: 0, behind: 0 },
          beganAt: undefined,
          hasOthers: false,
        };
      }
    }
    const { search } = place;
    if (search === undefined) return false;
    const room = Math.min(STEP_BYTES, search.until - search.at);
    const bytes = this.#buffer.subarray(0, Math.max(0, room));
    const count = place.file.read(bytes, search.at);
    const length = wholeLines(bytes, 0, count);
    for (let from = 0; from < length;) {
      const end = bytes.indexOf(LF, from);
      const line = textOf(bytes.subarray(from, end));
      const isKnown = search.lines.has(line);
      if (search.at + from === 0) search.beganAt = secondOf(line);
      if (!isKnown) search.hasOthers = true;
      // In a file that has begun in the same second somebody may have done the same again.
      const isAgain = search.hasOthers && search.beganAt !== undefined &&
        secondOf(line) === search.beganAt;
      if (isKnown && !isAgain) search.behind = search.at + end + 1;
      from = end + 1;
    }
    search.at += length > 0 ? length : count;
    this.#behind = Math.max(0, size - search.at);
    if (count > 0 && search.at < search.until && (length > 0 || count === STEP_BYTES)) return true;
    place.search = undefined;
    this.#continueAt(place, search.behind);
    return true;
  }

  /** The next byte to be read is one that stands behind a line end. */
  #continueAt(place: Place, at: number): void {
    const mark = this.#buffer.subarray(0, Math.min(MARK_BYTES, at));
    const count = place.file.read(mark, at - mark.length);
    place.at = at;
    place.mark = count === mark.length ? mark.slice() : NOTHING;
  }

  /** Reads on; whether there was anything but the beginning of a line. */
  #readFrom(place: Place): boolean {
    const { size } = place.file.stat();
    if (size < Math.max(place.at, place.search?.until ?? 0)) begin(place);
    if (this.#searches(place, size)) return true;
    const { mark } = place;
    const from = place.at - mark.length;
    const room = mark.length + STEP_BYTES;
    const count = place.file.read(this.#buffer.subarray(0, room), from);
    if (!beginsWith(this.#buffer, count, mark)) {
      begin(place);
      return this.#readFrom(place);
    }
    const length = wholeLines(this.#buffer, mark.length, count);
    const isFull = count === room;
    // A line that is longer than all that Asterisk writes is not one of its.
    const to = length > mark.length || !isFull ? length : count;
    this.#behind = Math.max(0, size - from - to);
    place.isTorn = to < count && !isFull;
    if (to === mark.length) return false;
    const fresh = this.#buffer.subarray(mark.length, to);
    place.at = from + to;
    place.mark = this.#buffer.slice(Math.max(0, to - MARK_BYTES), to);
    this.#bytes += fresh.length;
    const skipped = place.skipsLine ? fresh.indexOf(LF) + 1 : 0;
    const isWhole = to === length;
    if (isWhole && !(place.skipsLine && skipped === 0)) {
      place.skipsLine = false;
      if (skipped < fresh.length) {
        this.#remember(fresh.subarray(skipped));
        this.#take(fresh.subarray(skipped));
      }
    } else place.skipsLine = true;
    return true;
  }

  #remember(lines: Uint8Array): void {
    if (lines.length >= RECENT_BYTES) {
      this.#recent = lines.slice(-RECENT_BYTES);
      return;
    }
    const before = this.#recent.subarray(-(RECENT_BYTES - lines.length));
    const recent = new Uint8Array(before.length + lines.length);
    recent.set(before);
    recent.set(lines, before.length);
    this.#recent = recent;
  }

  /** At its end: looks whether the path names another file. */
  #replaced(now: number): Step {
    const place = this.#place!;
    let facts: FileFacts;
    try {
      facts = this.#files.stat(this.path);
    } catch (error) {
      // Its writer may still go on with it.
      if (error instanceof Deno.errors.NotFound) return "absent";
      throw error;
    }
    if (facts.identity === place.identity) return "end";
    // Until the new one has been opened its writer goes on in this one.
    if (!facts.isFile) return "absent";
    this.#leaveFormer();
    this.#former = place;
    this.#formerUntil = now + FAREWELL_MS;
    this.#place = undefined;
    return this.#openAt(now);
  }

  #leaveFormer(): void {
    const former = this.#former;
    if (former === undefined) return;
    this.#former = undefined;
    former.file.close();
    const { identity, born, at, mark, skipsLine, isNew, search } = former;
    const left = this.#left.filter((one) => one.identity !== identity).slice(1 - LEFT_MAX);
    this.#left = [...left, {
      identity,
      born,
      at,
      mark,
      skipsLine,
      isNew: isNew || search !== undefined,
    }];
  }
}

/** The files of this machine. */
export const realFiles: Files = {
  time: Date.now,
  stat: (path) => factsOf(Deno.statSync(path)),
  open(path) {
    const file = Deno.openSync(path);
    return {
      stat: () => factsOf(file.statSync()),
      read(into, at) {
        file.seekSync(at, Deno.SeekMode.Start);
        return file.readSync(into) ?? 0;
      },
      close: () => file.close(),
    };
  },
};

function factsOf({ isFile, size, dev, ino, birthtime }: Deno.FileInfo): FileFacts {
  return { isFile, size, born: birthtime?.getTime(), identity: `${dev} ${ino}` };
}

/** Its writer has begun anew in the same file. */
function begin(place: Place): void {
  place.at = 0;
  place.mark = NOTHING;
  place.skipsLine = false;
  place.isNew = true;
  place.search = undefined;
}

/** Those of the last lines that no other line is equal to: they tell their time. */
function timedLines(bytes: Uint8Array): ReadonlySet<string> {
  // Before the first line end may be half a line, and behind the last one another.
  const lines = textOf(bytes).split("\n").slice(bytes.length < RECENT_BYTES ? 0 : 1, -1);
  return new Set(lines.filter((line) => HAS_TIME.test(line)));
}

/** The beginning of a line up to its time of day. */
function secondOf(line: string): string | undefined {
  return TO_SECOND.exec(line)?.[0];
}

function textOf(bytes: Uint8Array): string {
  return latin1(bytes, 0, bytes.length);
}

function beginsWith(bytes: Uint8Array, count: number, mark: Uint8Array): boolean {
  return count >= mark.length && mark.every((byte, i) => bytes[i] === byte);
}

/** Index behind the last line end, or the beginning. */
function wholeLines(bytes: Uint8Array, from: number, to: number): number {
  const last = bytes.subarray(from, to).lastIndexOf(LF);
  return last < 0 ? from : from + last + 1;
}
