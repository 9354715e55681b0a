/**
 * Whether packets get to Ampere's chain: reads the output of `iptables -S`.
 *
 * @module
 */

import { contains, parseTarget } from "../address/address.ts";

/** Most chains that a packet is followed through. */
const DEPTH_MAX = 16;

/** Most chains that are looked into: each jump to a chain counts. */
const VISITS_MAX = 10_000;

/**
 * Below this port there is no service of Asterisk's (its defaults: SIP 5060 and 5061, IAX2 4569,
 * AMI 5038, HTTP 8088): a rule that accepts such a port only, like that of ssh, may stand in front
 * of the chain.
 */
const UNPRIVILEGED_PORT = 1_024;

/** One rule of a listing. */
export interface Rule {
  /** The chain in which it stands. */
  readonly chain: string;
  /** What stands behind `-A CHAIN `, as iptables writes it. */
  readonly text: string;
  /** Where a matching packet goes; `undefined` for a rule that only counts. */
  readonly target: string | undefined;
}

/** The jump to Ampere's chain. */
export interface Jump extends Rule {
  /** Rules in front of it, on the packet's whole way, that let packets in past the chain. */
  readonly passed: readonly Rule[];
  /**
   * What only holds for some packets on the way to it: the first such rule, which may be the jump
   * itself.
   */
  readonly condition: Rule | undefined;
}

/** The chains of a listing, each with its rules in their order; a chain may have none. */
export type Chains = ReadonlyMap<string, readonly Rule[]>;

/** Whose packets are followed: those of strangers, on their way to Asterisk. */
export interface Strangers {
  /** The interfaces by which they may come in; none: not known. */
  readonly from?: readonly string[];
  /** All interfaces of this machine that have an address; none: not known. */
  readonly interfaces?: readonly string[];
  /** The interface behind which Asterisk is, when it is not on this machine. */
  readonly toInterface?: string;
  /** Asterisk's address there. */
  readonly toAddress?: string;
}

/**
 * Reads a listing.
 *
 * @param listing The output of `iptables -S`.
 * @returns Its chains.
 */
export function parseListing(listing: string): Chains {
  const chains = new Map<string, Rule[]>();
  for (const line of listing.split("\n")) addLine(chains, line);
  return chains;
}

/**
 * Reads one line of a listing.
 *
 * @param chains Gets the chain or the rule.
 * @param line The line, without its end.
 */
export function addLine(chains: Map<string, Rule[]>, line: string): void {
  const [, , chain, text] = /^-([ANP]) (\S+)(?: (.*))?$/.exec(line) ?? [];
  if (chain === undefined) return;
  const rules = chains.get(chain) ?? [];
  chains.set(chain, rules);
  if (text === undefined || !line.startsWith("-A ")) return;
  // A comment may hold anything; it is quoted when it holds a blank.
  const [, target] = /(?:^| )-[jg] (\S+)/.exec(text.replace(/"(?:[^"\\]|\\.)*"/g, '""')) ?? [];
  rules.push({ chain, text, target });
}

/**
 * Follows packets from a built-in chain.
 *
 * @param chains The rules of all chains.
 * @param from The built-in chain: `INPUT`, `FORWARD`.
 * @param to Ampere's chain.
 * @param strangers Whose packets they are.
 * @returns The best jump to it: one that all packets come to before one that only some do, else the
 *   first; `undefined` if none is reached.
 *
 * @example
 * ```ts
 * import { findJump, parseListing } from "./path.ts";
 *
 * const chains = parseListing(
 *   "-A INPUT -p udp -m udp --dport 5060 -j ACCEPT\n-A INPUT -j ampere\n",
 * );
 * console.log(findJump(chains, "INPUT", "ampere")?.passed.length); // 1
 * ```
 */
export function findJump(
  chains: Chains,
  from: string,
  to: string,
  strangers: Strangers = {},
): Jump | undefined {
  const jumps = jumpsOf(chains, from, to, strangers);
  const whole = jumps.filter(({ condition }) => condition === undefined);
  return whole.find(({ passed }) => passed.length === 0) ?? whole[0] ?? joined(jumps) ?? jumps[0];
}

/** All jumps that packets come to, in their order. */
function jumpsOf(chains: Chains, from: string, to: string, strangers: Strangers): Jump[] {
  const jumps: Jump[] = [];
  let passed: Rule[] = [];
  let visits = 0;
  const visit = (chain: string, depth: number, condition: Rule | undefined): void => {
    for (const rule of chains.get(chain) ?? []) {
      if (isElsewhere(rule, strangers)) continue;
      const narrowed = condition ?? (isForAll(rule, strangers) ? undefined : rule);
      if (rule.target === to) jumps.push({ ...rule, passed: [...passed], condition: narrowed });
      else if (rule.target === "ACCEPT" || rule.target === "RETURN") {
        if (isBroad(rule)) passed.push(rule);
      } else if (rule.target !== undefined && chains.has(rule.target)) {
        if (depth === DEPTH_MAX || ++visits > VISITS_MAX) continue;
        const before = passed;
        passed = [...before];
        visit(rule.target, depth + 1, narrowed);
        // What a chain accepts counts only if strangers get into that chain; what returns from it
        // goes on here.
        passed = isOpenToStrangers(rule)
          ? passed.filter((one) => one.target === "ACCEPT" || before.includes(one))
          : before;
      }
    }
  };
  visit(from, 0, undefined);
  return jumps;
}

/** Two jumps, for UDP and for TCP, hold all that Asterisk listens to: as if the second held all. */
function joined(jumps: readonly Jump[]): Jump | undefined {
  const [first, second] = ["udp", "tcp"].map((protocol) => ({
    protocol,
    at: jumps.findIndex(({ condition, text }) =>
      condition?.text === text && new RegExp(`^-p ${protocol} -j \\S+$`).test(text)
    ),
  })).sort((a, b) => a.at - b.at) as [Half, Half];
  if (first.at === -1) return undefined;
  // What is accepted between them is too early only for the protocol of the second.
  const passed = jumps[second.at]!.passed.filter((rule) =>
    jumps[first.at]!.passed.includes(rule) || !rule.text.startsWith(`-p ${first.protocol} `)
  );
  return { ...jumps[second.at]!, passed, condition: undefined };
}

/** Where the jump for one protocol stands. */
interface Half {
  readonly protocol: string;
  readonly at: number;
}

/**
 * Whether a rule takes every packet of a stranger: it has no condition, or none but those that are
 * known to hold for all of them. Of any other (a protocol, a port, an interface, a source, a limit)
 * it isn't known whether SIP always fulfils it.
 *
 * @param rule The rule.
 * @param strangers Whose packets they are.
 */
export function isForAll({ text }: Rule, strangers: Strangers = {}): boolean {
  const conditions = withoutComments(text)
    .replace(/(?:^| )-[jg] .*$/, "")
    .replace(/! -i lo(?= |$)/g, "")
    .replace(
      /-m addrtype --dst-type LOCAL(?= |$)/g,
      strangers.toInterface === undefined ? "" : "$&",
    )
    .replace(/(?:^| )-p (?:all|0)(?= |$)/g, "")
    .replace(/(^|! | )-([io]) (\S+)/g, (all, before, way, name) => {
      if (before === "! ") return all;
      const { from, toInterface } = strangers;
      const isAll = way === "i"
        ? from !== undefined && from.length > 0 && from.every((one) => isNamed(one, name))
        : toInterface !== undefined && isNamed(toInterface, name);
      return isAll ? "" : all;
    })
    .replace(
      /(^|! | )-d (\S+)/g,
      (all, before, target) => before !== "! " && holds(target, strangers.toAddress) ? "" : all,
    );
  return conditions.trim() === "";
}

/** Whether a rule is about packets that go to somebody else than Asterisk. */
function isElsewhere(rule: Rule, { toInterface, toAddress }: Strangers): boolean {
  if (toInterface === undefined) return false;
  const text = withoutComments(rule.text);
  const [, out] = /(?:^|[^!] )-o (\S+)/.exec(text) ?? [];
  const [, to] = /(?:^|[^!] )-d (\S+)/.exec(text) ?? [];
  return (out !== undefined && !isNamed(toInterface, out)) ||
    (to !== undefined && toAddress !== undefined && !holds(to, toAddress));
}

/**
 * Tells which interface a rule wants packets to come in by, if this machine has none of that name.
 *
 * @param rule The rule.
 * @param strangers What is known of the interfaces.
 */
export function absentInterface({ text }: Rule, { interfaces }: Strangers): string | undefined {
  const [, name] = /(?:^|[^!] )-i (\S+)/.exec(withoutComments(text)) ?? [];
  if (name === undefined || interfaces === undefined) return undefined;
  return interfaces.some((one) => isNamed(one, name)) ? undefined : name;
}

/**
 * The conditions of a rule without its comments, which may hold anything.
 *
 * @param text The rule.
 */
export function withoutComments(text: string): string {
  return text.replace(/-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) ?/g, "");
}

/** Whether an interface has the name of a rule; a `+` stands for any end. */
function isNamed(name: string, pattern: string): boolean {
  return pattern.endsWith("+") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function holds(text: string, address: string | undefined): boolean {
  const target = address === undefined ? undefined : parseTarget(text);
  return target !== undefined && contains(target, address!);
}

/**
 * Whether an ACCEPT, or a RETURN in front of the jump, lets packets of a stranger get to Asterisk.
 */
function isBroad(rule: Rule): boolean {
  return isOpenToStrangers(rule) && !hasOnlyPrivilegedPorts(rule);
}

function isOpenToStrangers(rule: Rule): boolean {
  const text = withoutComments(rule.text);
  const hasSource = /(?:^| )(?:-s|--src-range|--match-set \S+ src)(?: |$)/.test(text) &&
    !/! -s /.test(text);
  const isLoopback = /(?:^|[^!] )-i lo(?: |$)/.test(text);
  const isOtherProtocol = /(?:^|[^!] )-p (?!udp|tcp|all|0)\S+/.test(text);
  return !hasSource && !isLoopback && !isOtherProtocol;
}

function hasOnlyPrivilegedPorts({ text }: Rule): boolean {
  const [, ports] = /(?:^|[^!] )--(?:dport|dports|ports) (\S+)/.exec(withoutComments(text)) ?? [];
  if (ports === undefined) return false;
  return ports.split(/[,:]/).every((port) => Number(port) < UNPRIVILEGED_PORT);
}

/** Whether a rule accepts what belongs to connections that are known already. */
export function isEstablished({ text }: Rule): boolean {
  return /--(?:ct)?state \S*ESTABLISHED/.test(withoutComments(text));
}
