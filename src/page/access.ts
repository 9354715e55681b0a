/**
 * Who may see the page, and who may act on it.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import type { Clock } from "../clock.ts";
import { ChangedFile } from "../config/changed_file.ts";
import type { PageConfig } from "../config/page_keys.ts";
import { callerOf, type Request } from "./http.ts";
import {
  hashOf,
  isSameHash,
  randomText,
  readTokenFile,
  type Role,
  type Tokens,
} from "./token_file.ts";

/** The name of the cookie. */
const COOKIE = "ampere_page";

/** How long a login lasts, in milliseconds. */
const SESSION_MS = 12 * 3_600_000;

/** Most logins at a time; the oldest goes first. */
const SESSIONS_MAX = 64;

/** Wrong tokens that an address may send in a minute; a token itself cannot be guessed. */
const WRONG_A_MINUTE = 10;

/** Actions of a login in a minute. */
const ACTIONS_A_MINUTE = 60;

/** Most addresses whose tries are counted one by one; all others share one count. */
const COUNTED_MAX = 256;

const MINUTE_MS = 60_000;

/** Randomness of a login, in bytes. */
const SESSION_BYTES = 32;

/** Longest token that is looked at, in characters. */
const TOKEN_CHARACTERS_MAX = 200;

/** Somebody who logged in. */
export interface Session {
  /** Their address when they logged in. */
  readonly from: string;
  /** Clock value at which it ends. */
  readonly ends: number;
}

/** Knows tokens and logins. */
export class Access {
  readonly #config: PageConfig;
  readonly #clock: Clock;
  readonly #sessions = new Map<string, Session>();
  readonly #wrong: Rate;
  readonly #actions: Rate;
  readonly #file: ChangedFile | undefined;
  #tokens: Tokens | { readonly why: string } | undefined;

  /**
   * Reads the file with the tokens, if one is configured.
   *
   * @param config What the configuration says of the page.
   * @param clock The time.
   */
  constructor(config: PageConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    this.#wrong = new Rate(clock, WRONG_A_MINUTE);
    this.#actions = new Rate(clock, ACTIONS_A_MINUTE);
    const { tokenFile } = config;
    if (tokenFile === undefined) return;
    this.#file = new ChangedFile(tokenFile);
    this.#tokens = readTokenFile(tokenFile);
  }

  /** Why nobody can log in; `undefined` if somebody can. */
  get obstacle(): string | undefined {
    if (this.#tokens === undefined) return "page_token_file is not set";
    if ("why" in this.#tokens) return this.#tokens.why;
    return this.#tokens.has("actions") ? undefined : "there is no token for actions";
  }

  /** Reads the file again if it has changed: whoever has a token of before is logged out. */
  look(): void {
    const { tokenFile } = this.#config;
    if (tokenFile === undefined || !this.#file?.hasChanged()) return;
    this.#tokens = readTokenFile(tokenFile);
    this.#sessions.clear();
  }

  /**
   * Whether a request names this server as its own page would: by an address, which no name of
   * somebody else's can be made to lead to (DNS rebinding), or by a name that is ours.
   *
   * @param request The request.
   */
  isForUs({ headers }: Request): boolean {
    const host = headers.get("host") ?? "";
    const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::\d{1,5})?$/.exec(host) ?? [];
    if (bracketed !== undefined) return parseAddress(bracketed)?.includes(":") ?? false;
    const name = plain?.toLowerCase() ?? "";
    return name === "localhost" || parseAddress(name) !== undefined ||
      this.#config.names.includes(name);
  }

  /**
   * Whether a form was sent by a page of this server: the port counts too, which a cookie does not
   * look at.
   *
   * @param request The request.
   */
  isOwnForm({ headers }: Request): boolean {
    const origin = headers.get("origin") ?? "";
    const site = headers.get("sec-fetch-site") ?? "same-origin";
    const host = headers.get("host");
    return site === "same-origin" && (origin === `https://${host}` || origin === `http://${host}`);
  }

  /**
   * Who has sent a request, by its cookie.
   *
   * @param request The request.
   * @returns `undefined` if they are not logged in.
   */
  sessionOf({ headers }: Request): Session | undefined {
    for (const pair of (headers.get("cookie") ?? "").split(";")) {
      const [name, value = ""] = pair.trim().split("=");
      if (name !== COOKIE) continue;
      // 256 random bits: there is nothing to be learnt from how long looking takes.
      const session = this.#sessions.get(value);
      if (session !== undefined && session.ends > this.#clock.now()) return session;
    }
    return undefined;
  }

  /**
   * Whether a request may read pages: without a login only where nobody else can come.
   *
   * @param request The request.
   */
  mayRead(request: Request): boolean {
    return !this.#config.isOpenToOthers || this.sessionOf(request) !== undefined;
  }

  /**
   * Whether a request may read the lists for other firewalls: by a login, by a token (`Bearer`, or
   * the password of `Basic`), and without either where there is no token for lists and nobody else
   * can come.
   *
   * @param request The request.
   */
  async mayReadLists(request: Request): Promise<boolean> {
    const isOpen = !this.#config.isOpenToOthers && !this.#tokensOf("lists");
    if (isOpen || this.sessionOf(request) !== undefined) return true;
    const token = tokenIn(request.headers.get("authorization") ?? "");
    if (token === undefined) return false;
    return await this.#isToken(token, callerOf(request), "lists", "actions");
  }

  /**
   * Logs somebody in.
   *
   * @param token What they gave.
   * @param from Their address.
   * @returns The value of the header `Set-Cookie`; why not, if not.
   */
  async login(token: string, from: string): Promise<{ cookie: string } | "wrong" | "too often"> {
    if (this.#wrong.isSpent(from)) return "too often";
    if (!await this.#isToken(token, from, "actions")) return "wrong";
    const id = randomText(SESSION_BYTES);
    this.#sessions.set(id, { from, ends: this.#clock.now() + SESSION_MS });
    if (this.#sessions.size > SESSIONS_MAX) {
      this.#sessions.delete(this.#sessions.keys().next().value!);
    }
    return { cookie: this.#cookie(id, SESSION_MS / 1000) };
  }

  /**
   * Logs somebody out.
   *
   * @param session Who.
   * @returns The value of the header `Set-Cookie`.
   */
  logout(session: Session): string {
    for (const [id, one] of this.#sessions) if (one === session) this.#sessions.delete(id);
    return this.#cookie("", 0);
  }

  /**
   * Counts an action.
   *
   * @param session Whose.
   * @returns Whether it may be done now.
   */
  takeAction(session: Session): boolean {
    const key = String(session.ends);
    if (this.#actions.isSpent(key)) return false;
    this.#actions.count(key);
    return true;
  }

  #tokensOf(role: Role): Uint8Array | undefined {
    return this.#tokens === undefined || "why" in this.#tokens ? undefined : this.#tokens.get(role);
  }

  async #isToken(token: string, from: string, ...roles: readonly Role[]): Promise<boolean> {
    if (this.#wrong.isSpent(from)) return false;
    const hash = await hashOf(token.trim().slice(0, TOKEN_CHARACTERS_MAX));
    const isRight = roles.map((role) => isSameHash(hash, this.#tokensOf(role) ?? new Uint8Array()));
    if (isRight.includes(true)) return true;
    this.#wrong.count(from);
    return false;
  }

  #cookie(value: string, seconds: number): string {
    const secure = this.#config.isByTls ? "; Secure" : "";
    return `${COOKIE}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`;
  }
}

/** The token of a header `Authorization`. */
function tokenIn(header: string): string | undefined {
  const [, scheme = "", value = ""] = /^(Bearer|Basic) +(\S+)$/i.exec(header) ?? [];
  if (scheme.toLowerCase() !== "basic") return value === "" ? undefined : value;
  try {
    const pair = new TextDecoder().decode(Uint8Array.fromBase64(value));
    return pair.includes(":") ? pair.slice(pair.indexOf(":") + 1) : undefined;
  } catch {
    return undefined;
  }
}

/** Counts what somebody does within a minute. */
class Rate {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #counts = new Map<string, number>();
  #began = -Infinity;

  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  isSpent(who: string): boolean {
    this.#begin();
    return (this.#counts.get(this.#keyOf(who)) ?? 0) >= this.#most;
  }

  count(who: string): void {
    this.#begin();
    const key = this.#keyOf(who);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  #keyOf(who: string): string {
    return this.#counts.has(who) || this.#counts.size < COUNTED_MAX ? who : "";
  }

  #begin(): void {
    const now = this.#clock.now();
    if (now - this.#began < MINUTE_MS) return;
    this.#began = now;
    this.#counts.clear();
  }
}
