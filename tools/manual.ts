/**
 * The manual page of the configuration, ampere.cfg(5), made of the comments in ampere.cfg, so that
 * the two cannot differ.
 *
 * @module
 */

import { join } from "node:path";
import { PROJECT } from "./compile.ts";

/** A heading: `# --- Title ----`. */
const HEADING = /^# --- (.*?) -+$/;

/** A key with its default or its example. */
const KEY = /^;?([a-z][a-z0-9_]*) = (.*)$/;

/** What roff would take for its own. */
function escapeRoff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/, "\\&");
}

/** A comment's lines as text of a page; lines of an example stay lines. */
function paragraph(lines: readonly string[]): string {
  const words: string[] = [];
  let isExample = false;
  for (const line of lines) {
    const example: boolean = /^(\[|[a-z_]+ = )/.test(line) || (isExample && line === "");
    if (example !== isExample) words.push(example ? ".EX" : ".EE");
    isExample = example;
    if (line !== "" || example) words.push(line === "" ? "" : escapeRoff(line));
  }
  if (isExample) words.push(".EE");
  return words.join("\n");
}

/**
 * Makes the page.
 *
 * @param config The text of ampere.cfg.
 * @param version The version of Ampere.
 * @param date The date of the release.
 * @returns A page for man(1).
 */
export function configPage(config: string, version: string, date: Date): string {
  const day = date.toISOString().slice(0, 10);
  const page = [
    `.TH AMPERE.CFG 5 "${day}" "Ampere ${version}" "File formats"`,
    ".SH NAME",
    "ampere.cfg \\- configuration of ampere(8)",
    ".SH DESCRIPTION",
  ];
  for (const block of config.trimEnd().split("\n\n")) {
    const lines = block.split("\n");
    const heading = HEADING.exec(lines[0]!)?.[1];
    if (heading !== undefined) {
      page.push(`.SH "${heading.toUpperCase()}"`);
      lines.shift();
    }
    if (lines.length === 0) continue;
    const keys = lines.flatMap((line) => KEY.exec(line)?.[1] ?? []);
    const names = [...new Set(keys)].map((key) => `.B ${key}`).join("\n.br\n");
    if (names !== "") page.push(".TP", names.replaceAll(/\n\.br\n\.B /g, ", "));
    const comment = lines.filter((line) => line.startsWith("#"));
    page.push(paragraph(comment.map((line) => line.replace(/^# ?/, ""))));
  }
  page.push(
    ".SH FILES",
    ".TP",
    ".I /etc/ampere/ampere.cfg",
    "The place of the file, which root alone may read, because it holds a secret.",
    ".SH SEE ALSO",
    ".BR ampere (8);",
    ".I /usr/share/doc/ampere/docs/configuration.md",
    "tells more about each key.",
    "",
  );
  return page.join("\n");
}

/** The page of this project. */
export async function projectConfigPage(version: string, date: Date): Promise<string> {
  return configPage(await Deno.readTextFile(join(PROJECT, "ampere.cfg")), version, date);
}
