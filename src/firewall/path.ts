/**
 * Whether packets get to Ampere's chain: reads the output of `iptables -S`.
 *
 * @module
 */

import { contains, networkOf, parseTarget } from "../address/address.ts";

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

/**
 * Rules that may let a packet in: of what is in a queue, another program decides, and what it lets
 * in comes to no further rule.
 */
const LETS_IN: ReadonlySet<string> = new Set(["ACCEPT", "NFQUEUE", "QUEUE"]);

/** Where nobody is who guesses passwords: packets for all or for a group. */
const TO_MANY = ["224.0.0.0/4", "255.255.255.255", "ff00::/8"];

/** One rule of a listing. */
export interface Rule {
  /** The chain in which it stands. */
  readonly chain: string;
  /** What stands behind `-A CHAIN `, as iptables writes it. */
  readonly text: string;
  /** Where a matching packet goes; `undefined` for a rule that only counts. */
  readonly target: string | undefined;
}

/** A rule in front of the jump that lets packets in past the chain. */
export interface Passed extends Rule {
  /** Whether it lets in all packets of strangers. */
  readonly takesAll: boolean;
  /** The only address or network that it lets in, canonical. */
  readonly source: string | undefined;
}

/** The jump to Ampere's chain. */
export interface Jump extends Rule {
  /** Rules in front of it, on the packet's whole way, that let strangers in past the chain. */
  readonly passed: readonly Passed[];
  /** Such rules that each let a single address or network in: no stranger, unless it is blocked. */
  readonly excused: readonly Passed[];
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
  // What is quoted may hold anything, and so may a comment.
  const plain = withoutComments(text).replace(/"(?:[^"\\]|\\.)*"/g, '""');
  const [, target] = /(?:^| )-[jg] (\S+)/.exec(plain) ?? [];
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
  let before: Passed[] = [];
  let visits = 0;
  const visit = (chain: string, depth: number, condition: Rule | undefined): void => {
    for (const rule of chains.get(chain) ?? []) {
      if (isElsewhere(rule, strangers)) continue;
      const { target } = rule;
      const narrowed = condition ?? (isForAll(rule, strangers) ? undefined : rule);
      if (target === to) jumps.push(jumpAt(rule, before, narrowed));
      if (target === undefined || target === to) continue;
      const source = sourceOf(rule);
      const isPassed = isBroad(rule, strangers) || (source !== undefined && isToAsterisk(rule));
      const takesAll = narrowed === undefined;
      if (LETS_IN.has(target) || target === "RETURN") {
        const isSure = takesAll && (target === "ACCEPT" || target === "RETURN");
        if (isPassed) before.push({ ...rule, takesAll: isSure, source });
      } else if (chains.has(target)) {
        if (depth === DEPTH_MAX || ++visits > VISITS_MAX) continue;
        const here = before;
        before = [...here];
        visit(target, depth + 1, narrowed);
        // What a chain accepts counts only for those who get into that chain; what returns from it
        // goes on here.
        before = before.filter((one) =>
          here.includes(one) || (isPassed && LETS_IN.has(one.target!))
        )
          .map((one) => here.includes(one) ? one : { ...one, source: one.source ?? source });
        // What returns from a goto's chain does not go on here.
        if (isPassed && isGoto(rule)) before.push({ ...rule, takesAll, source });
      }
    }
  };
  visit(from, 0, undefined);
  return jumps;
}

function jumpAt(rule: Rule, before: readonly Passed[], condition: Rule | undefined): Jump {
  return {
    ...rule,
    passed: before.filter(({ source }) => source === undefined),
    excused: before.filter(({ source }) => source !== undefined),
    condition,
  };
}

/**
 * Finds a blocked target that a rule in front of the jump lets in.
 *
 * @param jump The jump.
 * @param blocked All targets that are blocked.
 * @returns The first one found, and the rule.
 */
export function excusedTarget(
  { excused }: Jump,
  blocked: Targets,
): { readonly target: string; readonly rule: Rule } | undefined {
  const rules = new Map(excused.map((rule) => [rule.source!, rule]));
  for (const [source, rule] of rules) if (blocked.has(source)) return { target: source, rule };
  const prefixes = new Set([...rules.keys()].flatMap((source) => {
    const [, prefix] = source.split("/");
    return prefix === undefined ? [] : [Number(prefix)];
  }));
  if (prefixes.size === 0) return undefined;
  for (const target of blocked.keys()) {
    const [address, own] = target.split("/") as [string, string?];
    for (const prefix of prefixes) {
      if (own !== undefined && Number(own) < prefix) continue;
      const rule = rules.get(networkOf(address, prefix));
      if (rule !== undefined) return { target, rule };
    }
  }
  return undefined;
}

/** Targets of one family, of a set or of the keys of a map. */
export interface Targets {
  /** Whether it is one of them. */
  has(target: string): boolean;
  /** All of them. */
  keys(): Iterable<string>;
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
function isForAll({ text }: Rule, strangers: Strangers = {}): boolean {
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
      /! -i (\S+)/g,
      (all, name) => strangers.from?.length && !isStrangersWay(name, strangers) ? "" : all,
    )
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
 * Whether a rule is only for packets that this machine sends to itself.
 *
 * @param rule The rule.
 */
export function isForLoopback({ text }: Rule): boolean {
  return /(?:^|[^!] )-i lo(?: |$)/.test(withoutComments(text));
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

/** Whether a rule takes packets of strangers that are for Asterisk. */
function isBroad(rule: Rule, strangers: Strangers): boolean {
  const text = withoutComments(rule.text);
  const hasSource = /(?:^|[^!] )(?:-s|--src-range|--match-set \S+ src)(?: |$)/.test(text);
  const [, name] = /(?:^|[^!] )-i (\S+)/.exec(text) ?? [];
  return !hasSource && (name === undefined || isStrangersWay(name, strangers)) &&
    isToAsterisk(rule);
}

/** Whether strangers may come in by an interface of that name. */
function isStrangersWay(pattern: string, { from = [], interfaces = [] }: Strangers): boolean {
  return from.length === 0 || from.some((one) => isNamed(one, pattern)) ||
    !interfaces.some((one) => isNamed(one, pattern));
}

/** Whether packets that a rule takes may be for Asterisk, whoever sends them. */
function isToAsterisk(rule: Rule): boolean {
  const text = withoutComments(rule.text);
  const isOtherProtocol = /(?:^|[^!] )-p (?!udp|tcp|all|0)\S+/.test(text);
  const [, to] = /(?:^|[^!] )-d (\S+)/.exec(text) ?? [];
  const target = to === undefined ? undefined : parseTarget(to);
  const isToMany = target !== undefined &&
    TO_MANY.some((many) => contains(many, target.replace(/\/.*/, "")));
  return !isForLoopback(rule) && !isOtherProtocol && !isToMany && !hasOnlyPrivilegedPorts(rule);
}

/** The only address or network that a rule is about, if it says so by one. */
function sourceOf({ text }: Rule): string | undefined {
  const [, source] = /(?:^|[^!] )-s (\S+)/.exec(withoutComments(text)) ?? [];
  return source === undefined ? undefined : parseTarget(source.replace(/\/(?:32|128)$/, ""));
}

function isGoto({ text }: Rule): boolean {
  return /(?:^| )-g \S+$/.test(withoutComments(text));
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
