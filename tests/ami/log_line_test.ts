/** What stands before a message of Asterisk's log. */

import assert from "node:assert/strict";
import { lastRepeated, parseLogLine } from "../../src/ami/log_line.ts";
import { FORMS } from "../support/log_text.ts";

Deno.test("log line: all forms say the same", () => {
  for (const [form, print] of Object.entries(FORMS)) {
    for (const end of ["", "\r"]) {
      for (const level of ["NOTICE", "SECURITY"]) {
        const line = parseLogLine(print({ level, file: "chan_sip.c", message: 'a "b" c' }) + end);
        assert.ok(line !== undefined, form);
        assert.deepEqual([line.level, line.file, line.message], [level, "chan_sip.c", 'a "b" c']);
      }
    }
  }
});

Deno.test("log line: names of files with a folder, and lines of the dialplan", () => {
  const of = (line: string) => {
    const { file, message } = parseLogLine(line) ?? {};
    return [file, message];
  };
  assert.deepEqual(of("[Nov 22 08:09:09] NOTICE[1] res_pjsip/pjsip_distributor.c: x"), [
    "res_pjsip/pjsip_distributor.c",
    "x",
  ]);
  assert.deepEqual(of("[Nov 22 08:09:09] WARNING[1][C-00000001] Ext. s: x"), ["Ext. s", "x"]);
  assert.deepEqual(
    of("Mar  1 15:35:53 pbx asterisk[2]: WARNING[1]: Ext. s:6 in @ from-outside: x"),
    ["Ext. s", "x"],
  );
});

Deno.test("log line: what syslog says came again, in square brackets or as the last message", () => {
  const said = "NOTICE[1]: manager.c:1 in f: 192.0.2.9 failed to authenticate as 'x]'";
  for (
    const [before, times] of [
      ["Nov 22 08:09:09 pbx asterisk[9]: message repeated 40 times: [ ", 40],
      ["2026-11-22T08:09:09.918+01:00 pbx asterisk: message repeated 2 times: [", 2],
      ["<133>1 2026-11-22T08:09:09Z pbx asterisk 9 - - message repeated 3 times: [ ", 3],
    ] as const
  ) {
    const line = parseLogLine(`${before}${said}]`);
    assert.deepEqual([line?.times, line?.message.endsWith("as 'x]'")], [times, true], before);
    assert.equal(parseLogLine(before + said), undefined, "without its end");
  }
  assert.equal(parseLogLine(`Nov 22 08:09:09 pbx asterisk[9]: ${said}`)?.times, 1);
  assert.equal(parseLogLine(`message repeated 40 times: [ ${said}]`), undefined);
  assert.equal(lastRepeated("Nov 22 08:09:09 pbx last message repeated 40 times"), 40);
  assert.equal(lastRepeated("Nov 22 08:09:09 pbx last message repeated 1 time\r"), 1);
  assert.equal(lastRepeated("2026-11-22T08:09:09Z pbx syslogd: last message repeated 3 times"), 3);
  assert.equal(lastRepeated("last message repeated 3 times"), undefined);
  assert.equal(
    lastRepeated("Nov 22 08:09:09 pbx x[1]: y last message repeated 3 times"),
    undefined,
  );
});

Deno.test("log line: nothing is searched behind what another program or a stranger wrote", () => {
  const line = "NOTICE[1]: manager.c:1 in f: 192.0.2.9 failed to authenticate as 'x'";
  for (
    const before of [
      "Nov 22 08:09:09 pbx sshd[7]: Invalid user ",
      "Nov 22 08:09:09 pbx sshd[7]: Invalid user x NOTICE[1]: asterisk[99]: ",
      "x ",
      " ",
      "' rejected because extension not found in context 'default'.",
      "[2026-11-22 08:09:09] x ",
      '{"log":"x ',
      "[] ",
      "Via: ",
      "X-Name:",
      "X-Name:7:",
      "7:x ",
      "/var/log/asterisk/messages: x ",
      "Nov 22 08:09:09 sshd: x: ",
    ]
  ) assert.equal(parseLogLine(before + line), undefined, before);
  assert.equal(parseLogLine(`{"log":${JSON.stringify(`x ${line}`)}}`), undefined);
});

Deno.test("log line: objects that are not of a log, and broken ones", () => {
  for (
    const text of [
      "{",
      "{}",
      "[]",
      '{"log":7}',
      '{"log":"{\\"log\\":\\"{\\\\\\"log\\\\\\":1}\\"}"}',
      '{"MESSAGE":null}',
      '{"MESSAGE":[null,"x"]}',
      '{"logmsg":{"location":{"filename":1},"level":"NOTICE","message":"x"}}',
      '{"logmsg":{"location":null,"level":"NOTICE","message":"x"}}',
      "{".repeat(10_000),
    ]
  ) assert.equal(parseLogLine(text), undefined, text.slice(0, 80));
});

Deno.test("log line: bytes stay bytes, in objects too", () => {
  const euro = "\u00e2\u0082\u00ac"; // The bytes of a euro sign.
  assert.equal(
    parseLogLine(`[Nov 22 08:09:09] NOTICE[1] a.c: ${euro}`)?.message,
    euro,
  );
  assert.equal(
    parseLogLine('{"log":"[Nov 22 08:09:09] NOTICE[1] a.c: \\u20ac"}')?.message,
    euro,
  );
});
