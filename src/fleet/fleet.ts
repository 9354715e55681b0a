/**
 * Keeps one node equal to the others, as far as the engine allows: reads what others have changed,
 * sends what was changed here, compares the whole at the start, after a gap, when the engine has
 * lost its data, and each hour. Whatever the engine does, nobody here waits for it.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import { jittered, retryDelay } from "../backoff.ts";
import { type Clock, sleep } from "../clock.ts";
import type { Deletion } from "../blocks/deletions.ts";
import type { Log } from "../log.ts";
import { describeDuration } from "../penalties/reason.ts";
import { VERSION } from "../version.ts";
import {
  type Engine,
  EngineError,
  type NodeInfo,
  type RefusalReason,
  refusalWords,
  type SharedBlock,
  type SharedChange,
} from "./engine.ts";
import { OUTBOX_MAX } from "./outbox.ts";
import { type OwnList, Replica, TURN } from "./replica.ts";

/** How often a node tells that it lives, and asks for the time and the epoch, in milliseconds. */
const BEAT_MS = 10_000;

/** How long one read waits for changes, in milliseconds. */
const WAIT_MS = 1_000;

/** How often the whole is compared, in milliseconds. */
const COMPARE_MS = 3_600_000;

/** First and longest delay before the engine is tried again, in milliseconds. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;

/** An answer without changes that comes earlier is one of an engine that does not wait for them. */
const EARLY_MS = WAIT_MS / 2;

/** How long is waited in its place, in milliseconds. */
const PAUSE_MS = 100;

/** Most other nodes that are named in the log. */
const NAMED_MAX = 20;

/** A clock that differs by more is told of, in milliseconds. */
const CLOCK_TOLD_MS = 5_000;

/** By more, and nothing is shared, in milliseconds. */
const CLOCK_REFUSED_MS = 300_000;

/** What does not work. */
interface Trouble {
  readonly message: string;
  /** What mends it; empty: that is not known. */
  readonly advice: string;
}

/** What is told of the fleet; times in milliseconds since 1970. */
export interface FleetState {
  /** The name of this node. */
  readonly node: string;
  /** Where the engine is, without a secret. */
  readonly engine: string;
  /** Since when it is connected; `undefined`: it is not. */
  readonly connectedSince: number | undefined;
  /** What does not work, and what mends it. */
  readonly trouble: Trouble | undefined;
  /** Nodes that were heard of within a day, this one too. */
  readonly nodes: readonly NodeInfo[];
  /** Own blocks that are shared. */
  readonly own: number;
  /** Blocks of others, by their nodes. */
  readonly theirs: ReadonlyMap<string, number>;
  /** Changes that are not sent yet. */
  readonly outbox: number;
  /** Changes that found no place there. */
  readonly dropped: number;
  /** Blocks of others that were not applied here, by the reason. */
  readonly refusals: Readonly<Partial<Record<RefusalReason, number>>>;
  /** Last own blocks that were not applied elsewhere. */
  readonly notApplied: readonly (SharedChange & { kind: "refusal" })[];
  /** How much this machine's clock is ahead of the engine's, in milliseconds. */
  readonly clockAhead: number;
  /** How long the last answer of the engine took, in milliseconds. */
  readonly lagMs: number;
}

/** Most refusals of others that are kept to be shown. */
const NOT_APPLIED_MAX = 10;

/** What a {@linkcode Fleet} joins. */
interface FleetParts {
  /** The name of this node. */
  readonly node: string;
  readonly engine: Engine;
  /** Where that is, for messages. */
  readonly place: string;
  /** `fleet_max`: blocks of others in an hour. */
  readonly maxPerHour: number;
  readonly list: OwnList;
  /** Deletions that an earlier process knew of. */
  readonly deletions?: Iterable<Deletion>;
  /** Hears of each deletion that is new. */
  readonly onDeletion?: (...deletion: Deletion) => void;
  /** This node's blocks that are shared, those that came from other nodes too. */
  readonly listed: () => Iterable<Omit<SharedBlock, "at">>;
  readonly log: Pick<Log, "info" | "warn" | "limited">;
  /** Monotonic time. */
  readonly clock: Clock;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
  /** A number from 0 to 1, for the delays. */
  readonly random?: () => number;
}

/** What was changed here, and when by the monotonic clock. */
type Early =
  | {
    readonly kind: "blocked";
    readonly block: Omit<SharedBlock, "at" | "node">;
    readonly at: number;
  }
  | {
    readonly kind: "released" | "withdrawn";
    readonly targets: readonly string[];
    readonly at: number;
  };

/** The life of one node. */
export class Fleet {
  readonly #parts: FleetParts;
  readonly #replica: Replica;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #startedAt = 0;
  #last: string | undefined;
  #epoch: string | undefined;
  #comparedAt = -Infinity;
  #beatAt = -Infinity;
  /** The engine's time at a moment of the monotonic clock. */
  #measured: { readonly time: number; readonly at: number } | undefined;
  #connectedSince: number | undefined;
  #trouble: Trouble | undefined;
  #clockTrouble: Trouble | undefined;
  /** What was told of the trouble last. */
  #told: string | undefined;
  #writeTrouble: Trouble | undefined;
  #twinTrouble: Trouble | undefined;
  #nodes: readonly NodeInfo[] = [];
  #lagMs = 0;
  #sending = false;
  /** What was changed here before the engine's time was known. */
  readonly #early: Early[] = [];
  #writeFailures = 0;
  readonly #notApplied: (SharedChange & { kind: "refusal" })[] = [];

  /**
   * Asks nobody yet.
   *
   * @param parts What it joins.
   */
  constructor(parts: FleetParts) {
    this.#parts = parts;
    this.#replica = new Replica({
      node: parts.node,
      maxPerHour: parts.maxPerHour,
      list: parts.list,
      ...(parts.deletions === undefined ? {} : { deletions: parts.deletions }),
      ...(parts.onDeletion === undefined ? {} : { onDeletion: parts.onDeletion }),
      onRefused: (refusal) => this.#refused(refusal),
    });
  }

  /** Begins. */
  start(): void {
    this.#startedAt = this.#parts.clock.now();
    this.#running ??= this.#run();
  }

  /** Sends what waits, if that goes at once, and ends. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#parts.engine.close();
    await this.#running;
  }

  /** This node has blocked a target. */
  blocked(block: Omit<SharedBlock, "at" | "node">): void {
    // Before the engine's time is known it could only be guessed when that was.
    if (this.#measured === undefined) {
      return this.#remember({ kind: "blocked", block, at: this.#parts.clock.now() });
    }
    this.#replica.blocked(block, this.#now());
    this.#send();
  }

  /** Somebody has deleted targets here. */
  released(targets: readonly string[]): void {
    if (this.#measured === undefined) {
      const at = Math.floor(this.#parts.wallClock());
      for (const target of targets) this.#parts.onDeletion?.(target, at, true);
      return this.#remember({ kind: "released", targets, at: this.#parts.clock.now() });
    }
    this.#replica.released(targets, this.#now());
    this.#send();
  }

  /** This node has taken blocks back by itself. */
  withdrawn(targets: readonly string[]): void {
    if (this.#measured === undefined) {
      return this.#remember({ kind: "withdrawn", targets, at: this.#parts.clock.now() });
    }
    this.#replica.withdrawn(targets, this.#now());
    this.#send();
  }

  /** Blocks that find no place are found in the list, and deletions in the database. */
  #remember(change: Early): void {
    this.#early.push(change);
    if (this.#early.length > OUTBOX_MAX) this.#early.shift();
  }

  /** What is told of it. */
  get state(): FleetState {
    return {
      node: this.#parts.node,
      engine: this.#parts.place,
      connectedSince: this.#connectedSince,
      trouble: this.#trouble ?? this.#clockTrouble ?? this.#writeTrouble ?? this.#twinTrouble,
      nodes: this.#nodes,
      own: this.#replica.own,
      theirs: this.#replica.byNode(),
      outbox: this.#replica.outbox.size + this.#early.length,
      dropped: this.#replica.outbox.dropped,
      refusals: this.#replica.refusals,
      notApplied: this.#notApplied,
      clockAhead: this.#clockAhead,
      lagMs: this.#lagMs,
    };
  }

  /** How much this machine's clock is ahead of the engine's, in milliseconds. */
  get #clockAhead(): number {
    return this.#measured === undefined ? 0 : Math.round(this.#parts.wallClock() - this.#now());
  }

  /** The engine's time: it goes on evenly, whoever sets this machine's clock. */
  #now(): number {
    if (this.#measured === undefined) return Math.floor(this.#parts.wallClock());
    return Math.floor(this.#measured.time + this.#parts.clock.now() - this.#measured.at);
  }

  async #run(): Promise<void> {
    const { clock, random = Math.random } = this.#parts;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#beat();
        if (this.#isClockRefused()) {
          await sleep(clock, BEAT_MS, this.#stop.signal);
          continue;
        }
        if (this.#isCompareDue()) await this.#compare();
        this.#connected();
        failures = 0;
        this.#send();
        while (!this.#stop.signal.aborted && clock.now() - this.#beatAt < BEAT_MS) {
          const begun = clock.now();
          const read = await this.#parts.engine.readChanges(this.#last!, WAIT_MS);
          if (read.changes.length === 0 && clock.now() - begun < EARLY_MS) {
            await sleep(clock, PAUSE_MS, this.#stop.signal);
          }
          if (read.gap) await this.#compare();
          else {
            this.#last = read.last;
            await this.#hear(read.changes);
          }
          this.#send();
        }
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#disconnected(error);
        const delay = jittered(retryDelay(failures++, RETRY_FIRST_MS, RETRY_MAX_MS), random);
        await sleep(clock, delay, this.#stop.signal);
      }
    }
  }

  async #beat(): Promise<void> {
    const { clock, engine, node } = this.#parts;
    const begun = clock.now();
    const { own, foreign, outbox: { size: outbox } } = this.#replica;
    const beat = await engine.beat({ node, version: VERSION, own, theirs: foreign, outbox });
    this.#beatAt = clock.now();
    this.#lagMs = this.#beatAt - begun;
    const isFirst = this.#measured === undefined;
    this.#measured = { time: beat.time + this.#lagMs / 2, at: this.#beatAt };
    this.#nodes = beat.nodes;
    this.#lookForTwin(beat.hasTwin === true);
    if (isFirst) {
      const startedAt = this.#measured.time + this.#startedAt - this.#measured.at;
      this.#replica.begin(Math.floor(startedAt), this.#clockAhead);
      for (const one of this.#early.splice(0)) {
        const at = Math.floor(this.#measured.time + one.at - this.#measured.at);
        if (one.kind === "blocked") this.#replica.blocked(one.block, at);
        else this.#replica[one.kind](one.targets, at);
      }
    }
    if (beat.epoch !== this.#epoch) {
      if (this.#epoch !== undefined) {
        this.#parts.log.warn(
          `fleet: the engine at ${this.#parts.place} has lost its data (FLUSHALL, or another ` +
            "server): they are restored from the lists of the nodes",
        );
      }
      this.#comparedAt = -Infinity;
    }
    this.#epoch = beat.epoch;
  }

  #lookForTwin(hasTwin: boolean): void {
    this.#twinTrouble = undefined;
    if (!hasTwin) return;
    const message = `another PBX has the name ${this.#parts.node} too: each takes the blocks of ` +
      "the other for its own";
    const advice = "give each another fleet_name in its ampere.cfg, then: systemctl reload ampere";
    this.#twinTrouble = { message, advice };
    this.#parts.log.limited("fleet name", "warn", `fleet: ${message}. Fix: ${advice}`);
  }

  #isClockRefused(): boolean {
    const ahead = this.#clockAhead;
    const size = Math.abs(ahead);
    this.#clockTrouble = undefined;
    if (size <= CLOCK_TOLD_MS) return false;
    const message = `the clock of this machine is ${describeDuration(size / 1000)} ${
      ahead > 0 ? "ahead of" : "behind"
    } that of the engine at ${this.#parts.place}`;
    const isRefused = size > CLOCK_REFUSED_MS;
    const advice = "set the clocks of both machines: timedatectl set-ntp true";
    const whole = `${message}${isRefused ? "; nothing is shared until it is right" : ""}`;
    // The engine has answered.
    this.#trouble = undefined;
    this.#clockTrouble = { message: whole, advice };
    this.#parts.log.limited("fleet clock", "warn", `fleet: ${whole}. Fix: ${advice}`);
    if (isRefused) this.#connectedSince = undefined;
    return isRefused;
  }

  #isCompareDue(): boolean {
    return this.#last === undefined || this.#replica.needsState ||
      this.#parts.clock.now() - this.#comparedAt >= COMPARE_MS;
  }

  /** Takes the whole over, and finds what the engine lacks. */
  async #compare(): Promise<void> {
    const { engine, listed, clock } = this.#parts;
    const last = await engine.last();
    // Deletions first: nobody is blocked for a moment who was released.
    const deletions: SharedChange[] = [];
    const blocks: SharedChange[] = [];
    await engine.readState((part) => {
      for (const change of part) (change.kind === "block" ? blocks : deletions).push(change);
    });
    const turns = this.#replica.comparing([...deletions, ...blocks], listed(), this.#now());
    let turn = turns.next();
    while (!turn.done) {
      await sleep(clock, 0, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      turn = turns.next();
    }
    const dead = turn.value;
    this.#last = last;
    this.#comparedAt = clock.now();
    await engine.tidy(this.#now(), dead);
    // What was blocked anew meanwhile may have been taken away with what was deleted.
    if (dead.some((one) => this.#replica.holds(one))) this.#replica.needsState = true;
  }

  async #hear(changes: readonly SharedChange[]): Promise<void> {
    for (let at = 0; at < changes.length; at += TURN) {
      if (at > 0) await sleep(this.#parts.clock, 0, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      this.#replica.hear(changes.slice(at, at + TURN), this.#now());
    }
  }

  /** Sends what waits, one transaction after the other. */
  #send(): void {
    if (this.#sending || this.#connectedSince === undefined || this.#replica.outbox.size === 0) {
      return;
    }
    this.#sending = true;
    void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    // All that is blocked in this turn goes together.
    await undefined;
    const { engine, clock, random = Math.random } = this.#parts;
    while (this.#connectedSince !== undefined && !this.#stop.signal.aborted) {
      const changes = this.#replica.outbox.next();
      if (changes.length === 0) break;
      try {
        await engine.write(changes);
        this.#replica.outbox.written();
        // What seemed lost may have been written late, over what is newer: that is looked for.
        if (this.#writeFailures > 0) this.#replica.needsState = true;
        this.#writeFailures = 0;
        if (this.#writeTrouble !== undefined) {
          this.#parts.log.info("fleet: the engine takes changes again");
          this.#writeTrouble = undefined;
        }
      } catch (error) {
        this.#replica.outbox.notWritten();
        if (this.#stop.signal.aborted) break;
        const { message, advice } = troubleOf(error);
        if (this.#writeTrouble?.message !== message) {
          this.#parts.log.limited(
            "fleet write",
            "warn",
            `fleet: changes are not sent, and wait here: ${message}${fixOf(advice)}`,
          );
        }
        this.#writeTrouble = { message, advice };
        const delay = retryDelay(this.#writeFailures++, RETRY_FIRST_MS, RETRY_MAX_MS);
        await sleep(clock, jittered(delay, random), this.#stop.signal);
      }
    }
    // At once: what is blocked in the next moment must not be left waiting.
    this.#sending = false;
  }

  #connected(): void {
    this.#trouble = undefined;
    if (this.#connectedSince !== undefined) return;
    this.#connectedSince = this.#parts.wallClock();
    this.#told = undefined;
    const others = this.#nodes.map(({ node }) => node).filter((node) => node !== this.#parts.node);
    const more = others.length > NAMED_MAX ? ` and ${others.length - NAMED_MAX} more` : "";
    this.#parts.log.info(
      `fleet: connected to ${this.#parts.place} as ${this.#parts.node}; other nodes: ${
        others.slice(0, NAMED_MAX).join(", ") || "none yet"
      }${more}`,
    );
  }

  #disconnected(error: unknown): void {
    const { message, advice } = this.#trouble = troubleOf(error);
    this.#connectedSince = undefined;
    if (this.#told === message) return;
    this.#told = message;
    this.#parts.log.warn(
      `fleet: ${message}. Blocks here go on, and are sent later${fixOf(advice)}`,
    );
  }

  #refused(refusal: SharedChange & { kind: "refusal" }): void {
    const { target, node, why } = refusal;
    this.#notApplied.push(refusal);
    if (this.#notApplied.length > NOT_APPLIED_MAX) this.#notApplied.shift();
    this.#parts.log.limited(
      `fleet refusal ${node} ${why}`,
      "warn",
      `fleet: the block of ${target} is not applied on ${node}: ${refusalWords(why)}`,
    );
  }
}

function troubleOf(error: unknown): Trouble {
  if (error instanceof EngineError) return { message: error.message, advice: error.advice };
  return { message: error instanceof Error ? error.message : String(error), advice: "" };
}
