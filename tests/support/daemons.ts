/** Daemons that block nowhere, and an imitation of Asterisk for them. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { exemptAddresses } from "../../src/address/exempt.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Daemon, type DaemonParts } from "../../src/daemon/daemon.ts";
import type { Notice } from "../../src/telemetry/notice.ts";
import { FakeAsterisk } from "./fake_asterisk.ts";
import { logWithLines } from "./log_lines.ts";
import { until } from "./namespace.ts";

/** Where attackers come from. */
export const ADDRESS = "203.0.113.9";

/** Runs a daemon that is logged in; what it tells is collected. */
export async function withDaemon(
  changes: Partial<Config>,
  run: (
    daemon: Daemon,
    asterisk: FakeAsterisk,
    notices: Notice[],
    lines: string[],
  ) => Promise<void>,
  dryRun = false,
  bornAt?: number,
): Promise<void> {
  await using asterisk = new FakeAsterisk({
    users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
  });
  const notices: Notice[] = [];
  const { log, lines } = logWithLines();
  const daemon = new Daemon({
    config: { ...DEFAULT_CONFIG, port: asterisk.port, ...changes },
    list: new DryRunBlockList("(memory)"),
    backends: [],
    log,
    exempt: (trust) => exemptAddresses(trust),
    notify: (notice) => void notices.push(notice),
    dryRun,
    bornAt,
  });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  try {
    await until("it is logged in", () => daemon.connectedSince !== undefined);
    await run(daemon, asterisk, notices, lines);
  } finally {
    stop.abort();
    assert.equal(await running, 0);
  }
}

/** A daemon that blocks nowhere, and the lines of its log. */
export function daemonWith(parts: Partial<DaemonParts>): { daemon: Daemon; lines: string[] } {
  const { log, lines } = logWithLines(parts.verbose === true ? "debug" : "info");
  const daemon = new Daemon({
    config: DEFAULT_CONFIG,
    list: new DryRunBlockList("(memory)"),
    backends: [],
    log,
    exempt: (trust) => new AddressSet(trust),
    ...parts,
  });
  return { daemon, lines };
}

/** Runs a daemon with other parts that is logged in. */
export async function withAsterisk(
  parts: Partial<DaemonParts>,
  run: (daemon: Daemon, asterisk: FakeAsterisk, lines: readonly string[]) => Promise<void>,
): Promise<void> {
  await using asterisk = new FakeAsterisk({
    users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
  });
  const { daemon, lines } = daemonWith({
    ...parts,
    config: { ...DEFAULT_CONFIG, port: asterisk.port },
  });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  try {
    await until("it is logged in", () => daemon.connectedSince !== undefined);
    await run(daemon, asterisk, lines);
  } finally {
    stop.abort();
    await running;
  }
}
