/**
 * Text that strangers may have written, made safe for a line, a log and a terminal.
 *
 * @module
 */

/** Longest text that {@linkcode escapeText} lets through unless told otherwise, in UTF-16 units. */
const ESCAPED_TEXT_MAX = 200;

/**
 * Everything that must not reach a terminal or a log as it is: control characters (C0, DEL, C1),
 * invisible format characters (bidi overrides and marks, zero-width characters, tags, and what
 * Unicode keeps for more of them), line and paragraph separators, surrogates without a partner.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;

const ELLIPSIS = "…";

/**
 * Makes any text safe between double quotes in one line of a log, so that it is plain where it ends
 * and what it was: control characters, line separators, invisible format characters (bidi overrides
 * among them) and lone surrogates become `\x1b`, `\u202e` or `\u{e0001}`; `\` and `"` get a `\`
 * before them. What is longer than `maxLength` ends in `…`.
 *
 * @param text Any text, for example an account name that a stranger sent.
 * @param maxLength Longest result in UTF-16 units, the ellipsis included; at least 1.
 * @returns The text in one line, without quotes around it. Neither an escape nor a character of two
 *   units is cut in the middle.
 *
 * @example
 * ```ts
 * import { escapeText } from "./escape.ts";
 *
 * escapeText('a"b\r\nEvent: Shutdown'); // 'a\\"b\\x0d\\x0aEvent: Shutdown'
 * ```
 */
export function escapeText(text: string, maxLength = ESCAPED_TEXT_MAX): string {
  if (text.length <= maxLength && HARMLESS.test(text)) return text;
  return build(text, maxLength, (character) => {
    if (character === "\\" || character === '"') return `\\${character}`;
    return UNSAFE.test(character) ? escapeOf(character) : character;
  });
}

/** Printable ASCII without quotes and backslashes: most of what there is. */
const HARMLESS = /^[ !#-[\]-~]*$/;

/**
 * Makes what cannot be seen visible, as {@linkcode escapeText} does, and leaves quotes and
 * backslashes: for messages, commands, and text whose parts are escaped already.
 *
 * @param text Any text.
 * @param maxLength Longest result in UTF-16 units, the ellipsis included; at least 1.
 * @returns The text in one line. Neither an escape nor a character of two units is cut in the
 *   middle.
 */
export function escapeControls(text: string, maxLength: number): string {
  if (text.length <= maxLength && !UNSAFE.test(text)) return text;
  return build(
    text,
    maxLength,
    (character) => UNSAFE.test(character) ? escapeOf(character) : character,
  );
}

/**
 * Writes what cannot be seen in a text of JSON as escapes, so that whoever reads it line by line,
 * on a terminal or by Unicode's line ends, gets each object in one piece. It means the same as
 * before.
 *
 * @param json A text of `JSON.stringify`, without white space around its parts.
 */
export function escapeInJson(json: string): string {
  if (!UNSAFE.test(json)) return json;
  let result = "";
  for (const character of json) {
    if (!UNSAFE.test(character)) result += character;
    else {
      for (let i = 0; i < character.length; i++) {
        result += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
      }
    }
  }
  return result;
}

/** Joins the pieces for each character of a text, with an ellipsis if they become too long. */
function build(text: string, maxLength: number, pieceOf: (character: string) => string): string {
  const limit = Math.max(1, maxLength);
  let result = "";
  let lengthForEllipsis = 0; // of the longest part that leaves room for the ellipsis
  for (const character of text) {
    result += pieceOf(character);
    if (result.length > limit) return result.slice(0, lengthForEllipsis) + ELLIPSIS;
    if (result.length + ELLIPSIS.length <= limit) lengthForEllipsis = result.length;
  }
  return result;
}

/** The visible escape of one character. */
function escapeOf(character: string): string {
  const hex = character.codePointAt(0)!.toString(16);
  if (hex.length <= 2) return `\\x${hex.padStart(2, "0")}`;
  return hex.length <= 4 ? `\\u${hex.padStart(4, "0")}` : `\\u{${hex}}`;
}
