/**
 * The bytes of a database as its last commit left them: the file with its write-ahead log laid over
 * it, read without SQLite. For a file that SQLite cannot open: damaged, or on a read-only file
 * system.
 *
 * The layout is that of https://www.sqlite.org/fileformat2.html, sections 1.3 (header) and 4
 * (write-ahead log).
 *
 * @module
 */

/** First bytes of every SQLite 3 file. */
const MAGIC = new TextEncoder().encode("SQLite format 3\0");

/** Size of the header on the first page, in bytes. */
export const HEADER_BYTES = 100;

/** Page size that SQLite chooses for a new file, in bytes. */
export const PAGE_BYTES = 4_096;

/** Most bytes read of a file: 2.5 million blocks. */
const IMAGE_BYTES_MAX = 256 * 1024 * 1024;

/** Bytes read at once; of a device that reports errors so much is lost around each. */
const CHUNK_BYTES = 64 * 1024;

const WAL_HEADER_BYTES = 32;
const WAL_FRAME_HEADER_BYTES = 24;

/** What the beginning of a file says about it. */
type FileKind = "absent" | "empty" | "sqlite" | "zeroed" | "berkeley" | "unknown";

/**
 * Looks at the beginning of a file. Never call it while this process has the file open through
 * SQLite: closing the handle would drop SQLite's locks (https://www.sqlite.org/howtocorrupt.html,
 * section 2.2).
 *
 * @param path The file.
 * @returns `zeroed` is a file that begins with 100 zero bytes: what a power failure leaves of a
 *   database.
 * @throws the System's error if it is there and cannot be read.
 */
export function fileKind(path: string): FileKind {
  let head: Uint8Array;
  try {
    head = readBytes(path, HEADER_BYTES);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    throw error;
  }
  if (head.length === 0) return "empty";
  if (MAGIC.subarray(0, head.length).every((byte, at) => byte === head[at])) return "sqlite";
  if (head.every((byte) => byte === 0)) return "zeroed";
  return isBerkeley(head) ? "berkeley" : "unknown";
}

/**
 * The magic numbers of Berkeley DB's B-tree and hash, at byte 12 in the order of the machine (its
 * db_page.h).
 */
const BERKELEY_MAGICS: readonly number[] = [0x053162, 0x061561];

function isBerkeley(head: Uint8Array): boolean {
  if (head.length < 16) return false;
  const view = viewOf(head);
  return BERKELEY_MAGICS.some((magic) =>
    view.getUint32(12, true) === magic || view.getUint32(12, false) === magic
  );
}

/**
 * Reads a database with its write-ahead log. What cannot be read is zero. The same care as for
 * {@linkcode fileKind}.
 *
 * @param path The database.
 * @returns The bytes; at most {@linkcode IMAGE_BYTES_MAX}.
 * @throws the System's error if the file cannot be opened.
 */
export function readImage(path: string): Uint8Array<ArrayBuffer> {
  const main = readBytes(path, IMAGE_BYTES_MAX);
  let wal: Uint8Array<ArrayBuffer>;
  try {
    wal = readBytes(`${path}-wal`, IMAGE_BYTES_MAX);
  } catch {
    return main;
  }
  return applyWal(main, wal);
}

/**
 * The page size of a database.
 *
 * @param image Its bytes.
 * @returns Bytes; the default of SQLite when the header is damaged.
 */
export function pageSizeOf(image: Uint8Array): number {
  return validPageSize(image.length < 18 ? 0 : viewOf(image).getUint16(16)) ?? PAGE_BYTES;
}

function validPageSize(size: number): number | undefined {
  const bytes = size === 1 ? 65_536 : size;
  return bytes >= 512 && bytes <= 65_536 && (bytes & (bytes - 1)) === 0 ? bytes : undefined;
}

/**
 * Lays the committed frames of a write-ahead log over the database.
 *
 * @param main Bytes of the database.
 * @param wal Bytes of the log.
 * @returns The bytes of the database after the last complete commit; `main` itself if the log has
 *   none.
 */
export function applyWal(
  main: Uint8Array<ArrayBuffer>,
  wal: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const commits = committedFrames(wal);
  if (commits.frames.length === 0) return main;
  const size = Math.min(commits.pages * commits.pageSize, IMAGE_BYTES_MAX);
  const image = new Uint8Array(size);
  image.set(main.subarray(0, size));
  for (const { page, start } of commits.frames) {
    const at = (page - 1) * commits.pageSize;
    if (at + commits.pageSize <= size) {
      image.set(wal.subarray(start, start + commits.pageSize), at);
    }
  }
  return image;
}

interface CommittedFrames {
  readonly pageSize: number;
  /** Pages of the database after the last commit. */
  readonly pages: number;
  /** Page number, from 1, and where its bytes begin in the log. */
  readonly frames: readonly { readonly page: number; readonly start: number }[];
}

/**
 * The frames up to the last commit whose checksum is right; each sums up all that stand before it.
 */
function committedFrames(wal: Uint8Array): CommittedFrames {
  const none = { pageSize: PAGE_BYTES, pages: 0, frames: [] };
  if (wal.length < WAL_HEADER_BYTES) return none;
  const view = viewOf(wal);
  const magic = view.getUint32(0);
  const pageSize = validPageSize(view.getUint32(8));
  if ((magic & 0xfffffffe) !== 0x377f0682 || pageSize === undefined) return none;
  const sum = new WalChecksum(view, (magic & 1) === 0);
  sum.add(0, 24);
  if (!sum.equals(24)) return none;

  const frames: { page: number; start: number }[] = [];
  let pages = 0;
  let committed = 0;
  const step = WAL_FRAME_HEADER_BYTES + pageSize;
  for (let at = WAL_HEADER_BYTES; at + step <= wal.length; at += step) {
    if (view.getUint32(at + 8) !== view.getUint32(16)) break; // salt: a frame of an older log
    if (view.getUint32(at + 12) !== view.getUint32(20)) break;
    sum.add(at, 8);
    sum.add(at + WAL_FRAME_HEADER_BYTES, pageSize);
    if (!sum.equals(at + 16)) break;
    frames.push({ page: view.getUint32(at), start: at + WAL_FRAME_HEADER_BYTES });
    const pagesAfterCommit = view.getUint32(at + 4);
    if (pagesAfterCommit > 0) {
      pages = pagesAfterCommit;
      committed = frames.length;
    }
  }
  return { pageSize, pages, frames: frames.slice(0, committed) };
}

/** The running checksum of a write-ahead log (file format, section 4.2). */
class WalChecksum {
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(view: DataView, littleEndian: boolean) {
    this.#view = view;
    this.#littleEndian = littleEndian;
  }

  add(start: number, length: number): void {
    for (let at = start; at < start + length; at += 8) {
      this.#first = (this.#first + this.#view.getUint32(at, this.#littleEndian) + this.#second) >>>
        0;
      this.#second =
        (this.#second + this.#view.getUint32(at + 4, this.#littleEndian) + this.#first) >>> 0;
    }
  }

  equals(at: number): boolean {
    return this.#view.getUint32(at) === this.#first &&
      this.#view.getUint32(at + 4) === this.#second;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads the beginning of a file; chunks that the device cannot read stay zero. */
function readBytes(path: string, max: number): Uint8Array<ArrayBuffer> {
  using file = Deno.openSync(path);
  const size = Math.min(file.statSync().size, max);
  const bytes = new Uint8Array(size);
  let at = 0;
  while (at < size) {
    const end = Math.min(at + CHUNK_BYTES, size);
    try {
      const count = file.readSync(bytes.subarray(at, end));
      if (count === null) break;
      at += count;
    } catch {
      at = end;
      file.seekSync(at, Deno.SeekMode.Start);
    }
  }
  return bytes;
}
