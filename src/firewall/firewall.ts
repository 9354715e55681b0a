/**
 * Keeps the firewall of the kernel equal to the list of blocks.
 *
 * The list is what is wanted; the kernel's rules are its image. One mechanism serves the start,
 * each new block, each release, and the repair of what somebody else did to the chain: know what is
 * wanted, know what is there, send one command for the difference.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { Gap } from "./nftables/gap.ts";
import type { Action } from "../config/config.ts";
import { formatCount } from "../text/table.ts";
import { type Family, familyOf } from "../address/address.ts";
import { type Backend, type Entry, isSafeTarget, SOFT } from "./backend.ts";
import type { Failure } from "./failure.ts";
import type { Judgement } from "./judgement.ts";
import { Reconciler, type ReconcilerOptions } from "./reconciler.ts";
import type { Damage, FamilyStatus, FirewallStatus } from "./status.ts";
import type { FirewallLog } from "./trouble.ts";
import type { ForceChange } from "./watch.ts";
import type { Way, WaySettings } from "./way.ts";

export type { FamilyStatus, FirewallLog, FirewallStatus };

/** From how many rules on another backend is recommended. */
export const MANY_RULES = 1_000;

/** What a firewall is made of. */
export interface FirewallOptions {
  /** The firewall, at most one backend for each family. */
  readonly backends: readonly Backend[];
  /** The ways of packets to the chain, at most one for each family; judged if given. */
  readonly ways?: readonly Way[];
  /** Called when blocks of a family come into force, or are not any more. */
  readonly onForce?: (change: ForceChange) => void;
  /** Called when others have taken out blocks, or what holds them. */
  readonly onDamage?: (damage: Damage) => void;
  /** Takes the messages. */
  readonly log: FirewallLog;
  /** Time between looks at the firewall, in milliseconds. */
  readonly verifyMs: number;
  /** The time. @default {systemClock} */
  readonly clock?: Clock;
  /** Random numbers from 0 to 1, for the delays. @default {Math.random} */
  readonly random?: () => number;
  /**
   * Called when blocks given to {@linkcode Firewall.block} are in the kernel.
   *
   * @param targets What is blocked now.
   * @param waitedMs How long each has waited, from the call to the end of its command.
   */
  readonly onApplied?: (targets: readonly string[], waitedMs: readonly number[]) => void;
}

/**
 * Keeps the kernel's rules equal to a list of targets.
 *
 * IPv4 and IPv6 go their ways independently; each has at most one command at a time. While it runs,
 * changes collect, and the next command takes them all. What fails is tried again for ever.
 *
 * @example
 * ```ts
 * import { Firewall } from "./firewall.ts";
 * import { IptablesBackend } from "./iptables.ts";
 *
 * const firewall = new Firewall({
 *   backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
 *   log: console,
 *   verifyMs: 60_000,
 * });
 * const failures = await firewall.start([]);
 * if (failures.length === 0) firewall.block([{ target: "192.0.2.1", until: undefined }]);
 * await firewall.stop();
 * ```
 */
export class Firewall {
  readonly #reconcilers: ReadonlyMap<Family, Reconciler>;
  readonly #ways: readonly Way[];
  /** Families of which a few packets pass although a network is blocked. */
  readonly #backends: readonly Backend[];
  readonly #log: FirewallLog;
  readonly #clock: Clock;
  readonly #verifyMs: number;
  #cancelVerify: (() => void) | undefined;
  #recommended = false;
  #stopped = false;

  /**
   * Makes a firewall; it runs nothing before {@linkcode Firewall.start}.
   *
   * @param options The firewall, the log, the interval of looks.
   * @throws {TypeError} If two backends serve the same family.
   */
  constructor(options: FirewallOptions) {
    const { log, clock = systemClock, random = Math.random, onApplied = () => {} } = options;
    this.#log = log;
    this.#clock = clock;
    this.#verifyMs = options.verifyMs;
    const all: ReconcilerOptions = {
      log,
      clock,
      random,
      onApplied,
      onSuccess: () => this.#recommend(),
      onForce: options.onForce ?? (() => {}),
      onDamage: options.onDamage ?? (() => {}),
    };
    this.#ways = options.ways ?? [];
    this.#backends = options.backends;
    const wayOf = (family: Family) => this.#ways.find((way) => way.family === family);
    this.#reconcilers = new Map(
      options.backends.map((backend) => [
        backend.family,
        new Reconciler(backend, all, wayOf(backend.family)),
      ]),
    );
    if (this.#reconcilers.size !== options.backends.length) {
      throw new TypeError("there are two backends for one family");
    }
  }

  /**
   * Makes the firewall equal to the given list, and keeps it so from now on.
   *
   * @param entries All that is to be blocked.
   * @returns When the first attempt of each family has ended: the failures, at most one for a
   * family, logged already. The firewall does not give up because of one; whether the program does
   * is the caller's decision (see {@linkcode isLasting}).
   */
  async start(entries: Iterable<Entry>): Promise<Failure[]> {
    const lists = this.#split(entries);
    const results = [...this.#reconcilers].map(([family, reconciler]) =>
      reconciler.start(lists.get(family) ?? [])
    );
    this.#armVerify();
    return (await Promise.all(results)).filter((failure) => failure !== undefined);
  }

  /**
   * Blocks. If the firewall is idle the command is started before this returns.
   *
   * @param entries What to block; what is blocked already gets the new time.
   */
  block(entries: Iterable<Entry>): void {
    for (const [family, some] of this.#split(entries)) this.#reconcilers.get(family)?.block(some);
  }

  /**
   * Ends blocks. If the firewall is idle the command is started before this returns.
   *
   * @param targets What to release; what is not blocked is passed over.
   */
  release(targets: Iterable<string>): void {
    const lists = new Map<Family, string[]>([...this.#reconcilers.keys()].map((f) => [f, []]));
    for (const target of targets) lists.get(familyOf(target))?.push(target);
    for (const [family, some] of lists) this.#reconcilers.get(family)?.release(some);
  }

  /**
   * Takes over where Asterisk is, and where Ampere jumps to its chain; looks at once.
   *
   * @param settings All of it.
   */
  setWay(settings: WaySettings): void {
    for (const way of this.#ways) {
      way.settings = settings;
      void this.#reconcilers.get(way.family)?.verify();
    }
    if (this.#ways.length > 0) return;
    for (const reconciler of this.#reconcilers.values()) {
      const { watch } = reconciler;
      const isOther = JSON.stringify(watch.place) !== JSON.stringify(settings.place);
      watch.place = settings.place;
      // A whole look, which takes long with many blocks, is worth it only then.
      if (isOther) void reconciler.verify();
    }
  }

  /**
   * Refuses the packets of blocked hosts by another action, those that are blocked already too.
   *
   * @param action The action.
   * @param gap What passes of those that are soft.
   */
  refuseBy(action: Action, gap?: Gap): void {
    for (const backend of this.#backends) backend.setGap?.(gap);
    for (const reconciler of this.#reconcilers.values()) reconciler.lookSoon(action);
  }

  /**
   * Whether a few packets may pass of what is blocked.
   *
   * @param target A canonical target.
   */
  softens(target: string): boolean {
    return this.#softensIn(familyOf(target));
  }

  #softensIn(family: Family): boolean {
    return this.#backends.some((one) => one.family === family && one.softens === true);
  }

  /**
   * Sets what must pass although a network that holds it is blocked. In the kernel there are only
   * those that such a network holds, and they are there before it is. What is to be blocked by
   * itself is no exception.
   *
   * @param targets All of them, instead of those of before; of those that blocked networks hold
   * `EXCEPTIONS_MAX` of each family pass.
   * @param soft Blocked hosts, and networks, of which a few packets of each host pass, where the
   *   firewall can.
   */
  setExceptions(targets: readonly string[], soft: readonly string[] = []): void {
    const lists = new Map<Family, string[]>([...this.#reconcilers.keys()].map((f) => [f, []]));
    for (const target of targets) {
      const family = familyOf(target);
      if (isSafeTarget(target, family)) lists.get(family)?.push(target);
    }
    for (const network of soft) {
      const family = familyOf(network);
      if (!this.#softensIn(family) || !isSafeTarget(network, family)) continue;
      lists.get(family)!.push(SOFT + network);
    }
    for (const [family, some] of lists) this.#reconcilers.get(family)?.setExceptions(some);
  }

  /**
   * Makes the list of what is wanted equal to the given one; only differences become commands.
   *
   * @param entries All that is to be blocked.
   */
  setDesired(entries: Iterable<Entry>): void {
    for (const [family, all] of this.#split(entries)) {
      this.#reconcilers.get(family)?.setDesired(all);
    }
  }

  /**
   * Looks at the firewall now and repairs what differs.
   *
   * @returns When that is done, or has failed (it will be tried again).
   */
  async verify(): Promise<void> {
    await Promise.all([...this.#reconcilers.values()].map((reconciler) => reconciler.verify()));
  }

  /**
   * Waits until all that was ordered is in the kernel.
   *
   * @returns When nothing waits any more but what cannot be done at present: changes that the
   * firewall rejected, and those of a family whose firewall is not usable (no chain, no program).
   */
  async idle(): Promise<void> {
    await Promise.all([...this.#reconcilers.values()].map((reconciler) => reconciler.idle()));
  }

  /**
   * Tells whether the blocks of a family are in force.
   *
   * @param family Which addresses.
   * @returns `undefined` before that was seen, and for a family without a backend.
   */
  judgementOf(family: Family): Judgement | undefined {
    return this.#reconcilers.get(family)?.watch.judgement;
  }

  /** The present state. */
  status(): FirewallStatus {
    const families = [...this.#reconcilers.values()].map((reconciler) => reconciler.status());
    const sum = (
      key: "desired" | "applied" | "queued" | "rejected" | "commands" | "failures" | "flushes",
    ) => families.reduce((total, family) => total + family[key], 0);
    return {
      desired: sum("desired"),
      applied: sum("applied"),
      queued: sum("queued"),
      rejected: sum("rejected"),
      commands: sum("commands"),
      failures: sum("failures"),
      flushes: sum("flushes"),
      lastFailure: families.find((family) => family.lastFailure !== undefined)?.lastFailure,
      failing: families.some((family) => family.failing),
      families,
    };
  }

  /**
   * Ends the work: what is ordered is still done, as far as there is time. The rules stay.
   *
   * @param graceMs How long that may take; then the command that runs is killed.
   * @returns When no command runs any more: how many changes were not made. The next start makes
   * them.
   */
  async stop(graceMs = 500): Promise<number> {
    this.#stopped = true;
    this.#cancelVerify?.();
    const left = await Promise.all(
      [...this.#reconcilers.values()].map((reconciler) => reconciler.stop(graceMs)),
    );
    return left.reduce((total, changes) => total + changes, 0);
  }

  /** Sorts entries by family; what must not reach a command is logged and left out. */
  #split(entries: Iterable<Entry>): Map<Family, Entry[]> {
    const lists = new Map<Family, Entry[]>([...this.#reconcilers.keys()].map((f) => [f, []]));
    for (const entry of entries) {
      const family = familyOf(entry.target);
      if (isSafeTarget(entry.target, family)) {
        lists.get(family)?.push(entry);
      } else {
        const text = JSON.stringify(entry.target.slice(0, 60));
        this.#log.error(`${text} is no address or network and cannot be blocked`);
      }
    }
    return lists;
  }

  #armVerify(): void {
    if (this.#stopped) return;
    this.#cancelVerify?.();
    this.#cancelVerify = this.#clock.after(this.#verifyMs, () => {
      for (const reconciler of this.#reconcilers.values()) reconciler.lookSoon();
      this.#armVerify();
    });
  }

  /** Recommends ipset, once, when there are so many rules that it matters. */
  #recommend(): void {
    if (this.#recommended) return;
    let rules = 0;
    for (const reconciler of this.#reconcilers.values()) {
      if (reconciler.backendName === "iptables") rules += reconciler.appliedCount;
    }
    if (rules < MANY_RULES) return;
    this.#recommended = true;
    this.#log.info(
      `${formatCount(rules)} hosts are blocked by a rule each, and every packet is compared with ` +
        "all of them; a table of nftables or an ipset is one look, whatever its size. Set " +
        '"backend = nftables" in the configuration, or "backend = ipset" (it needs the program ipset)',
    );
  }
}
