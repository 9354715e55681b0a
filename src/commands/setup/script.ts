/**
 * Puts the scripts of `ampere --setup` together: only the steps that this machine needs.
 *
 * @module
 */

import { VERSION } from "../../version.ts";
import {
  CHECK,
  CONFIGURATION,
  LOOK,
  MANAGER_USER,
  NFTABLES,
  NO_SERVICE,
  PRELUDE,
  SERVICE,
  UNDO_FILES,
  UNDO_IPTABLES,
  UNDO_NFTABLES,
  UNDO_SERVICE,
  WHOM_TO_TRUST,
} from "./steps.ts";

/** What decides on the steps. */
interface Plan {
  /** The configuration file. */
  readonly config: string;
  /** Whether it is the one that the service reads. */
  readonly isDefault: boolean;
  /** The user of AMI, letters, digits, `_` and `-`; `undefined` without AMI. */
  readonly user: string | undefined;
  /** Whether nft has to be installed. */
  readonly needsNft: boolean;
  /** The chain that has to be named by `jump`; empty where none has to. */
  readonly jump: string;
  /** What was seen, a line each. */
  readonly seen: readonly string[];
}

/** What decides on the steps back. */
interface UndoPlan {
  /** The configuration file. */
  readonly config: string;
  /** The table of nftables, as `inet ampere`; `undefined` if another firewall is used. */
  readonly table: string | undefined;
  /** The chain of iptables. */
  readonly chain: string;
  /** The chains with a jump of Ampere's own. */
  readonly jump: readonly string[];
}

const PRIVILEGED = `[ "$(id -u)" -eq 0 ] || stop 'this has to run as root: sudo sh setup.sh'`;

const INSTALLED = `command -v ampere >/dev/null ||
  stop 'there is no program "ampere" in PATH: ln -s /usr/lib/ampere/ampere /usr/sbin/ampere'`;

/**
 * The script that sets Ampere up.
 *
 * @param plan What this machine needs.
 *
 * @example
 * ```ts
 * import { setupScript } from "./script.ts";
 *
 * const config = "/etc/ampere/ampere.cfg";
 * const plan = { config, isDefault: true, user: "ampere", needsNft: false, jump: "", seen: [] };
 * setupScript(plan).startsWith("#!/bin/sh\n"); // true
 * ```
 */
export function setupScript(plan: Plan): string {
  const { config, isDefault, user, needsNft, jump, seen } = plan;
  const head = [
    "#!/bin/sh",
    `# Sets up Ampere ${VERSION} on this machine. ampere --setup has printed it, and changed nothing.`,
    "# Read it, then run it as root: sh setup.sh. It may run again: what is there already stays.",
    "# The way back: ampere --setup --undo | sh",
    "#",
    ...seen.map((line) => `# ${inOneLine(line)}`),
  ];
  const variables = [
    `config=${quoted(config)}`,
    `user=${quoted(user ?? "")}`,
    `jump=${quoted(jump)}`,
    "secret= host= port= added=",
    PRIVILEGED,
    INSTALLED,
  ];
  const steps = [
    LOOK,
    user === undefined ? "" : MANAGER_USER,
    WHOM_TO_TRUST,
    needsNft ? NFTABLES : "",
    CONFIGURATION,
    isDefault ? SERVICE : NO_SERVICE,
    CHECK,
  ];
  return whole(head, variables, steps);
}

/**
 * The script that takes back what the other one has done.
 *
 * @param plan What this machine has.
 */
export function undoScript(plan: UndoPlan): string {
  const { config, table, chain, jump } = plan;
  const head = [
    "#!/bin/sh",
    `# Takes back what the script of ampere --setup has done (Ampere ${VERSION}).`,
    "# Printed by ampere --setup --undo, which has changed nothing. Read it, then run it as root.",
  ];
  const variables = [
    `config=${quoted(config)}`,
    `table=${quoted(table ?? "")}`,
    `chain=${quoted(chain)}`,
    `jump=${quoted(jump.join(" "))}`,
    PRIVILEGED,
  ];
  const firewall = table === undefined ? UNDO_IPTABLES : UNDO_NFTABLES;
  return whole(head, variables, [UNDO_SERVICE, firewall, UNDO_FILES]);
}

/**
 * As a function that is called in the last line: a text that was cut off does nothing, and what a
 * step runs cannot read the script away from a shell that has it on its standard input.
 */
function whole(
  head: readonly string[],
  variables: readonly string[],
  steps: readonly string[],
): string {
  return [
    ...head,
    PRELUDE,
    "main() {",
    "trap told EXIT",
    ...variables,
    "",
    ...steps.filter((step) => step !== ""),
    "}",
    "main </dev/null",
    "",
  ].join("\n");
}

/** A word of the shell that means itself, whatever it is. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A text that stays in its comment. */
function inOneLine(text: string): string {
  return text.replace(/[^ -~]/g, "?");
}
