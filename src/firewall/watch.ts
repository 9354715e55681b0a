/**
 * Whether the blocks of one family are in force: judges again and again, tells when that changes,
 * and lets the way to the chain be mended.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import type { Clock } from "../clock.ts";
import type { Family } from "../address/address.ts";
import { type Failure, type FailureKind, isLasting } from "./failure.ts";
import { type AsteriskPlace, HERE } from "./asterisk_place.ts";
import { adviseAt, IN_FORCE_WORDS, judgeFailure, type Judgement, judgePlace } from "./judgement.ts";
import type { Targets } from "./path.ts";
import type { Damage } from "./status.ts";
import type { FirewallLog } from "./trouble.ts";
import { counted } from "../text/table.ts";
import type { Way } from "./way.ts";

/** After so many failed commands in a row it isn't known any more what the kernel holds. */
const UNKNOWN_AFTER_FAILURES = 3;

/**
 * While blocks are not in force it is looked again after this time, in milliseconds; it doubles.
 */
const LOOK_FIRST_MS = 1_000;

/**
 * At the start the look waits so long, in milliseconds: what Asterisk tells first of all may be
 * blocks, which would wait for the look. A jump of Ampere's own does not wait.
 */
const FIRST_LOOK_MS = 250;

/** The longest time until it is looked again, in milliseconds, unless looks take long. */
const LOOK_MAX_MS = 8_000;

/** Looks take no larger part of the time than one of so many. */
const LOOK_SHARE = 100;

/** Causes that Ampere can only wait for. */
const PASSING: ReadonlySet<string> = new Set<FailureKind>(["busy", "timed-out", "refused"]);

/** A judgement that is due waits for at most so many changes. */
const JUDGED_AFTER_CHANGES = 20;

/** The cause of a judgement: others have changed the firewall. Ampere mends it at once. */
export const DAMAGED = "damaged";

/** Most targets that are named as waiting. */
const WAITING_NAMED_MAX = 3;

/** A change of what is judged, for those who are told. */
export interface ForceChange {
  /** What holds from now on. */
  readonly judgement: Judgement;
  /** Whether blocks were in force at some time since the start. */
  readonly hadForce: boolean;
}

/** What a {@linkcode Watch} needs. */
interface WatchOptions {
  /** Takes the messages. */
  readonly log: FirewallLog;
  /** The time. */
  readonly clock: Clock;
  /** All that is to be blocked. */
  readonly blocked: Targets;
  /** How many blocks the firewall refuses to take. */
  readonly refused: () => number;
  /** How many blocks the kernel holds. */
  readonly held: () => number;
  /** Told when blocks come into force, or are not any more. */
  readonly onForce: (change: ForceChange) => void;
  /** Told when others have taken out blocks, or what holds them. */
  readonly onDamage: (damage: Damage) => void;
}

/** Judges one family. */
export class Watch {
  /** How often others have taken out blocks, or what holds them. */
  flushes = 0;
  /** Where Asterisk is, for a firewall without a way; such a one is judged by it. */
  place: AsteriskPlace = HERE;
  readonly #family: Family;
  readonly #way: Way | undefined;
  readonly #options: WatchOptions;
  /** Called when it is to be judged again. */
  readonly #wake: () => void;
  #judgement: Judgement | undefined;
  /** Since when blocks are not in force; `undefined` as long as they are. */
  #lostAt: number | undefined;
  #hadForce = false;
  /** The log says that blocks are not in force. */
  #isSaid = false;
  #isDue = false;
  /** Others have changed the firewall since blocks were in force. */
  #isDamaged = false;
  /** How many changes went before the judgement that is due. */
  #passedOver = 0;
  #looks = 0;
  /** How long the last look took, in milliseconds. */
  #lookMs = 0;
  #cancelLook: (() => void) | undefined;
  #madeInVain = 0;
  /** How many looks in a row saw nothing. */
  #unseen = 0;
  /** Chains that are not there, of which it was told. */
  #saidMissing = "";

  /**
   * Nothing is known yet.
   *
   * @param family Which addresses.
   * @param way The way to the chain; without one only failures are judged.
   * @param options Who is told.
   * @param wake Called when it is to be judged again.
   */
  constructor(
    family: Family,
    way: Way | undefined,
    options: WatchOptions,
    wake: () => void,
  ) {
    this.#family = family;
    this.#way = way;
    this.#options = options;
    this.#wake = wake;
  }

  /** What was judged last; `undefined` before the first look. */
  get judgement(): Judgement | undefined {
    return this.#judgement;
  }

  /** Whether it is to be judged now. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** Lets the first look, if it still waits, be made now: the end is near. */
  hurry(): void {
    if (this.#judgement !== undefined || this.#cancelLook === undefined) return;
    this.#cancelLook();
    this.#cancelLook = undefined;
    this.#isDue = true;
  }

  /**
   * Whether to judge next. New blocks come first, but not for ever; what is missing in the kernel
   * always does.
   *
   * @param isQuiet Whether nothing else is to be done.
   * @param repairs How many blocks are missing in the kernel.
   */
  isNext(isQuiet: boolean, repairs: number): boolean {
    if (!this.#isDue) return false;
    return isQuiet || (repairs === 0 && ++this.#passedOver > JUDGED_AFTER_CHANGES);
  }

  /** Whether Ampere makes the chain. */
  get makesChain(): boolean {
    return this.#way !== undefined && this.#way.settings.jump.length > 0;
  }

  /** How many times the chain was made since the way to it was looked at. */
  get madeInVain(): number {
    return this.#madeInVain;
  }

  /**
   * Lets a failure advise what helps where Asterisk is.
   *
   * @param failure The failure.
   */
  advise(failure: Failure): Failure {
    return this.#way === undefined ? failure : adviseAt(failure, this.#way.settings.place);
  }

  /** Demands a judgement, as soon as what the list wants is done. */
  demand(): void {
    if (this.#judgement !== undefined || this.#way === undefined || this.makesChain) {
      this.#isDue = true;
    } else this.#lookAfter(FIRST_LOOK_MS);
  }

  /**
   * Makes the chain, which Ampere may.
   *
   * @returns Why it is not there; nothing if it is.
   */
  async makeChain(): Promise<Failure | undefined> {
    const made = await this.#way?.makeChain();
    if (typeof made === "object") return made;
    this.#madeInVain += 1;
    if (made === "made" && !this.#way!.isDry) {
      this.#options.log.info(`IPv${this.#family}: the chain was made (jump = ${this.#jump})`);
    }
    return undefined;
  }

  /** Judges, and mends what may be mended. What cannot be judged is tried again, and told. */
  async judge(): Promise<void> {
    this.#isDue = false;
    this.#passedOver = 0;
    this.#madeInVain = 0;
    if (this.#way === undefined) {
      const judgement = judgePlace(this.#family, this.place);
      if (judgement.inForce === "no") return this.#note(judgement);
      const refused = this.#options.refused();
      return this.#note(refused > 0 ? this.#withRefused(judgement, refused) : judgement, true);
    }
    const failure = await this.#lookAndMend(this.#way);
    if (failure === undefined) this.#unseen = 0;
    else await this.#notSeen(failure, this.#way);
  }

  /** Tells why nothing could be judged. */
  async #lookAndMend(way: Way): Promise<Failure | undefined> {
    const start = this.#options.clock.now();
    let seen = await way.look(this.#options.blocked);
    this.#lookMs = this.#options.clock.now() - start;
    if (seen.ok && seen.broken.length > 0) {
      // Who has heard that they are not in force, or of nothing yet, need not hear why they still
      // are not.
      if (this.#judgement?.inForce === "yes") this.#note({ ...seen.judgement, advice: "" });
      for (const hook of seen.broken) {
        const failure = await way.putJump(hook);
        if (failure?.kind === "refused") return this.#notPut(hook, failure, seen.judgement);
        if (failure !== undefined) return failure;
        if (way.isDry) continue;
        this.#options.log.info(
          `IPv${this.#family}: ${hook} asks the chain first now (jump = ${this.#jump})`,
        );
      }
      seen = await way.look(this.#options.blocked);
    }
    if (!seen.ok) return seen.failure;
    this.#tellMissing(seen.missing);
    const refused = seen.judgement.inForce === "yes" ? this.#options.refused() : 0;
    // Why was told of each of them.
    if (refused > 0) this.#note(this.#withRefused(seen.judgement, refused), true);
    else this.#note(seen.judgement);
    if (seen.missing.length > 0 || this.#judgement?.inForce !== "yes") this.#lookLater();
    return undefined;
  }

  /** The way is as it should be, but not all blocks are at its end. */
  #withRefused(judgement: Judgement, refused: number): Judgement {
    const message = `the firewall refuses ${counted(refused, "block")}`;
    return {
      ...judgement,
      inForce: this.#options.held() > 0 ? "partly" : "no",
      cause: "refused block",
      message,
      brief: message,
      advice: 'the log says why: grep -E "could not be blocked|refuses" /var/log/ampere.log',
    };
  }

  /** What was seen holds on: the jump is refused. */
  #notPut(hook: string, failure: Failure, judgement: Judgement): undefined {
    const why = `the jump in ${hook} could not be made: ${judgeFailure(failure).message}`;
    const message = judgement.inForce === "yes" ? why : `${judgement.message}; ${why}`;
    this.#note({ ...judgement, message });
    this.#lookLater();
  }

  /**
   * The chain may be as it should be, while the way to it is not to be seen: it is looked at again
   * and again, but that keeps no block from the chain.
   */
  async #notSeen(failure: Failure, way: Way): Promise<void> {
    if (failure.kind === "aborted") return;
    if (failure.kind === "unreadable" && this.makesChain && !way.isDry) await way.keepJumps();
    this.#unseen += 1;
    const mayPass = failure.kind === "busy" || failure.kind === "timed-out" ||
      failure.kind === "no-chain";
    if (!mayPass || this.#unseen >= UNKNOWN_AFTER_FAILURES) {
      this.#note(unseen(judgeFailure(failure), "whether packets come to the chain"));
    }
    this.#lookLater();
  }

  /**
   * Notes that a command failed.
   *
   * @param failure Why.
   * @param inARow How many failed in a row.
   * @param isTold Whether the log has it already.
   * @param waiting The targets of new blocks that wait.
   * @param isLook Whether it was to tell what there is.
   */
  failed(
    failure: Failure,
    inARow: number,
    isTold: boolean,
    waiting: readonly string[],
    isLook: boolean,
  ): void {
    const { kind } = failure;
    const isGone = kind === "no-chain" || kind === "no-set";
    // A change that is refused says nothing of the others; a look that is, whyever, sees none.
    const isBlind = kind === "busy" || kind === "timed-out" || (isLook && kind !== "aborted");
    if (!isLasting(failure) && !isGone && !(isBlind && inARow >= UNKNOWN_AFTER_FAILURES)) {
      if (isTold) this.#notMended(failure);
      return;
    }
    const advice = failure.kind === "no-chain" && this.makesChain ? "" : failure.advice;
    const before = this.#judgement;
    const judgement = judgeFailure({ ...failure, advice });
    // That a look failed was told, but not that nobody knows any more what is in force.
    const isUntold = isLook && isBlind && !isLasting(failure) && !isGone;
    if (isUntold) this.#note(unseen(judgement, "what the firewall holds"));
    else this.#note(judgement, isTold);
    // Without a way nothing else is told of it than that the firewall works again.
    if (this.#way === undefined) return;
    if (isTold && isLasting(failure)) this.#isSaid = true;
    if (failure.kind === "no-chain") this.#lookLater();
    if (before?.cause === failure.kind) return;
    const level = this.#family === 4 ? "warn" : "info";
    if (waiting.length > 0 && isGone) {
      const named = waiting.slice(0, WAITING_NAMED_MAX).join(", ");
      const rest = waiting.length - WAITING_NAMED_MAX;
      this.#options.log[level](
        `not blocked yet: ${named}${rest > 0 ? ` and ${rest} more` : ""}`,
      );
    }
  }

  /**
   * Notes what others have done; that is mended now, and then it is judged again. The log has it
   * already.
   *
   * @param damage What they have done.
   * @param isEndTold Whether the log is to say when it is mended: where it is noticed at once, that
   * tells for how long nobody was kept out.
   */
  damaged(damage: Damage, isEndTold: boolean): void {
    const before = this.#judgement;
    const isNew = !this.#isDamaged;
    this.#isDamaged = true;
    // Why they were not in force is still true.
    if (before === undefined || before.inForce === "yes") this.#noteDamage(damage, isEndTold);
    if (!isNew) return;
    this.flushes += 1;
    this.#options.onDamage(damage);
  }

  #noteDamage({ family, inForce, message }: Damage, isEndTold: boolean): void {
    const text = `others changed the firewall, and Ampere mends it: ${message}`;
    if (isEndTold) this.#isSaid = true;
    this.#note({
      family,
      inForce,
      cause: DAMAGED,
      message: text,
      brief: "others changed the firewall",
      advice: "",
    }, true);
  }

  /** What others have done is still done: why is told, in place of what it is. */
  #notMended(failure: Failure): void {
    const before = this.#judgement;
    if (before?.cause !== DAMAGED) return;
    this.#note({ ...judgeFailure(failure), inForce: before.inForce }, true);
  }

  /** Ends the use: looks no more. */
  close(): void {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    this.#way?.close();
  }

  get #jump(): string {
    return this.#way?.settings.jump.join(",") ?? "";
  }

  /** Takes over a judgement, and tells what has changed. */
  #note(judgement: Judgement, isTold = false): void {
    const before = this.#judgement;
    this.#judgement = judgement;
    const { log, clock, onForce } = this.#options;
    if (judgement.inForce === "yes") {
      this.#hadForce = true;
      this.#isDamaged = false;
      this.#cancelLook?.();
      this.#cancelLook = undefined;
      this.#looks = 0;
      if (this.#lostAt === undefined) return;
      const lostMs = clock.now() - this.#lostAt;
      const seconds = (lostMs / 1_000).toFixed(lostMs < 1_000 ? 3 : 1);
      this.#lostAt = undefined;
      if (this.#isSaid) {
        log.info(
          `IPv${this.#family}: blocks are in force again, ${seconds} s after it was noticed`,
          { event: "firewall-restored", family: this.#family },
        );
      }
      this.#isSaid = false;
      onForce({ judgement, hadForce: true });
      return;
    }
    this.#lostAt ??= clock.now();
    if (before?.inForce === judgement.inForce && before.cause === judgement.cause) return;
    if (before === undefined || before.inForce !== judgement.inForce) {
      onForce({ judgement, hadForce: this.#hadForce });
    }
    if (isTold) return;
    this.#isSaid = true;
    const fix = fixOf(judgement.advice);
    const doing = judgement.advice !== "" || !this.makesChain
      ? ""
      : PASSING.has(judgement.cause)
      ? ". Ampere tries it again"
      : `. Ampere mends it (jump = ${this.#jump})`;
    const text = `IPv${this.#family}: blocks are ${IN_FORCE_WORDS[judgement.inForce]}: ` +
      `${judgement.message}${doing}. They stay in the list${fix}`;
    const { inForce, message: reason, advice } = judgement;
    const fields = { event: "firewall-lost", family: this.#family, inForce, reason, advice };
    log[this.#family === 4 ? "error" : "warn"](text, fields);
  }

  #tellMissing(missing: readonly string[]): void {
    const names = missing.join(", ");
    if (names === this.#saidMissing) return;
    this.#saidMissing = names;
    if (names === "") return;
    const level = this.#family === 4 ? "warn" : "info";
    this.#options.log[level](
      `IPv${this.#family}: there is no chain ${names} yet: the jump is put there when there is ` +
        `(jump = ${this.#jump})`,
    );
  }

  /** While blocks are not in force, looks by interval come too late. */
  #lookLater(): void {
    if (this.#cancelLook !== undefined || this.#way === undefined) return;
    const delay = LOOK_FIRST_MS * 2 ** this.#looks++;
    this.#lookAfter(Math.min(delay, Math.max(LOOK_MAX_MS, LOOK_SHARE * this.#lookMs)));
  }

  #lookAfter(delay: number): void {
    this.#cancelLook ??= this.#options.clock.after(delay, () => {
      this.#cancelLook = undefined;
      this.#isDue = true;
      this.#wake();
    });
  }
}

/** What cannot be seen is not told as in force. */
function unseen(judgement: Judgement, what: string): Judgement {
  return { ...judgement, message: `it cannot be seen ${what}: ${judgement.message}` };
}
