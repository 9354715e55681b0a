/**
 * Finds lines of more than 100 columns, and wraps comments:
 * `deno task columns [-- --write] [FILE…]`.
 *
 * Deno's formatter breaks code, but no comments and no literals. A line passes if what is left of
 * it without its strings, templates and regular expressions fits, and a comment passes if a word
 * without a space, such as a URL, is what is too long.
 *
 * With `--write` paragraphs of comments with a line that is too long are filled anew. Code fences,
 * tables, headings and directives stay as they are.
 *
 * @module
 */

import { resolve } from "node:path";
import ts from "typescript";
import { readOptions } from "./options.ts";
import { sourceFiles } from "./sources.ts";

/** Columns of a line, as in deno.json. */
const WIDTH = 100;

/** A piece of a text, from its first character to behind its last. */
type Span = { readonly start: number; readonly end: number };

/** A comment, or several of `//` one below the other. */
type Comment = Span & {
  readonly kind: "doc" | "line" | "behind code" | "other";
  /** What stands in front of it in its line. */
  readonly indent: string;
};

/** What the judge must know of a file. */
type Parts = { readonly literals: readonly Span[]; readonly comments: readonly Comment[] };

/** What must not be broken in two: a link of a doc comment, short code, or a word. */
const ATOM = /(?:\{@[^}]*\}|`[^`]{1,60}`|\S)+/g;

/** A list's item, with its marker. */
const ITEM = /^(\s*(?:[-*]|\d+\.)\s+)/;

/** What is no prose: tables, headings, and what is indented as code. */
const FIXED = /^\||^#|^ {4,}/;

/** What tools read in a comment: it may stand in one line only. */
const DIRECTIVE = /^(deno-|@ts-|\/|#)/;

/**
 * Finds the comments and literals of a file.
 *
 * @param text The source.
 * @returns Both, in order.
 */
function partsOf(text: string): Parts {
  const file = ts.createSourceFile("file.ts", text, ts.ScriptTarget.Latest, true);
  const literals: Span[] = [];
  const comments: Comment[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isJSDoc(node)) return;
    const children = node.getChildren(file);
    if (children.length > 0) return children.forEach(visit);
    const start = node.getStart(file);
    const isLiteral = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) ||
      ts.isTemplateMiddleOrTemplateTail(node) || ts.isRegularExpressionLiteral(node);
    if (isLiteral) literals.push({ start, end: node.end });
    const trivia = text.slice(node.getFullStart(), start);
    for (const match of trivia.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*/g)) {
      addComment(comments, text, node.getFullStart() + match.index, match[0]);
    }
  };
  visit(file);
  return { literals, comments };
}

function addComment(comments: Comment[], text: string, start: number, comment: string): void {
  const end = start + comment.length;
  const indent = text.slice(text.lastIndexOf("\n", start - 1) + 1, start);
  const last = comments.at(-1);
  if (indent.trim() !== "") comments.push({ kind: "behind code", indent, start, end });
  else if (comment.startsWith("/**")) comments.push({ kind: "doc", indent, start, end });
  else if (comment.startsWith("/*")) comments.push({ kind: "other", indent, start, end });
  else if (last?.kind === "line" && text.slice(last.end, start) === `\n${indent}`) {
    comments[comments.length - 1] = { ...last, end };
  } else comments.push({ kind: "line", indent, start, end });
}

/**
 * Finds the lines that are too long.
 *
 * @param text The source.
 * @returns Their numbers, counted from 1, and how long they are.
 */
function findLongLines(text: string): { readonly line: number; readonly columns: number }[] {
  const { literals, comments } = partsOf(text);
  const long = [];
  let start = 0;
  for (const [index, content] of text.split("\n").entries()) {
    const line = { start, end: start + content.length };
    start = line.end + 1;
    if (content.length <= WIDTH) continue;
    const comment = comments.find((one) => overlap(one, line) > 0);
    const fits = comment === undefined || comment.kind === "behind code"
      ? content.length - literals.reduce((sum, one) => sum + overlap(one, line), 0) <= WIDTH
      : isOneWord(content);
    if (!fits) long.push({ line: index + 1, columns: content.length });
  }
  return long;
}

function overlap(a: Span, b: Span): number {
  return Math.max(0, Math.min(a.end, b.end) - Math.max(a.start, b.start));
}

/** Whether a line of a comment holds nothing but one word, that cannot be broken. */
function isOneWord(line: string): boolean {
  return /^\s*(\/\/|\/?\*+)?\s*\S+(\s*\*\/)?$/.test(line);
}

/**
 * Wraps the comments of a file where a line of them is too long.
 *
 * @param text The source.
 * @returns The source with nothing changed but white space in and around these comments.
 */
function wrapComments(text: string): string {
  let result = "";
  let done = 0;
  for (const comment of partsOf(text).comments) {
    const lineEnd = (text + "\n").indexOf("\n", comment.start);
    const whole = comment.indent + text.slice(comment.start, Math.max(comment.end, lineEnd));
    if (!whole.split("\n").some((line) => line.length > WIDTH)) continue;
    const from = comment.start - comment.indent.length;
    result += text.slice(done, from) + wrapComment(comment, text.slice(comment.start, comment.end));
    done = comment.end;
  }
  return result + text.slice(done);
}

function wrapComment({ kind, indent }: Comment, text: string): string {
  if (kind === "line") return fill(linesOf(text, /^\s*\/\/ ?/), `${indent}// `).join("\n");
  if (kind === "doc") {
    const body = text.slice("/**".length, -"*/".length).replace(/^\n|\n\s*$/g, "").trimEnd();
    const lines = fill(linesOf(body, /^\s*(\* ?)?/), `${indent} * `);
    return [`${indent}/**`, ...lines, `${indent} */`].join("\n");
  }
  // Behind code it moves into a line of its own, in front of the code.
  if (kind === "behind code" && text.startsWith("//") && !DIRECTIVE.test(text.slice(3))) {
    const margin = /^\s*/.exec(indent)![0];
    const lines = fill(linesOf(text, /^\/\/ ?/), `${margin}// `);
    return `${lines.join("\n")}\n${indent.trimEnd()}`;
  }
  return indent + text;
}

function linesOf(text: string, prefix: RegExp): string[] {
  return text.split("\n").map((line) => line.replace(prefix, "").trimEnd());
}

/** Fills the paragraphs of a comment that have a line too long. */
function fill(lines: readonly string[], prefix: string): string[] {
  const width = WIDTH - prefix.length;
  const filled: string[] = [];
  let paragraph: string[] = [];
  let fence = false;
  const flush = (): void => {
    const long = paragraph.some((line) => line.length > width);
    filled.push(...(long ? fillParagraph(paragraph, width) : paragraph));
    paragraph = [];
  };
  for (const line of lines) {
    const isFence = /^\s*```/.test(line);
    const isFixed = fence || isFence || line === "" || DIRECTIVE.test(line) ||
      (FIXED.test(line) && paragraph.length === 0);
    if (isFixed || ITEM.test(line) || line.startsWith("@")) flush();
    if (isFixed) filled.push(line);
    else paragraph.push(line);
    if (isFence) fence = !fence;
  }
  flush();
  return filled.map((line) => (prefix + line).trimEnd());
}

function fillParagraph(paragraph: readonly string[], width: number): string[] {
  const [first, second] = paragraph;
  const marker = ITEM.exec(first!)?.[1] ?? "";
  const own = /^\s*/.exec(second ?? "")![0];
  const hanging = first!.startsWith("@") ? "  " : " ".repeat(marker.length);
  const indent = second === undefined || own === "" ? hanging : own;
  const lines: string[] = [];
  let line = marker.trimEnd();
  let glue = marker.slice(line.length);
  for (const [atom] of paragraph.join(" ").slice(marker.length).matchAll(ATOM)) {
    // A word that begins as an item, a heading or a tag does would become one at a line's start.
    const isSafe = !/^([-*#|@+]|\d+\.$)/.test(atom);
    if (line.trim() !== "" && line.length + glue.length + atom.length > width && isSafe) {
      lines.push(line);
      line = indent + atom;
    } else line += glue + atom;
    glue = " ";
  }
  return [...lines, line];
}

async function main(): Promise<number> {
  const { values, positionals } = readOptions({
    options: { write: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const root = resolve(import.meta.dirname!, "..");
  let count = 0;
  for (const path of sourceFiles(root, positionals)) {
    let text = await Deno.readTextFile(resolve(root, path));
    if (values.write) {
      const wrapped = wrapComments(text);
      if (wrapped !== text) await Deno.writeTextFile(resolve(root, path), wrapped);
      text = wrapped;
    }
    for (const { line, columns } of findLongLines(text)) {
      console.log(`${path}:${line} has ${columns} columns`);
      count++;
    }
  }
  console.log(`${count} lines of more than ${WIDTH} columns`);
  return count === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
