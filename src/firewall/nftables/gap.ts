/**
 * The way back: what passes of those who are refused for no guilt of their own.
 *
 * @module
 */

import { type Family, WIDTH } from "../../address/address.ts";
import type { Config } from "../../config/config.ts";
import { maskText, WORDS } from "./words.ts";

/** What passes of each host. */
export interface Gap {
  /** Packets in a minute. */
  readonly rate: number;
  /** To these ports. */
  readonly ports: readonly number[];
}

/** Whoever is silent for a minute may send as many at once again; no more hosts are counted. */
const FLAGS = "size 65535; flags dynamic,timeout; timeout 1m;";

/** Of IPv6 all addresses of a network of so many bits share the gap. */
const PREFIX: Readonly<Record<Family, number>> = { 4: 32, 6: 64 };

/**
 * The sets in which the kernel counts. By UDP a login is two packets, so that three may come at
 * once, and as many connections; within those it is a dozen packets by TLS.
 */
const KINDS = [
  { name: "udp", of: "udp", flags: "", factor: 1, burst: 3 },
  { name: "syn", of: "tcp", flags: "tcp flags & (syn | ack) == syn ", factor: 1, burst: 3 },
  { name: "tcp", of: "tcp", flags: "tcp flags & ack == ack ", factor: 6, burst: 24 },
] as const;

/**
 * What a configuration lets pass.
 *
 * @param config The configuration.
 * @returns `undefined`: nothing.
 */
export function gapOf(
  { softRate, sipPorts }: Pick<Config, "softRate" | "sipPorts">,
): Gap | undefined {
  return softRate === 0 ? undefined : { rate: softRate, ports: sipPorts };
}

/**
 * The sets that the gap of a family needs.
 *
 * @param family Which addresses.
 * @returns Each with what stands in the braces of its definition.
 */
export function gapSets(family: Family): [set: string, definition: string][] {
  return KINDS.map(({ name }) => [
    `gap${family}_${name}`,
    `type ${WORDS[family].type}; ${FLAGS}`,
  ]);
}

/**
 * The rules that let some packets pass, and no more; a set that is full lets none pass.
 *
 * @param gap What passes.
 * @param family Which addresses.
 */
export function gapRules({ rate, ports }: Gap, family: Family): string[] {
  const { source } = WORDS[family];
  const prefix = PREFIX[family];
  const key = prefix === WIDTH[family] ? source : `${source} & ${maskText(family, prefix)}`;
  return KINDS.map(({ name, of, flags, factor, burst }) =>
    `${of} dport { ${ports.join(", ")} } ${flags}update @gap${family}_${name} { ${key} limit rate ${
      factor * rate
    }/minute burst ${burst} packets } accept`
  );
}
