/**
 * The firewall by nftables: a table of Ampere's own, which no chain or jump has to be made for, and
 * which no command of iptables touches.
 *
 * @module
 */

import type { Family } from "../../address/address.ts";
import type { Action } from "../../config/config.ts";
import {
  type Backend,
  type Entry,
  isSafeTarget,
  type ListOutcome,
  type Outcome,
  SOFT,
  unsafeOutcome,
} from "../backend.ts";
import type { CommandResult } from "../command.ts";
import type { Failure } from "../failure.ts";
import { KERNEL_GRACE_SECONDS } from "../ipset.ts";
import { nftFailure } from "./failure.ts";
import type { Gap } from "./gap.ts";
import { type Generation, Layout, type Purpose, tableOf } from "./layout.ts";
import { readListing, readTable } from "./listing.ts";
import type { NftTable } from "./table.ts";

/** Most entries handed over at a time; 20,000 take about 0.1 s. */
const BATCH_MAX = 20_000;

/**
 * Most elements of one transaction: nft needs 0.4 kB for each while it lasts, so that this many are
 * below 100 MB. More of them fill new sets one after the other, and then those are put in force.
 */
const TRANSACTION_MAX = 200_000;

/** So many elements are written at a time. */
const ELEMENTS_PER_PIECE = 2_000;

/** Longest timeout that is given to the kernel, in seconds: 100 years. It takes 36,500 days. */
const TIMEOUT_MAX_SECONDS = 36_500 * 86_400;

/** What an nftables backend is made of. */
interface NftablesOptions {
  /** Which addresses. */
  readonly family: Family;
  /** The table, which the backends of both families share. */
  readonly table: NftTable;
  /** What becomes of the packets of blocked hosts. @default {"reject"} */
  readonly action?: Action | undefined;
  /** What passes of hosts in networks that are soft. */
  readonly gap?: Gap | undefined;
  /** The wall clock, milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
  /** Most elements of one transaction. @default {200_000} */
  readonly transactionMax?: number;
}

/**
 * Blocks by sets of hosts and of networks, in the table `inet NAME`.
 *
 * @example
 * ```ts
 * import { NftablesBackend } from "./nftables.ts";
 * import { NftTable } from "./table.ts";
 *
 * const table = new NftTable({ name: "ampere" });
 * const backend = new NftablesBackend({ family: 4, table });
 * await backend.replace([{ target: "192.0.2.1", until: undefined }]);
 * backend.close();
 * ```
 */
export class NftablesBackend implements Backend {
  /** What it is called in the configuration. */
  readonly name: string = "nftables";
  /** Which addresses it takes. */
  readonly family: Family;
  /** The kernel ends a block by itself. */
  readonly timed: boolean = true;
  /** One transaction puts new elements in the place of the old ones. */
  readonly replacesAtStart: boolean = true;
  /** Most entries that are worth handing over at a time. */
  readonly batchMax: number = BATCH_MAX;
  readonly #table: NftTable;
  readonly #now: () => number;
  readonly #transactionMax: number;
  #layout: Layout;
  /** About how many elements there are: so much time a look may take. */
  #elements = 0;
  #changed: () => void = () => {};

  /**
   * Makes it; nothing runs yet.
   *
   * @param options The family, the table.
   */
  constructor(options: NftablesOptions) {
    this.family = options.family;
    this.#table = options.table;
    this.#now = options.now ?? Date.now;
    this.#transactionMax = options.transactionMax ?? TRANSACTION_MAX;
    this.#layout = new Layout(options.table.name, options.family, "", options.action, options.gap);
    this.#table.open(() => this.#changed());
  }

  /** Whether a few packets may pass; see {@linkcode Backend.softens}. */
  get softens(): boolean {
    return this.#layout.gap !== undefined;
  }

  /** Takes over another gap; see {@linkcode Backend.setGap}. */
  setGap(gap: Gap | undefined): void {
    this.#layout = this.#layout.withGap(gap);
  }

  /** Says when somebody else may have changed something; see {@linkcode Backend.watch}. */
  watch(changed: () => void): void {
    this.#changed = changed;
  }

  /** Makes the firewall hold nothing but the given entries; see {@linkcode Backend.replace}. */
  async replace(
    entries: readonly Entry[],
    _goOn?: () => boolean,
    exceptions: readonly string[] = [],
  ): Promise<Outcome> {
    const unsafe = this.#findUnsafe(exceptions.values().map(bare)) ??
      this.#findUnsafe(entries.values().map((entry) => entry.target));
    if (unsafe !== undefined) return unsafeOutcome(unsafe, this.family);
    const result = entries.length > this.#transactionMax
      ? await this.#fillOther(entries, exceptions)
      : await this.#fill(entries, exceptions);
    if (!result.ok) return this.#failed(result);
    this.#elements = entries.length;
    this.#table.ready(this, entries.length);
    return { ok: true, done: entries.length };
  }

  /** Blocks; see {@linkcode Backend.block}. */
  async block(
    entries: readonly Entry[],
    isThere: (target: string) => boolean = () => true,
  ): Promise<Outcome> {
    const some = entries.slice(0, BATCH_MAX);
    const unsafe = this.#findUnsafe(some.values().map((entry) => entry.target));
    if (unsafe !== undefined) return unsafeOutcome(unsafe, this.family);
    if (!some.some(({ target }) => target.includes("/"))) {
      return await this.#blockHosts(some, isThere);
    }
    const { name } = this.#table;
    const layout = this.#layout.copy();
    const made: string[] = [];
    const emptied = new Set<string>();
    const all = new Elements(layout);
    const again = new Elements(layout);
    const now = this.#now();
    for (const { target, until } of some) {
      if (layout.make(target, "refuse")) {
        made.push(...layout.emptyCommands(target, "refuse"));
        emptied.add(layout.spotOf(target, "refuse").set);
      }
      const end = endOf(until, now);
      all.add(target, end);
      // A kernel before Linux 6.12 does not change the end of what is there.
      if (isThere(target)) again.add(target, end);
    }
    const isStructure = made.length > 0;
    const commands = [
      ...(isStructure ? [...layout.commands(), ...made] : []),
      ...all.commands("add", name),
      ...again.commands("delete", name),
      ...again.commands("add", name, false),
    ];
    const takes = (set: string, key: string) => again.has(set, key) || emptied.has(set);
    const result = await this.#table.apply({
      commands,
      elements: some.length,
      isStructure,
      takes,
    });
    if (!result.ok) return this.#failed(result);
    this.#layout = layout;
    this.#elements += some.length;
    return { ok: true, done: some.length };
  }

  /** The same for hosts only, which is the usual case, in short: their set is always there. */
  async #blockHosts(
    entries: readonly Entry[],
    isThere: (target: string) => boolean,
  ): Promise<Outcome> {
    const place = `element ${tableOf(this.#table.name)} ${this.#layout.hosts("refuse")}`;
    const all: string[] = [];
    const keys: string[] = [];
    const again: string[] = [];
    const now = this.#now();
    for (const { target, until } of entries) {
      const element = target + endOf(until, now);
      all.push(element);
      // See above.
      if (!isThere(target)) continue;
      keys.push(target);
      again.push(element);
    }
    const commands = [`add ${place} { ${all.join(",")} }`];
    if (again.length > 0) {
      commands.push(`delete ${place} { ${keys.join(",")} }`, `add ${place} { ${again.join(",")} }`);
    }
    const result = await this.#table.apply({ commands, elements: entries.length });
    if (!result.ok) return this.#failed(result);
    this.#elements += entries.length;
    return { ok: true, done: entries.length };
  }

  /** Ends blocks; see {@linkcode Backend.release}. */
  async release(targets: readonly string[]): Promise<Outcome> {
    const some = targets.slice(0, BATCH_MAX);
    const unsafe = this.#findUnsafe(some);
    if (unsafe !== undefined) return unsafeOutcome(unsafe, this.family);
    return await this.#change([], some, () => "refuse");
  }

  /** Changes the exceptions; see {@linkcode Backend.except}. */
  async except(add: readonly string[], remove: readonly string[]): Promise<Outcome> {
    const unsafe = this.#findUnsafe([...add, ...remove].values().map(bare));
    if (unsafe !== undefined) return unsafeOutcome(unsafe, this.family);
    return await this.#change(add, remove, purposeOf);
  }

  /** Refuses by another action: one transaction; see {@linkcode Backend.refuseBy}. */
  async refuseBy(action: Action = this.#layout.action): Promise<Failure | undefined> {
    const layout = this.#layout.copy(action);
    // Whatever comes of it: what is made anew is made so.
    this.#layout = layout;
    const result = await this.#table.apply({
      commands: layout.commands(),
      elements: 0,
      isStructure: true,
    });
    return result.ok ? undefined : this.#failure(result);
  }

  /** Whether to make all anew is better; see {@linkcode Backend.prefersReplace}. */
  prefersReplace(): boolean {
    return false;
  }

  /** Looks what the kernel holds; see {@linkcode Backend.list}. */
  async list(mark?: string): Promise<ListOutcome> {
    if (this.#table.isGone) return this.#gone();
    if (mark !== undefined && mark !== "" && mark === String(this.#table.epoch)) {
      // A monitor that hangs tells of nothing either.
      const hasHeard = await this.#table.hasHeardAll();
      if (hasHeard && mark === String(this.#table.epoch)) return { state: "same" };
      if (this.#table.isGone) return this.#gone();
    }
    const epoch = this.#table.epoch;
    const result = await this.#table.list(false, this.#elements);
    if (!result.ok) {
      const failure = this.#failure(result);
      return failure.kind === "no-set" ? this.#gone() : { state: "failed", failure };
    }
    if (result.stdout.length === 0) return { state: "silent" };
    const table = await readTable(result.stdout, this.#table.name);
    const { listing, layout } = readListing(
      table,
      this.#table.name,
      this.family,
      this.#layout,
    );
    this.#layout = layout;
    this.#elements = listing.targets.size;
    // A command that was killed may have made all of it.
    if (listing.whole) this.#table.ready(this, this.#elements);
    return { state: "listed", listing: { ...listing, mark: String(epoch ?? "") } };
  }

  #gone(): ListOutcome {
    const missing = `the table ${tableOf(this.#table.name)} was deleted`;
    const targets = new Map<string, number>();
    return {
      state: "listed",
      listing: { targets, strangers: [], whole: false, missing, mark: "" },
    };
  }

  /** Ends the use; see {@linkcode Backend.close}. */
  close(): void {
    this.#table.close();
  }

  /** One transaction that empties the sets and fills them. */
  async #fill(entries: readonly Entry[], exceptions: readonly string[]): Promise<CommandResult> {
    const { name } = this.#table;
    const layout = this.#newLayout(entries, exceptions, "");
    // Of a long list before, the other generation may be there.
    const before = this.#layout.generation === "b"
      ? this.#layout
      : new Layout(name, this.family, "b");
    const result = await this.#table.apply({
      commands: [
        ...layout.commands(),
        ...before.deleteCommands(),
        ...layout.flushCommands(),
      ],
      bulk: this.#elementLines(layout, entries, exceptions),
      elements: entries.length,
      isStructure: true,
      takes: (set) => layout.isOfFamily(set),
    });
    if (result.ok) this.#layout = layout;
    return result;
  }

  /**
   * Fills the sets that are not in force, in several transactions; the last one puts them in force
   * and takes the others away.
   */
  async #fillOther(
    entries: readonly Entry[],
    exceptions: readonly string[],
  ): Promise<CommandResult> {
    const { name } = this.#table;
    const listed = await this.#table.list(true);
    if (!listed.ok) return listed;
    const there = await readTable(listed.stdout, name);
    const before = readListing(there, name, this.family, this.#layout).layout;
    const layout = this.#newLayout(entries, exceptions, before.generation === "" ? "b" : "");
    for (let at = 0;; at += this.#transactionMax) {
      const some = entries.slice(at, at + this.#transactionMax);
      const isFirst = at === 0;
      const isLast = at + this.#transactionMax >= entries.length;
      const result = await this.#table.apply({
        commands: [
          ...(isLast ? layout.commands() : layout.setCommands()),
          ...(isFirst ? layout.flushCommands() : []),
          ...(isLast ? before.deleteCommands() : []),
        ],
        bulk: this.#elementLines(layout, some, isFirst ? exceptions : []),
        elements: some.length,
        isStructure: true,
        takes: (set) => layout.isOfFamily(set),
      });
      if (result.ok && isLast) this.#layout = layout;
      if (!result.ok || isLast) return result;
    }
  }

  #newLayout(
    entries: readonly Entry[],
    exceptions: readonly string[],
    generation: Generation,
  ): Layout {
    const { action, gap } = this.#layout;
    const layout = new Layout(this.#table.name, this.family, generation, action, gap);
    for (const { target } of entries) layout.make(target, "refuse");
    for (const target of exceptions) layout.make(bare(target), purposeOf(target));
    return layout;
  }

  /** The commands that fill empty sets; made while nft reads those before. */
  *#elementLines(
    layout: Layout,
    entries: readonly Entry[],
    exceptions: readonly string[],
  ): Generator<string, void> {
    const { name } = this.#table;
    const networks = new Elements(layout);
    let hosts: string[] = [];
    let hasHosts = false;
    let now = this.#now();
    for (const { target, until } of entries) {
      if (target.includes("/")) {
        networks.add(target, endOf(until, now));
        continue;
      }
      if (!hasHosts) yield `add element ${tableOf(name)} ${layout.spotOf(target, "refuse").set} {`;
      hasHosts = true;
      hosts.push(target + endOf(until, now));
      if (hosts.length < ELEMENTS_PER_PIECE) continue;
      yield `${hosts.join(",")},`;
      hosts = [];
      // Nft has read for a while.
      now = this.#now();
    }
    // A comma before the brace is allowed.
    if (hasHosts) yield `${hosts.join(",")} }\n`;
    for (const command of networks.commands("add", name)) yield `${command}\n`;
    for (const purpose of ["pass", "soft"] as const) {
      const some = new Elements(layout, purpose);
      for (const target of exceptions) {
        if (purposeOf(target) === purpose) some.add(bare(target), "");
      }
      for (const command of some.commands("add", name)) yield `${command}\n`;
    }
  }

  /** Adds to sets and removes from them. */
  async #change(
    add: readonly string[],
    remove: readonly string[],
    purposeOf: (target: string) => Purpose,
  ): Promise<Outcome> {
    const { name } = this.#table;
    const layout = this.#layout.copy();
    const made: string[] = [];
    const emptied = new Set<string>();
    const added = new Elements(layout);
    const removed = new Elements(layout);
    for (const one of add) {
      const [target, purpose] = [bare(one), purposeOf(one)];
      if (layout.make(target, purpose)) {
        made.push(...layout.emptyCommands(target, purpose));
        emptied.add(layout.spotOf(target, purpose).set);
      }
      added.add(target, "", purpose);
    }
    for (const one of remove) {
      const [target, purpose] = [bare(one), purposeOf(one)];
      if (layout.has(target, purpose)) removed.add(target, "", purpose);
    }
    const isStructure = made.length > 0;
    const commands = [
      ...(isStructure ? [...layout.commands(), ...made] : []),
      ...added.commands("add", name),
      // What is not there could not be removed: it may have ended, or somebody else removed it.
      ...removed.commands("add", name, false),
      ...removed.commands("delete", name),
    ];
    const done = add.length + remove.length;
    if (commands.length === 0) return { ok: true, done };
    const takes = (set: string, key: string) => removed.has(set, key) || emptied.has(set);
    const result = await this.#table.apply({ commands, elements: done, isStructure, takes });
    if (!result.ok) return this.#failed(result);
    this.#layout = layout;
    return { ok: true, done };
  }

  #findUnsafe(targets: Iterable<string>): string | undefined {
    for (const target of targets) if (!isSafeTarget(target, this.family)) return target;
    return undefined;
  }

  #failure(result: CommandResult): Failure {
    return nftFailure(result, this.family, this.#table.name);
  }

  #failed(result: CommandResult): Outcome {
    return { ok: false, failure: this.#failure(result) };
  }
}

/** The target of an exception. */
function bare(exception: string): string {
  return exception.startsWith(SOFT) ? exception.slice(SOFT.length) : exception;
}

function purposeOf(exception: string): Purpose {
  return exception.startsWith(SOFT) ? "soft" : "pass";
}

/**
 * What stands behind an element that the kernel is to end by itself.
 *
 * @param until When its block ends, in milliseconds since 1970; `undefined`: never.
 * @param now The time, in milliseconds since 1970.
 */
function endOf(until: number | undefined, now: number): string {
  if (until === undefined) return "";
  const left = Math.max(0, Math.ceil((until - now) / 1_000)) + KERNEL_GRACE_SECONDS;
  return left > TIMEOUT_MAX_SECONDS ? "" : ` timeout ${left}s`;
}

/** Elements, collected by their sets. */
class Elements {
  readonly #layout: Layout;
  readonly #purpose: Purpose;
  readonly #sets = new Map<string, string[]>();
  readonly #keys = new Map<string, string[]>();
  /** The same, made when it is asked for and all are there. */
  readonly #quickly = new Map<string, ReadonlySet<string>>();
  readonly #near = new Set<string>();

  constructor(layout: Layout, purpose: Purpose = "refuse") {
    this.#layout = layout;
    this.#purpose = purpose;
  }

  /** Adds one, with what stands behind it. */
  add(target: string, end: string, purpose = this.#purpose): void {
    const { set, key } = this.#layout.spotOf(target, purpose);
    push(this.#sets, set, key + end);
    push(this.#keys, set, key);
    if (purpose === "refuse") {
      for (const near of this.#layout.nearOf(target)) this.#near.add(near);
    }
  }

  /** Whether it is one of them. */
  has(set: string, key: string): boolean {
    let keys = this.#quickly.get(set);
    if (keys === undefined) this.#quickly.set(set, keys = new Set(this.#keys.get(set)));
    return keys.has(key);
  }

  /** The commands: what is deleted stays in the set of what is near, which does no harm. */
  commands(verb: "add" | "delete", name: string, withNear = true): string[] {
    const sets = verb === "add" ? this.#sets : this.#keys;
    const commands = [...sets].map(([set, elements]) =>
      `${verb} element ${tableOf(name)} ${set} { ${elements.join(",")} }`
    );
    if (verb === "add" && withNear && this.#near.size > 0) {
      const near = [...this.#near].join(",");
      commands.push(`add element ${tableOf(name)} ${this.#layout.near} { ${near} }`);
    }
    return commands;
  }
}

function push(lists: Map<string, string[]>, key: string, value: string): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
