/**
 * Where a daemon's webhook goes.
 *
 * @module
 */

import type { Notice } from "../../src/telemetry/notice.ts";

/**
 * Takes notices over plain HTTP on this machine until it is disposed of.
 *
 * @param port where
 */
export function receiveNotices(port: number): AsyncDisposable & { readonly notices: Notice[] } {
  const notices: Notice[] = [];
  const server = Deno.serve(
    { port, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      notices.push(...(await request.json()).events);
      return new Response();
    },
  );
  return { notices, [Symbol.asyncDispose]: () => server.shutdown() };
}
