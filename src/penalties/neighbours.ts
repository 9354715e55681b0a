/**
 * Networks of which several hosts are blocked: a scanner that takes another address of its network
 * for each few attempts is blocked with the network.
 *
 * Only blocks count that nobody else can have brought about: see {@linkcode countsForNeighbours}.
 *
 * @module
 */

import { networkOf } from "../address/address.ts";
import type { Block, NewBlock } from "../blocks/block.ts";
import { TEXT_MAX } from "../blocks/block.ts";
import type { Config } from "../config/config.ts";
import { neighboursBanTime } from "./ban_time.ts";
import { forgetOldest } from "./bounded_map.ts";
import type { Offence } from "./offence.ts";
import { isCertainReason } from "./reason.ts";

/** Hosts count that were blocked within so long, in milliseconds. */
export const NEIGHBOURS_MS = 86_400_000;

/** Most networks that are watched; the one in which a host was blocked longest ago goes first. */
const NEIGHBOURHOODS_MAX = 65_536;

/** Bits of an IPv4 network: the smallest that is announced in the Internet. */
const IPV4_PREFIX = 24;

/** Bits of what one IPv6 host has (RFC 6177), and of what a site has at most. */
const IPV6_HOST_PREFIX = 64;
const IPV6_SITE_PREFIX = 48;

/** Longest such block, in milliseconds: what is longer somebody has made so by hand. */
const LONGEST_MS = 7 * NEIGHBOURS_MS;

/** How the reason of such a block begins, behind the number of hosts. */
const REASON = " blocked hosts within a day: ";

const BEGINNING = new RegExp(`^\\d+${REASON}`);

/** A network of which several hosts are blocked. */
interface Crowd {
  /** The network, canonical. */
  readonly network: string;
  /** Its hosts (of an IPv6 site: its networks) that were blocked last, the last one at the end. */
  readonly hosts: readonly string[];
}

/**
 * Counts blocked hosts by network.
 *
 * @example
 * ```ts
 * import { Neighbours } from "./neighbours.ts";
 *
 * const neighbours = new Neighbours();
 * for (const host of ["203.0.113.4", "203.0.113.5"]) neighbours.blocked(host, 3, 0);
 * console.log(neighbours.blocked("203.0.113.9", 3, 60_000)[0]?.network); // 203.0.113.0/24
 * ```
 */
export class Neighbours {
  /** When each host was blocked, by network; the last one comes last. */
  readonly #networks = new Map<string, Map<string, number>>();

  /** Number of networks that are watched. */
  get size(): number {
    return this.#networks.size;
  }

  /**
   * A host or network is blocked for what it has certainly done.
   *
   * @param target Canonical address or network.
   * @param most From so many hosts on they are a crowd; 0: never.
   * @param now Time of day, in milliseconds since 1970.
   * @returns The networks that this makes one too many for, the largest first.
   */
  blocked(target: string, most: number, now: number): Crowd[] {
    if (most === 0) return [];
    const crowds: Crowd[] = [];
    for (const [network, member] of neighbourhoodsOf(target)) {
      const hosts = this.#networks.get(network) ?? new Map<string, number>();
      // Deleted and added again, so that both maps are in the order of the blocks.
      this.#networks.delete(network);
      this.#networks.set(network, hosts);
      forgetOldest(this.#networks, NEIGHBOURHOODS_MAX);
      hosts.delete(member);
      hosts.set(member, now);
      for (const [host, at] of hosts) {
        if (hosts.size <= most && now - at <= NEIGHBOURS_MS) break;
        hosts.delete(host);
      }
      if (hosts.size >= most) crowds.push({ network, hosts: [...hosts.keys()] });
    }
    return crowds;
  }

  /** Somebody released a host or a whole network by hand: neither counts any more. */
  forget(target: string): void {
    if (this.#networks.size === 0) return;
    this.#networks.delete(target);
    for (const [network, member] of neighbourhoodsOf(target)) {
      const hosts = this.#networks.get(network);
      hosts?.delete(member);
      if (hosts?.size === 0) this.#networks.delete(network);
    }
  }
}

/**
 * The networks in which a target has neighbours, and what it is counted as in each, the largest
 * first: an IPv4 host in its /24, an IPv6 host in its /64, and the /64 in its /48.
 *
 * @param target Canonical address or network.
 */
export function neighbourhoodsOf(target: string): [network: string, member: string][] {
  const [address = "", prefix] = target.split("/");
  if (!target.includes(":")) {
    return prefix === undefined ? [[networkOf(address, IPV4_PREFIX), target]] : [];
  }
  if (prefix !== undefined) {
    return Number(prefix) > IPV6_SITE_PREFIX
      ? [[networkOf(address, IPV6_SITE_PREFIX), target]]
      : [];
  }
  const network = networkOf(address, IPV6_HOST_PREFIX);
  return [[networkOf(address, IPV6_SITE_PREFIX), network], [network, target]];
}

/**
 * Whether a block counts for the network around it. A forger can bring a block to any address over
 * UDP, three of them to three addresses of one network; what is in doubt may be a phone. So only
 * those count for whose attempts the host had to answer from its address, and that are as long as
 * the configuration says.
 *
 * @param offence What the block rests on.
 * @param block The block.
 */
export function countsForNeighbours(
  { proven }: Pick<Offence, "proven">,
  { counts }: Pick<NewBlock, "counts">,
): boolean {
  return proven && counts !== false;
}

/**
 * The same of a block that an earlier life has made, as far as the list tells: its last attempt
 * must have come by a connection, and nothing about it have been in doubt.
 *
 * @param block The block.
 */
export function countedForNeighbours(
  { service, transport, reason }: Pick<Block, "service" | "transport" | "reason">,
): boolean {
  const isProven = (service === "PJSIP" || service === "AMI") && transport !== "" &&
    transport !== "UDP";
  return isProven && isCertainReason(reason);
}

/**
 * The block of a network for its hosts.
 *
 * @param crowd The network and the hosts.
 * @param config The ban times.
 * @param times How often the network was blocked before.
 * @param now When it begins, in milliseconds since 1970.
 */
export function neighboursBlock(
  { network, hosts }: Crowd,
  config: Config,
  times: number,
  now: number,
): NewBlock {
  return {
    target: network,
    since: now,
    until: now + neighboursBanTime(config, times),
    reason: reasonOf(hosts),
    service: "",
    transport: "",
    account: "",
  };
}

/** Which hosts: as many as fit, the last ones. */
function reasonOf(hosts: readonly string[]): string {
  const beginning = `${hosts.length}${REASON}`;
  let named = hosts.length;
  const text = () =>
    beginning + hosts.slice(hosts.length - named).join(", ") +
    (named < hosts.length ? ` and ${hosts.length - named} more` : "");
  while (text().length > TEXT_MAX) named--;
  return text();
}

/**
 * Whether a block is that of a network for its hosts.
 *
 * @param block The block, which may be from another life of the daemon.
 */
export function isNeighboursBlock(
  { target, since, until = Infinity, service, reason }: Omit<Block, "times">,
): boolean {
  return target.includes("/") && service === "" && until - since <= LONGEST_MS &&
    BEGINNING.test(reason);
}
