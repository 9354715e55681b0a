/** What is a recording, and how it is read. */

import assert from "node:assert/strict";
import { RecordingError } from "../../../src/commands/replay/recording.ts";
import { DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { bytesOf } from "../../support/asterisk_events.ts";
import { recording } from "../../support/recordings.ts";
import { blockedIn, run, textOf, toLog } from "../../support/replays.ts";

Deno.test("recording: the split of the input into reads changes nothing", () => {
  const { bytes } = recording("mixed-medium.ami");
  const log = bytesOf(toLog(textOf(bytes)));
  for (const input of [bytes, log]) {
    const whole = run(input);
    for (const pieces of [[1], [7, 1000, 3], [65_536]]) {
      assert.deepEqual(run(input, DEFAULT_CONFIG, pieces), whole);
    }
  }
});

Deno.test("recording: a stream without banner, and one that begins within a message", () => {
  const { bytes } = recording("pjsip-udp-wrong-password.ami");
  const text = textOf(bytes);
  const expected = blockedIn(bytes);
  assert.deepEqual(blockedIn(bytesOf(text.slice(text.indexOf("Response: ")))), expected);
  assert.deepEqual(blockedIn(bytesOf(text.slice(text.indexOf("Event: ")))), expected);
  const within = text.indexOf("Severity: ");
  assert.deepEqual(blockedIn(bytesOf(text.slice(within))), expected);
});

Deno.test("recording: what is no recording is refused, with the reason", () => {
  const refused = (text: string, why: RegExp) =>
    assert.throws(() => run(bytesOf(text)), (error) => {
      assert.ok(error instanceof RecordingError);
      assert.match(error.message, why);
      return true;
    }, text);
  refused("", /is empty/);
  refused("hello\n".repeat(20_000), /neither a raw AMI stream nor/);
  refused("\x1f\x8b\x08", /zcat FILE \| ampere --replay -/);
  refused("BZh9", /bzcat FILE/);
  refused("\xfd7zXZ\0", /xzcat FILE/);
  refused("\x28\xb5\x2f\xfd", /zstdcat FILE/);
  refused(
    textOf(recording("reload.ami").bytes).replaceAll("\r\n", "\n")
      .replace(/^.*\n/, ""),
    /line ends were changed/,
  );
  refused(
    "hello\n[2026-11-22 08:09:09] x NOTICE[12] chan_sip.c: hello\n",
    /not known: .*The first is line 2, "\[2026-11-22 08:09:09\] x NOTICE\[12\] chan_sip/,
  );
  refused("\xff\xfeE\0v\0", /iconv -f UTF-16 -t UTF-8 FILE \| ampere --replay -/);
  refused("\xd4\xc3\xb2\xa1\x02\0\x04\0", /capture of packets/);
  refused("\x0a\x0d\x0d\x0a\x1c\0\0\0", /capture of packets/);
});
