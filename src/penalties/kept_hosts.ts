/**
 * What hosts have cost so far, as it outlives a restart.
 *
 * @module
 */

import type { StoredPoints } from "../blocks/kept_points.ts";
import { ATTEMPT_POINTS } from "./attempts.ts";
import type { FailedAccounts } from "./failed_accounts.ts";
import { type HostKey, keyOf, keyText } from "./host_key.ts";
import {
  FAILED_SESSION,
  FIRST_AT,
  type Hosts,
  HOSTS_MAX,
  LAST_AT,
  MAYBE_STANDING,
  NO_SESSION,
  NONE,
  POINTS,
  SOFT,
  TALLY,
  TALLY_AT,
} from "./hosts.ts";
import type { NetworkFailures } from "./network_failures.ts";
import type { PenaltyPolicy } from "./policy.ts";
import type { SlowGuesses } from "./slow_guesses.ts";

/** Most points of a host that outlive a restart. */
const KEPT_POINTS_MAX = 1_000_000;

/**
 * A host with what it has cost: as it is stored, but times are clock values, in milliseconds. The
 * session is `FAILED_SESSION` of its record, and the tally in that order.
 */
export type KeptHost = StoredPoints;

/** Where what hosts have cost is counted. */
interface Parts {
  readonly hosts: Hosts;
  /** On which accounts they failed. */
  readonly accountsFailed: FailedAccounts;
  /** What IPv6 networks have failed. */
  readonly networkFailures: NetworkFailures;
  /** What is remembered of hosts whose points are forgotten. */
  readonly slow: SlowGuesses;
}

/** What decides with whom a host is counted; the ledger. */
interface Rules {
  readonly policy: Pick<PenaltyPolicy, "forgetMs">;
  networkOf(address: HostKey): string | undefined;
  isInGoodStanding(address: HostKey, now: number): boolean;
}

/** Reads hosts so that they can be kept, and puts them back. */
export interface HostKeeping {
  /** The hosts with most points, as canonical addresses. */
  guiltiest(most: number): string[];
  /** One host, if it has points. */
  of(address: string): KeptHost | undefined;
  /** Puts hosts back that are not known, and remembers those whose points are forgotten. */
  restore(kept: Iterable<KeptHost>, now: number): void;
}

/** The same, of the hosts of a table. */
export class KeptHosts implements HostKeeping {
  readonly #hosts: Hosts;
  readonly #accounts: FailedAccounts;
  readonly #networks: NetworkFailures;
  readonly #slow: SlowGuesses;
  readonly #rules: Rules;

  /**
   * @param parts Where that is counted.
   * @param rules With whom a host is counted.
   */
  constructor({ hosts, accountsFailed, networkFailures, slow }: Parts, rules: Rules) {
    this.#hosts = hosts;
    this.#accounts = accountsFailed;
    this.#networks = networkFailures;
    this.#slow = slow;
    this.#rules = rules;
  }

  /**
   * The hosts with most points, those first that were seen last.
   *
   * @param most How many.
   * @returns Canonical addresses.
   */
  guiltiest(most: number): string[] {
    return this.#hosts.guiltiest(most).map(keyText);
  }

  /**
   * One host, if it has points.
   *
   * @param address Canonical address.
   */
  of(address: string): KeptHost | undefined {
    const host = this.#hosts.find(keyOf(address));
    const { records } = this.#hosts;
    if (host === NONE || records.get(host, POINTS) === 0) return undefined;
    return {
      host: address,
      firstAt: records.time(host, FIRST_AT),
      lastAt: records.time(host, LAST_AT),
      points: Math.min(records.get(host, POINTS), KEPT_POINTS_MAX),
      soft: records.get(host, SOFT),
      proven: this.#accounts.provenOf(host),
      session: records.get(host, FAILED_SESSION),
      tally: TALLY.map((_, field) => records.get(host, TALLY_AT + field)),
      accounts: this.#accounts.sharesOf(host),
    };
  }

  /**
   * Puts hosts back that are not known. None is blocked for it: the next failure decides.
   *
   * @param kept The hosts, the one that was seen longest ago first.
   * @param now Clock value, in milliseconds.
   */
  restore(kept: Iterable<KeptHost>, now: number): void {
    const { records } = this.#hosts;
    for (const one of kept) {
      const key = keyOf(one.host);
      if (now - one.lastAt > this.#rules.policy.forgetMs) {
        this.#remember(key, one);
        continue;
      }
      if (one.points <= 0 || this.#hosts.size >= HOSTS_MAX) continue;
      if (this.#hosts.find(key) !== NONE) continue;
      const host = this.#hosts.make(key, one.firstAt);
      records.setTime(host, LAST_AT, one.lastAt);
      records.set(host, POINTS, one.points);
      records.set(host, SOFT, one.soft);
      records.set(host, MAYBE_STANDING, 1);
      const tally = one.tally.slice(0, TALLY.length);
      tally.forEach((count, field) => records.set(host, TALLY_AT + field, count));
      const failed = one.points - one.soft;
      // Without a session what it has failed would not be forgotten with it.
      const session = failed > 0 && one.session === NO_SESSION ? 1 : one.session;
      records.set(host, FAILED_SESSION, failed > 0 ? session : NO_SESSION);
      if (failed > 0) this.#accounts.restore(host, one.accounts, one.proven, failed);
      this.#hosts.settle(host);
      this.#addToNetwork(key, failed, Math.min(one.proven, failed), one.lastAt, now);
    }
  }

  /** The points of a host would be forgotten by now, but not what it has failed. */
  #remember(key: HostKey, { firstAt, lastAt, tally, proven, accounts }: KeptHost): void {
    if (this.#rules.isInGoodStanding(key, lastAt)) return;
    const count = tally[TALLY.indexOf("wrongAnswers")] ?? 0;
    const [share] = accounts;
    const account = accounts.length === 1 && share!.points > 0 ? share!.account : undefined;
    const failures = { count, proven: proven >= ATTEMPT_POINTS * count, account };
    const network = this.#rules.networkOf(key);
    if (count > 0) this.#slow.addLate(network ?? key, failures, firstAt, lastAt);
  }

  /** The hosts of an IPv6 network may be one guesser. */
  #addToNetwork(key: HostKey, failed: number, proven: number, at: number, now: number): void {
    const network = failed > 0 ? this.#rules.networkOf(key) : undefined;
    if (network === undefined) return;
    const standing = this.#rules.isInGoodStanding(key, now);
    for (const [points, isProven] of [[failed - proven, false], [proven, true]] as const) {
      const how = { standing, proven: isProven };
      if (points > 0) this.#networks.add(network, key as string, points, how, at);
    }
  }
}
