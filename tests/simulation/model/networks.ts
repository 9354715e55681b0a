/**
 * What the hosts of a network have done together.
 *
 * @module
 */

import type { Host } from "./hosts.ts";
import type { RuleBook } from "./rules.ts";

/** From so many hosts on their failures are those of their network. */
const STRANGERS = 3;
const STRANGERS_AMONG_OTHERS = 8;

/** Points of a network: of strangers, and of hosts in good standing. */
interface Network {
  strange: number;
  own: number;
  provenStrange: number;
  provenOwn: number;
  readonly hosts: Set<string>;
  blocks: number;
  at: number;
}

/** What is wrong with a network. */
interface Excess {
  readonly network: Network;
  readonly proven: boolean;
}

/** The networks that were guessed from. */
export class Networks {
  readonly #byName = new Map<string, Network>();
  readonly #rules: RuleBook;

  /** @param rules The rules. */
  constructor(rules: RuleBook) {
    this.#rules = rules;
  }

  /** Counts a failure. */
  fail(
    name: string,
    address: string,
    standing: boolean,
    cost: number,
    proven: number,
    now: number,
  ): void {
    let network = this.#byName.get(name);
    if (network === undefined || now - network.at > this.#rules.values.forget) {
      network = {
        strange: 0,
        own: 0,
        provenStrange: 0,
        provenOwn: 0,
        hosts: new Set(),
        blocks: 0,
        at: now,
      };
      this.#byName.set(name, network);
    }
    network.at = now;
    network[standing ? "own" : "strange"] += cost;
    network[standing ? "provenOwn" : "provenStrange"] += proven;
    if (!standing && network.hosts.size < STRANGERS_AMONG_OTHERS) network.hosts.add(address);
  }

  /**
   * Whether the hosts of a network have gone too far together.
   *
   * @param name The network.
   * @param shared Whether it is not only the guesser's.
   * @param standing Whether who failed last is in good standing.
   */
  judge(name: string, shared: boolean, standing: boolean): Excess | undefined {
    const network = this.#byName.get(name);
    if (network === undefined) return undefined;
    const limit = 5 * this.#rules.values.loyalty;
    const many = network.hosts.size >= (shared ? STRANGERS_AMONG_OTHERS : STRANGERS) &&
      network.strange >= limit;
    const strange = many && !(shared && standing);
    if (many && !strange) {
      this.#rules.visit("network: shared, strangers are not the guilt of who belongs");
    }
    if (!strange && network.own < 10 * limit) return undefined;
    if (!strange) this.#rules.visit("network: hosts in good standing go too far together");
    const proven = strange ? network.provenStrange >= limit : network.provenOwn >= 10 * limit;
    return { network, proven };
  }

  /** Its failures are told with a block. */
  drop(name: string): void {
    this.#byName.delete(name);
  }

  /** Points of a host are forgiven. */
  forgive(name: string, host: Host, points: number, rest: number): void {
    const network = this.#byName.get(name);
    if (network === undefined) return;
    this.#rules.visit("network: forgiven");
    const strange = Math.min(points, network.strange);
    const own = points - strange;
    network.strange -= strange;
    network.own = Math.max(0, network.own - own);
    network.provenStrange = Math.max(0, network.provenStrange - strange);
    network.provenOwn = Math.max(0, network.provenOwn - own);
    if (rest === 0) network.hosts.delete(host.address);
    if (network.strange === 0 && network.own === 0) this.#byName.delete(name);
  }
}
