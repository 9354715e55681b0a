/**
 * Checks the firewall by nftables: the program, what the kernel can, the table.
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import { type CommandResult, run, type Runner } from "../../firewall/command.ts";
import { nftFailure } from "../../firewall/nftables/failure.ts";
import { findForeignSets, FOREIGN_SETS_ADVICE } from "../../firewall/nftables/foreign_sets.ts";
import { gapOf } from "../../firewall/nftables/gap.ts";
import { Layout, tableOf } from "../../firewall/nftables/layout.ts";
import { readListing, readTable } from "../../firewall/nftables/listing.ts";
import { tableName } from "../../firewall/nftables/open.ts";
import { counted } from "../../text/table.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const ABOUT = "firewall";

/** What of the configuration the table depends on. */
type Checked = Pick<Config, "chain" | "jump" | "action" | "softRate" | "sipPorts">;

/** Longest rule that is shown, in characters. */
const RULE_CHARACTERS_MAX = 120;

/**
 * Checks the table. No chain and no jump has to be there for it.
 *
 * @param config Which table.
 * @param runner Runs the commands; they change nothing.
 */
export async function checkNftables(
  config: Checked,
  runner: Runner = run,
): Promise<Finding[]> {
  const name = tableName(config.chain);
  // What it would do at its start, without doing it.
  const commands = ([4, 6] as const).flatMap((family) => {
    const layout = new Layout(name, family, "", config.action);
    return [...layout.commands(), ...layout.flushCommands()];
  });
  const tried = await runner("nft", ["-c", "-f", "-"], { stdin: [`${commands.join("\n")}\n`] });
  if (!tried.ok) return [failed(tried, name)];
  const findings: Finding[] = [];
  if (config.jump.length > 0) {
    findings.push(
      warning(
        ABOUT,
        `jump = ${
          config.jump.join(",")
        } makes nothing with backend = nftables: its table is asked without a jump`,
        "take the line with jump out of the configuration",
      ),
    );
  }
  const slow = await findForeignSets((args, options) => runner("nft", args, options));
  if (slow.length > 0) {
    findings.push(
      warning(
        ABOUT,
        `nft reads the intervals of others before each change: ${
          slow.join(", ")
        }; 50,000 of them take about 0.2 s`,
        FOREIGN_SETS_ADVICE,
      ),
    );
  }
  return [...await checkTable(name, config, runner), ...findings];
}

function failed(result: CommandResult, name: string): Finding {
  const { message, advice } = nftFailure(result, 4, name);
  return problem(ABOUT, message.replace(/^IPv4: /, ""), advice);
}

/** Looks at the table. */
async function checkTable(name: string, config: Checked, runner: Runner): Promise<Finding[]> {
  const table = tableOf(name);
  const listed = await runner("nft", ["-s", "list", "table", "inet", name], { output: true });
  if (!listed.ok) {
    if (nftFailure(listed, 4, name).kind !== "no-set") return [failed(listed, name)];
    return [ok(ABOUT, `nftables works; Ampere makes the table ${table} at its start`)];
  }
  const there = await readTable(listed.stdout, name);
  const wanted = { action: config.action, gap: gapOf(config) };
  const listings = ([4, 6] as const).map((family) =>
    readListing(there, name, family, wanted).listing
  );
  const blocks = listings.reduce((sum, { targets }) => sum + targets.size, 0);
  const strangers = [...new Set(listings.flatMap((listing) => listing.strangers))];
  const text = `nftables works; the table ${table} is there, with ${counted(blocks, "block")}`;
  if (strangers.length > 0) {
    return [
      warning(
        ABOUT,
        `${text}, but ${counted(strangers.length, "rule")} in it ${
          strangers.length === 1 ? "is" : "are"
        } not Ampere's, such as "${strangers[0]!.slice(0, RULE_CHARACTERS_MAX)}"`,
        "put own rules into a table of your own: out of this one Ampere takes all that is not its own, at its start " +
          "and while it runs",
      ),
    ];
  }
  if (!listings.every((listing) => listing.whole)) {
    return [
      warning(
        ABOUT,
        `${text}, but not all of its sets and rules are`,
        "systemctl restart ampere (a running Ampere mends it at its next look)",
      ),
    ];
  }
  return [ok(ABOUT, text)];
}
