/**
 * The kinds of faults that a world may have.
 *
 * @module
 */

import type { Dice } from "../dice.ts";

/** The kinds of faults; each seed has some of them. */
const FAULTS = [
  "drop",
  "down",
  "dark",
  "refuse",
  "commands",
  "flush",
  "chain",
  "jump",
  "strangers",
  "poison",
  "disk",
  "hand",
  "kill",
  "restart",
  "freeze",
  "wall clock",
  "reconfigure",
  "noise",
  "no ip6tables",
  "residents",
] as const;

/** One kind of fault. */
export type FaultName = typeof FAULTS[number];

/**
 * After these the firewall differs from what Ampere has made; a killed daemon leaves programs
 * behind.
 */
export const MEDDLING: readonly FaultName[] = [
  "flush",
  "chain",
  "jump",
  "strangers",
  "wall clock",
  "kill",
];

/** Faults that are less likely than others. */
const LIKELY: Partial<Record<FaultName, number>> = {
  "no ip6tables": 0.1,
  "wall clock": 0.15,
  flush: 0.25,
  chain: 0.25,
  jump: 0.25,
  strangers: 0.25,
};

/** The faults of one world. */
export function chooseFaults(dice: Dice): ReadonlySet<FaultName> {
  return new Set(FAULTS.filter((name) => dice.chance(LIKELY[name] ?? 0.35)));
}
