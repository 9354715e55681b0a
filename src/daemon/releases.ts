/**
 * Blocks that end, whoever ends them: the firewall, the figures, the subscribers and the log hear
 * of it together.
 *
 * @module
 */

import type { Firewall } from "../firewall/firewall.ts";
import type { Log } from "../log.ts";
import type { Counters } from "../telemetry/counters.ts";
import type { Announcements } from "./announcements.ts";
import type { Notices } from "./notices.ts";
import { Targets } from "./targets.ts";

/** Whom {@linkcode Releases} tells. */
interface ReleaseParts {
  readonly firewall: Firewall;
  readonly counters: Counters;
  readonly notices: Notices;
  readonly announcements: Announcements;
  readonly log: Log;
}

/** Why a block ends whose time is over; who listens to releases tells them apart by that. */
export const OVER = "the time is over";

/** Why a block ends that somebody has deleted, here or, with more behind it, elsewhere. */
export const DELETED = "deleted by hand";

/** Ends blocks that the list holds no more. */
export class Releases {
  readonly #parts: ReleaseParts;

  /**
   * Nothing has ended yet.
   *
   * @param parts Whom it tells.
   */
  constructor(parts: ReleaseParts) {
    this.#parts = parts;
  }

  /** Blocks have ended: the same, and a line in the log. */
  release(targets: readonly string[], why: string): void {
    if (targets.length === 0) return;
    this.releaseSilently(targets, why);
    const told = new Targets().add(targets);
    this.#parts.log.info(`released ${told}: ${why}`, told.fields("unblock", why));
  }

  /** Blocks have ended, of which the log is told elsewhere. */
  releaseSilently(targets: readonly string[], why: string): void {
    const { firewall, counters, notices, announcements } = this.#parts;
    // Whoever hears of the end of a block has heard of the block.
    announcements.tellNow();
    firewall.release(targets);
    counters.removed += targets.length;
    notices.released(targets, why);
  }
}
