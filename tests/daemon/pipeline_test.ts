/** The way of the data: event, charge, offence, block, firewall. */

import assert from "node:assert/strict";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { ADDRESS, withDaemon } from "../support/daemons.ts";
import { until } from "../support/namespace.ts";

Deno.test("pipeline: in a dry run the log says what would be done", async () => {
  await withDaemon({}, async (daemon, asterisk, _notices, lines) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
    await until("the host would be blocked", () => daemon.list.size === 1);
    assert.ok(
      lines.some((line) =>
        line.startsWith(`info: dry run: would block ${ADDRESS} until `) &&
        line.endsWith("(in doubt: its address can be forged)")
      ),
      lines.join("\n"),
    );
  }, true);
});

Deno.test("pipeline: a phone that answers fifteen times at once is blocked for a minute, not for its haste", async () => {
  await withDaemon({}, async (daemon, asterisk, notices) => {
    const session = "call-of-the-phone";
    const answers = Array.from({ length: 15 }, () => wrongAnswer(ADDRESS, { session }));
    await asterisk.send(answers.join(""));
    await until("the host is blocked", () => daemon.list.size === 1);
    const block = notices.find((notice) => notice.event === "block");
    assert.equal(Date.parse(block!.until!) - Date.parse(block!.time), 60_000);
    assert.match(block!.reason, /^3 wrong passwords .* \(in doubt/);
  });
});
