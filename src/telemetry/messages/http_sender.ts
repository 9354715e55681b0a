/**
 * Sends messages to a messenger that is reached by HTTP.
 *
 * @module
 */

import { authorities, AuthoritiesError } from "../../authorities.ts";
import { type MessengerConfig, shownMessengerUrl, unfitUrl } from "../../config/messengers.ts";
import { escapeText } from "../../text/escape.ts";
import { VERSION } from "../../version.ts";
import { httpFault } from "../http_fault.ts";
import { type MessengerRequest, requestOf, type Secrets } from "./formats.ts";
import type { Message, Sender, SendFailure } from "./message.ts";
import { readSecret, SecretError } from "./secrets.ts";

/** HTTP codes of the 4xx group that may pass by waiting (RFC 9110; RFC 6585, section 4). */
const PASSING = new Set([408, 425, 429]);

/** Most bytes of an answer that are read. */
const ANSWER_BYTES_MAX = 16_384;

/** Longest text of an answer that is shown, in characters. */
const ANSWER_SHOWN_MAX = 160;

/** Shortest part of an address that is taken for a secret; a shorter one would hide words. */
const SECRET_LENGTH_MIN = 4;

/** Longest wait that an answer may ask for, in seconds; more is no wait. */
const RETRY_AFTER_MAX = 86_400;

/** What a request for a look returns that only needs an answer of any kind. */
type Answer = {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | null;
};

/**
 * A server.
 *
 * @example
 * ```ts ignore
 * using sender = new HttpSender(config.messengers[0]);
 * const failure = await sender.send(message, AbortSignal.timeout(10_000));
 * ```
 */
export class HttpSender implements Sender {
  readonly #config: MessengerConfig;
  #client: Deno.HttpClient | undefined;

  /** @param config Where it is, and what it understands. */
  constructor(config: MessengerConfig) {
    this.#config = config;
  }

  get shown(): string {
    return shownMessengerUrl(this.#config);
  }

  async send(message: Message, signal: AbortSignal): Promise<SendFailure | undefined> {
    let secrets: Secrets;
    try {
      secrets = secretsOf(this.#config);
    } catch (error) {
      return fileFailure(error);
    }
    const answer = await this.#ask(requestOf(message, this.#config, secrets), secrets, signal);
    return "why" in answer ? answer : judge(answer, this.#config, secrets);
  }

  async probe(signal: AbortSignal): Promise<{ readonly proven: string } | SendFailure> {
    let secrets: Secrets;
    try {
      secrets = secretsOf(this.#config);
    } catch (error) {
      return fileFailure(error);
    }
    const { request, proves } = probeOf(this.#config, secrets);
    const answer = await this.#ask(request, secrets, signal);
    if ("why" in answer) return answer;
    if (proves === undefined) {
      return { proven: "it is reached; whether it takes messages only a message can show" };
    }
    return judge(answer, this.#config, secrets) ?? { proven: proves };
  }

  /** Closes what is connected. */
  [Symbol.dispose](): void {
    this.#client?.close();
    this.#client = undefined;
  }

  async #ask(
    request: Omit<MessengerRequest, "method"> & { readonly method: string },
    secrets: Secrets,
    signal: AbortSignal,
  ): Promise<Answer | SendFailure> {
    const { url, method, headers, body } = request;
    try {
      const response = await fetch(url, {
        method,
        headers: {
          "user-agent": `ampere/${VERSION}`,
          ...(body === "" ? {} : { "content-type": "application/json; charset=utf-8" }),
          ...headers,
        },
        ...(body === "" ? {} : { body }),
        // Elsewhere the secret would have no business.
        redirect: "manual",
        signal,
        ...this.#withAuthorities(url),
      });
      const { status } = response;
      const text = await beginningOf(response);
      return { status, text, retryAfter: response.headers.get("retry-after") };
    } catch (error) {
      // The administrator may install another authority meanwhile.
      this[Symbol.dispose]();
      if (error instanceof AuthoritiesError) return { why: error.message, advice: error.advice };
      const caFile = this.#config.ca;
      return httpFault(error, new URL(secrets.url).hostname, {
        caKey: "ca",
        caFile,
        urlKey: "url",
      });
    }
  }

  #withAuthorities(url: URL): { client?: Deno.HttpClient } {
    if (url.protocol !== "https:") return {};
    this.#client ??= Deno.createHttpClient({ caCerts: authorities(this.#config.ca, "ca") });
    return { client: this.#client };
  }
}

/** What the files of a messenger hold. */
function secretsOf(config: MessengerConfig): Secrets {
  const { urlFile, tokenFile, format } = config;
  const url = urlFile === undefined ? config.url : readSecret(urlFile, "url_file");
  const wrong = urlFile === undefined ? undefined : unfitUrl(url, format);
  if (wrong !== undefined) {
    throw new SecretError(`url_file: ${urlFile}: ${wrong}`, `correct ${urlFile}`);
  }
  const token = tokenFile === undefined ? "" : readSecret(tokenFile, "token_file");
  // What else would stand in a path or a header is not the token that was given out.
  if (!/^[\x21-\x7e]*$/.test(token) || format === "telegram" && !/^[0-9]+:[\w-]+$/.test(token)) {
    throw new SecretError(
      `token_file: ${tokenFile}: that is not a token`,
      `write the token into ${tokenFile} as it was given out, in one line and nothing else`,
    );
  }
  return { url, token };
}

function fileFailure(error: unknown): SendFailure {
  if (!(error instanceof SecretError)) throw error;
  return { why: error.message, advice: error.advice, lasting: true };
}

/** What can be asked without telling anybody anything. */
function probeOf(config: MessengerConfig, { url: text, token }: Secrets) {
  const url = new URL(text);
  const at = (path: string) => {
    const to = new URL(url);
    to.pathname = `${url.pathname.replace(/\/+$/, "")}/${path}`;
    return to;
  };
  const bearer = { authorization: `Bearer ${token}` };
  const get = (to: URL, headers: Record<string, string> = {}) => ({
    method: "GET",
    url: to,
    headers,
    body: "",
  });
  switch (config.format) {
    case "telegram":
      return {
        request: get(at(`bot${token}/getMe`)),
        proves: "it knows the bot; whether the bot may write into the chat only a message can show",
      };
    case "matrix":
      return {
        request: get(at("_matrix/client/v3/account/whoami"), bearer),
        proves:
          "it knows the account; whether that may write into the room only a message can show",
      };
    case "ntfy": {
      const topic = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
      url.pathname = url.pathname.slice(0, -topic.length);
      // The same rights are looked at as for reading the topic.
      return {
        request: get(at("v1/health")),
        proves: "it is in good health; whether it takes messages only a message can show",
      };
    }
    default:
      return { request: { ...get(url), method: "HEAD" }, proves: undefined };
  }
}

/** What an answer means. */
function judge(
  { status, text, retryAfter }: Answer,
  { name, format, tokenFile }: MessengerConfig,
  secrets: Secrets,
): SendFailure | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status >= 300 && status < 400) {
    return { why: `it sends to another address (HTTP ${status}); give that one`, lasting: true };
  }
  const said = saying(text, secrets);
  const moved = numberIn(text, "migrate_to_chat_id");
  if (format === "telegram" && moved !== undefined) {
    return {
      why: `HTTP ${status}${said === "" ? "" : ` "${said}"`}`,
      advice: `the group has another number now: write chat = ${moved} into [notify ${name}]`,
      lasting: true,
    };
  }
  const advice = status === 401 || status === 403 || (format === "telegram" && status === 404)
    ? tokenFile === undefined
      ? "look whether it wants a token (token_file)"
      : `correct ${tokenFile}`
    : undefined;
  return {
    why: `HTTP ${status}${said === "" ? "" : ` "${said}"`}`,
    advice,
    lasting: status < 500 && !PASSING.has(status),
    retryAfterMs: status === 429 || status === 503 ? waitOf(text, retryAfter) : undefined,
  };
}

/** What a server says of itself, without what is secret and cut. */
function saying(text: string, { url, token }: Secrets): string {
  let said = text;
  try {
    const answer = JSON.parse(text) as Record<string, unknown>;
    const words = answer?.description ?? answer?.error;
    if (typeof words === "string") said = words;
  } catch {
    // Slack answers in plain text.
  }
  if (/<html|<!doctype/i.test(said)) return "";
  for (const secret of secretParts(url, token)) said = said.replaceAll(secret, "(not shown)");
  return escapeText(said.trim(), ANSWER_SHOWN_MAX);
}

/** What of an address may be secret, as it stands there and as it is meant; the longest first. */
function secretParts(address: string, token: string): string[] {
  const { pathname, search, searchParams } = new URL(address);
  const parts = [
    pathname.slice(1),
    search.slice(1),
    ...pathname.split("/"),
    ...searchParams.values(),
  ];
  return [token, ...parts, ...parts.map(decoded)]
    .filter((part) => part.length >= SECRET_LENGTH_MIN)
    .sort((a, b) => b.length - a.length);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * How long a server wants one to wait, in milliseconds: by HTTP (RFC 9110, section 10.2.3), or as
 * Telegram (`parameters.retry_after`, in seconds) and Matrix (`retry_after_ms`) say it.
 */
function waitOf(text: string, header: string | null): number | undefined {
  const seconds = header === null
    ? secondsIn(text)
    : /^\d+$/.test(header)
    ? Number(header)
    : (Date.parse(header) - Date.now()) / 1000;
  if (seconds === undefined || !(seconds > 0)) return undefined;
  return Math.min(seconds, RETRY_AFTER_MAX) * 1000;
}

function secondsIn(text: string): number | undefined {
  const ms = numberIn(text, "retry_after_ms");
  return numberIn(text, "retry_after") ?? (ms === undefined ? undefined : ms / 1000);
}

/** A number in an answer, where Telegram (`parameters`) or Matrix writes it. */
function numberIn(text: string, name: string): number | undefined {
  try {
    const answer = JSON.parse(text);
    const value = answer?.parameters?.[name] ?? answer?.[name];
    return typeof value === "number" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The beginning of an answer; the rest is not read. */
async function beginningOf(response: Response): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > ANSWER_BYTES_MAX) break;
  }
  return text;
}
