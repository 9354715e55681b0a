/**
 * What the running daemon knows, for commands that can do without.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import type { Status } from "../telemetry/status.ts";
import type { Look } from "../telemetry/look.ts";
import {
  askStatus,
  RUN_FOLDER,
  StatusError,
  statusSocketPath,
} from "../telemetry/status_socket.ts";

/**
 * Asks the daemon that uses the same database.
 *
 * @param config Names the database.
 * @returns Its answer, or why there is none.
 */
export async function askDaemon(config: Config): Promise<Status | StatusError> {
  try {
    return JSON.parse(await askStatus(await statusSocketPath(config.database, RUN_FOLDER)));
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return error;
  }
}

/**
 * Asks the daemon that uses the same database about targets, one after the other.
 *
 * @param config Names the database.
 * @param targets Canonical addresses and networks.
 * @returns What it knows of each; `undefined` if it is of a version that cannot tell.
 * @throws {StatusError} When it does not answer any more.
 */
export async function askLooks(
  config: Config,
  targets: readonly string[],
): Promise<Look[] | undefined> {
  const path = await statusSocketPath(config.database, RUN_FOLDER);
  const looks: Look[] = [];
  for (const target of targets) {
    const { look }: { look?: Look } = JSON.parse(await askStatus(path, `look ${target}`));
    if (look === undefined) return undefined;
    looks.push(look);
  }
  return looks;
}
