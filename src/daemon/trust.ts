/**
 * Whom the administrator trusts: the addresses, networks and names of the configuration and of the
 * file that it names. Nothing here waits for DNS.
 *
 * @module
 */

import { TrustedNames } from "../address/trusted_names.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import { TRUST_NAMES_MAX } from "../config/trust_file.ts";
import type { Log } from "../log.ts";
import type { TrustState } from "../telemetry/status.ts";
import { readAnswers, writeAnswers } from "./name_answers.ts";
import { TimedTrust } from "./timed_trust.ts";
import { WatchedTrustFile } from "./watched_trust_file.ts";
import { toWallTime } from "./wall_time.ts";

/** How often it is looked at the file and at what is due, in milliseconds. */
const LOOK_EVERY_MS = 1_000;

/** How often answers are written that have not changed but for their age, in milliseconds. */
const SAVE_EVERY_MS = 10 * 60_000;

/** What {@linkcode Trust} is made of. */
interface TrustParts {
  readonly log: Log;
  readonly clock: Clock;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Looks a name up; rejects when there is no answer. */
  readonly lookup: (name: string) => Promise<readonly string[]>;
  /** Where answers outlive a restart; `undefined` for nowhere. */
  readonly answersFile: string | undefined;
  /** Others are trusted now. */
  readonly changed: () => void;
}

/** Keeps the list of the trusted. */
export class Trust {
  readonly #parts: TrustParts;
  readonly #file: WatchedTrustFile;
  readonly #names: TrustedNames;
  readonly #timed: TimedTrust;
  #config: Config;
  #targets: readonly string[] = [];
  #lastLook = -Infinity;
  #lastSave = -Infinity;
  #saved = "";
  #isSaveTold = false;

  /**
   * Reads the file, and the answers of an earlier life.
   *
   * @param config Names whom to trust.
   * @param parts What it is made of.
   */
  constructor(config: Config, parts: TrustParts) {
    const { log, clock, lookup } = this.#parts = parts;
    this.#config = config;
    this.#file = new WatchedTrustFile(log);
    this.#timed = new TimedTrust(
      config.database,
      log,
      parts.wallClock(),
      parts.answersFile === undefined,
    );
    this.#names = new TrustedNames({
      lookup,
      everyMs: () => this.#config.trustLookup * 1_000,
      now: () => clock.now(),
      changed: () => this.#change(),
      info: (message) => log.info(message),
      warn: (message) => log.warn(message),
    });
    this.configure(config);
  }

  /** Canonical targets, each once. */
  get targets(): readonly string[] {
    return this.#targets;
  }

  /** What a person may want to know. */
  get state(): TrustState {
    const { path, trouble, targets, names } = this.#file;
    return {
      entries: this.#targets.length,
      file: path === undefined
        ? undefined
        : { path, entries: targets.length + names.length, trouble },
      timed: this.#timed.entries,
      names: this.#names.states().map((state) => ({
        ...state,
        answeredAt: state.answeredAt === undefined
          ? undefined
          : toWallTime(state.answeredAt, this.#parts),
      })),
    };
  }

  /**
   * Takes over a configuration, and reads the file again. The caller sees to what follows.
   *
   * @param config The new one.
   */
  configure(config: Config): void {
    this.#config = config;
    this.#file.open(config.trustFile);
    this.#timed.read(this.#parts.wallClock());
    this.#chooseNames();
    this.#gather();
    this.#lastLook = -Infinity;
  }

  /**
   * Trusts somebody for a time.
   *
   * @param target Canonical address or network.
   * @param until The end, in milliseconds since 1970; `undefined`: it ends now.
   * @param remark Who said so.
   * @returns Why not; `undefined` if it is done.
   */
  trustFor(target: string, until: number | undefined, remark: string): string | undefined {
    const problem = until === undefined
      ? this.#timed.remove(target)
      : this.#timed.add(target, until, remark, this.#parts.wallClock());
    if (problem === undefined) this.#change();
    return problem;
  }

  /** What is due: to be called often. */
  look(): void {
    const now = this.#parts.clock.now();
    if (now - this.#lastLook < LOOK_EVERY_MS) return;
    this.#lastLook = now;
    if (this.#file.look()) {
      this.#chooseNames();
      this.#change();
    }
    if (this.#timed.look(this.#parts.wallClock())) this.#change();
    this.#names.look();
    if (now - this.#lastSave >= SAVE_EVERY_MS) this.#save();
  }

  /** Ends it. */
  close(): void {
    this.#names.close();
    this.#save();
  }

  #chooseNames(): void {
    const names = [...new Set([...this.#config.trustNames, ...this.#file.names])];
    if (names.length > TRUST_NAMES_MAX) {
      this.#parts.log.warn(
        `trust: more than ${TRUST_NAMES_MAX} names: ${names[TRUST_NAMES_MAX]} and what follows ` +
          "are not trusted. Fix: write their addresses or networks",
      );
    }
    this.#names.set(names.slice(0, TRUST_NAMES_MAX));
    const { answersFile, clock } = this.#parts;
    if (answersFile === undefined || names.length === 0) return;
    // A clock that was wrong makes no answer older than it is.
    const ageOf = (at: number) => Math.max(0, this.#parts.wallClock() - at);
    this.#names.restore(
      readAnswers(answersFile).map((answer) => ({
        ...answer,
        answeredAt: clock.now() - ageOf(answer.answeredAt),
      })),
    );
  }

  #change(): void {
    this.#gather();
    this.#parts.changed();
    this.#save();
  }

  #gather(): void {
    this.#targets = [
      ...new Set([
        ...this.#config.trust,
        ...this.#file.targets,
        ...this.#names.addresses(),
        ...this.#timed.targets,
      ]),
    ];
  }

  #save(): void {
    const { answersFile, clock, log } = this.#parts;
    this.#lastSave = clock.now();
    const answers = this.#names.saved();
    if (answersFile === undefined || answers.length === 0) return;
    const text = JSON.stringify(answers);
    if (text === this.#saved) return;
    this.#saved = text;
    try {
      writeAnswers(
        answersFile,
        answers.map((answer) => ({
          ...answer,
          answeredAt: toWallTime(answer.answeredAt, this.#parts),
        })),
      );
    } catch (error) {
      if (this.#isSaveTold) return;
      this.#isSaveTold = true;
      log.warn(
        `trust: the addresses of names are not kept for the next start: ${answersFile}: ${
          error instanceof Error ? error.message : String(error)
        }`,
      );
    }
  }
}
