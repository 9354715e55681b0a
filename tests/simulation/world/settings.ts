/**
 * How the daemon of a world is configured.
 *
 * @module
 */

import { type Config, DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { VERIFY_MAX } from "../../../src/config/keys.ts";
import type { Dice } from "../dice.ts";
import type { Rules } from "../model/rules.ts";
import { TRUSTED } from "./cast.ts";
import { type FaultName, MEDDLING } from "./faults.ts";

/** Time between two looks at the firewall, in seconds. */
export const VERIFY_SECONDS = 5;

/**
 * Chooses a configuration.
 *
 * @param dice Decides it.
 * @param more Decides about what came later, so that a seed stays the world that it was.
 * @param faults What goes wrong.
 */
export function chooseConfig(
  dice: Dice,
  more: Dice,
  faults: ReadonlySet<FaultName>,
): Config {
  const bantime = dice.pick([0, 0, 0, 2, 20, 60]);
  // When nobody else touches the firewall, the looks by interval must not be needed.
  const meddled = MEDDLING.some((name) => faults.has(name));
  const config: Config = {
    ...DEFAULT_CONFIG,
    loyalty: dice.int(1, 4),
    trust: TRUSTED,
    database: "simulated",
    patience: dice.pick([0, 2, 5, 5]),
    credit: dice.pick([0, 7 * 86_400, 7 * 86_400]),
    forget: dice.pick([10, 20, 86_400, 86_400]),
    learn: dice.pick([0, 0, 0, 4]),
    doubt: dice.pick([0, 1, 2, 60]),
    bantime,
    bantimeFactor: dice.pick([1, 2]),
    bantimeMax: dice.pick([0, 0, 5, 100]),
    ipv6Prefix: dice.pick([64, 128]),
    backend: dice.pick(["iptables", "ipset"]),
    verify: meddled ? VERIFY_SECONDS : VERIFY_MAX,
    jump: dice.pick([[], ["INPUT"]]),
    guardHosts: more.pick([0, 0, 1, 2, 3]),
    guardWindow: more.pick([3, 3_600]),
    neighbours: more.pick([0, 2, 2, 3]),
  };
  const insider = more.pick(["tell", "tell", "block"] as const);
  if (!more.chance(0.15)) return { ...config, insider };
  return { ...config, insider, forget: SLOW_FORGET_SECONDS, loyalty: 3, guardHosts: 0 };
}

/** So short that somebody may guess more slowly. */
export const SLOW_FORGET_SECONDS = 2;

/**
 * What of a configuration matters to the model.
 *
 * @param config The configuration.
 * @param strict Who has one attempt.
 * @param barred Who of them has none.
 */
export function rulesOf(
  config: Config,
  strict: readonly string[],
  barred: readonly string[],
): Rules {
  return {
    loyalty: config.loyalty,
    patience: config.patience * 1000,
    credit: config.credit * 1000,
    forget: config.forget * 1000,
    learn: config.learn * 1000,
    doubt: config.doubt * 1000,
    bantime: config.bantime * 1000,
    bantimeFactor: config.bantimeFactor,
    bantimeMax: config.bantimeMax * 1000,
    ipv6Prefix: config.ipv6Prefix === 64 ? 64 : 128,
    guardHosts: config.guardHosts,
    guardWindow: config.guardWindow * 1000,
    neighbours: config.neighbours ?? 0,
    blocksInsiders: config.insider === "block",
    trust: config.trust,
    strict,
    barred,
  };
}
