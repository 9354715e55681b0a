/**
 * Ampere's table of nftables, in memory: transactions, what a monitor tells of them, what a listing
 * prints, and whom its rules refuse. As nft 1.0.6 on Linux 6.18 was seen to do it, or, for the end
 * of what is there already, as a kernel before 6.12 does.
 *
 * @module
 */

import type { Family } from "../../../src/address/address.ts";
import { isWithin, numberOf } from "./numbers.ts";

interface NftSet {
  readonly type: string;
  readonly timed: boolean;
  /** Keys as they are printed, each with the time at which it ends. */
  readonly elements: Map<string, number | undefined>;
}

interface NftChain {
  readonly hook: string | undefined;
  readonly rules: string[];
}

interface NftState {
  readonly sets: Map<string, NftSet>;
  readonly chains: Map<string, NftChain>;
  dormant: boolean;
}

/** What became of a transaction. */
interface Done {
  /** What nft says; empty if it was done. */
  readonly err: string;
  /** What a monitor prints, line by line. */
  readonly events: readonly string[];
}

const NO_FILE = "Error: No such file or directory";
const NO_RULE = "Error: Could not process rule: No such file or directory";

/** What is wrong with a transaction. */
class NftError extends Error {}

/** The table, which may be there or not. */
export class NftTableModel {
  /** Targets that the kernel refuses for no good reason. */
  readonly refused = new Set<string>();
  /** Whether adding what is there changes its end. */
  renews = true;
  /** Hear of each transaction. */
  readonly listeners = new Set<(events: readonly string[]) => void>();
  readonly #name: string;
  readonly #now: () => number;
  #state: NftState | undefined;

  /**
   * @param name The name of the table.
   * @param now World time, in milliseconds.
   */
  constructor(name: string, now: () => number) {
    this.#name = name;
    this.#now = now;
  }

  /** Whether the table is there. */
  get isThere(): boolean {
    return this.#state !== undefined;
  }

  /**
   * What becomes of input whose end is missing.
   *
   * @param text The beginning of what Ampere has written.
   */
  transactCut(text: string): Done {
    try {
      return this.transact(text);
    } catch {
      // No command of Ampere's: nft calls it a syntax error.
      return { err: "Error: syntax error, unexpected end of file", events: [] };
    }
  }

  /**
   * One transaction: all of it, or nothing.
   *
   * @param text Commands, as `nft -f -` reads them.
   */
  transact(text: string): Done {
    const before = this.#state;
    this.#expire();
    this.#state = before === undefined ? undefined : copyOf(before);
    const events: string[] = [];
    try {
      for (const command of commandsOf(text)) this.#command(command, events);
    } catch (error) {
      this.#state = before;
      if (!(error instanceof NftError)) throw error;
      return { err: error.message, events: [] };
    }
    for (const listener of [...this.listeners]) listener(events);
    return { err: "", events };
  }

  #command(command: string, events: string[]): void {
    const table = `inet ${this.#name}`;
    const words = command.split(/\s+/);
    const [verb, kind] = words;
    const family = words.slice(2, 4).join(" ");
    if (family !== table) throw new Error(`not a command of Ampere: ${command.slice(0, 80)}`);
    const rest = command.slice(command.indexOf(table) + table.length).trim();
    if (verb === "add" && kind === "table") {
      if (this.#state === undefined) {
        this.#state = { sets: new Map(), chains: new Map(), dormant: false };
        events.push(this.#event("add", "table", { name: this.#name }));
      } else this.#state.dormant = false;
      return;
    }
    const state = this.#state;
    if (state === undefined) throw new NftError(NO_FILE);
    if (verb === "delete" && kind === "table") {
      for (const name of state.sets.keys()) {
        events.push(this.#event("delete", "set", { name, table: this.#name, type: "invalid" }));
      }
      for (const name of state.chains.keys()) {
        events.push(this.#event("delete", "chain", { table: this.#name, name }));
      }
      this.#state = undefined;
      events.push(this.#event("delete", "table", { name: this.#name }));
      return;
    }
    const [, name = "", tail = ""] = /^(\S+)\s*([^]*)$/.exec(rest) ?? [];
    switch (`${verb} ${kind}`) {
      case "add set": {
        const [, type = "", flags = ""] = /^\{ type (\w+); (flags timeout; )?\}$/.exec(tail) ?? [];
        if (type === "") throw new Error(`not a set of Ampere: ${command}`);
        const there = state.sets.get(name);
        if (there === undefined) {
          state.sets.set(name, { type, timed: flags !== "", elements: new Map() });
          events.push(this.#event("add", "set", { name, table: this.#name, type }));
        } else if (there.type !== type) throw new NftError("Error: Could not process: File exists");
        return;
      }
      case "delete set":
        if (!state.sets.delete(name)) throw new NftError(NO_FILE);
        if (rulesOf(state).some((rule) => rule.includes(`@${name} `))) {
          throw new NftError("Error: Could not process rule: Device or resource busy");
        }
        events.push(this.#event("delete", "set", { name, table: this.#name, type: "invalid" }));
        return;
      case "flush set": {
        const set = setOf(state, name);
        for (const key of set.elements.keys()) events.push(this.#element("delete", name, key));
        set.elements.clear();
        return;
      }
      case "add element":
      case "delete element":
        return this.#elements(verb as "add" | "delete", name, setOf(state, name), tail, events);
      case "add chain":
        if (state.chains.has(name)) return;
        state.chains.set(name, {
          hook: /type filter hook [^"]*policy \w+;/.exec(tail)?.[0],
          rules: [],
        });
        events.push(this.#event("add", "chain", { table: this.#name, name }));
        return;
      case "flush chain": {
        const chain = chainOf(state, name);
        for (const _ of chain.rules.splice(0)) {
          events.push(this.#event("delete", "rule", { table: this.#name, chain: name }));
        }
        return;
      }
      case "add rule":
      case "insert rule": {
        const [, set] = /@(\S+)/.exec(tail) ?? [];
        if (set !== undefined) setOf(state, set);
        const { rules } = chainOf(state, name);
        if (verb === "add") rules.push(tail);
        else rules.unshift(tail);
        events.push(this.#event("add", "rule", { table: this.#name, chain: name }));
        return;
      }
      default:
        throw new Error(`not a command of Ampere: ${command.slice(0, 80)}`);
    }
  }

  #elements(
    verb: "add" | "delete",
    name: string,
    set: NftSet,
    tail: string,
    events: string[],
  ): void {
    const [, inner] = /^\{([^]*)\}$/.exec(tail) ?? [];
    if (inner === undefined) throw new NftError("Error: syntax error, unexpected end of file");
    for (const text of inner.split(",").map((text) => text.trim())) {
      if (text === "") continue;
      const [key = "", word, seconds = "", ...more] = text.split(/\s+/);
      const left = /^(\d+)s$/.exec(seconds)?.[1];
      if (more.length > 0 || (word !== undefined && (word !== "timeout" || left === undefined))) {
        throw new Error(`not an element of Ampere: ${text}`);
      }
      if (verb === "delete") {
        if (!set.elements.delete(key)) throw new NftError(NO_RULE);
        events.push(this.#element("delete", name, key));
        continue;
      }
      if (this.#refuses(name, key)) {
        throw new NftError("Error: Could not process rule: Numerical result out of range");
      }
      if (left !== undefined && !set.timed) throw new NftError("Error: syntax error");
      const until = left === undefined ? undefined : this.#now() + 1_000 * Number(left);
      const isThere = set.elements.has(key);
      if (!isThere || this.renews) set.elements.set(key, until);
      if (!isThere) events.push(this.#element("add", name, key, Number(left ?? 0)));
    }
  }

  #refuses(set: string, key: string): boolean {
    if (!/^(hosts|networks)/.test(set)) return false;
    const length = /_(\d+)$/.exec(set)?.[1];
    return this.refused.has(length === undefined ? key : `${key}/${length}`);
  }

  #event(verb: string, kind: string, object: Record<string, unknown>): string {
    return JSON.stringify({ [verb]: { [kind]: { family: "inet", ...object } } })
      .replace(/^\{"(\w+)":\{"(\w+)":/, '{"$1": {"$2": ');
  }

  #element(verb: string, name: string, key: string, timeout = 0): string {
    const value = name === "marks" || name.startsWith("farewell") ? Number(key) : key;
    const one = timeout === 0 ? value : { elem: { val: value, timeout, expires: timeout } };
    return this.#event(verb, "element", { table: this.#name, name, elem: { set: [one] } });
  }

  /** What has run out goes without a word. */
  #expire(): void {
    const now = this.#now();
    for (const { elements } of this.#state?.sets.values() ?? []) {
      for (const [key, until] of elements) {
        if (until !== undefined && until <= now) elements.delete(key);
      }
    }
  }

  /**
   * What a listing prints.
   *
   * @param terse Without the elements.
   */
  list(terse: boolean): string {
    this.#expire();
    const state = this.#state;
    if (state === undefined) return "";
    const lines = [`table inet ${this.#name} {`];
    if (state.dormant) lines.push("\tflags dormant");
    for (const [name, { type, timed, elements }] of state.sets) {
      lines.push(`\tset ${name} {`, `\t\ttype ${type}`);
      if (timed) lines.push("\t\tflags timeout");
      const shown = [...elements].map(([key, until]) =>
        until === undefined ? key : `${key} timeout 1h`
      );
      if (!terse && shown.length > 0) {
        const rows: string[] = [];
        for (let i = 0; i < shown.length; i += 2) rows.push(shown.slice(i, i + 2).join(", "));
        lines.push(`\t\telements = { ${rows.join(",\n\t\t\t     ")} }`);
      }
      lines.push("\t}", "");
    }
    for (const [name, { hook, rules }] of state.chains) {
      lines.push(`\tchain ${name} {`);
      if (hook !== undefined) lines.push(`\t\t${hook.replace("-310", "raw - 10")}`);
      for (const rule of rules) lines.push(`\t\t${rule}`);
      lines.push("\t}", "");
    }
    return `${lines.join("\n")}}\n`;
  }

  // What packets meet

  /**
   * Whether the packets of an address are refused.
   *
   * @param address Canonical.
   */
  refuses(address: string): boolean {
    const state = this.#state;
    const incoming = state?.chains.get("incoming");
    if (state === undefined || state.dormant) return false;
    if (!/^type filter hook prerouting priority \S+; policy accept;$/.test(incoming?.hook ?? "")) {
      return false;
    }
    return this.#walk(state, "incoming", address) === "refuse";
  }

  #walk(state: NftState, name: string, address: string): "refuse" | "accept" | "goes on" {
    const family = address.includes(":") ? 6 : 4;
    for (const rule of state.chains.get(name)?.rules ?? []) {
      if (rule === 'iif "lo" accept') continue;
      const proto = /^meta nfproto ipv([46]) /.exec(rule)?.[1];
      if (proto !== undefined && Number(proto) !== family) continue;
      const look = /^ip(6?) saddr (?:& (\S+) )?@(\S+) /.exec(rule);
      if (look !== null) {
        const [, six, mask, set = ""] = look;
        if ((six === "6") !== (family === 6)) continue;
        const masked = numberOf(address) & (mask === undefined ? ~0n : numberOf(mask));
        const elements = state.sets.get(set)?.elements ?? new Map();
        if (![...elements.keys()].some((key) => numberOf(key) === masked)) continue;
      } else if (proto === undefined && rule !== "accept" && rule !== "counter accept") continue;
      const chain = /\bgoto (\S+)$/.exec(rule)?.[1];
      if (chain !== undefined) return this.#walk(state, chain, address);
      return /\breject with icmp(v6)? type port-unreachable$/.test(rule) ? "refuse" : "accept";
    }
    return "goes on";
  }

  /** Whether the chain asks the sets of a family. */
  isAsked(family: Family): boolean {
    const state = this.#state;
    if (state === undefined || state.dormant) return false;
    const rules = state.chains.get("incoming")?.rules ?? [];
    const goes = rules.indexOf(`meta nfproto ipv${family} goto from${family}`);
    if (goes < 0 || rules.slice(0, goes).some((rule) => /^(counter )?accept$/.test(rule))) {
      return false;
    }
    const from = state.chains.get(`from${family}`)?.rules ?? [];
    return from.length > 0 && !/^(counter )?accept$/.test(from[0]!);
  }

  /**
   * What rules of a family refuse, sorted; what should not be there stands among it as text.
   *
   * @param family Of which family.
   */
  blocked(family: Family): string[] {
    return this.#targets(family, "reject").map((target) => {
      const [address = ""] = target.split("/");
      const passing = this.#targets(family, "accept").some((pass) => isWithin(address, pass));
      return passing || this.refuses(address) ? target : `not refused: ${target}`;
    }).concat(this.#strangeRules(family)).sort();
  }

  /** What passes although a network around it may be blocked, sorted. */
  excepted(family: Family): string[] {
    return this.#targets(family, "accept").sort();
  }

  /** What is in the sets that rules with a verdict look at. */
  #targets(family: Family, verdict: "reject" | "accept"): string[] {
    const state = this.#state;
    this.#expire();
    if (state === undefined) return verdict === "reject" ? ["no table"] : [];
    return rulesOf(state).flatMap((rule) => {
      const [, six, set = ""] = /^ip(6?) saddr (?:& \S+ )?@(\S+) /.exec(rule) ?? [];
      if (six === undefined || (six === "6") !== (family === 6) || !rule.includes(verdict)) {
        return [];
      }
      const length = /_(\d+)$/.exec(set)?.[1];
      return [...state.sets.get(set)?.elements.keys() ?? []].map((key) =>
        length === undefined ? key : `${key}/${length}`
      );
    });
  }

  #strangeRules(family: Family): string[] {
    const names = [`from${family}`, `networks${family}`, ...family === 4 ? ["incoming"] : []];
    return names.flatMap((name) => this.#state?.chains.get(name)?.rules ?? [])
      .filter((rule) => /^(counter )?accept$/.test(rule)).map((rule) => `strange: ${rule}`);
  }

  /** When the kernel ends what it refuses, by target. */
  ends(family: Family): Map<string, number | undefined> {
    const ends = new Map<string, number | undefined>();
    for (const target of this.#targets(family, "reject")) {
      const [key = "", length] = target.split("/");
      for (const [name, { elements }] of this.#state?.sets ?? []) {
        const isIt = length === undefined ? /^hosts/.test(name) : name.endsWith(`_${length}`);
        if (isIt && /^(hosts|networks)/.test(name) && elements.has(key)) {
          ends.set(target, elements.get(key));
        }
      }
    }
    return ends;
  }

  // What others do

  /** Keys of the elements of a set that holds some; nothing if there is none. */
  someKeys(pattern: RegExp): { readonly set: string; readonly keys: string[] } | undefined {
    for (const [set, { elements }] of this.#state?.sets ?? []) {
      if (pattern.test(set) && elements.size > 0) return { set, keys: [...elements.keys()] };
    }
    return undefined;
  }

  /** The table is switched off, or on. */
  sleep(): void {
    if (this.#state === undefined) return;
    this.#state.dormant = true;
    const event = this.#event("add", "table", { name: this.#name, flags: ["dormant"] });
    for (const listener of [...this.listeners]) listener([event]);
  }
}

function copyOf({ sets, chains, dormant }: NftState): NftState {
  return {
    sets: new Map([...sets].map(([name, set]) => [
      name,
      { ...set, elements: new Map(set.elements) },
    ])),
    chains: new Map([...chains].map(([name, { hook, rules }]) => [
      name,
      { hook, rules: [...rules] },
    ])),
    dormant,
  };
}

function setOf(state: NftState, name: string): NftSet {
  const set = state.sets.get(name);
  if (set === undefined) throw new NftError(`${NO_FILE}; did you mean something else?`);
  return set;
}

function chainOf(state: NftState, name: string): NftChain {
  const chain = state.chains.get(name);
  if (chain === undefined) throw new NftError(NO_RULE);
  return chain;
}

function rulesOf({ chains }: NftState): string[] {
  return [...chains.values()].flatMap(({ rules }) => rules);
}

/** Commands end with a line or a semicolon, but for those within braces. */
function* commandsOf(text: string): Generator<string, void> {
  let depth = 0;
  let isQuoted = false;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    const char = text[i] ?? "\n";
    if (char === '"') isQuoted = !isQuoted;
    else if (isQuoted && i < text.length) continue;
    else if (char === "{") depth++;
    else if (char === "}") depth--;
    else if ((char === "\n" || char === ";") && (depth === 0 || i === text.length)) {
      const command = text.slice(start, i).trim();
      start = i + 1;
      if (command === "") continue;
      if (depth !== 0) throw new NftError("Error: syntax error, unexpected end of file");
      yield command;
    }
  }
}
