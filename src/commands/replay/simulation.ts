/**
 * What Ampere would have done with recorded events: the penalty table with the events' own times
 * for its clock.
 *
 * @module
 */

import type { AddressSet } from "../../address/address_set.ts";
import type { SecurityEvent } from "../../ami/event.ts";
import { type Block, hasEnded } from "../../blocks/block.ts";
import type { Config } from "../../config/config.ts";
import type { Grounds, Offence } from "../../penalties/offence.ts";
import { PenaltyTable } from "../../penalties/penalty_table.ts";
import { HostNetworks } from "../../penalties/host_key.ts";
import { blockOf, policyOf } from "../../penalties/policy.ts";

/** The daemon looks at its table so often, in milliseconds. */
const TICK_MS = 250;

/** A block that would have been made. */
export interface WouldBlock extends Omit<Block, "since"> {
  /** In milliseconds since 1970. */
  readonly at: number;
  /** What it rests on. */
  readonly grounds: Grounds;
  /** Events of it while it was blocked: those that would not have happened. */
  eventsAfter: number;
}

/**
 * One run of the rules.
 *
 * @example
 * ```ts ignore
 * const simulation = new Simulation(config, exemptAddresses(config.trust));
 * simulation.take(event, Date.parse("2026-11-22T08:09:09Z"), true);
 * simulation.finish();
 * console.log(simulation.blocks.length);
 * ```
 */
export class Simulation {
  readonly blocks: WouldBlock[] = [];
  readonly table: PenaltyTable;
  readonly #config: Config;
  readonly #networks: HostNetworks;
  readonly #standing = new Map<string, WouldBlock>();
  #now = 0;
  #advancedAt = 0;

  /**
   * @param config The rules.
   * @param exempt Who is never charged.
   */
  constructor(config: Config, exempt: AddressSet) {
    this.#config = config;
    this.#networks = new HostNetworks(config.ipv6Prefix, config.nat64);
    this.table = new PenaltyTable(policyOf(config, exempt));
  }

  /** The clock, in milliseconds since 1970. */
  get now(): number {
    return this.#now;
  }

  /**
   * Takes an event.
   *
   * @param event The event.
   * @param at Its time, in milliseconds since 1970; what is earlier than the one before counts as
   *   of that time.
   * @param obey False for an event that may be charged but not believed.
   * @returns Whether it counted; false when the host was blocked already.
   */
  take(event: SecurityEvent, at: number, obey: boolean): boolean {
    // A time that is no number leaves the clock where it is.
    if (at > this.#now) {
      // Who belongs here is not known at the beginning of a recording, as at the first start.
      if (this.#now === 0) this.table.learnUntil(at + this.#config.learn * 1000);
      this.#now = at;
    }
    this.#advance();
    const block = this.#blockOf(event);
    if (block !== undefined) {
      block.eventsAfter++;
      return false;
    }
    this.table.record(event, this.#now, obey);
    this.#blockOffenders();
    return true;
  }

  /** The input has ended: what was left unanswered is charged. */
  finish(): void {
    for (;;) {
      const next = this.table.nextDeadline;
      if (next === undefined) return;
      this.#now = Math.max(this.#now, next);
      this.table.advance(this.#now);
      this.#blockOffenders();
    }
  }

  /** Charges each lapse of patience at its own time. */
  #advance(): void {
    for (;;) {
      const next = this.table.nextDeadline;
      if (next === undefined || next > this.#now) break;
      this.table.advance(next);
      this.#blockOffenders();
    }
    if (this.#now - this.#advancedAt < TICK_MS) return;
    this.#advancedAt = this.#now;
    this.table.advance(this.#now);
    this.#blockOffenders();
  }

  #blockOffenders(): void {
    for (const offence of this.table.takeOffences()) this.#block(offence);
  }

  #block(offence: Offence): void {
    const before = this.#standing.get(offence.target);
    // What was waiting when the block was made may still lapse.
    if (before !== undefined && !hasEnded(before, offence.at)) return;
    const times = before?.times ?? 0;
    const { since, counts, ...made } = blockOf(offence, this.#config, () => times, offence.at);
    const block: WouldBlock = {
      ...made,
      at: since,
      times: counts === false ? Math.max(times, 1) : times + 1,
      grounds: offence.grounds,
      eventsAfter: 0,
    };
    this.#standing.set(offence.target, block);
    this.blocks.push(block);
  }

  /** The block in force that an event's host is under. */
  #blockOf(event: SecurityEvent): WouldBlock | undefined {
    if (this.#standing.size === 0) return undefined;
    let block = this.#standing.get(event.address);
    if (block === undefined && typeof event.host === "string") {
      // Who logged in is let through a block of its network.
      if (this.table.isInGoodStanding(event.host, this.#now)) return undefined;
      block = this.#standing.get(this.#networks.of(event.host));
    }
    return block !== undefined && !hasEnded(block, this.#now) ? block : undefined;
  }
}
