/** What people have for `ampere --replay`: logs in all forms, and what is wrong with a file. */

import assert from "node:assert/strict";
import {
  bytesOf,
  challengeSent,
  successfulAuth,
  userEvent,
  wrongAnswer,
} from "../../support/asterisk_events.ts";
import {
  fileLine,
  FORMS,
  LINE_KINDS,
  type LineKind,
  type Said as Line,
  securityMessage,
  threeGuesses,
} from "../../support/log_text.ts";
import { recording } from "../../support/recordings.ts";
import { cli, type Said, textOf, toLog } from "../../support/replays.ts";

/** Replays texts as files, which are named by letters. */
async function replayed(
  texts: readonly (string | Uint8Array)[],
  options?: Parameters<typeof cli>[1],
): Promise<Said & { readonly folder: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const files = texts.map((text, index) => {
      const file = `${folder}/${"abcdef"[index]}`;
      Deno.writeFileSync(file, typeof text === "string" ? bytesOf(text) : text);
      return file;
    });
    return { ...await cli(files, options), folder };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const kind = (name: string): LineKind => LINE_KINDS.find((one) => one.name === name)!;

const at = (second: number) => `2026-11-22 08:00:${String(second).padStart(2, "0")}`;

const events = (out: string) => /^([\d,]+) security events? of/m.exec(out)?.[1];

Deno.test("logs: the security log is read in every form (three wrong passwords block)", async () => {
  for (const [form, print] of Object.entries(FORMS)) {
    const log = threeGuesses("203.0.113.5", print).join("\n");
    const { code, out, err } = await replayed([`${log}\n`]);
    assert.equal(code, 0, `${form}: ${err}`);
    assert.equal(err, "", form);
    assert.equal(events(out), "3", form);
    assert.match(out, /203\.0\.113\.5 .* 3 wrong passwords within/, form);
  }
});

Deno.test("logs: every kind of refusal in messages names who was refused", async () => {
  for (const { name, tells, print } of LINE_KINDS) {
    if (/InvalidTransport/.test(tells)) continue;
    const log = [1, 2, 3].map((second) =>
      fileLine(print("203.0.113.5", { session: `call${second}` }), at(second))
    ).join("");
    const { code, out, err } = await replayed([log], { config: { learn: 0 } });
    assert.equal(code, 0, `${name}: ${err}`);
    assert.equal(err, "", name);
    assert.match(out, /^2026-11-22 .* 203\.0\.113\.5 /m, name);
    // Nobody can know that these are of one session.
    assert.doesNotMatch(out, /one session/, name);
    const unseen = tells.endsWith("log only");
    assert.equal(/^Not blocked: AMI/m.test(out), unseen, name);
    assert.equal(/^Would have been blocked$/m.test(out), !unseen, name);
    assert.equal(
      /^Hint: 3 of 3 refusals are told by Asterisk's log alone/m.test(out),
      unseen,
      name,
    );
    const json = await replayed([log], { json: true, config: { learn: 0 } });
    assert.equal(JSON.parse(json.out.split("\n")[0]!).type, unseen ? "notBlocked" : "block", name);
  }
});

Deno.test("logs: no block is promised for what AMI does not tell, though the rest is blocked", async () => {
  const call = kind("PJSIP call");
  const guess = kind("Request - Failed to authenticate");
  let log = "";
  for (let second = 0; second < 10; second++) {
    log += fileLine(call.print("203.0.113.7"), at(second));
    log += fileLine(guess.print("203.0.113.8", { session: `${second}` }), at(second));
  }
  const { out } = await replayed([log]);
  const [promised, unseen] = out.split("Not blocked: ");
  assert.match(promised!, /203\.0\.113\.8/);
  assert.doesNotMatch(promised!, /203\.0\.113\.7/);
  assert.match(unseen!, /203\.0\.113\.7/);
  assert.match(out, /1 host would have been blocked/);
  assert.match(out, /^ {2}FailedACL PJSIP, not on AMI +10$/m);
});

Deno.test("logs: a request that two lines tell of counts once, in one file and in two", async () => {
  const texts = (address: string, call: string, second: number) => {
    const time = `${at(second).replace(" ", "T")}.918+0000`;
    return {
      security: fileLine({
        level: "SECURITY",
        file: "res_security_log.c",
        message: securityMessage(address, { time, session: call }),
      }, at(second)),
      messages: fileLine(
        kind("Request - Failed to authenticate").print(address, { session: call }),
        at(second),
      ),
    };
  };
  const pairs = [0, 20, 40].map((second) => texts("203.0.113.5", `call${second}`, second));
  const security = pairs.map((pair) => pair.security).join("");
  const messages = pairs.map((pair) => pair.messages).join("");
  for (
    const files of [
      [pairs.map((pair) => pair.messages + pair.security).join("")],
      [pairs.map((pair) => pair.security + pair.messages).join("")],
      [security, messages],
      [messages, security],
      // The same file twice, and the security log within another.
      [security, security],
      [security, pairs.map((pair) => pair.security + pair.messages).join("")],
    ]
  ) {
    const { code, out, err } = await replayed(files);
    assert.equal(code, 0);
    assert.equal(err, "");
    assert.equal(events(out), "3", out);
    assert.match(out, /^[36] lines left out: another line tells the same$/m);
    assert.match(out, /203\.0\.113\.5 .* 3 wrong passwords within/);
  }
  // Each alone says as much.
  for (const file of [security, messages]) assert.equal(events((await replayed([file])).out), "3");
});

Deno.test("logs: two requests are two, whoever tells of them", async () => {
  const security = (account: string) =>
    fileLine({
      level: "SECURITY",
      file: "res_security_log.c",
      message: `SecurityEvent="InvalidPassword",EventTV="2026-11-22T08:00:00.918+0000",` +
        `Severity="Error",Service="AMI",EventVersion="2",AccountID="${account}",` +
        `SessionID="0x7f1904001680",LocalAddress="IPV4/TCP/192.0.2.10/5038",` +
        `RemoteAddress="IPV4/TCP/203.0.113.5/40000",SessionTV="1970-01-01T00:00:00.000+0000"`,
    }, at(0));
  const line = (account: string, address = "203.0.113.5", second = 0) =>
    fileLine(kind("manager failed to authenticate as").print(address, { account }), at(second));
  const count = async (text: string) => events((await replayed([text])).out);
  assert.equal(await count(security("a") + line("a")), "1");
  assert.equal(await count(security("a") + line("b")), "2", "another account");
  assert.equal(await count(security("a") + line("a", "203.0.113.6")), "2", "another address");
  assert.equal(await count(security("a") + line("a", "203.0.113.5", 5)), "2", "another time");
  assert.equal(await count(security("a") + line("a") + line("a")), "2", "one event, two lines");
  assert.equal(await count(line("a") + line("a")), "2", "two lines of one file");
});

Deno.test("logs: a refusal by an ACL that is told twice counts once", async () => {
  const acl = fileLine(kind("acl.c").print("203.0.113.5"), at(0));
  const registration = fileLine(
    kind("Registration - Device does not match ACL").print("203.0.113.5"),
    at(0),
  );
  assert.equal(events((await replayed([acl + registration])).out), "1");
  assert.equal(events((await replayed([acl])).out), "1");
});

Deno.test("logs: no block is promised for what only an access list of PJSIP or IAX2 tells", async () => {
  for (const [purpose, promised] of [["SIP", 0], ["IAX2 user", 0], ["SIP Peer", 1]] as const) {
    const line = (second: number) =>
      fileLine({
        file: "acl.c",
        message: `${purpose} ACL: Rejecting '203.0.113.5' due to a failure to pass ACL 'lan'`,
      }, at(second));
    const { out } = await replayed([line(0) + line(10) + line(20) + line(30)]);
    assert.equal(/^Would have been blocked$/m.test(out), promised === 1, out);
    assert.equal(/^Not blocked: AMI/m.test(out), promised === 0, out);
  }
});

Deno.test("logs: lines with an unknown beginning between others are counted, and the first is shown", async () => {
  const line = fileLine(kind("acl.c").print("203.0.113.5"), at(0));
  const { code, err } = await replayed([`my own program: ${line}${line}`]);
  assert.equal(code, 0);
  assert.match(err, /: 1 line left out: .*The first is line 1: "my own program: \[2026-/);
});

Deno.test("logs: lines of other services between those of Asterisk's container change nothing", async () => {
  const print = FORMS["docker compose logs"]!;
  const text = (between: string) =>
    [0, 1, 2].map(() =>
      `${print(kind("manager failed to authenticate as").print("203.0.113.5"))}\n`
    )
      .join(between);
  const other = "mariadb-1   | 2026-11-22  8:09:01 0 [Note] ready\n";
  assert.equal(events((await replayed([text(other)])).out), "3");
  assert.equal(events((await replayed([text(`\x1b[33m${other}`)])).out), "3");
  const own = await replayed([text("asterisk-1  | Asterisk is ready\n")]);
  assert.equal(events(own.out), "1", "it may be the end of a message");
});

Deno.test("logs: files are taken by their times, in whatever order they are given", async () => {
  const line = (second: number) =>
    fileLine(kind("manager failed to authenticate as").print("203.0.113.5"), at(second));
  const { out, err } = await replayed([line(50), line(10), line(30)]);
  assert.equal(err, "");
  assert.match(out, /3 security events of 1 host from .*:10 to .*:50 \(40 s\)/);
  assert.match(out, /:50 .*203\.0\.113\.5 .*3 wrong passwords within 40 s/);
});

Deno.test("logs: events of Asterisk 11 are named, and it is said that nothing follows them", async () => {
  const line = toLog(textOf(recording("sip-udp-wrong-password.ami").bytes)).split("\n")
    .filter((text) => text.includes("InvalidPassword"))
    .map((text) => text.replace(/EventTV="[^"]*"/, 'EventTV="1373098165-824497"')).join("\n");
  const { code, out, err } = await replayed([line]);
  assert.equal(code, 1);
  assert.match(err, /^warning: .*\/a: \d+ lines? of Asterisk 11 or older .* not support/);
  assert.match(err, /The first is line 1: /);
  assert.doesNotMatch(err, /malformed|manager\.conf/);
  assert.match(out, /^Not blocked: AMI/m);
  assert.doesNotMatch(out, /^Would have been blocked$/m);
  assert.doesNotMatch(out, /tampered/);
  assert.deepEqual(out.match(/^Hint: .*$/gm), [
    "Hint: All of it is of Asterisk 11 or older, which Ampere does not support.",
  ]);
});

Deno.test("logs: a recording that an editor changed: what is wrong, and the first such line", async () => {
  const stream = textOf(recording("ast22-pjsip-udp-wrong-password.ami").bytes);
  const stripped = stream.replace(/ +\r\n/g, "\r\n");
  const number = stripped.split("\r\n").findIndex((line) => /^\w+:$/.test(line)) + 1;
  const blanks = await replayed([stripped]);
  assert.match(
    blanks.err,
    new RegExp(
      `line ${number}, "Challenge:", has lost the blank .*Secret: SECRET.*nc 127\.0\.0\.1 5038`,
    ),
  );
  const lines = stream.replaceAll("\r\n", "\n");
  for (const text of [lines, lines.replace(/ +\n/g, "\n"), lines.replace(/^.*\n/, "")]) {
    const { code, out, err } = await replayed([text]);
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.match(err, /line ends were changed \(LF, not CR LF\).*the first such line is line 1, "/);
    assert.equal(/has lost the blank/.test(err), !/ \n/.test(text));
    assert.doesNotMatch(err, /read = security,system/);
  }
  // One that nothing is left of ends with an error, too.
  const only = stream.split("\r\n\r\n").filter((block) => /^Event: Challenge/.test(block))
    .map((block) => `${block.replace(/ +$/gm, "").replace(/: +\r/g, ":\r")}\r\n\r\n`).join("");
  const { code, err } = await replayed([only]);
  assert.equal(code, 1);
  assert.match(err, /none of its security events is as Asterisk prints it/);
});

Deno.test("logs: hints are for what was read", async () => {
  const guess = (second: number) =>
    fileLine(kind("Request - Failed to authenticate").print("203.0.113.5"), at(second));
  const lines = await replayed([guess(1)]);
  assert.match(lines.out, /^Hint: These lines tell of refusals, not of logins/m);
  assert.doesNotMatch(lines.out, /eventfilter|manager\.conf/);
  const log = await replayed([toLog(wrongAnswer("203.0.113.5"))]);
  assert.match(log.out, /^Hint: There is no login with a password in it/m);
  assert.doesNotMatch(log.out, /eventfilter|manager\.conf/);
  const ami = await replayed([`Asterisk Call Manager/7.0.3\r\n${wrongAnswer("203.0.113.5")}`]);
  assert.match(ami.out, /eventfilter in manager\.conf/);
  const none = await replayed(["Asterisk Call Manager/7.0.3\r\n"]);
  assert.match(none.out, /^Hint: There is no security event in it\. The user needs read = /m);
  assert.doesNotMatch(none.out, /logger\.conf/);
  const login = await replayed([toLog(wrongAnswer("203.0.113.5") + successfulAuth("203.0.113.6"))]);
  assert.doesNotMatch(login.out, /Hint/);
});

Deno.test("logs: what was not understood is told, with the file and the line of the first", async () => {
  const strange: Line = { file: "res_new.c", message: "Rejected a guest from 203.0.113.9 again" };
  const good = fileLine(kind("manager failed to authenticate as").print("203.0.113.5"));
  const { code, err, folder } = await replayed([good + fileLine(strange) + fileLine(strange)]);
  assert.equal(code, 0);
  assert.ok(err.startsWith(`warning: ${folder}/a: 2 lines look like a refusal`), err);
  assert.match(err, /The first is line 2: ".*Rejected a guest from 203\.0\.113\.9/);
  const alone = await replayed([fileLine(strange)]);
  assert.equal(alone.code, 1);
  assert.match(alone.err, /none of its 1 line tells of a login/);
  assert.equal(alone.out, "");
  const quiet = await replayed([fileLine({ file: "loader.c", message: "hello" }), "hello\n"]);
  assert.equal(quiet.code, 1);
  assert.match(quiet.err, /is Asterisk's log, but none of its 1 line .*security => security/);
  assert.match(quiet.err, /is neither a raw AMI stream nor Asterisk's log/);
  const forged = kind("chan_sip call").print("203.0.113.5", {
    extension: "' (192.0.2.9:5060) to extension '1",
  });
  const tampered = await replayed([good + fileLine(forged)]);
  assert.match(tampered.err, /1 line not believed: .*The first is line 2: /);
  assert.match(tampered.out, /1 message tampered with: 1 malformed/);
  assert.doesNotMatch(tampered.out, /192\.0\.2\.9/);
});

Deno.test("logs: a long line and a line without a time are harmless", async () => {
  const good = fileLine(kind("manager failed to authenticate as").print("203.0.113.5"));
  for (const filler of ["x", "[", "{", "' (", '"log":"', "2026-11-22 "]) {
    const { code, out } = await replayed([
      `${filler.repeat(1_200_000 / filler.length)}\n${good}`,
    ]);
    assert.equal(code, 0);
    assert.equal(events(out), "1", filler);
  }
  const undated = "NOTICE[566]: manager.c:1 f: 203.0.113.5 failed to authenticate as 'x'\n";
  const { err } = await replayed([undated]);
  assert.match(err, /^warning: 1 line without a time/);
});

Deno.test("logs: one that shows SIP packets is a log", async () => {
  const packet = "NOTIFY sip:1@h SIP/2.0\r\nEvent: presence\r\nSubscription-State: active\r\n\r\n";
  const { code, out } = await replayed([
    "the end of a line\n" + fileLine({
      level: "VERBOSE",
      file: "res_pjsip_logger.c",
      message:
        `<--- Received SIP request (${packet.length} bytes) from UDP:203.0.113.5:5060 --->\n` +
        packet,
    }) + fileLine(kind("manager failed to authenticate as").print("203.0.113.5")),
  ]);
  assert.equal(code, 0);
  assert.equal(events(out), "1");
});

Deno.test("logs: a phone that logs in is not blocked for numbers that do not exist", async () => {
  const login = toLog(successfulAuth("198.51.100.7", { time: "2026-11-22T08:00:00.000+0000" }));
  const calls = [1, 2, 3, 4].map((second) =>
    fileLine(kind("PJSIP call").print("198.51.100.7"), at(second * 5))
  ).join("");
  const { out } = await replayed([login + calls + toLog(challengeSent("203.0.113.5"))]);
  assert.doesNotMatch(out, /^Not blocked|^Would have been/m);
});

Deno.test("logs: with a log configured the daemon sees what AMI does not tell, and replay says so", async () => {
  const call = kind("PJSIP call");
  const log = [1, 2, 3].map((second) =>
    fileLine(call.print("203.0.113.7", { extension: `00${second}` }), at(second))
  ).join("");
  const config = { logs: ["/var/log/asterisk/messages"] };
  const { out } = await replayed([log], { config });
  assert.match(out, /^Would have been blocked$/m);
  assert.match(out, /203\.0\.113\.7 .* 3 calls without an account/);
  assert.doesNotMatch(out, /Not blocked/);
  assert.match(
    out,
    /The daemon follows \/var\/log\/asterisk\/messages, not \S+\/a: it sees them only/,
  );
  const json = await replayed([log], { json: true, config });
  const [block, totals] = json.out.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual([block.type, block.target], ["block", "203.0.113.7"]);
  assert.deepEqual([totals.blocked, totals.notOnAmi], [1, { "FailedACL PJSIP": 3 }]);
  // Without, the hint says what is to be done.
  const without = await replayed([log]);
  assert.match(without.out, /With log = \S+\/a in ampere\.cfg it follows that log too, and does/);
});

Deno.test("logs: a number that a known endpoint dialled is nobody's offence", async () => {
  const { print } = kind("PJSIP call");
  const lines = [1, 2, 3, 4].map((second) => {
    const said = print("203.0.113.7", { extension: `00${second}` });
    return fileLine(
      { ...said, message: said.message.replace("anonymous", "provider") },
      at(second),
    );
  });
  const { out, code } = await replayed([lines.join("") + fileLine(print("203.0.113.8"), at(5))]);
  assert.equal(code, 0);
  assert.match(out, /^ {2}FailedACL PJSIP, not on AMI +1$/m);
});

Deno.test("logs: a report of the dialplan in a recorded stream counts, at the time of what came before it", async () => {
  const report = userEvent({ body: ["Address: 203.0.113.5", "Reason: anonymous call"] });
  const stream = `Asterisk Call Manager/11.0.0\r\n${challengeSent("203.0.113.9")}`;
  const { out, code } = await replayed([stream + report.repeat(3)]);
  assert.equal(code, 0);
  assert.match(out, /203\.0\.113\.5 .* 3 reports of the dialplan/);
});
