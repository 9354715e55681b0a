/**
 * Plain text: an address or network in each line, as VoIPBL, blocklist.de and most others write
 * their lists, and as people write their own.
 *
 * @module
 */

import type { EntryReader } from "../entries.ts";
import type { LineReader } from "./format.ts";

/** An entry, and what may stand behind it: white space and a comment. */
const ENTRY = /^([0-9A-Fa-f.:/-]+)[ \t]*(?:[#;,].*)?$/;

/**
 * Reads a line `ADDRESS[/PREFIX]`; empty ones and those that begin with `#` or `;` are passed over.
 */
export class TextReader implements LineReader {
  readonly #entries: EntryReader;

  /** @param entries Takes the entries. */
  constructor(entries: EntryReader) {
    this.#entries = entries;
  }

  /** See {@linkcode LineReader.take}. */
  take(line: string, number: number): void {
    const text = line.trim();
    if (text === "" || text.startsWith("#") || text.startsWith(";")) return;
    const [, entry] = ENTRY.exec(text) ?? [];
    if (entry === undefined) this.#entries.refuse(text, number);
    else this.#entries.take(entry, number);
  }

  /** Nothing tells the end of such a list. */
  finish(): void {}
}
