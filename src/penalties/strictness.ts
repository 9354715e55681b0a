/**
 * How many attempts strangers have: what is known of each is asked once, and kept in its record.
 *
 * @module
 */

import type { HostKey } from "./host_key.ts";
import { type Hosts, STRICT } from "./hosts.ts";
import type { StrictHosts } from "./strict.ts";

/** What the record of a host says of its attempts; 0: it was not asked for yet. */
const IS_STRICT = 1;
const IS_LIKE_OTHERS = 2;

/** What decides who is no stranger; the ledger. */
interface Rules {
  isNetworkStanding(address: HostKey): boolean;
}

/** Knows which hosts have one attempt. */
export class Strictness {
  readonly #hosts: Hosts;
  readonly #rules: Rules;
  #source: StrictHosts | undefined;

  /**
   * @param hosts The hosts.
   * @param rules Who belongs here.
   * @param source Who says it; `undefined`: nobody is strict.
   */
  constructor(hosts: Hosts, rules: Rules, source: StrictHosts | undefined) {
    this.#hosts = hosts;
    this.#rules = rules;
    this.#source = source;
  }

  /** Changes who says it. */
  set(source: StrictHosts | undefined): void {
    if (source === this.#source) return;
    this.#source = source;
    this.recheck();
  }

  /** Others may have one attempt now. */
  recheck(): void {
    for (const host of this.#hosts.values()) this.#hosts.records.set(host, STRICT, 0);
  }

  /**
   * Whether a stranger has one attempt.
   *
   * @param host Its record.
   */
  has(host: number): boolean {
    if (this.#source === undefined) return false;
    let known = this.#hosts.records.get(host, STRICT);
    const key = this.#hosts.keyOf(host);
    if (known === 0) {
      const why = this.#source.whyStrict(key);
      known = why === undefined ? IS_LIKE_OTHERS : IS_STRICT;
      this.#hosts.records.set(host, STRICT, known);
    }
    return known === IS_STRICT && !this.#rules.isNetworkStanding(key);
  }

  /** Why a host has one attempt, for its offence. */
  why(key: HostKey): { readonly strict?: string } {
    const strict = this.#source?.whyStrict(key);
    return strict === undefined ? {} : { strict };
  }
}
