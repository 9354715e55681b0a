/**
 * Nodes of a fleet for tests: everything but the firewall and Asterisk is real.
 *
 * @module
 */

import { Fleet } from "../../src/fleet/fleet.ts";
import type { RefusalReason, SharedBlock } from "../../src/fleet/engine.ts";
import { RedisEngine } from "../../src/fleet/redis.ts";
import type { EngineAddress } from "../../src/fleet/resp.ts";
import { systemClock } from "../../src/clock.ts";

/** A node with a list of its own in memory. */
export class TestNode implements AsyncDisposable {
  readonly list = new Map<string, { end: number; since: number; from: string }>();
  readonly trusted = new Map<string, RefusalReason>();
  readonly log: string[] = [];
  readonly fleet: Fleet;
  /** Added to the time of day. */
  clockAhead = 0;
  readonly #name: string;

  /**
   * A node that runs.
   *
   * @param name Its name.
   * @param address Where the engine is.
   * @param maxPerHour `fleet_max`.
   */
  constructor(
    name: string,
    address: Partial<EngineAddress> & { readonly port: number },
    maxPerHour = 500_000,
  ) {
    this.#name = name;
    const whole: EngineAddress = {
      host: "127.0.0.1",
      tls: false,
      ca: undefined,
      user: undefined,
      database: 0,
      secret: () => undefined,
      ...address,
    };
    const tell = (text: string) => void this.log.push(text);
    this.fleet = new Fleet({
      node: name,
      engine: new RedisEngine(whole, "ampere:"),
      place: `127.0.0.1:${address.port}`,
      maxPerHour,
      list: {
        endOf: (target) => this.list.get(target)?.end ?? 0,
        sinceOf: (target) => this.list.get(target)?.since ?? 0,
        refusalOf: (target) => this.trusted.get(target),
        block: (blocks) => {
          for (const { target, end, since, node } of blocks) {
            this.list.set(target, { end, since, from: node });
          }
        },
        release: (targets) => {
          for (const target of targets) this.list.delete(target);
        },
      },
      listed: () =>
        [...this.list].map(([target, { end, since, from }]) => ({
          ...blockOf(target, end, since),
          node: from,
        })),
      log: { info: tell, warn: tell, limited: (_key, _level, text) => tell(text) },
      clock: systemClock,
      wallClock: () => Date.now() + this.clockAhead,
    });
  }

  /** Begins. */
  start(): this {
    this.fleet.start();
    return this;
  }

  /** Blocks a target here. */
  block(target: string, end = Infinity): void {
    const since = Date.now();
    this.list.set(target, { end, since, from: this.#name });
    this.fleet.blocked(blockOf(target, end, since));
  }

  /** Deletes a target here by hand. */
  release(target: string): void {
    this.list.delete(target);
    this.fleet.released([target]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.fleet.close();
  }
}

function blockOf(target: string, end: number, since: number): Omit<SharedBlock, "at" | "node"> {
  const reason = "3 wrong passwords";
  return { target, end, since, reason, service: "PJSIP", transport: "UDP", account: "100" };
}

/**
 * Waits for a condition.
 *
 * @param what For the message.
 * @param holds The condition.
 */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 3_000; tries++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never: ${what}`);
}
