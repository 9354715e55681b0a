/**
 * Networks that are blocked for their hosts: when one is, and when it is let go again.
 *
 * @module
 */

import type { SecurityEvent } from "../ami/event.ts";
import { type Block, byAge, hasEnded, type NewBlock } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import { type Config, neighboursOf } from "../config/config.ts";
import {
  countedForNeighbours,
  countsForNeighbours,
  isNeighboursBlock,
  neighbourhoodsOf,
  Neighbours,
  NEIGHBOURS_MS,
  neighboursBlock,
} from "../penalties/neighbours.ts";
import type { Offence } from "../penalties/offence.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import type { Counters } from "../telemetry/counters.ts";
import type { Releases } from "./releases.ts";

/** What {@linkcode Neighbourhoods} looks at, and whom it tells. */
interface NeighbourhoodParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly releases: Releases;
  readonly counters: Counters;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Which firewall there is. */
  readonly backend: Config["backend"];
  /** The configuration in force. */
  readonly config: () => Config;
}

/** Blocks networks for their hosts, and none that holds somebody who belongs here. */
export class Neighbourhoods {
  readonly #parts: NeighbourhoodParts;
  readonly #neighbours = new Neighbours();
  /** Networks in the list that are blocked for their hosts, and some that were. */
  readonly #blocked = new Set<string>();
  /** Somebody has logged in from one of them. */
  #isDue = false;
  /** Hosts count that were blocked before the start. */
  #isRestored = false;

  /**
   * No host is blocked yet.
   *
   * @param parts What it looks at.
   */
  constructor(parts: NeighbourhoodParts) {
    this.#parts = parts;
  }

  /** Networks that are blocked for their hosts. */
  get size(): number {
    return this.#blocked.size;
  }

  /** The networks. */
  get targets(): string[] {
    return [...this.#blocked];
  }

  /** Whether a network is blocked for its hosts. */
  has(target: string): boolean {
    return this.#blocked.has(target);
  }

  /** Whether a host is in a network that is blocked for its hosts. */
  holds(host: string): boolean {
    return this.#blocked.size > 0 &&
      neighbourhoodsOf(host).some(([network]) => this.#parts.list.get(network) !== undefined);
  }

  /**
   * Somebody has logged in by the gap in a block of their network: it is lifted as soon as all that
   * came together is judged.
   *
   * @param event The login: of most nobody wants to know more, and the address is no text yet.
   */
  loggedIn(event: Pick<SecurityEvent, "address">): void {
    if (this.#blocked.size > 0 && this.holds(event.address)) this.#isDue = true;
  }

  /**
   * All that came together is judged. What was charged before a login met the network blocked: were
   * it let go earlier, that would block it anew, for ever, with the one who has just logged in.
   */
  settle(): void {
    if (!this.#isDue) return;
    this.#isDue = false;
    this.release();
  }

  /** After the start: the list may hold networks that were blocked in an earlier life. */
  findBlocked(): void {
    const { list } = this.#parts;
    for (const { target } of list.entries()) {
      if (!target.includes("/")) continue;
      const block = list.get(target);
      if (block !== undefined && isNeighboursBlock(block)) this.#blocked.add(target);
    }
    this.release();
  }

  /**
   * Hosts are about to be blocked.
   *
   * @param offenders By target: what each has done, and its block.
   * @param timesOf How often a target was blocked before.
   * @param now Time of day, in milliseconds since 1970.
   * @returns The networks that are to be blocked with them.
   */
  add(
    offenders: ReadonlyMap<string, readonly [offence: Offence, block: NewBlock]>,
    timesOf: (target: string) => number,
    now: number,
  ): NewBlock[] {
    const { table, list, counters } = this.#parts;
    const config = this.#parts.config();
    const most = neighboursOf(config, this.#parts.backend);
    // Now the list holds nothing yet that this life has blocked.
    if (most > 0 && !this.#isRestored) this.#restore(most, now);
    const networks = new Map<string, NewBlock>();
    const isBlocked = (network: string) => {
      const known = list.get(network);
      return networks.has(network) || offenders.has(network) ||
        known !== undefined && !hasEnded(known, now);
    };
    for (const [offence, block] of most === 0 ? [] : offenders.values()) {
      if (!countsForNeighbours(offence, block)) continue;
      for (const crowd of this.#neighbours.blocked(block.target, most, now)) {
        const { network } = crowd;
        const around = neighbourhoodsOf(network).map(([wider]) => wider);
        if ([network, ...around].some(isBlocked)) continue;
        if (table.holdsOthers(network)) continue;
        networks.set(network, neighboursBlock(crowd, config, timesOf(network), now));
        this.#blocked.add(network);
        counters.networksAdded++;
      }
    }
    return [...networks.values()];
  }

  /** Who walks through a network does not begin anew because the daemon does. */
  #restore(most: number, now: number): void {
    this.#isRestored = true;
    const { list } = this.#parts;
    const found: Block[] = [];
    for (const { target } of list.entries()) {
      const block = list.get(target);
      // One that has ended does not count, whether it was removed already or not: after standing
      // still the list may hold it for a moment longer.
      if (block === undefined || hasEnded(block, now)) continue;
      if (now - block.since <= NEIGHBOURS_MS && countedForNeighbours(block)) found.push(block);
    }
    for (const { target, since } of found.sort(byAge)) {
      this.#neighbours.blocked(target, most, since);
    }
  }

  /** Somebody may have logged in from a network that is blocked, or be trusted now: let it go. */
  release(): void {
    const { table, list, releases, wallClock } = this.#parts;
    const released: string[] = [];
    for (const network of this.#blocked) {
      const block = list.get(network);
      if (block === undefined || !isNeighboursBlock(block)) this.#blocked.delete(network);
      else if (table.holdsOthers(network)) released.push(network);
    }
    if (released.length === 0) return;
    for (const network of released) this.#blocked.delete(network);
    list.remove(released, wallClock());
    releases.release(
      released,
      "somebody in it logged in, or must never be blocked; its hosts stay blocked",
    );
  }

  /** Blocks were deleted by hand. */
  forget(targets: readonly string[]): void {
    for (const target of targets) this.#neighbours.forget(target);
  }
}
