/**
 * Decides which lines of Asterisk's log count beside its manager interface, so that no request is
 * charged twice and none is lost when one of the two goes or comes.
 *
 * - What AMI never tells (a number that an anonymous caller dials, IAX2) counts at once.
 * - A line of which AMI tells too waits. It is dropped when its event has come, or when AMI has
 *   been heard for {@linkcode SETTLE_MS} longer: then AMI works, and its word counts. If AMI goes
 *   before that, or was not there yet, the line counts; so it does as long as AMI has told of
 *   nobody since its login: perhaps it must not (`read = security`).
 * - While AMI is away all lines count: a security event at once, another refusal after
 *   {@linkcode SETTLE_MS}, in which the security event of the same request may come in a line of
 *   its own.
 * - An event of which Asterisk says that it could not be issued: its line counts.
 *
 * Events and lines are compared one to one. Two files that hold the same line tell of one request.
 *
 * Pure: no I/O, no timer, bounded memory.
 *
 * @module
 */

import { EVENT_TYPES, eventType, type SecurityEvent, UNKNOWN_CALLER } from "../ami/event.ts";
import type { Notice } from "../ami/notice_lines.ts";
import { Sightings } from "./sightings.ts";

/** How a line tells of an event. */
type LineTold = "security" | "doubled" | Notice["told"];

/** Longest time between an event and its line, in milliseconds: both come within some. */
export const SETTLE_MS = 1_000;

/**
 * How long an event of AMI is remembered for another line of its request, which may be read late,
 * in milliseconds; for its own line it is as long as there is room.
 */
const REMEMBER_MS = 30_000;

/** How long a line that was charged is remembered for an event that tells less, in milliseconds. */
const CHARGED_MS = 10_000;

/** Longest time between a registration by IAX2 and the answer to its challenge, in milliseconds. */
const REGISTRATION_MS = 5_000;

/** Events of AMI that are remembered until a line asks for them. */
const RECENT = 16_384;

/** Most lines that wait. */
const WAITING_MAX = 8_192;

/** When nothing was decided for so long, the process stood still, in milliseconds. */
const STALL_MS = 300;

/** Numbers that are remembered of each. */
const FACTS = 6;

/** Lines of several files, and threads, that are remembered. */
const LINES_MAX = 65_536;
const THREADS_MAX = 256;

/** A report of the dialplan, which may log the same call. */
const REPORTED = eventType("Reported", "Dialplan");

/** Kinds for which another line may stand. */
const REFUSALS: ReadonlySet<string> = new Set([
  "ChallengeResponseFailed",
  "InvalidPassword",
  "InvalidAccountID",
  "FailedACL",
  "InvalidTransport",
  "SessionLimit",
]);

/** A line that waits. */
interface Waiting {
  readonly event: SecurityEvent;
  readonly told: LineTold;
  at: number;
  readonly thread: string;
  /** AMI was there when it was written, and is there still. */
  isOfNow: boolean;
  /** The same, and had told of somebody by then: its word counts. */
  covered: boolean;
  unissued: boolean;
  /** Another line of the same request was dropped for it. */
  stands: boolean;
  /** Another line of the same request was dropped, because AMI's word counts. */
  isAnswered: boolean;
}

/** Where a line stands. */
interface Place {
  /** Which file. */
  readonly file: number;
  /** Number of Asterisk's thread. */
  readonly thread: string;
  /** What tells the line from others. */
  readonly text: string;
}

/** Whether AMI's events arrive; `unused`: they never will. */
type AmiState = "up" | "down" | "unused";

/** Takes what counts. Events are valid during the call. */
type Charge = (event: SecurityEvent, verdict: "security" | "doubled", file: number) => void;

/** Compares what AMI says with what stands in the log. */
export class Handover {
  readonly #charge: Charge;
  #ami: AmiState = "down";
  #upSince = -Infinity;
  #heardAt = -Infinity;
  /** AMI has told of somebody since it came. */
  #hasTold = false;
  #unheard = 0;
  #advancedAt = -Infinity;
  /** When a line was charged last of which AMI may tell yet, or the process had stood still. */
  #owedAt = -Infinity;
  /** When each file was last read to its end. */
  readonly #ends: number[] = [];
  #waiting: (Waiting & { readonly file: number })[] = [];
  /** Those among which is decided just now. */
  #deciding: readonly (Waiting & { readonly file: number })[] = [];
  /** Those of them that are no security events, by what they share with one; made if need be. */
  #notices: Map<number, Waiting[]> | undefined;
  /** Events of AMI that no line has asked for yet: a ring. */
  readonly #hosts: (number | string)[] = new Array(RECENT).fill(0);
  readonly #numbers = new Int32Array(FACTS * RECENT);
  readonly #times = new Float64Array(RECENT);
  #written = 0;
  #indexed = 0;
  /** The same, to be compared with security events of the log, and with other lines. */
  readonly #exact = new Sightings();
  readonly #alike = new Sightings();
  /** Security events of the log that were charged while AMI was away, or had just come. */
  readonly #charged = new Sightings();
  /** Other lines that were charged when AMI had just come: its events may be late. */
  readonly #chargedAlike = new Sightings();
  readonly #callers = new Sightings();
  readonly #reports = new Sightings();
  readonly #registrations = new Sightings();
  /** When somebody was last refused by a part of Asterisk, for lines that stand beside others. */
  readonly #refusals = new Map<string, number>();
  readonly #unissued = new Map<string, { readonly kind: string; readonly at: number }>();
  /** How often each line stands in each file, if there are several. */
  readonly #lines = new Map<string, Map<number, number>>();
  #files = 1;
  #dropped = 0;

  /** @param charge Takes what counts. */
  constructor(charge: Charge) {
    this.#charge = charge;
  }

  /** Lines that told what AMI, or another line, has told. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Lines written since AMI's login that have waited in vain, as long as it has told of nobody. */
  get unheard(): number {
    return this.#unheard;
  }

  /** Lines that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Which files there are from now on.
   *
   * @param count Their number.
   * @param fresh Those that begin now, by {@linkcode Place}: what was known of them was of others.
   */
  setFiles(count: number, fresh: readonly number[]): void {
    this.#files = count;
    for (const file of fresh) {
      this.#ends[file] = -Infinity;
      for (const counts of this.#lines.values()) counts.delete(file);
    }
  }

  /** AMI is not used. */
  amiUnused(now: number): void {
    this.#ami = "unused";
    this.advance(now);
  }

  /** AMI's events arrive from now on. */
  amiUp(now: number): void {
    this.#ami = "up";
    this.#upSince = this.#heardAt = now;
    this.#hasTold = false;
    this.#unheard = 0;
  }

  /** They do not any more. */
  amiDown(now: number): void {
    if (this.#ami === "down") return;
    this.#ami = "down";
    // Another login tells nothing of them.
    for (const line of this.#waiting) line.covered = line.isOfNow = false;
    this.advance(now);
  }

  /** Something has come from AMI. */
  amiHeard(now: number): void {
    this.#heardAt = now;
  }

  /**
   * Takes an event of AMI.
   *
   * @param event The event.
   * @param now Clock value, in milliseconds.
   * @returns Whether it counts; false when a line of the same request was charged.
   */
  amiEvent(event: SecurityEvent, now: number): boolean {
    if (event.type === REPORTED) return this.#takeReport(event, now);
    this.#hasTold = true;
    if (this.#isCharged(event, now)) {
      this.#dropped++;
      return false;
    }
    const slot = this.#written++ % RECENT;
    const numbers = this.#numbers;
    this.#hosts[slot] = event.host;
    this.#times[slot] = now;
    const at = FACTS * slot;
    numbers[at] = event.type;
    numbers[at + 1] = event.port;
    numbers[at + 2] = event.session;
    numbers[at + 3] = event.challenge;
    numbers[at + 4] = event.answer;
    numbers[at + 5] = event.hashTime(0);
    return true;
  }

  /**
   * A file has been read to its end.
   *
   * @param file Which.
   * @param now Clock value, in milliseconds.
   */
  atEnd(file: number, now: number): void {
    this.#ends[file] = now;
  }

  /**
   * Takes what a line tells.
   *
   * @param event Is valid during the call.
   * @param told How it is told.
   * @param place Where it stands.
   * @param now Clock value, in milliseconds.
   */
  line(event: SecurityEvent, told: LineTold, place: Place, now: number): void {
    if (this.#files > 1 && !this.#isNew(place)) {
      this.#dropped++;
      return;
    }
    const { file, thread } = place;
    if (told !== "aside") this.#noteRefusal(event, now);
    if (told === "log only") return this.#takeUntold(event, file, now);
    if (isSecurity(told) && this.#ami !== "up") {
      return this.#settleSecurity(event, told, file, now);
    }
    const isOfNow = this.#ami === "up" &&
      (this.#ends[file] ?? -Infinity) >= this.#upSince + SETTLE_MS;
    const unissued = told === "notice" && this.#takeUnissued(event.kind, thread, now);
    this.#waiting.push({
      event: event.copy(),
      told,
      at: now,
      thread,
      isOfNow,
      covered: isOfNow && this.#hasTold,
      unissued,
      stands: false,
      isAnswered: false,
      file,
    });
    if (this.#waiting.length > WAITING_MAX) this.#giveUp(this.#waiting.shift()!, now);
  }

  /**
   * Asterisk could not issue an event: a line of the same thread tells of its request.
   *
   * @param kind Its kind.
   * @param place Where that stands.
   * @param now Clock value, in milliseconds.
   */
  unissued(kind: string, place: Place, now: number): void {
    if (this.#files > 1 && !this.#isNew(place)) return;
    const { thread } = place;
    const line = this.#waiting.findLast((one) => one.thread === thread && one.told === "notice");
    if (line !== undefined && line.event.kind === kind && !line.unissued) {
      line.unissued = true;
      return this.advance(now);
    }
    this.#unissued.delete(thread);
    this.#unissued.set(thread, { kind, at: now });
    forgetOldest(this.#unissued, THREADS_MAX);
  }

  /**
   * Decides on the lines that have waited long enough.
   *
   * @param now Clock value, in milliseconds.
   */
  advance(now: number): void {
    // Whoever stood still hears what was said long ago: that AMI is heard proves nothing yet.
    if (now - this.#advancedAt > STALL_MS) {
      for (const line of this.#waiting) if (line.covered) line.at = now;
      this.#owedAt = now;
    }
    this.#advancedAt = now;
    // All that was sent when AMI came, or when the last of them was charged, has come.
    const since = Math.max(this.#upSince, this.#owedAt);
    if (this.#ami === "up" && this.#heardAt >= since + REMEMBER_MS) {
      this.#charged.clear();
      this.#chargedAlike.clear();
    }
    if (this.#waiting.length === 0) return;
    this.#index();
    const waiting = this.#deciding = this.#waiting;
    this.#waiting = [];
    // Security events stand for other lines of the same request.
    for (const line of waiting) {
      if (isSecurity(line.told)) {
        if (this.#ami !== "up") this.#settleSecurity(line.event, line.told, line.file, now);
      }
    }
    for (const line of waiting) if (!this.#settle(line, now)) this.#waiting.push(line);
    this.#deciding = [];
    this.#notices = undefined;
  }

  /**
   * Nothing more comes: decides on all that waits, as nobody will read it again.
   *
   * @param now Clock value, in milliseconds.
   */
  finish(now: number): void {
    this.advance(now);
    for (const line of this.#waiting.splice(0)) this.#settle(line, now, true);
  }

  /** Decides on a line, if that can be done yet. */
  #settle(line: Waiting & { file: number }, now: number, isPressing = false): boolean {
    const { event, told, at, covered } = line;
    if (line.isAnswered) return this.#drop();
    if (isSecurity(told)) {
      if (this.#ami !== "up") return true;
      if (this.#exact.take(exactKey(event), -Infinity)) return this.#drop();
    } else if (told === "aside") {
      const last = this.#refusals.get(refusalKey(event));
      if (last !== undefined && Math.abs(last - at) <= SETTLE_MS) return this.#drop();
    } else if (this.#alike.take(alikeKey(event), at - REMEMBER_MS)) return this.#drop();
    const isAlone = told === "aside" && (event.service === "PJSIP" || event.service === "IAX2");
    if (covered && this.#ami === "up" && !line.unissued && !isAlone) {
      if (this.#heardAt < at + SETTLE_MS) return false;
      if (isSecurity(told)) this.#answerAlike(event);
      return this.#drop();
    }
    if (!line.unissued && now < at + SETTLE_MS && !isPressing) return false;
    if (line.isOfNow && !this.#hasTold && told !== "aside" && !line.unissued) this.#unheard++;
    this.#owedAt = now;
    if (isSecurity(told)) {
      this.#charged.add(exactKey(event), now);
      if (REFUSALS.has(event.kind) && !line.stands) this.#alike.add(alikeKey(event), now);
    } else if (told === "notice") {
      if (this.#isToldBySecurity(event)) return this.#drop();
      // AMI's event may have been sent, and be held up by the network.
      if (this.#ami === "up" && !line.unissued) this.#chargedAlike.add(alikeKey(event), now);
    }
    this.#chargeLine(event, told === "doubled" ? "doubled" : "security", line.file, now);
    return true;
  }

  /** Whether a line of the same request was charged before AMI told of it. */
  #isCharged(event: SecurityEvent, now: number): boolean {
    // However late it is: nothing else has this key.
    if (this.#charged.size > 0 && this.#charged.take(exactKey(event), -Infinity)) return true;
    return this.#chargedAlike.size > 0 && REFUSALS.has(event.kind) &&
      this.#chargedAlike.take(alikeKey(event), now - CHARGED_MS);
  }

  /** Whether a security event that waits is of the same request: that counts, or AMI's. */
  #isToldBySecurity(event: SecurityEvent): boolean {
    const key = alikeKey(event);
    const found = this.#deciding.find((line) =>
      isSecurity(line.told) && !line.stands && REFUSALS.has(line.event.kind) &&
      alikeKey(line.event) === key
    );
    if (found !== undefined) found.stands = true;
    return found !== undefined;
  }

  /** What is decided of a security event is decided of the other line of its request. */
  #answerAlike(event: SecurityEvent): void {
    if (!REFUSALS.has(event.kind)) return;
    if (this.#notices === undefined) {
      this.#notices = new Map();
      for (const line of this.#deciding) {
        if (line.told !== "notice" || line.unissued) continue;
        const key = alikeKey(line.event);
        const same = this.#notices.get(key);
        if (same === undefined) this.#notices.set(key, [line]);
        else same.push(line);
      }
    }
    const found = this.#notices.get(alikeKey(event))?.shift();
    if (found !== undefined) found.isAnswered = true;
  }

  /** AMI is away: a security event of the log is as good as one of AMI's. */
  #settleSecurity(
    event: SecurityEvent,
    told: "security" | "doubled",
    file: number,
    now: number,
  ): void {
    this.#index();
    // Its line was read after AMI had told of it.
    if (this.#exact.take(exactKey(event), -Infinity)) return void this.#drop();
    if (this.#ami === "down") this.#charged.add(exactKey(event), now);
    if (REFUSALS.has(event.kind)) this.#alike.add(alikeKey(event), now);
    this.#chargeLine(event, told, file, now);
  }

  /** A line of which AMI never tells. */
  #takeUntold(event: SecurityEvent, file: number, now: number): void {
    if (event.detail === UNKNOWN_CALLER) {
      const host = hashOfHost(event.host);
      if (this.#reports.take(host, now - SETTLE_MS)) return void this.#drop();
      this.#callers.add(host, now);
    }
    if (event.service === "IAX2" && event.kind === "InvalidAccountID") {
      // chan_iax2 says so of a registration, and again of the answer to its challenge.
      const key = mix(hashOfHost(event.host), hashOfHost(event.account));
      if (this.#registrations.take(key, now - REGISTRATION_MS)) return void this.#drop();
      this.#registrations.add(key, now);
    }
    this.#chargeLine(event, "security", file, now);
  }

  /** The dialplan may have logged the same call. */
  #takeReport(event: SecurityEvent, now: number): boolean {
    const host = hashOfHost(event.host);
    if (this.#callers.take(host, now - SETTLE_MS)) return !this.#drop();
    this.#reports.add(host, now);
    return true;
  }

  #chargeLine(
    event: SecurityEvent,
    verdict: "security" | "doubled",
    file: number,
    now: number,
  ): void {
    this.#noteRefusal(event, now);
    this.#charge(event, verdict, file);
  }

  #noteRefusal(event: Pick<SecurityEvent, "kind" | "service" | "host">, at: number): void {
    if (event.kind !== "FailedACL") return;
    const key = refusalKey(event);
    this.#refusals.delete(key);
    this.#refusals.set(key, at);
    forgetOldest(this.#refusals, LINES_MAX);
  }

  /** There are too many: AMI's word counts, if AMI was there. */
  #giveUp(line: Waiting & { file: number }, now: number): void {
    this.#index();
    if (line.covered) this.#drop();
    else this.#settle(line, now, true);
  }

  #drop(): true {
    this.#dropped++;
    return true;
  }

  /** Whether Asterisk has just said that the event of this line could not be issued. */
  #takeUnissued(kind: string, thread: string, now: number): boolean {
    const said = this.#unissued.get(thread);
    if (said === undefined) return false;
    this.#unissued.delete(thread);
    return said.kind === kind && now - said.at <= SETTLE_MS;
  }

  /** Makes the events of AMI findable that have come since the last call. */
  #index(): void {
    const numbers = this.#numbers;
    this.#indexed = Math.max(this.#indexed, this.#written - RECENT);
    for (; this.#indexed < this.#written; this.#indexed++) {
      const slot = this.#indexed % RECENT;
      const at = this.#times[slot]!;
      const [type, port, session, challenge, answer, time] = numbers.subarray(
        FACTS * slot,
        FACTS * (slot + 1),
      );
      const { kind, service } = EVENT_TYPES[type!]!;
      const facts = {
        type: type!,
        kind,
        service,
        host: this.#hosts[slot]!,
        port: port!,
        session: session!,
        challenge: challenge!,
        answer: answer!,
        hashTime: () => time!,
      };
      this.#exact.add(exactKey(facts), at);
      if (REFUSALS.has(kind)) this.#alike.add(alikeKey(facts), at);
      this.#noteRefusal(facts, at);
    }
  }

  /** Whether no other file has told this line already. */
  #isNew({ file, text }: Place): boolean {
    const counts = this.#lines.get(text) ?? new Map<number, number>();
    this.#lines.delete(text);
    this.#lines.set(text, counts);
    const before = Math.max(0, ...counts.values());
    const count = (counts.get(file) ?? 0) + 1;
    counts.set(file, count);
    forgetOldest(this.#lines, LINES_MAX);
    return count > before;
  }
}

function isSecurity(told: LineTold): told is "security" | "doubled" {
  return told === "security" || told === "doubled";
}

type Facts = Pick<
  SecurityEvent,
  "type" | "kind" | "service" | "host" | "port" | "session" | "challenge" | "answer" | "hashTime"
>;

/**
 * Equal for an event and its line in the security log: Asterisk prints both from one, with one
 * time. By that a request differs from its repetition. Of what is not believed there is only that.
 */
function exactKey(event: Facts): number {
  const { port, session, challenge, answer } = event;
  let key = mix(event.type, hashOfHost(event.host));
  if (event.kind === "RefusedMessage") return mix(key, event.hashTime(0));
  for (const number of [port, session, challenge, answer]) key = mix(key, number);
  return mix(key, event.hashTime(0));
}

/** Equal for an event and another line of the same request, if the line says enough. */
function alikeKey({ type, service, host, session }: Omit<Facts, "hashTime">): number {
  const key = mix(service.length * 256 + service.charCodeAt(0), hashOfHost(host));
  // Of others no session is printed.
  return service === "PJSIP" ? mix(mix(key, type), session) : key;
}

function refusalKey({ host, service }: Pick<SecurityEvent, "host" | "service">): string {
  return `${host} ${service}`;
}

function hashOfHost(host: number | string): number {
  if (typeof host === "number") return host | 0;
  let hash = 7;
  for (let i = 0; i < host.length; i++) hash = mix(hash, host.charCodeAt(i));
  return hash;
}

function mix(a: number, b: number): number {
  const mixed = Math.imul(a ^ (a >>> 15), 0x2c1b3c6d) + b | 0;
  return Math.imul(mixed ^ (mixed >>> 13), 0x297a2d39) | 0;
}

function forgetOldest<K>(map: Map<K, unknown>, most: number): void {
  if (map.size <= most) return;
  for (const oldest of map.keys()) return void map.delete(oldest);
}
