/** The documentation as one site: each link between its pages leads somewhere. */

import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { PROJECT } from "../../tools/compile.ts";
import { pages } from "./blocks.ts";

/** Links of Markdown, but not those in code. */
function linksIn(text: string): string[] {
  const prose = text.replace(/^\s*```.*?^\s*```$/gms, "").replace(/`[^`\n]*`/g, "`");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
}

/** The anchors of a page's headings, as web sites for repositories make them. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replace(/^```.*?^```$/gms, "").matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, title]) =>
      title!.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")
    ),
  );
}

function read(page: string): Promise<string> {
  return Deno.readTextFile(join(PROJECT, page));
}

Deno.test("docs: each link to a file or a heading leads there", async () => {
  const dead: string[] = [];
  for (const page of pages()) {
    for (const link of linksIn(await read(page))) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path, anchor] = link.split("#") as [string, string | undefined];
      const target = path === "" ? page : relative(PROJECT, join(PROJECT, dirname(page), path));
      const text = await read(target).catch(async () => {
        await Deno.stat(join(PROJECT, target)).catch(() => dead.push(`${page}: ${link}`));
        return "";
      });
      if (anchor !== undefined && !anchorsOf(text).has(anchor)) dead.push(`${page}: ${link}`);
    }
  }
  assert.equal(dead.join("\n"), "");
});
