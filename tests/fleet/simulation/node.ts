/**
 * A node of a simulated fleet: its list, which outlives it, and the part that shares it.
 *
 * @module
 */

import type { Deletion } from "../../../src/blocks/deletions.ts";
import type { SharedBlock } from "../../../src/fleet/engine.ts";
import { Fleet } from "../../../src/fleet/fleet.ts";
import type { Dice } from "../../simulation/dice.ts";
import type { FakeClock } from "../../support/fake_clock.ts";
import type { Line, MemoryServer } from "./memory_server.ts";

/** What a {@linkcode SimulatedNode} is made of. */
interface NodeParts {
  readonly name: string;
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly server: MemoryServer;
  readonly line: Line;
  readonly trusted: ReadonlySet<string>;
  readonly tell: (line: string) => void;
}

interface Row {
  readonly end: number;
  readonly since: number;
  readonly node: string;
}

/** One PBX. */
export class SimulatedNode {
  readonly name: string;
  readonly line: Line;
  readonly #parts: NodeParts;
  /** The list; times by the node's own clock. */
  readonly #rows = new Map<string, Row>();
  readonly #deletions = new Map<string, Deletion>();
  #fleet: Fleet | undefined;
  /** How far the node's clock is ahead, in milliseconds. */
  offset = 0;

  /** Does not run yet. */
  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.line = parts.line;
  }

  get runs(): boolean {
    return this.#fleet !== undefined;
  }

  trusts(target: string): boolean {
    return this.#parts.trusted.has(target);
  }

  setClock(ms: number): void {
    this.offset += ms;
  }

  /** Until when a target is blocked here, in milliseconds of true time; 0: it is not. */
  endOf(target: string): number {
    const row = this.#rows.get(target);
    return row === undefined || row.end <= this.#parts.clock.now() ? 0 : row.end;
  }

  start(): void {
    const { name, tell, server, line, dice, clock } = this.#parts;
    const isCurrent = () => this.#fleet === fleet;
    const random = dice.fork();
    const fleet: Fleet = this.#fleet = new Fleet({
      node: name,
      engine: server.connect(line, dice.fork(), this.#sleep),
      place: "memory",
      maxPerHour: 10_000,
      list: {
        endOf: (target) => this.endOf(target),
        sinceOf: (target) => this.#rows.get(target)?.since ?? 0,
        refusalOf: (target) => this.trusts(target) ? "trusted" : undefined,
        block: (blocks) => {
          if (!isCurrent()) return;
          for (const { target, end, since, node } of blocks) {
            tell(`${name}: blocks ${target}, as ${node} did`);
            this.#rows.set(target, { end, since, node });
          }
        },
        release: (targets) => {
          if (!isCurrent()) return;
          for (const target of targets) {
            tell(`${name}: releases ${target}`);
            this.#rows.delete(target);
          }
        },
      },
      listed: () => this.#listed(),
      deletions: this.#deletions.values(),
      onDeletion: (...deletion) => void this.#deletions.set(deletion[0], deletion),
      log: { info() {}, warn: (line: string) => tell(`${name}: ${line}`), limited() {} },
      clock,
      wallClock: () => clock.now() + this.offset,
      random: () => random.next(),
    });
    fleet.start();
  }

  /** It ends without a word. */
  kill(): void {
    const fleet = this.#fleet;
    this.#fleet = undefined;
    void fleet?.close();
  }

  block(target: string, ms: number): boolean {
    const { clock } = this.#parts;
    const now = clock.now();
    if (this.endOf(target) >= now + ms) return false;
    this.#rows.set(target, { end: now + ms, since: now, node: this.name });
    this.#fleet!.blocked({ ...NOTHING, target, since: now, end: now + ms });
    return true;
  }

  release(target: string): boolean {
    if (this.endOf(target) === 0) return false;
    this.#rows.delete(target);
    if (this.#fleet !== undefined) this.#fleet.released([target]);
    else {
      // As `ampere -d` does it when no daemon runs.
      const at = this.#parts.clock.now() + this.offset;
      this.#deletions.set(target, [target, at, true]);
    }
    return true;
  }

  #sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => void this.#parts.clock.after(ms, resolve));

  *#listed(): Generator<Omit<SharedBlock, "at">> {
    const now = this.#parts.clock.now();
    for (const [target, { end, since, node }] of this.#rows) {
      if (end > now) yield { ...NOTHING, node, target, since, end };
    }
  }
}

const NOTHING = { reason: "", service: "", transport: "", account: "" };
