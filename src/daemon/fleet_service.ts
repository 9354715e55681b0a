/**
 * The fleet beside the daemon: begins it when the configuration names an engine, and tells it of
 * blocks and releases.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { type Deletion, DELETIONS_MAX } from "../blocks/deletions.ts";
import type { Config } from "../config/config.ts";
import { formatFleet } from "../config/fleet_keys.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Log } from "../log.ts";
import type { Notice } from "../telemetry/notice.ts";
import type { Elsewhere } from "./elsewhere.ts";
import { DELETED, OVER } from "./releases.ts";

/** How long deletions wait to be written, in milliseconds. */
const SAVE_MS = 500;

/** The daemon, as far as it is needed. */
interface FleetHost {
  readonly config: Config;
  readonly dryRun: boolean;
  readonly elsewhere: Elsewhere;
}

/** Keeps the fleet as the configuration wants it. */
export class FleetService {
  readonly #host: FleetHost;
  readonly #log: Log;
  #fleet: Fleet | undefined;
  #wanted = "";
  /** What is to be written. */
  readonly #deletions = new Map<string, Deletion>();
  #cancelSaving: (() => void) | undefined;
  #isStopped = false;
  /** One change at a time. */
  #changing: Promise<void> = Promise.resolve();

  /**
   * No fleet yet.
   *
   * @param host The daemon.
   * @param log Takes what is to be said.
   */
  constructor(host: FleetHost, log: Log) {
    this.#host = host;
    this.#log = log;
    host.elsewhere.state = () => this.#fleet?.state;
    host.elsewhere.onBlock = (block) => this.#fleet?.blocked(block);
  }

  /** Makes the fleet as the daemon's configuration wants it; at the start and after a change. */
  apply(): Promise<void> {
    return this.#changing = this.#changing.then(() => this.#apply());
  }

  /** Hears when blocks end. */
  hear(notice: Notice): void {
    const fleet = this.#fleet;
    if (fleet === undefined) {
      // It is being made, or made anew: what is deleted meanwhile must not come back.
      const isDeleted = notice.event === "unblock" && notice.reason === DELETED;
      if (isDeleted && this.#isWanted()) this.#keep([notice.target, Date.now(), true]);
      return;
    }
    if (notice.event === "unblock" && notice.reason !== OVER) {
      if (notice.reason === DELETED) fleet.released([notice.target]);
      else if (!notice.reason.startsWith(`${DELETED} on `)) fleet.withdrawn([notice.target]);
    }
  }

  /** Writes what waits to be written; for the last time before the list is closed. */
  save(): void {
    this.#cancelSaving?.();
    this.#cancelSaving = undefined;
    if (this.#deletions.size === 0) return;
    const deletions = [...this.#deletions.values()];
    this.#deletions.clear();
    if (this.#host.elsewhere.saveDeletions(deletions)) return;
    for (const deletion of deletions) this.#keep(deletion);
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#changing;
    this.#cancelSaving?.();
    await this.#fleet?.close();
    this.#fleet = undefined;
  }

  /** Deletions are written together, and again when they could not be. */
  #keep(deletion: Deletion): void {
    if (this.#isStopped) return;
    if (this.#deletions.size < DELETIONS_MAX) this.#deletions.set(deletion[0], deletion);
    this.#cancelSaving ??= systemClock.after(SAVE_MS, () => this.save());
  }

  #isWanted(): boolean {
    const { config, dryRun } = this.#host;
    return !dryRun && config.fleet !== undefined && config.fleetName !== undefined;
  }

  async #apply(): Promise<void> {
    const { config, elsewhere } = this.#host;
    const { fleet: address, fleetName, fleetPassFile, fleetCa, fleetPrefix, fleetMax } = config;
    const wanted = this.#isWanted()
      ? JSON.stringify([address, fleetName, fleetPassFile, fleetCa, fleetPrefix, fleetMax])
      : "";
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    await this.#fleet?.close();
    this.#fleet = undefined;
    if (wanted === "") return;
    // Most have one PBX: modules that are not there need no memory.
    const [{ Fleet }, { RedisEngine }, { engineAddress }] = await Promise.all([
      import("../fleet/fleet.ts"),
      import("../fleet/redis.ts"),
      import("../fleet/address.ts"),
    ]);
    if (this.#isStopped) return;
    // The new one reads there what was deleted.
    this.save();
    elsewhere.node = fleetName;
    this.#fleet = new Fleet({
      node: fleetName!,
      engine: new RedisEngine(engineAddress(config), fleetPrefix),
      place: formatFleet(address!),
      maxPerHour: fleetMax,
      list: elsewhere,
      listed: () => elsewhere.listed(),
      deletions: elsewhere.deletions(),
      onDeletion: (...deletion) => this.#keep(deletion),
      log: this.#log,
      clock: systemClock,
      wallClock: Date.now,
    });
    this.#fleet.start();
  }
}
