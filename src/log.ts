/**
 * What Ampere says while it runs: lines for standard error or for a file, never more than one line a
 * message, whatever a stranger managed to put into it.
 *
 * @module
 */

import { fstatSync } from "node:fs";
import { escapeControls } from "./text/escape.ts";
import { LogQueue } from "./text/log_queue.ts";

export { escapeText } from "./text/escape.ts";

/** How important a line is, in ascending order. */
export type LogLevel = "debug" | "info" | "warn" | "error";

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Bytes to where lines go; `Deno.stderr` and `Deno.FsFile` are such. */
export interface LogWriter {
  /** Writes some of the bytes and returns how many; throws if it cannot. */
  writeSync(bytes: Uint8Array): number;
}

/** How a {@linkcode Log} is set up. */
export interface LogOptions {
  /** File to append to (created with mode 0640); standard error if it is left out. */
  readonly file?: string | undefined;
  /** The least level that is written; default `info`. */
  readonly level?: LogLevel | undefined;
  /** Whether lines on standard error begin with the local time, default `true`. A file always has it. */
  readonly stamps?: boolean | undefined;
  /** The clock, in milliseconds since 1970; default `Date.now`. */
  readonly now?: (() => number) | undefined;
  /** Where standard error goes; default `Deno.stderr`. */
  readonly stderr?: LogWriter | undefined;
}

/** The log file cannot be opened; the message says why and what to do. */
export class LogError extends Error {
  /** Always `LogError`. */
  override readonly name = "LogError";
}

/** How long the end of the program waits for what is on its way to a reader, in milliseconds. */
export const DRAIN_MS = 1_000;

/** Rights of a new log file: it names accounts and addresses, so it is not for everybody. */
const FILE_MODE = 0o640;

/** Longest message in a line, in UTF-16 units; a message that was received may hold 64 KiB. */
export const MESSAGE_MAX = 8_192;

/** Room for ` (N more in the last minute)` at the end of a message, in UTF-16 units. */
const COUNT_MAX = 64;

/** How long a cause is silent after a line of {@linkcode Log.limited}, in milliseconds. */
export const LIMIT_WINDOW_MS = 60_000;

/** Causes that {@linkcode Log.limited} tells apart; those beyond share one window. */
export const LIMITED_CAUSES_MAX = 256;

/** The cause that stands for all causes beyond {@linkcode LIMITED_CAUSES_MAX}. */
const OTHER_CAUSES = "";

/** What is known of a cause whose window is open. */
interface LimitedCause {
  /** When the line was written that opened the window, in milliseconds since 1970. */
  since: number;
  /** Messages since then that were held back. */
  held: number;
  /** Level and text of the last message that was held back. */
  level: LogLevel;
  message: string;
}

/**
 * Writes lines `YYYY-MM-DD HH:MM:SS level: message`.
 *
 * Writing never throws and never waits for a reader: a file is written at once, what somebody reads (a FIFO, a pipe, a socket, a
 * terminal) by a bounded queue. Lines that cannot be written (a full disk, a closed pipe, a reader that stands still) are
 * dropped and counted; for a file this is said once on standard error; the first line that can be written again says how many
 * are missing.
 *
 * @example
 * ```ts ignore
 * import { escapeText, Log } from "./log.ts";
 *
 * const log = new Log({ file: "/var/log/ampere.log" });
 * log.info(`blocked 192.0.2.7, account "${escapeText(account)}"`);
 * Deno.addSignalListener("SIGHUP", () => log.reopen());
 * ```
 */
export class Log {
  readonly #path: string | undefined;
  readonly #least: number;
  readonly #now: () => number;
  readonly #stderr: LineSink;
  #file: OpenFile | undefined;
  readonly #causes = new Map<string, LimitedCause>();
  /** When the first of the open windows ends, in milliseconds since 1970. */
  #nextSweep = Infinity;

  /**
   * Opens the file, if one is named.
   *
   * @param options Where to and what is written.
   * @throws {LogError} If the file cannot be opened.
   */
  constructor(options: LogOptions = {}) {
    this.#path = options.file;
    this.#least = LEVELS.indexOf(options.level ?? "info");
    this.#now = options.now ?? Date.now;
    this.#stderr = openStderr(options.stderr, options.stamps ?? true);
    if (this.#path !== undefined) this.#file = this.#open(this.#path);
  }

  /** Lines that could not be written and of which nothing has been said in the log yet. */
  get lost(): number {
    return (this.#file?.sink ?? this.#stderr).lost;
  }

  /**
   * Whether lines of a level are written; for callers whose message costs time to make.
   *
   * @param level The level.
   * @returns `true` if they are.
   */
  writes(level: LogLevel): boolean {
    return LEVELS.indexOf(level) >= this.#least;
  }

  /**
   * Writes what helps to follow the program at work.
   *
   * @param message What happens.
   */
  debug(message: string): void {
    this.#write("debug", [message]);
  }

  /**
   * Writes what an administrator wants to know.
   *
   * @param message What happened.
   */
  info(message: string): void {
    this.#write("info", [message]);
  }

  /**
   * Writes several such lines at once, which takes a tenth of the time of one after the other.
   *
   * @param messages What happened.
   */
  infoAll(messages: readonly string[]): void {
    this.#write("info", messages);
  }

  /**
   * Writes what an administrator should look at.
   *
   * @param message What is wrong, what to do.
   */
  warn(message: string): void {
    this.#write("warn", [message]);
  }

  /**
   * Writes what keeps Ampere from its work.
   *
   * @param message What is wrong, what to do.
   */
  error(message: string): void {
    this.#write("error", [message]);
  }

  /**
   * Writes a message at once, and then at most one a minute of the same cause. What is held back is
   * counted: the next line of the cause ends in `(N more in the last minute)`. So that this line also
   * comes when nothing of the cause happens any more, call {@linkcode sweep} now and then.
   *
   * At most {@linkcode LIMITED_CAUSES_MAX} causes are told apart at a time. Those beyond share one
   * window, so that a stranger who can invent causes cannot fill memory or the disk.
   *
   * @param cause What the messages have in common; a constant, or a text of bounded variety.
   * @param level The level of the message.
   * @param message What happened.
   */
  limited(cause: string, level: LogLevel, message: string): void {
    if (!this.writes(level)) return;
    const now = this.#now();
    if (now >= this.#nextSweep) this.#sweep(now);
    let key = cause;
    if (!this.#causes.has(key) && this.#causes.size >= LIMITED_CAUSES_MAX) key = OTHER_CAUSES;
    const known = this.#causes.get(key);
    // A clock that was set back must not silence a cause until it has caught up.
    if (known !== undefined && now >= known.since) {
      known.held++;
      known.level = level;
      known.message = cutText(message, MESSAGE_MAX);
      return;
    }
    this.#causes.set(key, { since: now, held: 0, level, message: "" });
    this.#nextSweep = Math.min(this.#nextSweep, now + LIMIT_WINDOW_MS);
    this.#write(level, [withCount(message, known?.held ?? 0)]);
  }

  /**
   * Writes what {@linkcode limited} held back for a minute and forgets the causes that were silent.
   * Cheap when there is nothing to do; the daemon calls it every few seconds.
   */
  sweep(): void {
    const now = this.#now();
    if (now >= this.#nextSweep) this.#sweep(now);
  }

  /**
   * Opens the file anew by its name (after logrotate moved the old one away). If that fails the old
   * one stays in use, and both the old one and standard error say so. Without a file nothing happens.
   *
   * @returns `false` if the file could not be opened.
   */
  reopen(): boolean {
    const old = this.#file;
    if (this.#path === undefined || old === undefined) return true;
    try {
      // Whoever waits at a FIFO is the same one as before.
      if (old.fifo !== undefined && old.fifo === fifoAt(this.#path)) return true;
      this.#file = this.#open(this.#path);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      const message = `${error.message}; the file opened before stays in use`;
      this.#write("error", [message]);
      this.#stderr.write("error", [message], this.#now());
      return false;
    }
    this.#file.sink.inherit(old.sink);
    old.close();
    return true;
  }

  /**
   * Waits for what is on its way to a reader; before the end of the program.
   *
   * @param limitMs How long at most, in milliseconds.
   */
  async drain(limitMs: number = DRAIN_MS): Promise<void> {
    this.#sweep(Infinity);
    await Promise.all([this.#file?.sink.drain(limitMs), this.#stderr.drain(limitMs)]);
  }

  /**
   * Writes what {@linkcode limited} still holds back and closes the file. Lines that come later go to
   * standard error.
   */
  close(): void {
    this.#sweep(Infinity);
    this.#file?.close();
    this.#file = undefined;
  }

  #open(path: string): OpenFile {
    const fifo = fifoAt(path);
    if (fifo === undefined) return openFile(path);
    const queue = new LogQueue({
      // To read, too: then the opening does not wait for a reader (Linux, fifo(7)), and what is written while one reader goes and
      // the next one comes is kept.
      open: () => Deno.open(path, { read: true, append: true }),
      onTrouble: (why) => this.#tellTrouble(why),
    });
    return { sink: new QueuedSink(queue, true), close: () => queue.close(), fifo };
  }

  #tellTrouble(reason: string): void {
    const message =
      `the log file ${this.#path} cannot be written (${
        escapeControls(reason, MESSAGE_MAX)
      }): lines are dropped until it can be ` +
      "written again, Ampere goes on with its work; make room or mend the file";
    this.#stderr.write("error", [message], this.#now());
  }

  #write(level: LogLevel, messages: readonly string[]): void {
    if (!this.writes(level)) return;
    const now = this.#now();
    if (this.#file === undefined) {
      this.#stderr.write(level, messages, now);
      return;
    }
    const reason = this.#file.sink.write(level, messages, now);
    if (reason !== undefined) this.#tellTrouble(reason);
  }

  /** Ends the windows that are older than a minute at `now`. */
  #sweep(now: number): void {
    this.#nextSweep = Infinity;
    const writtenAt = now === Infinity ? this.#now() : now;
    for (const [key, cause] of this.#causes) {
      if (now < cause.since) cause.since = now; // the clock was set back
      if (now - cause.since >= LIMIT_WINDOW_MS) {
        if (cause.held === 0) {
          this.#causes.delete(key);
          continue;
        }
        // The line stands for one of those held back, and opens a window of its own.
        this.#write(cause.level, [withCount(cause.message, cause.held - 1)]);
        cause.since = writtenAt;
        cause.held = 0;
        cause.message = "";
      }
      this.#nextSweep = Math.min(this.#nextSweep, cause.since + LIMIT_WINDOW_MS);
    }
  }
}

/** One place where lines go. */
interface LineSink {
  /** Lines that did not get there. */
  readonly lost: number;
  /** Takes over the lines that another one could not write. */
  inherit(other: LineSink): void;
  /**
   * Writes lines, and before them how many are missing if some are.
   *
   * @returns The reason why it failed if the write before did not fail, else `undefined`.
   */
  write(level: LogLevel, messages: readonly string[], now: number): string | undefined;
  /** Waits until all is written, but not longer than so many milliseconds. */
  drain(limitMs: number): Promise<unknown>;
}

/** The log file. */
interface OpenFile {
  readonly sink: LineSink;
  readonly close: () => void;
  /** Which FIFO it is, if it is one. */
  readonly fifo?: string;
}

/** A place behind a queue. */
class QueuedSink implements LineSink {
  readonly #queue: LogQueue;
  readonly #stamps: boolean;

  constructor(queue: LogQueue, stamps: boolean) {
    this.#queue = queue;
    this.#stamps = stamps;
  }

  get lost(): number {
    return this.#queue.lost;
  }

  inherit(other: LineSink): void {
    this.#queue.addLost(other.lost);
  }

  /** The queue itself tells why lines are lost. */
  write(level: LogLevel, messages: readonly string[], now: number): undefined {
    const stamp = this.#stamps ? `${formatLocalTime(now)} ` : "";
    this.#queue.push(
      messages.map((message) => `${stamp}${level}: ${escapeControls(message, MESSAGE_MAX)}\n`),
      (lost) => aboutLost(lost, stamp),
    );
  }

  drain(limitMs: number): Promise<unknown> {
    return this.#queue.drain(limitMs);
  }
}

function aboutLost(lost: number, stamp: string): string {
  const lines = lost === 1 ? "1 line was lost" : `${lost} lines were lost`;
  return `${stamp}warn: ${lines} here, because the log could not be written\n`;
}

/** A place that takes lines at once, with the count of those that did not get there. */
class Sink implements LineSink {
  readonly #writer: LogWriter;
  readonly #stamps: boolean;
  readonly #encoder = new TextEncoder();
  #lost = 0;
  /** The last line was written in part, so that the next one has to begin a new line. */
  #torn = false;

  constructor(writer: LogWriter, stamps: boolean) {
    this.#writer = writer;
    this.#stamps = stamps;
  }

  get lost(): number {
    return this.#lost;
  }

  inherit(other: LineSink): void {
    this.#lost += other.lost;
  }

  drain(): Promise<void> {
    return Promise.resolve();
  }

  write(level: LogLevel, messages: readonly string[], now: number): string | undefined {
    const stamp = this.#stamps ? `${formatLocalTime(now)} ` : "";
    const lost = this.#lost;
    let missing = messages.length;
    try {
      if (lost > 0) {
        this.#put(aboutLost(lost, stamp));
        this.#lost = 0;
      }
      let lines = "";
      for (const message of messages) {
        lines += `${stamp}${level}: ${escapeControls(message, MESSAGE_MAX)}\n`;
      }
      this.#put(lines, (left) => missing = Math.min(missing, left));
      return undefined;
    } catch (error) {
      this.#lost += missing;
      if (lost > 0) return undefined;
      return error instanceof Error ? escapeControls(error.message, MESSAGE_MAX) : "unknown reason";
    }
  }

  /**
   * Writes all of a text.
   *
   * @param onFailure is told how many ends of lines were not written, before the error is thrown
   */
  #put(text: string, onFailure: (left: number) => void = () => {}): void {
    let bytes = this.#encoder.encode(this.#torn ? `\n${text}` : text);
    try {
      while (bytes.length > 0) {
        const written = this.#writer.writeSync(bytes);
        if (written <= 0) throw new Error("nothing was written");
        this.#torn = bytes[written - 1] !== LINE_END;
        bytes = bytes.subarray(written);
      }
    } catch (error) {
      onFailure(bytes.reduce((ends, byte) => byte === LINE_END ? ends + 1 : ends, 0));
      throw error;
    }
  }
}

/**
 * A point in time as people read it.
 *
 * @param epochMs Milliseconds since 1970.
 * @returns `YYYY-MM-DD HH:MM:SS` in local time.
 */
export function formatLocalTime(epochMs: number): string {
  const second = Math.floor(epochMs / 1000);
  if (second !== formattedSecond) {
    formattedSecond = second;
    formattedTime = formatTime(epochMs);
  }
  return formattedTime;
}

/** What was asked for last: a burst of lines, or an import of blocks, has the same second. */
let formattedSecond = NaN;
let formattedTime = "";

function formatTime(epochMs: number): string {
  const time = new Date(epochMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = [
    String(time.getFullYear()).padStart(4, "0"),
    two(time.getMonth() + 1),
    two(time.getDate()),
  ].join("-");
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/** The byte at the end of a line. */
const LINE_END = 0x0a;

/** The beginning of a text, so that what is kept of it does not hold on to all of it. */
function cutText(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : text.slice(0, maxLength);
}

/** A message with the number of those that it stands for; the number survives any length. */
function withCount(message: string, more: number): string {
  return more === 0
    ? message
    : `${escapeControls(message, MESSAGE_MAX - COUNT_MAX)} (${more} more in the last minute)`;
}

/** Standard error may be something that somebody reads, or does not. */
function openStderr(given: LogWriter | undefined, stamps: boolean): LineSink {
  if (given !== undefined || !isRead(STDERR)) return new Sink(given ?? Deno.stderr, stamps);
  return new QueuedSink(
    // Nobody is left who could be told.
    new LogQueue({ open: () => Promise.resolve({ write: writeStderr }), onTrouble: () => {} }),
    stamps,
  );
}

const STDERR = 2;

function writeStderr(bytes: Uint8Array): Promise<number> {
  return Deno.stderr.write(bytes);
}

/** Whether a write can wait for a reader. */
function isRead(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket() || Deno.stderr.isTerminal();
  } catch {
    return false;
  }
}

/** Which FIFO is at a path; `undefined` when something else is there, or nothing. */
function fifoAt(path: string): string | undefined {
  try {
    const { isFifo, dev, ino } = Deno.statSync(path);
    return isFifo ? `${dev} ${ino}` : undefined;
  } catch {
    return undefined;
  }
}

function openFile(path: string): OpenFile {
  try {
    const handle = Deno.openSync(path, { append: true, create: true, mode: FILE_MODE });
    return { sink: new Sink(handle, true), close: () => closeQuietly(handle) };
  } catch (error) {
    throw new LogError(`the log file ${path} cannot be opened: ${whyNotOpened(error)}`, {
      cause: error,
    });
  }
}

function whyNotOpened(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "this build of Ampere may not write there; compile it with " +
      "`deno task compile -- --allow-path=DIRECTORY`, or use a file in /var/log";
  }
  if (error instanceof Deno.errors.NotFound) return "its directory does not exist; create it first";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "this user may not write it; use sudo (the packaged daemon is root, and writes it only if it belongs to root)";
  }
  return error instanceof Error ? error.message : String(error);
}

function closeQuietly(handle: Deno.FsFile): void {
  try {
    handle.close();
  } catch {
    // The handle is given up either way, and there is nobody who could do more about it.
  }
}
