/**
 * The engine as the configuration names it, and its secret from the file where that is.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { EngineError } from "./engine.ts";
import type { EngineAddress } from "./resp.ts";

/** Rights of a file that let others than its user and group do something. */
const OTHERS = 0o007;

/** Longest file of a secret, in bytes. */
const SECRET_BYTES_MAX = 4_096;

/**
 * Where the engine is, and how one logs in.
 *
 * @param config The configuration; `fleet` is set.
 */
export function engineAddress(config: Config): EngineAddress {
  const { fleet, fleetCa, fleetPassFile } = config;
  return {
    ...fleet!,
    ca: fleetCa,
    // Read anew for each connection, so that a new one is taken without a restart.
    secret: () => fleetPassFile === undefined ? undefined : readSecret(fleetPassFile),
  };
}

/**
 * Reads the secret: the first line of the file.
 *
 * @param file Its path.
 * @throws {EngineError} If it can't be read, or others may read it too; the secret is not in it.
 */
function readSecret(file: string): string {
  let text: string;
  let mode: number;
  try {
    const { size, isFile, mode: rights } = Deno.statSync(file);
    // To read a pipe would be to wait for ever.
    if (!isFile) throw new EngineError(`fleet_pass_file: ${file} is no file`);
    if (size > SECRET_BYTES_MAX) throw new EngineError(`fleet_pass_file: ${file} is too long`);
    mode = rights ?? 0;
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof EngineError) throw error;
    const isMissing = error instanceof Deno.errors.NotFound;
    throw new EngineError(
      `fleet_pass_file: ${file}: ${isMissing ? "there is no such file" : "it cannot be read"}`,
      `write the secret into it, in /etc/ampere: touch ${file} && chmod 600 ${file}, then edit it`,
    );
  }
  if ((mode & OTHERS) !== 0) {
    throw new EngineError(
      `fleet_pass_file: everybody on this machine may read ${file}, so it is not used`,
      `chmod 600 ${file}`,
    );
  }
  const [secret = ""] = text.split(/\r?\n/);
  if (secret !== "") return secret;
  throw new EngineError(
    `fleet_pass_file: the first line of ${file} is empty`,
    "write the secret into it, alone on its first line",
  );
}
