/**
 * The file that `trust_file` names: who is never blocked, one entry a line.
 *
 * @module
 */

import { readBytes, whyNotRead } from "./file.ts";
import { readTrustEntry } from "./trust_entry.ts";

/** Most entries of `trust`, and most of the file; some milliseconds to put into a set. */
export const TRUST_MAX = 16_384;

/** Most names in all: each is looked up once a minute. */
export const TRUST_NAMES_MAX = 128;

/** Longest file, in bytes: so many entries, each with a comment. */
const TRUST_FILE_BYTES_MAX = 1_048_576;

/** Most broken lines that are told one by one. */
const PROBLEMS_MAX = 20;

/** What the file says. */
export interface TrustFileContent {
  /** Canonical targets, each once. */
  readonly targets: readonly string[];
  /** Names, each once. */
  readonly names: readonly string[];
  /** What is wrong, as `FILE:LINE: message`; the other lines hold. */
  readonly problems: readonly string[];
  /** What somebody should look at, in the same form. */
  readonly doubts: readonly string[];
}

/** The file, or why there is none. */
type TrustFileReading =
  | { readonly content: TrustFileContent; readonly why?: undefined }
  | { readonly content?: undefined; readonly isMissing: boolean; readonly why: string };

/**
 * Reads the text of such a file. An entry is an address, a network or a name; a line that begins
 * with `#` or `;` is a comment, and so is what follows one of these after white space.
 *
 * @param text The text.
 * @param file Its name, for the messages.
 *
 * @example
 * ```ts
 * import { parseTrustFile } from "./trust_file.ts";
 *
 * const text = "192.0.2.7 # door\noffice.example\n1.2.3";
 * const { targets, names, problems } = parseTrustFile(text, "t");
 * // ["192.0.2.7"], ["office.example"], ['t:3: "1.2.3" is not an address or network']
 * ```
 */
export function parseTrustFile(text: string, file: string): TrustFileContent {
  const targets = new Set<string>();
  const names = new Set<string>();
  const problems: string[] = [];
  const doubts: string[] = [];
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  lines.forEach((line, index) => {
    const value = line.replace(/(?:^|[ \t])[#;].*$/, "").trim();
    if (value === "") return;
    const place = `${file}:${index + 1}`;
    if (targets.size + names.size >= TRUST_MAX) {
      problems.push(`${place}: more than ${TRUST_MAX} entries; join addresses to networks`);
      return;
    }
    const entry = readTrustEntry(value);
    if (entry.kind === "bad") problems.push(`${place}: ${entry.message}`);
    else if (entry.kind === "nobody") doubts.push(`${place}: ${entry.message}`);
    else if (entry.kind === "name") names.add(entry.name);
    else {
      targets.add(entry.target);
      if (entry.doubt !== undefined) doubts.push(`${place}: ${entry.doubt}`);
    }
  });
  return {
    targets: [...targets],
    names: [...names],
    problems: bounded(problems, file),
    doubts: bounded(doubts, file),
  };
}

/**
 * Reads the file.
 *
 * @param path Its absolute path; nothing but a regular file is read.
 */
export function readTrustFile(path: string): TrustFileReading {
  try {
    if (!Deno.statSync(path).isFile) {
      return { isMissing: false, why: `${path} is not a file` };
    }
    const bytes = readBytes(path, TRUST_FILE_BYTES_MAX + 1);
    if (bytes.length > TRUST_FILE_BYTES_MAX) {
      return { isMissing: false, why: `${path} is longer than ${TRUST_FILE_BYTES_MAX} bytes` };
    }
    return { content: parseTrustFile(new TextDecoder().decode(bytes), path) };
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound;
    return { isMissing, why: `${path}: ${whyNotRead(error)}` };
  }
}

function bounded(messages: string[], file: string): string[] {
  const more = messages.length - PROBLEMS_MAX;
  if (more <= 0) return messages;
  return [...messages.slice(0, PROBLEMS_MAX), `${file}: ${more} more such lines`];
}
