/**
 * Whether many who don't know each other come from one address: a proxy, gateway or session border
 * controller that hides who calls.
 *
 * An office looks different. Its phones log in, and the few that fail do so on accounts of the
 * office. Only, most phones register each hour, and until then they have not shown that they are
 * there. So an address is judged when it has been watched for {@linkcode PROXY_KNOWN_MS}, or after
 * {@linkcode PROXY_WATCH_MS_MIN} if each account that logs in has done so again, by which all of
 * them are known. It is told as a proxy when several accounts log in from it, and
 *
 * - at least {@linkcode STRANGE_ACCOUNTS_MIN} others fail and never log in, more than those that do
 *   (before the hour is over {@linkcode EARLY_STRANGE_FACTOR} times as many), or
 * - accounts fail that Asterisk does not know, which PJSIP all calls `<unknown>`:
 *   {@linkcode UNKNOWN_A_MINUTE_MIN} times a minute and {@linkcode UNKNOWN_FACTOR} times for each
 *   account that logs in. A forgotten phone with a deleted account tries once or twice a minute.
 *
 * @module
 */

import { forgetOldest } from "./bounded_map.ts";
import type { HostKey } from "./host_key.ts";

/** Accounts that failed and never logged in. */
export const STRANGE_ACCOUNTS_MIN = 10;

/**
 * So many times as many as those that log in, when it is not certain yet that all of these have.
 */
const EARLY_STRANGE_FACTOR = 5;

/** Failures of accounts that Asterisk does not know, a minute. */
const UNKNOWN_A_MINUTE_MIN = 10;

/** The same for each account that logs in. */
const UNKNOWN_FACTOR = 20;

/** Accounts that logged in: one alone is a phone whose address somebody else shares. */
export const OWN_ACCOUNTS_MIN = 2;

/** An address is watched for so long at least, in milliseconds. */
export const PROXY_WATCH_MS_MIN = 600_000;

/**
 * After so long the phones of an office have registered again, in milliseconds: most register each
 * hour.
 */
const PROXY_KNOWN_MS = 3_600_000;

/** How long an address is watched before it is counted anew, in milliseconds. */
const PROXY_WINDOW_MS = 2 * PROXY_KNOWN_MS;

/** Most addresses that are watched at a time; the one that is watched longest goes first. */
export const PROXIES_WATCHED_MAX = 1_024;

/** Most accounts of an address that are told apart. */
export const PROXY_ACCOUNTS_MAX = 1_024;

const MINUTE_MS = 60_000;

/**
 * What chan_pjsip calls whoever it does not know (`res_pjsip_authenticator_digest`, artificial
 * endpoint).
 */
const UNKNOWN_ACCOUNT = "<unknown>";

/** An address from which many come who don't know each other. */
interface ProxySign {
  /** The address, as its key. */
  readonly host: HostKey;
  /** Accounts that logged in from it while it was watched. */
  readonly own: number;
  /** Accounts that failed and did not log in. */
  readonly strange: number;
  /** Failures of accounts that Asterisk does not know. */
  readonly unknown: number;
}

interface Watched {
  readonly since: number;
  /** How often each account has logged in. */
  readonly own: Map<string, number>;
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
      watched = { since: now, own: new Map(), strange: new Set(), unknown: 0 };
      this.#watched.set(host, watched);
      forgetOldest(this.#watched, PROXIES_WATCHED_MAX);
    }
    if (account === UNKNOWN_ACCOUNT) watched.unknown++;
    else if (!watched.own.has(account) && watched.strange.size < PROXY_ACCOUNTS_MAX) {
      watched.strange.add(account);
    }
    if (now - watched.since >= PROXY_WATCH_MS_MIN) this.#judge(host, watched, now);
  }

  /** An account logs in. */
  succeeded(host: HostKey, account: string): void {
    if (this.#watched.size === 0) return;
    const watched = this.#watched.get(host);
    if (watched === undefined) return;
    watched.strange.delete(account);
    const before = watched.own.get(account);
    if (before !== undefined || watched.own.size < PROXY_ACCOUNTS_MAX) {
      watched.own.set(account, (before ?? 0) + 1);
    }
  }

  /** The addresses that were recognized since the last call. */
  takeFound(): ProxySign[] {
    if (this.#found.length === 0) return this.#found;
    const found = this.#found;
    this.#found = [];
    return found;
  }

  #judge(host: HostKey, { since, own, strange, unknown }: Watched, now: number): void {
    if (own.size < OWN_ACCOUNTS_MIN) return;
    const late = now - since >= PROXY_KNOWN_MS;
    const others = late ? own.size + 1 : own.size * EARLY_STRANGE_FACTOR;
    const many = strange.size >= Math.max(STRANGE_ACCOUNTS_MIN, others);
    const often = unknown >= own.size * UNKNOWN_FACTOR &&
      unknown * MINUTE_MS >= UNKNOWN_A_MINUTE_MIN * (now - since);
    if (!many && !often) return;
    if (!late && [...own.values()].some((logins) => logins < 2)) return;
    if (this.#told.size >= PROXIES_WATCHED_MAX) return;
    this.#told.add(host);
    this.#watched.delete(host);
    this.#found.push({ host, own: own.size, strange: strange.size, unknown });
  }
}
