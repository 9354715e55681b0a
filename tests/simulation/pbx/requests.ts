/**
 * Each request that the PBX of a world tells of by its manager interface, by its log, or by both:
 * whether it has reached the daemon, and whether the daemon has counted it. None may count twice,
 * and none may be lost where it can be known that it was not told.
 *
 * @module
 */

import { EventReader } from "../../../src/ami/event_reader.ts";
import type { SecurityEvent } from "../../../src/ami/event.ts";
import { MESSAGE_BYTES_MAX } from "../../../src/ami/framer.ts";
import type { Happening } from "../model/happening.ts";
import { WorldError } from "../world/world_error.ts";

/**
 * AMI has told of everything when something has come so long after a line was read, in milliseconds
 * (`SETTLE_MS` of the handover).
 */
const SETTLE_MS = 1_000;

/** Within this time the daemon has decided, in milliseconds. */
const DECIDED_MS = 1_600;

/** A request. */
export interface Request {
  readonly key: string;
  readonly happening: Happening;
  /** World time at which Asterisk said so, by whatever way, in milliseconds. */
  readonly saidAt: number;
  /** All of it has reached the daemon over AMI. */
  arrived: boolean;
  /** When it was so that it must count: a connection that ends takes with it what is withheld. */
  owedAt: number | undefined;
  /** A line of it was handed to the daemon. */
  readAt: number | undefined;
  charged: boolean;
}

/** What is known of the daemon of a moment. */
interface Present {
  readonly now: number;
  /** It is logged in. */
  readonly connected: boolean;
  /** When something of AMI was handed to it last, and when that was said. */
  readonly heard: { readonly at: number; readonly saidAt: number };
}

/** All requests of a world. */
export class Requests {
  readonly #now: () => number;
  readonly #byKey = new Map<string, Request[]>();
  /** Which have reached the daemon, until it has counted them. */
  readonly #reached = new Set<Request>();
  readonly #reader = new KeyReader();
  #wrong: WorldError | undefined;
  /** Since when the daemon runs without having stood still, in milliseconds. */
  #runsSince = 0;

  /** @param now World time, in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * The requests that a message of AMI tells of.
   *
   * @param text One character a byte.
   * @param happenings What Ampere is to make of it.
   * @returns Nothing if it is not known which is which.
   */
  of(text: string, happenings: readonly Happening[]): Request[] {
    const keys = this.#reader.keysOf(text);
    // What is not believed has a number of its own.
    const isKnown = keys.every((key) => !key.startsWith("RefusedMessage"));
    if (keys.length !== happenings.length || !isKnown) return [];
    return happenings.map((happening, i) => this.add(keys[i]!, happening));
  }

  /**
   * One more.
   *
   * @param key Equal for all that nobody can tell apart.
   * @param happening What Ampere is to make of it.
   */
  add(key: string, happening: Happening): Request {
    const request: Request = {
      key,
      happening,
      saidAt: this.#now(),
      arrived: false,
      owedAt: undefined,
      readAt: undefined,
      charged: false,
    };
    const same = this.#byKey.get(key);
    if (same === undefined) this.#byKey.set(key, [request]);
    else same.push(request);
    return request;
  }

  /** A process begins, or goes on: what the one before has not counted it never will. */
  begin(now: number, isAnother: boolean): void {
    this.#runsSince = now;
    if (!isAnother) return;
    this.#reached.clear();
    for (const same of this.#byKey.values()) {
      for (const one of same) if (one.arrived || one.readAt !== undefined) one.charged = true;
    }
  }

  /** All of it is there, over AMI, and nothing keeps it from being counted. */
  arrive(request: Request, now: number): void {
    request.arrived = true;
    request.owedAt = now;
    if (!request.charged) this.#reached.add(request);
  }

  /** A line of it is there; if that is vague, it may be taken for one of before. */
  read(request: Request, now: number, isVague: boolean): void {
    request.readAt ??= now;
    if (!request.charged && !isVague) this.#reached.add(request);
  }

  /**
   * The daemon counts an event.
   *
   * @returns What it is to make of it; `undefined` if the request is none of these.
   * @throws {WorldError} if it has counted it before.
   */
  charge(event: SecurityEvent): Happening | undefined {
    const key = keyOf(event);
    const same = this.#byKey.get(key);
    if (same === undefined) {
      // What AMI and the security log tell has a port.
      if (event.port !== 0 || OWN_KINDS.has(event.kind)) return undefined;
      throw this.#wrong ??= new WorldError(`counted by another line of its request: ${key}`);
    }
    // Of those that nobody can tell apart one that must count.
    const request = same.find((one) => this.#reached.has(one)) ??
      same.find((one) => !one.charged && (one.arrived || one.readAt !== undefined));
    if (request === undefined) {
      // Whoever follows a log takes all that is thrown for a fault of its file.
      throw this.#wrong ??= new WorldError(
        `counted, and was counted before, or not told: ${key} (${
          same.map(({ arrived, readAt, charged }) =>
            `arrived ${arrived}, read ${readAt}, counted ${charged}`
          )
        })`,
      );
    }
    request.charged = true;
    this.#reached.delete(request);
    return request.happening;
  }

  /** What should have been counted by now. */
  lost({ now, connected, heard }: Present): string | undefined {
    if (this.#wrong !== undefined) return this.#wrong.message;
    for (const request of this.#reached) {
      const { owedAt, readAt, saidAt } = request;
      // Its line was read, and AMI is heard a second later: nobody can know that what is heard was
      // said before, and that AMI, which has ended by now, never said this.
      if (owedAt === undefined && heard.at >= readAt! + SETTLE_MS && heard.saidAt <= saidAt) {
        this.#reached.delete(request);
        continue;
      }
      const at = Math.max(owedAt ?? readAt!, this.#runsSince);
      if (now < at + DECIDED_MS) continue;
      if (owedAt !== undefined) return `never counted, and AMI has told it: ${request.key}`;
      // It waits for AMI, of which is not known yet that it does not answer.
      if (connected && heard.at < at + SETTLE_MS) continue;
      return `never counted, and its line was read: ${request.key} (said at ${saidAt}, read at ` +
        `${readAt}, heard at ${heard.at} what was said at ${heard.saidAt}, connected ${connected})`;
    }
    return undefined;
  }
}

/** Events that have no port, and are no lines. */
const OWN_KINDS: ReadonlySet<string> = new Set(["RefusedMessage", "Reported"]);

/** Equal for an event and its line in the security log; other lines say less. */
function keyOf(event: SecurityEvent): string {
  const { kind, service, address, port, session, challenge, answer, time } = event;
  if (port === 0 && !OWN_KINDS.has(kind)) return lineKey(kind, service, address);
  return `${kind} ${service} ${address} ${port} ${session} ${challenge} ${answer} ${time}`;
}

/** The key of a line that has no event. */
export function lineKey(kind: string, service: string, address: string): string {
  return `${kind} ${service} ${address}`;
}

/** Reads what is one message; another one for what is not, as it remembers that. */
class KeyReader {
  #keys: string[] = [];
  #reader: EventReader | undefined;

  keysOf(text: string): string[] {
    this.#keys = [];
    if (text.length > MESSAGE_BYTES_MAX) return [];
    const isOne = text.indexOf("\r\n\r\n") === text.length - 4;
    const reader = (isOne ? this.#reader : undefined) ?? this.#begin();
    reader.push(bytesOf(text));
    reader.flushWithheld();
    this.#reader = isOne ? reader : undefined;
    return this.#keys;
  }

  #begin(): EventReader {
    const nothing = () => {};
    const reader = new EventReader({
      event: (event) => this.#keys.push(keyOf(event)),
      response: nothing,
      tampered: () => this.#reader = undefined,
      banner: nothing,
    });
    reader.push(bytesOf("Asterisk Call Manager/7.0.3\r\n"));
    return reader;
  }
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
