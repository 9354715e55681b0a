/**
 * The firewall programs of the simulated machine: they take time, fail, hang, and do half of their
 * work.
 *
 * @module
 */

import type { CommandResult, Program, Runner } from "../../src/firewall/command.ts";
import type { Dice } from "./dice.ts";
import type { Ending, Kernel } from "./kernel.ts";
import type { Meet } from "./nft/faults.ts";
import type { ProcessClock, SimulatedTime } from "./time.ts";

/** How likely it is that something goes wrong with a command, from 0 to 1. */
export interface Trouble {
  /** Another program holds the lock. */
  busy: number;
  /** The program says that it cannot, and nothing is done. */
  refuses: number;
  /** The program is killed or never ends; it may have done its work, or a part. */
  hangs: number;
  /** The program takes seconds. */
  slow: number;
  /** The program ends with an error in the middle. */
  half: number;
}

/** Nothing goes wrong. */
export const NO_TROUBLE: Readonly<Trouble> = { busy: 0, refuses: 0, hangs: 0, slow: 0, half: 0 };

/** Shortest and longest time of a command on a good machine, in milliseconds. */
const TAKES_MS = [0.5, 12] as const;

/** Longest argument that Linux takes (MAX_ARG_STRLEN), in bytes. */
const ARGUMENT_MAX = 131_072;

const BUSY =
  "Another app is currently holding the xtables lock; still 4s 0us time ahead to have a " +
  "chance to grab the lock...\nAnother app is currently holding the xtables lock. Perhaps you want " +
  "to use the -w option?";

const REFUSALS = [
  "iptables: Invalid argument. Run `dmesg' for more information.",
  "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)",
  "modprobe: FATAL: Module ip_tables not found\niptables v1.8.9 (legacy): can't initialize iptables " +
  "table `filter': Table does not exist (do you need to insmod?)",
  "iptables: Memory allocation problem.",
  "",
];

const NFT_BUSY = "Error: Could not process rule: Device or resource busy";

const NFT_REFUSALS = [
  "Error: Could not process rule: Operation not permitted",
  "Error: Could not process rule: Cannot allocate memory",
  "netlink: Error: cache initialization failed: Interrupted system call",
  "Error: Could not process rule: Invalid argument",
  "",
];

const NOTHING: CommandResult = {
  ok: false,
  code: undefined,
  stdout: new Uint8Array(0),
  stderr: "",
  timedOut: false,
  aborted: false,
  missing: false,
  denied: false,
  incomplete: false,
};

/** What the programs of one machine need. */
interface ProgramsOptions {
  readonly time: SimulatedTime;
  readonly kernel: Kernel;
  readonly dice: Dice;
  readonly trace: (text: string) => void;
  /** Addresses that must never be blocked. */
  readonly untouchable: ReadonlySet<string>;
  readonly meet: Meet;
}

/** A command that runs. */
interface Job {
  readonly clock: ProcessClock;
  readonly program: Program;
  readonly args: readonly string[];
  stdin: string;
  /** Its end is missing. */
  isCut: boolean;
}

/** The programs. */
export class Programs {
  trouble: Trouble = { ...NO_TROUBLE };
  /** How many times as long as on a good machine a command takes. */
  slowness = 1;
  /** Programs that are not installed. */
  readonly missing = new Set<Program>();
  /** How many commands were run. */
  count = 0;
  readonly #options: ProgramsOptions;
  readonly #jobs = new Set<Job>();

  constructor(options: ProgramsOptions) {
    this.#options = options;
  }

  /** A process was killed: who reads from it may miss the end. */
  cut(clock: ProcessClock): void {
    const { dice, meet } = this.#options;
    for (const job of this.#jobs) {
      if (job.clock !== clock || job.program !== "nft" || !dice.chance(0.5)) continue;
      job.stdin = job.stdin.slice(0, dice.int(0, job.stdin.length));
      job.isCut = true;
      meet("nft -f: input cut by Ampere's death");
    }
  }

  /** How long a command takes at most when nothing is wrong, in milliseconds. */
  get slowestMs(): number {
    return TAKES_MS[1] * this.slowness;
  }

  /**
   * A runner for one process. A program that has begun goes on when that process is killed.
   *
   * @param clock The process.
   * @param looked Told when a listing of INPUT has reached it, and whether all packets were
   *   compared with the chain then.
   */
  runnerFor(
    clock: ProcessClock,
    looked: (family: 4 | 6, isInForce: boolean) => void = () => {},
  ): Runner {
    const running = new Set<string>();
    return async (program, args, options = {}) => {
      const { output = false, timeoutMs = 5_000, signal } = options;
      if (signal?.aborted) return { ...NOTHING, aborted: true };
      const input = options.stdin ?? "";
      // Only what comes late takes its time.
      const stdin = typeof input === "string" || Symbol.iterator in input
        ? [...input].join("")
        : (await Array.fromAsync(input)).join("");
      if (signal?.aborted) return { ...NOTHING, aborted: true };
      this.#check(program, args, stdin);
      const family = program === "ip6tables" || /ampere6/.test(args.join(" ") + stdin) ? "6" : "4";
      // The chain may be looked at while a set is filled, and nft lists whenever it likes.
      const kind = program === "nft"
        ? `nft ${args.includes("list") ? this.count : ""}`
        : `${program === "ipset" ? "ipset" : "iptables"} of IPv${family}`;
      if (running.has(kind)) throw new Error(`two commands at a time: ${kind}`);
      running.add(kind);
      return await new Promise((resolve) => {
        const job = { clock, program, args, stdin, isCut: false };
        this.#jobs.add(job);
        const child = this.#begin(job);
        const cancels: (() => void)[] = [];
        let ended = false;
        const end = (result: CommandResult) => {
          if (ended) return;
          ended = true;
          this.#jobs.delete(job);
          for (const cancel of cancels) cancel();
          signal?.removeEventListener("abort", abort);
          running.delete(kind);
          resolve(result);
        };
        const abort = () => {
          child.kill();
          clock.soon(() => end({ ...NOTHING, aborted: true }));
        };
        signal?.addEventListener("abort", abort);
        cancels.push(clock.after(timeoutMs, () => {
          child.kill();
          end({ ...NOTHING, timedOut: true });
        }));
        child.onEnd = ({ code, out, err }) => {
          const isList = program !== "ipset" && args[2] === "-S" && output;
          const isGone = args[3] === "ampere" && /incompatible/.test(err);
          const isHook = args[3] !== "ampere" && code === 0;
          clock.tell(() => {
            if (isList && (isGone || isHook) && !ended) {
              looked(program === "iptables" ? 4 : 6, isHook && ASKED.test(out));
            }
            end({
              ...NOTHING,
              ok: code === 0,
              code,
              stdout: output ? new TextEncoder().encode(out) : NOTHING.stdout,
              stderr: err,
              missing: code === MISSING,
            });
          });
        };
      });
    };
  }

  #check(program: Program, args: readonly string[], stdin: string): void {
    for (const arg of args) {
      if (arg.length >= ARGUMENT_MAX) throw new Error(`an argument of ${arg.length} bytes`);
    }
    const { untouchable } = this.#options;
    const targets = program === "ipset"
      ? stdin.split("\n").filter((line) => line.startsWith("add ") && !line.endsWith(" nomatch"))
        .map((line) => line.split(" ")[2]!)
      : program === "nft"
      ? [...stdin.matchAll(/^add element inet \S+ (?:hosts|networks)\S* \{([^}]*)\}/gm)]
        .flatMap(([, elements = ""]) => elements.split(",").map((one) => one.trim().split(" ")[0]!))
      : args[2] === "-A" && args[4] === "-s"
      ? args[5]!.split(",")
      : [];
    const wrong = targets.find((target) => untouchable.has(target));
    if (wrong !== undefined) throw new Error(`${wrong} is trusted and was handed to ${program}`);
  }

  /** Starts a program; what becomes of it is decided now. */
  #begin(job: Job): Child {
    const { program, args, stdin } = job;
    const { time, kernel, dice, trace } = this.#options;
    const { trouble } = this;
    const child: Child = { kill: () => {}, onEnd: () => {} };
    this.count++;
    let killed = false;
    child.kill = () => killed = true;
    const name = `${program} ${args.join(" ")}${stdin === "" ? "" : ` <<< ${stdin.trim()}`}`
      .replaceAll("\n", "; ").slice(0, 300);
    const ends = (ms: number, ending: Ending, how: string) => {
      time.after(ms, () => {
        if (killed) return;
        trace(`${how}: ${name} -> ${ending.code}${ending.err === "" ? "" : ` ${ending.err}`}`);
        child.onEnd(ending);
      });
    };
    const works = (ms: number, part: number, then: (ending: Ending) => void = () => {}) => {
      time.after(ms, () => {
        if (killed) return;
        this.#jobs.delete(job);
        if (!job.isCut) return then(kernel.execute(program, args, job.stdin, part));
        const { err } = kernel.nft.transactCut(job.stdin);
        then({ code: err === "" ? 0 : 1, out: "", err });
      });
    };
    if (this.missing.has(program)) {
      const err = `there is no program "${program}" in PATH`;
      ends(1, { code: MISSING, out: "", err }, "missing");
    } else if (dice.chance(trouble.busy)) {
      const err = program === "nft" ? NFT_BUSY : BUSY;
      ends(dice.chance(0.5) ? 4_000 : 3, { code: 4, out: "", err }, "busy");
    } else if (dice.chance(trouble.refuses)) {
      const err = dice.pick(program === "nft" ? NFT_REFUSALS : REFUSALS);
      ends(2, { code: dice.int(1, 4), out: "", err }, "refuses");
    } else if (dice.chance(trouble.hangs)) {
      const part = dice.pick([0, 1, dice.next()]);
      trace(`hangs (does ${part.toFixed(2)}): ${name}`);
      works(dice.between(1, 6_000), part);
    } else if (dice.chance(trouble.half) && !args.includes("-S") && !args.includes("list")) {
      const part = program === "ipset" ? dice.next() : dice.pick([0, 1]);
      works(1, part);
      ends(4, { code: 2, out: "", err: "ended by SIGBUS" }, `half (${part.toFixed(2)})`);
    } else {
      const ms = dice.chance(trouble.slow)
        ? dice.between(500, 4_900)
        : dice.between(...TAKES_MS) * this.slowness;
      const before = dice.next();
      works(ms * before, 1, (ending) => ends(ms * (1 - before), ending, "ran"));
    }
    return child;
  }
}

interface Child {
  kill: () => void;
  onEnd: (ending: Ending) => void;
}

/** A listing in which nobody is let in before the jump. */
const ASKED = /^-P INPUT ACCEPT\n(?:-A INPUT -i lo .*\n)*-A INPUT (?:! -i lo )?-j ampere$/m;

/** Stands for a program that was not found. */
const MISSING = -1;
