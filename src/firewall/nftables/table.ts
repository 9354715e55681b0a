/**
 * Ampere's table of nftables, which both families share: one change at a time, by the pair of
 * programs that stay if it is there, by a process of nft otherwise.
 *
 * @module
 */

import { retryDelay } from "../../backoff.ts";
import { type Clock, systemClock } from "../../clock.ts";
import type { ChildStarter } from "../child.ts";
import type { FirewallLog } from "../trouble.ts";
import { type CommandResult, type Input, run, type Runner } from "../command.ts";
import { markCommand, tableOf } from "./layout.ts";
import { findForeignSets, FOREIGN_SETS_ADVICE } from "./foreign_sets.ts";
import { type OwnWork, Resident } from "./resident.ts";

/**
 * Changes of more elements go by a process of their own: `nft -i` reads its input character by
 * character, so that beyond this the process is quicker.
 */
const RESIDENT_ELEMENTS_MAX = 200;

/**
 * With more elements no monitor is begun: it reads all that are there and keeps them, 0.7 kB each.
 * One that was begun before stays small.
 */
const MONITORED_MAX = 200_000;

/**
 * The same of what another table of Ampere's holds, the lists: a monitor that reads them all, or is
 * told of each, would keep them, 35 MB for so many.
 */
const BESIDE_MAX = 50_000;

/**
 * How long nft may take, in milliseconds. It waits for no lock; but the intervals of others can
 * cost seconds on a busy machine.
 */
const TIMEOUT_MS = 15_000;

/** What nft may take longer for each element, in milliseconds; measured: 0.005. */
const TIMEOUT_PER_ELEMENT_MS = 0.05;

/** Delays before a pair that has ended is begun again, in milliseconds. */
const AGAIN_FIRST_MS = 250;
const AGAIN_MAX_MS = 60_000;

/** Without a monitor it is looked so often whether the table is there, in milliseconds; 5 ms. */
const LOOK_EVERY_MS = 1_000;

/** How long the pair waits for the other family to fill its sets, in milliseconds. */
const OTHER_FAMILY_MS = 3_000;

/** A pair that has lived for so long, in milliseconds, is begun again soon. */
const LONG_LIFE_MS = 60_000;

/**
 * Between two looks because others have changed the table, in milliseconds, and what is added for
 * each element that a look has to read. The first look comes at once.
 */
const FOREIGN_EVERY_MS = 100;
const FOREIGN_PER_ELEMENT_MS = 0.02;

/**
 * How often it is asked whether the monitor still hears, in milliseconds, unless that takes long.
 */
const ASK_EVERY_MS = 5_000;
const ASK_SHARE = 100;

/** Small changes that take longer than this, in milliseconds, so many in a row, are slow. */
const SLOW_MS = 20;
const SLOW_IN_A_ROW = 3;

/** Slowness is told of again after this time, in milliseconds. */
const SLOW_TOLD_EVERY_MS = 3_600_000;

/** The pair may take as long for an answer as a process took for a change, times this. */
const ANSWER_FACTOR = 8;

/** What a table is made of. */
export interface NftTableOptions {
  /** The table's name. */
  readonly name: string;
  /** Runs the commands. @default {run} */
  readonly run?: Runner;
  /** Starts the programs that stay. Without it each change has a process of its own. */
  readonly start?: ChildStarter | undefined;
  /** The time. @default {systemClock} */
  readonly clock?: Clock;
  /** With more elements no monitor is begun. @default {200_000} */
  readonly monitoredMax?: number;
  /** Takes what happened to the programs that stay. */
  readonly log?: Pick<FirewallLog, "debug" | "info" | "warn">;
}

/** What a change is. */
interface Change {
  /** Its commands. */
  readonly commands: readonly string[];
  /** What is read before them: many elements, in pieces. */
  readonly bulk?: Input;
  /** How many elements it is about. */
  readonly elements: number;
  /** Whether it makes sets or rules, and not only elements. */
  readonly isStructure?: boolean;
  /** Whether it may take an element out of a set; none by default. */
  readonly takes?: OwnWork["takes"];
}

const TAKES_NONE: OwnWork["takes"] = () => false;

const DONE: CommandResult = {
  ok: true,
  code: 0,
  stdout: new Uint8Array(0),
  stderr: "",
  timedOut: false,
  aborted: false,
  missing: false,
  denied: false,
  incomplete: false,
};

/** The table. */
export class NftTable {
  /** The name. */
  readonly name: string;
  readonly #run: Runner;
  readonly #start: ChildStarter | undefined;
  /** Called when something was changed in the table of the lists, by whomever. */
  onLists: () => void = () => {};
  readonly #clock: Clock;
  readonly #monitoredMax: number;
  readonly #log: NonNullable<NftTableOptions["log"]> | undefined;
  readonly #ending = new AbortController();
  readonly #watchers: (() => void)[] = [];
  readonly #leaving: Promise<void>[] = [];
  #users = 0;
  #isBusy = false;
  #turns: (() => void)[] = [];
  #resident: Resident | undefined;
  #residentSince = 0;
  #endsInARow = 0;
  /** How many small changes in a row were slow, and until when nothing is said of that. */
  #slowInARow = 0;
  #slowToldUntil = 0;
  /** How long the last small change took that had a process, in milliseconds. */
  #processMs = 0;
  /** It was said that the pair has ended, and not yet that there is another. */
  #saidEnd = false;
  /** No monitor has listened yet. */
  #isFirst = true;
  #cancelAgain: (() => void) | undefined;
  #cancelForeign: (() => void) | undefined;
  #isForeignDue = false;
  /** The monitor has told that the table was deleted, and not yet that it is there. */
  #isGone = false;
  /** From when on another loss of the table is told at once. */
  #goneToldFrom = 0;
  #cancelAsk: (() => void) | undefined;
  /** How long the last answer took that was only asked for, in milliseconds. */
  #answerMs = 0;
  /** Stands for what the monitor has told of others; changes with each change of theirs. */
  #epoch = 0;
  /** How many elements each family has, about. */
  readonly #elements = new Map<unknown, number>();
  /** How many there are in another table of Ampere's, or will be. */
  #beside = 0;

  /**
   * Makes it; nothing runs yet.
   *
   * @param options The name, the programs.
   */
  constructor(options: NftTableOptions) {
    this.name = options.name;
    this.#run = options.run ?? run;
    this.#start = options.start;
    this.#clock = options.clock ?? systemClock;
    this.#monitoredMax = options.monitoredMax ?? MONITORED_MAX;
    this.#log = options.log;
  }

  /**
   * Adds a user; the table is closed when all have closed it.
   *
   * @param onForeign Called when somebody else has changed the table, or may have.
   */
  open(onForeign: () => void): void {
    this.#users += 1;
    this.#watchers.push(onForeign);
  }

  /** Ends the use by one user; the last one ends what runs. */
  close(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#ending.abort();
    this.#cancelAgain?.();
    this.#cancelForeign?.();
    this.#cancelAsk?.();
    this.#leave();
  }

  /** Others have deleted the table, and it was not made again since. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /**
   * Asks whether the monitor has told all until now: one that hangs would leave it unknown what
   * others do.
   *
   * @returns False if it does not answer; then the pair has ended.
   */
  async hasHeardAll(): Promise<boolean> {
    if (!this.isResident) return false;
    // Who is behind has a change under way, which answers that.
    return await this.#inTurn(async () => {
      const resident = this.#resident;
      if (resident?.isReady !== true) return false;
      if (resident.isBehind) return true;
      const start = this.#clock.now();
      const hasHeard = await resident.feed([]);
      this.#answerMs = this.#clock.now() - start;
      return hasHeard;
    });
  }

  /** Fulfilled when no program that stayed is left of those that were ended. */
  async gone(): Promise<void> {
    await Promise.all(this.#leaving);
  }

  /** Whether a change is given to the programs that stay. */
  get isResident(): boolean {
    return this.#resident?.isReady === true;
  }

  /**
   * Stands for the state of the table, if nothing but the own changes can have changed it since;
   * `undefined` if nobody knows.
   */
  get epoch(): number | undefined {
    return this.isResident && !this.#isForeignDue ? this.#epoch : undefined;
  }

  /**
   * Makes a change: all of it or nothing. It is begun before this returns its promise, if no other
   * one runs.
   *
   * @param change The change.
   */
  apply(change: Change): Promise<CommandResult> {
    return this.#inTurn(() => this.#apply(change));
  }

  /**
   * Lists what there is.
   *
   * @param terse Without the elements.
   * @param elements How many there are, about.
   */
  list(terse: boolean, elements = 0): Promise<CommandResult> {
    // `list table` reads all elements even if it is not to show them.
    const what = terse ? ["-t", "list", "ruleset"] : ["-s", "list", "table", "inet", this.name];
    return this.#inTurn(() => this.#nft(what, { output: true, timeoutMs: timeoutMs(elements) }));
  }

  /**
   * Notes that the table is there, so that programs that stay may be begun.
   *
   * @param user Who made it.
   * @param elements How many elements it has there.
   */
  ready(user: unknown, elements: number): void {
    this.#elements.set(user, elements);
    if (this.#resident !== undefined) return;
    // The other family may be filling its sets, or not work at all.
    if (this.#elements.size < this.#users) this.#beginAfter(OTHER_FAMILY_MS);
    else if (this.#endsInARow === 0) this.#begin();
  }

  /**
   * Notes how many elements another table of Ampere's will have: with many of them there is no
   * monitor, and each change has a process.
   *
   * @param elements How many.
   */
  setBeside(elements: number): void {
    this.#beside = elements;
    if (!this.#isTooMuch || this.#resident === undefined) return;
    this.#leave();
    this.#cancelAsk?.();
    this.#epoch += 1;
    this.#log?.info(
      `${elements} entries of lists are too many for nft to stay: each change of the blocks has a ` +
        "process of nft, which takes 3 ms",
    );
    this.#lookAfter(LOOK_EVERY_MS);
  }

  get #isTooMuch(): boolean {
    return this.#beside > BESIDE_MAX || this.#elementCount > this.#monitoredMax;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isBusy) await new Promise<void>((resolve) => this.#turns.push(resolve));
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      const next = this.#turns.shift();
      // The turn is handed over, so that nobody comes in between.
      if (next === undefined) this.#isBusy = false;
      else next();
    }
  }

  /** Makes a change, and sees how long a small one takes. */
  async #apply(change: Change): Promise<CommandResult> {
    const start = this.#clock.now();
    const result = await this.#applySomehow(change);
    if (!result.ok || change.elements > RESIDENT_ELEMENTS_MAX) return result;
    const tookMs = this.#clock.now() - start;
    this.#slowInARow = tookMs > SLOW_MS ? this.#slowInARow + 1 : 0;
    if (this.#slowInARow >= SLOW_IN_A_ROW && start >= this.#slowToldUntil) {
      this.#slowToldUntil = start + SLOW_TOLD_EVERY_MS;
      void this.#explainSlowness(tookMs);
    }
    return result;
  }

  async #explainSlowness(tookMs: number): Promise<void> {
    const sets = await findForeignSets((args, options) => this.#nft(args, options));
    if (sets.length === 0) return;
    this.#log?.warn(
      `a change of the firewall takes ${Math.round(tookMs)} ms, because nft reads the intervals ` +
        `of others before each: ${sets.join(", ")}. Blocks come into force later for that. Fix: ` +
        FOREIGN_SETS_ADVICE,
    );
  }

  async #applySomehow(change: Change): Promise<CommandResult> {
    const resident = this.#resident;
    // A monitor that is still writing of a large change would acknowledge a small one late.
    const isFree = resident?.isReady === true && !resident.isBehind;
    const isSmall = change.elements <= RESIDENT_ELEMENTS_MAX && change.isStructure !== true &&
      change.bulk === undefined;
    if (isFree && isSmall && await resident.feed(change.commands, workOf(change))) return DONE;
    // Each change can be made a second time.
    return await this.#applyByProcess(change);
  }

  async #applyByProcess(change: Change): Promise<CommandResult> {
    const { commands, bulk = [], elements } = change;
    const resident = this.#resident;
    const limit = timeoutMs(elements);
    // A monitor that only begins may never tell of it.
    const mark = resident?.isReady === true ? resident.nextMark() : undefined;
    if (mark !== undefined) void resident!.expect(mark, limit, workOf(change));
    const last = mark === undefined ? [] : [markCommand(this.name, mark)];
    const stdin = function* (): Generator<string, void> {
      yield `${commands.join("\n")}\n`;
      yield* bulk;
      yield `${last.join("\n")}\n`;
    };
    const start = this.#clock.now();
    const result = await this.#nft(["-f", "-"], { stdin: unbroken(stdin()), timeoutMs: limit });
    if (elements <= RESIDENT_ELEMENTS_MAX) this.#processMs = this.#clock.now() - start;
    if (!result.ok && mark !== undefined) resident!.forget(mark);
    if (result.ok && change.isStructure === true) this.#isGone = false;
    if (result.ok) this.#resident?.readAhead();
    return result;
  }

  #nft(
    args: readonly string[],
    options: { stdin?: Input; output?: boolean; timeoutMs?: number },
  ): Promise<CommandResult> {
    return this.#run("nft", args, { ...options, signal: this.#ending.signal });
  }

  // The programs that stay

  #begin(): void {
    this.#cancelAgain?.();
    this.#cancelAgain = undefined;
    if (this.#start === undefined || this.#resident !== undefined) return;
    if (this.#ending.signal.aborted) return;
    // A long list is being filled in: the monitor would tell of all its elements.
    if (this.#isBusy) return this.#beginAfter(AGAIN_FIRST_MS);
    if (this.#isTooMuch) return this.#lookAfter(LOOK_EVERY_MS);
    this.#residentSince = this.#clock.now();
    const resident: Resident = new Resident({
      name: this.name,
      start: this.#start,
      clock: this.#clock,
      answerMs: () => ANSWER_FACTOR * this.#processMs,
      onReady: () => {
        if (this.#resident === resident) void this.#lookFirst();
      },
      onForeign: (isGone) => {
        if (this.#resident === resident) this.#foreign(isGone);
      },
      onLists: () => {
        if (this.#resident === resident) this.onLists();
      },
      onEnd: (why) => {
        if (this.#resident === resident) this.#ended(why);
      },
    });
    this.#resident = resident;
  }

  /**
   * Looks what others may have done before the monitor listened. After the start that was a moment,
   * and it is enough that the table is there; the next look by interval reads all.
   */
  async #lookFirst(): Promise<void> {
    if (this.#saidEnd) this.#log?.info("nft stays again for quick changes");
    this.#saidEnd = false;
    this.#askAfter(ASK_EVERY_MS);
    if (!this.#isFirst) {
      this.onLists();
      return this.#foreign();
    }
    this.#isFirst = false;
    if (await this.#isMissing()) this.#foreign();
  }

  /** Looks whether the table is there, whatever it holds. */
  async #isMissing(): Promise<boolean> {
    const { ok, stdout } = await this.list(true);
    return ok && !new TextDecoder().decode(stdout).includes(`table ${tableOf(this.name)} {`);
  }

  /** There are too many elements for a monitor: it is looked now and then. */
  #lookAfter(ms: number): void {
    this.#cancelAsk?.();
    this.#cancelAsk = this.#clock.after(ms, async () => {
      if (this.#resident !== undefined || this.#ending.signal.aborted) return;
      if (await this.#isMissing()) this.#foreign(true);
      // There may be fewer by now.
      this.#begin();
    });
  }

  get #elementCount(): number {
    let count = 0;
    for (const elements of this.#elements.values()) count += elements;
    return count;
  }

  #leave(): void {
    const resident = this.#resident;
    this.#resident = undefined;
    if (resident === undefined) return;
    resident.close();
    const gone = resident.gone.then(() => {
      this.#leaving.splice(this.#leaving.indexOf(gone), 1);
    });
    this.#leaving.push(gone);
  }

  /** The pair has ended by itself; another one is begun after a while. */
  #ended(why: string): void {
    this.#leave();
    this.#cancelAsk?.();
    // What others did meanwhile is not known.
    this.#isGone = false;
    this.#epoch += 1;
    // A monitor that hung may have told too little. That of nft 1.0.6 also ends by itself where
    // sets of the lists are changed: it forgets some that it knew.
    this.#foreign();
    this.onLists();
    const hasLived = this.#clock.now() - this.#residentSince > LONG_LIFE_MS;
    this.#endsInARow = hasLived ? 0 : this.#endsInARow + 1;
    const text =
      `nft, which stays for quick changes, has ended (${why}); until it is there again ` +
      "each change has a process of nft";
    if (this.#endsInARow > 1) this.#log?.debug(text);
    else {
      this.#log?.warn(text);
      this.#saidEnd = true;
    }
    this.#beginAfter(retryDelay(this.#endsInARow, AGAIN_FIRST_MS, AGAIN_MAX_MS));
  }

  #beginAfter(ms: number): void {
    this.#cancelAgain?.();
    this.#cancelAgain = this.#clock.after(ms, () => {
      this.#cancelAgain = undefined;
      this.#begin();
    });
  }

  /**
   * Others have changed the table, or may have: it is looked at, soon but not all the time. That it
   * is gone needs no look, and is told at once.
   */
  #foreign(isGone = false): void {
    this.#epoch += 1;
    if (isGone) this.#isGone = true;
    const now = this.#clock.now();
    const cost = this.#elementCount * FOREIGN_PER_ELEMENT_MS;
    const isUrgent = isGone && now >= this.#goneToldFrom;
    if (isGone && isUrgent) this.#goneToldFrom = now + cost;
    if (this.#cancelForeign !== undefined && !isUrgent) {
      this.#isForeignDue = true;
      return;
    }
    this.#cancelForeign?.();
    this.#isForeignDue = false;
    this.#cancelForeign = this.#clock.after(FOREIGN_EVERY_MS + cost, () => {
      this.#cancelForeign = undefined;
      if (!this.#isForeignDue) return;
      this.#isForeignDue = false;
      this.#foreign();
    });
    for (const watcher of this.#watchers) watcher();
  }

  /** A pair that is idle is asked from time to time whether it hears. */
  #askAfter(ms: number): void {
    this.#cancelAsk?.();
    this.#cancelAsk = this.#clock.after(ms, async () => {
      const resident = this.#resident;
      if (!await this.hasHeardAll() || this.#resident !== resident) return;
      if (resident?.isWorn(this.#elementCount)) return this.#renew();
      this.#askAfter(Math.max(ASK_EVERY_MS, ASK_SHARE * this.#answerMs));
    });
  }

  /** The monitor has written so much that it is large: another pair takes its place. */
  #renew(): void {
    this.#leave();
    this.#epoch += 1;
    this.#begin();
  }
}

function workOf({ isStructure = false, takes = TAKES_NONE }: Change): OwnWork {
  return { isStructure, takes };
}

/**
 * Joins pieces so that each but the last ends within a command. When Ampere is killed while nft
 * reads them, it finds a command without end, and does nothing; it would else have emptied the sets
 * and not filled them.
 *
 * @param pieces Each ends within a command, or with its line.
 */
function* unbroken(pieces: Iterable<string>): Generator<string, void> {
  let held = "";
  for (const piece of pieces) {
    held += piece;
    if (held.endsWith("\n")) continue;
    yield held;
    held = "";
  }
  yield held;
}

/**
 * How long a command about so many elements may take, in milliseconds.
 *
 * @param elements How many.
 */
function timeoutMs(elements: number): number {
  return TIMEOUT_MS + elements * TIMEOUT_PER_ELEMENT_MS;
}
