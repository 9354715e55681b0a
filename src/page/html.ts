/**
 * Text as HTML: what a template is given is escaped, unless it is HTML already.
 *
 * @module
 */

import { escapeControls } from "../text/escape.ts";

/** Longest text that is shown of anything, in UTF-16 units. */
const TEXT_MAX = 1_000;

/** HTML that is whole: nothing in it has to be escaped any more. */
export class Html {
  /** The text. */
  readonly text: string;

  /** @param text Whole HTML. */
  constructor(text: string) {
    this.text = text;
  }

  /** The text. */
  toString(): string {
    return this.text;
  }
}

/** What a template takes. */
type Part = Html | string | number | undefined | readonly Part[];

/** Nothing. */
export const NOTHING = new Html("");

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Makes HTML of a template: each value is escaped, and what cannot be seen in it becomes visible,
 * as in the log. Attributes have to stand in double quotes. Line ends with what is around them are
 * left out beside tags and values.
 *
 * @param strings The template.
 * @param values What is put in: texts, numbers, HTML, lists of these, or nothing.
 *
 * @example
 * ```ts
 * import { markup } from "./html.ts";
 *
 * markup`<td title="${'"'}">${"<b>"}</td>`.text; // '<td title="&quot;">&lt;b&gt;</td>'
 * ```
 */
export function markup(strings: TemplateStringsArray, ...values: readonly Part[]): Html {
  let parts = TIGHT.get(strings);
  if (parts === undefined) TIGHT.set(strings, parts = strings.map(tight));
  let text = parts[0]!;
  for (let i = 0; i < values.length; i++) text += textOf(values[i]) + parts[i + 1]!;
  return new Html(text);
}

/** Templates as they are sent. */
const TIGHT = new WeakMap<TemplateStringsArray, string[]>();

/** Lines are for who reads the template: between tags they mean nothing, else a blank. */
function tight(text: string): string {
  return text.replace(/\s*\n\s*/g, (_, at: number) => {
    const [before, after] = [text.slice(0, at), text.slice(at).trimStart()];
    const isEdge = before === "" || after === "" || before.endsWith(">") || after.startsWith("<");
    return isEdge ? "" : " ";
  });
}

function textOf(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "number") return String(part);
  if (typeof part !== "string") return part.map(textOf).join("");
  return escapeControls(part, TEXT_MAX).replace(/[&<>"']/g, (character) => ESCAPES[character]!);
}
