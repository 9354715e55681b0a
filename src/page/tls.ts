/**
 * The page by TLS.
 *
 * @module
 */

import type { Socket } from "node:net";
import { readBytes, whyNotRead } from "../config/file.ts";
import { PageError } from "./page_error.ts";

/** Longest file, in bytes. */
const FILE_BYTES_MAX = 262_144;

/** How long the trial may take, in milliseconds. */
const TRIAL_MS = 5_000;

/** Speaks TLS on a connection that was accepted. */
export type TlsWrap = (raw: Socket) => Socket;

/**
 * Reads certificate and key, and tries whether they belong together.
 *
 * @param cert Path of the certificate, with those that lead to its authority.
 * @param key Path of its key.
 * @throws {PageError} When they cannot be used.
 */
export async function openTls(cert: string, key: string): Promise<TlsWrap> {
  const { connect, createSecureContext, TLSSocket } = await import("node:tls");
  const files = { cert: readPem(cert, "page_cert"), key: readPem(key, "page_key") };
  let secureContext: ReturnType<typeof createSecureContext>;
  try {
    secureContext = createSecureContext(files);
  } catch (error) {
    throw unusable(cert, key, error);
  }
  const wrap: TlsWrap = (raw) => new TLSSocket(raw, { isServer: true, secureContext });
  await tryOut(wrap, connect).catch((error) => {
    throw unusable(cert, key, error);
  });
  return wrap;
}

/** The runtime looks at a key only when somebody connects: so somebody does. */
async function tryOut(
  wrap: TlsWrap,
  connect: typeof import("node:tls").connect,
): Promise<void> {
  const { createServer } = await import("node:net");
  const problem = Promise.withResolvers<void>();
  const server = createServer((raw) => {
    raw.on("error", () => {});
    wrap(raw).on("error", problem.reject);
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const { port } = server.address() as { port: number };
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  const limit = setTimeout(() => problem.reject(new Error("no handshake")), TRIAL_MS);
  socket.on("error", problem.reject);
  socket.on("secureConnect", () => problem.resolve());
  try {
    await problem.promise;
  } finally {
    clearTimeout(limit);
    socket.destroy();
    server.close();
  }
}

function readPem(path: string, name: string): string {
  try {
    return new TextDecoder().decode(readBytes(path, FILE_BYTES_MAX));
  } catch (error) {
    throw new PageError(
      `${name}: ${path}: ${
        whyNotRead(error)
      }. Fix: a copy in /etc/ampere that belongs to root, then: ` +
        "systemctl reload ampere",
    );
  }
}

function unusable(cert: string, key: string, error: unknown): PageError {
  const why = error instanceof Error ? error.message : String(error);
  return new PageError(
    `page_cert ${cert} and page_key ${key} cannot be used: ${why}. Fix: the certificate with its ` +
      "chain, and the key that belongs to it, both as PEM and without a password",
  );
}
