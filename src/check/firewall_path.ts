/**
 * Whether packets get to Ampere's chain: reads the output of `iptables -S`.
 *
 * @module
 */

/** Most chains that a packet is followed through. */
const DEPTH_MAX = 16;

/**
 * Below this port there is no service of Asterisk's (its defaults: SIP 5060 and 5061, IAX2 4569, AMI 5038, HTTP 8088): a rule that
 * accepts such a port only, like that of ssh, may stand in front of the chain.
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
}

/**
 * Reads a listing.
 *
 * @param listing the output of `iptables -S`
 * @returns the rules of each chain, in their order
 */
export function parseListing(listing: string): ReadonlyMap<string, readonly Rule[]> {
  const chains = new Map<string, Rule[]>();
  for (const line of listing.split("\n")) {
    const [, chain, text] = /^-A (\S+) (.*)$/.exec(line) ?? [];
    if (chain === undefined || text === undefined) continue;
    const rules = chains.get(chain) ?? [];
    // A comment may hold anything; it is quoted when it holds a blank.
    const [, target] = /(?:^| )-[jg] (\S+)/.exec(text.replace(/"(?:[^"\\]|\\.)*"/g, '""')) ?? [];
    rules.push({ chain, text, target });
    chains.set(chain, rules);
  }
  return chains;
}

/**
 * Follows packets from a built-in chain.
 *
 * @param chains the rules of all chains
 * @param from the built-in chain: `INPUT`, `FORWARD`
 * @param to Ampere's chain
 * @returns the first jump to it; `undefined` if none is reached
 *
 * @example
 * ```ts
 * import { findJump, parseListing } from "./firewall_path.ts";
 *
 * const chains = parseListing("-A INPUT -p udp -m udp --dport 5060 -j ACCEPT\n-A INPUT -j ampere\n");
 * console.log(findJump(chains, "INPUT", "ampere")?.passed.length); // 1
 * ```
 */
export function findJump(
  chains: ReadonlyMap<string, readonly Rule[]>,
  from: string,
  to: string,
): Jump | undefined {
  const passed: Rule[] = [];
  const visit = (chain: string, depth: number): Jump | undefined => {
    for (const rule of chains.get(chain) ?? []) {
      if (rule.target === to) return { ...rule, passed: [...passed] };
      if (rule.target === "ACCEPT") {
        if (isBroad(rule)) passed.push(rule);
      } else if (rule.target !== undefined && chains.has(rule.target) && depth < DEPTH_MAX) {
        // What a chain accepts counts only if strangers get into that chain.
        const before = passed.length;
        const found = visit(rule.target, depth + 1);
        if (found !== undefined) return found;
        if (!isOpenToStrangers(rule)) passed.length = before;
      }
    }
    return undefined;
  };
  return visit(from, 0);
}

/** Whether an ACCEPT lets packets of a stranger get to Asterisk. */
function isBroad(rule: Rule): boolean {
  return isOpenToStrangers(rule) && !hasOnlyPrivilegedPorts(rule);
}

function isOpenToStrangers({ text }: Rule): boolean {
  const hasSource = /(?:^| )(?:-s|--src-range|--match-set \S+ src)(?: |$)/.test(text) &&
    !/! -s /.test(text);
  const isLoopback = /(?:^|[^!] )-i lo(?: |$)/.test(text);
  const isOtherProtocol = /(?:^|[^!] )-p (?!udp|tcp|all|0)\S+/.test(text);
  return !hasSource && !isLoopback && !isOtherProtocol;
}

function hasOnlyPrivilegedPorts({ text }: Rule): boolean {
  const [, ports] = /(?:^|[^!] )--(?:dport|dports|ports) (\S+)/.exec(text) ?? [];
  if (ports === undefined) return false;
  return ports.split(/[,:]/).every((port) => Number(port) < UNPRIVILEGED_PORT);
}

/** Whether a rule accepts what belongs to connections that are known already. */
export function isEstablished({ text }: Rule): boolean {
  return /--(?:ct)?state \S*ESTABLISHED/.test(text);
}
