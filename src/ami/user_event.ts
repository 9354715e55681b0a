/**
 * Reads what the dialplan reports: `UserEvent(Ampere,Address: 203.0.113.5,Reason: anonymous call)`.
 *
 * Asterisk prints such an event with what it knows of the channel (`manager_channels.c`), and
 * escapes nothing: the caller's number and the dialled one are a stranger's text, into which they
 * may write line ends. Behind these it prints the name of the event and what the dialplan says,
 * which they cannot take away: the address at the true end of the event is the dialplan's. So
 * `EventReader` withholds a report until what follows shows that this is its true end. Exactly
 * formed, with all lines that Asterisk 13 to 22 print, each once and in its order, or of PJSIP, it
 * must not be cut; of another driver no user event may follow it closely either.
 *
 * What the dialplan itself puts into the event is believed: a caller's text in it is the caller's
 * word (docs/threat-model.md).
 *
 * @module
 */

import { hasLine, Literal, viewOf } from "./bytes.ts";
import type { SecurityEvent } from "./event.ts";
import { latin1 } from "./framer.ts";
import { printedHost } from "./printed_host.ts";

/** The name of our events. */
const NAME = "Ampere";

/** Longest message that is looked at, in bytes; Asterisk's own text in it has 400. */
const MESSAGE_BYTES_MAX = 4096;

/** Longest reason, in bytes. */
const REASON_BYTES_MAX = 200;

const HEAD = new Literal("Event: UserEvent\r\nPrivilege: user,all\r\n");

const USER_EVENT = new Literal("UserEvent: ");

/** What Asterisk can put before the event's own lines (`manager.c`), each once at most. */
const GENERAL = ["Timestamp", "SequenceNumber", "File", "Line", "Func", "SystemName"] as const;

/** What it knows of the channel: all of it, or nothing when the event is of no channel. */
const CHANNEL = [
  /^Channel: .+$/,
  /^ChannelState: \d{1,2}$/,
  /^ChannelStateDesc: [A-Za-z -]{1,20}$/,
  /^CallerIDNum: .*$/,
  /^CallerIDName: .*$/,
  /^ConnectedLineNum: .*$/,
  /^ConnectedLineName: .*$/,
  /^Language: .*$/,
  /^AccountCode: .*$/,
  /^Context: .*$/,
  /^Exten: .*$/,
  /^Priority: \d{1,10}$/,
  /^Uniqueid: (?:[\w.-]{1,150}-)?\d{1,20}\.\d{1,20}$/,
  /^Linkedid: (?:[\w.-]{1,150}-)?\d{1,20}\.\d{1,20}$/,
] as const;

/**
 * What a message is.
 *
 * - `report`: the dialplan names a host; the event is filled.
 * - `loose`: the same, but a caller has written lines into what stands before; the event is filled
 *   from its end, behind all that is theirs, if that end is Asterisk's.
 * - `wide`: the same of a channel driver other than PJSIP, in which a caller has room for an end
 *   and for the beginning of another event.
 * - `foreign`: a user event of another name, formed as Asterisk forms it.
 * - `malformed`: one of our name that Asterisk, or the dialplan, does not form so.
 * - `cut`: the beginning of a user event, which a caller has ended before its name.
 * - `none`: anything else; if it has the line `UserEvent: …`, it may be the rest of a user event
 *   that a caller has cut.
 */
export type UserEventReading =
  | "report"
  | "loose"
  | "wide"
  | "foreign"
  | "malformed"
  | "cut"
  | "none";

/**
 * Reads a message of class user.
 *
 * @param buffer Holds the message.
 * @param start Index of its first byte.
 * @param end Index behind the CR LF of its last line.
 * @param event Is filled when it is a report.
 * @returns What it is.
 *
 * @example
 * ```ts
 * import { SecurityEvent } from "./event.ts";
 * import { readUserEvent } from "./user_event.ts";
 *
 * const bytes = new TextEncoder().encode(
 *   "Event: UserEvent\r\nPrivilege: user,all\r\nUserEvent: Ampere\r\n" +
 *     "Address: 203.0.113.5:5060\r\nReason: anonymous call\r\n",
 * );
 * const event = new SecurityEvent();
 * console.log(readUserEvent(bytes, 0, bytes.length, event), event.address); // report 203.0.113.5
 * ```
 */
export function readUserEvent(
  buffer: Uint8Array,
  start: number,
  end: number,
  event: SecurityEvent,
): UserEventReading {
  if (!HEAD.at(viewOf(buffer), start, end)) return "none";
  if (end - start > MESSAGE_BYTES_MAX) return "none";
  const lines = linesOf(buffer, start + HEAD.length, end);
  const from = skipGeneral(lines);
  const isWhole = CHANNEL.every((line, i) => line.test(lines[from + i] ?? ""));
  const at = isWhole ? from + CHANNEL.length : from;
  const isOfCaller = CHANNEL.slice(0, CALLER_LINES).every((line, i) =>
    line.test(lines[from + i] ?? "")
  );
  const name = lines[at];
  if (name === undefined || !name.startsWith(USER_EVENT.text)) {
    if (!lines.some((line) => line.startsWith(USER_EVENT.text))) return isOfCaller ? "cut" : "none";
    // A variable of the channel (`channelvars`) may be a text of any length.
    const mayBeTold = isOfCaller && !isWhole && !lines.some((line) => /^ChanVariable\b/.test(line));
    if (mayBeTold && readEnd(lines, event)) {
      return lines[from]!.startsWith("Channel: PJSIP/") ? "loose" : "wide";
    }
    if (lines.includes(OUR_NAME)) return "malformed";
    return isOfCaller && !isWhole ? "cut" : "none";
  }
  if (name !== OUR_NAME) return lines.includes(OUR_NAME) ? "malformed" : "foreign";
  const rest = lines.slice(at);
  // An action of AMI, which has no channel, prints its id.
  if (!isWhole && rest[1]?.startsWith("ActionID: ")) rest.splice(1, 1);
  return rest.length === END_LINES && readEnd(rest, event) ? "report" : "malformed";
}

/** Lines of a channel that no caller writes, and the first one of theirs. */
const CALLER_LINES = 4;

/** Lines at the end of a report: its name, the address, the reason. */
const END_LINES = 3;

const OUR_NAME = `${USER_EVENT.text}${NAME}`;

/**
 * Reads the rest of a report that a caller has cut, from its end.
 *
 * @param buffer Holds it.
 * @param start Index of its first byte.
 * @param end Index behind the CR LF of its last line.
 * @param event Is filled.
 * @returns Whether it ends as a report does.
 */
export function readReportEnd(
  buffer: Uint8Array,
  start: number,
  end: number,
  event: SecurityEvent,
): boolean {
  return end - start <= MESSAGE_BYTES_MAX && readEnd(linesOf(buffer, start, end), event);
}

/** Fills the event from the last lines, if these are those of a report. */
function readEnd(lines: readonly string[], event: SecurityEvent): boolean {
  const [name, host = "", why = ""] = lines.slice(-END_LINES);
  if (name !== OUR_NAME) return false;
  const address = printedHost(/^Address: (.{2,80})$/.exec(host)?.[1] ?? "");
  // deno-lint-ignore no-control-regex
  const reason = /^Reason: ([^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*)$/.exec(why)?.[1];
  if (address === undefined || reason === undefined || reason.length > REASON_BYTES_MAX) {
    return false;
  }
  event.state({
    kind: "Reported",
    service: "Dialplan",
    transport: "",
    address,
    account: reason.trim(),
    detail: "",
    session: 0,
    answer: 0,
    time: "",
  });
  return true;
}

function linesOf(buffer: Uint8Array, start: number, end: number): string[] {
  return latin1(buffer, start, end).split("\r\n").slice(0, -1);
}

/**
 * Whether a message has the line that ends what Asterisk prints of a channel.
 *
 * @param buffer Holds the message.
 * @param start Index of its first byte.
 * @param end Index behind the CR LF of its last line.
 */
export function namesUserEvent(buffer: Uint8Array, start: number, end: number): boolean {
  return hasLine(viewOf(buffer), start, end, USER_EVENT);
}

/** Index behind the general lines, which come in this order. */
function skipGeneral(lines: readonly string[]): number {
  let at = 0;
  for (const name of GENERAL) if (lines[at]?.startsWith(`${name}: `)) at++;
  return at;
}
