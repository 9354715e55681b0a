/**
 * All that is known of a target, put together: for `ampere --why`, and for the page of a host.
 *
 * @module
 */

import { familyOf, overlaps } from "../../address/address.ts";
import type { Cause, ExemptSet } from "../../address/exempt.ts";
import type { BlockDatabase } from "../../blocks/database.ts";
import type { Config } from "../../config/config.ts";
import { keyOf } from "../../penalties/host_key.ts";
import type { StrictHosts } from "../../penalties/strict.ts";
import type { Look } from "../../telemetry/look.ts";
import type { JudgedPlace } from "../../telemetry/places.ts";
import type { Status } from "../../telemetry/status.ts";
import { factsOf, type Known } from "./facts.ts";
import type { KernelAnswer } from "./kernel.ts";

/** Why somebody is never blocked who is not trusted by the administrator. */
const CAUSES: Readonly<Record<Exclude<Cause, "trusted">, string>> = {
  loopback: "loopback",
  "own address": "an address of this machine",
  "AMI server": "Asterisk's manager interface (host in ampere.cfg)",
  "default gateway": "the default gateway of this machine",
  resolver: "a resolver of this machine (/etc/resolv.conf)",
};

/** Who was asked. */
export interface Asked {
  readonly config: Config;
  readonly status: Pick<Status, "firewall" | "lists"> | undefined;
  readonly database: BlockDatabase | undefined;
  /** Who is never blocked. */
  readonly exempt: ExemptSet;
  /** Where trusted targets come from. */
  readonly origins: ReadonlyMap<string, string>;
  /** Knows where hosts are, and who has one attempt for that. */
  readonly places: {
    judged(target: string): JudgedPlace | undefined;
    readonly strict: StrictHosts | undefined;
  };
  /** Time of day, in milliseconds since 1970. */
  readonly now: number;
}

/**
 * What is known of a target.
 *
 * @param target Canonical address or network.
 * @param look What the daemon knows of it; `undefined` if there is none.
 * @param kernel What the kernel was found to hold.
 * @param asked Who was asked.
 */
export function knownOf(
  target: string,
  look: Look | undefined,
  kernel: KernelAnswer,
  asked: Asked,
): Known {
  const { config, status, database, now } = asked;
  const facts = factsOf(target, config, look, database, now);
  const wanted = [target, ...(facts.ipv4 === undefined ? [] : [facts.ipv4])];
  const exempt = asked.exempt.entries
    .filter((entry) => wanted.some((one) => overlaps(entry.target, one)))
    .map((entry) => ({ ...entry, why: whyExempt(entry.target, entry.cause, asked) }));
  return {
    ...facts,
    exempt: exempt.filter((one, at) => exempt.findIndex((other) => isSame(one, other)) === at),
    kernel,
    place: asked.places.judged(target),
    strict: whyStrict(target, asked.places),
    feeds: status?.lists?.feeds ?? [],
    force: status?.firewall.inForce.find(({ family }) => family === familyOf(target)),
  };
}

/** Why a stranger who is there has one attempt, or none. */
function whyStrict(target: string, { strict: hosts }: Asked["places"]): string | undefined {
  const key = keyOf(target.split("/")[0]!);
  const barred = hosts?.whyBarred?.(key);
  if (barred !== undefined) return `is blocked when they first appear: ${barred}`;
  const strict = hosts?.whyStrict(key);
  return strict === undefined ? undefined : `has one attempt: ${strict}`;
}

function isSame(a: { target: string; cause: Cause }, b: { target: string; cause: Cause }): boolean {
  return a.target === b.target && a.cause === b.cause;
}

function whyExempt(target: string, cause: Cause, { origins }: Asked): string {
  return cause === "trusted" ? origins.get(target) ?? `trust = ${target}` : CAUSES[cause];
}
