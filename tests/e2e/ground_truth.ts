/**
 * Whom a correct filter blocks in a recording, found by a way of its own: no part of the program is
 * used but the reading of one address.
 *
 * @module
 */

import { parseAddress } from "../../src/address/address.ts";
import { EARNED, type Truth } from "../support/recordings.ts";
import { latin1 } from "./ami_server.ts";

/** Refusals that mean "not now" and happen to phones of the house. */
const NOT_NOW = new Set([
  "no_extension_match",
  "registrar_attempt_exceeds_maximum_configured_contacts",
  "registrar_attempt_without_configured_aors",
]);

const SERVICES = new Set(["SIP", "PJSIP", "AMI"]);

/** What a recording shows of one address. */
export interface Deeds {
  /** Security events. */
  events: number;
  /** Where the challenges end. */
  readonly challenges: number[];
  /** Logins with a right answer. */
  logins: number;
  /**
   * Attempts that failed, each counted once, with where in the bytes the message that shows it
   * ends.
   */
  readonly failures: Map<string, number>;
  /** Where the messages about the address end. */
  readonly ends: number[];
}

/**
 * What each address did, by the messages that name one address and one service.
 *
 * @param bytes AMI, as Asterisk sends it
 */
export function deedsOf(bytes: Uint8Array): Map<string, Deeds> {
  const all = new Map<string, Deeds>();
  let end = 0;
  for (const block of latin1(bytes).split("\r\n\r\n")) {
    end += block.length + 4;
    const event = headersOf(block);
    const service = event.get("Service");
    const remote = event.get("RemoteAddress");
    const kind = event.get("Event");
    if (kind?.length !== 1 || service?.length !== 1 || remote?.length !== 1) continue;
    if (!SERVICES.has(service[0]!)) continue;
    const address = plainAddress(remote[0]!.split("/").at(-2) ?? "");
    if (address === undefined) continue;
    const deeds = all.get(address) ??
      { events: 0, challenges: [], logins: 0, failures: new Map(), ends: [] };
    all.set(address, deeds);
    count(deeds, kind[0]!, event, end);
  }
  return all;
}

function count(
  deeds: Deeds,
  kind: string,
  event: ReadonlyMap<string, readonly string[]>,
  end: number,
): void {
  const session = event.get("SessionID")?.[0] ?? "";
  deeds.events++;
  deeds.ends.push(end);
  if (kind === "ChallengeSent") deeds.challenges.push(end);
  if (kind === "SuccessfulAuth") deeds.logins++;
  let failure: string | undefined;
  if (kind === "FailedACL" && !NOT_NOW.has(event.get("ACLName")?.[0] ?? "")) {
    failure = `${session}: not allowed`;
  }
  if (kind === "ChallengeResponseFailed" || kind === "InvalidPassword") {
    // One request that is refused by an ACL raises events of both kinds.
    if (deeds.failures.has(`${session}: not allowed`)) return;
    failure = `${session}: ${(event.get("Response") ?? event.get("ReceivedHash"))?.[0] ?? ""}`;
  }
  if (failure !== undefined && !deeds.failures.has(failure)) deeds.failures.set(failure, end);
}

/** What a recording demands and allows. */
export interface Demand {
  /** Must be blocked, with the end of the message that brings the last attempt. */
  readonly must: ReadonlyMap<string, number>;
  /** May be blocked, networks of IPv6 too; all others may not. */
  readonly may: ReadonlySet<string>;
  readonly attackers: ReadonlySet<string>;
  readonly legit: ReadonlySet<string>;
}

/**
 * Whom a recording demands to block, and whom it allows to.
 *
 * @param name of the recording
 * @param truth what the senders were
 * @param deeds what they did, from {@linkcode deedsOf}
 * @param loyalty attempts that a stranger has
 */
export function demandOf(
  name: string,
  truth: Truth,
  deeds: ReadonlyMap<string, Deeds>,
  loyalty = 3,
): Demand {
  const attackers = new Set(truth.attackers.map(plain));
  const legit = new Set(truth.legit.map(plain));
  const must = new Map<string, number>();
  for (const [address, { failures }] of deeds) {
    const end = [...failures.values()][loyalty - 1];
    // What an attacker shares with phones of the house may go either way; loopback is never
    // blocked.
    if (end === undefined || !attackers.has(address) || legit.has(address)) continue;
    if (address.startsWith("127.") || address === "::1") continue;
    must.set(address, end);
  }
  const may = new Set([...attackers, ...EARNED[name] ?? []]);
  for (const network of guiltyNetworks(may, deeds)) may.add(network);
  return { must, attackers, legit, may };
}

/** From so many hosts on that fail, they may be blocked by their network. */
const NETWORK_HOSTS_MIN = 3;

/** The /64 in which several failed who may be blocked, and nobody else did anything. */
function guiltyNetworks(
  may: ReadonlySet<string>,
  deeds: ReadonlyMap<string, Deeds>,
): Set<string> {
  const failing = new Map<string, number>();
  const others = new Set<string>();
  for (const [address, { failures }] of deeds) {
    const network = networkOf(address);
    if (network === undefined) continue;
    if (!may.has(address)) others.add(network);
    else if (failures.size > 0) failing.set(network, (failing.get(network) ?? 0) + 1);
  }
  return new Set(
    [...failing].filter(([network, hosts]) => hosts >= NETWORK_HOSTS_MIN && !others.has(network))
      .map(([network]) => network),
  );
}

/**
 * Whether an address is blocked, alone or with its network.
 *
 * @param blocked addresses and networks
 * @param address a canonical address
 */
export function isBlockedBy(blocked: { has(target: string): boolean }, address: string): boolean {
  return blocked.has(address) || blocked.has(networkOf(address) ?? address);
}

/** The /64 of an IPv6 address. */
function networkOf(address: string): string | undefined {
  if (!address.includes(":")) return undefined;
  const [front, back] = address.split("::");
  const groups = front!.split(":").filter((group) => group !== "");
  const behind = (back ?? "").split(":").filter((group) => group !== "");
  while (back !== undefined && groups.length + behind.length < 8) groups.push("0");
  return `${plainAddress(`${[...groups, ...behind].slice(0, 4).join(":")}::`)}/64`;
}

function headersOf(block: string): Map<string, string[]> {
  const headers = new Map<string, string[]>();
  for (const line of block.split("\r\n")) {
    const colon = line.indexOf(": ");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 2);
    const values = headers.get(name);
    if (values === undefined) headers.set(name, [value]);
    else values.push(value);
  }
  return headers;
}

function plainAddress(text: string): string | undefined {
  return parseAddress(text.replace(/%.*/, ""));
}

function plain(text: string): string {
  return plainAddress(text.replace(/\/.*/, "")) ?? text;
}
