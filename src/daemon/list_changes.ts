/**
 * What `ampere -a`, `ampere -d` and time change in the list while the daemon runs.
 *
 * @module
 */

import { overlaps } from "../address/address.ts";
import type { NewBlock } from "../blocks/block.ts";
import type { BelievedTime } from "../blocks/believed_time.ts";
import type { BlockList } from "../blocks/block_list.ts";
import type { Clock } from "../clock.ts";
import type { Firewall } from "../firewall/firewall.ts";
import type { Log } from "../log.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import type { Neighbourhoods } from "./neighbourhoods.ts";
import type { Notices } from "./notices.ts";
import { DELETED, OVER, type Releases } from "./releases.ts";
import { LOGGED_CHANGES_MAX, Targets } from "./targets.ts";

/** Pause between two parts of many changes of other processes, in milliseconds. */
const TAKE_OVER_PAUSE_MS = 1;

/** What was taken over from other processes and not told yet. */
class TakenOver {
  readonly added = new Targets();
  readonly removed = new Targets();
  readonly changed = new Targets();
}

/** What {@linkcode ListChanges} looks at, and whom it tells. */
interface ListChangeParts {
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly firewall: Firewall;
  readonly releases: Releases;
  readonly neighbourhoods: Neighbourhoods;
  readonly notices: Notices;
  readonly log: Log;
  readonly clock: Clock;
  /** Time of day, in milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Takes blocks at once, for those who put them into force, too; must not wait and not throw. */
  readonly onBlocks?: (blocks: readonly NewBlock[]) => void;
  /** The time by which blocks end. */
  readonly believedTime: Pick<BelievedTime, "now" | "latest">;
}

/** Takes changes over into the firewall, and tells of them. */
export class ListChanges {
  readonly #parts: ListChangeParts;
  /** What other processes changed is being taken over in several turns of the event loop. */
  #takingOver = false;
  #takenOver = new TakenOver();

  /**
   * Nothing has changed yet.
   *
   * @param parts What it looks at, and whom it tells.
   */
  constructor(parts: ListChangeParts) {
    this.#parts = parts;
  }

  /**
   * Looks for what other processes have changed; when it is much, takes it over in several turns of
   * the event loop.
   */
  look(now: number): void {
    if (!this.#takingOver) this.#takeOver(now);
  }

  /** Ends the blocks whose time is over. */
  expire(): void {
    const { list, releases, believedTime: time } = this.#parts;
    const ended = list.removeEnded(time.latest(), (since) => time.now(since));
    releases.release(ended.map((block) => block.target), OVER);
  }

  /** Ends what is done in several turns. */
  close(): void {
    this.#takingOver = false;
  }

  #takeOver(now: number): void {
    const { table, list, firewall, releases, neighbourhoods, notices } = this.#parts;
    const { added, removed, changed, more } = list.reload(now);
    if (added.length + removed.length + changed.length > 0) {
      const current = [...added, ...changed].flatMap((target) => list.get(target) ?? []);
      firewall.block(current);
      this.#parts.onBlocks?.(current);
      for (const block of current) notices.blocked(block, now);
      for (const target of removed.slice(0, LOGGED_CHANGES_MAX)) {
        table.clearPoints(target, overlaps);
      }
      neighbourhoods.forget(removed);
      releases.releaseSilently(removed, DELETED);
    }
    const told = this.#takenOver;
    told.added.add(added);
    told.removed.add(removed);
    told.changed.add(changed);
    this.#takingOver = more === true;
    if (more) {
      // Not `soon`: Deno's event loop would ask the system only once in many turns what else has
      // happened.
      this.#parts.clock.after(TAKE_OVER_PAUSE_MS, () => {
        if (this.#takingOver) this.#takeOver(this.#parts.wallClock());
      });
      return;
    }
    this.#tell("blocked", told.added, "added by hand");
    this.#tell("released", told.removed, DELETED);
    this.#tell("changed the end of", told.changed, "by hand");
    this.#takenOver = new TakenOver();
  }

  #tell(what: string, targets: Targets, why: string): void {
    if (targets.count === 0) return;
    const event = what === "blocked" ? "block" : what === "released" ? "unblock" : "change";
    this.#parts.log.info(`${what} ${targets}: ${why}`, targets.fields(event, why));
  }
}
