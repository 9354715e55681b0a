/**
 * Checks the firewall: programs, permissions, the chain, the way to it.
 *
 * @module
 */

import { type Family, parseAddress } from "../../address/address.ts";
import { type OwnInterface, ownInterfaces } from "../../address/interfaces.ts";
import { defaultGateways } from "../../address/neighbours.ts";
import { CONNECT_MS, resolveHost } from "../../ami/dial.ts";
import type { BackendName, Config } from "../../config/config.ts";
import {
  assumedPlace,
  type AsteriskPlace,
  HERE,
  type OwnNetwork,
  placeOfHost,
} from "../../firewall/asterisk_place.ts";
import type { Backend } from "../../firewall/backend.ts";
import { Chain } from "../../firewall/chain.ts";
import { type BackendChoice, chooseBackend, describeChoice } from "../../firewall/choice.ts";
import { IPTABLES, run, type Runner } from "../../firewall/command.ts";
import { type Failure, failureOf, placeOf } from "../../firewall/failure.ts";
import { IpsetBackend } from "../../firewall/ipset.ts";
import { IptablesBackend } from "../../firewall/iptables.ts";
import { adviseAt, hookOf, type Judgement, judgePlace } from "../../firewall/judgement.ts";
import type { Targets } from "../../firewall/path.ts";
import { Way } from "../../firewall/way.ts";
import type { Status } from "../../telemetry/status.ts";
import { counted } from "../../text/table.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";
import { checkNftables } from "./nftables.ts";

const ABOUT = "firewall";

const BACKENDS: readonly BackendName[] = ["iptables", "ipset", "nftables"];

/** What the way of a packet depends on. */
interface World {
  readonly place: AsteriskPlace;
  readonly interfaces: readonly OwnInterface[];
}

/** A configuration with a firewall that was chosen. */
type ChosenConfig = Config & { readonly backend: BackendName };

/** Most rules of others for which a command is told. */
const STRANGERS_TOLD_MAX = 3;

/** Longest rule that is shown, in characters. */
const RULE_CHARACTERS_MAX = 120;

/**
 * Checks the firewall for both families. Without IPv6 Ampere works, so what is wrong there is a
 * warning.
 *
 * @param config Which chain, which backend; the one that was chosen.
 * @param runner Runs the commands; they only look.
 * @param place Where Asterisk is, if the daemon knows; else `host` tells.
 */
export async function checkFirewall(
  config: ChosenConfig,
  runner: Runner = run,
  place?: AsteriskPlace,
): Promise<Finding[]> {
  const network = { interfaces: ownInterfaces(), gateways: defaultGateways() };
  const world: World = {
    place: place ?? await placeNow(config, network),
    interfaces: network.interfaces,
  };
  if (config.backend === "nftables") {
    const placed = judgePlace(4, world.place);
    return [
      ...await checkNftables(config, runner),
      ...(placed.inForce === "yes" ? [] : [problem(ABOUT, placed.message, placed.advice)]),
    ];
  }
  const findings: Finding[] = [];
  if (config.backend === "ipset") findings.push(await checkIpset(config, runner));
  for (const family of [4, 6] as const) {
    const found = await checkFamily(config, family, runner, world);
    findings.push(...(family === 4 ? found : found.map(asWarning)));
  }
  return findings;
}

/**
 * Says which firewall it is, and whether that is the one of the daemon that runs.
 *
 * @param config What the configuration says.
 * @param runner Runs the commands; they only look.
 * @param used What the daemon uses, if it runs and tells.
 * @returns Which one to look at, and what is to be said of the choice.
 */
export async function checkChoice(
  config: Config,
  runner: Runner = run,
  used?: Pick<Status["firewall"], "backend" | "why" | "chain">,
): Promise<{ readonly backend: BackendName; readonly findings: Finding[] }> {
  const choice = await chooseBackend(config, runner);
  const { name, isAuto, failure } = choice;
  const inUse = BACKENDS.find((backend) => backend === used?.backend);
  if (inUse === undefined || used?.chain !== config.chain) {
    if (failure !== undefined) {
      return { backend: name, findings: [problem(ABOUT, failure.message, failure.advice)] };
    }
    return { backend: name, findings: isAuto ? [ok(ABOUT, describeChoice(choice))] : [] };
  }
  if (inUse === name) {
    const why = used.why === "" ? "the configuration said so when it started" : used.why;
    const text = `backend = auto: the daemon uses ${name}, because ${why}`;
    return { backend: inUse, findings: isAuto ? [ok(ABOUT, text)] : [] };
  }
  return { backend: inUse, findings: [changed(inUse, choice)] };
}

/** The daemon would use another firewall if it were started now. */
function changed(inUse: BackendName, { name, isAuto, why }: BackendChoice): Finding {
  return isAuto
    ? warning(
      ABOUT,
      `the daemon uses ${inUse}, but at its next start it would use ${name}, because ${why}`,
      `write "backend = ${inUse}" into ampere.cfg if it is to stay so; else systemctl restart ampere`,
    )
    : warning(
      ABOUT,
      `the daemon still uses ${inUse}; backend = ${name} takes effect at its next start`,
      "systemctl restart ampere",
    );
}

/** Where Asterisk is, as far as the configuration tells. */
async function placeNow({ host, jump }: Config, network: OwnNetwork): Promise<AsteriskPlace> {
  const place = placeOfHost(await peersOf(host), network);
  return place.kind === "here" ? assumedPlace(jump) : place;
}

/** The canonical addresses of a host; none if its name is not known, or not soon. */
async function peersOf(host: string): Promise<string[]> {
  const late = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => late.resolve([]), CONNECT_MS);
  const found = await Promise.race([resolveHost(host).catch(() => []), late.promise]);
  clearTimeout(timer);
  return found.flatMap((address) => parseAddress(address) ?? []);
}

function asWarning(finding: Finding): Finding {
  return finding.level === "problem" ? { ...finding, level: "warning" } : finding;
}

function failed(
  { kind, message, advice }: Failure,
  { jump }: ChosenConfig,
  place: AsteriskPlace = HERE,
): Finding {
  if (kind !== "no-chain" || jump.length > 0) return problem(ABOUT, message, advice);
  return problem(
    ABOUT,
    message,
    `${advice} (and the same where the rules are loaded at boot; or write "jump = ${
      place.kind === "elsewhere" ? "INPUT" : hookOf(place)
    }" into ampere.cfg, and Ampere makes both and keeps them)`,
  );
}

async function checkIpset(config: ChosenConfig, runner: Runner): Promise<Finding> {
  const result = await runner("ipset", ["list", "-n"], { output: true });
  if (!result.ok) {
    // The set is one for each family; this is about the program itself.
    const failure = failureOf(result, "ipset", placeOf(config.chain, 4));
    return failed({ ...failure, message: failure.message.replace(/^IPv4: /, "") }, config);
  }
  return ok(ABOUT, "ipset works");
}

async function checkFamily(
  config: ChosenConfig,
  family: Family,
  runner: Runner,
  world: World,
): Promise<Finding[]> {
  const { chain } = config;
  const iptables = IPTABLES[family];
  const name = `IPv${family}`;
  const listed = await new Chain({ family, chain, run: runner }).run(["-S"], { output: true });
  if (!listed.ok) {
    const failure = adviseAt(failureOf(listed, iptables, placeOf(chain, family)), world.place);
    if (failure.kind !== "no-chain" || config.jump.length === 0) {
      return [failed(failure, config, world.place)];
    }
    return [
      ok(ABOUT, `${name}: the chain ${chain} is not there yet; the daemon makes it when it starts`),
      ...await checkWay(config, family, runner, world),
    ];
  }
  if (listed.stdout.length === 0) {
    return [
      warning(
        ABOUT,
        `${name}: ${iptables} -S ${chain} says nothing at all, which a real one never does`,
        `look which program this is: command -v ${iptables}`,
      ),
    ];
  }
  const { finding, targets } = await checkContent(config, family, runner);
  return [finding, ...await checkWay(config, family, runner, world, targets)];
}

/** Whether packets of strangers come to the chain. */
async function checkWay(
  config: ChosenConfig,
  family: Family,
  runner: Runner,
  { place, interfaces }: World,
  blocked?: Targets,
): Promise<Finding[]> {
  const { chain, jump } = config;
  const way = new Way({ family, chain, run: runner });
  way.settings = { jump, place, interfaces };
  const seen = await way.look(blocked);
  if (!seen.ok) return [failed(seen.failure, config)];
  const { judgement, missing, broken } = seen;
  const name = `IPv${family}`;
  const keys = `jump = ${jump.join(",")}`;
  const findings = missing.map((hook) =>
    warning(
      ABOUT,
      `${name}: there is no chain ${hook} yet (${keys}); the daemon puts the jump there when there is`,
      `start what makes ${hook}, or name another chain in jump`,
    )
  );
  const isOwn = broken.includes(hookOf(place)) ||
    (place.kind !== "here" && broken.some((hook) => hook !== "INPUT"));
  if (judgement.inForce !== "yes" && isOwn) {
    return [
      ...findings,
      ok(ABOUT, `${name}: the daemon makes the jump to ${chain} when it starts (${keys})`),
    ];
  }
  return [...findings, judged(judgement)];
}

/** The finding of a judgement. */
function judged({ family, inForce, cause, message, advice }: Judgement): Finding {
  const text = `IPv${family}: ${message}`;
  if (inForce === "yes") return ok(ABOUT, text);
  const isProblem = inForce === "no" && !/^(?:narrow|only FORWARD)/.test(cause);
  return (isProblem ? problem : warning)(ABOUT, text, advice);
}

/** What is in the chain. */
async function checkContent(
  config: ChosenConfig,
  family: Family,
  runner: Runner,
): Promise<{ readonly finding: Finding; readonly targets?: Targets }> {
  const { chain, action } = config;
  const Chosen = config.backend === "ipset" ? IpsetBackend : IptablesBackend;
  const backend: Backend = new Chosen({ family, chain, action, run: runner });
  const outcome = await backend.list();
  const there = `IPv${family}: the chain ${chain} is there`;
  if (outcome.state === "failed") return { finding: failed(outcome.failure, config) };
  if (outcome.state !== "listed") return { finding: ok(ABOUT, there) };
  const { strangers, targets, isOtherAction } = outcome.listing;
  if (isOtherAction) {
    const text = `${there}; rules in it are made anew with action = ${action} at the start`;
    return { finding: ok(ABOUT, text) };
  }
  if (strangers.length === 0) {
    return { finding: ok(ABOUT, `${there}, with ${counted(targets.size, "block")}`), targets };
  }
  const finding = warning(
    ABOUT,
    `${there}, but ${counted(strangers.length, "rule")} in it ${
      strangers.length === 1 ? "is" : "are"
    } not Ampere's, such as ${shown(strangers[0]!)}`,
    takeOut(strangers, config, family),
  );
  return { finding, targets };
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

function shown(rule: string): string {
  return `"${rule.slice(0, RULE_CHARACTERS_MAX)}"`;
}
