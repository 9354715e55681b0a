/**
 * The network interfaces of this machine, and which of its networks an address is in.
 *
 * @module
 */

import { contains, isLoopback, parseAddress, parseTarget } from "./address.ts";

/** An address of an interface of this machine. */
export interface OwnInterface {
  /** The name: `eth0`. */
  readonly name: string;
  /** The canonical address. */
  readonly address: string;
  /** The canonical network around it, to which no gateway leads. */
  readonly network: string;
}

/**
 * How interfaces to the outside are called (systemd's and the kernel's names); a bridge to
 * containers or virtual machines has another name.
 */
const OUTWARD = /^(?:eth|en|wl|ww|bond|team|ppp|usb)/;

/** Addresses of one link (RFC 4291, section 2.5.6): the same ones are behind each interface. */
export const LINK_LOCAL = "fe80::/10";

/**
 * Tells the interfaces.
 *
 * @returns Each address that an interface has; none when the system does not tell.
 */
export function ownInterfaces(): OwnInterface[] {
  let all: Deno.NetworkInterfaceInfo[];
  try {
    all = Deno.networkInterfaces();
  } catch {
    return [];
  }
  return all.flatMap(({ name, address: text, cidr }) => {
    const address = parseAddress(text);
    // A zone may stand in it, which no network has.
    const network = parseTarget(cidr?.replace(/%[^/]*/, "") ?? "");
    return address === undefined ? [] : [{ name, address, network: network ?? address }];
  });
}

/**
 * Tells the interface behind which an address is, if packets for it go through this machine: that
 * of a bridge to containers or virtual machines, or of another network that this machine leads to.
 * In the network where the default gateway is, packets reach the address without this machine.
 *
 * @param address A canonical address.
 * @param interfaces The interfaces.
 * @param gateways Canonical addresses of the default gateways; none: not known.
 * @returns The interface's name; `undefined` if there is none.
 *
 * @example
 * ```ts
 * import { interfaceBefore } from "./interfaces.ts";
 *
 * const bridge = { name: "docker0", address: "172.17.0.1", network: "172.17.0.0/16" };
 * interfaceBefore("172.17.0.2", [bridge], []); // "docker0"
 * interfaceBefore("192.0.2.9", [bridge], []); // undefined
 * ```
 */
export function interfaceBefore(
  address: string,
  interfaces: readonly OwnInterface[],
  gateways: readonly string[],
): string | undefined {
  if (contains(LINK_LOCAL, address)) return undefined;
  const { name } =
    interfaces.find((one) =>
      one.name !== "lo" && !isLoopback(one.address) && contains(one.network, address)
    ) ?? {};
  if (name === undefined) return undefined;
  const networks = interfaces.filter((one) => one.name === name).map(({ network }) => network);
  const isOutward = gateways.some((gateway) => networks.some((one) => contains(one, gateway)));
  if (isOutward) return undefined;
  const names = new Set(interfaces.map((one) => one.name));
  names.delete("lo");
  // Without a gateway that is known, the only way to the outside is one by its name.
  return gateways.length === 0 && names.size === 1 && OUTWARD.test(name) ? undefined : name;
}
