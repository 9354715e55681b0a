/**
 * Everything that is known of a target, wherever it is known.
 *
 * @module
 */

import { originOf } from "../../blocks/origin.ts";
import { contains, overlaps } from "../../address/address.ts";
import type { ExemptTarget } from "../../address/exempt.ts";
import { type Block, hasEnded } from "../../blocks/block.ts";
import type { BlockDatabase } from "../../blocks/database.ts";
import type { Evidence, KeptAttempt } from "../../blocks/evidence.ts";
import type { StoredPoints } from "../../blocks/kept_points.ts";
import type { Config } from "../../config/config.ts";
import { ATTEMPT_POINTS } from "../../penalties/attempts.ts";
import { HostNetworks } from "../../penalties/host_key.ts";
import { STANDING_LIMIT_FACTOR } from "../../penalties/ledger.ts";
import type { Reckoning } from "../../penalties/inspection.ts";
import { isNeighboursBlock } from "../../penalties/neighbours.ts";
import { isGuardReason, isInsiderReason, isSlowReason } from "../../penalties/reason.ts";
import { SLOW_FACTOR, slowCount } from "../../penalties/slow_guesses.ts";
import type { ShownLists } from "../../telemetry/lists.ts";
import { type Look, LOOK_MAX } from "../../telemetry/look.ts";
import type { JudgedPlace } from "../../telemetry/places.ts";
import type { ForceStatus } from "../../telemetry/status.ts";
import type { KernelAnswer } from "./kernel.ts";

/** Most attempts that are told of a target. */
const ATTEMPTS_MAX = 20;

/** Attempts that are alike and not further apart are one, in milliseconds. */
const SAME_MS = 2;

/** What has brought a block about. */
export type BlockedBy =
  | "attempts"
  | "slow guesses"
  | "insider"
  | "account guard"
  | "neighbours"
  | "list"
  | "fleet"
  | "hand";

/** An attempt, and who made it. */
interface ToldAttempt extends KeptAttempt {
  /** Canonical address. */
  readonly host: string;
}

/** A host with its points. */
interface ToldPoints {
  readonly host: string;
  readonly points: number;
  readonly limit: number;
  /** Attempts that wait for an answer; 0 too if that is not known. */
  readonly waiting: number;
}

/** What of a list and of the penalties is known. Times in milliseconds since 1970. */
interface Facts {
  /** Canonical address or network. */
  readonly target: string;
  /** Whether a daemon was asked; else all is from the database. */
  readonly isLive: boolean;
  /** The IPv6 network with which it is counted. */
  readonly network: string | undefined;
  /** The IPv4 host behind an address of NAT64. */
  readonly ipv4: string | undefined;
  /** Blocks that hold all of it. */
  readonly around: readonly Block[];
  /** Blocks of a part of it. */
  readonly within: readonly Block[];
  readonly points: readonly ToldPoints[];
  /** Wrong passwords without a login, beyond `forget` too. */
  readonly slow: Reckoning | undefined;
  /** Failures of a host that belongs here on accounts of others, within a day. */
  readonly insider: Reckoning | undefined;
  readonly standing: readonly (readonly [host: string, at: number])[];
  /** The oldest first. */
  readonly attempts: readonly ToldAttempt[];
  /** Feeds that list it, or a part of it, each with its entry; none if nobody could be asked. */
  readonly lists: readonly { readonly name: string; readonly entry: string }[];
}

/** Facts, and what is seen of the firewall and of who is never blocked. */
export interface Known extends Facts {
  /** Who of the target is never blocked, and why, in words. */
  readonly exempt: readonly (ExemptTarget & { readonly why: string })[];
  readonly kernel: KernelAnswer;
  /** Where it is; `undefined` if no file is configured. */
  readonly place: JudgedPlace | undefined;
  /** Why a stranger from there has one attempt, or none; `undefined`: as many as anybody. */
  readonly strict: string | undefined;
  /** What becomes of who is listed. */
  readonly feeds: readonly Pick<ShownLists["feeds"][number], "name" | "for" | "inForce">[];
  /** Whether the daemon says that blocks are in force; `undefined` if nobody says it. */
  readonly force: ForceStatus | undefined;
}

/**
 * What has brought a block about.
 *
 * @param block The block.
 */
export function blockedBy(block: Block): BlockedBy {
  if (isNeighboursBlock(block)) return "neighbours";
  const { reason } = block;
  if (originOf(reason) !== undefined) return "fleet";
  if (block.service !== "") {
    if (isGuardReason(reason)) return "account guard";
    if (isInsiderReason(reason)) return "insider";
    return isSlowReason(reason) ? "slow guesses" : "attempts";
  }
  return reason === "added by hand" || reason === "" ? "hand" : "list";
}

/**
 * Gathers what the daemon and the database know.
 *
 * @param target Canonical address or network.
 * @param config The configuration.
 * @param look What the daemon knows; `undefined` if there is none.
 * @param database The list, if there is one.
 * @param now Time of day, in milliseconds since 1970.
 */
export function factsOf(
  target: string,
  config: Config,
  look: Look | undefined,
  database: BlockDatabase | undefined,
  now: number,
): Facts {
  const networks = new HostNetworks(config.ipv6Prefix, config.nat64);
  const isIpv6Host = target.includes(":") && !target.includes("/");
  const counted = isIpv6Host ? networks.of(target) : target;
  const network = counted === target ? undefined : counted;
  const all = look === undefined
    ? (database?.all() ?? []).filter((block) => overlaps(block.target, target))
    : look.blocks.map(({ until, ...block }) => ({ ...block, until: until ?? undefined }));
  const blocks = all.filter((block) => !hasEnded(block, now));
  const holds = (block: Block) => isWithin(target, block.target);
  const around = blocks.filter(holds);
  const standing = look?.standing ??
    storedStanding(network ?? target, database, now - 1000 * config.credit);
  return {
    target,
    isLive: look !== undefined,
    network,
    ipv4: isIpv6Host ? networks.ipv4Of(target) : undefined,
    around,
    within: blocks.filter((block) => !holds(block)).slice(-LOOK_MAX),
    points: look?.hosts.map(({ host, points, limit, waiting }) => ({
      host,
      points,
      limit,
      waiting,
    })) ?? storedPoints(target, config, standing, database, now),
    slow: look === undefined
      ? storedSlow(network ?? target, config, database, now)
      : look.slow ?? undefined,
    insider: look?.insider ?? undefined,
    standing,
    attempts: attemptsOf(target, around, look, database),
    lists: look?.lists ?? [],
  };
}

/**
 * The feeds for which the kernel refuses a target.
 *
 * @param known What is known of it.
 */
export function refusingFeeds(known: Known): string[] {
  if (passesLists(known)) return [];
  const listing = new Set(known.lists.map(({ name }) => name));
  return known.feeds.filter(({ name, inForce }) => inForce && listing.has(name))
    .map(({ name }) => name);
}

/**
 * Whether lists do not matter, because it belongs here.
 *
 * @param known What is known of the target.
 */
export function passesLists(
  { standing, exempt, target }: Pick<Known, "standing" | "exempt" | "target">,
): boolean {
  return standing.length > 0 || exempt.some((one) => isWithin(target, one.target));
}

/** Whether all of a target is in another one. */
function isWithin(target: string, other: string): boolean {
  if (target === other) return true;
  const [address = "", prefix] = target.split("/");
  const [, width] = other.split("/");
  if (width === undefined || !overlaps(target, other)) return false;
  return prefix === undefined ? contains(other, address) : Number(width) <= Number(prefix);
}

function storedStanding(
  target: string,
  database: BlockDatabase | undefined,
  since: number,
): [string, number][] {
  return [...database?.standing() ?? []]
    .filter(([host, at]) => at >= since && overlaps(host, target)).slice(0, LOOK_MAX);
}

function storedPoints(
  target: string,
  { loyalty, forget, credit }: Config,
  standing: Facts["standing"],
  database: BlockDatabase | undefined,
  now: number,
): ToldPoints[] {
  const logins = new Map(standing);
  const isValid = ({ host, lastAt }: StoredPoints) =>
    overlaps(host, target) && now - lastAt <= 1000 * forget && (logins.get(host) ?? -1) < lastAt;
  return (database?.points.all() ?? []).filter(isValid)
    .sort((a, b) => b.points - a.points).slice(0, LOOK_MAX)
    .map(({ host, points }) => {
      const factor = credit > 0 && logins.has(host) ? STANDING_LIMIT_FACTOR : 1;
      return { host, points, limit: ATTEMPT_POINTS * loyalty * factor, waiting: 0 };
    });
}

function storedSlow(
  target: string,
  { loyalty, forget }: Config,
  database: BlockDatabase | undefined,
  now: number,
): Reckoning | undefined {
  const { failures = 0, last = 0 } = database?.slow.of(target) ?? {};
  const count = slowCount(failures, now - last, 1000 * forget);
  return count === 0 ? undefined : { count, limit: SLOW_FACTOR * loyalty };
}

/** What was kept of the target, of the blocks around it, and of hosts in it; and what is new. */
function attemptsOf(
  target: string,
  around: readonly Block[],
  look: Look | undefined,
  database: BlockDatabase | undefined,
): ToldAttempt[] {
  const evidence: Evidence[] = [...look?.evidence ?? []];
  const targets = new Set([target, ...around.map((block) => block.target)]);
  if (database !== undefined && target.includes("/")) {
    const inside = database.evidence.targets().filter((one) => overlaps(one, target));
    for (const one of inside.slice(0, LOOK_MAX)) targets.add(one);
  }
  for (const one of targets) {
    const kept = database?.evidence.of(one);
    if (kept !== undefined) evidence.push(kept);
  }
  const told: ToldAttempt[] = [];
  const sources = [
    ...evidence,
    ...(look?.hosts ?? []).map(({ host, last }) => ({ host, attempts: last })),
  ];
  for (const { host, attempts } of sources) {
    // What was blocked with its network may stand in several places; two of one place are two.
    const before = told.length;
    for (const attempt of attempts) {
      const one = { ...attempt, host };
      if (!told.slice(0, before).some((other) => isSame(one, other))) told.push(one);
    }
  }
  return told.sort((a, b) => a.at - b.at).slice(-ATTEMPTS_MAX);
}

function isSame(a: ToldAttempt, b: ToldAttempt): boolean {
  return a.host === b.host && Math.abs(a.at - b.at) <= SAME_MS && a.what === b.what &&
    a.account === b.account && a.points === b.points;
}
