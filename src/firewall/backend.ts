/**
 * What the firewall needs from a firewall: a few verbs, so that another one is soon written.
 *
 * A backend serves one family of addresses (IPv4 or IPv6). It runs one command at a time when it
 * is told to, remembers as little as it can and retries nothing: that is the firewall's work.
 *
 * @module
 */

import type { Gap } from "./nftables/gap.ts";
import type { Family } from "../address/address.ts";
import type { Action } from "../config/config.ts";
import type { Failure } from "./failure.ts";

/** A target that is to be blocked. */
export interface Entry {
  /** An address or network in canonical form. */
  readonly target: string;
  /** When the block ends, in milliseconds since 1970; `undefined` = never. */
  readonly until: number | undefined;
}

/**
 * What became of a command: how many of the given entries it dealt with, or why it failed. With
 * several commands it may be both: the first ones did `done` of them, and what the last one did is
 * not known.
 */
export type Outcome =
  | { readonly ok: true; readonly done: number; readonly failure?: Failure }
  | { readonly ok: false; readonly failure: Failure };

/** What the kernel holds. */
export interface Listing {
  /** The targets that are blocked, each with the number of its rules (1, or it is there twice). */
  readonly targets: ReadonlyMap<string, number>;
  /** What must pass, see {@linkcode Backend.except}; none if it is missing. */
  readonly exceptions?: ReadonlySet<string>;
  /** Rules in the chain that are not Ampere's, as text. */
  readonly strangers: readonly string[];
  /** Whether some of them are blocks that another action has made; see {@linkcode Action}. */
  readonly isOtherAction?: boolean;
  /** False if what carries the targets is gone or wrong (the set, the rule that looks at it). */
  readonly whole: boolean;
  /** What is gone, in words, if that is known: "the table was deleted". */
  readonly missing?: string;
  /** Stands for this state; see {@linkcode Backend.list}. */
  readonly mark: string;
}

/**
 * The answer to {@linkcode Backend.list}. `"silent"`: the program ended well but said nothing at
 * all, which a real one never does, so that nothing can be concluded.
 */
export type ListOutcome =
  | { readonly state: "listed"; readonly listing: Listing }
  | { readonly state: "same" }
  | { readonly state: "silent" }
  | { readonly state: "failed"; readonly failure: Failure };

/**
 * Most exceptions of a family: they fit into one command, and with iptables every packet is
 * compared with each of them.
 */
export const EXCEPTIONS_MAX = 1_024;

/**
 * What an exception begins with that is a blocked network of which a few packets of each host pass:
 * those that a login takes. Only backends with {@linkcode Backend.softens} are given any.
 */
export const SOFT = "~";

/** A firewall for one family of addresses. */
export interface Backend {
  /** What it is called in the configuration. */
  readonly name: string;
  /** Which addresses it takes. */
  readonly family: Family;
  /** Whether the kernel ends a block by itself, so that a new `until` must be told to it. */
  readonly timed: boolean;
  /** Whether to begin with {@linkcode Backend.replace}, and not with a look at what is there. */
  readonly replacesAtStart: boolean;
  /** Most entries that are worth handing over at a time. */
  readonly batchMax: number;
  /** Whether it takes exceptions that begin with {@linkcode SOFT}. */
  readonly softens?: boolean;

  /**
   * Takes over what passes of those that are soft; the next {@linkcode Backend.refuseBy} makes the
   * rules so.
   *
   * @param gap `undefined`: nothing.
   */
  setGap?(gap: Gap | undefined): void;

  /**
   * Makes the firewall hold nothing but the given entries.
   *
   * @param entries All that are to be blocked.
   * @param goOn Asked before each further command for the rest of them, if they need several; false
   * ends it.
   * @param exceptions What must pass, before anything is blocked; at most
   * {@linkcode EXCEPTIONS_MAX}.
   * @returns How many of them, from the first on, are now blocked. No others are; the rest is left
   * to {@linkcode Backend.block}.
   */
  replace(
    entries: readonly Entry[],
    goOn?: () => boolean,
    exceptions?: readonly string[],
  ): Promise<Outcome>;

  /**
   * Changes the exceptions: addresses that must pass although a network that holds them is blocked.
   * First it adds, then it removes; if it fails it may have done a part.
   *
   * @param add Those that are not there yet and are not blocked by themselves.
   * @param remove Those that are there.
   */
  except?(add: readonly string[], remove: readonly string[]): Promise<Outcome>;

  /**
   * Blocks. The command is started before this returns its promise. With a timed backend an entry
   * that is there already gets the new time.
   *
   * @param entries What to block, none of which is there yet.
   * @param isThere Whether a target is there already, as far as is known; may be asked by a timed
   * backend.
   * @returns How many of them, from the first on, are now blocked: as many as one command takes.
   */
  block(entries: readonly Entry[], isThere?: (target: string) => boolean): Promise<Outcome>;

  /**
   * Ends blocks. The command is started before this returns its promise.
   *
   * @param targets What to release, all of which are there.
   * @returns How many of them, from the first on, are now free: as many as one command takes.
   */
  release(targets: readonly string[]): Promise<Outcome>;

  /**
   * Makes what is there refuse by an action, without a moment in which it does not refuse at all;
   * and what comes.
   *
   * @param action The action; that of before by default.
   * @returns Why not all of it does, if so.
   */
  refuseBy?(action?: Action): Promise<Failure | undefined>;

  /**
   * Whether {@linkcode Backend.replace} is the better way to get rid of so many targets.
   *
   * @param removals How many are to go.
   */
  prefersReplace(removals: number): boolean;

  /**
   * Looks what the kernel holds.
   *
   * @param mark The mark of an earlier listing, if nothing has been changed since: the answer may
   * then be `"same"`, which is much cheaper.
   */
  list(mark?: string): Promise<ListOutcome>;

  /**
   * Asks to be told when somebody else has changed the firewall, or may have; one that does not
   * notice has to be looked at.
   *
   * @param changed Called then; the kernel should be looked at.
   */
  watch?(changed: () => void): void;

  /** Ends the use: a command that runs is killed. The rules stay. */
  close(): void;
}

/** Most characters of a canonical target: eight groups of four, and a prefix of three digits. */
const TARGET_MAX_LENGTH = 43;

/** A number from 0 to 255 without leading zeros. */
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";

/**
 * The last check before a target goes to a command: the characters and the form of an address, so
 * that no program can take it for an option, a list, a host name or a second line.
 */
const SAFE: Readonly<Record<Family, RegExp>> = {
  4: new RegExp(`^${OCTET}(?:\\.${OCTET}){3}(?:/(?:[12]?\\d|3[01]))?$`),
  6: /^(?=[^:]*:[^:]*:)[0-9a-f:]{2,39}(?:\/(?:[1-9]?\d|1[01]\d|12[0-7]))?$/,
};

/**
 * Whether a target may be handed to a firewall program. Targets are canonical long before; this is
 * the second door.
 *
 * @param target The canonical target.
 * @param family Which family it must be of.
 * @returns False for anything that does not look like an address or network of that family.
 *
 * @example
 * ```ts
 * import { isSafeTarget } from "./backend.ts";
 *
 * isSafeTarget("192.0.2.1", 4); // true
 * isSafeTarget("192.0.2.1 -j ACCEPT", 4); // false
 * ```
 */
export function isSafeTarget(target: string, family: Family): boolean {
  return target.length <= TARGET_MAX_LENGTH && SAFE[family].test(target);
}

/**
 * Makes the outcome for a target that must not reach a command.
 *
 * @param target The target.
 * @param family Which family it was to be of.
 */
export function unsafeOutcome(target: string, family: Family): Outcome {
  const message = `IPv${family}: ${JSON.stringify(target.slice(0, 60))} is no address or network ` +
    "and was not handed to the firewall";
  return { ok: false, failure: { family, kind: "refused", message, advice: "" } };
}
