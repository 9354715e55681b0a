/**
 * What people change by hand: `ampere -a` and `ampere -d`.
 *
 * @module
 */

import type { NewBlock } from "../../../src/blocks/database.ts";
import { BY_HAND } from "./cast.ts";
import type { Scene } from "./scene.ts";

const BLANK: Omit<NewBlock, "target" | "since" | "until"> = {
  reason: "added by hand",
  service: "",
  transport: "",
  account: "",
};

/** Changes the database. */
export class Hands {
  readonly #scene: Scene;

  /** @param scene The world. */
  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** `ampere -a` and `ampere -d`, at any moment or between two accesses of the daemon. */
  handle(): void {
    const scene = this.#scene;
    const { dice } = scene;
    const act = () => {
      if (dice.chance(0.3)) this.deleteBlocked([...scene.store.read().rows.keys()]);
      else this.addOrDelete(dice.pick(BY_HAND));
    };
    if (scene.sqlite && scene.time.now - scene.harmedAt < 1_000) return;
    if (dice.chance(0.5)) act();
    else if (dice.chance(0.3)) {
      const isWriting = () => (scene.process?.list.pending ?? 0) > 0;
      scene.store.between(() => this.#blockForEver(), dice.int(0, 2), false, isWriting);
    } else {
      const run = () => this.addOrDelete(dice.pick(BY_HAND));
      scene.store.between(run, dice.int(0, 5), dice.chance(0.7));
    }
  }

  /** Somebody blocks, or deletes, what takes no part otherwise. */
  addOrDelete(target: string): void {
    const scene = this.#scene;
    const { dice } = scene;
    const present = dice.chance(0.6);
    const until = present && dice.chance(0.3)
      ? scene.wall() + dice.int(1_000, 3_600_000)
      : undefined;
    const now = scene.wall();
    const worked = present
      ? scene.store.add({ ...BLANK, target, since: now, until }, now)
      : scene.store.delete(target);
    scene.trace(`by hand: ${present ? "-a" : "-d"} ${target} ${until ?? ""} ${worked}`);
    if (!worked) return;
    const row = scene.store.read().rows.get(target);
    // A daemon that stands still may not have seen yet that the file is gone.
    const { list, clock } = scene.process ?? {};
    const vague = scene.sqlite && !present && (list?.trouble !== undefined || !!clock?.frozen);
    scene.byHand.set(target, { target, until: row?.until, present, vague, seen: false });
  }

  /** Somebody blocks for ever what the daemon is just writing. */
  #blockForEver(): void {
    const scene = this.#scene;
    const now = scene.wall();
    const target = [...scene.model.blocks].findLast(([target, { until }]) =>
      !BY_HAND.includes(target) && !scene.deleted.has(target) && (until ?? Infinity) > now
    )?.[0];
    if (target === undefined) return;
    // What changes nothing in the file leaves the daemon's change as it is; -a says so.
    const row = scene.store.read().rows.get(target);
    const changes = row === undefined || row.until !== undefined;
    const worked = scene.store.add({ ...BLANK, target, since: now, until: undefined }, now);
    scene.trace(`by hand: -a ${target} while the daemon writes ${worked} ${changes}`);
    if (worked && changes) scene.model.blocks.blockedForEver(target);
  }

  /** Somebody deletes the block of an attacker. */
  deleteBlocked(targets: readonly string[]): void {
    const scene = this.#scene;
    const list = scene.process?.list;
    if (list === undefined || list.trouble !== undefined || list.pending > 0) return;
    // Whether a daemon that stands still counts it as a neighbour when it goes on is not known.
    if (scene.process?.clock.frozen && scene.config.neighbours !== 0) return;
    const blocked = targets.filter((target) =>
      !BY_HAND.includes(target) && scene.model.blocks.has(target) && !scene.unsaved.has(target) &&
      list.get(target) !== undefined
    );
    if (blocked.length === 0) return;
    const target = scene.dice.pick(blocked);
    if (!scene.store.delete(target)) return;
    scene.trace(`by hand: -d ${target}`);
    scene.deleted.add(target);
  }
}
