/**
 * Restart with a full list, and how long the commands take.
 *
 * @module
 */

import { hostAddress } from "./feed.ts";
import { blockedCount, emptyFirewall, waitUntilBlocked } from "./firewall.ts";
import type { Manager } from "./manager.ts";
import type { PacketProbe } from "./native.ts";
import {
  Ampere,
  type AmpereOptions,
  type BackendName,
  CHAIN,
  must,
  mustRead,
  pause,
  residentWithChildrenMiB,
  withFile,
  writeConfig,
} from "./process.ts";

/** Stored hosts whose packets are looked at; all others are counted afterwards. */
const PROBED = 16;

/**
 * Between two looks while thousands of rules are made, in microseconds: each packet is compared
 * with all that are there.
 */
const PROBE_EVERY_US = 3_000;

/** The hosts that {@linkcode fillChain} and the stored lists hold. */
export function storedHosts(count: number): string[] {
  return Array.from({ length: count }, (_, i) => hostAddress(i));
}

/** What a program reads that makes a chain with so many rules. */
function chainInput(rules: number): string {
  const lines = storedHosts(rules).map((host) => `-A ${CHAIN} -s ${host}/32 -j REJECT\n`);
  return `*filter\n${lines.join("")}COMMIT\n`;
}

/** Makes a chain with so many rules, by one command. */
export function fillChain(rules: number): void {
  must("iptables-restore", ["-n"], chainInput(rules));
}

/** What a program reads that makes a set with so many hosts. */
function setInput(hosts: number): string {
  const set = `${CHAIN}4`;
  const lines = storedHosts(hosts).map((host) => `add ${set} ${host}\n`);
  return `create ${set} hash:net maxelem 1000000 timeout 0\n${lines.join("")}`;
}

/** Makes a set with so many hosts, and the rule that looks at it. */
export function fillSet(hosts: number): void {
  must("ipset", ["restore"], setInput(hosts));
  must("iptables", ["-A", CHAIN, "-m", "set", "--match-set", `${CHAIN}4`, "src", "-j", "REJECT"]);
}

/** What a program reads that makes a table with so many hosts. */
function tableInput(hosts: number): string {
  const set = hosts === 0 ? "" : `elements = { ${storedHosts(hosts).join(", ")} }\n`;
  const rule = "ip saddr @hosts4 counter reject with icmp type port-unreachable";
  return `table inet ${CHAIN} {\nset hosts4 {\ntype ipv4_addr\nflags timeout\n${set}}\nchain incoming {\n` +
    `type filter hook prerouting priority -310\niif "lo" accept\n${rule}\n}\n}\n`;
}

/** Makes a table with so many hosts. */
export function fillTable(hosts: number): void {
  must("nft", ["-f", "-"], tableInput(hosts));
}

/**
 * What the firewall's own program needs for so many hosts, when it is given all of them at once:
 * less is not possible.
 *
 * @returns seconds
 */
export function measureBareRestore(backend: BackendName, hosts: number): number {
  const [input, program, args] = {
    iptables: [chainInput, "iptables-restore", ["-n"]],
    ipset: [setInput, "ipset", ["restore"]],
    nftables: [tableInput, "nft", ["-f", "-"]],
  }[backend] as [(hosts: number) => string, string, string[]];
  return withFile(input(hosts), (file) => {
    const start = performance.now();
    mustRead(file, program, args);
    const took = performance.now() - start;
    emptyFirewall();
    return took / 1000;
  });
}

/**
 * Starts Ampere with a full list.
 *
 * @param options its folder holds `stored` blocks
 * @returns seconds from the start of the process until the kernel refuses all of them
 */
export async function measureRestart(
  manager: Manager,
  probe: PacketProbe,
  options: AmpereOptions & { stored: number },
): Promise<number> {
  const { stored, backend = "iptables" } = options;
  const hosts = storedHosts(stored);
  const probed = Array.from(
    { length: PROBED },
    (_, i) => hosts[Math.floor((i + 1) * stored / PROBED) - 1]!,
  );
  for (const host of probed) probe.prepare(host);
  const start = performance.now();
  // Logging in comes first; the time counts from before the process.
  const ampere = await Ampere.start(manager, options);
  try {
    const end = waitUntilBlocked(probe, probed, PROBE_EVERY_US);
    const there = blockedCount(backend);
    if (there !== stored) throw new Error(`${there} of ${stored} are in the kernel`);
    return (end - start) / 1000;
  } finally {
    await ampere.stop();
    probe.forget();
    emptyFirewall();
  }
}

/** Between two looks at the memory, and at a packet, in milliseconds. */
const MEMORY_EVERY_MS = 20;

/** How long a start with a very long list may take, in milliseconds. */
const LONG_START_MS = 60_000;

/**
 * The same with a very long list.
 *
 * @returns seconds, and the most memory of Ampere and its children at a time, in MiB
 */
export async function measureLongRestart(
  manager: Manager,
  probe: PacketProbe,
  options: AmpereOptions & { stored: number },
): Promise<{ readonly seconds: number; readonly peakMiB: number }> {
  const { stored, backend = "iptables" } = options;
  const hosts = storedHosts(stored);
  const probed = [hosts[0]!, hosts[Math.floor(stored / 2)]!, hosts[stored - 1]!];
  for (const host of probed) probe.prepare(host);
  const start = performance.now();
  const ampere = await Ampere.start(manager, options);
  let peakMiB = 0;
  try {
    while (probed.some((host) => probe.passes(host))) {
      if (performance.now() - start > LONG_START_MS) throw new Error("they were not blocked");
      peakMiB = Math.max(peakMiB, residentWithChildrenMiB(ampere.pid));
      await pause(MEMORY_EVERY_MS);
    }
    const seconds = (performance.now() - start) / 1000;
    const there = blockedCount(backend);
    if (there !== stored) throw new Error(`${there} of ${stored} are in the kernel`);
    return { seconds, peakMiB };
  } finally {
    await ampere.stop();
    probe.forget();
    emptyFirewall();
  }
}

/**
 * Times of a command from start to end, all of its output read.
 *
 * @param times how often
 * @returns milliseconds
 */
export function measureCommand(
  executable: string,
  args: readonly string[],
  times: number,
  lines = 0,
): number[] {
  return Array.from({ length: times }, () => {
    const start = performance.now();
    const output = must(executable, args);
    const took = performance.now() - start;
    const there = output.split("\n").length - 1;
    if (lines > 0 && there !== lines) throw new Error(`${there} lines instead of ${lines}`);
    return took;
  });
}

/** The arguments that list the blocks of a folder. */
export function listArguments(folder: string): string[] {
  return ["-c", writeConfig({ folder }), "-l"];
}
