/**
 * The programs of nftables that stay: `nft -i`, and `nft -j monitor`, with all that goes wrong with
 * them.
 *
 * @module
 */

import type { Child, ChildStarter } from "../../../src/firewall/child.ts";
import type { Dice } from "../dice.ts";
import type { ProcessClock, SimulatedTime } from "../time.ts";
import type { Meet } from "./faults.ts";
import type { NftTableModel } from "./table.ts";

type Handlers = Parameters<ChildStarter>[2];

/** How likely something is at each line that a program reads or writes, from 0 to 1. */
interface ResidentTrouble {
  /** Of `nft -i`, for each line. */
  feeder: number;
  /** Of the monitor, for what each transaction makes it print. */
  monitor: number;
}

/** Shortest and longest time of `nft -i` for a line on a good machine, in milliseconds. */
const FEEDER_MS = [0.05, 0.4] as const;

/** How long a monitor reads before it listens, in milliseconds. */
const MONITOR_BEGIN_MS = [1, 40] as const;

/** Until the programs have died of Ampere's death, in milliseconds. */
const ORPHAN_MS = 20;

/** What the programs of one machine need. */
interface ResidentsOptions {
  readonly time: SimulatedTime;
  readonly table: NftTableModel;
  readonly dice: Dice;
  readonly trace: (text: string) => void;
  readonly meet: Meet;
}

/** What has been started by one process of the daemon. */
interface Started {
  orphan(): void;
}

/** All programs that stay. */
export class Residents {
  trouble: ResidentTrouble = { feeder: 0, monitor: 0 };
  /** How many times as long as on a good machine a line takes. */
  slowness = 1;
  /** There is no such program. */
  isMissing = false;
  /** A line that `nft -i` has begun: what others do now they do while it is under way. */
  whileBusy: (() => void) | undefined;
  readonly #options: ResidentsOptions;
  readonly #started = new Map<ProcessClock, Set<Started>>();

  constructor(options: ResidentsOptions) {
    this.#options = options;
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    this.trouble = { feeder: 0, monitor: 0 };
    this.isMissing = false;
    this.whileBusy = undefined;
  }

  /** How many of a process are alive. */
  countOf(clock: ProcessClock): number {
    return this.#started.get(clock)?.size ?? 0;
  }

  /** A process was killed: its programs see the end of their input. */
  orphan(clock: ProcessClock): void {
    for (const started of this.#started.get(clock) ?? []) started.orphan();
    this.#started.delete(clock);
  }

  /** Starts programs for one process of the daemon. */
  starterFor(clock: ProcessClock): ChildStarter {
    const all = new Set<Started>();
    this.#started.set(clock, all);
    return (program, args, handlers) => {
      if (program !== "nft") throw new Error(`no program that stays: ${program}`);
      this.#options.trace(`starts: nft ${args.join(" ")}`);
      if (this.isMissing) {
        this.#options.meet("nft: is not there");
        clock.soon(() => handlers.onEnd("it could not be started: No such file or directory"));
        return { write() {}, kill() {}, gone: Promise.resolve() };
      }
      const isMonitor = args.join(" ") === "-j monitor";
      if (!isMonitor && args.join(" ") !== "-i") throw new Error(`not Ampere's: ${args}`);
      const resident = isMonitor
        ? new Monitor(this, this.#options, clock, handlers)
        : new Feeder(this, this.#options, clock, handlers);
      all.add(resident);
      void resident.gone.then(() => all.delete(resident));
      return resident;
    };
  }
}

/** A program that stays. */
class Resident {
  readonly gone: Promise<void>;
  protected readonly owner: Residents;
  protected readonly options: ResidentsOptions;
  protected readonly clock: ProcessClock;
  protected readonly handlers: Handlers;
  /** It runs, and is not about to end. */
  protected isAlive = true;
  protected isOrphan = false;
  #resolve = () => {};

  constructor(
    owner: Residents,
    options: ResidentsOptions,
    clock: ProcessClock,
    handlers: Handlers,
  ) {
    this.owner = owner;
    this.options = options;
    this.clock = clock;
    this.handlers = handlers;
    this.gone = new Promise((resolve) => this.#resolve = resolve);
  }

  kill(): void {
    this.#leave();
  }

  /** Ends by itself. */
  protected end(why: string): void {
    if (!this.isAlive) return;
    this.#leave();
    this.options.trace(`a program that stays ends: ${why}`);
    this.clock.tell(() => this.handlers.onEnd(why));
  }

  #leave(): void {
    this.isAlive = false;
    this.left();
    this.options.time.after(0, this.#resolve);
  }

  protected left(): void {}

  protected later(ms: number, run: () => void): void {
    this.options.time.after(ms, () => {
      if (this.isAlive) run();
    });
  }

  protected say(text: string): void {
    this.later(0.01, () =>
      this.clock.tell(() => {
        if (this.isAlive) this.handlers.onMessage(text);
      }));
  }
}

/** `nft -i`. */
class Feeder extends Resident implements Child {
  #text = "";
  #isBusy = false;
  #isStopped = false;

  write(text: string): void {
    this.#text += text;
    this.#pump();
  }

  /** It does what it has been given of a line, and ends. */
  orphan(): void {
    this.isOrphan = true;
    const ms = this.#isStopped ? this.options.dice.between(1_000, 8_000) : ORPHAN_MS;
    if (this.#isStopped) this.options.meet("nft -i: goes on after Ampere was killed");
    this.later(ms, () => {
      const { table, trace } = this.options;
      trace(`nft -i is left, with ${JSON.stringify(this.#text.slice(0, 200))}`);
      for (const line of this.#text.split("\n")) if (line !== "") table.transactCut(line);
      this.kill();
    });
  }

  #pump(): void {
    if (this.#isBusy || this.#isStopped || this.isOrphan || !this.isAlive) return;
    const end = this.#text.indexOf("\n");
    if (end < 0) return;
    const line = this.#text.slice(0, end);
    this.#isBusy = true;
    const { dice } = this.options;
    if (dice.chance(this.owner.trouble.feeder)) return this.#fail(line, end);
    const act = this.owner.whileBusy;
    if (act !== undefined && line.includes("hosts")) {
      this.owner.whileBusy = undefined;
      this.later(0, act);
    }
    this.later(dice.between(...FEEDER_MS) * this.owner.slowness, () => this.#take(line, end));
  }

  #take(line: string, end: number): void {
    if (this.isOrphan) return;
    this.#text = this.#text.slice(end + 1);
    const { err } = this.options.table.transact(line);
    this.options.trace(`nft -i: ${line.slice(0, 300)}${err === "" ? "" : ` -> ${err}`}`);
    if (err !== "") this.say(`${err}\n${line.slice(0, 200)}\n^^^^`);
    this.#isBusy = false;
    this.#pump();
  }

  #fail(line: string, end: number): void {
    const { dice, meet, table } = this.options;
    const ms = dice.between(0.1, 3);
    switch (dice.int(0, 5)) {
      case 0:
        meet("nft -i: dies");
        return this.later(ms, () => this.end("ended by SIGKILL"));
      case 1:
        meet("nft -i: does its work and dies");
        return this.later(ms, () => {
          table.transact(line);
          this.end("ended by SIGSEGV");
        });
      case 2:
        meet("nft -i: dies with half of a line");
        return this.later(ms, () => {
          table.transactCut(line.slice(0, dice.int(0, line.length)));
          this.end("it ended with code 1");
        });
      case 3:
        meet("nft -i: hangs");
        this.#isStopped = true;
        return;
      case 4:
        meet("nft -i: hangs and goes on late");
        this.#isStopped = true;
        return this.later(dice.between(200, 6_000), () => {
          this.#isStopped = false;
          if (!this.isOrphan) this.#take(line, end);
        });
      default:
        meet("nft -i: says something");
        this.say(
          dice.pick(["oops\n", "Error: Could not process rule: Interrupted\n", "\0\xff", " "]),
        );
        return this.later(ms, () => this.#take(line, end));
    }
  }
}

const GARBAGE = [
  '{"add": {"element": {"family": "inet", "table": "ampere", "name": "mar',
  "\0\x01\x02\n",
  '{"add": {"element": {"table": "ampere"}}\n}\n',
  "nft: out of memory\n",
  '{"metainfo": "ampere"\n',
];

/** `nft -j monitor`. */
class Monitor extends Resident implements Child {
  readonly #listener = (events: readonly string[]) => this.#hear(events);
  #isDeaf = false;
  /** World time up to which all that is to be printed is printed. */
  #printedAt = 0;

  constructor(
    owner: Residents,
    options: ResidentsOptions,
    clock: ProcessClock,
    handlers: Handlers,
  ) {
    super(owner, options, clock, handlers);
    const begin = options.dice.between(...MONITOR_BEGIN_MS) * owner.slowness;
    this.later(begin, () => options.table.listeners.add(this.#listener));
  }

  write(): void {}

  /** It ends of its next line, which nobody reads. */
  orphan(): void {
    this.isOrphan = true;
    this.later(ORPHAN_MS + 10, () => this.kill());
  }

  protected override left(): void {
    this.options.table.listeners.delete(this.#listener);
  }

  #hear(events: readonly string[]): void {
    if (this.#isDeaf || this.isOrphan || events.length === 0) return;
    const { dice } = this.options;
    let text = `${events.join("\n")}\n`;
    let ms = dice.between(0.01, 0.3) * this.owner.slowness;
    if (dice.chance(this.owner.trouble.monitor)) {
      const changed = this.#fail(text);
      if (changed === undefined) return;
      text = changed.text;
      ms += changed.ms ?? 0;
    }
    this.#print(text, ms);
  }

  #fail(text: string): { text: string; ms?: number } | undefined {
    const { dice, meet, time } = this.options;
    switch (dice.int(0, 7)) {
      case 0:
        meet("monitor: dies");
        this.later(dice.between(0, 2), () => this.end("ended by SIGKILL"));
        return dice.chance(0.5) ? { text } : undefined;
      case 1:
        meet("monitor: hangs");
        this.#isDeaf = true;
        return undefined;
      case 2:
        meet("monitor: late");
        return { text, ms: dice.pick([20, 500, 1_900, 4_000]) * dice.next() };
      case 3:
        meet("monitor: lost messages and says so");
        return { text: "# ERROR: We lost some netlink events!\n" };
      case 4:
        meet("monitor: lost messages and is silent");
        return undefined;
      case 5:
        meet("monitor: garbage");
        if (dice.chance(0.3)) this.say(dice.pick(["netlink: Error\n", "\xff\xfe"]));
        return { text: dice.chance(0.5) ? dice.pick(GARBAGE) + text : text + dice.pick(GARBAGE) };
      case 6: {
        meet("monitor: tells what was not");
        const lies = [
          '{"delete": {"table": {"family": "inet", "name": "ampere", "handle": 7}}}\n',
          '{"delete": {"element": {"family": "inet", "table": "ampere", "name": "hosts4", ' +
          '"elem": {"set": ["203.0.113.1"]}}}}\n',
          `{"add": {"element": {"family": "inet", "table": "ampere", "name": "marks", ` +
          `"elem": {"set": [${dice.int(0, 0x7fffffff)}]}}}}\n`,
          '{"add": {"table": {"family": "ip", "name": "ampere", "handle": 7}}}\n',
        ];
        return { text: dice.pick(lies) + text };
      }
      default: {
        meet("monitor: cut lines");
        const at = dice.int(0, text.length);
        this.#print(text.slice(0, at), 0);
        return { text: text.slice(at), ms: Math.max(0, this.#printedAt - time.now) + dice.next() };
      }
    }
  }

  /** In order, whatever is late. */
  #print(text: string, ms: number): void {
    const { time } = this.options;
    this.#printedAt = Math.max(this.#printedAt, time.now + ms);
    time.after(this.#printedAt - time.now, () => {
      this.clock.tell(() => {
        if (this.isAlive) this.handlers.onOutput?.(text);
      });
    });
  }
}
