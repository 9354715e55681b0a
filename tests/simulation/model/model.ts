/**
 * What Ampere should do, as plainly as it can be said: no performance, no bounds, no I/O. It is
 * written from the rules in the documentation, not from the code, and knows only the traffic that
 * the simulation makes.
 *
 * @module
 */

import type { Block } from "../../../src/blocks/block.ts";
import { Belonging } from "./belonging.ts";
import { Blocks } from "./blocks.ts";
import type { Happening } from "./happening.ts";
import { type Attempt, type Host, Hosts, isFree } from "./hosts.ts";
import type { SlowRow } from "../../../src/blocks/slow_rows.ts";
import { Insiders } from "./insiders.ts";
import { KeptPoints, type Written } from "./kept_points.ts";
import { Points } from "./points.ts";
import { RuleBook, type Rules, type Visits } from "./rules.ts";
import { SlowCounts } from "./slow.ts";
import { SECOND } from "./units.ts";

/** A request is not repeated faster than T1 of RFC 3261. */
const REPEATED_AFTER = 400;
/** So many answers of a phone are one attempt, once in this time. */
const BURST = 15;
const BURST_REST = 30 * SECOND;
/**
 * After standing still for longer than this, nothing is charged before what has arrived is read.
 */
const STALL = 1 * SECOND;

/** An event is withheld for less than this. */
const WITHHELD_MAX = 1 * SECOND;

/** The model. Times are world times unless they are called wall times. */
export class Model {
  readonly blocks: Blocks;
  readonly belonging: Belonging;
  readonly #rules: RuleBook;
  #hosts: Hosts;
  readonly #slow: SlowCounts;
  readonly #insiders: Insiders;
  #points: Points;
  #lastTick = 0;
  /** An unknown account of which the next event will tell whether it was challenged. */
  #unknown: { happening: Happening; now: number } | undefined;
  #learnsUntil = -Infinity;
  readonly #kept: KeptPoints;
  /** When something of each address arrived last. */
  readonly #heardAt = new Map<string, number>();

  /**
   * @param rules What is configured.
   * @param visits Takes how often each rule decided something.
   */
  constructor(rules: Rules, visits: Visits) {
    this.#rules = new RuleBook(rules, visits);
    this.blocks = new Blocks(this.#rules);
    this.belonging = new Belonging(this.#rules);
    this.#slow = new SlowCounts(this.#rules);
    this.#insiders = new Insiders(this.#rules);
    this.#kept = new KeptPoints(this.#rules, this.belonging, this.blocks);
    this.#hosts = this.#newHosts();
    this.#points = this.#newPoints();
  }

  #newHosts(): Hosts {
    return new Hosts(this.#rules, (host) => {
      if (this.belonging.isStanding(host.address, host.lastAt)) return;
      this.#slow.keep(this.belonging.network(host.address), host);
    });
  }

  /**
   * A process begins: it knows no points yet.
   *
   * @param bornAt wall time at which the list was made
   * @param rows the blocks that the database holds
   */
  begin(now: number, wall: number, bornAt: number, rows: readonly Block[]): void {
    this.#unknown = undefined;
    this.#hosts = this.#newHosts();
    this.#slow.begin();
    this.#insiders.begin();
    this.#points = this.#newPoints();
    this.#points.begin(rows);
    this.#lastTick = now;
    const left = Math.min(this.#rules.values.learn, bornAt + this.#rules.values.learn - wall);
    this.#learnsUntil = left > 0 ? now + left : -Infinity;
    this.blocks.end(wall);
    this.setRules(this.#rules.values);
  }

  /** A process reads what the database remembers of slow guessers. */
  restoreSlow(rows: readonly SlowRow[], now: number, wall: number): void {
    this.#slow.restore(rows, now, wall);
  }

  /** The daemon has dealt with all that it read at once. */
  settle(): void {
    this.#points.settle();
  }

  /**
   * Whether the daemon, which withholds an event for a moment, has not taken all yet that has
   * arrived of hosts.
   *
   * @param hosts Canonical addresses.
   */
  isAhead(hosts: readonly string[], now: number): boolean {
    return hosts.some((host) => now - (this.#heardAt.get(host) ?? -Infinity) < WITHHELD_MAX);
  }

  /**
   * The daemon has written the points of hosts.
   *
   * @param put What it wrote.
   * @param gone Who has none any more.
   */
  keep(put: readonly Written[], gone: readonly string[], now: number, wall: number): void {
    this.#kept.keep(this.#hosts, put, gone, now, wall);
  }

  /**
   * A new process reads what is written.
   *
   * @param addresses Whose points stand in the file.
   * @param logins When hosts logged in last, wall times.
   */
  restore(
    addresses: readonly string[],
    logins: ReadonlyMap<string, number>,
    now: number,
    wall: number,
  ): void {
    const [hosts, points] = [this.#hosts, this.#points];
    this.#kept.restore({ hosts, points, slow: this.#slow }, addresses, logins, now, wall);
  }

  #newPoints(): Points {
    const { belonging, blocks } = this;
    const [rules, hosts, slow] = [this.#rules, this.#hosts, this.#slow];
    return new Points({ rules, belonging, blocks, hosts, slow, insiders: this.#insiders });
  }

  /** The configuration was read anew. */
  setRules(rules: Rules): void {
    this.#rules.values = rules;
    for (const host of this.#hosts.all()) {
      if (rules.trust.includes(host.address)) this.#hosts.drop(host);
    }
    for (const target of [...this.blocks.keys()]) {
      // A network stays, and lets them through.
      if (rules.trust.includes(target)) {
        this.#rules.visit("trust: a block ends");
        this.blocks.pardon(target);
      }
    }
  }

  /** Asterisk reported something. */
  take(happening: Happening, now: number, wall: number): void {
    const { what, address } = happening;
    if (what === "nothing") return;
    this.#heardAt.set(address, now);
    this.#meetUnknown(wall, happening);
    if (this.belonging.isTrusted(address)) return this.#rules.visit("trusted: free");
    switch (what) {
      case "unknown":
        this.#unknown = { happening, now };
        return;
      case "challenge":
        return this.#challenged(happening, now, wall);
      case "wrong":
        return this.#answered(happening, now, wall);
      case "refused":
      case "not now":
        return this.#refused(happening, now, wall);
      case "reported":
      case "manager":
        this.#rules.visit(`${what}: 5 points`);
        return this.#atOnce(happening, now, wall);
      case "not believed": {
        this.#rules.visit("not believed: 5 points");
        const host = this.#hosts.hear(address, now);
        host.wrong++;
        const believed = { ...happening, account: "", transport: "UDP" };
        return this.#points.fail(host, 5, believed, undefined, now, wall);
      }
      case "login":
        return this.#login(happening, now);
    }
  }

  #atOnce(happening: Happening, now: number, wall: number): void {
    const host = this.#hosts.hear(happening.address, now);
    if (happening.what === "manager" && !happening.isRefusal) host.wrong++;
    this.#points.fail(host, 5, happening, undefined, now, wall);
  }

  /**
   * PJSIP names an unknown account, and then does what it does for any: only if it does not, that
   * is a challenge. It counts from when it came; whom it blocks at once, as one that is barred, is
   * blocked from when that is known.
   */
  #meetUnknown(wall: number, next?: Happening): void {
    const unknown = this.#unknown;
    this.#unknown = undefined;
    if (unknown === undefined) return;
    const { happening: { address, session }, now } = unknown;
    if (next?.what !== "unknown" && next?.address === address && next.session === session) {
      return this.#rules.visit("unknown account: what follows is charged");
    }
    if (this.belonging.isTrusted(address)) return;
    if (this.#rules.values.patience === 0) {
      return this.#rules.visit("unknown account: without patience its challenge is charged");
    }
    this.#challenged(unknown.happening, now, wall);
  }

  /** The daemon has looked at its clock. */
  tick(now: number, wall: number): void {
    const stalled = now - this.#lastTick > STALL;
    this.#lastTick = now;
    this.settle();
    if (stalled) this.#rules.visit("stall: nothing is charged before all is read");
    else {
      this.#meetUnknown(wall);
      const waiting = this.#hosts.all().flatMap((host) => host.attempts)
        .filter((attempt) => attempt.waiting && attempt.at <= now - this.#rules.values.patience)
        .sort((a, b) => a.at - b.at);
      for (const attempt of waiting) {
        if (!attempt.waiting) continue;
        attempt.waiting = false;
        const { address } = attempt.host;
        if (
          this.belonging.isStanding(address, now) || this.belonging.hasStandingNeighbour(address)
        ) {
          this.#rules.visit("challenge: unanswered, but in good standing by then");
        } else this.#chargeChallenge(attempt, now, wall);
      }
      for (const host of this.#hosts.all()) {
        if (host.lastAt < now - this.#rules.values.forget) this.#hosts.forget(host);
      }
    }
    this.blocks.end(wall);
  }

  /** Ampere lets a network go that it had blocked for its hosts; whether it must. */
  letGo(network: string): boolean {
    this.#rules.visit("neighbours: released, as somebody belongs there");
    this.blocks.pardon(network);
    return this.belonging.isSomebodysToo(network);
  }

  /** A network that is blocked for its hosts though somebody belongs there. */
  get wrongNetwork(): string | undefined {
    return [...this.blocks].find(([target, { until, byHand }]) =>
      until !== undefined && !byHand && this.isForHosts(target) &&
      this.belonging.isSomebodysToo(target)
    )?.[0];
  }

  /** Whether a network is blocked for its hosts. */
  isForHosts(target: string): boolean {
    return (this.blocks.get(target)?.forHosts ?? false) || target.endsWith("/24") ||
      target.endsWith("/64") && this.#rules.values.ipv6Prefix === 128;
  }

  /** Somebody deleted a block by hand. */
  deleted(target: string): void {
    this.#rules.visit("pardon: deleted by hand");
    this.blocks.pardon(target);
    this.#points.deleted(target);
    this.#slow.forgiveIf((name) =>
      name === target || target.endsWith(".0/24") && name.startsWith(target.slice(0, -4)) ||
      isInIpv6(name.replace("::/64", "::"), target) || isInIpv6(target, name)
    );
    const network = target.endsWith(".0/24") ? target.slice(0, -"0/24".length) : "no IPv4 network";
    for (const host of this.#hosts.all()) {
      if (
        host.address === target || this.belonging.network(host.address) === target ||
        host.address.startsWith(network) || isInIpv6(host.address, target)
      ) {
        this.#hosts.drop(host);
      }
    }
  }

  // Events

  #challenged(happening: Happening, now: number, wall: number): void {
    const { address, session } = happening;
    const { patience } = this.#rules.values;
    if (this.belonging.isStanding(address, now)) {
      return this.#rules.visit("challenge: in good standing, free");
    }
    if (this.belonging.hasStandingNeighbour(address)) {
      return this.#rules.visit("challenge: a neighbour is in good standing, free");
    }
    const host = this.#hosts.hear(address, now);
    const known = this.#hosts.find(host, session, now);
    const isBarred = this.#rules.values.barred.includes(address) && now >= this.#learnsUntil;
    const waits = patience > 0 && !isBarred;
    if (known !== undefined && (waits || known.refused !== undefined)) {
      const same = happening.service === "PJSIP" || known.challenge === happening.challenge ||
        known.refused !== undefined || known.loggedIn;
      if (same && isFree(known)) return this.#rules.visit("challenge: repeated, free");
      if (same) this.#rules.visit("challenge: repeated too often");
    }
    const attempt = this.#hosts.open(host, happening, now);
    if (waits) attempt.waiting = true;
    else {
      this.#rules.visit("challenge: charged at once");
      this.#chargeChallenge(attempt, now, wall);
    }
  }

  #answered(happening: Happening, now: number, wall: number): void {
    const host = this.#hosts.hear(happening.address, now);
    const attempt = this.#hosts.find(host, happening.session, now) ??
      this.#hosts.open(host, happening, now);
    attempt.waiting = false;
    const answer = happening.answer!;
    if (attempt.answers.has(answer) && this.#isRetransmission(attempt, happening, now)) {
      return this.#rules.visit("wrong: retransmitted, free");
    }
    attempt.answers.add(answer);
    const first = ++attempt.answered === 1;
    if (first && attempt.refused !== undefined && isFree(attempt)) {
      return this.#rules.visit("wrong: answer to a refusal, free");
    }
    if (!first && this.#isInBurst(host, attempt, now)) {
      return this.#rules.visit("wrong: burst in good standing, free");
    }
    let points = 5 * (1 + attempt.burst);
    host.wrong += 1 + attempt.burst;
    if (attempt.burst > 0) this.#rules.visit("wrong: burst too long, all charged");
    attempt.burst = 0;
    if (first && attempt.refused === undefined) {
      this.#rules.visit(
        attempt.challengeCost > 0 ? "wrong: late answer, 1 point" : "wrong: first answer, 5 points",
      );
      points = complete(attempt);
    } else this.#rules.visit("wrong: further answer, 5 points");
    this.#points.fail(host, points, happening, sessionOf(happening), now, wall);
  }

  #isRetransmission(attempt: Attempt, { transport }: Happening, now: number): boolean {
    if (transport !== "UDP") {
      this.#rules.visit("wrong: retransmitted over a connection");
      return false;
    }
    if (attempt.repeatedAt !== undefined && now - attempt.repeatedAt < REPEATED_AFTER) {
      this.#rules.visit("wrong: retransmitted too fast");
      return false;
    }
    if (!isFree(attempt)) {
      this.#rules.visit("wrong: retransmitted too often");
      return false;
    }
    attempt.repeatedAt = now;
    return true;
  }

  /** Whether one more answer is part of what some phones send at once. */
  #isInBurst(host: Host, attempt: Attempt, now: number): boolean {
    if (!this.belonging.isStanding(host.address, now)) return false;
    if (attempt.burst === 0) {
      if (host.burstAt !== undefined && now - host.burstAt < BURST_REST) {
        this.#rules.visit("wrong: burst too soon after another");
        return false;
      }
      if (attempt.answered !== 2) return false;
      host.burstAt = now;
    }
    if (attempt.burst === BURST - 1) return false;
    attempt.burst++;
    return true;
  }

  #refused(happening: Happening, now: number, wall: number): void {
    const { what, address, session, account = "" } = happening;
    if (what === "not now" && this.belonging.isStanding(address, now)) {
      return this.#rules.visit("refused: not now, in good standing, free");
    }
    const host = this.#hosts.hear(address, now);
    const attempt = this.#hosts.find(host, session, now) ?? this.#hosts.open(host, happening, now);
    attempt.waiting = false;
    if (what === "not now" && attempt.loggedIn && isFree(attempt)) {
      return this.#rules.visit("refused: not now, after a login, free");
    }
    const before = attempt.refused;
    attempt.refused = account;
    const again = before === undefined ? attempt.answered > 0 : before === account;
    if (again && isFree(attempt)) return this.#rules.visit("refused: again, free");
    if (before !== undefined && before !== account) this.#rules.visit("refused: another account");
    this.#rules.visit("refused: 5 points");
    const points = before === undefined && !again ? complete(attempt) : 5;
    this.#points.fail(host, points, happening, sessionOf(happening), now, wall);
  }

  #login(happening: Happening, now: number): void {
    const { address, account = "" } = happening;
    const host = this.#hosts.get(address);
    this.#slow.forgive(this.belonging.network(address));
    if (host !== undefined) this.#points.forgive(host, `PJSIP ${account}`, now);
    this.#points.endRows(address);
    if (this.#rules.values.credit > 0) {
      this.belonging.standing.set(address, now);
      this.#insiders.logsIn(this.belonging.network(address), `PJSIP ${account}`);
      if (happening.transport !== "UDP") this.belonging.connected.set(address, now);
    } else this.#hosts.open(this.#hosts.hear(address, now), happening, now).loggedIn = true;
  }

  #chargeChallenge(attempt: Attempt, now: number, wall: number): void {
    if (now < this.#learnsUntil) {
      return this.#rules.visit("challenge: unanswered while learning, free");
    }
    const { host } = attempt;
    const again = host.points % 5 === 4;
    this.#rules.visit(
      again ? "challenge: unanswered again, 10 points" : "challenge: unanswered, 4 points",
    );
    attempt.challengeCost = again ? 10 : 4;
    host.soft += attempt.challengeCost;
    this.#points.add(host, attempt.challengeCost, now, wall);
  }
}

/** Whether an address is in an IPv6 network of the form `2001:db8:A:B::/64`. */
function isInIpv6(address: string, network: string): boolean {
  return network.endsWith("::/64") && address.startsWith(network.slice(0, -"/64".length));
}

/** What is missing to 5 points; a challenge that had to be paid for is an attempt now. */
function complete(attempt: Attempt): number {
  const paid = attempt.challengeCost;
  if (paid === 0) return 5;
  attempt.challengeCost = 0;
  attempt.host.soft -= 4;
  return 1;
}

/** chan_sip uses its SessionIDs again, but not with the same challenge. */
function sessionOf({ service, session, challenge }: Happening): string {
  return service === "SIP" ? `${session} ${challenge}` : session;
}
