/** The compiled program's --replay: logs in every form, and proxies. */

import assert from "node:assert/strict";
import { successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { fileLine, FORMS, LINE_KINDS, threeGuesses } from "../support/log_text.ts";
import { recording } from "../support/recordings.ts";
import { textOf, toLog } from "../support/replays.ts";
import { onOwnMachine } from "./machine.ts";
import { runToEnd } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";

const at = (second: number) => `2026-11-22 08:00:${String(second).padStart(2, "0")}`;

onOwnMachine(import.meta.url, (executable) => {
  const replayed = async (text: string) => {
    await Deno.writeTextFile(CONFIG, "learn = 0\n");
    return await runToEnd([executable, "--replay", "-"], { stdin: text });
  };

  Deno.test("the security log is read in every form", async () => {
    for (const [form, print] of Object.entries(FORMS)) {
      const lines = threeGuesses("203.0.113.5", print);
      for (const end of ["\n", "\r\n"]) {
        const { code, out, err } = await replayed(`${lines.join(end)}${end}`);
        assert.deepEqual([code, err], [0, ""], form);
        assert.match(out, /203\.0\.113\.5 .* 3 wrong passwords within/, form);
      }
    }
  });

  Deno.test("refusals in messages name who was refused, and promise no block that AMI does not tell of", async () => {
    for (const { name, tells, print } of LINE_KINDS) {
      if (/InvalidTransport/.test(tells)) continue;
      const { code, out, err } = await replayed(
        [1, 2, 3].map((second) =>
          fileLine(print("203.0.113.5", { session: `call${second}` }), at(second))
        ).join(""),
      );
      assert.deepEqual([code, err], [0, ""], name);
      assert.match(out, /^2026-11-22 .* 203\.0\.113\.5 /m, name);
      assert.equal(/^Not blocked: AMI/m.test(out), tells.endsWith("log only"), name);
    }
  });

  Deno.test("what is of Asterisk 11, or was changed by an editor, is told with its first line", async () => {
    const old = toLog(textOf(recording("sip-udp-wrong-password.ami").bytes)).split("\n")
      .filter((text) => text.includes("InvalidPassword"))
      .map((text) => text.replace(/EventTV="[^"]*"/, 'EventTV="1373098165-824497"')).join("\n");
    const eleven = await replayed(old);
    assert.equal(eleven.code, 1);
    assert.match(eleven.err, /of Asterisk 11 or older .* not support.*\n*.*The first is line 1: /);
    const stream = textOf(recording("ast22-pjsip-udp-wrong-password.ami").bytes);
    const edited = await replayed(stream.replaceAll("\r\n", "\n").replace(/ +\n/g, "\n"));
    assert.equal(edited.code, 1);
    assert.match(edited.err, /line ends were changed \(LF, not CR LF\).*the first such line is/);
    const nothing = await replayed("hello\n");
    assert.equal(nothing.code, 1);
    assert.match(nothing.err, /is neither a raw AMI stream nor Asterisk's log/);
  });

  Deno.test("hints are for what was read", async () => {
    const log = await replayed(toLog(wrongAnswer("203.0.113.5")));
    assert.match(log.out, /^Hint: There is no login with a password in it/m);
    assert.doesNotMatch(log.out, /eventfilter|manager\.conf/);
    const ami = await replayed(`Asterisk Call Manager/7.0.3\r\n${wrongAnswer("203.0.113.5")}`);
    assert.match(ami.out, /eventfilter in manager\.conf/);
    const both = await replayed(toLog(wrongAnswer("203.0.113.5") + successfulAuth("203.0.113.6")));
    assert.doesNotMatch(both.out, /^Hint/m);
  });

  Deno.test("failures behind a proxy or an exempt address are told, and eight of a network block it", async () => {
    let proxy = "Asterisk Call Manager/7.0.3\r\n";
    for (let i = 0; i < 100; i++) {
      proxy += wrongAnswer("127.0.0.1", { remote: "IPV4/WS/127.0.0.1/5066", session: `${i}` });
    }
    assert.match((await replayed(proxy)).out, /failed logins from 127\.0\.0\.1, which is never/);
    let gateway = "Asterisk Call Manager/7.0.3\r\n";
    for (let second = 0; second < 1_200; second += 3) {
      const time = new Date(Date.UTC(2026, 10, 22, 8) + second * 1000).toISOString()
        .replace("Z", "+0000");
      if (second % 60 < 9) {
        gateway += successfulAuth("172.17.0.1", { account: `${100 + second % 60}`, time });
      }
      gateway += wrongAnswer("172.17.0.1", { account: `stranger${second % 60}`, time });
    }
    const behind = await replayed(gateway);
    assert.match(behind.out, /172\.17\.0\.1 looks like a proxy or gateway.*host networking/);
    assert.doesNotMatch(behind.out, /trust = 172/);
    let network = "Asterisk Call Manager/7.0.3\r\n";
    for (let i = 1; i <= 8; i++) {
      network += wrongAnswer(`2001:db8:7::${i}`, {
        remote: `IPV6/TCP/2001:db8:7::${i}/5060`,
        session: `n${i}`,
      });
    }
    assert.match((await replayed(network)).out, /2001:db8:7::\/64/);
  });
});
