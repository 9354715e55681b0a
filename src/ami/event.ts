/**
 * A security event of Asterisk, as the rest of Ampere sees it.
 *
 * @module
 */

import { ipv4Number, ipv4Text, parseAddress } from "../address/address.ts";
import { hashBytes, hashText } from "../text/hash.ts";
import { isText, NOTHING, viewOf } from "./bytes.ts";
import { latin1 } from "./framer.ts";

/**
 * The security events that Asterisk 12 to 22 know, by their names on AMI, and two that are none:
 *
 * - `RefusedMessage`: what was not believed, but shows who raised it. That is a wrong answer of
 *   theirs, and proves nothing else.
 * - `Reported`: the dialplan names a host (`user_event.ts`).
 */
export type SecurityEventKind =
  | "ChallengeSent"
  | "SuccessfulAuth"
  | "ChallengeResponseFailed"
  | "InvalidPassword"
  | "InvalidAccountID"
  | "FailedACL"
  | "RequestNotSupported"
  | "RequestNotAllowed"
  | "RequestBadFormat"
  | "InvalidTransport"
  | "SessionLimit"
  | "MemoryLimit"
  | "LoadAverageLimit"
  | "AuthMethodNotAllowed"
  | "UnexpectedAddress"
  | "RefusedMessage"
  | "Reported";

/** The order of them in {@linkcode EVENT_TYPES}. */
const EVENT_KINDS: readonly SecurityEventKind[] = [
  "ChallengeSent",
  "SuccessfulAuth",
  "ChallengeResponseFailed",
  "InvalidPassword",
  "InvalidAccountID",
  "FailedACL",
  "RequestNotSupported",
  "RequestNotAllowed",
  "RequestBadFormat",
  "InvalidTransport",
  "SessionLimit",
  "MemoryLimit",
  "LoadAverageLimit",
  "AuthMethodNotAllowed",
  "UnexpectedAddress",
  "RefusedMessage",
  "Reported",
];

/** The part of Asterisk that raised the event; the dialplan raises no security event. */
export type Service = "AMI" | "Dialplan" | "IAX2" | "PJSIP" | "SIP";

/** The order of them in {@linkcode EVENT_TYPES}. */
export const SERVICES: readonly Service[] = ["PJSIP", "SIP", "AMI", "IAX2", "Dialplan"];

/**
 * The transport in RemoteAddress; empty when Asterisk left it out (three parts instead of four).
 */
export type Transport = "" | "TCP" | "TLS" | "UDP" | "WS" | "WSS";

/**
 * In the place of an ACLName: the dialplan turned a caller away because nobody knows them. The log
 * alone tells of it.
 */
export const UNKNOWN_CALLER = "unknown_caller";

/** Longest text of a stranger (account, ACL name) that is kept, in characters. */
export const TEXT_CHARACTERS_MAX = 80;

/**
 * One security event. The object is used again for later events: read what you need during the call
 * that hands it over, or {@linkcode SecurityEvent.detach} it.
 */
export class SecurityEvent {
  /** What happened. */
  kind: SecurityEventKind = "ChallengeSent";
  /** Where in Asterisk. */
  service: Service = "SIP";
  /** Kind and service as one number: an index of {@linkcode EVENT_TYPES}. */
  type = 0;
  /** How the host is connected. */
  transport: Transport = "";
  /**
   * The remote host: an IPv4 address as a signed 32-bit number, or an IPv6 address as canonical
   * text. Two events have the same host if and only if this is equal; it is the cheapest key for a
   * table.
   */
  host: number | string = 0;
  /** SuccessfulAuth: the host proved a password (`UsingPassword: 1`). */
  usingPassword = false;
  /** Hash of SessionID: of the SIP Call-ID (PJSIP), of a pointer (SIP, AMI). */
  session = 0;
  /** Hash of Challenge; equal challenges have equal hashes. */
  challenge = 0;
  /** Hash of the challenge and the answer to it; the same wrong answer again has the same hash. */
  answer = 0;
  /** Whether the answer to the challenge is not empty. */
  hasAnswer = false;
  /** RemoteAddress port. */
  port = 0;
  /** AccountID is empty: for AMI, nobody has logged in. */
  anonymous = false;

  #bytes: Uint8Array = NOTHING;
  #accountStart = 0;
  #accountEnd = 0;
  #detailStart = 0;
  #detailEnd = 0;
  #timeStart = 0;
  #localStart = 0;
  #localEnd = 0;
  #account: string | undefined;
  #detail: string | undefined;
  #time: string | undefined;

  /**
   * Whether the host had to answer from its address: it can't be forged. A connection shows that,
   * but not with chan_sip, which can be made to print another address than the one that its answers
   * reach, whatever the transport.
   */
  get provesPath(): boolean {
    return this.transport !== "UDP" && this.transport !== "" && this.service !== "SIP" &&
      this.kind !== "RefusedMessage";
  }

  /** The remote host as canonical text, for example `203.0.113.5` or `2001:db8::1`. */
  get address(): string {
    const host = this.host;
    return typeof host === "string" ? host : ipv4Text(host);
  }

  /**
   * AccountID, one character a byte, cut to {@linkcode TEXT_CHARACTERS_MAX}; a stranger's text:
   * escape it before printing.
   */
  get account(): string {
    return this.#account ??= this.#text(this.#accountStart, this.#accountEnd);
  }

  /** {@linkcode hashText} of {@linkcode SecurityEvent.account}, without making a text of it. */
  hashAccount(seed: number): number {
    if (this.#account !== undefined) return hashText(this.#account, seed);
    const end = Math.min(this.#accountEnd, this.#accountStart + TEXT_CHARACTERS_MAX);
    return hashBytes(this.#bytes, this.#accountStart, end, seed);
  }

  /** {@linkcode hashText} of {@linkcode SecurityEvent.time}, without making a text of it. */
  hashTime(seed: number): number {
    if (this.#time !== undefined) return hashText(this.#time, seed);
    return hashBytes(this.#bytes, this.#timeStart, this.#timeStart + TIME_BYTES, seed);
  }

  /**
   * ACLName of a FailedACL, RequestType of a refused request, else empty; cut to
   * {@linkcode TEXT_CHARACTERS_MAX}.
   */
  get detail(): string {
    return this.#detail ??= this.#text(this.#detailStart, this.#detailEnd);
  }

  /** EventTV: Asterisk's time of the event, `2026-11-22T08:09:09.918+0000`. */
  get time(): string {
    return this.#time ??= latin1(this.#bytes, this.#timeStart, this.#timeStart + TIME_BYTES);
  }

  /** LocalAddress, as Asterisk has printed it: `IPV4/UDP/192.0.2.1/5060`. */
  get localText(): string {
    return latin1(this.#bytes, this.#localStart, this.#localEnd);
  }

  /**
   * The canonical address in LocalAddress, at which Asterisk was reached; `undefined` if there is
   * none. What was refused or detached has none.
   */
  get local(): string | undefined {
    const parts = this.localText.split("/");
    return parts.length < 3 || parts.length > 4 ? undefined : parseAddress(parts.at(-2)!);
  }

  /**
   * Whether LocalAddress is this text.
   *
   * @param text As {@linkcode SecurityEvent.localText} gives it.
   */
  isLocal(text: string): boolean {
    return isText(text, viewOf(this.#bytes), this.#localStart, this.#localEnd);
  }

  /** Keeps what the event says when its bytes go away. */
  detach(): void {
    void this.account;
    void this.detail;
    void this.time;
    this.#localStart = this.#localEnd = 0;
    this.#bytes = NOTHING;
  }

  /** Index of the first byte of the AccountID value in the buffer that was parsed. */
  get accountStart(): number {
    return this.#accountStart;
  }

  /** Called by the parser: begins anew on a buffer. */
  begin(bytes: Uint8Array, timeStart: number): void {
    this.#bytes = bytes;
    this.#timeStart = timeStart;
    this.#account = this.#detail = this.#time = undefined;
    this.#detailStart = this.#detailEnd = 0;
    this.#localStart = this.#localEnd = 0;
    this.usingPassword = false;
    this.challenge = 0;
    this.answer = 0;
    this.hasAnswer = false;
  }

  /**
   * Called by the reader: nothing but who sent it is believed.
   *
   * @param service The part of Asterisk that raised it.
   * @param session Tells it from other messages.
   * @param time EventTV.
   */
  refuse(service: Service, session: number, time: string): void {
    this.begin(NOTHING, 0);
    this.kind = "RefusedMessage";
    this.service = service;
    this.type = eventType(this.kind, service);
    this.session = session;
    this.setAccount(0, 0);
    this.#time = time;
  }

  /**
   * Called by a reader of other texts than AMI's: fills the event, which keeps no bytes.
   *
   * @param facts All that is known: the address in canonical form, texts of strangers one character
   *   a byte.
   */
  state(
    facts: Pick<
      SecurityEvent,
      | "kind"
      | "service"
      | "transport"
      | "address"
      | "account"
      | "detail"
      | "session"
      | "answer"
      | "time"
    >,
  ): void {
    this.begin(NOTHING, 0);
    this.kind = facts.kind;
    this.service = facts.service;
    this.type = eventType(facts.kind, facts.service);
    this.transport = facts.transport;
    this.host = facts.address.includes(":") ? facts.address : ipv4Number(facts.address);
    this.port = 0;
    this.session = facts.session;
    // No answer is known: none is that of another line.
    this.challenge = this.answer = facts.answer;
    this.hasAnswer = true;
    this.anonymous = facts.account === "";
    this.#account = facts.account.slice(0, TEXT_CHARACTERS_MAX);
    this.#detail = facts.detail;
    this.#time = facts.time;
  }

  /** The same event in an object of its own, which keeps no bytes. */
  copy(): SecurityEvent {
    // Own properties only: what is public and no getter.
    const copy = Object.assign(new SecurityEvent(), this);
    copy.#account = this.account;
    copy.#detail = this.detail;
    copy.#time = this.time;
    return copy;
  }

  /** Called by the parser: where the account is. */
  setAccount(start: number, end: number): void {
    this.#accountStart = start;
    this.#accountEnd = end;
    this.anonymous = start === end;
  }

  /** Called by the parser: where LocalAddress is. */
  setLocal(start: number, end: number): void {
    this.#localStart = start;
    this.#localEnd = end;
  }

  /** Called by the parser: where the ACL name or request type is. */
  setDetail(start: number, end: number): void {
    this.#detailStart = start;
    this.#detailEnd = end;
  }

  #text(start: number, end: number): string {
    return knownText(this.#bytes, start, Math.min(end, start + TEXT_CHARACTERS_MAX));
  }
}

/**
 * Texts that came last, by a few of their bytes: the same ones come again and again, and need not
 * be made anew.
 */
const TEXTS_KEPT = 1024;

const texts: string[] = new Array(TEXTS_KEPT).fill("");

/** The same as {@linkcode latin1}, mostly without making a text. */
function knownText(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length <= 0) return "";
  const middle = bytes[start + (length >> 1)]!;
  const place = (bytes[end - 1]! * 37 + middle * 11 + bytes[start]! * 5 + length) % TEXTS_KEPT;
  const known = texts[place]!;
  return isText(known, viewOf(bytes), start, end)
    ? known
    : texts[place] = latin1(bytes, start, end);
}

/** Length of EventTV, `2026-11-22T08:09:09.918+0000`, in bytes. */
export const TIME_BYTES = 28;

/** A kind of event of one service. */
export interface EventType {
  /** What happened. */
  readonly kind: SecurityEventKind;
  /** Where in Asterisk. */
  readonly service: Service;
}

/** Every kind of event of every service: what {@linkcode SecurityEvent.type} is an index of. */
export const EVENT_TYPES: readonly EventType[] = EVENT_KINDS.flatMap((kind) =>
  SERVICES.map((service) => ({ kind, service }))
);

/** The index of a kind of event of a service in {@linkcode EVENT_TYPES}. */
export function eventType(kind: SecurityEventKind, service: Service): number {
  return EVENT_KINDS.indexOf(kind) * SERVICES.length + SERVICES.indexOf(service);
}
