/**
 * Names whose addresses are never blocked: looked up again and again, and never in the way of a
 * decision. What was answered last is what holds.
 *
 * @module
 */

import { parseAddress } from "./address.ts";
import { AddressSet } from "./address_set.ts";

/**
 * How often a name is looked up at least that has not been answered yet, in milliseconds (at a boot
 * the network comes later).
 */
export const FIRST_LOOKUPS_EVERY_MS = 10_000;

/** So many times it is looked up so often, then as any other. */
export const FIRST_LOOKUPS_MAX = 30;

/**
 * How long an address stays trusted that an answer does not hold any more, in milliseconds: a name
 * with many addresses is often answered with some of them in turns.
 */
export const HOLD_MS = 5 * 60_000;

/** How long the last answer holds while none comes, in milliseconds. */
export const KEEP_MS = 24 * 3_600_000;

/** Most addresses of a name, the newest. */
export const NAME_ADDRESSES_MAX = 16;

/** Most lookups at a time: the system may keep a thread waiting for each. */
export const LOOKUPS_AT_ONCE_MAX = 8;

/** Lookups in vain after which it is told of a name that was answered before. */
const FAILURES_TOLD = 3;

/** Changes of a name that are told within {@linkcode KEEP_MS}. */
const CHANGES_TOLD_MAX = 20;

/**
 * Who cannot be meant, whatever is answered: this network, loopback, multicast, reserved and
 * broadcast; the unspecified address, loopback and multicast of IPv6. A provider of dynamic DNS
 * answers so for who is off line, a blocking resolver for what it blocks.
 */
export const NOBODYS = new AddressSet([
  "0.0.0.0/8",
  "127.0.0.0/8",
  "224.0.0.0/3",
  "::/128",
  "::1",
  "ff00::/8",
]);

/** An answer as it outlives a restart. */
export interface SavedAnswer {
  readonly name: string;
  /** Canonical addresses. */
  readonly addresses: readonly string[];
  /** When it came; of the same clock as the `now` that is given. */
  readonly answeredAt: number;
}

/** What is known of a name. */
export interface NameState {
  readonly name: string;
  /** Canonical addresses that are trusted for this name. */
  readonly addresses: readonly string[];
  /** When the last answer came; `undefined` if none ever did. */
  readonly answeredAt: number | undefined;
  /** Why the last lookup was in vain; `undefined` if it was not. */
  readonly failing: string | undefined;
}

/** What {@linkcode TrustedNames} needs of its owner. */
interface NameOptions {
  /** Looks a name up; rejects when there is no answer. */
  readonly lookup: (name: string) => Promise<readonly string[]>;
  /** How often a name is looked up that was answered, in milliseconds. */
  readonly everyMs: () => number;
  /** The clock: milliseconds, never set back. */
  readonly now: () => number;
  /** Other addresses are trusted now. */
  readonly changed: () => void;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
}

/** What is kept of a name. */
class KnownName {
  readonly name: string;
  /** The last answer that held somebody. */
  answer: ReadonlySet<string> = new Set();
  answeredAt: number | undefined;
  /** When each address was answered last. */
  readonly seen = new Map<string, number>();
  /** Those that are trusted. */
  inForce: readonly string[] = [];
  failing: string | undefined;
  failures = 0;
  /** It was told that it fails. */
  isToldFailing = false;
  /** Addresses of which it was told that they are refused. */
  readonly refused = new Set<string>();
  /** Changes that were told, and since when they are counted. */
  told = 0;
  toldSince = -Infinity;
  isRunning = false;
  dueAt = -Infinity;

  constructor(name: string) {
    this.name = name;
  }

  /** Who is trusted at a moment: the last answer, and who was answered not long ago. */
  at(now: number): string[] {
    const addresses = [...this.seen].filter(([address, at]) =>
      this.answer.has(address) || now - at < HOLD_MS
    );
    // The newest first; of one answer in its order.
    return addresses.sort((a, b) => b[1] - a[1]).slice(0, NAME_ADDRESSES_MAX)
      .map(([address]) => address);
  }
}

/**
 * Looks names up and remembers the answers.
 *
 * @example
 * ```ts
 * import { TrustedNames } from "./trusted_names.ts";
 *
 * const told: string[] = [];
 * const names = new TrustedNames({
 *   lookup: () => Promise.resolve(["203.0.113.5", "0.0.0.0"]),
 *   everyMs: () => 60_000,
 *   now: () => 0,
 *   changed: () => {},
 *   info: (message) => void told.push(message),
 *   warn: (message) => void told.push(message),
 * });
 * names.set(["office.example"]);
 * names.look();
 * await names.idle();
 * names.addresses(); // ["203.0.113.5"]
 * ```
 */
export class TrustedNames {
  readonly #options: NameOptions;
  #names = new Map<string, KnownName>();
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  /**
   * No name yet.
   *
   * @param options What it needs.
   */
  constructor(options: NameOptions) {
    this.#options = options;
  }

  /**
   * Chooses the names, and looks all of them up next time; what is known of those that stay is
   * kept. Nothing is told of a change, as the caller makes it.
   *
   * @param names Names in small letters, each once.
   */
  set(names: readonly string[]): void {
    this.#names = new Map(
      names.map((name) => [name, this.#names.get(name) ?? new KnownName(name)]),
    );
    for (const known of this.#names.values()) known.dueAt = -Infinity;
  }

  /**
   * Begins with what an earlier life was answered; a name that was answered in this one is left
   * alone.
   *
   * @param answers What {@linkcode TrustedNames.saved} gave.
   */
  restore(answers: readonly SavedAnswer[]): void {
    const now = this.#options.now();
    for (const { name, addresses, answeredAt } of answers) {
      const known = this.#names.get(name);
      if (known === undefined || known.answeredAt !== undefined) continue;
      if (now - answeredAt >= KEEP_MS) continue;
      const usable = addresses.filter((address) =>
        parseAddress(address) === address && !NOBODYS.has(address)
      ).slice(0, NAME_ADDRESSES_MAX);
      if (usable.length === 0) continue;
      known.answeredAt = Math.min(answeredAt, now);
      known.answer = new Set(usable);
      for (const address of usable) known.seen.set(address, known.answeredAt);
      known.inForce = known.at(now);
    }
  }

  /** The answers that are worth to outlive a restart. */
  saved(): SavedAnswer[] {
    return [...this.#names.values()].flatMap(({ name, answer, answeredAt }) =>
      answeredAt === undefined || answer.size === 0
        ? []
        : [{ name, addresses: [...answer], answeredAt }]
    );
  }

  /** The trusted addresses of all names, canonical, each once. */
  addresses(): string[] {
    return [...new Set([...this.#names.values()].flatMap(({ inForce }) => inForce))];
  }

  /** What is known of each name. */
  states(): NameState[] {
    return [...this.#names.values()].map(({ name, inForce, answeredAt, failing }) => ({
      name,
      addresses: inForce,
      answeredAt,
      failing,
    }));
  }

  /** Starts the lookups that are due, and lets go what has not been answered for too long. */
  look(): void {
    const now = this.#options.now();
    const due: KnownName[] = [];
    for (const known of this.#names.values()) {
      this.#letGo(known, now);
      if (!known.isRunning && known.dueAt <= now) due.push(known);
    }
    // Who waits longest: names that are never answered would keep others from their turn.
    due.sort((a, b) => a.dueAt === b.dueAt ? 0 : a.dueAt - b.dueAt);
    for (const known of due.slice(0, LOOKUPS_AT_ONCE_MAX - this.#running.size)) this.#start(known);
  }

  /** Waits for the lookups that are under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** What is answered from now on is not heard. */
  close(): void {
    this.#isClosed = true;
  }

  #start(known: KnownName): void {
    known.isRunning = true;
    const lookup = this.#lookUp(known).finally(() => {
      this.#running.delete(lookup);
      known.isRunning = false;
      const isNew = known.answeredAt === undefined && known.failures < FIRST_LOOKUPS_MAX;
      const every = this.#options.everyMs();
      known.dueAt = this.#options.now() +
        (isNew ? Math.min(every, FIRST_LOOKUPS_EVERY_MS) : every);
      // Others may have waited for their turn.
      if (!this.#isClosed) this.look();
    });
    this.#running.add(lookup);
  }

  async #lookUp(known: KnownName): Promise<void> {
    let found: readonly string[];
    try {
      found = await this.#options.lookup(known.name);
    } catch (error) {
      this.#fail(known, error instanceof Error ? error.message : String(error));
      return;
    }
    const addresses = [...new Set(found.flatMap((address) => parseAddress(address) ?? []))];
    const refused = addresses.filter((address) => NOBODYS.has(address));
    const usable = addresses.filter((address) => !NOBODYS.has(address));
    if (usable.length === 0) {
      this.#fail(known, `it is answered with ${refused.join(", ")}, which can be nobody's`);
      return;
    }
    this.#tellRefused(known, refused);
    this.#take(known, usable.slice(0, NAME_ADDRESSES_MAX));
  }

  #take(known: KnownName, usable: readonly string[]): void {
    if (this.#isClosed) return;
    const now = this.#options.now();
    const isAgain = known.isToldFailing && known.answeredAt !== undefined;
    known.answer = new Set(usable);
    known.answeredAt = now;
    for (const address of usable) known.seen.set(address, now);
    for (const [address, at] of known.seen) if (now - at >= HOLD_MS) known.seen.delete(address);
    if (isAgain) this.#options.info(`trust: ${known.name} is answered again`);
    known.failing = undefined;
    known.failures = 0;
    known.isToldFailing = false;
    this.#apply(known, now);
  }

  #fail(known: KnownName, why: string): void {
    if (this.#isClosed) return;
    known.failing = why;
    known.failures++;
    const isFirst = known.answeredAt === undefined;
    if (known.isToldFailing || (!isFirst && known.failures < FAILURES_TOLD)) return;
    known.isToldFailing = true;
    this.#options.warn(
      `trust: ${known.name}: ${why}. ` +
        (known.inForce.length === 0
          ? "Nobody is trusted for it until it is answered; it is looked up again and again. "
          : `Its last answer holds for a day: ${[...known.answer].join(", ")} stays trusted. `) +
        `Fix: see whether it is spelt right and a name server answers: getent ahosts ${known.name}`,
    );
  }

  #letGo(known: KnownName, now: number): void {
    const { answeredAt } = known;
    if (answeredAt !== undefined && known.answer.size > 0 && now - answeredAt >= KEEP_MS) {
      known.answer = new Set();
      this.#options.warn(
        `trust: ${known.name} has not been answered for a day: ${known.inForce.join(", ")} ` +
          "is no longer trusted",
      );
    }
    if (known.inForce.length > 0) this.#apply(known, now);
  }

  #apply(known: KnownName, now: number): void {
    const before = known.inForce;
    const after = known.at(now);
    const added = after.filter((address) => !before.includes(address));
    const gone = before.filter((address) => !after.includes(address));
    known.inForce = after;
    if (added.length + gone.length === 0) return;
    this.#tellChange(known, added, gone, now);
    // A name that is not chosen any more may still be answered.
    if (this.#names.get(known.name) === known) this.#options.changed();
  }

  #tellChange(
    known: KnownName,
    added: readonly string[],
    gone: readonly string[],
    now: number,
  ): void {
    if (now - known.toldSince >= KEEP_MS) [known.told, known.toldSince] = [0, now];
    if (++known.told > CHANGES_TOLD_MAX) return;
    const parts: string[] = [];
    if (added.length > 0) parts.push(`${known.name} is ${added.join(", ")}: trusted`);
    const held = known.inForce.filter((address) => !known.answer.has(address));
    if (added.length > 0 && held.length > 0) {
      parts.push(
        `${held.join(", ")}, which it was before, stays trusted for 5 min in case the name is ` +
          "answered in turns",
      );
    }
    if (gone.length > 0) {
      parts.push(`${gone.join(", ")} is no longer trusted: ${known.name} was not answered so`);
    }
    if (known.told === CHANGES_TOLD_MAX) {
      parts.push("further changes of this name are not told today; ampere --status shows them");
    }
    this.#options.info(`trust: ${parts.join("; ")}`);
  }

  #tellRefused(known: KnownName, refused: readonly string[]): void {
    const news = refused.filter((address) => !known.refused.has(address));
    if (news.length === 0 || known.refused.size >= NAME_ADDRESSES_MAX) return;
    for (const address of news) known.refused.add(address);
    this.#options.warn(
      `trust: ${known.name} is answered with ${news.join(", ")}, too, which can be nobody's and ` +
        "is left out",
    );
  }
}
