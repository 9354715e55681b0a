/**
 * What is taken away again of the points of a host: by its login, or because a further block is
 * forborne.
 *
 * @module
 */

import type { SecurityEvent } from "../ami/event.ts";
import { type AccountGuard, guardKey } from "./account_guard.ts";
import { ATTEMPT_POINTS, type Attempts } from "./attempts.ts";
import type { FailedAccounts } from "./failed_accounts.ts";
import { Forgiveness } from "./forgiveness.ts";
import { keyText } from "./host_key.ts";
import { FAILED_SESSION, type Hosts, MAYBE_STANDING, NO_SESSION, POINTS, SOFT } from "./hosts.ts";
import type { NetworkFailures } from "./network_failures.ts";
import type { PenaltyPolicy } from "./policy.ts";

/** Where the points are. */
interface PardonParts {
  readonly hosts: Hosts;
  readonly attempts: Attempts;
  readonly accountsFailed: FailedAccounts;
  readonly networkFailures: NetworkFailures;
  readonly guard: AccountGuard;
}

/** Whose they are: the ledger. */
interface Owner {
  readonly policy: PenaltyPolicy;
  settle(host: number): void;
  remove(host: number): void;
}

/** Takes points away. */
export class Pardons {
  readonly #parts: PardonParts;
  readonly #owner: Owner;
  readonly #forgiveness = new Forgiveness(ATTEMPT_POINTS);

  /**
   * Nobody was forgiven anything yet.
   *
   * @param parts Where the points are.
   * @param owner Whose they are.
   */
  constructor(parts: PardonParts, owner: Owner) {
    this.#parts = parts;
    this.#owner = owner;
  }

  /**
   * A login from a host forgives its unanswered challenges, its failures on that account, and so
   * many others as are forgiven in a day.
   *
   * @param host Its record.
   * @param network The IPv6 network with which it is counted, if there is one.
   * @returns The points that it had.
   */
  forgive(host: number, event: SecurityEvent, network: string | undefined, now: number): number {
    const { accountsFailed, networkFailures, guard, hosts: { records } } = this.#parts;
    const before = records.get(host, POINTS);
    if (records.get(host, FAILED_SESSION) === NO_SESSION) {
      this.#owner.remove(host);
      return before;
    }
    guard.succeeds(event, guardKey(event.host, network), now);
    const failed = before - records.get(host, SOFT);
    // chan_sip prints the dialled number for the account of a call: it proves nothing about the
    // failures on that.
    const own = event.service === "SIP" ? 0 : accountsFailed.forgive(host, event);
    const payer = network ?? event.host;
    const left = this.#owner.policy.creditMs > 0 ? this.#forgiveness.left(payer, now) : 0;
    const others = accountsFailed.forgiveAny(host, Math.max(0, Math.min(failed - own, left)));
    this.#forgiveness.use(payer, others, now);
    const rest = Math.max(0, failed - own - others);
    if (network !== undefined) networkFailures.forgive(network, event.address, own + others, rest);
    if (rest === 0) {
      this.#owner.remove(host);
      return before;
    }
    records.set(host, MAYBE_STANDING, 1);
    this.#leave(host, own + others, rest);
    return before;
  }

  /**
   * Of all that a host has failed one attempt is left.
   *
   * @param host Its record.
   * @param network The IPv6 network with which it is counted, if there is one.
   */
  forbear(host: number, network: string | undefined): void {
    const { accountsFailed, networkFailures, hosts } = this.#parts;
    const failed = hosts.records.get(host, POINTS) - hosts.records.get(host, SOFT);
    const forborne = accountsFailed.forgiveAny(host, failed - ATTEMPT_POINTS);
    if (network !== undefined) {
      networkFailures.forgive(network, keyText(hosts.keyOf(host)), forborne, ATTEMPT_POINTS);
    }
    this.#leave(host, forborne, ATTEMPT_POINTS);
  }

  /**
   * Points of a host are gone, and with them its unanswered challenges.
   *
   * @param forgiven Points that it failed.
   * @param rest Points that it has left.
   */
  #leave(host: number, forgiven: number, rest: number): void {
    const { accountsFailed, attempts, hosts } = this.#parts;
    attempts.settleAll(host);
    hosts.records.set(host, POINTS, rest);
    hosts.records.set(host, SOFT, 0);
    accountsFailed.forgiveProven(host, forgiven);
    hosts.forgiveTally(host, Math.floor(forgiven / ATTEMPT_POINTS));
    this.#owner.settle(host);
  }
}
