/**
 * The state of a daemon in one line of the log.
 *
 * @module
 */

import type { BlockList } from "../blocks/block_list.ts";
import type { Firewall } from "../firewall/firewall.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import type { Counters } from "../telemetry/counters.ts";
import { formatLocalTime } from "../text/time.ts";

/** What the line tells of. */
interface LineParts {
  readonly connectedSince: number | undefined;
  readonly counters: Counters;
  readonly table: PenaltyTable;
  readonly list: BlockList;
  readonly firewall: Firewall;
}

/**
 * One line about everything that matters.
 *
 * @param parts What it tells of.
 * @param where Where blocks are, such as `in force`.
 */
export function statusLine(
  { connectedSince: since, counters, table, list, firewall }: LineParts,
  where: string,
): string {
  const state = firewall.status();
  return [
    since === undefined ? "not connected to Asterisk" : `connected since ${formatLocalTime(since)}`,
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
