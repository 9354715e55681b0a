/**
 * All lists of attackers that the configuration names.
 *
 * @module
 */

import type { Network } from "../address/address.ts";
import type { FeedConfig } from "../config/feeds.ts";
import { type HostKey, keyAddress } from "../penalties/host_key.ts";
import type { StrictHosts } from "../penalties/strict.ts";
import { deleteOtherCopies } from "./copy.ts";
import { Feed, type FeedParts, type FeedState } from "./feed.ts";

/** What {@linkcode Feeds} needs besides what each feed does. */
interface FeedsParts extends FeedParts {
  /** Called when others are listed. */
  readonly changed: () => void;
}

/** Keeps the lists, and looks at each when it is due, one after the other. */
export class Feeds implements StrictHosts {
  readonly #parts: FeedsParts;
  readonly #stop = new AbortController();
  #feeds: Feed[] = [];
  /** The list that is being looked at, and what gives that up. */
  #current: { readonly feed: Feed; readonly stop: AbortController } | undefined;
  /** How many lists are being read. */
  #busy = 0;

  /**
   * No list yet.
   *
   * @param parts See {@linkcode FeedsParts}.
   */
  constructor(parts: FeedsParts) {
    this.#parts = parts;
  }

  /** All of them, in the order of the configuration. */
  get all(): readonly Feed[] {
    return this.#feeds;
  }

  /** What a person may want to know. */
  get states(): FeedState[] {
    return this.#feeds.map(({ state }) => state);
  }

  /**
   * Takes over a configuration: what a feed knows stays with it, and leaves with it.
   *
   * @param configs All feeds.
   */
  configure(configs: readonly FeedConfig[]): void {
    const before = this.#feeds;
    this.#feeds = configs.map((config) => {
      const known = before.find((feed) => isSame(feed.config, config));
      known?.hurry();
      // Who is on it stays refused while it is looked at anew.
      const former = before.find((feed) => isSameList(feed.config, config));
      return known ?? new Feed(config, this.#parts, former);
    });
    // The others need not wait for what nobody wants any more, and nothing of it is kept.
    if (this.#current !== undefined && !this.#feeds.includes(this.#current.feed)) {
      this.#current.stop.abort();
    }
    const { folder } = this.#parts;
    if (folder !== undefined) deleteOtherCopies(folder, new Set(configs.map(({ name }) => name)));
    if (before.length > 0) this.#parts.changed();
  }

  /** Takes over the copies on disk of those of which nothing is known. */
  async restore(): Promise<void> {
    const fresh = this.#feeds.filter(({ isKnown }) => !isKnown);
    this.#busy++;
    for (const feed of fresh) await feed.restore();
    this.#busy--;
    if (fresh.some(({ isKnown }) => isKnown)) this.#parts.changed();
  }

  /**
   * Looks at a list that is due, if none is being looked at: to be called often.
   *
   * @returns When that is over; nothing needs to wait for it.
   */
  async look(): Promise<void> {
    if (this.#busy > 0 || this.#stop.signal.aborted) return;
    const due = this.#feeds.find(({ isDue }) => isDue);
    if (due !== undefined) await this.#refresh(due);
  }

  /** Ends it. */
  close(): void {
    this.#stop.abort();
  }

  /** Why a host has one attempt; see {@linkcode StrictHosts}. */
  whyStrict(host: HostKey): string | undefined {
    const network = keyAddress(host);
    if (network === undefined) return undefined;
    const feed = this.#feeds.find(({ set }) => set.find(network) !== undefined);
    return feed === undefined ? undefined : `listed by feed ${feed.config.name}`;
  }

  /**
   * The feeds that list a target, or a part of it.
   *
   * @param network The target.
   * @returns Each with its entry.
   */
  listing(network: Network): { readonly feed: Feed; readonly entry: string }[] {
    return this.#feeds.flatMap((feed) => {
      const entry = feed.set.find(network);
      return entry === undefined ? [] : [{ feed, entry }];
    });
  }

  async #refresh(feed: Feed): Promise<void> {
    this.#busy++;
    const stop = new AbortController();
    this.#current = { feed, stop };
    try {
      const isOther = await feed.refresh(AbortSignal.any([this.#stop.signal, stop.signal]));
      // It may have left meanwhile.
      if (isOther && this.#feeds.includes(feed)) this.#parts.changed();
    } finally {
      this.#current = undefined;
      this.#busy--;
    }
  }
}

/** Whether two sections mean the same entries. */
function isSameList(a: FeedConfig, b: FeedConfig): boolean {
  return (["name", "url", "format"] as const).every((key) => a[key] === b[key]);
}

function isSame(a: FeedConfig, b: FeedConfig): boolean {
  return isSameList(a, b) &&
    (["every", "for", "action", "keyFile"] as const).every((key) => a[key] === b[key]);
}
