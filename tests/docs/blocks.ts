/**
 * The commands that the documentation tells people to type.
 *
 * @module
 */

import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";

/** A command of a page. */
export interface DocumentedCommand {
  /** The page, relative to the project. */
  readonly page: string;
  /** The line on which it begins, from 1 on. */
  readonly line: number;
  /** One command, perhaps over several lines, as a person would type it into bash. */
  readonly text: string;
  /** Why it cannot be run here, if a comment `<!-- not run: WHY -->` before its block says so. */
  readonly reason: string | undefined;
}

const FENCE = /^\s*```(\S*)/;
const NOT_RUN = /^\s*<!-- not run: (.+?) -->$/;

/** All pages, relative to the project. */
export async function pages(): Promise<string[]> {
  const names = ["README.md"];
  for await (const { name } of Deno.readDir(join(PROJECT, "docs"))) {
    if (name.endsWith(".md")) names.push(`docs/${name}`);
  }
  return names.sort();
}

/**
 * The commands in the blocks of a page that are marked as `sh`, `bash` or `console`.
 *
 * @param page Its name, for messages.
 * @param text What is in it.
 * @throws {Error} When the shell does not understand one.
 */
export function commandsIn(page: string, text: string): DocumentedCommand[] {
  const commands: DocumentedCommand[] = [];
  const lines = text.split("\n");
  let reason: string | undefined;
  for (let i = 0; i < lines.length; i++) {
    const fence = FENCE.exec(lines[i]!);
    if (fence === null) {
      const said = NOT_RUN.exec(lines[i]!)?.[1];
      if (said !== undefined || lines[i]!.trim() !== "") reason = said;
      continue;
    }
    const end = lines.findIndex((line, at) => at > i && FENCE.test(line));
    if (end < 0) throw new Error(`${page}:${i + 1}: the block has no end`);
    if (["sh", "bash", "console"].includes(fence[1]!)) {
      commands.push(...split(page, lines.slice(i + 1, end), i + 2, reason));
    }
    i = end;
    reason = undefined;
  }
  return commands;
}

/** A command ends with the line after which the shell wants no more. */
function split(
  page: string,
  lines: readonly string[],
  first: number,
  reason: string | undefined,
): DocumentedCommand[] {
  const commands: DocumentedCommand[] = [];
  const indent = Math.min(...lines.filter((line) => line.trim()).map((line) => line.search(/\S/)));
  let text = "";
  let line = first;
  for (const [i, raw] of lines.entries()) {
    if (text === "") line = first + i;
    text += `${raw.slice(indent)}\n`;
    if (/^\s*(#.*)?\s*$/.test(text)) text = "";
    else if (!/[\\|]\s*$/.test(raw) && isWhole(text)) {
      commands.push({ page, line, text: text.trim(), reason });
      text = "";
    }
  }
  if (text !== "") throw new Error(`${page}:${line}: the shell does not understand: ${text}`);
  return commands;
}

function isWhole(text: string): boolean {
  return new Deno.Command("bash", { args: ["-n", "-c", text], stderr: "null" }).outputSync()
    .success;
}
