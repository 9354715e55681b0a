/**
 * Reads Asterisk's security events by their exact grammar.
 *
 * Asterisk escapes nothing when it prints an event (`main/security_events.c`, `security_event_to_ami_blob`), so a stranger
 * can put header lines, and whole messages, into an account name. What he can't do is to take away or to reorder the lines
 * that Asterisk prints around his text. Hence an event is taken only when it has exactly the headers of its kind and
 * service, in Asterisk's order, each once. Everything else that looks like an event is *tampered*.
 *
 * The header sequences are those of `main/security_events.c` (`sec_events`: first the required, then the optional
 * elements) of Asterisk 12 to 22, which do not differ.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import { findLastRemote, latin1 } from "./framer.ts";

/**
 * The security events that Asterisk 12 to 22 know, by their names on AMI, and `RefusedMessage`: what was not believed, but
 * shows who raised it. That is a wrong answer of theirs, and proves nothing else.
 */
export type SecurityEventKind =
  | "AuthMethodNotAllowed"
  | "ChallengeResponseFailed"
  | "ChallengeSent"
  | "FailedACL"
  | "InvalidAccountID"
  | "InvalidPassword"
  | "InvalidTransport"
  | "LoadAverageLimit"
  | "MemoryLimit"
  | "RefusedMessage"
  | "RequestBadFormat"
  | "RequestNotAllowed"
  | "RequestNotSupported"
  | "SessionLimit"
  | "SuccessfulAuth"
  | "UnexpectedAddress";

/** The part of Asterisk that raised the event. */
export type Service = "AMI" | "IAX2" | "PJSIP" | "SIP";

/** The transport in RemoteAddress; empty when Asterisk left it out (three parts instead of four). */
export type Transport = "" | "TCP" | "TLS" | "UDP" | "WS" | "WSS";

/** Longest text of a stranger (account, ACL name) that is kept, in characters. */
export const TEXT_CHARACTERS_MAX = 80;

const NOTHING = new Uint8Array(0);

/**
 * One security event. The object is used again for later events: read what you need during the call that hands it over, or
 * {@linkcode SecurityEvent.detach} it.
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
   * The remote host: an IPv4 address as a signed 32-bit number, or an IPv6 address as canonical text. Two events have the
   * same host if and only if this is equal; it is the cheapest key for a table.
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
  #account: string | undefined;
  #detail: string | undefined;
  #time: string | undefined;

  /**
   * Whether the host had to answer from its address: it can't be forged. A connection shows that, but not with chan_sip,
   * which can be made to print another address than the one that its answers reach, whatever the transport.
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

  /** AccountID, one character a byte, cut to {@linkcode TEXT_CHARACTERS_MAX}; a stranger's text: escape it before printing. */
  get account(): string {
    return this.#account ??= knownText(
      this.#bytes,
      this.#accountStart,
      Math.min(this.#accountEnd, this.#accountStart + TEXT_CHARACTERS_MAX),
    );
  }

  /** ACLName of a FailedACL, RequestType of a refused request, else empty; cut to {@linkcode TEXT_CHARACTERS_MAX}. */
  get detail(): string {
    return this.#detail ??= this.#text(this.#detailStart, this.#detailEnd);
  }

  /** EventTV: Asterisk's time of the event, `2026-11-22T08:09:09.918+0000`. */
  get time(): string {
    return this.#time ??= latin1(this.#bytes, this.#timeStart, this.#timeStart + TIME_BYTES);
  }

  /** Keeps what the event says when its bytes go away. */
  detach(): void {
    void this.account;
    void this.detail;
    void this.time;
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
    this.usingPassword = false;
    this.challenge = 0;
    this.answer = 0;
    this.hasAnswer = false;
  }

  /**
   * Called by the reader: nothing but who sent it is believed.
   *
   * @param service the part of Asterisk that raised it
   * @param session tells it from other messages
   * @param time EventTV
   */
  refuse(service: Service, session: number, time: string): void {
    this.begin(NOTHING, 0);
    this.kind = "RefusedMessage";
    this.service = service;
    this.type = EVENT_TYPES.findIndex((type) =>
      type.kind === this.kind && type.service === this.service
    );
    this.session = session;
    this.setAccount(0, 0);
    this.#time = time;
  }

  /** Called by the parser: where the account is. */
  setAccount(start: number, end: number): void {
    this.#accountStart = start;
    this.#accountEnd = end;
    this.anonymous = start === end;
  }

  /** Called by the parser: where the ACL name or request type is. */
  setDetail(start: number, end: number): void {
    this.#detailStart = start;
    this.#detailEnd = end;
  }

  #text(start: number, end: number): string {
    return latin1(this.#bytes, start, Math.min(end, start + TEXT_CHARACTERS_MAX));
  }
}

/** Accounts that came last, by a few of their bytes: the same ones come again and again, and need not be made anew. */
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

/**
 * What a message is.
 *
 * - `security`: a security event, exactly as Asterisk prints it.
 * - `doubled`: a security event complete to its end into which a stranger put header lines that it has already; the event
 *   is filled from the lines that Asterisk printed (the last RemoteAddress). It may be charged to its sender, never obeyed.
 * - `response`: an answer to an action (`Response: …`).
 * - `other`: an event of another class, well-formed; of no concern here.
 * - `tampered`: anything else.
 */
export type Verdict = "security" | "doubled" | "response" | "other" | "tampered";

const CR = 0x0d;
const LF = 0x0a;
/** CR LF as a little-endian number. */
const CR_LF = 0x0a0d;
const DOT = 0x2e;
const SLASH = 0x2f;
const ZERO = 0x30;
/** Length of EventTV, `2026-11-22T08:09:09.918+0000`, in bytes. */
const TIME_BYTES = 28;
/** A header line of a general header (Timestamp, SystemName …) is at most this long, in bytes. */
const GENERAL_BYTES_MAX = 1024;

// `| 0` in the loops of this module says that an index has 32 bits: V8 then neither looks for an overflow nor tags it, which
// saves a seventh of the time of the grammar.

/**
 * A text to be compared with bytes of a message, eight at a time: read as floating-point numbers, because JavaScript has no
 * other type of eight bytes that costs nothing. Two of them are equal if and only if their bytes are, unless the text's own
 * is no number or zero; the constructor sees to that.
 */
class Literal {
  readonly text: string;
  readonly length: number;
  readonly #words: Float64Array;
  /** The last bytes, eight (or four of a short text), which overlap the words before unless they begin where those end. */
  readonly #last: number;

  constructor(text: string) {
    const length = text.length;
    const view = new DataView(new ArrayBuffer(length));
    for (let i = 0; i < length; i++) view.setUint8(i, text.charCodeAt(i));
    if (length < 4) throw new RangeError(`"${text}" is too short`);
    this.text = text;
    this.length = length;
    this.#words = new Float64Array((length - 1) >> 3);
    this.#last = length < 8 ? view.getInt32(length - 4, true) : view.getFloat64(length - 8, true);
    let comparable = Math.abs(this.#last) > 0;
    for (let i = 0; i < this.#words.length; i++) {
      this.#words[i] = view.getFloat64(8 * i, true);
      if (!(Math.abs(this.#words[i]!) > 0)) comparable = false;
    }
    if (!comparable) throw new RangeError(`"${text}" cannot be compared`);
  }

  /** Whether the bytes at `at` are this text; they must end before `end`. */
  at(view: DataView, at: number, end: number): boolean {
    const length = this.length;
    if (at + length > end) return false;
    if (length < 8) {
      // The last four bytes, then those before them.
      return view.getInt32(at + length - 4, true) === this.#last &&
        (length === 4 || this.#beginsAt(view, at));
    }
    const words = this.#words;
    let from = at | 0;
    for (let i = 0; i < words.length; i = i + 1 | 0) {
      if (view.getFloat64(from, true) !== words[i]) return false;
      from = from + 8 | 0;
    }
    return view.getFloat64(at + length - 8 | 0, true) === this.#last;
  }

  #beginsAt(view: DataView, at: number): boolean {
    for (let i = 0; i < this.length - 4; i++) {
      if (view.getUint8(at + i) !== this.text.charCodeAt(i)) return false;
    }
    return true;
  }
}

// The framer hands on one buffer for ever, so that its view is made once.
let viewed: Uint8Array = NOTHING;
let view: DataView = new DataView(NOTHING.buffer);

function viewOf(buffer: Uint8Array): DataView {
  if (buffer !== viewed) {
    viewed = buffer;
    view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  }
  return view;
}

/** What follows RemoteAddress: the header's name, and whether Asterisk may leave it out. */
interface TailHeader {
  readonly name: string;
  readonly literal: Literal;
  readonly optional: boolean;
  readonly role: "answer" | "challenge" | "detail" | "ignored" | "password" | "account";
}

/** How an event of one kind goes on from Severity, for one service. */
interface ServiceGrammar {
  readonly service: Service;
  /** Index of {@linkcode EVENT_TYPES}. */
  readonly type: number;
  /** First byte of the service's name: no two begin alike. */
  readonly initial: number;
  /** `CR LF Severity: … CR LF Service: … CR LF EventVersion: … CR LF` and, unless AccountID comes last, `AccountID: ` */
  readonly middle: Literal;
  /** What follows RemoteAddress; `undefined`: this service never raises the event. */
  readonly tail: readonly TailHeader[] | undefined;
}

/** A kind of event of one service. */
export interface EventType {
  /** What happened. */
  readonly kind: SecurityEventKind;
  /** Where in Asterisk. */
  readonly service: Service;
}

const eventTypes: EventType[] = [];

/** Every kind of event of every service: what {@linkcode SecurityEvent.type} is an index of. */
export const EVENT_TYPES: readonly EventType[] = eventTypes;

interface Grammar {
  readonly kind: SecurityEventKind;
  readonly name: Literal;
  /** `Event: NAME CR LF Privilege: security,all CR LF` */
  readonly head: Literal;
  /** The same, and `EventTV: ` */
  readonly plainHead: Literal;
  /** Length of `CR LF Severity: … CR LF Service: `, in bytes. */
  readonly toService: number;
  readonly accountLast: boolean;
  readonly services: readonly ServiceGrammar[];
}

function header(text: string): TailHeader {
  const optional = text.endsWith("?");
  const name = optional ? text.slice(0, -1) : text;
  return { name, literal: new Literal(`${name}: `), optional, role: ROLES[name] ?? "ignored" };
}

const ROLES: Record<string, TailHeader["role"]> = {
  AccountID: "account",
  ACLName: "detail",
  AuthMethod: "detail",
  AttemptedTransport: "detail",
  Challenge: "challenge",
  ReceivedChallenge: "answer",
  ReceivedHash: "answer",
  RequestType: "detail",
  Response: "answer",
  UsingPassword: "password",
};

function grammar(
  kind: SecurityEventKind,
  tails: Partial<Record<Service, string>>,
  options: { severity?: string; version?: number; accountLast?: boolean } = {},
): Grammar {
  const { severity = "Error", version = 1, accountLast = false } = options;
  const severityLines = `\r\nSeverity: ${severity}\r\nService: `;
  const head = `Event: ${kind}\r\nPrivilege: security,all\r\n`;
  return {
    kind,
    name: new Literal(kind),
    head: new Literal(head),
    plainHead: new Literal(`${head}EventTV: `),
    toService: severityLines.length,
    accountLast,
    services: SERVICES.map((service) => ({
      service,
      type: eventTypes.push({ kind, service }) - 1,
      initial: service.charCodeAt(0),
      middle: new Literal(
        `${severityLines}${service}\r\nEventVersion: ${version}\r\n${
          accountLast ? "" : "AccountID: "
        }`,
      ),
      tail: tails[service]?.split(" ").filter((name) => name !== "").map(header),
    })),
  };
}

const SERVICES: readonly Service[] = ["PJSIP", "SIP", "AMI", "IAX2"];
const INFORMATIONAL = { severity: "Informational" };
/** IAX2 raises none of these up to Asterisk 22; should it begin to, it will use the elements of chan_sip. */
const GRAMMARS: readonly Grammar[] = [
  grammar("ChallengeSent", {
    PJSIP: "Challenge Module?",
    SIP: "Challenge Module?",
    IAX2: "Challenge Module?",
  }, INFORMATIONAL),
  grammar("SuccessfulAuth", {
    PJSIP: "UsingPassword Module?",
    SIP: "UsingPassword Module?",
    IAX2: "UsingPassword Module?",
    AMI: "UsingPassword Module? SessionTV",
  }, INFORMATIONAL),
  grammar("ChallengeResponseFailed", {
    PJSIP: "Challenge Response ExpectedResponse Module?",
    SIP: "Challenge Response ExpectedResponse Module?",
    IAX2: "Challenge Response ExpectedResponse Module?",
    AMI: "Challenge Response ExpectedResponse Module? SessionTV",
  }),
  grammar("InvalidPassword", {
    SIP: "Module? Challenge ReceivedChallenge ReceivedHash",
    IAX2: "Module? Challenge? ReceivedChallenge? ReceivedHash?",
    AMI: "Module? SessionTV",
  }, { version: 2 }),
  grammar("InvalidAccountID", {
    PJSIP: "Module?",
    SIP: "Module?",
    IAX2: "Module?",
    AMI: "Module? SessionTV",
  }),
  grammar("FailedACL", {
    PJSIP: "Module? ACLName",
    SIP: "Module? ACLName",
    IAX2: "Module? ACLName?",
    AMI: "Module? SessionTV",
  }),
  grammar("RequestNotSupported", {
    PJSIP: "RequestType Module?",
    SIP: "RequestType Module?",
    IAX2: "RequestType Module?",
    AMI: "RequestType Module? SessionTV",
  }),
  grammar("RequestNotAllowed", { AMI: "RequestType Module? SessionTV RequestParams?" }),
  grammar("RequestBadFormat", {
    AMI: "RequestType Module? SessionTV AccountID RequestParams?",
  }, { accountLast: true }),
  grammar("InvalidTransport", {
    PJSIP: "AttemptedTransport Module?",
    SIP: "AttemptedTransport Module?",
  }),
  grammar("SessionLimit", {
    PJSIP: "Module?",
    SIP: "Module?",
    IAX2: "Module?",
    AMI: "Module? SessionTV",
  }),
  grammar("MemoryLimit", {
    PJSIP: "Module?",
    SIP: "Module?",
    IAX2: "Module?",
    AMI: "Module? SessionTV",
  }),
  grammar("LoadAverageLimit", {
    PJSIP: "Module?",
    SIP: "Module?",
    IAX2: "Module?",
    AMI: "Module? SessionTV",
  }),
  grammar("AuthMethodNotAllowed", {
    PJSIP: "AuthMethod Module?",
    SIP: "AuthMethod Module?",
    IAX2: "AuthMethod Module?",
    AMI: "AuthMethod Module? SessionTV",
  }),
  grammar("UnexpectedAddress", {
    PJSIP: "ExpectedAddress Module?",
    SIP: "ExpectedAddress Module?",
    IAX2: "ExpectedAddress Module?",
    AMI: "ExpectedAddress Module? SessionTV",
  }),
];

for (const service of SERVICES) eventTypes.push({ kind: "RefusedMessage", service });

/** Everything that Asterisk prints behind the RemoteAddress of an event that a stranger may have written into. */
const TAILS: readonly (readonly TailHeader[])[] = GRAMMARS
  .filter((g) => !g.accountLast)
  .flatMap((g) => g.services.flatMap(({ tail }) => tail === undefined ? [] : [tail]));

const EVENT = new Literal("Event: ");
const RESPONSE = new Literal("Response: ");
const PRIVILEGE = new Literal("Privilege: ");
const SECURITY_ALL = new Literal("security,all\r\n");
const EVENT_TV = new Literal("EventTV: ");
const SESSION_ID = new Literal("SessionID: ");
const LOCAL_ADDRESS = new Literal("LocalAddress: ");
const REMOTE_ADDRESS = new Literal("RemoteAddress: ");
/** General headers that Asterisk puts before EventTV, in its order (`manager.c`: timestampevents, debug, systemname). */
const GENERAL = ["Timestamp", "SequenceNumber", "File", "Line", "Func", "SystemName"]
  .map((name) => new Literal(`${name}: `));

/** The first four bytes of a transport in RemoteAddress, as a little-endian number. */
const UDP_WORD = wordOf("UDP/");
const TCP_WORD = wordOf("TCP/");
const TLS_WORD = wordOf("TLS/");
const WSS_WORD = wordOf("WSS/");
/** The same without the highest byte: `WS/` is shorter. */
const WS_WORD = wordOf("WS/\0");

/** Four characters as they are read from a message. */
function wordOf(text: string): number {
  return new DataView(new TextEncoder().encode(text).buffer).getInt32(0, true);
}

/** Where in a message the word is that tells the kinds of events apart: behind `Event: ` and nine letters. */
const KIND_WORD_AT = "Event: ".length + 9;
const GRAMMAR_BY_WORD: ReadonlyMap<number, Grammar> = new Map(
  GRAMMARS.map((g) => [wordOf(g.head.text.slice(KIND_WORD_AT, KIND_WORD_AT + 4)), g]),
);
if (GRAMMAR_BY_WORD.size !== GRAMMARS.length) throw new Error("two kinds of events look alike");

/** The grammar whose head a message may have; whether it has must be seen. */
function grammarOf(view: DataView, start: number, end: number): Grammar | undefined {
  if (start + KIND_WORD_AT + 4 > end) return undefined;
  return GRAMMAR_BY_WORD.get(view.getInt32(start + KIND_WORD_AT, true));
}

// Seeds nobody outside knows, so that nobody can choose Call-IDs whose hashes are equal.
const [SEED_A = 0, SEED_B = 0] = crypto.getRandomValues(new Int32Array(2));

/**
 * Tells what a message is, and reads it if it is a security event.
 *
 * @param buffer holds the message
 * @param start index of its first byte
 * @param end index behind the CR LF of its last line
 * @param event is filled when the verdict is `security` or `doubled`; it keeps a reference to `buffer`
 * @returns the verdict
 *
 * @example
 * ```ts
 * import { parseMessage, SecurityEvent } from "./security_event.ts";
 *
 * const bytes = new TextEncoder().encode("Event: Shutdown\r\nA: b\r\n");
 * console.log(parseMessage(bytes, 0, bytes.length, new SecurityEvent())); // "tampered"
 * ```
 */
export function parseMessage(
  buffer: Uint8Array,
  start: number,
  end: number,
  event: SecurityEvent,
): Verdict {
  const view = viewOf(buffer);
  const g = grammarOf(view, start, end);
  if (g !== undefined) {
    if (parseExactly(g, view, buffer, start, end, event) === end) return "security";
    if (g.head.at(view, start, end)) {
      return parseDoubled(g, buffer, start, end, event) ? "doubled" : "tampered";
    }
  }
  if (EVENT.at(view, start, end)) return otherEvent(view, start, end);
  if (!RESPONSE.at(view, start, end)) return "tampered";
  return hasLine(view, start, end, REMOTE_ADDRESS) ? "tampered" : "response";
}

/**
 * Reads a security event whose end is not known yet, in one pass: most messages are such, and need not be searched for
 * their end before.
 *
 * @param buffer holds the event, perhaps not all of it, and what follows it
 * @param start index of its first byte
 * @param limit index behind the last byte that is there
 * @param event is filled when the event is whole; it keeps a reference to `buffer`
 * @returns index behind the CR LF of its last line, when an empty line follows that and {@linkcode parseMessage} would say
 *   `security`; -1 for everything else
 */
export function parseAhead(
  buffer: Uint8Array,
  start: number,
  limit: number,
  event: SecurityEvent,
): number {
  const view = viewOf(buffer);
  const g = grammarOf(view, start, limit);
  if (g === undefined) return -1;
  const end = parseExactly(g, view, buffer, start, limit, event);
  return end >= 0 && end + 2 <= limit && view.getInt16(end, true) === CR_LF ? end : -1;
}

/** A well-formed event of another class: `Privilege` second, not of class security, and no line of a security event. */
function otherEvent(view: DataView, start: number, end: number): Verdict {
  const nameAt = start + EVENT.length;
  const second = lineEnd(view, nameAt, end);
  if (second < 0 || !PRIVILEGE.at(view, second, end)) return "tampered";
  if (SECURITY_ALL.at(view, second + PRIVILEGE.length, end)) return "tampered";
  if (GRAMMARS.some((g) => g.name.length === second - 2 - nameAt && g.name.at(view, nameAt, end))) {
    return "tampered";
  }
  return hasLine(view, start, end, REMOTE_ADDRESS) ? "tampered" : "other";
}

/** The beginning of a message, as far as its account name. */
export interface Head {
  /** What Asterisk says has happened, unless a stranger wrote it. */
  readonly kind: SecurityEventKind;
  /** Where in Asterisk. */
  readonly service: Service;
  /** Index of the first byte of the account name. */
  readonly accountAt: number;
  /** EventTV. */
  readonly time: string;
}

/**
 * Reads the beginning of a message.
 *
 * @param buffer holds the message
 * @param start index of its first byte
 * @param end index behind the last byte that is there
 * @returns `undefined` when it does not begin, up to its account name, exactly as Asterisk begins a security event
 */
export function readHead(buffer: Uint8Array, start: number, end: number): Head | undefined {
  const view = viewOf(buffer);
  const found = grammarOf(view, start, end);
  if (found === undefined) return undefined;
  const event = new SecurityEvent();
  const accountAt = parseHead(found, view, buffer, start, end, event);
  if (accountAt < 0) return undefined;
  return { kind: event.kind, service: event.service, accountAt, time: event.time };
}

/**
 * Reads who sent a message, from its end: SessionID, LocalAddress, RemoteAddress and what follows it in an event of any
 * kind. If a stranger has not written the end of the message, they are its true sender, whatever stands before.
 *
 * @param buffer holds the message
 * @param start index of its first byte
 * @param end index behind the CR LF of its last line
 * @param event gets the address when it is there
 * @returns `sender`; `unknown` when these three lines are there, but others between or behind them; `none` when they are not
 */
export function readSender(
  buffer: Uint8Array,
  start: number,
  end: number,
  event: SecurityEvent,
): "sender" | "unknown" | "none" {
  const view = viewOf(buffer);
  const remote = findLastRemote(buffer, start, end);
  if (remote < 0) return "none";
  const local = findLineBefore(LOCAL_ADDRESS, view, remote, start);
  const session = findLineBefore(SESSION_ID, view, local, start);
  if (session < 0) return "none";
  if (lineBefore(view, remote, start) !== local || lineBefore(view, local, start) !== session) {
    return "unknown";
  }
  const behind = parseRemoteAddress(view, remote + REMOTE_ADDRESS.length, end, event);
  return behind >= 0 && TAILS.some((tail) => skipTail(tail, view, behind, end) === end)
    ? "sender"
    : "unknown";
}

/**
 * Reads the address of one line.
 *
 * @param line `RemoteAddress: ` and what follows it
 * @param event gets the address
 * @returns whether it is one
 */
export function readRemote(line: Uint8Array, event: SecurityEvent): boolean {
  const view = new DataView(line.buffer, line.byteOffset, line.length);
  return parseRemoteAddress(view, REMOTE_ADDRESS.length, line.length, event) >= 0;
}

/** Index of the line that ends at `at`, or -1 when none does behind `start`. */
function lineBefore(view: DataView, at: number, start: number): number {
  if (at - 2 < start) return -1;
  let i = at - 2;
  while (i - 2 >= start && view.getInt16(i - 2, true) !== CR_LF) i--;
  return i - 2 >= start ? i : start;
}

/** Index of the last line above `at` that begins with the literal, or -1. */
function findLineBefore(literal: Literal, view: DataView, at: number, start: number): number {
  let line = at;
  do {
    line = lineBefore(view, line, start);
  } while (line >= 0 && !literal.at(view, line, at));
  return line;
}

/** Skips the lines behind RemoteAddress; the index behind them, or -1. */
function skipTail(
  tail: readonly TailHeader[],
  view: DataView,
  start: number,
  end: number,
): number {
  let at = start;
  for (const expected of tail) {
    if (expected.literal.at(view, at, end)) at = lineEnd(view, at, end);
    else if (!expected.optional) return -1;
    if (at < 0) return -1;
  }
  return at;
}

/** The grammar that {@linkcode parseHead} has found last. */
let parsedService: ServiceGrammar;

/** Reads up to the value of AccountID (or to SessionID where the account comes last); the index there, or -1. */
function parseHead(
  g: Grammar,
  view: DataView,
  buffer: Uint8Array,
  start: number,
  end: number,
  event: SecurityEvent,
): number {
  let at = start + g.plainHead.length;
  if (!g.plainHead.at(view, start, end)) {
    if (!g.head.at(view, start, end)) return -1;
    at = skipGeneral(view, start + g.head.length, end);
    if (at < 0 || !EVENT_TV.at(view, at, end)) return -1;
    at += EVENT_TV.length;
  }
  if (!isTime(view, at, end)) return -1;
  event.begin(buffer, at);
  at += TIME_BYTES;
  if (at + g.toService >= end) return -1;
  const initial = view.getUint8(at + g.toService);
  const services = g.services;
  for (let i = 0; i < services.length; i++) {
    const candidate = services[i]!;
    if (candidate.initial !== initial) continue;
    if (!candidate.middle.at(view, at, end)) return -1;
    parsedService = candidate;
    event.type = candidate.type;
    event.kind = g.kind;
    event.service = candidate.service;
    return at + candidate.middle.length;
  }
  return -1;
}

/**
 * Reads an event as long as its lines are those of its kind.
 *
 * @returns index behind its last line, or -1
 */
function parseExactly(
  g: Grammar,
  view: DataView,
  buffer: Uint8Array,
  start: number,
  end: number,
  event: SecurityEvent,
): number {
  let at = parseHead(g, view, buffer, start, end, event);
  if (at < 0) return -1;
  const tail = parsedService.tail;
  if (tail === undefined) return -1;
  if (!g.accountLast) {
    const next = lineEnd(view, at, end);
    if (next < 0) return -1;
    event.setAccount(at, next - 2);
    at = next;
  }

  if (!SESSION_ID.at(view, at, end)) return -1;
  at += SESSION_ID.length;
  let next = hashLine(view, at, end, 0);
  if (next < 0) return -1;
  event.session = lineHash;
  at = next;

  if (!LOCAL_ADDRESS.at(view, at, end)) return -1;
  at += LOCAL_ADDRESS.length;
  if (!isFamily(view, at, end)) return -1;
  at = lineEnd(view, at, end);
  if (at < 0) return -1;

  if (!REMOTE_ADDRESS.at(view, at, end)) return -1;
  at = parseRemoteAddress(view, at + REMOTE_ADDRESS.length, end, event);
  if (at < 0) return -1;

  for (let i = 0; i < tail.length; i++) {
    const expected = tail[i]!;
    if (!expected.literal.at(view, at, end)) {
      if (expected.optional) continue;
      return -1;
    }
    next = takeTail(expected.role, view, at + expected.literal.length, end, event);
    if (next < 0) return -1;
    at = next;
  }
  return at;
}

/** Reads the value of a header behind RemoteAddress; the index behind its line, or -1. */
function takeTail(
  role: TailHeader["role"],
  view: DataView,
  at: number,
  end: number,
  event: SecurityEvent,
): number {
  switch (role) {
    case "challenge": {
      const next = hashLine(view, at, end, 0);
      event.challenge = event.answer = lineHash;
      return next;
    }
    case "answer": {
      const next = hashLine(view, at, end, event.answer);
      event.answer = lineHash;
      event.hasAnswer = next - 2 > at;
      return next;
    }
    case "password": {
      if (at + 3 > end || view.getInt16(at + 1, true) !== CR_LF) return -1;
      const value = view.getUint8(at) - ZERO;
      if (value !== 0 && value !== 1) return -1;
      event.usingPassword = value === 1;
      return at + 3;
    }
    case "detail": {
      const next = lineEnd(view, at, end);
      event.setDetail(at, next - 2);
      return next;
    }
    case "account": {
      const next = lineEnd(view, at, end);
      event.setAccount(at, next - 2);
      return next;
    }
    case "ignored":
      return lineEnd(view, at, end);
  }
}

/**
 * A block that is exact but for lines that a stranger put behind his account name, each doubling a header of the block.
 * The lines that Asterisk printed are its first and its last, so without the stranger's it must be exact.
 */
function parseDoubled(
  g: Grammar,
  buffer: Uint8Array,
  start: number,
  end: number,
  event: SecurityEvent,
): boolean {
  if (g.accountLast || g.kind === "SuccessfulAuth") return false;
  const text = latin1(buffer, start, end);
  const account = text.indexOf("\r\nAccountID: ");
  const session = text.lastIndexOf("\r\nSessionID: ");
  const accountEnd = text.indexOf("\r\n", account + 2);
  if (account < 0 || session <= accountEnd) return false;
  const cleaned = buffer.slice(start, end - (session - accountEnd));
  cleaned.set(buffer.subarray(start + session, end), accountEnd);
  const view = viewOf(cleaned);
  if (parseExactly(g, view, cleaned, 0, cleaned.length, event) !== cleaned.length) return false;
  const names = new Set(headerNames(latin1(cleaned, 0, cleaned.length)));
  return headerNames(text.slice(accountEnd + 2, session + 2)).every((name) => names.has(name));
}

/** The header names of complete lines; a line without `: ` gives an empty name. */
function headerNames(text: string): string[] {
  return text.split("\r\n").slice(0, -1).map((line) =>
    line.slice(0, Math.max(0, line.indexOf(": ")))
  );
}

/** Skips general headers, each at most once and in order; the index behind them, or -1 when one has no end. */
function skipGeneral(view: DataView, start: number, end: number): number {
  let at = start;
  for (const literal of GENERAL) {
    if (!literal.at(view, at, end)) continue;
    const next = lineEnd(view, at, Math.min(end, at + GENERAL_BYTES_MAX));
    if (next < 0) return -1;
    at = next;
  }
  return at;
}

/**
 * RemoteAddress: `FAMILY/TRANSPORT/ADDRESS/PORT` or `FAMILY/ADDRESS/PORT` (`main/security_events.c`,
 * `add_json_object` of an address; the transport is left out when Asterisk does not know it).
 *
 * @returns index behind its line, or -1
 */
function parseRemoteAddress(
  view: DataView,
  start: number,
  end: number,
  event: SecurityEvent,
): number {
  if (!isFamily(view, start, end)) return -1;
  const ipv4 = view.getUint8(start + 3) === 0x34;
  let at = start + 5;
  event.transport = "";
  if (at + 4 > end) return -1;
  const word = view.getInt32(at, true);
  const first = word & 0xff;
  if (first >= 0x54 && first <= 0x57) { // "T" to "W": every transport begins so, no address does
    at += 4;
    if (word === UDP_WORD) event.transport = "UDP";
    else if (word === TCP_WORD) event.transport = "TCP";
    else if (word === TLS_WORD) event.transport = "TLS";
    else if (word === WSS_WORD) event.transport = "WSS";
    else if ((word & 0xffffff) === WS_WORD) {
      event.transport = "WS";
      at--;
    } else return -1;
  }
  at = ipv4 ? parseIpv4(view, at, end, event) : parseIpv6(view, at, end, event);
  return at < 0 ? -1 : parsePort(view, at, end, event);
}

/** Most digits of a port. */
const PORT_DIGITS_MAX = 5;

/** Reads up to the CR LF; the index behind it, or -1. */
function parsePort(view: DataView, start: number, end: number, event: SecurityEvent): number {
  let port = 0;
  let at = start | 0;
  for (const last = Math.min(end - 1, start + PORT_DIGITS_MAX) | 0; at < last; at = at + 1 | 0) {
    const digit = view.getUint8(at) - ZERO;
    if (digit < 0 || digit > 9) break;
    port = Math.imul(port, 10) + digit | 0;
  }
  if (at === start || port > 65_535) return -1;
  event.port = port;
  return at < (end - 1 | 0) && view.getInt16(at, true) === CR_LF ? at + 2 | 0 : -1;
}

/** Reads a dotted quad up to the slash behind it; the index behind that, or -1. */
function parseIpv4(view: DataView, start: number, end: number, event: SecurityEvent): number {
  let value = 0;
  let parts = 0;
  let part = -1;
  for (let i = start | 0, last = end | 0; i < last; i = i + 1 | 0) {
    const byte = view.getUint8(i);
    const digit = byte - ZERO;
    if (digit >= 0 && digit <= 9) {
      // A leading zero would make the text ambiguous (octal): Asterisk never prints one.
      part = part < 0 ? digit : part === 0 ? 256 : Math.imul(part, 10) + digit | 0;
      if (part > 255) return -1;
    } else if (part < 0) {
      return -1;
    } else {
      value = (value << 8) | part;
      part = -1;
      if (byte === SLASH) {
        event.host = value;
        return parts === 3 ? i + 1 : -1;
      }
      if (byte !== DOT || ++parts > 3) return -1;
    }
  }
  return -1;
}

/** Longest IPv6 address with zone that is looked at, in bytes (INET6_ADDRSTRLEN 46, IF_NAMESIZE 16). */
const IPV6_BYTES_MAX = 62;
/** The IPv6 addresses seen last, by the hash of their text, so that the address of a busy host is parsed once. */
const IPV6_CACHE_MAX = 4096;
const ipv6Cache = new Map<number, { text: string; host: number | string }>();

/** Reads an IPv6 address up to the slash behind it; the index behind that, or -1. */
function parseIpv6(view: DataView, start: number, limit: number, event: SecurityEvent): number {
  const last = Math.min(limit, start + IPV6_BYTES_MAX + 1);
  let end = start;
  let key = SEED_A;
  for (; end < last; end++) {
    const byte = view.getUint8(end);
    if (byte === SLASH) break;
    key = Math.imul(key ^ byte, 0x01000193);
  }
  if (end === last) return -1;
  const known = ipv6Cache.get(key);
  if (known !== undefined && isText(known.text, view, start, end)) {
    event.host = known.host;
    return end + 1;
  }
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(view.getUint8(i));
  const address = text.includes(":") ? parseAddress(text) : undefined;
  if (address === undefined) return -1;
  // An IPv4-mapped address is the IPv4 host.
  event.host = address.includes(":") ? address : ipv4Number(address);
  if (ipv6Cache.size >= IPV6_CACHE_MAX) ipv6Cache.clear();
  ipv6Cache.set(key, { text, host: event.host });
  return end + 1;
}

/** Whether the bytes are this text, one character a byte. */
function isText(text: string, view: DataView, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  let i = 0;
  while (i < text.length && text.charCodeAt(i) === view.getUint8(start + i)) i++;
  return i === text.length;
}

/** The text of an IPv4 address that is kept as a signed 32-bit number. */
export function ipv4Text(host: number): string {
  return `${host >>> 24}.${(host >>> 16) & 255}.${(host >>> 8) & 255}.${host & 255}`;
}

/** The signed 32-bit number of an IPv4 address in canonical text. */
export function ipv4Number(address: string): number {
  return address.split(".").reduce((value, part) => (value << 8) | Number(part), 0);
}

/** `IPV4/` or `IPV6/` */
function isFamily(view: DataView, at: number, end: number): boolean {
  if (end - at <= 5 || view.getUint8(at + 4) !== SLASH) return false;
  const word = view.getInt32(at, true);
  return word === IPV4_WORD || word === IPV6_WORD;
}

/** The bytes of `IPV4` and `IPV6` as little-endian numbers. */
const IPV4_WORD = 0x34565049;
const IPV6_WORD = 0x36565049;

/**
 * `2026-11-22T08:09:09.918+0000` (`main/json.c`, `ast_json_timeval`; the offset as strftime's `%z`), four bytes at a time.
 */
function isTime(view: DataView, at: number, end: number): boolean {
  if (end - at < TIME_BYTES) return false;
  const year = view.getInt32(at, true);
  const month = view.getInt32(at + 4, true);
  const day = view.getInt32(at + 8, true);
  const hour = view.getInt32(at + 12, true);
  const second = view.getInt32(at + 16, true);
  const milliseconds = view.getInt32(at + 20, true);
  const offset = view.getInt32(at + 24, true);
  const sign = milliseconds >>> 24;
  // Digits have 3 in their upper half, and still have it with 6 added. "-00-", "00T0", "0:00", ":00." and "000".
  return (year & 0xf0f0f0f0) === 0x30303030 && (offset & 0xf0f0f0f0) === 0x30303030 &&
    (month & 0xfff0f0ff | 0) === 0x2d30302d && (day & 0xf0fff0f0) === 0x30543030 &&
    (hour & 0xf0f0fff0) === 0x30303a30 && (second & 0xfff0f0ff) === 0x2e30303a &&
    (milliseconds & 0xf0f0f0) === 0x303030 && (sign === 0x2b || sign === 0x2d) &&
    (year + 0x06060606 & 0xf0f0f0f0) === 0x30303030 &&
    (offset + 0x06060606 & 0xf0f0f0f0) === 0x30303030 &&
    (month + 0x00060600 & 0xf0f000) === 0x303000 &&
    (day + 0x06000606 & 0xf000f0f0) === 0x30003030 &&
    (hour + 0x06060006 & 0xf0f000f0) === 0x30300030 &&
    (second + 0x00060600 & 0xf0f000) === 0x303000 &&
    (milliseconds + 0x060606 & 0xf0f0f0) === 0x303030;
}

/** Index behind the CR LF of the line at `at`, or -1. Looks for the CR in four bytes at a time. */
function lineEnd(view: DataView, at: number, end: number): number {
  let i = at | 0;
  for (const last = end - 4 | 0; i <= last; i = i + 4 | 0) {
    const word = view.getInt32(i, true) ^ 0x0d0d0d0d;
    // The usual test for a zero byte in a word.
    if (((word - 0x01010101) & ~word & 0x80808080) === 0) continue;
    for (let byte = i; byte < (i + 4 | 0) && byte < (end - 1 | 0); byte = byte + 1 | 0) {
      if (view.getInt16(byte, true) === CR_LF) return byte + 2 | 0;
    }
  }
  for (const last = end - 2 | 0; i <= last; i = i + 1 | 0) {
    if (view.getInt16(i, true) === CR_LF) return i + 2 | 0;
  }
  return -1;
}

/** Whether any line of the message begins with the literal. */
function hasLine(view: DataView, start: number, end: number, literal: Literal): boolean {
  for (let at = start; at >= 0 && at < end; at = lineEnd(view, at, end)) {
    if (literal.at(view, at, end)) return true;
  }
  return false;
}

/** What {@linkcode hashLine} has found. */
let lineHash = 0;

/**
 * Reads a value and its hash in one pass: equal values have equal hashes, wherever they stand.
 *
 * The hash is seeded, and a small integer because V8 keeps larger numbers in objects of their own, several for each event.
 * At most 50 sessions of one host are compared, so that a chance match is one in a hundred million.
 *
 * @returns index behind the CR LF of the line, and in {@linkcode lineHash} the hash; or -1
 */
function hashLine(view: DataView, start: number, end: number, seed: number): number {
  let a = SEED_A ^ seed;
  let b = SEED_B + seed | 0;
  let i = start | 0;
  for (const last = end - 4 | 0; i <= last; i = i + 4 | 0) {
    const word = view.getInt32(i, true);
    const other = word ^ 0x0d0d0d0d;
    // The usual test for a zero byte in a word: there is a CR in it.
    if (((other - 0x01010101) & ~other & 0x80808080) !== 0) break;
    a = Math.imul(a ^ word, 0x9e3779b1);
    a ^= a >>> 15;
    b = Math.imul(b + word | 0, 0x85ebca6b);
    b ^= b >>> 13;
  }
  for (const last = end - 1 | 0; i < last; i = i + 1 | 0) {
    const byte = view.getUint8(i);
    if (byte === CR && view.getUint8(i + 1 | 0) === LF) {
      lineHash = mixed(a, b, i - start | 0);
      return i + 2 | 0;
    }
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b, 31) + byte | 0;
  }
  return -1;
}

/** The last step of a hash. */
function mixed(a: number, b: number, length: number): number {
  a ^= length;
  a = Math.imul(a ^ (a >>> 16), 0x7feb352d);
  b = Math.imul(b ^ (b >>> 15), 0x2c1b3c6d);
  return a ^ b;
}
