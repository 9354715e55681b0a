/**
 * Moves a damaged database out of the way, so that a person can look at it.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";

/**
 * Most damaged databases that are kept; the oldest are deleted, so that a failing disk does not
 * fill itself up.
 */
export const SET_ASIDE_MAX = 10;

/** Files that belong to a database, by the end of their name. The database itself is first. */
const PARTS = ["", "-wal", "-shm"];

/** Most names that are tried within one second. */
const NAMES_MAX = 100;

/**
 * Renames a database to `DATABASE.corrupt-YYYYMMDDTHHMMSS` (UTC), its write-ahead log with it.
 * Nothing may have it open.
 *
 * @param path The database.
 * @param now Clock value in milliseconds since 1970.
 * @returns The new path; undefined when there is no file.
 * @throws the System's error if it cannot be renamed.
 *
 * @example
 * ```ts
 * import { setAside } from "./set_aside.ts";
 * setAside("/var/lib/ampere/ampere.db", Date.now()); // ….db.corrupt-20261122T161500
 * ```
 */
export function setAside(path: string, now: number): string | undefined {
  const place = freeName(path, now);
  let moved = false;
  for (const part of PARTS) {
    try {
      Deno.renameSync(path + part, place + part);
      moved = true;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  if (!moved) return undefined;
  deleteOldest(path);
  return place;
}

function freeName(path: string, now: number): string {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+Z/g, "");
  const name = `${path}.corrupt-${stamp}`;
  for (let count = 1; count < NAMES_MAX; count++) {
    const candidate = count === 1 ? name : `${name}-${count}`;
    try {
      Deno.lstatSync(candidate);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return candidate;
      throw error;
    }
  }
  return name;
}

function deleteOldest(path: string): void {
  const folder = dirname(path);
  const prefix = `${basename(path)}.corrupt-`;
  try {
    const names = [...Deno.readDirSync(folder)].map((entry) => entry.name)
      .filter((name) => name.startsWith(prefix) && !/-(wal|shm)$/.test(name)).sort();
    for (const name of names.slice(0, Math.max(0, names.length - SET_ASIDE_MAX))) {
      for (const part of PARTS) removeIfThere(join(folder, name + part));
    }
  } catch {
    // Only tidying.
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
