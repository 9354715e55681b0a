/**
 * The body of an answer by HTTP/1.1: as long as it says, in pieces or up to the end, compressed or
 * not (RFC 9112, section 6).
 *
 * @module
 */

import { FeedError } from "./entries.ts";

/** Longest line between two pieces, in bytes. */
const PIECE_LINE_MAX = 1_024;

const LF = 10;

/** What a body is read of. */
interface BodyOptions {
  readonly headers: ReadonlyMap<string, string>;
  /** What came with the headers. */
  readonly rest: Uint8Array;
  /** Reads on; `null` at the end. */
  readonly read: () => Promise<Uint8Array | null>;
  /** Most bytes, as they come and without compression. */
  readonly most: number;
  /** There is none, whatever the headers say. */
  readonly isEmpty: boolean;
}

/** Gives the bytes of a body; throws {@linkcode FeedError} when it is not all of it. */
export class BodyReader implements AsyncIterable<Uint8Array> {
  readonly #options: BodyOptions;
  #rest: Uint8Array;

  /** @param options See {@linkcode BodyOptions}. */
  constructor(options: BodyOptions) {
    this.#options = options;
    this.#rest = options.rest;
  }

  /** The bytes, without compression. */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const coding = (this.#options.headers.get("content-encoding") ?? "identity").toLowerCase();
    const raw = this.#bounded(this.#raw(), "");
    if (coding === "identity" || coding === "") return raw;
    if (coding !== "gzip" && coding !== "x-gzip") {
      throw new FeedError("the server uses a compression that was not asked for");
    }
    return this.#bounded(inflated(raw), " without compression");
  }

  async *#bounded(pieces: AsyncIterable<Uint8Array>, how: string): AsyncGenerator<Uint8Array> {
    const { most } = this.#options;
    let length = 0;
    for await (const piece of pieces) {
      length += piece.length;
      if (length > most) throw new FeedError(`it is longer than ${most} bytes${how}`);
      yield piece;
    }
  }

  async *#raw(): AsyncGenerator<Uint8Array> {
    const { headers, isEmpty, most } = this.#options;
    if (isEmpty) return;
    const coding = headers.get("transfer-encoding")?.toLowerCase();
    if (coding !== undefined) {
      if (coding !== "chunked") throw new FeedError("the server uses an unknown transfer coding");
      return yield* this.#chunks();
    }
    const length = headers.get("content-length");
    if (length === undefined) {
      for (let piece = await this.#next(); piece !== null; piece = await this.#next()) yield piece;
      return;
    }
    if (!/^[0-9]{1,15}$/.test(length)) throw new FeedError("the server tells no length");
    if (Number(length) > most) throw new FeedError(`it is longer than ${most} bytes`);
    yield* this.#take(Number(length), `of ${length} bytes`);
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const [, size] = /^([0-9a-fA-F]{1,8})(?:[ \t]*;.*)?$/.exec(await this.#line()) ?? [];
      if (size === undefined) throw new FeedError("the server's pieces are not right");
      const length = parseInt(size, 16);
      if (length === 0) return;
      yield* this.#take(length, "of a piece");
      if (await this.#line() !== "") throw new FeedError("the server's pieces are not right");
    }
  }

  /** Gives so many bytes. */
  async *#take(length: number, of: string): AsyncGenerator<Uint8Array> {
    let left = length;
    while (left > 0) {
      const piece = await this.#next();
      if (piece === null) throw new FeedError(`it was cut off: ${left} bytes ${of} are missing`);
      const part = piece.subarray(0, left);
      this.#rest = piece.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  async #line(): Promise<string> {
    let line = "";
    for (;;) {
      const piece = await this.#next();
      if (piece === null) throw new FeedError("it was cut off: its end is missing");
      const end = piece.indexOf(LF);
      line += new TextDecoder("latin1").decode(end < 0 ? piece : piece.subarray(0, end));
      if (line.length > PIECE_LINE_MAX) throw new FeedError("the server's pieces are not right");
      if (end < 0) continue;
      this.#rest = piece.subarray(end + 1);
      return line.replace(/\r$/, "");
    }
  }

  async #next(): Promise<Uint8Array | null> {
    if (this.#rest.length === 0) return await this.#options.read();
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    return rest;
  }
}

/** Takes the compression away. */
async function* inflated(pieces: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(value.slice());
    },
    cancel: async () => void await pieces.return(undefined),
  });
  try {
    for await (const piece of source.pipeThrough(new DecompressionStream("gzip"))) yield piece;
  } catch (error) {
    if (error instanceof FeedError) throw error;
    throw new FeedError("its compression is damaged, or it was cut off");
  }
}
