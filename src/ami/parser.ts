/**
 * Reads Asterisk's security events by their exact grammar.
 *
 * Asterisk escapes nothing when it prints an event (`main/security_events.c`,
 * `security_event_to_ami_blob`), so a stranger can put header lines, and whole messages, into an
 * account name. What they can't do is to take away or to reorder the lines that Asterisk prints
 * around their text. Hence an event is taken only when it has exactly the headers of its kind and
 * service, in Asterisk's order, each once. Everything else that looks like an event is *tampered*.
 *
 * @module
 */

import {
  CR_LF,
  hashLine,
  hasLine,
  lineBefore,
  lineEnd,
  lineHash,
  Literal,
  viewOf,
} from "./bytes.ts";
import { SecurityEvent, type SecurityEventKind, type Service, TIME_BYTES } from "./event.ts";
import { findLastRemote, latin1 } from "./framer.ts";
import {
  type Grammar,
  grammarOf,
  GRAMMARS,
  type ServiceGrammar,
  type TailHeader,
  TAILS,
} from "./grammar.ts";
import { isFamily, parseRemoteAddress, ZERO } from "./remote_address.ts";

/**
 * What a message is.
 *
 * - `security`: a security event, exactly as Asterisk prints it.
 * - `doubled`: a security event complete to its end into which a stranger put header lines that it
 *   has already; the event is filled from the lines that Asterisk printed (the last RemoteAddress).
 *   It may be charged to its sender, never obeyed.
 * - `response`: an answer to an action (`Response: …`).
 * - `other`: an event of another class, well-formed; of no concern here.
 * - `tampered`: anything else.
 */
export type Verdict = "security" | "doubled" | "response" | "other" | "tampered";

/** A header line of a general header (Timestamp, SystemName …) is at most this long, in bytes. */
const GENERAL_BYTES_MAX = 1024;

const EVENT = new Literal("Event: ");

const RESPONSE = new Literal("Response: ");

const PRIVILEGE = new Literal("Privilege: ");

const SECURITY_ALL = new Literal("security,all\r\n");

const EVENT_TV = new Literal("EventTV: ");

const SESSION_ID = new Literal("SessionID: ");

const LOCAL_ADDRESS = new Literal("LocalAddress: ");

const REMOTE_ADDRESS = new Literal("RemoteAddress: ");

/**
 * General headers that Asterisk puts before EventTV, in its order (`manager.c`: timestampevents,
 * debug, systemname).
 */
const GENERAL = ["Timestamp", "SequenceNumber", "File", "Line", "Func", "SystemName"]
  .map((name) => new Literal(`${name}: `));

/**
 * Tells what a message is, and reads it if it is a security event.
 *
 * @param buffer Holds the message.
 * @param start Index of its first byte.
 * @param end Index behind the CR LF of its last line.
 * @param event Is filled when the verdict is `security` or `doubled`; it keeps a reference to
 *   `buffer`.
 * @returns The verdict.
 *
 * @example
 * ```ts
 * import { parseMessage } from "./parser.ts";
 * import { SecurityEvent } from "./event.ts";
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
 * Reads a security event whose end is not known yet, in one pass: most messages are such, and need
 * not be searched for their end before.
 *
 * @param buffer Holds the event, perhaps not all of it, and what follows it.
 * @param start Index of its first byte.
 * @param limit Index behind the last byte that is there.
 * @param event Is filled when the event is whole; it keeps a reference to `buffer`.
 * @returns Index behind the CR LF of its last line, when an empty line follows that and
 *   {@linkcode parseMessage} would say `security`; -1 for everything else.
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

/**
 * A well-formed event of another class: `Privilege` second, not of class security, and no line of a
 * security event.
 */
function otherEvent(view: DataView, start: number, end: number): Verdict {
  const nameAt = start + EVENT.length;
  const second = lineEnd(view, nameAt, end);
  if (second < 0 || !PRIVILEGE.at(view, second, end)) return "tampered";
  if (SECURITY_ALL.at(view, second + PRIVILEGE.length, end)) return "tampered";
  for (const { name } of GRAMMARS) {
    if (name.length === second - 2 - nameAt && name.at(view, nameAt, end)) return "tampered";
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
 * @param buffer Holds the message.
 * @param start Index of its first byte.
 * @param end Index behind the last byte that is there.
 * @returns `undefined` when it does not begin, up to its account name, exactly as Asterisk begins a
 *   security event.
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
 * Reads who sent a message, from its end: SessionID, LocalAddress, RemoteAddress and what follows
 * it in an event of any kind. If a stranger has not written the end of the message, they are its
 * true sender, whatever stands before.
 *
 * @param buffer Holds the message.
 * @param start Index of its first byte.
 * @param end Index behind the CR LF of its last line.
 * @param event Gets the address when it is there.
 * @returns `sender`; `unknown` when these three lines are there, but others between or behind them;
 *   `none` when they are not.
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
 * @param line `RemoteAddress: ` and what follows it.
 * @param event Gets the address.
 * @returns Whether it is one.
 */
export function readRemote(line: Uint8Array, event: SecurityEvent): boolean {
  const view = new DataView(line.buffer, line.byteOffset, line.length);
  return parseRemoteAddress(view, REMOTE_ADDRESS.length, line.length, event) >= 0;
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

/**
 * Reads up to the value of AccountID (or to SessionID where the account comes last); the index
 * there, or -1.
 */
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
 * @returns Index behind its last line, or -1.
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
  next = lineEnd(view, at, end);
  if (next < 0) return -1;
  event.setLocal(at, next - 2);
  at = next;

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
 * A block that is exact but for lines that a stranger put behind their account name, each doubling
 * a header of the block. The lines that Asterisk printed are its first and its last, so without the
 * stranger's it must be exact.
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

/**
 * Skips general headers, each at most once and in order; the index behind them, or -1 when one has
 * no end.
 */
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
 * `2026-11-22T08:09:09.918+0000` (`main/json.c`, `ast_json_timeval`; the offset as strftime's
 * `%z`), four bytes at a time.
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
  // Digits have 3 in their upper half, and still have it with 6 added. "-00-", "00T0", "0:00",
  // ":00." and "000".
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
