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
import { GoodStanding, IS_FRESH, IS_WATCHED } from "./good_standing.ts";
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
  UNANSWERED,
} from "./hosts.ts";
import { KeptHosts } from "./kept_hosts.ts";
import { LastFailures } from "./last_failures.ts";
import { LateAttempts } from "./late_attempts.ts";
import { NetworkFailures } from "./network_failures.ts";
import type { Grounds, Offence } from "./offence.ts";
import { Insiders } from "./insiders.ts";
import { Pardons } from "./pardons.ts";
import type { PenaltyPolicy } from "./policy.ts";
import type { Records } from "./records.ts";
import { accountHash } from "./secret_hash.ts";
import { ShortBlocks } from "./short_blocks.ts";
import { SlowGuesses } from "./slow_guesses.ts";
import { SlowJudge } from "./slow_judge.ts";
import { ProxySigns } from "./proxy_signs.ts";
import { Strictness } from "./strictness.ts";

/** By the type of an event: whether a password was tried, not only a name or an address refused. */
const GUESSES = EVENT_TYPES.map(({ kind }) =>
  kind === "ChallengeResponseFailed" || kind === "InvalidPassword"
);

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
  readonly slow = new SlowGuesses();
  readonly slowJudge: SlowJudge;
  readonly insiders = new Insiders();
  readonly #hosts: Hosts;
  readonly #records: Hosts["records"];
  readonly #attemptRecords: Attempts["records"];
  policy: PenaltyPolicy;
  #networks: HostNetworks;
  readonly #accountsFailed = new FailedAccounts();
  readonly shortBlocks: ShortBlocks;
  readonly #pardons: Pardons;
  readonly #networkFailures = new NetworkFailures();
  #offences: Offence[] = [];
  /** Until then unanswered challenges cost nothing: who belongs here is not known yet. */
  learnsUntil = -Infinity;
  readonly #exempt: ExemptHosts;
  readonly strictness: Strictness;
  /** Hosts that were forgotten because there were too many. */
  evicted = 0;

  /**
   * Nobody is charged yet.
   *
   * @param policy The rules.
   * @param hosts The hosts.
   */
  constructor(policy: PenaltyPolicy, hosts: Hosts) {
    this.policy = policy;
    this.#hosts = hosts;
    this.#records = hosts.records;
    this.attempts = new Attempts(hosts.records);
    this.#attemptRecords = this.attempts.records;
    this.#networks = new HostNetworks(policy.ipv6Prefix, policy.nat64 ?? []);
    this.#networkFailures.setForget(policy.forgetMs);
    this.guard = new AccountGuard(guardRule(policy));
    this.standing = new GoodStanding(this.#networks);
    this.shortBlocks = new ShortBlocks(this.standing);
    this.#exempt = new ExemptHosts(policy.exempt, this.#networks);
    this.strictness = new Strictness(hosts, this, policy.strict);
    this.slow.setForget(policy.forgetMs);
    this.slowJudge = new SlowJudge(hosts, this.#accountsFailed, this.slow);
    const failed = { accountsFailed: this.#accountsFailed, networkFailures: this.#networkFailures };
    const { attempts, guard, slow } = this;
    this.kept = new KeptHosts({ ...failed, hosts, slow }, this);
    this.#pardons = new Pardons({ ...failed, hosts, attempts, guard }, this);
  }

  /** The hosts that have gone too far since the last call. */
  takeOffences(): Offence[] {
    const offences = this.#offences;
    if (offences.length > 0) this.#offences = [];
    return offences;
  }

  /** Changes the rules. Hosts that are exempt now lose their points. */
  setPolicy(policy: PenaltyPolicy): void {
    const prefixChanged = policy.ipv6Prefix !== this.policy.ipv6Prefix ||
      String(policy.nat64 ?? []) !== String(this.policy.nat64 ?? []);
    this.policy = policy;
    this.guard.setRule(guardRule(policy));
    this.#networkFailures.setForget(policy.forgetMs);
    this.slow.setForget(policy.forgetMs);
    for (const [key, host] of [...this.#hosts.entries()]) {
      if (policy.exempt.overlaps(keyText(key))) this.remove(host);
    }
    if (prefixChanged) {
      this.#networks = new HostNetworks(policy.ipv6Prefix, policy.nat64 ?? []);
      this.standing.setNetworks(this.#networks);
      this.#networkFailures.clear();
    }
    this.#exempt.set(policy.exempt, this.#networks);
    this.strictness.set(policy.strict);
    this.recheckStanding();
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
    } else if (now - this.#records.time(host, LAST_AT) > this.policy.forgetMs) {
      this.forget(host);
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
    if (now < this.learnsUntil) return this.settle(host);
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
    if (standing) {
      if (GUESSES[event.type]!) this.#judgeInsider(host, event, session, now);
    } else if (this.slow.size > 0) this.#judgeSlow(host, event, now);
    if (network !== undefined) this.#judgeNetwork(network, host, standing, event, now);
  }

  /**
   * A stranger has failed on a guarded account. They keep their points: this makes nobody wait for
   * the block that their own attempts are worth.
   */
  #guardAgainst(host: number, event: SecurityEvent, now: number): void {
    if (this.#records.get(host, GONE) === 1) return;
    const key = this.#hosts.keyOf(host);
    if (this.shortBlocks.restsGuarded(key, event.provesPath, this.policy, now)) return;
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
    return this.#pardons.forgive(host, event, this.networkOf(event.host), now);
  }

  /** Puts a host behind all others that are as guilty, and makes room for it. */
  settle(host: number): void {
    if (this.#records.get(host, GONE) === 1) return;
    this.#hosts.settle(host);
    if (this.#hosts.size <= HOSTS_MAX) return;
    this.evicted++;
    this.remove(this.#hosts.leastGuilty());
  }

  /** A host was quiet for long enough: its points are gone, but not what it has failed. */
  forget(host: number): void {
    const key = this.#hosts.keyOf(host);
    const isStranger = !this.isStanding(host, this.#records.time(host, LAST_AT));
    if (isStranger) this.slowJudge.keep(host, this.networkOf(key) ?? key);
    this.remove(host);
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
    const limit = ATTEMPT_POINTS * this.policy.loyalty;
    if (this.isStanding(host, now)) return limit * STANDING_LIMIT_FACTOR;
    return this.strictness.limitOf(host, limit);
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

  /** Forgets hosts that have been quiet, and the good standing of those that never log in. */
  advance(now: number): void {
    const { creditMs, forgetMs } = this.policy;
    for (const quiet of this.#hosts.quietSince(now - forgetMs)) this.forget(quiet);
    this.standing.forgetBefore(now - creditMs, (key) => {
      if (creditMs > 0) this.slow.excuse(this.networkOf(key) ?? key, now);
    });
    this.late.expire(now);
    this.guard.advance(now);
    this.slow.advance(now);
    this.insiders.advance(now);
  }

  /**
   * A login ends the rows of short blocks, takes away what is remembered beyond points, and puts
   * its host into good standing. What has not changed since the last one costs little.
   */
  logsIn(event: SecurityEvent, now: number): void {
    const network = this.networkOf(event.host);
    this.shortBlocks.end(event.host, network);
    const account = accountHash(event);
    const told = this.policy.creditMs === 0
      ? IS_FRESH
      : this.standing.login(event.host, now, event.transport !== "UDP", account);
    if ((told & IS_WATCHED) !== 0) this.proxies.succeeded(event.host, event.account);
    if ((told & IS_FRESH) === 0) return;
    if (this.slow.size > 0) this.slow.forgive(network ?? event.host);
    this.insiders.logsIn(network ?? event.host, event, now, account);
  }

  /** Any host of the table may be in good standing now, without a login. */
  recheckStanding(): void {
    for (const host of this.#hosts.values()) this.#records.set(host, MAYBE_STANDING, 1);
  }

  /** Whether an address is in good standing at a clock value. */
  isInGoodStanding(address: HostKey, now: number): boolean {
    const credit = this.policy.creditMs;
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

  /** Whether an IPv6 network is not only the guesser's. */
  #isShared(network: string): boolean {
    return this.standing.hasIn(network) || this.policy.exempt.overlaps(network);
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
    if (this.shortBlocks.isOpen(key, grounds, this.policy, now)) {
      // More would only fill the table of ranks: with the next failure it is too much again.
      hosts.set(host, POINTS, limit);
      return this.settle(host);
    }
    if (this.shortBlocks.forbears(key, grounds, session, this.policy, now)) {
      return this.#pardons.forbear(host, this.networkOf(key));
    }
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
    const row = this.shortBlocks.next(key, grounds, this.policy, now);
    const proven = this.#accountsFailed.provenOf(host) >= limit;
    const past = { tally: this.#hosts.tallyOf(host), last: this.last.of(host) };
    const firstAt = this.#records.time(host, FIRST_AT);
    const offence = { ...by, ...past, points, limit, grounds, row, proven, firstAt, at: now };
    const isMore = grounds !== "guarded account" && this.shortBlocks.takeGuarded(key);
    const strict = limit > ATTEMPT_POINTS ? {} : this.strictness.why(key);
    const apart = grounds === "attempts" ? this.#accountsFailed.apartOf(host) : undefined;
    return {
      ...offence,
      ...strict,
      ...(apart === undefined ? {} : { apart }),
      ...(isMore ? { renews: true } : {}),
    };
  }

  /** A stranger has failed: it may be a guesser whose points are forgotten each time. */
  #judgeSlow(host: number, event: SecurityEvent, now: number): void {
    const network = this.networkOf(event.host);
    const target = network ?? event.host;
    if (!this.slow.has(target) || this.#records.get(host, GONE) === 1) return;
    if (network !== undefined && this.#isShared(network)) return;
    const excess = this.slowJudge.judge(host, target, this.policy.loyalty, now);
    if (excess === undefined) return;
    const offence = this.#offenceOf(host, event, excess.grounds, now);
    this.#offences.push({ ...offence, ...excess, target: keyText(target) });
    this.remove(host);
    this.late.blocked(target, now);
  }

  /** Who belongs here has failed: it may be on the accounts of others. */
  #judgeInsider(host: number, event: SecurityEvent, session: number, now: number): void {
    const key = this.#hosts.keyOf(host);
    const blocks = this.policy.insider === "block";
    const whose = this.networkOf(key) ?? key;
    const found = this.insiders.fails(whose, event, session, now, blocks, accountHash(event));
    if (!found || !blocks || this.#records.get(host, GONE) === 1) return;
    if (this.shortBlocks.isOpen(key, "insider", this.policy, now)) return;
    const offence = this.#offenceOf(host, event, "insider", now);
    // It rests on this failure alone.
    this.#offences.push({ ...offence, proven: event.provesPath });
    this.late.blocked(key, now);
  }

  /** The hosts of an IPv6 network may be one guesser: whether they have gone too far together. */
  #judgeNetwork(
    network: string,
    host: number,
    standing: boolean,
    event: SecurityEvent,
    now: number,
  ): void {
    const limit = ATTEMPT_POINTS * this.policy.loyalty;
    const shared = this.#isShared(network);
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
    const row = this.shortBlocks.next(network, grounds, this.policy, now);
    const tally = { ...NO_TALLY, wrongAnswers: Math.ceil(points / ATTEMPT_POINTS) };
    const past = { points, limit, tally, last: this.last.of(host), firstAt, at: now };
    this.#offences.push({ ...by, ...past, grounds, row, proven });
    // A host that is blocked begins anew; in a network it keeps its points, by which it is not
    // innocent there.
    if (verdict === "host") {
      this.shortBlocks.blockedInNetwork(event.host, now, this.policy.creditMs);
      this.remove(host);
    }
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
