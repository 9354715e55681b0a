/**
 * Sets of intervals that others have made: nft reads all of their elements before it adds anything
 * anywhere, 200 ms for 50,000 (measured with 1.0.6 and 1.1.3).
 *
 * @module
 */

import { formatCount } from "../../text/table.ts";
import type { CommandResult } from "../command.ts";

/** From so many intervals on each change takes noticeably longer: about 20 ms. */
const MANY = 5_000;

/** Most sets that are counted. */
const COUNTED_MAX = 16;

/** How long the look at one set may take, in milliseconds. */
const LIST_MS = 10_000;

/** What can be done about such sets. */
export const FOREIGN_SETS_ADVICE = 'set "backend = ipset", which does not read them';

/** Runs nft. */
type RunNft = (
  args: readonly string[],
  options: { readonly output: true; readonly timeoutMs: number },
) => Promise<CommandResult>;

/**
 * Finds the sets that make changes slow. Sets with several fields are none of them.
 *
 * @param run Runs nft.
 * @returns Each with its family, table, name and number of elements, as text; the largest first.
 */
export async function findForeignSets(run: RunNft): Promise<string[]> {
  const found: [name: string, elements: number][] = [];
  for (const set of setsOf(await run(["-t", "-j", "list", "sets"], options()))) {
    const { family, table, name, type, flags } = set;
    if (typeof type !== "string" || !Array.isArray(flags) || !flags.includes("interval")) continue;
    const words = [family, table, name].filter(isPlain);
    if (words.length < 3 || found.length === COUNTED_MAX) continue;
    const [listed] = setsOf(await run(["-j", "list", "set", ...words], options()));
    if (Array.isArray(listed?.elem)) found.push([words.join(" "), listed.elem.length]);
  }
  return found.filter(([, elements]) => elements >= MANY).sort(([, a], [, b]) => b - a)
    .map(([name, elements]) => `${name} (${formatCount(elements)} elements)`);
}

function options(): { output: true; timeoutMs: number } {
  return { output: true, timeoutMs: LIST_MS };
}

/** The sets in an answer of nft. */
function setsOf({ ok, stdout }: CommandResult): Record<string, unknown>[] {
  if (!ok) return [];
  try {
    const { nftables } = JSON.parse(new TextDecoder().decode(stdout)) as { nftables: unknown };
    if (!Array.isArray(nftables)) return [];
    return nftables.flatMap(({ set }) => typeof set === "object" && set !== null ? [set] : []);
  } catch {
    return [];
  }
}

/**
 * Whether a word of others can be handed to nft as it is, which reads its arguments as commands.
 */
function isPlain(word: unknown): word is string {
  return typeof word === "string" && /^[A-Za-z_][\w.-]*$/.test(word);
}
