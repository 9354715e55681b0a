/**
 * The list of a daemon, and an ear at it: the model learns when the daemon looks at its clock, and
 * what the database did not take.
 *
 * @module
 */

import type { BlockList } from "../../../src/blocks/block_list.ts";
import type { WrittenBlockList } from "../../../src/blocks/written_block_list.ts";
import type { Scene } from "./scene.ts";
import { WorldError } from "./world_error.ts";

/**
 * Listens to a list.
 *
 * @param scene The world.
 * @param list The list of a daemon.
 * @returns The list that the daemon is to use.
 */
export function observe(scene: Scene, list: WrittenBlockList): BlockList {
  const unsaved = scene.unsaved;
  const model = scene.model;
  const note = (saved: boolean, targets: Iterable<string>) => {
    if (list.pending === 0) {
      unsaved.clear();
      clearPast(scene, list);
    } else if (!saved) { for (const target of targets) unsaved.add(target); }
    return saved;
  };
  return {
    get path() {
      return list.path;
    },
    get size() {
      return list.size;
    },
    get pending() {
      return list.pending;
    },
    get trouble() {
      return list.trouble;
    },
    get bornAt() {
      return list.bornAt;
    },
    get: (target) => list.get(target),
    all: () => list.all(),
    each: () => list.each(),
    entries: () => list.entries(),
    readRest: (now) => list.readRest(now),
    timesOf: (target) => list.timesOf(target),
    anyPast: () => list.anyPast(),
    standing: () => list.standing(),
    slow: () => {
      const rows = list.slow();
      if (rows !== undefined) model.restoreSlow(rows, scene.time.now, scene.wall());
      return rows;
    },
    saveSlow: (changes, now) => list.saveSlow(changes, now),
    add: (blocks, now) => {
      // It was asked before how often they were blocked, and may be in order behind this.
      const wasTroubled = list.trouble !== undefined;
      const saved = note(list.add(blocks, now), blocks.map((block) => block.target));
      model.settle();
      for (const { target, until } of blocks) {
        // It had ended meanwhile, and is blocked anew.
        scene.deleted.delete(target);
        const known = model.blocks.get(target);
        if (known === undefined && wasTroubled) model.blocks.decidedVaguely.add(target);
        // The trouble may have shown when it was asked how often this was blocked before.
        if (known !== undefined && list.trouble !== undefined && !known.byHand) known.vague = true;
        if (known?.vague) {
          const block = list.get(target);
          known.until = block === undefined ? until : block.until;
          known.times = block?.times ?? 1;
        }
      }
      return saved;
    },
    remove: (targets, now) => {
      for (const target of targets) {
        if (!model.blocks.has(target) || !model.isForHosts(target)) continue;
        if (!model.letGo(target)) throw new WorldError(`${target} is let go for nobody`);
      }
      return note(list.remove(targets, now), targets);
    },
    removeEnded: (now) => {
      const ended = list.removeEnded(now);
      for (const { target } of ended) {
        // Somebody had made it one for ever, and deleted that, while the daemon did not look.
        const isUnseen = scene.deleted.delete(target) && model.blocks.get(target)?.byHand;
        if (isUnseen) model.deleted(target);
      }
      if (list.pending > 0) { for (const { target } of ended) unsaved.add(target); }
      return ended;
    },
    saveEvidence: (evidence, now) => list.saveEvidence(evidence, now),
    savePoints: (put, gone, now) => {
      // As if the database could not be written just now.
      if (model.isAhead([...put.map(({ host }) => host), ...gone], scene.time.now)) return false;
      const isSaved = list.savePoints(put, gone, now);
      if (isSaved) model.keep(put, gone, scene.time.now, scene.wall());
      return isSaved;
    },
    points: () => {
      const stored = list.points();
      if (stored === undefined) return undefined;
      const logins = list.standing();
      model.restore(stored.map(({ host }) => host), logins, scene.time.now, scene.wall());
      return stored;
    },
    saveStanding: (entries, before, now) => list.saveStanding(entries, before, now),
    retry: (now) => {
      model.tick(scene.time.now, scene.wall());
      // What lapses by the clock the daemon has charged already, and blocked by what it could
      // know.
      for (const [target, known] of model.blocks) {
        const block = known.vague ? list.get(target) : undefined;
        if (block !== undefined) [known.until, known.times] = [block.until, block.times];
      }
      const saved = note(list.retry(now), []);
      if (scene.sqlite && list.trouble !== undefined) {
        for (const change of scene.byHand.values()) {
          change.vague ||= !change.present && !change.seen;
        }
      }
      return saved;
    },
    reload: (now) => {
      const change = list.reload(now);
      for (const target of change.removed) {
        if (scene.deleted.delete(target)) model.deleted(target);
        const change = scene.byHand.get(target);
        if (change !== undefined) change.seen = true;
      }
      return change;
    },
    close: (now) => list.close(now),
  };
}

/** All is written: what was not certain of the past is what the database holds. */
function clearPast(scene: Scene, list: WrittenBlockList): void {
  const model = scene.model;
  if (model.blocks.vaguePast.size === 0 || list.trouble !== undefined) return;
  const { history } = scene.store.read();
  for (const target of model.blocks.vaguePast) {
    // Its end may not be written before the daemon has seen it.
    if (list.get(target) === undefined) model.blocks.setPast(target, history.get(target));
  }
}
