/**
 * The process that plays Asterisk for the soak test: a mixed feed at a steady rate, the same hosts
 * again and again with ever new sessions, and a reconnect every few seconds. It prints one line of
 * JSON a second.
 *
 * @module
 */

import { readOptions, wholeNumber } from "../../tools/options.ts";
import { bytesOf, printEvent, remoteOf } from "../support/asterisk_events.ts";
import { type AmiClientOfServer, AmiServer } from "../e2e/ami_server.ts";
import { Dice } from "../simulation/dice.ts";

/** How often a part of the feed is sent, in milliseconds. */
const BATCH_MS = 10;

/** Hosts of each kind; each has its turn several times a second. */
const PHONES = 2_000;
const GUESSERS = 300;
const SCANNERS = 100;

/** Digits of the number that makes a session new. */
const SERIAL_DIGITS = 8;
const SERIAL = "#".repeat(SERIAL_DIGITS);

/** What the feeder tells about itself. */
export interface FeederReport {
  /** Security events written so far, all of them well-formed. */
  readonly sent: number;
  /** Logins so far. */
  readonly logins: number;
}

/** One second of the feed. */
class Feed {
  readonly #bytes: Uint8Array;
  /** Where a session's number is, and to which events it belongs. */
  readonly #serialPlaces: readonly number[];
  /** Where the events of each batch begin. */
  readonly #starts: number[] = [];
  readonly #events: number[] = [];
  #next = 0;
  #serial = 0;

  constructor(eventsPerSecond: number) {
    const dice = new Dice(1);
    const batches = 1000 / BATCH_MS;
    let text = "";
    for (let batch = 0; batch < batches; batch++) {
      this.#starts.push(text.length);
      let events = 0;
      while (events < eventsPerSecond / batches) {
        const [some, count] = deed(dice);
        text += some;
        events += count;
      }
      this.#events.push(events);
    }
    this.#starts.push(text.length);
    this.#bytes = bytesOf(text);
    this.#serialPlaces = [...text.matchAll(new RegExp(SERIAL, "g"))].map((match) => match.index);
  }

  /** The next part: its bytes are valid until the call after. */
  next(): { bytes: Uint8Array; events: number } {
    const batch = this.#next;
    if (batch === 0) this.#renew();
    this.#next = (batch + 1) % this.#events.length;
    const bytes = this.#bytes.subarray(this.#starts[batch], this.#starts[batch + 1]);
    return { bytes, events: this.#events[batch]! };
  }

  /** New sessions. Two events of one session stand next to each other, with the same number. */
  #renew(): void {
    const digits = (++this.#serial).toString().padStart(SERIAL_DIGITS, "0");
    for (const at of this.#serialPlaces) {
      for (let i = 0; i < SERIAL_DIGITS; i++) this.#bytes[at + i] = digits.charCodeAt(i);
    }
  }
}

let sessions = 0;

/** What one host does: text, and how many security events it has. */
function deed(dice: Dice): [text: string, events: number] {
  const session = `${SERIAL}-${++sessions}`;
  const challenge = (address: string, service: "PJSIP" | "SIP") =>
    printEvent({
      kind: "ChallengeSent",
      service,
      session,
      remote: remoteOf(address),
      tail: [["Challenge", service === "PJSIP" ? "" : "12345678"]],
    });
  const kind = dice.next();
  if (kind < 0.6) {
    const address = `10.1.${dice.int(0, PHONES / 250 - 1)}.${dice.int(1, 250)}`;
    const login = printEvent({
      kind: "SuccessfulAuth",
      service: "PJSIP",
      session,
      remote: remoteOf(address),
      tail: [["UsingPassword", "1"]],
    });
    return [challenge(address, "PJSIP") + login, 2];
  }
  if (kind < 0.85) {
    const number = dice.int(0, GUESSERS - 1);
    const address = number % 3 === 0
      ? `2001:db8:bad::${(number + 1).toString(16)}`
      : `10.2.${Math.floor(number / 250)}.${number % 250 + 1}`;
    const wrong = printEvent({
      kind: "ChallengeResponseFailed",
      service: "PJSIP",
      session,
      remote: remoteOf(address),
      tail: [["Challenge", "1795336176/f29288ebc00bde9c"], ["Response", `${SERIAL}${number}`], [
        "ExpectedResponse",
        "",
      ]],
    });
    return [challenge(address, "PJSIP") + wrong, 2];
  }
  if (kind < 0.9) return [challenge(`10.3.0.${dice.int(1, SCANNERS)}`, "PJSIP"), 1];
  if (kind < 0.98) {
    const address = `10.2.0.${dice.int(1, 250)}`;
    const wrong = printEvent({
      kind: "InvalidPassword",
      service: "SIP",
      session,
      account: "sip:1000@pbx.example.com",
      remote: remoteOf(address),
      tail: [["Challenge", "12345678"], ["ReceivedChallenge", "12345678"], [
        "ReceivedHash",
        SERIAL.repeat(4),
      ]],
    });
    return [challenge(address, "SIP") + wrong, 2];
  }
  return [
    dice.pick([
      "Event: PeerStatus\r\nPrivilege: system,all\r\nPeer: PJSIP/1\r\nPeerStatus: Reachable\r\n\r\n",
      "Event: ChallengeSent\r\nPrivilege: security,all\r\nRemoteAddress: IPV4/UDP/10.9.9.9/1\r\n\r\n",
      "\x00\xff garbage\r\n\r\n",
    ]),
    0,
  ];
}

async function main(): Promise<void> {
  const { values } = readOptions({
    options: {
      port: { type: "string", default: "5038" },
      rate: { type: "string", default: "20000" },
      reconnect: { type: "string", default: "7" },
    },
  });
  const feed = new Feed(wholeNumber("rate", values.rate, 1));
  const server = new AmiServer({ port: wholeNumber("port", values.port) });
  let sent = 0;
  let logins = 0;
  setInterval(() => console.log(JSON.stringify({ sent, logins } satisfies FeederReport)), 1_000);
  for (;;) {
    const client = await server.client(60_000);
    logins++;
    await follow(
      client,
      feed,
      wholeNumber("reconnect", values.reconnect) * 1_000,
      (some) => sent += some,
    );
    client.close();
  }
}

/** Sends the feed at its rate for a while, or until the client has gone. */
async function follow(
  client: AmiClientOfServer,
  feed: Feed,
  ms: number,
  sentSome: (events: number) => void,
): Promise<void> {
  const start = performance.now();
  for (let batches = 0; performance.now() - start < ms && !client.closed;) {
    const due = (performance.now() - start) / BATCH_MS;
    // Who is behind by more than a second does not catch up: the rate is what counts.
    if (batches < due - 1000 / BATCH_MS) batches = Math.floor(due);
    while (batches < due && !client.closed) {
      const { bytes, events } = feed.next();
      try {
        await client.send(bytes);
      } catch {
        return; // The client has gone; the next login follows.
      }
      sentSome(events);
      batches++;
    }
    await new Promise((resolve) => setTimeout(resolve, BATCH_MS));
  }
}

if (import.meta.main) await main();
