/**
 * Lines in which other programs keep whom they have blocked: those of `ipset save` (SIPban's dump
 * since its version with ipset), SIPban's older dump, `iptables -S` and `nft list` of a chain (the
 * clients of APIBAN, fail2ban), and CrowdSec's decisions.
 *
 * What a rule or a decision is about in part only, a port or another remedy than a ban, is refused:
 * a block of Ampere is about a host as a whole.
 *
 * @module
 */

import { escapeText } from "../text/escape.ts";

/** Longest name of a set, a chain or a scenario that goes into a reason, in characters. */
const NAME_CHARACTERS_MAX = 60;

/** What such a line says. */
export type ForeignLine =
  | {
    readonly kind: "block";
    /** An address or a network, not looked at yet. */
    readonly text: string;
    /** When it ends, in milliseconds since 1970; `undefined` for ever; `null`: it does not say. */
    readonly until: number | undefined | null;
    readonly reason: string;
  }
  /** It blocks nobody. */
  | { readonly kind: "empty" }
  | { readonly kind: "bad"; readonly message: string };

/** A line of `ipset save`. */
const IPSET = /^add (\S+) (\S+)((?: .*)?)$/;

/** What makes a set: nothing to be done. */
const IPSET_CREATE = /^create \S+ (?:hash|list|bitmap):/;

/** A line of SIPban's older dump: an address, and the second since 1970 in which its block ends. */
const SIPBAN = /^([0-9a-fA-F.:]+),(\d{9,11})$/;

/** A rule of `iptables -S`, and one that refuses a source and looks at nothing else. */
const RULE = /^-A (\S+) (.*)$/;
const REFUSAL =
  /^-s (\S+)(?: -d 0\.0\.0\.0\/0)?(?: -m comment --comment (?:\S+|"[^"]*"))? -j (?:DROP|REJECT(?: --reject-with \S+)?)$/;

/** What `iptables -S` prints besides rules. */
const CHAIN = /^-[NP] \S+(?: \S+)?$/;

/** A rule of nft that refuses a source and looks at nothing else. */
const NFT_REFUSAL =
  /^ip6? saddr ([0-9a-fA-F.:/]+) (?:counter (?:packets \d+ bytes \d+ )?)?(?:drop|reject(?: with .*)?)$/;

/**
 * Reads a line, if it is one of these.
 *
 * @param text The line, without white space at its ends.
 * @param now Milliseconds since 1970.
 * @returns `undefined` if it is none.
 *
 * @example
 * ```ts
 * import { readForeignLine } from "./foreign_lines.ts";
 *
 * readForeignLine("add sipban 203.0.113.5 timeout 600", 0)?.kind; // "block", until 600000
 * readForeignLine("-A INPUT -j ACCEPT", 0); // { kind: "empty" }
 * ```
 */
export function readForeignLine(text: string, now: number): ForeignLine | undefined {
  const name = (given: string) => escapeText(given, NAME_CHARACTERS_MAX);
  const sipban = SIPBAN.exec(text);
  if (sipban !== null) {
    const [, address = "", end] = sipban;
    return block(address, 1000 * Number(end), "imported from SIPban");
  }
  const ipset = IPSET.exec(text);
  if (ipset !== null) {
    const [, set = "", address = "", rest = ""] = ipset;
    if (/ nomatch\b/.test(rest)) return bad(text, "is an exception of a set, and blocks nobody");
    const seconds = / timeout (\d{1,10})\b/.exec(rest)?.[1];
    const until = seconds === undefined ? null : Number(seconds) || undefined;
    return block(
      address,
      typeof until === "number" ? now + 1000 * until : until,
      `imported from ipset, set ${name(set)}`,
    );
  }
  if (IPSET_CREATE.test(text) || CHAIN.test(text)) return { kind: "empty" };
  const rule = RULE.exec(text);
  if (rule !== null) {
    const [, chain = "", rest = ""] = rule;
    const source = REFUSAL.exec(rest)?.[1];
    if (source !== undefined) {
      return block(source, null, `imported from iptables, chain ${name(chain)}`);
    }
    // The last rule of such a chain, a jump to another, or a way to let somebody in.
    return /(?:^| )-s \S+ .*-j (?:DROP|REJECT)/.test(rest)
      ? bad(text, "is a rule with further conditions: a block is about all of a host's packets")
      : { kind: "empty" };
  }
  const nft = NFT_REFUSAL.exec(text)?.[1];
  return nft === undefined ? undefined : block(nft, null, "imported from nftables");
}

/** A length of time as Go writes it. */
const GO_DURATION = /^(-)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?$/;

/**
 * Reads a decision of CrowdSec: an element of `decisions` in what `cscli decisions list -o json`
 * prints.
 *
 * @param value The element.
 * @param now Milliseconds since 1970.
 *
 * @example
 * ```ts
 * import { readDecision } from "./foreign_lines.ts";
 *
 * const decision = { type: "ban", scope: "Ip", value: "203.0.113.5", duration: "3h59m" };
 * readDecision(decision, 0).kind; // "block"
 * readDecision({ ...decision, type: "captcha" }, 0).kind; // "bad"
 * ```
 */
export function readDecision(value: unknown, now: number): ForeignLine {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return bad(JSON.stringify(value) ?? "", "is not a decision of CrowdSec");
  }
  const fields = value as Record<string, unknown>;
  const word = (key: string) => typeof fields[key] === "string" ? fields[key] as string : "";
  const target = word("value");
  if (fields.simulated === true) return bad(target, "is only simulated by CrowdSec");
  if (word("type").toLowerCase() !== "ban") {
    return bad(target, `is a decision "${escapeText(word("type"), 20)}", not a ban`);
  }
  if (!/^(?:ip|range)$/i.test(word("scope"))) {
    return bad(
      target,
      `is of the scope "${escapeText(word("scope"), 20)}": only Ip and Range can be blocked`,
    );
  }
  const length = GO_DURATION.exec(word("duration"));
  const isEmpty = length === null || length.slice(2).every((part) => part === undefined);
  if (length === null || isEmpty) {
    return bad(
      target,
      `lasts "${escapeText(word("duration"), 30)}", which is not a length of time`,
    );
  }
  const [, sign, hours = "0", minutes = "0", seconds = "0"] = length;
  const total = Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
  return block(
    target,
    Math.round(now + (sign === undefined ? 1000 : -1000) * total),
    `imported from CrowdSec, ${escapeText(word("scenario"), NAME_CHARACTERS_MAX)}`,
  );
}

function block(text: string, until: number | undefined | null, reason: string): ForeignLine {
  return { kind: "block", text, until, reason };
}

function bad(text: string, what: string): ForeignLine {
  return { kind: "bad", message: `"${escapeText(text, 60)}" ${what}` };
}
