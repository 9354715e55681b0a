/**
 * Reads an AMI byte stream into security events that may be believed.
 *
 * The exact grammar (`parser.ts`) refuses what is not formed as Asterisk forms it. One forgery is
 * formed so: chan_sip prints the account name of a REGISTER decoded, up to about 240 characters of
 * it, and a stranger can write *the whole rest of the event* into it: SessionID, LocalAddress,
 * RemoteAddress (anybody's) and Challenge, and the empty line. The head of that block is
 * Asterisk's, its tail is theirs. What they can't suppress is the true tail, which Asterisk prints
 * right behind, as a block without a head. So an event that a stranger could have ended is withheld
 * back until what follows it shows that it was not cut: see {@linkcode EventReader}.
 *
 * What is refused must not be cheaper than what is obeyed, or a guesser would have all their
 * guesses refused. Asterisk prints the sender's address behind all that they wrote, so of the
 * pieces into which they have cut an event the last one names its true sender, and they are
 * charged: see {@linkcode EventReaderHandlers.event}. Who is named by another piece is not.
 *
 * @module
 */

import { Framer, type Skipped } from "./framer.ts";
import {
  type Head,
  parseAhead,
  parseMessage,
  readHead,
  readRemote,
  readSender,
  type Verdict,
} from "./parser.ts";
import { SecurityEvent, type SecurityEventKind, type Service } from "./event.ts";
import {
  namesUserEvent,
  readReportEnd,
  readUserEvent,
  type UserEventReading,
} from "./user_event.ts";

/**
 * Most bytes of a stranger's text in an account name. chan_sip cuts the To header at 255 characters
 * (`chan_sip.c`, `register_verify`, `char tmp[256]`); the recordings show that 236 percent-encoded
 * ones pass and 240 do not.
 */
export const ACCOUNT_BYTES_MAX = 255;

/**
 * Most characters of a percent-encoded account name: {@linkcode ACCOUNT_BYTES_MAX} less the
 * shortest `<sip:` and `@h>` around it. A CR, an LF and a colon need three characters each there.
 */
export const ACCOUNT_ENCODED_MAX = ACCOUNT_BYTES_MAX - 8;

/**
 * Most bytes of a stranger's text in an account name of PJSIP, which cuts it at 36 characters
 * (`res_pjsip`, account id of InvalidAccountID), and the empty line that it may end with. The end
 * of an event that names somebody needs more.
 */
const PJSIP_ACCOUNT_BYTES_MAX = 40;

/**
 * Kinds of events that cost their sender something. Who is too long for such an event is charged.
 */
const COSTLY: ReadonlySet<SecurityEventKind> = new Set([
  "ChallengeSent",
  "ChallengeResponseFailed",
  "InvalidPassword",
  "InvalidAccountID",
  "FailedACL",
]);

/** What the {@linkcode EventReader} calls. Bytes and events are valid only during the call. */
export interface EventReaderHandlers {
  /**
   * A security event that may be believed; `doubled` ones may be charged but not obeyed. Among
   * these are the `RefusedMessage`s: of a message that was refused nothing but its sender is
   * believed. A report of the dialplan, `Reported`, is `security`.
   */
  event(event: SecurityEvent, verdict: "security" | "doubled"): void;
  /** An answer to an action: its lines, one character a byte. */
  response(buffer: Uint8Array, start: number, end: number): void;
  /**
   * Whether an event that is formed as nothing else is an entry of a list that was asked for; it is
   * handed on as an answer.
   */
  isListed?(buffer: Uint8Array, start: number, end: number): boolean;
  /** A well-formed event of another class. */
  other?(buffer: Uint8Array, start: number, end: number): void;
  /** Something that Asterisk did not print so. */
  tampered(what: Tampered, buffer: Uint8Array, start: number, end: number): void;
  /** The first line of the connection. */
  banner(line: string): void;
  /** Every message with its verdict, before anything is done with it. */
  message?(verdict: Verdict, buffer: Uint8Array, start: number, end: number): void;
}

/**
 * Why something was not obeyed.
 *
 * - `malformed`: a message that is not formed as Asterisk forms it.
 * - `forged end`: an event whose true end follows it: a stranger wrote the end that it came with.
 * - `cut off`: an event that a stranger could have ended, and the connection ended before it could
 *   be checked.
 * - `oversized`: a message too long to be kept.
 *
 * Whoever can be known to have sent it is charged all the same: a `RefusedMessage` follows.
 */
export type Tampered = "malformed" | "forged end" | "cut off" | "oversized";

/** How soon {@linkcode EventReader.flushWithheld} is due. */
export type Withheld =
  /** Nothing is withheld. */
  | "nothing"
  /**
   * Only events that Asterisk's limits make impossible to forge: the next turn of the event loop is
   * soon enough.
   */
  | "until next turn"
  /**
   * Events that a stranger could have ended: wait until the rest of a write of Asterisk must have
   * arrived.
   */
  | "until quiet";

/**
 * An event into whose account name a stranger has written line ends, as long as its true end has
 * not come.
 */
interface Cut {
  readonly service: Service;
  readonly time: string;
  /** Its last piece begins at this stream position at the latest. */
  readonly limit: number;
  /** A piece has ended nearly as Asterisk ends an event: a head behind it is not a stranger's. */
  readonly ended: boolean;
}

/** An event, and while it is withheld what is needed to check it. */
class Slot {
  readonly event = new SecurityEvent();
  verdict: "security" | "doubled" = "security";
  /** The remainder of a cut event begins at this stream position at the latest. */
  limit = 0;
  /**
   * Where in the buffer the account name begins and the event ends, until {@linkcode Framer} moves
   * the bytes.
   */
  from = 0;
  to = 0;
  /** A stranger's text would not have fitted into a SIP header. */
  impossible = false;
}

const EMPTY = new Uint8Array(0);
const ENCODED_CHARACTERS = encodedCharacters();

/**
 * Most bytes that a caller has for messages of their own between the end that they have written and
 * the true one: twice the longest text that a channel driver takes (IAX2: 255; PJSIP and chan_sip
 * have 79 for a number).
 */
const CALLER_BYTES_MAX = 512;

/** A report that waits. */
interface Report {
  readonly event: SecurityEvent;
  /** The rest of a report that was cut begins at this stream position at the latest. */
  readonly limit: number;
  /** A caller has written lines into it, and had room for the beginning of another event. */
  readonly isWide: boolean;
}

/** Where the name of an event begins, and the first byte of `UserEvent`. */
const NAME_AT = "Event: ".length;
const USER_BYTE = "U".charCodeAt(0);

/** For messages that are only looked at. */
const SPARE = new SecurityEvent();

/** Events of which at most one is withheld while the next is read, and one spare. */
const SLOTS = 3;

/**
 * Cuts a stream into messages, checks them, and hands on the security events.
 *
 * An event of chan_sip that shows a name from a REGISTER (ChallengeSent, InvalidPassword,
 * InvalidAccountID) is withheld until the stream is {@linkcode ACCOUNT_BYTES_MAX} bytes behind the
 * beginning of its account name (mostly: until the next message is complete), or until
 * {@linkcode EventReader.flushWithheld}. If a block without Asterisk's head begins before that, it
 * is the true end of this event, and the event is dropped as tampered. All other events are handed
 * on at once: PJSIP prints at most 36 bytes of a stranger's text, AMI none with a line end.
 *
 * @example
 * ```ts
 * const reader = new EventReader({
 *   event: (event) => console.log(event.kind, event.address),
 *   response: () => {},
 *   tampered: (what) => console.warn(what),
 *   banner: () => {},
 * });
 * reader.push(new TextEncoder().encode("Asterisk Call Manager/7.0.3\r\n"));
 * ```
 */
export class EventReader {
  readonly #handlers: EventReaderHandlers;
  readonly #framer: Framer;
  /** Used in turn: the withheld events are those before the one that is read next. */
  readonly #slots = Array.from({ length: SLOTS }, () => new Slot());
  /** Index of the slot of the event that is read next. */
  #slot = 0;
  /** How many events are withheld. */
  #withheld = 0;
  #cut: Cut | undefined;
  /** Reports of the dialplan; withheld until what follows shows that nobody has ended them. */
  #reports: Report[] = [];
  /** Until this stream position the rest of a report that was cut may begin. */
  #reportRestUntil = -1;
  /** One of both is to be looked at. */
  #watchesReports = false;
  /** The message that comes next is a security event and was read already. */
  #recognized = false;

  /**
   * A reader at the beginning of a connection.
   *
   * @param handlers Take what is read.
   */
  constructor(handlers: EventReaderHandlers) {
    this.#handlers = handlers;
    this.#framer = new Framer({
      banner: (line) => handlers.banner(line),
      recognize: (buffer, start, limit) => {
        const end = parseAhead(buffer, start, limit, this.#slots[this.#slot]!.event);
        this.#recognized = end >= 0;
        return end;
      },
      message: (buffer, start, end, offset) => this.#message(buffer, start, end, offset),
      oversized: (skipped) => this.#oversized(skipped),
      drained: (buffer) => this.#keepWithheld(buffer),
    });
  }

  /** The free part of the read buffer; see {@linkcode Framer.space}. */
  space(): Uint8Array {
    return this.#framer.space();
  }

  /** Takes over `count` bytes of {@linkcode EventReader.space}. */
  commit(count: number): void {
    this.#framer.commit(count);
  }

  /** Takes a chunk of any size. */
  push(chunk: Uint8Array): void {
    this.#framer.push(chunk);
  }

  /**
   * Whether events are withheld, and for how long. While the rest of a message is awaited nothing
   * needs to be settled.
   */
  get withheld(): Withheld {
    if (this.#framer.pending > 0) return "nothing";
    if (this.#reports.length > 0) return "until quiet";
    if (this.#withheld === 0) return "nothing";
    for (let i = 0; i < this.#withheld; i++) {
      if (!this.#withheldAt(i).impossible) return "until quiet";
    }
    return "until next turn";
  }

  /** Nothing more came: hands on the events that are withheld, unless a message is under way. */
  flushWithheld(): void {
    if (this.#framer.pending === 0) this.#flush();
  }

  /** The connection ended: drops what could not be checked, and is ready for a new connection. */
  end(): void {
    while (this.#withheld > 0) {
      const slot = this.#takeWithheld();
      if (slot.impossible && this.#framer.pending === 0) {
        this.#handlers.event(slot.event, slot.verdict);
      } else if (slot.event.kind !== "RefusedMessage") {
        this.#handlers.tampered("cut off", EMPTY, 0, 0);
      }
    }
    for (const _ of this.#reports.splice(0)) this.#handlers.tampered("cut off", EMPTY, 0, 0);
    this.#cut = undefined;
    this.#reportRestUntil = -1;
    this.#watchesReports = false;
    this.#framer.reset();
  }

  #message(buffer: Uint8Array, start: number, end: number, offset: number): void {
    const slot = this.#slots[this.#slot]!;
    const event = slot.event;
    let verdict = this.#recognized ? "security" : parseMessage(buffer, start, end, event);
    this.#recognized = false;
    if (verdict === "tampered" && this.#handlers.isListed?.(buffer, start, end)) {
      verdict = "response";
    }
    this.#handlers.message?.(verdict, buffer, start, end);
    const head = verdict === "tampered" ? readHead(buffer, start, end) : undefined;
    if (this.#withheld > 0) {
      const isRemainder = verdict === "tampered" && head === undefined;
      this.#checkWithheld(isRemainder, offset, offset + end + 2 - start);
    }
    const cut = this.#cut;
    if (cut !== undefined && offset > cut.limit) this.#cut = undefined;
    if (this.#watchesReports) {
      const isHeadless = verdict === "tampered" && head === undefined;
      this.#checkReports(isHeadless, buffer, start, end, offset);
    }
    switch (verdict) {
      case "security":
      case "doubled":
        if (this.#cut !== undefined) {
          this.#cut = undefined;
          // Its head is not Asterisk's: the event before has not ended yet.
          if (!cut!.ended) {
            event.refuse(cut!.service, sessionOf(offset), cut!.time);
            this.#handlers.event(event, "doubled");
            return;
          }
        }
        if (showsRegisterName(event)) {
          const account = event.accountStart - (verdict === "doubled" ? 0 : start);
          if (end + 2 - start - account <= ACCOUNT_BYTES_MAX) {
            slot.verdict = verdict;
            this.#withhold(slot, offset + account + ACCOUNT_BYTES_MAX, start + account, end);
            return;
          }
        }
        this.#handlers.event(event, verdict);
        return;
      case "response":
        this.#handlers.response(buffer, start, end);
        return;
      case "other":
        if (buffer[start + NAME_AT] === USER_BYTE && this.#takeReport(buffer, start, end, offset)) {
          return;
        }
        this.#handlers.other?.(buffer, start, end);
        return;
      case "tampered":
        this.#handlers.tampered("malformed", buffer, start, end);
        this.#refuse(head, slot, buffer, start, end, offset);
    }
  }

  /** Takes an event of class user; whether it has our name. */
  #takeReport(buffer: Uint8Array, start: number, end: number, offset: number): boolean {
    const event = new SecurityEvent();
    const reading = readUserEvent(buffer, start, end, event);
    if (reading === "none" || reading === "foreign") return false;
    const limit = offset + end + 2 - start + CALLER_BYTES_MAX;
    // Behind an event that was cut its head may be a stranger's.
    const isBelieved = this.#cut === undefined;
    if (reading === "cut") {
      if (isBelieved) this.#watchForRest(limit);
      return false;
    }
    if (reading !== "report" || !isBelieved) {
      this.#handlers.tampered("malformed", buffer, start, end);
    }
    if (reading !== "malformed" && isBelieved) {
      this.#reports.push({ event, limit, isWide: reading === "wide" });
      this.#watchesReports = true;
    }
    return true;
  }

  #watchForRest(until: number): void {
    this.#reportRestUntil = until;
    this.#watchesReports = true;
  }

  /** A message follows reports, or the beginning of one: it may be the true end. */
  #checkReports(
    isHeadless: boolean,
    buffer: Uint8Array,
    start: number,
    end: number,
    offset: number,
  ): void {
    const isNamed = namesUserEvent(buffer, start, end);
    const isRest = isHeadless ||
      (isNamed && !hasBeginning(readUserEvent(buffer, start, end, SPARE)));
    const to = offset + end + 2 - start;
    const reports = this.#reports;
    this.#reports = [];
    let isCut = offset <= this.#reportRestUntil;
    for (const report of reports) {
      const displaced = isRest || (isNamed && report.isWide);
      if (displaced && offset <= report.limit) {
        this.#handlers.tampered("forged end", EMPTY, 0, 0);
        isCut = true;
      } else if (to > report.limit) this.#handlers.event(report.event, "security");
      else this.#reports.push(report);
    }
    this.#watchesReports = this.#reports.length > 0 || to <= this.#reportRestUntil;
    if (!isRest || !isCut) return;
    // Its last piece names who was reported; there may be further ones.
    this.#watchForRest(to + CALLER_BYTES_MAX);
    const event = new SecurityEvent();
    if (!readReportEnd(buffer, start, end, event)) return;
    this.#reports.push({ event, limit: this.#reportRestUntil, isWide: true });
  }

  /**
   * Charges the true sender of a malformed message: that is who its end names, if it is the last
   * piece of an event that Asterisk has begun. A stranger can make an end or a head (up to the
   * account name), but has no room for both.
   */
  #refuse(
    head: Head | undefined,
    slot: Slot,
    buffer: Uint8Array,
    start: number,
    end: number,
    offset: number,
  ): void {
    let cut = this.#cut;
    if (head !== undefined && (cut === undefined || cut.ended)) {
      cut = cutBy(head, offset + head.accountAt - start);
    }
    this.#cut = undefined;
    if (cut === undefined) return;
    const { service, time, limit } = cut;
    const event = slot.event;
    const ending = readSender(buffer, start, end, event);
    if (ending !== "sender") {
      this.#cut = { ...cut, ended: cut.ended || ending === "unknown" };
      return;
    }
    event.refuse(service, sessionOf(offset), time);
    if (service === "PJSIP" || offset + end + 2 - start > limit) {
      this.#handlers.event(event, "doubled");
      return;
    }
    slot.verdict = "doubled";
    // How much a stranger had to write for it is known only if all of it is in one piece.
    if (head === undefined) this.#withhold(slot, limit, 0, 0);
    else this.#withhold(slot, limit, head.accountAt, end);
  }

  #withhold(slot: Slot, limit: number, from: number, to: number): void {
    slot.limit = limit;
    slot.from = from;
    slot.to = to;
    slot.impossible = false;
    this.#slot = this.#slot + 1 === SLOTS ? 0 : this.#slot + 1;
    // A withheld event ends before its limit, and no two security events fit before one limit.
    if (++this.#withheld >= SLOTS) throw new Error("more events are withheld than can be");
  }

  /** One of the withheld events; 0 is the oldest. */
  #withheldAt(index: number): Slot {
    const at = this.#slot - this.#withheld + index;
    return this.#slots[at < 0 ? at + SLOTS : at]!;
  }

  /** The oldest of the withheld events, which is not withheld any more. */
  #takeWithheld(): Slot {
    const slot = this.#withheldAt(0);
    this.#withheld--;
    return slot;
  }

  /**
   * A further message is complete: it may be the true end of a withheld event, or lie beyond where
   * that could begin.
   */
  #checkWithheld(isRemainder: boolean, from: number, to: number): void {
    while (this.#withheld > 0) {
      const slot = this.#withheldAt(0);
      if (isRemainder && from <= slot.limit) {
        this.#withheld--;
        const { kind, service, time } = slot.event;
        this.#cut = { service, time, limit: slot.limit, ended: true };
        if (kind !== "RefusedMessage") this.#handlers.tampered("forged end", EMPTY, 0, 0);
      } else if (to > slot.limit) {
        this.#withheld--;
        this.#handlers.event(slot.event, slot.verdict);
      } else {
        return;
      }
    }
  }

  /** No stranger's text has room for the end of such a message: it names its true sender. */
  #oversized({ bytes, head: first, remote, offset }: Skipped): void {
    this.#recognized = false;
    const head = readHead(first, 0, first.length);
    for (const _ of this.#reports.splice(0)) this.#handlers.tampered("forged end", EMPTY, 0, 0);
    this.#checkWithheld(head === undefined, offset, offset + bytes + 2);
    this.#handlers.tampered("oversized", EMPTY, 0, 0);
    let cut = this.#cut;
    this.#cut = undefined;
    if (cut !== undefined && (offset > cut.limit || cut.ended && head !== undefined)) {
      cut = undefined;
    }
    const event = this.#slots[this.#slot]!.event;
    if (remote === undefined || !readRemote(remote, event)) return;
    if (cut === undefined && (head === undefined || !COSTLY.has(head.kind))) return;
    const { service, time } = cut ?? head!;
    event.refuse(service, sessionOf(offset), time);
    this.#handlers.event(event, "doubled");
  }

  /**
   * The bytes of events that stay withheld are about to move: takes from them what is needed later.
   */
  #keepWithheld(buffer: Uint8Array): void {
    for (let i = 0; i < this.#withheld; i++) {
      const slot = this.#withheldAt(i);
      if (slot.to === 0) continue;
      // Mostly the length alone tells it: each byte needs a character at least.
      slot.impossible = slot.to - slot.from > ACCOUNT_ENCODED_MAX ||
        encodedLength(buffer, slot.from, slot.to) > ACCOUNT_ENCODED_MAX;
      slot.from = slot.to = 0;
      slot.event.detach();
    }
  }

  #flush(): void {
    while (this.#withheld > 0) {
      const slot = this.#takeWithheld();
      this.#handlers.event(slot.event, slot.verdict);
    }
    for (const { event } of this.#reports.splice(0)) this.#handlers.event(event, "security");
  }
}

/** Whether a user event has a beginning, for which a caller has room only where it is wide. */
function hasBeginning(reading: UserEventReading): boolean {
  return reading !== "none" && reading !== "malformed";
}

/**
 * An event into which a stranger can write line ends; others are malformed because this Ampere does
 * not know them. No Asterisk to come has chan_sip, so that none of its events is of an unknown
 * form.
 */
function cutBy({ kind, service, time }: Head, accountOffset: number): Cut | undefined {
  if (service === "PJSIP" && kind === "InvalidAccountID") {
    return { service, time, limit: accountOffset + PJSIP_ACCOUNT_BYTES_MAX, ended: false };
  }
  return service === "SIP" && COSTLY.has(kind)
    ? { service, time, limit: accountOffset + ACCOUNT_BYTES_MAX, ended: false }
    : undefined;
}

/** Tells refused messages apart, by where in the stream they begin. */
function sessionOf(offset: number): number {
  return Math.imul(offset | 0, 0x9e3779b1);
}

/**
 * Whether the AccountID is text of a stranger that chan_sip has decoded (`sip/security_events.c`,
 * REGISTER).
 */
function showsRegisterName(event: SecurityEvent): boolean {
  return event.service === "SIP" &&
    (event.kind === "ChallengeSent" || event.kind === "InvalidPassword" ||
      event.kind === "InvalidAccountID");
}

/**
 * Characters that a stranger needs at least to write these bytes, and the empty line behind them,
 * into a SIP URI.
 */
function encodedLength(buffer: Uint8Array, start: number, end: number): number {
  let length = 2 * ENCODED_CHARACTERS[0x0d]!;
  for (let i = start; i < end; i++) length += ENCODED_CHARACTERS[buffer[i]!]!;
  return length;
}

/**
 * CR and LF end a header, a colon ends the user part (RFC 3261, section 25.1, `userinfo`): these
 * must be encoded.
 */
function encodedCharacters(): Uint8Array {
  const characters = new Uint8Array(256).fill(1);
  for (const byte of [0x0d, 0x0a, 0x3a]) characters[byte] = 3;
  return characters;
}
