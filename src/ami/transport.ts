/**
 * The way to AMI: a connection over TCP, and TLS on it if the configuration wants that. The daemon
 * and `--check` do it by the same code.
 *
 * @module
 */

import { authorities, AuthoritiesError } from "../authorities.ts";
import { tlsFault } from "../tls_fault.ts";
import { dial, type DialOptions } from "./dial.ts";

/** How TLS is spoken. */
interface TlsLogin {
  /** A file with the authorities that may have signed the server's certificate. */
  readonly ca: string | undefined;
  /** The name or address in the certificate, if it is not the host that is connected to. */
  readonly name: string | undefined;
}

/** Where AMI is, and how it is spoken to. */
export interface Destination {
  /** Name or address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** `undefined`: plain text. */
  readonly tls?: TlsLogin | undefined;
}

/** The server was reached, but TLS could not be agreed on: it is never spoken to without. */
export class TlsError extends Error {
  /** Name of the error. */
  override readonly name = "TlsError";
  /** What a person can do about it. */
  readonly advice: string;

  /**
   * An error.
   *
   * @param message What is wrong.
   * @param advice What mends it.
   */
  constructor(message: string, advice: string) {
    super(message);
    this.advice = advice;
  }
}

/**
 * How long the TLS handshake may take, in milliseconds: less than the time in which the whole
 * connection must be there, so that it is known what it was that took too long.
 */
const HANDSHAKE_MS = 4_000;

/**
 * Most handshakes that wait for a silent server. Deno does not close the socket of a handshake that
 * is given up before the server says something (rustls-tokio-stream ends it first); so it is left
 * to end, and beyond these no further one is begun. The kernel's keep-alive ends them within hours.
 */
const UNANSWERED_MAX = 256;

let unanswered = 0;

/** What to do about a port that speaks no TLS. */
const PLAIN = "in manager.conf, section [general]: tlsenable = yes; and here the port of its " +
  "tlsbindaddr (5039 by default): port = 5039; or tls = no for plain text";

/**
 * What to do about a server that closes the connection without a word when it is spoken to in plain
 * text: Asterisk does that at its port for TLS, and when too many have not logged in yet
 * (`authlimit`).
 */
export const SILENT = "if this port is AMI's for TLS (tlsbindaddr in manager.conf, 5039 by " +
  "default), write tls = yes into ampere.cfg; else look into Asterisk's log";

/** What a test may change, beside the options of {@linkcode dial}. */
interface OpenOptions extends DialOptions {
  /** @default {HANDSHAKE_MS} */
  readonly handshakeMs?: number;
}

/**
 * Connects.
 *
 * @param destination Where to, and how.
 * @param options See {@linkcode OpenOptions}.
 * @returns The connection; with TLS the server's certificate has been verified.
 * @throws {DialError} When the server can't be reached.
 * @throws {TlsError} When it can, but TLS can't be agreed on.
 */
export async function openConnection(
  destination: Destination,
  options: OpenOptions = {},
): Promise<Deno.TcpConn | Deno.TlsConn> {
  const { host, port, tls } = destination;
  // Before anything is sent: a file that is of no use needs no connection to be told.
  const caCerts = tls === undefined ? undefined : authoritiesOf(tls);
  const connection = await dial(host, port, options);
  connection.setNoDelay(true);
  // So that the kernel, too, notices a peer that is gone.
  connection.setKeepAlive(true);
  if (tls === undefined || caCerts === undefined) return connection;
  const { handshakeMs = HANDSHAKE_MS } = options;
  return await secure(connection, tls.name ?? host, tls.ca, caCerts, handshakeMs);
}

/**
 * Closes a connection, and tells the peer so at once.
 *
 * @param connection It may have a read under way.
 */
export function closeAtOnce(connection: Deno.TcpConn | Deno.TlsConn): void {
  // TCP: close() alone waits for a read that is under way. TLS: it does not, and closeWrite() would
  // wait for a peer that reads nothing any more.
  if (!("setNoDelay" in connection)) return connection.close();
  connection.closeWrite().catch(() => {}).finally(() => connection.close());
}

function authoritiesOf(tls: TlsLogin): string[] {
  try {
    return authorities(tls.ca, "tls_ca");
  } catch (error) {
    if (!(error instanceof AuthoritiesError)) throw error;
    throw new TlsError(error.message, error.advice);
  }
}

async function secure(
  connection: Deno.TcpConn,
  name: string,
  caFile: string | undefined,
  caCerts: string[],
  handshakeMs: number,
): Promise<Deno.TlsConn> {
  if (unanswered >= UNANSWERED_MAX) {
    connection.close();
    throw new TlsError(
      `${UNANSWERED_MAX} TLS handshakes are unanswered`,
      `${PLAIN}; then: systemctl restart ampere`,
    );
  }
  const secured = await startTls(connection, withoutZone(name), caCerts);
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), handshakeMs);
  unanswered++;
  const handshake = secured.handshake().finally(() => unanswered--);
  try {
    if (await Promise.race([handshake, late.promise]) === "late") {
      handshake.catch(() => {}).finally(() => secured.close());
      throw new TlsError(`no answer to the TLS handshake within ${handshakeMs / 1000} s`, PLAIN);
    }
    return secured;
  } catch (error) {
    if (error instanceof TlsError) throw error;
    secured.close();
    const fault = tlsFault(error, {
      name,
      caKey: "tls_ca",
      caFile,
      otherName: "tls_name = the name that is meant, if that server is the right one",
      plain: PLAIN,
    });
    if (fault === undefined) {
      const why = error instanceof Error ? error.message.replace(/ ?\(os error \d+\)/, "") : "";
      throw new TlsError(`the TLS handshake failed: ${why}`, "look into Asterisk's log");
    }
    throw new TlsError(fault.why, fault.advice);
  } finally {
    clearTimeout(timer);
  }
}

async function startTls(
  connection: Deno.TcpConn,
  hostname: string,
  caCerts: string[],
): Promise<Deno.TlsConn> {
  try {
    return await Deno.startTls(connection, { hostname, caCerts });
  } catch (error) {
    try {
      connection.close();
    } catch {
      // The runtime had taken it already.
    }
    if (!(error instanceof TypeError)) throw error;
    throw new TlsError(
      `"${hostname}" is no name that a certificate can have`,
      "tls_name = the name that stands in the certificate",
    );
  }
}

/** An address without the interface behind it, of which a certificate knows nothing. */
function withoutZone(name: string): string {
  return name.split("%", 1)[0]!;
}
