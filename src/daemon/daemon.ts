/**
 * The daemon: joins the connection to Asterisk, the penalty table, the block list and the firewall.
 *
 * @module
 */

import { type AddressSet, isLoopback, networkOf, overlaps } from "../address/address.ts";
import { registeredAddresses } from "../ami/contacts.ts";
import { AmiClient, type AmiClientOptions, LoginRefusedError } from "../ami/client.ts";
import { literalPeers } from "../ami/dial.ts";
import type { Tampered } from "../ami/event_reader.ts";
import { latin1 } from "../ami/framer.ts";
import type { SecurityEvent } from "../ami/event.ts";
import { BelievedTime } from "../blocks/believed_time.ts";
import { type Block, hasEnded, type NewBlock } from "../blocks/block.ts";
import { type Clock, systemClock } from "../clock.ts";
import { type Config, describeConfig, formatProblem, readConfig } from "../config/config.ts";
import { Counters } from "../telemetry/counters.ts";
import {
  type Cause,
  exemptAddresses,
  ExemptSet,
  type ExemptTarget,
  RELEASED_BECAUSE,
} from "../address/exempt.ts";
import type { BlockList } from "../blocks/block_list.ts";
import { type Backend, isLasting } from "../firewall/backend.ts";
import { Firewall } from "../firewall/firewall.ts";
import { escapeText, formatLocalTime, Log } from "../log.ts";
import { defaultGateways } from "../address/neighbours.ts";
import type { Notice } from "../telemetry/notice.ts";
import type { HostStatus } from "../penalties/hosts.ts";
import type { PenaltyPolicy } from "../penalties/policy.ts";
import { PenaltyTable } from "../penalties/penalty_table.ts";
import { blockOf, policyOf } from "../penalties/policy.ts";
import { describeDuration, describeExemptFailures, describeProxy } from "../penalties/reason.ts";
import { counted } from "../text/table.ts";
import { VERSION } from "../version.ts";

/** How often the daemon looks at its table, its list and its clock, in milliseconds. */
export const TICK_MS = 250;

/**
 * When the process stood still for so long, in milliseconds, answers to challenges may wait unread in the socket: nothing
 * is charged for a lapse of patience before they are read.
 */
const STALL_MS = 1_000;

/** Most attempts that are charged in one turn of the event loop; takes about 2 ms. */
const LAPSES_PER_TURN = 2_000;

/** Most logins that are written at a time, four times a second; takes about 4 ms when the database knows 25,000. */
const LOGINS_PER_TICK = 250;

/** How often logins are written, and this machine's addresses looked up, in milliseconds. */
const CHORES_MS = 10_000;

/** A host that is blocked this long and still reaches Asterisk tells that the firewall is not in its way, in milliseconds. */
const STILL_ARRIVES_MS = 10_000;

/** So many times more hosts are looked at as are shown, because some of them may be blocked already. */
const WORST_LOOKED_AT_FACTOR = 100;

/** Pause between two parts of many changes of other processes, in milliseconds. */
const TAKE_OVER_PAUSE_MS = 1;

/** Most changes of other processes that are logged one by one. */
const LOGGED_CHANGES_MAX = 20;

/** Most addresses that are never blocked of which failures are told, once each. */
const LOGGED_EXEMPT_MAX = 1_024;

/** How the entry of a list begins, which is handed on as an answer. */
const LISTED = "Event: ";

/** Where the name of an event begins, and its first byte: `Event: Shutdown`. */
const SHUTDOWN_AT = "Event: ".length;
const SHUTDOWN_BYTE = "S".charCodeAt(0);

/** Most characters of a message that are shown. */
const EXCERPT_CHARACTERS_MAX = 160;

/** Targets to be told of: the first ones by name. */
class Targets {
  readonly first: string[] = [];
  count = 0;

  add(targets: readonly string[]): this {
    this.first.push(...targets.slice(0, LOGGED_CHANGES_MAX - this.first.length));
    this.count += targets.length;
    return this;
  }
}

/** What was taken over from other processes and not told yet. */
class TakenOver {
  readonly added = new Targets();
  readonly removed = new Targets();
  readonly changed = new Targets();
}

/** What a {@linkcode Daemon} is made of. */
export interface DaemonParts {
  readonly config: Config;
  readonly list: BlockList;
  readonly backends: readonly Backend[];
  readonly log: Log;
  /**
   * When the list was made, in milliseconds since 1970: for `learn` after that it is not known who belongs here.
   * `undefined`: long ago.
   */
  readonly bornAt?: number | undefined;
  /** Monotonic time, for intervals. */
  readonly clock?: Clock;
  /** Time of day, in milliseconds since 1970, for what is stored. */
  readonly wallClock?: () => number;
  readonly ami?: AmiClientOptions;
  /** The time by which blocks end and logins are forgotten; by default the time of day. */
  readonly believedTime?: Pick<BelievedTime, "now" | "latest">;
  /** Who is never charged, given the trust list and the addresses of the AMI server. */
  readonly exempt?: (trust: readonly string[], peers: readonly string[]) => AddressSet;
  /** Log each message and what became of it. */
  readonly verbose?: boolean;
  /** The firewall and the list only pretend. */
  readonly dryRun?: boolean;
  /** Takes blocks, their ends, and the state of the connection; must not wait and not throw. */
  readonly notify?: (notice: Notice) => void;
}

/**
 * Follows Asterisk and keeps attackers out.
 *
 * @example
 * ```ts ignore
 * const daemon = new Daemon({ config, list, backends, log });
 * const code = await daemon.run(signal);
 * ```
 */
export class Daemon {
  readonly counters = new Counters();
  readonly startedAt: number;
  readonly table: PenaltyTable;
  readonly firewall: Firewall;
  readonly #parts: DaemonParts;
  readonly #list: BlockList;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #wallClock: () => number;
  readonly #believedTime: Pick<BelievedTime, "now" | "latest">;
  readonly #exempt: (trust: readonly string[], peers: readonly string[]) => AddressSet;
  #config: Config;
  /** Canonical addresses of the AMI server, as far as they are known. */
  #peers: readonly string[];
  #client: AmiClient | undefined;
  #relogin = new AbortController();
  /** Clock value for the events of the read that is under way: asking the clock costs as much as taking an event. */
  #readAt: number | undefined;
  #lastTick = 0;
  /** Attempts are being charged in several turns of the event loop. */
  #advancing = false;
  /** What other processes changed is being taken over in several turns of the event loop. */
  #takingOver = false;
  #takenOver = new TakenOver();
  #lastChores = 0;
  /** There may be logins to be written. */
  #loginsWait = false;
  #saidStillArrives = 0;
  /** Addresses that are never blocked of which failures were told. */
  readonly #saidExempt = new Set<string>();
  /** IPv6 networks that Ampere has blocked itself though somebody belongs there, who has not failed and is let through. */
  readonly #sharedNetworks = new Set<string>();
  /** Blocked networks of which it was told that they let somebody through. */
  readonly #saidExcepted = new Set<string>();
  /** It was asked who is registered. */
  #knowsContacts = false;
  /** Asterisk's events arrive; `undefined` until it was tried. */
  #following: boolean | undefined;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    this.#config = parts.config;
    this.#list = parts.list;
    this.#log = parts.log;
    this.#clock = parts.clock ?? systemClock;
    this.#wallClock = parts.wallClock ?? Date.now;
    this.#believedTime = parts.believedTime ?? { now: this.#wallClock, latest: this.#wallClock };
    this.#exempt = parts.exempt ?? exemptNow;
    this.#peers = literalPeers(parts.config.host);
    this.startedAt = this.#wallClock();
    this.table = new PenaltyTable(this.#policy());
    this.table.explain = parts.verbose ?? false;
    this.firewall = new Firewall({
      backends: parts.backends,
      log: parts.log,
      verifyMs: parts.config.verify * 1000,
      clock: this.#clock,
      onApplied: (_targets, waitedMs) => {
        for (const ms of waitedMs) this.counters.latency.observe(ms / 1000);
      },
    });
  }

  get config(): Config {
    return this.#config;
  }

  get list(): BlockList {
    return this.#list;
  }

  /** Whether nothing is changed in the firewall. */
  get dryRun(): boolean {
    return this.#parts.dryRun ?? false;
  }

  /** Who is never blocked, and why. */
  get neverBlocked(): readonly ExemptTarget[] {
    const { exempt } = this.table.policy;
    return exempt instanceof ExemptSet ? exempt.entries : [];
  }

  /**
   * The hosts with most points that are not blocked yet.
   *
   * @param count how many
   * @returns hosts, with `lastAt` in milliseconds since 1970
   */
  worstHosts(count: number): HostStatus[] {
    // A host that has just been blocked may be here again, with what was under way.
    return this.table.worst(WORST_LOOKED_AT_FACTOR * count, this.#clock.now())
      .filter(({ host }) => !this.#isBlocked(host))
      .slice(0, count)
      .map((host) => ({ ...host, lastAt: this.#toWallClock(host.lastAt) }));
  }

  /** Whether a host is blocked, by itself or with its IPv6 network. */
  #isBlocked(host: string): boolean {
    if (this.#list.get(host) !== undefined) return true;
    if (!host.includes(":")) return false;
    return this.#list.get(networkOf(host, this.#config.ipv6Prefix)) !== undefined &&
      !this.table.isInGoodStanding(host, this.#clock.now());
  }

  /** Time of day since which Asterisk's events arrive, in milliseconds since 1970; `undefined` when they do not. */
  get connectedSince(): number | undefined {
    const since = this.#client?.connectedSince;
    return since === undefined ? undefined : this.#toWallClock(since);
  }

  /**
   * Runs until the signal is given.
   *
   * @param signal ends it; the rules stay
   * @returns the exit code: 1 when it cannot work at all (it is logged why)
   */
  async run(signal: AbortSignal): Promise<number> {
    const wall = this.#wallClock();
    this.#removeUnwanted(this.#believedTime.now());
    this.table.restoreStanding(
      [...this.#list.standing()].map(([host, at]) => [host, this.#fromWallClock(at)]),
    );
    this.#log.info(
      `Ampere ${VERSION} follows Asterisk at ${this.#config.host}:${this.#config.port} and blocks in the chain ` +
        `${this.#config.chain} (${this.#config.backend}); ${
          counted(this.#list.size, "block")
        } from ${this.#list.path}`,
    );

    this.#learn(wall);
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    let code = 0;
    const fail = () => {
      code = 1;
      stop.abort();
    };
    const started = this.firewall.start(this.#list.entries()).then((failures) => {
      this.#list.readRest?.(this.#believedTime.now());
      this.#findSharedNetworks();
      // The other family may have taken its time: IPv4 may work by now.
      const works = this.firewall.status().families.some((f) => f.family === 4 && !f.failing);
      if (!works && failures.some((failure) => failure.family === 4 && isLasting(failure))) fail();
    });
    const following = this.#follow(stop.signal).catch((error) => {
      if (!(error instanceof LoginRefusedError)) throw error;
      this.#log.error(error.message);
      fail();
    });
    const cancelTick = this.#startTicking();
    try {
      await following;
      await started;
    } finally {
      cancelTick();
      signal.removeEventListener("abort", end);
      await this.#finish(code === 0);
    }
    return code;
  }

  /**
   * Takes over a new configuration.
   *
   * @param config the new one
   */
  reconfigure(config: Config): void {
    const old = this.#config;
    const fixed = (["chain", "backend", "database", "verify"] as const).filter((key) =>
      old[key] !== config[key]
    );
    this.#config = {
      ...config,
      chain: old.chain,
      backend: old.backend,
      database: old.database,
      verify: old.verify,
    };
    if (old.host !== config.host) this.#peers = literalPeers(config.host);
    this.table.setPolicy(this.#policy());
    this.#releaseTrusted();
    this.#log.info("the configuration was read again");
    if (fixed.length > 0) {
      this.#log.warn(
        `${
          fixed.join(", ")
        } changed: that takes effect at the next start (systemctl restart ampere)`,
      );
    }
    const moved = (["host", "port", "user", "pass"] as const).some((key) =>
      old[key] !== config[key]
    );
    if (moved) {
      this.#log.info("the login to Asterisk changed: connecting again");
      this.#relogin.abort();
    }
  }

  /** One line about everything that matters. */
  statusLine(): string {
    const state = this.firewall.status();
    const since = this.connectedSince;
    const { counters, table } = this;
    return [
      since === undefined
        ? "not connected to Asterisk"
        : `connected since ${formatLocalTime(since)}`,
      `${counters.eventsTotal} security events`,
      `${counters.tamperedTotal} tampered`,
      `${table.size} hosts watched`,
      `${table.standingSize} in good standing`,
      `${this.#list.size} blocks`,
      `${state.applied} in the firewall`,
      `${state.queued + state.held} changes queued`,
      `${state.failures} of ${state.commands} firewall commands failed`,
      this.#list.pending === 0
        ? "database in order"
        : `${this.#list.pending} changes not yet in the database`,
    ].join(", ");
  }

  /** Nobody is known to a new list: phones that registered before may ping, which costs others something. */
  #learn(wall: number): void {
    const learnMs = this.#config.learn * 1000;
    const { bornAt } = this.#parts;
    if (bornAt === undefined) return;
    // A clock that was set back would make the rest longer than all of it.
    const left = Math.min(learnMs, bornAt + learnMs - wall);
    if (left <= 0) return;
    this.table.learnUntil(this.#clock.now() + left);
    this.#log.info(
      `the list of blocks is new: until ${
        formatLocalTime(wall + left)
      } unanswered challenges cost nothing, so that phones that ` +
        "registered before now become known; wrong passwords count from the first moment",
    );
  }

  /** Asks a new list's Asterisk who is registered, once, for as long as Ampere learns. */
  async #learnContacts(): Promise<void> {
    const client = this.#client;
    if (client === undefined || this.#knowsContacts) return;
    if (!this.table.isLearning(this.#clock.now())) return;
    const isLocal = this.#peers.length > 0 && this.#peers.every(isLoopback);
    const { addresses, unknown } = await registeredAddresses(
      (action, headers) => client.list(action, headers),
      isLocal,
    );
    // Lost meanwhile: it is asked again after the next login.
    if (client.connectedSince === undefined) return;
    this.#knowsContacts = true;
    if (addresses.size > 0 || unknown.length === 0) {
      const known = this.table.assumeStanding(addresses, this.#clock.now());
      this.#log.info(
        `Asterisk names ${
          counted(addresses.size, "address", "addresses")
        } of registered phones; in good standing from now on: ${known}`,
      );
    }
    if (unknown.length > 0) {
      this.#log.info(
        `who is registered is not known for certain: ${
          unknown.join("; ")
        }. Other phones become known when they register again`,
      );
    }
  }

  // Following Asterisk

  async #follow(signal: AbortSignal): Promise<void> {
    let persistent = false;
    while (!signal.aborted) {
      this.#relogin = new AbortController();
      const { host, port, user, pass } = this.#config;
      this.#client = new AmiClient({ host, port, user, pass }, {
        event: (event, verdict) => this.#take(event, verdict === "security"),
        tampered: (what, buffer, start, end) => this.#tampered(what, buffer, start, end),
        other: (buffer, start, end) => this.#other(buffer, start, end),
        batch: () => {
          this.#readAt = undefined;
          this.#flush();
        },
        connected: (banner) => {
          this.counters.logins++;
          this.#following = true;
          this.#notify({ event: "ami-connected", time: this.#time() });
          this.#log.info(
            `logged in at ${host}:${port} as "${user}" (${banner}): following the security events`,
          );
          this.#learnContacts();
        },
        peers: (addresses) => {
          // Sorted: a resolver that gives them in turns changes nothing.
          this.#peers = [...addresses].sort();
          this.#refreshExempt();
        },
        disconnected: (why) => {
          // Told again for each further cause; lost it is only once.
          if (this.#following !== false) {
            this.counters.losses++;
            this.#notify({ event: "ami-lost", time: this.#time(), reason: why });
          }
          this.#following = false;
          this.#log.warn(
            `${why}${/[.?!]$/.test(why) ? "" : "."} Blocks stay in force; trying again`,
          );
        },
        ...(this.#parts.verbose
          ? {
            message: (verdict, buffer, start, end) =>
              this.#debugMessage(verdict, buffer, start, end),
          }
          : {}),
      }, { clock: this.#clock, ...this.#parts.ami, persistent });
      await this.#client.run(AbortSignal.any([signal, this.#relogin.signal]));
      persistent = true;
    }
  }

  #take(event: SecurityEvent, obey: boolean): void {
    this.counters.event(event.type);
    this.table.record(event, this.#readAt ??= this.#clock.now(), obey);
    if (!this.#parts.verbose) return;
    const charge = this.table.lastCharge;
    if (charge === undefined) return;
    const points = charge.after === charge.before
      ? `${charge.after}`
      : `${charge.before} -> ${charge.after}`;
    this.#log.debug(
      `${event.kind} ${event.service}: ${charge.what}; points ${points} of ${charge.limit}`,
    );
  }

  #tampered(what: Tampered, buffer: Uint8Array, start: number, end: number): void {
    const count = (this.counters.tampered.get(what) ?? 0) + 1;
    this.counters.tampered.set(what, count);
    const excerpt = end > start
      ? `: "${escapeText(latin1(buffer, start, end), EXCERPT_CHARACTERS_MAX)}"`
      : "";
    this.#log.limited(
      `tampered ${what}`,
      "warn",
      `${TAMPERED[what]} (${count} since the start)${excerpt}`,
    );
  }

  #other(buffer: Uint8Array, start: number, end: number): void {
    // Most are of no concern: they are not made into text.
    if (buffer[start + SHUTDOWN_AT] !== SHUTDOWN_BYTE) return;
    const text = latin1(buffer, start, Math.min(end, start + EXCERPT_CHARACTERS_MAX));
    if (!text.startsWith("Event: Shutdown\r\n")) return;
    // Whoever can write line ends into an account name can write this too, as often as he likes.
    this.#log.limited(
      "shutdown",
      "info",
      text.includes("Restart: True")
        ? "Asterisk says that it restarts"
        : "Asterisk says that it shuts down",
    );
  }

  #debugMessage(verdict: string, buffer: Uint8Array, start: number, end: number): void {
    // Lists tell what is configured: the one about an endpoint of PJSIP has its password (`res_pjsip/config_auth.c`).
    const received = latin1(buffer, start, end);
    if (verdict === "response" && received.startsWith(LISTED)) {
      return this.#log.debug("received an entry of a list (not shown)");
    }
    // The expected hash of an AMI login is as good as the password (`manager.c`, MD5 key).
    // All such lines: a stranger may have written one in front of the true one.
    const text = received.replace(
      /^ExpectedResponse: .*$/gm,
      "ExpectedResponse: (not shown)",
    );
    this.#log.debug(`received (${verdict}): "${escapeText(text, 2_000)}"`);
  }

  // Blocking

  /** Blocks those who have gone too far since the last call: one transaction, then one order to the firewall. */
  #flush(): void {
    const offences = this.table.takeOffences();
    if (offences.length === 0) return;
    const now = this.#wallClock();
    const fresh = new Map<string, NewBlock>();
    let anyPast: boolean | undefined;
    const timesOf = (target: string) => {
      anyPast ??= this.#list.anyPast();
      return anyPast ? this.#list.timesOf(target) : this.#list.get(target)?.times ?? 0;
    };
    for (const offence of offences) {
      this.counters.offences++;
      const known = this.#list.get(offence.target);
      if (known !== undefined && !hasEnded(known, now)) {
        this.#stillArrives(known, now);
      } else if (!fresh.has(offence.target)) {
        // What came behind the first was under way.
        fresh.set(offence.target, blockOf(offence, this.#config, timesOf, now));
      }
    }
    if (fresh.size === 0) return;
    const blocks = [...fresh.values()];
    const durable = this.#list.add(blocks, now);
    for (const { target } of blocks) {
      if (isIpv6Network(target) && this.table.innocentIn(target).length > 0) {
        this.#sharedNetworks.add(target);
      }
    }
    if (this.#sharedNetworks.size > 0) this.#setExceptions();
    this.firewall.block(blocks);
    this.counters.added += blocks.length;
    for (const block of blocks) this.#notifyBlock(block, now);
    this.#log.infoAll(blocks.map((block) => {
      const until = block.until === undefined
        ? "for ever"
        : `until ${formatLocalTime(block.until)} (${describeDuration((block.until - now) / 1000)})`;
      return `${
        this.dryRun ? "dry run: would block" : "blocked"
      } ${block.target} ${until}: ${block.reason}${durable ? "" : " (not yet in the database)"}`;
    }));
  }

  /** A blocked host went on: what was under way when it was blocked, or the firewall is not in its way. */
  #stillArrives(block: Block, now: number): void {
    if (now - block.since < STILL_ARRIVES_MS || now - this.#saidStillArrives < STILL_ARRIVES_MS) {
      return;
    }
    this.#saidStillArrives = now;
    this.#log.limited(
      "still arrives",
      "warn",
      `${block.target} is blocked and still reaches Asterisk. Looking at the firewall; if this goes on, the chain ` +
        `${this.#config.chain} is not asked, or too late: ampere --check shows the rule that is in its way`,
    );
    void this.firewall.verify();
  }

  // By the clock

  #startTicking(): () => void {
    this.#lastTick = this.#clock.now();
    let cancel = () => {};
    const tick = () => {
      this.#tick();
      cancel = this.#clock.after(TICK_MS, tick);
    };
    cancel = this.#clock.after(TICK_MS, tick);
    return () => {
      this.#advancing = false;
      this.#takingOver = false;
      cancel();
    };
  }

  #tick(): void {
    const now = this.#clock.now();
    const stalled = now - this.#lastTick > STALL_MS;
    this.#lastTick = now;
    if (!stalled && !this.#advancing) this.#advance(now);
    const wall = this.#wallClock();
    this.#tellLate();
    this.#list.retry(wall);
    if (!this.#takingOver) this.#takeOver(wall);
    this.#endBlocks();
    if (now - this.#lastChores >= CHORES_MS) {
      this.#lastChores = now;
      this.#loginsWait = true;
      this.#refreshExempt();
      if (this.#sharedNetworks.size > 0) this.#setExceptions();
      this.#tellHidden();
      this.#log.sweep();
    }
    if (this.#loginsWait) this.#loginsWait = this.#saveLogins(wall, LOGINS_PER_TICK);
  }

  /** Tells how many attempts were under way when their hosts were blocked. */
  #tellLate(): void {
    const late = this.table.takeLate();
    if (late.length === 0) return;
    for (const [, attempts] of late) this.counters.lateAttempts += attempts;
    this.#log.infoAll(
      late.slice(0, LOGGED_CHANGES_MAX).map(([target, attempts]) =>
        `${target} had ${
          counted(attempts, "more failed attempt")
        } under way when it was blocked; they were counted`
      ),
    );
    if (late.length > LOGGED_CHANGES_MAX) {
      this.#log.info(
        `so had ${counted(late.length - LOGGED_CHANGES_MAX, "more host")}`,
      );
    }
  }

  /** Tells of failures whose sender can't be blocked, and of addresses that hide many senders. */
  #tellHidden(): void {
    for (const [address, failures] of this.table.takeExemptFailures()) {
      const cause = this.#causeOf(address);
      const known = this.counters.exemptFailures.get(cause) ?? 0;
      this.counters.exemptFailures.set(cause, known + failures);
      if (!this.#saidExempt.has(address) && this.#saidExempt.size < LOGGED_EXEMPT_MAX) {
        this.#saidExempt.add(address);
        this.#log.warn(describeExemptFailures(address, failures, cause));
      }
    }
    for (const proxy of this.table.takeProxies()) this.#log.warn(describeProxy(proxy));
  }

  /** Charges the attempts whose patience has run out; those who read the socket get their turn in between. */
  #advance(now: number): void {
    this.#advancing = !this.table.advance(now, LAPSES_PER_TURN);
    this.#flush();
    if (!this.#advancing) return;
    this.#clock.soon(() => {
      if (this.#advancing) this.#advance(now);
    });
  }

  /** Takes over what `ampere -a` and `ampere -d` changed; when it is much, in several turns of the event loop. */
  #takeOver(now: number): void {
    const { added, removed, changed, more } = this.#list.reload(now);
    if (added.length + removed.length + changed.length > 0) {
      const current = [...added, ...changed].flatMap((target) => this.#list.get(target) ?? []);
      this.firewall.block(current);
      this.firewall.release(removed);
      for (const target of removed.slice(0, LOGGED_CHANGES_MAX)) {
        this.table.pardon(target, overlaps);
      }
      this.counters.removed += removed.length;
      for (const block of current) this.#notifyBlock(block, now);
      this.#notifyReleased(removed, "deleted by hand");
    }
    const told = this.#takenOver;
    told.added.add(added);
    told.removed.add(removed);
    told.changed.add(changed);
    if (more) {
      this.#takingOver = true;
      // Not `soon`: Deno's event loop would ask the system only once in many turns what else has happened.
      this.#clock.after(TAKE_OVER_PAUSE_MS, () => {
        if (this.#takingOver) this.#takeOver(this.#wallClock());
      });
      return;
    }
    this.#takingOver = false;
    this.#logChanges("blocked", told.added, "added by hand");
    this.#logChanges("released", told.removed, "deleted by hand");
    this.#logChanges("changed the end of", told.changed, "by hand");
    this.#takenOver = new TakenOver();
  }

  #logChanges(what: string, { first, count }: Targets, why: string): void {
    if (count === 0) return;
    const more = count > first.length ? ` and ${count - first.length} more` : "";
    this.#log.info(`${what} ${first.join(", ")}${more}: ${why}`);
  }

  #endBlocks(): void {
    const time = this.#believedTime;
    const ended = this.#list.removeEnded(time.latest(), (since) => time.now(since))
      .map((block) => block.target);
    if (ended.length === 0) return;
    this.firewall.release(ended);
    this.counters.removed += ended.length;
    this.#notifyReleased(ended, "the time is over");
    this.#logChanges("released", new Targets().add(ended), "the time is over");
  }

  /** Whether there are more than that. */
  #saveLogins(now: number, most = Infinity): boolean {
    const logins = this.table.takeLogins(most);
    if (logins.length === 0) return false;
    const saved = logins.map(([host, at]) => [host, this.#toWallClock(at)] as const);
    const forgetBefore = this.#believedTime.now() - this.#config.credit * 1000;
    this.#list.saveStanding(saved, forgetBefore, now);
    return logins.length >= most;
  }

  /** Why an address is never blocked. */
  #causeOf(address: string): Cause {
    const { exempt } = this.table.policy;
    return (exempt instanceof ExemptSet ? exempt.causeOf(address) : undefined) ?? "trusted";
  }

  /** The machine may have got another address, gateway or resolver, and the AMI server too. */
  #refreshExempt(): void {
    const exempt = this.#exempt(this.#config.trust, this.#peers);
    if (isSameSet(exempt, this.table.policy.exempt)) return;
    this.table.setPolicy({ ...this.table.policy, exempt });
    this.#releaseTrusted();
  }

  /** At the start: removes stored blocks that are not to be in force. */
  #removeUnwanted(wall: number): void {
    // Whoever was blocked anew meanwhile must not be taken for one whose block has ended.
    this.#list.reload(wall);
    this.#list.removeEnded(wall);
    this.#releaseTrusted();
  }

  /**
   * Nobody who is exempt stays blocked: a block that holds nobody else ends; a network that holds others too stays, and lets
   * them through.
   */
  #releaseTrusted(): void {
    const { exempt } = this.table.policy;
    const trusted: string[] = [];
    for (const { target } of this.#list.entries()) {
      if (!exempt.overlaps(target)) continue;
      if (exempt.covers(target)) trusted.push(target);
      else this.#tellExcepted(target);
    }
    this.#setExceptions();
    if (trusted.length === 0) return;
    this.#list.remove(trusted, this.#wallClock());
    this.firewall.release(trusted);
    this.counters.removed += trusted.length;
    for (const [why, targets] of Map.groupBy(trusted, (target) => this.#whyExempt(target))) {
      this.#notifyReleased(targets, why);
      this.#logChanges("released", new Targets().add(targets), why);
    }
  }

  /** Who must pass although a network around them is blocked. */
  #setExceptions(): void {
    const targets = [...this.table.policy.exempt.targets];
    for (const network of this.#sharedNetworks) {
      if (this.#list.get(network) === undefined) this.#sharedNetworks.delete(network);
      else targets.push(...this.table.innocentIn(network));
    }
    this.firewall.setExceptions(targets);
  }

  /** After the start: the list may know networks that Ampere has blocked in an earlier life. */
  #findSharedNetworks(): void {
    for (const { target } of this.#list.entries()) {
      if (!isIpv6Network(target) || this.table.innocentIn(target).length === 0) continue;
      if (this.#list.get(target)?.service !== "") this.#sharedNetworks.add(target);
    }
    if (this.#sharedNetworks.size > 0) this.#setExceptions();
  }

  #tellExcepted(network: string): void {
    if (this.#saidExcepted.has(network) || this.#saidExcepted.size >= LOGGED_EXEMPT_MAX) return;
    this.#saidExcepted.add(network);
    const within = this.table.policy.exempt.targets.filter((target) => overlaps(network, target));
    const shown = within.slice(0, LOGGED_CHANGES_MAX).join(", ");
    const more = within.length > LOGGED_CHANGES_MAX
      ? ` and ${within.length - LOGGED_CHANGES_MAX} more`
      : "";
    this.#log.warn(
      `${network} stays blocked, but lets through ${shown}${more}, which must never be blocked. To end the ` +
        `whole block: ampere -d ${network}`,
    );
  }

  #whyExempt(target: string): string {
    const { exempt } = this.table.policy;
    const cause = exempt instanceof ExemptSet ? exempt.causeOf(target) : undefined;
    return RELEASED_BECAUSE[cause ?? "trusted"];
  }

  // Reports

  #notify(notice: Notice): void {
    this.#parts.notify?.(notice);
  }

  #notifyBlock(block: NewBlock, now: number): void {
    const { target, until, reason, service, transport, account } = block;
    this.#notify({
      event: "block",
      time: this.#time(now),
      target,
      until: until === undefined ? null : this.#time(until),
      reason,
      service,
      transport,
      account,
    });
  }

  #notifyReleased(targets: readonly string[], reason: string): void {
    const time = this.#time();
    for (const target of targets) this.#notify({ event: "unblock", time, target, reason });
  }

  #time(at: number = this.#wallClock()): string {
    return new Date(at).toISOString();
  }

  async #finish(orderly: boolean): Promise<void> {
    this.#flush();
    this.#tellHidden();
    this.#saveLogins(this.#wallClock());
    const left = await this.firewall.stop();
    const lost = this.#list.close(this.#wallClock());
    if (lost > 0) {
      this.#log.error(`${lost} changes could not be written to ${this.#list.path} and are lost`);
    }
    if (orderly) {
      this.#log.info(
        this.dryRun
          ? "ended; nothing was changed"
          : `ended; ${counted(this.#list.size, "block")} ${
            this.#list.size === 1 ? "stays" : "stay"
          } in force` +
            (left > 0 ? `, ${left} changes of the firewall follow at the next start` : ""),
      );
    }
  }

  #policy(): PenaltyPolicy {
    return policyOf(this.#config, this.#exempt(this.#config.trust, this.#peers));
  }

  #toWallClock(at: number): number {
    return this.#wallClock() - (this.#clock.now() - at);
  }

  #fromWallClock(at: number): number {
    return this.#clock.now() - Math.max(0, this.#believedTime.now() - at);
  }
}

/** Standard input of the daemon may be the table of routes; other commands read something else there. */
function exemptNow(trust: readonly string[], peers: readonly string[]): ExemptSet {
  return exemptAddresses(trust, peers, defaultGateways());
}

function isIpv6Network(target: string): boolean {
  return target.includes("/") && target.includes(":");
}

function isSameSet(a: AddressSet, b: AddressSet): boolean {
  return a.targets.length === b.targets.length &&
    a.targets.every((target, i) => target === b.targets[i]);
}

const TAMPERED: Record<Tampered, string> = {
  malformed:
    "tampered: a message is not formed as Asterisk forms it: somebody put line ends into an account name; nothing was obeyed",
  "forged end":
    "tampered: somebody wrote the end of an event, with another's address, into an account name; nothing was obeyed",
  "cut off": "an event could not be checked because the connection ended; nothing was obeyed",
  oversized: "tampered: a message was too long and was skipped",
};

/** How the daemon is started. */
export interface DaemonInvocation {
  readonly config: string | undefined;
  readonly output: string | undefined;
  readonly verbose: boolean;
  readonly dryRun: boolean;
}

/**
 * Runs the daemon as a program: opens the log and the database, obeys signals.
 *
 * @param config the configuration
 * @param invocation the command line
 * @returns the exit code
 * @throws {BlockDatabaseError} when a person must mend the database first
 * @throws {LogError} when the log file cannot be opened
 */
export async function runDaemon(config: Config, invocation: DaemonInvocation): Promise<number> {
  const log = new Log({ file: invocation.output, level: invocation.verbose ? "debug" : "info" });
  try {
    return await runLogged(config, invocation, log);
  } finally {
    await log.drain();
    log.close();
  }
}

async function runLogged(config: Config, invocation: DaemonInvocation, log: Log): Promise<number> {
  for (const [key, value] of describeConfig(config)) log.debug(`${key} = ${value}`);
  if (invocation.dryRun) {
    log.info("dry run: neither the firewall nor the database is changed, and no webhook is called");
  }
  const [{ openList, firewallBackends, lockChain, newestTimeOf, RUN_FOLDER }, { Services }] =
    await Promise.all([
      import("./run.ts"),
      import("../telemetry/services.ts"),
    ]);
  // In a dry run nothing is filled.
  using _lock = invocation.dryRun
    ? undefined
    : lockChain(config.chain, RUN_FOLDER, (message) => log.warn(message));
  const time = new BelievedTime(
    newestTimeOf(config.database),
    Date.now,
    systemClock,
    (ms) =>
      log.warn(
        `the clock of this machine was set ${ms < 0 ? "back" : "forward"} by ${
          describeDuration(Math.abs(ms) / 1000)
        } (or the machine was asleep): blocks that were made since the start still last as long as they were made for`,
      ),
  );
  if (time.isDoubted) {
    log.warn(
      `the clock of this machine says ${
        formatLocalTime(Date.now())
      }, the newest entry of ${config.database} is more than ` +
        "a day away from that: for an hour no block ends by that clock, and nobody is forgotten. If the clock is " +
        "wrong, set it (timedatectl)",
    );
  }
  const backends = firewallBackends(config, log, invocation.dryRun, () => time.earliest());
  const list = openList(config, log, invocation.dryRun, time.now());
  const daemon: Daemon = new Daemon({
    config,
    list,
    bornAt: list.bornAt,
    believedTime: time,
    backends,
    log,
    verbose: invocation.verbose,
    dryRun: invocation.dryRun,
    notify: (notice) => services.notify(notice),
  });
  const services = new Services(daemon, log);
  const stop = new AbortController();
  const signals: [Deno.Signal, () => void][] = [
    ["SIGTERM", () => stop.abort()],
    ["SIGINT", () => stop.abort()],
    ["SIGUSR1", () => log.info(daemon.statusLine())],
    ["SIGHUP", () => {
      log.reopen();
      rereadConfig(daemon, invocation.config, log);
      void services.apply();
    }],
  ];
  for (const [signal, handler] of signals) Deno.addSignalListener(signal, handler);
  try {
    // The firewall comes first, but a webhook must be there before the first report.
    const isEarly = config.webhook !== undefined;
    if (isEarly) await services.apply();
    const running = daemon.run(stop.signal);
    const [code] = await Promise.all([running, isEarly ? undefined : services.apply()]);
    return code;
  } finally {
    await services.stop();
    for (const [signal, handler] of signals) Deno.removeSignalListener(signal, handler);
  }
}

function rereadConfig(daemon: Daemon, path: string | undefined, log: Log): void {
  const { config, problems, warnings } = readConfig(path);
  for (const warning of warnings) log.warn(formatProblem(warning));
  for (const problem of problems) log.error(formatProblem(problem));
  if (config === undefined || problems.length > 0) {
    log.error("the configuration was not read again; the old one stays in force");
  } else daemon.reconfigure(config);
}
