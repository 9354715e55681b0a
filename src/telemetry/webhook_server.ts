/**
 * The HTTP server that a webhook leads to: one request to it, and why it failed.
 *
 * @module
 */

import { authorities, AuthoritiesError } from "../authorities.ts";
import { VERSION } from "../version.ts";
import { httpFault } from "./http_fault.ts";
import type { Notice } from "./notice.ts";

/** How long the server may take, in milliseconds. */
export const REQUEST_MS = 10_000;

/**
 * HTTP codes of the 4xx group that may pass by waiting (RFC 9110, sections 15.5.9; RFC 6585,
 * section 4).
 */
const PASSING = new Set([408, 425, 429]);

/** What a request carries, as JSON. */
export interface WebhookBody {
  readonly source: "ampere";
  readonly version: string;
  /** Notices that were dropped since the last request that arrived. */
  readonly dropped: number;
  /** In the order in which they happened. */
  readonly events: readonly Notice[];
}

/** Why a request failed. */
export interface WebhookFailure {
  /** In words without any part of the address but the server's name. */
  readonly why: string;
  /** What mends it, where that is known. */
  readonly advice?: string;
  /** It does not go away by waiting. */
  readonly lasting?: boolean;
}

/**
 * A server.
 *
 * @example
 * ```ts ignore
 * using server = new WebhookServer("https://hooks.example.org/SECRET");
 * const failure = await server.post([{ event: "check", time }], 0, AbortSignal.timeout(10_000));
 * ```
 */
export class WebhookServer implements Disposable {
  readonly #url: URL;
  readonly #caFile: string | undefined;
  readonly #headers: Record<string, string>;
  #client: Deno.HttpClient | undefined;

  /**
   * Nothing is connected yet.
   *
   * @param address Where to; what comes after the server's name may be a secret.
   * @param caFile The file with the authorities of its certificate; by default this machine's.
   */
  constructor(address: string, caFile?: string) {
    const url = new URL(address);
    this.#headers = {
      "content-type": "application/json",
      "user-agent": `ampere/${VERSION}`,
      ...authorization(url),
    };
    url.username = url.password = "";
    this.#url = url;
    this.#caFile = caFile;
  }

  /** The part of its address that may be shown. */
  get origin(): string {
    return this.#url.origin;
  }

  /**
   * One request.
   *
   * @param events What it tells.
   * @param dropped How many were given up since the last one that arrived.
   * @param signal Ends it.
   * @returns Why it failed; `undefined` when the server took it.
   */
  async post(
    events: readonly Notice[],
    dropped: number,
    signal: AbortSignal,
  ): Promise<WebhookFailure | undefined> {
    const body: WebhookBody = { source: "ampere", version: VERSION, dropped, events };
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: this.#headers,
        body: JSON.stringify(body),
        // Elsewhere the secret in the address would have no business.
        redirect: "manual",
        signal,
        ...this.#withAuthorities(),
      });
      await response.body?.cancel();
      return judge(response.status);
    } catch (error) {
      // The administrator may install another authority meanwhile.
      this[Symbol.dispose]();
      if (error instanceof AuthoritiesError) return { why: error.message, advice: error.advice };
      return httpFault(error, this.#url.hostname, {
        caKey: "webhook_ca",
        caFile: this.#caFile,
        urlKey: "webhook",
      });
    }
  }

  /** Closes what is connected. */
  [Symbol.dispose](): void {
    this.#client?.close();
    this.#client = undefined;
  }

  #withAuthorities(): { client?: Deno.HttpClient } {
    if (this.#url.protocol !== "https:") return {};
    this.#client ??= Deno.createHttpClient({
      caCerts: authorities(this.#caFile, "webhook_ca"),
    });
    return { client: this.#client };
  }
}

function judge(status: number): WebhookFailure | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status >= 300 && status < 400) {
    return { why: `it sends to another address (HTTP ${status}); give that one`, lasting: true };
  }
  const lasting = status < 500 && !PASSING.has(status);
  return { why: `HTTP ${status}`, lasting };
}

/** User and password of an address go into a header. */
function authorization(url: URL): { authorization?: string } {
  if (url.username === "" && url.password === "") return {};
  const pair = `${decoded(url.username)}:${decoded(url.password)}`;
  return { authorization: `Basic ${new TextEncoder().encode(pair).toBase64()}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A per cent sign that encodes nothing.
    return text;
  }
}
