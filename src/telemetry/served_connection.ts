/**
 * A connection that is served: it can be ended at any moment, and it is known when nothing of it is
 * left.
 *
 * It stands on Deno's own connections. A server of `node:net` keeps 3.6 kB of each connection that
 * ever was (Deno 2.8), or needs longer for each (2.6): one that is asked every few seconds for
 * months would not stay what it is.
 *
 * @module
 */

/** Most bytes that are read at a time. */
const READ_BYTES = 8_192;

/** How long it is waited after the last word that the other side closes, in milliseconds. */
const LINGER_MS = 1_000;

/** Most bytes that are thrown away meanwhile; a piece counts as so many at least. */
const LINGER_BYTES_MAX = 262_144;
const PIECE_BYTES_MIN = 1_024;

/** What a {@linkcode ServedConnection} stands on. */
interface Stream {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

/** How a {@linkcode ServedConnection} is made. */
interface ServedOptions {
  /** The address of who connected; empty for one of this machine by a Unix socket. */
  readonly from: string;
  /** One by TLS is not closed by Deno as long as a read is under way; its other end must be. */
  readonly endOther?: () => void;
}

/**
 * A connection that is served.
 *
 * @example
 * ```ts ignore
 * import { ServedConnection } from "./served_connection.ts";
 *
 * const said: string[] = [];
 * const served = new ServedConnection({
 *   read: () => Promise.resolve(null),
 *   write: (bytes) => Promise.resolve(said.push(new TextDecoder().decode(bytes)) && bytes.length),
 *   closeWrite: () => Promise.resolve(),
 *   close: () => {},
 * }, { from: "192.0.2.1" });
 * void served.write("hello\n");
 * await served.end();
 * console.log(said, served.isOver); // [ "hello\n" ] true
 * ```
 */
export class ServedConnection {
  /** The address of who connected; empty for one by a Unix socket. */
  readonly from: string;
  readonly #stream: Stream;
  readonly #endOther: (() => void) | undefined;
  readonly #over = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #isOver = false;
  #isClosed = false;
  /** Reads and writes that are under way. */
  #underWay = 0;
  #waiting = 0;
  #lastWrite: Promise<unknown> = Promise.resolve();

  /**
   * @param stream The connection; nobody else uses it from now on.
   * @param options Whose it is.
   */
  constructor(stream: Stream, { from, endOther }: ServedOptions) {
    this.#stream = stream;
    this.from = from;
    this.#endOther = endOther;
  }

  /** Whether it was ended: nothing can be read or written any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Fulfilled when it was ended. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /**
   * Fulfilled when nothing of it is left. That may be later: what the runtime has begun on it ends
   * in some cases only when the other side goes.
   */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Bytes that were written and not taken yet. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Waits for the next bytes; `null` at the end, or when it was ended. */
  read(): Promise<Uint8Array | null> {
    const buffer = new Uint8Array(READ_BYTES);
    return this.#unlessOver(null, async () => {
      const count = await this.#stream.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    });
  }

  /**
   * Writes behind what was written before.
   *
   * @param what Text or bytes, all of it.
   * @returns Whether all was taken; if not it is over.
   */
  write(what: string | Uint8Array): Promise<boolean> {
    const bytes = typeof what === "string" ? new TextEncoder().encode(what) : what;
    this.#waiting += bytes.length;
    const before = this.#lastWrite;
    return this.#lastWrite = this.#unlessOver(false, async () => {
      await before;
      for (let at = 0; at < bytes.length;) {
        if (this.#isOver) return false;
        at += await this.#stream.write(bytes.subarray(at));
      }
      this.#waiting -= bytes.length;
      return true;
    });
  }

  /** Throws away what still comes; fulfilled when nothing comes any more. */
  async discard(): Promise<void> {
    let left = LINGER_BYTES_MAX;
    for (let bytes; left > 0 && (bytes = await this.read()) !== null;) {
      left -= Math.max(PIECE_BYTES_MIN, bytes.length);
    }
    if (left <= 0) this.destroy();
  }

  /**
   * Ends it behind what was written: the other side gets all of that, if it takes it.
   *
   * @param discarding What {@linkcode ServedConnection.discard} gave, if that was called.
   */
  async end(discarding?: Promise<void>): Promise<void> {
    if (!await this.#lastWrite.then(() => !this.#isOver)) return;
    const limit = setTimeout(() => this.destroy(), LINGER_MS);
    // Closed at once with bytes unread it would be reset, and the answer lost with it.
    await this.#unlessOver(undefined, () => this.#stream.closeWrite());
    await (discarding ?? this.discard());
    clearTimeout(limit);
    this.destroy();
  }

  /** Ends it now. */
  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over.resolve();
    this.#endOther?.();
    if (this.#endOther === undefined) {
      // With that the other side hears of it though a read is under way (see ami/transport.ts).
      this.#run(() => this.#stream.closeWrite()).catch(() => {});
      this.#close();
    }
    this.#settle();
  }

  async #unlessOver<T>(otherwise: T, act: () => Promise<T>): Promise<T> {
    if (this.#isOver) return otherwise;
    const acting = this.#run(act).catch(() => {
      this.destroy();
      return otherwise;
    });
    return await Promise.race([acting, this.over.then(() => otherwise)]);
  }

  async #run<T>(act: () => Promise<T>): Promise<T> {
    this.#underWay++;
    try {
      return await act();
    } finally {
      this.#underWay--;
      this.#settle();
    }
  }

  #settle(): void {
    if (!this.#isOver || this.#underWay > 0) return;
    this.#close();
    this.#gone.resolve();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#stream.close();
    } catch {
      // It is closed already.
    }
  }
}
