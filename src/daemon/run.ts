/**
 * The daemon as a program: opens its parts as the configuration wants them, and obeys signals.
 *
 * @module
 */

import { BelievedTime } from "../blocks/believed_time.ts";
import { systemClock } from "../clock.ts";
import { describeConfig } from "../config/config.ts";
import { formatProblem, readConfig } from "../config/parse.ts";
import { Log } from "../log.ts";
import { describeDuration } from "../penalties/reason.ts";
import { type OpenPage, Services } from "../telemetry/services.ts";
import { owedChangesPath, RUN_FOLDER } from "../telemetry/status_socket.ts";
import { counted } from "../text/table.ts";
import { formatLocalTime } from "../text/time.ts";
import { lockChain } from "./chain_lock.ts";
import { FormerChains } from "./former_chains.ts";
import { Daemon, TICK_MS } from "./daemon.ts";
import { FleetService } from "./fleet_service.ts";
import { OwedChanges } from "../blocks/owed_changes.ts";
import { BlockDatabase, BlockDatabaseError, newestTimeOf } from "../blocks/database.ts";
import type { BackendName, Config } from "../config/config.ts";
import type { BlockList } from "../blocks/block_list.ts";
import { WrittenBlockList } from "../blocks/written_block_list.ts";
import type { Backend } from "../firewall/backend.ts";
import { chooseBackend } from "../firewall/choice.ts";
import { startChild } from "../firewall/child.ts";
import { run } from "../firewall/command.ts";
import { dryRunner } from "../firewall/dry_run.ts";
import { IpsetBackend } from "../firewall/ipset.ts";
import { IptablesBackend } from "../firewall/iptables.ts";
import { Leftovers } from "../firewall/leftovers.ts";
import { adoptCopies, copiesFolder } from "../feeds/folder.ts";
import type { ListBackend } from "../firewall/lists/backend.ts";
import { IpsetLists } from "../firewall/lists/ipset.ts";
import { gapOf } from "../firewall/nftables/gap.ts";
import { openWithLists, tableName } from "../firewall/nftables/open.ts";
import { Way } from "../firewall/way.ts";
import { DryRunBlockList } from "../blocks/dry_run_block_list.ts";

/**
 * Opens the list.
 *
 * @param config Where it is.
 * @param log Takes what is to be said of it.
 * @param dryRun Read it, but keep changes in memory.
 * @param now The time, in milliseconds since 1970.
 * @param owedPath Where a process before has kept what it could not write.
 * @throws {BlockDatabaseError} When a person must mend something first.
 */
function openList(
  config: Config,
  log: Log,
  dryRun: boolean,
  now: number,
  owedPath: string,
): BlockList {
  if (dryRun) return new DryRunBlockList(config.database, readStored(config.database));
  const owed = new OwedChanges(owedPath);
  const list = WrittenBlockList.open(config.database, {
    now,
    owed,
    syncLater: true,
    inPlaceMs: TICK_MS,
    bareUntil: config.bantime === 0 ? undefined : now + config.bantime * 1000,
    onTrouble: (message) => log.error(message),
    onRecovered: (message) => log.info(message),
  });
  const { salvaged, skipped } = list.start;
  if (list.start.owed > 0) {
    log.info(
      `${
        counted(list.start.owed, "change")
      } that ${config.database} did not take before the last ` +
        `end ${list.start.owed === 1 ? "was" : "were"} kept in ${owedPath}, and taken over`,
    );
  }
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
 * The firewall for both families, and the way of packets to it.
 *
 * @param config Which one; `backend` is the one that was chosen.
 * @param log Takes what a dry run would do.
 * @param dryRun Run no command.
 * @param now The time, in milliseconds since 1970, from which the ends of blocks are counted.
 */
function openFirewall(
  config: Config & { readonly backend: BackendName },
  log: Log,
  dryRun: boolean,
  now: () => number,
): { backends: Backend[]; ways: Way[]; lists: ListBackend | undefined } {
  const runner = dryRun ? dryRunner((command) => log.info(`dry run: would run ${command}`)) : run;
  const { chain, action } = config;
  if (config.backend === "nftables") {
    const start = dryRun ? undefined : startChild;
    // Its table has no way to it that somebody could take away.
    const gap = gapOf(config);
    const { backends, lists } = openWithLists({ chain, action, gap, run: runner, start, log, now });
    return { backends, ways: [], lists: dryRun ? undefined : lists };
  }
  const families = ([4, 6] as const).map((family) => ({
    family,
    chain,
    action,
    run: runner,
  }));
  const sets = config.backend === "ipset"
    ? families.map((options) => new IpsetBackend({ ...options, now }))
    : undefined;
  return {
    backends: sets ?? families.map((options) => new IptablesBackend(options)),
    lists: sets === undefined || dryRun ? undefined : new IpsetLists({ chain, backends: sets }),
    // A dry run does not look at the rules that there are.
    ways: dryRun && config.jump.length === 0
      ? []
      : families.map((options) => new Way({ ...options, isDry: dryRun })),
  };
}

/** What the firewall of before has left, and the chains that the configuration had before. */
function findLeftovers(
  { backend, chain, database }: Config & { readonly backend: BackendName },
  log: Log,
): FormerChains {
  return new FormerChains({
    file: `${database}-chains`,
    chain,
    log,
    leftovers: new Leftovers({ backend, chain, log }),
    leftoversOf: (former) => new Leftovers({ backend, chain, former, log }),
    // A chain of before can have the table, and the lock, of the one of now.
    lock: (former) =>
      tableName(former) === tableName(chain)
        ? undefined
        : lockChain(former, RUN_FOLDER, (message) => log.warn(message)),
  });
}

/** Opens the status page of a daemon. */
type PageOfDaemon = (daemon: Daemon, log: Log) => Promise<OpenPage>;

/** How the daemon is started. */
interface DaemonInvocation {
  readonly config: string | undefined;
  readonly output: string | undefined;
  readonly verbose: boolean;
  readonly dryRun: boolean;
  readonly journal: boolean;
}

/**
 * Runs the daemon as a program: opens the log and the database, obeys signals.
 *
 * @param config The configuration.
 * @param invocation The command line.
 * @param doubts What is to be said of the configuration.
 * @param openPage Opens the status page, which stands above the daemon.
 * @returns The exit code.
 * @throws {BlockDatabaseError} When a person must mend the database first.
 * @throws {LogError} When the log file cannot be opened.
 */
export async function runDaemon(
  config: Config,
  invocation: DaemonInvocation,
  doubts: readonly string[],
  openPage: PageOfDaemon,
): Promise<number> {
  const log = new Log({
    file: invocation.output,
    level: invocation.verbose ? "debug" : "info",
    journal: invocation.journal,
    isJson: config.logFormat === "json",
  });
  for (const doubt of doubts) log.warn(doubt);
  try {
    return await runLogged(config, invocation, log, openPage);
  } finally {
    await log.drain();
    log.close();
  }
}

async function runLogged(
  config: Config,
  invocation: DaemonInvocation,
  log: Log,
  openPage: PageOfDaemon,
): Promise<number> {
  for (const [key, value] of describeConfig(config)) log.debug(`${key} = ${value}`);
  if (invocation.dryRun) {
    log.info(
      "dry run: neither the firewall nor the database is changed, and nobody is told of blocks (webhook, [notify …])",
    );
  }
  // In a dry run nothing is filled.
  using _lock = invocation.dryRun
    ? undefined
    : lockChain(config.chain, RUN_FOLDER, (message) => log.warn(message));
  const time = new BelievedTime(
    newestTimeOf(config.database),
    Date.now,
    systemClock,
    (ms) =>
      log.warn(
        `the clock of this machine was set ${ms < 0 ? "back" : "forward"} by ${
          describeDuration(Math.abs(ms) / 1000)
        } (or the machine was asleep): blocks that were made since the start still last as long as they were made for`,
      ),
  );
  if (time.isDoubted) {
    log.warn(
      `the clock of this machine says ${
        formatLocalTime(Date.now())
      }, the newest entry of ${config.database} is more than ` +
        "a day away from that: for an hour no block ends by that clock, and nobody is forgotten. If the clock is " +
        "wrong, set it (timedatectl)",
    );
  }
  // It is looked what is there while the list is read.
  const choosing = chooseBackend(config);
  const owedPath = await owedChangesPath(config.database);
  const list = openList(config, log, invocation.dryRun, time.now(), owedPath);
  const backend = await choosing;
  if (backend.failure !== undefined && !invocation.dryRun) {
    const { message, advice } = backend.failure;
    log.error(`${message}. Fix: ${advice}`);
    list.close(time.now());
    return 1;
  }
  const chosen = { ...config, backend: backend.name };
  if (!invocation.dryRun) adoptCopies(config.database, config.feeds.map(({ name }) => name));
  const firewall = openFirewall(chosen, log, invocation.dryRun, () => time.earliest());
  const daemon: Daemon = new Daemon({
    config,
    list,
    bornAt: list.bornAt,
    believedTime: time,
    ...firewall,
    backend,
    leftovers: invocation.dryRun ? undefined : findLeftovers(chosen, log),
    log,
    answersFile: invocation.dryRun ? undefined : `${config.database}-names`,
    feedsFolder: invocation.dryRun ? undefined : copiesFolder(config.database),
    verbose: invocation.verbose,
    dryRun: invocation.dryRun,
    notify: (notice) => {
      fleet.hear(notice);
      services.notify(notice);
    },
  });
  const services = new Services(daemon, log, RUN_FOLDER, () => openPage(daemon, log));
  const fleet = new FleetService(daemon, log);
  const stop = new AbortController();
  // Before the daemon hears of it, and closes the list.
  stop.signal.addEventListener("abort", () => {
    services.save();
    fleet.save();
  });
  const signals: [Deno.Signal, () => void][] = [
    ["SIGTERM", () => stop.abort()],
    ["SIGINT", () => stop.abort()],
    ["SIGUSR1", () => log.info(daemon.statusLine())],
    ["SIGHUP", () => {
      log.reopen();
      rereadConfig(daemon, invocation.config, log);
      void services.apply();
      void fleet.apply();
    }],
  ];
  for (const [signal, handler] of signals) Deno.addSignalListener(signal, handler);
  try {
    // The firewall comes first, but who is told must be there before the first report.
    const isEarly = config.webhook !== undefined || config.messengers.length > 0;
    if (isEarly) await services.apply();
    const running = daemon.run(stop.signal);
    void fleet.apply();
    const [code] = await Promise.all([running, isEarly ? undefined : services.apply()]);
    return code;
  } finally {
    await Promise.all([services.stop(), fleet.stop()]);
    for (const [signal, handler] of signals) Deno.removeSignalListener(signal, handler);
  }
}

function rereadConfig(daemon: Daemon, path: string | undefined, log: Log): void {
  // To wait for whoever writes into a pipe would be to follow nobody meanwhile.
  const { config, problems, warnings } = readConfig(path, false);
  for (const warning of warnings) log.warn(formatProblem(warning));
  for (const problem of problems) log.error(formatProblem(problem));
  if (config === undefined || problems.length > 0) {
    log.error("the configuration was not read again; the old one stays in force");
    return;
  }
  log.isJson = config.logFormat === "json";
  daemon.reconfigure(config);
}
