/**
 * The door for blocks and releases that other PBXs bring: they end where this machine knows better.
 *
 * @module
 */

import { familyOf, overlaps, parseTarget } from "../address/address.ts";
import { AddressSet } from "../address/address_set.ts";
import type { Block } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Deletion } from "../blocks/deletions.ts";
import { originOf, withOrigin, withoutOrigin } from "../blocks/origin.ts";
import type { Clock } from "../clock.ts";
import type { RefusalReason, SharedBlock } from "../fleet/engine.ts";
import type { FleetState } from "../fleet/fleet.ts";
import type { OwnList } from "../fleet/replica.ts";
import { isNeighboursBlock } from "../penalties/neighbours.ts";
import { HostNetworks, keyText } from "../penalties/host_key.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import type { PenaltyPolicy } from "../penalties/policy.ts";
import { isOwnGuilt } from "../penalties/reason.ts";
import type { Exceptions } from "./exceptions.ts";
import type { Neighbourhoods } from "./neighbourhoods.ts";
import type { Pipeline } from "./pipeline.ts";
import { DELETED, type Releases } from "./releases.ts";

/**
 * How long the hosts in good standing are kept for comparison with networks, in milliseconds.
 */
const STANDING_AGE_MAX_MS = 10_000;

/** A wider network is not blocked for another PBX: a slip there would cost too much here. */
const WIDEST = { 4: 8, 6: 19 } as const;

/** Bits before the IPv4 address in an address of NAT64 (RFC 6052, section 2.2). */
const NAT64_PREFIX = 96;

/** All of IPv4. */
const EVERYBODY = "0.0.0.0/0";

/** What {@linkcode Elsewhere} joins. */
interface ElsewhereParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly pipeline: Pipeline;
  readonly exceptions: Exceptions;
  readonly neighbourhoods: Neighbourhoods;
  readonly releases: Releases;
  /** Monotonic time. */
  readonly clock: Clock;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** A block as it is shared, without what the node adds. */
type Shared = Omit<SharedBlock, "at" | "node">;

/** Lets in what others bring, unless this machine knows better. */
export class Elsewhere implements OwnList {
  readonly #parts: ElsewhereParts;
  #counted: { readonly policy: PenaltyPolicy; readonly networks: HostNetworks } | undefined;
  #standing: { readonly hosts: AddressSet; readonly at: number } | undefined;
  /** The name of this PBX among the others; `undefined`: there are none. */
  node: string | undefined;
  /** Hears of each block that others are told of; must not wait and not throw. */
  onBlock: ((block: Shared) => void) | undefined;
  /** What is told of the fleet; `undefined`: there is none. */
  state: () => FleetState | undefined = () => undefined;

  /**
   * Nothing has come yet.
   *
   * @param parts What it joins.
   */
  constructor(parts: ElsewhereParts) {
    this.#parts = parts;
  }

  /** See {@linkcode OwnList.endOf}. */
  endOf(target: string): number {
    const block = this.#parts.list.get(target);
    return block === undefined ? 0 : block.until ?? Infinity;
  }

  /** See {@linkcode OwnList.sinceOf}. */
  sinceOf(target: string): number {
    return this.#parts.list.get(target)?.since ?? 0;
  }

  /** See {@linkcode OwnList.refusalOf}. */
  refusalOf(target: string): RefusalReason | undefined {
    const refusal = this.#refusalOf(target);
    if (refusal !== undefined || !target.includes(":")) return refusal;
    const behind = this.#behind(target);
    return behind === undefined ? undefined : this.#refusalOf(behind);
  }

  #refusalOf(target: string): RefusalReason | undefined {
    const { table, clock, exceptions } = this.#parts;
    const { exempt } = table.policy;
    if (exempt.overlaps(target)) {
      return exceptions.causeOf(target) === "trusted" ? "trusted" : "own address";
    }
    const [address, prefix] = target.split("/");
    if (prefix === undefined) {
      return table.isInGoodStanding(address!, clock.now()) ? "good standing" : undefined;
    }
    if (this.#standingHosts().overlaps(target)) return "good standing";
    return Number(prefix) < WIDEST[familyOf(target)] ? "too wide" : undefined;
  }

  /**
   * The IPv4 host or network behind an IPv6 one (NAT64).
   *
   * @returns `undefined` if there is none.
   */
  #behind(target: string): string | undefined {
    const { policy } = this.#parts.table;
    if (this.#counted?.policy !== policy) {
      const networks = new HostNetworks(policy.ipv6Prefix, policy.nat64 ?? []);
      this.#counted = { policy, networks };
    }
    const { networks } = this.#counted;
    const [address, prefix] = target.split("/");
    if (prefix === undefined) return networks.ipv4Of(address!);
    // The users of a whole translator, or of a Teredo server, are behind it.
    if (Number(prefix) < NAT64_PREFIX) return networks.hasSingles(target) ? EVERYBODY : undefined;
    const ipv4 = networks.ipv4Of(address!);
    return ipv4 && parseTarget(`${ipv4}/${Number(prefix) - NAT64_PREFIX}`);
  }

  /** Somebody has logged in: the next network is compared with them too. */
  loggedIn(): void {
    this.#standing = undefined;
  }

  /** See {@linkcode OwnList.block}. */
  block(blocks: readonly SharedBlock[]): void {
    const { pipeline, wallClock } = this.#parts;
    pipeline.block(
      blocks.map(({ node, target, since, end, reason, service, transport, account }) => ({
        target,
        since,
        until: end === Infinity ? undefined : end,
        reason: node === this.node ? reason : withOrigin(node, reason),
        service,
        transport,
        account,
        // It has not come back here.
        counts: false,
      })),
      wallClock(),
    );
  }

  /** See {@linkcode OwnList.release}. */
  release(targets: readonly string[], node: string): void {
    const { list, table, neighbourhoods, releases, wallClock } = this.#parts;
    list.remove(targets, wallClock());
    for (const target of targets) table.clearPoints(target, overlaps);
    neighbourhoods.forget(targets);
    releases.release(targets, `${DELETED} on ${node === "" ? "another PBX" : node}`);
  }

  /** The blocks that others are told of, each with the PBX that has made it. */
  *listed(): Generator<Omit<SharedBlock, "at">> {
    const { list } = this.#parts;
    // Without an order; others may come and go meanwhile.
    for (const { target } of [...list.entries()]) {
      const block = list.get(target);
      if (block === undefined) continue;
      const origin = originOf(block.reason);
      if (origin !== undefined) {
        yield { ...sharedOf(block), node: origin, reason: withoutOrigin(block.reason) };
      } else if (isShared(block)) yield { ...sharedOf(block), node: this.node! };
    }
  }

  /** What was deleted by hand before the start. */
  deletions(): readonly Deletion[] {
    return this.#parts.list.deletions?.() ?? [];
  }

  /** Keeps what was deleted by hand; whether that is written. */
  saveDeletions(deletions: readonly Deletion[]): boolean {
    const { list, wallClock } = this.#parts;
    return list.saveDeletions?.(deletions, wallClock()) ?? true;
  }

  /** There are blocks in the list that others may be told of. */
  blocked(blocks: readonly Pick<Block, "target">[]): void {
    if (this.onBlock === undefined) return;
    for (const { target } of blocks) {
      const block = this.#parts.list.get(target);
      if (block !== undefined && isShared(block)) this.onBlock(sharedOf(block));
    }
  }

  #standingHosts(): AddressSet {
    const { table, clock } = this.#parts;
    const now = clock.now();
    if (this.#standing === undefined || now - this.#standing.at > STANDING_AGE_MAX_MS) {
      const hosts = Array.from(table.inspection.standingHosts(now), keyText);
      this.#standing = { hosts: new AddressSet(hosts), at: now };
    }
    return this.#standing.hosts;
  }
}

/**
 * Whether a block is told to others: made for what its host did, or by hand. What follows from a
 * place, from neighbours, or from what is only known here, is left to each PBX.
 *
 * @param block The block.
 */
function isShared(block: Block): boolean {
  return originOf(block.reason) === undefined && !isNeighboursBlock(block) &&
    isOwnGuilt(block.reason);
}

function sharedOf({ target, since, until, reason, service, transport, account }: Block): Shared {
  return { target, since, end: until ?? Infinity, reason, service, transport, account };
}
