/**
 * The kernel's firewall in the namespace of the bench: made, emptied, counted, probed.
 *
 * @module
 */

import { CABLE, type PacketProbe, sleepBlocking } from "./native.ts";
import { type BackendName, CHAIN, must } from "./process.ts";

/**
 * Between two packets of a probe, in microseconds: the error of a measured time, and what it leaves
 * of a core.
 */
const PROBE_EVERY_US = 50;

/** How long a rule may take to appear, in milliseconds. */
const DEADLINE_MS = 60_000;

/** The table of routes for what is sent over the cable, and the card at its far end. */
const CABLE_ROUTES = "100";
const FAR_CARD = "02:00:00:00:00:02";

/**
 * Makes the chains, and every address of 10.0.0.0/8 one from which this machine may send; and a
 * cable from this machine to itself, because nftables never looks at the loopback interface.
 */
export function makeFirewall(): void {
  const { near, far, address } = CABLE;
  for (
    const command of [
      "link set lo up",
      "route add local 10.0.0.0/8 dev lo",
      `link add ${near} type veth peer name ${far} address ${FAR_CARD}`,
      `address add ${address}/32 dev ${far}`,
      `link set ${near} up`,
      `link set ${far} up`,
      `neigh add ${address} lladdr ${FAR_CARD} dev ${near} nud permanent`,
      `route add ${address}/32 dev ${near} table ${CABLE_ROUTES}`,
      // Who sends by the near end does not find the address in this machine.
      `rule add pref 10 lookup local`,
      `rule add pref 1 oif ${near} lookup ${CABLE_ROUTES}`,
      `rule del pref 0 lookup local`,
    ]
  ) must("ip", command.split(" "));
  for (const name of ["all", far]) {
    must("sysctl", ["-qw", `net.ipv4.conf.${name}.rp_filter=0`]);
    must("sysctl", ["-qw", `net.ipv4.conf.${name}.accept_local=1`]);
  }
  for (const program of ["iptables", "ip6tables"]) {
    must(program, ["-N", CHAIN]);
    must(program, ["-I", "INPUT", "-j", CHAIN]);
  }
}

/** Removes every rule of the chain, the sets, and the table. */
export function emptyFirewall(): void {
  must("nft", [`add table inet ${CHAIN}; delete table inet ${CHAIN}`]);
  for (const program of ["iptables", "ip6tables"]) must(program, ["-F", CHAIN]);
  for (const set of must("ipset", ["list", "-n"]).split("\n")) {
    if (set !== "") must("ipset", ["destroy", set]);
  }
}

/** Takes what Ampere has made out of the way of packets, or puts it there again. */
export function switchFirewall(backend: "ipset" | "nftables", isOn: boolean): void {
  if (backend === "nftables") {
    must("nft", [`add table inet ${CHAIN} ${isOn ? "" : "{ flags dormant; }"}`]);
  } else must("iptables", [isOn ? "-I" : "-D", "INPUT", "-j", CHAIN]);
}

/** How many hosts the kernel blocks, by its own list. */
export function blockedCount(backend: BackendName): number {
  if (backend === "ipset") {
    const set = `${CHAIN}4`;
    if (!must("ipset", ["list", "-n"]).split("\n").includes(set)) return 0;
    return Number(/^Number of entries: (\d+)$/m.exec(must("ipset", ["list", "-t", set]))?.[1]);
  }
  if (backend === "nftables") {
    if (!/^table inet /m.test(must("nft", ["list", "tables", "inet"]))) return 0;
    // A very long list fills the one or the other set.
    const set = /\tset (hosts4b?) /.exec(must("nft", ["-t", "list", "table", "inet", CHAIN]))?.[1];
    if (set === undefined) return 0;
    const listed = must("nft", ["-s", "list", "set", "inet", CHAIN, set]);
    return listed.match(/\d+\.\d+\.\d+\.\d+/g)?.length ?? 0;
  }
  return must("iptables", ["-S", CHAIN]).match(/^-A/gm)?.length ?? 0;
}

/** Puts one rule in the chain by a process of its own, as the original does. */
export function blockByProcess(host: string): void {
  must("iptables", ["-w", "-A", CHAIN, "-s", host, "-j", "REJECT"]);
}

/**
 * Waits until packets of all these hosts are refused; blocks the event loop.
 *
 * @param probe sends the packets
 * @param hosts whose packets
 * @param everyUs time between two looks, in microseconds
 * @returns the moment at which the last was seen to be refused, by `performance.now()`
 */
export function waitUntilBlocked(
  probe: PacketProbe,
  hosts: readonly string[],
  everyUs = PROBE_EVERY_US,
): number {
  const end = performance.now() + DEADLINE_MS;
  // The last ones are likely to be the last: mostly the others need one packet each.
  for (let i = hosts.length - 1; i >= 0; i--) {
    while (probe.passes(hosts[i]!)) {
      if (performance.now() > end) throw new Error(`${hosts[i]} was not blocked in time`);
      sleepBlocking(everyUs);
    }
  }
  return performance.now();
}
