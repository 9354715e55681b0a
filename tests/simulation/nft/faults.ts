/**
 * What goes wrong with the programs of nftables that stay, and with the table.
 *
 * @module
 */

/** Counted as the rules of the model are: one that no world has met proves nothing. */
export const NFT_FAULTS = [
  "nft -i: dies",
  "nft -i: does its work and dies",
  "nft -i: dies with half of a line",
  "nft -i: hangs",
  "nft -i: hangs and goes on late",
  "nft -i: says something",
  "nft -i: goes on after Ampere was killed",
  "monitor: dies",
  "monitor: hangs",
  "monitor: late",
  "monitor: lost messages and says so",
  "monitor: lost messages and is silent",
  "monitor: garbage",
  "monitor: tells what was not",
  "monitor: cut lines",
  "nft: is not there",
  "nft -f: input cut by Ampere's death",
  "table: deleted",
  "table: deleted while a change is under way",
  "table: dormant",
  "table: a set emptied",
  "table: an element deleted",
  "table: an element deleted while a change is under way",
  "table: an element added",
  "table: a chain emptied",
  "table: a rule of others",
] as const;

/** One of them. */
export type NftFault = typeof NFT_FAULTS[number];

/** Counts that one of them has happened. */
export type Meet = (fault: NftFault) => void;
