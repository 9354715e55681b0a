/**
 * Why a firewall did not do what it was told: the kinds of failures, and their texts for people.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import { type CommandResult, IPTABLES, type Program } from "./command.ts";

/**
 * Why the firewall did not do what it was told:
 *
 * - `"missing-program"`: the program is not installed (not in PATH)
 * - `"denied"`: Deno's permissions do not allow to run it
 * - `"no-rights"`: the user may not change the firewall
 * - `"no-chain"`: the chain does not exist
 * - `"no-set"`: the set does not exist
 * - `"no-module"`: the kernel lacks a module
 * - `"unreadable"`: nft has put rules there that iptables does not know, and then lists none
 * - `"busy"`: another program holds the firewall's lock
 * - `"timed-out"`: the program took too long and was killed
 * - `"aborted"`: Ampere is ending
 * - `"full"`: there is no room for more
 * - `"refused"`: anything else, perhaps because of one of the targets
 */
export type FailureKind =
  | "missing-program"
  | "denied"
  | "no-rights"
  | "no-chain"
  | "no-set"
  | "no-module"
  | "unreadable"
  | "busy"
  | "timed-out"
  | "aborted"
  | "full"
  | "refused";

/** A failure, with words for people. */
export interface Failure {
  /** Which family was meant. */
  readonly family: Family;
  /** The cause, for programs. */
  readonly kind: FailureKind;
  /** What happened, one sentence without a full stop. */
  readonly message: string;
  /** What mends it: a command or an instruction; empty if nobody knows. */
  readonly advice: string;
}

/** The kinds that do not go away by waiting: a person has to do something. */
const LASTING: ReadonlySet<FailureKind> = new Set([
  "missing-program",
  "denied",
  "no-rights",
  "no-chain",
  "no-module",
]);

/**
 * Whether a person must do something before the firewall can work. At start this is a reason to
 * end the program, if it is about IPv4; but a missing chain is waited for.
 *
 * @param failure The failure.
 * @returns False for those that pass by themselves, like a lock that another program holds.
 */
export function isLasting(failure: Pick<Failure, "kind">): boolean {
  return LASTING.has(failure.kind);
}

/** Where a command was to change something. */
export interface Place {
  /** Which addresses. */
  readonly family: Family;
  /** The chain. */
  readonly chain: string;
  /** The set of the chain. */
  readonly set: string;
}

/**
 * Names the place of a chain.
 *
 * @param chain The chain.
 * @param family Which addresses.
 */
export function placeOf(chain: string, family: Family): Place {
  return { family, chain, set: `${chain}${family}` };
}

/** What the programs say, and what it means; the first that is found counts. */
const MEANINGS: readonly (readonly [RegExp, FailureKind])[] = [
  [/holding the xtables lock|Resource temporarily unavailable|resource busy/i, "busy"],
  [/can't open lock file/, "no-rights"],
  [/Permission denied|Operation not permitted|must be root/i, "no-rights"],
  [/missing kernel module|do you need to insmod|modprobe|Table does not exist/i, "no-module"],
  [/Cannot open session to kernel|Kernel.*protocol version|ip_set.*not found/i, "no-module"],
  // The second is what iptables 1.8.9 (nf_tables) says when `-S` is asked for a missing chain.
  [/No chain\/target\/match by that name|chain `.*' in table `.*' is incompatible/i, "no-chain"],
  [/table `.*' is incompatible/i, "unreadable"],
  [/Set .* doesn't exist|set with the given name does not exist/i, "no-set"],
  [/is full, cannot add/i, "full"],
];

/**
 * Makes a failure of the result of a command.
 *
 * @param result The result, which is not `ok`.
 * @param program What was run.
 * @param place Where it was to change something.
 * @returns The failure with words for people.
 */
export function failureOf(
  result: CommandResult,
  program: Program,
  place: Place,
): Failure {
  const { family } = place;
  const kind = kindOf(result, MEANINGS);
  return {
    family,
    kind,
    message: `IPv${family}: ${describe(kind, program, place, result)}`,
    advice: adviceFor(kind, program, place, result),
  };
}

/**
 * What kind of failure a result is.
 *
 * @param result The result, which is not `ok`.
 * @param meanings What the program says, and what it means; the first that is found counts.
 */
export function kindOf(
  result: CommandResult,
  meanings: readonly (readonly [RegExp, FailureKind])[],
): FailureKind {
  if (result.aborted) return "aborted";
  if (result.missing) return "missing-program";
  if (result.denied) return "denied";
  if (result.timedOut) return "timed-out";
  for (const [pattern, kind] of meanings) if (pattern.test(result.stderr)) return kind;
  return "refused";
}

/** What happened, with the program's own words where they may help. */
function describe(
  kind: FailureKind,
  program: Program,
  { chain, set }: Place,
  result: CommandResult,
): string {
  const said = firstLine(result.stderr);
  switch (kind) {
    case "missing-program":
      return `${program} is not installed: ${said}`;
    case "denied":
      return `Ampere may not run ${program}: ${said}`;
    case "no-rights":
      return `${program} may not change the firewall: ${said}`;
    case "no-chain":
      return `there is no chain "${chain}" (${program}: ${said})`;
    case "no-set":
      return `there is no set "${set}" (${program}: ${said})`;
    case "no-module":
      return `the kernel lacks a module for ${program}: ${said}`;
    case "unreadable":
      return `${program} cannot list the table filter: nft has put rules into it that ${program} ` +
        "does not know";
    case "busy":
      return `another program holds the lock of the firewall (${program}: ${said})`;
    case "timed-out":
      return `${program} did not end in time and was killed`;
    case "aborted":
      return `${program} was ended because Ampere ends`;
    case "full":
      return `the set "${set}" is full (${program}: ${said})`;
    case "refused":
      return result.incomplete
        ? `the output of ${program} was not read to its end`
        : `${program} failed with code ${result.code ?? "(none)"}: ${said.replace(/\.$/, "")}`;
  }
}

/** The command or the step that mends a failure. */
function adviceFor(
  kind: FailureKind,
  program: Program,
  { family, chain }: Place,
  result: CommandResult,
): string {
  const iptables = IPTABLES[family];
  switch (kind) {
    case "missing-program":
      return program === "ipset"
        ? 'install it (apt-get install ipset) and restart Ampere, or set "backend = iptables"'
        : "install it (apt-get install iptables) and restart Ampere";
    case "denied":
      return `if ${program} was installed while Ampere was running, restart Ampere; otherwise ` +
        "compile it with --allow-run=iptables,ip6tables,ipset,nft";
    case "no-rights":
      return result.stderr.includes("lock file")
        ? "make that file writable for Ampere (in a systemd unit: ReadWritePaths=/run)"
        : "run Ampere as root, or with the capabilities CAP_NET_ADMIN and CAP_NET_RAW";
    case "no-chain":
      return `${iptables} -N ${chain} && ${iptables} -I INPUT -j ${chain}`;
    case "no-module":
      return program === "ipset"
        ? 'modprobe ip_set_hash_net, or set "backend = iptables"'
        : `modprobe ${family === 4 ? "ip_tables" : "ip6_tables"}`;
    case "unreadable":
      return `nft -a list table ${
        family === 4 ? "ip" : "ip6"
      } filter (shows them; put those that ` +
        `nft made into a table of their own)`;
    case "full":
      return "end some blocks (ampere -d), or block networks instead of single addresses";
    default:
      return "";
  }
}

/**
 * Tells the first line of a program's message that says something.
 *
 * @param text The message.
 */
export function firstLine(text: string): string {
  return text.split("\n").find((line) => line.trim() !== "" && !line.startsWith("#"))?.trim() ??
    "it gave no reason";
}
