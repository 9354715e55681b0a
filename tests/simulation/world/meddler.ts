/**
 * Others change the firewall.
 *
 * @module
 */

import { FAMILIES } from "./cast.ts";
import type { Scene } from "./scene.ts";

/** Rules of others. */
const STRANGERS: Readonly<Record<4 | 6, readonly string[]>> = {
  4: [
    "-j ACCEPT",
    "-s 198.18.0.1/32 -j REJECT --reject-with icmp-port-unreachable",
    "-s 203.0.113.1/32 -j DROP",
    "-p tcp -m tcp --dport 22 -j ACCEPT",
  ],
  6: ["-j ACCEPT", "-s 2001:db8:77::1/128 -j REJECT --reject-with icmp6-port-unreachable"],
};

/** Rules that let packets in, if they stand before the jump. */
const LETS_IN = [
  "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "-p udp -m udp --dport 5060 -j ACCEPT",
  "-j ACCEPT",
];

/** Does something later, unless the faults are over by then. */
type Later = (ms: number, run: () => void) => void;

/** Meddles with the firewall. */
export class Meddler {
  readonly #scene: Scene;

  /** @param scene The world. */
  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** All rules of a family go, or its targets. */
  flush(): void {
    const scene = this.#scene;
    const { dice } = scene;
    const family = dice.pick(FAMILIES);
    scene.trace(`somebody flushes IPv${family}`);
    const rules = scene.kernel.chains[family];
    if (scene.config.backend === "ipset" && dice.chance(0.5)) {
      return scene.kernel.clearSet(scene.setName(family));
    }
    if (rules !== undefined) rules.length = 0;
    if (scene.config.backend === "ipset" && dice.chance(0.5)) {
      scene.kernel.sets.delete(scene.setName(family));
    }
  }

  /** A chain goes, and may come back. */
  deleteChain(later: Later): void {
    const scene = this.#scene;
    const { dice } = scene;
    const family = dice.pick(FAMILIES);
    if (scene.faults.has("no ip6tables") && family === 6) return;
    scene.trace(`somebody deletes the chain of IPv${family}`);
    scene.kernel.deleteChain(family);
    // Ampere makes it again, if it may.
    if (scene.config.jump.length > 0 && dice.chance(0.7)) return;
    later(dice.between(100, 15_000), () => {
      scene.trace(`the chain of IPv${family} comes back`);
      scene.kernel.chains[family] ??= [];
      if (dice.chance(0.7)) scene.kernel.makeJump(family);
    });
  }

  /** The jump is flushed away, or others are let in before it. */
  meddleWithWay(later: Later): void {
    const scene = this.#scene;
    const { dice } = scene;
    const family = dice.pick(FAMILIES);
    const input = scene.kernel.input[family];
    const rule = dice.pick([undefined, ...LETS_IN]);
    scene.trace(`somebody meddles with INPUT of IPv${family}: ${rule ?? "flushed"}`);
    if (rule === undefined) input.length = 0;
    else input.unshift(rule);
    if (scene.config.jump.length > 0 && dice.chance(0.7)) return;
    later(dice.between(100, 15_000), () => {
      scene.trace(`INPUT of IPv${family} is put right`);
      scene.kernel.makeJump(family);
    });
  }

  /** Single rules and targets come and go. */
  meddle(): void {
    const scene = this.#scene;
    const { dice } = scene;
    const family = dice.pick(FAMILIES);
    const rules = scene.kernel.chains[family];
    if (rules === undefined) return;
    scene.trace(`somebody meddles with IPv${family}`);
    const entries = scene.kernel.sets.get(scene.setName(family))?.entries;
    if (scene.config.backend === "ipset" && entries !== undefined && dice.chance(0.6)) {
      const targets = [...entries.keys()];
      if (targets.length > 0 && dice.chance(0.7)) entries.delete(dice.pick(targets));
      if (dice.chance(0.7)) {
        entries.set(family === 4 ? "198.18.0.9" : "2001:db8:9::9", { until: undefined });
      }
      return;
    }
    switch (dice.int(0, 2)) {
      case 0:
        return scene.kernel.addStranger(family, dice.pick(STRANGERS[family]));
      case 1:
        if (rules.length > 0) rules.splice(dice.int(0, rules.length - 1), 1);
        return;
      case 2:
        if (rules.length > 0) rules.push(dice.pick(rules));
    }
  }

  /** Somebody exchanges one target of a set for another: its size is the same. */
  exchange(): void {
    const scene = this.#scene;
    const entries = scene.kernel.sets.get(scene.setName(4))?.entries;
    if (entries === undefined || !scene.faults.has("strangers") || !scene.dice.chance(0.5)) return;
    const [some] = entries.keys();
    if (some === undefined) return;
    scene.trace(`somebody exchanges ${some}`);
    entries.delete(some);
    entries.set("198.18.0.8", { until: undefined });
  }
}
