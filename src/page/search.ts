/**
 * What visitors search blocks for.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";
import { AddressSet } from "../address/address_set.ts";
import type { Block } from "../blocks/block.ts";
import type { PlacesSource } from "../telemetry/places.ts";

/** Longest text that is searched for, in characters. */
const TEXT_MAX = 100;

/** What a text may be searched in. */
export const FIELDS = ["anything", "address", "account", "reason", "country"] as const;

/** One of the {@linkcode FIELDS}. */
type Field = typeof FIELDS[number];

/** A search. */
export interface Search {
  /** Empty: for nothing. */
  readonly text: string;
  readonly field: Field;
}

/**
 * Reads a search.
 *
 * @param query What the visitor asked for.
 */
export function readSearch(query: URLSearchParams): Search {
  const field = query.get("in");
  return {
    text: (query.get("q") ?? "").trim().slice(0, TEXT_MAX),
    field: FIELDS.find((one) => one === field) ?? "anything",
  };
}

/**
 * Makes a test of a search.
 *
 * @param search The search.
 * @param places Knows where hosts are.
 * @returns Whether a block is wanted; `undefined`: all are.
 *
 * @example
 * ```ts
 * import { testOf } from "./search.ts";
 *
 * const test = testOf({ text: "203.0.113.0/24", field: "anything" }, undefined)!;
 * const block = { since: 0, until: undefined, reason: "", service: "", transport: "", times: 1 };
 * test({ ...block, target: "203.0.113.5", account: "" }); // true
 * test({ ...block, target: "198.51.100.1", account: "203.0.113.0/24" }); // true
 * ```
 */
export function testOf(
  { text, field }: Search,
  places: PlacesSource | undefined,
): ((block: Block) => boolean) | undefined {
  if (text === "") return undefined;
  const isIn = containing(text);
  const inAddress = addressTest(text, isIn);
  // Without a file nobody is anywhere.
  const isCode = /^[A-Za-z]{2}$/.test(text) && places?.files !== undefined;
  const code = text.toUpperCase();
  const inCountry = (block: Block) => isCode && places.of(block.target)?.country === code;
  switch (field) {
    case "address":
      return inAddress;
    case "account":
      return ({ account }) => isIn(account);
    case "reason":
      return ({ reason }) => isIn(reason);
    case "country":
      return inCountry;
    case "anything":
      // Where somebody is takes longest to find out.
      return (block) =>
        inAddress(block) || isIn(block.reason) || isIn(block.account) || inCountry(block);
  }
}

/** An address or network that is written out means all that has an address in common with it. */
function addressTest(text: string, isIn: (text: string) => boolean): (block: Block) => boolean {
  const target = parseTarget(text);
  if (target === undefined) return ({ target }) => isIn(target);
  const set = new AddressSet([target]);
  const isHost = !target.includes("/");
  return (block) => {
    if (block.target === target) return true;
    // Most are hosts, and another host has nothing in common with this one.
    if (isHost && !block.target.includes("/")) return false;
    return set.overlaps(block.target);
  };
}

/** Without regard to case, and without making a text for each that is looked at. */
function containing(text: string): (text: string) => boolean {
  const pattern = new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "i");
  return (where) => pattern.test(where);
}

/**
 * The place that a page of the list begins or ends with.
 *
 * @param text As it stands in the address of the page.
 * @returns `undefined` if it is none.
 */
export function readPlace(text: string | null): { since: number; target: string } | undefined {
  const [, since, name = ""] = /^(\d{1,16})_(.{1,60})$/.exec(text ?? "") ?? [];
  const target = parseTarget(name);
  return since === undefined || target === undefined ? undefined : { since: Number(since), target };
}
