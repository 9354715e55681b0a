/**
 * As much of HTTP/1.1 as a page needs: one request a connection, of bounded length, read strictly
 * (RFC 9112), and an answer whose pieces wait until the visitor has taken those before.
 *
 * A framework would stand on the runtime's own server, which bounds neither the number of
 * connections nor how slowly a request may come; and its routes are eight here.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import type { ServedConnection } from "../telemetry/served_connection.ts";

/** Longest head of a request, in characters. */
const HEAD_CHARACTERS_MAX = 8_192;

/** Longest body of a request, in bytes: a form of a few fields. */
const BODY_BYTES_MAX = 4_096;

/** Most pieces in which it may come: who sends a byte at a time makes work of each. */
const PIECES_MAX = 256;

/** How long a request may take to come, in milliseconds. */
const REQUEST_MS = 5_000;

/** How long an answer may take to be made and taken, in ms: a long list by a slow line. */
const ANSWER_MS = 300_000;

/** How long nothing of an answer may be taken, in milliseconds. */
const STUCK_MS = 10_000;

/** A request that was understood. */
export interface Request {
  readonly method: "GET" | "HEAD" | "POST";
  /** What stands before the question mark, as it was sent. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** It knows answers whose length is told piece by piece (HTTP/1.1). */
  readonly takesChunks: boolean;
  /** By name in small letters, each once. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Canonical address of who sent it. */
  readonly from: string;
}

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The whole, or pieces that are made one after the other. */
  readonly body?: string | AsyncIterable<string>;
  /** Takes the connection over for as long as it is open; the head is sent before. */
  readonly stream?: (connection: ServedConnection) => void;
}

/** What is said of a status. */
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  303: "See Other",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  411: "Length Required",
  413: "Content Too Large",
  421: "Misdirected Request",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};

/** A request that is not answered but with its status. */
class Refused extends Error {
  readonly status: number;
  constructor(status: number) {
    super(REASONS[status]);
    this.status = status;
  }
}

/**
 * Serves one connection.
 *
 * @param connection The connection: plain, or by TLS.
 * @param answer Makes the answer; must not throw.
 */
export async function serveConnection(
  connection: ServedConnection,
  answer: (request: Request) => Promise<Answer>,
): Promise<void> {
  let request: Request | undefined;
  let made: Answer;
  try {
    request = await readRequest(connection);
    made = await answer(request);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    made = { status: error.status };
  }
  if (!connection.isOver) await write(connection, made, request);
}

/**
 * Who sent a request: behind a web server of this machine, whom that names.
 *
 * @param request The request.
 * @returns A canonical address.
 */
export function callerOf({ from, headers }: Request): string {
  const claimed = parseAddress((headers.get("x-forwarded-for") ?? "").split(",").at(-1)!.trim());
  const isProxied = claimed !== undefined && (from === "::1" || from.startsWith("127."));
  return isProxied ? claimed : from;
}

/** An address of IPv4 that comes by a socket of IPv6 is one of IPv4. */
function canonical(from: string): string {
  return parseAddress(from.replace(/^::ffff:(?=\d+\.)/i, "")) ?? from;
}

async function readRequest(connection: ServedConnection): Promise<Request> {
  const limit = setTimeout(() => connection.destroy(), REQUEST_MS);
  try {
    const reader = new Reader(connection);
    const { method, target, takesChunks, headers } = parseHead(await reader.head());
    const body = method === "POST" ? await reader.body(lengthOf(headers)) : "";
    const [path = "", ...query] = target.split("?");
    const from = canonical(connection.from);
    return {
      method,
      path,
      query: new URLSearchParams(query.join("?")),
      takesChunks,
      headers,
      body,
      from,
    };
  } finally {
    clearTimeout(limit);
  }
}

/** Reads pieces until there is enough. */
class Reader {
  readonly #connection: ServedConnection;
  #bytes: Uint8Array = new Uint8Array(0);
  #pieces = 0;

  constructor(connection: ServedConnection) {
    this.#connection = connection;
  }

  /** The head, without the empty line at its end. */
  async head(): Promise<string> {
    for (let searched = 0;;) {
      const text = new TextDecoder("latin1").decode(this.#bytes);
      const end = text.indexOf("\r\n\r\n", searched);
      if ((end < 0 ? text.length : end) > HEAD_CHARACTERS_MAX) throw new Refused(431);
      if (end >= 0) {
        this.#bytes = this.#bytes.subarray(end + 4);
        return text.slice(0, end);
      }
      searched = Math.max(0, text.length - 3);
      await this.#more();
    }
  }

  /** So many bytes that follow. */
  async body(length: number): Promise<string> {
    while (this.#bytes.length < length) await this.#more();
    return new TextDecoder().decode(this.#bytes.subarray(0, length));
  }

  async #more(): Promise<void> {
    const chunk = await this.#connection.read();
    if (chunk === null || ++this.#pieces > PIECES_MAX) throw new Refused(408);
    const joined = new Uint8Array(this.#bytes.length + chunk.length);
    joined.set(this.#bytes);
    joined.set(chunk, this.#bytes.length);
    this.#bytes = joined;
  }
}

function parseHead(head: string) {
  const [first = "", ...lines] = head.split("\r\n");
  const [, method, target, minor] = /^([A-Z]+) (\/[!-~]*) HTTP\/1\.([01])$/.exec(first) ?? [];
  if (method === undefined || target === undefined) throw new Refused(400);
  if (method !== "GET" && method !== "HEAD" && method !== "POST") throw new Refused(405);
  const headers = new Map<string, string>();
  for (const line of lines) {
    // The blanks around the value are not the pattern's: it would look for them again and again.
    const [, name = "", value = ""] =
      /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):([\t -~\x80-\xff]*)$/.exec(line) ?? [];
    const key = name.toLowerCase();
    // Two of a kind: who stands between may have understood the other one.
    if (key === "" || headers.has(key)) throw new Refused(400);
    headers.set(key, value.trim());
  }
  if (headers.has("transfer-encoding")) throw new Refused(501);
  return { method, target, takesChunks: minor === "1", headers } as const;
}

function lengthOf(headers: ReadonlyMap<string, string>): number {
  const text = headers.get("content-length");
  if (text === undefined) throw new Refused(411);
  if (!/^\d{1,9}$/.test(text)) throw new Refused(400);
  if (Number(text) > BODY_BYTES_MAX) throw new Refused(413);
  return Number(text);
}

async function write(
  connection: ServedConnection,
  answer: Answer,
  request: Request | undefined,
): Promise<void> {
  const isHead = request?.method === "HEAD";
  const { status, type = "text/plain; charset=utf-8", stream } = answer;
  const { body = stream === undefined ? `${REASONS[status]}\n` : undefined } = answer;
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : undefined;
  const hasBody = status !== 304 && status !== 303;
  // Without it an answer that is broken off looks like a whole one: of a list of addresses half of
  // one would be another one.
  const isChunked = hasBody && bytes === undefined && stream === undefined &&
    request?.takesChunks === true;
  const headers = {
    ...(hasBody ? { "Content-Type": type } : {}),
    ...(bytes === undefined || !hasBody ? {} : { "Content-Length": String(bytes.length) }),
    ...(isChunked ? { "Transfer-Encoding": "chunked" } : {}),
    "Connection": "close",
    ...answer.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  let head = `HTTP/1.1 ${status} ${REASONS[status]}\r\n${lines.join("")}\r\n`;
  if (stream !== undefined && !isHead) {
    void connection.write(head);
    return stream(connection);
  }
  const limit = setTimeout(() => connection.destroy(), ANSWER_MS);
  try {
    if (bytes !== undefined && hasBody && !isHead) {
      void connection.write(head);
      await taken(connection, bytes);
    } else if (isHead || !hasBody || body === undefined) {
      await connection.write(head);
    } else {
      for await (const piece of body as AsyncIterable<string>) {
        if (!await taken(connection, head + (isChunked ? chunk(piece) : piece))) return;
        head = "";
      }
      await taken(connection, head + (isChunked ? LAST_CHUNK : ""));
    }
    await connection.end();
  } finally {
    clearTimeout(limit);
  }
}

const LAST_CHUNK = "0\r\n\r\n";

/** An empty one would be the last. */
function chunk(piece: string): string {
  if (piece === "") return "";
  return `${new TextEncoder().encode(piece).length.toString(16)}\r\n${piece}\r\n`;
}

/** Writes a piece, and waits until the visitor has taken it; whether they did. */
async function taken(connection: ServedConnection, piece: string | Uint8Array): Promise<boolean> {
  const limit = setTimeout(() => connection.destroy(), STUCK_MS);
  const isTaken = await connection.write(piece);
  clearTimeout(limit);
  return isTaken;
}
