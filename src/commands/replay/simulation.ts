/**
 * What Ampere would have done with recorded events: the penalty table with the events' own times
 * for its clock.
 *
 * @module
 */

import type { AddressSet } from "../../address/address_set.ts";
import type { SecurityEvent } from "../../ami/event.ts";
import { type Block, hasEnded, type NewBlock } from "../../blocks/block.ts";
import { type Config, neighboursOf } from "../../config/config.ts";
import type { GuardChange, GuardedAccount } from "../../penalties/account_guard.ts";
import type { Grounds, Offence } from "../../penalties/offence.ts";
import { PenaltyTable } from "../../penalties/penalty_table.ts";
import { HostNetworks } from "../../penalties/host_key.ts";
import { blockOf, policyOf } from "../../penalties/policy.ts";
import type { StrictHosts } from "../../penalties/strict.ts";
import {
  countsForNeighbours,
  neighbourhoodsOf,
  Neighbours,
  neighboursBlock,
} from "../../penalties/neighbours.ts";

/** The daemon looks at its table so often, in milliseconds. */
const TICK_MS = 250;

/** Lists of those whose packets the kernel refuses. */
export interface RefusingLists {
  /** Whether a stranger's event would not have come about. */
  refuses(event: SecurityEvent): boolean;
}

/** A block that would have been made. */
export interface WouldBlock extends Omit<Block, "since"> {
  /** In milliseconds since 1970. */
  readonly at: number;
  /** What it rests on; `neighbours` for a network that is blocked for its hosts. */
  readonly grounds: Grounds | "neighbours";
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
  readonly #lists: RefusingLists | undefined;
  readonly #networks: HostNetworks;
  readonly #standing = new Map<string, WouldBlock>();
  readonly #neighbours = new Neighbours();
  #networksBlocked = 0;
  readonly #overGuards: GuardChange[] = [];
  #now = 0;
  #advancedAt = 0;

  /**
   * @param config The rules.
   * @param exempt Who is never charged.
   * @param strict Who has one attempt.
   * @param lists Whom the kernel refuses.
   */
  constructor(config: Config, exempt: AddressSet, strict?: StrictHosts, lists?: RefusingLists) {
    this.#config = config;
    this.#lists = lists;
    this.#networks = new HostNetworks(config.ipv6Prefix, config.nat64);
    this.table = new PenaltyTable(policyOf(config, exempt, strict));
  }

  /** Accounts that came under guard: those whose guard was over, then the others. */
  get guards(): (GuardedAccount & { readonly over: number | undefined })[] {
    const { guard } = this.table;
    this.#overGuards.push(...guard.takeChanges().filter(({ over }) => over !== undefined));
    return [...this.#overGuards, ...guard.accounts().map((one) => ({ ...one, over: undefined }))];
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
    if (this.#lists !== undefined && this.#isRefused(event)) return false;
    this.table.record(event, this.#now, obey);
    this.#blockOffenders();
    return true;
  }

  /** Whether a list keeps the event from happening: who belongs here passes. */
  #isRefused(event: SecurityEvent): boolean {
    return !this.table.policy.exempt.has(event.address) &&
      !this.table.isInGoodStanding(event.address, this.#now) && this.#lists!.refuses(event);
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
    const isBlocked = before !== undefined && !hasEnded(before, offence.at);
    if (isBlocked && !offence.renews) return;
    const block = blockOf(offence, this.#config, () => before?.times ?? 0, offence.at);
    if (isBlocked && (block.until ?? Infinity) <= (before.until ?? Infinity)) return;
    this.#add(block, offence.grounds);
    if (countsForNeighbours(offence, block)) this.#blockAround(block);
  }

  #add({ since, counts, ...made }: NewBlock, grounds: WouldBlock["grounds"]): void {
    const times = this.#standing.get(made.target)?.times ?? 0;
    const { renews: _, ...fields } = made;
    const block: WouldBlock = {
      ...fields,
      at: since,
      times: counts === false ? Math.max(times, 1) : times + 1,
      grounds,
      eventsAfter: 0,
    };
    this.#standing.set(made.target, block);
    this.blocks.push(block);
  }

  /** Blocks the networks of which this is one blocked host too many. */
  #blockAround({ target, since }: NewBlock): void {
    const most = neighboursOf(this.#config, this.#config.backend);
    for (const crowd of this.#neighbours.blocked(target, most, since)) {
      const around = [
        crowd.network,
        ...neighbourhoodsOf(crowd.network).map(([network]) => network),
      ];
      if (around.some((network) => this.#isBlocked(network))) continue;
      if (this.table.holdsOthers(crowd.network)) continue;
      const times = this.#standing.get(crowd.network)?.times ?? 0;
      this.#add(neighboursBlock(crowd, this.#config, times, since), "neighbours");
      this.#networksBlocked++;
    }
  }

  #isBlocked(target: string): boolean {
    const block = this.#standing.get(target);
    return block !== undefined && !hasEnded(block, this.#now);
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
    if (block === undefined || hasEnded(block, this.#now)) block = this.#networkOf(event);
    return block !== undefined && !hasEnded(block, this.#now) ? block : undefined;
  }

  /** The network around an event's host that is blocked for its hosts. */
  #networkOf(event: SecurityEvent): WouldBlock | undefined {
    if (this.#networksBlocked === 0) return undefined;
    for (const [network] of neighbourhoodsOf(event.address)) {
      const block = this.#standing.get(network);
      if (block?.grounds !== "neighbours" || hasEnded(block, this.#now)) continue;
      if (!this.table.holdsOthers(network)) return block;
      // Somebody has logged in from there meanwhile: it is let go.
      this.#standing.delete(network);
    }
    return undefined;
  }
}
