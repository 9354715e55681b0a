/**
 * What a packet of an innocent phone costs on its way through the chain.
 *
 * @module
 */

import { hostAddress } from "./feed.ts";
import { emptyFirewall } from "./firewall.ts";
import type { PacketProbe } from "./native.ts";
import type { BackendName } from "./process.ts";
import { fillChain, fillSet, fillTable } from "./starting.ts";
import { median } from "./statistics.ts";

/** A host that is never blocked here. */
const INNOCENT = hostAddress(3_000_000);

/** Repetitions; the median counts, so that a disturbance does not. */
const REPETITIONS = 15;

/** Microseconds of one repetition, about. */
const REPETITION_US = 40_000;

/** Packets of the trial that finds out how many a repetition takes. */
const TRIAL_PACKETS = 50;

/**
 * Sends packets from one socket to another over a cable and reads them.
 *
 * @param backend how the hosts are blocked
 * @param blocked how many
 * @returns microseconds for one packet, all included: sending, the chain, receiving
 */
export function measurePacket(probe: PacketProbe, backend: BackendName, blocked: number): number {
  const fill = { iptables: fillChain, ipset: fillSet, nftables: fillTable }[backend];
  if (blocked > 0) fill(blocked);
  const trial = probe.microsecondsPerPacket(INNOCENT, TRIAL_PACKETS);
  const packets = Math.max(TRIAL_PACKETS, Math.round(REPETITION_US / trial));
  const costs = Array.from(
    { length: REPETITIONS },
    () => probe.microsecondsPerPacket(INNOCENT, packets),
  );
  probe.forget();
  emptyFirewall();
  return median(costs);
}
