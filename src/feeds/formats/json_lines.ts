/**
 * An object of JSON in each line, as Spamhaus writes its DROP lists: `{"cidr":"192.0.2.0/24",…}`,
 * and at the end one that tells how many there are: `{"type":"metadata","records":1,…}`.
 *
 * @module
 */

import { type EntryReader, FeedError } from "../entries.ts";
import type { LineReader } from "./format.ts";

/** Reads the member `cidr` (or `ip`) of each line. */
export class JsonLinesReader implements LineReader {
  readonly #entries: EntryReader;
  #count = 0;
  #promised: number | undefined;

  /** @param entries Takes the entries. */
  constructor(entries: EntryReader) {
    this.#entries = entries;
  }

  /** See {@linkcode LineReader.take}. */
  take(line: string, number: number): void {
    const text = line.trim();
    if (text === "") return;
    const value = objectIn(text);
    if (value === undefined) return this.#entries.refuse(text, number);
    if (value.type === "metadata") {
      if (Number.isSafeInteger(value.records)) this.#promised = value.records as number;
      return;
    }
    const entry = value.cidr ?? value.ip;
    if (typeof entry !== "string") return this.#entries.refuse(text, number);
    this.#count++;
    this.#entries.take(entry, number);
  }

  /** See {@linkcode LineReader.finish}. */
  finish(): void {
    if (this.#promised === undefined || this.#promised === this.#count) return;
    throw new FeedError(
      `it says that it has ${this.#promised} entries, but ${this.#count} are there`,
    );
  }
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}
