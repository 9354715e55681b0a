/**
 * What is told of the blocks that several PBXs share.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import { type RefusalReason, refusalWords } from "../fleet/engine.ts";
import type { FleetState } from "../fleet/fleet.ts";
import { describeDuration } from "../penalties/reason.ts";
import { escapeControls, escapeText } from "../text/escape.ts";
import { counted, type Style } from "../text/table.ts";

/** Longest cause of a trouble with what mends it, in characters. */
const CAUSE_CHARACTERS_MAX = 600;

/** A node that was not heard of for so long is told as away, in milliseconds. */
const AWAY_MS = 60_000;

/** The fleet as the status has it. Times are ISO 8601 in UTC, or null. */
export interface ShownFleet {
  readonly node: string;
  readonly engine: string;
  readonly connectedSince: string | null;
  readonly trouble: { readonly message: string; readonly advice: string } | null;
  readonly nodes: readonly {
    readonly node: string;
    readonly seenAt: string;
    readonly version: string;
    readonly own: number;
    readonly theirs: number;
    readonly outbox: number;
  }[];
  /** Own blocks that are shared. */
  readonly own: number;
  /** Blocks of others, by their nodes. */
  readonly theirs: Readonly<Record<string, number>>;
  readonly outbox: number;
  readonly dropped: number;
  /** Blocks of others that were not applied here, by the reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** The last own blocks that were not applied elsewhere. */
  readonly notApplied: readonly {
    readonly target: string;
    readonly node: string;
    readonly why: RefusalReason;
  }[];
  readonly clockAheadMs: number;
  readonly lagMs: number;
}

/**
 * The fleet for the status.
 *
 * @param state What the daemon knows; `undefined` without one.
 */
export function shownFleet(state: FleetState | undefined): ShownFleet | null {
  if (state === undefined) return null;
  const { node, engine, connectedSince, trouble, nodes, own, theirs, outbox, dropped } = state;
  return {
    node,
    engine,
    connectedSince: connectedSince === undefined ? null : new Date(connectedSince).toISOString(),
    trouble: trouble ?? null,
    nodes: nodes.map(({ at, ...info }) => ({ ...info, seenAt: new Date(at).toISOString() })),
    own,
    theirs: Object.fromEntries(theirs),
    outbox,
    dropped,
    refused: { ...state.refusals },
    notApplied: state.notApplied.map(({ target, node, why }) => ({ target, node, why })),
    clockAheadMs: state.clockAhead,
    lagMs: Math.round(state.lagMs * 10) / 10,
  };
}

/**
 * The fleet as rows of the status for people.
 *
 * @param fleet What the daemon says; `undefined` from one that does not tell it.
 * @param now Time of day, in milliseconds since 1970.
 * @param style Colours, or none.
 */
export function fleetRows(
  fleet: ShownFleet | null | undefined,
  now: number,
  style: Style,
): string[][] {
  if (fleet === undefined || fleet === null) return [];
  const { connectedSince, trouble, nodes, theirs, refused } = fleet;
  const state = connectedSince === null ? style.bad("not connected") : style.good("connected");
  const rows = [
    `${state} to ${escapeText(fleet.engine)} as ${fleet.node}; ${
      counted(fleet.own, "block")
    } of its own` +
    Object.entries(theirs).map(([node, count]) => `, ${count} from ${node}`).join("") +
    (connectedSince === null ? "" : `; the engine answers within ${fleet.lagMs} ms`),
  ];
  if (trouble !== null) {
    const { message, advice } = trouble;
    const why = message + fixOf(advice);
    rows.push(style.bad(escapeControls(why, CAUSE_CHARACTERS_MAX)));
  }
  if (fleet.outbox > 0) {
    const dropped = fleet.dropped === 0 ? "" : `, ${fleet.dropped} found no place`;
    rows.push(style.doubtful(`${counted(fleet.outbox, "change")} to be sent${dropped}`));
  }
  for (const one of nodes) {
    if (one.node === fleet.node) continue;
    const age = Math.max(0, now - fleet.clockAheadMs - Date.parse(one.seenAt));
    const seen = `seen ${describeDuration(age / 1000)} ago`;
    rows.push(
      `${escapeText(one.node)}: ${age > AWAY_MS ? style.doubtful(`away, ${seen}`) : seen}, ` +
        `${counted(one.own, "block")} of its own, ${one.theirs} of others` +
        (one.outbox === 0 ? "" : `, ${one.outbox} to be sent`),
    );
  }
  for (const [why, count] of Object.entries(refused)) {
    const words = refusalWords(why as RefusalReason).replace(/there( already)?$/, "here$1");
    rows.push(`${counted(count, "block")} of others not applied: ${words}`);
  }
  for (const { target, node, why } of fleet.notApplied) {
    rows.push(style.doubtful(`${target} is not blocked on ${node}: `) + refusalWords(why));
  }
  return rows.map((row, index) => [index === 0 ? "Fleet" : "", row]);
}
