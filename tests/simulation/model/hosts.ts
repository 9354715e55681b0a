/**
 * Hosts, and their attempts to log in, as the model knows them.
 *
 * @module
 */

import type { Happening } from "./happening.ts";
import type { RuleBook } from "./rules.ts";
import { SECOND } from "./units.ts";

/** A request is repeated for so long (RFC 3261, Timer F), and so often. */
const REPEATED_FOR = 32 * SECOND;
const REPEATS = 10;

/** An attempt to log in. */
export interface Attempt {
  readonly session: string;
  readonly challenge: string | undefined;
  readonly at: number;
  readonly host: Host;
  waiting: boolean;
  /** Points for the challenge, as long as no failure has made it an attempt. */
  challengeCost: number;
  /** The account that was refused. */
  refused: string | undefined;
  loggedIn: boolean;
  /** Events of it that were free. */
  free: number;
  repeatedAt: number | undefined;
  answered: number;
  burst: number;
  readonly answers: Set<string>;
}

/** Somebody who is heard. */
export interface Host {
  readonly address: string;
  points: number;
  /** The part of them that is for unanswered challenges. */
  soft: number;
  /** The part of them that can't be forged. */
  proven: number;
  /** Passwords that were wrong. */
  wrong: number;
  /** When it was charged first. */
  firstAt: number;
  lastAt: number;
  burstAt: number | undefined;
  readonly attempts: Attempt[];
  /** In which it failed. */
  sessions: Set<string>;
  /** Points by account. */
  readonly accounts: Map<string, number>;
  /** Where it failed on several accounts: the sessions of each. */
  readonly sessionsOf: Map<string, Set<string>>;
}

/** The hosts that are heard. */
export class Hosts {
  readonly #byAddress = new Map<string, Host>();
  readonly #rules: RuleBook;
  readonly #remember: (host: Host) => void;

  /**
   * @param rules The rules.
   * @param remember Takes what is not forgotten with its points.
   */
  constructor(rules: RuleBook, remember: (host: Host) => void) {
    this.#rules = rules;
    this.#remember = remember;
  }

  /** The host of an address, if it is known. */
  get(address: string): Host | undefined {
    return this.#byAddress.get(address);
  }

  /** Knows a host again. */
  put(host: Host): Host {
    this.#byAddress.set(host.address, host);
    return host;
  }

  /** All that are known now. */
  all(): Host[] {
    return [...this.#byAddress.values()];
  }

  /** Knows nothing of a host any more. */
  drop(host: Host): void {
    for (const attempt of host.attempts) attempt.waiting = false;
    if (this.#byAddress.get(host.address) === host) this.#byAddress.delete(host.address);
  }

  /** The same, as it was quiet for long enough. */
  forget(host: Host): void {
    this.#rules.visit("forgotten");
    this.#remember(host);
    this.drop(host);
  }

  /** The host of an address that is heard now. */
  hear(address: string, now: number): Host {
    const known = this.#byAddress.get(address);
    if (known !== undefined && now - known.lastAt > this.#rules.values.forget) this.forget(known);
    const host = this.#byAddress.get(address) ?? {
      address,
      points: 0,
      soft: 0,
      proven: 0,
      wrong: 0,
      firstAt: now,
      lastAt: now,
      burstAt: undefined,
      attempts: [],
      sessions: new Set(),
      accounts: new Map(),
      sessionsOf: new Map(),
    };
    this.#byAddress.set(address, host);
    host.lastAt = now;
    return host;
  }

  /** The attempt to which an event of a session belongs. */
  find(host: Host, session: string, now: number): Attempt | undefined {
    const attempt = host.attempts.findLast((attempt) => attempt.session === session);
    if (attempt === undefined) return undefined;
    return attempt.waiting || now - attempt.at <= REPEATED_FOR ? attempt : undefined;
  }

  /** Begins an attempt. */
  open(host: Host, { session, challenge }: Happening, now: number): Attempt {
    const attempt: Attempt = {
      session,
      challenge,
      at: now,
      host,
      waiting: false,
      challengeCost: 0,
      refused: undefined,
      loggedIn: false,
      free: 0,
      repeatedAt: undefined,
      answered: 0,
      burst: 0,
      answers: new Set(),
    };
    host.attempts.push(attempt);
    return attempt;
  }
}

/** Whether one more event of an attempt costs nothing. */
export function isFree(attempt: Attempt): boolean {
  return attempt.free < REPEATS && ++attempt.free > 0;
}

/** No challenge of a host is waited for any more, and none is paid in part. */
export function closeAttempts({ attempts }: Host): void {
  for (const attempt of attempts) {
    attempt.waiting = false;
    attempt.challengeCost = 0;
  }
}

/** From those on which it failed first; an account of no points keeps its place among others. */
export function takeFromAccounts(host: Host, points: number): void {
  for (const [account, some] of host.accounts) {
    const part = Math.min(some, points);
    points -= part;
    host.accounts.set(account, some - part);
  }
}
