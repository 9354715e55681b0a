/**
 * Who does what: phones, guessers and owners.
 *
 * @module
 */

import { type Step, Traffic } from "../traffic.ts";
import {
  AMONG_WALKED,
  ATTACKERS,
  BESIEGED,
  INSIDERS,
  OWNERS,
  PHONES,
  ROTATING,
  SLOW,
  TRUSTED,
  WALKED,
} from "./cast.ts";
import type { Hands } from "./hands.ts";
import type { Scene } from "./scene.ts";
import { SLOW_FORGET_SECONDS } from "./settings.ts";

/** When somebody logged in before the beginning: longer ago than a weekend. */
const LONG_AGO_MS = 73 * 3_600_000;

/** Has people do what they do. */
export class People {
  /** When the last deed that was begun is at its end. */
  performedAt = 0;
  readonly #scene: Scene;
  readonly #hands: Hands;
  /** Who has logged in long before the beginning. */
  readonly #knownOfOld = new Set<string>();

  /**
   * @param scene The world.
   * @param hands Who deletes blocks of the besieged.
   */
  constructor(scene: Scene, hands: Hands) {
    this.#scene = scene;
    this.#hands = hands;
  }

  /** Somebody logged in so long ago that the rows of their short blocks may grow. */
  remember(): void {
    const scene = this.#scene;
    const { dice } = scene;
    for (const address of BESIEGED) {
      if (!dice.chance(0.8)) continue;
      scene.store.remember(address, scene.wall() - LONG_AGO_MS);
      this.#knownOfOld.add(address);
    }
  }

  /**
   * All begin.
   *
   * @param duration How long they go on, in milliseconds.
   */
  begin(duration: number): void {
    const scene = this.#scene;
    const { dice } = scene;
    const some = <T>(things: readonly T[], share: number) =>
      things.filter(() => dice.chance(share));
    for (const address of some(ATTACKERS, 0.5)) {
      this.#act(() => scene.traffic.attack(address), dice.between(400, 8_000), duration);
    }
    for (const address of some(PHONES, 0.5)) {
      this.#act(() => scene.traffic.phone(address), dice.between(500, 8_000), duration);
      if (dice.chance(0.3)) {
        // The attacker forges the phone's address, or the phone has a wrong password.
        this.#act(() => scene.traffic.attack(address), dice.between(200, 2_000), duration);
      }
    }
    for (const address of some([...TRUSTED, "127.0.0.1"], 0.3)) {
      this.#act(() => scene.traffic.attack(address), dice.between(500, 4_000), duration);
    }
    for (const address of some(BESIEGED, 0.3)) {
      const over = dice.pick(["UDP", "TLS"]);
      if (!this.#knownOfOld.has(address)) {
        scene.time.after(50, () => this.perform(scene.traffic.login(address)));
      }
      // Each is too much, and the next one comes when nothing of this one is under way any more.
      const siege = () => scene.traffic.siege(address, over, 10 * scene.config.loyalty);
      const every = dice.between(2_100, 2_600);
      for (let at = 500; at < duration; at += every) {
        scene.time.after(at, () => this.perform(siege()));
        if (scene.faults.has("disk")) continue;
        scene.time.after(at - 300, () => scene.faulty && this.#hands.deleteBlocked([address]));
      }
    }
    for (const address of some(OWNERS, 0.2)) {
      this.#act(() => scene.traffic.owner(address), dice.between(200, 1_500), duration);
    }
    for (const network of some(ROTATING, 0.2)) {
      const hosts = dice.pick([4, 12]);
      this.#act(() => scene.traffic.rotating(network, hosts), dice.between(50, 400), duration);
      if (dice.chance(0.3)) continue;
      for (let host = 1; host <= hosts; host += dice.int(1, 6)) {
        const login = () => this.perform(scene.traffic.login(`${network}::${host.toString(16)}`));
        scene.time.after(dice.between(50, 2_000), login);
      }
    }
    this.#walk(duration);
    this.#dialInVain(duration);
    this.#guessInside(duration);
    if (scene.config.forget === SLOW_FORGET_SECONDS) this.#guessSlowly(duration);
    if (!scene.faults.has("noise")) return;
    const victims = [...PHONES, ...ATTACKERS, "192.0.2.79"];
    this.#act(() => scene.traffic.noise(dice.pick(victims)), dice.between(200, 3_000), duration);
    if (dice.chance(0.1)) this.#act(() => scene.traffic.endless(), 20_000, duration);
  }

  /** Somebody does what Asterisk tells in its log alone. */
  #dialInVain(duration: number): void {
    const { pbxLog, time } = this.#scene;
    if (pbxLog === undefined) return;
    const dice = pbxLog.dice;
    const end = time.now + duration;
    for (const address of [...ATTACKERS, ...PHONES, ...TRUSTED].filter(() => dice.chance(0.2))) {
      const interval = dice.between(500, 6_000);
      const next = () => {
        if (time.now >= end) return;
        pbxLog.untold(address);
        time.after(interval * dice.between(0.1, 2), next);
      };
      time.after(dice.between(100, interval), next);
    }
  }

  /** A scanner takes another address of its network for each few guesses. */
  #walk(duration: number): void {
    const scene = this.#scene;
    const { more } = scene;
    const traffic = new Traffic(more.fork());
    if (more.chance(0.2)) {
      const every = more.between(300, duration / WALKED.length);
      const over = more.pick(["UDP", "TLS", "TLS"]);
      for (const [i, address] of WALKED.entries()) {
        const guess = () => this.perform(traffic.siege(address, over, scene.config.loyalty));
        scene.time.after(200 + i * every, guess);
      }
    }
    if (more.chance(0.3)) {
      const login = () => this.perform(traffic.login(AMONG_WALKED));
      scene.time.after(more.between(100, duration), login);
    }
  }

  /** Who owns an account guesses at others; behind another address a phone has an old password. */
  #guessInside(duration: number): void {
    const { more, config } = this.#scene;
    if (config.credit === 0 || !more.chance(config.insider === "block" ? 0.4 : 0.1)) return;
    const traffic = new Traffic(more.fork());
    const [insider, ...others] = INSIDERS;
    this.#act(() => traffic.insider(insider!), more.between(200, 1_500), duration);
    for (const address of others) {
      this.#act(() => traffic.stale(address), more.between(200, 1_500), duration);
    }
  }

  /** Some guess so slowly that their points are forgotten each time. */
  #guessSlowly(duration: number): void {
    const { more, time } = this.#scene;
    const traffic = new Traffic(more.fork());
    for (const addresses of SLOW) {
      const every = more.between(2_050, 2_700);
      const over = more.pick(["UDP", "TLS"]);
      const account = more.pick(["21", undefined]);
      for (let at = 200, n = 0; at < duration; at += every, n++) {
        const address = addresses[n % addresses.length]!;
        const guess = () => this.perform(traffic.siege(address, over, 2, account));
        time.after(at, guess);
      }
      if (more.chance(0.7)) continue;
      time.after(more.between(100, duration), () => this.perform(traffic.login(addresses[0]!)));
    }
  }

  /** Somebody does something again and again. */
  #act(deed: () => Step[], interval: number, duration: number): void {
    const scene = this.#scene;
    const { dice } = scene;
    const end = scene.time.now + duration;
    const next = () => {
      if (scene.time.now >= end) return;
      this.perform(deed());
      scene.time.after(interval * dice.between(0.1, 2), next);
    };
    scene.time.after(dice.between(100, interval), next);
  }

  /** Asterisk reports what somebody does. */
  perform(steps: readonly Step[]): void {
    const scene = this.#scene;
    let at = 0;
    for (const [pause, ...said] of steps) {
      at += pause;
      scene.time.after(at, () => scene.asterisk.say(said));
    }
    this.performedAt = Math.max(this.performedAt, scene.time.now + at);
  }
}
