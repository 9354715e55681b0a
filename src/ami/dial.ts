/**
 * Connects to a server by name or address: the daemon and `--check` do it by the same code.
 *
 * @module
 */

import { isIP } from "node:net";
import { parseAddress } from "../address/address.ts";
import { LookupError, lookupName } from "../address/lookup.ts";

/** How long connecting may take in all, in milliseconds. */
export const CONNECT_MS = 5_000;

/**
 * After so long without an answer of one address the next one is tried beside it, in milliseconds.
 */
export const NEXT_ADDRESS_MS = 250;

/** Most addresses of a name that are tried. */
export const ADDRESSES_MAX = 16;

/** None of the addresses could be connected to; the message says why, for each cause. */
export class DialError extends Error {
  /** Name of the error. */
  override readonly name = "DialError";
  /** It is about the name, and not about what is at an address. */
  readonly aboutName: boolean;

  constructor(message: string, aboutName = false) {
    super(message);
    this.aboutName = aboutName;
  }
}

/** What a test may change, and who wants to know. */
export interface DialOptions {
  /** Told the addresses, canonical, as soon as they are known. */
  readonly resolved?: (addresses: readonly string[]) => void;
  /** Gives up. */
  readonly signal?: AbortSignal;
  /** @default {resolveHost} */
  readonly resolve?: (host: string) => Promise<string[]>;
}

/**
 * The addresses of a host, in the order of the system (`/etc/hosts`, then DNS).
 *
 * @param host A name, or an address.
 * @returns At least one; as they are to be connected to (a zone is kept).
 * @throws {DialError} When the name has none.
 */
export async function resolveHost(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await lookupName(host)).slice(0, ADDRESSES_MAX);
  } catch (error) {
    throw new DialError(wordsFor(error), true);
  }
}

/**
 * What is known of the addresses of a host without looking it up.
 *
 * @param host A name, or an address.
 * @returns The canonical address; none for a name.
 */
export function literalPeers(host: string): string[] {
  const address = parseAddress(host);
  return address === undefined ? [] : [address];
}

/**
 * Connects to the first address of a host that answers. They are tried in their order, the next one
 * when one has refused or is silent for {@linkcode NEXT_ADDRESS_MS}: `localhost` is `::1` and
 * `127.0.0.1`, and Asterisk mostly listens at one of them.
 *
 * @param host A name, or an address.
 * @param port TCP port.
 * @param options See {@linkcode DialOptions}.
 * @returns The connection.
 * @throws {DialError} When no address answers within {@linkcode CONNECT_MS}, or when told to give
 *   up.
 */
export async function dial(
  host: string,
  port: number,
  options: DialOptions = {},
): Promise<Deno.TcpConn> {
  const limit = Promise.withResolvers<never>();
  limit.promise.catch(() => {});
  const race = new Race(port);
  const end = (why: string) => {
    // At once, and not when the caller has heard of it: who connects in between would never be
    // closed.
    race.over();
    limit.reject(new DialError(why));
  };
  const timer = setTimeout(() => end(`no answer within ${CONNECT_MS / 1000} s`), CONNECT_MS);
  const giveUp = () => end("given up");
  options.signal?.addEventListener("abort", giveUp);
  if (options.signal?.aborted) giveUp();
  try {
    const addresses = await Promise.race([(options.resolve ?? resolveHost)(host), limit.promise]);
    options.resolved?.(addresses.flatMap((address) => parseAddress(address) ?? []));
    return await Promise.race([race.run(addresses), limit.promise]);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", giveUp);
    race.over();
  }
}

/** The attempts that are under way for one connection. */
class Race {
  readonly #port: number;
  readonly #winner = Promise.withResolvers<Deno.TcpConn>();
  readonly #refusals: { address: string; why: string }[] = [];
  #waiting: string[] = [];
  #left = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(port: number) {
    this.#port = port;
  }

  run(addresses: readonly string[]): Promise<Deno.TcpConn> {
    this.#waiting = [...addresses];
    this.#left = addresses.length;
    this.#next();
    return this.#winner.promise;
  }

  /** Who connects from now on is too late. */
  over(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #next(): void {
    clearTimeout(this.#timer);
    const address = this.#waiting.shift();
    if (address === undefined || this.#isOver) return;
    this.#timer = setTimeout(() => this.#next(), NEXT_ADDRESS_MS);
    Deno.connect({ hostname: address, port: this.#port }).then((connection) => {
      if (this.#isOver) return connection.close();
      this.over();
      this.#winner.resolve(connection);
    }, (error) => {
      this.#refusals.push({ address, why: wordsFor(error) });
      if (--this.#left === 0) this.#winner.reject(new DialError(this.#whyNot()));
      else this.#next();
    });
  }

  #whyNot(): string {
    const causes = new Map<string, string[]>();
    for (const { address, why } of this.#refusals) {
      causes.set(why, [...causes.get(why) ?? [], address]);
    }
    const [only] = causes.keys();
    if (this.#refusals.length === 1) return only!;
    return [...causes].map(([why, addresses]) => `${why} (${addresses.join(", ")})`).join("; ");
  }
}

/** The cause of an error in words. */
function wordsFor(error: unknown): string {
  if (error instanceof LookupError) return error.message;
  const { code } = error as { code?: unknown };
  if (typeof code === "string") return WORDS[code] ?? code;
  return error instanceof Error
    ? error.message.replace(/\(os error \d+\)/, "").trim() || error.name
    : String(error);
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to it",
  ENETUNREACH: "no route to it",
  EADDRNOTAVAIL: "no route to it",
  ETIMEDOUT: "no answer",
};
