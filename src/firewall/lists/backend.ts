/**
 * What a firewall must be able to do with lists: refuse the packets of whoever is on one, but for
 * those who must pass. They are kept apart from the blocks of hosts for what they have done.
 *
 * @module
 */

import type { TargetSet } from "../../address/target_set.ts";
import type { Action } from "../../config/config.ts";
import type { Failure } from "../failure.ts";
import type { Gap } from "../nftables/gap.ts";

/** A list in the kernel. */
export interface KernelList {
  /** Its name: small letters, digits and `-`, 16 characters at most. */
  readonly name: string;
  /** Which packets are refused; `undefined`: all, else those to these ports. */
  readonly ports: readonly number[] | undefined;
  /** Whose. */
  readonly set: TargetSet;
}

/** What a list has refused since it is in the kernel. */
export interface ListCount {
  readonly packets: number;
  readonly bytes: number;
}

/** What the kernel holds. */
export type ListLook =
  | {
    readonly ok: true;
    /** All that looks at the lists is as it was made. */
    readonly whole: boolean;
    /** By name. */
    readonly counts: ReadonlyMap<string, ListCount>;
  }
  | { readonly ok: false; readonly failure: Failure };

/** How lists are put into the kernel, for both families. */
export interface ListBackend {
  /**
   * Puts lists in force, and no others. Those that are there already stay as they are; there is no
   * moment in which one of them is not in force.
   *
   * @param lists All of them.
   * @param pass Canonical targets whose packets are never refused.
   * @param gap What passes of all others; `undefined`: nothing. A firewall that cannot do it leaves
   *   it out.
   * @returns Why it could not be done; it is safe to try again.
   */
  replace(
    lists: readonly KernelList[],
    pass: readonly string[],
    gap?: Gap,
  ): Promise<Failure | undefined>;
  /**
   * Changes who must pass.
   *
   * @param pass All of them.
   * @returns Why it could not be done.
   */
  setPass(pass: readonly string[]): Promise<Failure | undefined>;
  /** Takes over another action; the next {@linkcode ListBackend.replace} makes the rules so. */
  action: Action;
  /** Looks what is there. */
  look(): Promise<ListLook>;
  /** Called when others have changed what only {@linkcode ListBackend.replace} mends. */
  onDamage?: () => void;
  /** Ends the use: a command that runs is killed. The lists stay. */
  close(): void;
}
