/**
 * The chains that the configuration had before, in a file beside the database: what they still hold
 * would go on refusing hosts that were let in since, and nobody would look for it there.
 *
 * @module
 */

import type { DatabaseLock } from "../blocks/lock.ts";
import { parseConfig } from "../config/parse.ts";
import type { Leftovers } from "../firewall/leftovers.ts";
import type { Log } from "../log.ts";
import { ChainTakenError } from "./chain_lock.ts";
import { readKeptList, writeKeptList } from "./kept_list.ts";

/** Most chains that are kept; each of them costs a few commands, once. */
const CHAINS_MAX = 8;

/** Longest file that is read, in bytes. */
const FILE_BYTES_MAX = 4_096;

/** What {@linkcode FormerChains} works with. */
interface FormerChainsParts {
  /** The file; `undefined`: nothing is kept. */
  readonly file: string | undefined;
  /** The chain of the configuration. */
  readonly chain: string;
  /** Told when nothing can be kept. */
  readonly log: Pick<Log, "warn">;
  /** What is left of the firewall of before, by the name of now. */
  readonly leftovers: Pick<Leftovers, "clear">;
  /** What is left by a name of before. */
  readonly leftoversOf: (former: string) => Pick<Leftovers, "clear">;
  /**
   * Takes the right to touch a chain.
   *
   * @throws {ChainTakenError} When another Ampere fills it.
   */
  readonly lock: (chain: string) => DatabaseLock | undefined;
}

/** Knows the chains of before, and takes away what they hold: once, then they are anybody's. */
export class FormerChains {
  readonly #parts: FormerChainsParts;
  readonly #former: Map<string, Pick<Leftovers, "clear">>;

  /**
   * Notes the chain of now in the file. Call it before anything is put into the firewall.
   *
   * @param parts The file, the chain.
   */
  constructor(parts: FormerChainsParts) {
    this.#parts = parts;
    const names = parts.file === undefined
      ? []
      : readKeptList(parts.file, FILE_BYTES_MAX, isChainName);
    const former = names.filter((name) => name !== parts.chain).slice(-(CHAINS_MAX - 1));
    this.#former = new Map(former.map((name) => [name, parts.leftoversOf(name)]));
    if (names.at(-1) !== parts.chain) this.#write();
  }

  /**
   * Takes away what is left.
   *
   * @returns Whether nothing is left; if not, it is to be tried again.
   */
  async clear(): Promise<boolean> {
    let isGone = await this.#parts.leftovers.clear();
    for (const [name, leftovers] of this.#former) {
      if (await this.#clearOne(name, leftovers)) {
        this.#former.delete(name);
        this.#write();
      } else isGone = false;
    }
    return isGone;
  }

  async #clearOne(name: string, leftovers: Pick<Leftovers, "clear">): Promise<boolean> {
    try {
      using _lock = this.#parts.lock(name);
      return await leftovers.clear();
    } catch (error) {
      // It is another's by now.
      if (error instanceof ChainTakenError) return true;
      throw error;
    }
  }

  #write(): void {
    const { file, chain, log } = this.#parts;
    if (file === undefined) return;
    try {
      writeKeptList(file, [...this.#former.keys(), chain]);
    } catch (error) {
      log.warn(
        `the name of the chain is not kept for the next start: ${file}: ${
          error instanceof Error ? error.message : String(error)
        }. If "chain" is changed, what the one of before holds must be taken away by hand`,
      );
    }
  }
}

/** None gets through that may not be in ampere.cfg. */
function isChainName(value: unknown): value is string {
  if (typeof value !== "string") return false;
  const { config, problems } = parseConfig(`chain = ${value}`, "");
  return problems.length === 0 && config?.chain === value;
}
