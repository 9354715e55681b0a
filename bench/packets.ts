/**
 * What a packet of an innocent phone costs on its way through the chain.
 *
 * @module
 */

import { hostAddress } from "./feed.ts";
import { blockedCount, emptyFirewall, switchFirewall } from "./firewall.ts";
import type { Manager } from "./manager.ts";
import type { PacketProbe } from "./native.ts";
import { Ampere, type AmpereOptions, type BackendName, until } from "./process.ts";
import { fillChain, fillSet, fillTable } from "./starting.ts";
import { median } from "./statistics.ts";

/** A host that is never blocked here. */
const INNOCENT = hostAddress(3_000_000);

/** Repetitions; the median counts, so that a disturbance does not. */
const REPETITIONS = 15;

/** Microseconds of one repetition, about. */
const REPETITION_US = 40_000;

/**
 * How often a firewall is switched off and on, and how often so many packets are sent meanwhile: in
 * half a millisecond nothing else happens, mostly. The median counts.
 */
const TURNS = 80;
const PARTS_OF_TURN = 3;
const PART_PACKETS = 150;

/** Packets of the trial that finds out how many a repetition takes. */
const TRIAL_PACKETS = 50;

/** Lengths of the networks that are blocked beside hosts, each as often. */
const LENGTHS = [15, 16, 17, 18, 19, 20, 21, 22, 23, 24];

/** Those of each length are in a /8 of their own, from this one on; hosts are in none of them. */
const NETWORKS_FROM = 11;

/**
 * Targets of a long list with networks of ten lengths.
 *
 * @param hosts how many hosts
 * @param networks how many networks, at most 1,280: 128 of each length
 */
export function mixedTargets(hosts: number, networks: number): string[] {
  return [
    ...Array.from({ length: hosts }, (_, i) => hostAddress(i)),
    ...Array.from({ length: networks }, (_, i) => {
      const kind = i % LENGTHS.length;
      const place = Math.floor(i / LENGTHS.length);
      return `${NETWORKS_FROM + kind}.${2 * place}.0.0/${LENGTHS[kind]}`;
    }),
  ];
}

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
  const cost = measureInnocent(probe);
  emptyFirewall();
  return cost;
}

/**
 * The same in a firewall that Ampere has filled itself, with hosts and networks. It is switched off
 * and on again and again, so that both are measured on an equally busy machine.
 *
 * @param options its folder holds what {@linkcode mixedTargets} gives
 * @param hosts how many hosts of these are to be there
 * @returns microseconds for one packet, and for one with the firewall switched off
 */
export async function measurePacketWithNetworks(
  manager: Manager,
  probe: PacketProbe,
  options: AmpereOptions & { readonly backend: "ipset" | "nftables" },
  hosts: number,
): Promise<{ readonly cost: number; readonly free: number }> {
  const { backend } = options;
  const ampere = await Ampere.start(manager, options);
  try {
    await until(
      "all are blocked",
      () => blockedCount(backend) >= hosts ? true : undefined,
      100,
    );
  } finally {
    await ampere.stop();
  }
  const costs: number[] = [];
  const free: number[] = [];
  for (let i = 0; i < TURNS; i++) {
    for (const isOn of [false, true]) {
      switchFirewall(backend, isOn);
      for (let part = 0; part < PARTS_OF_TURN; part++) {
        (isOn ? costs : free).push(probe.microsecondsPerPacket(INNOCENT, PART_PACKETS));
      }
    }
  }
  probe.forget();
  emptyFirewall();
  return { cost: median(costs), free: median(free) };
}

/** One packet of a host that is not blocked, in microseconds. */
function measureInnocent(probe: PacketProbe): number {
  const trial = probe.microsecondsPerPacket(INNOCENT, TRIAL_PACKETS);
  const packets = Math.max(TRIAL_PACKETS, Math.round(REPETITION_US / trial));
  const costs = Array.from(
    { length: REPETITIONS },
    () => probe.microsecondsPerPacket(INNOCENT, packets),
  );
  probe.forget();
  return median(costs);
}
