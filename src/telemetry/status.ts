/**
 * What the daemon says of itself when it is asked.
 *
 * @module
 */

import type { ExemptTarget } from "../address/exempt.ts";
import type { TimedEntry } from "../config/timed_trust.ts";
import type { NameState } from "../address/trusted_names.ts";
import { type Block, byAge } from "../blocks/block.ts";
import { originOf } from "../blocks/origin.ts";
import type { Action, Config } from "../config/config.ts";
import type { AsteriskPlace, Whereabouts } from "../firewall/asterisk_place.ts";
import type { BackendChoice } from "../firewall/choice.ts";
import type { FamilyStatus, FirewallStatus } from "../firewall/firewall.ts";
import type { InForce } from "../firewall/judgement.ts";
import type { LogState } from "../logs/followed_log.ts";
import type { GuardedAccount } from "../penalties/account_guard.ts";
import type { Insider } from "../penalties/insiders.ts";
import type { HostStatus } from "../penalties/hosts.ts";
import type { Tally } from "../penalties/offence.ts";
import { VERSION } from "../version.ts";
import type { FleetState } from "../fleet/fleet.ts";
import { type ShownFleet, shownFleet } from "./fleet.ts";
import { type ListsState, type ShownLists, shownLists } from "./lists.ts";
import type { Look } from "./look.ts";
import type { MessengerState } from "./messages/messenger.ts";
import { type ShownMessenger, shownMessengers } from "./messengers.ts";
import {
  type NewPlacesState,
  type PlacesSource,
  type PlacesStatus,
  placesStatus,
  type ShownPlace,
  shownPlace,
} from "./places.ts";
import type { Counters } from "./counters.ts";

/** How many hosts that are not blocked yet are shown. */
const WORST_HOSTS_MAX = 10;

/** How many blocks are shown, the last ones. */
const LAST_BLOCKS_MAX = 10;

/** How many guarded accounts are shown, those that are guarded longest. */
const GUARDED_SHOWN_MAX = 10;

/** Longest reason of a block in the table, in characters. */
export const REASON_CHARACTERS_MAX = 160;

/** Whom the administrator trusts. */
export interface TrustState {
  /** Addresses and networks that are trusted now, those of names included. */
  readonly entries: number;
  /** The file of `trust_file`. */
  readonly file:
    | { readonly path: string; readonly entries: number; readonly trouble: string | undefined }
    | undefined;
  readonly names: readonly NameState[];
  /** Those who are trusted for a time. */
  readonly timed?: readonly TimedEntry[];
}

/** Asterisk's logs that are followed. */
export interface LogsState {
  readonly files: readonly LogState[];
  /** Lines that were charged, by `KIND SERVICE`. */
  readonly charged: ReadonlyMap<string, number>;
  /** Lines that told what AMI, or another line, has told. */
  readonly dropped: number;
  /** Lines that wait for AMI. */
  readonly waiting: number;
}

/** Who can be asked; `Daemon` is one. */
export interface StatusSource {
  readonly config: Config;
  readonly counters: Counters;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** How blocks are put into the kernel, and why so. */
  readonly backend: BackendChoice;
  /** Milliseconds since 1970; `undefined` when Asterisk's events do not arrive. */
  readonly connectedSince: number | undefined;
  readonly dryRun: boolean;
  /** `undefined` without any. */
  readonly logs: LogsState | undefined;
  /** Where hosts are. */
  readonly places?: PlacesSource;
  /** Who logged in from a new place. */
  readonly newPlaces?: NewPlacesState;
  /** Where Asterisk is, as a stranger's packet sees it. */
  readonly whereabouts: Whereabouts;
  readonly neverBlocked: readonly ExemptTarget[];
  /** Times in milliseconds since 1970. */
  readonly trust: TrustState;
  readonly table: {
    readonly size: number;
    readonly standingSize: number;
    readonly waiting: number;
    readonly evicted: number;
    readonly proxies: number;
    readonly guard: { readonly guarded: number; readonly begun: number; readonly blocked: number };
    readonly slow: { readonly counted: number; readonly blocked: number };
    readonly insiders: { readonly count: number };
  };
  /** Accounts that are guarded; times in milliseconds since 1970. */
  readonly guardedAccounts: readonly GuardedAccount[];
  /** Networks that are blocked for their hosts. */
  readonly neighbourhoods: { readonly size: number };
  /** Lists of attackers. */
  readonly listed: ListsState;
  /** What other PBXs bring. */
  readonly elsewhere?: { readonly state: () => FleetState | undefined };
  readonly list: {
    readonly path: string;
    readonly size: number;
    readonly pending: number;
    readonly trouble: string | undefined;
    each(): Iterable<Block>;
  };
  readonly firewall: { status(): FirewallStatus };
  readonly inquiry: {
    /** The hosts with most points; `lastAt` in milliseconds since 1970. */
    worst(count: number): HostStatus[];
    /** What is known of a canonical target. */
    look(target: string, blocks?: readonly Block[]): Look;
  };
}

/** The answer of the daemon. Times are ISO 8601 in UTC, or null. */
export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly dryRun: boolean;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly asterisk: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly connectedSince: string | null;
    readonly logins: number;
    readonly losses: number;
  };
  /** Where hosts are; null without `geo` and `asn`. */
  readonly places: PlacesStatus | null;
  /** Asterisk's logs that are followed; null without any. */
  readonly logs: {
    readonly files: readonly FollowedFile[];
    /** Lines that were charged, by `KIND SERVICE`. */
    readonly charged: Readonly<Record<string, number>>;
    /** Lines that told what AMI, or another line, has told. */
    readonly toldTwice: number;
    /** Lines that wait for AMI. */
    readonly waiting: number;
  } | null;
  readonly events: {
    readonly total: number;
    /** By `KIND SERVICE`. */
    readonly byKind: Readonly<Record<string, number>>;
    readonly tampered: number;
    readonly tamperedBy: Readonly<Record<string, number>>;
    readonly offences: number;
    /** Attempts that still reached Asterisk after their host was blocked. */
    readonly late: number;
    /** The blocked host that last reached Asterisk all the same, and when (ISO 8601 in UTC). */
    readonly passer: { readonly target: string; readonly at: string } | null;
    /** Failed attempts of hosts that are never blocked, by why they are not. */
    readonly exemptFailures: Readonly<Record<string, number>>;
  };
  readonly hosts: {
    readonly watched: number;
    readonly inGoodStanding: number;
    readonly attemptsWaiting: number;
    readonly evicted: number;
    /** Addresses that seem to hide many callers. */
    readonly proxies: number;
    readonly worst: readonly WatchedHost[];
  };
  /** Accounts that so many strangers fail on that each is blocked for the first failure. */
  readonly guard: {
    readonly accounts: number;
    /** Since the start: accounts that came under guard, and hosts that were blocked for that. */
    readonly begun: number;
    readonly blocked: number;
    readonly longest: readonly ShownGuard[];
  };
  /** Hosts without a login whose wrong passwords are remembered beyond `forget`. */
  readonly slow: {
    readonly hosts: number;
    /** Since the start: hosts that went too far by them. */
    readonly blocked: number;
  };
  /** Hosts with a login that failed on accounts of others. */
  readonly insiders: {
    /** Since the start. */
    readonly found: number;
    /** The last ones. */
    readonly last: readonly ShownInsider[];
  };
  readonly blocks: {
    readonly count: number;
    readonly added: number;
    readonly removed: number;
    /** Networks that are blocked for their hosts. */
    readonly networks: number;
    /** The last one first. */
    readonly last: readonly ShownBlock[];
  };
  readonly firewall: {
    /** Which one is used. */
    readonly backend: string;
    /** What the configuration says: the same, or `auto`. */
    readonly configured: string;
    /** Why it is this one, if the configuration leaves it open; else empty. */
    readonly why: string;
    /** What becomes of the packets of blocked hosts. */
    readonly action: Action;
    readonly chain: string;
    readonly applied: number;
    readonly queued: number;
    readonly held: number;
    readonly commands: number;
    readonly failures: number;
    /** How many times others took out blocks, or what holds them, summed over the families. */
    readonly flushes: number;
    /** What does not work now, one sentence for each family. */
    readonly trouble: readonly { readonly message: string; readonly advice: string }[];
    /** Chains from which Ampere makes its jump. */
    readonly jump: readonly string[];
    /** Whether the blocks of each family are in force. */
    readonly inForce: readonly ForceStatus[];
    /** Where Asterisk is, as a stranger's packet sees it. */
    readonly asterisk: AsteriskPlace;
    /** An address of Asterisk's of which it is not known whether it is reached through here. */
    readonly doubt: string | null;
  };
  /** Lists of attackers. */
  readonly lists: ShownLists;
  /** Who is told of what happens. */
  readonly messengers: readonly ShownMessenger[];
  /** Other PBXs; null without any. */
  readonly fleet: ShownFleet | null;
  /** The status page; null without one. */
  readonly page: ShownPage | null;
  readonly database: {
    readonly path: string;
    readonly owed: number;
    readonly trouble: string | null;
  };
  readonly trust: {
    /** Addresses and networks that are trusted now, those of names included. */
    readonly entries: number;
    readonly file: {
      readonly path: string;
      readonly entries: number;
      readonly trouble: string | null;
    } | null;
    readonly names: readonly TrustedName[];
    /** Those who are trusted for a time. */
    readonly timed: readonly ShownTimedTrust[];
  };
  /** Canonical addresses and networks, each with its cause; the trust list is among them. */
  readonly neverBlocked: readonly ExemptTarget[];
}

/** The status page. */
export interface ShownPage {
  readonly url: string;
  /** Why it is not served, and what helps; null when it is. */
  readonly trouble: string | null;
}

/** A log of Asterisk's. */
interface FollowedFile {
  readonly path: string;
  /** Lines of Asterisk's that were read. */
  readonly lines: number;
  /** Those that were not believed. */
  readonly tampered: number;
  /** Bytes that were not read yet. */
  readonly behindBytes: number;
  /** Why it is not read; null when it is. */
  readonly trouble: string | null;
  /** What mends that. */
  readonly advice: string;
}

/** A name whose addresses are trusted. */
export interface TrustedName {
  readonly name: string;
  readonly addresses: readonly string[];
  /** When the last answer came; null if none ever did. */
  readonly answeredAt: string | null;
  /** Why the last lookup was in vain; null if it was not. */
  readonly failing: string | null;
}

/** Somebody who is trusted for a time. */
interface ShownTimedTrust extends Omit<TimedEntry, "until"> {
  readonly until: string;
}

/** Whether the blocks of a family are in force. */
export interface ForceStatus {
  readonly family: 4 | 6;
  /** `null` as long as that was not looked at, and in a dry run. */
  readonly inForce: InForce | null;
  /** Why not; empty if they are. */
  readonly message: string;
  /** What mends it, if Ampere does not itself. */
  readonly advice: string;
  /** Targets in the list that are not in the kernel yet: the first hundred. */
  readonly waiting: readonly string[];
}

/** A host that is not blocked yet. */
export interface WatchedHost extends Tally {
  readonly host: string;
  readonly points: number;
  readonly limit: number;
  /** Attempts that wait for an answer. */
  readonly waiting: number;
  readonly lastAt: string;
  /** Where it is; null without `geo` and `asn`. */
  readonly place: ShownPlace | null;
}

/** An insider as the status shows it. */
interface ShownInsider extends Omit<Insider, "at"> {
  /** ISO 8601, UTC. */
  readonly at: string;
}

/** A guarded account as the status shows it. */
interface ShownGuard {
  readonly service: string;
  /** As Asterisk or a stranger wrote it. */
  readonly account: string;
  readonly since: string;
  /** Hosts that were blocked for it. */
  readonly blocked: number;
}

/** A block as the status shows it. */
export interface ShownBlock {
  readonly target: string;
  readonly since: string;
  /** `null` for ever. */
  readonly until: string | null;
  readonly times: number;
  readonly reason: string;
  /** The PBX that has brought it; null: it is this one's own. */
  readonly origin: string | null;
  /** Where it is; null without `geo` and `asn`. */
  readonly place: ShownPlace | null;
}

/** How much is told: to find it out takes time where there is very much. */
interface StatusExtent {
  /** How many of the last blocks. */
  readonly blocks?: number;
  /** How many of the hosts with most points. */
  readonly hosts?: number;
}

/**
 * Asks a daemon in the same process.
 *
 * @param source The daemon.
 * @param now Time of day, in milliseconds since 1970.
 * @param extent How much is told.
 * @param messengers Who is told of what happens.
 * @param page The status page.
 */
export function statusOf(
  source: StatusSource,
  now: number,
  { blocks = LAST_BLOCKS_MAX, hosts = WORST_HOSTS_MAX }: StatusExtent = {},
  messengers: readonly MessengerState[] = [],
  page: ShownPage | null = null,
): Status {
  const { config, counters, table, list } = source;
  const state = source.firewall.status();
  return {
    version: VERSION,
    pid: Deno.pid,
    dryRun: source.dryRun,
    startedAt: iso(source.startedAt),
    uptimeSeconds: Math.max(0, Math.round((now - source.startedAt) / 1000)),
    asterisk: {
      host: config.host,
      port: config.port,
      user: config.user,
      connectedSince: source.connectedSince === undefined ? null : iso(source.connectedSince),
      logins: counters.logins,
      losses: counters.losses,
    },
    places: placesStatus(source.places, config, counters.places, source.newPlaces),
    logs: shownLogs(source.logs),
    events: {
      total: counters.eventsTotal,
      byKind: Object.fromEntries([...counters.events].sort((a, b) => b[1] - a[1])),
      tampered: counters.tamperedTotal,
      tamperedBy: Object.fromEntries(counters.tampered),
      offences: counters.offences,
      late: counters.lateAttempts,
      passer: counters.passer === undefined
        ? null
        : { ...counters.passer, at: iso(counters.passer.at) },
      exemptFailures: Object.fromEntries(counters.exemptFailures),
    },
    hosts: {
      watched: table.size,
      inGoodStanding: table.standingSize,
      attemptsWaiting: table.waiting,
      evicted: table.evicted,
      proxies: table.proxies,
      worst: hosts === 0
        ? []
        : source.inquiry.worst(hosts).map((one) => watchedHost(one, source.places)),
    },
    guard: {
      accounts: table.guard.guarded,
      begun: table.guard.begun,
      blocked: table.guard.blocked,
      longest: source.guardedAccounts.slice(0, GUARDED_SHOWN_MAX).map((guarded) => ({
        ...guarded,
        since: iso(guarded.since),
      })),
    },
    slow: { hosts: table.slow.counted, blocked: table.slow.blocked },
    insiders: {
      found: table.insiders.count,
      last: counters.insiders.map((insider) => ({ ...insider, at: iso(insider.at) })),
    },
    blocks: {
      count: list.size,
      added: counters.added,
      removed: counters.removed,
      networks: source.neighbourhoods.size,
      last: newest(list.each(), blocks).map((one) => shownBlock(one, source.places)),
    },
    firewall: {
      backend: source.backend.name,
      configured: source.backend.isAuto ? "auto" : source.backend.name,
      why: source.backend.why,
      action: config.action,
      chain: config.chain,
      applied: state.applied,
      queued: state.queued,
      held: state.rejected,
      commands: state.commands,
      failures: state.failures,
      flushes: state.flushes,
      trouble: state.families.flatMap(({ failing, lastFailure }) =>
        failing && lastFailure !== undefined
          ? [{ message: lastFailure.message, advice: lastFailure.advice }]
          : []
      ),
      // The table of nftables is asked without one.
      jump: source.backend.name === "nftables" ? [] : config.jump,
      inForce: state.families.map((family) => forceStatus(family, source.dryRun)),
      asterisk: source.whereabouts.place,
      doubt: source.whereabouts.doubt ?? null,
    },
    lists: shownLists(source.listed),
    messengers: shownMessengers(messengers),
    fleet: shownFleet(source.elsewhere?.state()),
    page,
    database: { path: list.path, owed: list.pending, trouble: list.trouble ?? null },
    trust: shownTrust(source.trust),
    neverBlocked: source.neverBlocked,
  };
}

/** The newest of very many, the newest first; most stand in the order of their age. */
function newest(blocks: Iterable<Block>, count: number): Block[] {
  if (count === 0) return [];
  let last: Block[] = [];
  for (const block of blocks) {
    if (last.length >= count && byAge(block, last[0]!) < 0) continue;
    last.push(block);
    if (last.length > 2 * count) last = last.sort(byAge).slice(-count);
    else if (last.length > 1 && byAge(last.at(-2)!, block) > 0) last.sort(byAge);
  }
  return last.sort(byAge).slice(-count).reverse();
}

function shownLogs(logs: LogsState | undefined): Status["logs"] {
  if (logs === undefined) return null;
  return {
    files: logs.files.map(({ path, lines, tampered, behind, trouble, advice }) => ({
      path,
      lines,
      tampered,
      behindBytes: behind,
      trouble: trouble ?? null,
      advice,
    })),
    charged: Object.fromEntries([...logs.charged].sort((a, b) => b[1] - a[1])),
    toldTwice: logs.dropped,
    waiting: logs.waiting,
  };
}

function shownTrust({ entries, file, names, timed = [] }: TrustState): Status["trust"] {
  return {
    entries,
    file: file === undefined ? null : { ...file, trouble: file.trouble ?? null },
    timed: timed.map((one) => ({ ...one, until: iso(one.until) })),
    names: names.map(({ name, addresses, answeredAt, failing }) => ({
      name,
      addresses,
      answeredAt: answeredAt === undefined ? null : iso(answeredAt),
      failing: failing ?? null,
    })),
  };
}

function forceStatus({ family, judgement, waiting }: FamilyStatus, dryRun: boolean): ForceStatus {
  const inForce = dryRun ? null : judgement?.inForce ?? null;
  const isTold = inForce === "no" || inForce === "partly";
  return {
    family,
    inForce,
    message: isTold ? judgement!.message : "",
    advice: isTold ? judgement!.advice : "",
    waiting,
  };
}

function watchedHost(
  { host, points, limit, tally, waiting, lastAt }: HostStatus,
  places: PlacesSource | undefined,
): WatchedHost {
  const place = shownPlace(places?.of(host));
  return { host, points, limit, ...tally, waiting, lastAt: iso(lastAt), place };
}

function shownBlock(
  { target, since, until, times, reason }: Block,
  places: PlacesSource | undefined,
): ShownBlock {
  return {
    target,
    since: iso(since),
    until: until === undefined ? null : iso(until),
    times,
    reason,
    origin: originOf(reason) ?? null,
    place: shownPlace(places?.of(target)),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
