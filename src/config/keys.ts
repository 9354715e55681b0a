/**
 * The rule of each key of ampere.cfg: which values it takes, and where they go.
 *
 * @module
 */

import { parseAddress, parseTarget } from "../address/address.ts";
import { type Config, type ListenAddress, NO_AMI } from "./config.ts";
import { DURATION_MAX, formatDuration, parseDuration } from "./duration.ts";
import { readPageNames } from "./page_keys.ts";
import { readFleet, readFleetMax, readFleetName, readFleetPrefix } from "./fleet_keys.ts";
import { readCountries, readNetworkNumbers } from "./place_keys.ts";
import { shown } from "./shown_value.ts";
import { HOST_LENGTH_MAX, HOST_NAME, readTrustEntry, type TrustEntry } from "./trust_entry.ts";
import { TRUST_MAX, TRUST_NAMES_MAX } from "./trust_file.ts";

/** Lines `trust` that the original reads; the rest it leaves out. */
const ORIGINAL_TRUST_MAX = 16;

/** Lines `log`. */
const LOGS_MAX = 4;

/** Lines `asn_strict`. */
const ASN_STRICT_LINES_MAX = 64;

/** Lines `nat64`. */
const NAT64_MAX = 8;

/** Bits of a prefix of NAT64 whose last 32 bits are an IPv4 address (RFC 6052, section 2.2). */
const NAT64_PREFIX = 96;

/**
 * Longest `user`, in bytes: Asterisk keeps it in `char username[80]` (main/manager.c), NUL
 * included.
 */
const USER_BYTES_MAX = 79;

/**
 * Longest `pass`, in bytes; a line of AMI holds 1,024 (main/manager.c), so this is far from
 * trouble.
 */
const PASS_BYTES_MAX = 255;

/** Largest `loyalty`. */
const LOYALTY_MAX = 1_000;

/**
 * Longest name of a chain: XT_EXTENSION_MAXNAMELEN is 29 (linux/netfilter/x_tables.h), NUL
 * included. The longest name of a set that ipset.ts makes of it (`4-t` behind it) has 31 characters
 * then, as many as there may be: IPSET_MAXNAMELEN is 32 (linux/netfilter/ipset/ip_set.h), NUL
 * included.
 */
export const CHAIN_LENGTH_MAX = 28;

/** Longest path, in bytes: PATH_MAX is 4,096 (linux/limits.h), NUL included. */
const PATH_BYTES_MAX = 4_095;

/** Longest `webhook`, in characters; what every HTTP server takes as a request line. */
const WEBHOOK_LENGTH_MAX = 2_000;

/** Longest `patience`, in seconds. */
const PATIENCE_MAX = 300;

/** Largest `soft_rate`: a packet each second. */
const SOFT_RATE_MAX = 60;

/** Ports of `sip_ports`: as many as iptables takes in one rule (iptables-extensions(8)). */
const SIP_PORTS_MAX = 15;

/** Largest `bantime_factor`. */
const BANTIME_FACTOR_MAX = 1_000;

/** Shortest `trust_lookup`, in seconds: name servers are asked so often for each name. */
const TRUST_LOOKUP_MIN = 10;

/** Longest `trust_lookup`, in seconds. */
const TRUST_LOOKUP_MAX = 21_600;

/** Largest `guard_hosts`: of each account so many hosts are remembered. */
const GUARD_HOSTS_MAX = 64;

/** Shortest `guard_window`, in seconds. */
const GUARD_WINDOW_MIN = 60;

/** Longest `guard_window`, in seconds: a week. */
const GUARD_WINDOW_MAX = 604_800;

/** Smallest and largest `neighbours`; with one alone a host would be blocked as its network. */
const NEIGHBOURS_MIN = 2;
const NEIGHBOURS_MAX = 64;

/** Shortest `verify`, in seconds. */
const VERIFY_MIN = 5;

/** Longest `verify`, in seconds. */
export const VERIFY_MAX = 86_400;

/**
 * Chains that exist without anybody's doing and that carry the machine's own rules. Ampere flushes
 * its chain, so with one of these it would open or close the whole machine.
 */
const BUILT_IN_CHAINS: ReadonlySet<string> = new Set([
  "INPUT",
  "FORWARD",
  "OUTPUT",
  "PREROUTING",
  "POSTROUTING",
]);

/** Chains of the system that no packet of a stranger to Asterisk comes through in table filter. */
const NOT_INCOMING: ReadonlySet<string> = new Set(["OUTPUT", "PREROUTING", "POSTROUTING"]);

/** Chains that packets of strangers mostly come through. */
const HOOKS = ["INPUT", "FORWARD", "DOCKER-USER"] as const;

/** Most chains of `jump`. */
const JUMP_MAX = 8;

/** Names that no chain can have: the targets of iptables(8) and iptables-extensions(8). */
const TARGETS: ReadonlySet<string> = new Set(
  ("ACCEPT AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DNPT DROP DSCP ECN HL " +
    "HMARK IDLETIMER LED LOG MARK MASQUERADE NETMAP NFLOG NFQUEUE NOTRACK QUEUE RATEEST REDIRECT " +
    "REJECT RETURN SECMARK SET SNAT SNPT SYNPROXY TCPMSS TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG")
    .split(" "),
);

/** A name of a chain that needs no quoting in any shell, file or command. */
const CHAIN_NAME = /^[A-Za-z0-9_.][A-Za-z0-9_.:-]*$/;

/** A whole number without sign and leading zeros. */
const WHOLE_NUMBER = /^(?:0|[1-9][0-9]{0,14})$/;

const DECIMAL_NUMBER = /^(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?$/;

export type Draft = { -readonly [Name in keyof Config]: Config[Name] };

/** Where a rule puts what it read, and how it voices a doubt. */
interface Context {
  readonly draft: Draft;
  readonly warn: (message: string) => void;
}

/** Reads a value into the draft; returns what is wrong with it, `undefined` if nothing is. */
type Rule = (value: string, context: Context) => string | undefined;

/** The keys in the order of the documentation, each with the rule that reads its value. */
export const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["host", readHost],
  ["port", (value, { draft }) => readNumber(value, 1, 65_535, (port) => draft.port = port)],
  ["user", (value, { draft }) => {
    draft.user = value;
    return tooManyBytes(value, USER_BYTES_MAX);
  }],
  ["pass", (value, { draft }) => {
    draft.pass = value;
    return tooManyBytes(value, PASS_BYTES_MAX);
  }],
  ["loyalty", (value, { draft }) => readNumber(value, 1, LOYALTY_MAX, (n) => draft.loyalty = n)],
  ["chain", readChain],
  ["jump", readJump],
  ["trust", readTrust],
  ["trust_file", (value, { draft }) => readFile(value, (file) => draft.trustFile = file)],
  [
    "trust_lookup",
    (value, { draft }) =>
      readSeconds(value, TRUST_LOOKUP_MIN, TRUST_LOOKUP_MAX, (s) => draft.trustLookup = s),
  ],
  ["tls", readTls],
  ["tls_ca", (value, { draft }) => readFile(value, (file) => draft.tlsCa = file)],
  ["tls_name", readTlsName],
  ["log", readLog],
  ["log_format", readLogFormat],
  ["database", readDatabase],
  [
    "patience",
    (value, { draft }) => readSeconds(value, 0, PATIENCE_MAX, (s) => draft.patience = s),
  ],
  ["credit", (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.credit = s)],
  ["forget", (value, { draft }) => readSeconds(value, 1, DURATION_MAX, (s) => draft.forget = s)],
  ["bantime", readBantime],
  ["bantime_factor", readFactor],
  [
    "bantime_max",
    (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.bantimeMax = s),
  ],
  ["doubt", (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.doubt = s)],
  [
    "guard_hosts",
    (value, { draft }) => readNumber(value, 0, GUARD_HOSTS_MAX, (n) => draft.guardHosts = n),
  ],
  [
    "guard_window",
    (value, { draft }) =>
      readSeconds(value, GUARD_WINDOW_MIN, GUARD_WINDOW_MAX, (s) => draft.guardWindow = s),
  ],
  ["neighbours", readNeighbours],
  ["insider", readInsider],
  ["learn", (value, { draft }) => readSeconds(value, 0, DURATION_MAX, (s) => draft.learn = s)],
  ["ipv6_prefix", (value, { draft }) => readNumber(value, 32, 128, (n) => draft.ipv6Prefix = n)],
  ["nat64", readNat64],
  ["geo", (value, { draft }) => readFile(value, (file) => draft.geo = file)],
  ["asn", (value, { draft }) => readFile(value, (file) => draft.asn = file)],
  ["home", readHome],
  ["away", readAway],
  ["asn_strict", readAsnStrict],
  ["new_place", readNewPlace],
  ["backend", readBackend],
  ["action", readAction],
  [
    "verify",
    (value, { draft }) => readSeconds(value, VERIFY_MIN, VERIFY_MAX, (s) => draft.verify = s),
  ],
  [
    "metrics",
    (value, { draft }) => readListenAddress(value, 9738, (where) => draft.metrics = where),
  ],
  ["page", (value, { draft }) => readListenAddress(value, 9739, (where) => draft.page = where)],
  ["page_name", (value, { draft }) => {
    draft.pageNames = [];
    return isOff(value) ? undefined : readPageNames(value, (names) => draft.pageNames = names);
  }],
  ["page_token_file", (value, { draft }) => readFile(value, (file) => draft.pageTokenFile = file)],
  ["page_cert", (value, { draft }) => readFile(value, (file) => draft.pageCert = file)],
  ["page_key", (value, { draft }) => readFile(value, (file) => draft.pageKey = file)],
  ["webhook", readWebhook],
  ["webhook_ca", (value, { draft }) => readFile(value, (file) => draft.webhookCa = file)],
  ["sip_ports", readPorts],
  ["soft_rate", readSoftRate],
  ["fleet", (value, { draft }) => {
    draft.fleet = undefined;
    return isOff(value) ? undefined : readFleet(value, (address) => draft.fleet = address);
  }],
  ["fleet_name", (value, { draft }) => {
    draft.fleetName = undefined;
    return isOff(value) ? undefined : readFleetName(value, (name) => draft.fleetName = name);
  }],
  ["fleet_pass_file", (value, { draft }) => readFile(value, (file) => draft.fleetPassFile = file)],
  ["fleet_ca", (value, { draft }) => readFile(value, (file) => draft.fleetCa = file)],
  ["fleet_prefix", (value, { draft }) => readFleetPrefix(value, (p) => draft.fleetPrefix = p)],
  ["fleet_max", (value, { draft }) => readFleetMax(value, (n) => draft.fleetMax = n)],
]);

/** Keys for which no value, like `off`, means that the function is not wanted. */
export const MAY_BE_EMPTY: ReadonlySet<string> = new Set([
  "trust_file",
  "geo",
  "asn",
  "home",
  "asn_strict",
  "metrics",
  "page",
  "page_name",
  "page_token_file",
  "page_cert",
  "page_key",
  "webhook",
  "tls_ca",
  "tls_name",
  "webhook_ca",
  "log",
  "fleet",
  "fleet_name",
  "fleet_pass_file",
  "fleet_ca",
]);

/** How often a key may stand. */
interface Repeatable {
  /** Lines that this version takes. */
  readonly most: number;
  /** Lines that the original takes, for a warning; `undefined` if it does not know the key. */
  readonly original?: number;
  /** What to do about too many of them, if not to join addresses. */
  readonly advice?: string;
}

/** Keys that may stand several times. */
export const REPEATABLE: ReadonlyMap<string, Repeatable> = new Map([
  ["trust", { most: TRUST_MAX, original: ORIGINAL_TRUST_MAX }],
  ["nat64", { most: NAT64_MAX }],
  ["asn_strict", { most: ASN_STRICT_LINES_MAX, advice: "write several numbers into a line" }],
  ["log", { most: LOGS_MAX, advice: "the files messages and security hold all that is read" }],
]);

// --- the rules -----------------------------------------------------------------------------------

function readHost(value: string, { draft }: Context): string | undefined {
  if (value.toLowerCase() === NO_AMI) {
    draft.host = NO_AMI;
    return undefined;
  }
  const host = hostIn(value);
  if (host === undefined) return `${shown(value)} is not a host name or address`;
  draft.host = host;
  return undefined;
}

/** A host name, or an address without its brackets; `undefined` if it is neither. */
function hostIn(value: string): string | undefined {
  const bare = /^\[(.*)\]$/.exec(value)?.[1] ?? value;
  if (parseAddress(bare) !== undefined && (bare === value || bare.includes(":"))) return bare;
  // What consists of digits and dots is meant as an address, so a wrong one is not looked up.
  const isName = value.length <= HOST_LENGTH_MAX && HOST_NAME.test(value) &&
    !/^[0-9.]+$/.test(value);
  return isName ? value : undefined;
}

function readTls(value: string, { draft }: Context): string | undefined {
  if (value !== "yes" && value !== "no") return `${shown(value)} is not yes or no`;
  draft.tls = value === "yes";
  return undefined;
}

function readTlsName(value: string, { draft }: Context): string | undefined {
  draft.tlsName = undefined;
  if (isOff(value)) return undefined;
  draft.tlsName = hostIn(value);
  return draft.tlsName === undefined
    ? `${shown(value)} is not a host name or address, nor off`
    : undefined;
}

function readChain(value: string, { draft }: Context): string | undefined {
  if (BUILT_IN_CHAINS.has(value)) {
    return `${value} is a chain of the system, and Ampere flushes its chain: all rules in ${value} ` +
      "would be lost; make a chain for Ampere alone and jump to it from there";
  }
  if (TARGETS.has(value)) return `${value} is a target of iptables, so no chain can have this name`;
  if (value.length > CHAIN_LENGTH_MAX) return `longer than ${CHAIN_LENGTH_MAX} characters`;
  if (!CHAIN_NAME.test(value)) {
    return `${
      shown(value)
    } is not a name for a chain: letters, digits and _ . : - are, the first ` +
      "of them not : or -";
  }
  draft.chain = value;
  return undefined;
}

function readJump(value: string, { draft }: Context): string | undefined {
  draft.jump = [];
  if (value.toLowerCase() === "none" || isOff(value)) return undefined;
  const names = value.split(",").map((name) => name.trim());
  if (names.length > JUMP_MAX) return `more than ${JUMP_MAX} chains`;
  for (const [index, name] of names.entries()) {
    if (NOT_INCOMING.has(name)) {
      return `${name} is a chain that packets of strangers do not come through on their way to Asterisk: INPUT ` +
        "and FORWARD are, and DOCKER-USER";
    }
    if (TARGETS.has(name)) return `${name} is a target of iptables, so no chain can have this name`;
    if (name.length > CHAIN_LENGTH_MAX) return `longer than ${CHAIN_LENGTH_MAX} characters`;
    if (!CHAIN_NAME.test(name)) {
      return `${
        shown(name)
      } is not a name of a chain: INPUT, FORWARD, DOCKER-USER or another, with commas between ` +
        "them, or none";
    }
    const known = HOOKS.find((hook) => hook === name.toUpperCase());
    if (known !== undefined && known !== name) {
      return `${name}: write it as the chain is called: ${known}`;
    }
    if (name.toLowerCase() === "none") return "none stands alone";
    if (names.indexOf(name) !== index) return `${name} stands there twice`;
  }
  draft.jump = names;
  return undefined;
}

function readTrust(value: string, context: Context): string | undefined {
  const entry = readTrustEntry(value);
  if (entry.kind !== "bad") return takeTrust(entry, context);
  const entries = value.split(/[ \t]*,[ \t]*|[ \t]+/).map(readTrustEntry);
  // A name there may be a word about the address.
  if (entries.some(({ kind }) => kind === "bad" || kind === "name")) return entry.message;
  context.warn(`${shown(value)}: all of these are taken, of which Ampere 0.2.3 takes the first`);
  for (const one of entries) takeTrust(one, context);
  return undefined;
}

function takeTrust(entry: TrustEntry, { draft, warn }: Context): string | undefined {
  switch (entry.kind) {
    case "bad":
      return entry.message;
    case "nobody":
      warn(entry.message);
      return undefined;
    case "name":
      if (draft.trustNames.length >= TRUST_NAMES_MAX && !draft.trustNames.includes(entry.name)) {
        return `more than ${TRUST_NAMES_MAX} names; of the others write the addresses or networks`;
      }
      draft.trustNames = [...draft.trustNames, entry.name];
      return undefined;
    case "target":
      draft.trust = [...draft.trust, entry.target];
      if (entry.doubt !== undefined) warn(entry.doubt);
      return undefined;
  }
}

function readNat64(value: string, { draft }: Context): string | undefined {
  if (isOff(value)) return undefined;
  const target = parseTarget(value);
  if (target === undefined || !target.includes(":") || !target.endsWith(`/${NAT64_PREFIX}`)) {
    return `${
      shown(value)
    } is not an IPv6 network of ${NAT64_PREFIX} bits, such as 2001:db8:64::/96`;
  }
  draft.nat64 = [...draft.nat64, target];
  return undefined;
}

function readDatabase(value: string, { draft }: Context): string | undefined {
  draft.database = value;
  return notAFilePath(value);
}

function readLog(value: string, { draft }: Context): string | undefined {
  if (isOff(value)) return undefined;
  draft.logs = [...draft.logs, value];
  return notAFilePath(value);
}

function readLogFormat(value: string, { draft }: Context): string | undefined {
  if (value !== "text" && value !== "json") return `${shown(value)} is not text or json`;
  draft.logFormat = value;
  return undefined;
}

function notAFilePath(value: string): string | undefined {
  if (!value.startsWith("/")) return `${shown(value)} is not a path that begins with /`;
  if (value.endsWith("/")) return `${shown(value)} is a directory; name a file in it`;
  return tooManyBytes(value, PATH_BYTES_MAX);
}

function readFile(
  value: string,
  take: (file: string | undefined) => void,
): string | undefined {
  take(undefined);
  if (isOff(value)) return undefined;
  take(value);
  return notAFilePath(value);
}

function readBantime(value: string, { draft }: Context): string | undefined {
  // fail2ban's.
  if (value === "-1") return '"-1" is not a duration; for ever is 0';
  return readSeconds(value, 0, DURATION_MAX, (seconds) => draft.bantime = seconds);
}

function readFactor(value: string, { draft }: Context): string | undefined {
  const factor = DECIMAL_NUMBER.test(value) ? Number(value) : NaN;
  if (!(factor >= 1 && factor <= BANTIME_FACTOR_MAX)) {
    return `${shown(value)} is not a number from 1 to ${BANTIME_FACTOR_MAX}, such as 2 or 1.5`;
  }
  draft.bantimeFactor = factor;
  return undefined;
}

function readNeighbours(value: string, { draft }: Context): string | undefined {
  draft.neighbours = undefined;
  if (value.toLowerCase() === "auto") return undefined;
  const number = WHOLE_NUMBER.test(value) ? Number(value) : NaN;
  if (number !== 0 && !(number >= NEIGHBOURS_MIN && number <= NEIGHBOURS_MAX)) {
    return `${
      shown(value)
    } is not a whole number from ${NEIGHBOURS_MIN} to ${NEIGHBOURS_MAX}, nor 0 or auto`;
  }
  draft.neighbours = number;
  return undefined;
}

function readHome(value: string, { draft }: Context): string | undefined {
  draft.home = [];
  if (isOff(value)) return undefined;
  return readCountries(value, (codes) => draft.home = codes);
}

function readAway(value: string, { draft }: Context): string | undefined {
  if (value !== "watch" && value !== "strict" && value !== "block") {
    return `${shown(value)} is not watch, strict or block`;
  }
  draft.away = value;
  return undefined;
}

function readAsnStrict(value: string, { draft }: Context): string | undefined {
  if (isOff(value)) return undefined;
  return readNetworkNumbers(value, draft.asnStrict, (numbers) => draft.asnStrict = numbers);
}

function readNewPlace(value: string, { draft }: Context): string | undefined {
  if (value !== "tell" && value !== "off") return `${shown(value)} is not tell or off`;
  draft.newPlace = value === "tell";
  return undefined;
}

function readBackend(value: string, { draft }: Context): string | undefined {
  if (
    value !== "auto" && value !== "iptables" && value !== "ipset" && value !== "nftables"
  ) {
    return `${shown(value)} is not auto, iptables, ipset or nftables`;
  }
  draft.backend = value;
  return undefined;
}

function readAction(value: string, { draft }: Context): string | undefined {
  if (value !== "reject" && value !== "drop") return `${shown(value)} is not reject or drop`;
  draft.action = value;
  return undefined;
}

function readInsider(value: string, { draft }: Context): string | undefined {
  if (value !== "tell" && value !== "block") return `${shown(value)} is not tell or block`;
  draft.insider = value;
  return undefined;
}

function readListenAddress(
  value: string,
  usual: number,
  take: (where: ListenAddress | undefined) => void,
): string | undefined {
  take(undefined);
  if (isOff(value)) return undefined;
  const [, bracketed, plain, portText = ""] = /^(?:\[(.*)\]|([^:]*)):([0-9]*)$/.exec(value) ?? [];
  const hostname = plain === "localhost" ? plain : parseAddress(bracketed ?? plain ?? "");
  const isBracketedRight = bracketed === undefined || bracketed.includes(":");
  const port = WHOLE_NUMBER.test(portText) ? Number(portText) : 0;
  if (hostname === undefined || !isBracketedRight || port < 1 || port > 65_535) {
    return `${
      shown(value)
    } is not ADDRESS:PORT, such as 127.0.0.1:${usual} or [::1]:${usual}, or off`;
  }
  take({ hostname, port });
  return undefined;
}

function readWebhook(value: string, { draft }: Context): string | undefined {
  draft.webhook = undefined;
  if (isOff(value)) return undefined;
  if (value.length > WEBHOOK_LENGTH_MAX) return `longer than ${WEBHOOK_LENGTH_MAX} characters`;
  const url = /^https?:\/\/\S+$/i.test(value) ? URL.parse(value) : null;
  if (url === null || url.hostname === "") {
    return "not a URL that begins with https:// or http://, nor off";
  }
  draft.webhook = url.href;
  return undefined;
}

function readPorts(value: string, { draft }: Context): string | undefined {
  const parts = value.split(",").map((part) => part.trim());
  const isRight = (part: string) =>
    WHOLE_NUMBER.test(part) && Number(part) >= 1 && Number(part) <= 65_535;
  if (parts.length > SIP_PORTS_MAX || !parts.every(isRight)) {
    return `${shown(value)} is not 1 to ${SIP_PORTS_MAX} ports with commas between them, such as ` +
      "5060,5061";
  }
  draft.sipPorts = [...new Set(parts.map(Number))];
  return undefined;
}

function readSoftRate(value: string, { draft }: Context): string | undefined {
  draft.softRate = 0;
  if (isOff(value)) return undefined;
  const [, number = ""] = /^([0-9]+)\/minute$/.exec(value) ?? [];
  const rate = WHOLE_NUMBER.test(number) ? Number(number) : 0;
  if (rate < 1 || rate > SOFT_RATE_MAX) {
    return `${
      shown(value)
    } is not a number from 1 to ${SOFT_RATE_MAX} with /minute behind it, such ` +
      "as 10/minute, nor off";
  }
  draft.softRate = rate;
  return undefined;
}

function readNumber(
  value: string,
  least: number,
  most: number,
  take: (number: number) => void,
): string | undefined {
  const number = WHOLE_NUMBER.test(value) ? Number(value) : NaN;
  if (!(number >= least && number <= most)) {
    return `${shown(value)} is not a whole number from ${least} to ${most}`;
  }
  take(number);
  return undefined;
}

function readSeconds(
  value: string,
  least: number,
  most: number,
  take: (seconds: number) => void,
): string | undefined {
  const seconds = parseDuration(value);
  const range = `from ${formatDuration(least)} to ${formatDuration(most)}`;
  if (seconds === undefined) {
    return `${
      shown(value)
    } is not a duration ${range}: a number of seconds, or a number with s, m, ` +
      "h or d, such as 90s, 15m, 6h or 7d";
  }
  if (seconds < least || seconds > most) return `${shown(value)} is not ${range}`;
  take(seconds);
  return undefined;
}

function tooManyBytes(value: string, most: number): string | undefined {
  return new TextEncoder().encode(value).length > most ? `longer than ${most} bytes` : undefined;
}

function isOff(value: string): boolean {
  return value === "" || value.toLowerCase() === "off";
}
