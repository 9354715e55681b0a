/**
 * What one node knows of the blocks of all: pure, without I/O and timers. It says what is to be
 * sent, and what is to be applied to the node's own list.
 *
 * @module
 */

import { type Deletion, DELETION_AGE_MAX_MS, DELETIONS_MAX } from "../blocks/deletions.ts";
import type { RefusalReason, SharedBlock, SharedChange } from "./engine.ts";
import { keyOf, Outbox } from "./outbox.ts";

/** Most blocks of others that a node applies. */
const FOREIGN_MAX = 500_000;

/** What is said to have happened later than this from now is not believed, in milliseconds. */
const AHEAD_MAX_MS = 300_000;

/** Most records that are remembered, of all nodes together. */
const RECORDS_MAX = 1_000_000;

/** Most refusals that are remembered, so that each is told once; beyond it none is told. */
const REFUSALS_MAX = 10_000;

/** Most nodes whose blocks are counted: whoever may write there may make up names. */
const NODES_MAX = 256;

/** How long a deleted record of another node is left to that node, in milliseconds: a day. */
const DEAD_MS = 86_400_000;

/** Facts that are taken over in one turn of the event loop. */
export const TURN = 500;

const HOUR_MS = 3_600_000;

/** The node's own list of blocks, and who must not be in it. */
export interface OwnList {
  /**
   * Until when a target is blocked here, in milliseconds since 1970; `Infinity`: for ever, 0: it is
   * not.
   */
  endOf(target: string): number;
  /** Since when a target is blocked here; only asked where it is. */
  sinceOf(target: string): number;
  /** Why a block of another node is not applied; `undefined`: it may be. */
  refusalOf(target: string): RefusalReason | undefined;
  /** Blocks targets that others have blocked. */
  block(blocks: readonly SharedBlock[]): void;
  /**
   * Releases what was deleted elsewhere.
   *
   * @param targets Canonical targets, each once.
   * @param node Where; empty: that is not known.
   */
  release(targets: readonly string[], node: string): void;
}

/** How a {@linkcode Replica} is made. */
interface ReplicaOptions {
  /** The name of this node. */
  readonly node: string;
  /** Most blocks of others that are applied within an hour. */
  readonly maxPerHour: number;
  /** The node's own list. */
  readonly list: OwnList;
  /** Deletions that an earlier process knew of: targets, and when each was deleted. */
  readonly deletions?: Iterable<Deletion>;
  /** Hears of each deletion that is new, so that it outlives this process and the engine. */
  readonly onDeletion?: (...deletion: Deletion) => void;
  /** Hears that another node has not applied a block of this one. */
  readonly onRefused?: (refusal: SharedChange & { kind: "refusal" }) => void;
}

/**
 * The records of all nodes as this one knows them.
 *
 * All times are by the engine's clock, in milliseconds since 1970.
 *
 * @example
 * ```ts
 * import { Replica } from "./replica.ts";
 *
 * const list = {
 *   endOf: () => 0,
 *   sinceOf: () => 0,
 *   refusalOf: () => undefined,
 *   block: (blocks: readonly { target: string }[]) => console.log(blocks[0]?.target),
 *   release: () => {},
 * };
 * const replica = new Replica({ node: "pbx1", maxPerHour: 10_000, list });
 * const block = {
 *   node: "pbx2",
 *   target: "192.0.2.1",
 *   at: 1,
 *   since: 1,
 *   end: Infinity,
 *   reason: "",
 *   service: "",
 *   transport: "",
 *   account: "",
 * };
 * replica.hear([{ kind: "block", block }], 2); // 192.0.2.1
 * ```
 */
export class Replica {
  readonly #options: ReplicaOptions;
  /** By target: the records of the nodes, mostly one. */
  readonly #records = new Map<string, SharedBlock[]>();
  #size = 0;
  /** By target: when it was deleted. The one that was deleted first comes first. */
  readonly #deleted = new Map<string, number>();
  /** Those of them that an earlier process, or a command, has stamped by this machine's clock. */
  readonly #unmeasured = new Set<string>();
  /** What is to be written into the engine. */
  readonly outbox = new Outbox(() => this.needsState = true);
  readonly #refused = new Set<string>();
  #foreign = 0;
  #own = 0;
  /** Blocks of others that were applied in the hour that began at `#hourAt`. */
  #applied = 0;
  #hourAt = -Infinity;
  /** Blocks of others that were not applied, by the reason. */
  readonly refusals: Partial<Record<RefusalReason, number>> = {};
  /** Some changes were left out: all of the node's own blocks are to be compared again. */
  needsState = false;

  /**
   * Knows nothing yet.
   *
   * @param options See {@linkcode ReplicaOptions}.
   */
  constructor(options: ReplicaOptions) {
    this.#options = options;
    for (const [target, at, isByOwnClock = false] of options.deletions ?? []) {
      this.#deleted.set(target, at);
      if (isByOwnClock) this.#unmeasured.add(target);
    }
  }

  /** Records of other nodes. */
  get foreign(): number {
    return this.#foreign;
  }

  /** Records of this node. */
  get own(): number {
    return this.#own;
  }

  /** How many records each other node has, of the {@linkcode NODES_MAX} that are met first. */
  byNode(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const records of this.#records.values()) {
      for (const { node } of records) {
        const count = counts.get(node) ?? 0;
        if (count > 0 || counts.size < NODES_MAX) counts.set(node, count + 1);
      }
    }
    counts.delete(this.#options.node);
    return counts;
  }

  /**
   * This node has blocked a target, or made a block longer.
   *
   * @param given The block; its `at` and `node` are filled in.
   * @param now The time.
   */
  blocked(given: Omit<SharedBlock, "at" | "node">, now: number): void {
    const { node } = this.#options;
    const known = this.#recordOf(given.target, node);
    const deleted = this.#deleted.get(given.target) ?? -1;
    const at = Math.max(now, deleted + 1, (known?.at ?? -1) + 1);
    const block = { ...given, node, at, end: Math.max(given.end, known?.end ?? 0) };
    if (this.#keep(block)) this.outbox.add({ kind: "block", block });
  }

  /**
   * The node's list has a block, maybe for long, that is shared, and no record tells of it: it is
   * sent, and another node's given back to the engine. It began after each deletion that is known
   * by now, for that has released whatever was in the list, maybe in an earlier process: how the
   * clocks stood then is not known, and does not matter.
   *
   * @param given The block, and who made it; what it is when it was made is its beginning.
   */
  has(given: Omit<SharedBlock, "at">): void {
    const isOwn = given.node === this.#options.node;
    const known = this.#recordOf(given.target, given.node);
    if (known !== undefined && (known.end >= given.end || !isOwn)) return;
    const deleted = this.#deleted.get(given.target) ?? -1;
    const block = { ...given, at: Math.max(given.since, deleted + 1, known?.at ?? 0) };
    // What the engine lacks of others is sent with the comparison.
    if (this.#keep(block) && isOwn) this.outbox.add({ kind: "block", block });
  }

  /**
   * Somebody has deleted targets here by hand: it holds everywhere.
   *
   * @param targets Canonical targets.
   * @param now The time.
   */
  released(targets: readonly string[], now: number): void {
    for (const target of targets) {
      const known = this.#records.get(target) ?? [];
      const newest = Math.max(-1, ...known.map(({ at }) => at));
      const at = Math.max(now, newest, this.#deleted.get(target) ?? -1);
      this.#delete(target, at);
      this.outbox.add({ kind: "release", target, at, node: this.#options.node });
    }
  }

  /**
   * Blocks that this node takes back by itself: others follow, unless one of them has blocked the
   * same.
   *
   * @param targets Canonical targets.
   * @param now The time.
   */
  withdrawn(targets: readonly string[], now: number): void {
    const { node } = this.#options;
    const own = targets.filter((target) =>
      this.#records.get(target)?.every((record) => record.node === node)
    );
    this.released(own, now);
  }

  /**
   * The engine's time is known. What this machine's clock has stamped may have been stamped by one
   * that differed as it does now, or did not: the later of both holds, for with the earlier one a
   * deletion may end nothing. No deletion that was read is younger than the process, whatever a
   * clock said.
   *
   * @param startedAt When the process began.
   * @param ahead How much this machine's clock is ahead, in milliseconds.
   */
  begin(startedAt: number, ahead: number): void {
    for (const [target, before] of this.#deleted) {
      const isUnmeasured = this.#unmeasured.has(target);
      const at = Math.min(startedAt, isUnmeasured ? Math.max(before, before - ahead) : before);
      if (at === before && !isUnmeasured) continue;
      this.#deleted.set(target, at);
      this.#options.onDeletion?.(target, at);
    }
    this.#unmeasured.clear();
  }

  /**
   * Takes over what others have written; what is known already changes nothing.
   *
   * @param changes Facts, in any order.
   * @param now The time.
   */
  hear(changes: readonly SharedChange[], now: number): void {
    const touched = new Set<string>();
    const released = new Map<string, HeardDeletion>();
    for (const change of changes) {
      if (change.kind === "refusal") {
        if (change.origin === this.#options.node && change.node !== this.#options.node) {
          this.#options.onRefused?.(change);
        }
      } else if (change.kind === "release") {
        if (change.at > now + AHEAD_MAX_MS) continue;
        const { target, node, at } = change;
        const ended = (this.#records.get(target) ?? []).filter((record) => record.at <= at);
        if (!this.#delete(target, at)) continue;
        const before = released.get(target)?.ended ?? [];
        released.set(target, { node, at, ended: [...before, ...ended.map(({ end }) => end)] });
        touched.add(target);
      } else {
        if (change.block.at > now + AHEAD_MAX_MS) this.#refuse(change.block, "clock");
        else if (this.#keep(change.block)) touched.add(change.block.target);
      }
    }
    this.#releaseAll(released);
    this.#apply(touched, now);
  }

  /**
   * Takes over the whole state, and finds what it lacks: that is sent again, so that an engine that
   * has lost its data gets them back. It is done in turns of a few milliseconds, between which
   * other changes may be heard.
   *
   * @param state All facts, deletions first.
   * @param listed The node's blocks that are shared, those of other nodes too.
   * @param now The time.
   * @returns Records of the state that were deleted, and may be taken away: this node's, and after
   *   a day those of others.
   */
  *comparing(
    state: readonly SharedChange[],
    listed: Iterable<Omit<SharedBlock, "at">>,
    now: number,
  ): Generator<void, SharedBlock[]> {
    this.needsState = false;
    const { node } = this.#options;
    const there = new Map<string, number>();
    for (let from = 0; from < state.length; from += TURN) {
      for (const change of state.slice(from, from + TURN)) {
        if (change.kind === "block") {
          const { block } = change;
          there.set(keyOf(block.node, block.target), block.at);
          const isDeleted = (there.get(keyOf("", block.target)) ?? -1) >= block.at;
          if (block.node === node && !isDeleted && block.at <= now + AHEAD_MAX_MS) {
            this.#rejoin(block);
          }
        } else if (change.kind === "release") there.set(keyOf("", change.target), change.at);
      }
      yield;
    }
    // Before a longer block of another node takes the place of one that was never sent.
    let count = 0;
    for (const block of listed) {
      // What the state tells of another's block is surer than what this list makes of it.
      if (block.node === node || !there.has(keyOf(block.node, block.target))) this.has(block);
      if (++count % TURN === 0) yield;
    }
    for (let from = 0; from < state.length; from += TURN) {
      this.hear(state.slice(from, from + TURN), now);
      yield;
    }
    this.#forget(now);
    let targets = new Set<string>();
    for (const [target, records] of this.#records) {
      for (const block of records) {
        const at = there.get(keyOf(block.node, target));
        if (at !== undefined && at >= block.at) continue;
        // Another's that is older there was made anew of its list by a node that did not know it.
        const isOlder = block.node === node || at !== undefined;
        this.outbox.add({ kind: "block", block, ...(isOlder ? {} : { restores: true }) });
      }
      // What was refused before may be applied by now.
      targets.add(target);
      if (targets.size < TURN) continue;
      this.#apply(targets, now);
      targets = new Set();
      yield;
    }
    this.#apply(targets, now);
    for (const [target, at] of this.#deleted) {
      if ((there.get(keyOf("", target)) ?? -1) >= at) continue;
      this.outbox.add({ kind: "release", target, at, node: "" });
    }
    return state.flatMap((change) =>
      change.kind === "block" && this.#isDead(change.block, now) ? [change.block] : []
    );
  }

  /** Whether a record of the same node and target is known. */
  holds({ target, node }: Pick<SharedBlock, "node" | "target">): boolean {
    return this.#recordOf(target, node) !== undefined;
  }

  /** The blocks that are in force by what all nodes know, of whatever node; for comparison. */
  *inForce(now: number): Generator<[target: string, end: number]> {
    for (const [target, records] of this.#records) {
      const end = Math.max(...records.map((record) => record.end));
      if (end > now) yield [target, end];
    }
  }

  #recordOf(target: string, node: string): SharedBlock | undefined {
    return this.#records.get(target)?.find((record) => record.node === node);
  }

  /** Keeps a record unless it was deleted or a newer one is known; whether it did. */
  #keep(block: SharedBlock): boolean {
    const { target, node, at } = block;
    if ((this.#deleted.get(target) ?? -1) >= at) return false;
    const records = this.#records.get(target);
    const index = records?.findIndex((record) => record.node === node) ?? -1;
    if (index >= 0) {
      const known = records![index]!;
      if (known.at > at || known.at === at && known.end >= block.end) return false;
      records![index] = block;
      return true;
    }
    if (this.#size >= RECORDS_MAX) return false;
    if (records === undefined) this.#records.set(target, [block]);
    else records.push(block);
    this.#count(node, 1);
    return true;
  }

  /**
   * Takes back what an earlier process of this node has sent: the list does not know when, and must
   * not guess. What this one has sent before it knew of a longer one becomes as long: a node's
   * blocks end by deletions alone.
   */
  #rejoin(sent: SharedBlock): void {
    const known = this.#recordOf(sent.target, sent.node);
    if (known === undefined || known.at <= sent.at || known.end >= sent.end) {
      this.#keep(sent);
      return;
    }
    if ((this.#deleted.get(sent.target) ?? -1) >= sent.at) return;
    const block = { ...known, end: sent.end };
    if (this.#keep(block)) this.outbox.add({ kind: "block", block });
  }

  /** Remembers a deletion, and ends what it ends; whether it is new. */
  #delete(target: string, at: number): boolean {
    if ((this.#deleted.get(target) ?? -1) >= at) return false;
    this.#deleted.delete(target);
    this.#deleted.set(target, at);
    this.#options.onDeletion?.(target, at);
    const records = this.#records.get(target) ?? [];
    const left = records.filter((record) => record.at > at);
    for (const record of records) if (record.at <= at) this.#count(record.node, -1);
    if (left.length > 0) this.#records.set(target, left);
    else this.#records.delete(target);
    for (const { node } of records) this.#refused.delete(keyOf(node, target));
    if (left.length === 0) this.outbox.withdraw(this.#options.node, target);
    return true;
  }

  #isDead({ node, target, at }: SharedBlock, now: number): boolean {
    const deleted = this.#deleted.get(target) ?? -1;
    return deleted >= at && (node === this.#options.node || deleted < now - DEAD_MS);
  }

  #count(node: string, change: 1 | -1): void {
    this.#size += change;
    if (node === this.#options.node) this.#own += change;
    else this.#foreign += change;
  }

  #releaseAll(released: ReadonlyMap<string, HeardDeletion>): void {
    const { list } = this.#options;
    const gone = [...released].filter(([target, { at, ended }]) => {
      const end = list.endOf(target);
      if (end === 0) return false;
      // After a start an old deletion is heard anew: what was blocked since is none of its.
      if (list.sinceOf(target) <= at) return true;
      // What stands here is what was ended, by clocks that differ a little.
      const left = this.#records.get(target);
      return left === undefined
        ? ended.length > 0
        : ended.includes(end) && !left.some((record) => record.end === end);
    });
    for (const [node, all] of Map.groupBy(gone, ([, deletion]) => deletion.node)) {
      list.release(all.map(([target]) => target), node);
    }
  }

  /** Blocks here what others have blocked, as far as it is not and may be. */
  #apply(targets: ReadonlySet<string>, now: number): void {
    const { list, node, maxPerHour } = this.#options;
    if (now - this.#hourAt >= HOUR_MS || now < this.#hourAt) {
      this.#hourAt = now;
      this.#applied = 0;
    }
    const blocks: SharedBlock[] = [];
    for (const target of targets) {
      const records = this.#records.get(target);
      if (records === undefined) continue;
      let longest: SharedBlock | undefined;
      for (const record of records) {
        if (record.end > now && record.end > (longest?.end ?? 0)) longest = record;
      }
      if (longest === undefined) continue;
      const known = list.endOf(target);
      if (known >= longest.end) continue;
      // Its own, of a list that was lost.
      const isOwn = longest.node === node;
      const why = list.refusalOf(target) ??
        (isOwn || known > 0
          ? undefined
          : this.#foreign > FOREIGN_MAX
          ? "full"
          : this.#applied >= maxPerHour
          ? "fleet_max"
          : undefined);
      if (why !== undefined) {
        if (!isOwn) this.#refuse(longest, why);
        continue;
      }
      if (!isOwn && known === 0) this.#applied++;
      blocks.push(longest);
    }
    if (blocks.length > 0) list.block(blocks);
  }

  #refuse({ target, node: origin }: SharedBlock, why: RefusalReason): void {
    const key = keyOf(origin, target);
    if (this.#refused.has(key)) return;
    // What is told again and again would drive the others' changes out of the stream.
    if (this.#refused.size >= REFUSALS_MAX) {
      this.refusals[why] = Math.max(this.refusals[why] ?? 0, 1);
      return;
    }
    this.#refused.add(key);
    this.refusals[why] = (this.refusals[why] ?? 0) + 1;
    this.outbox.add({ kind: "refusal", target, node: this.#options.node, origin, why });
  }

  /** Forgets what has ended, and old deletions. */
  #forget(now: number): void {
    for (const [target, records] of this.#records) {
      const left = records.filter((record) => record.end > now);
      if (left.length === records.length) continue;
      for (const record of records) {
        if (record.end > now) continue;
        this.#count(record.node, -1);
        this.#refused.delete(keyOf(record.node, target));
      }
      if (left.length > 0) this.#records.set(target, left);
      else this.#records.delete(target);
    }
    let over = this.#deleted.size - DELETIONS_MAX;
    for (const [target, at] of this.#deleted) {
      if (over > 0 || at < now - DELETION_AGE_MAX_MS) this.#deleted.delete(target);
      over--;
    }
  }
}

/** What was heard of a deletion. */
interface HeardDeletion {
  readonly node: string;
  readonly at: number;
  /** The ends that the records had which it has ended. */
  readonly ended: readonly number[];
}
