/**
 * Made-up streams of many hosts, of which it is known who attacks and who belongs here: each event
 * at its own time, with the rules of Ampere between the hosts and Asterisk.
 */

import { EventReader } from "../../src/ami/event_reader.ts";
import { AddressSet } from "../../src/address/address_set.ts";
import { Simulation } from "../../src/commands/replay/simulation.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { BANNER, bytesOf, remoteOf, successfulAuth, wrongAnswer } from "./asterisk_events.ts";

const BEGIN = Date.parse("2026-11-22T08:00:00Z");

/** A stream. */
export class Stream {
  readonly simulation: Simulation;
  /** Wrong answers that reached Asterisk, by address. */
  readonly judged = new Map<string, number>();
  /** Logins that reached Asterisk, by address, and those that a block was in the way of. */
  readonly logins = new Map<string, number>();
  readonly hindered = new Map<string, number>();
  readonly #events: { at: number; address: string; text: string; wrong: boolean }[] = [];

  /**
   * @param config How it is configured.
   * @param trust Canonical targets.
   */
  constructor(config: Partial<Config> = {}, trust: readonly string[] = []) {
    this.simulation = new Simulation({ ...DEFAULT_CONFIG, ...config }, new AddressSet(trust));
  }

  /**
   * A wrong password, at milliseconds from the beginning.
   *
   * @param session By default of its own.
   */
  wrong(at: number, address: string, account: string, transport = "UDP", session?: string): this {
    const fields = { account, remote: remoteOf(address, transport) };
    const text = wrongAnswer(address, session === undefined ? fields : { ...fields, session });
    this.#events.push({ at, address, text, wrong: true });
    return this;
  }

  /** A right one. */
  login(at: number, address: string, account: string, transport = "UDP"): this {
    const text = successfulAuth(address, { account, remote: remoteOf(address, transport) });
    this.#events.push({ at, address, text, wrong: false });
    return this;
  }

  /** All of it happens. */
  run(): this {
    let passed = false;
    let at = BEGIN;
    const reader = new EventReader({
      banner: () => {},
      response: () => {},
      tampered: () => {},
      event: (event, verdict) => {
        passed = this.simulation.take(event, at, verdict === "security");
      },
    });
    reader.push(bytesOf(BANNER));
    const count = (counts: Map<string, number>, address: string) =>
      counts.set(address, (counts.get(address) ?? 0) + 1);
    for (const event of this.#events.sort((a, b) => a.at - b.at)) {
      at = BEGIN + event.at;
      reader.push(bytesOf(event.text));
      reader.flushWithheld();
      if (event.wrong && passed) count(this.judged, event.address);
      if (!event.wrong) count(passed ? this.logins : this.hindered, event.address);
    }
    this.simulation.finish();
    return this;
  }

  /** Who was blocked, each once, in order. */
  get blocked(): string[] {
    return [...new Set(this.simulation.blocks.map(({ target }) => target))];
  }

  /** All wrong answers that reached Asterisk. */
  get judgedTotal(): number {
    return [...this.judged.values()].reduce((sum, count) => sum + count, 0);
  }
}
