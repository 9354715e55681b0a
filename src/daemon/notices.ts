/**
 * What subscribers hear: of blocks, of their ends, of the connection, and of the firewall.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import type { NewBlock } from "../blocks/block.ts";
import type { Judgement } from "../firewall/judgement.ts";
import type { Damage } from "../firewall/status.ts";
import type { GuardChange } from "../penalties/account_guard.ts";
import type { Insider } from "../penalties/insiders.ts";
import type { Notice } from "../telemetry/notice.ts";
import {
  type NewPlace,
  type PlacesSource,
  shownNewPlace,
  shownPlace,
} from "../telemetry/places.ts";

/** Gives notices their time, and hands them to whoever subscribed; the log has them too. */
export class Notices {
  readonly #notify: ((notice: Notice) => void) | undefined;
  readonly #wallClock: () => number;
  readonly #places: PlacesSource | undefined;

  /**
   * Nobody has heard anything yet.
   *
   * @param notify Takes the notices; must not wait and not throw. `undefined`: nobody wants them.
   * @param wallClock The time of day, in milliseconds since 1970.
   * @param places Knows where hosts are.
   */
  constructor(
    notify: ((notice: Notice) => void) | undefined,
    wallClock: () => number,
    places?: PlacesSource,
  ) {
    this.#notify = notify;
    this.#wallClock = wallClock;
    this.#places = places;
  }

  /** Asterisk's events arrive. */
  connected(): Notice {
    return this.#tell({ event: "ami-connected", time: this.#time() });
  }

  /** Asterisk's events do not arrive any more. */
  lost(reason: string): Notice {
    return this.#tell({ event: "ami-lost", time: this.#time(), reason });
  }

  /** A host or network is blocked. */
  blocked(block: NewBlock, now: number): Notice | undefined {
    if (this.#notify === undefined) return undefined;
    const { target, until, reason, service, transport, account } = block;
    const place = shownPlace(this.#places?.of(target));
    return this.#tell({
      event: "block",
      time: this.#time(now),
      target,
      until: until === undefined ? null : this.#time(until),
      reason,
      service,
      transport,
      account,
      ...(place === null ? {} : { place }),
    });
  }

  /** Somebody logged in from a new place. */
  newPlace(found: NewPlace): Notice {
    return this.#tell({ event: "new-place", ...shownNewPlace(found) });
  }

  /** Blocks have ended. */
  released(targets: readonly string[], reason: string): void {
    const time = this.#time();
    for (const target of targets) this.#notify?.({ event: "unblock", time, target, reason });
  }

  /**
   * An account came under guard, or is not guarded any more.
   *
   * @param change Which.
   * @param hosts From so many hosts on accounts are guarded.
   */
  guard({ service, account, over, blocked }: GuardChange, hosts: number): Notice {
    const time = this.#time();
    return this.#tell(
      over === undefined
        ? { event: "account-guarded", time, service, account, hosts }
        : { event: "account-guard-over", time, service, account, blocked },
    );
  }

  /** A host that belongs here fails on accounts of others. */
  insider({ host, login, service, account, accounts, likePhones }: Insider): Notice {
    const time = this.#time();
    return this.#tell({
      event: "insider",
      time,
      host,
      login,
      service,
      account,
      accounts,
      likePhones,
    });
  }

  /** Blocks of a family are not in force, or not for all packets. */
  firewallLost({ family, inForce, message, advice }: Judgement): void {
    const reason = message;
    this.#notify?.({ event: "firewall-lost", time: this.#time(), family, inForce, reason, advice });
  }

  /** Others have changed the firewall of a family. */
  firewallFlushed({ family, lost, before, message: reason }: Damage): void {
    const event = "firewall-flushed";
    this.#notify?.({ event, time: this.#time(), family, lost, of: before, reason });
  }

  /** Blocks of a family are in force again. */
  firewallRestored(family: Family): void {
    this.#notify?.({ event: "firewall-restored", time: this.#time(), family });
  }

  #tell(notice: Notice): Notice {
    this.#notify?.(notice);
    return notice;
  }

  #time(at: number = this.#wallClock()): string {
    return new Date(at).toISOString();
  }
}
