import assert from "node:assert/strict";
import { connect } from "node:net";
import { Counters } from "../../src/telemetry/counters.ts";
import {
  CONNECTIONS_MAX,
  formatMetrics,
  REQUEST_CHARACTERS_MAX,
  serveMetrics,
} from "../../src/telemetry/metrics.ts";
import { until } from "../support/namespace.ts";
import { LOGS, source } from "../support/status_source.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };

/** The values of a text of metrics, by name and labels. */
function valuesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const at = line.lastIndexOf(" ");
    return [line.slice(0, at), Number(line.slice(at + 1))];
  }));
}

function hasPromtool(): boolean {
  try {
    return new Deno.Command("promtool", { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

async function promtool(text: string): Promise<{ code: number; said: string }> {
  const child = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
}

const PROMTOOL = hasPromtool();

Deno.test({
  name: `metrics: promtool finds nothing to complain of${
    PROMTOOL ? "" : " (left out: promtool is not installed)"
  }`,
  ignore: !PROMTOOL,
  fn: async () => {
    for (
      const [daemon, webhook] of [
        [source(), undefined],
        [source({ connected: false, trouble: "full", failing: true }), {
          delivered: 3,
          dropped: 1,
        }],
        [{ ...source(), counters: new Counters() }, undefined],
      ] as const
    ) {
      assert.deepEqual(await promtool(formatMetrics(daemon, webhook)), { code: 0, said: "" });
    }
    // That promtool can complain at all.
    assert.notEqual((await promtool("# TYPE Bad_total gauge\nBad_total 1\n")).said, "");
  },
});

Deno.test("metrics: the values are those of the daemon", () => {
  const values = valuesOf(
    formatMetrics(source({ failing: true, trouble: "full" }), { delivered: 5, dropped: 1 }),
  );
  const expected: Record<string, number> = {
    'ampere_security_events_total{kind="ChallengeSent",service="PJSIP"}': 3,
    'ampere_security_events_total{kind="InvalidPassword",service="SIP"}': 1,
    'ampere_tampered_messages_total{reason="forged_end"}': 2,
    'ampere_tampered_messages_total{reason="malformed"}': 0,
    ampere_offences_total: 3,
    ampere_blocks: 2,
    ampere_blocks_added_total: 2,
    ampere_blocks_removed_total: 0,
    ampere_firewall_commands_total: 7,
    ampere_firewall_commands_failed_total: 3,
    ampere_firewall_queue_length: 1,
    'ampere_firewall_failing{family="ipv4"}': 1,
    'ampere_firewall_in_force{family="4"}': 0,
    ampere_database_changes_owed: 4,
    ampere_database_failing: 1,
    ampere_ami_connected: 1,
    ampere_ami_logins_total: 3,
    ampere_ami_losses_total: 2,
    ampere_hosts_watched: 4,
    ampere_webhook_delivered_total: 5,
    ampere_webhook_dropped_total: 1,
    'ampere_block_duration_seconds_bucket{le="0.001"}': 1,
    'ampere_block_duration_seconds_bucket{le="0.004"}': 3,
    'ampere_block_duration_seconds_bucket{le="5"}': 3,
    'ampere_block_duration_seconds_bucket{le="+Inf"}': 4,
    ampere_block_duration_seconds_count: 4,
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(values.get(name), value, name);
  assert.ok(Math.abs(values.get("ampere_block_duration_seconds_sum")! - 7.0065) < 1e-9);
  assert.equal(
    valuesOf(formatMetrics(source({ connected: false }))).get("ampere_ami_connected"),
    0,
  );
  assert.equal(valuesOf(formatMetrics(source())).has("ampere_webhook_delivered_total"), false);
});

Deno.test("metrics: of each who is told it is told apart whether that works", () => {
  const state = {
    name: "mail",
    format: "email",
    delivered: 3,
    dropped: 2,
    waiting: 0,
    lastAt: undefined,
    trouble: { why: "connection refused" },
  } as const;
  const chat = { ...state, name: "chat", trouble: undefined };
  const text = formatMetrics(source(), undefined, [state, chat]);
  const values = valuesOf(text);
  assert.equal(values.get('ampere_notify_delivered_total{notify="mail"}'), 3);
  assert.equal(values.get('ampere_notify_dropped_total{notify="mail"}'), 2);
  assert.equal(values.get('ampere_notify_failing{notify="mail"}'), 1);
  assert.equal(values.get('ampere_notify_failing{notify="chat"}'), 0);
  assert.doesNotMatch(formatMetrics(source()), /ampere_notify/);
});

Deno.test("metrics: GET and HEAD of /metrics, and nothing else", async () => {
  const server = await serveMetrics(LOCAL, () => "ampere_blocks 2\n");
  const url = `http://127.0.0.1:${server.port}`;
  const said = async (path: string, init?: RequestInit) => {
    const response = await fetch(url + path, init);
    return [response.status, await response.text(), response.headers.get("content-type")];
  };
  try {
    const type = "text/plain; version=0.0.4; charset=utf-8";
    assert.deepEqual(await said("/metrics"), [200, "ampere_blocks 2\n", type]);
    assert.deepEqual(await said("/metrics?x=1"), [200, "ampere_blocks 2\n", type]);
    assert.deepEqual(await said("/metrics", { method: "HEAD" }), [200, "", type]);
    assert.equal((await said("/"))[0], 404);
    assert.equal((await said("/metrics/x"))[0], 404);
    assert.equal((await said("/metrics", { method: "POST", body: "x".repeat(100_000) }))[0], 405);
  } finally {
    await server.stop();
  }
});

/** Sends text as it is; what comes back until the server closes. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(text));
    socket.on("data", (chunk: Uint8Array) => answer += new TextDecoder().decode(chunk));
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

Deno.test("metrics: requests in pieces, without end, of nonsense", async () => {
  const server = await serveMetrics(LOCAL, () => "ampere_blocks 2\n");
  try {
    assert.match(await raw(server.port, "GET /metrics HTTP/1.0\n\n"), /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(await raw(server.port, "\0\0\0\r\n\r\n"), /^HTTP\/1\.1 400 /);
    assert.match(
      await raw(server.port, "G".repeat(REQUEST_CHARACTERS_MAX + 1)),
      /^HTTP\/1\.1 400 /,
    );
    const whole = new Promise<string>((resolve) => {
      let answer = "";
      const socket = connect({ port: server.port, host: "127.0.0.1" });
      socket.on("data", (chunk: Uint8Array) => answer += new TextDecoder().decode(chunk));
      socket.on("close", () => resolve(answer));
      const parts = ["GET /me", "trics HTTP/1.1\r\nHost: x\r\n", "\r", "\n"];
      const send = () => {
        const part = parts.shift();
        if (part !== undefined) socket.write(part, () => setTimeout(send, 1));
      };
      socket.on("connect", send);
    });
    assert.match(await whole, /ampere_blocks 2\n$/);
  } finally {
    await server.stop();
  }
});

Deno.test("metrics: connections that say nothing hold few places, and not for long", async () => {
  const server = await serveMetrics(LOCAL, () => "ampere_blocks 2\n");
  const silent = Array.from(
    { length: 3 * CONNECTIONS_MAX },
    () => connect({ port: server.port, host: "127.0.0.1" }),
  );
  let closed = 0;
  for (const socket of silent) socket.on("error", () => {}).on("close", () => closed++).resume();
  await until("those beyond the bound are closed", () => closed === 2 * CONNECTIONS_MAX);
  assert.equal(server.connections, CONNECTIONS_MAX);
  await until("the others are closed after their time", () => closed === silent.length);
  assert.match(await raw(server.port, "GET /metrics HTTP/1.0\r\n\r\n"), /200 OK/);
  await server.stop();
});

Deno.test("metrics: the Grafana dashboard asks only for metrics that there are", async () => {
  const path = new URL("../../packaging/grafana-dashboard.json", import.meta.url);
  const dashboard = JSON.parse(await Deno.readTextFile(path));
  const text = formatMetrics(source(), { delivered: 0, dropped: 0 });
  const names = new Set([...valuesOf(text).keys()].map((name) => name.split("{")[0]!));
  const queries: string[] = dashboard.panels.flatMap((panel: { targets?: { expr: string }[] }) =>
    (panel.targets ?? []).map(({ expr }) => expr)
  );
  assert.ok(queries.length > 8);
  for (const query of queries) {
    const asked = query.match(/ampere_\w+/g) ?? [];
    assert.ok(asked.length > 0, query);
    for (const name of asked) assert.ok(names.has(name), `${query}: there is no ${name}`);
  }
});

Deno.test("metrics: each log that is followed, and what was charged; without any, nothing", () => {
  assert.doesNotMatch(formatMetrics(source()), /ampere_log_/);
  const values = valuesOf(formatMetrics({ ...source(), logs: LOGS }));
  const of = (name: string) => values.get(name);
  assert.equal(of('ampere_log_followed{log="/var/log/asterisk/messages"}'), 1);
  assert.equal(of('ampere_log_followed{log="/var/log/asterisk/security"}'), 0);
  assert.equal(of('ampere_log_lines_total{log="/var/log/asterisk/messages"}'), 1_234);
  assert.equal(of('ampere_log_tampered_lines_total{log="/var/log/asterisk/messages"}'), 2);
  assert.equal(of('ampere_log_behind_bytes{log="/var/log/asterisk/messages"}'), 4_096);
  assert.equal(of('ampere_log_charged_total{kind="FailedACL",service="PJSIP"}'), 7);
  assert.equal(of("ampere_log_told_twice_total"), 40);
});
