/** Servers of lists: real ones over HTTP, and such that break its rules. */

import type { FeedConfig } from "../../src/config/feeds.ts";

/** A feed whose URL is to be filled in. */
export const FEED: FeedConfig = {
  name: "test",
  file: "ampere.cfg",
  line: 1,
  url: "",
  every: 3_600,
  format: "auto",
  for: "everything",
  action: "strict",
  keyFile: undefined,
};

/** A server of one connection after the other that says whatever it is told. */
interface RawServer extends AsyncDisposable {
  readonly port: number;
  /** What was asked for: the first lines of all requests. */
  readonly requests: string[];
}

/**
 * Answers each connection.
 *
 * @param answer Given the request, what is sent; `undefined` keeps the connection open in silence.
 *   The connection is closed behind it.
 */
export function rawServer(
  answer: (request: string) => Uint8Array | string | undefined,
): RawServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const requests: string[] = [];
  const open = new Set<Deno.Conn>();
  const serve = async (connection: Deno.Conn) => {
    open.add(connection);
    try {
      let request = "";
      while (!request.includes("\r\n\r\n")) {
        const buffer = new Uint8Array(4_096);
        const count = await connection.read(buffer);
        if (count === null) return;
        request += new TextDecoder().decode(buffer.subarray(0, count));
      }
      requests.push(request.split("\r\n")[0]!);
      const said = answer(request);
      if (said === undefined) return await new Promise(() => {});
      const bytes = typeof said === "string" ? new TextEncoder().encode(said) : said;
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    } catch {
      // The client has gone.
    } finally {
      open.delete(connection);
      try {
        connection.close();
      } catch {
        // It is closed.
      }
    }
  };
  (async () => {
    for await (const connection of listener) void serve(connection);
  })().catch(() => {});
  return {
    port: (listener.addr as Deno.NetAddr).port,
    requests,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of open) {
        try {
          connection.close();
        } catch {
          // It is closed.
        }
      }
      await Promise.resolve();
    },
  };
}

/** A server that keeps to the rules. */
interface ListServer extends AsyncDisposable {
  /** Its URL, with `/` at the end. */
  readonly url: string;
  readonly port: number;
  readonly requests: Request[];
}

/** Serves by HTTP. */
export function listServer(
  handler: (request: Request, url: URL) => Response | Promise<Response>,
): ListServer {
  const requests: Request[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    requests.push(request);
    return handler(request, new URL(request.url));
  });
  const { port } = server.addr;
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Compresses. */
export async function gzipped(text: string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
