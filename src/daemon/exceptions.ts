/**
 * Who must pass although a network around them is blocked, and who must not be blocked at all.
 *
 * @module
 */

import { overlaps } from "../address/address.ts";
import { type Cause, ExemptSet, RELEASED_BECAUSE } from "../address/exempt.ts";
import type { SecurityEvent } from "../ami/event.ts";
import type { NewBlock } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Firewall } from "../firewall/firewall.ts";
import type { Log } from "../log.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import type { Neighbourhoods } from "./neighbourhoods.ts";
import type { Releases } from "./releases.ts";
import { SoftHosts } from "./soft_hosts.ts";
import { Targets } from "./targets.ts";

/** Most networks of which it is told that they let somebody through, once each. */
const SAID_MAX = 1_024;

/** What {@linkcode Exceptions} looks at. */
interface ExceptionParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly firewall: Firewall;
  readonly releases: Releases;
  readonly neighbourhoods: Neighbourhoods;
  readonly log: Log;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** Keeps the firewall's exceptions equal to what the penalty table knows. */
export class Exceptions {
  readonly #parts: ExceptionParts;
  /**
   * IPv6 networks that Ampere has blocked itself though somebody belongs there, who has not failed
   * and is let through.
   */
  readonly #sharedNetworks = new Set<string>();
  /** How many blocked networks are soft. */
  #soft = 0;
  /** How many blocked hosts are. */
  #softCount = 0;
  /** Blocked networks of which it was told that they let somebody through. */
  readonly #said = new Set<string>();
  /** Hosts that are blocked, and may belong here. */
  readonly #softHosts: SoftHosts;

  /**
   * Nobody is let through yet.
   *
   * @param parts What it looks at.
   */
  constructor(parts: ExceptionParts) {
    this.#parts = parts;
    this.#softHosts = new SoftHosts(parts);
  }

  /** Blocks are about to come into force. */
  add(blocks: readonly NewBlock[]): void {
    for (const { target } of blocks) {
      if (isIpv6Network(target) && this.#parts.table.innocentIn(target).length > 0) {
        this.#sharedNetworks.add(target);
      }
    }
    // Networks that are blocked for their hosts are soft.
    const isSoft = this.#softHosts.add(blocks);
    if (isSoft || blocks.some(({ target }) => this.#parts.neighbourhoods.has(target))) this.#set();
    else this.#refresh();
  }

  /**
   * A host has gone too far that was blocked and might have belonged here: it has no way back any
   * more.
   *
   * @returns Whether it had one.
   */
  harden(target: string): boolean {
    const wasSoft = this.#softHosts.harden(target);
    if (wasSoft) this.#set();
    return wasSoft;
  }

  /** Whether a host is blocked, and has a way back. */
  hasWayBack(target: string): boolean {
    return this.#softHosts.has(target);
  }

  /** Whether any host has a way back: only then failures need be told. */
  get hasSoft(): boolean {
    return this.#softHosts.hasSoft;
  }

  /** A host is heard; it may have answered a challenge wrongly, by its way back. */
  failed(event: SecurityEvent): void {
    if (this.#softHosts.failed(event)) this.#set();
  }

  /** A host has logged in, perhaps by its way back. */
  loggedIn(event: Pick<SecurityEvent, "address">): void {
    if (this.#softHosts.hasSoft && this.#softHosts.loggedIn(event.address)) this.#set();
  }

  /** After the start: the list may know networks that Ampere has blocked in an earlier life. */
  findShared(): void {
    const { list, table, neighbourhoods } = this.#parts;
    neighbourhoods.findBlocked();
    for (const { target } of list.entries()) {
      if (!isIpv6Network(target) || table.innocentIn(target).length === 0) continue;
      if (list.get(target)?.service !== "") this.#sharedNetworks.add(target);
    }
    if (neighbourhoods.size > 0) this.#set();
    else this.refresh();
  }

  /** Somebody may have failed, or logged in, in a network that is blocked. */
  refresh(): void {
    // What somebody has blocked by hand meanwhile is not soft any more.
    if (this.#softCount > 0 && this.#softHosts.targets.length !== this.#softCount) this.#set();
    else this.#refresh();
  }

  #refresh(): void {
    const isOther = this.#parts.neighbourhoods.size !== this.#soft;
    if (this.#sharedNetworks.size > 0 || isOther) this.#set();
  }

  /**
   * Nobody who is exempt stays blocked: a block that holds nobody else ends; a network that holds
   * others too stays, and lets them through.
   */
  releaseExempt(): void {
    const { table, list, releases, neighbourhoods } = this.#parts;
    neighbourhoods.release();
    const { exempt } = table.policy;
    const trusted: string[] = [];
    for (const { target } of list.entries()) {
      if (!exempt.overlaps(target)) continue;
      if (exempt.covers(target)) trusted.push(target);
      else this.#tell(target);
    }
    this.#set();
    if (trusted.length === 0) return;
    list.remove(trusted, this.#parts.wallClock());
    for (const [why, targets] of Map.groupBy(trusted, (target) => this.#whyExempt(target))) {
      releases.release(targets, why);
    }
  }

  /** Why an address is never blocked. */
  causeOf(address: string): Cause {
    const { exempt } = this.#parts.table.policy;
    return (exempt instanceof ExemptSet ? exempt.causeOf(address) : undefined) ?? "trusted";
  }

  #set(): void {
    const { table, list, firewall, neighbourhoods } = this.#parts;
    const targets = [...table.policy.exempt.targets];
    for (const network of this.#sharedNetworks) {
      if (list.get(network) === undefined) this.#sharedNetworks.delete(network);
      else targets.push(...table.innocentIn(network));
    }
    const hosts = this.#softHosts.targets;
    this.#soft = neighbourhoods.size;
    this.#softCount = hosts.length;
    firewall.setExceptions(targets, [...neighbourhoods.targets, ...hosts]);
  }

  #tell(network: string): void {
    if (this.#said.has(network) || this.#said.size >= SAID_MAX) return;
    this.#said.add(network);
    const within = this.#parts.table.policy.exempt.targets
      .filter((target) => overlaps(network, target));
    this.#parts.log.warn(
      `${network} stays blocked, but lets through ${
        new Targets().add(within)
      }, which must never be blocked. To end the ` +
        `whole block: echo ${network} | ampere -d`,
    );
  }

  #whyExempt(target: string): string {
    return RELEASED_BECAUSE[this.causeOf(target)];
  }
}

function isIpv6Network(target: string): boolean {
  return target.includes("/") && target.includes(":");
}
