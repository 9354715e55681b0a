/**
 * Reads the files of a replay, in the order of their times.
 *
 * AMI streams are read one after the other, as they are given. Logs may overlap (`security` and
 * `messages` of one Asterisk): their events are merged by time. Of each file one read is kept in
 * memory, at most.
 *
 * @module
 */

import type { SecurityEvent } from "../../ami/event.ts";
import { latin1 } from "../../ami/framer.ts";
import { LogClock } from "../../ami/log_time.ts";
import { describeDuration } from "../../penalties/reason.ts";
import { escapeText } from "../../text/escape.ts";
import { counted, ProgressBar } from "../../text/table.ts";
import { type Format, RecordingReader, type Told } from "./recording.ts";

/** Size of one read, in bytes. */
const READ_BYTES = 256 * 1024;

/** How much of a file is looked at before it is read, in bytes. */
const BEGINNING_BYTES = 16 * 1024;

/**
 * A file that begins so much earlier than the one before it ended is complained of, in
 * milliseconds.
 */
const NEXT_FILE_MAY_BE_EARLIER_MS = 60_000;

/** Most events without a possible time that are told one by one, for each file. */
const IMPOSSIBLE_TIMES_TOLD_MAX = 5;

/** Takes what is read. */
interface InputHandlers {
  /**
   * An event.
   *
   * @param event Is valid during the call.
   * @param told How it was told.
   * @param at Its time, in milliseconds since 1970.
   * @param source Its file.
   */
  event(event: SecurityEvent, told: Told, at: number, source: Source): void;
  /** Something that Asterisk did not print so. */
  tampered(what: string): void;
  /** A file cannot be read, or is no recording. */
  failed(error: unknown, file: Source): void;
  /** A warning, for standard error. */
  complain(line: string): void;
}

interface Arrival {
  readonly event: SecurityEvent;
  readonly told: Told;
  readonly at: number;
}

/** One file. */
export class Source {
  readonly name: string;
  readonly reader: RecordingReader;
  /** Which of the files it is. */
  readonly index: number;
  readonly #handlers: InputHandlers;
  readonly #chunk = new Uint8Array(READ_BYTES);
  readonly #queue: Arrival[] = [];
  #input: Input | undefined;
  #taken = 0;
  #limit = -Infinity;
  #impossible = 0;
  #tampered = 0;
  #events = 0;
  #told = 0;
  #failed = false;
  #last = -Infinity;

  /**
   * @param name A path, or `-`.
   * @param index Which file it is.
   * @param clock Tells the times of a log.
   * @param handlers Take what is read.
   */
  constructor(name: string, index: number, clock: LogClock, handlers: InputHandlers) {
    this.name = name;
    this.index = index;
    this.#handlers = handlers;
    this.reader = new RecordingReader({
      event: (event, verdict) => this.#arrived(event, verdict),
      notice: (event, told) => this.#arrived(event, told),
      tampered: (what) => {
        this.#tampered++;
        handlers.tampered(what);
      },
    }, clock);
    try {
      this.#input = openInput(name);
      this.#input.beginning?.match(EVENT_TIME)?.forEach((time) => clock.learn(time));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Its size in bytes, if that is known. */
  get size(): number | undefined {
    return this.#input?.size;
  }

  /** What it is. */
  get format(): Format | undefined {
    return this.reader.format;
  }

  /** It could not be read. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Security events, AMI's or the log's. */
  get events(): number {
    return this.#events;
  }

  /** Other lines of the log that tell of refused requests. */
  get told(): number {
    return this.#told;
  }

  /** What was tampered with. */
  get tampered(): number {
    return this.#tampered;
  }

  /** Everything has been read, and nothing waits. */
  get isOver(): boolean {
    return this.#input === undefined && this.next === undefined;
  }

  /** Latest time of an event so far. */
  get last(): number {
    return this.#last;
  }

  /** Time of the first event that waits. */
  get next(): number | undefined {
    return this.#queue[this.#taken]?.at;
  }

  /**
   * Hands on what waits, and until the next call what comes, up to a time.
   *
   * @param limit Milliseconds since 1970.
   */
  release(limit: number): void {
    this.#limit = limit;
    while (this.#taken < this.#queue.length && this.#queue[this.#taken]!.at <= limit) {
      const { event, told, at } = this.#queue[this.#taken++]!;
      this.#handlers.event(event, told, at, this);
    }
    if (this.#taken < this.#queue.length) return;
    this.#queue.length = this.#taken = 0;
  }

  /** Reads on; the number of bytes. */
  async read(): Promise<number> {
    if (this.#input === undefined) return 0;
    try {
      const count = await this.#input.read(this.#chunk);
      if (count !== null) {
        this.reader.push(this.#chunk.subarray(0, count));
        return count;
      }
      this.close();
      this.reader.end();
    } catch (error) {
      this.#fail(error);
    }
    return 0;
  }

  /** Closes the file. */
  close(): void {
    this.#input?.[Symbol.dispose]();
    this.#input = undefined;
  }

  #fail(error: unknown): void {
    this.close();
    this.#failed = true;
    this.#handlers.failed(error, this);
  }

  #arrived(event: SecurityEvent, told: Told): void {
    if (told === "security" || told === "doubled") this.#events++;
    else this.#told++;
    // A report of the dialplan has no time: it is of that of the event before.
    const at = event.kind === "Reported"
      ? Number.isFinite(this.#last) ? this.#last : Date.now()
      : timeOf(event.time);
    // No clock of Asterisk's says such a time: who made it is not known.
    if (Number.isNaN(at)) {
      this.#tampered++;
      if (++this.#impossible <= IMPOSSIBLE_TIMES_TOLD_MAX) {
        this.#handlers.complain(
          `warning: ${this.name}: security event ${this.#events} (EventTV "${
            escapeText(event.time)
          }", ${event.kind} of ${event.address}) has a time that does not exist: left out as malformed`,
        );
      }
      return this.#handlers.tampered("malformed");
    }
    if (at > this.#last) this.#last = at;
    if (at <= this.#limit && this.#queue.length === 0) {
      this.#handlers.event(event, told, at, this);
    } else {
      this.#queue.push({ event: event.copy(), told, at });
    }
  }
}

/** `2026-11-22T08:09:09.918+0000` in milliseconds since 1970. */
export function timeOf(text: string): number {
  return Date.parse(`${text.slice(0, 26)}:${text.slice(26)}`);
}

/**
 * Reads files.
 *
 * @param names Paths, or `-` for standard input.
 * @param handlers Take what is read.
 * @returns What each file was.
 */
export async function readInputs(
  names: readonly string[],
  handlers: InputHandlers,
): Promise<Source[]> {
  const clock = new LogClock(Date.now());
  const sources = names.map((name, index) => new Source(name, index, clock, handlers));
  const sizes = sources.map(({ size }) => size);
  const known = sizes.every((size) => size !== undefined);
  const bar = new ProgressBar(
    Deno.stderr,
    known ? sizes.reduce<number>((sum, size) => sum + size!, 0) : undefined,
  );
  let done = 0;
  const read = async (source: Source) => bar.show(done += await source.read());
  try {
    // What the files are must be known before the first event is handed on.
    for (const source of sources) {
      if (sources.length === 1) source.release(Infinity);
      while (!source.isOver && source.format === undefined) await read(source);
    }
    if (sources.some(({ format }) => format === "security log")) await merge(sources, read);
    else await inTurn(sources, read, handlers);
  } finally {
    bar.clear();
    for (const source of sources) source.close();
  }
  if (clock.undated > 0) {
    handlers.complain(
      `warning: ${counted(clock.undated, "line")} without a time: each counts as of the time of ` +
        "the line before it, so that they seem to come at once. Replay a log that has times",
    );
  }
  return sources;
}

async function merge(
  sources: readonly Source[],
  read: (source: Source) => Promise<unknown>,
): Promise<void> {
  for (;;) {
    for (const source of sources) {
      while (!source.isOver && source.next === undefined) {
        if (sources.length === 1) source.release(Infinity);
        await read(source);
      }
    }
    const waiting = sources.filter(({ next }) => next !== undefined)
      .sort((a, b) => a.next! - b.next!);
    const [first, second] = waiting;
    if (first === undefined) return;
    first.release(second?.next ?? Infinity);
    // What it reads now may be handed on at once.
    while (!first.isOver && first.next === undefined) await read(first);
    first.release(-Infinity);
  }
}

async function inTurn(
  sources: readonly Source[],
  read: (source: Source) => Promise<unknown>,
  { complain }: InputHandlers,
): Promise<void> {
  let last = -Infinity;
  for (const source of sources) {
    while (!source.isOver && source.next === undefined) await read(source);
    const late = last - (source.next ?? Infinity);
    if (late > NEXT_FILE_MAY_BE_EARLIER_MS) {
      complain(
        `warning: ${source.name} begins ${
          describeDuration(late / 1000)
        } before the end of the file before it; ` +
          "give the files in the order of their times",
      );
    }
    source.release(Infinity);
    while (!source.isOver) await read(source);
    last = Math.max(last, source.last);
  }
}

/** Times with an offset, as EventTV has them: what the other lines of an Asterisk do not say. */
const EVENT_TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}(?=")/;

interface Input extends Disposable {
  /** Some text of its beginning, if it can be looked at before it is read. */
  readonly beginning?: string;
  readonly size: number | undefined;
  read(into: Uint8Array): Promise<number | null>;
}

function openInput(file: string): Input {
  if (file === "-") {
    return {
      size: undefined,
      read: (into) => Deno.stdin.read(into),
      [Symbol.dispose]: () => {},
    };
  }
  const handle = Deno.openSync(file);
  const info = handle.statSync();
  return {
    size: info.isFile ? info.size : undefined,
    beginning: info.isFile ? beginningOf(handle) : "",
    read: (into) => Promise.resolve(handle.readSync(into)),
    [Symbol.dispose]: () => handle.close(),
  };
}

function beginningOf(handle: Deno.FsFile): string {
  const bytes = new Uint8Array(BEGINNING_BYTES);
  const count = handle.readSync(bytes) ?? 0;
  handle.seekSync(0, Deno.SeekMode.Start);
  return latin1(bytes, 0, count);
}
