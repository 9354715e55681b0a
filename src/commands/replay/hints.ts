/**
 * What a replay has found, and what a person should look at before Ampere is used in earnest.
 *
 * @module
 */

import { contains } from "../../address/address.ts";
import type { Config } from "../../config/config.ts";
import type { GuardedAccount } from "../../penalties/account_guard.ts";
import type { Insider } from "../../penalties/insiders.ts";
import type { KnownProxy } from "../../penalties/offence.ts";
import {
  describeDuration,
  describeExemptFailures,
  describeInsider,
  describeProxy,
  HIDDEN_REMEDY,
} from "../../penalties/reason.ts";
import { STRANGE_ACCOUNTS_MIN } from "../../penalties/proxy_signs.ts";
import { counted, formatCount } from "../../text/table.ts";
import type { Format } from "./recording.ts";
import type { WouldBlock } from "./simulation.ts";

/** Most hosts that a hint names. */
const NAMED_HOSTS_MAX = 10;

/** What a replay has found. */
export interface Replayed {
  readonly blocks: readonly WouldBlock[];
  readonly events: number;
  readonly byKind: ReadonlyMap<string, number>;
  readonly tampered: ReadonlyMap<string, number>;
  /** Hosts with events. */
  readonly hosts: number;
  /** Who would have gone too far by what AMI does not tell, and is not blocked. */
  readonly unseen: readonly WouldBlock[];
  /** Refused requests that AMI does not tell of, by kind. */
  readonly logOnly: ReadonlyMap<string, number>;
  readonly logOnlyHosts: number;
  /** What was read; empty when that is not known. */
  readonly formats: ReadonlySet<Format>;
  /** Names of the logs that were read, `-` for standard input. */
  readonly logs: ReadonlySet<string>;
  /** Lines of a log that are no security events, and told of something. */
  readonly lines: number;
  /** Lines that told what another line had told. */
  readonly toldTwice: number;
  /** Lines that are of Asterisk 11 or older. */
  readonly old: number;
  /** Times of the first and the last event, in milliseconds since 1970. */
  readonly from: number | undefined;
  readonly to: number | undefined;
  /** Logins with a password, by address. */
  readonly logins: ReadonlyMap<string, number>;
  /** Where others failed than those who logged in: how many accounts, by address. */
  readonly strangers: ReadonlyMap<string, number>;
  /** Where more accounts logged in than failed. */
  readonly offices: ReadonlySet<string>;
  /** Who would have been blocked if unanswered challenges had counted from the beginning. */
  readonly learned: readonly string[];
  /** Hosts with a login that failed on accounts of others. */
  readonly insiders: readonly Insider[];
  /** Addresses that hide who calls. */
  readonly proxies: readonly KnownProxy[];
  /** Accounts that would have come under guard: those whose guard was over, then the others. */
  readonly guards: readonly ReplayedGuard[];
  /** Failed logins of addresses that are never blocked. */
  readonly exemptFailures: readonly ExemptFailure[];
  /** For each loyalty: who would have been blocked. */
  readonly whatIf: ReadonlyMap<number, ReadonlySet<string>>;
}

/** An account that would have been guarded. Times in milliseconds since 1970. */
export interface ReplayedGuard extends GuardedAccount {
  /** When its guard was over; `undefined`: not before the end. */
  readonly over: number | undefined;
}

/** Failed logins of an address that is never blocked. */
interface ExemptFailure {
  readonly address: string;
  readonly failures: number;
  readonly cause: string;
}

/** What a person should look at before this is used in earnest. */
export function hints(replayed: Replayed, config: Config): string {
  const lines: string[] = [];
  const blocked = new Set(replayed.blocks.map((block) => block.target));
  const hidden = new Set(replayed.proxies.map(({ address }) => address));
  const guessers = new Set(
    replayed.insiders.filter(({ likePhones }) => !likePhones).map(({ host }) => host),
  );
  // Who logged in is let through a block of its network; to trust all of that would help the one
  // who failed there.
  const known = hostsThatLoggedIn(blocked, replayed.logins)
    .filter((host) => !hidden.has(host) && !guessers.has(host) && !host.includes("/"));
  // Too short, or too slow, for a proxy to be certain: but nobody mistypes so many names.
  const isMany = (host: string) => (replayed.strangers.get(host) ?? 0) >= STRANGE_ACCOUNTS_MIN;
  const shared = known.filter((host) => isMany(host) && !replayed.offices.has(host));
  const offices = known.filter((host) => isMany(host) && replayed.offices.has(host));
  const loggedIn = known.filter((host) => !isMany(host));
  lines.push(...replayed.proxies.slice(0, NAMED_HOSTS_MAX).map(describeProxy));
  const blocks = config.insider === "block";
  for (const insider of replayed.insiders.slice(0, NAMED_HOSTS_MAX)) {
    lines.push(describeInsider(insider, blocks));
  }
  for (const { address, failures, cause } of replayed.exemptFailures.slice(0, NAMED_HOSTS_MAX)) {
    lines.push(describeExemptFailures(address, failures, cause));
  }
  if (loggedIn.length > 0) {
    lines.push(
      `${counted(loggedIn.length, "blocked host")} logged in with a password too: ${
        named(loggedIn)
      }. Phones that belong here? ` +
        `Then correct their passwords, or add: ${
          loggedIn.slice(0, NAMED_HOSTS_MAX).map((host) => `trust = ${host}`).join("; ")
        }`,
    );
  }
  if (shared.length > 0) {
    lines.push(
      `${counted(shared.length, "blocked host")} logged in with a password too, and ` +
        `${STRANGE_ACCOUNTS_MIN} or more other accounts failed there: ${named(shared)}. ` +
        "Either a proxy or gateway hides who calls, or strangers share an address with phones: " +
        HIDDEN_REMEDY,
    );
  }
  if (offices.length > 0) {
    lines.push(
      `${counted(offices.length, "blocked host")} logged in with a password too, and ` +
        `${STRANGE_ACCOUNTS_MIN} or more other accounts failed there, fewer than logged in: ` +
        `${named(offices)}. Phones with old passwords do that: correct them, or take them out`,
    );
  }
  if (replayed.learned.length > 0) {
    const { length } = replayed.learned;
    lines.push(
      `${counted(length, "more host")} left challenges unanswered or tried unknown accounts: ` +
        `${named(replayed.learned)}. In the first ${describeDuration(config.learn)} of it that ` +
        `costs nothing, as after a first start, and ${length === 1 ? "it" : "each"} would have ` +
        "been blocked else. With learn = 0 in the configuration (-c FILE) it counts at once",
    );
  }
  const unanswered = [
    ...new Set(
      replayed.blocks.filter((block) =>
        /\d unanswered challenges? within/.test(block.reason) &&
        !/wrong|refused/.test(block.reason)
      ).map((block) => block.target),
    ),
  ].filter((target) => loginsOf(target, replayed.logins) === 0);
  if (unanswered.length > 0 && config.patience > 0) {
    lines.push(
      `${
        counted(unanswered.length, "host")
      } would have been blocked for unanswered challenges alone: ${
        named(unanswered)
      }. If one is a provider or a phone that only sends OPTIONS, add it to trust`,
    );
  }
  if (replayed.lines > 0 && replayed.events === 0 && replayed.old >= replayed.lines) {
    lines.push("All of it is of Asterisk 11 or older, which Ampere does not support");
  } else {
    lines.push(...logOnlyHints(replayed, config), ...loginHints(replayed));
  }
  return lines.map((line) => `Hint: ${line}.\n`).join("");
}

/** What helps against those that AMI does not tell of. */
function logOnlyHints({ logOnly, lines, logs }: Replayed, config: Config): string[] {
  if (logOnly.size === 0) return [];
  const count = [...logOnly.values()].reduce((sum, of) => sum + of, 0);
  const told =
    `${formatCount(count)} of ${counted(lines, "refusal")} ${count === 1 ? "is" : "are"} told by ` +
    "Asterisk's log alone: no event is raised on AMI";
  if (config.logs.length > 0) {
    const followed = config.logs.join(" and ");
    const others = [...logs].filter((name) => name.startsWith("/") && !config.logs.includes(name));
    if (others.length === 0) {
      return [`${told}. The daemon sees them because it follows ${followed}`];
    }
    return [
      `${told}. The daemon follows ${followed}, not ${
        others.join(" nor ")
      }: it sees them only if ` +
      "they stand there too",
    ];
  }
  const path = [...logs].find((name) => name.startsWith("/")) ?? "/var/log/asterisk/messages";
  const hints = [
    `${told}, so that the daemon neither sees nor blocks who sent them. With log = ${path} in ` +
    "ampere.cfg it follows that log too, and does",
  ];
  if (logOnly.has("FailedACL PJSIP")) {
    hints.push(
      "Callers without an account tried numbers. With pjsip.conf's endpoint anonymous taken out " +
        "Asterisk asks them for a password, and the daemon sees them",
    );
  }
  if (logOnly.has("FailedACL SIP")) {
    hints.push(
      "Callers without an account were let into the dialplan. With allowguest=no in sip.conf (or " +
        "without pjsip.conf's endpoint anonymous) Asterisk asks them for a password, and the " +
        "daemon sees them",
    );
  }
  if ([...logOnly.keys()].some((key) => key.endsWith(" IAX2"))) {
    hints.push(
      "IAX2 raises no security events: let only your providers reach UDP port 4569, or unload " +
        "chan_iax2.so",
    );
  }
  return hints;
}

function loginHints({ events, lines, logins, formats }: Replayed): string[] {
  const [ami, log] = [formats.has("AMI stream"), formats.has("security log")];
  const either = ami === log;
  if (events === 0 && lines === 0) {
    return [
      "There is no security event in it" + (either || ami
        ? `. ${either ? "From AMI: t" : "T"}he user needs read = security,system in manager.conf`
        : "") +
      (either || log ? ". From a log: logger.conf needs a file with the level security" : ""),
    ];
  }
  if (logins.size > 0) return [];
  if (events + lines > 0 && log && !ami) {
    return [
      lines > 0
        ? "These lines tell of refusals, not of logins, so nobody can be in good standing: a phone " +
          "that mistyped its password looks like a stranger. The file with the level security " +
          "tells more; logger.conf, section logfiles, makes one: security => security"
        : "There is no login with a password in it (SuccessfulAuth), so nobody can be in good " +
          "standing. If phones log in at other times, replay the log of these too",
    ];
  }
  return [
    "There is no login with a password in it (SuccessfulAuth), so nobody can be in good standing. If phones did log " +
    "in, an eventfilter in manager.conf hides these events",
  ];
}

export function hostsThatLoggedIn(
  targets: ReadonlySet<string>,
  logins: ReadonlyMap<string, number>,
): string[] {
  return [...targets].filter((target) => loginsOf(target, logins) > 0);
}

export function loginsOf(target: string, logins: ReadonlyMap<string, number>): number {
  if (!target.includes("/")) return logins.get(target) ?? 0;
  let sum = 0;
  for (const [address, count] of logins) if (contains(target, address)) sum += count;
  return sum;
}

function named(hosts: readonly string[]): string {
  const more = hosts.length - NAMED_HOSTS_MAX;
  return hosts.slice(0, NAMED_HOSTS_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
