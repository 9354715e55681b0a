/**
 * When what another firewall holds, which was in use before, may go: not before the one of now
 * holds the blocks, and then soon.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Firewall } from "../firewall/firewall.ts";
import type { Leftovers } from "../firewall/leftovers.ts";

/**
 * After this time, in milliseconds, it goes although blocks are not in force yet: somebody who was
 * let in meanwhile must not stay refused for as long as nobody mends the firewall.
 */
const WAITING_MAX_MS = 30_000;

/** What could not be taken away is tried again after this time, in milliseconds. */
const RETRY_MS = 10_000;

/** What a {@linkcode Predecessor} looks at. */
interface PredecessorParts {
  readonly firewall: Pick<Firewall, "status">;
  readonly clock: Clock;
  readonly leftovers: Pick<Leftovers, "clear">;
  /** How often it is looked again, in milliseconds: a saved one may be loaded at any time. */
  readonly againMs: number;
}

/** Lets it go. */
export class Predecessor {
  readonly #parts: PredecessorParts;
  readonly #since: number;
  #dueAt = 0;
  #isBusy = false;

  /**
   * Nothing was looked at yet.
   *
   * @param parts What it looks at.
   */
  constructor(parts: PredecessorParts) {
    this.#parts = parts;
    this.#since = parts.clock.now();
  }

  /** Looks whether it is time; is called again and again. */
  look(): void {
    const now = this.#parts.clock.now();
    if (this.#isBusy || now < this.#dueAt || !this.#mayGo(now)) return;
    this.#isBusy = true;
    void this.#clear();
  }

  async #clear(): Promise<void> {
    const { leftovers, clock, againMs } = this.#parts;
    try {
      const isGone = await leftovers.clear();
      this.#dueAt = clock.now() + (isGone ? againMs : RETRY_MS);
    } finally {
      this.#isBusy = false;
    }
  }

  #mayGo(now: number): boolean {
    const { families } = this.#parts.firewall.status();
    return now - this.#since >= WAITING_MAX_MS ||
      families.every(({ judgement, desired, applied }) =>
        desired === 0 ? judgement !== undefined : judgement?.inForce === "yes" && applied >= desired
      );
  }
}
