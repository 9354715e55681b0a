/**
 * Who is never blocked: trusted hosts, loopback, and this machine's own addresses.
 *
 * @module
 */

import { AddressSet, overlaps, ownAddresses } from "./address.ts";

const LOOPBACK = ["127.0.0.0/8", "::1"];

/**
 * The addresses that are never charged.
 *
 * @param trust canonical targets of the configuration
 * @returns trusted, loopback and own addresses
 */
export function exemptAddresses(trust: readonly string[]): AddressSet {
  return new AddressSet([...trust, ...LOOPBACK, ...ownAddresses()]);
}

/**
 * Tells why a target must not be blocked by hand.
 *
 * @param trust canonical targets of the configuration
 * @returns a function that gives the reason for a canonical target, `undefined` when it may be blocked
 */
export function protectedBy(trust: readonly string[]): (target: string) => string | undefined {
  const own = ownAddresses();
  return (target) => {
    if (target.endsWith("/0")) return "is everybody: this would lock you out";
    const trusted = trust.find((entry) => overlaps(entry, target));
    if (trusted !== undefined) {
      return `is trusted (trust = ${trusted}): remove it from the configuration first`;
    }
    if (LOOPBACK.some((entry) => overlaps(entry, target))) {
      return "contains this machine itself (loopback)";
    }
    const mine = own.find((entry) => overlaps(entry, target));
    return mine === undefined ? undefined : `contains ${mine}, an address of this machine`;
  };
}
