/**
 * Reads the RemoteAddress of a security event.
 *
 * @module
 */

import { ipv4Number, parseAddress } from "../address/address.ts";
import { CR_LF, isText, SEED_A, wordOf } from "./bytes.ts";
import type { SecurityEvent } from "./event.ts";

const DOT = 0x2e;

const SLASH = 0x2f;

export const ZERO = 0x30;

/** The first four bytes of a transport in RemoteAddress, as a little-endian number. */
const UDP_WORD = wordOf("UDP/");

const TCP_WORD = wordOf("TCP/");

const TLS_WORD = wordOf("TLS/");

const WSS_WORD = wordOf("WSS/");

/** The same without the highest byte: `WS/` is shorter. */
const WS_WORD = wordOf("WS/\0");

/**
 * RemoteAddress: `FAMILY/TRANSPORT/ADDRESS/PORT` or `FAMILY/ADDRESS/PORT`
 * (`main/security_events.c`, `add_json_object` of an address; the transport is left out when
 * Asterisk does not know it).
 *
 * @returns Index behind its line, or -1.
 */
export function parseRemoteAddress(
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

/**
 * Longest IPv6 address with zone that is looked at, in bytes (INET6_ADDRSTRLEN 46, IF_NAMESIZE 16).
 */
const IPV6_BYTES_MAX = 62;

/**
 * The IPv6 addresses seen last, by the hash of their text, so that the address of a busy host is
 * parsed once.
 */
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

/** `IPV4/` or `IPV6/` */
export function isFamily(view: DataView, at: number, end: number): boolean {
  if (end - at <= 5 || view.getUint8(at + 4) !== SLASH) return false;
  const word = view.getInt32(at, true);
  return word === IPV4_WORD || word === IPV6_WORD;
}

/** The bytes of `IPV4` and `IPV6` as little-endian numbers. */
const IPV4_WORD = 0x34565049;

const IPV6_WORD = 0x36565049;
