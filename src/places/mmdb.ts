/**
 * One file in the format of MaxMind (`.mmdb`), read by the package mmdb-lib.
 *
 * The package believes whatever it is given. So what it would answer with nonsense is kept from it
 * here: a file that is none, one that was cut off, and IPv6 addresses for a file of IPv4.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Reader } from "mmdb-lib";

/** The version of the format that is known (https://maxmind.github.io/MaxMind-DB/). */
const FORMAT = 2;

/** Bytes of zeros between the tree and the records. */
const SEPARATOR_BYTES = 16;

/** Longest text of the file's own that is repeated, in characters. */
const TYPE_CHARACTERS_MAX = 60;

/** The file can't be used; the message says why, without its name. */
export class MmdbError extends Error {
  override readonly name = "MmdbError";
}

/** What a file says of itself. */
interface MmdbFacts {
  /** What it calls itself, such as `GeoLite2-Country`; as its maker wrote it. */
  readonly type: string;
  /** When it was made, in milliseconds since 1970. */
  readonly builtAt: number;
  /** Whether it has IPv6 addresses. */
  readonly hasIpv6: boolean;
  /** Bytes of the file, which all stay in memory. */
  readonly bytes: number;
}

/**
 * A file that was read.
 *
 * @example
 * ```ts ignore
 * import { Mmdb } from "./mmdb.ts";
 *
 * const file = new Mmdb(Deno.readFileSync("/var/lib/GeoIP/GeoLite2-Country.mmdb"));
 * console.log(file.get("192.0.2.7")); // { country: { iso_code: "DE", … }, … }
 * ```
 */
export class Mmdb {
  readonly #bytes: Buffer;
  readonly #reader: Reader<never>;
  readonly facts: MmdbFacts;

  /**
   * Reads it.
   *
   * @param bytes The whole file; must not be changed from now on.
   * @throws {MmdbError} If it is none, or was cut off.
   */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    try {
      this.#reader = new Reader(this.#bytes);
    } catch {
      throw new MmdbError(whatElse(bytes));
    }
    const { metadata } = this.#reader;
    const { binaryFormatMajorVersion, ipVersion, nodeCount, searchTreeSize } = metadata;
    if (binaryFormatMajorVersion !== FORMAT || (ipVersion !== 4 && ipVersion !== 6)) {
      throw new MmdbError("is in a version of the format that is not known");
    }
    if (
      !Number.isSafeInteger(nodeCount) || nodeCount < 1 ||
      searchTreeSize + SEPARATOR_BYTES > bytes.length
    ) throw new MmdbError("was cut off or damaged: its tree does not fit into it");
    const builtAt = metadata.buildEpoch.getTime();
    this.facts = {
      type: String(metadata.databaseType).slice(0, TYPE_CHARACTERS_MAX),
      builtAt: Number.isNaN(builtAt) ? 0 : builtAt,
      hasIpv6: ipVersion === 6,
      bytes: bytes.length,
    };
  }

  /**
   * What the file has on an address.
   *
   * @param address Canonical text.
   * @returns Whatever its maker wrote; `undefined` if it has nothing, or is damaged there.
   */
  get(address: string): unknown {
    // A tree of 32 bits takes the first bits of an IPv6 address for all of it.
    if (!this.facts.hasIpv6 && address.includes(":")) return undefined;
    try {
      return this.#reader.get(address) ?? undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Counts the networks that the file has something on: looks at all of the tree, which takes some
   * hundredths of a second.
   */
  countNetworks(): number {
    const { nodeCount, recordSize } = this.#reader.metadata;
    const bytes = this.#bytes;
    const step = recordSize / 4;
    let count = 0;
    for (let node = 0, at = 0; node < nodeCount; node++, at += step) {
      let left: number;
      let right: number;
      if (recordSize === 24) {
        left = bytes.readUIntBE(at, 3);
        right = bytes.readUIntBE(at + 3, 3);
      } else if (recordSize === 28) {
        const middle = bytes[at + 3]!;
        left = (middle >> 4) * 2 ** 24 + bytes.readUIntBE(at, 3);
        right = (middle & 15) * 2 ** 24 + bytes.readUIntBE(at + 4, 3);
      } else {
        left = bytes.readUInt32BE(at);
        right = bytes.readUInt32BE(at + 4);
      }
      if (left > nodeCount) count++;
      if (right > nodeCount) count++;
    }
    return count;
  }
}

/** What a file seems to be that is no such file. */
function whatElse(bytes: Uint8Array): string {
  const begins = (...head: number[]) => head.every((byte, index) => bytes[index] === byte);
  if (bytes.length === 0) return "is empty";
  if (begins(0x1f, 0x8b)) return "is compressed: unpack it first (gunzip, or tar -xzf)";
  if (begins(0x50, 0x4b)) return "is a ZIP archive: unpack it first (unzip)";
  if (begins(0x3c)) return "is a web page, not the file that was to be downloaded";
  return "is no file in MaxMind's format (.mmdb), or was cut off";
}
