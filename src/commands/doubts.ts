/**
 * What people should think about when they block something by hand: private networks stand in many
 * public lists, and their own phones have such addresses.
 *
 * @module
 */

import { overlaps } from "../address/address.ts";
import { AddressSet } from "../address/address_set.ts";

/** Networks from which no stranger comes, and whose they are. */
const OWN_NETWORKS: readonly (readonly [network: string, whose: string])[] = [
  ["10.0.0.0/8", "private addresses (RFC 1918)"],
  ["172.16.0.0/12", "private addresses (RFC 1918)"],
  ["192.168.0.0/16", "private addresses (RFC 1918)"],
  ["100.64.0.0/10", "the addresses that providers share out behind their NAT (RFC 6598)"],
  ["169.254.0.0/16", "link-local addresses (RFC 3927)"],
  ["fc00::/7", "private addresses (RFC 4193)"],
  ["fe80::/10", "link-local addresses (RFC 4291)"],
];

/** Most hosts in good standing that are named for one target. */
const NAMED_MAX = 3;

/**
 * Makes a function that knows these doubts.
 *
 * @param standing Hosts in good standing, canonical.
 * @returns Given a canonical target, what is doubtful about it: a predicate without full stop;
 *   `undefined` if nothing is.
 *
 * @example
 * ```ts
 * import { doubtsAbout } from "./doubts.ts";
 *
 * doubtsAbout(["203.0.113.7"])("203.0.113.0/24");
 * // "holds 203.0.113.7, in good standing: somebody logged in from there not long ago"
 * ```
 */
export function doubtsAbout(standing: readonly string[]): (target: string) => string | undefined {
  const own = new AddressSet(OWN_NETWORKS.map(([network]) => network));
  const known = new AddressSet(standing);
  return (target) => {
    const doubts: string[] = [];
    if (own.overlaps(target)) {
      const [network, whose] = OWN_NETWORKS.find(([network]) => overlaps(network, target))!;
      doubts.push(
        network === target
          ? `is ${whose}, which your own phones may have`
          : `shares addresses with ${network}, ${whose}, which your own phones may have`,
      );
    }
    if (known.overlaps(target)) {
      const hosts = standing.filter((host) => overlaps(host, target));
      const named = hosts.slice(0, NAMED_MAX).join(", ");
      const more = hosts.length > NAMED_MAX ? ` and ${hosts.length - NAMED_MAX} more` : "";
      doubts.push(
        hosts.length === 1 && hosts[0] === target
          ? "is in good standing: somebody logged in from there not long ago"
          : `holds ${named}${more}, in good standing: somebody logged in from there not long ago`,
      );
    }
    return doubts.length === 0 ? undefined : doubts.join(", and ");
  };
}
