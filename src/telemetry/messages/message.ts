/**
 * A message to a person, before it has the form of a messenger.
 *
 * @module
 */

import type { Notice } from "../notice.ts";
import type { ShownDigest } from "./digest.ts";

/** What one message holds. */
export interface Message {
  /** The same for each try to deliver it, and for no other message. */
  readonly id: string;
  /** How a person is to take it; `test`: nothing has happened. */
  readonly kind: "urgent" | "prompt" | "digest" | "test";
  /** Without any text of strangers: `Ampere at pbx1: blocks are not in force`. */
  readonly title: string;
  /** Each is one line, in which strangers' texts are escaped; the most important ones first. */
  readonly lines: readonly string[];
  /** What it tells, for programs; what came beyond a bound is in the lines' last one alone. */
  readonly events: readonly Notice[];
  /** What it sums up, for programs. */
  readonly digest: ShownDigest | undefined;
  /** When it was made, ISO 8601. */
  readonly time: string;
}

/** Why a message was not taken. */
export interface SendFailure {
  /** In words without any part of a secret. */
  readonly why: string;
  /** What mends it, where that is known. */
  readonly advice?: string | undefined;
  /** It does not go away by waiting. */
  readonly lasting?: boolean | undefined;
  /** Some have it, and the others never will: another try would only hold up what comes next. */
  readonly taken?: boolean | undefined;
  /** The earliest time of a further try that the server asks for, in milliseconds from now. */
  readonly retryAfterMs?: number | undefined;
}

/** What takes messages: an HTTP server, or one of SMTP. */
export interface Sender extends Disposable {
  /** The part of its address that may be shown. */
  readonly shown: string;
  /**
   * Sends a message once. Never throws.
   *
   * @param message The message.
   * @param signal Ends it.
   * @returns Why it was not taken; `undefined` when it was.
   */
  send(message: Message, signal: AbortSignal): Promise<SendFailure | undefined>;
  /**
   * Goes as far as can be gone without sending anything.
   *
   * @param signal Ends it.
   * @returns What was proven, in words; or why not.
   */
  probe(signal: AbortSignal): Promise<{ readonly proven: string } | SendFailure>;
}

/**
 * As many lines of a message as fit.
 *
 * @param lines The lines.
 * @param max How much fits.
 * @param sizeOf How much a text takes.
 * @returns One text; when lines are missing, its last line says how many.
 */
export function fitted(
  lines: readonly string[],
  max: number,
  sizeOf: (text: string) => number,
): string {
  const all = lines.join("\n");
  if (sizeOf(all) <= max) return all;
  for (let kept = lines.length - 1; kept > 0; kept--) {
    const text = [...lines.slice(0, kept), `… ${lines.length - kept} more lines`].join("\n");
    if (sizeOf(text) <= max) return text;
  }
  let first = lines[0]!;
  while (sizeOf(first) > max) {
    first = `${[...first].slice(0, Math.floor([...first].length / 2)).join("")}…`;
  }
  return first;
}
