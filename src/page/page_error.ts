/**
 * Why there is no page.
 *
 * @module
 */

import { escapeText } from "../text/escape.ts";

/** The page cannot be served; the message says why, and what to do. */
export class PageError extends Error {
  override readonly name = "PageError";
}

/** Ports below are for root, unless the system is told otherwise. */
const PRIVILEGED = 1024;

/**
 * Why an address cannot be listened on.
 *
 * @param error What the runtime says.
 * @param hostname The address.
 * @param port The port.
 */
export function whyNotServed(
  error: unknown,
  hostname: string,
  port: number,
): { readonly why: string; readonly advice: string } {
  if (error instanceof Deno.errors.AddrInUse) {
    return {
      why: `another program has ${hostname} port ${port}`,
      advice: `ss -ltnp 'sport = :${port}' names it; end it, or write another port into page`,
    };
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return {
      why: `${hostname} is no address of this machine`,
      advice: "one of those that ip address shows, or page = 127.0.0.1:PORT",
    };
  }
  if (error instanceof Deno.errors.PermissionDenied && port < PRIVILEGED) {
    return {
      why: `only root may have a port below ${PRIVILEGED}`,
      advice: `a port from ${PRIVILEGED} on in page`,
    };
  }
  const text = error instanceof Error ? error.message : String(error);
  return { why: escapeText(text.replace(/ ?\(os error \d+\)/, ""), 300), advice: "" };
}
