/**
 * One messenger: what is told at once, what waits, and what is tried again.
 *
 * Nothing waits for it: what happens is counted and put into bounded lists, and one message at a
 * time is under way. A server that is slow or dead costs memory up to {@linkcode LINES_MAX} lines,
 * and then the oldest lines.
 *
 * @module
 */

import { retryDelay } from "../../backoff.ts";
import { type Clock, sleep } from "../../clock.ts";
import type { MessengerConfig } from "../../config/messengers.ts";
import type { Log } from "../../log.ts";
import { counted } from "../../text/table.ts";
import type { Notice } from "../notice.ts";
import { Digest, digestLines, type ShownDigest } from "./digest.ts";
import type { Message, Sender, SendFailure } from "./message.ts";
import { isQuiet } from "./quiet_hours.ts";
import { type Urgency, urgencyOf } from "./urgency.ts";
import { lineOf } from "./wording.ts";

/** Most lines that wait to be told; the oldest are dropped when there are more. */
export const LINES_MAX = 1_000;

/** Most lines of things that happened in one message; the rest is counted. */
const LINES_PER_MESSAGE_MAX = 50;

/** How long things collect before they are told together, in milliseconds. */
const COLLECT_MS = 2_000;

/** Asterisk is told as lost when it is for so long, in milliseconds: a restart is over sooner. */
export const LOST_MS = 60_000;

/** The same within quiet hours, in milliseconds. */
export const LOST_QUIETLY_MS = 300_000;

/**
 * The shortest time between two messages about what is urgent, in milliseconds, so that a firewall
 * that comes and goes does not use up what a server takes in a day.
 */
const URGENT_EVERY_MS = 30_000;

/**
 * The same about other things that happen; it doubles while they go on, up to
 * {@linkcode PROMPT_EVERY_MAX_MS}: an attack on many accounts is told in a few messages.
 */
const PROMPT_EVERY_MS = 60_000;

/** The longest such time, in milliseconds. */
const PROMPT_EVERY_MAX_MS = 1_800_000;

/** How often it is looked whether something that waits is due, in milliseconds. */
const LOOK_MS = 15_000;

/** How long one try may take, in milliseconds; SMTP servers may let one wait on purpose. */
const TRY_MS = 60_000;

/** The first retry delay, in milliseconds; it doubles with each failure. */
const RETRY_FIRST_MS = 5_000;

/** The longest retry delay, in milliseconds. */
const RETRY_MAX_MS = 600_000;

/** The longest wait that a server may ask for, in milliseconds. */
const RETRY_AFTER_MAX_MS = 3_600_000;

/** How often the same message is tried before it is dropped: for about an hour and a half. */
const TRIES_MAX = 15;

/** Something that waits to be told. */
interface Line {
  readonly text: string;
  readonly event: Notice;
}

/** What is known of a messenger. */
export interface MessengerState {
  readonly name: string;
  readonly format: MessengerConfig["format"];
  /** Messages that were taken. */
  readonly delivered: number;
  /** Things that were not told, because they waited too long or were too many. */
  readonly dropped: number;
  /** Things that wait to be told. */
  readonly waiting: number;
  /** When the last message was taken, in milliseconds since 1970. */
  readonly lastAt: number | undefined;
  /** Why the last try was in vain; `undefined` if it was not. */
  readonly trouble: SendFailure | undefined;
}

/** What a {@linkcode Messenger} is made of. */
interface MessengerParts {
  readonly config: MessengerConfig;
  readonly sender: Sender;
  readonly log: Pick<Log, "limited">;
  readonly clock: Clock;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** A message that is to be delivered. */
interface Pending {
  readonly message: Message;
  /** What it tells, counted. */
  readonly count: number;
  /** Of how many that were dropped it tells. */
  readonly untold: number;
  tries: number;
  /** Not before this clock value. */
  notBefore: number;
}

/** Tells one receiver. */
export class Messenger {
  readonly #parts: MessengerParts;
  readonly #digest = new Digest();
  /** When the first thing came into it, by the clock. */
  #digestSince = 0;
  readonly #lines: Readonly<Record<"urgent" | "prompt", Line[]>> = { urgent: [], prompt: [] };
  readonly #pending: { urgent?: Pending | undefined; calm?: Pending | undefined } = {};
  /** When the last message of a kind was made, by the clock. */
  readonly #madeAt = { urgent: -Infinity, prompt: -Infinity };
  #promptEveryMs = PROMPT_EVERY_MS;
  /** The server wants nobody to come before this clock value. */
  #closedUntil = -Infinity;
  /** Ends waits; a new one for each. */
  #wake = new AbortController();
  /** Ends waits, but not the try that is under way. */
  #isEnding = false;
  readonly #ending = new AbortController();
  #running: Promise<void> | undefined;
  #cancelLost: (() => void) | undefined;
  #lostIsTold = false;
  #delivered = 0;
  #dropped = 0;
  /** Things that were dropped and of which nobody was told yet. */
  #untold = 0;
  #lastAt: number | undefined;
  #trouble: SendFailure | undefined;
  #count = 0;

  /**
   * Nothing has happened yet.
   *
   * @param parts Who is told, and how.
   */
  constructor(parts: MessengerParts) {
    this.#parts = parts;
  }

  /** What the section says that it was made from. */
  get config(): MessengerConfig {
    return this.#parts.config;
  }

  /** How it is. */
  get state(): MessengerState {
    const { config: { name, format } } = this.#parts;
    const { urgent, calm } = this.#pending;
    const waiting = this.#lines.urgent.length + this.#lines.prompt.length + (urgent?.count ?? 0) +
      (calm?.count ?? 0);
    return {
      name,
      format,
      delivered: this.#delivered,
      dropped: this.#dropped,
      waiting,
      lastAt: this.#lastAt,
      trouble: this.#trouble,
    };
  }

  /**
   * Something has happened; returns at once.
   *
   * @param notice What.
   */
  tell(notice: Notice): void {
    if (this.#isEnding) return;
    if (notice.event === "ami-lost") this.#asteriskLost(notice);
    else if (notice.event === "ami-connected") this.#asteriskBack(notice);
    const urgency = urgencyOf(notice);
    if (urgency !== "digest") this.#put(notice, urgency);
    if (this.config.digest === 0) return;
    const wasEmpty = this.#digest.isEmpty;
    this.#digest.add(notice);
    if (!wasEmpty || this.#digest.isEmpty) return;
    this.#digestSince = this.#parts.clock.now();
    this.#start();
  }

  /**
   * Sends what waits, once, and ends.
   *
   * @param graceMs How long that may take, in milliseconds.
   */
  async stop(graceMs: number): Promise<void> {
    this.#isEnding = true;
    this.#cancelLost?.();
    if (this.#running === undefined && !this.#digest.isEmpty) this.#start();
    this.#wake.abort();
    const cancel = this.#parts.clock.after(graceMs, () => this.#ending.abort());
    await this.#running;
    cancel();
    this.#parts.sender[Symbol.dispose]();
    if (this.#isIdle) return;
    const { config: { name }, log } = this.#parts;
    log.limited(
      `notify ${name} end`,
      "info",
      `[notify ${name}] ends with ${
        counted(this.state.waiting, "event")
      } and a digest that were not told; they stand in the log`,
    );
  }

  /** A loss that is over soon is not told at once. */
  #asteriskLost(notice: Notice): void {
    if (this.#cancelLost !== undefined || this.#lostIsTold) return;
    const ms = this.#isQuiet ? LOST_QUIETLY_MS : LOST_MS;
    this.#cancelLost = this.#parts.clock.after(ms, () => {
      this.#cancelLost = undefined;
      this.#lostIsTold = true;
      this.#put(notice, "urgent");
    });
  }

  #asteriskBack(notice: Notice): void {
    this.#cancelLost?.();
    this.#cancelLost = undefined;
    if (!this.#lostIsTold) return;
    this.#lostIsTold = false;
    this.#put(notice, "urgent");
  }

  #put(event: Notice, urgency: Exclude<Urgency, "digest">): void {
    const lines = this.#lines[urgency];
    lines.push({ text: lineOf(event), event });
    if (lines.length > LINES_MAX) {
      lines.shift();
      this.#drop(1);
    }
    if (urgency === "urgent") this.#wake.abort();
    this.#start();
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#untold += count;
  }

  get #isQuiet(): boolean {
    return isQuiet(this.config.quiet, this.#parts.wallClock());
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  /** Runs as long as something waits. */
  async #run(): Promise<void> {
    await this.#sleep(COLLECT_MS);
    while (!this.#ending.signal.aborted) {
      this.#compose();
      const next = this.#next();
      if (next !== undefined) await this.#deliver(next);
      else if (this.#isEnding || this.#isIdle) break;
      else await this.#sleep(this.#untilNext());
    }
    this.#running = undefined;
  }

  get #isIdle(): boolean {
    const { urgent, calm } = this.#pending;
    const lines = this.#lines.urgent.length + this.#lines.prompt.length;
    return urgent === undefined && calm === undefined && lines === 0 && this.#digest.isEmpty;
  }

  /** Makes messages of what is due, as long as none of the kind is under way. */
  #compose(): void {
    const { urgent, prompt } = this.#lines;
    const now = this.#parts.clock.now();
    if (urgent.length > 0 && this.#pending.urgent === undefined && this.#mayTell("urgent")) {
      this.#madeAt.urgent = now;
      this.#pending.urgent = this.#message("urgent", urgent.splice(0));
    }
    if (this.#pending.calm !== undefined || this.#isQuiet) return;
    const { digest: everySeconds } = this.config;
    const isDue = everySeconds > 0 && !this.#digest.isEmpty &&
      (this.#isEnding || now - this.#digestSince >= everySeconds * 1000);
    const isPrompt = prompt.length > 0 && (isDue || this.#mayTell("prompt"));
    if (!isDue && !isPrompt) return;
    if (isPrompt) this.#notePrompt(now);
    const digest = isDue ? this.#digest.take() : undefined;
    this.#pending.calm = this.#message(
      isPrompt ? "prompt" : "digest",
      prompt.splice(0),
      digest,
    );
  }

  /** Whether enough time has passed since the last message of a kind. */
  #mayTell(kind: "urgent" | "prompt"): boolean {
    const everyMs = kind === "urgent" ? URGENT_EVERY_MS : this.#promptEveryMs;
    return this.#isEnding || this.#parts.clock.now() - this.#madeAt[kind] >= everyMs;
  }

  /** A message is made: the next one comes later if this one follows soon after the last. */
  #notePrompt(now: number): void {
    const goesOn = now - this.#madeAt.prompt < 2 * this.#promptEveryMs;
    this.#promptEveryMs = goesOn
      ? Math.min(2 * this.#promptEveryMs, PROMPT_EVERY_MAX_MS)
      : PROMPT_EVERY_MS;
    this.#madeAt.prompt = now;
  }

  #message(kind: Message["kind"], lines: readonly Line[], digest?: ShownDigest): Pending {
    const { config, wallClock } = this.#parts;
    const shown = lines.slice(0, LINES_PER_MESSAGE_MAX);
    const more = lines.length - shown.length;
    const time = new Date(wallClock()).toISOString();
    const texts = [
      ...shown.map(({ text }) => text),
      ...(more > 0 ? [`and ${counted(more, "more event")}: see the log`] : []),
      ...(digest === undefined ? [] : digestLines(digest)),
      ...(this.#untold === 0
        ? []
        : [`${counted(this.#untold, "event")} before could not be told: see the log`]),
    ];
    const message: Message = {
      id: `ampere-${this.#parts.clock.now().toString(36)}-${++this.#count}`.replaceAll(".", "-"),
      kind,
      title: `${config.title}: ${titleOf(kind, lines, digest)}`,
      lines: texts,
      events: shown.map(({ event }) => event),
      digest,
      time,
    };
    const count = lines.length + (digest === undefined ? 0 : 1);
    return { message, count, untold: this.#untold, tries: 0, notBefore: -Infinity };
  }

  /** What can be sent now: what is urgent first. */
  #next(): Pending | undefined {
    const now = this.#parts.clock.now();
    if (now < this.#closedUntil && !this.#isEnding) return undefined;
    const { urgent, calm } = this.#pending;
    const may = (pending: Pending | undefined) =>
      pending !== undefined && (now >= pending.notBefore || this.#isEnding);
    if (may(urgent)) return urgent;
    return may(calm) && !this.#isQuiet ? calm : undefined;
  }

  #untilNext(): number {
    const now = this.#parts.clock.now();
    const { urgent, calm } = this.#pending;
    const times = [urgent, this.#isQuiet ? undefined : calm].flatMap((one) =>
      one === undefined ? [] : [one.notBefore - now]
    );
    if (urgent === undefined && this.#lines.urgent.length > 0) {
      times.push(this.#madeAt.urgent + URGENT_EVERY_MS - now);
    }
    const first = Math.max(Math.min(LOOK_MS, ...times), this.#closedUntil - now);
    return Math.max(1, Math.min(LOOK_MS, first));
  }

  async #deliver(pending: Pending): Promise<void> {
    const failure = await this.#try(pending.message);
    const isUrgent = pending === this.#pending.urgent;
    const before = this.#trouble;
    this.#trouble = failure;
    if (failure === undefined || failure.taken) {
      this.#forget(isUrgent);
      this.#delivered++;
      this.#untold -= Math.min(pending.untold, this.#untold);
      this.#lastAt = this.#parts.wallClock();
      if (failure !== undefined) this.#tellFailure(failure, "The others have it");
      else if (before !== undefined) this.#tellBack();
      return;
    }
    pending.tries++;
    const isLast = pending.tries >= TRIES_MAX || this.#isEnding;
    this.#tellFailure(
      failure,
      isLast ? `${counted(pending.count, "event")} not told` : "It will be tried again",
    );
    if (isLast) {
      this.#forget(isUrgent);
      this.#drop(pending.count);
      return;
    }
    const now = this.#parts.clock.now();
    const wait = failure.lasting
      ? RETRY_MAX_MS
      : retryDelay(pending.tries - 1, RETRY_FIRST_MS, RETRY_MAX_MS);
    pending.notBefore = now + wait;
    if (failure.retryAfterMs !== undefined) {
      this.#closedUntil = now + Math.min(failure.retryAfterMs, RETRY_AFTER_MAX_MS);
    }
  }

  #forget(isUrgent: boolean): void {
    this.#pending[isUrgent ? "urgent" : "calm"] = undefined;
  }

  async #try(message: Message): Promise<SendFailure | undefined> {
    const late = new AbortController();
    const cancel = this.#parts.clock.after(TRY_MS, () => late.abort());
    const signal = AbortSignal.any([late.signal, this.#ending.signal]);
    const failure = await this.#parts.sender.send(message, signal);
    cancel();
    if (failure === undefined) return undefined;
    if (this.#ending.signal.aborted) return { why: "Ampere is ending" };
    return late.signal.aborted ? { why: `no end within ${TRY_MS / 1000} s` } : failure;
  }

  #tellFailure({ why, advice }: SendFailure, outcome: string): void {
    const { config: { name }, sender, log } = this.#parts;
    log.limited(
      `notify ${name}`,
      "warn",
      `[notify ${name}] ${sender.shown} did not take a message: ${why}. ` +
        (advice === undefined ? "" : `Fix: ${advice}. `) +
        `${outcome}; blocking is not affected`,
    );
  }

  #tellBack(): void {
    const { config: { name }, sender, log } = this.#parts;
    log.limited(`notify ${name} back`, "info", `[notify ${name}] ${sender.shown} works again`);
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#isEnding) return;
    await sleep(this.#parts.clock, ms, this.#wake.signal);
    // Whatever is urgent collects for a moment too: both families may be lost at once.
    if (this.#wake.signal.aborted && !this.#isEnding) {
      this.#wake = new AbortController();
      await sleep(this.#parts.clock, COLLECT_MS / 4, this.#wake.signal);
      if (this.#wake.signal.aborted && !this.#isEnding) this.#wake = new AbortController();
    }
  }
}

/** What a message is about, in words without any text of strangers. */
function titleOf(
  kind: Message["kind"],
  lines: readonly Line[],
  digest: ShownDigest | undefined,
): string {
  const [first] = lines;
  if (first === undefined) {
    return digest === undefined ? "a test" : `${counted(digest.blocks, "new block")}`;
  }
  const words = TITLES[first.event.event] ?? "something happened";
  const more = lines.length - 1;
  return more === 0 || kind === "test" ? words : `${words}, and ${more} more`;
}

const TITLES: Partial<Record<Notice["event"], string>> = {
  "firewall-lost": "blocks are not in force",
  "firewall-restored": "blocks are in force again",
  "ami-lost": "Asterisk's events do not arrive",
  "ami-connected": "Asterisk's events arrive again",
  "account-guarded": "an account is attacked by many hosts",
  "insider": "a host of yours fails on accounts of others",
  "new-place": "a login from a new place",
  "block": "somebody who belongs here was blocked",
};

/**
 * A message in which nothing has happened.
 *
 * @param config Who is told.
 * @param now Time of day, in milliseconds since 1970.
 */
export function testMessage({ title }: MessengerConfig, now: number): Message {
  const time = new Date(now).toISOString();
  const event: Notice = { event: "check", time };
  return {
    id: `ampere-test-${now.toString(36)}`,
    kind: "test",
    title: `${title}: a test`,
    lines: [lineOf(event)],
    events: [event],
    digest: undefined,
    time,
  };
}
