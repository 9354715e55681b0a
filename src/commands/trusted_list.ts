/**
 * `ampere --trusted`: who is trusted, until when, and where that stands.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { readTimedTrust, timedTrustFile } from "../config/timed_trust.ts";
import { StatusError } from "../telemetry/status_socket.ts";
import { escapeControls } from "../text/escape.ts";
import { formatTable } from "../text/table.ts";
import { askDaemon } from "./ask_daemon.ts";
import { complain, EXIT, print } from "./output.ts";
import { trustedNow } from "./trusted.ts";

/** Longest text that says where somebody stands, in characters. */
const ORIGIN_CHARACTERS_MAX = 300;

/**
 * Lists who is trusted.
 *
 * @param config Says whom, and where others stand.
 * @param json Print one JSON object for each.
 * @returns The exit code: 1 when a file could not be read, or names have no address now.
 */
export async function listTrusted(config: Config, json: boolean): Promise<number> {
  const status = await askDaemon(config);
  const { targets, origins, notes } = await trustedNow(
    config,
    status instanceof StatusError ? undefined : status.trust,
  );
  const timed = readTimedTrust(timedTrustFile(config.database));
  const ends = new Map(
    typeof timed === "string" ? [] : timed.map(({ target, until }) => [target, until]),
  );
  for (const note of notes) complain(`warning: ${note}`);
  const rows = targets.map((target) => {
    const origin = origins.get(target) ?? `trust = ${target}`;
    const end = origin.startsWith("for a time") ? ends.get(target) : undefined;
    return { target, until: end === undefined ? null : new Date(end).toISOString(), origin };
  });
  if (json) print(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  else {
    print(
      formatTable(
        rows.map(({ target, origin }) => [target, escapeControls(origin, ORIGIN_CHARACTERS_MAX)]),
      ),
    );
  }
  return notes.length === 0 ? EXIT.ok : EXIT.problem;
}
