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
  /**
   * Why a host is blocked when it first appears, and has no attempt at all; asked also before the
   * first one is charged. Who is, must be strict too. Left out: nobody is.
   *
   * @param host Who; as for {@linkcode StrictHosts.whyStrict}.
   * @returns In the same words; `undefined`: it is not.
   */
  whyBarred?(host: HostKey): string | undefined;
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
  const bars = some.filter((source) => source.whyBarred !== undefined);
  return {
    whyStrict: (host) => firstWhy(some, (source) => source.whyStrict(host)),
    ...(bars.length === 0
      ? {}
      : { whyBarred: (host) => firstWhy(bars, (source) => source.whyBarred?.(host)) }),
  };
}

function firstWhy(
  sources: readonly StrictHosts[],
  ask: (source: StrictHosts) => string | undefined,
): string | undefined {
  for (const source of sources) {
    const why = ask(source);
    if (why !== undefined) return why;
  }
  return undefined;
}
