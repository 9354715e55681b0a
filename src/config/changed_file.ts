/**
 * Whether a file has changed since it was read.
 *
 * @module
 */

/**
 * Looks at a file: it is to be read when it is other than before and has rested since the last
 * look, so that an editor that writes it anew, or puts another one in its place, is let finish.
 * Looking costs one call of the system, and works on every file system.
 *
 * @example
 * ```ts
 * import { ChangedFile } from "./changed_file.ts";
 *
 * const file = new ChangedFile("/etc/hosts");
 * console.log(file.hasChanged()); // false
 * ```
 */
export class ChangedFile {
  readonly #path: string;
  /** What the file was like when it was read, and at the last look. */
  #read: string;
  #seen: string;

  /**
   * It is read now.
   *
   * @param path Its absolute path.
   */
  constructor(path: string) {
    this.#path = path;
    this.#read = this.#seen = likenessOf(path);
  }

  /** Looks; whether it is to be read again, now. */
  hasChanged(): boolean {
    const now = likenessOf(this.#path);
    const rests = now === this.#seen;
    this.#seen = now;
    if (now === this.#read || !rests) return false;
    this.#read = now;
    return true;
  }
}

/** A text that is another one when the file is another one. */
function likenessOf(path: string): string {
  try {
    const { ino, size, mtime, ctime } = Deno.statSync(path);
    return `${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}`;
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}
