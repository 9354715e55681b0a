/**
 * By which rules hosts are charged, and which block an offence leads to: the daemon and `--replay`
 * must agree on both.
 *
 * @module
 */

import type { AddressSet } from "../address/address_set.ts";
import type { NewBlock } from "../blocks/block.ts";
import type { Config } from "../config/config.ts";
import { banTime, isShort, STANDING_BAN_MS } from "./ban_time.ts";
import type { Offence } from "./offence.ts";
import { reasonOf } from "./reason.ts";
import type { StrictHosts } from "./strict.ts";

/** The policy of a {@linkcode PenaltyTable}. */
export interface PenaltyPolicy {
  /** Attempts that a stranger has; the limit is 5 times as many points. */
  readonly loyalty: number;
  /**
   * How long a challenge may stay unanswered, in milliseconds; 0 charges it at once, as the
   * original does.
   */
  readonly patienceMs: number;
  /**
   * How long a login with a password keeps a host in good standing, in milliseconds; 0: not at all.
   */
  readonly creditMs: number;
  /** After this time without an event a host's points are forgotten, in milliseconds. */
  readonly forgetMs: number;
  /** How long the first block in doubt lasts, in milliseconds; 0: as any other. */
  readonly doubtMs?: number;
  /**
   * How long a block of a host in good standing lasts while it has logged in lately, in
   * milliseconds. Default: {@linkcode STANDING_BAN_MS}.
   */
  readonly standingMs?: number;
  /** IPv6 hosts are counted and blocked by prefixes of this length. */
  readonly ipv6Prefix: number;
  /**
   * Prefixes of NAT64 beside the well-known one, canonical networks of 96 bits: behind each address
   * is an IPv4 host.
   */
  readonly nat64?: readonly string[];
  /**
   * From so many different strangers on that fail on one account within `guardWindowMs` it is
   * guarded; 0 or `undefined`: never.
   */
  readonly guardHosts?: number;
  /** See `guardHosts`; in milliseconds. */
  readonly guardWindowMs?: number;
  /** How long the first block for a guarded account lasts, in milliseconds. */
  readonly guardBanMs?: number;
  /**
   * What becomes of a host in good standing that fails on accounts of others again and again:
   * `block` blocks it for a short time, all else only tells.
   */
  readonly insider?: "tell" | "block";
  /** Hosts that are never charged. Loopback never is. */
  readonly exempt: AddressSet;
  /** Strangers who have one attempt instead of `loyalty`; `undefined`: nobody. */
  readonly strict?: StrictHosts | undefined;
}

/** The first block for a guarded account, as long as the configuration lets it be. */
const FIRST_GUARD = { grounds: "guarded account", row: 0, proven: true } as const;

/**
 * The rules of the penalty table.
 *
 * @param config The configuration.
 * @param exempt Who is never charged.
 * @param strict Who has one attempt.
 */
export function policyOf(
  config: Config,
  exempt: AddressSet,
  strict?: StrictHosts,
): PenaltyPolicy {
  return {
    loyalty: config.loyalty,
    patienceMs: config.patience * 1000,
    creditMs: config.credit * 1000,
    forgetMs: config.forget * 1000,
    doubtMs: 1000 * (config.bantime > 0 ? Math.min(config.doubt, config.bantime) : config.doubt),
    standingMs: banTime(config, 0, { grounds: "good standing", row: 0, proven: true }) ??
      STANDING_BAN_MS,
    ipv6Prefix: config.ipv6Prefix,
    nat64: config.nat64,
    guardHosts: config.guardHosts,
    guardWindowMs: config.guardWindow * 1000,
    guardBanMs: banTime(config, 0, FIRST_GUARD)!,
    insider: config.insider,
    exempt,
    strict,
  };
}

/**
 * The block that an offence leads to.
 *
 * @param offence The offence.
 * @param config The ban times.
 * @param timesOf How often a target was blocked before; asked only if it matters, which it does not
 *   in most bursts.
 * @param now When the block begins, in milliseconds.
 */
export function blockOf(
  offence: Offence,
  config: Config,
  timesOf: (target: string) => number,
  now: number,
): NewBlock {
  const matters = config.bantimeFactor > 1 ||
    (config.bantime === 0 && (!offence.proven || offence.grounds === "slow account"));
  const times = matters ? timesOf(offence.target) : 0;
  const ban = banTime(config, times, offence);
  // It would be for ever, had a connection shown that the address is not forged.
  const isForgeable = ban !== undefined && offence.grounds !== "slow account" &&
    banTime(config, times, { ...offence, proven: true }) === undefined;
  return {
    target: offence.target,
    since: now,
    until: ban === undefined ? undefined : now + ban,
    reason: reasonOf(offence, isForgeable),
    service: offence.service,
    transport: offence.transport,
    account: offence.account,
    counts: !isShort(config, offence),
    ...(offence.apart === undefined ? {} : { apart: offence.apart }),
    ...(offence.renews ? { renews: true } : {}),
  };
}
