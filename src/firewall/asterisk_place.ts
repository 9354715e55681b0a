/**
 * Where Asterisk is, as a packet of a stranger sees it: it decides which chains such a packet goes
 * through.
 *
 * @module
 */

import { isLoopback } from "../address/address.ts";
import { interfaceBefore, type OwnInterface } from "../address/interfaces.ts";
import type { Strangers } from "./path.ts";

/**
 * Where Asterisk is:
 *
 * - `"here"`: on this machine, packets come through INPUT
 * - `"behind"`: behind an interface of this machine, as a container behind a bridge: through
 *   FORWARD
 * - `"forwarded"`: behind this machine, as `jump` says, but it isn't known where
 * - `"elsewhere"`: no chain of this machine sees its packets
 */
export type AsteriskPlace =
  | { readonly kind: "here" }
  | { readonly kind: "forwarded" }
  | { readonly kind: "behind"; readonly address: string; readonly interface: string }
  | { readonly kind: "elsewhere"; readonly address: string };

/** How bridges to containers and virtual machines are called: no stranger comes in by them. */
const INWARD = /^(?:docker|br-|virbr|veth|vnet|lxc|lxd|cni|podman)/;

/** On this machine. */
export const HERE: AsteriskPlace = { kind: "here" };

/** Where Asterisk is, and a doubt about it. */
export interface Whereabouts {
  /** Which way its packets are judged. */
  readonly place: AsteriskPlace;
  /** Nothing says that it is on this machine; it is only taken to be. */
  readonly isAssumed: boolean;
  /**
   * An address that Asterisk names as its own and that is neither this machine's nor behind it,
   * though its manager interface is here.
   */
  readonly doubt: string | undefined;
}

/** This machine's network, as far as it is known. */
export interface OwnNetwork {
  /** The addresses of its interfaces. */
  readonly interfaces: readonly OwnInterface[];
  /** Canonical addresses of the default gateways; none: not known. */
  readonly gateways: readonly string[];
}

/**
 * Tells where an address is.
 *
 * @param address A canonical address; loopback and the unspecified one are here.
 * @param network This machine's network.
 *
 * @example
 * ```ts
 * import { placeOfAddress } from "./asterisk_place.ts";
 *
 * placeOfAddress("127.0.0.1", { interfaces: [], gateways: [] }).kind; // "here"
 * ```
 */
export function placeOfAddress(address: string, network: OwnNetwork): AsteriskPlace {
  const { interfaces, gateways } = network;
  const isHere = isLoopback(address) || address === "0.0.0.0" || address === "::" ||
    interfaces.length === 0 || interfaces.some((one) => one.address === address);
  if (isHere) return HERE;
  const name = interfaceBefore(address, interfaces, gateways);
  return name === undefined
    ? { kind: "elsewhere", address }
    : { kind: "behind", address, interface: name };
}

/**
 * Tells where the first address is that is not on this machine.
 *
 * @param addresses Canonical addresses of one host; none: not known, and taken as here.
 * @param network This machine's network.
 */
export function placeOfHost(addresses: readonly string[], network: OwnNetwork): AsteriskPlace {
  const places = addresses.map((address) => placeOfAddress(address, network));
  return places.find(({ kind }) => kind === "here") ??
    places.find(({ kind }) => kind === "behind") ?? places[0] ?? HERE;
}

/**
 * Tells where Asterisk is when nothing but `jump` says so: who lets Ampere jump from FORWARD alone
 * has it behind this machine.
 *
 * @param jump The chains of `jump`.
 */
export function assumedPlace(jump: readonly string[]): AsteriskPlace {
  const isForwarded = jump.some((hook) => hook === "FORWARD" || hook === "DOCKER-USER") &&
    !jump.includes("INPUT");
  return isForwarded ? { kind: "forwarded" } : HERE;
}

/**
 * Tells whose packets are followed to Asterisk.
 *
 * @param place Where it is.
 * @param interfaces This machine's interfaces.
 */
export function strangersTo(
  place: AsteriskPlace,
  interfaces: readonly OwnInterface[],
): Strangers {
  const names = [...new Set(interfaces.map(({ name }) => name))];
  if (names.length === 0) return {};
  const outer = names.filter((name) => name !== "lo" && !INWARD.test(name));
  if (place.kind === "forwarded") return { interfaces: names };
  if (place.kind !== "behind") return { interfaces: names, from: outer };
  return {
    interfaces: names,
    from: outer.filter((name) => name !== place.interface),
    toInterface: place.interface,
    toAddress: place.address,
  };
}
