/**
 * Finds out where Asterisk is: by the address of its manager interface, and by what its events say
 * of the address at which it was reached (LocalAddress).
 *
 * What strangers may have written has no say: only events that are exactly Asterisk's are asked,
 * and several of them must agree before they outvote what was known. chan_sip prints `externip` as
 * its own address when it is set, which is that of a router.
 *
 * @module
 */

import { contains } from "../address/address.ts";
import { LINK_LOCAL } from "../address/interfaces.ts";
import type { SecurityEvent } from "../ami/event.ts";
import {
  HERE,
  type OwnNetwork,
  placeOfAddress,
  placeOfHost,
  type Whereabouts,
} from "../firewall/asterisk_place.ts";

/** So many events must say that Asterisk is not on this machine before that is believed. */
const VOTES_MIN = 3;

/** Most events that have a say: older ones count half then. */
const VOTES_MAX = 64;

/** Most different addresses that are counted. */
const ADDRESSES_MAX = 8;

/**
 * Counts what events say.
 *
 * @example
 * ```ts
 * import { WhereaboutsFinder } from "./whereabouts.ts";
 *
 * const finder = new WhereaboutsFinder(() => ({ interfaces: [], gateways: [] }));
 * finder.find(["127.0.0.1"]).place.kind; // "here"
 * ```
 */
export class WhereaboutsFinder {
  readonly #network: () => OwnNetwork;
  #known: OwnNetwork;
  /** How many events came to this machine's own addresses. */
  #here = 0;
  /** How many events came to other addresses. */
  readonly #there = new Map<string, number>();
  /** The address of the last event, mostly that of the next one too. */
  #last = "";
  #lastIsHere = false;
  #lastThere: string | undefined;
  /** Something was counted since the last answer. */
  #hasNews = false;

  /**
   * Nothing was heard yet.
   *
   * @param network This machine's network, at present.
   */
  constructor(network: () => OwnNetwork) {
    this.#network = network;
    this.#known = network();
  }

  /** This machine's network, as it was seen last. */
  get network(): OwnNetwork {
    return this.#known;
  }

  /**
   * Takes the word of an event.
   *
   * @param event One that is exactly Asterisk's.
   */
  take(event: SecurityEvent): void {
    if (!event.isLocal(this.#last)) {
      this.#last = event.localText;
      const named = event.local;
      // Each link has the same ones.
      const address = named !== undefined && contains(LINK_LOCAL, named) ? undefined : named;
      const place = address === undefined ? HERE : placeOfAddress(address, this.#known);
      // Nobody can be reached at a wildcard, and loopback is everywhere.
      const isOwn = address !== undefined && place.kind === "here" &&
        this.#known.interfaces.some((one) => one.name !== "lo" && one.address === address);
      this.#lastIsHere = isOwn;
      this.#lastThere = place.kind === "behind" ||
          (place.kind === "elsewhere" && event.service !== "SIP")
        ? place.address
        : undefined;
    }
    this.#hasNews = true;
    if (this.#lastThere !== undefined) this.#count(this.#lastThere);
    else if (this.#lastIsHere) this.#here = Math.min(this.#here + 1, VOTES_MAX);
  }

  #count(address: string): void {
    const there = this.#there;
    const votes = there.get(address) ?? 0;
    if (votes === 0 && there.size >= ADDRESSES_MAX) return;
    there.set(address, votes + 1);
    if (votes + 1 < VOTES_MAX) return;
    this.#here = Math.floor(this.#here / 2);
    for (const [one, count] of there) {
      if (count < 2) there.delete(one);
      else there.set(one, Math.floor(count / 2));
    }
  }

  /** Looks at this machine's network again: addresses and bridges come and go. */
  refresh(): void {
    this.#known = this.#network();
    this.#last = "";
    this.#lastIsHere = false;
    this.#lastThere = undefined;
    this.#hasNews = true;
  }

  /** Whether the answer may have changed since the last one. */
  get hasNews(): boolean {
    return this.#hasNews;
  }

  /**
   * Tells where Asterisk is.
   *
   * @param peers Canonical addresses of its manager interface.
   */
  find(peers: readonly string[]): Whereabouts {
    this.#hasNews = false;
    const byHost = placeOfHost(peers, this.#known);
    const votes = [...this.#there].sort((a, b) => b[1] - a[1]);
    const sum = votes.reduce((all, [, count]) => all + count, 0);
    if (sum < VOTES_MIN || sum <= this.#here) {
      const isHere = this.#here > 0 && byHost.kind === "elsewhere";
      const place = isHere ? HERE : byHost;
      return { place, isAssumed: place.kind === "here" && this.#here === 0, doubt: undefined };
    }
    const places = votes.map(([address]) => placeOfAddress(address, this.#known));
    const behind = places.find(({ kind }) => kind === "behind");
    if (behind !== undefined) return { place: behind, isAssumed: false, doubt: undefined };
    if (byHost.kind !== "here") return { place: byHost, isAssumed: false, doubt: undefined };
    const away = places.find(({ kind }) => kind === "elsewhere");
    const doubt = away?.kind === "elsewhere" ? away.address : undefined;
    return { place: HERE, isAssumed: true, doubt };
  }
}
