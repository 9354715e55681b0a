/**
 * Follows a file that somebody else writes, as `tail -F` does: from its end on, through rotation by
 * rename, by copying and truncating, and through its absence.
 *
 * Nothing tells a reader of these; it compares. The file that is open is another one than its path
 * names: it was renamed. It is shorter than what was read, or the last bytes that were read are
 * others now: it was truncated. What stands in a file that begins while it is followed is read from
 * its beginning.
 *
 * Only whole lines are handed on. A line whose end has not been written waits; it is dropped when
 * its file is gone by then, because half an address is another address.
 *
 * @module
 */

/** What is known of a file. */
export interface FileFacts {
  readonly isFile: boolean;
  readonly size: number;
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

const LF = 0x0a;

const NOTHING = new Uint8Array(0);

/** The path names no regular file. */
export class NotAFileError extends Error {
  override readonly name = "NotAFileError";
}

/** A file that is being read, and how far. */
interface Place {
  readonly file: OpenFile;
  readonly identity: string;
  at: number;
  /** The last bytes before `at`. */
  mark: Uint8Array;
  /** What comes is the rest of a line whose beginning was not handed on. */
  skipsLine: boolean;
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
  /** Nothing was looked at yet: what stands in the file is old. */
  #isFirst = true;
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
    if (place === undefined) return this.#open();
    if (this.#readFrom(place)) return "read";
    return this.#replaced(now);
  }

  /** Ends it. */
  close(): void {
    this.#place?.file.close();
    this.#former?.file.close();
    this.#place = this.#former = undefined;
  }

  #open(): Step {
    let facts: FileFacts;
    try {
      facts = this.#files.stat(this.path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      this.#isFirst = false;
      return "absent";
    }
    // To open a pipe would wait for who writes into it.
    if (!facts.isFile) throw new NotAFileError();
    const file = this.#files.open(this.path);
    const { size, identity } = file.stat();
    const place: Place = { file, identity, at: 0, mark: NOTHING, skipsLine: false };
    if (this.#isFirst) this.#beginAt(place, size);
    this.#isFirst = false;
    this.#place = place;
    return this.#readFrom(place) ? "read" : "end";
  }

  /** Begins at the end of a file. */
  #beginAt(place: Place, size: number): void {
    const length = Math.min(MARK_BYTES, size);
    const mark = this.#buffer.subarray(0, length);
    const count = length === 0 ? 0 : place.file.read(mark, size - length);
    place.at = size - length + count;
    place.mark = mark.slice(0, count);
    place.skipsLine = count > 0 && mark[count - 1] !== LF;
  }

  /** Reads on; whether there was anything but the beginning of a line. */
  #readFrom(place: Place): boolean {
    const { size } = place.file.stat();
    if (size < place.at) begin(place);
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
    if (to === mark.length) return false;
    const fresh = this.#buffer.subarray(mark.length, to);
    place.at = from + to;
    place.mark = this.#buffer.slice(Math.max(0, to - MARK_BYTES), to);
    this.#bytes += fresh.length;
    const skipped = place.skipsLine ? fresh.indexOf(LF) + 1 : 0;
    const isWhole = to === length;
    if (isWhole && !(place.skipsLine && skipped === 0)) {
      place.skipsLine = false;
      if (skipped < fresh.length) this.#take(fresh.subarray(skipped));
    } else place.skipsLine = true;
    return true;
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
    return this.#open();
  }

  #leaveFormer(): void {
    this.#former?.file.close();
    this.#former = undefined;
  }
}

/** The files of this machine. */
export const realFiles: Files = {
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

function factsOf({ isFile, size, dev, ino }: Deno.FileInfo): FileFacts {
  return { isFile, size, identity: `${dev} ${ino}` };
}

/** Its writer has begun anew in the same file. */
function begin(place: Place): void {
  place.at = 0;
  place.mark = NOTHING;
  place.skipsLine = false;
}

function beginsWith(bytes: Uint8Array, count: number, mark: Uint8Array): boolean {
  return count >= mark.length && mark.every((byte, i) => bytes[i] === byte);
}

/** Index behind the last line end, or the beginning. */
function wholeLines(bytes: Uint8Array, from: number, to: number): number {
  const last = bytes.subarray(from, to).lastIndexOf(LF);
  return last < 0 ? from : from + last + 1;
}
