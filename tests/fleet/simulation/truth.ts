/**
 * What has happened to each target, in the order in which it did: what follows from that for all
 * nodes.
 *
 * @module
 */

/** What people and nodes have done, in true time. */
export class Truth {
  readonly #margin: number;
  readonly #blocks = new Map<string, { at: number; end: number }[]>();
  readonly #releases = new Map<string, number>();
  /** When a clock was set for the last time: what was done around that has no certain order. */
  #doubtedAt = -Infinity;

  /**
   * Nothing has happened.
   *
   * @param margin Two changes that are closer than this have no certain order, in milliseconds.
   */
  constructor(margin: number) {
    this.#margin = margin;
  }

  /** A node has blocked a target. */
  blocked(target: string, at: number, end: number): void {
    const known = this.#blocks.get(target);
    if (known === undefined) this.#blocks.set(target, [{ at, end }]);
    else known.push({ at, end });
  }

  /** Somebody has deleted it. */
  released(target: string, at: number): void {
    this.#releases.set(target, at);
  }

  /** A clock was set. */
  doubt(_node: string, at: number): void {
    this.#doubtedAt = at;
  }

  /**
   * Whether it is wrong that a target is blocked, or is not.
   *
   * @returns What is wrong.
   */
  differs(target: string, isBlocked: boolean, now: number): string | undefined {
    if (this.#doubtedAt > -Infinity) return undefined;
    const blocks = (this.#blocks.get(target) ?? []).filter(({ end }) => end > now);
    const releasedAt = this.#releases.get(target) ?? -Infinity;
    const isSure = blocks.every(({ at }) => Math.abs(at - releasedAt) > this.#margin);
    if (!isSure) return undefined;
    const should = blocks.some(({ at }) => at > releasedAt);
    if (should === isBlocked) return undefined;
    return should
      ? "a block that nobody has deleted is lost"
      : `a block that was deleted is back (deleted at ${releasedAt})`;
  }
}
