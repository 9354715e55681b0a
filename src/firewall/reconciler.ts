/**
 * Keeps the firewall of one family equal to what is desired; the firewall has a reconciler for IPv4
 * and another for IPv6.
 *
 * @module
 */

import { jittered, retryDelay } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import type { Backend, Entry, Outcome } from "./backend.ts";
import { BatchLimits, mayBeOneOfThem } from "./batch_limits.ts";
import { type AppliedOrders, type Batch, Changes } from "./changes.ts";
import { type ExceptionChange, Exceptions } from "./exceptions.ts";
import type { Failure } from "./failure.ts";
import { KernelView } from "./kernel_view.ts";
import { type Damage, type FamilyStatus, WAITING_MAX } from "./status.ts";
import { RejectedTurns, RETRY_FIRST_MS, RETRY_MAX_MS } from "./rejected.ts";
import { type FirewallLog, Trouble } from "./trouble.ts";
import { type ForceChange, Watch } from "./watch.ts";
import type { Way } from "./way.ts";
import { inTurns, WorkLoop } from "./work_loop.ts";

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
  /** Called when blocks come into force, or are not any more. */
  readonly onForce: (change: ForceChange) => void;
  /** Called when others have taken out blocks, or what holds them. */
  readonly onDamage: (damage: Damage) => void;
}

/**
 * Gives one command after the other, until what is applied is what is desired. What that is,
 * {@linkcode Changes} knows; what the kernel holds, {@linkcode KernelView} looks.
 */
export class Reconciler {
  /** What its backend is called. */
  readonly backendName: string;
  /** Whether its blocks are in force. */
  readonly watch: Watch;
  readonly #backend: Backend;
  readonly #options: ReconcilerOptions;
  readonly #changes: Changes;
  readonly #exceptions: Exceptions;
  readonly #limits = new BatchLimits();
  readonly #trouble: Trouble;
  readonly #view: KernelView;
  readonly #loop: WorkLoop;
  readonly #rejected: RejectedTurns;

  /** The kernel must be looked at before anything else. */
  #mustLook = false;
  /** Everything must be made anew. */
  #mustReplace = false;
  /** Every target must be compared, because not all that is to be done may be queued. */
  #mustCompare = true;
  /** The last change of the exceptions failed: blocks that wait come first. */
  #exceptionsFailed = false;
  /** A look has succeeded since the last failure. */
  #hasLooked = false;
  #commands = 0;
  /** To wait so long after the look that follows a failed command. */
  #delayAfterLook = 0;

  /**
   * Makes a reconciler; it runs nothing before {@linkcode Reconciler.start}.
   *
   * @param backend The firewall of the family.
   * @param options The log, the time.
   * @param way The way of packets to the chain; without one only failures are judged.
   */
  constructor(backend: Backend, options: ReconcilerOptions, way?: Way) {
    const changes = new Changes(backend.timed);
    const trouble = new Trouble(backend.family, options.log, options.clock);
    this.#exceptions = new Exceptions((leftOut) => trouble.leftOut(leftOut));
    this.backendName = backend.name;
    this.#backend = backend;
    this.#options = options;
    this.#changes = changes;
    this.#trouble = trouble;
    this.#view = new KernelView(backend, options, {
      changes,
      exceptions: this.#exceptions,
      trouble,
    });
    this.#rejected = new RejectedTurns(options.clock, options.random, () => this.#loop.pump());
    const refused = () => changes.rejectedCount && changes.unapplied(WAITING_MAX).length;
    const all = { ...options, blocked: changes.targets, refused, held: () => changes.appliedCount };
    this.watch = new Watch(backend.family, way, all, () => {
      // A chain that is gone is not judged before it is seen again.
      if (trouble.isGone) void this.verify();
      else this.#loop.pump();
    });
    this.#loop = new WorkLoop(options.clock, {
      begin: () => changes.resetTurns(),
      hasWork: () => this.#hasTask() || this.watch.isDue,
      step: () => this.#step(),
      isStuck: () => trouble.isLasting,
      pause: (isDone) => {
        // What was to be repaired may be desired no more since the look: no command will succeed.
        if (isDone && this.#hasLooked) trouble.recovered();
        // As long as changes are rejected, one of them is tried again after a while.
        if (changes.rejectedCount > 0 && !this.#loop.isClosed) this.#rejected.arm();
      },
    });
  }

  /** How many targets are blocked, as far as is known. */
  get appliedCount(): number {
    return this.#changes.appliedCount;
  }

  /**
   * Begins, with a look at what is there or by making everything anew, as the backend wants it.
   *
   * @param entries All that is to be blocked.
   * @returns When the first attempt has ended: its failure, if it failed.
   */
  async start(entries: readonly Entry[]): Promise<Failure | undefined> {
    this.#changes.begin(entries);
    this.#backend.watch?.(() => this.lookSoon());
    // If it fails, the look that follows tells why.
    if (this.watch.makesChain) await this.watch.makeChain();
    if (this.#backend.replacesAtStart) this.#mustReplace = true;
    else this.#mustLook = true;
    await this.#loop.start();
    return this.#trouble.failure;
  }

  /** See `Firewall.block`. */
  block(entries: readonly Entry[]): void {
    this.#changes.block(entries, this.#options.clock.now());
    this.#exceptions.recheckFor(entries);
    this.#loop.pump();
  }

  /** See `Firewall.release`. */
  release(targets: readonly string[]): void {
    this.#changes.release(targets);
    // What waited for its turn goes without a command.
    this.#exceptions.recheckFor(targets.map((target) => ({ target })));
    this.#loop.pump();
  }

  /** See `Firewall.setDesired`. */
  setDesired(entries: readonly Entry[]): void {
    this.#changes.setDesired(entries, this.#options.clock.now());
    this.#exceptions.recheck();
    this.#loop.pump();
  }

  /** See `Firewall.setExceptions`. */
  setExceptions(targets: readonly string[]): void {
    this.#exceptions.set(targets);
    this.#loop.pump();
  }

  /** Looks by interval, or for a new action; that does not shorten the delay after a failure. */
  lookSoon(action = this.#view.newAction): void {
    this.#view.newAction = action;
    if (!this.#loop.isOpen) return;
    this.#mustLook = true;
    this.#loop.pump();
  }

  /** See `Firewall.verify`; shortens the delay after a failure. */
  async verify(): Promise<void> {
    if (!this.#loop.isOpen) return;
    this.#mustLook = true;
    this.#loop.endDelay();
    await this.#loop.pause();
  }

  /** See `Firewall.idle`. */
  idle(): Promise<void> {
    return this.#loop.idle();
  }

  /** See `Firewall.stop`. */
  async stop(graceMs: number): Promise<number> {
    this.watch.hurry();
    await this.#loop.close(graceMs, () => {
      this.#rejected.close();
      this.watch.close();
      this.#backend.close();
    });
    return this.#queuedCount() + this.#changes.rejectedCount;
  }

  /** The present state. */
  status(): FamilyStatus {
    return {
      family: this.#backend.family,
      desired: this.#changes.desiredCount,
      applied: this.#trouble.isGone ? 0 : this.#changes.appliedCount,
      queued: this.#queuedCount(),
      rejected: this.#changes.rejectedCount,
      commands: this.#commands,
      failures: this.#trouble.failures,
      flushes: this.watch.flushes,
      lastFailure: this.#trouble.lastFailure,
      failing: this.#trouble.failure !== undefined,
      judgement: this.watch.judgement,
      waiting: this.#changes.unapplied(WAITING_MAX),
    };
  }

  // What is to be done

  #queuedCount(): number {
    const { queuedCount, repairCount, desiredCount } = this.#changes;
    return queuedCount + (this.#mustReplace ? Math.max(0, desiredCount - repairCount) : 0);
  }

  /** Whether the kernel must be changed, or looked at because it may. */
  #hasTask(): boolean {
    return this.#mustLook || this.#mustReplace || this.#hasChange() ||
      this.#exceptionChange() !== undefined;
  }

  #hasChange(): boolean {
    return this.#rejected.isDue || this.#changes.queuedCount > 0;
  }

  #exceptionChange(): ExceptionChange | undefined {
    if (this.#backend.except === undefined) return undefined;
    const changes = this.#changes;
    return this.#exceptions.change((target) =>
      changes.isDesired(target) || changes.isApplied(target)
    );
  }

  async #step(): Promise<void> {
    try {
      if (this.#mustLook) return await this.#look();
      if (this.#mustReplace) return await this.#replace();
      const exceptions = this.#exceptionChange();
      const isQuiet = exceptions === undefined && !this.#hasChange();
      if (this.watch.isNext(isQuiet, this.#changes.repairCount)) {
        this.#commands += 1;
        return await this.watch.judge();
      }
      if (exceptions === undefined) return await this.#change();
      // A firewall that takes no exceptions must not keep blocks from it.
      if (!this.#exceptionsFailed || !this.#hasChange()) return await this.#except(exceptions);
      this.#exceptionsFailed = false;
      await this.#change();
    } catch (error) {
      // A fault of the program; protection goes on all the same.
      this.#changes.abandon();
      this.#mustCompare = true;
      const { family } = this.#backend;
      const message = `IPv${family}: ${error instanceof Error ? error.message : error}`;
      this.#failed({ family, kind: "refused", message, advice: "" }, this.#retryDelay());
    }
  }

  // One command

  /** Sends one command for a part of what waits. */
  async #change(): Promise<void> {
    const changes = this.#changes;
    if (this.#rejected.isDue) return await this.#retryRejected();
    if (changes.duplicateCount > 0) return await this.#releaseDuplicates();
    if (changes.releaseCount > 0 && this.#backend.prefersReplace(changes.releaseCount)) {
      return await this.#replace();
    }
    const batch = changes.nextBatch((verb) => this.#limits.mostOf(verb, this.#backend.batchMax));
    const outcome = await this.#send(batch);
    if (outcome.ok) this.#limits.grow();
    else this.#failedBatch(outcome.failure, batch);
  }

  /** Sends a batch and notes what was done. */
  async #send(batch: Batch): Promise<Outcome> {
    const { verb, entries } = batch;
    this.#view.invalidate();
    this.#commands += 1;
    const running = verb === "block"
      ? this.#backend.block(entries, (target) => this.#changes.isApplied(target))
      : this.#backend.release(entries.map((entry) => entry.target));
    // The command has begun; nobody else has had a turn since.
    this.#changes.depart(batch);
    const outcome = await running;
    const done = outcome.ok ? outcome.done : undefined;
    if (done !== undefined && !(done > 0 && done <= entries.length)) {
      throw new Error(`a backend dealt with ${done} of ${entries.length} entries`);
    }
    if (done !== undefined) this.#limits.landed(batch, done);
    this.#tellApplied(this.#changes.land(batch, done));
    // A network that is gone needs no exceptions any more; a host that is may need to be one.
    this.#exceptions.recheckFor(entries);
    if (outcome.ok) this.#succeeded();
    return outcome;
  }

  #tellApplied(orders: AppliedOrders): void {
    if (orders.length === 0) return;
    const now = this.#options.clock.now();
    this.#options.onApplied(
      orders.map(([target]) => target),
      orders.map(([, orderedAt]) => now - orderedAt),
    );
  }

  async #except(change: ExceptionChange): Promise<void> {
    this.#commands += 1;
    this.#view.invalidate();
    const outcome = await this.#backend.except!(change.add, change.remove);
    this.#exceptionsFailed = !outcome.ok;
    if (!outcome.ok) {
      if (outcome.failure.kind === "no-set") this.#mustReplace = true;
      // The look that follows tells what is there.
      return this.#failed(outcome.failure, this.#retryDelay());
    }
    this.#exceptions.land(change);
    this.#succeeded();
  }

  async #releaseDuplicates(): Promise<void> {
    const changes = this.#changes;
    if (this.#backend.prefersReplace(changes.duplicateCount + changes.releaseCount)) {
      return await this.#replace();
    }
    this.#commands += 1;
    this.#view.invalidate();
    const most = this.#limits.mostOf("release", this.#backend.batchMax);
    const outcome = await this.#backend.release(changes.firstDuplicates(most));
    if (outcome.ok) {
      changes.forgetDuplicates(outcome.done);
      this.#succeeded();
    } else {
      // The look that follows finds out again which they are.
      changes.forgetDuplicates();
      this.#failed(outcome.failure, this.#retryDelay(), { isQuiet: true });
    }
  }

  /** Makes everything anew. */
  async #replace(): Promise<void> {
    const changes = this.#changes;
    const entries = changes.allEntries(this.#limits.mostOfAll);
    const exceptions = this.#exceptions.needed((target) => changes.isDesired(target));
    this.#mustReplace = false;
    changes.forgetDuplicates();
    changes.depart("all");
    this.#view.invalidate();
    this.#commands += 1;
    const goOn = () => {
      // What was ordered in the meantime comes first.
      if (changes.hasChangedInFlight || this.#loop.isClosed) return false;
      this.#commands += 1;
      return true;
    };
    const outcome = await this.#backend.replace(entries, goOn, exceptions);
    if (!outcome.ok) {
      changes.abandon();
      this.#exceptions.recheck();
      this.#mustCompare = true;
      this.#mustReplace = true;
      const isFewer = this.#limits.failedAll(outcome.failure, entries.length);
      return this.#failed(outcome.failure, isFewer ? 0 : this.#retryDelay(), { isQuiet: isFewer });
    }
    this.#limits.mostOfAll = Infinity;
    this.#view.made();
    this.watch.demand();
    this.#exceptions.adopt(exceptions);
    this.#tellApplied(await inTurns(changes.landAll(entries, outcome.done), this.#options.clock));
    this.#succeeded();
    // What a command did that failed only a look can tell.
    if (outcome.failure !== undefined) this.#failed(outcome.failure, this.#retryDelay());
  }

  /** Looks what is there, and queues what differs from what is desired. */
  async #look(): Promise<void> {
    this.#commands += 1;
    this.#mustLook = false;
    const seen = await this.#view.look();
    if ("failure" in seen) return await this.#lookFailed(seen.failure);
    this.#tellApplied(seen.orders);
    if (seen.isClean !== undefined) {
      // What was to be made anew is not queued: if only differences are repaired, all is compared.
      if (seen.isClean && this.#mustReplace) this.#mustCompare = true;
      this.#mustReplace = !seen.isClean;
    }
    this.#hasLooked = true;
    if (seen.damage !== undefined) this.watch.damaged(seen.damage, !!this.#backend.watch);
    this.watch.demand();
    if (this.#mustCompare) await this.#compareAll();
    if (!this.#hasTask()) this.#trouble.recovered();
    else this.#loop.delay(this.#delayAfterLook);
    this.#delayAfterLook = 0;
  }

  /** A chain that is gone is made again, if Ampere may. */
  async #lookFailed(failure: Failure): Promise<void> {
    if (failure.kind !== "no-chain") {
      return this.#failed(failure, this.#retryDelay(), { isLook: true });
    }
    this.#changes.acceptRejected();
    if (!this.watch.makesChain) return this.#failed(failure, this.#retryDelay(), { isLook: true });
    this.#failed(failure, 0, { isQuiet: true });
    this.#commands += 1;
    const unmade = await this.watch.makeChain();
    if (unmade !== undefined) this.#failed(unmade, this.#retryDelay(), { isLook: true });
    // Somebody takes it away again and again.
    else if (this.watch.madeInVain > 2) this.#loop.delay(this.#retryDelay(this.watch.madeInVain));
  }

  /** Queues all that is to be done: at the start, and when not all of it may be queued. */
  async #compareAll(): Promise<void> {
    this.#mustCompare = false;
    if (!this.#changes.isBlank) {
      return await inTurns(this.#changes.compareAll(), this.#options.clock);
    }
    // The usual start in short: nothing is there and nothing waits.
    if (this.#changes.desiredCount > 0) this.#mustReplace = true;
  }

  // Failures

  /** Notes that a command did what it should. */
  #succeeded(): void {
    this.#rejected.inARow = 0;
    this.#limits.succeeded();
    this.#trouble.recovered();
    this.#options.onSuccess();
  }

  /** Records a failure. What the kernel holds is unknown until the next look. */
  #failed(
    seen: Failure,
    delayMs: number,
    { isLook = false, isQuiet = false }: { isLook?: boolean; isQuiet?: boolean } = {},
  ): void {
    const failure = this.watch.advise(seen);
    this.#hasLooked = false;
    this.#view.invalidate();
    this.#mustLook = true;
    const isMended = failure.kind === "no-chain" && this.watch.makesChain;
    this.#trouble.failed(failure, isQuiet || isMended);
    const waiting = this.#changes.unapplied(WAITING_MAX);
    this.watch.failed(failure, this.#trouble.inARow, !isMended && !isQuiet, waiting, isLook);
    this.#delayAfterLook = isLook ? 0 : delayMs;
    if (isLook) this.#loop.delay(delayMs);
  }

  /** Decides how to go on after a batch that failed. */
  #failedBatch(failure: Failure, batch: Batch): void {
    if (failure.kind === "no-set") this.#mustReplace = true;
    const nextTry = this.#limits.failed(failure, batch);
    if (nextTry === "without it") this.#reject(failure, batch);
    else if (nextTry === "later") this.#failed(failure, this.#retryDelay());
    else this.#failed(failure, 0, { isQuiet: true });
  }

  /** Sets the only change of a batch aside, so that it does not stop the others. */
  #reject(failure: Failure, { verb, entries }: Batch): void {
    const { target } = entries[0]!;
    this.#changes.reject(target);
    const delay = this.#rejected.rejected();
    this.#trouble.rejected(target, verb, failure, this.#rejected.inARow);
    this.#failed(failure, delay, { isQuiet: true });
  }

  /** Tries one of the changes again that were rejected. */
  async #retryRejected(): Promise<void> {
    this.#rejected.isDue = false;
    const batch = this.#changes.rejectedBatch();
    if (batch === undefined) return this.watch.demand();
    const outcome = await this.#send(batch);
    this.#rejected.tried(outcome.ok);
    if (outcome.ok) {
      this.watch.demand();
      return this.#changes.acceptRejected();
    }
    this.#changes.reject(batch.entries[0]!.target);
    const delay = mayBeOneOfThem(outcome.failure) ? 0 : this.#retryDelay();
    this.#failed(outcome.failure, delay, { isQuiet: delay === 0 });
  }

  #retryDelay(failures: number = this.#trouble.inARow): number {
    return jittered(retryDelay(failures, RETRY_FIRST_MS, RETRY_MAX_MS), this.#options.random);
  }
}
