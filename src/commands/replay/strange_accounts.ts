/**
 * Which accounts failed at an address and never logged in there: of a phone with a wrong password
 * one does, behind a proxy many do.
 *
 * @module
 */

import { forgetOldest } from "../../penalties/bounded_map.ts";

/** Most addresses that are remembered; the one that was met first goes first. */
export const ADDRESSES_MAX = 50_000;

/** Most accounts of an address, of each sort. */
export const ACCOUNTS_MAX = 64;

/** What chan_pjsip calls each account that it does not know: it tells nobody apart. */
const UNKNOWN_ACCOUNT = "<unknown>";

interface Accounts {
  readonly own: Set<string>;
  readonly strange: Set<string>;
}

/**
 * Counts accounts by address.
 *
 * @example
 * ```ts
 * import { StrangeAccounts } from "./strange_accounts.ts";
 *
 * const accounts = new StrangeAccounts();
 * accounts.failed("203.0.113.5", "100");
 * accounts.failed("203.0.113.5", "admin");
 * accounts.succeeded("203.0.113.5", "100"); // mistyped before
 * console.log(accounts.counts.get("203.0.113.5")); // 1
 * ```
 */
export class StrangeAccounts {
  readonly #addresses = new Map<string, Accounts>();

  /** An account fails. */
  failed(address: string, account: string): void {
    if (account === UNKNOWN_ACCOUNT) return;
    const { own, strange } = this.#of(address);
    if (!own.has(account) && strange.size < ACCOUNTS_MAX) strange.add(account);
  }

  /** An account logs in. */
  succeeded(address: string, account: string): void {
    const { own, strange } = this.#of(address);
    strange.delete(account);
    if (own.size < ACCOUNTS_MAX) own.add(account);
  }

  /** How many accounts failed at each address and did not log in there. */
  get counts(): ReadonlyMap<string, number> {
    return new Map([...this.#addresses].map(([address, { strange }]) => [address, strange.size]));
  }

  /** Where more accounts logged in than failed: an office's own phones outnumber the others. */
  get offices(): ReadonlySet<string> {
    const found = [...this.#addresses].filter(([, { own, strange }]) => own.size > strange.size);
    return new Set(found.map(([address]) => address));
  }

  #of(address: string): Accounts {
    let accounts = this.#addresses.get(address);
    if (accounts === undefined) {
      accounts = { own: new Set(), strange: new Set() };
      this.#addresses.set(address, accounts);
      forgetOldest(this.#addresses, ADDRESSES_MAX);
    }
    return accounts;
  }
}
