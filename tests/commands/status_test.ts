/** The status as people read it. */

import assert from "node:assert/strict";
import { formatStatus } from "../../src/commands/status.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import { PLAIN } from "../../src/text/table.ts";
import { LOGS, NOW, source } from "../support/status_source.ts";

Deno.test("status: troubles are told in words", () => {
  const daemon = source({ connected: false, trouble: "full", failing: true });
  const text = formatStatus(statusOf(daemon, NOW), NOW, PLAIN);
  assert.match(
    text,
    /^Asterisk +not connected to 127\.0\.0\.1:5038 as "ampere", lost 2 times; see the log, or ampere --check$/m,
  );
  assert.match(
    text,
    /^Firewall +failing: iptables, chain ampere, 1 block in the kernel, 1 change waiting, 3 of 7 commands failed$/m,
  );
  assert.match(
    text,
    /^ +IPv4: blocks are not in force: there is no chain "ampere"\. Fix: iptables -N ampere/m,
  );
  assert.equal(text.match(/there is no chain/g)?.length, 1, "and that once");
  assert.match(text, /^Database +full: \/var\/lib\/ampere\/ampere\.db, 4 changes kept in memory/m);
});

Deno.test("status: the tables, exactly", () => {
  const text = formatStatus(statusOf(source(), NOW), NOW, PLAIN);
  const tables = text.slice(text.indexOf("\nMost"));
  const local = (ms: number) => {
    const at = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
    return at.toISOString().slice(0, 19).replace("T", " ");
  };
  assert.equal(
    tables,
    `
Most penalised, not blocked yet
host           points  last seen  attempts
198.51.100.7  9 of 15    5 s ago  1 wrong password and 1 unanswered challenge, 2 under way

Last blocks
host               since                until                reason
2001:db8:bad::/64  ${
      local(NOW - 60_000)
    }  for ever             3 wrong passwords, last account "\\x1b[2J"
203.0.113.5        ${local(NOW - 120_000)}  ${local(NOW + 600_000)}  added by hand
`,
  );
});

Deno.test("status: what a dry run would have blocked is not told as blocked", () => {
  const status = statusOf(source(), NOW);
  assert.match(formatStatus(status, NOW, PLAIN), /^Firewall .* blocks? in the kernel/m);
  const dry = formatStatus({ ...status, dryRun: true }, NOW, PLAIN);
  assert.match(dry, /^Firewall .* blocks? would be in the kernel/m);
});

Deno.test("status: a hostile account name cannot reach the terminal", () => {
  const text = formatStatus(statusOf(source(), NOW), NOW, PLAIN);
  // deno-lint-ignore no-control-regex -- this is what must not be there
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f]/);
});

Deno.test("status: the logs that are followed, what came of them, and why one is not", () => {
  const daemon = { ...source(), logs: LOGS };
  const text = formatStatus(statusOf(daemon, NOW), NOW, PLAIN);
  assert.match(
    text,
    /^Log +followed: \/var\/log\/asterisk\/messages, 1,234 lines, 2 not believed, 4,096 bytes behind$/m,
  );
  assert.match(
    text,
    /^ +not followed: \/var\/log\/asterisk\/security may not be read\. Fix: systemctl edit ampere$/m,
  );
  assert.match(
    text,
    /^ +charged: 7 FailedACL PJSIP, 1 InvalidPassword IAX2; 40 lines told what was told already$/m,
  );
  assert.doesNotMatch(formatStatus(statusOf(source(), NOW), NOW, PLAIN), /^Log/m);
});

Deno.test("status: without AMI that is no trouble", () => {
  const daemon = source({ connected: false });
  const config = { ...daemon.config, host: "none" };
  const text = formatStatus(statusOf({ ...daemon, config, logs: LOGS }, NOW), NOW, PLAIN);
  assert.match(text, /^Asterisk +its manager interface is not used \(host = none\)$/m);
});
