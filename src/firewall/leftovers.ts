/**
 * What another firewall still holds, that was in use before: whoever is let in would stay refused
 * by it. It goes when the one that is in use now holds the blocks.
 *
 * @module
 */

import type { BackendName } from "../config/config.ts";
import { counted } from "../text/table.ts";
import { holderOf } from "./choice.ts";
import { COMMAND_TIMEOUT_MS, type CommandResult, run, type Runner } from "./command.ts";
import type { Failure, FailureKind } from "./failure.ts";
import { IptablesBackend } from "./iptables.ts";
import { nftFailure } from "./nftables/failure.ts";
import { LISTS_NOTE } from "./lists/nftables.ts";
import { listTableOf, MARKS, tableOf } from "./nftables/layout.ts";
import { tableName } from "./nftables/open.ts";
import type { FirewallLog } from "./trouble.ts";

/** Why there can be nothing: no chain, or no firewall. */
const NOTHING: ReadonlySet<FailureKind> = new Set<FailureKind>([
  "missing-program",
  "denied",
  "no-chain",
  "no-module",
  "no-set",
]);

/** How long nft may take, in milliseconds. */
const NFT_MS = 6 * COMMAND_TIMEOUT_MS;

/** What {@linkcode Leftovers} is made of. */
interface LeftoverOptions {
  /** What is in use now. */
  readonly backend: BackendName;
  /** The chain of the configuration. */
  readonly chain: string;
  /**
   * A chain that the configuration had before: what is left is looked for there, in all firewalls.
   * Without it, by the name of now, in the firewalls that are not in use.
   */
  readonly former?: string | undefined;
  /** Runs the commands. @default {run} */
  readonly run?: Runner;
  /** Told what was taken away. */
  readonly log: Pick<FirewallLog, "info" | "warn">;
}

/** Finds what is left, and takes it away. */
export class Leftovers {
  readonly #options: LeftoverOptions;
  readonly #run: Runner;
  /** What could not be taken away, as it was told. */
  #said = "";

  /**
   * Looks at nothing yet.
   *
   * @param options What is in use, the chain.
   */
  constructor(options: LeftoverOptions) {
    this.#options = options;
    this.#run = options.run ?? run;
  }

  /**
   * Takes away what is left.
   *
   * @returns Whether nothing is left; if not, it is to be tried again.
   */
  async clear(): Promise<boolean> {
    const { backend, chain, former } = this.#options;
    const failures: (string | undefined)[] = [];
    if (backend === "nftables" || former !== undefined) {
      failures.push(await this.#clearChain(4), await this.#clearChain(6));
    }
    // Chains of different names can have the same table.
    const isInUse = backend === "nftables" && tableName(chain) === tableName(this.#chain);
    if (!isInUse) failures.push(await this.#clearTable(), await this.#clearLists());
    const failure = failures.find((one) => one !== undefined);
    if (failure === undefined) {
      this.#said = "";
      return true;
    }
    if (failure !== this.#said) this.#options.log.warn(failure);
    this.#said = failure;
    return false;
  }

  /** Where it is looked. */
  get #chain(): string {
    return this.#options.former ?? this.#options.chain;
  }

  /** What holds the blocks instead. */
  get #successor(): string {
    const { backend, chain, former } = this.#options;
    return former === undefined ? backend : `the ${holderOf(backend, chain)}`;
  }

  /** Takes blocks out of the chain of iptables, and the set that it asks. */
  async #clearChain(family: 4 | 6): Promise<string | undefined> {
    const { log } = this.#options;
    const chain = this.#chain;
    const backend = new IptablesBackend({ family, chain, run: this.#run });
    const listed = await backend.list();
    if (listed.state === "failed") {
      return NOTHING.has(listed.failure.kind)
        ? undefined
        : this.#stays(`the chain ${chain} of iptables`, listed.failure);
    }
    if (listed.state !== "listed") return undefined;
    const { targets, exceptions, strangers } = listed.listing;
    const look = `--match-set ${chain}${family} src -j `;
    const hasSet = strangers.some((rule) => rule.includes(look));
    const own = targets.size + (exceptions?.size ?? 0);
    // What holds nothing of Ampere's is another's by now.
    if (own === 0 && !hasSet && !listed.listing.isOtherAction) return undefined;
    const emptied = await backend.replace([]);
    if (!emptied.ok) return this.#stays(`the chain ${chain} of iptables`, emptied.failure);
    log.info(
      `IPv${family}: the chain ${chain} of iptables was emptied of ${
        hasSet ? `the look at the set ${chain}${family}` : counted(own + strangers.length, "rule")
      } of before: ${this.#successor} holds the blocks now`,
    );
    return undefined;
  }

  /** Takes the table of nftables away, if it is Ampere's. */
  async #clearTable(): Promise<string | undefined> {
    const { log } = this.#options;
    const name = tableName(this.#chain);
    const where = `the table ${tableOf(name)} of nftables`;
    // A table without these is another's. Whole tables take seconds where others have much.
    for (const part of [["set", MARKS], ["chain", "incoming"]] as const) {
      const listed = await this.#nft("list", part[0], "inet", name, part[1]);
      if (listed.ok) continue;
      const failure = nftFailure(listed, 4, name);
      // Who may not list the tables has made none.
      const isNothing = NOTHING.has(failure.kind) || failure.kind === "no-rights";
      return isNothing ? undefined : this.#stays(where, failure);
    }
    const deleted = await this.#nft("delete", "table", "inet", name);
    if (!deleted.ok) return this.#stays(where, nftFailure(deleted, 4, name));
    log.info(
      `the table ${
        tableOf(name)
      } of before was taken out of nftables: ${this.#successor} holds the blocks now`,
    );
    return undefined;
  }

  /** Takes the table with the lists of feeds away. */
  async #clearLists(): Promise<string | undefined> {
    const name = listTableOf(tableName(this.#chain));
    const listed = await this.#nft("list", "chain", "inet", name, "incoming");
    if (!listed.ok || !new TextDecoder().decode(listed.stdout).includes(LISTS_NOTE)) {
      return undefined;
    }
    const deleted = await this.#nft("delete", "table", "inet", name);
    if (!deleted.ok) {
      return this.#stays(`the table ${tableOf(name)} of nftables`, nftFailure(deleted, 4, name));
    }
    this.#options.log.info(
      `the table ${tableOf(name)} with the lists of before was taken out of nftables`,
    );
    return undefined;
  }

  #nft(...args: string[]): Promise<CommandResult> {
    return this.#run("nft", args, { output: true, timeoutMs: NFT_MS });
  }

  #stays(where: string, { message, advice }: Failure): string {
    return `${where} may still hold blocks of before, and whoever is let in may stay refused by it: ${message}` +
      (advice === "" ? ". It is tried again" : `. Fix: ${advice}`);
  }
}
