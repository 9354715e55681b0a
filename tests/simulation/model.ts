/**
 * What Ampere should do, as plainly as it can be said: no performance, no bounds, no I/O. It is
 * written from the rules in the documentation, not from the code, and knows only the traffic that
 * the simulation makes. It counts how often each rule decided something: a rule that is never
 * reached proves nothing.
 *
 * @module
 */

/** Something that Asterisk reported, as Ampere is to understand it. */
export interface Happening {
  readonly what:
    /** A challenge was sent. */
    | "challenge"
    /** PJSIP does not know the account; a challenge follows. */
    | "unknown"
    /** A challenge was answered wrongly. */
    | "wrong"
    /** A login with a password. */
    | "login"
    /** An access control list refused. */
    | "refused"
    /** It refused for a reason that may be innocent. */
    | "not now"
    /** The manager interface refused; each is an attempt. */
    | "manager"
    /** A message that was not believed, but shows who sent it. */
    | "not believed"
    /** A security event that costs nothing. */
    | "nothing";
  readonly address: string;
  readonly session: string;
  readonly service?: "AMI" | "PJSIP" | "SIP";
  readonly transport?: string;
  readonly account?: string;
  /** The challenge that was sent, or answered. */
  readonly challenge?: string;
  /** The answer, together with what it answers. */
  readonly answer?: string;
}

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
  /** Single addresses. */
  readonly trust: readonly string[];
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
  "not believed: 5 points",
  "trusted: free",
  "login: forgives its account",
  "login: forgives others",
  "login: forgiven enough today",
  "login: unanswered challenges forgiven",
  "forgotten",
  "grounds: good standing",
  "grounds: shared network",
  "grounds: unanswered",
  "grounds: single session",
  "grounds: attempts",
  "proven",
  "not proven",
  "doubt: forborne at the end of the first block",
  "row: late, the same block",
  "row: ended by a login",
  "row: forgotten",
  "row: does not grow soon after a login",
  "network: its hosts are blocked with it",
  "network: shared, a host is blocked",
  "network: shared, blocked after its hosts",
  "network: shared, strangers are not the guilt of who belongs",
  "network: hosts in good standing go too far together",
  "network: forgiven",
  "ban: good standing, 30 s",
  "ban: good standing, doubled",
  "ban: good standing, doubled three times",
  "ban: good standing, at most 10 min unless proven",
  "ban: good standing, at most an hour",
  "ban: good standing, never longer than a stranger",
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
  "block: a short one makes no later one longer",
  "block: ends",
  "block: for ever by hand",
  "trust: a block ends",
  "pardon: deleted by hand",
] as const;

/** A rule whose visits are counted. */
type Rule = typeof RULES[number];

/** How often each rule decided something. */
export type Visits = Map<Rule, number>;

interface Attempt {
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

interface Host {
  readonly address: string;
  points: number;
  /** The part of them that is for unanswered challenges. */
  soft: number;
  /** The part of them that can't be forged. */
  proven: number;
  lastAt: number;
  burstAt: number | undefined;
  readonly attempts: Attempt[];
  /** In which it failed. */
  sessions: Set<string>;
  /** Points by account. */
  readonly accounts: Map<string, number>;
}

interface Row {
  readonly count: number;
  readonly at: number;
  /** When it was forborne after this block. */
  readonly forborne: number[];
}

interface Network {
  strange: number;
  own: number;
  provenStrange: number;
  provenOwn: number;
  readonly hosts: Set<string>;
  blocks: number;
  at: number;
}

type Grounds = "good standing" | "shared network" | "unanswered" | "single session" | "attempts";

/** A block, as the model sees it. */
interface ModelBlock {
  /** Wall time of the end; `undefined`: never. */
  until: number | undefined;
  times: number;
  /**
   * How often it was blocked before was not known for certain when this was decided: the database
   * was in trouble.
   */
  vague: boolean;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A request is repeated for so long (RFC 3261, Timer F), and so often, and not faster than T1. */
const REPEATED_FOR = 32 * SECOND;
const REPEATS = 10;
const REPEATED_AFTER = 400;
/** So many answers of a phone are one attempt, once in this time. */
const BURST = 15;
const BURST_REST = 30 * SECOND;
/** Failures on other accounts that logins forgive. */
const FORGIVEN_A_DAY = 30 * 5;
/** What comes so soon behind a block was under way. */
const LATE = 2 * SECOND;
/** From so many hosts on their failures are those of their network. */
const STRANGERS = 3;
const STRANGERS_AMONG_OTHERS = 8;
const BLOCKS_BEFORE_NETWORK = 8;
/**
 * After standing still for longer than this, nothing is charged before what has arrived is read.
 */
const STALL = 1 * SECOND;

/** The model. Times are world times unless they are called wall times. */
export class Model {
  readonly visits: Visits;
  readonly blocks = new Map<string, ModelBlock>();
  /** How often those were blocked that are not now. */
  past = new Map<string, number>();
  /** Those of which that is not certain: the end of a block that was decided vaguely. */
  readonly vaguePast = new Set<string>();
  /** Last login. */
  standing = new Map<string, number>();
  #hosts = new Map<string, Host>();
  #networks = new Map<string, Network>();
  /** Short blocks in a row: for a single session, and of who belongs here. */
  #doubts = new Map<string, Row>();
  #shorts = new Map<string, Row>();
  /** What others' failures were forgiven to whom. */
  #forgiven = new Map<string, { points: number; at: number }>();
  #rules: Rules;
  #lastTick = 0;
  /** An unknown account of which the next event will tell whether it was challenged. */
  #unknown: { happening: Happening; now: number; wall: number } | undefined;
  #learnsUntil = -Infinity;
  /** Whether the database is in trouble. */
  vague: () => boolean = () => false;

  constructor(rules: Rules, visits: Visits) {
    this.#rules = rules;
    this.visits = visits;
  }

  /**
   * A process begins: it knows no points.
   *
   * @param bornAt wall time at which the list was made
   */
  begin(now: number, wall: number, bornAt: number): void {
    this.#unknown = undefined;
    this.#hosts = new Map();
    this.#networks = new Map();
    this.#doubts = new Map();
    this.#shorts = new Map();
    this.#forgiven = new Map();
    this.#lastTick = now;
    const left = Math.min(this.#rules.learn, bornAt + this.#rules.learn - wall);
    this.#learnsUntil = left > 0 ? now + left : -Infinity;
    this.#endBlocks(wall);
    this.setRules(this.#rules);
  }

  setRules(rules: Rules): void {
    this.#rules = rules;
    for (const host of [...this.#hosts.values()]) {
      if (rules.trust.includes(host.address)) this.#drop(host);
    }
    for (const target of [...this.blocks.keys()]) {
      // A network stays, and lets them through.
      if (rules.trust.includes(target)) {
        this.#visit("trust: a block ends");
        this.blocks.delete(target);
        this.setPast(target, undefined);
      }
    }
  }

  take(happening: Happening, now: number, wall: number): void {
    const { what, address } = happening;
    if (what === "nothing") return;
    this.#meetUnknown(happening);
    if (this.#isTrusted(address)) return this.#visit("trusted: free");
    switch (what) {
      case "unknown":
        this.#unknown = { happening, now, wall };
        return;
      case "challenge":
        return this.#challenged(happening, now, wall);
      case "wrong":
        return this.#answered(happening, now, wall);
      case "refused":
      case "not now":
        return this.#refused(happening, now, wall);
      case "manager":
        this.#visit("manager: 5 points");
        return this.#fail(this.#host(address, now), 5, happening, undefined, now, wall);
      case "not believed": {
        this.#visit("not believed: 5 points");
        const host = this.#host(address, now);
        const believed = { ...happening, account: "", transport: "UDP" };
        return this.#fail(host, 5, believed, undefined, now, wall);
      }
      case "login":
        return this.#login(happening, now);
    }
  }

  /**
   * PJSIP names an unknown account, and then does what it does for any: only if it does not, that
   * is a challenge.
   */
  #meetUnknown(next?: Happening): void {
    const unknown = this.#unknown;
    this.#unknown = undefined;
    if (unknown === undefined) return;
    const { happening: { address, session }, now, wall } = unknown;
    if (next?.address === address && next.session === session) {
      return this.#visit("unknown account: what follows is charged");
    }
    if (this.#isTrusted(address)) return;
    if (this.#rules.patience === 0) {
      return this.#visit("unknown account: without patience its challenge is charged");
    }
    this.#challenged(unknown.happening, now, wall);
  }

  /** What the database says of a target that is not blocked; `undefined`: nothing. */
  setPast(target: string, times: number | undefined): void {
    this.vaguePast.delete(target);
    if (times === undefined) this.past.delete(target);
    else this.past.set(target, times);
  }

  /** The daemon has looked at its clock. */
  tick(now: number, wall: number): void {
    const stalled = now - this.#lastTick > STALL;
    this.#lastTick = now;
    if (stalled) this.#visit("stall: nothing is charged before all is read");
    else {
      this.#meetUnknown();
      const waiting = [...this.#hosts.values()].flatMap((host) => host.attempts)
        .filter((attempt) => attempt.waiting && attempt.at <= now - this.#rules.patience)
        .sort((a, b) => a.at - b.at);
      for (const attempt of waiting) {
        if (!attempt.waiting) continue;
        attempt.waiting = false;
        const { address } = attempt.host;
        if (this.#isStanding(address, now) || this.#hasStandingNeighbour(address)) {
          this.#visit("challenge: unanswered, but in good standing by then");
        } else this.#chargeChallenge(attempt, now, wall);
      }
      for (const host of [...this.#hosts.values()]) {
        if (host.lastAt < now - this.#rules.forget) this.#forget(host);
      }
    }
    this.#endBlocks(wall);
  }

  /** Somebody blocked for ever, by hand, what is blocked. Nothing is vague of that. */
  blockedForEver(target: string): void {
    this.#visit("block: for ever by hand");
    const { times } = this.blocks.get(target)!;
    this.blocks.set(target, { until: undefined, times, vague: false });
  }

  /** Somebody deleted a block by hand. */
  deleted(target: string): void {
    this.#visit("pardon: deleted by hand");
    this.blocks.delete(target);
    this.setPast(target, undefined);
    for (const host of [...this.#hosts.values()]) {
      if (host.address === target || this.#network(host.address) === target) this.#drop(host);
    }
  }

  // Events

  #challenged(happening: Happening, now: number, wall: number): void {
    const { address, session } = happening;
    const { patience } = this.#rules;
    if (this.#isStanding(address, now)) return this.#visit("challenge: in good standing, free");
    if (this.#hasStandingNeighbour(address)) {
      return this.#visit("challenge: a neighbour is in good standing, free");
    }
    const host = this.#host(address, now);
    const known = this.#find(host, session, now);
    if (known !== undefined && (patience > 0 || known.refused !== undefined)) {
      const same = happening.service === "PJSIP" || known.challenge === happening.challenge ||
        known.refused !== undefined || known.loggedIn;
      if (same && this.#isFree(known)) return this.#visit("challenge: repeated, free");
      if (same) this.#visit("challenge: repeated too often");
    }
    const attempt = this.#open(host, happening, now);
    if (patience > 0) attempt.waiting = true;
    else {
      this.#visit("challenge: charged at once");
      this.#chargeChallenge(attempt, now, wall);
    }
  }

  #answered(happening: Happening, now: number, wall: number): void {
    const host = this.#host(happening.address, now);
    const attempt = this.#find(host, happening.session, now) ?? this.#open(host, happening, now);
    attempt.waiting = false;
    const answer = happening.answer!;
    if (attempt.answers.has(answer) && this.#isRetransmission(attempt, happening, now)) {
      return this.#visit("wrong: retransmitted, free");
    }
    attempt.answers.add(answer);
    const first = ++attempt.answered === 1;
    if (first && attempt.refused !== undefined && this.#isFree(attempt)) {
      return this.#visit("wrong: answer to a refusal, free");
    }
    if (!first && this.#isInBurst(host, attempt, now)) {
      return this.#visit("wrong: burst in good standing, free");
    }
    let points = 5 * (1 + attempt.burst);
    if (attempt.burst > 0) this.#visit("wrong: burst too long, all charged");
    attempt.burst = 0;
    if (first && attempt.refused === undefined) {
      this.#visit(
        attempt.challengeCost > 0 ? "wrong: late answer, 1 point" : "wrong: first answer, 5 points",
      );
      points = this.#complete(attempt);
    } else this.#visit("wrong: further answer, 5 points");
    this.#fail(host, points, happening, this.#sessionOf(happening), now, wall);
  }

  #isRetransmission(attempt: Attempt, { transport }: Happening, now: number): boolean {
    if (transport !== "UDP") {
      this.#visit("wrong: retransmitted over a connection");
      return false;
    }
    if (attempt.repeatedAt !== undefined && now - attempt.repeatedAt < REPEATED_AFTER) {
      this.#visit("wrong: retransmitted too fast");
      return false;
    }
    if (!this.#isFree(attempt)) {
      this.#visit("wrong: retransmitted too often");
      return false;
    }
    attempt.repeatedAt = now;
    return true;
  }

  /** Whether one more answer is part of what some phones send at once. */
  #isInBurst(host: Host, attempt: Attempt, now: number): boolean {
    if (!this.#isStanding(host.address, now)) return false;
    if (attempt.burst === 0) {
      if (host.burstAt !== undefined && now - host.burstAt < BURST_REST) {
        this.#visit("wrong: burst too soon after another");
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
    if (what === "not now" && this.#isStanding(address, now)) {
      return this.#visit("refused: not now, in good standing, free");
    }
    const host = this.#host(address, now);
    const attempt = this.#find(host, session, now) ?? this.#open(host, happening, now);
    attempt.waiting = false;
    if (what === "not now" && attempt.loggedIn && this.#isFree(attempt)) {
      return this.#visit("refused: not now, after a login, free");
    }
    const before = attempt.refused;
    attempt.refused = account;
    const again = before === undefined ? attempt.answered > 0 : before === account;
    if (again && this.#isFree(attempt)) return this.#visit("refused: again, free");
    if (before !== undefined && before !== account) this.#visit("refused: another account");
    this.#visit("refused: 5 points");
    const points = before === undefined && !again ? this.#complete(attempt) : 5;
    this.#fail(host, points, happening, this.#sessionOf(happening), now, wall);
  }

  #login(happening: Happening, now: number): void {
    const { address, account = "" } = happening;
    const network = this.#networkOf(address);
    const host = this.#hosts.get(address);
    if (host !== undefined) this.#forgive(host, `PJSIP ${account}`, now);
    const rows = [this.#doubts.delete(address), this.#shorts.delete(address)];
    // Whoever is new there shows that the network is not only the guesser's.
    if (network !== undefined && !this.standing.has(address)) {
      rows.push(this.#shorts.delete(network));
    }
    if (rows.includes(true)) this.#visit("row: ended by a login");
    if (this.#rules.credit > 0) this.standing.set(address, now);
    else this.#open(this.#host(address, now), happening, now).loggedIn = true;
  }

  #forgive(host: Host, account: string, now: number): void {
    const failed = host.points - host.soft;
    const own = host.accounts.get(account) ?? 0;
    const network = this.#networkOf(host.address);
    const payer = network ?? host.address;
    const others = this.#rules.credit > 0 ? Math.min(failed - own, this.#left(payer, now)) : 0;
    if (own > 0) this.#visit("login: forgives its account");
    if (others > 0) this.#visit("login: forgives others");
    if (own + others < failed && this.#rules.credit > 0) {
      this.#visit("login: forgiven enough today");
    }
    if (host.soft > 0) this.#visit("login: unanswered challenges forgiven");
    const used = this.#forgiven.get(payer);
    if (others > 0) {
      const points = FORGIVEN_A_DAY - this.#leftExactly(used, now) + others;
      this.#forgiven.set(payer, { points, at: now });
    }
    const rest = failed - own - others;
    if (network !== undefined && failed > 0) {
      this.#forgiveNetwork(network, host, own + others, rest);
    }
    if (rest === 0) return this.#drop(host);
    if (own > 0) host.accounts.set(account, 0);
    this.#takeFromAccounts(host, others);
    for (const attempt of host.attempts) {
      attempt.waiting = false;
      attempt.challengeCost = 0;
    }
    host.points = rest;
    host.soft = 0;
    host.proven = Math.max(0, host.proven - own - others);
  }

  /** From those on which it failed first; an account of no points keeps its place among others. */
  #takeFromAccounts(host: Host, points: number): void {
    for (const [account, some] of host.accounts) {
      const part = Math.min(some, points);
      points -= part;
      host.accounts.set(account, some - part);
    }
  }

  #left(payer: string, now: number): number {
    return Math.floor(this.#leftExactly(this.#forgiven.get(payer), now));
  }

  /** It comes back in a day. */
  #leftExactly(used: { points: number; at: number } | undefined, now: number): number {
    if (used === undefined) return FORGIVEN_A_DAY;
    const back = (now - used.at) / DAY * FORGIVEN_A_DAY;
    return FORGIVEN_A_DAY - Math.max(0, used.points - back);
  }

  #forgiveNetwork(name: string, host: Host, points: number, rest: number): void {
    const network = this.#networks.get(name);
    if (network === undefined) return;
    this.#visit("network: forgiven");
    const strange = Math.min(points, network.strange);
    const own = points - strange;
    network.strange -= strange;
    network.own = Math.max(0, network.own - own);
    network.provenStrange = Math.max(0, network.provenStrange - strange);
    network.provenOwn = Math.max(0, network.provenOwn - own);
    if (rest === 0) network.hosts.delete(host.address);
    if (network.strange === 0 && network.own === 0) this.#networks.delete(name);
  }

  // Points

  /** What is missing to 5 points; a challenge that had to be paid for is an attempt now. */
  #complete(attempt: Attempt): number {
    const paid = attempt.challengeCost;
    if (paid === 0) return 5;
    attempt.challengeCost = 0;
    attempt.host.soft -= 4;
    return 1;
  }

  #chargeChallenge(attempt: Attempt, now: number, wall: number): void {
    if (now < this.#learnsUntil) return this.#visit("challenge: unanswered while learning, free");
    const { host } = attempt;
    const again = host.points % 5 === 4;
    this.#visit(
      again ? "challenge: unanswered again, 10 points" : "challenge: unanswered, 4 points",
    );
    attempt.challengeCost = again ? 10 : 4;
    host.soft += attempt.challengeCost;
    this.#add(host, attempt.challengeCost, now, wall);
  }

  #fail(
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
    host.accounts.set(name, (host.accounts.get(name) ?? 0) + cost);
    const proven = happening.transport !== "UDP" && service !== "SIP" ? cost : 0;
    host.proven += proven;
    host.sessions.add(session ?? `${service} ${now} ${host.sessions.size}`);
    const standing = this.#isStanding(address, now);
    const network = this.#networkOf(address);
    if (network !== undefined) this.#failNetwork(network, address, standing, cost, proven, now);
    this.#add(host, points, now, wall);
    if (network !== undefined) this.#judge(network, host, standing, now, wall);
  }

  #add(host: Host, points: number, now: number, wall: number): void {
    host.points += points;
    const standing = this.#isStanding(host.address, now);
    const limit = 5 * this.#rules.loyalty * (standing ? 10 : 1);
    if (host.points < limit) return;
    const grounds = standing
      ? "good standing"
      : host.points - host.soft < limit
      ? "unanswered"
      : host.sessions.size === 1
      ? "single session"
      : "attempts";
    if (grounds === "single session" && this.#isForborne(host.address, now)) {
      this.#visit("doubt: forborne at the end of the first block");
      return this.#forbear(host);
    }
    this.#drop(host);
    const row = grounds === "single session"
      ? this.#next(this.#doubts, host.address, this.#rules.forget, now)
      : grounds === "good standing"
      ? this.#next(
        this.#shorts,
        host.address,
        Math.max(this.#rules.credit, this.#rules.forget),
        now,
        this.#mostInRow(host.address, now),
      )
      : 0;
    this.#block(host.address, grounds, row, host.proven >= limit, wall);
  }

  /** Whether it is heard first at the end of its first block, and answers many times at once. */
  #isForborne(address: string, now: number): boolean {
    const { doubt, bantime } = this.#rules;
    const length = bantime > 0 ? Math.min(doubt, bantime) : doubt;
    const row = this.#doubts.get(address);
    if (length === 0 || row === undefined || row.count !== 1) return false;
    const back = now - row.at - length;
    if (back < 0 || back > 5 * SECOND || row.forborne.length >= 15) return false;
    if (now - (row.forborne[0] ?? now) > 15) return false;
    return row.forborne.push(now) > 0;
  }

  #forbear(host: Host): void {
    const forborne = host.points - host.soft - 5;
    this.#takeFromAccounts(host, forborne);
    const network = this.#networkOf(host.address);
    if (network !== undefined) this.#forgiveNetwork(network, host, forborne, 5);
    for (const attempt of host.attempts) {
      attempt.waiting = false;
      attempt.challengeCost = 0;
    }
    host.points = 5;
    host.soft = 0;
    host.proven = Math.max(0, host.proven - forborne);
  }

  #failNetwork(
    name: string,
    address: string,
    standing: boolean,
    cost: number,
    proven: number,
    now: number,
  ): void {
    let network = this.#networks.get(name);
    if (network === undefined || now - network.at > this.#rules.forget) {
      network = {
        strange: 0,
        own: 0,
        provenStrange: 0,
        provenOwn: 0,
        hosts: new Set(),
        blocks: 0,
        at: now,
      };
      this.#networks.set(name, network);
    }
    network.at = now;
    network[standing ? "own" : "strange"] += cost;
    network[standing ? "provenOwn" : "provenStrange"] += proven;
    if (!standing && network.hosts.size < STRANGERS_AMONG_OTHERS) network.hosts.add(address);
  }

  /** Whether the hosts of a network have gone too far together. */
  #judge(name: string, host: Host, standing: boolean, now: number, wall: number): void {
    const network = this.#networks.get(name);
    if (network === undefined) return;
    const limit = 5 * this.#rules.loyalty;
    const shared = this.#isShared(name);
    const many = network.hosts.size >= (shared ? STRANGERS_AMONG_OTHERS : STRANGERS) &&
      network.strange >= limit;
    const strange = many && !(shared && standing);
    if (many && !strange) {
      this.#visit("network: shared, strangers are not the guilt of who belongs");
    }
    if (!strange && network.own < 10 * limit) return;
    if (!strange) this.#visit("network: hosts in good standing go too far together");
    const proven = strange ? network.provenStrange >= limit : network.provenOwn >= 10 * limit;
    if (!shared) {
      this.#visit("network: its hosts are blocked with it");
      this.#networks.delete(name);
      return this.#block(name, "attempts", 0, proven, wall);
    }
    const forget = Math.max(this.#rules.credit, this.#rules.forget);
    if (++network.blocks > BLOCKS_BEFORE_NETWORK) {
      this.#visit("network: shared, blocked after its hosts");
      network.blocks = 0;
      const row = this.#next(this.#shorts, name, forget, now);
      return this.#block(name, "shared network", row, proven, wall);
    }
    // Whoever went too far alone is blocked already.
    if (this.#hosts.get(host.address) !== host) return;
    this.#visit("network: shared, a host is blocked");
    const row = this.#next(this.#shorts, name, forget, now);
    this.#next(this.#shorts, host.address, this.#rules.credit, now);
    this.#drop(host);
    this.#block(host.address, "shared network", row, proven, wall);
  }

  // Blocks

  /** How many blocks of a row came before. */
  #next(
    rows: Map<string, Row>,
    target: string,
    forget: number,
    now: number,
    most = Infinity,
  ): number {
    const row = rows.get(target);
    if (row !== undefined && now - row.at < LATE) {
      this.#visit("row: late, the same block");
      return row.count - 1;
    }
    const forgotten = row !== undefined && now - row.at > forget;
    if (forgotten) this.#visit("row: forgotten");
    const count = row === undefined || forgotten ? 0 : row.count;
    if (count > most) this.#visit("row: does not grow soon after a login");
    const before = Math.min(count, most);
    rows.set(target, { count: before + 1, at: now, forborne: [] });
    return before;
  }

  /**
   * Blocks that count in the row of who belongs here: one, while registrations of up to two hours
   * may be valid.
   */
  #mostInRow(address: string, now: number): number {
    const at = this.standing.get(address);
    return at !== undefined && now - at <= 2 * HOUR ? 1 : Infinity;
  }

  #block(target: string, grounds: Grounds, row: number, proven: boolean, wall: number): void {
    const known = this.blocks.get(target);
    if (known !== undefined && (known.until === undefined || known.until > wall)) {
      return this.#visit("block: it is blocked already");
    }
    this.#visit(`grounds: ${grounds}`);
    this.#visit(proven ? "proven" : "not proven");
    const before = known?.times ?? this.past.get(target) ?? 0;
    const ban = this.#banTime(grounds, row, before, proven);
    const until = ban === undefined ? undefined : Math.floor(wall + Math.round(ban));
    const short = grounds === "single session"
      ? this.#rules.doubt > 0 && row < 2
      : grounds !== "attempts";
    if (short && before > 0) this.#visit("block: a short one makes no later one longer");
    const times = short ? Math.max(before, 1) : before + 1;
    const vague = this.vague() || this.vaguePast.has(target) || (known?.vague ?? false);
    this.blocks.set(target, { until, times, vague });
  }

  /** Milliseconds; `undefined`: for ever. */
  #banTime(grounds: Grounds, row: number, before: number, proven: boolean): number | undefined {
    const { doubt, bantimeMax } = this.#rules;
    const shortest = (some: number, ban: number | undefined) => Math.min(some, ban ?? Infinity);
    switch (grounds) {
      case "good standing":
      case "shared network": {
        const short = 30 * SECOND * 2 ** row;
        const most = proven ? HOUR : 10 * MINUTE;
        const stranger = this.#configured(row, proven) ?? Infinity;
        const ban = Math.min(short, most, bantimeMax > 0 ? bantimeMax : Infinity, stranger);
        if (ban === short && row === 0) this.#visit("ban: good standing, 30 s");
        if (ban === short && row > 0) this.#visit("ban: good standing, doubled");
        if (ban === short && row >= 3) this.#visit("ban: good standing, doubled three times");
        if (ban === most && ban < short) {
          this.#visit(
            proven
              ? "ban: good standing, at most an hour"
              : "ban: good standing, at most 10 min unless proven",
          );
        }
        if (ban === stranger && ban < short) {
          this.#visit("ban: good standing, never longer than a stranger");
        }
        return ban;
      }
      case "unanswered": {
        const stranger = this.#configured(before, proven);
        const shorter = (stranger ?? Infinity) < 10 * MINUTE;
        this.#visit(
          shorter ? "ban: unanswered, shorter by configuration" : "ban: unanswered, 10 min",
        );
        return shortest(10 * MINUTE, stranger);
      }
      case "single session":
        if (doubt === 0) return this.#configured(before, proven);
        if (row === 0) {
          this.#visit("ban: doubt, first");
          return shortest(doubt, this.#configured(before, proven));
        }
        if (row === 1) {
          this.#visit("ban: doubt, ten times");
          return shortest(10 * doubt, this.#configured(before, proven));
        }
        this.#visit("ban: doubt, as configured from the third on");
        return this.#configured(Math.max(0, before - 1), proven);
      case "attempts":
        return this.#configured(before, proven);
    }
  }

  /** What the configuration says for a stranger. */
  #configured(before: number, proven: boolean): number | undefined {
    const { bantime, bantimeFactor, bantimeMax } = this.#rules;
    if (bantime === 0 && proven) {
      this.#visit("ban: for ever");
      return undefined;
    }
    if (bantime === 0) {
      const ban = HOUR * 2 ** before;
      this.#visit(before === 0 ? "ban: unproven, an hour" : "ban: unproven, doubled");
      return Math.min(ban, 7 * DAY);
    }
    this.#visit("ban: configured");
    const most = proven ? Infinity : Math.max(bantime, 7 * DAY);
    const grown = Math.min(bantime * bantimeFactor ** before, most);
    if (grown > bantime) this.#visit("ban: grown");
    if (bantimeMax === 0 || grown <= bantimeMax) return grown;
    this.#visit("ban: bounded");
    return bantimeMax;
  }

  #endBlocks(wall: number): void {
    for (const [target, { until, times, vague }] of this.blocks) {
      if (until === undefined || until > wall) continue;
      this.#visit("block: ends");
      this.blocks.delete(target);
      this.setPast(target, times);
      if (vague) this.vaguePast.add(target);
    }
  }

  // Hosts and attempts

  #drop(host: Host): void {
    for (const attempt of host.attempts) attempt.waiting = false;
    if (this.#hosts.get(host.address) === host) this.#hosts.delete(host.address);
  }

  #forget(host: Host): void {
    this.#visit("forgotten");
    this.#drop(host);
  }

  #host(address: string, now: number): Host {
    const known = this.#hosts.get(address);
    if (known !== undefined && now - known.lastAt > this.#rules.forget) this.#forget(known);
    const host = this.#hosts.get(address) ?? {
      address,
      points: 0,
      soft: 0,
      proven: 0,
      lastAt: now,
      burstAt: undefined,
      attempts: [],
      sessions: new Set(),
      accounts: new Map(),
    };
    this.#hosts.set(address, host);
    host.lastAt = now;
    return host;
  }

  #find(host: Host, session: string, now: number): Attempt | undefined {
    const attempt = host.attempts.findLast((attempt) => attempt.session === session);
    if (attempt === undefined) return undefined;
    return attempt.waiting || now - attempt.at <= REPEATED_FOR ? attempt : undefined;
  }

  #open(host: Host, { session, challenge }: Happening, now: number): Attempt {
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

  /** Whether one more event of an attempt costs nothing. */
  #isFree(attempt: Attempt): boolean {
    return attempt.free < REPEATS && ++attempt.free > 0;
  }

  /** chan_sip uses its SessionIDs again, but not with the same challenge. */
  #sessionOf({ service, session, challenge }: Happening): string {
    return service === "SIP" ? `${session} ${challenge}` : session;
  }

  // Who is who

  #isTrusted(address: string): boolean {
    return address.startsWith("127.") || this.#rules.trust.includes(address);
  }

  #isStanding(address: string, now: number): boolean {
    const at = this.standing.get(address);
    return at !== undefined && this.#rules.credit > 0 && now - at <= this.#rules.credit;
  }

  #hasStandingNeighbour(address: string): boolean {
    const network = this.#networkOf(address);
    return network !== undefined && this.#logins(network) > 0;
  }

  #isShared(network: string): boolean {
    return this.#logins(network) > 0 ||
      this.#rules.trust.some((address) => this.#networkOf(address) === network);
  }

  #logins(network: string): number {
    return [...this.standing.keys()].filter((other) => this.#networkOf(other) === network).length;
  }

  #networkOf(address: string): string | undefined {
    const network = this.#network(address);
    return network === address ? undefined : network;
  }

  /** The traffic's IPv6 addresses have the form `2001:db8:A:B::C`. */
  #network(address: string): string {
    if (this.#rules.ipv6Prefix === 128 || !address.includes("::")) return address;
    return `${address.slice(0, address.indexOf("::"))}::/64`;
  }

  #visit(rule: Rule): void {
    this.visits.set(rule, (this.visits.get(rule) ?? 0) + 1);
  }
}
