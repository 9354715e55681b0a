/**
 * Who is registered at Asterisk, as far as it is certain from which address.
 *
 * @module
 */

import { parseAddress } from "../address.ts";
import type { ListEntry } from "./client.ts";

/** Endpoints of PJSIP whose settings are asked for, one after the other: an office has fewer. */
export const ENDPOINTS_MAX = 1_000;

/** Most addresses that are taken over. */
export const CONTACTS_MAX = 10_000;

/** The host of a SIP URI (RFC 3261, section 25.1), which is an address here or of no use. */
const URI_HOST = /^sips?:(?:[^@]*@)?(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?=[:;>?]|$)/;

/** Names that can be sent back as they came. */
const PLAIN_NAME = /^[\x21-\x7e]+$/;

/**
 * Asks Asterisk for a list.
 *
 * @param action the action of AMI
 * @param headers its further headers
 * @returns the entries; `undefined` when there is no answer, or Asterisk refuses
 */
export type AskForList = (
  action: string,
  headers?: Readonly<Record<string, string>>,
) => Promise<readonly ListEntry[] | undefined>;

/**
 * The addresses from which phones are registered.
 *
 * chan_sip (`SIPpeers`, needs `write = reporting`) shows the address that it has seen for peers with
 * `nat = force_rport`. chan_pjsip (`PJSIPShowContacts` and `PJSIPShowEndpoint`, need `write = system`) puts it into the
 * contact where the endpoint has `rewrite_contact`. All others show what a phone has written itself: they are left out.
 * Contacts that do not expire were written by the administrator, not registered.
 *
 * @param ask asks Asterisk
 * @param isLocal Asterisk runs on this machine; if not, chan_pjsip is not asked, because what it says of an endpoint holds
 *   its password (`res_pjsip/config_auth.c`), and AMI is not encrypted
 * @returns canonical addresses; `undefined` when Asterisk tells neither list
 *
 * @example
 * ```ts
 * import { registeredAddresses } from "./contacts.ts";
 *
 * const peer = new Map([["Dynamic", "yes"], ["Forcerport", "yes"], ["IPaddress", "198.51.100.7"]]);
 * console.log(await registeredAddresses((action) =>
 *   Promise.resolve(action === "SIPpeers" ? [peer] : undefined)
 * )); // Set { "198.51.100.7" }
 * ```
 */
export async function registeredAddresses(
  ask: AskForList,
  isLocal = true,
): Promise<Set<string> | undefined> {
  const addresses = new Set<string>();
  const add = (text: string | undefined) => {
    const address = text === undefined ? undefined : parseAddress(text);
    if (address !== undefined && addresses.size < CONTACTS_MAX) addresses.add(address);
  };
  const peers = await ask("SIPpeers");
  for (const peer of peers ?? []) {
    if (peer.get("Dynamic") !== "yes" || peer.get("Forcerport") !== "yes") continue;
    add(peer.get("IPaddress"));
  }
  const contacts = isLocal ? await ask("PJSIPShowContacts") : undefined;
  const byEndpoint = new Map<string, string[]>();
  for (const contact of contacts ?? []) {
    const endpoint = contact.get("Endpoint") ?? "";
    const host = URI_HOST.exec(contact.get("Uri") ?? "");
    const expires = Number(contact.get("ExpirationTime") ?? 0);
    if (host === null || !PLAIN_NAME.test(endpoint) || !(expires > 0)) continue;
    const hosts = byEndpoint.get(endpoint) ?? [];
    hosts.push((host[1] ?? host[2])!);
    byEndpoint.set(endpoint, hosts);
  }
  for (const [endpoint, hosts] of [...byEndpoint].slice(0, ENDPOINTS_MAX)) {
    const details = await ask("PJSIPShowEndpoint", { Endpoint: endpoint });
    // The connection has ended, or Asterisk is too busy: what is known is enough.
    if (details === undefined) break;
    const rewrites = details.some((detail) =>
      detail.get("Event") === "EndpointDetail" && detail.get("RewriteContact") === "true"
    );
    if (rewrites) hosts.forEach(add);
  }
  return peers === undefined && contacts === undefined ? undefined : addresses;
}
