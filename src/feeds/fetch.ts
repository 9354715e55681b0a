/**
 * Fetches a list, from a server or a file, and reads its entries.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import { readBytes, whyNotRead } from "../config/file.ts";
import type { FeedConfig } from "../config/feeds.ts";
import { type Entries, EntryReader, FeedError } from "./entries.ts";
import { readBatch } from "./formats/apiban.ts";
import { LINE_MAX, type LineReader } from "./formats/format.ts";
import { JsonLinesReader } from "./formats/json_lines.ts";
import { TextReader } from "./formats/text.ts";
import { BYTES_MAX, type FetchOptions, fetchUrl, type Validators } from "./http.ts";

/** How long all of it may take, in milliseconds. */
const TOTAL_MS = 180_000;

/** Lines that are read in one turn of the event loop; takes about a millisecond. */
const LINES_PER_TURN = 1_000;

/** Most batches of APIBAN. */
const BATCHES_MAX = 2_000;

/** Longest key, in bytes. */
const KEY_BYTES_MAX = 512;

/** What has been fetched. */
export interface Fetched extends Validators {
  readonly entries: Entries;
  /** There are lines that are no entries on purpose: a list without an entry is meant so. */
  readonly hasComments: boolean;
}

/** How a list is fetched. */
export interface ListOptions
  extends Pick<FetchOptions, "signal" | "silenceMs" | "resolve" | "authorities"> {
  /** What is known of the copy that there is; nothing to have the list in any case. */
  readonly validators?: Validators;
  /** This machine's addresses: an entry that holds one of them is left out. */
  readonly own: readonly string[];
  /** How long all of it may take, in milliseconds. @default {TOTAL_MS} */
  readonly totalMs?: number;
}

/**
 * Fetches a list.
 *
 * @param feed Where it is, and how it is written.
 * @param options See {@linkcode ListOptions}.
 * @returns `undefined` when it is the same as the copy.
 * @throws {FeedError} When it cannot be had, or is none.
 */
export async function fetchList(
  feed: FeedConfig,
  options: ListOptions,
): Promise<Fetched | undefined> {
  const { totalMs = TOTAL_MS } = options;
  const stop = new AbortController();
  const timer = setTimeout(
    () => stop.abort(new FeedError(`it was not there within ${totalMs / 1000} s`)),
    totalMs,
  );
  const giveUp = () => stop.abort();
  options.signal?.addEventListener("abort", giveUp);
  if (options.signal?.aborted) giveUp();
  try {
    const bounded = { ...options, signal: stop.signal };
    if (feed.format === "apiban") return await fetchBatches(feed, bounded);
    if (feed.url.startsWith("file:")) return await readFile(feed, bounded);
    const answer = await fetchUrl(feed.url, bounded);
    try {
      if (answer.isSame) return undefined;
      const { etag, lastModified, servers } = answer;
      const entries = new EntryReader(options.own, servers);
      return { ...await readLines(answer.body, feed, entries), etag, lastModified };
    } finally {
      answer.close();
    }
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", giveUp);
  }
}

async function readFile(
  feed: FeedConfig,
  { validators = {}, own }: ListOptions,
): Promise<Fetched | undefined> {
  const path = decodeURIComponent(new URL(feed.url).pathname);
  let bytes: Uint8Array;
  let etag: string;
  try {
    const { mtime, size, ino } = Deno.statSync(path);
    etag = `${mtime?.getTime()} ${size} ${ino}`;
    if (etag === validators.etag) return undefined;
    if (size > BYTES_MAX) throw new FeedError(`${path} is longer than ${BYTES_MAX} bytes`);
    // The file may grow, or be no file.
    bytes = readBytes(path, size + 1);
    if (bytes.length > size) throw new FeedError(`${path} changes while it is read`);
  } catch (error) {
    if (error instanceof FeedError) throw error;
    throw new FeedError(`${path}: ${whyNotRead(error)}`);
  }
  const pieces = async function* () {
    yield bytes;
  };
  return { ...await readLines(pieces(), feed, new EntryReader(own)), etag };
}

/** Reads lines as they come; other work gets its turn in between. */
async function readLines(
  pieces: AsyncIterable<Uint8Array>,
  { format }: FeedConfig,
  entries: EntryReader,
): Promise<Fetched> {
  const decoder = new TextDecoder();
  let reader: LineReader | undefined;
  let number = 0;
  let hasComments = false;
  const take = (raw: string) => {
    number++;
    const line = number === 1 ? raw.replace(/^\uFEFF/, "") : raw;
    if (line.length > LINE_MAX) {
      throw new FeedError(`line ${number} is longer than ${LINE_MAX} characters`);
    }
    const text = line.trim();
    const isComment = text.startsWith("#") || text.startsWith(";");
    hasComments ||= isComment;
    if (text === "" || (isComment && format !== "json-lines")) return;
    const isJson = format === "json-lines" || format === "auto" && text.startsWith("{");
    reader ??= isJson ? new JsonLinesReader(entries) : new TextReader(entries);
    reader.take(line, number);
  };
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop()!;
    if (rest.length > LINE_MAX) throw new FeedError(`line ${number + 1} does not end`);
    for (const [i, line] of lines.entries()) {
      take(line.endsWith("\r") ? line.slice(0, -1) : line);
      if ((i + 1) % LINES_PER_TURN === 0) await setImmediate();
    }
  }
  rest += decoder.decode();
  if (rest !== "") take(rest.replace(/\r$/, ""));
  reader?.finish();
  return { entries: await entries.finish(), hasComments };
}

/** APIBAN's batches, from the first one on: what it has taken out is not among them. */
async function fetchBatches(feed: FeedConfig, options: ListOptions): Promise<Fetched> {
  const key = readKey(feed.keyFile!);
  const base = feed.url.replace(/\/+$/, "");
  const hide = (text: string) => text.replaceAll(key, "KEY");
  const entries = new EntryReader(options.own);
  const seen = new Set<string>();
  let id: string | undefined;
  try {
    for (let batch = 1;; batch++) {
      const url = `${base}/${encodeURIComponent(key)}/banned${id === undefined ? "" : `/${id}`}`;
      const { validators: _, ...rest } = options;
      const answer = await fetchUrl(url, { ...rest, hide });
      const bytes: Uint8Array[] = [];
      try {
        for await (const piece of answer.body) bytes.push(piece);
      } finally {
        answer.close();
      }
      const text = await new Blob(bytes.map((some) => some.slice())).text();
      id = readBatch(text, entries, batch);
      if (id === undefined) return { entries: await entries.finish(), hasComments: false };
      if (seen.has(id)) throw new FeedError(`batch ${batch} has the ID of an earlier one`);
      seen.add(id);
      if (batch >= BATCHES_MAX) throw new FeedError(`more than ${BATCHES_MAX} batches`);
    }
  } catch (error) {
    if (!(error instanceof FeedError)) throw error;
    throw new FeedError(hide(error.message), error.advice);
  }
}

function readKey(path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readBytes(path, KEY_BYTES_MAX + 1);
  } catch (error) {
    throw new FeedError(`key_file: ${path}: ${whyNotRead(error)}`);
  }
  const key = new TextDecoder().decode(bytes).trim();
  if (bytes.length > KEY_BYTES_MAX || !/^[!-~]+$/.test(key)) {
    throw new FeedError(
      `key_file: ${path} does not hold a key: one line without blanks`,
      `echo KEY > ${path}; chmod 600 ${path}`,
    );
  }
  return key;
}
