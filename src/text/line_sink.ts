/**
 * Where lines of a log go: a file that may be moved away, a pipe that may not be read, standard
 * error.
 *
 * @module
 */

import { escapeControls } from "./escape.ts";
import { LogQueue } from "./log_queue.ts";
import { type LineForm, type LogFields, type LogLevel, MESSAGE_MAX } from "./line_form.ts";
import { fstatSync } from "node:fs";

/** Bytes to where lines go; `Deno.stderr` and `Deno.FsFile` are such. */
export interface LogWriter {
  /** Writes some of the bytes and returns how many; throws if it cannot. */
  writeSync(bytes: Uint8Array): number;
}

/** The byte at the end of a line. */
const LINE_END = 0x0a;

/** The log file cannot be opened; the message says why and what to do. */
export class LogError extends Error {
  /** Always `LogError`. */
  override readonly name = "LogError";
}

/** How long the end of the program waits for what is on its way to a reader, in milliseconds. */
export const DRAIN_MS = 1_000;

/** Rights of a new log file: it names accounts and addresses, so it is not for everybody. */
const FILE_MODE = 0o640;

/** One place where lines go. */
export interface LineSink {
  /** Lines that did not get there. */
  readonly lost: number;
  /** Takes over the lines that another one could not write. */
  inherit(other: LineSink): void;
  /**
   * Writes lines, and before them how many are missing if some are.
   *
   * @param level How important they are.
   * @param messages Their texts for people.
   * @param now Time of day, in milliseconds since 1970.
   * @param fields What machines read of each beside that.
   * @returns The reason why it failed if the write before did not fail, else `undefined`.
   */
  write(
    level: LogLevel,
    messages: readonly string[],
    now: number,
    fields?: readonly (LogFields | undefined)[],
  ): string | undefined;
  /** Waits until all is written, but not longer than so many milliseconds. */
  drain(limitMs: number): Promise<unknown>;
}

/** The log file. */
export interface OpenFile {
  readonly sink: LineSink;
  readonly close: () => void;
  /** Which FIFO it is, if it is one. */
  readonly fifo?: string;
}

/** A place behind a queue. */
export class QueuedSink implements LineSink {
  readonly #queue: LogQueue;
  readonly #form: LineForm;

  constructor(queue: LogQueue, form: LineForm) {
    this.#queue = queue;
    this.#form = form;
  }

  get lost(): number {
    return this.#queue.lost;
  }

  inherit(other: LineSink): void {
    this.#queue.addLost(other.lost);
  }

  /** The queue itself tells why lines are lost. */
  write(
    level: LogLevel,
    messages: readonly string[],
    now: number,
    fields?: readonly (LogFields | undefined)[],
  ): undefined {
    this.#queue.push(
      messages.map((message, i) => this.#form.line(level, message, now, fields?.[i])),
      (lost) => this.#form.aboutLost(lost, now),
    );
  }

  drain(limitMs: number): Promise<unknown> {
    return this.#queue.drain(limitMs);
  }
}

/** A place that takes lines at once, with the count of those that did not get there. */
class Sink implements LineSink {
  readonly #writer: LogWriter;
  readonly #form: LineForm;
  readonly #encoder = new TextEncoder();
  #lost = 0;
  /** The last line was written in part, so that the next one has to begin a new line. */
  #torn = false;

  constructor(writer: LogWriter, form: LineForm) {
    this.#writer = writer;
    this.#form = form;
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

  write(
    level: LogLevel,
    messages: readonly string[],
    now: number,
    fields?: readonly (LogFields | undefined)[],
  ): string | undefined {
    const lost = this.#lost;
    let missing = messages.length;
    try {
      if (lost > 0) {
        this.#put(this.#form.aboutLost(lost, now));
        this.#lost = 0;
      }
      let lines = "";
      for (const [i, message] of messages.entries()) {
        lines += this.#form.line(level, message, now, fields?.[i]);
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
   * @param onFailure Is told how many ends of lines were not written, before the error is thrown.
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

/** Standard error may be something that somebody reads, or does not. */
export function openStderr(given: LogWriter | undefined, form: LineForm): LineSink {
  if (given !== undefined || !isRead(STDERR)) return new Sink(given ?? Deno.stderr, form);
  return new QueuedSink(
    // Nobody is left who could be told.
    new LogQueue({ open: () => Promise.resolve({ write: writeStderr }), onTrouble: () => {} }),
    form,
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
export function fifoAt(path: string): string | undefined {
  try {
    const { isFifo, dev, ino } = Deno.statSync(path);
    return isFifo ? `${dev} ${ino}` : undefined;
  } catch {
    return undefined;
  }
}

export function openFile(path: string, form: LineForm): OpenFile {
  try {
    const handle = Deno.openSync(path, { append: true, create: true, mode: FILE_MODE });
    return { sink: new Sink(handle, form), close: () => closeQuietly(handle) };
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
