/**
 * Who takes part in a world, and the machine that they reach.
 *
 * @module
 */

/** Address of the simulated machine. */
export const OWN = "192.0.2.1";

/** This machine's interfaces; the second address is the one that events name. */
export const INTERFACES = [
  { name: "lo", address: "127.0.0.1", network: "127.0.0.0/8" },
  { name: "eth0", address: OWN, network: "192.0.2.0/28" },
  { name: "eth0", address: "192.0.2.10", network: "192.0.2.0/28" },
];

/** All families of addresses. */
export const FAMILIES = [4, 6] as const;

/** They guess. */
export const ATTACKERS = [
  "203.0.113.1",
  "203.0.113.2",
  "203.0.113.3",
  "203.0.113.4",
  "203.0.113.5",
  "2001:db8:0:a::1",
  "2001:db8:0:a::2",
  "2001:db8:0:b::1",
  "fe80::5",
];
/** They log in, and answer wrongly now and then. */
export const PHONES = ["198.51.100.1", "198.51.100.2", "2001:db8:0:c::1", "2001:db8:0:a::99"];
/** They log in once, or have logged in long ago, and somebody guesses in their name. */
export const BESIEGED = ["198.51.100.5", "198.51.100.6"];
/** They guess between their logins. */
export const OWNERS = ["198.51.100.7", "2001:db8:0:f::7"];
/** Networks in which somebody takes a new address for each guess. */
export const ROTATING = ["2001:db8:0:10", "2001:db8:0:d"];
/** Who is trusted may do anything. */
export const TRUSTED = ["192.0.2.10", "2001:db8:0:d::1"];
/** A scanner takes one after the other, and in their midst somebody has a phone. */
export const WALKED = Array.from({ length: 8 }, (_, i) => `203.0.113.${20 + i}`);
export const AMONG_WALKED = "203.0.113.90";
/** Who may be on somebody's list of attackers, rightly or not. */
export const MAYBE_LISTED = [...ATTACKERS, ...PHONES, ...BESIEGED, ...OWNERS, ...TRUSTED];
/** They guess seldom, each from one address, or from several of its network. */
export const SLOW = [
  ["198.18.5.60"],
  ["198.18.6.61"],
  ["2001:db8:7:1a::1", "2001:db8:7:1a::2", "2001:db8:7:1a::3"],
];
/** They log in; the first guesses at accounts of others, the second has an old password beside. */
export const INSIDERS = ["198.18.7.70", "2001:db8:8:1b::1"];
/** They guess when all faults are over. */
export const LAST_ATTACKERS = ["203.0.113.200", "2001:db8:0:e::1"];
/** What people block by hand; nothing of it takes part otherwise. */
export const BY_HAND = [
  "100.64.0.0/16",
  "100.65.1.2",
  "100.65.1.3",
  "2001:db8:ff::/48",
  "2001:db8:fe::1",
];
