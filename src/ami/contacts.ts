/**
 * Who is registered at Asterisk, as far as it is certain from which address.
 *
 * @module
 */

import { parseAddress } from "../address/address.ts";
import { type Answer, ANSWER_MS } from "./client.ts";

/** Endpoints of PJSIP that are asked for, one after the other: an office has fewer. */
export const ENDPOINTS_MAX = 1_000;

/** Most places where an endpoint is looked for, and most contacts of each. */
const AORS_MAX = 8;
const CONTACTS_OF_AOR_MAX = 16;

/** Most addresses that are taken over. */
const CONTACTS_MAX = 10_000;

/** The host of a SIP URI (RFC 3261, section 25.1), which is an address here or of no use. */
const URI_HOST = /^sips?:(?:[^@]*@)?(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?=[:;>?]|$)/;

/** Names that can be sent back as they came. */
const PLAIN_NAME = /^[\x21-\x7e]+$/;

/** Names that can stand in a function of the dialplan: nothing of its grammar is in them. */
const ARGUMENT = /^[A-Za-z0-9_.+@-]{1,80}$/;

/** A device of PJSIP, as the list of device states names it. */
const PJSIP_DEVICE = /^PJSIP\/(.+)$/;

/**
 * A contact that a phone has registered, as Asterisk names it: the address of record and a hash of
 * the contact. Those that the administrator wrote have another sign between them
 * (`res_pjsip_registrar.c`, `res_pjsip/location.c`).
 */
const REGISTERED_CONTACT = /^[A-Za-z0-9_.+@-]{1,80};@[0-9a-f]{32}$/;

/** States of devices at which nobody is registered. */
const NOT_REGISTERED: ReadonlySet<string> = new Set(["UNAVAILABLE", "INVALID"]);

/**
 * What Asterisk says to an action that the user may not ask (`main/manager.c`, `process_message`).
 */
const DENIED = "Permission denied";

/**
 * Asks Asterisk.
 *
 * @param action The action of AMI.
 * @param headers Its further headers.
 * @returns The entries, or why there are none.
 */
type Ask = (action: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>;

/** Who can ask Asterisk; `AmiClient` is one. */
export interface Asker {
  /** For a list. */
  readonly list: Ask;
  /** For a single answer, which is the only entry. */
  readonly query: Ask;
}

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
 * With `write = reporting` chan_sip (`SIPpeers`) shows the address that it has seen for peers with
 * `nat = force_rport`, and of chan_pjsip device states name the endpoints, and functions of
 * the dialplan (`Getvar`) what is registered for each. The address that was seen is in the contact
 * where the endpoint has `rewrite_contact`. All others show what a phone has written itself: they
 * are left out. Contacts that do not expire were written by the administrator, not registered.
 *
 * Who has `write = system` alone asks chan_pjsip by `PJSIPShowContacts` and `PJSIPShowEndpoint`.
 *
 * @param asker Asks Asterisk.
 * @param isLocal Asterisk runs on this machine; if not, `PJSIPShowEndpoint` is not asked, because
 *   what it says of an endpoint holds its password (`res_pjsip/config_auth.c`), and AMI is not
 *   encrypted.
 * @returns The addresses, and what is not known.
 *
 * @example
 * ```ts
 * import type { Answer } from "./client.ts";
 * import { registeredAddresses } from "./contacts.ts";
 *
 * const peer = new Map([["Dynamic", "yes"], ["Forcerport", "yes"], ["IPaddress", "198.51.100.7"]]);
 * const { addresses } = await registeredAddresses({
 *   list: (action): Promise<Answer> =>
 *     Promise.resolve({ outcome: "success", entries: action === "SIPpeers" ? [peer] : [] }),
 *   query: (): Promise<Answer> => Promise.resolve({ outcome: "none" }),
 * });
 * console.log(addresses); // Set { "198.51.100.7" }
 * ```
 */
export async function registeredAddresses(asker: Asker, isLocal = true): Promise<Registered> {
  const addresses = new Set<string>();
  const unknown: string[] = [];
  const add = (text: string | undefined) => {
    const address = text === undefined ? undefined : parseAddress(text);
    if (address !== undefined && addresses.size < CONTACTS_MAX) addresses.add(address);
  };
  const noAnswer = (action: string) =>
    void unknown.push(`Asterisk did not answer ${action} within ${ANSWER_MS / 1000} s`);
  const peers = await asker.list("SIPpeers");
  if (peers.outcome === "none") noAnswer("SIPpeers");
  else if (isDenied(peers)) unknown.push(deniedOf("who is registered at chan_sip"));
  for (const peer of entriesOf(peers)) {
    if (peer.get("Dynamic") !== "yes" || peer.get("Forcerport") !== "yes") continue;
    add(peer.get("IPaddress"));
  }
  const devices = await asker.list("DeviceStateList");
  if (devices.outcome === "none") {
    noAnswer("DeviceStateList");
    return { addresses, unknown };
  }
  if (devices.outcome === "success") {
    for await (const uri of registeredUris(entriesOf(devices), asker.query)) add(hostOf(uri));
    return { addresses, unknown };
  }
  const contacts = isLocal ? await asker.list("PJSIPShowContacts") : devices;
  if (contacts.outcome === "none") noAnswer("PJSIPShowContacts");
  else if (isDenied(contacts)) unknown.push(deniedOf("who is registered at PJSIP"));
  for await (const host of rewrittenHosts(entriesOf(contacts), asker.list)) add(host);
  return { addresses, unknown };
}

type Entry = ReadonlyMap<string, string>;

function isDenied(answer: Answer): boolean {
  return answer.outcome === "refused" && answer.message === DENIED;
}

function deniedOf(what: string): string {
  return `the AMI user may not ask ${what}, which needs "write = reporting"`;
}

/** Everything else that Asterisk says means that nobody is there, or that a driver is not. */
function entriesOf(answer: Answer): readonly Entry[] {
  return answer.outcome === "success" ? answer.entries : [];
}

/** The contacts in which Asterisk has written what it saw, by functions of the dialplan. */
async function* registeredUris(devices: readonly Entry[], query: Ask): AsyncGenerator<string> {
  let isLost = false;
  const read = async (variable: string): Promise<string> => {
    if (isLost) return "";
    const answer = await query("Getvar", { Variable: variable });
    // The connection has ended, or Asterisk is too busy: what is known is enough.
    isLost = answer.outcome === "none";
    const [entry] = entriesOf(answer);
    return entry?.get("Variable") === variable ? entry.get("Value") ?? "" : "";
  };
  for (const name of endpointsIn(devices)) {
    const rewrites = await read(`PJSIP_ENDPOINT(${name},rewrite_contact)`);
    if (rewrites !== "true" && rewrites !== "yes") continue;
    const aors = (await read(`PJSIP_ENDPOINT(${name},aors)`)).split(",").slice(0, AORS_MAX);
    for (const aor of aors.filter((one) => ARGUMENT.test(one))) {
      const contacts = (await read(`PJSIP_AOR(${aor},contact)`)).split(",");
      for (const contact of contacts.slice(0, CONTACTS_OF_AOR_MAX)) {
        if (REGISTERED_CONTACT.test(contact)) yield await read(`PJSIP_CONTACT(${contact},uri)`);
      }
    }
    if (isLost) return;
  }
}

function endpointsIn(devices: readonly Entry[]): string[] {
  const names = devices.flatMap((device) => {
    const [, name = ""] = PJSIP_DEVICE.exec(device.get("Device") ?? "") ?? [];
    return ARGUMENT.test(name) && !NOT_REGISTERED.has(device.get("State") ?? "") ? [name] : [];
  });
  return [...new Set(names)].slice(0, ENDPOINTS_MAX);
}

/** The same by the lists of chan_pjsip. */
async function* rewrittenHosts(contacts: readonly Entry[], list: Ask): AsyncGenerator<string> {
  const byEndpoint = new Map<string, string[]>();
  for (const contact of contacts) {
    const endpoint = contact.get("Endpoint") ?? "";
    const host = hostOf(contact.get("Uri") ?? "");
    const expires = Number(contact.get("ExpirationTime") ?? 0);
    if (host === undefined || !PLAIN_NAME.test(endpoint) || !(expires > 0)) continue;
    const hosts = byEndpoint.get(endpoint) ?? [];
    hosts.push(host);
    byEndpoint.set(endpoint, hosts);
  }
  for (const [endpoint, hosts] of [...byEndpoint].slice(0, ENDPOINTS_MAX)) {
    const details = await list("PJSIPShowEndpoint", { Endpoint: endpoint });
    if (details.outcome !== "success") return;
    const rewrites = details.entries.some((detail) =>
      detail.get("Event") === "EndpointDetail" && detail.get("RewriteContact") === "true"
    );
    if (rewrites) yield* hosts;
  }
}

function hostOf(uri: string): string | undefined {
  const host = URI_HOST.exec(uri);
  return host === null ? undefined : host[1] ?? host[2];
}
