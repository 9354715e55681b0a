/**
 * What the fuzzer begins with: recordings of real servers, configurations, lines of block lists,
 * addresses.
 *
 * @module
 */

import { latin1 } from "../../src/ami/framer.ts";
import { FORMS, LINE_KINDS } from "../support/log_text.ts";
import { userEvent } from "../support/asterisk_events.ts";
import { recordings } from "../support/recordings.ts";

/** Most bytes that are taken of one recording. */
const RECORDING_BYTES_MAX = 40_000;

const CRLFCRLF = "\r\n\r\n";

/** Streams as clients received them, one character a byte. */
export const STREAMS: readonly string[] = recordings().map(({ bytes }) =>
  latin1(bytes, 0, Math.min(bytes.length, RECORDING_BYTES_MAX))
).concat(`Asterisk Call Manager/11.0.0\r\n${userEvent()}${userEvent({ channel: false })}`);

/** Single messages, with the line end of their last line; each text once. */
export const MESSAGES: readonly string[] = [
  ...new Set(
    STREAMS.flatMap((stream) => stream.slice(stream.indexOf("\r\n") + 2).split(CRLFCRLF))
      .filter((message) => message !== "").map((message) => `${message}\r\n`),
  ),
];

/** Lines of Asterisk's log: the recorded events, and refusals, in every form. */
export const LOG_LINES: readonly string[] = MESSAGES
  .filter((message) => message.startsWith("Event: ") && message.includes("\r\nEventTV: "))
  .map((message) => {
    const elements = message.slice(0, -2).split("\r\n")
      .filter((line) => !line.startsWith("Privilege: "))
      .map((line) => line.replace(/^Event: /, "SecurityEvent: "))
      .map((line) =>
        `${line.slice(0, line.indexOf(": "))}="${line.slice(line.indexOf(": ") + 2)}"`
      );
    return `[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: ${elements.join(",")}\n`;
  }).concat(
    LINE_KINDS.map(({ print }, index) => {
      const forms = Object.values(FORMS);
      return `${forms[index % forms.length]!(print("203.0.113.5"))}\n`;
    }),
    "[2026-11-22 08:09:09] ERROR[1234] security_events.c: Failed to issue security event of type " +
      "ChallengeResponseFailed.\n",
  );

/** Configurations. */
export const CONFIGS: readonly string[] = [
  Deno.readTextFileSync(new URL("../../ampere.cfg", import.meta.url)),
  'host = asterisk.example.com\nport=5038\nuser = ampere\npass = "se#cret;" # comment\nloyalty = 3\n',
  "trust = 192.168.0.0/16\ntrust=2001:db8::/32 ; office\ntrust = ::ffff:10.1.2.3\ntrust = 127.0.0.1\n",
  "bantime = 10m\nbantime_factor = 1.5\nbantime_max = 7d\nforget = 1d\ncredit = 0\npatience = 5s\n",
  "[general]\r\nchain = ampere\r\nbackend = ipset\r\nipv6_prefix = 64\r\nverify = 60s\r\n",
  "metrics = 127.0.0.1:9100\nwebhook = https://example.com/hook?secret=1\ndatabase = /var/lib/ampere/x.db\n",
  "metrics = [::1]:9100\nwebhook = off\nmetrics = off\nuser = 'a b'\npass = 'it''s'\n",
];

/** Lines that `ampere -a` reads. */
export const BLOCK_LINES: readonly string[] = [
  "    203.0.113.5 | since 2014-05-01 12:00:00",
  " 2001:db8::1 | since 2026-11-22 08:09:09 | for ever | 3 wrong passwords within 2 s",
  " 10.0.0.0/8 | since 2026-02-28 23:59:59 | until 2027-01-01 00:00:00 | added by hand",
  '{"target":"203.0.113.5","since":"2026-11-22T08:09:09.918Z","until":null,"reason":"x","times":2}',
  '{"target":"2001:db8::/48","since":"2026-11-22T08:09:09Z","until":"2027-11-22T08:09:09Z"}',
  "198.51.100.0/24 # a note",
  "2001:DB8:0:0:0:0:0:1",
  "; a comment",
  "fe80::1%eth0",
  "203.0.113.5, 203.0.113.6 2001:db8::7",
  "203.0.113.5 - 203.0.113.9",
  "203.0.113.0/255.255.255.0",
  "203.0.113.0 netmask 255.255.254.0",
  "203.0.113.5 \t2026-11-30 14:45:01 + 600 = 2026-11-30 14:55:01",
  '{"ipaddress":["203.0.113.5","2001:db8::7"],"ID":"1764514801"}',
  '["203.0.113.5",{"target":"203.0.113.6"}]',
];

/** Addresses and networks, right and wrong. */
export const ADDRESSES: readonly string[] = [
  "203.0.113.5",
  "10.1.2.3/8",
  "0.0.0.0/0",
  "255.255.255.255/32",
  "2001:db8::1",
  "2001:0DB8:0000:0000:0000:0000:0000:0001/128",
  "::",
  "::1",
  "::/0",
  "::ffff:1.2.3.4",
  "::ffff:102:304/120",
  "::1.2.3.4",
  "1:2:3:4:5:6:7::",
  "1:2:3:4:5:6:1.2.3.4",
  "fe80::1%eth0",
  "fe80::1:2%br-lan.100/64",
];

/** What gets into the middle of things. */
export const SPLINTERS: readonly string[] = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  "\n\r",
  "\0",
  "\x1b[2J",
  "\xff\xfe",
  "\x85",
  '"',
  "'",
  ",",
  '",',
  '="',
  ": ",
  " ",
  "\t",
  "/",
  "%",
  "-",
  "|",
  "{",
  "}",
  "#",
  ";",
  "=",
  "Event: ",
  "Privilege: security,all\r\n",
  "Event: SuccessfulAuth\r\nPrivilege: security,all\r\n",
  "RemoteAddress: IPV4/UDP/9.9.9.9/5060\r\n",
  "RemoteAddress: IPV6/TLS/2001:db8::9/5060\r\n",
  "SessionID: x\r\n",
  "UsingPassword: 1\r\n",
  "Response: Success\r\n",
  "EventTV: 2026-11-22T08:09:09.918+0000\r\n",
  "Timestamp: 1795336477.393035\r\n",
  "99999999999999999999",
  "-1",
  "1e9",
  "0x10",
  "NaN",
  "__proto__",
  "constructor",
  "0.0.0.0/0",
  "127.0.0.1",
];
