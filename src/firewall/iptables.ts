/**
 * The firewall by iptables and ip6tables: one rule for each target in one chain, the same rule as
 * Ampere has always made, thousands of them by one command.
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
import { COMMAND_TIMEOUT_MS, type CommandResult, IPTABLES } from "./command.ts";
import { type Failure, firstLine } from "./failure.ts";

/**
 * Most bytes of one list of addresses. Linux takes at most 131,072 for one argument with its
 * ending zero (MAX_ARG_STRLEN), and 128 KiB for all arguments and the environment even when the
 * stack is limited to the least (execve(2)); with an 8 MiB stack it is 2 MiB.
 */
export const ADDRESSES_MAX_BYTES = 120_000;

/**
 * Most entries handed over at a time. The shortest address has 7 characters and a comma, so that
 * this is no less than what fits in one command.
 */
const BATCH_MAX = ADDRESSES_MAX_BYTES / 8;

/**
 * How many rules may be compared by one command that deletes, so that it ends in about 0.5 s.
 * `iptables -D` of nf_tables looks for each rule in the chain from its beginning, up to 1 µs for
 * each rule that is there: 40 of 50,000 take 0.4 s (the first ones) to 2.2 s (the last). The legacy
 * one needs a hundredth of that.
 */
const COMPARISONS_PER_COMMAND = 500_000;

/**
 * When all deletions together need more comparisons (1.5 s), it is quicker to empty the chain and
 * to add the rest again: 20 µs for each rule.
 */
const COMPARISONS_WORTH_REPLACING = 1_500_000;

/** What iptables may take longer for each rule of the chain, in milliseconds; measured: 0.01. */
const TIMEOUT_PER_RULE_MS = 0.1;

/** The end of the rule of an exception; such rules stand before all others. */
const RETURN = ["-j", "RETURN"] as const;

/** What an iptables backend is made of. */
export interface IptablesOptions extends ChainOptions {
  /** Most entries of one command; as many as Linux allows by default. */
  readonly batchMax?: number;
}

/**
 * Blocks by one rule for each target:
 * `-A CHAIN -s TARGET -j REJECT --reject-with icmp-port-unreachable`, or `-j DROP`.
 *
 * @example
 * ```ts
 * import { IptablesBackend } from "./iptables.ts";
 *
 * const backend = new IptablesBackend({ family: 4, chain: "ampere" });
 * await backend.block([{ target: "192.0.2.1", until: undefined }]);
 * ```
 */
export class IptablesBackend implements Backend {
  /** What it is called in the configuration. */
  readonly name: string = "iptables";
  /** Which addresses it takes. */
  readonly family: Family;
  /** A rule has no end. */
  readonly timed: boolean = false;
  /** What is there already may stay. */
  readonly replacesAtStart: boolean = false;
  /** Most entries that are worth handing over at a time. */
  readonly batchMax: number;
  readonly #chain: Chain;
  /** About how many rules the chain has. */
  #rules = 0;
  /** Nothing was there at the last look, and nothing was made since. */
  #isEmpty = false;
  /** The chain looks at a set: that of the ipset backend, which was in use before. */
  #leftover = false;

  /**
   * Makes it; nothing runs yet.
   *
   * @param options The family, the chain.
   */
  constructor(options: IptablesOptions) {
    this.family = options.family;
    this.batchMax = options.batchMax ?? BATCH_MAX;
    this.#chain = new Chain(options);
  }

  /** Makes the firewall hold nothing but the given entries; see {@linkcode Backend.replace}. */
  async replace(
    entries: readonly Entry[],
    goOn: () => boolean = () => true,
    exceptions: readonly string[] = [],
  ): Promise<Outcome> {
    if (!this.#isEmpty) {
      const emptied = await this.#chain.run(["-F"], { timeoutMs: this.#timeoutMs() });
      if (!emptied.ok) return this.#chain.failed(emptied);
    }
    this.#rules = 0;
    if (exceptions.length > 0) {
      const excepted = await this.except(exceptions, []);
      if (!excepted.ok) return excepted;
    }
    const outcome = await this.#blockAll(entries, goOn);
    if (this.#leftover) {
      this.#leftover = false;
      // Nothing looks at the set any more. If it stays, it does no harm.
      await this.#chain.runOther("ipset", ["destroy", this.#chain.set]);
    }
    return outcome;
  }

  /** One command after the other; the next one's addresses are joined while it runs. */
  async #blockAll(entries: readonly Entry[], goOn: () => boolean): Promise<Outcome> {
    let done = 0;
    for (let list = this.#join(entries, done); done < entries.length && (done === 0 || goOn());) {
      const running = this.#append(list);
      const following = this.#join(entries, done + list.count);
      const outcome = await running;
      if (!outcome.ok) return done === 0 ? outcome : { ok: true, done, failure: outcome.failure };
      done += outcome.done;
      list = following;
    }
    return { ok: true, done };
  }

  /** Blocks; see {@linkcode Backend.block}. */
  async block(entries: readonly Entry[]): Promise<Outcome> {
    return await this.#append(this.#join(entries, 0));
  }

  async #append(list: JoinedTargets): Promise<Outcome> {
    if (list.unsafe !== undefined) return unsafeOutcome(list.unsafe, this.family);
    this.#isEmpty = false;
    const result = await this.#chain.run(["-A", "-s", list.text, ...this.#chain.refusal], {
      timeoutMs: this.#timeoutMs(),
    });
    if (!result.ok) return this.#changeFailed(result);
    this.#rules += list.count;
    return { ok: true, done: list.count };
  }

  /** As many as fit in one command, from one of them on. */
  #join(entries: readonly Entry[], from: number): JoinedTargets {
    const targets = entries.slice(from, from + this.batchMax).map((entry) => entry.target);
    return joinTargets(targets, this.batchMax, this.family);
  }

  /** Ends blocks; see {@linkcode Backend.release}. */
  async release(targets: readonly string[]): Promise<Outcome> {
    const most = Math.max(1, Math.floor(COMPARISONS_PER_COMMAND / Math.max(1, this.#rules)));
    const list = joinTargets(targets, most, this.family);
    if (list.unsafe !== undefined) return unsafeOutcome(list.unsafe, this.family);
    const result = await this.#chain.run(["-D", "-s", list.text, ...this.#chain.refusal], {
      timeoutMs: this.#timeoutMs(),
    });
    // All or nothing: when one of the rules is not there, iptables removes none of them.
    if (!result.ok) return this.#changeFailed(result);
    this.#rules -= list.count;
    return { ok: true, done: list.count };
  }

  /** Changes the exceptions, which are rules before all others; see {@linkcode Backend.except}. */
  async except(add: readonly string[], remove: readonly string[]): Promise<Outcome> {
    for (const [verb, targets] of [["-I", add], ["-D", remove]] as const) {
      if (targets.length === 0) continue;
      const list = joinTargets(targets, targets.length, this.family);
      const unsafe = list.unsafe ?? targets[list.count];
      if (unsafe !== undefined) return unsafeOutcome(unsafe, this.family);
      this.#isEmpty = false;
      const result = await this.#chain.run([verb, "-s", list.text, ...RETURN], {
        timeoutMs: this.#timeoutMs(),
      });
      if (!result.ok) return this.#changeFailed(result);
    }
    return { ok: true, done: add.length + remove.length };
  }

  /**
   * Refuses by another action; see {@linkcode Backend.refuseBy}. The new rules are behind the old
   * ones before those go. They stand together, so that each is found at once.
   */
  async refuseBy(action: Action = this.#chain.action): Promise<Failure | undefined> {
    this.#chain.action = action;
    const listed = await this.#chain.run(["-S"], { output: true, timeoutMs: this.#timeoutMs() });
    if (!listed.ok) return this.#chain.failure(listed);
    const rules = await parseRules(listed.stdout, this.#chain, this.family, "");
    const { listing: { targets }, others } = rules;
    if (others.length === 0) return undefined;
    this.#rules = targets.size + others.length;
    const missing = [...new Set(others)].filter((target) => !targets.has(target));
    const added = await this.#changeAll("-A", missing, this.#chain.refusal);
    return added ?? await this.#changeAll("-D", others, this.#chain.otherRefusal);
  }

  /** Adds or deletes rules, as many by a command as it takes. */
  async #changeAll(
    verb: "-A" | "-D",
    targets: readonly string[],
    end: readonly string[],
  ): Promise<Failure | undefined> {
    this.#isEmpty = false;
    for (let at = 0; at < targets.length;) {
      const list = joinTargets(targets.slice(at, at + this.batchMax), this.batchMax, this.family);
      const result = await this.#chain.run([verb, "-s", list.text, ...end], {
        timeoutMs: this.#timeoutMs(),
      });
      if (!result.ok) return this.#failureOf(result);
      this.#rules += verb === "-A" ? list.count : -list.count;
      at += list.count;
    }
    return undefined;
  }

  /** Whether to make all anew is better; see {@linkcode Backend.prefersReplace}. */
  prefersReplace(removals: number): boolean {
    return removals * this.#rules > COMPARISONS_WORTH_REPLACING;
  }

  /** Looks what the kernel holds; see {@linkcode Backend.list}. */
  async list(mark?: string): Promise<ListOutcome> {
    const result = await this.#chain.run(["-S"], { output: true, timeoutMs: this.#timeoutMs() });
    if (!result.ok) return { state: "failed", failure: this.#chain.failure(result) };
    if (result.stdout.length === 0) return { state: "silent" };
    // Taken outside of this thread; much cheaper than to read the lines again.
    const now = await digest(result.stdout);
    if (mark === now) return { state: "same" };
    const { listing } = await parseRules(result.stdout, this.#chain, this.family, now);
    this.#rules = listing.strangers.length;
    for (const times of listing.targets.values()) this.#rules += times;
    this.#isEmpty = this.#rules === 0 && (listing.exceptions?.size ?? 0) === 0;
    const look = `--match-set ${this.#chain.set} `;
    this.#leftover = listing.strangers.some((rule) => rule.includes(look));
    return { state: "listed", listing };
  }

  /** Kills a command that runs; see {@linkcode Backend.close}. */
  close(): void {
    this.#chain.close();
  }

  /**
   * "No chain/target/match by that name" may mean the chain, the target REJECT, or (legacy `-D`)
   * the rule; only a listing tells for certain whether the chain is there.
   */
  #failureOf(result: CommandResult): Failure {
    const failure = this.#chain.failure(result);
    if (failure.kind !== "no-chain") return failure;
    const message = `IPv${this.family}: ${IPTABLES[this.family]} failed: ${
      firstLine(result.stderr)
    }`;
    const module = this.family === 4 ? "ipt_REJECT" : "ip6t_REJECT";
    const advice = `see that the chain is there (${failure.advice})` +
      (this.#chain.action === "drop"
        ? ""
        : ` and that the kernel has the target REJECT (modprobe ${module})`);
    return { ...failure, kind: "refused", message, advice };
  }

  #changeFailed(result: CommandResult): Outcome {
    return { ok: false, failure: this.#failureOf(result) };
  }

  #timeoutMs(): number {
    return COMMAND_TIMEOUT_MS + this.#rules * TIMEOUT_PER_RULE_MS;
  }
}

/** Targets in one argument. */
interface JoinedTargets {
  readonly text: string;
  /** How many they are. */
  readonly count: number;
  /** The first one, if it must not reach a command. */
  readonly unsafe: string | undefined;
}

/** Joins as many targets as fit; stops before the first that must not reach a command. */
function joinTargets(targets: readonly string[], most: number, family: Family): JoinedTargets {
  let length = -1;
  let count = 0;
  while (count < targets.length && count < most) {
    const target = targets[count]!;
    if (!isSafeTarget(target, family)) {
      if (count === 0) return { text: "", count: 0, unsafe: target };
      break;
    }
    length += 1 + target.length;
    if (length > ADDRESSES_MAX_BYTES) break;
    count += 1;
  }
  return { text: targets.slice(0, count).join(","), count, unsafe: undefined };
}

/** What `iptables -S CHAIN` has listed. */
interface ListedRules {
  readonly listing: Listing;
  /** The targets of the strangers that another action has made, in their order. */
  readonly others: readonly string[];
}

/** Reads the output of `iptables -S CHAIN`. */
async function parseRules(
  stdout: Uint8Array,
  { name: chain, refusal, otherRefusal }: Chain,
  family: Family,
  mark: string,
): Promise<ListedRules> {
  const targets = new Map<string, number>();
  const strangers: string[] = [];
  const source = `-A ${chain} -s `;
  const others: string[] = [];
  const ends = [refusal, otherRefusal].map((end) => ` ${end.join(" ")}`);
  const pass = ` ${RETURN.join(" ")}`;
  const exceptions = new Set<string>();
  await eachLine(stdout, (line) => {
    if (line === `-N ${chain}`) return;
    if (line.startsWith(source) && line.endsWith(pass)) {
      const excepted = readTarget(line.slice(source.length, -pass.length), family);
      // Behind another rule it would be of no use, and a second one stays when the first is
      // removed.
      const isFirst = targets.size === 0 && strangers.length === 0;
      if (excepted !== undefined && isFirst && !exceptions.has(excepted)) {
        exceptions.add(excepted);
        return;
      }
    }
    const end = ends.find((one) => line.endsWith(one));
    const target = end === undefined
      ? undefined
      : line.startsWith(source)
      ? readTarget(line.slice(source.length, -end.length), family)
      : line === `-A ${chain}${end}`
      ? EVERYTHING[family]
      : undefined;
    if (target !== undefined && end === ends[0]) {
      targets.set(target, (targets.get(target) ?? 0) + 1);
      return;
    }
    if (target !== undefined) others.push(target);
    strangers.push(line);
  });
  const isOther = others.length > 0;
  const listing = { targets, exceptions, strangers, whole: true, mark };
  return { listing: isOther ? { ...listing, isOtherAction: true } : listing, others };
}

async function digest(bytes: Uint8Array): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return new Uint8Array(hash).toHex();
}
