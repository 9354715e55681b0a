/**
 * The way of packets to Ampere's chain in one family: looks at it, and makes it where Ampere may.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import type { OwnInterface } from "../address/interfaces.ts";
import { type AsteriskPlace, HERE, strangersTo } from "./asterisk_place.ts";
import { Chain, type ChainOptions, eachLine, LOCK_WAIT_SECONDS } from "./chain.ts";
import { type CommandResult, IPTABLES } from "./command.ts";
import type { Failure } from "./failure.ts";
import { hookOf, judge, type Judgement, type Question } from "./judgement.ts";
import { addLine, type Chains, findJump, type Rule } from "./path.ts";

/**
 * Where a rule may send a packet without another chain being asked. A listing of one chain in which
 * only such rules stand before the jump tells as much as the listing of all of them, which takes 50
 * ms with 10,000 rules in Ampere's chain, and not 2 ms.
 */
const ENDS: ReadonlySet<string> = new Set(
  ["ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "NFLOG", "MARK", "CONNMARK"],
);

/** The jump that holds the place of the real one while that is moved; it does the same. */
const STAND_IN = ["!", "-i", "lo"] as const;

/** What a way is made of. */
interface WayOptions extends ChainOptions {
  /** Its commands change nothing, and say what they would. @default {false} */
  readonly isDry?: boolean;
}

/** What of the configuration and the machine the way depends on. */
export interface WaySettings {
  /** The chains from which Ampere makes a jump to its own; none: the administrator makes it. */
  readonly jump: readonly string[];
  /** Where Asterisk is. */
  readonly place: AsteriskPlace;
  /** This machine's interfaces; none: not known. */
  readonly interfaces: readonly OwnInterface[];
}

/** What a look has found. */
export type WayOutcome =
  | {
    readonly ok: true;
    readonly judgement: Judgement;
    /** The chains of `jump` that are not there. */
    readonly missing: readonly string[];
    /** The chains of `jump` in which the jump is missing or too late. */
    readonly broken: readonly string[];
  }
  | { readonly ok: false; readonly failure: Failure };

/**
 * Looks at the way, and mends it.
 *
 * @example
 * ```ts
 * import { Way } from "./way.ts";
 *
 * const way = new Way({ family: 4, chain: "ampere" });
 * const seen = await way.look();
 * console.log(seen.ok ? seen.judgement.message : seen.failure.message);
 * ```
 */
export class Way {
  /** Which addresses. */
  readonly family: Family;
  /** Whether it only pretends to change something. */
  readonly isDry: boolean;
  /** What it depends on. */
  settings: WaySettings = { jump: [], place: HERE, interfaces: [] };
  readonly #chain: Chain;

  /**
   * Makes it; nothing runs yet.
   *
   * @param options The family, the chain.
   */
  constructor(options: WayOptions) {
    this.family = options.family;
    this.isDry = options.isDry ?? false;
    this.#chain = new Chain(options);
  }

  /** Looks, and judges; changes nothing. */
  async look(): Promise<WayOutcome> {
    const question = this.#question();
    const { jump, chain } = question;
    const hooks = [...new Set([hookOf(question.place), ...jump])];
    const listed = await this.#list(hooks);
    if ("failure" in listed) return { ok: false, failure: listed.failure };
    const { chains } = listed;
    const missing = jump.filter((hook) => !chains.has(hook));
    const broken = jump.filter((hook) => {
      if (!chains.has(hook)) return false;
      const found = findJump(chains, hook, chain, this.#strangersAt(hook, question));
      return found === undefined || found.condition !== undefined || found.passed.length > 0;
    });
    return { ok: true, judgement: judge(chains, question), missing, broken };
  }

  /** Makes Ampere's chain; that it is there already is no failure. */
  async makeChain(): Promise<"made" | "there" | Failure> {
    const made = await this.#chain.run(["-N"]);
    if (made.ok) return "made";
    return /already exists/i.test(made.stderr) ? "there" : this.#chain.failure(made);
  }

  /**
   * Makes a jump to Ampere's chain the first rule of another chain. One that stands there too late
   * goes, once the new one is there.
   *
   * @param hook The other chain.
   */
  async putJump(hook: string): Promise<Failure | undefined> {
    const { name } = this.#chain;
    const listed = await this.#list([hook]);
    if ("failure" in listed) return listed.failure;
    const old = (listed.chains.get(hook) ?? []).some(({ text }) => text === `-j ${name}`);
    const steps = old
      // To delete a rule by its text is to delete the first one of that text.
      ? [["-I", ...STAND_IN], ["-D"], ["-I"], ["-D", ...STAND_IN]]
      : [["-I"]];
    for (const [verb, ...conditions] of steps) {
      const result = await this.#iptables([verb!, hook, ...conditions, "-j", name]);
      if (!result.ok) return this.#chain.failure(result);
    }
    return undefined;
  }

  /** Kills a command that runs, and starts no other. */
  close(): void {
    this.#chain.close();
  }

  #question(): Question {
    const { jump, place, interfaces } = this.settings;
    return {
      family: this.family,
      chain: this.#chain.name,
      jump,
      place,
      strangers: strangersTo(place, interfaces),
    };
  }

  /** What a rule in INPUT may ask of packets, it may not in FORWARD. */
  #strangersAt(hook: string, { place, strangers }: Question): Question["strangers"] {
    if (hook !== "INPUT" || place.kind === "here") return strangers;
    return strangersTo(HERE, this.settings.interfaces);
  }

  /** Lists some chains, and all others if the way may lead through them. */
  async #list(hooks: readonly string[]): Promise<
    { readonly chains: Chains } | { readonly failure: Failure }
  > {
    const chains = new Map<string, Rule[]>();
    for (const hook of hooks) {
      const result = await this.#iptables(["-S", hook]);
      if (result.ok) await this.#read(result, chains);
      else {
        const failure = this.#chain.failure(result);
        if (failure.kind !== "no-chain") return { failure };
      }
    }
    const isEnough = hooks.every((hook) => !chains.has(hook) || this.#isSettled(chains.get(hook)!));
    if (isEnough) return { chains };
    const all = await this.#iptables(["-S"]);
    if (!all.ok) {
      const failure = this.#chain.failure(all);
      // To wait until all can be listed is to tell blocks as in force that are seen not to be.
      const isSeen = failure.kind !== "aborted" &&
        hooks.every((hook) => this.#leadsNowhereElse(chains.get(hook) ?? []));
      return isSeen ? { chains } : { failure };
    }
    chains.clear();
    await this.#read(all, chains);
    return { chains };
  }

  /** Whether no other chain is asked before a jump for all packets. */
  #isSettled(rules: readonly Rule[]): boolean {
    const at = rules.findIndex(({ text }) => text === `-j ${this.#chain.name}`);
    return at >= 0 &&
      rules.slice(0, at).every(({ target }) => target === undefined || ENDS.has(target));
  }

  /** Whether no rule asks another chain than Ampere's. */
  #leadsNowhereElse(rules: readonly Rule[]): boolean {
    return rules.every(({ target }) =>
      target === undefined || target === this.#chain.name || ENDS.has(target)
    );
  }

  async #read(result: CommandResult, chains: Map<string, Rule[]>): Promise<void> {
    // There may be very many, and none of them leads on.
    const own = `-A ${this.#chain.name} `;
    await eachLine(result.stdout, (line) => {
      if (!line.startsWith(own)) addLine(chains, line);
    });
  }

  #iptables(args: readonly string[]): Promise<CommandResult> {
    return this.#chain.runOther(
      IPTABLES[this.family],
      ["-w", String(LOCK_WAIT_SECONDS), ...args],
      { output: args[0] === "-S" },
    );
  }
}
