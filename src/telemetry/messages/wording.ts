/**
 * What happens, in words for people who read it on a phone.
 *
 * @module
 */

import { escapeControls, escapeText } from "../../text/escape.ts";
import { formatLocalTime } from "../../text/time.ts";
import type { Notice } from "../notice.ts";
import type { ShownPlace } from "../places.ts";

/** Longest account that is shown, in characters. */
const ACCOUNT_MAX = 64;

/** Longest reason that is shown, in characters. */
const REASON_MAX = 240;

/**
 * Text that strangers may have written: in one line, cut, and with nothing in it that a messenger
 * would make a link or a mention of. Dots in numbers, such as those of addresses, stay.
 *
 * @param text Any text.
 * @param maxLength Longest result but for the brackets, in UTF-16 units.
 */
function harmless(text: string, maxLength: number): string {
  return withoutLinks(escapeText(text, maxLength));
}

function withoutLinks(text: string): string {
  return text
    .replaceAll("://", "[://]")
    .replaceAll("@", "[@]")
    .replace(/\.(?=\p{L})/gu, "[.]");
}

/**
 * The account of an event, with its quotes.
 *
 * @param account As Asterisk or a stranger wrote it.
 */
export function quotedAccount(account: string): string {
  return `"${harmless(account, ACCOUNT_MAX)}"`;
}

/** A reason, whose strangers' texts are escaped and in quotes already. */
function reasonWords(reason: string): string {
  return withoutLinks(escapeControls(reason, REASON_MAX));
}

/**
 * Where a host is, behind its address: ` (DE, AS64500)`.
 *
 * @param place What is known of it.
 */
function placeRemark(place: ShownPlace | undefined): string {
  if (place === undefined) return "";
  const { country, asn, away } = place;
  const parts = [
    ...(country === null ? [] : [country]),
    ...(asn === null ? [] : [`AS${asn}`]),
    ...(away ? ["away"] : []),
  ];
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

/**
 * A block in a line.
 *
 * @param block The notice of it.
 */
export function blockLine(block: Notice & { readonly event: "block" }): string {
  const until = block.until === null ? "for ever" : `until ${localTime(block.until)}`;
  return `${block.target}${placeRemark(block.place)} ${until}: ${reasonWords(block.reason)}`;
}

/**
 * What happened, in a line with what to do about it.
 *
 * @param notice What.
 */
export function lineOf(notice: Notice): string {
  switch (notice.event) {
    case "block":
      return `Blocked ${blockLine(notice)}`;
    case "unblock":
      return `Released ${notice.target}: ${reasonWords(notice.reason)}`;
    case "ami-lost":
      return `Asterisk's events do not arrive: ${reasonWords(notice.reason)}. Nobody new is ` +
        "blocked meanwhile, unless a log is followed. Fix: ampere --check";
    case "ami-connected":
      return "Asterisk's events arrive again";
    case "firewall-lost": {
      const how = notice.inForce === "partly" ? "only partly in force" : "NOT in force";
      return `IPv${notice.family}: blocks are ${how}: ${reasonWords(notice.reason)}. Fix: ${
        notice.advice === "" ? "ampere --check tells what is known" : harmlessAdvice(notice.advice)
      }`;
    }
    case "firewall-flushed":
      return `IPv${notice.family}: somebody took ${notice.lost} of ${notice.of} blocks out of the ` +
        `firewall; they are put back: ${reasonWords(notice.reason)}`;
    case "firewall-restored":
      return `IPv${notice.family}: blocks are in force again`;
    case "account-guarded":
      return `${notice.hosts} hosts failed on account ${quotedAccount(notice.account)} (${
        harmless(notice.service, ACCOUNT_MAX)
      }): each further stranger is blocked for the first failure on it`;
    case "account-guard-over":
      return `Account ${quotedAccount(notice.account)} (${
        harmless(notice.service, ACCOUNT_MAX)
      }) is not guarded any more; ${notice.blocked} hosts were blocked for it`;
    case "insider":
      return `${notice.host}${
        notice.login === "" ? "" : `, logged in as ${quotedAccount(notice.login)},`
      } fails on accounts of others, at last ${quotedAccount(notice.account)}: ${
        notice.likePhones ? "a phone with an old password? Correct it" : "ask its owner"
      }`;
    case "new-place":
      return `Account ${quotedAccount(notice.account)} (${
        harmless(notice.service, ACCOUNT_MAX)
      }) logged in from a new place: ${notice.address}${
        placeRemark(notice.place)
      }; before always from ${
        harmless(notice.before.join(", "), REASON_MAX)
      }. If it was nobody of yours, give the account another secret`;
    case "check":
      return "This is a test: Ampere can tell you what happens";
  }
}

/** Commands must stay as they are to be typed. */
function harmlessAdvice(advice: string): string {
  return escapeControls(advice, 2 * REASON_MAX);
}

/**
 * A time of a notice by this machine's clock.
 *
 * @param time ISO 8601.
 */
export function localTime(time: string): string {
  return formatLocalTime(Date.parse(time));
}
