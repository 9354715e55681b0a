/**
 * What the hosts have been charged, by which it is known when one has gone too far; and what is
 * taken away again.
 *
 * @module
 */

import { EVENT_TYPES, type SecurityEvent } from "../ami/event.ts";
import { AccountGuard, guardKey } from "./account_guard.ts";
import {
  ATTEMPT_POINTS,
  Attempts,
  ATTEMPTS_MAX,
  CHARGED,
  HOST,
  IS_WAITING,
  REPEATED_CHALLENGE_POINTS,
  WAITING_MAX,
} from "./attempts.ts";
import { ExemptHosts } from "./exempt_hosts.ts";
import { FailedAccounts } from "./failed_accounts.ts";
import { Forgiveness } from "./forgiveness.ts";
import { GoodStanding } from "./good_standing.ts";
import { type HostKey, HostNetworks, keyText } from "./host_key.ts";
import {
  ATTEMPTS,
  CHALLENGE_POINTS,
  FAILED_SESSION,
  FIRST_AT,
  GONE,
  type Hosts,
  HOSTS_MAX,
  LAST_AT,
  MAYBE_STANDING,
  NO_SESSION,
  NO_TALLY,
  NONE,
  OWN_SESSION,
  POINTS,
  SEVERAL_SESSIONS,
  SOFT,
  STRICT,
  UNANSWERED,
} from "./hosts.ts";
import { KeptHosts } from "./kept_hosts.ts";
import { LastFailures } from "./last_failures.ts";
import { LateAttempts } from "./late_attempts.ts";
import { NetworkFailures } from "./network_failures.ts";
import type { Grounds, Offence } from "./offence.ts";
import type { PenaltyPolicy } from "./policy.ts";
import type { Records } from "./records.ts";
import { ShortBlocks } from "./short_blocks.ts";
import { ProxySigns } from "./proxy_signs.ts";
import type { StrictHosts } from "./strict.ts";

/** By the type of an event: whether a password was tried, not only a name or an address refused. */
const GUESSES = EVENT_TYPES.map(({ kind }) =>
  kind === "ChallengeResponseFailed" || kind === "InvalidPassword"
);

/** What the record of a host says of its attempts. */
const IS_STRICT = 1;
const IS_LIKE_OTHERS = 2;
const IS_BARRED = 3;

/** Points at which a host is blocked that is barred: those of anything. */
const BARRED_LIMIT = 1;

/** Where an attempt came from. */
type AttemptOrigin = Pick<SecurityEvent, "service" | "transport" | "account">;

/** A host in good standing has this many times the limit of a stranger. */
export const STANDING_LIMIT_FACTOR = 10;

/**
 * The points of all hosts, and everything that decides what they lead to: good standing, failed
 * accounts, rows of short blocks, networks. The penalty table says what an event costs; this says
 * what follows.
 */
export class Ledger {
  readonly attempts: Attempts;
  readonly standing: GoodStanding;
  readonly late = new LateAttempts();
  readonly last = new LastFailures();
  readonly kept: KeptHosts;
  readonly proxies = new ProxySigns();
  readonly guard: AccountGuard;
  readonly #hosts: Hosts;
  readonly #records: Hosts["records"];
  readonly #attemptRecords: Attempts["records"];
  #policy: PenaltyPolicy;
  #networks: HostNetworks;
  readonly #accountsFailed = new FailedAccounts();
  readonly #forgiveness = new Forgiveness(ATTEMPT_POINTS);
  readonly #shortBlocks: ShortBlocks;
  readonly #networkFailures = new NetworkFailures();
  #offences: Offence[] = [];
  /** Until then unanswered challenges cost nothing: who belongs here is not known yet. */
  #learnsUntil = -Infinity;
  readonly #exempt: ExemptHosts;
  #strict: StrictHosts | undefined;
  /** Whether that bars anybody. */
  #bars: boolean;
  #evicted = 0;

  /**
   * Nobody is charged yet.
   *
   * @param policy The rules.
   * @param hosts The hosts.
   */
  constructor(policy: PenaltyPolicy, hosts: Hosts) {
    this.#policy = policy;
    this.#hosts = hosts;
    this.#records = hosts.records;
    this.attempts = new Attempts(hosts.records);
    this.kept = new KeptHosts(hosts, this.#accountsFailed, this.#networkFailures, this);
    this.#attemptRecords = this.attempts.records;
    this.#networks = new HostNetworks(policy.ipv6Prefix, policy.nat64 ?? []);
    this.#networkFailures.setForget(policy.forgetMs);
    this.guard = new AccountGuard(guardRule(policy));
    this.standing = new GoodStanding(this.#networks);
    this.#shortBlocks = new ShortBlocks(this.standing);
    this.#exempt = new ExemptHosts(policy.exempt, this.#networks);
    this.#strict = policy.strict;
    this.#bars = policy.strict?.whyBarred !== undefined;
  }

  /** The rules in force. */
  get policy(): PenaltyPolicy {
    return this.#policy;
  }

  /** Hosts that were forgotten because there were too many. */
  get evicted(): number {
    return this.#evicted;
  }

  /** The hosts that have gone too far since the last call. */
  takeOffences(): Offence[] {
    const offences = this.#offences;
    if (offences.length > 0) this.#offences = [];
    return offences;
  }

  /** Changes the rules. Hosts that are exempt now lose their points. */
  setPolicy(policy: PenaltyPolicy): void {
    const prefixChanged = policy.ipv6Prefix !== this.#policy.ipv6Prefix ||
      String(policy.nat64 ?? []) !== String(this.#policy.nat64 ?? []);
    this.#policy = policy;
    this.guard.setRule(guardRule(policy));
    this.#networkFailures.setForget(policy.forgetMs);
    for (const [key, host] of [...this.#hosts.entries()]) {
      if (policy.exempt.overlaps(keyText(key))) this.remove(host);
    }
    if (prefixChanged) {
      this.#networks = new HostNetworks(policy.ipv6Prefix, policy.nat64 ?? []);
      this.standing.setNetworks(this.#networks);
      this.#networkFailures.clear();
    }
    this.#exempt.set(policy.exempt, this.#networks);
    if (policy.strict !== this.#strict) {
      this.#strict = policy.strict;
      this.#bars = policy.strict?.whyBarred !== undefined;
      this.recheckStrict();
    }
    this.recheckStanding();
  }

  /** Nobody is known yet: until a clock value, challenges may stay unanswered at no cost. */
  learnUntil(until: number): void {
    this.#learnsUntil = until;
  }

  /** Whether challenges may stay unanswered at no cost yet. */
  isLearning(now: number): boolean {
    return now < this.#learnsUntil;
  }

  /** A login ends the rows of short blocks. */
  endRows(event: SecurityEvent): void {
    this.#shortBlocks.end(event.host, this.networkOf(event.host));
  }

  /** Who is in good standing in a network, and has not failed there. */
  innocentIn(network: string): string[] {
    // Hundreds of networks may be blocked in a moment, and almost none holds anybody.
    if (!this.standing.hasIn(network)) return [];
    return this.standing.addressesIn(network).filter((address) => {
      const host = this.#hosts.find(address);
      return (host === NONE || this.#records.get(host, POINTS) === 0) &&
        !this.#shortBlocks.has(address);
    });
  }

  /** The host of an event, made if need be; none when it is never charged. */
  host(event: SecurityEvent, now: number): number {
    const key = event.host;
    return this.hostAt(key, this.#hosts.find(key), true, now);
  }

  /**
   * The host of an event when its record, if it is in the table, is known already; made if need be.
   *
   * @param mayStand False if it is known not to be in good standing, which saves a look.
   * @returns Its record; 0 when it is never charged.
   */
  hostAt(key: HostKey, present: number, mayStand: boolean, now: number): number {
    let host = present;
    if (host === NONE) {
      if (this.isExempt(key)) return NONE;
      host = this.#hosts.make(key, now);
      if (mayStand && this.isInGoodStanding(key, now)) this.#records.set(host, MAYBE_STANDING, 1);
    } else if (now - this.#records.time(host, LAST_AT) > this.#policy.forgetMs) {
      this.remove(host);
      return this.hostAt(key, NONE, mayStand, now);
    }
    this.#records.setTime(host, LAST_AT, now);
    return host;
  }

  /** Opens an attempt of a host, which may make room for it. */
  open(host: number, event: SecurityEvent, now: number): number {
    const attempt = this.attempts.open(host, event, now);
    if (this.#records.get(host, ATTEMPTS) > ATTEMPTS_MAX) this.#makeRoom(host, attempt, now);
    return attempt;
  }

  /** The attempt of a host in the session of an event, opened if need be. */
  findOrOpen(host: number, event: SecurityEvent, now: number): number {
    const attempt = this.attempts.find(host, event.session, now);
    return attempt === NONE ? this.open(host, event, now) : attempt;
  }

  /** Forgets the oldest settled attempt of a host, or else charges and forgets the oldest. */
  #makeRoom(host: number, newest: number, now: number): void {
    const oldest = this.attempts.oldestOf(host, newest);
    if (this.#attemptRecords.get(oldest, IS_WAITING) === 1) this.lapse(oldest, now);
    // The charge may have been one too many: then all of them are released already.
    if (this.#records.get(host, GONE) === 0) this.attempts.release(oldest);
  }

  /** An attempt waits for its answer. */
  wait(attempt: number, now: number): void {
    // The oldest attempt that had to make room may have been one too many.
    if (this.#records.get(this.#attemptRecords.get(attempt, HOST), GONE) === 1) return;
    this.attempts.wait(attempt);
    if (this.attempts.waiting > WAITING_MAX) this.lapse(this.attempts.oldestWaiting, now);
  }

  /** The patience for an attempt has run out. */
  lapse(attempt: number, now: number): void {
    this.attempts.stopWaiting(attempt);
    const host = this.#attemptRecords.get(attempt, HOST);
    if (this.isStanding(host, now) || this.isNetworkStanding(this.#hosts.keyOf(host))) return;
    this.chargeChallenge(attempt, now);
  }

  /** A challenge was left unanswered. */
  chargeChallenge(attempt: number, now: number): void {
    const attempts = this.#attemptRecords;
    const host = attempts.get(attempt, HOST);
    if (this.isLearning(now)) return this.settle(host);
    const repeated = this.#records.get(host, POINTS) % ATTEMPT_POINTS === CHALLENGE_POINTS;
    const points = repeated ? REPEATED_CHALLENGE_POINTS : CHALLENGE_POINTS;
    attempts.set(attempt, CHARGED, points);
    this.#records.add(host, SOFT, points);
    this.#hosts.count(host, UNANSWERED, now);
    this.#add(host, points, attempt, now);
  }

  /** What was charged as an unanswered challenge has become an attempt. */
  harden(host: number, attempt: number): void {
    const attempts = this.#attemptRecords;
    if (attempts.get(attempt, CHARGED) === 0) return;
    attempts.set(attempt, CHARGED, 0);
    this.#records.add(host, SOFT, -CHALLENGE_POINTS);
  }

  /**
   * A host has failed: what it costs is on its account, in its session.
   *
   * @param session In which.
   */
  fail(host: number, points: number, event: SecurityEvent, now: number, session: number): void {
    const hosts = this.#records;
    const key = this.#hosts.keyOf(host);
    this.late.count(key);
    // To make room for this attempt an older one was charged, which was one too many.
    if (hosts.get(host, GONE) === 1) return;
    // What its challenge has cost counts from now on as failed.
    const cost = points < ATTEMPT_POINTS ? ATTEMPT_POINTS : points;
    const before = hosts.get(host, FAILED_SESSION);
    this.#accountsFailed.add(host, event, cost, event.provesPath, session, before);
    if (before === NO_SESSION) hosts.set(host, FAILED_SESSION, session);
    else if (before !== session || session === OWN_SESSION) {
      hosts.set(host, FAILED_SESSION, SEVERAL_SESSIONS);
    }
    const standing = this.isStanding(host, now);
    // Whoever mistypes once or twice is not watched for a proxy.
    if (standing && hosts.get(host, POINTS) >= 2 * ATTEMPT_POINTS) {
      this.proxies.failed(key, event.account, now);
      this.standing.watch(key);
    }
    const network = this.networkOf(key);
    if (network !== undefined) {
      const how = { standing, proven: event.provesPath };
      this.#networkFailures.add(network, key as string, cost, how, now);
    }
    const isGuarded = this.guard.watches(now) && !standing && GUESSES[event.type]! &&
      !(network !== undefined && this.standing.hasIn(network)) &&
      this.guard.fails(event, guardKey(key, network), now);
    this.#add(host, points, event, now, session);
    if (isGuarded) this.#guardAgainst(host, event, now);
    if (network !== undefined) this.#judgeNetwork(network, host, standing, event, now);
  }

  /**
   * A stranger has failed on a guarded account. They keep their points: this makes nobody wait for
   * the block that their own attempts are worth.
   */
  #guardAgainst(host: number, event: SecurityEvent, now: number): void {
    if (this.#records.get(host, GONE) === 1) return;
    const key = this.#hosts.keyOf(host);
    if (this.#shortBlocks.restsGuarded(key, event.provesPath, this.#policy, now)) return;
    this.guard.takeBlock(event);
    const offence = this.#offenceOf(host, event, "guarded account", now);
    // It rests on this failure alone.
    this.#offences.push({ ...offence, proven: event.provesPath });
    this.late.blocked(key, now);
  }

  /**
   * A login from a host forgives its unanswered challenges, its failures on that account, and so
   * many others as are forgiven in a day.
   *
   * @returns The points that it had.
   */
  forgive(event: SecurityEvent, now: number): number {
    const host = this.#hosts.find(event.host);
    if (host === NONE) return 0;
    const hosts = this.#records;
    const before = hosts.get(host, POINTS);
    if (hosts.get(host, FAILED_SESSION) === NO_SESSION) {
      this.remove(host);
      return before;
    }
    const network = this.networkOf(event.host);
    this.guard.succeeds(event, guardKey(event.host, network), now);
    const failed = before - hosts.get(host, SOFT);
    // chan_sip prints the dialled number for the account of a call: it proves nothing about the
    // failures on that.
    const own = event.service === "SIP" ? 0 : this.#accountsFailed.forgive(host, event);
    const payer = network ?? event.host;
    const left = this.#policy.creditMs > 0 ? this.#forgiveness.left(payer, now) : 0;
    const others = this.#accountsFailed.forgiveAny(host, Math.max(0, Math.min(failed - own, left)));
    this.#forgiveness.use(payer, others, now);
    const rest = Math.max(0, failed - own - others);
    if (network !== undefined) {
      this.#networkFailures.forgive(network, event.address, own + others, rest);
    }
    if (rest === 0) {
      this.remove(host);
      return before;
    }
    hosts.set(host, MAYBE_STANDING, 1);
    this.#leave(host, own + others, rest);
    return before;
  }

  /** Puts a host behind all others that are as guilty, and makes room for it. */
  settle(host: number): void {
    if (this.#records.get(host, GONE) === 1) return;
    this.#hosts.settle(host);
    if (this.#hosts.size <= HOSTS_MAX) return;
    this.#evicted++;
    this.remove(this.#hosts.leastGuilty());
  }

  /** Takes a host out of the table. What it says stays readable until the next host is made. */
  remove(host: number): void {
    if (this.#records.get(host, GONE) === 1) return;
    this.attempts.releaseAll(host);
    if (this.#records.get(host, POINTS) > 0) this.last.forget(host);
    if (this.#records.get(host, FAILED_SESSION) !== NO_SESSION) {
      this.#accountsFailed.remove(host);
      this.attempts.forgetBursts(host);
    }
    this.#hosts.remove(host);
  }

  /** Points at which a host is blocked. */
  limitOf(host: number, now: number): number {
    const limit = ATTEMPT_POINTS * this.#policy.loyalty;
    if (this.isStanding(host, now)) return limit * STANDING_LIMIT_FACTOR;
    if (this.#strict === undefined) return limit;
    const strictness = this.#strictnessOf(host);
    if (strictness === IS_LIKE_OTHERS) return limit;
    return strictness === IS_BARRED ? BARRED_LIMIT : ATTEMPT_POINTS;
  }

  /**
   * Whether a stranger is blocked when they first appear: not while nobody is known yet.
   *
   * @param host Not in good standing.
   */
  isBarred(host: number, now: number): boolean {
    return this.#bars && this.#strictnessOf(host) === IS_BARRED && !this.isLearning(now);
  }

  /** How many attempts a stranger has. It is asked once, as most hosts fail many times. */
  #strictnessOf(host: number): number {
    let known = this.#records.get(host, STRICT);
    const key = this.#hosts.keyOf(host);
    if (known === 0) {
      if (this.#strict!.whyBarred?.(key) !== undefined) known = IS_BARRED;
      else known = this.#strict!.whyStrict(key) === undefined ? IS_LIKE_OTHERS : IS_STRICT;
      this.#records.set(host, STRICT, known);
    }
    return this.isNetworkStanding(key) ? IS_LIKE_OTHERS : known;
  }

  /** Others may have one attempt now. */
  recheckStrict(): void {
    for (const host of this.#hosts.values()) this.#records.set(host, STRICT, 0);
  }

  /** Whether a host is in good standing. For almost all of them the record answers that. */
  isStanding(host: number, now: number): boolean {
    return this.#records.get(host, MAYBE_STANDING) === 1 &&
      this.isInGoodStanding(this.#hosts.keyOf(host), now);
  }

  /** Whether an IPv6 host has a neighbour that logged in: it may be the same phone. */
  isNetworkStanding(address: HostKey): boolean {
    const network = this.networkOf(address);
    return network !== undefined && this.standing.hasIn(network);
  }

  /** Any host of the table may be in good standing now, without a login. */
  recheckStanding(): void {
    for (const host of this.#hosts.values()) this.#records.set(host, MAYBE_STANDING, 1);
  }

  /** Whether an address is in good standing at a clock value. */
  isInGoodStanding(address: HostKey, now: number): boolean {
    const credit = this.#policy.creditMs;
    return credit > 0 && this.standing.has(address, now - credit);
  }

  /** Whether a host is never charged. */
  isExempt(key: HostKey): boolean {
    return this.#exempt.has(key);
  }

  /** The IPv6 network with which an address is counted; none where each address is a host. */
  networkOf(address: HostKey): string | undefined {
    if (typeof address === "number") return undefined;
    const network = this.#networks.of(address);
    return network === address ? undefined : network;
  }

  /**
   * Adds points to a host, which may be one too many.
   *
   * @param from The event, or the attempt that was left unanswered.
   */
  #add(host: number, points: number, from: SecurityEvent | number, now: number, session = 0): void {
    const hosts = this.#records;
    if (hosts.get(host, GONE) === 1) return;
    const sum = hosts.add(host, POINTS, points);
    this.last.note(host, from, this.attempts, points, now);
    const limit = this.limitOf(host, now);
    if (sum < limit) {
      this.settle(host);
      return;
    }
    const key = this.#hosts.keyOf(host);
    const by = typeof from === "number" ? this.attempts.originOf(from) : from;
    const isPair = this.#accountsFailed.isPair(host);
    const grounds = groundsOf(hosts, host, limit, this.isStanding(host, now), isPair);
    if (this.#shortBlocks.isOpen(key, grounds, this.#policy, now)) {
      // More would only fill the table of ranks: with the next failure it is too much again.
      hosts.set(host, POINTS, limit);
      return this.settle(host);
    }
    const forbears = this.#shortBlocks.forbears(key, grounds, session, this.#policy, now);
    if (forbears) return this.#forbear(host);
    const offence = this.#offenceOf(host, by, grounds, now);
    this.remove(host);
    this.late.blocked(key, now);
    this.#offences.push(offence);
  }

  /** What a host has done. */
  #offenceOf(host: number, from: AttemptOrigin, grounds: Grounds, now: number): Offence {
    const key = this.#hosts.keyOf(host);
    const by = { ...originOf(from), target: keyText(key), address: keyText(key) };
    const limit = this.limitOf(host, now);
    const points = this.#records.get(host, POINTS);
    const row = this.#shortBlocks.next(key, grounds, this.#policy, now);
    const proven = this.#accountsFailed.provenOf(host) >= limit;
    const past = { tally: this.#hosts.tallyOf(host), last: this.last.of(host) };
    const firstAt = this.#records.time(host, FIRST_AT);
    const offence = { ...by, ...past, points, limit, grounds, row, proven, firstAt, at: now };
    const isMore = grounds !== "guarded account" && this.#shortBlocks.takeGuarded(key);
    const strict = limit < ATTEMPT_POINTS * this.#policy.loyalty
      ? this.#strict?.whyStrict(key)
      : undefined;
    return {
      ...offence,
      ...(strict === undefined ? {} : { strict }),
      ...(isMore ? { renews: true } : {}),
    };
  }

  /** The hosts of an IPv6 network may be one guesser: whether they have gone too far together. */
  #judgeNetwork(
    network: string,
    host: number,
    standing: boolean,
    event: SecurityEvent,
    now: number,
  ): void {
    const limit = ATTEMPT_POINTS * this.#policy.loyalty;
    const shared = this.standing.hasIn(network) || this.#policy.exempt.overlaps(network);
    const limits = { strange: limit, own: limit * STANDING_LIMIT_FACTOR };
    const excess = this.#networkFailures.judge(network, limits, shared, standing);
    const { verdict, points, proven, firstAt } = excess;
    // Its last host may have gone too far by itself: then it is blocked already.
    const isGone = this.#records.get(host, GONE) === 1;
    if (verdict === "nothing" || (verdict === "host" && isGone)) return;
    const target = verdict === "host" ? event.address : network;
    const grounds = shared ? "shared network" : "attempts";
    this.late.blocked(verdict === "host" ? event.host : network, now);
    const by = { ...originOf(event), target, address: event.address };
    const row = this.#shortBlocks.next(network, grounds, this.#policy, now);
    const tally = { ...NO_TALLY, wrongAnswers: Math.ceil(points / ATTEMPT_POINTS) };
    const past = { points, limit, tally, last: this.last.of(host), firstAt, at: now };
    this.#offences.push({ ...by, ...past, grounds, row, proven });
    // A host that is blocked begins anew; in a network it keeps its points, by which it is not
    // innocent there.
    if (verdict === "host") {
      this.#shortBlocks.blockedInNetwork(event.host, now, this.#policy.creditMs);
      this.remove(host);
    }
  }

  /** Of all that a host has failed one attempt is left. */
  #forbear(host: number): void {
    const failed = this.#records.get(host, POINTS) - this.#records.get(host, SOFT);
    const forborne = this.#accountsFailed.forgiveAny(host, failed - ATTEMPT_POINTS);
    const key = this.#hosts.keyOf(host);
    const network = this.networkOf(key);
    if (network !== undefined) {
      this.#networkFailures.forgive(network, keyText(key), forborne, ATTEMPT_POINTS);
    }
    this.#leave(host, forborne, ATTEMPT_POINTS);
  }

  /**
   * Points of a host are gone, and with them its unanswered challenges.
   *
   * @param forgiven Points that it failed.
   * @param rest Points that it has left.
   */
  #leave(host: number, forgiven: number, rest: number): void {
    const hosts = this.#records;
    this.attempts.settleAll(host);
    hosts.set(host, POINTS, rest);
    hosts.set(host, SOFT, 0);
    this.#accountsFailed.forgiveProven(host, forgiven);
    this.#hosts.forgiveTally(host, Math.floor(forgiven / ATTEMPT_POINTS));
    this.settle(host);
  }
}

function groundsOf(
  records: Records,
  host: number,
  limit: number,
  standing: boolean,
  isPair: boolean,
): Grounds {
  if (standing) return "good standing";
  if (records.get(host, POINTS) - records.get(host, SOFT) < limit) return "unanswered";
  if (records.get(host, FAILED_SESSION) !== SEVERAL_SESSIONS) return "single session";
  return isPair ? "two phones" : "attempts";
}

function originOf({ service, transport, account }: AttemptOrigin): AttemptOrigin {
  return { service, transport, account };
}

/** Without good standing nobody could be told from a stranger. */
function guardRule({ guardHosts = 0, guardWindowMs = 0, creditMs }: PenaltyPolicy): {
  hosts: number;
  windowMs: number;
} {
  return { hosts: creditMs > 0 ? guardHosts : 0, windowMs: guardWindowMs };
}
