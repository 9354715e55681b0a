/**
 * What the page asks of the daemon.
 *
 * @module
 */

import type { BlockList } from "../blocks/block_list.ts";
import type { Asked } from "../commands/why/known.ts";
import type { PlacesSource } from "../telemetry/places.ts";
import type { StatusSource } from "../telemetry/status.ts";

/** Who can be asked; `Daemon` is one. */
export interface PageSource extends StatusSource {
  readonly list: StatusSource["list"] & BlockList;
  readonly places: PlacesSource & Pick<Asked["places"], "strict">;
  /**
   * Trusts somebody for a time.
   *
   * @param target Canonical address or network.
   * @param until The end, in milliseconds since 1970; `undefined`: it ends now.
   * @param remark Who said so.
   * @returns Why not; `undefined` if it is done.
   */
  trustFor(target: string, until: number | undefined, remark: string): string | undefined;
}
