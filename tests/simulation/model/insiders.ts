/**
 * Who belongs here and fails on accounts that never logged in from there.
 *
 * @module
 */

import type { RuleBook } from "./rules.ts";
import { DAY } from "./units.ts";

/** Failures within a day that are not too many. */
const MOST = 30;

/** So many sessions and answers a guesser has at least; a phone with an old password has fewer. */
const GUESSES = 16;

/** So often people mistype one account. */
const MISTYPED = 3;

/** One failure; what nothing tells from others is undefined. */
interface Failure {
  readonly account: string;
  readonly session: string | undefined;
  readonly answer: string | undefined;
  readonly at: number;
}

/** Counts. */
export class Insiders {
  readonly #own = new Map<string, Set<string>>();
  readonly #failures = new Map<string, Failure[]>();
  readonly #toldAt = new Map<string, number>();
  readonly #rules: RuleBook;

  /** @param rules The rules. */
  constructor(rules: RuleBook) {
    this.#rules = rules;
  }

  /** A process begins: it knows no accounts. */
  begin(): void {
    for (const map of [this.#own, this.#failures, this.#toldAt]) map.clear();
  }

  /** An account logs in from a host. */
  logsIn(name: string, account: string): void {
    this.#own.set(name, new Set([...this.#own.get(name) ?? [], account]));
    const others = this.#failures.get(name)?.filter((failure) => failure.account !== account);
    if (others !== undefined) this.#failures.set(name, others);
  }

  /** A host in good standing fails; whether it guesses. */
  fail(name: string, failure: Failure): boolean {
    const own = this.#own.get(name) ?? new Set();
    if (own.has(failure.account)) return false;
    const isTold = failure.at - (this.#toldAt.get(name) ?? -Infinity) < DAY;
    if (isTold && !this.#rules.values.blocksInsiders) return false;
    const last = [...this.#failures.get(name) ?? [], failure].slice(-MOST - 1);
    this.#failures.set(name, last);
    if (last.length <= MOST || failure.at - last[0]!.at > DAY) return false;
    if (!isTold) {
      this.#rules.visit("insider: told");
      this.#toldAt.set(name, failure.at);
    }
    const sessions = last.map(({ account, session }, n) => session && `${account} ${session}` || n);
    const answers = last.map(({ answer }, n) => answer ?? n);
    if (Math.min(new Set(sessions).size, new Set(answers).size) < GUESSES) {
      this.#rules.visit("insider: like a phone with an old password");
      return false;
    }
    const accounts = new Map<string, number>();
    for (const { account } of last) accounts.set(account, (accounts.get(account) ?? 0) + 1);
    return accounts.size > own.size || Math.max(...accounts.values()) > MISTYPED;
  }
}
