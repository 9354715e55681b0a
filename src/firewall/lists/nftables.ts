/**
 * Lists in nftables: in a table of their own, so that a look at the blocks of hosts reads none of
 * their elements. Networks are in sets without intervals, one for each length that `spread.ts` has
 * chosen: intervals would make each change of the blocks read all of them.
 *
 * @module
 */

import { type Family, familyOf, WIDTH, writeNetwork } from "../../address/address.ts";
import type { Action } from "../../config/config.ts";
import { type CommandResult, run, type Runner } from "../command.ts";
import type { Failure } from "../failure.ts";
import { nftFailure } from "../nftables/failure.ts";
import { type Gap, gapRules, gapSets } from "../nftables/gap.ts";
import { listTableOf, tableOf } from "../nftables/layout.ts";
import { maskText, WORDS } from "../nftables/words.ts";
import { readTable } from "../nftables/listing.ts";
import type { KernelList, ListBackend, ListCount, ListLook } from "./backend.ts";
import { nearOf, type Plan, planOf, spread } from "./spread.ts";

/** Where the chain stands: behind that of the blocks. */
const HOOK = "type filter hook prerouting priority -309; policy accept;";

/** What the first rule says to whoever lists all rules of the machine. */
export const LISTS_NOTE = "made by Ampere for the feeds of ampere.cfg";

/**
 * So many elements are added at a time: while the kernel takes them over no block can be made, 1.5
 * s for 200,000.
 */
const PIECE = 10_000;

/** How long nft may take for a piece, in milliseconds. */
const TIMEOUT_MS = 20_000;

/**
 * Elements are counted once in so many milliseconds for each, because nft takes 0.005 for that, and
 * memory; and when others have changed something, or may have.
 */
const COUNT_PER_ELEMENT_MS = 3;

/** What a set with elements is, as nft lists it. */
const ELEMENTS = /\tset (\S+) \{\n(?:\t\t(?!elements)[^\n]*\n)*\t\telements = \{([^}]*)\}/g;

const FAMILIES: readonly Family[] = [4, 6];

/** A list that is in the kernel. */
interface Placed {
  readonly list: KernelList;
  /** Behind the names of its sets. */
  readonly generation: "a" | "b";
  readonly plans: Readonly<Record<Family, Plan>>;
  /** How many elements each of its sets has. */
  readonly sizes: Map<string, number>;
}

/** What is there. */
interface Seen {
  readonly whole: boolean;
  readonly counts: ReadonlyMap<string, ListCount>;
  /** Lists of an earlier life that have a counter. */
  readonly others: readonly string[];
  readonly sets: readonly string[];
  readonly chains: readonly string[];
}

/** What the lists of nftables are made of. */
interface NftListOptions {
  /** The name of the table with the blocks. */
  readonly table: string;
  readonly action?: Action;
  /** Runs the commands. @default {run} */
  readonly run?: Runner;
  /**
   * Told how many elements there will be, before they are added: the monitor would read, and keep,
   * each of them.
   */
  readonly onElements?: (count: number) => void;
  /** Fulfilled when what was done until now has been heard, if there is a monitor. */
  readonly hasHeardAll?: () => Promise<unknown>;
}

/** Lists in the table `inet NAME_lists`. */
export class NftLists implements ListBackend {
  action: Action;
  onDamage: () => void = () => {};
  readonly #name: string;
  readonly #run: Runner;
  readonly #onElements: (count: number) => void;
  readonly #hasHeardAll: () => Promise<unknown>;
  readonly #ending = new AbortController();
  #placed = new Map<string, Placed>();
  #pass: readonly string[] = [];
  #gap: Gap | undefined;
  /** Own changes that are under way. */
  #ownChanges = 0;
  /** When elements were counted last, as a clock value. */
  #countedAt = -Infinity;

  /** @param options See {@linkcode NftListOptions}. */
  constructor(options: NftListOptions) {
    this.#name = listTableOf(options.table);
    this.action = options.action ?? "reject";
    this.#run = options.run ?? run;
    this.#onElements = options.onElements ?? (() => {});
    this.#hasHeardAll = options.hasHeardAll ?? (() => Promise.resolve());
  }

  /**
   * Something in the table was changed, or may have been: by others, unless a change of its own is
   * under way. The next look counts elements.
   */
  changed(): void {
    if (this.#ownChanges > 0 || this.#placed.size === 0) return;
    this.#countedAt = -Infinity;
    this.onDamage();
  }

  /** What is heard meanwhile is the work of this. */
  async #own(change: () => Promise<Failure | undefined>): Promise<Failure | undefined> {
    this.#ownChanges++;
    try {
      return await change();
    } finally {
      await this.#hasHeardAll();
      this.#ownChanges--;
    }
  }

  /** Puts lists in force, and no others; see {@linkcode ListBackend.replace}. */
  replace(
    lists: readonly KernelList[],
    pass: readonly string[],
    gap?: Gap,
  ): Promise<Failure | undefined> {
    return this.#own(() => this.#replace(lists, pass, gap));
  }

  async #replace(
    lists: readonly KernelList[],
    pass: readonly string[],
    gap?: Gap,
  ): Promise<Failure | undefined> {
    if (lists.length === 0) return await this.#takeAway();
    this.#gap = gap;
    const seen = await this.#see();
    if ("failure" in seen) return seen.failure;
    const placed = new Map<string, Placed>();
    const fresh: Placed[] = [];
    for (const list of lists) {
      const before = seen.whole ? this.#placed.get(list.name) : undefined;
      const keeps = before !== undefined && before.list.set === list.set;
      const one = keeps ? { ...before, list } : place(list, seen.sets);
      placed.set(list.name, one);
      if (!keeps) fresh.push(one);
    }
    this.#onElements(
      [...placed.values()].reduce((sum, { list }) => sum + list.set.size, 0),
    );
    for (const one of fresh) {
      const table = tableOf(this.#name);
      const made = await this.#nft([
        `add table ${table}`,
        ...this.#setsOf(one).flatMap(([set, family]) => [
          `add set ${table} ${set} { type ${WORDS[family].type}; }`,
          `flush set ${table} ${set}`,
        ]),
      ]);
      if (!made.ok) return this.#failure(made);
      // Each is made when the one before is in the kernel: that holds up nobody for long.
      for (const piece of this.#pieces(one)) {
        const added = await this.#nft([piece()]);
        if (!added.ok) return this.#failure(added);
      }
    }
    const result = await this.#nft(this.#rules(placed, pass, seen));
    if (!result.ok) return this.#failure(result);
    this.#placed = placed;
    this.#pass = pass;
    return undefined;
  }

  /** Changes who must pass; see {@linkcode ListBackend.setPass}. */
  setPass(pass: readonly string[]): Promise<Failure | undefined> {
    return this.#own(() => this.#setPass(pass));
  }

  async #setPass(pass: readonly string[]): Promise<Failure | undefined> {
    if (this.#placed.size === 0) return undefined;
    const seen = await this.#see();
    if ("failure" in seen) return seen.failure;
    const result = await this.#nft(this.#rules(this.#placed, pass, seen));
    if (!result.ok) return this.#failure(result);
    this.#pass = pass;
    return undefined;
  }

  /** Looks what is there; see {@linkcode ListBackend.look}. */
  async look(): Promise<ListLook> {
    const seen = await this.#see();
    if ("failure" in seen) return { ok: false, failure: seen.failure };
    const whole = seen.whole && !await this.#hasOtherSizes();
    // All is filled anew.
    if (!whole) this.#placed = new Map();
    return { ok: true, ...seen, whole };
  }

  /** Whether a set has more or fewer elements than it was given; they are counted seldom. */
  async #hasOtherSizes(): Promise<boolean> {
    const sizes = new Map(this.#passSets(this.#pass).map(([set, , all]) => [set, all.length]));
    for (const one of this.#placed.values()) {
      for (const [set, size] of one.sizes) sizes.set(set, size);
    }
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const now = performance.now();
    if (now < this.#countedAt + COUNT_PER_ELEMENT_MS * total) return false;
    const args = ["list", "table", "inet", this.#name];
    const { signal } = this.#ending;
    const result = await this.#run("nft", args, { output: true, timeoutMs: TIMEOUT_MS, signal });
    this.#countedAt = performance.now();
    if (!result.ok) return false;
    const text = new TextDecoder().decode(result.stdout);
    const found = new Map<string, number>();
    for (const [, set, all] of text.matchAll(ELEMENTS)) found.set(set!, countOf(all!));
    return [...sizes].some(([set, size]) => size !== (found.get(set) ?? 0));
  }

  async #see(): Promise<Seen | { readonly failure: Failure }> {
    const result = await this.#run("nft", ["-t", "list", "ruleset"], {
      output: true,
      timeoutMs: TIMEOUT_MS,
      signal: this.#ending.signal,
    });
    if (!result.ok) return { failure: this.#failure(result) };
    const table = await readTable(result.stdout, this.#name);
    const counts = this.#readCounts(new TextDecoder().decode(result.stdout));
    const others = [...counts.keys()].filter((name) => !this.#placed.has(name));
    for (const name of others) counts.delete(name);
    let whole = !table.isDormant;
    for (const [chain, rules] of this.#chains(this.#placed, this.#pass)) {
      const there = [...table.chains.get(chain) ?? []];
      if (chain === "incoming" && !there.shift()?.startsWith("type filter hook prerouting")) {
        whole = false;
      }
      if (there.length !== rules.length || rules.some((rule, i) => !isAlike(there[i]!, rule))) {
        whole = false;
      }
    }
    const sets = [...this.#placed.values()].flatMap((one) => this.#setsOf(one).map(([set]) => set));
    sets.push(...this.#gapSets().map(([set]) => set));
    if (sets.some((set) => !table.sets.has(set))) whole = false;
    return {
      whole,
      counts,
      others,
      sets: [...table.sets.keys()],
      chains: [...table.chains.keys()],
    };
  }

  /** Ends the use; see {@linkcode ListBackend.close}. */
  close(): void {
    this.#ending.abort();
  }

  async #takeAway(): Promise<Failure | undefined> {
    const table = tableOf(this.#name);
    // To delete what is not there would be an error.
    const result = await this.#nft([`add table ${table}`, `delete table ${table}`]);
    if (!result.ok) return this.#failure(result);
    this.#placed = new Map();
    this.#onElements(0);
    return undefined;
  }

  /** Commands that add the elements of a list, made when they are needed. */
  *#pieces(one: Placed): Generator<() => string> {
    const table = tableOf(this.#name);
    for (const family of FAMILIES) {
      const sets = new Map<number, string[]>();
      const plan = one.plans[family];
      const command = (length: number, elements: readonly string[]) => {
        const set = this.#setOf(one, family, length);
        one.sizes.set(set, (one.sizes.get(set) ?? 0) + elements.length);
        return () => `add element ${table} ${set} { ${elements.join(",")} }`;
      };
      for (const network of spread(one.list.set, family, plan.lengths)) {
        const elements = sets.get(network.prefix) ?? [];
        sets.set(network.prefix, elements);
        elements.push(writeNetwork({ ...network, prefix: WIDTH[family] }));
        if (elements.length < PIECE) continue;
        yield command(network.prefix, elements);
        sets.delete(network.prefix);
      }
      for (const [length, elements] of sets) yield command(length, elements);
      if (plan.near === undefined) continue;
      let some: string[] = [];
      const first = nearSet(one, family);
      const add = (elements: readonly string[]) => {
        one.sizes.set(first, (one.sizes.get(first) ?? 0) + elements.length);
        return () => `add element ${table} ${first} { ${elements.join(",")} }`;
      };
      for (const network of nearOf(one.list.set, family, plan.near)) {
        some.push(writeNetwork({ ...network, prefix: WIDTH[family] }));
        if (some.length < PIECE) continue;
        yield add(some);
        some = [];
      }
      if (some.length > 0) yield add(some);
    }
  }

  /** One transaction that makes all rules anew, and takes away what is not needed for them. */
  #rules(
    placed: ReadonlyMap<string, Placed>,
    pass: readonly string[],
    seen: Seen,
  ): string[] {
    const table = tableOf(this.#name);
    const chains = this.#chains(placed, pass);
    const names = [...chains.keys()];
    const leaving = seen.chains.filter((chain) => !chains.has(chain));
    const needed = new Set([
      ...[...placed.values()].flatMap((one) => this.#setsOf(one).map(([set]) => set)),
      ...this.#passSets(pass).map(([set]) => set),
      ...this.#gapSets().map(([set]) => set),
    ]);
    return [
      `add table ${table}`,
      ...names.map((chain) =>
        `add chain ${table} ${chain}${chain === "incoming" ? ` { ${HOOK} }` : ""}`
      ),
      ...[...placed.keys()].map((name) => `add counter ${table} ${counterOf(name)}`),
      ...[...new Set([...names, ...leaving])].flatMap((chain) => [
        `add chain ${table} ${chain}`,
        `flush chain ${table} ${chain}`,
      ]),
      ...this.#gapSets().map(([set, what]) => `add set ${table} ${set} { ${what} }`),
      ...this.#passSets(pass).flatMap(([set, family, elements]) => [
        `add set ${table} ${set} { type ${WORDS[family].type}; }`,
        `flush set ${table} ${set}`,
        ...(elements.length === 0 ? [] : [`add element ${table} ${set} { ${elements.join(",")} }`]),
      ]),
      ...[...chains].flatMap(([chain, rules]) =>
        rules.map((rule) => `add rule ${table} ${chain} ${rule}`)
      ),
      ...leaving.map((chain) => `delete chain ${table} ${chain}`),
      ...seen.sets.filter((set) => !needed.has(set)).map((set) => `delete set ${table} ${set}`),
      ...[...this.#placed.keys(), ...seen.others].filter((name) => !placed.has(name))
        .flatMap((name) => [
          `add counter ${table} ${counterOf(name)}`,
          `delete counter ${table} ${counterOf(name)}`,
        ]),
    ];
  }

  /**
   * The rules of each chain; those of a chain stand behind those of the chains that it leads to.
   */
  #chains(
    placed: ReadonlyMap<string, Placed>,
    pass: readonly string[],
  ): Map<string, readonly string[]> {
    const chains = new Map<string, readonly string[]>();
    const passSets = this.#passSets(pass);
    for (const family of FAMILIES) {
      const { source, icmp } = WORDS[family];
      const at = (length: number) =>
        length === WIDTH[family] ? source : `${source} & ${maskText(family, length)}`;
      const passes = passSets.filter(([, of]) => of === family)
        .map(([set, , , length]) => `${at(length)} @${set} accept`);
      const looks: string[] = [];
      for (const one of placed.values()) {
        const { name, ports } = one.list;
        const chain = `${idOf(name)}_${family}`;
        const scope = ports === undefined
          ? ""
          : `meta l4proto { tcp, udp } th dport { ${ports.join(", ")} } `;
        const { lengths, near } = one.plans[family];
        const look = (length: number) =>
          `${at(length)} @${this.#setOf(one, family, length)} goto ${chain}`;
        const isBehind = (length: number) => near !== undefined && length >= near.least;
        looks.push(
          ...lengths.filter((length) => !isBehind(length)).map((length) => scope + look(length)),
        );
        if (near !== undefined) {
          const first = `${at(near.prefix)} @${nearSet(one, family)}`;
          looks.push(`${scope}${first} jump ${chain}_near`);
          chains.set(`${chain}_near`, lengths.filter(isBehind).map(look));
        }
        const end = this.action === "drop" ? "drop" : `reject with ${icmp} type port-unreachable`;
        chains.set(chain, [
          ...passes,
          ...(this.#gap === undefined ? [] : gapRules(this.#gap, family)),
          `counter name "${counterOf(name)}" ${end}`,
        ]);
      }
      chains.set(`from${family}`, looks);
    }
    chains.set("incoming", [
      `iif "lo" accept comment "${LISTS_NOTE}"`,
      "meta nfproto ipv4 goto from4",
      "meta nfproto ipv6 goto from6",
    ]);
    return chains;
  }

  /** Who must pass: one set of hosts for each family, and one for each length of networks. */
  #passSets(
    pass: readonly string[],
  ): [set: string, family: Family, elements: readonly string[], length: number][] {
    const sets = new Map<string, [string, Family, string[], number]>();
    for (const family of FAMILIES) {
      sets.set(`pass${family}`, [`pass${family}`, family, [], WIDTH[family]]);
    }
    for (const target of pass) {
      const family = familyOf(target);
      const [address = "", prefix] = target.split("/");
      const set = prefix === undefined ? `pass${family}` : `pass${family}_${prefix}`;
      const length = prefix === undefined ? WIDTH[family] : Number(prefix);
      if (!sets.has(set)) sets.set(set, [set, family, [], length]);
      sets.get(set)![2].push(address);
    }
    return [...sets.values()];
  }

  #setsOf(one: Placed): [set: string, family: Family][] {
    return FAMILIES.flatMap((family) => [
      ...one.plans[family].lengths.map((length): [string, Family] => [
        this.#setOf(one, family, length),
        family,
      ]),
      ...(one.plans[family].near === undefined
        ? []
        : [[nearSet(one, family), family] as [string, Family]]),
    ]);
  }

  #gapSets(): [set: string, definition: string][] {
    return this.#gap === undefined ? [] : FAMILIES.flatMap(gapSets);
  }

  #setOf({ list, generation }: Placed, family: Family, length: number): string {
    return `${idOf(list.name)}_${family}${generation}_${length}`;
  }

  #readCounts(text: string): Map<string, ListCount> {
    const counts = new Map<string, ListCount>();
    const start = text.indexOf(`table ${tableOf(this.#name)} {\n`);
    if (start < 0) return counts;
    const end = text.indexOf("\n}", start);
    const own = text.slice(start, end < 0 ? undefined : end);
    const counters = /\tcounter c_f_(\S+) \{\s+packets (\d+) bytes (\d+)/g;
    for (const [, id, packets, bytes] of own.matchAll(counters)) {
      counts.set(id!.replaceAll("_", "-"), { packets: Number(packets), bytes: Number(bytes) });
    }
    return counts;
  }

  #nft(commands: readonly string[]): Promise<CommandResult> {
    return this.#run("nft", ["-f", "-"], {
      stdin: [`${commands.join("\n")}\n`],
      timeoutMs: TIMEOUT_MS,
      signal: this.#ending.signal,
    });
  }

  #failure(result: CommandResult): Failure {
    return nftFailure(result, 4, this.#name);
  }
}

/** A list's name as nft takes it: `-` cannot be in a name, and no name has `_`. */
function idOf(name: string): string {
  return `f_${name.replaceAll("-", "_")}`;
}

/** Chooses where a list is put: beside what there is of it. */
function place(list: KernelList, sets: readonly string[]): Placed {
  return {
    list,
    generation: hasGeneration(sets, list.name, "a") ? "b" : "a",
    plans: { 4: planOf(list.set, 4), 6: planOf(list.set, 6) },
    sizes: new Map(),
  };
}

function nearSet({ list, generation }: Placed, family: Family): string {
  return `${idOf(list.name)}_${family}${generation}_near`;
}

/** Whether a list has sets of a generation. */
function hasGeneration(sets: readonly string[], name: string, generation: string): boolean {
  const id = idOf(name);
  return FAMILIES.some((family) =>
    sets.some((set) => set.startsWith(`${id}_${family}${generation}_`))
  );
}

/** How many elements are listed, one comma less. */
function countOf(elements: string): number {
  let count = 1;
  for (let at = elements.indexOf(","); at >= 0; at = elements.indexOf(",", at + 1)) count++;
  return count;
}

function counterOf(name: string): string {
  return `c_${idOf(name)}`;
}

/** Whether a rule, as some version of nft prints it, does the same. */
function isAlike(listed: string, rule: string): boolean {
  return signOf(listed) === signOf(rule);
}

function signOf(rule: string): string {
  const [, set] = /@(\S+)/.exec(rule) ?? [];
  const [, mask] = /saddr & (\S+)/.exec(rule) ?? [];
  const [verb] = /\b(?:accept|reject|goto \S+|jump \S+|drop)\b/.exec(rule) ?? [];
  const [meta] = /^(?:iif\S* \S+|meta nfproto \S+(?= goto))/.exec(rule) ?? [];
  return [meta, mask, set, verb, /dport/.test(rule)].join(" ");
}
