/**
 * The hosts without which this machine is cut off: its default gateways and its resolvers.
 *
 * @module
 */

import { fstatSync, readSync } from "node:fs";
import { parseAddress } from "./address.ts";

/**
 * Where resolvers stand. The second is what systemd-resolved asks, when the first names only its
 * own loopback address.
 */
export const RESOLVER_FILES: readonly string[] = [
  "/etc/resolv.conf",
  "/run/systemd/resolve/resolv.conf",
];

/** Most resolvers, and most gateways, that are taken; the system itself uses three resolvers. */
export const NEIGHBOURS_MAX = 16;

/** Most of the table of routes that is read, in bytes (128 a route); default routes stand first. */
const ROUTES_BYTES_MAX = 16 * 1024;

/** How the table of routes begins. */
const ROUTES_HEAD = "Iface\tDestination\tGateway";

/** A route is in force, and leads to a gateway (`RTF_UP | RTF_GATEWAY`, Linux, `route.h`). */
const TO_GATEWAY = 0x3;

/**
 * Destination and mask of a route for all that there is (0.0.0.0/0), or for a half of it: two of
 * the latter (0.0.0.0/1 and 128.0.0.0/1) make a default route that goes before the former, as VPN
 * programs do it.
 */
const DEFAULT_WORDS: readonly number[] = [0x0, 0x80];

const STDIN = 0;

/**
 * The resolvers of this machine.
 *
 * @param files Where they stand; a file that is not there, or may not be read, names none.
 * @returns Canonical addresses, each once.
 */
export function resolvers(files: readonly string[] = RESOLVER_FILES): string[] {
  const found = new Set<string>();
  for (const file of files) {
    for (const address of parseResolvers(readText(file))) {
      if (found.size < NEIGHBOURS_MAX) found.add(address);
    }
  }
  return [...found];
}

function readText(file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch {
    return "";
  }
}

/**
 * Reads `resolv.conf`.
 *
 * @param text Its text.
 * @returns Canonical addresses, without zones.
 */
export function parseResolvers(text: string): string[] {
  return [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].flatMap(([, address]) =>
    parseAddress(address!) ?? []
  );
}

/**
 * The IPv4 default gateways of this machine, if standard input is `/proc/net/route`. A program of
 * Deno's may open no file in `/proc` unless it may do everything, but it may read what it is given
 * open; the kernel then tells the present routes at each reading. Standard input of any other kind
 * is left alone.
 *
 * @returns Canonical addresses, each once; none when it is not known.
 */
export function defaultGateways(): string[] {
  try {
    const stdin = fstatSync(STDIN);
    // Files of /proc have no size.
    if (!stdin.isFile() || stdin.size !== 0) return [];
    const bytes = new Uint8Array(ROUTES_BYTES_MAX);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(STDIN, bytes, length, bytes.length - length, length);
      if (count <= 0) break;
      length += count;
    }
    return parseRoutes(new TextDecoder().decode(bytes.subarray(0, length)));
  } catch {
    return [];
  }
}

/**
 * Reads the table of routes.
 *
 * @param table Text of `/proc/net/route`.
 * @returns The gateways of the default routes, canonical, each once.
 */
export function parseRoutes(table: string): string[] {
  if (!table.startsWith(ROUTES_HEAD)) return [];
  const gateways = new Set<string>();
  for (const line of table.split("\n").slice(1)) {
    const [, destination, gateway, flags, , , , mask] = line.trim().split(/\s+/);
    if (mask === undefined || !/^[0-9A-F]{8}$/.test(gateway!)) continue;
    const isDefault = DEFAULT_WORDS.includes(Number.parseInt(mask, 16)) &&
      DEFAULT_WORDS.includes(Number.parseInt(destination!, 16));
    if (!isDefault || (Number.parseInt(flags!, 16) & TO_GATEWAY) !== TO_GATEWAY) continue;
    if (gateways.size < NEIGHBOURS_MAX) gateways.add(fromKernel(gateway!));
  }
  return [...gateways];
}

/**
 * The kernel prints the four bytes of an address as one number of the processor: all that Ampere
 * runs on begin with the last.
 */
function fromKernel(hex: string): string {
  const bytes = hex.match(/../g)!.reverse();
  return bytes.map((byte) => Number.parseInt(byte, 16)).join(".");
}
