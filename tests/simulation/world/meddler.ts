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
    if (scene.config.backend === "nftables") {
      return this.#orWhileBusy(() => this.#takeOut(), dice.chance(0.3));
    }
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
    if (scene.config.backend === "nftables") {
      const isBusy = dice.chance(0.5);
      return this.#orWhileBusy(() => this.#deleteTable(isBusy), isBusy);
    }
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
    if (scene.config.backend === "nftables") return this.#addRule();
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
    if (scene.config.backend === "nftables") {
      const isBusy = dice.chance(0.5);
      return this.#orWhileBusy(() => this.#exchangeElements(isBusy), isBusy);
    }
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

  // Of nftables

  /** At once, or as soon as `nft -i` has a change under way. */
  #orWhileBusy(act: () => void, isBusy: boolean): void {
    const scene = this.#scene;
    if (!isBusy) return act();
    scene.residents.whileBusy = () => {
      if (scene.faulty) act();
    };
  }

  #deleteTable(isBusy: boolean): void {
    const { kernel: { nft }, config } = this.#scene;
    if (!nft.isThere) return;
    this.#scene.meet(isBusy ? "table: deleted while a change is under way" : "table: deleted");
    nft.transact(`delete table inet ${config.chain}`);
  }

  /** The whole table, a set, a chain; or it is switched off. */
  #takeOut(): void {
    const { kernel: { nft }, dice, config } = this.#scene;
    if (!nft.isThere) return;
    const family = dice.pick(FAMILIES);
    switch (dice.int(0, 3)) {
      case 0:
        return this.#deleteTable(false);
      case 1:
        this.#scene.meet("table: dormant");
        return nft.sleep();
      case 2: {
        const some = nft.someKeys(new RegExp(`^(hosts|networks|near|pass)${family}`));
        if (some === undefined) return;
        this.#scene.meet("table: a set emptied");
        return void nft.transact(`flush set inet ${config.chain} ${some.set}`);
      }
      case 3: {
        this.#scene.meet("table: a chain emptied");
        const chain = dice.pick(["incoming", `from${family}`, `networks${family}`]);
        return void nft.transact(`flush chain inet ${config.chain} ${chain}`);
      }
    }
  }

  #exchangeElements(isBusy: boolean): void {
    const { kernel: { nft }, dice, config } = this.#scene;
    const family = dice.pick(FAMILIES);
    const some = nft.someKeys(new RegExp(`^(hosts|networks)${family}`));
    if (some !== undefined && dice.chance(0.7)) {
      this.#scene.meet(
        isBusy
          ? "table: an element deleted while a change is under way"
          : "table: an element deleted",
      );
      const key = dice.pick(some.keys);
      nft.transact(`delete element inet ${config.chain} ${some.set} { ${key} }`);
    }
    if (!nft.isThere || !dice.chance(0.5)) return;
    this.#scene.meet("table: an element added");
    const strange = family === 4 ? "198.18.0.9" : "2001:db8:9::9";
    nft.transact(`add element inet ${config.chain} hosts${family} { ${strange} }`);
  }

  #addRule(): void {
    const { kernel: { nft }, dice, config } = this.#scene;
    if (!nft.isThere) return;
    this.#scene.meet("table: a rule of others");
    const chain = dice.pick(["incoming", "from4", "from6", "networks4", "networks6"]);
    const rule = dice.pick(["accept", "counter accept"]);
    const verb = dice.pick(["add", "insert"]);
    nft.transact(`${verb} rule inet ${config.chain} ${chain} ${rule}`);
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
