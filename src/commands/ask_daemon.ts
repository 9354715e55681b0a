/**
 * What the running daemon knows, for commands that can do without.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import type { Status } from "../telemetry/status.ts";
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
