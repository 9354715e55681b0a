/**
 * A simulated machine with the real daemon on it, and everything that goes wrong around it.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { AddressSet } from "../../src/address/address_set.ts";
import { networksAround } from "../../src/address/address.ts";
import type { NewBlock } from "../../src/blocks/database.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { VERIFY_MAX } from "../../src/config/keys.ts";
import type { BlockList } from "../../src/blocks/block_list.ts";
import { Daemon, TICK_MS } from "../../src/daemon/daemon.ts";
import type { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import type { Backend } from "../../src/firewall/backend.ts";
import { IpsetBackend } from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import { Way } from "../../src/firewall/way.ts";
import { Log } from "../../src/log.ts";
import { Asterisk, type AsteriskState } from "./asterisk.ts";
import { Dice } from "./dice.ts";
import { Kernel } from "./kernel.ts";
import { Model, type Rules, type Visits } from "./model.ts";
import { NO_TROUBLE, Programs, type Trouble } from "./programs.ts";
import { MemoryStore, SqliteStore, type Store } from "./store.ts";
import { ProcessClock, SimulatedTime } from "./time.ts";
import { type Step, Traffic } from "./traffic.ts";
import { WayWitness } from "./way.ts";

/**
 * How long after the last fault all must be in order, in milliseconds: the longest delays, one
 * after the other.
 */
const CONVERGED_WITHIN_MS = 180_000;

/** How often it is looked whether all is in order, in milliseconds. */
const LOOK_MS = 500;

/**
 * After the last fault the daemon is logged in again within this time, in milliseconds
 * (`RETRY_MAX_MS` and an answer).
 */
const LOGGED_IN_WITHIN_MS = 80_000;

/** When only the port was closed it is much less: the promise is 2 s. */
const RESUMED_WITHIN_MS = 2_000;

/** A daemon that is told to end does within this time, in milliseconds. */
const ENDED_WITHIN_MS = 1_000;

/** Address of the simulated machine. */
const OWN = "192.0.2.1";

const FAMILIES = [4, 6] as const;

const ATTACKERS = [
  "203.0.113.1",
  "203.0.113.2",
  "203.0.113.3",
  "203.0.113.4",
  "203.0.113.5",
  "2001:db8:0:a::1",
  "2001:db8:0:a::2",
  "2001:db8:0:b::1",
  "fe80::5",
];
const PHONES = ["198.51.100.1", "198.51.100.2", "2001:db8:0:c::1", "2001:db8:0:a::99"];
/** They log in once, or have logged in long ago, and somebody guesses in their name. */
const BESIEGED = ["198.51.100.5", "198.51.100.6"];
/** When that was: no registration lasts so long. */
const LONG_AGO_MS = 3 * 3_600_000;
/** They guess between their logins. */
const OWNERS = ["198.51.100.7", "2001:db8:0:f::7"];
/** Networks in which somebody takes a new address for each guess. */
const ROTATING = ["2001:db8:0:10", "2001:db8:0:d"];
const TRUSTED = ["192.0.2.10", "2001:db8:0:d::1"];
const LAST_ATTACKERS = ["203.0.113.200", "2001:db8:0:e::1"];
/** What people block by hand; nothing of it takes part otherwise. */
const BY_HAND = ["100.64.0.0/16", "100.65.1.2", "100.65.1.3", "2001:db8:ff::/48", "2001:db8:fe::1"];

const STRANGERS: Readonly<Record<4 | 6, readonly string[]>> = {
  4: [
    "-j ACCEPT",
    "-s 198.18.0.1/32 -j REJECT --reject-with icmp-port-unreachable",
    "-s 203.0.113.1/32 -j DROP",
    "-p tcp -m tcp --dport 22 -j ACCEPT",
  ],
  6: ["-j ACCEPT", "-s 2001:db8:77::1/128 -j REJECT --reject-with icmp6-port-unreachable"],
};

/** Rules that let packets in, if they stand before the jump. */
const LETS_IN = [
  "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "-p udp -m udp --dport 5060 -j ACCEPT",
  "-j ACCEPT",
];

/** This machine's interfaces; the second address is the one that events name. */
const INTERFACES = [
  { name: "lo", address: "127.0.0.1", network: "127.0.0.0/8" },
  { name: "eth0", address: OWN, network: "192.0.2.0/28" },
  { name: "eth0", address: "192.0.2.10", network: "192.0.2.0/28" },
];

/** The kinds of faults; each seed has some of them. */
const FAULTS = [
  "drop",
  "down",
  "dark",
  "refuse",
  "commands",
  "flush",
  "chain",
  "jump",
  "strangers",
  "poison",
  "disk",
  "hand",
  "kill",
  "restart",
  "freeze",
  "wall clock",
  "reconfigure",
  "noise",
  "no ip6tables",
] as const;

/**
 * After these the firewall differs from what Ampere has made; a killed daemon leaves programs
 * behind.
 */
const MEDDLING: readonly FaultName[] = [
  "flush",
  "chain",
  "jump",
  "strangers",
  "wall clock",
  "kill",
];

/** Time between two looks at the firewall, in seconds. */
const VERIFY_SECONDS = 5;

/** One kind of fault. */
type FaultName = typeof FAULTS[number];

/** How a world is run. */
interface WorldOptions {
  /** Takes the story of what happens, line by line. */
  readonly trace?: (line: string) => void;
  /** Counts what the model decided. */
  readonly visits?: Visits;
  /** A folder for lock files and, for some seeds, databases; best in a file system in memory. */
  readonly folder: string;
}

/** A world has shown that something is wrong. */
class WorldError extends Error {
  override readonly name = "WorldError";
}

/**
 * Runs the world of one seed.
 *
 * @param seed Decides everything that happens.
 * @param options See {@linkcode WorldOptions}.
 * @throws {WorldError} with what is wrong in the end; anything that the code under test throws.
 */
export async function runWorld(seed: number, options: WorldOptions): Promise<void> {
  const world = new World(seed, options);
  const restore = makeRepeatable(world.dice.fork());
  try {
    await world.run();
  } finally {
    world.end();
    restore();
  }
}

/** Chance and digests of the code under test are made to depend on the seed only. */
function makeRepeatable(dice: Dice): () => void {
  const { random } = Math;
  const { digest } = crypto.subtle;
  Math.random = () => dice.next();
  // The real one runs in another thread, and ends at any time.
  crypto.subtle.digest = (_algorithm, data) => {
    const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data as Uint8Array;
    return Promise.resolve(createHash("sha256").update(bytes).digest().buffer as ArrayBuffer);
  };
  return () => {
    Math.random = random;
    crypto.subtle.digest = digest;
  };
}

/** One process of the daemon. */
interface Process {
  readonly clock: ProcessClock;
  readonly daemon: Daemon;
  readonly list: WrittenBlockList;
  readonly stop: AbortController;
  exitCode: number | undefined;
  error: unknown;
  /** Events that reached it. */
  arrived: number;
  readonly witness: WayWitness;
}

/** A block that somebody has made or deleted by hand. */
interface ByHand {
  readonly target: string;
  readonly until: number | undefined;
  readonly present: boolean;
  /** The daemon has taken it over. */
  seen: boolean;
  /**
   * Either outcome is right: the file may be gone, and the daemon writes what it knows into
   * another.
   */
  vague: boolean;
}

class World {
  readonly dice: Dice;
  readonly #time = new SimulatedTime();
  readonly #options: WorldOptions;
  readonly #kernel: Kernel;
  readonly #programs: Programs;
  readonly #asterisk: Asterisk;
  readonly #store: Store;
  readonly #traffic: Traffic;
  readonly #model: Model;
  readonly #faults: ReadonlySet<FaultName>;
  readonly #byHand = new Map<string, ByHand>();
  /** Who has logged in long before the beginning. */
  readonly #knownOfOld = new Set<string>();
  /** Deleted by hand, and not yet taken over. */
  readonly #deleted = new Set<string>();
  /** Changed while the database did not take it. */
  readonly #unsaved = new Set<string>();
  readonly #sqlite: boolean;
  #config: Config;
  #process: Process | undefined;
  #wallOffset = 0;
  /** Wall time at which the list was made. */
  readonly #bornAt: number;
  #wallMoved = false;
  #faulty = true;
  #harmedAt = -Infinity;
  #freezeAtChallenge = false;
  /** When the last deed that was begun is at its end. */
  #performedAt = 0;

  constructor(seed: number, options: WorldOptions) {
    this.dice = new Dice(seed);
    this.#options = options;
    const { dice } = this;
    const time = this.#time;
    const trace = (text: string) => this.#trace(text);
    this.#faults = new Set(FAULTS.filter((name) => dice.chance(LIKELY[name] ?? 0.35)));
    this.#config = this.#chooseConfig();
    this.#kernel = new Kernel(this.#config.chain, () => time.now);
    this.#sqlite = dice.chance(SQLITE_SHARE);
    this.#store = this.#sqlite
      ? new SqliteStore(Deno.makeTempDirSync({ dir: options.folder, prefix: "sqlite-" }))
      : new MemoryStore(`${options.folder}/${seed}`);
    this.#model = new Model(rulesOf(this.#config), options.visits ?? new Map());
    this.#model.vague = () => this.#process?.list.trouble !== undefined;
    this.#programs = new Programs({
      time,
      kernel: this.#kernel,
      dice: dice.fork(),
      trace,
      untouchable: new Set([...TRUSTED, OWN, "127.0.0.1", "::1"]),
    });
    this.#programs.slowness = dice.pick([1, 1, 1, 30, 100]);
    this.#asterisk = new Asterisk({
      time,
      dice: dice.fork(),
      trace,
      onArrived: (happening) => {
        trace(`arrives: ${happening.what} ${happening.address} ${happening.session}`);
        if (this.#process !== undefined) this.#process.arrived++;
        this.#model.take(happening, time.now, this.#wall());
        if (!this.#freezeAtChallenge || happening.what !== "challenge") return;
        this.#freezeAtChallenge = false;
        time.after(0.5, () => this.#faulty && this.#freeze());
      },
    });
    this.#traffic = new Traffic(dice.fork());
    this.#bornAt = this.#wall();
    trace(`faults: ${[...this.#faults].join(", ")}${this.#sqlite ? "; SQLite" : ""}`);
    trace(`configuration: ${JSON.stringify(this.#config)}`);
  }

  async run(): Promise<void> {
    const { dice } = this;
    const time = this.#time;
    if (this.#faults.has("no ip6tables")) {
      this.#kernel.chains[6] = undefined;
      if (dice.chance(0.5)) this.#programs.missing.add("ip6tables");
    }
    // Somebody logged in so long ago that the rows of their short blocks may grow.
    for (const address of BESIEGED) {
      if (!dice.chance(0.8)) continue;
      this.#store.remember(address, this.#wall() - LONG_AGO_MS);
      this.#knownOfOld.add(address);
    }
    for (const family of FAMILIES) {
      if (this.#config.jump.length === 0) this.#kernel.makeJump(family);
      else if (dice.chance(0.5)) this.#kernel.deleteChain(family);
    }
    this.#startProcess();
    // Rows of blocks need time.
    const duration = dice.chance(0.1) ? 40_000 : dice.between(4_000, 25_000);
    this.#scheduleTraffic(duration);
    this.#scheduleFaults();
    await this.#passUntil(time.now + duration);
    this.#heal();
    // A process that could do nothing at its start ends a moment later, and one that stood still
    // may have to log in anew: then there is another attack.
    do await this.#beLoggedIn(); while (!await this.#lastAttack());
    await this.#converge();
    await this.#stopOrderly();
  }

  /** Gives back what the world holds, however it ended. */
  end(): void {
    const process = this.#process;
    if (process !== undefined) {
      process.clock.kill();
      process.list.close(this.#wall());
    }
    this.#store[Symbol.dispose]();
  }

  // Before the beginning

  #chooseConfig(): Config {
    const { dice } = this;
    const bantime = dice.pick([0, 0, 0, 2, 20, 60]);
    // When nobody else touches the firewall, the looks by interval must not be needed.
    const meddled = MEDDLING.some((name) => this.#faults.has(name));
    return {
      ...DEFAULT_CONFIG,
      loyalty: dice.int(1, 4),
      trust: TRUSTED,
      database: "simulated",
      patience: dice.pick([0, 2, 5, 5]),
      credit: dice.pick([0, 7 * 86_400, 7 * 86_400]),
      forget: dice.pick([10, 20, 86_400, 86_400]),
      learn: dice.pick([0, 0, 0, 4]),
      doubt: dice.pick([0, 1, 2, 60]),
      bantime,
      bantimeFactor: dice.pick([1, 2]),
      bantimeMax: dice.pick([0, 0, 5, 100]),
      ipv6Prefix: dice.pick([64, 128]),
      backend: dice.pick(["iptables", "ipset"]),
      verify: meddled ? VERIFY_SECONDS : VERIFY_MAX,
      jump: dice.pick([[], ["INPUT"]]),
    };
  }

  // Processes

  #startProcess(): void {
    const { dice } = this;
    if (!this.#store.readable) {
      // A list that cannot be read is empty: what is blocked then is another story.
      this.#trace("the start waits for the database");
      this.#time.after(1_000, () => this.#startProcess());
      return;
    }
    const clock = new ProcessClock(this.#time);
    const wallClock = () => this.#wall();
    const log = new Log({
      level: "info",
      stamps: false,
      now: wallClock,
      stderr: { writeSync: (bytes) => says(bytes) },
    });
    const list = this.#store.open(wallClock(), (message) => log.error(message));
    const { chain, backend } = this.#config;
    const witness = new WayWitness({
      kernel: this.#kernel,
      now: () => this.#time.now,
      verifyMs: this.#looksInTime ? 1_000 * this.#config.verify : undefined,
    });
    const run = this.#programs.runnerFor(
      clock,
      (family, isInForce) => witness.looked(family, isInForce),
    );
    const says = (bytes: Uint8Array) => {
      const wrong = witness.hear(new TextDecoder().decode(bytes));
      if (wrong !== undefined) throw new WorldError(wrong);
      return this.#takeLogLine(bytes);
    };
    const batchMax = dice.pick([1, 2, 5, 15_000]);
    const backends = FAMILIES.map((family): Backend =>
      backend === "ipset"
        ? new IpsetBackend({ family, chain, run, now: wallClock })
        : new IptablesBackend({ family, chain, run, batchMax })
    );
    let serial = 0;
    const daemon = new Daemon({
      config: this.#config,
      bornAt: this.#bornAt,
      list: this.#observed(list),
      backends,
      ways: FAMILIES.map((family) => new Way({ family, chain, run })),
      network: () => ({ interfaces: INTERFACES, gateways: [] }),
      log,
      clock,
      wallClock,
      exempt: (trust) => this.#exempt(trust),
      ami: {
        connect: this.#asterisk.connectFor(clock),
        random: () => dice.next(),
        actionId: () => `id-${++serial}`,
      },
    });
    const stop = new AbortController();
    const process: Process = {
      clock,
      daemon,
      list,
      stop,
      exitCode: undefined,
      error: undefined,
      arrived: 0,
      witness,
    };
    this.#process = process;
    this.#trace("the daemon starts");
    const { rows, history, standing } = this.#store.read();
    this.#adopt(rows, history);
    this.#model.standing = new Map(
      [...standing].map(([host, at]) => [host, this.#time.now - Math.max(0, this.#wall() - at)]),
    );
    this.#model.begin(this.#time.now, this.#wall(), this.#bornAt);
    daemon.run(stop.signal).then((code) => process.exitCode = code, (error) => {
      process.error = error;
    });
  }

  /**
   * The model takes over what the database holds; it may differ only in what could not be written.
   */
  #adopt(rows: Stored["rows"], history: Stored["history"]): void {
    const model = this.#model;
    const targets = [...rows.keys(), ...model.blocks.keys()];
    for (const target of targets) {
      const row = rows.get(target);
      const block = model.blocks.get(target);
      if (BY_HAND.includes(target) || this.#deleted.has(target)) continue;
      const differs = (row === undefined) !== (block === undefined) || row?.until !== block?.until;
      if (differs && !this.#unsaved.has(target) && !block?.vague) {
        throw new WorldError(
          `the database lost a change that it had taken: ${target} is ${JSON.stringify(row)}, ` +
            `should be ${JSON.stringify(block)}`,
        );
      }
      if (row === undefined) model.blocks.delete(target);
      else {
        model.blocks.set(target, {
          until: row.until,
          times: row.times,
          vague: block?.vague ?? false,
        });
      }
    }
    for (const target of this.#deleted) model.deleted(target);
    this.#deleted.clear();
    model.past = new Map(history);
    model.vaguePast.clear();
    this.#unsaved.clear();
  }

  /** The list of a daemon, and an ear at it. */
  #observed(list: WrittenBlockList): BlockList {
    const unsaved = this.#unsaved;
    const model = this.#model;
    const note = (saved: boolean, targets: Iterable<string>) => {
      if (list.pending === 0) {
        unsaved.clear();
        this.#clearPast(list);
      } else if (!saved) { for (const target of targets) unsaved.add(target); }
      return saved;
    };
    return {
      get path() {
        return list.path;
      },
      get size() {
        return list.size;
      },
      get pending() {
        return list.pending;
      },
      get trouble() {
        return list.trouble;
      },
      get bornAt() {
        return list.bornAt;
      },
      get: (target) => list.get(target),
      all: () => list.all(),
      entries: () => list.entries(),
      readRest: (now) => list.readRest(now),
      timesOf: (target) => list.timesOf(target),
      anyPast: () => list.anyPast(),
      standing: () => list.standing(),
      add: (blocks, now) => {
        const saved = note(list.add(blocks, now), blocks.map((block) => block.target));
        for (const { target, until } of blocks) {
          // It had ended meanwhile, and is blocked anew.
          this.#deleted.delete(target);
          const known = model.blocks.get(target);
          // The trouble may have shown when it was asked how often this was blocked before.
          if (known !== undefined && list.trouble !== undefined) known.vague = true;
          if (known?.vague) {
            const block = list.get(target);
            known.until = block === undefined ? until : block.until;
            known.times = block?.times ?? 1;
          }
        }
        return saved;
      },
      remove: (targets, now) => note(list.remove(targets, now), targets),
      removeEnded: (now) => {
        const ended = list.removeEnded(now);
        for (const { target } of ended) this.#deleted.delete(target);
        if (list.pending > 0) { for (const { target } of ended) unsaved.add(target); }
        return ended;
      },
      saveStanding: (entries, before, now) => list.saveStanding(entries, before, now),
      retry: (now) => {
        model.tick(this.#time.now, this.#wall());
        // What lapses by the clock the daemon has charged already, and blocked by what it could
        // know.
        for (const [target, known] of model.blocks) {
          const block = known.vague ? list.get(target) : undefined;
          if (block !== undefined) [known.until, known.times] = [block.until, block.times];
        }
        const saved = note(list.retry(now), []);
        if (this.#sqlite && list.trouble !== undefined) {
          for (const change of this.#byHand.values()) {
            change.vague ||= !change.present && !change.seen;
          }
        }
        return saved;
      },
      reload: (now) => {
        const change = list.reload(now);
        for (const target of change.removed) {
          if (this.#deleted.delete(target)) model.deleted(target);
          const change = this.#byHand.get(target);
          if (change !== undefined) change.seen = true;
        }
        return change;
      },
      close: (now) => list.close(now),
    };
  }

  /** All is written: what was not certain of the past is what the database holds. */
  #clearPast(list: WrittenBlockList): void {
    const model = this.#model;
    if (model.vaguePast.size === 0 || list.trouble !== undefined) return;
    const { history } = this.#store.read();
    for (const target of model.vaguePast) {
      // Its end may not be written before the daemon has seen it.
      if (list.get(target) === undefined) model.setPast(target, history.get(target));
    }
  }

  #takeLogLine(bytes: Uint8Array): number {
    const text = () => new TextDecoder().decode(bytes).trimEnd();
    if (bytes.findIndex((byte) => byte < 0x20 || byte === 0x7f) !== bytes.length - 1) {
      throw new WorldError(`not one clean line of the log: ${JSON.stringify(text())}`);
    }
    if (this.#options.trace !== undefined) this.#trace(`log: ${text()}`);
    return bytes.length;
  }

  /** kill -9, and what starts the daemon again. */
  #kill(): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#trace("the daemon is killed");
    process.clock.kill();
    this.#process = undefined;
    this.#asterisk.drop();
    this.#store.abandon(process.list, this.#wall());
    this.#time.after(this.dice.between(50, 4_000), () => this.#startProcess());
  }

  /** systemctl restart. */
  #restart(): void {
    this.#trace("the daemon is told to end");
    this.#process?.stop.abort();
  }

  /** What systemd does: a daemon that has ended is started again. */
  #care(): void {
    const process = this.#process;
    if (process === undefined) return;
    if (process.error !== undefined) throw process.error;
    if (process.exitCode === undefined) {
      const wrong = process.clock.frozen ? undefined : process.witness.compare(process.daemon);
      if (wrong !== undefined) throw new WorldError(wrong);
      return;
    }
    this.#trace(`the daemon has ended with ${process.exitCode}`);
    process.clock.kill();
    this.#process = undefined;
    if (!process.stop.signal.aborted && !mayEnd(process)) {
      throw new WorldError("the daemon ended without being told to");
    }
    this.#time.after(this.dice.between(50, 4_000), () => this.#startProcess());
  }

  async #passUntil(end: number, holds: () => boolean = () => false): Promise<void> {
    await this.#time.passUntil(end, () => {
      this.#care();
      return holds();
    });
  }

  // Traffic

  #scheduleTraffic(duration: number): void {
    const { dice } = this;
    const some = <T>(things: readonly T[], share: number) =>
      things.filter(() => dice.chance(share));
    for (const address of some(ATTACKERS, 0.5)) {
      this.#act(() => this.#traffic.attack(address), dice.between(400, 8_000), duration);
    }
    for (const address of some(PHONES, 0.5)) {
      this.#act(() => this.#traffic.phone(address), dice.between(500, 8_000), duration);
      if (dice.chance(0.3)) {
        // The attacker forges the phone's address, or the phone has a wrong password.
        this.#act(() => this.#traffic.attack(address), dice.between(200, 2_000), duration);
      }
    }
    for (const address of some([...TRUSTED, "127.0.0.1"], 0.3)) {
      this.#act(() => this.#traffic.attack(address), dice.between(500, 4_000), duration);
    }
    for (const address of some(BESIEGED, 0.3)) {
      const over = dice.pick(["UDP", "TLS"]);
      if (!this.#knownOfOld.has(address)) {
        this.#time.after(50, () => this.#perform(this.#traffic.login(address)));
      }
      // Each is too much, and the next one comes when nothing of this one is under way any more.
      const siege = () => this.#traffic.siege(address, over, 10 * this.#config.loyalty);
      const every = dice.between(2_100, 2_600);
      for (let at = 500; at < duration; at += every) {
        this.#time.after(at, () => this.#perform(siege()));
        if (this.#faults.has("disk")) continue;
        this.#time.after(at - 300, () => this.#faulty && this.#deleteBlocked([address]));
      }
    }
    for (const address of some(OWNERS, 0.2)) {
      this.#act(() => this.#traffic.owner(address), dice.between(200, 1_500), duration);
    }
    for (const network of some(ROTATING, 0.2)) {
      const hosts = dice.pick([4, 12]);
      this.#act(() => this.#traffic.rotating(network, hosts), dice.between(50, 400), duration);
      if (dice.chance(0.3)) continue;
      for (let host = 1; host <= hosts; host += dice.int(1, 6)) {
        const login = () => this.#perform(this.#traffic.login(`${network}::${host.toString(16)}`));
        this.#time.after(dice.between(50, 2_000), login);
      }
    }
    if (!this.#faults.has("noise")) return;
    const victims = [...PHONES, ...ATTACKERS, "192.0.2.79"];
    this.#act(() => this.#traffic.noise(dice.pick(victims)), dice.between(200, 3_000), duration);
    if (dice.chance(0.1)) this.#act(() => this.#traffic.endless(), 20_000, duration);
  }

  /** Somebody does something again and again. */
  #act(deed: () => Step[], interval: number, duration: number): void {
    const { dice } = this;
    const end = this.#time.now + duration;
    const next = () => {
      if (this.#time.now >= end) return;
      this.#perform(deed());
      this.#time.after(interval * dice.between(0.1, 2), next);
    };
    this.#time.after(dice.between(100, interval), next);
  }

  #perform(steps: readonly Step[]): void {
    let at = 0;
    for (const [pause, ...said] of steps) {
      at += pause;
      this.#time.after(at, () => this.#asterisk.say(said));
    }
    this.#performedAt = Math.max(this.#performedAt, this.#time.now + at);
  }

  // Faults

  #scheduleFaults(): void {
    const { dice } = this;
    for (const name of this.#faults) {
      if (name === "noise" || name === "no ip6tables") continue;
      const interval = dice.between(1_000, 15_000);
      const strike = () => {
        if (!this.#faulty) return;
        this.#strike(name);
        this.#time.after(interval * dice.between(0.05, 2), strike);
      };
      this.#time.after(dice.between(0, interval), strike);
    }
  }

  /** Something goes wrong, for a while. */
  #strike(name: FaultName): void {
    const { dice } = this;
    const later = (ms: number, run: () => void) =>
      this.#time.after(ms, () => {
        if (this.#faulty) run();
      });
    switch (name) {
      case "drop":
        return this.#asterisk.drop();
      case "down":
      case "dark": {
        this.#setAsterisk(name);
        later(dice.between(100, 30_000), () => this.#setAsterisk("up"));
        return;
      }
      case "refuse":
        this.#trace("Asterisk refuses logins");
        this.#asterisk.refuses = true;
        if (dice.chance(0.7)) this.#asterisk.drop();
        later(dice.between(500, 20_000), () => this.#asterisk.refuses = false);
        return;
      case "commands":
        this.#programs.trouble = this.#chooseTrouble();
        this.#trace(`trouble: ${JSON.stringify(this.#programs.trouble)}`);
        later(dice.between(500, 15_000), () => this.#programs.trouble = { ...NO_TROUBLE });
        return;
      case "flush":
        return this.#flush();
      case "chain":
        return this.#deleteChain(later);
      case "jump":
        return this.#meddleWithWay(later);
      case "strangers":
        return this.#meddle();
      case "poison":
        // A refusal that ends lets the held changes in at the next try.
        this.#kernel.refused.add(dice.pick([...ATTACKERS, ...BY_HAND]));
        later(dice.between(1_000, 20_000), () => this.#kernel.refused.clear());
        return;
      case "disk":
        if (this.#sqlite && !this.#isWriting) return;
        this.#harmedAt = this.#time.now;
        this.#trace(`database: ${this.#store.harm(dice)}`);
        later(dice.between(50, 15_000), () => {
          this.#trace("database: healed");
          this.#store.heal();
          // What the daemon owes it writes a while later; others may be quicker.
          if (this.#faults.has("hand") && dice.chance(0.5)) this.#addOrDelete(dice.pick(BY_HAND));
        });
        return;
      case "hand":
        return this.#handle();
      case "kill":
        if (this.#mayKill()) this.#kill();
        return;
      case "restart":
        if (this.#mayKill()) this.#restart();
        return;
      case "freeze":
        // Best between a challenge and its answer.
        if (dice.chance(0.6)) this.#freezeAtChallenge = true;
        else this.#freeze();
        return;
      case "wall clock":
        this.#wallOffset += dice.pick([
          -3_600_000,
          -5_000,
          -1_000,
          1_000,
          5_000,
          30_000,
          3_700_000,
        ]);
        this.#wallMoved = true;
        this.#trace(`the clock is set, to ${new Date(this.#wall()).toISOString()}`);
        return;
      case "reconfigure":
        return this.#reconfigure();
    }
  }

  #setAsterisk(state: AsteriskState): void {
    this.#trace(`Asterisk: ${state}`);
    this.#asterisk.setState(state);
  }

  #chooseTrouble(): Trouble {
    const { dice } = this;
    const some = () => dice.chance(0.4) ? dice.pick([0.1, 0.4, 0.9]) : 0;
    return { busy: some(), refuses: some(), hangs: some(), slow: some(), half: some() };
  }

  #flush(): void {
    const { dice } = this;
    const family = dice.pick(FAMILIES);
    this.#trace(`somebody flushes IPv${family}`);
    const rules = this.#kernel.chains[family];
    if (this.#config.backend === "ipset" && dice.chance(0.5)) {
      return this.#kernel.clearSet(this.#setName(family));
    }
    if (rules !== undefined) rules.length = 0;
    if (this.#config.backend === "ipset" && dice.chance(0.5)) {
      this.#kernel.sets.delete(this.#setName(family));
    }
  }

  #deleteChain(later: (ms: number, run: () => void) => void): void {
    const { dice } = this;
    const family = dice.pick(FAMILIES);
    if (this.#faults.has("no ip6tables") && family === 6) return;
    this.#trace(`somebody deletes the chain of IPv${family}`);
    this.#kernel.deleteChain(family);
    // Ampere makes it again, if it may.
    if (this.#config.jump.length > 0 && dice.chance(0.7)) return;
    later(dice.between(100, 15_000), () => {
      this.#trace(`the chain of IPv${family} comes back`);
      this.#kernel.chains[family] ??= [];
      if (dice.chance(0.7)) this.#kernel.makeJump(family);
    });
  }

  /** The jump is flushed away, or others are let in before it. */
  #meddleWithWay(later: (ms: number, run: () => void) => void): void {
    const { dice } = this;
    const family = dice.pick(FAMILIES);
    const input = this.#kernel.input[family];
    const rule = dice.pick([undefined, ...LETS_IN]);
    this.#trace(`somebody meddles with INPUT of IPv${family}: ${rule ?? "flushed"}`);
    if (rule === undefined) input.length = 0;
    else input.unshift(rule);
    if (this.#config.jump.length > 0 && dice.chance(0.7)) return;
    later(dice.between(100, 15_000), () => {
      this.#trace(`INPUT of IPv${family} is put right`);
      this.#kernel.makeJump(family);
    });
  }

  /** Single rules and targets come and go. */
  #meddle(): void {
    const { dice } = this;
    const family = dice.pick(FAMILIES);
    const rules = this.#kernel.chains[family];
    if (rules === undefined) return;
    this.#trace(`somebody meddles with IPv${family}`);
    const entries = this.#kernel.sets.get(this.#setName(family))?.entries;
    if (this.#config.backend === "ipset" && entries !== undefined && dice.chance(0.6)) {
      const targets = [...entries.keys()];
      if (targets.length > 0 && dice.chance(0.7)) entries.delete(dice.pick(targets));
      if (dice.chance(0.7)) {
        entries.set(family === 4 ? "198.18.0.9" : "2001:db8:9::9", { until: undefined });
      }
      return;
    }
    switch (dice.int(0, 2)) {
      case 0:
        return this.#kernel.addStranger(family, dice.pick(STRANGERS[family]));
      case 1:
        if (rules.length > 0) rules.splice(dice.int(0, rules.length - 1), 1);
        return;
      case 2:
        if (rules.length > 0) rules.push(dice.pick(rules));
    }
  }

  /** Nothing keeps a look from being soon at its end. */
  get #looksInTime(): boolean {
    const slow: readonly FaultName[] = ["commands", "freeze", "no ip6tables", "poison"];
    return slow.every((name) => !this.#faults.has(name)) && this.#programs.slowness === 1;
  }

  #setName(family: 4 | 6): string {
    return `${this.#config.chain}${family}`;
  }

  /** A daemon runs, and would write a deleted file anew. */
  get #isWriting(): boolean {
    const process = this.#process;
    return process !== undefined && !process.clock.frozen && !process.stop.signal.aborted &&
      process.list.trouble === undefined && process.list.pending === 0;
  }

  /**
   * A process is killed only when what it owes is known to the model: a deleted file is written
   * anew first.
   */
  #mayKill(): boolean {
    const list = this.#process?.list;
    if (list === undefined) return false;
    if (!this.#sqlite) return true;
    return list.trouble === undefined && list.pending === 0 &&
      this.#time.now - this.#harmedAt > 1_000;
  }

  #freeze(): void {
    const { dice } = this;
    const ms = dice.pick([dice.between(10, 900), dice.between(1_000, 20_000)]);
    const clock = this.#process?.clock;
    if (clock === undefined || clock.frozen) return;
    this.#trace(`the daemon stands still for ${Math.round(ms)} ms`);
    clock.freeze();
    const timersFirst = dice.chance(0.5);
    this.#time.after(ms, () => {
      this.#trace("the daemon goes on");
      clock.thaw(timersFirst);
    });
  }

  #reconfigure(): void {
    const { dice } = this;
    const process = this.#process;
    if (process === undefined || process.clock.frozen) return;
    const config: Config = {
      ...this.#config,
      loyalty: dice.chance(0.3) ? dice.int(1, 4) : this.#config.loyalty,
      patience: dice.chance(0.3) ? dice.pick([0, 2, 5]) : this.#config.patience,
      trust: dice.chance(0.7)
        ? [...TRUSTED, ...[...ATTACKERS, ...PHONES].filter(() => dice.chance(0.15))]
        : this.#config.trust,
      port: dice.chance(0.2) ? this.#config.port + 1 : this.#config.port,
    };
    this.#trace(`reconfigured: ${JSON.stringify(config)}`);
    this.#config = config;
    const before = new Set(this.#model.blocks.keys());
    this.#model.setRules(rulesOf(config));
    for (const target of before) if (!this.#model.blocks.has(target)) this.#deleted.delete(target);
    process.daemon.reconfigure(config);
    if (process.list.pending > 0) {
      for (const target of before) {
        if (!this.#model.blocks.has(target)) this.#unsaved.add(target);
      }
    }
  }

  /** `ampere -a` and `ampere -d`, at any moment or between two accesses of the daemon. */
  #handle(): void {
    const { dice } = this;
    const act = () => {
      if (dice.chance(0.3)) this.#deleteBlocked([...this.#store.read().rows.keys()]);
      else this.#addOrDelete(dice.pick(BY_HAND));
    };
    if (this.#sqlite && this.#time.now - this.#harmedAt < 1_000) return;
    if (dice.chance(0.5)) act();
    else if (dice.chance(0.3)) {
      const isWriting = () => (this.#process?.list.pending ?? 0) > 0;
      this.#store.between(() => this.#blockForEver(), dice.int(0, 2), false, isWriting);
    } else {
      const run = () => this.#addOrDelete(dice.pick(BY_HAND));
      this.#store.between(run, dice.int(0, 5), dice.chance(0.7));
    }
  }

  #addOrDelete(target: string): void {
    const { dice } = this;
    const present = dice.chance(0.6);
    const until = present && dice.chance(0.3)
      ? this.#wall() + dice.int(1_000, 3_600_000)
      : undefined;
    const now = this.#wall();
    const worked = present
      ? this.#store.add({ ...BLANK, target, since: now, until }, now)
      : this.#store.delete(target);
    this.#trace(`by hand: ${present ? "-a" : "-d"} ${target} ${until ?? ""} ${worked}`);
    if (!worked) return;
    const row = this.#store.read().rows.get(target);
    const vague = this.#sqlite && !present && this.#process?.list.trouble !== undefined;
    this.#byHand.set(target, { target, until: row?.until, present, vague, seen: false });
  }

  /** Somebody blocks for ever what the daemon is just writing. */
  #blockForEver(): void {
    const now = this.#wall();
    const target = [...this.#model.blocks].findLast(([target, { until }]) =>
      !BY_HAND.includes(target) && !this.#deleted.has(target) && (until ?? Infinity) > now
    )?.[0];
    if (target === undefined) return;
    const worked = this.#store.add({ ...BLANK, target, since: now, until: undefined }, now);
    this.#trace(`by hand: -a ${target} while the daemon writes ${worked}`);
    if (worked) this.#model.blockedForEver(target);
  }

  /** Somebody deletes the block of an attacker. */
  #deleteBlocked(targets: readonly string[]): void {
    const list = this.#process?.list;
    if (list === undefined || list.trouble !== undefined || list.pending > 0) return;
    const blocked = targets.filter((target) =>
      !BY_HAND.includes(target) && this.#model.blocks.has(target) && !this.#unsaved.has(target) &&
      list.get(target) !== undefined
    );
    if (blocked.length === 0) return;
    const target = this.dice.pick(blocked);
    if (!this.#store.delete(target)) return;
    this.#trace(`by hand: -d ${target}`);
    this.#deleted.add(target);
  }

  // The end

  /** All faults are over. */
  #heal(): void {
    this.#trace("---- all faults are over ----");
    this.#faulty = false;
    this.#programs.trouble = { ...NO_TROUBLE };
    this.#kernel.refused.clear();
    this.#store.heal();
    this.#store.calm();
    this.#asterisk.refuses = false;
    this.#asterisk.stalls = false;
    this.#asterisk.setState("up");
    for (const family of FAMILIES) {
      if (family === 6 && this.#faults.has("no ip6tables")) continue;
      // With a jump it is Ampere that must.
      if (this.#config.jump.length > 0) continue;
      this.#kernel.chains[family] ??= [];
      this.#kernel.makeJump(family);
    }
  }

  async #beLoggedIn(): Promise<void> {
    const { dice } = this;
    const onlyPort = !this.#faults.has("dark") && !this.#faults.has("refuse") &&
      !this.#faults.has("freeze") && !this.#faults.has("kill") && !this.#faults.has("restart") &&
      !this.#faults.has("commands") && !this.#faults.has("chain");
    const within = onlyPort ? RESUMED_WITHIN_MS : LOGGED_IN_WITHIN_MS;
    // A stall of the network that has begun is not over before what it holds up has arrived.
    const start = Math.max(this.#time.now, this.#asterisk.arrivedAt);
    const loggedIn = () =>
      this.#asterisk.isHeard && this.#process?.daemon.connectedSince !== undefined &&
      !this.#process.clock.frozen;
    if (!loggedIn()) await this.#passUntil(start + within, loggedIn);
    if (!loggedIn()) throw new WorldError(`not logged in within ${within} ms after the last fault`);
    await this.#passUntil(this.#time.now + dice.between(0, 2_000));
  }

  /** Whether the daemon has heard all of it. */
  async #lastAttack(): Promise<boolean> {
    const process = this.#process;
    // A command that failed as the last fault has ended it since; it is started again.
    if (process === undefined) return false;
    const { logins } = process.daemon.counters;
    for (const address of LAST_ATTACKERS) {
      for (let i = 0; i < 4; i++) {
        this.#time.after(10 + i * 400, () => this.#perform(this.#traffic.wrongPassword(address)));
      }
    }
    await this.#passUntil(this.#time.now + 10 + 4 * 400);
    await this.#passUntil(this.#performedAt + 1);
    while (this.#asterisk.arrivedAt > this.#time.now) {
      await this.#passUntil(this.#asterisk.arrivedAt + 1);
    }
    // What is still open is charged by then.
    await this.#passUntil(this.#time.now + 1_000 * this.#config.patience + 2 * TICK_MS);
    if (process !== this.#process || logins !== process.daemon.counters.logins) return false;
    for (const address of LAST_ATTACKERS) {
      if (!this.#model.blocks.has(address) && !this.#model.past.has(address)) {
        throw new WorldError(`the last attack of ${address} did not reach the daemon`);
      }
    }
    return true;
  }

  async #converge(): Promise<void> {
    this.#exchange();
    const end = this.#time.now + CONVERGED_WITHIN_MS;
    while (this.#differences() !== undefined) {
      if (this.#time.now >= end) {
        throw new WorldError(
          `${CONVERGED_WITHIN_MS} ms after the last fault: ${this.#differences()}`,
        );
      }
      await this.#passUntil(this.#time.now + LOOK_MS);
    }
    this.#trace("all is in order");
    // It must stay so, through the next look at the firewall.
    await this.#passUntil(this.#time.now + 1_000 * VERIFY_SECONDS + 1_000);
    // Blocks may just be ending, each by a command of its own, and looks come in between.
    const inOrder = () => this.#differences() === undefined;
    const process = this.#process!;
    const changes = process.daemon.firewall.status().queued + process.list.size;
    const within = 1_000 * VERIFY_SECONDS + 2 * changes * this.#programs.slowestMs;
    if (!inOrder()) await this.#passUntil(this.#time.now + within, inOrder);
    if (!inOrder() && !this.#endsEarly) {
      throw new WorldError(`it was in order, and then: ${this.#differences()}`);
    }
  }

  /** Somebody exchanges one target of a set for another: its size is the same. */
  #exchange(): void {
    const entries = this.#kernel.sets.get(this.#setName(4))?.entries;
    if (entries === undefined || !this.#faults.has("strangers") || !this.dice.chance(0.5)) return;
    const [some] = entries.keys();
    if (some === undefined) return;
    this.#trace(`somebody exchanges ${some}`);
    entries.delete(some);
    entries.set("198.18.0.8", { until: undefined });
  }

  async #stopOrderly(): Promise<void> {
    const process = this.#process!;
    this.#trace("the daemon is told to end");
    // It has looked at its clock a tick ago; what ends after that ends at the next start.
    const lookedAt = this.#wall() - TICK_MS;
    process.stop.abort();
    const start = this.#time.now;
    const within = ENDED_WITHIN_MS;
    await this.#time.passUntil(
      start + within,
      () => process.exitCode !== undefined || process.error !== undefined,
    );
    if (process.error !== undefined) throw process.error;
    if (process.exitCode !== 0) throw new WorldError(`told to end, it said ${process.exitCode}`);
    const stored = this.#store.read();
    for (const host of this.#model.standing.keys()) {
      if (!stored.standing.has(host)) throw new WorldError(`the login of ${host} was not stored`);
    }
    const differences = this.#differs(process, lookedAt);
    if (differences !== undefined && !this.#endsEarly) {
      throw new WorldError(`after the end: ${differences}`);
    }
  }

  /**
   * The clock was set back, so that the kernel ends blocks before Ampere does; that is mended at
   * the next look.
   */
  get #endsEarly(): boolean {
    return this.#wallMoved && this.#config.backend === "ipset";
  }

  /** What is not as it should be; `undefined` when all is. */
  #differences(): string | undefined {
    const process = this.#process;
    if (process === undefined) return "no daemon runs";
    const { list, daemon } = process;
    const { firewall } = daemon;
    if (list.trouble !== undefined || list.pending > 0) {
      return `the database: ${list.trouble}, ${list.pending} changes pending`;
    }
    const { queued, rejected, failing } = firewall.status();
    const hasV6 = !this.#faults.has("no ip6tables");
    if (hasV6 && (queued > 0 || rejected > 0 || failing)) {
      return `the firewall: ${queued} changes queued, ${rejected} rejected${
        failing ? ", failing" : ""
      }`;
    }
    for (const family of FAMILIES) {
      if (family === 6 && !hasV6) continue;
      if (!this.#kernel.isAsked(family)) return `INPUT does not ask the chain of IPv${family}`;
      const judgement = daemon.firewall.judgementOf(family);
      if (judgement?.inForce !== "yes") return `told as not in force: ${judgement?.message}`;
    }
    return this.#differs(process);
  }

  /**
   * What is not as it should be, whether the process still runs or not.
   *
   * @param lookedAt Wall time up to which it has seen what ends.
   */
  #differs(
    { list, daemon: { counters }, arrived }: Process,
    lookedAt = this.#wall(),
  ): string | undefined {
    if (this.#deleted.size > 0) return `deleted by hand, and not seen: ${[...this.#deleted]}`;
    if (counters.eventsTotal !== arrived) {
      return `${arrived} events arrived, ${counters.eventsTotal} were taken`;
    }
    const listed = new Map(list.all().map((block) => [block.target, block.until]));
    return this.#differsFromModel(listed, lookedAt) ?? this.#differsFromDatabase(listed) ??
      this.#differsFromKernel([...listed.keys()]);
  }

  #differsFromModel(
    listed: ReadonlyMap<string, number | undefined>,
    lookedAt: number,
  ): string | undefined {
    for (const { target, until, present, vague } of this.#byHand.values()) {
      const ended = until !== undefined && until <= this.#wall();
      if (ended && until > lookedAt) continue;
      if (vague || (this.#wallMoved && until !== undefined)) continue;
      if (listed.has(target) !== (present && !ended)) {
        return `${target} was ${present ? "added" : "deleted"} by hand, and is ${
          listed.has(target) ? "" : "not "
        }in the list`;
      }
    }
    const targets = new Set([...listed.keys(), ...this.#model.blocks.keys()]);
    for (const target of targets) {
      if (BY_HAND.includes(target)) continue;
      const block = this.#model.blocks.get(target);
      if (block === undefined) return `${target} is in the list and should not be`;
      if (!listed.has(target)) return `${target} is not in the list and should be`;
      if (listed.get(target) !== block.until && !block.vague) {
        return `${target} ends at ${listed.get(target)}, should at ${block.until}`;
      }
    }
    return undefined;
  }

  #differsFromDatabase(listed: ReadonlyMap<string, number | undefined>): string | undefined {
    const { rows } = this.#store.read();
    for (const target of new Set([...listed.keys(), ...rows.keys()])) {
      if (!rows.has(target)) return `${target} is not in the database`;
      if (!listed.has(target)) return `${target} is only in the database`;
      if (rows.get(target)!.until !== listed.get(target)) {
        return `${target} has another end in the database`;
      }
    }
    return undefined;
  }

  #differsFromKernel(targets: readonly string[]): string | undefined {
    const { backend } = this.#config;
    for (const family of FAMILIES) {
      if (family === 6 && this.#faults.has("no ip6tables")) continue;
      const wanted = targets.filter((target) => target.includes(":") === (family === 6)).sort();
      const set = backend === "ipset" ? this.#setName(family) : undefined;
      const found = this.#kernel.blocked(family, set);
      if (wanted.join() !== found.join()) {
        return `the kernel's IPv${family}: [${found.join(", ")}], the list: [${wanted.join(", ")}]`;
      }
      const isWithin = (target: string) =>
        !wanted.includes(target) &&
        networksAround(target).some((around) => wanted.includes(around));
      const passing = this.#exempt(this.#config.trust).targets.filter(isWithin).sort();
      // Who logged in from a blocked network may pass, if they have not failed there.
      const passes = this.#kernel.excepted(family, set).filter((target) =>
        passing.includes(target) || !isWithin(target) || !this.#model.standing.has(target)
      );
      if (passing.join() !== passes.join()) {
        return `the kernel lets pass [${passes.join(", ")}] of IPv${family}, not [${
          passing.join(", ")
        }]`;
      }
      if (set === undefined || this.#wallMoved) continue;
      const late = this.#wrongTimeout(set);
      if (late !== undefined) return late;
    }
    return undefined;
  }

  /** The kernel must not end a block before Ampere does, nor much later. */
  #wrongTimeout(set: string): string | undefined {
    const entries = this.#kernel.sets.get(set)?.entries ?? new Map();
    for (const [target, { until, nomatch }] of entries) {
      if (nomatch) continue;
      const block = this.#process!.list.get(target);
      if (block === undefined) throw new Error(`${target} in ${set} of ${[...entries.keys()]}`);
      const later = until === undefined || block.until === undefined
        ? until === block.until ? 0 : Infinity
        : until - block.until;
      if (later < 0 || later > 15_000) {
        return `${target} ends at ${block.until}, in the kernel at ${until}`;
      }
    }
    return undefined;
  }

  // Trifles

  #wall(): number {
    return Math.floor(this.#time.now) + this.#wallOffset;
  }

  #exempt(trust: readonly string[]): AddressSet {
    return new AddressSet([...trust, "127.0.0.0/8", "::1", OWN]);
  }

  #trace(text: string): void {
    const { trace } = this.#options;
    if (trace === undefined) return;
    const seconds = (this.#time.now - 1_800_000_000_000) / 1000;
    trace(`${seconds.toFixed(4).padStart(10)} ${text}`);
  }
}

/**
 * A daemon ends by itself when it could do nothing from its start: no login, or no firewall for
 * IPv4.
 */
function mayEnd({ exitCode, daemon }: Process): boolean {
  const ipv4 = daemon.firewall.status().families.find(({ family }) => family === 4);
  return exitCode === 1 && (daemon.counters.logins === 0 || ipv4!.failures > 0);
}

type Stored = ReturnType<Store["read"]>;

/** How many seeds have a real SQLite file. */
const SQLITE_SHARE = 0.02;

/** Faults that are less likely than others. */
const LIKELY: Partial<Record<FaultName, number>> = {
  "no ip6tables": 0.1,
  "wall clock": 0.15,
  flush: 0.25,
  chain: 0.25,
  jump: 0.25,
  strangers: 0.25,
};

const BLANK: Omit<NewBlock, "target" | "since" | "until"> = {
  reason: "added by hand",
  service: "",
  transport: "",
  account: "",
};

function rulesOf(config: Config): Rules {
  return {
    loyalty: config.loyalty,
    patience: config.patience * 1000,
    credit: config.credit * 1000,
    forget: config.forget * 1000,
    learn: config.learn * 1000,
    doubt: config.doubt * 1000,
    bantime: config.bantime * 1000,
    bantimeFactor: config.bantimeFactor,
    bantimeMax: config.bantimeMax * 1000,
    ipv6Prefix: config.ipv6Prefix === 64 ? 64 : 128,
    trust: config.trust,
  };
}
