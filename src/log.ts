/**
 * What Ampere says while it runs: lines for standard error or for a file, never more than one line
 * a message, whatever a stranger managed to put into it.
 *
 * @module
 */

import { escapeControls } from "./text/escape.ts";
import { LineForm, type LogFields, type LogLevel, MESSAGE_MAX } from "./text/line_form.ts";
import {
  DRAIN_MS,
  fifoAt,
  type LineSink,
  LogError,
  type LogWriter,
  type OpenFile,
  openFile,
  openStderr,
  QueuedSink,
} from "./text/line_sink.ts";
import { LogQueue } from "./text/log_queue.ts";

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** How a {@linkcode Log} is set up. */
export interface LogOptions {
  /** File to append to (created with mode 0640); standard error if it is left out. */
  readonly file?: string | undefined;
  /** The least level that is written; default `info`. */
  readonly level?: LogLevel | undefined;
  /**
   * Whether lines on standard error begin with the local time, default `true`. A file always has
   * it.
   */
  readonly stamps?: boolean | undefined;
  /** Whether each line is an object of JSON; default `false`. */
  readonly isJson?: boolean | undefined;
  /** Whether systemd's journal reads standard error; then `stamps` means nothing. */
  readonly journal?: boolean | undefined;
  /** The clock, in milliseconds since 1970; default `Date.now`. */
  readonly now?: (() => number) | undefined;
  /** Where standard error goes; default `Deno.stderr`. */
  readonly stderr?: LogWriter | undefined;
}

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
 * Writes lines `YYYY-MM-DD HH:MM:SS level: message`, or objects of JSON that hold the same and,
 * where something happened, what it was.
 *
 * Writing never throws and never waits for a reader: a file is written at once, what somebody reads
 * (a FIFO, a pipe, a socket, a terminal) by a bounded queue. Lines that cannot be written (a full
 * disk, a closed pipe, a reader that stands still) are dropped and counted; for a file this is said
 * once on standard error; the first line that can be written again says how many are missing.
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
  readonly #stderrForm: LineForm;
  readonly #fileForm: LineForm;
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
    const style = options.stamps ?? true ? "stamped" : "plain";
    this.#stderrForm = new LineForm(options.journal ? "journal" : style, options.isJson);
    this.#fileForm = new LineForm("stamped", options.isJson);
    this.#stderr = openStderr(options.stderr, this.#stderrForm);
    if (this.#path !== undefined) this.#file = this.#open(this.#path);
  }

  /** Lines that could not be written and of which nothing has been said in the log yet. */
  get lost(): number {
    return (this.#file?.sink ?? this.#stderr).lost;
  }

  /** Whether each line is an object of JSON; may be changed at any time. */
  set isJson(isJson: boolean) {
    this.#stderrForm.isJson = this.#fileForm.isJson = isJson;
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
   * @param fields What machines read of it.
   */
  info(message: string, fields?: LogFields): void {
    this.#write("info", [message], [fields]);
  }

  /**
   * Writes several such lines at once, which takes a tenth of the time of one after the other.
   *
   * @param messages What happened.
   * @param fields What machines read of each.
   */
  infoAll(messages: readonly string[], fields?: readonly (LogFields | undefined)[]): void {
    this.#write("info", messages, fields);
  }

  /**
   * Writes what an administrator should look at.
   *
   * @param message What is wrong, what to do.
   * @param fields What machines read of it.
   */
  warn(message: string, fields?: LogFields): void {
    this.#write("warn", [message], [fields]);
  }

  /**
   * Writes what keeps Ampere from its work.
   *
   * @param message What is wrong, what to do.
   * @param fields What machines read of it.
   */
  error(message: string, fields?: LogFields): void {
    this.#write("error", [message], [fields]);
  }

  /**
   * Writes a message at once, and then at most one a minute of the same cause. What is held back is
   * counted: the next line of the cause ends in `(N more in the last minute)`. So that this line
   * also comes when nothing of the cause happens any more, call {@linkcode sweep} now and then.
   *
   * At most {@linkcode LIMITED_CAUSES_MAX} causes are told apart at a time. Those beyond share one
   * window, so that a stranger who can invent causes cannot fill memory or the disk.
   *
   * @param cause What the messages have in common; a constant, or a text of bounded variety.
   * @param level The level of the message.
   * @param message What happened.
   * @param fields What machines read of it; of what is held back they read the number alone.
   */
  limited(cause: string, level: LogLevel, message: string, fields?: LogFields): void {
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
    this.#write(level, [withCount(message, known?.held ?? 0)], [fields]);
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
   * one stays in use, and both the old one and standard error say so. Without a file nothing
   * happens.
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
   * Writes what {@linkcode limited} still holds back and closes the file. Lines that come later go
   * to standard error.
   */
  close(): void {
    this.#sweep(Infinity);
    this.#file?.close();
    this.#file = undefined;
  }

  #open(path: string): OpenFile {
    const fifo = fifoAt(path);
    if (fifo === undefined) return openFile(path, this.#fileForm);
    const queue = new LogQueue({
      // To read, too: then the opening does not wait for a reader (Linux, fifo(7)), and what is
      // written while one reader goes and the next one comes is kept.
      open: () => Deno.open(path, { read: true, append: true }),
      onTrouble: (why) => this.#tellTrouble(why),
    });
    return { sink: new QueuedSink(queue, this.#fileForm), close: () => queue.close(), fifo };
  }

  #tellTrouble(reason: string): void {
    const message =
      `the log file ${this.#path} cannot be written (${
        escapeControls(reason, MESSAGE_MAX)
      }): lines are dropped until it can be ` +
      "written again, Ampere goes on with its work; make room or repair the file";
    this.#stderr.write("error", [message], this.#now());
  }

  #write(
    level: LogLevel,
    messages: readonly string[],
    fields?: readonly (LogFields | undefined)[],
  ): void {
    if (!this.writes(level)) return;
    const now = this.#now();
    if (this.#file === undefined) {
      this.#stderr.write(level, messages, now, fields);
      return;
    }
    const reason = this.#file.sink.write(level, messages, now, fields);
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
