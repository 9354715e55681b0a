/**
 * On which accounts the hosts of the penalty table have failed, so that a login forgives what it
 * has proven.
 *
 * @module
 */

import type { SecurityEvent } from "../ami/event.ts";
import { ATTEMPT_POINTS } from "./attempts.ts";
import { NO_SESSION, OWN_SESSION, SEVERAL_SESSIONS } from "./hosts.ts";

/**
 * Accounts of one host that are told apart; what further ones cost is counted together, and no
 * login is theirs.
 */
export const ACCOUNTS_MAX = 64;

/** Where the points of further accounts are counted. */
const FURTHER = "\0further";

/** Hosts that there is room for at first. */
const SMALL = 1_024;

/**
 * Under what all failures of chan_sip are counted: no login forgives them by their account. C texts
 * hold no NUL.
 */
const ANY_OF_CHAN_SIP = "\0SIP";

/** In place of the points of a host that failed on several accounts. */
const SEVERAL = -1;

/**
 * What a host has failed on one account; one of no points keeps its place, there are only so many.
 */
export interface Share {
  /** The account, told apart by its service. */
  readonly account: string;
  /** What that has cost. */
  points: number;
  /** The session in which it failed: of one, or of several. */
  session: number;
}

/** What is needed of an event. */
type Failure = Pick<SecurityEvent, "service" | "account">;

/** Points by host (its record) and account. */
export class FailedAccounts {
  /** Hosts that failed on one account only, which almost all do: account and points, by record. */
  readonly #accounts: string[] = new Array(SMALL).fill("");
  #points = new Int32Array(SMALL);
  /** Points of attempts whose address can't be forged, by record. */
  #proven = new Int32Array(SMALL);
  /** Points by account of the hosts that failed on several. */
  readonly #several = new Map<number, Share[]>();

  /**
   * A host fails on an account. What one service calls an account may be somebody else to another.
   *
   * @param proven Its address can't be forged.
   * @param session In which.
   * @param before In which it failed before.
   */
  add(
    host: number,
    by: Failure,
    points: number,
    proven: boolean,
    session: number,
    before: number,
  ): void {
    if (host >= this.#points.length) this.#grow(host);
    if (proven) this.#proven[host]! += points;
    const account = accountOf(by);
    const known = this.#points[host]!;
    if (known === SEVERAL) {
      addTo(this.#several.get(host)!, account, points, session);
    } else if (known === 0 || this.#accounts[host] === account) {
      this.#accounts[host] = account;
      this.#points[host] = known + points;
    } else {
      this.#several.set(host, [
        { account: this.#accounts[host]!, points: known, session: before },
        { account, points, session },
      ]);
      this.#points[host] = SEVERAL;
    }
  }

  /**
   * Whether a host failed on two accounts, each in a session of its own, and more often than once
   * in one of them: so do two phones with wrong passwords.
   */
  isPair(host: number): boolean {
    if (this.#points[host] !== SEVERAL) return false;
    const failed = this.#several.get(host)!;
    const [one, other] = failed;
    if (failed.length !== 2 || !isOne(one!.session) || !isOne(other!.session)) return false;
    return one!.session !== other!.session &&
      Math.max(one!.points, other!.points) >= 2 * ATTEMPT_POINTS;
  }

  /**
   * The accounts that a host failed on, if they were several with a session of its own each: so do
   * phones with wrong passwords, and whoever tries one password on many accounts.
   */
  apartOf(host: number): string[] | undefined {
    if (this.#points[host] !== SEVERAL) return undefined;
    const failed = this.#several.get(host)!;
    const sessions = new Set(failed.map(({ session }) => session));
    if (sessions.size < failed.length || !failed.every(({ session }) => isOne(session))) {
      return undefined;
    }
    return failed.map(({ account }) => account);
  }

  /** The one account that a host failed on; `undefined` if it were several, or none. */
  onlyOf(host: number): string | undefined {
    return (this.#points[host] ?? 0) > 0 ? this.#accounts[host] : undefined;
  }

  /** Takes the points of one account away; how many these were. */
  forgive(host: number, by: Failure): number {
    const account = accountOf(by);
    const points = this.#points[host] ?? 0;
    if (points === SEVERAL) {
      const share = shareOf(this.#several.get(host)!, account);
      const part = share?.points ?? 0;
      if (share !== undefined) share.points = 0;
      return part;
    }
    if (points === 0 || this.#accounts[host] !== account) return 0;
    this.#points[host] = 0;
    return points;
  }

  /** Takes points away whatever the account; how many there were, at most as many as asked for. */
  forgiveAny(host: number, most: number): number {
    const points = this.#points[host] ?? 0;
    if (points !== SEVERAL) {
      const part = Math.min(most, points);
      if (part > 0) this.#points[host] = points - part;
      return part;
    }
    let left = most;
    for (const share of this.#several.get(host)!) {
      const part = Math.min(left, share.points);
      share.points -= part;
      left -= part;
    }
    return most - left;
  }

  /** Points of a host's attempts whose address can't be forged. */
  provenOf(host: number): number {
    return this.#proven[host] ?? 0;
  }

  /**
   * Points were forgiven. Which of its failures these were is not known: they are taken for the
   * proven ones, so that what a forger did never counts as proven.
   */
  forgiveProven(host: number, points: number): void {
    this.#proven[host] = Math.max(0, this.provenOf(host) - points);
  }

  /** On which accounts a host failed, and in which session. */
  sharesOf(host: number): Share[] {
    const points = this.#points[host] ?? 0;
    if (points === 0) return [];
    if (points !== SEVERAL) {
      return [{ account: this.#accounts[host]!, points, session: SEVERAL_SESSIONS }];
    }
    return this.#several.get(host)!.map((share) => ({ ...share }));
  }

  /**
   * Puts the failures of a host back that has none.
   *
   * @param shares As {@linkcode FailedAccounts.sharesOf} gave them.
   * @param proven Points of attempts whose address can't be forged.
   * @param failed All points that it failed: no share may be missing.
   */
  restore(host: number, shares: readonly Share[], proven: number, failed: number): void {
    if (host >= this.#points.length) this.#grow(host);
    this.#proven[host] = proven;
    const sum = shares.reduce((all, share) => all + share.points, 0);
    const missing = { account: FURTHER, points: failed - sum, session: SEVERAL_SESSIONS };
    const all = failed > sum ? [...shares, missing] : shares.map((share) => ({ ...share }));
    if (all.length === 1) {
      this.#accounts[host] = all[0]!.account;
      this.#points[host] = all[0]!.points;
    } else if (all.length > 1) {
      this.#several.set(host, all);
      this.#points[host] = SEVERAL;
    }
  }

  /** The host has left the table: its record may be another's soon. */
  remove(host: number): void {
    if (host >= this.#points.length) return;
    if (this.#points[host] === SEVERAL) this.#several.delete(host);
    this.#points[host] = 0;
    this.#proven[host] = 0;
  }

  #grow(host: number): void {
    const room = Math.max(2 * this.#points.length, host + 1);
    const grown = (numbers: Int32Array) => {
      const more = new Int32Array(room);
      more.set(numbers);
      return more;
    };
    while (this.#accounts.length < room) this.#accounts.push("");
    this.#points = grown(this.#points);
    this.#proven = grown(this.#proven);
  }
}

function isOne(session: number): boolean {
  return session !== NO_SESSION && session !== OWN_SESSION && session !== SEVERAL_SESSIONS;
}

// Where a closure is made, its variables are an object of their own each time: so in the hot path
// there is none.
function shareOf(several: readonly Share[], account: string): Share | undefined {
  return several.find((share) => share.account === account);
}

/** Adds points to the share of an account. */
function addTo(several: Share[], account: string, points: number, session: number): void {
  let share = shareOf(several, account);
  if (share === undefined && several.length >= ACCOUNTS_MAX) share = shareOf(several, FURTHER);
  if (share !== undefined) {
    share.points += points;
    if (share.session !== session) share.session = SEVERAL_SESSIONS;
  } else {
    const name = several.length < ACCOUNTS_MAX ? account : FURTHER;
    several.push({ account: name, points, session });
  }
}

function accountOf(by: Failure): string {
  if (by.service === "PJSIP") return by.account;
  return by.service === "SIP" ? ANY_OF_CHAN_SIP : `\0${by.service} ${by.account}`;
}
