/**
 * What README.md, docs/by-hand.md and docs/configuration.md tell to write into files and to run, so
 * that the tests do just that.
 */

import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";

const README = "README.md";
const BY_HAND = "docs/by-hand.md";

/** The lines of manager.conf that are needed. */
export const QUICK_MANAGER_CONF = block(BY_HAND, "ini", /^\[ampere\]$/m);

/** manager.conf with the further lines. */
export const MANAGER_CONF = QUICK_MANAGER_CONF + block(BY_HAND, "ini", /^eventfilter = /m);

/** The lines of ampere.cfg. */
export const AMPERE_CFG = block(BY_HAND, "ini", /^trust = /m);

/** The commands that set Ampere up. */
export const SETUP_COMMANDS = block(README, "sh", /^ampere --setup > /m).trim().split("\n");

/** The command that looks whether all is right. */
export const CHECK_COMMAND = block(BY_HAND, "sh", /^ampere --check$/m).trim();

/** The commands that make the chain of iptables. */
export const FIREWALL_COMMANDS = block(
  "docs/configuration.md",
  "sh",
  /^iptables -N ampere/m,
);

/** The dialplan that reports anonymous callers. */
export const DIALPLAN = block("docs/freepbx.md", "ini", /^\[ampere-report\]$/m);

function block(file: string, language: string, pattern: RegExp): string {
  // Blocks of lists are indented.
  const text = Deno.readTextFileSync(join(PROJECT, file)).replace(/^ {2}/gm, "");
  const found = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, kind, lines]) => kind === language && pattern.test(lines!));
  if (found.length !== 1) throw new Error(`${file} has ${found.length} blocks like ${pattern}`);
  return found[0]![2]!;
}
