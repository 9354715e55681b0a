/**
 * When a host has guessed too often, though too slowly for its points: what it has failed lately
 * and what is remembered of it are taken together.
 *
 * @module
 */

import { ATTEMPT_POINTS } from "./attempts.ts";
import type { FailedAccounts } from "./failed_accounts.ts";
import { type HostKey, keyText } from "./host_key.ts";
import { FIRST_AT, type Hosts, LAST_AT, NO_TALLY, WRONG_ANSWERS } from "./hosts.ts";
import type { Offence } from "./offence.ts";
import {
  FORGEABLE,
  PROVEN,
  SLOW_FACTOR,
  slowCount,
  type SlowFailures,
  type SlowGuesses,
  type SlowHost,
} from "./slow_guesses.ts";

/** What an offence of a slow guesser rests on. */
type SlowOffence = Pick<
  Offence,
  "grounds" | "points" | "limit" | "tally" | "proven" | "firstAt"
>;

/** Most hosts of the table whose failures are saved before their points are forgotten. */
export const NOTED_MAX = 1_000;

/** What is remembered of all hosts, as others see it. */
export interface SlowMemory {
  /** Hosts with wrong passwords that are remembered. */
  readonly counted: number;
  /** Hosts that were blocked for them since the start. */
  readonly blocked: number;
  /** See {@linkcode SlowJudge.restore}. */
  restore(saved: Iterable<SavedSlow>, now: number): void;
  /** See {@linkcode SlowJudge.note}. */
  note(): void;
  /** See {@linkcode SlowJudge.takeUnsaved}. */
  takeUnsaved(most: number): [host: string, saved: SavedSlow | undefined][];
}

/** A host as it is saved: with what it has failed since its points were forgotten. */
interface SavedSlow extends SlowHost {
  /** Wrong passwords since then. */
  readonly recent: number;
  /** Clock value of the last of them, in milliseconds. */
  readonly recentLastAt: number;
}

/** What a host of the table has failed. */
interface Noted {
  readonly count: number;
  readonly proven: boolean;
  readonly several: boolean;
  readonly firstAt: number;
  readonly lastAt: number;
}

/** Whose the hosts are: the ledger. */
interface Owner {
  readonly standing: { knows(key: HostKey): boolean };
  networkOf(key: HostKey): string | undefined;
}

/** Judges the hosts of the penalty table by what is remembered of them. */
export class SlowJudge implements SlowMemory {
  readonly #hosts: Hosts;
  readonly #accountsFailed: FailedAccounts;
  readonly #slow: SlowGuesses;
  readonly #owner: Owner;
  /** What the hosts of the table have failed, when it was looked at last. */
  #noted = new Map<HostKey, Noted>();

  /**
   * @param hosts The hosts of the table.
   * @param accountsFailed On which accounts they have failed.
   * @param slow What is remembered.
   * @param owner Whose the hosts are.
   */
  constructor(hosts: Hosts, accountsFailed: FailedAccounts, slow: SlowGuesses, owner: Owner) {
    this.#owner = owner;
    this.#hosts = hosts;
    this.#accountsFailed = accountsFailed;
    this.#slow = slow;
  }

  /** Hosts with wrong passwords that are remembered. */
  get counted(): number {
    return this.#slow.counted;
  }

  /** Hosts that were blocked for them since the start. */
  get blocked(): number {
    return this.#slow.blocked;
  }

  /**
   * The points of a host are about to be forgotten: what it has failed is remembered.
   *
   * @param key As what it is remembered.
   */
  keep(host: number, key: HostKey): void {
    const { records } = this.#hosts;
    const lately = this.latelyOf(host);
    if (lately.count === 0) return;
    this.#slow.add(key, lately, records.time(host, FIRST_AT), records.time(host, LAST_AT));
  }

  /**
   * Whether a host has failed too often, all in all.
   *
   * @param key As what it is remembered.
   * @param loyalty Attempts that a stranger has.
   * @returns What the offence rests on; `undefined`: it has not.
   */
  judge(host: number, key: HostKey, loyalty: number, now: number): SlowOffence | undefined {
    const most = SLOW_FACTOR * loyalty;
    const lately = this.latelyOf(host);
    const count = this.#slow.pastOf(host) + lately.count;
    if (count < most) return undefined;
    const { several, ...sum } = this.#slow.block(host, key, lately, most - 1, now);
    return {
      ...sum,
      grounds: several ? "slow guesses" : "slow account",
      points: ATTEMPT_POINTS * count,
      limit: ATTEMPT_POINTS * most,
      tally: { ...NO_TALLY, wrongAnswers: count },
    };
  }

  /**
   * Takes over what was saved. What a host has failed since its points were forgotten counts as
   * remembered, unless the host is in the table with it.
   *
   * @param saved Times are clock values.
   * @param now Clock value, in milliseconds.
   */
  restore(saved: Iterable<SavedSlow>, now: number): void {
    const present = new Map<number, HostKey>();
    for (const [key, host] of this.#hosts.entries()) {
      if (this.latelyOf(host).count > 0) present.set(host, this.#owner.networkOf(key) ?? key);
    }
    const known = new Set([...present.values()].map(keyText));
    const { forgetMs } = this.#slow;
    this.#slow.restore([...saved].map(({ recent, recentLastAt, ...one }) => {
      if (recent === 0 || known.has(one.host)) return one;
      const count = slowCount(one.count, recentLastAt - one.lastAt, forgetMs) + recent;
      return { ...one, count, lastAt: recentLastAt };
    }));
    for (const [host, key] of present) this.#slow.meet(host, key, now);
  }

  /**
   * Looks which hosts of the table have failed, so that this is saved too: should the daemon end
   * before their points are forgotten, it is remembered. At most {@linkcode NOTED_MAX} of them;
   * those that are remembered already come first.
   */
  note(): void {
    const before = this.#noted;
    this.#noted = new Map();
    for (const isKnown of [true, false]) {
      for (const host of this.#hosts.values()) {
        if (this.#noted.size >= NOTED_MAX) break;
        const lately = this.latelyOf(host);
        if (lately.count === 0 || this.#slow.pastOf(host) > 0 !== isKnown) continue;
        const key = this.#hosts.keyOf(host);
        if (!this.#owner.standing.knows(key)) this.#note(host, lately);
      }
    }
    for (const [key, { count }] of this.#noted) {
      if (before.get(key)?.count !== count) this.#slow.touch(key);
    }
    for (const key of before.keys()) if (!this.#noted.has(key)) this.#slow.touch(key);
  }

  /**
   * What has changed since it was saved last, as far as {@linkcode SlowJudge.note} has looked.
   *
   * @param most Hosts; the others are given by the next calls.
   * @returns Each host as it is to be saved; `undefined`: nothing is remembered of it.
   */
  takeUnsaved(most: number): [host: string, saved: SavedSlow | undefined][] {
    return this.#slow.takeUnsaved(most).map(([key, known]) => {
      const noted = this.#noted.get(key);
      const host = keyText(key);
      if (noted === undefined) {
        return [host, known && { ...known, recent: 0, recentLastAt: known.lastAt }];
      }
      const { count: recent, firstAt, lastAt, ...lately } = noted;
      const own = { kind: lately.proven ? PROVEN : FORGEABLE, several: lately.several } as const;
      const saved = known === undefined ? { host, count: 0, ...own, firstAt, lastAt: firstAt } : {
        ...known,
        kind: known.kind === PROVEN ? own.kind : known.kind,
        several: known.several || own.several,
      };
      return [host, { ...saved, recent, recentLastAt: lastAt }];
    });
  }

  #note(host: number, lately: SlowFailures): void {
    const { records } = this.#hosts;
    const key = this.#hosts.keyOf(host);
    const whose = this.#owner.networkOf(key) ?? key;
    const known = this.#noted.get(whose);
    const { count, proven, account } = lately;
    const [firstAt, lastAt] = [records.time(host, FIRST_AT), records.time(host, LAST_AT)];
    this.#noted.set(whose, {
      count: count + (known?.count ?? 0),
      proven: proven && (known?.proven ?? true),
      several: account === undefined || (known?.several ?? false),
      firstAt: Math.min(firstAt, known?.firstAt ?? Infinity),
      lastAt: Math.max(lastAt, known?.lastAt ?? -Infinity),
    });
  }

  /** The wrong passwords of a host since its points were forgotten. */
  latelyOf(host: number): SlowFailures {
    const count = this.#hosts.records.get(host, WRONG_ANSWERS);
    return {
      count,
      proven: this.#accountsFailed.provenOf(host) >= ATTEMPT_POINTS * count,
      account: this.#accountsFailed.onlyOf(host),
    };
  }
}
