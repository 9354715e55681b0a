/** Lines of Asterisk's log: security events, and other refusals. */

import assert from "node:assert/strict";
import { EventReader } from "../../src/ami/event_reader.ts";
import { SecurityLogReader } from "../../src/ami/security_log.ts";
import { bytesOf } from "../support/asterisk_events.ts";
import { fileLine, FORMS, LINE_KINDS, securityMessage } from "../support/log_text.ts";
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
  const told: string[] = [];
  const tampered: string[] = [];
  const reader = new SecurityLogReader({
    event: (event, verdict) =>
      events.push(`${verdict} ${event.kind} ${event.service} ${event.address} ${event.account}`),
    notice: (event, what) =>
      told.push(`${what} ${event.kind} ${event.service} ${event.address} ${event.account}`),
    tampered: (what) => tampered.push(what),
  });
  const bytes = bytesOf(text);
  for (let at = 0; at < bytes.length; at += pieces) reader.push(bytes.slice(at, at + pieces));
  reader.end();
  return { events, told, tampered, lines: reader.lines, findings: reader.findings };
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
    assert.deepEqual(readLog(start + event).events, [
      "security InvalidPassword SIP 203.0.113.5 ACCOUNT",
    ], start);
  }
  assert.deepEqual(readLog(`[date] NOTICE[1] chan_sip.c: ${event}`).events, []);
  assert.deepEqual(readLog(SIP_LINE.trimEnd()).events.length, 1, "without the last line end");
});

Deno.test("security log: what syslog says came again counts each time", () => {
  const at = "Nov 22 08:09:09 pbx";
  const notice =
    "NOTICE[12]: chan_sip.c:1 in f: Registration from 'a <sip:100@192.0.2.1>' failed " +
    "for '203.0.113.5:5071' - Wrong password";
  const event = `SECURITY[12]: res_security_log.c:1 in f: ${
    SIP_LINE.slice(SIP_LINE.indexOf("SecurityEvent=")).trimEnd()
  }`;
  for (const said of [notice, event]) {
    const inBrackets = readLog(
      `${at} asterisk[9]: ${said}\n${at} asterisk[9]: message repeated 40 times: [ ${said}]\n`,
    );
    const asLast = readLog(`${at} asterisk[9]: ${said}\n${at} last message repeated 40 times\n`);
    for (const { events, told, tampered } of [inBrackets, asLast]) {
      assert.deepEqual([events.length + told.length, new Set([...events, ...told]).size], [41, 1]);
      assert.deepEqual(tampered, []);
    }
    const many = readLog(`${at} asterisk[9]: message repeated 999999999 times: [ ${said}]\n`, 4096);
    assert.equal(many.events.length + many.told.length, 10_000);
  }
  // Only right behind it, and not behind what a stranger's line end could have ended.
  const far = readLog(
    `${at} asterisk[9]: ${notice}\n${at} sshd[7]: hello\n${at} last message repeated 40 times\n`,
  );
  assert.equal(far.told.length, 1);
  const torn = readLog(
    `[Nov 22 08:09:09] ${event.replace(":1 in f", "")}\n${at} last message repeated 40 times\n`,
  );
  assert.equal(torn.events.length, 1);
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

Deno.test("security log: all forms in which people have it", () => {
  for (const [form, print] of Object.entries(FORMS)) {
    for (const end of ["\n", "\r\n"]) {
      const said = {
        level: "SECURITY",
        file: "res_security_log.c",
        message: securityMessage("203.0.113.5", { account: "a'b" }),
      };
      const { events, tampered } = readLog(print(said) + end);
      assert.deepEqual(
        [events, tampered],
        [["security ChallengeResponseFailed PJSIP 203.0.113.5 a'b"], []],
        form,
      );
    }
  }
});

Deno.test("security log: lines of refusals, in all forms", () => {
  const said = LINE_KINDS.find(({ name }) => name === "chan_sip call")!.print("203.0.113.5");
  for (const [form, print] of Object.entries(FORMS)) {
    const { told } = readLog(`${print(said)}\n`);
    assert.deepEqual(told, ["notice FailedACL SIP 203.0.113.5 00972595550100"], form);
  }
});

Deno.test("security log: quotes and elements in a Call-ID name nobody else", () => {
  const session = 'x",LocalAddress="IPV4/UDP/192.0.2.10/5060",RemoteAddress="IPV4/UDP/192.0.2.9/5';
  const line = `[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: ` +
    securityMessage("203.0.113.5", { session }).replace(/,Challenge=.*/, "")
      .replace("ChallengeResponseFailed", "InvalidAccountID");
  assert.deepEqual(readLog(`${line}\n`).events, [
    "security InvalidAccountID PJSIP 203.0.113.5 100",
  ]);
  // Where a stranger writes behind the address too, nobody is named.
  const { events, tampered } = readLog(
    `[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: ` +
      `${securityMessage("203.0.113.5", { session })}\n`,
  );
  assert.deepEqual(events, []);
  assert.deepEqual(tampered, ["malformed"]);
});

Deno.test("security log: behind a line that was cut nothing is believed for a while", () => {
  const kind = (name: string) => LINE_KINDS.find((kind) => kind.name === name)!.print;
  const call = (extension: string) => fileLine(kind("chan_sip call")("203.0.113.5", { extension }));
  const registration = fileLine({
    ...kind("Registration - Wrong password")("192.0.2.9"),
    thread: "77",
  });
  const security = `[2026-11-22 08:09:09] SECURITY[77] res_security_log.c: ` +
    `${securityMessage("192.0.2.9")}\n`;
  const after = fileLine({ file: "x.c", message: "y".repeat(120) }).repeat(10);
  const true_ = fileLine(kind("Registration - Wrong password")("203.0.113.6"));
  for (
    const forged of [
      call(`5\n${registration}`),
      call(`5\r\n${registration}x`),
      call(`5\n${security}`),
      call(`5' rejected because extension not found in context 'default'.\n${registration}`),
      call(
        `5' rejected because extension not found in context 'default'.\n${registration}` +
          "[2026-11-22 08:09:09] NOTICE[77] x.c: ",
      ),
      fileLine(kind("PJSIP call")("203.0.113.5", { extension: "5\n[2026-11-22" })) + registration,
    ]
  ) {
    const { told, events, tampered } = readLog(forged + after + true_);
    assert.ok(![...told, ...events].some((text) => text.includes("192.0.2.9")), forged);
    assert.ok(told.some((text) => text.includes("203.0.113.6")), forged);
    assert.ok(tampered.length > 0, forged);
  }
  // A dialled number in an event of chan_sip has room for a line as well.
  const account = `x\n${registration.trimEnd()}`;
  const line = SIP_LINE.replace("ACCOUNT", () => account);
  assert.deepEqual(readLog(line).told, []);
});

/** Whom messages name that come in groups, with a pause behind each group. */
function toldOf(groups: readonly (readonly string[])[]): string[] {
  const told: string[] = [];
  const reader = new SecurityLogReader({
    event: ({ address }) => told.push(address),
    notice: ({ address }) => told.push(address),
    tampered: () => {},
  });
  for (const group of groups) {
    for (const text of group) reader.push(bytesOf(text));
    reader.flush();
  }
  return told;
}

Deno.test("security log: nobody is spared who writes line ends into a name or a number", () => {
  const line = (file: string, message: string, thread = "1234") =>
    `[2026-11-22 08:09:09] NOTICE[${thread}] ${file}: ${message}\n`;
  const call = line(
    "res_pjsip_session.c",
    " anonymous: Call (UDP:203.0.113.5:5060) to extension '9\n1' rejected because extension not " +
      "found in context 'default'.",
  );
  const torn = (name: string) =>
    line("chan_iax2.c", `No registration for peer '${name}' (from 203.0.113.5)`);
  const guess = line(
    "chan_iax2.c",
    "Host 203.0.113.5 failed MD5 authentication for 'bob' (abc != def)",
    "77",
  );
  const fake = "x' (from 192.0.2.9)\n";
  const spared = (name: string, groups: string[][], least: number) => {
    const told = toldOf(groups);
    assert.ok(told.every((address) => address === "203.0.113.5"), `${name}: ${told}`);
    assert.ok(told.length >= least, `${name}: ${told.length} of ${least}`);
  };
  spared("calls", [[call], [call], [call]], 3);
  spared("names", [[torn("\n")], [torn("a\nb\nc")], [torn("\r\n")]], 3);
  spared("names with ends", [[torn(`a\n${fake}b`)], [torn(fake)], [torn(`${fake}${fake}`)]], 3);
  spared("names at once", [[torn("a\nb"), torn("a\nb"), torn("a\nb"), torn("a\nb")]], 4);
  spared("a name, then a guess, and so on", [[torn("a\n"), guess, torn("a\n"), guess]], 1);
  spared("a guess, then a name", [[guess, torn("a\n")], [guess, torn("a\n")]], 2);
  spared("a call, then a guess", [[call, guess], [call, guess]], 2);
  spared("a guess, then a call", [[guess, call], [guess, call]], 2);
  spared("a call, a pause, a guess", [[call], [guess]], 2);
  // Nor does who is named in their lines pay for it.
  const other = "[2026-11-22 08:09:09] NOTICE[5] chan_iax2.c: No registration for peer 'b";
  spared("a whole line", [[torn(`a\n${other}' (from 192.0.2.9)\n`)]], 0);
  spared("a torn line", [[torn(`a\n${other}\n${fake}`)]], 1);
  const first = "[12345678] NOTICE[5] res_pjsip_session.c: anonymous: Call (UDP:192.0.2.9:5) to " +
    "extension '1\n";
  const reached = "Rejected connect attempt from 203.0.113.5, who was trying to reach";
  spared("a call in a call", [[line("chan_iax2.c", `${reached} '1\n${first}@'`)]], 1);
});

Deno.test("security log: lines within a packet that Asterisk shows are a stranger's", () => {
  const line = fileLine(
    LINE_KINDS.find(({ name }) => name === "chan_sip, attack")!.print("192.0.2.9"),
  );
  const packet = `INVITE sip:1@h SIP/2.0\r\n\r\n${line}`;
  const shown =
    `<--- Received SIP request (${packet.length} bytes) from UDP:203.0.113.5:5060 --->\n${packet}\n`;
  const own = fileLine(
    LINE_KINDS.find(({ name }) => name === "chan_sip, attack")!.print("203.0.113.5"),
  );
  for (
    const dump of [
      `[2026-11-22 08:09:09] VERBOSE[1] res_pjsip_logger.c: ${shown}\n`,
      `${shown}\n`,
    ]
  ) {
    const { told, tampered } = readLog(dump + own);
    assert.deepEqual(told, ["log only FailedACL SIP 203.0.113.5 "]);
    assert.deepEqual(tampered, ["forged end"]);
  }
  const unknownLength = "<--- SIP read from UDP:203.0.113.5:5060 --->\n";
  assert.deepEqual(readLog(unknownLength + packet).told, []);
});

Deno.test("security log: events of Asterisk 11 name who sent them, and are of no AMI", () => {
  const line = SIP_LINE.replace(STAMP, '"1795334949-918273"');
  const reader = readLog(line);
  assert.deepEqual(reader.events, []);
  assert.deepEqual(reader.told, ["log only InvalidPassword SIP 203.0.113.5 ACCOUNT"]);
  assert.equal(reader.findings.old?.count, 1);
  assert.equal(reader.findings.old?.first, 1);
});

Deno.test("security log: what was not understood is counted, with its first line", () => {
  const strange = fileLine({
    file: "res_new.c",
    message: "Rejected a guest from 203.0.113.5, as always",
  });
  const quiet = fileLine({ file: "loader.c", message: "Loaded 192.0.2.1" });
  const nobody = fileLine({
    file: "chan_sip.c",
    message: "Failed to authenticate device <sip:1@192.0.2.9> for INVITE, code = -1",
  });
  const { findings, told } = readLog(quiet + strange + strange + nobody);
  assert.deepEqual(told, []);
  assert.deepEqual(
    [findings.unknown?.count, findings.unknown?.first, findings.nobody?.count, findings.asterisk],
    [2, 2, 1, 4],
  );
  assert.equal(`${findings.unknown?.text}\n`, strange);
});

Deno.test("security log: a comment between lines, and lines of the console, do not matter", () => {
  const line = (address: string) =>
    LINE_KINDS.find(({ name }) => name === "chan_sip, attack")!.print(address);
  const commented = `# notes\n${fileLine(line("203.0.113.5"))}# more\n\n`;
  assert.equal(readLog(commented).told.length, 1);
  for (const between of ["==> /var/log/asterisk/messages <==", "--", "-- Boot 0123 --"]) {
    assert.equal(readLog(`${fileLine(line("203.0.113.5"))}${between}\n`).told.length, 1, between);
  }
  assert.equal(readLog(`\xef\xbb\xbf${fileLine(line("203.0.113.5"))}`).told.length, 1);
  const console = `${FORMS.plain!(line("203.0.113.5"))}\n    -- Executing [1@x:1] NoOp("")\n`;
  assert.equal(readLog(console).told.length, 1);
  // But in a file the rest of a message can only be that of the line before.
  assert.equal(readLog(`${fileLine(line("203.0.113.5"))}    -- x`).told.length, 0);
});

Deno.test("security log: the manager interface says of one request twice that it was refused", () => {
  const line = (text: string, account: string, thread = "7", address = "203.0.113.5") =>
    fileLine({ thread, file: "manager.c", message: `${address} ${text} '${account}'` });
  const acl = line("failed to pass IP ACL as", "a");
  const unknown = line("tried to authenticate with nonexistent user", "b");
  const failed = (account: string, thread?: string, address?: string) =>
    line("failed to authenticate as", account, thread, address);
  const count = (text: string) => readLog(text).told.length;
  assert.equal(count(acl + failed("a")), 1);
  assert.equal(count(unknown + failed("b")), 1);
  assert.equal(count(unknown + failed("b") + failed("b")), 2);
  for (const other of [failed("c"), failed("b", "8"), failed("b", "7", "203.0.113.6")]) {
    assert.equal(count(unknown + other), 2);
  }
});

Deno.test("security log: refusals of several parts of Asterisk stand close together", () => {
  const log = ["chan_sip call", "IAX2, no such peer", "IAX2, wrong answer", "dialplan", "acl.c"]
    .map((name, index) =>
      fileLine({
        ...LINE_KINDS.find((kind) => kind.name === name)!.print(`203.0.113.${index}`),
        thread: `${index}`,
      })
    ).join("");
  assert.deepEqual(readLog(log).tampered, []);
  assert.equal(readLog(log).told.length, 5);
});

Deno.test("security log: what is held back is handed on while the threads of IAX2 take turns", () => {
  const { print } = LINE_KINDS.find(({ name }) => name === "IAX2, no such peer")!;
  let told = 0;
  let most = 0;
  const reader = new SecurityLogReader({
    event: () => {},
    tampered: () => assert.fail(),
    notice: () => told++,
  });
  for (let i = 1; i <= 1000; i++) {
    reader.push(bytesOf(fileLine({ ...print("203.0.113.5"), thread: `${i % 10}` })));
    most = Math.max(most, i - told);
  }
  reader.end();
  assert.equal(told, 1000);
  assert.ok(most < 10, `${most}`);
});
