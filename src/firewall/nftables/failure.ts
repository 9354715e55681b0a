/**
 * Why nft did not do what it was told, in words for people.
 *
 * @module
 */

import type { Family } from "../../address/address.ts";
import type { CommandResult } from "../command.ts";
import { type Failure, type FailureKind, firstLine, kindOf } from "../failure.ts";
import { tableOf } from "./layout.ts";

/** What nft says, and what it means; the first that is found counts. */
const MEANINGS: readonly (readonly [RegExp, FailureKind])[] = [
  [/Operation not permitted|must be root|Permission denied/i, "no-rights"],
  [/Unable to initialize Netlink socket|Protocol not supported/i, "no-module"],
  [/Operation not supported|Protocol not available|Address family not supported/i, "no-module"],
  [/No such file or directory/, "no-set"],
  [/Too many open files in system|Cannot allocate memory|No space left/i, "full"],
  [/Device or resource busy|Resource temporarily unavailable|Interrupted/i, "busy"],
];

/**
 * Makes a failure of the result of nft.
 *
 * @param result The result, which is not `ok`.
 * @param family Which addresses the command was about.
 * @param name The table's name.
 */
export function nftFailure(result: CommandResult, family: Family, name: string): Failure {
  const kind = kindOf(result, MEANINGS);
  return {
    family,
    kind,
    message: `IPv${family}: ${describe(kind, name, result)}`,
    advice: adviceFor(kind, name, result),
  };
}

function describe(kind: FailureKind, name: string, result: CommandResult): string {
  const said = firstLine(result.stderr);
  switch (kind) {
    case "missing-program":
      return `nft is not installed: ${said}`;
    case "denied":
      return `Ampere may not run nft: ${said}`;
    case "no-rights":
      return `nft may not change the firewall: ${said}`;
    case "no-set":
      return `the table "${tableOf(name)}", or something in it, is gone (nft: ${said})`;
    case "no-module":
      return `the kernel lacks a part of nftables: ${said}`;
    case "busy":
      return `another program was changing the firewall (nft: ${said})`;
    case "timed-out":
      return "nft did not end in time and was killed";
    case "aborted":
      return "nft was ended because Ampere ends";
    case "full":
      return `there is no room for more (nft: ${said})`;
    default:
      return result.incomplete
        ? "the output of nft was not read to its end"
        : `nft failed with code ${result.code ?? "(none)"}: ${said}`;
  }
}

function adviceFor(kind: FailureKind, name: string, { stderr }: CommandResult): string {
  const table = tableOf(name);
  switch (kind) {
    case "missing-program":
      return 'install it (apt-get install nftables) and restart Ampere, or set "backend = iptables"';
    case "denied":
      return "if nft was installed while Ampere was running, restart Ampere; otherwise compile it " +
        "with --allow-run=iptables,ip6tables,ipset,nft";
    case "no-rights":
      return "run Ampere as root, or with the capability CAP_NET_ADMIN";
    case "no-module":
      return 'modprobe -a nf_tables nft_reject_inet, or set "backend = iptables"';
    case "full":
      return "end some blocks (ampere -d), or block networks instead of single addresses";
    case "refused":
      if (/File exists|already exists|Invalid argument|datatype mismatch/i.test(stderr)) {
        return `nft delete table ${table} (somebody else made a table of this name, in another ` +
          "form; Ampere makes its own)";
      }
      if (/invalid option|unrecognized option/i.test(stderr)) {
        return 'this nft is too old (nft --version): update it to 0.9.8 or newer, or set "backend = iptables"';
      }
      if (/syntax error/i.test(stderr)) {
        return `choose another name for "chain" in the configuration, if "${name}" is a word of nft`;
      }
      return "";
    default:
      return "";
  }
}
