/**
 * What lists of attackers lead to: strangers on them have one attempt, and with `action = block`
 * their packets are refused; who belongs here never is.
 *
 * @module
 */

import { expectNetwork, type Network, ownAddresses } from "../address/address.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import type { Feeds } from "../feeds/feeds.ts";
import type { Firewall } from "../firewall/firewall.ts";
import type { KernelList, ListBackend } from "../firewall/lists/backend.ts";
import { KernelLists } from "../firewall/lists/lists.ts";
import { gapOf } from "../firewall/nftables/gap.ts";
import type { Log } from "../log.ts";
import { type HostKey, keyAddress, keyText } from "../penalties/host_key.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import type { StrictHosts } from "../penalties/strict.ts";
import type { ListState } from "../telemetry/lists.ts";
import { counted } from "../text/table.ts";

/** Most hosts and networks that pass in spite of a list; a list that holds more is not blocked. */
const PASS_MAX = 10_000;

/** Most entries of all lists that the kernel refuses. */
const REFUSED_MAX = 1_000_000;

/** Why nobody is refused. */
const TOO_MANY = {
  message:
    `more than ${PASS_MAX} hosts that belong here are on lists with action = block: nobody ` +
    "is refused for any list, and strangers on them have one attempt",
  advice: "ampere --check names the list that holds them: remove it, or set action = strict",
};
const NOT_BY_IPTABLES = {
  message: "iptables refuses nobody for a list: strangers on it have one attempt",
  advice: "backend = nftables or backend = ipset, or action = strict",
};

/** What {@linkcode Listed} is made of. */
interface ListedParts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
  /** How lists are put into the kernel; `undefined`: not at all. */
  readonly lists?: ListBackend | undefined;
  /** Which firewall there is. */
  readonly backendName: string;
  /** Where copies of lists are; `undefined`: nowhere. */
  readonly feedsFolder?: string | undefined;
  readonly dryRun: boolean;
  /** The penalty table; not there yet when this is made. */
  readonly table: () => PenaltyTable;
  /** The firewall of the blocks; not there yet when this is made. */
  readonly firewall: () => Pick<Firewall, "judgementOf">;
  /** Lets logins be written soon. */
  readonly saveLogins: () => void;
  readonly random?: () => number;
}

/** Lists, and what follows from them. */
export class Listed implements StrictHosts {
  readonly #parts: ListedParts;
  /** `undefined` as long as none is configured: what fetches lists is loaded then. */
  #feeds: Feeds | undefined;
  readonly #kernel: KernelLists | undefined;
  #config: Config;
  /** Who passes in spite of a list, as text. */
  #pass = new Set<string>();
  /** More belong here than can pass: then nobody is refused. */
  #isTooMany = false;
  #isRunning = false;
  #isClosed = false;

  /**
   * Nobody is listed yet.
   *
   * @param parts What it is made of.
   */
  constructor(parts: ListedParts) {
    const { log, clock } = this.#parts = parts;
    this.#config = parts.config;
    this.#kernel = parts.lists === undefined ? undefined : new KernelLists({
      backend: parts.lists,
      log,
      clock,
      verifyMs: parts.config.verify * 1_000,
    });
  }

  /** Whether there is any list: else nobody needs to be asked for. */
  get isOn(): boolean {
    return this.#config.feeds.length > 0;
  }

  /** Who has one attempt; `undefined`: nobody. */
  get strict(): StrictHosts | undefined {
    return this.isOn ? this : undefined;
  }

  /** What is told of the lists. */
  get states(): ListState[] {
    const { backendName, firewall } = this.#parts;
    // A chain that no packet comes through refuses nobody; the table of nftables needs none.
    const isAsked = backendName !== "ipset" || firewall().judgementOf(4)?.inForce !== "no";
    const inForce = new Set(isAsked ? this.#kernel?.inForce ?? [] : []);
    const counts = this.#kernel?.counts;
    return (this.#feeds?.states ?? []).map((state) => ({
      ...state,
      inForce: inForce.has(state.name),
      packets: counts?.get(state.name)?.packets ?? 0,
    }));
  }

  /** Why the kernel does not refuse who is listed; `undefined` if it does. */
  get trouble(): { readonly message: string; readonly advice: string } | undefined {
    if (this.#isTooMany) return TOO_MANY;
    const { backendName, dryRun } = this.#parts;
    const isInVain = backendName === "iptables" && !dryRun && this.#blocking.length > 0;
    return isInVain ? NOT_BY_IPTABLES : this.#kernel?.trouble;
  }

  /** Why a host has one attempt; see {@linkcode StrictHosts}. */
  whyStrict(host: HostKey): string | undefined {
    return this.#feeds?.whyStrict(host);
  }

  /**
   * Which lists hold a target, or a part of it.
   *
   * @param target Canonical address or network.
   */
  listing(target: string): { readonly name: string; readonly entry: string }[] {
    const network = expectNetwork(target);
    return (this.#feeds?.listing(network) ?? []).map(({ feed, entry }) => ({
      name: feed.config.name,
      entry,
    }));
  }

  /** Takes the copies of an earlier life over; then lists are looked at when they are due. */
  async begin(): Promise<void> {
    this.#refuseIptables();
    await this.#load();
    await this.#feeds?.restore();
    if (this.#isClosed) return;
    this.#isRunning = true;
    // What an earlier life has left is taken away if it is not wanted any more.
    this.#put();
  }

  /**
   * Takes over a configuration.
   *
   * @param config The new one.
   */
  configure(config: Config): void {
    const before = this.#config;
    this.#config = config;
    this.#feeds?.configure(config.feeds);
    this.#refuseIptables();
    if (before.action !== config.action) this.#kernel?.refuseBy(config.action);
    const isOther = String(before.sipPorts) !== String(config.sipPorts) ||
      before.softRate !== config.softRate;
    if (this.#isRunning && isOther) this.#put();
    if (this.#isRunning) void this.#load().then(() => this.#feeds?.restore());
  }

  /** Makes what keeps lists, if there are any, or there were. */
  async #load(): Promise<void> {
    const { log, clock, wallClock, feedsFolder, random = Math.random } = this.#parts;
    if (this.#feeds !== undefined || !this.isOn && !isThere(feedsFolder)) return;
    const { Feeds } = await import("../feeds/feeds.ts");
    if (this.#feeds !== undefined || this.#isClosed) return;
    this.#feeds = new Feeds({
      folder: feedsFolder,
      log,
      now: () => clock.now(),
      wallClock,
      random,
      own: ownAddresses,
      changed: () => this.#changed(),
    });
    this.#feeds.configure(this.#config.feeds);
  }

  /** Looks what is due: to be called often. */
  look(): void {
    if (!this.#isRunning || !this.isOn) return;
    void this.#feeds?.look();
    this.#kernel?.look();
  }

  /** Others have taken something out of the firewall: of the lists, too, perhaps. */
  firewallDamaged(): void {
    if (this.#isRunning && this.isOn) this.#kernel?.lookAtOnce();
  }

  /** Others are exempt now, or in good standing without a login. */
  exemptChanged(): void {
    if (this.#isRunning && this.isOn) this.#put();
  }

  /**
   * Somebody has logged in: if they are listed, they pass from now on.
   *
   * @param host Who.
   */
  loggedIn(host: HostKey): void {
    if (!this.isOn || this.#kernel === undefined || !this.#isBlocked(keyAddress(host))) return;
    const { table, clock, log, saveLogins } = this.#parts;
    // Without credit a login gives nobody good standing.
    if (!table().isInGoodStanding(keyText(host), clock.now())) return;
    const target = this.#passOf(keyText(host));
    if (this.#pass.has(target) || this.#isTooMany) return;
    if (this.#pass.size >= PASS_MAX) return this.#put();
    this.#pass.add(target);
    this.#kernel.setPass([...this.#pass]);
    log.info(`${target} logged in, and passes in spite of the lists that it is on`);
    saveLogins();
  }

  /** Ends it; what is in the kernel stays. */
  close(): void {
    this.#isRunning = false;
    this.#isClosed = true;
    this.#feeds?.close();
    this.#kernel?.close();
  }

  #changed(): void {
    this.#parts.table().recheckStrict();
    if (this.#isRunning) this.#put();
  }

  /** Makes the kernel hold the lists, but for who belongs here. */
  #put(): void {
    if (this.#parts.dryRun) return this.#pretend();
    if (this.#kernel === undefined) return;
    const { sipPorts } = this.#config;
    let room = REFUSED_MAX;
    const fitting = this.#blocking.filter(({ config, set }) => {
      room -= set.size;
      if (room >= 0) return true;
      this.#parts.log.warn(
        `feed ${config.name}: nobody is refused for it, because all lists with action = block have ` +
          `more than ${REFUSED_MAX} entries; strangers on it have one attempt`,
      );
      return false;
    });
    const lists = fitting.map(({ config, set }): KernelList => ({
      name: config.name,
      ports: config.for === "sip" ? sipPorts : undefined,
      set,
    }));
    const pass = lists.length === 0 ? new Set<string>() : this.#findPass();
    if (pass === undefined && !this.#isTooMany) {
      this.#parts.log.error(`${TOO_MANY.message}. Fix: ${TOO_MANY.advice}`);
    }
    this.#isTooMany = pass === undefined;
    this.#pass = pass ?? new Set();
    this.#kernel.set(this.#isTooMany ? [] : lists, [...this.#pass], gapOf(this.#config));
  }

  get #blocking() {
    return (this.#feeds?.all ?? []).filter(({ config, set }) =>
      config.action === "block" && set.size > 0
    );
  }

  /** Who is listed, and belongs here; `undefined` if they are too many. */
  #findPass(): Set<string> | undefined {
    const { table, clock, log, saveLogins } = this.#parts;
    const pass = new Set<string>();
    for (const target of table().policy.exempt.targets) {
      if (this.#isBlocked(expectNetwork(target))) pass.add(target);
    }
    const names: string[] = [];
    for (const host of table().inspection.standingHosts(clock.now())) {
      if (!this.#isBlocked(keyAddress(host))) continue;
      if (pass.size >= PASS_MAX) return undefined;
      const target = this.#passOf(keyText(host));
      if (!this.#pass.has(target)) names.push(target);
      pass.add(target);
    }
    if (names.length > 0) {
      // Should this process be killed, they are refused until it is known again who they are.
      saveLogins();
      log.warn(
        `${counted(names.length, "host")} in good standing ${
          names.length === 1 ? "is" : "are"
        } on a list with action = block and ${names.length === 1 ? "passes" : "pass"}: ${
          names.slice(0, 5).join(", ")
        }${names.length > 5 ? ", …" : ""} (ampere --why ADDRESS says which)`,
      );
    }
    return pass;
  }

  /** Of an IPv6 host its network: a phone takes another address of it every day. */
  #passOf(address: string): string {
    return this.#parts.table().inspection.countedWith(address).network ?? address;
  }

  #isBlocked(network: Network | undefined): boolean {
    return network !== undefined &&
      this.#blocking.some(({ set }) => set.find(network) !== undefined);
  }

  #pretend(): void {
    for (const { config, set } of this.#blocking) {
      this.#parts.log.info(
        `dry run: would refuse ${counted(set.size, "entry", "entries")} of feed ${config.name}`,
      );
    }
  }

  /** A rule for each entry would make every packet slow. */
  #refuseIptables(): void {
    if (this.#parts.backendName !== "iptables") return;
    for (const { name, file, line, action } of this.#config.feeds) {
      if (action !== "block") continue;
      this.#parts.log.error(
        `${file}:${line}: [feed ${name}] has action = block, which iptables cannot do: each entry ` +
          "would be a rule that every packet is compared with. Nobody is blocked for it; strangers " +
          "on it have one attempt. Fix: backend = nftables or backend = ipset, or action = strict",
      );
    }
  }
}

/** Whether an earlier life has left copies. */
function isThere(folder: string | undefined): boolean {
  try {
    return folder !== undefined && Deno.statSync(folder).isDirectory;
  } catch {
    return false;
  }
}
