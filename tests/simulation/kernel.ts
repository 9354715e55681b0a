/**
 * The part of the kernel that Ampere changes, in memory, with the programs that change it. What
 * they print and how they end is what iptables 1.8.9 (nf_tables) and ipset 7.17 were seen to do.
 *
 * @module
 */

import type { Family } from "../../src/address/address.ts";
import { NftTableModel } from "./nft/table.ts";

/** What a program has to say when it ends. */
export interface Ending {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface Rule {
  /** The rule behind the name of the chain, as `-S` prints it. */
  readonly text: string;
  /** The set that it looks at. */
  readonly set: string | undefined;
}

interface Entry {
  /** World time at which it goes away by itself, in milliseconds. */
  readonly until: number | undefined;
  /** It is an exception. */
  readonly nomatch?: boolean;
}

interface AddressSet {
  readonly family: Family;
  readonly options: string;
  readonly max: number;
  readonly entries: Map<string, Entry>;
}

const DONE: Ending = { code: 0, out: "", err: "" };
const NO_CHAIN = failing(1, "iptables: No chain/target/match by that name.");
const BAD_RULE = failing(1, "iptables: Bad rule (does a matching rule exist in that chain?).");
const NO_SET = "The set with the given name does not exist";

const REJECT: Readonly<Record<Family, string>> = {
  4: "-j REJECT --reject-with icmp-port-unreachable",
  6: "-j REJECT --reject-with icmp6-port-unreachable",
};

function failing(code: number, err: string): Ending {
  return { code, out: "", err };
}

/** The firewall of one machine. */
export class Kernel {
  /** The chain of each family; `undefined` when it is not there. */
  readonly chains: Record<Family, Rule[] | undefined> = { 4: [], 6: [] };
  /** The rules of INPUT, as `-S` prints them behind its name. */
  readonly input: Record<Family, string[]> = { 4: [], 6: [] };
  readonly sets = new Map<string, AddressSet>();
  /** Ampere's table of nftables. */
  readonly nft: NftTableModel;
  readonly #chain: string;
  readonly #now: () => number;

  /**
   * @param chain The name of the chain.
   * @param now World time, in milliseconds.
   */
  constructor(chain: string, now: () => number) {
    this.#chain = chain;
    this.#now = now;
    this.nft = new NftTableModel(chain, now);
  }

  /** Targets that the kernel refuses for no good reason. */
  get refused(): Set<string> {
    return this.nft.refused;
  }

  /**
   * What a command does.
   *
   * @param program `iptables`, `ip6tables`, `ipset` or `nft`.
   * @param args Its arguments.
   * @param stdin Its input.
   * @param part How much of its work it does, from 0 to 1, when it is killed in the middle.
   */
  execute(program: string, args: readonly string[], stdin: string, part = 1): Ending {
    if (program === "nft") return this.#nft(args.join(" "), stdin, part);
    if (program === "ipset") return this.#ipset(args, stdin, part);
    return this.#iptables(program === "iptables" ? 4 : 6, args, part);
  }

  // nft

  #nft(command: string, stdin: string, part: number): Ending {
    switch (command) {
      case "-f -": {
        // All of it or nothing, whenever it is killed.
        const { err } = part < 0.5 ? { err: "" } : this.nft.transact(stdin);
        return err === "" ? DONE : failing(1, err);
      }
      case `-s list table inet ${this.#chain}`:
        if (!this.nft.isThere) return failing(1, "Error: No such file or directory");
        return { ...DONE, out: this.nft.list(false) };
      case "-t list ruleset":
        return { ...DONE, out: this.nft.list(true) };
      case "-t -j list sets":
        return { ...DONE, out: '{"nftables": []}' };
      default:
        throw new Error(`not a command of Ampere: nft ${command}`);
    }
  }

  // iptables

  #iptables(family: Family, args: readonly string[], part: number): Ending {
    const [, , command, chain, ...rest] = args;
    if (args[0] === "-w" && args[1] === "4" && (chain === "INPUT" || chain === undefined)) {
      return this.#hook(family, command, rest, part);
    }
    if (args[0] !== "-w" || args[1] !== "4" || chain !== this.#chain) {
      throw new Error(`not a command of Ampere: ${args.join(" ")}`);
    }
    const rules = this.chains[family];
    switch (command) {
      case "-N":
        if (rules !== undefined) return failing(1, "iptables: Chain already exists.");
        if (part >= 1) this.chains[family] = [];
        return DONE;
      case "-S":
        if (rules === undefined) {
          const text = `chain \`${chain}' in table \`filter' is incompatible, use 'nft' tool.`;
          return failing(1, `iptables v1.8.9 (nf_tables): ${text}`);
        }
        return { ...DONE, out: this.#print(rules) };
      case "-F":
        if (rules === undefined) return NO_CHAIN;
        rules.length = 0;
        return DONE;
      case "-A":
        return this.#append(family, rules, rest, part);
      case "-I":
        return this.#append(family, rules, rest, part, 0);
      case "-D":
        return this.#delete(rules, rest, part);
      default:
        throw new Error(`not a command of Ampere: ${args.join(" ")}`);
    }
  }

  /** Commands on INPUT, or a listing of all. */
  #hook(family: Family, command: string | undefined, rest: string[], part: number): Ending {
    const input = this.input[family];
    const rules = this.chains[family];
    const jump = `-j ${this.#chain}`;
    switch (command) {
      case "-S": {
        const lines = ["-P INPUT ACCEPT", ...input.map((text) => `-A INPUT ${text}`), ""];
        // `rest` is empty both for INPUT and for all: what is more does no harm.
        return { ...DONE, out: lines.join("\n") + (rules === undefined ? "" : this.#print(rules)) };
      }
      case "-I":
      case "-D": {
        const text = rest.join(" ");
        if (text !== jump && text !== `! -i lo ${jump}`) throw new Error(`not a jump: ${text}`);
        if (command === "-I" && rules === undefined) return NO_CHAIN;
        const at = input.indexOf(text);
        if (command === "-D" && at < 0) return BAD_RULE;
        if (part < 1) return DONE;
        if (command === "-I") input.unshift(text);
        else input.splice(at, 1);
        return DONE;
      }
      default:
        throw new Error(`not a command of Ampere: ${command} INPUT ${rest.join(" ")}`);
    }
  }

  /** Whether every packet is compared with the chain before INPUT lets it in. */
  isAsked(family: Family): boolean {
    if (this.chains[family] === undefined) return false;
    const accept = this.input[family].findIndex((text) => text.endsWith("-j ACCEPT"));
    const jump = this.input[family].findIndex((text) => text.endsWith(`-j ${this.#chain}`));
    return jump >= 0 && (accept < 0 || jump < accept);
  }

  /** Somebody deletes the chain: that goes only without the jumps to it. */
  deleteChain(family: Family): void {
    this.chains[family] = undefined;
    this.input[family] = this.input[family].filter((text) => !text.endsWith(`-j ${this.#chain}`));
  }

  /** Somebody makes the jump to the chain, in front of all. */
  makeJump(family: Family): void {
    if (this.chains[family] === undefined || this.isAsked(family)) return;
    this.input[family].unshift(`-j ${this.#chain}`);
  }

  #append(
    family: Family,
    rules: Rule[] | undefined,
    rest: string[],
    part: number,
    at = Infinity,
  ): Ending {
    const added = rulesOf(rest);
    const set = added[0]?.set;
    if (set !== undefined && this.sets.get(set)?.family !== family) {
      return failing(2, `iptables v1.8.9 (nf_tables): Set ${set} doesn't exist.\n\nTry ...`);
    }
    if (rules === undefined) return NO_CHAIN;
    if (added.some(({ text }) => this.#refuses(text))) {
      return failing(
        4,
        "iptables v1.8.9 (nf_tables):  RULE_APPEND failed (Invalid argument): rule in chain ampere",
      );
    }
    rules.splice(Math.min(at, rules.length), 0, ...added.slice(0, Math.ceil(added.length * part)));
    return DONE;
  }

  #delete(rules: Rule[] | undefined, rest: string[], part: number): Ending {
    if (rules === undefined) return BAD_RULE;
    const left = [...rules];
    const deleted = rulesOf(rest);
    for (const { text } of deleted.slice(0, Math.ceil(deleted.length * part))) {
      const at = left.findIndex((rule) => rule.text === text);
      if (at < 0) return BAD_RULE;
      left.splice(at, 1);
    }
    rules.splice(0, rules.length, ...left);
    return DONE;
  }

  #refuses(text: string): boolean {
    for (const target of this.refused) {
      if (text.startsWith(`-s ${fullPrefix(target)} `)) return true;
    }
    return false;
  }

  #print(rules: readonly Rule[]): string {
    const chain = this.#chain;
    return [`-N ${chain}`, ...rules.map(({ text }) => `-A ${chain} ${text}`), ""].join("\n");
  }

  // ipset

  #ipset(args: readonly string[], stdin: string, part: number): Ending {
    const command = args.join(" ");
    const [verb, ...rest] = args;
    const name = rest.at(-1)!;
    const set = this.#live(name);
    if (command === "restore -exist") return this.#restore(stdin, part);
    switch (verb) {
      case "save":
        if (set === undefined) return failing(1, `ipset v7.17: ${NO_SET}`);
        return { ...DONE, out: this.#save(name, set) };
      case "list":
        if (set === undefined) return failing(1, `ipset v7.17: ${NO_SET}`);
        return { ...DONE, out: `Name: ${name}\nNumber of entries: ${set.entries.size}\n` };
      case "destroy": {
        const error = this.#destroy(name, false);
        return error === undefined ? DONE : failing(1, `ipset v7.17: ${error}`);
      }
      default:
        throw new Error(`not a command of Ampere: ipset ${command}`);
    }
  }

  #save(name: string, set: AddressSet): string {
    const head = `create ${name} hash:net ${set.options} bucketsize 12 initval 0x26fe26a2\n`;
    const lines = [...set.entries].map(([target, { until, nomatch }]) => {
      const left = until === undefined ? 0 : Math.max(1, Math.floor((until - this.#now()) / 1000));
      return `add ${name} ${target} timeout ${left}${nomatch ? " nomatch" : ""}\n`;
    });
    return head + lines.join("");
  }

  /** Line by line, up to the first that fails; what came before it stays done. */
  #restore(stdin: string, part: number): Ending {
    const lines = stdin.split("\n").slice(0, -1);
    const count = Math.ceil(lines.length * part);
    for (let i = 0; i < count; i++) {
      const error = this.#restoreLine(lines[i]!.split(" "));
      if (error !== undefined) return failing(1, `ipset v7.17: Error in line ${i + 1}: ${error}`);
    }
    return DONE;
  }

  #restoreLine(words: readonly string[]): string | undefined {
    const [verb = "", name = "", third = ""] = words;
    const set = this.#live(name);
    switch (verb) {
      case "create": {
        const options = words.slice(3).join(" ");
        if (set !== undefined && set.options !== options) {
          return "Set cannot be created: set with the same name already exists";
        }
        if (set === undefined) this.sets.set(name, newSet(options));
        return undefined;
      }
      case "destroy":
        return this.#destroy(name, true);
      case "swap": {
        const other = this.#live(third);
        if (set === undefined || other === undefined) return NO_SET;
        this.sets.set(name, other);
        this.sets.set(third, set);
        return undefined;
      }
      case "add": {
        if (set === undefined) return NO_SET;
        if (this.refused.has(third)) return "Kernel error received: Invalid argument";
        if (!set.entries.has(third) && set.entries.size >= set.max) {
          return "Hash is full, cannot add more elements";
        }
        // Without a time of its own an entry gets that of the set, which is none.
        const seconds = words.length === 3 ? 0 : Number(words[4]);
        if (words.length > 3 && (words[3] !== "timeout" || !(seconds >= 0))) {
          throw new Error(words.join(" "));
        }
        const until = seconds === 0 ? undefined : this.#now() + seconds * 1000;
        set.entries.set(third, { until, nomatch: words[5] === "nomatch" });
        return undefined;
      }
      case "del":
        if (set === undefined) return NO_SET;
        set.entries.delete(third);
        return undefined;
      default:
        throw new Error(`not a line of Ampere: ${words.join(" ")}`);
    }
  }

  #destroy(name: string, exist: boolean): string | undefined {
    if (!this.sets.has(name)) return exist ? undefined : NO_SET;
    if (this.isLookedAt(name)) return "Set cannot be destroyed: it is in use by a kernel component";
    this.sets.delete(name);
    return undefined;
  }

  /** Whether a rule looks at the set. */
  isLookedAt(name: string): boolean {
    return ([4, 6] as const).some((family) =>
      this.chains[family]?.some((rule) => rule.set === name)
    );
  }

  /** The set, without what has run out. */
  #live(name: string): AddressSet | undefined {
    const set = this.sets.get(name);
    if (set === undefined) return undefined;
    const now = this.#now();
    for (const [target, { until }] of set.entries) {
      if (until !== undefined && until <= now) set.entries.delete(target);
    }
    return set;
  }

  /**
   * What is blocked, rule by rule, sorted; what should not be there stands among it as text.
   *
   * @param family Of which family.
   * @param setName The set that may be looked at; then a rule for it must be the only one.
   */
  blocked(family: Family, setName: string | undefined): string[] {
    const rules = this.chains[family];
    if (rules === undefined) return ["no chain"];
    if (setName === undefined) {
      const first = rules.findIndex(({ text }) => !text.endsWith(" -j RETURN"));
      return rules.slice(first < 0 ? rules.length : first)
        .map((rule) => targetOf(rule.text, family)).sort();
    }
    const own = `-m set --match-set ${setName} src ${REJECT[family]}`;
    if (rules.length !== 1 || rules[0]!.text !== own) return rules.map((rule) => rule.text);
    const set = this.#live(setName);
    if (set === undefined) return ["no set"];
    return [...set.entries].filter(([, { nomatch }]) => !nomatch).map(([target]) => target).sort();
  }

  /** What passes although a network around it may be blocked, sorted. */
  excepted(family: Family, setName: string | undefined): string[] {
    if (setName !== undefined) {
      const entries = [...this.#live(setName)?.entries ?? []];
      return entries.filter(([, { nomatch }]) => nomatch).map(([target]) => target).sort();
    }
    const full = family === 4 ? /\/32$/ : /\/128$/;
    return (this.chains[family] ?? []).flatMap(({ text }) =>
      /^-s (\S+) -j RETURN$/.exec(text)?.[1]?.replace(full, "") ?? []
    ).sort();
  }

  // What others do

  /** A rule as somebody else would add it. */
  addStranger(family: Family, text: string): void {
    this.chains[family]?.push({ text, set: undefined });
  }

  /** A set as somebody else would make it anew, empty. */
  clearSet(name: string): void {
    this.sets.get(name)?.entries.clear();
  }
}

function newSet(options: string): AddressSet {
  const match = /^family (inet6?) hashsize \d+ maxelem (\d+) timeout 0$/.exec(options);
  if (match === null) throw new Error(`not a set of Ampere: ${options}`);
  const family = match[1] === "inet" ? 4 : 6;
  return { family, options, max: Number(match[2]), entries: new Map() };
}

function rulesOf(rest: readonly string[]): Rule[] {
  if (rest[0] === "-m") return [{ text: rest.join(" "), set: rest[3] }];
  if (rest[0] !== "-s") throw new Error(`not a rule of Ampere: ${rest.join(" ")}`);
  const end = rest.slice(2).join(" ");
  return rest[1]!.split(",").map((target) => ({
    text: `-s ${fullPrefix(target)} ${end}`,
    set: undefined,
  }));
}

/** As iptables prints an address: always with a prefix. */
function fullPrefix(target: string): string {
  if (target.includes("/")) return target;
  return `${target}/${target.includes(":") ? 128 : 32}`;
}

function targetOf(text: string, family: Family): string {
  const match = /^-s (\S+) (.*)$/.exec(text);
  if (match === null || match[2] !== REJECT[family]) return `strange: ${text}`;
  return match[1]!.replace(family === 4 ? /\/32$/ : /\/128$/, "");
}
