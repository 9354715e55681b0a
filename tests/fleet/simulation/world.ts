/**
 * A world of several nodes that share their blocks, in which whatever can go wrong does: nodes are
 * cut off, restarted and stand still, answers are lost, clocks are set, the engine loses its data.
 * When all is well again, all nodes must have the same blocks.
 *
 * @module
 */

import { Dice } from "../../simulation/dice.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { type Line, MemoryServer } from "./memory_server.ts";
import { SimulatedNode } from "./node.ts";
import { Truth } from "./truth.ts";

/** A node differs from what it should be. */
class FleetError extends Error {
  override name = "FleetError";
}

/** How much of a world's time things go wrong, in milliseconds. */
const TROUBLE_MS = 10 * 60_000;

/** Within this time after that all nodes must agree, in milliseconds. */
const AGREED_MS = 5 * 60_000;

/** Largest difference of clocks with which the order of two changes is known, in milliseconds. */
const MARGIN_MS = 2_000;

/**
 * Runs one world.
 *
 * @param seed Which one.
 * @param tell Takes the story, a line at a time.
 * @throws {FleetError} If something is not as it should be.
 */
export async function runFleet(seed: number, tell: (line: string) => void = () => {}) {
  const world = new World(seed, tell);
  await world.run();
}

class World {
  readonly #dice: Dice;
  readonly #clock = new FakeClock(1_800_000_000_000);
  readonly #server: MemoryServer;
  readonly #nodes: SimulatedNode[] = [];
  readonly #truth: Truth;
  readonly #tell: (line: string) => void;
  readonly #begin: number;
  readonly #setsClocks: boolean;
  readonly #targets: readonly string[];

  constructor(seed: number, tell: (line: string) => void) {
    this.#dice = new Dice(seed);
    const dice = this.#dice;
    this.#begin = this.#clock.now();
    this.#setsClocks = dice.chance(0.5);
    this.#tell = (line) =>
      tell(`${((this.#clock.now() - this.#begin) / 1000).toFixed(3).padStart(9)} ${line}`);
    this.#server = new MemoryServer(() => this.#clock.now(), dice.pick([5, 50, 1_000]));
    this.#targets = Array.from({ length: dice.int(1, 30) }, (_, i) => `192.0.2.${i + 1}`);
    const trusted = this.#targets.filter(() => dice.chance(0.1));
    this.#truth = new Truth(MARGIN_MS);
    const fails = dice.pick([0, 0.02, 0.3]);
    const losesAnswers = dice.pick([0, 0.02, 0.3]);
    for (let i = 0; i < dice.int(2, 5); i++) {
      const line: Line = {
        isCut: dice.chance(0.1),
        fails,
        losesAnswers,
        delayMs: dice.pick([1, 50, 500]),
      };
      this.#nodes.push(
        new SimulatedNode({
          name: `pbx${i + 1}`,
          clock: this.#clock,
          dice: dice.fork(),
          server: this.#server,
          line,
          trusted: new Set(trusted.filter(() => dice.chance(0.5))),
          tell: this.#tell,
        }),
      );
    }
  }

  async run(): Promise<void> {
    for (const node of this.#nodes) node.start();
    const end = this.#begin + TROUBLE_MS;
    while (this.#clock.now() < end) {
      await this.#clock.advance(this.#dice.pick([0, 1, 20, 500, 3_000, 30_000]));
      this.#happen();
      this.#check();
    }
    this.#heal();
    await this.#clock.advance(AGREED_MS);
    this.#check();
    this.#compare();
    for (const node of this.#nodes) node.kill();
    await this.#clock.advance(60_000);
  }

  #happen(): void {
    const dice = this.#dice;
    const node = dice.pick(this.#nodes);
    const target = dice.pick(this.#targets);
    const now = this.#clock.now();
    switch (dice.int(0, 19)) {
      case 0:
        node.line.isCut = !node.line.isCut;
        return this.#tell(`${node.name} ${node.line.isCut ? "is cut off" : "is reached again"}`);
      case 1:
        this.#tell(`${node.name} is killed`);
        node.kill();
        return;
      case 2:
        if (!node.runs) node.start();
        return;
      case 3: {
        if (!this.#setsClocks) return;
        const ms = dice.pick([-3_000, -400, 400, 3_000, 3_600_000, -3_600_000]);
        this.#tell(`${node.name}: the clock is set by ${ms} ms`);
        node.setClock(ms);
        this.#truth.doubt(node.name, now);
        return;
      }
      case 4:
        if (!dice.chance(0.2)) return;
        this.#tell("the engine has lost its data");
        return this.#server.flush();
      case 5:
      case 6:
      case 7:
        if (!node.release(target)) return;
        this.#tell(
          `${node.name}: ${target} is deleted by hand${node.runs ? "" : ", without a daemon"}`,
        );
        return this.#truth.released(target, now);
      default: {
        if (!node.runs || node.trusts(target)) return;
        const ms = dice.pick([30_000, 3_600_000, 86_400_000, Infinity]);
        if (!node.block(target, ms)) return;
        this.#tell(`${node.name}: ${target} is blocked for ${ms} ms`);
        return this.#truth.blocked(target, now, now + ms);
      }
    }
  }

  #heal(): void {
    this.#tell("all is well from here");
    for (const node of this.#nodes) {
      Object.assign(node.line, { isCut: false, fails: 0, losesAnswers: 0 });
      if (!node.runs) node.start();
      node.setClock(-node.offset);
    }
  }

  /** What must hold at each moment. */
  #check(): void {
    for (const node of this.#nodes) {
      for (const target of this.#targets) {
        if (node.trusts(target) && node.endOf(target) > 0) {
          throw new FleetError(`${node.name} has blocked ${target}, which it trusts`);
        }
      }
    }
  }

  /** What must hold when all is well. */
  #compare(): void {
    const now = this.#clock.now();
    for (const target of this.#targets) {
      const ends = this.#nodes.filter((node) => !node.trusts(target))
        .map((node) => [node.name, Math.max(0, node.endOf(target) - now)] as const);
      const [first] = ends;
      if (first === undefined) continue;
      for (const [name, end] of ends) {
        if (end !== first[1]) {
          throw new FleetError(
            `${target}: ${first[0]} has it for ${first[1]} ms, ${name} for ${end} ms`,
          );
        }
      }
      const wrong = this.#truth.differs(target, first[1] > 0, now);
      if (wrong !== undefined) throw new FleetError(`${target}: ${wrong}`);
    }
  }
}
