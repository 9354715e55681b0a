/**
 * One log of Asterisk's that is followed: its lines are read, and what hinders is told.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import { LogClock } from "../ami/log_time.ts";
import { SecurityLogReader } from "../ami/security_log.ts";
import type { Log } from "../log.ts";
import { escapeText } from "../text/escape.ts";
import type { Handover } from "./handover.ts";
import { type Files, Tail } from "./tail.ts";
import { whyUnreadable } from "./unreadable.ts";

/**
 * How long nothing more must have come before what waits is settled, in milliseconds: Asterisk
 * writes a message with all its line ends at once.
 */
const QUIET_MS = 10;

/** How often a file that is not there is looked for, in milliseconds. */
const ABSENT_EVERY_MS = 1_000;

/** Longest piece of a line that is shown, in characters. */
const SHOWN_CHARACTERS_MAX = 160;

/** What a person may want to know of a log. */
export interface LogState {
  readonly path: string;
  /** Why it is not read; `undefined` when it is. */
  readonly trouble: string | undefined;
  /** What mends that, if it is known. */
  readonly advice: string;
  /** Lines of Asterisk's that were read. */
  readonly lines: number;
  /** Those that were not believed. */
  readonly tampered: number;
  /** Bytes that were not read yet. */
  readonly behind: number;
}

/** What a {@linkcode FollowedLog} is made of. */
interface FollowedLogParts {
  readonly files: Files;
  readonly handover: Handover;
  readonly log: Pick<Log, "info" | "warn" | "limited">;
  /** Clock value, in milliseconds. */
  readonly now: () => number;
  /** Tells its lines from those of all others that are, or were, followed. */
  readonly series: number;
}

/** Reads one file. */
export class FollowedLog {
  readonly path: string;
  /** Which of the files it is. */
  readonly index: number;
  readonly #parts: FollowedLogParts;
  readonly #tail: Tail;
  readonly #reader: SecurityLogReader;
  #trouble: string | undefined;
  #advice = "";
  #readAt = -Infinity;
  #retryAt = -Infinity;
  #settled = true;
  #wasRead = false;
  #tampered = 0;

  /**
   * Nothing was read yet.
   *
   * @param path Absolute path.
   * @param index Which of the files it is.
   * @param parts What it is made of.
   */
  constructor(path: string, index: number, parts: FollowedLogParts) {
    this.path = path;
    this.index = index;
    this.#parts = parts;
    const { handover, now } = parts;
    const place = (thread: string, text: string) => ({ file: index, thread, text });
    this.#reader = new SecurityLogReader(
      {
        event: (event, verdict) => {
          const { kind, time, type, host, port, session, answer } = event;
          // A message that is not believed has the number of its place in the file.
          const own = kind === "RefusedMessage" ? "" : session;
          const text = `${time} ${type} ${host} ${port} ${own} ${answer}`;
          handover.line(event, verdict, place("", text), now());
        },
        notice: (event, told, { thread, message }) =>
          handover.line(event, told, place(thread, `${thread} ${message}`), now()),
        unissued: (kind, thread) =>
          handover.unissued(kind, place(thread, `${thread} unissued ${kind}`), now()),
        tampered: () => this.#doubt(),
      },
      new LogClock(Date.now()),
      parts.series,
    );
    this.#tail = new Tail(path, parts.files, (lines) => this.#reader.push(lines));
  }

  /** What a person may want to know. */
  get state(): LogState {
    return {
      path: this.path,
      trouble: this.#trouble,
      advice: this.#advice,
      lines: this.#reader.findings.asterisk,
      tampered: this.#tampered,
      behind: this.#tail.behind,
    };
  }

  /**
   * Reads some of what was written.
   *
   * @returns `more`: perhaps there is more; `soon`: what was read is to be settled soon; `settled`:
   *   that was done, and nothing is left; `end`: nothing is left.
   */
  step(): "more" | "soon" | "settled" | "end" {
    const { now, handover } = this.#parts;
    const at = now();
    if (at < this.#retryAt) return this.#settle(at);
    let step: ReturnType<Tail["step"]>;
    try {
      step = this.#tail.step(at);
    } catch (error) {
      this.#fail(error, at);
      return this.#settle(at);
    }
    if (step === "read") {
      this.#recovered();
      this.#readAt = at;
      this.#settled = false;
      return "more";
    }
    if (step === "absent") this.#missing(at);
    else this.#recovered();
    // What is not there now may be put back with lines of any time, and of one that is torn nobody
    // knows when it began.
    if (step === "end" && !this.#tail.isTorn) handover.atEnd(this.index, at);
    return this.#settle(at);
  }

  /** Hands on what waits to see what follows, when nothing does: also of a file that is gone. */
  #settle(at: number): "soon" | "settled" | "end" {
    if (this.#settled) return "end";
    if (at - this.#readAt < QUIET_MS) return "soon";
    this.#settled = true;
    this.#reader.flush();
    return "settled";
  }

  /** Ends it. */
  close(): void {
    this.#tail.close();
  }

  #recovered(): void {
    if (this.#trouble === undefined && this.#wasRead) return;
    if (!this.#wasRead) this.#parts.log.info(`log: following ${this.path}`);
    else this.#parts.log.info(`log: ${this.path} is followed again`);
    this.#wasRead = true;
    this.#trouble = undefined;
    this.#advice = "";
  }

  #missing(at: number): void {
    if (this.#tail.isOpen) return;
    this.#retryAt = at + ABSENT_EVERY_MS;
    this.#tell(
      `${this.path} is not there; it is waited for`,
      `if it never comes, see that logger.conf, section [logfiles], has a line for it, then: asterisk -rx 'logger reload'`,
    );
  }

  #fail(error: unknown, at: number): void {
    this.#retryAt = at + ABSENT_EVERY_MS;
    const { message, advice } = whyUnreadable(this.path, error);
    this.#tell(message, advice);
  }

  #tell(trouble: string, advice: string): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#advice = advice;
    this.#parts.log.warn(`log: ${trouble}${fixOf(advice)}`);
  }

  #doubt(): void {
    this.#tampered++;
    const text = this.#reader.findings.tampered?.text ?? "";
    this.#parts.log.limited(
      `tampered ${this.path}`,
      "warn",
      `log: ${this.path}: a line was not believed: a stranger's text is, or could be, in the place of ` +
        `Asterisk's (${this.#tampered} since the start). The first was: "${
          escapeText(text, SHOWN_CHARACTERS_MAX)
        }"`,
    );
  }
}
