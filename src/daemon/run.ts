/**
 * The list and the firewall that the daemon works with, as the configuration wants them.
 *
 * @module
 */

export { lockChain } from "./chain_lock.ts";
export { RUN_FOLDER } from "../telemetry/status_socket.ts";

import { BlockDatabase, BlockDatabaseError } from "../blocks/database.ts";
import type { Config } from "../config/config.ts";
import type { BlockList } from "../blocks/block_list.ts";
import { WrittenBlockList } from "../blocks/written_block_list.ts";
import type { Backend } from "../firewall/backend.ts";
import { run } from "../firewall/command.ts";
import { dryRunner } from "../firewall/dry_run.ts";
import { IpsetBackend } from "../firewall/ipset.ts";
import { IptablesBackend } from "../firewall/iptables.ts";
import type { Log } from "../log.ts";
import { DryRunBlockList } from "../blocks/dry_run_block_list.ts";

export { newestTimeOf } from "../blocks/database.ts";

/**
 * Opens the list.
 *
 * @param config where it is
 * @param log takes what is to be said of it
 * @param dryRun read it, but keep changes in memory
 * @param now the time, in milliseconds since 1970
 * @throws {BlockDatabaseError} when a person must mend something first
 */
export function openList(
  config: Config,
  log: Log,
  dryRun: boolean,
  now: number,
): BlockList {
  if (dryRun) return new DryRunBlockList(config.database, readStored(config.database));
  const list = WrittenBlockList.open(config.database, {
    now,
    syncLater: true,
    bareUntil: config.bantime === 0 ? undefined : now + config.bantime * 1000,
    onTrouble: (message) => log.error(message),
    onMended: (message) => log.info(message),
  });
  const { salvaged, skipped } = list.start;
  if (salvaged !== undefined) log.error(salvaged.message);
  if (skipped > 0) {
    log.warn(`${skipped} rows of ${config.database} are no blocks and were left out`);
  }
  return list;
}

function readStored(path: string): BlockDatabase | undefined {
  try {
    return BlockDatabase.open(path, { readOnly: true });
  } catch (error) {
    if (error instanceof BlockDatabaseError && error.fault === "missing") return undefined;
    throw error;
  }
}

/**
 * The firewall for both families.
 *
 * @param config which one
 * @param log takes what a dry run would do
 * @param dryRun run no command
 * @param now the time, in milliseconds since 1970, from which the ends of blocks are counted
 */
export function firewallBackends(
  config: Config,
  log: Log,
  dryRun: boolean,
  now: () => number,
): Backend[] {
  const runner = dryRun ? dryRunner((command) => log.info(`dry run: would run ${command}`)) : run;
  const Chosen = config.backend === "ipset" ? IpsetBackend : IptablesBackend;
  return ([4, 6] as const).map((family) =>
    new Chosen({ family, chain: config.chain, run: runner, now })
  );
}
