/** What README.md tells to write into files and to run, so that the tests do just that. */

import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";

const README = Deno.readTextFileSync(join(PROJECT, "README.md"));

/** manager.conf of section 2. */
export const MANAGER_CONF = block("ini", /^\[ampere\]$/m);

/** The lines of ampere.cfg in section 4. */
export const AMPERE_CFG = block("ini", /^trust = /m);

/** The commands of section 3, which make the chain. */
export const FIREWALL_COMMANDS = block("sh", /^iptables -N ampere/m);

function block(language: string, pattern: RegExp): string {
  const found = [...README.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, kind, text]) => kind === language && pattern.test(text!));
  if (found.length !== 1) throw new Error(`README.md has ${found.length} blocks like ${pattern}`);
  return found[0]![2]!;
}
