/**
 * Answers what is asked of hosts: which are the worst, and what is known of one.
 *
 * @module
 */

import { networkOf } from "../address/address.ts";
import type { Block } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import type { HostStatus } from "../penalties/hosts.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import { type Look, lookAt } from "../telemetry/look.ts";
import type { Keeping } from "./keeping.ts";
import type { Neighbourhoods } from "./neighbourhoods.ts";
import { toWallTime } from "./wall_time.ts";

/**
 * So many times more hosts are looked at as are shown, because some of them may be blocked already.
 */
const WORST_LOOKED_AT_FACTOR = 100;

/** What {@linkcode Inquiry} looks at. */
interface InquiryParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly neighbourhoods: Neighbourhoods;
  readonly keeping: Keeping;
  readonly listed: { listing(target: string): NonNullable<Look["lists"]> };
  /** The configuration in force. */
  readonly config: () => Config;
  /** Monotonic time. */
  readonly clock: Clock;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** Looks, and changes nothing. */
export class Inquiry {
  readonly #parts: InquiryParts;

  /** @param parts What it looks at. */
  constructor(parts: InquiryParts) {
    this.#parts = parts;
  }

  /**
   * The hosts with most points that are not blocked yet.
   *
   * @param count How many.
   * @returns Hosts, with `lastAt` in milliseconds since 1970.
   */
  worst(count: number): HostStatus[] {
    // A host that has just been blocked may be here again, with what was under way.
    const { table, clock } = this.#parts;
    return table.worst(WORST_LOOKED_AT_FACTOR * count, clock.now())
      .filter(({ host }) => !this.#isBlocked(host))
      .slice(0, count)
      .map((host) => ({ ...host, lastAt: toWallTime(host.lastAt, this.#parts) }));
  }

  /**
   * What is known of a target.
   *
   * @param target Canonical address or network.
   * @param blocks The last blocks that have an address in common with it, if they are known.
   */
  look(target: string, blocks?: readonly Block[]): Look {
    const { table, list, keeping, clock } = this.#parts;
    const now = clock.now();
    // Once for all: the two clocks are not read in the same moment.
    const offset = this.#parts.wallClock() - now;
    const look = lookAt(target, table, list, keeping, now, (at) => at + offset, blocks);
    return { ...look, lists: this.#parts.listed.listing(target) };
  }

  /** Whether a host is blocked, by itself or with its network. */
  #isBlocked(host: string): boolean {
    const { table, list, neighbourhoods, clock, config } = this.#parts;
    if (list.get(host) !== undefined || neighbourhoods.holds(host)) return true;
    if (!host.includes(":")) return false;
    return list.get(networkOf(host, config().ipv6Prefix)) !== undefined &&
      !table.isInGoodStanding(host, clock.now());
  }
}
