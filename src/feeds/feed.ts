/**
 * One list: what it holds now, and when it is looked at again.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import { jittered, retryDelay } from "../backoff.ts";
import type { TargetSet } from "../address/target_set.ts";
import { type FeedConfig, shownUrl } from "../config/feeds.ts";
import { TargetSetBuilder } from "../address/target_set.ts";
import { counted, formatCount } from "../text/table.ts";
import { type Copy, readCopy, writeCopy } from "./copy.ts";
import { type Entries, FeedError, howWide, percent } from "./entries.ts";
import { type Fetched, fetchList, type ListOptions } from "./fetch.ts";
import type { Validators } from "./http.ts";

/** Delays before a list that could not be had is asked for again, in milliseconds. */
const RETRY_FIRST_MS = 60_000;
const RETRY_MAX_MS = 3_600_000;

/** How often it is looked whether a file has changed, in milliseconds. */
const FILE_EVERY_MS = 10_000;

/** A list that is so many times as long as before, and this long at least, is refused. */
const GROWTH_MAX = 10;
const GROWN_MIN = 100;

/** The same of the addresses that it holds: this part of all at least, which is two /8 of IPv4. */
const GROWN_SHARE = 1 / 128;

/** A server's validators are kept up to this length, in characters. */
const VALIDATOR = /^[\x20-\x7e]{1,1024}$/;

/** What a feed needs besides its configuration. */
export interface FeedParts {
  /** Where copies are; `undefined`: nowhere. */
  readonly folder: string | undefined;
  readonly log: {
    info(message: string): void;
    warn(message: string): void;
  };
  /** Monotonic time, in milliseconds. */
  readonly now: () => number;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Random numbers from 0 to 1. */
  readonly random: () => number;
  /** This machine's addresses. */
  readonly own: () => readonly string[];
  /** What tests change. */
  readonly fetch?: Pick<ListOptions, "silenceMs" | "totalMs" | "resolve">;
}

/** What of a feed is told. */
export interface FeedState {
  readonly name: string;
  readonly url: string;
  readonly action: FeedConfig["action"];
  readonly for: FeedConfig["for"];
  /** Entries that are in force. */
  readonly entries: number;
  /** Entries that were left out, and the first of them. */
  readonly leftOut: number;
  readonly told: readonly string[];
  /** When it was fetched, in milliseconds since 1970; `undefined`: never. */
  readonly fetchedAt: number | undefined;
  /** Why the last look was in vain; `undefined` if it was not. */
  readonly trouble: string | undefined;
  /** What mends that. */
  readonly advice: string;
}

const NOBODY = new TargetSetBuilder().build();

/** A list. */
export class Feed {
  readonly config: FeedConfig;
  readonly #parts: FeedParts;
  #set: TargetSet = NOBODY;
  #entries: Entries | undefined;
  #validators: Validators = {};
  #fetchedAt: number | undefined;
  #dueAt = -Infinity;
  #failures = 0;
  #trouble: FeedError | undefined;

  /**
   * Nobody is on it yet, unless the same list was there before.
   *
   * @param config The list.
   * @param parts See {@linkcode FeedParts}.
   * @param former The same list, with another section.
   */
  constructor(config: FeedConfig, parts: FeedParts, former?: Feed) {
    this.config = config;
    this.#parts = parts;
    if (former === undefined) return;
    this.#set = former.#set;
    this.#entries = former.#entries;
    this.#validators = former.#validators;
    this.#fetchedAt = former.#fetchedAt;
  }

  /** Who is on it. */
  get set(): TargetSet {
    return this.#set;
  }

  /** Whether it was ever read. */
  get isKnown(): boolean {
    return this.#entries !== undefined;
  }

  /** Whether it is to be looked at. */
  get isDue(): boolean {
    return this.#parts.now() >= this.#dueAt;
  }

  /** What a person may want to know. */
  get state(): FeedState {
    const { name, url, action, for: scope } = this.config;
    return {
      name,
      url: shownUrl(url),
      action,
      for: scope,
      entries: this.#set.size,
      leftOut: this.#entries?.leftOut ?? 0,
      told: this.#entries?.told ?? [],
      fetchedAt: this.#fetchedAt,
      trouble: this.#trouble?.message,
      advice: this.#trouble?.advice ?? "",
    };
  }

  /** What could not be had is looked at again at once: somebody may have mended it. */
  hurry(): void {
    if (this.#trouble !== undefined && this.#dueAt !== Infinity) this.#dueAt = -Infinity;
  }

  /** Takes the copy on disk over, if there is one. */
  async restore(): Promise<void> {
    const { folder, log, wallClock, now } = this.#parts;
    const { name, url, every } = this.config;
    if (folder === undefined) return;
    try {
      const copy = await readCopy(folder, name, url, this.#parts.own());
      if (copy === undefined) return;
      this.#adopt(copy);
      const age = Math.max(0, wallClock() - copy.fetchedAt);
      // A file may have changed meanwhile, and to look costs nothing.
      if (!url.startsWith("file:")) {
        this.#dueAt = now() + Math.max(0, every * 1_000 - age) * this.#parts.random();
      }
      log.info(
        `feed ${name}: ${counted(this.#set.size, "entry", "entries")} of the copy in ${folder}`,
      );
    } catch (error) {
      if (!(error instanceof FeedError)) throw error;
      log.warn(`feed ${name}: ${folder}/${name} is not used: ${error.message}`);
    }
  }

  /**
   * Looks whether there is a newer list, and takes it over.
   *
   * @param signal Gives up.
   * @returns Whether others are on it now.
   */
  async refresh(signal: AbortSignal): Promise<boolean> {
    const { log, fetch = {}, own, wallClock } = this.#parts;
    const { name, every, url } = this.config;
    this.#dueAt = Infinity;
    try {
      const options = { ...fetch, own: own(), signal, validators: this.#validators };
      const fetched = await fetchList(this.config, options);
      if (signal.aborted) return false;
      if (fetched !== undefined) judge(fetched, this.#entries, this.config);
      const isFile = url.startsWith("file:");
      this.#again(isFile ? FILE_EVERY_MS : jittered(every * 1_000, this.#parts.random));
      if (this.#trouble !== undefined) log.info(`feed ${name}: it can be had again`);
      this.#failures = 0;
      this.#trouble = undefined;
      if (fetched === undefined) {
        if (!isFile) this.#fetchedAt = wallClock();
        return false;
      }
      this.#tell(fetched.entries);
      this.#adopt({ ...fetched, fetchedAt: wallClock() });
      await this.#save();
      return true;
    } catch (error) {
      if (!(error instanceof FeedError)) throw error;
      if (signal.aborted) return false;
      this.#failures++;
      const isFile = url.startsWith("file:");
      this.#again(
        isFile ? FILE_EVERY_MS : jittered(
          retryDelay(this.#failures, RETRY_FIRST_MS, RETRY_MAX_MS),
          this.#parts.random,
        ),
      );
      if (error.message !== this.#trouble?.message) this.#complain(error);
      this.#trouble = error;
      return false;
    }
  }

  #again(ms: number): void {
    this.#dueAt = this.#parts.now() + ms;
  }

  #adopt({ entries, fetchedAt, etag, lastModified }: Copy): void {
    this.#entries = entries;
    this.#set = entries.set;
    this.#fetchedAt = fetchedAt;
    const fit = (value: string | undefined) =>
      value !== undefined && VALIDATOR.test(value) ? value : undefined;
    this.#validators = { etag: fit(etag), lastModified: fit(lastModified) };
  }

  async #save(): Promise<void> {
    const { folder, log } = this.#parts;
    const { name, url } = this.config;
    if (folder === undefined) return;
    try {
      const copy = { entries: this.#entries!, fetchedAt: this.#fetchedAt!, ...this.#validators };
      await writeCopy(folder, name, url, copy);
    } catch (error) {
      log.warn(
        `feed ${name}: no copy is kept for the next start: ${folder}/${name}: ${
          error instanceof Error ? error.message : String(error)
        }`,
      );
    }
  }

  #tell(entries: Entries): void {
    const { log } = this.#parts;
    const { name, url } = this.config;
    log.info(
      `feed ${name}: ${counted(entries.set.size, "entry", "entries")} from ${shownUrl(url)}` +
        (this.#entries === undefined ? "" : `, ${formatCount(this.#set.size)} before`),
    );
    const width = howWide(entries.set);
    if (width !== undefined) {
      log.warn(
        `feed ${name}: ${width}. Fix: see whether url is right; trust whoever belongs there and ` +
          "never logged in",
      );
    }
    if (entries.leftOut === 0) return;
    log.warn(
      `feed ${name}: ${counted(entries.leftOut, "line was", "lines were")} left out: ${
        entries.told.join("; ")
      }${entries.leftOut > entries.told.length ? "; …" : ""}`,
    );
  }

  #complain({ message, advice }: FeedError): void {
    const { name, url } = this.config;
    const kept = this.#entries === undefined
      ? "nobody is listed by it until then"
      : `the ${counted(this.#set.size, "entry", "entries")} of before stay in force`;
    this.#parts.log.warn(
      `feed ${name}: ${shownUrl(url)} was refused: ${message}. It is tried again; ${kept}${
        fixOf(advice)
      }`,
    );
  }
}

/**
 * Whether a list may take the place of the one before.
 *
 * @throws {FeedError} If not.
 */
function judge(
  { entries, hasComments }: Fetched,
  before: Entries | undefined,
  { name, url }: FeedConfig,
): void {
  const size = entries.set.size;
  const had = before?.set.size ?? 0;
  const isFile = url.startsWith("file:");
  if (size === 0 && (had > 0 || !isFile) && !(isFile && hasComments)) {
    throw new FeedError(
      had > 0
        ? `it is empty, and had ${counted(had, "entry", "entries")} before`
        : "there is no entry in it",
      isFile
        ? "if it is meant so, write a line with a comment (# nobody) into it"
        : `if it is meant so, remove the section [feed ${name}]`,
    );
  }
  if (had === 0) return;
  const advice = `if that is right, give the section another name than [feed ${name}] and reload`;
  if (size > GROWTH_MAX * had && size >= GROWN_MIN) {
    throw new FeedError(
      `it has ${formatCount(size)} entries, more than ten times as many as before (${
        formatCount(had)
      })`,
      advice,
    );
  }
  for (const family of [4, 6] as const) {
    const [was, is] = [before!.set.shareOf(family), entries.set.shareOf(family)];
    if (is < GROWN_SHARE || is <= GROWTH_MAX * was) continue;
    throw new FeedError(
      `it holds ${percent(is)} of all addresses of IPv${family}, more than ten times as much as ` +
        `before (${percent(was)})`,
      advice,
    );
  }
}
