/**
 * A file of places while the daemon runs: read again when it has changed.
 *
 * @module
 */

import { ChangedFile } from "../config/changed_file.ts";
import type { Mmdb } from "./mmdb.ts";
import { readMmdb } from "./read_mmdb.ts";

/** What is wrong with a file. */
export interface MmdbTrouble {
  /** What, with the name of the file. */
  readonly message: string;
  /** What mends it. */
  readonly advice: string;
}

/**
 * Holds a file as it was read last. A new one that can't be used changes nothing: who was known
 * before stays known.
 *
 * It is looked at as {@linkcode ChangedFile} does, and read in the way of nothing, though what is
 * made of it then takes some milliseconds.
 */
export class WatchedMmdb {
  /** Its absolute path. */
  readonly path: string;
  readonly #fits: (file: Mmdb) => string | undefined;
  #file: Mmdb | undefined;
  #changed: ChangedFile | undefined;
  #trouble: MmdbTrouble | undefined;
  #isReading = false;

  /**
   * Nothing is read yet.
   *
   * @param path Its absolute path.
   * @param fits Says why a file that was read is of no use, `undefined` if it is.
   */
  constructor(path: string, fits: (file: Mmdb) => string | undefined) {
    this.path = path;
    this.#fits = fits;
  }

  /** What was read last; `undefined`: nothing yet. */
  get file(): Mmdb | undefined {
    return this.#file;
  }

  /** What is wrong with the file that is there now; `undefined` if nothing is. */
  get trouble(): MmdbTrouble | undefined {
    return this.#trouble;
  }

  /**
   * Reads it at once.
   *
   * @returns Whether it can be used.
   */
  async open(): Promise<boolean> {
    this.#changed = new ChangedFile(this.path);
    return await this.#take();
  }

  /**
   * Looks whether it has changed, and reads it then.
   *
   * @returns Whether another file is in use now, or there is other trouble than before.
   */
  async look(): Promise<boolean> {
    if (this.#isReading || !this.#changed?.hasChanged()) return false;
    const before = this.#trouble?.message;
    return await this.#take() || this.#trouble?.message !== before;
  }

  async #take(): Promise<boolean> {
    this.#isReading = true;
    try {
      const read = await readMmdb(this.path);
      const unfit = read.file === undefined ? undefined : this.#fits(read.file);
      if (read.file !== undefined && unfit === undefined) {
        this.#file = read.file;
        this.#trouble = undefined;
        return true;
      }
      this.#trouble = read.file === undefined ? read.trouble : {
        message: `${this.path} ${unfit}`,
        advice: "name a file of the other kind, or leave the key out",
      };
      return false;
    } finally {
      this.#isReading = false;
    }
  }
}
