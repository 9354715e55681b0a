/**
 * Which PBX has brought a block. It stands at the beginning of the reason, so that it is told
 * wherever a reason is, whatever version of Ampere reads the list.
 *
 * @module
 */

/** A reason of a block that another PBX has brought. */
const ORIGIN = /^from ([A-Za-z0-9][A-Za-z0-9._-]{0,31}): /;

/** The reason of a block by hand that nobody has given one. */
const BY_HAND = "blocked by hand";

/**
 * The reason of a block that another PBX has brought.
 *
 * @param node The name of that PBX.
 * @param reason Its reason.
 *
 * @example
 * ```ts
 * import { originOf, withOrigin } from "./origin.ts";
 *
 * const reason = withOrigin("pbx2", "3 wrong passwords"); // from pbx2: 3 wrong passwords
 * originOf(reason); // pbx2
 * ```
 */
export function withOrigin(node: string, reason: string): string {
  return `from ${node}: ${reason === "" ? BY_HAND : reason}`;
}

/**
 * A reason without the PBX that has brought the block.
 *
 * @param reason The reason of the block.
 */
export function withoutOrigin(reason: string): string {
  return reason.replace(ORIGIN, "");
}

/**
 * The PBX that has brought a block.
 *
 * @param reason The reason of the block.
 * @returns Its name; `undefined` for a block of this machine's own.
 */
export function originOf(reason: string): string | undefined {
  return ORIGIN.exec(reason)?.[1];
}
