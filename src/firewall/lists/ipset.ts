/**
 * Lists in sets of ipset: one for each list and family, one for those who must pass, and for each
 * list a rule behind Ampere's own in its chain.
 *
 * @module
 */

import { type Family, familyOf, writeNetwork } from "../../address/address.ts";
import type { Action } from "../../config/config.ts";
import { type CommandResult, type Input, IPTABLES, run, type Runner } from "../command.ts";
import { type Failure, failureOf, placeOf } from "../failure.ts";
import { refusalOf } from "../chain.ts";
import type { IpsetBackend } from "../ipset.ts";
import type { KernelList, ListBackend, ListCount, ListLook } from "./backend.ts";
import { lengthsFor, spread } from "./spread.ts";

/** So many lines are written at a time. */
const LINES_PER_PIECE = 2_000;

/** How long a command may take, in milliseconds, and what each entry adds. */
const TIMEOUT_MS = 15_000;
const TIMEOUT_PER_ENTRY_MS = 0.1;

/**
 * Each line of `ipset restore` takes its time: so many times as many are no reason for more looks.
 */
const GROWTH = 1.25;

/** Size of the hash table of a set. */
const HASH_SIZE_MIN = 1_024;
const HASH_SIZE_MAX = 524_288;

const FAMILIES: readonly Family[] = [4, 6];
const WORD: Readonly<Record<Family, string>> = { 4: "inet", 6: "inet6" };

/** What the lists of ipset are made of. */
interface IpsetListOptions {
  /** Ampere's chain. */
  readonly chain: string;
  /** Who makes the rules of the chain, one for each family. */
  readonly backends: readonly IpsetBackend[];
  /** Runs the commands. @default {run} */
  readonly run?: Runner;
}

/** Lists in sets `CHAIN4l0`, `CHAIN6l0`…; those who must pass are in `CHAIN4lp`. */
export class IpsetLists implements ListBackend {
  action: Action;
  readonly #chain: string;
  readonly #backends: readonly IpsetBackend[];
  readonly #run: Runner;
  readonly #ending = new AbortController();
  /** Which set each list has. */
  readonly #slots = new Map<string, string>();
  #placed = new Map<string, KernelList>();
  /** How many entries each set has. */
  readonly #sizes = new Map<string, number>();

  /** @param options See {@linkcode IpsetListOptions}. */
  constructor(options: IpsetListOptions) {
    this.#chain = options.chain;
    this.#backends = options.backends;
    this.#run = options.run ?? run;
    this.action = options.backends[0]?.action ?? "reject";
  }

  /** Puts lists in force, and no others; see {@linkcode ListBackend.replace}. */
  async replace(
    lists: readonly KernelList[],
    pass: readonly string[],
  ): Promise<Failure | undefined> {
    const names = new Set(lists.map(({ name }) => name));
    for (const name of this.#slots.keys()) if (!names.has(name)) this.#slots.delete(name);
    for (const { name } of lists) {
      if (!this.#slots.has(name)) this.#slots.set(name, this.#freeSlot());
    }
    const there = await this.#setsThere();
    if (!(there instanceof Set)) return there;
    for (const list of lists) {
      const isThere = FAMILIES.every((family) => there.has(this.#setOf(family, list.name)));
      if (isThere && this.#placed.get(list.name)?.set === list.set) continue;
      for (const family of FAMILIES) {
        const filled = await this.#fill(family, this.#slots.get(list.name)!, list);
        if (filled !== undefined) return filled;
      }
    }
    const passing = lists.length === 0 ? undefined : await this.setPass(pass);
    if (passing !== undefined) return passing;
    for (const backend of this.#backends) {
      const failure = await backend.setTail(this.#rules(backend.family, lists));
      if (failure !== undefined) return failure;
    }
    this.#placed = new Map(lists.map((list) => [list.name, list]));
    await this.#destroyOthers(there);
    return undefined;
  }

  /** Changes who must pass; see {@linkcode ListBackend.setPass}. */
  async setPass(pass: readonly string[]): Promise<Failure | undefined> {
    for (const family of FAMILIES) {
      const lines = pass.filter((target) => familyOf(target) === family);
      const failure = await this.#fillWith(family, "p", lines.length, lines);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** Looks what is there; see {@linkcode ListBackend.look}. */
  async look(): Promise<ListLook> {
    const there = await this.#setsThere();
    if (!(there instanceof Set)) return { ok: false, failure: there };
    const lists = [...this.#placed.values()];
    let whole = lists.every(({ name }) =>
      FAMILIES.every((family) => there.has(this.#setOf(family, name)))
    );
    const others = await this.#setsOfOtherSize();
    if (!(others instanceof Set)) return { ok: false, failure: others };
    if (others.size > 0) whole = false;
    for (const { name } of lists) {
      // It is filled anew.
      if (FAMILIES.some((family) => others.has(this.#setOf(family, name)))) {
        this.#placed.delete(name);
      }
    }
    const counts = new Map<string, { packets: number; bytes: number }>();
    for (const backend of this.#backends) {
      const { family } = backend;
      const listed = await this.#command(IPTABLES[family], ["-w", "4", "-v", "-S", this.#chain], {
        output: true,
      });
      if (!listed.ok) return { ok: false, failure: this.#failure(listed, family) };
      const rules = new TextDecoder().decode(listed.stdout).split("\n");
      for (const list of lists) {
        if (list.set.sizeOf(family) === 0) continue;
        const own = rules.filter((rule) =>
          rule.includes(`--match-set ${this.#setOf(family, list.name)} src `)
        );
        if (own.length !== (list.ports === undefined ? 1 : 2)) whole = false;
        const sum: { packets: number; bytes: number } = counts.get(list.name) ??
          { packets: 0, bytes: 0 };
        for (const rule of own) {
          const [, packets, bytes] = / -c (\d+) (\d+)/.exec(rule) ?? [];
          sum.packets += Number(packets ?? 0);
          sum.bytes += Number(bytes ?? 0);
        }
        counts.set(list.name, sum);
      }
    }
    return { ok: true, whole, counts: counts satisfies Map<string, ListCount> };
  }

  /** Ends the use; see {@linkcode ListBackend.close}. */
  close(): void {
    this.#ending.abort();
  }

  /**
   * The rules of the lists in a family; who is on none is looked for in each set, and no further.
   */
  #rules(family: Family, lists: readonly KernelList[]): string[][] {
    return lists.flatMap((list) => {
      if (list.set.sizeOf(family) === 0) return [];
      const rule = [
        "-m",
        "set",
        "--match-set",
        this.#setOf(family, list.name),
        "src",
        "-m",
        "set",
        "!",
        "--match-set",
        this.#nameOf(family, "lp"),
        "src",
        ...refusalOf(family, this.action),
      ];
      if (list.ports === undefined) return [rule];
      const ports = ["-m", "multiport", "--dports", list.ports.join(",")];
      return ["udp", "tcp"].map((protocol) => ["-p", protocol, ...ports, ...rule]);
    });
  }

  #fill(family: Family, slot: string, { set }: KernelList): Promise<Failure | undefined> {
    const lengths = lengthsFor(set, family, GROWTH);
    // Each becomes two at most, and most none: the kernel needs to know a bound.
    const bound = 2 * set.sizeOf(family) + 65_536;
    const targets = spread(set, family, lengths);
    return this.#fillWith(family, slot, bound, targets, set.sizeOf(family));
  }

  /** Fills a new set and puts it in the place of the old one, without a moment in between. */
  async #fillWith(
    family: Family,
    slot: string,
    bound: number,
    targets: Iterable<string | Parameters<typeof writeNetwork>[0]>,
    expected = bound,
  ): Promise<Failure | undefined> {
    const set = this.#nameOf(family, `l${slot}`);
    const fresh = this.#nameOf(family, `t${slot}`);
    let hashSize = HASH_SIZE_MIN;
    while (hashSize < expected && hashSize < HASH_SIZE_MAX) hashSize *= 2;
    const create = (name: string) =>
      `create ${name} hash:net family ${WORD[family]} hashsize ${hashSize} maxelem ${
        Math.max(bound, 65_536)
      }\n`;
    let count = 0;
    const lines = function* (): Generator<string, void> {
      yield `destroy ${fresh}\n${create(fresh)}`;
      let some = "";
      for (const target of targets) {
        some += `add ${fresh} ${typeof target === "string" ? target : writeNetwork(target)}\n`;
        if (++count % LINES_PER_PIECE !== 0) continue;
        yield some;
        some = "";
      }
      yield `${some}${create(set)}swap ${fresh} ${set}\ndestroy ${fresh}\n`;
    };
    let filled = await this.#restore(lines(), expected);
    if (!filled.ok && /already exists/.test(filled.stderr)) {
      // A set that has other options can't be created, but it can be swapped.
      filled = await this.#restore([`swap ${fresh} ${set}\ndestroy ${fresh}\n`], 0);
    }
    if (!filled.ok) return this.#failure(filled, family, "ipset");
    this.#sizes.set(set, count);
    return undefined;
  }

  /** Sets out of which others have taken something, or into which they have put something. */
  async #setsOfOtherSize(): Promise<Set<string> | Failure> {
    const listed = await this.#command("ipset", ["list", "-t"], { output: true });
    if (!listed.ok) return this.#failure(listed, 4, "ipset");
    const text = new TextDecoder().decode(listed.stdout);
    const sizes = text.matchAll(/^Name: (\S+)\n(?:(?!Name: ).*\n)*?Number of entries: (\d+)$/gm);
    return new Set(
      [...sizes].filter(([, set, size]) => (this.#sizes.get(set!) ?? Number(size)) !== Number(size))
        .map(([, set]) => set!),
    );
  }

  async #setsThere(): Promise<Set<string> | Failure> {
    const listed = await this.#command("ipset", ["list", "-n"], { output: true });
    if (!listed.ok) return this.#failure(listed, 4, "ipset");
    const own = new RegExp(`^${this.#chain.replaceAll(".", "\\.")}[46][lt][0-9a-fp]$`);
    const names = new TextDecoder().decode(listed.stdout).split("\n");
    return new Set(names.filter((name) => own.test(name)));
  }

  /** What no rule asks any more. */
  async #destroyOthers(there: ReadonlySet<string>): Promise<void> {
    const needed = new Set(
      this.#placed.size === 0 ? [] : FAMILIES.flatMap((family) => [
        this.#nameOf(family, "lp"),
        ...[...this.#placed.keys()].map((name) => this.#setOf(family, name)),
      ]),
    );
    for (const set of there) {
      if (!needed.has(set)) await this.#command("ipset", ["destroy", set]);
    }
  }

  #setOf(family: Family, name: string): string {
    return this.#nameOf(family, `l${this.#slots.get(name)}`);
  }

  /** As long as the longest name of a chain allows: IPSET_MAXNAMELEN is 32. */
  #nameOf(family: Family, rest: string): string {
    return `${this.#chain}${family}${rest}`;
  }

  #freeSlot(): string {
    const taken = new Set(this.#slots.values());
    return [..."0123456789abcdef"].find((slot) => !taken.has(slot))!;
  }

  #restore(input: Input, lines: number): Promise<CommandResult> {
    return this.#command("ipset", ["restore", "-exist"], {
      stdin: input,
      timeoutMs: TIMEOUT_MS + lines * TIMEOUT_PER_ENTRY_MS,
    });
  }

  #command(
    program: Parameters<Runner>[0],
    args: readonly string[],
    options: Parameters<Runner>[2] = {},
  ): Promise<CommandResult> {
    return this.#run(program, args, {
      timeoutMs: TIMEOUT_MS,
      ...options,
      signal: this.#ending.signal,
    });
  }

  #failure(
    result: CommandResult,
    family: Family,
    program: Parameters<Runner>[0] = IPTABLES[family],
  ): Failure {
    return failureOf(result, program, placeOf(this.#chain, family));
  }
}
