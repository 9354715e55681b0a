/**
 * Checks whether packets of blocked hosts come to the rules: by what the kernel has counted there.
 *
 * Nothing is sent for that. A packet with the address of a blocked host, which comes in from
 * outside, this machine cannot make without raw sockets, and what it sends to itself is not
 * refused.
 *
 * @module
 */

import type { BackendName, Config } from "../../config/config.ts";
import { run, type Runner } from "../../firewall/command.ts";
import { refusedPackets } from "../../firewall/refused.ts";
import { describeDuration } from "../../penalties/reason.ts";
import type { Status } from "../../telemetry/status.ts";
import { counted, formatCount } from "../../text/table.ts";
import { type Finding, ok, warning } from "./finding.ts";

const ABOUT = "firewall";

/** How long it is told that a blocked host came through, in milliseconds. */
const PASSED_TOLD_MS = 3_600_000;

/** How to see it, once it is not seen by itself. */
const HOW_TO_TRY =
  "to see one refused: block a machine that you can do without for five minutes (not the one that you type on) by " +
  '"echo ADDRESS | ampere -a --for 5m", let it ping this one or register a phone, and --check again';

/**
 * Tells what the counters say, and the last host that came through.
 *
 * @param config Which chain; the firewall that was chosen.
 * @param others What was found of the firewall; with a fault nobody is told to try.
 * @param events What the daemon says; `undefined` if it does not run.
 * @param runner Runs the commands; they only look.
 * @param now Time of day, in milliseconds since 1970.
 */
export async function checkPackets(
  config: Pick<Config, "chain"> & { readonly backend: BackendName },
  others: readonly Finding[],
  events: Partial<Pick<Status["events"], "passer">> | undefined,
  runner: Runner = run,
  now: number = Date.now(),
): Promise<Finding[]> {
  const counts = await refusedPackets(config.backend, config.chain, runner);
  const findings: Finding[] = [];
  const sum = counts.reduce((all, { packets }) => all + packets, 0);
  if (sum > 0) {
    const each = counts.map(({ family, packets }) => `IPv${family}: ${formatCount(packets)}`);
    findings.push(ok(
      ABOUT,
      `seen by packets: ${counted(sum, "packet")} of blocked hosts ${
        sum === 1 ? "was" : "were"
      } refused since the rules were made (${each.join(", ")})`,
    ));
  } else if (counts.length > 0 && others.every(({ level }) => level === "ok")) {
    const none = "no packet of a blocked host has come since the rules were made";
    findings.push(ok(ABOUT, `${none}; ${HOW_TO_TRY}`));
  }
  const passer = events?.passer ?? undefined;
  const agoMs = passer === undefined ? Infinity : now - Date.parse(passer.at);
  if (passer !== undefined && agoMs < PASSED_TOLD_MS) {
    findings.push(warning(
      ABOUT,
      `${passer.target} is blocked, and still reached Asterisk ${
        describeDuration(Math.max(0, agoMs) / 1_000)
      } ago: its packets passed by the rules`,
      "mend what else stands here about the firewall; if nothing does, they come by a way that this machine's rules do " +
        "not show: a proxy, a tunnel, an Asterisk elsewhere, a network card that is not filtered",
    ));
  }
  return findings;
}
