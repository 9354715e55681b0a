/**
 * Asterisk's logs as a second source beside its manager interface: which are followed, in which
 * turns of the event loop, and what has come of them.
 *
 * @module
 */

import { EVENT_TYPES, type SecurityEvent } from "../ami/event.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { FollowedLog, type LogState } from "../logs/followed_log.ts";
import { Handover } from "../logs/handover.ts";
import { type Files, realFiles } from "../logs/tail.ts";
import { fixOf } from "../text/fix.ts";
import type { LogsState } from "../telemetry/status.ts";
import type { Pipeline } from "./pipeline.ts";

/** How often files are looked at, in milliseconds. */
const LOOK_EVERY_MS = 100;

/** How soon after a read, because a stranger's line end may wait for what follows it. */
const LOOK_SOON_MS = 20;

/** How often what waits for AMI is decided on, in milliseconds. */
const SETTLE_EVERY_MS = 100;

/** What {@linkcode Logs} joins. */
interface LogsParts {
  readonly pipeline: Pick<Pipeline, "onEvent" | "onLine" | "onBatch">;
  readonly log: Log;
  readonly clock: Clock;
  readonly files?: Files | undefined;
}

/** Follows the logs. */
export class Logs {
  readonly #parts: LogsParts;
  readonly #handover: Handover;
  readonly #charged: number[] = EVENT_TYPES.map(() => 0);
  #followed: FollowedLog[] = [];
  #cancel = () => {};
  #running = false;
  /** AMI is used. */
  #hasAmi = true;
  #connected = false;
  #settledAt = -Infinity;
  #isUnheardTold = false;
  /** How many were followed so far. */
  #series = 0;
  /** Clock value for the events of one batch of AMI. */
  #readAt: number | undefined;
  /** Tells the present turn from those that were planned before. */
  #turn = 0;

  /**
   * Nothing is followed yet.
   *
   * @param parts What it joins.
   */
  constructor(parts: LogsParts) {
    this.#parts = parts;
    this.#handover = new Handover((event, verdict) => {
      this.#charged[event.type]!++;
      parts.pipeline.onLine(event, verdict);
    });
  }

  /** Whether there is any: if not, AMI's events need not pass here. */
  get isOn(): boolean {
    return this.#followed.length > 0;
  }

  /** What a person may want to know; `undefined` if there is none. */
  get state(): LogsState | undefined {
    if (!this.isOn) return undefined;
    const charged = new Map<string, number>();
    EVENT_TYPES.forEach(({ kind, service }, type) => {
      const count = this.#charged[type]!;
      if (count > 0) charged.set(`${kind} ${service}`, count);
    });
    return {
      files: this.#followed.map(({ state }): LogState => state),
      charged,
      dropped: this.#handover.dropped,
      waiting: this.#handover.waiting,
    };
  }

  /**
   * Takes over which files are followed.
   *
   * @param paths Absolute paths.
   * @param hasAmi AMI is used, too.
   */
  configure(paths: readonly string[], hasAmi: boolean): void {
    this.#hasAmi = hasAmi;
    this.#followAll(paths);
    if (!this.#connected) this.#away();
    this.#schedule(0);
  }

  /** Of a file that stays nothing is missed. */
  #followAll(paths: readonly string[]): void {
    const before = this.#followed;
    const kept = before.filter(({ path }) => paths.includes(path));
    for (const one of before) if (!kept.includes(one)) one.close();
    const { log, clock, files = realFiles } = this.#parts;
    const now = () => clock.now();
    const parts = () => ({ files, log, handover: this.#handover, now, series: this.#series++ });
    const taken = new Set(kept.map(({ index }) => index));
    const fresh: number[] = [];
    this.#followed = paths.map((path) => {
      const known = kept.find((one) => one.path === path);
      if (known !== undefined) return known;
      let index = 0;
      while (taken.has(index)) index++;
      taken.add(index);
      fresh.push(index);
      return new FollowedLog(path, index, parts());
    });
    this.#handover.setFiles(paths.length, fresh);
  }

  /** Begins to read. */
  start(): void {
    this.#running = true;
    this.#schedule(0);
  }

  /** Ends it. */
  close(): void {
    this.#running = false;
    this.#turn++;
    this.#cancel();
    for (const one of this.#followed) one.close();
    this.#handover.finish(this.#parts.clock.now());
  }

  /** AMI's events arrive from now on. */
  connected(): void {
    this.#connected = true;
    this.#isUnheardTold = false;
    this.#handover.amiUp(this.#parts.clock.now());
  }

  /** They do not any more. */
  disconnected(): void {
    this.#connected = false;
    this.#away();
    if (this.isOn) this.#parts.pipeline.onBatch();
  }

  /** An event of AMI: handed on unless a line of the same request was charged. */
  readonly onEvent = (event: SecurityEvent, verdict: "security" | "doubled"): void => {
    if (this.#handover.amiEvent(event, this.#readAt ??= this.#parts.clock.now())) {
      this.#parts.pipeline.onEvent(event, verdict);
    }
  };

  /** Something has come from AMI. */
  readonly onHeard = (): void => {
    if (this.#connected) this.#handover.amiHeard(this.#parts.clock.now());
  };

  /** All that came together from AMI has been handed on. */
  readonly onBatch = (): void => {
    this.#readAt = undefined;
    this.#parts.pipeline.onBatch();
  };

  #away(): void {
    const now = this.#parts.clock.now();
    if (this.#hasAmi) this.#handover.amiDown(now);
    else this.#handover.amiUnused(now);
  }

  #schedule(ms: number): void {
    this.#cancel();
    const turn = ++this.#turn;
    if (!this.#running || !this.isOn) return;
    const look = () => {
      if (turn === this.#turn) this.#look();
    };
    if (ms > 0) this.#cancel = this.#parts.clock.after(ms, look);
    else this.#parts.clock.soon(look);
  }

  /** One step of each file; then AMI has its turn. */
  #look(): void {
    const { clock, pipeline } = this.#parts;
    let next = LOOK_EVERY_MS;
    let isRead = false;
    for (const one of this.#followed) {
      const step = one.step();
      isRead ||= step !== "end";
      if (step === "more") next = 0;
      else if (step === "soon") next = Math.min(next, LOOK_SOON_MS);
    }
    const now = clock.now();
    if (now - this.#settledAt >= SETTLE_EVERY_MS) {
      this.#settledAt = now;
      this.#handover.advance(now);
      if (this.#handover.unheard >= UNHEARD_MIN && !this.#isUnheardTold) this.#tellUnheard();
      isRead = true;
    }
    if (isRead) pipeline.onBatch(this.#isLate);
    this.#schedule(next);
  }

  /** AMI answers, and tells of nobody, though the log does. */
  #tellUnheard(): void {
    this.#isUnheardTold = true;
    this.#parts.log.warn(
      `log: AMI has told of nobody since its login, though the log has: the AMI user may not read ` +
        `security events, or an eventfilter hides them. The log counts meanwhile${
          fixOf(UNHEARD_ADVICE)
        }`,
    );
  }

  /** What is read now was written a while ago. */
  get #isLate(): boolean {
    return this.#followed.some(({ state }) => state.behind > LATE_BYTES);
  }
}

/** From so many lines on it is no chance that AMI has told of none of them. */
const UNHEARD_MIN = 3;

const UNHEARD_ADVICE = "in manager.conf, section of the user: read = security,system,user; then: " +
  "asterisk -rx 'manager reload' && systemctl restart ampere; what arrives: ampere --check";

/** So many bytes behind its end a log tells of the past. */
const LATE_BYTES = 256 * 1024;
