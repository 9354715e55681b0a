/**
 * The file with trusted entries while the daemon runs: read again when it has changed.
 *
 * @module
 */

import { ChangedFile } from "../config/changed_file.ts";
import { readTrustFile, TRUST_MAX, type TrustFileContent } from "../config/trust_file.ts";
import type { Log } from "../log.ts";
import { counted } from "../text/table.ts";

/** Reads the file, and again when it has changed; see {@linkcode ChangedFile}. */
export class WatchedTrustFile {
  readonly #log: Pick<Log, "info" | "warn">;
  #path: string | undefined;
  #targets: readonly string[] = [];
  #names: readonly string[] = [];
  #changed: ChangedFile | undefined;
  #trouble: string | undefined;

  /**
   * No file yet.
   *
   * @param log Takes what is wrong with it, and what it says.
   */
  constructor(log: Pick<Log, "info" | "warn">) {
    this.#log = log;
  }

  /** The file; `undefined` if there is none. */
  get path(): string | undefined {
    return this.#path;
  }

  /** Canonical targets that are in force. */
  get targets(): readonly string[] {
    return this.#targets;
  }

  /** Names that are in force. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** What is wrong with the file now; `undefined` if nothing is. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /**
   * Reads a file at once.
   *
   * @param path Its absolute path; `undefined` for none.
   */
  open(path: string | undefined): void {
    if (path !== this.#path) {
      this.#targets = [];
      this.#names = [];
      this.#trouble = undefined;
    }
    this.#path = path;
    if (path === undefined) return;
    this.#changed = new ChangedFile(path);
    this.#take(path);
  }

  /**
   * Looks whether it has changed.
   *
   * @returns Whether it was read again.
   */
  look(): boolean {
    const path = this.#path;
    if (path === undefined || !this.#changed?.hasChanged()) return false;
    this.#take(path);
    return true;
  }

  #take(path: string): void {
    const { content, why } = readTrustFile(path);
    if (content === undefined) {
      this.#tellTrouble(
        why,
        `trust_file: ${why}. ` +
          (this.#targets.length + this.#names.length === 0
            ? "It is waited for; until then nobody is trusted for it"
            : "It is waited for; what it said before stays trusted"),
      );
      return;
    }
    for (const doubt of content.doubts) this.#log.warn(doubt);
    if (content.problems.length === 0) {
      this.#trouble = undefined;
      this.#targets = content.targets;
      this.#names = content.names;
      this.#log.info(
        `trust_file: ${path} was read: ${
          counted(this.#targets.length, "address or network", "addresses and networks")
        }, ${counted(this.#names.length, "name")}`,
      );
      return;
    }
    this.#takeBroken(content);
  }

  /** Whoever was trusted before stays so: the broken line may be theirs. */
  #takeBroken({ targets, names, problems }: TrustFileContent): void {
    const hadBefore = this.#targets.length + this.#names.length > 0;
    this.#targets = [...new Set([...targets, ...this.#targets])].slice(0, TRUST_MAX);
    this.#names = [...new Set([...names, ...this.#names])];
    for (const problem of problems) this.#log.warn(problem);
    this.#trouble = problems[0];
    this.#log.warn(
      "trust_file: such lines are left out, the others are in force" +
        (hadBefore ? ", and so is what stood there before, until the file is right" : "") +
        ". Fix: correct them; the file is read again by itself",
    );
  }

  #tellTrouble(why: string, message: string): void {
    if (why !== this.#trouble) this.#log.warn(message);
    this.#trouble = why;
  }
}
