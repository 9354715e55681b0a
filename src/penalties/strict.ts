/**
 * Which strangers have one attempt instead of `loyalty`: those of whom something is known before
 * they have done anything.
 *
 * @module
 */

import type { HostKey } from "./host_key.ts";

/**
 * Says which hosts are strict. It is asked when a stranger is charged for the first time, and again
 * after {@linkcode PenaltyTable.recheckStrict}: never for an event of somebody in good standing, or
 * exempt.
 */
export interface StrictHosts {
  /**
   * Why a host has one attempt.
   *
   * @param host Who; of an IPv6 host its canonical address. `keyText` of `host_key.ts` is its text.
   * @returns A few words without control characters, such as `listed by feed voipbl`; `undefined`:
   *   it has as many as anybody.
   */
  whyStrict(host: HostKey): string | undefined;
}

/**
 * Those for whom one of several knows a reason: the first one counts.
 *
 * @param sources Who knows; what is `undefined` knows nobody.
 * @returns `undefined` if there is none: then nothing is ever asked.
 *
 * @example
 * ```ts
 * import { anyStrict } from "./strict.ts";
 *
 * const strict = anyStrict(undefined, { whyStrict: (host) => host === 1 ? "listed" : undefined });
 * console.log(strict?.whyStrict(1), strict?.whyStrict(2)); // listed undefined
 * ```
 */
export function anyStrict(...sources: (StrictHosts | undefined)[]): StrictHosts | undefined {
  const some = sources.filter((source) => source !== undefined);
  if (some.length <= 1) return some[0];
  return {
    whyStrict(host) {
      for (const source of some) {
        const why = source.whyStrict(host);
        if (why !== undefined) return why;
      }
      return undefined;
    },
  };
}
