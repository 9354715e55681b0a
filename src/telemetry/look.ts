/**
 * What the daemon knows of one address or network, when `ampere --why` asks.
 *
 * @module
 */

import { networksAround } from "../address/address.ts";
import { AddressSet } from "../address/address_set.ts";
import { type Block, byAge } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Evidence } from "../blocks/evidence.ts";
import type { Reckoning } from "../penalties/inspection.ts";
import type { FailedAttempt, Tally } from "../penalties/offence.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";

/** Most hosts, logins and blocks of a network that are told. */
export const LOOK_MAX = 20;

/** A host that has points, or attempts under way. Times in milliseconds since 1970. */
interface SeenHost {
  /** Canonical address. */
  readonly host: string;
  readonly points: number;
  /** Points at which it is blocked. */
  readonly limit: number;
  readonly tally: Readonly<Tally>;
  /** Attempts that wait for an answer. */
  readonly waiting: number;
  readonly lastAt: number;
  /** What it was charged for last, the oldest first. */
  readonly last: readonly FailedAttempt[];
}

/** What the daemon knows of a target. Times in milliseconds since 1970. */
export interface Look {
  /** Canonical address or network. */
  readonly target: string;
  /** The IPv6 network with which it is counted; `null`: it is counted by itself. */
  readonly network: string | null;
  /** The IPv4 host behind an address of NAT64. */
  readonly ipv4: string | null;
  /** Those with most points first. */
  readonly hosts: readonly SeenHost[];
  /** Wrong passwords beyond `forget`; `null`: none. A daemon of version 1.1 does not tell it. */
  readonly slow?: Reckoning | null;
  /** Failures on accounts of others within a day; the same. */
  readonly insider?: Reckoning | null;
  /** Hosts in good standing, each with its last login. */
  readonly standing: readonly (readonly [host: string, at: number])[];
  /** Blocks that have an address in common with it. */
  readonly blocks: readonly (Omit<Block, "until"> & { readonly until: number | null })[];
  /** Attempts that are not in the database yet. */
  readonly evidence: readonly Evidence[];
  /** Feeds that list it, or a part of it, each with its entry; not told by an older daemon. */
  readonly lists?: readonly { readonly name: string; readonly entry: string }[];
}

/** Where attempts wait for the database. */
interface Waiting {
  pendingOf(target: string): Evidence | undefined;
}

/**
 * Looks at a target.
 *
 * @param target Canonical address or network.
 * @param table Who has cost what.
 * @param list Who is blocked.
 * @param waiting Attempts that are not in the database yet.
 * @param now Clock value, in milliseconds.
 * @param toWall Makes milliseconds since 1970 of a clock value.
 * @param blocks The last blocks that have an address in common with it, if they are known already.
 */
export function lookAt(
  target: string,
  { inspection }: Pick<PenaltyTable, "inspection">,
  list: Pick<BlockList, "entries" | "get">,
  waiting: Waiting,
  now: number,
  toWall: (at: number) => number,
  blocks: readonly Block[] = blocksAbout(target, list),
): Look {
  const { network = null, ipv4 = null } = inspection.countedWith(target);
  const of = [...new Set([target, ...blocks.map((block) => block.target)])];
  return {
    target,
    network,
    ipv4,
    hosts: inspection.hostsIn(target, LOOK_MAX, now).map(({ last, lastAt, ...host }) => ({
      ...host,
      lastAt: toWall(lastAt),
      last: last.map((failure) => ({ ...failure, at: toWall(failure.at) })),
    })),
    slow: inspection.slowOf(target, now) ?? null,
    insider: inspection.insiderOf(target, now) ?? null,
    standing: inspection.standingIn(network ?? target, LOOK_MAX, now)
      .map(([host, at]) => [host, toWall(at)]),
    blocks: blocks.map(({ until = null, ...block }) => ({ ...block, until })),
    evidence: of.flatMap((one) => waiting.pendingOf(one) ?? []),
  };
}

/** The last blocks that have an address in common with a target. There may be very many others. */
function blocksAbout(target: string, list: Pick<BlockList, "entries" | "get">): Block[] {
  // A host is in few networks, and nothing is in it.
  const candidates = target.includes("/")
    ? list.entries()
    : [target, ...networksAround(target)].map((target) => ({ target }));
  const wanted = new AddressSet([target]);
  const found: string[] = [];
  for (const { target: one } of candidates) if (wanted.overlaps(one)) found.push(one);
  return found.flatMap((one) => list.get(one) ?? []).sort(byAge).slice(-LOOK_MAX);
}
