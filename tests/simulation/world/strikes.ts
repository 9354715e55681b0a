/**
 * When faults strike, and what they do.
 *
 * @module
 */

import type { Config } from "../../../src/config/config.ts";
import type { AsteriskState } from "../asterisk.ts";
import { NO_TROUBLE, type Trouble } from "../programs.ts";
import { ATTACKERS, BY_HAND, PHONES, TRUSTED } from "./cast.ts";
import type { FaultName } from "./faults.ts";
import type { Hands } from "./hands.ts";
import type { Meddler } from "./meddler.ts";
import type { Processes } from "./processes.ts";
import type { Scene } from "./scene.ts";
import { rulesOf } from "./settings.ts";

/** Whom faults strike. */
interface StrikesOptions {
  readonly scene: Scene;
  readonly processes: Processes;
  readonly hands: Hands;
  readonly meddler: Meddler;
}

/** Has faults strike until they are over. */
export class Strikes {
  readonly #scene: Scene;
  readonly #processes: Processes;
  readonly #hands: Hands;
  readonly #meddler: Meddler;

  /** @param options See {@linkcode StrikesOptions}. */
  constructor({ scene, processes, hands, meddler }: StrikesOptions) {
    this.#scene = scene;
    this.#processes = processes;
    this.#hands = hands;
    this.#meddler = meddler;
  }

  /** Each kind strikes by chance from now on. */
  begin(): void {
    const scene = this.#scene;
    const { dice } = scene;
    for (const name of scene.faults) {
      if (name === "noise" || name === "no ip6tables") continue;
      const interval = dice.between(1_000, 15_000);
      const strike = () => {
        if (!scene.faulty) return;
        this.#strike(name);
        scene.time.after(interval * dice.between(0.05, 2), strike);
      };
      scene.time.after(dice.between(0, interval), strike);
    }
  }

  /** Something goes wrong, for a while. */
  #strike(name: FaultName): void {
    const scene = this.#scene;
    const { dice } = scene;
    const later = (ms: number, run: () => void) =>
      scene.time.after(ms, () => {
        if (scene.faulty) run();
      });
    switch (name) {
      case "drop":
        return scene.asterisk.drop();
      case "down":
      case "dark": {
        this.#setAsterisk(name);
        later(dice.between(100, 30_000), () => this.#setAsterisk("up"));
        return;
      }
      case "refuse":
        scene.trace("Asterisk refuses logins");
        scene.asterisk.refuses = true;
        if (dice.chance(0.7)) scene.asterisk.drop();
        later(dice.between(500, 20_000), () => scene.asterisk.refuses = false);
        return;
      case "commands":
        scene.programs.trouble = this.#chooseTrouble();
        scene.trace(`trouble: ${JSON.stringify(scene.programs.trouble)}`);
        later(dice.between(500, 15_000), () => scene.programs.trouble = { ...NO_TROUBLE });
        return;
      case "flush":
        return this.#meddler.flush();
      case "chain":
        return this.#meddler.deleteChain(later);
      case "jump":
        return this.#meddler.meddleWithWay(later);
      case "strangers":
        return this.#meddler.meddle();
      case "poison":
        // A refusal that ends lets the held changes in at the next try.
        scene.kernel.refused.add(dice.pick([...ATTACKERS, ...BY_HAND]));
        later(dice.between(1_000, 20_000), () => scene.kernel.refused.clear());
        return;
      case "disk":
        if (scene.sqlite && !this.#isWriting) return;
        scene.harmedAt = scene.time.now;
        scene.trace(`database: ${this.#harm()}`);
        later(dice.between(50, 15_000), () => {
          scene.trace("database: healed");
          scene.store.heal();
          // What the daemon owes it writes a while later; others may be quicker.
          if (scene.faults.has("hand") && dice.chance(0.5)) {
            this.#hands.addOrDelete(dice.pick(BY_HAND));
          }
        });
        return;
      case "hand":
        return this.#hands.handle();
      case "kill":
        if (this.#mayKill()) this.#processes.kill();
        return;
      case "restart":
        if (this.#mayKill()) this.#processes.restart();
        return;
      case "freeze":
        // Best between a challenge and its answer.
        if (dice.chance(0.6)) this.#freezeAtChallenge();
        else this.#freeze();
        return;
      case "wall clock":
        scene.wallOffset += dice.pick([
          -3_600_000,
          -5_000,
          -1_000,
          1_000,
          5_000,
          30_000,
          3_700_000,
        ]);
        scene.wallMoved = true;
        scene.trace(`the clock is set, to ${new Date(scene.wall()).toISOString()}`);
        return;
      case "reconfigure":
        return this.#reconfigure();
      case "residents":
        if (scene.config.backend !== "nftables") return;
        scene.residents.trouble = {
          feeder: dice.pick([0, 0.1, 0.5]),
          monitor: dice.pick([0, 0.05, 0.3]),
        };
        scene.residents.isMissing = dice.chance(0.05);
        scene.trace(`residents: ${JSON.stringify(scene.residents.trouble)}`);
        later(dice.between(500, 15_000), () => scene.residents.heal());
        return;
    }
  }

  #setAsterisk(state: AsteriskState): void {
    this.#scene.trace(`Asterisk: ${state}`);
    this.#scene.asterisk.setState(state);
  }

  #chooseTrouble(): Trouble {
    const { dice } = this.#scene;
    const some = () => dice.chance(0.4) ? dice.pick([0.1, 0.4, 0.9]) : 0;
    return { busy: some(), refuses: some(), hangs: some(), slow: some(), half: some() };
  }

  /**
   * The database is in trouble. With a file that is deleted goes what somebody wrote into it by
   * hand since the daemon looked last: nobody else knows of that.
   */
  #harm(): string {
    const scene = this.#scene;
    const harm = scene.store.harm(scene.dice);
    if (harm !== "deleted") return harm;
    const known = new Map(
      [...scene.process?.list.entries() ?? []].map(({ target, until }) => [target, until]),
    );
    for (const change of scene.byHand.values()) {
      const { target, until, present } = change;
      const isKnown = known.has(target) === present && known.get(target) === until;
      change.vague ||= !isKnown;
    }
    return harm;
  }

  /** A daemon runs, and would write a deleted file anew. */
  get #isWriting(): boolean {
    const process = this.#scene.process;
    return process !== undefined && !process.clock.frozen && !process.stop.signal.aborted &&
      process.list.trouble === undefined && process.list.pending === 0;
  }

  /**
   * A process is killed only when what it owes is known to the model: a deleted file is written
   * anew first.
   */
  #mayKill(): boolean {
    const scene = this.#scene;
    const list = scene.process?.list;
    if (list === undefined) return false;
    if (!scene.sqlite) return true;
    return list.trouble === undefined && list.pending === 0 &&
      scene.time.now - scene.harmedAt > 1_000;
  }

  #freezeAtChallenge(): void {
    const scene = this.#scene;
    scene.atChallenge = () => void scene.time.after(0.5, () => scene.faulty && this.#freeze());
  }

  #freeze(): void {
    const scene = this.#scene;
    const { dice } = scene;
    const ms = dice.pick([dice.between(10, 900), dice.between(1_000, 20_000)]);
    const clock = scene.process?.clock;
    if (clock === undefined || clock.frozen) return;
    scene.trace(`the daemon stands still for ${Math.round(ms)} ms`);
    clock.freeze();
    const timersFirst = dice.chance(0.5);
    scene.time.after(ms, () => {
      scene.trace("the daemon goes on");
      scene.requests.begin(scene.time.now, false);
      scene.pbxLog?.goesOn();
      clock.thaw(timersFirst);
    });
  }

  #reconfigure(): void {
    const scene = this.#scene;
    const { dice } = scene;
    const process = scene.process;
    if (process === undefined || process.clock.frozen) return;
    const config: Config = {
      ...scene.config,
      loyalty: dice.chance(0.3) ? dice.int(1, 4) : scene.config.loyalty,
      patience: dice.chance(0.3) ? dice.pick([0, 2, 5]) : scene.config.patience,
      trust: dice.chance(0.7)
        ? [...TRUSTED, ...[...ATTACKERS, ...PHONES].filter(() => dice.chance(0.15))]
        : scene.config.trust,
      port: dice.chance(0.2) ? scene.config.port + 1 : scene.config.port,
    };
    scene.trace(`reconfigured: ${JSON.stringify(config)}`);
    scene.config = config;
    scene.chooseStrict();
    const before = new Set(scene.model.blocks.keys());
    scene.model.setRules(rulesOf(config, scene.strict, scene.barred));
    for (const target of before) if (!scene.model.blocks.has(target)) scene.deleted.delete(target);
    process.daemon.reconfigure(config);
    process.daemon.table.recheckStrict();
    if (process.list.pending > 0) {
      for (const target of before) {
        if (!scene.model.blocks.has(target)) scene.unsaved.add(target);
      }
    }
  }
}
