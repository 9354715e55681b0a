/**
 * Accounts that many strangers fail on.
 *
 * @module
 */

import type { RuleBook } from "./rules.ts";

/** Who failed on each account last. */
export class Guard {
  readonly #byAccount = new Map<string, Map<string, number>>();
  readonly #rules: RuleBook;

  /** @param rules The rules. */
  constructor(rules: RuleBook) {
    this.#rules = rules;
  }

  /** Somebody strange fails; whether the account is guarded. */
  fail(account: string, who: string, now: number): boolean {
    const { guardHosts, guardWindow, credit } = this.#rules.values;
    if (guardHosts === 0 || credit === 0 || account.endsWith(" ")) return false;
    const hosts = this.#byAccount.get(account) ?? new Map<string, number>();
    this.#byAccount.set(account, hosts);
    hosts.delete(who);
    hosts.set(who, now);
    // The last ones are enough to know.
    for (const host of [...hosts.keys()].slice(0, -guardHosts)) hosts.delete(host);
    return [...hosts.values()].filter((at) => now - at <= guardWindow).length === guardHosts;
  }

  /** Somebody logs in: they are not strange. */
  forgive(account: string, who: string): void {
    if (this.#byAccount.get(account)?.delete(who)) {
      this.#rules.visit("guard: who logs in is no stranger");
    }
  }
}
