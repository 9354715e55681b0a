/**
 * Why an HTTP server was not reached, in words without any part of an address but its name.
 *
 * @module
 */

import { tlsFault } from "../tls_fault.ts";

/** Where the configuration says how it is reached. */
interface Keys {
  /** The key that names a file of authorities, … */
  readonly caKey: "webhook_ca" | "ca";
  /** … and that file. */
  readonly caFile: string | undefined;
  /** The key that holds its address. */
  readonly urlKey: string;
}

/**
 * Finds the cause; Deno's messages hold the address, so only known words are taken from them.
 *
 * @param error What `fetch` threw.
 * @param name The server's name, as the address has it.
 * @param keys See {@linkcode Keys}.
 */
export function httpFault(
  error: unknown,
  name: string,
  { caKey, caFile, urlKey }: Keys,
): { readonly why: string; readonly advice?: string } {
  const fault = tlsFault(error, {
    name: name.replace(/^\[|\]$/g, ""),
    caKey,
    caFile,
    otherName: `write the name that its certificate has into ${urlKey}`,
    plain: `write http:// in the place of https:// into ${urlKey}, or the port where it speaks TLS`,
  });
  return fault ?? { why: reachFault(error) };
}

/**
 * Why a server was not reached, beside what TLS says.
 *
 * @param error What the runtime threw.
 */
export function reachFault(error: unknown): string {
  const text = error instanceof Error ? `${error.message} ${error.cause ?? ""}` : "";
  for (const [pattern, words] of CAUSES) if (pattern.test(text)) return words;
  return "it cannot be reached";
}

const CAUSES: readonly (readonly [RegExp, string])[] = [
  [/refused/i, "connection refused"],
  [/temporary failure in name resolution/i, "its name cannot be looked up at present"],
  [/dns error|lookup|name or service/i, "its name is not known"],
  [/certificate|tls|handshake/i, "its certificate is not accepted"],
  [/unreachable/i, "no route to it"],
  [/reset|closed|eof/i, "it closed the connection"],
];
