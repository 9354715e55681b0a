/**
 * The firewall by ipset: the targets are in a set of the kernel, and one rule in the chain looks
 * at it. A packet costs the same with any number of targets.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import {
  type Backend,
  type Entry,
  isSafeTarget,
  type Listing,
  type ListOutcome,
  type Outcome,
  unsafeOutcome,
} from "./backend.ts";
import type { Action } from "../config/config.ts";
import { Chain, type ChainOptions, eachLine, EVERYTHING, readTarget } from "./chain.ts";
import { COMMAND_TIMEOUT_MS, type CommandResult, type Input } from "./command.ts";
import type { Failure } from "./failure.ts";

/** Most targets of a set. */
const SET_MAX_TARGETS = 1_000_000;

/** Longest timeout that the kernel takes, in seconds (ipset(8)): 24.8 days. */
export const KERNEL_TIMEOUT_MAX_SECONDS = 2_147_483;

/**
 * How much later than Ampere the kernel ends a block by itself, in seconds. As long as Ampere runs
 * it is Ampere that does, so that its list and the set agree.
 */
export const KERNEL_GRACE_SECONDS = 5;

/**
 * So many lines are written at a time: as many as the pipe to the program takes at once (64 KiB).
 */
const LINES_PER_PIECE = 2_000;

/** Most entries handed over at a time; 20,000 take about 0.1 s. */
const BATCH_MAX = 20_000;

/** What ipset may take longer for each target, in milliseconds; measured: 0.004. */
const TIMEOUT_PER_TARGET_MS = 0.05;

/**
 * Sizes of the hash table of a new set: at least and at most. The kernel doubles it as the set
 * grows, which makes the filling of a small one by a quarter slower. A bucket takes 8 bytes.
 */
const HASH_SIZE_MIN = 4_096;
const HASH_SIZE_MAX = 1_048_576;

/** The word of ipset for a family. */
const FAMILY: Readonly<Record<Family, string>> = { 4: "inet", 6: "inet6" };

/** A set of networks cannot hold all addresses at once: they are two halves in the kernel. */
const HALVES: Readonly<Record<Family, readonly [string, string]>> = {
  4: ["0.0.0.0/1", "128.0.0.0/1"],
  6: ["::/1", "8000::/1"],
};

/** What an ipset backend is made of. */
export interface IpsetOptions extends ChainOptions {
  /** The wall clock, milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

/**
 * Blocks by a set (`hash:net`), named like the chain with a 4 or a 6 behind, and one rule:
 * `-A CHAIN -m set --match-set CHAIN4 src -j REJECT --reject-with icmp-port-unreachable`, or
 * `-j DROP`.
 *
 * @example
 * ```ts
 * import { IpsetBackend } from "./ipset.ts";
 *
 * const backend = new IpsetBackend({ family: 4, chain: "ampere" });
 * await backend.replace([{ target: "192.0.2.1", until: undefined }]);
 * ```
 */
export class IpsetBackend implements Backend {
  /** What it is called in the configuration. */
  readonly name: string = "ipset";
  /** Which addresses it takes. */
  readonly family: Family;
  /** The kernel ends a block by itself. */
  readonly timed: boolean = true;
  /** A new set is swapped in. */
  readonly replacesAtStart: boolean = true;
  /** Most entries that are worth handing over at a time. */
  readonly batchMax: number = BATCH_MAX;
  readonly #chain: Chain;
  readonly #set: string;
  readonly #now: () => number;
  /** The targets that were blocked and are, or are held by, one of the two halves. */
  readonly #wide = new Set<string>();
  /** About how many entries the set has: so much time a look may take. */
  #entries = 0;
  /** Rules behind the own one; `undefined`: those that are there, of an earlier life. */
  #tail: readonly (readonly string[])[] | undefined;

  /**
   * Makes it; nothing runs yet.
   *
   * @param options The family, the chain.
   */
  constructor(options: IpsetOptions) {
    this.family = options.family;
    this.#chain = new Chain(options);
    this.#set = this.#chain.set;
    this.#now = options.now ?? Date.now;
  }

  /** Makes the firewall hold nothing but the given entries; see {@linkcode Backend.replace}. */
  async replace(
    entries: readonly Entry[],
    _goOn?: () => boolean,
    exceptions: readonly string[] = [],
  ): Promise<Outcome> {
    const unsafeException = exceptions.find((target) => !isSafeTarget(target, this.family));
    if (unsafeException !== undefined) return unsafeOutcome(unsafeException, this.family);
    this.#entries = entries.length;
    // The chain is looked at while the set is filled.
    const [{ filled, unsafe }, rules] = await Promise.all([
      this.#fill(entries, exceptions),
      this.#listRules(),
    ]);
    if (unsafe !== undefined) return unsafeOutcome(unsafe, this.family);
    if (!filled.ok) return this.#failed(filled);
    const failure = await this.#putRule(rules);
    return failure === undefined ? { ok: true, done: entries.length } : { ok: false, failure };
  }

  /** Blocks; see {@linkcode Backend.block}. */
  async block(entries: readonly Entry[]): Promise<Outcome> {
    this.#entries += entries.length;
    const add = `add ${this.#set} `;
    return await this.#restore(
      entries,
      (entry) => entry.target,
      (entry, lines) => this.#addLines(lines, add, entry, " timeout 0"),
    );
  }

  /** Ends blocks; see {@linkcode Backend.release}. */
  async release(targets: readonly string[]): Promise<Outcome> {
    return await this.#restore(
      targets,
      (target) => target,
      (target, lines) => this.#deleteLines(lines, target),
    );
  }

  /**
   * Changes the exceptions, which are entries that do not match; see {@linkcode Backend.except}.
   */
  async except(add: readonly string[], remove: readonly string[]): Promise<Outcome> {
    const unsafe = [...add, ...remove].find((target) => !isSafeTarget(target, this.family));
    if (unsafe !== undefined) return unsafeOutcome(unsafe, this.family);
    const lines = [
      ...add.map((target) => this.#exceptLine(this.#set, target)),
      ...remove.map((target) => `del ${this.#set} ${target}\n`),
    ];
    const result = await this.#runRestore(lines.join(""), lines.length);
    return result.ok ? { ok: true, done: lines.length } : this.#failed(result);
  }

  #exceptLine(set: string, target: string): string {
    return `add ${set} ${target} timeout 0 nomatch\n`;
  }

  /** Refuses by another action; see {@linkcode Backend.refuseBy}. */
  async refuseBy(action: Action = this.#chain.action): Promise<Failure | undefined> {
    this.#chain.action = action;
    return await this.#putRule(await this.#listRules());
  }

  /** What becomes of the packets of blocked hosts. */
  get action(): Action {
    return this.#chain.action;
  }

  /**
   * Sets the rules behind that of the blocks, which ask the sets of lists.
   *
   * @param tail All of them, each without the chain.
   * @returns Why it could not be done.
   */
  async setTail(tail: readonly (readonly string[])[]): Promise<Failure | undefined> {
    // While it changes, whoever looks finds it right.
    this.#tail = undefined;
    const rules = await this.#listRules();
    const failure = rules.ok
      ? await this.#putTail((await this.#readRules(rules.stdout)).tails, tail)
      : this.#chain.failure(rules);
    this.#tail = tail;
    return failure;
  }

  /** Whether to make all anew is better; see {@linkcode Backend.prefersReplace}. */
  prefersReplace(): boolean {
    return false;
  }

  /** Looks what the kernel holds; see {@linkcode Backend.list}. */
  async list(mark?: string): Promise<ListOutcome> {
    const rules = await this.#listRules();
    if (!rules.ok) return { state: "failed", failure: this.#chain.failure(rules) };
    if (rules.stdout.length === 0) return { state: "silent" };
    const { strangers, whole, tails } = await this.#readRules(rules.stdout);
    const isRight = whole && this.#isTail(tails);
    if (mark !== undefined && isRight && strangers.length === 0) {
      const state = await this.#chain.runOther("ipset", ["list", "-t", this.#set], {
        output: true,
      });
      if (state.ok && mark === markOf(state.stdout)) return { state: "same" };
    }
    const saved = await this.#chain.runOther("ipset", ["save", this.#set], {
      output: true,
      timeoutMs: timeoutMs(this.#entries),
    });
    if (!saved.ok) {
      const failure = this.#failure(saved);
      if (failure.kind !== "no-set") return { state: "failed", failure };
      const gone = { targets: new Map(), strangers, whole: false, mark: "" };
      return { state: "listed", listing: gone };
    }
    if (saved.stdout.length === 0) return { state: "silent" };
    const listing = await this.#readSet(saved.stdout, strangers, isRight);
    this.#entries = listing.targets.size;
    return { state: "listed", listing };
  }

  /** Kills a command that runs; see {@linkcode Backend.close}. */
  close(): void {
    this.#chain.close();
  }

  /**
   * Fills a new set and puts it in the place of the old one, without a moment in between. Nothing
   * is put there when a target is unsafe.
   */
  async #fill(
    entries: readonly Entry[],
    exceptions: readonly string[],
  ): Promise<{ filled: CommandResult; unsafe: string | undefined }> {
    let unsafe: string | undefined;
    const lines = this.#fillLines(entries, exceptions, (target) => unsafe = target);
    const filled = await this.#runRestore(lines, entries.length);
    if (unsafe !== undefined || !filled.stderr.includes("already exists")) {
      return { filled, unsafe };
    }
    // A set of the same type but with other options cannot be created, but it can be swapped.
    return { filled: await this.#runRestore(this.#swapLines(), 0), unsafe };
  }

  /**
   * The lines that fill a new set under another name, and swap it in. The program takes the first
   * of them while the next ones are made.
   *
   * @param entries All that are to be blocked.
   * @param exceptions What must pass.
   * @param onUnsafe Takes a target that must not reach a command; no line follows then.
   */
  *#fillLines(
    entries: readonly Entry[],
    exceptions: readonly string[],
    onUnsafe: (target: string) => void,
  ): Generator<string, void> {
    this.#wide.clear();
    // What an interrupted start may have left goes first.
    yield `destroy ${this.#fresh}\n${this.#createLine(this.#fresh, entries.length)}`;
    const add = `add ${this.#fresh} `;
    for (let at = 0; at < entries.length; at += LINES_PER_PIECE) {
      const lines: string[] = [];
      for (let i = at; i < at + LINES_PER_PIECE && i < entries.length; i++) {
        const entry = entries[i]!;
        if (!isSafeTarget(entry.target, this.family)) return onUnsafe(entry.target);
        // Nothing needs to be said of an entry without end where none was before.
        this.#addLines(lines, "", entry, "");
      }
      // Most lines are a target as it is, and this copies it once.
      yield `${add}${lines.join(`\n${add}`)}\n`;
    }
    // Nobody looks at the new set yet.
    for (const target of exceptions) yield this.#exceptLine(this.#fresh, target);
    // A set that is there already stays.
    yield this.#createLine(this.#set, entries.length) + this.#swapLines();
  }

  #swapLines(): string {
    return `swap ${this.#fresh} ${this.#set}\ndestroy ${this.#fresh}\n`;
  }

  /** The name of a set that is being filled. */
  get #fresh(): string {
    return `${this.#set}-t`;
  }

  #createLine(name: string, expected: number): string {
    let hashSize = HASH_SIZE_MIN;
    while (hashSize < expected && hashSize < HASH_SIZE_MAX) hashSize *= 2;
    return `create ${name} hash:net family ${FAMILY[this.family]} hashsize ${hashSize} ` +
      `maxelem ${SET_MAX_TARGETS} timeout 0\n`;
  }

  /** Makes the rule that looks at the set the only one of the chain. */
  async #putRule(rules: CommandResult): Promise<Failure | undefined> {
    if (!rules.ok) return this.#chain.failure(rules);
    const { strangers, whole, tails } = await this.#readRules(rules.stdout);
    const isOwn = whole && strangers.length === 0;
    const failure = isOwn ? undefined : await this.#putOwnRule(strangers, whole);
    if (failure !== undefined || this.#tail === undefined) return failure;
    if (isOwn) return await this.#putTail(tails);
    // The chain may have been emptied.
    const now = await this.#listRules();
    if (!now.ok) return this.#chain.failure(now);
    return await this.#putTail((await this.#readRules(now.stdout)).tails);
  }

  /** Makes the rules behind the own one what they are to be. */
  async #putTail(there: readonly string[], tail = this.#tail ?? []): Promise<Failure | undefined> {
    // New ones first: there is no moment in which a list is looked at by none.
    for (const rule of tail) {
      if (there.includes(this.#lineOf(rule))) continue;
      const added = await this.#chain.run(["-A", ...rule]);
      if (!added.ok) return this.#chain.failure(added);
    }
    const wanted = new Set(tail.map((rule) => this.#lineOf(rule)));
    for (const line of there) {
      // Of two that are the same one stays.
      if (wanted.delete(line)) continue;
      const [, , ...rule] = line.split(" ");
      const deleted = await this.#chain.run(["-D", ...rule]);
      if (!deleted.ok) return this.#chain.failure(deleted);
    }
    return undefined;
  }

  /** Whether the rules of lists are what they are to be, in whatever order. */
  #isTail(there: readonly string[]): boolean {
    if (this.#tail === undefined) return true;
    const wanted = this.#tail.map((rule) => this.#lineOf(rule)).sort();
    return there.length === wanted.length &&
      [...there].sort().every((line, i) => line === wanted[i]);
  }

  async #putOwnRule(
    strangers: readonly string[],
    whole: boolean,
  ): Promise<Failure | undefined> {
    const others = strangers.filter((rule) => rule === this.#line(this.#chain.otherRefusal)).length;
    if (strangers.length > others) {
      const emptied = await this.#chain.run(["-F"]);
      if (!emptied.ok) return this.#chain.failure(emptied);
    }
    const isThere = whole && strangers.length === others;
    const added = isThere ? undefined : await this.#chain.run(["-A", ...this.#rule()]);
    if (added === undefined || added.ok) {
      // Behind them is the new one: there was no moment without a rule.
      for (let i = 0; strangers.length === others && i < others; i++) {
        const deleted = await this.#chain.run(["-D", ...this.#rule(this.#chain.otherRefusal)]);
        if (!deleted.ok) return this.#chain.failure(deleted);
      }
      return undefined;
    }
    const failure = this.#chain.failure(added);
    // The chain was there a moment ago: it is the match or the target that is not.
    if (failure.kind !== "no-chain") return failure;
    const message = `IPv${this.family}: the kernel cannot look at sets: ${added.stderr}`;
    const advice = 'modprobe xt_set, or set "backend = iptables"';
    return { ...failure, kind: "no-module", message, advice };
  }

  #listRules(): Promise<CommandResult> {
    return this.#chain.run(["-S"], { output: true });
  }

  #rule(end: readonly string[] = this.#chain.refusal): string[] {
    return ["-m", "set", "--match-set", this.#set, "src", ...end];
  }

  /** The rule as iptables lists it. */
  #line(end?: readonly string[]): string {
    return this.#lineOf(this.#rule(end));
  }

  #lineOf(rule: readonly string[]): string {
    return `-A ${this.#chain.name} ${rule.join(" ")}`;
  }

  async #readRules(
    stdout: Uint8Array,
  ): Promise<{ strangers: string[]; whole: boolean; tails: string[] }> {
    const tails: string[] = [];
    const list = ` --match-set ${this.#set}l`;
    const chain = this.#chain.name;
    const own = this.#line();
    const strangers: string[] = [];
    let whole = false;
    await eachLine(stdout, (line) => {
      if (line === `-N ${chain}`) return;
      if (line === own && !whole) whole = true;
      // One that stands before the own rule is looked at first, which changes nothing.
      else if (line.includes(list)) tails.push(line);
      else strangers.push(line);
    });
    return { strangers, whole, tails };
  }

  async #readSet(
    stdout: Uint8Array,
    strangers: readonly string[],
    rule: boolean,
  ): Promise<Listing> {
    const targets = new Map<string, number>();
    const exceptions = new Set<string>();
    const prefix = `add ${this.#set} `;
    let whole = rule;
    await eachLine(stdout, (line) => {
      if (line.startsWith("create ")) {
        // Another kind of set under this name could not hold networks, or no times.
        if (!line.includes(" hash:net ") || !line.includes(" timeout ")) whole = false;
      } else if (line.startsWith(prefix)) {
        const end = line.indexOf(" ", prefix.length);
        const text = line.slice(prefix.length, end < 0 ? undefined : end);
        const target = readTarget(text, this.family);
        if (target === undefined) whole = false;
        else if (line.endsWith(" nomatch")) exceptions.add(target);
        else targets.set(target, 1);
      }
    });
    const mark = String(targets.size + exceptions.size);
    this.#foldHalves(targets);
    return { targets, exceptions, strangers, whole, mark };
  }

  /** Runs one `ipset restore` for as many as one command takes. */
  async #restore<T>(
    items: readonly T[],
    targetOf: (item: T) => string,
    addLines: (item: T, lines: string[]) => void,
  ): Promise<Outcome> {
    const lines: string[] = [];
    let done = 0;
    for (const item of items) {
      if (done === BATCH_MAX) break;
      if (!isSafeTarget(targetOf(item), this.family)) {
        if (done === 0) return unsafeOutcome(targetOf(item), this.family);
        break;
      }
      addLines(item, lines);
      done += 1;
    }
    // The last line ends too.
    lines.push("");
    const result = await this.#runRestore(lines.join("\n"), done);
    return result.ok ? { ok: true, done } : this.#failed(result);
  }

  /** `-exist`: to add what is there sets its time, to remove what is not there is no error. */
  #runRestore(input: Input, lines: number): Promise<CommandResult> {
    return this.#chain.runOther("ipset", ["restore", "-exist"], {
      stdin: input,
      timeoutMs: timeoutMs(lines),
    });
  }

  /** Adds the lines that add an entry: almost always one. */
  #addLines(lines: string[], add: string, { target, until }: Entry, lasting: string): void {
    const seconds = until === undefined ? 0 : this.#kernelTimeout(until);
    const end = seconds === 0 ? lasting : ` timeout ${seconds}`;
    if (!this.#isWide(target)) {
      lines.push(add + target + end);
      return;
    }
    this.#wide.add(target);
    for (const part of this.#parts(target)) lines.push(add + part + end);
  }

  #deleteLines(lines: string[], target: string): void {
    this.#wide.delete(target);
    for (const part of this.#parts(target)) {
      // A half stays as long as something else wants it.
      const held = this.#wide.has(part) ||
        (this.#isWide(part) && this.#wide.has(EVERYTHING[this.family]));
      if (!held) lines.push(`del ${this.#set} ${part}`);
    }
  }

  /** The seconds after which the kernel ends a block; 0 = never. */
  #kernelTimeout(until: number): number {
    const left = Math.max(0, Math.ceil((until - this.#now()) / 1_000)) + KERNEL_GRACE_SECONDS;
    return left > KERNEL_TIMEOUT_MAX_SECONDS ? 0 : left;
  }

  #parts(target: string): readonly string[] {
    return target === EVERYTHING[this.family] ? HALVES[this.family] : [target];
  }

  #isWide(target: string): boolean {
    // Almost no target is, and this is asked of each.
    if (!target.endsWith("/0") && !target.endsWith("/1")) return false;
    return target === EVERYTHING[this.family] || HALVES[this.family].includes(target);
  }

  /** Makes one target of two halves that stand for all addresses. */
  #foldHalves(targets: Map<string, number>): void {
    const everything = EVERYTHING[this.family];
    const halves = HALVES[this.family];
    if (!this.#wide.has(everything) || !halves.every((half) => targets.has(half))) return;
    for (const half of halves) if (!this.#wide.has(half)) targets.delete(half);
    targets.set(everything, 1);
  }

  #failure(result: CommandResult): Failure {
    const failure = this.#chain.failure(result, "ipset");
    if (!/already exists|type does not match/.test(failure.message)) return failure;
    return {
      ...failure,
      advice: `ipset destroy ${this.#set} (it was made by another program, with other options; ` +
        "no rule may look at it then)",
    };
  }

  #failed(result: CommandResult): Outcome {
    return { ok: false, failure: this.#failure(result) };
  }
}

function timeoutMs(targets: number): number {
  return COMMAND_TIMEOUT_MS + targets * TIMEOUT_PER_TARGET_MS;
}

/** The mark of a set by its header (`ipset list -t`): the number of its entries. */
function markOf(header: Uint8Array): string | undefined {
  return /^Number of entries: (\d+)$/m.exec(new TextDecoder().decode(header))?.[1];
}
