/**
 * Whether many who don't know each other come from one address: a proxy, gateway or session border controller that
 * hides who calls.
 *
 * An office looks different. Its phones log in, and the few that fail do so on accounts of the office. So an address is
 * told as a proxy only when, within an hour, several accounts logged in from it, and at least
 * {@linkcode STRANGE_ACCOUNTS_MIN} other accounts failed there that never logged in, and these are more than the ones that
 * did. Asterisk prints all unknown accounts of PJSIP as one, `<unknown>`: then {@linkcode UNKNOWN_FAILURES_MIN} failures
 * count instead, five a minute, where a forgotten phone with a deleted account tries once or twice.
 *
 * @module
 */

import { forgetOldest } from "./bounded_map.ts";
import type { HostKey } from "./host_key.ts";

/** Accounts that failed and never logged in. */
export const STRANGE_ACCOUNTS_MIN = 10;

/** Failures of accounts that Asterisk does not know. */
export const UNKNOWN_FAILURES_MIN = 300;

/** Accounts that logged in: one alone is a phone whose address somebody else shares. */
export const OWN_ACCOUNTS_MIN = 2;

/** An address is watched for so long at least, in milliseconds: by then the phones of an office have registered again. */
export const PROXY_WATCH_MS_MIN = 600_000;

/** How long an address is watched before it is counted anew, in milliseconds. */
export const PROXY_WINDOW_MS = 3_600_000;

/** Most addresses that are watched at a time; the one that is watched longest goes first. */
export const PROXIES_WATCHED_MAX = 1_024;

/** Most accounts of an address that are told apart. */
export const PROXY_ACCOUNTS_MAX = 1_024;

/** What chan_pjsip calls whoever it does not know (`res_pjsip_authenticator_digest`, artificial endpoint). */
const UNKNOWN_ACCOUNT = "<unknown>";

/** An address from which many come who don't know each other. */
export interface ProxySign {
  /** The address, as its key. */
  readonly host: HostKey;
  /** Accounts that logged in from it within the hour. */
  readonly own: number;
  /** Accounts that failed and did not log in within the hour. */
  readonly strange: number;
  /** Failures of accounts that Asterisk does not know. */
  readonly unknown: number;
}

interface Watched {
  readonly since: number;
  readonly own: Set<string>;
  readonly strange: Set<string>;
  unknown: number;
}

/** Watches addresses in good standing from which somebody fails. */
export class ProxySigns {
  readonly #watched = new Map<HostKey, Watched>();
  /** Told already: once each. */
  readonly #told = new Set<HostKey>();
  #found: ProxySign[] = [];

  /** Addresses that were recognized since the start. */
  get count(): number {
    return this.#told.size;
  }

  /** Somebody fails from an address where others log in. */
  failed(host: HostKey, account: string, now: number): void {
    if (this.#told.has(host)) return;
    let watched = this.#watched.get(host);
    if (watched === undefined || now - watched.since > PROXY_WINDOW_MS) {
      this.#watched.delete(host);
      watched = { since: now, own: new Set(), strange: new Set(), unknown: 0 };
      this.#watched.set(host, watched);
      forgetOldest(this.#watched, PROXIES_WATCHED_MAX);
    }
    if (account === UNKNOWN_ACCOUNT) watched.unknown++;
    else if (!watched.own.has(account) && watched.strange.size < PROXY_ACCOUNTS_MAX) {
      watched.strange.add(account);
    }
    if (now - watched.since >= PROXY_WATCH_MS_MIN) this.#judge(host, watched);
  }

  /** An account logs in. */
  succeeded(host: HostKey, account: string): void {
    if (this.#watched.size === 0) return;
    const watched = this.#watched.get(host);
    if (watched === undefined) return;
    watched.strange.delete(account);
    if (watched.own.size < PROXY_ACCOUNTS_MAX) watched.own.add(account);
  }

  /** The addresses that were recognized since the last call. */
  takeFound(): ProxySign[] {
    if (this.#found.length === 0) return this.#found;
    const found = this.#found;
    this.#found = [];
    return found;
  }

  #judge(host: HostKey, { own, strange, unknown }: Watched): void {
    if (own.size < OWN_ACCOUNTS_MIN) return;
    const many = strange.size >= STRANGE_ACCOUNTS_MIN && strange.size > own.size;
    if (!many && unknown < UNKNOWN_FAILURES_MIN) return;
    if (this.#told.size >= PROXIES_WATCHED_MAX) return;
    this.#told.add(host);
    this.#watched.delete(host);
    this.#found.push({ host, own: own.size, strange: strange.size, unknown });
  }
}
