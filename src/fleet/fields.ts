/**
 * Facts as texts of the engine. Whatever is read there may have been written by anybody: only what
 * has the right form is taken.
 *
 * @module
 */

import {
  boundedText,
  boundedTime,
  isCanonical,
  NAME_MAX,
  TEXT_MAX,
  TIME_MAX,
} from "../blocks/block.ts";
import type { NodeInfo, RefusalReason, SharedBlock, SharedChange } from "./engine.ts";

/** A name of a node. */
const NODE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,30}[A-Za-z0-9])?$/;

/** Longest text that is read, in UTF-16 units. */
const VALUE_MAX = 4_096;

const REASONS: readonly RefusalReason[] = [
  "trusted",
  "own address",
  "good standing",
  "too wide",
  "fleet_max",
  "full",
  "clock",
];

/**
 * A block as the value of a record.
 *
 * @param block The block.
 */
export function valueOf(block: SharedBlock): string {
  const { at, since, end, reason, service, transport, account } = block;
  return JSON.stringify([
    at,
    since,
    end === Infinity ? null : end,
    boundedText(reason, TEXT_MAX),
    boundedText(service, NAME_MAX),
    boundedText(transport, NAME_MAX),
    boundedText(account, TEXT_MAX),
  ]);
}

/**
 * The name of a record.
 *
 * @param node Whose it is.
 * @param target Of what.
 */
export function recordName(node: string, target: string): string {
  return `${node} ${target}`;
}

/**
 * Reads a record.
 *
 * @param name Its name.
 * @param value Its value.
 * @returns `undefined` if it is none.
 */
export function readRecord(name: unknown, value: unknown): SharedBlock | undefined {
  if (typeof name !== "string") return undefined;
  const [node = "", target = "", ...rest] = name.split(" ");
  if (rest.length > 0 || !NODE_NAME.test(node) || !isCanonical(target)) return undefined;
  const row = rowIn(value);
  if (row === undefined || row.length < 7) return undefined;
  const [at, since, end, reason, service, transport, account] = row;
  if (!isTime(at) || !isTime(since) || !(end === null || isTime(end))) return undefined;
  const texts = [reason, service, transport, account];
  if (!texts.every((text) => typeof text === "string")) return undefined;
  return {
    node,
    target,
    at,
    since: boundedTime(since),
    end: end === null ? Infinity : end,
    reason: boundedText(String(reason), TEXT_MAX),
    service: boundedText(String(service), NAME_MAX),
    transport: boundedText(String(transport), NAME_MAX),
    account: boundedText(String(account), TEXT_MAX),
  };
}

/**
 * A change as the two texts of an entry of the stream.
 *
 * @param change The change.
 */
export function entryOf(change: SharedChange): [name: string, value: string] {
  if (change.kind === "block") {
    const { node, target } = change.block;
    return ["b", JSON.stringify([recordName(node, target), valueOf(change.block)])];
  }
  if (change.kind === "release") {
    return ["r", JSON.stringify([change.target, change.at, change.node])];
  }
  return ["n", JSON.stringify([change.target, change.node, change.origin, change.why])];
}

/**
 * Reads an entry of the stream.
 *
 * @param fields Its names and values, one behind the other.
 * @returns `undefined` if it is none.
 */
export function readEntry(fields: unknown): SharedChange | undefined {
  if (!Array.isArray(fields)) return undefined;
  const row = rowIn(fields[1]);
  if (row === undefined) return undefined;
  if (fields[0] === "b") {
    const block = readRecord(row[0], row[1]);
    return block && { kind: "block", block };
  }
  const [target] = row;
  if (typeof target !== "string" || !isCanonical(target)) return undefined;
  if (fields[0] === "r") {
    const [, at, node] = row;
    if (!isTime(at) || typeof node !== "string") return undefined;
    if (node !== "" && !NODE_NAME.test(node)) return undefined;
    return { kind: "release", target, at, node };
  }
  const [, node, origin, why] = row;
  const reason = REASONS.find((one) => one === why);
  if (fields[0] !== "n" || reason === undefined || !isName(node) || !isName(origin)) {
    return undefined;
  }
  return { kind: "refusal", target, node, origin, why: reason };
}

/**
 * Reads a deletion of the state.
 *
 * @param target The member.
 * @param score Its score.
 */
export function readDeletion(target: unknown, score: unknown): SharedChange | undefined {
  const at = Number(score);
  if (typeof target !== "string" || !isCanonical(target) || !isTime(at)) return undefined;
  return { kind: "release", target, at, node: "" };
}

/**
 * What a node tells of itself, as a text.
 *
 * @param info What.
 * @param process A random name of the process.
 */
export function infoText(info: NodeInfo, process: string): string {
  return JSON.stringify([info.at, info.version, info.own, info.theirs, info.outbox, process]);
}

/**
 * Whether what stands under a node's name was told by another process, and lately.
 *
 * @param value What is told there.
 * @param process A random name of this node's process.
 * @param since When this process has told it last, in milliseconds since 1970.
 */
export function isOthers(value: unknown, process: string, since: number): boolean {
  const [at, , , , , other] = rowIn(value) ?? [];
  return isTime(at) && at >= since && typeof other === "string" && other !== process;
}

/**
 * Reads what a node tells of itself.
 *
 * @param node Its name.
 * @param value What it tells.
 */
export function readInfo(node: unknown, value: unknown): NodeInfo | undefined {
  const [at, version, own, theirs, outbox] = rowIn(value) ?? [];
  if (!isName(node) || !isTime(at) || typeof version !== "string") return undefined;
  if (!isTime(own) || !isTime(theirs) || !isTime(outbox)) return undefined;
  return { node, at, version: boundedText(version, 40), own, theirs, outbox };
}

function rowIn(value: unknown): unknown[] | undefined {
  if (typeof value !== "string" || value.length > VALUE_MAX) return undefined;
  try {
    const row: unknown = JSON.parse(value);
    return Array.isArray(row) ? row : undefined;
  } catch {
    return undefined;
  }
}

function isName(value: unknown): value is string {
  return typeof value === "string" && NODE_NAME.test(value);
}

/** A whole number that a Date can hold. */
function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= TIME_MAX;
}
