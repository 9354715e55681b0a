/**
 * The way of the data: event → charge → offence → block → firewall.
 *
 * Whatever source of events there is hands them to {@linkcode Pipeline.onEvent}, and says with
 * {@linkcode Pipeline.onBatch} that all that came together was handed on. Blocks that come from
 * elsewhere enter at {@linkcode Pipeline.block}.
 *
 * @module
 */

import { EVENT_TYPES, type SecurityEvent } from "../ami/event.ts";
import { hasEnded, type NewBlock } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import type { Firewall } from "../firewall/firewall.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import { blockOf } from "../penalties/policy.ts";
import type { Offence } from "../penalties/offence.ts";
import { isSightReason } from "../penalties/reason.ts";
import type { Counters } from "../telemetry/counters.ts";
import type { Announcements } from "./announcements.ts";
import type { Exceptions } from "./exceptions.ts";
import type { Force } from "./force.ts";
import type { Neighbourhoods } from "./neighbourhoods.ts";

/** Most attempts that are charged in one turn of the event loop; takes about 2 ms. */
const LAPSES_PER_TURN = 2_000;

/** By the type of an event: whether somebody has logged in. */
const LOGINS = EVENT_TYPES.map(({ kind }) => kind === "SuccessfulAuth");

/** What a {@linkcode Pipeline} joins. */
interface PipelineParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly firewall: Firewall;
  readonly exceptions: Exceptions;
  readonly force: Force;
  readonly neighbourhoods: Neighbourhoods;
  /** Hears of logins with a password that are believed. */
  readonly onLogin?: (event: SecurityEvent) => void;
  readonly announcements: Announcements;
  readonly counters: Counters;
  /** Monotonic time, for intervals. */
  readonly clock: Clock;
  /** Time of day, in milliseconds since 1970, for what is stored. */
  readonly wallClock: () => number;
  /** The configuration in force. */
  readonly config: () => Config;
}

/** From events to blocks in force. */
export class Pipeline {
  readonly #parts: PipelineParts;
  /** Clock value for the events of one batch: asking the clock costs as much as taking an event. */
  #readAt: number | undefined;
  /** Attempts are being charged in several turns of the event loop. */
  #advancing = false;

  /**
   * Nothing has come yet.
   *
   * @param parts What it joins.
   */
  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** A security event: charges its host. What is doubled is charged, but not believed. */
  readonly onEvent = (event: SecurityEvent, verdict: "security" | "doubled"): void => {
    const { counters, force, clock } = this.#parts;
    counters.event(event.type);
    // Of the rest a stranger may have written some.
    if (verdict === "security") force.take(event);
    this.#charge(event, this.#readAt ??= clock.now(), verdict === "security");
  };

  /** The same for what a line of Asterisk's log tells; AMI's events are counted alone. */
  readonly onLine = (event: SecurityEvent, verdict: "security" | "doubled"): void => {
    this.#charge(event, this.#parts.clock.now(), verdict === "security");
  };

  #charge(event: SecurityEvent, now: number, isBelieved: boolean): void {
    const { table, announcements, exceptions, onLogin } = this.#parts;
    table.record(event, now, isBelieved);
    if (exceptions.hasSoft) exceptions.failed(event);
    // AMI lets nobody in without a secret, and does not say so.
    if (LOGINS[event.type]! && isBelieved && (event.usingPassword || event.service === "AMI")) {
      onLogin?.(event);
    }
    if (table.explain) announcements.charged(event, table.lastCharge);
  }

  /**
   * All that came together has been handed on: blocks those who have gone too far.
   *
   * @param late It was written a while ago: who is blocked may have been so since.
   */
  readonly onBatch = (late = false): void => {
    this.#readAt = undefined;
    this.#blockOffenders(late);
    this.#parts.neighbourhoods.settle();
  };

  /**
   * Charges the attempts whose patience has run out; who reads the socket gets turns in between.
   *
   * @param now Clock value, in milliseconds.
   */
  advance(now: number): void {
    if (!this.#advancing) this.#advanceSome(now);
  }

  /** Ends what is done in several turns. */
  close(): void {
    this.#advancing = false;
    this.#blockOffenders();
    this.#parts.announcements.tellNow();
  }

  /**
   * Puts blocks into force: one transaction, then one order to the firewall.
   *
   * @param blocks What to block.
   * @param now Time of day, in milliseconds since 1970.
   */
  block(blocks: readonly NewBlock[], now: number): void {
    const { list, exceptions, firewall, counters } = this.#parts;
    const isStored = list.add(blocks, now);
    exceptions.add(blocks);
    firewall.block(blocks);
    counters.added += blocks.length;
    this.#parts.announcements.blocked(blocks, isStored, now);
  }

  #advanceSome(now: number): void {
    this.#advancing = !this.#parts.table.advance(now, LAPSES_PER_TURN);
    this.#blockOffenders();
    if (!this.#advancing) return;
    this.#parts.clock.soon(() => {
      if (this.#advancing) this.#advanceSome(now);
    });
  }

  /** From offences to blocks. */
  #blockOffenders(late = false): void {
    const offences = this.#parts.table.takeOffences();
    if (offences.length === 0) return;
    const { list, counters, exceptions } = this.#parts;
    const now = this.#parts.wallClock();
    const fresh = new Map<string, readonly [Offence, NewBlock]>();
    const timesOf = this.#timesOf();
    for (const offence of offences) {
      counters.offences++;
      const isGuess = offence.grounds !== "unanswered";
      const before = fresh.get(offence.target);
      if (before !== undefined && (offence.renews || isGuess && isSightReason(before[1].reason))) {
        this.#blockAll(fresh, now);
      }
      const known = list.get(offence.target);
      const isBlocked = known !== undefined && !hasEnded(known, now);
      // What came behind the first was under way.
      if (fresh.has(offence.target)) continue;
      // Who was blocked for where they are, and had a way back, has used it to guess.
      const hadWayBack = exceptions.hasWayBack(offence.target);
      const renews = offence.renews || isGuess && exceptions.harden(offence.target);
      const block = isBlocked && !renews
        ? undefined
        : blockOf(renews ? { ...offence, renews } : offence, this.#parts.config(), timesOf, now);
      if (
        block !== undefined && (!isBlocked || (block.until ?? Infinity) > (known.until ?? Infinity))
      ) {
        fresh.set(offence.target, [offence, block]);
      } else if (known !== undefined && !late && !hadWayBack) {
        this.#parts.announcements.stillArrives(known, now);
      }
    }
    this.#blockAll(fresh, now);
  }

  /** Blocks offenders, and the networks that this makes one too many for. */
  #blockAll(fresh: Map<string, readonly [Offence, NewBlock]>, now: number): void {
    if (fresh.size === 0) return;
    const networks = this.#parts.neighbourhoods.add(fresh, this.#timesOf(), now);
    this.block([...[...fresh.values()].map(([, block]) => block), ...networks], now);
    this.#parts.announcements.offended([...fresh.values()].map(([offence]) => offence));
    fresh.clear();
  }

  /** Says how often a target was blocked before; most lists know of nobody who is not blocked. */
  #timesOf(): (target: string) => number {
    const { list } = this.#parts;
    let anyPast: boolean | undefined;
    return (target) => {
      anyPast ??= list.anyPast();
      return anyPast ? list.timesOf(target) : list.get(target)?.times ?? 0;
    };
  }
}
