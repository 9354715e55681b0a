/**
 * The failures of one family's firewall, counted and told: each kind once until it works again.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import type { Family } from "../address/address.ts";
import type { Clock } from "../clock.ts";
import type { Difference } from "./changes.ts";
import { EXCEPTIONS_MAX, type Listing } from "./backend.ts";
import { type Failure, isLasting } from "./failure.ts";

/**
 * How many targets may be rejected one by one, without a success in between, before it is likely
 * that the cause is not in the targets; from then on there is a delay after each.
 */
export const REJECTED_IN_A_ROW = 3;

/** Where the firewall tells what happened, to machines by fields; `Log` is one. */
export interface FirewallLog {
  /** Tells detail that only matters when searching for a fault. */
  debug(message: string): void;
  /** Tells something that happened as it should. */
  info(message: string, fields?: object): void;
  /** Tells something that a person should know. */
  warn(message: string, fields?: object): void;
  /** Tells something that does not work. */
  error(message: string, fields?: object): void;
}

/** Counts the failures of a family and tells them. */
export class Trouble {
  /** How many commands failed. */
  failures = 0;
  /** How many failed since the last one that did what it should. */
  inARow = 0;
  /** The last failure, even if it has passed. */
  lastFailure: Failure | undefined;
  readonly #family: Family;
  readonly #log: FirewallLog;
  readonly #clock: Clock;
  /** What was told as repaired while commands fail: it is told again only if it is another. */
  #saidRepair = "";
  /** The present trouble: since when, and which kinds were told. */
  #present: { since: number; failure: Failure; told: Set<string> } | undefined;

  /**
   * Makes the state of a family that has no trouble.
   *
   * @param family Which addresses.
   * @param log Takes the messages.
   * @param clock The time.
   */
  constructor(family: Family, log: FirewallLog, clock: Clock) {
    this.#family = family;
    this.#log = log;
    this.#clock = clock;
  }

  /** The failure that keeps the firewall from working at present; `undefined` if it works. */
  get failure(): Failure | undefined {
    return this.#present?.failure;
  }

  /** Whether a person must do something before the firewall can work. */
  get isLasting(): boolean {
    return this.failure !== undefined && isLasting(this.failure);
  }

  /** Whether what holds the entries was last seen missing: none of them is applied then. */
  get isGone(): boolean {
    return this.failure?.kind === "no-chain" || this.failure?.kind === "no-set";
  }

  /**
   * Counts and tells a failure.
   *
   * @param failure The failure.
   * @param isQuiet Whether it is only told as detail, because it is dealt with at once.
   */
  failed(failure: Failure, isQuiet: boolean): void {
    this.failures += 1;
    this.inARow += 1;
    this.lastFailure = failure;
    this.#present ??= { since: this.#clock.now(), failure, told: new Set() };
    this.#present.failure = failure;
    this.#log.debug(`${failure.message} (failure ${this.inARow} in a row)`);
    const { told } = this.#present;
    if (isQuiet || failure.kind === "aborted" || told.has(failure.kind)) return;
    told.add(failure.kind);
    const text = isLasting(failure)
      ? `${failure.message}: blocks are not in force. They stay in the list and come into force as ` +
        `soon as the firewall works${fixOf(failure.advice)}`
      : `${failure.message}. Its blocks stay in the list and are applied as soon as the ` +
        `firewall works${fixOf(failure.advice)}`;
    if (this.#family === 4) this.#log.error(text);
    else this.#log.warn(text);
  }

  /** Notes that the firewall works. */
  recovered(): void {
    this.inARow = 0;
    this.#saidRepair = "";
    const trouble = this.#present;
    this.#present = undefined;
    if (trouble === undefined || trouble.told.size === 0) return;
    const seconds = ((this.#clock.now() - trouble.since) / 1_000).toFixed(1);
    this.#log.info(`IPv${this.#family}: the firewall works again, after ${seconds} s`);
  }

  /** Tells of addresses that are not let through the blocked networks that hold them. */
  leftOut(count: number): void {
    this.#log.error(
      `IPv${this.#family}: of those that must pass ${count} are not let through the blocked ` +
        `networks that hold them: no more than ${EXCEPTIONS_MAX} can be. Fix: join them to ` +
        "networks in trust, or end these blocks (echo NETWORK | ampere -d)",
    );
  }

  /**
   * Tells that a change of one target was rejected.
   *
   * @param target The target.
   * @param verb What was to become of it.
   * @param failure Why it was rejected.
   * @param inARow How many were rejected without a success in between, this one included.
   */
  rejected(target: string, verb: "block" | "release", failure: Failure, inARow: number): void {
    const text = failure.message + fixOf(failure.advice);
    if (inARow <= REJECTED_IN_A_ROW) {
      const what = verb === "block" ? "blocked" : "released";
      this.#log.error(
        `${target} could not be ${what}, and is tried again from time to time: ${text}`,
      );
    } else if (inARow === REJECTED_IN_A_ROW + 1) {
      this.#log.error(
        `IPv${this.#family}: the firewall refuses one change after the other: ${text}`,
      );
    }
  }

  /**
   * Tells in one line how the chain differed from what it should be.
   *
   * @param listing What the kernel holds.
   * @param difference How its entries differ.
   * @param exceptions How many exceptions were missing or too many.
   * @param isFirst Whether it is the first look, so that nobody else has changed anything.
   */
  repairs(listing: Listing, difference: Difference, exceptions: number, isFirst: boolean): void {
    const { lost, before, strange, duplicates } = difference;
    const { strangers } = listing;
    const parts: string[] = [];
    if (lost > 0) {
      const cause = listing.missing ??
        (lost === before
          ? "was the chain flushed, or the firewall reloaded?"
          : "were they removed by hand?");
      parts.push(`${lost} of ${before} blocks were missing (${cause})`);
    }
    if (!listing.whole && !isFirst && (lost === 0 || listing.missing === undefined)) {
      parts.push(
        listing.missing ??
          "the set of the targets, or the rule that looks at it, was missing or wrong",
      );
    }
    if (strangers.length > 0) {
      parts.push(`${strangers.length} of the rules were not Ampere's ("${strangers[0]}")`);
    }
    if (strange > 0) parts.push(`${strange} targets were blocked that are not in the list`);
    if (exceptions > 0) {
      parts.push(`${exceptions} exceptions of blocked networks were missing or too many`);
    }
    if (duplicates > 0) parts.push(`${duplicates} rules were there twice`);
    if (parts.length === 0) return;
    const text = parts.join("; ");
    if (this.inARow > 0 && text === this.#saidRepair) return;
    this.#saidRepair = text;
    if (isFirst) {
      this.#log.info(`IPv${this.#family}: the chain is made equal to the list: ${text}`);
    } else this.#log.warn(`IPv${this.#family}: others changed the chain, it is repaired: ${text}`);
  }
}
