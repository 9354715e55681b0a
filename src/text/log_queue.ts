/**
 * Lines on their way into something that may not take them: a FIFO, a pipe, a socket, a terminal.
 * Whoever reads there can stop, and a write would stop with them; so it is done in the background,
 * and only so much waits.
 *
 * @module
 */

/** Most bytes that wait to be written; what comes when they are used up is lost. */
export const QUEUE_BYTES_MAX = 4 * 1024 * 1024;

/** Most bytes of one write, unless a single piece is longer. */
const WRITE_BYTES_MAX = 64 * 1024;

/** A write, or the opening, that takes longer than this is told, in milliseconds. */
export const STALLED_MS = 5_000;

const LINE_END = 0x0a;

/** Where the lines go; `Deno.FsFile` and `Deno.stderr` are such. */
interface AsyncLogWriter {
  /** Writes some of the bytes and tells how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/** What a {@linkcode LogQueue} is made of. */
interface LogQueueOptions {
  /** Opens it; tried again, at the next line, when it fails. */
  readonly open: () => Promise<AsyncLogWriter & { close?(): void }>;
  /** Told once, until lines get through again, why they do not. */
  readonly onTrouble: (why: string) => void;
}

/** Some lines that wait. */
interface Piece {
  readonly bytes: Uint8Array;
  /** How many lost lines its first line tells of; 0 when that is a line like the others. */
  readonly lost: number;
}

/** The lines of a piece that are lost, when so many of its bytes were written. */
function linesLost({ bytes, lost }: Piece, done: number): number {
  const ends = bytes.subarray(done).reduce(
    (count, byte) => byte === LINE_END ? count + 1 : count,
    0,
  );
  const isTold = lost === 0 || done > bytes.indexOf(LINE_END);
  return isTold ? ends : ends - 1 + lost;
}

/** A bounded queue in front of a writer. */
export class LogQueue {
  readonly #options: LogQueueOptions;
  readonly #encoder = new TextEncoder();
  #writer: (AsyncLogWriter & { close?(): void }) | undefined;
  #pieces: Piece[] = [];
  #bytes = 0;
  #lost = 0;
  #inTrouble = false;
  #torn = false;
  /** Bytes of the first piece that were written. */
  #done = 0;
  #closed = false;
  #pumping: Promise<void> | undefined;

  /**
   * Begins to open the writer.
   *
   * @param options See {@linkcode LogQueueOptions}.
   */
  constructor(options: LogQueueOptions) {
    this.#options = options;
    this.#pump();
  }

  /** Lines that were lost and of which no line that waits tells. */
  get lost(): number {
    return this.#lost;
  }

  /** Takes over the lines that another one could not write. */
  addLost(lines: number): void {
    this.#lost += lines;
  }

  /**
   * Puts lines into the queue, as far as there is room; the others are lost.
   *
   * @param lines Each with its end.
   * @param aboutLost Makes the line that tells how many were lost.
   */
  push(lines: readonly string[], aboutLost: (lost: number) => string): void {
    if (this.#closed) {
      this.#lost += lines.length;
      return;
    }
    const lost = this.#lost;
    let text = lost > 0 ? aboutLost(lost) : "";
    let taken = 0;
    // A character has at most three bytes for each unit of UTF-16.
    let room = QUEUE_BYTES_MAX - this.#bytes - 3 * text.length;
    for (; taken < lines.length && room >= 3 * lines[taken]!.length; taken++) {
      room -= 3 * lines[taken]!.length;
      text += lines[taken]!;
    }
    if (taken > 0) {
      const bytes = this.#encoder.encode(text);
      this.#pieces.push({ bytes, lost });
      this.#bytes += bytes.length;
      this.#lost = 0;
    }
    this.#lost += lines.length - taken;
    if (taken < lines.length) this.#trouble("nobody reads it");
    this.#pump();
  }

  /**
   * Waits until all is written.
   *
   * @param limitMs How long at most, in milliseconds.
   * @returns Whether it is.
   */
  async drain(limitMs: number): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<void>((resolve) => timer = setTimeout(resolve, limitMs));
    const written = async () => {
      while (this.#pumping !== undefined) await this.#pumping;
    };
    await Promise.race([written(), limit]);
    clearTimeout(timer);
    return this.#pieces.length === 0;
  }

  /** Takes nothing more. What waits is still written, if it can be. */
  close(): void {
    this.#closed = true;
    if (this.#pumping === undefined) this.#writer?.close?.();
  }

  #trouble(why: string): void {
    if (this.#inTrouble) return;
    this.#inTrouble = true;
    this.#options.onTrouble(why);
  }

  #pump(): void {
    this.#pumping ??= this.#writeAll().finally(() => {
      this.#pumping = undefined;
      // A line may have come after the last look at the queue, and found that it is being written.
      if (this.#pieces.length > 0) this.#pump();
      else if (this.#closed) this.#writer?.close?.();
    });
  }

  async #writeAll(): Promise<void> {
    const watch = setInterval(() => this.#trouble("nobody reads it"), STALLED_MS);
    // Who only waits for a reader must not keep the program from ending.
    Deno.unrefTimer(watch);
    try {
      this.#writer ??= await this.#options.open();
      while (this.#pieces.length > 0) await this.#writeSome(this.#writer);
    } catch (error) {
      for (const [i, piece] of this.#pieces.entries()) {
        this.#lost += linesLost(piece, i === 0 ? this.#done : 0);
      }
      this.#pieces = [];
      this.#done = 0;
      this.#bytes = 0;
      this.#trouble(error instanceof Error ? error.message : String(error));
    } finally {
      clearInterval(watch);
    }
  }

  /** Writes what fits into one write. What is not written of it stays in the queue. */
  async #writeSome(writer: AsyncLogWriter): Promise<void> {
    if (this.#torn && this.#done === 0) {
      await writer.write(Uint8Array.of(LINE_END));
      this.#torn = false;
    }
    const written = await writer.write(this.#nextBytes());
    if (written <= 0) throw new Error("nothing was written");
    this.#done += written;
    let whole = 0;
    for (; whole < this.#pieces.length; whole++) {
      const { length } = this.#pieces[whole]!.bytes;
      if (this.#done < length) break;
      this.#done -= length;
      this.#bytes -= length;
    }
    this.#pieces.splice(0, whole);
    const first = this.#pieces[0];
    this.#torn = this.#done > 0 && first !== undefined && first.bytes[this.#done - 1] !== LINE_END;
    if (first === undefined) this.#inTrouble = false;
  }

  #nextBytes(): Uint8Array {
    const rest = this.#pieces[0]!.bytes.subarray(this.#done);
    let count = 1;
    let { length } = rest;
    while (
      count < this.#pieces.length && length + this.#pieces[count]!.bytes.length <= WRITE_BYTES_MAX
    ) length += this.#pieces[count++]!.bytes.length;
    if (count === 1) return rest;
    const bytes = new Uint8Array(length);
    bytes.set(rest);
    let at = rest.length;
    for (const piece of this.#pieces.slice(1, count)) {
      bytes.set(piece.bytes, at);
      at += piece.bytes.length;
    }
    return bytes;
  }
}
