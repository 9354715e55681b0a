/**
 * What several PBXs share, and what the engine that keeps it must be able to do. `redis.ts` speaks
 * to a real one; a simulation brings its own.
 *
 * Two kinds of facts are kept, so that whoever has read the same facts, in whatever order and
 * however often, has the same blocks:
 *
 * - a _record_: a node has blocked a target. Each node writes only its own, one for each target.
 * - a _deletion_: a target was released everywhere. It ends every record that was made before it,
 *   or at the same moment.
 *
 * @module
 */

/** Most changes of one {@linkcode Engine.write}. */
export const WRITE_MAX = 512;

/** That a node has blocked a target. Times are in milliseconds since 1970, whole numbers. */
export interface SharedBlock {
  /** The node that has blocked it. */
  readonly node: string;
  /** Canonical address or network. */
  readonly target: string;
  /** When the record was made, by the engine's clock: later than all that its node knew of it. */
  readonly at: number;
  /** When the block began. */
  readonly since: number;
  /** When it ends; `Infinity`: never by itself. */
  readonly end: number;
  /** Why, for people; without a name of the node. */
  readonly reason: string;
  /** The service that was attacked, or empty (a block by hand). */
  readonly service: string;
  /** The transport of the attack, or empty. */
  readonly transport: string;
  /** The account that was tried, as a stranger wrote it, or empty. */
  readonly account: string;
}

/** One fact that is written, and heard by all. */
export type SharedChange =
  | {
    readonly kind: "block";
    readonly block: SharedBlock;
    /**
     * Written by a node that found it missing in the engine, maybe another node's: it must not take
     * the place of a record that is there.
     */
    readonly restores?: true;
  }
  | {
    readonly kind: "release";
    readonly target: string;
    /** When it was deleted, by the engine's clock. */
    readonly at: number;
    /** Where it was deleted; empty: that is not known any more. */
    readonly node: string;
  }
  | {
    /** A node has not applied another's block. It changes nothing, and is only told. */
    readonly kind: "refusal";
    readonly target: string;
    /** Who has not applied it. */
    readonly node: string;
    /** Whose block it is. */
    readonly origin: string;
    /** Why not. */
    readonly why: RefusalReason;
  };

/** Why a node does not apply a block of another one. */
export type RefusalReason =
  | "trusted"
  | "own address"
  | "good standing"
  | "too wide"
  | "fleet_max"
  | "full"
  | "clock";

/**
 * Why a block is not applied, for people.
 *
 * @param why The reason.
 */
export function refusalWords(why: RefusalReason): string {
  return REFUSAL_WORDS[why];
}

const REFUSAL_WORDS: Readonly<Record<RefusalReason, string>> = {
  "trusted": "trusted there",
  "own address": "an address of that machine, or one that it needs",
  "good standing": "somebody logged in from there lately",
  "too wide": "no other PBX's word blocks so wide a network",
  "fleet_max": "more than fleet_max blocks of others within an hour",
  "full": "500,000 blocks of others are there already",
  "clock": "it comes from the future: the clock of its node is wrong",
};

/** A node as it tells of itself. */
export interface NodeInfo {
  /** Its name. */
  readonly node: string;
  /** When it told this, by the engine's clock, in milliseconds since 1970. */
  readonly at: number;
  /** Version of Ampere. */
  readonly version: string;
  /** Its own blocks that are shared. */
  readonly own: number;
  /** Blocks of others that it has applied. */
  readonly theirs: number;
  /** Changes that it has not sent yet. */
  readonly outbox: number;
}

/** What {@linkcode Engine.beat} tells. */
export interface Beat {
  /** The engine's clock, in milliseconds since 1970. */
  readonly time: number;
  /** A random name of the engine's data: another one, and the data are not those of before. */
  readonly epoch: string;
  /** All nodes that have told of themselves within a day, this one too. */
  readonly nodes: readonly NodeInfo[];
  /** Another process tells of itself by the same name. */
  readonly hasTwin?: boolean;
}

/** Changes since some id. */
export interface ReadChanges {
  /** The oldest first. What was none was left out. */
  readonly changes: readonly SharedChange[];
  /** From here on it is read next. */
  readonly last: string;
  /** Changes that came before may be missing: the whole state is to be read. */
  readonly gap: boolean;
}

/**
 * The engine. Each function may fail at any time with an {@linkcode EngineError}; what was to be
 * written may be written all the same then (the answer was lost), so everything may be done twice.
 */
export interface Engine {
  /**
   * Reads all records and deletions, in parts of any size and order. What is changed meanwhile may
   * be in them or not, so whoever reads notes {@linkcode Engine.last} before.
   *
   * @param take Takes each part.
   */
  readState(take: (part: readonly SharedChange[]) => void): Promise<void>;
  /** The id of the last change; a change behind it is read by {@linkcode Engine.readChanges}. */
  last(): Promise<string>;
  /**
   * Writes facts, all or none, and tells them to all nodes that read changes.
   *
   * A block takes the place of the record of its node and target, unless it `restores`; a release
   * of a target that was released later before changes nothing.
   *
   * @param changes {@linkcode WRITE_MAX} at most.
   */
  write(changes: readonly SharedChange[]): Promise<void>;
  /**
   * Reads changes, one's own too.
   *
   * @param since Behind this id.
   * @param waitMs How long to wait for one, in milliseconds.
   */
  readChanges(since: string, waitMs: number): Promise<ReadChanges>;
  /**
   * Tells that a node lives, and reads who else does.
   *
   * @param info This node; `at` is filled in by the engine.
   */
  beat(info: Omit<NodeInfo, "at">): Promise<Beat>;
  /**
   * Takes away what is of no use any more: records that ended a day ago, old deletions.
   *
   * @param now The engine's time.
   * @param dead Records that were deleted, as `Replica.comparing` tells.
   */
  tidy(now: number, dead: readonly Pick<SharedBlock, "node" | "target">[]): Promise<void>;
  /** Ends all connections; whatever is under way fails. */
  close(): void;
}

/** The engine can't be used as wanted. */
export class EngineError extends Error {
  /** Name of the error. */
  override readonly name = "EngineError";
  /** What a person can do about it; empty: nothing is known that would help. */
  readonly advice: string;

  /**
   * An error.
   *
   * @param message What happened, without a secret.
   * @param advice What mends it.
   */
  constructor(message: string, advice = "") {
    super(message);
    this.advice = advice;
  }
}
