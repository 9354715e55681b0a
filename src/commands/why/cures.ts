/**
 * What to type to change that somebody is blocked, or is not.
 *
 * @module
 */

import { DEFAULT_CONFIG_FILE } from "../../config/config.ts";
import { type Known, refusingFeeds } from "./facts.ts";

/** Most commands of a kind. */
const CURES_MAX = 10;

/** A command, and what it does. */
export interface Cure {
  readonly does: string;
  /** To be typed as root. */
  readonly type: string;
}

/**
 * What can be typed.
 *
 * @param known What is known of the target.
 * @param configFile Path of the configuration; `undefined` for the usual one.
 */
export function curesFor(known: Known, configFile: string | undefined): Cure[] {
  const file = quoted(configFile ?? DEFAULT_CONFIG_FILE);
  const ampere = configFile === undefined ? "ampere" : `ampere -c ${file}`;
  const { target, around, within, exempt, kernel, isLive } = known;
  const cures: Cure[] = [];
  for (const block of around.slice(0, CURES_MAX)) {
    const what = block.target === target
      ? "releases it, and forgets what it has cost"
      : `releases ${block.target}, the whole network`;
    cures.push({ does: what, type: releaseOf(ampere, block.target) });
  }
  const feeds = refusingFeeds(known);
  if (around.length === 0 && within.length > 0) {
    const some = within.slice(0, CURES_MAX).map((block) => block.target);
    const more = within.length - some.length;
    cures.push({
      does: `releases ${more > 0 ? `the first of ${within.length}` : "what is blocked in it"}`,
      type: releaseOf(ampere, ...some),
    });
  }
  const trusted = exempt.filter(({ cause }) => cause === "trusted");
  if (trusted.length > 0) {
    cures.push({
      does: `after you have taken out what trusts it (${
        trusted[0]!.why
      }): lets it be blocked again`,
      type: "systemctl reload ampere",
    });
  } else if (exempt.length === 0 && !target.endsWith("/0")) {
    cures.push({
      does: around.length > 0
        ? "if it is yours: releases it, trusts it, and never blocks it again"
        : feeds.length > 0
        ? "if it is yours: trusts it, so that no list refuses it"
        : "if it is yours: trusts it, and never blocks it",
      // The last line of the file may have no end.
      type: `printf '\\ntrust = ${target}\\n' >> ${file} && systemctl reload ampere`,
    });
    if (around.length === 0 && within.length === 0) {
      cures.push({ does: "blocks it by hand", type: `echo ${target} | ${ampere} -a` });
    }
  }
  if (kernel.isAsked && isLive) {
    const isMissing = around.length > 0 && kernel.blocked.length === 0;
    const isLeft = around.length + within.length === 0 && kernel.blocked.length > 0;
    if (isMissing || isLeft) {
      cures.push({ does: "tells why list and kernel differ", type: `${ampere} --check` });
    }
  }
  if (!isLive) {
    cures.push({
      does: "starts the daemon, which makes the kernel equal to the list",
      type: "systemctl start ampere",
    });
  }
  return cures;
}

/** What releases targets. */
function releaseOf(ampere: string, ...targets: readonly string[]): string {
  return `echo ${targets.join(" ")} | ${ampere} -d`;
}

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
