/**
 * Who is never blocked: trusted hosts, loopback, this machine's own addresses, and those without
 * whom the machine or Ampere itself would be cut off: the AMI server, the default gateways, the
 * resolvers.
 *
 * @module
 */

import { AddressSet } from "./address_set.ts";
import { overlaps, ownAddresses } from "./address.ts";
import { resolvers } from "./neighbours.ts";

const LOOPBACK = ["127.0.0.0/8", "::1"];

/** Why somebody is never blocked: the most important cause first. */
export const CAUSES = [
  "trusted",
  "loopback",
  "own address",
  "AMI server",
  "default gateway",
  "resolver",
] as const;

/** One of the {@linkcode CAUSES}. */
export type Cause = typeof CAUSES[number];

/** A target that is never blocked. */
export interface ExemptTarget {
  /** A canonical target. */
  readonly target: string;
  readonly cause: Cause;
}

/** Targets that are never blocked, each with its cause. */
export class ExemptSet extends AddressSet {
  /** In the order of importance. */
  readonly entries: readonly ExemptTarget[];

  /**
   * Makes a set.
   *
   * @param entries Canonical targets, the most important cause first.
   */
  constructor(entries: readonly ExemptTarget[]) {
    super(entries.map(({ target }) => target));
    this.entries = entries;
  }

  /**
   * Tells why somebody is never blocked.
   *
   * @param target A canonical target.
   * @returns The first cause; `undefined` when it may be blocked.
   */
  causeOf(target: string): Cause | undefined {
    return this.find(target)?.cause;
  }

  /**
   * Finds what shares an address with a target.
   *
   * @param target A canonical target.
   * @returns The most important entry; `undefined` when the target may be blocked.
   */
  find(target: string): ExemptTarget | undefined {
    // Nearly all may be blocked, and -a asks for a million.
    if (!this.overlaps(target)) return undefined;
    return this.entries.find((entry) => overlaps(entry.target, target));
  }
}

/**
 * The addresses that are never charged.
 *
 * @param trust Canonical targets of the configuration.
 * @param peers Canonical addresses of the AMI server, see `literalPeers`.
 * @param gateways Canonical addresses of the default gateways, see `defaultGateways`.
 */
export function exemptAddresses(
  trust: readonly string[],
  peers: readonly string[] = [],
  gateways: readonly string[] = [],
): ExemptSet {
  return new ExemptSet([
    ...because("trusted", trust),
    ...foundHere(peers, gateways),
  ]);
}

/** Finds out who is exempt: given the trust list, the peers and the gateways. */
type ExemptFinder = (
  trust: readonly string[],
  peers: readonly string[],
  gateways: readonly string[],
) => ExemptSet;

/**
 * The same as {@linkcode exemptAddresses} for who asks again and again: as long as nothing has
 * changed it gives the same set. To make one of 4,000 targets takes tens of milliseconds.
 *
 * @returns A function with the parameters of {@linkcode exemptAddresses}; a trust list is known
 *   again by being the same array.
 */
export function exemptFinder(): ExemptFinder {
  let last: { trust: readonly string[]; others: string; set: ExemptSet } | undefined;
  return (trust, peers, gateways) => {
    const found = foundHere(peers, gateways);
    const others = found.map(({ target, cause }) => `${cause} ${target}`).join();
    if (last?.trust !== trust || last.others !== others) {
      last = { trust, others, set: new ExemptSet([...because("trusted", trust), ...found]) };
    }
    return last.set;
  };
}

function because(cause: Cause, targets: readonly string[]): ExemptTarget[] {
  return targets.map((target) => ({ target, cause }));
}

/** All who are exempt without being trusted. */
function foundHere(peers: readonly string[], gateways: readonly string[]): ExemptTarget[] {
  return [
    ...because("loopback", LOOPBACK),
    ...because("own address", ownAddresses()),
    ...because("AMI server", peers),
    ...because("default gateway", gateways),
    ...because("resolver", resolvers()),
  ];
}

/** What is said of a stored block that ends for such a cause. */
export const RELEASED_BECAUSE: Readonly<Record<Cause, string>> = {
  "trusted": "trusted now",
  "loopback": "loopback is never blocked",
  "own address": "an address of this machine",
  "AMI server": "an address of the AMI server (host in ampere.cfg), without which nothing is seen",
  "default gateway": "the default gateway of this machine",
  "resolver": "a resolver of this machine (/etc/resolv.conf)",
};

/**
 * Tells why a target must not be blocked by hand.
 *
 * @param exempt Who is never blocked.
 * @param origins Where trusted targets come from that do not stand in the configuration themselves.
 * @returns A function that gives the reason for a canonical target, `undefined` when it may be
 *   blocked.
 */
export function protectedBy(
  exempt: ExemptSet,
  origins: ReadonlyMap<string, string> = new Map(),
): (target: string) => string | undefined {
  return (target) => {
    if (target.endsWith("/0")) return "is everybody: this would lock you out";
    const found = exempt.find(target);
    if (found === undefined) return undefined;
    const what = found.target === target ? "is" : `contains ${found.target},`;
    switch (found.cause) {
      case "trusted":
        return `is trusted (${
          origins.get(found.target) ?? `trust = ${found.target}`
        }): remove it from the configuration first`;
      case "loopback":
        return "contains this machine itself (loopback)";
      case "own address":
        return `contains ${found.target}, an address of this machine`;
      case "AMI server":
        return `${what} the AMI server (host in ampere.cfg): Ampere would no longer hear of anything`;
      case "default gateway":
        return `${what} the default gateway of this machine`;
      case "resolver":
        return `${what} a resolver of this machine (/etc/resolv.conf): names would no longer be known`;
    }
  };
}
