/**
 * Lists of attackers for commands that run without the daemon: its copies, or fetched if there are
 * none.
 *
 * @module
 */

import { ownAddresses } from "../address/address.ts";
import type { TargetSet } from "../address/target_set.ts";
import type { SecurityEvent } from "../ami/event.ts";
import type { Config } from "../config/config.ts";
import { type FeedConfig, shownUrl } from "../config/feeds.ts";
import { readCopy } from "../feeds/copy.ts";
import { copiesFolder } from "../feeds/folder.ts";
import { FeedError } from "../feeds/entries.ts";
import { fetchList } from "../feeds/fetch.ts";
import { type HostKey, keyAddress } from "../penalties/host_key.ts";
import type { StrictHosts } from "../penalties/strict.ts";

/** Services that are not reached at the ports of SIP. */
const NOT_SIP: ReadonlySet<string> = new Set(["AMI", "IAX2"]);

/** Most hosts that are counted for a list. */
const HOSTS_MAX = 1_000_000;

/** What a list would have meant for recorded events. */
export interface ListEffect {
  readonly name: string;
  readonly action: FeedConfig["action"];
  readonly entries: number;
  /** Strangers on it that were heard. */
  readonly hosts: number;
  /** Events of them that would not have come about. */
  readonly refused: number;
}

/** What is asked of an event. */
type Refusable = Pick<SecurityEvent, "host" | "service" | "kind" | "usingPassword">;

/** A list, and whom of it was heard. */
interface OpenedList {
  readonly feed: FeedConfig;
  readonly set: TargetSet;
  readonly hosts: Set<HostKey>;
  refused: number;
}

/** Lists that are known. */
class OpenedLists implements StrictHosts {
  readonly #lists: readonly OpenedList[];
  readonly #hasGap: boolean;

  /**
   * @param lists Each with who is on it.
   * @param hasGap Whether a login comes through.
   */
  constructor(
    lists: readonly (readonly [feed: FeedConfig, set: TargetSet])[],
    hasGap: boolean,
  ) {
    this.#hasGap = hasGap;
    this.#lists = lists.map(([feed, set]) => ({ feed, set, hosts: new Set(), refused: 0 }));
  }

  /** What each would have meant. */
  get effects(): ListEffect[] {
    return this.#lists.map(({ feed, set, hosts, refused }) => ({
      name: feed.name,
      action: feed.action,
      entries: set.size,
      hosts: hosts.size,
      refused,
    }));
  }

  /** Why a host has one attempt; see {@linkcode StrictHosts}. */
  whyStrict(host: HostKey): string | undefined {
    const network = keyAddress(host);
    const list = network && this.#lists.find(({ set }) => set.find(network) !== undefined);
    if (list === undefined) return undefined;
    if (list.hosts.size < HOSTS_MAX) list.hosts.add(host);
    return `listed by feed ${list.feed.name}`;
  }

  /**
   * Whether the kernel would have refused what a stranger's event tells of; counts it.
   *
   * @param event The event of somebody who does not belong here.
   */
  refuses(event: Refusable): boolean {
    const list = this.#refusing(event);
    if (list === undefined) return false;
    if (list.hosts.size < HOSTS_MAX) list.hosts.add(event.host);
    list.refused++;
    return true;
  }

  /** The same, and nothing is counted. */
  readonly quietly = {
    refuses: (event: Refusable): boolean => this.#refusing(event) !== undefined,
  };

  #refusing({ host, service, kind, usingPassword }: Refusable): OpenedList | undefined {
    if (this.#hasGap && kind === "SuccessfulAuth" && usingPassword) return undefined;
    const network = keyAddress(host);
    return network &&
      this.#lists.find(({ feed, set }) =>
        feed.action === "block" && !(feed.for === "sip" && NOT_SIP.has(service)) &&
        set.find(network) !== undefined
      );
  }
}

/**
 * Opens the lists of a configuration.
 *
 * @param config Names them.
 * @param complain Takes what is to be said of one that cannot be had.
 * @returns `undefined` if there is none.
 */
export async function openLists(
  { feeds, database, softRate, backend }: Config,
  complain: (line: string) => void,
): Promise<OpenedLists | undefined> {
  const folder = copiesFolder(database);
  const lists: [FeedConfig, TargetSet][] = [];
  const own = feeds.length === 0 ? [] : ownAddresses();
  for (const feed of feeds) {
    try {
      // A file is there itself, and may have changed.
      const copy = feed.url.startsWith("file:")
        ? undefined
        : await readCopy(folder, feed.name, feed.url, own).catch(() => undefined);
      const entries = copy?.entries ?? (await fetchList(feed, { own }))!.entries;
      lists.push([feed, entries.set]);
    } catch (error) {
      if (!(error instanceof FeedError)) throw error;
      complain(
        `warning: feed ${feed.name} counts as empty: ${shownUrl(feed.url)}: ${error.message}`,
      );
    }
  }
  return lists.length === 0
    ? undefined
    : new OpenedLists(lists, softRate > 0 && backend !== "ipset");
}
