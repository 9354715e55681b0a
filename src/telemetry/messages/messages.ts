/**
 * All who are told, as the configuration names them.
 *
 * @module
 */

import { type Clock, systemClock } from "../../clock.ts";
import type { MessengerConfig } from "../../config/messengers.ts";
import type { Log } from "../../log.ts";
import type { Notice } from "../notice.ts";
import { HttpSender } from "./http_sender.ts";
import type { Sender } from "./message.ts";
import { Messenger, type MessengerState } from "./messenger.ts";

/** How long the last messages may take at the end, in milliseconds. */
const GRACE_MS = 2_000;

/**
 * What takes messages of a kind; that of e-mail is loaded only when it is needed.
 *
 * @param config The messenger.
 */
export async function senderOf(config: MessengerConfig): Promise<Sender> {
  if (config.format !== "email") return new HttpSender(config);
  const { MailSender } = await import("./mail_sender.ts");
  return new MailSender(config);
}

/** All messengers. */
export class Messages {
  readonly #log: Pick<Log, "limited">;
  readonly #clock: Clock;
  readonly #wallClock: () => number;
  #messengers: readonly Messenger[] = [];
  /** What goes on: losses that are not over. */
  readonly #standing = new Map<string, Notice>();

  /**
   * Nobody is told yet.
   *
   * @param log Takes what fails.
   * @param clock For intervals.
   * @param wallClock Time of day, in milliseconds since 1970.
   */
  constructor(
    log: Pick<Log, "limited">,
    clock: Clock = systemClock,
    wallClock: () => number = Date.now,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#wallClock = wallClock;
  }

  /** How each of them is. */
  get states(): MessengerState[] {
    return this.#messengers.map(({ state }) => state);
  }

  /**
   * Something has happened; returns at once.
   *
   * @param notice What.
   */
  tell(notice: Notice): void {
    this.#note(notice);
    for (const messenger of this.#messengers) messenger.tell(notice);
  }

  /**
   * Takes over a configuration: who stands there as before goes on, who is new hears what goes on.
   *
   * @param configs The sections.
   */
  async apply(configs: readonly MessengerConfig[]): Promise<void> {
    const before = new Set(this.#messengers);
    const now: Messenger[] = [];
    for (const config of configs) {
      const known = [...before].find((one) => isSame(one.config, config));
      if (known !== undefined) before.delete(known);
      now.push(known ?? await this.#begin(config));
    }
    this.#messengers = now;
    await Promise.all([...before].map((one) => one.stop(GRACE_MS)));
  }

  /** Ends all. */
  async stop(): Promise<void> {
    await this.apply([]);
  }

  async #begin(config: MessengerConfig): Promise<Messenger> {
    const messenger = new Messenger({
      config,
      sender: await senderOf(config),
      log: this.#log,
      clock: this.#clock,
      wallClock: this.#wallClock,
    });
    // Else a reload in the middle of a loss would keep quiet about it, and about its end.
    for (const notice of this.#standing.values()) messenger.tell(notice);
    return messenger;
  }

  #note(notice: Notice): void {
    switch (notice.event) {
      case "ami-lost":
        return void this.#standing.set("ami", notice);
      case "ami-connected":
        return void this.#standing.delete("ami");
      case "firewall-lost":
        return void this.#standing.set(`firewall ${notice.family}`, notice);
      case "firewall-restored":
        return void this.#standing.delete(`firewall ${notice.family}`);
    }
  }
}

/** Whether two sections say the same, wherever they stand. */
function isSame(a: MessengerConfig, b: MessengerConfig): boolean {
  return JSON.stringify({ ...a, line: 0, file: "" }) ===
    JSON.stringify({ ...b, line: 0, file: "" });
}
