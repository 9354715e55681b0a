/**
 * Whether blocks are told as in force when the simulated kernel would let a packet through.
 *
 * @module
 */

import type { Family } from "../../src/address/address.ts";
import type { Daemon } from "../../src/daemon/daemon.ts";
import type { Kernel } from "./kernel.ts";

/** A daemon that has seen that its blocks are not in force says so within this time, in ms. */
const SAYS_WITHIN_MS = 6_000;

/** How long blocks may be told as in force that are not, beside the interval of looks, in ms. */
const NOTICED_WITHIN_MS = 3_000;

const FAMILIES = [4, 6] as const;

/**
 * With nftables it takes longer to notice, in ms, if the monitor hangs: it is asked every 5 s and
 * answers within 2 s, and then all is listed.
 */
const NFT_NOTICED_WITHIN_MS = 10_000;

/** What a {@linkcode WayWitness} looks at. */
interface WitnessOptions {
  readonly kernel: Kernel;
  /** The blocks are in a table of nftables. */
  readonly isNft: boolean;
  /** World time, in milliseconds. */
  readonly now: () => number;
  /**
   * Whether the wall clock was set. The program counts ends for the kernel by `BelievedTime`; this
   * world by the wall clock, so that the kernel may end a block before the list does.
   */
  readonly isWallSet: () => boolean;
  /** The interval of looks, in milliseconds; none when it is not known how long a look may take. */
  readonly verifyMs: number | undefined;
}

/** Watches one process of the daemon. */
export class WayWitness {
  readonly #options: WitnessOptions;
  /** What the last look that reached the daemon saw of each family, and since when. */
  readonly #seen = new Map<Family, { isOpen: boolean; since: number }>();
  /** Since when the kernel lets blocked packets through, though the daemon says otherwise. */
  readonly #wrongSince = new Map<Family, number>();
  #stoodStill = false;

  /** @param options See {@linkcode WitnessOptions}. */
  constructor(options: WitnessOptions) {
    this.#options = options;
  }

  /** A listing of a hook has reached the daemon. */
  looked(family: Family, isInForce: boolean): void {
    const isOpen = !isInForce;
    if (this.#seen.get(family)?.isOpen === isOpen) return;
    this.#seen.set(family, { isOpen, since: this.#options.now() });
  }

  /** The daemon stands still: what it has seen it can say only afterwards. */
  standsStill(): void {
    this.#stoodStill = true;
  }

  /**
   * Compares what the daemon says with what it has seen, and with the kernel.
   *
   * @param daemon The daemon; it must not stand still.
   * @returns What is wrong.
   */
  compare(daemon: Daemon): string | undefined {
    const { kernel, now, verifyMs, isNft } = this.#options;
    if (this.#stoodStill) { for (const seen of this.#seen.values()) seen.since = now(); }
    this.#stoodStill = false;
    for (const family of FAMILIES) {
      if (daemon.firewall.judgementOf(family)?.inForce !== "yes") {
        this.#wrongSince.delete(family);
        continue;
      }
      if (isNft) {
        const wrong = this.#compareTable(daemon, family);
        if (wrong !== undefined) return wrong;
        continue;
      }
      const seen = this.#seen.get(family);
      if (seen === undefined) return `IPv${family}: in force, and nothing was looked at`;
      if (seen.isOpen && now() - seen.since > SAYS_WITHIN_MS) {
        return `IPv${family}: in force, though it has seen that packets pass`;
      }
      if (kernel.isAsked(family)) this.#wrongSince.delete(family);
      else if (!this.#wrongSince.has(family)) this.#wrongSince.set(family, now());
      const since = this.#wrongSince.get(family);
      if (verifyMs === undefined || since === undefined) continue;
      if (now() - since > verifyMs + NOTICED_WITHIN_MS) {
        return `IPv${family}: in force, while packets pass since ${now() - since} ms`;
      }
    }
    return undefined;
  }

  /** Blocks that are told as in force must be refused by the table. */
  #compareTable(daemon: Daemon, family: Family): string | undefined {
    const { kernel: { nft }, now, isWallSet, verifyMs } = this.#options;
    if (verifyMs === undefined) return undefined;
    const { waiting = [] } = daemon.firewall.status().families
      .find((one) => one.family === family) ?? {};
    const passing = daemon.list.all().find(({ target, until }) =>
      target.includes(":") === (family === 6) && !target.includes("/") &&
      (until === undefined || (until > now() && !isWallSet())) && !waiting.includes(target) &&
      !nft.refuses(target)
    );
    if (passing === undefined) this.#wrongSince.delete(family);
    else if (!this.#wrongSince.has(family)) this.#wrongSince.set(family, now());
    const since = this.#wrongSince.get(family);
    if (since === undefined || now() - since <= NFT_NOTICED_WITHIN_MS) return undefined;
    return `IPv${family}: in force, while packets of ${passing?.target} pass since ${
      now() - since
    } ms`;
  }

  /**
   * Sees whether a line of the log may be said.
   *
   * @param line The line.
   * @returns What is wrong.
   */
  hear(line: string): string | undefined {
    if (this.#options.isNft) return undefined;
    const family = Number(/IPv([46]): blocks are in force again/.exec(line)?.[1]) as Family;
    if (!FAMILIES.includes(family as 4 | 6)) return undefined;
    return this.#seen.get(family)?.isOpen === false ? undefined : `said without cause: ${line}`;
  }
}
