/**
 * Who is registered at Asterisk, as far as it is certain from which address.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import { type Answer, ANSWER_MS } from "./client.ts";

/** Endpoints of PJSIP whose settings are asked for, one after the other: an office has fewer. */
export const ENDPOINTS_MAX = 1_000;

/** Most addresses that are taken over. */
const CONTACTS_MAX = 10_000;

/** The host of a SIP URI (RFC 3261, section 25.1), which is an address here or of no use. */
const URI_HOST = /^sips?:(?:[^@]*@)?(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?=[:;>?]|$)/;

/** Names that can be sent back as they came. */
const PLAIN_NAME = /^[\x21-\x7e]+$/;

/**
 * What Asterisk says to an action that the user may not ask (`main/manager.c`, `process_message`).
 */
const DENIED = "Permission denied";

/**
 * Asks Asterisk for a list.
 *
 * @param action The action of AMI.
 * @param headers Its further headers.
 * @returns The entries, or why there are none.
 */
export type AskForList = (
  action: string,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>;

/** Who is registered. */
interface Registered {
  /** Canonical addresses. */
  readonly addresses: ReadonlySet<string>;
  /** Why not all may be among them, in words for an administrator. */
  readonly unknown: readonly string[];
}

/**
 * The addresses from which phones are registered.
 *
 * chan_sip (`SIPpeers`, needs `write = reporting`) shows the address that it has seen for peers
 * with `nat = force_rport`. chan_pjsip (`PJSIPShowContacts` and `PJSIPShowEndpoint`, need
 * `write = system`) puts it into the contact where the endpoint has `rewrite_contact`. All others
 * show what a phone has written itself: they are left out. Contacts that do not expire were written
 * by the administrator, not registered.
 *
 * @param ask Asks Asterisk.
 * @param isLocal Asterisk runs on this machine; if not, chan_pjsip is not asked, because what it
 *   says of an endpoint holds its password (`res_pjsip/config_auth.c`), and AMI is not encrypted.
 * @returns The addresses, and what is not known.
 *
 * @example
 * ```ts
 * import { registeredAddresses } from "./contacts.ts";
 *
 * const peer = new Map([["Dynamic", "yes"], ["Forcerport", "yes"], ["IPaddress", "198.51.100.7"]]);
 * const { addresses } = await registeredAddresses((action) =>
 *   Promise.resolve({ outcome: "success", entries: action === "SIPpeers" ? [peer] : [] })
 * );
 * console.log(addresses); // Set { "198.51.100.7" }
 * ```
 */
export async function registeredAddresses(ask: AskForList, isLocal = true): Promise<Registered> {
  const addresses = new Set<string>();
  const unknown: string[] = [];
  const add = (text: string | undefined) => {
    const address = text === undefined ? undefined : parseAddress(text);
    if (address !== undefined && addresses.size < CONTACTS_MAX) addresses.add(address);
  };
  const list = async (action: string, permission: string, headers = {}) => {
    const answer = await ask(action, headers);
    if (answer.outcome === "success") return answer.entries;
    // Everything else that Asterisk says means that nobody is there, or that this driver is not.
    if (answer.outcome === "none") {
      unknown.push(`Asterisk did not answer ${action} within ${ANSWER_MS / 1000} s`);
    } else if (answer.message === DENIED) {
      unknown.push(`the AMI user may not ask ${action}, which needs "write = ${permission}"`);
    }
    return undefined;
  };
  for (const peer of await list("SIPpeers", "reporting") ?? []) {
    if (peer.get("Dynamic") !== "yes" || peer.get("Forcerport") !== "yes") continue;
    add(peer.get("IPaddress"));
  }
  if (!isLocal) {
    unknown.push(
      "of PJSIP it is asked only on the same machine, because the answer holds passwords",
    );
    return { addresses, unknown };
  }
  const byEndpoint = new Map<string, string[]>();
  for (const contact of await list("PJSIPShowContacts", "system") ?? []) {
    const endpoint = contact.get("Endpoint") ?? "";
    const host = URI_HOST.exec(contact.get("Uri") ?? "");
    const expires = Number(contact.get("ExpirationTime") ?? 0);
    if (host === null || !PLAIN_NAME.test(endpoint) || !(expires > 0)) continue;
    const hosts = byEndpoint.get(endpoint) ?? [];
    hosts.push((host[1] ?? host[2])!);
    byEndpoint.set(endpoint, hosts);
  }
  for (const [endpoint, hosts] of [...byEndpoint].slice(0, ENDPOINTS_MAX)) {
    const details = await list("PJSIPShowEndpoint", "system", { Endpoint: endpoint });
    // The connection has ended, or Asterisk is too busy: what is known is enough.
    if (details === undefined) break;
    const rewrites = details.some((detail) =>
      detail.get("Event") === "EndpointDetail" && detail.get("RewriteContact") === "true"
    );
    if (rewrites) hosts.forEach(add);
  }
  return { addresses, unknown };
}
