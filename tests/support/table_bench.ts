/**
 * A penalty table that is fed with texts as Asterisk prints them, at times of the test's choice.
 */

import { AddressSet } from "../../src/address/address_set.ts";
import { EventReader } from "../../src/ami/event_reader.ts";
import { HOSTS_MAX } from "../../src/penalties/hosts.ts";
import type { Offence } from "../../src/penalties/offence.ts";
import { PenaltyTable } from "../../src/penalties/penalty_table.ts";
import type { PenaltyPolicy } from "../../src/penalties/policy.ts";
import { BANNER, bytesOf, remoteOf, wrongAnswer } from "./asterisk_events.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const DAY = 86_400_000;

export const POLICY: PenaltyPolicy = {
  loyalty: 3,
  patienceMs: 5 * SECOND,
  creditMs: 7 * DAY,
  forgetMs: DAY,
  ipv6Prefix: 128,
  exempt: new AddressSet([]),
};

/** Where attackers come from, if nothing else is said. */
export const HOST = "203.0.113.5";

export class TableBench {
  readonly #offences: Offence[] = [];
  readonly table: PenaltyTable;
  now = 1_000_000;
  readonly #reader: EventReader;

  constructor(policy: Partial<PenaltyPolicy> = {}) {
    this.table = new PenaltyTable({ ...POLICY, ...policy });
    this.#reader = new EventReader({
      banner: () => {},
      response: () => {},
      event: (event, verdict) => this.table.record(event, this.now, verdict === "security"),
      tampered: () => {},
    });
    this.#reader.push(bytesOf(BANNER));
  }

  /** All offences so far. */
  get offences(): Offence[] {
    this.#offences.push(...this.table.takeOffences());
    return this.#offences;
  }

  /** Takes events. */
  take(...texts: string[]): this {
    for (const text of texts) {
      this.#reader.push(bytesOf(text));
      this.#reader.flushWithheld();
    }
    return this;
  }

  /** Lets time pass. */
  after(ms: number): this {
    this.now += ms;
    this.table.advance(this.now);
    return this;
  }

  /** The points of a host. */
  points(host = HOST): number {
    return this.table.worst(HOSTS_MAX, this.now).find((h) => h.host === host)?.points ?? 0;
  }

  /** Who went too far, in order. */
  get blocked(): string[] {
    return this.offences.map((offence) => offence.target);
  }
}

/** A wrong answer of PJSIP with these texts in it. */
export function answer(
  session: string,
  challenge: string,
  response: string,
  transport = "UDP",
): string {
  return wrongAnswer(HOST, {
    session,
    remote: remoteOf(HOST, transport),
    tail: [["Challenge", challenge], ["Response", response], ["ExpectedResponse", ""]],
  });
}
