/**
 * Small lists in files beside the database, as JSON.
 *
 * @module
 */

import { writeWholeFile } from "../text/whole_file.ts";

/**
 * Reads a list. A file that is missing, too long or wrong holds none.
 *
 * @param path The file.
 * @param bytesMax Longest file that is read, in bytes.
 * @param isItem Tells what belongs in it; all else is left out.
 */
export function readKeptList<Item>(
  path: string,
  bytesMax: number,
  isItem: (value: unknown) => value is Item,
): Item[] {
  try {
    const { isFile, size } = Deno.statSync(path);
    if (!isFile || size > bytesMax) return [];
    const saved: unknown = JSON.parse(Deno.readTextFileSync(path));
    return Array.isArray(saved) ? saved.filter(isItem) : [];
  } catch {
    return [];
  }
}

/**
 * Writes a list: there is always a whole file.
 *
 * @param path The file.
 * @param list What is to be read again.
 * @throws {Error} Deno's, when it cannot be written.
 */
export function writeKeptList(path: string, list: readonly unknown[]): void {
  writeWholeFile(path, JSON.stringify(list));
}
