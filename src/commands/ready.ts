/**
 * `ampere --ready`: what the unit of systemd asks after it has started the daemon, and the timer
 * now and then.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { StatusError } from "../telemetry/status_socket.ts";
import type { Status } from "../telemetry/status.ts";
import { askDaemon } from "./ask_daemon.ts";

/** How long the daemon may take, in milliseconds: 100,000 rules of iptables take half of it. */
const READY_LIMIT_MS = 20_000;

/** How often it is asked, in milliseconds. */
const ASK_EVERY_MS = 200;

/**
 * Whether all blocks are in force, or the daemon knows why they are not: no waiting mends that.
 *
 * @param firewall What the daemon says of it.
 */
export function isReady(firewall: Pick<Status["firewall"], "queued" | "trouble">): boolean {
  return firewall.queued === 0 || firewall.trouble.length > 0;
}

/**
 * Waits until the daemon answers and has put its blocks into the firewall.
 *
 * @param config Names the database.
 * @param complain Writes a line to standard error.
 * @param limitMs How long at most, in milliseconds.
 * @returns The exit code.
 */
export async function waitUntilReady(
  config: Config,
  complain: (line: string) => void,
  limitMs: number = READY_LIMIT_MS,
): Promise<number> {
  const end = performance.now() + limitMs;
  for (;;) {
    const answer = await askDaemon(config);
    const isThere = !(answer instanceof StatusError);
    if (isThere && isReady(answer.firewall)) return 0;
    if (performance.now() >= end) {
      const after = `after ${limitMs / 1000} seconds`;
      complain(
        isThere
          ? `${after} ${answer.firewall.queued} blocks still wait for the firewall: ampere --status tells more`
          : `${after} still: ${answer.message}. ${answer.advice}`,
      );
      return 1;
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
}
