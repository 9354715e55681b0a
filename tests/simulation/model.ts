/**
 * What Ampere should do, as plainly as it can be said: no performance, no bounds, no I/O. It is written from the table in
 * the design, not from the code, and knows only the traffic that the simulation makes.
 *
 * @module
 */

/** Something that Asterisk reported, as Ampere is to understand it. */
export interface Happening {
  readonly what:
    /** A challenge was sent. */
    | "challenge"
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
    /** A security event that costs nothing. */
    | "nothing";
  readonly address: string;
  readonly session: string;
  /** The challenge that was sent. */
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
  readonly bantime: number;
  readonly bantimeFactor: number;
  readonly bantimeMax: number;
  readonly ipv6Prefix: 64 | 128;
  /** Single addresses. */
  readonly trust: readonly string[];
}

interface Attempt {
  readonly session: string;
  readonly challenge: string | undefined;
  readonly at: number;
  readonly host: Host;
  waiting: boolean;
  cost: number;
  refused: boolean;
  loggedIn: boolean;
  repeats: number;
  readonly answers: Set<string>;
}

interface Host {
  points: number;
  lastAt: number;
  lastAddress: string;
  readonly attempts: Attempt[];
}

/** A block, as the model sees it. */
export interface ModelBlock {
  /** Wall time of the end; `undefined`: never. */
  until: number | undefined;
  times: number;
  /** How often it was blocked before was not known for certain when this was decided: the database was in trouble. */
  vague: boolean;
}

const MINUTE = 60_000;
/** A request is repeated for so long (RFC 3261, Timer F), and so often. */
const REPEATED_FOR = 32_000;
const REPEATS = 10;
/** After standing still for longer than this, nothing is charged before what has arrived is read. */
const STALL = 1_000;

/** The model. Times are world times unless they are called wall times. */
export class Model {
  readonly blocks = new Map<string, ModelBlock>();
  /** How often those were blocked that are not now. */
  past = new Map<string, number>();
  /** Last login. */
  standing = new Map<string, number>();
  #hosts = new Map<string, Host>();
  #rules: Rules;
  #lastTick = 0;
  /** Whether the database is in trouble. */
  vague: () => boolean = () => false;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** A process begins: it knows no points. */
  begin(now: number, wall: number): void {
    this.#hosts = new Map();
    this.#lastTick = now;
    this.#endBlocks(wall);
    this.setRules(this.#rules);
  }

  setRules(rules: Rules): void {
    this.#rules = rules;
    for (const [key, host] of this.#hosts) {
      if (rules.trust.some((address) => address === key || this.#network(address) === key)) {
        this.#drop(key, host);
      }
    }
    for (const target of [...this.blocks.keys()]) {
      // A network stays, and lets them through.
      if (rules.trust.includes(target)) {
        this.blocks.delete(target);
        this.past.delete(target);
      }
    }
  }

  take(happening: Happening, now: number, wall: number): void {
    const { what, address, session } = happening;
    if (what === "nothing" || this.#isTrusted(address)) return;
    const standing = this.#isStanding(address, now);
    switch (what) {
      case "challenge": {
        if (standing) return;
        const host = this.#host(address, now);
        const known = this.#find(host, session, now);
        if (known !== undefined && (this.#rules.patience > 0 || known.refused)) {
          const same = known.challenge === happening.challenge || known.refused || known.loggedIn;
          if (same && ++known.repeats <= REPEATS) return;
        }
        const attempt = this.#open(host, happening, now);
        if (this.#rules.patience > 0) attempt.waiting = true;
        else this.#chargeChallenge(attempt, now, wall);
        return;
      }
      case "wrong": {
        const host = this.#host(address, now);
        const attempt = this.#find(host, session, now) ?? this.#open(host, happening, now);
        attempt.waiting = false;
        const answer = happening.answer!;
        if (attempt.answers.has(answer)) return;
        attempt.answers.add(answer);
        const rest = attempt.cost === 10 ? 1 : Math.max(0, 5 - attempt.cost);
        this.#charge(host, attempt.answers.size === 1 ? rest : 5, now, wall);
        return;
      }
      case "refused":
      case "not now": {
        if (what === "not now" && standing) return;
        const host = this.#host(address, now);
        const attempt = this.#find(host, session, now) ?? this.#open(host, happening, now);
        attempt.waiting = false;
        if (what === "not now" && attempt.loggedIn) return;
        const before = attempt.refused || attempt.answers.size > 0;
        attempt.refused = true;
        if (before) return;
        const rest = attempt.cost === 10 ? 1 : Math.max(0, 5 - attempt.cost);
        attempt.cost += rest;
        this.#charge(host, rest, now, wall);
        return;
      }
      case "manager":
        return this.#charge(this.#host(address, now), 5, now, wall);
      case "login": {
        const key = this.#key(address);
        this.#hosts.delete(this.#hosts.has(key) ? key : address);
        if (this.#rules.credit > 0) this.standing.set(address, now);
        else this.#open(this.#host(address, now), happening, now).loggedIn = true;
      }
    }
  }

  /** The daemon has looked at its clock. */
  tick(now: number, wall: number): void {
    const stalled = now - this.#lastTick > STALL;
    this.#lastTick = now;
    if (!stalled) {
      const waiting = [...this.#hosts.values()].flatMap((host) => host.attempts)
        .filter((attempt) => attempt.waiting && attempt.at <= now - this.#rules.patience)
        .sort((a, b) => a.at - b.at);
      for (const attempt of waiting) {
        if (!attempt.waiting) continue;
        attempt.waiting = false;
        if (!this.#isStanding(attempt.host.lastAddress, now)) {
          this.#chargeChallenge(attempt, now, wall);
        }
      }
      for (const [key, host] of this.#hosts) {
        if (host.lastAt < now - this.#rules.forget) this.#drop(key, host);
      }
    }
    this.#endBlocks(wall);
  }

  /** Somebody deleted a block by hand. */
  deleted(target: string): void {
    this.blocks.delete(target);
    this.past.delete(target);
    for (const [key, host] of this.#hosts) {
      if (key === target || this.#network(key) === target) this.#drop(key, host);
    }
  }

  #endBlocks(wall: number): void {
    for (const [target, { until, times }] of this.blocks) {
      if (until === undefined || until > wall) continue;
      this.blocks.delete(target);
      this.past.set(target, times);
    }
  }

  #chargeChallenge(attempt: Attempt, now: number, wall: number): void {
    attempt.cost = attempt.host.points % 5 === 4 ? 10 : 4;
    this.#charge(attempt.host, attempt.cost, now, wall);
  }

  #charge(host: Host, points: number, now: number, wall: number): void {
    host.points += points;
    const standing = this.#isStanding(host.lastAddress, now);
    if (host.points < 5 * this.#rules.loyalty * (standing ? 10 : 1)) return;
    const [target] = [...this.#hosts].find(([, other]) => other === host) ?? [];
    if (target === undefined) return;
    this.#drop(target, host);
    this.#block(target, standing, wall);
  }

  #block(target: string, standing: boolean, wall: number): void {
    const known = this.blocks.get(target);
    if (known !== undefined && (known.until === undefined || known.until > wall)) return;
    const before = known?.times ?? this.past.get(target) ?? 0;
    const { bantime, bantimeFactor, bantimeMax } = this.#rules;
    let ban: number | undefined = bantime * bantimeFactor ** before;
    if (bantimeMax > 0) ban = Math.min(ban, bantimeMax);
    if (bantime === 0) ban = undefined;
    if (standing) ban = 10 * MINUTE * 2 ** before;
    const until = ban === undefined ? undefined : Math.floor(wall + Math.round(ban));
    this.blocks.set(target, { until, times: before + 1, vague: this.vague() });
  }

  #drop(key: string, host: Host): void {
    for (const attempt of host.attempts) attempt.waiting = false;
    this.#hosts.delete(key);
  }

  #host(address: string, now: number): Host {
    const key = this.#key(address);
    let host = this.#hosts.get(key);
    if (host !== undefined && now - host.lastAt > this.#rules.forget) {
      this.#drop(key, host);
      host = undefined;
    }
    if (host === undefined) {
      host = { points: 0, lastAt: now, lastAddress: address, attempts: [] };
      this.#hosts.set(key, host);
    }
    host.lastAt = now;
    host.lastAddress = address;
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
      cost: 0,
      refused: false,
      loggedIn: false,
      repeats: 0,
      answers: new Set(),
    };
    host.attempts.push(attempt);
    return attempt;
  }

  #isTrusted(address: string): boolean {
    return address.startsWith("127.") || this.#rules.trust.includes(address);
  }

  #isStanding(address: string, now: number): boolean {
    const at = this.standing.get(address);
    return at !== undefined && this.#rules.credit > 0 && now - at <= this.#rules.credit;
  }

  /** Who is counted together. */
  #key(address: string): string {
    const network = this.#network(address);
    const shared = [...this.standing.keys(), ...this.#rules.trust]
      .some((other) => other !== network && this.#network(other) === network);
    return shared ? address : network;
  }

  /** The traffic's IPv6 addresses have the form `2001:db8:A:B::C`. */
  #network(address: string): string {
    if (this.#rules.ipv6Prefix === 128 || !address.includes("::")) return address;
    return `${address.slice(0, address.indexOf("::"))}::/64`;
  }
}
