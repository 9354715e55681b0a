/**
 * `ampere --setup`: looks at this machine and prints the script that sets Ampere up on it, or with
 * `--undo` the one that takes it back. It changes nothing.
 *
 * It looks with what it may do anyhow: it reads ampere.cfg, and asks nft and iptables. Asterisk's
 * files, which hold the passwords of all phones, it may not read; the script looks there.
 *
 * @module
 */

import { isLoopback, parseAddress } from "../../address/address.ts";
import { type Config, DEFAULT_CONFIG_FILE, NO_AMI } from "../../config/config.ts";
import { chooseBackend, describeChoice, holderOf } from "../../firewall/choice.ts";
import { type CommandResult, run, type Runner } from "../../firewall/command.ts";
import { escapeText } from "../../text/escape.ts";
import { EXIT } from "../output.ts";
import { setupScript, undoScript } from "./script.ts";

/** What may be the user's name: it stands in commands and in patterns of the script. */
const USER = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$/;

/** The chain of FreePBX's firewall: docs/freepbx.md tells why the jump belongs there. */
const FREEPBX_CHAIN = "fpbxfirewall";

/** By which chain of iptables somebody who manages the firewall is known. */
const MANAGERS: readonly (readonly [chain: string, name: string])[] = [
  [FREEPBX_CHAIN, "FreePBX"],
  ["ISSABEL_INPUT", "Issabel"],
  ["ufw-before-input", "ufw"],
  ["DOCKER-USER", "Docker"],
];

/** The same of nftables. */
const FIREWALLD_TABLE = ["inet", "firewalld"] as const;

/** How long iptables may wait for its lock, in seconds. */
const LOCK_WAIT = "4";

/** What a shell gets in place of a script, at the other end of a pipe. */
const NO_SCRIPT = "# ampere --setup could not make a script; it has said why.\nexit 1\n";

/** What is asked for; `Invocation` is one. */
interface SetupRequest {
  /** The configuration file that was named. */
  readonly config: string | undefined;
  /** The way back. */
  readonly undo: boolean;
}

/**
 * Prints the script.
 *
 * @param config The configuration; the defaults if there is none yet.
 * @param request Which file it came from, and which script.
 * @param print Writes to standard output.
 * @param complain Writes a line to standard error.
 * @param runner Runs the commands that look; they change nothing.
 * @returns The exit code.
 */
export async function setup(
  config: Config,
  request: SetupRequest,
  print: (text: string) => number,
  complain: (line: string) => void,
  runner: Runner = run,
): Promise<number> {
  const file = request.config ?? DEFAULT_CONFIG_FILE;
  const why = unfit(config, file, request.undo);
  if (why !== undefined) {
    complain(`ampere: ${why}`);
    print(NO_SCRIPT);
    return EXIT.problem;
  }
  const choice = await chooseBackend(config, runner);
  if (choice.name === "iptables" && choice.failure === undefined) {
    const look = await listed("INPUT", runner);
    if (!look.ok) {
      complain(
        `ampere: ${describeChoice(choice)}; and that cannot be used either: ` +
          escapeText(look.stderr || "it gives no reason"),
      );
      complain("Fix: run it as root; a container needs the capability NET_ADMIN");
      print(NO_SCRIPT);
      return EXIT.problem;
    }
  }
  if (request.undo) {
    const holder = holderOf(choice.name, config.chain);
    const table = choice.name === "nftables" ? holder.replace(/^table /, "") : undefined;
    return print(undoScript({ config: file, table, chain: config.chain, jump: config.jump }));
  }
  const needsNft = choice.failure !== undefined;
  const managers = await managersOf(runner);
  const hasWay = choice.name !== "iptables" || needsNft || config.jump.length > 0 ||
    await isThere(config.chain, runner);
  const jump = hasWay ? "" : managers.includes("FreePBX") ? FREEPBX_CHAIN : "INPUT";
  const firewall = choice.failure?.message ??
    (choice.isAuto ? describeChoice(choice) : `backend = ${choice.name}`);
  const follows = jump !== ""
    ? `Ampere makes its chain, and the jump to it in ${jump} (jump = ${jump})`
    : needsNft
    ? "nftables is installed"
    : "nothing has to be made for the firewall";
  return print(setupScript({
    config: file,
    isDefault: file === DEFAULT_CONFIG_FILE,
    user: config.host === NO_AMI ? undefined : config.user,
    needsNft,
    jump,
    seen: [
      "Seen on this machine:",
      `- ${firewall}: ${follows}`,
      ...managers.map((name) => `- rules of ${name}, which stay as they are`),
      ...config.host === NO_AMI ? ["- host = none: Asterisk's log is followed, without AMI"] : [],
    ],
  }));
}

/** Why no script can be made. */
function unfit({ host, user, tls }: Config, file: string, isBack: boolean): string | undefined {
  if (!file.startsWith("/")) {
    return `-c ${escapeText(file, 60)}: --setup needs the whole path, from / on`;
  }
  if (isBack || host === NO_AMI) return undefined;
  if (!USER.test(user)) {
    return `${file}: user = "${escapeText(user, 60)}": --setup makes users of letters, digits, ` +
      "_ and - alone; make this one by hand (docs/by-hand.md)";
  }
  const address = parseAddress(host);
  const isHere = host === "localhost" || (address !== undefined && isLoopback(address));
  if (isHere && !tls) return undefined;
  return `${file} says that Asterisk is at ${escapeText(host, 60)}${tls ? " (by TLS)" : ""}: ` +
    "--setup is for an Asterisk on this machine; for others docs/by-hand.md has the steps";
}

/** Who has rules in the firewall. */
async function managersOf(runner: Runner): Promise<string[]> {
  const found = await Promise.all([
    ...MANAGERS.map(async ([chain, name]) => await isThere(chain, runner) ? [name] : []),
    runner("nft", ["list", "table", ...FIREWALLD_TABLE]).then(({ ok }) => ok ? ["firewalld"] : []),
  ]);
  return found.flat();
}

/** Whether a chain of iptables is there. */
async function isThere(chain: string, runner: Runner): Promise<boolean> {
  return (await listed(chain, runner)).ok;
}

/** A look at the beginning of a chain of iptables. */
function listed(chain: string, runner: Runner): Promise<CommandResult> {
  return runner("iptables", ["-w", LOCK_WAIT, "-S", chain, "1"]);
}
