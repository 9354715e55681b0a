/**
 * Where the copies of lists are.
 *
 * @module
 */

import { dirname } from "node:path";

/**
 * The folder of an Ampere's copies: of its own, as its database is.
 *
 * @param database The path of the database.
 */
export function copiesFolder(database: string): string {
  return `${database}-feeds`;
}

/**
 * Takes over copies of lists from the folder that all databases beside this one shared once. What
 * fails is fetched anew.
 *
 * @param database The path of the database.
 * @param names The names of the lists.
 */
export function adoptCopies(database: string, names: readonly string[]): void {
  const shared = `${dirname(database)}/feeds`;
  const own = copiesFolder(database);
  for (const name of names) {
    try {
      if (!Deno.lstatSync(`${shared}/${name}`).isFile || isThere(`${own}/${name}`)) continue;
      Deno.mkdirSync(own, { recursive: true, mode: 0o700 });
      // It may be another's by the same name: by its URL it is known whose it is.
      Deno.renameSync(`${shared}/${name}`, `${own}/${name}`);
    } catch {
      // It is not there, or cannot be moved.
    }
  }
  try {
    Deno.removeSync(shared);
  } catch {
    // There is none, or it is not empty.
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch {
    return false;
  }
}
