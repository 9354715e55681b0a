/**
 * The attempts of the hosts: what one session has brought, and whether it still waits for an
 * answer.
 *
 * @module
 */

import { EVENT_TYPES, type SecurityEvent, type Service, type Transport } from "../ami/event.ts";
import { ATTEMPTS, FIRST_ATTEMPT, LAST_ATTEMPT, NONE, WAITING } from "./hosts.ts";
import { RecordList } from "./record_list.ts";
import { Records } from "./records.ts";

/**
 * Most attempts of a host that are remembered; the oldest is charged when there are more. A call
 * centre of 200 phones behind one address sends 200 requests before the first answer when its power
 * comes back.
 */
export const ATTEMPTS_MAX = 256;

/**
 * Most attempts of all hosts that wait for an answer; the oldest is charged when there are more.
 */
export const WAITING_MAX = 262_144;

/** Points of one failed attempt. */
export const ATTEMPT_POINTS = 5;

/**
 * Points of an unanswered challenge when the one before it was left unanswered too (points % 5 = 4,
 * as in the original).
 */
export const REPEATED_CHALLENGE_POINTS = 10;

/**
 * How long a request may be repeated, in milliseconds: 64 × T1 (RFC 3261, section 17.1.2.2, Timer
 * F), after which the client gives up. A request of the same session after that is a new attempt.
 */
const ATTEMPT_LIFE_MS = 32_000;

/**
 * Events of one attempt that cost nothing beside what the attempt itself costs: retransmissions of
 * its requests within 64 × T1, after 0.5, 1, 2, 4, 4 … s (RFC 3261, section 17.1.2.2, Timer E), and
 * what a refused request raises besides. Whoever chooses everything that Asterisk prints of them is
 * charged at least once in 11 events.
 */
export const RETRANSMISSIONS_MAX = 10;

/**
 * Retransmissions come at T1 (0.5 s) and later (RFC 3261, section 17.1.2.1): of the same wrong
 * answers within this time, in milliseconds, one costs nothing (a network may double a packet), a
 * further one is a guess.
 */
const RETRANSMISSION_MS_MIN = 400;

/** Wrong answers of one session that are remembered to know a retransmission. */
const ANSWERS_MAX = 64;

/**
 * Different answers to one challenge that a host in good standing may give at the cost of one
 * attempt: baresip 1.0 answers fifteen times within some milliseconds and then rests. With a
 * further one all of them are charged.
 */
const BURST_ANSWERS_MAX = 15;

/**
 * Such a burst is taken for one attempt once in this time, in milliseconds: after it that phone
 * rests for 30 s and more.
 */
const BURST_MS = 30_000;

// The times and numbers of an attempt's record.
/** Clock value of its first event. */
export const OPENED_AT = 0;
/** Neighbours among the attempts of all hosts that wait. */
const OLDER = 0;
const NEWER = 1;
/** Neighbours among the attempts of its host. */
const BEFORE = 2;
const AFTER = 3;
export const HOST = 4;
const SESSION = 5;
export const CHALLENGE = 6;
/** Points charged for it as an unanswered challenge. */
export const CHARGED = 7;
export const IS_WAITING = 8;
/** It was refused; its account is the one that was refused last. */
export const REFUSED = 9;
/** Its login succeeded (only kept without credit). */
export const SUCCEEDED = 10;
/** Events of it that cost nothing. */
const FREE = 11;
/**
 * How many different wrong answers it has brought, and the first of them; the others are in a map.
 */
export const ANSWERED = 12;
const FIRST_ANSWER = 13;
/**
 * Kind and service of its first event, an index of {@linkcode EVENT_TYPES}, times
 * {@linkcode TRANSPORTS_ROOM}; and its transport, an index of {@linkcode TRANSPORTS}.
 */
const TYPE = 14;
/** Answers of a burst that were not charged. */
export const BURST = 15;
/** A power of two that is not less than the number of transports. */
export const TRANSPORTS_ROOM = 8;
export const TRANSPORTS: readonly Transport[] = ["", "UDP", "TCP", "TLS", "WS", "WSS"];
/**
 * There is room for as many again that do not wait any more; they may need more still, up to
 * {@linkcode ATTEMPTS_MAX} of each host. Sixteen numbers are a line of the processor's cache.
 */
const ATTEMPT_RECORDS = { times: 1, numbers: 16, room: 2 * WAITING_MAX };

/** Where an attempt came from. */
interface Origin {
  readonly service: Service;
  readonly transport: Transport;
  /** As the stranger wrote it: escape it before printing. */
  readonly account: string;
}

/**
 * The attempts of all hosts, each as a record of numbers: in the order of their beginning for each
 * host, and in one list of those that wait for an answer.
 *
 * @example
 * ```ts
 * import { SecurityEvent } from "../ami/event.ts";
 * import { Attempts } from "./attempts.ts";
 * import { Hosts } from "./hosts.ts";
 *
 * const hosts = new Hosts();
 * const attempts = new Attempts(hosts.records);
 * const event = new SecurityEvent();
 * const attempt = attempts.open(hosts.make(event.host, 0), event, 0);
 * attempts.wait(attempt);
 * console.log(attempts.oldestWaiting === attempt); // true
 * ```
 */
export class Attempts {
  /** What is known of each attempt. */
  readonly records = new Records(ATTEMPT_RECORDS);
  /** The records of the hosts, which hold the ends of their attempts. */
  readonly #hosts: Records;
  /** Account of each attempt, by its record. */
  readonly #accounts: string[] = [""];
  /** Wrong answers of attempts beside the first, by record: only nonce reuse has them. */
  readonly #moreAnswers = new Map<number, number[]>();
  /** Clock value of the last burst of answers of a host that was taken for one attempt. */
  readonly #burstAt = new Map<number, number>();
  /** Clock value of the last repetition of a wrong answer that cost nothing, by attempt. */
  readonly #repeatedAt = new Map<number, number>();
  readonly #waitingInOrder = new RecordList(this.records, OLDER, NEWER);
  #waiting = 0;

  /**
   * No attempt yet.
   *
   * @param hosts The records of the hosts.
   */
  constructor(hosts: Records) {
    this.#hosts = hosts;
  }

  /** Attempts of all hosts that wait for an answer. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The attempt that waits longest, or 0. */
  get oldestWaiting(): number {
    return this.#waitingInOrder.oldest;
  }

  /** The attempt of a host in this session, while a request of it may be repeated; or 0. */
  find(host: number, session: number, now: number): number {
    const attempts = this.records;
    let attempt = this.#hosts.get(host, LAST_ATTEMPT);
    for (; attempt !== NONE; attempt = attempts.get(attempt, BEFORE)) {
      if (attempts.get(attempt, SESSION) !== session) continue;
      return this.#isAlive(attempt, now) ? attempt : NONE;
    }
    return NONE;
  }

  /** Opens an attempt of a host; those of it that nobody asks for any more are forgotten. */
  open(host: number, event: SecurityEvent, now: number): number {
    const hosts = this.#hosts;
    const attempts = this.records;
    for (let first; (first = hosts.get(host, FIRST_ATTEMPT)) !== NONE;) {
      if (this.#isAlive(first, now)) break;
      this.release(first);
    }
    const attempt = attempts.make();
    attempts.setTime(attempt, OPENED_AT, now);
    attempts.set(attempt, SESSION, event.session);
    attempts.set(attempt, CHALLENGE, event.challenge);
    attempts.set(attempt, HOST, host);
    attempts.set(attempt, TYPE, event.type * TRANSPORTS_ROOM + transportNumber(event.transport));
    this.#accounts[attempt] = event.account;
    const last = hosts.get(host, LAST_ATTEMPT);
    attempts.set(attempt, BEFORE, last);
    if (last === NONE) hosts.set(host, FIRST_ATTEMPT, attempt);
    else attempts.set(last, AFTER, attempt);
    hosts.set(host, LAST_ATTEMPT, attempt);
    hosts.add(host, ATTEMPTS, 1);
    return attempt;
  }

  /** The oldest attempt of a host that is settled, or else the oldest; never the newest. */
  oldestOf(host: number, newest: number): number {
    const attempts = this.records;
    const oldest = this.#hosts.get(host, FIRST_ATTEMPT);
    for (let at = oldest; at !== NONE && at !== newest; at = attempts.get(at, AFTER)) {
      if (attempts.get(at, IS_WAITING) === 0) return at;
    }
    return oldest;
  }

  /**
   * Nobody asks for this attempt any more. What it says stays readable until the next one is
   * opened.
   */
  release(attempt: number): void {
    this.stopWaiting(attempt);
    const hosts = this.#hosts;
    const attempts = this.records;
    const host = attempts.get(attempt, HOST);
    const before = attempts.get(attempt, BEFORE);
    const after = attempts.get(attempt, AFTER);
    if (before === NONE) hosts.set(host, FIRST_ATTEMPT, after);
    else attempts.set(before, AFTER, after);
    if (after === NONE) hosts.set(host, LAST_ATTEMPT, before);
    else attempts.set(after, BEFORE, before);
    hosts.add(host, ATTEMPTS, -1);
    if (attempts.get(attempt, ANSWERED) > 1) this.#moreAnswers.delete(attempt);
    if (attempts.get(attempt, FREE) > 0) this.#repeatedAt.delete(attempt);
    attempts.free(attempt);
  }

  /** Forgets all attempts of a host, which leaves the table. */
  releaseAll(host: number): void {
    for (let first; (first = this.#hosts.get(host, FIRST_ATTEMPT)) !== NONE;) this.release(first);
  }

  /** No attempt of a host waits any more, and none has cost anything as an unanswered challenge. */
  settleAll(host: number): void {
    for (let at = this.#hosts.get(host, FIRST_ATTEMPT); at !== NONE;) {
      this.stopWaiting(at);
      this.records.set(at, CHARGED, 0);
      at = this.records.get(at, AFTER);
    }
  }

  /** What is known of the failures of a host beside its attempts goes with it. */
  forgetBursts(host: number): void {
    this.#burstAt.delete(host);
  }

  /** An attempt begins to wait for its answer. */
  wait(attempt: number): void {
    this.records.set(attempt, IS_WAITING, 1);
    this.#hosts.add(this.records.get(attempt, HOST), WAITING, 1);
    this.#waitingInOrder.append(attempt);
    this.#waiting++;
  }

  /** An attempt does not wait any more. */
  stopWaiting(attempt: number): void {
    const attempts = this.records;
    if (attempts.get(attempt, IS_WAITING) === 0) return;
    attempts.set(attempt, IS_WAITING, 0);
    this.#hosts.add(attempts.get(attempt, HOST), WAITING, -1);
    this.#waiting--;
    this.#waitingInOrder.remove(attempt);
  }

  /**
   * What the first wrong answer or refusal of an attempt adds to what it has cost: 5 in all, at
   * least 1 after a challenge.
   */
  remainder(attempt: number): number {
    const charged = this.records.get(attempt, CHARGED);
    return charged === REPEATED_CHALLENGE_POINTS ? 1 : Math.max(0, ATTEMPT_POINTS - charged);
  }

  /** Whether one more event of an attempt costs nothing. */
  isFree(attempt: number): boolean {
    if (this.records.get(attempt, FREE) >= RETRANSMISSIONS_MAX) return false;
    this.records.add(attempt, FREE, 1);
    return true;
  }

  /**
   * Whether a wrong answer is the retransmission of one that was charged. What Asterisk prints of
   * two answers may look alike although they differ, and a client has a say in that: so only what
   * can be a retransmission is taken for one.
   */
  isRetransmission(attempt: number, event: SecurityEvent, now: number): boolean {
    if (!event.hasAnswer || !this.#hasAnswer(attempt, event.answer)) return false;
    // TCP and what stands on it never retransmits (RFC 3261, section 17.1.2.2).
    if (event.transport !== "UDP" && event.transport !== "") return false;
    const last = this.#repeatedAt.get(attempt);
    if (last !== undefined && now - last < RETRANSMISSION_MS_MIN) return false;
    if (!this.isFree(attempt)) return false;
    this.#repeatedAt.set(attempt, now);
    return true;
  }

  /**
   * Whether a further wrong answer of a host in good standing is part of a burst that counts as one
   * attempt.
   */
  isInBurst(host: number, attempt: number, event: SecurityEvent, now: number): boolean {
    if (!event.hasAnswer) return false;
    const burst = this.records.get(attempt, BURST);
    if (burst === 0) {
      const last = this.#burstAt.get(host);
      if (last !== undefined && now - last < BURST_MS) return false;
      if (this.records.get(attempt, ANSWERED) !== 2) return false;
      this.#burstAt.set(host, now);
    }
    // The first one is charged.
    if (burst >= BURST_ANSWERS_MAX - 1) return false;
    this.records.add(attempt, BURST, 1);
    return true;
  }

  /** Remembers a wrong answer; whether it is the first. */
  keepAnswer(attempt: number, answer: number): boolean {
    if (this.records.add(attempt, ANSWERED, 1) === 1) {
      this.records.set(attempt, FIRST_ANSWER, answer);
      return true;
    }
    const more = this.#moreAnswers.get(attempt);
    if (more === undefined) this.#moreAnswers.set(attempt, [answer]);
    else {
      if (more.length >= ANSWERS_MAX) more.shift();
      more.push(answer);
    }
    return false;
  }

  /** The account of an attempt. */
  accountOf(attempt: number): string {
    return this.#accounts[attempt]!;
  }

  /** An attempt goes on with another account. */
  setAccount(attempt: number, account: string): void {
    this.#accounts[attempt] = account;
  }

  /** Kind, service and transport of its first event, as one number. */
  typeOf(attempt: number): number {
    return this.records.get(attempt, TYPE);
  }

  /** Where an attempt came from. */
  originOf(attempt: number): Origin {
    const type = this.records.get(attempt, TYPE);
    return {
      service: EVENT_TYPES[Math.floor(type / TRANSPORTS_ROOM)]!.service,
      transport: TRANSPORTS[type % TRANSPORTS_ROOM]!,
      account: this.#accounts[attempt]!,
    };
  }

  /** Whether a request of an attempt may be repeated, or its answer come. */
  #isAlive(attempt: number, now: number): boolean {
    return this.records.get(attempt, IS_WAITING) === 1 ||
      now - this.records.time(attempt, OPENED_AT) <= ATTEMPT_LIFE_MS;
  }

  /** Whether an attempt has brought this wrong answer already. */
  #hasAnswer(attempt: number, answer: number): boolean {
    const answered = this.records.get(attempt, ANSWERED);
    if (answered === 0) return false;
    if (this.records.get(attempt, FIRST_ANSWER) === answer) return true;
    return answered > 1 && (this.#moreAnswers.get(attempt)?.includes(answer) ?? false);
  }
}

/** The index of a transport in {@linkcode TRANSPORTS}, without a search: asked for each attempt. */
export function transportNumber(transport: Transport): number {
  switch (transport) {
    case "UDP":
      return 1;
    case "TCP":
      return 2;
    case "TLS":
      return 3;
    case "WS":
      return 4;
    case "WSS":
      return 5;
    default:
      return 0;
  }
}
