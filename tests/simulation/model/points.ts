/**
 * Points of hosts and of their networks, and what is blocked when they are too many.
 *
 * @module
 */

import type { Belonging } from "./belonging.ts";
import type { Grounds } from "./ban_time.ts";
import type { Blocks } from "./blocks.ts";
import { Forgiveness } from "./forgiveness.ts";
import type { Happening } from "./happening.ts";
import { closeAttempts, type Host, type Hosts, takeFromAccounts } from "./hosts.ts";
import { Guard } from "./guard.ts";
import type { Block } from "../../../src/blocks/block.ts";
import type { Insiders } from "./insiders.ts";
import { Neighbours } from "./neighbours.ts";
import { Networks } from "./networks.ts";
import { isOpen, LATE, mostInRow, Rows } from "./rows.ts";
import type { RuleBook } from "./rules.ts";
import { type SlowCounts, together } from "./slow.ts";
import { SECOND } from "./units.ts";

/** A shared network is blocked after so many blocks of its hosts. */
const BLOCKS_BEFORE_NETWORK = 8;

/** Begins the name of a session to which nothing else belongs. */
const OWN = "own ";

/** Whether two phones with wrong passwords may have failed: two accounts, a session each. */
function isPair(host: Host): boolean {
  const [one, other] = [...host.sessionsOf.values()].map((sessions) => [...sessions]);
  if (host.accounts.size !== 2 || one?.length !== 1 || other?.length !== 1) return false;
  const [a, b] = [one[0]!, other[0]!];
  if (a === b || a.startsWith(OWN) || b.startsWith(OWN)) return false;
  return Math.max(...host.accounts.values()) >= 2 * 5;
}

/** What points are about. */
interface PointsOptions {
  readonly rules: RuleBook;
  readonly belonging: Belonging;
  readonly blocks: Blocks;
  readonly hosts: Hosts;
  readonly slow: SlowCounts;
  readonly insiders: Insiders;
}

/** The points that one process of the daemon counts. */
export class Points {
  readonly #rules: RuleBook;
  readonly #belonging: Belonging;
  readonly #blocks: Blocks;
  readonly #hosts: Hosts;
  readonly #slow: SlowCounts;
  readonly #insiders: Insiders;
  readonly #networks: Networks;
  readonly #rows: Rows;
  readonly #forgiven = new Forgiveness();
  readonly #guard: Guard;
  readonly #neighbours: Neighbours;

  /** @param options See {@linkcode PointsOptions}. */
  constructor({ rules, belonging, blocks, hosts, slow, insiders }: PointsOptions) {
    this.#slow = slow;
    this.#insiders = insiders;
    this.#rules = rules;
    this.#belonging = belonging;
    this.#blocks = blocks;
    this.#hosts = hosts;
    this.#networks = new Networks(rules);
    this.#rows = new Rows(rules);
    this.#guard = new Guard(rules);
    this.#neighbours = new Neighbours(rules, belonging, blocks);
  }

  /** A failure: it costs at least an attempt of its account and its network. */
  fail(
    host: Host,
    points: number,
    happening: Happening,
    session: string | undefined,
    now: number,
    wall: number,
  ): void {
    const { address, service, account = "" } = happening;
    const cost = Math.max(5, points);
    // No login forgives what chan_sip calls an account: it may be a dialled number.
    const name = service === "SIP" ? "of chan_sip" : `${service} ${account}`;
    const [only] = host.accounts.values();
    if (host.accounts.size === 1 && only === 0) host.accounts.clear();
    const sole = host.accounts.size === 1 ? [...host.accounts.keys()][0]! : undefined;
    const own = session ?? `${OWN}${service} ${now} ${host.sessions.size}`;
    if (sole !== undefined && sole !== name) {
      host.sessionsOf.set(sole, new Set(host.sessions)).set(name, new Set([own]));
    } else if (sole === undefined && host.accounts.size > 0) {
      host.sessionsOf.set(name, new Set([...host.sessionsOf.get(name) ?? [], own]));
    }
    host.accounts.set(name, (host.accounts.get(name) ?? 0) + cost);
    const proven = happening.transport !== "UDP" && service !== "SIP" ? cost : 0;
    host.proven += proven;
    host.sessions.add(own);
    const standing = this.#belonging.isStanding(address, now);
    const network = this.#belonging.networkOf(address);
    if (network !== undefined) this.#networks.fail(network, address, standing, cost, proven, now);
    const isGuarded = this.#isGuarded(happening, standing, now);
    this.add(host, points, now, wall, own);
    if (isGuarded) this.#guardAgainst(host, proven > 0, now, wall);
    if (standing) this.#judgeInsider(host, happening, session, now, wall);
    else this.#judgeSlow(host, now, wall);
    if (network !== undefined) this.#judge(network, host, standing, now, wall);
  }

  /** A host is known again: what it has failed counts for its network too. */
  restore(host: Host): void {
    const { address, points, soft, proven, lastAt } = host;
    const network = this.#belonging.networkOf(address);
    if (network === undefined || points === soft) return;
    const standing = this.#belonging.isStanding(address, lastAt);
    const failed = points - soft;
    this.#networks.fail(network, address, standing, failed, Math.min(proven, failed), lastAt);
  }

  /** Whether it failed on an account that is guarded, and belongs nowhere. */
  #isGuarded({ what, isGuess, ...by }: Happening, standing: boolean, now: number): boolean {
    if (what !== "wrong" && !isGuess) return false;
    const isOwn = standing || this.#belonging.hasStandingNeighbour(by.address);
    if (isOwn) {
      this.#rules.visit("guard: who belongs here is left alone");
      return false;
    }
    return this.#guard.fail(nameOf(by), this.#belonging.network(by.address), now);
  }

  #guardAgainst(host: Host, proven: boolean, now: number, wall: number): void {
    // Whoever went too far by themselves is blocked for that.
    if (this.#hosts.get(host.address) !== host) return;
    const last = this.#rows.guards.get(host.address);
    const { bantime, bantimeMax } = this.#rules.values;
    const first = Math.min(25 * SECOND, bantime || Infinity, bantime && bantimeMax || Infinity);
    const rest = Math.max(LATE, last?.count === 1 ? first + (proven ? 60 : 11) * SECOND : 0);
    if (last !== undefined && now - last.at < rest) {
      return this.#rules.visit(
        now - last.at < LATE
          ? "guard: it was under way, the same block"
          : "guard: others behind the first block may come back",
      );
    }
    this.#rules.visit("guard: a stranger fails on an account that is guarded");
    const { credit, forget } = this.#rules.values;
    const most = Math.max(credit, forget);
    const row = this.#rows.next(this.#rows.guards, host.address, most, now);
    this.#decide(host.address, "guarded account", row, proven, wall);
  }

  /** Blocks who belongs here and guesses at accounts of others. */
  #judgeInsider(
    host: Host,
    happening: Happening,
    session: string | undefined,
    now: number,
    wall: number,
  ): void {
    const { what, isGuess, answer, transport, service } = happening;
    if (what !== "wrong" && !isGuess) return;
    const name = this.#belonging.network(host.address);
    const guesses = this.#insiders.fail(name, {
      account: nameOf(happening),
      session,
      answer,
      at: now,
    });
    if (!guesses || !this.#rules.values.blocksInsiders) return;
    if (this.#hosts.get(host.address) !== host) return;
    if (this.#isOpen(host.address, now)) return this.#rules.visit("insider: time to come back");
    const proven = transport !== "UDP" && service !== "SIP";
    this.#decide(host.address, "insider", this.#standingRow(host.address, now), proven, wall);
  }

  /** How many blocks of one that belongs here came before in a row. */
  #standingRow(address: string, now: number): number {
    const most = mostInRow(this.#belonging.standing.get(address), now);
    return this.#rows.next(
      this.#rows.shorts,
      address,
      Math.max(this.#rules.values.credit, this.#rules.values.forget),
      now,
      most,
      most === 0 ? Math.max(LATE, this.#standingBlock()) : LATE,
    );
  }

  /** Blocks a stranger who has guessed too often, all in all. */
  #judgeSlow(host: Host, now: number, wall: number): void {
    const past = this.#slow.of(this.#belonging.network(host.address), host.firstAt);
    if (past === undefined || this.#hosts.get(host.address) !== host) return;
    const sum = together(past, host);
    if (sum.count < 3 * this.#rules.values.loyalty) return;
    const network = this.#belonging.networkOf(host.address);
    if (network !== undefined && this.#belonging.isShared(network)) {
      return this.#rules.visit("slow: too many, in one network that somebody belongs to");
    }
    const target = network ?? host.address;
    this.#hosts.drop(host);
    this.#slow.blocked(target, sum, now);
    const grounds = sum.accounts === "several" ? "slow guesses" : "slow account";
    this.#decide(target, grounds, 0, sum.proven, wall, host.address);
  }

  /** Blocks a target, and the networks of which it is one too many. */
  #decide(
    target: string,
    grounds: Grounds,
    row: number,
    proven: boolean,
    wall: number,
    who = target,
  ): void {
    const guarded = this.#rows.guards.get(who);
    const renews = guarded !== undefined && !guarded.renewed && guarded.count > 0 &&
      grounds !== "guarded account" &&
      grounds !== "shared network";
    if (renews) guarded.renewed = true;
    const before = this.#blocks.get(target);
    const counts = this.#blocks.decide(target, grounds, row, proven, wall, renews);
    if (this.#blocks.get(target) !== before) this.#neighbours.restore(target, before, wall);
    if (counts) this.#neighbours.blocked(target, wall);
  }

  /** The daemon has dealt with all that it read at once. */
  settle(): void {
    this.#neighbours.settle();
  }

  /** A process begins with what the database holds. */
  begin(rows: readonly Block[]): void {
    this.#neighbours.begin(rows);
  }

  /** Somebody deleted a block by hand. */
  deleted(target: string): void {
    this.#neighbours.forget(target);
  }

  /** Adds points, and blocks a host that has too many. */
  add(host: Host, points: number, now: number, wall: number, session = ""): void {
    if (host.points === 0) host.firstAt = now;
    host.points += points;
    const standing = this.#belonging.isStanding(host.address, now);
    const limit = this.#limitOf(host.address, standing);
    if (host.points < limit) return;
    const grounds = standing
      ? "good standing"
      : host.points - host.soft < limit
      ? "unanswered"
      : host.sessions.size === 1
      ? "single session"
      : isPair(host)
      ? "two phones"
      : "attempts";
    if (grounds === "good standing" && this.#isOpen(host.address, now)) {
      this.#rules.visit("good standing: time to come back");
      host.points = limit;
      return;
    }
    const doubt = grounds === "single session" || grounds === "two phones";
    if (doubt && this.#isForborne(host.address, session, now)) {
      this.#rules.visit("doubt: forborne at the end of the first block");
      return this.#forbear(host);
    }
    this.#hosts.drop(host);
    const row = doubt
      ? this.#rows.next(this.#rows.doubts, host.address, this.#rules.values.forget, now)
      : grounds === "good standing"
      ? this.#standingRow(host.address, now)
      : 0;
    this.#decide(host.address, grounds, row, host.proven >= limit, wall);
  }

  /** How many points block a host: 5 for each attempt that it has. */
  #limitOf(address: string, standing: boolean): number {
    const { loyalty, strict, barred } = this.#rules.values;
    const isListed = strict.includes(address);
    if (standing) {
      if (isListed) this.#rules.visit("strict: but logged in");
      return 5 * 10 * loyalty;
    }
    if (!isListed) return 5 * loyalty;
    if (this.#belonging.hasStandingNeighbour(address)) {
      this.#rules.visit("strict: but a neighbour logged in");
      return 5 * loyalty;
    }
    if (barred.includes(address)) {
      this.#rules.visit("strict: a stranger has no attempt");
      return 1;
    }
    this.#rules.visit("strict: a stranger has one attempt");
    return 5;
  }

  /** Whether it is heard first at the end of its first block, and answers many times at once. */
  #isForborne(address: string, session: string, now: number): boolean {
    const length = this.#doubtBlock();
    const row = this.#rows.doubts.get(address);
    if (length === 0 || row === undefined || row.count !== 1) return false;
    const back = now - row.at - length;
    if (back < 0 || back > 120 * SECOND) return false;
    // Whose sessions are not known may be a single one who answers again and again.
    const phone = session.startsWith(OWN) ? OWN : session;
    const times = row.phones.get(phone) ?? [];
    const last = times.at(-1);
    if (last === undefined || now - last >= 20 * SECOND) {
      const before = [...row.phones.values()].flat().length;
      if (before === 4 || (last === undefined && row.phones.size === 2)) return false;
      row.phones.set(phone, [...times, now]);
      row.forborneUntil = Math.max(row.forborneUntil, now) + 15;
    }
    const bursts = [...row.phones.values()].flat().length;
    return now <= row.forborneUntil && ++row.forborne <= 8 * bursts;
  }

  /** How long the first block in doubt lasts. */
  #doubtBlock(): number {
    const { doubt, bantime } = this.#rules.values;
    return bantime > 0 ? Math.min(doubt, bantime) : doubt;
  }

  /** How long a block lasts of one who has logged in lately. */
  #standingBlock(): number {
    const { bantime, bantimeMax } = this.#rules.values;
    return Math.min(30 * SECOND, bantime || Infinity, bantimeMax || Infinity);
  }

  /** Whether its phones have time to come back after a block. */
  #isOpen(address: string, now: number): boolean {
    const { credit } = this.#rules.values;
    const block = this.#standingBlock();
    const loggedInAt = this.#belonging.standing.get(address);
    const connectedAt = this.#belonging.connected.get(address);
    const who = { block, credit, loggedInAt, connectedAt };
    if (isOpen(this.#rows.shorts.get(address), who, now)) return true;
    const doubt = this.#doubtBlock();
    // Seldom does a world go so far; tests/penalties/short_blocks_test.ts sees it.
    return doubt > 0 && isOpen(this.#rows.doubts.get(address), { ...who, block: doubt }, now);
  }

  #forbear(host: Host): void {
    const forborne = host.points - host.soft - 5;
    host.wrong -= Math.min(host.wrong, Math.floor(forborne / 5));
    takeFromAccounts(host, forborne);
    const network = this.#belonging.networkOf(host.address);
    if (network !== undefined) this.#networks.forgive(network, host, forborne, 5);
    closeAttempts(host);
    host.points = 5;
    host.soft = 0;
    host.proven = Math.max(0, host.proven - forborne);
  }

  /** Blocks a network whose hosts have gone too far together, or one of them. */
  #judge(name: string, host: Host, standing: boolean, now: number, wall: number): void {
    const shared = this.#belonging.isShared(name);
    const excess = this.#networks.judge(name, shared, standing);
    if (excess === undefined) return;
    const { network, proven } = excess;
    if (!shared) {
      this.#rules.visit("network: its hosts are blocked with it");
      this.#networks.drop(name);
      return this.#decide(name, "attempts", 0, proven, wall);
    }
    const forget = Math.max(this.#rules.values.credit, this.#rules.values.forget);
    if (++network.blocks > BLOCKS_BEFORE_NETWORK) {
      this.#rules.visit("network: shared, blocked after its hosts");
      network.blocks = 0;
      const row = this.#rows.next(this.#rows.shorts, name, forget, now);
      return this.#decide(name, "shared network", row, proven, wall);
    }
    // Whoever went too far alone is blocked already.
    if (this.#hosts.get(host.address) !== host) return;
    this.#rules.visit("network: shared, a host is blocked");
    const row = this.#rows.next(this.#rows.shorts, name, forget, now);
    this.#rows.next(this.#rows.shorts, host.address, this.#rules.values.credit, now);
    this.#hosts.drop(host);
    this.#decide(host.address, "shared network", row, proven, wall);
  }

  /** A login ends the rows of short blocks of a host. */
  endRows(address: string): void {
    const network = this.#belonging.networkOf(address);
    const { doubts, shorts, guards } = this.#rows;
    const rows = [doubts, shorts, guards].map((some) => this.#rows.end(some, address));
    // Whoever is new there shows that the network is not only the guesser's.
    if (network !== undefined && !this.#belonging.standing.has(address)) {
      rows.push(this.#rows.end(this.#rows.shorts, network));
    }
    if (rows.includes(true)) this.#rules.visit("row: ended by a login");
  }

  /** A login forgives failures of its host. */
  forgive(host: Host, account: string, now: number): void {
    if (host.sessions.size > 0) {
      this.#guard.forgive(account, this.#belonging.network(host.address));
    }
    const failed = host.points - host.soft;
    const own = host.accounts.get(account) ?? 0;
    const network = this.#belonging.networkOf(host.address);
    const payer = network ?? host.address;
    const others = this.#rules.values.credit > 0
      ? Math.min(failed - own, this.#forgiven.left(payer, now))
      : 0;
    if (own > 0) this.#rules.visit("login: forgives its account");
    if (others > 0) this.#rules.visit("login: forgives others");
    if (own + others < failed && this.#rules.values.credit > 0) {
      this.#rules.visit("login: forgiven enough today");
    }
    if (host.soft > 0) this.#rules.visit("login: unanswered challenges forgiven");
    if (others > 0) this.#forgiven.take(payer, others, now);
    const rest = failed - own - others;
    if (network !== undefined && failed > 0) {
      this.#networks.forgive(network, host, own + others, rest);
    }
    if (rest === 0) return this.#hosts.drop(host);
    host.wrong -= Math.min(host.wrong, Math.floor((own + others) / 5));
    if (own > 0) host.accounts.set(account, 0);
    takeFromAccounts(host, others);
    closeAttempts(host);
    host.points = rest;
    host.soft = 0;
    host.proven = Math.max(0, host.proven - own - others);
  }
}

/** An account is one of its service; Ampere keeps 80 characters of its name. */
function nameOf({ service, account = "" }: Pick<Happening, "service" | "account">): string {
  return `${service} ${account.slice(0, 80)}`;
}
