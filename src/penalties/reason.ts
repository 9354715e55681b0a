/**
 * Why a host was blocked, in words for people.
 *
 * @module
 */

import { escapeText } from "../text/escape.ts";
import type { GuardChange } from "./account_guard.ts";
import { ATTEMPT_POINTS } from "./attempts.ts";
import { type Insider, INSIDER_FAILURES_A_DAY } from "./insiders.ts";
import type { Grounds, KnownProxy, Offence, Tally } from "./offence.ts";
import { STRANGE_ACCOUNTS_MIN } from "./proxy_signs.ts";
import { counted } from "../text/table.ts";

/** Longest account name in a reason, in characters. */
const ACCOUNT_CHARACTERS_MAX = 40;

/**
 * The reason of a block: what the host did, within what time, and to which account last.
 *
 * @param offence The offence.
 * @param forgeable The block is short because anybody could have sent that in the name of the host.
 * @returns One line without control characters, for example
 * `3 wrong passwords within 2 s, PJSIP over UDP, last account "100", 15 of 15 points`.
 */
export function reasonOf(offence: Offence, forgeable = false): string {
  const { service, transport, account, points, limit, grounds } = offence;
  const deeds = describeTally(offence.tally);
  const span = Math.max(1, Math.ceil((offence.at - offence.firstAt) / 1000));
  const from = offence.target === offence.address && grounds !== "shared network"
    ? ""
    : ` by ${offence.address} and its neighbours`;
  return [
    `${deeds} within ${describeDuration(span)}${from}`,
    describeService(service, transport),
    `${lastOf(offence)} "${escapeText(account, ACCOUNT_CHARACTERS_MAX)}"`,
    // A guarded account gives nobody more than that, and is known by the end of its reason.
    ...(offence.strict === undefined || grounds === "guarded account"
      ? []
      : [`${limit < ATTEMPT_POINTS ? "no attempt" : "one attempt only"}: ${offence.strict}`]),
    `${points} of ${limit} points${doubtOf(offence, forgeable)}`,
  ].join(", ");
}

/** What the text of the last attempt is. */
function lastOf({ service, tally }: Offence): string {
  if (service === "Dialplan") return "last report";
  const { strangeCalls, ...others } = tally;
  const isCall = strangeCalls > 0 && Object.values(others).every((count) => count === 0);
  return isCall ? "last number" : "last account";
}

function describeService(service: string, transport: string): string {
  if (service === "Dialplan") return "told by the dialplan";
  return transport === "" ? service : `${service} over ${transport}`;
}

const FORGEABLE = " (in doubt: its address can be forged)";
const APART = " (each account in a session of its own: a guesser, or phones with wrong passwords)";
const SLOW_FORGEABLE = " (slow guesses, in doubt: its address can be forged)";

/** Why a block is shorter than others. */
const GROUNDS: Record<Grounds, string> = {
  "good standing": " (it had logged in before)",
  "shared network": " (somebody else in this network belongs here)",
  "guarded account": " (in doubt: many strangers fail on this account)",
  "insider":
    ` (it belongs here, and failed more than ${INSIDER_FAILURES_A_DAY} times within a day on accounts of others: ask their owners)`,
  "slow guesses": " (slow guesses: each time that its points were forgotten, and no login)",
  "slow account":
    " (in doubt: slow guesses at one account; so does a phone with a wrong password that is seldom on)",
  "unanswered": " (in doubt: not without unanswered challenges)",
  "single session": " (in doubt: all in one session, as a phone with a wrong password does)",
  "two phones": " (in doubt: two accounts, a session each, as phones with wrong passwords do)",
  "attempts": "",
};

function doubtOf({ grounds, apart }: Offence, forgeable: boolean): string {
  if (!forgeable && apart !== undefined) return APART;
  if (!forgeable || grounds === "slow account") return GROUNDS[grounds];
  return grounds === "slow guesses" ? SLOW_FORGEABLE : FORGEABLE;
}

/**
 * Whether a block was made for slow guesses.
 *
 * @param reason Its reason, as {@linkcode reasonOf} has made it.
 */
export function isSlowReason(reason: string): boolean {
  const ends = [GROUNDS["slow guesses"], GROUNDS["slow account"], SLOW_FORGEABLE];
  return ends.some((end) => reason.endsWith(end));
}

/**
 * Whether nothing was in doubt when a block was made: it is as long as the configuration says.
 *
 * @param reason Its reason, as {@linkcode reasonOf} has made it.
 */
export function isCertainReason(reason: string): boolean {
  return / of \d+ points$/.test(reason) || reason.endsWith(APART) ||
    reason.endsWith(GROUNDS["slow guesses"]);
}

/**
 * Whether a block was made for failures on the accounts of others.
 *
 * @param reason Its reason, as {@linkcode reasonOf} has made it.
 */
export function isInsiderReason(reason: string): boolean {
  return reason.endsWith(GROUNDS.insider);
}

/**
 * Whether a block is one of somebody who belongs here, or whose network does: an office whose
 * phones have a wrong password, say.
 *
 * @param reason Its reason, as {@linkcode reasonOf} has made it.
 */
export function belongsHere(reason: string): boolean {
  const ends = [GROUNDS["good standing"], GROUNDS["shared network"], GROUNDS.insider];
  return ends.some((end) => reason.endsWith(end));
}

/**
 * Whether a block was made for a guarded account.
 *
 * @param reason Its reason, as {@linkcode reasonOf} has made it.
 */
export function isGuardReason(reason: string): boolean {
  return reason.endsWith(GROUNDS["guarded account"]);
}

/**
 * Whether a block was made for what its host did, and holds wherever it comes: not for where it is,
 * and not for what only those know where it had logged in.
 *
 * @param reason Its reason, as {@linkcode reasonOf} has made it, or a person has written it.
 */
export function isOwnGuilt(reason: string): boolean {
  const local = [GROUNDS["good standing"], GROUNDS["shared network"], GROUNDS.insider];
  return !isSightReason(reason) && !local.some((end) => reason.endsWith(end));
}

/** Without a wrong password nobody is blocked at one point but whoever may not appear at all. */
const AT_SIGHT =
  /, no attempt: [^"]*, \d+ of 1 points \(in doubt: not without unanswered challenges\)$/;

/**
 * Whether a block was made because a host appeared that may not, and for nothing that it did.
 *
 * @param reason Its reason, as {@linkcode reasonOf} has made it.
 */
export function isSightReason(reason: string): boolean {
  return AT_SIGHT.test(reason);
}

/**
 * What a host was charged for: `2 wrong passwords and 1 unanswered challenge`.
 *
 * @param tally The attempts.
 */
export function describeTally(tally: Readonly<Tally>): string {
  const { wrongAnswers, unanswered, refusals, badRequests, strangeCalls, reports } = tally;
  const parts: string[] = [];
  if (wrongAnswers > 0) parts.push(counted(wrongAnswers, "wrong password"));
  if (unanswered > 0) parts.push(counted(unanswered, "unanswered challenge"));
  if (refusals > 0) parts.push(counted(refusals, "refused request"));
  if (badRequests > 0) {
    parts.push(counted(badRequests, "request without login", "requests without login"));
  }
  // A daemon that was not started again after an update does not tell of these.
  if (strangeCalls > 0) {
    parts.push(counted(strangeCalls, "call without an account", "calls without an account"));
  }
  if (reports > 0) {
    parts.push(counted(reports, "report of the dialplan", "reports of the dialplan"));
  }
  if (parts.length === 0) return "nothing";
  return parts.length === 1 ? parts[0]! : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

/**
 * Tells that an account came under guard, or is not guarded any more.
 *
 * @param change What has changed.
 * @param policy From how many hosts on, and within what time.
 */
export function describeGuard(
  { service, account, over, blocked }: GuardChange,
  { guardHosts = 0, guardWindowMs = 0 }: {
    readonly guardHosts?: number;
    readonly guardWindowMs?: number;
  },
): string {
  const name = `account "${escapeText(account, ACCOUNT_CHARACTERS_MAX)}" (${service})`;
  if (over !== undefined) {
    return `${name} is not guarded any more; ${counted(blocked, "block")} ${
      blocked === 1 ? "was" : "were"
    } made for it`;
  }
  return `${name} is guarded: ${
    counted(guardHosts, "host")
  } that never logged in failed on it within ${
    describeDuration(guardWindowMs / 1000)
  }. Until fewer do, such a host is blocked at its first wrong password for it, for 25 s and longer ` +
    "each time; whoever logged in is left alone. A long random secret makes all guessing hopeless";
}

/** What helps where an address hides who calls. */
const LET_SEE =
  "let Asterisk see the callers' own addresses (host networking and userland-proxy off for containers, no SIP or " +
  "WebSocket proxy on the way, or one that limits and filters by itself)";

/** The same, where somebody may think of trusting it. */
export const HIDDEN_REMEDY = `${LET_SEE}; to trust the address would only hide them`;

/**
 * Tells of a host that belongs here and fails on accounts of others, and what helps.
 *
 * @param insider What was seen.
 * @param blocks Whether such hosts are blocked.
 */
export function describeInsider(insider: Insider, blocks: boolean): string {
  const { host, login, service, account, accounts, likePhones } = insider;
  const own = login === "" ? "" : ` as "${escapeText(login, ACCOUNT_CHARACTERS_MAX)}"`;
  const others = accounts === 1 ? "" : ` and ${counted(accounts - 1, "other account")}`;
  return `${host}, which logged in${own}, failed more than ${INSIDER_FAILURES_A_DAY} times within a day on ` +
    `account "${
      escapeText(account, ACCOUNT_CHARACTERS_MAX)
    }" (${service})${others}, which never logged in from there. ` +
    (likePhones
      ? "Phones with old passwords do that, or many people behind one address: correct them, or take them out. If there are none, ask who uses that address"
      : `Not as phones with old passwords do: somebody there guesses. Ask the owner of the account that logs in, and change the secret of the other${
        blocks ? "; until it ends the address is blocked for 30 s at a time" : ""
      }`);
}

/**
 * Tells of an address that hides who calls, and what helps.
 *
 * @param proxy What was seen of it.
 */
export function describeProxy({ address, own, strange, unknown }: KnownProxy): string {
  const failed = strange >= STRANGE_ACCOUNTS_MIN
    ? `${counted(strange, "other account")} failed`
    : `${counted(unknown, "login")} to unknown accounts failed`;
  return `${address} looks like a proxy or gateway that hides who calls: lately ${
    counted(own, "account")
  } logged in from it, and ${failed}. A block of it hits everybody behind it: ${HIDDEN_REMEDY}`;
}

/**
 * Tells of failures from an address that is never blocked, and what helps.
 *
 * @param address The address.
 * @param failures How many.
 * @param cause Why it is never blocked.
 */
export function describeExemptFailures(address: string, failures: number, cause: string): string {
  return `${
    counted(failures, "failed login")
  } from ${address}, which is never blocked (${cause}). If nobody ` +
    `there mistyped a password, something at that address passes on what strangers send: ${LET_SEE}` +
    (cause === "trusted" ? "; as long as it is trusted nobody there is blocked" : "");
}

/**
 * A time span for people, in its two largest units: `90 s` is `1 min 30 s`.
 *
 * @param seconds The span, in seconds.
 */
export function describeDuration(seconds: number): string {
  let rest = Math.round(seconds);
  const parts: string[] = [];
  for (const [unit, size] of [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.length === 0 ? "0 s" : parts.join(" ");
}
