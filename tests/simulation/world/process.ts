/**
 * One process of the daemon.
 *
 * @module
 */

import type { WrittenBlockList } from "../../../src/blocks/written_block_list.ts";
import type { Daemon } from "../../../src/daemon/daemon.ts";
import type { ProcessClock } from "../time.ts";
import type { WayWitness } from "../way.ts";

/** One process of the daemon. */
export interface Process {
  readonly clock: ProcessClock;
  readonly daemon: Daemon;
  readonly list: WrittenBlockList;
  readonly stop: AbortController;
  exitCode: number | undefined;
  error: unknown;
  /** Events that reached it. */
  arrived: number;
  readonly witness: WayWitness;
}

/**
 * A daemon ends by itself when it could do nothing from its start: no login, or no firewall for
 * IPv4.
 */
export function mayEnd({ exitCode, daemon }: Process): boolean {
  const ipv4 = daemon.firewall.status().families.find(({ family }) => family === 4);
  return exitCode === 1 && (daemon.counters.logins === 0 || ipv4!.failures > 0);
}
