/**
 * What the daemon has counted since its start.
 *
 * @module
 */

import type { Insider } from "../penalties/insiders.ts";
import type { Tampered } from "../ami/event_reader.ts";
import { EVENT_TYPES } from "../ami/event.ts";
import { PlaceCounts } from "./places.ts";

/** Upper bounds of the histogram from an event's arrival to its rule in the kernel, in seconds. */
export const LATENCY_BOUNDS = [
  0.001,
  0.002,
  0.004,
  0.008,
  0.016,
  0.032,
  0.064,
  0.128,
  0.256,
  0.512,
  1,
  5,
] as const;

/** A histogram of durations. */
export class Histogram {
  /**
   * How many durations were at most the bound of the same index; the last element counts those
   * beyond.
   */
  readonly counts: number[] = new Array(LATENCY_BOUNDS.length + 1).fill(0);
  /** Sum of all durations, in seconds. */
  sum = 0;
  count = 0;

  /** @param seconds the duration */
  observe(seconds: number): void {
    const index = LATENCY_BOUNDS.findIndex((bound) => seconds <= bound);
    this.counts[index < 0 ? LATENCY_BOUNDS.length : index]!++;
    this.sum += seconds;
    this.count++;
  }
}

/** A blocked host in whose way the firewall was not. */
interface Passer {
  /** What is blocked: the host, or a network that holds it. */
  readonly target: string;
  /** When it last reached Asterisk, in milliseconds since 1970. */
  readonly at: number;
}

/** Counters; they only grow. */
export class Counters {
  readonly #events: number[] = EVENT_TYPES.map(() => 0);
  /** Messages that were not obeyed. */
  readonly tampered = new Map<Tampered, number>();
  /** Hosts that went too far, those included that were blocked already. */
  offences = 0;
  /** Attempts that still reached Asterisk after their host was blocked. */
  lateAttempts = 0;
  /** Who last reached Asterisk though they were blocked for a while. */
  passer: Passer | undefined;
  /** Failed attempts of hosts that are never blocked, by why they are not. */
  readonly exemptFailures = new Map<string, number>();
  /** The hosts that were last told of as insiders; times in milliseconds since 1970. */
  readonly insiders: Insider[] = [];
  /** Blocks made by Ampere. */
  added = 0;
  /** Networks that were blocked for their hosts. */
  networksAdded = 0;
  /** Where the blocks made by Ampere are from, if that is known. */
  readonly places = new PlaceCounts();
  /** Blocks that ended or were removed. */
  removed = 0;
  /** Times the login to AMI succeeded. */
  logins = 0;
  /** Times the connection to AMI ended. */
  losses = 0;
  /** From the decision to the rule in the kernel. */
  readonly latency = new Histogram();

  /**
   * Counts a security event.
   *
   * @param type Its kind and service, an index of {@linkcode EVENT_TYPES}.
   */
  event(type: number): void {
    this.#events[type]!++;
  }

  /** Security events by `KIND SERVICE`. */
  get events(): ReadonlyMap<string, number> {
    const events = new Map<string, number>();
    EVENT_TYPES.forEach(({ kind, service }, type) => {
      const count = this.#events[type]!;
      if (count > 0) events.set(`${kind} ${service}`, count);
    });
    return events;
  }

  /** All security events. */
  get eventsTotal(): number {
    return this.#events.reduce((sum, count) => sum + count, 0);
  }

  /** All messages that were not obeyed. */
  get tamperedTotal(): number {
    let sum = 0;
    for (const count of this.tampered.values()) sum += count;
    return sum;
  }
}
