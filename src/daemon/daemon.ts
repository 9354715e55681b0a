/**
 * The daemon's life: it starts, follows Asterisk, looks at the clock, and ends. What it does with
 * an event is in pipeline.ts.
 *
 * @module
 */

import type { AddressSet } from "../address/address_set.ts";
import { type AmiClientOptions, LoginRefusedError } from "../ami/client.ts";
import { literalPeers } from "../ami/dial.ts";
import { lookupName } from "../address/lookup.ts";
import type { BelievedTime } from "../blocks/believed_time.ts";
import { type Clock, systemClock } from "../clock.ts";
import { type Config, NO_AMI } from "../config/config.ts";
import { Counters } from "../telemetry/counters.ts";
import { exemptFinder, ExemptSet, type ExemptTarget } from "../address/exempt.ts";
import type { NewBlock } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Backend } from "../firewall/backend.ts";
import { type BackendChoice, describeChoice, holderOf } from "../firewall/choice.ts";
import { type Failure, isLasting } from "../firewall/failure.ts";
import type { OwnNetwork, Whereabouts } from "../firewall/asterisk_place.ts";
import { Firewall } from "../firewall/firewall.ts";
import type { Leftovers } from "../firewall/leftovers.ts";
import type { Way } from "../firewall/way.ts";
import { gapOf } from "../firewall/nftables/gap.ts";
import type { Log } from "../log.ts";
import { ownInterfaces } from "../address/interfaces.ts";
import type { ListBackend } from "../firewall/lists/backend.ts";
import { defaultGateways } from "../address/neighbours.ts";
import type { Notice } from "../telemetry/notice.ts";
import type { GuardedAccount } from "../penalties/account_guard.ts";
import type { PenaltyPolicy } from "../penalties/policy.ts";
import { PenaltyTable } from "../penalties/penalty_table.ts";
import { policyOf } from "../penalties/policy.ts";
import { anyStrict, type StrictHosts } from "../penalties/strict.ts";
import { counted } from "../text/table.ts";
import { VERSION } from "../version.ts";
import { Announcements } from "./announcements.ts";
import { Elsewhere } from "./elsewhere.ts";
import { Exceptions } from "./exceptions.ts";
import { Following } from "./following.ts";
import { Force } from "./force.ts";
import { HostPlaces } from "./host_places.ts";
import { Inquiry } from "./inquiry.ts";
import { Keeping } from "./keeping.ts";
import { Learning } from "./learning.ts";
import { ListChanges } from "./list_changes.ts";
import { Listed } from "./listed.ts";
import { Logs } from "./logs.ts";
import { Messages } from "./messages.ts";
import { NewPlaces } from "./new_places.ts";
import { Neighbourhoods } from "./neighbourhoods.ts";
import { Notices } from "./notices.ts";
import { Pipeline } from "./pipeline.ts";
import { Predecessor } from "./predecessor.ts";
import { Releases } from "./releases.ts";
import { Reports } from "./reports.ts";
import { Trust } from "./trust.ts";
import { describeState } from "./state_line.ts";
import type { LogsState, TrustState } from "../telemetry/status.ts";
import type { Files } from "../logs/tail.ts";
import { fromWallTime, toWallTime } from "./wall_time.ts";

/** How often the daemon looks at its table, its list and its clock, in milliseconds. */
export const TICK_MS = 250;

/**
 * When the process stood still for so long, in milliseconds, answers to challenges may wait unread
 * in the socket: nothing is charged for a lapse of patience before they are read.
 */
const STALL_MS = 1_000;

/**
 * Most logins that are written at a time, four times a second; takes about 4 ms when the database
 * knows 25,000.
 */
const LOGINS_PER_TICK = 250;

/** How often logins are written, and this machine's addresses looked up, in milliseconds. */
const CHORES_MS = 10_000;

/** What a {@linkcode Daemon} is made of. */
export interface DaemonParts {
  readonly config: Config;
  readonly list: BlockList;
  readonly backends: readonly Backend[];
  /** What these are, and why; by default what the configuration names, or iptables. */
  readonly backend?: BackendChoice;
  /** How lists are put into the kernel; by default they are not. */
  readonly lists?: ListBackend | undefined;
  /** Where copies of lists are; by default nowhere. */
  readonly feedsFolder?: string | undefined;
  /** Takes away what another firewall still holds; by default nothing does. */
  readonly leftovers?: Pick<Leftovers, "clear"> | undefined;
  /**
   * The ways of packets to the chain; without them it is not judged whether blocks are in force.
   */
  readonly ways?: readonly Way[];
  /** This machine's network, at present. */
  readonly network?: () => OwnNetwork;
  readonly log: Log;
  /**
   * When the list was made, in milliseconds since 1970: for `learn` after that it is not known who
   * belongs here. `undefined`: long ago.
   */
  readonly bornAt?: number | undefined;
  /** Monotonic time, for intervals. */
  readonly clock?: Clock;
  /** Time of day, in milliseconds since 1970, for what is stored. */
  readonly wallClock?: () => number;
  readonly ami?: AmiClientOptions;
  /** Where Asterisk's logs are; by default on this machine. */
  readonly files?: Files;
  /** The time by which blocks end and logins are forgotten; by default the time of day. */
  readonly believedTime?: Pick<BelievedTime, "now" | "latest">;
  /** Who is never charged, given the trust list and the addresses of the AMI server. */
  readonly exempt?: (trust: readonly string[], peers: readonly string[]) => AddressSet;
  /** Who has one attempt, beside those that the configuration names. */
  readonly strict?: StrictHosts | undefined;
  /** Looks trusted names up; by default as the system does. */
  readonly lookup?: (name: string) => Promise<readonly string[]>;
  /** Where the addresses of trusted names outlive a restart; by default nowhere. */
  readonly answersFile?: string | undefined;
  /** How often the points of hosts are written, in milliseconds. @default {60_000} */
  readonly savePointsMs?: number;
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
  /** How blocks are put into the kernel, and why so. */
  readonly backend: BackendChoice;
  readonly table: PenaltyTable;
  readonly firewall: Firewall;
  readonly neighbourhoods: Neighbourhoods;
  readonly inquiry: Inquiry;
  /** Lists of attackers. */
  readonly listed: Listed;
  /** What other PBXs bring. */
  readonly elsewhere: Elsewhere;
  readonly #parts: DaemonParts;
  readonly #list: BlockList;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #wallClock: () => number;
  readonly #believedTime: Pick<BelievedTime, "now" | "latest">;
  readonly #exempt: (trust: readonly string[], peers: readonly string[]) => AddressSet;
  readonly #trust: Trust;
  /** Where hosts are. */
  readonly places: HostPlaces;
  /** Who logged in from a new place. */
  readonly newPlaces: NewPlaces;
  readonly #notices: Notices;
  readonly #exceptions: Exceptions;
  readonly #force: Force;
  readonly #changes: ListChanges;
  readonly #messages: Messages;
  readonly #reports: Reports;
  readonly #learning: Learning;
  readonly #keeping: Keeping;
  readonly #pipeline: Pipeline;
  readonly #logs: Logs;
  readonly #following: Following;
  readonly #predecessor: Predecessor | undefined;
  #config: Config;
  /** Canonical addresses of the AMI server, as far as they are known. */
  #peers: readonly string[];
  #lastTick = 0;
  #lastChores = 0;
  /** There may be logins to be written. */
  #loginsWait = false;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    this.#config = parts.config;
    const { list, log, clock = systemClock, wallClock = Date.now } = parts;
    this.#list = list;
    this.#log = log;
    this.#clock = clock;
    this.#wallClock = wallClock;
    this.#believedTime = parts.believedTime ?? { now: this.#wallClock, latest: this.#wallClock };
    this.#exempt = parts.exempt ?? exemptNow();
    this.#peers = literalPeers(parts.config.host);
    this.#trust = new Trust(parts.config, {
      log,
      clock,
      wallClock,
      lookup: parts.lookup ?? lookupName,
      answersFile: parts.answersFile,
      changed: () => this.#refreshExempt(),
    });
    this.places = new HostPlaces(parts.config, {
      log,
      changed: () => {
        this.table.setPolicy(this.#policy());
        this.table.recheckStrict();
      },
    });
    this.startedAt = this.#wallClock();
    this.backend = parts.backend ?? namedBackend(parts.config);
    this.listed = new Listed({
      ...{ ...parts, log, clock, wallClock, dryRun: this.dryRun },
      backendName: this.backend.name,
      table: () => this.table,
      firewall: () => this.firewall,
      saveLogins: () => this.#loginsWait = true,
    });
    this.table = new PenaltyTable(this.#policy());
    this.table.explain = parts.verbose ?? false;
    this.firewall = new Firewall({
      backends: parts.backends,
      ways: parts.ways ?? [],
      onForce: (change) => this.#force.changed(change),
      onDamage: (damage) => {
        this.#notices.firewallFlushed(damage);
        this.listed.firewallDamaged();
      },
      log: parts.log,
      verifyMs: parts.config.verify * 1000,
      clock: this.#clock,
      onApplied: (_targets, waitedMs) => {
        for (const ms of waitedMs) this.counters.latency.observe(ms / 1000);
      },
    });
    const { table, firewall, counters, listed, places } = this;
    const onBlocks = (blocks: readonly NewBlock[]) => this.elsewhere.blocked(blocks);
    const shared = { table, firewall, counters, list, log, clock, wallClock, places, onBlocks };
    const notices = this.#notices = new Notices(parts.notify, wallClock, places);
    const config = () => this.#config;
    this.#force = new Force({
      ...shared,
      notices,
      config,
      peers: () => this.#peers,
      network: parts.network ?? networkNow,
    });
    const announcements = new Announcements({
      ...shared,
      force: this.#force,
      notices,
      onBlocked: (offences) => this.#keeping.blocked(offences),
      dryRun: this.dryRun,
    });
    const releases = new Releases({ ...shared, notices, announcements });
    const around = { ...shared, releases, config, backend: this.backend.name };
    const neighbourhoods = this.neighbourhoods = new Neighbourhoods(around);
    this.#exceptions = new Exceptions({ ...shared, releases, neighbourhoods });
    const { believedTime, savePointsMs: everyMs } = { ...parts, believedTime: this.#believedTime };
    this.#changes = new ListChanges({ ...around, notices, neighbourhoods, believedTime });
    const lengthMs = this.#config.learn * 1000;
    const onKnown = () => listed.exemptChanged();
    this.#learning = new Learning({ ...shared, bornAt: parts.bornAt, lengthMs, onKnown });
    this.#messages = new Messages(log, counters);
    this.#reports = new Reports({ ...shared, exceptions: this.#exceptions, notices });
    const { leftovers, config: { verify } } = parts;
    const againMs = verify * 1000;
    this.#predecessor = leftovers && new Predecessor({ firewall, clock, leftovers, againMs });
    const keeping = this.#keeping = new Keeping({ ...shared, believedTime, everyMs });
    const newPlaces = this.newPlaces = new NewPlaces({ ...shared, believedTime, notices, config });
    this.inquiry = new Inquiry({ ...shared, neighbourhoods, keeping, config, listed });
    this.#pipeline = new Pipeline({
      ...shared,
      onLogin: (event) => {
        listed.loggedIn(event.host);
        neighbourhoods.loggedIn(event);
        this.#exceptions.loggedIn(event);
        newPlaces.login(event);
        this.elsewhere.loggedIn();
      },
      announcements,
      exceptions: this.#exceptions,
      neighbourhoods,
      force: this.#force,
      config,
    });
    const pipeline = this.#pipeline;
    const exceptions = this.#exceptions;
    this.elsewhere = new Elsewhere({ ...shared, pipeline, exceptions, neighbourhoods, releases });
    const logs = this.#logs = new Logs({ pipeline, log, clock, files: parts.files });
    this.#following = new Following({
      ...{ ...shared, config, pipeline, logs, notices, ami: parts.ami, dryRun: this.dryRun },
      messages: this.#messages,
      learning: this.#learning,
      force: this.#force,
      verbose: parts.verbose ?? false,
      peers: () => this.#peers,
      onPeers: (addresses) => {
        this.#peers = addresses;
        this.#force.update();
        this.#refreshExempt();
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

  /** Asterisk's logs that are followed. */
  get logs(): LogsState | undefined {
    return this.#logs.state;
  }

  /** Where Asterisk is. */
  get whereabouts(): Whereabouts {
    return this.#force.whereabouts;
  }

  /** Who is never blocked, and why. */
  get neverBlocked(): readonly ExemptTarget[] {
    const { exempt } = this.table.policy;
    return exempt instanceof ExemptSet ? exempt.entries : [];
  }

  /** Accounts that are guarded; times in milliseconds since 1970. */
  get guardedAccounts(): GuardedAccount[] {
    const { guard } = this.table;
    return guard.accounts().map((one) => ({ ...one, since: this.#toWallClock(one.since) }));
  }

  /** Trusts somebody for a time; see `Trust`. */
  trustFor(target: string, until: number | undefined, remark: string): string | undefined {
    return this.#trust.trustFor(target, until, remark);
  }

  /** Whom the administrator trusts. */
  get trust(): TrustState {
    return this.#trust.state;
  }

  /**
   * Time of day since which Asterisk's events arrive, in milliseconds since 1970; `undefined` when
   * they do not.
   */
  get connectedSince(): number | undefined {
    const since = this.#following.connectedSince;
    return since === undefined ? undefined : this.#toWallClock(since);
  }

  /**
   * Runs until the signal is given.
   *
   * @param signal Ends it; the rules stay.
   * @returns The exit code: 1 when it cannot work at all (it is logged why).
   */
  async run(signal: AbortSignal): Promise<number> {
    const believed = this.#believedTime.now();
    // Whoever was blocked anew meanwhile must not be taken for one whose block has ended.
    this.#list.reload(believed);
    this.#list.removeEnded(believed);
    this.#exceptions.releaseExempt();
    this.table.restoreStanding(
      [...this.#list.standing()].map(([host, at]) => [host, this.#fromWallClock(at)]),
    );
    this.#log.info(
      `Ampere ${VERSION} follows Asterisk ${describePlace(this.#config)} and blocks in the ` +
        `${holderOf(this.backend.name, this.#config.chain)} (${this.backend.name}); ${
          counted(this.#list.size, "block")
        } from ${this.#list.path}`,
    );
    if (this.backend.isAuto) this.#log.info(describeChoice(this.backend));
    this.#learning.begin(this.#wallClock());
    void this.places.open();
    this.#logs.configure(this.#config.logs, this.#following.isOn);
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    let code = 0;
    const fail = () => {
      code = 1;
      stop.abort();
    };
    this.#force.update();
    const started = this.firewall.start(this.#list.entries()).then((failures) => {
      void this.listed.begin();
      this.#list.readRest?.(this.#believedTime.now());
      this.#exceptions.findShared();
      // The other family may have taken its time: IPv4 may work by now.
      const works = this.firewall.status().families.some((f) => f.family === 4 && !f.failing);
      if (!works && failures.some(isHopeless)) fail();
    });
    this.#keeping.restore();
    this.newPlaces.look();
    const following = this.#following.run(stop.signal).catch((error) => {
      if (!(error instanceof LoginRefusedError)) throw error;
      this.#log.error(error.message);
      fail();
    });
    this.#logs.start();
    this.#lastTick = this.#clock.now();
    const cancelTick = repeat(this.#clock, TICK_MS, () => this.#tick());
    try {
      await following;
      await started;
    } finally {
      this.#changes.close();
      cancelTick();
      this.#logs.close();
      signal.removeEventListener("abort", end);
      await this.#finish(code === 0);
    }
    return code;
  }

  /**
   * Takes over a new configuration.
   *
   * @param config The new one.
   */
  reconfigure(config: Config): void {
    const old = this.#config;
    const fixed = (["chain", "backend", "database", "verify"] as const).filter((key) =>
      // To name what was chosen changes nothing.
      old[key] !== config[key] && (key !== "backend" || config.backend !== this.backend.name)
    );
    const { chain, backend, database, verify } = old;
    this.#config = { ...config, chain, backend, database, verify };
    if (old.action !== config.action || isOtherGap(old, config)) {
      this.firewall.refuseBy(config.action, gapOf(config));
    }
    if (old.host !== config.host) this.#peers = literalPeers(config.host);
    this.#trust.configure(config);
    void this.places.configure(config);
    this.#force.update();
    this.listed.configure(this.#config);
    this.table.setPolicy(this.#policy());
    this.#exceptions.releaseExempt();
    this.listed.exemptChanged();
    this.#log.info("the configuration was read again");
    if (fixed.length > 0) {
      const when = "that takes effect at the next start (systemctl restart ampere)";
      this.#log.warn(`${fixed.join(", ")} changed: ${when}`);
    }
    const hadLogs = this.#logs.isOn;
    this.#logs.configure(config.logs, this.#following.isOn);
    const moved = isOtherLogin(old, config);
    // AMI's events take another way with a log.
    if (!moved && hadLogs !== this.#logs.isOn) this.#following.again();
    if (moved) {
      this.#log.info("the login to Asterisk changed: connecting again");
      this.#following.again();
    }
  }

  /** One line about everything that matters. */
  statusLine(): string {
    return describeState(this, this.#force.where);
  }

  #tick(): void {
    const now = this.#clock.now();
    const stalled = now - this.#lastTick > STALL_MS;
    this.#lastTick = now;
    if (!stalled) this.#pipeline.advance(now);
    const wall = this.#wallClock();
    this.#reports.tell();
    this.#list.retry(wall);
    this.#changes.look(wall);
    this.#changes.expire();
    this.#trust.look();
    this.listed.look();
    this.#force.hear();
    this.#predecessor?.look();
    this.#keeping.look(wall);
    this.newPlaces.look();
    if (now - this.#lastChores >= CHORES_MS) {
      this.#lastChores = now;
      this.#loginsWait = true;
      this.#refreshExempt();
      this.#force.refresh();
      this.neighbourhoods.release();
      this.#exceptions.refresh();
      this.#reports.tellHidden();
      this.#log.sweep();
      void this.places.look();
    }
    if (this.#loginsWait) this.#loginsWait = this.#saveLogins(wall, LOGINS_PER_TICK);
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

  /** The machine may have got another address, gateway or resolver, and the AMI server too. */
  #refreshExempt(): void {
    const exempt = this.#exempt(this.#trust.targets, this.#peers);
    if (isSameSet(exempt, this.table.policy.exempt)) return;
    this.table.setPolicy({ ...this.table.policy, exempt });
    this.#exceptions.releaseExempt();
    this.listed.exemptChanged();
  }

  async #finish(orderly: boolean): Promise<void> {
    this.#pipeline.close();
    this.listed.close();
    this.#trust.close();
    this.#force.close();
    this.#reports.tellHidden();
    this.#saveLogins(this.#wallClock());
    this.#keeping.finish(this.#wallClock());
    this.newPlaces.finish();
    const left = await this.firewall.stop();
    const lost = this.#list.close(this.#wallClock());
    if (lost > 0) {
      this.#log.error(`${lost} changes could not be written to ${this.#list.path} and are lost`);
    }
    if (orderly) {
      const what = describeEnd(this.#list.size, this.#force.where, left);
      this.#log.info(this.dryRun ? "ended; nothing was changed" : what);
    }
  }

  #policy(): PenaltyPolicy {
    const exempt = this.#exempt(this.#trust.targets, this.#peers);
    const strict = anyStrict(this.#parts.strict, this.listed.strict, this.places.strict);
    return policyOf(this.#config, exempt, strict);
  }

  #toWallClock(at: number): number {
    return toWallTime(at, { clock: this.#clock, wallClock: this.#wallClock });
  }

  #fromWallClock(at: number): number {
    return fromWallTime(at, { clock: this.#clock, believedTime: this.#believedTime });
  }
}

/**
 * Standard input of the daemon may be the table of routes; other commands read something else
 * there.
 */
function exemptNow(): (trust: readonly string[], peers: readonly string[]) => ExemptSet {
  const find = exemptFinder();
  return (trust, peers) => find(trust, peers, defaultGateways());
}

function describePlace({ host, port }: Config): string {
  return host === NO_AMI ? "by its log alone" : `at ${host}:${port}`;
}

function isOtherLogin(old: Config, config: Config): boolean {
  return (["host", "port", "tls", "tlsCa", "tlsName", "user", "pass"] as const)
    .some((key) => old[key] !== config[key]);
}

function isOtherGap(old: Config, config: Config): boolean {
  return old.softRate !== config.softRate || String(old.sipPorts) !== String(config.sipPorts);
}

/** What the configuration says, which may leave it open. */
function namedBackend({ backend }: Config): BackendChoice {
  return { name: backend === "auto" ? "iptables" : backend, isAuto: false, why: "" };
}

/**
 * What stays when the daemon ends.
 *
 * @param blocks How many blocks there are.
 * @param where Where they are in force.
 * @param left How many changes of the firewall were not made.
 */
function describeEnd(blocks: number, where: string, left: number): string {
  const stays = `ended; ${counted(blocks, "block")} ${blocks === 1 ? "stays" : "stay"} ${where}`;
  if (left === 0) return stays;
  const follows = left === 1 ? "follows" : "follow";
  return `${stays}, ${counted(left, "change")} of the firewall ${follows} at the next start`;
}

/**
 * Does something again and again.
 *
 * @param clock The time.
 * @param ms How often, in milliseconds.
 * @param run What.
 * @returns Ends it.
 */
function repeat(clock: Clock, ms: number, run: () => void): () => void {
  let cancel = () => {};
  const again = () => {
    run();
    cancel = clock.after(ms, again);
  };
  cancel = clock.after(ms, again);
  return () => cancel();
}

/** A chain that is not there yet may come: at boot, others make it. */
function isHopeless({ family, kind }: Failure): boolean {
  return family === 4 && kind !== "no-chain" && isLasting({ kind });
}

function networkNow(): OwnNetwork {
  return { interfaces: ownInterfaces(), gateways: defaultGateways() };
}

function isSameSet(a: AddressSet, b: AddressSet): boolean {
  return a === b || a.targets.length === b.targets.length &&
      a.targets.every((target, i) => target === b.targets[i]);
}
