/**
 * Fetches a file by HTTP/1.1 from a server that is not to be trusted with anything: its size, its
 * time and where it may lead to are bounded.
 *
 * The connection is made to an address that was looked at before, so that a name whose answer
 * changes in between (DNS rebinding) leads nowhere else. The runtime's own `fetch` does not tell
 * where it connects to.
 *
 * @module
 */

import { isIP } from "node:net";
import { parseAddress, readAddress } from "../address/address.ts";
import { AddressSet } from "../address/address_set.ts";
import { dial, DialError, resolveHost } from "../ami/dial.ts";
import { closeAtOnce } from "../ami/transport.ts";
import { authorities as authoritiesIn } from "../authorities.ts";
import { escapeText } from "../text/escape.ts";
import { writeAll } from "../text/write_all.ts";
import { tlsFault } from "../tls_fault.ts";
import { VERSION } from "../version.ts";
import { FeedError, isInner } from "./entries.ts";
import { BodyReader } from "./http_body.ts";

/** Most redirects that are followed. */
const REDIRECTS_MAX = 5;

/** Longest status line with all headers, in bytes. */
const HEAD_MAX = 65_536;

/** Longest silence of a server, in milliseconds. */
const SILENCE_MS = 15_000;

/** Most bytes of a list, as it comes and as it is without compression. */
export const BYTES_MAX = 32 * 1024 * 1024;

/** Where a name must not lead to; whoever means that writes the address. */
const ON_THIS_MACHINE = new AddressSet([
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "::/127",
  "fe80::/10",
]);

/** What is known of the copy that there is. */
export interface Validators {
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
}

/** What a server has answered. */
interface Answer extends Validators {
  /** It is as it was. */
  readonly isSame: boolean;
  /** Canonical addresses of those who were asked, redirects and all. */
  readonly servers: readonly string[];
  /** Its bytes, without compression; to be read once. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Ends the connection. */
  close(): void;
}

/** How something is fetched. */
export interface FetchOptions {
  readonly validators?: Validators;
  /** Gives up. */
  readonly signal?: AbortSignal;
  /** What of the URL is not to be told; by default nothing. */
  readonly hide?: (text: string) => string;
  /** @default {SILENCE_MS} */
  readonly silenceMs?: number;
  /** The addresses of a name; by default as the system says. */
  readonly resolve?: (host: string) => Promise<string[]>;
  /** Authorities in PEM, beside the runtime's; by default those of this machine. */
  readonly authorities?: () => string[];
}

/**
 * Asks for a URL.
 *
 * @param url `http:` or `https:`. Its own host may be any; one that it redirects to must be in the
 *   Internet, unless the URL itself names that host.
 * @param options See {@linkcode FetchOptions}.
 * @returns The answer, whose body has not been read yet.
 * @throws {FeedError} When there is none that can be used.
 */
export async function fetchUrl(url: string, options: FetchOptions = {}): Promise<Answer> {
  const hide = options.hide ?? ((text: string) => text);
  const first = new URL(url);
  let at = first;
  const servers: string[] = [];
  for (let redirects = 0;; redirects++) {
    const isElsewhere = at.hostname !== first.hostname || at.port !== first.port;
    const answer = await ask(at, isElsewhere, options, servers);
    if (!(answer instanceof URL)) return answer;
    if (redirects >= REDIRECTS_MAX) throw new FeedError(`more than ${REDIRECTS_MAX} redirects`);
    if (at.protocol === "https:" && answer.protocol !== "https:") {
      throw new FeedError(`it redirects from https to ${hide(shown(answer))}, which is refused`);
    }
    at = answer;
  }
}

/** One request; gives where to go instead, if the server says so, and notes whom it asks. */
async function ask(
  url: URL,
  isElsewhere: boolean,
  options: FetchOptions,
  servers: string[],
): Promise<Answer | URL> {
  const { validators = {}, signal, silenceMs = SILENCE_MS } = options;
  const connection = await connect(url, isElsewhere, options);
  const server = parseAddress((connection.remoteAddr as Deno.NetAddr).hostname);
  if (server !== undefined) servers.push(server);
  let closed = false;
  // A read that is under way does not end with the connection: it is left behind.
  const end = Promise.withResolvers<never>();
  end.promise.catch(() => {});
  const close = () => {
    if (closed) return;
    closed = true;
    signal?.removeEventListener("abort", giveUp);
    closeAtOnce(connection);
  };
  const giveUp = () => {
    end.reject(new FeedError(reasonOf(signal!)));
    close();
  };
  signal?.addEventListener("abort", giveUp);
  if (signal?.aborted) giveUp();
  /** Bytes, or `null` at the end. */
  const read = async (): Promise<Uint8Array | null> => {
    const timer = setTimeout(
      () => end.reject(new FeedError(`the server was silent for ${silenceMs / 1000} s`)),
      silenceMs,
    );
    const buffer = new Uint8Array(65_536);
    const reading = connection.read(buffer);
    reading.catch(() => {});
    try {
      const count = await Promise.race([reading, end.promise]);
      return count === null ? null : buffer.subarray(0, count);
    } catch (error) {
      close();
      if (error instanceof FeedError) throw error;
      throw new FeedError(`the connection broke: ${wordsOf(error)}`);
    } finally {
      clearTimeout(timer);
    }
  };
  try {
    await writeAll(connection, requestOf(url, validators));
    const { status, headers, rest } = await readHead(read);
    if (status >= 300 && status < 400 && status !== 304) {
      close();
      const location = headers.get("location") ?? "";
      const next = URL.parse(location, url);
      if (next === null || !/^https?:$/.test(next.protocol) || next.hostname === "") {
        throw new FeedError(`it redirects to "${escapeText(location, 60)}", which is no web page`);
      }
      return next;
    }
    if (status !== 200 && status !== 304) {
      throw new FeedError(`the server answers ${status}${WORDS[status] ?? ""}`);
    }
    if (status === 304 && validators.etag === undefined && validators.lastModified === undefined) {
      throw new FeedError("the server says that nothing has changed, but there is no copy");
    }
    const body = new BodyReader({ headers, rest, read, most: BYTES_MAX, isEmpty: status === 304 });
    return {
      isSame: status === 304,
      etag: headers.get("etag"),
      lastModified: headers.get("last-modified"),
      servers,
      body,
      close,
    };
  } catch (error) {
    close();
    if (error instanceof FeedError) throw error;
    if (signal?.aborted) throw new FeedError(reasonOf(signal));
    throw new FeedError(`the connection broke: ${wordsOf(error)}`);
  }
}

/** What is said of some answers. */
const WORDS: Readonly<Record<number, string>> = {
  401: " (not allowed: the key is missing or wrong)",
  403: " (not allowed: the key is wrong, or this address may not have it)",
  404: " (there is no such list)",
  429: " (asked too often; let every be longer)",
  500: " (its own fault; it is tried again)",
  502: " (its own fault; it is tried again)",
  503: " (its own fault; it is tried again)",
};

async function connect(
  url: URL,
  isElsewhere: boolean,
  { signal, resolve = resolveHost, authorities = ownAuthorities }: FetchOptions,
): Promise<Deno.TcpConn | Deno.TlsConn> {
  const isTls = url.protocol === "https:";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? (isTls ? 443 : 80) : Number(url.port);
  const looked = async (name: string) => {
    const addresses = await resolve(name);
    // An address, or localhost, is what somebody has written and meant.
    if (!isElsewhere && (isIP(host) !== 0 || host === "localhost")) return addresses;
    for (const address of addresses) {
      if (!isElsewhere) {
        if (!ON_THIS_MACHINE.has(parseAddress(address) ?? "")) continue;
        throw new FeedError(
          `${
            escapeText(host, 60)
          } is said to be ${address}, which is on this machine or its link: refused`,
          "if that is right, write the address into url",
        );
      }
      const network = readAddress(parseAddress(address) ?? "");
      if (network !== undefined && !isInner(network)) continue;
      throw new FeedError(
        `it redirects to ${escapeText(host, 60)} (${
          escapeText(address, 60)
        }), which is not in the ` +
          "Internet: refused",
      );
    }
    return addresses;
  };
  let plain: Deno.TcpConn;
  try {
    plain = await dial(host, port, { resolve: looked, ...(signal && { signal }) });
    plain.setKeepAlive(true);
  } catch (error) {
    if (error instanceof FeedError) throw error;
    if (signal?.aborted) throw new FeedError(reasonOf(signal));
    if (!(error instanceof DialError)) throw error;
    throw new FeedError(`${escapeText(host, 60)}:${port}: ${error.message}`);
  }
  return isTls ? await secure(plain, host, authorities()) : plain;
}

async function secure(
  plain: Deno.TcpConn,
  host: string,
  caCerts: string[],
): Promise<Deno.TlsConn> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const secured = await Deno.startTls(plain, { hostname: host, caCerts });
    timer = setTimeout(() => secured.close(), SILENCE_MS);
    await secured.handshake();
    return secured;
  } catch (error) {
    const fault = tlsFault(error, {
      name: host,
      caKey: undefined,
      caFile: undefined,
      otherName: "the name that stands in the certificate, in url",
      plain: "http:// instead of https://, if the server is one of your own",
    });
    throw new FeedError(fault?.why ?? `the TLS handshake failed: ${wordsOf(error)}`, fault?.advice);
  } finally {
    clearTimeout(timer);
  }
}

/** What this machine believes. */
function ownAuthorities(): string[] {
  return authoritiesIn(undefined, "");
}

function requestOf(url: URL, { etag, lastModified }: Validators): Uint8Array {
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    `User-Agent: Ampere/${VERSION}`,
    "Accept: */*",
    "Accept-Encoding: gzip",
    "Connection: close",
    ...(etag === undefined ? [] : [`If-None-Match: ${etag}`]),
    ...(lastModified === undefined ? [] : [`If-Modified-Since: ${lastModified}`]),
  ];
  return new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
}

/** Reads up to the end of the headers; those of interim answers (1xx) are passed over. */
async function readHead(
  read: () => Promise<Uint8Array | null>,
): Promise<{ status: number; headers: Map<string, string>; rest: Uint8Array }> {
  let bytes = new Uint8Array(0);
  for (;;) {
    const text = new TextDecoder("latin1").decode(bytes);
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) {
      const [first = "", ...lines] = text.slice(0, end).split("\r\n");
      const status = Number(/^HTTP\/1\.[01] ([1-5][0-9]{2})(?: |$)/.exec(first)?.[1]);
      if (Number.isNaN(status)) break;
      bytes = bytes.slice(end + 4);
      if (status < 200) continue;
      const headers = new Map<string, string>();
      for (const line of lines) {
        const [, name, text = ""] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)$/.exec(line) ?? [];
        if (name === undefined) throw new FeedError("the server's headers are not right");
        const key = name.toLowerCase();
        // The blanks are not the pattern's: it would look for them again and again.
        const value = text.trim();
        // Two lengths, or a length and another one: nobody knows which is meant.
        const before = headers.get(key);
        if (key === "content-length" && before !== undefined && before !== value) {
          throw new FeedError("the server tells two lengths");
        }
        headers.set(key, value);
      }
      return { status, headers, rest: bytes };
    }
    if (bytes.length > HEAD_MAX) throw new FeedError("the server's headers do not end");
    const more = await read();
    if (more === null) {
      throw new FeedError(
        bytes.length === 0 ? "the server closed the connection" : "the answer ends in its headers",
      );
    }
    const joined = new Uint8Array(bytes.length + more.length);
    joined.set(bytes);
    joined.set(more, bytes.length);
    bytes = joined;
  }
  throw new FeedError("this is no web server");
}

function shown(url: URL): string {
  return escapeText(`${url.protocol}//${url.host}`, 80);
}

function reasonOf(signal: AbortSignal): string {
  return signal.reason instanceof FeedError ? signal.reason.message : "given up";
}

function wordsOf(error: unknown): string {
  return escapeText(error instanceof Error ? error.message : String(error), 120);
}
