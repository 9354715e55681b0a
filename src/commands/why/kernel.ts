/**
 * What the kernel really holds of a target.
 *
 * @module
 */

import { type Family, familyOf, overlaps } from "../../address/address.ts";
import type { BackendName, Config } from "../../config/config.ts";
import { type Backend, SOFT } from "../../firewall/backend.ts";
import { run, type Runner } from "../../firewall/command.ts";
import { IpsetBackend } from "../../firewall/ipset.ts";
import { IptablesBackend } from "../../firewall/iptables.ts";
import { openNftables } from "../../firewall/nftables/open.ts";

/** Most entries of the kernel that are told. */
const TOLD_MAX = 20;

/** Why the kernel could not be asked. */
interface NotAsked {
  readonly message: string;
  readonly advice: string;
  /** This user may not. */
  readonly isDenied: boolean;
}

/** What the kernel was found to hold. */
export type KernelAnswer =
  | {
    readonly isAsked: true;
    /** Entries that hold the target or are in it, canonical. */
    readonly blocked: readonly string[];
    /** Entries of that kind that are let through before anything is blocked. */
    readonly passing: readonly string[];
  }
  | ({ readonly isAsked: false } & NotAsked);

/** Asks the kernel, once for each family. */
export class Kernel {
  readonly #backends: readonly Backend[];
  readonly #listings = new Map<Family, Promise<Listed>>();
  /** Which firewall is asked. */
  readonly backend: BackendName;

  /**
   * Nothing is asked yet.
   *
   * @param config Which chain.
   * @param backend Which firewall.
   * @param runner Runs the commands; they change nothing.
   */
  constructor(config: Config, backend: BackendName, runner: Runner = run) {
    this.backend = backend;
    const { chain, action } = config;
    if (backend === "nftables") {
      this.#backends = openNftables({ chain, action, run: runner });
      return;
    }
    const Chosen = backend === "ipset" ? IpsetBackend : IptablesBackend;
    this.#backends = ([4, 6] as const).map((family) =>
      new Chosen({ family, chain, action, run: runner })
    );
  }

  /**
   * What it holds of a target.
   *
   * @param target Canonical address or network.
   */
  async ask(target: string): Promise<KernelAnswer> {
    const family = familyOf(target);
    let listing = this.#listings.get(family);
    if (listing === undefined) this.#listings.set(family, listing = this.#list(family));
    const found = await listing;
    if ("message" in found) return { isAsked: false, ...found };
    const related = (entries: Iterable<string>) =>
      [...entries].filter((entry) => overlaps(entry, target)).sort().slice(0, TOLD_MAX);
    return {
      isAsked: true,
      blocked: related(found.targets),
      passing: related([...found.exceptions].filter((one) => !one.startsWith(SOFT))),
    };
  }

  /** Ends it. */
  close(): void {
    for (const backend of this.#backends) backend.close();
  }

  async #list(family: Family): Promise<Listed> {
    const answer = await this.#backends.find((one) => one.family === family)!.list();
    switch (answer.state) {
      case "listed": {
        const { targets, exceptions = new Set() } = answer.listing;
        return { targets: targets.keys().toArray(), exceptions };
      }
      case "failed":
        return {
          message: answer.failure.message,
          advice: answer.failure.advice,
          isDenied: answer.failure.kind === "denied",
        };
      default:
        return {
          message: `IPv${family}: the firewall's programs list nothing`,
          advice: "",
          isDenied: false,
        };
    }
  }
}

type Listed =
  | { readonly targets: readonly string[]; readonly exceptions: Iterable<string> }
  | NotAsked;
