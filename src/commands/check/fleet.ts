/**
 * Checks the engine through which PBXs share their blocks: can it be reached, may its user do what
 * is needed, do the clocks agree, does it answer in time.
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import { formatFleet } from "../../config/fleet_keys.ts";
import { describeDuration } from "../../penalties/reason.ts";
import { escapeControls } from "../../text/escape.ts";
import { counted } from "../../text/table.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const ABOUT = "fleet";

/** An answer that takes longer is told, in milliseconds. */
const SLOW_MS = 100;

/** Clocks that differ by more are told, and by more than this nothing is shared; milliseconds. */
const CLOCK_TOLD_MS = 5_000;
const CLOCK_REFUSED_MS = 300_000;

/** Longest refusal that is shown, in characters. */
const SHOWN_MAX = 300;

/**
 * Asks the engine; nothing is changed in it.
 *
 * @param config Where it is.
 * @returns Nothing without one.
 */
export async function checkFleet(config: Config): Promise<Finding[]> {
  const { fleet, fleetPrefix } = config;
  if (fleet === undefined) return [];
  const { RedisEngine } = await import("../../fleet/redis.ts");
  const { engineAddress } = await import("../../fleet/address.ts");
  const { EngineError } = await import("../../fleet/engine.ts");
  const { aclLine, adviceFor } = await import("../../fleet/advice.ts");
  const place = formatFleet(fleet);
  const engine = new RedisEngine(engineAddress(config), fleetPrefix);
  try {
    const refusals = await engine.refusals();
    if (refusals.length > 0) {
      const isRights = refusals.some((one) => one.startsWith("NOPERM"));
      const more = refusals.length === 1 ? "" : ` (and ${counted(refusals.length - 1, "more")})`;
      const fix = isRights
        ? `in redis-cli, with its secret: ${aclLine(fleet.user ?? "default", fleetPrefix)}`
        : adviceFor(refusals[0]!);
      const said = escapeControls(refusals[0]!, SHOWN_MAX);
      return [problem(ABOUT, `${place} refuses what is needed: ${said}${more}`, fix)];
    }
    const begun = performance.now();
    const time = await engine.time();
    const tookMs = performance.now() - begun;
    const ahead = Date.now() - tookMs / 2 - time;
    const findings: Finding[] = [];
    if (Math.abs(ahead) > CLOCK_TOLD_MS) {
      const isRefused = Math.abs(ahead) > CLOCK_REFUSED_MS;
      const message = `the clock of this machine is ${describeDuration(Math.abs(ahead) / 1000)} ${
        ahead > 0 ? "ahead of" : "behind"
      } that of ${place}${isRefused ? ": nothing is shared" : ""}`;
      const fix = "on both machines: timedatectl set-ntp true";
      findings.push((isRefused ? problem : warning)(ABOUT, message, fix));
    }
    if (tookMs > SLOW_MS) {
      findings.push(warning(
        ABOUT,
        `${place} took ${Math.round(tookMs)} ms to answer: blocks of others come so much later`,
        adviceFor("slow"),
      ));
    }
    if (findings.length > 0) return findings;
    return [ok(
      ABOUT,
      `${place} lets ${config.fleetName} do all that is needed, and answers within ${
        tookMs.toFixed(1)
      } ms; the clocks agree`,
    )];
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const { message, advice } = error;
    return [problem(ABOUT, `${place}: ${message}. Blocks here are not affected`, advice)];
  } finally {
    engine.close();
  }
}
