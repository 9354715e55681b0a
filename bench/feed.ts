/**
 * What Asterisk would send: real recordings looped with fresh hosts and sessions, and made-up
 * attackers.
 *
 * @module
 */

import { recording } from "../tests/support/recordings.ts";
import { printEvent } from "../tests/support/asterisk_events.ts";

const FIRST_OCTET = 100;
const OCTETS = 256 - FIRST_OCTET;

/** How many different hosts {@linkcode hostAddress} knows. */
const HOSTS_MAX = OCTETS ** 3;

/**
 * A host's address, always 14 characters long so that it can be put in the place of another.
 *
 * @param index from 0 to {@linkcode HOSTS_MAX}
 */
export function hostAddress(index: number): string {
  if (index >= HOSTS_MAX) throw new RangeError(`there are only ${HOSTS_MAX} hosts`);
  const octet = (n: number) => FIRST_OCTET + n % OCTETS;
  return `10.${octet(Math.floor(index / OCTETS ** 2))}.${octet(Math.floor(index / OCTETS))}.${
    octet(index)
  }`;
}

/** Digits that make a session unique, in place of the first ones of the recorded SessionID. */
const SERIAL_DIGITS = 6;

/** A feed that can be sent again and again, each time with hosts and sessions never seen before. */
export class LoopedFeed {
  /** Security events of one loop. */
  readonly events: number;
  /** Hosts of one loop. */
  readonly hosts: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #hostPlaces: readonly (readonly [at: number, host: number])[];
  readonly #sessionPlaces: readonly number[];
  #loop = 0;

  /**
   * @param names recordings
   * @param services whose events are taken
   */
  constructor(names: readonly string[], services: readonly string[]) {
    const hostPlaces: [number, number][] = [];
    const sessionPlaces: number[] = [];
    const hosts = new Map<string, number>();
    let text = "";
    let events = 0;
    for (const name of names) {
      for (const block of messagesOf(name)) {
        const service = /\r\nService: (.*)\r\n/.exec(block)?.[1];
        const remote = /\r\nRemoteAddress: (IPV\d\/\w+\/)(.*)\/\d+\r\n/.exec(block);
        const isSecurity = block.includes("\r\nPrivilege: security,all\r\n");
        if (isSecurity && (remote === null || !services.includes(service ?? ""))) continue;
        if (!isSecurity || remote === null) {
          text += block;
          continue;
        }
        events++;
        const key = `${name} ${remote[2]}`;
        const host = hosts.get(key) ?? hosts.size;
        hosts.set(key, host);
        const made = block
          .replace(remote[0], remote[0].replace("IPV6", "IPV4").replace(remote[2]!, hostAddress(0)))
          .replace(/\r\nSessionID: (0x....|)/, (head) => head + "0".repeat(SERIAL_DIGITS) + "/");
        hostPlaces.push([text.length + made.indexOf(hostAddress(0)), host]);
        sessionPlaces.push(text.length + made.indexOf("0".repeat(SERIAL_DIGITS) + "/"));
        text += made;
      }
    }
    this.events = events;
    this.hosts = hosts.size;
    this.#bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    this.#hostPlaces = hostPlaces;
    this.#sessionPlaces = sessionPlaces;
  }

  /** Bytes of one loop. */
  get length(): number {
    return this.#bytes.length;
  }

  /** The next loop; the bytes are those of the loop before, changed. */
  next(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes;
    const first = this.#loop * this.hosts;
    for (const [at, host] of this.#hostPlaces) writeHost(bytes, at, first + host);
    for (const at of this.#sessionPlaces) {
      let serial = this.#loop;
      for (let i = at + SERIAL_DIGITS - 1; i >= at; i--) {
        bytes[i] = 0x30 + serial % 10;
        serial = Math.floor(serial / 10);
      }
    }
    this.#loop++;
    return bytes;
  }
}

/** Writes what {@linkcode hostAddress} gives, without making a string. */
function writeHost(bytes: Uint8Array, at: number, index: number): void {
  let rest = index;
  for (let place = at + 11; place >= at + 3; place -= 4) {
    const octet = FIRST_OCTET + rest % OCTETS;
    bytes[place] = 0x30 + Math.floor(octet / 100);
    bytes[place + 1] = 0x30 + Math.floor(octet / 10) % 10;
    bytes[place + 2] = 0x30 + octet % 10;
    rest = Math.floor(rest / OCTETS);
  }
}

/** The messages of a recording that come after the login, each with its empty line. */
function messagesOf(name: string): string[] {
  const { bytes } = recording(name);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text.split("\r\n\r\n").slice(0, -1).map((block) => block + "\r\n\r\n")
    .filter((block) => block.startsWith("Event: ") && !block.includes("\r\nService: AMI\r\n"));
}

/** The mixed feed: phones, scanners and guessers, on PJSIP and chan_sip, of Asterisk 18 and 22. */
export function mixedFeed(): LoopedFeed {
  return new LoopedFeed(["mixed-medium.ami", "ast22-mixed.ami"], ["PJSIP", "SIP"]);
}

/** The part of the mixed feed that chan_sip has sent. */
export function sipFeed(): LoopedFeed {
  return new LoopedFeed(["mixed-medium.ami"], ["SIP"]);
}

let sessions = 0;

/** A wrong answer to a challenge, as PJSIP reports it: 5 points. */
export function wrongAnswer(host: string): string {
  const session = `bench-${(++sessions).toString(16).padStart(8, "0")}`;
  return printEvent({
    kind: "ChallengeResponseFailed",
    service: "PJSIP",
    session,
    remote: `IPV4/UDP/${host}/5060`,
    tail: [
      ["Challenge", "1795336176/f29288ebc00bde9ce17681c5271aa7b5"],
      ["Response", session.padStart(32, "0")],
      ["ExpectedResponse", ""],
    ],
  });
}

/** A wrong password, as chan_sip reports it: 5 points. */
export function wrongSipPassword(host: string): string {
  const serial = (++sessions).toString(16).padStart(8, "0");
  return printEvent({
    kind: "InvalidPassword",
    service: "SIP",
    session: `0x7f19${serial}`,
    remote: `IPV4/UDP/${host}/5060`,
    tail: [["Challenge", serial], ["ReceivedChallenge", serial], [
      "ReceivedHash",
      serial.repeat(4),
    ]],
  });
}

/**
 * Challenges that were sent to hosts which each asked once, as a flood of forged UDP packets makes
 * them.
 */
export function challenges(first: number, count: number): Uint8Array<ArrayBuffer> {
  let text = "";
  for (let i = first; i < first + count; i++) {
    text += printEvent({
      kind: "ChallengeSent",
      service: "PJSIP",
      session: `spoofed-${i}`,
      remote: `IPV4/UDP/${hostAddress(i)}/5060`,
      tail: [["Challenge", ""]],
    });
  }
  return new TextEncoder().encode(text);
}
