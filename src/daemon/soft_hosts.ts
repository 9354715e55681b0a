/**
 * Hosts that are blocked though they may belong here: for where they are, when they first appear,
 * which is no guilt of theirs; or because several accounts failed there with a session each, which
 * is a guesser, or an office where several phones have wrong passwords. As far as the firewall can,
 * a few packets of theirs pass; a login ends the block, and a wrong password takes the way back.
 *
 * @module
 */

import type { SecurityEvent } from "../ami/event.ts";
import type { NewBlock } from "../blocks/block.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Firewall } from "../firewall/firewall.ts";
import { UNANSWERED_BAN_MS_MAX } from "../penalties/ban_time.ts";
import { isSightReason } from "../penalties/reason.ts";
import type { Releases } from "./releases.ts";

/** Most hosts of which packets pass; of further ones none does. */
export const SOFT_HOSTS_MAX = 512;

/** When there are so many it is looked at most so often which have ended, in milliseconds. */
const SWEEP_MS = 10_000;

/** What {@linkcode SoftHosts} look at. */
interface SoftHostParts {
  readonly list: BlockList;
  readonly firewall: Pick<Firewall, "softens">;
  readonly releases: Releases;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** How a host was blocked. */
interface SoftHost {
  /** The accounts that failed there, and may again; none: it is blocked at sight. */
  readonly apart: readonly string[] | undefined;
  /** End of its block, in milliseconds since 1970. */
  readonly until: number;
}

/** What is needed of an event. */
type Heard = Pick<SecurityEvent, "kind" | "address" | "service" | "account">;

/** Knows which blocks of hosts are soft. */
export class SoftHosts {
  readonly #parts: SoftHostParts;
  readonly #soft = new Map<string, SoftHost>();
  #sweptAt = -Infinity;

  /**
   * There are none yet; those of an earlier life are blocks like any other.
   *
   * @param parts What they look at.
   */
  constructor(parts: SoftHostParts) {
    this.#parts = parts;
  }

  /** Whether a block is one of these. */
  has(target: string): boolean {
    return this.#soft.has(target);
  }

  /** Canonical targets. */
  get targets(): string[] {
    for (const target of this.#soft.keys()) {
      if (!this.#isThere(target)) this.#soft.delete(target);
    }
    return [...this.#soft.keys()];
  }

  /**
   * Hosts are about to be blocked.
   *
   * @param blocks All blocks that are made.
   * @returns Whether one of them is soft.
   */
  add(blocks: readonly NewBlock[]): boolean {
    let isAny = false;
    for (const { target, reason, until, apart, renews } of blocks) {
      // Whoever had a way back and guessed has no second one.
      if (renews || !(apart !== undefined || isSightReason(reason))) continue;
      if (!this.#parts.firewall.softens(target) || this.#isFull()) continue;
      this.#soft.set(target, { apart, until: until ?? Infinity });
      isAny = true;
    }
    return isAny;
  }

  /**
   * A host that had a way back has guessed.
   *
   * @returns Whether it had.
   */
  harden(target: string): boolean {
    return this.#soft.delete(target);
  }

  /**
   * Somebody is heard, who may have answered a challenge wrongly. Where several accounts failed
   * they may do so again, as phones do, until it is too much; with another one somebody guesses.
   *
   * @returns Whether this has taken the way back of its host.
   */
  failed(event: Heard): boolean {
    // Its address is a text that is made when it is asked for.
    if (event.kind !== "ChallengeResponseFailed" && event.kind !== "InvalidPassword") return false;
    const apart = this.#soft.get(event.address)?.apart;
    if (apart === undefined) return false;
    if (event.service === "PJSIP" && apart.includes(event.account)) return false;
    return this.#soft.delete(event.address);
  }

  /** Whether any host has a way back. */
  get hasSoft(): boolean {
    return this.#soft.size > 0;
  }

  /**
   * A host has logged in by its way back.
   *
   * @returns Whether it had been blocked so, and is no more.
   */
  loggedIn(address: string): boolean {
    if (!this.#soft.has(address)) return false;
    const isThere = this.#isThere(address);
    this.#soft.delete(address);
    if (!isThere) return false;
    const { list, releases, wallClock } = this.#parts;
    list.remove([address], wallClock());
    releases.release([address], "it logged in with a password");
    return true;
  }

  /** In a flood of strangers there is no time to look at all of them for each. */
  #isFull(): boolean {
    if (this.#soft.size < SOFT_HOSTS_MAX) return false;
    const now = this.#parts.wallClock();
    if (Math.abs(now - this.#sweptAt) < SWEEP_MS) return true;
    this.#sweptAt = now;
    return this.targets.length >= SOFT_HOSTS_MAX;
  }

  #isThere(target: string): boolean {
    const block = this.#parts.list.get(target);
    const { apart, until } = this.#soft.get(target)!;
    if (block === undefined) return false;
    const ends = block.until ?? Infinity;
    // Who is blocked by hand meanwhile keeps the reason, and is for longer.
    if (apart !== undefined) return ends <= until;
    return isSightReason(block.reason) && ends - block.since <= UNANSWERED_BAN_MS_MAX;
  }
}
