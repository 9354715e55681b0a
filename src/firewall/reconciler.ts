/**
 * Keeps the firewall of one family equal to what is wanted; the firewall has one for IPv4 and one
 * for IPv6.
 *
 * @module
 */

import { type Family, networksAround } from "../address/address.ts";
import type { Clock } from "../clock.ts";
import {
  type Backend,
  type Entry,
  type Failure,
  isLasting,
  type Listing,
  type Outcome,
} from "./backend.ts";

/** The first delay after a command that failed, in milliseconds; it doubles with each failure. */
export const RETRY_MIN_MS = 100;

/** The longest delay after a command that failed, in milliseconds. */
export const RETRY_MAX_MS = 30_000;

/**
 * How many targets may be refused one by one, without a success in between, before it is likely
 * that the cause is not in the targets; from then on there is a delay after each.
 */
export const REFUSED_IN_A_ROW = 3;

/** The longest delay of that kind, in milliseconds. */
export const REFUSED_DELAY_MAX_MS = 2_000;

/** Fewest entries of a batch that is made smaller because commands take too long. */
export const SLOW_BATCH_MIN = 64;

/** A backend may answer a look by "the same as before" at most so many times in a row. */
export const SAME_IN_A_ROW = 9;

/** A batch that was larger than one command takes is followed by one that is larger by so much than that command. */
const BATCH_GROWTH = 1.1;

/** How many targets are compared in one turn of the event loop; takes about 1 ms. */
const COMPARED_PER_TURN = 5_000;

/** Where the firewall tells what happened; `Log` is one. */
export interface FirewallLog {
  /** Detail that only matters when searching for a fault. */
  debug(message: string): void;
  /** Something that happened as it should. */
  info(message: string): void;
  /** Something that a person should know. */
  warn(message: string): void;
  /** Something that does not work. */
  error(message: string): void;
}

/** What a reconciler needs besides its backend. */
export interface ReconcilerOptions {
  /** Takes the messages. */
  readonly log: FirewallLog;
  /** The time. */
  readonly clock: Clock;
  /** Random numbers from 0 to 1, for the delays. */
  readonly random: () => number;
  /** Called with new blocks that are in the kernel now, and how long each has waited. */
  readonly onApplied: (targets: readonly string[], waitedMs: readonly number[]) => void;
  /** Called after each command that did what it should. */
  readonly onSuccess: () => void;
}

/** The state of one family. */
export interface FamilyStatus {
  /** Which addresses. */
  readonly family: Family;
  /** How many targets are to be blocked. */
  readonly desired: number;
  /** How many are blocked, as far as is known. */
  readonly applied: number;
  /** How many changes wait for a command. */
  readonly queued: number;
  /** How many changes the firewall refused; they are tried again now and then. */
  readonly held: number;
  /** How many commands were given. */
  readonly commands: number;
  /** How many of them failed. */
  readonly failures: number;
  /** The last failure, even if it has passed. */
  readonly lastFailure: Failure | undefined;
  /** It does not work at present. */
  readonly failing: boolean;
}

/** The time of a block whose time in the kernel is not known. */
const UNKNOWN = -1;

/** What one command deals with. */
interface Batch {
  readonly verb: "block" | "release";
  readonly targets: readonly string[];
}

/**
 * Keeps the rules of one family equal to what is wanted: knows what is wanted and what is there, and
 * gives one command after the other for the difference.
 */
export class Reconciler {
  /** What its backend is called. */
  readonly backendName: string;
  readonly #backend: Backend;
  readonly #family: Family;
  readonly #log: FirewallLog;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #onApplied: (targets: readonly string[], waitedMs: readonly number[]) => void;
  readonly #onSuccess: () => void;

  /** What is to be blocked, and until when. */
  readonly #desired = new Map<string, number | undefined>();
  /** What is blocked in the kernel as far as is known, and until when. */
  readonly #applied = new Map<string, number | undefined>();
  /** New blocks that wait, with the moment at which they were ordered. */
  readonly #fresh = new Map<string, number>();
  /** Other blocks that wait: those of the start, and repairs. */
  readonly #bulk = new Set<string>();
  /** Releases that wait. */
  readonly #removes = new Set<string>();
  /** Targets that have a rule too many, once for each. */
  #extras: string[] = [];
  /** Changes that the firewall refused. */
  readonly #held = new Set<string>();

  /** What must pass, and the networks that would be in its way. */
  #exceptions = new Map<string, readonly string[]>();
  /** What passes in the kernel, as far as is known. */
  #excepted = new Set<string>();
  /** The exceptions must be compared with what is needed. */
  #mustExcept = false;
  /** The last change of the exceptions failed: blocks that wait come first. */
  #exceptFailed = false;

  /** What the command that runs deals with; "all" = anything. */
  #flying: ReadonlySet<string> | "all" = new Set();
  /** What was ordered about that in the meantime. */
  readonly #touched = new Set<string>();

  #running = false;
  #started = false;
  #ended = false;
  /** What the kernel holds has been seen, or was made, once. */
  #known = false;
  /** Every target must be compared, because not all that is to be done is in the queues. */
  #mustSort = true;
  /** The kernel's state must be looked at before anything else. */
  #mustLook = false;
  #mustReplace = false;
  /** The last kind of change, so that blocks and releases take turns. */
  #lastVerb: Batch["verb"] = "release";
  /** Most entries of a batch; smaller after a failure. */
  #limit = Infinity;
  /** The same when everything is made anew. */
  #replaceLimit = Infinity;
  /** About how many new blocks fit into one command. */
  #fitting = Infinity;
  /** A target that was refused alone; the second time it is set aside. */
  #suspect: string | undefined;
  #mark: string | undefined;
  /** A look has succeeded since the last failure. */
  #hasLooked = false;
  #sameInARow = 0;
  #silenceLogged = false;

  #commands = 0;
  #failures = 0;
  #lastFailure: Failure | undefined;
  #failuresInARow = 0;
  #refusedInARow = 0;
  /** The present trouble: since when, and which kinds were logged. */
  #trouble: { since: number; failure: Failure; logged: Set<string> } | undefined;
  /** To wait so long after the look that follows a failed command. */
  #delayAfterLook = 0;
  #cancelWait: (() => void) | undefined;
  #heldDue = false;
  #heldTries = 0;
  #cancelHeld: (() => void) | undefined;

  #firstResult: ((failure: Failure | undefined) => void) | undefined;
  #idleWaiters: (() => void)[] = [];
  #pauseWaiters: (() => void)[] = [];

  /**
   * Makes a reconciler; it runs nothing before {@linkcode Reconciler.start}.
   *
   * @param backend The firewall of the family.
   * @param options The log, the time.
   */
  constructor(backend: Backend, options: ReconcilerOptions) {
    this.backendName = backend.name;
    this.#backend = backend;
    this.#family = backend.family;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#onApplied = options.onApplied;
    this.#onSuccess = options.onSuccess;
  }

  /** How many targets are blocked, as far as is known. */
  get appliedCount(): number {
    return this.#applied.size;
  }

  /**
   * Begins, with a look at what is there or by making all anew, as the backend wants it.
   *
   * @param entries All that is to be blocked.
   * @returns When the first attempt has ended: the failure, if it is one.
   */
  start(entries: readonly Entry[]): Promise<Failure | undefined> {
    this.#started = true;
    for (const { target, until } of entries) this.#desired.set(target, until);
    if (this.#backend.replacesAtStart) this.#mustReplace = true;
    else this.#mustLook = true;
    return new Promise((resolve) => {
      this.#firstResult = resolve;
      this.#pump();
    });
  }

  /** See `Firewall.block`. */
  block(entries: readonly Entry[]): void {
    const now = this.#clock.now();
    for (const { target, until } of entries) {
      this.#desired.set(target, until);
      this.#reconcile(target, now);
    }
    if (this.#exceptions.size > 0) this.#mustExcept = true;
    this.#pump();
  }

  /** See `Firewall.release`. */
  release(targets: readonly string[]): void {
    for (const target of targets) this.#forget(target);
    this.#pump();
  }

  /** See `Firewall.setDesired`. */
  setDesired(entries: readonly Entry[]): void {
    const wanted = new Map(entries.map(({ target, until }) => [target, until]));
    for (const target of this.#desired.keys()) if (!wanted.has(target)) this.#forget(target);
    const changed: Entry[] = [];
    for (const [target, until] of wanted) {
      if (!this.#desired.has(target) || this.#desired.get(target) !== until) {
        changed.push({ target, until });
      }
    }
    this.block(changed);
  }

  /** See `Firewall.setExceptions`. */
  setExceptions(targets: readonly string[]): void {
    this.#exceptions = new Map(
      targets.map((target) => [target, this.#exceptions.get(target) ?? networksAround(target)]),
    );
    this.#mustExcept = true;
    this.#pump();
  }

  /** Those exceptions that a network is in the way of, by what is given, or by what is wanted and what is there. */
  #neededExceptions(given?: readonly Entry[]): string[] {
    if (this.#exceptions.size === 0) return [];
    const alone = new Set(given?.map(({ target }) => target));
    const isBlocked = (target: string) =>
      alone.has(target) || this.#desired.has(target) ||
      (given === undefined && this.#applied.has(target));
    return [...this.#exceptions].filter(([target, around]) =>
      !isBlocked(target) && around.some(isBlocked)
    ).map(([target]) => target);
  }

  /** What is to be changed; `undefined` if nothing is. */
  #exceptionChange(): { add: string[]; remove: string[] } | undefined {
    if (!this.#mustExcept || this.#backend.except === undefined) return undefined;
    const needed = new Set(this.#neededExceptions());
    const add = [...needed].filter((target) => !this.#excepted.has(target));
    const remove = [...this.#excepted].filter((target) => !needed.has(target));
    if (add.length + remove.length > 0) return { add, remove };
    this.#mustExcept = false;
    return undefined;
  }

  async #except({ add, remove }: { add: string[]; remove: string[] }): Promise<void> {
    this.#commands += 1;
    this.#mark = undefined;
    const outcome = await this.#backend.except!(add, remove);
    this.#exceptFailed = !outcome.ok;
    if (!outcome.ok) {
      if (outcome.failure.kind === "no-set") this.#mustReplace = true;
      // The look that follows tells what is there.
      this.#failed(outcome.failure, this.#retryDelay());
      return;
    }
    for (const target of add) this.#excepted.add(target);
    for (const target of remove) this.#excepted.delete(target);
    this.#succeeded();
  }

  /** A look by interval: does not shorten the delay after a failure. */
  lookSoon(): void {
    if (!this.#started || this.#ended) return;
    this.#mustLook = true;
    this.#pump();
  }

  /** See `Firewall.verify`; shortens the delay after a failure. */
  async verify(): Promise<void> {
    if (!this.#started || this.#ended) return;
    this.#mustLook = true;
    this.#stopWaiting();
    const pause = new Promise<void>((resolve) => this.#pauseWaiters.push(resolve));
    this.#pump();
    await pause;
  }

  /** See `Firewall.idle`. */
  async idle(): Promise<void> {
    if (this.#isIdle()) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** See `Firewall.stop`. */
  async stop(graceMs: number): Promise<number> {
    if (!this.#isUnusable()) {
      this.#stopWaiting();
      this.#pump();
    }
    let cancel = () => {};
    const late = new Promise<void>((resolve) => cancel = this.#clock.after(graceMs, resolve));
    await Promise.race([this.idle(), late]);
    cancel();
    this.#ended = true;
    this.#stopWaiting();
    this.#cancelHeld?.();
    this.#cancelHeld = undefined;
    this.#backend.fin();
    if (this.#running) await new Promise<void>((resolve) => this.#pauseWaiters.push(resolve));
    const changes = this.#queued() + this.#held.size;
    this.#settle();
    return changes;
  }

  /** The present state. */
  status(): FamilyStatus {
    return {
      family: this.#family,
      desired: this.#desired.size,
      applied: this.#isGone() ? 0 : this.#applied.size,
      queued: this.#queued(),
      held: this.#held.size,
      commands: this.#commands,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
      failing: this.#trouble !== undefined,
    };
  }

  #forget(target: string): void {
    if (this.#desired.delete(target)) this.#reconcile(target);
  }

  /** Compares what is wanted with what is there for one target, and queues the difference. */
  #reconcile(target: string, orderedAt?: number): void {
    if (this.#flying === "all" || this.#flying.has(target)) {
      this.#touched.add(target);
      // When it was ordered must not be forgotten; whether it is still needed is seen later.
      if (orderedAt !== undefined && !this.#fresh.has(target)) {
        this.#bulk.delete(target);
        this.#fresh.set(target, orderedAt);
      }
      return;
    }
    const wanted = this.#desired.has(target);
    const there = this.#applied.has(target);
    const rightTime = !this.#backend.timed ||
      this.#applied.get(target) === this.#desired.get(target);
    if (wanted && !(there && rightTime)) {
      this.#removes.delete(target);
      if (this.#held.has(target) || this.#fresh.has(target)) return;
      if (orderedAt === undefined) {
        this.#bulk.add(target);
      } else {
        this.#bulk.delete(target);
        this.#fresh.set(target, orderedAt);
      }
      return;
    }
    this.#fresh.delete(target);
    this.#bulk.delete(target);
    if (!wanted && there) {
      if (!this.#held.has(target)) this.#removes.add(target);
    } else {
      this.#removes.delete(target);
      this.#held.delete(target);
    }
  }

  #queued(): number {
    let bulk = this.#bulk.size;
    if (this.#mustReplace) bulk = Math.max(bulk, this.#desired.size);
    return this.#fresh.size + bulk + this.#removes.size + this.#extras.length;
  }

  #hasWork(): boolean {
    return this.#mustLook || this.#mustReplace || this.#hasChange() ||
      this.#exceptionChange() !== undefined;
  }

  #hasChange(): boolean {
    return this.#heldDue || this.#fresh.size > 0 || this.#bulk.size > 0 || this.#removes.size > 0 ||
      this.#extras.length > 0;
  }

  #isIdle(): boolean {
    if (this.#running) return false;
    return !this.#started || this.#ended || !this.#hasWork() || this.#isUnusable();
  }

  #isUnusable(): boolean {
    return this.#cancelWait !== undefined && this.#trouble !== undefined &&
      isLasting(this.#trouble.failure);
  }

  /** Works until nothing is left to do now. The first command is started before this returns. */
  #pump(): void {
    if (!this.#running && this.#started) void this.#work();
  }

  async #work(): Promise<void> {
    this.#running = true;
    this.#lastVerb = "release";
    try {
      while (!this.#ended && this.#cancelWait === undefined && this.#hasWork()) {
        await this.#step();
      }
      // What was to be repaired may be wanted no more since the look, so that no command comes that could succeed.
      const isDone = this.#cancelWait === undefined && !this.#hasWork();
      if (isDone && this.#hasLooked) this.#recovered();
    } finally {
      this.#running = false;
      this.#armHeld();
      this.#settle();
    }
  }

  async #step(): Promise<void> {
    try {
      if (this.#mustLook) return await this.#look();
      if (this.#mustReplace) return await this.#replace();
      const exceptions = this.#exceptionChange();
      if (exceptions === undefined) return await this.#change();
      // A firewall that takes no exceptions must not keep blocks from it.
      if (!this.#exceptFailed || !this.#hasChange()) return await this.#except(exceptions);
      this.#exceptFailed = false;
      await this.#change();
    } catch (error) {
      // A fault of the program; protection goes on all the same.
      this.#doubt(this.#flying === "all" ? this.#applied.keys() : this.#flying);
      this.#flying = new Set();
      this.#land([]);
      this.#mustSort = true;
      const message = `IPv${this.#family}: ${error instanceof Error ? error.message : error}`;
      this.#failed(
        { family: this.#family, kind: "refused", message, advice: "" },
        this.#retryDelay(),
      );
    }
  }

  /** Tells those who wait that the work has come to a pause, or to its end. */
  #settle(): void {
    this.#firstResult?.(this.#trouble?.failure);
    this.#firstResult = undefined;
    for (const resolve of this.#pauseWaiters.splice(0)) resolve();
    if (this.#isIdle()) { for (const resolve of this.#idleWaiters.splice(0)) resolve(); }
  }

  // ---- one command ----

  /** Sends one command for a part of what waits. */
  async #change(): Promise<void> {
    if (this.#heldDue) return await this.#retryHeld();
    if (this.#extras.length > 0) return await this.#removeExtras();
    const blocks = this.#fresh.size + this.#bulk.size;
    if (this.#removes.size > 0 && this.#backend.prefersReplace(this.#removes.size)) {
      return await this.#replace();
    }
    const verb = this.#removes.size === 0 || (blocks > 0 && this.#lastVerb === "release")
      ? "block"
      : "release";
    this.#lastVerb = verb;
    const fitting = verb === "block" ? this.#fitting : Infinity;
    const most = Math.min(this.#limit, this.#backend.batchMax, fitting);
    const batch = { verb, targets: this.#take(verb, most) } as const;
    const outcome = await this.#send(batch);
    if (outcome.ok) this.#limit *= 2;
    else this.#failedBatch(outcome.failure, batch);
  }

  /** The first targets that wait; they stay where they are until their command has ended. */
  #take(verb: Batch["verb"], most: number): string[] {
    const targets: string[] = [];
    const queues = verb === "block" ? [this.#fresh.keys(), this.#bulk] : [this.#removes];
    for (const queue of queues) {
      for (const target of queue) {
        if (targets.length >= most) return targets;
        targets.push(target);
      }
    }
    return targets;
  }

  /** Sends a batch and books what was done. */
  async #send({ verb, targets }: Batch): Promise<Outcome> {
    const entries = verb === "block"
      ? targets.map((target) => ({ target, until: this.#desired.get(target) }))
      : [];
    this.#mark = undefined;
    this.#commands += 1;
    const running = verb === "block"
      ? this.#backend.block(entries)
      : this.#backend.release(targets);
    // The command has begun; nobody else has had a turn since.
    this.#flying = new Set(targets);
    const outcome = await running;
    this.#flying = new Set();
    const done = outcome.ok ? outcome.done : 0;
    if (done > 0 && verb === "block") {
      this.#fitting = done < targets.length ? done * BATCH_GROWTH : Infinity;
    }
    if (outcome.ok && !(done > 0 && done <= targets.length)) {
      throw new Error(`a backend dealt with ${done} of ${targets.length} entries`);
    }
    for (let i = 0; i < done; i++) {
      if (verb === "release") this.#applied.delete(targets[i]!);
      else this.#applied.set(targets[i]!, entries[i]!.until);
    }
    // A network that is gone needs no exceptions any more; a host that is may need to be one.
    if (done > 0 && this.#exceptions.size > 0) this.#mustExcept = true;
    if (verb === "block") this.#report(targets.slice(0, done));
    if (!outcome.ok) this.#doubt(targets);
    if (verb === "block" && done > 0 && this.#touched.size === 0) {
      // The usual case in short: nothing was ordered meanwhile, and what was not done stays where it is.
      for (const queue of [this.#fresh, this.#bulk]) {
        if (queue.size === 0) continue;
        for (let i = 0; i < done; i++) queue.delete(targets[i]!);
      }
    } else {
      this.#land(targets);
    }
    if (outcome.ok) this.#succeeded();
    return outcome;
  }

  /** After a failure: whether the kernel has the old or the new times of these is not known. */
  #doubt(targets: Iterable<string>): void {
    if (!this.#backend.timed) return;
    for (const target of targets) if (this.#applied.has(target)) this.#applied.set(target, UNKNOWN);
  }

  /** Tells which new blocks are in the kernel now. */
  #report(blocked: readonly string[]): void {
    if (this.#fresh.size === 0) return;
    const targets: string[] = [];
    const waitedMs: number[] = [];
    const now = this.#clock.now();
    for (const target of blocked) {
      const orderedAt = this.#fresh.get(target);
      if (orderedAt === undefined || !this.#desired.has(target)) continue;
      targets.push(target);
      waitedMs.push(now - orderedAt);
    }
    if (targets.length > 0) this.#onApplied(targets, waitedMs);
  }

  /** After a command: what it was about, and what was ordered meanwhile, is compared again. */
  #land(targets: Iterable<string>): void {
    for (const target of targets) this.#reconcile(target);
    for (const target of this.#touched) this.#reconcile(target);
    this.#touched.clear();
  }

  async #removeExtras(): Promise<void> {
    if (this.#backend.prefersReplace(this.#extras.length + this.#removes.size)) {
      return await this.#replace();
    }
    const some = this.#extras.slice(0, Math.min(this.#limit, this.#backend.batchMax));
    this.#commands += 1;
    this.#mark = undefined;
    const outcome = await this.#backend.release(some);
    if (outcome.ok) {
      this.#extras.splice(0, outcome.done);
      this.#succeeded();
    } else {
      // The look that follows finds out again which they are.
      this.#extras = [];
      this.#failed(outcome.failure, this.#retryDelay(), { quiet: true });
    }
  }

  #entriesToReplace(): Entry[] {
    const entries: Entry[] = [];
    for (const [target, until] of this.#desired) {
      if (entries.length >= this.#replaceLimit) break;
      if (!this.#held.has(target)) entries.push({ target, until });
    }
    return entries;
  }

  /** Makes everything anew. */
  async #replace(): Promise<void> {
    const entries = this.#entriesToReplace();
    this.#mustReplace = false;
    this.#extras = [];
    this.#flying = "all";
    this.#mark = undefined;
    this.#commands += 1;
    const exceptions = this.#neededExceptions(entries);
    const outcome = await this.#backend.replace(
      entries,
      () => {
        // What was ordered in the meantime comes first.
        if (this.#touched.size > 0 || this.#ended) return false;
        this.#commands += 1;
        return true;
      },
      exceptions,
    );
    this.#mustExcept = true;
    if (!outcome.ok) {
      this.#doubt(this.#applied.keys());
      this.#mustSort = true;
      this.#flying = new Set();
      this.#land([]);
      this.#mustReplace = true;
      this.#failedReplace(outcome.failure, entries.length);
      return;
    }
    this.#replaceLimit = Infinity;
    this.#known = true;
    this.#excepted = new Set(exceptions);
    this.#applied.clear();
    for (let i = 0; i < outcome.done; i++) {
      const { target, until } = entries[i]!;
      this.#applied.set(target, until);
      if (i % COMPARED_PER_TURN === COMPARED_PER_TURN - 1) await this.#yield();
    }
    this.#flying = new Set();
    this.#removes.clear();
    this.#report(entries.slice(0, outcome.done).map((entry) => entry.target));
    this.#land([...this.#desired.keys(), ...this.#held]);
    this.#succeeded();
    // What a command did that failed only a look can tell.
    if (outcome.failure !== undefined) this.#failed(outcome.failure, this.#retryDelay());
  }

  /** With fewer entries it may go, and the culprit is then found among the rest. */
  #failedReplace(failure: Failure, count: number): void {
    const fewer = ["refused", "full", "timed-out"].includes(failure.kind) && count > 0;
    if (fewer) this.#replaceLimit = count === 1 ? 0 : Math.ceil(count / 2);
    this.#failed(failure, fewer ? 0 : this.#retryDelay(), { quiet: fewer });
  }

  // ---- looking ----

  /** Looks what is there, and queues what differs from what is wanted. */
  async #look(): Promise<void> {
    const mark = this.#sameInARow < SAME_IN_A_ROW ? this.#mark : undefined;
    this.#commands += 1;
    this.#mustLook = false;
    const answer = await this.#backend.list(mark);
    switch (answer.state) {
      case "failed":
        this.#failed(answer.failure, this.#retryDelay(), { looking: true });
        return;
      case "silent":
        this.#silent();
        break;
      case "same":
        this.#sameInARow += 1;
        break;
      case "listed":
        this.#sameInARow = 0;
        await this.#compare(answer.listing);
    }
    this.#hasLooked = true;
    if (this.#mustSort) await this.#sort();
    if (!this.#hasWork()) this.#recovered();
    else if (this.#delayAfterLook > 0) this.#wait(this.#delayAfterLook);
    this.#delayAfterLook = 0;
  }

  /** Queues all that is to be done: at start, and when it is not certain that all is queued. */
  async #sort(): Promise<void> {
    let visited = 0;
    this.#mustSort = false;
    if (this.#isBlank()) {
      // The usual start in short: nothing is there and nothing waits, so all of it is to be done.
      if (this.#desired.size > 0) this.#mustReplace = true;
      return;
    }
    for (const targets of [this.#applied, this.#desired]) {
      for (const target of targets.keys()) {
        if (++visited % COMPARED_PER_TURN === 0) await this.#yield();
        this.#reconcile(target);
      }
    }
  }

  /** Whether what holds the blocks was last seen missing: what is known of them is what was there before. */
  #isGone(): boolean {
    const kind = this.#trouble?.failure.kind;
    return kind === "no-chain" || kind === "no-set";
  }

  /** Whether nothing is known to be there, nothing runs, and nothing is queued or held. */
  #isBlank(): boolean {
    return this.#applied.size === 0 && this.#flying !== "all" && this.#flying.size === 0 &&
      this.#fresh.size === 0 && this.#removes.size === 0 && this.#held.size === 0;
  }

  /** The program says nothing: it is not a real one, and what was sent has to be believed. */
  #silent(): void {
    if (!this.#known) this.#mustReplace = true;
    if (this.#silenceLogged) return;
    this.#silenceLogged = true;
    this.#log.warn(
      `IPv${this.#family}: the firewall's programs list nothing, not even the chain; the rules ` +
        "cannot be verified",
    );
  }

  async #compare(listing: Listing): Promise<void> {
    const atStart = !this.#known;
    const afterFailure = this.#failuresInARow > 0;
    const before = this.#applied.size;
    const now = this.#clock.now();
    const found: string[] = [];
    let lost = 0;
    let strange = 0;
    let visited = 0;
    this.#known = true;
    this.#extras = [];
    const passed = listing.exceptions ?? new Set();
    const unexcepted = [...this.#excepted].filter((target) => !passed.has(target)).length;
    const overlooked = [...passed].filter((target) => !this.#excepted.has(target)).length;
    this.#excepted = new Set(passed);
    this.#mustExcept = true;
    for (const target of this.#applied.keys()) {
      if (++visited % COMPARED_PER_TURN === 0) await this.#yield();
      if (listing.targets.has(target)) continue;
      const until = this.#applied.get(target);
      const hasEnded = this.#backend.timed && until !== undefined && until <= now;
      if (this.#desired.has(target) && !hasEnded) lost += 1;
      this.#applied.delete(target);
      this.#reconcile(target);
    }
    for (const [target, times] of listing.targets) {
      if (++visited % COMPARED_PER_TURN === 0) await this.#yield();
      for (let i = 1; i < times; i++) this.#extras.push(target);
      if (this.#applied.has(target)) continue;
      // After a failed command this may be the work of Ampere itself.
      if (!this.#desired.has(target) && !afterFailure) strange += 1;
      this.#applied.set(target, this.#backend.timed ? UNKNOWN : this.#desired.get(target));
      found.push(target);
    }
    this.#report(found);
    for (const target of found) this.#reconcile(target);
    const clean = listing.whole && listing.strangers.length === 0;
    // What was to be made anew is in no queue: if only what differs is mended, all is compared.
    if (clean && this.#mustReplace) this.#mustSort = true;
    this.#mustReplace = !clean;
    this.#mark = clean && this.#extras.length === 0 ? listing.mark : undefined;
    const exceptions = afterFailure ? 0 : unexcepted + overlooked;
    this.#tell(listing, { lost, before, strange, exceptions, atStart });
  }

  /** Says in one line what the look has found. */
  #tell(
    listing: Listing,
    found: { lost: number; before: number; strange: number; exceptions: number; atStart: boolean },
  ): void {
    const { lost, before, strange, exceptions, atStart } = found;
    const { strangers } = listing;
    const parts: string[] = [];
    if (lost > 0) {
      const cause = lost === before
        ? "was the chain flushed, or the firewall reloaded?"
        : "were they removed by hand?";
      parts.push(`${lost} of ${before} blocks were missing (${cause})`);
    }
    if (!listing.whole && !atStart) {
      parts.push("the set of the targets, or the rule that looks at it, was missing or wrong");
    }
    if (strangers.length > 0) {
      parts.push(`${strangers.length} of the rules were not Ampere's ("${strangers[0]}")`);
    }
    if (strange > 0) parts.push(`${strange} targets were blocked that are not in the list`);
    if (exceptions > 0) {
      parts.push(`${exceptions} exceptions of blocked networks were missing or too many`);
    }
    if (this.#extras.length > 0) parts.push(`${this.#extras.length} rules were there twice`);
    if (parts.length === 0) return;
    const text = parts.join("; ");
    if (atStart) this.#log.info(`IPv${this.#family}: the chain is made equal to the list: ${text}`);
    else this.#log.warn(`IPv${this.#family}: others changed the chain, it is repaired: ${text}`);
  }

  /** Lets other work have its turn. */
  #yield(): Promise<void> {
    return new Promise((resolve) => this.#clock.soon(resolve));
  }

  // ---- failures ----

  /** A command did what it should. */
  #succeeded(): void {
    this.#refusedInARow = 0;
    this.#suspect = undefined;
    this.#recovered();
    this.#onSuccess();
  }

  /** The firewall answers, and nothing is left to do. */
  #recovered(): void {
    this.#failuresInARow = 0;
    const trouble = this.#trouble;
    this.#trouble = undefined;
    if (trouble !== undefined && trouble.logged.size > 0) {
      const seconds = ((this.#clock.now() - trouble.since) / 1_000).toFixed(1);
      this.#log.info(`IPv${this.#family}: the firewall works again, after ${seconds} s`);
    }
  }

  /** Books a failure; the kernel's state is unknown now. */
  #failed(
    failure: Failure,
    delayMs: number,
    { looking = false, quiet = false }: { looking?: boolean; quiet?: boolean } = {},
  ): void {
    this.#hasLooked = false;
    this.#failures += 1;
    this.#failuresInARow += 1;
    this.#lastFailure = failure;
    this.#mark = undefined;
    this.#mustLook = true;
    this.#trouble ??= { since: this.#clock.now(), failure, logged: new Set() };
    this.#trouble.failure = failure;
    this.#logFailure(failure, quiet, this.#trouble.logged);
    if (looking) {
      this.#delayAfterLook = 0;
      this.#wait(delayMs);
    } else {
      this.#delayAfterLook = delayMs;
    }
  }

  /** Logs a failure, once in a trouble for each kind. */
  #logFailure(failure: Failure, quiet: boolean, logged: Set<string>): void {
    this.#log.debug(`${failure.message} (failure ${this.#failuresInARow} in a row)`);
    if (quiet || failure.kind === "aborted" || logged.has(failure.kind)) return;
    logged.add(failure.kind);
    const advice = failure.advice === "" ? "" : `. To mend it: ${failure.advice}`;
    const text = `${failure.message}. Its blocks stay in the list and are applied as soon as the ` +
      `firewall works${advice}`;
    if (this.#family === 4) this.#log.error(text);
    else this.#log.warn(text);
  }

  /** Decides how to go on after a batch that failed. */
  #failedBatch(failure: Failure, { verb, targets }: Batch): void {
    if (failure.kind === "no-set") this.#mustReplace = true;
    if (failure.kind === "timed-out") {
      this.#limit = Math.max(SLOW_BATCH_MIN, Math.ceil(targets.length / 2));
    }
    if (!mayBeOneOfThem(failure)) {
      this.#failed(failure, this.#retryDelay());
    } else if (targets.length > 1) {
      // A half of it is tried at once, and so on until the culprit stands alone.
      this.#limit = Math.ceil(targets.length / 2);
      this.#failed(failure, 0, { quiet: true });
    } else if (this.#suspect !== targets[0]) {
      // Perhaps somebody else has removed the rule; the look will tell.
      this.#suspect = targets[0];
      this.#limit = 1;
      this.#failed(failure, 0, { quiet: true });
    } else {
      this.#suspect = undefined;
      this.#hold(targets[0]!, verb, failure);
    }
  }

  /** Sets a change aside that the firewall refuses, so that it does not stop the others. */
  #hold(target: string, verb: Batch["verb"], failure: Failure): void {
    this.#setAside(target);
    this.#refusedInARow += 1;
    const more = this.#refusedInARow - REFUSED_IN_A_ROW;
    const advice = failure.advice === "" ? "" : `. To mend it: ${failure.advice}`;
    if (more <= 0) {
      const what = verb === "block" ? "blocked" : "released";
      this.#log.error(
        `${target} could not be ${what}, and is tried again from time to time: ` +
          `${failure.message}${advice}`,
      );
    } else if (more === 1) {
      this.#log.error(
        `IPv${this.#family}: the firewall refuses one change after the other: ` +
          `${failure.message}${advice}`,
      );
    }
    const delay = more < 0 ? 0 : Math.min(REFUSED_DELAY_MAX_MS, RETRY_MIN_MS * 2 ** more);
    this.#failed(failure, this.#jitter(delay), { quiet: true });
  }

  /** Takes a change out of the queues; if it is not needed any more it is forgotten. */
  #setAside(target: string): void {
    this.#fresh.delete(target);
    this.#bulk.delete(target);
    this.#removes.delete(target);
    // The others get their turn before it.
    this.#held.delete(target);
    this.#held.add(target);
    this.#reconcile(target);
  }

  /** As long as something is set aside, one of it is tried again after a while. */
  #armHeld(): void {
    if (this.#held.size === 0 || this.#heldDue || this.#cancelHeld !== undefined) return;
    if (this.#ended) return;
    const delay = this.#jitter(Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#heldTries));
    this.#cancelHeld = this.#clock.after(delay, () => {
      this.#cancelHeld = undefined;
      this.#heldDue = true;
      this.#pump();
    });
  }

  /** Tries one of the changes again that were refused. */
  async #retryHeld(): Promise<void> {
    this.#heldDue = false;
    const target = this.#held.values().next().value;
    if (target === undefined) return;
    const verb = this.#desired.has(target) ? "block" : "release";
    const outcome = await this.#send({ verb, targets: [target] });
    if (outcome.ok) {
      // What was wrong may be over for the others too.
      const others = [...this.#held];
      this.#held.clear();
      this.#heldTries = 0;
      for (const other of others) this.#reconcile(other);
      return;
    }
    this.#setAside(target);
    this.#heldTries += 1;
    const delay = mayBeOneOfThem(outcome.failure) ? 0 : this.#retryDelay();
    this.#failed(outcome.failure, delay, { quiet: delay === 0 });
  }

  #retryDelay(): number {
    return this.#jitter(Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failuresInARow));
  }

  /** Something from the half to the whole. */
  #jitter(ms: number): number {
    return ms * (0.5 + this.#random() / 2);
  }

  #wait(ms: number): void {
    if (ms === 0 || this.#ended) return;
    this.#cancelWait = this.#clock.after(ms, () => {
      this.#cancelWait = undefined;
      this.#pump();
    });
  }

  #stopWaiting(): void {
    this.#cancelWait?.();
    this.#cancelWait = undefined;
  }
}

/** Whether a failure of a batch may come from one of its targets. */
function mayBeOneOfThem(failure: Failure): boolean {
  return failure.kind === "refused" || failure.kind === "full";
}
