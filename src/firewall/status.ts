/**
 * The state of the firewall, for those who show it.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import type { Failure } from "./failure.ts";

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
  /** The last failure, even if it has passed. */
  readonly lastFailure: Failure | undefined;
  /** It does not work at present. */
  readonly failing: boolean;
}

/** The state of all. */
export interface FirewallStatus extends Omit<FamilyStatus, "family"> {
  /** The families one by one. */
  readonly families: readonly FamilyStatus[];
}
