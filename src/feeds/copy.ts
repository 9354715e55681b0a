/**
 * The last good copy of each list on disk: after a restart it is in force at once, and a server
 * that is out of reach changes nothing.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { readBytes } from "../config/file.ts";
import { shownUrl } from "../config/feeds.ts";
import { writeAll } from "../text/write_all.ts";
import { type Entries, EntryReader, FeedError } from "./entries.ts";
import type { Validators } from "./http.ts";

/** What a copy begins with. */
const MAGIC = "# a copy of a feed, written by Ampere: ";

/** Only for who runs Ampere, as the database. */
const MODE = 0o600;
const FOLDER_MODE = 0o700;

/** Largest copy, in bytes: that of 500,000 networks of IPv6. */
const BYTES_MAX = 32 * 1024 * 1024;

/** Lines that are made or read in one turn of the event loop. */
const LINES_PER_TURN = 5_000;

/** A copy. */
export interface Copy extends Validators {
  readonly entries: Entries;
  /** When the list was fetched, in milliseconds since 1970. */
  readonly fetchedAt: number;
}

/**
 * Writes a copy: there is always a whole one.
 *
 * @param folder Where copies are; made if need be.
 * @param name The feed's name.
 * @param url Its URL.
 * @param copy What is to be kept.
 * @throws {Error} When it cannot be written, or another's file is in its place.
 */
export async function writeCopy(
  folder: string,
  name: string,
  url: string,
  { entries, fetchedAt, etag, lastModified }: Copy,
): Promise<void> {
  const head = {
    url: shownUrl(url),
    of: signOf(url),
    fetchedAt,
    etag,
    lastModified,
    entries: entries.set.size,
  };
  await Deno.mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  if (isAnothers(`${folder}/${name}`)) {
    throw new Error("this file is none of Ampere's: move it to another folder");
  }
  const fresh = `${folder}/${name}.new`;
  const encoder = new TextEncoder();
  using file = await Deno.open(fresh, { write: true, create: true, truncate: true, mode: MODE });
  const write = (text: string) => writeAll(file, encoder.encode(text));
  await write(`${MAGIC}${JSON.stringify(head)}\n`);
  let lines: string[] = [];
  for (const target of entries.set.targets()) {
    if (lines.push(target) < LINES_PER_TURN) continue;
    await write(`${lines.join("\n")}\n`);
    lines = [];
  }
  await write(lines.length === 0 ? "" : `${lines.join("\n")}\n`);
  await file.syncData();
  await Deno.rename(fresh, `${folder}/${name}`);
}

/**
 * Reads a copy.
 *
 * @param folder Where copies are.
 * @param name The feed's name.
 * @param url Its URL: a copy of another list is none.
 * @param own This machine's addresses.
 * @returns `undefined` if there is none.
 * @throws {FeedError} When there is one that is damaged.
 */
export async function readCopy(
  folder: string,
  name: string,
  url: string,
  own: readonly string[],
): Promise<Copy | undefined> {
  let text: string;
  try {
    const { isFile, size } = await Deno.stat(`${folder}/${name}`);
    if (!isFile || size > BYTES_MAX) throw new FeedError("it is too long");
    text = await Deno.readTextFile(`${folder}/${name}`);
  } catch (error) {
    if (error instanceof FeedError) throw error;
    return undefined;
  }
  const start = text.indexOf("\n");
  const first = start < 0 ? text : text.slice(0, start);
  const head = first.startsWith(MAGIC) ? headIn(first.slice(MAGIC.length)) : undefined;
  if (head === undefined) throw new FeedError("it does not begin as a copy does");
  if (head.of !== signOf(url)) return undefined;
  const reader = new EntryReader(own);
  for (let at = first.length + 1, number = 2; at < text.length; number++) {
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end < 0 ? undefined : end);
    if (line !== "") reader.take(line, number);
    at += line.length + 1;
    if (number % LINES_PER_TURN === 0) await setImmediate();
  }
  const entries = await reader.finish();
  if (entries.taken + entries.leftOut !== head.entries) {
    throw new FeedError(`it has ${entries.taken} entries of ${head.entries}`);
  }
  const { fetchedAt, etag, lastModified } = head;
  return { entries, fetchedAt, etag, lastModified };
}

/**
 * Deletes the copies of feeds that there are no more.
 *
 * @param folder Where copies are.
 * @param names The feeds that there are.
 */
export function deleteOtherCopies(folder: string, names: ReadonlySet<string>): void {
  try {
    for (const { name, isFile } of Deno.readDirSync(folder)) {
      if (!isFile || names.has(name.replace(/\.new$/, ""))) continue;
      if (!isAnothers(`${folder}/${name}`)) Deno.removeSync(`${folder}/${name}`);
    }
  } catch {
    // There is no folder, or it is another's.
  }
}

/** Whether a file is there that is no copy; one without any content is nobody's. */
function isAnothers(path: string): boolean {
  try {
    const start = new TextDecoder().decode(readBytes(path, MAGIC.length));
    return start !== "" && start !== MAGIC;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** Tells URLs apart that differ in what is not shown of them. */
function signOf(url: string): string {
  return createHash("sha256").update(url).digest("hex");
}

function headIn(text: string): {
  readonly of: string;
  readonly fetchedAt: number;
  readonly entries: number;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
} | undefined {
  try {
    const { of, fetchedAt, entries, etag, lastModified } = JSON.parse(text);
    if (typeof of !== "string" || !Number.isFinite(fetchedAt)) return undefined;
    if (!Number.isSafeInteger(entries)) return undefined;
    return { of, fetchedAt, entries, etag: header(etag), lastModified: header(lastModified) };
  } catch {
    return undefined;
  }
}

/** What is sent back to a server as a header. */
function header(value: unknown): string | undefined {
  return typeof value === "string" && /^[\x20-\x7e]{1,1024}$/.test(value) ? value : undefined;
}
