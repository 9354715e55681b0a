/** What is told of messages that are no security events, and what is not. */

import assert from "node:assert/strict";
import { Messages } from "../../src/daemon/messages.ts";
import { Counters } from "../../src/telemetry/counters.ts";
import { bytesOf, wrongAnswer } from "../support/asterisk_events.ts";
import { ADDRESS, withAsterisk, withDaemon } from "../support/daemons.ts";
import { logWithLines } from "../support/log_lines.ts";
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

function messagesWith(level: "info" | "debug" = "info") {
  const { log, lines } = logWithLines(level);
  const counters = new Counters();
  return { messages: new Messages(log, counters), counters, lines };
}

/** Hands a text over as the reader does: somewhere in a buffer. */
function within(
  text: string,
  hand: (buffer: Uint8Array, start: number, end: number) => void,
): void {
  hand(bytesOf(`before${text}behind`), 6, 6 + text.length);
}

Deno.test("messages: tampered ones are counted by kind, and told once a minute, escaped and cut", () => {
  const { messages, counters, lines } = messagesWith();
  const text = "Event: x\r\n\x1b[31m" + "y".repeat(500);
  for (let i = 0; i < 5; i++) {
    within(text, (...at) => messages.onTampered("malformed", ...at));
  }
  messages.onTampered("oversized", new Uint8Array(), 0, 0);
  assert.deepEqual([...counters.tampered], [["malformed", 5], ["oversized", 1]]);
  assert.equal(lines.length, 2, lines.join("\n"));
  assert.match(
    lines[0]!,
    /^warn: tampered: .* \(1 since the start\): "Event: x\\x0d\\x0a\\x1b\[31my+…"$/,
  );
  assert.ok(lines[0]!.length < 400, lines[0]);
  assert.match(lines[1]!, /was skipped \(1 since the start\)$/);
});

Deno.test("messages: Asterisk's end is told from its restart, and other events are not told", () => {
  for (const [restart, told] of [["False", "shuts down"], ["True", "restarts"]] as const) {
    const { messages, lines } = messagesWith();
    for (const name of ["ShutdownX", "Success", "FullyBooted"]) {
      within(`Event: ${name}\r\nRestart: ${restart}\r\n`, messages.onOther);
    }
    assert.deepEqual(lines, []);
    within(`Event: Shutdown\r\nShutdown: Cleanly\r\nRestart: ${restart}\r\n`, messages.onOther);
    assert.deepEqual(lines, [`info: Asterisk says that it ${told}`]);
  }
});

Deno.test("messages: -v shows what is received, but no entry of a list, which may hold a password", () => {
  const { messages, lines } = messagesWith("debug");
  within(
    "Event: AuthDetail\r\nPassword: sesame\r\n",
    (...at) => messages.onMessage("response", ...at),
  );
  within("Response: Success\r\n", (...at) => messages.onMessage("response", ...at));
  within(
    "Event: A\r\nExpectedResponse: 1\r\nExpectedResponse: 2\r\n",
    (...at) => messages.onMessage("security", ...at),
  );
  assert.deepEqual(lines, [
    "debug: received an entry of a list (not shown)",
    'debug: received (response): "Response: Success\\x0d\\x0a"',
    'debug: received (security): "Event: A\\x0d\\x0aExpectedResponse: (not shown)\\x0d\\x0aExpectedResponse: (not shown)\\x0d\\x0a"',
  ]);
});
