/**
 * Keeps the lists in the kernel equal to what they are to be, whatever fails.
 *
 * @module
 */

import { retryDelay } from "../../backoff.ts";
import type { Clock } from "../../clock.ts";
import type { Action } from "../../config/config.ts";
import { formatCount } from "../../text/table.ts";
import type { Failure } from "../failure.ts";
import type { FirewallLog } from "../trouble.ts";
import type { Gap } from "../nftables/gap.ts";
import type { KernelList, ListBackend, ListCount } from "./backend.ts";

/** Delays before a change that has failed is tried again, in milliseconds. */
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/** How often it is looked what lists have refused, in milliseconds. */
const COUNT_EVERY_MS = 30_000;

/** The same when it was heard that others have changed something: they may go on doing so. */
const DAMAGE_EVERY_MS = 5_000;

/** What {@linkcode KernelLists} is made of. */
interface KernelListParts {
  readonly backend: ListBackend;
  readonly log: Pick<FirewallLog, "info" | "warn" | "error">;
  readonly clock: Clock;
  /** Time between two looks, in milliseconds. */
  readonly verifyMs: number;
}

/** Lists in the kernel. */
export class KernelLists {
  readonly #parts: KernelListParts;
  #lists: readonly KernelList[] = [];
  #pass: readonly string[] = [];
  #gap: Gap | undefined;
  /** What is known to be in the kernel. */
  #inForce: readonly KernelList[] | undefined;
  #isPassRight = false;
  #counts: ReadonlyMap<string, ListCount> = new Map();
  #trouble: Failure | undefined;
  #failures = 0;
  #isBusy = false;
  #isClosed = false;
  #cancel = () => {};
  #lookedAt = -Infinity;
  #isDamaged = false;

  /** @param parts See {@linkcode KernelListParts}. */
  constructor(parts: KernelListParts) {
    this.#parts = parts;
    parts.backend.onDamage = () => this.#isDamaged = true;
  }

  /** The names of the lists that are in force. */
  get inForce(): readonly string[] {
    return (this.#inForce ?? []).map(({ name }) => name);
  }

  /** What lists have refused, as of the last look, by name. */
  get counts(): ReadonlyMap<string, ListCount> {
    return this.#counts;
  }

  /** Why they are not as they should be; `undefined` if they are. */
  get trouble(): Failure | undefined {
    return this.#trouble;
  }

  /**
   * Sets what is to be in the kernel.
   *
   * @param lists All lists.
   * @param pass Who is never refused for them; canonical targets.
   * @param gap What passes of all others.
   */
  set(lists: readonly KernelList[], pass: readonly string[], gap?: Gap): void {
    if (JSON.stringify(gap) !== JSON.stringify(this.#gap)) this.#inForce = undefined;
    this.#gap = gap;
    this.#lists = lists;
    this.setPass(pass);
  }

  /** Sets who is never refused. */
  setPass(pass: readonly string[]): void {
    if (pass.join() !== this.#pass.join()) this.#isPassRight = false;
    this.#pass = pass;
    this.#pump();
  }

  /** Refuses by another action. */
  refuseBy(action: Action): void {
    this.#parts.backend.action = action;
    if (this.#lists.length === 0) return;
    this.#inForce = undefined;
    this.#pump();
  }

  /** Looks, if it is time to: to be called often. */
  look(): void {
    const { clock, verifyMs } = this.#parts;
    const now = clock.now();
    const everyMs = Math.min(verifyMs, this.#isDamaged ? DAMAGE_EVERY_MS : COUNT_EVERY_MS);
    if (now - this.#lookedAt < everyMs || this.#isBusy) return;
    this.#lookedAt = now;
    this.#isDamaged = false;
    if (this.#lists.length > 0 && this.#failures === 0) void this.#verify();
  }

  /** Others have changed the firewall: looks at once, or as soon as the work that is done ends. */
  lookAtOnce(): void {
    this.#lookedAt = -Infinity;
    this.look();
  }

  /** Ends the work; the lists stay in the kernel. */
  close(): void {
    this.#isClosed = true;
    this.#cancel();
    this.#parts.backend.close();
  }

  get #isRight(): boolean {
    const there = this.#inForce;
    return there !== undefined && this.#isPassRight && there.length === this.#lists.length &&
      this.#lists.every((list, i) => isSame(list, there[i]!));
  }

  #pump(): void {
    if (this.#isBusy || this.#isClosed || this.#isRight || this.#failures > 0) return;
    void this.#work();
  }

  async #work(): Promise<void> {
    this.#isBusy = true;
    const { backend, log, clock } = this.#parts;
    const [lists, pass] = [this.#lists, this.#pass];
    const isPassAlone = this.#inForce !== undefined && lists.length === this.#inForce.length &&
      lists.every((list, i) => isSame(list, this.#inForce![i]!));
    const begin = clock.now();
    const gap = this.#gap;
    const failure = isPassAlone
      ? await backend.setPass(pass)
      : await backend.replace(lists, pass, gap);
    this.#isBusy = false;
    if (this.#isClosed) return;
    if (failure === undefined) {
      if (this.#failures > 0) log.info("the lists of feeds are in the kernel again");
      if (!isPassAlone && lists.length > 0) {
        const names = lists.map(({ name, set }) => `${name} (${formatCount(set.size)})`);
        log.info(
          `the kernel refuses who is on the lists ${names.join(", ")}; made in ${
            ((clock.now() - begin) / 1_000).toFixed(1)
          } s`,
        );
      }
      this.#failures = 0;
      this.#trouble = undefined;
      // What has changed meanwhile is to be made, too.
      this.#inForce = gap === this.#gap ? lists : undefined;
      this.#isPassRight = pass.join() === this.#pass.join();
      return this.#pump();
    }
    const { message, advice } = failure;
    // What has to be taken away may not be there at all, like the chain; who blocks tells of that.
    if (lists.length > 0 && message !== this.#trouble?.message) {
      log.error(
        `the lists of feeds are not in the kernel as they should be: ${message}. ${
          advice === "" ? "It is tried again" : `Fix: ${advice}`
        }`,
      );
    }
    this.#trouble = lists.length > 0 ? failure : undefined;
    this.#inForce = undefined;
    this.#failures++;
    this.#cancel = clock.after(
      retryDelay(this.#failures, RETRY_FIRST_MS, RETRY_MAX_MS),
      () => void this.#work(),
    );
  }

  async #verify(): Promise<void> {
    this.#isBusy = true;
    const look = await this.#parts.backend.look();
    this.#isBusy = false;
    if (this.#isClosed) return;
    if (look.ok) {
      this.#counts = look.counts;
      if (!look.whole && this.#inForce !== undefined) {
        this.#parts.log.warn(
          "somebody else has changed what refuses the hosts of feeds: it is made anew",
        );
        this.#inForce = undefined;
      }
    }
    this.#pump();
  }
}

function isSame(a: KernelList, b: KernelList): boolean {
  return a.name === b.name && a.set === b.set && String(a.ports) === String(b.ports);
}
