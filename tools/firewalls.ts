/**
 * Gets real firewall programs for the tests in `tests/e2e`: the file systems of three Debian
 * releases, each with its own nft, and two of them with ufw and firewalld; one with fail2ban and
 * CrowdSec; and one with Valkey, for `tests/fleet`.
 *
 * ```sh
 * deno task firewalls                      # into $AMPERE_FIREWALLS, or /var/cache/ampere-firewalls
 * deno task firewalls --dir=/srv/firewalls # elsewhere; tell the tests by AMPERE_FIREWALLS
 * ```
 *
 * @module
 */

import { provideAll, rootOf as rootIn, type System } from "./debian.ts";

/** What somebody has who uses a firewall program. */
const ALL = {
  // polkitd, which firewalld needs, needs a login manager; debootstrap does not choose one.
  packages: [
    "nftables",
    "iptables",
    "ipset",
    "ufw",
    "firewalld",
    "dbus",
    "iproute2",
    "libpam-systemd",
  ],
  proof: "usr/sbin/firewalld",
} as const;

/** A file system, and which nft it has. */
interface Machine extends System {
  /** The version of nft, as far as it stays the same. */
  readonly nft: string;
}

/** The oldest nft that works, and those of the Debian releases that people use. */
export const MACHINES: {
  readonly old: Machine;
  readonly previous: Machine;
  readonly current: Machine;
} = {
  // The first that must work is 1.0.2 (Ubuntu 22.04), which no Debian release has.
  old: { suite: "bullseye", nft: "0.9.8", packages: ["nftables"], proof: "usr/sbin/nft" },
  previous: { ...ALL, suite: "bookworm", nft: "1.0.6" },
  current: { ...ALL, suite: "trixie", nft: "1.1.3" },
};

/** Where people come from: fail2ban, and CrowdSec, whose scripts want its makers' server. */
export const PREDECESSORS: System = {
  suite: "bookworm",
  name: "predecessors",
  packages: ["fail2ban", "nftables", "ca-certificates", "libsqlite3-0"],
  unpacked: ["crowdsec"],
  proof: "usr/bin/cscli",
};

/** The engine between several PBXs that Debian has beside Redis. */
export const VALKEY: System = {
  suite: "trixie",
  name: "valkey",
  packages: ["valkey-server"],
  proof: "usr/bin/valkey-server",
};

/** Where the file systems are unless `AMPERE_FIREWALLS` says otherwise. */
const DEFAULT_FOLDER = "/var/cache/ampere-firewalls";

function machinesFolder(): string {
  return Deno.env.get("AMPERE_FIREWALLS") || DEFAULT_FOLDER;
}

/**
 * The file system of a machine.
 *
 * @param machine which
 * @returns its root, or `undefined` when it has not been made
 */
export function rootOf(machine: System): string | undefined {
  return rootIn(machine, machinesFolder());
}

if (import.meta.main) {
  const systems = new Map<string, System>(
    Object.values(MACHINES).map((machine) => [
      `nft ${machine.nft} (Debian ${machine.suite})`,
      machine,
    ]),
  );
  systems.set(`fail2ban and CrowdSec (Debian ${PREDECESSORS.suite})`, PREDECESSORS);
  systems.set(`Valkey (Debian ${VALKEY.suite})`, VALKEY);
  Deno.exit(await provideAll("firewalls", systems, machinesFolder(), Deno.args));
}
