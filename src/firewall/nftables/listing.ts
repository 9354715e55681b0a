/**
 * Reads what `nft -s list table` prints, and compares it with a layout.
 *
 * Each version of nft prints rules a little differently, so they are not compared letter by letter:
 * a rule is Ampere's if it looks at the right set and does the right thing.
 *
 * @module
 */

import { eachLine, readTarget } from "../chain.ts";
import { type Generation, Layout, MARKS, tableOf } from "./layout.ts";
import { type Family, parseTarget } from "../../address/address.ts";
import type { Action } from "../../config/config.ts";
import { type Listing, SOFT } from "../backend.ts";
import type { Gap } from "./gap.ts";

/** A set as it is listed. */
interface ListedSet {
  /** Its elements, each without what is behind its address. */
  readonly elements: string[];
  /** Whether its elements may have an end. */
  isTimed: boolean;
}

/** The table as it is listed. */
interface ListedTable {
  /** The rules of each chain, the line of the hook included. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** The sets. */
  readonly sets: ReadonlyMap<string, ListedSet>;
  /** It is switched off. */
  readonly isDormant: boolean;
}

/**
 * Reads a table; other work gets its turn in between.
 *
 * @param bytes What `nft -s list table` or `nft -t list ruleset` printed.
 * @param name The table's name.
 */
export async function readTable(bytes: Uint8Array, name: string): Promise<ListedTable> {
  const begin = `table ${tableOf(name)} {`;
  let isInside = false;
  const chains = new Map<string, string[]>();
  const sets = new Map<string, ListedSet>();
  let isDormant = false;
  let rules: string[] | undefined;
  let set: ListedSet | undefined;
  let isElement = false;
  await eachLine(bytes, (line) => {
    if (!line.startsWith("\t")) isInside = line.startsWith(begin);
    else if (!isInside) return;
    else if (line === "\t}") {
      rules = set = undefined;
      isElement = false;
    } else if (rules !== undefined) {
      rules.push(line.trim());
    } else if (set !== undefined) {
      let rest = line.trim();
      if (rest.startsWith("elements = {")) {
        isElement = true;
        rest = rest.slice("elements = {".length);
      } else if (!isElement) {
        if (/^flags\b.*\btimeout\b/.test(rest)) set.isTimed = true;
        return;
      }
      for (const element of rest.split(",")) {
        const [key = ""] = element.trim().split(/[ }]/, 1);
        if (key !== "") set.elements.push(key);
      }
    } else {
      const [, kind, name] = /^\t(chain|set) (\S+) \{$/.exec(line) ?? [];
      if (kind === "chain") chains.set(name!, rules = []);
      else if (kind === "set") sets.set(name!, set = { elements: [], isTimed: false });
      else if (/^\tflags\b.*\bdormant\b/.test(line)) isDormant = true;
    }
  });
  return { chains, sets, isDormant };
}

/**
 * Tells which generation of sets the rules of a family look at.
 *
 * @param table The table.
 * @param family Which addresses.
 */
function generationOf({ chains }: ListedTable, family: Family): Generation {
  const rules = chains.get(new Layout("", family).chains.from) ?? [];
  return rules.some((rule) => rule.includes(`@hosts${family}b `)) ? "b" : "";
}

/**
 * Compares a table with what it is to be.
 *
 * @param table The table.
 * @param name The table's name.
 * @param family Which addresses.
 * @param wanted What becomes of the packets of blocked hosts, and what of them passes.
 * @returns What it holds, and the layout that is there.
 */
export function readListing(
  table: ListedTable,
  name: string,
  family: Family,
  wanted: { readonly action: Action; readonly gap?: Gap | undefined },
): { readonly listing: Omit<Listing, "mark">; readonly layout: Layout } {
  const { action, gap } = wanted;
  const layout = new Layout(name, family, generationOf(table, family), action, gap);
  const targets = new Map<string, number>();
  const exceptions = new Set<string>();
  let whole = !table.isDormant && table.sets.get(MARKS)?.isTimed === true;
  // A set that no rule looks at blocks nobody.
  for (const chain of [layout.chains.from, layout.chains.networks]) {
    for (const rule of table.chains.get(chain) ?? []) {
      const { purpose, suffix = "" } = layout.readSet(/@(\S+)/.exec(rule)?.[1] ?? "") ?? {};
      if (purpose !== undefined) layout.make(suffix, purpose);
    }
  }
  const nearThere = new Set(table.sets.get(layout.near)?.elements);
  for (const [set, { elements, isTimed }] of table.sets) {
    const { purpose, suffix = "" } = layout.readSet(set) ?? {};
    if (purpose === undefined || !layout.has(suffix, purpose)) continue;
    if (purpose === "refuse" && !isTimed) whole = false;
    for (const element of elements) {
      const target = readTarget(element + suffix, family);
      // A set of another type, or of ranges.
      if (target === undefined || (suffix !== "" && parseTarget(target) === undefined)) {
        whole = false;
      } else if (purpose === "pass") exceptions.add(target);
      else if (purpose === "soft") exceptions.add(SOFT + target);
      else {
        targets.set(target, 1);
        if (!layout.nearOf(target).every((near) => nearThere.has(near))) whole = false;
      }
    }
  }
  for (const set of layout.setNames) if (!table.sets.has(set)) whole = false;
  const strangers: string[] = [];
  for (const [chain, expected] of Object.entries(layout.rules())) {
    const there = [...table.chains.get(chain) ?? []];
    if (chain === "incoming") {
      const hook = there.shift();
      if (hook === undefined || !/^type filter hook prerouting priority .*accept;$/.test(hook)) {
        whole = false;
      }
    }
    for (const rule of expected) {
      const at = there.findIndex((other) => isAlike(other, rule));
      if (at < 0) whole = false;
      else there.splice(at, 1);
    }
    for (const rule of there) strangers.push(`${chain}: ${rule}`);
  }
  return { listing: { targets, exceptions, strangers, whole }, layout };
}

/** What nft writes of a rule that refuses and of what it has counted, not of one that lets pass. */
const REFUSED = /\bcounter packets (\d+) bytes \d+ (?:reject|drop)\b/;

/**
 * Counts the packets that the rules of a family have refused.
 *
 * @param table The table, listed with its counters.
 * @param name The table's name.
 * @param family Which addresses.
 */
export function refusedIn(table: ListedTable, name: string, family: Family): number {
  const layout = new Layout(name, family, generationOf(table, family));
  let packets = 0;
  for (const chain of [layout.chains.from, layout.chains.networks]) {
    for (const rule of table.chains.get(chain) ?? []) {
      const { purpose } = layout.readSet(/@(\S+)/.exec(rule)?.[1] ?? "") ?? {};
      if (purpose === "refuse") packets += Number(REFUSED.exec(rule)?.[1] ?? 0);
    }
  }
  return packets;
}

/** Whether a rule looks at the same set, through the same mask, and does the same. */
function isAlike(listed: string, rule: string): boolean {
  return signOf(listed) === signOf(rule);
}

/** What matters of a rule, whichever version of nft printed it. */
function signOf(rule: string): string {
  const [, set] = /@(\S+)/.exec(rule) ?? [];
  // That of the address; behind the set there may be others.
  const [, mask] = /^[^@]*?& (\S+)/.exec(rule) ?? [];
  const [verb] = /\b(?:accept|reject|goto \S+|jump \S+|drop)\b/.exec(rule) ?? [];
  const [meta] = /^(?:iif\S* \S+|meta nfproto \S+)/.exec(rule) ?? [];
  return [meta, mask, set, verb].join(" ");
}
