/**
 * What is told of lists of attackers.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import type { FeedState } from "../feeds/feed.ts";
import { describeDuration } from "../penalties/reason.ts";
import { escapeControls, escapeText } from "../text/escape.ts";
import { counted, formatCount, type Style } from "../text/table.ts";

/** Longest cause of a trouble with what mends it, in characters. */
const CAUSE_CHARACTERS_MAX = 600;

/** A list, and what the kernel does with it. */
export interface ListState extends FeedState {
  /** Whether the kernel refuses the packets of those on it. */
  readonly inForce: boolean;
  /** What it has refused since it is in the kernel. */
  readonly packets: number;
}

/** All lists. */
export interface ListsState {
  readonly states: readonly ListState[];
  /** Why the kernel does not refuse who is listed; `undefined` if it does. */
  readonly trouble: { readonly message: string; readonly advice: string } | undefined;
}

/** Lists as the status has them. Times are ISO 8601 in UTC, or null. */
export interface ShownLists {
  readonly feeds: readonly ShownFeed[];
  /** Why the kernel does not refuse who is listed; null if it does. */
  readonly trouble: { readonly message: string; readonly advice: string } | null;
}

interface ShownFeed {
  readonly name: string;
  /** Without what may be a secret. */
  readonly url: string;
  readonly action: FeedState["action"];
  readonly for: FeedState["for"];
  readonly entries: number;
  readonly leftOut: number;
  readonly fetchedAt: string | null;
  readonly inForce: boolean;
  readonly packets: number;
  /** Why the last look was in vain; null if it was not. */
  readonly trouble: string | null;
  readonly advice: string;
}

/**
 * Lists for the status.
 *
 * @param lists What the daemon knows.
 */
export function shownLists({ states, trouble }: ListsState): ShownLists {
  return {
    feeds: states.map(({ told: _, fetchedAt, trouble, ...feed }) => ({
      ...feed,
      fetchedAt: fetchedAt === undefined ? null : new Date(fetchedAt).toISOString(),
      trouble: trouble ?? null,
    })),
    trouble: trouble ?? null,
  };
}

/**
 * Lists as rows of the status for people.
 *
 * @param lists What the daemon says; `undefined` from one that does not tell it.
 * @param now Time of day, in milliseconds since 1970.
 * @param style Colours, or none.
 */
export function listRows(lists: ShownLists | undefined, now: number, style: Style): string[][] {
  if (lists === undefined) return [];
  const rows = lists.feeds.flatMap((feed) => {
    const { name, action, entries, leftOut, fetchedAt, inForce, packets, trouble, advice } = feed;
    const age = fetchedAt === null
      ? style.doubtful("not fetched yet")
      : `fetched ${describeDuration(Math.max(0, now - Date.parse(fetchedAt)) / 1000)} ago`;
    const what = action === "strict"
      ? "strangers on it have one attempt"
      : inForce
      ? `${style.good("in force")}${feed.for === "sip" ? " for SIP" : ""}, ${
        counted(packets, "packet")
      } refused`
      : style.bad("not in force");
    const left = leftOut === 0 ? "" : `, ${formatCount(leftOut)} left out`;
    const line = `${name}: ${counted(entries, "entry", "entries")}${left}, ${age}; ${what}`;
    if (trouble === null) return [line];
    const why = trouble + fixOf(advice);
    return [
      line,
      `${style.bad("refused")}: ${escapeText(feed.url)}: ${
        escapeControls(why, CAUSE_CHARACTERS_MAX)
      }`,
    ];
  });
  if (lists.trouble !== null) {
    const { message, advice } = lists.trouble;
    const why = message + fixOf(advice);
    rows.push(style.bad(escapeControls(why, CAUSE_CHARACTERS_MAX)));
  }
  return rows.map((row, index) => [index === 0 ? "Lists" : "", row]);
}
