/**
 * The configuration: what can be set, and what holds if it is not.
 *
 * @module
 */

import { formatDuration } from "./duration.ts";
import { type FeedConfig, shownUrl } from "./feeds.ts";
import { formatQuiet, type MessengerConfig, shownMessengerUrl } from "./messengers.ts";
import { type FleetAddress, formatFleet } from "./fleet_keys.ts";

/** What the daemon is told to do; durations are in seconds. */
export interface Config {
  /**
   * Name or address of the machine where Asterisk's Manager Interface (AMI) listens;
   * {@linkcode NO_AMI}: it is not used.
   */
  readonly host: string;
  /** TCP port of AMI. */
  readonly port: number;
  /** Name of the AMI user. */
  readonly user: string;
  /** Secret of the AMI user. */
  readonly pass: string;
  /** Attempts that a stranger has before they are blocked, {@linkcode LOYALTY_MAX} at most. */
  readonly loyalty: number;
  /** Name of the chain that belongs to Ampere alone: it is flushed at start. */
  readonly chain: string;
  /** Chains from which Ampere itself jumps to its chain, each once; none: others do. */
  readonly jump: readonly string[];
  /** Canonical targets that are never blocked, each once. */
  readonly trust: readonly string[];
  /** Names whose addresses are never blocked, in small letters, each once. */
  readonly trustNames: readonly string[];
  /** Absolute path of a file with more of both, `undefined` for none. */
  readonly trustFile: string | undefined;
  /** AMI is spoken to by TLS, and never without. */
  readonly tls: boolean;
  /** File with the authorities of AMI's certificate; `undefined`: those of this machine. */
  readonly tlsCa: string | undefined;
  /** Name or address in AMI's certificate; `undefined`: `host`. */
  readonly tlsName: string | undefined;
  /** Absolute paths of Asterisk's logs that are followed, each once. */
  readonly logs: readonly string[];
  /** How Ampere's own log is written: lines for people, or an object of JSON each. */
  readonly logFormat: "text" | "json";
  /** Absolute path of the block list. */
  readonly database: string;
  /** How long an unanswered challenge is waited for. */
  readonly patience: number;
  /** How long a login with a password keeps a host in good standing. */
  readonly credit: number;
  /** After how long without an event a host is forgotten. */
  readonly forget: number;
  /** How long a block lasts; 0 means for ever. */
  readonly bantime: number;
  /** By what a block gets longer each time that the host comes back. */
  readonly bantimeFactor: number;
  /** Longest block that `bantimeFactor` may lead to; 0 means no bound. */
  readonly bantimeMax: number;
  /** First block for wrong answers of a single session; 0 means as any other. */
  readonly doubt: number;
  /** Strangers who fail on one account before it is guarded; 0 means never. */
  readonly guardHosts: number;
  /** Within how long they must have failed. */
  readonly guardWindow: number;
  /**
   * Blocked hosts of a network before it is blocked; 0 means never, `undefined` as suits `backend`.
   */
  readonly neighbours: number | undefined;
  /** A host in good standing that fails on accounts of others is told, or also blocked a while. */
  readonly insider: "tell" | "block";
  /** How long after the first start unanswered challenges cost nothing. */
  readonly learn: number;
  /** Bits of an IPv6 address that are counted and blocked as one host. */
  readonly ipv6Prefix: number;
  /** Prefixes of NAT64 beside the well-known one: canonical networks of 96 bits. */
  readonly nat64: readonly string[];
  /** Absolute path of a file that knows the countries of addresses, `undefined` for none. */
  readonly geo: string | undefined;
  /** Absolute path of a file that knows whose networks they are in, `undefined` for none. */
  readonly asn: string | undefined;
  /** Codes of the countries that are home, each once; none: nobody is away. */
  readonly home: readonly string[];
  /** What becomes of strangers from elsewhere. */
  readonly away: Away;
  /** Numbers of networks whose strangers have one attempt, each once. */
  readonly asnStrict: readonly number[];
  /** A login of an account that always logged in from elsewhere is told. */
  readonly newPlace: boolean;
  /** How blocks are put into the kernel; `auto`: by what is there. */
  readonly backend: BackendName | "auto";
  /** What becomes of the packets of blocked hosts. */
  readonly action: Action;
  /** How often the names of `trust` are looked up. */
  readonly trustLookup: number;
  /** How often the firewall is compared with the block list. */
  readonly verify: number;
  /** Where metrics are served, `undefined` for nowhere. */
  readonly metrics: ListenAddress | undefined;
  /** Where the status page is served, `undefined` for nowhere. */
  readonly page: ListenAddress | undefined;
  /** Names by which the page may be asked for, in small letters, each once. */
  readonly pageNames: readonly string[];
  /** File with the hashes of the page's tokens; `undefined`: nobody can act on it. */
  readonly pageTokenFile: string | undefined;
  /** File with the page's certificate and those that lead to its authority. */
  readonly pageCert: string | undefined;
  /** File with the key of that. */
  readonly pageKey: string | undefined;
  /** Where blocks are reported to by HTTP, `undefined` for nowhere. */
  readonly webhook: string | undefined;
  /** File with the authorities of the webhook's certificate; `undefined`: those of this machine. */
  readonly webhookCa: string | undefined;
  /** Lists of attackers. */
  readonly feeds: readonly FeedConfig[];
  /** Who is told of what happens. */
  readonly messengers: readonly MessengerConfig[];
  /**
   * Packets of signalling that pass in a minute from a host that is refused for a list or its
   * neighbours; 0: none.
   */
  readonly softRate: number;
  /** Ports of SIP, of which a feed with `for = sip` speaks, each once. */
  readonly sipPorts: readonly number[];
  /** Through what PBXs share their blocks; `undefined`: they do not. */
  readonly fleet: FleetAddress | undefined;
  /** The name of this PBX among them. */
  readonly fleetName: string | undefined;
  /** Absolute path of a file with the engine's secret; `undefined`: it has none. */
  readonly fleetPassFile: string | undefined;
  /** File with the authorities of its certificate; `undefined`: those of this machine. */
  readonly fleetCa: string | undefined;
  /** What its keys begin with. */
  readonly fleetPrefix: string;
  /** Most blocks of others that are applied within an hour. */
  readonly fleetMax: number;
}

/** One of the ways to put blocks into the kernel. */
export type BackendName = "iptables" | "ipset" | "nftables";

/**
 * What becomes of a packet of a blocked host: an ICMP message tells its sender that nobody listens,
 * or nothing does.
 */
export type Action = "reject" | "drop";

/**
 * What becomes of a stranger who is known not to be at home: they are told of (`watch`), have one
 * attempt (`strict`), or are blocked when they first appear (`block`).
 */
type Away = "watch" | "strict" | "block";

/** Where a server listens. */
export interface ListenAddress {
  /** Canonical address, or `localhost`. */
  readonly hostname: string;
  /** TCP port. */
  readonly port: number;
}

/** The file that is read unless another one is named. */
export const DEFAULT_CONFIG_FILE = "/etc/ampere/ampere.cfg";

/** Every key with its default: the original's keys first, with the original's defaults. */
export const DEFAULT_CONFIG: Config = Object.freeze({
  host: "127.0.0.1",
  port: 5038,
  user: "ampere",
  pass: "ampere",
  loyalty: 3,
  chain: "ampere",
  jump: Object.freeze([]),
  trust: Object.freeze([]),
  trustNames: Object.freeze([]),
  trustFile: undefined,
  tls: false,
  tlsCa: undefined,
  tlsName: undefined,
  logs: Object.freeze([]),
  logFormat: "text",
  database: "/var/lib/ampere/ampere.db",
  patience: 5,
  credit: 7 * 86_400,
  forget: 86_400,
  bantime: 0,
  bantimeFactor: 1,
  bantimeMax: 0,
  doubt: 25,
  guardHosts: 10,
  guardWindow: 3_600,
  neighbours: undefined,
  insider: "tell",
  learn: 3_600,
  ipv6Prefix: 64,
  nat64: Object.freeze([]),
  geo: undefined,
  asn: undefined,
  home: Object.freeze([]),
  away: "strict",
  asnStrict: Object.freeze([]),
  newPlace: true,
  backend: "auto",
  action: "reject",
  trustLookup: 60,
  verify: 60,
  metrics: undefined,
  page: undefined,
  pageNames: Object.freeze([]),
  pageTokenFile: undefined,
  pageCert: undefined,
  pageKey: undefined,
  webhook: undefined,
  webhookCa: undefined,
  feeds: Object.freeze([]),
  messengers: Object.freeze([]),
  softRate: 10,
  sipPorts: Object.freeze([5060, 5061]),
  fleet: undefined,
  fleetName: undefined,
  fleetPassFile: undefined,
  fleetCa: undefined,
  fleetPrefix: "ampere:",
  fleetMax: 10_000,
});

/** The value of `host` with which there is no AMI, but Asterisk's log alone. */
export const NO_AMI = "none";

/** The port of AMI over TLS unless another one is named (Asterisk, `manager.c`, `tlsbindaddr`). */
export const DEFAULT_TLS_PORT = 5039;

/**
 * How AMI is spoken to.
 *
 * @param config The configuration.
 * @returns `undefined` for plain text.
 */
export function tlsLogin(
  config: Config,
): { readonly ca: string | undefined; readonly name: string | undefined } | undefined {
  return config.tls ? { ca: config.tlsCa, name: config.tlsName } : undefined;
}

/** Blocked hosts of a network before it is blocked, where nothing else is said. */
const NEIGHBOURS = 3;

/**
 * How many blocked hosts of a network block it. Without `credit` nobody could show that they belong
 * into one. With iptables, where each block is a rule that every packet of a stranger is compared
 * with, only who asks for it has networks blocked too.
 *
 * @param config The configuration.
 * @param backend Which firewall there is; `auto`, as long as that is not known, counts as one with
 *   sets.
 * @returns 0: none is.
 */
export function neighboursOf(
  { neighbours, credit }: Config,
  backend: Config["backend"],
): number {
  if (credit === 0) return 0;
  return neighbours ?? (backend === "iptables" ? 0 : NEIGHBOURS);
}

/**
 * A configuration as keys and values of a file, for `--verbose`. Of the secret it is only told
 * whether one is set, of the webhook only the server.
 *
 * @param config The configuration.
 * @returns Keys with values in the order of the documentation, `trust` once for each entry.
 */
export function describeConfig(config: Config): [key: string, value: string][] {
  const { metrics, page, webhook } = config;
  const trusted = [...config.trust, ...config.trustNames];
  const trust = trusted.length === 0 ? ["(none)"] : trusted;
  const nat64 = config.nat64.length === 0 ? ["off"] : config.nat64;
  const logs = config.logs.length === 0 ? ["off"] : config.logs;
  return [
    ["host", config.host],
    ["port", String(config.port)],
    ["user", config.user],
    ["pass", config.pass === DEFAULT_CONFIG.pass ? "(default)" : "(set)"],
    ["loyalty", String(config.loyalty)],
    ["chain", config.chain],
    ["jump", config.jump.length === 0 ? "none" : config.jump.join(",")],
    ...trust.map((entry): [string, string] => ["trust", entry]),
    ["trust_file", config.trustFile ?? "off"],
    ["trust_lookup", formatDuration(config.trustLookup)],
    ["tls", config.tls ? "yes" : "no"],
    ["tls_ca", config.tlsCa ?? "off"],
    ["tls_name", config.tlsName ?? "off"],
    ...logs.map((path): [string, string] => ["log", path]),
    ["log_format", config.logFormat],
    ["database", config.database],
    ["patience", formatDuration(config.patience)],
    ["credit", formatDuration(config.credit)],
    ["forget", formatDuration(config.forget)],
    ["bantime", formatDuration(config.bantime)],
    ["bantime_factor", String(config.bantimeFactor)],
    ["bantime_max", formatDuration(config.bantimeMax)],
    ["doubt", formatDuration(config.doubt)],
    ["guard_hosts", String(config.guardHosts)],
    ["guard_window", formatDuration(config.guardWindow)],
    ["neighbours", config.neighbours === undefined ? "auto" : String(config.neighbours)],
    ["insider", config.insider],
    ["learn", formatDuration(config.learn)],
    ["ipv6_prefix", String(config.ipv6Prefix)],
    ...nat64.map((prefix): [string, string] => ["nat64", prefix]),
    ["geo", config.geo ?? "off"],
    ["asn", config.asn ?? "off"],
    ["home", config.home.length === 0 ? "off" : config.home.join(", ")],
    ["away", config.away],
    ["asn_strict", config.asnStrict.length === 0 ? "off" : config.asnStrict.join(", ")],
    ["new_place", config.newPlace ? "tell" : "off"],
    ["backend", config.backend],
    ["action", config.action],
    ["verify", formatDuration(config.verify)],
    ["metrics", metrics === undefined ? "off" : formatListenAddress(metrics)],
    ["page", page === undefined ? "off" : formatListenAddress(page)],
    ["page_name", config.pageNames.length === 0 ? "off" : config.pageNames.join(", ")],
    ["page_token_file", config.pageTokenFile ?? "off"],
    ["page_cert", config.pageCert ?? "off"],
    ["page_key", config.pageKey ?? "off"],
    ["webhook", webhook === undefined ? "off" : `${new URL(webhook).origin}/(not shown)`],
    ["webhook_ca", config.webhookCa ?? "off"],
    ["sip_ports", config.sipPorts.join(",")],
    ["soft_rate", config.softRate === 0 ? "off" : `${config.softRate}/minute`],
    ["fleet", config.fleet === undefined ? "off" : formatFleet(config.fleet)],
    ["fleet_name", config.fleetName ?? "off"],
    ["fleet_pass_file", config.fleetPassFile ?? "off"],
    ["fleet_ca", config.fleetCa ?? "off"],
    ["fleet_prefix", config.fleetPrefix],
    ["fleet_max", `${config.fleetMax}/hour`],
    ...config.feeds.map(({ name, url, every, format, ...feed }): [string, string] => [
      `[feed ${name}]`,
      `${shownUrl(url)}, every ${
        formatDuration(every)
      }, ${format}, for ${feed.for}, ${feed.action}`,
    ]),
    ...config.messengers.map((messenger): [string, string] => {
      const { name, format, digest, quiet } = messenger;
      const every = digest === 0 ? "off" : formatDuration(digest);
      return [
        `[notify ${name}]`,
        `${format}, ${shownMessengerUrl(messenger)}, digest ${every}, quiet ${formatQuiet(quiet)}`,
      ];
    }),
  ];
}

/**
 * An address as it stands in the file, and in a URL.
 *
 * @param address The address.
 */
export function formatListenAddress({ hostname, port }: ListenAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
