/**
 * What is told from time to time of those who can't be blocked, or were too late.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import {
  describeExemptFailures,
  describeGuard,
  describeInsider,
  describeProxy,
} from "../penalties/reason.ts";
import type { Counters } from "../telemetry/counters.ts";
import { counted } from "../text/table.ts";
import type { Exceptions } from "./exceptions.ts";
import type { Notices } from "./notices.ts";
import { LOGGED_CHANGES_MAX } from "./targets.ts";

/** Most addresses that are never blocked of which failures are told, once each. */
const LOGGED_EXEMPT_MAX = 1_024;

/**
 * Most accounts in a minute of which it is told that they are guarded, or not any more: with
 * chan_sip strangers make names up.
 */
const GUARDS_A_MINUTE = 20;

/** Most insiders in a minute that are told: with chan_sip strangers make names up. */
const INSIDERS_A_MINUTE = 20;

/** Of so many the status tells. */
const INSIDERS_KEPT_MAX = 10;

const MINUTE_MS = 60_000;

/** What {@linkcode Reports} looks at. */
interface ReportParts {
  readonly table: PenaltyTable;
  readonly exceptions: Exceptions;
  readonly counters: Counters;
  readonly notices: Notices;
  readonly clock: Clock;
  readonly wallClock: () => number;
  readonly log: Log;
}

/** Counts and tells. */
export class Reports {
  readonly #parts: ReportParts;
  /** Addresses that are never blocked of which failures were told. */
  readonly #said = new Set<string>();
  /** How many accounts were told of since a clock value. */
  #guardsTold = 0;
  #guardsSince = -Infinity;
  #insidersTold = 0;
  #insidersSince = -Infinity;

  /**
   * Nothing was told yet.
   *
   * @param parts What it looks at.
   */
  constructor(parts: ReportParts) {
    this.#parts = parts;
  }

  /** Tells what is to be told at once. */
  tell(): void {
    this.#tellLate();
    this.#tellGuards();
    this.#tellInsiders();
  }

  /** Tells how many attempts were under way when their hosts were blocked. */
  #tellLate(): void {
    const { table, counters, log } = this.#parts;
    const late = table.takeLate();
    if (late.length === 0) return;
    for (const [, attempts] of late) counters.lateAttempts += attempts;
    log.infoAll(
      late.slice(0, LOGGED_CHANGES_MAX).map(([target, attempts]) =>
        `${target} had ${
          counted(attempts, "more failed attempt")
        } under way when it was blocked; they were counted`
      ),
    );
    if (late.length > LOGGED_CHANGES_MAX) {
      log.info(
        `so had ${counted(late.length - LOGGED_CHANGES_MAX, "more host")}`,
      );
    }
  }

  /** Tells of accounts that came under guard, and of those that are not guarded any more. */
  #tellGuards(): void {
    const { table, notices, log, clock } = this.#parts;
    const changes = table.guard.takeChanges();
    if (changes.length === 0) return;
    const now = clock.now();
    if (now - this.#guardsSince >= MINUTE_MS) {
      this.#guardsSince = now;
      this.#guardsTold = 0;
    }
    const told = changes.slice(0, GUARDS_A_MINUTE - this.#guardsTold);
    this.#guardsTold += told.length;
    for (const change of told) {
      const level = change.over === undefined ? "warn" : "info";
      const notice = notices.guard(change, table.policy.guardHosts ?? 0);
      log[level](describeGuard(change, table.policy), notice);
    }
    if (changes.length > told.length) {
      const more = counted(changes.length - told.length, "more guard");
      log.limited(
        "guards",
        "warn",
        `${more} of accounts began or ended within a minute, as if somebody made names up: ` +
          "ampere --status tells how many accounts are guarded",
      );
    }
  }

  /** Tells of hosts that belong here and fail on accounts of others. */
  #tellInsiders(): void {
    const { table, counters, notices, log, clock, wallClock } = this.#parts;
    const found = table.insiders.takeFound();
    if (found.length === 0) return;
    const now = clock.now();
    if (now - this.#insidersSince >= MINUTE_MS) {
      this.#insidersSince = now;
      this.#insidersTold = 0;
    }
    const told = found.slice(0, INSIDERS_A_MINUTE - this.#insidersTold);
    this.#insidersTold += told.length;
    const blocks = table.policy.insider === "block";
    for (const insider of told) {
      log.warn(describeInsider(insider, blocks), notices.insider(insider));
      counters.insiders.push({ ...insider, at: wallClock() - (now - insider.at) });
      if (counters.insiders.length > INSIDERS_KEPT_MAX) counters.insiders.shift();
    }
    if (found.length > told.length) {
      log.limited(
        "insiders",
        "warn",
        `${counted(found.length - told.length, "more host")} with logins failed on accounts of ` +
          "others within a minute: ampere --status tells of the last ones",
      );
    }
  }

  /** Tells of failures whose sender can't be blocked, and of addresses that hide many senders. */
  tellHidden(): void {
    const { table, exceptions, counters, log } = this.#parts;
    for (const [address, failures] of table.takeExemptFailures()) {
      const cause = exceptions.causeOf(address);
      const known = counters.exemptFailures.get(cause) ?? 0;
      counters.exemptFailures.set(cause, known + failures);
      if (!this.#said.has(address) && this.#said.size < LOGGED_EXEMPT_MAX) {
        this.#said.add(address);
        log.warn(describeExemptFailures(address, failures, cause));
      }
    }
    for (const proxy of table.takeProxies()) log.warn(describeProxy(proxy));
  }
}
