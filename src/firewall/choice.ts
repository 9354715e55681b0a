/**
 * Which firewall `backend = auto` means on this machine: the one that is in use, or else the one
 * that works.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import type { BackendName, Config } from "../config/config.ts";
import { Chain } from "./chain.ts";
import { run, type Runner } from "./command.ts";
import type { Failure, FailureKind } from "./failure.ts";
import { nftFailure } from "./nftables/failure.ts";
import { Layout, tableOf } from "./nftables/layout.ts";
import { tableName } from "./nftables/open.ts";

/** A look for which another program left no turn is made so many times. */
const TRIES_MAX = 3;

/** What passes by itself, and says nothing of whether a firewall works. */
const PASSING: ReadonlySet<FailureKind> = new Set(["busy", "timed-out"]);

/** Why a program cannot be run. */
const MISSING: ReadonlySet<FailureKind> = new Set(["missing-program", "denied"]);

/** The firewall that is used. */
export interface BackendChoice {
  /** Its name in the configuration. */
  readonly name: BackendName;
  /** Whether the configuration leaves the choice to Ampere. */
  readonly isAuto: boolean;
  /** Why it is this one, behind "because"; empty if the configuration says so. */
  readonly why: string;
  /** No firewall can be used at all. */
  readonly failure?: Pick<Failure, "message" | "advice">;
}

/** What of the configuration the choice depends on. */
type Wanted = Pick<Config, "backend" | "chain" | "jump">;

/**
 * Chooses.
 *
 * Who comes from iptables goes on with iptables: where the chain is, others may count on it. A
 * chain that looks at the set of ipset goes on with that.
 *
 * @param wanted What the configuration says.
 * @param runner Runs the commands; they change nothing.
 *
 * @example
 * ```ts
 * import { chooseBackend } from "./choice.ts";
 *
 * const choice = await chooseBackend({ backend: "ipset", chain: "ampere", jump: [] });
 * console.log(choice.name); // "ipset"
 * ```
 */
export async function chooseBackend(
  wanted: Wanted,
  runner: Runner = run,
): Promise<BackendChoice> {
  const { backend, chain, jump } = wanted;
  if (backend !== "auto") return { name: backend, isAuto: false, why: "" };
  const [ipv4, ipv6, nft] = await Promise.all([
    lookAtChain(chain, 4, runner),
    lookAtChain(chain, 6, runner),
    tryNft(chain, runner),
  ]);
  const chosen = (name: BackendName, why: string): BackendChoice => ({ name, isAuto: true, why });
  const set = [ipv4, ipv6].find((look) => look.set !== undefined)?.set;
  if (set !== undefined) return chosen("ipset", `the chain ${chain} asks the set ${set}`);
  const nftWorks = nft === undefined || PASSING.has(nft.kind);
  const obstacle = obstacleOf(ipv4) && obstacleOf(ipv6);
  if (jump.length > 0 && !(nftWorks && obstacle !== undefined)) {
    return chosen("iptables", `jump = ${jump.join(",")} is for iptables`);
  }
  if (ipv4.isThere) return chosen("iptables", `its chain ${chain} is there`);
  if (ipv6.isThere) return chosen("iptables", `its chain ${chain} is there (of IPv6)`);
  if (nftWorks) {
    const wanted = jump.length > 0 ? `, which jump = ${jump.join(",")} is for,` : "";
    const state = nft === undefined ? "nft works" : `nft is there (${reasonOf(nft)})`;
    return chosen(
      "nftables",
      `${state}, and iptables${wanted} ${obstacle ?? `has no chain ${chain}`}`,
    );
  }
  const reason = reasonOf(nft);
  const isMissing = nft.kind === "missing-program";
  const cure = isMissing ? "; where it is, nothing else has to be done for the firewall" : "";
  const fallback = chosen("iptables", `nftables cannot be used: ${reason}${cure}`);
  if (!MISSING.has(ipv4.kind ?? "refused")) return fallback;
  return {
    ...fallback,
    failure: {
      message: `there is no firewall to block in: ${
        isMissing
          ? "neither nft nor iptables is installed"
          : `${reason}; and iptables is not installed`
      }`,
      advice: isMissing
        ? "apt-get install nftables, then systemctl restart ampere"
        : nft.advice.replace(/, or set "backend = iptables"/, ""),
    },
  };
}

/**
 * Says a choice in one line.
 *
 * @param choice What was chosen by itself.
 */
export function describeChoice({ name, why }: BackendChoice): string {
  return `backend = auto: ${name}, because ${why}`;
}

/**
 * Names what holds the blocks, as the firewall's own program knows it.
 *
 * @param backend The firewall.
 * @param chain The chain of the configuration.
 *
 * @example
 * ```ts
 * import { holderOf } from "./choice.ts";
 *
 * holderOf("nftables", "voip:block"); // "table inet voip_block"
 * holderOf("iptables", "voip:block"); // "chain voip:block"
 * ```
 */
export function holderOf(backend: string, chain: string): string {
  return backend === "nftables" ? `table ${tableOf(tableName(chain))}` : `chain ${chain}`;
}

/** What is seen of a chain. */
interface ChainLook {
  readonly isThere: boolean;
  /** The set that it asks. */
  readonly set: string | undefined;
  /** Why it was not seen. */
  readonly kind: FailureKind | undefined;
}

/** The failure was of both families. */
function reasonOf({ message }: Failure): string {
  return message.replace(/^IPv4: /, "");
}

/** Why iptables cannot be used, if so. */
function obstacleOf({ kind }: ChainLook): string | undefined {
  if (kind === undefined) return undefined;
  if (MISSING.has(kind)) return "is not installed";
  return kind === "no-module" ? "has no table in this kernel" : undefined;
}

/** Looks at a chain by its first rule: there may be very many. */
async function lookAtChain(name: string, family: Family, run: Runner): Promise<ChainLook> {
  const chain = new Chain({ family, chain: name, run });
  for (let tries = 1;; tries++) {
    const { ok, stdout, ...rest } = await chain.run(["-S", "1"], { output: true });
    if (ok) {
      const look = `--match-set ${chain.set} `;
      const hasSet = new TextDecoder().decode(stdout).includes(look);
      return { isThere: true, set: hasSet ? chain.set : undefined, kind: undefined };
    }
    const { kind } = chain.failure({ ok, stdout, ...rest });
    if (kind !== "busy" || tries === TRIES_MAX) return { isThere: false, set: undefined, kind };
  }
}

/** Lets nft and the kernel try the table, without making it. */
async function tryNft(chain: string, run: Runner): Promise<Failure | undefined> {
  const name = tableName(chain);
  const failure = await tryTable(name, run);
  if (failure?.kind !== "refused") return failure;
  // Somebody else's table of that name is in the way: nftables works, and tells what helps.
  return await tryTable(`${name}_probe`, run) === undefined ? undefined : failure;
}

async function tryTable(name: string, run: Runner): Promise<Failure | undefined> {
  const commands = ([4, 6] as const).flatMap((family) => new Layout(name, family).commands());
  for (let tries = 1;; tries++) {
    const result = await run("nft", ["-c", "-f", "-"], { stdin: `${commands.join("\n")}\n` });
    if (result.ok) return undefined;
    const failure = nftFailure(result, 4, name);
    if (failure.kind !== "busy" || tries === TRIES_MAX) return failure;
  }
}
