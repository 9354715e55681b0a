/**
 * Makes new inputs of known ones: flips bits, cuts, joins, doubles, inserts.
 *
 * @module
 */

import type { Dice } from "../simulation/dice.ts";
import { SPLINTERS } from "./corpus.ts";

/** Longest input, in characters: longer than anything that is taken. */
const INPUT_MAX = 280_000;

/** Of so many inputs one is huge. */
const HUGE_ONE_IN = 400;

/**
 * A new input.
 *
 * @param corpus Known ones; one character a byte.
 * @param dice Decides what is done.
 * @returns A text of at most {@linkcode INPUT_MAX} characters.
 */
export function mutate(corpus: readonly string[], dice: Dice): string {
  let text = dice.pick(corpus);
  // Most of what is nearly right is found with few changes.
  const changes = dice.pick([0, 1, 1, 1, 2, 2, 3, 5, 12]);
  for (let i = 0; i < changes; i++) text = change(text, corpus, dice);
  if (dice.int(1, HUGE_ONE_IN) === 1) text = huge(text, dice);
  return text.slice(0, INPUT_MAX);
}

function change(text: string, corpus: readonly string[], dice: Dice): string {
  const at = dice.int(0, text.length);
  const length = dice.pick([1, 1, 2, 4, dice.int(0, 40), dice.int(0, text.length)]);
  const end = Math.min(text.length, at + length);
  const before = text.slice(0, at);
  const after = text.slice(end);
  const some = text.slice(at, end);
  switch (dice.int(0, 10)) {
    case 0: // a bit
      if (at === text.length) return text;
      return before + String.fromCharCode(text.charCodeAt(at) ^ (1 << dice.int(0, 7))) +
        text.slice(at + 1);
    case 1: // a byte
      return before + String.fromCharCode(dice.int(0, 255)) + text.slice(at + 1);
    case 2:
      return before + after;
    case 3:
      return before + some + some + after;
    case 4:
      return before + dice.pick(SPLINTERS) + text.slice(at);
    case 5:
      return before + dice.pick(SPLINTERS) + after;
    case 6: { // another input's end
      const other = dice.pick(corpus);
      return before + other.slice(dice.int(0, other.length));
    }
    case 7: { // a piece of another input
      const other = dice.pick(corpus);
      const from = dice.int(0, other.length);
      return before + other.slice(from, from + dice.int(0, 60)) + text.slice(at);
    }
    case 8:
      return before;
    case 9:
      return swapLines(text, dice);
    default: // somewhere else
      return after.slice(0, dice.int(0, after.length)) + before + some;
  }
}

function swapLines(text: string, dice: Dice): string {
  const lines = text.split(/(?<=\n)/);
  const [a, b] = [dice.int(0, lines.length - 1), dice.int(0, lines.length - 1)];
  [lines[a], lines[b]] = [lines[b]!, lines[a]!];
  return lines.join("");
}

function huge(text: string, dice: Dice): string {
  const at = dice.int(0, text.length);
  const piece = dice.pick([
    "A",
    "\r",
    "\n",
    "\r\nA",
    "1",
    " ",
    '"',
    "\\",
    "A: b\r\n",
    ...SPLINTERS,
  ]);
  const length = dice.pick([300, 5_000, 65_530, 70_000, 131_000, 200_000]);
  const filling = piece.repeat(Math.ceil(length / piece.length)).replaceAll("\r\n\r\n", "\r\n");
  return text.slice(0, at) + filling + text.slice(at);
}
