/**
 * What all parts of a world share: its components, and what is known of its state.
 *
 * @module
 */

import { AddressSet } from "../../../src/address/address_set.ts";
import type { Config } from "../../../src/config/config.ts";
import type { SecurityEvent } from "../../../src/ami/event.ts";
import { Asterisk } from "../asterisk.ts";
import { Dice } from "../dice.ts";
import { Kernel } from "../kernel.ts";
import type { NftFault } from "../nft/faults.ts";
import { Residents } from "../nft/residents.ts";
import type { Happening } from "../model/happening.ts";
import { Model } from "../model/model.ts";
import { chooseLogs, PbxLog, WITHOUT_AMI } from "../pbx/pbx_log.ts";
import { Requests } from "../pbx/requests.ts";
import type { Visits } from "../model/rules.ts";
import { Programs } from "../programs.ts";
import { MemoryStore, SqliteStore, type Store } from "../store.ts";
import { SimulatedTime } from "../time.ts";
import { Traffic } from "../traffic.ts";
import { MAYBE_LISTED, OWN, TRUSTED } from "./cast.ts";
import { chooseFaults, type FaultName } from "./faults.ts";
import type { Process } from "./process.ts";
import { chooseConfig, rulesOf } from "./settings.ts";

/** How many seeds have a real SQLite file. */
const SQLITE_SHARE = 0.02;

/** How many seeds have nftables, and in how many of those its programs meet faults. */
const NFT_SHARE = 1 / 3;
const RESIDENTS_SHARE = 0.6;

/** In how many worlds some strangers have one attempt. */
const STRICT_SHARE = 0.4;

/** Within this time the daemon counts what it does not believe, in milliseconds. */
const UNBELIEVED_MS = 100;

/** How a world is run. */
export interface SceneOptions {
  /** Takes the story of what happens, line by line. */
  readonly trace?: (line: string) => void;
  /** Counts what the model decided. */
  readonly visits?: Visits;
  /** The backend, whatever the seed would choose. */
  readonly backend?: Config["backend"];
  /** A folder for lock files and, for some seeds, databases; best in a file system in memory. */
  readonly folder: string;
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

/** A world before anything happens in it. */
export class Scene {
  readonly dice: Dice;
  /** Decides about what came later, so that a seed stays the world that it was. */
  readonly more: Dice;
  readonly time = new SimulatedTime();
  readonly kernel: Kernel;
  readonly programs: Programs;
  readonly residents: Residents;
  readonly asterisk: Asterisk;
  readonly store: Store;
  readonly traffic: Traffic;
  /** What Asterisk writes into its log, where there is one. */
  readonly pbxLog: PbxLog | undefined;
  readonly requests = new Requests(() => this.time.now);
  /** Nothing but the log tells of requests. */
  readonly withoutAmi: boolean;
  readonly model: Model;
  readonly faults: ReadonlySet<FaultName>;
  readonly byHand = new Map<string, ByHand>();
  /** Deleted by hand, and not yet taken over. */
  readonly deleted = new Set<string>();
  /** Changed while the database did not take it. */
  readonly unsaved = new Set<string>();
  readonly sqlite: boolean;
  config: Config;
  process: Process | undefined;
  wallOffset = 0;
  /** Wall time at which the list was made. */
  readonly bornAt: number;
  wallMoved = false;
  faulty = true;
  /** When something was done to the database. */
  harmedAt = -Infinity;
  /** Done at the next challenge that arrives, once. */
  atChallenge: (() => void) | undefined;
  /** Some strangers have one attempt. */
  readonly mayBeStrict: boolean;
  /** Who has one attempt, if they are strangers. */
  strict: readonly string[] = [];
  /** Who of them has none. */
  barred: readonly string[] = [];
  /** What is not believed, in the order in which it arrived, until it counts. */
  readonly #unbelieved = new Set<Happening>();
  readonly #strictDice: Dice;
  readonly #options: SceneOptions;

  /**
   * @param seed Decides everything that happens.
   * @param options See {@linkcode SceneOptions}.
   */
  constructor(seed: number, options: SceneOptions) {
    this.dice = new Dice(seed);
    this.more = new Dice(-seed);
    this.#options = options;
    const { dice } = this;
    const time = this.time;
    const trace = (text: string) => this.trace(text);
    // With dice of its own, so that the worlds of the other backends stay what they were.
    const nftDice = new Dice(Math.imul(seed, 31) + 7);
    const isNft = nftDice.chance(NFT_SHARE)
      ? options.backend === undefined || options.backend === "nftables"
      : options.backend === "nftables";
    this.faults = chooseFaults(dice, isNft && nftDice.chance(RESIDENTS_SHARE));
    const chosen = chooseConfig(dice, this.more, this.faults);
    const logDice = new Dice(Math.imul(seed, 23) + 11);
    const { paths, alone } = chooseLogs(logDice);
    this.withoutAmi = alone;
    this.config = {
      ...chosen,
      backend: isNft ? "nftables" : options.backend ?? chosen.backend,
      ...(paths.length > 0 && { logs: paths }),
      ...(alone && { host: WITHOUT_AMI }),
    };
    this.kernel = new Kernel(this.config.chain, () => time.now);
    this.sqlite = dice.chance(SQLITE_SHARE);
    this.store = this.sqlite
      ? new SqliteStore(Deno.makeTempDirSync({ dir: options.folder, prefix: "sqlite-" }))
      : new MemoryStore(`${options.folder}/${seed}`);
    this.#strictDice = new Dice(Math.imul(seed, 17) + 3);
    this.mayBeStrict = this.#strictDice.chance(STRICT_SHARE);
    this.chooseStrict();
    this.model = new Model(
      rulesOf(this.config, this.strict, this.barred),
      options.visits ?? new Map(),
    );
    this.model.blocks.vague = () => this.process?.list.trouble !== undefined;
    const meet = (fault: NftFault) => this.meet(fault);
    this.programs = new Programs({
      meet,
      time,
      kernel: this.kernel,
      dice: dice.fork(),
      trace,
      untouchable: new Set([...TRUSTED, OWN, "127.0.0.1", "::1"]),
    });
    this.programs.slowness = dice.pick([1, 1, 1, 30, 100]);
    const { nft: table } = this.kernel;
    table.renews = nftDice.chance(0.5);
    this.residents = new Residents({ time, table, dice: nftDice, trace, meet });
    this.residents.slowness = this.programs.slowness;
    const log = paths.length === 0 ? undefined : new PbxLog({
      ...{ paths, time, trace, dice: logDice, requests: this.requests },
      wall: () => this.wall(),
      clockMoves: this.faults.has("wall clock"),
    });
    this.pbxLog = log;
    this.asterisk = new Asterisk({
      log: log && ((said) => {
        const text = log.dated(said.text);
        const requests = this.requests.of(text, said.happenings);
        log.say({ ...said, text }, requests);
        return { ...said, text, requests };
      }),
      onRequest: (request) => {
        trace(
          `arrives: ${request.happening.what} ${request.happening.address} ${request.happening.session}`,
        );
        this.requests.arrive(request, time.now);
        this.#act(request.happening);
      },
      time,
      dice: dice.fork(),
      trace,
      onArrived: (happening) => {
        trace(`arrives: ${happening.what} ${happening.address} ${happening.session}`);
        if (this.process !== undefined) this.process.arrived++;
        if (log !== undefined && happening.what === "not believed") {
          this.#awaitUnbelieved(happening);
        } else this.model.take(happening, time.now, this.wall());
        this.#act(happening);
      },
    });
    this.traffic = new Traffic(dice.fork());
    this.bornAt = this.wall();
    trace(`faults: ${[...this.faults].join(", ")}${this.sqlite ? "; SQLite" : ""}`);
    trace(`configuration: ${JSON.stringify(this.config)}`);
  }

  /** The daemon counts an event: where there is a log, that decides when the model does. */
  counted(event: SecurityEvent): void {
    if (this.pbxLog === undefined) return;
    const happening = event.kind === "RefusedMessage"
      ? this.#takeUnbelieved(event.address)
      : this.requests.charge(event);
    if (happening === undefined) return;
    this.trace(`counted: ${happening.what} ${happening.address} ${happening.session}`);
    this.model.take(happening, this.time.now, this.wall());
  }

  /**
   * What is not believed counts between other events of its sender; if it does not count at once,
   * the model takes it all the same, and differs.
   */
  #awaitUnbelieved(happening: Happening): void {
    const { process, time } = this;
    this.#unbelieved.add(happening);
    time.after(UNBELIEVED_MS, () => {
      if (!this.#unbelieved.delete(happening) || this.process !== process) return;
      this.model.take(happening, time.now, this.wall());
    });
  }

  #takeUnbelieved(address: string): Happening | undefined {
    for (const happening of this.#unbelieved) {
      if (happening.address !== address) continue;
      this.#unbelieved.delete(happening);
      return happening;
    }
    return undefined;
  }

  #act({ what }: Happening): void {
    if (what !== "challenge") return;
    const act = this.atChallenge;
    this.atChallenge = undefined;
    act?.();
  }

  /** Lists change. */
  chooseStrict(): void {
    if (!this.mayBeStrict) return;
    this.strict = MAYBE_LISTED.filter(() => this.#strictDice.chance(0.5));
    this.barred = this.strict.filter(() => this.#strictDice.chance(0.3));
    this.trace(`strict: ${this.strict.join(", ")}; barred: ${this.barred.join(", ")}`);
  }

  /** Counts a fault of nftables. */
  meet(fault: NftFault): void {
    const visits = this.#options.visits;
    visits?.set(fault, (visits.get(fault) ?? 0) + 1);
    this.trace(`fault: ${fault}`);
  }

  /** Wall time, in milliseconds. */
  wall(): number {
    return Math.floor(this.time.now) + this.wallOffset;
  }

  /** What is never blocked. */
  exempt(trust: readonly string[]): AddressSet {
    return new AddressSet([...trust, "127.0.0.0/8", "::1", OWN]);
  }

  /** Tells the story. */
  trace(text: string): void {
    const { trace } = this.#options;
    if (trace === undefined) return;
    const seconds = (this.time.now - 1_800_000_000_000) / 1000;
    trace(`${seconds.toFixed(4).padStart(10)} ${text}`);
  }

  /** Whether the story is told. */
  get isTold(): boolean {
    return this.#options.trace !== undefined;
  }

  /** The set of Ampere's targets of a family. */
  setName(family: 4 | 6): string {
    return `${this.config.chain}${family}`;
  }

  /** Nothing keeps a look from being soon at its end. */
  get looksInTime(): boolean {
    const slow: readonly FaultName[] = [
      "commands",
      "freeze",
      "no ip6tables",
      "poison",
      "residents",
    ];
    return slow.every((name) => !this.faults.has(name)) && this.programs.slowness === 1;
  }
}
