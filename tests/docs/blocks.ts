/**
 * The commands that README and docs/ tell, taken out of their pages.
 *
 * @module
 */

import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";

/** Commands that stand together. */
export interface Block {
  /** The page, below the project's folder. */
  readonly page: string;
  /** The line of its first command, from 1. */
  readonly line: number;
  readonly text: string;
}

/** The words behind a fence that say that commands for a shell follow. */
const SHELLS: ReadonlySet<string> = new Set(["sh", "bash", "shell", "console"]);

/** The pages, sorted. */
export function pages(): string[] {
  const docs = [...Deno.readDirSync(join(PROJECT, "docs"))].map(({ name }) => name);
  return [
    "README.md",
    ...docs.filter((name) => name.endsWith(".md")).sort().map((name) => `docs/${name}`),
  ];
}

/**
 * Finds the commands of a page.
 *
 * @param page Its name.
 * @param text Its text; a fence may be indented, as in a list.
 */
export function blocksOf(page: string, text: string): Block[] {
  const blocks: Block[] = [];
  let open:
    | { fence: string; indent: number; isShell: boolean; lines: string[]; line: number }
    | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const [, indent = "", fence = "", language = ""] = /^( *)(`{3,}) *([\w-]*)/.exec(line) ?? [];
    if (open === undefined) {
      if (fence === "") continue;
      const isShell = SHELLS.has(language);
      open = { fence, indent: indent.length, isShell, lines: [], line: index + 2 };
    } else if (fence.startsWith(open.fence)) {
      if (open.isShell) {
        blocks.push({ page, line: open.line, text: `${open.lines.join("\n")}\n` });
      }
      open = undefined;
    } else {
      const own = new RegExp(`^ {0,${open.indent}}`);
      open.lines.push(line.replace(own, ""));
    }
  }
  if (open !== undefined) throw new Error(`${page}: a fence is not closed (line ${open.line - 1})`);
  return blocks;
}

/** Programs whose commands stand in sentences, too, and can be run where Ampere is. */
const INLINE = /^(?:ampere|ip6?tables|ipset|nft|systemctl|journalctl) ./;

/** What a person puts something in the place of, or a part of a longer command. */
const OPEN = /…|\.\.\.|\b(?:FILE|ADDRESS|LENGTH|NAME|OLDNAME|DIR|CHAIN|X)\b/;

/** The commands that stand in sentences, each once, sorted; those that are whole. */
export function inlineCommands(): string[] {
  const found = pages().flatMap((page) => {
    const text = Deno.readTextFileSync(join(PROJECT, page)).replace(/^ *```.*?^ *```$/gms, "");
    return text.split(/\n\n+/).flatMap((paragraph) =>
      [...paragraph.matchAll(/(`+)([^`]+|.*?[^`])\1(?!`)/gs)].map(([, , code]) =>
        code!.replace(/\s+/g, " ").trim()
      )
    );
  });
  return [...new Set(found.filter((code) => INLINE.test(code) && !OPEN.test(code)))].sort();
}

/** All commands of all pages. */
export function allBlocks(): Block[] {
  return pages().flatMap((page) => blocksOf(page, Deno.readTextFileSync(join(PROJECT, page))));
}
