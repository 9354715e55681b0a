/** The commands that a page of the documentation tells, so that the tests run just these. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";

/**
 * The one block of commands of a page in which a line is.
 *
 * @param page the page, below the project's folder
 * @param pattern the line
 */
export function commandsOf(page: string, pattern: RegExp): string {
  const text = Deno.readTextFileSync(join(PROJECT, page));
  const found = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, lines]) => lines!)
    .filter((lines) => pattern.test(lines));
  assert.equal(found.length, 1, `${page}: ${pattern}`);
  return found[0]!;
}
