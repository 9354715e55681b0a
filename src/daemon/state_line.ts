/**
 * One line about everything that matters, for the log.
 *
 * @module
 */

import { type Config, NO_AMI } from "../config/config.ts";
import type { StatusSource } from "../telemetry/status.ts";
import { formatLocalTime } from "../text/time.ts";

/**
 * The state of a daemon in one line.
 *
 * @param daemon The daemon.
 * @param where Whether its blocks are in force, in words.
 */
export function describeState(daemon: StatusSource, where: string): string {
  const { config, connectedSince, counters, table, list } = daemon;
  const state = daemon.firewall.status();
  return [
    describeConnection(config, connectedSince),
    `${counters.eventsTotal} security events`,
    `${counters.tamperedTotal} tampered`,
    `${table.size} hosts watched`,
    `${table.standingSize} in good standing`,
    `${list.size} blocks`,
    `${state.applied} in the firewall`,
    `they are ${where}`,
    `${state.queued + state.rejected} changes queued`,
    `${state.failures} of ${state.commands} firewall commands failed`,
    list.pending === 0 ? "database in order" : `${list.pending} changes not yet in the database`,
  ].join(", ");
}

function describeConnection({ host }: Config, since: number | undefined): string {
  if (host === NO_AMI) return "following Asterisk's log alone";
  return since === undefined
    ? "not connected to Asterisk"
    : `connected since ${formatLocalTime(since)}`;
}
