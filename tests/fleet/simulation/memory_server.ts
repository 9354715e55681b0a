/**
 * An engine in memory that keeps what a real one keeps, and fails as a real one does: nobody
 * reaches it, it has lost its data, it writes and the answer is lost.
 *
 * @module
 */

import {
  type Beat,
  type Engine,
  EngineError,
  type NodeInfo,
  type ReadChanges,
  type SharedBlock,
  type SharedChange,
} from "../../../src/fleet/engine.ts";
import type { Dice } from "../../simulation/dice.ts";

/** What a server is to do to one node. */
export interface Line {
  /** Nothing gets through. */
  isCut: boolean;
  /** How likely a call fails without having done anything. */
  fails: number;
  /** How likely a call does what it should, and its answer is lost. */
  losesAnswers: number;
  /** How long a call takes at most, in milliseconds. */
  delayMs: number;
}

/** Waits, in the time of the world. */
type Sleep = (ms: number) => Promise<void>;

/** What all nodes share. */
export class MemoryServer {
  readonly #now: () => number;
  readonly #capacity: number;
  /** By node and target. */
  readonly #records = new Map<string, SharedBlock>();
  /** By target. */
  readonly #deletions = new Map<string, number>();
  readonly #nodes = new Map<string, NodeInfo>();
  #stream: { readonly id: number; readonly change: SharedChange }[] = [];
  #lastId = 0;
  #epoch = 0;

  /**
   * An empty one.
   *
   * @param now Its clock, in milliseconds since 1970.
   * @param capacity How many changes it remembers.
   */
  constructor(now: () => number, capacity: number) {
    this.#now = now;
    this.#capacity = capacity;
  }

  /** How many facts it keeps. */
  get size(): number {
    return this.#records.size + this.#deletions.size;
  }

  /** Somebody has emptied it. */
  flush(): void {
    this.#records.clear();
    this.#deletions.clear();
    this.#nodes.clear();
    this.#stream = [];
    this.#lastId = 0;
    this.#epoch++;
  }

  /** A connection of one node. */
  connect(line: Line, dice: Dice, sleep: Sleep): Engine {
    let isClosed = false;
    const call = async <T>(run: () => T): Promise<T> => {
      await sleep(dice.between(0, line.delayMs));
      if (isClosed || line.isCut || dice.chance(line.fails)) throw new EngineError("out of reach");
      const result = run();
      await sleep(dice.between(0, line.delayMs));
      if (isClosed || line.isCut || dice.chance(line.losesAnswers)) {
        throw new EngineError("the answer was lost");
      }
      return result;
    };
    return {
      readState: async (take) => {
        // What is changed while it is read may be in it or not.
        const keys = [...this.#records.keys()];
        const half = Math.ceil(keys.length / 2);
        for (const part of [keys.slice(0, half), keys.slice(half)]) {
          take(await call(() => this.#recordsOf(part)));
        }
        take(await call(() => this.#allDeletions()));
      },
      last: () => call(() => String(this.#lastId)),
      write: (changes) => call(() => this.#write(changes)),
      readChanges: async (since, waitMs) => {
        const begun = await call(() => this.#lastId);
        if (begun <= Number(since)) await sleep(dice.between(0, waitMs));
        return await call(() => this.#read(Number(since)));
      },
      beat: (info) => call(() => this.#beat(info)),
      tidy: (now, dead) => call(() => this.#tidy(now, dead)),
      close: () => void (isClosed = true),
    };
  }

  #recordsOf(keys: readonly string[]): SharedChange[] {
    return keys.flatMap((key) => {
      const block = this.#records.get(key);
      return block === undefined ? [] : [{ kind: "block" as const, block }];
    });
  }

  #allDeletions(): SharedChange[] {
    return [...this.#deletions].map(([target, at]) => ({ kind: "release", target, at, node: "" }));
  }

  #write(changes: readonly SharedChange[]): void {
    for (const change of changes) {
      if (change.kind === "block") {
        const key = `${change.block.node} ${change.block.target}`;
        if (change.restores && this.#records.has(key)) continue;
        this.#records.set(key, change.block);
      } else if (change.kind === "release") {
        const known = this.#deletions.get(change.target) ?? -1;
        if (known < change.at) this.#deletions.set(change.target, change.at);
      }
      this.#stream.push({ id: ++this.#lastId, change });
    }
    this.#stream = this.#stream.slice(-this.#capacity);
  }

  #read(since: number): ReadChanges {
    const first = this.#stream[0]?.id ?? this.#lastId + 1;
    const changes = this.#stream.filter(({ id }) => id > since).map(({ change }) => change);
    return {
      changes,
      last: String(this.#lastId),
      gap: since > this.#lastId || since + 1 < first,
    };
  }

  #beat(info: Omit<NodeInfo, "at">): Beat {
    const time = this.#now();
    this.#nodes.set(info.node, { ...info, at: time });
    return { time, epoch: String(this.#epoch), nodes: [...this.#nodes.values()] };
  }

  #tidy(now: number, dead: readonly Pick<SharedBlock, "node" | "target">[]): void {
    for (const { node, target } of dead) {
      const key = `${node} ${target}`;
      const { at = Infinity } = this.#records.get(key) ?? {};
      // It may have been written anew meanwhile.
      if ((this.#deletions.get(target) ?? -1) >= at) this.#records.delete(key);
    }
    for (const [key, { end }] of this.#records) if (end <= now - DAY_MS) this.#records.delete(key);
    for (const [target, at] of this.#deletions) {
      if (at < now - 30 * DAY_MS) this.#deletions.delete(target);
    }
  }
}

const DAY_MS = 86_400_000;
