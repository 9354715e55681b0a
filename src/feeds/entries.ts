/**
 * The entries of a list: which of them are taken, and what is said of the others.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import {
  expectNetwork,
  type Network,
  parseTarget,
  readIpv4,
  writeNetwork,
} from "../address/address.ts";
import { AddressSet } from "../address/address_set.ts";
import { parseTargets } from "../address/ranges.ts";
import { escapeText } from "../text/escape.ts";
import { counted } from "../text/table.ts";
import { type TargetSet, TargetSetBuilder } from "../address/target_set.ts";

/** Most entries of a list. */
const ENTRIES_MAX = 500_000;

/** A network that is wider is not blocked for a list: a mistake in it would cost too much. */
const WIDEST = { 4: 8, 6: 19 } as const;

/** A list that holds so much of a family's addresses is told: hardly any is one of attackers. */
const WIDE_SHARE = 1 / 16;

/** So many entries that were left out are told one by one. */
const TOLD_MAX = 5;

/** Longest part of a line that is repeated, in characters. */
const SHOWN_MAX = 60;

/**
 * Addresses that nobody in the Internet has: private ones, those of one link, loopback, multicast
 * and what is reserved (RFC 6890; RFC 4291). To refuse these would hit whoever is on this side.
 */
const NOT_IN_THE_INTERNET = new AddressSet([
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "224.0.0.0/3",
  "::/96",
  "64:ff9b::/96",
  "fc00::/7",
  "fe80::/10",
  "fec0::/10",
  "ff00::/8",
]);

/** A list that cannot be used; the message says why. */
export class FeedError extends Error {
  /** Name of the error. */
  override readonly name = "FeedError";
  /** What a person can do about it; empty if nothing. */
  readonly advice: string;

  /**
   * @param message What is wrong.
   * @param advice What mends it.
   */
  constructor(message: string, advice = "") {
    super(message);
    this.advice = advice;
  }
}

/** What is in a list. */
export interface Entries {
  readonly set: TargetSet;
  /** Entries that were taken, each as often as it stands there. */
  readonly taken: number;
  /** Entries that were left out for what they are, and lines that are none. */
  readonly leftOut: number;
  /** What was left out, one by one: the first ones, with line and reason. */
  readonly told: readonly string[];
}

/** Takes the entries of a list one after the other. */
export class EntryReader {
  readonly #builder = new TargetSetBuilder();
  readonly #own: AddressSet;
  readonly #servers: AddressSet;
  readonly #told: string[] = [];
  #leftOut = 0;
  #unreadable = 0;

  /**
   * @param own This machine's addresses.
   * @param servers Those from which the list comes: refused, they could not mend a mistake.
   */
  constructor(own: readonly string[] = [], servers: readonly string[] = []) {
    this.#own = new AddressSet(own);
    this.#servers = new AddressSet(servers);
  }

  /**
   * Takes the text of an entry: an address, a network in CIDR notation, with a netmask, or a range.
   *
   * @param text Without white space.
   * @param line The number of its line.
   */
  take(text: string, line: number): void {
    const word = readIpv4(text);
    // Almost all of them.
    if (word !== undefined) {
      return this.#takeNetwork({ family: 4, words: [word], prefix: 32 }, line);
    }
    const targets = parseTarget(text) === undefined ? parseTargets(text) : [text];
    if (targets === undefined) return this.refuse(text, line);
    const networks = targets.map((target) => expectNetwork(target));
    // Of a range that is not right as a whole no part is taken either.
    const wrong = networks.length === 1
      ? undefined
      : networks.find((network) => this.#whyNot(network) !== undefined);
    if (wrong !== undefined) return this.#takeNetwork(wrong, line);
    for (const network of networks) this.#takeNetwork(network, line);
  }

  /** Notes a line that is no entry. */
  refuse(text: string, line: number): void {
    this.#unreadable++;
    this.#leaveOut(line, `"${escapeText(text, SHOWN_MAX)}" is no address or network`);
  }

  /**
   * Gives what was taken, in several turns of the event loop.
   *
   * @throws {FeedError} When most of it is no list of addresses.
   */
  async finish(): Promise<Entries> {
    const taken = this.#builder.size;
    if (this.#unreadable > taken) {
      throw new FeedError(
        `this is no list of addresses: ${counted(this.#unreadable, "line is", "lines are")} none (${
          this.#told[0]
        })`,
      );
    }
    const steps = this.#builder.buildInSteps();
    for (;;) {
      const { done, value: set } = steps.next();
      if (done) return { set, taken, leftOut: this.#leftOut, told: this.#told };
      // Whoever reads the events of Asterisk has a turn.
      await setImmediate();
    }
  }

  #takeNetwork(network: Network, line: number): void {
    const { family, words, prefix } = network;
    const why = this.#whyNot(network);
    if (why !== undefined) return this.#leaveOut(line, `${writeNetwork(network)} ${why}`);
    if (this.#builder.size >= ENTRIES_MAX) {
      throw new FeedError(`it has more than ${ENTRIES_MAX} entries`);
    }
    if (family === 4) this.#builder.addIpv4(words[0]!, prefix);
    else this.#builder.add(network);
  }

  #whyNot(network: Network): string | undefined {
    const { family, prefix } = network;
    if (prefix < WIDEST[family]) return `is wider than /${WIDEST[family]}`;
    if (this.#servers.targets.length > 0 && this.#servers.overlaps(writeNetwork(network))) {
      return "holds the server that the list comes from";
    }
    if (isInner(network)) return "is no address of the Internet";
    return this.#own.targets.length > 0 && this.#own.overlaps(writeNetwork(network))
      ? "holds an address of this machine"
      : undefined;
  }

  #leaveOut(line: number, what: string): void {
    this.#leftOut++;
    if (this.#told.length < TOLD_MAX) this.#told.push(`line ${line}: ${what}`);
  }
}

/**
 * Whether a network holds addresses that nobody in the Internet has.
 *
 * @param network An address or network.
 */
export function isInner(network: Network): boolean {
  const { family, words, prefix } = network;
  if (family === 4 && prefix === 32) return NOT_IN_THE_INTERNET.hasIpv4(words[0]!);
  return NOT_IN_THE_INTERNET.overlaps(writeNetwork(network));
}

/**
 * What is to be told of a list that holds a large part of the Internet.
 *
 * @param set Who is on it.
 * @returns `undefined` if it does not.
 */
export function howWide(set: TargetSet): string | undefined {
  for (const family of [4, 6] as const) {
    const share = set.shareOf(family);
    if (share < WIDE_SHARE) continue;
    return `it holds ${
      percent(share)
    } of all addresses of IPv${family}, which is no list of attackers`;
  }
  return undefined;
}

/**
 * A part in words.
 *
 * @param share From 0 to 1.
 */
export function percent(share: number): string {
  return share === 0 ? "none" : `${share < 0.005 ? "less than 1" : Math.round(100 * share)} %`;
}
