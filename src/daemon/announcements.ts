/**
 * What is told of charges and blocks: to the log, to subscribers, and to what keeps evidence. A
 * block is told of when it is on its way to the kernel, which nobody may delay for a line; other
 * PBXs, which wait for it as the kernel does, hear of it first.
 *
 * @module
 */

import type { SecurityEvent } from "../ami/event.ts";
import type { Block, NewBlock } from "../blocks/block.ts";
import type { Clock } from "../clock.ts";
import type { Firewall } from "../firewall/firewall.ts";
import type { Log } from "../log.ts";
import type { Offence } from "../penalties/offence.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import { describeDuration } from "../penalties/reason.ts";
import { describePlace } from "../places/place.ts";
import type { Counters } from "../telemetry/counters.ts";
import type { JudgedPlace, PlacesSource } from "../telemetry/places.ts";
import { formatLocalTime } from "../text/time.ts";
import type { Force } from "./force.ts";
import type { Notices } from "./notices.ts";

/**
 * A host that is blocked this long and still reaches Asterisk tells that the firewall is not in its
 * way, in milliseconds.
 */
const STILL_ARRIVES_MS = 10_000;

/**
 * How long what is told of a block waits, in milliseconds. A program that is fed may have to wait
 * for the processor of the one that feeds it, even when another one has nothing to do (seen on
 * Linux 6.18), and to write a log line takes a tenth of a millisecond.
 */
const AFTERWARDS_MS = 1;

/** Whom {@linkcode Announcements} tell, and what they ask. */
interface AnnouncementsParts {
  readonly firewall: Pick<Firewall, "verify">;
  readonly force: Pick<Force, "remarkOn">;
  readonly notices: Notices;
  /** Knows where hosts are. */
  readonly places?: PlacesSource;
  /** Counts from where they are, and keeps who passed all the same. */
  readonly counters?: Pick<Counters, "places" | "passer">;
  readonly log: Log;
  readonly clock: Clock;
  /** Takes blocks at once, for those who put them into force, too; must not wait and not throw. */
  readonly onBlocks?: (blocks: readonly NewBlock[]) => void;
  /** Takes what led to blocks, when they are on their way; must not wait and not throw. */
  readonly onBlocked?: (offences: readonly Offence[]) => void;
  /** The firewall and the list only pretend. */
  readonly dryRun: boolean;
}

/** Tells of charges and blocks. */
export class Announcements {
  readonly #parts: AnnouncementsParts;
  #saidStillArrives = 0;
  /** What is told when the firewall's program has had the processor. */
  readonly #waiting: (() => void)[] = [];

  /**
   * Nothing was told yet.
   *
   * @param parts Whom they tell.
   */
  constructor(parts: AnnouncementsParts) {
    this.#parts = parts;
  }

  /**
   * Tells of one event what it cost.
   *
   * @param event The event.
   * @param charge What the penalty table says; `undefined`: it did not look at it.
   */
  charged(event: SecurityEvent, charge: PenaltyTable["lastCharge"]): void {
    if (charge === undefined) return;
    const points = charge.after === charge.before
      ? `${charge.after}`
      : `${charge.before} -> ${charge.after}`;
    this.#parts.log.debug(
      `${event.kind} ${event.service}: ${charge.what}; points ${points} of ${charge.limit}`,
    );
  }

  /**
   * Tells of blocks that are on their way to the kernel.
   *
   * @param blocks The blocks.
   * @param isStored Whether they are in the database.
   * @param now Time of day, in milliseconds since 1970.
   */
  blocked(blocks: readonly NewBlock[], isStored: boolean, now: number): void {
    this.#parts.onBlocks?.(blocks);
    this.#afterwards(() => this.#tell(blocks, isStored, now));
  }

  /**
   * Hands on what led to blocks that are on their way.
   *
   * @param offences What led to them.
   */
  offended(offences: readonly Offence[]): void {
    const { onBlocked } = this.#parts;
    if (onBlocked !== undefined) this.#afterwards(() => onBlocked(offences));
  }

  /**
   * A blocked host went on: that was under way, or the firewall is not in its way.
   *
   * @param block Its block.
   * @param now Time of day, in milliseconds since 1970.
   */
  stillArrives(block: Block, now: number): void {
    if (now - block.since < STILL_ARRIVES_MS || now - this.#saidStillArrives < STILL_ARRIVES_MS) {
      return;
    }
    if (this.#parts.counters !== undefined) {
      this.#parts.counters.passer = { target: block.target, at: now };
    }
    this.#saidStillArrives = now;
    const remark = this.#parts.force.remarkOn(block.target);
    this.#parts.log.limited(
      "still arrives",
      "warn",
      remark === ""
        ? `${block.target} is blocked and still reaches Asterisk. Looking at the firewall; if this goes on, its ` +
          "packets come by a way that this machine's rules do not show: ampere --check tells what is known"
        : `${block.target} is blocked and still reaches Asterisk${remark}: ampere --check tells what mends it`,
    );
    void this.#parts.firewall.verify();
  }

  /** Tells what waits. */
  readonly tellNow = (): void => {
    for (const run of this.#waiting.splice(0)) run();
  };

  #afterwards(run: () => void): void {
    this.#waiting.push(run);
    if (this.#waiting.length === 1) this.#parts.clock.after(AFTERWARDS_MS, this.tellNow);
  }

  #tell(blocks: readonly NewBlock[], isStored: boolean, now: number): void {
    const { force, notices, log, dryRun, places, counters } = this.#parts;
    const told = blocks.map((block) => notices.blocked(block, now));
    const lines = blocks.map((block) => {
      const until = block.until === undefined
        ? "for ever"
        : `until ${formatLocalTime(block.until)} (${describeDuration((block.until - now) / 1000)})`;
      const place = places?.of(block.target);
      if (place !== undefined) counters?.places.add(place);
      return `${
        dryRun ? "dry run: would block" : "blocked"
      } ${block.target} ${until}: ${block.reason}${place === undefined ? "" : remarkOn(place)}${
        isStored ? "" : " (not yet in the database)"
      }${force.remarkOn(block.target)}`;
    });
    log.infoAll(lines, told);
  }
}

/** Where a host is, behind why it is blocked. */
function remarkOn(place: JudgedPlace): string {
  const words = describePlace(place);
  return words === "" ? "" : `; from ${words}${place.away ? " (away)" : ""}`;
}
