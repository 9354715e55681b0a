/**
 * What a program writes, read piece by piece into one and the same memory.
 *
 * @module
 */

/** Largest piece, in bytes: what a pipe holds. */
const PIECE_BYTES = 65_536;

/**
 * Reads a stream to its end. A stream that is read otherwise makes new memory of this size for each
 * piece, however small that is, and nft writes 4 KiB at a time: the listing of 200,000 blocks left
 * 400 MB behind, which V8 takes its time to collect because they are not in its heap.
 *
 * @param reader The stream's reader; whoever has it can cancel it.
 * @param take Takes each piece, which is only good until it returns.
 *
 * @example
 * ```ts
 * import { readPieces } from "./output_pieces.ts";
 *
 * const stream = new Blob(["abc"]).stream();
 * let length = 0;
 * await readPieces(stream.getReader({ mode: "byob" }), (piece) => length += piece.length);
 * length; // 3
 * ```
 */
export async function readPieces(
  reader: ReadableStreamBYOBReader,
  take: (piece: Uint8Array) => void,
): Promise<void> {
  let room = new Uint8Array(PIECE_BYTES);
  for (;;) {
    const { done, value } = await reader.read(room);
    if (value !== undefined && value.length > 0) take(value);
    if (done) return;
    room = new Uint8Array(value.buffer);
  }
}
