/**
 * Why TLS with a mail server fails, in the runtime's own words.
 *
 * @module
 */

import { writeAll } from "../../text/write_all.ts";

/** How long it is looked for, in milliseconds. */
const LIMIT_MS = 10_000;

/** Longest answer of a server, in bytes. */
const ANSWER_BYTES_MAX = 65_536;

/** A server with which TLS has failed. */
interface Server {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte on, else by STARTTLS. */
  readonly isSecure: boolean;
  /** Certificates in PEM that are believed beside the runtime's. */
  readonly authorities: readonly string[];
}

/**
 * Tries it once more without nodemailer, because what reaches that through Node's interface names
 * no cause in every version of the runtime. Nothing is said but what comes before TLS.
 *
 * @param server The server.
 * @returns What the runtime threw; `undefined` when all went well, or nothing is known.
 */
export async function tlsTrouble(server: Server): Promise<unknown> {
  const { host: hostname, port, isSecure, authorities } = server;
  let open: Deno.Conn | undefined;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    close(open);
  }, LIMIT_MS);
  try {
    const connection = open = await Deno.connect({ hostname, port });
    if (!isSecure) {
      await answerOf(connection);
      for (const command of ["EHLO [127.0.0.1]", "STARTTLS"]) {
        await writeAll(connection, new TextEncoder().encode(`${command}\r\n`));
        await answerOf(connection);
      }
    }
    const secured = await Deno.startTls(connection, { hostname, caCerts: [...authorities] });
    open = secured;
    await secured.handshake();
    return undefined;
  } catch (error) {
    return isLate ? undefined : error;
  } finally {
    clearTimeout(timer);
    close(open);
  }
}

/** Reads one answer, which may have several lines. */
async function answerOf(connection: Deno.Conn): Promise<void> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4_096);
  let text = "";
  while (!/^\d{3}(?: .*)?\r?\n$/m.test(text.slice(text.lastIndexOf("\n", text.length - 2) + 1))) {
    const length = await connection.read(buffer);
    if (length === null || text.length > ANSWER_BYTES_MAX) throw new Error("no answer");
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

function close(connection: Deno.Conn | undefined): void {
  try {
    connection?.close();
  } catch {
    // A failed handshake has closed it.
  }
}
