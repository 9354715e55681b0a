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
] as const;

/** What befalls the programs of nftables that stay, where there are any. */
const OF_NFT = "residents";

/** One kind of fault. */
export type FaultName = typeof FAULTS[number] | typeof OF_NFT;

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

/**
 * The faults of one world.
 *
 * @param dice Of the world.
 * @param ofNft Whether there are programs of nftables to befall.
 */
export function chooseFaults(dice: Dice, ofNft: boolean): ReadonlySet<FaultName> {
  const faults = FAULTS.filter((name) => dice.chance(LIKELY[name] ?? 0.35));
  return new Set<FaultName>(ofNft ? [...faults, OF_NFT] : faults);
}
