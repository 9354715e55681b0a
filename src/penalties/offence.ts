/**
 * From the configuration to the rules of the penalty table, and from an offence to a block: the daemon and `--replay` must
 * agree on both.
 *
 * @module
 */

import type { AddressSet } from "../address/address.ts";
import { banTime, isShort } from "./ban_time.ts";
import type { NewBlock } from "../blocks/block.ts";
import type { Config } from "../config/config.ts";
import type { Offence, PenaltyPolicy } from "./penalty_table.ts";
import { reasonOf } from "./reason.ts";

/**
 * The rules of the penalty table.
 *
 * @param config the configuration
 * @param exempt who is never charged
 */
export function policyOf(config: Config, exempt: AddressSet): PenaltyPolicy {
  return {
    loyalty: config.loyalty,
    patienceMs: config.patience * 1000,
    creditMs: config.credit * 1000,
    forgetMs: config.forget * 1000,
    doubtMs: 1000 * (config.bantime > 0 ? Math.min(config.doubt, config.bantime) : config.doubt),
    ipv6Prefix: config.ipv6Prefix,
    nat64: config.nat64,
    exempt,
  };
}

/**
 * The block that an offence leads to.
 *
 * @param offence the offence
 * @param config the ban times
 * @param timesOf how often a target was blocked before; asked only if it matters, which it does not in most bursts
 * @param now when the block begins, in milliseconds
 */
export function blockOf(
  offence: Offence,
  config: Config,
  timesOf: (target: string) => number,
  now: number,
): NewBlock {
  const matters = config.bantimeFactor > 1 || (config.bantime === 0 && !offence.proven);
  const times = matters ? timesOf(offence.target) : 0;
  const ban = banTime(config, times, offence);
  // It would be for ever, had a connection shown that the address is not forged.
  const isForgeable = ban !== undefined &&
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
  };
}
