/**
 * The rules of the model: what is configured, and how often each of them decided something. A rule
 * that is never reached proves nothing.
 *
 * @module
 */

import type { NftFault } from "../nft/faults.ts";

/** The part of the configuration that matters here; durations in milliseconds. */
export interface Rules {
  readonly loyalty: number;
  readonly patience: number;
  readonly credit: number;
  readonly forget: number;
  readonly learn: number;
  readonly doubt: number;
  readonly bantime: number;
  readonly bantimeFactor: number;
  readonly bantimeMax: number;
  readonly ipv6Prefix: 64 | 128;
  readonly guardHosts: number;
  readonly guardWindow: number;
  readonly neighbours: number;
  readonly blocksInsiders: boolean;
  /** Single addresses. */
  readonly trust: readonly string[];
  /** The same: strangers who have one attempt. */
  readonly strict: readonly string[];
  /** Those of them who have none. */
  readonly barred: readonly string[];
}

/** The rules whose visits are counted. */
export const RULES = [
  "challenge: in good standing, free",
  "challenge: a neighbour is in good standing, free",
  "challenge: repeated, free",
  "challenge: repeated too often",
  "challenge: unanswered, 4 points",
  "challenge: unanswered again, 10 points",
  "challenge: unanswered while learning, free",
  "challenge: unanswered, but in good standing by then",
  "challenge: charged at once",
  "unknown account: what follows is charged",
  "unknown account: without patience its challenge is charged",
  "stall: nothing is charged before all is read",
  "wrong: first answer, 5 points",
  "wrong: late answer, 1 point",
  "wrong: further answer, 5 points",
  "wrong: retransmitted, free",
  "wrong: retransmitted too fast",
  "wrong: retransmitted too often",
  "wrong: retransmitted over a connection",
  "wrong: answer to a refusal, free",
  "wrong: burst in good standing, free",
  "wrong: burst too long, all charged",
  "wrong: burst too soon after another",
  "refused: 5 points",
  "refused: again, free",
  "refused: another account",
  "refused: not now, in good standing, free",
  "refused: not now, after a login, free",
  "manager: 5 points",
  "reported: 5 points",
  "not believed: 5 points",
  "trusted: free",
  "login: forgives its account",
  "login: forgives others",
  "login: forgiven enough today",
  "login: unanswered challenges forgiven",
  "forgotten",
  "strict: a stranger has one attempt",
  "strict: a stranger has no attempt",
  "strict: but logged in",
  "strict: but a neighbour logged in",
  "grounds: good standing",
  "grounds: shared network",
  "grounds: guarded account",
  "grounds: insider",
  "grounds: slow guesses",
  "grounds: slow account",
  "grounds: unanswered",
  "grounds: single session",
  "grounds: two phones",
  "grounds: attempts",
  "proven",
  "not proven",
  "doubt: forborne at the end of the first block",
  "row: late, the same block",
  "row: ended by a login",
  "row: forgotten",
  "row: does not grow soon after a login",
  "guard: a stranger fails on an account that is guarded",
  "guard: it was under way, the same block",
  "guard: others behind the first block may come back",
  "guard: who belongs here is left alone",
  "guard: who logs in is no stranger",
  "slow: remembered",
  "slow: halved",
  "slow: forgiven",
  "slow: too many, in one network that somebody belongs to",
  "insider: told",
  "insider: like a phone with an old password",
  "insider: time to come back",
  "neighbours: blocked by an earlier process",
  "neighbours: the network is blocked already",
  "neighbours: somebody belongs there",
  "neighbours: a network is blocked for its hosts",
  "neighbours: and again, for twice as long",
  "neighbours: released, as somebody belongs there",
  "good standing: time to come back",
  "network: its hosts are blocked with it",
  "network: shared, a host is blocked",
  "network: shared, blocked after its hosts",
  "network: shared, strangers are not the guilt of who belongs",
  "network: hosts in good standing go too far together",
  "network: one or two in good standing have their own limit",
  "network: forgiven",
  "ban: good standing, 30 s",
  "ban: good standing, doubled",
  "ban: good standing, doubled three times",
  "ban: good standing, at the longest",
  "ban: good standing, never longer than a stranger",
  "ban: guard, 25 s",
  "ban: guard, 250 s",
  "ban: guard, an hour and more",
  "ban: slow guesses",
  "ban: slow account",
  "ban: unanswered, 10 min",
  "ban: unanswered, shorter by configuration",
  "ban: doubt, first",
  "ban: doubt, ten times",
  "ban: doubt, as configured from the third on",
  "ban: unproven, an hour",
  "ban: unproven, doubled",
  "ban: for ever",
  "ban: configured",
  "ban: grown",
  "ban: bounded",
  "block: it is blocked already",
  "block: a longer one takes the place of one for a guarded account",
  "block: a short one makes no later one longer",
  "block: ends",
  "block: for ever by hand",
  "trust: a block ends",
  "pardon: deleted by hand",
  "points: written",
  "points: outlive a restart",
  "points: forgotten over a restart",
  "points: void by a login",
] as const;

/** A rule whose visits are counted. */
type Rule = typeof RULES[number];

/** How often each rule decided something. */
export type Visits = Map<Rule | NftFault, number>;

/** The rules in force, and the count of their visits. */
export class RuleBook {
  /** What is configured now. */
  values: Rules;
  readonly #visits: Visits;

  /**
   * @param values What is configured.
   * @param visits Takes the counts.
   */
  constructor(values: Rules, visits: Visits) {
    this.values = values;
    this.#visits = visits;
  }

  /** Counts that a rule decided something. */
  visit(rule: Rule): void {
    this.#visits.set(rule, (this.#visits.get(rule) ?? 0) + 1);
  }
}
