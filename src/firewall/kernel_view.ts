/**
 * Looks what the kernel holds for one family, as cheaply as it can.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Action } from "../config/config.ts";
import type { Backend, Listing } from "./backend.ts";
import type { AppliedOrders, Changes } from "./changes.ts";
import type { Exceptions } from "./exceptions.ts";
import type { Failure } from "./failure.ts";
import type { FirewallLog, Trouble } from "./trouble.ts";
import type { Damage } from "./status.ts";
import { inTurns } from "./work_loop.ts";

/** A backend may answer a look by "the same as before" at most so many times in a row. */
export const SAME_IN_A_ROW = 9;

/** What a look has found. */
interface Seen {
  /** New blocks that were there all the same: a command that failed has made them. */
  readonly orders: AppliedOrders;
  /** Whether changes are enough; false: everything must be made anew; `undefined`: as before. */
  readonly isClean: boolean | undefined;
  /** What others have done to what was there. */
  readonly damage?: Damage;
}

/** Looks, and takes over what is there into the state of a family. */
export class KernelView {
  /** What is there must refuse by this action from the next look on. */
  newAction: Action | undefined;
  readonly #backend: Backend;
  readonly #log: FirewallLog;
  readonly #clock: Clock;
  readonly #changes: Changes;
  readonly #exceptions: Exceptions;
  readonly #trouble: Trouble;
  /** Stands for what the kernel held at the last look, if nothing was changed since. */
  #mark: string | undefined;
  #sameInARow = 0;
  #isKnown = false;
  /** It was told that this is gone; it was not made again since. */
  #saidMissing: string | undefined;
  #saidSilence = false;

  /**
   * Makes a view of what was never looked at.
   *
   * @param backend The firewall of the family.
   * @param options The log, the time.
   * @param state What takes over what is seen.
   */
  constructor(
    backend: Backend,
    options: { readonly log: FirewallLog; readonly clock: Clock },
    state: { changes: Changes; exceptions: Exceptions; trouble: Trouble },
  ) {
    this.#backend = backend;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#changes = state.changes;
    this.#exceptions = state.exceptions;
    this.#trouble = state.trouble;
  }

  /** What the kernel holds has been seen, or was made, once. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** Notes that all was made anew. */
  made(): void {
    this.#isKnown = true;
    this.#saidMissing = undefined;
  }

  /** Notes that a command is about to change the kernel: the next look must be a whole one. */
  invalidate(): void {
    this.#mark = undefined;
  }

  /** Looks, and takes over what is there; lets it refuse by the action that is wanted before. */
  async look(): Promise<Seen | { readonly failure: Failure }> {
    if (this.newAction !== undefined) {
      const action = this.newAction;
      this.newAction = undefined;
      const failure = await this.#refuseBy(action);
      if (failure !== undefined) return { failure };
    }
    let answer = await this.#backend.list(
      this.#sameInARow < SAME_IN_A_ROW ? this.#mark : undefined,
    );
    if (answer.state === "listed" && answer.listing.isOtherAction) {
      const failure = await this.#refuseBy();
      if (failure !== undefined) return { failure };
      answer = await this.#backend.list();
    }
    switch (answer.state) {
      case "failed":
        return { failure: answer.failure };
      case "silent":
        return this.#believe();
      case "same":
        this.#sameInARow += 1;
        return { orders: [], isClean: undefined };
      case "listed":
        this.#sameInARow = 0;
        return await this.#adopt(answer.listing);
    }
  }

  async #refuseBy(action?: Action): Promise<Failure | undefined> {
    this.invalidate();
    const failure = await this.#backend.refuseBy?.(action);
    // Then all is made anew, or what the look finds strange.
    return failure?.kind === "refused" ? undefined : failure;
  }

  /** The program says nothing: it is not a real one, and what was sent has to be believed. */
  #believe(): Seen {
    if (!this.#saidSilence) {
      this.#saidSilence = true;
      this.#log.warn(
        `IPv${this.#backend.family}: the firewall's programs list nothing, not even the chain; ` +
          "the rules cannot be verified",
      );
    }
    return { orders: [], isClean: this.isKnown ? undefined : false };
  }

  async #adopt(listing: Listing): Promise<Seen> {
    const isFirst = !this.isKnown;
    const afterFailure = this.#trouble.inARow > 0;
    this.#isKnown = true;
    const exceptions = this.#exceptions.adopt(listing.exceptions ?? []);
    const difference = await inTurns(
      this.#changes.adopt(listing.targets, this.#clock.now(), afterFailure),
      this.#clock,
    );
    const isClean = listing.whole && listing.strangers.length === 0;
    this.#mark = isClean && difference.duplicates === 0 ? listing.mark : undefined;
    // After a failed command exceptions may be the work of Ampere itself.
    const isSaid = listing.missing !== undefined && listing.missing === this.#saidMissing;
    this.#saidMissing = listing.missing;
    if (!isSaid || difference.lost > 0) {
      this.#trouble.repairs(listing, difference, afterFailure ? 0 : exceptions, isFirst);
    }
    const seen = { orders: difference.orders, isClean };
    const { lost, before } = difference;
    if (isFirst || (listing.whole && listing.strangers.length === 0 && lost === 0)) return seen;
    const keepsSome = listing.whole && (lost < before || before === 0);
    const damage: Damage = {
      family: this.#backend.family,
      lost,
      before,
      inForce: keepsSome ? "partly" : "no",
      message: listing.missing ??
        (!listing.whole
          ? "sets or rules were missing or wrong"
          : lost > 0
          ? `${lost} of ${before} blocks were missing`
          : `of its rules ${listing.strangers.length} were not Ampere's`),
    };
    return { ...seen, damage };
  }
}
