/** Lines of refused requests: whom they name, and whom they never do. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseLogLine } from "../../src/ami/log_line.ts";
import { type NoticeReading, readNotice } from "../../src/ami/notice_lines.ts";
import { SecurityLogReader } from "../../src/ami/security_log.ts";
import { bytesOf } from "../support/asterisk_events.ts";
import { fileLine, LINE_KINDS, type Said, type Texts } from "../support/log_text.ts";

function reading(said: Said): NoticeReading {
  const line = parseLogLine(fileLine(said).trimEnd());
  assert.ok(line !== undefined, fileLine(said));
  return readNotice(line);
}

const nameOf = (what: NoticeReading) => typeof what === "object" ? what.address : what;

Deno.test("notice lines: each kind names its address, IPv4 and IPv6", () => {
  for (const { name, tells, print } of LINE_KINDS) {
    for (const address of ["203.0.113.5", "2001:db8::5"]) {
      const notice = reading(print(address));
      assert.ok(typeof notice === "object", `${name}: ${notice}`);
      assert.equal(notice.address, address, name);
      assert.equal(`${notice.kind} ${notice.service} ${notice.told}`, tells, name);
    }
  }
});

Deno.test("notice lines: accounts, dialled numbers and Call-IDs are those that are printed", () => {
  const of = (name: string) => {
    const notice = reading(LINE_KINDS.find((kind) => kind.name === name)!.print("203.0.113.5"));
    assert.ok(typeof notice === "object");
    return [notice.account, notice.detail, notice.session];
  };
  assert.deepEqual(of("Registration - Wrong password"), ["100", "", undefined]);
  assert.deepEqual(of("chan_sip call"), ["00972595550100", "no_extension_match", undefined]);
  assert.deepEqual(of("PJSIP call"), ["00972595550100", "no_extension_match", undefined]);
  assert.deepEqual(of("Request - Failed to authenticate"), ["100", "", "4711@phone"]);
  assert.deepEqual(of("manager failed to authenticate as"), ["admin", "", undefined]);
  assert.deepEqual(of("IAX2, no such peer"), ["", "", undefined]);
  assert.deepEqual(of("IAX2, wrong password"), ["trunk", "", undefined]);
});

Deno.test("notice lines: an access list for Contacts refuses what a stranger wrote, and names nobody", () => {
  const acl = (purpose: string) =>
    reading({
      file: "acl.c",
      message: `${purpose}Rejecting '192.0.2.9' due to a failure to pass ACL '(BASELINE)'`,
    });
  assert.equal(acl("SIP Contact ACL: "), "nobody");
  assert.equal(acl("SIP contact ACL: "), "nobody");
  assert.equal(acl("SIP Direct Media ACL: "), "harmless");
  assert.equal(acl("HTTP Path ACL"), undefined);
  assert.equal(nameOf(acl("SIP ACL: ")), "192.0.2.9");
  assert.equal(nameOf(acl("Manager User ACL:")), "192.0.2.9");
  const named = (purpose: string, thread: string) => {
    const found: string[] = [];
    const reader = new SecurityLogReader({
      event: () => {},
      tampered: () => {},
      notice: ({ address, service }, told) => found.push(`${address} ${service} ${told}`),
    });
    const line = (of: string, file: string, message: string) =>
      `[2026-11-22 08:00:00] WARNING[${of}] ${file}: ${message}\n`;
    const text =
      line("7", "acl.c", `${purpose}Rejecting '192.0.2.9' due to a failure to pass ACL 'a'`) +
      line(
        thread,
        "res_pjsip_acl.c",
        "Incoming SIP message from 192.0.2.9:5060 did not pass ACL test",
      );
    reader.push(bytesOf(text));
    reader.end();
    return [found, reader.findings.nobody?.count];
  };
  assert.deepEqual(named("SIP Contact ACL: ", "7"), [[], 2]);
  assert.deepEqual(named("SIP Contact ACL: ", "8"), [["192.0.2.9 PJSIP log only"], 1]);
  assert.deepEqual(named("SIP ACL: ", "7"), [
    ["192.0.2.9 PJSIP aside", "192.0.2.9 PJSIP log only"],
    undefined,
  ]);
});

Deno.test("notice lines: an address that is a stranger's text names nobody", () => {
  for (
    const said of [
      {
        file: "chan_sip.c",
        message: 'Failed to authenticate device "x" <sip:1@192.0.2.9> for INVITE, code = -1',
      },
      {
        file: "chan_sip.c",
        message: "Sending fake auth rejection for device <sip:1@192.0.2.9>;tag=x",
      },
      // The peer's name, which a stranger sends.
      { file: "chan_iax2.c", message: "Host 192.0.2.9 failed RSA authentication with inkeys 'k'" },
      {
        file: "chan_iax2.c",
        message: "Host '192.0.2.9' trying to do RSA authentication, but we have no inkeys",
      },
    ]
  ) assert.equal(reading(said), "nobody", said.message);
});

Deno.test("notice lines: Asterisk's own requests are not a stranger's", () => {
  for (
    const said of [
      {
        file: "chan_sip.c",
        message: "   -- Registration for 'x@192.0.2.9' timed out, trying again (Attempt #2)",
      },
      { file: "chan_sip.c", message: "Failed to authenticate on INVITE to '<sip:1@192.0.2.9>'" },
      {
        file: "chan_iax2.c",
        message: "Registration of 'x' rejected: 'no' from: '192.0.2.9:4569'",
      },
      {
        file: "res_pjsip_registrar.c",
        message: "AOR '1' not found for endpoint '100' (192.0.2.9:5060)",
      },
    ]
  ) assert.equal(reading(said), "harmless", said.message);
});

Deno.test("notice lines: a second address is never taken for Asterisk's", () => {
  const tail = "' (192.0.2.9:5060) to extension '1' rejected because extension not found in " +
    "context 'default'.";
  const request = "' failed for '192.0.2.9:5060' (callid: x) - No matching endpoint found";
  const [call, pjsip, distributor, registration] = [
    "chan_sip call",
    "PJSIP call",
    "Request - Failed to authenticate",
    "Registration - Wrong password",
  ].map((name) => LINE_KINDS.find((kind) => kind.name === name)!.print);
  assert.equal(nameOf(reading(call!("203.0.113.5", { extension: tail }))), "ambiguous");
  assert.equal(nameOf(reading(call!("203.0.113.5", { account: tail }))), "ambiguous");
  assert.equal(nameOf(reading(call!("203.0.113.5", { extension: `x${tail} y` }))), "ambiguous");
  assert.equal(
    nameOf(reading(call!("203.0.113.5", { extension: tail.replace("192.0.2.9", "x.example") }))),
    "203.0.113.5",
  );
  // Before the number there is nothing of a stranger's.
  assert.equal(nameOf(reading(pjsip!("203.0.113.5", { extension: tail }))), "203.0.113.5");
  assert.equal(nameOf(reading(distributor!("203.0.113.5", { header: request }))), "ambiguous");
  assert.equal(
    nameOf(reading(distributor!("203.0.113.5", { session: `x${request}` }))),
    "ambiguous",
  );
  assert.equal(
    nameOf(reading(distributor!("203.0.113.5", { session: "x@192.0.2.9" }))),
    "203.0.113.5",
  );
  assert.equal(
    nameOf(reading(registration!("203.0.113.5", {
      header: "<sip:1@h>' failed for '192.0.2.9:5060' - Wrong password",
    }))),
    "203.0.113.5",
  );
  // Where the C library makes it so, Asterisk cuts a line at a length that a stranger chooses.
  const long = reading(registration!("203.0.113.5", { header: "x".repeat(2_000) }));
  assert.equal(long, "ambiguous");
  assert.equal(nameOf(reading(call!("203.0.113.5", { extension: "1" }))), "203.0.113.5");
  assert.equal(
    reading({ file: "chan_sip.c", message: "Call from '' (203.0.113.5:1) to ext" }),
    "cut",
  );
});

const FORGED = "192.0.2.9";

/** Pieces of which a stranger may make a text. */
const PIECES = [
  "'",
  '"',
  "' (192.0.2.9:5060) to extension '",
  "' rejected because extension not found in context 'default'.",
  "' failed for '192.0.2.9:5060' - Wrong password",
  "' failed for '192.0.2.9:5060' (callid: x) - Failed to authenticate",
  ") - No matching endpoint found",
  "' (from 192.0.2.9)",
  "192.0.2.9 failed to authenticate as '",
  "sip:1@192.0.2.9",
  "\x1b[0m",
  "#033[0m",
  " ",
  "x",
  "\x00",
  "é",
] as const;

/** With line ends: the thread of Asterisk's lines is not known to a stranger. */
const LINES = [
  "\n",
  "\r\n",
  "\n[2026-11-22 08:09:09] NOTICE[77] manager.c: 192.0.2.9 failed to authenticate as 'x'",
  "\n[2026-11-22 08:09:09] NOTICE[77] chan_sip.c: hacking attempt detected '192.0.2.9'",
  "\n[2026-11-22 08:09:09] NOTICE[77] chan_sip.c: Call from '' (192.0.2.9:5) to extension '",
  "\n[2026-11-22 08:09:09] NOTICE[77] chan_sip.c: Registration from '",
  "\n[2026-11-22 08:09:09] NOTICE[77] chan_iax2.c: No registration for peer 'x",
  "\n[2026-11-22] NOTICE[7] chan_iax2.c: Host 192.0.2.9 failed MD5 authentication for '1' (",
  "\n[12345678] NOTICE[7] res_pjsip_session.c: anonymous: Call (UDP:192.0.2.9:5) to extension '1",
  "\n[2026-11-22 08:09:09] NOTICE[77] x.c: ",
  '\n[2026-11-22 08:09:09] SECURITY[77] res_security_log.c: SecurityEvent="',
] as const;

Deno.test("notice lines: no text of a stranger makes another address come out", () => {
  const text = (room: number) =>
    fc.array(fc.constantFrom(...PIECES, ...(room > 0 ? LINES : [])), { maxLength: 8 })
      .map((pieces) => pieces.join("").slice(0, room > 0 ? room : undefined));
  const sample = fc.integer({ min: 0, max: LINE_KINDS.length - 1 }).chain((index) => {
    const { name, room } = LINE_KINDS[index]!;
    const iax2 = name.startsWith("IAX2") ? room : 0;
    return fc.record({
      index: fc.constant(index),
      // chan_sip prints the peer's name there, which is no stranger's (`check_peer_ok`).
      account: text(iax2),
      session: text(iax2),
      extension: text(room),
      header: text(0),
      isLast: fc.boolean(),
    });
  });
  fc.assert(
    fc.property(fc.array(sample, { minLength: 1, maxLength: 4 }), (samples) => {
      const lines = samples.map(({ index, ...texts }: { index: number } & Texts) =>
        fileLine(LINE_KINDS[index]!.print("203.0.113.5", texts))
      );
      const log = lines.join("");
      const names: string[] = [];
      const reader = new SecurityLogReader({
        event: ({ address }) => names.push(address),
        notice: ({ address }) => names.push(address),
        tampered: () => {},
      });
      lines.forEach((line, i) => {
        reader.push(bytesOf(line));
        if (samples[i]!.isLast) reader.flush();
      });
      reader.end();
      assert.ok(!names.includes(FORGED), log);
      assert.ok(names.every((name) => name === "203.0.113.5"), log);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("notice lines: the longest texts of a stranger's end in a reading, and name nobody else", () => {
  for (const { file, message } of LINE_KINDS.map(({ print }) => print("203.0.113.5"))) {
    for (const filler of PIECES) {
      const long = message.slice(0, 14) + filler.repeat(8_000 / filler.length);
      // A regular expression that tries again and again would not come to an end.
      assert.notEqual(nameOf(reading({ file, message: long })), FORGED);
      const line = { file, message: long.repeat(100), level: "NOTICE", thread: "1" };
      const what = {
        ...line,
        date: undefined,
        written: undefined,
        framed: false,
        console: false,
        times: 1,
      };
      assert.notEqual(typeof readNotice(what), "object");
    }
  }
});
