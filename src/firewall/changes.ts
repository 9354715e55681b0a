/**
 * What separates the firewall of one family from what is desired: what is desired, what is applied,
 * what is in flight, and which changes come next. It runs no command and asks no clock.
 *
 * @module
 */

import type { Entry, Listing } from "./backend.ts";

/** How many targets are compared in one turn of the event loop; takes about 1 ms. */
export const COMPARED_PER_TURN = 5_000;

/** The end of an entry in the kernel that is not known. */
const UNKNOWN = -1;

/** What a command does to its targets. */
export type Verb = "block" | "release";

/** What one command deals with. */
export interface Batch {
  /** What becomes of the targets. */
  readonly verb: Verb;
  /** The targets, each with the end that is desired. */
  readonly entries: readonly Entry[];
}

/** New blocks that are in the kernel now: targets, and when each was ordered. */
export type AppliedOrders = readonly (readonly [target: string, orderedAt: number])[];

/** How a listing differs from what was believed to be applied. */
export interface Difference {
  /** How many entries were believed to be there. */
  readonly before: number;
  /** How many of them are gone, though they are desired and have not expired. */
  readonly lost: number;
  /** How many entries are there that are not desired. */
  readonly strange: number;
  /** How many entries are there twice. */
  readonly duplicates: number;
  /** New blocks that were there all the same: a command that failed has made them. */
  readonly orders: AppliedOrders;
}

/**
 * The desired and the applied entries of one family, and the changes that wait.
 *
 * A change that is in flight is not queued again: what is ordered of its targets is compared when
 * its command has ended.
 *
 * @example
 * ```ts
 * import { Changes } from "./changes.ts";
 *
 * const changes = new Changes(false);
 * changes.block([{ target: "192.0.2.1", until: undefined }], Date.now());
 * const batch = changes.nextBatch(() => 1_000);
 * changes.depart(batch);
 * changes.land(batch, batch.entries.length);
 * ```
 */
export class Changes {
  readonly #isTimed: boolean;
  /** What is to be blocked, and until when. */
  readonly #desired = new Map<string, number | undefined>();
  /** What is blocked in the kernel, as far as is known, and until when. */
  readonly #applied = new Map<string, number | undefined>();
  /** New blocks that wait, with the time at which each was ordered. */
  readonly #orders = new Map<string, number>();
  /** Other blocks that wait: those of the start, and repairs. */
  readonly #repairs = new Set<string>();
  /** Targets that wait for their release. */
  readonly #releases = new Set<string>();
  /** Targets with an entry too many, once for each. */
  #duplicates: string[] = [];
  /** Targets whose change the firewall rejected. */
  readonly #rejected = new Set<string>();
  /** What the command that runs deals with; "all": any target. */
  #inFlight: ReadonlySet<string> | "all" = new Set();
  /** The targets in flight of which something was ordered meanwhile. */
  readonly #changedInFlight = new Set<string>();
  /** The verb of the last batch, so that blocks and releases take turns. */
  #lastVerb: Verb = "release";

  /**
   * Makes a state in which nothing is desired and nothing is applied.
   *
   * @param isTimed Whether an entry has an end in the kernel, which must be the desired one.
   */
  constructor(isTimed: boolean) {
    this.#isTimed = isTimed;
  }

  /** How many targets are desired. */
  get desiredCount(): number {
    return this.#desired.size;
  }

  /** How many targets are applied, as far as is known. */
  get appliedCount(): number {
    return this.#applied.size;
  }

  /** How many blocks wait that are no new orders. */
  get repairCount(): number {
    return this.#repairs.size;
  }

  /** How many targets wait for their release. */
  get releaseCount(): number {
    return this.#releases.size;
  }

  /** How many entries are there twice. */
  get duplicateCount(): number {
    return this.#duplicates.length;
  }

  /** How many changes the firewall rejected. */
  get rejectedCount(): number {
    return this.#rejected.size;
  }

  /** How many changes wait, apart from those that were rejected. */
  get queuedCount(): number {
    return this.#orders.size + this.#repairs.size + this.#releases.size + this.#duplicates.length;
  }

  /** Whether something was ordered of what is in flight. */
  get hasChangedInFlight(): boolean {
    return this.#changedInFlight.size > 0;
  }

  /** Whether nothing is applied, in flight, queued or rejected, apart from repairs. */
  get isBlank(): boolean {
    return this.#applied.size === 0 && this.#inFlight !== "all" && this.#inFlight.size === 0 &&
      this.#orders.size === 0 && this.#releases.size === 0 && this.#rejected.size === 0;
  }

  /**
   * Tells whether a target is to be blocked.
   *
   * @param target The target.
   */
  isDesired(target: string): boolean {
    return this.#desired.has(target);
  }

  /**
   * Tells whether a target is blocked in the kernel, as far as is known.
   *
   * @param target The target.
   */
  isApplied(target: string): boolean {
    return this.#applied.has(target);
  }

  /**
   * Tells targets that are to be blocked and are not yet: new ones first.
   *
   * @param most How many at most.
   */
  unapplied(most: number): string[] {
    const targets: string[] = [];
    for (const queue of [this.#orders.keys(), this.#rejected, this.#repairs]) {
      for (const target of queue) {
        if (targets.length >= most) return targets;
        if (this.#desired.has(target) && !this.#applied.has(target)) targets.push(target);
      }
    }
    return targets;
  }

  // What is desired

  /**
   * Sets what is desired at the start. Nothing is queued before {@linkcode Changes.compareAll}.
   *
   * @param entries All that is to be blocked.
   */
  begin(entries: readonly Entry[]): void {
    for (const { target, until } of entries) this.#desired.set(target, until);
  }

  /**
   * Orders blocks.
   *
   * @param entries What to block; a target that is desired already gets the new end.
   * @param now The time of the order.
   */
  block(entries: readonly Entry[], now: number): void {
    for (const { target, until } of entries) {
      this.#desired.set(target, until);
      this.#compare(target, now);
    }
  }

  /**
   * Orders releases.
   *
   * @param targets The targets; those that are not desired are passed over.
   */
  release(targets: Iterable<string>): void {
    for (const target of targets) if (this.#desired.delete(target)) this.#compare(target);
  }

  /**
   * Makes the desired entries equal to the given ones; only differences become changes.
   *
   * @param entries All that is to be blocked.
   * @param now The time of the order.
   */
  setDesired(entries: readonly Entry[], now: number): void {
    const wanted = new Map(entries.map(({ target, until }) => [target, until]));
    this.release([...this.#desired.keys()].filter((target) => !wanted.has(target)));
    this.block(
      [...wanted].flatMap(([target, until]) =>
        this.#desired.has(target) && this.#desired.get(target) === until ? [] : { target, until }
      ),
      now,
    );
  }

  /** Compares all targets, in turns: at the start, and when not all changes may be queued. */
  *compareAll(): Generator<void, void> {
    let visited = 0;
    for (const targets of [this.#applied, this.#desired]) {
      for (const target of targets.keys()) {
        if (++visited % COMPARED_PER_TURN === 0) yield;
        this.#compare(target);
      }
    }
  }

  /** Compares what is desired with what is applied for one target, and queues the difference. */
  #compare(target: string, orderedAt?: number): void {
    if (this.#inFlight === "all" || this.#inFlight.has(target)) {
      this.#changedInFlight.add(target);
      // The time of the order must be kept; whether it is still needed is seen later.
      if (orderedAt !== undefined && !this.#orders.has(target)) {
        this.#repairs.delete(target);
        this.#orders.set(target, orderedAt);
      }
      return;
    }
    const isDesired = this.#desired.has(target);
    const isApplied = this.#applied.has(target);
    const hasRightEnd = !this.#isTimed || this.#applied.get(target) === this.#desired.get(target);
    if (isDesired && !(isApplied && hasRightEnd)) {
      this.#releases.delete(target);
      if (this.#rejected.has(target) || this.#orders.has(target)) return;
      if (orderedAt === undefined) {
        this.#repairs.add(target);
      } else {
        this.#repairs.delete(target);
        this.#orders.set(target, orderedAt);
      }
      return;
    }
    this.#orders.delete(target);
    this.#repairs.delete(target);
    if (!isDesired && isApplied) {
      if (!this.#rejected.has(target)) this.#releases.add(target);
    } else {
      this.#releases.delete(target);
      this.#rejected.delete(target);
    }
  }

  // Batches

  /** Forgets whose turn it is: the next batch blocks, if a block waits. */
  resetTurns(): void {
    this.#lastVerb = "release";
  }

  /**
   * Chooses the next batch: blocks and releases take turns, and new blocks come before repairs. The
   * changes stay queued until they land.
   *
   * @param mostOf Tells how many targets one batch may have.
   */
  nextBatch(mostOf: (verb: Verb) => number): Batch {
    const blocks = this.#orders.size + this.#repairs.size;
    const isBlock = this.#releases.size === 0 || (blocks > 0 && this.#lastVerb === "release");
    const verb = isBlock ? "block" : "release";
    this.#lastVerb = verb;
    return this.#batch(verb, this.#firstTargets(verb, mostOf(verb)));
  }

  #batch(verb: Verb, targets: readonly string[]): Batch {
    return {
      verb,
      entries: targets.map((target) => ({ target, until: this.#desired.get(target) })),
    };
  }

  #firstTargets(verb: Verb, most: number): string[] {
    const targets: string[] = [];
    const queues = verb === "block" ? [this.#orders.keys(), this.#repairs] : [this.#releases];
    for (const queue of queues) {
      for (const target of queue) {
        if (targets.length >= most) return targets;
        targets.push(target);
      }
    }
    return targets;
  }

  /**
   * Makes a batch of all that is desired and was not rejected.
   *
   * @param most How many entries it may have.
   */
  allEntries(most: number): Entry[] {
    const entries: Entry[] = [];
    for (const [target, until] of this.#desired) {
      if (entries.length >= most) break;
      if (!this.#rejected.has(target)) entries.push({ target, until });
    }
    return entries;
  }

  /**
   * Notes that the command for a batch has begun.
   *
   * @param batch The batch; "all": everything is made anew.
   */
  depart(batch: Batch | "all"): void {
    this.#inFlight = batch === "all" ? "all" : new Set(batch.entries.map((entry) => entry.target));
  }

  /**
   * Notes what the command for a batch has done.
   *
   * @param batch The batch.
   * @param done How many of its entries were dealt with, from the first one on; `undefined` if the
   * command failed, and what it did is not known.
   * @returns The new blocks that are in the kernel now.
   */
  land({ verb, entries }: Batch, done: number | undefined): AppliedOrders {
    this.#inFlight = new Set();
    const isDone = done === undefined ? [] : entries.slice(0, done);
    for (const { target, until } of isDone) {
      if (verb === "release") this.#applied.delete(target);
      else this.#applied.set(target, until);
    }
    const orders = verb === "block" ? this.#ordersAmong(isDone) : [];
    if (done === undefined) this.#doubtEnds(entries.map((entry) => entry.target));
    if (verb === "block" && isDone.length > 0 && this.#changedInFlight.size === 0) {
      // The usual case in short: nothing was ordered meanwhile, and the rest stays queued.
      for (const queue of [this.#orders, this.#repairs]) {
        if (queue.size > 0) { for (const { target } of isDone) queue.delete(target); }
      }
    } else {
      for (const { target } of entries) this.#compare(target);
      this.#compareChanged();
    }
    return orders;
  }

  /**
   * Notes, in turns, what is applied after everything was made anew.
   *
   * @param entries What the command was given.
   * @param done How many of them are applied, from the first one on; no others are.
   * @returns The new blocks that are in the kernel now.
   */
  *landAll(entries: readonly Entry[], done: number): Generator<void, AppliedOrders> {
    this.#applied.clear();
    const isDone = entries.slice(0, done);
    for (const [i, { target, until }] of isDone.entries()) {
      this.#applied.set(target, until);
      if (i % COMPARED_PER_TURN === COMPARED_PER_TURN - 1) yield;
    }
    this.#inFlight = new Set();
    this.#releases.clear();
    const orders = this.#ordersAmong(isDone);
    for (const target of [...this.#desired.keys(), ...this.#rejected]) this.#compare(target);
    this.#compareChanged();
    return orders;
  }

  /** Notes that what was in flight has failed as a whole. What it did, the next listing tells. */
  abandon(): void {
    this.#doubtEnds(this.#inFlight === "all" ? this.#applied.keys() : this.#inFlight);
    this.#inFlight = new Set();
    this.#compareChanged();
  }

  #compareChanged(): void {
    for (const target of this.#changedInFlight) this.#compare(target);
    this.#changedInFlight.clear();
  }

  /** After a failure: whether the kernel has the old or the new ends of these is not known. */
  #doubtEnds(targets: Iterable<string>): void {
    if (!this.#isTimed) return;
    for (const target of targets) if (this.#applied.has(target)) this.#applied.set(target, UNKNOWN);
  }

  #ordersAmong(entries: Iterable<{ readonly target: string }>): AppliedOrders {
    if (this.#orders.size === 0) return [];
    const orders: [string, number][] = [];
    for (const { target } of entries) {
      const orderedAt = this.#orders.get(target);
      if (orderedAt !== undefined && this.#desired.has(target)) orders.push([target, orderedAt]);
    }
    return orders;
  }

  // Rejected changes

  /**
   * Sets a change aside that the firewall rejects; if it is not needed any more it is forgotten.
   *
   * @param target The target of the change.
   */
  reject(target: string): void {
    this.#orders.delete(target);
    this.#repairs.delete(target);
    this.#releases.delete(target);
    // The others get their turn before it.
    this.#rejected.delete(target);
    this.#rejected.add(target);
    this.#compare(target);
  }

  /** The rejected change that is to be tried next, alone; `undefined` if there is none. */
  rejectedBatch(): Batch | undefined {
    const target = this.#rejected.values().next().value;
    if (target === undefined) return undefined;
    return this.#batch(this.#desired.has(target) ? "block" : "release", [target]);
  }

  /** Queues all rejected changes again: what was wrong may be over for all of them. */
  acceptRejected(): void {
    const targets = [...this.#rejected];
    this.#rejected.clear();
    for (const target of targets) this.#compare(target);
  }

  // Entries that are there twice

  /**
   * Tells the first targets that have an entry too many.
   *
   * @param most How many.
   */
  firstDuplicates(most: number): string[] {
    return this.#duplicates.slice(0, most);
  }

  /**
   * Notes that entries too many are gone, or that nobody knows which are there.
   *
   * @param count How many, from the first one on.
   */
  forgetDuplicates(count = Infinity): void {
    this.#duplicates.splice(0, count);
  }

  // Listings

  /**
   * Takes over, in turns, what the kernel was seen to hold, and queues what differs from what is
   * desired.
   *
   * @param targets The targets that are there, each with the number of its entries.
   * @param now The time, by which entries with an end have expired in the kernel.
   * @param afterFailure Whether a command failed before: what is strange may be Ampere's own then.
   */
  *adopt(
    targets: Listing["targets"],
    now: number,
    afterFailure: boolean,
  ): Generator<void, Difference> {
    const before = this.#applied.size;
    const found: { target: string }[] = [];
    let lost = 0;
    let strange = 0;
    let visited = 0;
    this.#duplicates = [];
    for (const [target, until] of this.#applied) {
      if (++visited % COMPARED_PER_TURN === 0) yield;
      if (targets.has(target)) continue;
      const hasExpired = this.#isTimed && until !== undefined && until <= now;
      if (this.#desired.has(target) && !hasExpired) lost += 1;
      this.#applied.delete(target);
      this.#compare(target);
    }
    for (const [target, times] of targets) {
      if (++visited % COMPARED_PER_TURN === 0) yield;
      for (let i = 1; i < times; i++) this.#duplicates.push(target);
      if (this.#applied.has(target)) continue;
      if (!this.#desired.has(target) && !afterFailure) strange += 1;
      this.#applied.set(target, this.#isTimed ? UNKNOWN : this.#desired.get(target));
      found.push({ target });
    }
    const orders = this.#ordersAmong(found);
    for (const { target } of found) this.#compare(target);
    return { before, lost, strange, duplicates: this.#duplicates.length, orders };
  }
}
