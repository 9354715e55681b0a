/**
 * Networks that are blocked for their hosts.
 *
 * @module
 */

import type { Block } from "../../../src/blocks/block.ts";
import { countedForNeighbours } from "../../../src/penalties/neighbours.ts";
import type { Belonging } from "./belonging.ts";
import type { Blocks } from "./blocks.ts";
import type { RuleBook } from "./rules.ts";
import { DAY } from "./units.ts";

/** What is known of a block here. */
type Lasting = Pick<Block, "until">;

/** The blocked hosts of one process of the daemon, by their networks. */
export class Neighbours {
  readonly #at = new Map<string, Map<string, number>>();
  readonly #rules: RuleBook;
  readonly #belonging: Belonging;
  readonly #blocks: Blocks;
  /** What was blocked since the daemon wrote the list last. */
  #fresh: [target: string, wall: number][] = [];
  /** What an earlier process has blocked. */
  #kept: readonly [target: string, since: number][] = [];

  constructor(rules: RuleBook, belonging: Belonging, blocks: Blocks) {
    this.#rules = rules;
    this.#belonging = belonging;
    this.#blocks = blocks;
  }

  /** A process begins: it will count what an earlier one has blocked, if it still is. */
  begin(rows: readonly Block[]): void {
    this.#kept = rows.filter(countedForNeighbours).sort((a, b) => a.since - b.since)
      .map(({ target, since }) => [target, since]);
  }

  /**
   * The first target of a process is blocked.
   *
   * @param first It.
   * @param before Its block of until then.
   * @param wall Wall time, in milliseconds.
   */
  restore(first: string, before: Lasting | undefined, wall: number): void {
    const { neighbours, credit } = this.#rules.values;
    if (neighbours === 0 || credit === 0) return;
    const kept = this.#kept;
    this.#kept = [];
    for (const [target, since] of kept) {
      const block = target === first ? before : this.#blocks.get(target);
      if (!lasts(block, wall) || wall - since > DAY) continue;
      this.#rules.visit("neighbours: blocked by an earlier process");
      for (const [network, member] of around(target)) {
        const members = this.#at.get(network) ?? new Map<string, number>();
        this.#at.set(network, members.set(member, since));
      }
    }
  }

  /** A target is blocked for what nobody can have forged, and not for a short time. */
  blocked(target: string, wall: number): void {
    this.#fresh.push([target, wall]);
  }

  /** All offenders of a batch are blocked before the networks that this makes one too many for. */
  settle(): void {
    const fresh = this.#fresh;
    this.#fresh = [];
    for (const [target, wall] of fresh) this.#settle(target, wall);
  }

  #settle(target: string, wall: number): void {
    const { neighbours, credit } = this.#rules.values;
    if (neighbours === 0 || credit === 0) return;
    for (const [network, member] of around(target)) {
      const members = this.#at.get(network) ?? new Map<string, number>();
      this.#at.set(network, members);
      members.set(member, wall);
      const recent = [...members.values()].filter((at) => wall - at <= DAY).length;
      if (recent < neighbours) continue;
      if (
        this.#isBlocked(network, wall) || around(network).some(([n]) => this.#isBlocked(n, wall))
      ) {
        this.#rules.visit("neighbours: the network is blocked already");
      } else if (this.#belonging.isSomebodysToo(network)) {
        this.#rules.visit("neighbours: somebody belongs there");
      } else this.#blocks.decideNetwork(network, wall);
    }
  }

  /** Somebody released it by hand. */
  forget(target: string): void {
    this.#at.delete(target);
    for (const [network, member] of around(target)) this.#at.get(network)?.delete(member);
  }

  #isBlocked(network: string, wall: number): boolean {
    return lasts(this.#blocks.get(network), wall);
  }
}

function lasts(block: Lasting | undefined, wall: number): boolean {
  return block !== undefined && (block.until === undefined || block.until > wall);
}

/** The networks around a target, the largest first, and as what it counts there. */
function around(target: string): [network: string, member: string][] {
  if (!target.includes(":")) {
    if (target.includes("/")) return [];
    return [[`${target.slice(0, target.lastIndexOf("."))}.0/24`, target]];
  }
  // Addresses are `2001:db8:A:B::C`, or link-local.
  const [a, b, c] = target.split(/::|:|\//);
  const site = target.startsWith("fe80")
    ? "fe80::/48"
    : c === "0"
    ? `${a}:${b}::/48`
    : `${a}:${b}:${c}::/48`;
  if (target.endsWith("/48")) return [];
  if (target.endsWith("/64")) return [[site, target]];
  const network = target.startsWith("fe80")
    ? "fe80::/64"
    : `${target.slice(0, target.indexOf("::"))}::/64`;
  return [[site, network], [network, target]];
}
