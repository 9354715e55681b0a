/**
 * Opens the table of nftables, for both families.
 *
 * @module
 */

import type { Action } from "../../config/config.ts";
import type { Backend } from "../backend.ts";
import type { ListBackend } from "../lists/backend.ts";
import { NftLists } from "../lists/nftables.ts";
import type { Gap } from "./gap.ts";
import { NftablesBackend } from "./nftables.ts";
import { NftTable, type NftTableOptions } from "./table.ts";

/** How a table is opened. */
interface OpenOptions extends Omit<NftTableOptions, "name"> {
  /** The chain of the configuration, after which the table is named. */
  readonly chain: string;
  /** What becomes of the packets of blocked hosts. @default {"reject"} */
  readonly action?: Action;
  /** What passes of hosts that are blocked for no guilt of their own. */
  readonly gap?: Gap | undefined;
  /** The wall clock, milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

/**
 * Makes a name for nft of the name of a chain: nft takes no colon, and no digit at the beginning.
 *
 * @param chain The chain of the configuration.
 *
 * @example
 * ```ts
 * import { tableName } from "./open.ts";
 *
 * tableName("voip:block"); // "voip_block"
 * ```
 */
export function tableName(chain: string): string {
  return chain.replaceAll(":", "_").replace(/^\d/, "_$&");
}

/**
 * Makes the backends of both families, which share the table.
 *
 * @param options The name, the programs.
 */
export function openNftables(options: OpenOptions): Backend[] {
  return openWithLists(options).backends;
}

/**
 * The same, with the lists beside them.
 *
 * @param options The name, the programs.
 */
export function openWithLists(
  options: OpenOptions,
): { readonly backends: Backend[]; readonly lists: ListBackend } {
  const { chain, action, gap, now, ...rest } = options;
  const table = new NftTable({ ...rest, name: tableName(chain) });
  const backends = ([4, 6] as const).map((family) =>
    new NftablesBackend({ family, table, action, gap, ...(now === undefined ? {} : { now }) })
  );
  const lists = new NftLists({
    table: table.name,
    ...(action === undefined ? {} : { action }),
    ...(rest.run === undefined ? {} : { run: rest.run }),
    onElements: (count) => table.setBeside(count),
    hasHeardAll: () => table.hasHeardAll(),
  });
  table.onLists = () => lists.changed();
  return { backends, lists };
}
