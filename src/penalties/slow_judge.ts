/**
 * When a host has guessed too often, though too slowly for its points: what it has failed lately
 * and what is remembered of it are taken together.
 *
 * @module
 */

import { ATTEMPT_POINTS } from "./attempts.ts";
import type { FailedAccounts } from "./failed_accounts.ts";
import type { HostKey } from "./host_key.ts";
import { FIRST_AT, type Hosts, LAST_AT, NO_TALLY, WRONG_ANSWERS } from "./hosts.ts";
import type { Offence } from "./offence.ts";
import { SLOW_FACTOR, type SlowFailures, type SlowGuesses, type SlowHost } from "./slow_guesses.ts";

/** What an offence of a slow guesser rests on. */
type SlowOffence = Pick<Offence, "grounds" | "points" | "limit" | "tally" | "proven" | "firstAt">;

/** What is remembered of all hosts, as others see it. */
export interface SlowMemory {
  /** Hosts with wrong passwords that are remembered. */
  readonly counted: number;
  /** Hosts that were blocked for them since the start. */
  readonly blocked: number;
  /** See {@linkcode SlowGuesses.restore}. */
  restore(hosts: Iterable<SlowHost>): void;
  /** See {@linkcode SlowGuesses.takeUnsaved}. */
  takeUnsaved(most: number): [host: string, now: SlowHost | undefined][];
  /** See {@linkcode SlowGuesses.touch}. */
  touch(key: HostKey): void;
}

/** Judges the hosts of the penalty table by what is remembered of them. */
export class SlowJudge {
  readonly #hosts: Hosts;
  readonly #accountsFailed: FailedAccounts;
  readonly #slow: SlowGuesses;

  /**
   * @param hosts The hosts of the table.
   * @param accountsFailed On which accounts they have failed.
   * @param slow What is remembered.
   */
  constructor(hosts: Hosts, accountsFailed: FailedAccounts, slow: SlowGuesses) {
    this.#hosts = hosts;
    this.#accountsFailed = accountsFailed;
    this.#slow = slow;
  }

  /**
   * The points of a host are about to be forgotten: what it has failed is remembered.
   *
   * @param key As what it is remembered.
   */
  keep(host: number, key: HostKey): void {
    const { records } = this.#hosts;
    const lately = this.#latelyOf(host);
    if (lately.count === 0) return;
    this.#slow.add(key, lately, records.time(host, FIRST_AT), records.time(host, LAST_AT));
  }

  /** How many wrong passwords of a host count, all in all. */
  countOf(host: number, key: HostKey): number {
    const { records } = this.#hosts;
    return this.#slow.countOf(key, records.time(host, FIRST_AT)) + records.get(host, WRONG_ANSWERS);
  }

  /**
   * Whether a host has failed too often, all in all.
   *
   * @param key As what it is remembered; something is.
   * @param loyalty Attempts that a stranger has.
   * @returns What the offence rests on; `undefined`: it has not.
   */
  judge(host: number, key: HostKey, loyalty: number, now: number): SlowOffence | undefined {
    const most = SLOW_FACTOR * loyalty;
    const count = this.countOf(host, key);
    // Without anything of earlier days its points say it all.
    if (count < most || count === this.#hosts.records.get(host, WRONG_ANSWERS)) return undefined;
    const { several, ...sum } = this.#slow.block(key, this.#latelyOf(host), most - 1, now);
    return {
      ...sum,
      grounds: several ? "slow guesses" : "slow account",
      points: ATTEMPT_POINTS * count,
      limit: ATTEMPT_POINTS * most,
      tally: { ...NO_TALLY, wrongAnswers: count },
    };
  }

  /** The wrong passwords of a host since its points were forgotten. */
  #latelyOf(host: number): SlowFailures {
    const count = this.#hosts.records.get(host, WRONG_ANSWERS);
    return {
      count,
      proven: this.#accountsFailed.provenOf(host) >= ATTEMPT_POINTS * count,
      account: this.#accountsFailed.onlyOf(host),
    };
  }
}
