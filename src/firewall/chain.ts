/**
 * One chain of iptables: the commands that change it, and what these commands list.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import { type Family, parseTarget } from "../address/address.ts";
import type { Action } from "../config/config.ts";
import { isSafeTarget, type Outcome } from "./backend.ts";
import {
  type CommandResult,
  IPTABLES,
  type Program,
  run,
  type Runner,
  type RunOptions,
} from "./command.ts";
import { type Failure, failureOf, type Place, placeOf } from "./failure.ts";

/**
 * How long iptables may wait for the lock that another iptables holds, in seconds: less than
 * {@linkcode COMMAND_TIMEOUT_MS}, so that it says so itself before it is killed.
 */
export const LOCK_WAIT_SECONDS = 4;

/** How many lines of a listing are read in one turn of the event loop; takes about 0.3 ms. */
const LINES_PER_TURN = 1_000;

/** The end of a rule that refuses, for each family. */
const REFUSE: Readonly<Record<Family, Readonly<Record<Action, readonly string[]>>>> = {
  4: { reject: ["-j", "REJECT", "--reject-with", "icmp-port-unreachable"], drop: ["-j", "DROP"] },
  6: { reject: ["-j", "REJECT", "--reject-with", "icmp6-port-unreachable"], drop: ["-j", "DROP"] },
};

/** The action that is not the given one: what it has made may still be there. */
const OTHER: Readonly<Record<Action, Action>> = { reject: "drop", drop: "reject" };

/** All addresses of a family; iptables lists a rule for them without `-s`. */
export const EVERYTHING: Readonly<Record<Family, string>> = { 4: "0.0.0.0/0", 6: "::/0" };

/** The prefix that iptables writes after one address. */
const FULL_PREFIX: Readonly<Record<Family, string>> = { 4: "/32", 6: "/128" };

/**
 * The end of a rule that refuses.
 *
 * @param family Which addresses.
 * @param action How.
 */
export function refusalOf(family: Family, action: Action): readonly string[] {
  return REFUSE[family][action];
}

/** What a chain is made of. */
export interface ChainOptions {
  /** Which addresses. */
  readonly family: Family;
  /** The chain; it must exist. */
  readonly chain: string;
  /** What becomes of the packets of blocked hosts. @default {"reject"} */
  readonly action?: Action;
  /** Runs the commands. @default {run} */
  readonly run?: Runner;
}

/** One chain of one family: runs iptables on it and tells its failures. */
export class Chain {
  /** The name. */
  readonly name: string;
  /** The set that its rule looks at, with ipset. */
  readonly set: string;
  /** What becomes of the packets of blocked hosts. */
  action: Action;
  readonly #place: Place;
  readonly #run: Runner;
  readonly #ending = new AbortController();

  /**
   * Makes it; nothing runs yet.
   *
   * @param options The family, the chain.
   */
  constructor(options: ChainOptions) {
    this.name = options.chain;
    this.#place = placeOf(options.chain, options.family);
    this.set = this.#place.set;
    this.action = options.action ?? "reject";
    this.#run = options.run ?? run;
  }

  /** The end of the rules that refuse. */
  get refusal(): readonly string[] {
    return REFUSE[this.#place.family][this.action];
  }

  /** The end of those that another action has made. */
  get otherRefusal(): readonly string[] {
    return REFUSE[this.#place.family][OTHER[this.action]];
  }

  /**
   * Runs iptables on the chain.
   *
   * @param args The command (`-A`, `-F`...), and what comes after the chain's name.
   * @param options See {@linkcode run}.
   */
  run(args: readonly [string, ...string[]], options: RunOptions = {}): Promise<CommandResult> {
    const [command, ...rest] = args;
    const all = ["-w", String(LOCK_WAIT_SECONDS), command, this.name, ...rest];
    return this.runOther(IPTABLES[this.#place.family], all, options);
  }

  /**
   * Runs any firewall program, which ends when {@linkcode Chain.close} is called.
   *
   * @param program The program.
   * @param args All of its arguments.
   * @param options See {@linkcode run}.
   */
  runOther(
    program: Program,
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<CommandResult> {
    return this.#run(program, args, { ...options, signal: this.#ending.signal });
  }

  /**
   * Makes a failure of the result of a command.
   *
   * @param result The result.
   * @param program What was run, iptables by default.
   */
  failure(result: CommandResult, program: Program = IPTABLES[this.#place.family]): Failure {
    return failureOf(result, program, this.#place);
  }

  /**
   * Makes an outcome of the result of iptables, which failed.
   *
   * @param result The result.
   */
  failed(result: CommandResult): Outcome {
    return { ok: false, failure: this.failure(result) };
  }

  /** Kills the command that runs, and starts no other. */
  close(): void {
    this.#ending.abort();
  }
}

/**
 * Visits the lines of a listing but the empty ones; other work gets its turn in between.
 *
 * @param bytes What a program wrote.
 * @param visit Called for each line.
 */
export async function eachLine(bytes: Uint8Array, visit: (line: string) => void): Promise<void> {
  const text = new TextDecoder().decode(bytes);
  let read = 0;
  for (let start = 0; start < text.length;) {
    let end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    if (end > start) visit(text.slice(start, end));
    start = end + 1;
    if (++read % LINES_PER_TURN === 0) await setImmediate();
  }
}

/**
 * Makes a target of what a firewall program lists.
 *
 * @param text An address or network, as iptables or ipset writes it.
 * @param family Which addresses the list is of.
 * @returns The canonical target; `undefined` if it is none (a mask with holes, for example).
 */
export function readTarget(text: string, family: Family): string | undefined {
  const full = FULL_PREFIX[family];
  const target = text.endsWith(full) ? text.slice(0, -full.length) : text;
  // The C library writes addresses as Ampere does, but for the ends in dots (::192.0.2.1).
  if (isSafeTarget(target, family)) return target;
  const canonical = parseTarget(target);
  return canonical !== undefined && isSafeTarget(canonical, family) ? canonical : undefined;
}
