/**
 * `ampere --check`: looks at everything that Ampere needs, and says what mends what is not right.
 * It changes nothing; Asterisk's log, the receiver of the webhook and the servers of messengers see
 * that it was here.
 *
 * @module
 */

import {
  type Config,
  DEFAULT_CONFIG,
  DEFAULT_CONFIG_FILE,
  describeConfig,
  NO_AMI,
} from "../../config/config.ts";
import { type ConfigReading, formatProblem } from "../../config/parse.ts";
import { askDaemon } from "../ask_daemon.ts";
import { checkAsterisk } from "./asterisk.ts";
import { checkDatabase } from "./database.ts";
import { checkFeeds } from "./feeds.ts";
import { type Finding, formatFinding, ok, problem, warning } from "./finding.ts";
import { run } from "../../firewall/command.ts";
import { checkChoice, checkFirewall } from "./firewall.ts";
import { checkFleet } from "./fleet.ts";
import { checkLogs } from "./logs.ts";
import { checkMessages } from "./messages.ts";
import { checkPackets } from "./packets.ts";
import { checkPlaces } from "./places.ts";
import { checkTrust } from "./trust.ts";
import { checkWebhook } from "./webhook.ts";
import { describeDuration } from "../../penalties/reason.ts";
import type { Status } from "../../telemetry/status.ts";
import { StatusError } from "../../telemetry/status_socket.ts";
import { styleFor } from "../../text/table.ts";

/** Rights of a file that let others than its user and group do something. */
const OTHERS = 0o007;

/** What is to be checked; `Invocation` is one. */
interface CheckRequest {
  /** The configuration file that was named. */
  readonly config: string | undefined;
  /** Show the values in effect, too. */
  readonly verbose: boolean;
  /** Send a test message to all who are told. */
  readonly notify?: boolean;
}

/** Checks the status page, which stands above commands. */
type PageCheck = (config: Config, status: Status | undefined) => Promise<Finding[]>;

/**
 * Checks, and prints each finding as soon as it is there.
 *
 * @param request Which file.
 * @param reading What the file says.
 * @param print Writes to standard output.
 * @param checkPage Checks the status page.
 * @returns The exit code: 1 when there is a problem.
 */
export async function check(
  request: CheckRequest,
  reading: ConfigReading,
  print: (text: string) => number,
  checkPage: PageCheck = () => Promise.resolve([]),
): Promise<number> {
  const style = styleFor(Deno.stdout);
  let code = 0;
  for await (const finding of findings(request, reading, checkPage)) {
    print(formatFinding(finding, style));
    if (finding.level === "problem") code = 1;
  }
  return code;
}

/**
 * All findings, in the order of a packet's way: configuration, firewall, database, Asterisk, its
 * logs, places, webhook, messengers, other PBXs, the status page, daemon.
 */
async function* findings(
  request: CheckRequest,
  reading: ConfigReading,
  checkPage: PageCheck,
): AsyncGenerator<Finding> {
  yield* checkConfig(request, reading);
  const { config } = reading;
  if (config === undefined) return;
  const trust = await checkTrust(config);
  yield* trust.findings;
  const daemon = await askDaemon(config);
  const status = daemon instanceof StatusError ? undefined : daemon;
  const choice = await checkChoice(config, run, status?.dryRun ? undefined : status?.firewall);
  yield* choice.findings;
  if (!choice.findings.some(({ level }) => level === "problem")) {
    // A daemon that was not started again after an update does not tell where Asterisk is yet.
    const { backend } = choice;
    const found = await checkFirewall({ ...config, backend }, run, status?.firewall.asterisk);
    yield* found;
    yield* await checkPackets({ ...config, backend }, found, status?.events);
  }
  yield* checkFeeds(config, trust.targets, choice.backend);
  yield checkDatabase(config);
  yield* await checkAsterisk({ ...config, trust: trust.targets });
  yield* checkLogs(config, status);
  yield* await checkPlaces(config);
  yield* await checkWebhook(config);
  yield* await checkMessages(config, request.notify ?? false);
  yield* await checkFleet(config);
  yield* await checkPage(config, status);
  yield checkDaemon(daemon, config);
}

function* checkConfig(request: CheckRequest, reading: ConfigReading): Generator<Finding> {
  const file = request.config ?? DEFAULT_CONFIG_FILE;
  for (const found of reading.problems) {
    yield problem(
      "config",
      formatProblem(found),
      found.line === 0
        ? ""
        : "correct that line; man ampere and /usr/share/doc/ampere/docs/configuration.md tell each key",
    );
  }
  for (const found of reading.warnings) yield warning("config", formatProblem(found), "");
  if (reading.config === undefined) return;
  if (reading.problems.length === 0 && reading.warnings.length === 0) {
    yield ok("config", `${file} has no mistake`);
  }
  if (request.verbose) {
    for (const [key, value] of describeConfig(reading.config)) {
      yield ok("config", `${key} = ${value}`);
    }
  }
  if (reading.config.pass === DEFAULT_CONFIG.pass && reading.config.host !== NO_AMI) {
    yield warning(
      "config",
      'the secret of the AMI user is the default one, "ampere"',
      `choose another one, the same in manager.conf (secret) and in ${file} (pass)`,
    );
  }
  if (isOpenToAll(file)) {
    yield warning(
      "config",
      `everybody on this machine may read ${file} and the secret in it`,
      `chmod 600 ${file}`,
    );
  }
}

function isOpenToAll(file: string): boolean {
  try {
    return ((Deno.statSync(file).mode ?? 0) & OTHERS) !== 0;
  } catch {
    return false;
  }
}

function checkDaemon(daemon: Status | StatusError, { host }: Config): Finding {
  if (daemon instanceof StatusError) {
    return daemon.absent
      ? ok(
        "daemon",
        "the daemon does not run at present; it is started with: systemctl start ampere",
      )
      : warning("daemon", daemon.message, daemon.advice);
  }
  const text = `the daemon has been running for ${
    describeDuration(daemon.uptimeSeconds)
  } (process ${daemon.pid})`;
  if (host === NO_AMI) return ok("daemon", `${text} and follows Asterisk's log`);
  return daemon.asterisk.connectedSince === null
    ? warning("daemon", `${text}, but is not connected to Asterisk`, "see its log")
    : ok("daemon", `${text} and is connected to Asterisk`);
}
