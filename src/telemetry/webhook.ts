/**
 * Reports blocks, their ends, and the loss of Asterisk to an HTTP server of the administrator's.
 *
 * Nothing waits for it: notices go into a bounded queue, and one request at a time carries as many
 * as have collected. A server that is slow or dead costs memory up to {@linkcode QUEUE_MAX}
 * notices, and then the oldest notices.
 *
 * @module
 */

import { retryDelay } from "../backoff.ts";
import { type Clock, sleep, systemClock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Notice } from "./notice.ts";
import { counted } from "../text/table.ts";
import { REQUEST_MS, type WebhookFailure, WebhookServer } from "./webhook_server.ts";

/** Most notices that wait; the oldest are dropped when there are more. */
export const QUEUE_MAX = 10_000;

/** Most notices in one request. */
export const BATCH_MAX = 500;

/** How long notices collect before they are sent, in milliseconds. */
const COLLECT_MS = 1_000;

/** How often the same notices are sent before they are dropped. */
const ATTEMPTS_MAX = 5;

/** The first retry delay, in milliseconds; it doubles with each failure: 1, 2, 4, 8 s. */
const RETRY_FIRST_MS = 1_000;

/** The longest retry delay, in milliseconds. */
const RETRY_MAX_MS = 8_000;

/** Where a {@linkcode Webhook} tells of its own troubles. */
type WebhookLog = Pick<Log, "limited">;

/** What a {@linkcode Webhook} is made of. */
interface WebhookOptions {
  /** Where to; what comes after the server's name may be a secret and is never logged. */
  readonly url: string;
  /** A file with the authorities of its certificate; by default those of this machine. */
  readonly caFile?: string | undefined;
  readonly log: WebhookLog;
  readonly clock?: Clock;
}

/**
 * Sends notices.
 *
 * @example
 * ```ts ignore
 * const webhook = new Webhook({ url: "https://example.org/hook/SECRET", log });
 * webhook.send({ event: "ami-connected", time: new Date().toISOString() });
 * await webhook.stop();
 * ```
 */
export class Webhook {
  readonly #server: WebhookServer;
  readonly #log: WebhookLog;
  readonly #clock: Clock;
  readonly #queue: Notice[] = [];
  readonly #ending = new AbortController();
  /** Ends waits, but not the request that is under way. */
  readonly #hurry = new AbortController();
  #running: Promise<void> | undefined;
  #delivered = 0;
  #dropped = 0;
  #untold = 0;
  #failing = false;

  /** @param options the address and the log */
  constructor(options: WebhookOptions) {
    this.#server = new WebhookServer(options.url, options.caFile);
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
  }

  /** Notices that the server took. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Notices that were given up. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Notices that wait. */
  get queued(): number {
    return this.#queue.length;
  }

  /**
   * Puts a notice into the queue; returns at once.
   *
   * @param notice What happened.
   */
  send(notice: Notice): void {
    if (this.#hurry.signal.aborted) return;
    this.#queue.push(notice);
    if (this.#queue.length > QUEUE_MAX) {
      this.#queue.shift();
      this.#drop(1);
    }
    this.#running ??= this.#run();
  }

  /**
   * Sends what waits, once, and ends.
   *
   * @param graceMs How long that may take, in milliseconds.
   */
  async stop(graceMs = 300): Promise<void> {
    this.#hurry.abort();
    const cancel = this.#clock.after(graceMs, () => this.#ending.abort());
    await this.#running;
    cancel();
    this.#ending.abort();
    this.#server[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    await sleep(this.#clock, COLLECT_MS, this.#hurry.signal);
    while (this.#queue.length > 0 && !this.#ending.signal.aborted) {
      // They stay in the queue while they are under way, so that the bound holds for all.
      const batch = this.#queue.slice(0, BATCH_MAX);
      const told = this.#untold;
      const done = await this.#deliver(batch);
      // The queue may have been full meanwhile and have lost its oldest.
      const first = this.#queue.indexOf(batch.at(-1)!);
      const left = first + 1;
      this.#queue.splice(0, left);
      if (done) {
        this.#delivered += batch.length;
        this.#untold -= told;
      } else this.#drop(left);
      if (this.#queue.length > 0) await sleep(this.#clock, COLLECT_MS, this.#hurry.signal);
    }
    this.#drop(this.#queue.splice(0).length);
    this.#running = undefined;
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#untold += count;
  }

  /** Tries a few times; whether the server took it. */
  async #deliver(events: readonly Notice[]): Promise<boolean> {
    for (let attempt = 1;; attempt++) {
      const failure = await this.#post(events);
      if (failure === undefined) {
        if (this.#failing) {
          this.#failing = false;
          this.#log.limited(
            "webhook back",
            "info",
            `the webhook ${this.#server.origin} works again`,
          );
        }
        return true;
      }
      this.#failing = true;
      const lasting = failure.lasting || attempt === ATTEMPTS_MAX ||
        this.#hurry.signal.aborted;
      this.#log.limited(
        "webhook",
        "warn",
        `the webhook ${this.#server.origin} did not take a report: ${failure.why}. ` +
          (failure.advice === undefined ? "" : `Fix: ${failure.advice}. `) +
          (lasting
            ? `${counted(events.length, "report")} given up; blocking is not affected`
            : "It will be tried again; blocking is not affected"),
      );
      if (lasting) return false;
      const delay = retryDelay(attempt - 1, RETRY_FIRST_MS, RETRY_MAX_MS);
      await sleep(this.#clock, delay, this.#hurry.signal);
    }
  }

  /** One request; why it failed, in words without any part of the address. */
  async #post(events: readonly Notice[]): Promise<WebhookFailure | undefined> {
    const late = new AbortController();
    const cancel = this.#clock.after(REQUEST_MS, () => late.abort());
    const signal = AbortSignal.any([late.signal, this.#ending.signal]);
    const failure = await this.#server.post(events, this.#untold, signal);
    cancel();
    if (failure === undefined) return undefined;
    if (late.signal.aborted) return { why: `no answer within ${REQUEST_MS / 1000} s` };
    return this.#ending.signal.aborted ? { why: "Ampere is ending" } : failure;
  }
}
