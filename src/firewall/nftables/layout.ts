/**
 * How the table of nftables is laid out: which set holds a target, and the text that makes the sets
 * and the rules.
 *
 * Measured with nft 1.0.6, and the reason for this layout: with one set of intervals anywhere in
 * the ruleset each `add element` reads all of them, 0.2 s for 50,000. Sets without intervals take
 * one in the same time however many they hold. So networks are in one such set for each length of a
 * prefix, and a packet's source is looked up in each with a mask.
 *
 * @module
 */

import {
  expectNetwork,
  type Family,
  maskOfWord,
  WIDTH,
  writeNetwork,
} from "../../address/address.ts";
import type { Action } from "../../config/config.ts";
import { type Gap, gapRules, gapSets } from "./gap.ts";
import { maskText, WORDS } from "./words.ts";

/**
 * The length at which one look tells whether a blocked network may be near: an innocent host then
 * costs this look, and not one for each length that is in use (0.08 µs each).
 */
const NEAR_PREFIX: Readonly<Record<Family, number>> = { 4: 16, 6: 32 };

/**
 * A network that is wider than {@linkcode NEAR_PREFIX} by at most so many bits is noted with all
 * that it holds of that length (256 at most); a still wider one is looked for with its own mask.
 */
const NEAR_BITS_MAX = 8;

/**
 * Where the chain stands: before connection tracking, so that a refused packet takes no entry
 * there, and before it is known whether a packet is for this machine or goes through it.
 */
const HOOK = "type filter hook prerouting priority -310; policy accept;";

/** What the first rule says to whoever lists all rules of the machine. */
const NOTE = "made by Ampere; rules that it did not make it takes out of here";

/** The set of the marks by which a change is known to be in the kernel. */
export const MARKS = "marks";

/**
 * The set that is emptied when Ampere was killed. The monitor writes a line for each element, to
 * nobody then: more than a pipe takes (64 KiB), so that it surely ends of that.
 */
export const FAREWELL = "farewell";

/** What is behind the name of {@linkcode FAREWELL} in that of a set which is always empty. */
export const NO_FAREWELL = "_none";

/** How many elements {@linkcode FAREWELL} has; a line for each has at least 100 characters. */
const FAREWELL_ELEMENTS = 1_024;

/** How long a mark stays in the kernel, in seconds. */
const MARK_SECONDS = 2;

/**
 * What is done with the hosts of a set: they are refused, they pass whatever else is blocked, or
 * they are refused but for what passes by the gap.
 */
export type Purpose = "refuse" | "pass" | "soft";

/** How the sets of networks of each purpose are called. */
const NETWORKS: Readonly<Record<Purpose, string>> = {
  refuse: "networks",
  pass: "pass",
  soft: "soft",
};

const PURPOSES: readonly Purpose[] = ["refuse", "pass", "soft"];

/** Two generations of sets: one is filled while the other is in force. */
export type Generation = "" | "b";

/** Where a target is. */
interface Spot {
  /** The set. */
  readonly set: string;
  /** The element: the first address. */
  readonly key: string;
}

/**
 * Writes the name of a table.
 *
 * @param name The name from the configuration.
 */
export function tableOf(name: string): string {
  return `inet ${name}`;
}

/**
 * The name of the table with the lists, which stands beside that with the blocks.
 *
 * @param table The name of that with the blocks.
 */
export function listTableOf(table: string): string {
  return `${table}_lists`;
}

/**
 * Writes the command that adds a mark.
 *
 * @param name The table's name.
 * @param mark A whole number below 2^32.
 */
export function markCommand(name: string, mark: number): string {
  return `add element ${tableOf(name)} ${MARKS} { ${mark} timeout ${MARK_SECONDS}s }`;
}

/**
 * Writes the beginning of each line for `nft -i`, which waits there without its end. When Ampere is
 * killed, `nft -i` sees the end of its input, does what there is of the line, and ends; the monitor
 * tells of that to nobody, and ends of it. A change goes on with {@linkcode NO_FAREWELL}, so that
 * another set is meant, which is empty.
 *
 * @param name The table's name.
 */
export function farewellCommand(name: string): string {
  return `flush set ${tableOf(name)} ${FAREWELL}`;
}

/**
 * Writes a change that changes nothing: it adds what is there. But `nft -i` reads for it which
 * tables, chains and sets there are (and all intervals of others), and does so no second time as
 * long as nothing is changed: the next change takes half of the time.
 *
 * @param name The table's name.
 */
export function readAheadCommand(name: string): string {
  return `add element ${tableOf(name)} ${FAREWELL} { 0 }`;
}

/** The sets and the rules of one family in the table. */
export class Layout {
  /** Which addresses. */
  readonly family: Family;
  /** Which of the two generations of sets it is. */
  readonly generation: Generation;
  /** What becomes of the packets of blocked hosts. */
  readonly action: Action;
  readonly #name: string;
  /** The lengths of networks for which there are sets and rules. */
  readonly #lengths: Readonly<Record<Purpose, Set<number>>> = {
    refuse: new Set(),
    pass: new Set(),
    soft: new Set(),
  };
  /** Whether there is a set and a rule for single hosts that are soft. */
  #hasSoftHosts = false;
  /** What passes of hosts that are soft, or in networks that are. */
  readonly gap: Gap | undefined;

  /**
   * Makes a layout without networks.
   *
   * @param name The table's name.
   * @param family Which addresses.
   * @param generation Which of the two generations of sets.
   * @param action What becomes of the packets of blocked hosts.
   * @param gap What passes of those that are soft; `undefined`: nothing.
   */
  constructor(
    name: string,
    family: Family,
    generation: Generation = "",
    action: Action = "reject",
    gap?: Gap,
  ) {
    this.#name = name;
    this.family = family;
    this.generation = generation;
    this.action = action;
    this.gap = gap;
  }

  /**
   * A layout with the same sets of networks.
   *
   * @param action What becomes of the packets of blocked hosts.
   */
  copy(action: Action = this.action): Layout {
    return this.#copy(action, this.gap);
  }

  /**
   * The same with another gap.
   *
   * @param gap What passes of those that are soft; `undefined`: nothing.
   */
  withGap(gap: Gap | undefined): Layout {
    return this.#copy(this.action, gap);
  }

  #copy(action: Action, gap: Gap | undefined): Layout {
    const copy = new Layout(this.#name, this.family, this.generation, action, gap);
    for (const purpose of PURPOSES) {
      for (const length of this.#lengths[purpose]) copy.#lengths[purpose].add(length);
    }
    copy.#hasSoftHosts = this.#hasSoftHosts;
    return copy;
  }

  /**
   * Notes that there is to be a set for a target.
   *
   * @param target A canonical target.
   * @param purpose What the set is for.
   * @returns Whether there was none.
   */
  make(target: string, purpose: Purpose): boolean {
    const length = lengthOf(target);
    if (this.has(target, purpose)) return false;
    // The other sets of single hosts are always there.
    if (length === undefined) this.#hasSoftHosts = true;
    else this.#lengths[purpose].add(length);
    return true;
  }

  /**
   * Whether there is a set for a target.
   *
   * @param target A canonical target.
   * @param purpose What the set is for.
   */
  has(target: string, purpose: Purpose): boolean {
    const length = lengthOf(target);
    if (length === undefined) return purpose !== "soft" || this.#hasSoftHosts;
    return this.#lengths[purpose].has(length);
  }

  /**
   * Tells where a target is.
   *
   * @param target A canonical target.
   * @param purpose What the set is for.
   */
  spotOf(target: string, purpose: Purpose): Spot {
    const slash = target.indexOf("/");
    if (slash < 0) return { set: this.hosts(purpose), key: target };
    const set = this.#networks(purpose, Number(target.slice(slash + 1)));
    return { set, key: target.slice(0, slash) };
  }

  /**
   * Tells what an element of a set stands for.
   *
   * @param set The name of a set.
   * @returns Its purpose, and what is behind the address in a target; `undefined` if the set is
   *   none of this layout.
   */
  readSet(set: string): { readonly purpose: Purpose; readonly suffix: string } | undefined {
    for (const purpose of PURPOSES) {
      if (set === this.hosts(purpose)) return { purpose, suffix: "" };
      const [, length] = /^[a-z]+[46]b?_(\d+)$/.exec(set) ?? [];
      if (length !== undefined && set === this.#networks(purpose, Number(length))) {
        return { purpose, suffix: `/${length}` };
      }
    }
    return undefined;
  }

  /**
   * The set of single hosts.
   *
   * @param purpose What the set is for.
   */
  hosts(purpose: Purpose): string {
    return `${purpose === "refuse" ? "hosts" : NETWORKS[purpose]}${this.family}${this.generation}`;
  }

  /**
   * Whether a set is one of the family, of whichever generation.
   *
   * @param set The name of a set.
   */
  isOfFamily(set: string): boolean {
    return /^(?:hosts|networks|pass|soft|gap|near)([46])/.exec(set)?.[1] === String(this.family);
  }

  /** The set of what is near a blocked network. */
  get near(): string {
    return `near${this.family}${this.generation}`;
  }

  /**
   * The elements of {@linkcode Layout.near} that a blocked network needs.
   *
   * @param target A canonical target.
   * @returns None for a host, and for a network that has a rule of its own.
   */
  nearOf(target: string): string[] {
    const length = lengthOf(target);
    if (length === undefined || this.#isWide(length)) return [];
    const { family, words } = expectNetwork(target);
    const near = NEAR_PREFIX[family];
    const first = words.map((word, i) => (word & maskOfWord(near, i)) >>> 0);
    const count = length < near ? 2 ** (near - length) : 1;
    // The bits between the two lengths are in the first word.
    return Array.from({ length: count }, (_, i) => {
      const word = (first[0]! + i * 2 ** (32 - near)) >>> 0;
      return writeNetwork({ family, words: [word, ...first.slice(1)], prefix: WIDTH[family] });
    });
  }

  /** The commands that make what is not there yet of the table and its sets. */
  setCommands(): string[] {
    const table = tableOf(this.#name);
    return [
      `add table ${table}`,
      `add set ${table} ${MARKS} { type mark; flags timeout; }`,
      `add set ${table} ${FAREWELL} { type mark; }`,
      `add set ${table} ${FAREWELL}${NO_FAREWELL} { type mark; }`,
      `add element ${table} ${FAREWELL} { ${[...Array(FAREWELL_ELEMENTS).keys()].join(",")} }`,
      ...this.#sets().map(([set, flags]) => this.#setCommand(set, flags)),
      ...this.#gapSets().map(([set, flags]) => `add set ${table} ${set} { ${flags} }`),
    ];
  }

  /** Those of the gap are of no generation: what they count goes on. */
  #gapSets(): [set: string, definition: string][] {
    const isAnySoft = this.#lengths.soft.size > 0 || this.#hasSoftHosts;
    return this.gap === undefined || !isAnySoft ? [] : gapSets(this.family);
  }

  /** The commands that make what is not there yet of the sets, and all rules anew. */
  commands(): string[] {
    const table = tableOf(this.#name);
    const { from, networks } = this.chains;
    const other = new Layout(this.#name, this.family === 4 ? 6 : 4).chains;
    return [
      ...this.setCommands(),
      ...[from, networks, other.from].map((chain) => `add chain ${table} ${chain}`),
      `add chain ${table} incoming { ${HOOK} }`,
      ...["incoming", from, networks].map((chain) => `flush chain ${table} ${chain}`),
      ...Object.entries(this.rules()).flatMap(([chain, rules]) =>
        rules.map((rule) => `add rule ${table} ${chain} ${rule}`)
      ),
    ];
  }

  /** The names of the family's chains. */
  get chains(): { readonly from: string; readonly networks: string } {
    return { from: `from${this.family}`, networks: `networks${this.family}` };
  }

  /** The names of all sets. */
  get setNames(): string[] {
    return [...this.#sets(), ...this.#gapSets()].map(([set]) => set);
  }

  /** The commands that empty all sets. */
  flushCommands(): string[] {
    return this.#sets().map(([set]) => `flush set ${tableOf(this.#name)} ${set}`);
  }

  /**
   * The command that empties the set of a target: one that was in use before may be full.
   *
   * @param target A canonical target.
   * @param purpose What the set is for.
   */
  emptyCommands(target: string, purpose: Purpose): string[] {
    return [`flush set ${tableOf(this.#name)} ${this.spotOf(target, purpose).set}`];
  }

  /** The commands that take the sets out of the table, whether they are there or not. */
  deleteCommands(): string[] {
    const table = tableOf(this.#name);
    return this.#sets().flatMap(([set, flags]) => [
      this.#setCommand(set, flags),
      `delete set ${table} ${set}`,
    ]);
  }

  /** The rules of each chain, as they are to be. */
  rules(): Readonly<Record<string, readonly string[]>> {
    const { source, icmp } = WORDS[this.family];
    const { from, networks } = this.chains;
    const refuse = this.action === "drop"
      ? "counter drop"
      : `counter reject with ${icmp} type port-unreachable`;
    const { refuse: refused, pass, soft } = this.#lengths;
    const gaps = this.gap === undefined ? [] : gapRules(this.gap, this.family);
    const wide = sorted(refused).filter((length) => this.#isWide(length));
    const mayBeNear = [...refused].some((length) => !this.#isWide(length));
    const inNetwork = (length: number) => `${source} & ${maskText(this.family, length)}`;
    return {
      incoming: [
        `iif "lo" accept comment "${NOTE}"`,
        "meta nfproto ipv4 goto from4",
        "meta nfproto ipv6 goto from6",
      ],
      [from]: [
        ...(this.#hasSoftHosts ? gaps.map((gap) => `${source} @${this.hosts("soft")} ${gap}`) : []),
        `${source} @${this.hosts("refuse")} ${refuse}`,
        ...wide.map((length) =>
          `${inNetwork(length)} @${this.#networks("refuse", length)} goto ${networks}`
        ),
        ...(mayBeNear
          ? [`${inNetwork(NEAR_PREFIX[this.family])} @${this.near} goto ${networks}`]
          : []),
      ],
      [networks]: [
        `${source} @${this.hosts("pass")} accept`,
        ...sorted(pass).map((length) =>
          `${inNetwork(length)} @${this.#networks("pass", length)} accept`
        ),
        ...sorted(soft).flatMap((length) =>
          gaps.map((gap) => `${inNetwork(length)} @${this.#networks("soft", length)} ${gap}`)
        ),
        ...sorted(refused).map((length) =>
          `${inNetwork(length)} @${this.#networks("refuse", length)} ${refuse}`
        ),
      ],
    };
  }

  /** All sets, and what they are besides their type. */
  #sets(): [name: string, flags: string][] {
    const timed = "flags timeout; ";
    const { refuse, pass, soft } = this.#lengths;
    return [
      [this.hosts("refuse"), timed],
      [this.hosts("pass"), ""],
      [this.near, ""],
      ...(this.#hasSoftHosts ? [[this.hosts("soft"), ""] satisfies [string, string]] : []),
      ...sorted(refuse).map((length): [string, string] => [
        this.#networks("refuse", length),
        timed,
      ]),
      ...sorted(pass).map((length): [string, string] => [this.#networks("pass", length), ""]),
      ...sorted(soft).map((length): [string, string] => [this.#networks("soft", length), ""]),
    ];
  }

  #setCommand(set: string, flags: string): string {
    return `add set ${tableOf(this.#name)} ${set} { type ${WORDS[this.family].type}; ${flags}}`;
  }

  #isWide(length: number): boolean {
    return length < NEAR_PREFIX[this.family] - NEAR_BITS_MAX;
  }

  #networks(purpose: Purpose, length: number): string {
    return `${NETWORKS[purpose]}${this.family}${this.generation}_${length}`;
  }
}

/** The length of a network's prefix; `undefined` for a host. */
function lengthOf(target: string): number | undefined {
  const slash = target.indexOf("/");
  return slash < 0 ? undefined : Number(target.slice(slash + 1));
}

/** Narrow networks first: they are the most. */
function sorted(lengths: Iterable<number>): number[] {
  return [...lengths].sort((a, b) => b - a);
}
