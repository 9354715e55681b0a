/**
 * The state of the firewall, for those who show it.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import type { Failure } from "./failure.ts";
import type { InForce, Judgement } from "./judgement.ts";

/** The state of one family. */
export interface FamilyStatus {
  /** Which addresses. */
  readonly family: Family;
  /** How many targets are to be blocked. */
  readonly desired: number;
  /** How many are blocked, as far as is known. */
  readonly applied: number;
  /** How many changes wait for a command. */
  readonly queued: number;
  /** How many changes the firewall rejected; they are tried again now and then. */
  readonly rejected: number;
  /** How many commands were given. */
  readonly commands: number;
  /** How many of them failed. */
  readonly failures: number;
  /** How many times others have taken out blocks, or what holds them. */
  readonly flushes: number;
  /** The last failure, even if it has passed. */
  readonly lastFailure: Failure | undefined;
  /** It does not work at present. */
  readonly failing: boolean;
  /** Whether blocks are in force; `undefined` before that was seen. */
  readonly judgement: Judgement | undefined;
  /** Targets that are to be blocked and are not yet, {@linkcode WAITING_MAX} at most. */
  readonly waiting: readonly string[];
}

/** What others have done to the firewall of a family; it is mended as soon as it is seen. */
export interface Damage {
  /** Which addresses. */
  readonly family: Family;
  /** How many blocks are missing. */
  readonly lost: number;
  /** How many there were. */
  readonly before: number;
  /** Whether blocks are in force until it is mended. */
  readonly inForce: InForce;
  /** What was missing or wrong, in words. */
  readonly message: string;
}

/** Most targets that are named as not blocked yet. */
export const WAITING_MAX = 100;

/** The state of all. */
export interface FirewallStatus extends Omit<FamilyStatus, "family" | "judgement" | "waiting"> {
  /** The families one by one. */
  readonly families: readonly FamilyStatus[];
}
