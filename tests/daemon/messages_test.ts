/** What is told of messages that are no security events, and what is not. */

import assert from "node:assert/strict";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { ADDRESS, withAsterisk, withDaemon } from "../support/daemons.ts";
import { until } from "../support/namespace.ts";

Deno.test("messages: a stranger who writes Shutdown cannot fill the log", async () => {
  await withDaemon({}, async (daemon, asterisk, _notices, lines) => {
    const shutdown =
      "Event: Shutdown\r\nPrivilege: system,all\r\nShutdown: Cleanly\r\nRestart: False\r\n\r\n";
    await asterisk.send(shutdown.repeat(100) + wrongAnswer(ADDRESS));
    await until("all is read", () => daemon.counters.events.has("ChallengeResponseFailed PJSIP"));
    assert.equal(lines.filter((line) => line.includes("shuts down")).length, 1);
  });
});

Deno.test("messages: -v does not show the hash that Asterisk expected, which is as good as the password", async () => {
  await withAsterisk({ verbose: true }, async (_daemon, asterisk, lines) => {
    const hash = "d4b6de15c25c11a8107855eb62db3bc6";
    const failed = (account: string) =>
      wrongAnswer(ADDRESS, {
        kind: "ChallengeResponseFailed",
        service: "AMI",
        account,
        tail: [["Challenge", "142857"], ["Response", "f00"], ["ExpectedResponse", hash]],
      });
    // The second one has such a line of a stranger, too.
    await asterisk.send(failed("boss") + failed("boss\r\nExpectedResponse: x"));
    const shown = () => lines.filter((line) => line.includes("142857"));
    await until("both are read", () => shown().length >= 2);
    for (const line of shown()) assert.match(line, /ExpectedResponse: \(not shown\)/);
    assert.ok(lines.every((line) => !line.includes(hash)), lines.join("\n"));
  });
});
