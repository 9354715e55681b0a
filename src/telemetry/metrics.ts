/**
 * Metrics for Prometheus, in its text format (version 0.0.4), and the small HTTP server that hands
 * them out.
 *
 * Names follow https://prometheus.io/docs/practices/naming/: a prefix, base units, `_total` for
 * what only grows.
 *
 * @module
 */

import { CAUSES } from "../address/exempt.ts";
import { BoundedServer } from "./bounded_server.ts";
import type { ServedConnection } from "./served_connection.ts";
import type { ListenAddress } from "../config/config.ts";
import { type Histogram, LATENCY_BOUNDS } from "./counters.ts";
import type { LogState } from "../logs/followed_log.ts";
import type { ListState } from "./lists.ts";
import type { MessengerState } from "./messages/messenger.ts";
import type { StatusSource } from "./status.ts";
import { VERSION } from "../version.ts";

/** Most connections at a time; Prometheus needs one. */
export const CONNECTIONS_MAX = 16;

/** How long a connection may last, in milliseconds. */
const CONNECTION_MS = 5_000;

/** Longest head of a request that is read, in characters. */
export const REQUEST_CHARACTERS_MAX = 8 * 1024;

/**
 * Why messages are not obeyed; all are shown, also those that never happened, so that rates can be
 * computed.
 */
const TAMPERED_REASONS = ["malformed", "forged end", "cut off", "oversized"] as const;

/** A metric with its values. */
interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly samples: readonly Sample[];
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** What the webhook tells, if there is one. */
interface DeliveryCounts {
  readonly delivered: number;
  readonly dropped: number;
}

/**
 * All metrics.
 *
 * @param source The daemon.
 * @param deliveries Of the webhook; `undefined` without one.
 * @param messengers How those are who are told of what happens.
 * @returns The text that Prometheus reads.
 */
export function formatMetrics(
  source: StatusSource,
  deliveries?: DeliveryCounts,
  messengers: readonly MessengerState[] = [],
): string {
  return [
    ...aboutAmpere(source),
    ...aboutEvents(source),
    ...aboutLogs(source),
    ...aboutBlocks(source),
    ...aboutPlaces(source),
    ...aboutLists(source),
    ...aboutFleet(source),
    ...aboutDeliveries(deliveries),
    ...aboutMessengers(messengers),
  ].map(formatMetric).join("") +
    formatHistogram(
      "ampere_block_duration_seconds",
      "From the decision to block to the rule in the kernel.",
      source.counters.latency,
    );
}

function aboutAmpere({ startedAt, connectedSince, counters, dryRun }: StatusSource): Metric[] {
  return [
    gauge("ampere_build_info", "Version of Ampere and of the runtime inside.", 1, {
      version: VERSION,
      deno: Deno.version.deno,
    }),
    gauge(
      "ampere_start_time_seconds",
      "Start of the daemon, in seconds since 1970.",
      startedAt / 1000,
    ),
    gauge("ampere_dry_run", "1 if nothing is changed in the firewall.", dryRun ? 1 : 0),
    gauge("ampere_resident_memory_bytes", "Memory of the daemon.", Deno.memoryUsage().rss),
    gauge(
      "ampere_ami_connected",
      "1 while Asterisk's events arrive.",
      connectedSince === undefined ? 0 : 1,
    ),
    counter("ampere_ami_logins_total", "Logins to Asterisk that succeeded.", counters.logins),
    counter(
      "ampere_ami_losses_total",
      "Times the connection to Asterisk was lost, or could not be made at the start.",
      counters.losses,
    ),
  ];
}

/** A sample for each feed: there are sixteen at most. */
function aboutLists({ listed }: StatusSource): Metric[] {
  const of = (
    name: string,
    type: Metric["type"],
    help: string,
    value: (state: ListState) => number,
  ): Metric => ({
    name,
    type,
    help,
    samples: listed.states.map((state) => [{ feed: state.name }, value(state)]),
  });
  return listed.states.length === 0 ? [] : [
    of("ampere_feed_entries", "gauge", "Entries of a list of attackers.", (one) => one.entries),
    of(
      "ampere_feed_left_out",
      "gauge",
      "Lines of a list that were left out.",
      ({ leftOut }) => leftOut,
    ),
    of(
      "ampere_feed_in_force",
      "gauge",
      "1 while the kernel refuses who is on a list.",
      ({ inForce }) => inForce ? 1 : 0,
    ),
    of(
      "ampere_feed_failing",
      "gauge",
      "1 while a list cannot be had, or was refused.",
      ({ trouble }) => trouble === undefined ? 0 : 1,
    ),
    of(
      "ampere_feed_fetched_timestamp_seconds",
      "gauge",
      "When a list was fetched last, in seconds since 1970; 0: never.",
      ({ fetchedAt = 0 }) => fetchedAt / 1000,
    ),
    of(
      "ampere_feed_refused_packets_total",
      "counter",
      "Packets that the kernel has refused for a list.",
      ({ packets }) => packets,
    ),
  ];
}

function aboutEvents({ counters, table }: StatusSource): Metric[] {
  return [
    {
      name: "ampere_security_events_total",
      type: "counter",
      help: "Security events of Asterisk.",
      samples: [...counters.events].map(([key, count]) => {
        const [kind = "", service = ""] = key.split(" ");
        return [{ kind, service }, count];
      }),
    },
    {
      name: "ampere_tampered_messages_total",
      type: "counter",
      help: "Messages that were not obeyed because Asterisk does not form them so.",
      samples: TAMPERED_REASONS.map((reason) => [
        { reason: reason.replaceAll(" ", "_") },
        counters.tampered.get(reason) ?? 0,
      ]),
    },
    counter("ampere_offences_total", "Times a host reached its limit.", counters.offences),
    counter(
      "ampere_late_attempts_total",
      "Failed attempts that were under way when their host was blocked.",
      counters.lateAttempts,
    ),
    {
      name: "ampere_exempt_failures_total",
      type: "counter",
      help: "Failed attempts of hosts that are never blocked.",
      samples: CAUSES.map((cause) => [
        { cause: cause.replaceAll(" ", "_") },
        counters.exemptFailures.get(cause) ?? 0,
      ]),
    },
    gauge("ampere_proxies", "Addresses that seem to hide many callers.", table.proxies),
    gauge(
      "ampere_accounts_guarded",
      "Accounts on which a stranger's first failure blocks, because many strangers fail.",
      table.guard.guarded,
    ),
    counter(
      "ampere_account_guards_total",
      "Times an account came under guard.",
      table.guard.begun,
    ),
    counter(
      "ampere_guard_blocks_total",
      "Strangers that went too far by failing on a guarded account.",
      table.guard.blocked,
    ),
    gauge(
      "ampere_slow_hosts",
      "Hosts without a login whose wrong passwords are remembered beyond forget.",
      table.slow.counted,
    ),
    counter(
      "ampere_slow_offences_total",
      "Hosts that went too far by guessing slowly.",
      table.slow.blocked,
    ),
    counter(
      "ampere_insiders_total",
      "Times that a host with a login failed on accounts of others too often in a day.",
      table.insiders.count,
    ),
    gauge("ampere_hosts_watched", "Hosts with penalties or open attempts.", table.size),
    gauge(
      "ampere_hosts_in_good_standing",
      "Hosts that logged in with a password.",
      table.standingSize,
    ),
    gauge("ampere_attempts_waiting", "Challenges that wait for their answer.", table.waiting),
    counter(
      "ampere_hosts_evicted_total",
      "Hosts that were forgotten for want of room.",
      table.evicted,
    ),
  ];
}

function aboutBlocks(source: StatusSource): Metric[] {
  const { counters, list, firewall, neighbourhoods, backend, config, dryRun } = source;
  const state = firewall.status();
  return [
    gauge("ampere_firewall_info", "How blocks are put into the kernel.", 1, {
      backend: backend.name,
      configured: backend.isAuto ? "auto" : backend.name,
      action: config.action,
    }),
    gauge("ampere_blocks", "Hosts and networks in the block list.", list.size),
    counter("ampere_blocks_added_total", "Blocks that Ampere decided.", counters.added),
    gauge(
      "ampere_networks_blocked",
      "Networks that are blocked for their hosts.",
      neighbourhoods.size,
    ),
    counter(
      "ampere_networks_blocked_total",
      "Times a network was blocked for its hosts.",
      counters.networksAdded,
    ),
    counter(
      "ampere_blocks_removed_total",
      "Blocks that ended or were deleted.",
      counters.removed,
    ),
    gauge("ampere_firewall_blocks", "Blocks that are in the kernel.", state.applied),
    {
      name: "ampere_firewall_failing",
      type: "gauge",
      help: "1 while the firewall does not take commands.",
      samples: state.families.map(({ family, failing }) => [
        { family: `ipv${family}` },
        failing ? 1 : 0,
      ]),
    },
    {
      name: "ampere_firewall_in_force",
      type: "gauge",
      help: "1 while blocks are in force for all packets of blocked hosts.",
      samples: state.families.map(({ family, judgement }) => [
        { family: String(family) },
        judgement?.inForce === "yes" && !dryRun ? 1 : 0,
      ]),
    },
    {
      name: "ampere_firewall_flushes_total",
      type: "counter",
      help: "Times others took blocks out of the firewall, or what holds them; all was put back.",
      samples: state.families.map(({ family, flushes }) => [{ family: String(family) }, flushes]),
    },
    gauge(
      "ampere_firewall_queue_length",
      "Changes that wait for the firewall.",
      state.queued + state.rejected,
    ),
    counter("ampere_firewall_commands_total", "Commands to the firewall.", state.commands),
    counter(
      "ampere_firewall_commands_failed_total",
      "Commands to the firewall that failed.",
      state.failures,
    ),
    gauge("ampere_database_changes_owed", "Changes not yet in the database.", list.pending),
    gauge(
      "ampere_database_failing",
      "1 while the database cannot be written.",
      list.trouble === undefined ? 0 : 1,
    ),
  ];
}

function aboutLogs({ logs }: StatusSource): Metric[] {
  if (logs === undefined) return [];
  const perFile = (value: (file: LogState) => number): Sample[] =>
    logs.files.map((file) => [{ log: file.path }, value(file)]);
  return [
    {
      name: "ampere_log_followed",
      type: "gauge",
      help: "1 while Asterisk's log can be read.",
      samples: perFile(({ trouble }) => trouble === undefined ? 1 : 0),
    },
    {
      name: "ampere_log_lines_total",
      type: "counter",
      help: "Lines of Asterisk's log that were read.",
      samples: perFile(({ lines }) => lines),
    },
    {
      name: "ampere_log_tampered_lines_total",
      type: "counter",
      help: "Lines of Asterisk's log that were not believed.",
      samples: perFile(({ tampered }) => tampered),
    },
    {
      name: "ampere_log_behind_bytes",
      type: "gauge",
      help: "Bytes of Asterisk's log that were not read yet.",
      samples: perFile(({ behind }) => behind),
    },
    {
      name: "ampere_log_charged_total",
      type: "counter",
      help: "Lines of Asterisk's log that were charged.",
      samples: [...logs.charged].map(([key, count]) => {
        const [kind = "", service = ""] = key.split(" ");
        return [{ kind, service }, count];
      }),
    },
    counter(
      "ampere_log_told_twice_total",
      "Lines of Asterisk's log that told what its manager interface, or another line, has told.",
      logs.dropped,
    ),
  ];
}

function aboutPlaces({ places, counters, newPlaces }: StatusSource): Metric[] {
  const files = places?.files;
  if (files === undefined) return [];
  const samples = (label: string, counts: ReadonlyMap<string, number>): Sample[] =>
    [...counts].map(([name, count]) => [{ [label]: name }, count]);
  return [
    {
      name: "ampere_place_file_in_order",
      type: "gauge",
      help: "1 while the file that knows where hosts are can be read.",
      samples: files.map(({ key, trouble }) => [{ file: key }, trouble === undefined ? 1 : 0]),
    },
    {
      name: "ampere_place_file_build_time_seconds",
      type: "gauge",
      help: "When the file in use was made, in seconds since 1970; 0 if none could be read.",
      samples: files.map(({ key, builtAt = 0 }) => [{ file: key }, builtAt / 1000]),
    },
    {
      name: "ampere_blocks_by_country_total",
      type: "counter",
      help: "Blocks that Ampere decided by country; beyond the first few dozen it is other.",
      samples: samples("country", counters.places.countries),
    },
    {
      name: "ampere_blocks_by_network_total",
      type: "counter",
      help: "The same by the number of the network (AS).",
      samples: samples("asn", counters.places.networks),
    },
    ...(newPlaces?.isOn !== true ? [] : [
      counter(
        "ampere_new_places_total",
        "Logins of accounts that always logged in from elsewhere.",
        newPlaces.count,
      ),
      gauge(
        "ampere_accounts_known",
        "Accounts of which it is known from where they log in.",
        newPlaces.accounts,
      ),
    ]),
  ];
}

function aboutFleet({ elsewhere }: StatusSource): Metric[] {
  const state = elsewhere?.state();
  if (state === undefined) return [];
  const { connectedSince, nodes, own, theirs, outbox, dropped, refusals, clockAhead } = state;
  return [
    gauge(
      "ampere_fleet_connected",
      "1 while blocks are shared through the engine.",
      connectedSince === undefined ? 0 : 1,
    ),
    gauge(
      "ampere_fleet_nodes",
      "PBXs that were heard of within a day, this one too.",
      nodes.length,
    ),
    gauge("ampere_fleet_own_blocks", "Blocks of this PBX that others are told of.", own),
    {
      name: "ampere_fleet_blocks",
      type: "gauge",
      help: "Blocks of other PBXs.",
      samples: [...theirs].map(([node, count]) => [{ node }, count]),
    },
    gauge("ampere_fleet_outbox", "Changes that are not sent yet.", outbox),
    counter("ampere_fleet_dropped_total", "Changes that found no place there.", dropped),
    {
      name: "ampere_fleet_refused_total",
      type: "counter",
      help: "Blocks of other PBXs that were not applied here.",
      samples: Object.entries(refusals).map(([why, count]) => [{ why }, count]),
    },
    gauge(
      "ampere_fleet_clock_ahead_seconds",
      "How much this machine's clock is ahead of the engine's.",
      clockAhead / 1000,
    ),
    gauge(
      "ampere_fleet_lag_seconds",
      "How long the engine's last answer took.",
      state.lagMs / 1000,
    ),
  ];
}

function aboutDeliveries(deliveries: DeliveryCounts | undefined): Metric[] {
  if (deliveries === undefined) return [];
  return [
    counter(
      "ampere_webhook_delivered_total",
      "Notices that the webhook took.",
      deliveries.delivered,
    ),
    counter(
      "ampere_webhook_dropped_total",
      "Notices that the webhook did not take.",
      deliveries.dropped,
    ),
  ];
}

/** Who is told, by the name of the section. */
function aboutMessengers(states: readonly MessengerState[]): Metric[] {
  if (states.length === 0) return [];
  const of = (
    name: string,
    type: Metric["type"],
    help: string,
    value: (state: MessengerState) => number,
  ): Metric => ({
    name,
    type,
    help,
    samples: states.map((state) => [{ notify: state.name }, value(state)]),
  });
  return [
    of(
      "ampere_notify_delivered_total",
      "counter",
      "Messages that a receiver took.",
      ({ delivered }) => delivered,
    ),
    of(
      "ampere_notify_dropped_total",
      "counter",
      "Events that a receiver was not told of.",
      ({ dropped }) => dropped,
    ),
    of(
      "ampere_notify_failing",
      "gauge",
      "1 if a receiver did not take the last message that was tried.",
      ({ trouble }) => trouble === undefined ? 0 : 1,
    ),
  ];
}

function gauge(name: string, help: string, value: number, labels: Labels = {}): Metric {
  return { name, type: "gauge", help, samples: [[labels, value]] };
}

function counter(name: string, help: string, value: number): Metric {
  return { name, type: "counter", help, samples: [[{}, value]] };
}

function formatMetric({ name, type, help, samples }: Metric): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n` +
    samples.map(([labels, value]) => formatSample(name, labels, value)).join("");
}

function formatHistogram(name: string, help: string, histogram: Histogram): string {
  let below = 0;
  const buckets = histogram.counts.map((count, i) => {
    below += count;
    const bound = LATENCY_BOUNDS[i];
    return formatSample(
      `${name}_bucket`,
      { le: bound === undefined ? "+Inf" : String(bound) },
      below,
    );
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${buckets.join("")}` +
    formatSample(`${name}_sum`, {}, histogram.sum) +
    formatSample(`${name}_count`, {}, histogram.count);
}

function formatSample(name: string, labels: Labels, value: number): string {
  const text = Object.entries(labels).map(([key, label]) => `${key}="${escapeLabel(label)}"`);
  return `${name}${text.length === 0 ? "" : `{${text.join(",")}}`} ${value}\n`;
}

function escapeLabel(label: string): string {
  return label.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/**
 * Serves `GET /metrics`, and nothing else.
 *
 * @param where Address and port.
 * @param metrics Makes the text for each request.
 * @returns The server; stop it at the end.
 * @throws {Error} When the address cannot be listened on.
 */
export function serveMetrics(where: ListenAddress, metrics: () => string): Promise<BoundedServer> {
  return BoundedServer.listen({ host: where.hostname, port: where.port }, {
    connectionsMax: CONNECTIONS_MAX,
    connectionMs: CONNECTION_MS,
    serve: (connection) => void answer(connection, metrics),
  });
}

/** Reads the head of a request, and answers it. */
async function answer(connection: ServedConnection, metrics: () => string): Promise<void> {
  const decoder = new TextDecoder();
  let request = "";
  for (;;) {
    const bytes = await connection.read();
    if (bytes === null) return connection.destroy();
    request += decoder.decode(bytes, { stream: true });
    const end = request.search(/\r?\n\r?\n/);
    const tooLong = (end < 0 ? request.length : end) > REQUEST_CHARACTERS_MAX;
    if (!tooLong && end < 0) continue;
    void connection.write(respond(tooLong ? "" : request, metrics));
    return await connection.end();
  }
}

function respond(request: string, metrics: () => string): string {
  const [, method, path] = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r?\n/.exec(request) ?? [];
  if (method === undefined || path === undefined) {
    return response("400 Bad Request", "This is no HTTP request.\n");
  }
  const withBody = method !== "HEAD";
  if (method !== "GET" && method !== "HEAD") {
    return response(
      "405 Method Not Allowed",
      "Only GET and HEAD.\n",
      withBody,
      "Allow: GET, HEAD\r\n",
    );
  }
  if (path.split("?")[0] !== "/metrics") {
    return response("404 Not Found", "Only /metrics is here.\n", withBody);
  }
  return response("200 OK", metrics(), withBody);
}

function response(status: string, body: string, withBody = true, headers = ""): string {
  const length = new TextEncoder().encode(body).length;
  return `HTTP/1.1 ${status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n` +
    `Content-Length: ${length}\r\n${headers}Connection: close\r\n\r\n${withBody ? body : ""}`;
}
