/** What the daemon tells the outside: notices, the hosts under suspicion, the status. */

import assert from "node:assert/strict";
import { formatMetrics } from "../../src/telemetry/metrics.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { ADDRESS, withDaemon } from "../support/daemons.ts";
import { until } from "../support/namespace.ts";

Deno.test("reports: attempts under way when a host was blocked are counted and told", async () => {
  await withDaemon({}, async (daemon, asterisk, _notices, lines) => {
    await asterisk.send(Array.from({ length: 10 }, () => wrongAnswer(ADDRESS)).join(""));
    await until(
      "they are told",
      () => lines.some((line) => line.includes("under way when it was")),
    );
    assert.ok(
      lines.some((line) =>
        line.startsWith(`info: ${ADDRESS} had 7 more failed attempts under way`)
      ),
      lines.join("\n"),
    );
    assert.equal(daemon.counters.lateAttempts, 7);
    assert.equal(statusOf(daemon, Date.now()).events.late, 7);
    assert.match(formatMetrics(daemon), /^ampere_late_attempts_total 7$/m);
  });
});

Deno.test("reports: failures behind an address that is never blocked are counted by cause, and told with what helps", async () => {
  await withDaemon({ trust: ["198.51.100.7"] }, async (daemon, asterisk, _notices, lines) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer("127.0.0.1"));
    await asterisk.send(wrongAnswer("198.51.100.7"));
    await until("all is read", () => daemon.counters.eventsTotal >= 4);
    await until(
      "it is told",
      () => lines.some((line) => line.includes("which is never blocked")),
      15_000,
    );
    assert.deepEqual(Object.fromEntries(daemon.counters.exemptFailures), {
      loopback: 3,
      trusted: 1,
    });
    const told = lines.filter((line) => line.includes("which is never blocked"));
    assert.equal(told.length, 2);
    assert.match(
      told[0]!,
      /^warn: 3 failed logins from 127\.0\.0\.1, .*\(loopback\).*host networking/,
    );
    assert.ok(!/trust =/.test(told.join()), "to trust a proxy is never the advice");
    assert.match(formatMetrics(daemon), /^ampere_exempt_failures_total\{cause="loopback"\} 3$/m);
    assert.deepEqual(statusOf(daemon, Date.now()).events.exemptFailures, {
      loopback: 3,
      trusted: 1,
    });
  });
});
