/**
 * Reads what Asterisk says at the levels NOTICE, WARNING and ERROR of a request that it refused.
 *
 * Asterisk escapes nothing here either, so these texts hold account names, dialled numbers,
 * Call-IDs and whole headers of strangers. An address is believed only where Asterisk prints it:
 *
 * - Before all that a stranger wrote: the text up to the address is matched from its beginning.
 * - Behind all that they wrote: from the end of the message, which is a fixed text.
 * - Between two of their texts: then every place that reads as Asterisk's own is looked at, and if
 *   they name different addresses, the line is *ambiguous* and names nobody.
 *
 * A message that begins as such a line and does not end as it was cut by a stranger's line end: see
 * {@linkcode NoticeReading}. The texts are those of Asterisk 13 to 22.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import type { LogLine } from "./log_line.ts";
import { type SecurityEventKind, type Service, type Transport, UNKNOWN_CALLER } from "./event.ts";
import { printedHost } from "./printed_host.ts";

/**
 * Longest message that is read, in characters. Where C's library has a small BUFSIZ (musl: 1024)
 * Asterisk cuts a line there, and a stranger could choose where.
 */
const MESSAGE_CHARACTERS_MAX = 900;

/** No message is longer (`main/logger.c`, LOGMSG_SIZE), in characters. */
const PRINTED_CHARACTERS_MAX = 8192;

/** ACLName of a number that does not exist; AMI has it of chan_sip alone. */
const NO_EXTENSION = "no_extension_match";

/** A request that Asterisk refused. */
export interface Notice {
  /** The security event that Asterisk raises for it, or would raise if it did. */
  readonly kind: SecurityEventKind;
  readonly service: Service;
  readonly transport: Transport;
  /** Canonical address of who sent it. */
  readonly address: string;
  /** Account, or dialled number, as it is printed; empty when that is not known. */
  readonly account: string;
  /** ACLName. */
  readonly detail: string;
  /** The SIP Call-ID, when it is printed. */
  readonly session: string | undefined;
  /**
   * - `notice`: AMI tells of it too.
   * - `aside`: another line tells of it too, where AMI does; chan_sip has none for a call.
   * - `log only`: AMI says nothing of it.
   */
  readonly told: "notice" | "aside" | "log only";
  /** It was cut as with `cut` of {@linkcode NoticeReading}, but the address stands before that. */
  readonly isCut?: boolean;
}

/**
 * What a message is.
 *
 * - `ambiguous`: two addresses, of which a stranger wrote one.
 * - `cut`: it ends within a stranger's text, so that the lines behind it may be theirs.
 * - `nobody`: a failure, but the address in it is not Asterisk's, or there is none.
 * - `harmless`: not about a stranger, though it may look so.
 * - `undefined`: not known.
 */
export type NoticeReading = Notice | "ambiguous" | "cut" | "nobody" | "harmless" | undefined;

/** Beginnings of messages of which nobody is charged. */
const NOBODY: Readonly<Record<string, readonly string[]>> = {
  "chan_sip.c": [
    "Failed to authenticate device ",
    "Failed to authenticate user ",
    "Sending fake auth rejection for ",
    "Bad authentication received from '",
    "Duplicate authentication received from '",
  ],
  // The text behind "Host" is the peer's name, not an address.
  "chan_iax2.c": ["Host "],
};

/** Beginnings of messages about Asterisk's own requests, and about devices that belong here. */
const HARMLESS: Readonly<Record<string, readonly string[]>> = {
  "chan_sip.c": [
    "   -- ",
    "Registration for '",
    "Failed to authenticate on ",
    "Forbidden - ",
    "Correct auth, but based on stale nonce",
    "Call limit reached for device ",
    "Got SUBSCRIBE for extension ",
  ],
  "chan_iax2.c": [
    "Registration of '",
    "Call rejected by ",
    "Rejected call to ",
    // No codec in common.
    "Rejected connect attempt from ",
  ],
  "res_pjsip_registrar.c": [
    "Endpoint '",
    "AOR '",
    "Registration attempt from endpoint '",
    "Failed to validate contacts in REGISTER request from '",
  ],
  "res_pjsip_outbound_registration.c": [""],
};

/**
 * Reads a message.
 *
 * @param line A line of any level.
 *
 * @example
 * ```ts
 * import { readNotice } from "./notice_lines.ts";
 * import { parseLogLine } from "./log_line.ts";
 *
 * const line = parseLogLine(
 *   "[2026-11-22 08:09:09] NOTICE[7] manager.c: 203.0.113.5 failed to authenticate as 'admin'",
 * );
 * const reading = readNotice(line!);
 * console.log(typeof reading === "object" && reading.address); // 203.0.113.5
 * ```
 */
export function readNotice({ file, message }: LogLine): NoticeReading {
  const name = file.slice(file.lastIndexOf("/") + 1);
  const read = READERS.get(file.startsWith("Ext. ") ? "Ext." : name);
  if (read === undefined) return isOneOf(HARMLESS[name], message) ? "harmless" : undefined;
  // Asterisk itself prints nothing so long.
  if (message.length > PRINTED_CHARACTERS_MAX) return "ambiguous";
  const reading = read(message);
  if (reading !== undefined) {
    const long = message.length > MESSAGE_CHARACTERS_MAX;
    return long && typeof reading === "object" ? "ambiguous" : reading;
  }
  if (isOneOf(NOBODY[name], message)) return "nobody";
  return isOneOf(HARMLESS[name], message) ? "harmless" : undefined;
}

function isOneOf(beginnings: readonly string[] | undefined, message: string): boolean {
  return beginnings?.some((beginning) => message.startsWith(beginning)) ?? false;
}

type Reader = (message: string) => NoticeReading;

const READERS: ReadonlyMap<string, Reader> = new Map([
  ["chan_sip.c", readChanSip],
  ["chan_iax2.c", readChanIax2],
  ["manager.c", readManager],
  ["acl.c", readAcl],
  ["pjsip_distributor.c", readDistributor],
  ["res_pjsip_session.c", readSession],
  ["res_pjsip_acl.c", readPjsipAcl],
  ["Ext.", readDialplan],
]);

/** A host as Asterisk prints it: neither a blank nor a quote nor a round bracket is in it. */
const HOST = String.raw`([\w.:%[\]-]{2,80})`;

/** What is known of a message besides its address. */
type Facts = Partial<Omit<Notice, "address">> & Pick<Notice, "kind" | "service" | "told">;

/** `undefined` when the text is no address. */
function noticeOf(host: string, facts: Facts): Notice | undefined {
  const address = printedHost(host);
  if (address === undefined) return undefined;
  return { transport: "", account: "", detail: "", session: undefined, ...facts, address };
}

/**
 * A host that PJSIP prints, always with its port: Asterisk 13 and 16 print IPv6 without brackets at
 * first, and the port behind one more colon.
 */
function portedHostOf(text: string): string {
  const port = /^([0-9a-f:.]*:[0-9a-f:.]*):\d{1,5}$/i.exec(text);
  return port !== null && parseAddress(port[1]!) !== undefined ? port[1]! : text;
}

/** Reasons of `handle_request_register`, of Asterisk 13 to 18, and of those before. */
const REGISTRATION: Readonly<Record<string, Pick<Facts, "kind" | "detail"> | undefined>> = {
  "Wrong password": { kind: "InvalidPassword" },
  "Username/auth name mismatch": { kind: "ChallengeResponseFailed" },
  "No matching peer found": { kind: "InvalidAccountID" },
  "Not a local domain": { kind: "FailedACL", detail: "domain_must_match" },
  "Peer is not supposed to register": { kind: "FailedACL", detail: "peer_not_dynamic" },
  "Device does not match ACL": { kind: "FailedACL", detail: "device_must_match_acl" },
  "ACL error (permit/deny)": { kind: "FailedACL", detail: "device_must_match_acl" },
  "Device not configured to use this transport type": { kind: "InvalidTransport" },
  "RTP initialization failed": { kind: "SessionLimit" },
  "Unknown failure": { kind: "SessionLimit" },
};

const REGISTRATION_END = new RegExp(`' failed for '${HOST}' - ([\\w /()]{1,60})$`);

const NOT_FOUND_END = /' rejected because extension not found in context '[^']{0,80}'\.$/;

const CALL_PLACE = new RegExp(String.raw`' \(${HOST}\) to extension '`, "g");

function readChanSip(message: string): NoticeReading {
  if (message.startsWith("Registration from '")) {
    // The header stands before the address, and what follows is one of a few fixed texts.
    const end = REGISTRATION_END.exec(message);
    if (end === null) return "cut";
    const facts = REGISTRATION[end[2]!];
    if (facts === undefined) return undefined;
    const header = message.slice("Registration from '".length, end.index);
    return noticeOf(end[1]!, { service: "SIP", told: "notice", account: userOf(header), ...facts });
  }
  if (message.startsWith("Call from '")) {
    const end = NOT_FOUND_END.exec(message);
    if (end === null) return "cut";
    return onlyOne(message, CALL_PLACE, (place) =>
      noticeOf(place[1]!, {
        kind: "FailedACL",
        service: "SIP",
        told: "notice",
        detail: NO_EXTENSION,
        account: message.slice(place.index + place[0].length, end.index),
      })) ?? "cut";
  }
  const attempt = new RegExp(`^hacking attempt detected '${HOST}'$`).exec(message);
  return attempt === null
    ? undefined
    : noticeOf(attempt[1]!, { kind: "FailedACL", service: "SIP", told: "log only" });
}

const REQUEST_PLACE = new RegExp(String.raw`' failed for '${HOST}' \(callid: `, "g");

const REQUEST_END = /\) - ([A-Za-z ]{1,40}?)(?: after \d{1,10} tries in [\d.]{1,20} ms)?$/;

/** Reasons of `pjsip_distributor.c`. */
const REQUEST: Readonly<Record<string, Pick<Facts, "kind" | "detail"> | undefined>> = {
  "No matching endpoint found": { kind: "InvalidAccountID" },
  "Failed to authenticate": { kind: "ChallengeResponseFailed" },
  "Error to authenticate": { kind: "ChallengeResponseFailed" },
  "Not match Endpoint ACL": { kind: "FailedACL", detail: "not_match_endpoint_acl" },
  "Not match Endpoint Contact ACL": {
    kind: "FailedACL",
    detail: "not_match_endpoint_contact_acl",
  },
};

function readDistributor(message: string): NoticeReading {
  if (!message.startsWith("Request '") && !message.startsWith("Request from '")) return undefined;
  const end = REQUEST_END.exec(message);
  if (end === null) return "cut";
  const facts = REQUEST[end[1]!];
  if (facts === undefined) return undefined;
  return onlyOne(message, REQUEST_PLACE, (place) =>
    noticeOf(portedHostOf(place[1]!), {
      service: "PJSIP",
      told: "notice",
      account: userOf(message.slice(message.indexOf(" from '") + 7, place.index)),
      session: message.slice(place.index + place[0].length, end.index),
      ...facts,
    })) ?? "ambiguous";
}

/**
 * The one reading of a message in which a stranger may have written the same before or behind
 * Asterisk's own.
 */
function onlyOne(
  message: string,
  places: RegExp,
  noticeAt: (place: RegExpMatchArray & { index: number }) => Notice | undefined,
): NoticeReading {
  let found: Notice | undefined;
  for (const place of message.matchAll(places)) {
    const notice = noticeAt(place);
    if (notice === undefined) continue;
    if (found !== undefined && found.address !== notice.address) return "ambiguous";
    found ??= notice;
  }
  return found;
}

/** Up to the dialled number nothing is a stranger's: the name is the endpoint's, or a channel's. */
const SESSION = new RegExp(
  String.raw`^ {0,4}(?:([^\s:'"(]{1,160}): Call|Call from '([^'\s]{0,160})') ` +
    String.raw`\((UDP|TCP|TLS|WSS|WS)6?:${HOST}\) to extension '`,
);

/**
 * The endpoints, or channels, of callers without an account
 * (`res_pjsip_endpoint_identifier_anonymous.c`): all others are known by their password or address.
 */
const ANONYMOUS = /^(?:PJSIP\/)?anonymous(?:@[\w.-]{1,80})?(?:-[0-9a-f]{8})?$/;

function readSession(message: string): NoticeReading {
  const beginning = SESSION.exec(message);
  if (beginning === null) return undefined;
  const end = NOT_FOUND_END.exec(message);
  const isCut = end === null;
  // A trunk that is known by its address may bring calls for numbers that are gone.
  if (!ANONYMOUS.test(beginning[1] ?? beginning[2]!)) return isCut ? "cut" : "harmless";
  const notice = noticeOf(portedHostOf(beginning[4]!), {
    kind: "FailedACL",
    service: "PJSIP",
    told: "log only",
    transport: beginning[3] as Transport,
    detail: NO_EXTENSION,
    account: message.slice(beginning[0].length, end?.index),
    isCut,
  });
  return notice ?? (isCut ? "cut" : undefined);
}

const PJSIP_ACL = new RegExp(`^Incoming SIP message from ${HOST} did not pass ACL test$`);

function readPjsipAcl(message: string): NoticeReading {
  const found = PJSIP_ACL.exec(message);
  return found === null
    ? undefined
    : noticeOf(found[1]!, { kind: "FailedACL", service: "PJSIP", told: "log only" });
}

const MANAGER = new RegExp(
  `^${HOST} (failed to authenticate as|tried to authenticate with nonexistent user|` +
    "failed to pass IP ACL as) '",
);

const MANAGER_KINDS: Readonly<Record<string, SecurityEventKind>> = {
  "failed to authenticate as": "InvalidPassword",
  "tried to authenticate with nonexistent user": "InvalidAccountID",
  "failed to pass IP ACL as": "FailedACL",
};

function readManager(message: string): NoticeReading {
  const found = MANAGER.exec(message);
  if (found === null) return undefined;
  if (!message.endsWith("'")) return "cut";
  return noticeOf(found[1]!, {
    kind: MANAGER_KINDS[found[2]!]!,
    service: "AMI",
    told: "notice",
    account: message.slice(found[0].length, -1),
  });
}

const ACL = new RegExp(
  String
    .raw`^([\w ]{0,40}ACL): ?Rejecting '${HOST}' due to (?:a failure to pass|use of an invalid) ACL '`,
);

/** What stands before it, where the address is that of who sent the request. */
const ACL_SERVICES: Readonly<Record<string, Service | undefined>> = {
  "Manager User ACL": "AMI",
  "IAX2 user ACL": "IAX2",
  "IAX2 Peer ACL": "IAX2",
  "SIP Peer ACL": "SIP",
  "SIP ACL": "PJSIP",
};

/** The address is that of a Contact, or what its name is in DNS: a stranger's text. */
const CONTACT_ACL = /^SIP contact ACL$/i;

function readAcl(message: string): NoticeReading {
  const found = ACL.exec(message);
  if (found === null) return undefined;
  const purpose = found[1]!;
  if (CONTACT_ACL.test(purpose)) return "nobody";
  // A phone's media do not go to another phone directly.
  if (purpose === "SIP Direct Media ACL") return "harmless";
  const service = ACL_SERVICES[purpose];
  return service === undefined
    ? undefined
    : noticeOf(found[2]!, { kind: "FailedACL", service, told: "aside" });
}

/**
 * The address of a Contact that an access list refused. `res_pjsip_acl.c` prints it in its next
 * line, in the same words as the address of a sender.
 *
 * @param line A line of any level.
 * @returns In canonical text; `undefined` for any other line.
 */
export function refusedContact({ file, message }: LogLine): string | undefined {
  const found = file === "acl.c" ? ACL.exec(message) : null;
  return found !== null && CONTACT_ACL.test(found[1]!) ? printedHost(found[2]!) : undefined;
}

/** The address stands first, a stranger's text only behind it. */
const IAX2_FIRST = new RegExp(
  `^(?:Host ${HOST} (?:failed to authenticate as|failed MD5 authentication for '` +
    `|denied access to register peer ')` +
    `|Rejected (?:connect|dial) attempt from ${HOST}, (?:who was trying to reach|request) '` +
    `|Call rejected, CallToken Support required\\. If unexpected, resolve by placing address ` +
    `${HOST} in the )`,
);

/** The address stands last. */
const IAX2_LAST = new RegExp(
  String
    .raw`^(?:No registration for peer '.{0,400}' \(from ${HOST}\)|Empty registration from ${HOST}` +
    `|Address ${HOST} failed CallToken hash inspection)$`,
  "s",
);

function readChanIax2(message: string): NoticeReading {
  const first = IAX2_FIRST.exec(message);
  const found = first ?? IAX2_LAST.exec(message);
  if (found === null) return message.startsWith("No registration for peer '") ? "cut" : undefined;
  const refused = /^(?:Rejected|Call rejected)/.test(message);
  const byAcl = / denied access to register peer '$/.test(first?.[0] ?? "");
  const host = found.slice(1).find((text) => text !== undefined)!;
  return noticeOf(host, {
    kind: refused || byAcl
      ? "FailedACL"
      : message.startsWith("Host")
      ? "InvalidPassword"
      : "InvalidAccountID",
    service: "IAX2",
    told: "log only",
    account: first === null || refused ? "" : quoted(message.slice(first[0].length)),
  }) ?? (message.startsWith("Host") ? "nobody" : undefined);
}

/**
 * The registration by IAX2 of a name that is not known, and that held a line end.
 *
 * @param host Who sent it, as Asterisk prints it.
 */
export function tornRegistration(host: string): Notice | undefined {
  return noticeOf(host, { kind: "InvalidAccountID", service: "IAX2", told: "log only" });
}

/** `'name'`, `name' (…`, ` name`: without what is around it. */
function quoted(text: string): string {
  return text.trim().replace(/^'/, "").replace(/'.*$/s, "");
}

/** What the dialplans of FreePBX and others say with `Log`. */
const DIALPLAN = new RegExp(
  `^"?(?:Rejecting unknown SIP connection|Friendly Scanner) from ${HOST}"?$`,
);

function readDialplan(message: string): NoticeReading {
  const found = DIALPLAN.exec(message);
  return found === null ? undefined : noticeOf(found[1]!, {
    kind: "FailedACL",
    service: "SIP",
    told: "log only",
    detail: UNKNOWN_CALLER,
  });
}

/** The user part of the first SIP URI of a header: for people, and to find the event of it. */
function userOf(header: string): string {
  const found = /\bsips?:([^@<>;]{0,255})@/.exec(header);
  return found === null ? "" : decoded(found[1]!);
}

/**
 * Percent-encoding taken away, one character a byte.
 *
 * @param text The user part of a SIP URI.
 */
export function decoded(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, code) => String.fromCharCode(parseInt(code, 16)));
}

/** Words of a refusal. */
const REFUSAL =
  /fail|reject|denied|deny|refus|invalid|unauthori|forbidden|attack|hacking|not allowed|nonexistent/i;

const ADDRESS =
  /\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\b[0-9a-f]{1,4}:[0-9a-f]{0,4}:[0-9a-f:]{1,40}/i;

/**
 * Whether a line looks as if somebody was refused: for those that {@linkcode readNotice} does not
 * know.
 *
 * @param line A line of any level.
 */
export function looksRefused({ level, message }: LogLine): boolean {
  if (level === "VERBOSE" || level === "DEBUG") return false;
  const text = message.slice(0, MESSAGE_CHARACTERS_MAX);
  return REFUSAL.test(text) && ADDRESS.test(text);
}
