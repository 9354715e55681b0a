/**
 * What the firewall will probably be told at the start, made ready while the list is still being read.
 *
 * @module
 */

import { type AddressSet, type Family, familyOf } from "../address/address.ts";
import { hasEnded } from "../blocks/block.ts";
import { type Clock, sleep, systemClock } from "../clock.ts";
import type { Backend, Entry } from "./backend.ts";
import type { SortedEntries } from "./firewall.ts";

/** What a {@linkcode Foresight} needs. */
export interface ForesightOptions {
  /** They are told of what is in force, as far as they want to know it that early. */
  readonly backends: readonly Backend[];
  /** Who is never blocked. */
  readonly exempt: AddressSet;
  /** Clock value in milliseconds since 1970. */
  readonly now: number;
  /** For pauses. @default {systemClock} */
  readonly clock?: Clock;
}

/**
 * Sorts the entries of a list, page by page, into what is to be blocked and what is not any more, and lets the firewall begin
 * with the former. What is in force in the end, `Firewall.start` says.
 *
 * @example
 * ```ts ignore
 * const foresight = new Foresight({ backends, exempt, now: Date.now() });
 * const list = await WrittenBlockList.openInTurns(path, options, foresight);
 * ```
 */
export class Foresight {
  /** Who was taken to be never blocked. */
  readonly exempt: AddressSet;
  /** Stored blocks of those, which must be removed. */
  readonly trusted: string[] = [];
  /** How many had ended. */
  ended = 0;
  readonly #now: number;
  readonly #clock: Clock;
  readonly #backends: readonly Backend[];
  readonly #sorted: ReadonlyMap<Family, Entry[]>;
  readonly #isAwaited: boolean;
  #expected = 0;
  #isRight = true;

  /**
   * Makes one for one start.
   *
   * @param options see {@linkcode ForesightOptions}
   */
  constructor(options: ForesightOptions) {
    const { backends, clock = systemClock } = options;
    this.exempt = options.exempt;
    this.#now = options.now;
    this.#clock = clock;
    this.#backends = backends;
    this.#sorted = new Map(backends.map(({ family }) => [family, []]));
    this.#isAwaited = backends.some((backend) => backend.foresee !== undefined);
  }

  /** What is to be blocked, sorted by family; `undefined` if it has turned out to be wrong. */
  get sorted(): SortedEntries | undefined {
    return this.#isRight ? this.#sorted : undefined;
  }

  /**
   * Before the first part of the list, when no other daemon works with it any more: the chain is looked at, and the program
   * that needs longest is started.
   *
   * @param expected about how many entries there are
   */
  begin(expected: number): void {
    this.#expected = expected;
    for (const backend of this.#backends) backend.prepare?.();
    // Almost all are of this family.
    if (expected > 0) this.#foresee(4, 0, expected);
  }

  /**
   * Takes a part of the list.
   *
   * @param entries the next ones
   * @returns when the next may come
   * @throws {TypeError} If a target is no address or network.
   */
  take(entries: readonly Entry[]): Promise<void> | undefined {
    const known = { 4: this.#sorted.get(4)?.length ?? 0, 6: this.#sorted.get(6)?.length ?? 0 };
    for (const entry of entries) {
      if (hasEnded(entry, this.#now)) this.ended++;
      else if (this.exempt.overlaps(entry.target)) this.trusted.push(entry.target);
      else this.#sorted.get(familyOf(entry.target))?.push(entry);
    }
    for (const family of [4, 6] as const) {
      const added = (this.#sorted.get(family)?.length ?? 0) - known[family];
      if (added === 0) continue;
      this.#foresee(family, known[family], Math.ceil(this.#expected * added / entries.length));
    }
    return this.#isAwaited ? this.pause() : undefined;
  }

  #foresee(family: Family, from: number, expected: number): void {
    const sorted = this.#sorted.get(family) ?? [];
    const backend = this.#backends.find((backend) => backend.family === family);
    backend?.foresee?.(sorted, from, expected);
  }

  /**
   * Lets the firewall's program have what was made for it, and its answer be read. A turn of the event loop by itself would not
   * do: Deno (tokio, `event_interval`) looks at other processes only when it has to wait.
   */
  pause(): Promise<void> {
    return sleep(this.#clock, 0);
  }

  /** What was told is not the list. */
  dismiss(): void {
    this.#isRight = false;
  }
}
