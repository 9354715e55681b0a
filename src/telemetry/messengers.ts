/**
 * What is told of those who are told of what happens.
 *
 * @module
 */

import { fixOf } from "../text/fix.ts";
import { describeDuration } from "../penalties/reason.ts";
import { escapeControls } from "../text/escape.ts";
import { counted, type Style } from "../text/table.ts";
import type { MessengerState } from "./messages/messenger.ts";

/** Longest cause of a trouble with what mends it, in characters. */
const CAUSE_CHARACTERS_MAX = 600;

/** A messenger as the status has it. Times are ISO 8601 in UTC, or null. */
export interface ShownMessenger {
  readonly name: string;
  readonly format: MessengerState["format"];
  /** Messages that it took since it is configured so. */
  readonly delivered: number;
  /** Events that were not told: they waited too long, or were too many. */
  readonly dropped: number;
  /** Events that wait to be told. */
  readonly waiting: number;
  readonly lastAt: string | null;
  /** Why the last try was in vain; null if it was not. */
  readonly trouble: string | null;
  /** What mends that. */
  readonly advice: string;
}

/**
 * Messengers for the status.
 *
 * @param states How they are.
 */
export function shownMessengers(states: readonly MessengerState[]): ShownMessenger[] {
  return states.map(({ trouble, lastAt, ...state }) => ({
    ...state,
    lastAt: lastAt === undefined ? null : new Date(lastAt).toISOString(),
    trouble: trouble?.why ?? null,
    advice: trouble?.advice ?? "",
  }));
}

/**
 * Messengers as rows of the status for people.
 *
 * @param messengers What the daemon says; `undefined` from one that does not tell it.
 * @param now Time of day, in milliseconds since 1970.
 * @param style Colours, or none.
 */
export function messengerRows(
  messengers: readonly ShownMessenger[] | undefined,
  now: number,
  style: Style,
): string[][] {
  const rows = (messengers ?? []).map((one) => {
    const { name, format, delivered, dropped, waiting, lastAt, trouble, advice } = one;
    const age = lastAt === null
      ? ""
      : `, the last one ${describeDuration(Math.max(0, now - Date.parse(lastAt)) / 1000)} ago`;
    const counts = `${counted(delivered, "message")} taken${age}` +
      (waiting === 0 ? "" : `, ${counted(waiting, "event")} waiting`) +
      (dropped === 0 ? "" : `, ${style.bad(`${counted(dropped, "event")} not told`)}`);
    if (trouble === null) return `${name} (${format}): ${counts}`;
    const why = trouble + fixOf(advice);
    return `${name} (${format}): ${style.bad("failing")}: ${
      escapeControls(why, CAUSE_CHARACTERS_MAX)
    }; ${counts}`;
  });
  return rows.map((row, index) => [index === 0 ? "Messages" : "", row]);
}
