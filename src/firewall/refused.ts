/**
 * Counts the packets of blocked hosts that the kernel has refused. The kernel counts at the rules
 * themselves, so that a number is a proof that packets come to them.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import type { BackendName } from "../config/config.ts";
import { Chain, eachLine } from "./chain.ts";
import { run, type Runner } from "./command.ts";
import { readTable, refusedIn } from "./nftables/listing.ts";
import { tableName } from "./nftables/open.ts";

/** Packets of one family that were refused since the rules that are there were made. */
interface RefusedPackets {
  /** Which addresses. */
  readonly family: Family;
  /** How many packets. */
  readonly packets: number;
}

/**
 * A rule of Ampere's that refuses, listed with its counters; one for all addresses has no source.
 */
const COUNTED = /^-A \S+ (?:-s \S+ |-m set --match-set \S+ src )?-c (\d+) \d+ -j (?:REJECT|DROP)\b/;

/**
 * Reads the kernel's counters; changes nothing.
 *
 * @param backend Which firewall.
 * @param name The chain of the configuration.
 * @param runner Runs the commands.
 * @returns A number for each family of which it can be read.
 *
 * @example
 * ```ts
 * import { refusedPackets } from "./refused.ts";
 *
 * for (const { family, packets } of await refusedPackets("nftables", "ampere")) {
 *   console.log(`IPv${family}: ${packets} packets`);
 * }
 * ```
 */
export async function refusedPackets(
  backend: BackendName,
  name: string,
  runner: Runner = run,
): Promise<RefusedPackets[]> {
  const families = [4, 6] as const;
  if (backend === "nftables") {
    const table = tableName(name);
    const listed = await runner("nft", ["-t", "list", "table", "inet", table], { output: true });
    if (!listed.ok) return [];
    const there = await readTable(listed.stdout, table);
    return families.map((family) => ({ family, packets: refusedIn(there, table, family) }));
  }
  const counts: RefusedPackets[] = [];
  for (const family of families) {
    const packets = await packetsOfChain(new Chain({ family, chain: name, run: runner }));
    if (packets !== undefined) counts.push({ family, packets });
  }
  return counts;
}

async function packetsOfChain(chain: Chain): Promise<number | undefined> {
  const listed = await chain.run(["-S", "-v"], { output: true });
  if (!listed.ok) return undefined;
  // Those who are on a list are no blocked hosts.
  const list = ` --match-set ${chain.set}l`;
  let packets = 0;
  await eachLine(listed.stdout, (line) => {
    if (!line.includes(list)) packets += Number(COUNTED.exec(line)?.[1] ?? 0);
  });
  return packets;
}
