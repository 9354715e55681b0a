/**
 * Accounts and hosts as numbers, by seeds that nobody outside knows: nobody can choose names of
 * equal hash.
 *
 * @module
 */

import { EVENT_TYPES, type SecurityEvent, SERVICES } from "../ami/event.ts";
import { hashText } from "../text/hash.ts";
import type { HostKey } from "./host_key.ts";

const [ACCOUNT_SEED = 0, HOST_SEED = 0] = crypto.getRandomValues(new Int32Array(2));

/** By the type of an event: that of its service. */
const SEEDS = EVENT_TYPES.map(({ service }) => ACCOUNT_SEED + SERVICES.indexOf(service));

/** An account; what one service calls so may be somebody else to another. */
export function hashAccount(
  { service, account }: Pick<SecurityEvent, "service" | "account">,
): number {
  return hashText(account, ACCOUNT_SEED + SERVICES.indexOf(service));
}

/** The same of the account of an event, without making a text of it. */
export function accountHash(event: SecurityEvent): number {
  return event.hashAccount(SEEDS[event.type]!);
}

/** A host, or a network. */
export function hashHost(host: HostKey): number {
  return typeof host === "number" ? host : hashText(host, HOST_SEED);
}
