/**
 * How many attempts strangers have: what is known of each is asked once, and kept in its record.
 *
 * @module
 */

import { ATTEMPT_POINTS } from "./attempts.ts";
import type { HostKey } from "./host_key.ts";
import { type Hosts, STRICT } from "./hosts.ts";
import type { StrictHosts } from "./strict.ts";

/** What the record of a host says of its attempts; 0: it was not asked for yet. */
const IS_STRICT = 1;
const IS_LIKE_OTHERS = 2;
const IS_BARRED = 3;

/** Points at which a host is blocked that is barred: those of anything. */
const BARRED_LIMIT = 1;

/** What decides who is no stranger; the ledger. */
interface Rules {
  isNetworkStanding(address: HostKey): boolean;
}

/** Knows which hosts have one attempt. */
export class Strictness {
  readonly #hosts: Hosts;
  readonly #rules: Rules;
  #source: StrictHosts | undefined;
  /** Whether anybody is barred: asked for each challenge, and mostly not so. */
  #bars: boolean;

  /**
   * @param hosts The hosts.
   * @param rules Who belongs here.
   * @param source Who says it; `undefined`: nobody is strict.
   */
  constructor(hosts: Hosts, rules: Rules, source: StrictHosts | undefined) {
    this.#hosts = hosts;
    this.#rules = rules;
    this.#source = source;
    this.#bars = source?.whyBarred !== undefined;
  }

  /** Changes who says it. */
  set(source: StrictHosts | undefined): void {
    if (source === this.#source) return;
    this.#source = source;
    this.#bars = source?.whyBarred !== undefined;
    this.recheck();
  }

  /** Others may have one attempt now. */
  recheck(): void {
    for (const host of this.#hosts.values()) this.#hosts.records.set(host, STRICT, 0);
  }

  /**
   * Points at which a stranger is blocked.
   *
   * @param host Its record.
   * @param usual Those of whoever is not strict.
   */
  limitOf(host: number, usual: number): number {
    if (this.#source === undefined) return usual;
    const known = this.#of(host, this.#source);
    if (known === IS_LIKE_OTHERS) return usual;
    return known === IS_BARRED ? BARRED_LIMIT : ATTEMPT_POINTS;
  }

  /**
   * Whether a stranger is blocked when they first appear: not while nobody is known yet.
   *
   * @param host Its record; not in good standing.
   * @param isLearning Whether nobody is.
   */
  isBarred(host: number, isLearning: boolean): boolean {
    return this.#bars && !isLearning && this.#of(host, this.#source!) === IS_BARRED;
  }

  #of(host: number, source: StrictHosts): number {
    let known = this.#hosts.records.get(host, STRICT);
    const key = this.#hosts.keyOf(host);
    if (known === 0) {
      if (source.whyBarred?.(key) !== undefined) known = IS_BARRED;
      else known = source.whyStrict(key) === undefined ? IS_LIKE_OTHERS : IS_STRICT;
      this.#hosts.records.set(host, STRICT, known);
    }
    return this.#rules.isNetworkStanding(key) ? IS_LIKE_OTHERS : known;
  }

  /** Why a host has one attempt, for its offence. */
  why(key: HostKey): { readonly strict?: string } {
    const strict = this.#source?.whyStrict(key);
    return strict === undefined ? {} : { strict };
  }
}
