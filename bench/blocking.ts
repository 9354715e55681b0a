/**
 * How soon an attacker is in the kernel: one after the other, and thousands together.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { hostAddress, wrongAnswer, wrongSipPassword } from "./feed.ts";
import { blockByProcess, blockedCount, emptyFirewall, waitUntilBlocked } from "./firewall.ts";
import type { Manager } from "./manager.ts";
import { ALL_PROCESSORS, type PacketProbe, runOn } from "./native.ts";
import { Ampere, type AmpereOptions, type BackendName, pause, until } from "./process.ts";
import { areaBelow } from "./statistics.ts";

/** Hosts below this index are stored before, those from it on attack. */
const ATTACKERS_FROM = 100_000;

/** Attempts that a host has, by default. */
const LOYALTY = 3;

/**
 * Between two attackers that come one after the other, in milliseconds: the daemon is idle again.
 */
const GAP_MS = 8;

/**
 * Hosts of a burst whose packets are looked at. All others are counted in the kernel's list
 * afterwards.
 */
const PROBED = 16;

/** The last attempt of each host, after Ampere has seen all others. */
async function prepareAttack(
  ampere: Ampere,
  hosts: readonly string[],
  attempt: (host: string) => string,
): Promise<string[]> {
  let before = "";
  for (let i = 1; i < LOYALTY; i++) before += hosts.map(attempt).join("");
  await ampere.connection.send(before);
  const events = hosts.length * (LOYALTY - 1);
  await until(
    "the attempts before",
    async () => await ampere.securityEvents() === events ? true : undefined,
  );
  return hosts.map(attempt);
}

/**
 * The times from an event's first byte to the kernel refusing the host's packets, one attacker
 * after the other.
 *
 * @param count how many attackers
 * @param service whose events tell of them
 * @returns milliseconds, one for each
 */
export async function measureSingle(
  manager: Manager,
  probe: PacketProbe,
  options: AmpereOptions & { count: number; service: "PJSIP" | "SIP"; stored?: number },
): Promise<number[]> {
  const backend = options.backend ?? "iptables";
  const hosts = Array.from({ length: options.count }, (_, i) => hostAddress(ATTACKERS_FROM + i));
  const ampere = await Ampere.start(manager, options);
  try {
    const attempt = options.service === "SIP" ? wrongSipPassword : wrongAnswer;
    const last = await prepareAttack(ampere, hosts, attempt);
    await settled(backend, options.stored ?? 0);
    ampere.runApart();
    const times: number[] = [];
    for (const [i, host] of hosts.entries()) {
      if (!probe.passes(host)) throw new Error(`${host} is blocked before its last attempt`);
      await pause(GAP_MS);
      const start = performance.now();
      await ampere.connection.send(last[i]!);
      times.push(waitUntilBlocked(probe, [host]) - start);
    }
    return times;
  } finally {
    runOn(0, ALL_PROCESSORS);
    await ampere.stop();
    probe.forget();
    emptyFirewall();
  }
}

/**
 * How long the monitor of nftables may take to begin, in milliseconds. Until then each block has a
 * process; and each block makes it begin anew.
 */
const MONITOR_BEGINS_MS = 4_000;

/** Waits until the blocks of the start are in the kernel. */
async function settled(backend: BackendName, stored: number): Promise<void> {
  await until("the blocks of the start", () => blockedCount(backend) >= stored ? true : undefined);
  if (backend === "nftables") await pause(MONITOR_BEGINS_MS);
}

/**
 * The same by one `iptables` process for each attacker and nothing else, on a chain with `stored`
 * rules.
 */
export function measureSingleProcesses(
  probe: PacketProbe,
  count: number,
  fill: (rules: number) => void,
  stored: number,
): number[] {
  fill(stored);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const host = hostAddress(ATTACKERS_FROM + i);
    probe.prepare(host);
    const start = performance.now();
    blockByProcess(host);
    times.push(waitUntilBlocked(probe, [host]) - start);
  }
  probe.forget();
  emptyFirewall();
  return times;
}

/**
 * Many attackers go too far together.
 *
 * @returns seconds from the first byte of the first last attempt until all are in the database and
 *   in the kernel
 */
export async function measureBurst(
  manager: Manager,
  probe: PacketProbe,
  options: AmpereOptions & { count: number },
): Promise<number> {
  const { count, backend = "iptables", folder } = options;
  const hosts = Array.from({ length: count }, (_, i) => hostAddress(ATTACKERS_FROM + i));
  const probed = Array.from(
    { length: PROBED },
    (_, i) => hosts[Math.floor((i + 1) * count / PROBED) - 1]!,
  );
  const ampere = await Ampere.start(manager, options);
  try {
    const last = await prepareAttack(ampere, hosts, wrongAnswer);
    for (const host of probed) probe.prepare(host);
    const attack = new TextEncoder().encode(last.join(""));
    await pause(GAP_MS);
    const start = performance.now();
    // Not awaited: the last bytes may be accepted only when the first have been read.
    const sent = ampere.connection.send(attack);
    await pause(0);
    let end = waitUntilBlocked(probe, probed, 500);
    // Blocks are written before they are ordered, so this is true at the first look, or the claim
    // is wrong.
    while (storedCount(folder) < count) end = performance.now();
    await sent;
    const there = blockedCount(backend);
    if (there !== count) throw new Error(`${there} of ${count} are in the kernel`);
    return (end - start) / 1000;
  } finally {
    await ampere.stop();
    probe.forget();
    emptyFirewall();
  }
}

function storedCount(folder: string): number {
  using database = new DatabaseSync(`${folder}/ampere.db`, { readOnly: true });
  return Number(database.prepare("SELECT count(*) AS blocks FROM block").get()?.blocks);
}

/** Processes that are measured at each number of rules. */
const SAMPLE = 12;

/**
 * What one `iptables` process for each block would need, by samples at different numbers of rules.
 *
 * @param fill makes a chain with so many rules
 * @param counts where to measure, ascending, the first is 0
 * @returns for each count the seconds to get there
 */
export function extrapolateProcesses(
  fill: (rules: number) => void,
  counts: readonly number[],
): number[] {
  const points: [number, number][] = counts.map((count) => {
    fill(count);
    const start = performance.now();
    for (let i = 0; i < SAMPLE; i++) blockByProcess(hostAddress(ATTACKERS_FROM + i));
    const seconds = (performance.now() - start) / 1000 / SAMPLE;
    emptyFirewall();
    return [count, seconds];
  });
  return counts.map((_, i) => areaBelow(points.slice(0, i + 1)));
}
