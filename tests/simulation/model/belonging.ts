/**
 * Who belongs here: who is trusted, who has logged in, and who shares a network with them.
 *
 * @module
 */

import type { RuleBook } from "./rules.ts";

const THIS_MACHINE = "192.0.2.1";

/** Knows who has logged in. */
export class Belonging {
  /** Last login. */
  standing = new Map<string, number>();
  /** Last login that was not over UDP, or of which that is not known. */
  connected = new Map<string, number>();
  readonly #rules: RuleBook;

  /** @param rules The rules. */
  constructor(rules: RuleBook) {
    this.#rules = rules;
  }

  /** Whether nothing that it does costs points. */
  isTrusted(address: string): boolean {
    return address.startsWith("127.") || this.#rules.values.trust.includes(address);
  }

  /** Whether it has logged in, and that is not too long ago. */
  isStanding(address: string, now: number): boolean {
    const at = this.standing.get(address);
    return at !== undefined && this.#rules.values.credit > 0 &&
      now - at <= this.#rules.values.credit;
  }

  /** Whether somebody of its network has ever logged in. */
  hasStandingNeighbour(address: string): boolean {
    const network = this.networkOf(address);
    return network !== undefined && this.#logins(network) > 0;
  }

  /** Whether a network is not only the guesser's. */
  isShared(network: string): boolean {
    return this.#logins(network) > 0 ||
      this.#rules.values.trust.some((address) => this.networkOf(address) === network);
  }

  /** Whether a network that hosts were blocked in is not only theirs. */
  isSomebodysToo(network: string): boolean {
    const prefix = network.startsWith("fe80") ? "fe80:" : network.replace(/(?:0|:)\/\d+$/, "");
    const { credit, trust } = this.#rules.values;
    const isInside = (address: string) =>
      network.includes(":")
        ? `${address.replace("::", ":")}:`.startsWith(prefix)
        : address.startsWith(prefix);
    return [...(credit > 0 ? this.standing.keys() : []), ...trust, THIS_MACHINE].some(isInside);
  }

  #logins(network: string): number {
    return [...this.standing.keys()].filter((other) => this.networkOf(other) === network).length;
  }

  /** The network of an address; `undefined` when it is judged alone. */
  networkOf(address: string): string | undefined {
    const network = this.network(address);
    return network === address ? undefined : network;
  }

  /**
   * The network of an address, or the address when it is judged alone. The traffic's IPv6
   * addresses have the form `2001:db8:A:B::C`.
   */
  network(address: string): string {
    if (this.#rules.values.ipv6Prefix === 128 || !address.includes("::")) return address;
    return `${address.slice(0, address.indexOf("::"))}::/64`;
  }
}
