/**
 * An office: phones behind one address that register with the rules of Ampere between them and
 * Asterisk. Time is that of the events; nothing waits.
 */

import { EventReader } from "../../src/ami/event_reader.ts";
import { AddressSet } from "../../src/address/address_set.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Simulation } from "../../src/commands/replay/simulation.ts";
import {
  BANNER,
  bytesOf,
  challengeSent,
  remoteOf,
  successfulAuth,
  unique,
  wrongAnswer,
} from "./asterisk_events.ts";

/**
 * When a request over UDP is sent again, in milliseconds (RFC 3261, section 17.1.2.2, Timers E and
 * F).
 */
const RETRANSMISSIONS = [
  0,
  500,
  1_500,
  3_500,
  7_500,
  11_500,
  15_500,
  19_500,
  23_500,
  27_500,
  31_500,
];

/** From a challenge to the answer to it, in milliseconds. */
const ROUND_TRIP_MS = 40;

/** What one of the office does. */
export interface Habit {
  /** Name of its account. */
  readonly account: string;
  /** First request, in milliseconds after the beginning. */
  readonly start: number;
  /** From one try to the next while it does not work, in milliseconds. */
  readonly retry: number;
  /** From one registration to the next, in milliseconds. */
  readonly refresh: number;
  /** Answers to one challenge, all wrong; 0: it knows its password. */
  readonly wrong: number;
  /** It keeps its Call-ID (RFC 3261, section 10.2.4). */
  readonly keepsSession?: boolean;
  /**
   * It comes by TLS: where its address is blocked it is refused at once, and repeats nothing before
   * its next try.
   */
  readonly connects?: boolean;
}

/** How a phone fared. */
interface Fate {
  readonly account: string;
  logins: number;
  /** Longest time from wanting to register to being registered, in milliseconds. */
  longestOut: number;
}

interface Step {
  readonly at: number;
  readonly run: (at: number) => void;
}

/** One address, and all that happens there. */
export class Office {
  readonly simulation: Simulation;
  readonly fates: Fate[] = [];
  /** Wrong answers that Asterisk judged. */
  judged = 0;
  readonly #address: string;
  readonly #steps: Step[] = [];
  readonly #reader: EventReader;
  #at = 0;
  #passed = false;
  readonly #begin = Date.parse("2026-11-22T08:00:00Z");

  constructor(address = "198.51.100.10", config: Partial<Config> = {}) {
    this.#address = address;
    this.simulation = new Simulation({ ...DEFAULT_CONFIG, ...config }, new AddressSet([]));
    this.#reader = new EventReader({
      banner: () => {},
      response: () => {},
      tampered: () => {},
      event: (event, verdict) => {
        this.#passed = this.simulation.take(
          event,
          this.#begin + this.#at,
          verdict === "security",
        );
      },
    });
    this.#reader.push(bytesOf(BANNER));
  }

  /** Adds one who acts by a habit until the end. */
  add(habit: Habit): this {
    const fate: Fate = { account: habit.account, logins: 0, longestOut: 0 };
    if (habit.wrong === 0) this.fates.push(fate);
    let session = unique();
    let wanted = habit.start;
    const attempt = (at: number) => {
      if (!habit.keepsSession) session = unique();
      let done = false;
      const remote = remoteOf(this.#address, habit.connects === true ? "TLS" : "UDP");
      const fields = { account: habit.account, session: `call-${session}`, remote };
      const packets = habit.connects === true ? [0] : RETRANSMISSIONS;
      packets.forEach((delay, i) =>
        this.#plan(at + delay, (now) => {
          if (done || !this.#print(challengeSent(this.#address, fields), now)) {
            if (!done && i === packets.length - 1) {
              const least = habit.connects === true ? habit.retry : Math.max(habit.retry, 32_000);
              this.#plan(at + least, attempt);
            }
            return;
          }
          done = true;
          this.#plan(now + ROUND_TRIP_MS, (later) => {
            if (habit.wrong === 0) {
              this.#print(successfulAuth(this.#address, fields), later);
              fate.logins++;
              fate.longestOut = Math.max(fate.longestOut, later - wanted);
              wanted = later + habit.refresh;
              this.#plan(wanted, attempt);
              return;
            }
            for (let i = 0; i < habit.wrong; i++) {
              if (this.#print(wrongAnswer(this.#address, fields), later + i / 2)) this.judged++;
            }
            this.#plan(at + habit.retry, attempt);
          });
        })
      );
    };
    this.#plan(habit.start, attempt);
    return this;
  }

  /**
   * Adds a guesser: a wrong answer each so many milliseconds, in one session for each of their
   * accounts or in a new one each time.
   */
  addGuesser(every: number, oneSession: boolean, accounts = 1): this {
    const session = unique();
    let guesses = 0;
    const guess = (at: number) => {
      const account = `${100 + guesses++ % accounts}`;
      const fields = { account, session: `guess-${oneSession ? session + account : unique()}` };
      if (this.#print(wrongAnswer(this.#address, fields), at)) this.judged++;
      this.#plan(at + every, guess);
    };
    this.#plan(1_000, guess);
    return this;
  }

  /** Adds a caller that is never answered: pings without credentials. */
  addPinger(every: number): this {
    const ping = (at: number) => {
      this.#print(challengeSent(this.#address), at);
      this.#plan(at + every, ping);
    };
    this.#plan(0, ping);
    return this;
  }

  /** Lives for so long, in milliseconds. */
  run(ms: number): this {
    while (this.#steps.length > 0 && this.#steps[0]!.at <= ms) {
      const step = this.#pop();
      this.#at = Math.max(this.#at, step.at);
      step.run(step.at);
    }
    return this;
  }

  /** The longest that anybody who knows their password was out, in milliseconds. */
  get longestOut(): number {
    return Math.max(...this.fates.map((fate) => fate.longestOut));
  }

  /** Prints an event unless the address is blocked; whether it arrived. */
  #print(text: string, at: number): boolean {
    this.#at = Math.max(this.#at, at);
    this.#passed = false;
    this.#reader.push(bytesOf(text));
    this.#reader.flushWithheld();
    return this.#passed;
  }

  // A heap, the next step first.

  #plan(at: number, run: (at: number) => void): void {
    const steps = this.#steps;
    steps.push({ at, run });
    for (let i = steps.length - 1; i > 0;) {
      const parent = (i - 1) >> 1;
      if (steps[parent]!.at <= steps[i]!.at) break;
      [steps[parent], steps[i]] = [steps[i]!, steps[parent]!];
      i = parent;
    }
  }

  #pop(): Step {
    const steps = this.#steps;
    const first = steps[0]!;
    const last = steps.pop()!;
    if (steps.length === 0) return first;
    steps[0] = last;
    for (let i = 0;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < steps.length && steps[child]!.at < steps[least]!.at) least = child;
      }
      if (least === i) return first;
      [steps[least], steps[i]] = [steps[i]!, steps[least]!];
      i = least;
    }
  }
}

/** So many phones that know their password and start within a time, in milliseconds. */
export function phones(count: number, within: number, from = 0): Habit[] {
  return Array.from({ length: count }, (_, i) => ({
    account: `${1000 + i}`,
    start: from + (i * within) / count,
    retry: 30_000 + (i % 7) * 5_000,
    refresh: 300_000 + (i % 11) * 30_000,
    wrong: 0,
  }));
}
