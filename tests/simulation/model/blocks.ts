/**
 * Who is blocked, and was, as the model sees it.
 *
 * @module
 */

import { banTime, type Grounds, networkBanTime } from "./ban_time.ts";
import type { RuleBook } from "./rules.ts";

/** A block, as the model sees it. */
interface ModelBlock {
  /** Wall time of the end; `undefined`: never. */
  until: number | undefined;
  times: number;
  /**
   * How often it was blocked before was not known for certain when this was decided: the database
   * was in trouble.
   */
  vague: boolean;
  /** Somebody blocked it for ever: nothing that the daemon does without knowing counts. */
  readonly byHand?: boolean;
  /** It is a network that is blocked for its hosts. */
  readonly forHosts?: boolean;
}

/** The blocks by their targets. */
export class Blocks extends Map<string, ModelBlock> {
  /** How often those were blocked that are not now. */
  past = new Map<string, number>();
  /** Those of which that is not certain: the end of a block that was decided vaguely. */
  readonly vaguePast = new Set<string>();
  /** Whether the database is in trouble. */
  vague: () => boolean = () => false;
  /** What the daemon blocked without knowing the past, and the model has not come to yet. */
  readonly decidedVaguely = new Set<string>();
  readonly #rules: RuleBook;

  /** @param rules The rules. */
  constructor(rules: RuleBook) {
    super();
    this.#rules = rules;
  }

  /** What the database says of a target that is not blocked; `undefined`: nothing. */
  setPast(target: string, times: number | undefined): void {
    this.vaguePast.delete(target);
    if (times === undefined) this.past.delete(target);
    else this.past.set(target, times);
  }

  /**
   * Blocks a target, if it is not blocked.
   *
   * @param renews Whether it may take the place of a shorter block.
   * @returns Whether the block counts for the network around.
   */
  decide(
    target: string,
    grounds: Grounds,
    row: number,
    proven: boolean,
    wall: number,
    renews = false,
  ): boolean {
    const known = this.get(target);
    const isBlocked = known !== undefined && (known.until === undefined || known.until > wall);
    if (isBlocked && !renews) {
      this.#rules.visit("block: it is blocked already");
      return false;
    }
    this.#rules.visit(`grounds: ${grounds}`);
    this.#rules.visit(proven ? "proven" : "not proven");
    const before = known?.times ?? this.past.get(target) ?? 0;
    const ban = banTime(this.#rules, grounds, row, before, proven);
    const until = ban === undefined ? undefined : Math.floor(wall + Math.round(ban));
    if (isBlocked && (until ?? Infinity) <= (known.until ?? Infinity)) return false;
    if (isBlocked) {
      this.#rules.visit("block: a longer one takes the place of one for a guarded account");
    }
    const short = grounds === "single session" || grounds === "two phones"
      ? this.#rules.values.doubt > 0 && row < 2
      : !["attempts", "slow guesses", "slow account"].includes(grounds);
    if (short && before > 0) this.#rules.visit("block: a short one makes no later one longer");
    const times = short ? Math.max(before, 1) : before + 1;
    const vague = this.decidedVaguely.delete(target) || this.vague() ||
      this.vaguePast.has(target) || (known?.vague ?? false);
    this.set(target, { until, times, vague });
    return proven && !short;
  }

  /** Blocks a network for its hosts. */
  decideNetwork(network: string, wall: number): void {
    const known = this.get(network);
    const before = known?.times ?? this.past.get(network) ?? 0;
    this.#rules.visit(
      before > 0
        ? "neighbours: and again, for twice as long"
        : "neighbours: a network is blocked for its hosts",
    );
    const until = Math.floor(wall + Math.round(networkBanTime(this.#rules, before)));
    const vague = this.decidedVaguely.delete(network) || this.vague() ||
      this.vaguePast.has(network) || (known?.vague ?? false);
    this.set(network, { until, times: before + 1, vague, forHosts: true });
  }

  /** Somebody blocked for ever, by hand, what is blocked. Nothing is vague of that. */
  blockedForEver(target: string): void {
    this.#rules.visit("block: for ever by hand");
    const { times } = this.get(target)!;
    this.set(target, { until: undefined, times, vague: false, byHand: true });
  }

  /** The target is not blocked, and never was. */
  pardon(target: string): void {
    this.delete(target);
    this.setPast(target, undefined);
  }

  /** Ends what ends by the clock. */
  end(wall: number): void {
    for (const [target, { until, times, vague }] of this) {
      if (until === undefined || until > wall) continue;
      this.#rules.visit("block: ends");
      this.delete(target);
      this.setPast(target, times);
      if (vague) this.vaguePast.add(target);
    }
  }
}
