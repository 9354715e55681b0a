/**
 * A simulated machine with the real daemon on it, and everything that goes wrong around it.
 *
 * @module
 */

import { TICK_MS } from "../../../src/daemon/daemon.ts";
import type { Dice } from "../dice.ts";
import { NO_TROUBLE } from "../programs.ts";
import type { Step } from "../traffic.ts";
import { FAMILIES, LAST_ATTACKERS } from "./cast.ts";
import { differences, differs } from "./differences.ts";
import { Hands } from "./hands.ts";
import { Meddler } from "./meddler.ts";
import { People } from "./people.ts";
import { Processes } from "./processes.ts";
import { makeRepeatable } from "./repeatable.ts";
import { Scene, type SceneOptions } from "./scene.ts";
import { SLOW_FORGET_SECONDS, VERIFY_SECONDS } from "./settings.ts";
import { Strikes } from "./strikes.ts";
import { WorldError } from "./world_error.ts";

/**
 * How long after the last fault all must be in order, in milliseconds: the longest delays, one
 * after the other.
 */
const CONVERGED_WITHIN_MS = 180_000;

/** The programs of nft that stay are begun again within this time, in milliseconds. */
const NFT_AGAIN_MS = 75_000;

/** How often it is looked whether all is in order, in milliseconds. */
const LOOK_MS = 500;

/**
 * After the last fault the daemon is logged in again within this time, in milliseconds
 * (`RETRY_MAX_MS` and an answer).
 */
const LOGGED_IN_WITHIN_MS = 80_000;

/** When only the port was closed it is much less: the promise is 2 s. */
const RESUMED_WITHIN_MS = 2_000;

/** A daemon that is told to end does within this time, in milliseconds. */
const ENDED_WITHIN_MS = 1_000;

/**
 * Runs the world of one seed.
 *
 * @param seed Decides everything that happens.
 * @param options See {@linkcode SceneOptions}.
 * @throws {WorldError} with what is wrong in the end; anything that the code under test throws.
 */
export async function runWorld(seed: number, options: SceneOptions): Promise<void> {
  const world = new World(seed, options);
  const restore = makeRepeatable(world.forkDice());
  try {
    await world.run();
  } finally {
    world.end();
    restore();
  }
}

class World {
  readonly #scene: Scene;
  readonly #people: People;
  readonly #processes: Processes;
  readonly #meddler: Meddler;
  readonly #strikes: Strikes;

  constructor(seed: number, options: SceneOptions) {
    const scene = new Scene(seed, options);
    this.#scene = scene;
    const hands = new Hands(scene);
    this.#people = new People(scene, hands);
    this.#processes = new Processes(scene);
    this.#meddler = new Meddler(scene);
    this.#strikes = new Strikes({
      scene,
      processes: this.#processes,
      hands,
      meddler: this.#meddler,
    });
  }

  /** Dice for what is not of this world. */
  forkDice(): Dice {
    return this.#scene.dice.fork();
  }

  async run(): Promise<void> {
    const scene = this.#scene;
    const { dice } = scene;
    if (scene.faults.has("no ip6tables")) {
      scene.kernel.chains[6] = undefined;
      if (dice.chance(0.5)) scene.programs.missing.add("ip6tables");
    }
    this.#people.remember();
    for (const family of FAMILIES) {
      if (scene.config.jump.length === 0) scene.kernel.makeJump(family);
      else if (dice.chance(0.5)) scene.kernel.deleteChain(family);
    }
    this.#processes.start();
    // Rows of blocks need time.
    const isLong = dice.chance(0.1);
    const short = isLong ? 0 : dice.between(4_000, 25_000);
    const duration = isLong || scene.config.forget === SLOW_FORGET_SECONDS ? 40_000 : short;
    this.#people.begin(duration);
    this.#strikes.begin();
    scene.pbxLog?.begin();
    await this.#passUntil(scene.time.now + duration);
    this.#heal();
    // A process that could do nothing at its start ends a moment later, and one that stood still
    // may have to log in anew: then there is another attack.
    do await this.#beLoggedIn(); while (!await this.#lastAttack());
    await this.#converge();
    await this.#stopOrderly();
  }

  /** Gives back what the world holds, however it ended. */
  end(): void {
    const scene = this.#scene;
    const process = scene.process;
    if (process !== undefined) {
      process.clock.kill();
      process.list.close(scene.wall());
    }
    scene.store[Symbol.dispose]();
  }

  async #passUntil(end: number, holds: () => boolean = () => false): Promise<void> {
    await this.#scene.time.passUntil(end, () => {
      this.#processes.care();
      return holds();
    });
  }

  // The end

  /** All faults are over. */
  #heal(): void {
    const scene = this.#scene;
    scene.trace("---- all faults are over ----");
    scene.faulty = false;
    scene.programs.trouble = { ...NO_TROUBLE };
    scene.residents.heal();
    scene.kernel.refused.clear();
    scene.store.heal();
    scene.store.calm();
    scene.pbxLog?.heal();
    scene.asterisk.refuses = false;
    scene.asterisk.stalls = false;
    scene.asterisk.setState("up");
    for (const family of FAMILIES) {
      if (family === 6 && scene.faults.has("no ip6tables")) continue;
      // With a jump it is Ampere that must.
      if (scene.config.jump.length > 0) continue;
      scene.kernel.chains[family] ??= [];
      scene.kernel.makeJump(family);
    }
  }

  async #beLoggedIn(): Promise<void> {
    const scene = this.#scene;
    const { dice } = scene;
    const onlyPort = !scene.faults.has("dark") && !scene.faults.has("refuse") &&
      !scene.faults.has("freeze") && !scene.faults.has("kill") && !scene.faults.has("restart") &&
      !scene.faults.has("commands") && !scene.faults.has("chain");
    const within = onlyPort ? RESUMED_WITHIN_MS : LOGGED_IN_WITHIN_MS;
    // A stall of the network that has begun is not over before what it holds up has arrived.
    const start = Math.max(scene.time.now, scene.asterisk.arrivedAt);
    const loggedIn = () => {
      const process = scene.process;
      if (process === undefined || process.clock.frozen) return false;
      const { logs, connectedSince } = process.daemon;
      if (scene.withoutAmi) return logs!.files.every(({ trouble }) => trouble === undefined);
      return scene.asterisk.isHeard && connectedSince !== undefined;
    };
    if (!loggedIn()) await this.#passUntil(start + within, loggedIn);
    if (!loggedIn()) throw new WorldError(`not logged in within ${within} ms after the last fault`);
    await this.#passUntil(scene.time.now + dice.between(0, 2_000));
  }

  /** Where points are forgotten soon, nobody may take their time. */
  #lastGuess(address: string): Step[] {
    const { traffic, config } = this.#scene;
    return config.forget === SLOW_FORGET_SECONDS
      ? traffic.siege(address, "UDP", 1)
      : traffic.wrongPassword(address);
  }

  /** Whether the daemon has heard all of it. */
  async #lastAttack(): Promise<boolean> {
    const scene = this.#scene;
    const process = scene.process;
    // A command that failed as the last fault has ended it since; it is started again.
    if (process === undefined) return false;
    const { logins } = process.daemon.counters;
    for (const address of LAST_ATTACKERS) {
      for (let i = 0; i < 4; i++) {
        scene.time.after(
          10 + i * 400,
          () => this.#people.perform(this.#lastGuess(address)),
        );
      }
    }
    await this.#passUntil(scene.time.now + 10 + 4 * 400);
    await this.#passUntil(this.#people.performedAt + 1);
    while (scene.asterisk.arrivedAt > scene.time.now) {
      await this.#passUntil(scene.asterisk.arrivedAt + 1);
    }
    // What is still open is charged by then.
    await this.#passUntil(scene.time.now + 1_000 * scene.config.patience + 2 * TICK_MS);
    if (process !== scene.process || logins !== process.daemon.counters.logins) return false;
    for (const address of LAST_ATTACKERS) {
      if (!scene.model.blocks.has(address) && !scene.model.blocks.past.has(address)) {
        throw new WorldError(`the last attack of ${address} did not reach the daemon`);
      }
    }
    return true;
  }

  async #converge(): Promise<void> {
    const scene = this.#scene;
    this.#meddler.exchange();
    const end = scene.time.now + CONVERGED_WITHIN_MS;
    while (differences(scene) !== undefined) {
      if (scene.time.now >= end) {
        throw new WorldError(
          `${CONVERGED_WITHIN_MS} ms after the last fault: ${differences(scene)}`,
        );
      }
      await this.#passUntil(scene.time.now + LOOK_MS);
    }
    scene.trace("all is in order");
    // It must stay so, through the next look at the firewall.
    await this.#passUntil(scene.time.now + 1_000 * VERIFY_SECONDS + 1_000);
    // Blocks may just be ending, each by a command of its own, and looks come in between.
    const inOrder = () => differences(scene) === undefined;
    const process = scene.process!;
    const changes = process.daemon.firewall.status().queued + process.list.size;
    // A monitor that hung before all faults were over may have been noticed only now.
    const again = scene.faults.has("residents") ? NFT_AGAIN_MS : 0;
    const within = 1_000 * VERIFY_SECONDS + 2 * changes * scene.programs.slowestMs + again;
    if (!inOrder()) await this.#passUntil(scene.time.now + within, inOrder);
    if (!inOrder() && !this.#endsEarly) {
      throw new WorldError(`it was in order, and then: ${differences(scene)}`);
    }
  }

  async #stopOrderly(): Promise<void> {
    const scene = this.#scene;
    const process = scene.process!;
    scene.trace("the daemon is told to end");
    // It has looked at its clock a tick ago; what ends after that ends at the next start.
    const lookedAt = scene.wall() - TICK_MS;
    process.stop.abort();
    const start = scene.time.now;
    const within = ENDED_WITHIN_MS;
    await scene.time.passUntil(
      start + within,
      () => process.exitCode !== undefined || process.error !== undefined,
    );
    if (process.error !== undefined) throw process.error;
    if (process.exitCode !== 0) throw new WorldError(`told to end, it said ${process.exitCode}`);
    await scene.time.passUntil(scene.time.now + 1);
    const left = scene.residents.countOf(process.clock);
    if (left > 0) throw new WorldError(`${left} programs of nft were left behind`);
    const stored = scene.store.read();
    for (const host of scene.model.belonging.standing.keys()) {
      if (!stored.standing.has(host)) throw new WorldError(`the login of ${host} was not stored`);
    }
    const differences = differs(scene, process, lookedAt);
    if (differences !== undefined && !this.#endsEarly) {
      throw new WorldError(`after the end: ${differences}`);
    }
  }

  /**
   * The clock was set back, so that the kernel ends blocks before Ampere does; that is mended at
   * the next look.
   */
  get #endsEarly(): boolean {
    return this.#scene.wallMoved && this.#scene.config.backend !== "iptables";
  }
}
