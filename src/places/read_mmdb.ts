/**
 * Reads a file of places, and says in words why it could not be.
 *
 * @module
 */

import type { Mmdb } from "./mmdb.ts";

/** Largest file that is read, in bytes: all of it stays in memory. */
const MMDB_BYTES_MAX = 256 * 1024 * 1024;

/** Where the packages and the updater of MaxMind keep their files. */
export const GEO_FOLDERS = ["/var/lib/GeoIP", "/usr/share/GeoIP"] as const;

/** A file, or why there is none. */
type MmdbReading =
  | { readonly file: Mmdb; readonly trouble?: undefined }
  | {
    readonly file?: undefined;
    readonly trouble: { readonly message: string; readonly advice: string };
  };

/**
 * Reads a file.
 *
 * @param path Its absolute path; nothing but a regular file is read.
 */
export async function readMmdb(path: string): Promise<MmdbReading> {
  const bad = (message: string, advice: string): MmdbReading => ({
    trouble: { message: `${path} ${message}`, advice },
  });
  try {
    const { isFile, size } = await Deno.stat(path);
    if (!isFile) return bad("is not a file", "name the file in it that ends in .mmdb");
    if (size > MMDB_BYTES_MAX) {
      return bad(
        `is larger than ${MMDB_BYTES_MAX / 1024 / 1024} MB, and all of it would stay in memory`,
        "take a file of countries, or of networks (ASN), instead of one of cities",
      );
    }
    // Most do without: modules that are not there need no memory.
    const [bytes, { Mmdb, MmdbError }] = await Promise.all([
      readWhole(path, size),
      import("./mmdb.ts"),
    ]);
    try {
      return { file: new Mmdb(bytes) };
    } catch (error) {
      if (!(error instanceof MmdbError)) throw error;
      return bad(
        error.message,
        "get it once more, and put it in place under its name when it is whole (mv)",
      );
    }
  } catch (error) {
    return bad(...whyNot(error));
  }
}

/** Reads a file of which the size is known: into one piece of memory, which is not made twice. */
async function readWhole(path: string, size: number): Promise<Uint8Array<ArrayBuffer>> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const read = await file.read(bytes.subarray(length));
    if (read === null) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

function whyNot(error: unknown): [message: string, advice: string] {
  if (error instanceof Deno.errors.NotFound) {
    return ["is not there", "put it there, or correct the path; it is read then by itself"];
  }
  if (error instanceof Deno.errors.NotCapable) {
    return [
      "may not be read by this build of Ampere",
      `put it, or a link to it, into ${GEO_FOLDERS[0]}, ${GEO_FOLDERS[1]}, ` +
      "/etc/ampere or /var/lib/ampere, or compile Ampere with " +
      "`deno task compile -- --allow-path=DIRECTORY`",
    ];
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return [
      "may not be read by this user",
      "the packaged daemon is root without root's powers: chown root it, or chmod a+r, and let its " +
      "folders be entered (chmod a+x)",
    ];
  }
  const text = error instanceof Error ? error.message : String(error);
  return [`cannot be read: ${text}`, "see whether others can read it; dmesg tells of disks"];
}
