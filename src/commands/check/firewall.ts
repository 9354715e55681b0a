/**
 * Checks the firewall: programs, permissions, the chain, the way to it.
 *
 * @module
 */

import type { Family } from "../../address/address.ts";
import type { Config } from "../../config/config.ts";
import type { Backend } from "../../firewall/backend.ts";
import { Chain, LOCK_WAIT_SECONDS } from "../../firewall/chain.ts";
import { IPTABLES, run, type Runner } from "../../firewall/command.ts";
import { type Failure, failureOf, placeOf } from "../../firewall/failure.ts";
import { IpsetBackend } from "../../firewall/ipset.ts";
import { IptablesBackend } from "../../firewall/iptables.ts";
import { counted } from "../../text/table.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";
import { checkNftables } from "./nftables.ts";
import { findJump, isEstablished, type Jump, parseListing, type Rule } from "./firewall_path.ts";

const ABOUT = "firewall";

/** What a command does not last without. */
const AT_BOOT = "(and the same where the rules are loaded at boot)";

/** Most rules of others for which a command is told. */
const STRANGERS_TOLD_MAX = 3;

/** Longest rule that is shown, in characters. */
const RULE_CHARACTERS_MAX = 120;

/**
 * Checks the firewall for both families. Without IPv6 Ampere works, so what is wrong there is a
 * warning.
 *
 * @param config Which chain, which backend.
 * @param runner Runs the commands; they only look.
 */
export async function checkFirewall(config: Config, runner: Runner = run): Promise<Finding[]> {
  if (config.backend === "nftables") return await checkNftables(config, runner);
  const findings: Finding[] = [];
  if (config.backend === "ipset") findings.push(await checkIpset(config, runner));
  for (const family of [4, 6] as const) {
    const found = await checkFamily(config, family, runner);
    findings.push(...(family === 4 ? found : found.map(asWarning)));
  }
  return findings;
}

function asWarning(finding: Finding): Finding {
  return finding.level === "problem" ? { ...finding, level: "warning" } : finding;
}

function failed({ kind, message, advice }: Failure): Finding {
  return problem(ABOUT, message, kind === "no-chain" ? `${advice} ${AT_BOOT}` : advice);
}

async function checkIpset(config: Config, runner: Runner): Promise<Finding> {
  const result = await runner("ipset", ["list", "-n"], { output: true });
  if (!result.ok) {
    // The set is one for each family; this is about the program itself.
    const failure = failureOf(result, "ipset", placeOf(config.chain, 4));
    return failed({ ...failure, message: failure.message.replace(/^IPv4: /, "") });
  }
  return ok(ABOUT, "ipset works");
}

async function checkFamily(config: Config, family: Family, runner: Runner): Promise<Finding[]> {
  const { chain } = config;
  const iptables = IPTABLES[family];
  const name = `IPv${family}`;
  const listed = await new Chain({ family, chain, run: runner }).run(["-S"], { output: true });
  if (!listed.ok) return [failed(failureOf(listed, iptables, placeOf(chain, family)))];
  if (listed.stdout.length === 0) {
    return [
      warning(
        ABOUT,
        `${name}: ${iptables} -S ${chain} says nothing at all, which a real one never does`,
        `look which program this is: command -v ${iptables}`,
      ),
    ];
  }
  const findings: Finding[] = [await checkContent(config, family, runner)];
  const all = await runner(iptables, ["-w", String(LOCK_WAIT_SECONDS), "-S"], { output: true });
  if (!all.ok) return [...findings, failed(failureOf(all, iptables, placeOf(chain, family)))];
  const chains = parseListing(new TextDecoder().decode(all.stdout));
  const jump = findJump(chains, "INPUT", chain);
  if (jump !== undefined) return [...findings, checkJump(jump, config, family)];
  return [...findings, withoutJump(findJump(chains, "FORWARD", chain), config, family)];
}

async function checkContent(config: Config, family: Family, runner: Runner): Promise<Finding> {
  const { chain } = config;
  const Chosen = config.backend === "ipset" ? IpsetBackend : IptablesBackend;
  const backend: Backend = new Chosen({ family, chain, run: runner });
  const outcome = await backend.list();
  const there = `IPv${family}: the chain ${chain} is there`;
  if (outcome.state === "failed") return failed(outcome.failure);
  if (outcome.state !== "listed") return ok(ABOUT, there);
  const { strangers, targets } = outcome.listing;
  if (strangers.length === 0) {
    return ok(ABOUT, `${there}, with ${counted(targets.size, "block")}`);
  }
  return warning(
    ABOUT,
    `${there}, but ${counted(strangers.length, "rule")} in it ${
      strangers.length === 1 ? "is" : "are"
    } not Ampere's, such as ${shown(strangers[0]!)}`,
    takeOut(strangers, config, family),
  );
}

/** The commands that take the rules of others out, if a shell takes them as they are listed. */
function takeOut(strangers: readonly string[], { chain }: Config, family: Family): string {
  const iptables = IPTABLES[family];
  const commands = strangers.map((rule) => `${iptables} ${rule.replace(/^-A /, "-D ")}`);
  const isPlain = commands.every((command) => /^[\w ./:,=+-]+$/.test(command));
  const first = isPlain && commands.length <= STRANGERS_TOLD_MAX
    ? commands.join(" && ")
    : `${iptables} -S ${chain} shows them`;
  return `${first} (who needs such a rule puts it into another chain: out of this one Ampere takes all that is not its own, ` +
    "at its start and while it runs)";
}

function checkJump(jump: Jump, config: Config, family: Family): Finding {
  const { chain } = config;
  const name = `IPv${family}`;
  const where = jump.chain === "INPUT" ? "INPUT" : `INPUT, by way of ${jump.chain},`;
  const first = jump.passed[0];
  if (first === undefined && jump.condition === undefined) {
    return ok(ABOUT, `${name}: ${where} asks ${chain} before it lets anybody in`);
  }
  if (first === undefined) {
    const { chain: at, text } = jump.condition!;
    return warning(
      ABOUT,
      `${name}: ${where} asks ${chain} only for packets that fulfil ${
        shown(`-A ${at} ${text}`)
      }; a blocked host that sends ` +
        "others (SIP over TCP or TLS, another port, another interface) is not kept out",
      moveToFront(jump, config, family),
    );
  }
  return warning(
    ABOUT,
    `${name}: ${where} asks ${chain} too late: before it stands ${
      shown(`-A ${first.chain} ${first.text}`)
    }${more(jump.passed)}, so ${
      jump.passed.some(isEstablished)
        ? "a host that is blocked goes on as long as its connection (a UDP flow too) is known"
        : "packets that it accepts are never compared with the blocks"
    }`,
    moveToFront(jump, config, family),
  );
}

/** The command that makes the jump the first rule of INPUT. */
function moveToFront(jump: Jump, config: Config, family: Family): string {
  const iptables = IPTABLES[family];
  const { chain } = config;
  // A jump in a chain of ufw or the like is put back there by that program; another one in front
  // does no harm.
  const remove = jump.chain === "INPUT" ? `${iptables} -D INPUT ${jump.text} && ` : "";
  return `${remove}${iptables} -I INPUT -j ${chain} ${AT_BOOT}`;
}

function more(rules: readonly Rule[]): string {
  return rules.length > 1 ? ` and ${counted(rules.length - 1, "more rule")}` : "";
}

function withoutJump(forward: Jump | undefined, config: Config, family: Family): Finding {
  const { chain } = config;
  const iptables = IPTABLES[family];
  if (forward !== undefined) {
    return warning(
      ABOUT,
      `IPv${family}: FORWARD asks ${chain}, but INPUT does not: blocked hosts are kept from what runs in containers ` +
        "behind this machine, not from the machine itself",
      `${iptables} -I INPUT -j ${chain} (unless Asterisk runs in such a container; and the same where the rules are ` +
        "loaded at boot)",
    );
  }
  return problem(
    ABOUT,
    `IPv${family}: INPUT does not ask ${chain}, so nobody is kept out`,
    `${iptables} -I INPUT -j ${chain} ${AT_BOOT}`,
  );
}

function shown(rule: string): string {
  return `"${rule.slice(0, RULE_CHARACTERS_MAX)}"`;
}
