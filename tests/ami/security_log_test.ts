/** Lines of Asterisk's security log. */

import assert from "node:assert/strict";
import { EventReader } from "../../src/ami/event_reader.ts";
import { looksLikeSecurityLog, SecurityLogReader } from "../../src/ami/security_log.ts";
import { bytesOf } from "../support/asterisk_events.ts";
import { recording } from "../support/recordings.ts";
import { textOf, toLog } from "../support/replays.ts";

const STAMP = `"2026-11-22T08:09:09.918+0000"`;
const SIP_LINE =
  `[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: SecurityEvent="InvalidPassword",` +
  `EventTV=${STAMP},Severity="Error",Service="SIP",EventVersion="2",AccountID="ACCOUNT",SessionID="0x7f1904001680",` +
  `LocalAddress="IPV4/UDP/192.0.2.10/5060",RemoteAddress="IPV4/UDP/203.0.113.5/5060",Challenge="1a2b3c4d",` +
  `ReceivedChallenge="1a2b3c4d",ReceivedHash="0123456789abcdef0123456789abcdef"\n`;

function readLog(text: string, pieces = 7) {
  const events: string[] = [];
  const tampered: string[] = [];
  const reader = new SecurityLogReader({
    event: (event, verdict) =>
      events.push(`${verdict} ${event.kind} ${event.service} ${event.address} ${event.account}`),
    tampered: (what) => tampered.push(what),
  });
  const bytes = bytesOf(text);
  for (let at = 0; at < bytes.length; at += pieces) reader.push(bytes.slice(at, at + pieces));
  reader.end();
  return { events, tampered, lines: reader.lines };
}

Deno.test("security log: all forms of the beginning of a line", () => {
  const event = SIP_LINE.slice(SIP_LINE.indexOf("SecurityEvent="));
  for (
    const start of [
      "[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: ",
      "[Nov 22 08:09:09] SECURITY[1234] res_security_log.c: ",
      "[2026-11-22 08:09:09.918] SECURITY[1234][C-0000002a] res_security_log.c: ",
      "Nov 22 08:09:09 pbx asterisk[99]: SECURITY[1234]: res_security_log.c:114 in security_event_stasis_cb: ",
      "SECURITY[1234]: res_security_log.c:114 in security_event_stasis_cb: ",
    ]
  ) {
    assert.ok(looksLikeSecurityLog(start + event));
    assert.deepEqual(readLog(start + event).events, [
      "security InvalidPassword SIP 203.0.113.5 ACCOUNT",
    ], start);
  }
  assert.deepEqual(readLog(`[date] NOTICE[1] chan_sip.c: ${event}`).events, []);
  assert.deepEqual(readLog(SIP_LINE.trimEnd()).events.length, 1, "without the last line end");
});

Deno.test("security log: quotes, and elements, in an account name are not believed", () => {
  const line = (account: string) => SIP_LINE.replace("ACCOUNT", () => account);
  assert.deepEqual(readLog(line('a"b')).events, ['security InvalidPassword SIP 203.0.113.5 a"b']);
  // Another's address in front of the true one: charged to the sender, at most.
  const forged = readLog(
    line('x",SessionID="1",LocalAddress="IPV4/UDP/1.2.3.4/1",RemoteAddress="IPV4/UDP/9.9.9.9/5'),
  );
  assert.ok(
    forged.events.every((event) => !event.includes("9.9.9.9") && !event.startsWith("security")),
  );
  const unknown = readLog(line('x",Evil="1'));
  assert.ok(unknown.events.every((event) => !event.startsWith("security")));
});

Deno.test("security log: a line end in an account name cannot make somebody else's event", () => {
  const line = (account: string) => SIP_LINE.replace("ACCOUNT", () => account);
  const end =
    '",SessionID="0x1",LocalAddress="IPV4/UDP/192.0.2.10/5060",RemoteAddress="IPV4/UDP/9.9.9.9/5",' +
    'Challenge="",ReceivedChallenge="",ReceivedHash=""';
  // The true head with a forged end, and the true end behind it as a line of its own.
  for (const account of [`x${end}\n`, `x${end}\r\n`, `x${end}\ny`, `x${end}\n\n\n`]) {
    const { events, tampered } = readLog(line(account));
    assert.ok(events.every((event) => !event.includes("9.9.9.9")), `${events}`);
    assert.ok(tampered.length > 0);
  }
  // A cut line alone is nothing but a wrong answer of its sender.
  assert.deepEqual(readLog(line("x\n")).events, ["doubled RefusedMessage SIP 203.0.113.5 "]);
  // The next true event is read again.
  const after = readLog(line(`x${end}\n`) + SIP_LINE);
  assert.deepEqual(after.events, [
    "doubled RefusedMessage SIP 203.0.113.5 ",
    "security InvalidPassword SIP 203.0.113.5 ACCOUNT",
  ]);
});

Deno.test("security log: a line without end is skipped in bounded memory", () => {
  const { events, tampered } = readLog("x".repeat(1_000_000) + "\n" + SIP_LINE, 4_096);
  assert.deepEqual(events.length, 1);
  assert.deepEqual(tampered, ["oversized"]);
});

Deno.test("security log: events of AMI and of the log are judged alike", () => {
  const ami: string[] = [];
  const reader = new EventReader({
    event: (event, verdict) =>
      ami.push(`${verdict} ${event.kind} ${event.service} ${event.address} ${event.account}`),
    response: () => {},
    banner: () => {},
    tampered: () => {},
  });
  const { bytes } = recording("ami-wrong-login.ami");
  reader.push(bytes);
  reader.end();
  assert.deepEqual(readLog(toLog(textOf(bytes))).events, ami);
});
